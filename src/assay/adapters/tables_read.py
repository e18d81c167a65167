"""Bytes of a table into an in-memory DuckDB table: CSV, Parquet, Arrow. Every row is read or the file is refused."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.extras import library
from assay.adapters.tables_size import MAX_CELL, arrow_size, parquet_size, refuse_bomb
from assay.core.errors import InputError, os_words
from assay.core.text import visible

MAX_BYTES = 8 << 30
# Of memory for one table, as much as a worker has. IEEE-CIS fraud (590,540 × 434), KDD Cup 1999 (4.9 million × 42) and
# HIGGS (11 million × 29, 320 million values) stay below it.
MAX_MEMORY = 6 << 30
MAX_COLUMNS = 10_000
_MAX_NAME = 1_000
_MAX_DIGITS = 38
_SNIFF_BYTES = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
# What pandas reads as missing, so that a table means here what it meant where the model was trained.
NULLS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is written down: its format and, for CSV, separator, header and column names."""

    format: str
    separator: str = ""
    header: bool = False
    columns: tuple[str, ...] = ()


def ident(name: str) -> str:
    """A column's name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def check_file(path: Path, where: str, limit: int = MAX_BYTES) -> None:
    """Refuse what is not a readable, non-empty regular file of at most `limit` bytes. Raises InputError."""
    try:
        if path.is_dir():
            raise InputError("is a folder, not a table", where=where, fix="name one CSV, Parquet or Arrow file")
        if not path.is_file():
            what = "does not exist" if not path.exists() else "is not a regular file"
            raise InputError(what, where=where, fix="check the path")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check its permissions") from None
    if size == 0:
        raise InputError("is empty: 0 bytes", where=where, fix="write the table again")
    if size > limit:
        raise InputError(f"is {size:,} bytes; at most {limit:,} are read", where=where, fix="take a sample of the rows")


def detect(path: Path, where: str, options: dict[str, Any]) -> Layout:
    """The file's layout from its first bytes, helped by `separator`, `header` and `columns`. Raises InputError."""
    with path.open("rb") as file:
        head = file.read(_SNIFF_BYTES)
    if head[:4] == b"PAR1":
        return Layout(format="parquet")
    if head[:6] == b"ARROW1" or head[:4] in (b"FEA1", b"\xff\xff\xff\xff"):
        return Layout(format="arrow")
    for magic, what in (
        (b"\x1f\x8b", "gzip"),
        (b"PK", "a zip or Excel file"),
        (b"(\xb5/\xfd", "zstd"),
        (b"BZh", "bzip2"),
    ):
        if head.startswith(magic):
            raise InputError(f"is {what}, not a plain table", where=where, fix="unpack or export it to CSV or Parquet")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("is UTF-16 text", where=where, fix="save it as UTF-8")
    if b"\x00" in head:
        raise InputError("holds NUL bytes; it is not CSV, Parquet or Arrow", where=where, fix="export it again")
    return _csv_layout(head, where, options, whole=len(head) < _SNIFF_BYTES)


def _csv_layout(head: bytes, where: str, options: dict[str, Any], *, whole: bool) -> Layout:
    text = head.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if not text.strip():
        raise InputError("has no columns: only blank text", where=where, fix="write the table again")
    separator = options.get("separator") or _separator(text, whole)
    if not isinstance(separator, str) or len(separator) != 1:
        raise InputError(f"separator {visible(str(separator), 20)!r} is not one character", where=where)
    names = tuple(str(c) for c in options.get("columns") or ())
    records = _records(text, separator, whole, 1)
    first = tuple(cell.strip() for cell in records[0])
    header = options.get("header")
    if header is None:
        header = not names and not any(_numeric(cell) for cell in first) if names != first else True
    given = first if header else names or tuple(f"column{i}" for i in range(len(first)))
    if not header and len(given) != len(first):
        what = f"`columns` names {len(given)} columns but the first row has {len(first)} values"
        raise InputError(what, where=where, fix="make `columns` fit the file")
    given = tuple(name or f"column{i}" for i, name in enumerate(given))
    return Layout(format="csv", separator=separator, header=bool(header), columns=check_names(given, where))


def check_names(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """The names, if there are some, not too many, none twice. Raises InputError."""
    if not names:
        raise InputError("has no columns", where=where, fix="write the table again")
    if len(names) > MAX_COLUMNS:
        raise InputError(f"has {len(names):,} columns; at most {MAX_COLUMNS:,} are read", where=where)
    if (longest := max(map(len, names))) > _MAX_NAME:
        what = f"has a column name of {longest:,} characters; at most {_MAX_NAME:,}"
        raise InputError(what, where=where, fix="is it a table? `separator:` and `header:` say how it is written")
    seen: dict[str, str] = {}
    for name in names:
        # DuckDB's identifiers ignore case, so columns that differ only in case cannot be told apart.
        other = seen.get(name.casefold())
        if other is not None:
            what = f"has two columns named {visible(name, 60)!r}"
            if other != name:
                what = f"has columns {visible(other, 60)!r} and {visible(name, 60)!r} that differ only in case"
            raise InputError(what, where=where, fix="rename one of them")
        seen[name.casefold()] = name
    return names


def _records(text: str, separator: str, whole: bool, most: int) -> list[list[str]]:
    """Up to `most` records from the start of a file; the last line is left out when the text was cut there."""
    if not whole and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    out: list[list[str]] = []
    try:
        for record in reader:
            if record:
                out.append(record)
            if len(out) == most:
                break
    except csv.Error:
        # A cell longer than the csv module takes; DuckDB judges the file itself with the limits above.
        out = out or [text.partition("\n")[0].split(separator)]
    return out


def _separator(text: str, whole: bool) -> str:
    """The separator that cuts the first records into the most columns, all alike; a comma when none does."""
    best = (1, ",")
    for separator in _SEPARATORS:
        widths = [len(record) for record in _records(text[: 64 << 10], separator, whole and len(text) <= 64 << 10, 50)]
        common = max(set(widths), key=widths.count) if widths else 1
        # A file with one ragged row is still separated by what separates all its other rows.
        if common > best[0] and widths.count(common) * 10 >= len(widths) * 8:
            best = (common, separator)
    return best[1]


def _numeric(cell: str) -> bool:
    """Whether a cell is a number; `nan` and `inf` are words as well, and columns are called so."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def connect(path: Path, memory: int = 0) -> Any:
    """An in-memory DuckDB that can read this one file and nothing else: no extensions, no network, no spill to disk.

    `memory` in bytes is what it shares with the rest of the process; 0 leaves it at most of the machine's.
    """
    duckdb = library("duckdb")
    config = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "temp_directory": "",
        "threads": 1,  # the order of rows and sums must not depend on the machine
    }
    if memory:
        config["memory_limit"] = f"{memory * 9 // 10}B"
    connection = duckdb.connect(":memory:", config=config)
    # Timestamps with a zone are read in UTC on every machine; the progress bar must not write to a terminal.
    connection.execute("SET TimeZone='UTC'")
    connection.execute("SET enable_progress_bar=false")
    connection.execute(f"SET allowed_paths=[{literal(str(path))}]")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def load_raw(
    connection: Any, path: Path, layout: Layout, where: str, options: dict[str, Any], max_memory: int = MAX_MEMORY
) -> None:
    """Fill the table `raw` from the file, every row or none. Raises InputError, also for one that is too large."""
    duckdb = library("duckdb")
    try:
        if layout.format == "csv":
            _load_csv(connection, path, layout, options)
        elif layout.format == "parquet":
            plain = _plain(path, where)
            check_names(_parquet_names(connection, plain, where), where)  # DuckDB would rename the second of two
            refuse_bomb(parquet_size(connection, plain), where, max_memory)
            connection.execute("CREATE TABLE raw AS SELECT * FROM read_parquet(?)", [plain])
        else:
            _load_arrow(connection, path, where, max_memory)
    except duckdb.OutOfMemoryException:
        raise InputError("does not fit in memory", where=where, fix="take a sample of the rows") from None
    except ValueError:
        raise InputError(f"is a torn or damaged {layout.format.capitalize()} file", where=where) from None
    except duckdb.Error as error:
        raise InputError(_reason(str(error), layout), where=where, fix=_fix(layout)) from None


def _load_csv(connection: Any, path: Path, layout: Layout, options: dict[str, Any]) -> None:
    nulls = options.get("nan")
    words = NULLS if nulls is None else tuple(str(w) for w in ([nulls] if isinstance(nulls, str) else nulls))
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in layout.columns)
    # Everything is read as text and typed afterwards over all rows: DuckDB's own sniffing samples, and reads Yes/No as
    # truth values, which is not what the model was trained on.
    settings = (
        f"auto_detect=false, columns={{{types}}}, "
        f"delim={literal(layout.separator)}, quote='\"', escape='\"', header={str(layout.header).lower()}, "
        f"nullstr=[{', '.join(literal(w) for w in words)}], null_padding=false, ignore_errors=false, "
        f"strict_mode=true, compression='none', max_line_size={MAX_CELL * 4}"
    )
    query = f"CREATE TABLE raw AS SELECT * FROM read_csv(?, {settings})"  # noqa: S608 - quoted by literal()
    connection.execute(query, [_plain(path, "")])


def _plain(path: Path, where: str) -> str:
    """The path as text, refused if DuckDB would read it as a pattern of several files."""
    if re.search(r"[*?\[]", str(path)):
        raise InputError("has *, ? or [ in its path", where=where or str(path), fix="rename it")
    return str(path)


def _parquet_names(connection: Any, plain: str, where: str) -> tuple[str, ...]:
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


def _load_arrow(connection: Any, path: Path, where: str, max_memory: int) -> None:
    pa = library("pyarrow")
    ipc = library("pyarrow.ipc")
    feather = library("pyarrow.feather")
    try:
        with pa.memory_map(str(path), "r") as source:
            magic = source.read(4)
            source.seek(0)
            if magic == b"FEA1":
                table = feather.read_table(str(path), memory_map=False)  # its first version packs nothing
            else:
                refuse_bomb(arrow_size(path), where, max_memory)
                table = (ipc.open_file if magic == b"ARRO" else ipc.open_stream)(source).read_all()
            # Offsets in a hostile file can point anywhere; nothing may read the buffers before this.
            table.validate(full=True)
            check_names(tuple(table.column_names), where)
            _refuse_types(connection, table.schema, where)
            connection.register("arrow_source", table)
            connection.execute("CREATE TABLE raw AS SELECT * FROM arrow_source")
            connection.unregister("arrow_source")
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


def _reason(message: str, layout: Layout) -> str:
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


def _fix(layout: Layout) -> str:
    if layout.format == "csv":
        return f"mend that line; separator {layout.separator!r} was used, `separator:` sets another"
    return "write it again"
