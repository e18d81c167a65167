"""performance.*: the same numbers as scikit-learn on the same scores; nothing is claimed on too little."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, matrix, onnx_model, two_tables
from checks_tools import Bench, measure

from assay.labs.simulate import LABEL, Table, payments

pytest.importorskip("lightgbm")
metrics = pytest.importorskip("sklearn.metrics")
HOLDOUT, CHAMPION = "performance.holdout", "performance.versus-champion"
READS = {"data": "train", "holdout": "hold"}


def judged(bench: Bench, holdout: Table | None = None, threshold: float = 0.3) -> tuple[Any, Table]:
    """A LightGBM model on its bench; gives (scores on the holdout, the holdout)."""
    train, other = two_tables()
    holdout = other if holdout is None else holdout
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    booster = lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=threshold)
    return booster.predict(matrix(holdout)), holdout


def test_it_says_what_scikit_learn_says(bench: Bench) -> None:
    scores, holdout = judged(bench)
    outcome = bench.ask(HOLDOUT, "model")
    truth, flagged = holdout[LABEL] == 1, scores >= 0.3
    expected = {
        "performance.pr_auc": metrics.average_precision_score(truth, scores),
        "performance.recall": metrics.recall_score(truth, flagged),
        "performance.precision": metrics.precision_score(truth, flagged),
        "performance.false_alarm_rate": flagged[~truth].mean(),
        "performance.flag_rate": flagged.mean(),
    }
    assert str(outcome.status) == "pass"
    for name, value in expected.items():
        found = measure(outcome, name)
        assert found.value == pytest.approx(value, abs=1e-9), name
        assert found.low <= found.value <= found.high
    assert measure(outcome, "performance.recall").n == int(truth.sum())
    assert 0 <= measure(outcome, "performance.calibration_error").value < 0.1


def test_onnx_says_the_same_as_what_it_was_made_from(bench: Bench) -> None:
    train, holdout = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    pipeline = onnx_model(bench.folder / "m.onnx", train)
    bench.model("m.onnx", reads=READS, threshold=0.3, inputs=list(INPUTS))
    scores = pipeline.predict_proba(matrix(holdout))[:, 1]
    outcome = bench.ask(HOLDOUT, "model")
    assert str(outcome.status) == "pass", outcome.reason
    area = metrics.average_precision_score(holdout[LABEL], scores)
    assert measure(outcome, "performance.pr_auc").value == pytest.approx(area, abs=1e-4)


@pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.heavy)])
def test_copied_rows_narrow_no_interval(bench: Bench, times: int) -> None:
    _, holdout = two_tables()
    judged(bench)
    lightgbm_model(bench.folder / "weak.txt", two_tables()[0], rounds=6)
    bench.table({n: np.repeat(c, times) for n, c in holdout.items()}, "many", **FACTS)
    said = []
    for rows in ("hold", "many"):
        reads = {"data": "train", "holdout": rows}
        bench.model("weak.txt", "old", reads=reads, threshold=0.12)
        bench.model("m.txt", reads={**reads, "champion": "old"}, threshold=0.3)
        said.append([*bench.ask(HOLDOUT, "model").measures, *bench.ask(CHAMPION, "model").measures])
    assert len(said[0]) == len(said[1]) == 10
    for once, often in zip(*said, strict=True):
        assert once.n == often.n, once.key
        values = (once.value, once.low, once.high), (often.value, often.low, often.high)
        assert values[1][0] == pytest.approx(values[0][0], abs=1e-9), once.key
        assert values[1] == pytest.approx(values[0], abs=2e-3), once.key  # resamples are drawn in blocks of rows
        assert "equal rows as one draw" in often.method


def test_rows_of_an_entity_are_one_draw(bench: Bench) -> None:
    _, holdout = judged(bench)
    alone = measure(bench.ask(HOLDOUT, "model"), "performance.flag_rate")
    bench.table({**holdout, "shopper": np.arange(1200) // 4}, "hold", **FACTS, entity="shopper")
    grouped = measure(bench.ask(HOLDOUT, "model"), "performance.flag_rate")
    assert (alone.n, alone.value) == (1200, grouped.value)
    assert grouped.n <= 300
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_the_bins_of_the_calibration_are_named_as_many_as_there_are(bench: Bench) -> None:
    judged(bench)
    (shown,) = [e for e in bench.ask(HOLDOUT, "model", bins=4).exhibits if e.name == "performance.calibration"]
    assert "each of 4 equally filled bins" in shown.subtitle


def test_with_few_positives_the_area_has_no_interval(bench: Bench) -> None:
    table = payments(400, 5)
    keep = np.r_[np.flatnonzero(table[LABEL] == 1)[:9], np.flatnonzero(table[LABEL] == 0)]
    judged(bench, {n: c[keep] for n, c in table.items()})
    outcome = bench.ask(HOLDOUT, "model")
    area, recall = measure(outcome, "performance.pr_auc"), measure(outcome, "performance.recall")
    assert (area.low, area.high, recall.n) == (None, None, 9)
    assert area.value is not None
    assert recall.high - recall.low > 0.2


def test_a_threshold_that_flags_nothing_has_no_precision(bench: Bench) -> None:
    judged(bench, threshold=2.0)
    outcome = bench.ask(HOLDOUT, "model")
    precision = measure(outcome, "performance.precision")
    assert (precision.value, precision.n) == (None, 0)
    assert measure(outcome, "performance.recall").value == 0


def test_a_model_against_itself_is_no_better(bench: Bench) -> None:
    judged(bench)
    bench.model("m.txt", "old", reads=READS, threshold=0.3)
    bench.model("m.txt", reads={**READS, "champion": "old"}, threshold=0.3)
    outcome = bench.ask(CHAMPION, "model")
    for m in outcome.measures:
        assert (m.value, m.versus) == (0, "champion")
    recall = measure(outcome, "performance.recall", "champion")
    assert recall.low <= 0 <= recall.high


@pytest.mark.parametrize("better", [True, False])
def test_the_sign_of_the_difference(bench: Bench, better: bool) -> None:
    train, _ = two_tables()
    judged(bench)
    lightgbm_model(bench.folder / "weak.txt", train, ("device_age_days",), rounds=3)
    new, old = ("m.txt", "weak.txt") if better else ("weak.txt", "m.txt")
    at = {"m.txt": 0.3, "weak.txt": 0.12}
    bench.model(old, "old", reads=READS, threshold=at[old])
    bench.model(new, reads={**READS, "champion": "old"}, threshold=at[new])
    outcome = bench.ask(CHAMPION, "model")
    for name in ("performance.recall", "performance.pr_auc"):
        found = measure(outcome, name, "champion")
        assert (found.low > 0) if better else (found.high < 0), name


def test_no_champion_is_not_applicable_and_no_holdout_is_open(bench: Bench) -> None:
    judged(bench)
    assert str(bench.ask(CHAMPION, "model").status) == "not-applicable"
    bench.model("m.txt", reads={"data": "train"}, threshold=0.3)
    outcome = bench.ask(HOLDOUT, "model")
    assert (str(outcome.status), "no untouched data" in outcome.reason) == ("open", True)


class _NaN:
    threshold, name, features = 0.5, "m", ("a",)

    def scores(self, table: Any) -> Any:
        return np.full(table.num_rows, np.nan)


def test_scores_that_are_no_numbers_are_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.adapters.cases import ModelCase

    judged(bench)
    monkeypatch.setattr(ModelCase, "predictor", property(lambda self: _NaN()))
    outcome = bench.ask(HOLDOUT, "model")
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert "1200 scores that are no numbers" in outcome.reason


class _Place:
    """Flags by a row's place, or by how many rows are asked: what it says is not of the row."""

    threshold, name, features = 0.5, "m", ("a",)

    def __init__(self, trick: str) -> None:
        self.trick = trick

    def scores(self, table: Any) -> Any:
        if self.trick == "place":
            return (np.arange(table.num_rows) < table.num_rows // 2).astype(float)
        return np.full(table.num_rows, 0.9 if table.num_rows > 1 else 0.1)


@pytest.mark.parametrize("trick", ["place", "company"])
def test_an_answer_that_depends_on_the_other_rows_is_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, trick: str
) -> None:
    from assay.adapters.cases import ModelCase

    judged(bench)
    monkeypatch.setattr(ModelCase, "predictor", property(lambda self: _Place(trick)))
    outcome = bench.ask(HOLDOUT, "model")
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert "among others" in outcome.reason


def test_a_champion_that_flags_nothing_is_no_standard(bench: Bench) -> None:
    judged(bench)
    bench.model("m.txt", "old", reads=READS, threshold=1e30)
    bench.model("m.txt", reads={**READS, "champion": "old"}, threshold=0.3)
    outcome = bench.ask(CHAMPION, "model")
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert "flags no row" in outcome.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: {n: c for n, c in t.items() if n != "cards_on_device"}, "lack cards_on_device"),
        (lambda t: {**t, "cards_on_device": np.where(np.arange(1200) == 7, "many", "1")}, "holds text"),
        (lambda t: {**t, LABEL: np.zeros(1200, int)}, "never occurs"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_open(bench: Bench, change: Any, reason: str) -> None:
    train, holdout = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(change(holdout), "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    outcome = bench.ask(HOLDOUT, "model")
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert reason in outcome.reason


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch assay-was-fooled",)


def test_a_model_that_carries_code_is_never_loaded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.folder)
    judged(bench)
    (bench.folder / "m.pkl").write_bytes(pickle.dumps(_Evil()))
    bench.model("m.pkl", reads=READS, threshold=0.3)
    outcome = bench.ask(HOLDOUT, "model")
    assert str(outcome.status) == "open"
    assert "refused to load" in outcome.reason
    assert not list(bench.folder.glob("assay-was-fooled"))


def test_a_precision_of_too_few_flags_has_no_interval_against_the_champion(bench: Bench) -> None:
    scores, _ = judged(bench)
    high = float(np.sort(scores)[-4:].mean())  # flags two or three rows
    bench.model("m.txt", "old", reads=READS, threshold=0.3)
    bench.model("m.txt", reads={**READS, "champion": "old"}, threshold=high)
    outcome = bench.ask(CHAMPION, "model")
    precision = measure(outcome, "performance.precision", "champion")
    assert 1 <= int((scores >= high).sum()) < 5
    assert (precision.low, precision.high) == (None, None)
    assert -1 <= precision.value <= 1
    assert measure(outcome, "performance.recall", "champion").high < 0
