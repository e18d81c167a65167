"""Compressed streams as seekable files of bounded output: a bomb ends in a reason, not in a full disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from assay.formats.archives.member import Budget
from assay.formats.reading import Limits
from assay.formats.stream import Stream

CHUNK = 1 << 16
HISTORY = 1 << 20
MAX_REWINDS = 64
FREE_REPEATS = 1 << 30
LZMA_MEMORY = 256 << 20

READABLE = frozenset({"zlib", "gzip", "bz2", "xz", "lzma", "lz4", "zstd", "joblib-zfile"})

_ZSTD = b"\x28\xb5\x2f\xfd"
_LZ4 = (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18")
_NEXT: dict[str, Callable[[bytes], bool]] = {
    "gzip": lambda rest: rest.startswith(b"\x1f\x8b"),
    "bz2": lambda rest: rest.startswith(b"BZh"),
    "xz": lambda rest: rest.startswith(b"\xfd7zXZ"),
    "lz4": lambda rest: rest.startswith(_LZ4) or _skippable(rest),
    "zstd": lambda rest: rest.startswith(_ZSTD) or _skippable(rest),
}


def _skippable(rest: bytes) -> bool:
    return len(rest) > 3 and rest[0] >> 4 == 5 and rest[1:4] == b"\x2a\x4d\x18"


class _BrokenStreamError(OSError):
    """What the codec says of the compressed bytes."""


class Inflated(Stream):
    """The decompressed bytes of `file` from its start. Seeking back beyond HISTORY starts over, boundedly.

    `kind` is one of READABLE, or "deflate" (raw, as in zip). `limits` may be a plain number of bytes. `head` is fed
    before the file's own bytes. Once the end was reached, `trailing` counts the bytes behind the stream that belong
    to none (a second zlib stream among them), and `streams` the compressed members read.

    Where the compressed bytes are broken, or more comes out of them than `budget` allows, all that comes out before
    is given first: a sized read ends early, the next one raises OSError, and `broken` says why. Reading all, and
    seeking beyond, raise at once.
    """

    def __init__(
        self,
        file: IO[bytes],
        kind: str,
        limits: Limits | int,
        *,
        budget: Budget | None = None,
        head: bytes = b"",
    ) -> None:
        super().__init__()
        limits = Limits(max_unpacked=limits) if isinstance(limits, int) else limits
        self._file, self._kind, self._head = file, kind, head
        self._limits = limits
        self._budget = budget or Budget(limits)
        self._rewinds = -1
        self._repeated = 0
        self._furthest = self._furthest_fed = 0
        self.trailing: int | None = None
        self.streams = 0
        self.broken = ""
        self._slow_from = 1 << 62
        self._restart()

    def _restart(self) -> None:
        self._rewinds += 1
        if self._rewinds > MAX_REWINDS or self._repeated > max(FREE_REPEATS, 2 * self._furthest):
            raise OSError("the compressed stream had to be read again too often")
        self._file.seek(_zfile_header(self._file) if self._kind == "joblib-zfile" else 0)
        self._decoder: Any = _decoder(self._kind)
        self._pending = self._head
        self._behind = b""
        self._window = bytearray()
        self._window_at = self._at = self._fed = 0
        self._ended = False
        self.streams = 1

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 2:
            raise OSError("a compressed stream has no known end to seek from")
        target = max(0, offset + (self._at if whence else 0))
        if target < self._window_at:
            self._restart()
        self.broken = ""
        while self._produced < target and not self._ended:
            self._at = self._produced
            self._more()
        self._at = min(target, self._produced)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        parts: list[bytes] = []
        before, everything = self._at, size is None or size < 0
        left = 1 << 62 if size is None or size < 0 else size
        while left > 0:
            try:
                while self._at >= self._produced and not self._ended:
                    self._more()
            except OSError as error:
                self.broken = str(error)
                if parts and not everything:
                    break
                self._at = max(before, self._window_at)
                raise
            start = self._at - self._window_at
            data = bytes(memoryview(self._window)[start : start + left])
            if not data:
                break
            parts.append(data)
            left -= len(data)
            self._at += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def _produced(self) -> int:
        return self._window_at + len(self._window)

    def _more(self) -> None:
        """Decompress the next piece into the window, of which HISTORY bytes are kept for seeking back."""
        if len(self._window) > HISTORY * 2:
            gone = len(self._window) - HISTORY
            del self._window[:gone]
            self._window_at += gone
        data = self._stepped()
        self._window += data
        ahead, fed = self._produced - self._furthest, self._fed - self._furthest_fed
        if ahead > 0:
            self._furthest, self._furthest_fed = self._produced, max(self._fed, self._furthest_fed)
            self._budget.spend(max(0, fed), ahead)
        else:
            self._repeated += len(data)
            if self._limits.late():
                raise OSError("the time allowed for it ran out while it was decompressed")

    def _stepped(self) -> bytes:
        """The next piece; where the codec fails, which takes its last piece with it, again and byte by byte."""
        if self._produced >= self._slow_from:
            return self._step(1, 1)
        try:
            return self._step(HISTORY, CHUNK)
        except _BrokenStreamError:
            produced, at, window, window_at = self._produced, self._at, self._window, self._window_at
            self._repeated += produced
            self._restart()
            while self._window_at < produced:
                self._window_at += len(self._step(min(HISTORY, produced - self._window_at), CHUNK))
            self._window, self._window_at, self._at = window, window_at, at
            self._slow_from = produced
            return self._step(1, 1)

    def _step(self, want: int, take: int) -> bytes:
        """Up to `want` more bytes; b"" only while input is still needed or at the end."""
        if self._decoder.eof:
            self._next_member()
            if self._ended:
                return b""
        fed, held = self._pending[:take], self._pending[take:]
        if not fed and getattr(self._decoder, "needs_input", True):
            fed = self._file.read(take)
            self._fed += len(fed)
        try:
            data: bytes = self._decoder.decompress(fed, want)
        except Exception as error:  # zlib.error, lzma.LZMAError, ValueError, OSError, by codec
            raise _BrokenStreamError(f"broken {self._kind} stream: {error}") from None
        self._pending = getattr(self._decoder, "unconsumed_tail", b"") + held
        if self._decoder.eof:
            self._behind, self._pending = self._decoder.unused_data + self._pending, b""
        if not data and not fed and not self._decoder.eof and getattr(self._decoder, "needs_input", True):
            if getattr(self._decoder, "may_end", False):
                self._ended, self.trailing = True, 0
                return b""
            raise OSError(f"the {self._kind} stream ends too early")
        return data

    def _next_member(self) -> None:
        """Go on with the next compressed member, as the codecs' own readers do; what is no member ends the stream."""
        rest = self._behind or self._file.read(CHUNK)
        counted = len(rest)
        while rest and not rest.strip(b"\0") and self._kind in _NEXT:  # padding
            rest = self._file.read(CHUNK)
            counted = len(rest)
        if self._kind in ("xz", "gzip"):
            rest = rest.lstrip(b"\0")
        if 0 < len(rest) < 4:
            rest += self._file.read(CHUNK)
            counted = len(rest)
        goes_on = _NEXT.get(self._kind)
        if not rest or goes_on is None or not goes_on(rest):
            self._ended = True
            self.trailing = counted + self._unread()
            return
        self._decoder = _decoder(self._kind)
        self.streams += 1
        self._pending = rest

    def _unread(self) -> int:
        """Bytes of the file behind where it stands; those of a file without a known end are not counted."""
        try:
            at = self._file.tell()
            return max(0, self._file.seek(0, 2) - at)
        except OSError:
            return 0


def _zfile_header(file: IO[bytes]) -> int:
    """Where the zlib stream of joblib's old Z-file begins: magic, the length in 19 characters of hex, maybe a space."""
    file.seek(0)
    head = file.read(22)
    try:
        int(head[2:21], 16)
    except ValueError:
        raise OSError("broken joblib-zfile stream: its length is no hexadecimal number") from None
    if not head.startswith(b"ZF") or len(head) < 22:
        raise OSError("broken joblib-zfile stream: it ends in its header")
    return 22 if head[21:] == b" " else 21


def _decoder(kind: str) -> Any:
    if kind in ("zlib", "gzip", "deflate", "joblib-zfile"):
        import zlib

        return zlib.decompressobj({"gzip": 31, "deflate": -15}.get(kind, 15))
    if kind == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if kind == "lz4":
        from assay.formats.archives.lz4_frame import Lz4Decoder

        return Lz4Decoder()
    if kind == "zstd":
        return _zstd_decoder()
    import lzma

    form = lzma.FORMAT_XZ if kind == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(format=form, memlimit=LZMA_MEMORY)


def _zstd_decoder() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found,unused-ignore,no-redef]
        except ImportError:
            raise OSError("zstd cannot be read here: pip install backports.zstd") from None
    return zstd.ZstdDecompressor()
