"""The terms in words: everything that could flatter a figure is named, long lists are cut and counted."""

from __future__ import annotations

from assay.core.release import Terms
from assay.core.subject import Attacker, Contract, Feature
from assay.core.terms import MOST, told


def said(terms: Terms) -> dict[str, str]:
    return dict(told(terms))


def test_each_bound_and_price_is_named() -> None:
    features = {
        "sum": Feature(direction="up", min=0.0, max=500.0, step=5.0, cost=2.0, scale=100.0),
        "age": Feature(mutable=False),
        "area": Feature(order=("rural", "urban")),
        "late": Feature(max=9.0),
        "free": Feature(),
    }
    words = said(Terms(contract=Contract(features=features, constraints=("paid <= sum",))))
    assert words["attacker"] == (
        "can change 4 of 5 declared columns: sum (only up, 0 to 500, steps of 5, cost 2 per 100), area (2 categories), "
        "late (any to 9), free"
    )
    assert (words["fixed"], words["constraints"]) == ("age", "paid <= sum")


def test_what_categories_cost_is_shown_to_who_approves() -> None:
    never = Feature(categories=("a", "b"), costs={"a": None, "b": None})
    some = Feature(categories=("a", "b", "c"), costs={"a": None, "b": 1e9, "c": 2.0})
    words = said(Terms(contract=Contract(features={"x": never, "y": some})))["attacker"]
    assert "x (2 categories, never into 2 of them)" in words
    assert "y (3 categories, 2 to 1e+09 into 2 of them, never into 1 of them)" in words


def test_facts_read_alike_from_a_manifest_and_from_json() -> None:
    ours = said(Terms(model={"positive": 1}, reads={"data": {"drop": ("a", "b"), "label": "y"}}))  # type: ignore[dict-item]
    theirs = said(Terms(model={"positive": 1}, reads={"data": {"drop": ["a", "b"], "label": "y"}}))
    assert ours == theirs
    assert ours["data"] == "drop [a, b], label y"
    assert ours["model"] == "positive 1"


def test_the_models_positive_class_names_the_labels_that_stand_for_it() -> None:
    reads = {"data": {"label": "y", "positive": ">50K"}, "holdout": {"label": "y", "positive": ">50K"}}
    words = said(Terms(model={"latency": 50.0, "positive": 1}, reads=reads))  # type: ignore[arg-type]
    assert words["model"] == "latency 50.0, positive 1 (>50K in its data)"
    alike = said(Terms(model={"positive": 1}, reads={"data": {"label": "y", "positive": 1}}))
    assert alike["model"] == "positive 1"


def test_nothing_said_is_said() -> None:
    assert said(Terms()) == {
        "terms": Terms().digest,
        "attacker": "nothing is said of what an attacker can change",
    }


def test_long_lists_are_cut_and_counted() -> None:
    features = {f"f{i}": Feature(mutable=i % 2 == 0) for i in range(100)}
    words = said(Terms(contract=Contract(features=features)))
    assert words["attacker"].endswith(f"and {50 - MOST} more")
    assert words["fixed"].endswith(f"and {50 - MOST} more")


def test_an_attack_that_the_manifest_chose_is_shown_to_who_approves() -> None:
    chosen = Attacker(access="whitebox", norm="linf", budget=0.0001)
    words = said(Terms(contract=Contract(attacker=chosen)))
    assert words["attack"] == "access whitebox, norm linf, budget 0.0001", "who has the model asks nothing of it"
    asking = said(Terms(contract=Contract(attacker=Attacker(access="score"))))
    assert asking["attack"] == "access score, 600 queries a row, norm cost, budget default"
    assert "attack" not in said(Terms())
