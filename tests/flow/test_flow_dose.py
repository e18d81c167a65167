"""The detectable dose: the ladder, its statistics, and what it says of tables that the checks see through or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import InputError, UsageError
from assay.core.exhibit import Curve, Table
from assay.core.finding import Status
from assay.engine.plan import Settings
from assay.flow import dose as room
from assay.flow.dose import ANSWERS, RATES, Plan, dose
from assay.flow.dose_curve import Rung, dose_of, exact, isotonic, search

FACTS: dict[str, Any] = {"label": "y", "positive": 1}


def rung(rate: float, found: int, asked: int = 5) -> Rung:
    return Rung(rate=rate, asked=asked, found=found)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (3, 10, 0.0667, 0.6525)]
)
def test_intervals_are_clopper_and_pearsons(hits: int, n: int, low: float, high: float) -> None:
    assert exact(hits, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_intervals_agree_with_scipy(case: tuple[int, int], level: float) -> None:
    from scipy.stats import binomtest

    told = binomtest(*case).proportion_ci(level, "exact")
    assert exact(*case, level) == pytest.approx((told.low, told.high), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=8))
def test_isotonic_power_rises_and_is_the_nearest_such(counts: list[tuple[int, int]]) -> None:
    from sklearn.isotonic import isotonic_regression

    rungs = tuple(rung(i + 1, hits, hits + rest + 1) for i, (hits, rest) in enumerate(counts))
    weights = [r.asked for r in rungs]
    assert isotonic(rungs) == pytest.approx(isotonic_regression([r.power for r in rungs], sample_weight=weights))


@given(st.integers(0, 8), st.booleans())
def test_bisection_finds_the_step(step: int, every: bool) -> None:
    asked: list[float] = []

    def ask(rate: float) -> Rung:
        asked.append(rate)
        return rung(rate, 5 if RATES.index(rate) >= step else 0)

    rungs = search(RATES, ask, every)
    told = dose_of(rungs)
    assert told.value == (RATES[step] if step < len(RATES) else None)
    assert len(asked) == (len(RATES) if every else len(set(asked)))
    assert len(asked) <= (8 if every else 4)
    assert [r.rate for r in rungs] == sorted(r.rate for r in rungs)


def test_rates_that_cannot_be_planted_end_the_ladder() -> None:
    rungs = search(RATES, lambda rate: None if rate > 0.01 else rung(rate, 0), False)
    assert rungs[-1].rate == 0.01
    assert dose_of(rungs).value is None
    assert search(RATES, lambda rate: None, False) == search(RATES, lambda rate: None, True) == ()


def test_few_plantings_make_no_sure_upper_end() -> None:
    few = dose_of((rung(0.01, 0), rung(0.02, 5)))
    assert (few.value, few.above, few.below) == (0.02, 0.01, None)
    many = dose_of((rung(0.01, 0, 30), rung(0.02, 30, 30)))
    assert (many.value, many.above, many.below) == (0.02, 0.01, 0.02)
    assert dose_of((rung(0.01, 3),)).above == 0


def test_every_attack_has_checks_that_answer_for_it() -> None:
    from assay.attacks.poisoning.registry import ATTACKS

    assert set(ANSWERS) == set(ATTACKS)
    assert all(ANSWERS.values())


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 rows whose numbers are all different, by a rule that trees learn."""
    pytest.importorskip("lightgbm")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).cumsum(axis=1)
    path = tmp_path_factory.mktemp("dose") / "t.csv"
    lines = [",".join(f"{v:.5f}" for v in row) + f",{int(row[1] + row[4] > 0)}" for row in x]
    path.write_text("a,b,c,d,e,f,y\n" + "\n".join(lines) + "\n")
    return path


def test_a_dose_is_told_with_curve_table_and_sample(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "flooding", ("data.near-duplicates", "data.not-written-yet"))
    said: list[str] = []
    wanted = Plan(attacks=("flooding",), rates=(0.005, 0.2), plantings=3, rows=300, every=True)
    before = table.read_bytes()
    report = dose(
        table, FACTS, wanted, Settings(jobs=2, seed=4), progress=lambda done, total, what="": said.append(what)
    )
    assert table.read_bytes() == before
    (outcome,) = report.body.outcomes
    assert outcome.status is Status.PASS
    curve, rates = outcome.exhibits
    assert isinstance(curve, Curve)
    assert isinstance(rates, Table)
    assert curve.series[0].x == (0.005, 0.2)
    assert curve.series[0].y == (0.0, 1.0)
    told = {m.name: m for m in outcome.measures}
    assert told["data.dose.flooding"].value == 0.2
    assert told["data.dose.flooding.power_at_highest_rate"].n == 3
    recall, precision = rates.rows[1][4:6]
    assert recall > 0.8
    assert precision > 0.8
    assert any("300 of 400 rows, drawn with seed 4" in n for n in outcome.notes)
    assert any("flooding" in s for s in said)


def test_the_same_question_has_the_same_answer(table: Path) -> None:
    wanted = Plan(attacks=("outliers",), rates=(0.05,), plantings=2)
    first, second = (dose(table, FACTS, wanted, Settings(jobs=jobs)) for jobs in (1, 2))
    assert first.body.encode() == second.body.encode()


def test_what_no_check_answers_for_is_open(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "flips", ("data.not-written-yet",))
    (outcome,) = dose(table, FACTS, Plan(attacks=("flips",)), Settings()).body.outcomes
    assert outcome.status is Status.OPEN
    assert "no check of this version" in outcome.reason
    assert not outcome.measures


def test_an_alarm_of_the_clean_table_is_no_detection(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_alarms", lambda outcome: iter([(outcome.check, "", "always")]))
    wanted = Plan(attacks=("outliers",), rates=(0.1,), plantings=2)
    (outcome,) = dose(table, FACTS, wanted, Settings(jobs=2)).body.outcomes
    assert outcome.status is Status.OPEN
    assert "alarms on the clean table already" in outcome.reason
    assert not outcome.measures


def test_a_check_that_cannot_look_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 3},{i % 2}\n" for i in range(200)))
    wanted = Plan(attacks=("flooding", "flips"), rates=(0.1,), plantings=2)
    report = dose(path, FACTS, wanted, Settings(jobs=2))
    told = {o.check: o for o in report.body.outcomes}
    assert "too few" in " ".join(told["data.dose.flooding"].notes) + told["data.dose.flooding"].reason


def test_texts_are_planted_in_only_where_there_are_some(table: Path) -> None:
    from assay.attacks.poisoning.registry import ATTACKS

    only = Plan(attacks=("text-trigger",), rates=(0.1,), plantings=1)
    (outcome,) = dose(table, FACTS, only, Settings()).body.outcomes
    assert outcome.status is Status.OPEN
    told = {o.check: o.status for o in dose(table, FACTS, Plan(rates=(0.0001,)), Settings(jobs=2)).body.outcomes}
    assert set(told) == {f"data.dose.{name}" for name in ATTACKS}
    assert told.pop("data.dose.text-trigger") is Status.NOT_APPLICABLE
    assert set(told.values()) == {Status.OPEN}


def test_an_attack_that_is_not_found_is_open(table: Path) -> None:
    (outcome,) = dose(
        table, FACTS, Plan(attacks=("outliers",), rates=(0.01, 0.2), plantings=1), Settings()
    ).body.outcomes
    assert (outcome.status, outcome.complete) == (Status.OPEN, True)
    assert "at 1.00%, 20.00% of the rows" in outcome.reason
    assert {m.name: m.value for m in outcome.measures} == {"data.dose.outliers.power_at_highest_rate": 0.0}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (Plan(attacks=("flip",)), "did you mean flips"),
        (Plan(rates=()), "rates"),
        (Plan(rates=(0.6,)), "rates"),
        (Plan(plantings=0), "plant 1 to"),
        (Plan(rows=3), "plant 1 to"),
    ],
)
def test_what_cannot_be_asked_is_refused(table: Path, wanted: Plan, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        dose(table, FACTS, wanted, Settings())


def test_rows_that_are_no_file_are_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="regular file"):
        dose(table, FACTS, Plan(attacks=("outliers",)), Settings(), trusted=tmp_path / "absent.csv")
