"""How often decisions change, and what is caught, where rows are damaged; the worst damage is chosen on other rows.

The greatest of many shares on the same rows is too great by chance. So the rows are parted in two, rows of one draw
together: on the first the worst is chosen, on the second it is measured, and its plain interval holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from assay.attacks.natural.asked import Answers, ask, ask_many
from assay.attacks.natural.damage import FAMILIES, Damage
from assay.attacks.sanity import refuse_other_alone
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.stats.effective import drawn, whole
from assay.stats.intervals import wilson_rate

Array = Any
LEAST, BLOCK = 10, 64
HEARD, HEARD_A_CALL = 48, 4
"""Damaged rows that are asked again alone: of all, and of one call."""


class Half(msgspec.Struct, frozen=True):
    """Rows of the holdout, no two of one draw: `rows`, the truth `target` (n,), how many rows each stands for
    (`weight`), and whether the model flags it undamaged (`before`)."""

    rows: ArrowTable
    target: Array
    weight: Array
    before: Array


class Share(NamedTuple):
    """A share with its 95% interval (Wilson's) and the number of rows that it rests on; None where they are too few."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Harm(msgspec.Struct, frozen=True):
    """What one damage does: of the rows that are told apart `refused`, of those answered `changed`, the rest of the
    shares among answered rows of a class."""

    damage: Damage
    refused: Share
    changed: Share
    recall: Share
    false_alarms: Share


class Drawn(msgspec.Struct, frozen=True):
    """What one damaged value a row does, drawn by family, way and input: all families together, and refusals of two."""

    refused: Share
    changed: Share
    recall: Share
    false_alarms: Share
    refused_missing: Share
    refused_range: Share


def share(hit: Array, among: Array, weight: Array, least: int = LEAST, row: Array | None = None) -> Share:
    """The weighted share of `hit` (n,) in 0 to 1 over the rows `among` (bool, (n,)); n is Kish's, rounded down, where
    entries of the same number in `row` are one."""
    heavy = weight[among]
    if not len(heavy):
        return Share(None, None, None, 0)
    each = heavy if row is None else np.bincount(row[among], weights=heavy)
    n = float(each.sum() ** 2 / (each**2).sum())
    if whole(n) < least:
        return Share(None, None, None, whole(n))
    value = min(1.0, max(0.0, float((heavy * hit[among]).sum() / heavy.sum())))
    return Share(value, *wilson_rate(value, n), whole(n))


def halves(
    model: Predictor, table: ArrowTable, target: Array, draw: Array, sizes: tuple[int, int], seed: int
) -> tuple[Half, Half, int, int]:
    """(rows to choose on, rows to report on, undamaged rows refused, of how many).

    One row of each draw, as many of both classes as there are, up to half of `sizes` each. Draws of one row and of many
    choose alike; a row weighs as many rows as of its draw came up (see `drawn`), times those of its class that did not.
    Raises CouldNotLook where the model answers too few.
    """
    rng = np.random.default_rng([seed, 7])
    order = rng.permutation(len(target))
    _, first, which, count = np.unique(draw[order], return_index=True, return_inverse=True, return_counts=True)
    picked, which = order[first], which.ravel()
    parts: list[list[Array]] = [[], []]
    weights: list[list[Array]] = [[], []]
    for wanted in (True, False):
        mine = rng.permutation(np.flatnonzero(target[picked] == wanted))
        small = min(sizes[0] // 2, len(mine) // 3)
        for part, (some, most) in enumerate(((mine[:small], small), (mine[small:], sizes[1] // 2))):
            if len(some):
                there = np.isin(which, some)
                places, each = drawn(which[there], most)
                parts[part].append(order[there][places])
                weights[part].append(each * (count[mine].sum() / each.sum()))
    made, refused, asked = [], 0, 0
    for part in range(2):
        if not parts[part]:
            raise CouldNotLook("too few rows of different inputs to damage")
        rows, weight = np.concatenate(parts[part]), np.concatenate(weights[part])
        mixed = np.random.default_rng([seed, 8, part]).permutation(len(rows))
        rows, weight = rows[mixed], weight[mixed]
        sample = table.take(rows)
        answers = ask(model, sample, calls=400)
        refused, asked = refused + int(answers.refused.sum()), asked + int((answers.refused | answers.answered).sum())
        kept = answers.answered
        if kept.sum() < 2 * LEAST:
            model.flagged(sample)  # says why, where it refuses
            raise CouldNotLook(
                f"of the rows that choose or measure a damage it answers {int(kept.sum())} of different inputs, "
                f"at least {2 * LEAST} are needed: give a larger holdout"
            )
        made.append(Half(sample.filter(kept), target[rows[kept]], weight[kept], answers.flagged[kept]))
    return made[0], made[1], refused, asked


class Harmed:
    """Asks the model of damaged rows, and sees that it still answers undamaged ones after a refusal."""

    def __init__(self, model: Predictor, seed: int) -> None:
        self.model, self.seed, self.alone = model, seed, 0

    def ask(self, wanted: Sequence[tuple[Damage, ArrowTable, int]], well: ArrowTable) -> list[Answers]:
        """Answers of tables, each with its damage and that one's place (for what it draws).

        Raises CouldNotLook where the model refuses `well`, an undamaged row, after a damaged one.
        """
        damaged = [d.apply(rows, np.random.default_rng([self.seed, 9, place])) for d, rows, place in wanted]
        found = [
            self._alone(damage, table, well) if answers is None else answers
            for (damage, _, _), table, answers in zip(wanted, damaged, ask_many(self.model, damaged), strict=True)
        ]
        self._refuse_neighbours(damaged, found)
        return found

    def _refuse_neighbours(self, tables: Sequence[ArrowTable], found: Sequence[Answers]) -> None:
        """Rows that were answered among others are asked alone, a few of each call and HEARD at most. Raises
        CouldNotLook where one gets another answer."""
        rng = np.random.default_rng([self.seed, 11, self.alone])
        places = [(t, row) for t, one in enumerate(found) for row in np.flatnonzero(one.answered).tolist()]
        some = min(HEARD_A_CALL, HEARD - self.alone, len(places))
        for at in rng.choice(len(places), some, replace=False).tolist() if some else ():
            table, row = places[at]
            self.alone += 1
            refuse_other_alone(self.model, tables[table].slice(row, 1), [bool(found[table].flagged[row])])

    def _alone(self, damage: Damage, table: ArrowTable, well: ArrowTable) -> Answers:
        answers = ask(self.model, table)
        if answers.refused.any():
            try:
                self.model.flagged(well)
            except CouldNotLook:
                what = f"after {damage.kind} in {damage.column} the model answers no row any more"
                raise CouldNotLook(what) from None
        return answers

    def harms(self, all_: Sequence[Damage], places: Sequence[int], half: Half) -> list[Harm]:
        """What each of the damages at `places`, in every row of a half, does."""
        asked = self.ask([(all_[p], half.rows, p) for p in places], half.rows.slice(0, 1))
        return [_harm(all_[p], answers, half) for p, answers in zip(places, asked, strict=True)]

    def drawn(self, all_: Sequence[Damage], half: Half) -> Drawn:
        """What one damaged value a row does: for every family one damage is drawn for each row.

        Of rows that got one damage and were not all told apart, those that were stand for the rest. n is Kish's over
        rows, so that the families add none.
        """
        rng = np.random.default_rng([self.seed, 10])
        count = half.rows.num_rows
        asked = [self._family(all_, family, half, rng) for family in FAMILIES if any(d.family == family for d in all_)]
        row = np.tile(np.arange(count), len(asked))
        weight = np.concatenate([a.weight for a in asked])
        refused, flagged = (np.concatenate([getattr(a, name) for a in asked]) for name in ("refused", "flagged"))
        changed, target = flagged != half.before[row], half.target[row]
        told, family = weight > 0, np.repeat([a.family for a in asked], count)
        there = told & ~refused
        return Drawn(
            share(refused, told, weight, 1, row),
            share(changed, there, weight, LEAST, row),
            share(flagged, there & target, weight, LEAST, row),
            share(flagged, there & ~target, weight, LEAST, row),
            share(refused, told & (family == "missing"), weight, 1),
            share(refused, told & (family == "range"), weight, 1),
        )

    def _family(self, all_: Sequence[Damage], family: str, half: Half, rng: np.random.Generator) -> _Asked:
        mine = [(i, d) for i, d in enumerate(all_) if d.family == family]
        kinds, count = sorted({d.kind for _, d in mine}), half.rows.num_rows
        pick = np.array([_one_of(mine, kinds[k], rng) for k in rng.integers(len(kinds), size=count)])
        weight, refused, flagged = np.zeros(count), np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        parts = [(place, np.flatnonzero(pick == place)) for place in np.unique(pick).tolist()]
        wanted = [(all_[place], half.rows.take(rows), place) for place, rows in parts]
        for (_, rows), answers in zip(parts, self.ask(wanted, half.rows.slice(0, 1)), strict=True):
            told = answers.answered | answers.refused
            if told.any():
                weight[rows] = half.weight[rows] * told * (len(rows) / told.sum())
            refused[rows], flagged[rows] = answers.refused, answers.flagged
        return _Asked(family, weight, refused, flagged)


class _Asked(NamedTuple):
    """What one family did to each row (n,); `weight` is 0 where it could not be told apart."""

    family: str
    weight: Array
    refused: Array
    flagged: Array


def _harm(damage: Damage, answers: Answers, half: Half) -> Harm:
    told, there = answers.answered | answers.refused, answers.answered
    return Harm(
        damage,
        share(answers.refused, told, half.weight, 1),
        share(answers.flagged != half.before, there, half.weight),
        share(answers.flagged, there & half.target, half.weight),
        share(answers.flagged, there & ~half.target, half.weight),
    )


def _one_of(mine: Sequence[tuple[int, Damage]], kind: str, rng: np.random.Generator) -> int:
    places = [i for i, d in mine if d.kind == kind]
    return places[int(rng.integers(len(places)))]


class Worst(msgspec.Struct, frozen=True):
    """The damage of each kind that changes most decisions; of all, and of unit errors, that which changes most; those
    that leave the least recall and the most false alarms. All chosen on other rows. `nulls` are what missing values do
    in every column, on the rows to choose on."""

    by_kind: tuple[Harm, ...]
    changed: Harm | None
    unit: Harm | None
    recall: Harm | None
    false_alarms: Harm | None
    nulls: tuple[Harm, ...]


def worst(harmed: Harmed, all_: Sequence[Damage], choose: Half, report: Half, progress: Progress = silent) -> Worst:
    """The worst damages, chosen on one half and measured on the other."""
    order = sorted(range(len(all_)), key=lambda i: all_[i].kind)  # what is refused is refused beside its like
    harm: dict[int, Harm] = {}
    for at in range(0, len(order), BLOCK):
        block = order[at : at + BLOCK]
        harm |= dict(zip(block, harmed.harms(all_, block, choose), strict=True))
        progress(min(at + BLOCK, len(order)), len(order), "damages")
    seen = [harm[i] for i in range(len(all_))]

    def best(key: Callable[[Harm], float | None], kind: str = "") -> int | None:
        worth = {i: key(h) for i, h in enumerate(seen) if not kind or h.damage.kind == kind}
        known = {i: w for i, w in worth.items() if w is not None}
        return max(known, key=lambda i: (known[i], -i)) if known else None

    kinds = list(dict.fromkeys(d.kind for d in sorted(all_, key=lambda d: FAMILIES.index(d.family))))
    firsts = [next(i for i, d in enumerate(all_) if d.kind == kind) for kind in kinds]
    by_kind = [best(lambda h: h.changed.value, kind) for kind in kinds]
    # Of a kind that is refused everywhere the first input stands for all.
    shown = [first if place is None else place for place, first in zip(by_kind, firsts, strict=True)]
    chosen = [
        best(lambda h: h.changed.value),
        best(lambda h: h.changed.value if h.damage.family == "unit" else None),
        best(lambda h: None if h.recall.value is None else -h.recall.value),
        best(lambda h: h.false_alarms.value),
    ]
    places = list(dict.fromkeys([*shown, *(place for place in chosen if place is not None)]))
    again = dict(zip(places, harmed.harms(all_, places, report), strict=True))
    changed, unit, recall, alarms = (None if place is None else again[place] for place in chosen)
    nulls = tuple(h for h in seen if h.damage.family == "missing")
    return Worst(tuple(again[p] for p in shown), changed, unit, recall, alarms, nulls)
