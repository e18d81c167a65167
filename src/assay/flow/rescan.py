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
from assay.core.protocols import Clock, Progress, silent, system_clock
from assay.core.release import SHIPPED, Release
from assay.core.report import Body, Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.threats import ThreatPack
from assay.engine.plan import Settings, plan, select
from assay.engine.registry import check_ids, load
from assay.engine.run import Ran, run
from assay.flow.examine import in_force, pool_for, report_of
from assay.flow.memory import RESCAN
from assay.flow.project import user
from assay.ledger.entry import ErasedPayload
from assay.ledger.log import Ledger


class Examined(msgspec.Struct, kw_only=True):
    """An artifact that was examined, or that a verdict lets ship: as which subject, of which Releases, when last, and
    which checks a rescan by the pack has found clean already."""

    subject: Subject
    releases: set[str]
    at: int
    clean: set[str]


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What ledgers know: artifacts by (uri, digest), until when each Release was allowed to ship, and how many entries
    cannot be read any more."""

    artifacts: dict[tuple[str, str], Examined]
    allowed: dict[str, datetime]
    unread: int


class Touched(msgspec.Struct, frozen=True):
    """A Release that may ship by a verdict that still holds, and what of it has findings now, or is not at hand."""

    release: str
    until: datetime
    found: tuple[str, ...]
    absent: tuple[str, ...]


class Rescanned(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `clean` artifacts were found so by this pack before, `older` ones are of no Release that ships
    and lie here in another version; `unread` entries of the ledgers tell nothing any more."""

    report: Report
    touched: tuple[Touched, ...]
    clean: int
    older: int
    unread: int


def rescan(
    pack: ThreatPack,
    root: Path,
    books: Iterable[Ledger],
    settings: Settings,
    *,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Rescanned:
    """Examine again, by the pack, every artifact that the ledgers know.

    Only what a rescan by this very pack found clean is left out. Artifacts are looked for below `root` and must have
    the digest that was examined. One that is absent, or another by now, is open where a Release with a valid verdict
    ships it, or where nothing newer of its name was examined. Raises InputError where the ledgers know no artifact,
    VerificationError where one does not hold.
    """
    start, began = clock(), time.perf_counter()
    inventory = read_inventory(books, pack)
    if not inventory.artifacts:
        raise InputError("knows no artifact", where=str(root), fix="`assay run` and `assay gate --ledger` write there")
    live = {release for release, until in inventory.allowed.items() if until > start}
    newest: dict[str, int] = {}
    for (uri, _), known in inventory.artifacts.items():
        newest[uri] = max(known.at, newest.get(uri, known.at))
    asked = {check for check in select(settings) if check in check_ids(Kind.ARTIFACT)}
    here: dict[str, Subject] = {}
    gone: list[tuple[Subject, str]] = []
    clean = older = 0
    for (uri, digest), known in sorted(inventory.artifacts.items()):
        if asked <= known.clean:
            clean += 1
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
    touched = _touched(report, inventory, live)
    return Rescanned(report=report, touched=touched, clean=clean, older=older, unread=inventory.unread)


def read_inventory(books: Iterable[Ledger], pack: ThreatPack) -> Inventory:
    """The artifacts of every run, evidence and verdict in the ledgers. Raises VerificationError where one was edited.

    A verdict names what ships by itself, so that erased evidence hides no Release. What was judged counts by rescans
    alone: evidence is the word of others, and a run can ask less.
    """
    found = Inventory(artifacts={}, allowed={}, unread=0)
    unread = at = 0
    erased: list[str] = []
    for book in books:
        book.verify()
        for entry in book.read():
            at += 1
            if entry.kind not in ("run", "evidence", RESCAN, "verdict"):
                continue
            try:
                payload = book.payload(entry)
                if entry.kind == "verdict":
                    _take_verdict(payload, at, found)
                else:
                    _take(_body(payload), at, found, pack if entry.kind == RESCAN else None)
            except ErasedPayload:
                erased.append(entry.subject_digest)
            except (VerificationError, msgspec.MsgspecError):
                unread += 1
    told = {release for known in found.artifacts.values() for release in known.releases}
    return replace(found, unread=unread + sum(release not in told for release in erased))


def _body(payload: bytes) -> Body:
    """The outcomes of an entry, be it a report (evidence) or the body of one (a run)."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(payload, type=Report).body
    return msgspec.json.decode(payload, type=Body)


def _take_verdict(payload: bytes, at: int, found: Inventory) -> None:
    """What a verdict lets ship."""
    decision, expires, material = claimed_verdict(payload)
    if decision != "allow":
        return
    release = msgspec.convert(material, Release)
    found.allowed[release.digest] = max(expires, found.allowed.get(release.digest, expires))
    for item in release.materials:
        if item.role in SHIPPED:
            subject = Subject(name=item.name, kind=Kind.ARTIFACT, uri=item.uri, digest=item.digest)
            _examined(subject, at, found).releases.add(release.digest)


def _take(body: Body, at: int, found: Inventory, pack: ThreatPack | None) -> None:
    """What a report examined; of a rescan by `pack` also what it found clean, or no more so."""
    artifact_checks = set(check_ids(Kind.ARTIFACT))
    for subject in body.subjects:
        said = [o for o in body.outcomes if o.check in artifact_checks and o.subject == subject.name]
        if not said or not subject.digest:
            continue
        told = {k: v for k, v in subject.options.items() if k in ("allow", "allow_until")}
        known = _examined(replace(subject, kind=Kind.ARTIFACT, reads={}, options=told), at, found)
        if body.release is not None:
            known.releases.add(body.release.digest)
        for outcome in said:
            by_pack = pack is not None and outcome.threats is not None and outcome.threats.digest == pack.digest
            if by_pack and outcome.complete and outcome.status in (Status.PASS, Status.NOT_APPLICABLE):
                known.clean.add(outcome.check)
            elif by_pack:
                known.clean.discard(outcome.check)


def _examined(subject: Subject, at: int, found: Inventory) -> Examined:
    """The artifact's place in the inventory, as it was named last."""
    key = subject.uri, subject.digest
    known = found.artifacts.setdefault(key, Examined(subject=subject, releases=set(), at=at, clean=set()))
    if subject.options or not known.subject.options:
        known.subject = subject
    known.at = at
    return known


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
    ran = run(tasks, None, lambda away: pool_for(away, settings), progress)
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


def write_rescan(book: Ledger, found: Rescanned) -> None:
    """Write what was found in a ledger, so that the next rescan by the same pack knows it."""
    book.append(RESCAN, found.report.body.digest, found.report.body.encode(), f"user:{user()}")
    book.checkpoint()
