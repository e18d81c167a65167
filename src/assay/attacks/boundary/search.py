"""The black-box search: start from rows that pass, then draw many points nearer, and ask those most likely to pass.

In every round each row draws a few hundred points inside a smaller ball of the norm, changed copies of its nearest
success; a surrogate that learns from the answers to all rows picks the few that are asked. How much smaller the ball
is follows the row's own luck (the 1/5 rule of evolution strategies, Rechenberg 1973).
"""

from __future__ import annotations

import numpy as np

from assay.attacks.boundary.asked import Asked
from assay.attacks.boundary.learned import Learned
from assay.attacks.boundary.tries import changed, fitted, wild
from assay.attacks.priced.order import rank
from assay.attacks.space import Array, Space
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Norm

STARTS, MORE = 6, 6
PER, DRAWN = 16, 10  # asked of a row in a round, and drawn for each of those
STEPS = np.array([0.25, 0.5, 1.0, 2.0, 3.0])
FIRST, LEAST, MOST = 0.1, 0.008, 0.4
WIDEST = 4_000_000  # values drawn in a round
FITS = (0, 2, 5, 9, 14, 20, 28, 38, 50)
IDLE = 4
SHARE, LEAST_SHARE, MEMORY = 0.25, 0.1, 0.8


class Search:
    """One attack on the rows of a space, all rows together."""

    def __init__(
        self, predictor: Predictor, space: Space, passing: ArrowTable, norm: Norm, access: str, limit: int, seed: int
    ) -> None:
        self.asked = Asked(predictor, space, norm, access, limit, seed)
        self.moves = self.asked.moves
        self.rng = np.random.default_rng([seed, 3])
        columns = [a.place(passing.column(a.name).to_pylist()) for a in space.axes]
        self.donors = np.column_stack(columns).reshape(-1, len(space.axes))
        self.learned = Learned(self.asked, self.donors)
        read = {name for constraint in space.constraints for name in constraint.columns}
        self.tied = np.array([axis.name in read for axis in space.axes])
        self.step = np.full(space.size, FIRST)
        self.luck = np.array([SHARE, 1 - SHARE])  # how often what the plane chose passed, and what the trees chose
        self.idle = np.zeros(space.size, dtype=int)

    def run(self, progress: Progress = silent) -> Asked:
        """Ask until every row's queries are spent, or nothing new is left to ask."""
        self.start()
        self.shorten()
        turn = 0
        while True:
            rows = np.flatnonzero((self.asked.left() > 0) & (self.idle < IDLE))
            if not len(rows):
                return self.asked
            if turn in FITS or (turn > FITS[-1] and turn % 15 == 0):
                self.learned.fit()
            self.round(rows)
            turn += 1
            progress(float(self.asked.queries.sum()), float(self.asked.limit * len(self.step)), "queries")

    def start(self) -> None:
        """Take over the permitted values of the passing rows that are then nearest."""
        if not len(self.donors):
            return
        moves, size = self.moves, self.asked.space.size
        nearest = np.zeros((size, min(STARTS + MORE, len(self.donors))), dtype=int)
        for row in range(size):
            ids = np.full(len(self.donors), row)
            part = np.abs(moves.offsets(ids, moves.land(ids, self.donors)))
            far = part.max(axis=1) if moves.norm == "linf" else (part ** (2 if moves.norm == "l2" else 1)).sum(axis=1)
            nearest[row] = np.argsort(far, kind="stable")[: nearest.shape[1]]
        for take in (slice(0, STARTS), slice(STARTS, STARTS + MORE)):
            rows = np.flatnonzero(np.isinf(self.asked.best))
            ids = np.repeat(rows, nearest[:, take].shape[1])
            self.asked.ask(ids, moves.land(ids, self.donors[nearest[rows][:, take].ravel()]))

    def shorten(self) -> None:
        """Bring the nearest success straight toward its row, three points at a time."""
        low = np.zeros(self.asked.space.size)
        for _ in range(3):
            rows = np.flatnonzero(np.isfinite(self.asked.best))
            ids, high = np.repeat(rows, 3), self.asked.best[rows]
            radius = low[rows][:, None] + (high - low[rows])[:, None] * np.array([0.25, 0.5, 0.75])
            codes = fitted(self.moves, ids, self.asked.codes[ids], radius.ravel(), self.rng)
            flagged = self.asked.ask(ids, codes).reshape(-1, 3) >= 0
            below = flagged & (radius < self.asked.best[rows][:, None])
            low[rows] = np.maximum(low[rows], np.where(below, radius, 0).max(axis=1))

    def round(self, rows: Array) -> None:
        """Draw points for each of `rows`, ask those that look best, and learn how far to reach next."""
        asked, rng = self.asked, self.rng
        width = PER * max(2, min(DRAWN, WIDEST // (len(rows) * PER * self.moves.origin.shape[1])))
        ids, before = np.repeat(rows, width), asked.best.copy()
        known = np.isfinite(before[ids])
        radius = np.where(known, before[ids], 0) * np.maximum(1 - self.step[ids] * rng.choice(STEPS, len(ids)), 0.3)
        radius[~known] = np.inf
        codes = np.empty((len(ids), self.moves.origin.shape[1]))
        if known.any():
            mine = ids[known]
            codes[known] = changed(
                self.moves, mine, asked.codes[mine], radius[known], self.learned.plane, self._share() / 2, rng
            )
        if not known.all():
            codes[~known] = wild(self.moves, ids[~known], self.donors, rng)
        codes = self._mended(ids, codes)
        chosen, plane = self._chosen(ids, codes)
        answers = asked.ask(ids[chosen], codes[chosen])
        for which, mine in enumerate((plane, ~plane)):
            tried = np.isfinite(answers[mine])
            if tried.any():
                lucky = (answers[mine][tried] < 0).mean()
                self.luck[which] = MEMORY * self.luck[which] + (1 - MEMORY) * lucky
        self._adapt(rows, ids[chosen], answers, before)

    def _mended(self, ids: Array, codes: Array) -> Array:
        """Points (q, m) with the inputs that relations read back at the row's own values, where one is broken."""
        space = self.asked.space
        if not self.tied.any():
            return codes
        broken = ~space.valid(space.moved(ids, codes))
        return np.where(broken[:, None] & self.tied, np.nan, codes)

    def _share(self) -> float:
        """The share of queries that the plane chooses: as lucky as it was beside the trees."""
        plane, trees = self.luck**2
        return float(np.clip(plane / max(plane + trees, 1e-12), LEAST_SHARE, 1 - LEAST_SHARE))

    def _chosen(self, ids: Array, codes: Array) -> tuple[Array, Array]:
        """(places of the points (q, m) to ask, whether the plane chose each): up to PER a row, the best first."""
        fresh = np.flatnonzero(self.asked.fresh(ids, codes))
        ids, codes = ids[fresh], codes[fresh]
        slots = round(PER * self._share())
        order = np.lexsort((self.learned.by_plane(ids, codes), ids))
        first = order[rank(ids[order]) < slots]
        rest = np.delete(np.arange(len(ids)), first)
        order = rest[np.lexsort((self.learned.by_trees(ids[rest], codes[rest]), ids[rest]))]
        second = order[rank(ids[order]) < PER - slots]
        return fresh[np.concatenate([second, first])], np.arange(len(first) + len(second)) >= len(second)

    def _adapt(self, rows: Array, ids: Array, answers: Array, before: Array) -> None:
        tried = np.bincount(ids[np.isfinite(answers)], minlength=len(self.step))
        luck = np.bincount(ids[answers < 0], minlength=len(self.step)) / np.maximum(tried, 1)
        nearer = self.asked.best < before
        change = np.where(luck > 0.25, 1.4, np.where(nearer, 1.0, 0.75))
        self.step[rows] = np.clip(self.step * change, LEAST, MOST)[rows]
        self.idle[rows] = np.where(tried > 1, 0, self.idle + 1)[rows]
