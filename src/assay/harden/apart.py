"""Rows that are kept out of it: a part set aside before anything looks, rows known to be good, rows measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.adapters.encode import numbers
from assay.core.errors import CouldNotLook
from assay.core.suspects import Suspects
from assay.detectors.out_of_fold import joined, row_groups
from assay.detectors.rows import codes, entities_of, grouped, same_rows, undeclared_ids

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
NATURAL = 0.2
LEAST_ROWS, LEAST_CLASS = 100, 25
"""Fewer rows set aside, or fewer of a class among them, tell no two models apart."""


def set_aside(data: Dataset, target: Array, share: float, seed: int) -> tuple[Array, str]:
    """(row numbers of a part of about `share` of the rows, in order; by which rule). (none, why) where it is too few.

    The last in time where a time is declared; else drawn, equal rows and rows of one entity together, by class.
    """
    if data.time:
        rows, rule = _latest(data, share), f"the last {share:.0%} by {data.time}"
    else:
        groups = row_groups(data.encoded().matrix)
        entities = entities_of(data)
        groups = groups if entities is None else joined(groups, entities)
        rows = _drawn(groups, target, share, seed)
        rule = f"{share:.0%} drawn with seed {seed}, by class, equal rows together"
        rule += f" and rows of one {data.entity}" if data.entity else ""
    there = target[rows]
    least = min(int(there.sum()), int((~there).sum())) if len(rows) else 0
    if len(rows) < LEAST_ROWS or least < LEAST_CLASS:
        return np.empty(0, dtype=int), f"{len(rows)} rows, {least} of the rarer class, would be too few to tell"
    return rows, rule


def _latest(data: Dataset, share: float) -> Array:
    column = data.table((data.time,)).column(0)
    kind = str(column.type)
    if kind == "string":
        values = np.unique(np.array([v or "" for v in column.to_pylist()]), return_inverse=True)[1].astype(float)
    else:
        values = numbers(column)
    known = values[~np.isnan(values)]
    if not len(known):
        return np.empty(0, dtype=int)
    # A moment is on one side whole: what is known of its rows would be known of each other.
    return np.flatnonzero(values > np.quantile(known, 1 - share, method="inverted_cdf"))


def _drawn(groups: Array, target: Array, share: float, seed: int) -> Array:
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    sizes = np.bincount(group)
    rng = np.random.default_rng(seed)
    taken = np.zeros(len(first), dtype=bool)
    for value in (False, True):
        members = rng.permutation(np.flatnonzero(target[first] == value))
        filled = np.cumsum(sizes[members])
        taken[members[filled <= share * sizes[members].sum()]] = True
    return np.flatnonzero(taken[group])


def copies(data: Dataset, first: int, number: int, aside: Array) -> Suspects | None:
    """The `number` rows that are the same as row `first` in all features, those of `aside` left out, as suspects.

    data.duplicates tells one row and how often it occurs; None where that is not what is found here.
    """
    ids = undeclared_ids(data.table(list(data.features)))
    for left_out in dict.fromkeys((ids, ())):
        names = [n for n in data.features if n not in left_out]
        group = same_rows(data.table(names)) if names else np.arange(data.rows)
        rows = np.setdiff1d(np.flatnonzero(group == group[first]), aside)
        if len(rows) == number > 1:
            twins = [int(rows[1]) if row == rows[0] else int(rows[0]) for row in rows]
            return Suspects(
                check="data.duplicates",
                rows=tuple(rows.tolist()),
                scores=(1.0,) * number,
                flagged=(True,) * number,
                reasons=tuple(f"row {twin} is the same; {number} copies" for twin in twins),
            )
    return None


def known_good(data: Dataset, trusted: Dataset, skip: frozenset[str]) -> Array:
    """Whether each row of `data` is a row of `trusted` too, in all columns of both but `skip`; shape (rows,), bool."""
    names = [c.name for c in data.columns if c.name in {t.name for t in trusted.columns} and c.name not in skip]
    return _also_in(data, trusted, names)


def also_measured(data: Dataset, measured: Dataset, rows: Array) -> Array:
    """Whether each row is, by its features or its entity, among the `rows` of `measured`; shape (rows,), bool.

    What a model learned by heart says nothing of what it does with a row that it never saw. Where more than a fifth of
    the rows agree in all features, they do so by nature, and would not be new to the model later either: then only
    entities count.
    """
    there = {c.name for c in measured.columns}
    names = [n for n in data.features if n in there]
    same = _also_in(data, measured, names, rows)
    if same.mean() > NATURAL:
        same[:] = False
    if data.entity and data.entity in there:
        nobody = data.table((data.entity,)).column(0).is_null(nan_is_null=True).to_numpy()
        same |= _also_in(data, measured, [data.entity], rows) & ~nobody
    return same


def _also_in(data: Dataset, other: Dataset, names: list[str], rows: Array | None = None) -> Array:
    if not names:
        raise CouldNotLook(f"{data.name} and {other.name} have no column in common")
    mine, theirs = data.table(names), other.table(names)
    group = grouped([codes(mine.column(n), theirs.column(n)) for n in names])
    there = group[data.rows :]
    return np.isin(group[: data.rows], there if rows is None else there[rows])
