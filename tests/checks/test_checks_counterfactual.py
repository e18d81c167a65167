"""explanation.counterfactual: what a person could change, exact for linear models, never called impossible unproved."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, onnx_model, two_tables
from checks_tools import Bench, finding, measure

pytest.importorskip("lightgbm")
CHECK = "explanation.counterfactual"
READS = {"data": "train", "holdout": "hold"}
HONEST: dict[str, dict[str, Any]] = {
    "payee_age_days": {"min": 0, "max": 10_000, "integer": True, "person": {"direction": "up"}},
    "cards_on_device": {"min": 1, "max": 50, "integer": True, "person": {"direction": "down"}},
    "payments_24h": {"min": 0, "max": 100, "integer": True, "person": {"direction": "down"}},
    "device_age_days": {"min": 0, "max": 10_000, "integer": True},
}


@pytest.fixture
def model(bench: Bench) -> Bench:
    train, holdout = two_tables()
    for name, table in (("train", train), ("hold", holdout)):
        table["region"] = np.where(np.arange(len(table["is_fraud"])) % 2 == 0, "north", "south")
        bench.table(table, name, **{**FACTS, "drop": [*FACTS["drop"], "region"], "protected": ["region"]})
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    return bench


def test_people_with_a_way_are_counted_and_only_their_columns_change(model: Bench) -> None:
    model.features(**HONEST)
    outcome = model.ask(CHECK, "model", rows=50)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    share, none = (measure(outcome, f"{CHECK}.{n}_share") for n in ("actionable", "impossible"))
    assert share.low <= share.value <= share.high
    assert share.value + none.value <= 1
    assert share.n == none.n == 50
    assert "by `person:`" in share.method
    (table,) = [e for e in outcome.exhibits if e.name == CHECK]
    assert {row[0] for row in table.rows} <= set(INPUTS) - {"device_age_days"}, "it has no `person:`"
    changes = measure(outcome, f"{CHECK}.changes")
    assert 1 <= changes.low <= changes.value <= changes.high <= 3
    gap = measure(outcome, f"{CHECK}.recourse_gap")
    assert gap.low <= gap.value <= gap.high
    assert [e for e in outcome.exhibits if e.name == f"{CHECK}.groups"]


def test_without_person_the_attackers_word_is_taken_and_said(model: Bench) -> None:
    model.features(**{n: {k: v for k, v in f.items() if k != "person"} for n, f in HONEST.items()})
    share = measure(model.ask(CHECK, "model", rows=30), f"{CHECK}.actionable_share")
    assert "no column has `person:`" in share.method
    assert share.value == 1


def test_whoever_can_change_nothing_is_proved_to_have_no_way(model: Bench) -> None:
    model.features(**{n: {"person": {"mutable": False}} for n in INPUTS})
    outcome = model.ask(CHECK, "model", rows=30)
    assert measure(outcome, f"{CHECK}.actionable_share").value == 0
    assert measure(outcome, f"{CHECK}.impossible_share").value == 1
    assert measure(outcome, f"{CHECK}.changes").value is None


def test_a_range_of_one_value_is_no_way_either(model: Bench) -> None:
    model.features(cards_on_device={"person": {"min": 1, "max": 1, "direction": "up"}})
    outcome = model.ask(CHECK, "model", rows=30)
    assert measure(outcome, f"{CHECK}.impossible_share").value == 1


def test_a_direction_that_only_harms_is_proved_to_be_no_way(model: Bench) -> None:
    model.features(**{n: {**HONEST["cards_on_device"], "person": {"direction": "up"}} if n == "cards_on_device"
                      else {"mutable": True} for n in INPUTS})  # fmt: skip
    outcome = model.ask(CHECK, "model", rows=30)
    assert measure(outcome, f"{CHECK}.impossible_share").value == 1, "the model is monotone, and its trees were read"


def test_a_group_that_can_do_less_is_told(model: Bench) -> None:
    """The north can do nothing: its rows break with a relation whatever they change."""
    table = two_tables()[1]
    north = np.arange(len(table["is_fraud"])) % 2 == 0
    table["region"] = np.where(north, "north", "south")
    table["fixed"] = np.where(north, table["cards_on_device"], 0)
    for name in ("train", "hold"):
        model.table(table, name, **{**FACTS, "drop": [*FACTS["drop"], "region", "fixed"], "protected": ["region"]})
    model.features("fixed == 0 or cards_on_device == fixed", cards_on_device=HONEST["cards_on_device"])
    outcome = model.ask(CHECK, "model", rows=80)
    gap = measure(outcome, f"{CHECK}.recourse_gap")
    assert gap.low > 0.1
    assert (str(outcome.status), str(finding(outcome, "groups of region").severity)) == ("pass", "info")


def test_what_cannot_be_asked_is_open_or_does_not_apply(model: Bench) -> None:
    assert str(model.ask(CHECK, "model").status) == "not-applicable", "nobody said what can be changed"
    model.features(**HONEST)
    model.model("m.txt", reads={"data": "train"}, threshold=0.3)
    assert str(model.ask(CHECK, "model").status) == "not-applicable"
    for threshold in (0.9999, -1.0):
        model.model("m.txt", reads=READS, threshold=threshold)
        assert "at least 10 are needed" in model.ask(CHECK, "model").reason
    (model.folder / "m.txt").write_bytes(b"tree\nversion=v4\nnum_class=1\n")
    model.model("m.txt", reads=READS, threshold=0.3)
    assert str(model.ask(CHECK, "model").status) == "open"


def test_one_seed_one_answer(model: Bench) -> None:
    model.features(**HONEST)
    assert model.ask(CHECK, "model", rows=20, seed=3) == model.ask(CHECK, "model", rows=20, seed=3)


# --- oracles --------------------------------------------------------------------------------------------------------


@pytest.fixture
def linear(bench: Bench) -> tuple[Bench, Any]:
    pytest.importorskip("skl2onnx")
    rng = np.random.default_rng(0)
    tables = []
    for _ in range(2):
        X = rng.normal(size=(600, 3)) * [1, 5, 0.2]
        y = (X @ [1.0, 0.3, 2.0] + rng.normal(0, 0.5, 600) > 1).astype(int)
        tables.append({**{n: X[:, i] for i, n in enumerate("abc")}, "is_fraud": y})
    for name, table in zip(("train", "hold"), tables, strict=True):
        bench.table(table, name, label="is_fraud", positive=1)
    pipeline = onnx_model(bench.folder / "m.onnx", tables[0], ("a", "b", "c"))
    bench.model("m.onnx", reads=READS, threshold=0.5, inputs=["a", "b", "c"])
    return bench, pipeline


@pytest.mark.parametrize("costs", [(1.0, 1.0, 1.0), (1.0, 10.0, 0.1)], ids=["even", "priced"])
def test_the_cheapest_change_of_a_linear_model_is_its_closed_form(linear: Any, costs: tuple[float, ...]) -> None:
    """All on the one input that moves the score most for its price: excess / max |w| scale / cost."""
    from assay.adapters.cases import open_model
    from assay.attacks.recourse.actions import Known, actions

    bench, pipeline = linear
    wide = {"min": -1e6, "max": 1e6, "scale": 1.0}
    bench.features(**{n: {"mutable": False, "person": {**wide, "cost": c}} for n, c in zip("abc", costs, strict=True)})
    with open_model(bench.subjects["model"], bench.subjects, bench.folder, bench.contract) as case:
        table = case.holdout.table()
        flagged = case.predictor.flagged(table)
        rows = table.filter(flagged).slice(0, 25)
        kinds = {c.name: c.kind for c in case.holdout.columns}
        known = Known(bench.contract.of_person(), case.train.table(), kinds, table.filter(~flagged))
        found = actions(case.predictor, rows, known)
    X = np.column_stack([rows.column(n).to_numpy() for n in "abc"])
    w = pipeline[-1].coef_[0] / pipeline[0].scale_
    excess = X @ w + pipeline[-1].intercept_[0] - (pipeline[0].mean_ * w).sum()
    least = excess / (np.abs(w) / np.array(costs)).max()
    assert found.access == "whitebox"
    assert found.found.all()
    assert found.cost == pytest.approx(least, rel=2e-3, abs=2e-4)
    assert (found.changed.sum(axis=1) == 1).all()


def test_notices_are_sparse_different_rounded_and_true(linear: Any) -> None:
    from assay.adapters.cases import open_model
    from assay.attacks.recourse.actions import Known
    from assay.attacks.recourse.notices import notices

    bench, _ = linear
    bench.features(**{n: {"person": {"min": -50, "max": 50}} for n in "abc"})
    with open_model(bench.subjects["model"], bench.subjects, bench.folder, bench.contract) as case:
        table = case.holdout.table()
        flagged = case.predictor.flagged(table)
        kinds = {c.name: c.kind for c in case.holdout.columns}
        known = Known(bench.contract.of_person(), case.train.table(), kinds, table.filter(~flagged))
        for place in np.flatnonzero(flagged)[:2].tolist():
            row = table.slice(place, 1)
            told = notices(case.predictor, row, known)
            sets = [frozenset(c.column for c in n.changes) for n in told.notices]
            assert len(sets) == len(set(sets)) == 3, "each of the three inputs does it alone"
            assert [len(s) for s in sets] == [1, 1, 1]
            assert [n.cost for n in told.notices] == sorted(n.cost for n in told.notices)
            for notice in told.notices:
                changed = row
                for c in notice.changes:
                    assert len(repr(c.new).strip("-")) <= 6, "a number that a person would say"
                    at = changed.schema.get_field_index(c.column)
                    changed = changed.set_column(at, c.column, [[c.new]])
                assert not case.predictor.flagged(changed)[0]


@pytest.mark.parametrize("step", [None, 25.0], ids=["any", "grid"])
@pytest.mark.parametrize("side", [1, -1], ids=["up", "down"])
def test_the_nearest_value_of_one_number_is_told_though_farther_ones_fail(side: int, step: float | None) -> None:
    """What passes is an island and, behind a gap, all that is far; every whole number is asked as the oracle."""
    from assay.adapters.predictor_base import BasePredictor
    from assay.attacks.recourse.actions import Known
    from assay.attacks.recourse.notices import notices
    from assay.core.subject import Contract, Feature

    class Islands(BasePredictor):
        features = ("a", "b")

        def _score(self, rows: Any) -> Any:
            a = side * np.asarray(rows["a"])
            return np.where(((a >= 3010) & (a < 3700)) | (a >= 7000), 0.1, 0.9) + 0.01 * np.asarray(rows["b"])

    rng = np.random.default_rng(0)
    table = pa.table({"a": side * np.round(rng.uniform(0, 10_000, 400) / 25) * 25, "b": rng.uniform(0, 1, 400)})
    ends = sorted((0.0, side * 10_000.0))
    may = {
        n: Feature(min=low, max=high, step=step if n == "a" else None) for n, low, high in [("a", *ends), ("b", 0, 1)]
    }
    model = Islands("islands")
    known = Known(Contract(features=may), table, dict.fromkeys("ab", "number"), table.filter(~model.flagged(table)))
    row = pa.table({"a": [side * 1000.0], "b": [0.5]})
    (told,) = [n for n in notices(model, row, known).notices if [c.column for c in n.changes] == ["a"]]
    every = pa.table({"a": side * np.arange(0, 10_000, step or 1.0), "b": np.full(int(10_000 / (step or 1)), 0.5)})
    least = np.abs(np.asarray(every["a"])[~model.flagged(every)] - side * 1000).min()
    moved = abs(told.changes[0].new - side * 1000)
    assert least <= moved <= 1.1 * least
    assert step is None or told.changes[0].new % step == 0


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("PastNumberOfClaims", "past number of claims"),
        ("past_number-of.claims", "past number of claims"),
        ("AgeOfVehicle", "age of vehicle"),
        ("IBANCountry", "IBAN country"),
        ("x", "x"),
    ],
)
def test_a_column_is_named_in_words(column: str, words: str) -> None:
    from assay.attacks.recourse.words import name_of

    assert name_of(column) == words


def test_the_sentences_are_plain() -> None:
    from assay.attacks.recourse.notices import Change, Notice, Told
    from assay.attacks.recourse.words import NOT_FOUND, PROVED, sentence, sentences

    def said(*changes: Change) -> str:
        return sentence(Notice(changes, 1.0))

    two = Change("PastNumberOfClaims", 5, 3, -2)
    assert said(two) == "With two fewer past claims (3 instead of 5), the decision would differ."
    assert said(Change("cards", 1, 2, 1)) == "With one more card (2 instead of 1), the decision would differ."
    assert (
        said(Change("amount", 340.5, 200.0)) == "With a lower amount (200 instead of 340.5), the decision would differ."
    )
    assert said(Change("code", 2, 7, listed=True)) == "With another code (7 instead of 2), the decision would differ."
    assert said(Change("Day", "Mon", "Tue")) == "With another day (Tue instead of Mon), the decision would differ."
    assert said(two, Change("Day", None, "Tue")) == (
        "With two fewer past claims (3 instead of 5) and another day (Tue instead of none), the decision would differ."
    )
    assert said(Change("Claims", "more than 4", "none", -3)) == (
        "With fewer claims (none instead of more than 4), the decision would differ."
    )
    assert sentences(Told((), True)) == [PROVED]
    assert sentences(Told((), False)) == [NOT_FOUND]
    assert "proved" in PROVED
    assert "not proved" in NOT_FOUND


def test_a_persons_word_replaces_the_attackers_and_keeps_the_columns_facts(tmp_path: Path) -> None:
    from assay.config.manifest import load_threat
    from assay.core.errors import AssayError

    path = tmp_path / "t.yaml"
    path.write_text(
        "features:\n  a: {mutable: false, min: 0, max: 9, step: 1, cost: 5,"
        " person: {direction: down, max: 7, cost: 2}}\n"
        "  b: {direction: up}\n"
    )
    contract = load_threat(path)
    honest = contract.of_person().features
    a = honest["a"]
    assert (a.mutable, a.direction, a.min, a.max, a.step, a.cost) == (True, "down", 0, 7, 1, 2)
    assert not honest["b"].mutable, "what an attacker can change is not assumed to be in a person's power"
    assert contract.features["a"].cost == 5
    for bad in ("{min: 3, max: 1}", "{cost: -1}", "{min: .inf}", "{min: 10}", "{costs: {x: 1}}", "{order: [1]}"):
        path.write_text(f"features:\n  a: {{max: 9, person: {bad}}}\n")
        with pytest.raises(AssayError):
            load_threat(path)
    assert math.isfinite(a.cost)


@pytest.mark.parametrize(("said", "good"), [("5", True), ("0", False), ("-1", False), (".inf", False), ("soon", False)])
def test_a_promised_latency_is_a_positive_number(tmp_path: Path, said: str, good: bool) -> None:
    from assay.config.manifest import load_project
    from assay.core.errors import AssayError

    (tmp_path / "assay.yaml").write_text(
        "system: {name: s, owner: o@example.com, purpose: p}\n"
        f"subjects:\n  m: {{model: m.onnx, latency: {said}}}\n"
    )  # fmt: skip
    if good:
        assert load_project(tmp_path).subjects["m"].options["latency"] == 5
    else:
        with pytest.raises(AssayError, match="latency"):
            load_project(tmp_path)
