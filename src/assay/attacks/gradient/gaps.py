"""Rows outside their range or between two places of a grid: which of those gaps to cross, one closed form for each
choice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.attacks.gradient.linear import Offers, nearest, taken, told
from assay.attacks.gradient.moves import Moves, Point
from assay.core.protocols import FloatArray as Array

MOST = 8
"""Gaps of a row that are tried in every choice; a row of more keeps what one price for all columns finds."""


def bridged(
    moves: Moves, of: Offers, need: Array, solved: Callable[..., tuple[Point, Array, Array]] = nearest
) -> tuple[Point, Array, Array]:
    """As `solved`, where parts add up: `nearest` pays one price for a unit of gain, which can buy half a gap. With the
    gaps that are crossed laid down nothing but boxes is left, so the best of all choices is the least change, and the
    least of their bounds holds.
    """
    point, can, bound = solved(moves, of, need)
    if not moves.additive or moves.knapsack:
        return point, can, bound
    edge = moves.edges(of.ids, of.gain)
    count = (edge != 0).sum(axis=1)
    rows = np.flatnonzero((count > 0) & (count <= MOST))
    if not len(rows):
        return point, can, bound
    cost = np.where(can, told(moves, of, point).cost, np.inf)
    least = np.full(len(need), np.inf)
    for choice in range(1 << int(count[rows].max())):
        some = rows[choice < (1 << count[rows])]
        there = edge[some] != 0
        crossed = there & ((choice >> (np.cumsum(there, axis=1) - 1)) & 1 == 1)
        held = _held(moves, of.ids[some], edge[some], there, crossed)
        offered = Offers(np.arange(len(some)), of.gain[some], [gains[some] for gains in of.listed])
        at, does, low = solved(held, offered, need[some])
        least[some] = np.minimum(least[some], low)
        new = np.where(does, told(held, offered, at).cost, np.inf)
        better = new < cost[some]
        won = some[better]
        cost[won], can[won] = new[better], True
        point.value[won], point.pick[won] = at.value[better], at.pick[better]
    bound[rows] = np.maximum(bound[rows], least[rows])
    return point, can, bound


def _held(moves: Moves, ids: Array, edge: Array, there: Array, crossed: Array) -> Moves:
    """The moves of rows `ids` with each gap either crossed, so that the number lies beyond it, or not, so that it
    stays."""
    held = taken(moves, ids)
    stays, up, down = there & ~crossed, crossed & (edge > 0), crossed & (edge < 0)
    held.low = np.where(stays, held.origin, np.where(up, held.origin + edge, held.low))
    held.high = np.where(stays, held.origin, np.where(down, held.origin + edge, held.high))
    held.down = np.where(stays, 0.0, np.where(up, edge, held.down))
    held.up = np.where(stays, 0.0, np.where(down, edge, held.up))
    return held
