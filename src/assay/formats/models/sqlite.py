"""SQLite databases: values in their cells that caches and key-value stores unpickle (diskcache, sqlitedict, shelve).

Source: sqlite.org/fileformat2.html (1.3 the header, 1.6 b-tree pages and overflow, 2.1 records). The pages are gone
through one after another, whatever table they belong to; freed pages are no different from others here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.source import Source, SpentError
from assay.formats.reading import Limits, Part, Reading

MARK = b"SQLite format 3\0"
_HEADER = 100
_LEAF_TABLE, _LEAF_INDEX, _INNER_INDEX = 0x0D, 0x0A, 0x02
_LEAVES = {_LEAF_TABLE: 8, _LEAF_INDEX: 8, _INNER_INDEX: 12}  # the length of the page's own header
_FIXED = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}  # bytes of a value, by its serial type
_MOST_PARTS = 20_000
_MOST_TOGETHER = 256 << 20
_MOST_VALUE = 64 << 20
_PICKLE = re.compile(rb"\x80[\x00-\x05]|[(}\]lp\d\n]{0,12}[ci][A-Za-z_][\w.]*\n[A-Za-z_]\w*\n")
_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a database's cells: see `Facts` for what is measured. Raises OSError; damage is a gap."""
    facts = Facts("sqlite")
    source = Source(file, limits)
    with facts.torn():
        _Pages(source, facts).walk()
    return facts.reading()


class _Pages:
    """One walk over the pages of a database."""

    def __init__(self, source: Source, facts: Facts) -> None:
        self.source, self.facts = source, facts
        head = source.at(0, _HEADER)
        size = int.from_bytes(head[16:18], "big")
        self.size = 65536 if size == 1 else size
        if self.size < 512 or self.size & (self.size - 1) or head[20] > self.size - 480:
            raise ValueError("its pages have no size that SQLite knows")
        self.usable = self.size - head[20]
        self.count = source.size // self.size
        self.together = 0
        announced = int.from_bytes(head[28:32], "big")
        if announced > self.count and head[24:28] == head[92:96]:
            facts.gap(f"is torn: its header says {announced:,} pages, and it has {self.count:,}")

    def walk(self) -> None:
        """Take the values of every cell. Raises ValueError."""
        cells = 0
        for number in range(self.count):
            self.source.step()
            start = number * self.size
            at = _HEADER if number == 0 else 0
            page = self.source.at(start, self.size)
            header = _LEAVES.get(page[at])
            if header is None:
                continue
            many = int.from_bytes(page[at + 3 : at + 5], "big")
            for i in range(min(many, (self.size - at - header) // 2)):
                place = at + header + 2 * i
                cells += 1
                self._cell(page, int.from_bytes(page[place : place + 2], "big"), page[at])
        self.facts.measured |= {"pages": self.count, "cells": cells}

    def _cell(self, page: bytes, at: int, kind: int) -> None:
        """The values of one cell; one that reads as none is of a page that is no b-tree's, and passed over."""
        try:
            if kind == _INNER_INDEX:
                at += 4
            size, at = _varint(page, at)
            if kind == _LEAF_TABLE:
                _, at = _varint(page, at)
            payload = self._payload(page, at, size, kind)
            for value in _blobs(payload):
                self._value(value)
        except IndexError:
            return

    def _payload(self, page: bytes, at: int, size: int, kind: int) -> bytes:
        """A record, with what of it lies on overflow pages (1.6)."""
        least = (self.usable - 12) * 32 // 255 - 23
        most = self.usable - 35 if kind == _LEAF_TABLE else (self.usable - 12) * 64 // 255 - 23
        if size <= most:
            return page[at : at + size]
        if size > _MOST_VALUE:
            self.facts.gap(f"holds values of more than {_MOST_VALUE >> 20} MB, which were not read")
            return b""
        local = least + (size - least) % (self.usable - 4)
        local = local if local <= most else least
        parts, left = [page[at : at + local]], size - local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while left > 0 and 0 < following <= self.count:
            self.source.step()
            more = self.source.at((following - 1) * self.size, self.usable)
            parts.append(more[4 : 4 + left])
            left -= len(parts[-1])
            following = int.from_bytes(more[:4], "big")
        return b"".join(parts)

    def _value(self, value: bytes) -> None:
        if not (_PICKLE.match(value) or value.startswith(b"PK\x03\x04") or _packs_a_pickle(value)):
            return
        self.together += len(value)
        if len(self.facts.parts) >= _MOST_PARTS or self.together > _MOST_TOGETHER:
            raise SpentError("it holds more values that may be pickles than are looked at")
        self.facts.parts.append(Part(f"cell {len(self.facts.parts) + 1}", value))


def _packs_a_pickle(value: bytes) -> bool:
    """Whether a value is a pickle in the form of gzip or zlib."""
    if not value.startswith(_PACKED):
        return False
    try:
        return _PICKLE.match(zlib.decompressobj(47).decompress(value, 600)) is not None
    except zlib.error:
        return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and the place after it. Raises IndexError beyond the end."""
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 127
        if byte < 128:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9


def _blobs(record: bytes) -> Iterator[bytes]:
    """The blobs of a record, and its texts: shelve in SQLite and some stores keep pickles in either."""
    if not record:
        return
    length, at = _varint(record, 0)
    place = length
    while at < length:
        kind, at = _varint(record, at)
        size = _FIXED.get(kind, 0) if kind < 12 else (kind - 12) // 2
        if kind >= 12 and place + size <= len(record):
            yield record[place : place + size]
        place += size
