"""White-box evasion of a tree ensemble: for every row the nearest change that passes, and how near none can be.

Cells between thresholds make the search finite (Kantchelian et al. 2016). First descents inside a shrinking radius find
a near point, then branch and bound improves it until its work is spent, or proves that nothing nearer passes. Work is
counted in boxes times conditions, never in seconds, so that the same rows get the same answers on any machine.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.attacks.space import Space
from assay.attacks.trees.descent import Point, approach, together, trimmed
from assay.attacks.trees.leaves import Leaves
from assay.attacks.trees.problem import Problem
from assay.attacks.trees.proof import Answer, decide
from assay.attacks.trees.rows import Column, Rows, Whole
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Norm

SEARCH = 2e5
PROOF = 6e6
"""Work for a row: to come near, and to prove that nothing costs less than a budget."""
_NEARER = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05)
_WIDER = 1e-6
_BLOCK = 2_000_000


class Nearest(msgspec.Struct, frozen=True):
    """Per row (n,): `codes` (n, m) of the space's axes, NaN where kept; `distance` in the norm's units, inf where none
    was found; `bound`, below which no change passes."""

    codes: Array
    distance: Array
    bound: Array


class Whitebox:
    """The attack on the rows of a space."""

    def __init__(
        self, trees: Trees, space: Space, norm: Norm, threshold: float, model: Predictor | None = None
    ) -> None:
        """`model` is asked where the trees alone cannot say on which side of the threshold a score falls."""
        self.space, self.model = space, None if trees.unordered else model
        self.leaves = Leaves(trees)
        self.rows = Rows(self.leaves, trees, space, norm, threshold)

    def run(
        self, budget: float = np.inf, *, search: float = SEARCH, proof: float = PROOF, progress: Progress = silent
    ) -> Nearest:
        """The nearest evasion of every row; where it is dearer than a finite `budget`, whether one within it exists."""
        count = self.space.size
        codes = np.full((count, len(self.space.axes)), np.nan)
        distance, bound = np.full(count, np.inf), np.zeros(count)
        size = max(1, _BLOCK // max(1, int(self.leaves.size.sum())))
        for at in range(0, count, size):
            ids = np.arange(at, min(at + size, count))
            block = self.rows.block(ids)
            for i, row in enumerate(ids.tolist()):
                one = _Row(self, block, i, row)
                codes[row], distance[row], bound[row] = one.run(budget, search, proof)
                progress(row + 1, count, "rows")
        return Nearest(codes, distance, bound)


class _Row:
    def __init__(self, attack: Whitebox, block: list[Column], place: int, row: int) -> None:
        self.attack, self.block, self.place, self.row = attack, block, place, row
        self.rows = attack.rows
        self.whole = Whole(attack.leaves, block, place, self.rows.additive)
        self.best = Point(self.whole.problem(), self.whole.origin)
        self.target = self.rows.target
        self.holds = self._holds if attack.space.constraints else None

    def run(self, budget: float, search: float, proof: float) -> tuple[Array, float, float]:
        """(codes, distance, bound) of the row."""
        best, radius = self.best, self.rows.radius(budget)
        if best.whole.sweep(best.whole.origin)[0] < self.target:
            return np.full(len(self.attack.space.axes), np.nan), 0.0, 0.0  # it passes as it is
        near = approach(best, self.target, self.holds)
        proved = self._improve(search)
        if not near and not proved:
            approach(best, self.target, self.holds, hasty=False)
            proved = self._improve(search)
        if not proved and search and together(best, self.target, self.holds):
            proved = self._improve(search)
        bound = best.cost if proved else 0.0
        if not proved and best.cost > radius:
            bound = self._certify(radius, proof)
        if not bound and np.isfinite(best.cost):
            bound = self._nearer(search)
        codes = np.full(len(self.attack.space.axes), np.nan)
        if np.isfinite(best.cost):
            codes = self.rows.values(self.block, self.place, best.point, self.whole.places)
        return codes, self.rows.distance(best.cost), self.rows.told(self.block, self.place, self.row, bound)

    def _improve(self, work: float) -> bool:
        """Look for nearer points until the work is spent; True where it is proved that there is none."""
        while work > 0:
            problem = self.best.within(self.best.cost)
            answer = self._decide(problem, self.best.cost, work)
            work -= answer.work + 1
            if answer.point is None:
                return answer.proved
            trim = trimmed(problem, answer.point, self.target)
            if not any(self.best.take(problem, point, self.holds) for point in (trim, answer.point)):
                return False
        return False

    def _certify(self, radius: float, work: float) -> float:
        """The budget where nothing costs less than it; else a point within it is taken, or 0 is given for unknown."""
        wider = self.rows.radius(self.rows.distance(radius) * (1 + _WIDER) + self.rows.slack)
        problem = self.best.within(wider)
        answer = self._decide(problem, wider, work)
        if answer.point is not None:
            self.best.take(problem, trimmed(problem, answer.point, self.target), self.holds)
            if self._improve(SEARCH):
                return self.best.cost
        return wider if answer.proved else 0.0

    def _nearer(self, work: float) -> float:
        """The largest of a few fractions of what was found within which nothing passes."""
        for part in _NEARER:
            radius = self.best.cost * (part * part if self.rows.norm == "l2" else part)
            if self._decide(self.best.within(radius), radius, work / len(_NEARER)).proved:
                return radius
        return 0.0

    def _decide(self, problem: Problem, radius: float, work: float) -> Answer:
        def lifted(ask: Callable[[Array], bool] | None) -> Callable[[Array], bool] | None:
            return None if ask is None else lambda point: ask(problem.whole(point, self.best.start))

        passes = lifted(self._passes if self.attack.model is not None else None)
        return decide(problem, self.target, radius, work, lifted(self.holds), safe=self.rows.safe, passes=passes)

    def _passes(self, point: Array) -> bool:
        """Whether the real model lets a point of the whole row pass."""
        model = self.attack.model
        return model is not None and not bool(model.flagged(self._built(point))[0])

    def _holds(self, point: Array) -> bool:
        """Whether a point of the whole row keeps every relation."""
        return bool(self.attack.space.valid(self._built(point))[0])

    def _built(self, point: Array) -> ArrowTable:
        codes = self.rows.values(self.block, self.place, point, self.whole.places)
        return self.attack.space.moved(np.array([self.row]), codes[None])
