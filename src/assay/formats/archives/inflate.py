"""Compressed streams as seekable files of bounded output: a bomb ends in a reason, not in a full disk."""

from __future__ import annotations

import io
from typing import IO, Any

CHUNK = 1 << 16
MAX_REWINDS = 64
LZMA_MEMORY = 256 << 20

READABLE = frozenset({"zlib", "gzip", "bz2", "xz", "lzma"})


class Inflated(io.RawIOBase):
    """The decompressed bytes of `file` from its start. Seeking back starts over, at most MAX_REWINDS times.

    Raises OSError where the compressed bytes are broken, or more than `max_output` bytes come out of them.
    """

    def __init__(self, file: IO[bytes], kind: str, max_output: int) -> None:
        super().__init__()
        self._file, self._kind, self._max = file, kind, max_output
        self._rewinds = -1
        self._restart()

    def _restart(self) -> None:
        self._rewinds += 1
        if self._rewinds > MAX_REWINDS:
            raise OSError("the compressed stream had to be read again too often")
        self._file.seek(0)
        self._decoder: Any = _decoder(self._kind)
        self._pending = b""
        self._at = 0
        self._ended = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            raise OSError("a compressed stream has no known end to seek from")
        target = max(0, offset + (self._at if whence else 0))
        if target < self._at:
            self._restart()
        while self._at < target and self.read(min(1 << 20, target - self._at)):
            pass
        return self._at

    def read(self, size: int = -1) -> bytes:
        parts: list[bytes] = []
        left = size if size >= 0 else self._max + 1
        while left > 0 and not self._ended:
            data = self._step(min(left, 1 << 20))
            parts.append(data)
            left -= len(data)
            self._at += len(data)
            if self._at > self._max:
                raise OSError(f"more than {self._max} bytes come out of the compressed stream")
        return b"".join(parts)

    def _step(self, want: int) -> bytes:
        """Up to `want` more bytes; b"" only while input is still needed or at the end."""
        if self._decoder.eof:
            self._next_member()
            if self._ended:
                return b""
        fed = self._pending
        if not fed and getattr(self._decoder, "needs_input", True):
            fed = self._file.read(CHUNK)
        try:
            data: bytes = self._decoder.decompress(fed, want)
        except Exception as error:  # zlib.error, lzma.LZMAError, OSError, by codec
            raise OSError(f"broken {self._kind} stream: {error}") from None
        self._pending = getattr(self._decoder, "unconsumed_tail", b"")
        if not data and not fed and not self._decoder.eof and getattr(self._decoder, "needs_input", True):
            raise OSError(f"the {self._kind} stream ends too early")
        return data

    def _next_member(self) -> None:
        """Go on with the next compressed member, as gzip, bz2 and xz readers do; what is no member ends the stream."""
        rest = self._decoder.unused_data or self._file.read(CHUNK)
        while rest and not rest.strip(b"\0"):
            rest = self._file.read(CHUNK)
        magic = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ"}.get(self._kind)
        if not rest or magic is None or not rest.startswith(magic):
            self._ended = True
            return
        self._decoder = _decoder(self._kind)
        self._pending = rest


def _decoder(kind: str) -> Any:
    if kind in ("zlib", "gzip"):
        import zlib

        return zlib.decompressobj(31 if kind == "gzip" else 15)
    if kind == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(format=form, memlimit=LZMA_MEMORY)
