"""The rows that an attack was given and what it made of them, as a table that anybody can ask a model again."""

from __future__ import annotations

import io
from pathlib import Path

from assay.adapters.extras import library
from assay.core.adversaries import Adversaries
from assay.core.errors import InputError
from assay.core.files import write_whole
from assay.core.protocols import ArrowTable

CSV = ".csv"
SUFFIXES = (".parquet", ".pq", CSV)
"""What such a table may be called: its suffix says its format."""


def write_examples(found: Adversaries, path: Path) -> None:
    """Write `path` whole or not at all: row (int64, counted from 0 in the file that was attacked), status, distance,
    lower_bound (double), queries (int64), valid (bool), then the changed rows' columns under their own names and types.

    distance is null where no change that passes was found, lower_bound where none is possible at any distance. Where
    the data have a column of the name of one of ours, ours is called `assay_NAME`. It is CSV where the path ends in
    .csv (what is missing is an empty cell), else Parquet. Raises InputError where it cannot be written.
    """
    pa = library("pyarrow")
    with pa.ipc.open_stream(pa.py_buffer(found.table)) as reader:
        changed = reader.read_all()
    columns = {
        "row": pa.array(found.rows, pa.int64()),
        "status": pa.array(found.verdicts, pa.string()),
        "distance": _finite(found.distances),
        "lower_bound": _finite(found.bounds),
        "queries": pa.array(found.queries, pa.int64()),
        "valid": pa.array(found.valid, pa.bool_()),
    }
    columns = {_free(name, changed.column_names): column for name, column in columns.items()}
    table = pa.table({**columns, **{name: changed.column(name) for name in changed.column_names}})
    budget = "" if found.budget is None else repr(found.budget)
    table = table.replace_schema_metadata(
        {"assay.check": found.check, "assay.norm": found.norm, "assay.budget": budget}
    )
    buffer = io.BytesIO()
    if path.suffix.lower() == CSV:
        _write_csv(table, buffer, path)
    else:
        library("pyarrow.parquet").write_table(table, buffer)
    write_whole(path, buffer.getvalue())


def _write_csv(table: ArrowTable, buffer: io.BytesIO, path: Path) -> None:
    pa, csv = library("pyarrow"), library("pyarrow.csv")
    plain = [pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in table.schema]
    try:
        csv.write_csv(table.cast(pa.schema(plain)), buffer)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        what = "its columns hold more than a CSV file can"
        raise InputError(what, where=str(path), fix="name a file that ends in .parquet") from None


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name = f"assay_{name}"
    return name


def _finite(values: tuple[float, ...]) -> object:
    pa = library("pyarrow")
    return pa.array([v if v < float("inf") else None for v in values], pa.float64())
