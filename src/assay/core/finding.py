"""What a check says: findings (facts to act on), measures (numbers with uncertainty), and their outcome."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from assay.core.exhibit import Exhibit
from assay.core.threats import PackRef

Scalar = str | int | float | bool | None
Json = Scalar | list[Any] | dict[str, Any]


class Severity(StrEnum):
    """How much harm follows if the finding is real."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """4 for critical down to 0 for info."""
        return _RANK[self]


_RANK = {Severity.CRITICAL: 4, Severity.HIGH: 3, Severity.MEDIUM: 2, Severity.LOW: 1, Severity.INFO: 0}


class Confidence(StrEnum):
    """How sure the check is that the finding is real; apart from its severity."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Status(StrEnum):
    """What a check said of one subject."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    OPEN = "open"
    NOT_APPLICABLE = "not-applicable"


class Direction(StrEnum):
    """Which way a measure is better."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a finding is. `uri` is a path relative to the project; `offset` is in bytes, `row` is 0-based."""

    uri: str
    member: str = ""
    column: str = ""
    row: int | None = None
    line: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        text = f"{self.uri}!{self.member}" if self.member else self.uri
        if self.line is not None:
            text += f":{self.line}"
        if self.column:
            text += f" column {self.column}"
        if self.row is not None:
            text += f" row {self.row} (from 0)"
        return f"{text} @ byte {self.offset}" if self.offset is not None else text


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One fact that someone should act on.

    A check gives `message`, `location`, `key` (what makes this finding the same one next time), `evidence`, `fix`; the
    engine fills `check`, `subject`, `fingerprint` and, where the check gave none, the check's own severity.
    """

    message: str
    location: Location
    key: str = ""
    severity: Severity | None = None
    confidence: Confidence = Confidence.HIGH
    evidence: dict[str, Json] = {}
    fix: str = ""
    tags: tuple[str, ...] = ()
    check: str = ""
    subject: str = ""
    fingerprint: str = ""


def fingerprint(check: str, subject: str, finding: Finding) -> str:
    """32 hex digits that stay the same while the finding is the same: no offsets, rows or line numbers in it."""
    where = finding.location
    parts = (check, subject, where.uri, where.member, where.column, finding.key)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Measure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A number with its uncertainty: `low`..`high` is the 95% interval, `n` the sample it rests on.

    With `versus` (such as "champion") the value is the paired difference, this subject minus that one.
    """

    name: str
    value: float | None
    versus: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    n: int | None = None
    seed: int | None = None
    direction: Direction = Direction.NEITHER
    method: str = ""

    @property
    def key(self) -> str:
        """What is measured: `performance.recall`, or `performance.recall versus champion` for a difference."""
        return measure_key(self.name, self.versus)


def measure_key(name: str, versus: str = "") -> str:
    """The key of a measure by its name and what it is compared to."""
    return f"{name} versus {versus}" if versus else name


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one check said of one subject. `reads` are the digests of everything it looked at.

    `notes` say under what conditions it looked, such as the sandbox that a pickled model was loaded in; `threats` is
    the pack that names were judged by, if any was in force.
    """

    check: str
    version: int
    subject: str
    subject_digest: str
    status: Status
    complete: bool = True
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    measures: tuple[Measure, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    parameters: dict[str, Json] = {}
    seed: int = 0
    reads: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    tool: str = ""
    threats: PackRef | None = None

    @property
    def noted(self) -> bool:
        """Whether nothing failed and yet something was found, for a policy or the reader to judge."""
        return self.status is Status.PASS and bool(self.findings)
