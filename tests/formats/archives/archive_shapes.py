"""Archives built byte by byte: honest ones as torch writes them, and shapes that readers disagree on."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import msgspec

from assay.core.finding import Severity
from assay.formats.archives.member import Archive
from assay.formats.archives.zip_reader import ZipArchive
from assay.formats.reading import Limits


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A zip member and what each of its headers says of it; None means the truth."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_crc: int | None = None
    local_packed: int | None = None
    local_size: int | None = None
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    local_extra: bytes = b""
    extra: bytes = b""
    external: int = 0
    made_by: int = 0
    descriptor: bytes = b""
    listed: bool = True
    before: bytes = b""


def _packed(part: Part) -> bytes:
    if part.method == 8:
        maker = zlib.compressobj(9, zlib.DEFLATED, -15)
        return maker.compress(part.data) + maker.flush()
    return part.data


def _or(value: int | None, truth: int) -> int:
    return truth if value is None else value


def build(
    parts: Iterable[Part],
    *,
    comment: bytes = b"",
    base: int = 0,
    count: int | None = None,
    zip64: bool = False,
    directory_gap: bytes = b"",
) -> bytes:
    """A zip of the parts. `base` is added to all offsets, `count` said instead of the true one."""
    out, directory, listed = b"", b"", 0
    for part in parts:
        raw = _packed(part)
        crc, packed = zlib.crc32(part.data), len(raw)
        out += part.before
        at = len(out)
        local_name = part.name if part.local_name is None else part.local_name
        flags = _or(part.local_flags, part.flags)
        out += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, _or(part.local_method, part.method), 0, 33,
            _or(part.local_crc, crc), _or(part.local_packed, packed), _or(part.local_size, len(part.data)),
            len(local_name), len(part.local_extra),
        )  # fmt: skip
        out += local_name + part.local_extra + raw + part.descriptor
        if part.listed:
            listed += 1
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\1\2", part.made_by, 20, part.flags, part.method, 0, 33, _or(part.crc, crc),
                _or(part.packed, packed), _or(part.size, len(part.data)), len(part.name), len(part.extra), 0, 0, 0,
                part.external, at + base,
            )  # fmt: skip
            directory += part.name + part.extra
    out += directory_gap
    at = len(out) + base
    said = listed if count is None else count
    out += directory
    if zip64:
        end = len(out) + base
        out += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, said, said, len(directory), at)
        out += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return out + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, said, said, len(directory), at, len(comment)) + comment


def torch_zip(members: dict[str, bytes], top: str = "archive") -> bytes:
    """A zip with the header fields, padding, descriptors and zip64 end that torch.save writes."""
    parts: list[Part] = []
    at = 0
    for name, data in members.items():
        raw_name = f"{top}/{name}".encode()
        start = at + 30 + len(raw_name) + 4
        padding = b"Z" * (-start % 64)
        extra = b"FB" + struct.pack("<H", len(padding)) + padding
        flags = 0x0808 if data else 0x0800
        descriptor = struct.pack("<4s3L", b"PK\7\10", zlib.crc32(data), len(data), len(data)) if data else b""
        parts.append(Part(name=raw_name, data=data, flags=flags, local_crc=0, local_packed=0, local_size=0,
                          local_extra=extra, descriptor=descriptor))  # fmt: skip
        at = start + len(padding) + len(data) + len(descriptor)
    return build(parts, zip64=True)


def python_zip(fill: Callable[[zipfile.ZipFile], None]) -> bytes:
    """What zipfile writes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        fill(archive)
    return out.getvalue()


def contents(archive: Archive) -> list[tuple[str, bytes | str]]:
    """The members' names, each with its bytes, or with why there are none."""
    found: list[tuple[str, bytes | str]] = []
    for member in archive.members():
        if member.file is None:
            found.append((member.name, member.problem))
            continue
        with member.file as file:
            try:
                found.append((member.name, file.read()))
            except OSError as error:
                found.append((member.name, str(error)))
    return found


def readable(archive: Archive) -> list[bytes]:
    """What can be read of each member, up to where it breaks."""
    found: list[bytes] = []
    for member in archive.members():
        if member.file is not None:
            with member.file as file:
                found.append(b"".join(_pieces(file)))
    return found


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while piece := file.read(7):
            yield piece


def read_zip(data: bytes, **limits: int) -> tuple[ZipArchive, list[tuple[str, bytes | str]]]:
    """A zip's reader, gone through with all members read and checked, and what they hold."""
    archive = ZipArchive(io.BytesIO(data), Limits(**limits), check_all=True)  # type: ignore[arg-type]
    return archive, contents(archive)


def alarms(archive: Archive) -> list[str]:
    """What an archive says that is more than info: the kinds of its notes, and its gaps."""
    return [note.key.split(":")[1] for note in archive.notes if note.severity is not Severity.INFO] + archive.gaps
