"""Who labelled: people whose labels contradict the others', never vary or come too fast, and how far people agree."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from scipy import stats

from assay.adapters.encode import numbers
from assay.adapters.values import listed
from assay.stats.multiple import holm

Array = Any
LEAST = 30
FAST = 1 / 3
LEVELS = 5
DRAWS = 1000


class Annotators(msgspec.Struct, frozen=True):
    """Who labelled each row, as a number into `names`; a row that each labelled stands for the name."""

    codes: Array
    names: tuple[str, ...]


class Odd(msgspec.Struct, frozen=True):
    """An annotator that stands out: who (a number), how many labels, the figure, what the others have, p adjusted."""

    who: int
    rows: int
    here: float
    elsewhere: float
    p: float


class Agreement(msgspec.Struct, frozen=True):
    """Krippendorff's alpha of labels given to the same things, its bootstrap interval, how many things and labels."""

    alpha: float
    low: float
    high: float
    items: int
    labels: int


def annotators_of(column: Any) -> Annotators:
    """Numbers for the values of an Arrow column; people are named by the first row that they labelled.

    Rows without a name, and all of people who labelled fewer than `LEAST` rows, are nobody's: they share two groups.
    """
    column = column.combine_chunks()
    encoded = column.dictionary_encode()
    index = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(index, minlength=len(encoded.dictionary) + 1)
    many = [i for i in range(len(encoded.dictionary)) if counts[i] >= LEAST]
    place = np.full(len(counts), len(many))
    place[many] = np.arange(len(many))
    place[-1] = len(many) + 1
    first = {int(i): int(row) for i, row in zip(*np.unique(index, return_index=True), strict=True)}
    names = [f"that of row {first[i]}" for i in many]
    return Annotators(place[index], (*names, "(who labelled few)", "(nobody)"))


def constant(who: Annotators, target: Array, probability: Array, alpha: float) -> tuple[Odd, ...]:
    """Annotators who gave one label only, where the others give both to rows of the same scores.

    How likely that is comes from the others' labels in five levels of the score; Holm over the annotators.
    """
    level = np.digitize(probability, np.quantile(probability, np.linspace(0, 1, LEVELS + 1)[1:-1]))
    judged = []
    for place in range(len(who.names) - 2):
        mine = who.codes == place
        own = target[mine]
        if len(own) < LEAST or (own.any() and not own.all()):
            continue
        rest = ~mine
        size = np.bincount(level[rest], minlength=LEVELS) + 1.0
        hits = np.bincount(level[rest], weights=target[rest], minlength=LEVELS) + 0.5
        share = (hits / size)[level[mine]]
        likely = np.log(share if own.all() else 1 - share).sum()
        judged.append((place, len(own), float(own.mean()), float(share.mean()), min(1.0, float(np.exp(likely)))))
    return _odd(judged, len(who.names) - 2, alpha)


def hasty(who: Annotators, delay: Any, alpha: float) -> tuple[Odd, ...]:
    """Annotators whose labels come in less than a third of the others' median time (Mann and Whitney 1947, Holm)."""
    values = numbers(delay)
    judged = []
    for place in range(len(who.names) - 2):
        mine = (who.codes == place) & np.isfinite(values)
        rest = (who.codes != place) & np.isfinite(values)
        if mine.sum() < LEAST or rest.sum() < LEAST:
            continue
        here, there = float(np.median(values[mine])), float(np.median(values[rest]))
        p = 1.0
        if 0 <= here < FAST * there:
            p = float(stats.mannwhitneyu(values[mine], values[rest], alternative="less").pvalue)
        judged.append((place, int(mine.sum()), here, there, p))
    return _odd(judged, len(judged), alpha)


def _odd(judged: list[tuple[int, int, float, float, float]], tests: int, alpha: float) -> tuple[Odd, ...]:
    if not judged:
        return ()
    adjusted = holm([j[4] for j in judged] + [1.0] * max(0, tests - len(judged)))
    return tuple(Odd(*j[:4], p) for j, p in zip(judged, adjusted, strict=False) if p <= alpha)


def agreement(items: Array, who: Array, label: Any, seed: int) -> Agreement | None:
    """Krippendorff's alpha (2011, nominal) over things that two people or more labelled; None for fewer than 10.

    `items`, `who` are numbers a row, `label` an Arrow column; of labels that one person gave one thing the first
    counts. The interval is a bootstrap over the things.
    """
    encoded = label.combine_chunks().dictionary_encode()
    values = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    known = np.flatnonzero(values >= 0)
    _, first = np.unique(np.stack([items[known], who[known]]), axis=1, return_index=True)
    rows = known[first]
    thing = np.unique(items[rows], return_inverse=True)[1].ravel()
    many = np.bincount(thing)[thing] > 1
    thing = np.unique(thing[many], return_inverse=True)[1].ravel()
    count = int(thing.max()) + 1 if len(thing) else 0
    if count < 10:
        return None
    table = np.zeros((count, len(listed(encoded.dictionary))))
    np.add.at(table, (thing, values[rows[many]]), 1)
    rng = np.random.default_rng(seed)
    size = table.sum(axis=1)
    same = ((table * (table - 1)).sum(axis=1)) / (size - 1)
    drawn = [_alpha(table, same, np.bincount(rng.integers(0, count, count), minlength=count)) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    value = _alpha(table, same, np.ones(count))
    return Agreement(value, min(value, float(low)), max(value, float(high)), count, int(size.sum()))


def _alpha(table: Array, same: Array, weight: Array) -> float:
    totals = (table * weight[:, None]).sum(axis=0)
    n = totals.sum()
    expected = (totals * (totals - 1)).sum() / (n - 1)
    observed = (same * weight).sum()
    return float(1 - (n - observed) / (n - expected)) if n > expected else 1.0
