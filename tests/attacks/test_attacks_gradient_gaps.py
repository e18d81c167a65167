"""Gaps before what is permitted (out of a range, between places), and the places themselves: against HiGHS, by hand."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
optimize = pytest.importorskip("scipy.optimize")

from networks_tools import names, served, space_of, weights  # noqa: E402

from assay.attacks.attacked import confirmed  # noqa: E402
from assay.attacks.boundary.attack import attack_boundary  # noqa: E402
from assay.attacks.boundary.search import Search  # noqa: E402
from assay.attacks.gradient.attack import attack_gradient  # noqa: E402
from assay.attacks.gradient.moves import Moves  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402


def least_by_program(model: Any, space: Space, row: int, norm: str) -> float:
    """The least change of a linear model's row, by HiGHS alone: of every number each end and what lies between."""
    network = model.network(space.rows)
    margin, slope = network.sloped(network.lifted(network.read(space.rows)))
    cost, gain, most, whole, lines = [], [], [], [], []
    for j, axis in enumerate(space.axes):
        x, way = axis.origin[row], -np.sign(slope[row, j])
        price = axis.feature.cost / axis.scale if norm == "cost" else 1.0
        start, step = axis.grid
        places = start + step * np.arange(-60, 61) if step else np.array([axis.low, axis.high])
        inside = places[(places >= axis.low - 1e-9) & (places <= axis.high + 1e-9)]
        ahead = np.sort(((inside - x) * way)[(inside - x) * way > 1e-9])
        if not len(ahead):
            continue
        near = 0.0 if not step and axis.low <= x <= axis.high else ahead[0]
        at = len(cost)
        if step:  # one of the places
            cost, gain = [*cost, *(price * ahead)], [*gain, *(abs(slope[row, j]) * ahead)]
            most, whole = [*most, *np.ones(len(ahead))], [*whole, *np.ones(len(ahead))]
            lines.append((dict.fromkeys(range(at, len(cost)), 1.0), 1.0))
        else:  # over the gap, and on from there
            cost, gain = [*cost, price * near, price], [*gain, abs(slope[row, j]) * near, abs(slope[row, j])]
            most, whole = [*most, 1.0, ahead[-1] - near], [*whole, 1.0, 0.0]
            lines.append(({at + 1: 1.0, at: near - ahead[-1]}, 0.0 if near else ahead[-1]))
    table = np.zeros((len(lines) + 1, len(cost)))
    table[-1] = gain
    for k, (line, _) in enumerate(lines):
        table[k, list(line)] = list(line.values())
    need = margin[row] - network.least(model.threshold)
    limits = optimize.LinearConstraint(table, [*[-np.inf] * len(lines), need], [*(top for _, top in lines), np.inf])
    done = optimize.milp(np.array(cost), constraints=limits, integrality=whole, bounds=optimize.Bounds(0, most))
    return float(done.fun) if done.x is not None else np.inf


@pytest.mark.parametrize("norm", [pytest.param("l1", marks=pytest.mark.heavy), "cost"])
@pytest.mark.parametrize("steps", [(), (0.25, 0.4)], ids=["ranges", "grids"])
@pytest.mark.parametrize("seed", [3, *(pytest.param(s, marks=pytest.mark.heavy) for s in range(8, 20))])
def test_a_linear_model_is_exact_over_gaps_too(norm: Any, steps: tuple[float, ...], seed: int) -> None:
    """Rows outside their range, or between two places, cross the gaps that a program crosses."""
    model, rng = served(weights(seed, (5, 1))), np.random.default_rng(seed)
    contract = {}
    for i, name in enumerate(names(5)):
        wide = float(rng.choice([0.4, 1.0, 3.0]))
        step = {"step": steps[i]} if i < len(steps) else {}
        contract[name] = Feature(min=-wide, max=wide, cost=float(rng.choice([0.5, 1, 3])), **step)
    space, passing = space_of(model, seed, contract, rows=8)
    found = confirmed(model, space, attack_gradient(model, space, passing, norm, np.inf), norm)
    least = np.array([least_by_program(model, space, row, norm) for row in range(8)])
    assert np.array_equal(np.isfinite(found.distance), np.isfinite(least))
    there = np.isfinite(least)
    assert (found.distance[there] <= least[there] * 1.001 + 1e-5).all()
    assert (found.bound[there] <= least[there] * (1 + 1e-6)).all()
    assert (found.bound[there] >= least[there] * 0.998 - 1e-5).all()


def test_gaps_in_l2_are_crossed_as_the_best_choice_of_them_is() -> None:
    """Of two numbers, one over a gap: either alone, or both; each has a closed form of its own."""
    model = served([(np.array([[1.0], [1.0]]), np.array([0.5]))])
    feature = {"x0": Feature(min=-2.0, max=-1.0), "x1": Feature(min=-3.0, max=3.0)}
    rows = pa.table({"x0": [0.0, 0.0], "x1": [0.2, 2.5]})
    space = Space(rows, Contract(features=feature), rows, dict.fromkeys(names(2), "number"), model.features)
    found = attack_gradient(model, space, pa.table({"x0": [-2.0], "x1": [-3.0]}), "l2", np.inf)
    both = np.sqrt(1.5**2 + 1.5**2)  # .5 + 2.5 is to be lowered, in two equal parts
    assert found.distance == pytest.approx([0.7, both], rel=1e-4)
    assert found.bound == pytest.approx([0.7, both], rel=1e-4)


@pytest.mark.parametrize("sizes", [(2, 1), (2, 4, 1)], ids=["linear", "network"])
def test_the_last_place_of_a_grid_is_permitted_however_it_is_counted(sizes: tuple[int, ...]) -> None:
    """Three times .1 is more than .3: the find was dropped, and its row told as never evaded."""
    net = [(np.array([[-10.0], [0.0]]), np.array([2.95]))]
    if len(sizes) > 2:
        net = [
            (np.array([[-10.0, 0, 0, 0], [0.0] * 4]), np.array([2.95, 0, 0, 0])),
            (np.ones((4, 1)), np.array([-0.01])),
        ]
    model = served(net)
    features = {"x0": Feature(min=0.0, max=0.3, step=0.1), "x1": Feature(mutable=False)}
    rows = pa.table({"x0": [0.0, 0.1, 0.2, 0.3] * 5, "x1": [0.0] * 20})
    flags = pa.array(np.asarray(model.flagged(rows)))
    kinds = dict.fromkeys(names(2), "number")
    space = Space(rows.filter(flags), Contract(features=features), rows, kinds, model.features)
    passing = rows.filter(pa.compute.invert(flags))
    for found in (
        attack_gradient(model, space, passing, "linf", np.inf),
        attack_boundary(model, space, passing, "linf", access="label", limit=200, seed=0),
    ):
        found = confirmed(model, space, found, "linf")
        assert found.distance == pytest.approx([0.3, 0.2, 0.1] * 5)
        assert found.table.column("x0").to_pylist() == [0.3] * 15


@pytest.mark.parametrize("norm", ["linf", "l2", pytest.param("l1", marks=pytest.mark.heavy)])
def test_the_first_place_of_a_grid_is_permitted_though_no_decimal_spells_it(norm: Any) -> None:
    """Three times .1 is the least value of the data; rows pass there alone."""
    model = served([(np.array([[10.0], [0.0]]), np.array([-3.5]))])
    rows = pa.table({"x0": [k * 0.1 for k in range(3, 9)] * 3, "x1": [0.0] * 18})
    flags = pa.array(np.asarray(model.flagged(rows)))
    features = {"x0": Feature(step=0.1), "x1": Feature(mutable=False)}
    space = Space(rows.filter(flags), Contract(features=features), rows, dict.fromkeys(names(2), "number"), names(2))
    passing = rows.filter(pa.compute.invert(flags))
    attacks = [attack_gradient(model, space, passing, norm, np.inf)]
    attacks += [attack_boundary(model, space, passing, norm, access=a, limit=100, seed=0) for a in ("label", "score")]
    for found in attacks:
        found = confirmed(model, space, found, norm)
        assert found.distance == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5] * 3)
        assert (found.bound <= found.distance).all()


def test_a_search_by_scores_that_may_ask_nothing_ends_without_a_find() -> None:
    model = served([(np.array([[1.0], [1.0]]), np.array([0.5]))])
    rows = pa.table({"x0": [1.0, 2.0], "x1": [1.0, 2.0]})
    contract = Contract(features=dict.fromkeys(names(2), Feature(min=0, max=3)), constraints=("x0 + x1 > 99",))
    search = Search(model, Space(rows, contract, rows, dict.fromkeys(names(2), "number"), names(2)), rows, "l2",
                    "score", 20, 0)  # fmt: skip
    assert np.isinf(search.run().best).all()


def test_whole_numbers_on_a_grid_of_parts_move_to_its_whole_places() -> None:
    model = served([(np.array([[1.0], [0.0]]), np.array([-0.5]))])
    features = {"x0": Feature(min=0, max=8, step=0.4), "x1": Feature(mutable=False)}
    rows = pa.table({"x0": [0, 2, 4, 8], "x1": [0.0] * 4})
    kinds = {"x0": "integer", "x1": "number"}
    space = Space(rows.slice(1), Contract(features=features), rows, kinds, model.features)
    assert space.axes[0].grid == (0.0, 2.0)
    found = confirmed(model, space, attack_gradient(model, space, rows.slice(0, 1), "linf", np.inf), "linf")
    assert found.distance.tolist() == [2.0, 4.0, 8.0]


def test_a_step_of_which_no_place_is_a_whole_number_permits_none() -> None:
    rows = pa.table({"x0": [0, 2, 4, 8], "x1": [0.0, 1.0, 2.0, 3.0]})

    def space_on(step: float, low: float) -> Space:
        features = {"x0": Feature(min=low, max=8, step=step), "x1": Feature(min=0, max=3)}
        return Space(rows, Contract(features=features), rows, {"x0": "integer", "x1": "number"}, names(2))

    assert [axis.name for axis in space_on(1, 0.5).axes] == ["x1"]
    assert space_on(1.5, 0).axes[0].grid == (0.0, 3.0)
    with pytest.raises(CouldNotLook, match="no regular places"):
        _ = space_on(0.123456789, 0).axes[0].grid


HEAVY = pytest.mark.heavy


@pytest.mark.parametrize("seed", [pytest.param(1, marks=HEAVY), 3, pytest.param(4, marks=HEAVY)])
def test_a_row_between_two_places_stays_there_where_another_number_moves(seed: int) -> None:
    """Each step in a ball moved such numbers to a place, out of the ball, and ordinary linear models were refused."""
    model = served(weights(seed, (3, 1)))
    grid = {n: Feature(min=-5, max=5, step=0.5 if j < 1 else None) for j, n in enumerate(names(3))}
    space, passing = space_of(model, seed, grid, rows=2)
    found = confirmed(model, space, attack_gradient(model, space, passing, "l2", np.inf), "l2")
    assert np.isfinite(found.distance).all()
    moves = Moves(model.network(space.rows), space, "l2")
    ids = np.arange(space.size)
    beside = moves.origin + np.where(moves.step > 0, 1e-3, 0.2)
    snapped = moves.snapped(ids, beside)
    between = (moves.step > 0) & (np.abs(moves.origin / 0.5 - np.round(moves.origin / 0.5)) > 0.01)
    assert between.any()
    assert (snapped[between] == moves.origin[between]).all()
    assert (snapped[:, moves.step == 0] == beside[:, moves.step == 0]).all()


def test_a_single_number_at_its_end_is_asked_wherever_slopes_lead() -> None:
    """A dent in one corner, to which nothing slopes from the rows, and which no row that passes has."""
    layers = [
        (np.array([[1.0, -1.0], [0.0, 0.0]]), np.array([-4.0, 0.0])),
        (np.array([[-4.0], [0.0]]), np.array([2.0])),
    ]
    model = served(layers)
    rows = pa.table({"x0": np.linspace(-0.5, 0.5, 6), "x1": np.linspace(0.0, 1.0, 6)})
    features = {"x0": Feature(min=-1, max=5), "x1": Feature(min=-1, max=1)}
    space = Space(rows, Contract(features=features), rows, dict.fromkeys(names(2), "number"), names(2))
    found = attack_gradient(model, space, rows.slice(0, 0), "l1", np.inf)
    assert np.isfinite(found.distance).all()
    assert found.distance == pytest.approx(4.5 - np.linspace(-0.5, 0.5, 6), abs=1e-3)
