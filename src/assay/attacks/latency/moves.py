"""What may be written into an input to make a model slow: ends, nulls, tiny and huge numbers, long and unseen words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import numbers
from assay.adapters.values import same_value
from assay.attacks.relations import Relation, relations, satisfied
from assay.core.protocols import ArrowTable
from assay.core.subject import Contract, Feature

NUMBERS = (0.0, -1.0, 5e-324, 1e-300, 1e30, 1e300, -1e300, float("inf"))
LONG = 20_000
LEVELS = 6


class Moves(msgspec.Struct, frozen=True):
    """For each of m inputs that may be changed its `names` and `values` (Python scalars, None is a missing value);
    relations that a changed row must keep; rows that are changed keep the types of `like`."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    features: Mapping[str, Feature]
    constraints: tuple[Relation, ...]

    def build(self, row: ArrowTable, choice: tuple[int, ...]) -> ArrowTable | None:
        """One row with the value of each place of `choice` (m,) written in, −1 for its own; None where that is not
        permitted: a direction is broken, or a relation."""
        import pyarrow as pa

        for name, values, place in zip(self.names, self.values, choice, strict=True):
            if place < 0:
                continue
            value = values[place]
            if not self._toward(name, row, value):
                return None
            at = row.schema.get_field_index(name)
            type_ = row.schema.field(at).type
            if isinstance(value, float) and pa.types.is_integer(type_):
                type_ = pa.float64()
            row = row.set_column(at, name, pa.array([value], type_))
        return row if not self.constraints or bool(satisfied(self.constraints, row)[0]) else None

    def _toward(self, name: str, row: ArrowTable, value: Any) -> bool:
        feature = self.features.get(name)
        if feature is None or feature.direction == "both" or value is None:
            return True
        own = row.column(name)[0].as_py()
        if feature.order:
            before, after = (float(_rank(feature.order, v)) for v in (own, value))
        elif isinstance(own, int | float) and isinstance(value, int | float):
            before, after = float(own), float(value)
        else:
            return False
        return after >= before if feature.direction == "up" else after <= before


def moves(known: ArrowTable, inputs: tuple[str, ...], kinds: Mapping[str, str], contract: Contract) -> Moves:
    """What an attacker may write within the contract; without one (no features, or `free`) anything, nulls and all.

    `known` are rows that the model knows, for ends and levels. Times are left as they are.
    """
    told = contract.columns
    bound = bool(told) and not contract.free
    names, values = [], []
    for name in inputs:
        feature = told.get(name)
        if kinds.get(name) == "time" or (bound and (feature is None or not feature.mutable)):
            continue
        column = known.column(name).combine_chunks()
        offered = _offered(column, kinds.get(name, ""), feature if bound else None)
        if offered:
            names.append(name)
            values.append(offered)
    constraints = relations(contract) if bound else ()
    return Moves(tuple(names), tuple(values), told if bound else {}, constraints)


def _rank(order: tuple[Any, ...], value: Any) -> int:
    return next((i for i, level in enumerate(order) if same_value(level, value)), -1)


def _offered(column: Any, kind: str, feature: Feature | None) -> tuple[Any, ...]:
    import pyarrow as pa

    null = (None,) if feature is None or feature.nullable else ()
    listed = () if feature is None else feature.order or feature.categories
    present = [v for v in column.unique().to_pylist() if v is not None]
    if listed:
        return (*[p for p in present if any(same_value(p, o) for o in listed)], *null)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return (*sorted(present)[:LEVELS], "", "never seen before", "é" * LONG, *null)
    if kind not in ("number", "integer"):
        return (*present[:LEVELS], *null)
    known = numbers(column)
    known = known[np.isfinite(known)]
    ends = [float(known.min()), float(known.max())] if len(known) else []
    if feature is None:
        return (*dict.fromkeys([*ends, *NUMBERS]), *null)
    low = feature.min if feature.min is not None else min(ends, default=0.0)
    high = feature.max if feature.max is not None else max(ends, default=0.0)
    inside = [v for v in (*ends, *NUMBERS) if low <= v <= high]
    whole = kind == "integer" or feature.integer
    step = feature.step
    if step:  # on its grid, as the contract counts it
        inside = [low + round((v - low) / step) * step for v in inside]
        inside = [v for v in inside if low <= v <= high]
        high = low + np.floor((high - low) / step + 1e-9) * step
    numbers_ = [v for v in dict.fromkeys([low, float(high), *inside]) if not whole or v == np.round(v)]
    return (*numbers_, *null)
