"""Intervals: around the estimate, inside their range, and covering what they promise."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.intervals import (
    Counts,
    exact,
    overlapping_difference,
    paired_difference,
    recovered,
    t_for,
    wilson,
    wilson_rate,
    z_for,
)


def test_students_quantiles_are_those_of_the_tables() -> None:
    pytest.importorskip("scipy")
    known = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 1_000_000: z_for()}
    assert {d: round(t_for(d), 3) for d in known} == {d: round(v, 3) for d, v in known.items()}


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


def score_test(b: int, c: int, n: int, difference: float) -> float:
    """Tango's statistic with the nuisance rate found by search, not by formula."""

    def loss(rate: float) -> float:  # rate of "only second"; "only first" is rate + difference
        cells = ((b, rate + difference), (c, rate), (n - b - c, 1 - 2 * rate - difference))
        return -sum(k * math.log(max(p, 1e-300)) for k, p in cells if k)

    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    rate = (low + high) / 2
    return (b - c - n * difference) / math.sqrt(n * (2 * rate + difference * (1 - difference)))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (3, 0, 200), (0, 1, 44), (40, 20, 160), (9, 9, 30)])
def test_paired_difference_without_correction_inverts_the_score_test(b: int, c: int, n: int) -> None:
    low, high = paired_difference(b, c, n, correction=0)
    assert score_test(b, c, n, low) == pytest.approx(z_for(), abs=1e-4)
    assert score_test(b, c, n, high) == pytest.approx(-z_for(), abs=1e-4)
    wider = paired_difference(b, c, n)
    assert wider[0] < low < high < wider[1]


def test_paired_difference_of_nothing_seen_is_wilsons_bound() -> None:
    """With no discordant row the limits are z²/(n + z²), both ways."""
    low, high = paired_difference(0, 0, 50, correction=0)
    assert (low, high) == pytest.approx((-wilson(0, 50)[1], wilson(0, 50)[1]))


@pytest.mark.parametrize("n", [50, 100, 300, 1000, 2000])
@pytest.mark.parametrize(("first", "second"), [(0.002, 0.0), (0.005, 0.0), (0.01, 0.0), (0.02, 0.0), (0.01, 0.002)])
def test_paired_difference_covers_by_exact_enumeration(first: float, second: float, n: int) -> None:
    covered = total = 0.0
    for b in range(min(n, int(n * first + 7 * math.sqrt(n * first)) + 6)):
        for c in range(min(n - b, int(n * second + 7 * math.sqrt(n * second)) + 6) if second else 1):
            log = math.lgamma(n + 1) - math.lgamma(b + 1) - math.lgamma(c + 1) - math.lgamma(n - b - c + 1)
            log += b * math.log(first) + (c * math.log(second) if c else 0)
            weight = math.exp(log + (n - b - c) * math.log(1 - first - second))
            if weight > 1e-7:
                low, high = paired_difference(b, c, n)
                total += weight
                covered += weight * (low <= first - second <= high)
    assert total > 0.999
    assert covered >= 0.94


counts = st.integers(0, 60)


@given(st.builds(Counts, counts, counts, counts, counts, counts, counts))
def test_overlapping_difference_is_antisymmetric_and_contains_the_value(a: Counts) -> None:
    low, high = overlapping_difference(a)
    mirrored = overlapping_difference(Counts(a[0], a[1], a[4], a[5], a[2], a[3]))
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]))
    first, second = a[0] + a[1] + a[2] + a[3], a[0] + a[1] + a[4] + a[5]
    if first and second:
        assert -1 <= low <= (a[0] + a[2]) / first - (a[0] + a[4]) / second + 1e-12 <= high + 2e-12 <= 1 + 2e-12
    else:
        assert (low, high) == (-1, 1)


def test_overlapping_difference_knows_what_is_shared() -> None:
    apart = overlapping_difference(Counts(0, 0, 40, 10, 36, 14))
    shared = overlapping_difference(Counts(36, 10, 4, 0, 0, 4))
    assert shared[1] - shared[0] < 0.6 * (apart[1] - apart[0])
    with pytest.raises(ValueError, match="negative"):
        overlapping_difference(Counts(0, 0, -1, 0, 0, 0))


@pytest.mark.parametrize("flags", [6, 20, 60])
@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (0.9, 0.7), (0.98, 0.98), (0.1, 0.05)])
def test_overlapping_difference_covers_in_simulation(first: float, second: float, flags: int) -> None:
    """Each side flags `flags` rows on average, half of them the same; asked from 5 flags on, as the check does."""
    rng, covered, asked = random.Random(3), 0, 0
    both = 0.5 * flags
    shared = (first + second) / 2
    weights = [
        both * shared, both * (1 - shared), first * flags - both * shared, flags - both - first * flags + both * shared,
        second * flags - both * shared, flags - both - second * flags + both * shared,
    ]  # fmt: skip
    for _ in range(800):
        cells = Counts(*(poisson(rng, w) for w in weights))
        if min(sum(cells[:4]), sum(cells[:2]) + sum(cells[4:])) < 5:
            continue
        low, high = overlapping_difference(cells)
        asked += 1
        covered += low <= first - second <= high
    assert covered / asked >= 0.93


def poisson(rng: random.Random, mean: float) -> int:
    k, product, floor = 0, rng.random(), math.exp(-max(0.0, mean))
    while product > floor:
        k, product = k + 1, product * rng.random()
    return k


def test_joined_limits_of_the_same_thing_meet_in_nothing() -> None:
    assert recovered((0.8, 0.8), [(0.7, 0.9), (0.7, 0.9)], 1.0) == pytest.approx((0.0, 0.0), abs=0.021)
    wide = recovered((0.8, 0.8), [(0.7, 0.9), (0.7, 0.9)], -0.5)
    assert wide == pytest.approx((-math.hypot(0.1, 0.1), math.hypot(0.1, 0.1)))


def test_wilson_of_a_share_that_is_no_count() -> None:
    assert wilson_rate(81 / 263, 263) == wilson(81, 263)
    low, high = wilson_rate(0.997, 60)
    assert low < 0.95 < 0.997 < high <= 1


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (3, 10, 0.0667, 0.6525)]
)
def test_exact_intervals_are_clopper_and_pearsons(hits: int, n: int, low: float, high: float) -> None:
    assert exact(hits, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_exact_intervals_agree_with_scipy(case: tuple[int, int], level: float) -> None:
    from scipy.stats import binomtest

    told = binomtest(*case).proportion_ci(level, "exact")
    assert exact(*case, level) == pytest.approx((told.low, told.high), abs=1e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 100_000), (1, 100_000), (7, 10**6), (499_000, 10**6), (10**6, 10**6)])
def test_exact_intervals_of_many_rows_agree_with_beta_quantiles(hits: int, n: int) -> None:
    from scipy.stats import beta

    low, high = exact(hits, n)
    assert low == pytest.approx(beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0, rel=1e-8)
    assert high == pytest.approx(beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0, rel=1e-8)


def test_exact_of_nothing_is_everything_and_impossible_counts_are_refused() -> None:
    assert exact(0, 0) == (0.0, 1.0)
    for hits, n in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="hits of"):
            exact(hits, n)
