"""Links and attributes of HDF5 that are stored densely: a B-tree of version 2 whose records point into a fractal heap.

Source: HDF5 File Format Specification, version 3.0, III.A.2 (version 2 B-trees) and III.G (fractal heaps).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from assay.formats.models.hdf5_file import MOST_BLOCK, MOST_VALUE, Hdf5

# Where the heap's ID lies in a record, and how long it is, by the type of the tree.
_IDS = {5: (4, 7), 6: (8, 7), 8: (0, 8), 9: (0, 8)}
_HUGE_INDIRECT = 1
_MOST_ENTRIES = 2_000_000  # of all indexes and heaps of a file
_MOST_DEPTH = 32
_MOST_ROWS = 64
_MANAGED, _HUGE, _TINY = 0, 1, 2
_NODE_OVERHEAD = 10  # signature, version, type and checksum
_SHARED = 2


def objects(file: Hdf5, heap: int, tree: int) -> Iterator[bytes]:
    """Every object that the records of a name index point at. Raises ValueError for what breaks the format."""
    found = _Heap(file, heap)
    for kind, record in records(file, tree):
        if kind not in _IDS:
            raise ValueError(f"an index of type {kind} where names must be")
        at, length = _IDS[kind]
        if kind in (8, 9) and record[8] & _SHARED:
            raise ValueError("a shared attribute, which this version does not read")
        yield found.object(record[at : at + length])


def records(file: Hdf5, address: int) -> Iterator[tuple[int, bytes]]:
    """The records of a B-tree of version 2 in order, each with the tree's type."""
    head = file.at(address, 22 + file.offsets + file.lengths)
    if head[:4] != b"BTHD" or head[4] != 0:
        raise ValueError("no B-tree of version 2 where one must be")
    kind, node_size, size, depth = head[5], file.number(head, 6, 4), file.number(head, 10, 2), file.number(head, 12, 2)
    if not (size and size + _NODE_OVERHEAD <= node_size <= MOST_BLOCK) or depth > _MOST_DEPTH:
        raise ValueError("a B-tree of impossible extents")
    root, used = file.offset(head, 16), file.number(head, 16 + file.offsets, 2)
    if root == file.undefined:
        return
    widths = _widths(file, node_size, size, depth)
    for record in _node(file, root, used, depth, size, kind, widths):
        file.entries += 1
        if file.entries > _MOST_ENTRIES:
            raise ValueError(f"more than {_MOST_ENTRIES:,} entries in its indexes")
        yield kind, record


def _widths(file: Hdf5, node_size: int, size: int, depth: int) -> list[tuple[int, int]]:
    """By the depth of a node: bytes of a child's count of records, and of the count of all below that child."""
    most = (node_size - _NODE_OVERHEAD) // size
    of_count = _bytes_for(most)
    below, of_below = most, 0
    widths = [(0, 0)]
    for _ in range(depth):
        widths.append((of_count, of_below))
        pointer = file.offsets + of_count + of_below
        inside = max(0, node_size - _NODE_OVERHEAD - pointer) // (size + pointer)
        below = (inside + 1) * below + inside
        of_below = _bytes_for(below)
    return widths


def _bytes_for(limit: int) -> int:
    """How many bytes a number up to `limit` takes."""
    return max(1, (max(limit, 1).bit_length() - 1) // 8 + 1)


def _node(
    file: Hdf5, address: int, used: int, depth: int, size: int, kind: int, widths: list[tuple[int, int]]
) -> Iterator[bytes]:
    of_count, of_below = widths[depth]
    pointer = file.offsets + of_count + of_below
    body = file.at(address, 6 + used * size + ((used + 1) * pointer if depth else 0))
    if body[:4] != (b"BTIN" if depth else b"BTLF") or body[5] != kind:
        raise ValueError("no node of a B-tree where one must be")
    yield from (body[6 + i * size : 6 + (i + 1) * size] for i in range(used))
    at = 6 + used * size
    for _ in range(used + 1 if depth else 0):
        child, count = file.offset(body, at), file.number(body, at + file.offsets, of_count)
        yield from _node(file, child, count, depth - 1, size, kind, widths)
        at += pointer


class _Heap:
    """A fractal heap: where its direct blocks lie, and the objects that IDs stand for."""

    def __init__(self, file: Hdf5, address: int) -> None:
        self.file = file
        wide, long = file.offsets, file.lengths
        head = file.at(address, 22 + 12 * long + 3 * wide)
        if head[:4] != b"FRHP" or head[4] != 0:
            raise ValueError("no fractal heap where one must be")
        if file.number(head, 7, 2):
            raise ValueError("a heap that is compressed, which this version does not read")
        self.id_length = file.number(head, 5, 2)
        most_managed = file.number(head, 10, 4)
        self.huge_tree = file.offset(head, 14 + long)
        self.huge: dict[int, tuple[int, int]] | None = None
        at = 14 + 10 * long + 2 * wide
        self.width = file.number(head, at, 2)
        self.start, self.largest = file.length(head, at + 2), file.length(head, at + 2 + long)
        bits = file.number(head, at + 2 + 2 * long, 2)
        root, rows = file.offset(head, at + 6 + 2 * long), file.number(head, at + 6 + 2 * long + wide, 2)
        sizes = (self.start, self.largest, self.width)
        if any(n < 1 or n & (n - 1) for n in sizes) or self.largest < self.start or bits > 64 or rows > _MOST_ROWS:
            raise ValueError("a heap of impossible extents")
        self.offset_width = (bits + 7) // 8
        self.length_width = min((self.largest.bit_length() - 1 + 7) // 8, _bytes_for(most_managed))
        self.blocks: list[tuple[int, int, int]] = []  # where each begins in the heap, its size, its address
        self.seen: set[int] = set()
        if root != file.undefined:
            if rows:
                self._indirect(root, rows, 0, 0)
            else:
                self.blocks.append((0, self.start, root))
        self.blocks.sort()

    def _row(self, row: int) -> int:
        """The size of each block in a row."""
        return self.start << max(0, row - 1)

    def _indirect(self, address: int, rows: int, begins: int, depth: int) -> None:
        if depth > _MOST_DEPTH or rows > _MOST_ROWS:
            raise ValueError("a heap that goes round")
        head = 5 + self.file.offsets + self.offset_width
        block = self.file.at(address, head + rows * self.width * self.file.offsets)
        self.file.entries += rows * self.width
        if block[:4] != b"FHIB" or address in self.seen or self.file.entries > _MOST_ENTRIES:
            raise ValueError("no block of a heap where one must be")
        self.seen.add(address)
        at = head
        for row in range(rows):
            size = self._row(row)
            for _ in range(self.width):
                child = self.file.offset(block, at)
                at += self.file.offsets
                if child != self.file.undefined:
                    if size <= self.largest:
                        self.blocks.append((begins, size, child))
                    else:
                        inner = (size // (self.start * self.width)).bit_length()
                        self._indirect(child, inner, begins, depth + 1)
                begins += size

    def object(self, name: bytes) -> bytes:
        """The bytes of the object that an ID stands for. Raises ValueError."""
        kind = name[0] >> 4 & 3
        if name[0] >> 6:
            raise ValueError("an ID of a heap that this version does not know")
        if kind == _TINY:
            return name[1 : 2 + (name[0] & 15)]
        if kind == _HUGE:
            return self._huge_object(int.from_bytes(name[1 : 1 + min(self.file.lengths, self.id_length - 1)], "little"))
        if kind != _MANAGED:
            raise ValueError("an ID of a heap that this version does not know")
        place = int.from_bytes(name[1 : 1 + self.offset_width], "little")
        length = int.from_bytes(name[1 + self.offset_width :][: self.length_width], "little")
        found = bisect_right(self.blocks, (place, 1 << 65, 0)) - 1
        if found < 0 or place + length > self.blocks[found][0] + self.blocks[found][1]:
            raise ValueError("an ID that points at no block of its heap")
        begins, _, address = self.blocks[found]
        return self.file.at(address + place - begins, length)

    def _huge_object(self, number: int) -> bytes:
        if self.huge is None:
            self.huge = {}
            for kind, record in records(self.file, self.huge_tree):
                if kind != _HUGE_INDIRECT:
                    raise ValueError("a heap whose large objects are stored in a way that this version does not read")
                long, wide = self.file.lengths, self.file.offsets
                self.huge[self.file.length(record, wide + long)] = (
                    self.file.offset(record, 0),
                    self.file.length(record, wide),
                )
        address, length = self.huge.get(number, (self.file.undefined, 0))
        if length > MOST_VALUE:
            raise ValueError("a value that is too large")
        return self.file.at(address, length)
