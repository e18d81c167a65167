"""Checks for the engine's tests; `register` puts them into the index, `engine_preload` does so in the workers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from assay.checks.index import INDEX
from assay.core.artifact import Artifact
from assay.core.check import Cost, Yielded, check
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Finding, Location, Measure, Severity
from assay.core.share import ROWS_A_PART, WHOLE, Piece, Share, parts_of
from assay.core.subject import Kind, Stage

CUSTOMER = "Jane Doe, 4929-1234"


def _declared(name: str, cost: Cost = "seconds", measures: tuple[str, ...] = ()):
    return check(
        f"test.{name}", on=Kind.ARTIFACT, stage=Stage.DATA, severity=Severity.HIGH, cost=cost, measures=measures
    )


def _finding(artifact: Artifact, key: str, severity: Severity | None = None) -> Finding:
    return Finding(message=f"saw {key}", location=Location(uri=artifact.uri), key=key, severity=severity)


@_declared("clean", measures=("test.seed",))
def clean(artifact: Artifact, *, size: int = 3, seed: int = 0) -> Iterator[Yielded]:
    """Passes."""
    yield Measure(name="test.seed", value=float(seed))


@_declared("fails")
def fails(artifact: Artifact) -> Iterator[Yielded]:
    """Finds two things."""
    yield _finding(artifact, "a")
    yield _finding(artifact, "b", Severity.LOW)


@_declared("notes")
def notes(artifact: Artifact) -> Iterator[Yielded]:
    """Only notes."""
    yield _finding(artifact, "n", Severity.INFO)


@_declared("blind")
def blind(artifact: Artifact) -> Iterator[Yielded]:
    """Could not look."""
    raise CouldNotLook("it was dark")
    yield


@_declared("misleads")
def misleads(artifact: Artifact) -> Iterator[Yielded]:
    """Ends in the words that the pool uses for a lost worker."""
    raise CouldNotLook("the worker ended without a word")
    yield


@_declared("half")
def half(artifact: Artifact) -> Iterator[Yielded]:
    """Finds something, then cannot go on."""
    yield _finding(artifact, "a")
    raise CouldNotLook("the rest is torn")


@_declared("elsewhere")
def elsewhere(artifact: Artifact) -> Iterator[Yielded]:
    """Makes no sense here."""
    raise NotApplicable("no such thing")
    yield


@_declared("broken")
def broken(artifact: Artifact) -> Iterator[Yielded]:
    """Breaks on a customer's value."""
    yield _finding(artifact, "a", Severity.INFO)
    raise KeyError(CUSTOMER)


@_declared("graver")
def graver(artifact: Artifact) -> Iterator[Yielded]:
    """Claims more than it declares."""
    yield _finding(artifact, "a", Severity.CRITICAL)


@_declared("unlisted")
def unlisted(artifact: Artifact) -> Iterator[Yielded]:
    """Gives a measure that it does not declare."""
    yield Measure(name="test.seed", value=1.0)


@_declared("sleeps")
def sleeps(artifact: Artifact) -> Iterator[Yielded]:
    """Yields once and never ends."""
    yield _finding(artifact, "before")
    time.sleep(600)


@_declared("grows")
def grows(artifact: Artifact) -> Iterator[Yielded]:
    """Eats memory until it is stopped."""
    yield _finding(artifact, "before")
    hoard = []
    while True:
        hoard.append(bytearray(8 << 20))
        time.sleep(0.005)


@_declared("dies")
def dies(artifact: Artifact) -> Iterator[Yielded]:
    """Takes its own process down."""
    yield _finding(artifact, "before")
    os.kill(os.getpid(), signal.SIGKILL)
    yield _finding(artifact, "after")


@_declared("instant", cost="instant", measures=("test.instant",))
def instant(artifact: Artifact) -> Iterator[Yielded]:
    """Needs no worker."""
    yield Measure(name="test.instant", value=1.0)


@check(
    "test.shared", on=Kind.ARTIFACT, stage=Stage.DATA, severity=Severity.HIGH, cacheable=True, parts="rows",
    measures=("test.sum",),
)  # fmt: skip
def shared(artifact: Artifact, *, rows: int = 350, dark: int = -1, share: Share = WHOLE) -> Iterator[Yielded | Piece]:
    """Adds up numbers in parts, and writes down each part that it works on."""
    yield _finding(artifact, "before", Severity.INFO)

    def add(part: int) -> int:
        with Path(os.environ["ENGINE_WORKED"]).open("a") as stream:
            stream.write(f"{part}\n")
        if part == dark:
            raise CouldNotLook("it was dark there")
        return sum(range(part * ROWS_A_PART, min(rows, (part + 1) * ROWS_A_PART)))

    if share.part is not None:
        yield Piece(str(add(share.part)).encode())
        return
    pieces = share.done or tuple(Piece(str(add(part)).encode()) for part in range(parts_of(rows)))
    for piece in pieces:
        if isinstance(piece, str):
            raise CouldNotLook(piece)
    yield Measure(name="test.sum", value=float(sum(int(p.data) for p in pieces if isinstance(p, Piece))))


NAMES = (
    "clean", "fails", "notes", "blind", "half", "elsewhere", "broken", "graver", "sleeps", "grows", "dies", "instant",
    "misleads", "unlisted", "shared",
)  # fmt: skip


def register() -> None:
    """Put them into the index of this process."""
    INDEX.update({f"test.{n}": (Kind.ARTIFACT, f"engine_checks:{n}") for n in NAMES})
