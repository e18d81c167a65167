"""What a worker says to the pool: length-prefixed JSON frames over a socket."""

from __future__ import annotations

import socket
import struct

import msgspec

from assay.core.check import Yielded
from assay.core.exhibit import Exhibit
from assay.core.finding import Finding, Measure
from assay.engine.ask import End

MAX_FRAME = 64 * 1024**2
_HEAD = struct.Struct("!I")


class Said(msgspec.Struct, frozen=True, tag="said", omit_defaults=True):
    """One thing that a check yielded; exactly one field is set."""

    finding: Finding | None = None
    measure: Measure | None = None
    exhibit: Exhibit | None = None

    @property
    def item(self) -> Yielded:
        """The thing itself."""
        item = self.finding or self.measure or self.exhibit
        assert item is not None
        return item


class Step(msgspec.Struct, frozen=True, tag="step"):
    """How far the check is, from 0 to 1."""

    part: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker runs; `pid` is what to kill at a limit."""

    pid: int


Message = Said | Step | Ready | End
_decoder = msgspec.json.Decoder(Message)


def said(item: Yielded) -> Said:
    """Wrap what a check yielded."""
    if isinstance(item, Finding):
        return Said(finding=item)
    if isinstance(item, Measure):
        return Said(measure=item)
    return Said(exhibit=item)


def pack(message: Message) -> bytes:
    """A message as a frame."""
    return frame(msgspec.json.encode(message, enc_hook=_number))


def _number(value: object) -> object:
    """A number of numpy that a check left among its own, as Python's. Raises TypeError for anything else."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()  # type: ignore[attr-defined]
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def frame(data: bytes) -> bytes:
    """Bytes behind their length."""
    if len(data) > MAX_FRAME:
        raise ValueError("a message is too large to send")
    return _HEAD.pack(len(data)) + data


def receive(connection: socket.socket) -> bytes:
    """One whole frame from a blocking socket; b"" at its end."""
    head = _exactly(connection, _HEAD.size)
    return _exactly(connection, _HEAD.unpack(head)[0]) if head else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return b""
        data += part
    return bytes(data)


class Inbox:
    """Turns the bytes that arrive on a non-blocking socket into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises ValueError for a frame that no honest worker sends."""
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._buffer)
            if size > MAX_FRAME:
                raise ValueError("a frame is too large")
            if len(self._buffer) < _HEAD.size + size:
                break
            messages.append(_decoder.decode(bytes(self._buffer[_HEAD.size : _HEAD.size + size])))
            del self._buffer[: _HEAD.size + size]
        return messages
