"""Columns as one float64 matrix, the form that gradient-boosted trees and numeric attacks work on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

from assay.adapters.extras import library
from assay.adapters.values import canonical_text, listed
from assay.core.finding import Scalar
from assay.core.protocols import ArrowTable, FloatArray


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """Features as numbers. `matrix` is (rows, features), float64, C order, NaN where a value is missing.

    Numbers as they are, booleans 0/1, times in seconds since 1970, categories as codes into `levels[name]` (sorted, or
    in the contract's order). `categorical` are the positions of *unordered* categories; an ordered one is its rank.
    `unknown` counts values outside a given order or level list (they are NaN); `left_out` are columns not encoded.
    """

    matrix: FloatArray
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    levels: dict[str, tuple[Scalar, ...]] = {}
    unknown: dict[str, int] = {}
    left_out: tuple[str, ...] = ()


def encode(
    table: ArrowTable,
    categorical: Iterable[str],
    orders: dict[str, tuple[Scalar, ...]],
    like: Encoded | None = None,
    left_out: tuple[str, ...] = (),
) -> Encoded:
    """Encode an Arrow table; `categorical` names columns to code, `orders` the ranks of ordered ones.

    With `like`, its columns keep its codes, so that two tables can be compared or a model trained on one asked of the
    other. Raises MissingExtra without numpy or pyarrow.
    """
    np = library("numpy")
    coded = set(categorical) | set(orders) | (set(like.levels) if like else set())
    matrix = np.empty((table.num_rows, table.num_columns), dtype=np.float64)
    levels: dict[str, tuple[Scalar, ...]] = {}
    unknown: dict[str, int] = {}
    unordered: list[int] = []
    for position, name in enumerate(table.column_names):
        column = table.column(name)
        if name in coded or _is_text(column):
            given = like.levels.get(name) if like else orders.get(name)
            matrix[:, position], levels[name], missed = codes(column, given)
            if missed:
                unknown[name] = missed
            if position in like.categorical if like else name not in orders:
                unordered.append(position)
        else:
            matrix[:, position] = numbers(column)
    return Encoded(
        matrix=matrix,
        names=tuple(table.column_names),
        categorical=tuple(unordered),
        levels=levels,
        unknown=unknown,
        left_out=left_out,
    )


def numbers(column: Any) -> FloatArray:
    """An Arrow column of numbers, booleans or times as float64, shape (n,), NaN for null; times are seconds."""
    pa = library("pyarrow")
    np = library("numpy")
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    seconds = pa.types.is_timestamp(column.type)
    if seconds:
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    # Integers beyond 2**53 lose their last digits here, as they do in every model that works on doubles.
    out = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return out / 1e6 if seconds else out


def _is_text(column: Any) -> bool:
    pa = library("pyarrow")
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def codes(column: Any, given: tuple[Scalar, ...] | None) -> tuple[FloatArray, tuple[Scalar, ...], int]:
    """Codes (float, NaN for null or unknown), the levels that they index, and how many values are unknown."""
    np = library("numpy")
    encoded = column.combine_chunks().dictionary_encode()
    values = listed(encoded.dictionary)
    if given is None:
        levels: tuple[Scalar, ...] = tuple(
            sorted((v for v in values if v is not None), key=lambda v: (str(type(v)), v))
        )
    else:
        levels = given
    at = [(float(i), v) for i, v in reversed(list(enumerate(levels)))]  # of equal ones the first counts
    words = {v: i for i, v in at if isinstance(v, str)}
    others = {canonical_text(v): i for i, v in at if not isinstance(v, str)}
    every = {canonical_text(v): i for i, v in at}

    def place(value: Any) -> float:  # two words are one level only if they are written alike
        if isinstance(value, str):
            return words[value] if value in words else others.get(canonical_text(value), math.nan)
        return every.get(canonical_text(value), math.nan)

    codes = np.array([*map(place, values), np.nan], dtype=np.float64)
    indices = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    out = codes[indices]
    present = indices < len(values)
    return out, levels, int((np.isnan(out) & present).sum())
