"""Bounded reading at any place of a large file: every model reader takes its bytes from here and seeks past tensors."""

from __future__ import annotations

import os
import struct
from typing import IO

from assay.formats.reading import Limits

_LEAST, _MOST = 1 << 12, 1 << 18


class TornError(ValueError):
    """The file ends before what its own structure announces."""


class SpentError(ValueError):
    """The examination reached a limit: nothing is known of what follows."""


class Source:
    """One window over a seekable file, which grows while it moves on and shrinks after a jump.

    `window` is the bytes at hand and `base` their place in the file; whoever parses in a tight loop uses them
    directly after `hold`. Raises TornError beyond the end, SpentError past `limits`, OSError from the file.
    """

    __slots__ = ("_steps", "_used", "base", "file", "limits", "size", "window")

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.file, self.limits = file, limits
        self.size = file.seek(0, os.SEEK_END)
        self.window, self.base = b"", 0
        self._used = self._steps = 0

    def hold(self, offset: int, least: int = 1) -> int:
        """Make the window hold `least` bytes from `offset` on if the file has them; the place of `offset` in it."""
        at = offset - self.base
        if at >= 0 and at + least <= len(self.window):
            return at
        follows = 0 <= at <= len(self.window) + _LEAST
        want = max(least, min(_MOST, 2 * len(self.window)) if follows else _LEAST)
        self._used += want
        if self._used > self.limits.max_bytes:
            raise SpentError(f"more than {self.limits.max_bytes >> 20:,} MB of it would have to be interpreted")
        if self.limits.late():
            raise SpentError("the time for it ran out")
        self.file.seek(offset)
        self.window, self.base = self.file.read(want), offset
        return 0

    def step(self, count: int = 1) -> None:
        """Count things interpreted (fields, entries), and ask now and then whether it is late."""
        before = self._steps
        self._steps += count
        if self._steps > self.limits.max_opcodes:
            raise SpentError(f"it holds more than {self.limits.max_opcodes:,} entries")
        if before >> 12 != self._steps >> 12 and self.limits.late():
            raise SpentError("the time for it ran out")

    def at(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise TornError("it is cut short, or points beyond its end")
        place = self.hold(offset, count)
        found = self.window[place : place + count]
        if len(found) < count:
            raise TornError("it is cut short, or points beyond its end")
        return found

    def text(self, offset: int, count: int, most: int = 1 << 16) -> str:
        """At most `most` bytes of a text, undecodable bytes written as escapes; the rest must exist all the same."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise TornError("it is cut short, or points beyond its end")
        return self.at(offset, min(count, most)).decode("utf-8", "backslashreplace")


class Cursor:
    """A place in a `Source` that moves on as numbers are taken; `order` is "<" or ">"."""

    __slots__ = ("order", "place", "source")

    def __init__(self, source: Source, place: int = 0, order: str = "<") -> None:
        self.source, self.place, self.order = source, place, order

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        found = self.source.at(self.place, count)
        self.place += count
        return found

    def skip(self, count: int) -> None:
        """Pass over `count` bytes that must exist."""
        if count < 0 or self.place + count > self.source.size:
            raise TornError("it is cut short, or points beyond its end")
        self.place += count

    def number(self, code: str) -> int:
        """The next integer, by the `struct` code of its width and sign."""
        return int(struct.unpack(self.order + code, self.take(struct.calcsize(f"={code}")))[0])

    def real(self, code: str) -> float:
        """The next floating-point number ("e", "f" or "d")."""
        return float(struct.unpack(self.order + code, self.take(struct.calcsize(f"={code}")))[0])
