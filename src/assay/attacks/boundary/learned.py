"""What the answers so far teach: which of many untried points are likely to pass, for all rows together.

Two learners, trees (LightGBM) and a plane. Surrogates that choose what to ask: Papernot et al. 2017. They never decide:
the model is asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.adapters.encode import encode
from assay.attacks.boundary.asked import Asked
from assay.attacks.space import Array

EACH, FEWEST, MOST = 300, 8_000, 60_000  # answers to learn from: so many a row, the newest
TREES, LEAVES, RATE = 35, 31, 0.2
PLANE = 10_000
CLIPPED = 4.0
_FIT = {
    "num_leaves": LEAVES, "learning_rate": RATE, "min_data_in_leaf": 5, "max_bin": 63, "verbose": -1, "seed": 0,
    "num_threads": 1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip


class Learned:
    """Learns from an `Asked`, and from rows that pass; `plane` (m,) is how much a unit of the norm moves the answer."""

    def __init__(self, asked: Asked, donors: Array) -> None:
        self.asked, self.moves = asked, asked.moves
        self.fixed = self._fixed()
        self.donors = donors
        self.trees: Any = None
        self.plane = np.zeros(len(asked.space.axes))

    def _fixed(self) -> Array:
        """The inputs (n, f) that an attacker cannot move, as numbers."""
        space = self.asked.space
        axes = {axis.name for axis in space.axes}
        names = [n for n in self.asked.predictor.features if n not in axes and n in space.rows.column_names]
        return encode(space.rows.select(names), [], {}).matrix if names else np.zeros((space.size, 0))

    def fit(self) -> None:
        """Learn from the newest answers, and the rows themselves."""
        import lightgbm as lgb

        ids, points, answers = self.asked.log()
        most = min(max(EACH * self.asked.space.size, FEWEST), MOST)
        ids, points, answers = ids[-most:], points[-most:], answers[-most:]
        score = self.asked.access == "score"
        if score and not len(ids):  # nothing that is permitted could be asked yet
            return
        told = self._told(answers)
        if len(ids):
            self._fit_plane(ids, points, told)
        points = np.hstack([points, self.fixed[ids]])
        if not score:
            own = np.hstack([self.moves.origin, self.fixed])
            others = np.hstack([self.donors, np.full((len(self.donors), self.fixed.shape[1]), np.nan)])
            points = np.vstack([own, others, points])
            told = np.concatenate([np.ones(len(own)), -np.ones(len(others)), told])
        goal, y = ("regression", told) if score else ("binary", (told > 0).astype(float))
        self.trees = lgb.train({**_FIT, "objective": goal}, lgb.Dataset(points, y), TREES)

    def by_trees(self, ids: Array, codes: Array) -> Array:
        """How likely points (q, m) stay flagged, as a number (q,) that only compares."""
        if self.trees is None:
            return np.zeros(len(ids))
        points = np.hstack([self.moves.filled(ids, codes), self.fixed[ids]])
        return np.asarray(self.trees.predict(points, raw_score=True, num_threads=1))

    def by_plane(self, ids: Array, codes: Array) -> Array:
        """The same by the plane."""
        return np.einsum("qm,m->q", self.moves.offsets(ids, codes), self.plane)

    def _told(self, answers: Array) -> Array:
        """Answers as something to regress on: labels as they are; scores on a log-odds scale where they are shares."""
        if self.asked.access != "score":
            return answers
        threshold = self.asked.predictor.threshold
        scores = answers + threshold
        if 0 < threshold < 1 and scores.min() >= -1e-9 and scores.max() <= 1 + 1e-9:
            odds = np.clip([*scores, threshold], 1e-6, 1 - 1e-6)
            odds = np.log(odds / (1 - odds))
            return np.clip(odds[:-1] - odds[-1], -CLIPPED, CLIPPED)
        return np.clip(answers / max(float(np.median(np.abs(answers))), 1e-12), -CLIPPED, CLIPPED)

    def _fit_plane(self, ids: Array, points: Array, told: Array) -> None:
        """Ridge regression of the answers on the moves, each row with a level of its own."""
        ids, points, told = ids[-PLANE:], points[-PLANE:], told[-PLANE:]
        moves = self.moves.offsets(ids, points)
        count = np.maximum(np.bincount(ids, minlength=self.asked.space.size), 1)
        level = np.bincount(ids, told, minlength=len(count)) / count
        middle = np.column_stack([np.bincount(ids, column, minlength=len(count)) / count for column in moves.T])
        size = np.maximum(np.abs(moves).mean(axis=0), 1e-12)
        x = (moves - middle[ids]) / size
        # einsum is the slower one, but runs on one core: threads of BLAS on busy cores wait for each other
        gram = np.einsum("qi,qj->ij", x, x) + np.eye(x.shape[1]) * max(1.0, 1e-3 * len(x))
        self.plane = np.linalg.solve(gram, np.einsum("qi,q->i", x, told - level[ids])) / size
