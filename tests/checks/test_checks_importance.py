"""explanation.importance: exact where it can be, within its error elsewhere, and an explanation of any model fails."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, onnx_model, two_tables
from checks_tools import Bench, finding, measure

from assay.labs.simulate import LABEL

lgb = pytest.importorskip("lightgbm")
CHECK = "explanation.importance"
READS = {"data": "train", "holdout": "hold"}


def ready(bench: Bench, *, onnx: bool = False, **facts: Any) -> None:
    train, hold = two_tables()
    rng = np.random.default_rng(0)
    for table in (train, hold):
        table["region"] = np.where(table["device_age_days"] > 60, "north", "south")
        table["coin"] = rng.integers(0, 2, len(table[LABEL]))
    bench.table(train, "train", **{**FACTS, **facts})
    bench.table(hold, "hold", **{**FACTS, **facts})
    if onnx:
        onnx_model(bench.folder / "m.onnx", train)
        bench.model("m.onnx", reads=READS, threshold=0.3, inputs=list(INPUTS))
    else:
        lightgbm_model(bench.folder / "m.txt", train)
        bench.model("m.txt", reads=READS, threshold=0.3)


@pytest.mark.parametrize("onnx", [False, True])
def test_a_sound_model_is_explained(bench: Bench, onnx: bool) -> None:
    ready(bench, onnx=onnx)
    outcome = bench.ask(CHECK, "model", rows=120)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    error = measure(outcome, "explanation.efficiency_error")
    assert abs(error.value) < (0.2 if onnx else 1e-9)
    random, again = (measure(outcome, f"explanation.{n}_agreement") for n in ("randomised", "retrained"))
    assert random.high < min(0.3, again.low)
    repeat = measure(outcome, "explanation.repeat_agreement")
    assert (0.5 < repeat.value < 1) if onnx else (repeat.value == 1)
    assert (repeat.low < repeat.value < repeat.high < 1) if onnx else (repeat.low == repeat.high == 1)
    assert ("bootstrap of the rows" in repeat.method) is onnx
    assert measure(outcome, "explanation.deletion_gain").low > 0
    (shown,) = [e for e in outcome.exhibits if e.name == "explanation.importance"]
    assert {r.label for r in shown.rows} == set(INPUTS)
    assert all(0 <= r.low <= r.value <= r.high for r in shown.rows)
    assert ("Exact" in shown.note) is not onnx
    assert not [m for m in outcome.measures if m.name == "explanation.protected_share"]


@pytest.mark.parametrize("positive", [pytest.param(1, marks=pytest.mark.heavy), 0])
def test_an_xgboost_model_is_explained_by_its_own_trees(bench: Bench, positive: int) -> None:
    xgb = pytest.importorskip("xgboost")
    pytest.importorskip("assay.adapters.xgboost_predictor")
    from checks_models import matrix

    from assay.adapters.cases import open_model
    from assay.core.subject import Contract
    from assay.detectors.importance import tree_values

    ready(bench)
    train, hold = two_tables()
    data = xgb.DMatrix(matrix(train), label=train[LABEL], feature_names=list(INPUTS))
    model = xgb.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 0}, data, 20)
    model.save_model(bench.folder / "x.json")
    bench.model("x.json", reads=READS, threshold=0.3, positive=positive)
    with open_model(bench.subjects["model"], bench.subjects, bench.folder, Contract()) as case:
        found = tree_values(case.predictor, case.holdout.table(tuple(case.predictor.features)))
    asked = xgb.DMatrix(matrix(hold), feature_names=list(INPUTS))
    expected = model.predict(asked, pred_contribs=True)[:, :-1] * (1 if positive else -1)
    assert found is not None
    assert found.values == pytest.approx(expected, abs=1e-4)
    outcome = bench.ask(CHECK, "model", rows=60)
    assert measure(outcome, "explanation.efficiency_error").value < 1e-3
    assert measure(outcome, "explanation.repeat_agreement").value == 1
    assert (measure(outcome, "explanation.retrained_agreement").low > 0.3) == (positive == 1)


def test_the_same_seed_says_the_same_and_another_does_not(bench: Bench) -> None:
    ready(bench)
    first, again, other = (bench.ask(CHECK, "model", rows=60, seed=s) for s in (1, 1, 2))
    assert (first.measures, first.exhibits) == (again.measures, again.exhibits)
    assert first.measures != other.measures


def test_a_protected_input_and_one_that_stands_for_it_are_told(bench: Bench) -> None:
    ready(bench, protected=["payee_age_days", "region", "coin"])
    outcome = bench.ask(CHECK, "model", rows=120)
    about = finding(outcome, "is protected, and number")
    assert (str(about.severity), about.location.column) == ("low", "payee_age_days")
    proxy = finding(outcome, "tells region")
    assert (str(proxy.severity), proxy.location.column) == ("info", "device_age_days")
    assert "coin" not in " ".join(f.message for f in outcome.findings)
    share = measure(outcome, "explanation.protected_share")
    assert 0 < share.low < share.value < share.high < 1


def test_an_explanation_that_says_the_same_of_any_model_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.detectors import importance

    def constant(model: Any, rows: Any) -> Any:
        values = np.tile(np.array([4.0, 3.0, -2.0, 1.0]), (rows.num_rows, 1))
        values = values + np.random.default_rng(0).normal(0, 0.1, values.shape)
        return importance.Explained(values, np.zeros_like(values), values.sum(axis=1), "score")

    ready(bench)
    monkeypatch.setattr(importance, "tree_values", constant)
    outcome = bench.ask(CHECK, "model", rows=60)
    assert str(finding(outcome, "permuted labels").severity) == "medium"
    assert str(outcome.status) == "fail"


def test_an_explanation_that_names_the_wrong_inputs_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.detectors import importance

    true = importance.tree_values

    def reversed_ranks(model: Any, rows: Any) -> Any:
        found = true(model, rows)
        assert found is not None
        values = 1 / (np.abs(found.values) + 1e-6)
        return importance.Explained(values, found.errors, values.sum(axis=1), "log-odds")

    ready(bench)
    monkeypatch.setattr(importance, "tree_values", reversed_ranks)
    outcome = bench.ask(CHECK, "model", rows=60)
    assert "no more than without others" in finding(outcome, "without the inputs").message


def test_values_that_do_not_add_up_are_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.detectors import importance

    true = importance.tree_values

    def off(model: Any, rows: Any) -> Any:
        found = true(model, rows)
        assert found is not None
        return importance.Explained(found.values * 1.1, found.errors, found.total, "log-odds")

    ready(bench)
    monkeypatch.setattr(importance, "tree_values", off)
    outcome = bench.ask(CHECK, "model", rows=60)
    assert (str(outcome.status), "do not add up" in outcome.reason) == ("open", True)


class _Constant:
    threshold, features, classes, kind = 0.5, INPUTS, (0, 1), ""

    def scores(self, table: Any) -> Any:
        return np.full(table.num_rows, 0.3)


def test_a_constant_model_and_missing_data_are_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.adapters.cases import ModelCase

    ready(bench)
    for reads, why in (({"data": "train"}, "declares no holdout"), ({"holdout": "hold"}, "names no training data")):
        bench.model("m.txt", reads=reads, threshold=0.3)
        assert why in bench.ask(CHECK, "model").reason
    bench.table({n: c[:20] for n, c in two_tables()[1].items()}, "hold", **FACTS)
    bench.model("m.txt", reads=READS, threshold=0.3)
    assert "rows with different inputs" in bench.ask(CHECK, "model").reason
    bench.table(two_tables()[1], "hold", **FACTS)
    monkeypatch.setattr(ModelCase, "predictor", property(lambda self: _Constant()))
    outcome = bench.ask(CHECK, "model")
    assert (str(outcome.status), "the same score" in outcome.reason) == ("open", True)


def test_training_data_without_labels_are_open_after_what_can_be_said(bench: Bench) -> None:
    ready(bench)
    train, _ = two_tables()
    bench.table({**train, LABEL: np.zeros(len(train[LABEL]), int)}, "train", **FACTS)
    outcome = bench.ask(CHECK, "model", rows=60)
    assert str(outcome.status) == "open"
    assert measure(outcome, "explanation.deletion_gain").value is not None
    assert [e.name for e in outcome.exhibits] == ["explanation.importance"]


# --- oracles --------------------------------------------------------------------------------------------------------


def expected_output(node: dict[str, Any], x: np.ndarray, known: frozenset[int]) -> float:
    """What a tree gives for a row of which some inputs are known: by its cover at splits on the others."""
    if "leaf_value" in node:
        return float(node["leaf_value"])
    left, right = node["left_child"], node["right_child"]
    if node["split_feature"] in known:
        go = left if x[node["split_feature"]] <= node["threshold"] else right
        return expected_output(go, x, known)
    sizes = [c.get("internal_count", c.get("leaf_count")) for c in (left, right)]
    both = [expected_output(c, x, known) for c in (left, right)]
    return (sizes[0] * both[0] + sizes[1] * both[1]) / sum(sizes)


@pytest.mark.parametrize("positive", [1, 0])
def test_the_values_of_trees_are_those_of_all_coalitions(bench: Bench, positive: int) -> None:
    from assay.adapters.cases import open_model
    from assay.core.subject import Contract
    from assay.detectors.importance import tree_values

    ready(bench)
    bench.model("m.txt", reads=READS, threshold=0.3, positive=positive)
    with open_model(bench.subjects["model"], bench.subjects, bench.folder, Contract()) as case:
        rows = case.holdout.table(tuple(case.predictor.features)).slice(0, 6)
        found = tree_values(case.predictor, rows)
        trees = [t["tree_structure"] for t in case.predictor.booster.dump_model()["tree_info"]]
        X = np.column_stack([rows.column(n).to_numpy() for n in case.predictor.features]).astype(float)
        scores = case.predictor.scores(rows)
    d = X.shape[1]
    for i, x in enumerate(X):
        worth = {
            s: sum(expected_output(t, x, s) for t in trees)
            for size in range(d + 1)
            for s in map(frozenset, itertools.combinations(range(d), size))
        }
        for j in range(d):
            value = sum(
                math.factorial(len(s)) * math.factorial(d - len(s) - 1) / math.factorial(d) * (worth[s | {j}] - w)
                for s, w in worth.items()
                if j not in s
            )
            assert found.values[i, j] == pytest.approx(value * (1 if positive else -1), abs=1e-6)
        margin = worth[frozenset(range(d))] * (1 if positive else -1)
        assert scores[i] == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-6)


def test_the_drawn_values_of_a_linear_model_are_its_closed_form() -> None:
    import pyarrow as pa

    from assay.detectors.importance import explain

    rng = np.random.default_rng(0)
    w = np.array([2.0, -1.0, 0.5, 0.0])
    X, B = rng.normal(size=(10, 4)), rng.normal(size=(60, 4))

    class Linear:
        features = ("a", "b", "c", "d")

        def scores(self, table: Any) -> Any:
            return np.column_stack([table.column(n).to_numpy() for n in self.features]) @ w

    tables = [pa.table({n: m[:, i] for i, n in enumerate("abcd")}) for m in (X, B)]
    found = explain(Linear(), *tables, pairs=300, seed=0, trees=False)
    assert np.abs(found.values - w * (X - B.mean(axis=0))).max() < 5 * found.errors.max()
    assert found.values[:, 3] == pytest.approx(0, abs=1e-9)
    assert found.total == pytest.approx(X @ w - (B @ w).mean())


@pytest.mark.parametrize(("noise", "least", "most"), [(0.0, 0.99, 1.0), (1.0, 0.0, 0.1)])
def test_association_is_one_for_the_same_groups_and_none_for_others(noise: float, least: float, most: float) -> None:
    from assay.detectors.importance import association

    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 3000)
    b = np.where(rng.random(3000) < noise, rng.integers(0, 4, 3000), a)
    assert least <= association(a, b) <= most
    assert association(a, np.zeros(3000, int)) == 0.0


def test_the_interval_of_the_repeated_agreement_holds_that_of_many_rows() -> None:
    from assay.checks.explanation.believed import _agreement
    from assay.stats.shapley import rank_agreement

    def drawn(rows: int, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        size = rng.normal(size=(rows, 6)) * rng.uniform(0.5, 3, size=(rows, 1))
        return size + rng.normal(size=size.shape), size + rng.normal(size=size.shape)

    true, covered = rank_agreement(*drawn(40_000, 1)), 0
    for seed in range(2, 102):
        value, low, high, rows = _agreement(*drawn(60, seed), seed)
        assert (rows, low <= value <= high) == (60, True)
        covered += low <= true <= high
    assert covered >= 88, covered  # of 100; nominal 95
    flat = np.zeros((5, 6))
    assert _agreement(flat, drawn(5, 0)[0], 0) == (0.0, 0.0, 1.0, 0)
    mixed = [np.concatenate([m, flat]) for m in drawn(30, 0)]
    assert _agreement(*mixed, 0)[0] == pytest.approx(rank_agreement(*mixed))
    assert _agreement(*mixed, 0)[3] == 30, "rows without any order are no rows"


def test_values_that_are_mostly_noise_are_open(bench: Bench) -> None:
    ready(bench, onnx=True)
    outcome = bench.ask(CHECK, "model", rows=60, pairs=2)
    if measure(outcome, "explanation.repeat_agreement").value < 0.5:
        assert (str(outcome.status), "raise `pairs`" in outcome.reason) == ("open", True)
    else:
        assert measure(outcome, "explanation.randomised_agreement").value is not None
