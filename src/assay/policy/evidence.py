"""The evidence as the rules ask for it: by check, by measure, by severity, each fact once, with what is missing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from assay.config.durations import duration
from assay.config.policy_file import Policy
from assay.core.decision import Facts, OutcomeFact
from assay.core.finding import Json, Measure, Severity, Status
from assay.core.subject import Attacker
from assay.core.text import nearest
from assay.core.threats import FoundWanting
from assay.policy.people import SKEW, Waived, zoned

Counted = tuple[tuple[str, ...], tuple[str, ...]]
"""Fingerprints: those that nobody waived, and those that are waived."""
AGAIN = "assay run --evidence-out FILE --key KEY"
_OF_CHECK = "set it so under `checks:` in assay.yaml, then assay run"
_OF_ATTACKER = (
    "set it so under `attacker:` in assay.yaml, then assay run; or have the policy's owner agree to it, under "
    "`parameters:` of the policy or by `contract: {digest: …}`"
)
_ABOVE_INFO = frozenset(s for s in Severity if s is not Severity.INFO) | {None}


class Gap(msgspec.Struct, frozen=True, gc=False):
    """What is in doubt: a check ("" where none is known), why nothing can be built on it, what mends that, and the
    subject that it was asked of ("" where it is of no single one).

    A gate makes thousands; `gc=False` keeps them from setting off the collector in the middle of a decision.
    """

    check: str
    why: str
    fix: str = ""
    subject: str = ""


class Looked(msgspec.Struct, frozen=True):
    """What a pattern's checks said: the checks that matter, the facts that count, and what cannot be relied on."""

    checks: tuple[str, ...]
    facts: tuple[OutcomeFact, ...]
    gaps: tuple[Gap, ...]


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """An admitted fact with what does not depend on the rule: its age, why its time is no time, why it is in doubt."""

    fact: OutcomeFact
    subject: str
    age: timedelta
    ran: str
    untimely: str
    doubt: str


_Asked = tuple[str, int, list[_Entry], tuple[str, ...]]
"""A check, the rank of the gravest finding it gives (critical where that is not known), its facts, its subjects."""


class EvidenceIndex:
    """Outcomes by check, each admitted once. The age limit is the rule's own or the policy's."""

    def __init__(self, facts: Facts, policy: Policy, now: datetime, waived: Waived) -> None:
        self._facts, self._policy, self._now = facts, policy, now
        terms = facts.terms
        self._attacker = terms.contract.attacker if terms is not None else Attacker()
        self._agreed = self._attacker if terms is not None and terms.digest in policy.pinned else Attacker()
        self._wanting: dict[tuple[str, str], list[FoundWanting]] = defaultdict(list)
        for found in facts.packs.wanting:
            self._wanting[found.check, found.digest].append(found)
        self.outcomes: dict[str, list[OutcomeFact]] = defaultdict(list)
        self.measures: dict[str, list[tuple[OutcomeFact, Measure]]] = defaultdict(list)
        self.refused: dict[str, list[Gap]] = defaultdict(list)
        self.aside: dict[str, list[Gap]] = defaultdict(list)
        self._unadmitted: dict[str, list[Gap]] = defaultdict(list)
        self._entries: dict[str, list[_Entry]] = defaultdict(list)
        self._by_fact: dict[int, _Entry] = {}
        self._buckets: dict[int, list[tuple[int, Counted]]] = {}
        cover = {s: waived.covers(s) for s in Severity}
        for fact in self._admitted():
            self.outcomes[fact.outcome.check].append(fact)
            entry = self._by_fact[id(fact)] = self._entry(fact)
            self._entries[fact.outcome.check].append(entry)
            self._buckets[id(fact)] = _bucket(fact, cover)
            gives = facts.gives.get(fact.outcome.check)
            for measure in fact.outcome.measures:
                if gives is not None and measure.key not in gives:
                    continue
                if why := self._not_admitted(fact, measure.name):
                    self.refused[measure.key].append(Gap(fact.outcome.check, why, AGAIN, fact.outcome.subject))
                else:
                    self.measures[measure.key].append((fact, measure))
        self._oldest = max((e.age for e in self._by_fact.values()), default=timedelta())
        self._checks = sorted(set(self.outcomes) | set(facts.expected) | set(self.aside))
        told = [(e.fact.outcome.check, e.subject) for e in self._by_fact.values()]
        self._told_once = len(set(told)) == len(told)
        self._matching: dict[str, list[_Asked]] = {}
        self._looked: dict[tuple[str, str | None, str | None, int], Looked] = {}
        self._counted: dict[tuple[int, Severity], tuple[Counted, tuple[str, ...]]] = {}

    def _admitted(self) -> list[OutcomeFact]:
        """The facts that count, in a total order; why each other one does not is noted.

        An older version of a check would give other answers: it speaks no more, and where the newest one has not spoken
        of the same subject, that is noted too. What does not count leaves a doubt only where nothing that counts speaks
        of the same subject: else whoever gives all that was ever asked would be worse off than who leaves it out.
        """
        admitted: list[OutcomeFact] = []
        newest: dict[tuple[str, str], int] = {}
        for fact in sorted(self._facts.outcomes, key=_place):
            outcome = fact.outcome
            why, fix = self._not_admitted(fact, outcome.check), AGAIN
            if not why:
                why, fix = self._other_pack(fact)
            if not why:
                why, fix = self._loosened(fact)
            if why:
                self.aside[outcome.check].append(Gap(outcome.check, why, fix, outcome.subject))
                continue
            admitted.append(fact)
            key = outcome.check, outcome.subject
            newest[key] = max(newest.get(key, outcome.version), outcome.version)
        for check, subject in newest:
            spoke = newest[check, subject]
            current = self._facts.versions.get(check, spoke)
            if spoke < current:
                why = f"{check} ran in version {spoke} on {subject}, the current one is {current}"
                self.aside[check].append(Gap(check, why, AGAIN, subject))
                newest[check, subject] = current
        counted = [f for f in admitted if f.outcome.version == newest[f.outcome.check, f.outcome.subject]]
        answered = {(f.outcome.check, f.outcome.subject) for f in counted}
        for check, gaps in self.aside.items():
            if left := [gap for gap in gaps if (check, gap.subject) not in answered]:
                self._unadmitted[check] = left
        return counted

    def _not_admitted(self, fact: OutcomeFact, name: str) -> str:
        """Why this signer may not speak of the check or measure of that name, or "".

        A measure's name is judged too, so that nobody slips it in under a check that the policy left open.
        """
        for rule in self._policy.file.evidence:
            if fnmatchcase(name, rule.check) and not set(rule.roles) & set(fact.signer.roles):
                return f"{name} was vouched for by {fact.signer.person}, not by {' or '.join(rule.roles)}"
        return ""

    def _other_pack(self, fact: OutcomeFact) -> tuple[str, str]:
        """Why the threat pack of this outcome is none to rely on, and what mends that.

        Whoever is judged could else bring a pack that calls their own names safe, or one from before a gadget was
        known; nor does an outcome hold that a later rescan of the same bytes has contradicted.
        """
        outcome, packs = fact.outcome, self._facts.packs
        claimed = outcome.threats
        had = packs.known.get(claimed.digest) if claimed is not None else None
        if claimed is not None and had != claimed:
            really = f"claims threat pack {claimed}, which is {had}" if had is not None else (
                f"was judged by threat pack {claimed}, which this gate does not hold"
            )  # fmt: skip
            return f"{outcome.check} {really}", "give it with --threats, or run again by the pack that the gate holds"
        by = f"by threat pack {had}" if had is not None else "without a threat pack"
        for line in packs.lines:
            version = had.version if had is not None and had.name == line.newest.name else 0
            for row in line.supersedes:
                if version < row.since and fnmatchcase(outcome.check, row.check):
                    what = f"{outcome.check} was judged {by}, stale since {line.newest.name} {row.since}: {row.why}"
                    return what, f"put {line.newest} under `threats:` in assay.yaml, then {AGAIN}"
        if outcome.status is Status.FAIL or not outcome.complete:
            return "", ""  # it says so itself
        for found in self._wanting.get((outcome.check, outcome.subject_digest), ()):
            newer = had is not None and had.name == found.pack.name and had.version > found.pack.version
            if not newer:
                what = (
                    f"{outcome.check} was judged {by}, and a rescan of these bytes by {found.pack} has said otherwise"
                )
                return what, f"put {found.pack}, or a newer one, under `threats:` in assay.yaml, then {AGAIN}"
        return "", ""

    def _loosened(self, fact: OutcomeFact) -> tuple[str, str]:
        """Why this outcome was not asked for as the policy, or else the check itself, asks for it; and what mends that.

        What the parameters of an attack leave unset `attacker:` of the manifest has answered, which is the word of
        whoever is judged as `checks:` is: both sides are compared as they are really asked.
        """
        outcome = fact.outcome
        default = self._facts.defaults.get(outcome.check)
        if default is None:
            return "", ""
        given = outcome.parameters
        asks = {**default, **self._policy.file.parameters.get(outcome.check, {})}
        wanted = self._agreed.answers(asks)
        wanted.setdefault("sandbox", "full")
        ran = self._attacker.answers(given)
        for key in sorted({*asks, *wanted, *ran}, key=lambda k: (k != "norm", k)):  # budgets are read by their norm
            absent = key in asks and key not in given
            if key == "sandbox" and key not in given:
                continue  # only a check that loads models has one
            if absent or not _same(wanted.get(key), ran.get(key)):
                had = "absent" if absent else _told(ran.get(key))
                what = f"{outcome.check} ran with {key} {had}, the policy asks for {_told(wanted.get(key))}"
                return what, _OF_ATTACKER if ran.get(key) != given.get(key) else _OF_CHECK
        return "", ""

    def _entry(self, fact: OutcomeFact) -> _Entry:
        outcome, untimely, age = fact.outcome, "", timedelta()
        if not zoned(fact.at):
            untimely = f"{outcome.check} is dated without a time zone"
        elif fact.at > self._now + SKEW:
            untimely = f"{outcome.check} is dated in the future ({fact.at:%d %b %Y %H:%M} UTC)"
        else:
            age = self._now - fact.at
        doubt = ""
        if outcome.status is Status.OPEN or not outcome.complete:
            doubt = f"{outcome.check} on {outcome.subject} is open: {outcome.reason or 'not complete'}"
        elif outcome.status is Status.FAIL and not told_wrong(fact):
            doubt = f"{outcome.check} on {outcome.subject} failed but names no finding"
        return _Entry(fact, outcome.subject, age, f"{fact.at:%d %b %Y}", untimely, doubt)

    def counted(self) -> tuple[str, ...]:
        """The checks whose admitted outcomes are fresh by the policy, and speak of every subject that they must."""
        fresh = {c: {f.outcome.subject for f in said if not self.age_gap(f, None)} for c, said in self.outcomes.items()}
        expected = self._facts.expected
        return tuple(sorted(c for c, seen in fresh.items() if seen and seen.issuperset(expected.get(c, ()))))

    def age_gap(self, fact: OutcomeFact, max_age: str | None) -> str:
        """Why this fact's time disqualifies it, or "" when it is fresh."""
        entry = self._by_fact[id(fact)]
        limit = max_age or self._policy.file.max_age
        if not entry.untimely and limit and entry.age > duration(limit):
            return _older(entry, limit)
        return entry.untimely

    def look(self, pattern: str, subject: str | None, max_age: str | None, least: int = 0) -> Looked:
        """Facts of every check that matches; gaps for what never ran, is stale, open, or not admitted.

        `least` is the severity rank that matters: an open check that could not have given such a finding is no gap.
        """
        limit = max_age or self._policy.file.max_age
        if limit is not None and self._oldest <= duration(limit):
            limit = None  # nothing is that old, so every such limit gives the same answer
        key = (pattern, subject, limit, least)
        if key not in self._looked:
            self._looked[key] = self._look(pattern, subject, limit, least)
        return self._looked[key]

    def _look(self, pattern: str, subject: str | None, limit: str | None, least: int) -> Looked:
        found: list[OutcomeFact] = []
        gaps: list[Gap] = []
        oldest = duration(limit) if limit is not None else None
        if pattern not in self._matching:
            self._matching[pattern] = [self._asked(c) for c in self._checks if fnmatchcase(c, pattern)]
        for check, rank, entries, expected in self._matching[pattern]:
            matters = rank >= least
            seen: set[str] = set()  # of those asked, be the answer too old or not
            for entry in entries:
                if subject is not None and entry.subject != subject:
                    continue
                seen.add(entry.subject)
                if entry.untimely or (oldest is not None and entry.age > oldest):
                    if matters:
                        gaps.append(Gap(check, entry.untimely or _older(entry, limit), AGAIN))
                    continue
                found.append(entry.fact)
                if entry.doubt and matters:
                    gaps.append(Gap(check, entry.doubt))
            if matters:
                gaps += self.unadmitted(check, subject)
                if not seen.issuperset(expected):
                    gaps += self.never_asked(check, subject, seen)
        if not found and not gaps:
            gaps.append(Gap("", f"nothing was asked that matches {pattern}"))
        checks = tuple([check for check, rank, _, _ in self._matching[pattern] if rank >= least])
        return Looked(checks, tuple(found), tuple(dict.fromkeys(gaps)))

    def only_measures(self, check: str) -> bool:
        """Whether a check fails on nothing: it measures, and a policy judges."""
        return self._facts.severities.get(check) is Severity.INFO

    def _asked(self, check: str) -> _Asked:
        severity = self._facts.severities.get(check, Severity.CRITICAL)
        return check, severity.rank, self._entries.get(check, []), self._facts.expected.get(check, ())

    def unadmitted(self, check: str, subject: str | None) -> list[Gap]:
        """Gaps for what this check said of that subject (or of any) where nothing that it said counts."""
        return [gap for gap in self._unadmitted.get(check, ()) if subject in (None, gap.subject)]

    def never_asked(self, check: str, subject: str | None, seen: Iterable[str]) -> list[Gap]:
        """Gaps for the subjects (that one, or all) that this check must have been asked of, apart from those seen and
        those of which it said what does not count."""
        asked = {*seen, *(gap.subject for gap in self._unadmitted.get(check, ()))}
        wanted = (s for s in self._facts.expected.get(check, ()) if subject in (None, s))
        return [Gap(check, f"{check} on {s} was never asked", AGAIN) for s in wanted if s not in asked]

    def giving(self, key: str) -> list[str]:
        """The checks that may give the measure of that key, sorted."""
        return sorted(check for check, keys in self._facts.gives.items() if key in keys)

    def nearest_measure(self, key: str) -> str:
        """The known measure that is spelled most alike, or ""."""
        return nearest(key, sorted({k for keys in self._facts.gives.values() for k in keys}))

    def unwaived(self, looked: Looked, severity: Severity) -> tuple[Counted, tuple[str, ...]]:
        """Fingerprints of findings at or above `severity`, each once, and the checks that hold an unwaived one."""
        key = (id(looked), severity)
        if key not in self._counted:
            self._counted[key] = self._count(looked, severity.rank)
        return self._counted[key]

    def critical(self) -> frozenset[str]:
        """The fingerprints of critical findings that no valid waiver covers."""
        pairs = (pair for entry in self._buckets.values() for rank, pair in entry if rank == Severity.CRITICAL.rank)
        return frozenset(mark for open_, _ in pairs for mark in open_)

    def _count(self, looked: Looked, least: int) -> tuple[Counted, tuple[str, ...]]:
        open_: list[str] = []
        covered: list[str] = []
        holding: dict[str, None] = {}
        for fact in looked.facts:
            for rank, (bare, waived) in self._buckets[id(fact)]:
                if rank >= least:
                    covered += waived
                    if bare:
                        open_ += bare
                        holding[fact.outcome.check] = None
        if not self._told_once:
            open_, covered = list(dict.fromkeys(open_)), list(dict.fromkeys(covered))
        return (tuple(open_), tuple(covered)), tuple(holding)


def told_wrong(fact: OutcomeFact) -> bool:
    """Whether the outcome names anything wrong: a finding above info (one that names no severity counts)."""
    return any(f.severity in _ABOVE_INFO for f in fact.outcome.findings)


def _older(entry: _Entry, limit: str | None) -> str:
    return f"{entry.fact.outcome.check} is older than {limit} (it ran {entry.ran})"


def _place(fact: OutcomeFact) -> tuple[str, ...]:
    """A total order, so that the trace does not depend on the order in which papers were handed in."""
    outcome, signer = fact.outcome, fact.signer
    return (
        outcome.check, outcome.subject, fact.bundle, signer.person, signer.key, fact.at.isoformat(), outcome.status,
        outcome.reason,
    )  # fmt: skip


def _bucket(fact: OutcomeFact, cover: dict[Severity, frozenset[str]]) -> list[tuple[int, Counted]]:
    """A fact's fingerprints by severity rank; a finding that names no severity counts as critical."""
    marks: dict[Severity | None, dict[str, None]] = defaultdict(dict)
    for finding in fact.outcome.findings:
        marks[finding.severity][finding.fingerprint] = None
    if None in marks:
        marks[Severity.CRITICAL].update(marks.pop(None))
    result = []
    for severity, once in marks.items():
        assert severity is not None
        covers = cover[severity]
        covered = [m for m in once if m in covers] if covers else []
        for mark in covered:
            del once[mark]
        result.append((severity.rank, (tuple(once), tuple(covered))))
    return result


def _told(value: Json) -> str:
    if isinstance(value, float) and (value.is_integer() or math.isinf(value)):
        return "unlimited" if math.isinf(value) else f"{value:.15g}"
    text = isinstance(value, str) and not value.isidentifier()  # '40' is not 40
    return "unset" if value is None else repr(value) if text else str(value)


def _same(wanted: Json, had: Json) -> bool:
    """Equal, and not a truth value beside a number."""
    return wanted == had and isinstance(wanted, bool) is isinstance(had, bool)
