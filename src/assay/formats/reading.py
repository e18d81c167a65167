"""What a reader says of one file: notes that a check may report, gaps where it could not look, and measured facts."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import IO

import msgspec

from assay.core.finding import Confidence, Json, Severity


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one examination; passing one gives `complete=False` with a reason, never a hang.

    Bytes count what is interpreted or decompressed, not what a container skips. `deadline` is a moment on `clock`,
    which is called every few thousand opcodes and returns seconds. `check_all` compares every checksum, also of what
    need not be interpreted.
    """

    max_bytes: int = 8 << 30
    max_opcodes: int = 200_000_000
    max_memo: int = 20_000_000
    max_stack: int = 5_000_000
    max_nesting: int = 5
    max_members: int = 10_000
    max_unpacked: int = 8 << 30
    check_all: bool = False
    clock: Callable[[], float] | None = None
    deadline: float = 0.0

    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self.clock is not None and self.clock() > self.deadline


class Topic(StrEnum):
    """Which question a note answers; one check reports each. FORMAT stands for what a file is at all."""

    FORMAT = "format"
    PICKLE = "pickle"
    ARCHIVE = "archive"
    MODEL_CODE = "model-code"
    SOURCE_CODE = "source-code"
    REMOTE_CODE = "remote-code"
    TEMPLATE = "template"
    NOTEBOOK = "notebook"
    REQUIREMENTS = "requirements"
    SECRETS = "secrets"
    AGENT_TOOLS = "agent-tools"


class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a reader saw: `message` goes on where the file's name ends ("holds a Lambda layer 'x'").

    `key` makes it the same note next time: no offsets or line numbers in it. `where` names the member or part,
    `offset` is in bytes, `line` counts from 1. Nothing here quotes a secret.
    """

    topic: Topic
    message: str
    severity: Severity
    key: str
    where: str = ""
    offset: int | None = None
    line: int | None = None
    confidence: Confidence = Confidence.HIGH
    evidence: dict[str, Json] = {}
    fix: str = ""


class Gap(msgspec.Struct, frozen=True, gc=False):
    """What could not be read, in words that go on where the file's name ends; `topics` are the questions left open."""

    reason: str
    topics: frozenset[Topic] = frozenset(Topic)


class Part(msgspec.Struct, frozen=True):
    """Bytes inside a file that some loader would open as a file of their own, and what they are called there."""

    name: str
    data: bytes


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All that a reader says of one file.

    `gaps` are what it could not read, in words that go on where the file's name ends ("is torn: …"): the questions it
    should have answered stay open. `measured` are facts read from the bytes (format version, tensors, operators).
    `asks` are the questions it looked for, where that depends on the file; `parts` are looked at as files themselves.
    """

    notes: tuple[Note, ...] = ()
    gaps: tuple[str, ...] = ()
    measured: dict[str, Json] = {}
    asks: frozenset[Topic] = frozenset()
    parts: tuple[Part, ...] = ()


Reader = Callable[[IO[bytes], str, Limits], Reading]
"""Reads a seekable binary file from its start, under its name. Raises ValueError or OSError where it cannot go on."""
