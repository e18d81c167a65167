"""What a model tells of its score: all, rounded, or only the decision; as a predictor and inside an ONNX graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from assay.adapters.extras import library
from assay.adapters.onnx_predictor import OnnxPredictor
from assay.adapters.predictor_base import BasePredictor
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Kind, Subject
from assay.harden.hardening.graph import with_facts

CLOSE = 1e-6
DUST = 1e-5
"""How far beyond 0 and 1 a probability in single precision may lie."""
OLDEST = 9
"""The version of ONNX's operators from which numbers in double precision are compared."""


class Output(NamedTuple):
    """What is told: the score at `decimals` (None: in full), or with `label` only whether it reaches the threshold."""

    name: str
    said: str
    decimals: int | None = None
    label: bool = False


WHOLE = Output("whole", "scores in full")
TWO = Output("rounded-2", "scores rounded to 2 decimals", 2)
ONE = Output("rounded-1", "scores rounded to 1 decimal", 1)
LABEL = Output("label-only", "only whether a row is flagged", label=True)


class Shown(BasePredictor):
    """A model that tells less than it knows; it is another's, and closing it leaves that open.

    `limit` is the threshold on what it is `graded` by: the rounded score, or of one that tells only decisions the score
    inside. Raises CouldNotLook for scores that are no probabilities.
    """

    def __init__(self, inner: BasePredictor, output: Output) -> None:
        super().__init__(inner.where)
        self.inner, self.output, self.cut = inner, output, inner.threshold
        self.features, self.classes, self.kind = inner.features, inner.classes, inner.kind
        self.access = "label" if output.label else inner.access
        self.threshold = 0.5 if output.label else inner.threshold

    def _score(self, rows: ArrowTable) -> Array:
        whole = self.inner.scores(rows)
        if self.output.label:
            return (whole >= self.cut).astype(float)
        return rounded(whole, self.output.decimals)


def rounded(scores: Array, decimals: int | None) -> Array:
    """Scores (n,) at some decimals, halves up. Raises CouldNotLook for scores that are no probabilities."""
    if decimals is None:
        return scores
    if len(scores) and (scores.min() < -DUST or scores.max() > 1 + DUST):
        raise CouldNotLook("its scores are no probabilities: how they are rounded is for you to say")
    out: Array = np.floor(scores * 10.0**decimals + 0.5) / 10.0**decimals
    return out


def graded(model: BasePredictor, rows: ArrowTable) -> Array:
    """The scores (n,) that the threshold cuts, which who asks may not be told."""
    hidden = _hidden(model)
    return np.asarray((model if hidden is None else hidden.inner).scores(rows), dtype=float)


def limit_of(model: BasePredictor) -> float:
    """The threshold on what it is graded by."""
    hidden = _hidden(model)
    return model.threshold if hidden is None else hidden.cut


def set_limit(model: BasePredictor, threshold: float) -> None:
    """Let a model flag from `threshold` on, of what it is graded by."""
    hidden = _hidden(model)
    if hidden is None:
        model.threshold = threshold
    else:
        hidden.cut = threshold


def _hidden(model: BasePredictor) -> Shown | None:
    """The model where it tells decisions only."""
    return model if isinstance(model, Shown) and model.output.label else None


def shown_graph(content: bytes, model: Shown, positive: int, rows: ArrowTable) -> bytes:
    """An ONNX classifier's file, told through an output: its score's tensor is changed inside the graph and keeps its
    name, its shape and its type; the metadata hold the threshold. It must answer `rows` as `model` does.

    Raises CouldNotLook for a graph in which the score has another shape, leaves by another door too, or whose operators
    are older than OLDEST.
    """
    onnx = library("onnx")
    proto = onnx.ModelProto.FromString(content)
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST:
        raise CouldNotLook(f"its ONNX operators are of version {opset}, and rounding needs {OLDEST}")
    _Cut(onnx, proto.graph, model, positive).change()
    out = with_facts(bytes(proto.SerializeToString()), {"threshold": model.threshold})
    told = {"inputs": list(model.features), "positive": model.classes[positive]}
    with OnnxPredictor(out, Subject(name="result", kind=Kind.MODEL, uri="the result", options=told)) as again:
        apart = np.abs(again.scores(rows) - model.scores(rows))
    if apart.max(initial=0.0) > CLOSE:
        raise CouldNotLook(f"{int((apart > CLOSE).sum())} of {len(apart)} rows are answered otherwise in ONNX")
    return out


class _Cut:
    """The nodes between what a graph computes as its score and what it answers."""

    def __init__(self, onnx: Any, graph: Any, model: Shown, positive: int) -> None:
        self.onnx, self.graph, self.model, self.positive = onnx, graph, model, positive
        types = onnx.TensorProto
        self.floats = (types.FLOAT, types.DOUBLE, types.FLOAT16)
        self.nodes: list[Any] = []

    def change(self) -> None:
        """Put them in. Raises CouldNotLook."""
        out = self._score()
        maker = self._maker(out.name)
        if maker.op_type == "ZipMap":  # scores as maps by class: what it reads is changed
            target, kind, width = maker.input[0], self.onnx.TensorProto.FLOAT, 2
            told = f"{target} told"
            maker.input[0] = told
            maker = self._maker(target)
        else:
            target, told, kind = out.name, out.name, out.type.tensor_type.elem_type
            shape = [d.dim_value for d in out.type.tensor_type.shape.dim]
            width = 1 if len(shape) == 1 or shape[1:] == [1] else 2
        whole = self._renamed(target)
        positive = self._told(whole, told, kind, width)
        labels = (self.onnx.TensorProto.INT64, self.onnx.TensorProto.INT32, self.onnx.TensorProto.STRING)
        for other in self.graph.output:
            if other.type.tensor_type.elem_type in labels:
                self._renamed(other.name)
                self._decided(positive, other.name, other.type.tensor_type.elem_type)
        at = list(self.graph.node).index(maker) + 1
        rest = list(self.graph.node)[at:]
        del self.graph.node[at:]
        self.graph.node.extend([*self.nodes, *rest])

    def _score(self) -> Any:
        """The output that holds the score, as predictors choose it; no other may tell it too."""
        outputs = list(self.graph.output)
        scores = [o for o in outputs if o.type.tensor_type.elem_type in self.floats]
        maps = [o for o in outputs if o.type.WhichOneof("value") == "sequence_type"]
        named = [o for o in scores if "prob" in o.name.lower()] or scores or maps
        if not named or len(scores) + len(maps) > 1:
            what = "has no output of scores" if not named else "tells its score at several outputs"
            raise CouldNotLook(f"{self.model.where}: its graph {what}")
        return named[-1]

    def _maker(self, name: str) -> Any:
        for node in self.graph.node:
            if name in node.output:
                return node
        raise CouldNotLook(f"{self.model.where}: no operator makes its score")

    def _renamed(self, name: str) -> str:
        """Another name for a tensor wherever nodes speak of it."""
        whole = f"{name} whole"
        for node in self.graph.node:
            for names in (node.input, node.output):
                for at, known in enumerate(names):
                    if known == name:
                        names[at] = whole
        return whole

    def _decided(self, positive: str, told: str, kind: int) -> None:
        """The class that is answered beside the score, by the same threshold on what is told: another tells more."""
        text = kind == self.onnx.TensorProto.STRING
        if any(isinstance(c, str) != text for c in self.model.classes):
            raise CouldNotLook(f"{self.model.where}: answers classes beside its score that are not known by name")
        flat = self._node("Reshape", [positive, self._constant(np.array([-1]))])
        below = self._node("Less", [flat, self._constant(np.array(self.model.threshold))])
        helper, classes = self.onnx.helper, [self.model.classes[k] for k in (1 - self.positive, self.positive)]
        names = []
        for value in classes:
            held = [str(value).encode()] if text else [int(value)]
            names.append(f"assay constant {len(self.nodes)}")
            self._node("Constant", [], names[-1], value=helper.make_tensor(names[-1], kind, [1], held))
        self._node("Where", [below, *names], told)

    def _told(self, whole: str, told: str, kind: int, width: int) -> str:
        """The score's tensor `whole` as what is told: in double precision as predictors compare it, of two classes the
        positive one's and its rest. The name of the positive one's."""
        double = self._node("Cast", [whole], to=self.onnx.TensorProto.DOUBLE)
        if width == 2:
            double = self._node("Gather", [double, self._constant(np.array([self.positive]))], axis=1)
        changed = positive = self._label(double) if self.model.output.label else self._rounded(double)
        if width == 2:
            rest = self._node("Sub", [self._constant(np.array(1.0)), changed])
            changed = self._node("Concat", [changed, rest] if self.positive == 0 else [rest, changed], axis=1)
        self._node("Cast", [changed], told, to=kind)
        return positive

    def _rounded(self, name: str) -> str:
        by = self._constant(np.array(10.0 ** (self.model.output.decimals or 0)))
        half = self._node("Add", [self._node("Mul", [name, by]), self._constant(np.array(0.5))])
        return self._node("Div", [self._node("Floor", [half]), by])

    def _label(self, name: str) -> str:
        below = self._node("Less", [name, self._constant(np.array(self.model.cut))])
        return self._node("Cast", [self._node("Not", [below])], to=self.onnx.TensorProto.DOUBLE)

    def _node(self, op: str, inputs: list[str], output: str = "", **how: Any) -> str:
        output = output or f"assay told {len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], **how))
        return output

    def _constant(self, value: Array) -> str:
        name = f"assay constant {len(self.nodes)}"
        value = value.astype(np.int64) if value.dtype.kind in "iu" else value.astype(np.float64)
        return self._node("Constant", [], name, value=self.onnx.numpy_helper.from_array(value, name))
