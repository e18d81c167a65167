"""Intervals: around the estimate, inside their range, and covering what they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.intervals import paired_difference, wilson


@given(st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_rate_and_stays_in_range(pair: tuple[int, int]) -> None:
    hits, n = pair
    low, high = wilson(hits, n)
    assert 0 <= low <= high <= 1
    if n:
        assert low <= hits / n <= high


def test_wilson_known_values() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(81, 263)  # 81 of 263: .2553 to .3662 (Newcombe 1998, table II, method 3)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert round(wilson(0, 20)[1], 4) == 0.1611


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5)])
def test_wilson_refuses_nonsense(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="hits of"):
        wilson(hits, n)


@pytest.mark.parametrize(("p", "n"), [(0.02, 100), (0.3, 50), (0.9, 200)])
def test_wilson_covers_by_exact_enumeration(p: float, n: int) -> None:
    covered = sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1]
    )
    assert covered >= 0.925


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_paired_difference_is_antisymmetric_and_contains_the_value(b: int, c: int, rest: int) -> None:
    n = b + c + rest
    low, high = paired_difference(b, c, n)
    mirrored = paired_difference(c, b, n)
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]))
    assert -1 <= low <= (b - c) / n <= high <= 1 if n else (low, high) == (-1, 1)


def test_paired_difference_covers_in_simulation() -> None:
    rng, covered = random.Random(5), 0
    for _ in range(1500):
        draws = [rng.random() for _ in range(120)]
        b, c = sum(d < 0.12 for d in draws), sum(0.12 <= d < 0.17 for d in draws)
        low, high = paired_difference(b, c, 120)
        covered += low <= 0.07 <= high
    assert covered / 1500 >= 0.93
