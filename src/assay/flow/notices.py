"""Notices: alarms of a watch, written down in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assay.attest.files import digest_path
from assay.core.canonical import SCHEMA, Schema, digest_of
from assay.core.finding import Severity
from assay.core.text import visible

if TYPE_CHECKING:
    from assay.flow.watch import Watched
    from assay.ledger.entry import Entry
    from assay.ledger.log import Ledger

NOTICE = "notice"
"""The kind of the entry."""
_MOST_SAID = 100


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger keeps of an alarm: of which table, natural or adversarial, the columns' effects, what was said."""

    schema: Schema = SCHEMA
    notice: str
    subject: str
    nature: str
    columns: dict[str, float]
    said: tuple[str, ...]
    findings: int

    @property
    def line(self) -> str:
        """The notice in a few words."""
        first = visible(self.said[0], 100) if self.said else f"{len(self.columns)} columns"
        more = f" and {self.findings - 1} more" if self.findings > 1 else ""
        return f"{self.notice}{f' ({self.nature})' if self.nature else ''}: {first}{more}"


def notify(book: Ledger, found: Watched, current: Path, actor: str) -> Entry:
    """Write an alarm down: what drifted and how far, never a row; it speaks of the table's digest, or where that is no
    file of the report's. Raises StorageError or InputError."""
    findings = [f for o in found.report.body.outcomes for f in o.findings if f.severity is not Severity.INFO]
    notice = Notice(
        notice="drift",
        subject=str(current),
        nature=found.nature,
        columns={c.name: round(c.effect, 6) for c in found.columns if c.flagged},
        said=tuple(f"{f.check}: {f.message}" for f in findings[:_MOST_SAID]),
        findings=len(findings),
    )
    digest = digest_path(current) if current.exists() else digest_of(found.report.body)
    return book.append(NOTICE, digest, msgspec.json.encode(notice), actor)
