"""data.near-duplicates: rows that are nearly the same, in one table and between training and holdout."""

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
from assay.stats.intervals import wilson

if TYPE_CHECKING:
    from assay.detectors.near_duplicates import Near

ID = "data.near-duplicates"
FLOOD, OTHERS = 20, 0.05  # as in data.duplicates
LEAST = 10
TIMES = 1.25  # set with german_credit, spambase, fraud_oracle and the first half of uci_credit at hand
LEAST_COLUMNS = 3


@check(
    ID,
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    tags=("atlas:AML.T0020", "owasp-ml-2023:ML02", "nist-ai-rmf:MEASURE 2.5"),
    may_read=("holdout_of",),
    libraries=("duckdb", "numpy", "pyarrow", "scipy"),
    measures=("data.near_duplicates", "data.near_duplicates.leakage"),
)
def near_duplicates(
    data: Dataset,
    *,
    holdout_of: Dataset | None = None,
    flood: Annotated[float, Meta(ge=0, le=1)] = 0.005,
    tolerance: Annotated[float, Meta(ge=0, le=1)] = 0.005,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Suspects]:
    """Rows that are nearly the same, in one table and between training and holdout.

    Why: a copy with one column changed, or with its numbers jittered, passes every search for duplicates and still
    bends the model, or lets it be judged on what it has learned by heart. Augmentation before the split does the same.

    How it decides: two rows are nearly the same where at most one column in ten differs (one at least) and what they
    share would hardly meet by chance: the five rarest values that they have in common, taken as independent, are
    expected in less than 1 in 20 such pairs. Numbers agree within half a percent, or a hundredth of the column's middle
    half; texts by the shingles that they share. Rows that are exactly the same are left to `data.duplicates` and
    `data.split-leakage`, columns that look like an undeclared id are left out. Pairs are found by sorting on random
    columns, so that time is linear in the rows, and a few are missed.

    Near-copies also come by nature (two mails of one sender, two instalments of one customer), and nothing in a pair
    says which it is. So near rows are only measured, unless one of three things stands out. It is a medium finding of
    low confidence where one group of at least 20 rows that near pairs join makes up more than `flood` of the table and
    other near rows are rare; and where there are surely 1.25 times as many near rows as the rows a little further
    apart lead to expect (ten times as many, where there are hardly any of those), at least 10 more, and more than
    `tolerance` of the table: by nature the counts fall off smoothly. It is a high finding of medium confidence where
    the share of holdout rows that are near a training row surely lies more than `tolerance` above the share that is
    near another row of its own table, whichever of the two tables has more. All comparisons are of 95% intervals.

    It does not see few near-copies among many natural ones, nor copies in tables of a few coarse columns, where any two
    rows are alike; tables of fewer than 3 columns that differ are open, unless they are text.

    Fix: find out where the near-copies came from; keep one of each, and make augmented rows after the split.

    References: Broder 1997 (resemblance of documents); Hernández and Stolfo 1995 (sorted neighbourhoods); Lee et al.
    2022 (near-duplicates in training data).
    """
    from assay.detectors.near_duplicates import near_duplicates as nearly
    from assay.detectors.rows import undeclared_ids

    if not data.rows or not data.features:
        raise CouldNotLook(f"{data.name} has no rows or no features")
    ids = set(undeclared_ids(data.table(list(data.features))))
    texts = {c.name for c in data.columns if c.kind == "text"}
    columns = [c for c in data.features if c not in ids or c in texts]
    found = nearly(data.table(columns), seed=seed, progress=progress)
    if found.columns < LEAST_COLUMNS and not texts & set(columns):
        raise CouldNotLook(f"{data.name} has {found.columns} columns that differ: too few to tell rows apart by")
    yield _measure("data.near_duplicates", len(found.near), found.rows, seed)
    findings = list(_findings(data, found, flood, tolerance))
    yield from findings
    if holdout_of is not None:
        common = [c for c in columns if c in holdout_of.features]
        if not common or not holdout_of.rows:
            raise CouldNotLook(f"{data.name} and {holdout_of.name} share no feature, or one has no rows")
        across = nearly(holdout_of.table(common), data.table(common), seed=seed, progress=progress)
        if across.others:
            yield _measure("data.near_duplicates.leakage", len(across.near), across.others, seed)
        leaked = _leaked(data, holdout_of, across, tolerance)
        if leaked is not None:
            yield leaked
            found, findings = across, [leaked]
    yield _suspects(found, bool(findings))


def _measure(name: str, hits: int, rows: int, seed: int) -> Measure:
    low, high = wilson(hits, rows)
    return Measure(
        name=name, value=hits / rows if rows else None, low=low, high=high, n=rows, seed=seed, unit="share",
        direction=Direction.LOWER, method="distinct rows with a near twin, equal rows apart, Wilson",
    )  # fmt: skip


def _findings(data: Dataset, found: Near, flood: float, tolerance: float) -> Iterator[Finding]:
    from assay.detectors.near_duplicates import excess

    near, uri = len(found.near), data.subject.uri
    if found.largest >= FLOOD and found.largest > flood * found.rows and near - found.largest < OTHERS * found.rows:
        yield Finding(
            message=f"{found.largest} rows are variants of one another and other near-copies are rare: "
            "they were made from one row, or are alike by nature",
            location=Location(uri=uri, row=found.heart),
            key="flood",
            severity=Severity.MEDIUM,
            confidence=Confidence.LOW,
            evidence={"group": found.largest, "near": near, "rows": found.rows},
            fix="find out where these rows came from; where they are not one by one what happened, keep one",
        )
        return
    more, times = excess(found.levels)
    if more >= LEAST and more > tolerance * found.rows and times > TIMES:
        yield Finding(
            message=f"{near} of {found.rows} distinct rows have a near twin, some {more:.0f} more than the rows "
            "a little further apart lead to expect: copies that were changed, or alike by nature",
            location=Location(uri=uri, row=int(found.near.min())),
            key="excess",
            severity=Severity.MEDIUM,
            confidence=Confidence.LOW,
            evidence={"near": near, "rows": found.rows, "excess": round(more), "levels": list(found.levels)},
            fix="look at a few pairs (`--suspects`); keep one of each where the other was made from it",
        )


def _leaked(data: Dataset, other: Dataset, found: Near, tolerance: float) -> Finding | None:
    near = len(found.near)
    low = wilson(near, found.others)[0] if found.others else 0.0
    most = wilson(*found.natural)[1] if found.natural[1] else 0.0
    if near < LEAST or low <= most + tolerance:
        return None
    return Finding(
        message=f"{near} of {found.others} distinct holdout rows ({near / found.others:.1%}) nearly are rows of "
        f"{visible(other.name, 60)}, where near rows inside one table explain at most {most:.1%}",
        location=Location(uri=data.subject.uri, row=int(found.near.min())),
        key="leakage",
        severity=Severity.HIGH,
        confidence=Confidence.MEDIUM,
        evidence={"near": near, "rows": found.others, "natural": round(most, 5)},
        fix="split before rows are augmented or corrected, by entity or time; then measure again",
    )


def _suspects(found: Near, flagged: bool) -> Suspects:
    places = range(min(len(found.near), MAX_SUSPECTS))
    return Suspects(
        check=ID,
        rows=tuple(int(found.near[i]) for i in places),
        scores=tuple(1 - float(found.differ[i]) / max(1, found.columns) for i in places),
        flagged=(flagged,) * len(places),
        reasons=tuple(f"row {found.twin[i]} is nearly the same ({found.differ[i]} differ)" for i in places),
    )
