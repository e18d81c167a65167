"""data.target-leakage: a column that gives the answer away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage

if TYPE_CHECKING:
    from assay.detectors.giveaway import Giveaway


@check(
    "data.target-leakage",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.5",),
    version=2,
    libraries=("numpy", "scipy", "duckdb"),
    measures=("data.target_leakage",),
)
def target_leakage(
    data: Dataset, *, limit: Annotated[float, Meta(ge=0.5, le=1)] = 0.985, seed: int = 0, progress: Progress = silent
) -> Iterator[Finding | Measure | Intervals]:
    """A column that gives the answer away.

    Why: a column written after the fact (a refund date, a case number, a status) predicts the label perfectly in the
    training data and is not there when the model must decide. The model looks brilliant and fails on its first day.

    How it decides: each column alone ranks the rows, by rates learned on other folds, its missing values included, and
    a number also as it is, up or down; the larger area under the ROC curve counts. It has a 95% interval. A column
    whose lower end is above `limit` fails with high severity, because hardly any honest column alone decides a case.
    Columns that come near are shown, not reported. Where the rows are so few that even a column without a mistake would
    not reach `limit`, the check is open: at .985 it takes 20 rows of one class against 80 of the other, or 40
    against 40, identical rows counted once. It does not see what only two columns together give away.

    Fix: ask when the column is written. If that is after the decision, drop it (`drop:`) and train again.

    References: Kaufman et al. 2012 (leakage in data mining); Hanley and McNeil 1982 (interval of the area).
    """
    from assay.detectors.giveaway import LEAST_CLASS, giveaways

    target = data.target()
    if min(int(target.sum()), int((~target).sum())) < LEAST_CLASS:
        raise CouldNotLook(f"fewer than {LEAST_CLASS} rows of one class: no column can be judged")
    found = giveaways(data.encoded(text=True), target, seed, progress)
    strongest = found[0]
    if strongest.reach <= limit:
        raise CouldNotLook(
            f"too few rows: even a column without a mistake shows only {strongest.reach:.4f} (limit {limit})"
        )
    yield Measure(
        name="data.target_leakage", value=strongest.area, low=strongest.low, high=strongest.high, n=data.rows,
        seed=seed, direction=Direction.LOWER, method="largest single-column ROC area, Hanley-McNeil, at 1 binormal",
    )  # fmt: skip
    for column in found:
        if column.low > limit:
            yield _finding(data, column)
    top = found[:10]
    yield Intervals(
        name="data.target-leakage.columns",
        title=f"{strongest.column} alone ranks {strongest.area:.1%} of pairs right",
        subtitle="Area under the ROC curve of one column alone, 95% intervals; 0.5 knows nothing, 1 gives it away",
        unit="ROC area",
        verbatim=True,
        rows=tuple(IntervalRow(label=c.column, value=c.area, low=c.low, high=c.high, n=data.rows) for c in top),
        reference=0.5,
        note=f"The {len(top)} strongest of {len(found)} columns.",
    )


def _finding(data: Dataset, column: Giveaway) -> Finding:
    return Finding(
        message=f"{column.column} alone gives the label away (ROC area {column.area:.3f})",
        location=Location(uri=data.subject.uri, column=column.column),
        key="giveaway",
        confidence=Confidence.HIGH if column.low > 0.995 else Confidence.MEDIUM,
        evidence={"area": column.area, "low": column.low, "high": column.high},
        fix=f"ask when {column.column} is written; if after the decision, add it to `drop:` and train again",
    )
