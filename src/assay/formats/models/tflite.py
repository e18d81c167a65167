"""TensorFlow Lite models: custom and Flex operators, buffers that must lie within the file, and the facts of the graph.

Layout: schema.fbs of TensorFlow 2.21 (identifier "TFL3"); slots of a table never change meaning.
"""

from __future__ import annotations

import itertools
import re
from typing import IO

from assay.core.finding import Json, Severity
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.flatbuffer import FlatBuffer, Table, file_identifier
from assay.formats.models.outside import is_path_outside, leads_outside
from assay.formats.models.source import Source
from assay.formats.models.tensorflow_operators import READS, WRITES, Node, judge, judge_unresolved
from assay.formats.models.tflite_operators import BUILT_IN, CUSTOM, ORDINARY_CUSTOM
from assay.formats.reading import Limits, Reading

_MOST_OPTIONS = 1 << 16
_TYPES = (
    *("float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64"),
    *("complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4"),
)
_STRING = 5
_PRINTABLE = re.compile(rb"[ -~]{4,}")
_END_OF_ZIP = b"PK\x05\x06"


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of a TensorFlow Lite model."""
    return file_identifier(head) == b"TFL3"


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a TensorFlow Lite model. Raises OSError; damage is a gap."""
    facts = Facts("tflite")
    source = Source(file, limits)
    with facts.torn():
        model = _Model(source, facts)
        model.read()
    return facts.reading()


class _Model:
    """One walk over the tables of a model."""

    def __init__(self, source: Source, facts: Facts) -> None:
        self.source, self.facts = source, facts
        self.buffer = FlatBuffer(source, 0, source.size)
        self.root = self.buffer.root()
        self.codes: list[str] = []
        self.buffers: list[tuple[int, int]] = []
        self.unresolved: set[str] = set()
        self.paths: set[str] = set()

    def read(self) -> None:
        """Read it all. Raises ValueError."""
        facts, root = self.facts, self.root
        facts.measured["version"] = root.number(0, "I")
        facts.text("description", root.text(3))
        self._operator_codes()
        for table in root.tables(4):
            self.buffers.append(self._extent(table))
        self._metadata()
        count = 0
        for count, graph in enumerate(root.tables(2), 1):
            self._graph(graph, first=count == 1)
        facts.measured["subgraphs"] = count
        if not count:
            facts.gap("is torn or not a TensorFlow Lite model: it holds no graph")
        self._external()
        self._tail()
        judge_unresolved(facts, self.unresolved, sorted(self.paths))

    def _operator_codes(self) -> None:
        for table in self.root.tables(1):
            code = max(table.number(0, "b"), table.number(3, "i"))
            if code != CUSTOM:
                known = 0 <= code < len(BUILT_IN)
                self.codes.append(BUILT_IN[code] if known else f"BUILTIN_{code}")
                continue
            name = table.text(1, 400)
            self.codes.append(name)
            if not name.startswith("Flex"):
                ordinary = name in ORDINARY_CUSTOM
                self.facts.note(
                    Severity.INFO if ordinary else Severity.MEDIUM,
                    f"custom-operator:{name}",
                    f"needs a custom operator '{visible(name, 80)}', which is native code that it does not bring along",
                    fix="export it with built-in operators, or name and review the library that implements this one",
                )

    def _extent(self, table: Table) -> tuple[int, int]:
        """Where a buffer's bytes lie in the file, and how many there are; past 2 GB they lie after the tables."""
        offset, size = table.number(1, "Q"), table.number(2, "Q")
        if offset > 1:
            if offset + size > self.source.size:
                self.facts.gap("is torn: a buffer reaches beyond its end")
                return 0, 0
            return offset, size
        return table.vector(0, 1)

    def _metadata(self) -> None:
        for entry in self.root.tables(6):
            name, index = entry.text(0, 400), entry.number(1, "I")
            if index >= len(self.buffers):
                self.facts.gap("is damaged: its metadata lie in a buffer that it does not have")
                continue
            offset, size = self.buffers[index]
            short = self.source.at(offset, size).rstrip(b"\0") if 0 < size <= 64 else b""
            text = short.decode("ascii", "backslashreplace") if _PRINTABLE.fullmatch(short) else f"[{size:,} bytes]"
            self.facts.metadata(name, text)

    def _graph(self, graph: Table, *, first: bool) -> None:
        tensors: list[dict[str, Json]] = []
        for tensor in graph.tables(0):
            tensors.append(self._tensor(tensor, len(tensors) < 10_000))
        for slot, key in ((1, "inputs"), (2, "outputs")):
            for index in graph.numbers(slot, "i", 1000):
                if not -1 <= index < len(tensors):
                    self.facts.gap("is damaged: a graph names a tensor that it does not have")
                elif first and index >= 0 and index < 10_000:
                    self.facts.listed(key, tensors[index])
        for operator in graph.tables(3):
            index = operator.number(0, "I")
            if index >= len(self.codes):
                raise ValueError("an operator that it does not declare")
            name = self.codes[index]
            self.facts.operator(name)
            offset, size = operator.number(9, "Q"), operator.number(10, "Q")
            if offset > 1 and offset + size > self.source.size:
                self.facts.gap("is torn: an operator's options reach beyond its end")
            if name.startswith("Flex"):
                self._flex(name[4:], operator)
            elif name == "STABLEHLO_CUSTOM_CALL":
                self.facts.note(
                    Severity.MEDIUM,
                    "native:custom-call",
                    "holds STABLEHLO_CUSTOM_CALL, which calls native code by name",
                )

    def _tensor(self, tensor: Table, full: bool) -> dict[str, Json]:
        shape, kind, index = tensor.numbers(0, "i"), tensor.number(1, "b"), tensor.number(2, "I")
        named = _TYPES[kind] if 0 <= kind < len(_TYPES) else f"type {kind}"
        if index >= len(self.buffers):
            raise ValueError("a tensor whose buffer it does not have")
        offset, size = self.buffers[index]
        if size:
            self.facts.tensor(named, [max(extent, 0) for extent in shape])
            if kind == _STRING:
                self._strings(self.source.at(offset, min(size, _MOST_OPTIONS)))
        if not full:
            return {}
        return {"name": visible(tensor.text(3, 400), 200), "type": named, "shape": list(shape)}

    def _strings(self, data: bytes) -> None:
        """The texts of a string tensor: their number, their offsets with one more for the end, and the bytes."""
        count = min(int.from_bytes(data[:4], "little"), 1000)
        offsets = [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(1, count + 2)]
        for start, end in itertools.pairwise(offsets):
            text = data[start:end].decode("utf-8", "backslashreplace")
            if len(self.paths) < 1000 and is_path_outside(text):
                self.paths.add(text)

    def _flex(self, name: str, operator: Table) -> None:
        """An operator of full TensorFlow; what its inputs name is not followed, its texts are."""
        place, size = operator.vector(5, 1)
        data = self.buffer.at(place, min(size, _MOST_OPTIONS)) if size else b""
        texts: dict[str, str] = {}
        where = WRITES.get(name, READS.get(name))
        if isinstance(where, str):
            for found in _PRINTABLE.findall(data):
                text = found.decode("ascii")
                begin = max(text.find("file://"), text.find("grpc://"))
                if begin >= 0 or is_path_outside(text):
                    texts[where] = text[max(begin, 0) :]
        if not judge(self.facts, Node(name, (), texts), {}, training=False, flex=True):
            self.unresolved.add(name)

    def _external(self) -> None:
        """Buffers in other files, by the file's name (schema of 2025)."""
        for group in self.root.tables(8):
            name = group.text(0)
            if why := leads_outside(name):
                self.facts.note(
                    Severity.CRITICAL,
                    f"external-data:{name}",
                    f"takes weights from the file '{visible(name, 80)}', a path that {why}",
                    fix="save the model as one file, or its weights beside it",
                )
            self.facts.gap(f"keeps weights in another file ('{visible(name, 60)}'), which was not looked at")

    def _tail(self) -> None:
        """A zip of labels and the like may follow the model: that is how TensorFlow Lite attaches files."""
        size = self.source.size
        tail = self.source.at(max(0, size - 4096), min(size, 4096))
        if _END_OF_ZIP in tail:
            self.facts.measured["attached_zip"] = True
