"""robustness.corruption: known harm is measured, a null that the data hold must be answered, damage is no surprise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, two_tables
from checks_tools import Bench, finding, measure, said

from assay.core.errors import CouldNotLook

pytest.importorskip("lightgbm")
CHECK = "robustness.corruption"
READS = {"data": "train", "holdout": "hold"}


class Told:
    """A model of one input: flagged from 5 on; what `refuses` says of a batch's column is refused."""

    threshold, features, classes, kind, access, queries = 0.5, ("x",), (0, 1), "", "score", 0

    def __init__(self, refuses: Any = None, nothing: float = 0.0) -> None:
        self._refuses, self._nothing = refuses, nothing

    def scores(self, rows: Any) -> Any:
        column = rows.column("x")
        if self._refuses is not None and np.asarray(self._refuses(column)).any():
            raise CouldNotLook("refused")
        x = np.array([np.nan if v is None else v for v in column.to_pylist()], dtype=float)
        return np.where(np.isnan(x), self._nothing, x >= 5).astype(float)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold


@pytest.fixture
def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    from assay.adapters.cases import ModelCase

    def ask(model: Any, rows: int = 600, nulls: int = 0, **parameters: Any) -> Any:
        monkeypatch.setattr(ModelCase, "predictor", property(lambda self: model))
        (bench.folder / "m.txt").write_bytes(b"tree\n")
        for name, seed in (("train", 1), ("hold", 2)):
            x: list[Any] = np.random.default_rng(seed).uniform(0, 10, rows).round(6).tolist()
            y = [int(v >= 5) for v in x]
            if name == "train":
                x[:nulls] = [None] * nulls
            bench.table({"x": x, "y": y}, name, label="y", positive=1)
        bench.model("m.txt", reads=READS, threshold=0.5)
        return bench.ask(CHECK, "model", **parameters)

    return ask


def test_a_known_unit_error_is_measured(asked: Any) -> None:
    """Half of the rows lie below 5; × 1000 flags nine in ten of those and more, so that nearly half change."""
    outcome = asked(Told())
    assert str(outcome.status) == "pass", outcome.reason
    assert {s for s, _ in said(outcome)} == {"info"}
    unit = finding(outcome, "unit error")
    assert "x ÷ " in unit.message or "x × " in unit.message
    (table,) = [e for e in outcome.exhibits if e.name == CHECK]
    lines = {row[0]: row for row in table.rows}
    tenfold = float(lines["× 10"][3].rstrip("%")) / 100
    assert abs(tenfold - 0.45) < 0.07, "0.5 to 5 of 0 to 10"
    assert (lines["÷ 100"][5], lines["÷ 100"][6]) == ("0.0%", "0.0%")
    assert lines["missing"][5] == "0.0%"
    assert lines["far above the data"][6] == "100.0%"
    worst = measure(outcome, f"{CHECK}.recall_worst")
    assert worst.value == 0
    assert worst.high < 0.05
    assert measure(outcome, f"{CHECK}.false_alarm_rate_worst").value == 1
    drawn = measure(outcome, f"{CHECK}.changed_share")
    assert 0 < drawn.low < drawn.value < drawn.high < measure(outcome, f"{CHECK}.changed_share_worst").value + 0.3
    assert measure(outcome, f"{CHECK}.refused_share").value == 0
    assert measure(outcome, f"{CHECK}.range_refused_share").value == 0, "it takes the impossible in silence"


def test_a_model_that_refuses_the_impossible_is_told_apart(asked: Any) -> None:
    def impossible(column: Any) -> Any:
        return [v is not None and not 0 <= v <= 10 for v in column.to_pylist()]

    outcome = asked(Told(impossible))
    assert str(outcome.status) == "pass", said(outcome)
    refused = measure(outcome, f"{CHECK}.range_refused_share")
    assert refused.value > 0.6, "all but zero, which lies inside"
    assert measure(outcome, f"{CHECK}.missing_refused_share").value == 0
    (table,) = [e for e in outcome.exhibits if e.name == CHECK]
    lines = {row[0]: row for row in table.rows}
    assert lines["far above the data"][2:7] == ("100.0%", "", "", "", "")
    assert 0.5 < float(lines["× 10"][2].rstrip("%")) / 100 <= 1, "of those told apart"


@pytest.mark.parametrize(("nulls", "status"), [(0, "pass"), (30, "fail")], ids=["never-missing", "missing-in-training"])
def test_a_refused_null_is_a_defect_where_the_data_hold_nulls(asked: Any, nulls: int, status: str) -> None:
    outcome = asked(Told(lambda column: column.is_null()), nulls=nulls)
    assert str(outcome.status) == status, said(outcome)
    assert measure(outcome, f"{CHECK}.missing_refused_share").value == 1
    if nulls:
        found = finding(outcome, "refuses a missing x")
        assert (str(found.severity), found.evidence["missing"], found.location.column) == ("medium", 30, "x")


def test_rows_refused_as_they_are_are_a_defect(asked: Any) -> None:
    outcome = asked(Told(lambda column: [v is not None and 4.9 < v < 5.0 for v in column.to_pylist()]))
    found = finding(outcome, "as they are, undamaged")
    assert (str(outcome.status), str(found.severity)) == ("fail", "medium")
    assert 0 < found.evidence["refused"] < 20


def test_a_model_that_looks_at_nothing_is_not_harmed(asked: Any) -> None:
    class Constant(Told):
        def scores(self, rows: Any) -> Any:
            return np.ones(rows.num_rows)

    outcome = asked(Constant())
    assert (str(outcome.status), outcome.findings) == ("pass", ())
    worst = measure(outcome, f"{CHECK}.changed_share_worst")
    assert worst.value == 0
    assert 0 < worst.high < 0.02, "nothing seen is not nothing"


def test_what_cannot_be_asked_is_open_or_does_not_apply(bench: Bench, asked: Any) -> None:
    assert str(asked(Told(lambda column: [True])).status) == "open"
    outcome = asked(Told(), rows=12)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    bench.model("m.txt", reads={"data": "train"}, threshold=0.5)
    assert str(bench.ask(CHECK, "model").status) == "not-applicable"
    bench.table("x,y\n1,0\n", "hold", label="y", positive=1)
    bench.model("m.txt", reads=READS, threshold=0.5)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_a_torn_model_is_open(bench: Bench) -> None:
    train, hold = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    (bench.folder / "m.txt").write_bytes(b"tree\nversion=v4\nnum_class=1\n")
    bench.model("m.txt", reads=READS, threshold=0.3)
    assert str(bench.ask(CHECK, "model").status) == "open"


def test_a_real_model_one_seed_one_answer_and_no_cell_is_shown(bench: Bench) -> None:
    train, hold = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    first, again, other = (bench.ask(CHECK, "model", rows=200, seed=s) for s in (3, 3, 4))
    assert first == again
    assert first.measures != other.measures
    assert str(first.status) == "pass", said(first)
    (table,) = [e for e in first.exhibits if e.name == CHECK]
    assert {row[1] for row in table.rows} <= set(INPUTS)
    for found in first.measures:
        assert found.low <= found.value <= found.high
        assert found.n >= 10
