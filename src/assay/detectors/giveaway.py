"""How well each column alone predicts the label: a sign that it was written after the fact."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import Encoded
from assay.core.protocols import Progress, silent
from assay.detectors.out_of_fold import row_groups
from assay.stats.classifier import roc_area
from assay.stats.intervals import z_for

Array = Any
LEAST_CLASS = 20
BINS = 64


class Giveaway(msgspec.Struct, frozen=True):
    """A column and the area under the ROC curve of its out-of-fold ranking, with its 95% interval."""

    column: str
    area: float
    low: float
    high: float


def giveaways(encoded: Encoded, target: Array, seed: int, progress: Progress = silent) -> tuple[Giveaway, ...]:
    """Every column's area, strongest first."""
    rng = np.random.default_rng(seed)
    groups = row_groups(encoded.matrix)  # identical rows share a fold, or a copy would vouch for its twin
    _, first = np.unique(groups, return_index=True)
    fold_of = (rng.permutation(len(first)) % 5)[groups]
    positives = max(1, int(target[first].sum()))
    negatives = max(1, len(first) - positives)
    found = []
    for place, name in enumerate(encoded.names):
        progress(place, len(encoded.names), name)
        codes = _bins(encoded.matrix[:, place], place in encoded.categorical)
        area = roc_area(_rates(codes, target, fold_of), target)
        low, high = _interval(area, positives, negatives)
        found.append(Giveaway(name, area, low, high))
    return tuple(sorted(found, key=lambda g: -g.area))


def _bins(values: Array, categorical: bool) -> Array:
    """Small integers: categories as they are, numbers by quantile; NaN has a bin of its own (0)."""
    missing = np.isnan(values)
    codes = np.zeros(len(values), dtype=int)
    known = values[~missing]
    if len(known):
        if categorical:
            _, codes[~missing] = np.unique(known, return_inverse=True)
        else:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
            codes[~missing] = np.searchsorted(edges, known, side="left")
        codes[~missing] += 1
    return codes


def _rates(codes: Array, target: Array, fold_of: Array) -> Array:
    """The positive rate of each row's bin in the other folds, shrunk to the whole: a key of one row learns nothing."""
    size = int(codes.max()) + 1
    rates = np.zeros(len(target))
    for fold in range(5):
        rest, here = fold_of != fold, fold_of == fold
        base = target[rest].mean()
        n = np.bincount(codes[rest], minlength=size)
        k = np.bincount(codes[rest], weights=target[rest].astype(float), minlength=size)
        rates[here] = ((k + 2 * base) / (n + 2))[codes[here]]
    return rates


def _interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """Hanley and McNeil 1982; on the logit scale, so that it stays in (0, 1)."""
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    variance = area * (1 - area) + (positives - 1) * (q1 - area**2) + (negatives - 1) * (q2 - area**2)
    error = math.sqrt(max(variance, 0.25 / (positives * negatives)) / (positives * negatives))
    clipped = min(max(area, 1e-6), 1 - 1e-6)
    logit = math.log(clipped / (1 - clipped))
    step = z_for() * error / max(clipped * (1 - clipped), error)
    low, high = 1 / (1 + math.exp(-(logit - step))), 1 / (1 + math.exp(-(logit + step)))
    return min(area, low), max(area, high)
