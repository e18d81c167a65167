"""A bounded reader of FlatBuffers in a file: tables, vectors and texts by slot, every offset checked, no schema.

Source: flatbuffers.dev, "FlatBuffers Internals" (little-endian; vtables; offsets relative to where they stand).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator

from assay.formats.models.source import Source, SpentError, TornError

_PAGE, _MOST_PAGES = 1 << 14, 64


class FlatBuffer:
    """The buffer that lies in a file from `start` to `end` (exclusive); reads pages of it as they are asked for."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source, self.start, self.end = source, start, end
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._left = 1000 + (end - start) // 4  # a table takes four bytes: more visits mean that lists share tables

    def at(self, offset: int, count: int) -> bytes:
        """`count` bytes at an offset in the buffer. Raises TornError beyond it."""
        if offset < 0 or count < 0 or self.start + offset + count > self.end:
            raise TornError("an offset points beyond its end")
        page, place = divmod(offset, _PAGE)
        if place + count > _PAGE:
            return self.source.at(self.start + offset, count)
        found = self._pages.get(page)
        if found is None:
            begin = self.start + page * _PAGE
            found = self.source.at(begin, min(_PAGE, self.end - begin))
            self._pages[page] = found
            if len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(page)
        return found[place : place + count]

    def visit(self) -> None:
        """Count a table. Raises SpentError where lists that share tables would multiply them."""
        self.source.step()
        self._left -= 1
        if self._left < 0:
            raise SpentError("its lists name more tables than it has room for")

    def number(self, offset: int, code: str) -> int:
        """An integer at an offset, by its `struct` code."""
        return int(struct.unpack("<" + code, self.at(offset, struct.calcsize(f"={code}")))[0])

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.number(0, "I"))


class Table:
    """A table at an offset in its buffer. An absent field gives 0, "", None or nothing."""

    __slots__ = ("buffer", "offset", "slots", "vtable")

    def __init__(self, buffer: FlatBuffer, offset: int) -> None:
        buffer.visit()
        self.buffer, self.offset = buffer, offset
        self.vtable = offset - buffer.number(offset, "i")
        size = buffer.number(self.vtable, "H")
        if size < 4 or size % 2:
            raise ValueError("a table's list of fields is damaged")
        self.slots = (size - 4) // 2

    def place(self, slot: int) -> int:
        """Where a field lies in the buffer; 0 if it is absent."""
        if slot >= self.slots:
            return 0
        found = self.buffer.number(self.vtable + 4 + 2 * slot, "H")
        return self.offset + found if found else 0

    def number(self, slot: int, code: str) -> int:
        """An integer field."""
        place = self.place(slot)
        return self.buffer.number(place, code) if place else 0

    def _target(self, slot: int) -> int:
        place = self.place(slot)
        return place + self.buffer.number(place, "I") if place else 0

    def table(self, slot: int) -> Table | None:
        """A field that is a table."""
        place = self._target(slot)
        return Table(self.buffer, place) if place else None

    def vector(self, slot: int, width: int) -> tuple[int, int]:
        """Where a vector's elements of `width` bytes begin, and how many there are. Raises TornError beyond the end."""
        place = self._target(slot)
        if not place:
            return 0, 0
        count = self.buffer.number(place, "I")
        if self.buffer.start + place + 4 + count * width > self.buffer.end:
            raise TornError("a list reaches beyond its end")
        return place + 4, count

    def text(self, slot: int, most: int = 4096) -> str:
        """A text, at most `most` bytes of it."""
        place, count = self.vector(slot, 1)
        return self.buffer.at(place, min(count, most)).decode("utf-8", "backslashreplace") if place else ""

    def numbers(self, slot: int, code: str, most: int = 64) -> list[int]:
        """The first `most` elements of a list of integers."""
        place, count = self.vector(slot, width := struct.calcsize(f"={code}"))
        count = min(count, most)
        return list(struct.unpack(f"<{count}{code}", self.buffer.at(place, count * width))) if count else []

    def tables(self, slot: int) -> Iterator[Table]:
        """The tables of a list."""
        place, count = self.vector(slot, 4)
        for at in range(place, place + 4 * count, 4):
            yield Table(self.buffer, at + self.buffer.number(at, "I"))

    def texts(self, slot: int, most: int = 100) -> list[str]:
        """The first `most` texts of a list."""
        place, count = self.vector(slot, 4)
        found = []
        for at in range(place, place + 4 * min(count, most), 4):
            begin = at + self.buffer.number(at, "I")
            length = self.buffer.number(begin, "I")
            found.append(self.buffer.at(begin + 4, min(length, 4096)).decode("utf-8", "backslashreplace"))
        return found


def file_identifier(head: bytes) -> bytes:
    """The four bytes that name a file's schema, if its head can be that of a FlatBuffer; else nothing."""
    root = int.from_bytes(head[:4], "little")
    return head[4:8] if len(head) >= 8 and 4 <= root < 1 << 31 and root % 2 == 0 else b""
