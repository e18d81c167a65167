"""Tables as datasets: CSV, Parquet and Arrow files through an embedded DuckDB, typed over all rows, none dropped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from assay.adapters.duck import attach, connect, ident, lock
from assay.adapters.encode import Encoded, encode
from assay.adapters.extras import library
from assay.adapters.layout import MAX_BYTES, check_file, detect
from assay.adapters.tables_read import load_raw
from assay.adapters.tables_size import MAX_MEMORY
from assay.adapters.tables_type import Column, build, row_number
from assay.adapters.values import canonical_text, listed, same_value
from assay.core.canonical import digest_file
from assay.core.errors import CouldNotLook, InputError
from assay.core.finding import Scalar
from assay.core.protocols import ArrowTable
from assay.core.subject import Contract, Subject
from assay.core.text import nearest, visible

__all__ = ["Column", "Dataset", "Encoded", "ident", "open_dataset"]

_AGGREGATES, _COLUMNS = 32, 64  # that one query asks


class Dataset:
    """A table with the manifest's facts about it. Rows are numbered from 0 in file order.

    `data` in `sql` is the whole table; its types are BIGINT, DOUBLE, BOOLEAN, VARCHAR and TIMESTAMP only. `row_number`
    is what a row's number is called there: `rowid`, unless the table has a column of that name.
    """

    def __init__(
        self,
        connection: Any,
        subject: Subject,
        path: Path,
        digest: str,
        contract: Contract,
        columns: tuple[Column, ...],
        rows: int,
        root: Path,
    ) -> None:
        self._connection = connection
        self.root = root
        self._tables: dict[tuple[str, ...] | None, ArrowTable] = {}
        self.name, self.path, self.digest, self.contract, self.subject = subject.name, path, digest, contract, subject
        options = subject.options
        self.columns, self.rows = columns, rows
        self.row_number = row_number(tuple(c.name for c in columns))
        self._by_name = {c.name: c for c in columns}
        where = subject.uri
        self.label, self.id = _name(options, "label", where), _name(options, "id", where)
        self.time, self.entity = _name(options, "time", where), _name(options, "entity", where)
        self.source, self.annotator = _name(options, "source", where), _name(options, "annotator", where)
        self.weight, self.split = _name(options, "weight", where), _name(options, "split", where)
        self.label_delay = _name(options, "label_delay", where)
        self.protected, self.drop = _names(options, "protected", where), _names(options, "drop", where)
        self.provenance = _name(options, "provenance", where)
        positive = options.get("positive")
        if isinstance(positive, list | dict):
            raise InputError("`positive` is not one value", where=where, fix="write `positive: VALUE`")
        self.positive: Scalar = positive
        for name in filter(None, [*self._about_rows, *self.protected, *self.drop]):
            self.column(name)
        for name, group in self.contract.groups.items():
            if self.label in group.one_hot:
                what = f"the label {visible(self.label, 60)!r} is among the columns of the one-hot group {name}"
                raise InputError(what, where=where, fix="take it out of `one_hot:`")

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.rows} rows, {len(self.columns)} columns)"

    @property
    def _about_rows(self) -> tuple[str, ...]:
        roles = (self.id, self.time, self.entity, self.source, self.annotator, self.weight, self.split)
        return (*roles, self.label_delay)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that a model may read: all but `drop`, the label, and those that say something of the row.

        These are id, time, entity, source, annotator, weight, split and label_delay: who brought a row, who labelled it
        and when is not known of the rows that a model is to judge.
        """
        out = {self.label, *self._about_rows, *self.drop}
        return tuple(c.name for c in self.columns if c.name not in out)

    def column(self, name: str) -> Column:
        """The column of that name. Raises InputError naming the nearest one."""
        if name in self._by_name:
            return self._by_name[name]
        close = nearest(name, tuple(self._by_name))
        fix = f"did you mean {close!r}?" if close else f"it has {_listing([c.name for c in self.columns])}"
        raise InputError(f"has no column {visible(name, 60)!r}", where=self._where, fix=fix)

    def table(self, columns: tuple[str, ...] | list[str] | None = None) -> ArrowTable:
        """The rows as an Arrow table (int64, double, bool, string, timestamp[us]), all columns or those named.

        Raises CouldNotLook where none are named: a table of no columns has no rows either.
        """
        key = None if columns is None else tuple(columns)
        if key == ():
            raise CouldNotLook(f"{self._where}: {self._no_features()}")
        if key not in self._tables:
            names = [c.name for c in self.columns] if key is None else [self.column(name).name for name in key]
            self._tables[key] = self.sql(f"SELECT {', '.join(map(ident, names))} FROM data")  # noqa: S608 - quoted by ident()
        return self._tables[key]

    def spelled(self, names: Iterable[str]) -> ArrowTable | None:
        """The rows of some columns as the file spells them, all text; None where the file has types of its own.

        It is read again. Raises InputError where it changed.
        """
        where, options = self._where, self.subject.options
        layout = detect(self.path, where, options)
        if layout.format != "csv":
            return None
        connection = connect(self.path, 0)
        try:
            load_raw(lock(connection), self.path, layout, where, options)
            if digest_file(self.path) != self.digest:
                raise InputError("changed while it was read", where=where, fix="run again")
            return connection.sql(f"SELECT {', '.join(map(ident, names))} FROM raw").to_arrow_table()  # noqa: S608
        finally:
            connection.close()

    def sql(self, query: str) -> ArrowTable:
        """The answer of a query over the table `data` (`row_number` is the row's) as an Arrow table.

        Raises CouldNotLook when the data does not fit the question or the memory.
        """
        duckdb = library("duckdb")
        library("pyarrow")
        try:
            return self._connection.cursor().sql(query).to_arrow_table()
        except duckdb.Error as error:
            # DuckDB quotes the value that does not fit, and customers' rows stay out of messages.
            raise CouldNotLook(f"{self._where}: the query failed: {type(error).__name__}") from None

    def counted(self, expressions: list[str]) -> list[Any]:
        """The values of aggregates in SQL over all rows, a few in each query. Raises CouldNotLook as `sql` does.

        A query takes what its table has columns, so that one a column takes minutes for 5,000 of them.
        """
        found: list[Any] = []
        for start in range(0, len(expressions), _AGGREGATES):
            table = self.sql(f"SELECT {', '.join(expressions[start : start + _AGGREGATES])} FROM data")  # noqa: S608
            found += [column[0].as_py() for column in table.columns]
        return found

    def each(self, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """(name, its rows as an Arrow column) of these columns, of which a few at a time are held."""
        asked = list(names)
        for start in range(0, len(asked), _COLUMNS):
            batch = asked[start : start + _COLUMNS]
            table = self.sql(f"SELECT {', '.join(map(ident, batch))} FROM data")  # noqa: S608 - quoted by ident()
            yield from zip(batch, table.columns, strict=True)

    def target(self) -> Any:
        """Whether each row is of the positive class, shape (rows,), bool.

        Raises CouldNotLook when there is no label, a null in it, one class only, or the positive value never occurs.
        """
        np = library("numpy")
        if not self.label:
            raise CouldNotLook(f"{self._where}: no label is declared; give --label, or `label:` in assay.yaml")
        if self.label not in {c.name for c in self.columns}:
            close = nearest(self.label, tuple(c.name for c in self.columns))
            hint = f"did you mean {close!r}?" if close else f"it has {_listing([c.name for c in self.columns])}"
            raise CouldNotLook(f"{self._where}: has no label column {visible(self.label, 60)!r}; {hint}")
        column = self.table((self.label,)).column(0)
        if column.null_count:
            what = f"{column.null_count} rows have no label in {self.label!r}"
            raise CouldNotLook(f"{self._where}: {what}; label them or take them out")
        encoded = column.combine_chunks().dictionary_encode()
        values = listed(encoded.dictionary)
        positive = self._positive_value(values)
        hit = np.array([same_value(value, positive) for value in values], dtype=bool)
        shown = _held(values)
        if not hit.any():
            what = f"positive value {visible(str(positive), 40)!r} never occurs in {self.label!r}"
            raise CouldNotLook(
                f"{self._where}: {what}, which holds {shown}; set --positive, or `positive:` in assay.yaml"
            )
        if hit.all():
            what = f"label {self.label!r} has one class only ({visible(str(positive), 40)})"
            raise CouldNotLook(f"{self._where}: {what}; nothing can be learned or measured from it")
        return hit[encoded.indices.to_numpy(zero_copy_only=False)]

    def _positive_value(self, values: list[Any]) -> Any:
        if self.positive is not None:
            return self.positive
        if any(same_value(v, 1) for v in values) and len(values) <= 2:
            return 1
        what = f"which value of {self.label!r} is the positive class is not declared"
        raise CouldNotLook(f"{self._where}: {what}; add `positive:` to the subject in assay.yaml")

    def encoded(
        self, features: tuple[str, ...] | list[str] | None = None, like: Encoded | None = None, *, text: bool = False
    ) -> Encoded:
        """The features as one float64 matrix (rows, features), as gradient-boosted trees want it; see `Encoded`.

        Prose columns are left out unless named or `text`; `like` repeats another table's columns and category codes.
        """
        kinds = {c.name: c.kind for c in self.columns}
        if features is None and like is None and not self.features:
            raise CouldNotLook(f"{self._where}: {self._no_features()}")
        left_out: tuple[str, ...] = ()
        if like is not None:
            names = like.names
        elif features is not None:
            names = tuple(features)
        else:
            left_out = () if text else tuple(n for n in self.features if kinds[n] == "text")
            names = tuple(n for n in self.features if n not in left_out)
        if left_out and not names:
            raise CouldNotLook(f"{self._where}: {self._no_features(left_out)}")
        orders = {name: f.order for name, f in self.contract.columns.items() if f.order}
        categorical = {name for name in names if kinds.get(name) in ("category", "text")}
        return encode(self.table(names), categorical, orders, like, left_out)

    def _no_features(self, prose: tuple[str, ...] = ()) -> str:
        """In words: which columns there are, and why none of them is a feature to look at."""
        if prose:
            return f"has no features but text, lists or bytes, which are not encoded: {_listing(list(prose))}"
        names = _listing([c.name for c in self.columns])
        return f"has no feature columns beside the label, `drop` and what names rows: {names}"

    def close(self) -> None:
        """Let go of the memory."""
        self._tables.clear()
        self._connection.close()

    @property
    def _where(self) -> str:
        return self.subject.uri or str(self.path)


def open_dataset(
    subject: Subject,
    root: Path,
    contract: Contract | None = None,
    *,
    memory: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """The dataset at `subject.uri` under `root`, read whole and typed.

    A CSV is read as text and a column gets the narrowest type that fits *every* value, so nothing is coerced or lost.
    `memory` is how many bytes of it may be used (MAX_MEMORY if 0): a table that needs more is refused by what its
    metadata says. Raises InputError for a file that is absent, empty, torn, ragged, too large or not a table,
    MissingExtra without the `ml` extra.
    """
    path = Path(os.path.realpath(root / subject.uri))
    where = subject.uri
    check_file(path, where, max_bytes)
    digest = digest_file(path)
    if subject.digest and subject.digest != digest:
        raise InputError("changed since it was planned", where=where, fix="run again")
    layout = detect(path, where, subject.options)
    connection = connect(path, memory)
    try:
        held = attach(connection, path, where, subject.options.get("table")) if layout.format == "duckdb" else ""
        load_raw(lock(connection), path, layout, where, subject.options, memory or MAX_MEMORY, held)
        contract = contract or Contract()
        columns, rows = build(connection, contract, where, sniff=layout.format == "csv")
        return Dataset(connection, subject, path, digest, contract, columns, rows, root)
    except BaseException:
        connection.close()
        raise


def _name(options: dict[str, Any], key: str, where: str) -> str:
    value = options.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    raise InputError(f"`{key}` is not a column's name", where=where, fix=f"write `{key}: COLUMN`")


def _names(options: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = options.get(key)
    value = [value] if isinstance(value, str) else value or []
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InputError(f"`{key}` is not a list of columns", where=where, fix=f"write `{key}: [COLUMN, ...]`")


def _held(values: list[Any]) -> str:
    """Distinct values of a column in words: truth values by name, others by number, for cells stay out of messages."""
    words = [str(canonical_text(v)) for v in values]
    if set(words) <= {"0", "1", "true", "false"}:
        return _listing(words)
    return f"{len(words)} different values" if len(words) > 1 else "1 value"


def _listing(words: list[str]) -> str:
    shown = ", ".join(visible(word, 30) for word in words[:8])
    return f"{shown} and {len(words) - 8} more" if len(words) > 8 else shown
