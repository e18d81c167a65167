"""A CSV as its own bytes, cut into records, so that what is not changed stays as it was to the last byte."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.adapters.duck import NULLS, connect, csv_source, fix_for, ident, literal, lock, reason
from assay.adapters.extras import library
from assay.adapters.layout import Layout
from assay.core.errors import InputError

_QUOTED = re.compile(rb'"[^"]*(?:""[^"]*)*"')
_BOM = b"\xef\xbb\xbf"
_CELLS = 1 << 20
"""About how many cells are compared at once."""
Edits = Mapping[int, Mapping[int, bytes]]


class Records:
    """The records of a CSV, one from each number of `cut` to the next; blank lines belong to the record before them.

    `of` is how a file is cut; `cut` holds where the header (if any) and each row begin, and the end.
    """

    def __init__(self, data: bytes, layout: Layout, cut: Sequence[int], where: str) -> None:
        self.data, self.layout, self.where = data, layout, where
        self.rows = len(cut) - 1 - layout.header
        self.separator = layout.separator.encode("utf-8")
        self._cut = cut

    @classmethod
    def of(cls, path: Path, data: bytes, layout: Layout, rows: int, where: str, nan: Any = None) -> Records:
        """The records of the file at `path`, whose bytes are `data`, cut so that each cell is what the reader reads.

        Where lines can be cut in several ways, the number of records alone tells nothing: two mistakes may cancel out.
        Raises InputError where no way gives the reader's `rows` with the reader's text in every cell.
        """
        start = len(_BOM) if data.startswith(_BOM) else 0
        seen: list[list[int]] = []
        for ends in (_by_parity, _by_fields):
            places = ends(data, start, layout.separator.encode("utf-8"))
            for keep_blank in (False, True):
                cut = [*_starts(data, start, places, keep_blank), len(data)]
                if len(cut) != rows + layout.header + 1 or cut in seen:
                    continue
                seen.append(cut)
                records = cls(data, layout, cut, where)
                if _as_read(records, path, nan):
                    return records
        raise InputError("its lines cannot be told apart as they were read", where=where, fix="write the table again")

    @property
    def head(self) -> bytes:
        """What comes before the first row: a byte order mark, the header."""
        return self.data[: self._cut[int(self.layout.header)]]

    def record(self, row: int) -> bytes:
        """The bytes of a row, its line end and blank lines behind it too."""
        place = row + self.layout.header
        return self.data[self._cut[place] : self._cut[place + 1]]

    def subset(self, rows: Any) -> bytes:
        """The file with these rows only, in the order given."""
        return self.head + b"".join(_ended(self.record(int(row))) for row in rows)

    def cells(self, record: bytes) -> list[tuple[int, int]]:
        """Where each cell of a record begins and ends, its quotes included."""
        body = record.rstrip(b"\r\n")
        found, at = [], 0
        while True:
            end = at
            if body[at : at + 1] == b'"':
                close = _QUOTED.match(body, at)
                end = close.end() if close else len(body)
            end = body.find(self.separator, end)
            found.append((at, len(body) if end < 0 else end))
            if end < 0:
                return found
            at = end + len(self.separator)

    def cell(self, row: int, column: int) -> bytes:
        """The raw bytes of one cell."""
        record = self.record(row)
        start, end = self._span(record, column, row)
        return record[start:end]

    def edited(
        self, edits: Edits, removed: frozenset[int], added: tuple[bytes, Mapping[int, bytes], bytes] | None
    ) -> bytes:
        """The file with some cells replaced (row → column → bytes), rows removed and perhaps one column at the end.

        `added` is (its name, row → cell, the cell of all other rows).
        """
        parts = [self._extended(self.head, added[0]) if added and self.layout.header else self.head]
        for row in range(self.rows):
            if row in removed:
                continue
            record = self.record(row)
            for column, cell in sorted(edits.get(row, {}).items(), reverse=True):
                start, end = self._span(record, column, row)
                record = record[:start] + cell + record[end:]
            parts.append(self._extended(record, added[1].get(row, added[2])) if added else record)
        return b"".join(parts)

    def without_last(self) -> Records:
        """The same table without its last column, which `edited` added."""
        parts = [self._shortened(self.head) if self.layout.header else self.head]
        parts += [self._shortened(self.record(row)) for row in range(self.rows)]
        layout = Layout(
            format="csv", separator=self.layout.separator, header=self.layout.header, columns=self.layout.columns[:-1]
        )
        cut = [0] if self.layout.header else []
        at = 0
        for part in parts:
            at += len(part)
            cut.append(at)
        return Records(b"".join(parts), layout, cut, self.where)

    def texts(self, row: int) -> list[bytes]:
        """The cells of a row as a reader takes them: without the quotes around them."""
        record = self.record(row)
        return [unquoted(record[start:end]) for start, end in self.cells(record)]

    def _span(self, record: bytes, column: int, row: int) -> tuple[int, int]:
        spans = self.cells(record)
        if len(spans) != len(self.layout.columns):
            raise InputError(f"row {row} cannot be cut into its cells", where=self.where, fix="write the table again")
        return spans[column]

    def _extended(self, record: bytes, cell: bytes) -> bytes:
        body = record.rstrip(b"\r\n")
        return body + self.separator + cell + record[len(body) :]

    def _shortened(self, record: bytes) -> bytes:
        body = record.rstrip(b"\r\n")
        start, _ = self.cells(body)[-1]
        return body[: start - len(self.separator)] + record[len(body) :]


def unquoted(cell: bytes) -> bytes:
    """The text of a cell as it is written."""
    if len(cell) > 1 and cell.startswith(b'"') and cell.endswith(b'"'):
        return cell[1:-1].replace(b'""', b'"')
    return cell


def one_cell(text: str, separator: str) -> bool:
    """Whether `text`, written between two separators, is one cell and no more: quoted whole, or without anything that
    could begin another cell, a line or a quotation."""
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    if "\0" in text:
        return False
    if raw.startswith(b'"'):
        return _QUOTED.fullmatch(raw) is not None
    return not any(sign in text for sign in (separator, "\r", "\n"))


def _as_read(records: Records, path: Path, nan: Any) -> bool:
    """Whether every cell of every row is, as text, what the reader of tables reads there. Raises InputError."""
    duckdb, layout = library("duckdb"), records.layout
    # A blank line is a row of a one-column table if the empty text is a null: this reader must do as the other does.
    words = NULLS if nan is None else ([nan] if isinstance(nan, str) else [str(w) for w in nan])
    null = "" if "" in words else str(next(iter(words), ""))
    texts = [f"coalesce({ident(name)}, {literal(null)})" for name in layout.columns]
    whole = f"concat_ws({literal(layout.separator)}, {', '.join(texts)})"
    connection = lock(connect(path.resolve()))
    try:
        source = csv_source(path.resolve(), layout, records.where, {"nan": [null]})
        query = f"SELECT {whole}, {', '.join(texts)} FROM {source}"  # noqa: S608 - quoted by ident() and literal()
        at = 0
        relation = connection.sql(query)
        reader = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader  # its name before DuckDB 2
        for batch in reader(max(64, min(8192, _CELLS // len(texts)))):
            if at + batch.num_rows > records.rows or not _same_cells(records, at, batch):
                return False
            at += batch.num_rows
        return at == records.rows
    except duckdb.Error as error:
        raise InputError(reason(str(error), layout), where=records.where, fix=fix_for(layout)) from None
    finally:
        connection.close()


def _same_cells(records: Records, first: int, batch: Any) -> bool:
    width = batch.num_columns - 1
    columns: list[list[str]] = []
    for place, text in enumerate(batch.column(0).to_pylist()):
        body = records.record(first + place).rstrip(b"\r\n")
        if b'"' not in body and body.count(records.separator) == width - 1:
            # As many separators as the reader has between its cells: where the whole is the same, so is each cell.
            if body != text.encode("utf-8"):
                return False
            continue
        columns = columns or [batch.column(c).to_pylist() for c in range(1, width + 1)]
        if records.texts(first + place) != [c[place].encode("utf-8") for c in columns]:
            return False
    return True


def _ended(record: bytes) -> bytes:
    return record if record.endswith((b"\n", b"\r")) else record + b"\n"


def _by_fields(data: bytes, start: int, separator: bytes) -> list[int]:
    """Ends of records where a quote counts only at the start of a field."""
    sep = re.escape(separator)
    field = re.compile(rb'"[^"]*(?:""[^"]*)*"[^' + sep + rb"\r\n]*|[^" + sep + rb"\r\n]*")
    ends, at = [], start
    while at < len(data):
        match = field.match(data, at)
        at = match.end() if match else at
        if data.startswith(separator, at):
            at += len(separator)
            continue
        at += 2 if data.startswith(b"\r\n", at) else 1
        ends.append(min(at, len(data)))
    return ends


def _by_parity(data: bytes, start: int, separator: bytes) -> list[int]:
    """Ends of records where every quote encloses: a line ends where the quotes before it are even (RFC 4180)."""
    import numpy as np

    signs = np.frombuffer(data, dtype=np.uint8, offset=start)
    newline = np.flatnonzero(signs == ord("\n" if b"\n" in data else "\r"))
    if b'"' in data:
        before = np.searchsorted(np.flatnonzero(signs == ord('"')), newline)
        newline = newline[before % 2 == 0]
    ends: list[int] = (newline + 1 + start).tolist()
    if not ends or ends[-1] != len(data):
        ends.append(len(data))
    return ends


def _starts(data: bytes, start: int, ends: list[int], keep_blank: bool) -> list[int]:
    """Where records begin; a blank line begins none unless `keep_blank`, for it is a row of a one-column table."""
    starts, at = [], start
    for end in ends:
        if keep_blank or data[at:end].strip(b"\r\n"):
            starts.append(at)
        at = end
    return starts
