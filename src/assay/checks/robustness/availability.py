"""robustness.availability: inputs that take the model much longer than usual rows, or that break it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from assay.adapters.cases import ModelCase
from assay.core.check import check
from assay.core.errors import CouldNotLook
from assay.core.exhibit import IntervalRow, Intervals
from assay.core.finding import Direction, Finding, Location, Measure, Severity
from assay.core.protocols import Progress, silent
from assay.core.subject import Kind, Stage
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.attacks.latency.clock import Slow
    from assay.attacks.latency.sponge import Found

USUAL = 16
SHOWN = 6
NAME = "robustness.availability"


@check(
    NAME,
    on=Kind.MODEL,
    stage=Stage.MODEL,
    severity=Severity.HIGH,
    needs="ml",
    cost="minutes",
    version=2,
    cacheable=False,  # a clock is read
    tags=("atlas:AML.T0029", "atlas:AML.T0034", "eu-ai-act:Art.15"),
    reads=("data", "holdout"),
    wants=("holdout", "latency"),
    libraries=("numpy", "pyarrow", "onnxruntime", "lightgbm", "scikit-learn", "duckdb"),
    measures=(
        "robustness.availability.slowest",
        "robustness.availability.usual",
        "robustness.availability.ratio",
        "robustness.availability.refused_share",
    ),
)
def availability(
    case: ModelCase,
    *,
    seconds: Annotated[float, Meta(gt=0, le=300)] = 10.0,
    repeats: Annotated[int, Meta(ge=10, le=1000)] = 40,
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Finding | Measure | Intervals]:
    """Whether a row can be written that takes the model much longer than it promises, or that breaks it.

    Why: who can send one row that takes a second can stop a service that answers a thousand a second with a handful of
    them. Usual rows never show it.

    How it decides: only where the model's subject says `latency: MS`, the milliseconds promised for a row, for a
    clock has no place in a report that promises the same bytes; its outcome is never cached. Within `features:` and
    `constraints:` (what an attacker cannot change stays; without a contract anything goes) it looks for the slowest
    row: the holdout's own, for a quarter of `seconds`; then every input alone at its ends, missing, 0, tiny
    (denormal) and huge numbers, unseen and very long words; then 400 rows of drawn values for all inputs at once, in
    which any two values of two inputs of ten values each meet in 98 of 100 searches; then the slowest so far, with
    one input changed or crossed with each other, in four rounds. It stops `seconds` after those. A time is the lesser
    of two, one row at a time; what does not make a row slow is put back.

    The slowest of many measurements is partly luck. So it is measured again, `repeats` times in turn with usual rows,
    after the search is over: medians, with percentile intervals of a bootstrap. The finding is that the lower end of
    its time lies above the promise, or that usual rows' own does. Times are those of this machine and hold our own
    conversion of the row and, for a pickled model, the sandbox's: compare them with a promise made for such a machine.

    A lower finding is that the model refuses a row that the contract permits, and a higher one that it answers no row
    after that. Rows that only three inputs together make slow, and batches that take too much memory, are not looked
    for; nothing found is no proof. A served model (an address) is not timed: its answers are kept.

    Fix: bound what a row may be before the model sees it (ranges, the length of words), give every request a time
    limit, and refuse instead of computing; then measure again.

    References: Shumailov et al. 2021 (sponge examples); Kuhn et al. 2013 (combinations of two).
    """
    import numpy as np
    import pyarrow as pa

    from assay.attacks.latency.clock import compared, slowest
    from assay.attacks.latency.moves import moves
    from assay.attacks.latency.sponge import sponge

    promised, data = _promised(case), case.untouched("to take usual rows from")
    model, inputs = case.predictor, tuple(case.predictor.features)
    if model.kind == "endpoint":
        raise CouldNotLook("answers of a served model are kept, so that its time cannot be measured; name its file")
    columns = {*inputs, *_related(case)}
    table = data.table([c.name for c in data.columns if c.name in columns])
    if not table.num_rows:
        raise CouldNotLook(f"{data.name} has no rows")
    rows = table.take(np.random.default_rng(seed).permutation(table.num_rows))
    usual = rows.slice(0, USUAL)
    offered = moves((case.train or data).table(inputs), inputs, {c.name: c.kind for c in data.columns}, case.contract)
    with model.undisturbed():
        worst = slowest(model, rows, seconds / 4)
        start = usual if worst < USUAL else pa.concat_tables([usual, rows.slice(worst, 1)])
        found = sponge(model, start, offered, seconds=seconds, seed=seed, progress=progress)
    yield _refused(found)
    yield from _broken(case, found)
    if found.dead:
        raise CouldNotLook("the model answers no row any more, so that no time could be measured")
    if found.row is None:
        raise CouldNotLook("no row was answered, so that no time could be measured")
    with model.undisturbed():
        slow = compared(model, found.row, usual, repeats, seed)
    yield from _measures(slow, seed, promised)
    yield _picture(slow, promised)
    yield from _late(case, found, slow, promised)


def _promised(case: ModelCase) -> float:
    value: Any = case.subject.options.get("latency")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CouldNotLook(f"{case.subject.uri}: `latency:` is no positive number of milliseconds")
    return float(value)


def _related(case: ModelCase) -> set[str]:
    from assay.attacks.relations import relations

    return {name for relation in relations(case.contract) for name in relation.columns}


def _refused(found: Found) -> Measure:
    from assay.stats.intervals import wilson

    low, high = wilson(found.refused, found.tried)
    return Measure(
        name=f"{NAME}.refused_share", value=found.refused / found.tried, low=low, high=high, n=found.tried,
        unit="share", direction=Direction.LOWER, method="rows of the search that the model refused, Wilson",
    )  # fmt: skip


def _broken(case: ModelCase, found: Found) -> Iterator[Finding]:
    """Rows that the contract permits and the model refuses, or does not survive."""
    if found.dead:
        yield Finding(
            message=f"after one row the model answers nothing any more; changed in it: {_listed(found.dead)}",
            location=Location(uri=case.subject.uri), key="dead",
            evidence={"inputs": list(found.dead[:SHOWN]), "tried": found.tried},
            fix="find out what ends it (memory, a stack, a crash), and refuse such rows before the model sees them",
        )  # fmt: skip
    elif found.refused and case.contract.features and not case.contract.free:
        yield Finding(
            message=f"the model refuses rows that `features:` permits, such as with another {_listed(found.breaks)}",
            location=Location(uri=case.subject.uri), key="refused", severity=Severity.LOW,
            evidence={"refused": found.refused, "tried": found.tried, "inputs": list(found.breaks[:SHOWN])},
            fix="narrow `features:` to what the model takes (`nullable: false`, min and max), or mend the model",
        )  # fmt: skip


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(visible(n, 40) for n in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _measures(slow: Slow, seed: int, promised: float) -> Iterator[Measure]:
    how = f"median of repetitions in turn with usual rows, bootstrap; promised: {promised:g} ms a row"
    for name, value, (low, high), unit in (
        ("slowest", slow.row, slow.row_interval, "milliseconds a row"),
        ("usual", slow.usual, slow.usual_interval, "milliseconds a row"),
        ("ratio", slow.ratio, slow.ratio_interval, "times"),
    ):
        yield Measure(
            name=f"{NAME}.{name}", value=value, low=low, high=high, n=slow.n, seed=seed, unit=unit,
            direction=Direction.LOWER, method=how,
        )  # fmt: skip


def _picture(slow: Slow, promised: float) -> Intervals:
    """The slowest row and a usual one beside the promise."""
    low, high = slow.row_interval
    keeps = "keeps" if high <= promised else "breaks" if low > promised else "may break"
    rows = (("slowest", "slowest row found", slow.row, slow.row_interval),
            ("usual", "usual rows", slow.usual, slow.usual_interval))  # fmt: skip
    return Intervals(
        name=NAME,
        title=f"The slowest row found {keeps} the promise of {promised:g} ms",
        subtitle="Medians with 95% intervals; the line is the promised latency",
        unit="milliseconds a row",
        rows=tuple(
            IntervalRow(label=label, value=value, low=low, high=high, n=slow.n, measure=f"{NAME}.{key}", better="lower")
            for key, label, value, (low, high) in rows
        ),
        reference=promised,
    )


def _late(case: ModelCase, found: Found, slow: Slow, promised: float) -> Iterator[Finding]:
    usual = slow.usual_interval[0] > promised
    time, (low, high) = (slow.usual, slow.usual_interval) if usual else (slow.row, slow.row_interval)
    if low <= promised:
        return
    inputs = () if usual else found.changed
    what, fix = "usual rows do", "it is slower than promised for any row: promise less, or make it faster"
    if not usual:
        what = f"changed in it: {_listed(inputs)}" if inputs else "one of the usual rows"
        fix = "bound what a row may be, and give every request a time limit"
    yield Finding(
        message=f"a row takes {time:.3g} ms (95% {low:.3g} to {high:.3g}), promised are {promised:g}; {what}",
        location=Location(uri=case.subject.uri), key="usual" if usual else "late", severity=Severity.MEDIUM, fix=fix,
        evidence={"milliseconds": time, "usual": slow.usual, "ratio": slow.ratio, "promised": promised,
                  "inputs": list(inputs[:SHOWN]), "n": slow.n},
    )  # fmt: skip
