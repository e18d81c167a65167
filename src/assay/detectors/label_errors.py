"""Labels that contradict the rest of the data: how strongly, in which direction, and whether they come in a batch."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from scipy import stats

from assay.stats.intervals import wilson

Array = Any
LEAST_ROWS = 200
LEAST_CLASS = 20


class Direction(msgspec.Struct, frozen=True):
    """One direction of flipping (a label that says `is_` where the rest says the other).

    `share` is the mixture proportion: how much of this class could come from the other one, at most, with its 95%
    interval; `rows` the suspicious rows, strongest first; `count` how many.
    """

    is_: bool
    share: float
    low: float
    high: float
    rows: Array


class Batch(msgspec.Struct, frozen=True):
    """A batch that is unlike the rest: its name, rows, suspicious rows, and the p-value after correction."""

    name: str
    rows: int
    suspicious: int
    elsewhere: float
    p: float


def contradiction(probability: Array, target: Array) -> Array:
    """How strongly each label is contradicted, ranked inside its class: 0 (agrees most) to 1; shape (n,).

    Ranking inside the class keeps a rare class from drowning: in 6% positives a plain probability puts every positive
    first.
    """
    other = np.where(target, 1 - probability, probability)
    score = np.zeros(len(target))
    for value in (False, True):
        part = target == value
        size = int(part.sum())
        if size > 1:
            score[part] = (stats.rankdata(other[part], method="average") - 1) / (size - 1)
    return score


def direction(probability: Array, target: Array, is_: bool, seed: int) -> Direction:
    """How much of one class looks like the other (mixture proportion, Blanchard et al. 2010).

    The share is the smallest ratio, over thresholds, of the two classes' tails: if nothing were mixed the ratio would
    fall to 0 in the far tail. Thresholds need 30 rows of the other class beyond them; the interval is that of the ratio
    at a threshold chosen on the other half of the rows, so that choosing does not bias it.
    """
    toward = probability if not is_ else 1 - probability
    mine, other = toward[target == is_], toward[target != is_]
    rng = np.random.default_rng(seed)
    half_mine, half_other = rng.random(len(mine)) < 0.5, rng.random(len(other)) < 0.5
    threshold = _best_threshold(mine[half_mine], other[half_other])
    a, b = mine[~half_mine], other[~half_other]
    hits, base = int((a >= threshold).sum()), max(1, int((b >= threshold).sum()))
    low, high = wilson(hits, max(1, len(a)))
    tail = base / max(1, len(b))
    share = hits / max(1, len(a)) / tail
    count = round(min(1.0, share) * len(mine))
    order = np.flatnonzero(target == is_)[np.argsort(-mine, kind="stable")]
    return Direction(
        is_=is_, share=min(1.0, share), low=min(1.0, low / tail), high=min(1.0, high / tail), rows=order[:count]
    )


def _best_threshold(mine: Array, other: Array, least: int = 30) -> float:
    candidates = np.quantile(other, np.linspace(0.5, max(0.5, 1 - least / max(least, len(other))), 40))
    ratios = [((mine >= t).mean() + 1 / max(1, len(mine))) / max((other >= t).mean(), 1e-9) for t in candidates]
    return float(candidates[int(np.argmin(ratios))])


def unlike_batches(
    probability: Array, target: Array, batches: Array, names: tuple[str, ...], alpha: float = 0.01
) -> tuple[Batch, ...]:
    """Batches whose labels contradict the rest more than chance and the drift between batches explain.

    A suspicious row is contradicted at least as strongly as the strongest 5% of its class. Its share in each batch,
    given the batch's scores, is compared with all other batches; overdispersion between batches (drift) is estimated
    robustly and widens the test; Holm's correction over batches holds the family-wise error at `alpha`.
    """
    found = []
    for is_ in (False, True):
        found += _unlike(probability, target, batches, names, is_, alpha / 2)
    return tuple(sorted(found, key=lambda b: b.p))


def _unlike(
    probability: Array, target: Array, batches: Array, names: tuple[str, ...], is_: bool, alpha: float
) -> list[Batch]:
    toward = probability if not is_ else 1 - probability
    confident = toward >= np.quantile(toward[target != is_], 0.25)  # rows that look like the other class
    said = (target == is_) & confident
    size = np.bincount(batches[confident], minlength=len(names)).astype(float)
    hits = np.bincount(batches[said], minlength=len(names)).astype(float)
    usable = np.flatnonzero(size >= 5)
    if len(usable) < 4:
        return []
    expected = _expected(confident, said, toward, batches, len(names))
    variance = np.maximum(expected * (1 - expected / np.maximum(size, 1)), 0.25)
    z = (hits - expected) / np.sqrt(variance)
    spread = max(1.0, float(np.median(np.abs(z[usable]))) / 0.6745)
    p = stats.t.sf(z[usable] / spread, df=max(3, len(usable) - 1))
    order = np.argsort(p)
    found = []
    for place, i in enumerate(order):
        corrected = float(p[i] * (len(order) - place))
        if corrected > alpha:
            break
        batch = usable[i]
        rest = (hits.sum() - hits[batch]) / max(1.0, size.sum() - size[batch])
        found.append(Batch(names[batch], int(size[batch]), int(hits[batch]), float(rest), corrected))
    return found


def _expected(confident: Array, said: Array, toward: Array, batches: Array, count: int) -> Array:
    """Expected suspicious rows of each batch from the rate at the same score in all *other* batches."""
    edges = np.quantile(toward[confident], np.linspace(0, 1, 6)[1:-1])
    level = np.digitize(toward, edges)
    expected = np.zeros(count)
    for value in range(len(edges) + 1):
        part = confident & (level == value)
        n = np.bincount(batches[part], minlength=count).astype(float)
        k = np.bincount(batches[part & said], minlength=count).astype(float)
        rest = np.maximum(n.sum() - n, 1.0)
        expected += n * (k.sum() - k + 0.5) / (rest + 1.0)
    return expected
