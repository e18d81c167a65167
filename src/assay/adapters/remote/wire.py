"""A connection to a judged address: every read has a deadline, and a sender that drips is left."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import msgspec

from assay.adapters.remote.access import RemoteError
from assay.adapters.remote.address import Place
from assay.adapters.remote.url import Url

MOST_HEADER = 256 << 10


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Patience, in seconds: a request may take `base` and one more for every `pace` bytes, `longest` at the most."""

    connect: float = 10.0
    read: float = 30.0
    base: float = 60.0
    pace: float = 32_768.0
    longest: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


class Wire:
    """What http.client uses as its socket."""

    def __init__(self, sock: socket.socket, timing: Timing) -> None:
        self._sock, self._timing = sock, timing
        self._start, self._came = timing.clock(), 0
        self.allowance = MOST_HEADER

    def begin(self) -> None:
        """A new request: its deadline and its header's bound start afresh."""
        self._start, self._came, self.allowance = self._timing.clock(), 0, MOST_HEADER

    def _patience(self) -> float:
        patience = min(self._timing.base + self._came / self._timing.pace, self._timing.longest)
        left = self._start + patience - self._timing.clock()
        if left <= 0:
            raise RemoteError("was served too slowly")
        return min(left, self._timing.read)

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._patience())
        self._sock.sendall(data)

    def receive(self, stream: io.RawIOBase, buffer: memoryview) -> int:
        """Fill part of `buffer`; 0 at the end. Raises RemoteError when time or `allowance` is used up."""
        if self.allowance <= 0:
            raise RemoteError("was answered with more than belongs there")
        self._sock.settimeout(self._patience())
        try:
            count = stream.readinto(buffer) or 0
        except TimeoutError:
            self._patience()  # which is it: nothing came, or too little for too long
            raise
        self._came += count
        self.allowance -= count
        return count

    def makefile(self, mode: str = "rb", *_: object) -> io.BufferedReader:
        return _Counted(_Timed(self, self._sock.makefile("rb", buffering=0)), 65_536)

    def close(self) -> None:
        self._sock.close()


class _Timed(io.RawIOBase):
    def __init__(self, wire: Wire, stream: Any) -> None:
        self._wire, self._stream = wire, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(self._stream, memoryview(buffer))

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Counted(io.BufferedReader):
    """Never reads on without a bound, as http.client would for a chunk whose length is negative."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise RemoteError("was answered in malformed chunks")
        return super().read(size)


class Connection(http.client.HTTPConnection):
    """HTTP/1.1 over one judged address of a host. The certificate is checked against the host's name."""

    sock: Any

    def __init__(self, url: Url, places: tuple[Place, ...], tls: ssl.SSLContext | None, timing: Timing) -> None:
        super().__init__(url.host, url.port, timeout=timing.connect)
        self.default_port = 443 if tls is not None else 80  # what need not be said in the Host header
        self._places, self._tls, self._timing = places, tls, timing
        self.uses = 0

    def connect(self) -> None:
        """Connect to the first address that answers. Raises OSError."""
        failed: OSError | None = None
        for place in self._places:
            sock = socket.socket(place.family, socket.SOCK_STREAM)
            try:
                sock.settimeout(self._timing.connect)
                sock.connect(place.sockaddr)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_hostname=self.host, suppress_ragged_eofs=False)
            except OSError as error:
                sock.close()
                failed = error
                continue
            self.sock = Wire(sock, self._timing)
            return
        raise failed or OSError("no address")
