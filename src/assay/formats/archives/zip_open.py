"""The bytes of a zip's members: views where they are stored, bounded streams where compressed, summed as they go."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, cast

from assay.core.finding import Severity
from assay.formats.archives.inflate import Inflated
from assay.formats.archives.member import Budget, Checked, Member, NoteBook
from assay.formats.archives.names import leaves
from assay.formats.archives.zip_entries import Entry
from assay.formats.reading import Limits
from assay.formats.stream import Window

MAX_LINK = 4096
MAX_COVER = 8
_LZMA = 14
_METHODS = {8: "deflate", 12: "bz2", _LZMA: "lzma", 20: "zstd", 93: "zstd"}


class Opener:
    """Opens the members of a zip file of `size` bytes.

    Members that lie over each other may together hold MAX_COVER times the file's bytes, and no more.
    """

    def __init__(self, file: IO[bytes], size: int, limits: Limits, book: NoteBook, gaps: list[str]) -> None:
        self._file, self._size, self._limits = file, size, limits
        self._book, self._gaps = book, gaps
        self._budget = Budget(limits)
        self._covered = 0
        self._heard: set[int] = set()
        self._streams: list[tuple[str, Inflated]] = []

    def member(self, entry: Entry, name: str) -> Member:
        """The member under one of its names, open or with its problem."""
        problem = entry.problem
        if not problem and entry.method and entry.method not in _METHODS:
            problem = f"is compressed by method {entry.method}, which cannot be read"
        self._covered += min(entry.packed, self._size)
        if not problem and self._covered > MAX_COVER * self._size:
            problem = "cannot be read: the members lie over each other"
        if problem:
            return Member(name, problem=problem, size=entry.size)
        if entry.data_at + entry.packed > self._size:
            self._gaps.append(f"is torn: it ends within {name!r}")
        if not entry.method and entry.packed != entry.size:
            self._book.add("stored-size", f"stores {name!r} in {entry.packed} bytes, but says that it has {entry.size}",
                           Severity.HIGH, name)  # fmt: skip
        try:
            judge = self._judge
            if entry.encrypted and not self._is_plain(entry):
                judge = _unjudged
            if entry.link:
                self._check_link(entry)
            file = self._open(entry, judge)
        except OSError as error:
            return Member(name, problem=f"cannot be opened: {error}", size=entry.size)
        return Member(name, file=cast(IO[bytes], file), stored=not entry.method, size=entry.size)

    def settle(self) -> None:
        """Say which of the streams opened so far broke while they were read."""
        for name, stream in self._streams:
            if stream.broken:
                self._gaps.append(f"holds {name!r}, which could not be read to its end: {stream.broken}")
        self._streams.clear()

    def read_through(self, entry: Entry) -> None:
        """Read a member to its end for its checksum; a gap where that is impossible."""
        self._covered += min(entry.packed, self._size)
        if (
            entry.problem
            or entry.encrypted
            or entry.data_at in self._heard
            or self._covered > 2 * MAX_COVER * self._size
        ):
            return
        try:
            with self._open(entry, self._judge) as file:
                file.read_through()
        except OSError as error:
            self._gaps.append(f"could not be checked: {entry.name!r}: {error}")

    def _open(self, entry: Entry, judge: Callable[[Entry, int, int, bool, int], None]) -> Checked:
        length = entry.packed if entry.method else max(entry.packed, entry.size)
        data = Window(self._file, entry.data_at, min(length, self._size - entry.data_at))
        if entry.method not in _METHODS:
            return Checked(data, entry.size, lambda crc, length, ended: judge(entry, crc, length, ended, 0))
        head = b""
        if entry.method == _LZMA:
            head, data = self._lzma(entry, data)
        inner = Inflated(cast(IO[bytes], data), _METHODS[entry.method], self._limits, budget=self._budget, head=head)

        self._streams.append((entry.name, inner))

        def heard(crc: int, length: int, ended: bool) -> None:
            judge(entry, crc, length, ended, inner.trailing or 0)

        return Checked(inner, entry.size, heard)

    def _lzma(self, entry: Entry, data: Window) -> tuple[bytes, Window]:
        """A header as of .lzma files, and the stream behind zip's own: version, length of properties, properties."""
        start = data.read(4)
        properties = data.read(5)
        if len(properties) < 5 or start[2:] != b"\x05\0":
            raise OSError("broken lzma stream: its properties are cut off")
        size = (1 << 64) - 1 if entry.flags & 2 or not entry.size else entry.size
        rest = Window(self._file, entry.data_at + 9, min(entry.packed, self._size - entry.data_at) - 9)
        return properties + size.to_bytes(8, "little"), rest

    def _judge(self, entry: Entry, crc: int, length: int, ended: bool, trailing: int) -> None:
        """Hear what a member's bytes were, once they were read through."""
        if entry.crc is None or not ended:
            return
        self._heard.add(entry.data_at)
        name = entry.name
        if length != entry.size:
            self._book.add("length", f"says that {name!r} has {entry.size} bytes, but {length} come out of it",
                           Severity.HIGH, name)  # fmt: skip
        elif crc != entry.crc:
            severity = Severity.HIGH if entry.crc else Severity.LOW  # torch can leave it out
            self._book.add("checksum", f"gives {name!r} a checksum that its bytes do not have: some readers refuse it,"
                           " others (torch) do not look", severity, name)  # fmt: skip
        if trailing:
            self._book.add("trailing", f"hides {trailing} bytes behind the compressed data of {name!r}",
                           Severity.MEDIUM, name)  # fmt: skip

    def _is_plain(self, entry: Entry) -> bool:
        """Whether data is only said to be encrypted: readers that ignore the flag load it."""
        name = entry.name
        plain: list[bool] = []
        try:
            with self._open(entry, lambda _, crc, *rest: plain.append(entry.crc in (crc, None))) as file:
                file.read_through()
        except OSError:  # what was encrypted seldom decompresses
            plain.clear()
        if plain == [True]:
            self._book.add("not-encrypted", f"says that {name!r} is encrypted, but it is not: some readers refuse it,"
                           " others (torch) load it", Severity.HIGH, name)  # fmt: skip
            return True
        self._book.add("encrypted", f"says that {name!r} is encrypted", Severity.MEDIUM, name)
        self._gaps.append(f"holds {name!r}, which is encrypted or pretends to be")
        return False

    def _check_link(self, entry: Entry) -> None:
        with self._open(entry, self._judge) as file:
            target = file.read(MAX_LINK).decode("utf-8", "backslashreplace")
        out = leaves(target, entry.name.rpartition("/")[0])
        message = f"holds a symbolic link {entry.name!r} to {target!r}" + (", outside of it" if out else "")
        self._book.add("link", message, Severity.HIGH if out else Severity.INFO, entry.name)


def _unjudged(entry: Entry, crc: int, length: int, ended: bool, trailing: int) -> None:
    """Of encrypted data, sums say nothing."""
