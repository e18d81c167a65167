"""Holm's adjustment: against the textbook's steps, and its promise on simulated families."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.stats.multiple import holm

P = st.floats(0, 1)


def test_the_steps_of_the_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.2]) == (0.2,)


@given(st.lists(P, max_size=30), st.floats(0.001, 0.5))
def test_it_rejects_what_the_step_down_procedure_rejects(given_p: list[float], alpha: float) -> None:
    order = sorted(range(len(given_p)), key=given_p.__getitem__)
    rejected = set()
    for rank, place in enumerate(order):
        if given_p[place] * (len(given_p) - rank) > alpha:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(holm(given_p)) if p <= alpha} == rejected


@given(st.lists(P, min_size=1, max_size=30))
def test_no_adjusted_value_is_below_its_own(given_p: list[float]) -> None:
    assert all(raw <= adjusted <= 1 for raw, adjusted in zip(given_p, holm(given_p), strict=True))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        holm([0.5, wrong])
