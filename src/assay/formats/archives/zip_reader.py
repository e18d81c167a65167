"""Zip archives, read over local and central headers: each member that any reader would see, and each disagreement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from assay.formats.archives.member import Member, NoteBook, spooled
from assay.formats.archives.zip_layout import Layout
from assay.formats.archives.zip_open import Opener
from assay.formats.reading import Limits, Note


class ZipArchive:
    """A zip file's members over all its directories and local headers. See `Archive` for what `members` promises.

    A member's bytes are summed as they are read; a checksum or length that they do not have becomes a note when the
    member is closed. `check_all` reads every member to its end, so that each is verified whoever asked for it.
    """

    def __init__(self, file: IO[bytes], limits: Limits, *, check_all: bool = False) -> None:
        self.notes: list[Note] = []
        self.gaps: list[str] = []
        self._source, self._limits, self._check_all = file, limits, check_all
        self._book = NoteBook("zip", self.notes)

    def members(self) -> Iterator[Member]:
        """Every member that any reader would see, the directory's first. OSError where the file cannot be read."""
        file = spooled(self._source, self._limits)
        try:
            size = file.seek(0, 2)
            yield from self._members(file, size)
        finally:
            self._book.finish()
            self.gaps[:] = dict.fromkeys(self.gaps)
            if file is not self._source:
                file.close()

    def _members(self, file: IO[bytes], size: int) -> Iterator[Member]:
        entries = Layout(file, size, self._limits, self._book, self.gaps).entries()
        opener = Opener(file, size, self._limits, self._book, self.gaps)
        for count, entry in enumerate(entries):
            if count >= self._limits.max_members:
                self.gaps.append(f"holds more than {self._limits.max_members} members")
                return
            if self._limits.late():
                self.gaps.append("was not read to its end: the time allowed for it ran out")
                return
            if entry.name.endswith("/") and not entry.size and not entry.problem:
                continue
            for name in (entry.name, *entry.aliases):
                yield opener.member(entry, name)
                opener.settle()
            if self._check_all:
                opener.read_through(entry)
                opener.settle()
