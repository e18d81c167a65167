"""The rows that checks point at, as a Parquet table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from assay.adapters.extras import library
from assay.core.files import write_whole
from assay.core.suspects import Suspects


def write_suspects(found: Sequence[Suspects], path: Path) -> None:
    """Write `path` whole or not at all: row int64, check string, score double, flagged bool, reason string.

    The most suspicious rows of each check come first. Raises InputError where it cannot be written.
    """
    pa, parquet = library("pyarrow"), library("pyarrow.parquet")
    tables = []
    for item in found:
        order = sorted(range(len(item.rows)), key=lambda i: (not item.flagged[i], -item.scores[i], item.rows[i]))
        tables.append(
            pa.table(
                {
                    "row": pa.array([item.rows[i] for i in order], pa.int64()),
                    "check": pa.array([item.check] * len(order), pa.string()),
                    "score": pa.array([item.scores[i] for i in order], pa.float64()),
                    "flagged": pa.array([item.flagged[i] for i in order], pa.bool_()),
                    "reason": pa.array([item.reasons[i] for i in order], pa.string()),
                }
            )
        )
    kinds = [("row", pa.int64()), ("check", pa.string()), ("score", pa.float64()), ("flagged", pa.bool_())]
    empty = pa.schema([*kinds, ("reason", pa.string())]).empty_table()
    buffer = io.BytesIO()
    parquet.write_table(pa.concat_tables(tables) if tables else empty, buffer)
    write_whole(path, buffer.getvalue())
