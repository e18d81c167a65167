"""Formats are told by content first, then by name."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zlib

import pytest

from assay.formats.sniff import sniff

_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "x.pkl", "empty"),
        *((pickle.dumps({"a": [1, "b"]}, protocol), "weights.txt", "pickle") for protocol in range(6)),
        (b"garbage \xff\xfe", "x.pkl", "pickle"),
        (b"\xff\xfe\xfd", "x.bin", "other"),
        (b"PK\x03\x04" + bytes(30), "x", "zip"),
        (b"\x93NUMPY\x01\0", "x", "npy"),
        (struct.pack("<Q", len(_HEADER)) + _HEADER + bytes(4), "x", "safetensors"),
        (b"GGUF\x03\0\0\0" + bytes(16), "x", "gguf"),
        (b"\x08\x08\x12\x04test:\x00", "x", "onnx"),
        (b"\x89HDF\r\n\x1a\n" + bytes(8), "x.keras", "hdf5"),
        (zlib.compress(b"abc"), "x", "zlib"),
        (b"xylophones are text", "x.pkl.txt", "text"),
        (b"(Some text, in brackets)\n", "notes.txt", "text"),
        (b"\x1f\x8b\x08" + bytes(8), "x", "gzip"),
        (b"BZh91AY&SY", "x", "bz2"),
        (b"\xfd7zXZ\0", "x", "xz"),
        (b"\x04\x22\x4d\x18", "x", "lz4"),
        (b"7z\xbc\xaf\x27\x1c", "x", "7z"),
        (b"PAR1" + bytes(20), "x", "parquet"),
        (b"ARROW1\0\0" + bytes(20), "x", "arrow"),
        (tarfile.TarInfo("a").tobuf(), "x", "tar"),
        (bytes(257) + b"ustar\0" + bytes(249), "x", "other"),  # a mark without the checksum: no reader opens it
        (b'{"a": 1}', "x", "json"),
        (b"[1, 2]", "x.json", "json"),
        (b"a,b\n1,2\n", "x.csv", "text"),
        (b"Name,age\nIda,3\n", "x.csv", "text"),
        (b"Verse one\n.gitignore\n", "README.md", "text"),
        ("née".encode(), "x", "text"),
    ],
)
def test_format(data: bytes, name: str, expected: str) -> None:
    assert sniff(io.BytesIO(data), name=name).name == expected


def test_what_loads_code_is_said() -> None:
    assert sniff(io.BytesIO(pickle.dumps(1)), name="x").loads_code
    assert sniff(io.BytesIO(b"\x89HDF\r\n\x1a\n"), name="x").loads_code
    assert not sniff(io.BytesIO(b"GGUF\x03\0\0\0" + bytes(16)), name="x").loads_code


@pytest.mark.parametrize("length", [2, 100, 128, 256, 384, 640, 896, 1152, 1408, 5000])
def test_safetensors_of_every_header_length(length: int) -> None:
    """Lengths of which the first bytes look like a pickle's protocol or a font's magic."""
    data = length.to_bytes(8, "little") + b"{}".ljust(length)
    assert sniff(io.BytesIO(data), name="m.safetensors").name == "safetensors"
