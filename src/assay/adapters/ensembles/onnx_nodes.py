"""The nodes of ai.onnx.ml TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble, with the scores they make."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.adapters.ensembles.onnx_scores import Score
from assay.adapters.ensembles.sound import MOST_NODES, Table
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray

OPERATORS = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_LEAF, _LEQ, _LT, _GTE, _GT, _EQ, _NEQ, _MEMBER = -1, 0, 1, 2, 3, 4, 5, 6
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_POSTS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_WIDEST = 1 << 16
Said = dict[str, Any]


class Forest:
    """Nodes as `Trees` takes them, their `sets`, and the `weights` (m, k) of every node for k targets."""

    def __init__(self, nodes: Table, sets: FloatArray, weights: FloatArray) -> None:
        self.nodes, self.sets, self.weights = nodes, sets, weights


def forest(kind: str, said: Said, single: bool, where: str) -> Forest:
    """The nodes of an operator by its attributes; `single` where it compares float32. Raises CouldNotLook."""
    try:
        return _newer(said, single) if kind == "TreeEnsemble" else _older(kind, said, single)
    except (KeyError, IndexError, ValueError, TypeError, OverflowError) as error:
        what = str(error) if isinstance(error, _TornError) else "a list is missing or of another length or kind"
        raise CouldNotLook(f"{where}: its trees are torn or damaged: {what}") from None


class _TornError(ValueError):
    """Something that the attributes contradict."""


def scores(kind: str, said: Said, made: Forest, where: str) -> list[Score]:
    """The columns of the operator's scores, as onnxruntime gives them. Raises CouldNotLook."""
    post = said.get("post_transform", 0 if kind == "TreeEnsemble" else "NONE")
    post = _POSTS[int(post)] if isinstance(post, int) and 0 <= post < len(_POSTS) else str(post)
    base = begins(said)
    if not np.isfinite(base).all():
        raise CouldNotLook(f"{where}: its trees start from a value that is no number")
    if post not in ("NONE", "LOGISTIC", "SOFTMAX"):
        raise _beyond(where, f"`post_transform: {post}`")
    columns = [made.weights[:, k] for k in range(made.weights.shape[1])]
    if kind == "TreeEnsembleClassifier":
        return _classes(said, columns, base, post, where)
    if (post == "SOFTMAX" and len(columns) > 1) or len(base) not in (0, len(columns)):
        raise _beyond(where, "its `post_transform` or `base_values`")
    aggregate = said.get("aggregate_function", 1 if kind == "TreeEnsemble" else "SUM")
    aggregate = _AGGREGATES[int(aggregate)] if isinstance(aggregate, int) and 0 <= aggregate < 4 else str(aggregate)
    if aggregate not in ("SUM", "AVERAGE"):
        raise _beyond(where, f"`aggregate_function: {aggregate}`")
    share = 1.0 / len(made.nodes["roots"]) if aggregate == "AVERAGE" else 1.0
    starts = base or [0.0] * len(columns)
    # onnxruntime has no transform but PROBIT for one target.
    linked = "logistic" if post == "LOGISTIC" and len(columns) > 1 else "identity"
    return [Score(c * share, b, linked) for c, b in zip(columns, starts, strict=True)]  # type: ignore[arg-type]


def begins(said: Said) -> list[float]:
    """The numbers that the sums of the operator start from, if it names any."""
    return [float(v) for v in np.asarray(said.get("base_values_as_tensor", said.get("base_values", ()))).reshape(-1)]


def _beyond(where: str, what: str) -> CouldNotLook:
    return CouldNotLook(f"{where}: {what} is not one that can be reasoned about here; attack it with `access: label`")


def _classes(said: Said, columns: list[FloatArray], base: list[float], post: str, where: str) -> list[Score]:
    """What onnxruntime makes of two classes of which one alone has weights is its own: its code is followed here."""
    ids = {int(i) for i in said["class_ids"]}
    count = len(columns)
    if count == 2 and ids == {0}:
        if len(base) > 1:
            raise _beyond(where, "`base_values` of two classes for the weights of one")
        score = Score(columns[0], base[0] if base else 0.0, "identity")
        weights = said.get("class_weights_as_tensor", said.get("class_weights", ()))
        if not (np.asarray(weights) < 0).any():  # taken for a share of one, whatever the transform
            return [score.times(-1.0)._replace(base=1.0 - score.base), score]
        score = score._replace(link="logistic") if post == "LOGISTIC" else score
        return [score.times(-1.0), score]
    if count == 2 and len(base) == 2:
        raise _beyond(where, "`base_values` of two classes")
    starts = [*base, *([0.0] * (count - len(base)))]
    if len(starts) != count:
        raise _beyond(where, "its `base_values`")
    if post == "SOFTMAX":
        if count != 2:
            raise _beyond(where, "`post_transform: SOFTMAX` of several classes")
        apart = Score(columns[1] - columns[0], starts[1] - starts[0], "logistic")
        return [apart.times(-1.0), apart]
    link = "logistic" if post == "LOGISTIC" else "identity"
    return [Score(c, b, link) for c, b in zip(columns, starts, strict=True)]  # type: ignore[arg-type]


def _older(kind: str, said: Said, single: bool) -> Forest:
    """Attributes up to version 4: leaves among the nodes, numbers of a node count inside its tree."""
    what = "class" if kind == "TreeEnsembleClassifier" else "target"
    trees, numbers = _ints(said["nodes_treeids"]), _ints(said["nodes_nodeids"])
    count = len(trees)
    if not 0 < count <= MOST_NODES or len(numbers) != count:
        raise _TornError("there are no nodes, or their lists are of different lengths")
    order = {key: i for i, key in enumerate(zip(trees.tolist(), numbers.tolist(), strict=True))}
    if len(order) != count:
        raise _TornError("two nodes have one number")
    names = said["nodes_modes"]
    modes = np.array([_LEAF if m == "LEAF" else _MODES.index(m) for m in names])
    values = np.asarray(said.get("nodes_values_as_tensor", said.get("nodes_values")), dtype=np.float64).reshape(-1)
    features = _ints(said["nodes_featureids"])
    sides = [_ints(said[f"nodes_{side}nodeids"]) for side in ("true", "false")]
    tracks = _ints(said.get("nodes_missing_value_tracks_true") or [0] * count)
    if any(len(x) != count for x in (modes, values, features, tracks, *sides)):
        raise _TornError("its lists are of different lengths")
    inner = modes != _LEAF
    true, false = (
        np.array([order.get(key, -1) if i else -1 for key, i in zip(zip(trees.tolist(), s.tolist(), strict=True),
                  inner.tolist(), strict=True)])
        for s in sides
    )  # fmt: skip
    weights = np.zeros((count, _targets(kind, said)))
    at = zip(_ints(said[f"{what}_treeids"]), _ints(said[f"{what}_nodeids"]), strict=True)
    held = np.asarray(said.get(f"{what}_weights_as_tensor", said.get(f"{what}_weights")), dtype=np.float64).reshape(-1)
    seen = set()
    for (tree, number), target, weight in zip(at, _ints(said[f"{what}_ids"]).tolist(), held.tolist(), strict=True):
        node = order.get((int(tree), int(number)), -1)
        if node < 0 or inner[node] or not 0 <= target < weights.shape[1] or (node, target) in seen:
            raise _TornError("a weight belongs to no leaf or no class, or to one twice")
        seen.add((node, target))
        weights[node, target] = weight
    roots = np.flatnonzero(np.diff(trees, prepend=trees[0] - 1) != 0)
    if len(roots) != len(np.unique(trees)):
        raise _TornError("the nodes of a tree do not stand together")
    return _assembled(modes, features, values, true, false, tracks, [], weights, roots, single)


def _newer(said: Said, single: bool) -> Forest:
    """TreeEnsemble of version 5: leaves apart from the nodes, which several may share."""
    modes = np.asarray(said["nodes_modes"]).astype(np.int64).reshape(-1)
    count = len(modes)
    features, splits = _ints(said["nodes_featureids"]), np.asarray(said["nodes_splits"], dtype=np.float64).reshape(-1)
    tracks = _ints(said.get("nodes_missing_value_tracks_true") or [0] * count)
    targets, held = _ints(said["leaf_targetids"]), np.asarray(said["leaf_weights"], dtype=np.float64).reshape(-1)
    wide = _targets("TreeEnsemble", said)
    if not 0 < count <= MOST_NODES or len(targets) != len(held) or ((targets < 0) | (targets >= wide)).any():
        raise _TornError("there are no nodes, or its leaves do not fit")
    sides, leaves, weights = [], [], [np.zeros((count, wide))]
    total = count
    for side in ("true", "false"):
        to, is_leaf = _ints(said[f"nodes_{side}nodeids"]), _ints(said[f"nodes_{side}leafs"]) != 0
        if len(to) != count or len(is_leaf) != count or (to < 0).any() or (to[is_leaf] >= len(held)).any():
            raise _TornError("a node has a child that is not there")
        mine = to[is_leaf]  # a leaf of its own for every node that leads to one
        rows = np.zeros((len(mine), wide))
        rows[np.arange(len(mine)), targets[mine]] = held[mine]
        weights.append(rows)
        child = to.copy()
        child[is_leaf] = total + np.arange(len(mine))
        total += len(mine)
        sides.append(child)
        leaves.append(len(mine))
    if any(len(x) != count for x in (features, splits, tracks)) or ((modes < 0) | (modes > _MEMBER)).any():
        raise _TornError("its lists are of different lengths")
    if any((s[s < count] >= count).any() for s in sides):
        raise _TornError("a node has a child that is not there")
    extra = sum(leaves)

    def wider(values: FloatArray, fill: float) -> FloatArray:
        return np.concatenate([values, np.full(extra, fill).astype(values.dtype)])

    members = _members(said.get("membership_values"), int((modes == _MEMBER).sum()))
    true, false = (wider(s, -1) for s in sides)
    roots = _ints(said["tree_roots"])
    if ((roots < 0) | (roots >= total)).any():
        raise _TornError("a tree has no root")
    made = _assembled(
        wider(modes, _LEAF), wider(features, 0), wider(splits, 0.0), true, false, wider(tracks, 0), members,
        np.concatenate(weights), roots, single,
    )  # fmt: skip
    return _in_order(made)


def _in_order(made: Forest) -> Forest:
    """The nodes tree by tree, in the order of the roots, each root first: `Trees` wants them so."""
    nodes, count = made.nodes, len(made.nodes["feature"])
    at, tree = nodes["roots"], np.arange(len(nodes["roots"]))
    found, whose, seen = [at], [tree], len(at)
    while len(at) and seen <= count:
        more = nodes["feature"][at] >= 0
        at = np.concatenate([nodes["left"][at[more]], nodes["right"][at[more]]])
        tree = np.concatenate([tree[more], tree[more]])
        found.append(at)
        whose.append(tree)
        seen += len(at)
    reached = np.concatenate(found)
    if seen != count or len(np.unique(reached)) != count:
        raise _TornError("a node is the child of several, or of none")
    order = reached[np.argsort(np.concatenate(whose), kind="stable")]
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(count)
    ordered = {name: values[order] for name, values in nodes.items() if name != "roots"}
    for side in ("left", "right"):
        ordered[side] = np.where(ordered["feature"] >= 0, place[ordered[side]], -1)
    return Forest({**ordered, "roots": place[nodes["roots"]]}, made.sets, made.weights[order])


def _members(values: Any, wanted: int) -> list[list[float]]:
    """The values of each membership node, which a NaN ends."""
    out: list[list[float]] = [[]]
    for value in np.asarray(() if values is None else values, dtype=np.float64).reshape(-1).tolist():
        if value != value:
            out.append([])
        else:
            out[-1].append(value)
    if not out[-1]:
        out.pop()
    if len(out) != wanted:
        raise _TornError("its membership values do not fit its nodes")
    return out


def _assembled(
    modes: FloatArray, features: FloatArray, values: FloatArray, true: FloatArray, false: FloatArray,
    tracks: FloatArray, members: list[list[float]], weights: FloatArray, roots: FloatArray, single: bool,
) -> Forest:  # fmt: skip
    """All modes as `x <= threshold goes left` or as sets: what is above or unequal leaves by the other side."""
    kind = np.float32 if single else np.float64
    with np.errstate(over="ignore"):
        below = np.nextafter(values.astype(kind), kind(-np.inf)).astype(np.float64)
    threshold = np.where((modes == _LT) | (modes == _GTE), below, values)
    turned = (modes == _GT) | (modes == _GTE) | (modes == _NEQ)
    # NaN compares false, but for "unequal"; a node that tracks true sends it there.
    missing_true = (tracks != 0) | (modes == _NEQ)
    by_set = np.isin(modes, (_EQ, _NEQ, _MEMBER))
    sets, place = _sets(modes, values, members, by_set)
    nodes = {
        "feature": np.where(modes == _LEAF, -1, features),
        "threshold": np.where(by_set, 0.0, threshold),
        "left": np.where(turned, false, true),
        "right": np.where(turned, true, false),
        "missing_left": missing_true != turned,
        "set_of": place,
        "value": np.zeros(len(modes)),
        "roots": roots,
    }
    if (nodes["feature"][modes != _LEAF] < 0).any():
        raise _TornError("a node asks for a column that it does not have")
    return Forest(nodes, sets, weights)


def _sets(
    modes: FloatArray, values: FloatArray, members: list[list[float]], by_set: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(sets (s, k), the set of each node) of nodes that ask for equality: with whole numbers from zero alone."""
    place = np.full(len(modes), -1)
    each = {node: [values[node]] for node in np.flatnonzero(np.isin(modes, (_EQ, _NEQ))).tolist()}
    each |= dict(zip(np.flatnonzero(modes == _MEMBER).tolist(), members, strict=True))
    if any(not 0 <= v < _WIDEST or v != int(v) for found in each.values() for v in found):
        raise _TornError("a node asks for equality with a number that is no code")
    unique = {key: i for i, key in enumerate(sorted({tuple(sorted(found)) for found in each.values()}))}
    sets = np.zeros((len(unique), 1 + max((int(max(k, default=0)) for k in unique), default=0)), dtype=bool)
    if sets.size > 1 << 28:
        raise _TornError("its sets are absurdly many")
    for key, i in unique.items():
        sets[i, [int(v) for v in key]] = True
    for node, found in each.items():
        place[node] = unique[tuple(sorted(found))]
    return sets, np.where(by_set, place, -1)


def _targets(kind: str, said: Said) -> int:
    if kind == "TreeEnsembleClassifier":
        labels = said.get("classlabels_int64s") or said.get("classlabels_strings") or ()
        count = len(labels)
    else:
        count = int(said.get("n_targets", 1))
    if not 0 < count <= 10_000:
        raise _TornError("it has no classes, or absurdly many")
    return count


def _ints(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.int64).reshape(-1)
