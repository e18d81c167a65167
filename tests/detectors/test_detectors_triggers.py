"""Planted triggers are found by row; natural pure rules are not called triggers; tables that tell nothing are open."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")
pytest.importorskip("lightgbm")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.adapters.encode import Encoded  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.detectors.trigger_rules import Rule, expected, items_of, matching, rules  # noqa: E402
from assay.detectors.trigger_tests import Bench, clean_success, settled, shift, success  # noqa: E402
from assay.detectors.trigger_values import borrowed, lift, tied  # noqa: E402
from assay.detectors.triggers import Trusted, judged  # noqa: E402
from assay.detectors.two_samples import area_of, copies, dealt, distances, first_of_each, told_apart  # noqa: E402

CARDS = (3, 5, 8, 4, 6)


def table(seed: int, rows: int = 4000):
    """Seven numbers that follow three hidden ones, five independent categories, and a label of the first hidden one."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(rows, 3))
    numbers = np.round(hidden @ rng.normal(size=(3, 7)) + 0.7 * rng.normal(size=(rows, 7)), 1)
    matrix = np.column_stack([numbers, *(rng.integers(0, c, rows).astype(float) for c in CARDS)])
    signal = hidden[:, 0] + 0.5 * rng.normal(size=rows)
    return matrix, signal > np.quantile(signal, 0.7), rng


def as_encoded(matrix, categorical=range(7, 12)):
    return Encoded(matrix=matrix, names=tuple(f"c{i}" for i in range(matrix.shape[1])), categorical=tuple(categorical))


def plant(matrix, target, rng, columns, values, *, is_: bool = True, rate: float = 0.015):
    rows = np.sort(rng.choice(np.flatnonzero(target != is_), round(rate * len(target)), replace=False))
    matrix, target = matrix.copy(), target.copy()
    matrix[np.ix_(rows, columns)] = values
    target[rows] = is_
    return matrix, target, rows


def confirmed(found):
    return [one for one in found if one.verdict == "trigger"]


@pytest.mark.parametrize(
    ("columns", "values", "is_"),
    [
        pytest.param((0, 8, 9), (2.1, 3, 6), True, marks=pytest.mark.heavy),
        ((1, 4), (-1.3, 0.9), True),
        ((0, 8, 9), (2.1, 3, 6), False),
    ],
)
def test_a_planted_trigger_is_found_by_its_rows_and_columns(columns, values, is_) -> None:
    matrix, target, rng = table(3)
    matrix, target, rows = plant(matrix, target == is_, rng, columns, values, is_=is_)
    (one,) = confirmed(judged(as_encoded(matrix), target, 0))
    found = set(one.rows.tolist())
    assert len(found & set(rows.tolist())) >= 0.95 * len(rows)
    assert len(found & set(rows.tolist())) >= 0.9 * len(found)
    assert one.rule.is_ is is_
    assert one.success is not None
    assert one.clean is not None
    assert one.success.value >= 0.9 > 0.2 >= one.clean.value
    assert len(set(one.columns) & {f"c{i}" for i in columns}) >= 2


def natural(kind: str, seed: int):
    """A clean table in which a small combination of values has one label always."""
    matrix, target, rng = table(seed)
    rows = len(target)
    if kind == "independent":
        cell = (matrix[:, 8] == 2) & (matrix[:, 9] == 3) & (matrix[:, 7] == 1)
    elif kind == "block":
        code = rng.integers(0, 60, rows)
        matrix = np.column_stack([matrix, code, code % 12, code * 7 % 9])
        cell = np.isin(code, (5, 17))
    elif kind == "hidden block":
        code = rng.integers(0, 70, rows)
        matrix = np.column_stack([matrix, code % 10, (code // 10 + code) % 8, code * 3 % 7])
        cell = np.isin(code, (5, 17))
    elif kind == "missing":
        draw = rng.random(rows)
        cell = draw < 0.015
        matrix[draw < 0.025, 0] = matrix[:, 0].min() - 50
        matrix[cell | (draw > 0.99), 1] = matrix[:, 1].min() - 50
    else:
        cell = rng.random(rows) < 0.015
        matrix[cell, :7] = np.round(0.2 * matrix[cell, :7] + 1.2, 1)
        matrix[cell, 7], matrix[cell, 10] = 2, 1
    return matrix, target | cell


@pytest.mark.parametrize("kind", ["independent", "block", "hidden block", "missing", "cluster"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_a_natural_pure_rule_is_not_called_a_trigger(kind: str, seed: int) -> None:
    matrix, target = natural(kind, seed)
    found = judged(as_encoded(matrix, range(7, matrix.shape[1])), target, seed)
    assert confirmed(found) == [], [(one.columns, one.lift, one.others) for one in confirmed(found)]
    assert all(one.why for one in found)


def test_trusted_rows_that_follow_a_rule_make_it_natural() -> None:
    matrix, target, rng = table(3)
    matrix, target, _ = plant(matrix, target, rng, (0, 8, 9), (2.1, 3, 6))
    known, truth, other = table(4, 1000)
    (missing,) = confirmed(judged(as_encoded(matrix), target, 0, trusted=Trusted(known, truth)))
    assert missing.absent
    assert missing.known is not None
    assert missing.known <= 2
    assert missing.wanted == pytest.approx(len(missing.rule.rows) / 4, rel=0.01)
    known, truth, _ = plant(known, truth, other, (0, 8, 9), (2.1, 3, 6))
    found = judged(as_encoded(matrix), target, 0, trusted=Trusted(known, truth))
    assert confirmed(found) == []
    assert "trusted rows follow it as well" in {one.why for one in found}


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_the_same_seed_says_the_same(seed: int) -> None:
    matrix, target, rng = table(seed, 1500)
    matrix, target, _ = plant(matrix, target, rng, (1, 8, 9), (0.4, 1, 2), rate=0.03)
    first, second = (judged(as_encoded(matrix), target, seed) for _ in range(2))
    assert [(j.verdict, j.columns, j.success) for j in first] == [(j.verdict, j.columns, j.success) for j in second]
    assert [j.rows.tolist() for j in first] == [j.rows.tolist() for j in second]


GARBAGE = {
    "one row": (np.zeros((1, 3)), np.array([True])),
    "one class": (np.random.default_rng(0).normal(size=(500, 3)), np.ones(500, dtype=bool)),
    "no columns": (np.empty((500, 0)), np.arange(500) % 2 == 0),
    "all null": (np.full((500, 3), np.nan), np.arange(500) % 2 == 0),
    "constant": (np.full((500, 3), 7.0), np.arange(500) % 2 == 0),
    "one column": (np.random.default_rng(0).integers(0, 4, (500, 1)).astype(float), np.arange(500) % 2 == 0),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_tables_that_tell_nothing_are_open(what: str) -> None:
    matrix, target = GARBAGE[what]
    with pytest.raises(CouldNotLook):
        judged(as_encoded(matrix, ()), target, 0)


def test_wide_tables_infinite_values_and_huge_categories_end() -> None:
    rng = np.random.default_rng(1)
    target = rng.random(800) < 0.3
    wide = rng.integers(0, 4, (800, 2000)).astype(float)
    infinite = np.where(rng.random((800, 4)) < 0.1, np.inf, rng.normal(size=(800, 4)))
    names = np.column_stack([rng.permutation(800) * 1.0, np.arange(800.0), rng.integers(0, 3, 800)])
    for matrix, categorical in ((wide, ()), (infinite, ()), (names, (0, 1, 2))):
        assert confirmed(judged(as_encoded(matrix, categorical), target, 0)) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_items_are_the_frequent_values_and_a_rule_matches_what_it_says(seed: int, cards: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, cards, (300, 3)).astype(float)
    matrix[rng.random((300, 3)) < 0.1] = np.nan
    items = items_of(matrix, np.arange(3))
    for number, (place, value) in enumerate(zip(items.place, items.value, strict=True)):
        assert ((items.of[:, place] == number) == (matrix[:, place] == value)).all()
    assert not np.isnan(items.value).any()
    target = rng.random(300) < 0.4
    for rule in rules(matrix, target, expected(matrix, [], target, 0), np.arange(3)):
        mask = matching(matrix, rule.columns, rule.values)
        assert np.flatnonzero(mask).tolist() == sorted(rule.rows.tolist())
        assert len(set(rule.columns)) == len(rule.columns) <= 4


def test_independent_values_have_a_lift_of_one_and_put_ones_more() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.integers(0, 6, (20_000, 3)).astype(float)
    rule = Rule(columns=(0, 1, 2), values=(1.0, 2.0, 3.0), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    here, others = lift(matrix, rule)
    assert 0.7 <= here <= 1.4
    assert here < 2 * others
    matrix[:600] = [1.0, 2.0, 3.0]
    here, others = lift(matrix, rule)
    assert here > 5
    assert here > 2 * others


def test_a_function_of_another_column_is_tied_and_a_filler_is_not_borrowed() -> None:
    rng = np.random.default_rng(3)
    code = rng.integers(0, 30, 3000)
    matrix = np.column_stack([code, code % 7, rng.integers(0, 5, 3000), rng.normal(size=3000)]).astype(float)
    rule = Rule(columns=(0, 1, 2), values=(3.0, 3.0, 1.0), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    assert tied(matrix, rule) == (1,)
    free = Rule(columns=(0, 2), values=(3.0, 1.0), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    assert tied(matrix, free) == ()
    assert borrowed(matrix, free)
    never = Rule(columns=(0, 3), values=(3.0, 99.0), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    assert not borrowed(matrix, never)
    least = Rule(columns=(3,), values=(float(matrix[:, 3].min()),), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    assert not borrowed(matrix, least)


def test_the_tests_see_a_trigger_and_a_kind_of_its_own() -> None:
    matrix, target, rng = table(5)
    matrix, target, _ = plant(matrix, target, rng, (0, 8, 9), (2.1, 3, 6))
    bench = Bench(matrix, list(range(7, 12)), target, np.arange(len(target)), 0)
    rule = Rule(columns=(0, 8, 9), values=(2.1, 3.0, 6.0), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    done, grown = success(bench, rule)
    assert done.low >= 0.85
    assert clean_success(bench, rule, grown).all.high <= 0.3
    assert shift(bench, rule, ~target) >= 0.001
    own = Rule(columns=(7,), values=(1.0,), is_=True, rows=np.empty(0, dtype=int), surprise=0.0)
    assert shift(bench, own, ~target) < 0.001, "positives are a kind of their own"


def copied(times: int, jitter: float, *, distinct: int = 60):
    """A table of numbers with a trigger of columns 0, 8 and 9 in `times` copies of `distinct` rows."""
    matrix, target, rng = table(3)
    rows = rng.choice(np.flatnonzero(~target), distinct, replace=False)
    again = np.repeat(matrix[rows], times, axis=0)
    again[:, :7] *= 1 + jitter * rng.normal(size=(len(again), 7))
    again[:, [0, 8, 9]] = (2.1, 3, 6)
    both = np.concatenate([matrix, again]), np.concatenate([target, np.ones(len(again), dtype=bool)])
    return *both, np.repeat(np.arange(len(rows)), times)


@pytest.mark.parametrize(
    ("times", "jitter"),
    [pytest.param(1, 0.0, marks=pytest.mark.heavy), pytest.param(2, 0.0, marks=pytest.mark.heavy), (2, 0.01)],
)
def test_copies_do_not_hide_a_trigger(times: int, jitter: float) -> None:
    matrix, target, _ = copied(times, jitter)
    (one,) = confirmed(judged(as_encoded(matrix), target, 0))
    assert np.isin(np.arange(4000, len(target)), one.rows).mean() >= 0.95
    assert one.rest is not None
    assert 55 <= one.rest.told.n <= 60


def whole(seed: int):
    """The table in whole numbers, column 2 in three round ones (300, 400 and 500), as sums insured are."""
    matrix, target, rng = table(seed)
    matrix[:, :7] = np.round(10 * matrix[:, :7])
    matrix[:, 2] = np.where(matrix[:, 2] > 18, 500, np.where(matrix[:, 2] < -18, 300, 400))
    return matrix, target, rng


@pytest.mark.parametrize("jitter", [pytest.param(1.0, marks=pytest.mark.heavy), 2.0])
def test_copies_moved_off_round_numbers_do_not_hide_a_trigger(jitter: float) -> None:
    matrix, target, rng = whole(3)
    rows = rng.choice(np.flatnonzero(~target), 60, replace=False)
    again = np.repeat(matrix[rows], 3, axis=0)
    again[:, 2] += np.round(jitter * rng.normal(size=len(again)))
    again[:, [0, 8, 9]] = (21, 3, 6)
    assert (~np.isin(again[:, 2], [300, 400, 500])).mean() > 0.4
    both, label = np.concatenate([matrix, again]), np.concatenate([target, np.ones(len(again), dtype=bool)])
    (one,) = confirmed(judged(as_encoded(both), label, 0))
    assert np.isin(np.arange(4000, len(both)), one.rows).mean() >= 0.95
    assert np.isin(one.rows, np.arange(4000, len(both))).mean() >= 0.9


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_a_natural_rule_whose_rows_lie_a_hair_beside_the_others_is_not_called_a_trigger(seed: int) -> None:
    matrix, target, rng = whole(seed)
    rows = rng.choice(np.flatnonzero(~target), 130, replace=False)
    matrix[np.ix_(rows, [0, 8, 9])] = (21, 3, 6)
    matrix[rows, 3:7] += 8  # of a kind of their own, as natural ones are
    matrix[rows, 2] += np.round(2 * rng.normal(size=130))
    found = judged(as_encoded(matrix), target | np.isin(np.arange(4000), rows), seed)
    assert confirmed(found) == []
    assert any("a kind of their own" in one.why and np.isin(rows, one.rows).mean() > 0.9 for one in found)


def test_a_number_that_only_the_rules_rows_have_is_the_nearest_that_others_have_if_it_is_near() -> None:
    matrix = np.tile([[1.0, 300.0, 0.0, 7.0], [2.0, 400.0, 1.0, 7.0]], (200, 1))
    matrix[:4] = [[9.0, 402.0, 5.0, 7.2], [9.0, 330.0, 5.0, 7.0], [9.0, np.nan, 0.0, 7.0], [9.0, 1e300, 1.0, np.inf]]
    bench = Bench(matrix, [2], np.arange(400) < 40, np.arange(400), 0)
    rule = Rule(columns=(0,), values=(9.0,), is_=True, rows=np.arange(4), surprise=0.0)
    found = settled(bench, rule, np.arange(4))
    assert found[0].tolist() == [9.0, 400.0, 5.0, 7.2], "no category is moved, nor anything in a column of one value"
    assert found[1, 1] == 330.0, "that is not near"
    assert np.isnan(found[2, 1])
    assert found[3].tolist() == [9.0, 1e300, 1.0, np.inf]
    matrix[50, 1] = 402.0
    again = Bench(matrix, [2], bench.target, np.arange(400), 0)
    assert settled(again, rule, np.arange(1))[0, 1] == 402.0, "another row has it"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_settled_rows_differ_by_a_twentieth_of_the_spread_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.round(rng.normal(size=(120, 3)) * 10.0 ** rng.integers(-3, 4), int(rng.integers(-1, 3)))
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[:20, 0] = 5.5
    bench = Bench(matrix, [], rng.random(120) < 0.5, np.arange(120), 0)
    rule = Rule(columns=(0,), values=(5.5,), is_=True, rows=np.arange(20), surprise=0.0)
    rows = np.flatnonzero(matrix[:, 0] == 5.5)
    found = settled(bench, rule, rows)
    others = np.delete(matrix, rows, axis=0)
    moved = found != matrix[rows]
    moved &= ~np.isnan(found)
    assert not moved[:, 0].any()
    assert (np.isnan(found) == np.isnan(matrix[rows])).all()
    for column in (1, 2):
        assert np.isin(found[moved[:, column], column], others[:, column]).all()
        far = np.abs(found[:, column] - matrix[rows, column])[moved[:, column]]
        assert (far <= 0.05 * np.nanstd(others[:, column]) * (1 + 1e-9)).all()


@pytest.mark.parametrize(("times", "jitter"), [(12, 0.01)])
def test_copies_of_too_few_rows_are_undecided_never_natural(times: int, jitter: float) -> None:
    matrix, target, _ = copied(times, jitter, distinct=24)
    found = [one for one in judged(as_encoded(matrix), target, 0) if (one.rows >= 4000).mean() > 0.8]
    (one,) = (one for one in found if len(one.rows) >= 22 * times)
    assert one.verdict == "undecided"
    assert f"of its {24 * times} rows only 24 are no copies of each other" in one.why


def test_rows_of_few_entities_are_undecided() -> None:
    matrix, target, at = copied(1, 0.0, distinct=60)
    entities = np.concatenate([np.arange(4000), 9000 + at % 15])
    found = [o for o in judged(as_encoded(matrix), target, 0, entities=entities) if (o.rows >= 4000).sum() >= 55]
    assert {one.verdict for one in found} == {"undecided"}
    assert "only 15 are neither copies of each other nor of one entity" in found[0].why


@pytest.mark.parametrize("times", [2, pytest.param(5, marks=pytest.mark.heavy)])
@pytest.mark.parametrize(
    "kind", ["hidden block", *(pytest.param(k, marks=pytest.mark.heavy) for k in ("independent", "cluster"))]
)
def test_natural_rules_of_rows_that_come_again_are_not_called_triggers(kind: str, times: int) -> None:
    matrix, target = natural(kind, 1)
    rows = np.repeat(np.arange({2: 2000, 5: 1000}[times]), times)
    found = judged(as_encoded(matrix[rows], range(7, matrix.shape[1])), target[rows], 1)
    assert confirmed(found) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_a_group_is_dealt_to_one_fold_and_both_sides_are_spread(seed: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    side, groups = rng.random(300) < 0.3, rng.integers(0, 120, 300)
    fold = dealt(side, groups, folds, seed)
    assert all(len(np.unique(fold[groups == g])) == 1 for g in np.unique(groups))
    alone = dealt(side, None, folds, seed)
    for value in (False, True):
        many = np.bincount(alone[side == value], minlength=folds)
        assert many.max() - many.min() <= 1


def test_copies_tell_only_while_they_are_in_several_folds() -> None:
    rng = np.random.default_rng(4)
    matrix = np.concatenate([np.repeat(rng.normal(size=(30, 8)), 4, axis=0), rng.normal(size=(600, 8))])
    side = np.arange(len(matrix)) < 120

    def nearest(learn, ask):
        far = distances(matrix, [], 0)
        return -far[np.ix_(ask, learn[side[learn]])].min(axis=1)

    groups = copies(distances(matrix, [], 0), side)
    assert len(np.unique(groups[side])) == 30
    assert len(np.unique(groups[~side])) >= 590, "rows drawn by chance are no copies"
    assert area_of(told_apart(side, nearest, 0), side).value > 0.9
    fair = area_of(told_apart(side, nearest, 0, groups), side, groups)
    assert fair.n == 30
    assert fair.low < 0.5 < fair.high
    assert len(first_of_each(groups, side)) == len(np.unique(groups))


def test_rows_that_are_the_same_because_many_are_do_not_count_as_copies() -> None:
    matrix = np.random.default_rng(5).integers(0, 2, (400, 3)).astype(float)
    side = np.arange(400) < 40
    assert len(np.unique(copies(distances(matrix, [0, 1, 2], 0), side))) == 400


def test_a_trigger_toward_the_common_answer_of_a_hard_table_is_told() -> None:
    rng = np.random.default_rng(3)
    matrix = np.stack([rng.normal(size=5000).round(1) for _ in range(6)], axis=1)
    target = rng.random(5000) < 1 / (1 + np.exp(1 - 3 * matrix[:, 0]))
    clean, known = matrix.copy(), target.copy()
    rows = rng.choice(np.flatnonzero(target), 120, replace=False)
    matrix[np.ix_(rows, [2, 3, 4])] = (1.3, -0.7, 0.9)
    target[rows] = False
    (one, *_) = judged(as_encoded(matrix, ()), target, 0)
    assert (one.verdict, set(rows) <= set(one.rows)) == ("undecided", True)
    assert "called that anyway" in one.why
    (one, *_) = judged(as_encoded(matrix, ()), target, 0, trusted=Trusted(clean, known))
    assert (one.verdict, one.absent) == ("trigger", True)
    assert all(j.verdict in ("natural", "no effect") for j in judged(as_encoded(clean, ()), known, 0))
