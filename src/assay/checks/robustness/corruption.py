"""robustness.corruption: what the model does with rows that an honest world damages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.core.check import check
from assay.core.errors import NotApplicable
from assay.core.exhibit import IntervalRow, Intervals, Table
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset
    from assay.attacks.natural.measured import Drawn, Half, Harm, Share, Worst

CHOOSE = 200
NAME = "robustness.corruption"


@check(
    NAME,
    version=3,
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.MEDIUM,
    needs="ml",
    tags=("atlas:AML.T0015", "owasp-ml-2023:ML01", "nist-ai-rmf:MEASURE 2.5", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    wants=("holdout",),
    libraries=("numpy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "robustness.corruption.changed_share",
        "robustness.corruption.refused_share",
        "robustness.corruption.recall",
        "robustness.corruption.false_alarm_rate",
        "robustness.corruption.missing_refused_share",
        "robustness.corruption.range_refused_share",
        "robustness.corruption.changed_share_worst",
        "robustness.corruption.recall_worst",
        "robustness.corruption.false_alarm_rate_worst",
    ),
)
def corruption(
    case: ModelCase,
    *,
    rows: Annotated[int, Meta(ge=50, le=20_000)] = 800,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Intervals | Table]:
    """What the model does with rows that an honest world damages: missing, in another unit, out of range, corrupted.

    Why: nobody has to attack a model for it to go wrong. A field that is empty from Monday on, an amount that arrives
    in cents, a sensor that is stuck: a model that answers such rows as if nothing were wrong fails in silence.

    How it decides: untouched rows are damaged one input at a time, and the model is asked at its threshold. Numbers:
    missing; times 10, 100, 1000 and divided by them (100 is cents for euros); 10 ranges of the data above and below
    it; negative, and zero, where the data never is; noise of a tenth of the standard deviation; one digit.
    Words: missing, never seen, other case, trailing blank. All: another row's value in every row, and swapped with the
    next input of the same type. Times are left as they are.

    Three answers are kept apart. The model refuses the row (an error, or a score that is no number: good where a value
    is impossible, bad where it is missing and the data are known to lack it), it changes its decision, or it takes the
    row in silence. Where a batch is refused its rows are asked alone, so that an answered row is not counted as
    refused; what was not told apart within the limit counts for nothing.

    Without a name at the end a measure is of one damaged value a row: of each of the four families one way is drawn for
    every row, and one input. `_worst` is the single damage, in every row, that does most. The greatest of many figures
    is too great by chance, so the worst is chosen on up to 200 rows and measured on others; its interval is the plain
    one. So is each line of the table, one by one, not all lines together. Both classes are drawn apart, up to half of
    `rows` each, and weighed; of rows that are one draw (equal, or of one entity) one is damaged. Intervals are
    Wilson's, n is Kish's. Below 10 rows there is no figure. Recall and false alarms are those of answered rows.

    A finding is only what is a defect on its face: rows that the model refuses as they are, and missing values refused
    in an input whose data have missing values. The most harmful unit error, and the most harmful damage, are told as
    info where decisions change beyond chance. Damages of several inputs at once, and of a part of the rows, are not
    tried.

    Fix: refuse what is impossible before the model sees it (ranges, units and words of `features:`), train with the
    damage that comes, and count refused rows as they come (`assay watch`).

    References: Schelter et al. 2021 (JENGA); Hendrycks and Dietterich 2019; Breck et al. 2019 (data validation).
    """
    from assay.attacks.natural.damage import damages
    from assay.attacks.natural.measured import Harmed, halves, worst
    from assay.detectors.rows import draws

    data = case.untouched("to damage")
    model, inputs = case.predictor, tuple(case.predictor.features)
    table, target = data.table(inputs), data.target()
    choose, report, refused, asked = halves(model, table, target, draws(data, inputs), (CHOOSE, rows), seed)
    yield from _undamaged(case, refused, asked)
    known = (case.train or data).table(inputs)
    all_ = damages(known, inputs, {c.name: c.kind for c in data.columns}, case.contract.columns)
    if not all_:
        raise NotApplicable("the model reads times alone, which are not damaged")
    harmed = Harmed(model, seed)
    found = worst(harmed, all_, choose, report, progress)
    drawn = harmed.drawn(all_, report)
    yield from _measures(drawn, found, seed)
    yield from _nulls(case, data, found)
    yield from _notes(case, found)
    yield from _shown(found, report, len(all_))


def _undamaged(case: ModelCase, refused: int, asked: int) -> Iterator[Finding]:
    if refused:
        yield Finding(
            message=f"the model refuses {refused} of {asked} rows as they are, undamaged",
            location=Location(uri=case.subject.uri), key="undamaged",
            evidence={"refused": refused, "asked": asked},
            fix="find what these rows have in common (often a missing value), and fill it in as training did",
        )  # fmt: skip


def _measure(name: str, share: Share, direction: Direction, method: str, seed: int) -> Measure:
    return Measure(
        name=f"{NAME}.{name}", value=share.value, low=share.low, high=share.high, n=share.n, seed=seed, unit="share",
        direction=direction, method=f"{method}, Wilson",
    )  # fmt: skip


def _measures(drawn: Drawn, found: Worst, seed: int) -> Iterator[Measure]:
    higher, lower, neither = Direction.HIGHER, Direction.LOWER, Direction.NEITHER
    one = "one damaged value a row, drawn"
    yield _measure("changed_share", drawn.changed, lower, one, seed)
    yield _measure("refused_share", drawn.refused, neither, one, seed)
    yield _measure("recall", drawn.recall, higher, one, seed)
    yield _measure("false_alarm_rate", drawn.false_alarms, lower, one, seed)
    yield _measure("missing_refused_share", drawn.refused_missing, lower, "one missing value a row", seed)
    yield _measure("range_refused_share", drawn.refused_range, higher, "one value out of range a row", seed)
    how = "in every row, chosen on other rows"
    if (harm := found.changed) is not None:
        yield _measure("changed_share_worst", harm.changed, lower, f"{_told(harm)} {how}", seed)
    if (harm := found.recall) is not None:
        yield _measure("recall_worst", harm.recall, higher, f"{_told(harm)} {how}", seed)
    if (harm := found.false_alarms) is not None:
        yield _measure("false_alarm_rate_worst", harm.false_alarms, lower, f"{_told(harm)} {how}", seed)


def _told(harm: Harm) -> str:
    return f"{visible(harm.damage.column, 60)} {harm.damage.kind}"


def _nulls(case: ModelCase, data: Dataset, found: Worst) -> Iterator[Finding]:
    """Missing values that the data have and the model refuses."""
    tables = [d.table(tuple(case.predictor.features)) for d in (case.train, data) if d is not None]
    for harm in found.nulls:
        name, refused = harm.damage.column, harm.refused
        there = sum(t.column(name).null_count for t in tables)
        if there and refused.low is not None and refused.low > 0.5:
            yield Finding(
                message=f"the model refuses a missing {visible(name, 60)}, which {there} rows of its data lack",
                location=Location(uri=case.subject.uri, column=name), key="missing",
                evidence={"refused": refused.value, "asked": refused.n, "missing": there},
                fix="give the model what fills missing values in, as one pipeline, and measure again",
            )  # fmt: skip


def _notes(case: ModelCase, found: Worst) -> Iterator[Finding]:
    """The most harmful unit error, and the most harmful damage of all: whether they are too much the policy says."""
    both = (("damage", found.changed), ("unit error", found.unit))
    told = {id(h.damage): (what, h) for what, h in both if h is not None}
    for what, harm in told.values():
        changed = harm.changed
        if changed.value is None or changed.low is None or changed.high is None or changed.value * changed.n < 3:
            continue
        text = f"the most harmful {what}: with {_told(harm)}, {changed.value:.1%} of decisions change"
        text += f" (95% {changed.low:.1%} to {changed.high:.1%}, n {changed.n})"
        recall, alarms = harm.recall.value, harm.false_alarms.value
        if recall is not None and alarms is not None:
            text += f"; recall is then {recall:.1%}, false alarms {alarms:.1%}"
        yield Finding(
            message=text,
            location=Location(uri=case.subject.uri, column=harm.damage.column), key=what, severity=Severity.INFO,
            evidence={"changed": changed.value, "recall": recall, "false_alarms": alarms, "n": changed.n},
            fix="refuse what is impossible before the model sees it: declare ranges and words in `features:`",
        )  # fmt: skip


def _shown(found: Worst, report: Half, tried: int) -> Iterator[Intervals | Table]:
    from assay.attacks.natural.measured import share

    well = share(report.before, report.target, report.weight)
    yield Table(
        name=NAME,
        title="What damaged rows do to decisions",
        subtitle="For each way of damage the input in which it changes most decisions (chosen on other rows)",
        columns=("damage", "input", "refused", "decision changes", "the same answer", "recall", "false alarms", "rows"),
        rows=tuple(_line(h) for h in found.by_kind),
        note=f"{tried} damages were tried. Decisions, recall and false alarms are those of rows that are answered; "
        f"undamaged, recall is {_percent(well.value)}. Each line is an estimate by itself.",
    )  # fmt: skip
    rows = [
        IntervalRow(label=f"{h.damage.kind}: {visible(h.damage.column, 40)}", value=c.value, low=c.low, high=c.high,
                    n=c.n, better="lower")
        for h in found.by_kind if (c := h.changed).value is not None and c.low is not None and c.high is not None
    ]  # fmt: skip
    if rows:
        yield Intervals(
            name=f"{NAME}.changed",
            title=f"{_told(found.changed)} changes most decisions" if found.changed else "What changes decisions",
            subtitle="Share of answered rows whose decision changes, with 95% intervals, one way of damage a line",
            unit="share of decisions",
            rows=tuple(rows),
            note="Each interval holds by itself: the input was chosen on other rows.",
        )


def _line(harm: Harm) -> tuple[str | float | int | None, ...]:
    changed, refused = harm.changed.value, harm.refused.value
    same = None if changed is None else 1 - changed
    return (
        harm.damage.kind, visible(harm.damage.column, 60), _percent(refused), _percent(changed), _percent(same),
        _percent(harm.recall.value), _percent(harm.false_alarms.value), harm.changed.n,
    )  # fmt: skip


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
