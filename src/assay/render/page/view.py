"""The dossier as the page asks for it: findings by gravity, checks and tags by id, which rule touches which check."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import cached_property

from assay.core.decision import Decision, RuleTrace, Verdict
from assay.core.dossier import Dossier, Vouch
from assay.core.finding import Finding, Outcome, Severity, Status
from assay.core.report import CheckInfo, TagInfo
from assay.core.subject import Kind

_WORST = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1, Verdict.ALLOW: 2}


def grave(finding: Finding) -> Severity:
    """A finding's severity; one that names none counts as critical, as at the gate."""
    return finding.severity or Severity.CRITICAL


def finding_line(finding: Finding) -> str:
    """A finding as a clause: `models/claims.pkl calls os.system while loading`."""
    message = finding.message.strip()
    return f"{finding.location.uri} {message}" if message[:1].islower() else message


def is_open(outcome: Outcome) -> bool:
    """Whether the check could not look, wholly or in part."""
    return outcome.status is Status.OPEN or not outcome.complete


class View:
    """A dossier with its indexes. Everything is derived from the dossier alone."""

    def __init__(self, dossier: Dossier) -> None:
        self.dossier, self.body, self.run = dossier, dossier.report.body, dossier.report.run
        self.checks: dict[str, CheckInfo] = {c.id: c for c in self.body.checks}
        self.tags: dict[str, TagInfo] = {t.tag: t for t in self.body.tags}

    @property
    def decision(self) -> Decision | None:
        """What the gate said, if it was asked."""
        return self.dossier.decision

    @cached_property
    def now(self) -> datetime:
        """The moment that ages are counted to: the decision's, else the end of the run."""
        if self.decision is not None:
            return self.decision.at
        return self.run.started + timedelta(seconds=self.run.seconds)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the gravest first; of one check in its own order, which is what it thinks worst first."""
        found = [f for o in self.body.outcomes for f in o.findings]
        return tuple(sorted(found, key=lambda f: (-grave(f).rank, f.check)))

    @cached_property
    def by_fingerprint(self) -> dict[str, Finding]:
        """The gravest finding of each fingerprint."""
        return {f.fingerprint: f for f in reversed(self.findings)}

    @cached_property
    def noun(self) -> tuple[str, str]:
        """What the subjects are called: files only where each surely is one; a folder that was scanned is a path."""
        if {s.kind for s in self.body.subjects} != {Kind.ARTIFACT}:
            return "subject", "subjects"
        uris = {s.name: s.uri for s in self.body.subjects}
        inside = any(f.location.uri != uris.get(f.subject, f.location.uri) for f in self.findings)
        named = all("." in uri.rpartition("/")[2].strip(".") for uri in uris.values())
        return ("file", "files") if named and not inside else ("path", "paths")

    @cached_property
    def trace(self) -> tuple[RuleTrace, ...]:
        """Every rule in the policy's order."""
        return self.decision.trace if self.decision is not None else ()

    @cached_property
    def blocking(self) -> tuple[RuleTrace, ...]:
        """The rules that deny, then those that could not be judged; inside each the policy's order."""
        stopped = [t for t in self.trace if t.verdict is not Verdict.ALLOW]
        return tuple(sorted(stopped, key=lambda t: _WORST[t.verdict]))

    @cached_property
    def waived(self) -> frozenset[str]:
        """Fingerprints that a valid waiver covered at the gate."""
        return frozenset(f for t in self.trace for f in t.waived)

    @cached_property
    def denied(self) -> frozenset[str]:
        """Fingerprints that a denying rule counted."""
        return frozenset(f for t in self.trace if t.verdict is Verdict.DENY for f in t.fingerprints)

    @cached_property
    def vouches(self) -> dict[str, tuple[Vouch, ...]]:
        """Who vouches, by check."""
        found: dict[str, list[Vouch]] = defaultdict(list)
        for vouch in self.dossier.vouches:
            found[vouch.check].append(vouch)
        return {check: tuple(v) for check, v in found.items()}

    @cached_property
    def units(self) -> dict[tuple[str, str], str]:
        """Each measure's unit, by check and key; "" where two outcomes of a check disagree."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for outcome in self.body.outcomes:
            for measure in outcome.measures:
                found[outcome.check, measure.key].add(measure.unit)
        return {at: next(iter(units)) if len(units) == 1 else "" for at, units in found.items()}

    def unit(self, check: str, key: str) -> str:
        """The unit of a measure; without a check, that of whichever check gave it."""
        if check:
            return self.units.get((check, key), "")
        known = {unit for (_, name), unit in self.units.items() if name == key}
        return known.pop() if len(known) == 1 else ""

    def rules_on(self, check: str) -> tuple[RuleTrace, ...]:
        """The rules that this check's outcomes had a part in."""
        return tuple(t for t in self.trace if check in t.decided_by)

    def reading(self, check: str) -> tuple[RuleTrace, ...]:
        """The rules that read this check, whether or not it decided them."""
        return tuple(t for t in self.trace if check in t.covers)
