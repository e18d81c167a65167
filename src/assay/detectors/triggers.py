"""Backdoor triggers in a table: candidate rules, and those of them that pass every test of a trigger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from scipy import stats

from assay.adapters.encode import Encoded
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent
from assay.detectors.out_of_fold import joined, row_groups
from assay.detectors.trigger_rules import (
    LEAST_ROWS,
    MOST_COLUMNS,
    MOST_WIDE,
    Rule,
    expected,
    matching,
    rules,
    widest,
)
from assay.detectors.trigger_tests import REACHED, Bench, Rest, clean_success, rest, shift, success
from assay.detectors.trigger_values import borrowed, lift, tied
from assay.detectors.two_samples import Rate

Array = Any
Verdict = Literal["trigger", "undecided", "natural", "no effect"]
LEAST_CLASS = 40
MOST_ROWS = 60_000
CLEAN = 0.2
LEAST_INSERTED = 100
LEAST_CAUGHT, UNLED, LED = 30, 0.5, 0.7  # ends of intervals: few rows are caught where this is asked
ALIKE, SURELY_ALIKE = 0.62, 0.72
COPIED, LEAST_DISTINCT = 0.2, 25
SHIFTED = 0.001
TOLD = 0.8
LIFT, ABOVE_OTHERS = 5.0, 2.0
ABSENT, AS_OFTEN = 0.005, 0.05


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, what the tests said of it, and the verdict.

    `success` and `clean` are how often a model that saw the rule's rows, and one that did not, gives the label to rows
    of the other class that carry the rule (of an undecided one perhaps only to those that are caught without it);
    `rest` how far its rows can be told from `donors` ("other class", "all rows") by their other columns; `lift` and
    `others` as `trigger_values.lift`. `known` is how many trusted rows match, of `wanted` that would, and `absent` that
    these are too few for chance. Tests that were not reached are None.
    `columns` are names; `rows` (k,) match and have the label.
    """

    rule: Rule
    columns: tuple[str, ...]
    rows: Array
    verdict: Verdict
    why: str
    success: Rate | None = None
    clean: Rate | None = None
    donors: str = ""
    rest: Rest | None = None
    lift: float | None = None
    others: float | None = None
    known: int | None = None
    wanted: float | None = None
    absent: bool = False


class Trusted(msgspec.Struct, frozen=True):
    """Rows known to be right: their matrix (k, d), encoded like the table's, and labels (k,) bool."""

    matrix: Array
    target: Array


def judged(
    encoded: Encoded, target: Array, seed: int, *, trusted: Trusted | None = None, entities: Array | None = None,
    progress: Progress = silent,
) -> tuple[Judged, ...]:  # fmt: skip
    """Every candidate rule of a table with its verdict, triggers first.

    A rule is a trigger only if (1) its values, put into held-out rows of the other class, make a model trained on the
    table give them its label, in at least .9; (2) a model that never saw a matching row does so in at most .2; (3) the
    other columns of its rows look like those of rows of the other class, or of all rows, to a model of the label, to a
    classifier trained to tell them apart and one by one; (4) its values come together far more often than elsewhere in
    the table, or than among trusted rows. Natural pure rules fail (2) or (3) mostly; a natural rule of values that have
    nothing to do with anything else fails (4) only. A rule of one column, of values that may stand for missing
    ones, or one that fails (4) alone, is undecided. So is one that fails (2) only because a model calls most rows of
    the other class so anyway, but surely leads those that it does not (intervals of .7 and more, beside .5 and less);
    and one whose rows are too few to say in (3), where of near-copies one counts, and of rows of one number in
    `entities` (n,) as well.

    Tables of more than 60,000 rows are searched in a sample of as many, of more than 400 columns in those whose
    values surprise most. Raises CouldNotLook for fewer than 200 rows, 40 of a class
    or two columns that vary.
    """
    import lightgbm as lgb

    n = len(target)
    if n < LEAST_ROWS or min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
        raise CouldNotLook(f"{n} rows are too few to learn from: {LEAST_ROWS}, {LEAST_CLASS} of each class")
    rng = np.random.default_rng([seed, 2])
    some = np.sort(rng.permutation(n)[:MOST_ROWS]) if n > MOST_ROWS else np.arange(n)
    matrix, labels = np.clip(encoded.matrix[some], -1e300, 1e300), target[some]
    filled = np.where(np.isnan(matrix), -np.inf, matrix)
    if (filled != filled[:1]).any(axis=0).sum() < 2:
        raise CouldNotLook("fewer than two columns vary: there is no combination of values to look at")
    wide = widest(matrix, labels - labels.mean(), MOST_WIDE)
    matrix = matrix[:, wide]
    coded = [place for place, c in enumerate(wide) if c in set(encoded.categorical)]
    progress(0, 1, "what coarse trees expect")
    try:
        probability = expected(matrix, coded, labels, seed)
        columns = widest(matrix, labels - probability, MOST_COLUMNS)
        found = rules(matrix, labels, probability, columns)
        of = None if entities is None else np.unique(entities[some], return_inverse=True)[1].ravel()
        groups = row_groups(matrix)
        if of is not None:
            groups = np.unique(joined(groups, of), return_inverse=True)[1].ravel()
        bench = Bench(matrix, coded, labels, groups, seed, of)
        known = None if trusted is None else (trusted.matrix[:, wide], trusted.target)
        told = np.zeros(len(labels), dtype=bool)
        out = []
        for place, rule in enumerate(found):
            progress(place, len(found), "candidate rules")
            if told[rule.rows].mean() < TOLD:  # else it is another way to put a trigger that was found
                out.append(_judged(bench, rule, known))
                told[rule.rows] |= out[-1].verdict == "trigger"
    except lgb.basic.LightGBMError:  # its words name a line of its own source
        raise CouldNotLook("LightGBM cannot learn from the columns") from None
    return tuple(sorted((_named(j, encoded, wide, target) for j in out), key=lambda j: _ORDER.index(j.verdict)))


_ORDER: tuple[Verdict, ...] = ("trigger", "undecided", "natural", "no effect")


def _named(one: Judged, encoded: Encoded, wide: Array, target: Array) -> Judged:
    """The same in terms of the whole table."""
    columns = tuple(int(wide[c]) for c in one.rule.columns)
    match = matching(encoded.matrix, columns, one.rule.values) & (target == one.rule.is_)
    return msgspec.structs.replace(one, columns=tuple(encoded.names[c] for c in columns), rows=np.flatnonzero(match))


def _judged(bench: Bench, rule: Rule, trusted: tuple[Array, Array] | None) -> Judged:
    """The tests in the order of what they cost; the first that fails says why."""
    none = Judged(rule=rule, columns=(), rows=rule.rows, verdict="no effect", why="")
    replace = msgspec.structs.replace
    done, grown = success(bench, rule)
    one = replace(none, success=done)
    if done.n < LEAST_INSERTED or not done.value >= REACHED:
        return replace(one, why="put into other rows it does not lead the model")
    if trusted is not None:
        match = matching(trusted[0], rule.columns, rule.values)
        wanted = len(rule.rows) * len(match) / len(bench.target)
        follow = int((match & (trusted[1] == rule.is_)).sum())
        as_often = follow > 0 and stats.poisson.cdf(follow, wanted) > AS_OFTEN
        absent = bool(stats.poisson.cdf(match.sum(), wanted) <= ABSENT)
        one = replace(one, known=int(match.sum()), wanted=wanted, absent=absent)
        if as_often:
            return replace(one, verdict="natural", why="trusted rows follow it as well")
    clean = clean_success(bench, rule, grown)
    one = replace(one, clean=clean.all, verdict="natural")
    anyway = not clean.all.value <= CLEAN
    if anyway:
        if clean.caught.n < LEAST_CAUGHT or not (clean.caught.high <= UNLED and clean.led.low >= LED):
            return replace(one, why="a model that never saw it follows it as well")
        one = replace(one, success=clean.led, clean=clean.caught)
    one = _donors(bench, rule, one)
    if not one.donors:
        return one
    tie = tied(bench.matrix, rule)
    one = replace(one, verdict="undecided")
    if anyway and not one.absent:
        return replace(one, why="most such rows are called that anyway; these are of those that are not")
    if len(rule.columns) - len(tie) < 2:
        return replace(one, why="it is one column's value")
    if not borrowed(bench.matrix, rule):
        return replace(one, why="its values may stand for missing ones")
    here, others = lift(bench.matrix, rule)
    one = replace(one, lift=here, others=others)
    if not one.absent and (here < LIFT or here < ABOVE_OTHERS * others):
        return replace(one, why="its values come together as often as others")
    return replace(one, verdict="trigger")


def _donors(bench: Bench, rule: Rule, one: Judged) -> Judged:
    """Of which rows the rule's rows look drawn by their other columns: `donors`, or a verdict where of none.

    It is natural only where they surely differ from both.
    """
    replace = msgspec.structs.replace
    unsure: Rest | None = None
    both = rest(bench, rule)
    everyone = np.ones(len(bench.target), dtype=bool)
    for name, found, rows in zip(("other class", "all rows"), both, (bench.target != rule.is_, everyone), strict=True):
        areas = (found.said, found.told)
        other = shift(bench, rule, rows, found.mine) < SHIFTED
        few = found.told.n < min(LEAST_DISTINCT, (1 - COPIED) * found.of)
        if not few and not other and all(a.value <= ALIKE and a.high <= SURELY_ALIKE for a in areas):
            return replace(one, donors=name, rest=found)
        if few or not (other or any(a.value > ALIKE and a.low > 0.5 for a in areas)):
            unsure = unsure or found
    if unsure is None:
        return replace(one, rest=both[0], why="the other columns of its rows are a kind of their own")
    left, of = unsure.told.n, unsure.of
    apart = "no copies of each other" if bench.entities is None else "neither copies of each other nor of one entity"
    why = f"of its {of} rows only {left} are {apart}" if left < (1 - COPIED) * of else f"it has {left} rows"
    return replace(one, rest=unsure, verdict="undecided", why=f"{why}: too few to tell")
