"""Which type a column has, judged over all its rows: the narrowest that fits every value, so nothing is coerced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec

from assay.adapters.duck import ZONED_NS, ident, zoned
from assay.adapters.extras import library
from assay.adapters.layout import check_names
from assay.adapters.tables_size import MAX_CELL
from assay.core.errors import InputError
from assay.core.subject import Contract, Feature
from assay.core.text import visible

_T = TypeVar("_T")
ColumnKind = Literal["number", "integer", "boolean", "category", "time", "text"]
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
_NUMBERS = frozenset({"FLOAT", "DOUBLE", "UBIGINT", "HUGEINT", "UHUGEINT"})
# Above this many different values, text in which most values differ, or are long, is prose or an identifier.
_MANY_LEVELS = 200
_LONG_TEXT = 40
# Columns that one query asks: its plan's time and memory grow faster than they do (200 took 6 s and 900 MB).
_BATCH = 16
# With few rows the plan costs more than the cells: so many columns of text are then asked as one column, by name.
_STACKED, _FEW_ROWS = 400, 2_000
ROW_NUMBER = "rowid"
_EXACT = 2**53  # up to here every whole number is a double of its own


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column. `nulls` counts missing values (NaN too); `distinct` is exact up to a few hundred, then approximate.

    `mixed` is (values that read as numbers, values that do not) of a text column that holds both, None otherwise.
    """

    name: str
    kind: ColumnKind
    nullable: bool
    nulls: int = 0
    distinct: int = 0
    mixed: tuple[int, int] | None = None


class _Facts(msgspec.Struct, frozen=True):
    """What the values of one column look like: counts over all rows."""

    present: int
    distinct: int
    numbers: int = 0
    integers: int = 0
    truths: int = 0
    times: int = 0
    longest: int = 0
    mean_length: float = 0.0
    nans: int = 0  # of text at most: what holds the letters


def build(connection: Any, contract: Contract, where: str, *, sniff: bool) -> tuple[tuple[Column, ...], int]:
    """Turn the table `raw` into `data` with five storage types; (its columns, its number of rows).

    `sniff` types text by what it spells (CSV); a typed format means the types that it declares. Raises InputError.
    """
    duckdb = library("duckdb")
    try:
        return _build(connection, contract, where, sniff)
    except duckdb.OutOfMemoryException:
        raise InputError("does not fit in memory", where=where, fix="take a sample of the rows") from None
    except duckdb.Error as error:  # its words quote the value that does not fit
        what = f"{_culprit(connection)} values that could not be typed ({type(error).__name__})"
        raise InputError(what, where=where, fix="write that column as text, or mend its values") from None


def _culprit(connection: Any) -> str:
    """ "column 'x' holds", for the first column whose values cannot be typed by itself."""
    duckdb = library("duckdb")
    name = ""
    try:
        for name, sql_type in _described(connection):
            facts = _facts(connection, [(name, sql_type)], "raw", None)[0]
            cast = _decide(name, sql_type, facts, False)[1]
            connection.execute(f"SELECT count(v) FROM (SELECT {cast} AS v FROM raw)").fetchone()  # noqa: S608
    except duckdb.FatalException:  # an error of DuckDB's own closed it: nothing can be asked any more
        return "holds"
    except duckdb.Error:
        return f"column {visible(name, 60)!r} holds"
    return "holds"


def _build(connection: Any, contract: Contract, where: str, sniff: bool) -> tuple[tuple[Column, ...], int]:
    described = _described(connection)
    check_names(tuple(name for name, _ in described), where)
    rows = int(connection.execute("SELECT count(*) FROM raw").fetchone()[0])
    if not rows:
        raise InputError("has columns but no rows", where=where, fix="write the table again")
    told = contract.columns
    columns: list[Column] = []
    casts: list[str] = []
    kept: list[str] = []
    for (name, sql_type), facts in zip(described, _all_facts(connection, described, rows), strict=True):
        if facts.longest > MAX_CELL:
            what = f"column {visible(name, 60)!r} has a cell of {facts.longest:,} characters; at most {MAX_CELL:,}"
            raise InputError(what, where=where, fix="shorten or drop that column")
        c = ident(name)
        kind, cast = _decide(name, sql_type, facts, sniff)
        feature = told.get(name)
        if kind == "number" and not _means_number(feature):
            kind, cast = _exact(connection, name, sql_type, facts) or (kind, cast)
        columns.append(_column(name, kind, facts, rows, feature, sql_type))
        casts.append(f"{cast} AS {ident(name)}")
        nan = cast.endswith("AS DOUBLE)") and facts.nans > 0
        kept.append(f"CASE WHEN isnan({c}) THEN NULL ELSE {c} END AS {c}" if nan else c)
    # Asked of every column, and of its cast where it stands, the test for NaN takes a minute for 5,000.
    typed = f"SELECT {', '.join(casts)} FROM raw"  # noqa: S608 - quoted by ident()
    connection.execute(f"CREATE TABLE data AS SELECT {', '.join(kept)} FROM ({typed})")  # noqa: S608
    connection.execute("DROP TABLE raw")
    names = tuple(name for name, _ in described)
    if row_number(names) != ROW_NUMBER:
        _unshadow(connection, names)
    return tuple(columns), rows


def row_number(names: tuple[str, ...]) -> str:
    """What the number of a row is called in queries over `data`: DuckDB's `rowid`, or a name of our own, quoted, where
    a column of that name hides it."""
    taken = {name.casefold() for name in names}
    return ROW_NUMBER if ROW_NUMBER not in taken else ident(_free("row number", taken))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _unshadow(connection: Any, names: tuple[str, ...]) -> None:
    """Make `data` a view of the same columns and the row's number beside them, which a column called rowid hides."""
    taken = {name.casefold() for name in names}
    stored = ident(_free("stored", taken))
    hidden = next(name for name in names if name.casefold() == ROW_NUMBER)
    columns = ", ".join(f"{stored} AS {ident(name)}" if name == hidden else ident(name) for name in names)
    connection.execute("ALTER TABLE data RENAME TO held_rows")
    connection.execute(f"ALTER TABLE held_rows RENAME COLUMN {ident(hidden)} TO {stored}")
    view = f"SELECT {columns}, {ROW_NUMBER} AS {row_number(names)} FROM held_rows"  # noqa: S608 - quoted by ident()
    connection.execute(f"CREATE VIEW data AS {view}")


def _described(connection: Any) -> list[tuple[str, str]]:
    return [(str(row[0]), str(row[1])) for row in connection.execute("DESCRIBE raw").fetchall()]


def _all_facts(connection: Any, described: list[tuple[str, str]], rows: int) -> list[_Facts]:
    """The facts of every column over all rows."""
    stacked = {n for n, sql_type in described if sql_type == "VARCHAR"} if rows <= _FEW_ROWS else set()
    if len(stacked) <= _BATCH:
        stacked = set()
    found: dict[str, _Facts] = {}
    for batch in _batches([n for n, _ in described if n in stacked], _STACKED):
        found.update(zip(batch, _stacked(connection, batch), strict=True))
    for columns in _batches([d for d in described if d[0] not in stacked], _BATCH):
        words = rows > 1000 and any(t == "VARCHAR" or t.startswith("ENUM") for _, t in columns)
        first = _facts(connection, columns, "(SELECT * FROM raw LIMIT 1000)", None) if words else None
        found.update(zip((n for n, _ in columns), _facts(connection, columns, "raw", first), strict=True))
    return [found[name] for name, _ in described]


def _batches(items: list[_T], size: int) -> Iterator[list[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _stacked(connection: Any, names: list[str]) -> list[_Facts]:
    """What `_facts` says of columns of text, asked of all of them stacked into one: one short plan for hundreds."""
    place = ", ".join(f"{ident(name)} AS {ident(f'c{i}')}" for i, name in enumerate(names))
    stacked = ", ".join(f"c{i}" for i in range(len(names)))
    found = connection.execute(
        f"SELECT place, {', '.join(_spelling('v'))} FROM (SELECT {place} FROM raw) "  # noqa: S608 - quoted by ident()
        f"UNPIVOT INCLUDE NULLS (v FOR place IN ({stacked})) GROUP BY place"
    ).fetchall()
    by_place = {row[0]: _read(row[1:]) for row in found}
    return [by_place[f"c{i}"] for i in range(len(names))]


def _facts(connection: Any, batch: list[tuple[str, str]], source: str, first: list[_Facts] | None) -> list[_Facts]:
    """Facts of some columns over `source`; a type that the `first` rows rule out already is not counted again."""
    parts: list[str] = []
    for place, (name, sql_type) in enumerate(batch):
        c = ident(name)
        if sql_type == "VARCHAR" or sql_type.startswith("ENUM"):
            parts += _spelling(c, first[place] if first else None)
        else:
            there = f"count({c}) FILTER (NOT isnan({c}))" if sql_type in ("FLOAT", "DOUBLE") else f"count({c})"
            # Written out, a time outside the calendar is an error that closes the database.
            value = c if sql_type.startswith("TIMESTAMP") else f"{c}::VARCHAR"
            nans = f"count(*) FILTER (isnan({c}))" if sql_type in ("FLOAT", "DOUBLE") else "0"
            parts += [there, f"approx_count_distinct({value})", "0", "0", "0", "0", "0", "0", nans]
    values = connection.execute(f"SELECT {', '.join(parts)} FROM {source}").fetchone()  # noqa: S608 - quoted by ident()
    return [_read(values[i : i + 9]) for i in range(0, len(values), 9)]


def _spelling(c: str, hope: _Facts | None = None) -> list[str]:
    """The facts of a column of text in SQL, in the order of `_Facts`; what `hope` rules out is not counted."""
    s = f"{c}::VARCHAR"
    return [
        f"count({c})",
        f"approx_count_distinct({c})",
        f"count(TRY_CAST(trim({s}) AS DOUBLE)) FILTER (NOT contains({s}, '_'))",
        f"count(*) FILTER (regexp_full_match(trim({s}), '[+-]?[0-9]{{1,18}}'))"
        if hope is None or hope.integers == hope.present
        else "0",
        f"count(*) FILTER (lower(trim({s})) IN ('true', 'false'))"
        if hope is None or hope.truths == hope.present
        else "0",
        f"count(TRY_CAST({s} AS TIMESTAMP))" if hope is None or hope.times == hope.present else "0",
        f"max(length({s}))",
        f"avg(length({s}))",
        f"count(*) FILTER (contains(lower({s}), 'nan'))",
    ]


def _read(values: tuple[Any, ...]) -> _Facts:
    present, distinct, numbers, integers, truths, times, longest = (int(v or 0) for v in values[:7])
    return _Facts(
        present, distinct, numbers, integers, truths, times, longest, float(values[7] or 0), int(values[8] or 0)
    )


def _means_number(feature: Feature | None) -> bool:
    """Whether the contract has the model read the column as a number, which is a double, whatever it merges."""
    return feature is not None and (feature.type == "number" or feature.min is not None or feature.max is not None)


def _exact(connection: Any, name: str, sql_type: str, facts: _Facts) -> tuple[ColumnKind, str] | None:
    """How to store numbers of which doubles merge some that differ (beyond 2**53); None where doubles tell all apart.

    64-bit integers where all fit, else text: numbers so long and so close together are names of something.
    """
    c = ident(name)
    text = sql_type == "VARCHAR" or sql_type.startswith("ENUM")
    if sql_type in ("FLOAT", "DOUBLE") or not facts.present or (text and facts.longest < len(str(_EXACT))):
        return None
    written = f"trim({c}::VARCHAR)"
    number = f"CAST({written if text else c} AS DOUBLE)"
    digits = sql_type.partition("(")[2].rstrip(")").partition(",")[2].strip() if sql_type.startswith("DECIMAL") else ""
    limit = _EXACT / 10 ** int(digits or 0)
    largest = connection.execute(
        f"SELECT max(abs({number})) FILTER (NOT isnan({number})) FROM raw"  # noqa: S608
    ).fetchone()[0]
    if largest is None or largest <= limit:
        return None
    # One spelling per number: no plus, no zeros before it, no zeros for its fraction.
    plain = f"regexp_replace(regexp_replace({written}, '^([+]|(-?))0*', '\\2'), '[.]0*$', '')" if text else c
    whole = f"regexp_full_match({written}, '[+-]?[0-9]+([.]0*)?')" if text else "true"
    integer = f"regexp_full_match({written}, '[+-]?[0-9]+') AND TRY_CAST({written} AS BIGINT) IS NOT NULL"
    large = f"({whole} AND abs({number}) >= {limit!r})"
    apart, merged, fitting = connection.execute(
        f"SELECT count(DISTINCT {plain}) FILTER {large}, "  # noqa: S608
        f"count(DISTINCT {number}) FILTER {large}, count(*) FILTER ({integer}) FROM raw"
    ).fetchone()
    if apart <= merged:
        return None
    if fitting == facts.present:
        return "integer", f"CAST({written} AS BIGINT)"
    return ("text" if _prose(facts) else "category"), f"CAST({c} AS VARCHAR)"


def _prose(facts: _Facts) -> bool:
    return facts.distinct > _MANY_LEVELS and (facts.distinct * 2 > facts.present or facts.mean_length > _LONG_TEXT)


def _decide(name: str, sql_type: str, facts: _Facts, sniff: bool) -> tuple[ColumnKind, str]:
    """The column's kind, and the SQL expression that stores it."""
    c = ident(name)
    if sql_type == "VARCHAR" or sql_type.startswith("ENUM"):
        if sniff and facts.present:
            if facts.truths == facts.present:
                return "boolean", f"lower(trim({c})) = 'true'"
            if facts.integers == facts.present:
                return "integer", f"CAST(trim({c}) AS BIGINT)"
            if facts.numbers == facts.present:
                return "number", f"CAST(trim({c}) AS DOUBLE)"
            if facts.times == facts.present:
                return "time", f"CAST({c} AS TIMESTAMP)"
        return ("text" if _prose(facts) else "category"), f"CAST({c} AS VARCHAR)"
    if sql_type in _INTEGERS:
        return "integer", f"CAST({c} AS BIGINT)"
    if sql_type in ("FLOAT", "DOUBLE"):
        return "number", f"CAST({c} AS DOUBLE)"
    if sql_type in _NUMBERS or sql_type.startswith("DECIMAL"):
        return "number", f"CAST({c} AS DOUBLE)"
    if sql_type == "BOOLEAN":
        return "boolean", c
    if sql_type == ZONED_NS:
        return "time", f"CAST({zoned(name)} AS TIMESTAMP)"
    if sql_type == "DATE" or sql_type.startswith("TIMESTAMP"):
        return "time", f"CAST({c} AS TIMESTAMP)"
    return "text", f"CAST({c} AS VARCHAR)"


def _column(name: str, kind: ColumnKind, facts: _Facts, rows: int, feature: Feature | None, sql_type: str) -> Column:
    if feature is not None and kind != "time":
        # What the contract says a column means outranks what its values look like: a shop number is a category.
        if feature.type == "category" or feature.order or feature.categories:
            kind = "category"
        elif feature.type == "number" and kind == "integer":
            kind = "number"
    words = facts.present - facts.numbers
    text = sql_type == "VARCHAR" and kind in ("category", "text")
    nulls = rows - facts.present
    return Column(
        name=name,
        kind=kind,
        nullable=nulls > 0,
        nulls=nulls,
        distinct=min(facts.distinct, facts.present),
        mixed=(facts.numbers, words) if text and facts.numbers and words else None,
    )
