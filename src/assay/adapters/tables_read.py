"""Bytes of a table into an in-memory DuckDB table: CSV, Parquet, Arrow. Every row is read or the file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.adapters.duck import arrow_table, csv_source, fix_for, parquet_names, plain, reason
from assay.adapters.extras import library
from assay.adapters.layout import Layout, check_names
from assay.adapters.tables_size import MAX_MEMORY, parquet_size, refuse_bomb
from assay.core.errors import InputError


def load_raw(
    connection: Any, path: Path, layout: Layout, where: str, options: dict[str, Any], max_memory: int = MAX_MEMORY,
    held: str = "",
) -> None:  # fmt: skip
    """Fill the table `raw` from the file, every row or none; `held` is the table of an attached database.

    Raises InputError, also for one that is too large.
    """
    duckdb = library("duckdb")
    try:
        if layout.format == "csv":
            source = csv_source(path, layout, where, options)
            connection.execute(f"CREATE TABLE raw AS SELECT * FROM {source}")  # noqa: S608 - quoted by literal()
        elif layout.format == "duckdb":
            connection.execute(f"CREATE TABLE raw AS SELECT * FROM {held}")  # noqa: S608 - quoted by ident()
            connection.execute("DETACH held")
        elif layout.format == "parquet":
            name = plain(path, where)
            check_names(parquet_names(connection, name, where), where)  # DuckDB would rename the second of two
            refuse_bomb(parquet_size(connection, name), where, max_memory)
            connection.execute("CREATE TABLE raw AS SELECT * FROM read_parquet(?)", [name])
        else:
            table = arrow_table(connection, path, where, max_memory)
            connection.register("arrow_source", table)
            connection.execute("CREATE TABLE raw AS SELECT * FROM arrow_source")
            connection.unregister("arrow_source")
    except duckdb.OutOfMemoryException:
        raise InputError("does not fit in memory", where=where, fix="take a sample of the rows") from None
    except ValueError:
        raise InputError(f"is a torn or damaged {layout.format.capitalize()} file", where=where) from None
    except duckdb.Error as error:
        raise InputError(reason(str(error), layout), where=where, fix=fix_for(layout)) from None
