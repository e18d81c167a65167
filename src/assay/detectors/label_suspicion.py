"""Which rows to look at first: one ranking of all labels, the direction of the flips, and how many there can be."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from scipy import special

from assay.adapters.encode import Encoded
from assay.core.protocols import Progress, silent
from assay.detectors.out_of_fold import Learner, out_of_fold

Array = Any
Leaning = Literal["missed", "invented", "both"]
LEAST_TOLD = 500  # rows of the smaller class: with fewer the tails are too thin to tell a direction
LIFT, HARD_LIFT, RATIO = 0.38, 0.1, 0.25  # set on german_credit, spambase, fraud_oracle, adult, first half of uci
SMALL = 5000
BINS, ROWS_A_BIN = 8, 100
_OTHERS: tuple[tuple[Learner, int], ...] = (("slow", 150), ("random", 150), ("large", 250))  # learners and rounds


class Count(msgspec.Struct, frozen=True):
    """How many labels of one direction are wrong (`is_` is what they say): best guess and 95% interval, in rows."""

    is_: bool
    value: float
    low: float
    high: float


class Rates(msgspec.Struct, frozen=True):
    """Class-conditional noise: how often a positive is called negative (`missed`) and a negative positive
    (`invented`), and the counts of both."""

    missed: float
    invented: float
    counts: tuple[Count, Count]


def committee(
    encoded: Encoded, target: Array, first: Array, seed: int, *, entities: Array | None = None,
    progress: Progress = silent,
) -> Array:  # fmt: skip
    """P(positive) of each row by `first` (n,) and trees grown in three other ways, out of fold, weighed by likelihood.

    Tables of fewer than 5,000 rows are dealt into folds three times: there the deal matters more than the learner.
    """
    votes = [[first], [], [], []]
    for turn in range(3 if len(target) < SMALL else 1):
        for place, (learner, rounds) in enumerate(_OTHERS):
            votes[place + 1].append(
                out_of_fold(
                    encoded, target, seed + 50 * place + 7 * turn, entities=entities, rounds=rounds, learner=learner,
                    progress=progress,
                )
            )  # fmt: skip
    return weighed(np.array([np.mean(each, axis=0) for each in votes]), target)


def weighed(votes: Array, target: Array) -> Array:
    """The mixture of `votes` (k, n) under which the labels are likeliest, (n,), by expectation-maximisation, whose
    maximum is the only one (van der Laan et al. 2007: of votes out of fold it does no worse than the best)."""
    given = np.clip(np.where(target, votes, 1 - votes), 1e-6, 1)
    weights = np.full(len(votes), 1 / len(votes))
    for _ in range(200):
        part = weights[:, None] * given
        weights = (part / part.sum(axis=0)).mean(axis=1)
    mixed: Array = weights @ votes
    return mixed


def stacked(
    first: Encoded, second: Encoded, entities: Array | None, others: Array | None = None
) -> tuple[Encoded, Array | None]:
    """Both tables' rows as one, the columns being the same, and the entity of each row by `entities` and `others` (the
    second's): a row alone where a table has none, and none is in both."""
    both = Encoded(
        matrix=np.concatenate([first.matrix, second.matrix]), names=first.names, categorical=first.categorical
    )
    if entities is None and others is None:
        return both, None
    mine, theirs = (
        np.arange(len(one.matrix)) if of is None else np.unique(of, return_inverse=True)[1].ravel()
        for one, of in ((first, entities), (second, others))
    )
    return both, np.concatenate([mine, len(first.matrix) + theirs])


def leaning(probability: Array, target: Array) -> Leaning:
    """Which way labels are flipped: positives called negative ("missed"), the reverse, or not to be told ("both").

    Flips of one class lift the floor that its contradiction does not fall below however sure the scores are (Scott et
    al. 2013), and only that one. A direction is told where the other floor is low on both scales: against how common
    that label is (a lift below 0.38), and against the first floor (below a quarter), one standard error included. Hard
    rows lift floors too, so this says where flips would be, not that there are any; a first floor above one half is
    hardness more than flips, and the other's lift must then be below 0.1. The bounds suit flips of one class in
    twenty rows and more: uniform noise of 1 or 2% on hard rows can pass for flips of one class.
    """
    if min(int(target.sum()), int((~target).sum())) < LEAST_TOLD:
        return "both"
    share = float(target.mean())
    invented, i_error = _floor(probability, target)
    missed, m_error = _floor(-probability, ~target)
    if _low(invented + i_error, share, missed):
        return "missed"
    if _low(missed + m_error, 1 - share, invented):
        return "invented"
    return "both"


def _low(floor: float, share: float, other: float) -> bool:
    return floor < (LIFT if other < 0.5 else HARD_LIFT) * share and floor < RATIO * other


def _floor(toward: Array, said: Array) -> tuple[float, float]:
    """(share of `said` among the tenth of the others' rows that are least like it; its standard error).

    Not continued to fewer rows: where a share bends towards its floor, a line through larger tails misses it.
    """
    order = np.sort(toward[~said])
    tail = toward <= order[int(0.1 * (len(order) - 1))]
    size, share = float(tail.sum()), float(said[tail].mean())
    return share, float(np.sqrt((share * (1 - share) + 1 / size) / size))


def suspicion(probability: Array, target: Array, leans: Leaning, rates: Rates | None = None) -> Array:
    """How suspicious each label is, one ranking of all rows; shape (n,), 0 to 1, higher is worse.

    Where flips go both ways at one rate, ranking by the probability of the given label is the best that can be done:
    the posterior of a flip falls with it, whatever the rate. Where they go one way, rows of that class come first, in
    the order of the same probability, and all others after them. With `rates` it is the posterior P(wrong | row, label)
    under them (Natarajan et al. 2013), made strict by that probability.
    """
    other = np.where(target, 1 - probability, probability)
    if rates is not None:
        room = max(1e-6, 1 - rates.missed - rates.invented)
        true = np.clip((probability - rates.invented) / room, 0, 1)
        given = np.clip(np.where(target, probability, 1 - probability), 1e-9, 1)
        wrong = np.where(target, rates.invented * (1 - true), rates.missed * true) / given
        return 0.999 * np.clip(wrong, 0, 1) + 0.001 * other
    if leans == "both":
        return other
    return np.where(target == (leans == "invented"), 0.5 + 0.5 * other, 0.5 * other)


def trusted_rates(
    probability: Array, target: Array, trusted: Array, truth: Array, worth: tuple[float, float] = (1.0, 1.0)
) -> Rates:
    """Noise rates of labels from rows whose labels are known: `trusted` (m,) scores of them, `truth` (m,) bool.

    At equal scores the share said positive is invented + (1 - invented - missed) times the true one, which trusted
    rows show, hard rows or not. Both rates are those of greatest likelihood over score bins, the true shares profiled
    out; intervals are of profile likelihood (Venzon and Moolgavkar 1988). It holds where trusted rows are drawn like
    the others. `worth` says how many draws one row of the data, and one trusted row, is worth (1 or less, where rows
    are copies or of one entity): the likelihood counts draws, the counts that come back are of rows.
    """
    bins = int(np.clip(len(truth) * worth[1] // ROWS_A_BIN, 2, BINS))
    edges = np.quantile(trusted, np.linspace(0, 1, bins + 1)[1:-1])
    n, k = _counted(np.digitize(probability, edges), target, bins, worth[0])
    m, j = _counted(np.digitize(trusted, edges), truth, bins, worth[1])
    first = second = np.concatenate([[0.0], np.geomspace(0.001, 0.7, 30)])
    fit = _profile(n, k, m, j, first, second)
    near = fit >= fit.max() - 4
    first, second = (_finer(first, near.any(axis=1)), _finer(second, near.any(axis=0)))
    fit = _profile(n, k, m, j, first, second)
    best = np.unravel_index(int(np.argmax(fit)), fit.shape)
    near = fit >= fit[best] - 1.92
    missed, invented = float(first[best[0]]), float(second[best[1]])
    rows, share = len(target), float(target.mean())
    a, b = np.meshgrid(first, second, indexing="ij")
    positives = np.clip((share - b) / np.maximum(1 - a - b, 1e-6), 0, 1) * rows
    held = np.minimum(a * positives, float((~target).sum())), np.minimum(b * (rows - positives), float(target.sum()))
    counts = tuple(
        Count(is_, float(c[best]), float(c[near].min()), float(c[near].max()))
        for is_, c in zip((False, True), held, strict=True)
    )
    return Rates(missed, invented, (counts[0], counts[1]))


def _counted(bin_of: Array, said: Array, bins: int, worth: float) -> tuple[Array, Array]:
    """(the draws in each bin, those of them that are said to be positive)."""
    return worth * np.bincount(bin_of, minlength=bins), worth * np.bincount(bin_of, weights=said, minlength=bins)


def _finer(grid: Array, near: Array) -> Array:
    """41 points over the part of `grid` that is `near`, a step wider on each side."""
    at = np.flatnonzero(near)
    low, high = grid[max(0, at[0] - 1)], grid[min(len(grid) - 1, at[-1] + 1)]
    return np.linspace(low, high, 41)


def _profile(n: Array, k: Array, m: Array, j: Array, first: Array, second: Array) -> Array:
    """Log likelihood at (missed, invented) of `first` x `second`, with the best true share in each bin."""
    true = np.concatenate([np.geomspace(1e-4, 0.02, 12), np.linspace(0.03, 0.97, 60), 1 - np.geomspace(0.02, 1e-4, 12)])
    known = special.xlogy(j[:, None], true) + special.xlogy((m - j)[:, None], 1 - true)
    fit = np.full((len(first), len(second)), -np.inf)
    for x, missed in enumerate(first):
        for y, invented in enumerate(second):
            if missed + invented < 0.9:
                said = invented + (1 - missed - invented) * true
                whole = known + special.xlogy(k[:, None], said) + special.xlogy((n - k)[:, None], 1 - said)
                fit[x, y] = whole.max(axis=1).sum()
    return fit
