"""The trees of an ONNX graph, told in the columns that it is given: what stands before them is asked, never copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assay.adapters.ensembles.onnx_columns import Column, Facts, attributes, behind, entry
from assay.adapters.ensembles.onnx_nodes import OPERATORS, Forest, begins, forest, scores
from assay.adapters.ensembles.onnx_scores import Score, answer
from assay.adapters.ensembles.pulled import Derived, Reach, Reader, pulled
from assay.adapters.ensembles.sound import require_sound
from assay.adapters.ensembles.trees import Trees
from assay.adapters.extras import library
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.text import visible

Ask = Callable[[str, ArrowTable], Any]
_IN_ORDER = 2
"""Trees up to which there is one order to add them in. Of more, onnxruntime's threads add parts of the sum: of over 80
trees always (its `parallel_tree`), of fewer where it is asked for more than 50 rows at once (1.31)."""
_BITS = 24
_REACH = {"int64": 2.0**62, "int32": 2.0**31 - 1, "int8": 127.0, "float16": 65504.0}


def zipped(graph: Any, target: str) -> tuple[Any, ...]:
    """The classes of the ZipMap that makes `target`, in order; () where none does."""
    node = Facts(graph).made.get(target)
    if node is None or node.op_type != "ZipMap":
        return ()
    said = attributes(node)
    return tuple(said.get("classlabels_int64s") or said.get("classlabels_strings") or ())


def onnx_trees(
    graph: Any, target: str, positive: int, columns: tuple[str, ...], kinds: tuple[str, ...], ask: Ask, where: str
) -> Trees:
    """The trees behind column `positive` of output `target`, over the `columns` of the data, whose inputs have `kinds`.

    `ask(tensor, rows)` gives what a tensor of the graph holds for rows. Raises CouldNotLook where something in the
    graph cannot be read exactly.
    """
    facts = Facts(graph)
    node = _ensemble(facts, where)
    tensor, said = node.input[0], attributes(node)
    names = [item.name for item in graph.input if item.name not in facts.constants]
    entries = [entry(i, kind) for i, kind in enumerate(kinds)]
    inputs = {names[0]: entries} if tuple(names) != columns else dict(zip(names, ([c] for c in entries), strict=True))
    read = behind(facts, inputs, tensor, where)
    known = set(kinds) - {"str"}
    sample = None if tensor in inputs else np.asarray(ask(tensor, _usual(columns, kinds, read)))
    kind = str(sample.dtype) if sample is not None else kinds[0]
    made = forest(node.op_type, said, kind != "float64", where)
    require_sound(made.nodes, len(read), len(made.sets), where)
    # A classifier's scores are its second output.
    output = node.output[1] if node.op_type == "TreeEnsembleClassifier" else node.output[0]
    found = answer(facts, {output: scores(node.op_type, said, made, where)}, target, where)
    if positive >= len(found) > 1:
        raise CouldNotLook(f"{where}: gives {len(found)} scores, which does not fit its classes")
    score = found[positive] if len(found) > 1 else found[0]
    exact = _exact(made.weights[made.nodes["feature"] < 0], begins(said), len(made.nodes["roots"]))
    if tensor in inputs and not len(made.sets) and known <= {"float32", "float64"}:
        return _trees(made, score, columns, Reader(columns, {}, where), kind != "float64", exact)
    numbers = tuple(str(j) for j in range(len(read)))
    inner = _trees(made, score, numbers, Reader((), {}, where), kind != "float64", exact)

    truths = [n for n, k in zip(columns, kinds, strict=True) if k == "bool"]

    def derive(rows: ArrowTable) -> FloatArray:
        values = np.asarray(ask(tensor, _true(rows, truths)), dtype=np.float64)
        if values.shape != (rows.num_rows, len(read)):
            raise CouldNotLook(f"{where}: what its trees read has another shape than its graph says")
        return values

    reach: Reach = {i: (-_REACH[k], _REACH[k]) for i, k in enumerate(kinds) if k in _REACH}
    reach |= {i: (0.0, 1.0) for i, k in enumerate(kinds) if k == "bool"}
    words = frozenset(n for n, k in zip(columns, kinds, strict=True) if k == "str")
    cut = _cut(inner, read, columns, where)
    return pulled(inner, _derived(inner, read, where), columns, derive, where, reach=reach, as_words=words, cut=cut)


def _ensemble(facts: Facts, where: str) -> Any:
    found = [n for n in facts.graph.node if n.domain == "ai.onnx.ml" and n.op_type in OPERATORS]
    if len(found) != 1:
        what = "holds no ensemble of trees" if not found else f"holds {len(found)} ensembles of trees"
        raise CouldNotLook(f"{where}: {what}, not one that can be read out of it; attack it with `access: label`")
    return found[0]


def _trees(made: Forest, score: Score, columns: tuple[str, ...], read: Reader, single: bool, exact: bool) -> Trees:
    nodes = {**made.nodes, "value": np.where(made.nodes["feature"] < 0, score.values, 0.0)}
    if not np.isfinite(nodes["value"]).all():
        raise CouldNotLook(f"{read.where}: its trees are torn or damaged: a leaf has a value that is no number")
    return Trees(
        columns, read, nodes, base=score.base, link=score.link, single=single, short=True,
        unordered=len(nodes["roots"]) > _IN_ORDER and not exact,
        sets=made.sets,
    )  # fmt: skip


def _exact(leaves: FloatArray, base: list[float], trees: int) -> bool:
    """Whether float32 adds leaves (m, k), of k sums, and their bases without rounding, in any order: all are multiples
    of one power of two, and few. They are as the operator adds them; what becomes of sums after it has one order."""
    told = np.abs(np.append(leaves, base))
    whole, exponent = np.frexp(told[told > 0])
    number = (whole * 2.0**53).astype(np.int64)
    least = exponent - 53 + np.log2((number & -number).astype(float)).astype(int)
    most = (trees + 1) * float(told.max(initial=0.0))
    return not len(least) or most < 2.0 ** (int(least.min()) + _BITS)


def _derived(inner: Trees, read: list[Column], where: str) -> list[Derived]:
    """The columns behind, of which one that is asked for equality alone is told by the values it is asked for."""
    out = [Derived(c.place, c.levels) for c in read]
    for j in np.unique(inner.feature[(inner.set_of >= 0) & (inner.feature >= 0)]).tolist():
        if read[j].levels is not None:
            continue
        mine = inner.feature == j
        if not read[j].raw or (inner.set_of[mine] < 0).any():
            raise CouldNotLook(f"{where}: asks a number for equality and for size; attack it with `access: label`")
        codes = np.flatnonzero(inner.sets[inner.set_of[mine]].any(axis=0))
        out[j] = Derived(read[j].place, tuple(codes.astype(float).tolist()))
    return out


def _cut(inner: Trees, read: list[Column], columns: tuple[str, ...], where: str) -> frozenset[str]:
    """The columns of which levels are told after they are cut down to whole numbers."""
    used = [read[j] for j in np.unique(inner.feature[inner.feature >= 0]).tolist()]
    cut = {c.place for c in used if c.cut}
    if both := cut & {c.place for c in used if not c.cut}:
        name = visible(columns[min(both)], 40)
        raise CouldNotLook(f"{where}: reads {name} whole and cut down to whole numbers; attack it with `access: label`")
    return frozenset(columns[p] for p in cut)


def _true(rows: ArrowTable, names: list[str]) -> ArrowTable:
    """The rows with 0 or 1 in columns that take nothing else: what a split sends left ends in their middle."""
    pa, compute = library("pyarrow"), library("pyarrow.compute")
    for name in names:
        above = compute.greater(rows.column(name).cast(pa.float64()), 0.5)
        rows = rows.set_column(rows.column_names.index(name), name, above.cast(pa.float64()))
    return rows


def _usual(columns: tuple[str, ...], kinds: tuple[str, ...], read: list[Column]) -> ArrowTable:
    """One row that the graph takes, to see what type a tensor has."""
    pa = library("pyarrow")
    first = {c.place: c.levels[0] for c in read if c.levels}
    usual = [first.get(i, "" if k == "str" else 0.0) for i, k in enumerate(kinds)]
    return pa.table({name: pa.array([value]) for name, value in zip(columns, usual, strict=True)})
