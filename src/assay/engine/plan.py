"""From subjects and a selection to tasks: which checks are asked of what, with which parameters and seed."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec.structs import replace

from assay.core.errors import UsageError
from assay.core.finding import Json
from assay.core.subject import Contract, Kind, Subject
from assay.core.text import nearest, visible
from assay.engine.registry import check_ids, load, resolve_parameters
from assay.engine.task import Limits, Remote, Task, ThreatsAt, seed_for


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask: which checks, with which parameters, from which seed, within which limits.

    `remote` says, by subject, where those lie that are not here; `engine` where the work is done.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    parameters: dict[str, dict[str, Json]] = {}
    seed: int = 0
    jobs: int = 1
    engine: Literal["local", "ray"] = "local"
    weak_sandbox: bool = False
    limits: Limits = Limits()
    threats: ThreatsAt | None = None
    remote: dict[str, Remote] = {}
    aside: str = ""


def select(settings: Settings) -> tuple[str, ...]:
    """The check ids that are asked. Raises UsageError for a pattern or a parameter block that names none."""
    for pattern in (*settings.only, *settings.skip, *settings.parameters):
        if not any(fnmatchcase(i, pattern) for i in check_ids()):
            guess = nearest(pattern, check_ids())
            fix = f"did you mean {guess}?" if guess else "`assay explain` lists the checks"
            raise UsageError(f"no check is called {visible(pattern)!r}", fix=fix)
    wanted = settings.only or ("*",)
    return tuple(
        i
        for i in check_ids()
        if any(fnmatchcase(i, p) for p in wanted) and not any(fnmatchcase(i, p) for p in settings.skip)
    )


def plan(
    subjects: Mapping[str, Subject], asked: list[tuple[Kind, str]], root: str, contract: Contract, settings: Settings
) -> list[Task]:
    """One task for each check and each asked (kind, subject name), in the report's order, that of `Kind`.

    Raises UsageError where nothing can be asked of a subject: it is never left out in silence.
    """
    chosen = select(settings)
    tasks = []
    for kind in Kind:
        names = [n for k, n in asked if k is kind]
        if names and not check_ids(kind):
            what = f"no check is asked of the kind {kind.value!r} yet: {visible(', '.join(names))}"
            raise UsageError(what, fix="take it out of what is examined")
        for name in names:
            for check_id in (i for i in check_ids(kind) if i in chosen):
                tasks.append(_task(check_id, kind, name, subjects, root, contract, settings))
    if not tasks:
        kinds = ", ".join(dict.fromkeys(str(k) for k, _ in asked)) or "nothing"
        raise UsageError(f"none of the checks chosen is asked of: {kinds}", fix="choose others with --only or --skip")
    return tasks


def _task(
    check_id: str,
    kind: Kind,
    name: str,
    subjects: Mapping[str, Subject],
    root: str,
    contract: Contract,
    settings: Settings,
) -> Task:
    check = load(check_id)
    given = settings.parameters.get(check_id, {})
    if kind is Kind.ARTIFACT:
        told = {k: v for k, v in subjects[name].options.items() if k in ("allow", "allow_until")}
        needed = {name: replace(subjects[name], kind=Kind.ARTIFACT, reads={}, options=told)}
        contract = Contract()
    else:
        needed = _closure(name, subjects, (*check.spec.reads, *check.spec.may_read))
    return Task(
        check=check_id,
        subject=name,
        root=root,
        subjects=needed,
        contract=contract,
        parameters=resolve_parameters(check, given, where=f"checks.{check_id}"),
        seed=seed_for(settings.seed, check_id),
        weak_sandbox=settings.weak_sandbox,
        limits=settings.limits,
        remote=settings.remote.get(name),
        aside=settings.aside,
        threats=settings.threats if kind in (Kind.ARTIFACT, Kind.MODEL) else None,
    )


def _closure(name: str, subjects: Mapping[str, Subject], roles: tuple[str, ...]) -> dict[str, Subject]:
    """The subject and, transitively, what it reads in the roles that its check looks at."""
    found: dict[str, Subject] = {}
    stack = [name]
    while stack:
        subject = subjects[stack.pop()]
        if subject.name in found:
            continue
        kept = {role: other for role, other in subject.reads.items() if role in roles}
        found[subject.name] = replace(subject, reads=kept)
        stack.extend(kept.values())
    return found
