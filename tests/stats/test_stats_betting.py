"""Capital that bets against "nothing changed": Ville's bound, late changes, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.betting import EXPONENTS, Capital, average


def bet(p_values: list[float]) -> Capital:
    capital = Capital()
    for p in p_values:
        capital = capital.after(p)
    return capital


def test_it_begins_with_one() -> None:
    assert Capital().total == 1.0
    assert average([]) == 1.0
    assert average([Capital(), bet([1.0])]) == pytest.approx((1.0 + bet([1.0]).total) / 2)


def test_a_bet_is_fair() -> None:
    # ∫ κ p^(κ−1) dp = 1 for every better, so that the mean over a fine grid of p is what was held before.
    before = bet([0.3, 0.9, 0.05])
    cells = 40_000
    quantiles = [(i + 0.5) / cells for i in range(cells)]
    mean = sum(before.after(p).total for p in quantiles) / cells
    assert mean == pytest.approx(before.total, rel=0.05)
    assert mean <= before.total * 1.0001


def test_false_alarms_stay_below_the_level_for_ever() -> None:
    generator = np.random.default_rng(7)
    runs, steps, alpha = 400, 1500, 0.05
    kappa = np.array(EXPONENTS)
    shares, highest = np.zeros((runs, len(kappa))), np.ones(runs)
    for t in range(1, steps + 1):  # the same recursion, over all runs at once
        p = generator.random((runs, 1))
        level = (0.01 * shares.sum(1, keepdims=True) + 1 / (t * (t + 1))) / len(kappa)
        shares = (0.99 * shares + level) * kappa * p ** (kappa - 1)
        highest = np.maximum(highest, shares.sum(1) + 1 / (t + 1))
    one = bet(list(np.random.default_rng(3).random(50)))
    again = np.zeros((1, len(kappa)))
    for t, p in enumerate(np.random.default_rng(3).random(50), 1):
        level = (0.01 * again.sum(1, keepdims=True) + 1 / (t * (t + 1))) / len(kappa)
        again = (0.99 * again + level) * kappa * p ** (kappa - 1)
    assert tuple(again[0]) == pytest.approx(one.shares), "the vectorised copy is the recursion that ships"
    assert (highest >= 1 / alpha).mean() <= alpha


@pytest.mark.parametrize("quiet", [0, 300])
def test_a_change_is_found_however_late_it_begins(quiet: int) -> None:
    generator = np.random.default_rng(quiet)
    capital = bet([float(p) for p in generator.random(quiet)])
    assert capital.total < 20
    for _ in range(60):
        capital = capital.after(float(generator.random() ** 5))
    assert capital.highest >= 20


@given(st.lists(st.floats(0, 1), max_size=60))
def test_capital_stays_a_positive_number(p_values: list[float]) -> None:
    capital = bet(p_values)
    assert math.isfinite(capital.total)
    assert capital.total > 0
    assert capital.highest >= capital.total or capital.highest >= 1.0
    assert capital.bets == len(p_values)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        Capital().after(wrong)
