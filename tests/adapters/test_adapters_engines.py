"""Tables on engines: whole numbers as DuckDB counts them, on Spark, PostgreSQL and SQLite; one line for what fails."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")

from assay.adapters.engines import Engine, open_engine  # noqa: E402
from assay.adapters.profiles import count, reference_profile  # noqa: E402
from assay.adapters.relation import open_relation  # noqa: E402
from assay.core.errors import CouldNotLook, InputError, MissingExtra, UsageError  # noqa: E402
from assay.core.profile import Profile  # noqa: E402


def table(rows: int, seed: int, shift: float = 0.0) -> Any:
    """Every kind of column, with what goes wrong in each: NaN, infinities, nulls, quotes, new values, many values."""
    rng = np.random.default_rng(seed)
    start = datetime.datetime(2024, 1, 1)
    return pa.table(
        {
            "number": np.where(rng.random(rows) < 0.02, np.nan, rng.normal(size=rows) + shift),
            "holes": pa.array(rng.lognormal(size=rows), mask=rng.random(rows) < 0.05),
            "endless": np.where(rng.random(rows) < 0.01, np.inf, np.where(rng.random(rows) < 0.01, -np.inf, 0.1)),
            "whole": rng.poisson(3, rows), "yes": rng.random(rows) < 0.3,
            "words": rng.choice(["a", "b", "ü", "D'x", " e", ""], rows),
            "tail": [f"w{v}" for v in rng.zipf(1.6, rows).clip(max=150 + int(50 * shift))],
            "ids": [f"{v:x}" for v in rng.integers(0, 10**12, rows)],
            "when": pa.array([start + datetime.timedelta(seconds=float(s)) for s in rng.random(rows) * 1e7]),
            "day": pa.array([(start + datetime.timedelta(days=int(d))).date() for d in rng.integers(0, 300, rows)]),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tables")
    before, now = folder / "before.parquet", folder / "now.parquet"
    pq.write_table(table(9000, 1), before)
    pq.write_table(table(5000, 2, 0.3), now)
    return before, now


def by_duckdb(pair: tuple[Path, Path], drop: tuple[str, ...] = ()) -> tuple[Profile, Profile]:
    with open_relation(pair[0], "before", {}) as relation:
        before = reference_profile(relation, skip=drop)
    with open_relation(pair[1], "now", {}) as relation:
        return before, count(relation, before)


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    pytest.importorskip("ibis", reason="the extra `engines` is not installed")
    pytest.importorskip("pyspark", reason="the extra `engines` is not installed")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    with open_engine("spark", threads=2) as engine:
        yield engine


@pytest.mark.heavy
def test_spark_counts_the_same_whole_numbers(spark: Engine, pair: tuple[Path, Path]) -> None:
    before, now = by_duckdb(pair)
    assert spark.table(str(pair[1])).count(before) == now
    assert spark.table(str(pair[0])).reference() == before


@pytest.mark.heavy
def test_spark_says_in_one_line_what_it_cannot_read(spark: Engine, tmp_path: Path, pair: tuple[Path, Path]) -> None:
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(pair[0].read_bytes()[:3000])
    for name in (str(torn), "no_such_table", "no.such.table"):
        with pytest.raises(InputError) as said:
            spark.table(name)
        assert len(str(said.value).splitlines()) == 1


@pytest.mark.heavy
def test_columns_of_other_kinds_are_told(spark: Engine, tmp_path: Path, pair: tuple[Path, Path]) -> None:
    before, _ = by_duckdb(pair)
    changed = tmp_path / "changed.parquet"
    now = table(500, 3)
    now = now.set_column(0, "number", pa.array(["x"] * 500)).drop_columns(["tail"])
    pq.write_table(now.append_column("more", pa.array(range(500))), changed)
    found = spark.table(str(changed)).count(before)
    assert (found.missing, found.added) == (("tail",), ("more",))
    assert list(found.changed) == ["number"]
    column = found.column("number")
    assert column is not None
    assert (column.unread, column.rows) == (500, 500)


def filled(engine: Engine, pair: tuple[Path, Path]) -> None:
    for name, path in zip(("before", "now"), pair, strict=True):
        engine._connection.create_table(name, pq.read_table(path))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server of its own, on loopback; initdb refuses to run as root."""
    pytest.importorskip("ibis", reason="the extra `engines` is not installed")
    pytest.importorskip("psycopg", reason="the extra `engines` is not installed")
    tools = [shutil.which(t) for t in ("initdb", "postgres")]
    if not all(tools):
        pytest.skip("no PostgreSQL here")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root")
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path("/tmp") / f"assay-pg-{os.getpid()}"
    folder.mkdir(mode=0o700)
    if user:
        os.chown(folder, 65534, 65534)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")
    subprocess.run([*user, str(tools[0]), "-D", data, "-U", "assay", "-A", "trust"], check=True, capture_output=True)
    words = ["-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    server = subprocess.Popen([*user, str(tools[1]), *words], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if "ready to accept connections" in line:
                break
        yield f"postgresql://assay@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(20)
        server.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.heavy
def test_postgresql_counts_the_same_whole_numbers(postgres: str, pair: tuple[Path, Path]) -> None:
    before, now = by_duckdb(pair)
    with open_engine(postgres) as engine:
        filled(engine, pair)
        assert engine.table("now").count(before) == now
        assert engine.table("public.before").reference() == before


@pytest.mark.heavy
def test_sqlite_counts_the_same_but_for_numbers_that_are_none(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    pytest.importorskip("ibis", reason="the extra `engines` is not installed")
    drop = ("number", "endless", "ids", "when", "day")  # SQLite has no NaN, no times; ibis no MD5 of it
    before, now = by_duckdb(pair, drop)
    with open_engine(f"sqlite:///{tmp_path / 'held.db'}") as engine:
        for name, path in zip(("before", "now"), pair, strict=True):
            engine._connection.create_table(name, pq.read_table(path).drop_columns(list(drop)))
        found = engine.table("now").count(before)
        assert [c.counts for c in found.columns] == [c.counts for c in now.columns]
        with pytest.raises(CouldNotLook, match="no MD5"):
            engine.table("now").count(Profile(rows=0, columns=(_hashed(before, pair),)))


def _hashed(before: Profile, pair: tuple[Path, Path]) -> Any:
    from assay.core.profile import ColumnProfile

    return ColumnProfile(name=before.columns[-1].name, kind="hashed").emptied()


def test_what_is_no_engine_is_told_in_one_line_without_a_password() -> None:
    with pytest.raises(UsageError, match="no engine"):
        open_engine("sparc")
    try:
        import ibis  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="engines"):
            open_engine("spark")
        return
    with pytest.raises(InputError) as said:
        open_engine("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(said.value)
