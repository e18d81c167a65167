"""Groups apart: the same numbers as other formulas give, error rates by simulation; Shapley values by enumeration."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.stats.effective import effective_n
from assay.stats.fairness import Cells, largest_difference, range_quantile, ratio_limits, smallest_ratio
from assay.stats.intervals import recovered, wilson_rate
from assay.stats.shapley import mean_interval, rank_agreement, sampled


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_without_weights_draws_are_the_effective_rows(rows: list[tuple[bool, int, int]]) -> None:
    hit, draw, group = (np.array(v) for v in zip(*rows, strict=True))
    value, draws = Cells(group, 3, np.ones(len(rows)), draw).rates(hit)
    for g in range(3):
        mine = group == g
        expected = effective_n(draw[mine], hit[mine])
        assert draws[g] == pytest.approx(expected, rel=1e-9)
        if mine.any():
            assert value[g] == pytest.approx(hit[mine].mean())


@pytest.mark.parametrize("times", [2, 7])
def test_copies_and_scaled_weights_change_nothing(times: int) -> None:
    rng = np.random.default_rng(0)
    hit, group, weight = rng.random(200) < 0.3, rng.integers(0, 2, 200), rng.uniform(0.5, 2, 200)
    once = Cells(group, 2, weight, np.arange(200)).rates(hit)
    often = Cells(*(np.repeat(v, times) if np.ndim(v) else v for v in (group, 2, 3 * weight, np.arange(200)))).rates(
        np.repeat(hit, times)
    )
    for a, b in zip(once, often, strict=True):
        assert b == pytest.approx(a)


def test_a_row_that_weighs_a_thousand_is_no_thousand_rows() -> None:
    weight = np.r_[1000.0, np.ones(99)]
    _, draws = Cells(np.zeros(100, int), 1, weight, np.arange(100)).rates(np.arange(100) % 2 == 0)
    assert draws[0] < 2


def test_rows_of_no_group_and_of_no_weight_count_for_nothing() -> None:
    hit, group = np.array([1, 0, 1, 1]), np.array([0, 0, 1, -1])
    value, draws = Cells(group, 3, np.array([1.0, 1.0, 0.0, 1.0]), np.arange(4)).rates(hit)
    assert value.tolist() == [0.5, 0.0, 0.0]
    assert draws.tolist() == [2.0, 0.0, 0.0]


@pytest.mark.parametrize("groups", [2, 3, 5, 20])
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_the_quantile_of_the_range_is_scipys(groups: int, level: float) -> None:
    from scipy.stats import studentized_range

    expected = studentized_range.isf(1 - level, groups, np.inf) / math.sqrt(2)
    assert range_quantile(groups, level) == pytest.approx(expected, abs=1e-4)


def score(p1: float, n1: int, p2: float, n2: int, ratio: float) -> float:
    """The score statistic with the constrained maximum found by search, not by formula."""
    from scipy.optimize import minimize_scalar

    def minus_log_likelihood(second: float) -> float:
        first = ratio * second
        parts = [(p1 * n1, first), (n1 - p1 * n1, 1 - first), (p2 * n2, second), (n2 - p2 * n2, 1 - second)]
        return -sum(count * math.log(p) for count, p in parts if count)

    top = min(1.0, 1 / ratio)
    second = minimize_scalar(
        minus_log_likelihood, bounds=(1e-12, top - 1e-12), method="bounded", options={"xatol": 1e-12}
    ).x
    first = ratio * second
    variance = (first * (1 - first) / n1 + ratio**2 * second * (1 - second) / n2) * (n1 + n2) / (n1 + n2 - 1)
    return (p1 - ratio * p2) / math.sqrt(variance)


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2"), [(3, 40, 9, 50), (45, 50, 30, 60), (200, 900, 250, 1000), (1, 30, 20, 30)]
)
def test_the_limits_of_a_ratio_are_where_the_score_test_turns(x1: int, n1: int, x2: int, n2: int) -> None:
    low, high = ratio_limits(x1 / n1, n1, x2 / n2, n2, 1.96, 1.96)
    assert low < (x1 / n1) / (x2 / n2) < high
    assert score(x1 / n1, n1, x2 / n2, n2, float(low)) == pytest.approx(1.96, abs=1e-3)
    assert score(x1 / n1, n1, x2 / n2, n2, float(high)) == pytest.approx(-1.96, abs=1e-3)
    back = ratio_limits(x2 / n2, n2, x1 / n1, n1, 1.96, 1.96)
    wide = ratio_limits(x1 / n1, n1, x2 / n2, n2, 1.96, 3.0)
    assert float(wide[0]) == float(low)
    assert float(wide[1]) > float(high)
    assert (1 / float(back[1]), 1 / float(back[0])) == pytest.approx((float(low), float(high)), rel=1e-6)


def test_a_ratio_of_nothing_has_its_ends() -> None:
    low, high = ratio_limits([0.0, 0.3, 0.0], 50, [0.3, 0.0, 0.0], 50, 1.96, 1.96)
    assert low[0] == 0
    assert low[2] == 0
    assert high[0] < 1
    assert math.isinf(high[1])
    assert math.isinf(high[2])
    assert low[1] > 1


@given(st.integers(0, 60), st.integers(0, 90))
@settings(max_examples=40, deadline=None)
def test_two_groups_are_newcombes_difference(first: int, second: int) -> None:
    rates, draws = np.array([first / 60, second / 90]), np.array([60.0, 90.0])
    found = largest_difference(rates, draws, bound=0.1)
    order = np.argsort(-rates)
    limits = [wilson_rate(float(rates[i]), float(draws[i])) for i in order]
    low, high = recovered((float(rates[order[0]]), float(rates[order[1]])), limits, 0.0)
    assert found is not None
    assert found.low == pytest.approx(max(0.0, low), abs=1e-9)
    assert found.high >= min(1.0, high) - 1e-9
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("size", [2, 5])
def test_identical_groups_are_not_apart(size: int) -> None:
    rates, draws = np.full(size, 0.4), np.full(size, 3000.0)
    ratio, gap = smallest_ratio(rates, draws, bound=0.8), largest_difference(rates, draws, bound=0.1)
    assert ratio is not None
    assert gap is not None
    assert (ratio.value, ratio.verdict, gap.value, gap.verdict) == (1.0, "pass", 0.0, "pass")
    assert ratio.high == 1.0
    assert gap.low == 0.0


def test_a_group_that_could_not_be_measured_lets_nothing_pass_but_hides_no_failure() -> None:
    rates, draws = np.array([0.4, 0.4, 0.9]), np.array([5000.0, 5000.0, 0.0])
    ratio, gap = smallest_ratio(rates, draws, bound=0.8), largest_difference(rates, draws, bound=0.1)
    assert (ratio.verdict, ratio.low, gap.verdict, gap.high) == ("undecided", 0.0, "undecided", 1.0)  # type: ignore[union-attr]
    rates[1] = 0.1
    assert smallest_ratio(rates, draws, bound=0.8).verdict == "fail"  # type: ignore[union-attr]
    assert largest_difference(rates, draws, bound=0.1).verdict == "fail"  # type: ignore[union-attr]
    assert smallest_ratio(rates, np.array([50.0, 0, 0]), bound=0.8) is None


def verdicts(rows: int, ratio: float, times: int = 500) -> dict[str, float]:
    """How two groups of rows / 2, the worse with `ratio` of the other's rate of .4, are judged."""
    rng = np.random.default_rng(rows)
    half = rows // 2
    seen = rng.binomial(half, [0.4 * ratio, 0.4], (times, 2)) / half
    said = [smallest_ratio(s, np.full(2, float(half)), bound=0.8) for s in seen]
    plain = float(np.mean(seen.min(axis=1) < 0.8 * seen.max(axis=1)))
    return {"plain": plain, **{v: sum(s.verdict == v for s in said) / times for v in ("pass", "fail")}}  # type: ignore[union-attr]


@pytest.mark.parametrize("ratio", [0.8, *(pytest.param(r, marks=pytest.mark.heavy) for r in (0.86, 1.0))])
@pytest.mark.parametrize("rows", [200, 2000])
def test_a_compliant_model_fails_in_one_of_twenty_at_most(rows: int, ratio: float) -> None:
    found = verdicts(rows, ratio)
    assert found["fail"] <= 0.05
    if rows == 200 and ratio < 1:
        assert found["plain"] > 0.3  # what the rule on plain shares does


def test_an_unfair_model_is_found_and_a_fair_one_passes() -> None:
    assert verdicts(2000, 0.6, 200)["fail"] > 0.95
    assert verdicts(2000, 1.0, 200)["pass"] > 0.9
    assert verdicts(2000, 0.7, 200)["pass"] == 0.0


@pytest.mark.parametrize("groups", [2, 6])
def test_the_interval_of_the_largest_difference_covers(groups: int) -> None:
    rng = np.random.default_rng(groups)
    truth = np.linspace(0.3, 0.45, groups)
    hits = 0
    for _ in range(400):
        seen = rng.binomial(300, truth) / 300
        found = largest_difference(seen, np.full(groups, 300.0), bound=0.1)
        assert found is not None
        hits += found.low <= 0.15 <= found.high
    assert hits / 400 >= 0.93


# --- Shapley values -------------------------------------------------------------------------------------------------


def enumerated(worth: Any, d: int) -> np.ndarray:
    """Exact values from the worth of every coalition (a frozenset of places)."""
    values = np.zeros(d)
    for j in range(d):
        rest = [i for i in range(d) if i != j]
        for size in range(d):
            share = math.factorial(size) * math.factorial(d - size - 1) / math.factorial(d)
            for chosen in itertools.combinations(rest, size):
                values[j] += share * (worth(frozenset((*chosen, j))) - worth(frozenset(chosen)))
    return values


def mixed(f: Any, X: np.ndarray, B: np.ndarray) -> Any:
    return lambda row, back, own: f(np.where(own, X[row], B[back]))


def tangled(X: np.ndarray) -> np.ndarray:
    return X[:, 0] * X[:, 1] + np.sin(3 * X[:, 2]) * (X[:, 3] > 0) + X[:, 0] * X[:, 4] ** 2


def test_drawn_values_are_within_their_error_of_all_coalitions() -> None:
    rng = np.random.default_rng(0)
    X, B = rng.normal(size=(12, 5)), rng.normal(size=(40, 5))
    found = sampled(mixed(tangled, X, B), 12, 40, 5, pairs=200, seed=1)
    off = []
    for i, x in enumerate(X):
        exact = enumerated(lambda s, x=x: tangled(np.where([j in s for j in range(5)], x, B)).mean(), 5)
        off += list((found.values[i] - exact) / np.maximum(found.errors[i], 1e-9))
    assert np.abs(off).max() < 4.5
    assert 0.6 < np.std(off) < 1.3


def test_a_linear_model_has_its_closed_form() -> None:
    rng = np.random.default_rng(1)
    X, B, w = rng.normal(size=(8, 6)), rng.normal(size=(30, 6)), np.array([3.0, -2, 1, 0, 0.5, 0])
    found = sampled(mixed(lambda Z: Z @ w, X, B), 8, 30, 6, pairs=400, seed=2)
    expected = w * (X - B.mean(axis=0))
    assert np.abs(found.values - expected).max() < 5 * found.errors.max()
    assert found.values[:, 3] == pytest.approx(0, abs=1e-12)


def test_the_values_add_up_over_each_walk_and_the_seed_decides() -> None:
    rng = np.random.default_rng(3)
    X, B = rng.normal(size=(5, 4)), rng.normal(size=(1, 4))
    f = lambda Z: np.prod(Z, axis=1)  # noqa: E731
    found = sampled(mixed(f, X, B), 5, 1, 4, pairs=3, seed=0)
    assert found.values.sum(axis=1) == pytest.approx(f(X) - f(B))
    assert found.total == pytest.approx(f(X) - f(B))
    again = sampled(mixed(f, X, B), 5, 1, 4, pairs=3, seed=0)
    assert np.array_equal(again.values, found.values)
    assert not np.array_equal(sampled(mixed(f, X, B), 5, 1, 4, pairs=3, seed=1).values, found.values)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="1 pairs"):
        sampled(lambda *_: np.zeros(1), 3, 3, 2, pairs=1)


def test_rank_agreement_and_the_mean_of_few() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 6))
    assert rank_agreement(a, 3 * a) == pytest.approx(1.0)
    assert rank_agreement(a, -a) == pytest.approx(-1.0)
    assert rank_agreement(a, np.zeros_like(a)) == 0.0
    assert abs(rank_agreement(a, rng.normal(size=(50, 6)))) < 0.3
    value, low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert (value, high - value) == pytest.approx((2.0, 4.302652729911275 / math.sqrt(3)))
    assert low < 2 < high
    assert mean_interval(np.array([1.0]))[2] == math.inf
