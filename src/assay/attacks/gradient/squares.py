"""Grids and levels under a sum of squares: what a price leaves open is tried in every combination, which is exact.

At the best price of a unit of gain every column chooses alone, and the dual bounds what any change costs. A choice
worse than its column's best by more than the dual and the best change known lie apart is in no better change (reduced
costs, Geoffrion 1974): few choices a column are left, and numbers without a grid fill up what each combination lacks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.attacks.gradient.gaps import bridged
from assay.attacks.gradient.linear import Offers, at_price, careful, nearest, prices, taken, told
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.core.protocols import FloatArray as Array

MOST = 100_000
"""Combinations of a row that are looked at; a row of more keeps what the dual tells."""
_NEAR, _AHEAD, _ROOM = 2e-5, 1e-8, 1e-9
"""How far the dual may lie below what is known before more is tried; what a change goes beyond its need; rounding."""


class Options(NamedTuple):
    """The choices of one column (k,): what each `lowers` the sum by, what it costs, how much `worse` it is at the price
    than the best of them (no more than `apart`), and its name: the shift of a number, the place of a level."""

    lowers: Array
    cost: Array
    worse: Array
    name: Array
    apart: float


class Filling:
    """Numbers (c,) that move by any amount: the least squares by which they lower a sum."""

    def __init__(self, gain: Array, price: Array, room: Array) -> None:
        full = 2 * price**2 * room / gain  # the price at which each is at its end
        order = np.argsort(full)
        gain, price, room, full = gain[order], price[order], room[order], full[order]
        self.filled = np.concatenate([[0.0], np.cumsum(gain * room)])
        self.spent = np.concatenate([[0.0], np.cumsum((price * room) ** 2)])
        self.pace = np.concatenate([np.cumsum((gain**2 / (2 * price**2))[::-1])[::-1], [0.0]])
        self.reached = self.filled[:-1] + self.pace[:-1] * full

    def cost(self, need: Array) -> tuple[Array, Array]:
        """(the least cost (q,) of lowering a sum by `need` (q,), inf where they cannot; the price it takes)."""
        if not len(self.reached):
            return np.where(need <= 0, 0.0, np.inf), np.zeros(len(need))
        k = np.minimum(np.searchsorted(self.reached, need), len(self.reached) - 1)
        paid = np.maximum(need - self.filled[k], 0.0) / self.pace[k]
        cost = self.spent[k] + paid**2 * self.pace[k] / 2
        cost, none = np.where(need <= self.reached[-1] * (1 + _ROOM), cost, np.inf), need <= 0
        return np.where(none, 0.0, cost), np.where(none, 0.0, paid)


def squared(moves: Moves, of: Offers, need: Array) -> tuple[Point, Array]:
    """(the least change (q,) in L2 that lowers the sum by `need` (q,), a bound (q,) below what any costs).

    Rows with a number without a grid outside its range, or of more than MOST combinations, keep what the dual tells.
    """
    point, can, bound = nearest(moves, of, need)
    edge = moves.edges(of.ids, of.gain)
    plain = ((edge == 0) | (moves.step > 0)).all(axis=1)
    if len(rows := np.flatnonzero(~plain)):
        outside = Offers(of.ids[rows], of.gain[rows], [gains[rows] for gains in of.listed])
        at, can[rows], bound[rows] = bridged(moves, outside, need[rows], careful)
        point.value[rows], point.pick[rows] = at
    cost = told(moves, of, point).cost
    price, dual = _priced(moves, of, need)
    here = taken(moves, of.ids)
    for i in np.flatnonzero(can & plain & (cost > dual * (1 + _NEAR)) & np.isfinite(cost)).tolist():
        columns = _columns(here, of, i, edge[i], float(price[i]), float(cost[i] - dual[i]) * (1 + _ROOM))
        least = _filled(here, of, i, float(need[i]), columns, float(cost[i]), point)
        bound[i] = max(bound[i], np.sqrt(least) * (1 - _ROOM))
    return point, bound


def _priced(moves: Moves, of: Offers, need: Array) -> tuple[Array, Array]:
    """(the better of the two prices (q,) around the best, the dual's value there (q,))."""
    found = []
    for price in prices(moves, of, need)[:2]:
        chosen = at_price(moves, of, price)
        found.append((price, price * (need - chosen.gain) + chosen.cost))
    (low, less), (high, more) = found
    return np.where(more > less, high, low), np.maximum(more, less)


def _columns(moves: Moves, of: Offers, i: int, edge: Array, paid: float, apart: float) -> dict[int, Options]:
    """What is left to choose for every column of row i that moves by steps, by its place (levels after the numbers)."""
    gain, count = np.abs(of.gain[i]), len(moves.price)
    room = np.where(of.gain[i] > 0, moves.up[i], -moves.down[i])
    first = np.abs(np.where(edge != 0, edge, moves.step))
    found = {
        c: _places(gain[c], moves.price[c], room[c], moves.step[c], first[c], paid, apart)
        for c in np.flatnonzero((moves.step > 0) & (room > 0) & (gain > 0)).tolist()
    }
    for at, one in enumerate(moves.listed):
        found[count + at] = _levels(of.listed[at][i], one.parts[i], paid, apart)
    return found


def _filled(
    moves: Moves, of: Offers, i: int, need: float, columns: dict[int, Options], known: float, point: Point
) -> float:
    """The least sum of squares of row i, its change written into `point` where it is less than the `known`; 0, which
    bounds everything, where there are more than MOST combinations."""
    lowers, cost, worse, chosen = np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((1, 0), dtype=int)
    ranked = sorted(columns, key=lambda c: len(columns[c].name))
    apart = columns[ranked[0]].apart if ranked else 0.0
    for c in ranked:
        options = columns[c]
        if len(cost) * len(options.name) > MOST:
            return 0.0
        total = worse[:, None] + options.worse
        kept, at = np.nonzero(total <= apart)
        lowers, cost = lowers[kept] + options.lowers[at], cost[kept] + options.cost[at]
        worse, chosen = total[kept, at], np.column_stack([chosen[kept], at])
    gain = np.abs(of.gain[i])
    room = np.where(of.gain[i] > 0, moves.up[i], -moves.down[i])
    free = np.flatnonzero((moves.step == 0) & (room > 0) & (gain > 0))
    # What lacks no more than rounding is reached: a bound must not rest on that.
    rest, paid = Filling(gain[free], moves.price[free], room[free]).cost(need * (1 - _ROOM) - lowers)
    best = int((cost + rest).argmin())
    least = float(cost[best] + rest[best])
    if not least < known:
        return known
    shift, pick = np.zeros(len(moves.price)), np.full(len(moves.listed), KEEP)
    for c, at in zip(ranked, chosen[best].tolist(), strict=True):
        if c < len(shift):
            shift[c] = columns[c].name[at]
        else:
            pick[c - len(shift)] = int(columns[c].name[at])
    shift[free] = np.minimum(paid[best] * (1 + _AHEAD) * gain[free] / (2 * moves.price[free] ** 2), room[free])
    point.value[i], point.pick[i] = moves.origin[i] + np.where(of.gain[i] > 0, shift, -shift), pick
    return least


def _places(gain: float, price: float, room: float, step: float, first: float, paid: float, apart: float) -> Options:
    """The shifts of a number on a grid that are worse than its best one by no more than `apart` at a price `paid`."""
    best = paid * gain / (2 * price**2)  # of any amount; a shift is worse by the squares of how far from it both lie
    last = np.floor((room - first) / step + 1e-9)
    beside = first + step * np.clip(np.round((best - first) / step), 0, last) if last >= 0 else 0.0
    far = np.sqrt(apart / price**2 + min(best, abs(best - beside)) ** 2) * (1 + _ROOM)
    low = np.clip(np.ceil((best - far - first) / step - 1e-9), 0, last + 1)
    high = np.clip(np.floor((best + far - first) / step + 1e-9), -1, last)
    count = min(int(max(high - low + 1, 0)), MOST + 1)
    shift = np.concatenate([[0.0], first + step * (low + np.arange(count))])
    return _kept(gain * shift, (price * shift) ** 2, shift, paid, apart)


def _levels(gains: Array, parts: Array, paid: float, apart: float) -> Options:
    """The same of a column's levels (k,), and of leaving it as it is."""
    there = np.flatnonzero(np.isfinite(parts) & (gains > 0))
    lowers, cost = np.append(0.0, gains[there]), np.append(0.0, parts[there])
    return _kept(lowers, cost, np.append(KEEP, there), paid, apart)


def _kept(lowers: Array, cost: Array, name: Array, paid: float, apart: float) -> Options:
    worth = cost - paid * lowers
    worse = worth - worth.min()
    kept = worse <= apart
    return Options(lowers[kept], cost[kept], worse[kept], name[kept], apart)
