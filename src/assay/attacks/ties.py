"""Moves of two inputs that a relation ties together, where one of them alone would break it."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from assay.attacks.space import Array, Axis, Space, plain
from assay.config.constraints import Constraint

CELLS = 2_000_000  # of one grid of candidates at a time


def joint(space: Space) -> tuple[Array, Array]:
    """(ids (q,), choices (q, m)), each row's in order of cost: for every move that breaks a relation by itself, with
    every other input that the relation reads, the cheapest move of that one with which all relations hold.

    Only values among the candidates: two columns of fractions that must be equal to the last digit seldom share one.
    """
    can = space.possible()
    tied = {
        pair
        for relation in space.constraints
        for pair in combinations([j for j, a in enumerate(space.axes) if a.name in relation.columns], 2)
    }
    found: dict[tuple[int, ...], float] = {}
    for a, b in sorted(tied):
        widths = [space.axes[j].cost.shape[1] for j in (a, b)]
        block = max(1, CELLS // (widths[0] * widths[1]))
        for start in range(0, space.size, block):
            rows = np.arange(start, min(space.size, start + block))
            cost = _priced(space, can, rows, a, b)
            for partner in (1, 2):
                best = np.expand_dims(cost.argmin(axis=partner), partner)
                least = np.take_along_axis(cost, best, axis=partner)
                for row, k, m in np.argwhere(np.isfinite(least)).tolist():
                    price, chosen = float(least[row, k, m]), int(best[row, k, m])
                    first, second = (chosen, m) if partner == 1 else (k, chosen)
                    found[int(rows[row]), a, first, b, second] = price
    moves = sorted(found, key=lambda move: (move[0], found[move], move))
    choice = space.keep(len(moves))
    for at, (_, a, first, b, second) in enumerate(moves):
        choice[at, a], choice[at, b] = first, second
    return np.array([move[0] for move in moves], dtype=int), choice


def _priced(space: Space, can: Array, rows: Array, a: int, b: int) -> Array:
    """The cost (n, k, l) of moving axes `a` and `b` together; inf where a relation breaks, or where both may move
    alone: those come among all combinations."""
    first, second = (space.axes[j].cost.shape[1] for j in (a, b))
    alone = can[rows, a, :first, None] & can[rows, b, None, :second]
    cost = space.costs[rows, a, :first, None] + space.costs[rows, b, None, :second]
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


def _holds(space: Space, relation: Constraint, rows: Array, values: dict[str, Array]) -> Array:
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
