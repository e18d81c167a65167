"""The main job as one call: digest, examine, decide by the policy, write it in the ledger, sign the evidence."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.attest.keys import PrivateKey, PublicKey
from assay.config.manifest import Project, load_project
from assay.config.policy_file import Policy, load_policy
from assay.core.decision import Decision
from assay.core.dossier import Dossier, Vouch
from assay.core.errors import InputError, UsageError
from assay.core.protocols import Clock, Log, Progress, silent, system_clock
from assay.core.release import Release
from assay.core.report import Report
from assay.core.threats import Packs, ThreatPack
from assay.engine.plan import Settings
from assay.flow.coverage import coverage_of
from assay.flow.examine import examine_project, in_force
from assay.flow.gate import preview
from assay.flow.papers import sign_report, trusted_threats
from assay.flow.release import Digested, asked_of, build_release, digest_subjects
from assay.flow.workspace import DigestMemory, Workspace


class Ran(msgspec.Struct, frozen=True):
    """A dossier to show, and the signed evidence (empty when nobody signed)."""

    dossier: Dossier
    evidence: bytes = b""


def run_project(
    where: Path,
    settings: Settings,
    *,
    policy: Path | None = None,
    signer: PrivateKey | None = None,
    remember: bool = True,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Ran:
    """Examine a project and decide by its policy. Raises InputError or UsageError for what the manifest gets wrong.

    Evidence that is signed is computed from bytes that were read now, never from remembered digests or outcomes.
    """
    from assay.flow.book import open_book

    project = load_project(where)
    written = _policy(project, policy)
    workspace = Workspace(project.root, clock)
    workspace.prepare()
    with open_book(workspace.ledger, clock) as book:  # a ledger that is damaged is told before the work, not after
        return _run(project, written, workspace, book, settings, signer, remember and signer is None, clock, progress)


def _run(
    project: Project,
    written: Policy | None,
    workspace: Workspace,
    book: Log,
    settings: Settings,
    signer: PrivateKey | None,
    remember: bool,
    clock: Clock,
    progress: Progress,
) -> Ran:
    memory = DigestMemory(workspace.cache / "digests.json", trust=remember)
    digested = digest_subjects(project, memory, progress)
    if signer is not None:
        _all_digested(digested)
    release = build_release(project, digested, memory)
    pack = _threats(project)
    settings = replace(settings, parameters=project.manifest.checks, threats=in_force(pack))
    report = _examine(project, digested, release, settings, workspace, remember, clock, progress)
    if signer is not None:
        _unchanged(project, digested)
    decision, vouches = _decide(report, written, clock, pack)
    evidence = sign_report(report, signer) if signer is not None else b""
    _log(book, report, signer)
    dossier = Dossier(report=report, decision=decision, vouches=vouches, coverage=coverage_of(report, decision))
    return Ran(dossier, evidence)


def _all_digested(digested: Digested) -> None:
    """Evidence binds to digests. Raises UsageError for a model behind an address, which may change under its name."""
    for subject in digested.subjects.values():
        if not subject.digest:
            what = "is behind an address and has no digest, so that no evidence of it can be signed"
            raise UsageError(what, where=subject.uri, fix="run without --key, or examine the model's file")


def _unchanged(project: Project, digested: Digested) -> None:
    """Nothing may change between being hashed and being vouched for. Raises InputError naming what did."""
    again = digest_subjects(project, DigestMemory(Path(), trust=False))
    for name, subject in again.subjects.items():
        if subject.digest != digested.subjects[name].digest:
            raise InputError("changed while it was examined", where=subject.uri, fix="run again, and let it rest")


def _policy(project: Project, given: Path | None) -> Policy | None:
    if given is not None:
        return load_policy(given)
    uri = project.manifest.policy
    return load_policy(project.root / uri) if uri is not None else None


def _examine(
    project: Project,
    digested: Digested,
    release: Release | None,
    settings: Settings,
    workspace: Workspace,
    remember: bool,
    clock: Clock,
    progress: Progress,
) -> Report:
    asked = asked_of(project, digested)
    if not asked:
        raise UsageError("names no subject", where=str(project.root / "assay.yaml"), fix="add one under `subjects:`")
    return examine_project(
        project,
        digested.subjects,
        asked,
        release,
        settings,
        cache=workspace.cache if remember else None,
        clock=clock,
        progress=progress,
    )


def _threats(project: Project) -> ThreatPack | None:
    """The threat pack that the manifest names, its signature checked."""
    entry = project.manifest.threats
    if entry is None:
        return None
    return trusted_threats(project.path(entry.pack), PublicKey.from_text(entry.key))


def _decide(
    report: Report, policy: Policy | None, clock: Clock, pack: ThreatPack | None
) -> tuple[Decision | None, tuple[Vouch, ...]]:
    if policy is None:
        return None, ()
    return preview(report, policy, clock(), "this run", pack.alone if pack is not None else Packs())


def _log(book: Log, report: Report, signer: PrivateKey | None) -> None:
    release = report.body.release
    actor = signer.public.id if signer is not None else f"user:{user()}"
    book.append("run", release.digest if release else report.body.digest, report.body.encode(), actor)
    book.checkpoint()


def user() -> str:
    """Who runs this: the login name, or the number where the system knows no name for it (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def examine_only(
    where: Path, settings: Settings, *, clock: Clock = system_clock, progress: Progress = silent
) -> Report:
    """Ask the selected checks of a project, with its manifest's parameters, and decide nothing."""
    project = load_project(where)
    memory = DigestMemory(Path(), trust=False)
    digested = digest_subjects(project, memory, progress)
    release = build_release(project, digested, memory)
    settings = replace(settings, parameters=project.manifest.checks, threats=in_force(_threats(project)))
    return examine_project(
        project,
        digested.subjects,
        asked_of(project, digested),
        release,
        settings,
        cache=None,
        clock=clock,
        progress=progress,
    )
