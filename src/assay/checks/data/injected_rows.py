"""data.injected-rows: rows whose values do not belong together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.suspects import MAX_SUSPECTS, Suspects
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.injected_rows import Injected

LEAST_POWER = 0.6  # set on clean develop sets and simulations: below it natural rows pass for unrelated values


@check(
    "data.injected-rows",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.MEDIUM,
    needs="ml",
    version=2,
    cost="minutes",
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02"),
    libraries=("numpy", "scipy", "lightgbm", "duckdb"),
    measures=("data.injected_rows.share", "data.injected_rows.power"),
)
def injected_rows(
    data: Dataset,
    *,
    rate: Annotated[float, Meta(ge=0, le=1)] = 0.002,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Suspects]:
    """Rows that break what the columns have to do with each other.

    Why: rows made up to bend a model, or mangled by a wrong join, seldom hold values that are odd by themselves; each
    looks ordinary, and only together they are impossible. Detectors of outliers look at how far a row lies from the
    rest and find almost none of them. Values that are odd in their own column are the matter of data.odd-values: both
    scores in one would drown each other.

    How it decides: trees learn to tell the rows from rows whose values were taken from different rows; what a row
    that they never saw scores is the log of how much likelier it is to be put together so. A second score asks of up to
    16 columns, those that have most to do with the others, how surprising their value is given the rest. Both are
    added; the suspects name the most surprising column. How many rows are so is bounded by a mixture proportion: the
    share of rows that score like the upper quarter, half or three quarters of rows put together from unrelated values,
    the least of the three, each with an exact binomial interval. If its lower end is above `rate` it is a medium
    finding, and as many rows as the share says are flagged, the strongest. Where columns have so little to do with
    each other that fewer than 6 in 10 rows put together at random would score above 98% of the data, it says so in a
    note and flags nothing: nobody could tell such rows there.

    It cannot say that a row was injected: a small group that lives by other rules looks the same. Rows that
    borrow a part of another row whole, or copy a true one with small changes, are found less often or not (see
    docs/benchmarks.md for recall and false alarms). Of more than 60 columns it looks at the 60 that have most to do
    with another one, which the measures say; of more than 1,000 that vary they are chosen among 1,000 drawn with the
    seed, and the check is open for the rest. Prose is not looked at.

    Fix: look at the strongest rows and where they came from (`assay data check --suspects`); take out what nobody can
    explain, then train again.

    References: Hastie et al. 2009, 14.2.4 (density as classification); Blanchard et al. 2010 (mixture proportions);
    OWASP ML02.
    """
    from assay.detectors.injected_rows import injected

    found = injected(data.encoded(), seed, progress)
    part = f"; {len(found.names)} of {found.of:,} columns looked at" if len(found.names) < found.of else ""
    yield Measure(
        name="data.injected_rows.share", value=found.share, low=found.low, high=found.high, n=data.rows, seed=seed,
        unit="share", direction=Direction.LOWER, method=f"mixture proportion with rows of permuted columns{part}",
    )  # fmt: skip
    yield Measure(
        name="data.injected_rows.power", value=found.power, n=data.rows, seed=seed, unit="share",
        direction=Direction.HIGHER, method=f"rows of permuted columns that score above 98% of the data{part}",
    )  # fmt: skip
    told = found.power >= LEAST_POWER and found.low > rate
    if found.power < LEAST_POWER:
        yield _loose(data, found)
    elif told:
        yield _finding(data, found)
    yield _suspects(found, round(found.share * data.rows) if told else 0)
    if found.drawn < found.of:
        what = f"{found.of - found.drawn:,} of {found.of:,} columns that vary were not looked at"
        raise CouldNotLook(f"{what}: rows were judged by columns among {found.drawn:,} drawn with seed {seed}")


def _loose(data: Dataset, found: Injected) -> Finding:
    return Finding(
        message=(
            f"the columns have too little to do with each other: {found.power:.0%} of rows put together from unrelated "
            "values would stand out, so injected rows could hide"
        ),
        location=Location(uri=data.subject.uri),
        key="power",
        severity=Severity.INFO,
        confidence=Confidence.HIGH,
        evidence={"power": found.power, "columns": len(found.names)},
        fix="declare source or time, and check where rows come from: the values cannot tell",
    )


def _finding(data: Dataset, found: Injected) -> Finding:
    rows = data.rows
    return Finding(
        message=(
            f"some {found.share * rows:.0f} of {rows} rows (95%: {found.low * rows:.0f} to {found.high * rows:.0f}) "
            "look put together from unrelated values: each value is ordinary, together they are not"
        ),
        location=Location(uri=data.subject.uri),
        key="share",
        confidence=Confidence.MEDIUM,
        evidence={"share": found.share, "low": found.low, "high": found.high, "power": found.power},
        fix="look at the strongest rows (`assay data check --suspects` lists them) and at where they came from",
    )


def _suspects(found: Injected, flagged: int) -> Suspects:
    import numpy as np

    order = np.argsort(-found.score, kind="stable")[:MAX_SUSPECTS]
    reasons = [f"{visible(found.names[found.column[i]], 60)} is surprising given the rest" for i in order[:flagged]]
    return Suspects(
        check="data.injected-rows",
        rows=tuple(order.tolist()),
        scores=tuple(found.score[order].tolist()),
        flagged=tuple(place < flagged for place in range(len(order))),
        reasons=(*reasons, *("" for _ in order[flagged:])),
    )
