"""data.drift-over-time: columns that drifted, on data that is looked at again and again."""

from __future__ import annotations

from collections.abc import Iterator

from assay.adapters.traffic import Traffic
from assay.core.check import check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.subject import Kind, Stage
from assay.core.text import visible


@check(
    "data.drift-over-time",
    on=Kind.TRAFFIC,
    stage=Stage.LIVE,
    severity=Severity.HIGH,
    needs="ml",
    tags=("nist-ai-rmf:MEASURE 2.4",),
    libraries=("numpy", "scipy", "duckdb"),
    cacheable=False,
    measures=("data.drift_over_time.evidence", "data.drift_over_time.looks"),
)
def drift_over_time(traffic: Traffic, *, seed: int = 0) -> Iterator[Finding | Measure]:
    """Columns that drifted, on data that is looked at again and again.

    Why: whoever tests every day at a level of 5% is alarmed by nothing at all within weeks, and then looks no more. A
    watch that goes on for years needs a level that holds for all of its looks together.

    How it decides: each new table is tested, column by column, against the reference and all rows that came before it.
    As long as nothing changes, rows come in any order alike, and these p-values are independent. Capital bets on each
    column that they are not: it begins with 1, and each bet is fair. The chance that it ever reaches 1 / level is at
    most the level, however often one looks (Ville 1939). The mean over all columns rings at 1 / level, a column by
    itself at the number of columns / level, so that the chance of any false alarm, ever, is the level that the state
    began with. What rang stays rung until the state is begun anew. Before each bet some capital is held back for later,
    so that a change is found however late it begins; a small one takes more looks. A slow change that the rows before
    have taken on already is found late or not at all: `assay watch` without a state compares with the reference alone.

    Fix: find out what changed at the source of that column; once it is mended, or the model trained anew, begin a new
    state with a new reference.

    References: Ville 1939; Vovk, Gammerman and Shafer 2005; Shafer and Vovk 2019; Ramdas et al. 2023.
    """
    from assay.detectors.vigil import look, mean_capital

    if traffic.vigil is None:
        raise NotApplicable("no state is kept (--state)")
    if not traffic.current.rows:
        raise CouldNotLook(f"{traffic.name} has no rows")
    seen = traffic.digest in traffic.vigil.looks
    after = look(traffic.vigil, traffic.current, traffic.digest, seed=seed)
    family = len(after.pool.columns)
    looks = max((s.bets for s in after.stakes.values()), default=0)
    mean = mean_capital(after.stakes, family)
    yield Measure(
        name="data.drift_over_time.evidence", value=min(mean, 1e12), unit="times the stake", n=traffic.current.rows,
        direction=Direction.LOWER, method=f"mean over {family} columns; rings at {1 / after.alpha:g}",
    )  # fmt: skip
    yield Measure(name="data.drift_over_time.looks", value=float(looks), unit="looks", direction=Direction.NEITHER)
    rung = {name: stake for name, stake in after.stakes.items() if stake.rang}
    for name, stake in sorted(rung.items()):
        yield Finding(
            message=f"column {visible(name, 60)} drifted: its capital reached {family / after.alpha:g} at look "
            f"{stake.rang}",
            location=Location(uri=traffic.subject.uri, column=name),
            key="drift over time",
            severity=Severity.HIGH,
            evidence={"look": stake.rang, "looks": stake.bets, "highest": min(stake.highest, 1e12)},
            fix="find out what changed where this column comes from; then begin a new state",
        )
    if after.rang and not rung:
        best = max(after.stakes, key=lambda n: after.stakes[n].highest)
        yield Finding(
            message=f"the columns together drifted: their mean capital reached {1 / after.alpha:g} at look "
            f"{after.rang}; most of it is on {visible(best, 60)}",
            location=Location(uri=traffic.subject.uri),
            key="drift over time",
            severity=Severity.HIGH,
            evidence={"look": after.rang, "looks": looks},
            fix="look at the columns of the single comparison (assay watch without --state)",
        )
    if seen:
        raise CouldNotLook(f"{traffic.name} was counted at an earlier look: nothing new was learned from it")
