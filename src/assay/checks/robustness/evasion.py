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
from assay.stats.intervals import wilson, wilson_rate

if TYPE_CHECKING:
    from assay.attacks.evasion import Evaded
    from assay.attacks.needs import Needs
    from assay.attacks.reach import Reach
    from assay.attacks.space import Space

LEAST = 10
LEAST_CHANGES = 30
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
    version=4,
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
    Of rows with equal inputs one is asked, with the weight of all; they count as one draw, so that copies narrow no
    interval: n is the effective number of rows. The result is an upper bound of the true recall under attack: a better
    attack can only lower it. Candidates of a number are its whole grid where that has fewer than 100 places; else steps
    of 0.05 to 5 standard deviations and quantiles, alone and combined, and, alone, steps from there down to a millionth
    (each a quarter of the last, none below the smallest difference in the training data) and the row's three nearest
    other numbers. Changes finer than that, or between those steps, are not looked for; nor are moves of three and more
    inputs that only together keep a relation, beyond what borrowed values and combinations in order of cost reach.

    Before anyone believes it the attack must pass its sanity test: the same row gets the same answer; a row made equal
    to one that passes, passes; holes planted in the model are found, one change away (a fine one too), two that a
    relation ties together or several at once at no more than their cost, and pairs that lie anywhere at no more than
    1.5 times it; with scores, where they are asked, it does no worse than with labels; no row is missed that passes
    with permitted values of a passing one; and every success is asked again of the real model.

    A contract can be written so that nothing is ever evaded. So it also says what the contract leaves out.
    `excluded_share` are the positive rows that break `constraints:` as they are; above 5% the check stays open.
    `affordable_share` says: of the moves that caught rows would need to slip past if everything were allowed, this
    share the contract permits and the budget pays for. Each caught row takes every input of a row that passes, four
    times; then its own values are put back, in random order, as long as it still passes (inputs that relations tie
    together first all together), and numbers go back toward its own as far as it passes. What cannot be put back is
    needed; of that the cheapest permitted moves count until the budget is spent, tied inputs only where the relation
    holds. A column that changes no decision is never needed, a move that only harms the attacker is not either, and a
    frozen one is needed but not permitted. The 95% interval is the wider of a bootstrap over the rows and Wilson's for
    as many rows; below 10 rows or 30 changes there is no figure. A table shows how often each input is needed, and at
    what price. Whether what is declared immutable really is, it cannot say.

    Fix: make what an attacker can change count for less (monotone constraints, coarser bins), add features that are
    hard to change, lower the threshold (more false alarms: bound `performance.false_alarm_rate` too), or train on such
    rows; then measure again.

    References: Carlini et al. 2019; Zimmermann et al. 2022; Cartella et al. 2021 (tabular attacks in fraud).
    """
    from assay.attacks.needs import needs
    from assay.attacks.reach import reaches
    from assay.attacks.sanity import refuse_access

    refuse_access(case.predictor, access)
    data, known = _data(case)
    target, possible = data.target(), _possible(case, data)
    yield from _excluded(int((target & ~possible).sum()), int(target.sum()))
    sample, flags, weight, passing = _drawn(case, data.table(), target & possible, rows, seed)
    caught = sample.filter(flags)
    against = (case.contract, known, {c.name: c.kind for c in data.columns}, case.predictor.features)
    n, k = sample.num_rows, caught.num_rows
    if k and passing.num_rows:
        needed = needs(case.predictor, caught, passing, *against[:3], cost, seed)
        yield from _affordable(reaches(sample, *against, cost), needed, cost, seed)
    _enough(k, n, passing.num_rows, case.threshold)
    if not any(case.contract.features[name].mutable for name in case.predictor.features):
        raise CouldNotLook("the contract lets an attacker change no input of the model, so nothing was attacked")
    space, found = _attacked(case.predictor, caught, passing, against, access, queries, seed, progress)
    left = _Left(weight, flags, found)
    yield from _measures(left, cost, seed)
    yield _curve(left, cost, access, queries)
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


def _drawn(case: ModelCase, table: ArrowTable, usable: Any, rows: int, seed: int) -> tuple[ArrowTable, Any, Any, Any]:
    """(positive rows of which no two have equal inputs, whether the model flags each, how many rows each stands for,
    rows that the model lets pass), drawn at random."""
    import numpy as np

    rng = np.random.default_rng(seed)
    order = np.random.default_rng([seed, 1]).permutation(table.num_rows)  # its place must not tell what a row is
    flagged = np.empty(table.num_rows, dtype=bool)
    flagged[order] = case.predictor.flagged(table.take(order))
    drawn = rng.permutation(np.flatnonzero(usable))
    first, count = _alike(table.take(drawn).select(case.predictor.features))
    chosen = np.argsort(first)[:rows]
    chosen = chosen[np.argsort(drawn[first[chosen]])]
    sample = drawn[first[chosen]]
    passing = rng.permutation(np.flatnonzero(~flagged))[:500]
    return table.take(sample), flagged[sample], count[chosen], table.take(passing)


def _alike(table: ArrowTable) -> tuple[Any, Any]:
    """(the first place, how many) of every kind of equal rows."""
    import numpy as np

    codes = [
        c.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy() for c in table.itercolumns()
    ]
    _, first, count = np.unique(np.column_stack(codes), axis=0, return_index=True, return_counts=True)
    return first, count


class _Left:
    """What is left of recall: `weight` (n,) rows that each sampled row stands for, and those that the model `flags`."""

    def __init__(self, weight: Any, flags: Any, found: Evaded) -> None:
        import numpy as np

        self.weight, self.flags, self.found = weight, flags, found
        self.cost = np.zeros(len(weight))  # of what is not caught
        self.cost[self.flags] = found.cost
        self.all, self.caught = np.ones(len(weight), dtype=bool), int(self.flags.sum())

    def rate(self, hit: Any, among: Any) -> tuple[float, float, float, int]:
        """(rate, low, high, effective rows) of `hit` (n,) among the sampled rows `among` (n,): Wilson."""
        import numpy as np

        from assay.stats.effective import effective_n, whole

        weight, hit = self.weight[among], hit[among]
        value = float((weight * hit).sum() / weight.sum())
        n = float(effective_n(np.repeat(np.arange(len(weight)), weight), np.repeat(hit, weight)))
        return value, *wilson_rate(value, n), whole(n)

    def after(self, budget: float) -> tuple[float, float, float, int]:
        """The recall that is left after what costs up to `budget`."""
        return self.rate(self.flags & (self.cost > budget), self.all)


def _affordable(inputs: tuple[Reach, ...], found: Needs, cost: float, seed: int) -> Iterator[Measure | Table]:
    """How much of what caught rows need to slip past is permitted and paid for, and the table with the prices."""
    from assay.stats.classifier import ratio_interval

    whole, rows = found.needed.sum(axis=1), int((found.changes > 0).sum())
    value = low = high = None
    if rows >= LEAST and found.changes.sum() >= LEAST_CHANGES:
        part = found.permitted.sum(axis=1)
        value = float(part.sum() / whole.sum())
        ends = (*ratio_interval(part, whole, seed), *wilson_rate(value, rows))  # a few rows resample too much alike
        low, high = float(min(ends)), float(max(ends))
    yield Measure(
        name="robustness.evasion.affordable_share", value=value, low=low, high=high, n=rows, seed=seed,
        unit="share", direction=Direction.HIGHER,
        method=f"needed moves that the contract permits and a budget of {cost:g} pays for, bootstrap, Wilson",
    )  # fmt: skip
    needed, permitted = found.needed.sum(axis=0), found.permitted.sum(axis=0)
    order = sorted(range(len(inputs)), key=lambda i: (-needed[i], inputs[i].moves == "no"))
    rest = [inputs[i] for i in order[SHOWN:]]
    note = (
        "Needed: of all moves that caught rows need to slip past if everything were allowed, the share on this input. "
        "Within reach: the share of these that the contract permits and the budget pays for, the cheapest first."
    )
    if rest:
        note += f" Not shown: {len(rest)} inputs more, {sum(r.moves != 'no' for r in rest)} of which may change."
    yield Table(
        name="robustness.evasion.contract",
        title="What an attacker may change",
        subtitle=f"Each input of the model, as the feature contract has it, for a budget of {cost:g}",
        columns=("input", "may change", "price", "the budget reaches", "needed", "within reach"),
        rows=tuple(
            (
                visible(inputs[i].name, 60), inputs[i].moves, _price(inputs[i]), _distance(inputs[i]),
                _share(needed[i], whole.sum()) if needed[i] else "never",
                _share(permitted[i], needed[i]) if needed[i] else "",
            )
            for i in order[:SHOWN]
        ),
        note=note,
    )  # fmt: skip


def _share(part: float, whole: float) -> str:
    share = float(part) / float(whole)
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


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


def _enough(caught: int, sample: int, passing: int, threshold: float) -> None:
    if caught < LEAST:
        what = f"the model flags {caught} of {sample} positive rows of different inputs at its threshold {threshold:g}"
        raise CouldNotLook(f"{what}: at least {LEAST} are needed")
    if passing < LEAST:
        raise CouldNotLook(f"the model lets {passing} rows pass: at least {LEAST} are needed to attack toward")


def _measures(left: _Left, cost: float, seed: int) -> Iterator[Measure]:
    import numpy as np

    from assay.stats.classifier import ratio_interval

    value, low, high, n = left.after(cost)
    yield Measure(
        name=NAME, value=value, low=low, high=high, n=n, seed=seed, unit="share", direction=Direction.HIGHER,
        method=f"at most: budget {cost:g}, Wilson, equal rows as one draw",
    )  # fmt: skip
    value, low, high, n = left.rate(left.flags, left.all)
    yield Measure(
        name="robustness.evasion.recall_unattacked", value=value, low=low, high=high, n=n, seed=seed,
        unit="share", direction=Direction.HIGHER, method="the same rows before the attack, Wilson",
    )  # fmt: skip
    value, low, high, n = left.rate(left.cost <= cost, left.flags)
    yield Measure(
        name="robustness.evasion.evaded_share", value=value, low=low, high=high, n=n, seed=seed,
        unit="share", direction=Direction.LOWER,
        method=f"caught rows that slip past, at least: budget {cost:g}, Wilson",
    )  # fmt: skip
    asked = np.asarray(left.found.queries, dtype=float)
    low, high = ratio_interval(asked, np.ones(left.caught), seed)
    yield Measure(
        name="robustness.evasion.queries", value=float(asked.mean()), low=low, high=high, n=left.caught, seed=seed,
        unit="a row", method="mean over the attacked rows, bootstrap",
    )  # fmt: skip


def _curve(left: _Left, cost: float, access: str, queries: int) -> Curve:
    import numpy as np

    found = left.found.cost
    ends = np.unique(np.concatenate([[0.0, cost], found[np.isfinite(found)]]))
    reach = max(2 * cost, 1e-9)
    x = np.unique(np.clip(ends, 0, reach))
    if len(x) > 120:
        x = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, 119)), [0.0, cost]]))
    rates = [left.after(float(budget)) for budget in x]
    now, low = left.after(cost)[:2]
    before = left.rate(left.flags, left.all)[0]
    return Curve(
        name="robustness.evasion.curve",
        title=(
            f"Of {before:.1%} of the positives caught, a budget of {cost:g} leaves {now:.1%} of this sample "
            f"(95%: from {low:.1%}), or less to a better attack"
        ),
        subtitle="Share of positive holdout rows still flagged, against what the attacker may spend; 95% band",
        x_label="budget (cost units of the feature contract)",
        y_label="recall under attack, at most",
        series=(
            Series(
                name="best attack found",
                x=tuple(float(v) for v in x),
                y=tuple(rate[0] for rate in rates),
                low=tuple(rate[1] for rate in rates),
                high=tuple(rate[2] for rate in rates),
                kind="at-most",
            ),
        ),
        mark=cost,
        mark_label="declared budget",
        measure=NAME,
        note=(
            f"{len(left.all)} positive rows, no two alike, {left.caught} flagged; {access} access, "
            f"up to {queries} queries a row."
        ),
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
