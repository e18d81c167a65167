"""The evidence as the rules ask for it: by check, by measure, by severity, each fact once, with what is missing."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import chain

import msgspec

from assay.config.durations import duration
from assay.config.policy_file import Policy
from assay.core.decision import Facts, OutcomeFact
from assay.core.finding import Measure, Severity, Status
from assay.policy.people import SKEW, Waived

Counted = tuple[tuple[str, ...], tuple[str, ...]]


class Looked(msgspec.Struct, frozen=True):
    """What a pattern's checks said: the facts that count, and why the rest cannot be relied on."""

    facts: tuple[OutcomeFact, ...]
    gaps: tuple[str, ...]


class EvidenceIndex:
    """Outcomes by check, each admitted once. The age limit is the rule's own or the policy's."""

    def __init__(self, facts: Facts, policy: Policy, now: datetime, waived: Waived) -> None:
        self._facts, self._policy, self._now = facts, policy, now
        self.outcomes: dict[str, list[OutcomeFact]] = defaultdict(list)
        self.measures: dict[tuple[str, str], list[tuple[OutcomeFact, Measure]]] = defaultdict(list)
        self.unadmitted: dict[str, list[str]] = defaultdict(list)
        self._buckets: dict[int, list[tuple[int, Counted]]] = {}
        cover = {s: waived.covers(s) for s in Severity}
        for fact in _newest_version(facts.outcomes):
            why = self._not_admitted(fact)
            if why:
                self.unadmitted[fact.outcome.check].append(why)
                continue
            self.outcomes[fact.outcome.check].append(fact)
            self._buckets[id(fact)] = _bucket(fact, cover)
            for measure in fact.outcome.measures:
                self.measures[measure.name, measure.versus].append((fact, measure))
        self._looked: dict[tuple[str, str | None, str | None, int], Looked] = {}

    def _not_admitted(self, fact: OutcomeFact) -> str:
        check = fact.outcome.check
        for rule in self._policy.file.evidence:
            if fnmatchcase(check, rule.check) and not set(rule.roles) & set(fact.signer.roles):
                return f"{check} was vouched for by {fact.signer.person}, not by {' or '.join(rule.roles)}"
        return ""

    def age_gap(self, fact: OutcomeFact, max_age: str | None) -> str:
        """Why this fact's time disqualifies it, or "" when it is fresh."""
        limit = max_age or self._policy.file.max_age
        if fact.at > self._now + SKEW:
            return f"{fact.outcome.check} is dated in the future ({fact.at:%d %b %Y %H:%M} UTC)"
        if limit and self._now - fact.at > duration(limit):
            return f"{fact.outcome.check} is older than {limit} (it ran {fact.at:%d %b %Y})"
        return ""

    def look(self, pattern: str, subject: str | None, max_age: str | None, least: int = 0) -> Looked:
        """Facts of every check that matches; gaps for what never ran, is stale, open, or not admitted.

        `least` is the severity rank that matters: an open check that could not have given such a finding is no gap.
        """
        key = (pattern, subject, max_age, least)
        if key not in self._looked:
            self._looked[key] = self._look(pattern, subject, max_age, least)
        return self._looked[key]

    def _look(self, pattern: str, subject: str | None, max_age: str | None, least: int) -> Looked:
        found: list[OutcomeFact] = []
        gaps: list[str] = []
        expected = self._facts.expected
        for check in sorted(set(self.outcomes) | set(expected) | set(self.unadmitted)):
            if not fnmatchcase(check, pattern):
                continue
            severity = self._facts.severities.get(check)
            matters = severity is None or severity.rank >= least
            seen: set[str] = set()
            for fact in self.outcomes.get(check, ()):
                outcome = fact.outcome
                if subject is not None and outcome.subject != subject:
                    continue
                old = self.age_gap(fact, max_age)
                if old:
                    gaps += [old] if matters else []
                    continue
                seen.add(outcome.subject)
                found.append(fact)
                if matters and (outcome.status is Status.OPEN or not outcome.complete):
                    gaps.append(f"{check} on {outcome.subject} is open: {outcome.reason or 'not complete'}")
            wanted = [s for s in expected.get(check, ()) if subject in (None, s)]
            if matters:
                gaps += self.unadmitted.get(check, ())
                gaps += [f"{check} on {s} was never asked" for s in wanted if s not in seen]
        if not found and not gaps:
            gaps.append(f"nothing was asked that matches {pattern}")
        return Looked(tuple(found), tuple(dict.fromkeys(gaps)))

    def unwaived(self, looked: Looked, severity: Severity) -> Counted:
        """Fingerprints of findings at or above `severity`, each once: (unwaived, waived)."""
        least = severity.rank
        parts = [pair for fact in looked.facts for rank, pair in self._buckets[id(fact)] if rank >= least]
        open_ = tuple(chain.from_iterable(p[0] for p in parts))
        covered = tuple(chain.from_iterable(p[1] for p in parts))
        if len({(f.outcome.check, f.outcome.subject) for f in looked.facts}) < len(looked.facts):
            open_, covered = tuple(dict.fromkeys(open_)), tuple(dict.fromkeys(covered))
        return open_, covered


def _bucket(fact: OutcomeFact, cover: dict[Severity, frozenset[str]]) -> list[tuple[int, Counted]]:
    """A fact's fingerprints by severity rank; a finding that names no severity counts as critical."""
    lists: dict[Severity, tuple[dict[str, None], dict[str, None]]] = {s: ({}, {}) for s in Severity}
    for finding in fact.outcome.findings:
        severity, fingerprint = finding.severity or Severity.CRITICAL, finding.fingerprint
        lists[severity][fingerprint in cover[severity]][fingerprint] = None
    return [(s.rank, (tuple(open_), tuple(covered))) for s, (open_, covered) in lists.items() if open_ or covered]


def _newest_version(facts: tuple[OutcomeFact, ...]) -> list[OutcomeFact]:
    """A check that was superseded speaks no more where its newer version spoke of the same subject."""
    newest: dict[tuple[str, str], int] = {}
    for fact in facts:
        key = (fact.outcome.check, fact.outcome.subject)
        newest[key] = max(newest.get(key, 0), fact.outcome.version)
    return [f for f in facts if f.outcome.version == newest[f.outcome.check, f.outcome.subject]]
