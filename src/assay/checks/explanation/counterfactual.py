"""explanation.counterfactual: whether people whom the model flags could do anything about it, and how much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import IntervalRow, Intervals, Table
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset
    from assay.attacks.recourse.actions import Actions

LEAST, LEAST_GROUP = 10, 10
PASSING = 300
SHOWN = 40
NAME = "explanation.counterfactual"


@check(
    NAME,
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.INFO,
    needs="ml",
    cost="minutes",
    version=8,
    tags=("nist-ai-rmf:MEASURE 2.9", "nist-ai-rmf:MEASURE 2.8", "eu-ai-act:Art.13", "eu-ai-act:Art.86"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "scipy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "explanation.counterfactual.actionable_share",
        "explanation.counterfactual.impossible_share",
        "explanation.counterfactual.changes",
        "explanation.counterfactual.recourse_gap",
    ),
)
def counterfactual(
    case: ModelCase,
    *,
    rows: Annotated[int, Meta(ge=LEAST, le=5000)] = 60,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Intervals | Table]:
    """Whether the people whom the model flags could change anything that would alter the decision, and how much.

    Why: who is refused has a right to know why, and "with two fewer past claims, the decision would differ" is an
    answer that a person can use. Where no such sentence exists for most people, or for one group far less often than
    for another, the decision cannot be contested by living otherwise.

    How it decides: it does not; it measures. To be flagged counts as the adverse decision. For up to `rows` flagged
    holdout rows of different inputs it looks for the cheapest change that passes, by the same search as
    `robustness.evasion`, at any price, under what an honest person can change: `person:` of each column in `features:`
    (`mutable`, `direction`, `min`, `max`, `step`, `scale`, `cost`, `costs`). A column without it stays as it is, for
    what an attacker can fake is not what an honest person can do. If no column has it, the attacker's contract is used
    and the measures say so. The model itself is read where it can be (trees, linear models, small networks), else its
    scores, else its decisions are asked; the sanity test of the attack must pass. Changes that are not needed are put
    back, and every success is asked of the real model.

    `actionable_share` are the people for whom a change was found; its upper end counts those for whom none was found,
    and none was ruled out, as if there were one. `impossible_share` are those for whom it is proved that no permitted
    change works; without a proof nobody is counted there. `changes` is the median number of inputs in a person's
    cheapest change (a dearer one of fewer inputs may exist), with the interval of its order statistics. With
    `protected:` columns `recourse_gap` is the largest difference of the share between groups of at least 10 sampled
    people, over all pairs of groups together (and all protected columns); fewer are no group. A gap whose lower end is
    above 0 is told as info. Intervals are Wilson's. Below 10 flagged rows the check stays open; without `features:` it
    does not apply.

    It says what the model would do, not what would come of the change, nor that it is wise. The sentences hold
    people's values and stay out of evidence: `assay attack notice` writes them.

    Fix: use inputs that people can change, or let a person decide where none can; declare `person:`.

    References: Wachter, Mittelstadt and Russell 2018; Ustun, Spangher and Liu 2019; Karimi et al. 2022.
    """
    from assay.attacks.accepted import accepted
    from assay.attacks.one_hot import Fold
    from assay.attacks.recourse.actions import Known, actions

    data = case.untouched("to explain")
    contract = case.contract
    if contract.free or not contract.features:
        raise NotApplicable("nobody has said in `features:` what can be changed, so no change can be called possible")
    places, passing = _drawn(case, data, rows, seed)
    kinds = {c.name: c.kind for c in data.columns}
    fold = Fold(contract.of_person(), passing)
    rows_known = fold.table((case.train or data).table())
    sample, model = fold.table(data.table().take(places)), fold.model(case.predictor)
    possible = accepted(model, sample, fold.contract, rows_known)
    known = Known(possible.contract, rows_known, fold.kinds(kinds), fold.told(passing))
    found = actions(model, sample, known, seed, progress)
    whose = "by `person:`" if contract.speaks_of_people else "by the attacker's contract, no column has `person:`"
    yield from possible.findings(case.subject.uri)
    yield from _measures(found, whose, seed)
    yield from _inputs(found, whose)
    yield from _groups(case, data, places, found, seed)


def _drawn(case: ModelCase, data: Dataset, rows: int, seed: int) -> tuple[Any, ArrowTable]:
    """(numbers of flagged rows of different inputs that keep every relation, rows that pass), in a drawn order."""
    import numpy as np

    from assay.attacks.relations import attackable, telling
    from assay.detectors.rows import same_rows

    table, model = data.table(), case.predictor
    rng = np.random.default_rng(seed)
    order = rng.permutation(table.num_rows)
    flagged = model.flagged(table.take(order))
    passing = table.take(order[~flagged][:PASSING])
    mine = order[flagged]
    mine = mine[attackable(case.contract, table.take(mine))]
    if len(mine):
        _, first = np.unique(
            same_rows(table.take(mine).select(telling(case.contract, model.features))), return_index=True
        )
        mine = mine[rng.permutation(first)][:rows]  # not the first ones met: of many equal rows one is met sooner
    if len(mine) < LEAST:
        raise CouldNotLook(f"the model flags {len(mine)} rows of different inputs: at least {LEAST} are needed")
    if passing.num_rows < LEAST:
        raise CouldNotLook(f"the model lets {passing.num_rows} rows pass: at least {LEAST} are needed")
    return mine, passing


def _measures(found: Actions, whose: str, seed: int) -> Iterator[Measure]:
    import numpy as np

    from assay.stats.intervals import wilson

    n, some, none = len(found.found), int(found.found.sum()), int(found.proved.sum())
    how = {"whitebox": "the model was read", "score": "by its scores", "label": "by its decisions"}
    asked = how.get(found.access or "", "nothing may change")
    asked += f", as reading it failed ({visible(found.instead, 200)})" if found.instead else ""
    yield Measure(
        name=f"{NAME}.actionable_share", value=some / n, low=wilson(some, n)[0], high=wilson(n - none, n)[1], n=n,
        seed=seed, unit="share", direction=Direction.HIGHER,
        method=f"flagged people with a change that passes, {whose}; {asked}; Wilson",
    )  # fmt: skip
    yield Measure(
        name=f"{NAME}.impossible_share", value=none / n, low=wilson(none, n)[0], high=wilson(n - some, n)[1], n=n,
        seed=seed, unit="share", direction=Direction.LOWER,
        method=f"flagged people for whom it is proved that no change passes, {whose}; Wilson",
    )  # fmt: skip
    counts = np.sort(found.changed.sum(axis=1)[found.found])
    value = low = high = None
    if some >= LEAST:
        reach = 0.98 * np.sqrt(some)
        ends = (max(0, int(np.floor(some / 2 - reach))), min(some - 1, int(np.ceil(some / 2 + reach))))
        value, low, high = float(np.median(counts)), float(counts[ends[0]]), float(counts[ends[1]])
    yield Measure(
        name=f"{NAME}.changes", value=value, low=low, high=high, n=some, seed=seed, unit="inputs",
        direction=Direction.LOWER,
        method="median over the cheapest change of those who have one, order statistics; dearer ones may take fewer",
    )  # fmt: skip


def _inputs(found: Actions, whose: str) -> Iterator[Table]:
    some = int(found.found.sum())
    if not some:
        return
    used = found.changed[found.found].sum(axis=0)
    order = sorted(range(len(found.names)), key=lambda j: (-int(used[j]), found.names[j]))[:SHOWN]
    yield Table(
        name=NAME,
        title="What people would have to change",
        subtitle=f"Inputs in the cheapest changes of {some} flagged people, {whose}",
        columns=("input", "people", "share"),
        rows=tuple((visible(found.names[j], 60), int(used[j]), float(used[j]) / some) for j in order if used[j]),
        bar="share",
        note="One cheapest change a person; others may exist.",
    )


def _groups(case: ModelCase, data: Dataset, places: Any, found: Actions, seed: int) -> Iterator[Any]:
    """How far groups of protected columns lie apart."""
    import numpy as np

    from assay.detectors.groups import codes
    from assay.stats.fairness import largest_difference
    from assay.stats.intervals import wilson

    rows, gaps, small = [], [], 0
    for name in case.protected:
        code, names = codes(data, name, data)
        mine = code[places]
        groups = [g for g in range(len(names)) if (mine == g).sum() >= LEAST_GROUP]
        small += len(set(mine.tolist())) - len(groups)
        hits = np.array([found.found[mine == g].sum() for g in groups], dtype=float)
        sizes = np.array([(mine == g).sum() for g in groups], dtype=float)
        for g, k, n in zip(groups, hits.astype(int).tolist(), sizes.astype(int).tolist(), strict=True):
            low, high = wilson(k, n)
            label = f"{visible(name, 40)}: {visible(names[g], 40)}"
            rows.append(IntervalRow(label=label, value=k / n, low=low, high=high, n=n, better="higher"))
        if len(groups) > 1:
            apart = largest_difference(hits / sizes, sizes, bound=1.0, level=1 - 0.05 / len(case.protected))
            if apart is not None:
                gaps.append((name, apart, int(sizes.min())))
    if rows:
        left = f"; {small} smaller than {LEAST_GROUP} sampled people are left out" if small else ""
        yield Intervals(
            name=f"{NAME}.groups", title="Who could do something about it",
            subtitle=f"Share of flagged people with a change that passes, by group, with 95% intervals{left}",
            unit="share of people", rows=tuple(rows[:SHOWN]),
        )  # fmt: skip
    if not case.protected:
        return
    widest = max(gaps, key=lambda gap: gap[1].value, default=None)
    few = "" if widest else f"; no column has two groups of {LEAST_GROUP} sampled people whose difference can be told"
    yield Measure(
        name=f"{NAME}.recourse_gap", n=widest[2] if widest else 0, seed=seed,
        value=widest[1].value if widest else None, low=widest[1].low if widest else None,
        high=widest[1].high if widest else None, unit="difference of shares", direction=Direction.LOWER,
        method=f"largest difference between groups of protected columns, all pairs and columns together{few}",
    )  # fmt: skip
    for name, apart, least in gaps:
        if apart.low > 0:
            yield Finding(
                message=f"groups of {visible(name, 60)} can do something about the decision unequally often: "
                f"{apart.value:.0%} apart (95% {apart.low:.0%} to {apart.high:.0%})",
                location=Location(uri=case.subject.uri, column=name), key="gap",
                evidence={"gap": apart.value, "low": apart.low, "high": apart.high, "smallest": least},
                fix="see which inputs hold the group back, and whether the decision may rest on them",
            )  # fmt: skip
