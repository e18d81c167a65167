"""One-hot columns moved as the category that they tell, against every permitted row tried on the real model."""

from __future__ import annotations

import itertools
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks_tools import served, weights
from trees_tools import grown

from assay.adapters.lightgbm_predictor import LightgbmPredictor
from assay.adapters.predictor_base import BasePredictor
from assay.attacks.one_hot import Fold
from assay.attacks.relations import attackable, relations, satisfied, telling
from assay.attacks.space import Norm, Space
from assay.attacks.strike import Asked, struck
from assay.core.errors import CouldNotLook
from assay.core.subject import Access, Contract, Feature, Kind, Subject

HOUSE = ("house_rent", "house_own", "house_free")
SIZE = ("size_medium", "size_large")
INPUTS = ("amount", *HOUSE, "age", *SIZE)
KINDS = dict.fromkeys(INPUTS, "integer")
FEATURES = {
    "amount": Feature(min=0, max=6, integer=True, scale=2),
    "house": Feature(one_hot=HOUSE, cost=1.5, costs={"house_free": None}),
    "age": Feature(mutable=False),
    "size": Feature(one_hot=SIZE, all_zero="small", order=("small", *SIZE), direction="up", cost=0.7),
}
CONTRACT = Contract(features=FEATURES, constraints=("not (house == 'house_own' and size == 'small')",))


def rows(seed: int, count: int = 400, type_: Any = None) -> Any:
    """Rows that keep every relation; the flags are of one Arrow type."""
    rng = np.random.default_rng(seed)
    house, size = rng.integers(0, 3, count), rng.integers(0, 3, count)
    size = np.where((house == 1) & (size == 0), 1, size)
    columns = {"amount": rng.integers(0, 7, count), "age": rng.integers(20, 60, count)}
    flags = {n: house == k for k, n in enumerate(HOUSE)} | {n: size == k for k, n in enumerate(SIZE, 1)}
    columns |= {n: pa.array(v.astype(int)).cast(type_ or pa.int64()) for n, v in flags.items()}
    return pa.table({n: columns[n] for n in INPUTS})


def boosted(seed: int, type_: Any = None) -> LightgbmPredictor:
    table = rows(seed, 800, type_)
    x = np.column_stack([table.column(n).cast(pa.float64()).to_numpy() for n in INPUTS])
    rng = np.random.default_rng(seed)
    y = x @ (rng.normal(size=len(INPUTS)) * [0.4, 2, 2, 2, 0.02, 2, 2])
    y = (y + rng.normal(size=len(y)) * 0.5 > np.median(y)).astype(int)
    ways = {"objective": "binary", "num_leaves": 7, "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}
    made = lgb.train(ways, lgb.Dataset(x, y, feature_name=list(INPUTS)), num_boost_round=25)
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.txt", options={"threshold": 0.5})
    model = LightgbmPredictor(made.model_to_string().encode(), subject)
    model.features = INPUTS
    return model


def network(seed: int) -> Any:
    """A network whose inputs are called as ours are."""
    layers = weights(seed, (len(INPUTS), 6, 1))
    layers[0][0][INPUTS.index("age")] *= 0.01
    layers[-1][1][:] = 0.0
    model = served(layers)
    model.features = INPUTS
    return model


def split(model: Any, table: Any) -> tuple[Any, Any]:
    flags = np.asarray(model.flagged(table))
    return table.filter(pa.array(flags)), table.filter(pa.array(~flags))


def exact(model: Any, row: Any, norm: Norm) -> float:
    """The least distance at which the model lets any permitted row pass, by asking it of all of them."""
    own = row.to_pylist()[0]
    place = next(k for k, n in enumerate(HOUSE) if own[n])
    level = next((k for k, n in enumerate(SIZE, 1) if own[n]), 0)
    made, far = [], []
    for amount, house, size in itertools.product(range(7), range(3), range(level, 3)):
        if (house == 1 and size == 0) or (house == 2 != place):
            continue
        values = {**own, "amount": amount, **dict.fromkeys((*HOUSE, *SIZE), 0), HOUSE[house]: 1}
        values |= {SIZE[size - 1]: 1} if size else {}
        parts = np.array([abs(amount - own["amount"]) / 2, float(house != place), float(size - level)])
        parts = parts * [1, 1.5, 0.7] if norm == "cost" else parts
        made.append(values)
        far.append({"linf": parts.max(), "l2": float(np.sqrt((parts**2).sum()))}.get(norm, float(parts.sum())))
    asked = pa.Table.from_pylist(made, schema=pa.schema([(n, pa.int64()) for n in INPUTS])).cast(row.schema)
    passes = ~np.asarray(model.flagged(asked))
    return float(min((d for d, p in zip(far, passes, strict=True) if p), default=np.inf))


def attacked(model: Any, access: Access, norm: Norm, table: Any, count: int = 15) -> tuple[Any, Any, Any]:
    caught, passing = split(model, table)
    caught = caught.filter(pa.array(attackable(CONTRACT, caught))).slice(0, count)
    against = (CONTRACT, table, KINDS, INPUTS)
    space, found = struck(model, caught, passing, against, Asked(norm, access, np.inf, 300))
    return caught, space, found


@pytest.mark.parametrize("type_", [pa.int64(), pa.bool_(), pa.float32()], ids=str)
@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "cost"])
def test_trees_are_moved_as_little_as_any_permitted_row(norm: Norm, type_: Any) -> None:
    model, table = boosted(1, type_), rows(2, type_=type_)
    caught, space, found = attacked(model, "whitebox", norm, table)
    assert [a.name for a in space.axes if a.levels] == ["house", "size"]
    assert found.table.schema.field("house_own").type == type_
    best = [exact(model, caught.slice(i, 1), norm) for i in range(caught.num_rows)]
    assert np.isfinite(best).any()
    assert found.distance == pytest.approx(best, rel=1e-6)
    assert (found.bound <= np.array(best) * (1 + 1e-9)).all()
    assert satisfied(relations(CONTRACT), found.table).all()
    moved = np.isfinite(found.distance)
    assert not np.asarray(model.flagged(found.table.filter(pa.array(moved)))).any()


@pytest.mark.parametrize("norm", ["linf", "cost"])
def test_networks_are_moved_within_their_bounds(norm: Norm) -> None:
    model, table = network(3), rows(4)
    caught, _, found = attacked(model, "whitebox", norm, table)
    best = np.array([exact(model, caught.slice(i, 1), norm) for i in range(caught.num_rows)])
    assert (found.distance >= best * (1 - 1e-6)).all()
    assert (found.bound <= best * (1 + 1e-6)).all()
    there = np.isfinite(best)
    assert there.sum() >= 5
    assert np.isfinite(found.distance[there]).mean() > 0.8
    assert satisfied(relations(CONTRACT), found.table).all()


@pytest.mark.parametrize("access", ["label", "score"])
@pytest.mark.parametrize("norm", ["l1", "cost"])
def test_by_queries_the_same_moves_are_found(norm: Norm, access: Access) -> None:
    model, table = boosted(5), rows(6)
    caught, _, found = attacked(model, access, norm, table)
    best = np.array([exact(model, caught.slice(i, 1), norm) for i in range(caught.num_rows)])
    assert (found.distance >= best * (1 - 1e-6)).all()
    assert np.isclose(found.distance, best, rtol=1e-6).mean() > 0.9, "a few hundred questions try every permitted row"
    assert satisfied(relations(CONTRACT), found.table).all()


def test_rows_fold_and_unfold() -> None:
    table = rows(7)
    fold = Fold(CONTRACT, table)
    folded = fold.table(table)
    assert folded.column_names == ["amount", "house", "age", "size"]
    assert set(folded.column("size").to_pylist()) == {"small", *SIZE}
    assert fold.unfolded(folded).select(INPUTS).equals(table)
    assert fold.names(INPUTS) == ("amount", "house", "age", "size")
    assert fold.contract.features["size"].order == ("small", *SIZE)
    assert not fold.contract.groups


@pytest.mark.parametrize(("column", "value"), [("house_own", 2), ("house_own", None), ("house_rent", 0)])
def test_a_row_that_tells_no_category_is_not_attacked_and_not_guessed(column: str, value: int | None) -> None:
    table = rows(8).filter(pa.array(np.array(rows(8).column("house_rent")) == 1)).slice(0, 3)
    torn = table.set_column(
        table.column_names.index(column), column, pa.array([value, *table.column(column).to_pylist()[1:]])
    )
    fold = Fold(CONTRACT, torn)
    assert attackable(CONTRACT, torn).tolist() == [False, True, True]
    assert fold.table(torn).column("house").null_count == 1
    assert fold.told(torn).num_rows == 2
    with pytest.raises(CouldNotLook, match="1 rows tell no category of house"):
        fold.unfolded(fold.table(torn))


def test_names_that_cannot_be_are_told() -> None:
    table = rows(9)
    with pytest.raises(CouldNotLook, match="house_own, which is not among the columns"):
        Fold(CONTRACT, table.drop_columns(["house_own"]))
    with pytest.raises(CouldNotLook, match="called as a column of the data is"):
        Fold(Contract(features={"age": Feature(one_hot=HOUSE)}), table)


def test_without_groups_nothing_is_folded() -> None:
    table, model = rows(10), boosted(10)
    fold = Fold(Contract(features={"amount": Feature()}), table)
    assert fold.table(table) is table
    assert fold.unfolded(table) is table
    assert fold.model(model) is model


def test_trees_that_read_a_group_score_the_folded_rows_as_the_model_does() -> None:
    model, table = boosted(11), rows(12)
    fold = Fold(CONTRACT, table)
    folded = fold.model(model)
    trees = folded.trees()
    assert trees.columns == ("amount", "house", "age", "size")
    mine = trees.scores(trees.margins(trees.read(fold.table(table))))
    assert mine == pytest.approx(np.asarray(model.scores(table)), abs=1e-9)
    assert folded.scores(fold.table(table)) == pytest.approx(np.asarray(model.scores(table)))


@given(seed=st.integers(0, 10_000), strict=st.booleans(), single=st.booleans())
def test_folded_trees_answer_as_those_that_they_were(seed: int, strict: bool, single: bool) -> None:
    """Random trees over a group, a number and a category of their own: same margins, whatever the splits ask."""
    trees = grown(seed, features=4, count=5, levels=4, strict=strict, single=single)
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 3, 40)
    raw = pa.table({
        "x0": (one == 0).astype(int), "x1": (one == 1).astype(int), "x2": rng.random(40),
        "x3": rng.choice(list("abcd"), 40),
    })  # fmt: skip
    fold = Fold(Contract(features={"g": Feature(one_hot=("x0", "x1"), all_zero="neither")}), raw)
    folded = fold.trees(trees)
    assert folded.columns == ("g", "x2", "x3")
    assert folded.margins(folded.read(fold.table(raw))) == pytest.approx(trees.margins(trees.read(raw)), abs=1e-12)


def test_a_group_may_not_be_moved_where_it_is_immutable() -> None:
    table = rows(14)
    features = {
        n: Feature(mutable=False, one_hot=f.one_hot, all_zero=f.all_zero) if f.one_hot else f
        for n, f in FEATURES.items()
    }
    contract = Contract(features=features)
    assert not any(contract.columns[n].mutable for n in (*HOUSE, *SIZE))
    fold = Fold(contract, table)
    space = Space(fold.table(table), fold.contract, fold.table(table), fold.kinds(KINDS), fold.names(INPUTS))
    assert [a.name for a in space.axes] == ["amount"]


def test_truth_values_add_up() -> None:
    """`a + b == 1` of truth values is broken by two of them."""
    table = pa.table({"a": [True, True, False], "b": [True, False, False]})
    assert satisfied(relations(Contract(constraints=("a + b == 1",))), table).tolist() == [False, True, False]


def test_a_column_that_is_1_in_no_known_row_can_be_set_all_the_same() -> None:
    """What is listed is permitted: rows that nobody saw are no wall, and a proof must speak of them."""
    model = boosted(24)
    known = rows(16).filter(pa.array(np.array(rows(16).column("house_rent")) == 1))
    caught, passing = split(model, known)
    caught = caught.filter(pa.array(attackable(CONTRACT, caught))).slice(0, 15)
    _, found = struck(model, caught, passing, (CONTRACT, known, KINDS, INPUTS), Asked("l1", "whitebox", np.inf, 1))
    best = [exact(model, caught.slice(i, 1), "l1") for i in range(caught.num_rows)]
    assert found.distance == pytest.approx(best, rel=1e-6)
    assert any(v for v in found.table.column("house_own").to_pylist()), "the nearest change is one that no row shows"


def test_known_rows_that_tell_no_category_still_tell_the_scales() -> None:
    model, table = boosted(17), rows(18)
    torn = table.set_column(table.column_names.index("house_own"), "house_own", pa.array([2] * 390 + [0] * 10))
    caught, passing = split(model, table)
    caught = caught.filter(pa.array(attackable(CONTRACT, caught))).slice(0, 10)
    for known in (table, torn):
        space, _ = struck(model, caught, passing, (CONTRACT, known, KINDS, INPUTS), Asked("cost", "label", 3.0, 50))
        (axis,) = [a for a in space.axes if a.name == "amount"]
        assert (axis.low, axis.high) == (0, 6)
        assert axis.unit == pytest.approx(float(np.array(table.column("amount")).std()))


def test_a_group_that_the_model_reads_in_part_is_moved_whole() -> None:
    """All of the group's columns tell the category, those that the model does not read too."""
    model, table = boosted(19), rows(20)
    names = tuple(n for n in INPUTS if n != "house_own")
    part = FewerInputs(model, names)
    caught, passing = split(part, table)
    caught = caught.filter(pa.array(attackable(CONTRACT, caught))).slice(0, 10)
    _, found = struck(part, caught, passing, (CONTRACT, table, KINDS, names), Asked("l1", "label", np.inf, 300))
    assert satisfied(relations(CONTRACT), found.table).all()
    assert np.isfinite(found.distance).any()


class FewerInputs(BasePredictor):
    """A model that does not look at `house_own`."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__("part")
        self.inner, self.features = model, names

    def _score(self, rows: Any) -> Any:
        whole = rows.append_column("house_own", pa.array(np.zeros(rows.num_rows, dtype=int)))
        return self.inner.scores(whole)


def test_rows_that_only_a_group_tells_apart_are_two() -> None:
    assert telling(CONTRACT, ("amount",)) == ["amount", *HOUSE, *SIZE]
    assert telling(Contract(constraints=("a < b",)), ("x", "a")) == ["x", "a", "b"]
