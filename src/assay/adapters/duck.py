"""An embedded DuckDB that reads one place and nothing else, and how each kind of table is read in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assay.adapters.extras import library
from assay.adapters.layout import Layout, check_names
from assay.adapters.tables_size import MAX_CELL, arrow_size, refuse_bomb
from assay.core.errors import InputError
from assay.core.text import visible

_MAX_DIGITS = 38
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
    try:
        connection.execute(f"ATTACH {literal(str(path))} AS held (READ_ONLY)")
        query = "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'held' ORDER BY ALL"
        tables = [(str(s), str(t)) for s, t in connection.execute(query).fetchall()]
    except duckdb.Error as error:
        what = f"cannot be opened as a DuckDB database ({type(error).__name__})"
        raise InputError(what, where=where, fix="is another process writing to it? export it to Parquet") from None
    found = [pair for pair in tables if wanted in (None, pair[1], ".".join(pair))]
    if len(found) != 1:
        names = ", ".join(visible(t, 40) for _, t in tables[:8]) or "none"
        raise InputError(f"which table? it holds {names}", where=where, fix="name one with --table, or `table:`")
    schema, table = found[0]
    return f"held.{ident(schema)}.{ident(table)}"


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
        table.validate(full=True)  # offsets in a hostile file can point anywhere: nothing may read the buffers before
        check_names(tuple(table.column_names), where)
        _refuse_types(connection, table.schema, where)
        return table
    except (pa.ArrowException, OSError, EOFError):
        raise InputError("is a torn or damaged Arrow file", where=where, fix="write it again") from None


def _refuse_types(connection: Any, schema: Any, where: str) -> None:
    """Refuse a column of a type that DuckDB does not take, by its name. Raises InputError."""
    duckdb = library("duckdb")
    pa = library("pyarrow")
    for field in schema:
        try:
            connection.register("arrow_probe", pa.schema([field]).empty_table())
            connection.execute("SELECT * FROM arrow_probe").fetchall()
        except duckdb.Error:
            what = f"column {visible(field.name, 60)!r} is of type {visible(str(field.type), 40)}, which is not read"
            raise InputError(what, where=where, fix="write it as int64, float64 or text") from None
        finally:
            connection.unregister("arrow_probe")


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
    return "cannot be read as a table"


def fix_for(layout: Layout) -> str:
    if layout.format == "csv":
        return f"mend that line; separator {layout.separator!r} was used, `separator:` sets another"
    return "write it again"
