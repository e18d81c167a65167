"""Every reader on garbage and on mutated models: it ends, raises nothing, and says JSON-able things of bounded size."""

from __future__ import annotations

import io
import json
import random
import struct
from types import ModuleType
from typing import Any

import models_bytes as make
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.formats.models import (
    boosters,
    catboost,
    checkpoint,
    gguf,
    msgpack_flax,
    onnx,
    safetensors,
    saved_keras,
    savedmodel,
    tensorflow_text,
    tflite,
    tfrecord,
)
from assay.formats.reading import Limits

_TREE = make.onnx_node("If", "", make.msg(5, make.msg(6, make.onnx_node("Evil", "own"))))
_LITE = struct.pack("<I4sHHHHI", 16, b"TFL3", 8, 12, 4, 8, 0) + struct.pack("<iIIII", 8, 3, 4, 1, 0) + bytes(40)
SEEDS: dict[str, tuple[ModuleType, bytes, str]] = {
    "onnx": (onnx, make.onnx_model(_TREE, graph=make.msg(5, make.onnx_tensor(2, raw=bytes(8)))), "m.onnx"),
    "external": (
        onnx,
        make.onnx_model(_TREE, graph=make.msg(5, make.onnx_tensor(2, external={"location": "../w", "offset": "1"}))),
        "m.onnx",
    ),
    "savedmodel": (
        savedmodel,
        make.tf_saved(
            make.tf_const("path", "/etc/passwd"),
            make.tf_node("r", "ReadFile", ("path",)),
            functions=[[make.tf_node("f", "PyFunc", ("p",), {"token": make.msg(2, "x")})]],
        ),
        "saved_model.pb",
    ),
    "keras": (saved_keras, make.msg(1, make.num(2, 1), make.msg(4, "_tf_keras_layer"), make.msg(5, "{}")), "k.pb"),
    "records": (tfrecord, 2 * bytes.fromhex("01000000000000000175de41" + "61" + "00000000"), "train.tfrecord"),
    "text": (tensorflow_text, b'node { name: "a" op: "PyFunc" attr { key: "x" } }', "g.pbtxt"),
    "index": (checkpoint, b"\0\0" + bytes(80), "variables.index"),
    "fingerprint": (checkpoint, make.num(1, 5) + make.num(2, 6), "fingerprint.pb"),
    "tflite": (tflite, _LITE, "m.tflite"),
    "catboost": (catboost, b"CBM1" + struct.pack("<I", len(_LITE)) + _LITE, "m.cbm"),
    "catboost-json": (catboost, b'{"features_info": {"a": [1]}, "oblivious_trees": [{}]}', "m.json"),
    "xgboost": (boosters, make.ubj(make.XGBOOST), "m.ubj"),
    "xgboost-json": (boosters, json.dumps(make.XGBOOST).encode(), "m.json"),
    "flax": (
        msgpack_flax,
        make.flax_map(("k", make.flax_array((2,), "float32", bytes(8))), ("s", b"\x07")),
        "m.msgpack",
    ),
    "gguf": (
        gguf,
        make.gguf_file(
            [
                ("tokenizer.chat_template", 8, make.gguf_text("{{ x }}")),
                ("t", 9, struct.pack("<IQ", 8, 2) + make.gguf_text("a") + make.gguf_text("b")),
            ],
            [("a", (32,), 0, 0)],
            128,
        ),
        "m.gguf",
    ),
    "safetensors": (
        safetensors,
        make.safetensors_file(
            {
                "__metadata__": {"prompt": "{{ x }}", "label": "gASVCQAAAAAAAABdlCiMAWGUZS4="},
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            },
            8,
        ),
        "m.safetensors",
    ),
}
_FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def _survives(module: Any, data: bytes, name: str) -> bool:
    """Whether a reader ends in what it promises, whatever it is given."""
    assert module.looks_like(data[:4096], name) in (True, False)
    found = module.read(io.BytesIO(data), name, Limits(max_opcodes=100_000))
    assert len(msgspec.json.encode(found.measured)) < 1 << 20
    assert all("\n" not in gap and len(gap) <= 500 for gap in found.gaps)
    return bool(found.measured["format"])


@pytest.mark.parametrize("seed", SEEDS)
@_FEW
@given(data=st.binary(max_size=400))
def test_garbage_ends(seed: str, data: bytes) -> None:
    module, good, name = SEEDS[seed]
    assert _survives(module, data, name)
    assert _survives(module, good[:12] + data, name)


@pytest.mark.parametrize("seed", SEEDS)
@_FEW
@given(data=st.data())
def test_mutated_models_end(seed: str, data: st.DataObject) -> None:
    module, good, name = SEEDS[seed]
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF, 0x0A)) | st.integers(0, 255))
    assert _survives(module, bytes(changed[: data.draw(st.integers(0, len(changed)))]), name)
    assert _survives(module, bytes(changed), name)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_cut_of_a_model_ends(seed: str) -> None:
    module, good, name = SEEDS[seed]
    for cut in range(len(good)):
        assert _survives(module, good[:cut], name)


def test_random_bytes_are_claimed_by_no_reader() -> None:
    rng = random.Random(7)
    for _ in range(4000):
        data = rng.randbytes(rng.choice((12, 40, 300, 4096)))
        for module in (onnx, savedmodel, saved_keras, tflite, msgpack_flax, boosters, catboost, gguf, safetensors):
            assert not module.looks_like(data, "file.bin")
