"""Performance from counts of scores and labels: where labels come late, and where there are none yet."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.core.profile import Scored
from assay.core.text import visible

Array = Any
DRAWS = 4000
ASSUMED, STRAY = 0.5, 0.01
LEAST_BIN, LEAST_RANGE = 10, 20
"""Rows that a bin of scores needs before its rate says anything; labels that a range of bins is given."""
LEAST_VARIANCE = 2.0
"""Of the positives in a range, before their number is taken for normal."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Recall, precision and accuracy, each (value, low, high) of a 95% interval; NaN where nothing is in them."""

    recall: tuple[float, float, float]
    precision: tuple[float, float, float]
    accuracy: tuple[float, float, float]


def expected(reference: Scored, rows: tuple[int, ...], seed: int = 0) -> Rates:
    """What the scores of new rows let one expect, if the same score still means the same chance of a positive label.

    Each bin's rate is drawn from its posterior (Jeffreys), then the labels of its rows; recall, precision and accuracy
    are those of each draw (Guillory et al. 2021 and Garg et al. 2022 on such estimates and their assumption).
    """
    return _drawn(reference.rows, reference.positives, rows, reference.flagged(), seed)


def observed(
    rows: tuple[int, ...], positives: tuple[int, ...], all_rows: tuple[int, ...], first: int, seed: int = 0
) -> Rates:
    """From rows that have labels, those of all rows: each range of scores counts as much as it has rows, so that labels
    that come rather for some scores than for others do not bend the figures.

    A range is a bin, or neighbouring bins on one side of the threshold that have `LEAST_RANGE` labels together: each
    has a prior of its own, and twenty priors of half a row would drown thirty labels.
    """
    return _drawn(*_ranges(rows, positives, all_rows, first), seed)


def _ranges(
    rows: tuple[int, ...], positives: tuple[int, ...], all_rows: tuple[int, ...], first: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
    """The three counts over ranges instead of bins, and which range is the first at the threshold or above."""
    kept: list[Array] = []
    begun = 0
    for side in (range(first), range(first, len(rows))):
        begun, open_ = len(kept), np.zeros(3, dtype=np.int64)
        for i in side:
            open_ = np.add(open_, (rows[i], positives[i], all_rows[i]))
            if open_[0] >= LEAST_RANGE:
                kept.append(open_)
                open_ = np.zeros(3, dtype=np.int64)
        if len(kept) == begun:
            kept.append(open_)
        else:
            kept[-1] = kept[-1] + open_
    n, k, size = (tuple(int(c[j]) for c in kept) for j in range(3))
    return n, k, size, begun


def _drawn(rows: tuple[int, ...], positives: tuple[int, ...], of: tuple[int, ...], first: int, seed: int) -> Rates:
    generator = np.random.default_rng(seed)
    n, k, size = np.array(rows), np.array(positives), np.array(of)
    rate = generator.beta(k + 0.5, n - k + 0.5, (DRAWS, len(n)))
    yes = generator.binomial(size, rate)
    hits, found = yes[:, first:].sum(axis=1), size[first:].sum()
    right = hits + (size[:first] - yes[:, :first]).sum(axis=1)
    centre = np.divide(k, n, out=np.full(len(n), k.sum() / max(1, n.sum())), where=n > 0) * size
    return Rates(
        recall=_of(centre[first:].sum(), centre.sum(), hits, yes.sum(axis=1)),
        precision=_of(centre[first:].sum(), float(found), hits, np.full(DRAWS, found)),
        accuracy=_of(centre[first:].sum() + (size[:first] - centre[:first]).sum(), size.sum(), right, size.sum()),
    )


def _of(top: float, bottom: float, drawn_top: Array, drawn_bottom: Array) -> tuple[float, float, float]:
    if not bottom:
        return float("nan"), 0.0, 1.0
    ratios = drawn_top / np.maximum(drawn_bottom, 1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    value = float(top / bottom)
    return value, float(min(low, value)), float(max(high, value))


def doubt(reference: Scored, label: str, positive: str) -> str:
    """Why a reference's scores and labels say nothing of recall and precision, "" where they do: the positive value
    never occurs, or all scores are on one side of the threshold.

    A threshold of .5 that is assumed and scores that leave 0..1 may leave a stray row on the other side.
    """
    rows = sum(reference.rows)
    if not rows:
        return ""
    if not sum(reference.positives):
        return f"positive value {visible(positive, 40)!r} never occurs in {visible(label, 60)!r}; set --positive"
    below = sum(reference.rows[: reference.flagged()])
    cuts = [e for e in reference.edges if e != reference.threshold] or list(reference.edges)
    assumed = reference.threshold == ASSUMED and not 0 <= min(cuts) <= max(cuts) <= 1
    if min(below, rows - below) > (STRAY * rows if assumed else 0):
        return ""
    where = "below" if below > rows - below else "above"
    few = "all" if not min(below, rows - below) else f"{max(below, rows - below):,} of {rows:,}"
    told = f" ({ASSUMED:g} is assumed where none is given)" if reference.threshold == ASSUMED else ""
    return (
        f"{few} scores of the reference lie {where} the threshold {reference.threshold:g}{told}: nine in ten are from "
        f"{min(cuts):.3g} to {max(cuts):.3g}; give --threshold"
    )


def unsupported(reference: Scored, rows: tuple[int, ...]) -> float:
    """The share of new rows whose scores the reference hardly has: what is expected there rests on nothing."""
    thin = np.array(reference.rows) < LEAST_BIN
    total = sum(rows)
    return float(np.array(rows)[thin].sum() / total) if total else 0.0


class Meaning(msgspec.Struct, frozen=True):
    """Whether the same score means the same chance: the p-value, and over how many ranges of scores (0: not tested)."""

    p: float
    ranges: int


def same_meaning(reference: Scored, rows: tuple[int, ...], positives: tuple[int, ...]) -> Meaning:
    """Test that "the same score means the same chance as in the reference", from labels that came later.

    Per bin the split of positives between both tables is hypergeometric. Deviations and variances are summed over
    neighbouring bins until the variance is at least 2. Two questions at half the level each: whether all ranges
    together moved one way (Mantel and Haenszel 1959), and whether they moved at all (the squared sums; chi-square with
    one degree of freedom a range). Which scores are labelled does not matter.
    """
    from scipy.special import gammaincc

    seen, ranges, apart, variance = 0.0, 0, 0.0, 0.0
    moved, spread = 0.0, 0.0
    for n1, k1, n2, k2 in zip(reference.rows, reference.positives, rows, positives, strict=True):
        total, hits = n1 + n2, k1 + k2
        if min(n1, n2) and total > 1:
            apart += k2 - hits * n2 / total
            variance += n1 * n2 * hits * (total - hits) / (total * total * (total - 1))
        if variance >= LEAST_VARIANCE:
            moved, spread = moved + apart, spread + variance
            seen, ranges, apart, variance = seen + apart**2 / variance, ranges + 1, 0.0, 0.0
    if not ranges:
        return Meaning(1.0, 0)
    one_way, at_all = gammaincc(0.5, moved**2 / spread / 2), gammaincc(ranges / 2, seen / 2)
    return Meaning(min(1.0, 2 * float(min(one_way, at_all))), ranges)
