"""Frames that are in memory already: pandas, Polars and Arrow tables from Python."""

from __future__ import annotations

from datetime import date, datetime, time
from numbers import Number
from pathlib import Path
from typing import Any

from assay.adapters.extras import library
from assay.adapters.layout import check_names
from assay.adapters.validated import validate
from assay.core.errors import InputError, StorageError, os_words
from assay.core.text import visible

_FIX = "one type for each column: numbers, text, truth values or times"


def arrow_of(frame: Any, name: str) -> Any:
    """The rows of a pandas or Polars frame, an Arrow table or record batch, as an Arrow table whose buffers were
    validated. A pandas index is left out.

    Raises InputError for anything else, for columns of mixed types and for two of one name.
    """
    pa = library("pyarrow")
    if type(frame).__name__ == "LazyFrame" and hasattr(type(frame), "collect"):  # its columns are not to be asked for
        raise InputError("is a LazyFrame, that holds no rows yet", where=name, fix="call .collect() first")
    known = isinstance(frame, (pa.Table, pa.RecordBatch)) or hasattr(frame, "columns")
    if isinstance(frame, (str, bytes, list, dict, Path)) or not known:
        what = f"is a {type(frame).__name__}, no table"
        raise InputError(what, where=name, fix="give a pandas or Polars frame, or a path")
    if isinstance(frame, pa.Table):
        table = frame
    elif isinstance(frame, pa.RecordBatch):
        table = pa.Table.from_batches([frame])
    elif hasattr(frame, "to_arrow"):
        table = _from_polars(pa, frame, name)
    else:
        table = _from_pandas(pa, frame, name)
    check_names(tuple(table.column_names), name)
    for label, column in zip(table.column_names, table.columns, strict=True):
        try:
            validate(column)
        except pa.ArrowException:
            what = f"column {visible(label, 60)!r} holds what its type does not allow (text that is not UTF-8?)"
            raise InputError(what, where=name, fix="make that column again") from None
    return table


def _refusals(pa: Any) -> tuple[type[Exception], ...]:
    """What a library raises for rows that it does not turn into Arrow; its words quote the cell that does not fit."""
    return (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError, RuntimeError, KeyError)


def _from_polars(pa: Any, frame: Any, name: str) -> Any:
    """Raises InputError for a column that Arrow has no type for."""
    labels = list(frame.columns)
    kinds = dict(zip(labels, map(str, getattr(frame, "dtypes", labels)), strict=False))
    for label, kind in kinds.items():
        if kind == "Object":  # Polars would hand over where its cells lie in memory
            raise _not_read(f"column {visible(str(label), 60)!r} is of type Object", name)
    try:
        return frame.to_arrow()
    except _refusals(pa):
        pass
    for label in labels:
        try:
            frame.select([label]).to_arrow()
        except _refusals(pa):
            told = f"column {visible(str(label), 60)!r} is of type {visible(kinds[label], 40)}"
            raise _not_read(told, name) from None
    raise InputError(f"this {type(frame).__name__} cannot be read as a table", where=name, fix=_FIX)


def _from_pandas(pa: Any, frame: Any, name: str) -> Any:
    """Raises InputError for columns of several types, also where Arrow would make one of them in silence."""
    check_names(tuple(map(str, frame.columns)), name)
    try:
        for place, label in enumerate(frame.columns):
            if several(_objects(frame.iloc[:, place])):
                what = f"column {visible(str(label), 60)!r} holds several types"
                raise InputError(what, where=name, fix=_FIX)
        return pa.Table.from_pandas(frame, preserve_index=False)
    except _refusals(pa):
        told = _guilty(pa, frame)
    raise InputError(told or f"this {type(frame).__name__} cannot be read as a table", where=name, fix=_FIX)


def _not_read(told: str, name: str) -> InputError:
    return InputError(f"{told}, which is not read", where=name, fix="write it as int64, float64 or text")


def _objects(column: Any) -> Any:
    """The values of a pandas column that may be of any type; none where its type says what they are."""
    if str(column.dtype) == "category":
        column = column.cat.categories
    return column.dropna() if str(column.dtype) == "object" else ()


def several(values: Any) -> bool:
    """Whether Python objects are of several types. All numbers are one, but neither truth values nor dates beside
    times, nor times with a zone beside those without."""
    found: set[Any] = set()
    for kind in set(map(type, values)):
        if issubclass(kind, datetime):
            found |= {(datetime, v.tzinfo is None) for v in values if type(v) is kind}
        elif issubclass(kind, time):
            found |= {(time, str(v.tzinfo)) for v in values if type(v) is kind}
        else:
            found.add(_family(kind))
    return len(found) > 1


def _family(kind: type) -> Any:
    """What types are read as one."""
    if kind.__name__ in ("bool", "bool_"):
        return bool
    for family in (Number, str, date):
        if issubclass(kind, family):
            return family
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return bytes
    return list if kind.__name__ in ("list", "tuple", "ndarray") else kind


def _guilty(pa: Any, frame: Any) -> str:
    """In words: which column of a pandas frame it is that Arrow refuses; nothing where it refuses none alone."""
    for place, label in enumerate(getattr(frame, "columns", ())):
        try:
            column = frame.iloc[:, place]
            pa.array(column, from_pandas=True)
        except _refusals(pa):
            shown = f"column {visible(str(label), 60)!r}"
            if str(column.dtype) != "object":
                return f"{shown} is of type {visible(str(column.dtype), 40)}, which is not read"
            several_types = len(set(map(type, column.dropna()))) > 1
            return f"{shown} holds {'several types' if several_types else 'values that no type of Arrow takes'}"
    return ""


def written(frame: Any, path: Path) -> None:
    """Write a frame as Parquet to `path`, so that workers can read it. Raises InputError as `arrow_of` does, and for a
    type that Parquet has not; StorageError where it cannot be written."""
    pa, pq = library("pyarrow"), library("pyarrow.parquet")
    table = arrow_of(frame, path.stem)
    try:
        pq.write_table(table, path)
        return
    except pa.ArrowException:
        pass
    except OSError as error:
        what = f"cannot be written to the temporary folder: {os_words(error)}"
        raise StorageError(what, where=path.stem, fix="make room there, or set TMPDIR") from None
    for field in table.schema:
        try:
            pq.write_table(table.select([field.name]), pa.MockOutputStream())
        except pa.ArrowException as error:
            told = f"column {visible(field.name, 60)!r}"
            if isinstance(error, pa.ArrowNotImplementedError):
                raise _not_read(f"{told} is of type {visible(str(field.type), 40)}", path.stem) from None
            what = f"{told} holds values too large for {visible(str(field.type), 40)}"
            raise InputError(what, where=path.stem, fix="mend its values") from None
    raise InputError("cannot be written as Parquet", where=path.stem, fix=_FIX)
