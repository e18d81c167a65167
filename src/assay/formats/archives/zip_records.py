"""The records of a zip file (APPNOTE 6.3), read one by one and believed only as far as the bytes are there."""

from __future__ import annotations

import struct
import zlib
from typing import IO

import msgspec

from assay.formats.stream import read_at

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END64, LOCATOR64, DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
LOCAL_SIZE, CENTRAL_SIZE, END_SIZE, END64_SIZE, LOCATOR_SIZE = 30, 46, 22, 56, 20
ENCRYPTED, DESCRIBED, STRONG, UTF8, MASKED = 1, 1 << 3, 1 << 6, 1 << 11, 1 << 13
MAX_COMMENT = 0xFFFF
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")


class End(msgspec.Struct, frozen=True, kw_only=True):
    """An end of central directory: offsets and sizes in bytes, `at` from the file's start, `directory_at` as said."""

    at: int
    count: int
    directory_size: int
    directory_at: int
    comment: int = 0
    disks: bool = False
    length: int = END_SIZE

    @property
    def stop(self) -> int:
        """Where its comment ends."""
        return self.at + self.length + self.comment


class Header(msgspec.Struct, frozen=True, gc=False):
    """A local or central header. `packed` and `size` are in bytes, zip64 resolved; `after` is where it ends.

    `offset` and `external` are the central header's only: where it says that its local header is, and file attributes.
    """

    at: int
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    extra: bytes
    after: int
    offset: int = 0
    external: int = 0
    made_by: int = 0
    zip64: bool = False

    @property
    def name(self) -> str:
        """Its name as UTF-8 where it says or looks so, else in code page 437; what is neither is escaped."""
        if self.raw_name.isascii():
            return self.raw_name.decode("ascii")
        try:
            return self.raw_name.decode("utf-8")
        except UnicodeDecodeError:
            return (
                self.raw_name.decode("utf-8", "backslashreplace")
                if self.flags & UTF8
                else self.raw_name.decode("cp437")
            )


def extra_field(extra: bytes, kind: int) -> bytes | None:
    """The first extra field of a kind, or None."""
    at = 0
    while at + 4 <= len(extra):
        found, size = extra[at] | extra[at + 1] << 8, extra[at + 2] | extra[at + 3] << 8
        if found == kind:
            return extra[at + 4 : at + 4 + size]
        at += 4 + size
    return None


def unicode_path(header: Header) -> str | None:
    """The name in the Unicode path field 0x7075, where its checksum says that it belongs to the header's name."""
    field = extra_field(header.extra, 0x7075)
    if field is None or len(field) < 5 or field[0] != 1:
        return None
    if int.from_bytes(field[1:5], "little") != zlib.crc32(header.raw_name):
        return None
    return field[5:].decode("utf-8", "backslashreplace")


def _resolved(extra: bytes, values: list[int], full: list[int]) -> bool:
    """Put what the zip64 field 0x0001 holds where a value is all ones; whether there was such a field."""
    field = extra_field(extra, 1)
    if field is None:
        return False
    at = 0
    for index, marker in enumerate(full):
        if values[index] == marker and at + 8 <= len(field):
            values[index] = int.from_bytes(field[at : at + 8], "little")
            at += 8
    return True


def local_header(file: IO[bytes], at: int) -> Header | None:
    """The local header at an offset, or None if there is none, or not all of it."""
    data = read_at(file, at, 256)
    if len(data) < LOCAL_SIZE or not data.startswith(LOCAL):
        return None
    _, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack_from(data)
    length = LOCAL_SIZE + name + extra
    if length > len(data):
        data += read_at(file, at + len(data), length - len(data))
        if len(data) < length:
            return None
    field = data[LOCAL_SIZE + name : length]
    zip64 = False
    if packed == _FULL32 or size == _FULL32:
        values = [size, packed]
        zip64 = _resolved(field, values, [_FULL32, _FULL32])
        size, packed = values
    elif extra:
        zip64 = extra_field(field, 1) is not None
    raw_name = data[LOCAL_SIZE : LOCAL_SIZE + name]
    return Header(at, raw_name, flags, method, crc, packed, size, field, at + length, zip64=zip64)


def central_headers(data: bytes, at: int, most: int) -> list[Header]:
    """Up to `most` central headers that follow each other in `data`, which lies at offset `at` of the file.

    Names, extra fields and comments that reach beyond the data are cut off, as zipfile does.
    """
    found: list[Header] = []
    here = 0
    while len(found) < most and data.startswith(CENTRAL, here) and here + CENTRAL_SIZE <= len(data):
        (_, made_by, _, flags, method, _, _, crc, packed, size, name, extra, comment, _, _, external, offset) = (
            _CENTRAL.unpack_from(data, here)
        )
        start = here + CENTRAL_SIZE
        stop = start + name + extra + comment
        field = data[start + name : start + name + extra]
        zip64 = False
        if extra and _FULL32 in (packed, size, offset):
            values = [size, packed, offset]
            zip64 = _resolved(field, values, [_FULL32] * 3)
            size, packed, offset = values
        found.append(
            Header(at + here, data[start : start + name], flags, method, crc, packed, size, field, at + stop, offset,
                   external, made_by, zip64)
        )  # fmt: skip
        here = stop
    return found


def ends_in(data: bytes, at: int) -> list[int]:
    """Where in the file ends of central directories begin, first to last; `data` lies at offset `at`."""
    found: list[int] = []
    here = data.find(END)
    while here >= 0:
        found.append(at + here)
        here = data.find(END, here + 1)
    return found


def read_end(file: IO[bytes], at: int) -> End | None:
    """The end of central directory at an offset, its plain fields only."""
    data = read_at(file, at, END_SIZE)
    if len(data) < END_SIZE or not data.startswith(END):
        return None
    _, disk, first, here, count, size, offset, comment = _END.unpack(data)
    return End(at=at, count=count, directory_size=size, directory_at=offset, comment=comment,
               disks=bool(disk not in (0, _FULL16) or first not in (0, _FULL16) or here != count))  # fmt: skip


def read_end64(file: IO[bytes], at: int) -> End | None:
    """The zip64 end of central directory at an offset."""
    data = read_at(file, at, END64_SIZE)
    if len(data) < END64_SIZE or not data.startswith(END64):
        return None
    _, length, _, _, disk, first, here, count, size, offset = _END64.unpack(data)
    extension = max(0, min(length - 44, 1 << 32))
    return End(at=at, count=count, directory_size=size, directory_at=offset, comment=extension,
               disks=bool(disk or first or here != count), length=END64_SIZE)  # fmt: skip


def locator(file: IO[bytes], end: End) -> int | None:
    """Where the zip64 locator before an end of central directory says that the zip64 one is."""
    data = read_at(file, end.at - LOCATOR_SIZE, LOCATOR_SIZE)
    if len(data) < LOCATOR_SIZE or not data.startswith(LOCATOR64):
        return None
    return int.from_bytes(data[8:16], "little")


def overflows(end: End) -> bool:
    """Whether one of its fields is all ones, which sends readers to the zip64 record."""
    return end.count == _FULL16 or end.directory_size == _FULL32 or end.directory_at == _FULL32


def agrees64(end: End, end64: End) -> bool:
    """Whether the plain record says the same as the zip64 one wherever it says something."""
    return (
        end.count in (_FULL16, end64.count)
        and end.directory_size in (_FULL32, end64.directory_size)
        and end.directory_at in (_FULL32, end64.directory_at)
    )


def descriptor_length(data: bytes, crc: int, packed: int, size: int) -> int | None:
    """How long the data descriptor at the start of `data` is, if it says these; None if it says anything else."""
    for head in (DESCRIPTOR, b""):
        for sizes in ("<LLL", "<LQQ"):
            if sizes == "<LLL" and max(packed, size) > _FULL32:
                continue
            want = head + struct.pack(sizes, crc & _FULL32, packed, size)
            if data.startswith(want):
                return len(want)
    return None
