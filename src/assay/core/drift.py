"""What a watch says of a table beside its reference: each column's difference with its size and its chance."""

from __future__ import annotations

from typing import Literal

import msgspec

Seen = Literal["compared", "missing", "added", "changed", "not compared"]


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `effect` is how far it moved, on the scale of the population stability index (see
    assay.stats.homogeneity) and less what chance alone gives, between `low` and `high` (95%); `p` the chance of such a
    difference without drift, `p_adjusted` with all columns taken into account (Holm).

    `flagged` says that it drifted: surely, at the watch's level over all columns together, and by more than the least
    effect that counts. `missing_before` and `missing_now` are shares of missing values. Where a state is kept, capital
    decides over all looks: `flagged` says that the column rang, and no p-value of one look is given.

    Every key is always written, so that a program need not know which values are usual.
    """

    name: str
    kind: str
    seen: Seen = "compared"
    role: str = "input"
    effect: float = 0.0
    low: float = 0.0
    high: float = 0.0
    p: float | None = None
    p_adjusted: float | None = None
    flagged: bool = False
    missing_before: float = 0.0
    missing_now: float = 0.0
    new: dict[str, int] = {}
    reason: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All columns of a watch, the level that holds over all of them, and the rows on both sides."""

    columns: tuple[ColumnDrift, ...]
    alpha: float
    least_effect: float
    reference_rows: int
    current_rows: int

    @property
    def flagged(self) -> tuple[ColumnDrift, ...]:
        """The columns that drifted, the largest effect first."""
        return tuple(sorted((c for c in self.columns if c.flagged), key=lambda c: (-c.effect, c.name)))
