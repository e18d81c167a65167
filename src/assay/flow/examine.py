"""Examine: a project (`run`) or loose files (`scan`), into a report."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from assay.adapters.remote.access import Access
from assay.adapters.remote.opened import is_remote
from assay.config.address import is_address
from assay.core.artifact import readable
from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError, UsageError, os_words
from assay.core.finding import Outcome
from assay.core.protocols import Cache, Clock, Executor, Progress, silent, system_clock
from assay.core.release import Release
from assay.core.report import Body, CheckInfo, Report, Run, SystemInfo, TagInfo
from assay.core.subject import Contract, Kind, Subject
from assay.core.threats import ThreatPack
from assay.core.version import __version__
from assay.engine.parts import count
from assay.engine.plan import Settings, plan
from assay.engine.registry import load
from assay.engine.run import Ran, run
from assay.engine.sealed import Sealed
from assay.engine.task import Remote, Task, ThreatsAt
from assay.flow.workspace import cache_secret, user_cache

if TYPE_CHECKING:
    from assay.config.manifest import Project

OLDEST_PIECE = 7 * 86_400.0


def scan(
    paths: Iterable[str | Path],
    settings: Settings,
    *,
    root: str = "",
    full: bool = False,
    access: Access = Access(),  # noqa: B008 - frozen
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Report:
    """Examine files and folders (below `root`, if given), or what lies at an address: no manifest, no release.

    An address is text that begins with https://, hf:// or mlflow:; it is read by ranges, as `access` allows.
    Structurally, with digests left null; `full` hashes every file and compares every checksum, for which it copies what
    lies elsewhere. Raises UsageError when nothing is named, InputError when `full` cannot hash or an address does not
    answer; a file that cannot be read is otherwise an open outcome.
    """
    start, began = clock(), time.perf_counter()
    subjects: dict[str, Subject] = {}
    remote: dict[str, Remote] = {}
    for path in paths:
        if isinstance(path, str) and is_remote(path):
            from assay.flow.remote import remote_subject

            subject, place = remote_subject(path, access)
            subjects[subject.name], remote[subject.name] = subject, place
        else:
            _refuse_addresses(path)
            name = _name(Path(path), root)
            subjects[name] = Subject(name=name, kind=Kind.ARTIFACT, uri=name)
    if not subjects:
        raise UsageError("nothing to scan", fix="name a file or a folder")
    with ExitStack() as stack:
        if full:
            subjects, remote = _whole(subjects, remote, root, stack, progress)
        asked = [(Kind.ARTIFACT, name) for name in subjects]
        tasks = plan(subjects, asked, root, Contract(), replace(settings, remote=remote))
        ran = run(tasks, None, lambda away: pool_for(away, settings), progress)
    return report_of(ran, tuple(subjects.values()), None, None, settings, start, began)


def _whole(
    subjects: dict[str, Subject], remote: dict[str, Remote], root: str, stack: ExitStack, progress: Progress
) -> tuple[dict[str, Subject], dict[str, Remote]]:
    """The subjects with digests; of what lies elsewhere a copy is kept while `stack` is open."""
    from assay.attest.files import digest_path

    copies: dict[str, Remote] = {}
    for name, place in remote.items():
        import tempfile

        from assay.flow.remote import copied

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-copy-"))
        copies[name] = copied(place, Path(folder), progress)
    paths = {n: Path(copies[n].copy) if n in copies else Path(root) / s.uri for n, s in subjects.items()}
    return {n: replace(s, digest=digest_path(paths[n])) for n, s in subjects.items()}, copies


def in_force(pack: ThreatPack | None) -> ThreatsAt | None:
    """A pack whose signature was checked, as tasks carry it."""
    return ThreatsAt(os.path.abspath(pack.uri), pack.ref) if pack is not None else None


def _refuse_addresses(path: str | Path) -> None:
    """An address of a kind that is not read must not pass for a path, nor show the login that it may hold."""
    scheme, colon, _ = str(path).partition(":/")
    if colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{1,15}", scheme) and not Path(path).exists():
        fix = "use https://, hf:// or mlflow:, or copy it here and scan the copy"
        raise UsageError(f"addresses of the kind {scheme}:// are not read", fix=fix)


def _name(path: Path, root: str) -> str:
    """The path as findings tell it: from the folder here where it lies below that, so that however it was typed, the
    same file has the same fingerprints."""
    if not root and path.is_absolute() and path.is_relative_to(here := Path.cwd()):
        path = path.relative_to(here)
    if readable(str(path)) != str(path):
        raise InputError("its name is not UTF-8", where=readable(str(path)), fix="rename it, or scan its folder")
    return str(path)


def examine_loose(
    subjects: dict[str, Subject],
    asked: list[tuple[Kind, str]],
    contract: Contract,
    settings: Settings,
    *,
    root: Path | None = None,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Report:
    """Ask checks of tables and models that no manifest names; uris are paths as typed, under `root` (by default where
    you stand). Raises InputError."""
    start, began = clock(), time.perf_counter()
    root = root or Path.cwd()
    digested = {name: replace(s, digest=_digest(s, root)) for name, s in subjects.items()}
    tasks = plan(digested, asked, str(root), contract, settings)
    ran = run(tasks, None, lambda away: pool_for(away, settings), progress, _pieces(user_cache()))
    _let_go(digested)
    return report_of(ran, tuple(digested.values()), None, None, settings, start, began)


def _digest(subject: Subject, root: Path) -> str:
    if subject.kind is Kind.MODEL and is_address(subject.uri):
        return ""  # nobody has its bytes: it is declared
    path = root / subject.uri
    try:
        if path.exists() and not path.is_file():
            raise InputError("is not a regular file", where=subject.uri, fix="name a table or a model file")
        return digest_file(path)
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=subject.uri, fix="check the path") from None


def examine_project(
    project: Project,
    subjects: dict[str, Subject],
    asked: list[tuple[Kind, str]],
    release: Release | None,
    settings: Settings,
    *,
    cache: Path | None,
    clock: Clock = system_clock,
    progress: Progress = silent,
) -> Report:
    """Ask every selected check of every subject; `cache` is the folder of remembered outcomes, None to ask anew."""
    start, began = clock(), time.perf_counter()
    tasks = plan(subjects, asked, str(project.root.resolve()), project.contract, settings)
    ran = run(tasks, _cache(cache), lambda away: pool_for(away, settings), progress, _pieces(cache))
    _let_go(subjects)
    shown = tuple(subjects.values())
    return report_of(ran, shown, project.manifest.system, release, settings, start, began)


def _cache(folder: Path | None) -> Cache | None:
    if folder is None:
        return None
    from assay.engine.cache import FileCache

    secret = cache_secret()
    return FileCache(folder, secret) if secret is not None else None


def _let_go(subjects: dict[str, Subject]) -> None:
    """Forget what served models answered, unless the run was cut off while it asked: the next one asks the model."""
    for subject in subjects.values():
        if is_address(subject.uri):
            from assay.adapters.endpoint.journal import let_go
            from assay.adapters.endpoint.options import options_of

            with suppress(CouldNotLook):  # an address that makes no sense was not asked
                let_go(options_of(subject).url.shown)


def _pieces(folder: Path | None) -> Sealed | None:
    """Where the parts of an interrupted run are kept, until the whole has its answer."""
    secret = cache_secret() if folder is not None else None
    if folder is None or secret is None:
        return None
    kept = Sealed(folder / "pieces", secret, "piece")
    kept.sweep(OLDEST_PIECE)  # they hold values of rows
    return kept


def pool_for(tasks: list[Task], settings: Settings) -> Executor:
    """Where `settings` have the work done: with as many workers as there is work for."""
    jobs = min(settings.jobs, max(1, sum(count(task) for task in tasks)))
    if settings.engine == "ray":
        from assay.engine.ray_pool import RayExecutor

        return RayExecutor(jobs)
    from assay.engine.pool import WorkerPool, modules_for

    return WorkerPool(jobs, modules_for(tasks))


def report_of(
    ran: Ran,
    subjects: tuple[Subject, ...],
    system: SystemInfo | None,
    release: Release | None,
    settings: Settings,
    start: object,
    began: float,
) -> Report:
    """A report of what was run. Only `run` depends on the clock, the host and the order."""
    checks = check_infos(ran.outcomes)
    body = Body(
        system=system,
        release=release,
        subjects=subjects,
        outcomes=ran.outcomes,
        checks=checks,
        tags=tag_infos(checks, ran.outcomes),
    )
    return Report(
        body=body,
        run=Run(
            started=start,  # type: ignore[arg-type]
            seconds=time.perf_counter() - began,
            tool=f"assay/{__version__}",
            python=platform.python_version(),
            platform=f"{platform.system()} {platform.machine()}",
            seed=settings.seed,
            jobs=settings.jobs,
            cached=ran.cached,
            durations=ran.durations,
        ),
    )


def check_infos(outcomes: tuple[Outcome, ...]) -> tuple[CheckInfo, ...]:
    """The words of every check that spoke."""
    return tuple(load(i).info for i in sorted({o.check for o in outcomes}))


def tag_infos(checks: tuple[CheckInfo, ...], outcomes: tuple[Outcome, ...]) -> tuple[TagInfo, ...]:
    """What every tag in the report names."""
    from assay.taxonomy.frameworks import crosswalk, resolve

    tags = {t for c in checks for t in (*c.tags, *crosswalk(c.id))}
    tags |= {t for o in outcomes for f in o.findings for t in f.tags}
    return tuple(info for info in map(resolve, sorted(tags)) if info is not None)


def default_jobs() -> int:
    """As many workers as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
