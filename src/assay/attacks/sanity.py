"""The sanity test of an attack: one that cannot fail proves nothing (Carlini et al. 2019; Zimmermann et al. 2022)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from itertools import islice
from math import comb

import msgspec
import numpy as np

from assay.attacks.priced.order import cheapest, finest
from assay.attacks.priced.search import FINE, SINGLES, TIED, Evaded, assured, attack
from assay.attacks.priced.ties import joint
from assay.attacks.space import KEEP, Array, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Norm

ROWS = 24
PAIRS, TRIES, CLOSEST = 2, 12, 8
TOGETHER = 3  # moves that one hole may need at once
DEARER = 1.5
DONORS = 8
SURE = 0.01
SINGLE = 4_000  # single changes that what was proved is held against
_ROW = "\0row"  # a column of the test's own, so that each row can have its own hole


class BlindError(CouldNotLook):
    """The attack missed a planted hole."""


class Holes(msgspec.Struct, frozen=True):
    """Per row (n, c): a row passes where all its c conditions hold, each on axis `j` and against `code`.

    `side` 1 wants a code at or above it, -1 at or below it, 0 that very one.
    """

    j: Array
    side: Array
    code: Array

    def met(self, ids: Array, codes: Array) -> Array:
        """Whether each condition of the holes of rows `ids` holds, (q, c), for the codes (m, q) of all axes."""
        value = codes[self.j[ids], np.arange(len(ids))[:, None]]
        side, code = self.side[ids], self.code[ids]
        return np.where(side == 0, value == code, (value - code) * side >= 0)


class Planted:
    """A predictor that flags everything outside its holes, with the real scores there where scores are asked."""

    def __init__(self, real: Predictor, space: Space, holes: Holes, access: str) -> None:
        self._real, self._space, self._holes, self._asked = real, space, holes, access
        self.features, self.classes = real.features, real.classes
        self.threshold, self.access = real.threshold, real.access
        self.queries = 0

    def scores(self, rows: ArrowTable) -> Array:
        """Far below the threshold in a hole; elsewhere the real scores, but never below it."""
        self.queries += rows.num_rows
        ids = rows.column(_ROW).to_numpy()
        codes = np.array([a.place(rows.column(a.name).to_pylist()) for a in self._space.axes])
        met = self._holes.met(ids, codes).all(axis=1)
        outside = self._real.scores(rows) if self._asked == "score" else np.full(len(ids), np.inf)
        return np.where(met, self.threshold - 1.0, np.maximum(outside, self.threshold))

    def flagged(self, rows: ArrowTable) -> Array:
        """Scores at or above the threshold."""
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        """The real predictor is not ours to close."""


def refuse_access(predictor: Predictor, access: str) -> None:
    """Raises CouldNotLook where scores are asked of a model that gives only labels."""
    if access == "score" and predictor.access == "label":
        raise CouldNotLook("the model gives labels only, no scores; attack it with `access: label`")


def refuse_unstable(predictor: Predictor, rows: ArrowTable) -> None:
    """The same rows must get the same answer. Raises CouldNotLook for a model that answers at random."""
    if not np.array_equal(predictor.scores(rows), predictor.scores(rows)):
        raise CouldNotLook(
            "the sanity test failed: the same row gets different scores, which hides what an attack finds"
        )


def refuse_neighbours(predictor: Predictor, space: Space, found: Evaded) -> None:
    """What was asked among others must get the same answer alone: a model may not look at a row's neighbours.

    Raises CouldNotLook when one differs.
    """
    for row, choice, evades in found.heard:
        refuse_other_alone(predictor, space.build(np.array([row]), choice[None, :]), [not evades])


def refuse_other_alone(predictor: Predictor, rows: ArrowTable, flagged: Sequence[bool]) -> None:
    """Each of `rows` alone must be `flagged` (n,) as it was among others. Raises CouldNotLook where one is not."""
    for at, among in enumerate(flagged):
        if bool(predictor.flagged(rows.slice(at, 1))[0]) is not bool(among):
            raise CouldNotLook(
                "the sanity test failed: a row alone gets another answer than among others, which hides what evades"
            )


def refuse_masking(predictor: Predictor, rows: ArrowTable, passing: ArrowTable) -> None:
    """With everything allowed an attack must always succeed: a row replaced whole by one that passes must pass.

    `rows` are flagged. Raises CouldNotLook when it does not.
    """
    count = min(ROWS, rows.num_rows, passing.num_rows)
    table = rows.slice(0, count)
    for name in predictor.features:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), passing.slice(0, count).column(name))
    if predictor.flagged(table).any():
        raise CouldNotLook(
            "the sanity test failed: an unlimited budget does not reach 100%, the model masks its decision"
        )


def refuse_blind(
    predictor: Predictor, space: Space, passing: ArrowTable, *, access: str, limit: int, seed: int
) -> None:
    """Planted holes must be found at what they cost: one for each row that one move reaches, and holes that need two.

    Of single moves: half-spaces up and down, and one value or category alone, behind no more single moves than an
    attack may ask; they must be found at the least cost. Of pairs that lie anywhere: two features must both be moved;
    the cheapest pair may be behind more combinations than an attack can ask, so it must be found at no more than 1.5
    times its cost, and rows to borrow from lie inside. Of combinations behind no more of them than an attack may ask:
    two or three features must take one value each, inside their range as a rule, and no row to borrow from is
    given; they must be found at the least cost. Likewise fine moves, one value each, of those that the row may ask;
    and where a relation ties inputs together, two of them at one value each, of those joint moves. Raises BlindError
    when the attack misses one, CouldNotLook when none can be planted.
    """
    rng = np.random.default_rng(seed)
    possible = space.possible()
    can = possible & ~space.fine
    holes, least = _singles(space, can, int(limit * SINGLES[access]), rng)
    if not np.isfinite(least).any():
        what = "keeps `constraints:`" if space.constraints else "is permitted"
        raise CouldNotLook(f"the sanity test could not plant a hole: no single change of a row {what}")
    planted = [("one change", holes, least, 1.0, passing)]
    planted += [("two changes", *pair, DEARER, _inside(space, passing, pair[0])) for pair in _pairs(space, can, rng)]
    none = passing.slice(0, 0)
    planted.append(("one fine change", *_fine(space, possible, int(limit * FINE), rng), 1.0, none))
    planted.append(("two changes that a relation ties together", *_tied(space, int(limit * TIED), rng), 1.0, none))
    planted.append(("several changes at once", *_together(space, assured(limit), rng), 1.0, none))
    numbered = copy(space)
    numbered.rows = space.rows.append_column(_ROW, [np.arange(space.size)])
    for what, holes, least, dearer, donors in planted:
        if not np.isfinite(least).any():
            continue
        model = Planted(predictor, space, holes, access)
        found = attack(model, numbered, donors, access=access, limit=limit, seed=seed)
        there = np.isfinite(least)
        missed = there & ~(found.cost <= np.where(there, least, 0) * dearer + 1e-9)
        if missed.any():
            where = sorted({space.axes[j].name for j in holes.j[missed].ravel().tolist()})
            raise BlindError(
                f"the sanity test failed: {missed.sum()} of {there.sum()} holes planted in the model, {what} away, "
                f"were not found at their cost (in {', '.join(where[:4])}); raise `queries:`"
            )


def _singles(space: Space, can: Array, most: int, rng: np.random.Generator) -> tuple[Holes, Array]:
    """A hole for each row that one move reaches, every kind and axis in turn; its least cost, inf where there is none.

    A half-space begins at a candidate on that side of the row. A value alone lies behind at most `most` single moves.
    """
    uses: dict[tuple[int, int], int] = {}
    j, side, code = (np.zeros((space.size, 1), dtype=t) for t in (int, int, float))
    least = np.full(space.size, np.inf)
    for row in range(space.size):
        costs, sides = space.usual(row), space.sides[row]
        near: Array = np.searchsorted(np.sort(costs[np.isfinite(costs)]), costs, side="right") <= most
        fits = {
            (s, a): np.flatnonzero(can[row, a] & ((sides[a] == s) if s else near[a]))
            for s in (-1, 0, 1)
            for a in range(len(space.axes))
        }
        kinds = [key for key in fits if len(fits[key])]
        if not kinds:
            continue
        tried = {s: sum(n for (t, _), n in uses.items() if t == s) for s in (-1, 0, 1)}
        s, a = min((kinds[p] for p in rng.permutation(len(kinds))), key=lambda key: (tried[key[0]], uses.get(key, 0)))
        uses[s, a] = uses.get((s, a), 0) + 1
        k = rng.choice(fits[s, a])
        codes = space.axes[a].codes[row]
        reach = fits[s, a][(codes[fits[s, a]] - codes[k]) * s >= 0] if s else np.array([k])
        j[row], side[row], code[row], least[row] = a, s, codes[k], costs[a, reach].min()
    return Holes(j, side, code), least


def _pairs(space: Space, can: Array, rng: np.random.Generator) -> list[tuple[Holes, Array]]:
    """Holes that all rows share and that no single move reaches; of several drawn at random those most rows reach."""
    drawn = []
    for _ in range(TRIES):
        row = int(rng.integers(space.size))
        axes = [a for a in rng.permutation(len(space.axes)).tolist() if can[row, a].any()][:2]
        if len(axes) < 2:
            continue
        k = [int(rng.choice(np.flatnonzero(can[row, a]))) for a in axes]
        side = np.tile([int(space.sides[row, a, at]) for a, at in zip(axes, k, strict=True)], (space.size, 1))
        code = np.tile([space.axes[a].codes[row, at] for a, at in zip(axes, k, strict=True)], (space.size, 1))
        holes = Holes(np.tile(axes, (space.size, 1)), side, code)
        least = _least(space, holes)
        if np.isfinite(least).any():
            drawn.append((holes, least))
    return sorted(drawn, key=lambda pair: -np.isfinite(pair[1]).sum())[:PAIRS]


def _together(space: Space, most: int, rng: np.random.Generator) -> tuple[Holes, Array]:
    """A hole for each row that only two or three moves at once reach, every choice of axes in turn; its cost (n,).

    One value on each axis, behind at most `most` combinations in order of cost; inf for rows where none keeps every
    relation. Were a hole wider, or rows that lie in it given, it would be found by trying ends, or by borrowing alone.
    """
    uses: Counter[tuple[int, ...]] = Counter()
    j, code = np.zeros((space.size, TOGETHER), dtype=int), np.full((space.size, TOGETHER), np.nan)
    least = np.full(space.size, np.inf)
    for row in range(space.size):
        ahead = islice(cheapest(space, row, np.inf), most)
        choices = np.array([c for c in ahead if (c != KEEP).sum() <= TOGETHER], dtype=np.int16)
        if not len(choices):
            continue
        ids = np.full(len(choices), row)
        choices = choices[space.valid(space.build(ids, choices))]
        by_axes: dict[tuple[int, ...], list[Array]] = {}
        for choice in choices[rng.permutation(len(choices))]:
            by_axes.setdefault(tuple(np.flatnonzero(choice != KEEP).tolist()), []).append(choice)
        if not by_axes:
            continue
        axes = min(by_axes, key=lambda key: uses[key])
        uses[axes] += 1
        choice = by_axes[axes][0]
        for place in range(TOGETHER):
            a = axes[min(place, len(axes) - 1)]
            j[row, place], code[row, place] = a, space.axes[a].codes[row, choice[a]]
        least[row] = space.cost(np.array([row]), choice[None])[0]
    return Holes(j, np.zeros(j.shape, dtype=int), code), least


def _fine(space: Space, can: Array, most: int, rng: np.random.Generator) -> tuple[Holes, Array]:
    """A hole for each row at one of the first `most` fine moves that it asks; its cost (n,), inf where it has none."""
    j, code, least = np.zeros((space.size, 1), dtype=int), np.zeros((space.size, 1)), np.full(space.size, np.inf)
    for row in range(space.size):
        moves = finest(space, row, can[row])[:most]
        if len(moves):
            a, k = moves[rng.integers(len(moves))].tolist()
            j[row], code[row], least[row] = a, space.axes[a].codes[row, k], space.costs[row, a, k]
    return Holes(j, np.zeros(j.shape, dtype=int), code), least


def _tied(space: Space, most: int, rng: np.random.Generator) -> tuple[Holes, Array]:
    """A hole for each row at one of its `most` cheapest joint moves; its cost (n,), inf where it has none."""
    j, code, least = np.zeros((space.size, 2), dtype=int), np.zeros((space.size, 2)), np.full(space.size, np.inf)
    ids, choices = joint(space, most)
    for row in np.unique(ids).tolist():
        mine = choices[ids == row]
        choice = mine[rng.integers(len(mine))]
        j[row] = np.flatnonzero(choice != KEEP)
        code[row] = [space.axes[a].codes[row, choice[a]] for a in j[row].tolist()]
        least[row] = space.cost(np.array([row]), choice[None])[0]
    return Holes(j, np.zeros(j.shape, dtype=int), code), least


def _least(space: Space, holes: Holes) -> Array:
    """The least cost (n,) of meeting both conditions among their nearest candidates; inf for rows that meet one."""
    rows = np.arange(space.size)
    met = holes.met(rows, np.array([a.origin for a in space.axes]))
    near = []
    for at, a in enumerate(holes.j[0].tolist()):
        axis = space.axes[a]
        inside = np.array([holes.met(rows, np.tile(c, (len(space.axes), 1)))[:, at] for c in axis.codes.T]).T
        order = np.argsort(np.where(inside & ~axis.fine, axis.cost, np.inf), axis=1, kind="stable")[:, :CLOSEST]
        near.append(np.where(np.take_along_axis(inside & ~axis.fine, order, axis=1), order, KEEP))
    ids, first, second = (
        x.ravel() for x in np.broadcast_arrays(rows[:, None, None], near[0][:, :, None], near[1][:, None])
    )
    choice = space.keep(len(ids))
    choice[:, holes.j[0, 0]], choice[:, holes.j[0, 1]] = first, second
    can = (first != KEEP) & (second != KEEP) & ~met.any(axis=1)[ids]
    cost = np.full(len(ids), np.inf)
    cost[can] = space.cost(ids[can], choice[can])
    cost[can] = np.where(space.valid(space.build(ids[can], choice[can])), cost[can], np.inf)
    return cost.reshape(space.size, -1).min(axis=1)


def _inside(space: Space, passing: ArrowTable, holes: Holes) -> ArrowTable:
    """Rows that pass the real model, set into a hole that all rows share."""
    table = passing
    for a, code in zip(holes.j[0].tolist(), holes.code[0].tolist(), strict=True):
        place = table.schema.get_field_index(space.axes[a].name)
        field = table.schema.field(place)
        table = table.set_column(place, field, space.axes[a].written(np.full(table.num_rows, code), field.type))
    return table


def refuse_missed(predictor: Predictor, space: Space, found: Evaded, passing: ArrowTable, seed: int) -> None:
    """Where taking over the values of a row that passes is permitted and works, an attack must have found something.

    Raises CouldNotLook for rows in which it found nothing.
    """
    rows = np.flatnonzero(np.isinf(found.cost))
    donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    ids = np.repeat(rows, DONORS)
    if not len(ids):
        return
    codes = donors[np.random.default_rng(seed).integers(len(donors), size=len(ids))]
    table = space.overwritten(ids, codes)
    works = space.valid(table)
    works[works] = ~predictor.flagged(table.filter(works))
    if works.any():
        raise CouldNotLook(
            f"the sanity test failed: {len(np.unique(ids[works]))} of {space.size} rows pass with permitted values of "
            "rows that pass, but the attack found nothing for them; raise `queries:`"
        )


def refuse_broken(predictor: Predictor, few: Space, bound: Array, norm: Norm, seed: int) -> None:
    """What is proved of rows `few`, `bound` (n,), must hold against every single change that the space thinks of.

    It is written by other hands than the proofs. Raises CouldNotLook for a row that passes nearer.
    """
    ids, axis, place = np.nonzero(few.possible() & (bound > 0)[:, None, None])
    if len(ids) > SINGLE:
        drawn = np.sort(np.random.default_rng([seed, 7]).permutation(len(ids))[:SINGLE])
        ids, axis, place = ids[drawn], axis[drawn], place[drawn]
    if not len(ids):
        return
    choice = few.keep(len(ids))
    choice[np.arange(len(ids)), axis] = place
    table = few.build(ids, choice)
    passes = few.valid(table) & ~predictor.flagged(table)
    if not passes.any():
        return
    ids = ids[passes]
    broken = few.price(ids, table.filter(passes), norm) < bound[ids] * (1 - 1e-6) - 1e-12
    if broken.any():
        what = f"{len(np.unique(ids[broken]))} of {few.size} rows pass nearer than what was proved"
        raise CouldNotLook(f"the sanity test failed: {what}; please report it, and attack by `access: label`")


def refuse_masked_scores(predictor: Predictor, space: Space, passing: ArrowTable, *, limit: int, seed: int) -> None:
    """With access to scores an attack must do no worse than with labels only: a sign that the scores mislead it.

    A row speaks against it where nothing was found, or at more than 1.5 times the cost. Raises CouldNotLook when a sign
    test (1%) finds such rows clearly more often than the opposite.
    """
    label, score = (
        attack(predictor, space, passing, access=a, limit=limit, seed=seed).cost for a in ("label", "score")
    )
    worse, better = int((score > label * DEARER).sum()), int((label > score * DEARER).sum())
    chance = sum(comb(worse + better, n) for n in range(worse, worse + better + 1)) / 2 ** (worse + better)
    if chance < SURE:
        raise CouldNotLook(
            f"the sanity test failed: with scores the attack does worse than with labels in {worse} of {space.size} "
            f"rows, better in {better}; the scores mislead it, use `access: label`"
        )
