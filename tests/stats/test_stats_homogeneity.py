"""Two samples in the same bins: exact answers on small tables, the level on simulated ones, power on shifted ones."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.homogeneity import homogeneity, merged

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12)


def exact(first: list[int], second: list[int]) -> float:
    """The tail of Pearson's statistic given the margins, by listing every table."""
    total = [a + b for a, b in zip(first, second, strict=True)]
    drawn, rows = sum(second), sum(total)

    def statistic(b: tuple[int, ...]) -> float:
        return sum((x - t * drawn / rows) ** 2 / (t * drawn / rows) for x, t in zip(b, total, strict=True))

    seen, tail, every = statistic(tuple(second)), 0, 0
    for b in product(*(range(t + 1) for t in total)):
        if sum(b) == drawn:
            weight = 1
            for x, t in zip(b, total, strict=True):
                weight *= comb(t, x)
            every += weight
            tail += weight * (statistic(b) >= seen - 1e-9)
    return tail / every


@pytest.mark.parametrize(("first", "second"), [([30, 5, 15], [8, 20, 9]), ([25, 10, 14], [6, 17, 10])])
def test_the_tail_is_that_of_the_exact_distribution(first: list[int], second: list[int]) -> None:
    said = homogeneity(first, second, resolution=1e-4)
    true = exact(first, second)
    assert true <= 0.05
    assert said.p == pytest.approx(true, rel=0.25, abs=2e-4)
    assert said.p >= true * 0.8


def test_a_shift_is_found_and_its_size_told() -> None:
    generator = np.random.default_rng(0)
    edges = np.quantile(generator.normal(size=10_000), np.arange(1, 20) / 20)
    one, two = generator.normal(size=20_000), generator.normal(0.3, 1, size=20_000)
    counts = [np.bincount(np.searchsorted(edges, side), minlength=20) for side in (one, two)]
    said = homogeneity(*counts, ordered=20)
    assert said.p < 1e-12
    assert said.effect == pytest.approx(0.09, rel=0.15), "the index of a shift d is d²"
    assert said.low < said.effect < said.high


@pytest.mark.parametrize(("shift", "n"), [(0.0, 300), (0.1, 1000), (0.5, 300), (1.0, 1000)])
def test_the_interval_covers(shift: float, n: int) -> None:
    from scipy.stats import norm

    edges = norm.ppf(np.arange(1, 20) / 20)
    p, q = (np.diff(np.r_[0, norm.cdf(edges - d), 1]) for d in (0.0, shift))
    true = 8 * (1 - np.sqrt(p * q).sum())
    generator = np.random.default_rng(int(100 * shift) + n)
    said = [homogeneity(generator.multinomial(n, p), generator.multinomial(n, q), resolution=0.05) for _ in range(200)]
    assert np.mean([h.low <= true <= h.high for h in said]) >= 0.90, (
        "nominal .95; .90 and less comes by chance 1 in 500"
    )


def test_the_index_is_not_biased_where_nothing_drifted() -> None:
    generator = np.random.default_rng(1)
    share = np.full(20, 0.05)
    raw = [homogeneity(generator.multinomial(200, share), generator.multinomial(200, share)) for _ in range(200)]
    assert np.mean([h.effect for h in raw]) < 0.05, "the plain index has a mean of 0.19 here"
    assert np.mean([h.p <= 0.05 for h in raw]) <= 0.09


@pytest.mark.parametrize("n", [60, 200, 2000])
def test_the_level_holds_in_the_tail(n: int) -> None:
    generator = np.random.default_rng(n)
    share = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.005, 0.005])
    low = sum(
        homogeneity(generator.multinomial(5 * n, share), generator.multinomial(n, share), seed=i).p <= 0.01
        for i in range(600)
    )
    assert low <= 14, "6 are expected; 14 and more come by chance once in 500"


@given(COUNTS, st.integers(0, 12))
def test_merging_keeps_every_row(pairs: list[tuple[int, int]], ordered: int) -> None:
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    a, b = merged(first, second, min(ordered, len(first)))
    assert (a.sum(), b.sum()) == ((first.sum(), second.sum()) if len(a) else (0, 0))
    assert ((a + b) > 0).all()


@given(COUNTS, st.integers(0, 12))
def test_any_counts_have_an_answer(pairs: list[tuple[int, int]], ordered: int) -> None:
    first, second = zip(*pairs, strict=True)
    said = homogeneity(first, second, ordered=min(ordered, len(first)), resolution=0.01)
    assert 0 <= said.p <= 1
    assert 0 <= said.low <= said.effect <= said.high <= 8


def test_nothing_on_one_side_says_nothing() -> None:
    assert homogeneity([5, 5], [0, 0]).p == 1
    assert homogeneity([0], [0]).p == 1
    assert homogeneity([900], [900]).p == 1
    with pytest.raises(ValueError, match="fit"):
        homogeneity([1, 2], [1])
    with pytest.raises(ValueError, match="fit"):
        homogeneity([1, -2], [1, 1])
