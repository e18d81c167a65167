"""Whose word counts: approvals and waivers of the wrong release, time, role, person or key are no word at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from policy_facts import (
    COM,
    DS,
    NOW,
    OTHER,
    SEC2,
    approval,
    fact,
    facts,
    finding,
    judge,
    outcome,
    policy,
    verdict,
    waiver,
)

from assay.core.decision import ApprovalFact, Facts, Signer, Standing, Verdict, WaiverFact
from assay.core.finding import Severity

A, D, I = Verdict.ALLOW, Verdict.DENY, Verdict.INDETERMINATE  # noqa: E741 - the table reads better so
PASS = fact(outcome())
TWO = policy("approvals: {roles: [security, compliance], distinct: 2, exclude: author}")
GOOD = (approval(), approval("compliance", COM))


def test_two_people_of_the_two_roles_allow() -> None:
    decision = judge(facts(PASS, approvals=GOOD), TWO)
    assert decision.verdict is A
    assert decision.trace[1].vouched == ("carol", "sam")
    assert [a.approval for a in decision.approvals] == [a.approval for a in GOOD]
    assert [a.standing for a in decision.approvals] == [Standing.COUNTS] * 2
    assert (decision.trace[1].roles, decision.trace[1].missing) == (("security", "compliance"), ())


BOTH = ("security", "compliance")
NO_WORD = [
    ((GOOD[0],), "one of the roles is missing"),
    ((), "nobody"),
    ((approval(release=OTHER), GOOD[1]), "of another release"),
    ((approval(expires=NOW), GOOD[1]), "expired this very moment"),
    ((approval(at=NOW + timedelta(minutes=6)), GOOD[1]), "dated in the future"),
    ((approval(at=NOW.replace(tzinfo=None)), GOOD[1]), "dated without a zone"),
    ((approval(expires=(NOW + timedelta(days=9)).replace(tzinfo=None)), GOOD[1]), "expires without a zone"),
    ((approval(expires=NOW + timedelta(days=90)), GOOD[1]), "for longer than 90 days"),
    ((approval("security", COM), GOOD[1]), "a role that the person does not hold"),
    ((approval(signer=Signer(person="dana", key="k-new", roles=BOTH)), GOOD[1]), "the author with another key"),
    ((approval(signer=Signer(person="fake", key="k-dana", roles=BOTH)), GOOD[1]), "the author's key"),
    (
        (approval(signer=Signer(person="sam", key="k1", roles=BOTH)),
         approval("compliance", Signer(person="sam", key="k2", roles=BOTH))),
        "one person with two keys",
    ),
    (
        (approval(signer=Signer(person="sam", key="k1", roles=BOTH)),
         approval("compliance", Signer(person="carol", key="k1", roles=BOTH))),
        "two people who share one key",
    ),
    (
        (approval(signer=Signer(person="sam", key="k1", roles=BOTH)),
         approval("compliance", Signer(person="sam", key="k2", roles=BOTH)),
         approval("compliance", Signer(person="carol", key="k1", roles=BOTH))),
        "two people, two keys, but only one with a key of their own",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "why"), NO_WORD, ids=[w for _, w in NO_WORD])
def test_no_word_at_all(given: tuple[ApprovalFact, ...], why: str) -> None:
    decision = judge(facts(PASS, approvals=given), TWO)
    assert decision.verdict is I, why
    assert decision.trace[1].reason
    assert decision.trace[1].fix.startswith("assay ")
    if len(given) == 2 and given[1] is GOOD[1]:
        assert decision.approvals[0].standing is Standing.SET_ASIDE
        assert decision.approvals[0].why in decision.trace[1].reason
        assert decision.trace[1].missing == ("security",)


def test_an_unknown_author_cannot_be_excluded() -> None:
    decision = judge(facts(PASS, approvals=GOOD, authors=()), TWO)
    assert decision.verdict is I
    assert "author is unknown" in decision.trace[1].reason
    plain = policy("approvals: {roles: [security, compliance], distinct: 2}")
    assert verdict(facts(PASS, approvals=GOOD, authors=()), plain) is A


def test_a_refusal_denies_whatever_others_say() -> None:
    refused = approval(signer=SEC2, decision="refuse", comment="leaks")
    decision = judge(facts(PASS, approvals=(*GOOD, refused)), TWO)
    assert decision.verdict is D
    assert decision.trace[1].reason == "leaks"


def test_a_refusal_of_something_else_does_not_deny() -> None:
    refused = approval(signer=SEC2, decision="refuse", release=OTHER)
    assert verdict(facts(PASS, approvals=(*GOOD, refused)), TWO) is A


@pytest.mark.parametrize(
    "changes",
    [{"expires": NOW - timedelta(days=1)}, {"at": NOW - timedelta(days=200)}, {"at": NOW.replace(tzinfo=None)}],
)
def test_a_refusal_does_not_lapse(changes: dict[str, Any]) -> None:
    decision = judge(facts(PASS, approvals=(*GOOD, approval(signer=SEC2, decision="refuse", **changes))), TWO)
    assert decision.verdict is D
    assert decision.approvals[2].standing is Standing.REFUSES


def test_only_who_refused_takes_it_back_and_only_later() -> None:
    refused = approval(signer=SEC2, decision="refuse", at=NOW - timedelta(days=2))
    later, before = approval(signer=SEC2), approval(signer=SEC2, at=NOW - timedelta(days=3))
    decision = judge(facts(PASS, approvals=(*GOOD, refused, later)), TWO)
    assert decision.verdict is A
    assert decision.approvals[2].why == "was taken back on 21 Nov 2026"
    assert verdict(facts(PASS, approvals=(*GOOD, refused, before)), TWO) is D
    assert verdict(facts(PASS, approvals=(*GOOD, refused)), TWO) is D
    elsewhere = approval(signer=SEC2, release=OTHER)
    assert verdict(facts(PASS, approvals=(*GOOD, refused, elsewhere)), TWO) is D


def test_an_approval_that_no_rule_asks_for_is_not_needed() -> None:
    decision = judge(facts(PASS, approvals=(*GOOD, approval("data-science", DS))), TWO)
    assert decision.approvals[2].standing is Standing.NOT_NEEDED


def test_nobody_refuses_in_a_role_they_do_not_hold() -> None:
    assert verdict(facts(PASS, approvals=(*GOOD, approval(signer=DS, decision="refuse"))), TWO) is A


def test_three_distinct_people_need_three_keys_of_their_own() -> None:
    three = policy("approvals: {roles: [security], distinct: 3}")
    people = [Signer(person=f"p{i}", key=f"k{i}", roles=("security",)) for i in range(3)]
    assert verdict(facts(PASS, approvals=tuple(approval(signer=p) for p in people)), three) is A
    star = [("p0", "k0"), ("p0", "k1"), ("p0", "k2"), ("p1", "k0"), ("p2", "k0")]
    given = tuple(approval(signer=Signer(person=p, key=k, roles=("security",))) for p, k in star)
    assert verdict(facts(PASS, approvals=given), three) is I


# Waivers

HEAD = "waivers: {roles: [security, compliance], longest: 30d}\n"
NONE_HIGH = policy("findings: {severity: high}", HEAD)


def with_finding(severity: Severity | None, *waivers: WaiverFact, **changes: Any) -> Facts:
    return facts(fact(outcome(findings=(finding("f1", severity),))), waivers=waivers, **changes)


def test_one_waiver_covers_a_high_finding_and_is_told() -> None:
    decision = judge(with_finding(Severity.HIGH, waiver("f1")), NONE_HIGH)
    assert decision.verdict is A
    assert decision.trace[1].waived == ("f1",)
    assert decision.trace[1].saw == "0 unwaived, 1 waived"
    assert decision.waivers[0].standing is Standing.COUNTS


def test_what_became_of_each_waiver_is_told() -> None:
    given = (waiver("f1"), waiver("f9"), waiver("f1", COM, "compliance", expires=NOW))
    high = judge(with_finding(Severity.HIGH, *given), NONE_HIGH)
    assert [w.standing for w in high.waivers] == [Standing.COUNTS, Standing.NOT_NEEDED, Standing.SET_ASIDE]
    assert high.waivers[2].why == "expired on 21 Nov 2026"
    critical = judge(with_finding(Severity.CRITICAL, *given), NONE_HIGH)
    assert critical.waivers[0].why == "one person is not enough for a critical finding"
    nobody = judge(with_finding(Severity.HIGH, *given), policy("findings: {severity: high}"))
    assert nobody.waivers[0].why == "the policy lets nobody waive"


NOT_COVERED = [
    (waiver("f2"), "another finding"),
    (waiver("f1", release=OTHER), "another release"),
    (waiver("f1", expires=NOW), "expired"),
    (waiver("f1", at=NOW + timedelta(minutes=6)), "dated in the future"),
    (waiver("f1", at=(NOW - timedelta(days=1)).replace(tzinfo=None)), "without a zone"),
    (waiver("f1", expires=(NOW + timedelta(days=1)).replace(tzinfo=None)), "expires without a zone"),
    (waiver("f1", at=NOW - timedelta(days=25), expires=NOW + timedelta(days=6)), "for longer than the policy lets it"),
    (waiver("f1", reason="  "), "without a reason"),
    (waiver("f1", DS, "data-science"), "a role that may not waive"),
    (waiver("f1", COM, "security"), "a role that the person does not hold"),
    (waiver("f1", Signer(person="dana", key="k9", roles=("security",))), "the author with another key"),
    (waiver("f1", Signer(person="else", key="k-dana", roles=("security",))), "the author's key"),
]


@pytest.mark.parametrize(("given", "why"), NOT_COVERED, ids=[w for _, w in NOT_COVERED])
def test_not_covered(given: WaiverFact, why: str) -> None:
    decision = judge(with_finding(Severity.HIGH, given), NONE_HIGH)
    assert decision.verdict is D, why
    assert (decision.waivers[0].standing is Standing.SET_ASIDE) == (given.waiver.fingerprint == "f1")
    pair = (given, waiver("f1", COM, "compliance"))
    assert verdict(with_finding(Severity.CRITICAL, *pair), NONE_HIGH) is D, why


def test_while_the_author_is_unknown_nobody_can_waive() -> None:
    assert verdict(with_finding(Severity.HIGH, waiver("f1"), authors=()), NONE_HIGH) is D


def test_without_a_waiver_rule_nobody_may_waive() -> None:
    assert verdict(with_finding(Severity.HIGH, waiver("f1")), policy("findings: {severity: high}")) is D


@pytest.mark.parametrize("severity", [Severity.CRITICAL, None])
def test_a_critical_finding_needs_two_people_with_their_own_keys(severity: Severity | None) -> None:
    def decided(*waivers: WaiverFact, **changes: Any) -> Verdict:
        return verdict(with_finding(severity, *waivers, **changes), NONE_HIGH)

    second = waiver("f1", COM, "compliance")
    assert decided(waiver("f1"), second) is A
    assert decided(waiver("f1")) is D
    assert decided(waiver("f1"), waiver("f1")) is D
    assert decided(waiver("f1"), second, authors=()) is D, "the author is unknown"
    assert decided(waiver("f1"), second, authors=(COM,)) is D, "one of the two is the author"
    two_keys = Signer(person="sam", key="k-sam-2", roles=("security",))
    assert decided(waiver("f1"), waiver("f1", two_keys)) is D
    same_key = Signer(person="sue", key="k-sam", roles=("security",))
    assert decided(waiver("f1"), waiver("f1", same_key)) is D


def test_a_waiver_does_not_reach_a_failed_outcome() -> None:
    assert verdict(with_finding(Severity.HIGH, waiver("f1")), policy("outcome: {check: x.a}", HEAD)) is D
