"""Relations and drafts: what holds in every row and would not by chance is drafted, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.core.subject import Kind, Subject

pytest.importorskip("duckdb")

from assay.adapters.tables import Dataset, open_dataset
from assay.detectors.contract_draft import draft
from assay.detectors.relations import name, relations


def table(folder: Path, columns: dict[str, Any], **options: Any) -> Dataset:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), folder / "t.parquet")
    return open_dataset(Subject(name="t", kind=Kind.DATASET, uri="t.parquet", options=options), folder)


def test_orders_and_sums_that_hold_in_every_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(0, 1000, 500) for _ in range(3))
    columns = {
        "a": a,
        "b": b,
        "tot al": a + b,
        "high": np.maximum(a, c),
        "c": c,
        "all": a + b + c,
        "noise": rng.normal(size=500),
    }
    columns = {k: columns[k] for k in ("a", "b", "c", "tot al", "high", "all", "noise")}
    found = [r.text for r in relations(table(tmp_path, columns), tuple(columns))]
    assert {"`tot al` == a + b", "all == a + b + c", "c <= high", "a <= high"} <= set(found)
    assert not [t for t in found if "noise" in t]


def test_one_row_against_it_is_enough(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    start = rng.normal(size=5000)
    end = start + rng.exponential(size=5000)
    assert [r.text for r in relations(table(tmp_path, {"s": start, "e": end}), ("s", "e"))] == ["s <= e"]
    end[4321] = start[4321] - 1
    assert relations(table(tmp_path, {"s": start, "e": end}), ("s", "e")) == ()


def test_what_ranges_say_already_is_no_relation(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {"small": rng.random(300), "large": 10 + rng.random(300)}
    assert relations(table(tmp_path, columns), tuple(columns)) == ()


@pytest.mark.parametrize(("column", "written"), [("a", "a"), ("a b", "`a b`"), ("class", "`class`"), ("ä", "`ä`")])
def test_names_in_constraints(column: str, written: str) -> None:
    assert name(column) == written


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ([3, 5, 9, 4] * 10, {"min": 3, "max": 9, "integer": True, "nullable": False}),
        ([100, 300, 700, 500] * 10, {"min": 100, "max": 700, "integer": True, "step": 100, "nullable": False}),
        ([0.1, 0.25, 0.4, 0.75] * 10, {"min": 0.1, "max": 0.75, "step": 0.05, "nullable": False}),
        ([1.5, 2.0, 7.5] * 14, {"min": 1.5, "max": 7.5, "step": 0.5, "nullable": False}),
        ([1, None, 2, 3] * 10, {"min": 1, "max": 3, "integer": True}),
        (["x", "y"] * 20, {"categories": ["x", "y"], "nullable": False}),
        ([f"word {i}" for i in range(40)], {"type": "category", "nullable": False}),
        ([True, False] * 20, {"categories": ["false", "true"], "nullable": False}),
        ([None] * 40, {"type": "number"}),
    ],
)
def test_facts_of_a_column(tmp_path: Path, values: list[Any], facts: dict[str, Any]) -> None:
    import pyarrow as pa

    type_ = pa.float64() if values == [None] * 40 else None
    data = table(tmp_path, {"v": pa.array(values, type_), "other": list(range(len(values)))})
    drafted = next(f for f in draft(data).features if f.name == "v")
    assert {k: v for k, v in drafted.facts.items() if k in facts or v is not None} == facts


def test_roles_need_header_and_values(tmp_path: Path) -> None:
    n = 200
    columns = {
        "customer_id": [i // 4 for i in range(n)],
        "id": [i * 7 % n for i in range(n)],
        "split": ["train", "test"] * (n // 2),
        "source": [f"s{i % 5}" for i in range(n)],
        "annotator": [f"u{i % 3}" for i in range(n)],
        "weight": np.random.default_rng(0).random(n),
        "date": np.arange(n).astype("datetime64[D]"),
        "index": [1, 2] * (n // 2),
        "y": [0, 0, 0, 1] * (n // 4),
    }
    found = draft(table(tmp_path, columns, label="y"))
    assert found.roles == {
        "label": "y", "entity": "customer_id", "id": "id", "split": "split", "source": "source",
        "annotator": "annotator", "weight": "weight", "time": "date",
    }  # fmt: skip
    assert found.positive == 1
    assert "id" in found.unique


def test_a_draft_of_many_columns_says_among_which_relations_were_looked_for(tmp_path: Path) -> None:
    from assay.flow.infer import infer

    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {f"n{i}": rng.normal(size=120) for i in range(205)}
    columns["n204"] = columns["n203"] + rng.exponential(size=120)  # beyond the 200 that are looked at
    columns["n2"] = columns["n1"] + rng.exponential(size=120)
    data = table(tmp_path, columns)
    drafted = draft(data)
    assert drafted.related == (200, 205)
    assert [r.text for r in drafted.relations] == ["n1 <= n2"]
    assert len(drafted.features) == 205
    text = infer(tmp_path / "t.parquet", {}, tmp_path / "assay.yaml")
    assert "# Relations were looked for among the first 200 of 205 columns of numbers and times" in text
    few = table(tmp_path, {n: columns[n] for n in ("n1", "n2", "n3")})
    assert draft(few).related == (3, 3)
    assert "Relations were looked for" not in infer(tmp_path / "t.parquet", {}, tmp_path / "assay.yaml")


def test_where_rows_are_too_few_for_relations_none_is_said_to_be_left(tmp_path: Path) -> None:
    columns = {f"n{i}": np.arange(60) * (i + 0.5) for i in range(205)}
    drafted = draft(table(tmp_path, columns))
    assert (drafted.relations, drafted.related) == ((), (205, 205))
