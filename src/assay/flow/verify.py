"""Verify: does this verdict allow exactly what lies here, now? Needs public keys only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.attest.files import FileDigest, hash_files, require_same
from assay.attest.keys import PublicKey
from assay.attest.signature import OWN
from assay.attest.vsa import Demand, VerdictView, verify_verdict
from assay.config.manifest import NAME, Project, load_project
from assay.core.canonical import short
from assay.core.errors import InputError, VerificationError
from assay.core.release import SHIPPED, Material, Release, Role, differences
from assay.core.subject import Kind, Subject
from assay.flow.join import contradiction
from assay.flow.release import Digested, build_release, digest_subjects
from assay.flow.workspace import DigestMemory


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict that holds here. `unchecked` names materials (never shipped ones) that do not lie on this machine."""

    view: VerdictView
    release: Release
    files: tuple[str, ...] = ()
    settings: bool = False
    unchecked: tuple[str, ...] = ()


def verify_release(
    envelope: bytes,
    keys: Iterable[PublicKey],
    now: datetime,
    *,
    at: Path | None,
    files_only: bool = False,
    demand: Demand | None = None,
    where: str = "",
) -> Verified:
    """Verify a verdict and, with `at`, that the files and settings below it are the Release that was allowed.

    Raises VerificationError naming the changed file or setting. Settings (threshold, contract) are read from the
    assay.yaml at `at`; without one only `files_only` goes on, and says so.
    """
    view = verify_verdict(envelope, keys, now, demand=demand, root=at, where=where)
    try:
        allowed = msgspec.convert(view.verdict.material, Release)
    except msgspec.ValidationError:
        raise VerificationError("holds a release of another shape", where=where) from None
    if allowed.digest != view.verdict.release or set(allowed.shipped().items()) != {
        (f.name, f.sha256) for f in view.verdict.files
    }:
        raise VerificationError("the verdict contradicts itself: its release is another", where=where)
    why = contradiction(allowed)
    if why:
        raise VerificationError(f"the verdict contradicts itself: {why}", where=where)
    if at is None:
        return Verified(view=view, release=allowed)
    names = tuple(f.name for f in view.verdict.files)
    _nothing_added(allowed, at)
    if files_only:
        return Verified(view=view, release=allowed, files=names)
    if not (at / NAME).exists():
        fix = "deploy it beside the model, or say --files-only"
        raise VerificationError(
            f"{NAME} is missing, so threshold and contract cannot be checked", where=str(at), fix=fix
        )
    found, unchecked = _release_here(load_project(at), allowed)
    if found.digest != allowed.digest:
        why = "; ".join(differences(allowed, found)) or "other facts"
        what = f"this is Release {short(found.digest)}, the verdict allows {short(allowed.digest)}: {why}"
        raise VerificationError(what, where=str(at), fix="what ships changed: gate the new Release")
    return Verified(view=view, release=allowed, files=names, settings=True, unchecked=unchecked)


def _nothing_added(allowed: Release, at: Path) -> None:
    """A folder that ships holds its files and no other. Raises VerificationError naming what was added."""
    for material in allowed.materials:
        if material.role in SHIPPED and material.files:
            expected = (FileDigest(name, hex_) for name, hex_ in material.files.items())
            require_same(expected, hash_files(at / material.uri, ignore=OWN), where=str(at / material.uri))


def _release_here(project: Project, allowed: Release) -> tuple[Release, tuple[str, ...]]:
    """The Release that the manifest here describes; what does not ship and is not here is taken from the verdict."""
    memory = DigestMemory(Path(), trust=False)
    absent: dict[str, Material] = {}
    for material in allowed.materials:
        if material.role not in SHIPPED and not (project.root / material.uri).exists():
            absent[material.name] = material
    here = {n: s for n, s in project.subjects.items() if project.path(s.uri).exists()}
    partial = replace(project, subjects={n: s for n, s in here.items() if n not in absent})
    digested = digest_subjects(partial, memory)
    subjects = dict(digested.subjects)
    for name, material in absent.items():
        if name in project.subjects:
            subjects[name] = replace(project.subjects[name], digest=material.digest)
        elif material.role is Role.CHAMPION:  # its preprocessing or modules
            subjects[name] = Subject(name=name, kind=Kind.ARTIFACT, uri=material.uri, digest=material.digest)
    if project.model is not None and project.model not in subjects:
        raise VerificationError("the model is missing", where=str(project.root), fix="deploy the files of the Release")
    environment = absent.get("environment")
    files = {**digested.files, **{name: material.files for name, material in absent.items()}}
    found = _build(project, Digested(subjects, files), memory, environment)
    return found, tuple(sorted(absent))


def _build(project: Project, digested: Digested, memory: DigestMemory, environment: Material | None) -> Release:
    training = project.manifest.training
    if environment is not None:
        training = replace(training, environment=None)
    project = replace(project, manifest=replace(project.manifest, training=training))
    try:
        release = build_release(project, digested, memory)
    except KeyError as error:
        what = f"{error.args[0]} is named in {NAME} but is neither here nor in the verdict"
        raise VerificationError(what, where=str(project.root)) from None
    if release is None:
        raise VerificationError(f"{NAME} names no model", where=str(project.root))
    return replace(release, materials=(*release.materials, environment)) if environment is not None else release


def release_for(source: str) -> Release:
    """The Release that a person means: a project folder, or an evidence bundle (its signature is the gate's to judge).

    Raises InputError or UsageError for anything else.
    """
    from assay.attest import statement as st
    from assay.core.report import Report
    from assay.flow.papers import read_paper

    path = Path(source)
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        project = load_project(path)
        memory = DigestMemory(Path(), trust=False)
        release = build_release(project, digest_subjects(project, memory), memory)
        if release is None:
            raise InputError("names no model, so there is no Release", where=source)
        return release
    data = read_paper(path)
    statement = st.claimed(data, where=source)
    if statement.predicate_type != st.EVIDENCE:
        raise InputError(
            "is not an evidence bundle", where=source, fix="give one written by `assay run --evidence-out`"
        )
    report = statement.read(Report, where=source)
    if report.body.release is None:
        raise InputError("speaks of no Release", where=source)
    return report.body.release
