"""A table where it lies, for one look at its bytes: nothing is loaded, so that only the disk bounds its size."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from assay.adapters.duck import (
    ZONED_NS,
    arrow_table,
    askable,
    attach,
    connect,
    csv_source,
    ident,
    literal,
    lock,
    parquet_names,
    plain,
    zoned,
)
from assay.adapters.extras import library
from assay.adapters.frames import arrow_of
from assay.adapters.layout import check_file, check_names, detect
from assay.adapters.tables_size import MAX_MEMORY
from assay.core.errors import CouldNotLook, InputError
from assay.core.text import visible

MAX_FILES = 10_000
_PARTS = (".parquet", ".pq")


class Relation:
    """A table as the view `rows` of an embedded DuckDB; `types` are the SQL types of its columns, in order.

    All columns of a CSV are text there. Use it as a context manager.
    """

    def __init__(self, connection: Any, where: str, types: dict[str, str], *, text: bool) -> None:
        self._connection, self.where, self.types, self.text = connection, where, types, text

    def __enter__(self) -> Relation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def one(self, expressions: list[str], source: str = "rows") -> tuple[Any, ...]:
        """One row of values over all rows. Raises InputError for a torn file, CouldNotLook without memory for it."""
        (answer,) = self.all(f"SELECT {', '.join(expressions)} FROM {source}")  # noqa: S608 - quoted by ident()
        return answer

    def arrays(self, expressions: list[str], tail: str) -> dict[str, Any]:
        """Columns as numpy arrays, masked where null; `tail` follows FROM. Raises as `one` does."""
        found: dict[str, Any] = self._run(f"SELECT {', '.join(expressions)} FROM {tail}").fetchnumpy()  # noqa: S608
        return found

    def arrow(self, query: str) -> Any:
        """The rows of a whole query as an Arrow table. Raises as `one` does."""
        library("pyarrow")
        return self._run(query, "sql").to_arrow_table()

    def register(self, name: str, table: Any) -> None:
        """Let queries read an Arrow table under a name."""
        self._connection.register(name, table)

    def all(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a whole query. Raises as `one` does."""
        return list(self._run(query).fetchall())

    def _run(self, query: str, method: str = "execute") -> Any:
        duckdb = library("duckdb")
        try:
            return getattr(self._connection, method)(query)
        except duckdb.OutOfMemoryException:
            raise CouldNotLook(f"{self.where}: does not fit in the memory given; add --memory") from None
        except duckdb.Error as error:  # its words quote cells, and customers' rows stay out of messages
            what = f"cannot be read to its end ({type(error).__name__})"
            raise InputError(what, where=self.where, fix="write the table again") from None


def open_relation(path: Path, where: str, options: dict[str, Any], *, memory: int = 0, threads: int = 1) -> Relation:
    """The table at `path`: a CSV, Parquet or Arrow file, a folder of Parquet files, or a DuckDB database.

    Of a database with several tables `options["table"]` names one. Raises InputError or MissingExtra.
    """
    if path.is_dir():
        return _opened(path, where, f"read_parquet([{', '.join(map(literal, _parts(path, where)))}])", memory, threads)
    check_file(path, where, limit=1 << 62)
    real = Path(os.path.realpath(path))
    layout = detect(real, where, options)
    if layout.format == "duckdb":
        return _database(real, where, options, memory, threads)
    if layout.format == "parquet":
        return _parquet(real, where, memory, threads)
    if layout.format == "csv":
        return _opened(real, where, csv_source(real, layout, where, options), memory, threads, text=True)
    return _arrow(real, where, memory, threads)


def relation_of(frame: Any, name: str, *, memory: int = 0, threads: int = 1) -> Relation:
    """A frame (pandas, Polars, Arrow) that is in memory already. Raises InputError for anything else."""
    table = arrow_of(frame, name)
    connection = lock(_connect(None, memory, threads))
    try:
        connection.register("source", askable(connection, table, name))
    except BaseException:
        connection.close()
        raise
    return _viewed(connection, "source", name)


def _connect(path: Path | None, memory: int, threads: int) -> Any:
    connection = connect(path, memory, threads)
    connection.execute("SET preserve_insertion_order=false")  # counts have no order, and rows need not wait
    return connection


def _opened(path: Path, where: str, source: str, memory: int, threads: int, *, text: bool = False) -> Relation:
    connection = lock(_connect(path, memory, threads))
    return _viewed(connection, source, where, text=text)


def _parts(folder: Path, where: str) -> list[str]:
    """The Parquet files of a folder; names that begin with . or _ are other tools' own. Raises InputError where there
    are none, too many, or files that are none: they would be left out in silence."""
    found = [p for p in folder.rglob("*") if p.is_file() and not any(n[0] in "._" for n in p.relative_to(folder).parts)]
    other = sorted(p for p in found if p.suffix not in _PARTS)
    if other:
        name = visible(str(other[0].relative_to(folder)), 80)
        what = f"holds {len(other):,} files that are no Parquet ({name})"
        raise InputError(what, where=where, fix="move them out, or write them as Parquet")
    if not found or len(found) > MAX_FILES:
        what = f"holds {len(found):,} Parquet files; 1 to {MAX_FILES:,} are read"
        raise InputError(what, where=where, fix="name a table, or a folder of Parquet files")
    return sorted(map(str, found))


def _parquet(path: Path, where: str, memory: int, threads: int) -> Relation:
    name, connection = plain(path, where), lock(_connect(path, memory, threads))
    try:
        check_names(parquet_names(connection, name, where), where)  # DuckDB would rename the second of two
        return _viewed(connection, f"read_parquet({literal(name)})", where)
    except (ValueError, library("duckdb").Error):
        connection.close()
        raise InputError("is a torn or damaged Parquet file", where=where, fix="write it again") from None
    except BaseException:
        connection.close()
        raise


def _viewed(connection: Any, source: str, where: str, *, text: bool = False) -> Relation:
    duckdb = library("duckdb")
    try:
        connection.execute(f"CREATE VIEW rows AS SELECT * FROM {source}")  # noqa: S608 - quoted by literal()
        types = _types(connection)
        if fine := [name for name, sql_type in types.items() if sql_type == ZONED_NS]:
            cast = ", ".join(f"{zoned(name)} AS {ident(name)}" for name in fine)
            connection.execute(f"CREATE OR REPLACE VIEW rows AS SELECT * REPLACE ({cast}) FROM {source}")  # noqa: S608
            types = _types(connection)
        check_names(tuple(types), where)
        return Relation(connection, where, types, text=text)
    except duckdb.Error as error:
        connection.close()
        what = f"cannot be read as a table ({type(error).__name__})"
        raise InputError(what, where=where, fix="is it torn? write it again") from None
    except BaseException:
        connection.close()
        raise


def _types(connection: Any) -> dict[str, str]:
    return {str(r[0]): str(r[1]) for r in connection.execute("DESCRIBE rows").fetchall()}


def _database(path: Path, where: str, options: dict[str, Any], memory: int, threads: int) -> Relation:
    connection = _connect(path, memory, threads)
    try:
        source = attach(connection, path, where, options.get("table"))
    except InputError:
        connection.close()
        raise
    return _viewed(lock(connection), source, where)


def _arrow(path: Path, where: str, memory: int, threads: int) -> Relation:
    connection = lock(_connect(None, memory, threads))
    try:
        connection.register("source", arrow_table(connection, path, where, memory or MAX_MEMORY))
    except ValueError:
        connection.close()
        raise InputError("is a torn or damaged Arrow file", where=where, fix="write it again") from None
    except BaseException:
        connection.close()
        raise
    return _viewed(connection, "source", where)


class Facts(msgspec.Struct, frozen=True):
    """What the text of a column spells, over all rows: how many values there are, and how many read as what."""

    present: int
    numbers: int
    times: int


def number(text: str) -> str:
    """A text in SQL as the number that it spells, null where it spells none; `1_000` is a word."""
    return f"TRY_CAST(CASE WHEN contains({text}, '_') THEN NULL ELSE trim({text}) END AS DOUBLE)"


def spelled(relation: Relation, names: list[str]) -> dict[str, Facts]:
    """Facts of text columns (of a CSV), in one look."""
    parts: list[str] = []
    for name in names:
        c = ident(name)
        parts += [f"count({c})", f"count({number(c)})", f"count(TRY_CAST({c} AS TIMESTAMP))"]
    values = relation.one(parts) if parts else ()
    return {name: Facts(*values[3 * i : 3 * i + 3]) for i, name in enumerate(names)}
