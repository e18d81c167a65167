"""data.split-column: parts of one table that share rows or entities, and a training part from after the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.duck import literal
from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.detectors.overlap import Overlap

MOST_PARTS = 10


@check(
    "data.split-column",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.5",),
    wants=("split",),
    libraries=("duckdb", "numpy", "pyarrow"),
    measures=("data.split_column.shared", "data.split_column.entities"),
)
def split_column(
    data: Dataset, *, tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.002
) -> Iterator[Finding | Measure]:
    """Parts of one table that share rows or entities, and a training part from after the others.

    Why: a column such as `split` deals rows to training and test inside one table. Who is in both parts is learned by
    heart and then asked for; what is learned from after the test's time could not have been known.

    How it decides: the part with most rows is taken for the training part. Each other part of at least 30 rows (the ten
    largest) is asked what `data.split-leakage` asks of a holdout: how many of its distinct rows are in the training
    part too, beyond what repeats by nature explain. A declared `entity:` (or `id:`) that is in the training part and in
    another one is a high finding. With a declared `time:` it is an info finding where more than half of the training
    rows are later than half of another part's: fine where rows were dealt at random on purpose, wrong where the model
    is to judge the future. More parts than ten, or none but one, leave it open.

    Fix: deal by entity, and by time where the model is to judge what comes; then measure again.

    References: Kapoor and Narayanan 2023; Bergmeir and Benítez 2012 (order in time).
    """
    from assay.detectors.overlap import judge

    if not data.split:
        raise CouldNotLook(f"{data.subject.uri}: no column of the split is declared")
    column = ident(data.split)
    query = f"SELECT {column}::VARCHAR AS part, count(*) AS n FROM data WHERE part IS NOT NULL GROUP BY ALL"  # noqa: S608
    parts = sorted(((r["part"], r["n"]) for r in data.sql(query).to_pylist()), key=lambda p: (-p[1], p[0]))
    if not 2 <= len(parts) <= 10 * MOST_PARTS:
        raise CouldNotLook(f"{data.subject.uri}: {visible(data.split, 60)} deals rows to {len(parts)} parts")
    train, others = parts[0][0], [p for p, n in parts[1 : MOST_PARTS + 1] if n >= 30]
    shared = {part: _shared(data, train, part) for part in others}
    if shared:
        yield _worst(shared)
    for part, found in shared.items():
        judged = judge(found, tolerance)
        if judged is not None:
            yield _finding(data, train, part, found, judged)
    for role, name in (("entity", data.entity), ("id", data.id)):
        if name:
            yield from _entities(data, train, role, name)
    if data.time and data.column(data.time).kind in ("time", "number", "integer"):
        yield from _order(data, train, others)
    left = len(parts) - 1 - len(others)
    if left:
        raise CouldNotLook(f"{left} parts were not looked at: fewer than 30 rows, or more than {MOST_PARTS} parts")


def _where(data: Dataset, part: str, *, same: bool = True) -> str:
    sign = "=" if same else "<>"
    return f"{ident(data.split)}::VARCHAR {sign} {literal(part)}"


def _shared(data: Dataset, train: str, part: str) -> Overlap:
    from assay.detectors.overlap import overlap

    label = data.label if data.label in {c.name for c in data.columns} else ""
    columns = ", ".join(map(ident, [*data.features, *([label] if label else [])]))
    sides = [data.sql(f"SELECT {columns} FROM data WHERE {_where(data, p)}") for p in (train, part)]  # noqa: S608
    return overlap(sides[0], sides[1], label)


def _worst(shared: dict[str, Overlap]) -> Measure:
    part, found = max(shared.items(), key=lambda item: item[1].shared / item[1].rows)
    low, high = wilson(found.shared, found.rows)
    return Measure(
        name="data.split_column.shared", value=found.shared / found.rows, low=low, high=high, n=found.rows,
        unit="share", direction=Direction.LOWER,
        method=f"distinct rows of the part {visible(part, 40)!r}, the worst, also in the training part; Wilson",
    )  # fmt: skip


def _finding(data: Dataset, train: str, part: str, found: Overlap, judged: Severity) -> Finding:
    return Finding(
        message=(
            f"{found.shared} of {found.rows} distinct rows of the part {visible(part, 40)!r} are also in "
            f"{visible(train, 40)!r}, where repeats explain at most {found.most:.1%}"
        ),
        location=Location(uri=data.subject.uri, column=data.split),
        key=f"rows:{part}",
        severity=judged,
        confidence=Confidence.HIGH if judged is Severity.HIGH and not found.bare else Confidence.MEDIUM,
        evidence={"shared": found.shared, "rows": found.rows, "expected_share": found.most},
        fix="take the shared rows out of one part, or deal again by entity or time",
    )


def _entities(data: Dataset, train: str, role: str, name: str) -> Iterator[Finding | Measure]:
    column = ident(name)
    mine = f"SELECT DISTINCT {column} AS e FROM data WHERE {_where(data, train)} AND {column} IS NOT NULL"  # noqa: S608
    others = f"SELECT DISTINCT {column} AS e FROM data WHERE {_where(data, train, same=False)} AND {column} IS NOT NULL"  # noqa: S608
    query = f"SELECT count(*) AS n, count(t.e) AS both FROM ({others}) o LEFT JOIN ({mine}) t ON o.e = t.e"  # noqa: S608
    (counted,) = data.sql(query).to_pylist()
    values, shared = int(counted["n"]), int(counted["both"])
    if role == "entity":
        yield Measure(
            name="data.split_column.entities", value=float(shared), unit="entities", n=values,
            direction=Direction.LOWER, method="in the training part and in another, exact",
        )  # fmt: skip
    if shared:
        yield Finding(
            message=f"{shared} of {values} values of the {role} {visible(name, 60)} are in {visible(train, 40)!r} too",
            location=Location(uri=data.subject.uri, column=name),
            key=role,
            evidence={"shared": shared, "values": values},
            fix=f"deal rows by {visible(name, 60)}, so that each is in one part only",
        )


def _order(data: Dataset, train: str, others: list[str]) -> Iterator[Finding]:
    column = ident(data.time)
    for part in others:
        query = (
            f"SELECT avg(({column} > m.m)::INT) AS later FROM data, "  # noqa: S608 - quoted by ident() and literal()
            f"(SELECT quantile_disc({column}, .5) AS m FROM data WHERE {_where(data, part)}) m "
            f"WHERE {_where(data, train)}"
        )
        later = data.sql(query).to_pylist()[0]["later"]
        if later is not None and later > 0.5:
            yield Finding(
                message=(
                    f"{later:.0%} of the rows of {visible(train, 40)!r} are later than half of the part "
                    f"{visible(part, 40)!r}"
                ),
                location=Location(uri=data.subject.uri, column=data.time),
                key=f"order:{part}",
                severity=Severity.INFO,
                evidence={"later": later},
                fix="where the model is to judge the future, deal by time: the training part first",
            )
