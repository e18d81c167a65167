"""Notices: alarms of a watch, written down in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict

from assay.attest.files import digest_path
from assay.core.canonical import SCHEMA, Schema, digest_bytes, digest_of
from assay.core.errors import AssayError
from assay.core.finding import Json, Severity
from assay.core.text import visible
from assay.core.version import __version__

if TYPE_CHECKING:
    from assay.core.profile import Reference
    from assay.flow.watch import Watched
    from assay.ledger.entry import Entry
    from assay.ledger.log import Ledger

NOTICE = "notice"
"""The kind of the entry."""
_MOST_SAID = 100


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger keeps of an alarm: of which table, natural or adversarial, the columns' effects, what was said; and
    what it takes to do it again: the reference's digest, how it was asked, the columns as declared, Assay's version.
    Notices of before that was kept lack it."""

    schema: Schema = SCHEMA
    notice: str
    subject: str
    nature: str
    columns: dict[str, float]
    said: tuple[str, ...]
    findings: int
    reference: str = ""
    reference_digest: str = ""
    alpha: float | None = None
    least_effect: float | None = None
    seed: int | None = None
    declared: dict[str, Json] = {}
    tool: str = ""

    @property
    def line(self) -> str:
        """The notice in a few words."""
        first = visible(self.said[0], 100) if self.said else f"{len(self.columns)} columns"
        more = f" and {self.findings - 1} more" if self.findings > 1 else ""
        return f"{self.notice}{f' ({self.nature})' if self.nature else ''}: {first}{more}"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a watch was asked: the name and digest of its reference, the level, the least effect, the seed."""

    reference: str
    reference_digest: str
    alpha: float
    least_effect: float
    seed: int


def asked_of(where: Path, before: Reference, alpha: float, least_effect: float, seed: int) -> Asked:
    """How a watch was asked, of the reference's file (or of what it remembers, where that is no file)."""
    from assay.adapters.traffic import encode_reference  # the log is listed without it

    digest = digest_path(where) if where.exists() else digest_bytes(encode_reference(before))
    return Asked(reference=str(where), reference_digest=digest, alpha=alpha, least_effect=least_effect, seed=seed)


def notify(
    book: Ledger, found: Watched, current: Path, actor: str, asked: Asked, *, once: bool = False
) -> Entry | None:
    """Write an alarm down: what drifted and how far, never a row; it speaks of the table's digest, or where that is no
    file of the report's. An alarm of an earlier look that stands is none of this table's.

    With `once`, None and nothing written where the ledger has this notice of this table already. Raises StorageError or
    InputError.
    """
    findings = [
        f
        for o in found.report.body.outcomes
        for f in o.findings
        if f.severity is not Severity.INFO and not f.evidence.get("standing")
    ]
    standing = {
        f.location.column
        for o in found.report.body.outcomes
        for f in o.findings
        if f.location is not None and f.evidence.get("standing")
    }
    notice = Notice(
        notice="drift",
        subject=str(current),
        nature=found.nature,
        columns={c.name: round(c.effect, 6) for c in found.columns if c.flagged and c.name not in standing},
        said=tuple(f"{f.check}: {f.message}" for f in findings[:_MOST_SAID]),
        findings=len(findings),
        declared=found.report.body.subjects[0].options,
        tool=f"assay/{__version__}",
        **asdict(asked),
    )
    digest = digest_path(current) if current.exists() else digest_of(found.report.body)
    if once and _written(book, digest, notice):
        return None
    return book.append(NOTICE, digest, msgspec.json.encode(notice), actor)


def _written(book: Ledger, digest: str, notice: Notice) -> bool:
    """Whether the ledger has this notice of the same table beside the same reference."""
    for entry in book.read(kind=NOTICE):
        if entry.subject_digest != digest:
            continue
        try:
            held = msgspec.json.decode(book.payload(entry), type=Notice)
        except (AssayError, msgspec.DecodeError):  # erased, or another tool's
            continue
        if (held.columns, held.said, held.reference_digest) == (notice.columns, notice.said, notice.reference_digest):
            return True
    return False
