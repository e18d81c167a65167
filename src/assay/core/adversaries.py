"""Rows that an attack changed, and what became of each: values, so they stay out of outcomes and evidence."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["evaded", "certified", "unknown", "misclassified"]
MAX_ADVERSARIES = 1_000_000


class Adversaries(msgspec.Struct, frozen=True, kw_only=True):
    """What one attack made of the rows that it was given, in tuples of one length.

    `rows` counts from 0. `verdicts`: a change within the budget passes (evaded), none does, proved (certified), neither
    (unknown), or the model let the row pass as it was (misclassified). `distances` are those of the changed rows, inf
    where there is none; below `bounds` nothing passes; `valid` says that a changed row passes the real model and keeps
    every declared rule. `table` is an Arrow stream of the changed rows, nulls where there is none.
    """

    check: str
    norm: str
    budget: float | None
    rows: tuple[int, ...]
    verdicts: tuple[Verdict, ...]
    distances: tuple[float, ...]
    bounds: tuple[float, ...]
    queries: tuple[int, ...]
    valid: tuple[bool, ...]
    table: bytes

    def __post_init__(self) -> None:
        """Refuse ragged columns, and more rows than a table of examples should hold."""
        columns = (self.rows, self.verdicts, self.distances, self.bounds, self.queries, self.valid)
        sizes = {len(column) for column in columns}
        if len(sizes) != 1 or len(self.rows) > MAX_ADVERSARIES:
            raise ValueError(f"adversarial rows of {self.check}: columns of {sorted(sizes)} rows")
