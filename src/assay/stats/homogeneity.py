"""Whether two samples, counted in the same bins, can be from one population: a p-value, and how far apart they are.

Rows are taken as exchangeable. Counts are int arrays of shape (b,): the same bins in the same order for both samples.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

Array = Any
LEAST = 5.0
"""Rows that each merged bin is expected to hold in the smaller sample (Cochran 1954)."""
DRAWS = 200_000
_CELLS = 1 << 22
_DOUBTFUL, _CERTAIN = 0.02, 1e-9


class Homogeneity(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison: the p-value, the effect with its 95% interval, and how many bins were left after merging.

    The effect is 8 times the squared Hellinger distance of the two distributions over the bins, its expectation without
    any drift taken off (never below 0). For small differences that is the population stability index, whose marks of .1
    and .25 it shares; unlike that it stays finite where a bin is empty on one side (at most 8).
    """

    p: float
    effect: float
    low: float
    high: float
    bins: int


def homogeneity(
    first: Array, second: Array, *, ordered: int = 0, resolution: float = 1e-4, seed: int = 0
) -> Homogeneity:
    """Compare two samples by their counts: `p_value`, and how far apart they are. Raises ValueError as that does."""
    p, bins = p_value(first, second, ordered=ordered, resolution=resolution, seed=seed)
    one, two = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    share = min(one.sum(), two.sum()) / max(1, one.sum() + two.sum())
    rest = _unordered(one[ordered:], two[ordered:], share)
    value, low, high = effect(np.append(one[:ordered], rest[0]), np.append(two[:ordered], rest[1]))
    return Homogeneity(p=p, effect=value, low=low, high=high, bins=bins)


def p_value(
    first: Array, second: Array, *, ordered: int = 0, resolution: float = 1e-4, seed: int = 0
) -> tuple[float, int]:
    """(p-value, bins left after merging) of "one population"; the first `ordered` bins have an order, the others none.

    The p-value is that of Pearson's statistic and, where bins have an order, of the linear trend too (Mann and Whitney
    on bins), Bonferroni over the two. Both are taken given the margins: where the chi-square approximation could
    mislead, the tail is simulated from the multivariate hypergeometric distribution (as many draws as `resolution`,
    the smallest p-value that matters, needs, at most 200,000) and the larger of both counts. With no rows on one side
    or one bin there is nothing to tell: p = 1. Raises ValueError for counts that do not fit each other.
    """
    first, second = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if first.shape != second.shape or first.ndim != 1 or (first < 0).any() or (second < 0).any():
        raise ValueError("counts do not fit each other")
    a, b = merged(first, second, ordered)
    if len(a) < 2:
        return 1.0, len(a)
    p = _pearson(a, b, resolution, seed)
    if ordered > 1:
        p = min(1.0, 2 * min(p, _trend(first[:ordered], second[:ordered])))
    return p, len(a)


def merged(first: Array, second: Array, ordered: int) -> tuple[Array, Array]:
    """The counts with sparse bins joined: ordered ones with the next, others with each other.

    Which bins are joined depends on the sums alone, so that the test stays valid given them.
    """
    rows = first.sum() + second.sum()
    if not rows:
        return first[:0], second[:0]
    total = first + second
    share = min(first.sum(), second.sum()) / rows
    group = np.zeros(len(total), dtype=np.int64)
    current, held = 0, 0.0
    for place in range(ordered):
        if held >= LEAST:
            current, held = current + 1, 0.0
        group[place] = current
        held += total[place] * share
    if ordered and held < LEAST and current:
        group[group == current] = current = current - 1
    start = current + 1 if ordered else 0
    rest = np.arange(ordered, len(total))
    common = rest[total[rest] * share >= LEAST]
    group[common] = start + np.arange(len(common))
    rare = np.setdiff1d(rest, common)
    group[rare] = start + len(common)
    if len(rare) and total[rare].sum() * share < LEAST and start + len(common):
        joined = np.bincount(group, weights=total)[:-1]
        group[rare] = int(np.argmin(np.where(joined > 0, joined, np.inf))) if joined.any() else 0
    size = int(group.max()) + 1
    a = np.bincount(group, weights=first, minlength=size).astype(np.int64)
    b = np.bincount(group, weights=second, minlength=size).astype(np.int64)
    kept = (a + b) > 0
    return a[kept], b[kept]


def _unordered(first: Array, second: Array, share: float) -> tuple[Array, Array]:
    """Bins without an order, the rare ones as one: of values that occur once, all differ by nature."""
    rare = (first + second) * share < LEAST
    a, b = (np.append(side[~rare], side[rare].sum()) for side in (first, second))
    return a, b


def _statistic(b: Array, total: Array, drawn: int) -> Array:
    """Pearson's, over both samples, given the margins: of `drawn` rows out of `total` the bins of `b` (…, bins)."""
    rows = total.sum()
    expected = total * (drawn / rows)
    return ((b - expected) ** 2 / (expected * (1 - drawn / rows))).sum(axis=-1) * ((rows - 1) / rows)


def _pearson(a: Array, b: Array, resolution: float, seed: int) -> float:
    from scipy.special import gammaincc  # the chi-square tail; scipy.stats takes half a second to import

    total, drawn = a + b, int(b.sum())
    seen = float(_statistic(b, total, drawn))
    p = float(gammaincc((len(total) - 1) / 2, seen / 2))
    if not _CERTAIN < p < _DOUBTFUL:
        return p
    draws = int(min(DRAWS, max(2_000, 20 / resolution)))
    generator = np.random.default_rng(seed)
    beyond, left = 0, draws
    while left:
        size = min(left, max(1, _CELLS // len(total)))
        simulated = generator.multivariate_hypergeometric(total, drawn, size=size, method="marginals")
        beyond += int((_statistic(simulated, total, drawn) >= seen - 1e-9).sum())
        left -= size
    return max(p, (beyond + 1) / (draws + 1))


def _trend(first: Array, second: Array) -> float:
    """The two-sided p-value of the difference in mean ridit, given the margins (Bross 1958; Mann and Whitney 1947)."""
    total = first + second
    rows, drawn = int(total.sum()), int(second.sum())
    if not 0 < drawn < rows:
        return 1.0
    score = (np.cumsum(total) - total / 2) / rows
    mean = float((score * total).sum() / rows)
    variance = float(((score - mean) ** 2 * total).sum() / (rows - 1)) * drawn * (rows - drawn) / rows
    if variance <= 0:
        return 1.0
    gap = max(0.0, abs(float((score * second).sum()) - drawn * mean) - 0.5 / rows)
    return math.erfc(gap / math.sqrt(2 * variance))


def effect(first: Array, second: Array) -> tuple[float, float, float]:
    """8 times the squared Hellinger distance less its mean without drift, and a 95% interval; counts in the same bins.

    Times the effective number of rows it follows a noncentral chi-square law whose noncentrality is the effect's; the
    interval inverts that (Freeman and Tukey 1950 for the root). A bin of few rows has less noise than a full one.
    """
    from scipy.special import chndtr

    n1, n2 = int(first.sum()), int(second.sum())
    if not n1 or not n2 or len(first) < 2:
        return 0.0, 0.0, 0.0
    each = 1 / n1 + 1 / n2
    expected = (first + second) * (min(n1, n2) / (n1 + n2))
    freedom = max(1.0, float(np.minimum(1.0, 4 * expected).sum()) - 1)
    value = 8 * max(0.0, 1 - float(np.sqrt((first / n1) * (second / n2)).sum()))
    seen = value / each

    def noncentrality(level: float) -> float:
        """The one at which so much or less would be seen with this chance; 0 where even none gives less."""
        if chndtr(seen, freedom, 0.0) <= level:
            return 0.0
        low, high = 0.0, 4 * (seen + 10 + 10 * math.sqrt(seen + freedom))
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if chndtr(seen, freedom, middle) > level else (low, middle)
        return high

    moved = max(0.0, value - freedom * each)
    low, high = noncentrality(0.975) * each, noncentrality(0.025) * each
    return moved, min(low, moved), min(8.0, max(high, moved))
