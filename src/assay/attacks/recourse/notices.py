"""Up to three different ways for one person to get another decision, sparse first, in numbers that a person would say.

Sets of columns differ and none holds another (diverse counterfactuals, Mothilal et al. 2020); every one is asked of the
real model again, after its numbers were rounded.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.adapters.predictor_base import BasePredictor
from assay.attacks.recourse.actions import Actions, Known, actions, space_of, with_column
from assay.attacks.space import Array, Axis, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable

MOST = 3
FROZEN = 6
DEARER = 1.1
"""What a round number may cost beside the nearest one that passes."""
DIGITS = 12
SECTIONS, TURNS = 64, 4
"""Values asked between two at a time, and how often: to a 16-millionth of their distance."""


class Change(msgspec.Struct, frozen=True):
    """One column of a notice: its value as it is and as it would have to be; `places` up or down where it is ordered,
    by how much where whole numbers tell it, else 0; `listed` says that it is a category, though numbers may tell it."""

    column: str
    old: Any
    new: Any
    places: int = 0
    listed: bool = False


class Notice(msgspec.Struct, frozen=True):
    """Changes that together alter the decision, and their cost by the contract."""

    changes: tuple[Change, ...]
    cost: float


class Told(msgspec.Struct, frozen=True):
    """What a person is told: notices, or none with whether that is `proved`."""

    notices: tuple[Notice, ...]
    proved: bool


def notices(model: BasePredictor, row: ArrowTable, known: Known, seed: int = 0) -> Told:
    """What could be changed in one row (a table of one) that the model flags. Raises CouldNotLook."""
    whole = actions(model, row, known, seed)
    if not whole.found[0]:
        return Told((), bool(whole.proved[0]))
    space = space_of(model, row, known)
    made: dict[frozenset[str], Notice] = {}
    for found in [whole, *_singles(model, row, known, space, whole, seed), *_others(model, row, known, whole, seed)]:
        names = frozenset(_used(found))
        notice = _notice(model, space, found.table, names)
        if notice is not None and (names not in made or notice.cost < made[names].cost):
            made[names] = notice
    least = {names: n for names, n in made.items() if not any(other < names for other in made)}
    order = sorted(least.values(), key=lambda n: (len(n.changes), n.cost, [c.column for c in n.changes]))
    told = order[:MOST]
    if order and (cheapest := min(order, key=lambda n: n.cost)) not in told:
        told[-1] = cheapest
    return Told(tuple(told), False)


def _singles(
    model: BasePredictor, row: ArrowTable, known: Known, space: Space, whole: Actions, seed: int
) -> list[Actions]:
    """The cheapest change of each column that alters the decision alone; not of trees, where that is `whole`."""
    found, used = [], _used(whole)
    can = space.possible()[0]
    trees = model.readable(known.rows) and isinstance(model.read(known.rows), Trees)
    for j, axis in enumerate(space.axes):
        places = np.flatnonzero(can[j])
        if not len(places) or (trees and used == [axis.name]):
            continue
        choice = space.keep(len(places))
        choice[:, j] = places
        table = space.build(np.zeros(len(places), dtype=int), choice)
        passes = np.flatnonzero(~np.asarray(model.flagged(table)))
        if len(passes) and axis.levels:  # these are all that it can be: the cheapest that passes is the answer
            best = passes[np.argmin(space.costs[0, j, places[passes]])]
            found.append(_alone(axis, table.slice(int(best), 1), float(space.costs[0, j, places[best]])))
        elif len(passes) and trees:  # exact, where a cell may lie between two values
            found += _tried(model, row, known.only({axis.name}), seed)
        elif len(passes):
            found += _nearer(model, space, j, axis.codes[0, places[passes]])
    return found


def _nearer(model: BasePredictor, space: Space, j: int, passing: Array) -> list[Actions]:
    """The nearest change of one number up, and down, that passes: between one of its values that does, of `passing`
    (k,), and the person's own the first of SECTIONS that passes, again and again."""
    axis, found = space.axes[j], []
    own = float(axis.origin[0])
    for side in (passing[passing > own], passing[passing < own]):
        if not len(side):
            continue
        near, far = float(side[np.argmin(np.abs(side - own))]), own
        for _ in range(TURNS):
            codes = _between(axis, far, near)
            if not len(codes):
                break
            passes = np.flatnonzero(_pass(model, space, _moved(space, j, codes)))
            first = int(passes[0]) if len(passes) else len(codes)
            near = float(codes[first]) if len(passes) else near
            far = float(codes[first - 1]) if first else far
        price = float(axis.costs(np.array(own), np.array(near)))
        found.append(_alone(axis, _moved(space, j, np.array([near])), price))
    return found


def _between(axis: Axis, far: float, near: float) -> Array:
    """Up to SECTIONS permitted values between two, in order from the first."""
    start, step = axis.grid
    codes = np.linspace(far, near, SECTIONS + 2)[1:-1]
    if step:
        codes = axis.spelled(start + step * np.round((codes - start) / step))
    codes = codes[np.isfinite(axis.costs(axis.origin[0], codes)) & ((codes - far) * (near - codes) > 0)]
    return np.unique(codes)[:: 1 if near > far else -1]


def _moved(space: Space, j: int, codes: Array) -> ArrowTable:
    """The row with each of the values (q,) of one column."""
    moves = np.full((len(codes), len(space.axes)), np.nan)
    moves[:, j] = codes
    return space.moved(np.zeros(len(codes), dtype=int), moves)


def _alone(axis: Axis, table: ArrowTable, cost: float) -> Actions:
    """One change of one column."""
    yes = np.ones(1, dtype=bool)
    return Actions(yes, ~yes, np.array([cost]), (axis.name,), yes[:, None], table)


def _others(model: BasePredictor, row: ArrowTable, known: Known, whole: Actions, seed: int) -> list[Actions]:
    """The cheapest changes without one of the columns that the cheapest one changes, and without all of them."""
    used = _used(whole)
    free = set(known.changeable(tuple(model.features)))
    without = [free - set(used), *(free - {name} for name in used[:FROZEN] if len(used) > 1)]
    return [found for names in without if names for found in _tried(model, row, known.only(names), seed)]


def _used(found: Actions) -> list[str]:
    return [n for n, c in zip(found.names, found.changed[0], strict=True) if c]


def _tried(model: BasePredictor, row: ArrowTable, known: Known, seed: int) -> list[Actions]:
    """A search that may come to nothing: another way is no more than one more."""
    try:
        found = actions(model, row, known, seed)
    except CouldNotLook:
        return []
    return [found] if found.found[0] else []


def _notice(model: BasePredictor, space: Space, table: ArrowTable, names: frozenset[str]) -> Notice | None:
    """The change of one row in round numbers; None where the real model does not agree."""
    axes = [a for a in space.axes if a.name in names]
    table = table.select(space.rows.column_names)
    for axis in axes:
        if not axis.levels:
            table = _rounded(model, space, table, axis)
    cost = float(space.price(np.zeros(1, dtype=int), table)[0])
    if not _pass(model, space, table)[0] or not math.isfinite(cost):
        return None
    return Notice(tuple(_change(axis, space.rows, table) for axis in axes), cost)


def _pass(model: BasePredictor, space: Space, table: ArrowTable) -> Array:
    """Whether each row (q,) passes, and keeps every relation."""
    return ~np.asarray(model.flagged(table)) & space.valid(table)


def _rounded(model: BasePredictor, space: Space, table: ArrowTable, axis: Axis) -> ArrowTable:
    """The row with the roundest number, away from the person's own, that costs little more and still passes."""
    own, new = float(axis.origin[0]), float(axis.place(table.column(axis.name).to_pylist())[0])
    price = float(axis.costs(np.array(own), np.array(new)))
    top = math.floor(math.log10(max(abs(own), abs(new), 1e-12)))
    for power in range(top, top - DIGITS, -1):
        unit = 10.0**power
        code = round((math.ceil if new > own else math.floor)(new / unit - math.copysign(1e-9, new - own)) * unit, 15)
        code = round(code, -power) if power < 0 else code
        if not float(axis.costs(np.array(own), np.array(code))) <= price * DEARER:
            continue
        type_ = table.schema.field(axis.name).type
        tried = with_column(table, axis.name, axis.written(np.array([code]), type_))
        if _pass(model, space, tried)[0]:
            return tried
    return table


def _change(axis: Axis, old: ArrowTable, new: ArrowTable) -> Change:
    now, then = (t.column(axis.name)[0].as_py() for t in (old, new))
    places, words = 0, any(isinstance(v, bool) or not isinstance(v, int | float) for v in (now, then))
    if axis.ordered and (axis.levels or axis.integer):
        origin, code = (axis.place([v])[0] if words else float(v) for v in (now, then))
        if np.isfinite([origin, code]).all() and float(origin).is_integer() and float(code).is_integer():
            places = int(code - origin)
    return Change(axis.name, now, then, places, bool(axis.levels) and not axis.ordered)
