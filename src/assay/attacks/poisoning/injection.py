"""Injected rows: put together from unrelated values, spliced of two rows, or with one value far outside its column."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from assay.adapters.encode import numbers
from assay.attacks.poisoning.planted import Poisoned, Source, from_rows, mixed_in, written
from assay.core.errors import CouldNotLook

Array = Any
Mix = Literal["all", "half", "splice"]


def origins(rows: int, width: int, many: int, mix: Mix, rng: np.random.Generator) -> Array:
    """Which of `rows` rows each value of the new rows is taken from, (many, width).

    All or half of the values each from a row of its own, or half of them together from one other row (splice).
    """
    first, other = rng.integers(0, rows, many), rng.integers(0, rows, many)
    out = np.repeat(first[:, None], width, axis=1)
    for i in range(many):
        at = np.arange(width) if mix == "all" else rng.permutation(width)[: width // 2]
        out[i, at] = other[i] if mix == "splice" else rng.integers(0, rows, len(at))
    return out


def beyond(column: Array) -> float:
    """A number half a range and one above the largest of a column (NaN apart)."""
    return float(np.nanmax(column) + 0.5 * (np.nanmax(column) - np.nanmin(column)) + 1)


def injection(source: Source, rate: float, seed: int, *, mix: Mix = "all") -> Poisoned:
    """Rows are added, `rate` of those there are: each value is an ordinary one of its column, but from a row of its
    own, the label too. Every marginal stays as it is, only what the columns have to do with each other is broken.

    Koh, Steinhardt and Liang 2022 (stronger data poisoning attacks break data sanitization defenses).
    """
    rng = np.random.default_rng([seed, 5])
    source.target()  # a table that teaches nothing cannot be poisoned
    names = [*source.features, source.label]
    many = source.count(rate)
    taken = origins(source.rows, len(names), many, mix, rng)
    base = source.table.take(pa.array(taken[:, 0]))
    both = pa.concat_tables([base, source.table])
    new = from_rows(both, np.arange(many), {n: many + taken[:, i] for i, n in enumerate(names)}).slice(0, many)
    table, rows = mixed_in(source, new, rng)
    return Poisoned(attack="injection", table=table, rows=rows, added=True)


def outliers(source: Source, rate: float, seed: int) -> Poisoned:
    """Rows are added, `rate` of those there are: copies of rows with one number far above all others of its column and
    the other class's label. They drag means and scales along; trees, which set such rows apart, take little harm.
    Raises CouldNotLook where no column holds numbers.

    Steinhardt, Koh and Liang 2017 (certified defenses for data poisoning attacks).
    """
    rng = np.random.default_rng([seed, 7])
    truth = source.target()
    many = source.count(rate)
    held = {n: numbers(source.table.column(n)) for n in source.features if _numeric(source.table.column(n).type)}
    tops = {n: beyond(v[np.isfinite(v)]) for n, v in held.items() if np.isfinite(v).any()}
    if not tops:
        raise CouldNotLook("no feature holds numbers, so none can lie far outside")
    base = rng.integers(0, source.rows, many)
    new = source.table.take(pa.array(base))
    names = list(tops)
    chosen = rng.integers(0, len(names), many)
    for place, name in enumerate(names):
        whole = pa.types.is_integer(new.column(name).type)
        mine = np.flatnonzero(chosen == place)
        new = written(new, mine, {name: [int(tops[name]) if whole else tops[name]] * len(mine)})
    swapped = np.where(truth[base], int(np.argmax(~truth)), int(np.argmax(truth)))
    both = pa.concat_tables([new, source.table])
    new = from_rows(both, np.arange(many), {source.label: many + swapped}).slice(0, many)
    table, rows = mixed_in(source, new, rng)
    return Poisoned(attack="outliers", table=table, rows=rows, added=True)


def _numeric(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
