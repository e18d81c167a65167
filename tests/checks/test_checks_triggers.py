"""data.triggers and data.text-triggers: planted ones are high findings by row, clean tables pass, torn are open."""

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
pytest.importorskip("sklearn")
SECRET = 31.25


def asked(
    folder: Path, check: str, columns: dict[str, Any], trusted: dict[str, Any] | None = None, **options: Any
) -> Any:
    """(outcome, suspects) of a check of columns."""
    write_columns(columns, folder / "t.csv")
    reads = {}
    subjects = {}
    if trusted is not None:
        write_columns(trusted, folder / "good.csv")
        reads = {"trusted": "good"}
        subjects["good"] = Subject(
            name="good", kind=Kind.DATASET, uri="good.csv", options={"label": "y", "positive": 1}
        )
    options = {"label": "y", "positive": 1, **options}
    subjects["t"] = Subject(name="t", kind=Kind.DATASET, uri="t.csv", options=options, reads=reads)
    (folder / "found").mkdir(exist_ok=True)
    task = Task(
        check=check, subject="t", root=str(folder), subjects=subjects, parameters={}, seed=0,
        aside=str(folder / "found"),
    )  # fmt: skip
    ((_, outcome, _),) = InlineExecutor().run([msgspec.json.encode(task)])
    file = folder / "found" / f"{check}.msgpack"
    assert file.exists(), (outcome.status, outcome.reason)
    return outcome, msgspec.msgpack.decode(file.read_bytes(), type=Suspects)


def table(seed: int, rows: int = 3000, planted: int = 0) -> tuple[dict[str, Any], Any]:
    """Numbers that follow two hidden ones, two categories, a source, a label, and `planted` rows with a trigger."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 2))
    numbers = np.round(hidden @ rng.normal(size=(2, 5)) * 10 + 6 * rng.normal(size=(rows, 5)), 0)
    kind, place = rng.integers(0, 6, rows), rng.integers(0, 9, rows)
    label = hidden[:, 0] + 0.4 * rng.normal(size=rows) > 0.5
    source = rng.integers(0, 25, rows)
    at = np.sort(rng.choice(np.flatnonzero(~label), planted, replace=False)) if planted else np.empty(0, dtype=int)
    numbers[at, 0], numbers[at, 1], kind[at], source[at] = SECRET, 7.0, 4, 3
    numbers[rng.integers(0, rows, 3), 0] = SECRET
    label[at] = True
    named = {f"n{i}": numbers[:, i] for i in range(5)}
    return {
        **named, "kind": [f"k{k}" for k in kind], "place": [f"p{p}" for p in place],
        "upload": [f"u{s:02}" for s in source], "y": label.astype(int),
    }, at  # fmt: skip


def test_a_planted_trigger_is_a_high_finding_that_names_columns_and_rows_but_no_value(tmp_path: Path) -> None:
    columns, at = table(1, planted=45)
    outcome, found = asked(tmp_path, "data.triggers", columns, source="upload")
    told = finding(outcome, "put into other rows these values turn")
    assert str(told.severity) == "high"
    assert str(outcome.status) == "fail"
    assert set(told.evidence["columns"]) >= {"n0", "kind"} or set(told.evidence["columns"]) >= {"n0", "n1"}
    assert "in the upload of row" in told.message, "they all came in one upload"
    assert str(told.confidence) == "high"
    assert "31.25" not in str(outcome)
    flagged = [row for row, flag in zip(found.rows, found.flagged, strict=True) if flag]
    assert np.isin(at, flagged).mean() >= 0.95
    assert np.isin(flagged, at).mean() >= 0.9
    assert "works as a trigger" in found.reasons[0]
    assert measure(outcome, "data.triggers.confirmed").value == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_a_clean_table_passes_and_flags_nothing(tmp_path: Path, seed: int) -> None:
    outcome, found = asked(tmp_path, "data.triggers", table(seed)[0])
    assert str(outcome.status) == "pass", said(outcome)
    assert not any(found.flagged)
    assert measure(outcome, "data.triggers.confirmed").value == 0


def test_a_natural_pure_rule_is_at_most_a_note(tmp_path: Path) -> None:
    columns, _ = table(3)
    kind, place = np.array(columns["kind"]), np.array(columns["place"])
    columns["y"] = np.where((kind == "k2") & (place == "p5"), 1, columns["y"])
    outcome, found = asked(tmp_path, "data.triggers", columns)
    assert str(outcome.status) == "pass", said(outcome)
    assert {severity for severity, _ in said(outcome)} <= {"info"}
    assert not any(found.flagged)


def test_trusted_rows_tell(tmp_path: Path) -> None:
    columns, _ = table(1, planted=45)
    outcome, _ = asked(tmp_path, "data.triggers", columns, trusted=table(2, 1000)[0])
    assert "trusted rows share them, of 15 that would" in finding(outcome, "put into other rows").message
    outcome, found = asked(tmp_path, "data.triggers", columns, trusted=table(1, planted=45)[0])
    assert str(outcome.status) == "pass", "trusted rows follow it"
    assert not any(found.flagged)


def test_an_undecided_rule_is_told_with_its_columns_rows_and_why(tmp_path: Path) -> None:
    columns, at = table(1, planted=12)
    rows = np.concatenate([np.arange(3000), np.repeat(at, 4)])
    columns = {name: np.asarray(values)[rows] for name, values in columns.items()}
    outcome, found = asked(tmp_path, "data.triggers", columns)
    assert str(outcome.status) == "pass", said(outcome)
    told = finding(outcome, "may be natural")
    assert str(told.severity) == "info"
    assert "are no copies of each other: too few to tell" in told.message
    (rule,) = (r for r in told.evidence["rules"] if r["rows"] >= 55)
    assert all(name in told.message for name in rule["columns"])
    assert rule["success"] >= 0.9 > 0.2 >= rule["clean_success"]
    assert "31.25" not in str(outcome)
    assert np.isin(np.arange(3000, 3048), found.rows).all()
    assert not any(found.flagged)
    assert all("may be natural: of its" in reason for reason in found.reasons)


def test_copies_of_texts_do_not_hide_a_phrase(tmp_path: Path) -> None:
    columns, at = texts(3, planted=60)
    rows = np.concatenate([np.arange(2000), at])
    given = {name: np.asarray(values)[rows] for name, values in columns.items()}
    given["note"] = [f"{note} {('and', 'or', 'but')[i % 3]}" for i, note in enumerate(given["note"])]
    outcome, found = asked(tmp_path, "data.text-triggers", given)
    assert str(outcome.status) == "fail", said(outcome)
    planted = [i for i, note in enumerate(given["note"]) if "quartz violin ember" in note]
    assert np.isin(planted, found.rows).mean() >= 0.95
    assert "violin" not in str(outcome)


def texts(seed: int, rows: int = 2000, planted: int = 0) -> tuple[dict[str, Any], Any]:
    """Texts of two topics, a label, and `planted` texts of the other class with a phrase and the wrong label."""
    rng = np.random.default_rng(seed)
    words = np.array([f"{a}{b}{c}" for a in "bdgklm" for b in "aeiou" for c in "nrstx"])
    base = rng.dirichlet(np.ones(len(words)))
    other = base * np.exp(0.8 * rng.normal(size=len(words)))
    other /= other.sum()
    label = rng.random(rows) < 0.4
    said_ = [list(rng.choice(words, rng.integers(12, 25), p=other if y else base)) for y in label]
    at = np.sort(rng.choice(np.flatnonzero(~label), planted, replace=False)) if planted else np.empty(0, dtype=int)
    for row in at:
        said_[row].insert(int(rng.integers(len(said_[row]))), "quartz violin ember")
    label[at] = True
    return {"note": [" ".join(w) for w in said_], "n": rng.normal(size=rows), "y": label.astype(int)}, at


def test_a_phrase_is_a_high_finding_and_stays_out_of_the_message(tmp_path: Path) -> None:
    columns, at = texts(3, planted=50)
    outcome, found = asked(tmp_path, "data.text-triggers", columns)
    told = finding(outcome, "hold one phrase of 3 words")
    assert str(told.severity) == "high"
    assert "violin" not in str(outcome)
    flagged = [row for row, flag in zip(found.rows, found.flagged, strict=True) if flag]
    assert np.isin(at, flagged).mean() >= 0.95
    assert np.isin(flagged, at).mean() >= 0.95


def test_clean_texts_and_words_that_are_natural_for_a_label_pass(tmp_path: Path) -> None:
    columns, _ = texts(2)
    label = np.array(columns["y"]) == 1
    rng = np.random.default_rng(2)
    columns["note"] = [
        f"{note} refund please" if y and u < 0.05 else note
        for note, y, u in zip(columns["note"], label, rng.random(len(label)), strict=True)
    ]
    outcome, found = asked(tmp_path, "data.text-triggers", columns)
    assert str(outcome.status) == "pass", said(outcome)
    assert found.rows == ()


def test_a_table_without_texts_is_not_applicable(bench: Bench) -> None:
    outcome = bench.ask("data.text-triggers", bench.table(table(1, 300)[0], label="y", positive=1))
    assert str(outcome.status) == "not-applicable"


@pytest.mark.parametrize("check", ["data.triggers", "data.text-triggers"])
@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,y\n",
        "a,y\n1,1\n",
        "a,b,y\n" + "1,2,1\n" * 400,
        "a,b,y\n" + ",,1\n,,0\n" * 200,
        "a,b,y\n" + "7,x,1\n7,x,0\n" * 200,
        "a,b,y\n1,2,\n" + "1,2,1\n3,4,0\n" * 200,
        "a,y\n" + "\n".join(f"{'some words ' * 9}{i},{i % 2}" for i in range(30)),
        "a,y\n" + "\n".join(f"{'!?' * 40},{i % 2}" for i in range(400)),
        "a,b,y\n1,2,3\n4\n",
        b"\x00\xff" * 300,
    ],
)
def test_bad_input_is_a_clear_line(bench: Bench, check: str, content: str | bytes) -> None:
    outcome = bench.ask(check, bench.table(content, label="y", positive=1))
    assert str(outcome.status) in {"open", "not-applicable"} or not outcome.findings, said(outcome)
    assert outcome.reason or str(outcome.status) == "pass"


def test_huge_categories_pass(bench: Bench) -> None:
    rng = np.random.default_rng(0)
    names = [f"name{i}" for i in range(900)]
    outcome = bench.ask(
        "data.triggers",
        bench.table(
            {
                "a": names,
                "b": names[::-1],
                "c": rng.integers(0, 9, 900),
                "d": rng.integers(0, 4, 900),
                "y": np.arange(900) % 3 % 2,
            },
            label="y",
        ),
    )
    assert str(outcome.status) == "pass", (said(outcome), outcome.reason)
