"""Tar archives: honest ones of several writers, two-faced ones, torn ones and bombs."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import archive_shapes as shapes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.formats.archives.tar_reader import TarArchive, looks_like_tar
from assay.formats.reading import Limits

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
Edit = Callable[[tarfile.TarInfo], None]


def _tar(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT, edit: Edit | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if edit is not None:
                edit(info)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _read(data: bytes, **limits: int) -> tuple[TarArchive, list[tuple[str, bytes | str]]]:
    archive = TarArchive(io.BytesIO(data), Limits(**limits))  # type: ignore[arg-type]
    return archive, shapes.contents(archive)


def _with_header(data: bytes, field: slice, value: bytes, at: int = 0) -> bytes:
    """The tar with a field of the header at `at` changed, and its checksum made right again."""
    block = bytearray(data[at : at + 512])
    block[field] = value.ljust(field.stop - field.start, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:at] + bytes(block) + data[at + 512 :]


@pytest.mark.parametrize("form", FORMATS)
def test_what_tarfile_writes(form: int) -> None:
    members = {"top/a.txt": b"text " * 300, "top/empty": b"", "top/" + "long/" * 18 + "name": b"x" * 512}
    archive, found = _read(_tar(members, form))
    assert found == list(members.items())
    assert (archive.notes, archive.gaps) == ([], [])


def test_long_and_foreign_names() -> None:
    members = {"l" * 150: b"1", "ü" * 40: b"2"}
    for form in FORMATS[1:]:
        archive, found = _read(_tar(members, form))
        assert found == list(members.items())
        assert (archive.notes, archive.gaps) == ([], [])


@pytest.mark.parametrize("flags", ["--format=v7", "--format=ustar", "--format=gnu", "--format=posix", "-S"])
def test_what_gnu_tar_writes(flags: str, tmp_path: Path) -> None:
    if not shutil.which("tar"):
        pytest.skip("no tar command here")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a").write_bytes(b"text " * 200)
    (folder / "link").symlink_to("a")
    with (folder / "holes").open("wb") as file:
        file.seek(300_000)
        file.write(b"end")
    subprocess.run(["tar", "cf", "out.tar", flags, "d"], cwd=tmp_path, check=True)
    data = (tmp_path / "out.tar").read_bytes()
    archive, found = _read(data)
    assert sorted(found) == [("d/a", b"text " * 200), ("d/holes", bytes(300_000) + b"end")]
    assert (archive.notes, archive.gaps) == ([], [])
    assert looks_like_tar(data)


def test_an_old_header_without_magic_is_known() -> None:
    data = _with_header(_tar({"a.pkl": b"12345"}), slice(257, 265), b"")
    assert data[257:262] == bytes(5)
    assert looks_like_tar(data)
    assert _read(data)[1] == [("a.pkl", b"12345")]


@pytest.mark.parametrize("head", [b"", b"x" * 511, bytes(512), b"x" * 512, b"0" * 512, bytes(range(256)) * 2])
def test_what_is_no_tar(head: bytes) -> None:
    assert not looks_like_tar(head)


def _kind(kind: bytes, target: str = "") -> Edit:
    def edit(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, target, 0

    return edit


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_tar({"../a": b"1"}), "traversal"),
        (_tar({"/etc/a": b"1"}), "traversal"),
        (_tar({"a\\..\\..\\b": b"1"}), "traversal"),
        (_tar({"d/l": b""}, edit=_kind(tarfile.SYMTYPE, "../../etc")), "link"),
        (_tar({"d/l": b""}, edit=_kind(tarfile.SYMTYPE, "/etc")), "link"),
        (_tar({"d/l": b""}, edit=_kind(tarfile.LNKTYPE, "../etc")), "link"),
        (_tar({"d/l": b""}, edit=_kind(tarfile.CHRTYPE)), "special"),
        (_tar({"d/l": b""}, edit=_kind(tarfile.FIFOTYPE)), "special"),
        (_tar({"a": b"1"})[:1024] + _tar({"a": b"2"}), "duplicate"),
        (_tar({"a": b"1"}) + _tar({"b": b"2"}), "behind-end"),
        (_tar({"a": b"1"}) + b"garbage", "behind-end"),
    ],
)
def test_what_does_harm_is_noted(data: bytes, kind: str) -> None:
    archive, _ = _read(data)
    assert shapes.alarms(archive)[:1] == [kind]


def test_links_that_stay_are_no_news() -> None:
    archive, found = _read(_tar({"d/l": b""}, edit=_kind(tarfile.SYMTYPE, "../a/b")))
    assert (found, archive.notes, archive.gaps) == ([], [], [])


def test_an_archive_behind_the_end_is_read() -> None:
    _, found = _read(_tar({"a": b"1"}) + _tar({"b": b"evil"}))
    assert found == [("a", b"1"), ("b", b"evil")]


def _pax(**headers: str) -> bytes:
    def edit(info: tarfile.TarInfo) -> None:
        info.pax_headers = headers

    return _tar({"plain.txt": b"12345"}, edit=edit)


def test_pax_headers_that_contradict_are_noted() -> None:
    archive, found = _read(_pax(path="evil.pkl"))
    assert found == [("evil.pkl", b"12345")]
    assert shapes.alarms(archive) == ["pax-name"]
    archive, found = _read(_pax(size="3"))
    assert found[0] == ("plain.txt", b"123")
    assert shapes.alarms(archive)[0] == "pax-size"
    archive, _ = _read(_pax(comment="nothing", mtime="12.5"))
    assert (archive.notes, archive.gaps) == ([], [])


@pytest.mark.parametrize("cut", [600, 1000, 1024, 1030, 1100])
def test_a_torn_archive_has_a_gap(cut: int) -> None:
    archive, found = _read(_tar({"a": b"1" * 100, "b": b"2" * 100})[:cut])
    assert found[0][0] == "a"
    assert any("torn" in gap for gap in archive.gaps)


def test_garbage_between_members_is_a_gap() -> None:
    whole = _tar({"a": b"1", "b": b"2"})
    archive, found = _read(whole[:1024] + b"x" * 512 + whole[1536:])
    assert found == [("a", b"1")]
    assert any("torn" in gap for gap in archive.gaps)


@pytest.mark.parametrize("data", [b"", b"x" * 600, _tar({"a": b"1"})[:300]])
def test_what_has_no_first_header_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="tar"):
        _read(data)


def test_a_sparse_terabyte_is_bounded() -> None:
    """An old GNU sparse member of one piece at the end of a terabyte."""
    data = _tar({"big": b"end"}, tarfile.GNU_FORMAT)
    size = 1 << 40
    data = _with_header(data, slice(156, 157), b"S")
    sparse = b"%011o\0%011o\0" % ((1 << 33) - 3, 3)
    data = _with_header(data, slice(386, 410), sparse)
    data = _with_header(data, slice(483, 495), b"\x80" + size.to_bytes(11, "big"))
    archive = TarArchive(io.BytesIO(data), Limits(max_unpacked=4 << 20))
    (found,) = ((item.size, item.file) for item in archive.members())
    assert found[0] == size
    assert found[1] is not None
    with pytest.raises(OSError, match="more than 4194304 bytes"):
        found[1].read()
    found[1].seek((1 << 33) - 3)
    assert found[1].read(3) == b"end"


def test_a_header_that_claims_much_is_no_allocation() -> None:
    data = _pax(comment="x")
    assert data[156:157] == b"x"
    with pytest.raises(ValueError, match="claims"):
        _read(_with_header(data, slice(124, 136), b"77777777777"))


def test_headers_that_lead_back_end() -> None:
    data = _tar({"a": b"1", "b": b"2"}, tarfile.GNU_FORMAT)
    data = _with_header(data, slice(124, 136), b"\xff" * 10 + b"\xfa\x00", at=1024)
    archive, found = _read(data)
    assert found[0] == ("a", b"1")
    assert archive.gaps


def test_members_beyond_the_limit_are_a_gap() -> None:
    archive, found = _read(_tar({f"{i}": b"x" for i in range(9)}), max_members=5)
    assert len(found) == 5
    assert any("more than 5 members" in gap for gap in archive.gaps)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_archives_end_in_members_or_a_valueerror(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(FORMATS))
    whole = bytearray(_tar({"a": b"1" * 700, "b/" * 60: b"2", "c": b""}, form))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, 4095))
        whole[place] = data.draw(st.sampled_from([*b"\0\xff\x80017gLxSK ", data.draw(st.integers(0, 255))]))
        at = place // 512 * 512
        if data.draw(st.booleans()):
            whole[:] = _with_header(bytes(whole), slice(148, 156), b"", at)
    try:
        archive, found = _read(bytes(whole), max_unpacked=1 << 20)
    except (ValueError, OSError):
        return
    assert len(found) <= len(whole) // 512
    assert all(gap for gap in archive.gaps)
