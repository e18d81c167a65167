"""data.drift-over-time: columns that drifted, on data that is looked at again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from assay.adapters.traffic import Traffic
from assay.checks.data.drift import effect, grave, mend, roles, told
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Direction, Finding, Json, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.core.drift import ColumnDrift
    from assay.detectors.vigil import Judged

ADDS_NOTHING = "this look adds nothing"
ANEW = "once it is mended, or the model trained anew, begin a new state: delete the file, or name another one"


@check(
    "data.drift-over-time",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    version=2,
    tags=("nist-ai-rmf:MEASURE 2.4",),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=("data.drift_over_time.evidence", "data.drift_over_time.looks"),
)
def drift_over_time(
    traffic: Traffic, *, least_effect: Annotated[float, Meta(ge=0)] = 0.001, seed: int = 0
) -> Iterator[Finding | Measure]:
    """Columns that drifted, on data that is looked at again and again.

    Why: whoever tests every day at a level of 5% is alarmed by nothing at all within weeks, and then looks no more. A
    watch that goes on for years needs a level that holds for all of its looks together.

    How it decides: each new table is tested, column by column, against the reference and all rows that came before it.
    As long as nothing changes, rows come in any order alike, and these p-values are independent. Capital bets on each
    column that they are not: it begins with 1, and each bet is fair. The chance that it ever reaches 1 / level is at
    most the level, however often one looks (Ville 1939). The mean over all columns rings at 1 / level, a column by
    itself at the number of columns / level, so that the chance of any false alarm, ever, is the level that the state
    began with. A column that rang is an alarm from the first look on at which its effect beside the reference (see
    `data.drift`) is at least `least_effect`: high where that is .25 and more, else medium; before, it is noted only.
    What rang stays rung until the state is begun anew, and every later look says at which look that was, and whether
    its own table shows it still. Before each bet some capital is held back for later, so that a change is found however
    late it begins; a small one takes more looks. A column that is gone or holds another kind of values is told at every
    look that sees it, without a bet. A look of fewer than 30 rows is not counted. Rows are taken to be independent:
    many rows of one customer differ by more than chance, and ring for nothing. A slow change that the rows before have
    taken on already is found late or not at all: `assay watch` without a state compares with the reference alone.

    Fix: find out what changed at the source of that column; once it is mended, or the model trained anew, begin a new
    state: delete the file, or name another one with a new reference.

    References: Ville 1939; Vovk, Gammerman and Shafer 2005; Shafer and Vovk 2019; Ramdas et al. 2023.
    """
    from assay.detectors.drift import LEAST_ROWS
    from assay.detectors.vigil import judge, mean_capital

    if traffic.vigil is None:
        raise NotApplicable("no state is kept (--state)")
    if not traffic.current.rows:
        raise CouldNotLook(f"{traffic.name} has no rows")
    if traffic.current.rows < LEAST_ROWS:
        why = f"{traffic.current.rows} rows are too few for a look, they would never ring whatever is in them"
        raise CouldNotLook(f"{why}; gather at least {LEAST_ROWS} and look then (this look was not counted)")
    said = judge(
        traffic.vigil, traffic.reference.profile, traffic.current, traffic.digest, least_effect=least_effect,
        roles=roles(traffic), seed=seed,
    )  # fmt: skip
    family, looks = len(said.after.pool.columns), said.after.looked
    mean = mean_capital(said.after.stakes, family)
    yield Measure(
        name="data.drift_over_time.evidence", value=min(mean, 1e12), unit="times the stake", n=traffic.current.rows,
        direction=Direction.LOWER, method=f"mean over {family} columns; rings at {1 / said.after.alpha:g}",
    )  # fmt: skip
    yield Measure(name="data.drift_over_time.looks", value=float(looks), unit="looks", direction=Direction.NEITHER)
    for column in sorted(said.columns, key=lambda c: (-c.effect, c.name)):
        found = _column(traffic, said, column, least_effect)
        if found is not None:
            yield found
    rung = any(stake.rang for stake in said.after.stakes.values())
    if said.after.rang and not said.alarms and (said.after.alarm or not rung):
        yield _together(traffic, said)
    if said.again:
        raise CouldNotLook(f"{traffic.name} was counted at look {said.number}: nothing new was learned from it")


def _column(traffic: Traffic, said: Judged, column: ColumnDrift, least: float) -> Finding | None:
    """What there is to say of a column; None where it neither rang nor broke."""
    stake, at = said.after.stakes.get(column.name), said.alarms.get(column.name, 0)
    broke = column.flagged and column.seen in ("missing", "changed")
    rang = stake.rang if stake is not None else 0
    if not rang and not broke:
        return None
    what = f"{column.role if column.role != 'input' else 'column'} {visible(column.name, 60)}"
    standing = bool(at) and at != said.number and not broke
    reached = f"its capital reached {len(said.after.pool.columns) / said.after.alpha:g} at look {rang}"
    severity, fix, shown = grave(column), mend(traffic, column), f"{column.reason} ({effect(column, interval=True)})"
    if broke:
        message = f"{what} {told(column)}"
    elif not at:
        message, severity = f"{what}: {reached}, by less than the least effect that counts ({least:g})", Severity.INFO
    elif not standing:
        message = f"{what} {told(column, interval=True)}; {reached}"
    elif column.flagged:
        message, fix = f"{what} rang at look {at}, and this table shows it still: {shown}", f"{fix}; {ANEW}"
    else:
        message, severity, fix = f"an alarm stands: {what} rang at look {at}; {ADDS_NOTHING}", Severity.MEDIUM, ANEW
    evidence: dict[str, Json] = {"look": at or said.number, "looks": said.after.looked, "standing": standing}
    if stake is not None:
        evidence["highest"] = min(stake.highest, 1e12)
    evidence |= {"effect": round(column.effect, 6), "low": round(column.low, 6), "high": round(column.high, 6)}
    return Finding(
        message=message,
        location=Location(uri=traffic.subject.uri, column=column.name),
        key="drift over time",
        severity=severity,
        evidence=evidence,
        fix=fix,
    )


def _together(traffic: Traffic, said: Judged) -> Finding:
    """What there is to say where the mean of all columns rang and none by itself is an alarm."""
    from assay.detectors.vigil import richest

    best = richest(said.after.stakes)
    column = next((c for c in said.columns if c.name == best), None)
    at = said.after.alarm
    standing = bool(at) and at != said.number
    severity, fix = Severity.INFO, "look at the columns of the single comparison (assay watch without --state)"
    message = (
        f"the columns together drifted: their mean capital reached {1 / said.after.alpha:g} at look "
        f"{said.after.rang}; most of it is on {visible(best, 60)}"
    )
    if standing:
        message, severity = f"an alarm stands: the columns together rang at look {at}; {ADDS_NOTHING}", Severity.MEDIUM
        fix = ANEW
    elif at:
        severity = grave(column) if column is not None else Severity.MEDIUM
    else:
        message += ", by less than the least effect that counts"
    evidence: dict[str, Json] = {"look": at or said.number, "looks": said.after.looked, "standing": standing}
    if column is not None:
        evidence |= {"effect": round(column.effect, 6), "low": round(column.low, 6), "high": round(column.high, 6)}
    return Finding(
        message=message,
        location=Location(uri=traffic.subject.uri),
        key="drift over time",
        severity=severity,
        evidence=evidence,
        fix=fix,
    )
