"""data.schema: each way to break the contract is told once, with a row; a table that keeps it passes."""

from __future__ import annotations

from typing import Any

import pytest
from checks_tools import Bench, finding, said

pytest.importorskip("duckdb")
CHECK = "data.schema"
XYZ = ["x", "y", "z"]
GOOD = {"a": [1, 2, 3, 4], "b": [0.5, 1.5, 2.5, 3.0], "c": ["x", "y", "x", "z"], "y": [0, 1, 0, 1]}


def test_a_table_that_keeps_its_contract_passes(bench: Bench) -> None:
    bench.features(
        "a >= 1 and b <= a", a={"min": 1, "max": 4, "step": 1, "integer": True}, c={"order": ["x", "y", "z"]}
    )
    outcome = bench.ask(CHECK, bench.table(GOOD, label="y", positive=1))
    assert (str(outcome.status), outcome.complete, outcome.findings) == ("pass", True, ())


@pytest.mark.parametrize(
    ("column", "values", "rule", "message", "row"),
    [
        ("a", [1, 0, 3, 4], {"min": 1}, "a is below 1 in 1 row", 1),
        ("a", [1, 2, 9, 9], {"max": 4}, "a is above 4 in 2 rows", 2),
        ("a", [1, 2, 3.5, 4], {"integer": True}, "a is no whole number in 1 row", 2),
        ("a", [100, 200, 250, 400], {"min": 0, "step": 100}, "a is not on the step 100 in 1 row", 2),
        ("a", [0.1, 0.2, 0.30000000000000004, 0.4], {"step": 0.1}, "", None),
        ("a", [0.01, 2.0, 954_831_132.56, 9_902_782_047.37], {"step": 0.01}, "", None),
        ("a", [1000, 1_700_000_000_000_000_500, 3000, 4000], {"step": 1000}, "a is not on the step 1000 in 1 row", 1),
        ("a", [0.01, 6e12 + 0.5, 6e12 + 0.505, 0.03], {"step": 0.01}, "a is not on the step 0.01 in 1 row", 2),
        ("a", [0.01, 0.02, 123_456_789.015, 0.03], {"step": 0.01}, "a is not on the step 0.01 in 1 row", 2),
        ("a", [1, None, 3, 4], {"nullable": False}, "a is missing in 1 row", 1),
        ("a", [1, None, 3, 4], {"nullable": True}, "", None),
        ("c", ["x", "y", "w", "z"], {"order": XYZ}, "c is none of the listed values in 1 row", 2),
        (
            "c",
            ["x", "y", "x'; DROP", "z"],
            {"categories": XYZ},
            "c is none of the listed values in 1 row",
            2,
        ),
        ("c", ["o'x", "y", "o'x", "y"], {"categories": ["o'x", "y"]}, "", None),
        ("a", ["one", "two", "one", "two"], {"type": "number"}, "a should be a number and reads as category", None),
        ("a", ["2020-01-01", "2020-01-02"] * 2, {"min": 0}, "a should be a number and reads as time", None),
        ("a", ["true", "false"] * 2, {"min": 1}, "a is below 1 in 2 rows", 1),
        ("a", [1, 2, 1, 3], {"categories": [1, 2]}, "a is none of the listed values in 1 row", 3),
    ],
)
def test_each_kind_of_violation(
    bench: Bench, column: str, values: list[Any], rule: dict[str, Any], message: str, row: int | None
) -> None:
    bench.features(**{column: rule})
    outcome = bench.ask(CHECK, bench.table({**GOOD, column: values}))
    if not message:
        assert outcome.findings == (), said(outcome)
        return
    found = finding(outcome, message)
    assert (str(outcome.status), str(found.severity), found.location.row, found.location.column) == (
        "fail", "high", row, column,
    )  # fmt: skip
    assert len(outcome.findings) == 1


def test_a_column_of_the_contract_that_is_not_there(bench: Bench) -> None:
    bench.features(gone={"min": 0})
    outcome = bench.ask(CHECK, bench.table(GOOD))
    missing = finding(outcome, "gone is in the contract and not in the data")
    assert (str(missing.severity), "did you mean" in missing.fix) == ("high", False)


def test_a_column_of_a_group_that_is_not_there_is_told_once_beside_the_nearest(bench: Bench) -> None:
    bench.features(home={"one_hot": ["home_own", "home_rnet"]})
    outcome = bench.ask(CHECK, bench.table({"home_own": [1, 0, 1, 0], "home_rent": [0, 1, 0, 1]}))
    (found,) = outcome.findings
    assert found.message == "home_rnet is in the contract and not in the data"
    assert "did you mean 'home_rent'?" in found.fix


def test_the_label_is_no_column_of_a_group(bench: Bench) -> None:
    bench.features(home={"one_hot": ["a", "y"]})
    outcome = bench.ask(CHECK, bench.table({"a": [1, 0, 1, 0], "y": [0, 1, 0, 1]}, label="y"))
    assert str(outcome.status) == "open"
    assert "the label 'y' is among the columns of the one-hot group home" in outcome.reason


@pytest.mark.parametrize(
    ("constraint", "values", "message"),
    [
        ("a <= b", [1, None, 3, 4], ""),
        ("a <= b", [1, None, 9, 4], "1 row breaks the constraint"),
        ("a == 1 or a >= 3", [1, 2, 3, 4], "1 row breaks the constraint"),
        ("a > 'x'", [1, 2, 3, 4], "compares words with numbers"),
        ("nope > 1", [1, 2, 3, 4], "reads columns that are not there: nope"),
        ("b / a >= 0", [0, 1, 0, 2], ""),
    ],
)
def test_relations_between_columns(bench: Bench, constraint: str, values: list[Any], message: str) -> None:
    bench.features(constraint)
    outcome = bench.ask(CHECK, bench.table({"a": values, "b": [1, 2, 3, 4]}))
    if message:
        assert str(finding(outcome, message).severity) == "high"
    else:
        assert str(outcome.status) == "pass", said(outcome)


@pytest.mark.parametrize("constraint", ["c < 'z'", "c in ['x', 'y']", "b == 1 or b != 1", "d == 1 or d == 0"])
def test_a_missing_word_is_not_held_against_its_row(bench: Bench, constraint: str) -> None:
    bench.features(constraint)
    columns = {"c": ["x", None, "y", "x"], "b": [1, None, 3, 4], "d": ["true", None, "false", "true"]}
    outcome = bench.ask(CHECK, bench.table(columns))
    assert (str(outcome.status), outcome.findings) == ("pass", ())


def test_without_a_contract_it_still_sees_what_is_odd(bench: Bench) -> None:
    numbers: list[Any] = list(range(40))
    bench.table(
        {
            "few": [*numbers[:39], "banana"],
            "far": [*[float(n) for n in numbers[:38]], "inf", "-inf"],
            "same": [7] * 40,
            "none": [None] * 40,
            "fine": numbers,
        }
    )
    outcome = bench.ask(CHECK, "t")
    assert sorted(said(outcome)) == [
        ("high", "far holds 2 infinite numbers (rows 38, 39)"),
        ("low", "same has the same value in every row"),
        ("medium", "few holds 1 word among 39 numbers"),
        ("medium", "none is empty in every row"),
    ]
    assert finding(outcome, "infinite").location.row == 38


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (b"", {}, "is empty"),
        (b"a,b\n", {}, "no rows"),
        (b"a,y\n1,0\n2,0\n", {"label": "y", "positive": 0}, "one class only"),
        (b"a,y\n1,0\n2,0\n", {"label": "y", "positive": 1}, "never occurs"),
        (b"a,y\n1,0\n2,\n", {"label": "y", "positive": 1}, "no label"),
        (b"a,y\n1,0\n2,1\n", {"label": "z", "positive": 1}, "no label column"),
        (b"a,a\n1,0\n", {}, "two columns"),
        (b"a,b\n1,2\n3\n", {}, "line 3"),
        (b"PAR1torn", {}, "torn"),
        (b"a,b\n\xff\xfe,2\n", {}, "UTF-8"),
    ],
)
def test_what_it_cannot_read_is_open(bench: Bench, content: bytes, options: dict[str, Any], reason: str) -> None:
    outcome = bench.ask(CHECK, bench.table(content, **options))
    assert (str(outcome.status), outcome.complete) == ("open", False)
    assert reason in outcome.reason


def test_the_values_of_rows_stay_out_of_what_it_says(bench: Bench) -> None:
    bench.features("name != 'x'", name={"categories": ["a", "b"]}, n={"max": 5})
    outcome = bench.ask(CHECK, bench.table({"name": ["Zaphod Beeblebrox", "a", "b"], "n": [1, 2, 987654321]}))
    text = repr(outcome)
    assert len(outcome.findings) == 2
    assert "Zaphod" not in text
    assert "987654321" not in text


def test_a_wide_table_is_asked_in_few_queries_and_its_bad_columns_are_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.adapters.tables import Dataset

    columns: dict[str, list[Any]] = {f"c{i}": [i + 0.5, i + 1.25, i + 2.5, i + 3.5] for i in range(90)}
    columns |= {"c40": [1.5, "inf", 2.5, 3.5], "c50": [7, 7, 7, 7], "c60": [None] * 4, "y": [0, 1, 0, 1]}
    bench.features(**{f"c{i}": {"min": 0, "max": 80} for i in (10, 20, 70, 79)}, gone={"min": 0})
    queries: list[str] = []
    plain = Dataset.sql
    monkeypatch.setattr(Dataset, "sql", lambda self, query: queries.append(query) or plain(self, query))
    outcome = bench.ask(CHECK, bench.table(columns, label="y", positive=1))
    assert {message for _, message in said(outcome)} == {
        "c40 holds 1 infinite number",
        "c50 has the same value in every row",
        "c60 is empty in every row",
        "c79 is above 80 in 3 rows (rows 1, 2, 3)",
        "gone is in the contract and not in the data",
    }
    assert 0 < len(queries) < 15


@pytest.mark.parametrize("name", ["rowid", "ROWID"])
def test_a_column_called_rowid_neither_hides_repeats_nor_is_shown_as_a_row(bench: Bench, name: str) -> None:
    columns = {name: [4111, 4111, 4111, 4111], "k": [1, 2, 2, 3], "a": [1, 2, 3, float("inf")], "y": [0, 1, 0, 1]}
    outcome = bench.ask(CHECK, bench.table(columns, label="y", positive=1), unique=("k",))
    repeated = finding(outcome, "repeats a value in 1 row")
    assert repeated.location.row == 2
    assert finding(outcome, "infinite").location.row == 3
    assert "4111" not in said(outcome)
