"""The sanity test of the black-box attack: planted holes, no row missed, no answer that depends on its neighbours."""

from __future__ import annotations

from copy import copy
from math import comb

import numpy as np

from assay.attacks.attacked import RELATIONS
from assay.attacks.boundary.asked import Asked
from assay.attacks.boundary.search import Search
from assay.attacks.sanity import SURE, Holes, Planted, refuse_other_alone
from assay.attacks.space import Array, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Norm

ROWS, DONORS = 12, 8
DEARER = 1.25
_ROW = "\0row"


def part_of(space: Space, rows: Array) -> Space:
    """The same space with only the rows at `rows` (k,)."""
    small = copy(space)
    small.rows, small.size = space.rows.take(rows), len(rows)
    small.axes = [copy(axis) for axis in space.axes]
    for axis in small.axes:
        axis.origin = axis.origin[rows]
    return small


def refuse_blind(
    predictor: Predictor, space: Space, passing: ArrowTable, norm: Norm, *, access: str, limit: int, seed: int
) -> str:
    """Holes planted in the model must be found at up to 1.25 times what they cost: a half-space for each row, beyond a
    value that one axis may take. Rows in which nothing can be planted say nothing; why none could be, "" where one was.

    Raises CouldNotLook where more than a tenth of the holes is missed.
    """
    rng = np.random.default_rng([seed, 5])
    small = part_of(space, rng.permutation(space.size)[:ROWS])
    donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    holes, least = _half_spaces(small, donors, norm, rng)
    there = np.isfinite(least)
    if not there.any():
        return RELATIONS if space.constraints else "no row may take a value of a row that passes"
    small.rows = small.rows.append_column(_ROW, [np.arange(small.size)])
    model = Planted(predictor, small, holes, access)
    found = Search(model, small, passing, norm, access, limit, seed).run()
    missed = there & ~(found.best <= np.where(there, least, 0) * DEARER + 1e-9)
    if missed.sum() > 0.1 * there.sum():
        where = sorted({space.axes[j].name for j in holes.j[missed].ravel().tolist()})
        what = f"{missed.sum()} of {there.sum()} holes planted in the model were not found at their distance"
        raise CouldNotLook(f"the sanity test failed: {what} (in {', '.join(where[:4])}); raise `queries:`")
    return ""


def _half_spaces(space: Space, donors: Array, norm: Norm, rng: np.random.Generator) -> tuple[Holes, Array]:
    """A hole for each row behind a value of a passing row that one axis may take alone; its distance, or inf."""
    count = space.size
    j, side, code = np.zeros((count, 1), dtype=int), np.zeros((count, 1), dtype=int), np.full((count, 1), np.nan)
    least = np.full(count, np.inf)
    for row in range(count) if len(donors) else ():
        for a in rng.permutation(len(space.axes)).tolist():
            values = donors[~np.isnan(donors[:, a]), a]
            parts = space.axes[a].parts(space.axes[a].origin[row], values, norm)
            values = values[np.isfinite(parts)]
            if not len(values):
                continue
            value = float(rng.choice(values))
            trial = np.full((1, len(space.axes)), np.nan)
            trial[0, a] = value
            ids = np.array([row])
            if not space.valid(space.moved(ids, trial)).all():
                continue
            axis = space.axes[a]
            j[row], code[row] = a, value
            side[row] = np.sign(value - axis.origin[row]) if axis.ordered else 0
            part = float(axis.parts(axis.origin[row], np.array([value]), norm)[0])
            least[row] = np.sqrt(part) if norm == "l2" else part
            break
    return Holes(j, side, code), least


def refuse_neighbours(predictor: Predictor, space: Space, found: Asked) -> None:
    """What was asked among others must get the same answer alone. Raises CouldNotLook when one differs."""
    for row, codes, passes in found.heard:
        refuse_other_alone(predictor, space.moved(np.array([row]), codes[None, :]), [not passes])


def refuse_missed(predictor: Predictor, space: Space, found: Asked, passing: ArrowTable, seed: int) -> None:
    """Where taking over the permitted values of a row that passes works, something must have been found; where
    everything is permitted, for every row. Raises CouldNotLook for rows in which nothing was."""
    rows = np.flatnonzero(np.isinf(found.best))
    if not len(rows) or not passing.num_rows:
        return
    donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    ids = np.repeat(rows, DONORS)
    codes = donors[np.random.default_rng([seed, 6]).integers(len(donors), size=len(ids))]
    landed = found.moves.permitted(ids, found.moves.land(ids, codes))
    table = space.moved(ids, landed)
    works = space.valid(table) & ~np.isnan(landed).all(axis=1)
    works[works] = ~predictor.flagged(table.filter(works))
    if works.any() or space.free:
        many = len(np.unique(ids[works])) or len(rows)
        raise CouldNotLook(
            f"the sanity test failed: {many} of {space.size} rows pass with permitted values of rows that pass, but "
            "the attack found nothing for them; raise `queries:`"
        )


def refuse_masked_scores(
    predictor: Predictor, space: Space, passing: ArrowTable, norm: Norm, *, limit: int, seed: int
) -> None:
    """With scores the attack must do no worse than with labels: a sign that the scores mislead it.

    A row speaks against it at more than 1.25 times the distance. Raises CouldNotLook when a sign test (1%) finds such
    rows clearly more often than the opposite.
    """
    small = part_of(space, np.random.default_rng([seed, 7]).permutation(space.size)[: 2 * ROWS])
    label, score = (Search(predictor, small, passing, norm, a, limit, seed).run().best for a in ("label", "score"))
    worse, better = int((score > label * DEARER).sum()), int((label > score * DEARER).sum())
    chance = sum(comb(worse + better, n) for n in range(worse, worse + better + 1)) / 2 ** (worse + better)
    if chance < SURE:
        raise CouldNotLook(
            f"the sanity test failed: with scores the attack does worse than with labels in {worse} of {small.size} "
            f"rows, better in {better}; the scores mislead it, use `access: label`"
        )
