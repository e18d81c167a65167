"""Builders of facts and policies for the gate's tests: a world in which everything is in order, then bent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from assay.config.policy_file import Policy, policy_from
from assay.core.decision import (
    Approval,
    ApprovalFact,
    Decision,
    Facts,
    OutcomeFact,
    Signer,
    Verdict,
    Waiver,
    WaiverFact,
)
from assay.core.finding import Finding, Location, Measure, Outcome, Severity, Status
from assay.policy.decide import decide

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RELEASE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32

DS = Signer(person="dana", key="k-dana", roles=("data-science",))
SEC = Signer(person="sam", key="k-sam", roles=("security",))
COM = Signer(person="carol", key="k-carol", roles=("compliance",))
SEC2 = Signer(person="sue", key="k-sue", roles=("security",))

GIVES = {
    "performance.holdout": ("performance.recall", "performance.precision"),
    "performance.versus-champion": ("performance.recall versus champion",),
    "robustness.evasion": ("robustness.evasion.recall_under_attack",),
    "data.label-flips": ("data.label_flips.missed_share",),
}
RANK = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1, Verdict.ALLOW: 2}


def policy(rules: str, head: str = "") -> Policy:
    """A policy of those rules, one a line without its dash."""
    lines = "".join(f"  - {rule.strip()}\n" for rule in rules.strip().splitlines())
    return policy_from(f"policy: p\nversion: 1\n{head}require:\n{lines}".encode(), "policy.yaml")


def finding(mark: str, severity: Severity | None = Severity.HIGH) -> Finding:
    return Finding(message="wrong", location=Location(uri="f"), severity=severity, fingerprint=mark, check="x.a")


def measure(name: str = "performance.recall", value: float | None = 0.7, **changes: Any) -> Measure:
    given: dict[str, Any] = {"low": 0.65, "high": 0.75, "n": 1000, **changes}
    return Measure(name=name, value=value, **given)


def outcome(check: str = "x.a", subject: str = "model", **changes: Any) -> Outcome:
    given: dict[str, Any] = {"version": 1, "subject_digest": "sha256:1", "status": Status.PASS, **changes}
    if given.get("findings") and "status" not in changes:
        given["status"] = Status.FAIL
    return Outcome(check=check, subject=subject, **given)


def fact(
    said: Outcome, signer: Signer = DS, at: datetime = NOW - timedelta(hours=1), bundle: str = "b1"
) -> OutcomeFact:
    return OutcomeFact(outcome=said, signer=signer, at=at, bundle=bundle)


def approval(role: str = "security", signer: Signer = SEC, **changes: Any) -> ApprovalFact:
    given = {"release": RELEASE, "at": NOW - timedelta(hours=1), "expires": NOW + timedelta(days=7), **changes}
    return ApprovalFact(approval=Approval(role=role, **given), signer=signer)


def waiver(mark: str, signer: Signer = SEC, role: str = "security", **changes: Any) -> WaiverFact:
    given = {"release": RELEASE, "at": NOW - timedelta(hours=1), "expires": NOW + timedelta(days=7), **changes}
    return WaiverFact(
        waiver=Waiver(fingerprint=mark, role=role, **{"reason": "known and bounded", **given}), signer=signer
    )


def facts(*outcomes: OutcomeFact, **changes: Any) -> Facts:
    """Facts whose every (check, subject) is expected, with a known author; any other check gives what it gave."""
    expected: dict[str, tuple[str, ...]] = {}
    gives = dict(GIVES)
    for one in outcomes:
        keys = tuple(m.key for m in one.outcome.measures if one.outcome.check not in GIVES)
        gives[one.outcome.check] = (*gives.get(one.outcome.check, ()), *keys)
        known = expected.get(one.outcome.check, ())
        expected[one.outcome.check] = tuple(dict.fromkeys((*known, one.outcome.subject)))
    given = {
        "release": RELEASE,
        "outcomes": outcomes,
        "authors": (DS,),
        "expected": expected,
        "gives": gives,
        **changes,
    }
    return Facts(**given)


def judge(given: Facts, written: Policy, now: datetime = NOW) -> Decision:
    return decide(given, written, now)


def verdict(given: Facts, written: Policy, now: datetime = NOW) -> Verdict:
    return decide(given, written, now).verdict
