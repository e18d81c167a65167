"""robustness.evasion: a model on what an attacker can change falls, one on what nobody can change stands."""

from __future__ import annotations

from typing import Any

import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, two_tables
from checks_tools import Bench, measure

pytest.importorskip("lightgbm")
CHECK = "robustness.evasion"
UNDER = "robustness.evasion.recall_under_attack"
LEAST_ROWS = 10
BEFORE = "robustness.evasion.recall_unattacked"
READS = {"data": "train", "holdout": "hold"}
FREE = {
    "payee_age_days": {"min": 0, "integer": True, "scale": 50},
    "cards_on_device": {"min": 1, "max": 20, "integer": True, "scale": 2},
    "payments_24h": {"min": 0, "integer": True, "scale": 2},
    "device_age_days": {"min": 0, "integer": True, "scale": 50},
}
FIXED: dict[str, dict[str, Any]] = {n: {"mutable": False} for n in INPUTS}


@pytest.fixture
def model(bench: Bench) -> Bench:
    train, holdout = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    return bench


def test_what_anyone_can_change_falls(model: Bench) -> None:
    model.features(**FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=60)
    under, before = measure(outcome, UNDER), measure(outcome, BEFORE)
    assert str(outcome.status) == "pass", outcome.reason
    assert before.value > 0.7
    assert under.value < 0.1
    assert under.high < before.low


def test_what_nobody_can_change_stands(model: Bench) -> None:
    model.features(**FIXED)
    outcome = model.ask(CHECK, "model", rows=60)
    assert measure(outcome, UNDER).value == measure(outcome, BEFORE).value > 0.7
    assert "no input" in measure(outcome, UNDER).method


def test_one_direction_that_only_makes_it_worse_stands(model: Bench) -> None:
    model.features(**{**FIXED, "cards_on_device": {**FREE["cards_on_device"], "direction": "up"}})
    outcome = model.ask(CHECK, "model", cost=5.0, rows=60)
    if str(outcome.status) == "pass":
        assert measure(outcome, UNDER).value == measure(outcome, BEFORE).value
    else:
        assert outcome.reason


def test_more_budget_never_leaves_more(model: Bench) -> None:
    model.features(**FREE)
    left = [measure(model.ask(CHECK, "model", cost=c, rows=40, queries=200), UNDER).value for c in (0.5, 4.0)]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1]


def test_one_seed_one_answer_and_no_cell_is_shown(model: Bench) -> None:
    model.features(**FREE)
    first, second = (model.ask(CHECK, "model", cost=3.0, rows=24, queries=200, seed=5) for _ in range(2))
    assert first == second
    assert {type(e).__name__ for e in first.exhibits} <= {"Curve", "Waterfall"}


def test_what_was_never_declared_is_open_not_robust(model: Bench) -> None:
    outcome = model.ask(CHECK, "model", rows=60)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert outcome.reason


def test_too_few_caught_rows_are_open(model: Bench) -> None:
    model.features(**FREE)
    model.model("m.txt", reads=READS, threshold=0.9999)
    outcome = model.ask(CHECK, "model")
    assert str(outcome.status) == "open"
    assert "at least 10 are needed" in outcome.reason


def test_no_holdout_is_open(model: Bench) -> None:
    model.features(**FREE)
    model.model("m.txt", reads={"data": "train"}, threshold=0.3)
    assert "no untouched data" in model.ask(CHECK, "model").reason


def test_a_model_that_flags_everything_is_open(model: Bench) -> None:
    model.features(**FREE)
    model.model("m.txt", reads=READS, threshold=-1.0)
    assert str(model.ask(CHECK, "model").status) == "open"


@pytest.mark.parametrize(
    ("constraint", "reason"),
    [
        ("payments_24h >= 999999", "no positive row satisfies the constraints"),
        ("payments_24h > 'x'", "compares words with numbers"),
        ("nope > 1", "reads columns that are not there: nope"),
    ],
)
def test_a_constraint_that_nothing_satisfies_is_not_robustness(model: Bench, constraint: str, reason: str) -> None:
    model.features(constraint, **FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=30)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert reason in outcome.reason


def test_rows_that_break_a_constraint_already_are_not_counted_as_robust(model: Bench) -> None:
    model.features("payee_age_days < 40", **FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=1000)
    positives = measure(model.ask("performance.holdout", "model"), "performance.recall").n
    under = measure(outcome, UNDER)
    assert LEAST_ROWS < under.n < positives
    assert under.value < measure(outcome, BEFORE).value


def test_a_missing_value_in_a_relation_shields_no_row(bench: Bench) -> None:
    train, holdout = two_tables()
    blank = {**holdout, "distance_km": [None if i else 1.5 for i in range(len(holdout["distance_km"]))]}
    bench.table(train, "train", **FACTS)
    bench.table(blank, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    bench.features("distance_km >= 0", **FREE)
    outcome = bench.ask(CHECK, "model", cost=100.0, rows=30, queries=200)
    assert measure(outcome, UNDER).value < 0.2 < measure(outcome, BEFORE).value
