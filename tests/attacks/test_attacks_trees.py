"""The white-box attack on trees against oracles: every cell tried, Veritas, and a mixed-integer program."""

from __future__ import annotations

import itertools
from copy import copy
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trees_tools import Model, brute, grown, matrix, space, table

from assay.adapters.ensembles.trees import Trees
from assay.attacks.space import Norm, Space
from assay.attacks.trees.attack import attack_trees
from assay.attacks.trees.leaves import last_left
from assay.attacks.trees.planted import refuse_blind
from assay.attacks.trees.whitebox import Nearest, Whitebox
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1", "cost")


def caught(model: Model, rows: int, seed: int, **options: Any) -> Any:
    drawn = table(model.trees(), 400, seed, **options)
    flags = model.flagged(drawn)
    return drawn.filter(pa.array(flags)).slice(0, rows), drawn.filter(pa.array(~flags))


def agrees(model: Model, where: Any, found: Nearest, norm: Norm) -> int:
    """How many rows were looked at: each has the oracle's distance, a changed row that passes, and a bound below."""
    changed = where.moved(np.arange(where.size), found.codes)
    passes = ~model.flagged(changed)
    for row in range(where.size):
        exact = brute(model, where, row, norm)
        assert found.distance[row] == pytest.approx(exact, rel=1e-5, abs=3e-7), (row, found.distance[row], exact)
        assert found.bound[row] <= exact * (1 + 1e-9)
        if np.isfinite(exact):
            assert passes[row]
            assert where.price(np.array([row]), changed.slice(row, 1), norm)[0] == pytest.approx(
                exact, rel=1e-5, abs=3e-7
            )
    return int(where.size)


def test_a_value_that_is_rounded_onto_a_border_breaks_no_certificate() -> None:
    """A model of float32 reads 0.1 as its border, which lies a little above: nothing is certified for 0.1."""
    border = float(np.float32(0.1))
    nodes = {
        "feature": [0, -1, -1], "threshold": [border, 0, 0], "left": [1, 0, 0], "right": [2, 0, 0],
        "missing_left": [True, False, False], "value": [0.0, 1.0, 0.0], "roots": [0],
    }  # fmt: skip
    held = {name: np.array(values) for name, values in nodes.items()}
    trees = Trees(("x0",), matrix(("x0",), {}), held, strict=True, single=True)
    rows = pa.table({"x0": [0.0]})
    assert Model(trees).flagged(rows)[0]
    assert not Model(trees).flagged(pa.table({"x0": [0.1]}))[0]
    found = Whitebox(trees, space(trees, rows, {"x0": Feature()}), "linf", 0.5, Model(trees)).run(0.1)
    assert found.bound[0] < 0.1
    assert found.bound[0] > 0.0999


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("single", [True, False])
def test_below_one_step_of_a_grid_nothing_can_be(norm: Norm, single: bool) -> None:
    """XGBoost's borders lie at whole numbers: a row at its border is a whole step from what passes, not none."""
    trees = stump(3.0, strict=True, single=single)
    where = space(trees, pa.table({"x0": [3.0]}), {"x0": Feature(integer=True, min=0, max=9, scale=1.0)})
    for budget, verdict in ((0.99, "certified"), (1.01, "evaded")):
        found = Whitebox(trees, where, norm, 0.5, Model(trees)).run(budget)
        assert found.distance[0] == 1.0
        assert found.bound[0] >= 0.99
        assert (found.distance[0] <= budget) == (verdict == "evaded")


def stump(border: float, **options: Any) -> Trees:
    """One split at `border`: what goes left passes."""
    nodes = {
        "feature": [0, -1, -1], "threshold": [border, 0, 0], "left": [1, 0, 0], "right": [2, 0, 0],
        "missing_left": [True, False, False], "value": [0.0, 0.0, 1.0], "roots": [0],
    }  # fmt: skip
    held = {name: np.array(values) for name, values in nodes.items()}
    return Trees(("x0",), matrix(("x0",), {}), held, **options)


@settings(max_examples=200)
@given(threshold=st.floats(width=64, allow_nan=False), strict=st.booleans())
@example(threshold=0.0, strict=True)
@example(threshold=7e-46, strict=False)
@example(threshold=float(np.finfo(np.float32).max), strict=True)
@example(threshold=16777217.0, strict=False)
def test_the_last_number_that_goes_left_is_told_before_it_is_rounded(threshold: float, strict: bool) -> None:
    last = last_left(np.array([threshold]), strict=strict)
    beside = np.array([last[0], np.nextafter(last[0], -np.inf), np.nextafter(last[0], np.inf)])
    with np.errstate(over="ignore"):
        short = beside.astype(np.float32).astype(np.float64)
    left = short < threshold if strict else short <= threshold
    if np.isfinite(last[0]):
        assert left.tolist() == [True, True, False]
    else:  # all that a float32 can hold go one way
        most = float(np.finfo(np.float32).max)
        ends = np.array([-most, most])
        assert (ends < threshold if strict else ends <= threshold).tolist() == [last[0] > 0] * 2


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("strict", [True, False])
def test_whole_numbers_that_a_float32_cannot_tell_apart_break_no_certificate(norm: Norm, strict: bool) -> None:
    """Seconds since 1970 are read to the next 128: what passes lies up to 64 of them nearer than the border."""
    trees = stump(1_500_001_024.0, strict=strict, single=True)
    rows = pa.table({"x0": pa.array([1_500_001_200, 1_500_001_900])})
    where = space(trees, rows, {"x0": Feature(integer=True, min=1_500_000_000, max=1_500_003_000, scale=1.0)})
    found = Whitebox(trees, where, norm, 0.5, Model(trees)).run(np.inf)
    every = pa.table({"x0": pa.array(np.arange(1_500_000_000, 1_500_003_000))})
    passing = every.filter(pa.array(~Model(trees).flagged(every)))
    for row in range(2):
        exact = where.price(np.full(passing.num_rows, row), passing, norm).min()
        assert exact < (where.price(np.array([row]), pa.table({"x0": [1_500_001_024]}), norm)[0] if not strict else 1e9)
        assert found.distance[row] == exact
        assert exact * (1 - 1e-6) <= found.bound[row] <= exact


def test_a_place_of_tenths_is_what_a_table_writes_for_it() -> None:
    """19 times 0.1 is not 1.9, and a border of the model may be the 1.9 of its data."""
    trees = stump(1.9)
    where = space(trees, pa.table({"x0": [2.6]}), {"x0": Feature(min=0.0, max=10.0, step=0.1, scale=1.0)})
    found = Whitebox(trees, where, "linf", 0.5, Model(trees)).run(np.inf)
    assert found.distance[0] == pytest.approx(0.7)
    assert found.bound[0] <= 0.7000000000000002
    assert where.moved(np.array([0]), found.codes).column("x0").to_pylist() == [1.9]


@pytest.mark.parametrize("least", [0.3, 3 * 0.1], ids=["written", "computed"])
def test_a_grid_that_starts_at_a_computed_number_has_the_places_that_people_write(least: float) -> None:
    """The table's least value is 3 * .1; the border of the model is another table's 17.7."""
    trees = stump(17.7)
    rows = pa.table({"x0": [19.1, 3 * 0.1]})
    found = Whitebox(
        trees, space(trees, rows, {"x0": Feature(min=least, max=30.0, step=0.1, scale=1.0)}), "linf", 0.5, Model(trees)
    ).run(np.inf)
    assert found.distance[0] == pytest.approx(1.4)
    assert found.bound[0] <= 1.4 + 1e-12


def test_places_of_steps_that_are_stored_as_float32_are_refused() -> None:
    """There 181.7 is 181.6999969, which a model of doubles sends elsewhere than the 181.7 that was asked."""
    stored = (np.arange(0, 300) * 0.1).astype(np.float32).astype(float)
    feature = {"x0": Feature(min=0.0, max=30.0, step=0.1)}
    with pytest.raises(CouldNotLook, match="x0 is stored as float32"):
        space(stump(1.9), pa.table({"x0": stored}), feature)
    assert space(stump(1.9), pa.table({"x0": np.arange(0, 300) * 0.1}), feature).size == 300
    assert space(stump(1.9), pa.table({"x0": np.arange(0, 30) * 1.0}), feature).size == 30


@pytest.mark.parametrize("border", [1.5, 2.2, 2.75, 3.0])
def test_whole_numbers_of_steps_that_are_not_move_to_whole_places(border: float) -> None:
    trees = stump(border)
    where = space(trees, pa.table({"x0": [6, 7]}), {"x0": Feature(min=0, max=9, step=0.5, scale=1.0)})
    where.axes[0].integer = True
    found = Whitebox(trees, where, "linf", 0.5, Model(trees)).run(np.inf)
    exact = np.array([6.0, 7.0]) - np.floor(border)
    assert found.distance.tolist() == exact.tolist()
    assert (found.bound <= exact).all()
    assert (found.bound > exact * (1 - 1e-6)).all()


@pytest.mark.parametrize("unordered", [False, True])
def test_a_sum_whose_order_nobody_knows_is_no_proof_and_no_evasion(unordered: bool) -> None:
    """What one thread answers within rounding of the threshold says nothing of a machine that adds with several."""
    trees = stump(0.5, short=True, unordered=unordered)
    model = Model(trees, 1e-9)  # what goes left scores 0, a hair below
    found = Whitebox(trees, space(trees, pa.table({"x0": [0.8]}), {"x0": Feature()}), "linf", 1e-9, model).run(1.0)
    assert np.isfinite(found.distance[0]) != unordered
    assert (found.bound[0] > 0.29) != unordered


@pytest.mark.parametrize("threshold", [1.0, 1 - 1e-9, 1e-12])
def test_a_threshold_where_scores_round_to_an_end_is_refused(threshold: float) -> None:
    trees = stump(0.5, link="logistic", single=True)
    where = space(trees, pa.table({"x0": [0.8]}), {"x0": Feature()})
    with pytest.raises(CouldNotLook, match="round to 0 or 1"):
        Whitebox(trees, where, "linf", threshold)


@pytest.mark.parametrize("norm", ["linf", *(pytest.param(n, marks=pytest.mark.heavy) for n in ("l1", "l2", "cost"))])
@settings(max_examples=4)
@given(seed=st.integers(0, 10_000), strict=st.booleans(), single=st.booleans())
def test_it_is_as_near_as_the_nearest_of_all_cells(norm: Norm, seed: int, strict: bool, single: bool) -> None:
    trees = grown(seed, strict=strict, single=single)
    model = Model(trees)
    rows, _ = caught(model, 2, seed)
    if rows.num_rows:
        where = space(trees, rows)
        assert agrees(model, where, Whitebox(trees, where, norm, 0.5).run(search=1e7), norm) == rows.num_rows


ON_GRID: dict[str, tuple[Feature, list[float], list[float]]] = {
    # What LightGBM writes for 0, XGBoost's histograms, whole numbers themselves, and a hair on either side.
    "integers": (
        Feature(min=-2, max=3, integer=True), [-2.0, -1, 0, 1, 2, 3],
        [1.0000000180025095e-35, -1.0000000180025095e-35, 0.0, 1.0, -1.0, 2.0, 1 - 1e-7, 1 + 1e-7, 0.5, 2.5],
    ),
    "tenths": (
        # Three tenths are 0.3 in a CSV, and 0.1 * 3, which is another number, where they are counted.
        Feature(min=0.0, max=0.6, step=0.1), [0.0, 0.1, 0.2, 0.3, 0.1 * 3, 0.4, 0.5, 0.6],
        [0.1, 0.2, 0.1 * 3, 0.3, *(float(np.float32(t)) for t in (0.3, 0.1)), 0.5, 0.45, float(np.nextafter(0.4, 1))],
    ),
    "flags": (Feature(min=0, max=1, integer=True), [0.0, 1.0], [1.0000000180025095e-35, 0.0, 0.5, 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ON_GRID)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), strict=st.booleans(), single=st.booleans())
def test_a_border_at_a_place_of_the_grid_breaks_no_certificate(
    kind: str, norm: Norm, seed: int, strict: bool, single: bool
) -> None:
    feature, places, borders = ON_GRID[kind]
    rng = np.random.default_rng(seed)
    trees = grown(seed, strict=strict, single=single)
    inner = trees.feature >= 0
    trees.threshold[inner] = rng.choice(borders, int(inner.sum()))
    model = Model(trees)
    every = pa.table(dict(zip(trees.columns, np.array(list(itertools.product(places, repeat=3))).T, strict=True)))
    flags = model.flagged(every)
    rows = every.take(pa.array(rng.permutation(np.flatnonzero(flags))[:3]))
    if not rows.num_rows:
        return
    where = space(trees, rows, dict.fromkeys(trees.columns, feature))
    passing = every.filter(~flags)
    found = Whitebox(trees, where, norm, 0.5, model).run(search=1e7)
    for row in range(rows.num_rows):
        far = where.price(np.full(passing.num_rows, row), passing, norm)
        exact = float(far.min(initial=np.inf))
        assert found.bound[row] <= exact * (1 + 1e-9)
        assert found.distance[row] == pytest.approx(exact, rel=1e-6, abs=1e-9)
    there = np.flatnonzero(np.isfinite(found.distance))
    changed = where.moved(there, found.codes[there])
    assert not model.flagged(changed).any()
    assert np.isfinite(where.price(there, changed, norm)).all()


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_it_is_exact_under_every_kind_of_rule(norm: Norm, seed: int) -> None:
    trees = grown(seed, features=4, levels=5)
    features = {
        "x0": Feature(min=0.1, max=0.8, step=0.1, cost=2.0),
        "x1": Feature(direction="up", max=0.9, scale=0.5),
        "x2": Feature(mutable=False),
        "x3": Feature(categories=tuple("abcde"), cost=0.3),
    }
    model = Model(trees)
    rows, _ = caught(model, 3, seed)
    if rows.num_rows:
        where = space(trees, rows, features)
        assert agrees(model, where, Whitebox(trees, where, norm, 0.5).run(search=1e7), norm) == rows.num_rows


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), count=st.integers(4, 10))
def test_a_score_at_the_threshold_is_put_to_the_model(seed: int, count: int) -> None:
    """As in a forest: half of the votes is flagged, whatever the order in which they are added up."""
    trees = grown(seed, count=count, depth=2, votes=True)
    model = Model(trees)
    rows, _ = caught(model, 3, seed)
    if rows.num_rows:
        where = space(trees, rows)
        found = Whitebox(trees, where, "linf", 0.5, model).run(search=1e7)
        assert agrees(model, where, found, "linf") == rows.num_rows
        exact = found.bound >= found.distance * (1 - 1e-6) - 1e-6
        assert exact.all(), "ties do not leave a row undecided"


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_missing_values_stay_and_go_where_the_trees_send_them(seed: int) -> None:
    trees = grown(seed, features=3)
    model = Model(trees)
    rows, _ = caught(model, 4, seed, holes=0.4)
    if rows.num_rows:
        where = space(trees, rows)
        assert agrees(model, where, Whitebox(trees, where, "linf", 0.5).run(search=1e7), "linf") == rows.num_rows


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_a_relation_is_never_broken_and_bounds_hold_under_it(seed: int) -> None:
    trees = grown(seed)
    model = Model(trees)
    rows, _ = caught(model, 6, seed)
    keeps = pa.array(np.asarray(rows.column("x0")) <= np.asarray(rows.column("x1")))
    rows = rows.filter(keeps)
    if not rows.num_rows:
        return
    where = space(trees, rows, {name: Feature(min=0, max=1) for name in trees.columns}, constraints=("x0 <= x1",))
    found = Whitebox(trees, where, "linf", 0.5).run()
    assert "relations bind" in refuse_blind(trees, where, "linf", 0.5, np.inf, found, 0), (
        "that none was planted is said"
    )
    there = np.flatnonzero(np.isfinite(found.distance))
    changed = where.moved(there, found.codes[there])
    assert where.valid(changed).all()
    assert not model.flagged(changed).any()
    for row in range(where.size):
        exact = brute(model, where, row, "linf")  # over the cells' nearest values: an upper bound of the exact
        assert found.bound[row] <= exact * (1 + 1e-9)


@pytest.mark.parametrize("norm", ["l1", "l2", "cost"])
def test_no_single_change_that_passes_is_cheaper_than_what_is_found(norm: Norm) -> None:
    """However little work is left: descents take what gains most for its price, and went by the one that is enough."""
    singles = 0
    for seed in range(12):
        trees = grown(seed, features=5, count=40, depth=4, levels=6)
        model = Model(trees)
        rows, _ = caught(model, 12, seed)
        if not rows.num_rows:
            continue
        where = space(trees, rows)
        found = Whitebox(trees, where, norm, 0.5).run(search=1.0, proof=0.0)
        for row in range(where.size):
            least = np.inf
            for a in range(len(where.axes)):
                alone = copy(where)
                alone.axes = [where.axes[a]]
                least = min(least, brute(model, alone, row, norm))
            singles += np.isfinite(least)
            assert found.distance[row] <= least * (1 + 1e-4)  # borders are told to the width of a float32
    assert singles > 20


@pytest.mark.parametrize("norm", NORMS)
def test_a_budget_is_certified_or_evaded(norm: Norm) -> None:
    trees = grown(3, features=4, count=20, depth=4)
    model = Model(trees)
    rows, passing = caught(model, 20, 5)
    where = space(trees, rows)
    exact = Whitebox(trees, where, norm, 0.5).run(search=1e8).distance
    budget = float(np.median(exact))
    found = attack_trees(model, where, passing, norm, budget)
    verdicts = np.array(found.verdicts(budget))
    assert (verdicts != "unknown").mean() >= 0.9
    assert not (exact[verdicts == "certified"] < budget * (1 - 1e-6)).any()
    assert (exact[verdicts == "evaded"] <= budget * (1 + 1e-6)).all()


def test_veritas_finds_nothing_nearer() -> None:
    veritas = pytest.importorskip("veritas", reason="dtai-veritas is not installed")
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    from sklearn.datasets import make_classification

    from assay.adapters.ensembles.xgboost_trees import xgboost_trees
    from assay.adapters.xgboost_model import sound

    X, y = make_classification(1500, 10, n_informative=6, random_state=0)
    X = ((X - X.min(0)) / (X.max(0) - X.min(0))).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=40, max_depth=5, n_jobs=1).fit(X, y)
    learner, _ = sound(bytes(model.get_booster().save_raw("json")), "m.json")
    names = tuple(f"x{j}" for j in range(10))
    trees = xgboost_trees(
        learner, "m.json", names, lambda t: np.column_stack([t.column(n) for n in names]), {}, positive=1
    )
    rows = X[(model.predict(X) == 1)][:12]
    data = pa.table({n: pa.array(rows[:, j].astype(float)) for j, n in enumerate(names)})
    found = Whitebox(trees, space(trees, data), "linf", 0.5).run(search=1e7)
    ensemble = veritas.get_addtree(model, silent=True)
    for row, mine in zip(rows, found.distance, strict=True):
        search = veritas.VeritasRobustnessSearch(row, 0.6, ensemble, None, max_time=10, silent=True, num_steps=30)
        theirs = search.search()[2]
        assert mine == pytest.approx(theirs, rel=2e-3)


def test_a_mixed_integer_program_finds_nothing_nearer_in_l1() -> None:
    from scipy.optimize import LinearConstraint, milp
    from scipy.sparse import lil_matrix

    trees = grown(11, features=5, count=12, depth=3)
    model = Model(trees)
    rows, _ = caught(model, 5, 2)
    where = space(trees, rows)
    attack = Whitebox(trees, where, "l1", 0.5)
    found = attack.run(search=1e7)
    leaves, target = attack.leaves, attack.rows.target
    block = attack.rows.block(np.arange(where.size))
    for row in range(where.size):
        # One binary for each cell of each column and each leaf; a leaf needs a cell of its interval in every column.
        sizes = [int(n) for n in leaves.size]
        start = np.concatenate([[0], np.cumsum(sizes)])
        count = int(start[-1]) + len(leaves.tree)
        cost = np.zeros(count)
        bound = np.ones(count)
        for j, column in enumerate(block):
            part = column.parts[row]
            cost[start[j] : start[j + 1]] = np.where(np.isfinite(part), part, 0)
            bound[start[j] : start[j + 1]] = np.isfinite(part)
        trees_count = int(leaves.tree[-1]) + 1
        a = lil_matrix((len(sizes) + trees_count + len(leaves.leaf) + 1, count))
        low, high = np.zeros(a.shape[0]), np.ones(a.shape[0])
        for j in range(len(sizes)):
            a[j, start[j] : start[j + 1]] = 1
            low[j] = 1
        for t in range(trees_count):
            a[len(sizes) + t, start[-1] + np.flatnonzero(leaves.tree == t)] = 1
            low[len(sizes) + t] = 1
        for c, (leaf, column) in enumerate(zip(leaves.leaf, leaves.column, strict=True)):
            at = len(sizes) + trees_count + c
            a[at, start[-1] + leaf] = 1
            a[at, start[column] + leaves.low[c] : start[column] + leaves.high[c] + 1] = -1
            low[at], high[at] = -np.inf, 0
        a[a.shape[0] - 1, start[-1] :] = leaves.value
        low[-1], high[-1] = -np.inf, target
        solved = milp(
            cost, constraints=LinearConstraint(a.tocsr(), low, high), integrality=np.ones(count), bounds=(0, bound)
        )
        assert solved.success
        assert found.distance[row] == pytest.approx(solved.fun, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("kind", ON_GRID)
def test_what_is_missing_stays_missing_on_a_grid_too(kind: str) -> None:
    feature, places, borders = ON_GRID[kind]
    seen = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        trees = grown(seed)
        inner = trees.feature >= 0
        trees.threshold[inner] = rng.choice(borders, int(inner.sum()))
        model = Model(trees)
        columns = {n: rng.choice(places, 60).tolist() for n in trees.columns}
        columns["x0"] = [None if i % 2 else v for i, v in enumerate(columns["x0"])]
        rows = pa.table({n: pa.array(v, pa.float64()) for n, v in columns.items()})
        rows = rows.filter(pa.array(model.flagged(rows))).slice(0, 8)
        if not rows.num_rows:
            continue
        where = space(trees, rows, dict.fromkeys(trees.columns, feature))
        found = Whitebox(trees, where, "linf", 0.5, model).run()
        missing = np.array(rows.column("x0").is_null())
        seen += int(missing.sum())
        x0 = [axis.name for axis in where.axes].index("x0")
        assert np.isnan(found.codes[missing, x0]).all()
        assert (found.distance > 0).all()
    assert seen


def test_a_row_in_which_nothing_can_move_is_not_evaded() -> None:
    trees = grown(3, features=3, count=5, votes=True)  # a mean of votes: the margin at the threshold is above 0
    model = Model(trees)
    rows = table(trees, 60, 3)
    held = {name: Feature(min=-1.0, max=2.0, mutable=name == "x0") for name in trees.columns}
    x0 = pa.array([None if i % 2 else v for i, v in enumerate(rows.column("x0").to_pylist())], pa.float64())
    rows = rows.set_column(0, "x0", x0)
    rows = rows.filter(pa.array(model.flagged(rows))).slice(0, 20)
    missing = np.array(rows.column("x0").is_null())
    assert missing.any()
    assert not missing.all()
    found = Whitebox(trees, space(trees, rows, held), "linf", 0.5, model).run(0.1)
    assert np.isinf(found.distance[missing]).all()


@pytest.mark.parametrize("budget", [np.inf, 0.5], ids=["evaded", "nothing was evaded"])
def test_an_attack_that_misses_a_planted_hole_is_refused(monkeypatch: pytest.MonkeyPatch, budget: float) -> None:
    trees = grown(5, features=4, count=10)
    model = Model(trees)
    rows, _ = caught(model, 8, 1)
    where = space(trees, rows)
    found = Whitebox(trees, where, "linf", 0.5).run()
    if np.isfinite(budget):  # a run that found nothing must have tried its attack, too
        found = Nearest(np.full_like(found.codes, np.nan), np.full(8, np.inf), np.full(8, budget))
    assert refuse_blind(trees, where, "linf", 0.5, budget, found, 0) == "", "holes were planted, and found"

    def blind(self: Whitebox, budget: float = np.inf, **_: Any) -> Nearest:
        return Nearest(found.codes, np.minimum(found.distance, 1e3) * 10, found.bound)

    monkeypatch.setattr(Whitebox, "run", blind)
    with pytest.raises(CouldNotLook, match="planted in the trees"):
        refuse_blind(trees, where, "linf", 0.5, budget, found, 0)


def test_trees_that_are_not_the_model_are_refused() -> None:
    trees, other = grown(5), grown(6)
    model = Model(trees)
    rows, passing = caught(model, 8, 1)
    model.trees = lambda: other  # type: ignore[method-assign]
    with pytest.raises(CouldNotLook, match=r"scores .* rows differently"):
        attack_trees(model, space(trees, rows), passing, "linf", 1.0)


def test_nothing_is_found_where_one_direction_forbids_it() -> None:
    """A model that flags small x0 and may only have it lowered: proved, at every distance."""
    from trees_tools import matrix

    from assay.adapters.ensembles.nodes import Nodes
    from assay.adapters.ensembles.trees import Trees

    nodes = Nodes()
    nodes.tree([nodes.split(0, 0.5, 1, 2, False), nodes.leaf(1.0), nodes.leaf(-1.0)])
    trees = Trees(("x0",), matrix(("x0",), {}), nodes.arrays(), link="logistic")
    rows = pa.table({"x0": [0.2, 0.4]})
    where = space(trees, rows, {"x0": Feature(direction="down", min=0, max=1)})
    found = Whitebox(trees, where, "cost", 0.5).run()
    assert np.isinf(found.distance).all()
    assert np.isinf(found.bound).all()


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("border", [-np.inf, np.inf, float(np.finfo(np.float64).max)], ids=["below", "above", "most"])
@pytest.mark.parametrize("norm", NORMS)
def test_a_border_that_no_number_crosses_costs_no_certificate(norm: Norm, border: float, single: bool) -> None:
    """Its distance from what can be written is no number, or beyond all, which once left every bound at 0."""
    nodes = {
        "feature": [0, -1, 1, -1, -1], "threshold": [border, 0, 0.5, 0, 0], "left": [1, 0, 3, 0, 0],
        "right": [2, 0, 4, 0, 0], "missing_left": [True] * 5, "value": [0.0, -2.0, 0.0, -2.0, 2.0], "roots": [0],
    }  # fmt: skip
    if border > 0:
        nodes["left"][0], nodes["right"][0] = 2, 1
    held = {name: np.array(values) for name, values in nodes.items()}
    trees = Trees(("x0", "x1"), matrix(("x0", "x1"), {}), held, link="logistic", single=single)
    model, rows = Model(trees), pa.table({"x0": [0.3, 0.9], "x1": [0.8, 0.6]})
    assert model.flagged(rows).all()
    where = space(trees, rows, {"x0": Feature(scale=1.0), "x1": Feature(scale=1.0)})
    found = Whitebox(trees, where, norm, 0.5, model).run(np.inf)
    units = np.array([a.scale if norm == "cost" else 1.0 for a in where.axes])[1]
    assert found.distance * units == pytest.approx([0.3, 0.1], rel=1e-5)
    assert found.bound * units == pytest.approx([0.3, 0.1], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("listed", [(), tuple("abcdef")], ids=["in the data", "not listed"])
@pytest.mark.parametrize("norm", NORMS)
def test_a_level_that_the_model_takes_for_missing_is_never_proved_about(norm: Norm, listed: tuple[str, ...]) -> None:
    """A word that no training row held, in a row or in a table: trees send it where they send a gap."""
    better = nearer = 0
    for seed in range(4):
        trees = grown(seed, levels=6, count=8 if seed % 2 else 2)  # of few trees some words are in no split's set
        model = Model(trees)
        rows, _ = caught(model, 6, seed)
        if not rows.num_rows:
            continue
        words = ["zz" if i % 2 else w for i, w in enumerate(rows.column("x2").to_pylist())]
        rows = rows.set_column(2, "x2", pa.array(words))
        rows = rows.filter(pa.array(model.flagged(rows)))
        known = pa.concat_tables([rows, table(trees, 200, 99)])
        facts = {n: Feature(categories=listed if n == "x2" else ()) for n in trees.columns}
        kinds = {"x0": "number", "x1": "number", "x2": "category"}
        where = Space(rows, Contract(features=facts), known, kinds, trees.columns)
        found = Whitebox(trees, where, norm, 0.5).run(search=1e6)
        for row in range(where.size):
            exact = brute(model, where, row, norm)
            assert found.bound[row] <= exact * (1 + 1e-9)
            assert found.distance[row] >= exact * (1 - 1e-9)
            better += found.bound[row] > 0
            nearer += exact < found.distance[row] * (1 - 1e-6)
        there = np.flatnonzero(np.isfinite(found.distance))
        changed = where.moved(there, found.codes[there])
        assert not model.flagged(changed).any()
        assert where.price(there, changed, norm) == pytest.approx(found.distance[there], rel=1e-6, abs=1e-9)
        attack_trees(model, where, caught(model, 1, seed)[1], norm, np.inf)  # its sanity test too
    assert better > 5, "proofs are kept as far as they hold"
    assert nearer > 0, "and what cells do not know would break them"
