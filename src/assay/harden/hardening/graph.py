"""A trained network as ONNX: the columns that it reads, their encoders, its layers, its classes and threshold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.adapters.extras import library
from assay.adapters.networks.network import Network
from assay.adapters.values import canonical_text
from assay.core.errors import CouldNotLook
from assay.core.finding import Json
from assay.core.protocols import FloatArray as Array
from assay.harden.hardening.splits import Grown

OPSET, OPSET_ML, IR = 17, 3, 8
_NAMES = {
    "relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid", "leaky": "LeakyRelu", "elu": "Elu", "softplus": "Softplus",
}  # fmt: skip
_DOUBLE = frozenset({"relu", "tanh", "logistic", "identity"})
"""Activations that onnxruntime computes in double too."""


DECIDED = "decided_score"
"""The output that says what a model that abstains would score by the mean; its name must not be taken for a score."""


def network_to_onnx(network: Network, classes: tuple[Any, ...], positive: int, decided: Network | None = None) -> bytes:
    """The network as a ModelProto whose output `probabilities` (n, 2) is the softmax of (0, margin), by class.

    The score of `decided`, a network of the same layers but for its end, is a second output (n, 1).
    One tensor of all columns where they are numbers, else one input a column. In double precision where onnxruntime has
    every operator in it and no missing value is filled. Raises CouldNotLook for what has no operator.
    """
    onnx = library("onnx")
    kinds = {one.activation for one in network.layers}
    if odd := kinds - _DOUBLE - _NAMES.keys():
        raise CouldNotLook(f"an activation of the network ({', '.join(sorted(odd))}) is not written to ONNX here")
    numbers = bool(np.isnan(network.inputs.level).all())
    filled = bool(np.isfinite(network.inputs.filled[np.isnan(network.inputs.level)]).any())
    made = _Graph(onnx, double=kinds <= _DOUBLE and not filled)
    name, order = made.columns(network) if not numbers else made.matrix(network)
    name = made.layers(network, name, order, positive, decided)
    told = [("probabilities", 2), *([(DECIDED, 1)] if decided is not None else [])]
    outputs = [onnx.helper.make_tensor_value_info(name, made.kind, [None, width]) for name, width in told]
    return _proto(onnx, made, outputs, network, classes, positive)


def trees_to_onnx(trees: Grown, inputs: Network, classes: tuple[Any, ...], positive: int) -> bytes:
    """Trees over what a network would read (`inputs` is asked for its columns and encoders, not for its layers), as a
    ModelProto whose output `probabilities` (n, 2) is the logistic of the margin, by class."""
    onnx = library("onnx")
    numbers = bool(np.isnan(inputs.inputs.level).all())
    made = _Graph(onnx, double=False)
    name, order = made.columns(inputs) if not numbers else made.matrix(inputs)
    made.trees(name, np.argsort(order), trees, positive)
    outputs = [onnx.helper.make_tensor_value_info("probabilities", made.kind, [None, 2])]
    return _proto(onnx, made, outputs, inputs, classes, positive)


def _proto(
    onnx: Any, made: _Graph, outputs: list[Any], inputs: Network, classes: tuple[Any, ...], positive: int
) -> bytes:
    """The whole model, with its classes and (where it reads one tensor) the names of its columns."""
    graph = onnx.helper.make_graph(made.nodes, "hardened", made.inputs, outputs, made.constants)
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
    proto = onnx.helper.make_model(graph, opset_imports=imports, producer_name="assay", ir_version=IR)
    onnx.checker.check_model(proto)
    numbers = bool(np.isnan(inputs.inputs.level).all())
    meta = {"classes": [_plain(c) for c in classes], "positive": _plain(classes[positive])}
    return with_facts(proto.SerializeToString(), {**meta, "features": list(inputs.columns)} if numbers else meta)


def with_facts(content: bytes, facts: Mapping[str, Json]) -> bytes:
    """The same graph with facts in its metadata, such as `threshold`, in place of those of the same name."""
    proto = library("onnx").ModelProto.FromString(content)
    kept = [(p.key, p.value) for p in proto.metadata_props if p.key not in facts]
    del proto.metadata_props[:]
    for key, value in [*kept, *((k, json.dumps(v)) for k, v in facts.items())]:
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(proto.SerializeToString(deterministic=True))


class _Graph:
    """Nodes, inputs and constants, as they are added; names count up."""

    def __init__(self, onnx: Any, *, double: bool) -> None:
        self.onnx, self.type = onnx, np.float64 if double else np.float32
        self.kind = onnx.TensorProto.DOUBLE if double else onnx.TensorProto.FLOAT
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.constants: list[Any] = []

    def node(self, op: str, inputs: list[str], output: str = "", domain: str = "", **told: Any) -> str:
        """Add an operator; the name of its output."""
        output = output or f"step {len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], domain=domain, **told))
        return output

    def constant(self, value: Array) -> str:
        """Add a constant; its name."""
        name = f"constant {len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def entry(self, name: str, kind: int, width: int) -> str:
        """Add an input."""
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, kind, [None, width]))
        return name

    def filled(self, name: str, fill: Array) -> str:
        """Missing numbers filled, where there is something to fill them."""
        if not np.isfinite(fill).any():
            return name
        values = [float(v) for v in fill]
        return self.node("Imputer", [name], domain="ai.onnx.ml", imputed_value_floats=values,
                         replaced_value_float=float("nan"))  # fmt: skip

    def matrix(self, network: Network) -> tuple[str, Array]:
        """(what holds the lifted rows, the order of its columns): one tensor of numbers."""
        entry = next(n for n in ("x", *(f"x{i}" for i in range(1000))) if n not in network.columns)
        name = self.entry(entry, self.kind, len(network.columns))
        column, _, fill = network.inputs
        if not np.array_equal(column, np.arange(len(network.columns))):
            name = self.node("Gather", [name, self.constant(np.asarray(column, dtype=np.int64))], axis=1)
        return self.filled(name, fill), np.arange(len(column))

    def columns(self, network: Network) -> tuple[str, Array]:
        """(what holds the lifted rows, the order of its columns): one input for each column, words one-hot."""
        column, level, fill = network.inputs
        parts, order = [], []
        for j, name in enumerate(network.columns):
            places = np.flatnonzero(column == j)
            known = network.levels.get(name)
            text = known is not None and any(isinstance(v, str) for v in known)
            self.entry(name, self.onnx.TensorProto.STRING if text else self.kind, 1)
            for plain in (True, False):
                part = places[np.isnan(level[places]) == plain]
                if not len(part):
                    continue
                order += part.tolist()
                if plain:
                    parts += [self.filled(name, fill[[p]]) for p in part]
                else:
                    parts.append(self._levels(name, known, level[part], text=text))
        whole = self.node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]
        return whole, np.array(order, dtype=int)

    def _levels(self, name: str, known: tuple[object, ...] | None, level: Array, *, text: bool) -> str:
        values = [float(v) if known is None else known[int(v)] for v in level]
        if text:
            told: dict[str, Any] = {"cats_strings": [str(canonical_text(v) or "") for v in values]}
        else:
            whole = [int(v) for v in values]  # type: ignore[call-overload]
            if any(a != b for a, b in zip(whole, values, strict=True)):
                raise CouldNotLook(f"{name}: levels that are no whole numbers are not written to ONNX here")
            told = {"cats_int64s": whole}
            name = self.node("Cast", [name], to=self.onnx.TensorProto.INT64)
        ones = self.node("OneHotEncoder", [name], domain="ai.onnx.ml", zeros=1, **told)
        # An input (n, 1) becomes (n, 1, levels).
        flat = self.node("Reshape", [ones, self.constant(np.array([-1, len(values)], dtype=np.int64))])
        return self.node("Cast", [flat], to=self.kind)

    def layers(self, network: Network, name: str, order: Array, positive: int, decided: Network | None) -> str:
        """The layers, the last as two logits, and the softmax; of `decided` its last layer and a sigmoid."""
        for at, one in enumerate(network.layers):
            if decided is not None and at == len(decided.layers) - 1:
                end = decided.layers[-1]
                weight = end.weight[order] if at == 0 else end.weight
                margin = self.node("MatMul", [name, self.constant(weight.astype(self.type))])
                margin = self.node("Add", [margin, self.constant(end.bias.astype(self.type))])
                self.node("Sigmoid", [margin], DECIDED)
            weight, bias = one.weight[order] if at == 0 else one.weight, one.bias
            if at == len(network.layers) - 1:
                weight, bias = _pair(weight, positive), _pair(bias[None, :], positive)[0]
            name = self.node("MatMul", [name, self.constant(weight.astype(self.type))])
            name = self.node("Add", [name, self.constant(bias.astype(self.type))])
            if one.activation != "identity":
                told: dict[str, Any] = {"alpha": one.alpha} if one.activation in ("leaky", "elu") else {}
                name = self.node(_NAMES[one.activation], [name], **told)
        return self.node("Softmax", [name], "probabilities", axis=1)

    def trees(self, name: str, place: Array, trees: Grown, positive: int) -> str:
        """The trees, the logistic of their sum, and what is left of 1 for the other class; `place` (p,) is where each
        input lies in the tensor."""
        inner = trees.feature >= 0
        tree = np.searchsorted(trees.roots, np.arange(len(inner)), side="right") - 1
        ids = np.arange(len(inner)) - trees.roots[tree]
        leaves = np.flatnonzero(~inner)
        told: dict[str, Any] = {
            "nodes_treeids": tree, "nodes_nodeids": ids, "nodes_featureids": np.where(inner, place[trees.feature], 0),
            "nodes_truenodeids": np.where(inner, trees.left - trees.roots[tree], 0),
            "nodes_falsenodeids": np.where(inner, trees.right - trees.roots[tree], 0),
            "nodes_missing_value_tracks_true": np.zeros(len(inner), dtype=int),
            "target_treeids": tree[leaves], "target_nodeids": ids[leaves],
            "target_ids": np.zeros(len(leaves), dtype=int),
        }  # fmt: skip
        numbers: dict[str, Any] = {
            "nodes_values": np.where(inner, trees.threshold, 0.0),
            "target_weights": trees.value[leaves],
        }
        told = {key: [int(v) for v in values] for key, values in told.items()}
        told |= {key: [float(v) for v in values] for key, values in numbers.items()}
        told["nodes_modes"] = ["BRANCH_LEQ" if i else "LEAF" for i in inner.tolist()]
        name = self.node(
            "TreeEnsembleRegressor", [name], domain="ai.onnx.ml", n_targets=1, base_values=[trees.base], **told
        )
        hit = self.node("Sigmoid", [name])
        rest = self.node("Sub", [self.constant(np.ones((1, 1), dtype=self.type)), hit])
        return self.node("Concat", [rest, hit] if positive == 1 else [hit, rest], "probabilities", axis=1)


def _pair(margin: Array, positive: int) -> Array:
    """Two columns: nothing for the other class, the margin for the positive one."""
    out = np.zeros((len(margin), 2))
    out[:, positive] = margin[:, 0]
    return out


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, bool | int | float | str) else str(value)
