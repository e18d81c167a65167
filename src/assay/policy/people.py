"""Whose word counts: which waivers and approvals hold for this release, at this moment, under this policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from assay.config.durations import duration
from assay.config.policy_file import ApprovalsRule, Policy, WaiverRule
from assay.core.canonical import short
from assay.core.decision import ApprovalFact, Facts, RuleTrace, Signer, Standing, Verdict, WaiverFact
from assay.core.finding import Severity

SKEW = timedelta(minutes=5)


def zoned(moment: datetime) -> bool:
    """Whether a moment says its time zone; one that does not cannot be compared, so nothing rests on it."""
    return moment.tzinfo is not None


def distinct_people(signers: Iterable[Signer]) -> int:
    """How many people spoke, each with a key that nobody else used: a shared key does not show who held it."""
    by_key: dict[str, set[str]] = defaultdict(set)
    for signer in signers:
        by_key[signer.key].add(signer.person)
    return len({person for people in by_key.values() if len(people) == 1 for person in people})


def is_author(signer: Signer, facts: Facts) -> bool:
    """Whether this person or key signed the model."""
    return any(signer.person == a.person or signer.key == a.key for a in facts.authors)


class Waived:
    """Which fingerprints are waived. A critical finding needs two people, neither the author."""

    def __init__(self, facts: Facts, policy: Policy, now: datetime) -> None:
        first: dict[str, Signer] = {}
        others: dict[str, list[Signer]] = defaultdict(list)
        why = _WaiverJudge(facts, policy.file.waivers, now)
        self._judged = [(fact, why(fact)) for fact in facts.waivers]
        for fact, aside in self._judged:
            if not aside and first.setdefault(fact.waiver.fingerprint, fact.signer) is not fact.signer:
                others[fact.waiver.fingerprint].append(fact.signer)
        self.once = frozenset(first)
        self.twice = frozenset(mark for mark, more in others.items() if distinct_people((first[mark], *more)) >= 2)

    def covers(self, severity: Severity) -> frozenset[str]:
        """The fingerprints that are waived for findings of this severity."""
        return self.twice if severity is Severity.CRITICAL else self.once

    def judged(self, trace: Iterable[RuleTrace], critical: frozenset[str]) -> tuple[WaiverFact, ...]:
        """The waivers, each with what became of it; `critical` are the fingerprints of unwaived critical findings."""
        covered: set[str] = set()
        for marks in {id(rule.waived): rule.waived for rule in trace}.values():  # rules that read alike share theirs
            covered.update(marks)
        counts, aside, idle = Standing.COUNTS, Standing.SET_ASIDE, Standing.NOT_NEEDED
        found = []
        for fact, why in self._judged:
            mark = fact.waiver.fingerprint
            if not why and mark in critical and mark not in covered:
                why = "one person is not enough for a critical finding"
            standing = aside if why else counts if mark in covered else idle
            found.append(WaiverFact(waiver=fact.waiver, signer=fact.signer, standing=standing, why=why))
        return tuple(found)


class _WaiverJudge:
    """Why a waiver does not count for this release now, or "" when it does."""

    def __init__(self, facts: Facts, rule: WaiverRule | None, now: datetime) -> None:
        self._release, self._rule, self._now = facts.release, rule, now
        self._longest = duration(rule.longest) if rule is not None else timedelta()
        self._people, self._keys = {a.person for a in facts.authors}, {a.key for a in facts.authors}

    def __call__(self, fact: WaiverFact) -> str:
        waiver, signer, rule = fact.waiver, fact.signer, self._rule
        if rule is None:
            return "the policy lets nobody waive"
        if waiver.release != self._release:
            return f"speaks of Release {short(waiver.release)}, not this one"
        if not waiver.reason.strip():
            return "gives no reason"
        if waiver.role not in rule.roles:
            return f"the policy lets no {waiver.role} waive"
        if waiver.role not in signer.roles:
            return f"{signer.person} does not hold the role {waiver.role}"
        if not self._people:
            return "nobody signed the model, so its author is unknown"
        if signer.person in self._people or signer.key in self._keys:
            return f"{signer.person} is the author and cannot waive"
        return _untimely(waiver.at, waiver.expires, self._longest, self._now)


def _untimely(at: datetime, expires: datetime, longest: timedelta, now: datetime) -> str:
    if not zoned(at) or not zoned(expires):
        return "is dated without a time zone"
    if at > now + SKEW:
        return "is dated in the future"
    if now >= expires:
        return f"expired on {expires:%d %b %Y}"
    return f"holds for longer than {longest.days} days" if expires - at > longest else ""


def why_approval_fails(fact: ApprovalFact, rule: ApprovalsRule, facts: Facts, now: datetime) -> str:
    """Why this approval or refusal does not count for this release now, or "" when it does.

    A refusal does not lapse: only a later approval by the same person in the same role takes it back.
    """
    approval, who = fact.approval, fact.signer.person
    if approval.release != facts.release:
        return f"speaks of Release {short(approval.release)}, not this one"
    if approval.role not in fact.signer.roles:
        return f"{who} does not hold the role {approval.role}"
    if approval.decision == "refuse":
        later = _taken_back(fact, rule, facts, now)
        return f"was taken back on {later:%d %b %Y}" if later is not None else ""
    why = _untimely(approval.at, approval.expires, duration(rule.longest), now)
    if not why and rule.exclude == "author" and is_author(fact.signer, facts):
        return f"{who} is the author and cannot approve"
    return why


def _taken_back(refusal: ApprovalFact, rule: ApprovalsRule, facts: Facts, now: datetime) -> datetime | None:
    """When the same person approved in the same role after refusing, if that approval counts."""
    said = refusal.approval
    for fact in facts.approvals:
        other = fact.approval
        same = fact.signer.person == refusal.signer.person and other.role == said.role
        later = other.decision == "approve" and zoned(said.at) and zoned(other.at) and other.at > said.at
        if same and later and not why_approval_fails(fact, rule, facts, now):
            return other.at
    return None


def judged_approval(fact: ApprovalFact, policy: Policy, facts: Facts, now: datetime) -> ApprovalFact:
    """The approval with what became of it under the policy's rules."""
    rules = [r.approvals for r in policy.file.require if r.approvals is not None]
    asking = [r for r in rules if fact.approval.role in r.roles]
    if not asking:
        return replace(fact, standing=Standing.NOT_NEEDED)
    reasons = [why_approval_fails(fact, rule, facts, now) for rule in asking]
    if all(reasons):
        return replace(fact, standing=Standing.SET_ASIDE, why=reasons[0])
    return replace(fact, standing=Standing.REFUSES if fact.approval.decision == "refuse" else Standing.COUNTS)


def _place(fact: ApprovalFact) -> tuple[str, ...]:
    """A total order, so that the trace does not depend on the order in which approvals were handed in."""
    said, signer = fact.approval, fact.signer
    return (said.role, signer.person, signer.key, said.decision, said.at.isoformat(), said.comment, said.release)


def judge_approvals(rule: ApprovalsRule, trace: RuleTrace, facts: Facts, now: datetime) -> RuleTrace:
    """Decide an approvals rule: absent is indeterminate, refused denies."""
    valid: list[ApprovalFact] = []
    notes: list[str] = []
    trace = replace(trace, roles=rule.roles, missing=rule.roles)
    for fact in sorted(facts.approvals, key=_place):
        if fact.approval.role not in rule.roles:
            continue
        why = why_approval_fails(fact, rule, facts, now)
        if why:
            word = "approval" if fact.approval.decision == "approve" else "refusal"
            notes.append(f"the {fact.approval.role} {word} by {fact.signer.person} does not count: {why}")
        elif fact.approval.decision == "refuse":
            saw = f"{fact.signer.person} ({fact.approval.role}) refused"
            return replace(trace, verdict=Verdict.DENY, saw=saw, reason=fact.approval.comment or "no reason given")
        else:
            valid.append(fact)
    missing = tuple(role for role in rule.roles if not any(f.approval.role == role for f in valid))
    people = tuple(sorted({f.signer.person for f in valid}))
    distinct = distinct_people(f.signer for f in valid)
    trace = replace(trace, missing=missing)
    if rule.exclude == "author" and not facts.authors:
        notes.insert(0, "nobody signed the model, so its author is unknown")
    elif not missing and distinct >= rule.distinct:
        return replace(trace, verdict=Verdict.ALLOW, saw=f"approved by {', '.join(people)}", vouched=people)
    if missing:
        notes.insert(0, f"no valid approval by {', '.join(missing)}")
    elif distinct < rule.distinct:
        notes.insert(0, f"{distinct} of {rule.distinct} distinct people")
    asked = missing[0] if missing else rule.roles[0]
    fix = f"assay approve . --role {asked} --key {asked}.key --out {asked}.json"
    if not missing and not facts.authors:
        fix = "assay sign MODEL --key author.key"
    got = f"{len(valid)} valid of {len(facts.approvals)} given"
    return replace(trace, verdict=Verdict.INDETERMINATE, saw=got, reason="; ".join(notes), fix=fix)
