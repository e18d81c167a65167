"""data.duplicates: rows that occur more than once, and twins with different labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.stats.intervals import Interval, wilson_rate

# 20, 1 in 20 and 1 in 10 are rules of thumb, set with the public tables of docs/benchmarks.md at hand.
FLOOD = 20
OTHERS = 0.05  # copies of all other rows, of all rows: beyond it copies are usual
SPECIFIC = 0.1  # of the conflicting rows that chance may explain


@check(
    "data.duplicates",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.MEDIUM,
    needs="ml",
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02"),
    version=3,
    libraries=("duckdb", "numpy", "pyarrow"),
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
    `flood` of the data with at least 20 copies while the copies of all other rows are fewer than 1 in 20 rows; with
    low confidence, because one row may also repeat by nature (customers who never did anything). It fails with low
    severity if more than `conflict` of the rows have a twin with another label (rows of 20 copies and more left
    out: they are the flood's matter) and such twins are no chance: independent columns would give a twin in the
    three rarest values to fewer than a tenth as many. Tables of few categories have natural twins, and a noisy
    label sets them apart: both are measured, not reported. Columns that look like an undeclared id (whole numbers
    or text, at least 99% of them different) make every row unlike every other: they are left out of the measures,
    which name them, and rows are looked at with and without them. It fails if the declared id is not unique. The
    intervals of both rates take a group of equal rows as one draw, so that many copies of one row do not pass for
    many observations.

    Fix: keep one of each, and find out where the copies came from before training again.

    References: MITRE ATLAS AML.T0020.
    """
    from assay.detectors.rows import undeclared_ids

    if not data.rows or not data.features:
        raise CouldNotLook(f"{data.name} has no rows or no features")
    if data.label:
        data.column(data.label)
    ids = undeclared_ids(data.table(list(data.features)))
    without = tuple(c for c in data.features if c not in ids)
    aside = f"; left out as undeclared ids: {', '.join(visible(c, 40) for c in ids[:4])}" if ids else ""
    facts = _facts(data, without)
    yield from _measures(data, facts, aside)
    found = {f.key: f for f in _findings(data, facts, without, flood, conflict, aside)}
    if ids:
        found = {f.key: f for f in _findings(data, _facts(data, data.features), data.features, flood, conflict)} | found
    yield from found.values()
    if data.id:
        yield from _ids(data)


class _Facts(msgspec.Struct, frozen=True):
    """Of the groups of equal rows: how many, the largest and its first row, rows with a twin of another label, and the
    sums that the intervals need, in the order of the query."""

    groups: int
    most: int
    first: int
    twins: int
    squares: float
    copies: float
    copies2: float
    cross: float
    conflicts: float
    conflicts2: float


def _facts(data: Dataset, columns: tuple[str, ...]) -> _Facts:
    keys = ", ".join(ident(c) for c in columns)
    label = f"count(DISTINCT {ident(data.label)})" if data.label else "1"
    few = f"labels > 1 AND n < {FLOOD}"
    first = f"min({data.row_number}) AS first"
    grouped = f"SELECT count(*) AS n, {label} AS labels, {first} FROM data GROUP BY {keys}"  # noqa: S608
    query = f"""SELECT count(*), max(n), arg_max(first, n), coalesce(sum(n) FILTER ({few}), 0)::BIGINT,
        sum(n * n)::DOUBLE, sum(n - 1)::DOUBLE, sum((n - 1) * (n - 1))::DOUBLE, sum((n - 1) * n)::DOUBLE,
        coalesce(sum(n) FILTER (labels > 1), 0)::DOUBLE, coalesce(sum(n * n) FILTER (labels > 1), 0)::DOUBLE
        FROM ({grouped})"""  # noqa: S608 - quoted by ident()
    return _Facts(*(column[0].as_py() for column in data.sql(query).columns))


def _measures(data: Dataset, facts: _Facts, aside: str) -> Iterator[Measure]:
    for name, hits, squared, crossed in (
        ("data.duplicate_rate", facts.copies, facts.copies2, facts.cross),
        ("data.conflicting_rate", facts.conflicts, facts.conflicts2, facts.conflicts2),
    ):
        rate = hits / data.rows
        low, high = _interval(rate, data.rows, facts.groups, squared - 2 * rate * crossed + rate * rate * facts.squares)
        yield Measure(
            name=name, value=rate, low=low, high=high, n=data.rows, unit="share", direction=Direction.LOWER,
            method=f"Wilson, equal rows as one draw{aside}",
        )  # fmt: skip


def _findings(
    data: Dataset, facts: _Facts, columns: tuple[str, ...], flood: float, conflict: float, aside: str = ""
) -> Iterator[Finding]:
    most = facts.most
    if most >= FLOOD and most / data.rows > flood and (facts.copies - most + 1) / data.rows < OTHERS:
        yield _flood(data, most, facts.first, aside)
    if facts.twins / data.rows > conflict:
        yield from _conflict(data, facts.twins, columns, aside)


def _interval(rate: float, rows: int, groups: int, squares: float) -> Interval:
    """Wilson's interval at the number of independent rows that have the variance of a ratio over groups.

    `squares` is the sum over groups of (hits - rate * rows)² (Cochran 1977, ch. 6). Never more than `rows`.
    """
    if rate <= 0:
        return wilson_rate(0.0, rows)
    independent = rate * (1 - rate) * rows**2 / squares if squares > 1e-9 else groups
    return wilson_rate(min(rate, 1.0), max(1, min(rows, round(independent))))


def _flood(data: Dataset, most: int, first: int, aside: str) -> Finding:
    others = "and there is no other" if most == data.rows else "and copies of other rows are rare"
    return Finding(
        message=f"one row occurs {most} times {others}: it was copied, or repeats by nature{aside}",
        location=Location(uri=data.subject.uri, row=first),
        key="flood",
        confidence=Confidence.LOW,
        evidence={"copies": most, "rows": data.rows},
        fix="find out where the copies came from; where they do not occur by nature, keep one",
    )


def _conflict(data: Dataset, twins: int, columns: tuple[str, ...], aside: str) -> Iterator[Finding]:
    from assay.detectors.overlap import chance_twins

    chance = chance_twins(data.table(list(columns)))
    share = twins / data.rows
    if chance < SPECIFIC * share:
        yield Finding(
            message=f"{twins} rows ({share:.1%}) have a twin with another label, too specific for chance{aside}",
            location=Location(uri=data.subject.uri, column=data.label or ""),
            key="conflict",
            severity=Severity.LOW,
            evidence={"rows": twins, "chance": round(chance, 5)},
            fix="decide on one label for each, or add the column that tells them apart",
        )


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
