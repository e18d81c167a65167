"""Watch: rows that came in after training beside their reference; what drifted, how far, and whether to ring."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from assay.adapters.engines import EngineTable
from assay.adapters.frames import arrow_of
from assay.adapters.relation import Relation, open_relation, relation_of
from assay.adapters.scored import DEFAULT_THRESHOLD
from assay.adapters.traffic import (
    ROLES,
    Traffic,
    draw,
    frame_reference,
    inputs_of,
    open_reference,
    reference_of,
)
from assay.attest.files import digest_path
from assay.checks.data.drift import roles
from assay.core.canonical import SCHEMA, Schema, digest_bytes
from assay.core.dossier import Dossier
from assay.core.drift import ColumnDrift
from assay.core.errors import InputError, UsageError
from assay.core.finding import Json, Severity, Status
from assay.core.profile import Reference
from assay.core.protocols import Clock, Progress, silent, system_clock
from assay.core.report import Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.text import visible
from assay.detectors.drift import drift
from assay.detectors.intent import marks, threshold_of
from assay.detectors.nature import Verdict as NatureVerdict
from assay.detectors.scored import doubt
from assay.detectors.vigil import Judged, judge
from assay.engine.inline import InlineExecutor
from assay.engine.plan import Settings, plan
from assay.engine.run import Ran
from assay.flow.examine import report_of
from assay.flow.watch_state import held, load, save
from assay.harden.columns import content_digest

_LOOKED = (Status.PASS, Status.FAIL)
Verdict = Literal["drift", "no drift", "open"]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a watch says: one verdict, what kind of drift it is, every column with its figures, and the report with
    findings and pictures. `nature` is "" where nothing drifted; `new` says that the alarm is of this table, not one of
    an earlier look that stands."""

    schema: Schema = SCHEMA
    verdict: Verdict
    alarm: bool
    new: bool = False
    nature: NatureVerdict | Literal[""]
    columns: tuple[ColumnDrift, ...]
    report: Report

    @property
    def dossier(self) -> Dossier:
        """The report for the renderers."""
        return Dossier(report=self.report)


def reference(
    where: str | Path | EngineTable | Any, facts: Mapping[str, Json], *, threads: int = 1, progress: Progress = silent
) -> Reference:
    """The reference of a table, a saved reference, an engine's table or a frame. Raises InputError or CouldNotLook."""
    if isinstance(where, EngineTable):
        return reference_of(where, dict(facts), progress=progress)
    if isinstance(where, (str, Path)):
        return open_reference(Path(where), str(where), dict(facts), threads=threads, progress=progress)
    return frame_reference(where, "reference", dict(facts))


def marked(before: Reference, where: Path, *, seed: int = 0, threads: int = 1) -> Reference:
    """A reference to be saved, with the marks of its rows: so that later rows can be judged natural or adversarial
    without them. Raises InputError or CouldNotLook."""
    columns = inputs_of(before)
    with open_relation(where, str(where), dict(before.facts), threads=threads) as relation:
        drawn = draw(relation, columns, before.profile.rows, before.facts, seed)
    return replace(before, marks=marks(drawn, columns, threshold_of(before.facts)))


def settings_of(alpha: float, least_effect: float, seed: int) -> Settings:
    """How the checks of a watch are asked: the columns share `alpha`; joint drift and late labels are questions of
    their own, at 1% each at most."""
    columns: dict[str, Json] = {"alpha": alpha, "least_effect": least_effect}
    own: dict[str, Json] = {"alpha": min(0.01, alpha)}
    asked = {"data.drift": columns, "data.drift-nature": columns, "data.joint-drift": own}
    asked["data.drift-over-time"] = {"least_effect": least_effect}  # the state keeps the level
    return Settings(parameters={**asked, "performance.late-labels": own}, seed=seed)


def doubt_of(before: Reference) -> str:
    """Why a reference's scores and labels will say nothing of performance, "" where they do, or there are none."""
    if before.scored is None:
        return ""
    return doubt(before.scored, str(before.facts.get("label", "")), str(before.facts.get("positive", "1")))


def verdict_in_words(found: Watched) -> str:
    """The verdict in a line."""
    if not found.alarm:
        return "no drift" if found.verdict == "no drift" else "open: something could not be compared"
    if not found.new:
        return "drift: an alarm of an earlier look stands"
    if found.nature == "unclear":
        return "drift, unclear whether natural or adversarial"
    return f"drift, looks {found.nature}" if found.nature else "drift"


def watch(
    before: Reference,
    current: str | Path | EngineTable | Any,
    facts: Mapping[str, Json],
    settings: Settings,
    *,
    rows: str | Path | Any | None = None,
    joint: bool = False,
    labels: Path | None = None,
    key: str = "",
    state: Path | None = None,
    alpha: float = 0.05,
    memory: int = 0,
    threads: int = 1,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Watched:
    """Compare the current rows (a table, an engine's table or a frame) with a reference.

    `rows` is the reference's own table or frame, where it is at hand; `joint` asks whether its rows can be told from
    the current ones. `labels` is a table of labels that came later, joined by the column `key`. With `state` this is
    one look of many: what was learned so far is read there and written back, whole or not at all, so that a kill loses
    at most this look. Raises InputError, UsageError (also for facts that the reference was not drawn with) or
    CouldNotLook.
    """
    start, began = clock(), time.perf_counter()
    before = without(
        before,
        facts,
        str(rows) if isinstance(rows, (str, Path)) else "the reference" if rows is not None else "the saved reference",
    )
    fixed: dict[str, Json] = {
        k: before.facts[k] for k in ("positive", "threshold") if k in before.facts
    }  # drawn with these
    told = {**before.facts, **{k: v for k, v in facts.items() if v}, **fixed}
    with held(state), ExitStack() as stack:
        relation, name, uri = _current(current, told, memory, threads)
        _close_with(stack, relation)
        agreed(before, facts, tuple(relation.types), uri)
        subject = Subject(name=name, kind=Kind.TRAFFIC, uri=uri, options=told)
        late = stack.enter_context(open_relation(labels, str(labels), {}, threads=threads)) if labels else None
        own = stack.enter_context(_opened(rows, "reference", told, memory)) if rows is not None else None
        vigil = load(state, before, alpha) if state is not None else None
        traffic = Traffic(
            subject, before, relation, progress, vigil=vigil, labels=late, key=key, rows_before=own, joint=joint
        )
        if state is not None:
            traffic.digest = _digest_of(current, traffic)
        ran = _ran(traffic, subject, settings)
        report = report_of(ran, (subject,), None, None, settings, start, began)
        if state is not None and _counted(report):
            save(state, _judged(traffic, report).after)
        return Watched(**_verdict(report), columns=_columns(traffic, report), report=report)


def _current(
    current: str | Path | EngineTable | Any, told: Mapping[str, Json], memory: int, threads: int
) -> tuple[Relation | EngineTable, str, str]:
    """(the current rows, opened; their name; where they are)."""
    if isinstance(current, EngineTable):
        return current, current.where, current.where
    where = str(current) if isinstance(current, (str, Path)) else "current"
    return _opened(current, "current", told, memory, threads), Path(where).name, where


def _opened(rows: str | Path | Any, name: str, told: Mapping[str, Json], memory: int, threads: int = 1) -> Relation:
    """The rows of a file, or of a frame that goes by `name`."""
    if isinstance(rows, (str, Path)):
        return open_relation(Path(rows), str(rows), dict(told), memory=memory, threads=threads)
    return relation_of(rows, name, memory=memory, threads=threads)


def _close_with(stack: ExitStack, relation: Relation | EngineTable) -> None:
    if isinstance(relation, Relation):
        stack.enter_context(relation)


def _ran(traffic: Traffic, subject: Subject, settings: Settings) -> Ran:
    """Every check of traffic, asked in this process of what is open already."""
    tasks = plan({subject.name: subject}, [(Kind.TRAFFIC, subject.name)], "", Contract(), settings)
    executor = InlineExecutor({subject.name: traffic})
    outcomes = {i: (outcome, seconds) for i, outcome, seconds in executor.run([msgspec.json.encode(t) for t in tasks])}
    durations = {f"{o.check} {o.subject}": seconds for o, seconds in outcomes.values()}
    return Ran(tuple(outcomes[i][0] for i in range(len(tasks))), durations, 0)


def _counted(report: Report) -> bool:
    """Whether a look counts for the state: what else stayed open, such as labels that are too few, does not undo it."""
    asked = next(o for o in report.body.outcomes if o.check == "data.drift-over-time")
    return asked.complete and asked.status in _LOOKED


def _digest_of(current: Any, traffic: Traffic) -> str:
    """What tells one table from another, so that none is counted twice: a file's bytes, a frame's cells; of an engine's
    table, which stays where it is, its counts."""
    if isinstance(current, (str, Path)):
        return digest_path(Path(current))
    if not isinstance(current, EngineTable):
        return content_digest(arrow_of(current, "current"))
    return digest_bytes(msgspec.json.encode(traffic.current))


def _verdict(report: Report) -> dict[str, Any]:
    outcomes = report.body.outcomes
    found = [f for o in outcomes for f in o.findings if (f.severity or Severity.CRITICAL).rank >= Severity.MEDIUM.rank]
    if found:
        new = any(not f.evidence.get("standing") for f in found)
        told = next((f.evidence["verdict"] for o in outcomes for f in o.findings if o.check == "data.drift-nature"), "")
        return {"verdict": "drift", "alarm": True, "new": new, "nature": told}
    blind = any(o.status is Status.OPEN or not o.complete for o in outcomes)
    return {"verdict": "open" if blind else "no drift", "alarm": False, "nature": ""}


def _columns(traffic: Traffic, report: Report) -> tuple[ColumnDrift, ...]:
    """Every column's figures, by the parameters and the seed that the check was asked with; the worst first."""
    if any(o.check == "data.drift-over-time" and o.measures for o in report.body.outcomes):
        return _worst_first(_judged(traffic, report).columns)
    asked = next((o for o in report.body.outcomes if o.check == "data.drift" and o.status in _LOOKED), None)
    if asked is None:
        return ()
    found = drift(
        traffic.reference.profile, traffic.current, **_given(asked.parameters), roles=roles(traffic), seed=asked.seed
    )
    return _worst_first(found.columns)


def _worst_first(columns: tuple[ColumnDrift, ...]) -> tuple[ColumnDrift, ...]:
    return tuple(sorted(columns, key=lambda c: (not c.flagged, -c.effect, c.name)))


def _judged(traffic: Traffic, report: Report) -> Judged:
    """The look as data.drift-over-time saw it: by its parameters and its seed."""
    assert traffic.vigil is not None
    asked = next(o for o in report.body.outcomes if o.check == "data.drift-over-time")
    return judge(
        traffic.vigil, traffic.reference.profile, traffic.current, traffic.digest,
        least_effect=asked.parameters["least_effect"], roles=roles(traffic), seed=asked.seed,  # type: ignore[arg-type]
    )  # fmt: skip


def _given(parameters: dict[str, Json]) -> dict[str, Any]:
    return {name: parameters[name] for name in ("alpha", "least_effect")}


def without(before: Reference, facts: Mapping[str, Json], where: str) -> Reference:
    """The reference without the columns that are not to be compared. Raises InputError for one that it has not."""
    dropped = [str(n) for n in (facts.get("drop") or ())]  # type: ignore[union-attr]
    names = {c.name for c in before.profile.columns}
    known = set(map(str, before.facts.get("drop") or ()))  # type: ignore[arg-type]
    for name in dropped:
        if name not in names | known | {str(before.facts.get(r)) for r in ROLES}:
            raise InputError(f"has no column {visible(name, 60)!r} (--drop)", where=where, fix="check the name")
    apart = {*dropped, *(str(facts[r]) for r in ("id", "time") if facts.get(r))}
    columns = tuple(c for c in before.profile.columns if c.name not in apart)
    return replace(before, profile=replace(before.profile, columns=columns))


def agreed(before: Reference, facts: Mapping[str, Json], names: tuple[str, ...], where: str) -> None:
    """Refuse facts that the reference was not drawn with, and columns that are nowhere: else what they ask for would be
    left out in silence. Raises UsageError or InputError."""
    for fact, usual in (("threshold", DEFAULT_THRESHOLD), ("positive", "1")):
        given, known = facts.get(fact), before.facts.get(fact)
        if known is not None and given not in (None, usual, known):
            what = f"the reference was drawn with {fact} {known!r}, not {visible(str(given), 60)!r}"
            raise UsageError(what, fix="draw it again from its table with the same")
    for role in ROLES:
        name, known = facts.get(role), before.facts.get(role)
        if not name:
            continue
        if known != name and (known is not None or role in ("label", "prediction", "score")):
            what = (
                f"the reference was drawn with {role} {known!r}" if known else f"the reference was drawn without {role}"
            )
            raise UsageError(
                f"{what}, not {visible(str(name), 60)!r}", fix="draw it again from its table with the same"
            )
        if str(name) not in names and role != "label":
            raise InputError(f"has no column {visible(str(name), 60)!r} ({role})", where=where, fix="check the name")


def facts_of(**given: Any) -> dict[str, Json]:
    """What was told of the columns, without what was not. Raises UsageError for two roles on one column."""
    told = {k: list(v) if isinstance(v, tuple) else v for k, v in given.items() if v or v == 0}
    for fact, of in (("positive", "label"), ("threshold", "score")):
        if of not in told:
            told.pop(fact, None)
    seen: dict[str, str] = {}
    for role in ROLES:
        name = told.get(role)
        if name and str(name) in seen:
            raise UsageError(f"{name} cannot be both {seen[str(name)]} and {role}", fix="name one column for each")
        seen[str(name)] = role
    return told
