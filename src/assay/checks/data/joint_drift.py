"""data.joint-drift: rows whose columns look ordinary one by one, and not together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

FAR = 0.75


@check(
    "data.joint-drift",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    cost="seconds",
    tags=("nist-ai-rmf:MEASURE 2.4",),
    libraries=("numpy", "lightgbm", "duckdb"),
    cacheable=False,
    measures=("data.joint_drift.area",),
)
def joint_drift(
    traffic: Traffic,
    *,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.01,
    least_area: Annotated[float, Meta(ge=0.5, le=1)] = 0.52,
    seed: int = 0,
) -> Iterator[Finding | Measure]:
    """Rows whose columns look ordinary one by one, and not together.

    Why: two columns can keep their distributions and lose what ties them: an upload whose rows were shuffled, a feed
    joined to the wrong customer, a forger who draws each field by itself. No column shows it.

    How it decides: a sample of rows of both tables (up to 4,000 each, seeded) is split in half. Trees learn from one
    half which table a row is from, and are asked of the other. Without drift they can only guess: the rank-sum test of
    their scores on rows they never saw has the level `alpha`, whatever was learned. The ROC area says how far apart the
    tables are (.5 is chance); less than `least_area` is no finding, however sure. Columns that drifted by themselves
    help to tell the tables apart too: the finding names those that the trees leaned on. .75 and more is a high finding,
    less a medium one. It needs the reference's rows, so that a saved reference leaves it out.

    Fix: look at the columns named, two by two, in both tables; find out where the rows were joined or made.

    References: Lopez-Paz and Oquab 2017 (classifier two-sample tests); Rabanser et al. 2019.
    """
    from assay.detectors.joint_drift import LEAST_ROWS, told_apart

    if not traffic.joint or traffic.rows_before is None:
        raise NotApplicable("not asked (--joint), or the reference is a saved one and holds no rows")
    before, now, names, categorical = traffic.sampled(seed)
    if min(len(before), len(now)) < LEAST_ROWS:
        raise CouldNotLook(f"{min(len(before), len(now))} rows on one side are too few; at least {LEAST_ROWS}")
    found = told_apart(before, now, names, categorical, seed)
    yield Measure(
        name="data.joint_drift.area", value=found.area, low=found.low, high=found.high, n=found.rows, seed=seed,
        direction=Direction.LOWER, method="ROC area of telling the tables apart, rows never seen",
    )  # fmt: skip
    if found.p <= alpha and found.area >= least_area:
        leaned = ", ".join(f"{visible(name, 40)} ({share:.0%})" for name, share in found.leaned)
        yield Finding(
            message=f"rows can be told from the reference's (ROC area {found.area:.2f}), mostly by {leaned}",
            location=Location(uri=traffic.subject.uri),
            key="joint drift",
            severity=Severity.HIGH if found.area >= FAR else Severity.MEDIUM,
            evidence={"area": found.area, "low": found.low, "high": found.high, "p": found.p, "rows": found.rows},
            fix="look at these columns two by two in both tables: what ties them, and where were the rows joined?",
        )
