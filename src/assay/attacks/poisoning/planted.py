"""What every poisoning attack is given and gives back: a clean table, and a poisoned one with its ground truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.adapters.encode import Encoded, encode
from assay.adapters.tables import Dataset
from assay.adapters.values import listed, same_value
from assay.core.errors import CouldNotLook
from assay.core.finding import Scalar
from assay.core.protocols import ArrowTable

Array = Any
Victims = Literal["everyone", "other-class", "near", "texts"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A clean table as an attack sees it: Arrow (int64, double, bool, string, timestamp), and what its columns are.

    `features` are what a model reads, prose apart (`texts`); `categorical` those of them that are unordered;
    `id` names a row: added rows get ids of their own.
    """

    table: ArrowTable
    label: str
    positive: Scalar
    features: tuple[str, ...]
    categorical: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    id: str = ""

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def target(self) -> Array:
        """Whether each row is of the positive class, (rows,), bool. Raises CouldNotLook for one class or a null."""
        column = self.table.column(self.label).combine_chunks()
        coded = column.dictionary_encode()
        if column.null_count or not len(coded.dictionary):
            raise CouldNotLook(f"{column.null_count or self.rows} rows have no label in {self.label!r}")
        hit = np.array([same_value(v, self.positive) for v in listed(coded.dictionary)], dtype=bool)
        target = hit[coded.indices.to_numpy(zero_copy_only=False)]
        if target.all() or not target.any():
            raise CouldNotLook(f"label {self.label!r} has one class only: nothing can be poisoned towards another")
        return target

    def encoded(self, table: ArrowTable | None = None, like: Encoded | None = None) -> Encoded:
        """The features of `table` (of the clean one by default) as a matrix; see `adapters.encode`."""
        table = self.table if table is None else table
        return encode(table.select(list(self.features)), self.categorical, {}, like)

    def take(self, rows: Array) -> Source:
        """The same with only those rows, in that order."""
        return msgspec.structs.replace(self, table=self.table.take(pa.array(rows)))

    def count(self, rate: float, among: Array | None = None) -> int:
        """How many rows `rate` (a share of all rows) is. Raises CouldNotLook for less than one, or more than `among`
        (row numbers) holds."""
        held = self.rows if among is None else len(among)
        if not 0 < rate <= 1 or (many := round(rate * self.rows)) < 1:
            raise CouldNotLook(f"{rate:.3%} of {self.rows} rows is less than one row, or no share")
        if many > held:
            raise CouldNotLook(f"{rate:.1%} of {self.rows} rows is {many}, but only {held} could be poisoned")
        return many


class Poisoned(msgspec.Struct, frozen=True, kw_only=True):
    """A poisoned table and the truth about it.

    `table` has the columns and types of the clean one. `rows` (int64, sorted) are the 0-based positions in it that were
    changed or, with `added`, put in; the others are the clean rows, untouched and in order. `rule` is a trigger's value
    by column (a phrase under its text column), `target` the label that is wanted (None where any harm will do).
    `victims` says on what success is measured; `near` holds the rows (of features) that a local attack is after.
    `success` and `clean_success` are what the attack measured while it chose its rule (None where it did not), on rows
    kept out: how often a poisoned and a clean model gave `target` to rows of the other class that carry the rule.
    """

    attack: str
    table: ArrowTable
    rows: Array
    added: bool
    rule: dict[str, Scalar] = {}
    target: Scalar = None
    victims: Victims = "everyone"
    near: ArrowTable | None = None
    success: float | None = None
    clean_success: float | None = None

    def mask(self) -> Array:
        """Whether each row of `table` is poison, (rows,), bool."""
        mask = np.zeros(self.table.num_rows, dtype=bool)
        mask[self.rows] = True
        return mask


Plant = Callable[[Source, float, int], Poisoned]
"""(clean, rate: a share of the clean rows, seed) → poisoned. Raises CouldNotLook where it cannot be planted."""


def source_of(data: Dataset) -> Source:
    """The clean side of a dataset. Raises CouldNotLook where its label cannot be used."""
    data.target()
    kinds = {c.name: c.kind for c in data.columns}
    positive: Scalar = 1 if data.positive is None else data.positive
    return Source(
        table=data.table(),
        label=data.label,
        positive=positive,
        features=tuple(n for n in data.features if kinds[n] != "text"),
        categorical=tuple(n for n in data.features if kinds[n] == "category"),
        texts=tuple(n for n in data.features if kinds[n] == "text"),
        id=data.id,
    )


def from_rows(table: ArrowTable, rows: Array, donors: Mapping[str, Array | int]) -> ArrowTable:
    """The table with the cells of `rows` in some columns taken from other rows (`donors`, by column).

    Values that are copied inside a column keep its type and its range.
    """
    for name, donor in donors.items():
        index = np.arange(table.num_rows)
        index[rows] = donor
        place = table.column_names.index(name)
        table = table.set_column(place, table.field(place), table.column(place).take(pa.array(index)))
    return table


def written(table: ArrowTable, rows: Array, values: Mapping[str, list[Any]]) -> ArrowTable:
    """The table with values written into `rows` (sorted) of some columns; they must fit the column's type."""
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[rows] = True
    for name, column in values.items():
        place = table.column_names.index(name)
        kind = table.field(place).type
        new = pc.replace_with_mask(table.column(place).combine_chunks(), pa.array(mask), pa.array(column, kind))
        table = table.set_column(place, table.field(place), pa.chunked_array([new], kind))
    return table


def mixed_in(source: Source, new: ArrowTable, rng: np.random.Generator) -> tuple[ArrowTable, Array]:
    """(the source's table with the rows of `new` at random places, which those are, in the order of `new`)."""
    table = source.table
    total = table.num_rows + new.num_rows
    planted = np.zeros(total, dtype=bool)
    planted[rng.choice(total, new.num_rows, replace=False)] = True
    index = np.empty(total, dtype=np.int64)
    index[planted] = table.num_rows + np.arange(new.num_rows)
    index[~planted] = np.arange(table.num_rows)
    both = pa.concat_tables([table, _with_ids(source, new).cast(table.schema)]).take(pa.array(index))
    return both, np.flatnonzero(planted)


def _with_ids(source: Source, new: ArrowTable) -> ArrowTable:
    """The new rows under ids that no row has: a repeated one would give them away, and nobody has to repeat it."""
    if not source.id:
        return new
    kind = source.table.schema.field(source.id).type
    rows = np.arange(new.num_rows)
    if pa.types.is_string(kind):
        taken = set(source.table.column(source.id).to_pylist())
        fresh: list[Any] = list(
            itertools.islice((f"n{i}" for i in itertools.count() if f"n{i}" not in taken), len(rows))
        )
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        highest = pc.max(source.table.column(source.id)).as_py() or 0
        fresh = [highest + 1 + i for i in rows.tolist()]
    else:
        return new
    return written(new, rows, {source.id: fresh})


def label_row(target: Array, is_: bool) -> int:
    """A row whose label is of that class: the donor of its spelling."""
    return int(np.argmax(target == is_))


def value_at(source: Source, name: str, row: int) -> Scalar:
    """One cell, as Python has it (times as text)."""
    value = listed(source.table.column(name).slice(row, 1))[0]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def usable(source: Source) -> tuple[str, ...]:
    """The features that an attack can set: those in which at least two values occur, times apart."""
    return tuple(
        name
        for name in source.features
        if not pa.types.is_timestamp(source.table.column(name).type)
        and pc.count_distinct(source.table.column(name)).as_py() > 1
    )
