"""What a zip's central header and its local one say of the same member, and where they disagree."""

from __future__ import annotations

import itertools
import stat
from typing import IO

import msgspec

from assay.core.finding import Severity
from assay.formats.archives import zip_records as records
from assay.formats.archives.member import NoteBook
from assay.formats.archives.names import check_name
from assay.formats.archives.zip_records import Header, local_header
from assay.formats.stream import read_at

_SECRET = records.ENCRYPTED | records.STRONG | records.MASKED
_UNIX, _MACOS = 3, 19


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A member as one reader sees it. Offsets and sizes in bytes; `stop` is where its record ends in the file.

    `crc` is None where nothing is recorded. `problem` says why its data cannot be found.
    `listed` tells a directory's word from a local header's.
    """

    name: str
    at: int
    data_at: int = 0
    packed: int = 0
    size: int = 0
    method: int = 0
    flags: int = 0
    crc: int | None = None
    stop: int = 0
    aliases: tuple[str, ...] = ()
    problem: str = ""
    link: bool = False
    listed: bool = False

    @property
    def encrypted(self) -> bool:
        """Whether a header says that its data is encrypted."""
        return bool(self.flags & _SECRET)


def entries_of(file: IO[bytes], central: Header, shift: int, book: NoteBook) -> list[Entry]:
    """The member of a central header as its readers see it: one entry, and another if the local header disagrees."""
    name = central.name
    at = central.offset + shift
    local = local_header(file, at)
    if local is None and shift and (local := local_header(file, central.offset)) is not None:
        at = central.offset
    check_name(book, name)
    link = _check_kind(book, central, name)
    if local is None:
        return [Entry(name=name, at=at, size=central.size, problem="cannot be opened: it has no local header",
                      listed=True)]  # fmt: skip
    aliases = _aliases(book, central, local, name)
    same_sizes = local.packed == central.packed and local.size == central.size
    stop = local.after + central.packed
    if local.flags & records.DESCRIBED:
        stop += _described(file, stop, central, same_sizes, book, name)
    flags = central.flags | local.flags
    entry = Entry(name=name, at=at, data_at=local.after, packed=central.packed, size=central.size, stop=stop,
                  method=central.method, flags=flags, crc=central.crc, aliases=aliases, link=link,
                  listed=True)  # fmt: skip
    if _agree(book, central, local, name, same_sizes):
        return [entry]
    other = Entry(name=local.name, at=at, data_at=local.after, packed=local.packed, size=local.size,
                  method=local.method, flags=flags, crc=local.crc, stop=local.after + local.packed)  # fmt: skip
    return [entry, other]


def _described(file: IO[bytes], at: int, central: Header, same_sizes: bool, book: NoteBook, name: str) -> int:
    """The length of the data descriptor that a streaming reader goes by; 0 if there is none that agrees."""
    length = records.descriptor_length(read_at(file, at, 24), central.crc, central.packed, central.size)
    if length is None:
        if not same_sizes and central.packed:  # torch writes none for what is empty
            book.add("descriptor", f"describes {name!r} otherwise behind its data than in its directory",
                     Severity.MEDIUM, name)  # fmt: skip
        return 0
    return length


def _agree(book: NoteBook, central: Header, local: Header, name: str, same_sizes: bool) -> bool:
    """Note where sizes, CRC, method or flags differ; whether a reader of local headers reads the same bytes."""
    agree = True
    later = local.flags & records.DESCRIBED  # then zeros, or all ones, send the reader to the descriptor
    unsaid = (0, 0xFFFFFFFF) if later else ()
    if not same_sizes and not (local.packed in (central.packed, *unsaid) and local.size in (central.size, *unsaid)):
        book.add("sizes", f"gives {name!r} {local.packed} bytes ({local.size} unpacked) where it begins, and"
                 f" {central.packed} ({central.size}) in its directory", Severity.HIGH, name)  # fmt: skip
        agree = local.packed == central.packed
    if local.crc != central.crc and not (later and not local.crc):
        book.add("crc", f"gives {name!r} two different checksums", Severity.HIGH, name)
    if local.method != central.method:
        book.add("method", f"compresses {name!r} by method {local.method} where it begins, and by {central.method}"
                 " in its directory", Severity.HIGH, name)  # fmt: skip
        agree = False
    if (local.flags ^ central.flags) & _SECRET:
        book.add("flags", f"says that {name!r} is encrypted in only one of its two headers", Severity.HIGH, name)
    elif (local.flags ^ central.flags) & records.UTF8 and not central.raw_name.isascii():
        book.add("utf8", f"says in only one of its headers that the name {name!r} is UTF-8", Severity.LOW, name)
    return agree


def _aliases(book: NoteBook, central: Header, local: Header, name: str) -> tuple[str, ...]:
    """Other names that readers give the member."""
    others: list[str] = []
    if local.raw_name != central.raw_name:
        others.append(local.name)
        book.add("name", f"names a member {name!r} in its directory and {local.name!r} where it begins",
                 Severity.HIGH, name)  # fmt: skip
    for header in (central, local):
        other = records.unicode_path(header) if header.extra else None
        if other is not None and other != header.name:
            others.append(other)
            lies = other.isascii() or header.flags & records.UTF8
            book.add("unicode-path", f"names a member {name!r}, and {other!r} in its Unicode path field",
                     Severity.HIGH if lies else Severity.INFO, name)  # fmt: skip
    if "\0" in name:
        others.append(name.partition("\0")[0])
    return tuple(dict.fromkeys(others))


def _check_kind(book: NoteBook, central: Header, name: str) -> bool:
    """Note folders that hold data and special files; whether the member is a symbolic link."""
    if name.endswith("/") and central.size:
        book.add("folder", f"calls {name!r} a folder, but it holds {central.size} bytes", Severity.HIGH, name)
    if central.made_by >> 8 not in (_UNIX, _MACOS):
        return False
    mode = central.external >> 16
    kind = stat.S_IFMT(mode)
    if kind in (stat.S_IFBLK, stat.S_IFCHR):
        book.add("special", f"holds a device, {name!r}", Severity.HIGH, name)
    return kind == stat.S_IFLNK


def check_duplicates(book: NoteBook, entries: list[Entry]) -> None:
    """Note names that come twice, or twice but for upper and lower case, and members that share a header."""
    first: dict[str, Entry] = {}
    folded: dict[str, Entry] = {}
    places: dict[int, Entry] = {}
    for entry in entries:
        name = entry.name
        before = first.setdefault(name, entry)
        if before is not entry:
            same = before.crc == entry.crc and before.size == entry.size
            book.add("duplicate", f"holds {name!r} twice, with {'the same' if same else 'different'} content",
                     Severity.LOW if same else Severity.HIGH, name)  # fmt: skip
        else:
            alike = folded.setdefault(name.casefold(), entry)
            if alike is not entry:
                book.add("case", f"holds {alike.name!r} and {name!r}, which some readers take for one",
                         Severity.LOW, name)  # fmt: skip
        shared = places.setdefault(entry.at, entry)
        if shared is not entry and not entry.problem:
            book.add("shared", f"lists {shared.name!r} and {name!r} over the same bytes", Severity.HIGH, name)


def check_overlaps(book: NoteBook, entries: list[Entry], directories: list[int]) -> None:
    """Note members that reach into each other, or into the directory: as bombs do, and files with two faces."""
    ordered = sorted((entry for entry in entries if not entry.problem), key=lambda entry: (entry.at, entry.stop))
    for left, right in itertools.pairwise(ordered):
        if left.at < right.at < left.stop:
            book.add("overlap", f"has {left.name!r} reach into {right.name!r}", Severity.HIGH, left.name)
    for entry in ordered:
        if any(entry.at < start < entry.stop for start in directories):
            book.add("overlap-directory", f"has {entry.name!r} reach into the directory", Severity.HIGH, entry.name)
