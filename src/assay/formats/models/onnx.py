"""ONNX models: operators that need somebody's own code, weights in other files, and the facts of the graph.

Layout: onnx.proto of ONNX IR version 14 (field numbers never change meaning). Everything that can hold a node or a
tensor is walked: branches, functions, training graphs, sparse tensors and defaults of attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from assay.core.finding import Json
from assay.core.text import visible
from assay.formats.models import onnx_outside
from assay.formats.models.facts import Facts
from assay.formats.models.metadata import MOST_VALUE, Texts
from assay.formats.models.onnx_operators import TYPES, judge_operators
from assay.formats.models.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    HEAD,
    VARINT,
    Field,
    numbers,
    runs,
    shape_of_head,
    signed,
    strings_run,
    walk,
)
from assay.formats.models.source import Source, SpentError
from assay.formats.reading import Limits, Reading

_MOST_DEPTH = 90  # messages inside messages: a graph in a node's attribute lies three deeper than the graph around it
_MOST_NAMES = 100_000
_MODES = (b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ", b"LEAF")
# Runs of numbers: floats, ints and node modes of an attribute; the data of a tensor.
_ATTRIBUTE_RUNS = (*runs((7, FIXED32), (8, VARINT)), strings_run(9, _MODES))
_TENSOR_RUNS = runs((4, FIXED32), (5, VARINT), (7, VARINT), (10, FIXED64), (11, VARINT))
_TOP = {
    **dict.fromkeys((1, 5), (VARINT,)),
    **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), (BYTES,)),
}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of an ONNX model; any order of fields counts under a name in .onnx."""
    named = name.lower().endswith(".onnx")
    fields = shape_of_head(head, _TOP, whole=not named)
    if not fields or not (named or head[:1] == b"\x08"):
        return False
    for number, value, payload in fields:
        if number == 1 and not 1 <= value <= 64:
            return False
        if number in (2, 3, 4) and not (payload.isascii() and payload.decode("ascii").isprintable()):
            return False
        if number in (7, 8) and payload[:1] not in (b"\x0a", b"\x12", b"\x10", b"\x2a", b"\x5a", b"\x62", b"\x6a", b""):
            return False
    return named or any(number in (7, 8, 25) for number, _, _ in fields) or (len(fields) > 1 and len(head) >= HEAD)


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read an ONNX model: see `Facts` for what is measured. Raises OSError; damage is a gap."""
    facts = Facts("onnx")
    source = Source(file, limits)
    model = _Model(source, facts, name)
    with facts.torn():
        model.message("model", 0, source.size, 0)
    model.finish(file)
    return facts.reading()


class _Model:
    """One walk: which message a field holds decides which method reads it."""

    def __init__(self, source: Source, facts: Facts, name: str) -> None:
        self.source, self.facts, self.name = source, facts, name
        self.used: set[tuple[str, str]] = set()
        self.defined: set[tuple[str, str]] = set()
        self.external = onnx_outside.External()
        self.texts = Texts(facts)
        self.nodes = self.outputs = 0
        self.versions: dict[str, Json] = {}
        self._readers: dict[str, Callable[[int, int, int], None]] = {
            kind: getattr(self, f"_{kind}") for kind in ("node", "tensor", "function", "entry", "opset", "attribute")
        }

    def message(self, kind: str, start: int, end: int, depth: int) -> None:
        """Read a message of this kind. Raises ValueError."""
        if depth > _MOST_DEPTH:
            raise SpentError(f"it nests graphs more than {_MOST_DEPTH // 3} deep")
        own = self._readers.get(kind)
        if own is not None:
            own(start, end, depth)
            return
        inner = _INNER[kind]
        for field in walk(self.source, start, end):
            number, wire, value, length = field
            if wire == BYTES and number in inner:
                self.message(inner[number], value, value + length, depth + 1)
            elif wire == BYTES and number == _DOCUMENT.get(kind):
                self._told(f"{kind}.doc_string", value, length, brief=depth > 1)
            if kind == "graph" and depth == 1:
                self.nodes += number == 1
                self.outputs += number == 12
            if wire == BYTES and kind == "graph" and depth == 1 and number in (11, 12):
                self.facts.listed("inputs" if number == 11 else "outputs", self._value(value, value + length))
            elif kind == "model":
                self._head(field)
            if number not in _KNOWN[kind]:
                self.facts.gap(f"holds fields of the {kind} that this version does not know")

    def _head(self, field: Field) -> None:
        number, wire, value, length = field
        if number in (1, 5) and wire == VARINT:
            self.facts.measured["version" if number == 1 else "model_version"] = signed(value)
        elif number in (2, 3, 4) and wire == BYTES:
            key = {2: "producer", 3: "producer_version", 4: "domain"}[number]
            self.facts.text(key, self.source.text(value, length))

    def _opset(self, start: int, end: int, depth: int) -> None:
        domain, version = "", 0
        for number, wire, value, length in walk(self.source, start, end):
            if number == 1 and wire == BYTES:
                domain = self.source.text(value, length, 400)
            elif number == 2 and wire == VARINT:
                version = signed(value)
        if len(self.versions) < 100:
            self.versions[visible(domain or "ai.onnx", 120)] = version

    def _entry(self, start: int, end: int, depth: int) -> None:
        """One entry of metadata: of the model it is kept, of any part of it the value is judged."""
        pair = {1: (start, 0), 2: (start, 0)}
        for number, wire, value, length in walk(self.source, start, end):
            if number in pair and wire == BYTES:
                pair[number] = value, length
        key = self.source.text(*pair[1], 5000)
        place, length = pair[2]
        if depth == 1:
            self.facts.metadata(key, self.source.text(place, length, 5000))
        self._told(key, place, length, brief=depth > 1)

    def _told(self, key: str, start: int, length: int, *, brief: bool) -> None:
        value = self.source.at(start, min(length, MOST_VALUE))
        self.texts.judge(key, value, whole=length <= MOST_VALUE, brief=brief)

    def _pair(self, start: int, end: int) -> tuple[str, str]:
        pair = {1: "", 2: ""}
        for number, wire, value, length in walk(self.source, start, end):
            if number in pair and wire == BYTES:
                pair[number] = self.source.text(value, length, 5000)
        return pair[1], pair[2]

    def _function(self, start: int, end: int, depth: int) -> None:
        names = {1: "", 10: ""}
        for number, wire, value, length in walk(self.source, start, end):
            if wire == BYTES and number in names:
                names[number] = self.source.text(value, length)
            elif wire == BYTES and number == 8:
                self._told("function.doc_string", value, length, brief=True)
            elif wire == BYTES and number in _IN_FUNCTION:
                self.message(_IN_FUNCTION[number], value, value + length, depth + 1)
        self._name(self.defined, names[10], names[1])

    def _name(self, names: set[tuple[str, str]], domain: str, name: str) -> None:
        if len(names) >= _MOST_NAMES:
            raise SpentError(f"it names more than {_MOST_NAMES:,} operators")
        names.add((domain, name))

    def _node(self, start: int, end: int, depth: int) -> None:
        names = {4: "", 7: ""}
        attributes: list[tuple[int, int]] = []
        for number, wire, value, length in walk(self.source, start, end):
            if wire == BYTES and number in names:
                names[number] = self.source.text(value, length)
            elif wire == BYTES and number == 5:
                self.message("attribute", value, value + length, depth + 1)
                if len(attributes) < 20:
                    attributes.append((value, value + length))
            elif wire == BYTES and number == 6:
                self._told("node.doc_string", value, length, brief=True)
            elif wire == BYTES and number == 9:
                self.message("entry", value, value + length, depth + 1)
        operator, domain = names[4], names[7]
        self.facts.operator(operator if domain in ("", "ai.onnx") else f"{domain}.{operator}")
        self._name(self.used, domain, operator)
        if operator == "EPContext":
            self._context(attributes)

    def _context(self, attributes: list[tuple[int, int]]) -> None:
        """A node that holds a compiled engine, or (embed_mode 0) the path to one."""
        values: dict[str, str] = {}
        for start, end in attributes:
            found: dict[int, str] = {}
            for number, wire, value, length in walk(self.source, start, end):
                if number in (1, 4) and wire == BYTES:
                    found[number] = self.source.text(value, length, 4096)
                elif number == 3 and wire == VARINT:
                    found[3] = str(value)
            values[found.get(1, "")] = found.get(4, found.get(3, ""))
        embedded = values.get("embed_mode", "1") != "0"
        onnx_outside.judge_context(self.facts, "" if embedded else values.get("ep_cache_context", ""))

    def _attribute(self, start: int, end: int, depth: int) -> None:
        inner = _INNER["attribute"]
        for number, wire, value, length in walk(self.source, start, end, _ATTRIBUTE_RUNS):
            if wire == BYTES and number in inner:
                self.message(inner[number], value, value + length, depth + 1)

    def _tensor(self, start: int, end: int, depth: int) -> None:
        shape: list[int] = []
        kind, raw, tensor_name, external = 0, -1, "", False
        pairs: list[tuple[str, str]] = []
        for field in walk(self.source, start, end, _TENSOR_RUNS):
            number, wire, value, length = field
            if number == 1:
                shape += numbers(self.source, field)
                if len(shape) > 64:
                    raise ValueError("a tensor of more than 64 dimensions")
            elif number == 2 and wire == VARINT:
                kind = value
            elif number == 8 and wire == BYTES:
                tensor_name = self.source.text(value, length, 200)
            elif number == 9 and wire == BYTES:
                raw = length
            elif number == 13 and wire == BYTES and len(pairs) < 100:
                pairs.append(self._pair(value, value + length))
            elif number == 14 and wire == VARINT:
                external |= value == 1
            elif number == 12 and wire == BYTES:
                self._told("tensor.doc_string", value, length, brief=True)
            elif number == 16 and wire == BYTES:
                self.message("entry", value, value + length, depth + 1)
        named, bits = TYPES.get(kind, (f"type {kind}", 0))
        if any(extent < 0 for extent in shape):
            self.facts.gap(f"holds a tensor '{visible(tensor_name, 60)}' with a negative extent")
            return
        self.facts.tensor(named, shape)
        size = onnx_outside.size_of(shape, bits)
        if external or pairs:
            self.external.add(pairs, size, tensor_name)
        elif raw >= 0 and bits and raw != size:
            self.facts.gap(f"holds a tensor '{visible(tensor_name, 60)}' of another size than its shape gives")

    def _value(self, start: int, end: int) -> Json:
        """An input or output: its name, element type and shape (None where an extent has no value)."""
        found: dict[str, Json] = {"name": ""}
        for number, wire, value, length in walk(self.source, start, end):
            if wire != BYTES:
                continue
            if number == 1:
                found["name"] = visible(self.source.text(value, length, 400), 200)
            elif number == 2:
                for kind, _, at, size in walk(self.source, value, value + length):
                    if kind in (1, 8):
                        found |= self._tensor_type(at, at + size)
        return found

    def _tensor_type(self, start: int, end: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for number, wire, value, length in walk(self.source, start, end):
            if number == 1 and wire == VARINT:
                found["type"] = TYPES.get(value, (f"type {value}", 0))[0]
            elif number == 2 and wire == BYTES:
                shape: list[Json] = []
                for _, kind, at, size in walk(self.source, value, value + length):
                    if kind == BYTES and len(shape) < 64:
                        shape.append(self._extent(at, at + size))
                found["shape"] = shape
        return found

    def _extent(self, start: int, end: int) -> Json:
        extent: Json = None
        for number, wire, value, length in walk(self.source, start, end):
            if number == 1 and wire == VARINT:
                extent = signed(value)
            elif number == 2 and wire == BYTES:
                extent = visible(self.source.text(value, length, 100), 60)
        return extent

    def finish(self, file: IO[bytes]) -> None:
        """Judge what can be judged only after the whole was seen."""
        self.facts.measured["opsets"] = self.versions
        self.texts.finish()
        judge_operators(self.facts, self.used, self.defined)
        onnx_outside.judge(self.facts, self.external, file)
        if not self.facts.gaps and not (self.nodes and self.outputs):
            self.facts.gap("is torn or not an ONNX model: its graph is empty")


_INNER: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse", 16: "entry"},
    "training": {1: "graph", 2: "graph"},
    "sparse": {1: "tensor", 2: "tensor"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
_IN_FUNCTION = {7: "node", 9: "opset", 11: "attribute", 14: "entry"}
_DOCUMENT = {"model": 6, "graph": 10}
# Fields that hold neither nodes nor tensors are known too: only what is unknown could hold more.
_KNOWN = {
    "model": frozenset({*range(1, 9), 14, 20, 25, 26}),
    "graph": frozenset({1, 2, 5, *range(10, 17)}),
    "training": frozenset({1, 2, 3, 4}),
    "sparse": frozenset({1, 2, 3}),
}
