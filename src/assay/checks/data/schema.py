"""data.schema: whether the table is what the feature contract says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from assay.adapters.tables import Dataset, ident
from assay.config.constraints import Constraint
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Finding, Location, Severity
from assay.core.subject import Feature, Kind, Stage
from assay.core.text import visible


@check(
    "data.schema",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("eu-ai-act:Art.10", "nist-ai-rmf:MEASURE 2.5"),
    version=2,
    libraries=("duckdb", "pyarrow", "numpy"),
)
def schema(data: Dataset) -> Iterator[Finding]:
    """Whether the table is what the feature contract says: columns, types, ranges, categories, nulls, relations.

    Why: a column that changed its unit, its type or its meaning is the commonest way that training goes wrong in
    silence, and the first thing an intruder's rows get wrong.

    How it decides: every column named in `features:` must be there, of its type, inside `min` and `max` and on `step`,
    among `order` or `categories`, and without nulls if `nullable: false`. Every row must satisfy `constraints:`; a row
    with a missing value in a relation is not counted against it. Without any contract it still reports numbers with a
    few words among them, infinite numbers and columns that never vary.

    Fix: mend the rows that are named, or the contract if the world changed; a changed contract is another Release.

    References: EU AI Act Art. 10 (data governance).
    """
    if not data.rows:
        raise CouldNotLook(f"{data.name} has no rows")
    if data.label:
        data.target()
    names = {c.name for c in data.columns}
    for column in data.columns:
        yield from _column(data, column)
    for name, feature in data.contract.features.items():
        if name not in names:
            yield _finding(data, name, "missing", "is in the contract and not in the data", Severity.HIGH, {})
        else:
            yield from _contract(data, name, feature)
    for text in data.contract.constraints:
        yield from _relation(data, Constraint(text), names)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _finding(
    data: Dataset,
    column: str,
    key: str,
    message: str,
    severity: Severity,
    evidence: dict[str, Any],
    row: int | None = None,
) -> Finding:
    return Finding(
        message=f"{column} {message}" if column else message,
        location=Location(uri=data.subject.uri, column=column, row=row),
        key=key,
        severity=severity,
        evidence=evidence,
        fix="mend the rows, or the contract in assay.yaml if the world changed",
    )


def _column(data: Dataset, column: Any) -> Iterator[Finding]:
    name = ident(column.name)
    if column.mixed and column.mixed[0] > 9 * column.mixed[1]:
        numbers, words = column.mixed
        message = f"holds {words} word{'s' if words != 1 else ''} among {numbers} numbers"
        yield _finding(data, column.name, "mixed", message, Severity.MEDIUM, {"numbers": numbers, "words": words})
    if column.kind == "number":
        bad, first = _count(data, f"isinf({name})")
        if bad:
            message = f"holds {bad} infinite number{'s' if bad != 1 else ''}"
            yield _finding(data, column.name, "infinite", message, Severity.HIGH, {"rows": bad}, first)
    if column.name in data.features and data.rows > 1:
        distinct = data.sql(f"SELECT count(DISTINCT {name}) FROM data").column(0)[0].as_py()  # noqa: S608
        if distinct == 0:
            yield _finding(data, column.name, "empty", "is empty in every row", Severity.MEDIUM, {})
        elif distinct == 1 and not column.nullable:
            yield _finding(data, column.name, "constant", "has the same value in every row", Severity.LOW, {})


def _contract(data: Dataset, name: str, feature: Feature) -> Iterator[Finding]:
    column = ident(name)
    kind = data.column(name).kind
    wants_number = feature.type == "number" or any(v is not None for v in (feature.min, feature.max, feature.step))
    if wants_number and kind not in ("number", "integer", "boolean"):
        message = f"should be a number and reads as {kind}"
        yield _finding(data, name, "type", message, Severity.HIGH, {"kind": kind})
        return
    number = f"CAST({column} AS DOUBLE)" if kind == "boolean" else column
    tests: list[tuple[str, str, str]] = []
    if not feature.nullable:
        tests.append(("null", f"{column} IS NULL", "is missing"))
    if feature.min is not None:
        tests.append(("min", f"{number} < {feature.min!r}", f"is below {feature.min:g}"))
    if feature.max is not None:
        tests.append(("max", f"{number} > {feature.max!r}", f"is above {feature.max:g}"))
    if feature.integer:
        tests.append(("integer", f"{number} != round({number})", "is no whole number"))
    if feature.step is not None:
        origin = feature.min or 0.0
        off = f"abs(({number} - {origin!r}) / {feature.step!r} - round(({number} - {origin!r}) / {feature.step!r}))"
        tests.append(("step", f"{off} > 1e-6", f"is not on the step {feature.step:g}"))
    known = feature.order or feature.categories
    if known:
        listed = ", ".join(_literal(v) for v in known)
        tests.append(("category", f"CAST({column} AS VARCHAR) NOT IN ({listed})", "is none of the listed values"))
    for key, condition, message in tests:
        bad, first = _count(data, condition)
        if bad:
            yield _finding(data, name, key, f"{message} in {_rows(bad)}", Severity.HIGH, {"rows": bad}, first)


def _literal(value: Any) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"


def _count(data: Dataset, condition: str) -> tuple[int, int | None]:
    found = data.sql(f"SELECT count(*), min(rowid) FROM data WHERE {condition}")  # noqa: S608 - built from ident()
    return found.column(0)[0].as_py(), found.column(1)[0].as_py()


def _relation(data: Dataset, constraint: Constraint, names: set[str]) -> Iterator[Finding]:
    import numpy as np

    from assay.attacks.space import plain

    absent = [c for c in constraint.columns if c not in names]
    if absent:
        message = f"constraint {visible(constraint.text)!r} reads columns that are not there: {', '.join(absent)}"
        yield _finding(data, "", f"constraint:{constraint.text}", message, Severity.HIGH, {})
        return
    table = data.table(constraint.columns)
    columns = {n: plain(table.column(n)) for n in constraint.columns}
    missing = np.zeros(data.rows, dtype=bool)
    for n in constraint.columns:
        missing |= np.asarray(table.column(n).is_null())
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            holds = np.asarray(constraint(columns), dtype=bool) | missing
    except TypeError:
        message = f"constraint {visible(constraint.text)!r} compares words with numbers"
        yield _finding(data, "", f"constraint:{constraint.text}", message, Severity.HIGH, {})
        return
    bad = int((~holds).sum())
    if bad:
        first = int(np.argmin(holds))
        breaks = "breaks" if bad == 1 else "break"
        message = f"{_rows(bad)} {breaks} the constraint {visible(constraint.text)!r}"
        yield _finding(data, "", f"constraint:{constraint.text}", message, Severity.HIGH, {"rows": bad}, first)
