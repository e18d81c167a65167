"""Asks one check of one subject in this process, handing on each finding the moment it is yielded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.core.adversaries import Adversaries
from assay.core.artifact import Artifact, Source
from assay.core.check import CheckSpec, Yielded
from assay.core.errors import AssayError, CouldNotLook, NotApplicable
from assay.core.files import write_whole
from assay.core.finding import Finding, Measure, Outcome, Severity, Status, fingerprint
from assay.core.protocols import Progress
from assay.core.share import Piece, Share
from assay.core.subject import Kind
from assay.core.suspects import Suspects
from assay.engine.registry import LoadedCheck
from assay.engine.task import Task, reads_of, tool_text
from assay.formats.known import NOTHING, Known, judged_by


class End(msgspec.Struct, frozen=True, tag="end"):
    """How a check ended: on its own words, apart from what it yielded."""

    status: Status
    complete: bool
    reason: str = ""
    notes: tuple[str, ...] = ()


Emit = Callable[[Yielded], None]
Handles = dict[tuple[str, bytes], Any]


def ask(
    task: Task,
    check: LoadedCheck,
    emit: Emit,
    progress: Progress,
    handles: Handles,
    opened: Mapping[str, Any] = MappingProxyType({}),
) -> End:
    """Run the check to its end; never raises for what the check or its subject does wrong.

    `handles` are subjects that were opened here, `opened` those that the caller has opened, by name.
    """
    try:
        known = _known(task)
    except AssayError as error:
        return End(Status.OPEN, False, str(error))
    with judged_by(known):
        end = _asked(task, check, emit, progress, handles, opened)
    case = handles.get(_key(task, task.subject)) if task.target.kind is Kind.MODEL else None
    return replace(end, notes=case.take_notes()) if case is not None else end


def _known(task: Task) -> Known:
    """What names are judged by in this task. Raises AssayError where its threat pack is not what it was."""
    at = task.threats
    return _known_at(at.path, at.pack.digest) if at is not None else NOTHING


@lru_cache(maxsize=4)
def _known_at(path: str, digest: str) -> Known:
    from assay.config.threats_file import threats_at  # YAML is read only where a pack is in force

    pack = threats_at(path, digest)
    return Known(pack.content, str(pack.ref))


def _asked(
    task: Task, check: LoadedCheck, emit: Emit, progress: Progress, handles: Handles, opened: Mapping[str, Any]
) -> End:
    try:
        if missing := unmet(task, check.spec):
            raise NotApplicable(f"{task.subject} declares no {missing}; add `{missing}:` to it in assay.yaml")
        subject = opened[task.subject] if task.subject in opened else open_handle(task, task.subject, handles)
        roles = {r: open_handle(task, n, handles) for r, n in _roles(task, check).items()}
        keywords = dict(task.parameters)
        code = check.function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if "seed" in names:
            keywords["seed"] = task.seed
        if "progress" in names:
            keywords["progress"] = progress  # type: ignore[assignment]
        if "share" in names:
            keywords["share"] = _share(task)  # type: ignore[assignment]
        for item in check.function(subject, **keywords, **roles):
            if isinstance(item, Measure) and item.key not in check.spec.measures:
                raise ValueError("a measure that the check does not declare")
            if isinstance(item, Adversaries):
                subject.settle()  # what a model let pass that has changed since is nothing to show
            if isinstance(item, Suspects | Adversaries | Piece):
                _keep(item, task)
            else:
                emit(complete_finding(item, task, check) if isinstance(item, Finding) else item)
        if task.target.kind is Kind.MODEL:
            subject.settle()
    except NotApplicable as why:
        return End(Status.NOT_APPLICABLE, True, str(why))
    except CouldNotLook as why:
        return End(Status.OPEN, False, str(why))
    except AssayError as error:
        return End(Status.OPEN, False, str(error))
    except MemoryError:
        return End(Status.OPEN, False, "ran out of memory")
    except RecursionError:
        return End(Status.OPEN, False, "the subject is nested too deeply to examine")
    except Exception as error:
        return End(Status.OPEN, False, broken(error))
    return End(Status.PASS, True)


def unmet(task: Task, spec: CheckSpec) -> str:
    """The first fact that a check wants and its subject does not declare; "" where it declares all."""
    told = {**task.target.reads, **task.target.options}
    return next((fact for fact in spec.wants if not told.get(fact)), "")


def piece_path(task: Task, part: int) -> Path:
    """Where the piece of one part of a task lies."""
    return Path(task.pieces) / f"{part}.piece"


def _share(task: Task) -> Share:
    if task.part is not None or not task.pieces:
        return Share(task.part)
    paths = [piece_path(task, part) for part in range(task.of)]
    return Share(None, tuple(Piece(p.read_bytes()) if p.exists() else _told(p) for p in paths))


def _told(path: Path) -> str:
    """Why there is no piece: what its own task said."""
    why = path.with_suffix(".why")
    return why.read_text("utf-8") if why.exists() else "a part of the work was not done"


def _keep(item: Suspects | Adversaries | Piece, task: Task) -> None:
    """Write down rows that a check points at or made, where the task was told to; they are no part of its outcome."""
    if isinstance(item, Piece):
        if task.part is not None:
            write_whole(piece_path(task, task.part), item.data)
    elif task.aside:
        write_whole(Path(task.aside) / f"{task.check}.msgpack", msgspec.msgpack.encode(item))


def _roles(task: Task, check: LoadedCheck) -> dict[str, str]:
    """Other subjects that a dataset check takes by name; a model carries its own."""
    if check.spec.kind is Kind.MODEL:
        return {}
    for role in check.spec.reads:
        if role not in task.target.reads:
            raise NotApplicable(f"{task.subject} declares no {role}")
    taken = (*check.spec.reads, *(role for role in check.spec.may_read if role in task.target.reads))
    return {role: task.target.reads[role] for role in taken}


def broken(error: Exception) -> str:
    """What an unexpected exception may say: its type and place, never its text, which may hold a customer's value."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "assay" in Path(f.filename).parts]
    place = f" at {'/'.join(Path(ours[-1].filename).parts[-3:])}:{ours[-1].lineno}" if ours else ""
    return f"the check broke: {type(error).__name__}{place}; please report it"


def complete_finding(finding: Finding, task: Task, check: LoadedCheck) -> Finding:
    """The finding with check, subject, severity, tags and fingerprint filled in."""
    severity = finding.severity or check.spec.severity
    if severity.rank > check.spec.severity.rank:
        raise ValueError("a finding is more severe than its check declares")
    finding = _writable(finding)
    mark = fingerprint(check.spec.id, task.subject, finding)
    tags = finding.tags or check.spec.tags
    return replace(finding, check=check.spec.id, subject=task.subject, severity=severity, tags=tags, fingerprint=mark)


def _writable(finding: Finding) -> Finding:
    """The finding with lone surrogates escaped: a hostile file's names must not keep a report from being written."""
    try:
        msgspec.json.encode(finding)
    except UnicodeEncodeError:
        where = finding.location
        return replace(
            finding,
            message=_plain(finding.message),
            key=_plain(finding.key),
            fix=_plain(finding.fix),
            location=replace(where, uri=_plain(where.uri), member=_plain(where.member), column=_plain(where.column)),
            evidence=_plain(finding.evidence),
        )
    return finding


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def outcome_of(task: Task, check: LoadedCheck, items: list[Yielded], end: End) -> Outcome:
    """An outcome from what was yielded and how it ended; any finding above info makes it fail, even if incomplete."""
    findings = _distinct([i for i in items if isinstance(i, Finding)])
    measures = tuple(i for i in items if isinstance(i, Measure))
    exhibits = tuple(i for i in items if not isinstance(i, (Finding, Measure)))
    failed = any(f.severity is not Severity.INFO for f in findings)
    parameters = dict(task.parameters)
    if check.spec.kind is Kind.MODEL:
        parameters["sandbox"] = "weak" if task.weak_sandbox else "full"
    return Outcome(
        check=check.spec.id,
        version=check.spec.version,
        subject=task.subject,
        subject_digest=task.target.digest,
        status=Status.FAIL if failed else end.status,
        complete=end.complete,
        reason=end.reason,
        findings=findings,
        measures=measures,
        exhibits=exhibits,
        parameters=parameters,
        seed=task.seed,
        reads=reads_of(task),
        notes=(*end.notes, f"judged by threat pack {task.threats.pack}") if task.threats is not None else end.notes,
        tool=tool_text(check.spec),
        threats=task.threats.pack if task.threats is not None else None,
    )


def _distinct(findings: list[Finding]) -> tuple[Finding, ...]:
    """Findings in order; a second one with the same fingerprint gets a numbered fingerprint of its own."""
    seen: dict[str, int] = {}
    result = []
    for finding in findings:
        count = seen.get(finding.fingerprint, 0)
        seen[finding.fingerprint] = count + 1
        if count:
            again = replace(finding, key=f"{finding.key}\0{count}")
            finding = replace(finding, fingerprint=fingerprint(finding.check, finding.subject, again))
        result.append(finding)
    return tuple(result)


def open_handle(task: Task, name: str, handles: Handles) -> Any:
    """The object a check examines. Opened once a worker and kept while its digest is asked for."""
    key = _key(task, name)
    if key not in handles:
        while len(handles) >= 6:
            handles.pop(next(iter(handles))).close()
        handles[key] = _open(task, name, Path(task.root))
    return handles[key]


def _key(task: Task, name: str) -> tuple[str, bytes]:
    """What a handle depends on: a table on itself; a model also on what its check reads in its roles."""
    subject = task.subjects[name]
    seen = task.subjects if subject.kind is Kind.MODEL else {name: replace(subject, reads={})}
    known = (seen, task.contract, task.weak_sandbox, task.threats, task.remote)
    return f"{task.root}\0{name}", msgspec.json.encode(known, order="deterministic")


def _open(task: Task, name: str, root: Path) -> Any:
    subject = task.subjects[name]
    if subject.kind is Kind.ARTIFACT:
        from assay.config.address import is_address
        from assay.formats.allowed import allowed

        if task.remote is None and is_address(subject.uri):
            raise NotApplicable(f"{subject.name} is behind an address: there is no file here to examine")
        names, _ = allowed(subject, datetime.now(UTC).date())
        path = root / subject.uri
        source: Source | None = None
        if task.remote is not None and task.remote.copy:
            path = Path(task.remote.copy)
        elif task.remote is not None:
            from assay.adapters.remote.deferred import DeferredSource

            source = DeferredSource(task.remote.address, task.remote.access, subject.uri)
        return Artifact(
            name=subject.name, path=path, uri=subject.uri, digest=subject.digest, allow=names, source=source
        )
    if subject.kind is Kind.DATASET:
        from assay.adapters.tables import open_dataset

        return open_dataset(subject, root, task.contract, memory=task.limits.bytes)
    if subject.kind is Kind.MODEL:
        from assay.adapters.cases import open_model

        return open_model(
            subject, task.subjects, root, task.contract, weak_sandbox=task.weak_sandbox, memory=task.limits.bytes
        )
    raise NotApplicable(f"{subject.kind} subjects cannot be opened by this version")
