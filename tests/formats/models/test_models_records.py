"""TFRecord files, and npy files of several arrays."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models_bytes import reading

from assay.formats.models import npy, tfrecord
from assay.formats.models.recognise import recognise


def _record(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return b"".join(
        (head, struct.pack("<I", tfrecord.masked_crc32c(head)), data, struct.pack("<I", tfrecord.masked_crc32c(data)))
    )


def test_the_checksum_is_crc_32c() -> None:
    # RFC 3720, B.4: 32 zeros give 0x8A9136AA, 32 ones 0x62A8AB43.
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        assert tfrecord.masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_records_are_walked_to_the_end() -> None:
    data = _record(b"first") + _record(b"") + _record(b"x" * 9000)
    assert recognise(data[:4096], "train-00000-of-00001") == "tfrecord"
    found = reading(tfrecord.read, data)
    assert (found.gaps, found.notes) == ((), ())
    assert (found.measured["records"], found.measured["longest_record"]) == (3, 9000)


@pytest.mark.parametrize("cut", [1, 5, 14, 17, 100])
def test_a_torn_record_is_a_gap(cut: int) -> None:
    found = reading(tfrecord.read, (_record(b"a" * 50) + _record(b"b" * 90))[:-cut])
    assert found.gaps[0].startswith("is torn")


def test_a_length_that_does_not_check_is_a_gap() -> None:
    data = bytearray(_record(b"a") + _record(b"b"))
    data[len(_record(b"a"))] ^= 1
    assert "checksum" in reading(tfrecord.read, bytes(data)).gaps[0]
    assert not tfrecord.looks_like(b"\0" * 12, "x.tfrecord")


@given(st.binary(max_size=200))
def test_garbage_ends_in_gaps(data: bytes) -> None:
    for head in (b"", _record(b"ok")):
        assert reading(tfrecord.read, head + data).gaps or not data


@pytest.mark.parametrize(
    "dtype",
    [
        *("<f8", ">i2", "|b1", "S5", "U3", "M8[ns]", "m8[25s]", "c16", "V7", "f2"),
        [("a", "<f4"), ("b", ">i8", (2, 3)), ("c", "S3")],
        np.dtype([("x", "f4"), ("y", [("p", "u1"), ("q", "f8")])], align=True),
    ],
)
def test_every_array_is_found_one_behind_the_other(dtype: Any) -> None:
    out = io.BytesIO()
    for shape in ((3, 2), (), (0,), (1,)):
        np.save(out, np.zeros(shape, dtype=dtype))
    arrays = list(npy.walk(out))
    assert len(arrays) == 4
    last = arrays[-1]
    assert last.size is not None
    assert last.data_at + last.size == len(out.getvalue())


def test_an_array_of_objects_behind_another_is_found() -> None:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    np.save(out, np.array([{}], dtype=object), allow_pickle=True)
    assert [array.has_objects for array in npy.walk(out)] == [False, True]


def test_the_walk_ends_at_bytes_of_no_array_and_refuses_a_broken_header() -> None:
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    assert len(list(npy.walk(io.BytesIO(out.getvalue() + b"junk")))) == 1
    with pytest.raises(ValueError, match="npy header"):
        list(npy.walk(io.BytesIO(out.getvalue() + out.getvalue()[:40])))


def test_a_type_of_unknown_size_ends_the_walk() -> None:
    head = b"{'descr': 'mystery', 'fortran_order': False, 'shape': (1,), }\n"
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head
    assert [array.size for array in npy.walk(io.BytesIO(data * 2))] == [None]
    named = data.replace(b"'mystery'", b"'float64'")
    assert [array.size for array in npy.walk(io.BytesIO(named))] == [8]
