"""Parquet and Arrow: a column type that is a pickle is told, ordinary tables are silent, torn ones are open."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from models_bytes import reading, said

from assay.formats.models.columnar import _in_base64, read_arrow, read_parquet

PICKLED = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": b"cos\nsystem\n."}


def _written(kind: str, metadata: dict[bytes, bytes], name: str = "column") -> bytes:
    pa: Any = pytest.importorskip("pyarrow")
    table = pa.table([pa.array([1, 2])], schema=pa.schema([pa.field(name, pa.int64(), metadata=metadata)]))
    out = io.BytesIO()
    if kind == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, out)
    else:
        writer = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        with writer(out, table.schema) as sink:
            sink.write_table(table)
    return out.getvalue()


@pytest.mark.parametrize("name", ["a", "ab", "abc", "abcd"])
@pytest.mark.parametrize(("kind", "read"), [("parquet", read_parquet), ("file", read_arrow), ("stream", read_arrow)])
def test_a_type_that_is_a_pickle_is_told_and_others_are_not(kind: str, read: Any, name: str) -> None:
    assert said(reading(read, _written(kind, PICKLED, name))) == {"pickled type": "high"}
    plain = reading(read, _written(kind, {b"unit": b"arrow.uuid"}, name))
    assert (plain.notes, plain.gaps) == ((), ())


def test_a_schema_in_base64_is_read_wherever_the_name_begins() -> None:
    for before in range(7):
        packed = base64.b64encode(b"x" * before + b"arrow.py_extension_type" + b"y" * 5)
        assert any(form in packed for form in _in_base64(b"arrow.py_extension_type"))


def test_torn_tables_are_open() -> None:
    assert reading(read_parquet, _written("parquet", {})[:-1]).gaps
    assert reading(read_arrow, _written("file", {})[:-1]).gaps
