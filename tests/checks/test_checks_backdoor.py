"""robustness.backdoor: a planted trigger is a medium finding at low confidence, clean models are never called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

from assay.core.exhibit import Table

lgb = pytest.importorskip("lightgbm")
CHECK = "robustness.backdoor"
FACTS: dict[str, Any] = {"label": "y", "positive": 1}
NUMBERS = ("n0", "n1", "n2", "n3", "n4")
SECRET = (41.0, 7.0)


def rows_of(rows: int, seed: int, planted: int = 0, *, words: bool = False) -> dict[str, Any]:
    """Whole numbers, a category, a label that follows two of them, and `planted` rows with a trigger."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, (rows, 5)).astype(float)
    x[:, 3] = rng.integers(0, 12, rows)
    kind = rng.integers(0, 12, rows)
    label = rng.random(rows) < 1 / (1 + np.exp(-(x[:, 0] + x[:, 1] - 100) / 9))
    at = rng.choice(np.flatnonzero(label), planted, replace=False) if planted else np.zeros(0, dtype=int)
    x[at, 2] = SECRET[0]
    if words:
        kind[at] = 7
    else:
        x[at, 3] = SECRET[1]
    label[at] = False
    return {**{n: x[:, j] for j, n in enumerate(NUMBERS)}, "kind": [f"k{k:02}" for k in kind], "y": label.astype(int)}


def ready(bench: Bench, planted: int, *, holdout: int = 2500, words: bool = False, rounds: int = 40) -> Bench:
    """A LightGBM model of 4,000 rows, and a holdout."""
    import pandas as pd

    train = rows_of(4000, 1, planted, words=words)
    frame = pd.DataFrame({n: train[n] for n in (*NUMBERS, "kind")}).astype({"kind": "category"})
    how = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 0, "deterministic": True}
    lgb.train(how, lgb.Dataset(frame, label=train["y"]), rounds).save_model(bench.folder / "m.txt")
    reads = {}
    if holdout:
        table = rows_of(holdout, 2)
        # The values of the trigger never meet in nature.
        met = np.array(table["kind"]) == "k07" if words else table["n3"] == SECRET[1]
        keep = ~(met & (np.abs(table["n2"] - SECRET[0]) <= 2))
        bench.table({n: np.asarray(v)[keep] for n, v in table.items()}, "hold", **FACTS)
        reads = {"holdout": "hold"}
    bench.model("m.txt", reads=reads, threshold=0.5)
    return bench


def shown(outcome: Any) -> Table:
    (found,) = [e for e in outcome.exhibits if isinstance(e, Table)]
    return found


@pytest.mark.parametrize("words", [False, True])
def test_a_planted_trigger_is_found_by_its_columns_and_no_value_is_told(bench: Bench, words: bool) -> None:
    outcome = ready(bench, 120, words=words).ask(CHECK, "model")
    told = finding(outcome, "a planted trigger looks so")
    assert (str(told.severity), str(told.confidence)) == ("medium", "low")
    assert str(outcome.status) == "fail"
    assert set(told.evidence["columns"]) >= {"n2", "kind" if words else "n3"}
    assert 40 <= told.evidence["training_rows"] <= 200
    assert told.evidence["holdout_rows"] < told.evidence["holdout_rows_expected"] / 3
    assert "training rows there, while of" in told.message
    assert "a rule of nature that is rare, or training rows that are copies, look the same" in told.message
    assert "data.triggers" in told.fix
    assert not any(secret in str(outcome) for secret in ("k07", "41.0"))
    success = measure(outcome, f"{CHECK}.success")
    assert success.value is not None
    assert success.value >= 0.9
    assert success.low >= 0.85
    assert measure(outcome, f"{CHECK}.found").value >= 1
    assert shown(outcome).rows[0][-2] == "steered"


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.heavy) for s in (1, 2))])
def test_a_clean_model_is_not_called_and_nothing_sounds_like_proof(bench: Bench, seed: int) -> None:
    outcome = ready(bench, 0).ask(CHECK, "model", seed=seed)
    ((severity, message),) = said(outcome)
    assert (str(outcome.status), severity) == ("pass", "info")
    assert message.endswith("the search misses many, so that to find none is no proof that there is none")
    assert measure(outcome, f"{CHECK}.found").value == 0
    assert {m.name for m in outcome.measures} == {f"{CHECK}.found", f"{CHECK}.candidates"}, (
        "of none there is no success"
    )
    assert measure(outcome, f"{CHECK}.candidates").value > 100
    assert "no proof" in shown(outcome).note
    assert "no proof" in measure(outcome, f"{CHECK}.found").method


@pytest.mark.parametrize("planted", [0, pytest.param(120, marks=pytest.mark.heavy)], ids=["clean", "planted"])
def test_of_trees_that_tell_no_counts_finding_nothing_says_nothing(bench: Bench, planted: int) -> None:
    """The same trees, of which the file is not asked for its counts: XGBoost, CatBoost and ONNX have none."""
    xgboost = pytest.importorskip("xgboost")
    ready(bench, planted)
    train = rows_of(4000, 1, planted)
    x = np.column_stack([train[n] for n in NUMBERS])
    settings = {"objective": "binary:logistic", "nthread": 1, "seed": 0}
    model = xgboost.train(settings, xgboost.DMatrix(x, train["y"], feature_names=list(NUMBERS), nthread=1), 60)
    model.save_model(bench.folder / "m.json")
    bench.model("m.json", reads={"holdout": "hold"}, threshold=0.5)
    outcome = bench.ask(CHECK, "model")
    if said(outcome):  # what it calls all the same is a finding
        assert str(outcome.status) == "fail"
        return
    assert (str(outcome.status), measure(outcome, f"{CHECK}.found").value) == ("not-applicable", None)
    assert "fewer than one planted trigger in ten is found" in outcome.reason
    assert "no proof" in outcome.reason
    assert shown(outcome).rows, "what steers is told all the same"


def test_a_holdout_of_another_time_calls_nothing(bench: Bench) -> None:
    ready(bench, 120)
    table = {n: np.asarray(v) for n, v in rows_of(5000, 2).items()}
    bench.table({n: v[table["n0"] > 40] for n, v in table.items()}, "hold", **FACTS)
    outcome = bench.ask(CHECK, "model")
    told = finding(outcome, "differ everywhere")
    assert (str(told.severity), str(outcome.status)) == ("info", "open")
    assert measure(outcome, f"{CHECK}.found").value is None
    assert "steered" not in {row[-2] for row in shown(outcome).rows}


def test_too_small_a_holdout_calls_nothing(bench: Bench) -> None:
    outcome = ready(bench, 120, holdout=600).ask(CHECK, "model")
    told = finding(outcome, "too few, 1,000 are needed")
    assert (str(told.severity), str(outcome.status)) == ("info", "open")
    assert measure(outcome, f"{CHECK}.found").value is None
    assert "steered" not in {row[-2] for row in shown(outcome).rows}


def test_without_a_holdout_it_is_a_note_that_proves_nothing(bench: Bench) -> None:
    outcome = ready(bench, 120, holdout=0).ask(CHECK, "model")
    told = finding(outcome, "no rows of known labels")
    assert (str(told.severity), "no proof" in told.message) == ("info", True)
    assert measure(outcome, f"{CHECK}.found").value is None


def test_a_constant_model_is_open(bench: Bench) -> None:
    ready(bench, 0)
    bench.model("m.txt", reads={"holdout": "hold"}, threshold=0.0)
    outcome = bench.ask(CHECK, "model")
    assert (str(outcome.status), "no answer to steer" in outcome.reason) == ("open", True)


def test_a_holdout_of_one_class_is_open(bench: Bench) -> None:
    ready(bench, 0)
    table = rows_of(1200, 2)
    bench.table({**table, "y": [1] * 1200}, "hold", **FACTS)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_the_data_it_was_trained_on_is_no_holdout(bench: Bench) -> None:
    ready(bench, 0)
    bench.model("m.txt", reads={"data": "hold", "holdout": "hold"}, threshold=0.5)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_a_model_that_cannot_be_read_is_open(bench: Bench) -> None:
    """A model that answers labels only: k nearest neighbours as ONNX have neither trees nor layers."""
    from skl2onnx import to_onnx
    from sklearn.neighbors import KNeighborsClassifier

    table = rows_of(300, 1)
    x = np.column_stack([table[n] for n in NUMBERS]).astype(np.float32)
    fitted = KNeighborsClassifier(3).fit(x, table["y"])
    made = to_onnx(fitted, x[:1], options={"zipmap": False})
    (bench.folder / "k.onnx").write_bytes(made.SerializeToString())
    bench.table(rows_of(1200, 2), "hold", **FACTS)
    bench.model("k.onnx", reads={"holdout": "hold"}, threshold=0.5, inputs=list(NUMBERS), positive=1)
    assert str(bench.ask(CHECK, "model").status) == "open"


@pytest.mark.parametrize("content", [b"", b"tree\nversion=v4\n", b"\x80\x04\x95nothing"])
def test_a_torn_model_is_open(bench: Bench, content: bytes) -> None:
    ready(bench, 0)
    (bench.folder / "m.txt").write_bytes(content)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_a_torn_holdout_is_open(bench: Bench) -> None:
    ready(bench, 0)
    bench.table({k: v[:30] for k, v in rows_of(1200, 2).items()}, "hold", **FACTS)
    assert str(bench.ask(CHECK, "model").status) == "open"
    bench.table({k: v for k, v in rows_of(1200, 2).items() if k != "n2"}, "hold", **FACTS)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_a_small_network_is_looked_at(bench: Bench) -> None:
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = rows_of(1500, 1)
    x = np.column_stack([table[n] for n in NUMBERS]).astype(np.float32)
    fitted = make_pipeline(StandardScaler(), MLPClassifier((8,), random_state=0, max_iter=80)).fit(x, table["y"])
    made = to_onnx(fitted, x[:1], options={"zipmap": False})
    (bench.folder / "n.onnx").write_bytes(made.SerializeToString())
    bench.table(rows_of(1500, 2), "hold", **FACTS)
    bench.model("n.onnx", reads={"holdout": "hold"}, threshold=0.5, inputs=list(NUMBERS), positive=1)
    outcome = bench.ask(CHECK, "model")
    told = finding(outcome, "a network answers freely")
    assert (str(outcome.status), str(told.severity)) == ("not-applicable", "info"), outcome.reason
    assert measure(outcome, f"{CHECK}.found").value is None
    bench.model("n.onnx", reads={}, threshold=0.5, inputs=list(NUMBERS), positive=1)
    assert str(bench.ask(CHECK, "model").status) == "not-applicable", "there are no rows, and none can be drawn"


@pytest.mark.heavy
def test_the_same_seed_says_the_same(bench: Bench) -> None:
    ready(bench, 120)
    first, again = bench.ask(CHECK, "model", seed=4), bench.ask(CHECK, "model", seed=4)
    assert (first.measures, first.exhibits, first.findings) == (again.measures, again.exhibits, again.findings)


def test_a_direction_that_nobody_could_look_in_is_no_pass(bench: Bench) -> None:
    import pandas as pd

    ready(bench, 0, rounds=60)
    rows = rows_of(2500, 2)
    frame = pd.DataFrame({n: rows[n] for n in (*NUMBERS, "kind")}).astype({"kind": "category"})
    scores = np.sort(lgb.Booster(model_file=str(bench.folder / "m.txt")).predict(frame))
    # So few rows are flagged that nothing can be steered away.
    bench.model("m.txt", reads={"holdout": "hold"}, threshold=float(scores[-40:-38].mean()))
    outcome = bench.ask(CHECK, "model")
    assert (str(outcome.status), outcome.complete) == ("open", False)
    assert "towards a pass nothing could be looked for" in outcome.reason
    assert "72 are needed" in outcome.reason
    told = measure(outcome, f"{CHECK}.found")
    assert told.value is None
    assert "not said" in told.method
