"""What must hold in every row: the relations of a contract, and that one column of each one-hot group is 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from assay.config.constraints import Constraint
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Contract, Feature
from assay.core.text import visible

_NO = Feature()
"""What is known of a column of which nothing is said."""


class Relation(Protocol):
    """What holds of a row or does not; `columns` are the names it reads, `text` is how it is told."""

    text: str
    columns: tuple[str, ...]

    def __call__(self, columns: Mapping[str, Any]) -> Any:
        """Whether it holds, by arrays of the columns' values; the result has their shape, bool."""


class OneHot:
    """That of a group's columns, all of them 0 or 1, one is 1, or none where all 0 is a value too."""

    def __init__(self, name: str, feature: Feature) -> None:
        self.columns, self.none = feature.one_hot, bool(feature.all_zero)
        self.text = f"{name}: {'at most one' if self.none else 'one'} of its {len(self.columns)} columns is 1, others 0"

    def __call__(self, columns: Mapping[str, Any]) -> Any:
        """See `Relation`."""
        ones, clean = 0, True
        for name in self.columns:
            value = columns[name]
            one = value == 1
            ones, clean = ones + one * 1, clean & (one | (value == 0))
        return clean & ((ones <= 1) if self.none else (ones == 1))


class Grouped:
    """A relation that speaks of one-hot groups by name, told of their columns."""

    def __init__(self, constraint: Constraint, groups: Mapping[str, Feature]) -> None:
        self.constraint, self.text = constraint, constraint.text
        self.groups = {name: groups[name] for name in constraint.columns if name in groups}
        members = [column for feature in self.groups.values() for column in feature.one_hot]
        self.columns = (*(name for name in constraint.columns if name not in self.groups), *members)

    def __call__(self, columns: Mapping[str, Any]) -> Any:
        """See `Relation`."""
        told = dict(columns)
        for name, feature in self.groups.items():
            value: Any = feature.all_zero
            for column in feature.one_hot:
                value = np.where(columns[column] == 1, column, value)
            told[name] = value
        return self.constraint(told)


def relations(contract: Contract) -> tuple[Relation, ...]:
    """Everything that must hold in a row."""
    groups = contract.groups
    found: list[Relation] = [OneHot(name, feature) for name, feature in groups.items()]
    for text in contract.constraints:
        constraint = Constraint(text)
        found.append(Grouped(constraint, groups) if groups.keys() & set(constraint.columns) else constraint)
    return tuple(found)


def require_read(contract: Contract, inputs: Iterable[str], label: str | None = None) -> None:
    """Raises CouldNotLook where a relation binds an input that may be moved to a column that the model does not read,
    and that neither is the label nor said to be fixed: an attacker moves both, but an attack moves inputs alone, and
    would hold them for bound."""
    read, columns = set(inputs), contract.columns
    moving = {name for name in read if columns.get(name, _NO).mutable}
    for text in contract.constraints:
        names = Constraint(text).columns
        bound = [name for name in names if name in moving or moving & set(contract.features.get(name, _NO).one_hot)]
        loose = [n for n in names if n != label and _moves_unread(n, contract.features.get(n, _NO), read)]
        if bound and loose:
            what = f"constraint {visible(text)!r} binds {visible(bound[0], 40)} to {visible(loose[0], 40)}"
            fix = f"say `mutable: false` of {visible(loose[0], 40)} in `features:`, or leave the relation out"
            raise CouldNotLook(f"{what}, which the model does not read and may be changed too; {fix}")


def _moves_unread(name: str, told: Feature, read: set[str]) -> bool:
    """Whether a column that the model does not read, nor any of its group, has another value to take."""
    fixed = not told.mutable or (told.min is not None and told.min == told.max)
    return not fixed and not read & {name, *told.one_hot}


def satisfied(constraints: Iterable[Relation], table: ArrowTable) -> Array:
    """Whether each row of an Arrow table satisfies every relation, shape (rows,), bool.

    A row with a missing value in a relation is not held against it, as in data.schema. Raises CouldNotLook for a
    relation that reads a column that is not there, or compares words with numbers.
    """
    holds = np.ones(table.num_rows, dtype=bool)
    for constraint in constraints:
        absent = [name for name in constraint.columns if name not in table.column_names]
        if absent:
            what = f"constraint {visible(constraint.text)!r} reads columns that are not there: {', '.join(absent)}"
            raise CouldNotLook(what)
        missing = np.zeros(table.num_rows, dtype=bool)
        for name in constraint.columns:
            missing |= np.asarray(table.column(name).is_null())
        try:
            with np.errstate(divide="ignore", invalid="ignore"):
                columns = {name: plain(table.column(name)) for name in constraint.columns}
                holds &= np.asarray(constraint(columns), dtype=bool) | missing
        except TypeError:
            raise CouldNotLook(f"constraint {visible(constraint.text)!r} compares words with numbers") from None
    return holds


def telling(contract: Contract, inputs: Iterable[str]) -> list[str]:
    """The columns that tell two rows apart for an attack: what the model reads, and what a relation or group does."""
    related = (name for relation in relations(contract) for name in relation.columns)
    return list(dict.fromkeys((*inputs, *related)))


def attackable(contract: Contract, table: ArrowTable) -> Array:
    """Which rows an attack can start from, (rows,) bool: every relation holds, and no group's columns are missing."""
    holds = satisfied(relations(contract), table)
    for feature in contract.groups.values():
        for column in feature.one_hot:
            holds &= ~np.asarray(table.column(column).is_null())
    return holds


def short(group: str, level: str) -> str:
    """How a value of a one-hot group is told: of `housing` the column `housing_own` is "own"."""
    rest = level.removeprefix(group)
    return rest[1:] if rest != level and len(rest) > 1 and rest[0] in "_=.- :" else level


def plain(column: Any) -> Array:
    """A column as an array that can be compared: missing words and truth values filled in, missing numbers NaN."""
    kind = str(column.type)
    if kind in ("string", "large_string"):
        column = column.fill_null("")
    elif kind == "bool":
        column = column.fill_null(False)
    return column.to_numpy()
