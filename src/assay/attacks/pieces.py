"""An attack in parts: the rows of each, what a part made as bytes, and the whole put together again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from assay.attacks.attacked import Attacked
from assay.attacks.space import Array
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable
from assay.core.share import Piece, parts_of

LEAST = 50
"""Rows below which a part is not worth its sanity test, and says less in it."""


class _Packed(msgspec.Struct):
    distance: bytes
    bound: bytes
    queries: bytes
    table: bytes
    unplanted: str = ""


def shares(rows: int, caught: int) -> list[Array]:
    """The places of `caught` rows in each part, as equal as can be, where `rows` were asked for."""
    return np.array_split(np.arange(caught), max(1, min(parts_of(rows), caught // LEAST)))


def packed(found: Attacked) -> Piece:
    """What a part made, as bytes."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.table.schema) as writer:
        writer.write_table(found.table)
    plain = _Packed(
        distance=np.asarray(found.distance, "<f8").tobytes(),
        bound=np.asarray(found.bound, "<f8").tobytes(),
        queries=np.asarray(found.queries, "<i8").tobytes(),
        table=sink.getvalue().to_pybytes(),
        unplanted=found.unplanted,
    )
    return Piece(msgspec.msgpack.encode(plain))


def unpacked(piece: Piece | str) -> Attacked:
    """What a part made. Raises CouldNotLook where it made nothing, with the words in which it said so."""
    import pyarrow as pa

    if isinstance(piece, str):
        raise CouldNotLook(piece)
    try:
        read = msgspec.msgpack.decode(piece.data, type=_Packed)
        with pa.ipc.open_stream(pa.py_buffer(read.table)) as stream:
            table: ArrowTable = stream.read_all()
    except (msgspec.DecodeError, pa.ArrowException):
        raise CouldNotLook("a part of the attack was written down and does not read any more") from None
    distance, bound = np.frombuffer(read.distance, "<f8"), np.frombuffer(read.bound, "<f8")
    queries = np.frombuffer(read.queries, "<i8")
    if {len(distance), len(bound), len(queries)} != {table.num_rows}:
        raise CouldNotLook("a part of the attack was written down and does not read any more")
    return Attacked(distance, bound, queries, table, read.unplanted)


def joined(parts: Iterable[Attacked]) -> Attacked:
    """The parts, one after the other; holes were planted where they were in any."""
    import pyarrow as pa

    parts = list(parts)
    return Attacked(
        distance=np.concatenate([p.distance for p in parts]), bound=np.concatenate([p.bound for p in parts]),
        queries=np.concatenate([p.queries for p in parts]), table=pa.concat_tables([p.table for p in parts]),
        unplanted="" if any(not p.unplanted for p in parts) else parts[0].unplanted,
    )  # fmt: skip
