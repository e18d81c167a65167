"""Proofs by programs: no certified row is evaded by any of many points, on grids by none of all; plants by part."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("onnxruntime")
pytest.importorskip("scipy.optimize")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from networks_tools import names, served, space_of, weights  # noqa: E402

from assay.attacks.gradient import ensemble, exact, planted  # noqa: E402
from assay.attacks.gradient.apgd import Search  # noqa: E402
from assay.attacks.gradient.attack import attack_gradient  # noqa: E402
from assay.attacks.gradient.exact import settled  # noqa: E402
from assay.attacks.gradient.linear import lowered, offers  # noqa: E402
from assay.attacks.gradient.moves import Moves, Point  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

NORMS = ("linf", "l2", "l1", "cost")
RANGE = {"min": -3.0, "max": 3.0}


def moves_of(seed: int, norm: Any, sizes: tuple[int, ...], grid: tuple[str, ...] = (), rows: int = 4) -> Moves:
    net = weights(seed, sizes)
    net[-1] = (net[-1][0], net[-1][1] + 2.0)  # so that some rows are flagged
    model = served(net)
    features = {n: Feature(scale=0.7 if n == "x1" else None, cost=2.0 if n == "x0" else 1.0, **RANGE)
                for n in names(sizes[0])}  # fmt: skip
    space, _ = space_of(model, seed, features, rows=rows, grid=grid)
    return Moves(model.network(space.rows), space, norm)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from(NORMS), radius=st.floats(0.02, 2.0))
def test_no_point_of_many_evades_where_it_is_proved_that_none_does(seed: int, norm: Any, radius: float) -> None:
    moves = moves_of(seed, norm, (4, 7, 5, 1))
    ids = np.arange(moves.space.size)
    proved, found, _ = settled(moves.network, moves, ids, 0.0, radius)
    assert not (proved & found).any()
    rng = np.random.default_rng(seed)
    rows = np.repeat(ids[proved], 2000)
    way = rng.normal(size=(len(rows), len(moves.places))) * (rng.random((len(rows), len(moves.places))) < 0.7)
    if norm == "linf":
        way = np.sign(way)
    size = moves.distance(rows, Point(moves.origin[rows] + way, np.zeros((len(rows), 0), dtype=int)))
    way = way * (radius / np.maximum(size, 1e-12))[:, None] * rng.choice([1.0, 0.8], (len(rows), 1))
    value = moves.origin[rows] + np.clip(way, moves.down[rows], moves.up[rows])
    there = Point(value, np.zeros((len(rows), 0), dtype=int))
    assert (moves.distance(rows, there) <= radius * (1 + 1e-9)).all()
    assert (moves.network.forward(moves.read(rows, there)) >= 0).all()
    search = Search(moves.network, moves, 0.0, seed)  # nor does a search that is told where to look
    search.inside(ids[proved], np.full(proved.sum(), radius), moves.start_at(ids[proved]), 0.3)
    assert np.isinf(search.distance[proved]).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.heavy)])
def test_on_a_grid_every_permitted_point_is_asked(seed: int, norm: Any) -> None:
    moves = moves_of(seed, norm, (4, 8, 1), grid=names(4), rows=6)
    ids = np.arange(moves.space.size)
    every = np.array(list(product(range(-3, 4), repeat=4)), dtype=float)
    outcome = []
    for radius in (1.0, 1.5, 2.0, 3.0):
        proved, found, _ = settled(moves.network, moves, ids, 0.0, radius)
        for row in ids.tolist():
            where = np.full(len(every), row)
            points = Point(every, np.zeros((len(every), 0), dtype=int))
            inside = moves.distance(where, points) <= radius * (1 + 1e-9)
            evades = bool((moves.network.forward(moves.read(where, points))[inside] < 0).any())
            assert not (proved[row] and evades), (row, radius)
            outcome.append((bool(proved[row]), bool(found[row]), evades))
    decided = [proved != found for proved, found, _ in outcome]
    assert np.mean(decided) == 1.0
    if norm != "l2":  # a Euclidean ball is held from outside
        assert [found for _, found, _ in outcome] == [evades for _, _, evades in outcome]


@pytest.mark.parametrize("norm", ["linf", *(pytest.param(n, marks=pytest.mark.heavy) for n in ("l1", "l2", "cost"))])
def test_at_the_median_distance_nine_rows_in_ten_are_decided(norm: Any) -> None:
    model = served(weights(7, (8, 16, 1)))
    space, passing = space_of(model, 7, {n: Feature(**RANGE) for n in names(8)}, rows=12)
    first = attack_gradient(model, space, passing, norm, np.inf)
    budget = float(np.median(first.distance))
    told = attack_gradient(model, space, passing, norm, budget).verdicts(budget)
    assert np.mean([v != "unknown" for v in told]) >= 0.9, told
    assert {"evaded", "certified"} <= set(told)


def test_one_number_that_hardly_counts_does_not_spoil_the_bound_of_the_others() -> None:
    moves = moves_of(1, "l2", (5, 1))
    gradient = np.full((1, 5), 2.0)
    gradient[0, 3] = 1e-17
    most = lowered(moves, offers(moves, np.zeros(1, dtype=int), gradient), np.array([1e-3]))[1]
    assert 0 < most[0] <= 2.0 * np.sqrt(5) * 1e-3 * 1.01


@pytest.mark.parametrize("part", ["follow", "inside", "gradient"])
def test_each_part_that_follows_gradients_must_find_what_is_planted(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = served(weights(2, (6, 10, 1)))
    space, passing = space_of(model, 2, {n: Feature(**RANGE) for n in names(6)})
    if part == "gradient":
        real = planted.Planted.sloped

        def flat(self: Any, x: Any) -> Any:
            margin, slope = real(self, x)
            return margin, np.zeros_like(slope)

        monkeypatch.setattr(planted.Planted, "sloped", flat)
    else:
        monkeypatch.setattr(Search, part, lambda *_, **__: None)
        monkeypatch.setattr(ensemble, "refuse_masked", lambda *_: None)
    with pytest.raises(CouldNotLook, match="planted"):
        attack_gradient(model, space, passing, "linf", np.inf)


def in_units(unit: float, hidden: float, norm: Any, seed: int) -> Moves:
    """One network; its first column in units of its own, its hidden layer of another size."""
    net = weights(seed, (4, 6, 1))
    first = net[0][0] * hidden
    first[0] *= 3 / unit
    net = [(first, net[0][1] * hidden), (net[1][0] / hidden, net[1][1] + 1.0)]
    model = served(net)
    rng = np.random.default_rng([seed, 5])
    table = pa.table({n: rng.normal(size=400) * (unit if n == "x0" else 1.0) for n in names(4)})
    caught = table.filter(pa.array(model.flagged(table))).slice(0, 6)
    features = {}
    for n in names(4):
        wide = unit if n == "x0" else 1.0
        features[n] = Feature(scale=wide, min=-3.0 * wide, max=3.0 * wide)
    space = Space(caught, Contract(features=features), table, dict.fromkeys(names(4), "number"), model.features)
    return Moves(model.network(space.rows), space, norm)


@pytest.mark.parametrize("norm", ["linf", "l1"])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_proved_depends_on_no_unit(norm: Any, seed: int) -> None:
    """HiGHS leaves out coefficients below 1e-9: a column in nanoseconds must prove nothing by that."""
    plain = in_units(1.0, 1.0, norm, seed)
    ids = np.arange(plain.space.size)
    assert plain.space.size
    some = 0
    for radius in (0.3, 0.8, 1.5):
        proved = settled(plain.network, plain, ids, 0.0, radius)[0]
        some += int(proved.sum())
        for unit, hidden in ((1e-10, 1.0), (1e10, 1.0), (1.0, 1e-8), (1.0, 1e10)):
            other = in_units(unit, hidden, norm, seed)
            assert (settled(other.network, other, ids, 0.0, radius)[0] == proved).all()
    assert some


def test_programs_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        moves = in_units(1e-9, 1.0, "linf", seed)
        settled(moves.network, moves, np.arange(moves.space.size), 0.0, 0.8)
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"


@pytest.mark.parametrize(("answers", "proved"), [((2, 2), True), ((2, 0), False), ((2, 1), False), ((0, 2), False)])
def test_only_what_highs_says_twice_is_a_proof(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[int, int], proved: bool
) -> None:
    """Without its presolve HiGHS was seen to call a program of two inputs and five units infeasible that is not."""
    found = np.zeros(1)
    monkeypatch.setattr(exact, "solve", lambda *_, presolve, **__: (answers[presolve], found, 0.0))
    program = exact.Program(*np.zeros((6, 1)))
    assert exact._solved(program, 9) == (proved, None if proved else found)


def test_categories_alone_before_units_that_cannot_switch_are_judged() -> None:
    net = [(-np.eye(2), np.full(2, 50.0)), (np.ones((2, 1)), np.array([-98.5]))]
    model = served(net)
    rows = pa.table({"x0": [0.0, 0.0, 1.0] * 5, "x1": [0.0, 1.0, 0.0] * 5})
    contract = Contract(features=dict.fromkeys(names(2), Feature(categories=(0.0, 1.0))))
    space = Space(rows, contract, rows, dict.fromkeys(names(2), "category"), model.features)
    found = attack_gradient(model, space, pa.table({"x0": [1.0], "x1": [1.0]}), "cost", 1.6)
    assert found.distance.tolist() == [2.0, 1.0, 1.0] * 5
    assert (found.bound <= found.distance).all()
