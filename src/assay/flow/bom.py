"""The ML-BOM of files, folders or a project, and what two of them disagree about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from assay.attest.bom.diff import Differences, diff
from assay.attest.bom.document import document, encode
from assay.attest.bom.environment import environment
from assay.attest.bom.inspection import Inspected, Seen, inspect
from assay.attest.bom.parts import Data, Model, Training, Whole, data_of, models_of, papers_of
from assay.attest.bom.read import is_bom, read_bom
from assay.attest.bom.vex import read_vex
from assay.attest.bom.words import OPEN
from assay.attest.files import FileDigest, root_digest
from assay.core.artifact import Artifact, readable
from assay.core.errors import InputError, UsageError
from assay.core.finding import Json
from assay.core.protocols import Clock, Progress, silent, system_clock
from assay.core.subject import Kind, Subject
from assay.core.text import visible
from assay.flow.bom_asked import with_advisories, with_measures
from assay.formats.dependencies.gathered import Gathered, Listed
from assay.formats.dependencies.requirement import Package

if TYPE_CHECKING:
    from assay.config.manifest import Project

_SHOWN = ("label", "positive", "time", "holdout_of", "inputs", "threshold")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a BOM shall hold besides the files: an environment ("" for none), a vulnerability database with the age in
    days that is accepted, a VEX file, a report with measures, and the moment it is made ("" of time without one)."""

    environment: str = ""
    database: Path | None = None
    max_age_days: float = 14.0
    vex: Path | None = None
    report: Path | None = None
    moment: datetime | None = None


class Bom(msgspec.Struct, frozen=True):
    """A BOM: CycloneDX as plain values, and what could not be read or told."""

    document: dict[str, Any]
    open: tuple[str, ...]

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return encode(self.document)


def bom_of_paths(
    paths: Sequence[Path], wanted: Wanted | None = None, *, name: str = "", clock: Clock = system_clock,
    progress: Progress = silent,
) -> Bom:  # fmt: skip
    """The BOM of files and folders; `name` is what the whole is called, by default what the path is called.

    Names in it are relative to the folder, or, of several paths, as they were typed. Raises InputError or UsageError.
    """
    if not paths:
        raise UsageError("nothing to list", fix="name a file or a folder, or run it where assay.yaml lies")
    for path in paths:
        if not path.exists():
            raise InputError("no such file", where=visible(str(path)), fix="check the path")
    alone = len(paths) == 1
    uris = ["." if alone and path.is_dir() else (alone and name) or _called(path, alone) for path in paths]
    if len(set(uris)) < len(uris):
        raise UsageError("two of the paths have the same name", fix="name the folder that they lie in")
    title = name or (_called(paths[0], True) if alone else "several paths")
    parts = [inspect(Artifact(name=uri, path=path, uri=uri), progress) for uri, path in zip(uris, paths, strict=True)]
    models = tuple(m for part, uri in zip(parts, uris, strict=True) for m in models_of(part, title if alone else uri))
    whole = _whole(title, "file" if alone and paths[0].is_file() else "application", parts)
    measured: dict[str, Any] = {"files": len(whole.files), "size": _total(whole.files)}
    if alone and paths[0].is_dir() and (digest := _root_digest(whole.files)):
        measured["root-digest"] = digest
    whole = replace(
        whole, models=_digested(models, whole.files), measured=measured,
        data=tuple(d for part in parts for d in data_of(part)),
    )  # fmt: skip
    return _finished(whole, wanted or Wanted(), clock)


def bom_of_project(
    where: Path, wanted: Wanted | None = None, *, clock: Clock = system_clock, progress: Progress = silent
) -> Bom:
    """The BOM of a project: every subject of its manifest, the Release, and how it was trained. Raises InputError."""
    from assay.config.address import is_address
    from assay.config.manifest import load_project
    from assay.flow.release import build_release, digest_subjects
    from assay.flow.workspace import DigestMemory

    project = load_project(where)
    memory = DigestMemory(Path(), trust=False)
    digested = digest_subjects(project, memory, progress)
    release = build_release(project, digested, memory)
    parts: dict[str, Inspected] = {}
    for subject in digested.subjects.values():
        if is_address(subject.uri):
            parts[subject.uri] = Inspected(files=(), papers={}, packages=Gathered((), (), False))
        elif subject.uri not in parts:
            at = Artifact(name=subject.name, path=project.path(subject.uri), uri=subject.uri)
            parts[subject.uri] = inspect(at, progress)
    training = project.manifest.training
    if training.environment is not None and training.environment not in parts:
        at = Artifact(name="environment", path=project.path(training.environment), uri=training.environment)
        parts[training.environment] = inspect(at, progress)
    whole = _whole(project.manifest.system.name, "application", list(parts.values()))
    whole = replace(
        whole,
        models=tuple(m for s in digested.subjects.values() for m in _models(s, project, parts[s.uri])),
        data=tuple(_data(s, parts[s.uri]) for s in digested.subjects.values() if s.kind is Kind.DATASET),
        facts=_system(project),
        measured={"release": release.digest if release is not None else "", "files": len(whole.files)},
        training=_training(project),
    )
    return _finished(whole, wanted or Wanted(), clock)


def compare(old: Path, new: Path, *, progress: Progress = silent) -> tuple[Differences, tuple[str, ...]]:
    """What two BOM files, or the BOMs of two paths, disagree about, and what of either could not be read.

    Raises InputError.
    """
    both = [read_bom(path) if path.is_file() and is_bom(path) else None for path in (old, new)]
    for path, known in zip((old, new), both, strict=True):
        if known is None and any(both) and path.suffix.lower() == ".json" and path.is_file():
            raise InputError("is no CycloneDX file, or a torn one", where=visible(str(path)), fix="write it again")
    title = _called(new, True)
    made = [
        known if known is not None else _by_path(path, title, progress)
        for path, known in zip((old, new), both, strict=True)
    ]
    return diff(made[0], made[1]), tuple(dict.fromkeys([*_open_in(made[0]), *_open_in(made[1])]))


def _by_path(path: Path, title: str, progress: Progress) -> dict[str, Any]:
    """The BOM of a path to compare; a file goes by the other one's name."""
    return bom_of_paths([path], name=title, progress=progress).document


def _open_in(bom: dict[str, Any]) -> list[str]:
    """What a BOM says could not be read."""
    found: list[str] = []
    pending: list[Any] = [bom.get("metadata", {}).get("component"), *bom.get("components", [])]
    while pending:
        item = pending.pop()
        if not isinstance(item, dict):
            continue
        listed = item.get("properties")
        for said in listed if isinstance(listed, list) else ():
            if isinstance(said, dict) and said.get("name") == OPEN:
                found.append(visible(f"{item.get('name', '')}: {said.get('value', '')}", 400))
        inner = item.get("components")
        pending += inner if isinstance(inner, list) else []
    return sorted(found)


# Parts


def _called(path: Path, alone: bool) -> str:
    """What a path is called in a BOM: no machine's folders in it."""
    typed = PurePath(path)
    inside = not typed.is_absolute() and ".." not in typed.parts and typed.parts
    if inside and not alone:
        return readable(typed.as_posix())
    return readable(typed.name if typed.name not in ("", "..") else Path(path).resolve().name or "root")


def _whole(name: str, kind: str, parts: list[Inspected]) -> Whole:
    files: dict[str, Seen] = {}
    packages: dict[tuple[str, Package], Listed] = {}
    gaps: list[str] = []
    papers = None
    for part in parts:
        files.update({seen.name: seen for seen in part.files})
        packages.update({(item.uri, item.package): item for item in part.packages.packages})
        gaps += part.packages.gaps
        if "" in part.papers:
            papers = part.papers[""] if papers is None else papers.joined(part.papers[""])
    whole = Whole(name=name, kind=kind, files=tuple(files[n] for n in sorted(files)), gaps=tuple(dict.fromkeys(gaps)))
    listed = tuple(packages[key] for key in sorted(packages, key=lambda k: (k[1].name, k[1].version, k[0])))
    return replace(whole, packages=listed, papers=papers) if papers is not None else replace(whole, packages=listed)


def _total(files: tuple[Seen, ...]) -> int:
    return sum(seen.digests.size for seen in files if seen.digests is not None)


def _root_digest(files: tuple[Seen, ...]) -> str:
    """The digest of a folder, as signatures and reports give it; "" where a file could not be hashed."""
    known = [FileDigest(seen.name, seen.digests.sha256) for seen in files if seen.digests is not None]
    return f"sha256:{root_digest(known)}" if known and len(known) == len(files) else ""


def _digested(models: tuple[Model, ...], files: tuple[Seen, ...]) -> tuple[Model, ...]:
    """Models with the digest that a report names them by: of their one file, else of the whole folder."""
    known = {seen.name: f"sha256:{seen.digests.sha256}" for seen in files if seen.digests is not None}
    folder = _root_digest(files) if any(len(model.files) > 1 for model in models) else ""
    return tuple(replace(m, digest=known.get(m.files[0], "") if len(m.files) == 1 else folder) for m in models)


def _models(subject: Subject, project: Project, part: Inspected) -> tuple[Model, ...]:
    """The model that a subject is; of another artifact, those that lie in it."""
    if subject.kind is Kind.DATASET:
        return ()
    if subject.kind is not Kind.MODEL:
        return models_of(part, subject.uri)
    files = tuple(seen.name for seen in part.files)
    data = tuple(dict.fromkeys(subject.reads[r] for r in ("data", "holdout") if r in subject.reads))
    labelled = any("label" in project.subjects[name].options for name in data)
    system = project.manifest.system
    ships = subject.name == project.model
    facts: dict[str, Any] = {key: subject.options[key] for key in _SHOWN if key in subject.options}
    facts["role"] = "ships" if ships else "champion or other"
    facts |= {f"reads.{role}": name for role, name in subject.reads.items()}
    return (
        Model(
            name=subject.name,
            files=files,
            papers=papers_of(files, part.papers, subject.uri if part.papers else None),
            data=data,
            approach="supervised" if labelled else "",
            facts=facts,
            sections={"useCases": system.purpose, "users": system.affected} if ships else {},
            digest=subject.digest,
        ),
    )


def _data(subject: Subject, part: Inspected) -> Data:
    facts: dict[str, Any] = {key: subject.options[key] for key in _SHOWN if key in subject.options}
    return Data(name=subject.name, files=tuple(seen.name for seen in part.files), facts={**facts, **subject.reads})


def _system(project: Project) -> dict[str, Json]:
    told: dict[str, Json] = msgspec.to_builtins(project.manifest.system)
    return {f"system.{key}": value for key, value in told.items()}


def _training(project: Project) -> Training | None:
    """How the model that ships was made, as far as the manifest says it."""
    if project.model is None:
        return None
    model, said = project.subjects[project.model], project.manifest.training
    data = (model.reads["data"],) if "data" in model.reads else ()
    facts = {"code": said.code, "environment": said.environment}
    return Training(model=model.name, data=data, facts=facts) if data or any(facts.values()) else None


def _finished(whole: Whole, wanted: Wanted, clock: Clock) -> Bom:
    if wanted.environment:
        whole = replace(whole, environment=environment(wanted.environment))
    if wanted.vex is not None:
        if wanted.database is None:
            raise UsageError("--vex needs the vulnerabilities that it speaks of", fix="add --database")
        whole = replace(whole, statements=read_vex(wanted.vex))
    if wanted.database is not None:
        whole = with_advisories(whole, wanted.database, timedelta(days=wanted.max_age_days), clock())
    if wanted.report is not None:
        whole = with_measures(whole, wanted.report)
    return Bom(document(whole, wanted.moment), whole.open)
