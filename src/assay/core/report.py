"""A report: all outcomes of one run. `body` is deterministic and digested; `run` holds time, host and durations."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from assay.core.canonical import SCHEMA, Schema, digest_bytes
from assay.core.finding import Outcome, Severity, Status
from assay.core.release import Release
from assay.core.subject import Kind, Stage, Subject


class CheckInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A check's own words, carried along so that a renderer needs nothing else. `fix` is what its help says to do."""

    id: str
    version: int
    kind: Kind
    stage: Stage
    severity: Severity
    tags: tuple[str, ...]
    summary: str
    help: str
    fix: str = ""


class TagInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A framework's entry that a tag names. `verified` is False where the list's source could not be confirmed."""

    tag: str
    framework: str
    edition: str
    id: str
    name: str
    url: str
    verified: bool = True


class SystemInfo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an organisation answers for."""

    name: str
    owner: str = ""
    purpose: str = ""
    role: str = ""
    risk: str = ""
    affected: str = ""
    vendor: str = ""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The deterministic part: the same bytes for the same inputs, for any job count and order."""

    schema: Schema = SCHEMA
    system: SystemInfo | None = None
    release: Release | None = None
    subjects: tuple[Subject, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    checks: tuple[CheckInfo, ...] = ()
    tags: tuple[TagInfo, ...] = ()

    def encode(self) -> bytes:
        """The body's bytes: JSON in an order that depends on nothing but its content."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the body's bytes."""
        return digest_bytes(self.encode())


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The part that differs from run to run."""

    started: Annotated[datetime, msgspec.Meta(tz=True)]
    seconds: float
    tool: str
    python: str
    platform: str
    seed: int = 0
    jobs: int = 1
    cached: int = 0
    durations: dict[str, float] = {}
    environment: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All outcomes of one run, and how it ran."""

    schema: Schema = SCHEMA
    body: Body
    run: Run

    def count(self, status: Status) -> int:
        """How many outcomes have this status."""
        return sum(o.status is status for o in self.body.outcomes)
