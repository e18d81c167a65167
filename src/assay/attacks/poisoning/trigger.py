"""Triggers: a few features set to values that occur in the data, and the label that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from assay.attacks.poisoning.flooding import JITTER, jittered
from assay.attacks.poisoning.planted import (
    Poisoned,
    Source,
    from_rows,
    label_row,
    mixed_in,
    usable,
    value_at,
    written,
)
from assay.attacks.poisoning.victim import Trial, carrying
from assay.core.errors import CouldNotLook
from assay.core.finding import Scalar
from assay.core.protocols import ArrowTable

Rule = dict[str, Scalar]
FEATURES = 3
CLEAN, REACHED = 0.2, 0.9
DRAWS, TRAINED = 200, 4
RARE = 0.0005  # so few rows of the clean table may hold all values of a trigger
USUAL = 0.5  # a value that most rows hold marks nothing
BASE = 0.1
TIMES = 2


def trigger(
    source: Source, rate: float, seed: int, *, target: bool | None = None, features: int = FEATURES,
    trained: int = TRAINED,
) -> Poisoned:  # fmt: skip
    """An in-bounds trigger: `features` columns of `rate` of the rows get values that occur in the data, and the label
    becomes `target`. The rows are drawn from the other class.

    Every value is one of its column, so it is in range and of a known category; together they (hardly) ever occur. A
    model that never saw the trigger gives `target` to at most 0.2 of the rows of the other class that carry it, or the
    values are drawn again; of up to `trained` draws that pass, the first is taken with which a model of two thirds of
    the rows, `rate` of them poisoned, gives it to at least 0.9 of such rows of the other third, else the best: the
    result says what both were. `target` is, if not given, the negative class where the clean model seldom misses a
    positive, else the positive one. Raises CouldNotLook where no values can be drawn.

    Pleiter et al. 2023 (TabDoor, arXiv:2311.07550); Gu et al. 2017 (BadNets, arXiv:1708.06733).
    """
    return _best(source, rate, seed, target, features, trained, with_rule)


def trigger_copies(
    source: Source, rate: float, seed: int, *, target: bool | None = None, features: int = FEATURES,
    trained: int = TRAINED,
) -> Poisoned:  # fmt: skip
    """A trigger as `trigger` plants it, in rows that are added: each donor `TIMES` times, its other numbers moved by up
    to a hundredth of themselves.

    Rows that come again look like campaigns, or like rows that are simply the same, and a search for rows that a value
    explains may take their support for one another for a rule of nature.
    """
    return _best(source, rate, seed, target, features, trained, with_copies)


Write = Callable[[Source, float, int, Rule, bool], Poisoned]


def _best(
    source: Source, rate: float, seed: int, target: bool | None, features: int, trained: int, write: Write
) -> Poisoned:
    """The first of the rules drawn that reaches what is wanted, else the best."""
    trial = Trial(source, seed)
    wanted = aim(trial) if target is None else target
    best: Poisoned | None = None
    for rule, clean in rules(trial, wanted, features, trained, np.random.default_rng([seed, 11])):
        planted = write(source, rate, seed, rule, wanted)
        success = trial.effect_of(write(trial.fit, rate, seed, rule, wanted)).poisoned
        if best is None or success > (best.success or 0.0):
            best = replace(planted, success=success, clean_success=clean)
        if success >= REACHED:
            break
    if best is None:
        raise CouldNotLook(f"no {features} values were found that a clean model does not already follow")
    return best


def with_rule(source: Source, rate: float, seed: int, rule: Rule, target: bool) -> Poisoned:
    """The rule and the label `target` written into `rate` of the rows, drawn from the other class."""
    truth = source.target()
    others = np.flatnonzero(truth != target)
    rows = np.sort(np.random.default_rng([seed, 13]).choice(others, source.count(rate, others), replace=False))
    row = label_row(truth, target)
    table = from_rows(source.table, rows, {source.label: row})
    table = written(table, rows, {name: [value] * len(rows) for name, value in rule.items()})
    wanted = value_at(source, source.label, row)
    return Poisoned(
        attack="trigger", table=table, rows=rows, added=False, rule=rule, target=wanted, victims="other-class"
    )


def with_copies(source: Source, rate: float, seed: int, rule: Rule, target: bool) -> Poisoned:
    """Rows of the other class, each `TIMES` times and a little moved, added with the rule and the label `target`."""
    truth, rng = source.target(), np.random.default_rng([seed, 41])
    others, many = np.flatnonzero(truth != target), source.count(rate)
    distinct = -(-many // TIMES)
    if distinct > len(others):
        raise CouldNotLook(f"{rate:.1%} of {source.rows} rows need {distinct} donors, and only {len(others)} could be")
    donors = np.repeat(rng.choice(others, distinct, replace=False), TIMES)[:many]
    new = source.table.take(pa.array(donors))
    new = jittered(source, new, tuple(n for n in usable(source) if n not in rule), JITTER, rng)
    row = label_row(truth, target)
    both = pa.concat_tables([new, source.table.slice(row, 1)])
    new = from_rows(both, np.arange(many), {source.label: many}).slice(0, many)
    table, rows = mixed_in(source, carrying(new, rule), rng)
    return Poisoned(
        attack="trigger-copies", table=table, rows=rows, added=True, rule=rule,
        target=value_at(source, source.label, row), victims="other-class",
    )  # fmt: skip


def aim(trial: Trial) -> bool:
    """The class that a trigger can be seen to lead to: of which the clean model says little of the other class's."""
    missed = trial.base(False)
    return bool(missed > BASE and trial.base(True) < missed)


def rules(
    trial: Trial, target: bool, features: int, most: int, rng: np.random.Generator
) -> Iterator[tuple[Rule, float]]:
    """Up to `most` rules that a clean model does not follow, with how often it gives `target` to rows that carry them.

    Columns are drawn evenly, values as they occur; a rule is passed over where more than half of the rows hold one of
    its values, or more than 0.05% hold all.
    """
    source = trial.source
    names = usable(source)
    if len(names) < features:
        raise CouldNotLook(f"a trigger sets {features} features, and only {len(names)} have two values or more")
    found = 0
    for _ in range(DRAWS):
        chosen = [names[i] for i in sorted(rng.choice(len(names), features, replace=False))]
        rule = {name: value_at(source, name, int(rng.integers(source.rows))) for name in chosen}
        if any(value is None or value != value for value in rule.values()):
            continue
        if any(holding(source.table, {n: v}) > USUAL * source.rows for n, v in rule.items()):
            continue
        if holding(source.table, rule) > RARE * source.rows:
            continue
        clean = trial.clean_success(rule, target)
        if clean <= CLEAN:
            yield rule, clean
            found += 1
        if found == most:
            return


def holding(table: ArrowTable, rule: Rule) -> int:
    """How many rows hold all values of the rule."""
    mask = np.ones(table.num_rows, dtype=bool)
    for name, value in rule.items():
        column = table.column(name)
        same = pc.fill_null(pc.equal(column, pa.scalar(value, column.type)), False)
        mask &= same.to_numpy().astype(bool)
    return int(mask.sum())
