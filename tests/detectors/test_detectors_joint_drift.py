"""Telling two tables apart: chance where nothing changed, far from it where columns were torn from each other."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightgbm")

from assay.detectors.joint_drift import told_apart

NAMES = ("a", "b", "kind", "noise")


def rows(n: int, seed: int, *, tied: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = a + 0.4 * rng.normal(size=n)
    return np.column_stack([a, b if tied else rng.permutation(b), rng.integers(0, 4, n), rng.normal(size=n)])


def test_columns_torn_from_each_other_are_told() -> None:
    found = told_apart(rows(2000, 1), rows(2000, 2, tied=False), NAMES, (2,), 0)
    assert found.area > 0.7
    assert found.p < 1e-9
    assert found.low < found.area < found.high
    assert {name for name, _ in found.leaned[:2]} == {"a", "b"}


def test_nothing_is_told_where_nothing_changed() -> None:
    said = [told_apart(rows(300, 2 * s), rows(250, 2 * s + 1), NAMES, (2,), s).p for s in range(60)]
    assert sum(p <= 0.05 for p in said) <= 8, "3 are expected; 9 and more come by chance once in 250"


def test_missing_values_and_constants_are_no_trouble() -> None:
    before, now = rows(200, 1), rows(200, 2)
    before[:, 3], now[:, 3] = np.nan, np.nan
    before[:, 1], now[:, 1] = 7.0, 7.0
    assert told_apart(before, now, NAMES, (2,), 0).p > 0.001
    assert told_apart(before * 0, now * 0, NAMES, (), 0).p == 1.0


def test_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        told_apart(rows(99, 1), rows(500, 2), NAMES, (), 0)
