"""What sanitising a table was: who looked, what was changed and why, and what it did to the model."""

from __future__ import annotations

from typing import Literal

import msgspec

from assay.core.canonical import SCHEMA, Schema
from assay.core.finding import Status
from assay.harden.patch import Action, Aside, Change
from assay.harden.result import Part

Verdict = Literal["better", "worse", "mixed", "no difference that could be told"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the model before and after, and the difference with its interval; higher is better for all."""

    name: str
    before: float
    after: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Better or worse only where the interval leaves 0 out."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference that could be told"


class Looked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one check came to: how many rows it flags, what was done with them, and why it did not look, if so.

    `findings` are those above a note; where it flags no row, what they say is still in the result.
    `complete` is False where it looked at a part only.
    """

    check: str
    version: int
    status: Status | None
    complete: bool = True
    flagged: int
    findings: int = 0
    done: dict[Action, int] = {}
    reason: str = ""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The model before and after on rows that nothing looked at. `left_out` rows of the table are among these rows, or
    of one entity with them, and were learned from neither time."""

    on: Literal["holdout", "trusted", "aside"]
    rows: int
    positives: int
    rule: str
    digest: str
    left_out: int
    learned_before: int
    learned_after: int
    figures: tuple[Figure, ...]
    verdict: Verdict
    caution: str = ""


class Sanitised(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `changes` name rows by number with their reasons, never by content: the patch holds that.

    `open` says that a check could not look: what it would have found is still in the result. `trusted` is how many rows
    were flagged and are known to be good, `first_copies` how many were kept as the first of their copies.
    """

    source: Part
    result: Part
    patch: Part
    rows: int
    left: int
    counts: dict[Action, int]
    looked: tuple[Looked, ...]
    changes: tuple[Change, ...]
    open: bool
    trusted: int
    first_copies: int
    rows_kept: bool
    aside: Aside | None
    measured: Measured | None
    not_measured: str
    weight: str
    proof: str
    notes: tuple[str, ...] = ()
    schema: Schema = SCHEMA


class Patched(msgspec.Struct, frozen=True, kw_only=True):
    """A patch that was applied to a table, or taken off it. `same_bytes` says that the file is the first one's, byte
    for byte; otherwise its values, types and order are."""

    done: Literal["applied", "reverted"]
    source: Part
    result: Part
    counts: dict[Action, int]
    rows: int
    same_bytes: bool
    schema: Schema = SCHEMA
