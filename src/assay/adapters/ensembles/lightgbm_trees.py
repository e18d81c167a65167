"""The trees of a LightGBM text model that `lightgbm_text.sound` has found whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from assay.adapters.ensembles.nodes import Nodes
from assay.adapters.ensembles.trees import Link, Trees
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NO_MISSING, _ZERO_MISSING = 0, 1
_ZERO = float(np.float32(1e-35))
_IDENTITY = frozenset({"custom", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank"})
_LOGISTIC = frozenset({"binary", "cross_entropy"})


def lightgbm_trees(
    text: str,
    where: str,
    columns: tuple[str, ...],
    read: Callable[[ArrowTable], FloatArray],
    levels: dict[str, tuple[Any, ...]],
    *,
    positive: int,
) -> Trees:
    """The trees of a sound text model. Raises CouldNotLook for one whose answer is no rising function of a sum."""
    head, *sections = text.split("\nTree=")
    header = dict(line.partition("=")[::2] for line in head.split("\n"))
    link, slope = _link(header.get("objective", "custom"), where)
    if int(header["num_class"]) != 1:
        raise CouldNotLook(f"{where}: has a tree for each of several classes; attack it with `access: label`")
    nodes, counts = Nodes(), list[float]()
    for section in sections:
        fields = dict(line.partition("=")[::2] for line in section.split("\n"))
        _tree(fields, nodes, where)
        counts += _counts(fields)
    sign = slope * (1.0 if positive == 1 else -1.0) / (len(sections) if "average_output" in header else 1)
    arrays = nodes.arrays(sign)
    if len(counts) == len(arrays["value"]):
        arrays["counts"] = np.array(counts)
    return Trees(columns, read, arrays, link=link, sets=nodes.sets(), levels={n: levels[n] for n in levels})


def _counts(fields: dict[str, str]) -> list[float]:
    """The training rows that came to each node of a tree, splits before leaves; none where they are not told."""
    try:
        inner, leaves = ([float(v) for v in fields.get(n, "").split()] for n in ("internal_count", "leaf_count"))
    except ValueError:
        return []
    return [*inner, *leaves]


def _link(objective: str, where: str) -> tuple[Link, float]:
    """(link, what the sum is multiplied by before it)."""
    name, *said = objective.split(" ")
    told = dict(part.partition(":")[::2] for part in said)
    if name in _LOGISTIC:
        return "logistic", float(told.get("sigmoid") or 1.0)
    if name in _IDENTITY and "sqrt" not in told:
        return "identity", 1.0
    raise CouldNotLook(f"{where}: its objective {name!r} is not one whose trees can be reasoned about here")


def _tree(fields: dict[str, str], nodes: Nodes, where: str) -> None:
    values = [float(v) for v in fields["leaf_value"].split(" ")]
    splits = len(values) - 1
    if not splits:
        nodes.tree([nodes.leaf(values[0])])
        return
    feature, kinds, left, right = (
        [int(v) for v in fields[name].split(" ")]
        for name in ("split_feature", "decision_type", "left_child", "right_child")
    )
    threshold = [float(v) for v in fields["threshold"].split(" ")]
    bounds, words = (
        [int(v) for v in fields[name].split(" ")] if fields.get(name) else []
        for name in ("cat_boundaries", "cat_threshold")
    )

    def child(place: int) -> int:
        return place if place >= 0 else splits - 1 - place  # leaves stand after the splits

    rows = []
    for i in range(splits):
        missing = kinds[i] >> 2 & 3
        if missing == _ZERO_MISSING:
            raise CouldNotLook(f"{where}: takes zeros for missing values; attack it with `access: label`")
        if kinds[i] & _CATEGORICAL:
            at = int(threshold[i])
            inside = _codes(words[bounds[at] : bounds[at + 1]])
            rows.append(nodes.split(feature[i], 0.0, child(left[i]), child(right[i]), False, inside))
            continue
        # Without a way for missing values NaN is taken for 0.
        goes_left = threshold[i] >= 0.0 if missing == _NO_MISSING else bool(kinds[i] & _DEFAULT_LEFT)
        rows.append(nodes.split(feature[i], _border(threshold[i]), child(left[i]), child(right[i]), goes_left))
    nodes.tree([*rows, *(nodes.leaf(v) for v in values)])


def _border(threshold: float) -> float:
    """The last value that goes left: values of at most 1e-35 in size are zero to LightGBM, whatever the threshold."""
    if not abs(threshold) <= _ZERO:
        return threshold
    return _ZERO if threshold >= 0.0 else math.nextafter(-_ZERO, -math.inf)


def _codes(words: list[int]) -> FloatArray:
    """Which codes (k,) a bitset of 32-bit words holds, bool."""
    packed = np.array(words, dtype="<u4").view(np.uint8)
    return np.unpackbits(packed, bitorder="little").astype(bool)
