"""Each kind of rule on a table of examples: what allows, what denies, and what leaves it undecided."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from policy_facts import (
    DS,
    NOW,
    OTHER,
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
)

from assay.core.decision import Facts, OutcomeFact, Verdict
from assay.core.finding import Severity, Status
from assay.core.release import Terms
from assay.core.subject import Contract, Feature

A, D, I = Verdict.ALLOW, Verdict.DENY, Verdict.INDETERMINATE  # noqa: E741 - the table reads better so
PASS = fact(outcome())
LONG_AGO = NOW - timedelta(days=31)


def bad(*marks: str, severity: Severity | None = Severity.HIGH, **changes: Any) -> OutcomeFact:
    return fact(outcome(findings=tuple(finding(m, severity) for m in marks), **changes))


FINDINGS = [
    (facts(PASS), A, "nothing found"),
    (facts(bad("1")), D, "one too many"),
    (facts(bad("1", severity=Severity.MEDIUM)), A, "below the severity that is asked"),
    (facts(bad("1", severity=Severity.CRITICAL)), D, "above it"),
    (facts(bad("1", severity=None)), D, "one that names no severity counts as critical"),
    (facts(bad("1", complete=False)), D, "found, though not to the end"),
    (facts(bad("1", "1")), D, "one fingerprint twice is one finding, and one is too many"),
    (facts(bad("1", status=Status.PASS)), D, "the status does not hide the finding"),
    (facts(fact(outcome(status=Status.FAIL))), I, "failed, but no finding says what"),
    (facts(fact(outcome(status=Status.OPEN, complete=False, reason="no extra"))), I, "open"),
    (facts(fact(outcome(complete=False))), I, "passed but not complete"),
    (facts(fact(outcome(status=Status.NOT_APPLICABLE))), A, "does not apply"),
    (facts(fact(outcome(), at=LONG_AGO)), I, "stale"),
    (facts(fact(outcome(), at=NOW + timedelta(minutes=6))), I, "dated in the future"),
    (facts(fact(outcome(), at=NOW + timedelta(minutes=4))), A, "a clock that runs a little ahead"),
    (facts(fact(outcome(), at=NOW.replace(tzinfo=None))), I, "dated without a zone"),
    (facts(PASS, expected={"x.a": ("model", "train")}), I, "never asked of a second subject"),
    (facts(PASS, expected={"x.b": ("model",)}), I, "a second check never asked"),
    (facts(), I, "no evidence at all"),
]


@pytest.mark.parametrize(("given", "wanted", "why"), FINDINGS, ids=[w for _, _, w in FINDINGS])
def test_findings(given: Facts, wanted: Verdict, why: str) -> None:
    written = policy("findings: {severity: high, unwaived_max: 0, max_age: 30d}")
    assert verdict(given, written) is wanted, why


def test_a_check_that_cannot_give_such_a_finding_may_stay_open() -> None:
    open_ = fact(outcome("x.low", status=Status.OPEN, complete=False))
    given = facts(PASS, open_, severities={"x.low": Severity.LOW, "x.a": Severity.CRITICAL})
    assert verdict(given, policy("findings: {severity: high}")) is A
    assert verdict(given, policy("findings: {severity: low}")) is I


def test_a_count_within_the_limit_allows_and_is_told() -> None:
    given = facts(bad("1", "2"))
    assert verdict(given, policy("findings: {severity: high, unwaived_max: 2}")) is A
    line = judge(given, policy("findings: {severity: high, unwaived_max: 1}")).trace[1]
    assert (line.verdict, line.value, line.bound, line.fingerprints) == (D, 2.0, 1.0, ("1", "2"))


def test_a_pattern_that_nothing_matches_is_undecided() -> None:
    assert verdict(facts(PASS), policy('findings: {severity: high, check: "supply.*"}')) is I


OUTCOMES = [
    (facts(PASS), A, "passed"),
    (facts(bad("1")), D, "failed"),
    (facts(bad("1", status=Status.PASS)), D, "passed, with a finding"),
    (facts(fact(outcome(status=Status.NOT_APPLICABLE, reason="no rows"))), I, "does not apply"),
    (facts(fact(outcome(status=Status.OPEN))), I, "open"),
    (facts(PASS, fact(outcome(subject="train", status=Status.OPEN))), I, "open on one subject"),
    (facts(PASS, expected={"x.a": ("model", "train")}), I, "never asked of one subject"),
    (facts(fact(outcome(), at=LONG_AGO)), I, "stale"),
    (facts(fact(outcome("y.a"))), I, "another check"),
]


@pytest.mark.parametrize(("given", "wanted", "why"), OUTCOMES, ids=[w for _, _, w in OUTCOMES])
def test_outcome(given: Facts, wanted: Verdict, why: str) -> None:
    assert verdict(given, policy("outcome: {check: x.a, status: pass, max_age: 30d}")) is wanted, why


def test_not_applicable_is_an_answer_beside_one_that_passed() -> None:
    skipped = fact(outcome("x.b", status=Status.NOT_APPLICABLE))
    assert verdict(facts(PASS, skipped), policy('outcome: {check: "x.*"}')) is A
    assert verdict(facts(skipped), policy('outcome: {check: "x.*"}')) is I


def test_an_outcome_can_be_asked_of_one_subject() -> None:
    given = facts(PASS, bad("1", subject="train"))
    assert verdict(given, policy("outcome: {check: x.a, subject: model}")) is A
    assert verdict(given, policy("outcome: {check: x.a, subject: train}")) is D


def measured(**changes: Any) -> Facts:
    outcome_changes = {k: changes.pop(k) for k in ("status", "complete", "at") if k in changes}
    at = outcome_changes.pop("at", NOW - timedelta(hours=1))
    return facts(fact(outcome("performance.holdout", measures=(measure(**changes),), **outcome_changes), at=at))


MEASURES = [
    (measured(), A, "inside, and so is its low end"),
    (measured(value=0.5, low=0.4, high=0.6), D, "outside"),
    (measured(low=0.55), I, "inside, but too few rows to be sure"),
    (measured(low=None), I, "no interval"),
    (measured(low=float("nan")), I, "a broken interval"),
    (measured(low=float("-inf")), I, "an unbounded interval"),
    (measured(low=0.72), I, "an interval that does not hold its value"),
    (measured(high=0.65), I, "an interval that ends below its value"),
    (measured(value=None), I, "null"),
    (measured(value=float("nan")), I, "NaN"),
    (measured(value=float("inf")), I, "infinite"),
    (measured(n=99), I, "too few rows"),
    (measured(n=None), I, "an unknown number of rows"),
    (measured(versus="champion"), I, "a difference, not the value"),
    (measured(status=Status.OPEN), I, "open"),
    (measured(status=Status.NOT_APPLICABLE), I, "a value of what does not apply"),
    (measured(complete=False), I, "not complete"),
    (measured(at=LONG_AGO), I, "stale"),
    (measured(name="performance.precision"), I, "another measure"),
    (measured(value=7.0, low=6.0, high=8.0, unit="share"), I, "a share of seven is no figure of a check"),
    (measured(value=0.9, low=0.8, high=1.2, unit="share"), I, "nor is an interval beyond one"),
    (measured(n=0, unit="share"), I, "a share of no rows"),
    (measured(n=-4), I, "less than no rows"),
    (measured(value=1.0, low=0.9, high=1.0 + 1e-12, unit="share"), A, "rounding is no reason"),
]


@pytest.mark.parametrize(("given", "wanted", "why"), MEASURES, ids=[w for _, _, w in MEASURES])
def test_measure(given: Facts, wanted: Verdict, why: str) -> None:
    written = policy("measure: {name: performance.recall, min: 0.6, bound: lower95, max_age: 30d, min_n: 100}")
    assert verdict(given, written) is wanted, why


def test_an_upper_bound_reads_the_other_end() -> None:
    written = policy("measure: {name: data.duplicates, max: 0.02, bound: upper95}")

    def share(value: float, high: float) -> Facts:
        return facts(
            fact(outcome("data.duplicates", "train", measures=(measure("data.duplicates", value, low=0.0, high=high),)))
        )

    assert verdict(share(0.01, 0.019), written) is A
    assert verdict(share(0.01, 0.021), written) is I
    assert verdict(share(0.03, 0.04), written) is D


def test_versus_reads_the_paired_difference() -> None:
    written = policy("measure: {name: performance.recall, versus: champion, min_change: -0.01, bound: lower95}")

    def change(value: float, low: float) -> Facts:
        said = measure(value=value, low=low, high=0.1, versus="champion")
        return facts(fact(outcome("performance.versus-champion", measures=(said,))))

    assert verdict(change(0.0, -0.005), written) is A
    assert verdict(change(0.0, -0.02), written) is I
    assert verdict(change(-0.05, -0.06), written) is D


def test_the_worst_value_decides_and_is_shown() -> None:
    good = fact(outcome("performance.holdout", "model", measures=(measure(),)))
    poor = fact(outcome("performance.holdout", "other", measures=(measure(value=0.5, low=0.4, high=0.6),)))
    line = judge(facts(good, poor), policy("measure: {name: performance.recall, min: 0.6}")).trace[1]
    assert (line.verdict, line.value) == (D, 0.5)


def test_a_measure_is_missing_where_its_check_was_to_be_asked_and_gave_none() -> None:
    """One table's figure must not stand in for another's whose evidence was taken away."""
    said = fact(outcome("data.duplicates", "holdout", measures=(measure("data.duplicates", 0.0, low=0.0, high=0.0),)))
    written = policy("measure: {name: data.duplicates, max: 0.01}")
    assert verdict(facts(said), written) is A
    assert verdict(facts(said, expected={"data.duplicates": ("train", "holdout")}), written) is I
    silent = fact(outcome("data.duplicates", "train"))
    assert verdict(facts(said, silent), written) is I
    skipped = fact(outcome("data.duplicates", "train", status=Status.NOT_APPLICABLE))
    assert verdict(facts(said, skipped), written) is A


def test_a_check_that_only_measures_meets_no_outcome_rule() -> None:
    """It passes whatever it saw: who wants a bound writes one."""
    measured = fact(outcome("x.b", measures=(measure(),)))
    known = {"x.a": Severity.HIGH, "x.b": Severity.INFO}
    rule = policy('outcome: {check: "x.*", status: pass}')
    assert verdict(facts(PASS, severities=known), rule) is A
    assert verdict(facts(PASS, measured, severities=known), rule) is I
    assert verdict(facts(PASS, measured, severities=dict.fromkeys(known, Severity.LOW)), rule) is A
    (line,) = [t for t in judge(facts(PASS, measured, severities=known), rule).trace if t.asks == "outcome"]
    assert "x.b fails on nothing" in line.reason
    assert "bound what the others measure" in line.fix
    skipped = fact(outcome("x.b", status=Status.NOT_APPLICABLE, reason="no holdout"))
    assert verdict(facts(PASS, skipped, severities=known), rule) is A


PINNED = "parameters:\n  performance.holdout: {rows: 300, strict: true}\n"
DEFAULTS = {"performance.holdout": {"rows": 100, "strict": False}}


def test_parameters_must_be_those_of_the_policy_or_else_the_defaults() -> None:
    rules = "measure: {name: performance.recall, min: 0.6}\n    outcome: {check: performance.holdout}"
    silent, pinned = policy(rules), policy(rules, PINNED)

    def ran(written: Any, **parameters: Any) -> Verdict:
        said = outcome("performance.holdout", measures=(measure(),), parameters=parameters)
        return verdict(facts(fact(said), defaults=DEFAULTS), written)

    assert ran(silent, rows=100, strict=False, sandbox="full") is A
    assert ran(silent, rows=1, strict=False, sandbox="full") is I
    assert ran(pinned, rows=300, strict=True, sandbox="full") is A
    assert ran(pinned, rows=300.0, strict=True) is A
    assert ran(pinned, rows=100, strict=False) is I
    assert ran(pinned, rows=300, strict=1) is I
    assert ran(pinned, rows=300) is I
    assert ran(pinned, rows=300, strict=True, sandbox="weak") is I
    assert ran(pinned, rows=300, strict=True, extra=1) is I
    weak = policy(rules, PINNED.replace("true}", "true, sandbox: weak}"))
    assert ran(weak, rows=300, strict=True, sandbox="weak") is A


@pytest.mark.parametrize("value", [0.1, 0.99], ids=["worse", "better"])
def test_a_value_with_other_parameters_neither_counts_nor_holds_back_the_right_one(value: float) -> None:
    def ran(rows: int, recall: float, bundle: str, subject: str = "model") -> OutcomeFact:
        said = measure(value=recall, low=recall, high=recall)
        asked = {"rows": rows, "strict": True}
        return fact(outcome("performance.holdout", subject, measures=(said,), parameters=asked), bundle=bundle)

    written = policy(
        "measure: {name: performance.recall, min: 0.6}\noutcome: {check: performance.holdout}\n"
        "findings: {severity: high}",
        PINNED,
    )
    good, bad, wrong = ran(300, 0.7, "b1"), ran(300, 0.2, "b1"), ran(3, value, "b2")
    assert verdict(facts(good, wrong, defaults=DEFAULTS), written) is A
    assert verdict(facts(bad, wrong, defaults=DEFAULTS), written) is D
    assert verdict(facts(wrong, defaults=DEFAULTS), written) is I
    assert verdict(facts(good, ran(3, value, "b2", "other"), defaults=DEFAULTS), written) is I, "of another subject"
    told = judge(facts(good, wrong, defaults=DEFAULTS), written)
    assert told.aside["performance.holdout"] == ("performance.holdout ran with rows 3, the policy asks for 300",)


def test_what_does_not_count_is_told_once_and_not_as_never_asked() -> None:
    wrong = fact(outcome("performance.holdout", measures=(measure(),), parameters={"rows": 3, "strict": True}))
    written = policy("measure: {name: performance.recall, min: 0.6}\noutcome: {check: performance.holdout}", PINNED)
    for line in judge(facts(wrong, defaults=DEFAULTS), written).trace[1:]:
        assert line.reason == "performance.holdout ran with rows 3, the policy asks for 300"
        assert "`checks:`" in line.fix


VOUCH = "evidence:\n  - {check: 'performance.*', roles: [security]}\n"


def test_only_the_named_roles_may_vouch() -> None:
    said = outcome("performance.holdout", measures=(measure(),))
    written = policy("measure: {name: performance.recall, min: 0.6}\noutcome: {check: performance.holdout}", VOUCH)
    assert verdict(facts(fact(said, SEC)), written) is A
    refused = judge(facts(fact(said, DS)), written)
    assert refused.verdict is I
    assert "vouched for by dana, not by security" in refused.trace[2].reason


def test_a_measure_that_its_giver_may_not_vouch_for_says_so() -> None:
    said = outcome("performance.holdout", measures=(measure(),))
    head = "evidence:\n  - {check: performance.recall, roles: [security]}\n"
    line = judge(facts(fact(said, DS)), policy("measure: {name: performance.recall, min: 0.6}", head)).trace[1]
    assert (line.verdict, line.reason) == (I, "performance.recall was vouched for by dana, not by security")


def test_a_measure_cannot_be_slipped_in_under_an_unguarded_check() -> None:
    slipped = outcome("data.duplicates", measures=(measure("performance.recall"),))
    written = policy("measure: {name: performance.recall, min: 0.6}", VOUCH)
    assert verdict(facts(fact(slipped, DS)), written) is I
    assert verdict(facts(fact(slipped, SEC)), written) is A


def test_every_vouch_rule_that_matches_must_be_met() -> None:
    head = VOUCH + "  - {check: performance.holdout, roles: [compliance]}\n"
    said = outcome("performance.holdout")
    assert verdict(facts(fact(said, SEC)), policy("outcome: {check: performance.holdout}", head)) is I


def test_a_newer_version_of_a_check_supersedes_the_older() -> None:
    written = policy("outcome: {check: x.a}")
    old_bad, new_good = bad("1", version=1), fact(outcome(version=2), SEC, bundle="b2")
    assert verdict(facts(old_bad), written) is D
    assert verdict(facts(old_bad, new_good), written) is A
    assert verdict(facts(fact(outcome(version=1)), bad("1", version=2)), written) is D
    assert verdict(facts(old_bad, fact(outcome(version=2, subject="train"))), written) is D, "of that subject only"


def test_a_version_that_is_not_the_current_one_says_nothing_alone() -> None:
    written = policy("findings: {severity: high}")
    old, new = fact(outcome(version=1)), fact(outcome(version=2), SEC, bundle="b2")
    alone = judge(facts(old, versions={"x.a": 2}), written).trace[1]
    assert (alone.verdict, "ran in version 1" in alone.reason) == (I, True)
    assert verdict(facts(old, new, versions={"x.a": 2}), written) is A
    assert verdict(facts(bad("1", version=1), new, versions={"x.a": 2}), written) is A
    assert verdict(facts(bad("1", version=1), versions={"x.a": 2}), written) is I, "nor does its finding count"


def test_who_may_not_vouch_cannot_supersede_either() -> None:
    head = "evidence:\n  - {check: x.a, roles: [security]}\n"
    honest = fact(outcome(findings=(finding("1"),), version=1), SEC)
    pretended = fact(outcome(version=99), DS, bundle="b2")
    assert verdict(facts(honest, pretended), policy("outcome: {check: x.a}", head)) is D


def test_conflicts_always_deny() -> None:
    decision = judge(facts(PASS, conflicts=("train is 1 here and 2 there",)), policy("outcome: {check: x.a}"))
    assert decision.verdict is D
    assert "train is 1 here and 2 there" in decision.trace[0].reason


def test_the_trace_holds_every_rule_with_its_line_and_words() -> None:
    rules = "findings: {severity: high}\nmeasure: {name: performance.recall, min: 0.6}\napprovals: {roles: [security]}"
    decision = judge(facts(PASS), policy(rules))
    assert [t.line for t in decision.trace] == [0, 4, 5, 6]
    assert [t.asks for t in decision.trace] == ["evidence", "findings", "measure", "approvals"]
    assert decision.trace[2].rule == "measure: {name: performance.recall, min: 0.6}"
    assert all(t.reason for t in decision.trace if t.verdict is not A)


def test_observe_decides_the_same_and_says_so() -> None:
    enforced = judge(facts(PASS), policy("outcome: {check: x.a}"))
    observed = judge(facts(PASS), policy("outcome: {check: x.a}", "mode: observe\n"))
    assert (enforced.verdict, enforced.mode) == (A, "enforce")
    assert (observed.verdict, observed.mode) == (A, "observe")


# The contract

TERMS = Terms(
    contract=Contract(features={"age": Feature(mutable=False), "amount": Feature(), "area": Feature()}),
    model={"positive": 1},
)
SAID = replace(TERMS, contract=Contract(features={"amount": Feature(min=0, max=9, scale=1.0)}))
LOOSE = Contract(features={"age": Feature(one_hot=("paid_late", "paid_ok"))})
GROUP = Contract(features={"age": Feature(one_hot=("paid_late", "paid_ok"), mutable=False)})


def group(**said: Any) -> Terms:
    """Terms with one group of three columns."""
    return replace(TERMS, contract=Contract(features={"job": Feature(one_hot=("a", "b", "c"), **said)}))


CONTRACT = [
    ("{mutable: [amount]}", TERMS, A, "an attacker can change it"),
    ("{mutable: [amount, area]}", TERMS, A, "both of them"),
    ("{mutable: [amount, age]}", TERMS, D, "one is declared out of reach"),
    ("{mutable: [price]}", TERMS, D, "nothing is said of it"),
    ("{immutable: [age]}", TERMS, A, "no other is out of reach"),
    ("{immutable: [age, amount]}", TERMS, A, "what may be out of reach need not be"),
    ("{immutable: []}", TERMS, D, "one is out of reach that may not be"),
    ("{immutable: [amount]}", TERMS, D, "another one is"),
    ("{immutable: []}", replace(TERMS, contract=Contract(features={"decoy": Feature()})), A, "nothing is out of reach"),
    ("{immutable: [age]}", replace(TERMS, contract=GROUP), D, "a group that is called like a column that may be free"),
    ("{immutable: [paid_late, paid_ok]}", replace(TERMS, contract=GROUP), A, "all columns of the group may be free"),
    ("{immutable: [paid_late]}", replace(TERMS, contract=GROUP), D, "one column of the group may not be free"),
    ("{mutable: [age]}", replace(TERMS, contract=LOOSE), D, "a group that is called like a column that must move"),
    ("{mutable: [paid_ok]}", replace(TERMS, contract=LOOSE), A, "a column of a group that moves"),
    ("{mutable: [c]}", group(categories=("a", "b")), D, "a column that the group may not become"),
    ("{immutable: []}", group(categories=("a", "b")), D, "a column that is out of reach"),
    ("{immutable: [c]}", group(categories=("a", "b")), A, "the one that is out of reach may be"),
    ("{mutable: [c]}", group(order=("a", "b")), D, "a column that is no place in the order"),
    ("{mutable: [c]}", group(costs={"c": None}), D, "a column that has no price"),
    ("{mutable: [c], max_cost: 3}", group(costs={"c": 9}), D, "a column that is too dear"),
    ("{mutable: [a, b]}", group(costs={"c": 9}), A, "two that are not"),
    (f"{{digest: {TERMS.digest}}}", TERMS, A, "the very terms that were agreed"),
    (f"{{digest: {TERMS.digest}}}", replace(TERMS, model={"positive": 0}), D, "another fact about the model"),
    (f"{{digest: {TERMS.digest}, mutable: [age]}}", TERMS, D, "pinned, but one is out of reach"),
    ("{mutable: [amount]}", None, I, "the evidence says nothing of its terms"),
]


@pytest.mark.parametrize(("rule", "terms", "wanted", "why"), CONTRACT, ids=[w for *_, w in CONTRACT])
def test_contract(rule: str, terms: Terms | None, wanted: Verdict, why: str) -> None:
    line = judge(facts(PASS, terms=terms), policy(f"contract: {rule}")).trace[1]
    assert (line.asks, line.verdict) == ("contract", wanted), why
    assert bool(line.reason) is (wanted is not A)


def test_a_price_is_named_only_where_it_is_the_reason() -> None:
    frozen, dear = (
        judge(facts(PASS, terms=replace(TERMS, contract=Contract(features={"a": f}))), policy(rule)).trace[1].reason
        for f, rule in (
            (Feature(mutable=False), "contract: {immutable: [], max_cost: 3}"),
            (Feature(cost=9), "contract: {max_cost: 3}"),
        )
    )
    assert frozen == "the contract does not let an attacker change a"
    assert dear == "the contract does not let an attacker change a for 3 or less"


@pytest.mark.parametrize(
    ("materials", "wanted"),
    [
        ({"holdout": (OTHER,)}, A),
        ({"holdout": (RELEASE,)}, D),
        ({"champion": (OTHER,)}, D),
        ({}, D),
        ({"holdout": (OTHER, RELEASE)}, D),
    ],
)
def test_what_judges_it_can_be_pinned(materials: dict[str, tuple[str, ...]], wanted: Verdict) -> None:
    given = facts(PASS, terms=SAID, materials=materials)
    line = judge(given, policy(f"contract: {{digest: {SAID.digest}, materials: {{holdout: '{OTHER}'}}}}")).trace[1]
    assert line.verdict is wanted
    assert ("holdout" in line.reason) is (wanted is D)


@pytest.mark.parametrize(
    ("unsaid", "wanted"),
    [
        ({}, I),
        ({"min": 0, "max": 9}, I),
        ({"scale": 2.0}, I),
        ({"min": 0, "max": 9, "scale": 2.0}, A),
        ({"categories": ("a", "b")}, A),
        ({"mutable": False}, A),
    ],
)
def test_a_table_that_is_not_pinned_says_no_range_and_no_unit(unsaid: dict[str, Any], wanted: Verdict) -> None:
    """Rows that were chosen for their spread made every step dear, under the same terms and the same holdout."""
    terms = replace(TERMS, contract=Contract(features={"amount": Feature(**unsaid)}))
    given = facts(PASS, terms=terms, materials={"holdout": (OTHER,), "training-data": (RELEASE,)})
    pinned = f"contract: {{digest: {terms.digest}, materials: {{holdout: '{OTHER}'"
    line = judge(given, policy(f"{pinned}}}}}")).trace[1]
    assert line.verdict is wanted
    assert ("range or unit of amount" in line.reason) is (wanted is I)
    assert judge(given, policy(f"{pinned}, training-data: '{RELEASE}'}}}}")).trace[1].verdict is A


def test_a_champion_is_pinned_with_its_preprocessing() -> None:
    given = facts(PASS, terms=TERMS, materials={"champion": (OTHER, RELEASE)})
    pinned = f"contract: {{digest: {TERMS.digest}, materials: {{champion:"
    assert judge(given, policy(f"{pinned} ['{RELEASE}', '{OTHER}']}}}}")).verdict is A
    assert judge(given, policy(f"{pinned} '{OTHER}'}}}}")).verdict is D


STILL = [
    ({"categories": ("No",)}, "{mutable: [amount]}", D),
    ({"order": (1,)}, "{mutable: [amount]}", D),
    ({"min": 3, "max": 3}, "{mutable: [amount]}", D),
    ({"min": 3, "max": 3}, "{immutable: [age]}", D),
    ({"min": 3, "max": 4}, "{mutable: [amount]}", A),
    ({"cost": 1000}, "{mutable: [amount]}", A),
    ({"cost": 1000}, "{mutable: [amount], max_cost: 3}", D),
    ({"cost": 1000}, "{max_cost: 3}", D),
    ({"cost": 1000}, "{immutable: [age], max_cost: 3}", D),
    ({"cost": 1000}, "{immutable: [age, amount], max_cost: 3}", A),
    ({"cost": 3}, "{immutable: [age], max_cost: 3}", A),
    ({"categories": ("a", "b"), "costs": {"a": None, "b": None}}, "{mutable: [amount]}", D),
    ({"categories": ("a", "b"), "costs": {"a": 1e9, "b": 1e9}}, "{mutable: [amount]}", A),
    ({"categories": ("a", "b"), "costs": {"a": 1e9, "b": 1e9}}, "{mutable: [amount], max_cost: 3}", D),
    ({"categories": ("a", "b"), "cost": 50, "costs": {"a": 1, "b": 2}}, "{mutable: [amount], max_cost: 3}", A),
    ({"one_hot": ("a", "b"), "costs": {"a": None, "b": None}}, "{mutable: [amount]}", D),
    ({"integer": True, "min": 0.2, "max": 0.8}, "{mutable: [amount]}", D),
    ({"integer": True, "min": 0, "max": 1}, "{mutable: [amount]}", A),
    ({"min": 0, "max": 1, "step": 5}, "{mutable: [amount]}", D),
    ({"min": 0, "max": 5, "step": 5}, "{mutable: [amount]}", A),
]


@pytest.mark.parametrize(("facts_", "rule", "wanted"), STILL, ids=[f"{f} {r}" for f, r, _ in STILL])
def test_an_input_that_cannot_move_is_not_within_reach(facts_: dict[str, Any], rule: str, wanted: Verdict) -> None:
    features = {**TERMS.contract.features, "amount": Feature(**facts_)}
    terms = replace(TERMS, contract=replace(TERMS.contract, features=features))
    assert verdict(facts(PASS, terms=terms), policy(f"contract: {rule}")) is wanted


def test_a_dearer_attack_is_another_contract() -> None:
    features = {**TERMS.contract.features, "amount": Feature(cost=1e6)}
    dear = replace(TERMS, contract=replace(TERMS.contract, features=features))
    assert verdict(facts(PASS, terms=dear), policy(f"contract: {{digest: {TERMS.digest}}}")) is D


# What the trace names

NAMED = [
    (facts(bad("1"), fact(outcome("x.b"))), "findings: {severity: high}", ("x.a", "x.b"), ("x.a",)),
    (facts(PASS, fact(outcome("x.b"))), "findings: {severity: high}", ("x.a", "x.b"), ("x.a", "x.b")),
    (
        facts(PASS, fact(outcome("x.b", status=Status.OPEN, complete=False))),
        "findings: {severity: high}", ("x.a", "x.b"), ("x.b",),
    ),
    (facts(bad("1"), fact(outcome("y.b"))), 'outcome: {check: "x.*"}', ("x.a",), ("x.a",)),
    (facts(PASS, expected={"x.c": ("model",)}), 'outcome: {check: "x.*"}', ("x.a", "x.c"), ("x.c",)),
    (
        facts(fact(outcome("performance.holdout", measures=(measure(),)))),
        "measure: {name: performance.recall, min: 0.6}", ("performance.holdout",), ("performance.holdout",),
    ),
    (
        facts(fact(outcome("robustness.evasion", status=Status.OPEN, reason="no holdout"))),
        "measure: {name: robustness.evasion.recall_under_attack, min: 0.6}", ("robustness.evasion",),
        ("robustness.evasion",),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "rule", "covers", "decided_by"), NAMED)
def test_the_trace_names_the_checks_that_decided(
    given: Facts, rule: str, covers: tuple[str, ...], decided_by: tuple[str, ...]
) -> None:
    line = judge(given, policy(rule)).trace[1]
    assert (line.covers, line.decided_by) == (covers, decided_by)


UNSPOKEN = [
    ("performance.recal", facts(PASS), "no check measures performance.recal; did you mean performance.recall?"),
    ("quite.another", facts(PASS), "no check measures quite.another"),
    (
        "data.label_flips.missed_share",
        facts(fact(outcome("data.label-flips", "train", status=Status.OPEN, complete=False, reason="too few rows"))),
        "data.label-flips is open: too few rows",
    ),
    (
        "performance.recall",
        facts(PASS, expected={"performance.holdout": ("model",)}),
        "performance.recall: performance.holdout on model was never asked",
    ),
    ("performance.recall", facts(PASS), "performance.recall was never measured"),
    (
        "performance.recall",
        facts(fact(outcome("performance.holdout"))),
        "performance.holdout ran and gave no performance.recall",
    ),
]


@pytest.mark.parametrize(("name", "given", "why"), UNSPOKEN, ids=[w for *_, w in UNSPOKEN])
def test_a_missing_measure_says_who_could_have_given_it(name: str, given: Facts, why: str) -> None:
    line = judge(given, policy(f"measure: {{name: {name}, min: 0.6}}")).trace[1]
    assert (line.verdict, line.reason) == (I, why)


def test_a_measure_under_a_check_that_does_not_give_it_is_no_measure() -> None:
    slipped = fact(outcome("data.label-flips", measures=(measure(),)))
    assert verdict(facts(slipped), policy("measure: {name: performance.recall, min: 0.6}")) is I


# What mends it

MENDS = [
    (facts(PASS), "outcome: {check: x.b}", ""),
    (facts(PASS, expected={"x.b": ("model",)}), "outcome: {check: x.b}", "assay run"),
    (facts(fact(outcome("x.a"), at=NOW - timedelta(days=99))), "outcome: {check: x.a, max_age: 9d}", "assay run"),
    (facts(PASS, defaults={"x.a": {"cost": 3}}), "outcome: {check: x.a}", "`checks:` in assay.yaml"),
    (facts(PASS, versions={"x.a": 2}), "outcome: {check: x.a}", "assay run"),
    (facts(PASS), "measure: {name: performance.recall, min: 0.5}", ""),
    (facts(PASS), "approvals: {roles: [security]}", "assay approve . --role security --key security.key"),
    (facts(PASS), "approvals: {roles: [security], exclude: author}", "assay approve . --role security"),
    (
        facts(PASS, approvals=(approval(),), authors=()),
        "approvals: {roles: [security], exclude: author}",
        "assay sign MODEL",
    ),
]


@pytest.mark.parametrize(("given", "rule", "wanted"), MENDS, ids=[f"{r} → {w}" for _, r, w in MENDS])
def test_a_rule_that_could_not_be_judged_says_what_mends_it(given: Facts, rule: str, wanted: str) -> None:
    line = judge(given, policy(rule)).trace[1]
    assert line.verdict is I
    assert wanted in line.fix
