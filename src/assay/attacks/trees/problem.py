"""One row against an ensemble, cut down to what can happen within a radius: exact answers come from here.

Parts are what a cell costs in the norm's own terms: the change itself for L-infinity (a point costs its largest part),
the change, its square or its price otherwise (a point costs the sum). All searches work on parts and leaves alone.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from assay.core.protocols import FloatArray as Array

_ONE = np.uint64(1)
_SUMMED = 1 + 1e-9
"""A sum may be told differently in another order: what lies at the radius itself is kept."""


class Problem:
    """Axes with candidates, and the leaves that differ among them.

    Of axis a the candidates are `flat[offset[a]:offset[a + 1]]`, their parts: cells in order, rising away from
    `origin[a]`, or (`by_set`) classes, cheapest first. A leaf (l,) of a tree is reached where all its conditions (c,),
    sorted by leaf, hold: a candidate in [low, high], or its bit in mask. `base` is the sum of trees with one leaf left.
    `axes` and `shift` say what axes and candidates were before, of the whole row.
    """

    def __init__(
        self, parts: list[Array], origin: Array, by_set: Array, tree: Array, value: Array, leaf: Array, axis: Array,
        low: Array, high: Array, mask: Array, base: float, *, additive: bool, axes: Array, shift: Array,
    ) -> None:  # fmt: skip
        self.parts, self.origin, self.by_set = parts, origin, by_set
        self.tree, self.value, self.base = tree, value, base
        self.leaf, self.axis, self.low, self.high, self.mask = leaf, axis, low, high, mask
        self.additive, self.axes, self.shift = additive, axes, shift
        self.size = np.array([len(p) for p in parts], dtype=np.int64)
        self.offset = np.concatenate([[0], np.cumsum(self.size)]).astype(np.int64)
        self.flat = np.concatenate(parts) if parts else np.zeros(0)
        self.start = np.searchsorted(leaf, np.arange(len(tree)))
        self.trees = _changes(tree).nonzero()[0]
        self.sets = np.flatnonzero(by_set[axis]) if by_set.any() else np.zeros(0, dtype=np.int64)

    @cached_property
    def axis_of(self) -> Array:
        """The axis of every candidate, in the order of `flat`."""
        return np.repeat(np.arange(len(self.size)), self.size)

    def cost(self, point: Array) -> float:
        """What a point (a,) costs, in the terms of the parts."""
        parts = self.flat[self.offset[:-1] + point]
        return float(parts.sum() if self.additive else parts.max(initial=0.0))

    def whole(self, point: Array, start: Array) -> Array:
        """A point (a,) as one of the whole row, of which `start` is where it stands."""
        out = start.copy()
        out[self.axes] = point + self.shift
        return out

    def within(self, point: Array) -> Array:
        """A point of the whole row as the nearest of this problem, shape (a,)."""
        near = point[self.axes] - self.shift
        outside = (near < 0) | (near >= self.size)
        return np.where(outside & self.by_set, self.origin, np.clip(near, 0, self.size - 1))

    def missed(self, cells: Array) -> Array:
        """Whether each condition fails, for the candidate (c,) that stands at its axis."""
        out = (cells < self.low) | (cells > self.high)
        if len(self.sets):
            s = self.sets
            out[s] = (self.mask[s] >> cells[s].astype(np.uint64)) & _ONE == 0
        return out

    def sweep(self, point: Array) -> tuple[float, Array]:
        """(margin at a point, margins after every single change of it, in the order of `flat`).

        In one pass: the leaves that miss one condition are those that moving its axis can reach.
        """
        fails = self.missed(point[self.axis])
        count = np.bincount(self.leaf[fails], minlength=len(self.tree))
        here = self.value[count == 0]
        margin = self.base + float(here.sum())
        one = (fails & (count[self.leaf] == 1)).nonzero()[0]
        leaf, axis = self.leaf[one], self.axis[one]
        step = self.value[leaf] - here[self.tree[leaf]]
        size = len(self.flat) + 1
        jumps = None
        if len(self.sets):
            by_set = self.by_set[axis]
            jumps = self._jumps(one[by_set], step[by_set])
            one, axis, step = one[~by_set], axis[~by_set], step[~by_set]
        at = self.offset[axis]
        rises = np.bincount(at + self.low[one], weights=step, minlength=size)
        falls = np.bincount(at + self.high[one] + 1, weights=step, minlength=size)
        change = (rises - falls).cumsum()[:-1]
        return margin, margin + (change if jumps is None else jumps + change)

    def _jumps(self, one: Array, step: Array) -> Array:
        """What moving into the classes of conditions `one` adds, in the order of `flat`."""
        bits = (self.mask[one][:, None] >> np.arange(64, dtype=np.uint64)) & _ONE
        where, which = np.nonzero(bits)
        at = self.offset[self.axis[one[where]]] + which
        inside = which < self.size[self.axis[one[where]]]
        return np.bincount(at[inside], weights=step[where[inside]], minlength=len(self.flat))

    def pruned(self, radius: float) -> Problem:
        """What is left of it where a point must cost less than `radius`."""
        first, last, keep = self._reach(radius)
        axis, mask = self.axis, self.mask
        left, right = first[axis], last[axis]
        empty = (self.low > right) | (self.high < left) | (self.low > self.high)
        full = (self.low <= left) & (self.high >= right)
        if len(self.sets):
            s = self.sets
            mask = mask.copy()
            mask[s] &= keep[axis[s]]
            empty[s], full[s] = mask[s] == 0, mask[s] == keep[axis[s]]
        gone = np.zeros(len(self.tree), dtype=bool)
        gone[self.leaf[empty]] = True
        if self.additive:
            need = np.where(empty, 0.0, self._least(np.maximum(self.low, left), np.minimum(self.high, right), mask))
            gone |= np.bincount(self.leaf, weights=need, minlength=len(self.tree)) >= radius * _SUMMED
        stay = ~gone
        alone = np.bincount(self.tree[stay], minlength=int(self.tree[-1]) + 1 if len(self.tree) else 0) == 1
        single = stay & alone[self.tree]
        base = self.base + float(self.value[single].sum())
        stay &= ~single
        held = (stay[self.leaf] & ~full).nonzero()[0]
        used = np.zeros(len(self.parts), dtype=bool)
        used[axis[held]] = True
        kept = used.nonzero()[0]
        place, number = _counted(used), _counted(stay)
        mine, left = axis[held], left[held]
        tree = self.tree[stay]
        tree = _changes(tree).cumsum() - 1 if len(tree) else tree
        return Problem(
            [self.parts[a][first[a] : last[a] + 1] for a in kept.tolist()], (self.origin - first)[kept],
            self.by_set[kept], tree, self.value[stay], number[self.leaf[held]], place[mine],
            np.maximum(self.low[held] - left, 0), np.minimum(self.high[held], right[held]) - left,
            mask[held] if len(self.sets) else mask[:0], base, additive=self.additive, axes=self.axes[kept],
            shift=(self.shift + first)[kept],
        )  # fmt: skip

    def _reach(self, radius: float) -> tuple[Array, Array, Array]:
        """(first, last) candidate below the radius, (a,) each, and for sets the bits of those."""
        ok = self.flat < radius
        order = np.arange(len(self.flat))
        starts = self.offset[:-1]
        if not len(starts):
            none = np.zeros(0, dtype=np.int64)
            return none, none, none.astype(np.uint64)
        first = (np.minimum.reduceat(np.where(ok, order, len(order)), starts) - starts).astype(np.int32)
        last = (np.maximum.reduceat(np.where(ok, order, -1), starts) - starts).astype(np.int32)
        bits = np.minimum(last + 1, 63).astype(np.uint64)  # classes are sorted: those below the radius come first
        every = np.where(last >= 63, ~np.uint64(0), (_ONE << bits) - _ONE)
        return first, last, every

    def _least(self, low: Array, high: Array, mask: Array) -> Array:
        """The least part (c,) with which a condition, cut to [low, high] and mask, is met."""
        at = np.clip(self.origin[self.axis], low, np.maximum(low, high))
        if len(self.sets):
            s = self.sets
            at[s] = lowest_bit(mask[s])
        return self.flat[self.offset[self.axis] + np.minimum(at, self.size[self.axis] - 1)]

    def box(self) -> tuple[Array, Array, Array]:
        """All of it as a box: (first, last) candidates and bits of the sets, shape (1, a) each."""
        bits = np.where(self.size >= 64, ~np.uint64(0), (_ONE << np.minimum(self.size, 63).astype(np.uint64)) - _ONE)
        return np.zeros((1, len(self.size)), dtype=np.int64), (self.size - 1)[None], bits[None]

    def reached(self, low: Array, high: Array, bits: Array, radius: float) -> Array:
        """Whether each leaf can be reached in each box (b, a) by a point that costs less than `radius`, (b, l)."""
        axis = self.axis
        if not len(axis):
            return np.ones((len(low), len(self.tree)), dtype=bool)
        first, last = np.maximum(low[:, axis], self.low), np.minimum(high[:, axis], self.high)
        fails = first > last
        inside = None
        if len(self.sets):
            s = self.sets
            inside = bits[:, axis[s]] & self.mask[s]
            fails[:, s] = inside == 0
        out = ~np.logical_or.reduceat(fails, self.start, axis=1)
        if self.additive:
            least = self.least(low, high, bits)
            at = np.clip(self.origin[axis], first, np.maximum(first, last))
            if inside is not None:
                at[:, self.sets] = lowest_bit(inside)
            more = np.where(fails, 0.0, self.flat[self.offset[axis] + at] - least[:, axis])
            total = least.sum(axis=1)[:, None] + np.add.reduceat(more, self.start, axis=1)
            out &= total < radius * _SUMMED
        return out

    def least(self, low: Array, high: Array, bits: Array) -> Array:
        """The least part of every axis inside boxes (b, a), shape (b, a)."""
        at = np.clip(self.origin, low, high)
        if self.by_set.any():
            at[:, self.by_set] = lowest_bit(bits[:, self.by_set])
        return self.flat[self.offset[:-1] + at]


def _changes(tree: Array) -> Array:
    """Whether each leaf is the first of its tree."""
    out = np.ones(len(tree), dtype=bool)
    np.not_equal(tree[1:], tree[:-1], out=out[1:])
    return out


def _counted(chosen: Array) -> Array:
    """The place of each chosen one among them, int32: conditions are many, and half as wide they are read twice as
    fast."""
    return np.cumsum(chosen, dtype=np.int32) - np.int32(1)


def lowest_bit(masks: Array) -> Array:
    """The place of the lowest bit of each mask; 0 for an empty one."""
    low = masks & (~masks + _ONE)
    return np.where(masks == 0, 0, np.log2(np.where(low == 0, 1, low).astype(np.float64))).astype(np.int64)
