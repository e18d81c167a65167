"""The objects of an HDF5 file: groups, attributes, datasets and links, followed by their addresses and never decoded.

Source: HDF5 File Format Specification, version 3.0 (superblocks 0 to 3, object headers 1 and 2, symbol tables).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from assay.formats.reading import Limits

MARK = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 200_000
MOST_MESSAGES = 100_000
MOST_BLOCK = 64 << 20
MOST_VALUE = 64 << 20
_HARD, _SOFT, _EXTERNAL = 0, 1, 64


class Message(msgspec.Struct, frozen=True):
    """One message of an object's header: its type (IV.A.2), its flags and its bytes."""

    kind: int
    flags: int
    data: bytes


class Link(msgspec.Struct, frozen=True):
    """A group's entry: the `address` of an object, or the `target` in words where it is soft or external."""

    name: str
    address: int = -1
    target: str = ""
    external: bool = False


Objects = Callable[["Hdf5", int, int], Iterator[bytes]]
"""What reads the objects of a heap by its index: the file, the heap's address and the index's."""


class Hdf5:
    """One file, opened at its superblock. Raises ValueError for what breaks the format, OSError."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.file, self.limits = file, limits
        self.size = file.seek(0, 2)
        self.read_bytes = self.entries = 0
        start = self._superblock()
        head = self._at(start, 96)
        self.version = head[8]
        if self.version in (0, 1):
            self.offsets, self.lengths = head[13], head[14]
            at = 24 if self.version == 0 else 28
        elif self.version in (2, 3):
            self.offsets, self.lengths = head[9], head[10]
            at = 12
        else:
            raise ValueError(f"a superblock of version {self.version}")
        if self.offsets not in (4, 8) or self.lengths not in (4, 8):
            raise ValueError("offsets of a strange size")
        self.undefined = (1 << 8 * self.offsets) - 1
        self.base = self._int(head, at, self.offsets)
        if self.base == 0:
            self.base = start  # a user block that was put before the file leaves the addresses as they were
        end = self._int(head, at + 2 * self.offsets, self.offsets)
        if end != self.undefined and self.base + end > self.size and end > self.size:
            raise ValueError("shorter than its superblock says")
        root = at + (4 + 1 if self.version in (0, 1) else 3) * self.offsets
        self.root = self._int(head, root, self.offsets)

    def _superblock(self) -> int:
        place = 0
        while place < self.size:
            if self._at(place, 8) == MARK:
                return place
            place = place * 2 or 512
        raise ValueError("no superblock")

    def _at(self, place: int, count: int) -> bytes:
        """Up to `count` bytes from the file's own beginning."""
        if self.limits.late():
            raise ValueError("out of time")
        self.read_bytes += count
        if self.read_bytes > self.limits.max_bytes:
            raise ValueError("more bytes than may be read")
        self.file.seek(place)
        return self.file.read(count)

    def at(self, address: int, count: int) -> bytes:
        """`count` bytes at an address. Raises ValueError where the file does not reach that far."""
        if address < 0 or count < 0 or address == self.undefined or self.base + address + count > self.size:
            raise ValueError(f"an address beyond the end of the file: {address}")
        return self._at(self.base + address, count)

    def number(self, data: bytes, at: int, width: int) -> int:
        """The number of `width` bytes that stands at a place of a structure."""
        return self._int(data, at, width)

    def _int(self, data: bytes, at: int, width: int) -> int:
        if at + width > len(data):
            raise ValueError("a structure that is cut short")
        return int.from_bytes(data[at : at + width], "little")

    def offset(self, data: bytes, at: int) -> int:
        """The address that stands at a place of a structure."""
        return self._int(data, at, self.offsets)

    def length(self, data: bytes, at: int) -> int:
        """The length that stands at a place of a structure."""
        return self._int(data, at, self.lengths)

    # --- object headers (IV.A)

    def messages(self, address: int) -> list[Message]:
        """The messages of the object at an address, continuation blocks included."""
        found: list[Message] = []
        head = self.at(address, min(64, self.size - self.base - address))
        if head[:4] == b"OHDR":
            flags = head[5]
            at = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
            width = 1 << (flags & 3)
            blocks = [(address + at + width, self._int(head, at, width))]
            extra = 2 if flags & 4 else 0
        elif head[:1] == b"\x01":
            blocks, extra = [(address + 16, self._int(head, 8, 4))], -1
        else:
            raise ValueError(f"no object header at {address}")
        seen: set[int] = set()
        while blocks:
            place, size = blocks.pop(0)
            if place in seen or size > MOST_BLOCK:
                raise ValueError("object headers that go round, or are too large")
            seen.add(place)
            found += self._block(self.at(place, size), extra, blocks)
            if len(found) > MOST_MESSAGES:
                raise ValueError("too many messages in one object")
        return found

    def _block(self, block: bytes, extra: int, blocks: list[tuple[int, int]]) -> Iterator[Message]:
        """The messages of one block; `extra` is -1 in headers of version 1, else what stands behind the flags."""
        at, head = 0, 8 if extra < 0 else 4 + extra
        while at + head <= len(block):
            kind = self._int(block, at, 2) if extra < 0 else block[at]
            size = self._int(block, at + (2 if extra < 0 else 1), 2)
            flags = block[at + (4 if extra < 0 else 3)]
            data = block[at + head : at + head + size]
            if len(data) < size:
                raise ValueError("a message that is cut short")
            at += head + size
            if kind == 0x10:
                place, length = self.offset(data, 0), self.length(data, self.offsets)
                blocks.append((place, length) if extra < 0 else (place + 4, max(0, length - 8)))  # OCHK … checksum
            else:
                yield Message(kind, flags, data)

    # --- groups

    def links(self, messages: list[Message], objects: Objects) -> Iterator[Link]:
        """The entries of a group; `objects` reads those stored densely. Raises ValueError where it breaks."""
        for message in messages:
            if message.kind == 0x11:
                yield from self._symbols(self.offset(message.data, 0), self.offset(message.data, self.offsets))
            elif message.kind == 0x06:
                yield self._link(message.data)
            elif message.kind == 0x02:
                at = 2 + 8 * (message.data[1] & 1)
                yield from map(self._link, self.dense(message.data, at, objects))

    def dense(self, data: bytes, at: int, objects: Objects) -> Iterator[bytes]:
        """The messages that a heap holds, whose address stands at `at`, followed by that of its index by name."""
        heap, tree = self.offset(data, at), self.offset(data, at + self.offsets)
        if heap != self.undefined:
            yield from objects(self, heap, tree)

    def _symbols(self, tree: int, heap: int) -> Iterator[Link]:
        head = self.at(heap, 8 + 2 * self.lengths + self.offsets)
        if head[:4] != b"HEAP":
            raise ValueError("no local heap where one must be")
        size = self.length(head, 8)
        if size > MOST_BLOCK:
            raise ValueError("a local heap that is too large")
        names = self.at(self.offset(head, 8 + 2 * self.lengths), size)
        width = 2 * self.offsets + 24
        for node in self._leaves(tree, 0):
            top = self.at(node, 8)
            if top[:4] != b"SNOD":
                raise ValueError("no symbol table where one must be")
            entries = self.at(node + 8, self._int(top, 6, 2) * width)
            for at in range(0, len(entries), width):
                name = _text(names, self.offset(entries, at))
                kind = self._int(entries, at + 2 * self.offsets, 4)
                if kind == 2:
                    where = self._int(entries, at + 2 * self.offsets + 8, 4)
                    yield Link(name, target=_text(names, where))
                else:
                    yield Link(name, self.offset(entries, at + self.offsets))

    def _leaves(self, tree: int, kind: int, key: int = 0) -> Iterator[int]:
        """What the lowest level of a version 1 B-tree points at; `key` is a key's width, by default a length's."""
        key = key or self.lengths
        pending, seen = [tree], set[int]()
        while pending:
            node = pending.pop()
            if node in seen or len(seen) > MOST_OBJECTS:
                raise ValueError("a tree that goes round")
            seen.add(node)
            head = self.at(node, 8 + 2 * self.offsets)
            if head[:4] != b"TREE" or head[4] != kind:
                raise ValueError("no tree where one must be")
            used = self._int(head, 6, 2)
            body = self.at(node + len(head), used * (key + self.offsets))
            children = [self.offset(body, i * (key + self.offsets) + key) for i in range(used)]
            if head[5] == 0:
                yield from children
            else:
                pending += reversed(children)

    def chunks(self, tree: int, rank: int) -> Iterator[int]:
        """The addresses of a dataset's chunks; `rank` counts its dimensions and one for the element's size."""
        yield from self._leaves(tree, 1, 8 + 8 * rank)

    def _link(self, data: bytes) -> Link:
        flags, at = data[1], 2
        kind = _HARD
        if flags & 8:
            kind, at = data[at], at + 1
        at += 8 * bool(flags & 4) + bool(flags & 0x10)
        width = 1 << (flags & 3)
        count = self._int(data, at, width)
        name = data[at + width : at + width + count].decode("utf-8", "backslashreplace")
        at += width + count
        if kind == _HARD:
            return Link(name, self.offset(data, at))
        value = data[at + 2 : at + 2 + self._int(data, at, 2)]
        if kind == _EXTERNAL:
            parts = value[1:].split(b"\0")
            return Link(name, target=parts[0].decode("utf-8", "backslashreplace"), external=True)
        return Link(name, target=value.decode("utf-8", "backslashreplace"), external=kind != _SOFT)

    # --- global heap (III.E)

    def heap_object(self, address: int, index: int, collections: dict[int, dict[int, bytes]]) -> bytes:
        """An object of a global heap collection; `collections` remembers those that were read."""
        if address not in collections:
            head = self.at(address, 8 + self.lengths)
            if head[:4] != b"GCOL":
                raise ValueError("no global heap where one must be")
            size = self.length(head, 8)
            if size > MOST_VALUE:
                raise ValueError("a global heap that is too large")
            collections[address] = dict(self._heap_objects(self.at(address, size), 8 + self.lengths))
        return collections[address].get(index, b"")

    def _heap_objects(self, block: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        while at + 8 + self.lengths <= len(block):
            index, size = self._int(block, at, 2), self.length(block, at + 8)
            at += 8 + self.lengths
            if index == 0:
                return
            yield index, block[at : at + size]
            at += size + -size % 8


def _text(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at : end if end >= 0 else None].decode("utf-8", "backslashreplace")
