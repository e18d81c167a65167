"""TensorFlow graphs (SavedModel, MetaGraph, frozen GraphDef): operators that reach Python, files or the network.

Layout: saved_model.proto, meta_graph.proto, graph.proto, function.proto, saved_object_graph.proto of TensorFlow. The
graph, every function of its library and the Keras configurations that older versions write into it are walked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import IO

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.models import saved_keras
from assay.formats.models.facts import Facts
from assay.formats.models.outside import is_path_outside, leads_outside
from assay.formats.models.protobuf import BYTES, FIXED32, FIXED64, VARINT, numbers, runs, walk
from assay.formats.models.source import Source, SpentError
from assay.formats.models.tensorflow_kinds import kind_of
from assay.formats.models.tensorflow_operators import (
    PASSES,
    TABLES,
    Node,
    bare,
    judge,
    judge_table,
    judge_unknown,
    judge_unresolved,
    wanted,
)
from assay.formats.reading import Limits, Reading

_MOST_CONSTANT = 1 << 16
_MOST_KEPT = 1 << 28  # roughly, in bytes, of one graph or function
_MOST_ATTRIBUTES = 1000
_MOST_FUNCTIONS = 200_000
_MOST_DEPTH = 40
_TENSOR_RUNS = runs((5, FIXED32), (6, FIXED64), (7, VARINT), (10, VARINT), (11, VARINT), (13, VARINT), (16, VARINT))
_TYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64"}
_TYPES |= {10: "bool", 14: "bfloat16", 19: "float16", 17: "uint16", 22: "uint32", 23: "uint64"}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of a TensorFlow graph of any kind, in binary form."""
    return bool(kind_of(head, name))


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a SavedModel, MetaGraph or GraphDef. Raises OSError; damage is a gap."""
    file.seek(0)
    kind = kind_of(file.read(4096), name) or "tf-savedmodel"
    facts = Facts(kind)
    source = Source(file, limits)
    graphs = _Graphs(source, facts, training=kind != "tf-savedmodel")
    top = {"tf-savedmodel": "saved", "tf-metagraph": "meta", "tf-graph": "graph"}[kind]
    with facts.torn():
        graphs.message(top, 0, source.size, 0)
    graphs.finish()
    return facts.reading()


class _Graphs:
    """One walk over a message of graphs."""

    def __init__(self, source: Source, facts: Facts, *, training: bool) -> None:
        self.source, self.facts, self.training = source, facts, training
        self.nodes: list[Node] = []
        # Of the graph or function at hand: the texts of constants, by node name.
        self.constants: dict[str, list[str]] = {}
        # Operators whose path is not a constant beside them, and constants that are paths out of the model.
        self.unresolved: set[str] = set()
        self.paths: set[str] = set()
        self.functions: set[str] = set()
        # What a loader feeds with an asset's path, and (operator, constant, path) of what reads one.
        self.fed: set[str] = set()
        self.tables: dict[tuple[str, str, str], None] = {}
        self.kept = 0
        self.seen = 0

    def message(self, kind: str, start: int, end: int, depth: int) -> None:
        """Read a message of this kind. Raises ValueError."""
        if depth > _MOST_DEPTH:
            raise SpentError("its messages are nested too deeply")
        if kind == "node":
            self._node(start, end)
            return
        if kind in ("graph", "function"):
            outer = (self.nodes, self.constants, self.kept)
            self.nodes, self.constants = [], {}
            try:
                self._fields(kind, start, end, depth)
            finally:  # a torn graph is judged by what is left of it
                self._judge()
                self.nodes, self.constants, self.kept = outer
        else:
            self._fields(kind, start, end, depth)

    def _fields(self, kind: str, start: int, end: int, depth: int) -> None:
        inner, texts = _INNER.get(kind, {}), _TEXTS.get(kind, {})
        for number, wire, value, length in walk(self.source, start, end):
            if wire == BYTES and number in inner:
                self.message(inner[number], value, value + length, depth + 1)
            elif wire == BYTES and number in texts:
                self._text(texts[number], value, length)
            elif kind == "saved" and number == 1 and wire == VARINT:
                self.facts.measured["version"] = value

    def _text(self, key: str, start: int, length: int) -> None:
        if key == "keras":
            if length:
                saved_keras.judge(self.facts, self.source.text(start, length, saved_keras.MOST))
                if length > saved_keras.MOST:
                    self.facts.gap("holds a Keras configuration that is too long to be read")
        elif key == "asset":
            path = self.source.text(start, length, 4096)
            self.facts.listed("assets", path)
            if why := leads_outside(path):
                self.facts.note(
                    Severity.CRITICAL,
                    f"asset:{path}",
                    f"names an asset '{visible(path, 80)}', a path that {why}: it is read when the model is loaded",
                    fix="export the model again with its assets inside its folder",
                )
        elif key == "fed":
            if len(self.fed) < _MOST_FUNCTIONS:
                self.fed.add(bare(self.source.text(start, length, 2000)))
        elif key == "function":
            if len(self.functions) < _MOST_FUNCTIONS:
                self.functions.add(self.source.text(start, length, 400))
        elif key == "signature":
            self.facts.listed("signatures", self.source.text(start, length, 400))
        elif key == "tag":
            self.facts.listed("tags", self.source.text(start, length, 400))
        else:
            self.facts.text(key, self.source.text(start, length, 400))

    def _node(self, start: int, end: int) -> None:
        name = operator = ""
        inputs: list[str] = []
        attributes: list[tuple[int, int]] = []
        for number, wire, value, length in walk(self.source, start, end):
            if wire != BYTES:
                continue
            if number == 1:
                name = self.source.text(value, length, 2000)
            elif number == 2:
                operator = self.source.text(value, length, 400)
            elif number == 3 and len(inputs) < 8:
                inputs.append(self.source.text(value, length, 2000))
            elif number == 5:
                attributes.append((value, length))
                if len(attributes) > _MOST_ATTRIBUTES:
                    raise SpentError(f"a node has more than {_MOST_ATTRIBUTES:,} attributes")
        self.seen += 1
        self.facts.operator(operator)
        if operator in ("Const", "HostConst"):
            self._constant(name, attributes)
        elif wanted(operator):
            texts: dict[str, str] = {}
            for value, length in attributes:
                texts |= self._attribute(value, value + length)
            self._keep(*inputs, *texts.values())
            self.nodes.append(Node(operator, tuple(inputs), texts))
        elif operator in PASSES and inputs:
            self._keep(name, *inputs)
            self.constants.setdefault(name, []).extend(f"\0{source}" for source in inputs[:8])

    def _keep(self, *texts: str) -> None:
        self.kept += 200 + sum(map(len, texts))
        if self.kept > _MOST_KEPT:
            raise SpentError("it holds more constants and operators than can be followed")

    def _attribute(self, start: int, end: int) -> dict[str, str]:
        """An attribute's text, or texts one to a line; empty for an attribute that is none."""
        key, texts = "", list[str]()
        for number, wire, value, length in walk(self.source, start, end):
            if wire == BYTES and number == 1:
                key = self.source.text(value, length, 200)
            elif wire == BYTES and number == 2:
                for inner, kind, at, size in walk(self.source, value, value + length):
                    if inner == 2 and kind == BYTES:
                        texts.append(self.source.text(at, size, 4096))
                    elif inner == 1 and kind == BYTES:
                        listed = walk(self.source, at, at + size)
                        found = (self.source.text(a, n, 4096) for i, w, a, n in listed if (i, w) == (2, BYTES))
                        texts += itertools.islice(found, 50)
        return {key: "\n".join(texts)} if texts else {}

    def _constant(self, name: str, attributes: list[tuple[int, int]]) -> None:
        for start, size in attributes:
            key, values = "", list[tuple[int, int]]()
            for number, wire, value, length in walk(self.source, start, start + size):
                if wire == BYTES and number == 1:
                    key = self.source.text(value, length, 20)
                elif wire == BYTES and number == 2 and len(values) < 10:
                    values.append((value, value + length))
            for begin, end in values if key == "value" else ():
                for inner, kind, at, extent in walk(self.source, begin, end):
                    if inner == 8 and kind == BYTES:
                        self._tensor(name, at, at + extent)

    def _tensor(self, name: str, start: int, end: int) -> None:
        kind, shape, texts = 0, list[int](), list[str]()
        for number, wire, value, length in walk(self.source, start, end, _TENSOR_RUNS):
            if number == 1 and wire == VARINT:
                kind = value
            elif number == 2 and wire == BYTES:
                shape = self._shape(value, value + length)
            elif number == 8 and wire == BYTES and length <= _MOST_CONSTANT and len(texts) < 50:
                texts.append(self.source.text(value, length, 4096))
        if all(extent >= 0 for extent in shape):
            self.facts.tensor(_TYPES.get(kind, f"type {kind}"), shape)
        if texts:
            self._keep(name, *texts)
            self.constants.setdefault(name, []).extend(texts)
            self.paths.update(text for text in texts if len(self.paths) < 1000 and is_path_outside(text))

    def _shape(self, start: int, end: int) -> list[int]:
        shape: list[int] = []
        for number, wire, value, length in walk(self.source, start, end):
            if number == 2 and wire == BYTES and len(shape) < 64:
                extents = [numbers(self.source, f) for f in walk(self.source, value, value + length) if f[0] == 1]
                shape.append(extents[-1][-1] if extents and extents[-1] else 0)
        return shape

    def _judge(self) -> None:
        constants = {name: [text for _, text in self._followed(name)] for name in self._named()}
        for node in self.nodes:
            if node.operator in TABLES:
                self._table(node)
                continue
            if not judge(self.facts, node, constants, training=self.training):
                self.unresolved.add(node.operator)

    def _table(self, node: Node) -> None:
        for name in node.inputs[TABLES[node.operator] :][:1]:
            for constant, path in self._followed(bare(name)):
                if len(self.tables) < 1000:
                    self.tables[node.operator, constant, path] = None

    def _named(self) -> set[str]:
        """The nodes that judged nodes take their first inputs from."""
        return {bare(name) for node in self.nodes for name in node.inputs}

    def _followed(self, name: str) -> Iterator[tuple[str, str]]:
        """A constant's name and texts, through nodes that only pass a value on (kept as "\0name")."""
        waiting, seen = [name], set[str]()
        while waiting and len(seen) < 64:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                for text in self.constants.get(name, ()):
                    if text.startswith("\0"):
                        waiting.append(bare(text[1:]))
                    else:
                        yield name, text

    def finish(self) -> None:
        """What can be said only after the whole was seen."""
        self.facts.measured["nodes"] = self.seen
        if not self.training:
            for operator, constant, path in self.tables:
                if constant not in self.fed:
                    judge_table(self.facts, operator, path)
            judge_unresolved(self.facts, self.unresolved, sorted(self.paths))
        judge_unknown(self.facts, self.functions)
        if not self.seen and not self.facts.gaps:
            self.facts.gap("is torn or not a TensorFlow graph: it holds no node")


_INNER: dict[str, dict[int, str]] = {
    "saved": {2: "meta"},
    "meta": {1: "info", 2: "graph", 5: "signature", 6: "asset", 7: "objects"},
    "asset": {1: "fed"},
    "graph": {1: "node", 2: "library"},
    "library": {1: "function"},
    "function": {1: "defined", 3: "node"},
    "objects": {1: "object"},
    "object": {4: "user"},
}
_TEXTS: dict[str, dict[int, str]] = {
    "info": {4: "tag", 5: "tensorflow"},
    "signature": {1: "signature"},
    "asset": {2: "asset"},
    "fed": {1: "fed"},
    "user": {3: "keras"},
    "defined": {1: "function"},
}
