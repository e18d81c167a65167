"""An attack in parts: every row is in one part, a piece reads back as it was, and a torn one is no result."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.attacks.attacked import Attacked
from assay.attacks.pieces import LEAST, joined, packed, shares, unpacked
from assay.core.errors import CouldNotLook
from assay.core.share import ROWS_A_PART, Piece


def attacked(rows: int, seed: int) -> Attacked:
    rng = np.random.default_rng(seed)
    distance = np.where(rng.random(rows) < 0.3, np.inf, rng.random(rows))
    table = pa.table(
        {"a": rng.normal(size=rows), "w": pa.array([f"w{i % 3}" if i % 5 else None for i in range(rows)], pa.string())}
    )
    return Attacked(distance, rng.random(rows), rng.integers(1, 600, rows), table, unplanted="" if seed % 2 else "why")


@given(st.integers(1, 3_000), st.integers(1, 3_000))
def test_every_row_is_in_one_part_and_no_part_is_tiny(rows: int, caught: int) -> None:
    parts = shares(rows, min(rows, caught))
    assert np.concatenate(parts).tolist() == list(range(min(rows, caught)))
    assert len(parts) <= -(-rows // ROWS_A_PART)
    assert len(parts) == 1 or min(map(len, parts)) >= LEAST


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_piece_reads_back_and_parts_join_in_order(first: int, second: int) -> None:
    both = [attacked(first, 1), attacked(second, 2)]
    whole = joined(unpacked(packed(part)) for part in both)
    for name in ("distance", "bound", "queries"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(p, name) for p in both]))
    assert whole.table.equals(pa.concat_tables([p.table for p in both]))
    assert whole.unplanted == "", "holes were planted in one part"
    assert joined([unpacked(packed(both[1]))]).unplanted == "why"


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_a_torn_piece_is_no_result(cut: int) -> None:
    piece = packed(attacked(20, 3))
    with pytest.raises(CouldNotLook, match="does not read"):
        unpacked(Piece(piece.data[:cut]))


def test_columns_of_other_lengths_are_no_result() -> None:
    piece = packed(attacked(20, 3))
    other = piece.data.replace(np.asarray(attacked(20, 3).bound, "<f8").tobytes(), b"\0" * 160)
    assert unpacked(Piece(other)).bound.tolist() == [0.0] * 20
    short = Attacked(np.zeros(3), np.zeros(20), np.zeros(20, dtype=int), attacked(20, 3).table)
    with pytest.raises(CouldNotLook, match="does not read"):
        unpacked(packed(short))


def test_why_there_is_no_piece_is_what_is_said() -> None:
    with pytest.raises(CouldNotLook, match="it was dark"):
        unpacked("it was dark")
