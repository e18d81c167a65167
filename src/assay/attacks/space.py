"""What an attacker can do to given rows: candidate values, their cost, and the relations that must hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from assay.adapters.values import same_value
from assay.config.constraints import Constraint
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature
from assay.core.text import visible

Array = Any
MOST = 64
MOST_LEVELS = 500
STEPS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0])
KEEP = -1


class Axis:
    """One mutable feature over n rows: `codes` (n, k) candidate values, `cost` (n, k), inf where not allowed.

    For categories a code is a place in `levels`; for numbers it is the value itself.
    """

    def __init__(self, name: str, feature: Feature, column: Any, reference: Any, kind: str) -> None:
        self.name, self.feature = name, feature
        self.integer = kind == "integer" or feature.integer
        self.levels: tuple[Any, ...] = ()
        self.origin: Array
        self.codes: Array
        self.cost: Array
        if feature.order or feature.categories or kind in ("category", "text", "boolean"):
            self._categories(column, reference)
        else:
            self._numbers(column, reference)
        self.cost = np.where(self.codes == self.origin[:, None], np.inf, self.cost)

    def _categories(self, column: Any, reference: Any) -> None:
        declared = self.feature.order or self.feature.categories
        present = reference.column(self.name).unique().to_pylist()
        if declared:
            found = [next((p for p in present if same_value(p, d)), None) for d in declared]
            self.levels = tuple(p for p in found if p is not None)
        else:
            self.levels = tuple(sorted((p for p in present if p is not None), key=str))
            if len(self.levels) > MOST_LEVELS:
                raise CouldNotLook(
                    f"{self.name} has {len(self.levels)} categories; list those that count in `categories:`"
                )
        place = {level: i for i, level in enumerate(self.levels)}
        self.origin = np.array([place.get(v, np.nan) for v in column.to_pylist()], dtype=float)
        k = len(self.levels)
        self.codes = np.broadcast_to(np.arange(k, dtype=float), (len(self.origin), k))
        if self.feature.order:
            move = self.codes - self.origin[:, None]
            self.cost = self._directed(np.abs(move) * self.feature.cost, move)
        else:
            known = ~np.isnan(self.origin)[:, None]
            self.cost = np.where(known, self.feature.cost, np.inf) + np.zeros((len(self.origin), k))

    def _numbers(self, column: Any, reference: Any) -> None:
        f = self.feature
        self.origin = column.to_numpy(zero_copy_only=False).astype(float)
        known = reference.column(self.name).to_numpy().astype(float)
        known = known[np.isfinite(known)]
        if not len(known):
            known = np.zeros(1)
        scale = f.scale or float(known.std()) or 1.0
        low = f.min if f.min is not None else float(known.min())
        high = f.max if f.max is not None else float(known.max())
        if f.step is not None:
            start = f.min if f.min is not None else low
            count = min(int((high - start) / f.step + 1e-9), 512) + 1
            grid = start + f.step * np.arange(count)
            codes = np.broadcast_to(grid, (len(self.origin), count)).copy()
        elif self.integer and high - low <= MOST:
            grid = np.arange(np.ceil(low), np.floor(high) + 1)
            codes = np.broadcast_to(grid, (len(self.origin), len(grid))).copy()
        else:
            quantiles = np.unique(np.quantile(known, np.linspace(0, 1, 17)))
            near = self.origin[:, None] + np.concatenate([-STEPS, STEPS]) * scale
            codes = np.hstack([near, np.broadcast_to(quantiles, (len(self.origin), len(quantiles)))])
            codes = np.round(codes) if self.integer else codes
        self.codes = np.clip(codes, low, high) if f.step is None else codes
        move = self.codes - self.origin[:, None]
        self.cost = self._directed(np.abs(move) / scale * f.cost, move)

    def _directed(self, cost: Array, move: Array) -> Array:
        wrong = np.isnan(move)
        if self.feature.direction == "up":
            wrong |= move < 0
        elif self.feature.direction == "down":
            wrong |= move > 0
        return np.where(wrong, np.inf, cost)

    def place(self, values: Array) -> Array:
        """The code of raw values (n,), NaN for a category that is not listed."""
        if self.levels:
            known = {level: float(i) for i, level in enumerate(self.levels)}
            return np.array([known.get(v, np.nan) for v in values.tolist()], dtype=float)
        return values.astype(float)

    def change(self, row: int, choice: int) -> str:
        """The change in words that reveal no more of the row than the change itself."""
        code, origin = float(self.codes[row, choice]), float(self.origin[row])
        if self.feature.order:
            places = int(code - origin)
            return f"{places:+d} place{'s' if abs(places) != 1 else ''}".replace("-", "−")
        if self.levels:
            return f"→ {self.levels[int(code)]}"
        return f"{code - origin:+.4g}".replace("-", "−")


class Space:
    """Everything an attacker may change in `rows` (an Arrow table of n rows), under the feature contract.

    A choice is an int array (q, m): for each of m mutable features the place of a candidate, or KEEP. Raises
    CouldNotLook where the contract leaves nothing to change.
    """

    def __init__(
        self, rows: Any, contract: Contract, reference: Any, kinds: Mapping[str, str], inputs: tuple[str, ...]
    ) -> None:
        self.rows = rows
        self._constraints = [Constraint(text) for text in contract.constraints]
        self.axes = [
            Axis(name, feature, rows.column(name).combine_chunks(), reference, kinds[name])
            for name, feature in contract.features.items()
            if feature.mutable and name in inputs and name in rows.column_names
        ]
        self.axes = [a for a in self.axes if np.isfinite(a.cost).any()]
        self.undeclared = tuple(name for name in inputs if name not in contract.features)
        if not self.axes:
            raise CouldNotLook(
                "the feature contract lets an attacker change nothing; declare `features:` in assay.yaml"
            )
        self.size = rows.num_rows
        self.width = max(a.cost.shape[1] for a in self.axes)
        self.costs = np.full((self.size, len(self.axes), self.width), np.inf)
        for j, axis in enumerate(self.axes):
            self.costs[:, j, : axis.cost.shape[1]] = axis.cost

    def keep(self, count: int) -> Array:
        """A choice that changes nothing, shape (count, m)."""
        return np.full((count, len(self.axes)), KEEP, dtype=np.int16)

    def cost(self, ids: Array, choice: Array) -> Array:
        """Cost of each choice for its row, shape (q,); inf where a part is not allowed."""
        taken = np.take_along_axis(self.costs[ids], np.maximum(choice, 0)[:, :, None].astype(int), axis=2)[:, :, 0]
        return np.where(choice == KEEP, 0.0, taken).sum(axis=1)

    def build(self, ids: Array, choice: Array) -> Any:
        """The changed rows as an Arrow table of q rows with the columns and types of `rows`."""
        import pyarrow as pa

        table = self.rows.take(pa.array(ids))
        for j, axis in enumerate(self.axes):
            changed = np.flatnonzero(choice[:, j] != KEEP)
            if not len(changed):
                continue
            place = table.schema.get_field_index(axis.name)
            field = table.schema.field(place)
            codes = axis.codes[ids[changed], choice[changed, j]]
            old = table.column(place).to_numpy().copy() if not axis.levels else table.column(place).to_pylist()
            if axis.levels:
                for at, code in zip(changed.tolist(), codes.astype(int).tolist(), strict=True):
                    old[at] = axis.levels[code]
                column = pa.array(old, type=field.type)
            else:
                new = old.astype(float)
                new[changed] = codes
                column = pa.array(new, from_pandas=True).cast(field.type, safe=False)
            table = table.set_column(place, field, column)
        return table

    def valid(self, table: Any) -> Array:
        """Whether each row satisfies every relation, shape (q,), bool."""
        return satisfied(self._constraints, table)


def satisfied(constraints: Iterable[Constraint], table: Any) -> Array:
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


def plain(column: Any) -> Array:
    """A column as an array that can be compared: missing words and truth values filled in, missing numbers NaN."""
    kind = str(column.type)
    if kind in ("string", "large_string"):
        column = column.fill_null("")
    elif kind == "bool":
        column = column.fill_null(False)
    return column.to_numpy()
