"""A bounded window over a byte stream: opcodes are read from it, large operands are skipped and not kept."""

from __future__ import annotations

from typing import IO

from assay.formats.pickle.facts import Ending
from assay.formats.reading import Limits

CHUNK = 1 << 16
CHUNK_AFTER_SKIP = 1 << 12  # where one large operand was, another may follow soon
MARGIN = 16
MAX_LINE = 1 << 20


class Torn(Exception):  # noqa: N818 - it ends one pickle, it is not a failure of the program
    """The stream cannot be followed further; the message says why and where, `ending` which kind of end it is."""

    ending = Ending.TORN


class Short(Torn):
    """The stream ends before the pickle does."""

    ending = Ending.SHORT


class Exceeded(Torn):
    """A limit was reached; what lies beyond was not looked at."""

    ending = Ending.LIMIT


class Source:
    """A window `buf` over `file`; `base` is the stream offset of `buf[0]`.

    A fixed operand that starts before `end` lies wholly inside the window, except at the end of the stream.
    """

    __slots__ = ("base", "buf", "end", "eof", "file", "limits", "max_offset", "seekable")

    def __init__(self, file: IO[bytes], limits: Limits, *, start: int = 0, seekable: bool | None = None) -> None:
        self.file, self.limits = file, limits
        self.buf = b""
        self.base = start
        self.end = 0
        self.eof = False
        self.max_offset = start + limits.max_bytes
        self.seekable = bool(file.seekable()) if seekable is None else seekable

    def _read(self, count: int) -> bytes:
        try:
            return self.file.read(count)
        except (OSError, EOFError, ValueError) as error:
            raise Torn(f"the stream cannot be read on at byte {self.base + len(self.buf)}: {error}") from None

    def _grow(self, pos: int, count: int, *, ahead: int = CHUNK) -> None:
        """Move the window to `pos` and read on until `count` bytes lie in it or the stream ends."""
        parts = [self.buf[pos:]]
        have = len(parts[0])
        if have == 0 and pos > len(self.buf):
            raise Short(f"the stream ends inside an operand at byte {self.base + len(self.buf)}")
        self.base += pos
        if self.base > self.max_offset:
            raise Exceeded(f"more than {self.limits.max_bytes} bytes; stopped at byte {self.base}")
        while have < count and not self.eof:
            try:
                data = self._read(max(ahead, min(count - have, 1 << 24)))
            except Torn:
                if not have:
                    raise
                data = b""  # what came before the break was there to be run; reading on breaks again
            if not data:
                self.eof = True
            parts.append(data)
            have += len(data)
        self.buf = b"".join(parts)
        self.end = have if self.eof else have - MARGIN

    def refill(self, pos: int) -> bool:
        """Move the window so that the opcode at `pos` becomes `buf[0]`; False at the end of the stream."""
        self._grow(pos, CHUNK)
        return bool(self.buf)

    def need(self, pos: int, count: int) -> int:
        """Make `count` bytes from `pos` contiguous; their new position. Raises Torn where the stream ends before."""
        if pos + count > len(self.buf):
            self._grow(pos, count + MARGIN + 1)
            pos = 0
            if count > len(self.buf):
                raise Short(f"the stream ends inside an operand at byte {self.base + len(self.buf)}")
        return pos

    def skip(self, pos: int, count: int) -> int:
        """The position `count` bytes after `pos`; what lies outside the window is sought past where possible."""
        if pos + count <= len(self.buf):
            return pos + count
        left = count - (len(self.buf) - pos)
        self.base += len(self.buf)
        self.buf, self.end = b"", 0
        if self.base + left > self.max_offset:
            raise Exceeded(f"more than {self.limits.max_bytes} bytes; stopped at byte {self.base}")
        if self.seekable and left > CHUNK:
            self._seek(left - 1)
            self.base += left - 1
            left = 1
        while left:
            data = self._read(min(left, 1 << 20))
            if not data:
                self.eof = True
                raise Short(f"the stream ends inside an operand at byte {self.base}")
            self.base += len(data)
            left -= len(data)
        self._grow(0, MARGIN + 1, ahead=CHUNK_AFTER_SKIP)
        return 0

    def _seek(self, count: int) -> None:
        try:
            self.file.seek(count, 1)
        except (OSError, ValueError) as error:
            raise Torn(f"the stream cannot be read on at byte {self.base}: {error}") from None

    def line(self, pos: int) -> tuple[bytes, int]:
        """The line at `pos` without its last byte (CPython drops it even at the stream's end), and what follows."""
        stop = self.buf.find(b"\n", pos)
        size = CHUNK
        while stop < 0 and not self.eof:
            if len(self.buf) - pos > MAX_LINE:
                raise Torn(f"a line longer than {MAX_LINE} bytes at byte {self.base + pos}")
            size *= 2
            self._grow(pos, size)
            pos = 0
            stop = self.buf.find(b"\n")
        if stop < 0:
            return self.buf[pos:-1], len(self.buf)
        return self.buf[pos:stop], stop + 1
