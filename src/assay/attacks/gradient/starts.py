"""Starts beside the row itself: a network's slope at a row may lead away from what passes near it.

From the row alone gradients end in one basin. So steps inside a ball start from points drawn in it too (Croce and Hein
2020: restarts), and single moves, then moves beside them, are tried at several lengths: few moves at once are what a
norm that adds up wants, and what a slope in all numbers does not show.
"""

from __future__ import annotations

import numpy as np

from assay.attacks.gradient.apgd import Search
from assay.attacks.gradient.moves import KEEP, Point
from assay.core.protocols import FloatArray as Array

TURNS, PATIENCE, EACH = 60, 24, 6
"""Draws at most, draws without a nearer point before a row is left, draws between two polishings."""
NEARER, ROUNDS = 0.99, 8
SHARES = (0.65, 0.8, 0.9, 0.95, 0.98, 0.995)
RATES, SMALL, CLOSE = (2.0, 0.5, 0.1), 0.05, (0.95, 0.98, 0.995)
LENGTHS = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
BEAM, DEPTH, WIDEST = 3, 3, 2048
_CELLS = 4_000_000


def scattered(search: Search, rng: np.random.Generator) -> None:
    """Steps inside balls below what is known, from drawn points; a row is left when draws find nothing nearer."""
    since = np.zeros(len(search.rows))
    before = search.distance.copy()
    for turn in range(TURNS):
        rows = search.unsettled
        rows = rows[since[rows] < PATIENCE]
        if not len(rows):
            break
        radius = search.distance[rows] * rng.choice(SHARES, len(rows))
        point = drawn_in(search, rows, radius, turn // 3, rng)
        if turn % 3 == 0:
            search.inside(rows, radius, point, rng.choice(RATES, len(rows)))
        elif turn % 3 == 1:
            search.follow(rows, point, rounds=ROUNDS)
        else:  # along the border toward the row: short steps from the best point, in a ball that it just misses
            search.inside(rows, search.distance[rows] * rng.choice(CLOSE, len(rows)), search.best.take(rows), SMALL)
        if turn % EACH == EACH - 1:
            polished(search, np.flatnonzero(search.distance < before))
            nearer = search.distance < before * NEARER
            since, before = np.where(nearer, 0, since + EACH), np.where(nearer, search.distance, before)


def polished(search: Search, rows: Array) -> None:
    """What is not needed is taken back, and the tangent followed, where something nearer was found."""
    if len(rows):
        search.put_back(rows)
        search.again(rows)


def drawn_in(search: Search, rows: Array, radius: Array, turn: int, rng: np.random.Generator) -> Point:
    """A point inside the ball of each row: of the whole box, at its corners, a few numbers, or about the best known."""
    moves = search.moves
    origin, shape = moves.origin[rows], (len(rows), len(moves.places))
    pick = _picked(search, rows, radius, rng)
    kind = turn % 4
    way = rng.uniform(-1.0, 1.0, shape)
    if kind == 1 and not moves.additive:
        way = np.sign(way)
    elif kind == 2:
        way = way + (search.best.value[rows] - origin) * moves.price / search.distance[rows, None]
    elif kind == 3 or (moves.additive and not moves.square):
        few = rng.choice([1.5, 3.0, 0.2 * shape[1], 0.4 * shape[1]], (len(rows), 1)) / max(1, shape[1])
        way = way * (rng.random(shape) < few)
    far = np.minimum(np.where(way > 0, moves.up[rows], -moves.down[rows]), radius[:, None] / moves.price)
    return Point(moves.snapped(rows, origin + way * far), pick)


def _picked(search: Search, rows: Array, radius: Array, rng: np.random.Generator) -> Array:
    """Listed values (q, l): as they are, as in the best point, or drawn, as far as they leave room in the radius."""
    moves = search.moves
    pick = np.full((len(rows), len(moves.listed)), KEEP)
    power = 2 if moves.square else 1
    room = radius**power
    for at in rng.permutation(len(moves.listed)).tolist():
        parts = moves.listed[at].parts[rows]
        fits = np.where(parts <= room[:, None], rng.random(parts.shape), -1.0)
        drawn = np.where(fits.max(axis=1, initial=-1.0) >= 0, fits.argmax(axis=1), KEEP)
        which = rng.random(len(rows))
        chosen = np.where(which < 0.4, KEEP, np.where(which < 0.7, search.best.pick[rows, at], drawn))
        cost = np.where(chosen == KEEP, 0.0, parts[np.arange(len(rows)), np.maximum(chosen, 0)])
        chosen = np.where(cost <= room, chosen, KEEP)
        pick[:, at] = chosen
        if moves.additive:
            room = room - np.where(chosen == KEEP, 0.0, cost)
    return pick


def few(search: Search, rng: np.random.Generator) -> None:
    """Each move alone at several lengths inside the best distance, then one more beside the most promising, and so on:
    a beam of BEAM points, DEPTH moves."""
    rows = search.unsettled
    if not len(rows):
        return
    ids, point = rows, search.moves.start_at(rows)
    for depth in range(DEPTH):
        found: list[tuple[Array, Point]] = []
        width = _width(search)
        step = max(1, _CELLS // (width * max(1, search.moves.lifted.shape[1])))
        for at in range(0, len(ids), step):
            part = slice(at, at + step)
            found.append(
                _beside(search, ids[part], Point(point.value[part], point.pick[part]), 1 if depth else BEAM, rng)
            )
        ids = np.concatenate([i for i, _ in found])
        point = Point(*(np.concatenate([getattr(p, name) for _, p in found]) for name in ("value", "pick")))
        if not len(ids):
            return
        search.inside(ids, search.distance[ids] * 0.97, point)
    polished(search, rows)


def _width(search: Search) -> int:
    """How many moves are asked beside a point."""
    moves = search.moves
    count = 2 * len(LENGTHS) * len(moves.places) + sum(int(one.parts.shape[1]) for one in moves.listed)
    return max(1, min(WIDEST, count))


def _beside(search: Search, ids: Array, point: Point, keep: int, rng: np.random.Generator) -> tuple[Array, Point]:
    """Ask one more move beside each point; (rows, points) of the `keep` lowest margins of each."""
    moves, c = search.moves, len(search.moves.places)
    offers = [(j, s, f) for j in range(c) for s in (1, -1) for f in LENGTHS]
    listed = [(at, k) for at, one in enumerate(moves.listed) for k in range(one.parts.shape[1])]
    chosen = rng.permutation(len(offers) + len(listed))[: _width(search)]
    rest = moves.parts(ids, point)
    budget = search.distance[ids] ** 2 if moves.square else search.distance[ids]
    at = np.repeat(np.arange(len(ids)), len(chosen))
    value, pick = point.value[at], point.pick[at]
    every = np.arange(len(ids)) * len(chosen)
    for n, k in enumerate(chosen.tolist()):
        j = offers[k][0] if k < len(offers) else c + listed[k - len(offers)][0]
        room = budget - (rest.sum(axis=1) - rest[:, j] if moves.additive else 0.0)
        if k < len(offers):
            _, side, share = offers[k]
            far = np.sqrt(np.maximum(room, 0)) if moves.square else np.maximum(room, 0)
            most = moves.up[ids, j] if side > 0 else -moves.down[ids, j]
            value[every + n, j] = moves.origin[ids, j] + side * np.minimum(most, share * far / moves.price[j])
        else:
            axis, level = listed[k - len(offers)]
            fits = moves.listed[axis].parts[ids, level] < room
            pick[every + n, axis] = np.where(fits, level, point.pick[:, axis])
    asked = Point(moves.snapped(ids[at], value), pick)
    margins = search.network.forward(moves.read(ids[at], asked))
    search.keep(ids[at], asked, margins)
    same = (asked.value == point.value[at]).all(axis=1) & (pick == point.pick[at]).all(axis=1)
    order = np.argsort(np.where(same, np.inf, margins).reshape(len(ids), -1), axis=1, kind="stable")[:, :keep]
    best = (order + every[:, None]).ravel()
    return ids[at][best], asked.take(best)
