"""The classifier two-sample test: can rows of one side be told from the other's? And which of them are mere copies.

A classifier is asked of rows that it never learned from (Lopez-Paz and Oquab 2017). Where rows are copies of each
other a copy that was learned from tells its twin, whatever the sides have to do with each other: so rows of one group
stay together, and of near-copies one is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from assay.stats.classifier import roc_area
from assay.stats.intervals import wilson_rate

Array = Any
FOLDS = 4
NEIGHBOUR, CLOSER = 5, 0.5
MOST_COLUMNS = 64


class Rate(msgspec.Struct, frozen=True):
    """A rate, or an area under a ROC curve, with its 95% interval, of `n`."""

    value: float
    low: float
    high: float
    n: int


def dealt(side: Array, groups: Array | None, folds: int, seed: int) -> Array:
    """A fold for each row, shape (n,): as many of each of the sides (n,) bool in each, rows of one of `groups` (n,)
    together (a group of both sides goes with the side True)."""
    rng = np.random.default_rng([seed, 6])
    _, group = np.unique(np.arange(len(side)) if groups is None else groups, return_inverse=True)
    size = int(group.max(initial=-1)) + 1
    of = np.bincount(group, weights=side, minlength=size) > 0
    fold = np.empty(size, dtype=int)
    for value in (False, True):
        members = np.flatnonzero(of == value)
        fold[rng.permutation(members)] = np.arange(len(members)) % folds
    return fold[group]


def told_apart(side: Array, learner: Callable[[Array, Array], Array], seed: int, groups: Array | None = None) -> Array:
    """Scores of the rows by classifiers that learned of other groups which rows are of the side True; shape (n,).

    `learner(learn, ask)`, both positions of rows, gives the scores of the rows `ask`.
    """
    fold_of = dealt(side, groups, FOLDS, seed)
    out = np.zeros(len(side))
    for fold in range(FOLDS):
        learn, ask = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(ask) and len(np.unique(side[learn])) == 2:
            out[ask] = learner(learn, ask)
    return out


def area_of(scores: Array, side: Array, groups: Array | None = None) -> Rate:
    """The area under the ROC curve of scores of the rows `side` (n,) bool against the others.

    Its interval counts as many draws as the side of fewer groups has.
    """
    known = np.arange(len(side)) if groups is None else groups
    few = min(len(np.unique(known[side])), len(np.unique(known[~side])))
    if not few:
        return Rate(float("nan"), 0.0, 1.0, 0)
    area = roc_area(scores, side)
    low, high = wilson_rate(area, 2 * few)
    return Rate(area, low, high, few)


def copies(distance: Array, side: Array) -> Array:
    """A number per row, the same for near-copies, directly or through others; shape (n,).

    `distance` (n, n). Two rows are near-copies where they are less than half as far from each other as each is from its
    fifth neighbour among the rows of the side False (of those that are not the row itself). So what is near is measured
    by how dense the other side is there: rows that are the same because many are tell nothing, and are no copies.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(side)
    others = np.flatnonzero(~side)
    if len(others) <= NEIGHBOUR:
        return np.arange(n)
    far = np.empty(n, dtype=distance.dtype)
    far[side] = np.partition(distance[np.ix_(side, ~side)], NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1]
    far[others] = np.partition(distance[np.ix_(~side, ~side)], NEIGHBOUR, axis=1)[:, NEIGHBOUR]  # the least is its own
    left, right = np.nonzero(distance < CLOSER * far[:, None])
    both = distance[left, right] < CLOSER * far[right]
    graph = coo_array((np.ones(int(both.sum())), (left[both], right[both])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def first_of_each(groups: Array, side: Array) -> Array:
    """The positions of the first row of each group on each side, sorted."""
    _, first = np.unique(2 * groups.astype(np.int64) + side, return_index=True)
    return np.sort(first)


def distances(matrix: Array, coded: list[int], seed: int) -> Array:
    """How far rows (n, d) are from each other, shape (n, n): numbers by spreads of their column, which is cut at its
    outer hundredths, other categories and missing values by 1; of more than 64 columns by as many drawn ones."""
    from scipy.spatial.distance import cdist

    chosen = np.sort(np.random.default_rng([seed, 7]).permutation(matrix.shape[1])[:MOST_COLUMNS])
    is_coded = np.isin(chosen, coded)
    numbers, words = matrix[:, chosen[~is_coded]], matrix[:, chosen[is_coded]]
    missing = np.isnan(numbers)
    out = np.zeros((len(matrix), len(matrix)))
    if words.shape[1]:
        out += cdist(np.nan_to_num(words, nan=-1.0), np.nan_to_num(words, nan=-1.0), "hamming") * words.shape[1]
    if numbers.shape[1]:
        scaled = np.column_stack([_scaled(column) for column in numbers.T])
        out += cdist(scaled, scaled, "cityblock")
    if missing.any():
        lacks = missing[:, missing.any(axis=0)].astype(float)
        out += cdist(lacks, lacks, "cityblock")
    return out


def _scaled(column: Array) -> Array:
    """A column of numbers in spreads of its own, the missing ones in the middle."""
    known = np.isfinite(column)
    if not known.any():
        return np.zeros(len(column))
    low, high = np.quantile(column[known], [0.01, 0.99])
    if low == high:
        low, high = column[known].min(), column[known].max()
    cut = np.clip(np.where(np.isnan(column), np.median(column[known]), column), low, high)
    cut = cut / max(abs(low), abs(high), 1e-300)  # so that huge numbers have a spread
    spread = float(cut.std())
    return (cut - cut.mean()) / spread if spread > 0 else np.zeros(len(column))
