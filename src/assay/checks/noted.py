"""How a check that reports one topic of a survey does so: its notes as findings, its gaps as open."""

from __future__ import annotations

from collections.abc import Iterator

from assay.core.artifact import Artifact, File
from assay.core.errors import CouldNotLook, NotApplicable
from assay.core.finding import Finding, Location
from assay.core.text import visible
from assay.formats.reading import Note, Topic
from assay.formats.survey import survey

MOST_FINDINGS = 200
_MOST_REASONS = 5
_MOST_REASON = 300


def report(artifact: Artifact, topic: Topic, nothing: str) -> Iterator[Finding]:
    """Every note on the topic as a finding. Raises CouldNotLook for gaps, NotApplicable(`nothing`) if none asked.

    Of more than MOST_FINDINGS the rest is counted, and the outcome is open.
    """
    gaps: list[str] = []
    asked = False
    count = 0
    for seen in survey(artifact):
        gaps += [words(seen.file, gap.reason) for gap in seen.gaps if topic in gap.topics]
        if seen.facts is None:
            continue
        asked = asked or topic in seen.facts.asked
        for note in seen.facts.notes:
            if note.topic is topic:
                asked = True
                count += 1
                if count <= MOST_FINDINGS:
                    yield finding_of(seen.file, note)
    if count > MOST_FINDINGS:
        gaps.append(f"{count - MOST_FINDINGS} further findings are not listed")
    settle(gaps, asked, nothing)


def settle(gaps: list[str], asked: bool, nothing: str) -> None:
    """End a check on what it could not read, or on having had nothing to ask. Raises CouldNotLook, NotApplicable."""
    if gaps:
        told = "; ".join(visible(gap, _MOST_REASON) for gap in gaps[:_MOST_REASONS])
        raise CouldNotLook(told + (f"; and {len(gaps) - _MOST_REASONS} more" if len(gaps) > _MOST_REASONS else ""))
    if not asked:
        raise NotApplicable(nothing)


def words(file: File, reason: str) -> str:
    """A gap with the file's name before it."""
    return f"{file.uri}: {reason}"


def finding_of(file: File, note: Note) -> Finding:
    """A note as the finding that a check yields."""
    return Finding(
        message=note.message,
        location=Location(uri=file.uri, member=note.where, offset=note.offset, line=note.line),
        key=note.key,
        severity=note.severity,
        confidence=note.confidence,
        evidence=note.evidence,
        fix=note.fix,
    )
