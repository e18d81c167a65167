"""A dossier: one report with its decision and who vouches for what, complete enough for any renderer."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.decision import Decision
from assay.core.exhibit import Table
from assay.core.finding import Outcome, Status
from assay.core.report import Report


class Vouch(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands for an outcome: the signer of the bundle it came in, with the key's id ("" for an unsigned run)."""

    check: str
    subject: str
    person: str
    key: str = ""
    at: datetime
    bundle: str


class SignedMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """A material of the release whose signature holds."""

    material: str
    person: str
    key: str
    at: datetime


State = Literal["evidenced", "declared", "missing", "outside"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement of a framework, and how this release meets it.

    Evidenced: a check looked. Declared: the manifest says so. Missing: neither, though it could. Outside: nothing in
    this version speaks of it.
    """

    id: str
    name: str
    state: State
    checks: tuple[str, ...] = ()


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What one framework asks of a release and what there is evidence for. `verified` as in TagInfo."""

    framework: str
    edition: str
    url: str
    verified: bool
    entries: tuple[Entry, ...]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """How someone else can check the verdict: files, digests, the log's state, and the commands."""

    verdict: str = ""
    key: str = ""
    expires: datetime | None = None
    origin: str = ""
    size: int = 0
    root: str = ""
    checkpoint: str = ""
    inputs: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()


class Dossier(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a page about one release shows. Nothing in it was computed for show.

    `holders` are the roster's people by role; `owner` is the one whose key signed the policy, "" where it names none.
    `suspects` are the rows of a table that checks flag, by number.
    """

    schema: Schema = SCHEMA
    report: Report
    decision: Decision | None = None
    vouches: tuple[Vouch, ...] = ()
    signatures: tuple[SignedMaterial, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    holders: dict[str, tuple[str, ...]] = {}
    owner: str = ""
    proof: Proof | None = None
    suspects: Table | None = None

    def unread(self) -> tuple[Outcome, ...]:
        """The outcomes that found something or stayed open, and that no rule of the policy reads."""
        if self.decision is None:
            return ()
        read = {check for rule in self.decision.trace for check in rule.covers}
        said = self.report.body.outcomes
        return tuple(
            o for o in said if o.check not in read and (o.status in (Status.FAIL, Status.OPEN) or not o.complete)
        )
