"""How good scores are: precision-recall area, calibration and their bootstrap; weighted, so resamples are cheap.

Arrays: `scores` float64 (n,), `target` bool (n,), `weights` float64 (n,) or (b, n) for b resamples at once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from assay.stats.effective import effective_n
from assay.stats.intervals import LEVEL, Interval, recovered, wilson_rate, z_for

Array = Any
MAX_CELLS = 4_000_000


def average_precision(scores: Array, target: Array, weights: Array | None = None) -> Array:
    """Area under the precision-recall curve as average precision, ties counted as one step; shape () or (b,)."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], target[order].astype(float)
    w = np.ones((1, len(order))) if weights is None else np.atleast_2d(weights)[:, order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    true = np.cumsum(w * hits, axis=1)[:, last]
    seen = np.cumsum(w, axis=1)[:, last]
    gained = np.diff(true, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(seen > 0, true / seen, 0.0)
        area = (precision * gained).sum(axis=1) / true[:, -1]
    return area[0] if weights is None or np.ndim(weights) == 1 else area


def roc_area(scores: Array, target: Array) -> float:
    """Area under the ROC curve: how often a positive is ranked above a negative, ties counted half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    positives = int(target.sum())
    negatives = len(target) - positives
    return float((ranks[target].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def curve(scores: Array, target: Array, most: int = 150) -> tuple[Array, Array, Array]:
    """(recall, precision, threshold) at up to `most` thresholds, from strict to lenient."""
    order = np.argsort(-scores, kind="stable")
    ordered, true = scores[order], np.cumsum(target[order])
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    if len(last) > most:
        last = last[np.unique(np.linspace(0, len(last) - 1, most).round().astype(int))]
    return true[last] / max(1, int(target.sum())), true[last] / (last + 1), ordered[last]


def calibration(scores: Array, target: Array, bins: int = 10) -> tuple[Array, Array, Array, Array]:
    """(mean score, rate, lowest score, count) of `bins` equally filled bins."""
    order = np.argsort(scores, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    mean = np.array([scores[p].mean() for p in parts])
    rate = np.array([target[p].mean() for p in parts])
    return mean, rate, np.array([scores[p].min() for p in parts]), np.array([len(p) for p in parts])


def independent(scores: Array, count: Array, groups: Array | None) -> Array:
    """The effective number of rows of each bin of `calibration`, where rows of one of `groups` are one draw."""
    if groups is None:
        return count.astype(float)
    ends = np.cumsum(count)[:-1]
    return np.array([effective_n(part) for part in np.split(groups[np.argsort(scores, kind="stable")], ends)])


def calibration_error(scores: Array, target: Array, bins: int = 10, groups: Array | None = None) -> float:
    """Expected calibration error over equally filled bins, each bin's noise subtracted in the square.

    The plain estimate is biased upwards: a perfect model of few rows looks miscalibrated. The variance of each bin's
    rate is subtracted (Bröcker 2012; Roelofs et al. 2022), never below 0. Rows of the same
    number in `groups` are one draw, so that copies do not pass for less noise.
    """
    mean, rate, _, count = calibration(scores, target, bins)
    excess = (mean - rate) ** 2 - rate * (1 - rate) / np.maximum(independent(scores, count, groups) - 1, 1)
    return float((np.sqrt(np.maximum(excess, 0.0)) * count).sum() / count.sum())


def calibration_bound(
    scores: Array, target: Array, bins: int = 10, level: float = LEVEL, groups: Array | None = None
) -> float:
    """Upper end of the expected calibration error over equally filled bins; at least `level`, one-sided.

    The plain error is never too low on average (noise adds to absolute differences), so it is taken without a
    correction, and the distance to each bin's farther Wilson limit is added in quadrature over bins (method of variance
    estimates recovery, Zou and Donner 2008), which holds where a bin has no positive at all. The spread of the error
    between bins is added for the draw of the rows. Rows of the same number in `groups` are one draw.
    """
    mean, rate, _, count = calibration(scores, target, bins)
    share, alone = count / count.sum(), independent(scores, count, groups)
    limits = np.array([wilson_rate(float(r), float(n), level) for r, n in zip(rate, alone, strict=True)])
    apart = np.abs(mean - rate)
    farther = np.abs(limits - mean[:, None]).max(axis=1) - apart
    error = float((share * apart).sum())
    rows = len(target) if groups is None else effective_n(groups)
    drawn = z_for(level) ** 2 * (float((share * apart**2).sum()) - error**2) / rows
    return min(1.0, error + math.sqrt(float(((share * farther) ** 2).sum()) + max(0.0, drawn)))


def bootstrap_weights(target: Array, draws: int, seed: int, groups: Array | None = None) -> Array:
    """Multinomial resample weights within each class, shape (draws, n): both classes keep their size.

    Rows of the same number in `groups` are drawn together; then both classes keep their number of groups.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(target)))
    for part in (np.flatnonzero(target), np.flatnonzero(~target)):
        if not len(part):
            continue
        drawn = np.arange(len(part)) if groups is None else _by_first(groups[part])
        size = int(drawn.max()) + 1
        weights[:, part] = rng.multinomial(size, np.full(size, 1 / size), size=draws)[:, drawn]
    return weights


def _by_first(groups: Array) -> Array:
    """The groups numbered from 0 by their first row, so that a table without repeats is drawn as without groups."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse.ravel()]


def bootstrap_draws(statistic: Any, target: Array, seed: int, draws: int = 1000, groups: Array | None = None) -> Array:
    """`statistic(weights (b, n)) -> (b, ...)` of `draws` class-wise resamples, in blocks; shape (draws, ...).

    Rows of the same number in `groups` are drawn together.
    """
    block = max(1, min(draws, MAX_CELLS // max(1, len(target))))
    values = []
    done = 0
    while done < draws:
        count = min(block, draws - done)
        values.append(statistic(bootstrap_weights(target, count, seed + done, groups)))
        done += count
    return np.concatenate(values)


def ratio_interval(part: Array, whole: Array, seed: int, draws: int = 1000, level: float = LEVEL) -> Interval:
    """(low, high) of sum(part) / sum(whole) over rows (n,), `whole` >= 0 and not all 0: percentile bootstrap over rows.

    With `whole` all ones it is the interval of a mean. Around the estimate, whatever the resamples say.
    """
    rng = np.random.default_rng(seed)
    value = float(part.sum() / whole.sum())
    weights = rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=draws).astype(float)
    below = weights @ whole
    ratios = (weights @ part)[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), value), max(float(high), value)


def area_interval(area: float, resampled: Array, positives: int, level: float = LEVEL) -> Interval:
    """(low, high) of a precision-recall area from its bootstrap values, around the estimate.

    Normal on the logit scale with the bootstrap's spread (Boyd et al. 2013): the bootstrap's own percentiles sit too
    high, for a positive drawn twice outranks what it is tied with. Where fewer than 5 positives' worth of area is lost
    (or won) resamples see too few of the errors that matter, and Wilson's interval of a rate over the positives is
    taken in as well. Covers .92 or more, .97 on average, from 40 positives on (weak to almost perfect models, the 8
    cells of benchmarks/bench_detectors.py, on which the 5 was chosen: no held-out figure).
    """
    z = z_for(level) * (1 + 1 / positives) * math.sqrt(positives / max(1, positives - 1))
    # Half a positive won and half lost keep the logit finite.
    centre, spread = (_logit((x * positives + 0.5) / (positives + 1)) for x in (np.asarray(area), resampled))
    reach = z * float(np.std(spread))
    low, high = (
        (1 / (1 + math.exp(-float(centre) - side)) * (positives + 1) - 0.5) / positives for side in (-reach, reach)
    )
    if min(area, 1 - area) * positives < 5:
        below, above = wilson_rate(area, positives, level)
        low, high = min(low, below), max(high, above)
    return max(0.0, min(low, area)), min(1.0, max(high, area))


def area_difference(areas: tuple[float, float], resampled: Array, positives: int, level: float = LEVEL) -> Interval:
    """(low, high) of areas[0] − areas[1] on the same rows; `resampled` is (draws, 2), both from the same resamples.

    Each area's own interval, joined by the correlation of the resamples (method of variance estimates recovery).
    """
    intervals = [area_interval(a, resampled[:, i], positives, level) for i, a in enumerate(areas)]
    apart = bool((resampled.std(axis=0) > 1e-9).all())
    rho = float(np.corrcoef(resampled.T)[0, 1]) if apart else 0.0
    return recovered(areas, intervals, rho)


def _logit(share: Array) -> Array:
    return np.log(share / (1 - share))
