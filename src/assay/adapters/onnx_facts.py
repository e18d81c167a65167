"""What an ONNX file asks for beyond itself, found before a session is made: foreign operators and foreign files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.adapters.extras import library
from assay.adapters.predictor_base import listing
from assay.core.errors import CouldNotLook

# What onnxruntime's CPU build brings along; any other domain needs a library of somebody's own code.
_BUILT_IN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_MAX_DEPTH = 50


def require_self_contained(content: bytes, where: str) -> None:
    """Refuse a model that is torn, needs custom operators, or keeps weights in other files. Raises CouldNotLook."""
    onnx = library("onnx")
    protobuf = library("google.protobuf.message")
    try:
        model = onnx.ModelProto.FromString(content)
    except protobuf.DecodeError:
        raise CouldNotLook(f"{where}: is torn or not an ONNX model") from None
    if not model.graph.node or not model.graph.output:
        raise CouldNotLook(f"{where}: is torn or not an ONNX model: its graph is empty")
    own = {function.domain for function in model.functions}
    graphs = [*_graphs(model.graph, 0, where), *model.functions]
    foreign = sorted({f"{n.domain}.{n.op_type}" for g in graphs for n in g.node if n.domain not in _BUILT_IN | own})
    if foreign:
        raise CouldNotLook(f"{where}: needs custom operators ({listing(foreign)}); their code is not run here")
    if any(t.data_location == onnx.TensorProto.EXTERNAL for g in graphs for t in _tensors(g)):
        raise CouldNotLook(f"{where}: keeps weights in other files; save it as one file")


def _graphs(graph: Any, depth: int, where: str) -> Iterator[Any]:
    """The graph and the graphs inside its nodes."""
    if depth > _MAX_DEPTH:
        raise CouldNotLook(f"{where}: nests graphs more than {_MAX_DEPTH} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner, depth + 1, where)


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor written in a graph or function: weights, sparse weights, constants of nodes."""
    yield from getattr(graph, "initializer", ())
    for sparse in getattr(graph, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
