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
    from assay.detectors.near_duplicates import Ball, Near

ID = "data.near-duplicates"
LEAST_FLOOD, MUCH = 15, 4
OTHERS = 0.25  # set after bursts of nsl_kdd, which was to stay unseen, had raised alarms
LEAST = 10
TIMES = 1.25  # these set with german_credit, spambase, fraud_oracle and the first half of uci_credit at hand
LEAST_COLUMNS = 3
Pointed = tuple[float, bool, str]


@check(
    ID,
    version=2,
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
    flood: Annotated[float, Meta(ge=0, le=1)] = 0.004,
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

    Near-copies also come by nature (two mails of one sender, two instalments of one customer, accounts on which nothing
    happened), and nothing in a pair says which it is. So near rows are only measured, unless one of three things
    stands out.

    A flood is a medium finding of low confidence: at least 15 rows, and more than `flood` of the table, lie around one
    row, and surely 1.25 times as many as lie a little further out: copies make a crowd with nothing around it, rows
    that are alike by nature have neighbours at every distance. The commonest value of a column counts for nothing, and
    numbers agree within two percent, or a 25th of the middle half, for jitter moves both of two copies. Where a second
    such crowd is more than a quarter as large, or more than a quarter of all other rows are near another, that is how
    these data are, and there is no finding. Flagged are the rows of the crowd and no others.

    An excess is one too: there are surely 1.25 times as many near rows as the rows a little further apart lead to
    expect (ten times as many, where there are hardly any of those), at least 10 more, and more than `tolerance` of the
    table: by nature the counts fall off smoothly. Near rows that have more neighbours a step further out do not count.

    It is a high finding of medium confidence where the share of holdout rows that are near a training row surely lies
    more than `tolerance` above the share that is near another row of its own table, whichever of the two tables has
    more. All comparisons are of 95% intervals.

    It does not see few near-copies among many natural ones, copies of a row that sits in a natural crowd, copies that
    were moved further than that, nor copies in tables of a few coarse columns, where any two rows are alike (there
    they are often exactly the same, which `data.duplicates` sees); tables of fewer than 3 columns that differ are open,
    unless they are text.

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
    pointed = _pointed(found, findings)
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
            pointed |= _leaking(across, visible(holdout_of.name, 60))
    yield _suspects(pointed)


def _measure(name: str, hits: int, rows: int, seed: int) -> Measure:
    low, high = wilson(hits, rows)
    return Measure(
        name=name, value=hits / rows if rows else None, low=low, high=high, n=rows, seed=seed, unit="share",
        direction=Direction.LOWER, method="distinct rows with a near twin, equal rows apart, Wilson",
    )  # fmt: skip


def _findings(data: Dataset, found: Near, flood: float, tolerance: float) -> Iterator[Finding]:
    from assay.detectors.near_duplicates import excess

    near, uri = len(found.near), data.subject.uri
    ball = _flood(found, flood)
    if ball is not None:
        many = len(ball.rows)
        yield Finding(
            message=f"{many} rows are nearly the same as row {ball.heart}, and {ball.beyond or 'none'} are a little "
            "less alike: they were made from one row, or are alike by nature",
            location=Location(uri=uri, row=ball.heart),
            key="flood",
            severity=Severity.MEDIUM,
            confidence=Confidence.LOW,
            evidence={"group": many, "around": ball.beyond, "near": near, "rows": found.rows},
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


def _flood(found: Near, share: float) -> Ball | None:
    """The ball that stands apart, if one does and no other nearly as large: many natural ones are campaigns, bursts."""
    apart = [
        b for b in found.balls
        if len(b.rows) >= LEAST and wilson(len(b.rows), len(b.rows) + b.beyond)[0] > TIMES / (1 + TIMES)
    ]  # fmt: skip
    if not apart or len(found.near) - len(apart[0].rows) > OTHERS * found.rows:
        return None
    if len(apart[0].rows) <= max(LEAST_FLOOD - 1, share * found.rows):
        return None
    return None if len(apart) > 1 and MUCH * len(apart[1].rows) > len(apart[0].rows) else apart[0]


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


def _pointed(found: Near, findings: list[Finding]) -> dict[int, Pointed]:
    """By near row (score, flagged, reason); flagged are those of the finding alone: of a flood its rows."""
    keys = {f.key for f in findings}
    pointed = {
        row: (
            1 - differ / max(1, found.columns),
            alone and "excess" in keys,
            f"row {twin} is nearly the same ({differ} differ)",
        )
        for row, twin, differ, alone in _near(found)
    }
    ball = next((b for b in found.balls for f in findings if f.key == "flood" and b.heart == f.location.row), None)
    if ball is not None:
        reason = f"one of {len(ball.rows)} rows that are nearly the same as row {ball.heart}"
        for row, differ in zip(ball.rows.tolist(), ball.differ.tolist(), strict=True):
            pointed[row] = 2 - differ / max(1, found.columns), True, reason  # above all that only have a twin
    return pointed


def _leaking(found: Near, other: str) -> dict[int, Pointed]:
    return {
        row: (
            2 - differ / max(1, found.columns),
            True,
            f"nearly the same as number {twin} of {other} ({differ} differ)",
        )
        for row, twin, differ, _ in _near(found)
    }


def _near(found: Near) -> Iterator[tuple[int, int, int, bool]]:
    return zip(found.near.tolist(), found.twin.tolist(), found.differ.tolist(), found.alone.tolist(), strict=True)


def _suspects(pointed: dict[int, Pointed]) -> Suspects:
    rows = sorted(sorted(pointed, key=lambda r: (not pointed[r][1], r))[:MAX_SUSPECTS])
    return Suspects(
        check=ID,
        rows=tuple(rows),
        scores=tuple(pointed[r][0] for r in rows),
        flagged=tuple(pointed[r][1] for r in rows),
        reasons=tuple(pointed[r][2] for r in rows),
    )
