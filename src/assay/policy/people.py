"""Whose word counts: which waivers and approvals hold for this release, at this moment, under this policy."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from assay.config.durations import duration
from assay.config.policy_file import ApprovalsRule, Policy
from assay.core.canonical import short
from assay.core.decision import ApprovalFact, Facts, RuleTrace, Signer, Verdict, WaiverFact
from assay.core.finding import Severity

SKEW = timedelta(minutes=5)


def is_author(signer: Signer, facts: Facts) -> bool:
    """Whether this person or key signed the model."""
    return any(signer.person == a.person or signer.key == a.key for a in facts.authors)


class Waived:
    """Which fingerprints are waived. A critical finding needs two people, neither the author."""

    def __init__(self, facts: Facts, policy: Policy, now: datetime) -> None:
        by_fingerprint: dict[str, list[WaiverFact]] = defaultdict(list)
        for fact in facts.waivers:
            if _waiver_holds(fact, facts, policy, now):
                by_fingerprint[fact.waiver.fingerprint].append(fact)
        self.once = frozenset(by_fingerprint)
        self.twice = frozenset(
            fingerprint
            for fingerprint, found in by_fingerprint.items()
            if facts.authors and len({f.signer.person for f in found}) >= 2 and len({f.signer.key for f in found}) >= 2
        )

    def covers(self, severity: Severity) -> frozenset[str]:
        """The fingerprints that are waived for findings of this severity."""
        return self.twice if severity is Severity.CRITICAL else self.once


def _waiver_holds(fact: WaiverFact, facts: Facts, policy: Policy, now: datetime) -> bool:
    rule, waiver = policy.file.waivers, fact.waiver
    return (
        rule is not None
        and waiver.release == facts.release
        and bool(waiver.reason.strip())
        and waiver.at <= now + SKEW
        and now < waiver.expires
        and waiver.expires - waiver.at <= duration(rule.longest)
        and waiver.role in rule.roles
        and waiver.role in fact.signer.roles
        and not is_author(fact.signer, facts)
    )


def why_approval_fails(fact: ApprovalFact, facts: Facts, now: datetime) -> str:
    """Why this approval does not count for this release now, or "" when it does."""
    approval = fact.approval
    if approval.release != facts.release:
        return f"speaks of Release {short(approval.release)}, not this one"
    if approval.at > now + SKEW:
        return "is dated in the future"
    if now >= approval.expires:
        return f"expired on {approval.expires:%d %b %Y}"
    if approval.role not in fact.signer.roles:
        return f"{fact.signer.person} does not hold the role {approval.role}"
    return ""


def judge_approvals(rule: ApprovalsRule, trace: RuleTrace, facts: Facts, now: datetime) -> RuleTrace:
    """Decide an approvals rule: absent is indeterminate, refused denies."""
    from msgspec.structs import replace

    valid: list[ApprovalFact] = []
    notes: list[str] = []
    for fact in facts.approvals:
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
    distinct = min(len(people), len({f.signer.key for f in valid}))
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
