"""Performance from counts of scores and labels: where labels come late, and where there are none yet."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.core.profile import Scored

Array = Any
DRAWS = 4000
LEAST_BIN = 10
"""Labelled rows that a bin of scores needs before its rate says anything."""


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
    """From rows that have labels, those of all rows: each bin of scores counts as much as it has rows, so that labels
    that come rather for some scores than for others do not bend the figures. Bins of no labelled row take the pooled
    rate, with its full uncertainty."""
    return _drawn(rows, positives, all_rows, first, seed)


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


def unsupported(reference: Scored, rows: tuple[int, ...]) -> float:
    """The share of new rows whose scores the reference hardly has: what is expected there rests on nothing."""
    thin = np.array(reference.rows) < LEAST_BIN
    total = sum(rows)
    return float(np.array(rows)[thin].sum() / total) if total else 0.0


def same_meaning(reference: Scored, rows: tuple[int, ...], positives: tuple[int, ...]) -> float:
    """The p-value of "the same score means the same chance as in the reference", from labels that came later.

    Per bin the split of positives between both tables is hypergeometric; the squared deviations are summed over bins
    (Mantel and Haenszel 1959 without their common direction; chi-square with one degree of freedom a bin).
    """
    from scipy.special import gammaincc

    seen, bins = 0.0, 0
    for n1, k1, n2, k2 in zip(reference.rows, reference.positives, rows, positives, strict=True):
        total, hits = n1 + n2, k1 + k2
        if min(n1, n2) < LEAST_BIN or not 0 < hits < total:
            continue
        variance = n1 * n2 * hits * (total - hits) / (total * total * (total - 1))
        if variance >= 0.5:
            seen += (k2 - hits * n2 / total) ** 2 / variance
            bins += 1
    return float(gammaincc(bins / 2, seen / 2)) if bins else 1.0
