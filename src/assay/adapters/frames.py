"""Frames that are in memory already: pandas, Polars and Arrow tables from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.adapters.extras import library
from assay.adapters.layout import check_names
from assay.core.errors import InputError
from assay.core.text import visible


def arrow_of(frame: Any, name: str) -> Any:
    """The rows of a pandas or Polars frame, or an Arrow table, as an Arrow table. A pandas index is left out.

    Raises InputError for anything else, for columns of mixed types and for two of one name.
    """
    pa = library("pyarrow")
    if isinstance(frame, (str, bytes, list, dict, Path)) or not hasattr(frame, "columns"):
        what = f"is a {type(frame).__name__}, no table"
        raise InputError(what, where=name, fix="give a pandas or Polars frame, or a path")
    try:
        if isinstance(frame, pa.Table):
            table = frame
        elif hasattr(frame, "to_arrow"):
            table = frame.to_arrow()
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, AttributeError):  # Arrow quotes the cell that does not fit
        what = f"this {type(frame).__name__} cannot be read as a table{_mixed(pa, frame)}"
        raise InputError(what, where=name, fix="one type for each column, and no name twice") from None
    check_names(tuple(table.column_names), name)
    return table


def _mixed(pa: Any, frame: Any) -> str:
    """In words: which column it is that Arrow refuses."""
    for place, column in enumerate(frame.columns):
        try:
            pa.array(frame.iloc[:, place], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, AttributeError):
            return f": column {visible(str(column), 60)!r} holds several types"
    return ""


def written(frame: Any, path: Path) -> None:
    """Write a frame as Parquet to `path`, so that workers can read it. Raises InputError as `arrow_of` does."""
    pq = library("pyarrow.parquet")
    pq.write_table(arrow_of(frame, path.stem), path)
