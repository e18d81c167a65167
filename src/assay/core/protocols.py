"""How rooms meet without importing each other: the Protocols that flow wires to real rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from assay.core.finding import Outcome
from assay.core.subject import Access

ArrowTable = Any  # pyarrow.Table; core must not import pyarrow
FloatArray = Any  # numpy.ndarray of float64
Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class Progress(Protocol):
    """Told how far long work is. Implementations must be cheap: called often."""

    def __call__(self, done: float, total: float, what: str = "") -> None:
        """`done` of `total` units of `what`."""


def silent(done: float, total: float, what: str = "") -> None:
    """A Progress that says nothing."""


class Predictor(Protocol):
    """A model as the outside sees it: rows in (Arrow), scores out. Batch-first.

    `features` are the columns it reads, in order; `classes` the labels, positive last for a binary model; `threshold`
    the deployed operating point; `queries` counts every row asked so far.
    """

    features: tuple[str, ...]
    classes: tuple[Any, ...]
    threshold: float
    access: Access
    queries: int

    def scores(self, rows: ArrowTable) -> FloatArray:
        """Score of the positive class for each row, shape (n,), float64. Raises CouldNotLook."""

    def flagged(self, rows: ArrowTable) -> FloatArray:
        """Whether score >= threshold for each row, shape (n,), bool."""

    def close(self) -> None:
        """Let go of what it holds (a session, a child process)."""


class Cache(Protocol):
    """Remembered outcomes by key. A damaged or missing entry is a miss, never an error."""

    def get(self, key: str) -> Outcome | None:
        """The outcome stored under `key`."""

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember `outcome`."""


class Log(Protocol):
    """The append-only log of a ledger."""

    @property
    def size(self) -> int:
        """The number of entries."""

    def append(self, kind: str, subject_digest: str, payload: bytes, actor: str, workspace: str = "") -> Any:
        """Durably append one entry and return it."""

    def read(self, after: int = -1, *, kind: str | None = None) -> Iterator[Any]:
        """Entries with an index greater than `after`, in order, of `kind` if given."""

    def payload(self, entry: Any) -> bytes:
        """The bytes that were appended with `entry`."""

    def checkpoint(self) -> str:
        """A signed note over the tree's size and root."""


class Executor(Protocol):
    """Runs tasks (JSON in) and gives outcomes as they finish."""

    def run(self, tasks: list[bytes], progress: Progress) -> Iterator[tuple[int, Outcome, float]]:
        """(index of the task, its outcome, seconds) in order of completion."""

    def close(self) -> None:
        """Stop the workers."""
