"""Moves of two inputs that a relation ties together, where one of them alone would break it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from assay.attacks.priced.order import rank
from assay.attacks.relations import Relation, plain
from assay.attacks.space import Array, Axis, Space

CELLS = 2_000_000  # of one grid of candidates at a time


def joint(space: Space, most: int) -> tuple[Array, Array]:
    """(ids (q,), choices (q, m)), each row's in order of cost, at most the `most` cheapest of it: for every move that
    breaks a relation by itself, with every other input that the relation reads, the cheapest move of that one with
    which all relations hold.

    Only values among the usual candidates: two columns of fractions that must be equal to the last digit seldom share
    one. Of three inputs or more that only move together there is nothing here.
    """
    can = space.possible()
    tied = {
        pair
        for relation in space.constraints
        for pair in combinations([j for j, a in enumerate(space.axes) if a.name in relation.columns], 2)
    }
    moves, prices = np.zeros((0, 5), dtype=int), np.zeros(0)  # row, axis and candidate, axis and candidate
    for a, b in sorted(tied):
        widths = [space.axes[j].cost.shape[1] for j in (a, b)]
        block = max(1, CELLS // (widths[0] * widths[1]))
        for start in range(0, space.size, block):
            rows = np.arange(start, min(space.size, start + block))
            for row, first, second, price in _partners(_priced(space, can, rows, a, b)):
                pair = (rows[row], np.full(len(row), a), first, np.full(len(row), b), second)
                moves, prices = np.vstack([moves, np.column_stack(pair)]), np.append(prices, price)
            moves, prices = _cheapest(moves, prices, most)
    choice = space.keep(len(moves))
    for axis, candidate in ((1, 2), (3, 4)):
        choice[np.arange(len(moves)), moves[:, axis]] = moves[:, candidate]
    return moves[:, 0], choice


def _partners(cost: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Of costs (n, k, l): (row, k, l, cost) of the cheapest l for every k, then of the cheapest k for every l."""
    for axis in (2, 1):
        best, least = cost.argmin(axis=axis), cost.min(axis=axis)
        row, mine = np.nonzero(np.isfinite(least))
        other = best[row, mine]
        yield row, *((mine, other) if axis == 2 else (other, mine)), least[row, mine]


def _cheapest(moves: Array, prices: Array, most: int) -> tuple[Array, Array]:
    """The `most` cheapest moves (q, 5) of each row, each once, in order of row and cost."""
    moves, first = np.unique(moves, axis=0, return_index=True)
    prices = prices[first]
    order = np.lexsort((prices, moves[:, 0]))  # stable, so equal prices stay in the order of the moves
    order = order[rank(moves[order, 0]) < most]
    return moves[order], prices[order]


def _priced(space: Space, can: Array, rows: Array, a: int, b: int) -> Array:
    """The cost (n, k, l) of moving axes `a` and `b` together; inf where a relation breaks, or where both may move
    alone: those come among all combinations."""
    first, second = (space.axes[j].cost.shape[1] for j in (a, b))
    alone = can[rows, a, :first, None] & can[rows, b, None, :second]
    costs = space.usual(rows)
    cost = costs[:, a, :first, None] + costs[:, b, None, :second]
    holds = ~alone & np.isfinite(cost)
    names = {space.axes[a].name, space.axes[b].name}
    values = {
        space.axes[a].name: _values(space.axes[a], rows)[:, :, None],
        space.axes[b].name: _values(space.axes[b], rows)[:, None, :],
    }
    for relation in space.constraints:
        if names & set(relation.columns):
            holds &= _holds(space, relation, rows, values)
    return np.where(holds, cost, np.inf)


def _holds(space: Space, relation: Relation, rows: Array, values: dict[str, Array]) -> Array:
    """Whether a relation holds for candidate values; as in `satisfied`, a missing value is not held against a row."""
    columns = dict(values)
    missing = np.zeros((len(rows), 1, 1), dtype=bool)
    for name in relation.columns:
        if name not in columns:
            column = space.rows.column(name).take(rows)
            columns[name] = plain(column)[:, None, None]
            missing |= np.asarray(column.is_null())[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(relation(columns), dtype=bool) | missing


def _values(axis: Axis, rows: Array) -> Array:
    """The raw values (n, k) of an axis's candidates."""
    if not axis.levels:
        return axis.codes[rows]
    levels = np.array(axis.levels, dtype=None if isinstance(axis.levels[0], bool | int | float) else object)
    return levels[axis.codes[rows].astype(int)]
