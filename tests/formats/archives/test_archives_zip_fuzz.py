"""Zip files changed at random: whatever the bytes, the reading ends in members, notes and gaps."""

from __future__ import annotations

import io
import zipfile

import archive_shapes as shapes
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.archives.zip_hidden import left_over
from assay.formats.archives.zip_reader import ZipArchive
from assay.formats.reading import Limits

_SEEDS = (
    shapes.torch_zip({"data.pkl": b"abc" * 20, "data/0": bytes(90), "data/1": b""}),
    shapes.build(
        [shapes.Part(name=b"a", data=b"text" * 30, method=8), shapes.Part(name=b"b/", data=b"")], comment=b"c"
    ),
    shapes.python_zip(lambda archive: archive.writestr("in.zip", shapes.build([shapes.Part(name=b"x", data=b"1")]))),
)
_MARKS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\10", b"\xff\xff\xff\xff", b"\0\0", b"\1\0")


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_changed_archives_are_read_within_bounds(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(_SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 1))
        kind = data.draw(st.integers(0, 3))
        if kind == 0:
            whole[at] = data.draw(st.integers(0, 255))
        elif kind == 1:
            mark = data.draw(st.sampled_from(_MARKS))
            whole[at : at + len(mark)] = mark
        elif kind == 2:
            start = data.draw(st.integers(0, len(whole) - 1))
            whole[at:at] = whole[start : start + data.draw(st.integers(0, 200))]
        else:
            del whole[at : at + data.draw(st.integers(0, 60))]
        whole = whole or bytearray(b"PK")
    try:
        archive, found = shapes.read_zip(bytes(whole), max_unpacked=1 << 20)
    except (ValueError, OSError) as error:
        pytest.fail(f"only a file that cannot be read may raise: {error!r}")
    assert len(found) < 100
    msgspec.json.encode([archive.notes, archive.gaps, [name for name, _ in found]])
    _no_less_than_zipfile(bytes(whole))


def _no_less_than_zipfile(data: bytes) -> None:
    """What zipfile, which many loaders use, reads without complaint is among what we give."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            theirs = [archive.read(info) for info in archive.infolist() if not info.is_dir()]
    except Exception:
        return
    ours = shapes.readable(ZipArchive(io.BytesIO(data), Limits()))
    assert all(any(inside == one[: len(inside)] for one in ours) for inside in theirs)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_between_records(data: bytes) -> None:
    whole = shapes.build([shapes.Part(name=b"a", data=b"1"), shapes.Part(name=b"b", data=b"2", before=data)])
    archive, found = shapes.read_zip(whole)
    assert found[:2] == [("a", b"1"), ("b", b"2")]
    assert bool(archive.notes) == bool(data.strip(b"\0"))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)), st.integers(1, 30))
def test_what_is_left_over_is_what_no_span_covers(spans: list[list[int]], size: int) -> None:
    covered = {at for start, stop in spans for at in range(start, stop)}
    left = {at for start, stop in left_over([(span[0], span[1]) for span in spans], size) for at in range(start, stop)}
    assert left == set(range(size)) - covered
