"""The detectable dose: the ladder, its statistics, and what it says of tables that the checks see through or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from assay.core.errors import InputError, UsageError
from assay.core.exhibit import Curve, Table
from assay.core.finding import Finding, Location, Outcome, Severity, Status
from assay.core.subject import Kind, Subject
from assay.core.suspects import Suspects
from assay.engine.plan import Settings
from assay.engine.registry import check_ids
from assay.flow import dose_bench
from assay.flow.dose import ANSWERS, RATES, ROWS_TO_TELL, Plan, dose
from assay.flow.dose_bench import counted
from assay.flow.dose_curve import Rung, by_chance, dose_of, isotonic, search
from assay.flow.dose_report import Answer, Asked, report_of_doses

FACTS: dict[str, Any] = {"label": "y", "positive": 1}


def rung(rate: float, found: int, asked: int = 5) -> Rung:
    return Rung(rate=rate, asked=asked, found=found)


@given(st.integers(2, 60).flatmap(lambda n: st.tuples(*[st.integers(0, n)] * 3, st.just(n))))
def test_chance_is_the_hypergeometric_tail(case: tuple[int, int, int, int]) -> None:
    from scipy.stats import hypergeom

    hits, drawn, planted, rows = case
    assert by_chance(hits, drawn, planted, rows) == pytest.approx(
        hypergeom.sf(hits - 1, rows, planted, drawn), abs=1e-9
    )


def planting(*said: tuple[int, bool], key: str = "new", rows: int = 1000) -> Rung:
    """A rung after one planting of rows 0 to 9, where a check alarms and names `said`, (row, flagged)."""
    table = SimpleNamespace(num_rows=rows)
    finding = Finding(message="m", location=Location(uri="t"), severity=Severity.MEDIUM, key=key)
    outcome = Outcome(check="c", version=1, subject="t", subject_digest="", status=Status.FAIL, findings=(finding,))
    rowless = Suspects(
        check="c", rows=tuple(r for r, _ in said), scores=tuple(float(-i) for i, _ in enumerate(said)),
        flagged=tuple(f for _, f in said), reasons=("",) * len(said),
    )  # fmt: skip
    poisoned = SimpleNamespace(target=None, rows=np.arange(10), table=table)
    return counted(rung(0.01, 0, 0), poisoned, (outcome,), [rowless], {("c", "", "old")}, "c")


def test_an_alarm_over_other_rows_is_no_detection() -> None:
    assert (planting((3, True)).found, planting((3, True)).elsewhere) == (1, 0)
    other = planting((500, True), (501, True))
    assert (other.found, other.elsewhere, other.flagged, other.caught) == (0, 1, 2, 0)
    blind = planting(*[(r, True) for r in range(9, 309)])
    assert (blind.found, blind.elsewhere, blind.caught) == (0, 1, 1), "300 of 1000 rows hold one of ten by chance"
    ranked = planting((3, False), (500, False))
    assert (ranked.found, ranked.top) == (1, 1), "where no row is flagged the strongest are asked"
    assert planting().found == 1, "a check that names no rows speaks of the table"
    old = planting((3, True), key="old")
    assert (old.found, old.elsewhere, old.caught) == (0, 0, 1)


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


def test_every_check_that_answers_exists() -> None:
    here = set(check_ids(Kind.DATASET))
    assert {c for checks in ANSWERS.values() for c in checks} <= here
    assert set(ROWS_TO_TELL) <= here


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


@pytest.mark.usefixtures("here")
def test_a_dose_is_told_with_curve_table_and_sample(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "flooding", ("data.near-duplicates", "data.not-written-yet"))
    said: list[str] = []
    wanted = Plan(attacks=("flooding",), rates=(0.005, 0.1), plantings=3, rows=300, every=True)
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
    assert curve.series[0].x == (0.005, 0.1)
    assert curve.series[0].y == (0.0, 1.0)
    told = {m.name: m for m in outcome.measures}
    assert told["data.dose.flooding"].value == 0.1
    assert told["data.dose.flooding.power_at_highest_rate"].n == 300
    assert told["data.dose.flooding.power_at_highest_rate"].method == "3 of 3 plantings found at 10.00%, exact"
    recall, of_flagged = rates.rows[1][4:6]
    caught, flagged = (int(n) for n in of_flagged.split(" of "))
    assert recall > 0.8
    assert caught > 0.8 * flagged > 0
    assert outcome.parameters["checks asked"] == "data.near-duplicates"
    assert outcome.parameters["rates"] == "0.5%, 10%"
    assert any("300 of 400 rows, drawn with seed 4" in n for n in outcome.notes)
    assert any("flooding" in s for s in said)


def test_the_same_question_has_the_same_answer(table: Path) -> None:
    wanted = Plan(attacks=("outliers",), rates=(0.05,), plantings=1, rows=250)
    first, second = (dose(table, FACTS, wanted, Settings(jobs=jobs)) for jobs in (1, 2))
    assert first.body.encode() == second.body.encode()


def test_what_no_check_answers_for_is_open(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "flips", ("data.not-written-yet",))
    (outcome,) = dose(table, FACTS, Plan(attacks=("flips",)), Settings()).body.outcomes
    assert outcome.status is Status.OPEN
    assert "no check of this version" in outcome.reason
    assert not outcome.measures


@pytest.mark.usefixtures("here")
def test_an_alarm_of_the_clean_table_is_no_detection(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dose_bench, "alarms", lambda outcome: iter([(outcome.check, "", "always")]))
    wanted = Plan(attacks=("outliers",), rates=(0.1,), plantings=2)
    (outcome,) = dose(table, FACTS, wanted, Settings(jobs=2)).body.outcomes
    assert outcome.status is Status.OPEN
    assert "alarms on the clean table already" in outcome.reason
    assert not outcome.measures


@pytest.mark.usefixtures("here")
def test_a_check_that_cannot_look_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 3},{i % 2}\n" for i in range(200)))
    wanted = Plan(attacks=("flooding", "flips"), rates=(0.1,), plantings=2)
    report = dose(path, FACTS, wanted, Settings(jobs=2))
    told = {o.check: o for o in report.body.outcomes}
    assert "too few" in " ".join(told["data.dose.flooding"].notes) + told["data.dose.flooding"].reason


@pytest.mark.usefixtures("here")
def test_texts_are_planted_in_only_where_there_are_some(table: Path) -> None:
    from assay.attacks.poisoning.registry import ATTACKS

    only = Plan(attacks=("text-trigger",), rates=(0.1,), plantings=1)
    (outcome,) = dose(table, FACTS, only, Settings()).body.outcomes
    assert outcome.status is Status.OPEN
    told = {o.check: o.status for o in dose(table, FACTS, Plan(rates=(0.0001,)), Settings(jobs=2)).body.outcomes}
    assert set(told) == {f"data.dose.{name}" for name in ATTACKS}
    assert told.pop("data.dose.text-trigger") is Status.NOT_APPLICABLE
    assert set(told.values()) == {Status.OPEN}


@pytest.mark.usefixtures("here")
def test_an_attack_that_is_not_found_is_open(table: Path) -> None:
    (outcome,) = dose(
        table, FACTS, Plan(attacks=("outliers",), rates=(0.01, 0.2), plantings=1), Settings()
    ).body.outcomes
    assert (outcome.status, outcome.complete) == (Status.OPEN, True)
    assert "at 1.00%, 20.00% of the rows" in outcome.reason
    assert {m.name: m.value for m in outcome.measures} == {"data.dose.outliers.power_at_highest_rate": 0.0}
    assert any("0 of 1 plantings there: at 95%" in f.message for f in outcome.findings)


@pytest.mark.usefixtures("here")
def test_one_rate_draws_no_curve(table: Path) -> None:
    (outcome,) = dose(table, FACTS, Plan(attacks=("outliers",), rates=(0.1,), plantings=1), Settings()).body.outcomes
    assert [type(e) for e in outcome.exhibits] == [Table]


def test_flips_that_no_check_could_tell_are_not_planted(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(dose_bench.Bench, "_ask", lambda *_: asked.append(1))
    wanted = Plan(attacks=("flips", "targeted-flips"))
    told = dose(table, FACTS, wanted, Settings()).body.outcomes
    assert [o.status for o in told] == [Status.OPEN, Status.OPEN]
    assert all("nothing was planted" in o.reason and "--trusted" in o.reason for o in told)
    assert all("the table has 400" in o.reason for o in told)
    assert not asked, "and nothing is asked of the clean table either"
    monkeypatch.setitem(ROWS_TO_TELL, "data.label-flips", 350)
    few = dose(table, FACTS, Plan(attacks=("flips",), rows=300), Settings()).body.outcomes[0]
    assert "ask with --rows 400" in few.reason
    assert not asked


@pytest.mark.heavy
def test_flips_are_planted_with_trusted_rows_or_rows_enough(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Plan(attacks=("flips",), rates=(0.1,), plantings=1)
    (trusted,) = dose(table, FACTS, wanted, Settings(), trusted=table).body.outcomes
    assert "nothing was planted" not in trusted.reason
    monkeypatch.setitem(ROWS_TO_TELL, "data.label-flips", 400)
    (enough,) = dose(table, FACTS, wanted, Settings()).body.outcomes
    assert "nothing was planted" not in enough.reason
    assert enough.exhibits


def test_each_rate_is_planted_with_seeds_of_its_own(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.attacks.poisoning.registry import ATTACKS

    seeds: list[int] = []
    plant = ATTACKS["outliers"].plant

    def noted(source: Any, rate: float, seed: int) -> Any:
        seeds.append(seed)
        return plant(source, rate, seed)

    monkeypatch.setitem(ATTACKS, "outliers", replace(ATTACKS["outliers"], plant=noted))
    monkeypatch.setattr(dose_bench, "EFFECTS", 0)
    dose(table, FACTS, Plan(attacks=("outliers",), rates=(0.05, 0.1), plantings=3, every=True), Settings(seed=1))
    assert len(seeds) == len(set(seeds)) == 6


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


def test_an_attack_that_works_before_it_is_found_is_a_low_finding() -> None:
    few = Rung(rate=0.005, asked=5, found=0, planted=50, effects=((0.0, 0.98),), targets=("1",))
    many = Rung(rate=0.02, asked=5, found=5, planted=50, caught=50, flagged=50, top=50, effects=((0.0, 1.0),))
    subject = Subject(name="t.csv", kind=Kind.DATASET, uri="t.csv", digest="sha256:" + "0" * 64, options={"label": "y"})
    asked = Asked(rows=2000, sample=2000, seed=0, plantings=5, rates=(0.005, 0.02))

    def told(*rungs: Rung) -> Outcome:
        answer = Answer(attack="flooding", success="rows that get it", checks=("data.near-duplicates",), rungs=rungs)
        report = report_of_doses((answer,), asked, subject, Settings(), datetime.now(UTC), 0.0)
        return report.body.outcomes[0]

    hole, dose_ = told(few, many).findings
    assert (told(few, many).status, hole.severity, dose_.severity) == (Status.FAIL, Severity.LOW, Severity.INFO)
    assert "flooding (toward 1) works before it is found: at 0.50%" in hole.message
    assert hole.fingerprint != dose_.fingerprint != ""
    weak = msgspec.structs.replace(few, effects=((0.6, 0.7),))
    assert [f.severity for f in told(weak, many).findings] == [Severity.INFO]
    assert told(weak, many).status is Status.PASS
