"""The cheapest change that a person can make and that alters a decision, or the proof that there is none.

Recourse (Ustun et al. 2019; Wachter et al. 2018) is evasion under an honest person's constraints: the same search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.attacks.sanity import refuse_unstable
from assay.attacks.space import Array, NothingMovesError, Space
from assay.attacks.strike import Asked, struck
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Access, Contract

QUERIES = 600


class Known(msgspec.Struct, frozen=True):
    """What a search rests on: what people can change, rows that the model knows, the kinds of their columns, rows that
    it lets pass."""

    contract: Contract
    rows: ArrowTable
    kinds: Mapping[str, str]
    passing: ArrowTable

    def only(self, names: set[str]) -> Known:
        """The same, with all other columns unchangeable."""
        features = {
            n: f if n in names else msgspec.structs.replace(f, mutable=False) for n, f in self.contract.features.items()
        }
        return msgspec.structs.replace(self, contract=msgspec.structs.replace(self.contract, features=features))

    def changeable(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """The inputs that a person can change."""
        return tuple(n for n in inputs if n in self.contract.features and self.contract.features[n].mutable)


class Actions(msgspec.Struct, frozen=True):
    """Per row (k,): whether a change that passes was `found`, whether it is `proved` that there is none, its cost (inf
    where none was found); `changed` (k, m) says which of the m `names` it changes, `table` holds the changed rows;
    `access` is how the model was searched, `instead` why it was not read though it can be."""

    found: Array
    proved: Array
    cost: Array
    names: tuple[str, ...]
    changed: Array
    table: ArrowTable
    access: Access | None = None
    instead: str = ""


def actions(
    model: BasePredictor, rows: ArrowTable, known: Known, seed: int = 0, progress: Progress = silent
) -> Actions:
    """The cheapest change of each of `rows` (k), which the model flags, by reading the model where that can be done,
    else by what it answers. Where nothing may change that is the proof. Raises CouldNotLook."""
    count, none = rows.num_rows, np.zeros(rows.num_rows, dtype=bool)
    refuse_unstable(model, rows)
    if not known.changeable(tuple(model.features)) or not _axes(model, rows, known):
        return Actions(none, ~none, np.full(count, np.inf), (), np.zeros((count, 0), dtype=bool), rows)
    space, attacked, access, instead = _struck(model, rows, known, seed, progress)
    found = np.isfinite(attacked.distance)
    table = _trimmed(model, space, attacked.table, np.flatnonzero(found))
    names = tuple(axis.name for axis in space.axes)
    changed = np.column_stack([_differs(space.rows, table, name) for name in names])
    cost = np.full(count, np.inf)
    where = np.flatnonzero(found)
    if len(where):
        cost[where] = space.price(where, table.take(where))
    return Actions(found, ~found & np.isinf(attacked.bound), cost, names, changed, table, access, instead)


def space_of(model: BasePredictor, rows: ArrowTable, known: Known) -> Space:
    """What people can change in `rows`. Raises CouldNotLook where that is nothing."""
    return Space(rows, known.contract, known.rows, known.kinds, tuple(model.features))


def _axes(model: BasePredictor, rows: ArrowTable, known: Known) -> bool:
    """Whether any row has a permitted value other than its own, for any input; a contract that is wrong is told."""
    try:
        space_of(model, rows, known)
    except NothingMovesError:
        return False
    return True


def _struck(
    model: BasePredictor, rows: ArrowTable, known: Known, seed: int, progress: Progress
) -> tuple[Space, Any, Access, str]:
    against = (known.contract, known.rows, known.kinds, tuple(model.features))
    asked: tuple[Access, ...] = ("whitebox",) if model.readable(known.rows) else ()
    instead = ""
    for access in (*asked, model.access):
        try:
            how = Asked("cost", access, float("inf"), QUERIES, seed, progress)
            return *struck(model, rows, known.passing, against, how), access, instead
        except CouldNotLook as why:
            reason, instead = why, str(why)
    raise reason


def _differs(old: ArrowTable, new: ArrowTable, name: str) -> Array:
    pairs = zip(old.column(name).to_pylist(), new.column(name).to_pylist(), strict=True)
    return np.array([a != b and not (a != a and b != b) for a, b in pairs], dtype=bool)


def _trimmed(model: BasePredictor, space: Space, table: ArrowTable, rows: Array) -> ArrowTable:
    """The changed rows without changes that are not needed: put back one by one, the dearest first."""
    if not len(rows):
        return table
    for axis in sorted(space.axes, key=lambda a: -a.price):
        mine = rows[_differs(space.rows, table, axis.name)[rows]]
        if not len(mine):
            continue
        fewer = with_column(table.take(mine), axis.name, space.rows.column(axis.name).take(mine))
        same = ~model.flagged(fewer) & space.valid(fewer)
        if same.any():
            back = np.zeros(table.num_rows, dtype=bool)
            back[mine[same]] = True
            table = with_column(table, axis.name, _either(back, space.rows.column(axis.name), table.column(axis.name)))
    return table


def _either(first: Array, a: Any, b: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(first), a, b)


def with_column(table: ArrowTable, name: str, column: Any) -> ArrowTable:
    """The table with another column of that name."""
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), column)
