"""Compressed streams: read, sought and bounded; glued, torn and broken ones."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.archives import inflate, member
from assay.formats.archives.inflate import READABLE, Inflated
from assay.formats.archives.lz4_frame import Lz4Decoder, decode_block, xxh32
from assay.formats.reading import Limits

TEXT = b"".join(b"%d is followed by %d. " % (i, i + 1) for i in range(4000))


def _raw_deflate(data: bytes) -> bytes:
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return maker.compress(data) + maker.flush()


def _zfile(data: bytes, wide: bool = False) -> bytes:
    return b"ZF" + hex(len(data)).encode().ljust(20 if wide else 19) + zlib.compress(data)


def _lz4_plain(data: bytes, linked: bool = False, checked: bool = False) -> bytes:
    """A frame of stored blocks."""
    descriptor = bytes([0x40 | (0 if linked else 0x20) | (0x10 if checked else 0), 0x40])
    out = b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 0xFF])
    for at in range(0, len(data), 65536):
        block = data[at : at + 65536]
        out += struct.pack("<L", len(block) | 1 << 31) + block + (b"sums" if checked else b"")
    return out + bytes(4)


def _zstd(data: bytes) -> bytes:
    try:
        from compression import zstd
    except ImportError:
        zstd = pytest.importorskip("backports.zstd")
    return bytes(zstd.compress(data))


MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "lz4": _lz4_plain,
    "zstd": _zstd,
    "joblib-zfile": _zfile,
    "deflate": _raw_deflate,
}


def _open(kind: str, data: bytes, **limits: int) -> Inflated:
    return Inflated(io.BytesIO(data), kind, Limits(**limits))  # type: ignore[arg-type]


def test_all_kinds_are_tried() -> None:
    assert set(MAKERS) == READABLE | {"deflate"}


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_it_reads_and_seeks_like_the_whole(kind: str) -> None:
    file = _open(kind, MAKERS[kind](TEXT))
    assert file.read(10) == TEXT[:10]
    assert file.seek(50_000) == 50_000
    assert file.read(7) == TEXT[50_000:50_007]
    assert file.seek(3) == 3
    assert file.read() == TEXT[3:]
    assert (file.read(1), file.trailing, file.streams) == (b"", 0, 1)
    assert file.seek(10**9) == len(TEXT)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_a_torn_stream_is_an_error(kind: str) -> None:
    whole = MAKERS[kind](TEXT)
    file = _open(kind, whole[: len(whole) * 2 // 3])
    with pytest.raises(OSError, match=r"broken|too early"):
        file.read()


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_garbage_behind_the_stream_is_counted(kind: str) -> None:
    file = _open(kind, MAKERS[kind](TEXT) + b"garbage behind")
    assert file.read() == TEXT
    assert file.trailing == 14


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "lz4", "zstd"])
def test_members_behind_each_other_are_read_on(kind: str) -> None:
    file = _open(kind, MAKERS[kind](TEXT) + MAKERS[kind](b"more"))
    assert file.read() == TEXT + b"more"
    assert (file.streams, file.trailing) == (2, 0)


def test_a_second_zlib_stream_is_not_read_but_counted() -> None:
    second = zlib.compress(b"more" * 100)
    file = _open("zlib", zlib.compress(TEXT) + second)
    assert file.read() == TEXT
    assert file.trailing == len(second)


def test_padding_of_xz_is_no_garbage() -> None:
    file = _open("xz", lzma.compress(TEXT) + bytes(8) + lzma.compress(b"more") + bytes(4))
    assert file.read() == TEXT + b"more"
    assert file.trailing == 0


@pytest.mark.parametrize("wide", [False, True])
def test_zfiles_of_old_and_older_joblib(wide: bool) -> None:
    assert _open("joblib-zfile", _zfile(TEXT, wide)).read() == TEXT


@pytest.mark.parametrize("head", [b"ZF", b"ZF" + b"x" * 19, b"ZF0x10"])
def test_broken_zfiles(head: bytes) -> None:
    with pytest.raises(OSError, match="joblib-zfile"):
        _open("joblib-zfile", head + bytes(40)).read()


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_the_output_is_bounded(kind: str) -> None:
    file = _open(kind, MAKERS[kind](TEXT), max_unpacked=1000)
    with pytest.raises(OSError, match="more than 1000 bytes"):
        file.read()


def test_a_number_may_stand_for_the_limits() -> None:
    assert Inflated(io.BytesIO(zlib.compress(b"ab")), "zlib", 2).read() == b"ab"


def test_zeros_end_at_the_ratio_and_data_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "FREE_OUTPUT", 4 << 20)
    assert len(_open("gzip", gzip.compress(bytes(3 << 20))).read()) == 3 << 20
    with pytest.raises(OSError, match="bomb"):
        _open("gzip", gzip.compress(bytes(8 << 20))).read()
    text = TEXT * 60
    assert len(text) > 5 << 20
    assert _open("zlib", b"".join([zlib.compress(text)])).read(len(text)) == text


def test_far_rewinding_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "HISTORY", 1000)
    file = _open("zlib", zlib.compress(TEXT))

    def rewind_often() -> None:
        for _ in range(1000):
            file.seek(50_000)
            file.seek(0)

    with pytest.raises(OSError, match="too often"):
        rewind_often()


def test_near_rewinding_is_free() -> None:
    file = _open("zlib", zlib.compress(TEXT))
    for _ in range(1000):
        assert file.read(2) == TEXT[:2]
        file.seek(0)


@pytest.mark.parametrize(
    "kind", ["zlib", "gzip", "deflate", "bz2", "xz", pytest.param("lzma", marks=pytest.mark.heavy), "joblib-zfile"]
)
@pytest.mark.parametrize("torn", [False, True])
def test_what_comes_before_the_break_is_given(kind: str, torn: bool) -> None:
    """As a loader that reads in small pieces gets it: code runs before the end of a stream is missed."""
    text = b"".join(b"%d is %x, " % (i * i, i) for i in range(90_000))
    whole = MAKERS[kind](text)
    half = len(whole) // 2
    file = _open(kind, whole[:half] + (b"" if torn else b"\xff" * 40 + whole[half + 40 :]))
    found = list(_pieces(file))
    if kind == "deflate" and not torn:  # nothing sums it
        return
    assert file.broken
    assert b"".join(found)[: len(text) // 3] == text[: len(text) // 3]
    with pytest.raises(OSError, match=kind):
        file.read(1)
    assert file.seek(5) == 5
    assert file.read(10) == text[5:15]


def _pieces(file: Inflated) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while piece := file.read(1000):
            yield piece


def test_the_deadline_ends_it() -> None:
    file = Inflated(io.BytesIO(zlib.compress(TEXT)), "zlib", Limits(clock=lambda: 2.0, deadline=1.0))
    with pytest.raises(OSError, match="time"):
        file.read()


@pytest.mark.parametrize("flags", ["-1", "-9", "-B4 -BD -BX", "-BI --no-frame-crc", "-l", "--content-size", "-BD -9"])
def test_what_lz4_writes(flags: str) -> None:
    if not shutil.which("lz4"):
        pytest.skip("no lz4 command here")
    data = TEXT * 3 + bytes(100_000) + b"ab" * 50_000 + bytes(range(256)) * 400
    packed = subprocess.run(["lz4", *flags.split(), "-c"], input=data, capture_output=True, check=True).stdout
    assert len(packed) < len(data)
    file = _open("lz4", packed)
    assert file.read() == data
    assert file.trailing == 0


def test_lz4_frames_that_are_skipped_and_checked() -> None:
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<L", 5) + b"12345"
    file = _open("lz4", _lz4_plain(b"one", checked=True) + skippable + _lz4_plain(b"two", linked=True))
    assert file.read() == b"onetwo"
    assert (file.streams, file.trailing) == (3, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\x22\x4d\x18" + bytes(40),
        b"\x04\x22\x4d\x18\x61\x40" + bytes(8),
        _lz4_plain(b"x")[:6] + b"\0" + _lz4_plain(b"x")[7:],
        _lz4_plain(b"")[:7] + b"\xff\xff\xff\x7f" + bytes(90),
        _lz4_plain(b"")[:7] + struct.pack("<L", 4) + b"\x10a\0\0" + bytes(4),
        _lz4_plain(b"")[:7] + struct.pack("<L", 4) + b"\x10a\x09\0" + bytes(4),
        b"\x02\x21\x4c\x18" + b"\xff" * 9,
    ],
)
def test_broken_lz4_frames(data: bytes) -> None:
    with pytest.raises(OSError, match="broken lz4"):
        _open("lz4", data).read()


def test_an_lz4_block_decodes_as_the_format_says() -> None:
    out = bytearray(b"past")
    decode_block(b"\x31abc\x03\x00\x10z", 64, out)
    assert bytes(out) == b"pastabcabcabz"
    reaching_back = bytearray(b"past")
    decode_block(b"\x00\x04\x00", 64, reaching_back)
    assert bytes(reaching_back) == b"pastpast"
    with pytest.raises(ValueError, match="too much"):
        decode_block(b"\x1fa\x01\x00\xff\xff\x00", 64, bytearray())


def test_xxh32_of_short_inputs() -> None:
    assert xxh32(b"") == 0x02CC5D05
    assert xxh32(b"a") == 0x550D7456
    assert xxh32(b"abc") == 0x32D153FF


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(MAKERS)), data=st.data())
def test_changed_streams_end_in_bytes_or_an_oserror(kind: str, data: st.DataObject) -> None:
    whole = bytearray(MAKERS[kind](TEXT[:3000]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        found = _open(kind, bytes(whole[:cut]), max_unpacked=1 << 20).read()
    except OSError:
        return
    assert len(found) <= 1 << 20


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=80), st.integers(1, 9))
def test_any_lz4_input_in_any_pieces_gives_the_same(data: bytes, step: int) -> None:
    whole = _lz4_plain(TEXT[:200]) if not data else b"\x04\x22\x4d\x18\x60\x40\x82" + data

    def fed(pieces: list[bytes]) -> bytes | str:
        decoder, out = Lz4Decoder(), b""
        try:
            for piece in pieces:
                out += decoder.decompress(piece)
        except ValueError as error:
            return str(error)
        return out

    assert fed([whole]) == fed([whole[at : at + step] for at in range(0, len(whole), step)])
