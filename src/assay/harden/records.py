"""A CSV as its own bytes, cut into records, so that what is not changed stays as it was to the last byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from assay.adapters.layout import Layout
from assay.core.errors import InputError

_QUOTED = re.compile(rb'"[^"]*(?:""[^"]*)*"')
_BOM = b"\xef\xbb\xbf"
Edits = Mapping[int, Mapping[int, bytes]]


class Records:
    """The records of a CSV. `rows` of them follow the header; blank lines belong to the record before them.

    Raises InputError where the bytes cannot be cut into the `rows` that the table was read to have.
    """

    def __init__(self, data: bytes, layout: Layout, rows: int, where: str) -> None:
        self.data, self.layout, self.rows, self.where = data, layout, rows, where
        self.separator = layout.separator.encode("utf-8")
        start = len(_BOM) if data.startswith(_BOM) else 0
        for ends in (_by_parity, self._by_fields):
            for keep_blank in (False, True):
                starts = _starts(data, start, ends(data, start), keep_blank)
                if len(starts) == rows + layout.header:
                    self._cut = [*starts, len(data)]
                    return
        raise InputError("its lines cannot be told apart as they were read", where=where, fix="write the table again")

    def _by_fields(self, data: bytes, start: int) -> list[int]:
        """Ends of records where a quote counts only at the start of a field."""
        sep = re.escape(self.separator)
        field = re.compile(rb'"[^"]*(?:""[^"]*)*"[^' + sep + rb"\r\n]*|[^" + sep + rb"\r\n]*")
        ends, at = [], start
        while at < len(data):
            match = field.match(data, at)
            at = match.end() if match else at
            if data.startswith(self.separator, at):
                at += len(self.separator)
                continue
            at += 2 if data.startswith(b"\r\n", at) else 1
            ends.append(min(at, len(data)))
        return ends

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
        return Records(b"".join(parts), layout, self.rows, self.where)

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


def _ended(record: bytes) -> bytes:
    return record if record.endswith((b"\n", b"\r")) else record + b"\n"


def _by_parity(data: bytes, start: int) -> list[int]:
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
