"""Zip files with two faces: what each reader would load is given, and the disagreement is noted."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import archive_shapes as shapes
import pytest
from archive_shapes import Part, build

from assay.core.finding import Severity
from assay.formats.archives.zip_reader import ZipArchive
from assay.formats.reading import Limits

EVIL = b"\x80\x02evil payload."
GOOD = Part(name=b"m/data.pkl", data=b"\x80\x02N.")
PLAIN = build([GOOD])
EVIL_ZIP = build([Part(name=b"m/data.pkl", data=EVIL)])


def _descriptor(data: bytes, packed: int | None = None) -> bytes:
    return struct.pack("<4s3L", b"PK\7\10", zlib.crc32(data), len(data) if packed is None else packed, len(data))


def _evil(**fields: object) -> Part:
    return Part(**{"name": b"m/data.pkl", "data": EVIL, **fields})  # type: ignore[arg-type]


def _unicode(name: str, of: bytes) -> bytes:
    field = b"\1" + struct.pack("<L", zlib.crc32(of)) + name.encode()
    return struct.pack("<2H", 0x7075, len(field)) + field


def _two_entries_one_header() -> bytes:
    data = build([_evil(), Part(name=b"m/other1", data=EVIL, listed=True)])
    first = data.index(b"PK\1\2")
    second = data.index(b"PK\1\2", first + 4)
    return data[: second + 42] + bytes(4) + data[second + 46 :]


def _two_zip64_ends() -> bytes:
    """The locator names a record that leads to one directory; right before it lies another, as zipfile would take."""
    one = build([_evil(name=b"m/first")])
    at = one.index(b"PK\1\2")
    directory = one[at : one.index(b"PK\5\6")]
    hidden = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    body = one[:at] + directory + hidden
    place = at + len(directory)
    second = build([_evil(name=b"m/second")], base=len(body), zip64=True)
    locator = second.index(b"PK\6\7")
    second = second[: locator + 8] + struct.pack("<Q", place) + second[locator + 16 :]
    return body + second


def _two_zip64_truths() -> bytes:
    """The plain record leads to one directory, the zip64 one to another."""
    body = PLAIN[: PLAIN.index(b"PK\5\6")]
    second = build([_evil(name=b"m/other")], base=len(body), zip64=True)
    end = second.index(b"PK\5\6")
    at = PLAIN.index(b"PK\1\2")
    old = struct.unpack("<L", PLAIN[PLAIN.index(b"PK\5\6") + 12 :][:4])[0]
    return body + second[: end + 12] + struct.pack("<LLH", old, at, 0)


def _walked_into() -> bytes:
    """A stored member whose local header makes it shorter: a reader of local headers goes on within it."""
    inner = EVIL_ZIP[: EVIL_ZIP.index(b"PK\1\2")]
    return build([Part(name=b"m/readme", data=b"text" + inner, local_packed=4, local_size=4), GOOD])


def _two_directories() -> bytes:
    """The end record's offset leads to one directory; the bytes right before it are another."""
    hidden = build([_evil()])
    hidden = hidden[: hidden.index(b"PK\5\6")]
    at = hidden.index(b"PK\1\2")
    shown = build([GOOD], base=0)
    end = shown.index(b"PK\5\6")
    return hidden + shown[: end + 16] + struct.pack("<LH", at, 0)


SHAPES: dict[str, tuple[bytes, str]] = {
    "another name where it begins": (build([_evil(local_name=b"m/readme.t")]), "name"),
    "another case": (build([_evil(local_name=b"m/DATA.pkl")]), "name"),
    "a folder where it begins": (build([_evil(local_name=b"m/data.pk/")]), "name"),
    "a folder with data": (build([_evil(name=b"m/data.pkl/")]), "folder"),
    "a name that ends at a NUL": (build([_evil(name=b"m/data.pkl\0.txt")]), "nul"),
    "a backslash": (build([_evil(name=b"m\\data.pkl")]), "backslash"),
    "a line feed": (build([_evil(name=b"m/data\n.pkl")]), "control"),
    "an overridden direction": (build([_evil(name="m/\u202elkp.txt".encode(), flags=0x800)]), "control"),
    "an upper folder": (build([_evil(name=b"m/../../data.pkl")]), "traversal"),
    "an absolute path": (build([_evil(name=b"/etc/data.pkl")]), "traversal"),
    "a drive": (build([_evil(name=b"C:/data.pkl")]), "traversal"),
    "an upper folder with backslashes": (build([_evil(name=b"m\\..\\..\\data.pkl")]), "traversal"),
    "another name in the unicode path": (build([_evil(extra=_unicode("m/x.txt", b"m/data.pkl"))]), "unicode-path"),
    "a link that leaves": (build([Part(name=b"m/l", data=b"../../etc/passwd", external=0o120777 << 16, made_by=3 << 8),
                                  _evil()]), "link"),
    "a device": (build([_evil(external=0o060600 << 16, made_by=3 << 8)]), "special"),
    "a shorter member where it begins": (build([_evil(local_packed=3, local_size=3)]), "sizes"),
    "an empty member where it begins": (build([_evil(local_packed=0, local_size=0)]), "sizes"),
    "another checksum where it begins": (build([_evil(local_crc=77)]), "crc"),
    "a wrong checksum": (build([_evil(local_crc=77, crc=77)]), "checksum"),
    "another method where it begins": (build([_evil(local_method=8)]), "method"),
    "deflated where it begins": (build([_evil(method=8, local_method=0)]), "method"),
    "said to be encrypted": (build([_evil(flags=1)]), "not-encrypted"),
    "said to be encrypted in its directory": (build([_evil(flags=1, local_flags=0)]), "flags"),
    "said to be strongly encrypted": (build([_evil(flags=0x41)]), "not-encrypted"),
    "said to be encrypted with a wrong checksum": (build([_evil(flags=1, crc=5, local_crc=5)]), "encrypted"),
    "a descriptor that disagrees": (build([_evil(flags=8, local_crc=0, local_packed=0, local_size=0,
                                                 descriptor=_descriptor(EVIL, 3))]), "descriptor"),
    "a larger size": (build([_evil(size=90, local_size=90)]), "stored-size"),
    "a smaller size": (build([_evil(method=8, size=3, local_size=3)]), "length"),
    "the same name twice": (build([GOOD, _evil()]), "duplicate"),
    "the same name first": (build([_evil(), GOOD]), "duplicate"),
    "the same name in other case": (build([_evil(name=b"M/data.pkl"), GOOD]), "case"),
    "two entries over one header": (_two_entries_one_header(), "shared"),
    "a member that is not listed": (build([GOOD, _evil(listed=False)]), "unlisted"),
    "a first member that is not listed": (build([_evil(listed=False), GOOD]), "unlisted"),
    "an unlisted member with a descriptor": (build([GOOD, _evil(listed=False, flags=8, local_crc=0, local_packed=0,
                                                                local_size=0, descriptor=_descriptor(EVIL))]),
                                             "unlisted"),
    "an unlisted deflated member": (build([GOOD, _evil(listed=False, method=8)]), "unlisted"),
    "a member inside of a member": (_walked_into(), "unlisted"),
    "too few counted": (build([GOOD, _evil(name=b"m/b")], count=1), "count"),
    "too many counted": (build([_evil()], count=7), "count"),
    "two archives": (EVIL_ZIP + PLAIN, "ends"),
    "two archives, offsets from the start": (EVIL_ZIP + build([GOOD], base=len(EVIL_ZIP)), "ends"),
    "an archive in the comment": (build([GOOD], comment=EVIL_ZIP), "ends"),
    "an archive around the comment": (build([_evil()], comment=PLAIN), "ends"),
    "an archive far behind": (EVIL_ZIP + bytes(70_000) + b"x" + PLAIN, "ends"),
    "a false end in the comment": (build([_evil()], comment=b"PK\5\6" + b"\1" * 18), "false-end"),
    "two directories of one end": (_two_directories(), "directories"),
    "two zip64 ends": (_two_zip64_ends(), "zip64-ends"),
    "a zip64 end that disagrees": (_two_zip64_truths(), "zip64-end"),
    "a prefix": (b"\x80\x02N." + EVIL_ZIP, "prefix"),
    "a prefix that the offsets count": (b"\x7fELF" + build([_evil()], base=4), "prefix"),
    "a suffix": (EVIL_ZIP + b"more", "suffix"),
    "a far suffix": (EVIL_ZIP + b"x" * 80_000, "suffix"),
    "data between members": (build([GOOD, _evil(name=b"m/b", before=b"hidden data")]), "hidden-data"),
    "data before the directory": (build([_evil()], directory_gap=b"hidden data"), "hidden-data"),
}  # fmt: skip


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_payload_is_given_and_the_disagreement_noted(shape: str) -> None:
    data, kind = SHAPES[shape]
    archive, found = shapes.read_zip(data)
    assert any(isinstance(inside, bytes) and EVIL in inside for _, inside in found), found
    assert kind in shapes.alarms(archive)
    assert all(note.topic == "archive" and note.key.startswith("zip:") for note in archive.notes)


def test_both_names_are_given() -> None:
    _, found = shapes.read_zip(build([_evil(local_name=b"m/readme.t", extra=_unicode("m/x.txt", b"m/data.pkl"))]))
    assert [name for name, _ in found] == ["m/data.pkl", "m/readme.t", "m/x.txt"]


def test_both_readings_of_the_method_are_given() -> None:
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = maker.compress(EVIL) + maker.flush()
    _, found = shapes.read_zip(build([Part(name=b"a", data=deflated, local_method=8, local_size=len(EVIL))]))
    assert [inside for _, inside in found] == [deflated, EVIL]


def test_a_stale_unicode_path_is_no_name() -> None:
    archive, found = shapes.read_zip(build([_evil(extra=_unicode("m/x.txt", b"m/other"))]))
    assert [name for name, _ in found] == ["m/data.pkl"]
    assert shapes.alarms(archive) == []


@pytest.mark.parametrize("method", [1, 9, 95, 97])
def test_a_method_that_cannot_be_read_is_a_problem(method: int) -> None:
    archive = ZipArchive(io.BytesIO(build([Part(name=b"a", data=EVIL, method=method)])), Limits())
    (member,) = archive.members()
    assert member.file is None
    assert f"method {method}" in member.problem


def test_a_directory_without_local_headers_is_a_problem() -> None:
    data = PLAIN.replace(b"PK\3\4", b"XK\3\4")
    archive = ZipArchive(io.BytesIO(data), Limits())
    (member,) = archive.members()
    assert "no local header" in member.problem


@pytest.mark.parametrize("cut", range(4, len(PLAIN) - 1, 7))
def test_a_torn_archive_has_a_gap(cut: int) -> None:
    archive, found = shapes.read_zip(PLAIN[:cut])
    assert any("torn" in gap for gap in archive.gaps)
    if cut > 30 + len("m/data.pkl") + len(GOOD.data):
        assert found == [("m/data.pkl", GOOD.data)]


def test_a_torn_torch_archive_gives_what_is_there() -> None:
    whole = shapes.torch_zip({"data.pkl": EVIL, "data/0": bytes(5000), "data/1": b"1" * 900})
    archive, found = shapes.read_zip(whole[: whole.index(b"1" * 900) + 100])
    assert [name for name, _ in found] == ["archive/data.pkl", "archive/data/0", "archive/data/1"]
    assert [inside for _, inside in found] == [EVIL, bytes(5000), b"1" * 100]
    assert archive.gaps


def test_members_beyond_the_limit_are_a_gap() -> None:
    data = build([Part(name=f"{i}".encode(), data=b"x") for i in range(9)])
    archive, found = shapes.read_zip(data, max_members=5)
    assert len(found) == 5
    assert any("more than 5 members" in gap for gap in archive.gaps)


def test_what_comes_out_of_all_members_is_bounded() -> None:
    data = build([Part(name=f"{i}".encode(), data=bytes(60_000), method=8) for i in range(9)])
    _, found = shapes.read_zip(data, max_unpacked=200_000)
    assert [len(inside) for _, inside in found[:3]] == [60_000] * 3
    assert all(isinstance(inside, str) and "more than 200000 bytes" in inside for _, inside in found[3:])


def test_members_over_each_other_are_read_a_few_times_only() -> None:
    kernel = build([Part(name=b"k", data=bytes(50_000), method=0)])
    at = kernel.index(b"PK\1\2")
    entry = kernel[at : kernel.index(b"PK\5\6")]
    many = kernel[:at] + entry * 500
    many += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 500, 500, len(entry) * 500, at, 0)
    archive, found = shapes.read_zip(many)
    read = sum(len(inside) for _, inside in found if isinstance(inside, bytes))
    assert read < 10 * len(many)
    assert "shared" in shapes.alarms(archive)
    assert any(isinstance(inside, str) and "over each other" in inside for _, inside in found)


def test_notes_of_a_kind_are_counted_beyond_some() -> None:
    parts = [Part(name=f"../{i}".encode(), data=b"") for i in range(300)]
    archive, _ = shapes.read_zip(build(parts))
    assert len(archive.notes) == 26
    assert "275 more" in archive.notes[-1].message
    assert archive.notes[-1].severity is Severity.HIGH


def test_the_deadline_ends_the_reading() -> None:
    archive = ZipArchive(io.BytesIO(PLAIN), Limits(clock=lambda: 9.0, deadline=1.0))
    assert list(archive.members()) == []
    assert any("time" in gap for gap in archive.gaps)


def test_bytes_behind_compressed_data_are_noted() -> None:
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = maker.compress(EVIL) + maker.flush() + b"hidden"
    part = Part(name=b"a", data=packed, method=0)
    data = bytearray(build([part]))
    for mark, method, crc in ((b"PK\3\4", 8, 14), (b"PK\1\2", 10, 16)):
        at = data.index(mark)
        data[at + method] = 8
        data[at + crc : at + crc + 4] = struct.pack("<L", zlib.crc32(EVIL))
        data[at + crc + 8 : at + crc + 12] = struct.pack("<L", len(EVIL))
    archive, found = shapes.read_zip(bytes(data))
    assert found == [("a", EVIL)]
    assert shapes.alarms(archive) == ["trailing"]


@pytest.mark.parametrize("make", [lambda: b"", lambda: b"PK\5\6" + bytes(18), lambda: b"PK\3\4", lambda: b"\0" * 3000])
def test_archives_of_nothing(make: Callable[[], bytes]) -> None:
    archive, found = shapes.read_zip(make())
    assert found == []
    assert bool(archive.gaps) == (make()[:4] != b"PK\5\6")
