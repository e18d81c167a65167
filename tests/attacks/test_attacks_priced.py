"""Evasion: against brute force on small spaces, under every kind of constraint and within its queries."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from attacks_tools import FEATURES, KINDS, Flags, brute, held, spaces, table  # noqa: E402

from assay.attacks.priced.order import cheapest, exchanges  # noqa: E402
from assay.attacks.priced.search import attack  # noqa: E402
from assay.attacks.priced.ties import joint  # noqa: E402
from assay.attacks.relations import satisfied  # noqa: E402
from assay.attacks.space import KEEP, Space  # noqa: E402
from assay.config.constraints import Constraint  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

SMALL = ("amount", "shop", "claims")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("access", ["label", "score"])
def test_four_features_cost_what_brute_force_finds(seed: int, access: str) -> None:
    model, space, passing = spaces(seed)
    found = held(model, space, attack(model, space, passing, access=access, limit=600, seed=seed))
    best = np.array([brute(model, space, r) for r in range(space.size)])
    assert found.cost == pytest.approx(best)
    assert (found.queries <= 600).all()


@pytest.mark.parametrize("seed", range(4))
def test_every_example_keeps_the_contract(seed: int) -> None:
    model, space, passing = spaces(seed, ("hour <= amount or shop == 'a'", "amount + hour < 15"))
    found = attack(model, space, passing, access="label", limit=600, seed=seed)
    rows = np.flatnonzero(np.isfinite(found.cost))
    before, after = space.rows.take(pa.array(rows)).to_pylist(), space.build(rows, found.choice[rows]).to_pylist()
    order = ("none", "1", "many")
    assert space.build(rows, found.choice[rows]).schema == space.rows.schema
    for old, new in zip(before, after, strict=True):
        assert new["age"] == old["age"]
        assert 0 <= new["amount"] <= old["amount"]
        assert new["hour"] in (0, 2, 4, 6)
        assert order.index(new["claims"]) >= order.index(old["claims"])
        assert new["hour"] <= new["amount"] or new["shop"] == "a"
        assert new["amount"] + new["hour"] < 15


def test_success_rises_with_the_budget_and_more_access_does_no_worse() -> None:
    model, space, passing = spaces(3)
    label = attack(model, space, passing, access="label", limit=400, seed=1)
    score = attack(model, space, passing, access="score", limit=400, seed=1)
    shares = [(label.cost <= b).mean() for b in (0.5, 1, 2, 4, 8, np.inf)]
    assert shares == sorted(shares)
    assert np.isfinite(score.cost).sum() >= np.isfinite(label.cost).sum()


@pytest.mark.parametrize("access", ["label", "score"])
@pytest.mark.parametrize("seed", range(12))
def test_three_features_cost_what_brute_force_finds_whatever_the_model_and_the_relations(
    seed: int, access: str
) -> None:
    """Lookup tables answer at random: nothing about them is monotone, and relations forbid a third of the grid."""
    rng = np.random.default_rng(seed)
    answers = rng.random((11, 3, 3)) < 0.85

    def rule(c: dict[str, Any]) -> Any:
        shop = [list("abc").index(s) for s in c["shop"]]
        claims = [("none", "1", "many").index(x) for x in c["claims"]]
        return answers[c["amount"].astype(int), shop, claims]

    model, rows = Flags(SMALL, rule), table(seed).select(SMALL)
    relations = ("amount <= 7 or shop == 'a'", "claims == 'none' or amount >= 2 or shop == 'c'")[: seed % 3]
    contract = Contract(features={n: FEATURES[n] for n in SMALL}, constraints=relations)
    start = rows.filter(pa.array(satisfied(map(Constraint, relations), rows)))
    flagged = model.flagged(start)
    space = Space(start.filter(pa.array(flagged)).slice(0, 20), contract, rows, KINDS, SMALL)
    model.access = access
    found = attack(model, space, start.filter(pa.array(~flagged)), access=access, limit=300, seed=seed)
    assert found.cost == pytest.approx([brute(model, space, r) for r in range(space.size)])
    assert (found.queries <= 300).all()
    assert held(model, space, found) is found


@pytest.mark.parametrize("limit", [10, 40, 200])
def test_no_row_asks_more_than_it_may(limit: int) -> None:
    model, space, passing = spaces(5)
    model.queries = 0
    for access in ("label", "score"):
        assert attack(model, space, passing, access=access, limit=limit, seed=0).queries.max() <= limit
    assert model.queries <= 2 * limit * space.size


def test_with_labels_only_it_never_reads_a_score() -> None:
    model, space, passing = spaces(3)
    want = attack(model, space, passing, access="label", limit=300, seed=0).cost
    model.scores, score = None, model.scores  # type: ignore[method-assign, assignment]
    model.flagged = lambda rows: score(rows) >= 0  # type: ignore[method-assign]
    assert attack(model, space, passing, access="label", limit=300, seed=0).cost == pytest.approx(want)


def test_combinations_come_once_each_and_in_order_of_cost() -> None:
    _, space, _ = spaces(2)
    given = list(cheapest(space, 0, 6.0))
    cost = space.cost(np.zeros(len(given), dtype=int), np.array(given))
    options = [1 + int((a.cost[0] < 6.0).sum()) for a in space.axes]
    assert (np.diff(cost) >= -1e-12).all()
    assert len({tuple(c) for c in given}) == len(given)
    every = np.array(list(np.ndindex(*[a.cost.shape[1] + 1 for a in space.axes]))) - 1
    every = every[((every != KEEP).sum(axis=1) > 1)]
    all_costs = space.cost(np.zeros(len(every), dtype=int), every)
    assert len(given) == int((all_costs < 6.0).sum()) <= np.prod(options)


def test_an_exchange_is_cheaper_and_differs_in_one_move_given_back_and_one_made() -> None:
    _, space, _ = spaces(2)
    success = np.array(list(cheapest(space, 0, 9.0))[-1])
    total = space.cost(np.array([0]), success[None])[0]
    near = np.array(list(exchanges(space, 0, success)))
    cost = space.cost(np.zeros(len(near), dtype=int), near)
    assert (cost < total).all()
    assert (np.diff(cost) >= -1e-12).all()
    assert ((near != success).sum(axis=1) <= 2).all()
    assert (((near == KEEP) & (success != KEEP)).sum(axis=1) >= 1).all()


def test_wide_rows_are_bisected_where_single_moves_are_too_many_to_ask() -> None:
    rng = np.random.default_rng(0)
    names = tuple(f"x{i}" for i in range(40))
    rows = pa.table({n: rng.normal(size=300) for n in names})
    model = Flags(names, lambda c: c["x7"] < 2.5)
    space = Space(rows.slice(0, 10), Contract(features=dict.fromkeys(names, Feature(min=-4, max=4))), rows,
                  dict.fromkeys(names, "number"), names)  # fmt: skip
    nothing = rows.slice(0, 0)
    found = attack(model, space, nothing, access="label", limit=400, seed=1)
    codes, cost = space.axes[7].codes, space.axes[7].cost
    assert space.costs[0][np.isfinite(space.costs[0])].size > 3 * 400
    assert found.cost == pytest.approx(np.where(codes >= 2.5, cost, np.inf).min(axis=1))


def test_what_works_for_one_row_is_tried_on_the_others() -> None:
    rng = np.random.default_rng(3)
    names = tuple(f"x{i}" for i in range(12))
    rows = pa.table({n: rng.normal(size=600) for n in names})
    secret = {n: float(rows.column(n)[500].as_py()) for n in names[:6]}
    model = Flags(names, lambda c: np.sum([np.abs(c[n] - v) < 0.4 for n, v in secret.items()], axis=0) < 6)
    contract, kinds, passing = (
        Contract(features=dict.fromkeys(names, Feature())),
        dict.fromkeys(names, "number"),
        rows[301:],
    )

    def share(first: int, count: int) -> float:
        space = Space(rows.slice(first, count), contract, rows, kinds, names)
        return float(np.isfinite(attack(model, space, passing, access="label", limit=600, seed=1).cost).mean())

    assert model.flagged(rows.slice(0, 60)).all()
    assert share(0, 60) > np.mean([share(i, 1) for i in range(10)]) + 0.2


TIES = {
    "equal": ("x == y", lambda rng, n: (lambda v: (v, v))(rng.integers(0, 6, n))),
    "a sum": ("x + y <= 10", lambda rng, n: (rng.integers(4, 6, n), rng.integers(4, 6, n))),
    "order": ("shop == 'a' or x <= 5", lambda rng, n: (rng.integers(0, 6, n), rng.integers(0, 6, n))),
}


@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize("access", ["label", "score"])
def test_inputs_that_a_relation_ties_move_together_at_what_exhaustive_search_finds(tie: str, access: str) -> None:
    """Nothing to borrow from, and so many cheaper moves that combinations in order of cost end long before."""
    rng, n = np.random.default_rng(1), 300
    relation, draw = TIES[tie]
    x, y = draw(rng, n)
    others = tuple(f"z{i}" for i in range(8))
    columns = {"x": x, "y": y, "shop": rng.choice(list("bc"), n), **{z: rng.integers(0, 10, n) for z in others}}
    columns["shop"][0] = "a"
    rows = pa.table(columns)
    rows = rows.filter(pa.array(satisfied([Constraint(relation)], rows)))
    number = Feature(min=0, max=9, integer=True, scale=1, cost=3.0)
    features = {"x": number, "y": number, "shop": Feature(cost=4.0)}
    kinds = {**dict.fromkeys(columns, "integer"), "shop": "category"}
    beside = {z: Feature(min=0, max=9, integer=True, scale=9, cost=0.1) for z in others}
    model = Flags(tuple(columns), lambda c: c["x"] < 8)
    model.access = access
    start = rows.slice(1, 20)
    space = Space(
        start, Contract(features={**features, **beside}, constraints=(relation,)), rows, kinds, model.features
    )
    found = attack(model, space, rows.slice(0, 0), access=access, limit=300, seed=0)
    few = Space(start, Contract(features=features, constraints=(relation,)), rows, kinds, model.features)
    best = [brute(model, few, r) for r in range(few.size)]
    assert np.isfinite(best).all()
    assert not (space.possible()[:, 0] & (space.axes[0].codes >= 8)).any()  # no single move does it
    assert found.cost == pytest.approx(best)
    assert (found.queries <= 300).all()
    assert held(model, space, found) is found


def window(wide: float, usual: float) -> tuple[Flags, Space, Any]:
    """A model that flags an amount that differs by more than `wide` from what it calls usual, among amounts to 1e5."""
    rng, n = np.random.default_rng(0), 600
    middle = rng.uniform(0, 1e5, n).round(2)
    apart = np.where(rng.random(n) < 0.3, rng.uniform(1.5, 3, n), rng.uniform(-0.9, 0.9, n)) * wide
    rows = pa.table({"usual": middle, "amount": (middle + apart).round(2), "hour": rng.integers(0, 24, n)})
    model = Flags(("usual", "amount", "hour"), lambda c: np.abs(c["amount"] - c["usual"] - usual) > wide)
    flagged = model.flagged(rows)
    features = {"usual": Feature(mutable=False), "amount": Feature(min=0, max=110_000), "hour": Feature(mutable=False)}
    kinds = {"usual": "number", "amount": "number", "hour": "integer"}
    space = Space(rows.filter(pa.array(flagged)).slice(0, 30), Contract(features=features), rows, kinds, model.features)
    return model, space, rows.filter(pa.array(~flagged))


@pytest.mark.parametrize(("wide", "usual"), [(1.0, 0.0), (30.0, 4.0)])
def test_changes_far_below_a_standard_deviation_are_found(wide: float, usual: float) -> None:
    """The first by taking over the row's other number; in the second that is no way, and fine steps are."""
    model, space, passing = window(wide, usual)
    assert model.flagged(space.rows).all()
    found = held(model, space, attack(model, space, passing, access="label", limit=600, seed=0))
    assert np.isfinite(found.cost).mean() > 0.9
    assert found.cost[np.isfinite(found.cost)].max() < 0.01


@pytest.mark.parametrize("most", [5, 90])
def test_joint_moves_are_cut_to_the_cheapest_of_each_row(most: int) -> None:
    rng, names = np.random.default_rng(0), ("a", "b", "c", "total")
    parts = rng.integers(0, 20, (12, 3))
    rows = pa.table({**dict(zip("abc", parts.T, strict=True)), "total": parts.sum(axis=1)})
    features = {
        n: Feature(min=0, max=60, integer=True, scale=1, cost=c) for n, c in zip(names, (1, 2, 3, 1), strict=True)
    }
    contract = Contract(features=features, constraints=("a + b + c == total",))
    space = Space(rows, contract, rows, dict.fromkeys(names, "integer"), names)
    ids, choice = joint(space, most)
    everything, every = joint(space, 10**6)
    assert (np.bincount(ids) <= most).all()
    assert len(ids) < len(everything)
    assert space.valid(space.build(ids, choice)).all()
    assert len(np.unique(np.column_stack([everything, every]), axis=0)) == len(everything)
    for row in range(space.size):
        cost, all_costs = (
            space.cost(ids[ids == row], choice[ids == row]),
            space.cost(everything[everything == row], every[everything == row]),
        )
        assert (np.diff(cost) >= 0).all()
        assert cost == pytest.approx(np.sort(all_costs)[: len(cost)])
