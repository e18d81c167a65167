"""The attack as it was really asked: what `attacker:` of the manifest fills in is held against the policy as well."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from policy_facts import OTHER, SEC, fact, facts, judge, measure, outcome, policy

from assay.core.decision import Decision, Facts, Verdict
from assay.core.finding import Json
from assay.core.release import Terms
from assay.core.subject import Attacker, Contract, Feature

A, D, I = Verdict.ALLOW, Verdict.DENY, Verdict.INDETERMINATE  # noqa: E741 - the table reads better so
CHECK = "robustness.evasion"
UNSET: dict[str, Json] = dict.fromkeys(("cost", "budget", "norm", "access", "queries"))
DEFAULTS: dict[str, dict[str, Json]] = {
    CHECK: {**UNSET, "rows": 300, "method": "search"},
    "theft.extraction": {"queries": 20_000, "price": None, "worth": None},
}
RULE = f"measure: {{name: {CHECK}.recall_under_attack, min: 0.3, bound: lower95}}"
SMALL = {"norm": "linf", "budget": 0.0001}
COST = "{cost: 3, rows: 500}"


def terms(**attacker: Any) -> Terms:
    return Terms(contract=Contract(features={"amount": Feature()}, attacker=Attacker(**attacker)))


def attacked(attacker: dict[str, Any], asked: dict[str, Json], **changes: Any) -> Facts:
    """One outcome of the attack, asked with these parameters under this `attacker:`."""
    said = outcome(CHECK, measures=(measure(f"{CHECK}.recall_under_attack"),), parameters=asked)
    return facts(fact(said), **{"defaults": DEFAULTS, "terms": terms(**attacker), **changes})


def gated(attacker: dict[str, Any], checks: dict[str, Json], wanted: str = "", rules: str = RULE) -> Decision:
    head = f"parameters:\n  {CHECK}: {wanted}\n" if wanted else ""
    return judge(attacked(attacker, {**DEFAULTS[CHECK], **checks}), policy(rules, head))


CASES: list[tuple[dict[str, Any], dict[str, Json], str, str]] = [
    # `attacker:`, `checks:`, the policy's `parameters:`, what differs ("" where it counts)
    ({}, {}, "", ""),
    ({"budget": 3}, {}, "", ""),
    ({"access": "label", "queries": 600, "norm": "cost", "budget": 3.0}, {}, "", ""),
    ({}, {"cost": 3}, "", ""),
    ({"access": "whitebox", **SMALL}, {}, "", "norm linf, the policy asks for cost"),
    ({"access": "whitebox", **SMALL}, {"cost": 3, "rows": 500}, COST, "norm linf, the policy asks for cost"),
    ({"budget": 0.0001}, {}, "", "cost 0.0001, the policy asks for 3"),
    ({"budget": 0.0001}, {}, "{cost: 3}", "cost 0.0001, the policy asks for 3"),
    ({"budget": 0.0001}, {"cost": 3, "rows": 500}, COST, ""),
    ({"budget": 2}, {"cost": None}, "{cost: null}", "cost 2, the policy asks for 3"),
    ({"queries": 10}, {}, "", "queries 10, the policy asks for 600"),
    ({"queries": 10}, {"queries": 600}, "", ""),
    ({"access": "score"}, {}, "", "access score, the policy asks for label"),
    ({"norm": "linf"}, {"norm": "cost"}, "", ""),
    (SMALL, {"norm": "cost"}, "", ""),
    ({"norm": "linf", "budget": 0.1}, {}, "{norm: linf, budget: 0.1}", ""),
    ({}, {"norm": "linf", "budget": 0.1}, "{norm: linf, budget: 0.1}", ""),
    ({"norm": "linf"}, {"budget": 0.1}, "{norm: linf, budget: 0.1}", ""),
    ({"norm": "l2"}, {}, "{norm: l2}", ""),
    (SMALL, {}, "{norm: linf, budget: 0.1}", "budget 0.0001, the policy asks for 0.1"),
    (SMALL, {"norm": "linf"}, "{norm: linf}", "budget 0.0001, the policy asks for unlimited"),
    ({"norm": "linf"}, {}, "{norm: linf, budget: 0.1}", "budget unlimited, the policy asks for 0.1"),
    ({}, {}, "{access: whitebox}", "access label, the policy asks for whitebox"),
    ({"access": "whitebox"}, {}, "{access: whitebox}", ""),
    (SMALL, {"cost": 3}, "{norm: linf, budget: 0.0001}", "cost 3, the policy asks for unset"),
    ({"access": "whitebox", "queries": 10}, {}, "{access: whitebox, queries: 1000}", ""),
    ({"access": "label", "queries": 10}, {}, "{access: label, queries: 1000}", "queries 10, the policy asks for 1000"),
    ({}, {"cost": True}, "{cost: 1}", "cost True, the policy asks for 1"),
]


@pytest.mark.parametrize(
    ("attacker", "checks", "wanted", "why"), CASES, ids=[f"{a} {c} | {w or 'silent'}" for a, c, w, _ in CASES]
)
def test_what_counts_is_the_attack_that_was_really_made(
    attacker: dict[str, Any], checks: dict[str, Json], wanted: str, why: str
) -> None:
    decision = gated(attacker, checks, wanted)
    assert decision.verdict is (I if why else A)
    aside = (f"{CHECK} ran with {why}",) if why else None
    assert decision.aside.get(CHECK) == aside
    assert (CHECK in decision.counted) is not bool(why)


def test_the_fix_says_where_the_difference_comes_from() -> None:
    by_attacker = gated(SMALL, {}).trace[1].fix
    assert all(text in by_attacker for text in ("`attacker:`", "`parameters:`", "contract: {digest: …}"))
    by_check = gated({}, {"cost": 0.1}).trace[1].fix
    assert ("`checks:`" in by_check, "attacker" in by_check) == (True, False)


def test_terms_that_the_policy_pins_are_agreed_with_the_attacker_in_them() -> None:
    pin = f"{RULE}\ncontract: {{digest: {terms(**SMALL).digest}}}"
    assert gated(SMALL, {}, rules=pin).verdict is A
    assert gated(SMALL, {}, rules=f"{RULE}\ncontract: {{mutable: [amount]}}").verdict is I, "pins no attacker"
    assert CHECK in gated(SMALL, {}, rules=f"{RULE}\ncontract: {{digest: '{OTHER}'}}").aside, "pins others"
    loose = gated(SMALL, {"budget": 1e-6}, rules=pin)
    assert (loose.verdict, loose.aside[CHECK]) == (I, (f"{CHECK} ran with budget 1e-06, the policy asks for 0.0001",))
    both = gated(SMALL, {}, "{norm: cost, cost: 3}", pin)
    assert (both.verdict, both.aside[CHECK]) == (I, (f"{CHECK} ran with norm linf, the policy asks for cost",))
    odd = gated(SMALL, {}, "{cost: 3}", pin)
    assert (odd.verdict, odd.aside[CHECK]) == (I, (f"{CHECK} ran with cost unset, the policy asks for 3",))


@pytest.mark.parametrize("lost", ["norm", "cost", "budget", "access", "queries", "rows"])
def test_an_outcome_that_does_not_say_how_it_was_asked_does_not_count(lost: str) -> None:
    asked = {k: v for k, v in DEFAULTS[CHECK].items() if k != lost}
    decision = judge(attacked({}, asked), policy(RULE))
    assert decision.verdict is I
    assert f"{CHECK} ran with {lost} absent" in decision.aside[CHECK][0]


def test_a_check_is_held_to_what_it_has_of_an_attacker() -> None:
    asked = DEFAULTS["theft.extraction"]
    said = fact(outcome("theft.extraction", parameters=asked))
    rule = "findings: {severity: high}"
    worth = "parameters:\n  theft.extraction: {price: 0.5}\n"

    def ran(written: str, **attacker: Any) -> Decision:
        return judge(facts(said, defaults=DEFAULTS, terms=terms(**attacker)), policy(rule, written))

    assert ran("", **SMALL, access="whitebox", queries=1).verdict is A, "it has no norm, and queries of its own"
    dear = ran("", price=0.5)
    assert (dear.verdict, "price 0.5, the policy asks for unset" in dear.trace[1].reason) == (I, True)
    assert ran(worth, price=0.5).verdict is A
    assert ran(worth, price=9).verdict is I
    assert ran(worth).verdict is I


def test_an_attack_that_was_loosened_changes_nothing_beside_the_one_that_was_asked_for() -> None:
    given = attacked({"budget": 0.1}, {**DEFAULTS[CHECK], "cost": 3})
    loose = outcome(CHECK, measures=(measure(f"{CHECK}.recall_under_attack"),), parameters=DEFAULTS[CHECK])
    assert judge(given, policy(RULE)).verdict is A
    both = replace(given, outcomes=(*given.outcomes, fact(loose, SEC, bundle="b2")))
    decision = judge(both, policy(RULE))
    assert (decision.verdict, CHECK in decision.aside, CHECK in decision.counted) == (A, True, True)


def test_observe_sets_it_aside_too() -> None:
    given = attacked(SMALL, DEFAULTS[CHECK])
    decision = judge(given, policy(RULE, "mode: observe\n"))
    assert (decision.verdict, decision.mode, CHECK in decision.aside) == (I, "observe", True)
