"""data.injected-rows and data.odd-values: planted rows are named, clean tables are silent, torn ones are open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said, write_columns

from assay.core.subject import Kind, Subject
from assay.core.suspects import Suspects
from assay.engine.inline import InlineExecutor
from assay.engine.task import Task

pytest.importorskip("lightgbm")
CHECKS = ("data.injected-rows", "data.odd-values")


def suspects(folder: Path, check: str, columns: dict[str, Any], **others: dict[str, Any]) -> tuple[Any, Suspects]:
    """(outcome, suspects) of a check of columns; `others` are tables by role."""
    subjects, reads = {}, {}
    for role, content in {**others, "t": columns}.items():
        write_columns(content, folder / f"{role}.csv")
        options = {"label": "y", "positive": 1}
        subjects[role] = Subject(
            name=role, kind=Kind.DATASET, uri=f"{role}.csv", options=options, reads=dict(reads) if role == "t" else {}
        )
        reads[role] = role
    (folder / "found").mkdir(exist_ok=True)
    task = Task(
        check=check, subject="t", root=str(folder), subjects=subjects, parameters={}, seed=0,
        aside=str(folder / "found"),
    )  # fmt: skip
    ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
    file = folder / "found" / f"{check}.msgpack"
    assert file.exists(), (outcome.status, outcome.reason)
    return outcome, msgspec.msgpack.decode(file.read_bytes(), type=Suspects)


def columns(seed: int, rows: int = 2000, broken: float = 0.0) -> tuple[dict[str, Any], Any]:
    """Six columns that follow two hidden ones, a category and a label; a part of the rows of unrelated values."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 2))
    matrix = hidden @ rng.normal(size=(2, 6)) + 0.2 * rng.normal(size=(rows, 6))
    at = rng.choice(rows, round(broken * rows), replace=False)
    for j in range(6):
        matrix[at, j] = rng.permutation(matrix[:, j])[: len(at)]
    kind = np.where(hidden[:, 0] > 0, "up", "down")
    y = (hidden[:, 1] + 0.3 * rng.normal(size=rows) > 0).astype(int)
    return {**{f"c{i}": matrix[:, i] for i in range(6)}, "kind": kind, "y": y}, at


def test_rows_of_unrelated_values_are_a_finding_and_flagged(tmp_path: Path) -> None:
    table, at = columns(1, broken=0.02)
    outcome, found = suspects(tmp_path, "data.injected-rows", table)
    told = finding(outcome, "look put together from unrelated values")
    assert str(told.severity) == "medium"
    assert len(found.rows) == 2000 == len(set(found.rows))
    flagged = [row for row, flag in zip(found.rows, found.flagged, strict=True) if flag]
    assert np.isin(flagged, at).mean() >= 0.7
    assert np.isin(at, flagged).mean() >= 0.5
    assert found.scores == tuple(sorted(found.scores, reverse=True))
    assert all(bool(reason) == flag for reason, flag in zip(found.reasons, found.flagged, strict=True))
    assert "is surprising given the rest" in found.reasons[0]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_a_clean_table_flags_nothing(tmp_path: Path, check: str, seed: int) -> None:
    outcome, found = suspects(tmp_path, check, columns(seed, 1200)[0])
    assert str(outcome.status) == "pass", said(outcome)
    assert not any(found.flagged)
    assert not any(found.reasons)


def test_columns_that_have_nothing_to_do_with_each_other_are_a_note(bench: Bench) -> None:
    rng = np.random.default_rng(2)
    outcome = bench.ask("data.injected-rows", bench.table({f"c{i}": rng.normal(size=900) for i in range(4)}))
    assert str(outcome.status) == "pass"
    assert [severity for severity, _ in said(outcome)] == ["info"]
    assert "injected rows could hide" in outcome.findings[0].message
    assert measure(outcome, "data.injected_rows.power").value < 0.3


def test_a_value_far_outside_is_a_low_finding_that_names_the_row_and_not_the_value(tmp_path: Path) -> None:
    table, _ = columns(3, 600)
    table["c2"] = table["c2"].copy()
    table["c2"][41] = 77777777.0
    outcome, found = suspects(tmp_path, "data.odd-values", table)
    told = finding(outcome, "1 value of c2 lie far outside all others, first in row 41")
    assert str(told.severity) == "low"
    assert found.rows[0] == 41
    assert [row for row, flag in zip(found.rows, found.flagged, strict=True) if flag] == [41]
    assert "7777" not in str(outcome)


def test_a_row_that_is_far_in_two_columns_is_a_finding_of_each(bench: Bench) -> None:
    table, _ = columns(3, 600)
    table["c2"], table["c4"] = table["c2"].copy(), table["c4"].copy()
    table["c2"][41], table["c4"][41] = 77777777.0, -99999999.0
    outcome = bench.ask("data.odd-values", bench.table(table, label="y", positive=1))
    assert [f.location.column for f in outcome.findings] == ["c2", "c4"]
    assert measure(outcome, "data.odd_values.far_rows").value == 1


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    ("content", "states"),
    [
        ("a,b\n", {"open"}),
        ("", {"open"}),
        ("a,b\n1,2\n", {"open"}),
        ("a,b\n" + "1,\n" * 700, {"open", "pass"}),
        ("a,b\n" + ",\n" * 700, {"open", "pass"}),
        ("a\n" + "\n".join(map(str, range(700))), {"open", "pass"}),
        ("a,b\n" + "\n".join(f"k{i},v{i}" for i in range(700)), {"open", "pass"}),
        ("a,b\n1,2,3\n4\n", {"open"}),
        (b"\x00\xff" * 300, {"open"}),
    ],
)
def test_bad_input_is_a_clear_line(bench: Bench, check: str, content: str | bytes, states: set[str]) -> None:
    outcome = bench.ask(check, bench.table(content))
    assert str(outcome.status) in states, (outcome.status, said(outcome))
    assert outcome.reason or str(outcome.status) == "pass"


def flips(seed: int, rows: int, missed: float) -> tuple[dict[str, Any], Any]:
    """Two normal classes, and which positives are called negative."""
    rng = np.random.default_rng([seed, rows])
    target = rng.random(rows) < 0.4
    x = rng.normal(size=(rows, 5))
    x[target, :2] += 1.8
    wrong = target & (rng.random(rows) < missed)
    return {**{f"x{i}": x[:, i] for i in range(5)}, "y": (target & ~wrong).astype(int)}, wrong


def test_every_row_gets_a_suspicion_of_its_label(tmp_path: Path) -> None:
    table, wrong = flips(1, 2000, 0.2)
    _, found = suspects(tmp_path, "data.label-flips", table)
    assert sorted(found.rows) == list(range(2000))
    top = list(found.rows[: wrong.sum()])
    assert wrong[top].mean() >= 0.65
    assert not any(found.flagged), "2,000 rows do not tell wrong labels from hard rows"


def test_with_trusted_rows_the_count_is_told_and_as_many_are_flagged(tmp_path: Path) -> None:
    table, wrong = flips(2, 3000, 0.2)
    outcome, found = suspects(tmp_path, "data.label-flips", table, trusted=flips(3, 600, 0.0)[0])
    told = finding(outcome, "labels are wrong (95%")
    assert (str(told.severity), told.evidence["said"]) == ("medium", "negative")
    count = measure(outcome, "data.label_flips.missed_count")
    assert count.low <= wrong.sum() <= count.high
    assert sum(found.flagged) >= count.low - 1 > 0
    flagged = [row for row, flag in zip(found.rows, found.flagged, strict=True) if flag]
    assert wrong[flagged].mean() >= 0.75


def test_clean_labels_with_trusted_rows_flag_nothing(tmp_path: Path) -> None:
    outcome, found = suspects(tmp_path, "data.label-flips", flips(4, 1200, 0.0)[0], trusted=flips(5, 500, 0.0)[0])
    assert str(outcome.status) == "pass", said(outcome)
    assert sum(found.flagged) <= 10


@pytest.mark.parametrize("entity", [None, "who"])
def test_copies_of_trusted_rows_and_rows_of_one_entity_are_one_draw(bench: Bench, entity: str | None) -> None:
    """100 of them, ten times each: too few to compare with, though there are 1,000 rows."""
    facts: dict[str, Any] = {"label": "y", "positive": 1, **({"entity": entity} if entity else {})}
    table, trusted = ({n: np.repeat(v, 10) for n, v in flips(seed, 100, 0.0)[0].items()} for seed in (6, 7))
    for one in (table, trusted):
        one["who"] = np.repeat(np.arange(100), 10)
        one["x4"] = one["x4"] + (np.random.default_rng(1).normal(size=1000) if entity else 0)
    if not entity:
        facts["drop"] = ["who"]
    bench.table(trusted, "good", **facts)
    bench.table(table, "t", **facts)
    bench.subjects["t"] = msgspec.structs.replace(bench.subjects["t"], reads={"trusted": "good"})
    outcome = bench.ask("data.label-flips", "t")
    assert str(outcome.status) == "open"
    assert "the 1000 trusted rows (worth 100 draws" in outcome.reason


@pytest.mark.parametrize(("rows", "reason"), [(100, "too few to compare with")])
def test_too_few_trusted_rows_are_open(tmp_path: Path, bench: Bench, rows: int, reason: str) -> None:
    bench.table(flips(6, rows, 0.0)[0], "good", label="y", positive=1)
    bench.table(flips(7, 600, 0.0)[0], "t", label="y", positive=1)
    bench.subjects["t"] = msgspec.structs.replace(bench.subjects["t"], reads={"trusted": "good"})
    outcome = bench.ask("data.label-flips", "t")
    assert str(outcome.status) == "open"
    assert reason in outcome.reason


def test_columns_that_were_not_looked_at_leave_the_check_open(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.detectors import injected_rows

    table, _ = columns(1, rows=600)
    whole = bench.ask("data.injected-rows", bench.table(table, label="y", positive=1))
    assert whole.complete
    assert all("looked at" not in m.method for m in whole.measures)
    monkeypatch.setattr(injected_rows, "WIDEST", 5)
    part = bench.ask("data.injected-rows", bench.table(table, label="y", positive=1))
    assert not part.complete
    assert "2 of 7 columns that vary were not looked at" in part.reason
    assert "drawn with seed 0" in part.reason
    assert "5 of 7 columns looked at" in measure(part, "data.injected_rows.share").method
    monkeypatch.setattr(injected_rows, "WIDEST", 1000)
    monkeypatch.setattr(injected_rows, "MOST_COLUMNS", 4)
    chosen = bench.ask("data.injected-rows", bench.table(table, label="y", positive=1))
    assert chosen.complete  # all were asked how much they have to do with each other
    assert "4 of 7 columns looked at" in measure(chosen, "data.injected_rows.power").method
