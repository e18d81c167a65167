"""The Python API of tables: frames of pandas, Polars and Arrow mean what the same rows mean in a file."""

from __future__ import annotations

import html
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("duckdb")
pytest.importorskip("scipy")

import assay  # noqa: E402
from assay.core.errors import InputError, UsageError  # noqa: E402

pytestmark = pytest.mark.usefixtures("here")
ASKED = ("data.duplicates", "data.representation")


def rows(n: int = 400, seed: int = 0, shift: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "a": rng.normal(size=n) + shift, "b": rng.choice(["x", "y"], n), "who": rng.integers(0, 50, n),
            "sex": rng.choice(["f", "m"], n), "y": rng.integers(0, 2, n),
        }
    )  # fmt: skip


def frames(table: Any) -> list[Any]:
    """The same rows in every kind of frame that is installed."""
    pandas = pytest.importorskip("pandas")
    made = [table, table.to_pandas(), table.to_pandas(types_mapper=pandas.ArrowDtype)]
    try:
        import polars
    except ImportError:
        return made
    return [*made, polars.from_arrow(table)]


def test_a_frame_is_checked_like_the_file_that_it_would_be(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    options: dict[str, Any] = {"label": "y", "entity": "who", "only": ASKED, "jobs": 1}
    expected = assay.check_table(tmp_path / "rows.parquet", **options)
    assert {str(o.status) for o in expected.report.body.outcomes} == {"pass", "fail"}
    for frame in frames(rows()):
        found = assay.check_table(frame, **options)
        assert [(o.check, o.status, o.measures) for o in found.report.body.outcomes] == [
            (o.check, o.status, o.measures) for o in expected.report.body.outcomes
        ]
        assert [s.uri for s in found.report.body.subjects] == ["table.parquet"]
        assert "table.parquet" in html.unescape(found._repr_html_())  # type: ignore[attr-defined]


def test_suspects_and_a_trusted_frame(tmp_path: Path) -> None:
    table = rows()
    doubled = pa.concat_tables([table, table.slice(0, 40), table.slice(0, 40), table.slice(0, 40)])
    found = assay.check_table(
        doubled, label="y", trusted=rows(300, 1), suspects=tmp_path / "out.parquet", only=("data.duplicates",), jobs=1
    )
    written = pq.read_table(tmp_path / "out.parquet")
    assert {"row", "check", "score", "flagged", "reason"} <= set(written.column_names)
    assert {s.name for s in found.report.body.subjects} == {"table.parquet", "trusted.parquet"}


@pytest.mark.parametrize("place", range(4))
def test_watch_of_frames(place: int) -> None:
    made = frames(rows())
    if place >= len(made):
        pytest.skip("polars is not installed")
    quiet = assay.watch(made[place], frames(rows(seed=1))[place], label="y", id="who")
    assert (quiet.verdict, quiet.alarm) == ("no drift", False)
    moved = assay.watch(made[place], frames(rows(seed=1, shift=1.0))[place], label="y", id="who", joint=True)
    assert [c.name for c in moved.columns if c.flagged] == ["a"]
    joint = next(o for o in moved.report.body.outcomes if o.check == "data.joint-drift")
    assert str(joint.status) in ("pass", "fail")
    assert "data.drift" in html.unescape(moved._repr_html_())  # type: ignore[attr-defined]
    assert msgspec.json.decode(msgspec.json.encode(moved))["verdict"] == "drift"


def test_paths_and_frames_together(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "before.parquet")
    found = assay.watch(tmp_path / "before.parquet", rows(seed=1, shift=1.0), label="y")
    assert [c.name for c in found.columns if c.flagged] == ["a"]


@pytest.mark.parametrize("bad", [[1, 2], {"a": [1]}, None, 7, "no such file.csv"])
def test_what_is_no_table_is_refused_in_one_line(bad: Any) -> None:
    for call in (lambda: assay.check_table(bad), lambda: assay.watch(rows(), bad)):
        with pytest.raises(InputError) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_mixed_types_and_names_that_come_twice() -> None:
    pandas = pytest.importorskip("pandas")
    mixed = pandas.DataFrame({"fine": [1, 2], "secret": ["s3cr3t", object()]})
    with pytest.raises(InputError, match="'secret' holds several types") as caught:
        assay.check_table(mixed)
    assert "s3cr3t" not in str(caught.value)
    twice = pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    for call in (lambda: assay.check_table(twice), lambda: assay.watch(twice, twice)):
        with pytest.raises(InputError):
            call()
    with pytest.raises(InputError):
        assay.check_table(pandas.DataFrame())


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="labels and key"):
        assay.watch(rows(), rows(), labels=tmp_path / "late.csv")
    with pytest.raises(UsageError, match="both"):
        assay.watch(rows(), rows(), label="y", id="y")


def test_a_duckdb_database_is_a_table_too(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    held = rows()
    with duckdb.connect(str(tmp_path / "one.duckdb")) as connection:
        connection.register("held", held)
        connection.execute("CREATE TABLE claims AS SELECT * FROM held")
    pq.write_table(held, tmp_path / "rows.parquet")
    options: dict[str, Any] = {"label": "y", "only": ASKED, "jobs": 1}
    one = assay.check_table(tmp_path / "one.duckdb", **options).report.body.outcomes
    other = assay.check_table(tmp_path / "rows.parquet", **options).report.body.outcomes
    assert [(o.check, o.status, o.measures) for o in one] == [(o.check, o.status, o.measures) for o in other]
    torn = tmp_path / "torn.duckdb"
    torn.write_bytes((tmp_path / "one.duckdb").read_bytes()[:5000])
    assert {str(o.status) for o in assay.check_table(torn, only=ASKED, jobs=1).report.body.outcomes} <= {
        "open", "not-applicable",
    }  # fmt: skip


def test_a_lazy_frame_is_asked_to_be_collected() -> None:
    polars = pytest.importorskip("polars")
    lazy = polars.LazyFrame({"a": list(range(40))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"LazyFrame.*collect"):
            assay.watch(rows(), lazy)
    assert assay.watch(lazy.collect(), lazy.collect()).columns[0].name == "a"


def test_bad_weights_of_a_frame_name_the_frame_and_no_temporary_folder() -> None:
    bad = rows().append_column("w", pa.array([-1.0] * 400))
    asked: dict[str, Any] = {"protected": ("sex",), "only": ("data.representation",), "jobs": 1}
    (outcome,) = assay.check_table(bad, label="y", weight="w", **asked).report.body.outcomes
    assert str(outcome.status) == "open"
    assert "table.parquet: its weights in 'w' are not all finite" in outcome.reason
    assert "assay-frames" not in outcome.reason


def test_a_column_called_rowid_is_no_row_number() -> None:
    copied = pa.table({"ROWID": [4111] * 30 + list(range(9000, 9970)), "y": [0, 1] * 500})
    found = assay.check_table(copied, only=("data.duplicates",), drop=("y",), jobs=1).report.body.outcomes[0]
    (flood,) = [f for f in found.findings if f.key == "flood"]
    assert flood.location.row == 0
    assert "4111" not in flood.message


def test_a_record_batch_and_times_in_nanoseconds_are_checked_and_watched() -> None:
    held = rows()
    stamps = pa.array(range(0, 400 * 3_600_000_000_000, 3_600_000_000_000), pa.timestamp("ns", "UTC"))
    batch = held.append_column("at", stamps).combine_chunks().to_batches()[0]
    assert assay.watch(batch, batch, label="y", time="at").verdict == "no drift"
    found = assay.check_table(batch, label="y", time="at", only=ASKED, jobs=1)
    assert "open" not in {str(o.status) for o in found.report.body.outcomes}


def test_the_same_bytes_with_other_rows_in_their_log_are_no_clean_table(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "one.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("held", rows())
        connection.execute("CREATE TABLE claims AS SELECT * FROM held")
    (tmp_path / "one.duckdb.wal").write_bytes(b"")
    outcomes = assay.check_table(path, label="y", only=ASKED, jobs=1).report.body.outcomes
    assert {str(o.status) for o in outcomes if o.subject == "one.duckdb"} <= {"open", "not-applicable"}
    assert any("write-ahead log" in o.reason for o in outcomes)
    for reference, current in ((path, rows()), (rows(), path)):
        with pytest.raises(InputError, match="write-ahead log"):
            assay.watch(reference, current)


def test_frames_that_only_count_alike_are_looks_of_their_own(tmp_path: Path) -> None:
    before, state = rows(2000), tmp_path / "state.json"
    one = pa.table({"b": ["x"] * 30 + ["y"] * 30, "sex": ["f", "m"] * 30})
    other = pa.table({"b": ["y"] * 30 + ["x"] * 30, "sex": ["f", "m"] * 30})
    kept = before.select(["b", "sex"])
    assert assay.watch(kept, one, state=state).verdict == "no drift"
    assert assay.watch(kept, other, state=state).verdict == "no drift"
    assert assay.watch(kept, other, state=state).verdict == "open"
