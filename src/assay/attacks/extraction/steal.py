"""An attack from the first question to the last: rows are asked, copies are trained at each number of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from assay.attacks.extraction.pools import (
    CANDIDATES,
    EXPLORED,
    FRESH,
    Attacker,
    children,
    marginal,
    uniform,
    unsure,
)
from assay.attacks.extraction.surrogate import FEWER, Learner, Margin, calibrated, chosen, fitted
from assay.attacks.extraction.victim import Answers, Victim

Array = Any
FIRST = 50  # queries before an active attacker has a copy to ask by
GROWS = 0.5  # each round of an active attacker asks so many of what was asked before
PARENTS = 2_000


class Copy(msgspec.Struct, frozen=True):
    """A copy after so many queries: what was learned, by what, and how it judges."""

    attacker: Attacker
    queries: int
    learner: Learner
    margin: Margin


def sizes_up_to(queries: int, points: int) -> tuple[int, ...]:
    """Numbers of queries from FIRST (or `queries`, if that is less), growing by one factor."""
    spread = np.geomspace(min(FIRST, queries), queries, max(2, points)).round().astype(int)
    return tuple(sorted({int(s) for s in spread}))


def asked(victim: Victim, attacker: Attacker, sizes: tuple[int, ...], seed: int) -> Answers:
    """The answers to `sizes[-1]` queries; the first k of them are what k queries would have asked."""
    schema, total = victim.schema, sizes[-1]
    rng = np.random.default_rng([seed, 23])
    if attacker == "random":
        return victim.answer(uniform(schema, total, rng))
    if attacker == "marginal":
        return victim.answer(marginal(schema, total, rng))
    answers = victim.answer(marginal(schema, min(FIRST, total), rng))
    learner: Learner = "trees"
    chosen_at = 0
    while len(answers.rows) < total:
        if len(answers.rows) > 3 * chosen_at:
            learner, chosen_at = chosen(schema, answers, victim.threshold, victim.view, seed), len(answers.rows)
        batch = min(total - len(answers.rows), max(25, int(len(answers.rows) * GROWS)))
        answers = answers.with_(victim.answer(*_next(victim, answers, learner, batch, rng, seed)))
    return answers


def _next(
    victim: Victim, answers: Answers, learner: Learner, batch: int, rng: np.random.Generator, seed: int
) -> tuple[Array, Array]:
    """The next rows (batch, d), some where the copy is unsure, the others drawn like `marginal`; which are others."""
    schema = victim.schema
    margin = fitted(schema, answers, victim.threshold, victim.view, learner, seed, FEWER)
    explored = int(batch * EXPLORED)
    count = CANDIDATES * (batch - explored)
    fresh = marginal(schema, int(count * FRESH), rng)
    near = np.argsort(np.abs(margin(answers.rows)), kind="stable")[: min(PARENTS, max(10, len(answers.rows) // 4))]
    pool = np.vstack([fresh, children(schema, answers.rows[near], count - len(fresh), rng)])
    picked = pool[unsure(margin(pool), batch - explored, rng)]
    rows = np.vstack([picked, marginal(schema, batch - len(picked), rng)])
    order = rng.permutation(batch)
    return rows[order], order >= len(picked)


def copies(
    victim: Victim, attacker: Attacker, sizes: tuple[int, ...], seed: int,
    learner: Callable[[int], Learner | None] = lambda _: None,
) -> tuple[list[Copy], Answers]:  # fmt: skip
    """The copies after each of `sizes` queries, and all answers.

    `learner` may name what an earlier run chose at a size, so that it is not chosen again."""
    answers = asked(victim, attacker, sizes, seed)
    found = []
    for size in sizes:
        part = answers.first(size)
        by = learner(size) or chosen(victim.schema, part, victim.threshold, victim.view, seed)
        margin = calibrated(victim.schema, part, victim.threshold, victim.view, by, seed)
        found.append(Copy(attacker, size, by, margin))
    return found, answers
