"""Grids and levels under a sum of parts: one small mixed-integer program a row, by HiGHS."""

from __future__ import annotations

import numpy as np

from assay.attacks.gradient.highs import solve
from assay.attacks.gradient.linear import Offers
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.core.protocols import FloatArray as Array

NODES = 300
GAP = 1e-4
_AHEAD = 1e-9


def bounded(moves: Moves, of: Offers, need: Array) -> Array:
    """A bound (q,) below what any change in L1 or cost costs that lowers the sum by `need` (q,), 0 where nothing is
    known. HiGHS is asked with and without its presolve, either of which alone was seen to cut answers off."""
    return np.minimum(programmed(moves, of, need)[1], programmed(moves, of, need, presolve=True)[1])


def programmed(moves: Moves, of: Offers, need: Array, *, presolve: bool = False) -> tuple[Point, Array]:
    """(the least change (q,) in L1 or cost that lowers the sum by `need` (q,), what HiGHS says it costs at least).

    Where no point was found within NODES nodes it is the row as it is; the bound is 0 where nothing is known.
    """
    point, bound = moves.start_at(of.ids), np.zeros(len(need))
    edge = np.abs(moves.edges(of.ids, of.gain))
    for i in range(len(need)):
        bound[i] = _one(moves, of, i, float(need[i]), edge[i], point, presolve=presolve)
    return point, bound


def _one(moves: Moves, of: Offers, i: int, need: float, edge: Array, point: Point, *, presolve: bool) -> float:
    """Solve row i and write its point; its bound. A number before a gap (to its `edge` (c,)) crosses it, which is one
    more variable, 0 or 1, before it moves further."""
    row, gain = int(of.ids[i]), of.gain[i]
    sign = np.where(gain > 0, 1.0, -1.0)
    room = np.where(gain > 0, moves.up[row], -moves.down[row]) - edge
    unit = np.where(moves.step > 0, moves.step, 1.0)  # a variable of a grid counts its steps
    used = np.flatnonzero((room > 0) & (gain != 0))
    over = np.flatnonzero(edge > 0)
    cost, lowers = [(moves.price * unit)[used]], [(np.abs(gain) * unit)[used]]
    cost, lowers = [*cost, (moves.price * edge)[over]], [*lowers, (np.abs(gain) * edge)[over]]
    most = [(room / unit)[used], np.ones(len(over))]
    groups = []
    at = len(used) + len(over)
    for listed, gains in zip(moves.listed, of.listed, strict=True):
        there = np.flatnonzero(np.isfinite(listed.parts[row]) & (gains[i] > 0))
        groups.append((at, there))
        cost.append(listed.parts[row][there])
        lowers.append(gains[i][there])
        most.append(np.ones(len(there)))
        at += len(there)
    if not at:
        return 0.0
    lines, low, high = [np.concatenate(lowers)], [need], [np.inf]
    for start, there in groups:
        line = np.zeros(at)
        line[start : start + len(there)] = 1
        lines, low, high = [*lines, line], [*low, 0.0], [*high, 1.0]
    integral = np.concatenate([(moves.step[used] > 0).astype(int), np.ones(at - len(used), dtype=int)])
    top = np.concatenate(most)
    top = np.where(integral == 1, np.floor(top + 1e-9), top)
    for k, column in enumerate(over):
        j = np.flatnonzero(used == column)
        if len(j):  # beyond only where it was crossed
            line = np.zeros(at)
            line[j], line[len(used) + k] = 1.0, -top[j[0]]
            lines, low, high = [*lines, line], [*low, -np.inf], [*high, 0.0]
    _, x, dual = solve(
        np.concatenate(cost), np.array(lines), np.array(low), np.array(high), np.zeros(at), top, integral,
        node_limit=NODES, mip_rel_gap=GAP, presolve=presolve,
    )  # fmt: skip
    if x is not None:
        x = np.where(integral == 1, np.round(x), x * (1 + _AHEAD))
        point.value[i, used] += sign[used] * np.minimum(x[: len(used)], top[: len(used)]) * unit[used]
        point.value[i, over] += sign[over] * edge[over] * x[len(used) : len(used) + len(over)]
        for k, (start, there) in enumerate(groups):
            chosen = np.flatnonzero(x[start : start + len(there)] > 0.5)
            point.pick[i, k] = there[chosen[0]] if len(chosen) else KEEP
    return max(0.0, dual) * (1 - 1e-6) if np.isfinite(dual) else 0.0
