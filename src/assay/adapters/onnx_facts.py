"""What an ONNX file asks for beyond itself, found before a session is made: foreign operators and foreign files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.adapters.extras import library
from assay.adapters.predictor_base import listing
from assay.core.errors import CouldNotLook

# What onnxruntime's CPU build brings along; any other domain needs a library of somebody's own code.
_BUILT_IN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
# Messages inside messages: a graph in a node's attribute lies three deeper than the graph around it.
_MAX_DEPTH = 90


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
    known = _BUILT_IN | {function.domain for function in model.functions}
    foreign: set[str] = set()
    outside = False
    for message in _messages(model, where):
        if isinstance(message, onnx.NodeProto):
            if message.domain not in known:
                foreign.add(f"{message.domain}.{message.op_type}")
        elif isinstance(message, onnx.TensorProto):
            outside |= message.data_location == onnx.TensorProto.EXTERNAL or bool(message.external_data)
    if foreign:
        raise CouldNotLook(f"{where}: needs custom operators ({listing(sorted(foreign))}); their code is not run here")
    if outside:
        raise CouldNotLook(f"{where}: keeps weights in other files; save it as one file")


def _messages(model: Any, where: str) -> Iterator[Any]:
    """Every message in the model, wherever it hangs: a list of places to look would miss the next place.

    So branches, functions, sparse and training tensors, and defaults of attributes are all among them.
    """
    waiting = [(model, 0)]
    while waiting:
        message, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise CouldNotLook(f"{where}: nests graphs more than {_MAX_DEPTH // 3} deep")
        yield message
        if message.DESCRIPTOR.name == "TensorProto":  # its fields are data, which need not be copied
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                inner = (value,) if hasattr(value, "ListFields") else value
                waiting.extend((item, depth + 1) for item in inner)
