"""7z archives: with py7zr installed, and without it."""

from __future__ import annotations

import functools
import io
import sys
from typing import Any

import archive_shapes as shapes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.archives.sevenzip import MISSING, SevenZipArchive
from assay.formats.reading import Limits


def _seven(members: dict[str, bytes], **options: Any) -> bytes:
    py7zr = pytest.importorskip("py7zr")
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return out.getvalue()


def _read(data: bytes, **limits: int) -> tuple[SevenZipArchive, list[tuple[str, bytes | str]]]:
    archive = SevenZipArchive(io.BytesIO(data), Limits(**limits))  # type: ignore[arg-type]
    return archive, shapes.contents(archive)


def test_without_py7zr_there_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py7zr", None)
    archive, found = _read(b"7z\xbc\xaf\x27\x1c" + bytes(40))
    assert found == []
    assert archive.gaps == [MISSING] == ["needs 7z support; pip install 'assay[archives]'"]


def test_members_are_read() -> None:
    members = {"m/data.pkl": b"\x80\x02N." * 9, "empty": b"", "m/large": bytes(300_000)}
    archive, found = _read(_seven(members))
    assert found == list(members.items())
    assert (archive.notes, archive.gaps) == ([], [])


def test_encrypted_archives_have_a_gap() -> None:
    archive, found = _read(_seven({"a": b"1"}, password="secret"))
    assert found == []
    assert archive.gaps == ["is encrypted"]


def test_bounds() -> None:
    data = _seven({f"{i}": bytes(5000) for i in range(9)})
    archive, found = _read(data, max_members=5)
    assert (found, archive.gaps) == ([], ["holds more than 5 members"])
    archive, found = _read(data, max_unpacked=20_000)
    assert found == []
    assert "more than 20000 bytes" in archive.gaps[0]


def test_a_torn_archive_is_an_error() -> None:
    whole = _seven({"a": b"1" * 900})
    with pytest.raises(ValueError, match="7z"):
        _read(whole[:-10])


@functools.cache
def _seed() -> bytes:
    """One archive: py7zr writes the time into each, and their lengths differ."""
    return _seven({"a": b"1" * 300, "b": b"text" * 50})


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_changed_archives_end_in_members_or_a_valueerror(data: st.DataObject) -> None:
    whole = bytearray(_seed())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        archive, found = _read(bytes(whole), max_unpacked=1 << 20)
    except (ValueError, OSError):
        return
    assert len(found) <= 2 or archive.gaps
