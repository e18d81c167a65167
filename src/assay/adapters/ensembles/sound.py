"""Whether arrays that a file or a sandboxed child gave are trees at all, before anything walks them."""

from __future__ import annotations

import numpy as np

from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray

MOST_NODES = 50_000_000
Table = dict[str, FloatArray]


def require_sound(nodes: Table, width: int, sets: int, where: str) -> None:
    """Refuse nodes (see `Trees`) that are no trees over `width` columns and `sets` sets. Raises CouldNotLook."""
    if what := _unsound(nodes, width, sets):
        raise CouldNotLook(f"{where}: its trees are torn or damaged: {what}")


def _unsound(nodes: Table, width: int, sets: int) -> str:
    """What is wrong with them, "" for nothing."""
    count, roots = len(nodes["feature"]), nodes["roots"]
    if not 0 < count <= MOST_NODES or not len(roots):
        return "there are none, or absurdly many"
    feature, left, right = nodes["feature"], nodes["left"], nodes["right"]
    inner = feature >= 0
    if (feature >= width).any() or (feature < -1).any():
        return "a node asks for a column that it does not have"
    if not np.isfinite(nodes["value"][~inner]).all():
        return "a leaf has a value that is no number"
    if np.isnan(nodes["threshold"][inner & (nodes["set_of"] < 0)]).any():
        return "a node has a threshold that is no number"
    if ((nodes["set_of"] >= sets) | (nodes["set_of"] < -1)).any():
        return "a node asks for a set that it does not have"
    children = np.concatenate([left[inner], right[inner]])
    if ((children < 0) | (children >= count)).any() or ((roots < 0) | (roots >= count)).any():
        return "a node has a child that is not there"
    reached = np.bincount(np.concatenate([children, roots]), minlength=count)
    if (reached != 1).any():
        return "a node is the child of several, or of none"
    tree = _walked(left, right, inner, roots)
    if (tree < 0).any():
        return "its nodes go round in a circle"
    first = np.zeros(count, dtype=bool)
    first[roots] = True
    return "" if (tree == np.cumsum(first) - 1).all() else "the nodes of a tree do not stand together, its root first"


def _walked(left: FloatArray, right: FloatArray, inner: FloatArray, roots: FloatArray) -> FloatArray:
    """The tree of every node (m,), counted by the roots' order, of nodes that are each reached by one way at most; -1
    where none leads."""
    tree = np.full(len(inner), -1)
    at = roots.astype(np.int64)
    tree[at] = np.arange(len(roots))
    while len(at):
        more = at[inner[at]]
        below = np.concatenate([left[more], right[more]]).astype(np.int64)
        tree[below] = np.tile(tree[more], 2)
        at = below
    return tree
