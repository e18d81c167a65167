"""robustness.availability: a planted slow row is found, a usual model is not, without a promise nothing is asked."""

from __future__ import annotations

import csv
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from checks_models import FACTS, lightgbm_model, two_tables
from checks_tools import Bench, finding, measure, said

from assay.core.errors import CouldNotLook

pa = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")
CHECK = "robustness.availability"
READS = {"data": "train", "holdout": "hold"}
NAP = 0.008


class Model:
    """Sleeps on some rows, refuses others, dies of others."""

    threshold, features, classes, kind, access, queries = 0.5, ("a", "b", "w"), (0, 1), "", "score", 0

    def __init__(self, slow: Any = None, refuses: Any = None, kills: Any = None) -> None:
        self._slow, self._refuses, self._kills, self._dead = slow, refuses, kills, False

    undisturbed = staticmethod(nullcontext)

    def scores(self, rows: Any) -> Any:
        for row in rows.to_pylist():
            self._dead = self._dead or bool(self._kills and self._kills(row))
            if self._dead or (self._refuses and self._refuses(row)):
                raise CouldNotLook("refused")
            if self._slow and self._slow(row):
                time.sleep(NAP)
        return np.zeros(rows.num_rows)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold


@pytest.fixture
def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    from assay.adapters.cases import ModelCase

    def ask(model: Any, latency: Any = 4.0, **parameters: Any) -> Any:
        monkeypatch.setattr(ModelCase, "predictor", property(lambda self: model))
        (bench.folder / "m.txt").write_bytes(b"tree\n")
        rng = np.random.default_rng(0)
        for name in READS.values():
            a, b = rng.uniform(0, 10, 80).round(4), rng.integers(1, 5, 80)
            w = np.array(["red", "blue"])[rng.integers(0, 2, 80)]
            bench.table({"a": a, "b": b, "w": w, "y": b % 2}, name, label="y", positive=1)
        bench.model("m.txt", reads=READS, threshold=0.5, **({} if latency is None else {"latency": latency}))
        return bench.ask(CHECK, "model", repeats=10, **parameters)

    return ask


@pytest.mark.parametrize(
    ("slow", "inputs"),
    [
        (lambda row: row["a"] is None and row["w"] == "", ["a", "w"]),
        (lambda row: row["w"] is not None and len(row["w"]) > 1000, ["w"]),
    ],
    ids=["combination", "long-word"],
)
def test_a_planted_slow_row_is_found(asked: Any, slow: Any, inputs: list[str]) -> None:
    outcome = asked(Model(slow))
    found = finding(outcome, "promised are 4")
    assert (str(outcome.status), str(found.severity)) == ("fail", "medium")
    assert found.evidence["inputs"] == inputs
    slowest = measure(outcome, f"{CHECK}.slowest")
    assert slowest.low >= NAP * 1000, "a sleep is never shorter"
    assert slowest.low <= slowest.value <= slowest.high
    assert measure(outcome, f"{CHECK}.ratio").value > 1


def test_usual_rows_that_are_late_are_not_blamed_on_an_input(asked: Any) -> None:
    found = finding(asked(Model(lambda row: True), seconds=0.5), "usual rows do")
    assert (found.key, found.evidence["inputs"]) == ("usual", [])


def test_a_row_of_the_holdout_that_is_late_is_found_though_no_move_makes_it(asked: Any, bench: Bench) -> None:
    """It is slow beside its own word alone: no move of one input, nor a mixture, is known to lead there."""
    asked(Model(), latency=60_000, seconds=0.5)
    late = list(csv.DictReader((bench.folder / "hold.csv").read_text().splitlines()))[57]
    outcome = asked(Model(lambda row: row["a"] == float(late["a"]) and row["w"] == late["w"]))
    assert (str(outcome.status), measure(outcome, f"{CHECK}.slowest").low >= NAP * 1000) == ("fail", True)
    assert measure(outcome, f"{CHECK}.usual").high < NAP * 1000


def test_nothing_is_asked_beside_what_is_timed() -> None:
    from assay.adapters.again import LOCAL
    from assay.adapters.predictor_base import BasePredictor

    asked: list[int] = []

    class One(BasePredictor):
        features, rate = ("a",), LOCAL

        def _score(self, rows: Any) -> Any:
            asked.append(rows.num_rows)
            return np.zeros(rows.num_rows)

    model, row = One("m"), pa.table({"a": [1.0]})
    with model.undisturbed():
        for _ in range(20):
            model.scores(row)
    assert asked == [1] * 20
    for _ in range(20):
        model.scores(row)
    assert len(asked) > 40


def test_a_promise_that_is_kept_is_no_finding(asked: Any) -> None:
    outcome = asked(Model(), latency=60_000)
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    assert measure(outcome, f"{CHECK}.slowest").value > 0
    assert measure(outcome, f"{CHECK}.refused_share").value == 0


def test_the_promise_is_shown_beside_what_was_measured(asked: Any) -> None:
    for nap, word in ((lambda row: True, "breaks"), (None, "keeps")):
        outcome = asked(Model(nap), latency=4.0 if nap else 5000.0, seconds=0.5)
        picture = next(e for e in outcome.exhibits if e.name == CHECK)
        assert picture.reference == (4.0 if nap else 5000.0)
        assert picture.title.startswith(f"The slowest row found {word} the promise of ")
        assert [r.measure for r in picture.rows] == [f"{CHECK}.slowest", f"{CHECK}.usual"]
        assert "promised: " in measure(outcome, f"{CHECK}.slowest").method


def test_the_contract_binds_the_search(bench: Bench, asked: Any) -> None:
    bench.features(a={"min": 0, "max": 10, "nullable": False}, b={"mutable": False}, w={"categories": ["red", "blue"]})
    outcome = asked(Model(lambda row: row["a"] is None or row["w"] == "" or row["b"] not in range(1, 5)))
    assert not [f for f in outcome.findings if f.key == "late" and f.evidence["inputs"]], said(outcome)


def test_a_permitted_row_that_is_refused_is_a_low_finding(bench: Bench, asked: Any) -> None:
    refuses = Model(refuses=lambda row: row["a"] is None)
    assert str(asked(refuses, latency=60_000).status) == "pass", "nobody permitted it"
    bench.features(a={}, b={}, w={})
    found = finding(asked(refuses, latency=60_000), "refuses rows that `features:` permits")
    assert (str(found.severity), found.evidence["inputs"]) == ("low", ["a"])


def test_a_row_that_ends_the_model_is_a_high_finding(asked: Any) -> None:
    outcome = asked(Model(kills=lambda row: row["a"] == float("inf")))
    assert str(finding(outcome, "answers nothing any more").severity) == "high"
    assert not outcome.complete


@pytest.mark.parametrize(
    ("latency", "status"), [(None, "not-applicable"), ("soon", "open"), (-1, "open"), (True, "open")]
)
def test_without_a_promise_no_clock_is_read(asked: Any, latency: Any, status: str) -> None:
    outcome = asked(Model(), latency=latency)
    assert (str(outcome.status), outcome.measures) == (status, ())


def test_a_served_model_whose_answers_are_kept_is_not_timed(asked: Any) -> None:
    served = Model()
    served.kind = "endpoint"
    outcome = asked(served)
    assert (str(outcome.status), outcome.measures) == ("open", ())


def test_a_model_that_refuses_everything_is_open(asked: Any) -> None:
    outcome = asked(Model(refuses=lambda row: True))
    assert (str(outcome.status), outcome.measures) == ("open", ())


def test_a_real_model_is_asked_and_a_torn_one_is_open(bench: Bench) -> None:
    train, hold = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3, latency=60_000.0)
    outcome = bench.ask(CHECK, "model", seconds=2, repeats=10)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    (bench.folder / "m.txt").write_bytes(b"tree\nversion=v4\nnum_class=1\n")
    assert str(bench.ask(CHECK, "model").status) == "open"
