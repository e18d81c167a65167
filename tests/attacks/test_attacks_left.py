"""What is left of recall: a curve in steps, never below what is proved, and a figure that says what was not tested."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.attacks.attacked import Attacked  # noqa: E402
from assay.attacks.left import POINTS, Left, curve, measures  # noqa: E402

distances = st.lists(st.one_of(st.just(np.inf), st.floats(0.01, 9.0)), min_size=2, max_size=200)


@given(distances, st.one_of(st.just(np.inf), st.floats(0.1, 12.0)))
def test_words_rows_and_figures_agree_on_what_slips_past(found: list[float], budget: float) -> None:
    far = np.array(found)
    attacked = Attacked(far, np.zeros(len(far)), np.ones(len(far)), pa.table({"a": [1] * len(far)}))
    flags = np.repeat([True, False], [len(far), 3])
    left = Left(np.ones(len(flags), dtype=int), flags, attacked)
    evaded = sum(bool(np.isfinite(d)) and d <= budget for d in found)
    assert attacked.verdicts(budget).count("evaded") == evaded
    told = {m.name.rpartition(".")[2]: m.value for m in measures(left, "linf", budget, "label", 0)}
    assert told["evaded_share"] == pytest.approx(evaded / len(far))
    assert told["recall_under_attack"] == pytest.approx((len(far) - evaded) / len(flags))


def test_a_row_exactly_at_the_budget_is_within_it() -> None:
    far = np.array([0.45 - 0.3, 0.15 + 1e-6])
    attacked = Attacked(far, far * (1 - 1e-9), np.ones(2), pa.table({"a": [1, 2]}))
    assert far[0] > 0.15, "rounding tells it as another number"
    assert attacked.verdicts(0.15) == ("evaded", "certified")


@settings(max_examples=40)
@given(distances, st.floats(0.1, 12.0))
def test_it_falls_in_steps_and_never_below_what_is_proved(found: list[float], budget: float) -> None:
    far = np.array(found)
    low = np.where(np.isinf(far), 12.0, far * (1 - 1e-6))
    attacked = Attacked(far, low, np.ones(len(far)), pa.table({"a": [1] * len(far)}))
    left = Left(np.ones(len(far), dtype=int), np.ones(len(far), dtype=bool), attacked)
    best, proved = curve(left, "linf", budget, "whitebox", 0).series
    assert len(best.x) <= 2 * POINTS + 4
    at = np.linspace(0, best.x[-1], 997)
    drawn, truth = np.interp(at, best.x, best.y), [left.after(float(b))[0] for b in at]
    assert (np.interp(at, proved.x, proved.y) <= drawn + 1e-9).all()
    if len(np.unique(far)) <= POINTS - 2:
        near = np.abs(at[:, None] - far[np.isfinite(far)]).min(axis=1, initial=9.0) > 1e-4
        assert drawn[near] == pytest.approx(np.array(truth)[near])


def test_a_figure_says_where_no_hole_was_planted() -> None:
    one = Attacked(np.ones(3), np.ones(3), np.ones(3), pa.table({"a": [1, 2, 3]}), unplanted="relations bind")
    weight, flags = np.ones(3, dtype=int), np.ones(3, dtype=bool)
    first = next(measures(Left(weight, flags, one), "linf", 1.0, "whitebox", 0))
    assert first.method.endswith("; the sanity test planted no hole, as relations bind")
    other = Attacked(np.ones(3), np.ones(3), np.ones(3), pa.table({"a": [1, 2, 3]}))
    assert "planted" not in next(measures(Left(weight, flags, other), "linf", 1.0, "whitebox", 0)).method
