"""Rescan: what a ledger knows to have been examined before a threat pack came out, examined again by it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.attest.files import digest_path
from assay.attest.vsa import claimed_verdict
from assay.core.canonical import short
from assay.core.errors import AssayError, InputError, VerificationError
from assay.core.finding import Outcome, Severity, Status
from assay.core.protocols import Clock, Log, Progress, silent, system_clock
from assay.core.report import Body, Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.threats import PackRef, ThreatPack
from assay.engine.plan import Settings, plan, select
from assay.engine.registry import check_ids, load
from assay.engine.run import Ran, run
from assay.flow.examine import in_force, pool_for, report_of
from assay.flow.project import user
from assay.ledger.entry import ErasedPayload


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that was examined: as which subject, of which Releases ("" for none), and when last."""

    subject: Subject
    releases: frozenset[str]
    judged: tuple[PackRef | None, ...]
    at: int


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What ledgers know: artifacts by (uri, digest), and until when each Release was allowed to ship."""

    artifacts: dict[tuple[str, str], Known]
    allowed: dict[str, datetime]


class Touched(msgspec.Struct, frozen=True):
    """A Release that may ship by a verdict that still holds, and what of it has findings now, or is not at hand."""

    release: str
    until: datetime
    found: tuple[str, ...]
    absent: tuple[str, ...]


class Rescanned(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `current` artifacts were judged by this pack already, `older` ones are of no Release that ships
    and lie here in another version."""

    report: Report
    touched: tuple[Touched, ...]
    current: int
    older: int


def rescan(
    pack: ThreatPack,
    root: Path,
    books: Iterable[Log],
    settings: Settings,
    *,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Rescanned:
    """Examine again, by the pack, every artifact that the ledgers know and that an older pack, or none, has judged.

    Artifacts are looked for below `root` and must have the digest that was examined. One that is absent, or another by
    now, is open where a Release with a valid verdict ships it, or where nothing newer of its name was examined.
    Raises InputError where the ledgers know no artifact.
    """
    start, began = clock(), time.perf_counter()
    inventory = read_inventory(books)
    if not inventory.artifacts:
        raise InputError("knows no artifact", where=str(root), fix="`assay run` and `assay gate --ledger` write there")
    now = clock()
    live = {release for release, until in inventory.allowed.items() if until > now}
    newest = {uri: max(k.at for (u, _), k in inventory.artifacts.items() if u == uri) for uri, _ in inventory.artifacts}
    here: dict[str, Subject] = {}
    gone: list[tuple[Subject, str]] = []
    current = older = 0
    for (uri, digest), known in sorted(inventory.artifacts.items()):
        if all(_as_new(judged, pack) for judged in known.judged):
            current += 1
            continue
        progress(len(here), len(inventory.artifacts), f"hashing {uri}")
        name = known.subject.name if known.subject.name not in here else f"{known.subject.name}@{short(digest)}"
        subject = replace(known.subject, name=name)
        if why := _absent(root / uri, digest):
            if known.releases & live or known.at == newest[uri]:
                gone.append((subject, why))
            else:
                older += 1
        else:
            here[name] = subject
    ran = _ask(here, gone, root, replace(settings, threats=in_force(pack)), progress)
    subjects = (*here.values(), *(subject for subject, _ in gone))
    report = report_of(ran, subjects, None, None, settings, start, began)
    return Rescanned(report=report, touched=_touched(report, inventory, live), current=current, older=older)


def read_inventory(books: Iterable[Log]) -> Inventory:
    """The artifacts of every run and every evidence in the ledgers, and the verdicts that let a Release ship.

    An entry whose payload was erased, or that another version wrote, tells nothing.
    """
    artifacts: dict[tuple[str, str], Known] = {}
    allowed: dict[str, datetime] = {}
    at = 0
    for book in books:
        for entry in book.read():
            at += 1
            if entry.kind not in ("run", "evidence", "rescan", "verdict"):
                continue
            try:
                payload = book.payload(entry)
            except ErasedPayload:
                continue
            if entry.kind == "verdict":
                with suppress(VerificationError):
                    decision, release, expires = claimed_verdict(payload)
                    if decision == "allow":
                        allowed[release] = max(expires, allowed.get(release, expires))
            elif (body := _body(payload)) is not None:
                _take(body, at, artifacts)
    return Inventory(artifacts=artifacts, allowed=allowed)


def _body(payload: bytes) -> Body | None:
    """The outcomes of an entry, be it a report (evidence) or the body of one (a run)."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(payload, type=Report).body
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(payload, type=Body)
    return None


def _take(body: Body, at: int, artifacts: dict[tuple[str, str], Known]) -> None:
    asked = set(check_ids(Kind.ARTIFACT))
    release = frozenset({body.release.digest} if body.release is not None else ())
    for subject in body.subjects:
        said = [o for o in body.outcomes if o.check in asked and o.subject == subject.name]
        if not said or not subject.digest:
            continue
        key = subject.uri, subject.digest
        before = artifacts.get(key)
        told = {k: v for k, v in subject.options.items() if k in ("allow", "allow_until")}
        artifacts[key] = Known(
            subject=replace(subject, kind=Kind.ARTIFACT, reads={}, options=told),
            releases=release | (before.releases if before is not None else frozenset()),
            judged=tuple({o.check: o.threats for o in said}.values()),
            at=at,
        )


def _as_new(judged: PackRef | None, pack: ThreatPack) -> bool:
    """Whether an outcome was judged by this pack, or by a newer version of it."""
    mine = pack.ref
    return judged is not None and judged.name == mine.name and judged.version >= mine.version


def _absent(path: Path, digest: str) -> str:
    """Why what was examined does not lie at a path; "" where it does."""
    try:
        if not path.exists():
            return "is not here any more, so nobody can look again"
        if digest_path(path) != digest:
            return f"is another file by now; what was examined is {short(digest)}"
    except (AssayError, OSError) as error:
        return f"cannot be read: {error}"
    return ""


def _ask(
    here: dict[str, Subject], gone: list[tuple[Subject, str]], root: Path, settings: Settings, progress: Progress
) -> Ran:
    asked = [(Kind.ARTIFACT, name) for name in here]
    tasks = plan(here, asked, str(root.resolve()), Contract(), settings) if asked else []
    ran = run(tasks, None, lambda: pool_for(tasks, settings), progress)
    open_ = tuple(outcome for subject, why in gone for outcome in _unasked(subject, why, settings))
    return Ran(ran.outcomes + open_, ran.durations, ran.cached)


def _unasked(subject: Subject, why: str, settings: Settings) -> Iterator[Outcome]:
    for check in (i for i in check_ids(Kind.ARTIFACT) if i in select(settings)):
        yield Outcome(
            check=check,
            version=load(check).spec.version,
            subject=subject.name,
            subject_digest=subject.digest,
            status=Status.OPEN,
            complete=False,
            reason=f"{subject.uri}: {why}",
            threats=settings.threats.pack if settings.threats is not None else None,
        )


def _touched(report: Report, inventory: Inventory, live: set[str]) -> tuple[Touched, ...]:
    """The Releases that may ship and whose artifacts are not clean by the pack."""
    found: dict[str, set[str]] = {}
    absent: dict[str, set[str]] = {}
    by_name = {subject.name: subject for subject in report.body.subjects}
    for outcome in report.body.outcomes:
        subject = by_name[outcome.subject]
        worse = any((f.severity or Severity.CRITICAL).rank >= Severity.MEDIUM.rank for f in outcome.findings)
        for release in inventory.artifacts[subject.uri, subject.digest].releases & live:
            if worse:
                found.setdefault(release, set()).add(subject.uri)
            elif outcome.reason and not outcome.complete:
                absent.setdefault(release, set()).add(subject.uri)
    return tuple(
        Touched(r, inventory.allowed[r], tuple(sorted(found.get(r, ()))), tuple(sorted(absent.get(r, ()))))
        for r in sorted({*found, *absent})
    )


def write_rescan(book: Log, found: Rescanned) -> None:
    """Write what was found in a ledger, so that the next rescan by the same pack knows it."""
    book.append("rescan", found.report.body.digest, found.report.body.encode(), f"user:{user()}")
    book.checkpoint()
