"""What an HDF5 file holds beside numbers: Keras layers in its attributes, pickles of PyTables, data in other files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from assay.core.finding import Json, Severity
from assay.core.text import visible
from assay.formats.models.hdf5_dense import objects
from assay.formats.models.hdf5_file import MOST_OBJECTS, MOST_VALUE, Hdf5, Link, Message
from assay.formats.models.keras import judge_keras
from assay.formats.reading import Limits, Note, Part, Reading, Topic

_FIXED_TEXT, _VARIABLE = 3, 9
_KERAS = frozenset({"model_config", "training_config", "config", "model"})
_MOST_PARTS = 2000
_MOST_DATASETS = 100_000
_BUILT_IN_FILTERS = 256
_CHUNKED, _CONTIGUOUS, _VIRTUAL = 2, 1, 3


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Walk every object from the root. Raises ValueError where the file breaks off, OSError."""
    try:
        return _Walk(Hdf5(file, limits)).reading()
    except IndexError:
        raise ValueError("a structure that is cut short") from None


class _Walk:
    """The state of one walk: what was seen and what remains unread."""

    def __init__(self, file: Hdf5) -> None:
        self.file = file
        self.notes: list[Note] = []
        self.gaps: list[str] = []
        self.parts: list[Part] = []
        self.collections: dict[int, dict[int, bytes]] = {}
        self.texts: dict[str, str] = {}
        self.tensors = self.elements = 0
        self.asks: set[Topic] = set()

    def reading(self) -> Reading:
        seen: set[int] = set()
        pending: list[tuple[str, int]] = [("", self.file.root)]
        while pending:
            path, address = pending.pop()
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                self.gaps.append(f"holds more than {MOST_OBJECTS} objects")
                break
            messages = self.file.messages(address)
            self._object(path, messages)
            for link in self._links(messages):
                inner = f"{path}/{link.name}"
                if link.external:
                    self._outside(inner, "is a link into another file", link.target)
                elif not link.target:
                    pending.append((inner, link.address))
        measured: dict[str, Json] = {"format": "hdf5", "tensors": self.tensors, "elements": self.elements}
        measured |= {k: v for k, v in self.texts.items() if k in ("keras_version", "backend", "pandas_version")}
        return Reading(
            notes=tuple(self.notes), gaps=tuple(dict.fromkeys(self.gaps)), measured=measured, parts=tuple(self.parts),
            asks=frozenset(self.asks),
        )  # fmt: skip

    def _links(self, messages: list[Message]) -> list[Link]:
        try:
            return list(self.file.links(messages, objects))
        except ValueError as error:
            self.gaps.append(f"is an HDF5 file with {error}")
            return []

    def _outside(self, path: str, what: str, target: str) -> None:
        self.notes.append(
            Note(
                topic=Topic.MODEL_CODE,
                message=f"{visible(path, 120)} {what} ({visible(target, 200)}), which is read when this one is",
                severity=Severity.HIGH,
                key=f"outside {path}",
                evidence={"target": visible(target, 200)},
                fix="ask for one file that holds all of its data",
            )
        )

    def _object(self, path: str, messages: list[Message]) -> None:
        attributes: dict[str, bytes] = {}
        for message in messages:
            if message.kind == 0x0C:
                self._attribute(path, message, attributes)
            elif message.kind == 0x15:
                at = 2 + 2 * (message.data[1] & 1)
                try:
                    for data in self.file.dense(message.data, at, objects):
                        self._attribute(path, Message(0x0C, 0, data), attributes)
                except ValueError as error:
                    self.gaps.append(f"is an HDF5 file with {error}")
            elif message.kind == 0x07:
                self._outside(path, "keeps its data outside", "external data files")
            elif message.kind == 0x0B and any(f >= _BUILT_IN_FILTERS for f in _filters(message.data)):
                self.gaps.append(f"needs a filter plug-in to read {visible(path, 120)}")
        kinds = {m.kind: m for m in messages}
        if 0x08 in kinds and 0x03 in kinds and 0x01 in kinds:
            self._dataset(path, kinds, attributes)

    def _attribute(self, path: str, message: Message, attributes: dict[str, bytes]) -> None:
        if message.flags & 2:
            self.gaps.append("is an HDF5 file with a shared attribute, which this version does not read")
            return
        name, kind, space, data = _attribute(message.data)
        value = self._value(kind, space, data)
        if value is None:
            return
        attributes[name] = value
        where = f"{path or '/'}@{name}"
        if name in _KERAS and value[:1] in (b"{", b"["):
            self._keras(where, value)
        elif len(self.parts) < _MOST_PARTS and _may_be_pickle(value):
            self.parts.append(Part(where, value))
        elif not path and len(value) < 200:
            self.texts[name] = value.decode("utf-8", "replace")

    def _value(self, kind: bytes, space: bytes, data: bytes) -> bytes | None:
        """The bytes of a text attribute, all elements one after another; None for numbers."""
        sort = kind[0] & 15
        if sort == _FIXED_TEXT:
            return data.rstrip(b"\0")
        if sort != _VARIABLE:
            return None
        width = 8 + self.file.offsets
        count = min(_elements(space, self.file.lengths), len(data) // width)
        return b"".join(self._variable(data, i * width) for i in range(count))

    def _variable(self, data: bytes, at: int) -> bytes:
        address, index = (
            self.file.offset(data, at + 4),
            int.from_bytes(data[at + 4 + self.file.offsets :][:4], "little"),
        )
        if address in (0, self.file.undefined):
            return b""
        return self.file.heap_object(address, index, self.collections)[: int.from_bytes(data[at : at + 4], "little")]

    def _keras(self, where: str, value: bytes) -> None:
        try:
            config: Any = json.loads(value)
        except (ValueError, RecursionError):
            self.gaps.append(f"holds Keras configuration that cannot be read ({where})")
            return
        self.notes += judge_keras(config, where)

    def _dataset(self, path: str, kinds: dict[int, Message], attributes: dict[str, bytes]) -> None:
        self.tensors += 1
        self.elements += _elements(kinds[0x01].data, self.file.lengths)
        layout, kind = kinds[0x08].data, kinds[0x03].data
        if layout[0] == 4 and layout[1] == _VIRTUAL:
            self._outside(path, "is a virtual dataset", "source files")
        if kind[0] & 15 != _VARIABLE or kind[1] & 15 == 1 or self.tensors > _MOST_DATASETS:
            return  # numbers, records and texts; elements of any length are where PyTables keeps pickled objects
        if 0x0B in kinds:
            self.gaps.append(f"keeps objects of any length compressed in {visible(path, 120)}, which were not read")
            return
        for i, value in enumerate(self._elements_of(layout)):
            if len(self.parts) >= _MOST_PARTS:
                self.gaps.append(f"holds more than {_MOST_PARTS} objects that may be pickles")
                return
            self.parts.append(Part(f"{path}[{i}]", value))

    def _elements_of(self, layout: bytes) -> Iterator[bytes]:
        width = 8 + self.file.offsets
        for address, size in self._raw(layout):
            block = self.file.at(address, size)
            for at in range(0, len(block) - width + 1, width):
                value = self._variable(block, at)
                if value:
                    yield value

    def _raw(self, layout: bytes) -> Iterator[tuple[int, int]]:
        """Where a dataset's raw bytes lie: one block, or its chunks (layout messages of version 3)."""
        if layout[0] != 3 or layout[1] not in (_CONTIGUOUS, _CHUNKED):
            if layout[0] == 3 and layout[1] == 0:
                return
            self.gaps.append("lays out objects of any length in a way that this version does not read")
            return
        if layout[1] == _CONTIGUOUS:
            address = self.file.offset(layout, 2)
            if address != self.file.undefined:
                yield address, min(self.file.length(layout, 2 + self.file.offsets), MOST_VALUE)
            return
        rank, address = layout[2], self.file.offset(layout, 3)
        if address == self.file.undefined:
            return
        at = 3 + self.file.offsets
        size = 1
        for i in range(rank):
            size *= int.from_bytes(layout[at + 4 * i : at + 4 * i + 4], "little")
        for chunk in self.file.chunks(address, rank):
            yield chunk, min(size, MOST_VALUE)


def _attribute(data: bytes) -> tuple[str, bytes, bytes, bytes]:
    """Name, datatype, dataspace and value of an attribute message (IV.A.2.m). Raises ValueError."""
    if len(data) < 8 or data[0] not in (1, 2, 3):
        raise ValueError("an attribute of an unknown version")
    sizes = [int.from_bytes(data[i : i + 2], "little") for i in (2, 4, 6)]
    at = 9 if data[0] == 3 else 8
    found = []
    for size in sizes:
        found.append(data[at : at + size])
        if len(found[-1]) < size:
            raise ValueError("an attribute that is cut short")
        at += size + (-size % 8 if data[0] == 1 else 0)
    if data[0] > 1 and data[1] & 3:
        raise ValueError("an attribute of a shared type, which this version does not read")
    return found[0].rstrip(b"\0").decode("utf-8", "backslashreplace"), found[1], found[2], data[at:]


def _elements(space: bytes, width: int) -> int:
    """How many elements a dataspace has."""
    if len(space) < 4:
        return 0
    at = 8 if space[0] == 1 else 4
    count = 1
    for i in range(space[1]):
        count *= int.from_bytes(space[at + i * width : at + (i + 1) * width], "little")
    return count


def _filters(data: bytes) -> Iterator[int]:
    """The ids of a filter pipeline's filters; only the first is read where they are of any length."""
    if len(data) < 4:
        return
    at = 8 if data[0] == 1 else 2
    for _ in range(data[1]):
        if at + 8 > len(data):
            return
        kind = int.from_bytes(data[at : at + 2], "little")
        yield kind
        named = data[0] == 1 or kind >= _BUILT_IN_FILTERS
        name = int.from_bytes(data[at + 2 : at + 4], "little") if named else 0
        values = int.from_bytes(data[at + (6 if named else 4) :][:2], "little")
        at += (8 if named else 6) + name + (-name % 8 if data[0] == 1 else 0) + 4 * values
        at += 4 * (values % 2) if data[0] == 1 else 0


def _may_be_pickle(value: bytes) -> bool:
    """Whether PyTables would unpickle it: it ends in STOP and does not begin as the texts do that end in a stop."""
    return len(value) > 2 and value.endswith(b".") and (value[:1] == b"\x80" or b"\n" in value)
