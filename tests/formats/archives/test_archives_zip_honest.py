"""Zip archives as ordinary tools write them: every member as zipfile gives it, and no alarm."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import archive_shapes as shapes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.finding import Severity
from assay.formats.archives.member import Checked
from assay.formats.archives.zip_reader import ZipArchive
from assay.formats.reading import Limits, Topic
from assay.formats.stream import Window

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


class _Pipe(io.RawIOBase):
    """A stream that cannot seek."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


def _as_zipfile(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist() if not info.is_dir()]


def _same_and_quiet(data: bytes) -> ZipArchive:
    archive, found = shapes.read_zip(data)
    assert found == _as_zipfile(data)
    assert shapes.alarms(archive) == []
    return archive


@pytest.mark.parametrize("method", METHODS)
def test_what_zipfile_writes(method: int) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr("top/a.txt", b"text " * 100, method)
        archive.mkdir("top/folder") if hasattr(archive, "mkdir") else archive.writestr("top/folder/", b"")
        archive.writestr("top/empty", b"", method)
        archive.writestr("top/übung.txt", b"\0" * 5000, method)
        with archive.open("top/large", "w", force_zip64=True) as file:
            file.write(b"n" * 70_000)

    assert _same_and_quiet(shapes.python_zip(fill)).notes == []


@pytest.mark.parametrize("method", METHODS)
def test_what_zipfile_writes_to_a_pipe(method: int) -> None:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive:  # type: ignore[arg-type]
        archive.writestr("a", b"text " * 100)
        archive.writestr("b", b"")
        with archive.open("c", "w", force_zip64=True) as file:
            file.write(b"n" * 70_000)
    assert _same_and_quiet(bytes(pipe.data)).notes == []


def test_what_is_appended_to_an_archive() -> None:
    out = io.BytesIO(shapes.python_zip(lambda archive: archive.writestr("a", b"1")))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"a comment"
        archive.writestr("b", b"2")
    assert _same_and_quiet(out.getvalue()).notes == []


def test_what_torch_writes() -> None:
    members = {"data.pkl": b"\x80\x02." * 50, "byteorder": b"little", "data/0": bytes(999), "data/1": b"",
               "version": b"3\n", ".data/serialization_id": b"1" * 40}  # fmt: skip
    data = shapes.torch_zip(members)
    assert (data.index(b"\x80\x02.") % 64) == 0
    assert _same_and_quiet(data).notes == []


def test_what_numpy_writes() -> None:
    numpy = pytest.importorskip("numpy")
    for save in (numpy.savez, numpy.savez_compressed):
        out = io.BytesIO()
        save(out, zeros=numpy.zeros(100_000), range=numpy.arange(9))
        assert _same_and_quiet(out.getvalue()).notes == []


def test_what_java_and_android_write() -> None:
    jar = shapes.Part(name=b"META-INF/", data=b"", local_extra=b"\xfe\xca\0\0", extra=b"\xfe\xca\0\0", flags=0x0808)
    aligned = shapes.Part(name=b"a", data=b"text", local_extra=b"\0" * 3)
    signature = b"\1" * 40 + b"APK Sig Block 42"
    archive, found = shapes.read_zip(shapes.build([jar, aligned], directory_gap=signature))
    assert found == [("a", b"text")]
    assert shapes.alarms(archive) == []


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("method", [0, 8])
def test_every_kind_of_data_descriptor(method: int, signed: bool, wide: bool) -> None:
    data = b"text " * 40
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = len(data) if method == 0 else len(maker.compress(data) + maker.flush())
    descriptor = (b"PK\7\10" if signed else b"") + struct.pack(
        "<LQQ" if wide else "<LLL", zlib.crc32(data), packed, len(data)
    )
    part = shapes.Part(name=b"a", data=data, method=method, flags=8, local_crc=0, local_packed=0, local_size=0,
                       descriptor=descriptor)  # fmt: skip
    assert _same_and_quiet(shapes.build([part, shapes.Part(name=b"b", data=b"more")])).notes == []


@pytest.mark.parametrize(
    "command",
    ["zip -qr out.zip d", "zip -q0r out.zip d", "zip -qry out.zip d", "zip -qr - d > out.zip", "zip -qr -fz out.zip d",
     "cat d/a | zip -q - - > out.zip", "zip -qr -Z bzip2 out.zip d", "zip -qr out.zip d && zip -qd out.zip d/a"],
)  # fmt: skip
def test_what_info_zip_writes(command: str, tmp_path: Path) -> None:
    if not shutil.which("zip"):
        pytest.skip("no zip command here")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a").write_bytes(b"text " * 200)
    (folder / "empty").write_bytes(b"")
    (folder / "link").symlink_to("a")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert shapes.alarms(_same_and_quiet((tmp_path / "out.zip").read_bytes())) == []


def test_an_archive_stored_in_an_archive_is_a_member_and_nothing_else() -> None:
    inner = shapes.python_zip(lambda archive: archive.writestr("a", b"1"))
    part = shapes.Part(name=b"inner.zip", data=inner, local_extra=b"UT\x05\0\1" + bytes(4))
    assert _same_and_quiet(shapes.build([part])).notes == []


@settings(max_examples=60, deadline=None)
@given(
    members=st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/\\:."), min_size=1, max_size=8),
        st.binary(max_size=300), max_size=6,
    ),
    method=st.sampled_from(METHODS),
    comment=st.binary(max_size=20).filter(lambda comment: b"PK" not in comment),
)  # fmt: skip
def test_members_are_what_zipfile_gives(members: dict[str, bytes], method: int, comment: bytes) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data, method)

    archive, found = shapes.read_zip(shapes.python_zip(fill))
    assert found == list(members.items())
    assert [kind for kind in shapes.alarms(archive) if kind != "case"] == []


class _Counting(io.BytesIO):
    """A file that counts the bytes read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_a_stored_tensor_is_a_view_of_which_only_what_is_asked_is_read() -> None:
    file = _Counting(shapes.torch_zip({"data.pkl": b"x" * 90, "data/0": bytes(range(256)) * 40_000}))
    archive = ZipArchive(file, Limits())
    members = {member.name: member for member in archive.members()}
    tensor = members["archive/data/0"]
    assert (tensor.stored, tensor.size, tensor.problem) == (True, 10_240_000, "")
    assert file.count < 70_000
    assert tensor.file is not None
    assert tensor.file.seek(-3, 2) == 10_239_997
    assert tensor.file.read() == b"\xfd\xfe\xff"
    assert tensor.file.seek(256) == 256
    assert tensor.file.read(2) == b"\0\1"
    assert file.count < 70_000


def test_compressed_members_can_be_sought_in() -> None:
    data = bytes(range(256)) * 100
    file = io.BytesIO(shapes.python_zip(lambda archive: archive.writestr("a", data, zipfile.ZIP_DEFLATED)))
    for member in ZipArchive(file, Limits()).members():
        assert member.file is not None
        assert not member.stored
        assert member.file.read(10) == data[:10]
        assert member.file.seek(5) == 5
        assert member.file.read(3) == data[5:8]
        assert member.file.seek(1, 1) == 9
        assert member.file.read() == data[9:]


def test_an_archive_in_a_compressed_stream_is_read() -> None:
    from assay.formats.archives.inflate import Inflated

    inner = shapes.python_zip(lambda archive: archive.writestr("a", b"1" * 100))
    archive = ZipArchive(Inflated(io.BytesIO(zlib.compress(inner)), "zlib", Limits()), Limits())  # type: ignore[arg-type]
    assert shapes.contents(archive) == [("a", b"1" * 100)]


def test_notes_are_about_archives_and_keep_their_key() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = shapes.python_zip(lambda archive: [archive.writestr("a", str(i)) for i in range(2)] and None)
    first, second = shapes.read_zip(data)[0], shapes.read_zip(b"#!x\n" + data)[0]
    assert first.notes[0].topic is Topic.ARCHIVE
    assert first.notes[0].severity is Severity.HIGH
    assert first.notes[0].key in {note.key for note in second.notes}


def test_sums_are_heard_only_when_all_was_read() -> None:
    heard: list[tuple[int, int, bool]] = []
    hear: Callable[[int, int, bool], None] = lambda *said: heard.append(said)  # noqa: E731
    half = Checked(Window(io.BytesIO(b"abcd"), 0, 4), 4, hear)
    half.read(2)
    half.close()
    assert heard == []
    skipping = Checked(Window(io.BytesIO(b"abcd"), 0, 4), 4, hear)
    skipping.seek(2)
    skipping.read()
    skipping.close()
    assert heard == []
    with Checked(Window(io.BytesIO(b"abcd"), 0, 4), 4, hear) as twice:
        twice.read(3)
        twice.seek(1)
        twice.read()
    assert heard == [(zlib.crc32(b"abcd"), 4, True)]
