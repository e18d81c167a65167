"""What must hold of every set of facts: a loss or a blemish never allows, order never matters, nothing ever raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_facts import (
    COM,
    DS,
    NOW,
    OTHER,
    RANK,
    RELEASE,
    SEC,
    approval,
    fact,
    facts,
    finding,
    judge,
    measure,
    outcome,
    policy,
    verdict,
    waiver,
)

from assay.core.decision import Approval, ApprovalFact, Facts, OutcomeFact, Signer, Verdict, Waiver, WaiverFact
from assay.core.finding import Finding, Location, Measure, Outcome, Severity, Status

HEAD = "waivers: {roles: [security, compliance], longest: 30d}\nevidence:\n  - {check: 'y.*', roles: [security]}\n"
FULL = policy(
    """findings: {severity: high, unwaived_max: 0, max_age: 7d}
    findings: {severity: critical, unwaived_max: 0, max_age: 7d}
    findings: {severity: low, unwaived_max: 1, check: "x.*", max_age: 7d}
    outcome: {check: "y.*", status: pass, max_age: 7d}
    outcome: {check: x.b, status: pass, max_age: 7d}
    measure: {name: x.rate, max: 0.5, bound: upper95, max_age: 7d}
    measure: {name: y.recall, min: 0.6, bound: lower95, max_age: 7d, min_n: 10}
    measure: {name: y.recall, versus: champion, min_change: -0.01, bound: lower95, max_age: 7d}
    approvals: {roles: [security, compliance], distinct: 2, exclude: author}""",
    HEAD,
)
RATE = measure("x.rate", 0.1, low=0.05, high=0.2)
RECALL = measure("y.recall", 0.7, low=0.65, high=0.8)
CHANGE = measure("y.recall", 0.02, low=0.0, high=0.03, versus="champion")
X_A = {"findings": (finding("w1"), finding("l1", Severity.LOW)), "measures": (RATE,), "parameters": {"rows": 300}}
IN_ORDER = facts(
    fact(outcome("x.a", "train", **X_A)),
    fact(outcome("x.b", "train")),
    fact(outcome("x.b", "model")),
    fact(outcome("y.a", "model", measures=(RECALL, CHANGE)), SEC, bundle="b2"),
    approvals=(approval(), approval("compliance", COM)),
    waivers=(waiver("w1"),),
    defaults={"x.a": {"rows": 300}},
)
BAD_NUMBERS = (None, float("nan"), float("inf"), float("-inf"))


def test_all_in_order_allows() -> None:
    decision = judge(IN_ORDER, FULL)
    assert decision.verdict is Verdict.ALLOW, [t for t in decision.trace if t.verdict is not Verdict.ALLOW]


def blemishes(one: OutcomeFact) -> list[OutcomeFact]:
    """Everything that can be wrong with one fact that the policy asked for."""
    said = one.outcome
    bent = [
        replace(one, at=NOW - timedelta(days=8)),
        replace(one, at=NOW + timedelta(days=1)),
        replace(one, at=one.at.replace(tzinfo=None)),
        replace(one, outcome=replace(said, status=Status.OPEN, complete=False, reason="errored")),
        replace(one, outcome=replace(said, complete=False)),
        replace(one, outcome=replace(said, status=Status.OPEN)),
        replace(one, outcome=replace(said, findings=(*said.findings, finding("new", Severity.CRITICAL)))),
        replace(one, outcome=replace(said, findings=(*said.findings, finding("new", None)))),
        replace(one, outcome=replace(said, subject="elsewhere")),
        replace(one, outcome=replace(said, check="z.z")),
    ]
    for index, number in enumerate(said.measures):
        others = said.measures[:index] + said.measures[index + 1 :]
        bent.append(replace(one, outcome=replace(said, measures=others)))
        bounds: tuple[str, ...] = ("value", "high") if number.name == "x.rate" else ("value", "low")
        for bound in bounds:
            for value in BAD_NUMBERS:
                worse = (*others, replace(number, **{bound: value}))
                bent.append(replace(one, outcome=replace(said, measures=worse)))
    if said.check.startswith("y."):
        bent.append(replace(one, signer=DS))
    if said.parameters:
        bent.append(replace(one, outcome=replace(said, parameters={"rows": 3})))
    return bent


BLEMISHED = [
    replace(IN_ORDER, outcomes=(*IN_ORDER.outcomes[:i], worse, *IN_ORDER.outcomes[i + 1 :]))
    for i, one in enumerate(IN_ORDER.outcomes)
    for worse in blemishes(one)
]
LOST = [
    replace(IN_ORDER, outcomes=IN_ORDER.outcomes[:i] + IN_ORDER.outcomes[i + 1 :])
    for i in range(len(IN_ORDER.outcomes))
] + [
    replace(IN_ORDER, approvals=IN_ORDER.approvals[:1]),
    replace(IN_ORDER, approvals=IN_ORDER.approvals[1:]),
    replace(IN_ORDER, waivers=()),
    replace(IN_ORDER, authors=()),
    replace(IN_ORDER, outcomes=()),
    replace(IN_ORDER, release=OTHER),
]


@pytest.mark.parametrize("index", range(len(BLEMISHED)))
def test_no_blemish_on_a_fact_that_was_asked_for_allows(index: int) -> None:
    assert verdict(BLEMISHED[index], FULL) is not Verdict.ALLOW


@pytest.mark.parametrize("index", range(len(LOST)))
def test_an_allow_never_survives_the_loss_of_a_fact_that_was_asked_for(index: int) -> None:
    assert verdict(LOST[index], FULL) is not Verdict.ALLOW


@pytest.mark.parametrize("index", range(len(LOST) + len(BLEMISHED)))
def test_a_conflict_denies_whatever_else_is_there(index: int) -> None:
    assert verdict(replace((LOST + BLEMISHED)[index], conflicts=("a, b",)), FULL) is Verdict.DENY


@given(st.sampled_from(BLEMISHED + LOST), st.data())
@settings(max_examples=150, deadline=None)
def test_more_trouble_never_mends_trouble(already: Facts, data: st.DataObject) -> None:
    """Take any state that is not allowed, and blemish or remove one more fact of it: still not allowed."""
    outcomes, expected = already.outcomes, IN_ORDER.expected
    if outcomes:
        at = data.draw(st.integers(0, len(outcomes) - 1))
        instead = data.draw(st.sampled_from([(), *((b,) for b in blemishes(outcomes[at]))]))
        outcomes = (*outcomes[:at], *instead, *outcomes[at + 1 :])
    worse = replace(already, outcomes=outcomes, expected=expected)
    assert verdict(worse, FULL) is not Verdict.ALLOW


# Any facts at all

NAMES = st.sampled_from(["x.a", "x.b", "y.a", "z.z", "", "*", "[", "x.rate"])
SUBJECTS = st.sampled_from(["train", "model", "", "other"])
TEXTS = st.text(max_size=8)
NUMBERS = st.none() | st.floats() | st.just(0.7)
MOMENTS = st.sampled_from([NOW, NOW - timedelta(days=9), NOW + timedelta(days=9)]) | st.datetimes(
    timezones=st.none() | st.just(UTC)
)
SIGNERS = st.sampled_from([DS, SEC, COM, Signer(person="sam", key="k-dana", roles=("security",))]) | st.builds(
    Signer, person=TEXTS, key=TEXTS, roles=st.lists(st.sampled_from(["security", "compliance", ""])).map(tuple)
)
MARKS = st.sampled_from(["w1", "f1", ""]) | TEXTS
FOUND = st.builds(
    Finding, message=TEXTS, location=st.just(Location(uri="u")), severity=st.none() | st.sampled_from(Severity),
    fingerprint=MARKS,
)  # fmt: skip
MEASURED = st.builds(
    Measure, name=st.sampled_from(["x.rate", "y.recall", ""]), value=NUMBERS, low=NUMBERS, high=NUMBERS,
    n=st.none() | st.integers(), versus=st.sampled_from(["", "champion", "x"]),
)  # fmt: skip
SAID = st.builds(
    Outcome, check=NAMES, version=st.integers(-1, 3), subject=SUBJECTS, subject_digest=TEXTS,
    status=st.sampled_from(Status), complete=st.booleans(), reason=TEXTS,
    findings=st.lists(FOUND, max_size=3).map(tuple), measures=st.lists(MEASURED, max_size=3).map(tuple),
    parameters=st.dictionaries(st.sampled_from(["rows", "x"]), st.none() | st.integers() | st.booleans(), max_size=2),
)  # fmt: skip
RELEASES = st.sampled_from([RELEASE, OTHER])
ANY = st.builds(
    Facts,
    release=RELEASES,
    outcomes=st.lists(st.builds(OutcomeFact, outcome=SAID, signer=SIGNERS, at=MOMENTS, bundle=TEXTS), max_size=6).map(
        tuple
    ),
    approvals=st.lists(
        st.builds(
            ApprovalFact,
            approval=st.builds(
                Approval, release=RELEASES, role=st.sampled_from(["security", "compliance", ""]), at=MOMENTS,
                expires=MOMENTS, decision=st.sampled_from(["approve", "refuse"]), comment=TEXTS,
            ),
            signer=SIGNERS,
        ),
        max_size=4,
    ).map(tuple),
    waivers=st.lists(
        st.builds(
            WaiverFact,
            waiver=st.builds(
                Waiver, release=RELEASES, fingerprint=MARKS, role=st.sampled_from(["security", "compliance"]),
                reason=TEXTS, at=MOMENTS, expires=MOMENTS,
            ),
            signer=SIGNERS,
        ),
        max_size=4,
    ).map(tuple),
    authors=st.lists(SIGNERS, max_size=2).map(tuple),
    conflicts=st.lists(TEXTS, max_size=2).map(tuple),
    expected=st.dictionaries(NAMES, st.lists(SUBJECTS, max_size=2).map(tuple), max_size=3),
    severities=st.dictionaries(NAMES, st.sampled_from(Severity), max_size=3),
)  # fmt: skip


@given(ANY)
@settings(max_examples=120, deadline=None)
def test_decide_never_raises_and_its_verdict_follows_from_its_trace(given_: Facts) -> None:
    decision = judge(given_, FULL)
    assert decision.verdict is min((t.verdict for t in decision.trace), key=RANK.__getitem__)
    assert len(decision.trace) == 1 + len(FULL.file.require)
    assert decision.verdict is Verdict.DENY or not given_.conflicts
    assert decision.verdict is not Verdict.ALLOW or given_.outcomes


@given(ANY | st.sampled_from([IN_ORDER, *BLEMISHED]), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_order_of_papers_does_not_matter(given_: Facts, random: Any) -> None:
    def mixed(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    first = judge(given_, FULL)
    again = replace(
        given_, outcomes=mixed(given_.outcomes), approvals=mixed(given_.approvals), waivers=mixed(given_.waivers),
        authors=mixed(given_.authors),
    )  # fmt: skip
    second = judge(again, FULL)
    assert second.verdict is first.verdict
    assert [t.verdict for t in second.trace] == [t.verdict for t in first.trace]


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_whole_trace_is_the_same_for_any_order_of_bundles(random: Any) -> None:
    poor = fact(outcome("y.a", "model", measures=(replace(RECALL, value=0.1, low=0.0),)), COM, bundle="b3")
    outcomes = [*IN_ORDER.outcomes, poor, *(replace(o, bundle="b4") for o in IN_ORDER.outcomes)]
    approvals = [*IN_ORDER.approvals, approval(expires=NOW), approval("compliance", SEC)]
    want = judge(replace(IN_ORDER, outcomes=tuple(outcomes), approvals=tuple(approvals)), FULL).trace
    random.shuffle(outcomes)
    random.shuffle(approvals)
    got = judge(replace(IN_ORDER, outcomes=tuple(outcomes), approvals=tuple(approvals)), FULL).trace
    assert got == want


@given(ANY | st.sampled_from([IN_ORDER, *BLEMISHED]), SAID)
@settings(max_examples=100, deadline=None)
def test_what_does_not_count_never_allows_and_never_undoes_an_allow(given_: Facts, said: Outcome) -> None:
    """An outcome of other parameters than are asked for, of anything in any state, beside any facts."""
    known = replace(given_, defaults={**given_.defaults, said.check: {"asked": 1}})
    counting = tuple(
        replace(f, outcome=replace(f.outcome, parameters={"asked": 1})) if f.outcome.check == said.check else f
        for f in given_.outcomes
    )
    before = replace(known, outcomes=counting)
    loose = fact(replace(said, parameters={"asked": 2}), SEC, bundle="late")
    first, then = judge(before, FULL), judge(replace(before, outcomes=(*counting, loose)), FULL)
    answered = {f.outcome.subject for f in counting if f.outcome.check == said.check}
    if said.subject in answered and not first.aside.get(said.check):
        assert [t.verdict for t in then.trace] == [t.verdict for t in first.trace]
    assert then.verdict is not Verdict.ALLOW or first.verdict is Verdict.ALLOW
    assert (said.check in then.aside) is True


@given(ANY)
@settings(max_examples=70, deadline=None)
def test_adding_a_failure_never_helps(given_: Facts) -> None:
    """A further outcome of the same standing that failed, or is open, or is stale, never makes a verdict allow."""
    before = verdict(given_, FULL)
    for worse in (
        fact(outcome("x.a", "train", version=9, findings=(finding("zz", Severity.CRITICAL),)), SEC, bundle="late"),
        fact(outcome("x.a", "train", version=9, status=Status.OPEN, complete=False), SEC, bundle="late"),
        fact(outcome("x.a", "train", version=9), SEC, at=datetime(2020, 1, 1, tzinfo=UTC), bundle="late"),
    ):
        after = verdict(replace(given_, outcomes=(*given_.outcomes, worse)), FULL)
        assert after is not Verdict.ALLOW or before is Verdict.ALLOW
