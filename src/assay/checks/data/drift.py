"""data.drift: columns that no longer look as they did in the reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.drift import ColumnDrift, Drift
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.exhibit import Bars, Histogram, IntervalRow, Intervals
from assay.core.finding import Confidence, Direction, Finding, Json, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.core.profile import ColumnProfile

SHOWN = 12
PICTURES = 6
COMMON = 20  # rows that must share a value before a picture names it: what few rows have may be somebody's own
# The usual marks of the population stability index (Siddiqi 2006), for words and severities, not for the test.
MODERATE, LARGE = 0.1, 0.25


@check(
    "data.drift",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    version=2,
    tags=("nist-ai-rmf:MEASURE 2.4",),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=("data.drift.columns", "data.drift.effect"),
)
def drift(
    traffic: Traffic,
    *,
    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05,
    least_effect: Annotated[float, Meta(ge=0)] = 0.001,
    seed: int = 0,
) -> Iterator[Finding | Measure | Intervals | Histogram]:
    """Columns that no longer look as they did in the reference.

    Why: a model knows the data that it learned from. Once the rows that come in are others, by nature or by somebody's
    hand, its figures no longer hold, and nothing in its answers shows it.

    How it decides: the reference fixes the bins (of numbers and times up to 20 of about as many rows each, of text one
    a value up to 200 values, else 64 buckets by hash), so that all counts are whole numbers. Missing values, values
    that are no number and values that the reference never had are bins of their own. Each column gets Pearson's test
    and, where bins have an order, that of a trend; where the approximation could mislead the tail is simulated. The
    p-values are adjusted over all columns (Holm), so that the chance of any false alarm at all is `alpha`, however many
    columns and rows there are. The effect is 8 times the squared Hellinger distance, which for small differences is the
    population stability index, with what chance alone gives taken off; less than `least_effect` is no finding, however
    sure. With fewer than 30 rows on either side what is not found stays open. Rows are taken to be independent draws:
    rows that come in clusters (many of one customer) differ by more than that. An effect of .25 and more, a column that
    is gone or holds another kind of values is a high finding, any other flagged column a medium one. Labels that
    are not there yet are no drift. Where a state is kept for many looks, `data.drift-over-time` asks instead.

    Fix: find out what changed at the source of that column. If the change is real and lasts, train and judge the model
    anew on rows that hold it; if it is a fault, mend it where it arises.

    References: Holm 1979; Pearson 1900; Yurdakul 2018 (the index without drift); Rabanser et al. 2019.
    """
    from assay.detectors.drift import LEAST_ROWS
    from assay.detectors.drift import drift as compare

    if traffic.vigil is not None:
        raise NotApplicable("a state is kept: data.drift-over-time asks")
    reference, current = traffic.reference.profile, traffic.current
    if not current.rows:
        raise CouldNotLook(f"{traffic.name} has no rows")
    found = compare(reference, current, alpha=alpha, least_effect=least_effect, roles=roles(traffic), seed=seed)
    yield from _measures(found)
    for column in sorted(found.flagged, key=lambda c: (-c.effect, c.name)):
        yield _finding(traffic, column, found)
    for column in found.columns:
        if column.seen == "added":
            yield _added(traffic, column)
    yield from _pictures(traffic, found)
    least = min(reference.rows, current.rows)
    if least < LEAST_ROWS:
        raise CouldNotLook(f"{least} rows on one side are too few to say that nothing drifted; at least {LEAST_ROWS}")


def grave(column: ColumnDrift) -> Severity:
    """How grave a column's drift is: by its effect, high where it is gone or holds another kind of values."""
    return Severity.HIGH if column.seen in ("missing", "changed") or column.effect >= LARGE else Severity.MEDIUM


def told(column: ColumnDrift, *, interval: bool = False) -> str:
    """What a column did, in words, and how far."""
    if column.seen == "missing":
        return "is gone"
    if column.seen == "changed":
        return f"changed its kind: {column.reason}"
    size = " far" if column.effect >= LARGE else "" if column.effect >= MODERATE else " a little"
    return f"drifted{size}: {column.reason} ({effect(column, interval=interval)})"


def effect(column: ColumnDrift, *, interval: bool = False) -> str:
    """The effect in words, with its interval where asked."""
    return f"effect {column.effect:.3f}{f' [{column.low:.3f}, {column.high:.3f}]' if interval else ''}"


def mend(traffic: Traffic, column: ColumnDrift) -> str:
    """What to do about it; of what looks like the number of a row or a time, to say so."""
    from assay.detectors.drift import names_rows

    before, now = traffic.reference.profile.column(column.name), traffic.current.column(column.name)
    if column.role == "input" and before is not None and now is not None and names_rows(before, now):
        name = visible(column.name, 60)
        options = f"--id {name} or --time {name}"
        return f"hardly a value lies where the reference's do: if it names rows or is a time, say {options}"
    return "find out what changed where this column comes from; if it lasts, train and judge anew"


def roles(traffic: Traffic) -> dict[str, str]:
    """What the columns that have a role are: {column: role}."""
    facts = traffic.reference.facts
    return {str(facts[role]): role for role in ("label", "prediction", "score") if role in facts}


def _measures(found: Drift) -> Iterator[Measure]:
    compared = [c for c in found.columns if c.p is not None]
    yield Measure(
        name="data.drift.columns", value=float(len(found.flagged)), unit="columns", n=found.current_rows,
        direction=Direction.LOWER, method=f"Holm over {len(compared)} columns at {found.alpha:g}",
    )  # fmt: skip
    if compared:
        worst = max(compared, key=lambda c: c.effect)
        yield Measure(
            name="data.drift.effect", value=worst.effect, low=worst.low, high=worst.high, n=found.current_rows,
            direction=Direction.LOWER,
            method=f"largest, {visible(worst.name, 60)}; 8 H² less its mean by chance (scale of the stability index)",
        )  # fmt: skip


def _finding(traffic: Traffic, column: ColumnDrift, found: Drift) -> Finding:
    what = column.role if column.role != "input" else "column"
    evidence: dict[str, Json] = {
        "effect": round(column.effect, 6),
        "low": round(column.low, 6),
        "high": round(column.high, 6),
        "p": column.p,
        "p_adjusted": column.p_adjusted,
        "rows": found.current_rows,
        "reference_rows": found.reference_rows,
    }
    return Finding(
        message=f"{what} {visible(column.name, 60)} {told(column)}",
        location=Location(uri=traffic.subject.uri, column=column.name),
        key="drift",
        severity=grave(column),
        confidence=Confidence.HIGH,
        evidence=evidence,
        fix=mend(traffic, column),
    )


def _added(traffic: Traffic, column: ColumnDrift) -> Finding:
    return Finding(
        message=f"column {visible(column.name, 60)} is one that the reference lacks",
        location=Location(uri=traffic.subject.uri, column=column.name),
        key="added",
        severity=Severity.INFO,
        fix="if a model should read it, draw a new reference",
    )


def _pictures(traffic: Traffic, found: Drift) -> Iterator[Intervals | Histogram]:
    compared = sorted((c for c in found.columns if c.p is not None), key=lambda c: (-c.effect, c.name))
    if not compared:
        return
    rows = tuple(
        IntervalRow(label=visible(c.name, 40), value=round(c.effect, 4), low=round(c.low, 4), high=round(c.high, 4))
        for c in compared[:SHOWN]
    )
    left = f"; {len(compared) - SHOWN} more columns have less" if len(compared) > SHOWN else ""
    yield Intervals(
        name="drift-effects",
        title="How far the columns moved",
        subtitle=f"on the scale of the population stability index, less what chance gives; 95% interval{left}",
        unit="effect",
        rows=rows,
        reference=0.0,
        verbatim=True,
        note=f"{len(found.flagged)} of {len(found.columns)} columns drifted; family-wise level {found.alpha:g}",
    )
    for column in [c for c in compared if c.flagged][:PICTURES]:
        before = traffic.reference.profile.column(column.name)
        now = traffic.current.column(column.name)
        if before is not None and now is not None:
            picture = _histogram(before, now, column)
            if picture is not None:
                yield picture


def _histogram(before: ColumnProfile, now: ColumnProfile, column: ColumnDrift) -> Histogram | None:
    """Shares of both sides over the reference's bins, the commonest 20 of categories; none of hashed columns."""
    if before.kind == "hashed" or not before.rows or not now.rows:
        return None
    if before.kind == "category":
        order = sorted(range(len(before.labels)), key=lambda i: -(before.counts[i] + now.counts[i]))[:20]
        labels = tuple(_shown(before.labels[i]) if before.counts[i] >= COMMON else "(rare)" for i in order)
        sides = [[side.counts[i] / side.rows for i in order] for side in (before, now)]
    else:
        labels = tuple(_range(before.edges, i) for i in range(len(before.counts)))
        sides = [[c / side.rows for c in side.counts] for side in (before, now)]
    labels += ("missing", "new")
    for side, values in zip((before, now), sides, strict=True):
        values += [(side.nulls + side.nans) / side.rows, (side.other + side.unread) / side.rows]
    return Histogram(
        name=f"drift-{column.name[:60]}",
        title=visible(column.name, 60),
        subtitle=column.reason,
        x_label="bins of the reference",
        labels=labels,
        series=(Bars(name="reference", counts=tuple(sides[0]), role="other"), Bars(name="now", counts=tuple(sides[1]))),
        note=f"share of rows; effect {column.effect:.3f} [{column.low:.3f}, {column.high:.3f}]",
    )


def _shown(label: str) -> str:
    return visible(label, 24) or "(empty)"


def _range(edges: tuple[float, ...], i: int) -> str:
    if not edges:
        return "all"
    if i == 0:
        only = len(edges) > 1 and edges[1] - edges[0] <= 1e-9 * max(1.0, abs(edges[1]))  # just below the least value
        return f"< {edges[1]:.3g}" if only else f"≤ {edges[0]:.3g}"
    return f"> {edges[-1]:.3g}" if i == len(edges) else f"≤ {edges[i]:.3g}"
