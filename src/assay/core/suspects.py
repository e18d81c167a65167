"""Rows that a check points at: by number, never by content, and kept out of outcomes and evidence."""

from __future__ import annotations

import msgspec

MAX_SUSPECTS = 1_000_000


class Suspects(msgspec.Struct, frozen=True, kw_only=True):
    """What one check thinks of rows, in tuples of one length.

    The row counted from 0, how suspicious it is (higher is worse; comparable inside one check only), whether the check
    flags it, and why in a few words ("" where it does not).
    """

    check: str
    rows: tuple[int, ...]
    scores: tuple[float, ...]
    flagged: tuple[bool, ...]
    reasons: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse ragged columns, and more rows than a table of suspects should hold."""
        sizes = {len(self.rows), len(self.scores), len(self.flagged), len(self.reasons)}
        if len(sizes) != 1 or len(self.rows) > MAX_SUSPECTS:
            raise ValueError(f"suspects of {self.check}: columns of {sorted(sizes)} rows")
