"""data.split-leakage: rows or entities of the training data in the data that should judge the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.detectors.overlap import overlap
from assay.stats.intervals import wilson


@check(
    "data.split-leakage",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.5",),
    reads=("holdout_of",),
    libraries=("duckdb", "pyarrow"),
)
def split_leakage(
    data: Dataset, *, holdout_of: Dataset, tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.002
) -> Iterator[Finding | Measure]:
    """Rows or entities of the training data in the data that should judge the model.

    Why: a model remembers. If the rows it is judged on were in its training data, every figure is flattered, and the
    release gate reads flattered figures.

    How it decides: holdout rows whose features and label all occur in the training data are counted and compared with
    how often a training row has a twin among *other* training rows: small tables of categories have twins by nature.
    It fails when the lower end of the 95% interval of the first lies more than `tolerance` above the upper end of the
    second, or when declared ids or entities are in both.

    Fix: split again by entity or by time, so that nothing of a training row is in the holdout, then measure again.

    References: Kapoor and Narayanan 2023 (leakage and the reproducibility crisis).
    """
    common = [c for c in data.features if c in holdout_of.features]
    if not common or not data.rows or not holdout_of.rows:
        raise CouldNotLook(f"{data.name} and {holdout_of.name} share no feature, or one has no rows")
    columns = [*common, *([data.label] if data.label and data.label == holdout_of.label else [])]
    found = overlap(holdout_of.table(columns), data.table(columns))
    low, high = wilson(found.shared, data.rows)
    yield Measure(
        name="data.split_leakage", value=found.shared / data.rows, low=low, high=high, n=data.rows,
        direction=Direction.LOWER, method="exact twins, Wilson",
    )  # fmt: skip
    natural = wilson(found.twins, holdout_of.rows)[1]
    if low > natural + tolerance:
        yield Finding(
            message=(
                f"{found.shared} of {data.rows} holdout rows ({found.shared / data.rows:.1%}) are also in "
                f"{holdout_of.name}, where {found.twins / holdout_of.rows:.1%} would be expected"
            ),
            location=Location(uri=data.subject.uri, row=found.first),
            key="rows",
            evidence={"shared": found.shared, "rows": data.rows, "expected_share": found.twins / holdout_of.rows},
            fix="take the shared rows out of one side, or split again by entity or time",
        )
    for role, mine, theirs in (("id", data.id, holdout_of.id), ("entity", data.entity, holdout_of.entity)):
        if mine and theirs:
            yield from _same(data, holdout_of, role, mine, theirs)


def _same(data: Dataset, other: Dataset, role: str, mine: str, theirs: str) -> Iterator[Finding]:
    here = set(data.sql(f"SELECT DISTINCT {ident(mine)} FROM data").column(0).to_pylist()) - {None}  # noqa: S608
    there = set(other.sql(f"SELECT DISTINCT {ident(theirs)} FROM data").column(0).to_pylist())  # noqa: S608
    shared = len(here & there)
    if shared:
        yield Finding(
            message=f"{shared} of {len(here)} values of the {role} {mine} are also in {other.name}",
            location=Location(uri=data.subject.uri, column=mine),
            key=role,
            evidence={"shared": shared, "values": len(here)},
            fix=f"split by {mine}, so that each is on one side only",
        )
