"""data.duplicates: rows that occur more than once, and twins with different labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.stats.intervals import wilson


@check(
    "data.duplicates",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.MEDIUM,
    needs="ml",
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02"),
    libraries=("duckdb", "pyarrow"),
    measures=("data.duplicate_rate", "data.conflicting_rate"),
)
def duplicates(
    data: Dataset,
    *,
    flood: Annotated[float, Meta(ge=0, le=1)] = 0.005,
    conflict: Annotated[float, Meta(ge=0, le=1)] = 0.01,
) -> Iterator[Finding | Measure]:
    """Rows that occur more than once, and identical rows with different labels.

    Why: flooding the data with copies of one row is a cheap way to bend a model. Copies also make a model look better
    than it is as soon as one of them lands in the test rows. Twins with different labels cannot both be right.

    How it decides: rows are grouped by all features (not label, id, time). It fails if one row makes up more than
    `flood` of the data with at least 20 copies while fewer than 1 in 20 rows are copies at all, if more than `conflict`
    of the rows have a twin with another label, or if the declared id is not unique. Tables of few categories have
    natural copies: they are measured, not reported.

    Fix: keep one of each, and find out where the copies came from before training again.

    References: MITRE ATLAS AML.T0020.
    """
    if not data.rows or not data.features:
        raise CouldNotLook(f"{data.name} has no rows or no features")
    if data.label:
        data.column(data.label)
    keys = ", ".join(ident(c) for c in data.features)
    label = f"count(DISTINCT {ident(data.label)})" if data.label else "1"
    grouped = f"SELECT count(*) AS n, {label} AS labels, min(rowid) AS first FROM data GROUP BY {keys}"  # noqa: S608
    query = f"""SELECT coalesce(sum(n - 1), 0)::BIGINT, max(n), arg_max(first, n),
        coalesce(sum(n) FILTER (labels > 1), 0)::BIGINT FROM ({grouped})"""  # noqa: S608 - quoted by ident()
    copies, most, first, conflicts = (column[0].as_py() for column in data.sql(query).columns)
    for name, hits in (("data.duplicate_rate", copies), ("data.conflicting_rate", conflicts)):
        low, high = wilson(hits, data.rows)
        yield Measure(
            name=name,
            value=hits / data.rows,
            low=low,
            high=high,
            n=data.rows,
            direction=Direction.LOWER,
            method="Wilson",
        )
    if most >= 20 and most / data.rows > flood and copies / data.rows < 0.05 + most / data.rows:
        yield Finding(
            message=f"one row occurs {most} times, in data where copies are rare",
            location=Location(uri=data.subject.uri, row=first),
            key="flood",
            evidence={"copies": most, "rows": data.rows},
            fix="keep one copy, and find out where the others came from",
        )
    if conflicts / data.rows > conflict:
        yield Finding(
            message=f"{conflicts} rows ({conflicts / data.rows:.1%}) have a twin with another label",
            location=Location(uri=data.subject.uri, column=data.label or ""),
            key="conflict",
            severity=Severity.LOW,
            evidence={"rows": conflicts},
            fix="decide on one label for each, or add the column that tells them apart",
        )
    if data.id:
        yield from _ids(data)


def _ids(data: Dataset) -> Iterator[Finding]:
    column = ident(data.id or "")
    found = data.sql(f"SELECT count({column}) - count(DISTINCT {column}), count(*) - count({column}) FROM data")  # noqa: S608
    repeated, missing = (c[0].as_py() for c in found.columns)
    if repeated or missing:
        what = " and ".join(
            t for t in (f"{repeated} repeated" * bool(repeated), f"{missing} missing" * bool(missing)) if t
        )
        yield Finding(
            message=f"the id {data.id} is not unique: {what}",
            location=Location(uri=data.subject.uri, column=data.id or ""),
            key="id",
            evidence={"repeated": repeated, "missing": missing},
            fix="mend the id, or declare another column as id",
        )
