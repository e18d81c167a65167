"""Rows that two tables share, against how often rows of one table have a twin by nature."""

from __future__ import annotations

from typing import Any

import msgspec


class Overlap(msgspec.Struct, frozen=True):
    """`shared` rows of the second table that are in the first, `twins` rows of the first with a twin in it, and the
    first shared row (0-based) of the second, or None."""

    shared: int
    twins: int
    first: int | None


def overlap(first: Any, second: Any) -> Overlap:
    """Compare two Arrow tables with the same columns; null equals null. Exact, by DuckDB's hash grouping.

    A column of numbers in one table and of words in the other (one bad cell is enough) is compared as text, numbers
    written alike, so that a stray word hides no shared row.
    """
    import duckdb

    first, second = _alike(first, second)
    names = ", ".join('"' + n.replace('"', '""') + '"' for n in first.column_names)
    connection = duckdb.connect(config={"threads": 1})
    try:
        connection.register("a", first)
        connection.register("b", second)
        counted = f"SELECT {names}, count(*) AS n FROM a GROUP BY {names}"  # noqa: S608 - quoted above
        connection.execute(f"CREATE TEMP TABLE seen AS {counted}")
        pairs = " AND ".join(f"seen.{n} IS NOT DISTINCT FROM t.{n}" for n in names.split(", "))
        twins = connection.execute("SELECT coalesce(sum(n) FILTER (n > 1), 0)::BIGINT FROM seen").fetchone()
        numbered = f"SELECT {names}, row_number() OVER () - 1 AS place FROM b"  # noqa: S608
        shared = connection.execute(
            f"SELECT count(*), min(place) FROM ({numbered}) t SEMI JOIN seen ON {pairs}"  # noqa: S608
        ).fetchone()
    finally:
        connection.close()
    return Overlap(int(shared[0]), int(twins[0]), None if shared[1] is None else int(shared[1]))


def _alike(first: Any, second: Any) -> tuple[Any, Any]:
    import pyarrow as pa

    numeric = {pa.int64(), pa.float64(), pa.bool_()}
    tables = [first, second]
    for place, name in enumerate(first.column_names):
        types = {t.schema.field(name).type for t in tables}
        if len(types) == 1 or types <= numeric:
            continue
        for i, table in enumerate(tables):
            tables[i] = table.set_column(place, name, pa.array(map(_text, table.column(name).to_pylist()), pa.string()))
    return tables[0], tables[1]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)
