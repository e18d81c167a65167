"""How many independent rows: all where none repeats, and no more however often they are copied."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.stats import classifier as c  # noqa: E402
from assay.stats.effective import drawn, effective_n, whole  # noqa: E402


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.integers(1, 12))
def test_copies_of_everything_change_nothing(rows: list[tuple[int, bool]], times: int) -> None:
    groups, hit = (np.array(part) for part in zip(*rows, strict=True))
    alone = effective_n(groups)
    assert 1 - 1e-9 <= alone <= len(set(groups.tolist())) + 1e-9
    assert effective_n(np.repeat(groups, times)) == pytest.approx(alone)
    assert effective_n(np.repeat(groups, times), np.repeat(hit, times)) == pytest.approx(effective_n(groups, hit))
    assert effective_n(groups, hit) <= alone + 1e-9


def test_a_table_without_repeats_keeps_every_row() -> None:
    hit = np.arange(500) < 7
    assert whole(effective_n(np.arange(500))) == whole(effective_n(np.arange(500), hit)) == 500
    few = np.r_[np.arange(490), np.arange(10)]
    assert effective_n(few) == pytest.approx(500**2 / 520)
    assert effective_n(np.array([], dtype=int)) == 0


def test_copies_of_the_few_hits_do_not_pass_for_many() -> None:
    groups = np.r_[np.arange(1000), np.repeat(np.arange(10), 9)]
    hit = groups < 10
    assert effective_n(groups) > 500
    assert effective_n(groups, hit) < 130


def test_resamples_of_copies_are_those_of_the_rows() -> None:
    target = np.array([True] * 7 + [False] * 93)
    plain = c.bootstrap_weights(target, 50, 9)
    times = c.bootstrap_weights(np.repeat(target, 3), 50, 9, np.repeat(np.arange(100)[::-1], 3))
    assert (times == np.repeat(plain, 3, axis=1)).all()


def test_the_calibration_error_of_copies_is_that_of_the_rows() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(400)
    target, groups = rng.random(400) < scores, np.arange(400)
    many = [np.repeat(a, 5) for a in (scores, target)]
    for ask in (c.calibration_error, c.calibration_bound):
        assert ask(*many, groups=np.repeat(groups, 5)) == pytest.approx(ask(scores, target))
    assert c.calibration_bound(*many) < c.calibration_bound(scores, target) - 0.01


def test_all_rows_of_every_group_are_told_where_all_are_drawn() -> None:
    places, count = drawn(np.array([3, 1, 3, 0, 1, 3]), 9)
    assert (places.tolist(), count.tolist()) == ([0, 1, 3], [3, 2, 1])


def test_of_few_groups_each_counts_by_its_rows_until_one_more_would_begin() -> None:
    places, count = drawn(np.array([3, 1, 3, 0, 1, 3]), 2)
    assert (places.tolist(), count.tolist()) == ([0, 1], [2, 1])
    assert [len(part) for part in drawn(np.zeros(0, dtype=int), 2)] == [0, 0]


@pytest.mark.parametrize("most", [20, 60, 200])
def test_half_of_the_rows_are_half_however_often_they_were_copied(most: int) -> None:
    """50 groups of ten beside 500 rows of their own: groups that are met sooner counted .87 of all."""
    groups, rng = np.concatenate([np.repeat(np.arange(50), 10), np.arange(50, 550)]), np.random.default_rng(0)
    shares = []
    for _ in range(300):
        order = rng.permutation(groups)
        places, count = drawn(order, most)
        shares.append(count[order[places] < 50].sum() / count.sum())
    assert np.mean(shares) == pytest.approx(0.5, abs=0.015)
