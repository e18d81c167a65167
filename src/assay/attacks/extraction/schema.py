"""What an attacker knows of the inputs: columns, types, ranges, levels, and rows whose columns it may draw from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from assay.adapters.encode import encode
from assay.adapters.predictor_base import BasePredictor
from assay.adapters.values import canonical_text
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.subject import Contract
from assay.core.text import visible

Array = Any
MOST_LEVELS = 5_000
FEW = 16
"""Numbers of a column that are taken for the categories they are declared as; of more a thief learns what numbers say,
whatever is declared: listing every value would else buy a model that looks hard to copy."""


def native(model: BasePredictor) -> frozenset[str]:
    """The columns that a model's trees split by sets of values: categories to it, whatever is declared."""
    try:
        return model.trees().categorical
    except CouldNotLook:
        return frozenset()


class Schema:
    """The d inputs of a model as numbers, and back. `known` (m, d) float64 are the attacker's own rows, never judged.

    Numbers are themselves (times in seconds), categories are places in `levels[j]`, what is missing is NaN. `low` and
    `high` (d,) are the declared range, else that of `known`; `integer` (d,) bool; `codes` are the places of categories,
    `unordered` those of them that have no order. Numbers that are declared as categories are taken for those where they
    are few, or where the model splits them so itself (`native`, the names of such columns). Raises CouldNotLook where
    there are no rows, no inputs or too many levels.
    """

    def __init__(
        self, rows: ArrowTable, inputs: tuple[str, ...], kinds: Mapping[str, str], contract: Contract | None = None,
        native: Iterable[str] = (),
    ) -> None:  # fmt: skip
        if not rows.num_rows or not inputs:
            raise CouldNotLook("the attacker knows no rows or no inputs: nothing can be asked")
        features = (contract or Contract()).columns
        table = rows.select(list(inputs))
        numbers = {n for n in inputs if _many_numbers(table.column(n))}.difference(native)
        listed = {n for n in inputs if n in features and (features[n].order or features[n].categories)} - numbers
        words = {n for n in inputs if kinds.get(n) in ("category", "text")} - numbers
        orders = {n: tuple(features[n].order) for n in listed if features[n].order}
        self.inputs = tuple(inputs)
        self._like = encode(table, listed | words, orders)
        self.types = tuple(table.schema.field(n).type for n in inputs)
        self.known: Array = self._like.matrix
        self.levels: dict[int, tuple[Any, ...]] = {j: self._like.levels[n] for j, n in self._coded()}
        if any(len(level) > MOST_LEVELS for level in self.levels.values()):
            j = max(self.levels, key=lambda at: len(self.levels[at]))
            what = f"{visible(inputs[j], 60)} has {len(self.levels[j])} different values"
            raise CouldNotLook(f"{what}, which is text and no category: no attacker could draw from it")
        self.codes = tuple(sorted(self.levels))
        self.unordered = tuple(self._like.categorical)
        self.integer = np.array([_whole(t) for t in self.types]) | np.isin(np.arange(len(inputs)), self.codes)
        self._range(features)

    def _coded(self) -> list[tuple[int, str]]:
        return [(j, n) for j, n in enumerate(self.inputs) if n in self._like.levels]

    def _range(self, features: Mapping[str, Any]) -> None:
        held = np.where(np.isfinite(self.known), self.known, np.nan)
        empty = ~np.isfinite(held).any(axis=0)
        held = np.where(empty, 0.0, held)
        self.low, self.high = np.nanmin(held, axis=0), np.nanmax(held, axis=0)
        self.empty = empty
        for j, name in enumerate(self.inputs):
            if j in self.levels:
                self.low[j], self.high[j] = 0.0, max(0.0, len(self.levels[j]) - 1.0)
            elif name in features:
                f = features[name]
                self.low[j] = self.low[j] if f.min is None else f.min
                self.high[j] = max(self.low[j], self.high[j] if f.max is None else f.max)

    def encoded(self, rows: ArrowTable) -> Array:
        """Rows as numbers (n, d); a level that the attacker never saw is NaN."""
        return encode(rows.select(list(self.inputs)), (), {}, self._like).matrix

    def written(self, matrix: Array) -> ArrowTable:
        """Numbers (n, d) as rows with the columns and types of the real ones."""
        import pyarrow as pa

        columns = []
        for j, type_ in enumerate(self.types):
            value = matrix[:, j]
            absent = np.isnan(value)
            if j in self.levels:
                place = pa.array(np.where(absent, 0, value).astype(np.int64), mask=absent)
                plain, held = _plain(type_), self.levels[j]
                if pa.types.is_string(plain) or pa.types.is_large_string(plain):
                    held = _words(held)
                level = pa.array(list(held), type=plain)
                columns.append(level.take(place).cast(type_) if self.levels[j] else pa.nulls(len(value), type_))
            elif pa.types.is_timestamp(type_):
                micro = pa.array((np.where(absent, 0, value) * 1e6).astype(np.int64), mask=absent)
                columns.append(micro.cast(pa.timestamp("us")).cast(type_, safe=False))
            else:
                columns.append(pa.array(value, mask=absent).cast(type_, safe=False))
        return pa.table(dict(zip(self.inputs, columns, strict=True)))


def _words(levels: tuple[Any, ...]) -> tuple[Any, ...]:
    """Levels as the words that a table holds: `order:` may say 1 where that is "1"."""
    return tuple(v if isinstance(v, str) else canonical_text(v) for v in levels)


def _many_numbers(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    return bool(plain) and pc.count_distinct(column).as_py() > FEW


def _whole(type_: Any) -> bool:
    return str(type_).startswith(("int", "uint", "bool"))


def _plain(type_: Any) -> Any:
    """What a dictionary type holds."""
    return getattr(type_, "value_type", type_)
