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


def programmed(moves: Moves, of: Offers, need: Array) -> tuple[Point, Array]:
    """(the least change (q,) in L1 or cost that lowers the sum by `need` (q,), a bound below what any such costs).

    Where no point was found within NODES nodes it is the row as it is; the bound is 0 where nothing is known.
    """
    point, bound = moves.start_at(of.ids), np.zeros(len(need))
    for i in range(len(need)):
        bound[i] = _one(moves, of, i, float(need[i]), point)
    return point, bound


def _one(moves: Moves, of: Offers, i: int, need: float, point: Point) -> float:
    """Solve row i and write its point; its bound."""
    row, gain = int(of.ids[i]), of.gain[i]
    sign = np.where(gain > 0, 1.0, -1.0)
    room = np.where(gain > 0, moves.up[row], -moves.down[row])
    places = (moves.origin[row] - moves.start) / np.where(moves.step > 0, moves.step, 1.0)
    whole = (moves.step > 0) & (np.abs(places - np.round(places)) < 1e-9)
    unit = np.where(whole, moves.step, 1.0)  # a variable of a grid counts its steps
    used = np.flatnonzero((room > 0) & (gain != 0))
    cost, lowers, most = [(moves.price * unit)[used]], [(np.abs(gain) * unit)[used]], [(room / unit)[used]]
    groups = []
    at = len(used)
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
    integral = np.concatenate([whole[used].astype(int), np.ones(at - len(used), dtype=int)])
    top = np.concatenate(most)
    top = np.where(integral == 1, np.floor(top + 1e-9), top)
    _, x, dual = solve(
        np.concatenate(cost), np.array(lines), np.array(low), np.array(high), np.zeros(at), top, integral,
        node_limit=NODES, mip_rel_gap=GAP,
    )  # fmt: skip
    if x is not None:
        x = np.where(integral == 1, np.round(x), x * (1 + _AHEAD))
        point.value[i, used] += sign[used] * np.minimum(x[: len(used)], top[: len(used)]) * unit[used]
        for k, (start, there) in enumerate(groups):
            chosen = np.flatnonzero(x[start : start + len(there)] > 0.5)
            point.pick[i, k] = there[chosen[0]] if len(chosen) else KEEP
    return max(0.0, dual) * (1 - 1e-6) if np.isfinite(dual) else 0.0
