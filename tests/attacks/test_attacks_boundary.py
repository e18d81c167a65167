"""Black-box evasion by distance: what may be changed, queries, and linear models whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")

from attacks_tools import FEATURES, KINDS, Flags, mixed, spaces, table  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.attacks.attacked import confirmed  # noqa: E402
from assay.attacks.boundary import planted  # noqa: E402
from assay.attacks.boundary.asked import Asked  # noqa: E402
from assay.attacks.boundary.attack import attack_boundary  # noqa: E402
from assay.attacks.boundary.moves import Moves  # noqa: E402
from assay.attacks.boundary.search import Search  # noqa: E402
from assay.attacks.sanity import refuse_unstable  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

NORMS = ("linf", "l2", "l1")
DUAL = {"linf": lambda w: np.abs(w).sum(), "l2": lambda w: np.sqrt((w**2).sum()), "l1": lambda w: np.abs(w).max()}


class Plane:
    """Flags where a weighted sum of numbers is at least `threshold`."""

    classes, threshold, access = (0, 1), 0.3, "score"

    def __init__(self, w: Any) -> None:
        self.w, self.queries = w, 0
        self.features = tuple(f"f{i}" for i in range(len(w)))

    def scores(self, rows: Any) -> Any:
        self.queries += rows.num_rows
        return np.column_stack([rows.column(n).to_numpy() for n in self.features]) @ self.w

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        return


def plane(seed: int, width: int = 8, rows: int = 12, type_: Any = None, **facts: Any) -> tuple[Plane, Space, Any]:
    rng = np.random.default_rng(seed)
    model = Plane(rng.normal(size=width))
    data = pa.table({n: pa.array(rng.normal(size=400), type=type_) for n in model.features})
    flags = model.flagged(data)
    contract = Contract(features={n: Feature(**{"min": -9, "max": 9, **facts}) for n in model.features})
    chosen = data.filter(pa.array(flags)).slice(0, rows)
    space = Space(chosen, contract, data, dict.fromkeys(model.features, "number"), model.features)
    return model, space, data.filter(pa.array(~flags)).slice(0, 100)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("access", ["label", "score"])
def test_a_linear_model_is_left_by_the_shortest_way(norm: Any, access: str) -> None:
    model, space, passing = plane(1)
    found = Search(model, space, passing, norm, access, 400, 0).run()
    exact = (model.scores(space.rows) - model.threshold) / DUAL[norm](model.w)
    assert (found.best >= exact * (1 - 1e-9)).all()
    assert (found.best <= exact * 1.06 + 1e-9).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("facts", [{"min": -0.5, "max": 0.5}, {"step": 2.0}], ids=["outside", "between"])
def test_rows_that_break_what_is_declared_are_left_as_near_as_others(norm: Any, facts: Any) -> None:
    """Half of the columns are free; a value outside its range, or between two places, is kept unless it pays."""
    model, space, passing = plane(4)
    features = {n: Feature(**({"min": -9, "max": 9} | (facts if i % 2 else {}))) for i, n in enumerate(model.features)}
    kinds = dict.fromkeys(model.features, "number")
    bound = Space(space.rows, Contract(features=features), passing, kinds, model.features)
    free = {n: Feature(mutable=False) if i % 2 else f for i, (n, f) in enumerate(features.items())}
    half = Space(space.rows, Contract(features=free), passing, kinds, model.features)
    found, least = (Search(model, s, passing, norm, "label", 400, 0).run().best for s in (bound, half))
    assert (found <= least * 1.02 + 1e-9).all(), "more may move, so that it is never farther"


@given(st.integers(0, 10_000))
def test_what_is_landed_on_lies_between_the_row_and_the_wish(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = pa.table({n: rng.normal(size=6) * 3 for n in ("a", "b", "c")})
    features = {"a": Feature(min=-1, max=1), "b": Feature(min=-4, max=4, step=0.7), "c": Feature(direction="up", max=2)}
    moves = Moves(
        Space(rows, Contract(features=features), rows, dict.fromkeys(features, "number"), tuple(features)), "linf"
    )
    ids, radius = rng.integers(0, 6, 40), rng.uniform(0, 3, 40)
    own = moves.origin[ids]
    assert np.isnan(moves.land(ids, own)).all(), "a row that is wished as it is stays as it is"
    wished = own + rng.normal(size=own.shape) * 3
    landed = moves.land(ids, wished, radius)
    there = ~np.isnan(landed)
    assert (np.abs(landed - own)[there] <= np.broadcast_to(radius[:, None], own.shape)[there] + 1e-5).all()
    assert (((landed - own) * (wished - own))[there] > 0).all()
    assert np.isfinite(moves.parts(ids, landed)).all()


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_linear_model_is_left_one_way_only(way: Any) -> None:
    model, space, passing = plane(2, direction=way)
    found = Search(model, space, passing, "linf", "label", 400, 0).run()
    use = model.w < 0 if way == "up" else model.w > 0
    exact = (model.scores(space.rows) - model.threshold) / np.abs(model.w[use]).sum()
    move = found.codes - found.moves.origin
    assert ((np.nan_to_num(move) >= 0) if way == "up" else (np.nan_to_num(move) <= 0)).all()
    near = exact < 2  # further out the range ends
    assert near.any()
    assert (found.best[near] <= exact[near] * 1.1).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(5))
def test_every_example_keeps_every_kind_of_constraint(seed: int, norm: Any) -> None:
    model, space, passing = mixed(seed)
    found = Search(model, space, passing, norm, "label", 200, seed).run()
    rows = np.flatnonzero(np.isfinite(found.best))
    built = space.moved(rows, found.codes[rows])
    assert built.schema == space.rows.schema
    assert space.valid(built).all()
    assert not model.flagged(built).any()
    assert space.price(rows, built, norm) == pytest.approx(found.best[rows])
    assert (found.queries <= 200).all()
    alone = [np.isfinite(a.parts(a.origin, found.codes[:, j], norm)) for j, a in enumerate(space.axes)]
    assert (np.column_stack(alone) == ~np.isnan(found.codes)).all()


def test_relations_directions_grids_and_levels_hold_in_the_rows_themselves() -> None:
    model, space, passing = spaces(3, ("hour <= amount or shop == 'a'", "amount + hour < 15"))
    found = Search(model, space, passing, "l1", "score", 300, 0).run()
    rows = np.flatnonzero(np.isfinite(found.best))
    before, after = space.rows.take(pa.array(rows)).to_pylist(), space.moved(rows, found.codes[rows]).to_pylist()
    order = ("none", "1", "many")
    assert len(rows)
    for old, new in zip(before, after, strict=True):
        assert new["age"] == old["age"]
        assert 0 <= new["amount"] <= old["amount"]
        assert new["hour"] in (0, 2, 4, 6)
        assert order.index(new["claims"]) >= order.index(old["claims"])
        assert new["hour"] <= new["amount"] or new["shop"] == "a"
        assert new["amount"] + new["hour"] < 15


def test_a_sum_that_must_hold_keeps_its_parts_and_leaves_the_rest_free() -> None:
    rng = np.random.default_rng(0)
    a, b, d = rng.normal(size=(3, 400))
    rows = pa.table({"a": a, "b": b, "c": a + b, "d": d})
    model = Flags(tuple("abcd"), lambda c: c["c"] + 2 * c["d"] > 0.5)
    flags = model.flagged(rows)
    contract = Contract(features={n: Feature(min=-9, max=9) for n in "abcd"}, constraints=("a + b == c",))
    start = rows.filter(pa.array(flags)).slice(0, 20)
    space = Space(start, contract, rows, dict.fromkeys("abcd", "number"), tuple("abcd"))
    found = Search(model, space, rows.filter(pa.array(~flags)), "linf", "label", 200, 0).run()
    alone = (a + b + 2 * d - 0.5)[flags][:20] / 2
    assert space.valid(space.moved(np.arange(20), found.codes)).all()
    assert (found.best <= alone * 1.05 + 1e-9).all()


@pytest.mark.parametrize("access", ["label", "score"])
def test_queries_are_counted_and_the_same_seed_asks_the_same(access: str) -> None:
    model, space, passing = plane(4)
    runs = []
    for _ in range(2):
        model.queries = 0
        runs.append(Search(model, space, passing, "linf", access, 150, 7).run())
        assert model.queries == runs[-1].queries.sum()
    assert (runs[0].queries <= 150).all()
    assert np.array_equal(runs[0].best, runs[1].best)
    assert np.array_equal(runs[0].queries, runs[1].queries)
    assert np.array_equal(runs[0].codes, runs[1].codes, equal_nan=True)


def test_nothing_is_asked_twice_of_a_row() -> None:
    model, space, passing = mixed(2)
    found = Search(model, space, passing, "l1", "label", 300, 0).run()
    ids, points, _ = found.log()
    assert len(np.unique(np.column_stack([ids, points]), axis=0)) == len(ids) == found.queries.sum()


def test_more_queries_do_no_worse() -> None:
    model, space, passing = plane(5, width=12)
    means = [Search(model, space, passing, "l2", "label", q, 0).run().best.mean() for q in (40, 150, 600)]
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize("norm", NORMS)
def test_missing_values_stay_missing(norm: Any) -> None:
    rng = np.random.default_rng(0)
    values = {n: rng.normal(size=300) for n in ("a", "b")}
    data = pa.table({n: pa.array(v, mask=rng.random(300) < 0.3) for n, v in values.items()})
    model = Flags(("a", "b"), lambda c: np.nan_to_num(c["a"].astype(float)) + np.nan_to_num(c["b"].astype(float)) > 0.2)
    flags = model.flagged(data)
    chosen = data.filter(pa.array(flags)).slice(0, 20)
    space = Space(
        chosen, Contract(features={n: Feature() for n in "ab"}), data, dict.fromkeys("ab", "number"), ("a", "b")
    )
    found = Search(model, space, data.filter(pa.array(~flags)), norm, "label", 100, 0).run()
    built = space.moved(np.arange(20), found.codes)
    assert np.isfinite(found.best).all()
    for name in "ab":
        assert built.column(name).is_null().equals(chosen.column(name).is_null())


def test_a_narrow_float_is_measured_as_it_is_stored() -> None:
    model, space, passing = plane(6, type_=pa.float32())
    found = attack_boundary(model, space, passing, "linf", access="label", limit=300)
    assert confirmed(model, space, found, "linf") is found
    assert (found.distance > 0).all()
    assert (found.bound == 0).all()


def test_values_land_on_grids_inside_the_radius() -> None:
    _, space, _ = spaces(1)
    moves = Moves(space, "linf")
    ids = np.arange(space.size)
    wished = moves.origin + np.random.default_rng(0).normal(size=moves.origin.shape) * 5
    for radius in (0.4, 1.0, 2.0):
        landed = moves.land(ids, wished, np.full(space.size, radius))
        assert (moves.distance(ids, landed) <= radius).all()
        assert np.array_equal(moves.permitted(ids, landed), landed, equal_nan=True)


def test_where_everything_is_forbidden_nothing_is_asked() -> None:
    model, rows = Flags(("amount",), lambda c: c["amount"] > 3), table(0).select(["amount"])
    contract = Contract(features={"amount": Feature(min=0, max=10)}, constraints=("amount == 5",))
    fives = rows.filter(pa.compute.equal(rows.column("amount"), 5)).slice(0, 10)
    space = Space(fives, contract, rows, KINDS, ("amount",))
    found = Search(model, space, rows.slice(0, 50), "linf", "label", 100, 0).run()
    assert np.isinf(found.best).all()
    assert (found.queries == 0).all()
    assert np.isnan(found.codes).all()


def test_categories_are_reached_without_rows_to_borrow_from() -> None:
    model, rows = Flags(("shop", "claims"), lambda c: ~((c["shop"] == "c") & (c["claims"] == "many"))), table(1)
    contract = Contract(features={n: FEATURES[n] for n in ("shop", "claims")})
    start = rows.filter(pa.array(model.flagged(rows))).slice(0, 20)
    space = Space(start, contract, rows, KINDS, ("shop", "claims"))
    for norm in NORMS:
        found = Search(model, space, rows.slice(0, 0), norm, "label", 60, 0).run()
        assert np.isfinite(found.best).all()


@pytest.mark.parametrize("access", ["label", "score"])
def test_planted_holes_are_found(access: str) -> None:
    model, space, passing = plane(8)
    assert planted.refuse_blind(model, space, passing, "linf", access=access, limit=300, seed=0) == ""
    with pytest.raises(CouldNotLook, match="holes planted"):
        planted.refuse_blind(model, space, passing, "linf", access=access, limit=4, seed=0)


def test_scores_that_mislead_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = plane(9, rows=24, width=16)
    planted.refuse_masked_scores(model, space, passing, "linf", limit=100, seed=0)

    class Lost(Search):
        def run(self, *args: Any) -> Asked:
            found = super().run(*args)
            found.best *= 2 if found.access == "score" else 1
            return found

    monkeypatch.setattr(planted, "Search", Lost)
    with pytest.raises(CouldNotLook, match="mislead"):
        planted.refuse_masked_scores(model, space, passing, "linf", limit=100, seed=0)


def test_with_everything_allowed_every_row_must_be_reached() -> None:
    model, space, passing = plane(10)
    nothing = Asked(model, space, "linf", "label", 100, 0)
    with pytest.raises(CouldNotLook, match="found nothing"):
        planted.refuse_missed(model, space, nothing, passing, 0)
    found = Search(model, space, passing, "linf", "label", 100, 0).run()
    planted.refuse_missed(model, space, found, passing, 0)
    planted.refuse_neighbours(model, space, found)


def test_an_answer_that_depends_on_its_neighbours_is_refused() -> None:
    class Shy(Plane):
        def scores(self, rows: Any) -> Any:
            return super().scores(rows) + 100 * (rows.num_rows == 1)

    model, space, passing = plane(11)
    shy = Shy(model.w)
    with pytest.raises(CouldNotLook, match="a row alone"):
        attack_boundary(shy, space, passing, "linf", access="label", limit=300)


@pytest.mark.parametrize("access", ["label", "score"])
def test_a_model_that_always_flags_leaves_rows_as_they_are(access: Any) -> None:
    _, space, passing = plane(12)
    model = Flags(tuple(a.name for a in space.axes), lambda c: np.ones(len(c["f0"]), dtype=bool))
    model.access = "score"
    found = Search(model, space, passing, "l2", access, 60, 0).run()
    assert np.isinf(found.best).all()
    assert np.isnan(found.codes).all()
    model.access = "label"
    with pytest.raises(CouldNotLook, match="labels only"):
        attack_boundary(model, space, passing, "l2", access="score", limit=60)


def test_a_model_that_answers_nan_or_by_chance_says_so_in_one_line() -> None:
    class Broken(Plane):
        def scores(self, rows: Any) -> Any:
            raise CouldNotLook("model: scored 3 of 9 rows as NaN")

    class Chance(Plane):
        def scores(self, rows: Any) -> Any:
            return super().scores(rows) + np.random.default_rng().normal(size=rows.num_rows)

    model, space, passing = plane(13)
    with pytest.raises(CouldNotLook, match="NaN") as said:
        attack_boundary(Broken(model.w), space, passing, "linf", access="label", limit=400)
    assert "\n" not in str(said.value)
    with pytest.raises(CouldNotLook, match="different scores"):
        refuse_unstable(Chance(model.w), space.rows)
