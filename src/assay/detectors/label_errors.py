"""Labels that contradict the rest of the data: how strongly, in which direction, and whether they come in a batch."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from scipy import special, stats

from assay.stats.classifier import average_precision
from assay.stats.intervals import exact

Array = Any
LEAST_ROWS = 200
LEAST_CLASS = 20
LEAST_BATCHES = 4
LEAST_CLEAR = 5
LEAST_EXCESS = 0.05
LEVELS = 5
SPREAD = 0.75  # honest batches seldom differ by more than this, in logits


class Direction(msgspec.Struct, frozen=True):
    """One direction of flipping (a label that says `is_` where the rest says the other).

    `share` is the mixture proportion: how much of this class could come from the other one, at most, with its 95%
    interval, whose lower end is the lesser of both halves' (see `direction`); `rows` the suspicious rows, strongest
    first; `count` how many.
    """

    is_: bool
    share: float
    low: float
    high: float
    rows: Array


class Batch(msgspec.Struct, frozen=True):
    """A batch that is unlike the rest: its name, its clear rows (each distinct row once), how many of those have the
    label that they do not look like, the share expected from the other batches, and the p-value after correction."""

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
    at a threshold chosen on the other half of the rows, so that choosing does not bias it. It is exact given how many
    rows lie beyond the threshold (Clopper and Pearson 1934 on the split between the classes). The halves then change
    places, and the lower end is the lesser of both: scores of trees are noisy in the tails, and one half that happens
    to choose a lenient threshold would call hard rows mislabelled.
    """
    toward = probability if not is_ else 1 - probability
    mine, other = toward[target == is_], toward[target != is_]
    rng = np.random.default_rng(seed)
    half_mine, half_other = rng.random(len(mine)) < 0.5, rng.random(len(other)) < 0.5
    threshold = _best_threshold(mine[half_mine], other[half_other])
    a, b = mine[~half_mine], other[~half_other]
    hits, base = int((a >= threshold).sum()), max(1, int((b >= threshold).sum()))
    sizes = max(1, len(b)) / max(1, len(a))
    share = hits / base * sizes
    low, high = _ratio(hits, base)
    swapped = _best_threshold(a, b)
    hits, base = int((mine[half_mine] >= swapped).sum()), max(1, int((other[half_other] >= swapped).sum()))
    low = min(low * sizes, _ratio(hits, base)[0] * max(1, half_other.sum()) / max(1, half_mine.sum()), share)
    count = round(min(1.0, share) * len(mine))
    order = np.flatnonzero(target == is_)[np.argsort(-mine, kind="stable")]
    return Direction(
        is_=is_, share=min(1.0, share), low=float(min(1.0, low)), high=min(1.0, high * sizes), rows=order[:count]
    )


def _ratio(first: int, second: int) -> tuple[float, float]:
    """95% interval of the ratio of two rates from their counts, by the share of the first in both."""
    low, high = exact(first, first + second)
    return low / (1 - low), high / (1 - high)


def _best_threshold(mine: Array, other: Array, least: int = 30) -> float:
    candidates = np.quantile(other, np.linspace(0.5, max(0.5, 1 - least / max(least, len(other))), 40))
    ratios = [((mine >= t).mean() + 1 / max(1, len(mine))) / max((other >= t).mean(), 1e-9) for t in candidates]
    return float(candidates[int(np.argmin(ratios))])


def separation(probability: Array, target: Array, aside: Array) -> float:
    """How well the scores tell the classes apart once the rows `aside` are left out: the lesser of the two classes'
    precision-recall areas, 0 where a class has no row left.

    An ROC area is not enough: of a rare class it is high even where most of what looks like it is not.
    """
    kept = np.ones(len(target), dtype=bool)
    kept[aside] = False
    scores, truth = probability[kept], target[kept]
    if truth.all() or not truth.any():
        return 0.0
    return float(min(average_precision(scores, truth), average_precision(1 - scores, ~truth)))


def unlike_batches(
    probability: Array, target: Array, batches: Array, names: tuple[str, ...], alpha: float = 0.01, groups: Array = None
) -> tuple[Batch, ...]:
    """Batches whose labels contradict the rest more than chance and honest differences between batches explain.

    Each direction is judged apart, on its clear rows: those that look so much like the other class that few honest
    labels contradict it. `groups` numbers rows, the same for identical ones: a row and its copies in a batch count
    once. A batch's contradicting rows follow a beta-binomial law around what the other batches show at the same scores
    (see `_surprise`); a batch is reported if its p-value, Holm-corrected over batches, is at most `alpha` / 2 and its
    share lies at least `LEAST_EXCESS` above the expected one. With clear rows that excess is about the share of flipped
    labels; one in twenty and less is within what honest labellers differ by, and does a model little harm.
    """
    rows, labels = _distinct(target, batches, np.arange(len(target)) if groups is None else groups)
    found = []
    for is_ in (False, True):
        found += _unlike(probability[rows], labels, batches[rows], names, is_, alpha / 2)
    return tuple(sorted(found, key=lambda b: b.p))


def _distinct(target: Array, batches: Array, groups: Array) -> tuple[Array, Array]:
    """(one row of each group in each batch, what most of its copies there are labelled)."""
    key = groups.astype(np.int64) * (int(batches.max()) + 1) + batches
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    share = np.bincount(inverse.ravel(), weights=target) / np.bincount(inverse.ravel())
    return first, np.where(share == 0.5, target[first], share > 0.5)


def _unlike(
    probability: Array, target: Array, batches: Array, names: tuple[str, ...], is_: bool, alpha: float
) -> list[Batch]:
    toward = probability if not is_ else 1 - probability
    clear = toward >= _clear_from(toward, target, is_, len(names))
    edges = np.quantile(toward[clear], np.linspace(0, 1, LEVELS + 1)[1:-1])
    cell = batches * LEVELS + np.digitize(toward, edges)
    shape = (len(names), LEVELS)
    size, hits = (
        np.bincount(cell[part], minlength=shape[0] * shape[1]).reshape(shape).astype(float)
        for part in (clear, clear & (target == is_))
    )
    usable = np.flatnonzero(size.sum(axis=1) >= LEAST_CLEAR)
    if len(usable) < LEAST_BATCHES:
        return []
    judged = [_surprise(size, hits, int(b), usable[usable != b]) for b in usable]
    order = np.argsort([p for p, _ in judged])
    found = []
    for place, i in enumerate(order):
        p, expected = judged[i]
        corrected = p * (len(order) - place)
        if corrected > alpha:
            break
        n, k = size[usable[i]].sum(), hits[usable[i]].sum()
        if k / n - expected >= LEAST_EXCESS:
            found.append(Batch(names[usable[i]], int(n), int(k), expected, corrected))
    return found


def _clear_from(toward: Array, target: Array, is_: bool, batches: int) -> float:
    """The threshold from which rows count as clear: where flips in one batch would stand out most.

    A stricter one leaves fewer rows and fewer honest contradictions. It is chosen by what all batches show together, so
    that no batch chooses its own.
    """
    best, chosen = -1.0, 0.0
    for share in (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9):
        threshold = float(np.quantile(toward[target != is_], share))
        clear = toward >= threshold
        n = clear.sum() / batches
        rate = (float((target[clear] == is_).sum()) + 0.5) / (float(clear.sum()) + 1)
        noise = (
            rate * (1 - rate) / n + (0.5 * rate * (1 - rate)) ** 2
        )  # chance, and batches that differ by half a logit
        gain = max(0.0, 1 - 2 * rate) / np.sqrt(noise)
        if gain > best and (best < 0 or n >= 2 * LEAST_CLEAR):
            best, chosen = gain, threshold
    return chosen


def _surprise(size: Array, hits: Array, batch: int, others: Array) -> tuple[float, float]:
    """(how likely so many contradicting rows are if the batch is like the others, the share that is expected).

    `size` and `hits` are (batches, levels of score). Expected shares come from the other batches at the same scores.
    Batches honestly differ: the logit of their share has a standard deviation, learned from the other batches alone
    (each against the rest of them), with a half-normal prior of `SPREAD`. The tail probability is averaged over what
    they leave possible, because few batches leave much: to plug in the likeliest value doubles the false alarms.
    """
    total, known = size.sum(axis=0) - size[batch], hits.sum(axis=0) - hits[batch]
    here = _shares(size[batch], known, total)
    there = _shares(size[others], known - hits[others], total - size[others])
    n, k = size[others].sum(axis=1), hits[others].sum(axis=1)
    deviation = np.linspace(0, 4 * SPREAD, 31)[:, None]
    weight = _beta_binomial(n, k, there, deviation, total.sum() - n).sum(axis=1) - deviation[:, 0] ** 2 / 2 / SPREAD**2
    weight = np.exp(weight - weight.max())
    n_here = size[batch].sum()
    most = np.arange(hits[batch].sum(), n_here + 1)
    tail = np.exp(_beta_binomial(n_here, most, here, deviation, total.sum())).sum(axis=1)
    return min(1.0, float((weight * tail).sum() / weight.sum())), float(here)


def _shares(size: Array, hits: Array, total: Array) -> Array:
    """The share expected of rows with these scores, from counts elsewhere; shape of `size` without its last axis."""
    return (size * (hits + 0.5) / (total + 1)).sum(axis=-1) / size.sum(axis=-1)


def _beta_binomial(n: Array, k: Array, p: Array, deviation: Array, total: Array) -> Array:
    """Log probability of k of n at share p, whose logit differs between batches by `deviation`, and which was itself
    estimated from `total` rows; binomial in the limit of none and many."""
    spread = p * (1 - p) * deviation**2
    rho = spread / (1 + spread)
    rho = rho + (1 - rho) / (total + 2)
    a, b = p * (1 / rho - 1), (1 - p) * (1 / rho - 1)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return ways + special.betaln(k + a, n - k + b) - special.betaln(a, b)
