"""Doses as a report: an outcome for each attack, with its measures, its curve and its table."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Iterator
from datetime import datetime

import msgspec

from assay.core.exhibit import Curve, Series, Table
from assay.core.finding import (
    Confidence,
    Direction,
    Finding,
    Json,
    Location,
    Measure,
    Outcome,
    Severity,
    Status,
    fingerprint,
)
from assay.core.report import Body, CheckInfo, Report, Run
from assay.core.subject import Kind, Stage, Subject
from assay.core.version import __version__
from assay.engine.plan import Settings
from assay.engine.registry import load
from assay.engine.task import tool_text
from assay.flow.dose_curve import POWER, Dose, Rung, dose_of

HELP = """How little of this attack the checks of `assay data check` find in this very table.

Why: that nothing was found means little without knowing what would have been.

How it decides: the attack is planted in the table (or a sample of its rows) at several rates, several times each, and
the checks that answer for it are asked as `assay data check` asks them. Found is a planting with a finding above info
that the clean table does not have, by a check that names more of the planted rows than chance would (or names no rows
at all). The dose is the smallest rate of those planted that is found in 4 of 5 plantings.

It cannot say that the table is clean: what is planted is added to what may be in it already. It speaks of these
attacks as they are planted here, drawn evenly over the rows; who knows the checks can plant otherwise.

Fix: for what is found late or not at all, rely on where rows come from: sources, signatures, trusted rows.
"""


WORKS = 0.5
"""How much more often a poisoned model gives the answer that is wanted, where the attack is said to work."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: rows of the table, rows used, seed, plantings at a rate, the ladder of rates, and the
    digests of what else was read."""

    rows: int
    sample: int
    seed: int
    plantings: int
    rates: tuple[float, ...]
    reads: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one attack.

    `checks` answer for it; of them `loud` alarm on the clean table, `blind` could not look at it (with why). `why` is
    why no higher rate was planted; `open` why nothing can be told; `skipped` why the question makes no sense here.
    """

    attack: str
    summary: str = ""
    success: str = ""
    checks: tuple[str, ...]
    rungs: tuple[Rung, ...] = ()
    loud: tuple[str, ...] = ()
    blind: dict[str, str] = {}
    why: str = ""
    open: str = ""
    skipped: str = ""


def report_of_doses(
    answers: tuple[Answer, ...], asked: Asked, subject: Subject, settings: Settings, start: datetime, began: float
) -> Report:
    """The report. A dose is a note, an attack that works before it is found a low finding; else it is open."""
    return Report(
        body=Body(
            subjects=(subject,),
            outcomes=tuple(_outcome(a, asked, subject) for a in answers),
            checks=tuple(_info(a) for a in sorted(answers, key=lambda a: a.attack)),
        ),
        run=Run(
            started=start, seconds=time.perf_counter() - began, tool=f"assay/{__version__}",
            python=platform.python_version(), platform=f"{platform.system()} {platform.machine()}",
            seed=settings.seed, jobs=settings.jobs,
        ),
    )  # fmt: skip


def _info(answer: Answer) -> CheckInfo:
    return CheckInfo(
        id=f"data.dose.{answer.attack}", version=1, kind=Kind.DATASET, stage=Stage.DATA, severity=Severity.INFO,
        tags=(), summary=f"Detectable dose: {answer.summary}", help=HELP,
    )  # fmt: skip


def _outcome(answer: Answer, asked: Asked, subject: Subject) -> Outcome:
    told = dose_of(answer.rungs) if answer.rungs else None
    unseen = told is not None and not answer.open and told.value is None
    drafts = _findings(answer, told, asked, subject) if told is not None and not answer.open else ()
    found = tuple(msgspec.structs.replace(f, fingerprint=fingerprint(f.check, f.subject, f)) for f in drafts)
    holed = any(f.severity is not Severity.INFO for f in found)
    status = Status.OPEN if answer.open or unseen else Status.FAIL if holed else Status.PASS
    status = Status.NOT_APPLICABLE if answer.skipped else status
    parameters: dict[str, Json] = {
        "rates": ", ".join(_percent(r) for r in asked.rates), "plantings a rate": asked.plantings,
        "rows planted in": asked.sample, "checks asked": ", ".join(answer.checks),
    }  # fmt: skip
    return Outcome(
        check=f"data.dose.{answer.attack}",
        version=1,
        subject=subject.name,
        subject_digest=subject.digest,
        status=status,
        complete=not answer.open,
        reason=_unseen(answer) if unseen else answer.skipped or answer.open,
        findings=found,
        measures=tuple(_measures(answer, told, asked)) if told is not None and not answer.open else (),
        exhibits=tuple(_exhibits(answer, told, asked)) if told is not None else (),
        parameters=parameters,
        seed=asked.seed,
        reads={subject.name: subject.digest, **asked.reads},
        notes=tuple(_notes(answer, told, asked)),
        tool=tool_text(load(answer.checks[0]).spec) if answer.checks else f"assay/{__version__}",
    )


def _findings(answer: Answer, told: Dose, asked: Asked, subject: Subject) -> Iterator[Finding]:
    """The dose, as a note; and, as a low finding, that the attack works at a rate at which it is found too seldom."""
    check, where = (
        f"data.dose.{answer.attack}",
        Location(uri=subject.uri, column=str(subject.options.get("label") or "")),
    )
    held = (r for r in reversed(answer.rungs) if r.power < POWER and r.effects)
    hole = next((r for r in held if statistics.mean(p - c for c, p in r.effects) >= WORKS), None)
    if hole is not None:
        works = statistics.mean(p for _, p in hole.effects)
        yield Finding(
            check=check, subject=subject.name, location=where, key="hole", severity=Severity.LOW,
            confidence=Confidence.MEDIUM,
            message=f"{_named(answer)} works before it is found: at {hole.rate:.2%} of the rows ({answer.success}: "
            f"{works:.0%}) {hole.found} of {hole.asked} plantings are found",
            evidence={"rate": hole.rate, "found": hole.found, "asked": hole.asked, "success": works},
            fix="do not rely on these checks for it: rely on where rows come from (sources, signatures, trusted rows)",
        )  # fmt: skip
    yield Finding(
        check=check, subject=subject.name, location=where, key="dose", severity=Severity.INFO,
        confidence=Confidence.MEDIUM, message=sentence(answer, told, asked),
        fix="plant at more rates (`--rates`, `--plantings`) where the interval is too wide to act on",
    )  # fmt: skip


def _named(answer: Answer) -> str:
    """The attack, and the label that it was planted towards, where it wants one."""
    towards = dict.fromkeys(t for r in answer.rungs for t in r.targets)
    return f"{answer.attack} (toward {' and '.join(towards)})" if towards else answer.attack


def _unseen(answer: Answer) -> str:
    """Why an attack that is not found is open: where the checks cannot see, their silence says nothing."""
    rates = ", ".join(f"{r.rate:.2%}" for r in answer.rungs)
    return f"too little of it is found at {rates} of the rows: of this attack, that the checks are silent says nothing"


def _measures(answer: Answer, told: Dose, asked: Asked) -> list[Measure]:
    name = f"data.dose.{answer.attack}"
    plantings = sum(r.asked for r in answer.rungs)
    highest = answer.rungs[-1]
    low, high = highest.bounds()
    out = [
        Measure(
            name=f"{name}.power_at_highest_rate", value=highest.power, low=low, high=high, n=asked.sample,
            seed=asked.seed, unit="share", direction=Direction.HIGHER,
            method=f"{highest.found} of {highest.asked} plantings found at {highest.rate:.2%}, exact",
        )
    ]  # fmt: skip
    if told.value is not None:
        out.append(
            Measure(
                name=name, value=told.value, low=told.above, high=told.below, n=asked.sample, seed=asked.seed,
                unit="share", direction=Direction.LOWER,
                method=f"smallest rate planted with power 0.8, {plantings} plantings at {len(answer.rungs)} rates; "
                "exact intervals at each, 95% together (nearly so where the rates were chosen by bisection)",
            )
        )  # fmt: skip
    return out


def sentence(answer: Answer, told: Dose, asked: Asked) -> str:
    """The answer in words."""
    name = _named(answer)
    if told.value is None:
        last = answer.rungs[-1]
        most = f"{last.found} of {last.asked} plantings there: at 95%, {last.bounds()[1]:.0%} at most would be"
        return f"{name}: found too seldom at all rates planted, up to {told.asked_to:.2%} of the rows ({most})"
    there = next(r for r in answer.rungs if r.rate == told.value)
    said = f"{name}: found from {told.value:.2%} of the rows on ({round(told.value * asked.sample)} rows"
    seen = f"{there.found} of {there.asked} plantings"
    above = f"the dose is above {told.above:.2%}" if told.above else "nothing smaller is ruled out"
    below = f"at most {told.below:.2%}" if told.below is not None else "too few plantings for an upper end"
    return f"{said} of {asked.sample}; {seen}; at 95% {above}, {below})"


def _notes(answer: Answer, told: Dose | None, asked: Asked) -> list[str]:
    notes = []
    if asked.sample < asked.rows:
        drawn = f"{asked.sample} of {asked.rows} rows, drawn with seed {asked.seed}"
        notes.append(f"planted in a sample: {drawn}; in all rows the checks may find less or more")
    if told is not None and not answer.open:
        notes += _strength(answer, told)
    if answer.rungs and answer.loud:
        notes.append(f"{answer.attack}: {', '.join(answer.loud)} alarms on the clean table, which does not count")
    notes += [f"{answer.attack}: {c} could not look at the clean table: {why}" for c, why in answer.blind.items()]
    if answer.rungs and answer.why:
        notes.append(f"{answer.attack}: no higher rate was planted: {answer.why}")
    return notes


def _strength(answer: Answer, told: Dose) -> list[str]:
    """What the attack does where it is first found, or at most, and how well its rows are ranked there."""
    rung = next((r for r in answer.rungs if r.rate == told.value), answer.rungs[-1])
    said = []
    if rung.effects:
        clean, poisoned = (statistics.mean(e[i] for e in rung.effects) for i in (0, 1))
        said.append(f"{answer.success}: {poisoned:.0%} (clean model {clean:.0%})")
    said.append(f"{rung.caught / rung.planted:.0%} of the planted rows are flagged")
    if rung.flagged:
        said.append(f"{rung.caught} of {rung.flagged} flagged rows are planted ones")
    said.append(f"{rung.top / rung.planted:.0%} are among as many of the strongest of {answer.checks[0]}")
    notes = [f"{answer.attack}: at {rung.rate:.2%}, {', '.join(said)}"]
    if elsewhere := sum(r.elsewhere for r in answer.rungs):
        asked = sum(r.asked for r in answer.rungs)
        other = f"in {elsewhere} of {asked} plantings checks alarm over other rows alone, which does not count"
        notes.append(f"{answer.attack}: {other}")
    return notes


def _exhibits(answer: Answer, told: Dose, asked: Asked) -> list[Curve | Table]:
    """The curve, where there is more than a point of it, and the table."""
    return [*([_curve(answer, told, asked)] if len(answer.rungs) > 1 else []), _table(answer)]


def _percent(rate: float) -> str:
    return f"{100 * rate:.4g}%"


def _curve(answer: Answer, told: Dose | None, asked: Asked) -> Curve:
    bounds = [r.bounds() for r in answer.rungs]
    rates = tuple(r.rate for r in answer.rungs)
    series = [
        Series(
            name="found",
            x=rates,
            y=tuple(r.power for r in answer.rungs),
            low=tuple(b[0] for b in bounds),
            high=tuple(b[1] for b in bounds),
        )
    ]
    works = [(r.rate, statistics.mean(e[1] for e in r.effects)) for r in answer.rungs if r.effects]
    if works:
        x, y = zip(*works, strict=True)
        series.append(Series(name="the attack's success", x=x, y=y, role="other"))
    mark = told.value if told is not None else None
    return Curve(
        name=f"dose-{answer.attack}",
        title=f"Detectable dose: {answer.attack}",
        subtitle=f"{answer.summary}; {asked.plantings} plantings a rate in {asked.sample} rows",
        x_label="share of the rows",
        y_label="share of plantings found",
        series=tuple(series),
        mark=mark,
        mark_label=f"found in {POWER:.0%}" if mark is not None else "",
        note="Band: exact 95% interval at each rate.",
    )


def _table(answer: Answer) -> Table:
    rows = []
    for r in answer.rungs:
        low, high = r.bounds()
        effect = statistics.mean(e[1] for e in r.effects) if r.effects else None
        rows.append(
            (
                f"{r.rate:.2%}", f"{r.found} of {r.asked}", round(low, 3), round(high, 3),
                round(r.caught / r.planted, 3), f"{r.caught} of {r.flagged}" if r.flagged else None,
                round(r.top / r.planted, 3), None if effect is None else round(effect, 3),
            )
        )  # fmt: skip
    return Table(
        name=f"dose-{answer.attack}-rates",
        title=f"{answer.attack}, rate by rate",
        subtitle="which share of the planted rows the checks flag, and how many of the flagged rows are planted ones, "
        "over all plantings; recall among as many of the strongest rows",
        columns=("rate", "found", "low", "high", "recall", "planted of flagged", "recall at k", "success"),
        rows=tuple(rows),
        note="Flagged counts rows that are flagged in the clean table too.",
    )
