"""The network that an ONNX graph computes: its operators are followed from the score back to the columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from assay.adapters.encode import codes as coded
from assay.adapters.encode import numbers
from assay.adapters.extras import library
from assay.adapters.networks.network import SINGLE, Inputs, Network
from assay.adapters.networks.onnx_kinds import FLOAT
from assay.adapters.networks.onnx_nodes import Follow
from assay.adapters.networks.onnx_score import finished
from assay.adapters.networks.onnx_values import Value
from assay.adapters.values import same_value
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.text import visible

FAULTS = (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError)
"""What a graph that contradicts itself makes the reader run into."""


class Asked(NamedTuple):
    """Which score of a graph: its output, how the answer is told, and the class that is positive (place and value)."""

    output: int
    form: str
    place: int
    positive: Any


def onnx_network(graph: Any, where: str, features: tuple[str, ...], asked: Asked) -> Network:
    """The network behind a score of a parsed ModelProto that onnxruntime has loaded.

    Raises CouldNotLook for a graph that holds more than affine steps, activations one after the other, encoders of
    single columns and one softmax, sigmoid or clip at its end.
    """
    if asked.form == "label":
        raise CouldNotLook(f"{where}: answers labels only; attack it with `access: label`")
    follow = Follow(graph, where, features)
    try:
        value = follow.value(follow.outputs[asked.output])
        if graph.graph.output[asked.output].type.tensor_type.elem_type == FLOAT:
            follow.unit = SINGLE
        place = _place(follow, value, asked, where)
        network = _finished(follow, value, place)
    except FAULTS as error:
        what = f"its graph cannot be followed ({type(error).__name__}); attack it with `access: score`"
        raise CouldNotLook(f"{where}: {what}") from None
    return network


def _place(follow: Follow, value: Value, asked: Asked, where: str) -> int:
    """Which output column is the score."""
    if asked.form == "maps":
        for place, label in enumerate(follow.labels):
            if same_value(label, asked.positive):
                return place
        raise CouldNotLook(f"{where}: its classes lack the positive one")
    return 0 if value.width == 1 else asked.place


def _finished(follow: Follow, value: Value, place: int) -> Network:
    np = library("numpy")
    layers, positive, link, ends = finished(follow, value, place)
    first = layers[0]._replace(weight=np.pad(layers[0].weight, ((0, follow.width(0) - len(layers[0].weight)), (0, 0))))
    steep, flat, most = first.noisy()
    more = len(first.weight) - len(steep)
    steep, most = np.pad(steep, ((0, more), (0, 0))), np.insert(most, -1, np.zeros(more))
    used = first.weight.any(axis=1) | steep.any(axis=1)  # what cancels out still leaves its rounding
    inputs = Inputs(*(part[used] for part in follow.inputs()))
    layers = (
        first._replace(weight=first.weight[used], noise=(steep[used], flat, most[np.append(used, True)])),
        *layers[1:],
    )
    return Network(
        follow.features, reader(follow.features, follow.levels), inputs, layers, positive=positive, link=link,
        ends=ends, single=follow.single, levels=dict(follow.levels), unit=follow.unit, cut=follow.cut[used],
        whole=frozenset(follow.whole),
    )  # fmt: skip


def reader(features: tuple[str, ...], levels: dict[str, tuple[Any, ...]]) -> Callable[[ArrowTable], FloatArray]:
    """Turns rows into codes (n, d): numbers as they are, the place of a category among `levels`."""

    def read(rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        out = np.empty((rows.num_rows, len(features)), dtype=np.float64)
        for place, name in enumerate(features):
            level = levels.get(name)
            if level is None:
                out[:, place] = numbers(rows.column(name))
                continue
            out[:, place] = coded(rows.column(name), level)[0]
            if "" in level:  # onnxruntime is asked with "" for a missing word
                missing = np.asarray(rows.column(name).is_null())
                out[missing, place] = float(level.index(""))
        return out

    return read


def parsed(content: bytes, where: str) -> Any:
    """A ModelProto. Raises CouldNotLook for torn bytes."""
    onnx, protobuf = library("onnx"), library("google.protobuf.message")
    try:
        return onnx.ModelProto.FromString(content)
    except protobuf.DecodeError:
        raise CouldNotLook(f"{visible(where, 80)}: is torn or not an ONNX model") from None
