"""A near point that passes, found fast: descents inside a radius that grows, then shrinks with every success."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.attacks.trees.problem import Problem, lowest_bit
from assay.core.protocols import FloatArray as Array

_EPS = 1e-12
_SHRINK, _FINEST = 0.6, 0.95
_WORTH = 2000  # conditions from which on it pays to cut a problem down again
_AHEAD, _LARGE = 8.0, 20_000
"""How far beyond the radius that is tried the whole is cut down, for the next ones; and from how many conditions on."""
_SMALL = 300
"""Conditions that are left within what was found, below which boxes come to the end faster than descents."""
FIRST = 64
"""First changes of which `together` looks for the second."""
_START = 0.05
"""The share of a row's candidates that lie inside the first radius."""


class Point:
    """The best that is known of a row: a point (d,) of the whole row and its cost; inf where none passes."""

    def __init__(self, whole: Problem, start: Array) -> None:
        self.whole, self.cost = whole, float("inf")
        self.near = whole  # what is left of it within the best cost so far
        self.far, self.reach = whole, 0.0  # and, until something passes, within a radius beyond those that are tried
        self.start = self.point = start
        self.refused = 0

    def take(self, problem: Problem, point: Array, holds: Callable[[Array], bool] | None = None) -> bool:
        """Keep a point of a pruned problem if it is cheaper, and (where relations are) `holds`."""
        found = problem.whole(point, self.start)
        cost = self.whole.cost(found[self.whole.axes] - self.whole.shift)
        if cost >= self.cost:
            return False
        if holds is not None and not holds(found):
            self.refused += 1
            return False
        self.point, self.cost = found, cost
        return True

    def within(self, radius: float) -> Problem:
        """The problem of points that cost less than a radius."""
        if radius > self.cost:
            return self.whole.pruned(radius)
        if np.isinf(self.cost) and len(self.whole.leaf) > _LARGE:
            if radius > self.reach:  # the whole is large: cut it down once for the next few radii
                self.reach = radius * _AHEAD
                self.far = self.whole.pruned(self.reach)
            return self.far.pruned(radius)
        if np.isinf(self.cost):
            return self.whole.pruned(radius)
        if self.near is self.whole or len(self.near.leaf) > _WORTH:
            self.near = self.near.pruned(self.cost)
        return self.near.pruned(radius)


def descend(
    problem: Problem, point: Array, target: float, radius: float, but: Array | None = None
) -> tuple[float, Array]:
    """(margin, point) after single changes, each the best there is, inside the radius, until the margin passes below
    `target` or none helps; never into the candidates `but`, bool over `flat`. Of additive norms the change that gains
    most for what it adds comes first."""
    point = point.copy()
    allowed = problem.flat < radius
    if but is not None:
        allowed &= ~but
    axis_of = problem.axis_of
    spent = problem.cost(point) if problem.additive else 0.0
    least = np.inf
    while True:
        margin, after = problem.sweep(point)
        if margin < target or not margin < least:  # what a change promised can be rounding alone, for ever
            return margin, point
        least = margin
        if problem.additive:
            added = problem.flat - problem.flat[problem.offset[:-1] + point][axis_of]
            gain = np.where(allowed & (spent + added < radius), margin - np.maximum(after, target - _EPS), 0.0)
            worth = np.where(gain > _EPS, gain / np.maximum(added, radius * 1e-3), 0.0)
        else:
            worth = np.where(allowed, margin - after, 0.0)
        if not len(worth):
            return margin, point
        best = int(worth.argmax())
        if worth[best] <= _EPS:
            return margin, point
        axis = int(axis_of[best])
        point[axis] = best - problem.offset[axis]
        spent = problem.cost(point) if problem.additive else 0.0


def dive(problem: Problem, radius: float) -> Array:
    """A point reached by choosing leaves: of the tree that has most to lose its lowest leaf, of those that remain."""
    low, high, bits = problem.box()
    starts, decided = problem.trees, np.zeros(len(problem.trees), dtype=bool)
    ends = np.append(starts[1:], len(problem.value))
    for _ in range(len(starts)):
        there = problem.reached(low, high, bits, radius)[0]
        least = np.minimum.reduceat(np.where(there, problem.value, np.inf), starts)
        most = np.maximum.reduceat(np.where(there, problem.value, -np.inf), starts)
        spread = np.where(decided, -1.0, most - least)
        tree = int(spread.argmax())
        if spread[tree] <= 0:
            break
        inside = slice(starts[tree], ends[tree])
        leaf = int(starts[tree]) + int(np.where(there[inside], problem.value[inside], np.inf).argmin())
        narrow(problem, low[0], high[0], bits[0], leaf)
        decided[tree] = True
    return nearest(problem, low[0], high[0], bits[0])


def narrow(problem: Problem, low: Array, high: Array, bits: Array, leaf: int) -> None:
    """Cut a box (a,) to what a leaf asks, in place."""
    first = int(problem.start[leaf])
    last = int(problem.start[leaf + 1]) if leaf + 1 < len(problem.start) else len(problem.leaf)
    axis = problem.axis[first:last]
    low[axis] = np.maximum(low[axis], problem.low[first:last])
    high[axis] = np.minimum(high[axis], problem.high[first:last])
    if len(problem.sets):
        by_set = problem.by_set[axis]
        bits[axis[by_set]] &= problem.mask[first:last][by_set]


def nearest(problem: Problem, low: Array, high: Array, bits: Array) -> Array:
    """The cheapest point (a,) of a box."""
    point = np.clip(problem.origin, low, np.maximum(low, high))
    return np.where(problem.by_set, lowest_bit(bits), point)


def approach(best: Point, target: float, holds: Callable[[Array], bool] | None = None, *, hasty: bool = True) -> bool:
    """Find a point that passes and bring it near, or leave `best` as it is. False where it was left before it was as
    near as descents bring it (`hasty`), because little is left to look through."""
    whole = best.whole
    parts = np.sort(whole.flat[whole.flat > 0])
    if not len(parts):
        return True  # nothing can move, and the row does not pass as it is
    total = float(np.sum(np.maximum.reduceat(whole.flat, whole.offset[:-1]))) if whole.additive else float(parts[-1])
    radius = float(parts[int(len(parts) * _START)])
    while not np.isfinite(best.cost):
        _try(best, min(radius, total) * (1 + 1e-9), target, holds)
        if not np.isfinite(best.cost):
            if radius >= total:
                return True
            radius *= 2
    shrink = _SHRINK
    while shrink < 1.0:
        if not _try(best, best.cost * shrink, target, holds):
            if hasty and len(best.near.leaf) < _SMALL:
                return False
            shrink = shrink**0.5 if shrink < _FINEST else 1.0
    while _try(best, best.cost, target, holds):
        pass
    while whole.additive and _exchanged(best, target, holds):
        pass
    return True


def _try(best: Point, radius: float, target: float, holds: Callable[[Array], bool] | None) -> bool:
    """Whether a descent inside the radius passes: from what is known, from the origin, or from a dive."""
    problem = best.within(radius)
    if not len(problem.tree):
        return problem.base < target and best.take(problem, problem.origin.copy(), holds)
    starts: list[Callable[[], Array]] = []
    if np.isfinite(best.cost) and not problem.additive:
        starts.append(lambda: problem.within(best.point))
    starts += [problem.origin.copy, lambda: dive(problem, radius)]
    for start in starts:
        first = start()
        if problem.cost(first) >= radius:
            first = problem.origin.copy()
        margin, point = descend(problem, first, target, radius)
        if margin < target and best.take(problem, trimmed(problem, point, target), holds):
            return True
    return False


def _exchanged(best: Point, target: float, holds: Callable[[Array], bool] | None) -> bool:
    """Whether one move of what is known can be given back, or made smaller, for cheaper ones elsewhere."""
    problem = best.within(best.cost)
    if not len(problem.tree):
        return False
    known = problem.within(best.point)
    axis_of = problem.axis_of
    parts = problem.flat[problem.offset[:-1] + known]
    for axis in np.argsort(-parts).tolist():
        if parts[axis] <= 0:
            break
        point = known.copy()
        point[axis] = problem.origin[axis]
        dear = (axis_of == axis) & (problem.flat >= parts[axis])
        margin, found = descend(problem, point, target, best.cost, dear)
        if margin < target and best.take(problem, trimmed(problem, found, target), holds):
            return True
    return False


def together(best: Point, target: float, holds: Callable[[Array], bool] | None) -> bool:
    """Whether one change of the row as it is, or two at once, pass for less than what is known, where parts add up.

    A descent takes what gains most for its price first, and may go by the one change that is enough. Of two, the first
    is among the FIRST that gain most for their price.
    """
    problem = best.within(best.cost)
    if not problem.additive or not len(problem.tree):
        return False
    flat, axis_of, origin = problem.flat, problem.axis_of, problem.origin
    margin, after = problem.sweep(origin)
    place = np.arange(len(flat)) - problem.offset[axis_of]
    moves = (flat > 0) & (flat < best.cost)
    worth = np.where(moves, (margin - after) / np.maximum(flat, _EPS), 0.0)
    firsts = np.argsort(-worth, kind="stable")[:FIRST]
    found = False
    for first in [-1, *firsts[worth[firsts] > 0].tolist()]:
        point, spent = origin.copy(), 0.0
        if first >= 0:
            point[axis_of[first]], spent = place[first], float(flat[first])
            after = problem.sweep(point)[1]
        more = moves & (after < target) & (spent + flat < best.cost)
        more &= True if first < 0 else axis_of != axis_of[first]
        if more.any():
            last = int(np.where(more, flat, np.inf).argmin())
            point[axis_of[last]] = place[last]
            found |= best.take(problem, point, holds)
    return found


def trimmed(problem: Problem, point: Array, target: float) -> Array:
    """The point with whatever it does not need taken back, the dearest first; for L-infinity as it is."""
    if not problem.additive:
        return point
    axis_of = problem.axis_of
    while True:
        _, after = problem.sweep(point)
        saved = problem.flat[problem.offset[:-1] + point][axis_of] - problem.flat
        saved = np.where(after < target, saved, 0.0)
        best = int(saved.argmax()) if len(saved) else 0
        if not len(saved) or saved[best] <= _EPS:
            return point
        point = point.copy()
        point[axis_of[best]] = best - problem.offset[axis_of[best]]
