"""data.near-duplicates: changed copies are found, in a table and across a split; honest tables are silent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

from assay.core.finding import Finding
from assay.core.suspects import Suspects

pytest.importorskip("duckdb")
CHECK = "data.near-duplicates"
Columns = dict[str, list[Any]]


def honest(rows: int, seed: int) -> Columns:
    """People with numbers and categories that go together."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, rows)
    found: Columns = {
        "age": age.tolist(),
        "income": np.round(np.exp(rng.normal(10, 0.5, rows)) * (1 + age / 80), 2).tolist(),
        "debt": np.round(np.exp(rng.normal(8, 1, rows)), 2).tolist(),
        "rate": np.round(rng.beta(2, 8, rows), 5).tolist(),
    }
    for name, count in (("job", 12), ("region", 20), ("plan", 4), ("device", 6)):
        found[name] = [f"{name}{k}" for k in (rng.integers(0, count, rows) + age // 40).tolist()]
    return found


def changed(table: Columns, rows: list[int], seed: int) -> Columns:
    """Copies of these rows: numbers jittered by two in a thousand, one category drawn anew."""
    rng = np.random.default_rng(seed)
    names = list(table)
    found: Columns = {n: [table[n][r] for r in rows] for n in names}
    for i, name in enumerate(names):
        for j in range(len(rows)):
            if isinstance(found[name][j], float):
                found[name][j] = round(found[name][j] * (1 + rng.normal() * 0.002), 6)
            elif i == 4 + j % 4:
                found[name][j] = table[name][int(rng.integers(len(table[name])))]
    return found


def joined(a: Columns, b: Columns) -> Columns:
    return {n: [*a[n], *b[n]] for n in a}


def part(table: Columns, start: int, end: int) -> Columns:
    return {n: v[start:end] for n, v in table.items()}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_honest_table_and_split_are_silent(bench: Bench, seed: int) -> None:
    table = honest(3000, seed)
    bench.table(part(table, 0, 2000), "train")
    outcome = bench.ask(CHECK, bench.table(part(table, 2000, 3000), holdout_of="train"), seed=seed)
    assert (str(outcome.status), outcome.complete, said(outcome)) == ("pass", True, [])
    assert measure(outcome, "data.near_duplicates.leakage").high < 0.02


def test_changed_copies_stand_out_in_a_table(bench: Bench) -> None:
    table = honest(3000, 4)
    rows = list(range(0, 3000, 30))
    outcome = bench.ask(CHECK, bench.table(joined(table, changed(table, rows, 4))))
    found = finding(outcome, "have a near twin")
    assert (str(found.severity), str(found.confidence)) == ("medium", "low")
    assert found.evidence["near"] >= 150, "100 copies and the 100 rows that they were made of"


def test_many_variants_of_one_row_are_a_flood(bench: Bench) -> None:
    table = honest(3000, 5)
    outcome = bench.ask(CHECK, bench.table(joined(table, changed(table, [7] * 60, 5))))
    found = finding(outcome, "rows are nearly the same as row")
    assert 40 <= found.evidence["group"] <= 62
    assert found.location.row == 7 or found.location.row >= 3000


def pointed_at(table: Columns) -> tuple[list[Finding], Suspects]:
    """What the check says of a table, and which rows it names."""
    import pyarrow as pa

    from assay.checks.data.near_duplicates import _findings, _pointed, _suspects
    from assay.detectors.near_duplicates import near_duplicates

    found = near_duplicates(pa.table(table))
    findings = list(_findings(SimpleNamespace(subject=SimpleNamespace(uri="t")), found, 0.004, 0.005))
    return findings, _suspects(_pointed(found, findings))


def test_only_the_rows_of_the_flood_are_flagged_and_the_reason_says_of_how_many() -> None:
    table = joined(honest(3000, 5), idle(500, 5))
    findings, told = pointed_at(joined(table, changed(table, [7] * 60, 5)))
    flagged = [r for r, flag in zip(told.rows, told.flagged, strict=True) if flag]
    assert [f.key for f in findings] == ["flood"]
    assert len(flagged) == findings[0].evidence["group"]
    assert {r for r in flagged if r < 3500} <= {7}
    assert len(told.rows) > len(flagged), "idle accounts have twins, and are named without a flag"
    reason = told.reasons[told.rows.index(flagged[-1])]
    assert reason == f"one of {len(flagged)} rows that are nearly the same as row {findings[0].location.row}"
    assert min(s for s, f in zip(told.scores, told.flagged, strict=True) if f) > max(
        s for s, f in zip(told.scores, told.flagged, strict=True) if not f
    )


def idle(rows: int, seed: int) -> Columns:
    """Accounts on which nothing happened: most columns are zero, or what goes with zeros."""
    table = honest(rows, seed + 100)
    for name in ("income", "debt", "rate"):
        table[name] = [0.0] * rows
    table["device"] = ["device0"] * rows
    return table


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_are_alike_by_nature_are_no_flood(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = joined(honest(2000, seed), idle(300, seed))
    for i in range(8):  # more columns that are zero together
        table[f"paid{i}"] = [*np.round(np.exp(rng.normal(8, 1, 2000)), 2).tolist(), *[0.0] * 300]
    findings, told = pointed_at(table)
    assert findings == []
    assert not any(told.flagged)


def test_two_crowds_of_one_size_are_how_the_data_are() -> None:
    table = honest(3000, 11)
    one, other = changed(table, [7] * 60, 5), changed(table, [70] * 50, 6)
    assert [f.key for f in pointed_at(joined(table, one))[0]] == ["flood"]
    assert "flood" not in [f.key for f in pointed_at(joined(joined(table, one), other))[0]]


def test_holdout_rows_made_of_training_rows_are_high(bench: Bench) -> None:
    train, hold = honest(3000, 6), honest(800, 7)
    bench.table(train, "train")
    outcome = bench.ask(CHECK, bench.table(joined(hold, changed(train, list(range(60)), 6)), holdout_of="train"))
    found = finding(outcome, "nearly are rows of train")
    assert (str(found.severity), found.evidence["near"] >= 50) == ("high", True)
    assert found.location.row is not None
    assert found.location.row >= 800


def test_texts_with_a_few_words_changed(bench: Bench) -> None:
    rng = np.random.default_rng(8)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, 6)) for _ in range(3000)]
    texts = [" ".join(rng.choice(words, 40)) for _ in range(600)]
    copies = [" ".join([*t.split()[:39], "changed"]) for t in texts[:60]]
    outcome = bench.ask(CHECK, bench.table({"text": [*texts, *copies], "y": [0, 1] * 330}, label="y", positive=1))
    assert finding(outcome, "have a near twin").evidence["near"] >= 110
    clean = bench.ask(CHECK, bench.table({"text": texts, "y": [0, 1] * 300}, "clean", label="y", positive=1))
    assert (str(clean.status), said(clean)) == ("pass", [])


@pytest.mark.parametrize(
    "columns", [{"a": [1, 2, 3] * 50}, {"a": [1] * 50, "b": [2] * 50}, {"a": [0, 1] * 9, "b": list(range(18))}]
)
def test_too_few_columns_are_open(bench: Bench, columns: Columns) -> None:
    outcome = bench.ask(CHECK, bench.table(columns))
    assert (str(outcome.status), "too few to tell rows apart" in outcome.reason) == ("open", True)


def test_rows_are_told_the_same_for_the_same_seed(bench: Bench) -> None:
    table = honest(500, 9)
    name = bench.table(joined(table, changed(table, [1, 2, 3], 9)))
    assert bench.ask(CHECK, name, seed=3) == bench.ask(CHECK, name, seed=3)
