"""Frames from Python: what Arrow holds is read or refused by its column's name, and nothing is coerced in silence."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from assay.core.errors import AssayError, InputError, StorageError

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from assay.adapters.frames import arrow_of, several, written  # noqa: E402
from assay.adapters.relation import open_relation, relation_of  # noqa: E402

N = 6
SECRET = "s3cr3t"
INDIA = timezone(timedelta(hours=5, minutes=30))
NOON = datetime(2020, 1, 1, 12, 30)


def arrow(column: Any) -> Any:
    return pa.table({"fine": list(range(N)), "wrong": column})


def pandas_frame(values: Any, **options: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"fine": range(N), "wrong": pandas.Series(values, **options)})


def told(call: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


@pytest.mark.parametrize(
    "pair",
    [
        (date(2020, 1, 1), NOON),
        (NOON, NOON.replace(tzinfo=INDIA)),
        (time(1), time(1, tzinfo=INDIA)),
        (b"\xff", SECRET),
        (SECRET, bytearray(b"x")),
        (1, SECRET),
        (True, 2),
        (UUID(int=1), b"a" * 16),
        ({"a": 1}, [SECRET]),
        (SECRET, object()),
    ],
)
@pytest.mark.parametrize("shape", ["column", "category"])
def test_objects_of_several_types_are_refused_by_name(pair: tuple[Any, Any], shape: str) -> None:
    pandas = pytest.importorskip("pandas")
    for values in (list(pair), list(reversed(pair))):
        assert several(values)
        if shape == "category" and not any(isinstance(v, (dict, list, bytearray)) for v in pair):
            frame = pandas.DataFrame({"fine": [1, 2], "wrong": pandas.Categorical(values, categories=values)})
        else:
            frame = pandas.DataFrame({"fine": [1, 2], "wrong": pandas.Series(values, dtype=object)})
        assert "column 'wrong' holds several types" in told(lambda f=frame: arrow_of(f, "f"))  # type: ignore[misc]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2.5, np.float32(1)], [decimal.Decimal("1.5"), 2], [NOON, datetime(2021, 1, 1)], ["a", None, float("nan")],
        [NOON.replace(tzinfo=INDIA), NOON.replace(tzinfo=UTC)], [[1], (2,), np.array([3])], [True, None],
    ],
)  # fmt: skip
def test_objects_of_one_type_are_read(values: list[Any]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"m": pandas.Series(values, dtype=object)})
    with relation_of(frame, "f") as relation:
        assert relation.one(["count(*)"]) == (len(values),)


def test_times_of_several_zones_keep_their_instants() -> None:
    pandas = pytest.importorskip("pandas")
    values = [NOON.replace(tzinfo=INDIA), NOON.replace(tzinfo=UTC)]
    read = arrow_of(pandas.DataFrame({"m": pandas.Series(values, dtype=object)}), "f")
    assert [v.astimezone(UTC) for v in read.column("m").to_pylist()] == values


def test_a_record_batch_is_a_table_and_its_cells_stay_in_it() -> None:
    batch = pa.RecordBatch.from_pydict({"s": [SECRET] * N, "y": range(N)})
    assert arrow_of(batch, "f").equals(pa.table(batch.to_pydict()))
    twice = pa.RecordBatch.from_arrays([pa.array([SECRET]), pa.array([SECRET])], names=["a", "a"])
    assert "two columns named 'a'" in told(lambda: arrow_of(twice, "f"))


def test_types_of_pandas_that_arrow_has_not_are_named() -> None:
    pandas = pytest.importorskip("pandas")
    sparse = pandas_frame(pandas.arrays.SparseArray(np.zeros(N)))
    assert "column 'wrong' is of type Sparse" in told(lambda: arrow_of(sparse, "f"))
    assert "column 'wrong' is of type complex128" in told(lambda: arrow_of(pandas_frame(np.arange(N) * 1j), "f"))
    assert "column 'wrong' holds values that no type" in told(lambda: arrow_of(pandas_frame([10**30] * N), "f"))
    twice = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    assert "two columns named 'a'" in told(lambda: arrow_of(twice, "f"))


def test_types_of_polars_that_arrow_has_not_are_named() -> None:
    polars = pytest.importorskip("polars")
    wide = polars.DataFrame({"fine": [1], "wrong": polars.Series([2**100], dtype=polars.Int128)})
    assert "column 'wrong' is of type Int128" in told(lambda: arrow_of(wide, "f"))
    objects = polars.DataFrame({"fine": [1], "wrong": polars.Series([object()], dtype=polars.Object)})
    assert "column 'wrong' is of type Object" in told(lambda: arrow_of(objects, "f"))
    lazy = polars.DataFrame({"fine": [1]}).lazy()
    assert "LazyFrame" in told(lambda: arrow_of(lazy, "f"))


def strings(content: bytes) -> Any:
    offsets = np.arange(N + 1, dtype="int32") * (len(content) // N)
    return pa.Array.from_buffers(pa.string(), N, [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)])


def kinds() -> dict[str, Any]:
    union = pa.UnionArray.from_sparse(pa.array([0, 1] * (N // 2), pa.int8()), [pa.array(range(N)), pa.array(["a"] * N)])
    return {
        "half": pa.array(np.arange(N).astype("float16")),
        "decimals": pa.array([decimal.Decimal(10) ** 50] * N, pa.decimal256(60, 0)),
        "months": pa.array([pa.MonthDayNano([1, 2, 3])] * N),
        "union": union,
        "runs": pa.RunEndEncodedArray.from_arrays(pa.array([N], pa.int32()), pa.array([3])),
        "nothing": pa.array([{}] * N, pa.struct([])),
        "far": pa.array([2**62] * N, pa.timestamp("s")),
        "bytes": strings(b"\xff" * N),
        "lists": pa.array([[1.0]] * N).cast(pa.list_(pa.float16())),
    }


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_type_of_arrow_is_read_or_refused_in_a_line(tmp_path: Path, kind: str) -> None:
    def read() -> Any:
        with relation_of(arrow(kinds()[kind]), "f") as relation:
            return relation.all("SELECT fine, wrong::VARCHAR FROM rows")

    def stored() -> Any:
        written(arrow(kinds()[kind]), tmp_path / "f.parquet")
        with open_relation(tmp_path / "f.parquet", "f", {}) as relation:
            return relation.all("SELECT fine, wrong::VARCHAR FROM rows")

    refused: dict[str, str] = {}
    for call in (read, stored):
        try:
            assert len(call()) == N
        except AssayError as error:
            refused[call.__name__] = str(error)
    assert not any("\n" in line for line in refused.values())
    assert ("read" in refused) is (kind in ("decimals", "bytes", "lists", "far"))
    assert kind != "half" or not refused


def test_wide_decimals_of_few_digits_are_read_exactly() -> None:
    column = pa.array([decimal.Decimal("1.10")] * N, pa.decimal256(30, 2))
    with relation_of(arrow(column), "f") as relation:
        assert relation.one(["sum(wrong)::VARCHAR"]) == ("6.60",)


def test_text_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    for call in (lambda: relation_of(arrow(strings(b"\xff" * N)), "f"), lambda: written(
        arrow(strings(b"\xff" * N)), tmp_path / "f.parquet"
    )):  # fmt: skip
        assert "column 'wrong' holds what its type does not allow" in told(call)
    with relation_of(arrow(strings(b"x" * N)), "f") as relation:
        assert relation.one(["min(wrong)"]) == ("x",)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_times_with_a_zone_are_times_in_any_unit(dataset: Any, tmp_path: Path, unit: str, zone: str) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    column = pa.array([NOON.replace(tzinfo=UTC)] * (N - 1) + [None], pa.timestamp(unit, zone))
    pq.write_table(arrow(column), tmp_path / "t.parquet")
    data = dataset(None, "t.parquet")
    assert (data.column("wrong").kind, data.column("wrong").nulls) == ("time", 1)
    assert data.table(("wrong",)).column(0)[0].as_py() == NOON
    whole = ["min(wrong)::TIMESTAMP", "count(wrong)"]
    for relation in (relation_of(arrow(column), "f"), open_relation(tmp_path / "t.parquet", "f", {})):
        with relation:
            assert relation.types["wrong"] == "TIMESTAMP WITH TIME ZONE"
            assert relation.one(whole) == (NOON, N - 1)


def test_a_frame_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(StorageError, match="temporary folder: no space left") as caught:
        written(arrow(list(range(N))), tmp_path / "f.parquet")
    assert "\n" not in str(caught.value)
