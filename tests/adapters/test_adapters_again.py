"""Rows that are asked again alone: an honest model is never refused, one that looks around or changes is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from assay.adapters.again import KEPT, LOCAL, REMOTE, Again, Rate  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402

REFUSED = "m: the sanity test failed: rows got other answers when they were asked again alone"


def asked(score: Callable[[Any], Any], times: int, size: int = 20, rate: Rate = LOCAL, labels: bool = False) -> Again:
    """A model that gave `times` times `size` drawn rows the scores that `score` gives their values (n,)."""
    rng = np.random.default_rng(0)
    again = Again(lambda t: score(np.asarray(t.column("x"))), "m", rate, labels=labels)
    for _ in range(times):
        values = rng.random(size)
        again.hear(pa.table({"x": values}), score(values))
    return again


def test_an_honest_model_is_never_refused_though_its_sums_round() -> None:
    rng = np.random.default_rng(1)
    assert asked(lambda x: x * 3 + 1e-7 * rng.random(len(x)), 200).settle() is None
    assert asked(lambda x: x, 3, size=5_000).settle() is None
    assert asked(lambda x: x, 40, size=1).settle() is None
    assert Again(lambda t: t, "m", LOCAL, labels=False).settle() is None


@pytest.mark.parametrize(("times", "size"), [(8, 20), (1, 1000)])
def test_a_model_that_looks_at_neighbours_is_refused(times: int, size: int) -> None:
    with pytest.raises(CouldNotLook, match=REFUSED):
        asked(lambda x: x + (len(x) > 1), times, size)


def test_a_model_that_lies_among_others_of_one_row_in_four_is_refused() -> None:
    with pytest.raises(CouldNotLook, match=REFUSED):
        asked(lambda x: np.where((x < 0.25) & (len(x) > 1), 1.0, x), 200)


def test_a_model_that_changes_is_refused_by_what_it_said_before() -> None:
    count = [0]

    def score(x: Any) -> Any:
        count[0] += len(x)
        return x if count[0] < 500 else np.ones(len(x))

    with pytest.raises(CouldNotLook, match=REFUSED):
        asked(score, 100)


def test_a_change_at_the_very_end_shows_when_it_is_settled() -> None:
    changed = []
    again = asked(lambda x: x + len(changed), 7, rate=REMOTE)
    changed.append(True)
    with pytest.raises(CouldNotLook, match=REFUSED):
        again.settle()


def test_who_was_caught_stays_so() -> None:
    changed = [True]
    again = asked(lambda x: x + len(changed), 30)
    changed.clear()
    with pytest.raises(CouldNotLook, match=REFUSED):
        again.settle()
    changed.append(True)
    with pytest.raises(CouldNotLook, match=REFUSED):
        again.settle()


def test_a_border_that_rounds_to_either_side_is_no_lie() -> None:
    """One label in fifty that turns is what sums in another order do where an attack looks for the border."""
    again = asked(lambda x: np.where((x < 0.02) & (len(x) > 1), 1 - (x > 0.5), x > 0.5).astype(float), 400, labels=True)
    again.settle()
    assert not again._caught


def test_which_rows_are_asked_nobody_can_foresee_and_few_are_kept() -> None:
    def places() -> list[float]:
        seen: list[float] = []

        def score(x: Any) -> Any:
            if len(x) == 1:
                seen.append(float(x[0]))
            return x

        again = asked(score, 1000)
        assert len(again._kept) == KEPT
        return seen

    assert places() != places()


def test_each_check_is_judged_on_its_own() -> None:
    """What was honest before gives no leave: a slip is counted by check."""
    lying: list[bool] = []

    def score(x: Any) -> Any:
        return np.where((x < 0.3) & (len(x) > 1) & bool(lying), 2.0, x)

    again = asked(score, 100, size=2_000)
    again.settle()
    lying.append(True)
    values = np.random.default_rng(5).random(3_000)
    with pytest.raises(CouldNotLook, match=REFUSED):
        again.hear(pa.table({"x": values}), score(values))
