"""Values that are odd in their own column: far outside where the others lie, or levels that hardly occur."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import Encoded

Array = Any
EDGE = 0.02  # so much of a column on each side may be what it likes
LEAST_ROWS = 50
FAR, CERTAIN = 10.0, 1e6  # ranges of the rest that a gap must be wide; what a far number scores above all others


class Odd(msgspec.Struct, frozen=True):
    """How odd each row's oddest value is, higher is worse (`score`, (rows,)), the position of its column (`column`,
    (rows,)), and which rows hold a number with a gap of more than `FAR` ranges of the rest before it (`far`)."""

    score: Array
    column: Array
    far: Array


def oddness(encoded: Encoded) -> Odd:
    """Look at each column by itself.

    A number's oddness is how far it lies outside the middle 96% of its column, in widths of that middle, on a scale
    that shrinks long tails (inverse hyperbolic sine of the distance from the median over the quartiles' spread; Johnson
    1949). A level's is how rare it is: the logarithm of how many rows an even share would be, over how many it has. The
    row's is that of its oddest value.
    """
    rows, width = encoded.matrix.shape
    score, column, far = np.zeros(rows), np.zeros(rows, dtype=int), np.zeros(rows, dtype=bool)
    for place in range(width):
        values = encoded.matrix[:, place]
        if place in encoded.categorical:
            odd, away = _rare(values), np.zeros(rows, dtype=bool)
        else:
            odd, away = _outside(values)
            odd = odd + CERTAIN * away
        column = np.where(odd > score, place, column)
        score = np.maximum(score, odd)
        far |= away
    return Odd(score, column, far)


def _rare(values: Array) -> Array:
    present = ~np.isnan(values)
    levels, inverse, size = np.unique(values[present], return_inverse=True, return_counts=True)
    odd = np.zeros(len(values))
    if len(levels) > 1:
        even = present.sum() / len(levels)
        odd[present] = np.log1p(np.maximum(0, np.log2(even / size)))[inverse] / 4
    return odd


def _outside(values: Array) -> tuple[Array, Array]:
    """(oddness of each number, which lie far away with nothing between)."""
    odd, away = np.zeros(len(values)), np.zeros(len(values), dtype=bool)
    usable = np.isfinite(values)
    some = values[usable]
    if len(some) < LEAST_ROWS:
        return odd, away
    with np.errstate(all="ignore"):
        middle = np.median(some)
        spread = np.subtract(*np.quantile(some, [0.75, 0.25])) or np.subtract(*np.quantile(some, [1 - EDGE, EDGE]))
        if not np.isfinite(spread) or spread <= 0:
            spread = np.abs(some).max() / 100 or 1.0
        shrunk = np.arcsinh((some - middle) / spread)
        low, high = np.quantile(shrunk, [EDGE, 1 - EDGE])
        wide = max(high - low, 1e-3)
        odd[usable] = np.nan_to_num(np.maximum(0, np.maximum(low - shrunk, shrunk - high)) / wide)
        away[usable] = _cut_off(some, spread)
    return odd, away | np.isinf(values)


def _cut_off(some: Array, spread: float) -> Array:
    """Which numbers lie beyond a gap of `FAR` times the range of all on its other side: 1% of the rows at most, else
    they are a law of their own. Long tails thin out, they leave no such gap. Where all others are one number there is
    no range: its own size is the measure, and beside a column of zeros nothing is far, for a rare flag is no outlier.
    """
    order = np.argsort(some, kind="stable")
    ranked = some[order]
    most = max(1, int(EDGE * len(some) / 2))
    out = np.zeros(len(some), dtype=bool)
    gaps = np.diff(ranked)
    above = np.arange(len(some) - most, len(some))
    held = _held(ranked[above - 1] - ranked[0], ranked[0], spread)
    hits = above[gaps[above - 1] > FAR * held]
    if len(hits):
        out[order[hits[0] :]] = True
    below = np.arange(most)
    held = _held(ranked[-1] - ranked[below + 1], ranked[-1], spread)
    hits = below[gaps[below] > FAR * held]
    if len(hits):
        out[order[: hits[-1] + 1]] = True
    return out


def _held(wide: Array, one: float, spread: float) -> Array:
    """The range that the rest holds, `wide` (n,); where it is `one` number throughout, the size of that number."""
    return np.where(wide > 0, np.maximum(wide, spread), abs(one) or np.inf)
