"""The leaves of an ensemble and what each asks of every column: the geometry that searches and proofs work in.

A column's values fall into cells between its sorted thresholds, and no tree tells two values of one cell apart. Of a
column that is split by sets, codes that no set tells apart are one class (at most 64 of them).
"""

from __future__ import annotations

import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array

MOST_CLASSES = 64
_ALL = np.float32(np.inf)


class Leaves:
    """Leaves (l,) sorted by `tree`, each with its `value`, and their conditions (c,) sorted by `leaf`.

    A condition holds where the cell of `column` lies in [`low`, `high`], or, for a column in `by_set`, where the bit of
    its class is in `mask`; a missing value meets it where `missing` says so. `thresholds[j]` are a column's, sorted,
    and `border` (m,) each node's: where the model reads values as float32, the last float64 that goes left once it is
    rounded. `classes[j]` (k,) gives each code's class. `size` (d,) counts cells or classes.
    """

    def __init__(self, trees: Trees) -> None:
        self.trees, self.columns = trees, trees.columns
        width = len(trees.columns)
        inner = np.flatnonzero(trees.feature >= 0)
        feature, is_set = trees.feature[inner], trees.set_of[inner] >= 0
        self.strict = trees.strict and not trees.single
        self.border = last_left(trees.threshold, strict=trees.strict) if trees.single else trees.threshold
        self.by_set = np.zeros(width, dtype=bool)
        self.by_set[feature[is_set]] = True
        if self.by_set[feature[~is_set]].any():
            raise CouldNotLook("a column is split by sets and by thresholds, which cannot be reasoned about here")
        self.thresholds = [
            np.unique(self.border[inner[(feature == j) & ~is_set]]) if not self.by_set[j] else np.zeros(0)
            for j in range(width)
        ]
        self.classes: dict[int, Array] = {}
        self._class_sets: dict[int, Array] = {}
        for j in np.flatnonzero(self.by_set).tolist():
            self._merge(j, inner[(feature == j)])
        self.size = np.array([len(self._class_sets[j]) if s else len(t) + 1 for j, (t, s) in
                              enumerate(zip(self.thresholds, self.by_set.tolist(), strict=True))])  # fmt: skip
        self._conditions()

    def _merge(self, j: int, nodes: Array) -> None:
        """Codes of column j that no set tells apart are one class; a code beyond all sets is as the last."""
        which, at = np.unique(self.trees.set_of[nodes], return_inverse=True)
        wide = np.pad(self.trees.sets[which], ((0, 0), (0, 1)))
        signs, classes = np.unique(wide.T, axis=0, return_inverse=True)
        if len(signs) > MOST_CLASSES:
            name = self.columns[j]
            what = f"its splits tell {len(signs)} groups of categories of {name} apart, at most {MOST_CLASSES} can be"
            raise CouldNotLook(f"{what}; attack it with `access: label`")
        self.classes[j], self._class_sets[j] = classes.reshape(-1), signs
        bits = (signs.astype(np.uint64) << np.arange(len(signs), dtype=np.uint64)[:, None]).sum(axis=0, dtype=np.uint64)
        if not hasattr(self, "_masks"):
            self._masks = np.zeros(len(self.trees.feature), dtype=np.uint64)
        self._masks[nodes] = bits[at.reshape(-1)]

    def _conditions(self) -> None:
        """Walk from every leaf to its root, all leaves at once, and join what is asked of one column."""
        trees = self.trees
        count = len(trees.feature)
        parent, left = np.full(count, -1), np.zeros(count, dtype=bool)
        inner = np.flatnonzero(trees.feature >= 0)
        parent[trees.left[inner]], parent[trees.right[inner]] = inner, inner
        left[trees.left[inner]] = True
        first = np.zeros(count, dtype=bool)
        first[trees.roots] = True
        tree_of = np.cumsum(first) - 1
        ids = np.flatnonzero(trees.feature < 0)  # nodes of a tree lie together, so leaves are sorted by tree
        self.tree, self.value = tree_of[ids], trees.value[ids].copy()
        leaf, node, went = [], [], []
        here, at = np.arange(len(ids)), ids
        while len(at):
            up = parent[at]
            more = up >= 0
            leaf.append(here[more])
            node.append(up[more])
            went.append(left[at[more]])
            here, at = here[more], up[more]
        self._join(np.concatenate(leaf), np.concatenate(node), np.concatenate(went))

    def _join(self, leaf: Array, node: Array, went: Array) -> None:
        trees = self.trees
        column = trees.feature[node]
        place = np.zeros(len(node), dtype=np.int64)
        for j, thresholds in enumerate(self.thresholds):
            mine = column == j
            place[mine] = np.searchsorted(thresholds, self.border[node[mine]])
        most = self.size[column] - 1
        low, high = np.where(went, 0, place + 1), np.where(went, place, most)
        low, high = np.where(self.by_set[column], 0, low), np.where(self.by_set[column], most, high)
        missing = trees.missing_left[node] == went
        order = np.lexsort((column, leaf))
        leaf, column = leaf[order], column[order]
        starts = np.flatnonzero((np.diff(leaf, prepend=-1) != 0) | (np.diff(column, prepend=-1) != 0))
        self.leaf, self.column = leaf[starts].astype(np.int32), column[starts].astype(np.int32)
        self.mask = np.zeros(len(starts), dtype=np.uint64)
        if not len(starts):
            self.low = self.high = np.zeros(0, dtype=np.int64)
            self.missing = np.zeros(0, dtype=bool)
            return
        self.low = np.maximum.reduceat(low[order], starts)
        self.high = np.minimum.reduceat(high[order], starts)
        self.missing = np.logical_and.reduceat(missing[order], starts)
        if self.by_set.any():
            every = np.array([(1 << int(k)) - 1 for k in self.size.clip(max=64)], dtype=np.uint64)
            bits = np.where(went, self._masks[node], ~self._masks[node] & every[trees.feature[node]])
            self.mask = np.bitwise_and.reduceat(bits[order], starts)

    def cell(self, j: int, codes: Array) -> Array:
        """The cell (or class) of each code of column j, shape as `codes`; -1 for a missing one."""
        if self.by_set[j]:
            known = np.where(np.isnan(codes) | (codes < 0), len(self.classes[j]) - 1, codes)
            found = self.classes[j][np.minimum(known, len(self.classes[j]) - 1).astype(np.int64)]
            return np.where(np.isnan(codes), -1, found)
        found = np.searchsorted(self.thresholds[j], codes, side="right" if self.strict else "left")
        return np.where(np.isnan(codes), -1, found)

    def edges(self, j: int) -> tuple[Array, Array]:
        """(the largest value below each inner border of column j, the smallest above it), shape (t,) each.

        As float32 where that lies in the cell beside the border, so that a loader of either width reads the same.
        """
        below, above = self.sharp(j)
        places = np.arange(len(below))
        return self._short(j, below, places, -np.inf), self._short(j, above, places + 1, np.inf)

    def gap(self, j: int) -> float:
        """How far at most an edge of column j lies from its border; 0 where no number lies beyond it, so that none
        crosses it."""
        sharp, told = self.sharp(j), self.edges(j)
        crossed = np.isfinite(sharp).all(axis=0)
        ends = (np.abs(a[crossed] - b[crossed]) for a, b in zip(told, sharp, strict=True))
        return max(float(far.max(initial=0.0)) for far in ends)

    def sharp(self, j: int) -> tuple[Array, Array]:
        """The edges of column j (below, above), shape (t,) each, to the last float64."""
        borders = self.thresholds[j]
        with np.errstate(over="ignore"):
            if self.strict:
                return np.nextafter(borders, -np.inf), borders
            return borders, np.nextafter(borders, np.inf)

    def _short(self, j: int, values: Array, cells: Array, toward: float) -> Array:
        with np.errstate(over="ignore"):
            short = values.astype(np.float32)
            beyond = (short > values) if toward < 0 else (short < values)
            short = np.where(beyond, np.nextafter(short, np.float32(toward)), short).astype(np.float64)
        return np.where(self.cell(j, short) == cells, short, values)


def last_left(thresholds: Array, *, strict: bool) -> Array:
    """The last float64 that goes left of each threshold (m,) where values are rounded to float32 (ties to even, IEEE
    754) before they are compared: far from 0 it lies half a place of float32 beside the threshold. Infinite where all
    numbers that a float32 can hold, or none, go left."""
    with np.errstate(over="ignore", invalid="ignore"):
        low = thresholds.astype(np.float32)
        low = np.where((low >= thresholds) if strict else (low > thresholds), np.nextafter(low, -_ALL), low)
        high = np.nextafter(low, _ALL)
        middle = low + (high.astype(np.float64) - low) / 2
        last = np.where(middle.astype(np.float32) == low, middle, np.nextafter(middle, -np.inf))
    return np.where(np.isinf(low) | np.isinf(high), np.where(low < 0, -np.inf, np.inf), last)
