"""A patch put to a table and taken off again; the bytes of the result, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.adapters.extras import library
from assay.adapters.layout import detect
from assay.core.canonical import digest_bytes
from assay.core.errors import InputError, VerificationError
from assay.harden.columns import (
    content_digest,
    packed_stream,
    put_back,
    read_columns,
    rows_of,
    unpacked_stream,
    with_cells,
    without,
    written_columns,
)
from assay.harden.patch import Patch, Side, packed, unpacked
from assay.harden.records import Records


class Made(msgspec.Struct, frozen=True):
    """A table as the bytes of its file, with what tells it from others."""

    data: bytes
    side: Side


class Whole:
    """A table as it is written: `records` of a CSV, or typed `columns`. `data` are its bytes, read once."""

    def __init__(self, path: Path, rows: int, where: str, options: dict[str, Any] | None = None) -> None:
        self.path, self.rows, self.where = path, rows, where
        self.layout = detect(path, where, options or {})
        if self.layout.format == "duckdb":
            raise InputError("is a database; a table is mended in a file", where=where, fix="export it to Parquet")
        self.data = path.read_bytes()
        self.records: Records | None = None
        self.columns: Any = None
        self.packing = ""
        if self.layout.format == "csv":
            self.records = Records.of(path, self.data, self.layout, rows, where, (options or {}).get("nan"))
            self.names = self.layout.columns
        else:
            self.columns, self.packing = read_columns(path, self.layout.format, where)
            if self.columns.num_rows != rows:
                raise InputError("its rows cannot be told apart as they were read", where=where)
            self.names = tuple(self.columns.column_names)

    @property
    def side(self) -> Side:
        """What tells this table from others."""
        return _side(self.data, self.rows, self.columns)

    def subset(self, rows: Any) -> bytes:
        """The bytes of a file of the same format with these rows only."""
        if self.records is not None:
            return self.records.subset(rows)
        return written_columns(rows_of(self.columns, rows), self.layout.format, self.packing)

    def text(self, row: int, name: str) -> str:
        """One cell as a patch writes it: the raw text in a CSV, the value's text otherwise."""
        if self.records is not None:
            return self.records.cell(row, self.names.index(name)).decode("utf-8")
        return str(self.columns.column(name)[row].as_py())


def _side(data: bytes, rows: int, columns: Any) -> Side:
    digest = digest_bytes(data)
    return Side(rows=rows, digest=digest, content=digest if columns is None else content_digest(columns))


def with_rows(whole: Whole, patch: Patch) -> Patch:
    """The patch with all that it takes to undo it: removed rows, labels and weights as they were."""
    if whole.records is not None:
        records = whole.records
        changes = tuple(
            replace(c, record=records.record(c.row).decode("utf-8")) if c.action == "remove" else c
            for c in patch.changes
        )
        return replace(patch, changes=changes)
    gone = [c.row for c in patch.changes if c.action == "remove"]
    names = [n for n in dict.fromkeys((patch.label, patch.weight)) if n in patch.columns]
    changed = [c.row for c in patch.changes if c.action != "remove"]
    cells = packed(packed_stream(rows_of(whole.columns.select(names), changed))) if names else ""
    return replace(patch, removed=packed(packed_stream(rows_of(whole.columns, gone))), cells=cells)


def without_rows(patch: Patch) -> Patch:
    """The patch without any removed row: it can be applied, and not reverted."""
    changes = tuple(replace(c, record=None) for c in patch.changes)
    return replace(patch, changes=changes, removed="", rows_kept=False)


def patched(whole: Whole, patch: Patch) -> Made:
    """The table with the patch put to it. Raises InputError where the two do not fit."""
    if whole.layout.format != patch.format or whole.names != patch.columns or whole.rows != patch.source.rows:
        raise InputError("is of another table: its columns, rows or format differ", where=whole.where)
    gone = frozenset(c.row for c in patch.of("remove"))
    if whole.records is not None:
        data = _patched_csv(whole.records, patch, gone)
        return Made(data, _side(data, whole.rows - len(gone), None))
    table = _patched_columns(whole.columns, patch, whole.where)
    table = without(table, sorted(gone))
    return _typed(table, patch, whole.packing)


def _typed(table: Any, patch: Patch, packing: str) -> Made:
    data = written_columns(table, patch.format, packing)
    return Made(data, _side(data, table.num_rows, table))


def _patched_csv(records: Records, patch: Patch, gone: frozenset[int]) -> bytes:
    edits: dict[int, dict[int, bytes]] = {}
    weights: dict[int, bytes] = {}
    for change in patch.changes:
        if change.action == "relabel":
            cell = str(change.new_label).encode("utf-8")
            edits.setdefault(change.row, {})[patch.columns.index(patch.label)] = cell
        elif change.action == "down-weight":
            weights[change.row] = repr(change.new_weight).encode("ascii")
    if patch.weight and not patch.added:
        for row, cell in weights.items():
            edits.setdefault(row, {})[patch.columns.index(patch.weight)] = cell
    added = (patch.weight.encode("utf-8"), weights, b"1") if patch.added else None
    return records.edited(edits, gone, added)


def _patched_columns(table: Any, patch: Patch, where: str) -> Any:
    pa = library("pyarrow")
    cells: dict[str, dict[int, Any]] = {}
    types: dict[str, Any] = {}
    relabelled = patch.of("relabel")
    if relabelled:
        values = {str(v): v for v in table.column(patch.label).unique().to_pylist()}
        if any(c.new_label not in values for c in relabelled):
            raise InputError("is of another table: a label of the patch is not in it", where=where)
        cells[patch.label] = {c.row: values[str(c.new_label)] for c in relabelled}
    weights = {c.row: c.new_weight for c in patch.of("down-weight")}
    if patch.weight and not patch.added:
        cells[patch.weight], types[patch.weight] = weights, pa.float64()
    table = with_cells(table, cells, types)
    if patch.added:
        column = [weights.get(row, 1.0) for row in range(table.num_rows)]
        table = table.append_column(pa.field(patch.weight, pa.float64()), [pa.array(column, pa.float64())])
    return table


def reverted(whole: Whole, patch: Patch, where: str) -> Made:
    """The source again, from the result; `where` names the patch. Raises InputError or VerificationError."""
    if not patch.rows_kept:
        what = "was written with --no-rows: the rows that it removed are not in it"
        raise VerificationError(what, where=where, fix="keep the source; without it this cannot be undone")
    names = (*patch.columns, patch.weight) if patch.added else patch.columns
    if whole.layout.format != patch.format or whole.names != names or whole.rows != patch.result.rows:
        raise InputError("is of another table: its columns, rows or format differ", where=where)
    try:
        made = _reverted_columns(whole, patch, where) if whole.records is None else _reverted_csv(whole.records, patch)
    except (ValueError, IndexError, KeyError, OSError, library("pyarrow").ArrowException) as error:
        # Arrow writes into memory here: its OSError is of a type that no file can hold.
        raise InputError(f"does not fit the table ({type(error).__name__})", where=where) from None
    if made.side.content != patch.source.content or made.side.rows != patch.source.rows:
        raise VerificationError("does not give the source again; nothing is written", where=where)
    return made


def _reverted_csv(records: Records, patch: Patch) -> Made:
    if patch.added:
        records = records.without_last()
    kept = iter(range(records.rows))
    changes = {c.row: c for c in patch.changes}
    parts = [records.head]
    for row in range(patch.source.rows):
        change = changes.get(row)
        if change is not None and change.action == "remove":
            parts.append((change.record or "").encode("utf-8"))
            continue
        record = records.record(next(kept))
        if change is not None and (change.action == "relabel" or not patch.added):
            name, old = patch.label, change.old_label
            if change.action == "down-weight":
                name, old = patch.weight, change.old_weight
            start, end = records.cells(record)[patch.columns.index(name)]
            record = record[:start] + (old or "").encode("utf-8") + record[end:]
        parts.append(record)
    source = b"".join(parts)
    return Made(source, _side(source, patch.source.rows, None))


def _reverted_columns(whole: Whole, patch: Patch, where: str) -> Made:
    table = whole.columns
    removed = unpacked_stream(unpacked(patch.removed, where), where)
    schema = removed.schema
    if tuple(schema.names) != patch.columns:
        raise InputError("is of another table: its columns differ", where=where)
    if patch.added:
        table = table.drop_columns([patch.weight])
    metadata = schema.metadata
    table = table.cast(schema, safe=False).replace_schema_metadata(metadata)
    rows = [c.row for c in patch.of("remove")]
    table = put_back(table, removed, rows).replace_schema_metadata(metadata)
    if patch.cells:
        old = unpacked_stream(unpacked(patch.cells, where), where)
        changed = [c.row for c in patch.changes if c.action != "remove"]
        if old.num_rows != len(changed):
            raise InputError("holds rows that are torn", where=where)
        cells = {n: dict(zip(changed, old.column(n).to_pylist(), strict=True)) for n in old.column_names}
        table = with_cells(table, cells, {}) if changed else table
    return _typed(table, patch, whole.packing)
