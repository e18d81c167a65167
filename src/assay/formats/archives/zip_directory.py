"""The central directories of a zip file: the one that most readers take, and every other that some reader would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import msgspec

from assay.core.finding import Severity
from assay.formats.archives import zip_records as records
from assay.formats.archives.member import NoteBook
from assay.formats.archives.zip_records import End, Header
from assay.formats.reading import Limits
from assay.formats.stream import read_at

MAX_DIRECTORY = 16 << 20


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A central directory as some reader finds it: `shift` is what it adds to the offsets in it.

    `spans` are the byte ranges [start, stop) of the directory and its end records; `comment` is the archive's.
    """

    headers: list[Header]
    shift: int
    start: int
    spans: list[tuple[int, int]]
    comment: tuple[int, int]


def views_of(file: IO[bytes], end: End, limits: Limits, book: NoteBook) -> list[View]:
    """The directories that readers find from one end record; an empty list if it leads to none."""
    comment = (end.at + records.END_SIZE, end.stop)
    tail = [(end.at, end.at + records.END_SIZE)]
    found: list[View] = []
    disagreeing = False
    for end64, spans in _ends64(file, end, book):
        disagreeing |= not records.agrees64(end, end64)
        found += _views(file, end64, end64.at, [*spans, *tail], comment, limits)
    if found and not disagreeing:
        return _told_apart(found, book)
    plain = [] if records.overflows(end) and found else _views(file, end, end.at, tail, comment, limits)
    if plain and found:
        book.add("zip64-end", "ends in two records that disagree on where its directory is", Severity.HIGH)
    return _told_apart(found + plain, book)


def _told_apart(views: list[View], book: NoteBook) -> list[View]:
    apart = {(view.start, view.shift): view for view in views}
    if len({view.start for view in apart.values()}) > 1:
        book.add("directories", "has several directories, of which each reader takes another", Severity.HIGH)
    return list(apart.values())


def _ends64(file: IO[bytes], end: End, book: NoteBook) -> Iterator[tuple[End, list[tuple[int, int]]]]:
    """Zip64 ends: where the locator says, and right before the locator, where Python's zipfile looks."""
    said = records.locator(file, end)
    if said is None:
        return
    at = end.at - records.LOCATOR_SIZE
    adjacent = at - records.END64_SIZE
    ends = [(place, records.read_end64(file, place)) for place in dict.fromkeys((adjacent, said))]
    valid = [(place, found) for place, found in ends if found is not None]
    if len(valid) > 1:
        book.add("zip64-ends", "has two zip64 end records, of which each reader takes another", Severity.HIGH)
    if not valid:
        book.add("zip64-locator", "points to a zip64 end record that is not there", Severity.MEDIUM)
    for place, found in valid:
        yield found, [(place, min(found.stop, at)), (at, end.at)]


def _views(
    file: IO[bytes], end: End, stop: int, spans: list[tuple[int, int]], comment: tuple[int, int], limits: Limits
) -> list[View]:
    """The directory at the offset said, and the one that lies right before its end record, shifted by a prefix."""
    before = stop - end.directory_size
    found: list[View] = []
    for start in dict.fromkeys((end.directory_at, before)):
        if not 0 <= start <= stop:
            continue
        shift = before - end.directory_at if start == before else 0
        data = read_at(file, start, min(stop - start, MAX_DIRECTORY))
        headers = records.central_headers(data, start, limits.max_members + 1)
        if not headers and (end.count or end.directory_size):
            continue
        close = headers[-1].after if headers else start
        found.append(
            View(headers=headers, shift=shift, start=start, spans=[(start, min(close, stop)), *spans], comment=comment)
        )
    return found


def check_counts(view: View, end: End, limits: Limits, book: NoteBook) -> None:
    """Note where the end record counts other entries, or other bytes, than there are: readers go by either."""
    if len(view.headers) > limits.max_members:
        return
    close = view.headers[-1].after if view.headers else view.start
    there, said = len(view.headers), end.count
    if said not in (there, there & 0xFFFF):
        book.add("count", f"says that it holds {said} members, but lists {there}", Severity.HIGH)
    if close - view.start != end.directory_size:
        book.add("directory-size", f"says that its directory has {end.directory_size} bytes, but it has"
                 f" {close - view.start}", Severity.HIGH)  # fmt: skip
