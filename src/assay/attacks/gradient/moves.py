"""What an attacker can do to each row, told in the inputs of a network: ranges, grids, levels, and their cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.adapters.networks.network import Network
from assay.attacks.space import Axis, Space, length
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Norm

KEEP = -1
FAR = 1e6
"""Standard deviations that a number without a range may move."""


class Listed(NamedTuple):
    """An axis of which only k values count: `codes` (n, k), `parts` (n, k) inf where not permitted, what the network
    then reads at `places` (b,): `effect` (n, k, b). `whole`: these are all values that it can take."""

    axis: int
    places: Array
    codes: Array
    parts: Array
    effect: Array
    whole: bool


class Point(NamedTuple):
    """Changed rows (q,): `value` (q, c) of the numbers, as they are where kept; `pick` (q, l) of the levels or KEEP."""

    value: Array
    pick: Array

    def take(self, rows: Array) -> Point:
        """Some of the rows."""
        return Point(self.value[rows], self.pick[rows])


class Moves:
    """The moves in n rows: c numbers within `low` and `high` (n, c) of their `origin`, and l listed axes.

    `price` (c,) is what one unit adds to a distance (squared in L2), `step` (c,) the grid from `start`, 0 for none.
    `lifted` (n, p) is what the network reads of the rows.
    """

    def __init__(self, network: Network, space: Space, norm: Norm) -> None:
        self.space, self.norm, self.network = space, norm, network
        codes = network.read(space.rows)
        self.lifted = network.lifted(codes)
        columns = {name: j for j, name in enumerate(network.columns)}
        numbers: list[tuple[int, int, Axis]] = []
        self.listed: list[Listed] = []
        for a, axis in enumerate(space.axes):
            j = columns.get(axis.name)
            if j is None:
                continue
            places = np.flatnonzero(network.inputs.column == j)
            if not len(places):
                continue  # the network does not read it
            if axis.levels or len(places) > 1 or not np.isnan(network.inputs.level[places[0]]):
                self.listed.append(self._listed(a, axis, j, places))
            else:
                numbers.append((a, int(places[0]), axis))
        self.axes = np.array([a for a, _, _ in numbers], dtype=int)
        self.places = np.array([p for _, p, _ in numbers], dtype=int)
        self._numbers([axis for _, _, axis in numbers])

    @property
    def additive(self) -> bool:
        """Whether a distance adds its parts up, rather than taking the largest."""
        return self.norm != "linf"

    @property
    def knapsack(self) -> bool:
        """Whether parts add up, and some move by steps: the least change is then an integer program."""
        return self.additive and not self.square and (bool((self.step > 0).any()) or bool(self.listed))

    @property
    def squares(self) -> bool:
        """The same where squares add up."""
        return self.square and (bool((self.step > 0).any()) or bool(self.listed))

    def _numbers(self, axes: list[Axis]) -> None:
        n = self.space.size
        shape = (n, len(axes))
        self.origin, self.low, self.high = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.price, self.step, self.start = np.zeros(len(axes)), np.zeros(len(axes)), np.zeros(len(axes))
        for c, axis in enumerate(axes):
            f = axis.feature
            self.price[c] = f.cost / axis.scale if self.norm == "cost" else 1.0 / (f.scale or 1.0)
            self.start[c], self.step[c] = axis.grid
            x = axis.origin
            least, most = np.maximum(axis.low, x - FAR * axis.unit), np.minimum(axis.high, x + FAR * axis.unit)
            low = np.maximum(x, least) if f.direction == "up" else least
            high = np.minimum(x, most) if f.direction == "down" else most
            if self.step[c]:
                low = self.start[c] + self.step[c] * np.ceil((low - self.start[c]) / self.step[c] - 1e-9)
                high = self.start[c] + self.step[c] * np.floor((high - self.start[c]) / self.step[c] + 1e-9)
            fixed = np.isnan(x) | ~(low <= high)  # NaN where no place is permitted
            self.origin[:, c] = np.where(np.isnan(x), 0.0, x)
            self.low[:, c] = np.where(fixed, self.origin[:, c], low)
            self.high[:, c] = np.where(fixed, self.origin[:, c], high)
        # Moves are told from the origin; a range that does not hold it is reached over a gap.
        self.down = np.minimum(self.low - self.origin, 0.0)
        self.up = np.maximum(self.high - self.origin, 0.0)
        self.square = self.norm == "l2"

    def _listed(self, a: int, axis: Axis, j: int, places: Array) -> Listed:
        network, space = self.network, self.space
        if axis.levels:
            known = network.levels.get(axis.name)
            if known is None and any(isinstance(level, str) for level in axis.levels):
                raise CouldNotLook(f"{axis.name}: its categories are no numbers, as the model reads it")
            codes = np.broadcast_to(np.arange(len(axis.levels), dtype=float), (space.size, len(axis.levels)))
            read = network.read(space.with_levels(axis))[:, j]
            table = np.full((len(read), len(network.columns)), np.nan)
            table[:, j] = read
            effect = np.broadcast_to(network.lifted(table)[:, places], (space.size, len(read), len(places)))
            whole = True
        else:
            codes = axis.codes
            table = np.full((codes.size, len(network.columns)), np.nan)
            table[:, j] = codes.ravel()
            effect = network.lifted(table)[:, places].reshape(*codes.shape, len(places))
            step = axis.feature.step or (1.0 if axis.integer else 0.0)
            whole = bool(step) and (axis.high - axis.low) / step <= codes.shape[1]
        parts = axis.parts(axis.origin[:, None], codes, self.norm)
        parts = np.where(np.isnan(effect).any(axis=2), np.inf, parts)
        return Listed(a, places, codes, parts, effect, whole)

    def start_at(self, ids: Array) -> Point:
        """Rows as they are."""
        return Point(self.origin[ids].copy(), np.full((len(ids), len(self.listed)), KEEP))

    def read(self, ids: Array, point: Point) -> Array:
        """What the network reads of changed rows (q, p)."""
        out = self.lifted[ids].copy()
        value = point.value
        if self.network.single:
            value = value.astype(np.float32).astype(np.float64)
        moved = point.value != self.origin[ids]
        out[:, self.places] = np.where(moved, value, out[:, self.places])
        for at, listed in enumerate(self.listed):
            rows = np.flatnonzero(point.pick[:, at] != KEEP)
            out[np.ix_(rows, listed.places)] = listed.effect[ids[rows], point.pick[rows, at]]
        return out

    def parts(self, ids: Array, point: Point) -> Array:
        """What each move adds to the distance (q, c + l), inf where it is not permitted."""
        move = np.abs(point.value - self.origin[ids]) * self.price
        parts = [move**2 if self.square else move]
        for at, listed in enumerate(self.listed):
            pick = point.pick[:, at]
            parts.append(np.where(pick == KEEP, 0.0, listed.parts[ids, np.maximum(pick, 0)])[:, None])
        return np.hstack(parts)

    def distance(self, ids: Array, point: Point) -> Array:
        """The distances (q,) of changed rows."""
        return length(self.parts(ids, point), self.norm)

    def codes(self, ids: Array, point: Point) -> Array:
        """The codes (q, m) of the space's axes, NaN where kept."""
        out = np.full((len(ids), len(self.space.axes)), np.nan)
        out[:, self.axes] = np.where(point.value != self.origin[ids], point.value, np.nan)
        for a in self.axes[self.step > 0]:
            out[:, a] = self.space.axes[a].spelled(out[:, a])
        for at, listed in enumerate(self.listed):
            pick = point.pick[:, at]
            out[:, listed.axis] = np.where(pick == KEEP, np.nan, listed.codes[ids, np.maximum(pick, 0)])
        return out

    def gap(self, ids: Array, value: Array) -> tuple[Array, Array]:
        """(whether values (q, c) lie between a row's own and the range that does not hold it, the range's edge)."""
        x = self.origin[ids]
        edge = np.clip(x, self.low[ids], self.high[ids])
        return (value != x) & (np.abs(value - x) < np.abs(edge - x)), edge

    def edges(self, ids: Array, way: Array) -> Array:
        """How far it is (q, c), with its sign, to the first permitted value in the direction of `way` (q, c), of rows
        that lie outside a range or between two places; 0 of any other number, or where nothing lies that way."""
        x, low, high = self.origin[ids], self.low[ids], self.high[ids]
        first = np.where(way > 0, np.maximum(x, low), np.minimum(x, high))
        grid = self.step > 0
        if grid.any():
            places = (first[:, grid] - self.start[grid]) / self.step[grid]
            ahead = np.where(way[:, grid] > 0, np.ceil(places - 1e-9), np.floor(places + 1e-9))
            first[:, grid] = self.start[grid] + self.step[grid] * ahead
        edge = first - x
        none = (np.abs(edge) <= 1e-9 * np.maximum(1.0, np.abs(x))) | (way == 0)
        room = np.where(way > 0, self.up[ids], -self.down[ids])
        return np.where(none | (room < np.abs(edge) * (1 - 1e-12)), 0.0, edge)

    def snapped(self, ids: Array, value: Array, toward: Array | None = None) -> Array:
        """The permitted values (q, c) nearest to `value`; with `toward` (q, c) the next ones in that direction."""
        x, low, high = self.origin[ids], self.low[ids], self.high[ids]
        out = np.clip(value, low, high)
        grid = self.step > 0
        if grid.any():
            places = (out[:, grid] - self.start[grid]) / self.step[grid]
            near = np.round(places)
            if toward is not None:
                way = toward[:, grid]
                ahead = np.where(way > 0, np.ceil(places - 1e-9), np.floor(places + 1e-9))
                near = np.where(way == 0, near, ahead)
            out[:, grid] = np.clip(self.start[grid] + self.step[grid] * near, low[:, grid], high[:, grid])
        out = np.where(value == x, x, out)
        # A row's own value is permitted too, off its grid as well. From outside its range a number moves over the gap
        # or stays; a move too small to be written is none.
        inside = (x >= low) & (x <= high) & (~grid | (toward is not None))
        nearer = np.abs(value - x) < np.abs(value - out)
        small = np.abs(out - x) <= 1e-9 * np.maximum(1.0, np.abs(x)) * (~grid)
        return np.where((~inside & nearer) | small, x, out)
