"""How a zip file is laid out: all its directories, the members that they list, and those that lie between unlisted."""

from __future__ import annotations

from itertools import chain
from typing import IO

from assay.core.finding import Severity
from assay.formats.archives import zip_records as records
from assay.formats.archives.member import NoteBook
from assay.formats.archives.zip_directory import View, check_counts, views_of
from assay.formats.archives.zip_entries import Entry, check_duplicates, check_overlaps, entries_of
from assay.formats.archives.zip_hidden import Span, find, left_over, note_rest, note_unlisted, unlisted, walked
from assay.formats.archives.zip_records import End
from assay.formats.reading import Limits
from assay.formats.stream import read_at

TAIL = records.END_SIZE + records.MAX_COMMENT
MAX_ENDS = 64
MAX_LISTINGS = 4


class Layout:
    """All members of a zip file of `size` bytes; what disagrees goes to `book`, what could not be read to `gaps`."""

    def __init__(self, file: IO[bytes], size: int, limits: Limits, book: NoteBook, gaps: list[str]) -> None:
        self._file, self._size, self._limits = file, size, limits
        self._book, self._gaps = book, gaps
        self._views: list[View] = []
        self._listed: list[Entry] = []
        self._parsed = 0
        self._seen: set[tuple[int, int]] = set()

    def entries(self) -> list[Entry]:
        """All members, listed ones first, in the directory's order."""
        tail = self._take_last()
        try:
            self._take_others(tail)
        except OSError as error:
            self._gaps.append(f"was not searched to its end: {error}")
        single = [entry for entry in self._listed if entry.listed]
        check_duplicates(self._book, single)
        check_overlaps(self._book, single, [view.start for view in self._views])
        if len(self._listed) > self._limits.max_members:
            return self._listed
        return self._listed + self._unlisted()

    def _take_last(self) -> set[int]:
        """Take the directory of the last end record that leads to one. Where the file's tail has end records."""
        start = max(0, self._size - TAIL)
        ends = records.ends_in(read_at(self._file, start, TAIL), start)[-MAX_ENDS:]
        for at in reversed(ends):
            if self._take(at):
                return {at}
            self._book.add("false-end", "has an end record that leads to no directory, which some readers take",
                           Severity.MEDIUM, offset=at)  # fmt: skip
        return set(ends)

    def _take_others(self, tried: set[int]) -> None:
        """Take the directories of all end records that lie outside of what is listed, last to first."""
        places: list[int] = []
        comments = [view.comment for view in self._views]
        for span in left_over([*self._spans(), *comments], self._size) + comments:
            for place in find(self._file, span, (records.END,), self._limits):
                places.append(place)
                if len(places) > MAX_ENDS:
                    self._gaps.append(f"has more than {MAX_ENDS} ends of an archive, which were not all followed")
                    return
        for at in sorted(set(places) - tried, reverse=True):
            had = bool(self._views)
            if self._parsed > MAX_LISTINGS * self._limits.max_members:
                self._gaps.append("has more directories than were followed")
                return
            if not any(start < at < stop for start, stop in self._spans()) and self._take(at) and had:
                self._book.add("ends", "holds a second archive, which other readers take", Severity.HIGH, offset=at)

    def _take(self, at: int) -> bool:
        """Take the directories that an end record leads to; whether there are any."""
        end = records.read_end(self._file, at)
        views = views_of(self._file, end, self._limits, self._book) if end is not None else []
        if end is None or not views:
            return False
        said = self._end64(end) if records.overflows(end) else end
        check_counts(views[0], said, self._limits, self._book)
        if said.disks:
            self._gaps.append("is one part of an archive split over several files")
        if end.stop > self._size:
            self._gaps.append("is torn: it ends within its comment")
        for view in views:
            self._parsed += len(view.headers)
            for header in view.headers:
                if (header.at, view.shift) not in self._seen and len(self._listed) <= self._limits.max_members:
                    self._seen.add((header.at, view.shift))
                    self._listed += entries_of(self._file, header, view.shift, self._book)
        self._views += views
        return True

    def _end64(self, end: End) -> End:
        said = records.locator(self._file, end)
        adjacent = end.at - records.LOCATOR_SIZE - records.END64_SIZE
        found = records.read_end64(self._file, said) if said is not None else None
        return found or records.read_end64(self._file, adjacent) or end

    def _spans(self) -> list[Span]:
        spans = [(entry.at, entry.stop) for entry in self._listed if not entry.problem]
        return spans + [span for view in self._views for span in view.spans]

    def _unlisted(self) -> list[Entry]:
        """Members that no directory lists; notes on what no record covers."""
        found = self._walked()
        spans = [*self._spans(), *((entry.at, entry.stop) for entry in found)]
        first = min((start for start, _ in spans), default=0)
        comments = [view.comment for view in self._views]
        last = max((stop for _, stop in [*self._spans(), *comments]), default=0)
        before = {entry.stop: entry.name for entry in self._listed}
        for span in left_over([*spans, *comments], self._size) + comments:
            inside = self._within(span, len(found))
            found += inside
            if self._views and not inside and span not in comments:
                after = before.get(span[0], "")
                note_rest(self._file, span, first, last, after, self._limits, self._book)
        if not self._views:
            self._gaps.append("is torn: it has no directory at its end")
        for entry in found if self._views else ():
            note_unlisted(self._book, entry)
        return found

    def _walked(self) -> list[Entry]:
        """Members that a reader of local headers reaches from the listed ones, but no directory."""
        found: list[Entry] = []
        known = {entry.at for entry in self._listed}
        begun = [entry.stop for entry in self._listed if entry.data_at and entry.stop not in known]
        try:
            for member in chain.from_iterable(walked(self._file, at, known, self._size, self._limits) for at in begun):
                found.append(member)
                if len(found) > self._limits.max_members:
                    break
        except OSError as error:
            self._gaps.append(f"was not searched to its end: {error}")
        return found

    def _within(self, span: Span, already: int) -> list[Entry]:
        """Members that lie unlisted in a span, as many as the limits leave."""
        inside: list[Entry] = []
        try:
            for entry in unlisted(self._file, span, self._size, self._limits):
                inside.append(entry)
                if len(inside) + already > self._limits.max_members:
                    break
        except OSError as error:
            self._gaps.append(f"was not searched to its end: {error}")
        return inside
