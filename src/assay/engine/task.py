"""A task: one check asked of one subject, as JSON, so that any executor can carry it to any process or machine."""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from assay.adapters.remote.access import Access
from assay.core.canonical import digest_of
from assay.core.check import CheckSpec
from assay.core.finding import Json
from assay.core.subject import Contract, Kind, Subject
from assay.core.threats import PackRef
from assay.core.version import __version__


class Limits(msgspec.Struct, frozen=True):
    """What a check may use before its worker is killed: wall-clock seconds and resident bytes."""

    seconds: float = 600.0
    bytes: int = 6 * 1024**3


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """Where an artifact lies that is not here, and what may be done to read it; `copy` is the path of a whole copy."""

    address: str
    access: Access
    copy: str = ""


class ThreatsAt(msgspec.Struct, frozen=True):
    """Where the threat pack in force lies, and the digest that it had when its signature was checked."""

    path: str
    pack: PackRef


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs. `subjects` holds the subject and all it reads, by name; `root` is the project.

    `aside` is the folder in which checks write down rows that they point at or made, "" where nobody asked for them.
    A task may be one `part` of a check's work, from 0, which is written to the folder `pieces`; without `part` it takes
    the pieces of all `of` parts from there.
    """

    check: str
    subject: str
    root: str
    subjects: dict[str, Subject]
    contract: Contract = Contract()
    parameters: dict[str, Json] = {}
    seed: int = 0
    weak_sandbox: bool = False
    threats: ThreatsAt | None = None
    remote: Remote | None = None
    aside: str = ""
    part: int | None = None
    of: int = 1
    pieces: str = ""
    limits: Limits = Limits()

    @property
    def target(self) -> Subject:
        """The subject that is asked about."""
        return self.subjects[self.subject]


OF_SOME_MODELS = ("xgboost-cpu", "xgboost", "catboost", "pandas", "torch", "onnx")
"""Libraries that only models of their own need: what a check of a model says depends on those that are there."""


def seed_for(run_seed: int, check: str) -> int:
    """A check's own seed: from the run's seed and the check, never from order or job count, nor from what is judged:
    whoever may add a blank to a model file could try thousands, and show the one whose rows were drawn luckily."""
    text = f"{run_seed}\0{check}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def tool_text(spec: CheckSpec) -> str:
    """The versions a result depends on: `assay/0.1.0 numpy/2.4.6 …`."""
    parts = [f"assay/{__version__}"]
    if not spec.libraries:
        return parts[0]
    from importlib.metadata import PackageNotFoundError, version

    parts.append(f"python/{platform.python_version()}")
    for library in spec.libraries:
        try:
            parts.append(f"{library}/{version(library)}")
        except PackageNotFoundError:
            parts.append(f"{library}/absent")
    for library in OF_SOME_MODELS if spec.kind is Kind.MODEL else ():
        with suppress(PackageNotFoundError):
            parts.append(f"{library}/{version(library)}")
    return " ".join(parts)


def reads_of(task: Task) -> dict[str, str]:
    """Digest of everything the task looks at, by name; the subject itself under its own name."""
    return {name: subject.digest for name, subject in sorted(task.subjects.items())}


def cache_key(task: Task, spec: CheckSpec) -> str:
    """What a remembered outcome depends on: check version, parameters, seed, all digests, contract, libraries."""
    facts = {
        "check": [spec.id, spec.version],
        "subject": msgspec.to_builtins(task.subjects),
        "target": task.subject,
        "contract": msgspec.to_builtins(task.contract),
        "parameters": task.parameters,
        "seed": task.seed,
        "weak": task.weak_sandbox,
        "tool": tool_text(spec),
        "threats": msgspec.to_builtins(task.threats.pack) if task.threats is not None else None,
    }
    if until := [str(s.options["allow_until"])[:10] for s in task.subjects.values() if s.options.get("allow_until")]:
        today = datetime.now(UTC).date().isoformat()
        facts["lapsed"] = [today > end for end in until]  # what is allowed no more is another question
    return digest_of(facts)
