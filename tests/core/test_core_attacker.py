"""What an attacker's declaration answers where a check's parameters are silent."""

from __future__ import annotations

import math
from typing import Any

import pytest

from assay.core.subject import Attacker, budget_of

UNSET = dict.fromkeys(("norm", "access", "queries", "cost", "budget"))
LINF = Attacker(access="whitebox", queries=50, norm="linf", budget=0.1, price=2.0)
CASES: list[tuple[Attacker, dict[str, Any], dict[str, Any]]] = [
    (Attacker(), UNSET, {"norm": "cost", "access": "label", "queries": 600, "cost": 3.0}),
    (LINF, UNSET, {"norm": "linf", "access": "whitebox", "queries": 0, "budget": 0.1}),
    (LINF, {**UNSET, "budget": 0.2}, {"norm": "linf", "access": "whitebox", "queries": 0, "budget": 0.2}),
    (LINF, {**UNSET, "norm": "l2"}, {"norm": "l2", "access": "whitebox", "queries": 0, "budget": math.inf}),
    (LINF, {**UNSET, "norm": "cost"}, {"norm": "cost", "access": "whitebox", "queries": 0, "cost": 3.0}),
    (LINF, {**UNSET, "cost": 3}, {"norm": "linf", "access": "whitebox", "queries": 0, "budget": 0.1, "cost": 3}),
    (Attacker(budget=1.5), {"norm": None, "rows": 9}, {"norm": "cost", "cost": 1.5, "rows": 9}),
    (LINF, {"queries": 20_000, "price": None}, {"queries": 20_000, "price": 2.0}),
    (LINF, {"price": 0, "queries": None}, {"price": 0, "queries": 50}),
    (LINF, {"cost": None, "rows": None}, {"cost": None, "rows": None}),
    (LINF, {}, {}),
]


@pytest.mark.parametrize(("attacker", "given", "asked"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_a_check_is_asked_what_is_declared_where_it_is_silent(
    attacker: Attacker, given: dict[str, Any], asked: dict[str, Any]
) -> None:
    before = dict(given)
    assert attacker.answers(given) == asked
    assert given == before, "what was given stays as it is"
    assert Attacker().answers(attacker.answers(given)) == asked, "nothing is left open"


def test_a_change_is_priced_in_one_norm_alone() -> None:
    assert [budget_of(norm) for norm in ("cost", "linf", "l2", "l1")] == ["cost", "budget", "budget", "budget"]
