"""Evasion: against brute force on a small space, under every kind of constraint, and behind its sanity test."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from assay.attacks import sanity  # noqa: E402
from assay.attacks.evasion import attack  # noqa: E402
from assay.attacks.space import KEEP, Space  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

KINDS = {"amount": "integer", "hour": "integer", "shop": "category", "claims": "category", "age": "integer"}
FEATURES = {
    "amount": Feature(min=0, max=10, integer=True, direction="down", scale=2),
    "hour": Feature(min=0, max=6, step=2, scale=2),
    "shop": Feature(categories=("a", "b", "c"), cost=1.5),
    "claims": Feature(order=("none", "1", "many"), direction="up", cost=0.7),
    "age": Feature(mutable=False),
}


class Linear:
    """A model that flags a weighted sum; `column` order is irrelevant to it."""

    features = ("amount", "hour", "shop", "claims", "age")
    classes = (0, 1)
    threshold = 0.0
    access = "score"

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.w = rng.normal(size=3)
        self.shop = dict(zip("abc", rng.normal(size=3) * 2, strict=True))
        self.claims = dict(zip(("none", "1", "many"), rng.normal(size=3) * 2, strict=True))
        self.queries = 0

    def scores(self, rows: Any) -> Any:
        self.queries += rows.num_rows
        columns = rows.to_pydict()
        numbers = np.column_stack([columns["amount"], columns["hour"], columns["age"]]).astype(float)
        words = [self.shop[s] + self.claims[c] for s, c in zip(columns["shop"], columns["claims"], strict=True)]
        return (numbers - [5, 3, 40]) @ (self.w * [1, 1, 0.05]) + np.array(words)

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        return


def table(seed: int, n: int = 400) -> Any:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "amount": rng.integers(0, 11, n),
            "hour": rng.integers(0, 4, n) * 2,
            "shop": rng.choice(list("abc"), n),
            "claims": rng.choice(["none", "1", "many"], n),
            "age": rng.integers(20, 60, n),
        }
    )


def brute(model: Linear, space: Space, row: int) -> float:
    """The cheapest evasion by trying everything."""
    options = [[KEEP, *np.flatnonzero(np.isfinite(a.cost[row])).tolist()] for a in space.axes]
    choices = np.array(list(itertools.product(*options)), dtype=np.int16)
    ids = np.full(len(choices), row)
    built = space.build(ids, choices)
    cost = np.where(~model.flagged(built) & space.valid(built), space.cost(ids, choices), np.inf)
    return float(cost.min())


def spaces(seed: int, constraints: tuple[str, ...] = ()) -> tuple[Linear, Space, Any]:
    model, rows = Linear(seed), table(seed)
    flagged = model.flagged(rows)
    contract = Contract(features=FEATURES, constraints=constraints)
    chosen = rows.filter(pa.array(flagged)).slice(0, 25)
    return model, Space(chosen, contract, rows, KINDS, model.features), rows.filter(pa.array(~flagged))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("access", ["label", "score"])
def test_it_is_near_the_optimum_and_never_below(seed: int, access: str) -> None:
    model, space, passing = spaces(seed)
    found = sanity.confirm(model, space, attack(model, space, passing, access=access, limit=600, seed=seed))
    best = np.array([brute(model, space, r) for r in range(space.size)])
    assert (np.isinf(found.cost) == np.isinf(best)).mean() >= 0.9
    both = np.isfinite(found.cost) & np.isfinite(best)
    assert (found.cost[both] >= best[both] - 1e-9).all()
    if both.any():
        assert (found.cost[both] <= best[both] * 1.3 + 1e-9).mean() >= 0.85
    assert (found.queries <= 600 + 64).all()


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


def test_a_model_that_answers_at_random_is_refused() -> None:
    model, space, _ = spaces(1)
    rng = np.random.default_rng(0)
    model.scores = lambda rows: rng.random(rows.num_rows)  # type: ignore[method-assign]
    with pytest.raises(CouldNotLook, match="same row gets different scores"):
        sanity.refuse_unstable(model, space.rows)


def test_a_model_that_masks_is_refused() -> None:
    model, space, passing = spaces(1)
    remembered = {tuple(r.values()) for r in passing.to_pylist()}

    class Masking(Linear):
        def scores(self, rows: Any) -> Any:
            known = [tuple(r.values()) in remembered for r in rows.to_pylist()]
            return np.where(known, 1.0, model.scores(rows))

    with pytest.raises(CouldNotLook, match="masks its decision"):
        sanity.refuse_masking(Masking(1), space.rows, passing)


def test_a_planted_hole_is_found_and_a_blind_attack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = spaces(2)
    sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=0)

    def blind(predictor: Any, space: Space, passing: Any, **_: Any) -> Any:
        return sanity.Evaded(np.full(space.size, np.inf), space.keep(space.size), np.zeros(space.size))

    monkeypatch.setattr(sanity, "attack", blind)
    with pytest.raises(CouldNotLook, match="was not found"):
        sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=0)


def test_an_example_that_does_not_hold_is_no_result() -> None:
    model, space, passing = spaces(4)
    found = attack(model, space, passing, access="label", limit=300, seed=0)
    lie = sanity.Evaded(np.zeros(space.size), space.keep(space.size), found.queries)
    with pytest.raises(CouldNotLook, match="do not hold"):
        sanity.confirm(model, space, lie)


def test_nothing_to_change_is_said() -> None:
    rows = table(1)
    with pytest.raises(CouldNotLook, match="change nothing"):
        Space(rows, Contract(features={"age": Feature(mutable=False)}), rows, KINDS, Linear.features)


def test_missing_values_are_left_alone() -> None:
    rows = pa.table({"amount": pa.array([None, 3, 9], pa.int64()), "shop": pa.array(["a", None, "b"])})
    features = {"amount": Feature(min=0, max=10, integer=True), "shop": Feature()}
    space = Space(rows, Contract(features=features), rows, KINDS, ("amount", "shop"))
    assert np.isinf(space.axes[0].cost[0]).all()
    assert np.isinf(space.axes[1].cost[1]).all()
    moved = space.keep(3)
    moved[2, 0] = int(np.flatnonzero(np.isfinite(space.axes[0].cost[2]))[0])
    assert space.build(np.arange(3), moved).column("amount").to_pylist()[:2] == [None, 3]
