"""What to try next: changed copies of the nearest successes, drawn inside a smaller ball of the norm."""

from __future__ import annotations

import numpy as np

from assay.attacks.boundary.moves import Moves
from assay.attacks.space import Array
from assay.core.subject import Norm

Generator = np.random.Generator
BACK: dict[Norm, float] = {"l2": 0.1, "l1": 0.4}
"""How often a value drawn anew is the row's own; an L1 ball is nearest where few values move."""


def fitted(moves: Moves, ids: Array, codes: Array, radius: Array, rng: Generator) -> Array:
    """Codes (q, m) brought into a ball of `radius` (q,) around their rows: clipped, or shortened to it."""
    if moves.norm == "linf":
        return moves.land(ids, codes, radius)
    power = 2 if moves.norm == "l2" else 1
    changed = ~np.isnan(codes) & (codes != moves.origin[ids])
    listed = changed & moves.listed
    room = radius**power
    if listed.any():  # each counts 1: as many as fit, drawn at random
        turn = np.argsort(np.argsort(np.where(listed, rng.random(codes.shape), 2.0), axis=1), axis=1)
        over = listed & (turn + 1 > room[:, None])
        codes = np.where(over, np.nan, codes)
        room = room - (listed & ~over).sum(axis=1)
    move = np.where(moves.listed, 0.0, np.nan_to_num(codes - moves.origin[ids]))
    part = np.abs(move / moves.unit) ** power
    left = _trimmed(part, np.maximum(room, 0), rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(part > left, (left / part) ** (1 / power), 1.0)
    shorter = np.where(share < 1, moves.origin[ids] + move * share, codes)
    return moves.land(ids, np.where(moves.listed, codes, shorter))


def _trimmed(part: Array, room: Array, rng: Generator) -> Array:
    """Parts (q, m) cut to a sum of `room` (q,): a fifth of the rows all alike, the others part by part in random order.

    What lies just beyond a threshold must not be shortened with the rest.
    """
    total = part.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        alike = part * np.where(total > room, room / total, 1.0)[:, None]
    order = np.argsort(rng.random(part.shape, dtype=np.float32), axis=1)
    sorted_ = np.take_along_axis(part, order, axis=1)
    before = np.cumsum(sorted_, axis=1) - sorted_
    cut = np.empty(part.shape)
    np.put_along_axis(cut, order, np.clip(room[:, None] - before, 0.0, sorted_), axis=1)
    return np.where((rng.random(len(part)) < 0.2)[:, None], alike, cut)


def changed(
    moves: Moves, ids: Array, parents: Array, radius: Array, plane: Array, share: float, rng: Generator
) -> Array:
    """Parents (q, m) with one to all values drawn anew, within `radius` (q,) of their rows.

    A `share` of them goes the way that `plane` (m,) falls.
    """
    shape = parents.shape
    part = np.exp((rng.random(len(ids)) - 1) * np.log(max(shape[1], 2))).astype(np.float32)[:, None]
    draw = rng.random(shape, dtype=np.float32) / part  # below 1 is drawn, and then tells what is drawn
    drawn = draw < 1
    codes = moves.filled(ids, parents)
    at = np.nonzero(drawn)
    one, far = draw[at].astype(float), (radius[:, None] * moves.unit)[at]
    codes[at] = moves.origin[ids[at[0]], at[1]] + far * _ends(one, moves.norm)
    codes = _downhill(moves, ids, codes, radius, drawn & (rng.random(len(ids)) < share)[:, None], plane, rng)
    if moves.listed.any():
        j, kind = at[1], one * 2
        level = np.floor(kind % 1 * np.maximum(moves.levels[j], 1))
        anew = np.where(kind < 1, moves.origin[ids[at[0]], j], level)
        codes[at] = np.where(moves.listed[j], anew, codes[at])
    return fitted(moves, ids, codes, radius, rng)


def _ends(draw: Array, norm: Norm) -> Array:
    """Moves as shares of the radius from draws in [0, 1): mostly to a side of the box; else back or part of the way."""
    if norm == "linf":
        return np.where(draw < 0.4, 1.0, np.where(draw < 0.8, -1.0, np.where(draw < 0.9, 0.0, draw * 20 - 19)))
    back = BACK[norm]
    part = (draw - back) / (1 - back) * 2 - 1
    return np.where(draw < back, 0.0, np.sign(part) * part**2)


def _downhill(
    moves: Moves, ids: Array, codes: Array, radius: Array, drawn: Array, plane: Array, rng: Generator
) -> Array:
    """Points (q, m) with what is `drawn` moved to where a plane falls most within the radius; others stay."""
    if moves.norm == "linf":
        way = -np.sign(plane)
        drawn = drawn & ~moves.listed & (way != 0)
        return np.where(drawn, moves.origin[ids] + radius[:, None] * moves.unit * way, codes)
    steep = np.where(moves.listed, 0.0, np.abs(plane))
    way = -plane if moves.norm == "l2" else -plane * (steep >= steep.max())
    way = np.where(moves.listed, 0.0, way)
    length = np.sqrt((way**2).sum()) if moves.norm == "l2" else np.abs(way).sum()
    if length <= 0:
        return codes
    share = np.where(drawn.any(axis=1), rng.random(len(ids)), 0.0)[:, None]
    goal = moves.origin[ids] + radius[:, None] * moves.unit * way / length
    return np.where(moves.listed, codes, codes + share * (goal - codes))


def wild(moves: Moves, ids: Array, donors: Array, rng: Generator) -> Array:
    """Points anywhere (q, m) for rows in which nothing passed yet: values of other rows, ends of ranges, any level."""
    shape = (len(ids), moves.origin.shape[1])
    many = np.exp(rng.random(len(ids)) * np.log(max(shape[1], 2)))
    drawn = rng.random(shape) < (many / shape[1])[:, None]
    drawn[np.arange(len(ids)), rng.integers(shape[1], size=len(ids))] = True
    known = np.vstack([donors, moves.origin])
    values = known[rng.integers(len(known), size=shape), np.arange(shape[1])]
    with np.errstate(all="ignore"):
        ends = np.array([np.nanmin(known, axis=0), np.nanmax(known, axis=0)])
    low = np.where(np.isfinite(moves.low), moves.low, 2 * ends[0] - ends[1])[ids]
    high = np.where(np.isfinite(moves.high), moves.high, 2 * ends[1] - ends[0])[ids]
    kind, share = rng.random(shape), rng.random(shape)
    values = np.where(
        kind < 0.2, low, np.where(kind < 0.4, high, np.where(kind < 0.55, low + share * (high - low), values))
    )
    values = np.where(moves.listed, np.floor(share * np.maximum(moves.levels, 1)), values)
    return moves.land(ids, np.where(drawn, values, np.nan))
