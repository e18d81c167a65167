"""The space of permitted changes: candidates, prices, relations, and what a contract cannot say."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from attacks_tools import KINDS, Linear, spaces, table  # noqa: E402

from assay.attacks.reach import reaches  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402


def one(values: list[Any], feature: Feature, kind: str = "number", reference: list[Any] | None = None) -> Space:
    rows = pa.table({"x": values})
    known = rows if reference is None else pa.table({"x": reference})
    return Space(rows, Contract(features={"x": feature}), known, {"x": kind}, ("x",))


def written(space: Space) -> list[tuple[int, float, Any]]:
    """(row, cost, value) of every single move."""
    ids, _, k = np.nonzero(np.isfinite(space.costs))
    values = space.build(ids, k[:, None].astype(np.int16)).column("x").to_pylist()
    return list(zip(ids.tolist(), space.costs[ids, 0, k].tolist(), values, strict=True))


def test_nothing_to_change_is_said() -> None:
    rows = table(1)
    with pytest.raises(CouldNotLook, match="change nothing"):
        Space(rows, Contract(features={"age": Feature(mutable=False)}), rows, KINDS, Linear.features)


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        (Feature(), {"→ another level"}),
        (Feature(type="category"), {"→ another level"}),
        (Feature(categories=("shop", "zaphod")), {"→ shop", "→ zaphod"}),
        (Feature(order=("shop", "zaphod")), {"+1 place", "−1 place", "+0 places"}),
    ],
)
def test_a_change_names_only_levels_that_the_contract_lists(feature: Feature, says: set[str]) -> None:
    axis = one(["shop", "zaphod"], feature, "category").axes[0]
    assert {axis.change(row, place) for row in (0.0, 1.0) for place in range(len(axis.levels))} == says


@pytest.mark.parametrize(
    ("move", "says"),
    [(-10777.0, "−10,777"), (7298.5, "+7,298"), (0.125, "+0.125"), (1e6, "+1,000,000"), (1e20, "+1e+20")],
)
def test_a_change_of_a_number_is_told_in_figures(move: float, says: str) -> None:
    assert one([1.0, 2.0], Feature()).axes[0].change(0.0, move) == says


def test_a_listed_level_is_told_as_it_is_listed() -> None:
    axis = one(["01", "2"], Feature(categories=(1, 2)), "category").axes[0]
    assert {axis.change(0.0, place) for place in range(2)} == {"→ 1", "→ 2"}


@pytest.mark.parametrize(
    ("known", "listed", "levels"),
    [
        (["TRUE", "FALSE", "yes", "no"], ("yes", "no"), ("yes", "TRUE", "no", "FALSE")),
        (["TRUE", "FALSE"], ("yes", "no"), ("yes", "TRUE", "no", "FALSE")),
        (["TRUE", "FALSE"], (True, False), ("TRUE", "yes", "FALSE", "no")),
        (["yes", "no"], (True, False), ("yes", "no")),
        (["no"], ("yes", "no"), ("yes", "no")),
        (["01", "2"], (1, 2), ("01", "2")),
    ],
)
def test_every_spelling_of_a_truth_value_is_a_level_of_its_own(known: list[Any], listed: Any, levels: Any) -> None:
    """Two rows of a table that nobody pinned took `yes` and `no` away, and the model was certified."""
    assert one(["no", "yes"], Feature(categories=listed), "category", known).axes[0].levels == levels


@pytest.mark.parametrize(
    ("rows", "known", "feature", "kind"),
    [
        (["no", "yes"], [True, False], Feature(categories=("yes", "no")), "category"),
        ([0, 1], [True, False], Feature(categories=(True, False)), "category"),
        ([True, False], [0, 1], Feature(categories=(0, 1)), "category"),
        ([True, False], [0, 1], Feature(), "category"),
        ([1, 2], ["1", "2"], Feature(), "text"),
        ([1, 2], ["1", "A"], Feature(), "number"),
    ],
)
def test_tables_that_hold_a_column_otherwise_are_refused(rows: Any, known: Any, feature: Feature, kind: str) -> None:
    """Levels that the holdout's column cannot hold were left out without a word, and rows were certified."""
    with pytest.raises(CouldNotLook, match=r"x is stored as .* and holds other things in the other; store both alike"):
        one(rows, feature, kind, known)


@pytest.mark.parametrize(
    ("known", "order"),
    [
        (["FALSE", "TRUE", "no", "yes"], ("no", "yes")),
        (["TRUE", "true", "false"], ("false", "true")),
        (["01", "1", "2", "3"], ("1", "2", "3")),
        (["01", "1", "2", "3"], (1, 2, 3)),
        (["01", "2", "3"], ("1", "2", "3")),
    ],
)
def test_a_place_in_an_order_is_one_value(known: list[str], order: tuple[Any, ...]) -> None:
    """The first spelling that was met stood for the place, and a row that the other lets pass was certified."""
    with pytest.raises(CouldNotLook, match="in more ways than one, and it has one place"):
        one(known[:2], Feature(order=order), "category", known)
    listed = Feature(order=tuple(known))
    assert one(known[:2], listed, "category", known).axes[0].levels == tuple(known), "every spelling has its place"


@pytest.mark.parametrize(
    ("values", "listed"),
    [([0, 1, 2], (0, 1, 1.5)), ([0, 1, 2], (0, 1, "1.5")), ([True, False], (True, False, "maybe")), ([1, 2], (1, "x"))],
)
@pytest.mark.parametrize("which", ["order", "categories"])
def test_a_listed_value_that_the_column_cannot_hold_is_refused(values: list[Any], listed: Any, which: str) -> None:
    """It was left out without a word, and rows that it lets pass were certified."""
    with pytest.raises(CouldNotLook, match=r"x lists .* cannot hold; store it otherwise"):
        one(values, Feature(**{which: listed}), "category")


@pytest.mark.parametrize(
    ("costs", "prices"),
    [
        ({"TRUE": None}, {"yes": 1.0, "no": 1.0, "TRUE": np.inf}),
        ({"yes": None, "TRUE": 2.0}, {"yes": np.inf, "no": 1.0, "TRUE": 2.0}),
        ({"yes": 2.0}, {"yes": 2.0, "no": 1.0, "TRUE": 1.0}),
    ],
)
def test_a_price_is_that_of_the_word_that_it_names(costs: Any, prices: dict[str, float]) -> None:
    """A price of `TRUE` was one of `yes` too: what nobody had forbidden was never tried, or the other way round."""
    words = ["yes", "no", "TRUE"]
    axis = one(words, Feature(categories=tuple(words), costs=costs), "category").axes[0]
    assert dict(zip(axis.levels, axis.entry.tolist(), strict=True)) == prices
    spelled = one(words, Feature(categories=("yes", "no"), costs={"yes": None}), "category").axes[0]
    entry = dict(zip(spelled.levels, spelled.entry.tolist(), strict=True))
    assert entry == {"yes": np.inf, "TRUE": np.inf, "no": 1.0}, "a spelling that is not listed is what it spells"
    assert spelled.change(1.0, spelled.levels.index("TRUE")) == "→ another spelling of yes"


def test_listed_numbers_that_are_stored_as_float32_are_refused() -> None:
    """0.10000000149 is no other level than the listed 0.1: a move from one to the other changes nothing."""
    listed = Feature(categories=(0.1, 0.3, 0.5))
    stored = [float(np.float32(v)) for v in (0.1, 0.3, 0.5)]
    with pytest.raises(CouldNotLook, match="x is stored as float32"):
        one(stored, listed, "category")
    assert one([0.1, 0.3, 0.5], listed, "category").axes[0].levels == (0.1, 0.3, 0.5)
    assert one([0.25, 0.5], Feature(categories=(0.25, 0.5)), "category").axes[0].levels == (0.25, 0.5)


def test_missing_values_are_left_alone() -> None:
    rows = pa.table({"amount": pa.array([None, 3, 9], pa.int64()), "shop": pa.array(["a", None, "b"])})
    features = {"amount": Feature(min=0, max=10, integer=True), "shop": Feature()}
    space = Space(rows, Contract(features=features), rows, KINDS, ("amount", "shop"))
    assert np.isinf(space.axes[0].cost[0]).all()
    assert np.isinf(space.axes[1].cost[1]).all()
    moved = space.keep(3)
    moved[2, 0] = int(np.flatnonzero(np.isfinite(space.axes[0].cost[2]))[0])
    assert space.build(np.arange(3), moved).column("amount").to_pylist()[:2] == [None, 3]


def test_a_category_that_is_not_listed_can_still_be_left() -> None:
    space = one(["z", "a"], Feature(categories=("a", "b")), "category", ["a", "b", "z"])
    assert sorted(v for row, _, v in written(space) if row == 0) == ["a", "b"]


@pytest.mark.parametrize(("low", "high"), [(0, 30), (-7.5, 900.5)])
def test_an_integer_column_gets_integers_inside_its_range_at_the_price_of_what_is_written(
    low: float, high: float
) -> None:
    space = one([3, 11, 28], Feature(min=low, max=high, scale=2), "number", list(range(29)))
    moves = written(space)
    assert len(moves) > 60
    for row, cost, value in moves:
        assert isinstance(value, int)
        assert low <= value <= high
        assert cost == pytest.approx(abs(value - [3, 11, 28][row]) / 2)


@pytest.mark.parametrize("step", [0.5, 0.001])
def test_a_fine_grid_still_reaches_its_far_end(step: float) -> None:
    space = one([1.0, 2.0], Feature(min=0, max=50, step=step, scale=1))
    values = [v for row, _, v in written(space) if row == 0]
    assert (min(values), max(values)) == (0.0, 50.0)
    assert np.allclose(np.array(values) / step, np.round(np.array(values) / step), atol=1e-6)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_a_declared_scale_does_not_hide_what_lies_between(scale: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=200).tolist()
    space = one(values[:1], Feature(min=-9, max=9, scale=scale), reference=values)
    moves = sorted(abs(v - values[0]) for _, _, v in written(space))
    assert sum(0.04 < m < 2.1 for m in moves) >= 15


def test_rows_that_are_kept_are_kept_to_the_last_digit() -> None:
    big = 2**60 + 1
    rows = pa.table({"x": pa.array([big, 5], pa.int64())})
    space = Space(rows, Contract(features={"x": Feature(min=0, max=10)}), rows, {"x": "integer"}, ("x",))
    choice = space.keep(2)
    choice[1, 0] = int(np.flatnonzero(np.isfinite(space.costs[1, 0]))[0])
    assert space.build(np.arange(2), choice).column("x")[0].as_py() == big


@pytest.mark.parametrize(
    "feature",
    [Feature(cost=float("nan")), Feature(cost=float("inf")), Feature(scale=-1.0), Feature(scale=0.0),
     Feature(scale=1e-160), Feature(cost=1e200)],
)  # fmt: skip
def test_a_price_that_is_no_positive_number_is_refused(feature: Feature) -> None:
    with pytest.raises(CouldNotLook, match="no positive number"):
        one([1.0, 2.0], feature)


def test_a_column_that_is_constant_but_for_its_spelling_has_no_spread() -> None:
    """Nothing was looked for beyond 1e-10, and a proof was told of the whole range."""
    axis = one([0.3, 0.1 + 0.2] * 8, Feature(min=0, max=5)).axes[0]
    assert axis.unit == 1.0


@pytest.mark.parametrize(
    ("step", "low", "most"),
    [(0.1, 0.0, 0.3), (0.1, -0.7, 0.1), (0.25, -0.7, -0.45), (0.1, 3 * 0.1, 0.9), (0.1, 6 * 0.1, 7 * 0.1),
     (0.01, 1e9 + 0.1, 1e9 + 0.5)],
)  # fmt: skip
def test_the_places_of_a_grid_are_spelled_inside_its_range(step: float, low: float, most: float) -> None:
    """From data made as k * .1 the lowest place was refused, and rows certified that it lets pass."""
    axis = one([low, most], Feature(min=low, max=most, step=step)).axes[0]
    places = axis.spelled(low + step * np.arange(round((most - low) / step) + 1))
    assert low <= places[0] <= places[-1] <= most
    assert np.isfinite(axis.costs(low, places[1:])).all()
    assert np.isfinite(axis.costs(most, places[:-1])).all()


def test_a_time_cannot_be_moved() -> None:
    with pytest.raises(CouldNotLook, match="is a time"):
        one([1, 2], Feature(), "time")


def test_the_price_told_by_values_is_the_price_of_the_choice_and_inf_for_a_change_that_is_not_permitted() -> None:
    _, space, _ = spaces(1)
    ids, j, k = np.nonzero(np.isfinite(space.costs))
    choice = space.keep(len(ids))
    choice[np.arange(len(ids)), j] = k
    assert space.price(ids, space.build(ids, choice)) == pytest.approx(space.cost(ids, choice))
    rows = space.rows
    for name, value in (("age", 19), ("amount", 99), ("shop", "z"), ("hour", 3)):
        place = rows.schema.get_field_index(name)
        column = pa.array([value] * rows.num_rows, rows.schema.field(place).type)
        changed = rows.set_column(place, rows.schema.field(place), column)
        assert np.isinf(space.price(np.arange(space.size), changed)).all(), name


def test_single_moves_that_break_a_relation_are_not_possible() -> None:
    _, space, _ = spaces(2, ("amount + hour < 12", "shop != 'b' or claims == 'none'"))
    can = space.possible()
    ids, j, k = np.nonzero(np.isfinite(space.costs))
    choice = space.keep(len(ids))
    choice[np.arange(len(ids)), j] = k
    assert (can[ids, j, k] == space.valid(space.build(ids, choice))).all()
    assert 0 < can.sum() < np.isfinite(space.costs).sum()


def reach(feature: Feature, budget: float, values: list[Any] | None = None, kind: str = "number") -> Any:
    rows = pa.table({"x": values or np.random.default_rng(0).normal(10, 4, 400).tolist()})
    (found,) = reaches(rows, Contract(features={"x": feature}), rows, {"x": kind}, ("x",), budget)
    return found


def test_what_a_budget_buys_of_a_number() -> None:
    assert reach(Feature(), 3).price == pytest.approx(1.0)
    assert reach(Feature(), 3).distance == pytest.approx(12, rel=0.1)
    assert reach(Feature(scale=1e-6), 3).price == pytest.approx(4e6, rel=0.1)
    assert reach(Feature(mutable=False), 3).moves == "no"
    assert reach(Feature(direction="up"), 3).moves == "up only"
    assert reach(Feature(cost=0.001), 3).distance == np.inf


def test_what_a_budget_buys_of_a_category() -> None:
    words = ["a", "b", "c", "a"]
    assert reach(Feature(), 1, words, "category").distance == 1
    assert reach(Feature(cost=2), 1, words, "category").distance == 0
    assert reach(Feature(order=("a", "b", "c")), 1, words, "category").distance == 1
    assert reach(Feature(order=("a", "b", "c")), 2, words, "category").distance == np.inf
    assert reach(Feature(), 1, [True, False], "boolean").unit == "change"


def test_fine_candidates_go_down_to_the_columns_own_resolution_and_keep_the_range() -> None:
    cents = np.random.default_rng(0).permutation(np.arange(100_000)[:3000] * 7).astype(float) / 100
    space = one(cents[:5].tolist(), Feature(min=0, max=300), reference=cents.tolist())
    ids, _, k = np.nonzero(space.fine & np.isfinite(space.costs))
    sizes = np.abs(space.axes[0].codes[ids, k] - cents[ids])
    for row in range(5):
        assert 0.07 * (1 - 1e-6) <= sizes[ids == row].min() < 0.28  # the data differ by 7 cents at least
    assert space.fine.any()
    assert np.isinf(space.usual()[space.fine]).all()
    smooth = np.random.default_rng(0).normal(size=400).tolist()
    least = min(abs(v - smooth[0]) for r, _, v in written(one(smooth, Feature())) if r == 0)
    assert 1e-7 < least < 1e-3


def test_a_small_grid_has_no_fine_candidates() -> None:
    assert not one([1, 2, 9], Feature(integer=True), "integer").fine.any()


def test_numbers_of_the_same_row_are_candidates_where_the_range_permits() -> None:
    rng = np.random.default_rng(0)
    rows = pa.table({"x": rng.normal(size=50), "near": rng.normal(size=50), "far": rng.normal(size=50) + 1e6})
    contract = Contract(
        features={"x": Feature(min=-9, max=9), "near": Feature(mutable=False), "far": Feature(mutable=False)}
    )
    space = Space(rows, contract, rows, dict.fromkeys(rows.column_names, "number"), ("x", "near", "far"))
    codes = np.where(np.isfinite(space.costs[:, 0]), space.axes[0].codes, np.nan)
    assert (codes == np.array(rows.column("near"))[:, None]).any(axis=1).all()
    assert not (codes == np.array(rows.column("far"))[:, None]).any()
