"""Profiles: whole numbers in the reference's bins, the same over any partition, whatever a table holds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
parquet = pytest.importorskip("pyarrow.parquet")

from assay.adapters.profiles import BINS, LABELS, count, reference_profile  # noqa: E402
from assay.adapters.relation import Relation, open_relation, relation_of  # noqa: E402
from assay.core.errors import InputError  # noqa: E402
from assay.core.profile import Profile  # noqa: E402


def table(n: int = 5000, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    holes = rng.random(n) < 0.1
    return pa.table(
        {
            "number": pa.array(rng.normal(size=n), mask=holes),
            "whole": pa.array(rng.integers(0, 9, n)),
            "nan": pa.array(np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n))),
            "word": pa.array(rng.choice(["a", "b", "c d"], n)),
            "id": pa.array([f"row {i}" for i in rng.permutation(n)]),
            "flag": pa.array(rng.random(n) < 0.3),
            "at": pa.array(rng.integers(1_600_000_000, 1_700_000_000, n).astype("datetime64[s]")),
        }
    )


def profiled(made: Any) -> tuple[Profile, Profile]:
    with relation_of(made, "t") as relation:
        reference = reference_profile(relation)
        return reference, count(relation, reference)


def test_every_row_is_in_one_bin_of_every_column() -> None:
    reference, again = profiled(table())
    assert reference.rows == 5000
    assert {c.name: c.kind for c in reference.columns} == {
        "number": "number", "whole": "number", "nan": "number", "word": "category", "id": "hashed",
        "flag": "category", "at": "time",
    }  # fmt: skip
    for column, other in zip(reference.columns, again.columns, strict=True):
        assert column == other, "counting the reference again gives the reference"
        assert column.rows == 5000
        assert len(column.counts) == column.bins
    assert reference.column("nan").nans > 100  # type: ignore[union-attr]
    assert reference.column("number").nulls > 300  # type: ignore[union-attr]
    assert reference.column("whole").edges[1:] == tuple(range(9))  # type: ignore[union-attr]
    assert -1e-300 < reference.column("whole").edges[0] < 0  # type: ignore[union-attr]


def test_bins_hold_about_as_many_rows_each() -> None:
    column = profiled(table())[0].column("number")
    assert column is not None
    held = np.array(column.counts)
    assert len(held) == BINS
    assert held.min() > 0.6 * held.mean()


def test_counts_are_those_of_numpy() -> None:
    made = table()
    column = profiled(made)[0].column("number")
    assert column is not None
    values = made["number"].drop_null().to_numpy()
    mine = np.bincount(np.searchsorted(np.array(column.edges), values, side="left"), minlength=len(column.counts))
    assert mine.tolist() == list(column.counts), "bin i is above edge i - 1 and at most edge i"


def test_parts_add_up_to_the_whole(tmp_path: Path) -> None:
    made = table()
    reference, whole = profiled(made)
    cuts = [0, 1, 1700, 4999, 5000]
    parts = []
    for start, end in pairwise(cuts):
        path = tmp_path / f"part{start}.parquet"
        parquet.write_table(made.slice(start, end - start), path)
        with open_relation(path, "part", {}, threads=2) as relation:
            parts.append(count(relation, reference))
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    assert (total.rows, total.columns) == (whole.rows, whole.columns)
    with open_relation(tmp_path, "folder", {}) as relation:
        assert count(relation, reference) == whole, "a folder of parts is the table"


def test_a_csv_counts_as_its_parquet_does(tmp_path: Path) -> None:
    csv = pytest.importorskip("pyarrow.csv")
    made = table(800).drop_columns(["at"])
    csv.write_csv(made, tmp_path / "t.csv")
    reference, whole = profiled(made)
    with open_relation(tmp_path / "t.csv", "t.csv", {}) as relation:
        found = count(relation, reference)
    for column, other in zip(whole.columns, found.columns, strict=True):
        if column.name != "nan":  # a CSV's nan is missing
            assert column == other


def test_a_sorted_column_gets_bins_from_all_rows() -> None:
    made = pa.table({"t": np.arange(60_000.0)})
    column = profiled(made)[0].column("t")
    assert column is not None
    assert max(column.counts) < 2 * 60_000 / BINS


def test_late_labels_are_listed_and_too_many_are_hashed() -> None:
    late = pa.table({"w": ["a"] * 20_000 + ["b"] * 10, "many": ["x"] * 20_000 + [f"v{i % 2000}" for i in range(10)]})
    reference = profiled(late)[0]
    assert reference.column("w").labels == ("a", "b")  # type: ignore[union-attr]
    many = pa.table({"w": ["a"] * 20_000 + [f"v{i}" for i in range(LABELS)]})
    assert profiled(many)[0].column("w").kind == "hashed"  # type: ignore[union-attr]


def test_new_values_and_other_kinds_are_told() -> None:
    reference, _ = profiled(pa.table({"w": ["a", "b"] * 50, "n": [1.0, 2.0] * 50, "gone": [1, 2] * 50}))
    current = pa.table({"w": ["a", "zebra"] * 30, "n": ["1.5", "soon"] * 30, "more": [1] * 60})
    with relation_of(current, "now") as relation:
        found = count(relation, reference)
    assert found.column("w").new == {"zebra": 30}  # type: ignore[union-attr]
    assert found.column("w").other == 30  # type: ignore[union-attr]
    assert found.column("n").unread == 30  # type: ignore[union-attr]
    assert (found.missing, found.added) == (("gone",), ("more",))
    assert set(found.changed) == {"n"}


@pytest.mark.parametrize(
    "made",
    [
        {"a": pa.array([], pa.float64())},
        {"a": pa.array([None] * 5, pa.float64())},
        {"a": [float("nan")] * 9},
        {"a": [float("inf"), -float("inf"), 1.0] * 9},
        {"a": [7.0]},
        {"a": [""] * 9},
        {'we"ird [*] name': [1, 2, 3]},
        {"a": [[1], [2], [3]]},
        {"a": [b"\xff", b"x", None]},
        {"a": [True, None, False]},
    ],
)
def test_odd_columns_are_counted_too(made: dict[str, Any]) -> None:
    whole = pa.table(made)
    reference, again = profiled(whole)
    assert reference == again
    assert all(c.rows == whole.num_rows for c in reference.columns)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n3\n", b"a,a\n1,2\n", b"PAR1torn", b"\x00\x01\x02"])
def test_what_is_no_table_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught, open_relation(path, "t.csv", {}) as relation:
        reference_profile(relation)
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize("kept", [60, 300, 5000])
def test_a_torn_arrow_file_is_one_clear_line(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "t.arrow"
    pytest.importorskip("pyarrow.feather").write_feather(table(300), path)
    with open_relation(path, "t.arrow", {}) as relation:
        assert reference_profile(relation).rows == 300
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"t\.arrow"):
        open_relation(path, "t.arrow", {})


def test_a_database_needs_one_table(tmp_path: Path) -> None:
    import duckdb

    path = tmp_path / "d.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE TABLE first AS SELECT range AS n FROM range(50)")
        base.execute("CREATE TABLE second AS SELECT 'x' AS w")
    with pytest.raises(InputError, match="which table"):
        open_relation(path, "d", {})
    with open_relation(path, "d", {"table": "first"}) as relation:
        assert isinstance(relation, Relation)
        assert reference_profile(relation).rows == 50


def test_a_profile_is_a_few_kilobytes_a_column() -> None:
    reference, _ = profiled(table(20_000))
    assert len(msgspec.json.encode(reference)) < 2500 * len(reference.columns)
