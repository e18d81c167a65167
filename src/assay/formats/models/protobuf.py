"""A bounded walk over protocol-buffer messages in a file: no schema, no copies, and payloads are passed over by seek.

Source: protobuf.dev, "Encoding" (wire types 0, 1, 2 and 5; groups, types 3 and 4, are refused).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from assay.formats.models.source import Source, TornError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_DEPTH = 100
HEAD = 4096
_MOST_FIELDS = 64
_SMALL = 1 << 13
_LONGEST_KEY = 20  # a tag and a length or number, at most ten bytes each
# Long runs of unpacked numbers under one tag, which older writers make of lists, are passed over as one piece.
_RUNS = {
    FIXED32: lambda tag: re.compile(rb"(?:" + re.escape(tag) + rb".{4})+", re.DOTALL),
    FIXED64: lambda tag: re.compile(rb"(?:" + re.escape(tag) + rb".{8})+", re.DOTALL),
    VARINT: lambda tag: re.compile(rb"(?:" + re.escape(tag) + rb"[\x80-\xff]{0,9}[\x00-\x7f])+", re.DOTALL),
}

Field = tuple[int, int, int, int]
"""Number, wire type, and the number it holds (then 0), or for bytes their offset and length."""


def tag(number: int, wire: int) -> bytes:
    """The bytes that begin a field."""
    value, found = number << 3 | wire, bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))


def runs(*fields: tuple[int, int]) -> tuple[re.Pattern[bytes], ...]:
    """Patterns of repeated unpacked numbers, by field number and wire type, for `walk` to pass over."""
    return tuple(_RUNS[wire](tag(number, wire)) for number, wire in fields)


def strings_run(number: int, words: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """A pattern of a repeated string field that holds nothing but these short words."""
    inner = b"|".join(re.escape(bytes((len(word),)) + word) for word in words)
    return re.compile(rb"(?:" + re.escape(tag(number, BYTES)) + rb"(?:" + inner + rb"))+")


def walk(source: Source, start: int, end: int, passed: tuple[re.Pattern[bytes], ...] = ()) -> Iterator[Field]:
    """The fields of the message that lies in the file from `start` to `end`, in order.

    `passed` are patterns of runs that the caller does not want to see. Of a field that reaches beyond the message,
    what is there is given first. Raises TornError then, and ValueError where the bytes are no message.
    """
    if end > source.size:
        raise TornError("a message reaches beyond its end")
    if end - start <= _SMALL:
        yield from _within(source, start, end - start, passed)
        return
    at = start
    while at < end:
        place = source.hold(at, min(_LONGEST_KEY, end - at))
        window, stop = source.window, end - source.base
        for pattern in passed:
            found = pattern.match(window, place, min(stop, len(window)))
            if found is not None:
                source.step((found.end() - place) >> 4)
                at += found.end() - place
                break
        else:
            source.step()
            place, field = _field(window, place, min(stop, len(window)), source.base)
            at = source.base + place
            if field[1] == BYTES:
                at += field[3]
            if at > end:
                if field[1] == BYTES:
                    yield field[0], BYTES, field[2], end - field[2]
                raise TornError("a field reaches beyond the message that holds it")
            yield field


def _within(source: Source, start: int, size: int, passed: tuple[re.Pattern[bytes], ...]) -> Iterator[Field]:
    """`walk` over a small message, all of which is at hand: this is where the time goes in graphs of many nodes."""
    data = source.at(start, size)
    source.step(1 + (size >> 4))
    at = 0
    while at < size:
        found = None
        for pattern in passed:
            found = pattern.match(data, at)
            if found is not None:
                at = found.end()
                break
        if found is not None:
            continue
        key = data[at]
        if key & 7 != BYTES or not 8 <= key < 128:
            at, field = _field(data, at, size, start)
            if field[1] != BYTES:
                yield field
                continue
            number, length = field[0], field[3]
        else:
            number = key >> 3
            at += 1
            if at < size and data[at] < 128:
                length = data[at]
                at += 1
            else:
                at, length = _varint(data, at, size)
        if at + length > size:
            yield number, BYTES, start + at, size - at
            raise TornError("a field reaches beyond the message that holds it")
        yield number, BYTES, start + at, length
        at += length


def _field(window: bytes, at: int, stop: int, base: int) -> tuple[int, Field]:
    """One field's head: where its value or payload begins or ends, and the field."""
    at, key = _varint(window, at, stop)
    number, wire = key >> 3, key & 7
    if not 0 < number < 1 << 29:
        raise ValueError("a field number that protocol buffers do not have")
    if wire == VARINT:
        at, value = _varint(window, at, stop)
        return at, (number, wire, value, 0)
    if wire == BYTES:
        at, length = _varint(window, at, stop)
        return at, (number, wire, base + at, length)
    if wire not in (FIXED32, FIXED64):
        raise ValueError("a field of a kind that is refused (a group or an unknown wire type)")
    width = 4 if wire == FIXED32 else 8
    if at + width > stop:
        raise TornError("it ends inside a number")
    return at + width, (number, wire, int.from_bytes(window[at : at + width], "little"), 0)


def _varint(window: bytes, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= stop:
            raise TornError("it ends inside a number")
        byte = window[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return at, value & 0xFFFF_FFFF_FFFF_FFFF
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")


def signed(value: int) -> int:
    """A varint read as the 64-bit signed number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def numbers(source: Source, field: Field, most: int = 64) -> list[int]:
    """A repeated varint field, packed or single: its first `most` numbers, signed."""
    if field[1] == VARINT:
        return [signed(field[2])]
    if field[1] != BYTES:
        return []
    data, at = source.at(field[2], min(field[3], 10 * most)), 0
    found: list[int] = []
    while at < len(data) and len(found) < most:
        try:
            at, value = _varint(data, at, len(data))
        except TornError:
            if len(data) == field[3]:
                raise
            break
        found.append(signed(value))
    return found


def shape_of_head(
    head: bytes, wires: Mapping[int, tuple[int, ...]], *, whole: bool = False
) -> list[tuple[int, int, bytes]]:
    """The first fields of a file's head, if all agree with a message of these field numbers and wire types; else [].

    Each is number, value, payload (as far as the head reaches). With `whole`, a head that is shorter than HEAD bytes
    is all of the file, and must be a message to its last byte.
    """
    found: list[tuple[int, int, bytes]] = []
    whole = whole and len(head) < HEAD
    at = 0
    try:
        while at < len(head) and len(found) < _MOST_FIELDS:
            at, (number, wire, value, length) = _field(head, at, len(head), 0)
            if wire not in wires.get(number, ()):
                return []
            if wire == BYTES:
                found.append((number, length, head[at : at + length]))
                at += length
            else:
                found.append((number, value, b""))
    except TornError:
        return [] if whole else found
    except ValueError:
        return []
    return [] if whole and at > len(head) else found
