"""The gate: a pure function from facts, policy and the moment to a decision with a full trace."""

from __future__ import annotations

from datetime import datetime

from assay.config.policy_file import Policy, Rule
from assay.core.decision import Asks, Decision, Facts, PolicyRef, RuleTrace, Verdict
from assay.policy.evidence import EvidenceIndex
from assay.policy.people import Waived, judge_approvals, judged_approval
from assay.policy.rules import judge_contract, judge_findings, judge_measure, judge_outcome


def decide(facts: Facts, policy: Policy, now: datetime, *, signed_by: str = "", preview_reason: str = "") -> Decision:
    """Decide on a release.

    Three-valued and fail-closed: any rule that denies denies; any fact that is missing, stale, null, NaN, open or
    errored leaves its rule indeterminate; only when every rule is met is the release allowed. Conflicting facts deny.
    """
    waived = Waived(facts, policy, now)
    index = EvidenceIndex(facts, policy, now, waived)
    trace = [_agreement(facts)]
    for line, text, rule in zip(policy.lines, policy.texts, policy.file.require, strict=True):
        trace.append(_judge(rule, line, text, facts, index, now))
    verdicts = {t.verdict for t in trace}
    verdict = next((v for v in (Verdict.DENY, Verdict.INDETERMINATE) if v in verdicts), Verdict.ALLOW)
    ref = PolicyRef(
        name=policy.file.policy,
        version=policy.file.version,
        digest=policy.digest,
        uri=policy.uri,
        signed_by=signed_by,
    )
    return Decision(
        verdict=verdict,
        release=facts.release,
        policy=ref,
        mode=policy.file.mode,
        at=now,
        trace=tuple(trace),
        approvals=tuple(judged_approval(a, policy, facts, now) for a in facts.approvals),
        waivers=waived.judged(trace, index.critical()),
        counted=index.counted(),
        aside={check: tuple(dict.fromkeys(gap.why for gap in index.aside[check])) for check in sorted(index.aside)},
        threats=tuple(line.newest for line in facts.packs.lines),
        preview=bool(preview_reason),
        preview_reason=preview_reason,
    )


def _agreement(facts: Facts) -> RuleTrace:
    text = "evidence agrees: every bundle speaks of this Release, and none contradicts another"
    if facts.conflicts:
        more = f"; and {len(facts.conflicts) - 3} more" if len(facts.conflicts) > 3 else ""
        reason = "; ".join(facts.conflicts[:3]) + more
        saw = f"{len(facts.conflicts)} conflict{'s' if len(facts.conflicts) != 1 else ''}"
        return RuleTrace(line=0, rule=text, asks="evidence", verdict=Verdict.DENY, saw=saw, reason=reason)
    people = tuple(sorted({f.signer.person for f in facts.outcomes}))
    if not facts.outcomes:
        reason = "no evidence was given"
        return RuleTrace(line=0, rule=text, asks="evidence", verdict=Verdict.INDETERMINATE, saw="none", reason=reason)
    if facts.erased:
        reason = f"a word on this Release was erased, which may have been a refusal: {', '.join(facts.erased[:3])}"
        fix = "gate another Release, or this one on another ledger"
        saw = f"{len(facts.erased)} erased"
        return RuleTrace(
            line=0, rule=text, asks="evidence", verdict=Verdict.INDETERMINATE, saw=saw, reason=reason, fix=fix
        )
    bundles = len({f.bundle for f in facts.outcomes})
    saw = f"{len(facts.outcomes)} outcomes in {bundles} bundle{'s' if bundles != 1 else ''}"
    return RuleTrace(line=0, rule=text, asks="evidence", verdict=Verdict.ALLOW, saw=saw, vouched=people)


def _judge(rule: Rule, line: int, text: str, facts: Facts, index: EvidenceIndex, now: datetime) -> RuleTrace:
    def blank(asks: Asks) -> RuleTrace:
        return RuleTrace(line=line, rule=text, asks=asks, verdict=Verdict.INDETERMINATE, saw="")

    if rule.findings is not None:
        return judge_findings(rule.findings, blank("findings"), index)
    if rule.measure is not None:
        return judge_measure(rule.measure, blank("measure"), index)
    if rule.outcome is not None:
        return judge_outcome(rule.outcome, blank("outcome"), index)
    if rule.contract is not None:
        return judge_contract(rule.contract, blank("contract"), facts)
    assert rule.approvals is not None
    return judge_approvals(rule.approvals, blank("approvals"), facts, now)
