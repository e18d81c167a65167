"""How wide the numbers are that a table's own file holds: Assay reads all as int64 and float64, a pipeline may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from assay.adapters.duck import attach, connect
from assay.adapters.extras import library
from assay.adapters.layout import detect
from assay.core.errors import AssayError, CouldNotLook

if TYPE_CHECKING:
    from assay.adapters.tables import Dataset

_SHORT = frozenset({"FLOAT", "HALF"})
_SMALL = frozenset({"TINYINT", "SMALLINT", "UTINYINT", "USMALLINT", "BOOLEAN"})


class Widths(NamedTuple):
    """The columns stored as float16 or float32 (`short`), as float16 (`half`), and those beside which float32 stays
    float32 (`small`): truth values and whole numbers of at most 16 bits."""

    short: frozenset[str] = frozenset()
    small: frozenset[str] = frozenset()
    half: frozenset[str] = frozenset()


def widths_of(*tables: Dataset) -> Widths:
    """Of tables together. A CSV has no types: its numbers are doubles. Raises CouldNotLook where a file is gone."""
    short: set[str] = set()
    small: set[str] = set()
    half: set[str] = set()
    for table in tables:
        for name, kind in _stored(table):
            half |= {name} if kind == "HALF" else set()
            if kind in _SHORT:
                short.add(name)
            elif kind in _SMALL:
                small.add(name)
    return Widths(frozenset(short), frozenset(small), frozenset(half))


def _stored(table: Dataset) -> list[tuple[str, str]]:
    """(name, DuckDB's type) of each column of the file, [] for one without types."""
    pa, duckdb = library("pyarrow"), library("duckdb")
    where, options, path = table.subject.uri, table.subject.options, table.path
    try:
        kind = detect(path, where, options).format
        if kind == "csv":
            return []
        if kind == "arrow":
            return _of_arrow(str(path))
        if kind != "duckdb":  # to DuckDB float16 is a FLOAT, too
            return _of_schema(library("pyarrow.parquet").read_schema(str(path)))
        connection = connect(path)
        try:
            held = attach(connection, path, where, options.get("table"))
            rows = connection.execute(f"DESCRIBE {held}").fetchall()
        finally:
            connection.close()
        return [(str(row[0]), str(row[1])) for row in rows]
    except (AssayError, OSError, EOFError, ValueError, duckdb.Error, pa.ArrowException):
        raise CouldNotLook(f"{where}: its columns' types could not be read again; run again") from None


def _of_arrow(path: str) -> list[tuple[str, str]]:
    pa, ipc, feather = library("pyarrow"), library("pyarrow.ipc"), library("pyarrow.feather")
    with pa.memory_map(path, "r") as source:
        magic = source.read(4)
        source.seek(0)
        if magic == b"FEA1":
            schema = feather.read_table(path, memory_map=False).schema
        else:
            schema = (ipc.open_file if magic == b"ARRO" else ipc.open_stream)(source).schema
    return _of_schema(schema)


def _of_schema(schema: Any) -> list[tuple[str, str]]:
    types = library("pyarrow").types
    found = []
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        small = types.is_boolean(kind) or (types.is_integer(kind) and kind.bit_width <= 16)
        name = "HALF" if types.is_float16(kind) else "FLOAT" if types.is_float32(kind) else "SMALLINT" if small else ""
        found.append((str(field.name), name))
    return found
