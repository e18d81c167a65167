"""Rows as numbers: which are the same, how often a whole table was copied, which columns look like an id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.adapters.values import listed
from assay.stats.effective import effective_n

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

Array = Any
DIGITS = 6
HALF = 0.4629583  # numbers of few decimals lie on 0.5 exactly, where a jitter would tip them over
# Round figures, set by reasoning and the simulations of benchmarks/bench_detectors.py, not on data kept apart.
COPIED, MOST_COPIES = 0.9, 65
UNIQUE, LEAST_IDS = 0.99, 50


def same_rows(table: Any) -> Array:
    """A number from 0 per row of an Arrow table, the same for rows that agree in every column; shape (n,).

    Floats are compared at 6 significant digits, null equals null.
    """
    return grouped([codes(table.column(n), table.column(n).slice(0, 0)) for n in table.column_names])


def draws(data: Dataset, inputs: tuple[str, ...]) -> Array:
    """A number per row of `data`, the same for rows that are one draw; shape (n,), to be given to `effective_n`.

    Rows that agree in everything the model reads and in the label are one draw: copying rows adds none. Where an entity
    is declared its rows are one draw too; of the two groupings the one that leaves fewer draws counts.
    """
    columns = dict.fromkeys([*(inputs or data.features), *([data.label] if data.label else [])])
    rows = same_rows(data.table(list(columns)))
    entities = entities_of(data)
    return rows if entities is None else min(rows, entities, key=effective_n)


def entities_of(data: Dataset) -> Array | None:
    """A number per row of `data`, the same for rows of one entity, a row of nobody alone; None if not declared."""
    if not data.entity:
        return None
    table = data.table([data.entity])
    entities = same_rows(table)
    nobody = np.flatnonzero(table.column(0).is_null(nan_is_null=True).to_numpy())
    entities[nobody] = len(entities) + nobody
    return entities


def times_copied(counts: Array) -> int:
    """How often the whole of a table was copied: the greatest number that divides nine in ten of its rows' counts.

    `counts` is how often each distinct row occurs. Rows that come again by nature do so once, twice, three times.
    """
    values, of = np.unique(counts, return_counts=True)
    for times in sorted({*values.tolist(), *range(2, MOST_COPIES)} - {1}, reverse=True):
        if of[values % times == 0].sum() >= COPIED * len(counts):
            return int(times)
    return 1


def undeclared_ids(table: Any) -> tuple[str, ...]:
    """Columns of an Arrow table that look like an id: whole numbers or text, (nearly) all different.

    Copies of whole tables are left aside. None in tables of fewer than 50 rows, and none where no column would be left.
    """
    group = same_rows(table)
    rows = table.num_rows / times_copied(np.bincount(group))
    found = tuple(
        name for name in table.column_names
        if rows >= LEAST_IDS and _nameable(table.column(name)) and _distinct(table.column(name)) >= UNIQUE * rows
    )  # fmt: skip
    return found if len(found) < table.num_columns else ()


def _nameable(column: Any) -> bool:
    import pyarrow as pa

    if column.type != pa.float64():
        return bool(column.type == pa.int64() or column.type == pa.string())
    values = column.drop_null().to_numpy()
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool((values == np.floor(values)).all())


def _distinct(column: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.count_distinct(column).as_py())


def grouped(codes: list[Array]) -> Array:
    """A number from 0 per row, the same for rows that agree in every code; exact, by hashing."""
    import pyarrow as pa

    group = codes[0].astype(np.int64)
    for code in codes[1:]:
        joined = pa.array(group * (int(code.max()) + 1) + code).dictionary_encode()
        group = joined.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return group


def codes(first: Any, second: Any) -> Array:
    """A number from 0 per value, over the rows of both columns: the same where the values are."""
    import pyarrow as pa

    types = {first.type, second.type}
    numeric = {pa.int64(), pa.float64(), pa.bool_()}
    if types <= numeric and pa.float64() in types:
        values = pa.chunked_array([_digits(_floats(first)), _digits(_floats(second))])
    elif len(types) == 1:
        values = pa.chunked_array([*first.chunks, *second.chunks], type=first.type)
    elif types <= numeric:
        values = pa.chunked_array([_floats(first), _floats(second)])
    else:
        values = pa.chunked_array([*_words(first).chunks, *_words(second).chunks], type=pa.string())
    encoded = values.dictionary_encode(null_encoding="encode")
    return np.concatenate([c.indices.to_numpy(zero_copy_only=False) for c in encoded.chunks])


def _floats(column: Any) -> Array:
    import pyarrow as pa

    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64, copy=False)


def _digits(values: Array) -> Array:
    """An int64 per float, the same for floats that round to the same 6 significant digits; NaN equals NaN."""
    usual = np.isfinite(values) & (np.abs(values) > 1e-300)
    x = np.where(usual, values, 1.0)
    power = np.floor(np.log10(np.abs(x)))
    digits = np.floor(np.abs(x) / 10.0 ** (power - DIGITS + 1) + HALF).astype(np.int64)
    full = digits >= 10**DIGITS  # 9.999999 rounds to 10.0000
    digits = np.where(full, 10 ** (DIGITS - 1), digits) * np.sign(x).astype(np.int64)
    key = digits * 1024 + (power + full).astype(np.int64) + 400
    special = np.where(np.isnan(values), 1, np.where(values > 1, 2, np.where(values < -1, 3, 0)))
    return np.where(usual, key, special)


def _words(column: Any) -> Any:
    """The column as text, with numbers written alike; only its distinct values are spelled out."""
    import pyarrow as pa

    parts = [chunk.dictionary_encode() for chunk in column.chunks]
    spelled = [pa.array([_word(v) for v in listed(part.dictionary)], pa.string()) for part in parts]
    return pa.chunked_array([s.take(p.indices) for s, p in zip(spelled, parts, strict=True)], type=pa.string())


def _word(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return repr(float(f"{float(value):.{DIGITS - 1}e}"))
    except (TypeError, ValueError):
        return str(value)
