"""The privacy checks: deep models leak and remember, coarse ones do not, and what cannot be said is not said."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from checks_tools import Bench, finding, measure

from assay.adapters import sandbox_kernel
from assay.core.exhibit import Curve, Intervals

np = pytest.importorskip("numpy")
lgb = pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")

isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")
MEMBERSHIP, MEMORY, PROOF = "privacy.membership", "privacy.memorisation", "privacy.dp-accounting"
WIDE = 5
FACTS: dict[str, Any] = {"label": "y", "positive": 1}
READS = {"data": "train", "holdout": "hold"}
Columns = dict[str, list[Any]]


def drawn(seed: int, n: int = 1100, shift: float = 0.0) -> Columns:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, WIDE)) + shift
    y = (x[:, 0] + 0.7 * rng.normal(size=n) > shift).astype(int)
    return {**{f"x{i}": x[:, i].tolist() for i in range(WIDE)}, "y": y.tolist()}


def joined(*tables: Columns) -> Columns:
    return {name: [v for t in tables for v in t[name]] for name in tables[0]}


def part(table: Columns, rows: slice) -> Columns:
    return {name: values[rows] for name, values in table.items()}


def matrix(table: Columns) -> Any:
    return np.column_stack([table[f"x{i}"] for i in range(WIDE)])


def posed(bench: Bench, train: Columns, hold: Columns, leaf: int = 1, rounds: int = 60) -> Bench:
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    parameters = {
        "objective": "binary", "num_leaves": 200 if leaf == 1 else 4, "min_data_in_leaf": leaf, "learning_rate": 0.3,
        "min_sum_hessian_in_leaf": 1e-6, "verbose": -1, "num_threads": 1, "deterministic": True, "seed": 1,
    }  # fmt: skip
    data = lgb.Dataset(matrix(train), label=train["y"], feature_name=[f"x{i}" for i in range(WIDE)])
    lgb.train(parameters, data, num_boost_round=rounds if leaf == 1 else 5).save_model(bench.folder / "m.txt")
    bench.model("m.txt", reads=READS)
    return bench


@pytest.fixture(scope="module")
def tables() -> tuple[Columns, Columns]:
    return drawn(1), drawn(2)


@pytest.fixture
def leaky(bench: Bench, tables: tuple[Columns, Columns]) -> Bench:
    return posed(bench, *tables)


@pytest.fixture
def coarse(bench: Bench, tables: tuple[Columns, Columns]) -> Bench:
    return posed(bench, *tables, leaf=150)


def test_a_model_that_overfits_leaks(leaky: Bench) -> None:
    outcome = leaky.ask(MEMBERSHIP, "model")
    rate = measure(outcome, "privacy.membership.rmia_tpr_at_1pct_fpr")
    null = measure(outcome, "privacy.membership.null_auc")
    assert str(outcome.status) == "fail"
    assert finding(outcome, "can be told from rows that the model never saw").evidence["tpr"] == rate.value
    assert rate.low > 0.02
    assert null.low < 0.5 < null.high
    assert measure(outcome, "privacy.membership.rmia_auc").low > 0.65
    assert measure(outcome, "privacy.membership.rmia_tpr_at_01pct_fpr").value is None
    assert "10000 needed" in measure(outcome, "privacy.membership.rmia_tpr_at_01pct_fpr").method
    assert "parameters that the LightGBM file lists" in rate.method
    curve = next(e for e in outcome.exhibits if isinstance(e, Curve))
    assert [s.name for s in curve.series] == ["RMIA", "loss threshold", "chance"]
    assert min(curve.series[0].x) * 1100 == pytest.approx(10)


def test_a_coarse_model_does_not(coarse: Bench) -> None:
    outcome = coarse.ask(MEMBERSHIP, "model", factor=4.0)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    rate = measure(outcome, "privacy.membership.rmia_tpr_at_1pct_fpr")
    assert rate.low < 0.02 < rate.high < 0.04
    unsure = coarse.ask(MEMBERSHIP, "model")
    assert (str(unsure.status), unsure.findings) == ("open", ())
    assert "whether that is above 2.0% these rows cannot tell; more of both tables may" in unsure.reason
    assert measure(outcome, "privacy.membership.rmia_auc").value < 0.56
    again = coarse.ask(MEMORY, "model")
    assert (str(again.status), again.findings) == ("pass", ()), again.reason
    assert measure(again, "privacy.memorisation.memorised_share").high < 0.02


def test_a_leak_that_only_the_loss_tells_is_a_finding_too() -> None:
    """Where references stand in for an unknown recipe, RMIA may see less than the plain threshold does."""
    from types import SimpleNamespace

    from assay.attacks.membership.roc import Rate
    from assay.attacks.membership.verdict import Found
    from assay.checks.privacy.membership import _finding

    def attack(name: str, rate: Rate, null: tuple[float, float, float] = (0.5, 0.49, 0.51)) -> Found:
        chance = Rate(0.01, 0.005, 0.015)
        return Found(
            name=name, score=None, area=Rate(0.6, 0.58, 0.62), rates=(rate, None), null=Rate(*null),
            null_rates=(chance, None),
        )  # fmt: skip

    case: Any = SimpleNamespace(subject=SimpleNamespace(uri="m.onnx"))
    play: Any = SimpleNamespace(game=SimpleNamespace(member=np.ones(1000, dtype=bool)))
    little, much = Rate(0.015, 0.008, 0.03), Rate(0.05, 0.035, 0.07)
    (found,) = _finding(case, (attack("rmia", little), attack("loss", much)), play, 2.0)
    assert (found.evidence["attack"], found.evidence["low"]) == ("loss", 0.035)
    assert found.message.endswith("by loss threshold")
    (found,) = _finding(case, (attack("rmia", much), attack("loss", much)), play, 2.0)
    assert found.evidence["attack"] == "rmia"
    assert list(_finding(case, (attack("rmia", little), attack("loss", little)), play, 2.0)) == []
    apart = (0.6, 0.58, 0.62)
    assert list(_finding(case, (attack("rmia", little), attack("loss", much, apart)), play, 2.0)) == []


def test_one_seed_one_answer(leaky: Bench) -> None:
    first, second = (leaky.ask(MEMBERSHIP, "model", references=2, seed=3) for _ in range(2))
    assert first == second
    assert measure(first, "privacy.membership.null_auc").value == pytest.approx(0.5, abs=0.05)


def test_a_holdout_from_elsewhere_is_no_evidence(bench: Bench, tables: tuple[Columns, Columns]) -> None:
    posed(bench, tables[0], drawn(5, shift=1.2))
    outcomes = [bench.ask(check, "model") for check in (MEMBERSHIP, MEMORY)]
    for outcome in outcomes:
        assert (str(outcome.status), outcome.findings) == ("open", ())
        assert "tables differ" in outcome.reason
    names = {m.name: m.value for m in outcomes[0].measures}
    assert names["privacy.membership.rmia_auc"] is None
    assert names["privacy.membership.null_auc"] is not None


def test_twins_are_left_out_on_both_sides(bench: Bench, tables: tuple[Columns, Columns]) -> None:
    train, hold = tables
    posed(bench, joined(train, part(hold, slice(0, 200)), part(train, slice(0, 50))), hold)
    outcome = bench.ask(MEMBERSHIP, "model")
    areas = next(e for e in outcome.exhibits if isinstance(e, Intervals))
    assert "300 training and 200 holdout rows" in areas.note
    assert "900 holdout rows carry no rate at 1%" in outcome.reason
    assert measure(outcome, "privacy.membership.rmia_tpr_at_1pct_fpr").value is None
    assert measure(outcome, "privacy.membership.rmia_auc").n == 1100 - 50 + 900


def test_rows_of_one_entity_stay_together(bench: Bench, tables: tuple[Columns, Columns]) -> None:
    train, hold = ({**t, "who": [f"{name}{i // 2}" for i in range(1100)]} for t, name in zip(tables, "ab", strict=True))
    hold["who"][:100] = train["who"][:100]
    posed(bench, train, hold, leaf=20)
    for name, table in (("train", train), ("hold", hold)):
        bench.table(table, name, entity="who", **FACTS)
    outcome = bench.ask(MEMBERSHIP, "model", references=2)
    areas = next(e for e in outcome.exhibits if isinstance(e, Intervals))
    assert "their entity: 100 training and 100 holdout rows" in areas.note


def test_many_references_afford_lira(coarse: Bench) -> None:
    outcome = coarse.ask(MEMBERSHIP, "model", references=16)
    lira, rmia = (measure(outcome, f"privacy.membership.{name}_auc") for name in ("lira", "rmia"))
    assert lira.low < rmia.high
    assert lira.value > 0.45


@isolated
def test_planted_copies_are_found_and_named_by_number(bench: Bench) -> None:
    from sklearn.ensemble import RandomForestClassifier

    train, hold = drawn(7), drawn(8)
    odd = [r for r in range(1100) if abs(train["x0"][r]) > 0.7][:12]
    for row in odd:
        train["y"][row] = int(train["x0"][row] <= 0)  # against the rule that all others follow
    train = joined(train, *[{n: [v[r] for r in odd] for n, v in train.items()}] * 3)
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    model = RandomForestClassifier(40, random_state=1).fit(matrix(train), train["y"])
    (bench.folder / "m.pkl").write_bytes(pickle.dumps(model))
    bench.model("m.pkl", reads=READS)
    outcome = bench.ask(MEMORY, "model")
    found = finding(outcome, "records that occur several times")
    assert set(found.evidence["rows"]) <= set(odd)
    assert len(found.evidence["rows"]) >= 9
    assert set(found.evidence["copies"]) == {4}
    assert finding(outcome, "known by heart, ").evidence["low"] > 0.01
    assert not any(repr(v) in repr(outcome) for v in train["x0"])


@isolated
def test_a_deep_forest_in_its_sandbox(bench: Bench, tables: tuple[Columns, Columns]) -> None:
    from sklearn.ensemble import RandomForestClassifier

    train, hold = tables
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    rates = []
    for leaf in (1, 60):
        model = RandomForestClassifier(25, min_samples_leaf=leaf, random_state=1).fit(matrix(train), train["y"])
        (bench.folder / "m.pkl").write_bytes(pickle.dumps(model))
        bench.model("m.pkl", reads=READS)
        outcome = bench.ask(MEMBERSHIP, "model", references=2)
        rates.append(measure(outcome, "privacy.membership.rmia_tpr_at_1pct_fpr"))
        assert "the estimator's own parameters" in rates[-1].method
    assert rates[0].low > 0.1 > rates[1].high


def test_a_model_without_a_recipe_is_judged_by_a_stand_in_and_says_so(
    bench: Bench, tables: tuple[Columns, Columns]
) -> None:
    onnx = pytest.importorskip("skl2onnx")
    from sklearn.ensemble import RandomForestClassifier

    train, hold = tables
    bench.table(train, "train", **FACTS)
    bench.table(hold, "hold", **FACTS)
    model = RandomForestClassifier(25, random_state=1).fit(matrix(train).astype(np.float32), train["y"])
    graph = onnx.to_onnx(model, matrix(train)[:1].astype(np.float32), options={"zipmap": False})
    (bench.folder / "m.onnx").write_bytes(graph.SerializeToString())
    bench.model("m.onnx", reads=READS)
    outcome = bench.ask(MEMBERSHIP, "model")
    rate = measure(outcome, "privacy.membership.rmia_tpr_at_1pct_fpr")
    assert "a stand-in for its unknown recipe" in rate.method
    assert rate.low > 0.02


@pytest.mark.parametrize("check", [MEMBERSHIP, MEMORY])
@pytest.mark.parametrize(
    ("reads", "hold", "said"),
    [
        ({"holdout": "hold"}, None, "names no training rows"),
        (READS, {**drawn(2, 40)}, "40 holdout rows"),
        (READS, {**drawn(2, 300), "y": [1] * 300}, "one class only"),
        (READS, {**drawn(2, 300), "y": [*([0, 1] * 149), 0, None]}, "have no label"),
    ],
    ids=["no-data", "too-few", "one-class", "no-label"],
)
def test_what_cannot_be_judged_is_open(
    bench: Bench, check: str, reads: dict[str, str], hold: Columns | None, said: str
) -> None:
    posed(bench, drawn(1, 300), hold or drawn(2, 300), leaf=20)
    bench.model("m.txt", reads=reads)
    outcome = bench.ask(check, "model")
    assert (str(outcome.status), outcome.findings) == ("open", ())
    assert said in outcome.reason


@pytest.mark.parametrize("check", [MEMBERSHIP, MEMORY])
def test_without_a_holdout_it_does_not_apply(bench: Bench, check: str) -> None:
    posed(bench, drawn(1, 300), drawn(2, 300), leaf=20)
    bench.model("m.txt", reads={"data": "train"})
    outcome = bench.ask(check, "model")
    why = "model declares no holdout; add `holdout:` to it in assay.yaml"
    assert (str(outcome.status), outcome.reason) == ("not-applicable", why)


@pytest.mark.parametrize("check", [MEMBERSHIP, MEMORY])
def test_a_constant_model_remembers_nothing_that_could_be_told(bench: Bench, check: str) -> None:
    posed(bench, drawn(1, 300), drawn(2, 300), leaf=290)
    outcome = bench.ask(check, "model")
    assert (str(outcome.status), "the same score" in outcome.reason) == ("open", True)


def test_nothing_declared_nothing_to_account_for(leaky: Bench) -> None:
    outcome = leaky.ask(PROOF, "model")
    assert (str(outcome.status), outcome.measures) == ("not-applicable", ())


def test_a_guarantee_that_the_answers_contradict(leaky: Bench) -> None:
    outcome = leaky.ask(PROOF, "model", noise_multiplier=4.0, sample_rate=0.01, steps=1000, declared_epsilon=0.5)
    assert measure(outcome, "privacy.dp_accounting.epsilon").value < 0.5
    found = finding(outcome, "contradict epsilon 0.5")
    assert str(found.severity) == "high"
    assert measure(outcome, "privacy.dp_accounting.audited_epsilon").value > 1
    assert len(outcome.findings) == 1


def test_a_guarantee_that_nothing_contradicts(coarse: Bench) -> None:
    outcome = coarse.ask(PROOF, "model", mechanism="laplace", noise_multiplier=5.0, steps=10, declared_epsilon=2.0)
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    assert measure(outcome, "privacy.dp_accounting.epsilon").value == pytest.approx(2.0)


def test_an_epsilon_below_what_is_proved(coarse: Bench) -> None:
    outcome = coarse.ask(PROOF, "model", mechanism="gaussian", noise_multiplier=1.0, declared_epsilon=1.0)
    assert str(finding(outcome, "proves no less than 4.38").severity) == "medium"
    wrong = coarse.ask(PROOF, "model", mechanism="gaussian", noise_multiplier=1.0, sample_rate=0.1)
    assert (str(wrong.status), "declare `dpsgd`" in wrong.reason) == ("open", True)
    tiny = coarse.ask(PROOF, "model", mechanism="gaussian", noise_multiplier=1e-300)
    assert (str(tiny.status), "no finite epsilon" in tiny.reason) == ("open", True)
