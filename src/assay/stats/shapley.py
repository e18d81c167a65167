"""Shapley values of any score by drawn permutations, with their standard errors.

The value of feature j for row x is the mean, over orders in which the features of a background row are replaced by
those of x one after another, of what replacing j changed (interventional, also called marginal: Janzing et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from assay.stats.intervals import t_for

Array = Any
Ask = Callable[[Array, Array, Array], Array]
"""(row (k,), background row (k,), which features are the row's bool (k, d)) -> the score of each mixture (k,)."""
MOST_ASKED = 100_000


class Sampled(NamedTuple):
    """Values and their standard errors, (n, d) each; `total` (n,) is what the values of each row add up to."""

    values: Array
    errors: Array
    total: Array


def sampled(ask: Ask, rows: int, background: int, features: int, *, pairs: int = 8, seed: int = 0) -> Sampled:
    """Shapley values of `rows` rows from `pairs` antithetic pairs of permutations each, every pair from a background
    row of its own drawn from `background`.

    A pair is an order and its reverse (Mitchell et al. 2022), which cancels what is linear in the order; it costs
    2 · `features` answers. The errors are the spread over the pairs (Štrumbelj and Kononenko 2014). Raises ValueError
    for fewer than two pairs or no feature.
    """
    if pairs < 2 or features < 1 or background < 1:
        raise ValueError(f"{pairs} pairs of {features} features over {background} rows")
    rng = np.random.default_rng(seed)
    values, errors, total = np.empty((rows, features)), np.empty((rows, features)), np.empty(rows)
    block = max(1, MOST_ASKED // (pairs * 2 * features))
    for start in range(0, rows, block):
        here = np.arange(start, min(rows, start + block))
        drawn = _pairs(ask, np.repeat(here, pairs), background, features, rng).reshape(len(here), pairs, features)
        values[here] = drawn.mean(axis=1)
        errors[here] = drawn.std(axis=1, ddof=1) / np.sqrt(pairs)
        total[here] = drawn.sum(axis=2).mean(axis=1)
    return Sampled(values, errors, total)


def _pairs(ask: Ask, row: Array, background: int, features: int, rng: np.random.Generator) -> Array:
    """What each feature changed in one order and its reverse, from one drawn background row; (walks, d)."""
    walks = len(row)
    order = np.argsort(rng.random((walks, features)), axis=1)
    place = np.argsort(order, axis=1)  # where each feature stands in the order
    from_row = rng.integers(0, background, walks)
    steps = np.arange(features + 1)
    forth = place[:, None, :] < steps[None, :, None]  # (walks, d + 1, d): nothing replaced, …, everything
    back = (features - 1 - place)[:, None, :] < steps[None, 1:-1, None]  # its ends are those of the way forth
    masks = np.concatenate([forth, back], axis=1)
    asked = masks.shape[1]
    scores = ask(np.repeat(row, asked), np.repeat(from_row, asked), masks.reshape(-1, features)).reshape(walks, asked)
    there = scores[:, : features + 1]
    home = np.concatenate([there[:, :1], scores[:, features + 1 :], there[:, -1:]], axis=1)
    gains = np.empty((walks, features))
    np.put_along_axis(gains, order, np.diff(there, axis=1), axis=1)
    reverse = np.empty((walks, features))
    np.put_along_axis(reverse, order[:, ::-1], np.diff(home, axis=1), axis=1)
    return (gains + reverse) / 2


def rank_agreement(first: Array, second: Array) -> float:
    """The mean over rows of Spearman's correlation of two (n, d) arrays across features; rows without any order are
    left out; 0 where all are."""
    from scipy.stats import rankdata

    a, b = (rankdata(v, axis=1) for v in (first, second))
    a, b = (r - r.mean(axis=1, keepdims=True) for r in (a, b))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    known = size > 0
    return float(((a * b).sum(axis=1)[known] / size[known]).mean()) if known.any() else 0.0


def mean_interval(values: Array, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of a few independent values (n,), Student's t; the mean alone as a point has an endless one."""
    values = np.asarray(values, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, -np.inf, np.inf
    reach = float(t_for(len(values) - 1, level) * values.std(ddof=1) / np.sqrt(len(values)))
    return mean, mean - reach, mean + reach
