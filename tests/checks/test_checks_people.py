"""data.representation and data.annotators: planted groups and annotators are told, honest ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said
from msgspec.structs import replace

from assay.detectors.annotators import agreement

pytest.importorskip("lightgbm")
GROUPS, WHO = "data.representation", "data.annotators"
Columns = dict[str, list[Any]]


def people(rows: int, seed: int, women: float = 0.5) -> Columns:
    rng = np.random.default_rng(seed)
    return {
        "sex": ["f" if x else "m" for x in rng.random(rows) < women],
        "age": rng.integers(18, 90, rows).tolist(),
        "income": rng.normal(size=rows).round(3).tolist(),
        "y": (rng.random(rows) < 0.3).astype(int).tolist(),
    }


def beside(bench: Bench, name: str, trusted: str) -> str:
    bench.subjects[name] = replace(bench.subjects[name], reads={"trusted": trusted})
    return name


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_groups_as_they_are_in_the_world_pass(bench: Bench, seed: int) -> None:
    bench.table(people(4000, seed + 50), "world", label="y", positive=1)
    outcome = bench.ask(GROUPS, beside(bench, bench.table(people(2000, seed), label="y", positive=1), "world"))
    assert (str(outcome.status), said(outcome)) == ("pass", [])
    assert measure(outcome, "data.representation.smallest_share").value == pytest.approx(0.25, abs=0.02)
    gap = measure(outcome, "data.representation.positive_gap")
    assert gap.low <= gap.value <= gap.high


def test_a_group_that_is_half_as_many_as_in_the_world(bench: Bench) -> None:
    bench.table(people(4000, 1), "world", label="y", positive=1)
    outcome = bench.ask(GROUPS, beside(bench, bench.table(people(2000, 2, women=0.25), label="y", positive=1), "world"))
    found = finding(outcome, "sex f is")
    assert (str(found.severity), found.evidence["high"] < 0.8) == ("medium", True)
    assert len(outcome.findings) == 1


def test_a_group_that_is_gone_altogether(bench: Bench) -> None:
    bench.table(people(4000, 1), "world", label="y", positive=1)
    outcome = bench.ask(GROUPS, beside(bench, bench.table(people(2000, 2, women=0.0), label="y", positive=1), "world"))
    assert finding(outcome, "sex f is 0.0%").evidence["rows"] == 0


def test_groups_too_small_to_judge_and_rare_values_that_are_not_named(bench: Bench) -> None:
    table = people(1000, 3)
    table["sex"] = ["x-very-own" if i < 3 else "d" if i < 60 else s for i, s in enumerate(table["sex"])]
    outcome = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"]))
    found = finding(outcome, "too small to be judged")
    assert (str(found.severity), found.evidence["small"]) == ("low", 2)
    assert "d (57)" in found.message
    assert "x-very-own" not in str(outcome)


def test_rows_of_one_person_do_not_pass_for_many(bench: Bench) -> None:
    table = {**people(1000, 4), "who": [i // 50 for i in range(1000)]}
    alone = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"]))
    outcome = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"], entity="who"))
    assert said(alone) == []
    assert finding(outcome, "too small to be judged").evidence["small"] == 2


def test_weights_that_put_a_group_right_count(bench: Bench) -> None:
    bench.table(people(4000, 1), "world", label="y", positive=1)
    table = people(4000, 2, women=0.25)
    table["w"] = [3.0 if x == "f" else 1.0 for x in table["sex"]]
    plain = beside(bench, bench.table(table, "plain", label="y", positive=1, drop=["w"]), "world")
    weighted = beside(bench, bench.table(table, "weighted", label="y", positive=1, weight="w"), "world")
    assert [str(f.severity) for f in bench.ask(GROUPS, plain).findings] == ["medium"]
    assert said(bench.ask(GROUPS, weighted)) == []


def test_few_rows_with_most_of_the_weight_pass_for_few(bench: Bench) -> None:
    table = {**people(4000, 5), "w": [1000.0 if i < 50 else 0.01 for i in range(4000)]}
    outcome = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"], weight="w"))
    assert finding(outcome, "too small to be judged").evidence["small"] == 2


@pytest.mark.parametrize("size", [1e200, 1e-320])
def test_equal_weights_of_any_size_are_no_weights(bench: Bench, size: float) -> None:
    table = people(600, 7)
    plain = bench.ask(GROUPS, bench.table(table, "plain", label="y", positive=1))
    heavy = bench.ask(GROUPS, bench.table({**table, "w": [size] * 600}, "plain", label="y", positive=1, weight="w"))
    assert (str(heavy.status), heavy.measures, heavy.exhibits) == (str(plain.status), plain.measures, plain.exhibits)
    assert {type(v) for m in plain.measures for v in (m.value, m.low, m.high)} == {float}


def test_a_group_is_judged_by_its_own_draws(bench: Bench) -> None:
    """Men come in 100 rows a person and women in one: the women are as many draws as without an entity."""
    women = {**people(400, 8, women=1.0), "who": list(range(400))}
    men = {**people(2000, 9, women=0.0), "who": [1000 + i // 100 for i in range(2000)]}
    table = {name: [*women[name], *men[name]] for name in women}
    outcome = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"], entity="who"))
    assert "m (2000)" in finding(outcome, "1 of 2 groups of sex are too small").message


def test_a_few_heavy_rows_do_not_pass_for_a_group_that_is_surely_too_small(bench: Bench) -> None:
    """One woman's weight swings the share; with one size for the whole table the finding was sure of itself."""
    bench.table(people(4000, 1, women=0.09), "world", label="y", positive=1)
    table = {**people(4000, 2, women=0.0), "w": [0.3 if i < 40 else 1.0 for i in range(4000)]}
    table["sex"] = ["f" if i < 40 else "m" for i in range(4000)]
    table["w"][0] = 100.0
    outcome = bench.ask(GROUPS, beside(bench, bench.table(table, label="y", positive=1, weight="w"), "world"))
    assert "medium" not in [severity for severity, _ in said(outcome)]
    table["w"][0] = 1.0
    outcome = bench.ask(GROUPS, beside(bench, bench.table(table, "sure", label="y", positive=1, weight="w"), "world"))
    assert "medium" in [severity for severity, _ in said(outcome)]


@pytest.mark.parametrize("bad", [-1.0, float("inf"), 0.0, "heavy"])
def test_weights_that_are_none_are_no_pass(bench: Bench, bad: Any) -> None:
    table = {**people(500, 6), "w": [bad] * 500 if bad in (0.0, "heavy") else [1.0] * 499 + [bad]}
    outcome = bench.ask(GROUPS, bench.table(table, label="y", positive=1, protected=["sex"], weight="w"))
    assert (str(outcome.status), "weight" in outcome.reason) == ("open", True)


def test_without_a_protected_column_nothing_is_asked(bench: Bench) -> None:
    outcome = bench.ask(GROUPS, bench.table({"a": [1, 2], "b": [3, 4]}))
    assert str(outcome.status) == "not-applicable"


def labelled(seed: int, rows: int = 3000, odd: str = "") -> Columns:
    """Rows that three columns explain well, labelled by ten people; the tenth may be odd."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    y = (x.sum(axis=1) + rng.normal(size=rows) * 0.5 > 0.8).astype(int)
    who = rng.integers(0, 10, rows)
    delay = np.exp(rng.normal(3, 0.5, rows))
    mine = who == 9
    if odd == "contradicts":
        y[mine] = np.where(rng.random(mine.sum()) < 0.7, 1 - y[mine], y[mine])
    elif odd == "constant":
        y[mine] = 0
    elif odd == "hasty":
        delay[mine] /= 10
    columns: Columns = {f"x{i}": x[:, i].round(4).tolist() for i in range(3)}
    return {**columns, "who": [f"name-{k}" for k in who], "delay": delay.round(3).tolist(), "y": y.tolist()}


FACTS = {"label": "y", "positive": 1, "annotator": "who", "label_delay": "delay"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_honest_annotators_pass(bench: Bench, seed: int) -> None:
    outcome = bench.ask(WHO, bench.table(labelled(seed), **FACTS), seed=seed)
    assert (str(outcome.status), outcome.complete, said(outcome)) == ("pass", True, [])


@pytest.mark.parametrize(
    ("odd", "severity", "words"),
    [
        ("contradicts", "high", "contradict the others'"),
        ("constant", "medium", "gave one label only"),
        ("hasty", "medium", "labels in a median time"),
    ],
)
def test_an_odd_annotator_is_told_by_a_row_and_not_by_name(bench: Bench, odd: str, severity: str, words: str) -> None:
    table = labelled(4, odd=odd)
    outcome = bench.ask(WHO, bench.table(table, **FACTS), seed=4)
    found = finding(outcome, words)
    assert str(found.severity) == severity
    assert found.location.row is not None
    assert table["who"][found.location.row] == "name-9"
    assert "name-9" not in str(outcome)


def test_people_who_agree_little_on_the_same_things(bench: Bench) -> None:
    base = labelled(5, rows=600)
    rng = np.random.default_rng(5)
    table = {n: [*v, *v] for n, v in base.items()}
    table["who"] = [f"name-{k % 2 + 2 * (k >= 600)}" for k in range(1200)]
    table["case"] = [*range(600), *range(600)]
    agree = bench.ask(WHO, bench.table(table, **FACTS, id="case"))
    assert measure(agree, "data.annotators.alpha").value == 1.0
    table["y"] = [*base["y"], *(int(v) for v in rng.random(600) < 0.5)]
    outcome = bench.ask(WHO, bench.table(table, **FACTS, id="case"))
    assert str(finding(outcome, "people agree little").severity) == "medium"
    assert measure(outcome, "data.annotators.alpha").high < 0.3


def test_krippendorffs_own_example() -> None:
    """Two observers, ten things, nominal: alpha .095 (Krippendorff 2011, section B)."""
    import pyarrow as pa

    first, second = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    items, who = np.array([*range(10), *range(10)]), np.array([0] * 10 + [1] * 10)
    found = agreement(items, who, pa.chunked_array([pa.array([*first, *second])]), 0)
    assert found is not None
    assert found.alpha == pytest.approx(0.095, abs=0.001)


def test_without_an_annotator_or_with_too_few_rows(bench: Bench) -> None:
    table = labelled(1, rows=100)
    assert str(bench.ask(WHO, bench.table(table, label="y", positive=1)).status) == "not-applicable"
    few = bench.ask(WHO, bench.table(table, **FACTS))
    assert (str(few.status), "too few to learn from" in few.reason) == ("open", True)
    absent = bench.ask(WHO, bench.table(table, **{**FACTS, "annotator": "gone"}))
    assert (str(absent.status), "gone" in absent.reason) == ("open", True)
