"""The membership game: a model's answers on rows that it saw and rows that it did not, beside those of references.

References are trained by the model's own recipe on random halves of its training rows, two and two complementary, and
never on the holdout. Each judged row is compared with those that did not see it; of the holdout, which none saw, one
of each two is drawn, so that both sides are answered by as many references of the same kind.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.adapters.refit import Recipe
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent

Array = Any
LEAST = 100  # judged rows of either kind, below which nothing is said at all


class Rows(msgspec.Struct, frozen=True):
    """A table with what is known of its rows (n): `places` of their classes, whether `positive`, the numbers of those
    that are `judged`, and their `group` (rows of one group are drawn together)."""

    table: ArrowTable
    places: Array
    positive: Array
    judged: Array
    group: Array


class Game(msgspec.Struct, frozen=True):
    """How sure each model is of each judged row's own label: `target` (n,), `refs` (k, n), all in [0, 1].

    `member` (n,) says whether the target was trained on the row, `row` (n,) its number in its own table, `seen` (k, n)
    whether a reference was; `out` (k, n) are the references that the row is compared with.
    """

    target: Array
    refs: Array
    member: Array
    row: Array
    seen: Array
    out: Array

    def placebo(self, k: int) -> Game:
        """A game against reference `k`, with training rows that it did *not* see in the members' place.

        The other references answer for it, its complement aside (none are left of two). Only a difference between the
        two tables can tell these rows apart.
        """
        return self._against(k, ~self.seen[k], self.member)

    def rehearsal(self, k: int) -> Game:
        """A game against reference `k` on training rows alone, half of which it saw: no two tables, nothing to fake."""
        return self._against(k, self.member, self.seen[k])

    def only(self, rows: Array) -> Game:
        """The game of the chosen rows (n,), bool."""
        return Game(
            self.target[rows], self.refs[:, rows], self.member[rows], self.row[rows], self.seen[:, rows],
            self.out[:, rows],
        )  # fmt: skip

    def _against(self, k: int, rows: Array, member: Array) -> Game:
        rest = [i for i in range(len(self.refs)) if i // 2 != k // 2]
        return Game(
            self.refs[k][rows], self.refs[rest][:, rows], member[rows], self.row[rows], self.seen[rest][:, rows],
            self.out[rest][:, rows],
        )  # fmt: skip


def play(
    model: Predictor, recipe: Recipe, train: Rows, other: Rows, *, references: int, seed: int,
    progress: Progress = silent,
) -> Game:  # fmt: skip
    """Train `references` (even) models and ask all of the judged rows of `train` and `other`.

    Raises CouldNotLook for too few judged rows, a constant model, or what the recipe and the models raise.
    """
    few = [(len(rows.judged), what) for rows, what in ((train, "training"), (other, "holdout"))]
    for count, what in few:
        if count < LEAST:
            raise CouldNotLook(f"{count} {what} rows have no twin and could be judged: at least {LEAST} are needed")
    m, n = len(train.judged), len(other.judged)
    positive = np.concatenate([train.positive[train.judged], other.positive[other.judged]])
    rows = (train.table.take(train.judged), other.table.take(other.judged))
    target = _asked(model, rows)
    if np.ptp(target) == 0:
        raise CouldNotLook("the model gives every row the same score: there is nothing to remember by")
    rng = np.random.default_rng([seed, 11])
    seen, refs = np.zeros((references, m + n), dtype=bool), np.empty((references, m + n))
    names = np.unique(train.group, return_inverse=True)[1].ravel()
    for k in range(references):
        if k % 2 == 0:
            first = rng.permutation(names.max() + 1) % 2 == 0
        half = np.flatnonzero(first[names] == (k % 2 == 0))
        seen[k, :m] = np.isin(train.judged, half)
        progress(k, references, "reference models trained")
        reference = recipe.train(train.table.take(half), train.places[half], seed=int(rng.integers(1 << 31)))
        try:
            refs[k] = _asked(reference, rows)
        finally:
            reference.close()
    progress(references, references, "reference models trained")
    out = ~seen
    drawn = rng.integers(2, size=(references // 2, n)).astype(bool)
    out[0::2, m:], out[1::2, m:] = drawn, ~drawn
    own = np.where(positive, 1.0, -1.0)
    member = np.arange(m + n) < m
    return Game(
        _own(target, own), _own(refs, own), member, np.concatenate([train.judged, other.judged]), seen, out
    )  # fmt: skip


def _asked(model: Predictor, rows: tuple[ArrowTable, ArrowTable]) -> Array:
    scores = np.concatenate([model.scores(part) for part in rows])
    if not np.isfinite(scores).all():
        raise CouldNotLook(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are no finite numbers")
    return scores


def _own(scores: Array, own: Array) -> Array:
    """How sure scores are of a row's own label, +1 or -1; margins through the logistic function."""
    if scores.min() < 0 or scores.max() > 1:
        return 1 / (1 + np.exp(-np.clip(own * scores, -500, 500)))
    return np.where(own > 0, scores, 1 - scores)
