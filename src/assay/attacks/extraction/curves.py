"""Extraction curves: what copies of several attackers and runs are worth at each number of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from assay.attacks.extraction.agreement import Constant, Value, agreement, area_ratio, constant, ranks
from assay.attacks.extraction.linear import Solved, solve
from assay.attacks.extraction.pools import Attacker
from assay.attacks.extraction.schema import Schema
from assay.attacks.extraction.steal import Copy, copies
from assay.attacks.extraction.surrogate import Learner, Margin
from assay.attacks.extraction.victim import FULL, Victim, View
from assay.core.protocols import ArrowTable, Predictor

Array = Any
Told = Callable[[str], None]
LEAST = 10  # rows of each decision, below which agreement says nothing
SOLVER = "equations"


class Judged(msgspec.Struct, frozen=True):
    """Real rows that copies are judged on: the table, the rows (n, d) as numbers, the victim's decisions and scores
    (None where it tells none), the truth (None where it is not known), and which rows are one draw."""

    table: ArrowTable
    rows: Array
    flagged: Array
    scores: Array | None
    target: Array | None
    groups: Array

    def kept(self, mask: Array) -> Judged:
        """Those rows of a bool mask (n,)."""
        cut = [None if a is None else a[mask] for a in (self.scores, self.target)]
        return Judged(self.table.filter(mask), self.rows[mask], self.flagged[mask], cut[0], cut[1], self.groups[mask])

    def told_apart(self) -> bool:
        """Whether the victim gives both decisions often enough."""
        hits = int(self.flagged.sum())
        return min(hits, len(self.flagged) - hits) >= LEAST


class Point(msgspec.Struct, frozen=True):
    """What copies at one number of queries are worth; `learner` and `margin` are the first run's."""

    attacker: str
    queries: int
    learner: str
    f1: Value
    mcc: Value
    fidelity: Value
    rank: Value
    area: Value
    margin: Margin


class Curves(msgspec.Struct, frozen=True):
    """All points, the best constant answer, the rows that were judged, how many of them had been asked and were left
    out (or None: too few would have been left, so they were kept), and how often the victim was asked in all."""

    points: tuple[Point, ...]
    baseline: Constant
    judged: Judged
    left_out: int | None
    solved: Solved | None
    asked: int

    def best(self) -> Point:
        """The point with the highest MCC; the fewest queries of equals."""
        return max(self.points, key=lambda p: (p.mcc.value or 0.0, -p.queries))

    def last(self, attacker: str) -> Point:
        """An attacker's point of the most queries."""
        return max((p for p in self.points if p.attacker == attacker), key=lambda p: p.queries)

    def stolen(self) -> bool:
        """Whether the best copy is surely better than any constant answer, in MCC and in F1."""
        best = self.best()
        return (best.mcc.low or 0.0) > 0 and (best.f1.low or 0.0) > self.baseline.f1

    def first_good(self, least: float) -> Point | None:
        """The point of fewest queries whose MCC is `least` or more at the lower end of its interval."""
        good = [p for p in self.points if (p.mcc.low or 0.0) >= least]
        return min(good, key=lambda p: p.queries) if good else None

    def resisted(self, least: float) -> int | None:
        """The most queries that were asked, if no copy can be that good: the upper end of every MCC is below `least`.
        None where too few rows were judged to tell."""
        below = all(p.mcc.high is not None and p.mcc.high < least for p in self.points)
        return max(p.queries for p in self.points) if below else None


def curves(
    predictor: Predictor, schema: Schema, judged: Judged, attackers: Sequence[Attacker], sizes: tuple[int, ...],
    runs: int, seed: int, view: View = FULL, told: Told = lambda _: None,
) -> Curves:  # fmt: skip
    """The curves of all attackers, `runs` times each with other questions, and equation solving beside them.

    The learner of each size is chosen in the first run. Judged rows that were asked by chance are left out.
    """
    victim = Victim(predictor, schema, view)
    found: dict[tuple[str, int], list[Copy]] = {}
    was_asked = np.zeros(len(judged.rows), dtype=bool)
    for attacker in attackers:
        choice: dict[int, Learner] = {}
        for run in range(runs):
            told(f"{attacker}, run {run + 1} of {runs}")
            made, answers = copies(victim, attacker, sizes, _seed(seed, run), choice.get)
            was_asked |= _among(judged.rows, answers.rows)
            for copy in made:
                choice[copy.queries] = copy.learner
                found.setdefault((attacker, copy.queries), []).append(copy)
    told("equations")
    solved = solve(victim, seed)
    left_out: int | None = int(was_asked.sum())
    kept = judged.kept(~was_asked)
    if not kept.told_apart():
        kept, left_out = judged, None
    points = [
        _point(a, size, [c.margin for c in made], made[0].learner, kept, seed) for (a, size), made in found.items()
    ]
    if solved is not None and solved.linear:
        points.append(_point(SOLVER, solved.queries, [solved.margin], "weights", kept, seed))
    return Curves(tuple(points), constant(kept.flagged), kept, left_out, solved, victim.asked)


def _seed(seed: int, run: int) -> int:
    return int(np.random.default_rng([seed, 37, run]).integers(2**31))


def _among(rows: Array, asked: Array) -> Array:
    """Whether each of rows (n, d) is among those asked (k, d)."""
    kind = np.dtype((np.void, rows.shape[1] * 8))
    mine, theirs = (
        np.ascontiguousarray(np.nan_to_num(m, nan=-1.5e300) + 0.0).view(kind).ravel() for m in (rows, asked)
    )
    held = {row.tobytes() for row in theirs}
    return np.array([row.tobytes() in held for row in mine], dtype=bool)


def _point(attacker: str, size: int, margins: list[Margin], learner: str, judged: Judged, seed: int) -> Point:
    said = [np.asarray(margin(judged.rows), dtype=float) for margin in margins]
    values = agreement(judged.flagged, [m >= 0 for m in said], judged.groups, seed)
    none = Value(None)
    rank = none if judged.scores is None else ranks(judged.scores, said, judged.groups, seed)
    base = judged.flagged.astype(float) if judged.scores is None else judged.scores
    area = area_ratio(base, said, judged.target, judged.groups, seed)
    return Point(attacker, size, learner, values["f1"], values["mcc"], values["fidelity"], rank, area, margins[0])
