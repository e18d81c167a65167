"""data.near-duplicates: changed copies are found, in a table and across a split; honest tables are silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks_tools import Bench, finding, measure, said

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
    assert finding(outcome, "variants of one another").evidence["group"] >= 40


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
