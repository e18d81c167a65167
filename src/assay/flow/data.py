"""Ask about a table that no manifest names, and write down the rows that its checks point at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from assay.adapters.relation import open_relation
from assay.adapters.suspects import about_report, write_suspects
from assay.config.manifest import load_threat, project_from
from assay.config.strict_yaml import parse, read_text
from assay.core.dossier import Dossier
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Json
from assay.core.protocols import Progress, silent
from assay.core.report import Report
from assay.core.subject import Contract, Kind, Subject
from assay.core.suspects import Suspects, flagged_rows
from assay.core.text import nearest, visible
from assay.engine.plan import Settings
from assay.flow.examine import examine_loose

OWN = ("annotator", "label_delay", "provenance", "split", "weight")
"""Facts of the table that is asked about alone: rows known to be good need no annotator, and have another manifest."""

MOST_LISTED = 8


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of a table: the contract, facts of the subject, and parameters of checks."""

    contract: Contract
    facts: dict[str, Json] = {}
    parameters: dict[str, dict[str, Json]] = {}


def told_by(where: Path, file: Path) -> Told:
    """What a threat file, or a manifest that names the table at `file`, says of it. Raises InputError or UsageError."""
    contract = load_threat(where)
    document = parse(read_text(where), str(where))
    if not isinstance(document.value, dict) or "subjects" not in document.value:
        return Told(contract=contract)
    project = project_from(document, where.parent)
    parameters = {k: v for k, v in project.manifest.checks.items() if k.startswith("data.")}
    for subject in project.subjects.values():
        if subject.kind is Kind.DATASET and os.path.realpath(project.path(subject.uri)) == os.path.realpath(file):
            facts = dict(subject.options)
            if "label" not in facts:
                facts.pop("positive", None)
            if "provenance" in facts:
                facts["provenance"] = os.path.relpath(project.path(str(facts["provenance"])))
            return Told(contract=contract, facts=facts, parameters=parameters)
    return Told(contract=contract, parameters=parameters)


def check_table(
    file: Path,
    facts: Mapping[str, Json],
    settings: Settings,
    *,
    others: Mapping[str, Path] | None = None,
    contract: Contract | None = None,
    suspects: Path | None = None,
    root: Path | None = None,
    progress: Progress = silent,
) -> Dossier:
    """Ask every check of the table at `file`; `others` are tables that it reads, by role (holdout_of, trusted). Paths
    are under `root`, by default where you stand.

    With `suspects` a Parquet table of the rows that checks point at is written there: row (from 0), check, score
    (higher is worse, comparable inside a check), flagged, reason. Raises InputError or UsageError.
    """
    report, found = ask_table(
        file, facts, settings, others=others, contract=contract, told=True, root=root, progress=progress
    )
    if suspects is not None:
        digest = next(s.digest for s in report.body.subjects if s.name == file.name)
        write_suspects(found, suspects, about_report(report, digest))
    return Dossier(report=report, suspects=flagged_rows(found))


def require_label(file: Path, facts: Mapping[str, Json], root: Path) -> None:
    """Refuse a label that the table has no column for: no check could tell it from a table without one. What cannot be
    read here the checks tell. Raises InputError."""
    label = facts.get("label")
    names: tuple[str, ...] = ()
    with suppress(InputError, CouldNotLook), open_relation(root / file, str(file), dict(facts)) as relation:
        names = tuple(relation.types)
    if names and label and str(label) not in names:
        close = nearest(str(label), names)
        few = names if len(names) <= MOST_LISTED else (*names[: MOST_LISTED - 1], "…", names[-1])
        listed = ", ".join(visible(n, 40) for n in few)
        fix = f"did you mean {close!r}?" if close else f"its columns are {listed}"
        raise InputError(f"has no label column {visible(str(label), 60)!r}", where=str(file), fix=fix)


def ask_table(
    file: Path,
    facts: Mapping[str, Json],
    settings: Settings,
    *,
    others: Mapping[str, Path] | None = None,
    contract: Contract | None = None,
    told: bool = False,
    root: Path | None = None,
    progress: Progress = silent,
) -> tuple[Report, list[Suspects]]:
    """What `check_table` says, and, if `told`, the rows that each check points at."""
    facts = dict(facts)
    require_label(file, facts, root or Path.cwd())
    subjects: dict[str, Subject] = {}
    reads: dict[str, str] = {}
    shared = {k: v for k, v in facts.items() if k not in OWN}
    for role, path in (others or {}).items():
        name = path.name if path.name != file.name and path.name not in subjects else f"{path.name} ({role})"
        subjects[name] = Subject(name=name, kind=Kind.DATASET, uri=str(path), options=shared)
        reads[role] = name
    subjects[file.name] = Subject(name=file.name, kind=Kind.DATASET, uri=str(file), options=facts, reads=reads)
    asked = [(Kind.DATASET, file.name)]
    with tempfile.TemporaryDirectory(prefix="assay-suspects-") as folder:
        settings = replace(settings, aside=folder if told else "")
        report = examine_loose(subjects, asked, contract or Contract(), settings, root=root, progress=progress)
        written = sorted(Path(folder).iterdir())
        return report, [msgspec.msgpack.decode(p.read_bytes(), type=Suspects) for p in written]
