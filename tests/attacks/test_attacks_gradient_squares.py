"""Grids and levels under a sum of squares: no choice that matters is left out, and enumeration finds the same."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from networks_tools import names, served  # noqa: E402

from assay.attacks.gradient import squares  # noqa: E402
from assay.attacks.gradient.attack import attack_gradient  # noqa: E402
from assay.attacks.gradient.squares import Filling, _places  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

SIZE = st.floats(0.01, 100.0)


@given(
    gain=SIZE, price=SIZE, count=st.integers(0, 40), step=SIZE, ahead=st.floats(0.01, 4.0), best=st.floats(0.0, 60.0),
    share=st.floats(0.0, 1.0),
)  # fmt: skip
def test_no_place_that_matters_is_left_out(
    gain: float, price: float, count: int, step: float, ahead: float, best: float, share: float
) -> None:
    """Where the best was the last one, or the first beyond a gap, some were: rows that slip past were certified."""
    first, paid = step * ahead, best * step * 2 * price**2 / gain  # a price that pays for `best` steps
    every = np.concatenate([[0.0], first + step * np.arange(count)])
    worth = (price * every) ** 2 - paid * gain * every
    apart = share * float(np.ptp(worth)) + 1e-9
    wanted = every[worth - worth.min() < apart * (1 - 1e-9)]
    kept = _places(gain, price, float(every[-1]), step, first, paid, apart).name
    assert np.abs(kept[:, None] - wanted).min(axis=0).max() <= 1e-6 * step


@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.heavy) for s in (0, *range(2, 8)))])
def test_at_the_ends_of_their_ranges_grids_are_exact_too(seed: int) -> None:
    """Every point of four columns is the oracle; many optima lie at the end of a range."""
    rng = np.random.default_rng([seed, 9])
    steps = rng.choice([1.0, 5.0, 50.0], 4)
    places = np.array(list(product(range(7), repeat=4))) * steps
    slope = rng.normal(size=4) / steps * rng.choice([1.0, 4.0], 4)
    shift = -float(np.quantile(places @ slope, 0.35)) + 1e-3  # no place lies at the threshold itself
    model = served([(slope[:, None], np.array([shift]))])
    features = {n: Feature(min=0.0, max=6.0 * s, step=float(s)) for n, s in zip(names(4), steps.tolist(), strict=True)}
    drawn = places[rng.choice(len(places), 300, replace=False)]
    table = pa.table({n: drawn[:, j] for j, n in enumerate(names(4))})
    flagged = model.flagged(table)
    caught = table.filter(pa.array(flagged)).slice(0, 30)
    kinds = dict.fromkeys(names(4), "number")
    space = Space(caught, Contract(features=features), table, kinds, model.features)
    found = attack_gradient(model, space, table.filter(pa.array(~flagged)), "l2", np.inf, seed=seed)
    passing = places[~model.flagged(pa.table({n: places[:, j] for j, n in enumerate(names(4))}))]
    rows = np.column_stack([caught[n].to_numpy() for n in names(4)])
    least = np.sqrt(((rows[:, None, :] - passing) ** 2).sum(axis=2)).min(axis=1)
    assert (found.bound <= least * (1 + 1e-9)).all()
    np.testing.assert_allclose(found.distance, least, rtol=1e-3)
    np.testing.assert_allclose(found.bound, least, rtol=1e-3)


@given(st.lists(st.tuples(SIZE, SIZE, SIZE), min_size=1, max_size=5), st.floats(0.0, 1.0))
def test_numbers_fill_up_at_one_price(columns: list[tuple[float, float, float]], share: float) -> None:
    """Karush, Kuhn, Tucker: each number moves as far as its price pays, or to its end."""
    gain, price, room = (np.array(c) for c in zip(*columns, strict=True))
    need = share * float((gain * room).sum())
    (cost,), (paid,) = Filling(gain, price, room).cost(np.array([need]))
    moves = np.minimum(paid * gain / (2 * price**2), room)
    assert float((gain * moves).sum()) == pytest.approx(need, rel=1e-6, abs=1e-9)
    assert float(((price * moves) ** 2).sum()) == pytest.approx(cost, rel=1e-6, abs=1e-9)


def test_where_there_is_too_much_to_try_the_bound_is_the_duals(monkeypatch: pytest.MonkeyPatch) -> None:
    model = served([(np.array([[1.0], [0.7]]), np.array([-2.05]))])
    features = {n: Feature(min=0.0, max=9.0, step=3.0) for n in names(2)}
    table = pa.table({"x0": [6.0, 9.0, 0.0, 3.0], "x1": [9.0, 3.0, 0.0, 0.0]})
    space = Space(table.slice(0, 2), Contract(features=features), table, dict.fromkeys(names(2), "number"), names(2))
    bounds = []
    for most in (1, squares.MOST):
        monkeypatch.setattr(squares, "MOST", most)
        bounds.append(attack_gradient(model, space, table.slice(2), "l2", np.inf).bound)
    least = [np.sqrt(6**2 + 9**2), np.sqrt(9**2 + 3**2)]  # to (0, 0), all that passes: 3 x 0.7 is too much
    assert (bounds[0] < np.array(least) * (1 - 1e-3)).all()
    np.testing.assert_allclose(bounds[1], least, rtol=1e-3)


def test_what_numbers_cannot_reach_costs_without_end() -> None:
    some: Any = Filling(np.array([1.0]), np.array([1.0]), np.array([2.0]))
    assert some.cost(np.array([-1.0, 0.0, 1.0, 2.0, 2.1]))[0].tolist() == [0.0, 0.0, 1.0, 4.0, np.inf]
    none = Filling(np.zeros(0), np.zeros(0), np.zeros(0))
    assert none.cost(np.array([0.0, 1.0]))[0].tolist() == [0.0, np.inf]
