"""Flax models in msgpack: a bounded walk that passes over arrays and must end where the file ends.

Source: msgpack's specification; flax.serialization (extension types 1 ndarray, 2 complex number, 3 numpy scalar).
"""

from __future__ import annotations

import io
import math
import re
from typing import IO

from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.protobuf import HEAD
from assay.formats.models.source import Cursor, Source, TornError
from assay.formats.reading import Limits, Part, Reading

_MOST_DEPTH = 100
_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8} | {0xCC + i: 1 << i for i in range(4)}
_FIXED |= {0xD0 + i: 1 << i for i in range(4)}
_SIZED = {0xC4: "B", 0xC5: "H", 0xC6: "I", 0xD9: "B", 0xDA: "H", 0xDB: "I"}
_BINARY = frozenset({0xC4, 0xC5, 0xC6})
_PACKED = (b"PK\x03\x04", b"\x1f\x8b\x08")
_MOST_PARTS, _MOST_PART = 100, 64 << 20
_EXTENSION = {0xC7: "B", 0xC8: "H", 0xC9: "I"}
_LISTS = {0xDC: ("H", 1), 0xDD: ("I", 1), 0xDE: ("H", 2), 0xDF: ("I", 2)}
_KEY = re.compile(rb"[A-Za-z0-9_.:/ -]{1,200}")
_WIDTHS = {"bool": 1, "bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "uint4": 1, "S1": 1}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file begins with a map whose first key is a word; an empty map counts under a name in .msgpack."""
    if head == b"\x80":
        return name.lower().endswith(".msgpack")
    if not head or not (0x81 <= head[0] <= 0x8F or head[0] in (0xDE, 0xDF)):
        return False
    at = 1 if head[0] < 0x90 else 3 if head[0] == 0xDE else 5
    kind = head[at] if at < len(head) else 0
    if 0xA1 <= kind <= 0xBF:
        start, length = at + 1, kind & 31
    elif kind == 0xD9 and at + 1 < len(head):
        start, length = at + 2, head[at + 1]
    else:
        return False
    if _KEY.fullmatch(head[start : start + length]) is None:
        return False
    return name.lower().endswith(".msgpack") or _reads(head)


def _reads(head: bytes) -> bool:
    """Whether all of a file's head is msgpack; a head shorter than HEAD bytes is all of the file."""
    source = Source(io.BytesIO(head), Limits())
    cursor = Cursor(source, 0, ">")
    try:
        _Walk(Facts("flax-msgpack"), cursor).value()
    except TornError:
        return len(head) >= HEAD
    except ValueError:
        return False
    return cursor.place == len(head)


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a Flax msgpack file. Raises OSError; damage is a gap."""
    facts = Facts("flax-msgpack")
    source = Source(file, limits)
    with facts.torn():
        cursor = Cursor(source, 0, ">")
        _Walk(facts, cursor).value()
        if cursor.place != source.size:
            facts.gap(f"holds {source.size - cursor.place:,} bytes after its end, which were not read")
    return facts.reading()


class _Walk:
    """One walk; `value` passes over whatever stands at the cursor, without recursion."""

    def __init__(self, facts: Facts, cursor: Cursor) -> None:
        self.facts, self.cursor = facts, cursor

    def value(self) -> None:
        """Pass over one value and all that is in it. Raises ValueError."""
        pending = [1]
        top = True
        while pending:
            if not pending[-1]:
                pending.pop()
                continue
            pending[-1] -= 1
            self.cursor.source.step()
            inside = self._one(top)
            top = False
            if inside:
                pending.append(inside)
                if len(pending) > _MOST_DEPTH:
                    raise ValueError("it nests its values too deeply")

    def _one(self, top: bool) -> int:
        """Pass over one value's head, or all of it; how many values are in it."""
        cursor = self.cursor
        kind = cursor.take(1)[0]
        if kind < 0x80 or kind >= 0xE0:
            return 0
        if kind < 0xA0:
            return (kind & 15) * (2 if kind < 0x90 else 1)
        if kind < 0xC0:
            cursor.skip(kind & 31)
        elif kind in _FIXED:
            cursor.skip(_FIXED[kind])
        elif kind in _SIZED:
            size = cursor.number(_SIZED[kind])
            if kind in _BINARY:
                self._binary(cursor.place, size)
            cursor.skip(size)
        elif kind in _LISTS:
            code, each = _LISTS[kind]
            return cursor.number(code) * each
        elif kind in _EXTENSION:
            self._extension(cursor.number(_EXTENSION[kind]))
        elif 0xD4 <= kind <= 0xD8:
            self._extension(1 << (kind - 0xD4))
        else:
            raise ValueError(f"a byte (0x{kind:02x}) that begins no value")
        return 0

    def _binary(self, start: int, size: int) -> None:
        """Bytes that begin as a pickle or an archive: the program that reads the map may load them."""
        source = self.cursor.source
        head = source.at(start, min(size, 4)) if start + size <= source.size else b""
        if not head.startswith(_PACKED) and not (head[:1] == b"\x80" and head[1:2] <= b"\x05" and size > 2):
            return
        if len(self.facts.parts) >= _MOST_PARTS or size > _MOST_PART:
            self.facts.gap("holds more or longer values that begin as pickles than are looked at")
        else:
            self.facts.parts.append(Part("value", source.at(start, size)))

    def _extension(self, length: int) -> None:
        kind = self.cursor.number("b")
        start = self.cursor.place
        self.cursor.skip(length)
        if kind in (_ARRAY, _SCALAR):
            self._array(start, start + length)
        elif kind != _COMPLEX:
            self.facts.gap(f"holds values of the extension type {kind}, which Flax does not write")

    def _array(self, start: int, end: int) -> None:
        """A shape, the name of a type, and the bytes, packed into one extension."""
        inner = Cursor(self.cursor.source, start, ">")
        if inner.take(1)[0] & 0xF0 != 0x90:
            raise ValueError("an array that is not packed as Flax packs it")
        kind = inner.take(1)[0]
        count = kind & 15 if kind & 0xF0 == 0x90 else -1
        shape = [_extent(inner) for _ in range(count)]
        name = _text(inner)
        size = _text_size(inner)
        if count < 0 or inner.place + size != end:
            raise ValueError("an array that is not packed as Flax packs it")
        shown = visible(name, 40)
        width = _width(name)
        if width is None:
            self.facts.gap(f"holds an array of the type '{shown}', which is no type of numbers")
        elif math.prod(shape) * width != size:
            self.facts.gap(f"holds an array of another size than its shape gives ('{shown}')")
        self.facts.tensor(shown, shape)


def _width(name: str) -> int | None:
    """Bytes of an element, by numpy's name of its type; None for what is no number."""
    found = re.fullmatch(r"(?:u?int|float|complex)(8|16|32|64|128)", name)
    return int(found[1]) // 8 if found else _WIDTHS.get(name)


def _extent(cursor: Cursor) -> int:
    kind = cursor.take(1)[0]
    if kind < 0x80:
        return kind
    if 0xCC <= kind <= 0xCF:
        return cursor.number("BHIQ"[kind - 0xCC])
    raise ValueError("an extent that is no number")


def _text_size(cursor: Cursor) -> int:
    kind = cursor.take(1)[0]
    if 0xA0 <= kind < 0xC0:
        return kind & 31
    if kind in _SIZED:
        return cursor.number(_SIZED[kind])
    raise TornError("an array without its bytes")


def _text(cursor: Cursor) -> str:
    length = _text_size(cursor)
    if length > 200:
        raise ValueError("the name of an array's type is too long")
    return cursor.take(length).decode("utf-8", "backslashreplace")
