"""What lies in a zip file outside of everything that its directory names: hidden data, unlisted members, other ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from assay.core.finding import Severity
from assay.formats.archives import zip_records as records
from assay.formats.archives.member import CHUNK, NoteBook
from assay.formats.archives.names import check_name
from assay.formats.archives.zip_entries import Entry
from assay.formats.archives.zip_records import Header, local_header
from assay.formats.reading import Limits
from assay.formats.stream import read_at

Span = tuple[int, int]
MAX_MARKS = 200_000
FIRST_CHUNK = 1 << 12
_MAX_METHOD = 99
_SHEBANG = 1 << 10
_APK_SIGNATURE = b"APK Sig Block 42"


def left_over(spans: Iterable[Span], size: int) -> list[Span]:
    """The byte ranges of a file of `size` bytes that none of the spans covers."""
    rest: list[Span] = []
    at = 0
    for start, stop in sorted(spans):
        if start > at:
            rest.append((at, min(start, size)))
        at = max(at, stop)
        if at >= size:
            return rest
    return [*rest, (at, size)]


def find(file: IO[bytes], span: Span, marks: tuple[bytes, ...], limits: Limits) -> Iterator[int]:
    """Where in a span marks of four bytes begin, first to last. Raises OSError where the time runs out."""
    at, stop = span
    chunk = FIRST_CHUNK  # the next mark is often near
    while at < stop:
        data = read_at(file, at, min(chunk, stop - at))
        if len(data) < 4:
            return
        for here in _all_of(data, marks):
            yield at + here
        at += len(data) - 3 if at + len(data) < stop else len(data)
        chunk = min(CHUNK, chunk * 4)
        if limits.late():
            raise OSError("the time allowed for it ran out")


def _all_of(data: bytes, marks: tuple[bytes, ...]) -> Iterator[int]:
    """Where any of the marks begins, first to last, each searched for only as far as asked."""
    places = {mark: data.find(mark) for mark in marks}
    while found := [(place, mark) for mark, place in places.items() if place >= 0]:
        place, mark = min(found)
        yield place
        places[mark] = data.find(mark, place + 1)


def is_zero(file: IO[bytes], span: Span, limits: Limits) -> bool:
    """Whether a span holds nothing but zeros, as padding does."""
    at, stop = span
    while at < stop:
        data = read_at(file, at, min(CHUNK, stop - at))
        if not data or data.strip(b"\0"):
            return not data
        at += len(data)
        if limits.late():
            return False
    return True


def unlisted(file: IO[bytes], span: Span, size: int, limits: Limits) -> Iterator[Entry]:
    """The members whose local headers lie in a span, as a reader that goes through the file finds them.

    Raises OSError where more than MAX_MARKS marks of headers are in it.
    """
    at = span[0]
    for count, place in enumerate(find(file, span, (records.LOCAL,), limits)):
        if count > MAX_MARKS:
            raise OSError(f"more than {MAX_MARKS} marks of members lie outside of its directory")
        if place < at:
            continue
        header = local_header(file, place)
        if header is not None and _plausible(header, size):
            entry = unlisted_entry(file, header, size, limits)
            yield entry
            at = max(place + 4, entry.stop)


def walked(file: IO[bytes], at: int, known: set[int], size: int, limits: Limits) -> Iterator[Entry]:
    """The members that a reader of local headers goes on to from an offset, up to one that is known."""
    while at not in known and (header := local_header(file, at)) is not None and _plausible(header, size):
        known.add(at)
        entry = unlisted_entry(file, header, size, limits)
        yield entry
        at = entry.stop


def _plausible(header: Header, size: int) -> bool:
    return header.method <= _MAX_METHOD and bool(header.raw_name) and header.after <= size


def unlisted_entry(file: IO[bytes], header: Header, size: int, limits: Limits) -> Entry:
    """A member of which there is only a local header; where that gives no size, it ends at the next record."""
    packed, unpacked, crc = header.packed, header.size, header.crc
    stop = header.after + packed
    known: int | None = crc
    if header.flags & records.DESCRIBED and not packed:
        packed, stop = _extent(file, header, size, limits)
        known = None
        unpacked = packed if header.method == 0 else 0
    packed = max(0, min(packed, size - header.after))
    return Entry(name=header.name, at=header.at, data_at=header.after, packed=packed, size=unpacked, crc=known,
                 method=header.method, flags=header.flags, stop=max(stop, header.after))  # fmt: skip


def _extent(file: IO[bytes], header: Header, size: int, limits: Limits) -> tuple[int, int]:
    """The packed size and the end of a member that only its data descriptor, or the next record, tells."""
    marks = (records.DESCRIPTOR, records.LOCAL, records.CENTRAL, records.END)
    for count, place in enumerate(find(file, (header.after, size), marks, limits)):
        if count > MAX_MARKS:
            break
        data = read_at(file, place, 24)
        length = place - header.after
        if not data.startswith(records.DESCRIPTOR):
            return length, place
        if len(data) >= 16 and int.from_bytes(data[8:12], "little") == length:
            wide = len(data) == 24 and int.from_bytes(data[8:16], "little") == length
            return length, place + (24 if wide else 16)
    return size - header.after, size


def note_rest(file: IO[bytes], span: Span, first: int, last: int, after: str, limits: Limits, book: NoteBook) -> None:
    """Note data that no member holds: before the first record, behind the last, or between (`after` a member)."""
    start, stop = span
    length = stop - start
    if start == 0 and stop <= first:
        shebang = length <= _SHEBANG and read_at(file, 0, 2) == b"#!"
        book.add("prefix", f"has {length} bytes before the archive, with which other readers may take it for"
                 " another format", Severity.LOW if shebang else Severity.MEDIUM, offset=0, bytes=length)  # fmt: skip
    elif start >= last:
        zero = is_zero(file, span, limits)
        book.add("suffix", f"goes on for {length} bytes behind the archive's end" + (", all zeros" if zero else ""),
                 Severity.LOW if zero else Severity.MEDIUM, offset=start, bytes=length)  # fmt: skip
    elif read_at(file, stop - 16, 16) == _APK_SIGNATURE:
        book.add("apk-signature", "holds an Android signing block", Severity.INFO, offset=start)
    elif not is_zero(file, span, limits):
        book.add("hidden-data", f"hides {length} bytes between its members, which no directory lists",
                 Severity.HIGH, where=after, offset=start, bytes=length)  # fmt: skip


def note_unlisted(book: NoteBook, entry: Entry) -> None:
    """Note a member that only readers of local headers see."""
    check_name(book, entry.name)
    book.add("unlisted", f"holds a member {entry.name!r} that its directory does not list: only readers that go through"
             " the file see it", Severity.HIGH, entry.name, offset=entry.at)  # fmt: skip
