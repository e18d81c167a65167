"""The model as an attacker meets it: answers in full, rounded, or only the decision; every one counted."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.attacks.extraction.schema import Schema
from assay.core.errors import CouldNotLook
from assay.core.protocols import Predictor

Array = Any
BATCH = 20_000
LEAST_P = 1e-4  # a probability nearer to 0 or 1 counts as this much: its logit would outweigh all others


class View(msgspec.Struct, frozen=True):
    """What an answer holds beside the decision: the score in full, at `decimals`, or none (`score` False)."""

    name: str = "full scores"
    score: bool = True
    decimals: int | None = None


FULL, TWO, ONE = View(), View("scores at 2 decimals", True, 2), View("scores at 1 decimal", True, 1)
LABEL = View("only the decision", False)


class Answers(msgspec.Struct, frozen=True):
    """Rows that were asked (n, d), the decisions (n,) bool, the scores (n,) or None, and whether each row was drawn
    without regard to earlier answers, `blind` (n,) bool: only those tell how much the victim flags."""

    rows: Array
    flagged: Array
    scores: Array | None
    blind: Array

    def first(self, count: int) -> Answers:
        """The first `count` answers."""
        return self.take(np.arange(count))

    def take(self, at: Array) -> Answers:
        """The answers at the places `at`."""
        scores = None if self.scores is None else self.scores[at]
        return Answers(self.rows[at], self.flagged[at], scores, self.blind[at])

    def with_(self, more: Answers) -> Answers:
        """These and more, of the same view."""
        rows, flagged = np.vstack([self.rows, more.rows]), np.concatenate([self.flagged, more.flagged])
        scores = None
        if self.scores is not None and more.scores is not None:
            scores = np.concatenate([self.scores, more.scores])
        return Answers(rows, flagged, scores, np.concatenate([self.blind, more.blind]))


class Victim:
    """A predictor asked with rows of a schema, through a view. `asked` counts rows. Raises CouldNotLook for scores that
    are no numbers."""

    def __init__(self, predictor: Predictor, schema: Schema, view: View = FULL) -> None:
        self.predictor, self.schema = predictor, schema
        self.view = LABEL if predictor.access == "label" else view
        self.threshold = float(predictor.threshold)
        self.asked = 0

    def answer(self, rows: Array, blind: Array | None = None) -> Answers:
        """The answers to rows (n, d), n > 0; `blind` (n,) as in Answers, all True where it is not given."""
        mask = np.ones(len(rows), dtype=bool) if blind is None else blind
        parts = [self._batch(rows[at : at + BATCH], mask[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
        self.asked += len(rows)
        answers = parts[0]
        for part in parts[1:]:
            answers = answers.with_(part)
        return answers

    def _batch(self, rows: Array, blind: Array) -> Answers:
        table = self.schema.written(rows)
        if self.predictor.access == "label":
            return Answers(rows, np.asarray(self.predictor.flagged(table), dtype=bool), None, blind)
        scores = finite(self.predictor.scores(table))
        flagged = scores >= self.threshold
        if not self.view.score:
            return Answers(rows, flagged, None, blind)
        scores = scores if self.view.decimals is None else np.round(scores, self.view.decimals)
        return Answers(rows, flagged, scores, blind)


def finite(scores: Any) -> Array:
    """Scores as float64 (n,). Raises CouldNotLook where one is no finite number."""
    out = np.asarray(scores, dtype=float)
    bad = int((~np.isfinite(out)).sum())
    if bad:
        raise CouldNotLook(f"the model gave {bad} of {len(out)} scores that are no numbers: there is nothing to copy")
    return out


class Link:
    """The scale on which a copy learns scores: the logit where all lie in [0, 1], else as they are; 0 is the threshold.

    What is nearer to 0 or 1 than rounding (or LEAST_P, or half the threshold) tells counts as that far.
    """

    def __init__(self, scores: Array, threshold: float, decimals: int | None = None) -> None:
        self.logit = bool(scores.min() >= 0 and scores.max() <= 1)
        least = LEAST_P if decimals is None else 0.5 * 10.0**-decimals
        inside = 0 < threshold < 1
        self.least = min(least, threshold / 2, (1 - threshold) / 2) if inside else least
        self.threshold = self._on(np.array([threshold]))[0]

    def _on(self, scores: Array) -> Array:
        if not self.logit:
            return np.asarray(scores, dtype=float)
        p = np.clip(scores, self.least, 1 - self.least)
        return np.log(p / (1 - p))

    def __call__(self, scores: Array) -> Array:
        """Scores (n,) on the scale, the threshold taken off."""
        return self._on(scores) - self.threshold
