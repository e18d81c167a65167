"""What an attack has asked: every query counted against its row, the answers to learn from, the nearest successes."""

from __future__ import annotations

import numpy as np

from assay.attacks.boundary.moves import Moves
from assay.attacks.priced.order import rank
from assay.attacks.space import Array, Space
from assay.core.protocols import Predictor
from assay.core.subject import Norm

HEARD = 64
_SHY = -1e-12  # a score below the threshold passes, however close


class Asked:
    """The one place that asks the model on behalf of an attack.

    Per row (n,): `queries`, and `best`, the distance of the nearest success, inf where there is none, with its `codes`
    (n, m). `heard` is a sample of what was asked, as (row, codes (m,), whether it passes).
    """

    def __init__(self, predictor: Predictor, space: Space, norm: Norm, access: str, limit: int, seed: int) -> None:
        self.predictor, self.space, self.access, self.limit = predictor, space, access, limit
        self.moves = Moves(space, norm)
        self.queries = np.zeros(space.size, dtype=int)
        self.best = np.full(space.size, np.inf)
        self.codes = np.full((space.size, len(space.axes)), np.nan)
        self.heard: list[tuple[int, Array, bool]] = []
        self._ears = np.random.default_rng([seed, 1])  # its own, so that listening changes no attack
        self._odd = np.random.default_rng([seed, 2]).integers(1, 2**63, len(space.axes), dtype=np.uint64) * 2 + 1
        self._known = np.zeros(0, dtype=np.uint64)
        self._log: list[tuple[Array, Array, Array]] = []

    def left(self) -> Array:
        """Queries that each row may still ask, (n,)."""
        return self.limit - self.queries

    def fresh(self, ids: Array, codes: Array) -> Array:
        """Whether codes (q, m) change anything, and were not asked of their row before nor earlier among these."""
        keys = self._keys(ids, codes)
        new: Array = ~np.isnan(codes).all(axis=1)
        at = np.searchsorted(self._known, keys)
        new &= self._known[np.minimum(at, len(self._known) - 1)] != keys if len(self._known) else True
        order = np.argsort(keys, kind="stable")
        again = np.zeros(len(ids), dtype=bool)
        again[order[1:]] = keys[order[1:]] == keys[order[:-1]]
        return new & ~again

    def ask(self, ids: Array, codes: Array) -> Array:
        """The answers (q,) to codes (q, m): the score less the threshold, or -1 and 1 for labels; below 0 it passes.

        What an axis does not permit stays as it was. inf is what was not asked: it changes nothing, was asked before,
        breaks a relation, or its row may ask no more.
        """
        answers = np.full(len(ids), np.inf)
        codes = self.moves.permitted(ids, codes)
        may = self.fresh(ids, codes)
        if self.space.constraints and may.any():
            may[may] = self.space.valid(self.space.moved(ids[may], codes[may]))
        may[may] = rank(ids[may]) < self.left()[ids[may]]
        if not may.any():
            return answers
        who, what = ids[may], codes[may]
        answers[may] = self._answers(self.space.moved(who, what))
        np.add.at(self.queries, who, 1)
        self._known = np.union1d(self._known, self._keys(who, what))
        self._log.append((who, self.moves.filled(who, what), answers[may]))
        self._hear(who, what, answers[may] < 0)
        self._keep(ids[answers < 0], codes[answers < 0])
        return answers

    def log(self) -> tuple[Array, Array, Array]:
        """(row (q,), point (q, m), answer (q,)) of all that was asked."""
        if not self._log:
            return np.zeros(0, dtype=int), np.zeros((0, len(self.space.axes))), np.zeros(0)
        ids, points, answers = (np.concatenate([part[i] for part in self._log]) for i in range(3))
        return ids, points, answers

    def _answers(self, table: object) -> Array:
        if self.access != "score":
            return np.where(self.predictor.flagged(table), 1.0, -1.0)
        score = self.predictor.scores(table)
        over = score - self.predictor.threshold
        return np.where(score < self.predictor.threshold, np.minimum(over, _SHY), np.maximum(over, 0.0))

    def _keys(self, ids: Array, codes: Array) -> Array:
        bits = np.ascontiguousarray(np.where(np.isnan(codes), np.nan, codes + 0.0)).view(np.uint64)
        with np.errstate(over="ignore"):
            keys = ((bits ^ (bits >> np.uint64(29))) * self._odd).sum(axis=1, dtype=np.uint64)
            return (keys ^ (keys >> np.uint64(31))) * self._odd[0] + ids.astype(np.uint64) * np.uint64(
                0x9E3779B97F4A7C15
            )

    def _keep(self, ids: Array, codes: Array) -> None:
        distance = self.moves.distance(ids, codes)
        order = np.lexsort((distance, ids))
        rows, first = np.unique(ids[order], return_index=True)
        at = order[first]
        better = distance[at] < self.best[rows]
        self.best[rows[better]], self.codes[rows[better]] = distance[at[better]], codes[at[better]]

    def _hear(self, ids: Array, codes: Array, passes: Array) -> None:
        for at in self._ears.choice(len(ids), min(HEARD // 8, len(ids)), replace=False).tolist():
            one = (int(ids[at]), codes[at], bool(passes[at]))
            if len(self.heard) < HEARD:
                self.heard.append(one)
            else:
                self.heard[int(self._ears.integers(HEARD))] = one
