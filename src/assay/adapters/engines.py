"""Tables that stay where they are, on Spark or in a database: the same counts as DuckDB's, asked through Ibis."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from assay.adapters.extras import library
from assay.adapters.layout import check_names
from assay.adapters.profiles import HEAD, LABELS, NEW, reference_profile
from assay.adapters.relation import relation_of
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.profile import BUCKETS, ColumnProfile, Profile
from assay.core.protocols import Progress, silent
from assay.core.text import visible

SPARK = "spark"
COLUMNS = 8
"""Columns that one query counts."""
_MD5 = frozenset({"pyspark", "postgres", "duckdb", "mysql"})
"""Engines whose md5() takes text and gives hexadecimal digits, as DuckDB's does."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Engine:
    """A connection to Spark or a database. Use it as a context manager."""

    def __init__(self, connection: Any, name: str) -> None:
        self._connection, self.name = connection, name

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _worded(self.name, "cannot be closed"):
            self._connection.disconnect()

    def table(self, name: str) -> EngineTable:
        """A table by its name, `schema.table` too; of Spark also a Parquet file or folder by its path.

        Raises InputError where there is none, or where it cannot be read.
        """
        with _worded(name, f"is no table that {self.name} can read"):
            if self.name == SPARK and os.path.exists(name):
                found = self._connection.read_parquet(os.path.abspath(name))
            else:
                schema, _, table = name.rpartition(".")
                found = self._connection.table(table, database=schema or None)
        check_names(tuple(found.columns), name)
        return EngineTable(found, self._connection.name, name)


class EngineTable:
    """A table on an engine; `types` are its columns' kinds: number, float, boolean, time, text, other."""

    def __init__(self, table: Any, dialect: str, where: str) -> None:
        self._table, self._dialect, self.where = table, dialect, where
        self.types = {name: _kind(type_) for name, type_ in table.schema().items()}

    def reference(self, *, skip: Iterable[str] = (), progress: Progress = silent) -> Profile:
        """The profile of a reference: bins drawn from its first 10,000 rows, counts of all. Raises InputError or
        CouldNotLook.

        A column of text gets the values of all rows where they are no more than 200, else buckets.
        """
        with _worded(self.where, "cannot be read"):
            head = self._table.drop(*(set(skip) & set(self.types))).limit(HEAD).to_pyarrow()
        with relation_of(head, self.where) as relation:
            drawn = reference_profile(relation)
        bins = Profile(rows=0, columns=tuple(c.emptied() for c in drawn.columns))
        counted = self.count(bins, progress=progress)
        again = tuple(_relisted(c) for c in counted.columns if c.kind == "category" and c.other)
        mended = self.count(Profile(rows=0, columns=again)) if again else counted
        columns = tuple(mended.column(c.name) or c for c in counted.columns)
        return replace(counted, columns=tuple(replace(c, new={}) for c in columns), added=())

    def count(self, reference: Profile, *, progress: Progress = silent) -> Profile:
        """The rows in the bins of a reference, as `profiles.count` counts them. Raises InputError or CouldNotLook.

        Of a column that holds another kind of values than the reference's every value is unread.
        """
        present = [c for c in reference.columns if c.name in self.types]
        rows, counted = 0, []
        for start in range(0, max(1, len(present)), COLUMNS):
            progress(start, len(present), "columns counted")
            batch = [c.emptied() for c in present[start : start + COLUMNS]]
            with _worded(self.where, "cannot be counted"):
                rows, found = self._counted(batch)
            counted += found
        known = {c.name for c in reference.columns}
        return Profile(
            rows=rows,
            columns=tuple(counted),
            missing=tuple(c.name for c in reference.columns if c.name not in self.types),
            added=tuple(n for n in self.types if n not in known),
            changed=dict(self._changed(present)),
        )

    def _changed(self, present: list[ColumnProfile]) -> Iterator[tuple[str, str]]:
        for column in present:
            if not self._reads(column):
                what = {"number": "numbers", "time": "times"}.get(column.kind, "text")
                yield column.name, f"{self.types[column.name]} where the reference has {what}"

    def _reads(self, column: ColumnProfile) -> bool:
        """Whether a column holds the kind of values that its profile has."""
        own = self.types[column.name]
        if column.kind == "number":
            return own in ("number", "float", "boolean")
        return own == "time" if column.kind == "time" else own in ("text", "boolean", "number")

    def _counted(self, batch: list[ColumnProfile]) -> tuple[int, list[ColumnProfile]]:
        asked: dict[str, Any] = {"rows": self._table.count()}
        for i, column in enumerate(batch):
            value = self._table[column.name]
            asked[f"held{i}"] = value.count()
            if column.kind in ("number", "time") and self._reads(column):
                asked |= self._below(i, column, value)
        (told,) = self._table.aggregate(**asked).to_pyarrow().to_pylist()
        rows = int(told["rows"])
        return rows, [self._filled(i, column, rows, told) for i, column in enumerate(batch)]

    def _below(self, i: int, column: ColumnProfile, value: Any) -> dict[str, Any]:
        """How many values are at most each edge; a NaN is above all of them, as SQL engines sort it."""
        ibis = library("ibis", "engines")
        nan = value.isnan() if self.types[column.name] == "float" and self._dialect != "sqlite" else None
        value = value.cast("float64") if column.kind == "number" else value.cast("timestamp")
        edges = (
            [ibis.literal(e, "float64") for e in column.edges]
            if column.kind == "number"
            else [ibis.literal(_EPOCH + timedelta(microseconds=e), "timestamp") for e in column.edges]
        )
        asked = {
            f"to{i}_{k}": ((value <= e) if nan is None else (value <= e) & ~nan).sum() for k, e in enumerate(edges)
        }
        return asked if nan is None else {**asked, f"nan{i}": nan.sum()}

    def _filled(self, i: int, column: ColumnProfile, rows: int, told: dict[str, Any]) -> ColumnProfile:
        held = int(told[f"held{i}"])
        if not self._reads(column):
            return replace(column, nulls=rows - held, unread=held)
        if column.kind in ("category", "hashed"):
            return replace(self._listed(column, held), nulls=rows - held)
        nans = int(told.get(f"nan{i}") or 0)
        below = [int(told[f"to{i}_{k}"] or 0) for k in range(len(column.edges))]
        ends = [*below, held - nans]
        counts = tuple(b - a for a, b in zip([0, *ends], ends, strict=False))
        return replace(column, counts=counts, nulls=rows - held, nans=nans)

    def _listed(self, column: ColumnProfile, held: int) -> ColumnProfile:
        """A column of text: rows per label and the commonest other values, or rows per bucket."""
        ibis = library("ibis", "engines")
        value = self._table[column.name]
        yes = self.types[column.name] == "boolean"  # engines spell it otherwise
        text = ibis.cases((value, "true"), (~value, "false")) if yes else value.cast("string")
        if column.kind == "hashed":
            by = self._bucket(column, text)
            found = self._table.group_by(bucket=by).aggregate(n=self._table.count()).to_pyarrow().to_pylist()
            counts = [0] * BUCKETS
            for row in found:
                if row["bucket"] is not None:
                    counts[int(row["bucket"], 16) % BUCKETS] += int(row["n"])
            return replace(column, counts=tuple(counts))
        groups = self._table.group_by(v=text).aggregate(n=self._table.count())
        groups = groups.filter(groups.v.notnull())
        labels = list(column.labels)
        known = groups.filter(groups.v.isin(labels)).to_pyarrow().to_pylist() if labels else []
        per = {str(r["v"]): int(r["n"]) for r in known}
        counts_ = tuple(per.get(label, 0) for label in labels)
        new: dict[str, int] = {}
        if held > sum(counts_):
            others = groups.filter(~groups.v.isin(labels)) if labels else groups
            top = others.order_by([ibis.desc("n"), "v"]).limit(NEW).to_pyarrow().to_pylist()
            new = {str(r["v"])[:200]: int(r["n"]) for r in top}
        return replace(column, counts=counts_, other=held - sum(counts_), new=new)

    def _bucket(self, column: ColumnProfile, text: Any) -> Any:
        ibis = library("ibis", "engines")
        if self._dialect not in _MD5:
            what = f"column {visible(column.name, 60)} has too many values to list, and {self._dialect} has no MD5"
            raise CouldNotLook(f"{self.where}: {what}; leave it out with --drop")

        @ibis.udf.scalar.builtin(name="md5", signature=(("string",), "string"))  # type: ignore[untyped-decorator]
        def md5(value: Any) -> Any: ...

        return md5(text).substr(0, 2)


def open_engine(name: str, *, threads: int = 1) -> Engine:
    """Spark (`spark`: the session in force, or a local one) or a database by its URL. Raises InputError, UsageError or
    MissingExtra.

    A local Spark gets `threads` cores. A password belongs into the driver's own variable (PGPASSWORD), not the URL.
    """
    if name != SPARK and "://" not in name:
        raise UsageError(f"{visible(name, 40)!r} is no engine", fix="--engine spark, or a URL: postgresql://host/name")
    ibis = library("ibis", "engines")
    if name == SPARK:
        library("pyspark", "engines")
        with _worded(SPARK, "does not start (it needs Java 17)"):
            return Engine(ibis.pyspark.connect(_session(threads)), SPARK)
    shown = re.sub(r"//[^/@]*@", "//…@", name)
    with _worded(shown, "cannot be connected to"):
        return Engine(ibis.connect(name), shown)


def _session(threads: int) -> Any:
    sql = library("pyspark.sql", "engines")
    builder = sql.SparkSession.builder.appName("assay").config("spark.sql.session.timeZone", "UTC")
    if not os.environ.get("SPARK_REMOTE") and not os.environ.get("MASTER"):
        builder = builder.master(f"local[{threads}]").config("spark.ui.enabled", "false")
        for setting in ("spark.driver.bindAddress", "spark.driver.host"):
            builder = builder.config(setting, "127.0.0.1")  # nobody else's
        builder = builder.config("spark.log.level", "ERROR").config("spark.ui.showConsoleProgress", "false")
    return builder.getOrCreate()


@contextmanager
def _worded(where: str, what: str) -> Iterator[None]:
    """Drivers' errors quote rows, URLs and passwords: only their type is told."""
    try:
        yield
    except (InputError, CouldNotLook, UsageError):
        raise
    except Exception as error:  # every driver raises its own kinds
        fix = "check the name, and that the engine can be reached"
        raise InputError(f"{what} ({type(error).__name__})", where=where, fix=fix) from None


def _kind(type_: Any) -> str:
    if type_.is_boolean():
        return "boolean"
    if type_.is_floating():
        return "float"
    if type_.is_integer() or type_.is_decimal():
        return "number"
    if type_.is_timestamp() or type_.is_date():
        return "time"
    return "text" if type_.is_string() else "other"


def _relisted(counted: ColumnProfile) -> ColumnProfile:
    """The values of all rows, where they can be listed; else buckets."""
    labels = sorted({*counted.labels, *counted.new})
    if len(labels) > LABELS or counted.other > sum(counted.new.values()):
        return ColumnProfile(name=counted.name, kind="hashed")
    return ColumnProfile(name=counted.name, kind="category", labels=tuple(labels))
