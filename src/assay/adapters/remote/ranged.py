"""One remote file, read by ranges: a block cache that grows with sequential reads, and every answer checked.

Source: RFC 9110, sections 8.8 (validators), 14.2 and 14.4 (Range, Content-Range) and 15.3.7 (206).
"""

from __future__ import annotations

import io
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

from assay.adapters.remote.access import RemoteError
from assay.adapters.remote.client import Client, Login, Reply, refusal
from assay.adapters.remote.url import Url

BLOCK = 4 << 10
LEAST = 12 << 10  # from any place: the header of a zip's member and what its first bytes are judged by
NEAR = 64 << 10
HEAD = 64 << 10
TAIL = 128 << 10
WINDOW = 4 << 20
KEPT = 12 << 20
MOST_UNTOLD = 2 << 30  # kept of a body whose length nobody told
LEFT_FREE = 1 << 30  # where bodies are kept
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_NOTHING = re.compile(r"bytes \*/0+")


def _free() -> int:
    import shutil

    return shutil.disk_usage(tempfile.gettempdir()).free


class Content:
    """The bytes behind one address, the same bytes each time: size and validator are held to what came first.

    `size` is what a listing said, None where none did; what is served must agree.
    """

    def __init__(self, client: Client, url: Url, *, login: Login | None = None, size: int | None = None) -> None:
        self._client, self._first = client, (url, login)
        self._at = self._first
        self._validator: str | None = None
        self.size = size

    def start(self) -> bytes | IO[bytes]:
        """The first bytes, `size` then known; or, of a server that knows no ranges, the whole as a file.

        Raises RemoteError.
        """
        last = min(HEAD, self.size or HEAD) - 1
        reply = self._ask(0, last)
        if reply.status == 416 and _NOTHING.fullmatch(reply.header("Content-Range")):
            reply.drain()
            self._hold(0)
            return b""
        if reply.status == 206 and reply.header("Content-Range").endswith("/*"):
            reply.close()
            reply = self._client.get(self._at[0], login=self._at[1])
        if reply.status == 200:
            return self._whole(reply)
        return self._part(reply, 0, last)

    def read(self, at: int, count: int) -> bytes:
        """Exactly the bytes from `at`, which lie inside. Raises RemoteError."""
        last = at + count - 1
        reply = self._ask(at, last)
        if reply.status == 200:
            reply.close()
            raise RemoteError("changed while it was read: it is no longer served by ranges")
        return self._part(reply, at, last)

    def _ask(self, at: int, last: int) -> Reply:
        reply = self._client.get(self._at[0], login=self._at[1], span=(at, last))
        if reply.status in (400, 401, 403, 404, 410) and self._at[0] != self._first[0]:
            reply.drain()  # an address that was signed for a while only
            reply = self._client.get(self._first[0], login=self._first[1], span=(at, last))
        self._at = (reply.url, reply.login)
        return reply

    def _hold(self, size: int, reply: Reply | None = None) -> None:
        """What is served must be what was listed and served before."""
        if self.size is None:
            self.size = size
        if size != self.size:
            listed = "changed while it was read" if self._validator is not None else "is not as it was listed"
            raise RemoteError(f"{listed}: {size} bytes are served where {self.size} were")
        if reply is not None:
            validator = reply.header("ETag") or reply.header("Last-Modified")
            if self._validator is None:
                self._validator = validator
            if validator != self._validator:
                raise RemoteError("changed while it was read: its version is another")

    def _part(self, reply: Reply, at: int, last: int) -> bytes:
        try:
            if reply.status != 206:
                raise refusal(reply.status)
            found = _CONTENT_RANGE.fullmatch(reply.header("Content-Range"))
            if found is None:
                raise RemoteError("was answered with a part that does not say which")
            start, end, size = map(int, found.groups())
            self._hold(size, reply)
            if start != at or end != min(last, size - 1):
                raise RemoteError("was answered with another part than asked for")
            count = end - start + 1
            if reply.length not in (None, count):
                raise RemoteError("was answered with a part of a length that its header denies")
            data = reply.body(count)
        finally:
            reply.close()
        if len(data) != count:
            raise RemoteError(f"was cut off after {len(data)} of {count} bytes")
        return data

    def _whole(self, reply: Reply) -> IO[bytes]:
        """A body kept in a file without a name, as nothing of it can be asked for again."""
        try:
            most = self._client.access.most_bytes
            untold = reply.length is None and self.size is None
            most = min(most, MOST_UNTOLD if untold else most, max(0, _free() - LEFT_FREE))
            if reply.length is not None:
                if reply.length > most:
                    raise RemoteError(f"is longer than {most} bytes, which is the most allowed")
                self._hold(reply.length, reply)
            kept: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - closed by its reader
            try:
                for piece in reply.pieces(most if self.size is None else self.size):
                    kept.write(piece)
                self._hold(kept.tell(), reply)
                kept.seek(0)
            except BaseException:
                kept.close()
                raise
        finally:
            reply.close()
        return kept

    def open(self) -> BinaryIO:
        """A seekable stream. Raises RemoteError, an OSError, here and wherever it is read."""
        found = self.start()
        if not isinstance(found, bytes):
            return cast(BinaryIO, found)
        assert self.size is not None
        return io.BufferedReader(RangedFile(self, self.size, found), 8192)

    def stream(self) -> Iterator[bytes]:
        """All of it, from its first byte to its last. Raises RemoteError."""
        found = self.start()
        if isinstance(found, bytes):
            yield found
            at = len(found)
            while at < (self.size or 0):
                data = self.read(at, min(WINDOW * 2, (self.size or 0) - at))
                at += len(data)
                yield data
            return
        with found:
            while piece := found.read(1 << 20):
                yield piece


class RangedFile(io.RawIOBase):
    """A seekable file of `size` bytes over `content.read(at, count)`; `head` are bytes known from its start.

    What is read here and there comes in small pieces, what is read on, or with short leaps, in windows that double; the
    end of a file, where archives keep their index, at once. At most `kept` bytes stay in memory, and one window.
    """

    def __init__(
        self, content: Any, size: int, head: bytes = b"", *, block: int = BLOCK, kept: int = KEPT, window: int = WINDOW
    ) -> None:
        self._content, self._size = content, size
        self._block, self._most, self._longest = block, max(1, kept // block), max(1, window // block)
        self._tail = -(-min(TAIL, size) // block)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._least = max(1, min(LEAST // block, self._longest))
        self._pos, self._next, self._run = 0, -1 - NEAR, self._least
        whole = len(head) if len(head) == size else len(head) - len(head) % block
        self._keep(0, head[:whole])
        if whole:
            self._next = -(-whole // block)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._pos

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to `offset`; past the end is allowed, before the start is ValueError, as of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._pos, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative seek value {base + offset}")
        self._pos = base + offset
        return self._pos

    def readinto(self, buffer: Any) -> int:
        """Fill what lies in one block; 0 at the end. Raises OSError."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        count = min(len(buffer), self._size - self._pos)
        if count <= 0:
            return 0
        index, skip = divmod(self._pos, self._block)
        data = self._blocks.get(index)
        if data is None:
            self._fetch(index, (skip + count) // self._block)  # a buffer that is filled needs no second block
            data = self._blocks[index]
        else:
            self._blocks.move_to_end(index)
        part = data[skip : skip + count]
        buffer[: len(part)] = part
        self._pos += len(part)
        return len(part)

    def _fetch(self, index: int, wanted: int) -> None:
        total = -(-self._size // self._block)
        near = 0 <= index - self._next <= NEAR // self._block
        self._run = min(self._run * 2, self._longest) if near else self._least
        count = min(max(self._run, wanted), self._longest, self._most)
        first = total - self._tail
        if first <= index and self._tail <= self._most:
            if not any(n in self._blocks for n in range(first, index)):
                index = first
            count = total - index
        count = next((n for n in range(1, count) if index + n in self._blocks), min(count, total - index))
        at = index * self._block
        self._keep(index, self._content.read(at, min(count * self._block, self._size - at)))
        self._next = index + count

    def _keep(self, index: int, data: bytes) -> None:
        for at in range(0, len(data), self._block):
            self._blocks[index + at // self._block] = data[at : at + self._block]
            while len(self._blocks) > self._most:
                self._blocks.popitem(last=False)

    def close(self) -> None:
        self._blocks.clear()
        super().close()
