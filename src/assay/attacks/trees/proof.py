"""Whether any point within a radius passes, by branch and bound: a near point that was missed, or the proof of none.

A box of candidates has as lower bound the sum, over trees, of the lowest leaf that a point of the box can reach (Chen
et al. 2019; Devos et al. 2021 search the same space leaf by leaf). Boxes are bounded many at a time, and split where
the lowest leaves of different trees contradict each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec
import numpy as np

from assay.attacks.trees.descent import descend, nearest
from assay.attacks.trees.problem import Problem
from assay.core.protocols import FloatArray as Array

_BATCH = 12
_PROMISING = 4
_SWEEPS, _ASKED = 10, 64
_AXIS = 1 << 32  # an axis and a cell as one number
_FULL = 1 << 20
"""Boxes that wait at once, at most."""
Holds = Callable[[Array], bool]
Boxes = list[tuple[Array, Array, Array]]


class Answer(msgspec.Struct, frozen=True):
    """`point` (a,) passes where it is not None; else `proved` says that none does. `work` are boxes times leaves."""

    point: Array | None
    proved: bool
    work: float


class Waiting(msgspec.Struct, order=True, frozen=True):
    """A box that waits, lowest bound first."""

    bound: float
    number: int
    low: Array
    high: Array
    bits: Array
    there: Array


def decide(
    problem: Problem, target: float, radius: float, most: float, holds: Holds | None = None,
    *, safe: float | None = None, passes: Holds | None = None,
) -> Answer:  # fmt: skip
    """Look for a point below `target` that costs less than `radius`, until `most` work is done.

    It is proved that there is none where every margin is at least `safe` (by default the target). A margin between the
    two is put to `passes`, the real model; without it nothing is proved then. `holds` says whether a point keeps every
    relation; those that do not are passed over, and then nothing is proved.
    """
    if not len(problem.tree):
        point = problem.origin.copy()
        search = _Search(problem, target, radius, holds, target if safe is None else safe, passes)
        taken = problem.base < search.safe and search.judged(problem.base, point)
        return Answer(point if taken else None, not taken and not search.lost, 0.0)
    return _Search(problem, target, radius, holds, target if safe is None else safe, passes).run(most)


class _Search:
    def __init__(
        self, problem: Problem, target: float, radius: float, holds: Holds | None, safe: float, passes: Holds | None
    ) -> None:
        self.problem, self.target, self.radius, self.holds = problem, target, radius, holds
        self.safe, self.passes, self.asked = safe, passes, 0
        self.heap: list[Waiting] = []
        self.count, self.work = 0, 0.0
        self.ends = np.append(problem.trees[1:], len(problem.value))
        self.lost = False

    def run(self, most: float) -> Answer:
        self._add(*self.problem.box())
        while self.heap:
            if self.work > most:
                return Answer(None, False, self.work)
            boxes = [heapq.heappop(self.heap) for _ in range(min(_BATCH, len(self.heap)))]
            halves: Boxes = []
            for box in boxes:
                point = self._open(box, halves)
                if point is not None:
                    return Answer(point, False, self.work)
            if halves:
                self._add(*(np.array(part) for part in zip(*halves, strict=True)))
        return Answer(None, not self.lost, self.work)

    def _add(self, low: Array, high: Array, bits: Array) -> None:
        """Bound boxes (b, a), and keep those that may hold a point that passes."""
        p = self.problem
        self.work += float(len(low)) * len(p.axis)
        there = p.reached(low, high, bits, self.radius)
        least = np.minimum.reduceat(np.where(there, p.value, np.inf), p.trees, axis=1)
        bound = p.base + least.sum(axis=1)
        for i in np.flatnonzero(bound < self.safe).tolist():
            self.count += 1
            if len(self.heap) >= _FULL:
                self.lost = True
                continue
            heapq.heappush(self.heap, Waiting(float(bound[i]), self.count, low[i], high[i], bits[i], there[i]))

    def _open(self, box: Waiting, halves: Boxes) -> Array | None:
        """A point that passes where the lowest leaves agree on one; else the box in two halves."""
        p = self.problem
        values = np.where(box.there, p.value, np.inf)
        low, second = self._lowest(values)
        chosen = np.zeros(len(p.value), dtype=bool)
        chosen[low] = True
        at = np.flatnonzero(chosen[p.leaf])
        axis = p.axis[at]
        first, last, bits = box.low.copy(), box.high.copy(), box.bits.copy()
        np.maximum.at(first, axis, p.low[at])
        np.minimum.at(last, axis, p.high[at])
        if len(p.sets):
            by_set = p.by_set[axis]
            np.bitwise_and.at(bits, axis[by_set], p.mask[at[by_set]])
        clash = np.flatnonzero((first > last) | (p.by_set & (bits == 0)))
        if len(clash) and len(halves) < _PROMISING:  # near what the most promising boxes want may lie what passes
            bits = np.where(bits == 0, box.bits, bits)
            tried = self._descended(nearest(p, first, last, bits))
            if tried is not None:
                return tried
        if not len(clash):
            point = nearest(p, first, last, bits)
            cheap = p.cost(point) < self.radius
            if cheap and self.judged(box.bound, point):
                return point
            if not cheap or self.holds is not None:  # of the same leaves the model says the same: the box is done
                self._halve(box, point, halves)
            return None
        weight = np.minimum(second - values[low], 1e9)[p.tree[p.leaf[at]]]
        self._split(box, at, axis, weight, clash, halves)
        return None

    def judged(self, margin: float, point: Array) -> bool:
        """Whether a point of known margin passes and keeps the relations."""
        if margin >= self.target:
            self.asked += 1
            if self.passes is None or self.asked > _ASKED:
                self.lost = True
                return False
            if not self.passes(point):
                return False
        if self.holds is None or self.holds(point):
            return True
        self.lost = True  # another value of the same cells may keep the relation
        return False

    def _descended(self, point: Array) -> Array | None:
        """A point that passes, by descent from this one, where there is one."""
        p = self.problem
        if p.cost(point) >= self.radius:
            return None
        self.work += _SWEEPS * len(p.axis)
        margin, found = descend(p, point, self.target, self.radius)
        return found if margin < self.target and (self.holds is None or self.holds(found)) else None

    def _lowest(self, values: Array) -> tuple[Array, Array]:
        """(the lowest leaf of every tree, the value of its second lowest, inf where there is none), (t,) each."""
        p = self.problem
        order = np.lexsort((values, p.tree))
        two = np.minimum(p.trees + 1, len(order) - 1)
        second = np.where(p.trees + 1 < self.ends, values[order[two]], np.inf)
        return order[p.trees], second

    def _split(
        self,
        box: Waiting,
        at: Array,
        axis: Array,
        weight: Array,
        clash: Array,
        halves: Boxes,
    ) -> None:
        """Halve a box where the lowest leaves on either side have most to lose."""
        p = self.problem
        best, pick = -1.0, (int(clash[0]), -1, np.uint64(0))
        clashes = np.zeros(len(p.by_set), dtype=bool)
        clashes[clash] = True
        some = (clashes & ~p.by_set)[axis]
        if some.any():
            best, pick = _best_cut(box, axis[some], p.low[at[some]], p.high[at[some]], weight[some], pick)
        for a in clash[p.by_set[clash]].tolist():
            mine = axis == a
            heavy = weight[mine]
            masks = np.unique(p.mask[at[mine]] & box.bits[a])
            inside = (masks[:, None] & p.mask[at[mine]]) != 0
            score = np.minimum(inside @ heavy, ~inside @ heavy)
            k = int(score.argmax())
            if score[k] > best and int(masks[k]) > 0 and masks[k] != box.bits[a]:
                best, pick = float(score[k]), (a, -1, masks[k])
        self._cut(box, *pick, halves)

    def _cut(self, box: Waiting, a: int, cut: int, mask: Array, halves: Boxes) -> None:
        if self.problem.by_set[a]:
            bits = int(box.bits[a])
            inside = int(mask) or (bits & -bits)
            for part in (inside & bits, bits & ~inside):
                new = box.bits.copy()
                new[a] = part
                halves.append((box.low, box.high, new))
            return
        high, low = box.high.copy(), box.low.copy()
        high[a], low[a] = cut - 1, cut
        halves += [(box.low, high, box.bits), (low, box.high, box.bits)]

    def _halve(self, box: Waiting, point: Array, halves: Boxes) -> None:
        """Go on without a point that costs too much, or breaks a relation: split its box beside it."""
        p = self.problem
        wide = np.where(p.by_set, 0, box.high - box.low)
        many = np.array([int(b).bit_count() - 1 for b in box.bits.tolist()])
        wide = np.where(p.by_set, many, wide)
        a = int(wide.argmax())
        if wide[a] <= 0:
            return
        if p.by_set[a]:
            self._cut(box, a, -1, np.uint64(1) << np.uint64(point[a]), halves)
            return
        self._cut(box, a, int(point[a]) + 1 if point[a] < box.high[a] else int(point[a]), np.uint64(0), halves)


def _best_cut(
    box: Waiting, axis: Array, low: Array, high: Array, weight: Array, pick: tuple[int, int, Array]
) -> tuple[float, tuple[int, int, Array]]:
    """(what the lighter side of the best cut weighs, its axis and cell) of conditions (c,) on ranges of cells; `pick`
    where there is none."""
    start = axis.astype(np.int64) * _AXIS
    first, last = start + low, start + high
    cuts = np.unique(np.concatenate([first[low > box.low[axis]], last[high < box.high[axis]] + 1]))
    if not len(cuts):
        return -1.0, pick
    own = cuts - cuts % _AXIS
    up = _weighed(first, weight, own + _AXIS) - _weighed(first, weight, cuts)
    down = _weighed(last, weight, cuts) - _weighed(last, weight, own)
    score = np.minimum(up, down)
    k = int(score.argmax())
    return float(score[k]), (int(cuts[k] // _AXIS), int(cuts[k] % _AXIS), pick[2])


def _weighed(places: Array, weight: Array, below: Array) -> Array:
    """What all places below each of `below` weigh together."""
    order = places.argsort()
    total = np.append(0.0, weight[order].cumsum())
    return total[places[order].searchsorted(below)]
