"""Rows that two tables share: copies are seen through disguises, natural repetition is bounded, counting is exact."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.detectors.overlap import Overlap, overlap, repeats  # noqa: E402
from assay.detectors.rows import times_copied, undeclared_ids  # noqa: E402
from assay.stats.intervals import wilson  # noqa: E402

TRAIN, HOLD, LEAKED = 3500, 1500, 75
Array = Any


def table(rows: Array, label: Array | None = None) -> Any:
    columns = {f"c{i}": rows[:, i] for i in range(rows.shape[1])}
    return pa.table(columns if label is None else {**columns, "label": label})


def compare(train: Array, hold: Array) -> Overlap:
    return overlap(table(train), table(hold))


def high(found: Overlap) -> bool:
    """What the check calls a high finding, at its default tolerance."""
    return many(found) and not found.repeated and found.specific and found.likely < found.shared / 3


def many(found: Overlap) -> bool:
    return wilson(found.shared, found.rows)[0] > found.most + 0.002


def medium(found: Overlap) -> bool:
    if many(found):
        return not high(found) and found.likely < found.shared / 2
    if wilson(found.shared, found.rows)[0] > found.least + 0.002:
        return found.likely < found.shared / 2
    return wilson(found.shared, found.rows)[0] > 0.1 + 10 * found.chance / found.rows


def continuous(rng: Any, n: int) -> Array:
    return rng.normal(size=(n, 4))


def categories(rng: Any, n: int) -> Array:
    return np.stack([rng.integers(0, 6, n), rng.integers(0, 6, n), rng.integers(0, 9, n)], axis=1)


def skewed(rng: Any, n: int, power: float = 1.3, columns: int = 3) -> Array:
    share = np.arange(1, 201) ** -power
    edges = np.cumsum(share / share.sum())[:-1]
    return np.searchsorted(edges, rng.random((n, columns)))


def one_hot(rng: Any, n: int) -> Array:
    rows = np.stack([rng.choice(8, n, p=[0.5, 0.2, 0.1, 0.08, 0.05, 0.04, 0.02, 0.01]) for _ in range(5)], axis=1)
    return (rows[:, :, None] == np.arange(8)).reshape(n, -1).astype(int)


def half_empty(rng: Any, n: int) -> Array:
    """A table in which every other row is the same row of zeros."""
    return np.where(rng.random((n, 1)) < 0.5, 0.0, continuous(rng, n))


def copied(rows: Array, times: int) -> Array:
    return np.repeat(rows[: len(rows) // times], times, axis=0)


def leak(train: Array, hold: Array, rng: Any) -> Array:
    out = hold.copy()
    out[rng.choice(len(out), LEAKED, replace=False)] = train[rng.integers(0, len(train), LEAKED)]
    return out


CLEAN = {
    "continuous": lambda rng: (continuous(rng, TRAIN), continuous(rng, HOLD)),
    "categories": lambda rng: (categories(rng, TRAIN), categories(rng, HOLD)),
    "skewed categories": lambda rng: (skewed(rng, TRAIN), skewed(rng, HOLD)),
    "one-hot columns": lambda rng: (one_hot(rng, TRAIN), one_hot(rng, HOLD)),
    "a holdout more concentrated": lambda rng: (skewed(rng, TRAIN, 1.5, 1), skewed(rng, HOLD, 1.8, 1)),
    "a holdout less concentrated": lambda rng: (skewed(rng, TRAIN, 1.8, 1), skewed(rng, HOLD, 1.5, 1)),
    "more concentrated, three columns": lambda rng: (skewed(rng, TRAIN, 1.2), skewed(rng, HOLD, 1.5)),
    "less concentrated, three columns": lambda rng: (skewed(rng, TRAIN, 1.5), skewed(rng, HOLD, 1.2)),
    "a small training table, concentrated holdout": lambda rng: (skewed(rng, HOLD, 1.5, 1), skewed(rng, TRAIN, 1.8, 1)),
    "copies inside the training data": lambda rng: (copied(continuous(rng, TRAIN), 3), continuous(rng, HOLD)),
    "copied categories": lambda rng: (copied(skewed(rng, TRAIN), 3), skewed(rng, HOLD)),
    "every other row the same": lambda rng: (half_empty(rng, TRAIN), half_empty(rng, HOLD)),
}


RARER = ("less concentrated, three columns", "more concentrated, three columns", "copied categories")
CASES = [pytest.param(c, marks=pytest.mark.heavy) if c in RARER else c for c in sorted(CLEAN)]


@pytest.mark.parametrize("case", CASES)
def test_what_repeats_by_nature_is_silent_over_200_seeds(case: str) -> None:
    alarms = [
        seed for seed in range(200) for found in [compare(*CLEAN[case](np.random.default_rng(seed)))]
        if high(found) or medium(found)
    ]  # fmt: skip
    assert len(alarms) <= 2, alarms


def once(rows: Array) -> Array:
    return np.unique(rows, axis=0)


def rounded(rng: Any, n: int) -> Array:
    return np.round(rng.normal(size=(n, 2)), 1)


def specific(rng: Any, n: int) -> Array:
    """Rows of continuous values, an eighth of which belong to 300 that come again (as the mails of spambase do)."""
    known = np.random.default_rng(99).normal(size=(300, 4))
    return np.where(rng.random((n, 1)) < 0.125, known[rng.integers(0, 300, n)], continuous(rng, n))


SIDES = {"holdout": (False, True, HOLD), "training": (True, False, HOLD), "both": (True, True, HOLD),
         "both, holdout small": (True, True, 40), "training, holdout small": (True, False, 40)}  # fmt: skip


@pytest.mark.parametrize(
    "draw", [skewed, rounded, *(pytest.param(d, marks=pytest.mark.heavy) for d in (categories, one_hot))]
)
@pytest.mark.parametrize("side", sorted(SIDES))
def test_coarse_rows_rid_of_their_repeats_after_an_honest_split_are_silent(draw: Any, side: str) -> None:
    of_train, of_hold, n = SIDES[side]
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        train, hold = draw(rng, TRAIN), draw(rng, n)
        found.append(compare(once(train) if of_train else train, once(hold) if of_hold else hold))
    assert (sum(map(high, found)), sum(map(medium, found)) <= 2) == (0, True)


@pytest.mark.parametrize(("share", "times"), [(0.02, 2), (0.05, 2), (0.01, 10), (0.05, 10), (0.3, 2)])
def test_a_few_copies_in_training_do_not_excuse_a_leak(share: float, times: int) -> None:
    """The training data repeat about as many rows as were leaked, but other ones."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        train = continuous(rng, TRAIN)
        copies = np.repeat(train[: int(share * TRAIN)], times - 1, axis=0)
        hold = leak(train, continuous(rng, HOLD), rng)
        found += high(compare(np.concatenate([train, copies]), hold))
    assert found >= 17


def test_specific_rows_that_come_again_are_a_question_once_the_holdout_lost_its_repeats() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = compare(specific(rng, TRAIN), once(specific(rng, HOLD)))
        assert (high(found), medium(found)) == (False, True)


@pytest.mark.parametrize(
    ("train", "at_least"),
    [
        (lambda rng: continuous(rng, TRAIN), 20),
        (lambda rng: copied(continuous(rng, TRAIN), 3), 19),
        (lambda rng: half_empty(rng, TRAIN), 19),
    ],
    ids=["plain", "oversampled", "every other row the same"],
)
def test_one_row_in_twenty_leaked_is_found(train: Any, at_least: int) -> None:
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = train(rng)
        fresh = half_empty(rng, HOLD) if (rows == 0).any() else continuous(rng, HOLD)
        found += high(compare(rows, leak(rows, fresh, rng)))
    assert found >= at_least


def test_a_jitter_and_another_label_hide_nothing() -> None:
    rng = np.random.default_rng(1)
    train, label = continuous(rng, TRAIN), rng.integers(0, 2, TRAIN)
    hold, other = continuous(rng, HOLD), rng.integers(0, 2, HOLD)
    hold[:LEAKED] = train[:LEAKED] * (1 + 1e-9 * rng.normal(size=(LEAKED, 4)))
    other[:LEAKED] = label[:LEAKED]
    other[:30] = 1 - label[:30]
    found = overlap(table(train, label), table(hold, other), "label")
    assert (found.shared, found.other_label, found.first, high(found)) == (LEAKED, 30, 0, True)


def test_prices_are_not_tipped_over_by_a_jitter() -> None:
    """12345.65 lies half way between two numbers of six digits."""
    prices = np.round(np.arange(2000) * 0.1 + 12000.05, 2)[:, None]
    found = compare(prices, prices * (1 + 1e-9 * np.where(np.arange(2000) % 2, 1, -1)[:, None]))
    assert (found.shared, found.rows) == (2000, 2000)


@pytest.mark.parametrize("share", [0.08, 1.0])
@pytest.mark.parametrize("of_train", [1, 3])
@pytest.mark.parametrize("of_hold", [1, 2, 3, 10])
def test_copying_every_row_of_either_side_moves_nothing(share: float, of_train: int, of_hold: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        train, hold = continuous(rng, TRAIN), continuous(rng, HOLD)
        at = rng.permutation(HOLD)[: int(share * HOLD)]
        hold[at] = train[rng.permutation(TRAIN)[: len(at)]]
        plain = compare(train, hold)
        found = compare(np.repeat(train, of_train, axis=0), np.repeat(hold, of_hold, axis=0))
        assert (found.shared, found.rows, found.most) == (plain.shared, plain.rows, plain.most)
        assert (found.bare, found.specific, high(found)) == (plain.bare, plain.specific, True)


def test_a_holdout_drawn_with_replacement_hides_no_leak() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        train = continuous(rng, TRAIN)
        hold = leak(train, continuous(rng, HOLD), rng)
        assert high(compare(train, hold[rng.integers(0, HOLD, 3 * HOLD)]))


def test_copies_of_the_leaked_rows_in_the_holdout_leave_a_question() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        train = continuous(rng, TRAIN)
        hold = np.concatenate([continuous(rng, HOLD - 120), np.repeat(train[:120], 2, axis=0)])
        found = compare(train, hold)
        assert high(found) or medium(found)


def survey(rng: Any, n: int) -> Array:
    """Eight answers on a scale of five that go together."""
    mood = rng.normal(size=n)
    return np.stack([np.clip(np.round(1.2 * mood + 0.4 * rng.normal(size=n)), -2, 2) for _ in range(8)], axis=1)


def test_answers_that_go_together_are_no_high_finding_once_both_sides_lost_their_repeats() -> None:
    for seed in range(40):
        rows = survey(np.random.default_rng([seed, 150]), 150)
        assert not high(compare(once(rows[45:]), once(rows[:45])))


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_copies_made_before_the_split_are_a_question(share: float) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = continuous(rng, 3000)
        part = int(share * len(rows))
        rows = rng.permutation(np.concatenate([rows[part:], np.repeat(rows[:part], 4, axis=0)]))
        cut = len(rows) * 7 // 10
        found = compare(rows[:cut], rows[cut:])
        assert (high(found), medium(found)) == (False, True)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_counting_is_exact(data: Any) -> None:
    cell = st.one_of(st.none(), st.sampled_from([0.0, 1.0, 1.5, -2.0]))
    rows = st.lists(st.tuples(cell, st.sampled_from(["a", "b", None])), min_size=1, max_size=30)
    a, b = data.draw(rows), data.draw(rows)
    types = (pa.float64(), pa.string())
    first, second = (
        pa.table([pa.array(column, t) for column, t in zip(zip(*r, strict=True), types, strict=True)], names=["x", "y"])
        for r in (a, b)
    )
    found = overlap(first, second)
    assert (found.rows, found.shared) == (len(set(b)), len(set(a) & set(b)))
    assert found.first == next((i for i, row in enumerate(b) if row in set(a)), None)
    assert 0 <= found.most <= 1
    assert 0 <= found.chance <= found.rows + 1e-9


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ([1, 2], [1.0 + 1e-10, 3.5], 1),
        ([True, False], [1, 5], 1),
        ([1, None], ["1.0", "x"], 1),
        ([5] * 40, [5] * 9, 1),
        ([float("inf"), -0.0], [float("inf"), 0.0, float("-inf"), 1e-310], 2),
        ([1e308, 5e-324], [1e308 * (1 + 1e-12), 7.0], 1),
    ],
)
def test_types_and_extremes(first: list[Any], second: list[Any], shared: int) -> None:
    found = overlap(pa.table({"a": first}), pa.table({"a": second}))
    assert (found.shared, high(found), medium(found)) == (shared, False, False)


@pytest.mark.parametrize(("first", "second"), [([None] * 300, [None] * 200), (["k"] * 300, ["k"] * 200), ([1], [1])])
def test_constant_columns_and_single_rows_are_silent(first: list[Any], second: list[Any]) -> None:
    found = overlap(pa.table({"a": first}), pa.table({"a": second}))
    assert (found.shared, found.rows, high(found), medium(found)) == (1, 1, False, False)


def test_repeats_of_one_draw_are_the_coverage_of_good_and_turing() -> None:
    counts = np.array([1] * 50 + [2] * 20 + [5] * 2)
    estimate, most = repeats(counts, seen=100, drawn=1)
    assert estimate == pytest.approx(0.5, abs=0.01)
    assert estimate < most <= 1
    assert repeats(np.array([1]), 100, 100) == (1.0, 1.0)


def test_how_often_a_table_was_copied() -> None:
    rng = np.random.default_rng(0)
    natural = np.bincount(rng.integers(0, 300, 1500))
    natural = natural[natural > 0]
    assert times_copied(natural) == times_copied(np.ones(50, int)) == 1
    for times in (2, 3, 10, 300):
        assert times_copied(times * natural) == times
    assert times_copied(np.array([300])) == 300


def test_an_index_is_told_from_what_was_measured() -> None:
    rng, n = np.random.default_rng(0), 500
    kept = {"money": rng.normal(size=n), "age": rng.integers(0, 90, n), "shop": rng.choice(list("abc"), n)}
    ids = {"Unnamed: 0": np.arange(n), "as float": np.arange(n) * 1.0, "key": [f"k{i}" for i in range(n)]}
    assert undeclared_ids(pa.table({**ids, **kept})) == tuple(ids)
    assert undeclared_ids(pa.table({**ids, **kept}).take(np.repeat(np.arange(n), 3))) == tuple(ids)
    assert undeclared_ids(pa.table(ids)) == ()
    assert undeclared_ids(pa.table({**ids, **kept}).slice(0, 40)) == ()
