"""A Parquet or Arrow table as it was typed: rows taken out and put back, cells replaced, and a digest of its values."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.adapters.extras import library
from assay.adapters.validated import validate
from assay.core.errors import InputError
from assay.core.text import visible

Cells = Mapping[str, Mapping[int, Any]]


def read_columns(path: Path, format_: str, where: str) -> tuple[Any, str]:
    """(the Arrow table in `path`, how it is packed). Its size has been judged before. Raises InputError."""
    pa, ipc, parquet = library("pyarrow"), library("pyarrow.ipc"), library("pyarrow.parquet")
    try:
        if format_ == "parquet":
            file = parquet.ParquetFile(path)
            meta = file.metadata
            packed = meta.row_group(0).column(0).compression.lower() if meta.num_row_groups else "snappy"
            table = _movable(file.read(use_threads=False), where)
            return table, "none" if packed == "uncompressed" else packed
        data = path.read_bytes()
        if data[:4] == b"FEA1":
            raise InputError("is Feather of its first version, which is not written", where=where, fix="use Parquet")
        whole = data[:6] == b"ARROW1"
        table = (ipc.open_file if whole else ipc.open_stream)(pa.BufferReader(data)).read_all()
        validate(table)
        return _movable(table, where), "file" if whole else "stream"
    except (pa.ArrowException, OSError, EOFError, ValueError):
        raise InputError(f"is a torn or damaged {format_.capitalize()} file", where=where) from None


def _movable(table: Any, where: str) -> Any:
    """The table, if Arrow can take rows out of each of its columns. Raises InputError naming one where it cannot."""
    pa = library("pyarrow")
    for name in table.column_names:
        try:
            table.column(name).slice(0, 1).take(pa.array([0] if table.num_rows else [], pa.int64()))
        except pa.ArrowNotImplementedError:
            what = f"column {visible(name, 60)!r} is of type {visible(str(table.schema.field(name).type), 40)}"
            raise InputError(f"{what}, whose rows cannot be taken out", where=where, fix="write it as text") from None
    return table


def written_columns(table: Any, format_: str, packed: str) -> bytes:
    """The bytes of a file that holds `table`, packed as the source was."""
    pa, ipc, parquet = library("pyarrow"), library("pyarrow.ipc"), library("pyarrow.parquet")
    buffer = io.BytesIO()
    if format_ == "parquet":
        known = packed if packed in ("none", "snappy", "gzip", "brotli", "zstd", "lz4") else "snappy"
        parquet.write_table(table, buffer, compression=known)
    else:
        sink = pa.PythonFile(buffer, "w")
        with (ipc.new_file if packed == "file" else ipc.new_stream)(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
    return buffer.getvalue()


def with_cells(table: Any, cells: Cells, types: Mapping[str, Any]) -> Any:
    """The table with some cells replaced (column → row → value); `types` gives columns another type first."""
    pa = library("pyarrow")
    for name in dict.fromkeys([*types, *cells]):
        place = table.column_names.index(name)
        field = table.schema.field(place)
        kind = types.get(name, field.type)
        column = table.column(place).cast(kind, safe=False)
        changed = cells.get(name, {})
        if changed:
            rows = sorted(changed)
            column = _replaced(column, rows, pa.array([changed[r] for r in rows], _plain(kind)))
        table = table.set_column(place, field.with_type(kind), column)
    return table


def _plain(kind: Any) -> Any:
    pa = library("pyarrow")
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _replaced(column: Any, rows: Sequence[int], values: Any) -> Any:
    """The column with `values` at `rows`; built of its own type, so that nothing else is touched."""
    pa, np = library("pyarrow"), library("numpy")
    kind = column.type
    plain = column.cast(_plain(kind)) if pa.types.is_dictionary(kind) else column
    place = np.arange(len(column))
    place[np.asarray(rows, dtype=np.int64)] = len(column) + np.arange(len(rows))
    joined = pa.chunked_array([*plain.chunks, values], type=plain.type).combine_chunks()
    taken = pa.chunked_array([joined.take(pa.array(place))])
    return taken.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else taken


def rows_of(table: Any, rows: Any) -> Any:
    """These rows of the table, in the order given; none of them too."""
    pa, np = library("pyarrow"), library("numpy")
    return table.take(pa.array(np.asarray(rows, dtype=np.int64), pa.int64()))


def without(table: Any, rows: Sequence[int]) -> Any:
    """The table less these rows."""
    np = library("numpy")
    keep = np.ones(table.num_rows, dtype=bool)
    keep[np.asarray(rows, dtype=np.int64)] = False
    return rows_of(table, np.flatnonzero(keep))


def put_back(table: Any, removed: Any, rows: Sequence[int]) -> Any:
    """The table with `removed` at the places that `rows` name in the result."""
    pa, np = library("pyarrow"), library("numpy")
    size = table.num_rows + removed.num_rows
    place = np.full(size, -1)
    place[np.asarray(rows, dtype=np.int64)] = table.num_rows + np.arange(removed.num_rows)
    place[place < 0] = np.arange(table.num_rows)
    return pa.concat_tables([table, removed.cast(table.schema)]).take(place)


def packed_stream(table: Any) -> bytes:
    """A table as an Arrow stream, unpacked: what a patch keeps of rows and cells."""
    pa, ipc = library("pyarrow"), library("pyarrow.ipc")
    buffer = io.BytesIO()
    with ipc.new_stream(pa.PythonFile(buffer, "w"), table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return buffer.getvalue()


def unpacked_stream(data: bytes, where: str) -> Any:
    """The table of `packed_stream`. Raises InputError where it is torn, packed or larger than it looks."""
    pa, ipc = library("pyarrow"), library("pyarrow.ipc")
    try:
        table = ipc.open_stream(pa.BufferReader(data)).read_all()
        validate(table)  # before anything reads its offsets: `nbytes` follows them
        if table.nbytes > 8 * len(data) + 4096:
            raise ValueError("more in it than its bytes")
    except (pa.ArrowException, OSError, EOFError, ValueError):
        raise InputError("holds rows that are torn or damaged", where=where, fix="fetch the patch again") from None
    return table


def content_digest(table: Any) -> str:
    """`sha256:…` of names, types and values in order: the same however a file packs them."""
    pa = library("pyarrow")
    digest = hashlib.sha256()
    for field, column in zip(table.schema, table.columns, strict=True):
        kind = _plain(field.type)
        column = column.cast(kind) if kind != field.type else column
        head = f"{len(field.name)}:{field.name}:{field.type}:{field.nullable}:{len(column)}"
        digest.update(head.encode("utf-8", "surrogatepass"))
        values = column.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], kind)
        digest.update(values.is_null().to_numpy(zero_copy_only=False).tobytes())
        for part in _value_bytes(values, kind):
            digest.update(part)
    return "sha256:" + digest.hexdigest()


def _value_bytes(values: Any, kind: Any) -> list[bytes]:
    pa, pc = library("pyarrow"), library("pyarrow.compute")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        filled = values.fill_null(False if pa.types.is_boolean(kind) else 0) if values.null_count else values
        return [filled.to_numpy(zero_copy_only=False).tobytes()]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        sizes = pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        return [sizes.astype("<i8").tobytes(), "".join(v or "" for v in values.to_pylist()).encode("utf-8")]
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        if not pa.types.is_interval(kind):
            return [values.view(width).fill_null(0).to_numpy(zero_copy_only=False).tobytes()]
    return [repr(values.to_pylist()).encode("utf-8", "surrogatepass")]
