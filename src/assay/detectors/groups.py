"""How groups of people are represented in a table: how many rows and positives each has, beside a reference."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from scipy import special

from assay.adapters.encode import numbers
from assay.adapters.values import canonical_text, listed
from assay.stats.intervals import wilson_rate

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
COMMON = 20
"""Rows that must share a value before it is named: what few have may be somebody's own."""
MOST_VALUES = 30
CUTS = 4
MOST_DRAWS = 1e15  # more than any table has; beyond it the quantiles of a beta law are lost
OTHER, MISSING = "(other values)", "(missing)"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of rows: the columns and what they say, its rows, its positives (None without a label), the share of all
    rows and the rate of positives with their 95% intervals, how many draws the share rests on, and whether the group is
    large enough to be judged."""

    columns: tuple[str, ...]
    name: str
    rows: int
    positives: int | None
    share: tuple[float, float, float]
    rate: tuple[float, float, float] | None
    draws: float
    judged: bool


class Gap(msgspec.Struct, frozen=True):
    """A group whose share differs from the reference's: the ratio of the two, with its simultaneous 95% interval."""

    group: Group
    reference: float
    ratio: float
    low: float
    high: float


def groups(
    data: Dataset,
    columns: tuple[str, ...],
    target: Array | None,
    *,
    least: int,
    least_positives: int,
    weight: Array,
    entities: Array | None = None,
    like: Dataset | None = None,
) -> tuple[Group, ...]:
    """The groups that `columns` make one by one, and two by two. Shares and rates count each row with its `weight`
    (rows,), of which only the ratios matter; the rows of one of `entities` (rows,) are one draw, each row is without.

    Numbers are cut, and rare values told from common ones, as in the table `like` where one is given.
    """
    coded = {name: codes(data, name, like or data) for name in columns}
    weight = weight / weight.max()
    positive = np.zeros(data.rows, dtype=bool) if target is None else target
    of = None if entities is None else np.unique(entities, return_inverse=True)[1].ravel()
    found = []
    for chosen in [(n,) for n in columns] + list(combinations(columns, 2)):
        names: list[str] = [""]
        code = np.zeros(data.rows, dtype=np.int64)
        for name in chosen:
            own, labels = coded[name]
            code = code * len(labels) + own
            names = [f"{a} & {b}" if a else b for a in names for b in labels]
        rows = np.bincount(code, minlength=len(names))
        hits = np.bincount(code[positive], minlength=len(names))
        shares, rates, draws, classes = _worth(code, positive, weight, of, len(names))
        for place in np.flatnonzero(rows).tolist():
            rate, enough = None, draws[place] >= least
            if target is not None:
                rate = _around(*rates[place]) if rates[place].n else None
                enough = enough and classes[place] >= least_positives
            found.append(
                Group(
                    columns=chosen, name=names[place], rows=int(rows[place]), rate=rate, judged=enough,
                    positives=None if target is None else int(hits[place]),
                    share=_around(*shares[place]), draws=shares[place].n,
                )
            )  # fmt: skip
    return tuple(found)


class _Rate(NamedTuple):
    """A rate, and the number of draws of a binomial that has its variance; 0 where nothing has weight."""

    value: float
    n: float


def _around(value: float, n: float) -> tuple[float, float, float]:
    return (value, *wilson_rate(value, max(1.0, n)))


def _worth(
    code: Array, positive: Array, weight: Array, of: Array | None, size: int
) -> tuple[list[_Rate], list[_Rate], list[float], list[float]]:
    """(the share, the rate of positives, the draws, the draws of the smaller class) of each of `size` groups.

    A share, and a rate, are ratios of sums over entities, whose variance is that of their linearisation,
    sum((w(hit - rate))^2) / sum(w)^2 (Cochran 1977, ch. 6): n is rate (1 - rate) over it. One size for the whole table
    would be wrong where weights or the number of rows depend on the group. Where that variance is 0, n is Kish's; a
    rate of positives never has more draws than Kish's size of its group, so that a few light hits do not pass for many.
    """
    cell = code if of is None else of * size + code
    pairs, at = (cell, np.arange(len(code))) if of is None else np.unique(cell, return_inverse=True)
    group, owner = pairs % size, np.arange(len(code)) if of is None else pairs // size
    mine = np.bincount(at.ravel(), weights=weight)
    hit = np.bincount(at.ravel(), weights=weight * positive)
    table = mine if of is None else np.bincount(of, weights=weight)

    def each(values: Array) -> Array:
        return np.bincount(group, weights=values, minlength=size)

    heavy = each(mine)
    whole = float(heavy.sum())  # of the groups' own sums, so that a group that is all has a share of 1 to the last bit
    share = heavy / whole
    inside = each((mine - share[group] * table[owner]) ** 2)
    outside = np.maximum(0.0, (table**2).sum() - each(table[owner] ** 2)) * share**2
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(heavy > 0, each(hit) / heavy, 0.0)
        kish = np.nan_to_num(heavy**2 / each(mine**2), posinf=0.0)
        lesser = np.minimum(*(np.nan_to_num(each(h) ** 2 / each(h**2), posinf=0.0) for h in (hit, mine - hit)))
        few = rate * (1 - rate) * heavy**2 / each((hit - rate[group] * mine) ** 2)
        many = share * (1 - share) * whole**2 / (inside + outside)
    few = np.where((few > 0) & (few < kish), few, kish)
    many = np.where(np.isfinite(many) & (many > 0), np.minimum(many, MOST_DRAWS), whole**2 / (table**2).sum())
    return (
        [_Rate(*pair) for pair in zip(share.tolist(), many.tolist(), strict=True)],
        [_Rate(*pair) for pair in zip(rate.tolist(), few.tolist(), strict=True)],
        kish.tolist(),
        lesser.tolist(),
    )


def draws_of(weight: Array, entities: Array | None) -> float:
    """How many independent rows a weighted table is worth, the rows of one entity being one draw: (Σw)² / Σw² over
    the entities (Kish 1965, ch. 11). Only the ratios of the weights matter."""
    weight = weight / weight.max()
    parts = weight if entities is None else np.bincount(np.unique(entities, return_inverse=True)[1], weights=weight)
    return float(parts.sum() ** 2 / (parts**2).sum())


def codes(data: Dataset, name: str, like: Dataset) -> tuple[Array, list[str]]:
    """(a number per row, the groups' names): categories that enough rows share, numbers by quarters."""
    column, model = (table.table((name,)).column(0).combine_chunks() for table in (data, like))
    kinds = {table.column(name).kind for table in (data, like)}
    if kinds <= {"number", "integer", "time"} and len(model.unique()) > MOST_VALUES:
        values, known = numbers(column), numbers(model)
        known = known[np.isfinite(known)]
        cuts = np.unique(np.quantile(known, np.linspace(0, 1, CUTS + 1)[1:-1])) if len(known) else np.zeros(0)
        code = np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values, side="right"))
        shown = [f"{cut:g}" for cut in cuts] if "time" not in kinds else [f"cut {i}" for i, _ in enumerate(cuts, 1)]
        inside = [f"{a} to {b}" for a, b in pairwise(shown)]
        names = [f"below {shown[0]}", *inside, f"{shown[-1]} and more"] if shown else ["all"]
        return code.astype(np.int64), [*names, MISSING]
    common = _common(model)
    encoded = column.dictionary_encode()
    known_as = [common.get(canonical_text(v) or "", len(common)) for v in listed(encoded.dictionary)]
    index = encoded.indices.fill_null(len(known_as)).to_numpy(zero_copy_only=False)
    place = np.array([*known_as, len(common) + 1], dtype=np.int64)
    return place[index], [*(text[:40] for text in common), OTHER, MISSING]


def _common(column: Any) -> dict[str, int]:
    """The values that enough rows have, as text, numbered from the most common on."""
    encoded = column.dictionary_encode()
    values = [canonical_text(v) for v in listed(encoded.dictionary)]
    counts = np.bincount(encoded.indices.drop_null().to_numpy(zero_copy_only=False), minlength=len(values))
    order = [i for i in np.argsort(-counts, kind="stable")[:MOST_VALUES].tolist() if counts[i] >= COMMON]
    return {text: place for place, text in enumerate(values[i] or "" for i in order)}


def gaps(mine: tuple[Group, ...], theirs: tuple[Group, ...], draws: float) -> tuple[Gap, ...]:
    """Each single-column group's share over the reference's share of the same group, smallest upper end first.

    Each share has the draws of its group; of a group that is gone, the `draws` that the table is worth. The intervals
    hold together (Bonferroni over the groups). `high` is infinite where the reference's share may be none.
    """
    known: dict[tuple[tuple[str, ...], str], Group] = {(g.columns, g.name): g for g in theirs if len(g.columns) == 1}
    pairs = [(g, known[g.columns, g.name]) for g in mine if (g.columns, g.name) in known]
    present = {(g.columns, g.name) for g in mine}
    none = _around(0.0, draws)
    gone = [
        (msgspec.structs.replace(g, rows=0, positives=None, rate=None, share=none, draws=draws, judged=False), g)
        for key, g in known.items()
        if key not in present
    ]
    level = 1 - 0.05 / max(1, len(pairs) + len(gone))
    found = []
    for group, reference in [*pairs, *gone]:
        share, other = group.share[0], reference.share[0]
        low, high = _ratio((share, group.draws), (other, reference.draws), level)
        found.append(Gap(group, other, share / other if other else math.inf, low, high))
    return tuple(sorted(found, key=lambda g: g.high))


def _ratio(first: tuple[float, float], second: tuple[float, float], level: float) -> tuple[float, float]:
    """Interval of a ratio of two independent rates, each (rate, draws): Jeffreys' limits of both, joined by the method
    of variance estimates recovery (Donner and Zou 2012). (0, inf) for 0 over 0.

    Not Wilson's: so far out as many groups together ask for, their lower limits at counts below ten lie too high (all
    of 30 groups were held in 87% of tables of 200 rows beside 5,000, with Jeffreys' in 96%).
    """
    a, b = first[0], second[0]
    low_a, high_a = _jeffreys(a, max(1.0, first[1]), level)
    low_b, high_b = _jeffreys(b, max(1.0, second[1]), level)
    below, above = low_a * (2 * a - low_a), high_a * (2 * a - high_a)
    under, over = low_b * (2 * b - low_b), high_b * (2 * b - high_b)
    least = a * b + math.sqrt(max(0.0, (a * b) ** 2 - below * over))
    most = a * b + math.sqrt(max(0.0, (a * b) ** 2 - above * under))
    # The lower end with its fraction turned over: it then has no difference of like numbers, nor 0 over 0 at 2b.
    return below / least if least > 0 else 0.0, most / under if under > 0 else math.inf


def _jeffreys(p: float, n: float, level: float) -> tuple[float, float]:
    """Jeffreys' interval of a rate `p` of `n` draws; from 0 where it is 0, to 1 where it is 1 (Brown et al. 2001)."""
    hits, tail = p * n, (1 - level) / 2
    low = float(special.betaincinv(hits + 0.5, n - hits + 0.5, tail)) if p > 0 else 0.0
    high = float(special.betaincinv(hits + 0.5, n - hits + 0.5, 1 - tail)) if p < 1 else 1.0
    return min(p, low), max(p, high)
