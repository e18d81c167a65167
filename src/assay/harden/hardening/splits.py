"""Boosted trees whose splits are chosen against the worst that an attacker can do to the rows at that split.

A positive row may lie anywhere between `low` and `high`. At a threshold inside that range it goes where the score
falls (Chen et al. 2019; the trees of Andriushchenko and Hein 2019 and of Vos and Verwer 2021 weigh such rows alike), so
that a split that an attacker can step over gains nothing. Negative rows stay: nobody wants to be caught.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.core.protocols import FloatArray as Array
from assay.core.protocols import Progress, silent

ROUNDS, DEPTH, RATE, LAMBDA, LEAST, CUTS = 200, 8, 0.1, 1.0, 5, 63
_GAIN, _CELLS = 1e-9, 2_000_000


class Grown(NamedTuple):
    """Trees as one table of nodes (m,): `feature` -1 at a leaf, left where a value is at most `threshold` (a missing
    one is not); `value` at leaves; `roots` (t,) are the first nodes. A row's margin is `base` and its leaves' values.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    value: Array
    roots: Array
    base: float

    def margins(self, x: Array) -> Array:
        """The margins (n,) of rows (n, p), which are read as float32."""
        x = x.astype(np.float32).astype(float)
        node = np.broadcast_to(self.roots, (len(x), len(self.roots))).copy()
        rows = np.arange(len(x))[:, None]
        while (self.feature[node] >= 0).any():
            at = self.feature[node]
            down = np.where(x[rows, at] <= self.threshold[node], self.left[node], self.right[node])
            node = np.where(at >= 0, down, node)
        return self.base + self.value[node].sum(axis=1)


def grown(
    x: Array, target: Array, weight: Array, low: Array, high: Array, *, rounds: int | None = None,
    progress: Progress = silent, what: str = "",
) -> Grown:  # fmt: skip
    """Trees for rows x (n, p) of which the positive ones (`target`, bool) may be anywhere in [low, high]; logistic loss
    weighted by `weight` (n,). Nothing is drawn: the same rows give the same trees."""
    growing, most = _Growing(x, target, weight, low, high), ROUNDS if rounds is None else rounds
    for turn in range(most):
        growing.tree()
        progress(turn + 1, most, what)
    return growing.done()


class _Growing:
    def __init__(self, x: Array, target: Array, weight: Array, low: Array, high: Array) -> None:
        self.cuts = [_cuts(x[:, j]) for j in range(x.shape[1])]
        self.limit = np.array([len(c) for c in self.cuts])
        order = np.argsort(target, kind="stable")  # the negative rows first
        self.target, self.weight = target[order], weight[order]
        self.first = int((~target).sum())
        self.codes = self._coded(x[order])
        self.low, self.high = self._coded(low[order[self.first :]]), self._coded(high[order[self.first :]])
        hit, miss = self.weight[self.first :].sum(), self.weight[: self.first].sum()
        self.base = float(np.log(hit / miss))
        self.margin = np.full(len(x), self.base)
        self.trees: list[list[list[float]]] = []

    def _coded(self, x: Array) -> Array:
        """The cell of every value (p, n): it goes left of the cuts from its cell on."""
        return np.stack([np.searchsorted(c, x[:, j], side="left") for j, c in enumerate(self.cuts)])

    def tree(self) -> None:
        """One tree more, level by level."""
        score = 1.0 / (1.0 + np.exp(-self.margin))
        slope = self.weight * (score - self.target)
        bend = np.maximum(self.weight * score * (1 - score), 1e-6)
        self.sums = np.stack([slope, bend, np.ones(len(slope))])
        self.reach = self.low.copy(), self.high.copy()
        nodes: list[list[float]] = [[-1, 0, 0, 0, 0]]
        open_, place, leaf = [0], np.zeros(len(score), dtype=np.int64), np.zeros(len(score), dtype=np.int64)
        for depth in range(DEPTH + 1):
            inside = place >= 0
            total = np.stack([np.bincount(place[inside], s[inside], len(open_)) for s in self.sums])
            for node, value in zip(open_, _value(total), strict=True):
                nodes[node][4] = RATE * float(value)
            if depth == DEPTH:
                break
            found = self._splits(place, total)
            more: list[int] = []
            then = np.full(len(place), -1)
            for k, (column, cut, falls) in enumerate(found):
                if column < 0:
                    continue
                left, right = len(nodes), len(nodes) + 1
                nodes[open_[k]][:4] = [column, float(self.cuts[column][cut]), left, right]
                nodes += [[-1, 0, 0, 0, 0], [-1, 0, 0, 0, 0]]
                mine = np.flatnonzero(place == k)
                goes = self._parted(mine, column, cut, falls)
                then[mine], leaf[mine] = np.where(goes, len(more), len(more) + 1), np.where(goes, left, right)
                more += [left, right]
            if not more:
                break
            open_, place = more, then
        self.margin = self.margin + np.array([n[4] for n in nodes])[leaf]
        self.trees.append(nodes)

    def _splits(self, place: Array, total: Array) -> list[tuple[int, int, bool]]:
        """(column, cut, whether the left side is the lower one) with the most gain for each open node; column -1 for
        none. A row that can be on both sides is counted on the lower one."""
        count = total.shape[1]
        best, found = np.full(count, _GAIN), [(-1, 0, False)] * count
        misses = np.flatnonzero(place[: self.first] >= 0)
        hits = self.first + np.flatnonzero(place[self.first :] >= 0)
        for columns in self._blocks(count):
            column, cut, able = self._cells(columns)
            rest = self._summed(misses, self.codes, columns, place, count)
            for falls, codes in zip((True, False), self.reach, strict=True):
                left = rest + self._summed(hits, codes, columns, place, count, self.first)
                gain = _gained(left, total, able, falls)
                at = gain.argmax(axis=1)
                for k in np.flatnonzero(gain[np.arange(count), at] > best).tolist():
                    best[k] = gain[k, at[k]]
                    found[k] = (int(column[at[k]]), int(cut[at[k]]), falls)
        return found

    def _blocks(self, count: int) -> list[Array]:
        """Columns that have cuts, in blocks whose cells fit into memory for `count` nodes."""
        used = np.flatnonzero(self.limit)
        ends = np.cumsum((self.limit[used] + 1) * count) // _CELLS
        return np.split(used, np.flatnonzero(np.diff(ends)) + 1) if len(used) else []

    def _cells(self, columns: Array) -> tuple[Array, Array, Array]:
        """(column, cut, whether it is one) of every cell of some columns, one after the other."""
        width = self.limit[columns] + 1
        cut = np.arange(width.sum()) - np.repeat(np.cumsum(width) - width, width)
        return np.repeat(columns, width), cut, cut < np.repeat(self.limit[columns], width)

    def _summed(self, rows: Array, codes: Array, columns: Array, place: Array, count: int, first: int = 0) -> Array:
        """What lies at or below each cut: (slopes, bends, rows) by node and cell, shape (3, k, cells)."""
        at, sums = place[rows], self.sums[:, rows]
        codes, made = codes[:, rows - first] if len(rows) < codes.shape[1] else codes, []
        for j in columns.tolist():
            width = int(self.limit[j]) + 1
            where = at * width + codes[j]
            each = [np.bincount(where, s, count * width) for s in sums]
            made.append(np.stack(each).reshape(3, count, width).cumsum(axis=2))
        return np.concatenate(made, axis=2)

    def _parted(self, mine: Array, column: int, cut: int, falls: bool) -> Array:
        """Which rows of a node go left; what a positive row can still reach is cut to its side."""
        goes: Array = self.codes[column, mine] <= cut
        at = mine >= self.first
        hits = mine[at] - self.first
        low, high = self.reach
        goes[at] = (low if falls else high)[column, hits] <= cut
        left, right = hits[goes[at]], hits[~goes[at]]
        high[column, left] = np.minimum(high[column, left], cut)
        low[column, right] = np.maximum(low[column, right], cut + 1)
        return goes

    def done(self) -> Grown:
        """The trees in one table."""
        sizes = np.cumsum([0, *(len(t) for t in self.trees)])
        whole = np.array([node for tree in self.trees for node in tree])
        inner = whole[:, 0] >= 0
        shift = np.repeat(sizes[:-1], np.diff(sizes))
        left, right = (np.where(inner, whole[:, k] + shift, 0).astype(np.int64) for k in (2, 3))
        value = np.where(inner, 0.0, whole[:, 4])
        return Grown(whole[:, 0].astype(np.int64), whole[:, 1], left, right, value, sizes[:-1], self.base)


def _gained(left: Array, total: Array, able: Array, falls: bool) -> Array:
    """What each split gains (k, cells), -inf where it is none: too few rows, or the sides the other way round."""
    right = total[:, :, None] - left
    gain = left[0] ** 2 / (left[1] + LAMBDA) + right[0] ** 2 / (right[1] + LAMBDA)
    gain = gain - (total[0] ** 2 / (total[1] + LAMBDA))[:, None]
    one, other = _value(left), _value(right)
    may = able & (left[2] >= LEAST) & (right[2] >= LEAST) & ((one <= other) if falls else (other < one))
    return np.where(may, gain, -np.inf)


def _value(sums: Array) -> Array:
    return -sums[0] / (sums[1] + LAMBDA)


def _cuts(column: Array) -> Array:
    """Up to CUTS thresholds between the values of a column, exact in float32; where some are missing, one more that
    parts them from all others."""
    gaps = np.isnan(column)
    column = column[~gaps]
    held = np.unique(column)
    between = ((held[1:] + held[:-1]) / 2).astype(np.float32)
    between = between[(between >= held[:-1]) & (between < held[1:])].astype(float)
    if len(between) > CUTS:
        wanted = np.quantile(column, np.linspace(0, 1, CUTS + 2)[1:-1])
        between = np.unique(between[np.clip(np.searchsorted(between, wanted), 0, len(between) - 1)])
    return np.append(between, held[-1]) if gaps.any() and len(held) else between
