"""Where an attacker can push training rows inside the feature contract: the inner part of adversarial training.

Ranges, directions, immutable columns, levels and prices are those of `Moves`, which the gradient attack uses too.
Relations between columns are left out here: the rows that are trained against may be worse than any that keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Protocol

import numpy as np

from assay.adapters.networks.network import Network
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.attacks.space import Space
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Contract, Norm

CHUNK = 1000
STEP = 2.5
SPARSE = 8
"""Where parts add up a step goes along the steepest eighth of the numbers."""


class Sloped(Protocol):
    """What is pushed against."""

    def sloped(self, x: Array) -> tuple[Array, Array]:
        """(margin (n,), its gradient (n, p)) at lifted rows (n, p)."""


class Reach:
    """The moves of n rows within `budget` in a norm; `network` tells how rows become what a network reads."""

    def __init__(
        self, network: Network, rows: ArrowTable, contract: Contract, known: ArrowTable, kinds: Mapping[str, str],
        norm: Norm, budget: float,
    ) -> None:  # fmt: skip
        parts = []
        for at in range(0, rows.num_rows, CHUNK):
            space = Space(rows.slice(at, CHUNK), contract, known, kinds, network.columns)
            parts.append(Moves(network, space, norm))
        self.moves, self.budget = _joined(parts), budget

    def boxes(self, radius: float) -> tuple[Array, Array, Array]:
        """(what the network reads of every row (n, p), the least and the most that one move within `radius` makes of
        each): how far a row can be moved by every number alone."""
        moves = self.moves
        x = moves.lifted
        low, high = x.copy(), x.copy()
        room = radius / moves.price
        low[:, moves.places] = x[:, moves.places] + np.maximum(moves.down, -room)
        high[:, moves.places] = x[:, moves.places] + np.minimum(moves.up, room)
        for one in moves.listed:
            fits = (one.parts <= (radius**2 if moves.square else radius))[:, :, None]
            own = x[:, one.places]
            low[:, one.places] = np.minimum(own, np.where(fits, one.effect, np.inf).min(axis=1))
            high[:, one.places] = np.maximum(own, np.where(fits, one.effect, -np.inf).max(axis=1))
        return x, low, high

    def pushed(self, net: Sloped, ids: Array, steps: int, rng: np.random.Generator, share: float = 1.0) -> Array:
        """What the network reads (q, p) of rows `ids` after `steps` of projected descent on the margin (Madry et al.
        2018) from a random start, within `share` of the budget; with no steps the random start itself."""
        moves, radius = self.moves, np.full(len(ids), self.budget * share)
        point = moves.start_at(ids)
        point = Point(point.value, self._swapped(net, ids, radius, rng, steps))
        room = self._room(ids, radius, point)
        move = self._projected(ids, rng.uniform(-1, 1, point.value.shape) * room[:, None] / moves.price, room)
        best, least = moves.read(ids, Point(self._at(ids, move), point.pick)), np.full(len(ids), np.inf)
        for turn in range(steps + 1 if steps else 0):
            x = moves.read(ids, Point(self._at(ids, move), point.pick))
            margin, gradient = net.sloped(x)
            lower = margin < least
            least, best = np.where(lower, margin, least), np.where(lower[:, None], x, best)
            if turn < steps:
                way = self._way(-gradient[:, moves.places])
                move = self._projected(ids, move + (STEP / steps) * room[:, None] * way, room)
        return best

    def _at(self, ids: Array, move: Array) -> Array:
        """The permitted values nearest to a move and no further: grids are followed straight through."""
        moves, origin = self.moves, self.moves.origin[ids]
        value = moves.snapped(ids, origin + move)
        over = (np.abs(value - origin) > np.abs(move) + 1e-12) & (moves.step > 0)
        back = value - np.sign(value - origin) * moves.step
        past = (back - origin) * (value - origin) <= 0
        out: Array = np.where(over, np.where(past, origin, back), value)
        return out

    def _swapped(self, net: Sloped, ids: Array, radius: Array, rng: np.random.Generator, steps: int) -> Array:
        """The level of every listed axis that lowers the margin most to first order, as far as the budget goes; where
        parts add up each with even odds, and with no steps any level that is permitted."""
        moves = self.moves
        pick = np.full((len(ids), len(moves.listed)), KEEP)
        if not moves.listed:
            return pick
        x = moves.lifted[ids]
        gradient = net.sloped(x)[1] if steps else np.zeros_like(x)
        left = radius**2 if moves.square else radius.copy()
        for at in rng.permutation(len(moves.listed)).tolist():
            one = moves.listed[at]
            gain = -((one.effect[ids] - x[:, None, one.places]) * gradient[:, None, one.places]).sum(axis=2)
            gain = gain if steps else rng.random(gain.shape)
            gain = np.where(one.parts[ids] <= left[:, None], gain, -np.inf)
            best = gain.argmax(axis=1)
            rows = np.arange(len(ids))
            use = gain[rows, best] > 0
            if moves.additive or not steps:
                use &= rng.random(len(ids)) < 0.5
            pick[use, at] = best[use]
            if moves.additive:
                left = left - np.where(use, one.parts[ids, best], 0.0)
        return pick

    def _room(self, ids: Array, radius: Array, point: Point) -> Array:
        """What the numbers may use of a radius, after the listed values."""
        spent = self.moves.parts(ids, point)[:, len(self.moves.places) :]
        if not self.moves.additive:
            return radius
        if self.moves.square:
            return np.sqrt(np.maximum(radius**2 - spent.sum(axis=1), 0.0))
        return np.maximum(radius - spent.sum(axis=1), 0.0)

    def _way(self, slope: Array) -> Array:
        """The steepest direction (q, c) of length one in the norm."""
        each = slope / self.moves.price
        if not self.moves.additive:
            return np.sign(each) / self.moves.price
        if not self.moves.square and each.shape[1]:
            most = np.sort(np.abs(each), axis=1)[:, [-max(1, each.shape[1] // SPARSE)]]
            each = np.where(np.abs(each) >= np.maximum(most, 1e-300), np.sign(each), 0.0)
        size = self._size(each)[:, None]
        return each / np.where(size > 0, size, 1.0) / self.moves.price

    def _projected(self, ids: Array, move: Array, room: Array) -> Array:
        """Into the ranges and the ball: of L2 and of sums by shortening, which is not the nearest point but inside."""
        moves = self.moves
        far = np.clip(move, moves.down[ids], moves.up[ids]) * moves.price
        if not moves.additive:
            return np.clip(far, -room[:, None], room[:, None]) / moves.price
        size = self._size(far)
        return far * np.minimum(1.0, room / np.where(size > 0, size, 1.0))[:, None] / moves.price

    def _size(self, move: Array) -> Array:
        size: Array = np.sqrt((move**2).sum(axis=1)) if self.moves.square else np.abs(move).sum(axis=1)
        return size


def _joined(parts: list[Moves]) -> Moves:
    """The moves of all rows; their space is that of the first part alone."""
    whole = copy(parts[0])
    for name in ("origin", "low", "high", "down", "up", "lifted"):
        setattr(whole, name, np.concatenate([getattr(part, name) for part in parts]))
    whole.listed = []
    for at, one in enumerate(parts[0].listed):
        same = [part.listed[at] for part in parts]
        width = max(p.codes.shape[1] for p in same)
        whole.listed.append(
            one._replace(
                codes=np.concatenate([_wide(p.codes, width, np.nan) for p in same]),
                parts=np.concatenate([_wide(p.parts, width, np.inf) for p in same]),
                effect=np.concatenate([_wide(p.effect, width, 0.0) for p in same]),
            )
        )
    return whole


def _wide(values: Array, width: int, fill: float) -> Array:
    """Filled up to `width` candidates a row."""
    more = [(0, 0), (0, width - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, more, constant_values=fill)
