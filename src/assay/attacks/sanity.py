"""The sanity test of an attack: one that cannot fail proves nothing (Carlini et al. 2019; Zimmermann et al. 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.attacks.evasion import Evaded, attack
from assay.attacks.space import KEEP, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import Predictor

Array = Any
ROWS = 24
HOLES = 3


class Planted:
    """A predictor with a known hole: any row in which `column` has `value` passes."""

    def __init__(self, real: Predictor, column: str, value: Any) -> None:
        self._real, self._column, self._value = real, column, value
        self.features, self.classes = real.features, real.classes
        self.threshold, self.access = real.threshold, real.access
        self.queries = 0

    def scores(self, rows: Any) -> Array:
        """The real scores, but far below the threshold in the hole."""
        scores = self._real.scores(rows)
        hole = np.array([v == self._value for v in rows.column(self._column).to_pylist()])
        self.queries += rows.num_rows
        return np.where(hole, self.threshold - 1.0, scores)

    def flagged(self, rows: Any) -> Array:
        """Scores at or above the threshold."""
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        """The real predictor is not ours to close."""


def refuse_unstable(predictor: Predictor, rows: Any) -> None:
    """The same rows must get the same answer. Raises CouldNotLook for a model that answers at random."""
    if not np.array_equal(predictor.scores(rows), predictor.scores(rows)):
        raise CouldNotLook(
            "the sanity test failed: the same row gets different scores, which hides what an attack finds"
        )


def refuse_masking(predictor: Predictor, rows: Any, passing: Any) -> None:
    """With everything allowed an attack must always succeed: a row replaced whole by one that passes must pass.

    `rows` are flagged. Raises CouldNotLook when it does not.
    """
    count = min(ROWS, rows.num_rows, passing.num_rows)
    table = rows.slice(0, count)
    for name in predictor.features:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), passing.slice(0, count).column(name))
    if predictor.flagged(table).any():
        raise CouldNotLook(
            "the sanity test failed: an unlimited budget does not reach 100%, the model masks its decision"
        )


def refuse_blind(predictor: Predictor, space: Space, passing: Any, *, access: str, limit: int, seed: int) -> None:
    """A planted hole that one permitted move reaches must be found, at no more than its cost.

    Raises CouldNotLook when the attack misses it.
    """
    rng = np.random.default_rng(seed)
    planted_holes = 0
    for j in rng.permutation(len(space.axes)).tolist():
        axis = space.axes[j]
        same = [
            k for k in range(axis.cost.shape[1]) if np.isfinite(axis.cost[:, k]).any() and _shared(axis.codes[:, k])
        ]
        if not same or planted_holes == HOLES:
            continue  # a number that differs from row to row is no hole that all rows can reach
        planted_holes += 1
        k = same[int(rng.integers(len(same)))]
        reach = np.isfinite(axis.cost[:, k])
        value = axis.levels[int(axis.codes[0, k])] if axis.levels else float(axis.codes[0, k])
        whole = not axis.levels and axis.integer
        planted = Planted(predictor, axis.name, int(value) if whole else value)
        found = attack(planted, space, passing, access=access, limit=limit, seed=seed)
        only = space.keep(space.size)
        only[:, j] = k
        allowed = reach & space.valid(space.build(np.arange(space.size), only))
        if (found.cost[allowed] > axis.cost[allowed, k] + 1e-9).any():
            raise CouldNotLook(f"the sanity test failed: a hole planted in {axis.name} was not found")
    if not planted_holes:
        raise CouldNotLook("the sanity test could not plant a hole: no feature has a value that every row can reach")


def _shared(codes: Array) -> bool:
    return bool((codes == codes[0]).all())


def confirm(predictor: Predictor, space: Space, found: Evaded) -> Evaded:
    """Ask the real model again for every success, at its threshold, with its relations and its cost recomputed.

    A success that does not hold is an error of ours: CouldNotLook, not a quieter number.
    """
    rows = np.flatnonzero(np.isfinite(found.cost))
    if not len(rows):
        return found
    table = space.build(rows, found.choice[rows])
    cost = space.cost(rows, found.choice[rows])
    holds = ~predictor.flagged(table) & space.valid(table) & (np.abs(cost - found.cost[rows]) < 1e-9)
    changed = (found.choice[rows] != KEEP).any(axis=1)
    if not (holds & changed).all():
        wrong = int((~(holds & changed)).sum())
        raise CouldNotLook(f"the sanity test failed: {wrong} of {len(rows)} examples do not hold on the real model")
    return found
