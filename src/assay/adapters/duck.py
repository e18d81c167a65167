"""An embedded DuckDB that reads one place and nothing else, and how each kind of table is read in it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from assay.adapters.extras import library
from assay.adapters.layout import Layout, check_names
from assay.adapters.tables_size import MAX_CELL, arrow_size, refuse_bomb
from assay.adapters.validated import validate
from assay.core.errors import InputError
from assay.core.text import visible

_MAX_DIGITS = 38
ZONED_NS = "TIMESTAMPTZ_NS"  # what DuckDB 2 calls times with a zone in nanoseconds
# DuckDB plays these back into what it reads, also from a database that is attached read-only.
_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
# What pandas reads as missing, so that a table means here what it meant where the model was trained.
NULLS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)


def ident(name: str) -> str:
    """A column's name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def connect(path: Path | None, memory: int = 0, threads: int = 1) -> Any:
    """An in-memory DuckDB that can read this one file or folder: no extensions, no network, no spill to disk.

    `memory` in bytes is what it shares with the rest of the process; 0 leaves it at most of the machine's. The caller
    locks it with `lock` once all that lies outside is attached. With one thread the order of rows and sums does not
    depend on the machine.
    """
    duckdb = library("duckdb")
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "temp_directory": "",
        "threads": max(1, threads),
    }
    if memory:
        config["memory_limit"] = f"{memory * 9 // 10}B"
    connection = duckdb.connect(":memory:", config=config)
    # Timestamps with a zone are read in UTC on every machine; the progress bar must not write to a terminal.
    connection.execute("SET TimeZone='UTC'")
    connection.execute("SET enable_progress_bar=false")
    # A Parquet file's statistics leave out NaN, and DuckDB would conclude from them that there is none.
    connection.execute("SET disabled_optimizers='statistics_propagation'")
    if path is not None:
        setting = "allowed_directories" if path.is_dir() else "allowed_paths"
        connection.execute(f"SET {setting}=[{literal(str(path))}]")
    return connection


def lock(connection: Any) -> Any:
    """The connection, from now on without access to anything but its path, and without a way to change that."""
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def attach(connection: Any, path: Path, where: str, wanted: object) -> str:
    """A table of the DuckDB database at `path` in SQL, attached read-only before `lock`; `wanted` names one of several,
    alone or as schema.table. Raises InputError."""
    duckdb = library("duckdb")
    name = plain(path, where)  # after a ? in its path the log would have another name
    if any(os.path.lexists(name + end) for end in _LOGS):
        what = "has a write-ahead log beside it, so its bytes are not all its rows"
        raise InputError(what, where=where, fix="checkpoint it (CHECKPOINT), or export the table to Parquet")
    try:
        connection.execute(f"ATTACH {literal(name)} AS held (READ_ONLY)")
        tables, views = (
            [(str(s), str(t)) for s, t in connection.execute(query).fetchall()]
            for query in (
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'held' ORDER BY ALL",
                "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'held' AND NOT internal",
            )
        )
    except duckdb.Error as error:
        raise _unopened(str(error), where) from None
    found = [pair for pair in tables if wanted in (None, ".".join(pair))] or [p for p in tables if p[1] == wanted]
    if len(found) != 1:
        raise _which(tables, views, wanted, where)
    schema, table = found[0]
    return f"held.{ident(schema)}.{ident(table)}"


def _unopened(message: str, where: str) -> InputError:
    """Why a database cannot be opened, in words of our own."""
    if "set lock" in message:
        what, fix = "is open in another process, which may write to it", "close it there, or export the table"
    elif "encrypt" in message:
        what, fix = "is an encrypted DuckDB database", "export the table to Parquet"
    else:
        what = "is a torn or damaged DuckDB database, or of a version that is not read"
        fix = "write it again, or export the table to Parquet"
    return InputError(what, where=where, fix=fix)


def _which(tables: list[tuple[str, str]], views: list[tuple[str, str]], wanted: object, where: str) -> InputError:
    """Which tables there are to choose from; of two of one name, with their schemas."""
    if not tables:
        what = "holds views only, which are not read" if views else "holds no table"
        return InputError(what, where=where, fix="write the rows into a table (CREATE TABLE ... AS)")
    alone = [t for _, t in tables]
    names = ", ".join(visible(t if alone.count(t) == 1 else f"{s}.{t}", 40) for s, t in tables[:8])
    if len(tables) > 8:
        names += f" and {len(tables) - 8} more"
    if wanted is not None and any(wanted in (v, f"{s}.{v}") for s, v in views):
        fix = "name a table, or write the view into one (CREATE TABLE ... AS)"
        return InputError(f"{visible(str(wanted), 40)!r} is a view, and views are not read", where=where, fix=fix)
    return InputError(f"which table? it holds {names}", where=where, fix="name one with --table, or `table:`")


def csv_source(path: Path, layout: Layout, where: str, options: dict[str, Any]) -> str:
    """A CSV as a table function in SQL, every column as text.

    Typed afterwards over all rows: DuckDB's own sniffing samples, and reads Yes/No as truth values, which is not what
    the model was trained on.
    """
    nulls = options.get("nan")
    words = NULLS if nulls is None else tuple(str(w) for w in ([nulls] if isinstance(nulls, str) else nulls))
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
    return (
        f"read_csv({literal(plain(path, where))}, auto_detect=false, columns={{{types}}}, "
        f"delim={literal(layout.separator)}, quote='\"', escape='\"', header={str(layout.header).lower()}, "
        f"nullstr=[{', '.join(map(literal, words))}], null_padding=false, ignore_errors=false, "
        f"strict_mode=true, compression='none', max_line_size={MAX_CELL * 4})"
    )


def plain(path: Path, where: str) -> str:
    """The path as text, refused if DuckDB would read it as a pattern of several files."""
    if re.search(r"[*?\[]", str(path)):
        raise InputError("has *, ? or [ in its path", where=where or str(path), fix="rename it")
    return str(path)


def parquet_names(connection: Any, plain: str, where: str) -> tuple[str, ...]:
    """The names of a Parquet file's columns as they are written in it.

    Raises ValueError where its tree is torn, InputError for a decimal that DuckDB would read as doubles in silence.
    """
    rows = connection.execute("SELECT name, num_children, precision FROM parquet_schema(?)", [plain]).fetchall()
    names: list[str] = []
    left = [1]  # how many nodes are still to come at each level; the root is the first
    for name, children, precision in rows:
        if (precision or 0) > _MAX_DIGITS:
            what = (
                f"column {visible(str(name), 60)!r} has decimals of {precision} digits; at most {_MAX_DIGITS} are read"
            )
            raise InputError(what, where=where, fix="write it as text, or with fewer digits")
        while left and not left[-1]:
            left.pop()
        if not left:
            break
        if len(left) == 2:
            names.append(str(name))
        left[-1] -= 1
        left.append(int(children or 0))
    if not rows or int(rows[0][1] or 0) != len(names):
        raise ValueError("a tree of columns that breaks off")
    return tuple(names)


def arrow_table(connection: Any, path: Path, where: str, max_memory: int) -> Any:
    """An Arrow or Feather file as a table whose buffers were validated. Raises InputError for a torn or too large one,
    ValueError for one that contradicts itself."""
    pa, ipc, feather = library("pyarrow"), library("pyarrow.ipc"), library("pyarrow.feather")
    try:
        source = pa.memory_map(str(path), "r")
        magic = source.read(4)
        source.seek(0)
        if magic == b"FEA1":
            table = feather.read_table(str(path), memory_map=False)  # its first version packs nothing
        else:
            refuse_bomb(arrow_size(path), where, max_memory)
            table = (ipc.open_file if magic == b"ARRO" else ipc.open_stream)(source).read_all()
        validate(table)  # nothing may read the buffers before
        check_names(tuple(table.column_names), where)
        return askable(connection, table, where)
    except (pa.ArrowException, OSError, EOFError):
        raise InputError("is a torn or damaged Arrow file", where=where, fix="write it again") from None


def askable(connection: Any, table: Any, where: str) -> Any:
    """An Arrow table as one that DuckDB takes: float16 as float32, decimals of 256 bits that fit into 128 as those.

    Raises InputError for a column of any other type that it does not take, by its name.
    """
    pa = library("pyarrow")
    fields = []
    for field in table.schema:
        if pa.types.is_float16(field.type):
            field = field.with_type(pa.float32())
        elif pa.types.is_decimal256(field.type) and field.type.precision <= _MAX_DIGITS:
            field = field.with_type(pa.decimal128(field.type.precision, field.type.scale))
        fields.append(field)
    schema = pa.schema(fields)
    table = table if schema.equals(table.schema) else table.cast(schema)
    if not _takes(connection, table):
        for field in schema:
            if not _takes(connection, table.select([field.name])):
                what = f"column {visible(field.name, 60)!r} is of type {visible(str(field.type), 40)}"
                raise InputError(f"{what}, which is not read", where=where, fix="write it as int64, float64 or text")
    return table


def _takes(connection: Any, table: Any) -> bool:
    """Whether DuckDB reads columns of the types of an Arrow table."""
    try:
        connection.register("arrow_probe", table.slice(0, 0))
        connection.execute("SELECT * FROM arrow_probe").fetchall()
    except library("duckdb").Error:
        return False
    finally:
        connection.unregister("arrow_probe")
    return True


def zoned(name: str) -> str:
    """A column of times with a zone in nanoseconds as one in microseconds, the only type that DuckDB 2 casts it to."""
    return f"CAST({ident(name)} AS TIMESTAMPTZ)"


def reason(message: str, layout: Layout) -> str:
    """DuckDB's message in one line of our own: theirs quotes the row, and customers' rows stay out of messages."""
    line = re.search(r"CSV Error on Line: (\d+)", message)
    at = f"line {line.group(1)} " if line else ""
    if widths := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        return f"{at}has {widths.group(2)} values where {widths.group(1)} are expected"
    if "Maximum line size" in message:
        return f"{at}is longer than {MAX_CELL * 4:,} bytes; a cell may hold {MAX_CELL:,} characters"
    if "unicode" in message or "utf-8" in message.lower():
        return f"{at}is not UTF-8"
    if "unterminated quote" in message:
        return f"{at}opens a quote that is never closed"
    if layout.format == "csv":
        return f"{at}is not well-formed CSV (broken quotes, or line ends that differ)"
    if layout.format == "parquet":
        return "is a torn or damaged Parquet file"
    if layout.format == "duckdb":
        return "is a torn or damaged DuckDB database"
    return "cannot be read as a table"


def fix_for(layout: Layout) -> str:
    if layout.format == "csv":
        return f"mend that line; separator {layout.separator!r} was used, `separator:` sets another"
    return "write it again"
