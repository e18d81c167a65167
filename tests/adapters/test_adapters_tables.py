"""Tables: what each file means, exactly; and every broken one refused in one line that never quotes a row."""

from __future__ import annotations

import decimal
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.core.errors import CouldNotLook, InputError
from assay.core.subject import Contract, Feature, Kind, Subject

pytest.importorskip("duckdb", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")


def kinds(data: Any) -> dict[str, str]:
    return {c.name: c.kind for c in data.columns}


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


def test_csv_types_are_judged_over_all_rows(dataset: Any) -> None:
    rows = "".join(f"{i},{i}.5,true,Yes,2024-01-02 03:04:05,x{i % 3}\n" for i in range(30_000))
    data = dataset("i,f,b,y,t,late\n" + rows + "1,2,false,No,2024-02-03,7\n")
    assert kinds(data) == {
        "i": "integer", "f": "number", "b": "boolean", "y": "category", "t": "time", "late": "category",
    }  # fmt: skip
    assert data.rows == 30_001
    late = data.column("late")
    assert late.mixed == (1, 30_000)
    assert data.table(("y",)).column(0)[0].as_py() == "Yes"


def test_row_numbers_are_file_order(dataset: Any) -> None:
    data = dataset("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(50_000)))
    assert data.table(("a",)).column(0).to_pylist() == list(range(50_000))
    assert data.sql("SELECT rowid, a FROM data WHERE a = 49999").to_pylist() == [{"rowid": 49_999, "a": 49_999}]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a;b\r\n1;2,5\r\n3;4,5\r\n", ["a", "b"]),
        ("\ufeffa;b\n1;2\n", ["a", "b"]),
        ("a\tb\n1\t2\n", ["a", "b"]),
        ("a|b\n1|2\n", ["a", "b"]),
        ("a\n1\n2\n", ["a"]),
        (',x\n0,"1,5"\n1,"2,5"\n', ["column0", "x"]),
        ("1,2\n3,4\n", ["column0", "column1"]),
        ('"a,1","b"\n1,"x\ny"\n2,"q""r"\n', ["a,1", "b"]),
    ],
)
def test_csv_layout_is_found(dataset: Any, text: str, columns: list[str]) -> None:
    data = dataset(text)
    assert [c.name for c in data.columns] == columns


def test_headerless_file_takes_declared_names(dataset: Any) -> None:
    data = dataset("a,b\nc,d\n", header=False, columns=["x", "y"])
    assert data.table().to_pylist() == [{"x": "a", "y": "b"}, {"x": "c", "y": "d"}]
    assert dataset("a,b\nc,d\n", name="u.csv", columns=["a", "b"]).rows == 1


def test_missing_values_are_pandas_words_or_the_declared_ones(dataset: Any) -> None:
    data = dataset("a,b\n1,none\nNA,nan\n,NaN\nnull,x\n")
    assert kinds(data) == {"a": "integer", "b": "category"}
    assert (data.column("a").nulls, data.column("b").nulls) == (3, 2)
    assert data.table(("b",)).column(0)[0].as_py() == "none"
    own = dataset("a\n1\n?\n3\n", name="own.csv", nan=["?"])
    assert (own.column("a").kind, own.column("a").nulls) == ("integer", 1)


def test_infinities_stay_and_nan_is_missing(dataset: Any) -> None:
    data = dataset("a\n1.5\ninf\n-inf\nNaN\n")
    assert data.column("a").kind == "number"
    assert data.encoded().matrix[:3, 0].tolist() == [1.5, float("inf"), float("-inf")]
    assert np.isnan(data.encoded().matrix[3, 0])


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.feather", "t.arrows"])
def test_typed_formats(dataset: Any, tmp_path: Path, name: str) -> None:
    import pyarrow.feather
    import pyarrow.parquet

    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int8()),
            "f": pa.array([1.5, float("nan"), 2.5], pa.float32()),
            "s": pa.array(["7", "8", "x"]).dictionary_encode(),
            "digits": ["1", "2", "3"],
            "d": pa.array([0, 1, 2], pa.date32()),
            "n": [[1], [2], [3]],
        }
    )
    path = tmp_path / name
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(table, path)
    elif name.endswith("feather"):
        pyarrow.feather.write_feather(table, path)
    else:
        new = pa.ipc.new_file if name.endswith("arrow") else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table)
    data = dataset(None, name)
    assert kinds(data) == {
        "i": "integer", "f": "number", "s": "category", "digits": "category", "d": "time", "n": "text",
    }  # fmt: skip
    assert [data.column(n).nulls for n in ("i", "f", "s")] == [1, 1, 0]
    assert data.column("s").mixed == (2, 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"   \n\n", "no columns"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3\n5,6\n", "line 3 has 1 values where 2"),
        (b"a,b\n1,2\n3,4,secret\n", "line 3 has 3 values where 2"),
        (b"a,a\n1,2\n", "two columns named 'a'"),
        (b"a,A\n1,2\n", "differ only in case"),
        (b"a,b\n1,\xff\xfe\n", "not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b'a,b\n1,"secret\n3,4\n', "never closed"),
        (b"a,b\n1,2\r\n3,4\n5,6", "not well-formed"),
        (b"a,b\n1," + b"x" * 10_000_000 + b"\n", "1,000,000 characters"),
        (b"a,b\n1," + b"x" * 1_500_000 + b"\n", "1,500,000 characters"),
        (b"x" * 10_000_000, "column name of 1,048,576 characters"),
        (b"a,b\n\x00\x01\x02,3\n", "NUL"),
        (b"PK\x03\x04aaaaaaaa", "zip"),
        (b"\x1f\x8b\x08aaaaaaa", "gzip"),
        (b"PAR1" + b"\x00" * 40 + b"PAR1", "Parquet"),
        (b"PAR1 torn", "Parquet"),
        (b"ARROW1\x00\x00torn", "Arrow"),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00torn", "Arrow"),
        (",".join(f"c{i}" for i in range(10_001)).encode() + b"\n", "10,001 columns"),
    ],
)
def test_bad_files_are_one_clear_line(dataset: Any, content: bytes, says: str) -> None:
    with pytest.raises(InputError) as error:
        dataset(content)
    assert says in one_line(error)
    assert "secret" not in str(error.value)
    assert str(error.value).startswith("t.csv: ")


def test_every_torn_parquet_is_refused_or_whole(dataset: Any, tmp_path: Path) -> None:
    import pyarrow.parquet

    path = tmp_path / "whole.parquet"
    pyarrow.parquet.write_table(pa.table({"a": list(range(1000)), "b": ["x", "y"] * 500}), path)
    whole = path.read_bytes()
    for cut in range(8, len(whole), len(whole) // 12):
        with pytest.raises(InputError):
            dataset(whole[:cut], name=f"cut{cut}.parquet")


def test_what_is_no_file_is_refused(dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe.csv")
    for name, says in (("no.csv", "does not exist"), ("d.csv", "folder"), ("pipe.csv", "not a regular file")):
        with pytest.raises(InputError) as error:
            dataset(None, name)
        assert says in one_line(error)
    with pytest.raises(InputError):
        dataset(None, "loop")


def test_sizes_and_digests_are_held_to(tmp_path: Path) -> None:
    from assay.adapters.tables import open_dataset

    (tmp_path / "t.csv").write_text("a\n1\n")
    subject = Subject(name="t", kind=Kind.DATASET, uri="t.csv", digest="sha256:" + "0" * 64)
    with pytest.raises(InputError, match="changed since"):
        open_dataset(subject, tmp_path)
    with pytest.raises(InputError, match="at most 2"):
        open_dataset(Subject(name="t", kind=Kind.DATASET, uri="t.csv"), tmp_path, max_bytes=2)


def test_a_wrong_column_name_suggests_the_right_one(dataset: Any) -> None:
    with pytest.raises(InputError, match="did you mean 'PolicyNumber'"):
        dataset("PolicyNumber,b\n1,2\n", id="PolicyNumbr")
    with pytest.raises(InputError, match="not a list"):
        dataset("a,b\n1,2\n", drop=[1])
    with pytest.raises(InputError, match="separator"):
        dataset("a,b\n1,2\n", separator=";;")
    with pytest.raises(InputError, match="names 1 columns but the first row has 2"):
        dataset("1,2\n", header=False, columns=["a"])


def test_features_leave_out_the_roles(dataset: Any) -> None:
    data = dataset("i,t,e,x,z,y\n1,2,3,5,6,0\n2,2,3,5,6,1\n", label="y", id="i", time="t", entity="e",
                   drop=["z"], protected=["x"])  # fmt: skip
    assert data.features == ("x",)
    assert data.protected == ("x",)


@pytest.mark.parametrize(
    ("cells", "positive"),
    [("1 0 1", 1), ("1 0 1", "1"), ("1.0 0.0 1.0", 1), ("true false true", 1), ("1 0 1", True), ("Yes No Yes", True),
     ("Yes No Yes", "Yes"), ("0 1 0", 0), ("b a b", "b"), ("1 0 1", None), ("01 a 01", 1)],
)  # fmt: skip
def test_positive_is_matched_whatever_its_type(dataset: Any, cells: str, positive: Any) -> None:
    data = dataset("x,y\n" + "".join(f"7,{c}\n" for c in cells.split()), label="y", positive=positive)
    assert data.target().tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("x,y\n1,0\n2,1\n", {}, "no label is declared"),
        ("x,fraud\n1,0\n2,1\n", {"label": "frauds"}, "did you mean 'fraud'"),
        ("x,y\n1,1\n2,1\n", {"label": "y", "positive": 1}, "one class only"),
        ("x,y\n1,0\n2,0\n", {"label": "y", "positive": 1}, "never occurs"),
        ("x,y\n1,a\n2,b\n", {"label": "y"}, "add `positive:`"),
        ("x,y\n1,0\n2,1\n3,\n", {"label": "y", "positive": 1}, "1 rows have no label"),
    ],
)
def test_unusable_labels_could_not_be_looked_at(dataset: Any, text: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(CouldNotLook) as error:
        dataset(text, **options).target()
    assert says in one_line(error)


@pytest.mark.parametrize("name", ["t.csv", "bad.parquet"])
@pytest.mark.parametrize(
    ("cells", "positive", "says"),
    [
        (["zaphod", "quokka"], 1, "positive value '1' never occurs in 'y', which holds 2 different values"),
        (["zaphod", "zaphod"], 1, "which holds 1 value;"),
        (["987651", "0"], 1, "which holds 2 different values"),
        (["0", "0"], 1, "which holds 0;"),
        (["true", "false"], "yes!", "which holds"),
        (["1", "1"], 1, "has one class only (1)"),
    ],
)
def test_a_label_that_does_not_fit_is_told_without_its_cells(
    dataset: Any, name: str, cells: list[str], positive: Any, says: str
) -> None:
    data = dataset("x,y\n" + "".join(f"7,{c}\n" for c in cells), name, label="y", positive=positive)
    with pytest.raises(CouldNotLook) as error:
        data.target()
    assert says in one_line(error)
    for cell_ in ("zaphod", "quokka", "987651"):
        assert cell_ not in str(error.value)


def test_what_duckdb_says_of_a_cell_is_not_passed_on(dataset: Any) -> None:
    data = dataset("x,y\n1,zaphod\n2,0\n")
    with pytest.raises(CouldNotLook) as error:
        data.sql("SELECT CAST(y AS INTEGER) FROM data")
    assert "the query failed: ConversionException" in one_line(error)
    assert "zaphod" not in str(error.value)


def test_values_that_cannot_be_typed_are_one_line_without_them(monkeypatch: pytest.MonkeyPatch, dataset: Any) -> None:
    import duckdb

    from assay.adapters import tables_type

    for raised, says in ((duckdb.ConversionException, "could not be typed"), (duckdb.OutOfMemoryException, "memory")):

        def fail(*_: object, error: type[Exception] = raised) -> None:
            raise error("Could not convert string 'zaphod'")

        monkeypatch.setattr(tables_type, "_facts", fail)
        with pytest.raises(InputError) as error:
            dataset("x,y\n1,zaphod\n")
        assert says in one_line(error)
        assert "zaphod" not in str(error.value)


def test_encoding(dataset: Any) -> None:
    contract = Contract(features={"past": Feature(order=("none", 1, "2 to 4")), "shop": Feature(type="category")})
    data = dataset("n,past,c,b,shop,y\n1,none,q,true,7,0\n,2 to 4,p,false,3,1\n3,1,,true,7,1\n4,odd,q,true,3,0\n",
                   contract=contract, label="y")  # fmt: skip
    got = data.encoded()
    nan = float("nan")
    want = [[1, 0, 1, 1, 1], [nan, 2, 0, 0, 0], [3, 1, nan, 1, 1], [4, nan, 1, 1, 0]]
    np.testing.assert_array_equal(got.matrix, want)
    assert got.matrix.dtype == np.float64
    assert got.names == ("n", "past", "c", "b", "shop")
    assert got.categorical == (2, 4)
    assert got.levels == {"past": ("none", 1, "2 to 4"), "c": ("p", "q"), "shop": (3, 7)}
    assert got.unknown == {"past": 1}
    other = dataset("n,past,c,b,shop,y\n1,none,z,true,9,0\n1,none,q,true,7,0\n", name="o.csv", contract=contract)
    again = other.encoded(like=got)
    np.testing.assert_array_equal(again.matrix, [[1, 0, nan, 1, nan], [1, 0, 1, 1, 1]])
    assert again.unknown == {"c": 1, "shop": 1}


def test_prose_is_left_out_of_the_encoding(dataset: Any) -> None:
    data = dataset("n,s\n" + "".join(f"{i},remark number {i}\n" for i in range(300)))
    assert data.column("s").kind == "text"
    assert data.encoded().left_out == ("s",)
    assert data.encoded(["s"]).matrix.shape == (300, 1)


def test_sql_reaches_nothing_but_the_table(dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a\n1\n")
    data = dataset('a"b,c\n1,2\n')
    from assay.adapters.tables import ident

    assert data.sql(f"SELECT {ident('a' + chr(34) + 'b')} AS v FROM data").to_pylist() == [{"v": 1}]
    for query in (
        f"SELECT * FROM '{tmp_path}/other.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        f"COPY data TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/x.db'",
        "SET enable_external_access=true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM pa",
        "SELECT nonsense FROM data",
    ):
        with pytest.raises(CouldNotLook):
            data.sql(query)
    assert not (tmp_path / "out.csv").exists()


cell = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12
).filter(lambda s: s.strip() == s)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cell, cell), min_size=2, max_size=8))
def test_any_well_written_csv_comes_back_whole(dataset: Any, rows: list[tuple[str, str]]) -> None:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("a", "b"))
    writer.writerows([("w" + a, "w" + b) for a, b in rows])
    data = dataset(buffer.getvalue(), header=True, separator=",")
    assert [(r["a"], r["b"]) for r in data.table().to_pylist()] == [("w" + a, "w" + b) for a, b in rows]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text('ab,;"\n\r1\t .', max_size=60).map(str.encode))
def test_any_bytes_give_a_table_or_one_line(dataset: Any, content: bytes) -> None:
    refusal = ""
    try:
        data = dataset(content)
    except InputError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert refusal.startswith("t.csv: ") or data.table().num_rows == data.rows > 0


def written(tmp_path: Path, name: str, **columns: Any) -> str:
    """A Parquet or Arrow file of these columns in tmp_path."""
    return written_table(tmp_path, name, pa.table(columns))


def written_table(tmp_path: Path, name: str, table: Any) -> str:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / name)
    else:
        with pa.OSFile(str(tmp_path / name), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return name


def decimals(start: int, rows: int, digits: int = 38) -> Any:
    with decimal.localcontext() as context:
        context.prec = 80
        values = [decimal.Decimal(start) + i for i in range(rows)]
    return pa.array(values, pa.decimal128(38, 0) if digits == 38 else pa.decimal256(digits, 0))


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (str(10**38), "category"),
        (str(10**310), "category"),  # no double at all
        (str(2**63), "category"),
        (str(2**63 - 101), "integer"),  # the last of them still fits 64 bits
        (str(2**53), "integer"),
        ("-" + str(10**20), "category"),
        ("1.5", "number"),
        (str(10**20) + ".5", "number"),
    ],
)
def test_whole_numbers_that_doubles_would_merge_stay_apart(dataset: Any, first: str, kind: str) -> None:
    head, dot, rest = first.partition(".")
    data = dataset("a,b\n" + "".join(f"{int(head) + i}{dot}{rest},1\n" for i in range(100)))
    distinct = data.sql("SELECT count(DISTINCT a) FROM data").column(0)[0].as_py()
    assert kinds(data)["a"] == kind
    assert distinct == 100 or "." in first


@pytest.mark.parametrize("cells", ["1e20,1e30,2.5", "100000000000000000000,200000000000000000000,1", "inf,2.5,3"])
def test_large_numbers_that_doubles_tell_apart_stay_numbers(dataset: Any, cells: str) -> None:
    data = dataset("a,b\n" + "".join(f"{cell},1\n" for cell in cells.split(",")))
    assert kinds(data)["a"] == "number"


def test_one_number_in_two_spellings_is_not_two(dataset: Any) -> None:
    data = dataset(f"a,b\n{10**20},1\n+{10**20},1\n0{10**20},1\n{10**20}.0,1\n0.5,1\n")
    assert (kinds(data)["a"], data.sql("SELECT count(DISTINCT a) FROM data").column(0)[0].as_py()) == ("number", 2)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
def test_typed_whole_numbers_that_doubles_would_merge_stay_apart(dataset: Any, tmp_path: Path, name: str) -> None:
    columns = {
        "d": decimals(10**37, 50),
        "u": pa.array([2**63 + i for i in range(50)], pa.uint64()),
        "small": pa.array(range(50), pa.uint64()),
        "money": decimals(1, 50),
        "near": pa.array([2**53 + i for i in range(50)], pa.uint64()),
    }
    data = dataset(None, written(tmp_path, name, **columns))
    assert kinds(data) == {"d": "category", "u": "category", "small": "number", "money": "number", "near": "integer"}
    for column in columns:
        assert data.sql(f"SELECT count(DISTINCT {column}) FROM data").column(0)[0].as_py() == 50
    assert data.table(("u",)).column(0)[1].as_py() == str(2**63 + 1)


def test_a_column_that_the_contract_calls_a_number_is_one(dataset: Any) -> None:
    contract = Contract(features={"a": Feature(type="number")})
    data = dataset("a\n" + "".join(f"{10**20 + i}\n" for i in range(9)), contract=contract)
    assert kinds(data) == {"a": "number"}


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow"])
@pytest.mark.parametrize("names", [["label", "label"], ["label", "Label"]])
def test_columns_that_share_a_name_are_refused(dataset: Any, tmp_path: Path, name: str, names: list[str]) -> None:
    written_table(tmp_path, name, pa.Table.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=names))
    with pytest.raises(InputError) as error:
        dataset(None, name)
    assert "'label'" in one_line(error)


def test_names_inside_nested_columns_may_repeat(dataset: Any, tmp_path: Path) -> None:
    nested = {"a": [{"x": 1, "y": {"x": [2]}}], "b": [{"x": 1}], "x": [[1]], "c": [1]}
    data = dataset(None, written(tmp_path, "t.parquet", **nested))
    assert [c.name for c in data.columns] == ["a", "b", "x", "c"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("t.parquet", pa.array([2**31 - 2], pa.date32())),
        ("t.arrow", pa.array([2**31 - 2], pa.date32())),
        ("t.arrow", pa.array([2**60], pa.timestamp("s"))),
        ("t.arrow", pa.array([[1.0]]).cast(pa.list_(pa.float16()))),
        ("t.arrow", decimals(10**60, 1, 70)),
        ("t.parquet", decimals(10**60, 1, 70)),
    ],
)
def test_a_column_that_cannot_be_typed_is_named(dataset: Any, tmp_path: Path, name: str, column: Any) -> None:
    columns = {"blob": [b"\xff"], "when": pa.array([1], pa.timestamp("us")), "money": decimals(1, 1), "wrong": column}
    with pytest.raises(InputError) as error:
        dataset(None, written(tmp_path, name, **columns))
    assert "column 'wrong'" in one_line(error)


def test_tables_without_a_feature_to_encode_say_so(dataset: Any, tmp_path: Path) -> None:
    only = dataset("label\n1\n0\n", label="label")
    with pytest.raises(CouldNotLook, match=r"no feature columns.*: label$"):
        only.encoded()
    with pytest.raises(CouldNotLook, match="no feature columns"):
        only.table(())
    data = dataset(
        None, written(tmp_path, "n.parquet", x=[[1], [2]], blob=[b"1", b"\xff"], label=[0, 1]), label="label"
    )
    with pytest.raises(CouldNotLook, match=r"not encoded: x, blob$"):
        data.encoded()
    assert data.encoded(text=True).names == ("x", "blob")


def wide(rows: int = 40) -> str:
    """70 columns of text: each kind of value that a column is judged by, some of them missing or nearly something."""
    cells: list[Callable[[int], str]] = [
        str,
        lambda i: f"{i}.5",
        lambda i: "true" if i % 2 else "FALSE",
        lambda i: f"2024-01-{1 + i % 28:02d}",
        lambda i: f"w{i % 3}",
        lambda i: "" if i % 4 else f" {i} ",
        lambda _: "1_000",
        lambda i: " nAn " if i % 5 else "2.5",
        lambda _: "inf",
        lambda _: "",
        lambda i: "x" if i == 7 else str(i),
        lambda i: f"9007199254740{i:03d}",
        lambda i: "NaN" if i % 3 else "banana",
        lambda i: f"+0{i}",
    ]
    names = [f'"c ""{j}"' for j in range(70)]
    lines = [",".join(cells[j % len(cells)](i) for j in range(70)) for i in range(rows)]
    return "\n".join([",".join(names), *lines]) + "\n"


def test_many_columns_are_stacked_and_read_as_they_are_one_by_one(
    monkeypatch: pytest.MonkeyPatch, dataset: Any
) -> None:
    from assay.adapters import tables_type

    asked: list[int] = []
    stacked = tables_type._stacked

    def counted(connection: Any, names: list[str]) -> Any:
        asked.append(len(names))
        return stacked(connection, names)

    monkeypatch.setattr(tables_type, "_stacked", counted)
    together = dataset(wide(), "together.csv")
    assert asked == [70]
    monkeypatch.setattr(tables_type, "_FEW_ROWS", 0)
    apart = dataset(wide(), "apart.csv")
    assert asked == [70]
    assert together.columns == apart.columns
    assert together.table().equals(apart.table())
    assert {c.kind for c in together.columns} == {"integer", "number", "boolean", "time", "category"}


def test_nan_in_some_of_many_columns_is_missing_and_no_other_number_is(dataset: Any) -> None:
    data = dataset(wide())
    held = data.table(('c "7',)).column(0)
    assert (data.column('c "7').kind, held.null_count) == ("number", 32)
    assert data.table(('c "1',)).column(0).null_count == 0
    assert data.table(('c "8',)).column(0).to_pylist() == [float("inf")] * 40


def test_a_wide_table_that_is_torn_is_refused_in_one_line(dataset: Any) -> None:
    with pytest.raises(InputError) as error:
        dataset(wide() + "1,2,3\n")
    assert "has 3 values where 70 are expected" in one_line(error)
    with pytest.raises(InputError) as error:
        dataset(wide().replace("w1", "zaphod" * 200_000, 1))
    assert "zaphod" not in one_line(error)


def test_aggregates_and_columns_are_asked_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, dataset: Any) -> None:
    data = dataset(wide())
    queries: list[str] = []
    plain = type(data).sql
    monkeypatch.setattr(type(data), "sql", lambda self, query: queries.append(query) or plain(self, query))
    assert data.counted([f"count(*) + {i}" for i in range(70)]) == [40 + i for i in range(70)]
    assert len(queries) == 3
    names = [c.name for c in data.columns]
    held = dict(data.each(names))
    assert len(queries) == 5
    assert list(held) == names
    assert all(held[n].equals(data.table((n,)).column(0)) for n in names)
    assert data.counted([]) == list(data.each(())) == []
