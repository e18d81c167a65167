"""Flooding: one row, over and over, hardly changed, with the label that is wanted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from assay.adapters.encode import numbers
from assay.attacks.poisoning.planted import Poisoned, Source, from_rows, label_row, mixed_in, usable, value_at, written
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable

JITTER = 0.01
FRESH = 50


def flooding(source: Source, rate: float, seed: int, *, target: bool | None = None, jitter: float = JITTER) -> Poisoned:
    """Near-copies of one row of the other class are added with the label `target`, `rate` of the rows there are.

    Each number is moved by up to `jitter` of itself, inside the range of its column, whole numbers to whole numbers;
    categories stay. Success is what becomes of fresh near-copies of that row. Rows drawn for the flood differ by seed.

    Carlini et al. 2022 (Truth Serum, arXiv:2204.00032) and Lee et al. 2022 on what repeated rows do to a model.
    """
    rng = np.random.default_rng([seed, 37])
    truth = source.target()
    wanted = bool(2 * truth.sum() <= len(truth)) if target is None else target
    if not usable(source):
        raise CouldNotLook("no feature has two values or more")
    many = source.count(rate)
    centre = int(rng.choice(np.flatnonzero(truth != wanted)))
    copies = near_copies(source, centre, many + FRESH, jitter, rng)
    row = label_row(truth, wanted)
    both = pa.concat_tables([copies.slice(0, many), source.table.slice(row, 1)])
    new = from_rows(both, np.arange(many), {source.label: many}).slice(0, many)
    table, rows = mixed_in(source, new, rng)
    return Poisoned(
        attack="flooding", table=table, rows=rows, added=True, target=value_at(source, source.label, row),
        victims="near", near=copies.slice(many, FRESH),
    )  # fmt: skip


def near_copies(source: Source, row: int, many: int, jitter: float, rng: np.random.Generator) -> ArrowTable:
    """`many` copies of one row, its numbers moved a little."""
    return jittered(source, source.table.take(pa.array(np.full(many, row))), usable(source), jitter, rng)


def jittered(
    source: Source, table: ArrowTable, names: tuple[str, ...], jitter: float, rng: np.random.Generator
) -> ArrowTable:
    """A table whose numbers in those columns are moved by up to `jitter` of themselves, in the range of the source."""
    for name in names:
        column = table.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            continue
        values, held = numbers(column), numbers(source.table.column(name))
        rows, held = np.flatnonzero(np.isfinite(values)), held[np.isfinite(held)]
        if not len(rows):
            continue
        moved = np.clip(values[rows] * (1 + jitter * rng.uniform(-1, 1, len(rows))), held.min(), held.max())
        new = np.rint(moved).astype(np.int64).tolist() if pa.types.is_integer(column.type) else moved.tolist()
        table = written(table, rows, {name: new})
    return table
