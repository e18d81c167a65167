"""Whose word counts: which waivers and approvals hold for this release, at this moment, under this policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from assay.config.durations import duration
from assay.config.policy_file import ApprovalsRule, Policy, WaiverRule
from assay.core.canonical import short
from assay.core.decision import ApprovalFact, Facts, RuleTrace, Signer, Verdict, WaiverFact
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
        rule = policy.file.waivers
        if rule is not None:
            longest, latest = duration(rule.longest), now + SKEW
            people, keys = {a.person for a in facts.authors}, {a.key for a in facts.authors}
            for fact in facts.waivers:
                by_author = fact.signer.person in people or fact.signer.key in keys
                if not by_author and _waiver_holds(fact, facts.release, rule, longest, now, latest):
                    mark = fact.waiver.fingerprint
                    if first.setdefault(mark, fact.signer) is not fact.signer:
                        others[mark].append(fact.signer)
        self.once = frozenset(first)
        self.twice = frozenset(
            mark for mark, more in others.items() if facts.authors and distinct_people((first[mark], *more)) >= 2
        )

    def covers(self, severity: Severity) -> frozenset[str]:
        """The fingerprints that are waived for findings of this severity."""
        return self.twice if severity is Severity.CRITICAL else self.once


def _waiver_holds(
    fact: WaiverFact, release: str, rule: WaiverRule, longest: timedelta, now: datetime, latest: datetime
) -> bool:
    waiver, signer = fact.waiver, fact.signer
    return (
        waiver.release == release
        and bool(waiver.reason.strip())
        and zoned(waiver.at)
        and zoned(waiver.expires)
        and waiver.at <= latest
        and now < waiver.expires
        and waiver.expires - waiver.at <= longest
        and waiver.role in rule.roles
        and waiver.role in signer.roles
    )


def why_approval_fails(fact: ApprovalFact, facts: Facts, now: datetime) -> str:
    """Why this approval does not count for this release now, or "" when it does."""
    approval = fact.approval
    if approval.release != facts.release:
        return f"speaks of Release {short(approval.release)}, not this one"
    if not zoned(approval.at) or not zoned(approval.expires):
        return "is dated without a time zone"
    if approval.at > now + SKEW:
        return "is dated in the future"
    if now >= approval.expires:
        return f"expired on {approval.expires:%d %b %Y}"
    if approval.role not in fact.signer.roles:
        return f"{fact.signer.person} does not hold the role {approval.role}"
    return ""


def _place(fact: ApprovalFact) -> tuple[str, ...]:
    """A total order, so that the trace does not depend on the order in which approvals were handed in."""
    said, signer = fact.approval, fact.signer
    return (said.role, signer.person, signer.key, said.decision, said.at.isoformat(), said.comment, said.release)


def judge_approvals(rule: ApprovalsRule, trace: RuleTrace, facts: Facts, now: datetime) -> RuleTrace:
    """Decide an approvals rule: absent is indeterminate, refused denies."""
    from msgspec.structs import replace

    valid: list[ApprovalFact] = []
    notes: list[str] = []
    for fact in sorted(facts.approvals, key=_place):
        if fact.approval.role not in rule.roles:
            continue
        why = why_approval_fails(fact, facts, now)
        if why:
            notes.append(f"the {fact.approval.role} approval by {fact.signer.person} {why}")
        elif fact.approval.decision == "refuse":
            saw = f"{fact.signer.person} ({fact.approval.role}) refused"
            return replace(trace, verdict=Verdict.DENY, saw=saw, reason=fact.approval.comment or "no reason given")
        elif rule.exclude == "author" and is_author(fact.signer, facts):
            notes.append(f"{fact.signer.person} is the author and cannot approve")
        else:
            valid.append(fact)
    missing = [role for role in rule.roles if not any(f.approval.role == role for f in valid)]
    people = {f.signer.person for f in valid}
    distinct = distinct_people(f.signer for f in valid)
    if rule.exclude == "author" and not facts.authors:
        notes.insert(0, "nobody signed the model, so its author is unknown")
    elif not missing and distinct >= rule.distinct:
        vouched = tuple(sorted(people))
        return replace(trace, verdict=Verdict.ALLOW, saw=f"approved by {', '.join(vouched)}", vouched=vouched)
    if missing:
        notes.insert(0, f"no valid approval by {', '.join(missing)}")
    elif distinct < rule.distinct:
        notes.insert(0, f"{distinct} of {rule.distinct} distinct people")
    fix = f"assay approve --role {missing[0]}" if missing else "assay sign the model, then assay approve"
    got = f"{len(valid)} valid of {len(facts.approvals)} given"
    return replace(trace, verdict=Verdict.INDETERMINATE, saw=got, reason="; ".join(notes), fix=fix)
