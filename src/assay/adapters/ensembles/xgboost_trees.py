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
_MOST_CODES = 200_000_000


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
    base = float(np.float32(learner.base))  # XGBoost holds its numbers so
    if objective in _LOGISTIC:
        if not 0.0 < base < 1.0:
            raise CouldNotLook(f"{where}: its base score is no probability")
        base = math.log(base / (1.0 - base))
    nodes = Nodes()
    trees = learner.trees
    weights = [float(np.float32(w)) for w in booster.weight_drop[: len(trees)]] or [1.0] * len(trees)
    wide = 1 + max((max(t.categories, default=0) for t in trees), default=0)
    wide = max([wide, *(len(known) for known in levels.values())])
    if wide * sum(len(t.categories_nodes) for t in trees) > _MOST_CODES:
        raise CouldNotLook(f"{where}: its sets of categories are too large to be held; attack it with `access: label`")
    for tree, weight in zip(trees, weights, strict=True):
        _tree(tree, nodes, weight, wide)
    sign = 1.0 if positive == 1 else -1.0
    return Trees(
        columns, read, nodes.arrays(sign), base=sign * base,
        link="logistic" if objective in _LOGISTIC else "identity",
        strict=True, single=True, sets=nodes.sets(), levels=dict(levels),
    )  # fmt: skip


def _tree(tree: Tree, nodes: Nodes, weight: float, wide: int) -> None:
    listed = {}
    sets = zip(tree.categories_nodes, tree.categories_segments, tree.categories_sizes, strict=True)
    for node, start, size in sets:
        listed[node] = np.zeros(wide, dtype=bool)
        listed[node][tree.categories[start : start + size]] = True
    # A node that pruning has cut off is never reached: it stays, as a leaf of nothing, so that the others keep places.
    reached, pending = {0}, [0]
    while pending:
        node = pending.pop()
        below = [tree.left_children[node], tree.right_children[node]] if tree.left_children[node] != -1 else []
        reached.update(below)
        pending += below
    rows = []
    for node, (left, right) in enumerate(zip(tree.left_children, tree.right_children, strict=True)):
        value = float(np.float32(tree.split_conditions[node]))
        if left == -1 or node not in reached:
            rows.append(nodes.leaf(value * weight if node in reached else 0.0))
            continue
        feature, missing_left = tree.split_indices[node], bool(tree.default_left[node])
        if tree.split_type and tree.split_type[node] == _CATEGORICAL:
            # XGBoost sends what is listed right, any other code left, those above the list too. Here a code of no set
            # goes right, so the node is turned.
            rows.append(nodes.split(feature, value, right, left, not missing_left, listed[node]))
        else:
            rows.append(nodes.split(feature, value, left, right, missing_left))
    nodes.tree(rows)
