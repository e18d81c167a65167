"""data.representation: whether the groups of people that matter are there, and in what numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.tables import Dataset
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Confidence, Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.detectors.groups import Gap, Group

SHOWN = 40
UNDER = 0.8


@check(
    "data.representation",
    on=Kind.DATASET,
    stage=Stage.DATA,
    severity=Severity.MEDIUM,
    needs="ml",
    version=2,
    tags=("eu-ai-act:Art.10", "nist-ai-rmf:MEASURE 2.11"),
    may_read=("trusted",),
    libraries=("duckdb", "pyarrow", "numpy", "scipy"),
    measures=("data.representation.smallest_share", "data.representation.positive_gap"),
)
def representation(
    data: Dataset,
    *,
    trusted: Dataset | None = None,
    least: Annotated[int, Meta(ge=1)] = 100,
    least_positives: Annotated[int, Meta(ge=0)] = 10,
) -> Iterator[Finding | Measure | Intervals]:
    """Whether the groups of people that matter are there, and in what numbers.

    Why: a model is worst for whom it has seen least, and nobody notices, because there are too few of them in the test
    rows as well. The law asks for data that are representative of the people on whom the system is used.

    How it decides: the columns under `protected:` (where none is declared, those whose headers name sex, age, race,
    nationality, marital status, religion, disability and the like, in several languages; ages and other numbers by
    quarters) make groups, one by one and two by two. A value that fewer than 20 rows have is told as one of the other
    values. Each group's share of the rows and rate of positives are shown with 95% intervals; where an entity is
    declared, its rows count as one draw, and where a weight is, rows count as it says. What entities and weights cost
    is reckoned group by group (the variance of a ratio over entities), so that a few heavy rows do not pass for many.
    Groups worth fewer than `least` rows, or `least_positives` rows of either class, cannot be judged (by Kish's
    effective size of each): a low finding for each column, for no figure of them can be relied on. With a trusted table
    (rows that are known to represent who is concerned) a group whose share is surely below four fifths of its share
    there is a medium finding; the intervals of all groups hold together at 95% (less where very unequal weights rest on
    few rows of a group: their tail is not in the sample).

    Without such a table nothing is said of whether shares are right: only the world knows. A gap between the groups'
    rates of positives is a measure and no finding: it may be the world, the sample or the labels. It does not see
    groups that no column tells.

    Fix: collect more of the groups that are too few, weight them, or say in the papers for whom the model is not meant.

    References: EU AI Act Art. 10(3); Kish 1965; Cochran 1977 (variance of a ratio); Buolamwini and Gebru 2018; Donner
    and Zou 2012 (interval of a ratio).
    """
    from assay.detectors.groups import draws_of, gaps, groups
    from assay.detectors.headers import PROTECTED, said

    columns = data.protected or tuple(c.name for c in data.columns if said(c.name, PROTECTED) and c.name != data.label)
    if not data.rows:
        raise CouldNotLook(f"{data.name} has no rows")
    if not columns:
        raise NotApplicable("no column is declared as protected, and no header says that one is")
    target = data.target() if data.label else None
    counted = _counted(data)
    found = groups(data, columns, target, least=least, least_positives=least_positives, **counted)
    yield from _measures(found)
    yield from _small(data, columns, found)
    yield from _pictures(found, not data.protected)
    if trusted is not None and trusted.rows:
        common = tuple(c for c in columns if c in {t.name for t in trusted.columns})
        if not common:
            raise CouldNotLook(f"{trusted.name} has none of the protected columns")
        other = _counted(trusted)
        cut = groups(data, common, None, least=least, least_positives=0, like=trusted, **counted)
        theirs = groups(trusted, common, None, least=least, least_positives=0, **other)
        single = tuple(g for g in cut if len(g.columns) == 1)
        for gap in gaps(single, theirs, draws_of(**counted)):
            if gap.high < UNDER:
                yield _under(data, trusted, gap)


def _counted(data: Dataset) -> dict[str, Any]:
    """How much each row counts, and whose it is: the rows of one entity are one draw."""
    from assay.adapters.weights import weights_of
    from assay.detectors.rows import entities_of

    weight = weights_of(data)
    if not weight.any():
        raise CouldNotLook(f"{data.name}: every row has the weight 0")
    return {"weight": weight, "entities": entities_of(data)}


def _measures(found: tuple[Group, ...]) -> Iterator[Measure]:
    from assay.detectors.groups import MISSING, OTHER

    single = [g for g in found if len(g.columns) == 1 and g.name not in (OTHER, MISSING)]
    if single:
        least = min(single, key=lambda g: g.share[0])
        yield Measure(
            name="data.representation.smallest_share", value=least.share[0], low=least.share[1], high=least.share[2],
            n=least.rows, unit="share", direction=Direction.NEITHER,
            method=f"{visible(least.columns[0], 40)} {visible(least.name, 40)}, Wilson",
        )  # fmt: skip
    rated = [(g, g.rate) for g in single if g.rate is not None and g.judged]
    if len(rated) > 1:
        by_column: dict[tuple[str, ...], list[Any]] = {}
        for group, rate in rated:
            by_column.setdefault(group.columns, []).append(rate)
        top, bottom = max(((max(r), min(r)) for r in by_column.values()), key=lambda pair: pair[0][0] - pair[1][0])
        gap = top[0] - bottom[0]
        low = gap - ((top[0] - top[1]) ** 2 + (bottom[2] - bottom[0]) ** 2) ** 0.5
        high = gap + ((top[2] - top[0]) ** 2 + (bottom[0] - bottom[1]) ** 2) ** 0.5
        yield Measure(
            name="data.representation.positive_gap", value=gap, low=max(0.0, low), high=min(1.0, high), unit="share",
            n=sum(g.rows for g, _ in rated), direction=Direction.NEITHER,
            method="largest difference of positive rates inside one column, of judged groups; Newcombe",
        )  # fmt: skip


def _small(data: Dataset, columns: tuple[str, ...], found: tuple[Group, ...]) -> Iterator[Finding]:
    from assay.detectors.groups import MISSING

    for column in columns:
        own = [g for g in found if g.columns == (column,) and g.name != MISSING]
        small = [g for g in own if not g.judged]
        pairs = [g for g in found if column in g.columns and len(g.columns) == 2 and MISSING not in g.name]
        if small:
            names = ", ".join(f"{visible(g.name, 40)} ({g.rows})" for g in small[:6]) + (", …" if small[6:] else "")
            crossed = sum(not g.judged for g in pairs)
            yield Finding(
                message=f"{len(small)} of {len(own)} groups of {visible(column, 60)} are too small to be judged: "
                + names
                + (f"; of its groups with another column {crossed} of {len(pairs)}" if pairs else ""),
                location=Location(uri=data.subject.uri, column=column),
                key="small",
                severity=Severity.LOW,
                evidence={"groups": len(own), "small": len(small), "pairs": len(pairs), "small_pairs": crossed},
                fix="collect more rows of them, or say that the model was not judged for them",
            )


def _under(data: Dataset, trusted: Dataset, gap: Gap) -> Finding:
    column = gap.group.columns[0]
    return Finding(
        message=f"{visible(column, 60)} {visible(gap.group.name, 40)} is {gap.group.share[0]:.1%} of "
        f"{'the weight' if data.weight else 'the rows'} and "
        f"{gap.reference:.1%} of {visible(trusted.name, 60)}: {gap.ratio:.2f} times ({gap.low:.2f} to {gap.high:.2f})",
        location=Location(uri=data.subject.uri, column=column),
        key=f"under:{gap.group.name}",
        severity=Severity.MEDIUM,
        confidence=Confidence.HIGH,
        evidence={"rows": gap.group.rows, "ratio": gap.ratio, "low": gap.low, "high": gap.high},
        fix="collect more rows of this group, or weight them; then train and measure again",
    )


def _pictures(found: tuple[Group, ...], guessed: bool) -> Iterator[Intervals]:
    note = "No column is declared as protected; these were told by their headers." if guessed else ""
    single = [g for g in found if len(g.columns) == 1]
    rated = [(g, g.rate) for g in found if g.rate is not None and g.judged]
    shares = [(g, g.share) for g in single]
    for key, title, unit, rows in (
        ("shares", "How many rows each group has", "share of rows", shares),
        ("positives", "How many of each group are positive", "share of its rows", rated),
    ):
        if rows:
            yield Intervals(
                name=f"data.representation.{key}",
                title=title,
                subtitle="95% intervals; groups too small to be judged have no rate",
                unit=unit,
                verbatim=True,
                rows=tuple(
                    IntervalRow(label=f"{' & '.join(g.columns)}: {g.name}", value=v[0], low=v[1], high=v[2], n=g.rows)
                    for g, v in rows[:SHOWN]
                ),
                note=note,
            )
