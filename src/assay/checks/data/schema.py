"""data.schema: whether the table is what the feature contract says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from assay.adapters.tables import Dataset, ident
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Finding, Location, Severity
from assay.core.subject import Feature, Kind, Stage
from assay.core.text import nearest, visible

if TYPE_CHECKING:
    from assay.attacks.relations import Relation

SHOWN = 5


@check(
    "data.schema",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    tags=("eu-ai-act:Art.10", "nist-ai-rmf:MEASURE 2.5"),
    version=6,
    libraries=("duckdb", "pyarrow", "numpy"),
)
def schema(data: Dataset, *, unique: tuple[str, ...] | None = None) -> Iterator[Finding]:
    """Whether the table is what the feature contract says: columns, types, ranges, categories, nulls, relations.

    Why: a column that changed its unit, its type or its meaning is the commonest way that training goes wrong in
    silence, and the first thing an intruder's rows get wrong.

    How it decides: every column named in `features:` must be there, of its type, inside `min` and `max` and on `step`,
    among `order` or `categories`, and without nulls if `nullable: false`. Of the columns of a `one_hot:` group one is 1
    and all others 0. Every row must satisfy `constraints:`; a row with a missing value in a relation is not counted
    against it. The columns of `unique` must be there and hold no
    value twice; missing values do not count as the same. Each finding says how many rows break the rule and
    names the first of them, counted from 0. Without any contract it still reports numbers with a few words among
    them, infinite numbers and columns that never vary.

    Fix: mend the rows that are named, or the contract if the world changed; a changed contract is another Release.

    References: EU AI Act Art. 10 (data governance).
    """
    from assay.attacks.relations import relations

    if not data.rows:
        raise CouldNotLook(f"{data.name} has no rows")
    if data.label:
        data.target()
    names = {c.name for c in data.columns}
    yield from _columns(data)
    yield from _contract(data, names)
    for name in unique or ():
        yield from _unique(data, name, names)
    for relation in relations(data.contract):
        yield from _relation(data, relation, names)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _named(first: list[int], count: int) -> str:
    """The first rows that break a rule, where there are several: the location names only one."""
    return f" (rows {', '.join(map(str, first))}{', …' if count > len(first) else ''})" if count > 1 else ""


def _finding(
    data: Dataset,
    column: str,
    key: str,
    message: str,
    severity: Severity,
    evidence: dict[str, Any],
    rows: list[int] | None = None,
) -> Finding:
    first = rows or []
    if "rows" in evidence:
        message += _named(first, evidence["rows"])
        evidence = {**evidence, "first": list(first)}
    return Finding(
        message=f"{column} {message}" if column else message,
        location=Location(uri=data.subject.uri, column=column, row=first[0] if first else None),
        key=key,
        severity=severity,
        evidence=evidence,
        fix="mend the rows, or the contract in assay.yaml if the world changed",
    )


def _absent(data: Dataset, column: str, message: str, names: set[str]) -> Finding:
    close = nearest(column, tuple(sorted(names)))
    finding = _finding(data, column, "missing", message, Severity.HIGH, {})
    return replace(finding, fix=f"did you mean {close!r}? Mend the contract, or the data") if close else finding


def _columns(data: Dataset) -> Iterator[Finding]:
    """What needs no contract: words among numbers, infinite numbers, columns that never vary."""
    numbers = [c.name for c in data.columns if c.kind == "number"]
    infinite = dict(zip(numbers, data.counted([f"count(*) FILTER (isinf({ident(n)}))" for n in numbers]), strict=True))
    features = data.features if data.rows > 1 else ()
    distinct = dict(zip(features, data.counted([f"count(DISTINCT {ident(n)})" for n in features]), strict=True))
    for column in data.columns:
        name = column.name
        if column.mixed and column.mixed[0] > 9 * column.mixed[1]:
            plain, words = column.mixed
            message = f"holds {words} word{'s' if words != 1 else ''} among {plain} numbers"
            yield _finding(data, name, "mixed", message, Severity.MEDIUM, {"numbers": plain, "words": words})
        bad = infinite.get(name, 0)
        if bad:
            message = f"holds {bad} infinite number{'s' if bad != 1 else ''}"
            first = _first(data, f"isinf({ident(name)})")
            yield _finding(data, name, "infinite", message, Severity.HIGH, {"rows": bad}, first)
        if distinct.get(name) == 0:
            yield _finding(data, name, "empty", "is empty in every row", Severity.MEDIUM, {})
        elif distinct.get(name) == 1 and not column.nullable:
            yield _finding(data, name, "constant", "has the same value in every row", Severity.LOW, {})


def _contract(data: Dataset, names: set[str]) -> Iterator[Finding]:
    """What the contract's features say; all its tests are counted together, a few in each query."""
    tests = {n: _tests(data, n, f) for n, f in data.contract.columns.items() if n in names}
    conditions = [condition for own in tests.values() for _, condition, _ in own or ()]
    counts = iter(data.counted([f"count(*) FILTER ({condition})" for condition in conditions]))
    for name in data.contract.columns:
        if name not in names:
            yield _absent(data, name, "is in the contract and not in the data", names)
        elif tests[name] is None:
            kind = data.column(name).kind
            message = f"should be a number and reads as {kind}"
            yield _finding(data, name, "type", message, Severity.HIGH, {"kind": kind})
        for key, condition, message in tests.get(name) or ():
            bad = next(counts)
            if bad:
                first = _first(data, condition)
                yield _finding(data, name, key, f"{message} in {_rows(bad)}", Severity.HIGH, {"rows": bad}, first)


def _tests(data: Dataset, name: str, feature: Feature) -> list[tuple[str, str, str]] | None:
    """(key, condition in SQL that breaks it, words) of each rule; None where the column should hold numbers and does
    not."""
    column = ident(name)
    kind = data.column(name).kind
    wants_number = feature.type == "number" or any(v is not None for v in (feature.min, feature.max, feature.step))
    if wants_number and kind not in ("number", "integer", "boolean"):
        return None
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
        # Beside what a double can hold of such a number: half of what lies between two, and what dividing rounds.
        near = f"least(0.25, 1e-6 + 2.3e-16 * abs({number}) / {feature.step!r})"
        tests.append(("step", f"{off} > {near}", f"is not on the step {feature.step:g}"))
    known = feature.order or feature.categories
    if known:
        listed = ", ".join(_literal(v) for v in known)
        tests.append(("category", f"CAST({column} AS VARCHAR) NOT IN ({listed})", "is none of the listed values"))
    return tests


def _literal(value: Any) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"


def _count(data: Dataset, condition: str) -> tuple[int, list[int]]:
    """How many rows meet a condition, and the first of them."""
    bad = data.sql(f"SELECT count(*) FROM data WHERE {condition}").column(0)[0].as_py()  # noqa: S608 - built from ident()
    if not bad:
        return 0, []
    return bad, _first(data, condition)


def _first(data: Dataset, condition: str) -> list[int]:
    row = data.row_number
    found = data.sql(f"SELECT {row} FROM data WHERE {condition} ORDER BY {row} LIMIT {SHOWN}")  # noqa: S608
    return [int(row) for row in found.column(0).to_pylist()]


def _unique(data: Dataset, name: str, names: set[str]) -> Iterator[Finding]:
    if name not in names:
        yield _absent(data, name, "should be unique and is not in the data", names)
        return
    c, row = ident(name), data.row_number
    again = f"{row} NOT IN (SELECT min({row}) FROM data WHERE {c} IS NOT NULL GROUP BY {c}) AND {c} IS NOT NULL"  # noqa: S608
    bad, first = _count(data, again)
    if bad:
        message = f"should be unique and repeats a value in {_rows(bad)}"
        yield _finding(data, name, "unique", message, Severity.HIGH, {"rows": bad}, first)


def _relation(data: Dataset, constraint: Relation, names: set[str]) -> Iterator[Finding]:
    import numpy as np

    from assay.attacks.relations import plain

    absent = [c for c in constraint.columns if c not in names]
    if absent and set(absent) <= data.contract.columns.keys():
        return  # told of each already
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
        first = [int(row) for row in np.flatnonzero(~holds)[:SHOWN]]
        breaks = "breaks" if bad == 1 else "break"
        message = f"{_rows(bad)} {breaks} the constraint {visible(constraint.text)!r}"
        yield _finding(data, "", f"constraint:{constraint.text}", message, Severity.HIGH, {"rows": bad}, first)
