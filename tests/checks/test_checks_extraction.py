"""theft.extraction: a model that can be copied is told with its price, one that says nothing is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, onnx_model, two_tables
from checks_tools import Bench, measure

from assay.checks.theft.extraction import severity_of
from assay.core.exhibit import Curve, Table
from assay.core.finding import Outcome

np = pytest.importorskip("numpy")
pytest.importorskip("lightgbm")
CHECK = "theft.extraction"
READS = {"data": "train", "holdout": "hold"}
FEW: dict[str, Any] = {"queries": 120, "runs": 1, "rows": 400}
FREE = {n: {"min": 0, "integer": True} for n in INPUTS}


@pytest.fixture
def tables(bench: Bench) -> Bench:
    train, holdout = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    return bench


@pytest.fixture
def model(tables: Bench) -> Bench:
    lightgbm_model(tables.folder / "m.txt", two_tables()[0])
    tables.model("m.txt", reads=READS, threshold=0.3)
    return tables


def table(outcome: Outcome, name: str) -> Table:
    (found,) = [e for e in outcome.exhibits if isinstance(e, Table) and e.name == f"{CHECK}.{name}"]
    return found


def test_trees_are_copied_and_the_baseline_stands_beside(model: Bench) -> None:
    model.features(**FREE)
    outcome = model.ask(CHECK, "model", **FEW, price=0.01)
    f1, floor = measure(outcome, f"{CHECK}.f1"), measure(outcome, f"{CHECK}.f1_baseline")
    assert [str(f.severity) for f in outcome.findings] == ["medium"]
    assert f1.low > floor.value
    assert measure(outcome, f"{CHECK}.fidelity").value > measure(outcome, f"{CHECK}.fidelity_baseline").value > 0.8
    needed, price = measure(outcome, f"{CHECK}.queries_needed"), measure(outcome, f"{CHECK}.price")
    assert price.value == pytest.approx(0.01 * needed.value)
    assert measure(outcome, f"{CHECK}.transfer_evasion").n > 0
    assert 0.8 < measure(outcome, f"{CHECK}.auc_ratio").value < 1.2
    curves = [e for e in outcome.exhibits if isinstance(e, Curve)]
    assert [c.measure for c in curves] == [f"{CHECK}.f1", f"{CHECK}.mcc"]
    assert all(c.series[-1].name == "best constant answer" for c in curves)
    assert {row[0] for row in table(outcome, "points").rows} == {"random", "marginal", "active", "best constant"}
    names = [row[0] for row in table(outcome, "defences").rows]
    assert {"full scores", "scores at 2 decimals", "scores at 1 decimal", "only the decision"} <= set(names)


def test_a_linear_model_is_solved(tables: Bench) -> None:
    onnx_model(tables.folder / "m.onnx", two_tables()[0])
    tables.model("m.onnx", reads=READS, threshold=0.3, inputs=list(INPUTS))
    outcome = tables.ask(CHECK, "model", **FEW)
    assert [row for row in table(outcome, "points").rows if row[0] == "equations"], table(outcome, "points")
    assert measure(outcome, f"{CHECK}.f1").value > 0.97
    assert outcome.findings
    defences = {row[0] for row in table(outcome, "defences").rows}
    assert "full scores, solved" in defences
    assert "scores at 1 decimal, solved" not in defences


@pytest.mark.parametrize(
    ("queries", "money", "worth", "severity"),
    [
        (1000, None, None, "medium"),
        (1001, None, 5.0, "low"),
        (20_000, 0.99, 100.0, "high"),
        (50, 1.0, 100.0, "medium"),
        (50, 10.0, 100.0, "low"),
        (50, 100.0, 100.0, "info"),
    ],
)
def test_severity_is_by_cost(queries: int, money: float | None, worth: float | None, severity: str) -> None:
    assert str(severity_of(queries, money, worth)) == severity


def test_transfer_is_not_asked_without_a_contract_and_one_seed_gives_one_answer(model: Bench) -> None:
    outcome, again = (model.ask(CHECK, "model", queries=40, runs=1, seed=5) for _ in range(2))
    assert outcome == again
    moved = measure(outcome, f"{CHECK}.transfer_evasion")
    assert (moved.value, "not asked: `features:` says nothing of 4 of 4 inputs" in moved.method) == (None, True)
    assert "Transfer was not asked" in table(outcome, "points").note


def test_where_the_rows_are_too_few_to_tell_it_is_open_and_the_measures_stay(model: Bench) -> None:
    asked: dict[str, Any] = {"queries": 40, "runs": 1, "seed": 5}
    mcc = measure(model.ask(CHECK, "model", **asked), f"{CHECK}.mcc")
    outcome = model.ask(CHECK, "model", **asked, good=mcc.value)
    assert (str(outcome.status), outcome.findings) == ("open", ())
    assert f"an MCC of {mcc.value:.2f} [{mcc.low:.2f}, {mcc.high:.2f}], good is" in outcome.reason
    assert measure(outcome, f"{CHECK}.mcc") == mcc
    assert measure(outcome, f"{CHECK}.queries_needed").value is None
    assert str(model.ask(CHECK, "model", **asked, good=0.999).status) == "pass"


@pytest.mark.parametrize("threshold", [-1.0, 0.9999], ids=["flags all", "flags none"])
def test_a_constant_decision_is_open(model: Bench, threshold: float) -> None:
    model.model("m.txt", reads=READS, threshold=threshold)
    outcome = model.ask(CHECK, "model", **FEW)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert "to tell a copy from a constant answer" in outcome.reason


def test_without_a_holdout_it_does_not_apply(model: Bench) -> None:
    model.model("m.txt", reads={"data": "train"}, threshold=0.3)
    outcome = model.ask(CHECK, "model")
    why = "model declares no holdout; add `holdout:` to it in assay.yaml"
    assert (str(outcome.status), outcome.reason) == ("not-applicable", why)


def test_labels_are_not_needed(model: Bench) -> None:
    model.table(two_tables()[1], "hold", drop=FACTS["drop"])
    outcome = model.ask(CHECK, "model", queries=40, runs=1, rows=400)
    assert measure(outcome, f"{CHECK}.auc_ratio").value is None
    assert measure(outcome, f"{CHECK}.f1").value > 0


def test_a_torn_model_is_open(tables: Bench, tmp_path: Path) -> None:
    (tables.folder / "m.txt").write_bytes(b"tree\nversion=v4\n")
    tables.model("m.txt", reads=READS, threshold=0.3)
    outcome = tables.ask(CHECK, "model", **FEW)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert outcome.reason
