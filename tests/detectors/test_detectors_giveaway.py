"""Columns that give the answer away, and rows that two tables share."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
norm = pytest.importorskip("scipy.stats").norm

from assay.adapters.encode import Encoded  # noqa: E402
from assay.detectors.giveaway import giveaways, perfect  # noqa: E402
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


def lows(column: Any, target: Any, seed: int) -> float:
    return giveaways(Encoded(matrix=column[:, None], names=("x",), categorical=()), target, seed)[0].low


@pytest.mark.parametrize(("positives", "rows"), [(20, 220), (20, 2000), (40, 400), (100, 10000)])
def test_a_perfect_number_is_found_however_rare_the_class(positives: int, rows: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        target = rng.permutation(np.arange(rows) < positives)
        number = target * 20 + rng.normal(size=rows)
        holes = np.where(~target & (rng.random(rows) < 0.5), np.nan, number)
        assert min(lows(c, target, seed) for c in (number, -number, holes, -holes)) > 0.985


@pytest.mark.parametrize(("positives", "rows"), [(20, 2000), (40, 400), (100, 10000)])
def test_a_rare_class_in_a_narrow_band_is_found(positives: int, rows: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        target = rng.permutation(np.arange(rows) < positives)
        outside = rng.choice([-1, 1], rows) * rng.uniform(0.01, 3, rows)
        assert lows(np.where(target, rng.uniform(-0.001, 0.001, rows), outside), target, seed) > 0.985


def test_noise_of_few_positives_is_no_giveaway() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        target = rng.permutation(np.arange(220) < 20)
        matrix = rng.normal(size=(220, 40))
        matrix[:, 0] = rng.integers(0, 150, 220)
        matrix[:, 1][rng.random(220) < 0.3] = np.nan
        encoded = Encoded(matrix=matrix, names=tuple(map(str, range(40))), categorical=(0,))
        assert giveaways(encoded, target, seed)[0].low < 0.8


@pytest.mark.parametrize(("positives", "negatives"), [(20, 200), (40, 40), (75, 1400)])
def test_the_bound_of_a_perfect_area_is_reached_once_in_forty(positives: int, negatives: int) -> None:
    rng = np.random.default_rng(7)
    apart = norm.ppf(perfect(positives, negatives)) * 2**0.5
    lowest = rng.normal(size=(4000, positives)).min(axis=1) + apart
    assert (lowest > rng.normal(size=(4000, negatives)).max(axis=1)).mean() == pytest.approx(0.025, abs=0.008)


def test_identical_rows_are_one_row_to_the_bound() -> None:
    target = np.arange(220) < 20
    number = np.where(target, 9.0, np.arange(220.0) / 1000)
    assert lows(number, target, 0) < 0.7


def test_overlap_counts_exactly_nulls_included() -> None:
    first = pa.table({"a": [1, 1, 2, None], "b": ["x", "x", "y", "z"]})
    second = pa.table({"a": [5, 1, None, None], "b": ["x", "x", "z", "q"]})
    found = overlap(first, second)
    assert (found.rows, found.shared, found.first) == (4, 2, 1)
    assert overlap(first, second.slice(0, 1)).first is None
