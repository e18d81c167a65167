"""The dossier of a gate's decision: every bundle's outcomes as one report, with who vouches for what."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from assay.core.dossier import Dossier
from assay.core.finding import Outcome
from assay.core.report import Report
from assay.core.subject import Subject
from assay.flow.coverage import coverage_of
from assay.flow.examine import check_infos, tag_infos
from assay.flow.gate import Gated
from assay.flow.join import Bundle


def dossier_of(gated: Gated) -> Dossier:
    """What a page about this decision shows."""
    report = merged(gated.joined.bundles)
    return Dossier(
        report=report,
        decision=gated.decision,
        vouches=gated.joined.vouches,
        signatures=gated.joined.signatures,
        coverage=coverage_of(report, gated.decision),
        holders=gated.people.holders,
        owner=gated.people.name_of(gated.decision.policy.signed_by),
        proof=gated.proof,
    )


def merged(bundles: tuple[Bundle, ...]) -> Report:
    """One report of all bundles: each outcome once (the same outcome from two machines is one)."""
    first = bundles[0].report
    if len(bundles) == 1:
        return first
    outcomes: dict[bytes, Outcome] = {}
    subjects: dict[str, Subject] = {}
    for bundle in bundles:
        for outcome in bundle.report.body.outcomes:
            outcomes.setdefault(msgspec.json.encode(outcome, order="deterministic"), outcome)
        for subject in bundle.report.body.subjects:
            subjects.setdefault(subject.name, subject)
    said = tuple(outcomes.values())
    checks = check_infos(said)
    body = replace(
        first.body, subjects=tuple(subjects.values()), outcomes=said, checks=checks, tags=tag_infos(checks, said)
    )
    seconds = sum(b.report.run.seconds for b in bundles)
    started = min(b.report.run.started for b in bundles)
    return Report(body=body, run=replace(first.run, seconds=seconds, started=started))
