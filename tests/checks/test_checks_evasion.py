"""robustness.evasion: a model on what an attacker can change falls, one on what nobody can change stands."""

from __future__ import annotations

from typing import Any

import pytest
from checks_models import FACTS, INPUTS, lightgbm_model, onnx_model, two_tables
from checks_tools import Bench, finding, measure
from msgspec.structs import replace

from assay.core.errors import CouldNotLook
from assay.core.exhibit import Curve, Table
from assay.core.subject import Attacker

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")
CHECK = "robustness.evasion"
UNDER = "robustness.evasion.recall_under_attack"
BEFORE = "robustness.evasion.recall_unattacked"
EXCLUDED = "robustness.evasion.excluded_share"
AFFORDABLE = "robustness.evasion.affordable_share"
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
    outcome = model.ask(CHECK, "model", cost=100.0, rows=24)
    under, before = measure(outcome, UNDER), measure(outcome, BEFORE)
    assert str(outcome.status) == "pass", outcome.reason
    assert before.value > 0.7
    assert under.value < 0.1
    assert under.high < before.low


def test_where_nothing_may_be_changed_nothing_was_attacked(model: Bench) -> None:
    model.features(**FIXED)
    outcome = model.ask(CHECK, "model", rows=60)
    assert (str(outcome.status), "nothing was attacked" in outcome.reason) == ("open", True)
    assert not [m for m in outcome.measures if m.name == UNDER]
    assert (measure(outcome, EXCLUDED).value, measure(outcome, AFFORDABLE).value) == (0, 0)
    assert [row[1] for row in table(outcome).rows] == ["no"] * len(INPUTS)


def test_one_direction_that_only_makes_it_worse_stands(model: Bench) -> None:
    model.features(**{**FIXED, "cards_on_device": {**FREE["cards_on_device"], "direction": "up"}})
    outcome = model.ask(CHECK, "model", cost=5.0, rows=60)
    if str(outcome.status) == "pass":
        assert measure(outcome, UNDER).value == measure(outcome, BEFORE).value
    else:
        assert outcome.reason


def test_more_budget_never_leaves_more(model: Bench) -> None:
    model.features(**FREE)
    asked: dict[str, Any] = {"rows": 40, "access": "whitebox"}
    left = [measure(model.ask(CHECK, "model", cost=c, **asked), UNDER).value for c in (0.5, 4.0)]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1]


def test_one_seed_one_answer_and_no_cell_is_shown(model: Bench) -> None:
    model.features(**FREE)
    first, second = (model.ask(CHECK, "model", cost=3.0, rows=14, queries=200, seed=5) for _ in range(2))
    assert first == second
    assert {type(e).__name__ for e in first.exhibits} <= {"Curve", "Waterfall", "Table"}


def test_what_was_never_declared_is_open_not_robust(model: Bench) -> None:
    outcome = model.ask(CHECK, "model", rows=60)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert outcome.reason


def test_too_few_caught_rows_are_open(model: Bench) -> None:
    model.features(**FREE)
    model.model("m.txt", reads=READS, threshold=0.9999)
    outcome = model.ask(CHECK, "model")
    assert str(outcome.status) == "open"
    assert "at its threshold 0.9999: at least 10 are needed; none of them scores so high: lower" in outcome.reason
    model.model("m.txt", reads=READS, threshold=-1.0)
    outcome = model.ask(CHECK, "model")
    assert "lets 0 rows pass at its threshold -1: at least 10 are needed to attack toward; raise" in outcome.reason


def test_what_the_budget_cannot_move_is_named_and_where_it_moves_nothing_it_is_open(model: Bench) -> None:
    """Whole numbers move by whole numbers: a tenth of one changes none, which certified every row."""
    whole = {n: {"min": 0, "max": 1000, "integer": True, "scale": 1.0} for n in INPUTS}
    model.features(**whole)
    outcome = model.ask(CHECK, "model", rows=60, norm="linf", budget=0.5)
    assert str(outcome.status) == "open"
    said = "what is left says nothing of the model: a budget of 0.5 in linf pays for no change of "
    assert outcome.reason.startswith(said)
    first = INPUTS[0]
    model.features(**{**whole, first: {"min": 0, "max": 1000, "integer": True, "scale": 10.0}})
    outcome = model.ask(CHECK, "model", rows=60, norm="linf", budget=0.5)
    assert finding(outcome, "pays for no change of").evidence["inputs"] == [n for n in INPUTS if n != first]
    assert str(outcome.status) != "open"


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
        ("payments_24h > 'x'", "compares words with numbers"),
        ("nope > 1", "reads columns that are not there: nope"),
    ],
)
def test_a_constraint_that_cannot_be_read_is_not_robustness(model: Bench, constraint: str, reason: str) -> None:
    model.features(constraint, **FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=30)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert reason in outcome.reason


@pytest.mark.parametrize("declared", [None, {"mutable": False}], ids=["unsaid", "fixed"])
def test_a_relation_with_what_the_model_does_not_read_holds_nothing_unseen(model: Bench, declared: Any) -> None:
    """Who is judged could tie an input to a copy of it that is no input, and so freeze it."""
    features = FREE | ({"amount": declared} if declared else {})
    model.features("payments_24h <= amount + 1000", **features)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=60, access="whitebox")
    if declared is None:
        assert (str(outcome.status), "which the model does not read" in outcome.reason) == ("open", True)
        assert "say `mutable: false` of amount" in outcome.reason
    else:
        assert str(outcome.status) == "pass", outcome.reason


@pytest.mark.parametrize("constraint", ["payments_24h >= 999999", "payee_age_days < 20"])
def test_a_constraint_that_many_positives_break_leaves_it_open(model: Bench, constraint: str) -> None:
    model.features(constraint, **FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=30)
    excluded = measure(outcome, EXCLUDED)
    assert str(outcome.status) == "open"
    assert "break `constraints:` as they are" in outcome.reason
    assert "at most 5% may" in outcome.reason
    assert [m.name for m in outcome.measures] == [EXCLUDED]
    assert excluded.value > 0.05
    assert excluded.low < excluded.value <= excluded.high
    assert str(excluded.direction) == "lower"


def test_a_few_rows_that_break_a_constraint_are_told_and_not_counted_as_robust(model: Bench) -> None:
    _, holdout = two_tables()
    ages = sorted(a for a, y in zip(holdout["payee_age_days"], holdout["is_fraud"], strict=True) if y)
    most = ages[int(len(ages) * 0.97)]
    model.features(f"payee_age_days <= {most}", **FREE)
    outcome = model.ask(CHECK, "model", cost=100.0, rows=1000, access="whitebox")
    out = sum(a > most for a in ages)
    under = measure(outcome, UNDER)
    assert measure(outcome, EXCLUDED).value == pytest.approx(out / len(ages))
    assert measure(outcome, EXCLUDED).n == len(ages)
    assert 0 < out == len(ages) - under.n
    assert under.value < measure(outcome, BEFORE).value


def test_a_missing_value_in_a_relation_shields_no_row(bench: Bench) -> None:
    train, holdout = two_tables()
    blank = {**holdout, "distance_km": [None if i else 1.5 for i in range(len(holdout["distance_km"]))]}
    bench.table(train, "train", **FACTS)
    bench.table(blank, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.model("m.txt", reads=READS, threshold=0.3)
    bench.features("distance_km >= 0", **FREE)
    outcome = bench.ask(CHECK, "model", cost=100.0, rows=30, access="whitebox")
    assert measure(outcome, UNDER).value < 0.2 < measure(outcome, BEFORE).value


@pytest.mark.parametrize(
    ("change", "affordable"),
    [
        ({}, True),
        ({"cost": 1e6}, False),
        ({"scale": 1e-6}, False),
        ({"mutable": False}, False),
        ({"direction": "up", "max": 1.0}, False),
    ],
)
def test_an_input_that_nobody_could_afford_to_move_is_seen(
    model: Bench, change: dict[str, Any], affordable: bool
) -> None:
    free = {n: {"min": 0, "integer": True} for n in INPUTS}
    model.features(**{**free, "payments_24h": {**free["payments_24h"], **change}})
    outcome = model.ask(CHECK, "model", cost=3.0, rows=24, access="whitebox")
    assert str(outcome.status) == "pass", outcome.reason
    share = measure(outcome, AFFORDABLE)
    rows = {row[0]: row for row in table(outcome).rows}
    needed, within = (float(cell.rstrip("%")) for cell in rows["payments_24h"][4:])
    assert needed > 5
    assert (within > 25) is affordable
    total = sum(float(r[4].rstrip("%")) * float(r[5].rstrip("%")) / 1e4 for r in rows.values() if r[4] != "never")
    assert share.value == pytest.approx(total, abs=0.002)
    assert share.low < share.value < share.high
    assert (10 <= share.n <= 24, share.seed is not None, str(share.direction)) == (True, True, "higher")


def test_cheap_decoys_that_the_model_ignores_buy_nothing(bench: Bench) -> None:
    """Twenty columns that no tree splits on, all cheap, beside the four that count and cannot be changed."""
    train, holdout = (dict(t) for t in two_tables())
    decoys = tuple(f"decoy{i}" for i in range(20))
    for t in (train, holdout):
        t.update({d: np.random.default_rng(i).integers(0, 9, len(t[INPUTS[0]])) for i, d in enumerate(decoys)})
    write = {**train, **{d: np.zeros(len(train[INPUTS[0]])) for d in decoys}}  # constant to the trees
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    lightgbm_model(bench.folder / "m.txt", write, (*INPUTS, *decoys), rises=(-1, 1, 1, -1, *[0] * 20))
    bench.model("m.txt", reads=READS, threshold=0.3)
    bench.features(**FIXED, **{d: {"min": 0, "max": 8} for d in decoys})
    outcome = bench.ask(CHECK, "model", cost=100.0, rows=40, access="whitebox")
    share = measure(outcome, AFFORDABLE)
    assert (share.value, share.low) == (0, 0)
    assert 0 < share.high < 0.15
    rows = {row[0]: row for row in table(outcome).rows}
    assert {rows[d][4:] for d in decoys} == {("never", "")}
    assert sum(float(rows[n][4].rstrip("%")) for n in INPUTS) == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize(("scale", "low", "high"), [(1e-40, 0.0, 0.0), (1.0, 0.05, 1.0)])
def test_a_contract_that_shrinks_what_a_norm_measures_is_seen_in_every_norm(
    model: Bench, scale: float, low: float, high: float
) -> None:
    """With `scale: 1e-40` every budget of a norm is nothing, and every row is certified."""
    model.features(**{name: {**facts, "scale": scale} if facts.get("mutable", True) else facts
                      for name, facts in FREE.items()})  # fmt: skip
    outcome = model.ask(CHECK, "model", norm="linf", budget=200.0, access="whitebox", rows=40)
    share = measure(outcome, AFFORDABLE)
    assert share.value is not None
    assert low <= share.value <= high
    assert "a budget of 200 in linf pays for" in share.method


def test_the_attack_says_how_sure_its_figures_are(model: Bench) -> None:
    model.features(**FREE)
    outcome = model.ask(CHECK, "model", cost=3.0, rows=20, queries=200)
    asked, under = measure(outcome, "robustness.evasion.queries"), measure(outcome, UNDER)
    assert 0 < asked.low < asked.value < asked.high <= 200
    figures = [f for m in outcome.measures for f in (m.value, m.low, m.high)]
    assert {type(f) for f in figures} == {float}  # another kind of number does not pass between processes
    (curve,) = [e for e in outcome.exhibits if isinstance(e, Curve)]
    assert f"leaves {under.value:.1%}" in curve.title
    assert f"from {under.low:.1%}" in curve.title


def test_the_table_tells_prices_in_the_datas_own_measure_and_shows_no_value(model: Bench) -> None:
    features = {**FREE, "device_age_days": {"min": 0, "integer": True, "direction": "up", "cost": 2}}
    model.features(**features, merchant={"mutable": False})
    outcome = model.ask(CHECK, "model", cost=3.0, rows=24, access="whitebox")
    shown = table(outcome)
    train, _ = two_tables()
    rows = {row[0]: row for row in shown.rows}
    assert set(rows) == set(INPUTS)
    assert rows["device_age_days"][1:3] == ("up only", "2 a standard deviation")
    assert float(rows["device_age_days"][3]) == pytest.approx(1.5 * train["device_age_days"].std(), rel=0.01)
    assert rows["payee_age_days"][1] == "yes"
    assert float(rows["payee_age_days"][2].split()[0]) == pytest.approx(train["payee_age_days"].std() / 50, rel=0.01)
    assert float(rows["payee_age_days"][3]) == 150
    assert shown.columns == ("input", "may change", "price", "the budget reaches", "needed", "within reach")


def test_many_inputs_are_counted_in_the_tables_note() -> None:
    from assay.attacks.needs import Needs
    from assay.attacks.reach import Reach
    from assay.attacks.shown import affordable

    inputs = tuple(Reach(name=f"x{i}", moves="yes" if i % 2 else "no", unit="place", price=1.0) for i in range(100))
    found = Needs(np.ones((30, 100)), np.zeros((30, 100)), np.ones(30))
    share, shown = affordable(inputs, found, "of 3", 0)
    assert (share.n, share.value) == (30, 0)
    assert len(shown.rows) == 40
    assert {row[1] for row in shown.rows} == {"yes"}
    assert "60 inputs more, 10 of which may change" in shown.note


@pytest.mark.parametrize(("rows", "changes"), [(9, 4), (10, 2), (29, 1)])
def test_from_too_few_rows_or_changes_there_is_no_affordable_share(rows: int, changes: int) -> None:
    from assay.attacks.needs import Needs
    from assay.attacks.reach import Reach
    from assay.attacks.shown import affordable

    ones = np.ones((rows, 1))
    share, _ = affordable((Reach(name="x", moves="yes"),), Needs(ones, ones, np.full(rows, changes)), "of 3", 0)
    assert (share.value, share.low, share.high) == (None, None, None)


def test_copied_rows_narrow_no_interval(bench: Bench) -> None:
    train, holdout = two_tables()
    positives = np.flatnonzero(np.asarray(holdout["is_fraud"]) == 1)[:40]
    few = np.concatenate([positives, np.flatnonzero(np.asarray(holdout["is_fraud"]) == 0)[:400]])
    bench.table(train, "train", **FACTS)
    lightgbm_model(bench.folder / "m.txt", train)
    bench.features(**FREE)
    found = []
    for times in (1, 10):
        again = np.concatenate([np.repeat(few[:40], times), few[40:]])
        bench.table({name: np.asarray(v)[again] for name, v in holdout.items()}, "hold", **FACTS)
        bench.model("m.txt", reads=READS, threshold=0.3)
        outcome = bench.ask(CHECK, "model", cost=1.0, access="whitebox")
        found.append([measure(outcome, name) for name in (UNDER, BEFORE)])
    (under, before), (copied, copied_before) = found
    assert {m.n for m in (under, before, copied, copied_before)} == {40}
    assert (before.low, before.value, before.high) == pytest.approx(
        (copied_before.low, copied_before.value, copied_before.high)
    )
    assert copied.high - copied.low == pytest.approx(under.high - under.low, abs=0.03)


def test_scores_are_not_asked_of_a_model_that_gives_labels_only(bench: Bench) -> None:
    import onnx

    train, holdout = two_tables()
    bench.table(train, "train", **FACTS)
    bench.table(holdout, "hold", **FACTS)
    onnx_model(bench.folder / "m.onnx", train)
    made = onnx.load(bench.folder / "m.onnx")
    del made.graph.output[1]
    onnx.save(made, bench.folder / "m.onnx")
    bench.model("m.onnx", reads=READS, threshold=0.5, inputs=list(INPUTS))
    bench.features(**FREE)
    refused = bench.ask(CHECK, "model", rows=30, queries=200, access="score")
    assert (str(refused.status), refused.measures) == ("open", ())
    assert "labels only" in refused.reason
    attacked = bench.ask(CHECK, "model", rows=16, queries=300, cost=100.0)
    assert str(attacked.status) == "pass", attacked.reason
    assert measure(attacked, UNDER).value < measure(attacked, BEFORE).value


def test_access_to_scores_is_looked_at_too(model: Bench) -> None:
    model.features(**FREE)
    label, score = (model.ask(CHECK, "model", cost=3.0, rows=14, queries=200, access=a) for a in ("label", "score"))
    assert (str(label.status), str(score.status)) == ("pass", "pass"), (label.reason, score.reason)
    assert abs(measure(label, UNDER).value - measure(score, UNDER).value) <= 0.1


def table(outcome: Any) -> Table:
    """The table of what an attacker may change."""
    (found,) = [e for e in outcome.exhibits if isinstance(e, Table)]
    assert found.title == "What an attacker may change"
    return found


@pytest.mark.parametrize(
    ("attacker", "asked", "said"),
    [
        ({"norm": "linf", "budget": 0.1}, {"cost": 3.0}, "`cost` is given, but in norm linf `budget` says how far"),
        ({}, {"norm": "l1", "cost": 3.0, "budget": 1.0}, "`cost` is given, but in norm l1 `budget` says how far"),
        ({}, {"budget": 1.0}, "`budget` is given, but in norm cost `cost` says how far"),
    ],
    ids=["attacker", "both", "cost"],
)
def test_a_budget_that_the_norm_does_not_read_is_not_ignored(
    model: Bench, attacker: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    model.features(**FREE)
    model.contract = replace(model.contract, attacker=Attacker(**attacker))
    outcome = model.ask(CHECK, "model", rows=20, **asked)
    assert (str(outcome.status), outcome.measures) == ("open", ())
    assert said in outcome.reason


def test_a_constant_model_is_called_so() -> None:
    """It was told that no row scores high enough, and to lower the threshold."""
    from types import SimpleNamespace

    from assay.checks.robustness.evasion import _drawn

    predictor = SimpleNamespace(scores=lambda rows: np.full(rows.num_rows, 0.3), threshold=0.5)
    case: Any = SimpleNamespace(predictor=predictor)
    with pytest.raises(CouldNotLook, match=r"answers 0\.3 to each of 40 rows: it is constant"):
        _drawn(case, pa.table({"x": np.arange(40.0)}), np.ones(40, dtype=bool), 20, 0)


@pytest.mark.parametrize(("digits", "told"), [(0, "steps of 1,"), (2, "steps of 0.01,"), (9, "")])
def test_a_model_whose_scores_come_in_steps_is_told(digits: int, told: str) -> None:
    from types import SimpleNamespace

    from assay.checks.robustness.evasion import _rounded

    drawn = np.round(np.random.default_rng(0).uniform(size=50), digits)
    for scores in (drawn, drawn.astype(np.float32).astype(float)):
        model: Any = SimpleNamespace(kind="onnx", access="score", notes=())
        _rounded(model, scores)
        assert " ".join(model.notes).count(told or "steps") == (1 if told else 0)
    small: Any = SimpleNamespace(kind="onnx", access="score", notes=())
    _rounded(small, drawn * 1e-12)
    assert small.notes == (), "as small as they are, they are no steps"
