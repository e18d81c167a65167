"""How good scores are: precision-recall area, calibration and their bootstrap; weighted, so resamples are cheap.

Arrays: `scores` float64 (n,), `target` bool (n,), `weights` float64 (n,) or (b, n) for b resamples at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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


def calibration_error(scores: Array, target: Array, bins: int = 10) -> float:
    """Expected calibration error over equally filled bins, each bin's noise subtracted in the square.

    The plain estimate is biased upwards: a perfect model of few rows looks miscalibrated. The variance of each bin's
    rate is subtracted (Bröcker 2012; Roelofs et al. 2022), never below 0.
    """
    mean, rate, _, count = calibration(scores, target, bins)
    excess = (mean - rate) ** 2 - rate * (1 - rate) / np.maximum(count - 1, 1)
    return float((np.sqrt(np.maximum(excess, 0.0)) * count).sum() / count.sum())


def bootstrap_weights(target: Array, draws: int, seed: int) -> Array:
    """Multinomial resample weights within each class, shape (draws, n): both classes keep their size."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(target)))
    for part in (np.flatnonzero(target), np.flatnonzero(~target)):
        if len(part):
            weights[:, part] = rng.multinomial(len(part), np.full(len(part), 1 / len(part)), size=draws)
    return weights


def bootstrap_interval(statistic: Any, target: Array, seed: int, draws: int = 1000, level: float = 0.95) -> Any:
    """(low, high) percentile interval of `statistic(weights (b, n)) -> (b,)` over class-wise resamples, in blocks."""
    block = max(1, min(draws, MAX_CELLS // max(1, len(target))))
    values = []
    done = 0
    while done < draws:
        count = min(block, draws - done)
        values.append(statistic(bootstrap_weights(target, count, seed + done)))
        done += count
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)
