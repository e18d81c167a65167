"""What caught rows need to slip past: decoys, harmful moves, frozen and tied inputs, redundancy and budgets."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from attacks_tools import Flags  # noqa: E402

from assay.attacks.needs import Needs, needs  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature, Norm  # noqa: E402


def asked(
    model: Any, features: dict[str, Feature], *relations: str, budget: float = 100.0, seed: int = 0, norm: Norm = "cost"
) -> Needs:
    """Of 400 rows with whole numbers 0 to 9 in x, y and z, and `booked` and `copy` equal to x."""
    rng, n = np.random.default_rng(0), 400
    columns = {name: rng.integers(0, 10, n) for name in "xyz"}
    rows = pa.table({**columns, "booked": columns["x"], "copy": columns["x"]})
    flagged = pa.array(model.flagged(rows))
    passing = rows.filter(pa.compute.invert(flagged))
    kinds, contract = dict.fromkeys(rows.column_names, "integer"), Contract(features=features, constraints=relations)
    return needs(model, rows.filter(flagged), passing, contract, rows, kinds, budget, seed, norm)


def free(**facts: Any) -> Feature:
    return Feature(min=0, max=9, integer=True, scale=1, **facts)


def share(found: Needs) -> float:
    return float(found.permitted.sum() / found.needed.sum())


class Scored(Flags):
    """Flags what `rule` says; `score` says by how much."""

    access = "score"

    def __init__(self, features: tuple[str, ...], rule: Any, score: Any) -> None:
        super().__init__(features, rule)
        self.score = score

    def scores(self, rows: Any) -> Any:
        columns = {n: np.array(rows.column(n).to_pylist()) for n in self.features}
        side = self.score(columns) * 0.49
        return np.where(self.rule(columns), 0.5 + side, 0.49 - side)


def test_a_decoy_that_moves_the_score_and_turns_no_decision_is_never_needed() -> None:
    model = Scored(("x", "z"), lambda c: c["x"] > 4, lambda c: c["z"] / 9)
    found = asked(model, {"x": Feature(mutable=False), "z": free()})
    assert (found.changes > 0).all()
    assert found.needed[:, 1].sum() == found.permitted.sum() == 0
    assert (found.needed[:, 0] == found.changes).all()
    assert share(asked(model, {"x": free(), "z": Feature(mutable=False)})) == 1


@pytest.mark.parametrize(("way", "permitted"), [("up", 0), ("down", 1), ("both", 1)])
def test_a_move_that_only_harms_the_attacker_is_not_within_reach(way: str, permitted: float) -> None:
    model = Flags(("x",), lambda c: c["x"] > 4)
    assert share(asked(model, {"x": free(direction=way)})) == permitted


def test_an_input_frozen_by_a_column_that_is_no_input_is_needed_and_not_permitted() -> None:
    model = Flags(("x", "z"), lambda c: c["x"] > 4)
    found = asked(model, {"x": free(), "z": free()}, "x == booked")
    assert found.needed[:, 0].sum() > 100
    assert found.permitted.sum() == found.needed[:, 1].sum() == 0


@pytest.mark.parametrize(
    "facts", [{"step": 0.7, "max": 9}, {"min": 5}, {"scale": 1e-6}, {"cost": 1e6}, {"order": (9, 0)}]
)
def test_a_range_a_step_an_order_or_a_price_freezes_too(facts: dict[str, Any]) -> None:
    model = Flags(("x",), lambda c: c["x"] > 4)
    feature = Feature(**{"min": 0, **facts, **({"direction": "up", "min": None} if "order" in facts else {})})
    found = asked(model, {"x": feature})
    assert found.needed.sum() > 100
    assert share(found) < 0.1


@pytest.mark.parametrize(("budget", "permitted"), [(20, 1), (0.9, 0)])
def test_inputs_that_a_relation_ties_move_together_or_not_at_all(budget: float, permitted: float) -> None:
    model = Flags(("x", "copy", "z"), lambda c: c["x"] > 4)
    found = asked(model, {"x": free(), "copy": free(), "z": free()}, "x == copy", budget=budget)
    assert (found.needed[:, 0] == found.needed[:, 1]).all()
    assert share(found) == permitted
    assert found.needed[:, 2].sum() == 0


def test_half_of_a_tie_is_no_move() -> None:
    model = Flags(("x", "copy"), lambda c: c["x"] > 4)
    assert share(asked(model, {"x": free(), "copy": free()}, "x == copy", budget=1)) == 0  # one of the two at best
    assert share(asked(model, {"x": free(), "copy": Feature(mutable=False)}, "x == copy")) == 0


def test_where_no_single_change_turns_the_decision_all_that_is_needed_counts() -> None:
    model = Flags(("x", "y", "z"), lambda c: (c["x"] > 4) | (c["y"] > 4))
    found = asked(model, {"x": free(), "y": Feature(mutable=False), "z": free()})
    both = (found.needed[:, 0] > 0) & (found.needed[:, 1] > 0)
    assert both.sum() > 50
    assert (found.permitted[:, 0] == found.needed[:, 0]).all()
    assert found.permitted[:, 1].sum() == found.needed[:, 2].sum() == 0
    assert share(found) == pytest.approx(0.5, abs=0.05)


def test_a_needed_number_comes_back_as_near_as_it_passes_so_that_it_is_priced_by_what_is_needed() -> None:
    model = Flags(("x",), lambda c: c["x"] > 4)
    far = asked(model, {"x": free()}, budget=5)  # from 9 to 4, and from 5 to 4
    assert share(far) == 1
    near = asked(model, {"x": free()}, budget=1)
    assert share(near) == pytest.approx(0.2, abs=0.06)


def test_the_budget_is_spent_on_the_cheapest_first() -> None:
    model = Flags(("x", "y"), lambda c: (c["x"] > 4) | (c["y"] > 4))
    found = asked(model, {"x": free(cost=0.01), "y": free(cost=100)}, budget=1.0)
    assert (found.permitted[:, 0] == found.needed[:, 0]).all()
    assert found.permitted[:, 1].sum() == 0 < found.needed[:, 1].sum()


def test_a_missing_value_can_be_needed_and_is_never_permitted() -> None:
    rows = pa.table({"x": pa.array([1.0] * 20 + [None] * 20)})
    model = Flags(("x",), lambda c: np.array([v is not None for v in c["x"]]))
    contract = Contract(features={"x": Feature(min=0, max=9)})
    found = needs(model, rows[:20], rows[20:], contract, rows, {"x": "number"}, 9.0, 0)
    assert (found.needed.sum(), found.permitted.sum()) == (80, 0)


def test_a_model_that_masks_gives_no_change_to_count() -> None:
    model = Flags(("x",), lambda c: c["x"] > -1)
    rows = pa.table({"x": [1.0, 2.0, 3.0]})
    found = needs(model, rows, rows, Contract(features={"x": Feature()}), rows, {"x": "number"}, 9.0, 0)
    assert found.changes.sum() == found.needed.sum() == 0


def test_one_seed_one_answer() -> None:
    model = Flags(("x", "y", "z"), lambda c: c["x"] + c["y"] + c["z"] > 14)
    features = {name: free() for name in "xyz"}
    first, again, other = (asked(model, features, seed=seed).needed for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize(
    ("norm", "budget", "permitted"),
    [("linf", 9.0, 1.0), ("linf", 0.5, 0.0), ("l1", 18.0, 1.0), ("l1", 0.5, 0.0), ("l2", 13.0, 1.0), ("l2", 0.5, 0.0)],
)
def test_in_a_norm_the_budget_is_the_norms(norm: Norm, budget: float, permitted: float) -> None:
    model = Flags(("x", "y"), lambda c: (c["x"] > 4) | (c["y"] > 4))
    assert share(asked(model, {"x": free(), "y": free()}, budget=budget, norm=norm)) == permitted


def test_in_a_norm_two_moves_of_five_cost_five_ten_or_seven() -> None:
    """Rows whose x and y are both 9 and must both fall to 4: by the largest, the sum and the length."""
    model = Flags(("x", "y"), lambda c: (c["x"] > 4) | (c["y"] > 4))
    for norm, enough in (("linf", 5.0), ("l1", 10.0), ("l2", 50**0.5)):
        rows = pa.table({"x": [9] * 30, "y": [9] * 30})
        pool = pa.table({"x": [4] * 30, "y": [4] * 30})
        kinds = dict.fromkeys("xy", "integer")
        for budget, whole in ((enough, 1.0), (enough * 0.99, 0.0 if norm == "linf" else 0.5)):
            found = needs(
                model, rows, pool, Contract(features={"x": free(), "y": free()}), rows, kinds, budget, 0, norm
            )
            assert share(found) == whole, (norm, budget)


def test_without_a_budget_what_is_frozen_is_not_permitted() -> None:
    model = Flags(("x", "y"), lambda c: (c["x"] > 4) | (c["y"] > 4))
    found = asked(model, {"x": free(), "y": Feature(mutable=False)}, budget=np.inf, norm="linf")
    assert found.permitted[:, 0].sum() == found.needed[:, 0].sum() > 0
    assert found.permitted[:, 1].sum() == 0 < found.needed[:, 1].sum()


def test_a_model_that_looks_at_neighbours_is_told() -> None:
    class Company(Flags):
        """Flags what `rule` says, and every row that stands among fewer than three others."""

        def flagged(self, rows: Any) -> Any:
            return super().flagged(rows) | (rows.num_rows < 4)

    facts = {"x": free(), "z": free()}
    assert asked(Flags(("x", "z"), lambda c: c["x"] > 4), facts).changes.all()
    with pytest.raises(CouldNotLook, match="a row alone gets another answer than among others"):
        asked(Company(("x", "z"), lambda c: c["x"] > 4), facts)
