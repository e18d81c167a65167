"""A saved JSON report or evidence bundle as a dossier again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay.attest import statement as st
from assay.core import strict_json
from assay.core.dossier import Dossier
from assay.core.errors import UsageError, VerificationError
from assay.core.report import Report
from assay.flow.coverage import coverage_of
from assay.flow.papers import read_paper
from assay.render.structured import JsonReport


def read_dossier(path: Path) -> Dossier:
    """Read it, whichever it is. Raises UsageError for neither, VerificationError for a damaged bundle."""
    data = read_paper(path)
    try:
        statement = st.claimed(data, where=str(path))
    except VerificationError:
        statement = None
    if statement is not None and statement.predicate_type == st.EVIDENCE:
        report = statement.read(Report, where=str(path))
        return Dossier(report=report, coverage=coverage_of(report, None))
    try:
        saved: JsonReport = strict_json.decode(data, JsonReport)
    except (msgspec.DecodeError, RecursionError, ValueError):
        fix = "give what `assay run --format json` or --evidence-out wrote"
        raise UsageError("is not an Assay report", where=str(path), fix=fix) from None
    report = Report(body=saved.body, run=saved.run)
    return Dossier(
        report=report,
        decision=saved.decision,
        vouches=saved.vouches,
        signatures=saved.signatures,
        coverage=coverage_of(report, saved.decision),
        holders=saved.holders,
        owner=saved.owner,
        proof=saved.proof,
    )
