"""UBJSON (draft 12, typed and counted containers): a bounded walk that passes over arrays of numbers, and a loader.

The walk keeps only values that are short and near the root: what a model says of itself, not its numbers. The loader
reads the part of UBJSON that XGBoost writes, so that no other reader of a file can take it for something else: lengths
are of eight bytes, objects end by their mark, typed lists hold numbers, and nothing stands between values.
"""

from __future__ import annotations

import struct

from assay.core.finding import Json
from assay.formats.models.json_alike import TWICE, TwofoldError
from assay.formats.models.source import Cursor, TornError

_NUMBERS = {b"i": "b", b"U": "B", b"I": "h", b"l": "i", b"L": "q"}
_CODES = {**_NUMBERS, b"d": "f", b"D": "d"}
_WIDTHS = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8, b"C": 1, b"Z": 0, b"T": 0, b"F": 0, b"N": 0}
_CONSTANTS: dict[bytes, Json] = {b"Z": None, b"T": True, b"F": False}
_MOST_DEPTH = 64
_MOST_KEPT, _MOST_TEXT, _KEPT_DEPTH = 2000, 1000, 4


class Walk:
    """Walks one value from a cursor (big-endian) on; `kept` has the short ones near the root by their path."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.kept: dict[tuple[str | int, ...], Json] = {}
        self.counts: dict[tuple[str | int, ...], int] = {}

    def value(self) -> None:
        """Pass over one value. Raises ValueError where it is none."""
        self._value(self._mark(), ())

    def _mark(self) -> bytes:
        while (mark := self.cursor.take(1)) == b"N":
            self.cursor.source.step()
        return mark

    def _length(self) -> int:
        code = _NUMBERS.get(self.cursor.take(1))
        length = self.cursor.number(code) if code else -1
        if length < 0:
            raise ValueError("a length that is no number, or negative")
        return length

    def _text(self, length: int) -> str:
        if length > self.cursor.source.size - self.cursor.place:
            raise TornError("a text reaches beyond its end")
        found = self.cursor.source.text(self.cursor.place, length, _MOST_TEXT)
        self.cursor.skip(length)
        return found

    def _keep(self, path: tuple[str | int, ...], value: Json) -> None:
        if len(path) <= _KEPT_DEPTH and len(self.kept) < _MOST_KEPT:
            self.kept[path] = value

    def _value(self, mark: bytes, path: tuple[str | int, ...]) -> None:
        self.cursor.source.step()
        if mark in _NUMBERS:
            self._keep(path, self.cursor.number(_NUMBERS[mark]))
        elif mark in _CONSTANTS:
            self._keep(path, _CONSTANTS[mark])
        elif mark in _WIDTHS:
            self.cursor.skip(_WIDTHS[mark])
        elif mark in (b"S", b"H"):
            self._keep(path, self._text(self._length()))
        elif mark in (b"[", b"{"):
            if len(path) >= _MOST_DEPTH:
                raise ValueError("it nests its values too deeply")
            self._container(mark == b"{", path)
        else:
            raise ValueError("a byte that begins no value")

    def _container(self, keyed: bool, path: tuple[str | int, ...]) -> None:
        kind, count = b"", -1
        if self._peek() == b"$":
            self.cursor.skip(1)
            kind = self.cursor.take(1)
            if self._peek() != b"#":
                raise ValueError("a typed list without its length")
        if self._peek() == b"#":
            self.cursor.skip(1)
            count = self._length()
        if kind in _WIDTHS and not keyed:
            self.cursor.skip(count * _WIDTHS[kind])
            self.counts[path] = count
            return
        close, at = b"}" if keyed else b"]", 0
        while at != count:
            if count < 0 and self._peek() == close:
                self.cursor.skip(1)
                break
            inner: str | int = self._text(self._length()) if keyed else at
            self._value(kind or self._mark(), (*path, inner))
            at += 1
        if len(self.counts) < _MOST_KEPT:
            self.counts[path] = at

    def _peek(self) -> bytes:
        return self.cursor.source.at(self.cursor.place, 1)


def load(cursor: Cursor) -> Json:
    """The value at a cursor (big-endian), whole, with its numbers. Raises ValueError or TornError where it is none,
    TwofoldError for a key that comes twice."""
    return _Load(cursor).whole()


class _Load(Walk):
    """Builds what `Walk` passes over."""

    def whole(self) -> Json:
        value = self._read(self.cursor.take(1), 0)
        if self.cursor.place != self.cursor.source.size:
            raise ValueError("bytes after its end")
        return value

    def _read(self, mark: bytes, depth: int) -> Json:
        self.cursor.source.step()
        if mark in _CODES:
            return (self.cursor.number if mark in _NUMBERS else self.cursor.real)(_CODES[mark])
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark == b"S":
            length = self._length()
            if length > self.cursor.source.size - self.cursor.place:
                raise TornError("a text reaches beyond its end")
            return self.cursor.take(length).decode("utf-8")
        if mark not in (b"[", b"{") or depth >= _MOST_DEPTH:
            raise ValueError("a byte that begins no value here, or values nested too deeply")
        return self._object(depth) if mark == b"{" else self._list(depth)

    def _object(self, depth: int) -> Json:
        found: dict[str, Json] = {}
        while self._peek() != b"}":
            name = self.cursor.take(self._length()).decode("utf-8")
            if name in found:
                raise TwofoldError(TWICE)
            found[name] = self._read(self.cursor.take(1), depth + 1)
        self.cursor.skip(1)
        return found

    def _list(self, depth: int) -> Json:
        if self._peek() == b"$":
            self.cursor.skip(1)
            kind = self.cursor.take(1)
            if kind not in _CODES or self.cursor.take(1) != b"#":
                raise ValueError("a typed list without its length, or of no numbers")
            return self._numbers(kind, self._length())
        if self._peek() == b"#":
            self.cursor.skip(1)
            return [self._read(self.cursor.take(1), depth + 1) for _ in range(self._length())]
        items: list[Json] = []
        while self._peek() != b"]":
            items.append(self._read(self.cursor.take(1), depth + 1))
        self.cursor.skip(1)
        return items

    def _length(self) -> int:
        if self.cursor.take(1) != b"L":
            raise ValueError("a length that is not of eight bytes")
        length = self.cursor.number("q")
        if length < 0:
            raise ValueError("a negative length")
        return length

    def _numbers(self, kind: bytes, count: int) -> list[Json]:
        if count * _WIDTHS[kind] > self.cursor.source.size - self.cursor.place:
            raise TornError("a list reaches beyond its end")
        return list(struct.unpack(f">{count}{_CODES[kind]}", self.cursor.take(count * _WIDTHS[kind])))
