"""Counterfactual memorisation: rows that a model is sure of only because it saw them (Feldman and Zhang 2020).

A row's gap is the model's certainty of its label minus the mean of references that did not see it. What gaps look like
where nothing is remembered is read off the holdout, so that chance and the references' smaller share of the data
explain nothing away and prove nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from assay.attacks.membership.game import Game
from assay.attacks.membership.roc import Rate
from assay.attacks.membership.scores import outside
from assay.attacks.membership.verdict import OFF, found, mean
from assay.stats.intervals import recovered, wilson

Array = Any
MARGIN = 0.25
BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Excess(msgspec.Struct, frozen=True):
    """A share of training rows minus the same share of holdout rows, and how many rows of both it rests on."""

    rate: Rate
    members: int
    others: int


def gap(game: Game) -> Array:
    """The model's certainty of each row's own label minus that of references that did not see the row, (n,)."""
    return game.target - outside(game)


def excess(hit: Array, member: Array) -> Excess:
    """The share of `hit` (n,) among members minus that among others, with its interval (joined Wilson limits)."""
    m, n = int(member.sum()), int((~member).sum())
    a, b = int(hit[member].sum()), int(hit[~member].sum())
    value = (a / m, b / n)
    return Excess(Rate(value[0] - value[1], *recovered(value, [wilson(a, m), wilson(b, n)], 0.0)), m, n)


def memorised(game: Game) -> Excess:
    """Training rows whose gap is 0.25 or more (the authors' margin), beyond the share of such holdout rows."""
    return excess(gap(game) >= MARGIN, game.member)


def differs(game: Game) -> bool:
    """Whether references "remember" what they never saw: the tables differ, and the holdout is no standard."""
    placebos = [memorised(game.placebo(k)).rate for k in range(len(game.refs))]
    apart = mean(placebos)
    assert apart is not None
    return apart.low > OFF or apart.high < -OFF or found("gap", game, gap).off


def label_only(game: Game) -> Excess:
    """Training rows whose label the model gets right and the references outside get wrong, beyond the holdout's."""
    return excess((game.target > 0.5) & (outside(game) < 0.5), game.member)


def bands(game: Game) -> list[tuple[float, float, Excess]]:
    """`memorised` by how sure the references are of the label: (from, to, excess); bands of 30 rows a side and more.

    The rare and the odd rows are those that others get wrong.
    """
    sure, found = outside(game), []
    for low, high in pairwise(BANDS):
        inside = (sure >= low) & ((sure < high) | (high == BANDS[-1]))
        if min((inside & game.member).sum(), (inside & ~game.member).sum()) >= 30:
            found.append((low, high, excess(gap(game)[inside] >= MARGIN, game.member[inside])))
    return found


def established(tested: Array, null: Array, rate: float) -> Array:
    """Which of the `tested` gaps (m,) are beyond chance, largest first; at most `rate` of these are expected to be so.

    A row's p-value is its place among the holdout's gaps `null` (n,); Benjamini and Hochberg's step-up over them (valid
    for p-values that share a calibration sample: Bates et al. 2023).
    """
    if not len(tested):
        return np.empty(0, dtype=np.int64)
    ordered = np.sort(null)
    p: Array = (1 + len(null) - np.searchsorted(ordered, tested, side="left")) / (1 + len(null))
    order: Array = np.argsort(p, kind="stable")
    below = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    if not len(below):
        return np.empty(0, dtype=np.int64)
    chosen = order[: below[-1] + 1]
    return chosen[np.argsort(-tested[chosen], kind="stable")]
