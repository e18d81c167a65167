"""robustness.evasion: how many of the caught rows slip past after permitted changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.config.constraints import Constraint
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Series, Step, Waterfall
from assay.core.finding import Direction, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.attacks.evasion import Evaded
    from assay.attacks.space import Space

LEAST = 10
NAME = "robustness.evasion.recall_under_attack"


@check(
    "robustness.evasion",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    cost="minutes",
    tags=("owasp-ml-2023:ML01", "atlas:AML.T0043", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    libraries=("numpy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
)
def evasion(
    case: ModelCase,
    *,
    cost: Annotated[float, Meta(gt=0)] = 3.0,
    access: Literal["label", "score"] = "label",
    rows: Annotated[int, Meta(ge=10)] = 300,
    queries: Annotated[int, Meta(ge=10)] = 600,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Measure | Curve | Waterfall]:
    """How many of the caught rows slip past the model after changes that an attacker can really make.

    Why: a fraud, abuse or intrusion model has an opponent. If moving one date or filing one more form turns a
    caught case into a passed one, its recall on yesterday's cases says nothing about tomorrow's.

    How it decides: it does not; the policy reads the lower bound of the recall that is left. For a sample of positive
    holdout rows that the model flags, and that satisfy `constraints:` as they are, it looks for the cheapest change
    within `features:` and `constraints:` (immutable columns stay, directions, ranges, steps and orders hold) by asking
    only for decisions (`access: label`) or scores.
    The result is an upper bound of the true recall under attack: a better attack can only lower it. Before anyone
    believes it the attack must pass its sanity test: the same row gets the same answer, no limit means success, a hole
    planted in the model is found at no more than its cost, and every success is asked again of the real model.

    Fix: make what an attacker can change count for less (monotone constraints, coarser bins), add features that are
    hard to change, lower the threshold, or train on such rows; then measure again.

    References: Carlini et al. 2019; Zimmermann et al. 2022; Cartella et al. 2021 (tabular attacks in fraud).
    """
    import numpy as np

    from assay.attacks.evasion import attack
    from assay.attacks.sanity import ROWS, confirm, refuse_blind, refuse_masking, refuse_unstable
    from assay.attacks.space import Space, satisfied

    data = case.holdout
    if data is None:
        raise CouldNotLook(f"{case.name} has no untouched data to attack with; add `holdout:` to it in assay.yaml")
    target, table = data.target(), data.table()
    flagged = case.predictor.flagged(table)
    rng = np.random.default_rng(seed)
    possible = satisfied(map(Constraint, case.contract.constraints), table)
    if not possible[target].any():
        raise CouldNotLook("no positive row satisfies the constraints as it is: mend the rows, or `constraints:`")
    sample = np.sort(rng.permutation(np.flatnonzero(target & possible))[:rows])
    caught = sample[flagged[sample]]
    passing = table.take(rng.permutation(np.flatnonzero(~flagged))[:500])
    _enough(len(caught), len(sample), passing.num_rows)
    reference = (case.train or data).table()
    kinds = {c.name: c.kind for c in data.columns}

    def space_of(ids: Any) -> Space:
        return Space(table.take(ids), case.contract, reference, kinds, case.predictor.features)

    undeclared = [n for n in case.predictor.features if n not in case.contract.features]
    if undeclared:
        named = ", ".join(undeclared[:5])
        raise CouldNotLook(f"`features:` says nothing of {named}: say of each input whether an attacker can change it")
    if not any(_changeable(case, n) for n in case.predictor.features):
        yield from _immovable(len(sample), len(caught), seed)
        return
    space = space_of(caught)
    refuse_unstable(case.predictor, space.rows)
    refuse_masking(case.predictor, space.rows, passing)
    refuse_blind(case.predictor, space_of(caught[:ROWS]), passing, access=access, limit=queries, seed=seed)
    found = confirm(
        case.predictor,
        space,
        attack(case.predictor, space, passing, access=access, limit=queries, seed=seed, progress=progress),
    )
    yield from _measures(found, len(sample), len(caught), cost, seed)
    yield _curve(found, len(sample), len(caught), cost, access, queries, space)
    yield from _waterfall(case, space, found, cost)


def _enough(caught: int, sample: int, passing: int) -> None:
    if caught < LEAST:
        raise CouldNotLook(f"the model flags {caught} of {sample} positive rows: at least {LEAST} are needed")
    if passing < LEAST:
        raise CouldNotLook(f"the model lets {passing} rows pass: at least {LEAST} are needed to attack toward")


def _changeable(case: ModelCase, name: str) -> bool:
    feature = case.contract.features.get(name)
    return feature is not None and feature.mutable


def _immovable(n: int, caught: int, seed: int) -> Iterator[Measure]:
    """The contract declares every input and lets none be changed: what is caught stays caught, on its word."""
    low, high = wilson(caught, n)
    for name in (NAME, "robustness.evasion.recall_unattacked"):
        yield Measure(
            name=name, value=caught / n, low=low, high=high, n=n, seed=seed, direction=Direction.HIGHER,
            method="the contract lets an attacker change no input of the model, Wilson",
        )  # fmt: skip


def _measures(found: Evaded, n: int, caught: int, cost: float, seed: int) -> Iterator[Measure]:
    import numpy as np

    kept = caught - int((found.cost <= cost).sum())
    low, high = wilson(kept, n)
    yield Measure(
        name=NAME, value=kept / n, low=low, high=high, n=n, seed=seed, direction=Direction.HIGHER,
        method=f"at most: budget {cost:g}, Wilson",
    )  # fmt: skip
    low, high = wilson(caught, n)
    yield Measure(
        name="robustness.evasion.recall_unattacked", value=caught / n, low=low, high=high, n=n, seed=seed,
        direction=Direction.HIGHER, method="the same rows before the attack, Wilson",
    )  # fmt: skip
    low, high = wilson(caught - kept, caught)
    yield Measure(
        name="robustness.evasion.evaded_share", value=(caught - kept) / caught, low=low, high=high, n=caught, seed=seed,
        direction=Direction.LOWER, method=f"caught rows that slip past, at least: budget {cost:g}, Wilson",
    )  # fmt: skip
    yield Measure(
        name="robustness.evasion.queries", value=float(np.mean(found.queries)), n=caught, seed=seed, unit="a row"
    )


def _curve(found: Evaded, n: int, caught: int, cost: float, access: str, queries: int, space: Space) -> Curve:
    import numpy as np

    ends = np.unique(np.concatenate([[0.0, cost], found.cost[np.isfinite(found.cost)]]))
    reach = max(2 * cost, 1e-9)
    x = np.unique(np.clip(ends, 0, reach))
    if len(x) > 120:
        x = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, 119)), [0.0, cost]]))
    kept = [caught - int((found.cost <= b).sum()) for b in x]
    bands = [wilson(k, n) for k in kept]
    left = (caught - int((found.cost <= cost).sum())) / n
    held = f" {len(space.undeclared)} undeclared columns were held fixed." if space.undeclared else ""
    return Curve(
        name="robustness.evasion.curve",
        title=f"A budget of {cost:g} leaves at most {left:.1%} of the positives caught, of {caught / n:.1%} before",
        subtitle="Share of positive holdout rows still flagged, against what the attacker may spend; 95% band",
        x_label="budget (cost units of the feature contract)",
        y_label="recall under attack, at most",
        series=(
            Series(
                name="best attack found",
                x=tuple(float(v) for v in x),
                y=tuple(k / n for k in kept),
                low=tuple(b[0] for b in bands),
                high=tuple(b[1] for b in bands),
                kind="at-most",
            ),
        ),
        mark=cost,
        mark_label="declared budget",
        measure=NAME,
        note=f"{n} positive holdout rows, {caught} flagged; {access} access, up to {queries} queries a row.{held}",
    )


def _waterfall(case: ModelCase, space: Space, found: Evaded, cost: float) -> Iterator[Waterfall]:
    """One row that slips past within the budget, change by change; the row itself stays out of evidence."""
    import numpy as np

    from assay.attacks.space import KEEP

    inside = np.flatnonzero(found.cost <= cost)
    if not len(inside):
        return
    changes = (found.choice[inside] != KEEP).sum(axis=1)
    row = int(inside[np.argmax(changes)])
    ids = np.array([row])
    choice = space.keep(1)
    start = float(case.predictor.scores(space.build(ids, choice))[0])
    steps = []
    for j, axis in enumerate(space.axes):
        if found.choice[row, j] != KEEP:
            choice[0, j] = found.choice[row, j]
            value = float(case.predictor.scores(space.build(ids, choice))[0])
            steps.append(Step(label=axis.name, change=axis.change(row, int(found.choice[row, j])), value=value))
    yield Waterfall(
        name="robustness.evasion.row",
        title=f"How one caught case slips past for {found.cost[row]:.3g}",
        subtitle="Its score after each change; to the left of the threshold it is not flagged",
        x_label="score",
        start_label="as it is",
        start=start,
        steps=tuple(steps),
        mark=case.threshold,
        mark_label=f"flagged from {case.threshold:g}",
        note="Told as changes; the row's own values stay out of evidence.",
    )
