"""Columns that give the answer away, and rows that two tables share."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

from assay.adapters.encode import Encoded  # noqa: E402
from assay.detectors.giveaway import giveaways  # noqa: E402
from assay.detectors.overlap import overlap  # noqa: E402


def test_a_leak_stands_out_and_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    target = rng.random(3000) < 0.1
    leak = np.where(target, rng.normal(size=3000) + 9, np.nan)
    honest = rng.normal(size=3000) + target
    key = np.arange(3000.0)
    encoded = Encoded(matrix=np.column_stack([honest, leak, key]), names=("honest", "leak", "key"), categorical=(2,))
    found = {g.column: g for g in giveaways(encoded, target, 0)}
    assert found["leak"].low > 0.985
    assert 0.6 < found["honest"].area < 0.9
    assert found["key"].area == pytest.approx(0.5, abs=0.06)  # a key of one row each learns nothing out of fold
    assert all(g.low <= g.area <= g.high for g in found.values())


def test_copies_do_not_vouch_for_their_twins() -> None:
    """A key that names each original row predicts nothing, however often the rows were copied."""
    rng = np.random.default_rng(5)
    target = rng.random(400) < 0.3
    matrix = np.column_stack([np.arange(400.0), rng.normal(size=400)])
    copies = np.tile(np.arange(400), 5)
    encoded = Encoded(matrix=matrix[copies], names=("key", "noise"), categorical=(0,))
    found = {g.column: g for g in giveaways(encoded, target[copies], 0)}
    assert found["key"].area < 0.7
    assert found["key"].low < 0.6


def test_overlap_counts_exactly_nulls_included() -> None:
    first = pa.table({"a": [1, 1, 2, None], "b": ["x", "x", "y", "z"]})
    second = pa.table({"a": [5, 1, None, None], "b": ["x", "x", "z", "q"]})
    found = overlap(first, second)
    assert (found.rows, found.shared, found.first) == (4, 2, 1)
    assert overlap(first, second.slice(0, 1)).first is None
