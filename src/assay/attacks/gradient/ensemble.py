"""The ensemble of gradient attacks in turn: tangent planes, starts from rows that pass, shrinking balls."""

from __future__ import annotations

from copy import copy
from math import comb

import numpy as np

from assay.attacks.gradient.apgd import BALLS, INSIDE, Search, Sloped
from assay.attacks.gradient.moves import Moves, Point
from assay.attacks.gradient.starts import few, scattered
from assay.attacks.space import Array
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent

DEARER, SURE = 1.5, 0.01


def searched(
    network: Sloped, moves: Moves, target: float, donors: Array, seed: int, *, masked: bool = True,
    enough: Array | float = 0.0, progress: Progress = silent,
) -> Search:  # fmt: skip
    """All that the ensemble does, in turn. `donors` (d, m) are codes of rows that pass.

    Rows found at `enough` (n,) or nearer are searched no further from drawn places and in balls. Raises CouldNotLook
    where values borrowed from rows that pass do clearly better than gradients (`masked`).
    """
    search = Search(network, moves, target, seed, enough)
    start = moves.start_at(search.rows)
    search.single()
    if moves.space.constraints:
        search.follow(search.rows, start, _apart(moves))
    search.follow(search.rows, start)
    search.put_back()
    search.again()
    scattered(search, search.rng)
    progress(1, 4, "along gradients")
    by_slope = search.distance.copy()
    search.distance[:] = np.inf
    held = search.best
    search.best = moves.start_at(search.rows)
    search.lent(donors)
    search.again()
    progress(2, 4, "from rows that pass")
    if masked:
        refuse_masked(by_slope, search.distance)
    worse = by_slope < search.distance
    search.distance = np.where(worse, by_slope, search.distance)
    search.best = Point(*(np.where(worse[:, None], a, b) for a, b in zip(held, search.best, strict=True)))
    search.ends()
    few(search, search.rng)
    for ball in range(BALLS):
        rows = search.unsettled
        before = search.distance.copy()
        for point in (moves.start_at(rows)._replace(pick=search.best.pick[rows]), search.best.take(rows)):
            search.inside(rows, search.distance[rows] * INSIDE ** (ball + 1), point)
        better = np.flatnonzero(search.distance < before)
        if not len(better):
            break
        search.put_back()
        search.again()
        progress(3, 4, "inside a ball")
    scattered(search, search.rng)
    return search


def refuse_masked(by_slope: Array, lent: Array) -> None:
    """Raises CouldNotLook where rows are clearly more often nearer by borrowed values than by gradients (sign test)."""
    worse, better = int((by_slope > lent * DEARER).sum()), int((lent > by_slope * DEARER).sum())
    chance = sum(comb(worse + better, n) for n in range(worse, worse + better + 1)) / 2 ** (worse + better)
    if chance < SURE:
        raise CouldNotLook(
            f"gradients are masked: in {worse} of {len(lent)} rows values of rows that pass lead nearer, "
            f"in {better} less near; attack it with `access: score` or `access: label`"
        )


def _apart(moves: Moves) -> Moves:
    """Moves of what no relation reads alone, which no relation can forbid."""
    named = {name for c in moves.space.constraints for name in c.columns}
    free = copy(moves)
    tied = np.array([moves.space.axes[a].name in named for a in moves.axes], dtype=bool)
    free.down, free.up = (np.where(tied, 0.0, x) for x in (moves.down, moves.up))
    free.low, free.high = (np.where(tied, moves.origin, x) for x in (moves.low, moves.high))
    free.listed = [
        one._replace(parts=np.full_like(one.parts, np.inf)) if moves.space.axes[one.axis].name in named else one
        for one in moves.listed
    ]
    return free
