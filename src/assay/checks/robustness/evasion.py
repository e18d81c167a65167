"""robustness.evasion: how many of the caught rows slip past after permitted changes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.adapters.tables import Dataset
from assay.config.constraints import Constraint
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Series, Step, Table, Waterfall
from assay.core.finding import Direction, Measure, Severity
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.attacks.evasion import Evaded
    from assay.attacks.reach import Reach
    from assay.attacks.space import Space

LEAST = 10
MOST_EXCLUDED = 0.05
SHOWN = 40
NAME = "robustness.evasion.recall_under_attack"


@check(
    "robustness.evasion",
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    cost="minutes",
    version=3,
    tags=("owasp-ml-2023:ML01", "atlas:AML.T0043", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    libraries=("numpy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn"),
    measures=(
        "robustness.evasion.recall_under_attack",
        "robustness.evasion.recall_unattacked",
        "robustness.evasion.evaded_share",
        "robustness.evasion.queries",
        "robustness.evasion.excluded_share",
        "robustness.evasion.affordable_share",
    ),
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
) -> Iterator[Measure | Table | Curve | Waterfall]:
    """How many of the caught rows slip past the model after changes that an attacker can really make.

    Why: a fraud, abuse or intrusion model has an opponent. If moving one date or filing one more form turns a
    caught case into a passed one, its recall on yesterday's cases says nothing about tomorrow's.

    How it decides: it does not; the policy reads the lower bound of the recall that is left. For a sample of positive
    holdout rows that the model flags it looks for the cheapest change within `features:` and `constraints:` (immutable
    columns stay, directions, ranges, steps and orders hold) by asking only for decisions (`access: label`) or scores.
    The result is an upper bound of the true recall under attack: a better attack can only lower it. Before anyone
    believes it the attack must pass its sanity test: the same row gets the same answer; a row made equal to one that
    passes, passes; holes planted in the model are found, one change away or several at once at no more than their cost,
    and pairs that lie anywhere at no more than 1.5 times it; with scores, where they are asked, it does no worse than
    with labels; no row is missed that passes with permitted values of a passing one; and every success is asked again
    of the real model.

    A contract can be written so that nothing is ever evaded. So it also says what the contract leaves out.
    `excluded_share` are the positive rows that break `constraints:` as they are; above 5% the check stays open.
    `affordable_share` is the share of the model's influence that lies on inputs of which the budget buys a real move,
    whatever their declared scale: for at least half of the sampled rows a permitted candidate that lies one standard
    deviation of the training data or more away (a number), or any other level (a category). An input's influence is how
    far the scores of the sampled rows move on average when it takes the values of other holdout rows (three draws), as
    a share of all inputs'; so a cheap column that the model ignores adds nothing, and one that it hardly reads hardly
    anything. The 95% interval is a bootstrap over the rows. A table shows what each input weighs and costs.

    Fix: make what an attacker can change count for less (monotone constraints, coarser bins), add features that are
    hard to change, lower the threshold, or train on such rows; then measure again.

    References: Carlini et al. 2019; Zimmermann et al. 2022; Cartella et al. 2021 (tabular attacks in fraud); Breiman
    2001 (permutation importance).
    """
    from assay.attacks.influence import influences
    from assay.attacks.reach import reaches
    from assay.attacks.sanity import refuse_access

    refuse_access(case.predictor, access)
    data, known = _data(case)
    target, possible = data.target(), _possible(case, data)
    yield from _excluded(int((target & ~possible).sum()), int(target.sum()))
    sample, caught, passing = _drawn(case, data.table(), target & possible, rows, seed)
    against = (case.contract, known, {c.name: c.kind for c in data.columns}, case.predictor.features)
    moved = influences(case.predictor, sample, data.table(), seed)
    yield from _affordable(reaches(sample, *against, cost), moved, cost, seed)
    n, k = sample.num_rows, caught.num_rows
    _enough(k, n, passing.num_rows)
    if not any(case.contract.features[name].mutable for name in case.predictor.features):
        raise CouldNotLook("the contract lets an attacker change no input of the model, so nothing was attacked")
    space, found = _attacked(case.predictor, caught, passing, against, access, queries, seed, progress)
    yield from _measures(found, n, k, cost, seed)
    yield _curve(found, n, k, cost, access, queries)
    yield from _waterfall(case, space, found, cost)


def _data(case: ModelCase) -> tuple[Dataset, ArrowTable]:
    """(holdout, what the model was trained on or the holdout itself); every input must be declared."""
    data = case.holdout
    if data is None:
        raise CouldNotLook(f"{case.name} has no untouched data to attack with; add `holdout:` to it in assay.yaml")
    undeclared = [n for n in case.predictor.features if n not in case.contract.features]
    if undeclared:
        named = ", ".join(undeclared[:5])
        raise CouldNotLook(f"`features:` says nothing of {named}: say of each input whether an attacker can change it")
    return data, (case.train or data).table()


def _possible(case: ModelCase, data: Dataset) -> Any:
    from assay.attacks.space import satisfied

    return satisfied(map(Constraint, case.contract.constraints), data.table())


def _excluded(out: int, positives: int) -> Iterator[Measure]:
    """The positive rows that no attack can start from; raises CouldNotLook where they are more than a few."""
    low, high = wilson(out, positives)
    yield Measure(
        name="robustness.evasion.excluded_share", value=out / positives, low=low, high=high, n=positives,
        unit="share", direction=Direction.LOWER,
        method="positive holdout rows that break `constraints:` as they are, Wilson",
    )  # fmt: skip
    if out > MOST_EXCLUDED * positives:
        what = f"{out} of {positives} positive rows break `constraints:` as they are and could not be attacked"
        raise CouldNotLook(f"{what}, at most {MOST_EXCLUDED:.0%} may: mend the rows, or the relations")


def _drawn(case: ModelCase, table: ArrowTable, usable: Any, rows: int, seed: int) -> tuple[ArrowTable, ...]:
    """(positive rows, those of them that the model flags, rows that it lets pass), drawn at random."""
    import numpy as np

    rng = np.random.default_rng(seed)
    order = np.random.default_rng([seed, 1]).permutation(table.num_rows)  # its place must not tell what a row is
    flagged = np.empty(table.num_rows, dtype=bool)
    flagged[order] = case.predictor.flagged(table.take(order))
    sample = np.sort(rng.permutation(np.flatnonzero(usable))[:rows])
    passing = rng.permutation(np.flatnonzero(~flagged))[:500]
    return table.take(sample), table.take(sample[flagged[sample]]), table.take(passing)


def _affordable(inputs: tuple[Reach, ...], moved: Any, cost: float, seed: int) -> Iterator[Measure | Table]:
    """How much of the model's influence lies on inputs that the budget really moves, and the table with the prices.

    `moved` (rows, inputs) is how far each input moves each row's score.
    """
    import numpy as np

    from assay.stats.classifier import ratio_interval

    whole, bought = moved.sum(axis=1), np.array([r.bought for r in inputs])
    value = low = high = None
    if whole.any():
        part = moved[:, bought].sum(axis=1)
        value = float(part.sum() / whole.sum())
        low, high = ratio_interval(part, whole, seed)
    yield Measure(
        name="robustness.evasion.affordable_share", value=value, low=low, high=high, n=len(moved), seed=seed,
        unit="share", direction=Direction.HIGHER,
        method=f"influence of the inputs that a budget of {cost:g} moves by a standard deviation or a level, bootstrap",
    )  # fmt: skip
    weight = moved.sum(axis=0) / max(float(whole.sum()), 1e-300)
    order = sorted(range(len(inputs)), key=lambda i: (-weight[i], inputs[i].moves == "no"))
    rest = [inputs[i] for i in order[SHOWN:]]
    note = (
        "Influence: how far the score moves when the input takes other rows' values, as a share of all inputs'. "
        "A real move is one standard deviation of the training data, or another level, for half of the rows."
    )
    if rest:
        note += f" Not shown: {len(rest)} inputs more, {sum(r.moves != 'no' for r in rest)} of which may change."
    yield Table(
        name="robustness.evasion.contract",
        title="What an attacker may change",
        subtitle=f"Each input of the model, as the feature contract has it, for a budget of {cost:g}",
        columns=("input", "may change", "price", "the budget reaches", "influence", "a real move"),
        rows=tuple(
            (
                visible(inputs[i].name, 60), inputs[i].moves, _price(inputs[i]), _distance(inputs[i]),
                _weight(float(weight[i])), "yes" if inputs[i].bought else "no",
            )
            for i in order[:SHOWN]
        ),
        note=note,
    )  # fmt: skip


def _weight(share: float) -> str:
    return "not used" if share <= 0 else "under 0.1%" if share < 0.001 else f"{share:.1%}"


def _price(reach: Reach) -> str:
    return "" if reach.price is None else f"{reach.price:.3g} a {reach.unit}"


def _distance(reach: Reach) -> str:
    if reach.unit == "standard deviation":
        return "its whole range" if math.isinf(reach.distance) else f"{reach.distance:.3g}"
    if math.isinf(reach.distance):
        return "every place"
    if reach.unit == "place":
        return f"{reach.distance:.0f} place{'' if reach.distance == 1 else 's'}"
    return "any other level" if reach.distance else "nothing"


def _attacked(
    model: Predictor, caught: ArrowTable, passing: ArrowTable, against: Any, access: str, queries: int, seed: int,
    progress: Progress,
) -> tuple[Space, Evaded]:  # fmt: skip
    """The attack on every caught row, with the sanity test before it and after it."""
    from assay.attacks import sanity
    from assay.attacks.evasion import attack
    from assay.attacks.space import Space

    sanity.refuse_unstable(model, caught)
    sanity.refuse_masking(model, caught, passing)
    few = Space(caught.slice(0, sanity.ROWS), *against)
    sanity.refuse_blind(model, few, passing, access=access, limit=queries, seed=seed)
    if access == "score":
        sanity.refuse_masked_scores(model, few, passing, limit=queries, seed=seed)
    space = Space(caught, *against)
    found = attack(model, space, passing, access=access, limit=queries, seed=seed, progress=progress)
    sanity.refuse_neighbours(model, space, found)
    sanity.refuse_missed(model, space, found, passing, seed)
    return space, sanity.confirm(model, space, found)


def _enough(caught: int, sample: int, passing: int) -> None:
    if caught < LEAST:
        raise CouldNotLook(f"the model flags {caught} of {sample} positive rows: at least {LEAST} are needed")
    if passing < LEAST:
        raise CouldNotLook(f"the model lets {passing} rows pass: at least {LEAST} are needed to attack toward")


def _measures(found: Evaded, n: int, caught: int, cost: float, seed: int) -> Iterator[Measure]:
    import numpy as np

    from assay.stats.classifier import ratio_interval

    kept = caught - int((found.cost <= cost).sum())
    low, high = wilson(kept, n)
    yield Measure(
        name=NAME, value=kept / n, low=low, high=high, n=n, seed=seed, unit="share", direction=Direction.HIGHER,
        method=f"at most: budget {cost:g}, Wilson",
    )  # fmt: skip
    low, high = wilson(caught, n)
    yield Measure(
        name="robustness.evasion.recall_unattacked", value=caught / n, low=low, high=high, n=n, seed=seed,
        unit="share", direction=Direction.HIGHER, method="the same rows before the attack, Wilson",
    )  # fmt: skip
    low, high = wilson(caught - kept, caught)
    yield Measure(
        name="robustness.evasion.evaded_share", value=(caught - kept) / caught, low=low, high=high, n=caught, seed=seed,
        unit="share", direction=Direction.LOWER,
        method=f"caught rows that slip past, at least: budget {cost:g}, Wilson",
    )  # fmt: skip
    asked = np.asarray(found.queries, dtype=float)
    low, high = ratio_interval(asked, np.ones(caught), seed)
    yield Measure(
        name="robustness.evasion.queries", value=float(asked.mean()), low=low, high=high, n=caught, seed=seed,
        unit="a row", method="mean over the attacked rows, bootstrap",
    )  # fmt: skip


def _curve(found: Evaded, n: int, caught: int, cost: float, access: str, queries: int) -> Curve:
    import numpy as np

    ends = np.unique(np.concatenate([[0.0, cost], found.cost[np.isfinite(found.cost)]]))
    reach = max(2 * cost, 1e-9)
    x = np.unique(np.clip(ends, 0, reach))
    if len(x) > 120:
        x = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, 119)), [0.0, cost]]))
    kept = [caught - int((found.cost <= b).sum()) for b in x]
    bands = [wilson(k, n) for k in kept]
    left = caught - int((found.cost <= cost).sum())
    return Curve(
        name="robustness.evasion.curve",
        title=(
            f"Of {caught / n:.1%} of the positives caught, a budget of {cost:g} leaves {left / n:.1%} of this sample "
            f"(95%: from {wilson(left, n)[0]:.1%}), or less to a better attack"
        ),
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
        note=f"{n} positive holdout rows, {caught} flagged; {access} access, up to {queries} queries a row.",
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
