"""From a project on disk to digested subjects and the Release that they make."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.attest.files import hash_files, root_digest
from assay.attest.signature import OWN
from assay.config.address import is_address
from assay.config.manifest import Project
from assay.core.errors import InputError
from assay.core.protocols import Progress, silent
from assay.core.release import Material, Release, Role, Terms
from assay.core.subject import Kind, Subject
from assay.flow.workspace import DigestMemory

EXTRAS = {"preprocessing": Role.PREPROCESSING, "guard_rules": Role.GUARD_RULES, "modules": Role.CODE}
READ = {"data": Role.TRAINING_DATA, "holdout": Role.HOLDOUT, "champion": Role.CHAMPION}


class Digested(msgspec.Struct, frozen=True):
    """Subjects with their digests, and for folders the digest of each file."""

    subjects: dict[str, Subject]
    files: dict[str, dict[str, str]]


def digest_subjects(project: Project, memory: DigestMemory, progress: Progress = silent) -> Digested:
    """Digest every subject of the manifest, preprocessing and guard rules included. Raises InputError.

    A model behind an address has none: it is declared, and its digest stays empty.
    """
    listed = dict(project.subjects)
    for subject in project.subjects.values():
        for option in EXTRAS:
            if option in subject.options:
                name = f"{subject.name}.{option}"
                listed[name] = Subject(name=name, kind=Kind.ARTIFACT, uri=str(subject.options[option]))
    subjects: dict[str, Subject] = {}
    files: dict[str, dict[str, str]] = {}
    for position, (name, subject) in enumerate(listed.items()):
        progress(position, len(listed), f"hashing {subject.uri}")
        served = subject.kind is Kind.MODEL and is_address(subject.uri)
        digest, inside = ("", {}) if served else _digest(project.path(subject.uri), subject, memory)
        subjects[name] = replace(subject, digest=digest)
        files[name] = inside
    memory.save()
    return Digested(subjects, files)


def _digest(path: Path, subject: Subject, memory: DigestMemory) -> tuple[str, dict[str, str]]:
    if not path.is_dir():
        return memory.digest(path), {}
    if subject.kind is Kind.DATASET:
        raise InputError("is a folder, not a table", where=subject.uri, fix="name a CSV, Parquet or Arrow file")
    found = hash_files(path, ignore=OWN)
    if not found:
        raise InputError("is an empty folder", where=subject.uri, fix="name a folder that holds the model")
    return f"sha256:{root_digest(found).removeprefix('sha256:')}", {f.name: f.sha256 for f in found}


def build_release(project: Project, digested: Digested, memory: DigestMemory) -> Release | None:
    """The Release that the manifest describes, or None where it names no model."""
    if project.model is None:
        return None
    model = digested.subjects[project.model]
    materials = [_material(model, Role.MODEL, digested)]
    for option, role in EXTRAS.items():
        name = f"{model.name}.{option}"
        if name in digested.subjects:
            materials.append(_material(digested.subjects[name], role, digested))
    for subject in project.subjects.values():
        if subject.kind is Kind.ARTIFACT:
            materials.append(_material(digested.subjects[subject.name], Role.ARTIFACT, digested))
    for reads, role in READ.items():
        if reads in model.reads:
            name = model.reads[reads]
            materials.append(_material(digested.subjects[name], role, digested))
            extras = (f"{name}.{option}" for option in EXTRAS)
            materials += [_material(digested.subjects[n], role, digested) for n in extras if n in digested.subjects]
    environment = project.manifest.training.environment
    if environment is not None:
        digest = memory.digest(project.path(environment))
        materials.append(Material(name="environment", role=Role.ENVIRONMENT, uri=environment, digest=digest))
    return Release(
        system=project.manifest.system.name,
        materials=tuple(materials),
        threshold={name: _threshold(project.subjects[name]) for name in (model.name, *_champion(model))},
        terms=terms_of(project, model),
        code=project.manifest.training.code,
        declared=msgspec.to_builtins(project.manifest.system),
    )


def _material(subject: Subject, role: Role, digested: Digested) -> Material:
    return Material(
        name=subject.name, role=role, uri=subject.uri, digest=subject.digest, files=digested.files.get(subject.name, {})
    )


def _champion(model: Subject) -> tuple[str, ...]:
    return (model.reads["champion"],) if "champion" in model.reads else ()


def _threshold(model: Subject) -> float:
    threshold = model.options["threshold"]
    assert isinstance(threshold, (int, float))  # the manifest always gives one
    return float(threshold)


def terms_of(project: Project, model: Subject) -> Terms:
    """What the figures rest on besides files: the contract, and the manifest's facts about model, data and champion."""
    facts = {reads: dict(project.subjects[name].options) for reads, name in model.reads.items() if reads in READ}
    own = {k: v for k, v in model.options.items() if k != "threshold"}
    return Terms(contract=project.contract, model=own, reads=facts)


def asked_of(project: Project, digested: Digested) -> list[tuple[Kind, str]]:
    """What is examined: every file that ships or is loaded, every table, and the model that ships."""
    asked: list[tuple[Kind, str]] = []
    for name, subject in digested.subjects.items():
        if subject.kind is Kind.DATASET:
            asked.append((Kind.DATASET, name))
        else:
            asked.append((Kind.ARTIFACT, name))
    if project.model is not None:
        asked.append((Kind.MODEL, project.model))
    return asked
