"""A file whose bytes are not what its name says is never silently clean; one that keeps its promise is not accused."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from assay.formats.artifact import examine
from assay.formats.promise import broken_promise

_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
_SAFETENSORS = struct.pack("<Q", len(_HEADER)) + _HEADER + bytes(4)
_FOOTER = b"\x15\x02\x19\x1c" + bytes(16)
_NPY = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(118) + bytes(8)


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, _NPY if name.endswith(".npy") else b"{}")
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return out.getvalue()


CONTENT = {
    "text": b"not a model, a page of words\n" * 9,
    "json": b'{"a": 1}\n',
    "other": bytes(range(200, 256)) * 40,
    "zeros": bytes(4096),
    "empty": b"",
    "pickle": pickle.dumps({"w": [1.0]}, 4),
    "gzip": gzip.compress(pickle.dumps({"w": [1.0]}, 4)),
    "onnx": b"\x08\x08\x12\x04test:\x02\x12\x00",
    "safetensors": _SAFETENSORS,
    "npy": _NPY,
    "npz": _zip("a.npy"),
    "zip": _zip("readme.bin"),
    "torch": _zip("m/data.pkl"),
    "keras": _zip("config.json", "metadata.json"),
    "tar": _tar(),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(600),
    "gguf": b"GGUF\x03\0\0\0" + bytes(16),
    "parquet": b"PAR1" + bytes(30),
    "arrow": b"ARROW1\0\0" + bytes(30),
}
KEPT = {
    "m.onnx": {"onnx"},
    "m.safetensors": {"safetensors"},
    "m.gguf": {"gguf"},
    "m.h5": {"hdf5"},
    "m.keras": {"hdf5", "keras"},
    "m.npy": {"npy"},
    "m.npz": {"npz", "zip"},
    "m.parquet": {"parquet"},
    "m.feather": {"arrow"},
    "m.PT": {"pickle", "torch", "zip", "tar", "other", "zeros"},  # its suffix makes it a pickle to be read
    "m.tflite": set(),
    "m.zip": {"zip", "npz", "torch"},
    "m.gz": {"gzip"},
    "m.tar": {"tar"},
    "m.csv": {"text", "json", "other", "zeros", "empty"},
    "m.bin": set(CONTENT) - {"text", "json", "empty"},
    "m.yaml": {"text", "json", "empty"},  # no other encoding: it was not read, and a loader may read it
    "m": set(CONTENT),
}


@pytest.mark.parametrize("name", KEPT)
def test_which_names_hold_what_they_say(name: str) -> None:
    kept = {
        content
        for content, data in CONTENT.items()
        if not broken_promise(name, examine(io.BytesIO(data), name=name).format.name)
    }
    assert kept == KEPT[name]


def test_a_broken_promise_is_the_suffix() -> None:
    assert broken_promise("Model.ONNX", "text") == ".onnx"


@pytest.mark.parametrize("name", ["m.onnx.", "m.onnx ", "m.onnx . ", "m.onnx\u200b", "m.onnx\u00a0", "m.onnx..."])
def test_what_hides_at_a_names_end_hides_no_suffix(name: str) -> None:
    assert broken_promise(name, "text") == ".onnx"
    assert broken_promise(name, "onnx") == ""


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"PAR1" + bytes(30), False),
        (b"PAR1" + _FOOTER + struct.pack("<I", 20) + b"PAR1", True),
        (b"PAR1" + _FOOTER + struct.pack("<I", 21) + b"PAR1", False),
        (b"PAR1" + _FOOTER + struct.pack("<I", 20) + b"PARE", False),
        (b"PAR1" + bytes(20) + struct.pack("<I", 20) + b"PAR1", False),
        (b"PAR1" + b"x" * 20 + struct.pack("<I", 20) + b"PAR1", False),
        (b"ARROW1\0\0" + bytes(30), False),
        (b"ARROW1\0\0" + b"\x10" + bytes(19) + struct.pack("<I", 20) + b"ARROW1", True),
        (b"ARROW1\0\0" + b"x" * 20 + struct.pack("<I", 20) + b"ARROW1", False),
        (b"FEA1" + bytes(30), False),
        (b"FEA1" + bytes(30) + b"FEA1", True),
    ],
)
def test_tables_end_as_they_must(data: bytes, whole: bool) -> None:
    assert (not examine(io.BytesIO(data), name="t").gaps) is whole


def test_hdf5_inside_an_archive_is_not_passed_over() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("weights.h5", CONTENT["hdf5"])
    facts = examine(io.BytesIO(out.getvalue()), name="m.zip")
    assert any("weights.h5: is a hdf5 file that cannot be read" in gap.reason for gap in facts.gaps)


def _tensors(**tensor: object) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | tensor}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(8)


@pytest.mark.parametrize(
    ("tensor", "whole"),
    [
        ({}, True),
        ({"dtype": "F4", "shape": [4, 4]}, True),
        ({"dtype": "I64", "shape": [1]}, True),
        ({"shape": []}, False),
        ({"shape": [3]}, False),
        ({"shape": [-1, -2]}, False),
        ({"shape": "2"}, False),
        ({"shape": [2, True]}, False),
        ({"dtype": "F77"}, False),
        ({"data_offsets": [False, 8]}, False),
        ({"data_offsets": [0]}, False),
        ({"data_offsets": [0, 8, 8]}, False),
        ({"data_offsets": [0, 8.0]}, False),
    ],
)
def test_a_tensor_has_the_bytes_that_its_shape_takes(tensor: dict[str, object], whole: bool) -> None:
    assert (not examine(io.BytesIO(_tensors(**tensor)), name="m.safetensors").gaps) is whole


def test_real_tables_are_read_to_the_end(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet, feather = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.feather")
    table = pa.table({"a": [1, 2], **{f"c{i}": ["x", "y"] for i in range(40)}})
    for version in ("1.0", "2.6"):
        parquet.write_table(table, tmp_path / f"{version}.parquet", version=version)
        assert examine(tmp_path / f"{version}.parquet").gaps == ()
    feather.write_feather(table, tmp_path / "t.feather")
    assert examine(tmp_path / "t.feather").gaps == ()
    duckdb = pytest.importorskip("duckdb")
    duckdb.sql(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'd.parquet'}'")
    assert examine(tmp_path / "d.parquet").gaps == ()
