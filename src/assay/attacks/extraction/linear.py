"""Equation solving: a linear model's weights from one question for each weight (Tramèr et al. 2016)."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.attacks.extraction.pools import marginal
from assay.attacks.extraction.schema import Schema
from assay.attacks.extraction.surrogate import Margin
from assay.attacks.extraction.victim import Answers, Victim

Array = Any
BASES, FRESH = 20, 50  # rows asked for a start; fresh rows on which the solution is verified
HALVED = 8  # times that a step is halved whose answer is too near 0 or 1 to be read
READABLE = 1e-6  # a probability nearer to 0 or 1 than this has lost its digits
EXACT = 0.01  # of the spread of fresh scores: a larger residual is not a linear model


class Solved(msgspec.Struct, frozen=True):
    """What was solved. `queries` were asked in all, `weights` were unknown; `residual` is the root mean square error on
    fresh rows over the spread of their scores; the model is `linear` where it is at most EXACT."""

    queries: int
    weights: int
    residual: float
    logit: bool
    margin: Margin

    @property
    def linear(self) -> bool:
        """Whether what was solved is the model."""
        return self.residual <= EXACT


class _Scale:
    """Scores as they are, or the logit of probabilities; the threshold taken off."""

    def __init__(self, logit: bool, threshold: float) -> None:
        self.logit = logit
        self.threshold = float(self._on(np.array([threshold]))[0]) if np.isfinite(threshold) else 0.0

    def _on(self, scores: Array) -> Array:
        p = np.clip(scores, 1e-15, 1 - 1e-15)
        return np.log(p / (1 - p)) if self.logit else np.asarray(scores, dtype=float)

    def __call__(self, scores: Array) -> Array:
        return self._on(scores) - self.threshold

    def readable(self, scores: Array) -> Array:
        """Whether each answer still has its digits."""
        inside = (scores > READABLE) & (scores < 1 - READABLE)
        return inside if self.logit else np.isfinite(scores)


def solve(victim: Victim, seed: int) -> Solved | None:
    """The linear model that answers like the victim: one question for each number, level and hole, from one row on.

    Whether the model is linear at all is told by the residual on fresh rows, once with scores as they are and once with
    their logit, where all lie in [0, 1]; the better of both is given. None where only decisions are told, or all fresh
    rows have one score.
    """
    if not victim.view.score:
        return None
    schema, before = victim.schema, victim.asked
    rng = np.random.default_rng([seed, 29])
    starts = victim.answer(marginal(schema, BASES, rng))
    if starts.scores is None:
        return None
    places = [False, True] if starts.scores.min() >= 0 and starts.scores.max() <= 1 else [False]
    scale = _Scale(places[-1], victim.threshold)
    base = int(np.argmin(np.abs(starts.scores - 0.5) if places[-1] else np.abs(scale(starts.scores))))
    steps = _answered(victim, schema, starts.rows[base], scale)
    fresh = victim.answer(marginal(schema, FRESH, rng))
    found = []
    for logit in places:
        on = _Scale(logit, victim.threshold)
        margin = _margin(schema, starts.rows[base], on(starts.scores[[base]])[0], steps, on)
        residual = _residual(on, margin, fresh)
        if residual is not None:
            found.append(Solved(victim.asked - before, len(steps.rows) + 1, residual, logit, margin))
    return min(found, key=lambda s: s.residual) if found else None


def _questions(schema: Schema, base: Array) -> tuple[Array, Array]:
    """Rows (k, d) that differ from the base in one input each, and in which (k,)."""
    rows, inputs = [], []
    for j in range(len(base)):
        known = schema.known[:, j]
        held = known[~np.isnan(known)]
        values: list[float] = []
        if j in schema.levels:
            values = [float(v) for v in np.unique(held) if v != base[j]]
        elif len(held):
            ends = np.quantile(held, [0.05, 0.95])
            far = ends[np.argmax(np.abs(ends - base[j]))] if not np.isnan(base[j]) else ends[0]
            if far == base[j]:  # rarely anything else: an end of its range
                far = held[np.argmax(np.abs(held - base[j]))]
            values = [float(np.round(far) if schema.integer[j] else far)]
        if np.isnan(known).any() and not np.isnan(base[j]):
            values.append(np.nan)
        for value in values:
            if value != base[j]:
                row = base.copy()
                row[j] = value
                rows.append(row)
                inputs.append(j)
    return np.array(rows).reshape(-1, len(base)), np.array(inputs, dtype=int)


def _answered(victim: Victim, schema: Schema, base: Array, scale: _Scale) -> Answers:
    """The answers to all questions; steps that push the answer out of its readable range are halved and asked again."""
    rows, inputs = _questions(schema, base)
    if not len(rows):
        none = np.zeros(0, dtype=bool)
        return Answers(rows, none, np.zeros(0), none)
    answers = victim.answer(rows)
    scores = np.array(answers.scores)
    number = ~np.isin(inputs, schema.codes)
    for _ in range(HALVED):
        each = np.arange(len(rows))
        step = rows[each, inputs] - base[inputs]
        half = np.where(schema.integer[inputs], np.sign(step) * np.floor(np.abs(step) / 2), step / 2)
        again = number & ~scale.readable(scores) & np.isfinite(step) & (half != 0)
        if not again.any():
            break
        rows[again, inputs[again]] = base[inputs[again]] + half[again]
        scores[again] = victim.answer(rows[again]).scores
    return Answers(rows, scores >= victim.threshold, scores, answers.blind)


def _margin(schema: Schema, base: Array, start: float, steps: Answers, on: _Scale) -> Margin:
    slope = np.zeros(len(base))
    level: dict[tuple[int, float | None], float] = {}  # (input, value or None for a hole) → what it adds
    gain = on(steps.scores) - start
    for row, more in zip(steps.rows, gain.tolist(), strict=True):
        j = int(np.flatnonzero(~((row == base) | (np.isnan(row) & np.isnan(base))))[0])
        if np.isnan(row[j]):
            level[j, None] = more
        elif j in schema.levels or np.isnan(base[j]):
            level[j, float(row[j])] = more
        else:
            slope[j] = more / (row[j] - base[j])
    numbers = [j for j in range(len(base)) if j not in schema.levels and not np.isnan(base[j])]

    def margin(rows: Array) -> Array:
        filled: Array = np.where(np.isnan(rows), base, rows)
        moved = filled[:, numbers] - base[numbers]
        out = start + moved @ slope[numbers]
        for (j, value), more in level.items():
            out = out + more * (np.isnan(rows[:, j]) if value is None else rows[:, j] == value)
        return out

    return margin


def _residual(on: _Scale, margin: Margin, fresh: Answers) -> float | None:
    scores = np.asarray(fresh.scores)
    use = on.readable(scores)
    if use.sum() < FRESH // 5:
        return None
    real = on(scores[use])
    spread = float(real.std())
    return float(np.sqrt(np.mean((margin(fresh.rows[use]) - real) ** 2)) / spread) if spread > 1e-12 else None
