"""Clean-label poisoning: the labels stay right, and what the rows hold does the harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from assay.attacks.poisoning.flooding import FRESH, JITTER, near_copies
from assay.attacks.poisoning.planted import Poisoned, Source, from_rows, label_row, usable, value_at, written
from assay.attacks.poisoning.trigger import FEATURES, REACHED, TRAINED, aim, rules
from assay.attacks.poisoning.victim import Trees, Trial
from assay.core.errors import CouldNotLook

Array = Any
SHARED = 0.75


def clean_label(
    source: Source, rate: float, seed: int, *, target: bool | None = None, features: int = FEATURES,
    trained: int = TRAINED,
) -> Poisoned:  # fmt: skip
    """A trigger written into rows that have the label `target` already: those that a clean model believes it least of.

    There the trigger is what explains the label. Values are drawn as for `trigger`, success and the clean model's are
    measured the same way; it needs more rows than a trigger with wrong labels, and may reach little: the result says.

    Turner et al. 2019 (label-consistent backdoor attacks, arXiv:1912.02771).
    """
    trial = Trial(source, seed)
    wanted = aim(trial) if target is None else target
    everywhere = _least(source, rate, wanted)
    part = _least(trial.fit, rate, wanted)
    best: Poisoned | None = None
    for rule, clean in rules(trial, wanted, features, trained, np.random.default_rng([seed, 19])):
        success = trial.effect_of(_with_rule(trial.fit, part, rule, wanted)).poisoned
        if best is None or success > (best.success or 0.0):
            best = replace(_with_rule(source, everywhere, rule, wanted), success=success, clean_success=clean)
        if success >= REACHED:
            break
    if best is None:
        raise CouldNotLook(f"no {features} values were found that a clean model does not already follow")
    return best


def _least(source: Source, rate: float, target: bool) -> Array:
    """The rows of class `target` that trees of half of the other rows believe it least of, sorted."""
    truth = source.target()
    own = np.flatnonzero(truth == target)
    many = source.count(rate, own)
    belief = np.zeros(source.rows)
    fold = np.random.default_rng([source.rows, 23]).integers(0, 2, source.rows).astype(bool)
    for part in (fold, ~fold):
        fit = source.take(np.flatnonzero(~part))
        belief[part] = Trees(fit, fit.table, truth[~part]).scores(source.take(np.flatnonzero(part)).table)
    believed = belief[own] if target else 1 - belief[own]
    return np.sort(own[np.argsort(believed, kind="stable")[:many]])


def _with_rule(source: Source, rows: Array, rule: dict[str, Any], target: bool) -> Poisoned:
    table = written(source.table, rows, {name: [value] * len(rows) for name, value in rule.items()})
    wanted = value_at(source, source.label, label_row(source.target(), target))
    return Poisoned(
        attack="clean-label", table=table, rows=rows, added=False, rule=rule, target=wanted, victims="other-class"
    )


def feature_collision(source: Source, rate: float, seed: int, *, target: bool | None = None) -> Poisoned:
    """Rows that have the label `target` already take three quarters of their features, others in each row, from one row
    of the other class, its numbers moved a little, so that the model gives it `target` too.

    Success is what becomes of near-copies of that row, which itself stays in the table with its true label.
    Shafahi et al. 2018 (poison frogs, arXiv:1804.00792), without gradients: in a table the features are the space.
    """
    truth = source.target()
    wanted = bool(2 * truth.sum() <= len(truth)) if target is None else target
    rng = np.random.default_rng([seed, 29])
    own, others = np.flatnonzero(truth == wanted), np.flatnonzero(truth != wanted)
    rows = np.sort(rng.choice(own, source.count(rate, own), replace=False))
    victim = int(rng.choice(others))
    names = usable(source)
    if not names:
        raise CouldNotLook("no feature has two values or more")
    copies = near_copies(source, victim, len(rows) + FRESH, JITTER, rng)
    both = pa.concat_tables([source.table, copies])
    many = max(1, round(SHARED * len(names)))
    left = np.array([rng.permutation(len(names)) >= many for _ in rows])
    places = source.rows + np.arange(len(rows))
    donors = {name: np.where(left[:, i], rows, places) for i, name in enumerate(names)}
    return Poisoned(
        attack="feature-collision",
        table=from_rows(both, rows, donors).slice(0, source.rows).combine_chunks(),
        rows=rows,
        added=False,
        target=value_at(source, source.label, label_row(truth, wanted)),
        victims="near",
        near=copies.slice(len(rows)),
    )
