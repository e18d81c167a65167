"""data.odd-values: values that are odd in their own column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.finding import Confidence, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.suspects import MAX_SUSPECTS, Suspects
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.odd_values import Odd


@check(
    "data.odd-values",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.LOW,
    needs="ml",
    version=2,
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02"),
    libraries=("numpy", "duckdb"),
    measures=("data.odd_values.far_rows",),
)
def odd_values(data: Dataset) -> Iterator[Finding | Measure | Suspects]:
    """Values far outside the rest of their column, and levels that hardly occur.

    Why: a price of ten million among hundreds, a level that only three rows hold: a wrong unit, a broken export, or a
    value planted as a trigger or to drag a scale. Rows whose values are ordinary one by one are the matter of
    data.injected-rows.

    How it decides: each column by itself. A number is far where a gap of more than a hundred times the whole range of
    the other values lies before it and at most 1% of the rows lie beyond that gap. Tails as heavy as a power of the
    distance leave such a gap by chance, however many rows there are: about one column in a hundred where the power is 1
    (Pareto, Cauchy), one in a thousand where it is 1.5; lighter tails seldom do, and the more seldom the more rows
    there are. A range is known where at least 10 of the other rows differ from their commonest value: beside a constant
    no number is far, for a rare flag, or a count that is seldom more than none, is no wrong unit. Infinite numbers are
    far. Far numbers are a low finding, a column each, and flagged. Every row has a score, that of its oddest value: how
    many widths of the middle 96% a number lies outside it, on a scale that shrinks long tails, or how rare a level is.
    The ranking is for a person to read from the top; it flags nothing by itself, because rare levels and long tails are
    usual.

    It cannot say that a far number is wrong, and a wrong value inside the range, or less than a hundred ranges beyond,
    is in the ranking alone: that is what ranges and categories in the contract (data.schema) are for.

    Fix: correct the unit or the export, or write the range that holds into the contract.

    References: OWASP ML02; Johnson 1949 (the scale).
    """
    from assay.detectors.odd_values import LEAST_ROWS, oddness

    encoded = data.encoded()
    if data.rows < LEAST_ROWS:
        raise CouldNotLook(f"{data.rows} rows are too few to say what is usual in a column: {LEAST_ROWS}")
    found = oddness(encoded)
    far = int(found.far.sum())
    yield Measure(name="data.odd_values.far_rows", value=far, n=data.rows, unit="rows", method="beyond a gap, exact")
    for place, held in found.places.items():
        rows = held.tolist()
        name = visible(encoded.names[place], 60)
        yield Finding(
            message=f"{len(rows)} value{'s' * (len(rows) != 1)} of {name} lie far outside all others, first in row "
            f"{rows[0]} (counting from 0)",
            location=Location(uri=data.subject.uri, column=encoded.names[place]),
            key=f"far:{name}",
            confidence=Confidence.MEDIUM,
            severity=Severity.LOW,
            evidence={"column": name, "rows": len(rows), "first": rows[0]},
            fix=f"correct {name} there, or write its range into the contract",
        )
    yield _suspects(found, encoded.names)


def _suspects(found: Odd, names: tuple[str, ...]) -> Suspects:
    import numpy as np

    order = np.argsort(-found.score, kind="stable")[:MAX_SUSPECTS]
    far = found.far[order].tolist()
    columns = found.column[order].tolist()
    return Suspects(
        check="data.odd-values",
        rows=tuple(order.tolist()),
        scores=tuple(found.score[order].tolist()),
        flagged=tuple(far),
        reasons=tuple(
            f"{visible(names[c], 60)} lies far outside all others" if f else ""
            for f, c in zip(far, columns, strict=True)
        ),
    )
