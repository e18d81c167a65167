"""Models that reach beyond themselves in lesser ways: by text form, tables, metadata, values that are pickles."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from models_bytes import alarms, msg, onnx_model, onnx_node, onnx_tensor, reading, said, tf_const, tf_node, tf_saved

from assay.formats.artifact import examine
from assay.formats.models import onnx, onnx_text, safetensors, savedmodel
from assay.formats.models.keras import judge_keras

BAD = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."


@pytest.mark.parametrize(("name", "worst"), [("relu", 0), ("abs", 0), ("softmax", 0), ("eval", 4), ("__import__", 4)])
def test_functions_that_keras_finds_by_name_alone(name: str, worst: int) -> None:
    function = {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
    notes = judge_keras({"class_name": "Activation", "config": {"activation": function}}, "")
    assert max((note.severity.rank for note in notes), default=0) == worst


TEXT = """ir_version: 8
graph {
  node { input: "x" output: "y" op_type: "%s" }
  initializer {
    name: "w"
    external_data { key: "location" value: "%s" }
  }
}
"""


@pytest.mark.parametrize(
    ("operator", "place", "keys"),
    [
        ("Relu", "weights.bin", []),
        ("Relu", "../../etc/passwd", ["external-data:outside:../../etc/passwd"]),
        ("PyOp", "weights.bin", ["python-operator:PyOp"]),
    ],
)
def test_onnx_in_text_form(operator: str, place: str, keys: list[str]) -> None:
    data = (TEXT % (operator, place)).encode()
    assert onnx_text.looks_like(data, "model.textproto")
    found = reading(onnx_text.read, data, "model.textproto")
    assert alarms(found) == keys
    assert found.gaps
    assert any("text form" in gap.reason for gap in examine(io.BytesIO(data), name="model.textproto").gaps)


def test_texts_that_are_no_onnx_model() -> None:
    assert not onnx_text.looks_like(b'name: "n"\nlayer { type: "Data" }\n', "deploy.prototxt")
    assert not onnx_text.looks_like(b"ir_version: 8\n", "notes.md")
    assert reading(onnx_text.read, b"ir_version: 8 graph { external_data {", "m.textproto").gaps


@pytest.mark.parametrize(("place", "told"), [(".git/config", True), ("a/.ssh/id_rsa", True), ("data/w.git", False)])
def test_weights_from_where_tools_keep_their_keys(place: str, told: bool) -> None:
    data = onnx_model(onnx_node("Relu"), msg(5, onnx_tensor(4, external={"location": place})))
    assert bool(said(reading(onnx.read, data, "m.onnx"))) is told


@pytest.mark.parametrize(
    ("operator", "inputs"), [("RestoreV2", ("path", "n")), ("InitializeTableFromTextFileV2", ("h", "path"))]
)
def test_constant_paths_of_savers_and_tables(operator: str, inputs: tuple[str, ...]) -> None:
    def judged(path: str, rest: bytes = b"") -> dict[str, str]:
        return said(
            reading(savedmodel.read, tf_saved(tf_const("path", path), tf_node("n", operator, inputs), rest=rest))
        )

    assert judged("/etc/passwd") == {f"reads-outside:{operator}": "medium"}
    assert judged("assets/vocab.txt") == {}
    fed = msg(6, msg(1, msg(1, "path:0")), msg(2, "vocab.txt"))
    assert judged("/home/me/vocab.txt", fed) == {}


def _safetensors(**metadata: str) -> bytes:
    head = json.dumps({"__metadata__": metadata}).encode()
    return len(head).to_bytes(8, "little") + head


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"_target_": "builtins.exec", "_args_": ["x"]}, True),
        ({"_target_": "torch.nn.Linear", "in_features": 3}, False),
        ({"target": "steps"}, False),
    ],
)
def test_targets_in_metadata(config: dict[str, Any], told: bool) -> None:
    found = reading(safetensors.read, _safetensors(config=json.dumps(config)), "m.safetensors")
    assert bool([note for note in found.notes if note.severity.rank >= 2]) is told
    assert reading(safetensors.read, _safetensors(config='{"_target_": '), "m.safetensors").notes == ()


def test_values_of_msgpack_that_are_pickles() -> None:
    data = b"\x81\xa4code\xc4" + bytes((len(BAD),)) + BAD
    assert [f.qualified for _, f in examine(io.BytesIO(data), name="s.msgpack").globals()] == ["posix.system"]
    plain = examine(io.BytesIO(b"\x81\xa4code\xc4\x04\x80\x04\x01\x02"), name="s.msgpack")
    assert [f.qualified for _, f in plain.globals()] == []
    assert plain.complete
    torn = examine(io.BytesIO(b"\x81\xa4code\xc4\x40" + BAD), name="s.msgpack")
    assert torn.gaps
