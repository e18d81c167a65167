"""DuckDB databases as tables: every row is in the bytes that are digested, and each refusal says what it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.core.errors import InputError
from assay.core.subject import Kind, Subject

duckdb = pytest.importorskip("duckdb", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")

ROWS = "CREATE TABLE t AS SELECT i::INT AS a, (i % 2)::INT AS y FROM range(300) g(i)"


def made(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def as_dataset(path: Path, options: dict[str, Any]) -> int:
    from assay.adapters.tables import open_dataset

    data = open_dataset(Subject(name="t", kind=Kind.DATASET, uri=path.name, options=options), path.parent)
    rows = data.rows
    data.close()
    return rows


def as_relation(path: Path, options: dict[str, Any]) -> int:
    from assay.adapters.relation import open_relation

    with open_relation(path, path.name, options) as relation:
        return int(relation.one(["count(*)"])[0])


OPENED = pytest.mark.parametrize("opened", [as_dataset, as_relation])
Opened = Callable[[Path, dict[str, Any]], int]


def refused(opened: Opened, path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        opened(path, options)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path.parent) not in text
    return text


@OPENED
@pytest.mark.parametrize("end", [".wal", ".wal.checkpoint", ".wal.recovery"])
@pytest.mark.parametrize("kind", ["file", "fifo", "folder", "link", "dangling"])
def test_a_log_beside_a_database_is_refused_before_it_is_opened(
    tmp_path: Path, opened: Opened, end: str, kind: str
) -> None:
    path = made(tmp_path / "one.duckdb", ROWS)
    assert opened(path, {}) == 300
    log = tmp_path / f"one.duckdb{end}"
    make: dict[str, Callable[[], Any]] = {
        "file": lambda: log.write_bytes(b"rows"),
        "fifo": lambda: os.mkfifo(log),
        "folder": log.mkdir,
        "link": lambda: log.symlink_to(path),
        "dangling": lambda: log.symlink_to(tmp_path / "nothing"),
    }
    make[kind]()
    assert "write-ahead log beside it" in refused(opened, path)


@OPENED
def test_rows_that_only_the_log_holds_are_not_read(tmp_path: Path, opened: Opened) -> None:
    path = made(tmp_path / "one.duckdb", ROWS)
    with duckdb.connect(str(path)) as writer:
        writer.execute("SET checkpoint_threshold='10GB'")
        writer.execute("INSERT INTO t SELECT 7, 1 FROM range(50)")
        kept = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert set(kept) == {"one.duckdb", "one.duckdb.wal"}
    left = tmp_path / "left"  # as a kill leaves it
    left.mkdir()
    for name, held in kept.items():
        (left / name).write_bytes(held)
    assert "CHECKPOINT" in refused(opened, left / "one.duckdb")
    link = tmp_path / "link.duckdb"
    link.symlink_to(left / "one.duckdb")
    assert "write-ahead log beside it" in refused(opened, link)
    duckdb.connect(str(left / "one.duckdb")).execute("CHECKPOINT").close()
    assert opened(left / "one.duckdb", {}) == 350


@OPENED
def test_a_path_whose_log_would_have_another_name_is_refused(tmp_path: Path, opened: Opened) -> None:
    path = tmp_path / "one?x=1.duckdb"
    made(tmp_path / "plain.duckdb", ROWS).rename(path)
    assert "has *, ? or [ in its path" in refused(opened, path)


@OPENED
def test_tables_of_one_name_are_told_apart_by_their_schemas(tmp_path: Path, opened: Opened) -> None:
    path = made(
        tmp_path / "two.duckdb", ROWS, "CREATE TABLE u AS SELECT 1 AS a", "CREATE SCHEMA s", "CREATE TABLE s.t(a INT)",
        "INSERT INTO s.t VALUES (1), (2)",
    )  # fmt: skip
    assert "which table? it holds main.t, u, s.t" in refused(opened, path)
    assert "which table? it holds main.t, u, s.t" in refused(opened, path, table="t")
    assert [opened(path, {"table": name}) for name in ("s.t", "main.t", "u")] == [2, 300, 1]


@OPENED
def test_views_are_said_not_to_be_read(tmp_path: Path, opened: Opened) -> None:
    view = "CREATE VIEW v AS SELECT 1 AS a"
    only = made(tmp_path / "views.duckdb", view)
    assert "holds views only, which are not read" in refused(opened, only)
    both = made(tmp_path / "both.duckdb", ROWS, view)
    assert opened(both, {}) == 300
    assert "'v' is a view, and views are not read" in refused(opened, both, table="v")
    assert "holds no table" in refused(opened, made(tmp_path / "empty.duckdb"))


@OPENED
@pytest.mark.parametrize("cut", [100, 5_000, 200_000])
def test_a_torn_database_is_called_one(tmp_path: Path, opened: Opened, cut: int) -> None:
    whole = made(tmp_path / "whole.duckdb", ROWS).read_bytes()
    torn = tmp_path / "torn.duckdb"
    torn.write_bytes(whole[:cut])
    assert "torn or damaged DuckDB database" in refused(opened, torn)


@OPENED
def test_a_database_that_another_process_holds_is_told_from_a_torn_one(tmp_path: Path, opened: Opened) -> None:
    import subprocess
    import sys

    path = made(tmp_path / "held.duckdb", ROWS)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(path)], **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == b"open\n"
        said = refused(opened, path)
        holder.communicate()
    assert "another process" in said or "write-ahead log" in said
    assert "torn" not in said


@pytest.mark.parametrize("name", ["rowid", "ROWID", "RowId"])
def test_a_column_called_rowid_does_not_hide_the_rows_number(dataset: Any, name: str) -> None:
    text = f"{name},row number,stored,k\n" + "".join(f"{900 - i},x,{i / 2},{i}\n" for i in range(50))
    data = dataset(text)
    assert data.row_number != "rowid"
    assert [c.name for c in data.columns] == [name, "row number", "stored", "k"]
    found = data.sql(f"SELECT {data.row_number}, k FROM data WHERE k >= 47 ORDER BY {data.row_number}")
    assert found.columns[0].to_pylist() == found.columns[1].to_pylist() == [47, 48, 49]
    assert data.table().column_names == [name, "row number", "stored", "k"]
    assert data.table((name,)).column(0).to_pylist() == [900 - i for i in range(50)]
    assert data.counted(['count(DISTINCT "rowid")', 'max("stored")']) == [50, 24.5]
    assert dataset("a\n1\n", name="u.csv").row_number == "rowid"
