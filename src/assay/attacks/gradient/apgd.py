"""The search: nearest points of the tangent, projected steps inside a shrinking ball, and starts from rows that pass.

Minimum-norm steps follow Croce and Hein 2020b (FAB) with the closed form of `linear` in place of a projection, so that
ranges, grids and levels hold by construction; steps inside a ball are APGD's (Croce and Hein 2020), on the margin: of a
binary score cross-entropy and the margin have one direction, and the margin does not saturate.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from assay.attacks.gradient.gaps import bridged
from assay.attacks.gradient.integer import programmed
from assay.attacks.gradient.linear import careful, nearest, offers
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.attacks.gradient.squares import squared
from assay.core.protocols import FloatArray as Array

FOLLOWED, STEPS, BALLS = 24, 30, 3
DONORS, HALVINGS = 4, 12
INSIDE = 0.93
PROGRAMMED = 2
_MOMENTUM = 0.75


class Sloped(Protocol):
    """What a search needs of a network: margins of lifted rows, and their gradients."""

    def forward(self, x: Array) -> Array:
        """The margin (n,) of lifted rows (n, p)."""

    def sloped(self, x: Array) -> tuple[Array, Array]:
        """(margin (n,), its gradient (n, p)) at lifted rows (n, p)."""


class Search:
    """The best point of every row, its `distance` (n,), inf where there is none; all rows are asked together.

    Rows whose distance is no more than `enough` (n,) are not `unsettled`: nothing nearer is looked for at length.
    """

    def __init__(self, network: Sloped, moves: Moves, target: float, seed: int, enough: Array | float = 0.0) -> None:
        self.network, self.moves, self.target, self.enough = network, moves, target, enough
        self.rows = np.arange(moves.space.size)
        self.best = moves.start_at(self.rows)
        self.distance = np.full(len(self.rows), np.inf)
        self.rng = np.random.default_rng(seed)
        self.height = network.forward(moves.lifted) - target

    @property
    def unsettled(self) -> Array:
        """Rows with a find that may not be the nearest."""
        return self.rows[np.isfinite(self.distance) & (self.distance > self.enough)]

    def keep(self, ids: Array, point: Point, margins: Array) -> Array:
        """Take over points that evade nearer than the known; which evade and are permitted, (q,) bool."""
        evades = margins < self.target
        evades[evades] = np.isfinite(self.moves.parts(ids[evades], point.take(evades))).all(axis=1)
        if self.moves.space.constraints and evades.any():
            there = np.flatnonzero(evades)
            table = self.moves.space.moved(ids[there], self.moves.codes(ids[there], point.take(there)))
            evades[there] = self.moves.space.valid(table)
        at = np.flatnonzero(evades)
        cost = self.moves.distance(ids[at], point.take(at))
        order = np.lexsort((cost, ids[at]))
        rows, first = np.unique(ids[at][order], return_index=True)
        chosen = order[first]
        better = (cost[chosen] < self.distance[rows]) & (cost[chosen] > 0)
        rows, chosen = rows[better], chosen[better]
        self.distance[rows] = cost[chosen]
        self.best.value[rows], self.best.pick[rows] = point.value[at[chosen]], point.pick[at[chosen]]
        return evades

    def ask(self, ids: Array, point: Point) -> Array:
        """Keep what evades; which do, (q,) bool."""
        return self.keep(ids, point, self.network.forward(self.moves.read(ids, point)))

    def follow(
        self, ids: Array, point: Point, moves: Moves | None = None, rounds: int = FOLLOWED, *, last: bool = False
    ) -> None:
        """From each point to the nearest one where its tangent plane passes, again and again; `last` takes more care
        with grids."""
        moves = moves or self.moves
        over = np.ones(len(ids))
        for turn in range(rounds):
            x = moves.read(ids, point)
            margins, gradient = self.network.sloped(x)
            evades = self.keep(ids, point, margins)
            over = np.where(evades, 1.0 + 1e-6, np.minimum(over * 1.2 + 0.01, 4.0))
            plane = margins + (gradient * (moves.lifted[ids] - x)).sum(axis=1) - self.target
            need = np.maximum(plane * over, 0.02 * self.height[ids])
            of = offers(moves, ids, gradient)
            if last and moves.squares:
                near = (squared(moves, of, need) if turn < PROGRAMMED else careful(moves, of, need))[0]
            else:
                near = (bridged(moves, of, need, careful) if last else nearest(moves, of, need))[0]
            if last and turn < PROGRAMMED and (moves.knapsack or moves.squares):
                point = near if moves.squares else programmed(moves, of, need)[0]
                point = Point(moves.snapped(ids, point.value, -gradient[:, moves.places]), point.pick)
                self.ask(ids, point)
            step = 1.0 if turn < 4 else max(0.25, 1.0 - 0.06 * (turn - 4))
            value = near.value if step == 1.0 else point.value + step * (near.value - point.value)
            point = Point(moves.snapped(ids, value, -gradient[:, moves.places]), near.pick)
        self.ask(ids, point)

    def inside(self, ids: Array, radius: Array, point: Point, rate: float | Array = 2.0) -> None:
        """APGD inside balls (q,) around the rows, the listed values as they are in `point`; the first steps are `rate`
        radii long (a number, or (q,))."""
        moves = self.moves
        room = self._room(ids, radius, point)
        steps = (np.zeros(len(room)) + rate)[room > 0]
        ids, point, room = ids[room > 0], point.take(room > 0), room[room > 0]
        if not len(ids) or not moves.places.size:
            return
        x = Point(self._projected(ids, point.value, room), point.pick)
        before, rate = x.value, steps * room
        best, since, checked = np.full(len(ids), np.inf), np.zeros(len(ids)), 0
        top = x.value
        for turn in range(STEPS):
            # The grid is followed straight through: asked where it is, moved where it would be.
            gap = moves.gap(ids, x.value)[0]  # its edge lies outside the ball
            asked = Point(moves.snapped(ids, np.where(gap, moves.origin[ids], x.value)), x.pick)
            margins, gradient = self.network.sloped(moves.read(ids, asked))
            self.keep(ids, asked, margins)
            better = margins < best
            since += better
            best, top = np.where(better, margins, best), np.where(better[:, None], x.value, top)
            if turn - checked >= max(3, STEPS // 6):
                slow = since < 0.75 * (turn - checked)
                rate, since, checked = np.where(slow, rate / 2, rate), np.zeros(len(ids)), turn
                x = Point(np.where(slow[:, None], top, x.value), x.pick)
            way = self._way(-gradient[:, moves.places])
            ahead = self._projected(ids, x.value + rate[:, None] * way, room)
            now = x.value + _MOMENTUM * (ahead - x.value) + (1 - _MOMENTUM) * (x.value - before)
            before, x = x.value, Point(self._projected(ids, now, room), x.pick)

    def _room(self, ids: Array, radius: Array, point: Point) -> Array:
        """What the numbers may use of a radius, after the listed values."""
        parts = self.moves.parts(ids, point)[:, len(self.moves.places) :]
        if not self.moves.additive:
            return np.where(parts.max(axis=1, initial=0.0) <= radius, radius, -1.0)
        if self.moves.square:
            return np.sqrt(np.maximum(radius**2 - parts.sum(axis=1), 0.0))
        return radius - parts.sum(axis=1)

    def _way(self, slope: Array) -> Array:
        """The steepest direction (q, c) of length one in the norm."""
        price = self.moves.price
        each = slope / price
        if not self.moves.additive:
            return np.sign(each) / price
        if self.moves.square:
            size = np.sqrt((each**2).sum(axis=1, keepdims=True))
            return each / np.where(size > 0, size, 1.0) / price
        most = np.sort(np.abs(each), axis=1)[:, [-max(1, each.shape[1] // 8)]]
        sparse = np.where(np.abs(each) >= np.maximum(most, 1e-300), np.sign(each), 0.0)
        return sparse / np.maximum(np.abs(sparse).sum(axis=1, keepdims=True), 1.0) / price

    def _projected(self, ids: Array, value: Array, radius: Array) -> Array:
        """Into the ball and the ranges."""
        moves = self.moves
        origin = moves.origin[ids]
        move = np.clip(value - origin, moves.down[ids], moves.up[ids]) * moves.price
        if not moves.additive:
            move = np.clip(move, -radius[:, None], radius[:, None])
        elif moves.square:
            size = np.sqrt((move**2).sum(axis=1))
            move = move * np.minimum(1.0, radius / np.where(size > 0, size, 1.0))[:, None]
        else:
            move = _onto_l1(move, radius)
        return origin + move / moves.price

    def single(self) -> None:
        """Every listed value alone."""
        for at, one in enumerate(self.moves.listed):
            for k in range(one.parts.shape[1]):
                ids = np.flatnonzero(np.isfinite(one.parts[:, k]))
                point = self.moves.start_at(ids)
                point.pick[:, at] = k
                self.ask(ids, point)

    def ends(self) -> None:
        """Every number alone at either end of what it may be, and drawn back: no slope need lead there."""
        moves = self.moves
        for c in range(len(moves.places)):
            for far in (moves.down[:, c], moves.up[:, c]):
                ids = np.flatnonzero((far != 0) & np.isfinite(far))
                point = moves.start_at(ids)
                point.value[:, c] += far[ids]
                point = Point(moves.snapped(ids, point.value), point.pick)
                evades = self.ask(ids, point)
                self.drawn(ids[evades], point.take(evades))

    def lent(self, donors: Array, count: int = DONORS) -> None:
        """Values of rows that pass, as far as they are permitted, drawn back toward the row; codes (d, m)."""
        if not len(donors):
            return
        moves = self.moves
        ids = np.repeat(self.rows, count)
        codes = donors[self.rng.integers(len(donors), size=len(ids))]
        point = moves.start_at(ids)
        given = codes[:, moves.axes]
        wanted = np.where(np.isnan(given), point.value, given)
        point = Point(moves.snapped(ids, wanted), point.pick)
        for at, one in enumerate(moves.listed):
            same = one.codes[ids] == codes[:, [one.axis]]
            there = same & np.isfinite(one.parts[ids])
            point.pick[:, at] = np.where(there.any(axis=1), there.argmax(axis=1), KEEP)
        evades = self.ask(ids, point)
        self.drawn(ids[evades], point.take(evades))

    def drawn(self, ids: Array, point: Point) -> None:
        """Points that evade, drawn toward their rows by halving, then column by column."""
        moves = self.moves
        if not len(ids):
            return
        low, high = np.zeros(len(ids)), np.ones(len(ids))
        origin, value = moves.origin[ids], point.value
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            at = Point(moves.snapped(ids, origin + middle[:, None] * (value - origin)), point.pick)
            evades = self.ask(ids, at)
            low, high = np.where(evades, low, middle), np.where(evades, middle, high)
        self.put_back()

    def put_back(self, rows: Array | None = None) -> None:
        """Take back each change of the best points (of some rows) that is not needed, the dearest first."""
        rows = self.rows[np.isfinite(self.distance)] if rows is None else rows
        if not self.moves.additive or not len(rows):
            return
        point = self.best.take(rows)
        parts = self.moves.parts(rows, point)
        order = np.argsort(-parts, axis=1, kind="stable")[:, : int((parts > 0).sum(axis=1).max(initial=0))]
        at = np.arange(len(rows))
        count = len(self.moves.places)
        for k in range(order.shape[1]):
            j = order[:, k]
            value, pick = point.value.copy(), point.pick.copy()
            number = j < count
            value[at[number], j[number]] = self.moves.origin[rows[number], j[number]]
            pick[at[~number], j[~number] - count] = KEEP
            evades = self.ask(rows, Point(value, pick))
            point = Point(np.where(evades[:, None], value, point.value), np.where(evades[:, None], pick, point.pick))

    def again(self, rows: Array | None = None, rounds: int = 10) -> None:
        """From the best points (of some rows) on."""
        rows = self.rows[np.isfinite(self.distance)] if rows is None else rows
        self.follow(rows, self.best.take(rows), rounds=rounds, last=True)


def _onto_l1(move: Array, radius: Array) -> Array:
    """Rows (q, c) onto L1 balls (Duchi et al. 2008)."""
    size = np.abs(move)
    if not size.shape[1]:
        return move
    falling = -np.sort(-size, axis=1)
    total = np.cumsum(falling, axis=1) - radius[:, None]
    count = np.arange(1, size.shape[1] + 1)
    last = np.maximum((falling * count > total).sum(axis=1), 1) - 1
    cut = np.maximum(total[np.arange(len(size)), last] / (last + 1), 0.0)
    return np.sign(move) * np.maximum(size - cut[:, None], 0.0)
