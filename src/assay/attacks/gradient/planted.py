"""The sanity test of the gradient attack: slopes planted in the network must be found at what they cost."""

from __future__ import annotations

from copy import copy

import numpy as np

from assay.attacks.attacked import RELATIONS
from assay.attacks.gradient.apgd import Search, Sloped
from assay.attacks.gradient.ensemble import searched
from assay.attacks.gradient.linear import lowered, offers
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array

ROWS, TOGETHER = 8, 3
NEARER, DEARER, STEEPER, STEEPEST = 0.6, 1.1, 1.2, 10.0
_ALONG = 200
_GRAINS = 300
"""Grains of float32 that the steepest plant, which lies much nearer, must be wide: a model that reads such numbers sees
moves in steps, and would tell a finer plant apart by rounding."""
COARSE = 1.5
"""How much dearer a find may be, and where parts add up on grids, whose steps a gradient does not see."""


class Planted:
    """A network whose margin falls by `height` along `way` (n, p) from rows `origin` (n, p), on one side only.

    Rows are told apart by a last column of their own, which the real network does not see.
    """

    def __init__(self, network: Sloped, origin: Array, way: Array, height: Array) -> None:
        self.network, self.origin, self.way, self.height = network, origin, way, height

    def forward(self, x: Array) -> Array:
        """The margin (n,) of lifted rows (n, p + 1)."""
        return self.sloped(x)[0]

    def sloped(self, x: Array) -> tuple[Array, Array]:
        """(margin (n,), its gradient (n, p + 1))."""
        ids, x = x[:, -1].astype(int), x[:, :-1]
        margin, slope = self.network.sloped(x)
        along = ((x - self.origin[ids]) * self.way[ids]).sum(axis=1)
        down = (along > -1e-12) * self.height[ids]
        slope = slope - down[:, None] * self.way[ids]
        return margin - np.maximum(along, 0.0) * self.height[ids], np.hstack([slope, np.zeros((len(x), 1))])


def refuse_blind(network: Sloped, moves: Moves, target: float, found: Array, donors: Array, seed: int) -> str:
    """Plant a slope at up to 8 rows, toward a point nearer than what was found, by one to three numbers; why none could
    be planted, "" where one was.

    Raises CouldNotLook when the whole attack does not find one at up to 1.1 times what it costs, 1.5 where parts add up
    on grids, and a place of its grid; or when tangent planes alone, or steps inside a ball alone, do not find a steeper
    one so.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(np.isfinite(found)))[:ROWS]
    if moves.space.constraints:
        return RELATIONS
    if not len(rows):
        return "nothing was found that a nearer one could be planted beside"
    if not moves.places.size:
        return "no number may change"
    point, least = _points(moves, rows, found[rows] * NEARER, rng)
    there = np.isfinite(least)
    rows, point, least = rows[there], point.take(there), least[there]
    if not len(rows):
        return "no number that may change can be told finely enough, or within less than what was found"
    origin, small = moves.lifted[rows], _few(moves, rows)
    ahead = moves.read(rows, point) - origin
    way = ahead / (ahead**2).sum(axis=1, keepdims=True)
    height = np.maximum(network.forward(origin + ahead) - target, 0.0) * STEEPER + 1e-6 * (1 + abs(target))
    dearer = COARSE if moves.additive and (moves.step > 0).any() else DEARER
    # A find on a grid may lie a place further, in each column of the plant; where the largest change counts, in any.
    moved = point.value != moves.origin[rows] if moves.additive else (moves.up[rows] > 0) | (moves.down[rows] < 0)
    places = np.where(moved, moves.step * moves.price, 0.0)
    place = np.sqrt((places**2).sum(axis=1)) if moves.square else places.max(axis=1, initial=0.0)
    most = least * dearer + place
    slopes = Planted(network, origin, way, height)
    _refuse(searched(slopes, small, target, donors[:0], seed, masked=False, enough=most).distance, most)
    # Draws and single moves may find such a slope without a gradient. Where it is steeper than all that the network
    # itself does there, what follows gradients must find it alone, from the row.
    real = offers(moves, rows, network.sloped(origin)[1])
    falls = np.abs(lowered(moves, real, least)[1]) + np.abs(network.forward(origin) - target)
    steep = Planted(network, origin, way, (height + falls) * STEEPEST)
    nearest = _on_the_way(steep, small, point, target)
    follows, steps = Search(steep, small, target, seed), Search(steep, small, target, seed)
    follows.follow(follows.rows, small.start_at(follows.rows))
    _refuse(follows.distance, nearest * dearer + place)
    if not moves.knapsack and moves.norm in ("linf", "l2"):  # in a sum of parts a step takes many numbers at once
        # Where squares add up, what rounding to a grid takes of a step goes to no other number.
        ball = nearest * dearer + (place if moves.square else 0.0)
        steps.inside(steps.rows, ball, small.start_at(steps.rows))
        steps.put_back()
        _refuse(steps.distance, nearest * dearer * (1 + 1e-6) + place)
    return ""


def _refuse(found: Array, most: Array) -> None:
    """Raises CouldNotLook where a plant was not found at up to `most` (q,)."""
    missed = ~(found <= most + 1e-9)
    if missed.any():
        what = f"{missed.sum()} of {len(missed)} slopes planted in the network were not found at their distance"
        raise CouldNotLook(f"the sanity test failed: {what}")


def _on_the_way(network: Sloped, moves: Moves, point: Point, target: float) -> Array:
    """The distance (q,) of the first of many permitted points between each row and its planted point that passes."""
    least = moves.distance(np.arange(len(point.value)), point)
    ids = np.arange(len(least))
    for share in np.linspace(1, 0, _ALONG, endpoint=False):
        there = moves.snapped(ids, moves.origin + share * (point.value - moves.origin))
        on = Point(there, point.pick)
        passes = network.forward(moves.read(ids, on)) < target
        distance = moves.distance(ids, on)
        least = np.where(passes & (distance > 0), np.minimum(least, distance), least)
    return least


def _points(moves: Moves, rows: Array, radius: Array, rng: np.random.Generator) -> tuple[Point, Array]:
    """(a permitted point for each row, moved in one to three numbers within a radius; its distance, inf where none)."""
    point = moves.start_at(rows)
    for i in range(len(rows)):
        room = np.maximum(moves.up[rows[i]], -moves.down[rows[i]])
        count = int(rng.integers(1, TOGETHER + 1))
        least = radius[i] / count / (2 * STEEPEST * moves.price)
        fine = _GRAINS * np.spacing(np.abs(moves.origin[rows[i]]).astype(np.float32)).astype(float) < least
        x = moves.origin[rows[i]]
        beside = (x >= moves.low[rows[i]]) & (x <= moves.high[rows[i]])  # over a gap there is nothing near
        columns = rng.permutation(np.flatnonzero((room > 0) & fine & beside))[:count]
        part = radius[i] / (len(columns) or 1) if moves.additive and not moves.square else radius[i]
        part = part / np.sqrt(len(columns) or 1) if moves.square else part
        for c in columns.tolist():
            ways = [s for s, r in ((1, moves.up[rows[i], c]), (-1, -moves.down[rows[i], c])) if r > 0]
            s = int(rng.choice(ways))
            far = min(part / moves.price[c], moves.up[rows[i], c] if s > 0 else -moves.down[rows[i], c])
            point.value[i, c] = moves.origin[rows[i], c] + s * far
    point = Point(moves.snapped(rows, point.value), np.full_like(point.pick, KEEP))
    distance = moves.distance(rows, point)
    return point, np.where((distance > 0) & (distance <= radius * (1 + 1e-9)), distance, np.inf)


def _few(moves: Moves, rows: Array) -> Moves:
    """The moves of some rows, each with its number among them as a last input."""
    few = copy(moves)
    few.space = copy(moves.space)
    few.space.rows, few.space.size = moves.space.rows.take(rows), len(rows)
    for name in ("origin", "low", "high", "down", "up"):
        setattr(few, name, getattr(moves, name)[rows])
    few.lifted = np.hstack([moves.lifted[rows], np.arange(len(rows), dtype=float)[:, None]])
    few.listed = [
        one._replace(codes=one.codes[rows], parts=one.parts[rows], effect=one.effect[rows]) for one in moves.listed
    ]
    return few
