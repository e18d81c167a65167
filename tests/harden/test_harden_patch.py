"""A patch put to a table and taken off again: bytes of a CSV, values and types of Parquet and Arrow; torn patches."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.core.canonical import SCHEMA
from assay.core.errors import InputError, VerificationError
from assay.harden.patch import Action, Change, Patch, Side, encode_patch, packed, read_patch

pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("duckdb", reason="the ml extra is not installed")

from assay.harden.columns import content_digest  # noqa: E402
from assay.harden.patched import Whole, patched, reverted, with_rows, without_rows  # noqa: E402
from assay.harden.records import Records  # noqa: E402
from assay.harden.reread import held  # noqa: E402

CELL = st.text(st.sampled_from('ab0 ,"\n\r;'), max_size=6)
PLAIN = CELL.map(lambda text: text.replace("\r", ""))  # csv.writer leaves a lone carriage return unquoted
ACTIONS: tuple[Action, ...] = ("remove", "relabel", "down-weight")


def made(whole: Whole, changes: dict[int, Action], *, label: str, weight: str, added: bool) -> Patch:
    """A patch of these actions, complete with what undoes it."""
    out = []
    for row, action in sorted(changes.items()):
        facts: dict[str, Any] = {}
        if action == "relabel":
            facts = {"old_label": whole.text(row, label), "new_label": whole.text((row + 1) % whole.rows, label)}
        elif action == "down-weight":
            facts = {"old_weight": None if added else whole.text(row, weight), "new_weight": 0.25}
        out.append(Change(row=row, action=action, checks=("c",), reasons=("r",), scores=(1.0,), **facts))
    patch = Patch(
        kind="table-patch",
        schema=SCHEMA,
        format=whole.layout.format,  # type: ignore[arg-type]
        source=whole.side,
        result=whole.side,
        columns=whole.names,
        tool="assay/test",
        seed=0,
        counts={a: sum(c.action == a for c in out) for a in ACTIONS},
        checks={"c": 1},
        changes=tuple(out),
        separator=whole.layout.separator,
        header=whole.layout.header,
        label=label,
        weight=weight,
        added=added,
    )
    patch = with_rows(whole, patch)
    return msgspec.structs.replace(patch, result=patched(whole, patch).side)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_csv_comes_back_byte_for_byte(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = data.draw(st.integers(2, 8))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator=end, quoting=quoting)
    writer.writerow(["a", "y", "w"])
    cell = CELL if quoting == csv.QUOTE_ALL else PLAIN
    for _ in range(rows):
        writer.writerow([data.draw(cell), data.draw(cell), data.draw(st.sampled_from(["1", "2.50", ""]))])
    text = data.draw(st.sampled_from(["", "\ufeff"])) + buffer.getvalue()
    text = text.removesuffix(end) if data.draw(st.booleans()) else text + data.draw(st.sampled_from(["", end]))
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.encode())
    whole = Whole(path, rows, "t.csv", {"separator": ",", "header": True})
    changes = data.draw(st.dictionaries(st.integers(0, rows - 1), st.sampled_from(ACTIONS)))
    added = data.draw(st.booleans())
    patch = made(whole, changes, label="y", weight="assay_weight" if added else "w", added=added)
    result = patched(whole, patch)
    assert result.side.rows == rows - sum(a == "remove" for a in changes.values())
    if result.side.rows:
        after = again(path, result.data, result.side.rows, [*whole.names, *([patch.weight] if added else [])])
        held(whole, after, patch, "p")
        assert reverted(after, patch, "p").data == path.read_bytes()
        assert patched(whole, without_rows(patch)).data == result.data
    read = list(csv.reader(io.StringIO(result.data.decode("utf-8-sig"), newline="")))
    assert {len(r) for r in read if r} == {4 if added else 3}


def again(path: Path, data: bytes, rows: int, names: list[str]) -> Whole:
    """What was made of the table at `path`, from a file of its own."""
    out = path.with_name(f"again-{path.name}")
    out.write_bytes(data)
    return Whole(out, rows, "again", {"separator": ",", "header": True, "columns": names})


def typed() -> Any:
    """Six rows of many types, with nulls, a zone, metadata and a column that must not be null."""
    moment = datetime(2024, 1, 2, tzinfo=UTC)
    fields = [
        pa.field("i", pa.int32()), pa.field("f", pa.float32()), pa.field("s", pa.large_string()),
        pa.field("d", pa.dictionary(pa.int8(), pa.string())), pa.field("t", pa.timestamp("ns", "UTC")),
        pa.field("n", pa.decimal128(20, 3)), pa.field("l", pa.list_(pa.int64())), pa.field("b", pa.bool_()),
        pa.field("y", pa.int8(), nullable=False, metadata={"what": "label"}), pa.field("w", pa.int64()),
    ]  # fmt: skip
    columns = [
        [1, None, 3, 4, 5, 6], [0.5, float("nan"), None, 1.0, -0.0, 2.0], ["a", None, "ü", "", "b", "c"],
        ["k", "k", None, "l", "k", "m"], [moment, None, moment, moment, moment, moment],
        [Decimal("1.500"), None, Decimal("2.000"), Decimal("3.000"), None, Decimal("0.001")],
        [[1], [], None, [1, 2], [3], []], [True, False, None, True, True, False], [0, 1, 0, 1, 0, 1],
        [1, 2, 3, None, 5, 6],
    ]  # fmt: skip
    schema = pa.schema(fields, metadata={"made": "by hand"})
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=schema)


def written(folder: Path, table: Any, kind: str) -> Path:
    """The table as a file."""
    import pyarrow.parquet

    path = folder / f"t.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
        return path
    with (pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream)(path, table.schema) as writer:
        writer.write_table(table)
    return path


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize("added", [True, False])
def test_a_typed_table_comes_back_with_its_types(kind: str, added: bool, tmp_path: Path) -> None:
    path = written(tmp_path, typed(), kind)
    whole = Whole(path, 6, "t")
    source = whole.columns
    changes: dict[int, Action] = {0: "remove", 2: "relabel", 3: "down-weight", 5: "remove"}
    patch = made(whole, changes, label="y", weight="assay_weight" if added else "w", added=added)
    result = patched(whole, patch)
    out = tmp_path / "out"
    out.write_bytes(result.data)
    after = Whole(out, 4, "out")
    held(whole, after, patch, "p")
    assert after.side.content == patch.result.content
    assert after.columns.column("y").to_pylist() == [1, 1, 1, 0]
    weights = after.columns.column(patch.weight).to_pylist()
    assert weights == ([1.0, 1.0, 0.25, 1.0] if added else [2.0, 3.0, 0.25, 5.0])
    back = reverted(after, patch, "p")
    out.write_bytes(back.data)
    returned = Whole(out, 6, "out").columns
    assert returned.schema.equals(source.schema, check_metadata=True)
    assert returned.drop_columns(["f"]).equals(source.drop_columns(["f"]))
    assert str(returned.column("f").to_pylist()) == str(source.column("f").to_pylist())
    with pytest.raises(VerificationError, match="no-rows"):
        reverted(after, without_rows(patch), "p")


def test_the_digest_is_of_values_not_of_packing() -> None:
    table = typed()
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert content_digest(chunked) == content_digest(table)
    for place, name in enumerate(table.column_names):
        other = table.set_column(place, table.schema.field(place), table.column(name).take([5, 4, 3, 2, 1, 0]))
        assert content_digest(other) != content_digest(table), name
    assert content_digest(table.rename_columns([*table.column_names[:-1], "v"])) != content_digest(table)
    assert content_digest(pa.table({"a": ["ab", "c"]})) != content_digest(pa.table({"a": ["a", "bc"]}))


@pytest.fixture
def patch(tmp_path: Path) -> Patch:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1,0\n2,1\n3,0\n", "utf-8")
    whole = Whole(path, 3, "t.csv", {"separator": ",", "header": True})
    changes: dict[int, Action] = {0: "remove", 1: "relabel", 2: "down-weight"}
    return made(whole, changes, label="y", weight="assay_weight", added=True)


def test_a_patch_is_read_as_it_was_written(patch: Patch, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(encode_patch(patch))
    assert read_patch(path) == patch
    assert encode_patch(read_patch(path)) == path.read_bytes()


def test_torn_and_foreign_patches_are_one_line(patch: Patch, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    whole = encode_patch(patch)
    first, *rest = patch.changes
    side = Side(rows=1, digest="", content="")
    replaced = {
        "rows outside": {"changes": (*patch.changes[:2], msgspec.structs.replace(patch.changes[2], row=9))},
        "numbers of rows": {"source": side},
        "not in order": {"changes": tuple(reversed(patch.changes))},
        "counts": {"changes": tuple(rest), "result": patch.source},
        "a column": {"label": "z"},
        "no reason": {"changes": (msgspec.structs.replace(first, reasons=()), *rest)},
        "no new label": {"changes": (first, msgspec.structs.replace(rest[0], new_label=None), rest[1])},
        "no new weight": {"changes": (first, rest[0], msgspec.structs.replace(rest[1], new_weight=None))},
        "separator": {"separator": ""},
    }
    for says, other in replaced.items():
        path.write_bytes(encode_patch(msgspec.structs.replace(patch, **other)))
        with pytest.raises(InputError, match=says):
            read_patch(path)
    for data in (b"", whole[:-20], whole[:100], b"[]", b"{}", whole.replace(b"table-patch", b"other-thing"), b"\xff"):
        path.write_bytes(data)
        with pytest.raises(InputError, match="no patch of a table"):
            read_patch(path)
    with pytest.raises(InputError, match="does not exist"):
        read_patch(tmp_path / "gone.json")


@settings(max_examples=40, deadline=None)
@example(at=2229, value=1)  # a decimal of more places than digits
@example(at=486, value=255)  # and of so many that a cast of Arrow crashes
@given(at=st.integers(0, 4000), value=st.integers(0, 255))
def test_a_damaged_blob_is_never_a_crash(at: int, value: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("blob")
    path = written(folder, typed(), "parquet")
    whole = Whole(path, 6, "t")
    whole_patch = made(whole, {0: "remove", 2: "relabel"}, label="y", weight="", added=False)
    result = patched(whole, whole_patch).data
    out = folder / "out.parquet"
    out.write_bytes(result)
    blob = bytearray(__import__("base64").b64decode(whole_patch.removed))
    blob[at % len(blob)] = value
    damaged = msgspec.structs.replace(whole_patch, removed=packed(bytes(blob)))
    try:
        back = reverted(Whole(out, 5, "out"), damaged, "p")
    except (InputError, VerificationError):
        return
    assert back.side.content == whole_patch.source.content


def test_a_table_of_other_columns_is_refused(patch: Patch, tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    path.write_text("a,b\n1,0\n2,1\n3,0\n", "utf-8")
    whole = Whole(path, 3, "o.csv", {"separator": ",", "header": True})
    with pytest.raises(InputError, match="of another table"):
        patched(whole, patch)
    with pytest.raises(InputError, match="cannot be told apart"):
        Whole(path, 7, "o.csv", {"separator": ",", "header": True})


STRAY = b'n,s,y\n1,5" a,0\n2,6" b,1\n' + b"".join(b"%d,r%d,%d\n" % (i, i, i % 2) for i in range(3, 20))


@pytest.mark.parametrize("blank", [False, True])
def test_quotes_in_cells_and_blank_lines_move_no_row(blank: bool, tmp_path: Path) -> None:
    lines = STRAY.splitlines(keepends=True)
    data = b"".join([*lines[:14], *([b"\n"] if blank else []), *lines[14:]])  # what joins two rows and what adds one
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    whole = Whole(path, 19, "t.csv", {"separator": ",", "header": True})
    assert whole.text(1, "s") == '6" b'
    result = patched(whole, made(whole, {5: "remove"}, label="y", weight="", added=False))
    assert set(data.split(b"\n")) - set(result.data.split(b"\n")) == {b"6,r6,0"}
    assert b"".join(whole.subset([2, 5]).splitlines(keepends=True)[1:]) == b"3,r3,1\n6,r6,0\n"


def test_lines_that_no_way_of_cutting_gives_as_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n1,0\n2,1\n")
    with pytest.raises(InputError, match="cannot be told apart"):
        Records.of(path, b"a,y\n1,0\n3,1\n", Whole(path, 2, "t").layout, 2, "t")  # other cells than those that are read


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
@pytest.mark.parametrize("action", ["remove", "down-weight", "relabel", None])
def test_a_typed_table_may_be_changed_in_one_way_only(kind: str, action: Action | None, tmp_path: Path) -> None:
    path = written(tmp_path, typed(), kind)
    whole = Whole(path, 6, "t")
    changes = {2: action} if action else {}
    weight = "assay_weight" if action == "down-weight" else ""
    patch = made(whole, changes, label="y", weight=weight, added=bool(weight))
    out = tmp_path / "out"
    out.write_bytes(patched(whole, patch).data)
    after = Whole(out, 5 if action == "remove" else 6, "out")
    held(whole, after, patch, "p")
    assert reverted(after, patch, "p").side.content == patch.source.content
    assert whole.subset([]) != whole.data


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_cell_that_no_change_names_is_seen_when_it_differs(kind: str, tmp_path: Path) -> None:
    columns = {"a": [1, 2, 3, 4], "w": [1, 1, 1, 1], "y": [0, 1, 0, 1]}

    def table(name: str, **other: Any) -> Whole:
        values = {**columns, **other}
        path = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            lines = [",".join(values), *(",".join(map(str, r)) for r in zip(*values.values(), strict=True))]
            path.write_text("\n".join(lines) + "\n", "utf-8")
        else:
            path = written(tmp_path, pa.table(values), kind).rename(path)
        return Whole(path, len(values["a"]), name)

    whole = table("t")
    changes: dict[int, Action] = {0: "remove", 1: "relabel", 2: "down-weight"}
    patch = made(whole, changes, label="y", weight="w", added=False)
    right: dict[str, list[Any]] = {"a": [2, 3, 4], "w": [1.0, 0.25, 1.0], "y": [0, 0, 1]}
    if kind == "csv":
        right["w"] = [1, 0.25, 1]
    held(whole, table("right", **right), patch, "p")
    for name, other in (("a", [2, 3, 5]), ("w", [0.5, 0.25, 1]), ("y", [1, 0, 1]), ("y", [0, 0, 0]), ("a", [3, 2, 4])):
        values = [float(v) for v in other] if name == "w" and kind != "csv" else other
        with pytest.raises(VerificationError, match="no change is planned"):
            held(whole, table("wrong", **{**right, name: values}), patch, "p")


def test_what_a_patch_writes_stays_in_its_cell(patch: Patch, tmp_path: Path) -> None:
    first, second, third = patch.changes
    path = tmp_path / "p.json"
    forged: list[dict[str, Any]] = [
        {"changes": (first, msgspec.structs.replace(second, new_label=text), third)}
        for text in ("1\n9,9", "1,2", "1\r9", '"1', '"1"2', '"1",2', "1\x002")
    ]
    forged += [
        {"changes": (first, msgspec.structs.replace(second, old_label="0\n9,9"), third)},
        {"changes": (msgspec.structs.replace(first, record=""), second, third)},
        {"changes": (first, second, msgspec.structs.replace(third, new_weight=-1.0))},
        {"weight": "w,x"},
        {"separator": '"'},
        {"separator": "\n"},
    ]
    for other in forged:
        path.write_bytes(encode_patch(msgspec.structs.replace(patch, **other)))
        with pytest.raises(InputError, match="contradicts itself"):
            read_patch(path)
    quoted = msgspec.structs.replace(second, new_label='"yes, ""sure"""')
    path.write_bytes(encode_patch(msgspec.structs.replace(patch, changes=(first, quoted, third))))
    assert read_patch(path).changes[1].new_label == '"yes, ""sure"""'
    for twice in (b'{"kind":"table-patch",', b'{"label":"y",'):
        path.write_bytes(twice + encode_patch(patch)[1:])
        with pytest.raises(InputError, match="no patch of a table"):
            read_patch(path)
