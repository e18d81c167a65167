"""Rows that a check points at: by number, never by content, and kept out of outcomes and evidence."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from assay.core.exhibit import Table

SHOWN = 40
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


def flagged_rows(found: Sequence[Suspects]) -> Table | None:
    """The rows that checks flag, by number and never by content: first those that most checks flag, then each check's
    worst in turn. None where no row is flagged."""
    checks: dict[int, list[tuple[str, str]]] = {}
    best: dict[int, int] = {}
    flagged = {s.check: sum(s.flagged) for s in found}
    for item in found:
        marked = [i for i, hit in enumerate(item.flagged) if hit]
        for place, i in enumerate(sorted(marked, key=lambda i: (-item.scores[i], item.rows[i]))):
            row = item.rows[i]
            checks.setdefault(row, []).append((item.check, item.reasons[i]))
            best[row] = min(place, best.get(row, place))
    if not checks:
        return None
    order = sorted(checks, key=lambda row: (-len(checks[row]), best[row], row))[:SHOWN]
    counts = ", ".join(f"{n:,} by {check}" for check, n in sorted(flagged.items()) if n)
    return Table(
        name="suspicious-rows",
        title=f"{len(checks):,} rows are flagged: {counts}",
        subtitle="by number (counting from 0), never by content; rows that several checks flag come first",
        columns=("row", "flagged by", "why"),
        rows=tuple(
            (row, ", ".join(sorted({c for c, _ in checks[row]})), "; ".join(sorted({w for _, w in checks[row] if w})))
            for row in order
        ),
        note="" if len(checks) <= SHOWN else f"{len(checks) - SHOWN:,} more rows: --suspects FILE writes them all",
    )
