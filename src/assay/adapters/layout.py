"""How a table is written down: its format by its first bytes, a CSV's separator and header, its columns' names."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import msgspec

from assay.core.errors import InputError, os_words
from assay.core.text import visible

MAX_BYTES = 8 << 30
MAX_COLUMNS = 10_000
_MAX_NAME = 1_000
_SNIFF_BYTES = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is written down: its format and, for CSV, separator, header and column names."""

    format: str
    separator: str = ""
    header: bool = False
    columns: tuple[str, ...] = ()


def check_file(path: Path, where: str, limit: int = MAX_BYTES) -> None:
    """Refuse what is not a readable, non-empty regular file of at most `limit` bytes. Raises InputError."""
    try:
        if path.is_dir():
            raise InputError("is a folder, not a table", where=where, fix="name one CSV, Parquet, Arrow or DuckDB file")
        if not path.is_file():
            what = "does not exist" if not path.exists() else "is not a regular file"
            raise InputError(what, where=where, fix="check the path")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check its permissions") from None
    if size == 0:
        raise InputError("is empty: 0 bytes", where=where, fix="write the file again")
    if size > limit:
        raise InputError(f"is {size:,} bytes; at most {limit:,} are read", where=where, fix="take a sample of the rows")


def detect(path: Path, where: str, options: dict[str, Any]) -> Layout:
    """The file's layout from its first bytes, helped by `separator`, `header` and `columns`. Raises InputError."""
    with path.open("rb") as file:
        head = file.read(_SNIFF_BYTES)
    if head[:4] == b"PAR1":
        return Layout(format="parquet")
    if head[8:12] == b"DUCK":
        return Layout(format="duckdb")
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
        raise InputError("holds NUL bytes; it is not CSV, Parquet, Arrow or DuckDB", where=where, fix="export it again")
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
