"""How large a Parquet or Arrow file becomes in memory, told from its metadata before a single cell is unpacked.

Arrow's layout: the project's format/Message.fbs, Schema.fbs and File.fbs, as flatbuffers (little-endian tables whose
first word points back to a table of field offsets). Everything that is read here is hostile and bounds-checked.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from assay.core.errors import InputError

MAX_FOOTER = 256 << 20
# Of memory for one table, as much as a worker has. IEEE-CIS fraud (590,540 × 434), KDD Cup 1999 (4.9 million × 42) and
# HIGGS (11 million × 29, 320 million values) stay below it.
MAX_MEMORY = 6 << 30
MAX_CELL = 1_000_000
# Bytes of a cell as it is read, and beside it as its column is typed (8, or 16 for a text's pointer).
_PARQUET_CELL = {"BOOLEAN": 1 + 1, "INT32": 1 + 8, "FLOAT": 4 + 8, "BYTE_ARRAY": 16 + 16}
_PARQUET_OTHER = 8 + 8
_ARROW_CELL = 8
_RECORD_BATCH, _DICTIONARY = 3, 2


class Size(msgspec.Struct, frozen=True):
    """`values` are cells, those of lists too; `bytes` is the least memory that reading the table takes.

    `cell` is the least size of the largest cell.
    """

    values: int
    bytes: int
    cell: int = 0


def refuse_bomb(size: Size, where: str, limit: int) -> None:
    """Raise InputError if the table cannot be read within `limit` bytes."""
    if size.bytes > limit:
        what = f"holds {size.values:,} values, which take at least {size.bytes / 1e9:,.1f} GB of memory"
        what += f"; at most {limit / 1e9:,.1f} GB are read"
        raise InputError(what, where=where, fix="take a sample of the rows")
    if size.cell > MAX_CELL:
        what = f"has cells of {size.cell:,} bytes and more; a cell may hold {MAX_CELL:,} characters"
        raise InputError(what, where=where, fix="shorten or drop that column")


def parquet_size(connection: Any, path: str) -> Size:
    """From the footer alone. Raises duckdb.Error where it is torn, ValueError where it is absurd."""
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 8))
        footer = int.from_bytes(file.read(4), "little")
    if footer > MAX_FOOTER:
        raise ValueError("a footer that is too large")
    rows = connection.execute("SELECT max(num_rows) FROM parquet_file_metadata(?)", [path]).fetchone()[0]
    columns = connection.execute(
        "SELECT any_value(type), sum(greatest(num_values, 0)), max(total_uncompressed_size), "
        "max(total_uncompressed_size // greatest(num_values, 1)) FROM parquet_metadata(?) GROUP BY column_id",
        [path],
    ).fetchall()
    values = needed = largest = cell = 0
    for kind, there, unpacked, mean in columns:
        count = max(int(rows or 0), int(there or 0))
        values += count
        needed += count * _PARQUET_CELL.get(kind, _PARQUET_OTHER)
        largest = max(largest, int(unpacked or 0))  # a column's pages are unpacked one after another
        cell = max(cell, int(mean or 0))
    return Size(values, max(needed, largest), cell)


def arrow_size(path: Path) -> Size:
    """From the headers of all batches. Raises ValueError for a file that is none or breaks off."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        walk = _blocks(data) if data[:6] == b"ARROW1" else _stream(data)
        values = needed = 0
        known: dict[tuple[int, int], Size] = {}
        for at, body in walk:
            if (at, body) not in known:
                known[at, body] = _batch(data, at, body)
            values += known[at, body].values
            needed += known[at, body].bytes
        return Size(values, needed)


def _stream(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """(where its metadata begins, where its body begins) of each message, one after another."""
    at = 0
    while at + 8 <= len(data):
        length, start = _prefix(data, at)
        if length == 0:
            return
        message = _Table.root(data, start, start + length)
        yield start, start + length
        at = start + length + message.number(3, "<q")
        if at < start + length:
            raise ValueError("a message of negative length")


def _blocks(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """The same for a file, whose footer lists its batches."""
    end = len(data) - 10
    if end < 8 or data[-6:] != b"ARROW1":
        raise ValueError("no footer")
    start = end - _read(data, "<i", end)
    if not 8 <= start < end or end - start > MAX_FOOTER:
        raise ValueError("a footer outside the file")
    footer = _Table.root(data, start, end)
    for field in (2, 3):
        at, count = footer.vector(field, 24)
        for block in range(count):
            offset, length = struct.unpack_from("<qi", data, at + 24 * block)
            size, begin = _prefix(data, offset)
            if size == 0:
                raise ValueError("an empty message")
            yield begin, offset + max(length, begin - offset + size)


def _prefix(data: mmap.mmap, at: int) -> tuple[int, int]:
    """(length of the metadata, where it begins): with a mark before its length, or without as old writers did."""
    length = _read(data, "<i", at)
    start = at + 4
    if length == -1:
        length, start = _read(data, "<i", at + 4), at + 8
    if length < 0 or start + length > len(data):
        raise ValueError("a message outside the file")
    return length, start


def _batch(data: mmap.mmap, at: int, body: int) -> Size:
    """One message's values, and the bytes that they take once its buffers are unpacked."""
    message = _Table.root(data, at, len(data))
    kind = message.number(1, "<B")
    if kind not in (_RECORD_BATCH, _DICTIONARY):
        return Size(0, 0)
    batch = message.table(2)
    if kind == _DICTIONARY:
        batch = batch.table(1)
    nodes, count = batch.vector(1, 16)
    values = sum(length for length, _ in struct.iter_unpack("<qq", data[nodes : nodes + 16 * count]) if length > 0)
    values = max(values, batch.number(0, "<q"))
    buffers, count = batch.vector(2, 16)
    packed = batch.has(3)
    unpacked = 0
    for offset, length in struct.iter_unpack("<qq", data[buffers : buffers + 16 * count]):
        # A packed buffer begins with its unpacked length, or -1 where packing it did not pay.
        said = _read(data, "<q", body + offset) if packed and length >= 8 else -1
        unpacked += max(said, length, 0)
    return Size(values, unpacked + values * _ARROW_CELL)


class _Table:
    """A flatbuffer's table in `data`, at `at`; nothing of it is read beyond `end`."""

    def __init__(self, data: mmap.mmap, at: int, end: int) -> None:
        self._data, self._at, self._end = data, at, end
        self._fields = at - _read(data, "<i", at)
        self._size = _read(data, "<H", self._fields)

    @classmethod
    def root(cls, data: mmap.mmap, start: int, end: int) -> _Table:
        """The outermost table of the buffer that begins at `start`."""
        return cls(data, start + _read(data, "<I", start), end)

    def _place(self, field: int) -> int:
        slot = 4 + 2 * field
        offset = _read(self._data, "<H", self._fields + slot) if slot + 2 <= self._size else 0
        return self._at + offset if offset else 0

    def has(self, field: int) -> bool:
        """Whether the field is set."""
        return self._place(field) > 0

    def number(self, field: int, form: str) -> int:
        """A number, 0 where it is not set."""
        place = self._place(field)
        return _read(self._data, form, place) if place else 0

    def table(self, field: int) -> _Table:
        """A table inside. Raises ValueError where it is not set."""
        place = self._place(field)
        if not place:
            raise ValueError("a header is missing")
        return _Table(self._data, place + _read(self._data, "<I", place), self._end)

    def vector(self, field: int, width: int) -> tuple[int, int]:
        """(where its elements begin, how many); none where it is not set. Raises ValueError if it leaves the file."""
        place = self._place(field)
        if not place:
            return 0, 0
        at = place + _read(self._data, "<I", place)
        count = _read(self._data, "<I", at)
        if at + 4 + width * count > self._end:
            raise ValueError("a list outside the file")
        return at + 4, count


def _read(data: mmap.mmap, form: str, at: int) -> int:
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise ValueError("a place outside the file")
    value: int = struct.unpack_from(form, data, at)[0]
    return value
