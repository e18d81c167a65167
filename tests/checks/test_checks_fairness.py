"""fairness.groups: planted gaps are found, fair models pass, few rows decide nothing, small groups are not named."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from checks_tools import Bench, finding, measure

from assay.stats.intervals import wilson_rate

pytest.importorskip("duckdb")
CHECK = "fairness.groups"
Table = dict[str, Any]


class Told:
    """A model whose score is a column of the row."""

    threshold, features, classes, kind = 0.5, ("score",), (0, 1), ""

    def scores(self, table: Any) -> Any:
        return table.column("score").to_numpy().astype(float)


def people(rows: int, seed: int = 0, *, flag: Any = (0.3, 0.3), hit: float = 0.8) -> Table:
    """Two sexes, flagged as often as `flag` says; of the flagged `hit` are positive, of others as few."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, rows)
    flagged = rng.random(rows) < np.asarray(flag)[sex]
    score = np.where(flagged, rng.uniform(0.6, 1.0, rows), rng.uniform(0.0, 0.4, rows))
    return {
        "sex": np.array(["F", "M"])[sex],
        "age": rng.integers(18, 80, rows),
        "score": score.round(6),
        "y": (rng.random(rows) < np.where(flagged, hit, 1 - hit)).astype(int),
    }


@pytest.fixture
def asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Any:
    from assay.adapters.cases import ModelCase

    monkeypatch.setattr(ModelCase, "predictor", property(lambda self: Told()))
    (bench.folder / "m.txt").write_bytes(b"tree\n")

    def ask(table: Table, protected: Any = ("sex",), options: dict[str, Any] | None = None, **parameters: Any) -> Any:
        facts = {"label": "y", "positive": 1, **(options or {})}
        bench.table(table, "hold", protected=list(protected), **{k: v for k, v in facts.items() if v is not None})
        bench.model("m.txt", reads={"holdout": "hold"}, threshold=0.5)
        return bench.ask(CHECK, "model", **parameters)

    return ask


def test_a_fair_model_passes(asked: Any) -> None:
    outcome = asked(people(6000))
    (told,) = outcome.findings
    assert (str(outcome.status), told.key, str(told.severity)) == ("pass", "undeclared", "info"), outcome.reason
    assert told.message.startswith("age: protected by its header, and not declared"), (
        "nothing is said of who is left out"
    )
    assert asked(people(6000), ("sex", "age")).findings == ()
    ratio = measure(outcome, "fairness.selection_ratio")
    assert ratio.low > 0.8
    assert measure(outcome, "fairness.equalised_odds_difference").high < 0.1
    assert measure(outcome, "fairness.undecided").value == 0
    assert measure(outcome, "fairness.judged_share").value == 1


def test_the_figures_are_those_of_the_definitions(asked: Any) -> None:
    table = people(4000, flag=(0.5, 0.3), hit=0.7)
    outcome = asked(table, favourable="flagged")
    flagged, y, woman = table["score"] >= 0.5, table["y"] == 1, table["sex"] == "F"

    def apart(hit: Any, among: Any) -> float:
        return abs(hit[woman & among].mean() - hit[~woman & among].mean())

    every = np.ones(4000, dtype=bool)
    expected = {
        "selection_ratio": flagged[~woman].mean() / flagged[woman].mean(),
        "unfavourable_ratio": (~flagged[woman]).mean() / (~flagged[~woman]).mean(),
        "true_positive_rate_difference": apart(flagged, y),
        "false_positive_rate_difference": apart(flagged, ~y),
        "precision_difference": apart(y, flagged),
        "calibration_gap": apart(y - table["score"], every),
    }
    expected["equalised_odds_difference"] = max(expected[f"{w}_positive_rate_difference"] for w in ("true", "false"))
    for name, value in expected.items():
        found = measure(outcome, f"fairness.{name}")
        assert found.value == pytest.approx(value, abs=1e-9), name
        assert found.low <= value <= found.high, name
    assert "M is flagged 0.6" in finding(outcome, "times as often").message
    assert str(outcome.status) == "fail"


@pytest.mark.parametrize("favourable", ["passed", "flagged"])
def test_which_outcome_is_favourable_decides(asked: Any, favourable: str) -> None:
    outcome = asked(people(12000, flag=(0.02, 0.06)), favourable=favourable)
    ratios = [measure(outcome, f"fairness.{n}").value for n in ("selection_ratio", "unfavourable_ratio")]
    good, bad = ratios if favourable == "passed" else reversed(ratios)
    assert good == pytest.approx(0.96, abs=0.02)
    assert bad == pytest.approx(0.33, abs=0.1)
    about = [(str(f.severity), f.key) for f in outcome.findings if f.key.endswith("ratio")]
    if favourable == "passed":
        assert about == [("info", "unfavourable_ratio")]
        assert "no rule bounds it" in outcome.findings[0].message
    else:
        assert [key for _, key in about] == ["selection_ratio"]
        assert str(outcome.status) == "fail"


@pytest.mark.parametrize(("flag", "severity"), [((0.9, 0.6), "medium"), ((0.9, 0.2), "high")])
def test_the_severity_is_told_by_how_far_the_whole_interval_is(asked: Any, flag: Any, severity: str) -> None:
    outcome = asked(people(4000, flag=flag), favourable="flagged")
    assert str(finding(outcome, "times as often").severity) == severity
    assert outcome.findings[0].location.column == "sex"


def test_few_rows_decide_nothing_and_do_not_pass(asked: Any) -> None:
    outcome = asked(people(200, flag=(0.4, 0.4)), favourable="flagged")
    assert (str(outcome.status), [f.key for f in outcome.findings]) == ("open", ["undeclared"])
    assert "both sides of what is asked: sex (fewest: 89 independent rows, of group F): ratio of fav" in outcome.reason
    assert measure(outcome, "fairness.undecided").value >= 1
    assert measure(outcome, "fairness.selection_ratio").low < 0.8


def test_a_small_group_is_neither_named_nor_judged(asked: Any) -> None:
    table = people(4000)
    table["sex"] = table["sex"].astype(object)
    table["sex"][:30] = "Xenon"
    table["sex"][30:60] = "Yttrium"
    outcome = asked(table, ("sex", "age"))
    text = msgspec.json.encode(outcome).decode()
    assert "Xenon" not in text
    assert "Yttrium" not in text
    assert "(other values)" in text  # together they are enough
    table["sex"][30:60] = "F"
    outcome = asked(table)
    text = msgspec.json.encode(outcome).decode()
    assert "Xenon" not in text
    assert "(other values)" not in text
    assert measure(outcome, "fairness.judged_share").value == pytest.approx(1 - 30 / 4000)
    share = measure(outcome, "fairness.judged_share")
    assert 3970 < share.n <= 4000, "of all rows, but for a few that are equal"
    assert (share.low, share.high) == pytest.approx(wilson_rate(1 - 30 / 4000, share.n), abs=1e-6)
    both = measure(asked(table, ("sex", "age")), "fairness.judged_share")
    assert (both.value, both.low < share.low, both.high > share.high) == (share.value, True, True), "they hold together"
    (members,) = [e for e in outcome.exhibits if e.name == "fairness.members"]
    assert "too small to be judged" in members.note


def test_what_only_two_columns_together_show_is_found(asked: Any) -> None:
    table = people(8000, flag=(0.5, 0.5))
    rng = np.random.default_rng(5)
    table["born"] = rng.choice(["here", "there"], 8000)
    odd = (table["sex"] == "F") ^ (table["born"] == "here")
    flagged = rng.random(8000) < np.where(odd, 0.7, 0.3)
    table["score"] = np.where(flagged, 0.6, 0.1) + rng.uniform(0, 0.3, 8000).round(6)
    outcome = asked(table, ("sex", "born"), favourable="flagged")
    found = finding(outcome, "times as often")
    assert found.location.column == "sex & born"
    assert measure(outcome, "fairness.selection_ratio").value > 0.9
    assert measure(outcome, "fairness.crossed_selection_ratio").high < 0.8


def marked(rows: int, columns: int, seed: int = 0) -> tuple[Table, list[str]]:
    """People who are alike, with so many protected columns of two levels."""
    rng = np.random.default_rng(seed)
    flagged = rng.random(rows) < 0.5
    score = np.where(flagged, 0.6, 0.1) + rng.uniform(0, 0.3, rows).round(6)
    names = [f"p{i:02}" for i in range(columns)]
    marks = {n: rng.choice(["a", "b"], rows) for n in names}
    return {**marks, "score": score, "y": (rng.random(rows) < np.where(flagged, 0.8, 0.2)).astype(int)}, names


@pytest.mark.parametrize("columns", [2, 6, 7, pytest.param(12, marks=pytest.mark.heavy)])
def test_the_last_pair_of_many_columns_is_asked(asked: Any, columns: int) -> None:
    table, names = marked(4000, columns)
    odd = (table[names[-1]] == "a") ^ (table[names[-2]] == "a")
    flagged = np.random.default_rng(9).random(4000) < np.where(odd, 0.75, 0.25)
    table["score"] = np.where(flagged, 0.6, 0.1) + np.random.default_rng(1).uniform(0, 0.3, 4000).round(6)
    outcome = asked(table, names, favourable="flagged")
    assert str(outcome.status) == "fail"
    assert finding(outcome, "times as often").location.column == " & ".join(names[-2:])
    assert measure(outcome, "fairness.crossed_selection_ratio").high < 0.8
    assert measure(outcome, "fairness.unasked").value == (220 if columns == 12 else 0)
    (picture,) = [e for e in outcome.exhibits if e.name == "fairness.ratios"]
    assert " & ".join(names[-2:]) + ": favourable" in [r.label for r in picture.rows]
    assert picture.note == {7: "Not shown: 30 more.", 12: "Not shown: 60 more."}.get(columns, "")


def test_three_columns_together_are_asked_of_six(asked: Any) -> None:
    table, names = marked(8000, 6)
    odd = (table[names[3]] == "a") ^ (table[names[4]] == "a") ^ (table[names[5]] == "a")
    flagged = np.random.default_rng(9).random(8000) < np.where(odd, 0.75, 0.25)
    table["score"] = np.where(flagged, 0.6, 0.1) + np.random.default_rng(1).uniform(0, 0.3, 8000).round(6)
    outcome = asked(table, names, favourable="flagged")
    assert finding(outcome, "times as often").location.column == " & ".join(names[3:])


def test_only_threes_left_out_keep_the_decision_and_are_told(asked: Any) -> None:
    table, names = marked(16_000, 8)
    outcome = asked(table, names, favourable="flagged")
    assert (str(outcome.status), outcome.findings) == ("pass", ()), outcome.reason
    assert measure(outcome, "fairness.unasked").value == 28 + 56 - 66
    (members,) = [e for e in outcome.exhibits if e.name == "fairness.members"]
    assert "18 combinations of columns were not asked" in members.note
    assert measure(outcome, "fairness.crossed_selection_ratio").low > 0.8


def test_a_pair_left_out_leaves_it_open(asked: Any) -> None:
    table, names = marked(16_000, 13)
    outcome = asked(table, names, favourable="flagged")
    assert (str(outcome.status), outcome.findings) == ("open", ()), outcome.reason
    assert "298 combinations of protected columns were not asked, 12 of them pairs: at most 66 are" in outcome.reason
    assert "name fewer protected columns" in outcome.reason
    unasked = measure(outcome, "fairness.unasked")
    assert (unasked.value, "12 pairs of columns, 286 threes" in unasked.method) == (298, True)
    ratio = measure(outcome, "fairness.crossed_selection_ratio")
    assert (ratio.low, ratio.value > 0.8) == (0, True)
    assert measure(outcome, "fairness.crossed_equalised_odds_difference").high == 1


def test_a_column_that_fails_is_not_told_again_in_its_combinations(asked: Any) -> None:
    outcome = asked(people(6000, flag=(0.8, 0.3)), ("sex", "age"), favourable="flagged")
    assert [f.location.column for f in outcome.findings if f.key == "selection_ratio"] == ["sex"]


def test_numbers_are_cut_into_bands_that_are_said(asked: Any) -> None:
    table = people(6000)
    names = {r[1] for e in asked(table, ("age",)).exhibits if e.name == "fairness.members" for r in e.rows}
    assert len(names) == 4
    assert any(n.startswith("below ") for n in names)
    outcome = asked(table, ("age",), cuts={"age": [25, 65]})
    assert [r[1] for e in outcome.exhibits if e.name == "fairness.members" for r in e.rows] == [
        "below 25", "25 to below 65", "65 and more",
    ]  # fmt: skip
    for cuts, why in (({"agee": [3]}, "no protected column"), ({"sex": [3]}, "holds none")):
        outcome = asked(table, ("sex",), cuts=cuts)
        assert (str(outcome.status), why in outcome.reason) == ("open", True)


def test_levels_come_in_the_declared_order(asked: Any, bench: Bench) -> None:
    table = people(3000)
    table["band"] = np.random.default_rng(0).choice(["old", "mid", "young"], 3000, p=[0.5, 0.3, 0.2])
    bench.features(band={"order": ["young", "mid", "old"]})
    outcome = asked(table, ("band",))
    assert [r[1] for e in outcome.exhibits if e.name == "fairness.members" for r in e.rows] == ["young", "mid", "old"]


@pytest.mark.parametrize("times", [3])
def test_copies_narrow_no_interval(asked: Any, times: int) -> None:
    table = people(1500, flag=(0.5, 0.4))
    once = asked(table).measures
    often = asked({n: np.repeat(c, times) for n, c in table.items()}).measures
    for a, b in zip(once, often, strict=True):
        assert (a.name, a.n) == (b.name, b.n)
        assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), abs=1e-9)


def test_entities_are_one_draw_and_weights_count(asked: Any) -> None:
    table = people(2000)
    alone = measure(asked(table), "fairness.selection_ratio")
    grouped = measure(
        asked({**table, "who": np.arange(2000) // 5}, options={"entity": "who"}), "fairness.selection_ratio"
    )
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.low < alone.low
    flagged = table["score"] >= 0.5
    weight = np.where((table["sex"] == "F") & flagged, 3.0, 1.0)
    outcome = asked({**table, "w": weight}, options={"weight": "w"}, favourable="flagged")
    rates = [np.average(flagged[table["sex"] == s], weights=weight[table["sex"] == s]) for s in "FM"]
    assert measure(outcome, "fairness.selection_ratio").value == pytest.approx(rates[1] / rates[0])


def test_the_curve_goes_through_what_was_measured_at_the_deployed_threshold(asked: Any) -> None:
    outcome = asked(people(4000, flag=(0.5, 0.3)), favourable="flagged")
    for metric in ("selection_ratio", "true_positive_rate_difference"):
        (curve,) = [e for e in outcome.exhibits if e.name == f"fairness.thresholds.{metric}"]
        (line,) = curve.series
        at = line.x.index(curve.mark)
        found = measure(outcome, f"fairness.{metric}")
        assert (line.y[at], line.low[at], line.high[at]) == pytest.approx((found.value, found.low, found.high))
        assert sum(len(s.x) for s in curve.series) <= 500
    rates = [e for e in outcome.exhibits if e.name == "fairness.rates.0"]
    assert rates[0].reference == pytest.approx(0.8 * max(r.value for r in rates[0].rows))


def test_without_protected_columns_it_does_not_apply(asked: Any) -> None:
    outcome = asked(people(300), ())
    assert (str(outcome.status), outcome.measures) == ("not-applicable", ())
    assert "protected" in outcome.reason


@pytest.mark.parametrize("how", ["no label", "one class", "a hole"])
def test_without_labels_selection_is_judged_and_the_rest_is_open(asked: Any, how: str) -> None:
    table = people(4000)
    options: dict[str, Any] = {}
    if how == "no label":
        options = {"label": None, "positive": None}
    elif how == "one class":
        table["y"] = np.ones(4000, int)
    else:
        table["y"] = ["" if i == 3 else str(v) for i, v in enumerate(table["y"])]
    outcome = asked(table, options=options)
    assert str(outcome.status) == "open"
    assert measure(outcome, "fairness.selection_ratio").low > 0.8
    assert measure(outcome, "fairness.true_positive_rate_difference").value is None


def test_too_few_positives_in_a_group_do_not_pass(asked: Any) -> None:
    table = people(6000)
    women = table["sex"] == "F"
    table["y"] = np.where(women & (np.cumsum(women) > 8), 0, table["y"])
    table["y"][women & (np.cumsum(women) <= 8)] = 1
    outcome = asked(table, favourable="flagged")
    found = measure(outcome, "fairness.true_positive_rate_difference")
    assert found.value is None
    assert "true positive rate difference" in outcome.reason


def test_one_group_alone_is_open(asked: Any) -> None:
    table = people(400)
    table["sex"] = np.array(["F"] * 400)
    outcome = asked(table)
    assert (str(outcome.status), "sex" in outcome.reason) == ("open", True)


def test_no_holdout_no_rows_and_scores_that_are_none(asked: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for torn in ("sex,age,score,y\n", "sex,age,score,y\nF,3\n", ""):
        outcome = asked(torn)
        assert (str(outcome.status), outcome.measures) == ("open", ()), outcome.reason
    bench.model("m.txt", reads={}, threshold=0.5)
    assert "declares no holdout" in bench.ask(CHECK, "model").reason
    monkeypatch.setattr(Told, "scores", lambda self, table: np.full(table.num_rows, np.nan))
    outcome = asked(people(300))
    assert (str(outcome.status), "no numbers" in outcome.reason) == ("open", True)


def test_the_same_seed_says_the_same(asked: Any) -> None:
    table = people(900)
    assert msgspec.json.encode(asked(table)) == msgspec.json.encode(asked(table))


def test_the_worst_of_several_columns_is_said_to_be_of_several(asked: Any) -> None:
    """The value is one column's, an interval's ends may be another's, and n is a group's, not the table's."""
    table = people(3000)
    table["race"] = np.random.default_rng(9).choice(["a", "b", "c"], 3000, p=[0.6, 0.35, 0.05])
    outcome = asked(table, protected=("sex", "race"))
    ratio = measure(outcome, "fairness.selection_ratio")
    assert ratio.method.startswith("worst over sex, race, each end too; value: ")
    assert "n: smaller group" in ratio.method
    assert measure(outcome, "fairness.judged_share").n > 2000, "all rows"
    assert measure(asked(table), "fairness.selection_ratio").method.startswith("sex; ")


def test_the_picture_s_title_counts_the_bars_that_it_draws(asked: Any) -> None:
    outcome = asked(people(6000, flag=(0.1, 0.3)))
    ratios = next(e for e in outcome.exhibits if e.name == "fairness.ratios")
    assert ratios.title == (
        "Surely below 0.8: 0 of 1 ratios of favourable rates, 1 of 1 ratios of unfavourable ones, which no rule bounds"
    )
    below = sum(row.high < ratios.reference for row in ratios.rows)
    assert below == 1
    differences = next(e for e in outcome.exhibits if e.name == "fairness.differences")
    assert differences.title.endswith("differences are surely above 0.1")
