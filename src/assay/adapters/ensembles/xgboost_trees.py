"""The trees of an XGBoost model that `xgboost_model.sound` has found whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from assay.adapters.ensembles.nodes import Nodes
from assay.adapters.ensembles.trees import Trees
from assay.adapters.xgboost_model import Learner, Tree
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

_LOGISTIC = frozenset({"binary:logistic", "reg:logistic"})
_IDENTITY = frozenset(
    {"binary:logitraw", "reg:squarederror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror"}
    | {"reg:linear", "rank:pairwise", "rank:ndcg", "rank:map"}
)
_CATEGORICAL = 1


def xgboost_trees(
    learner: Learner,
    where: str,
    columns: tuple[str, ...],
    read: Callable[[ArrowTable], FloatArray],
    levels: dict[str, tuple[Any, ...]],
    *,
    positive: int,
) -> Trees:
    """The trees of a sound model. Raises CouldNotLook for one whose answer is no rising function of a sum."""
    objective, booster = learner.objective.name, learner.gradient_booster
    if booster.name == "gblinear":
        raise CouldNotLook(f"{where}: is a linear booster, which has no trees")
    if learner.outputs != 1:
        raise CouldNotLook(f"{where}: has a tree for each of several classes; attack it with `access: label`")
    if objective not in _LOGISTIC | _IDENTITY:
        raise CouldNotLook(f"{where}: its objective {objective!r} is not one whose trees can be reasoned about here")
    base = learner.base
    if objective in _LOGISTIC:
        if not 0.0 < base < 1.0:
            raise CouldNotLook(f"{where}: its base score is no probability")
        base = math.log(base / (1.0 - base))
    nodes = Nodes()
    weights = booster.weight_drop or [1.0] * len(learner.forest.trees)
    wide = 1 + max((max(t.categories, default=0) for t in learner.forest.trees), default=0)
    wide = max([wide, *(len(known) for known in levels.values())])
    for tree, weight in zip(learner.forest.trees, weights, strict=True):
        _tree(tree, nodes, weight, wide)
    sign = 1.0 if positive == 1 else -1.0
    return Trees(
        columns, read, nodes.arrays(sign), base=sign * base,
        link="logistic" if objective in _LOGISTIC else "identity",
        strict=True, single=True, sets=nodes.sets(), levels=dict(levels),
    )  # fmt: skip


def _tree(tree: Tree, nodes: Nodes, weight: float, wide: int) -> None:
    held = {}
    sets = zip(tree.categories_nodes, tree.categories_segments, tree.categories_sizes, strict=True)
    for node, start, size in sets:
        inside = np.ones(wide, dtype=bool)
        inside[tree.categories[start : start + size]] = False  # what is listed goes right
        held[node] = inside
    rows = []
    for node, (left, right) in enumerate(zip(tree.left_children, tree.right_children, strict=True)):
        value = float(np.float32(tree.split_conditions[node]))
        if left == -1:
            rows.append(nodes.leaf(value * weight))
            continue
        by_set = bool(tree.split_type) and tree.split_type[node] == _CATEGORICAL
        feature, missing_left = tree.split_indices[node], bool(tree.default_left[node])
        rows.append(nodes.split(feature, value, left, right, missing_left, held.get(node) if by_set else None))
    nodes.tree(rows)
