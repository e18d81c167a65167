"""Transfer: copies lead to changes that the real model lets pass, every query is counted, and refusals are clear."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("lightgbm")
pytest.importorskip("onnxruntime")

from attacks_tools import Flags, spaces  # noqa: E402
from networks_tools import names, served, space_of, weights  # noqa: E402

from assay.attacks import sanity, transfer  # noqa: E402
from assay.attacks.attacked import Attacked, confirmed  # noqa: E402
from assay.attacks.gradient.attack import attack_gradient  # noqa: E402
from assay.attacks.priced.search import attack  # noqa: E402
from assay.attacks.space import Space  # noqa: E402
from assay.attacks.strike import Asked, _nearer, _stronger, struck  # noqa: E402
from assay.attacks.transfer import HEARD, UnlearntError, attack_transfer  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

LIMIT = 150


@pytest.mark.heavy
@pytest.mark.parametrize("norm", ["cost", "l2"])
def test_copies_come_near_what_gradients_find(norm: Any) -> None:
    model = served(weights(3, (6, 12, 1)))
    space, passing = space_of(model, 3, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=6)
    asked = model.queries
    found = attack_transfer(model, space, passing, norm, limit=LIMIT, seed=1)
    assert (found.queries <= LIMIT).all()
    assert model.queries - asked == found.queries.sum() + HEARD, "and rows that are asked again alone"
    found = confirmed(model, space, found, norm)
    near = attack_gradient(model, space, passing, norm, np.inf).distance
    there = np.isfinite(found.distance)
    assert there.mean() >= 0.9
    assert (found.distance[there] / near[there]).mean() <= 1.6
    assert not found.bound.any()


@pytest.mark.parametrize("access", [pytest.param("score", marks=pytest.mark.heavy), "label"])
def test_levels_grids_and_relations_hold(access: Any) -> None:
    model, space, passing = spaces(2, ("amount + hour < 15",))
    model.access = access
    found = confirmed(model, space, attack_transfer(model, space, passing, "cost", limit=40), "cost")
    assert np.isfinite(found.distance).any()
    again = attack_transfer(model, space, passing, "cost", limit=40)
    assert np.array_equal(again.distance, found.distance)


@pytest.mark.parametrize("access", [pytest.param("score", marks=pytest.mark.heavy), "label"])
def test_a_listed_word_that_no_answer_holds_is_a_move_all_the_same(access: Any) -> None:
    """A drafted contract lists what the training rows hold; the copy's few lessons may lack some of it."""
    shops = tuple("abcdefgh")
    rng = np.random.default_rng(4)
    rows = pa.table({"amount": rng.normal(size=300), "shop": rng.choice(list("abc"), 300)})
    model = Flags(("amount", "shop"), lambda c: (c["amount"] > 0.5) & (c["shop"] != "h"))
    model.access = access
    contract = Contract(features={"amount": Feature(mutable=False), "shop": Feature(categories=shops)})
    flagged = model.flagged(rows)
    space = Space(rows.filter(pa.array(flagged)).slice(0, 20), contract, rows, {"shop": "category"}, model.features)
    found = attack_transfer(model, space, rows.filter(pa.array(~flagged)), "cost", limit=LIMIT)
    held = confirmed(model, space, found, "cost")
    assert np.isin(held.distance, (1.0, np.inf)).all(), "one change of a category, or none was found"


def test_too_few_answers_teach_nothing() -> None:
    model, space, passing = spaces(1)
    with pytest.raises(CouldNotLook, match="too few"):
        attack_transfer(model, space, passing, "cost", limit=1)


class Told:
    """A model that writes down what its scores were used for."""

    def __init__(self, model: Any) -> None:
        self.model, self.shown = model, 0
        self.features, self.classes, self.threshold, self.access = model.features, (0, 1), model.threshold, "score"

    @property
    def queries(self) -> int:
        return int(self.model.queries)

    def scores(self, rows: Any) -> Any:
        self.shown += rows.num_rows
        return self.model.scores(rows)

    def flagged(self, rows: Any) -> Any:
        return self.model.flagged(rows)


class Liar(Told):
    """Flags every second row that is asked among others."""

    def scores(self, rows: Any) -> Any:
        told = np.array(super().scores(rows))
        told[1::2] = 0.99
        return told

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold


def test_a_model_that_looks_at_neighbours_is_told() -> None:
    model = Liar(served(weights(3, (6, 12, 1))))
    space, passing = space_of(model.model, 3, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=6)
    with pytest.raises(CouldNotLook, match="a row alone gets another answer than among others"):
        attack_transfer(model, space, passing, "cost", limit=120, seed=1)


def test_no_row_asks_more_than_its_own_limit_and_every_answer_is_counted() -> None:
    model = served(weights(3, (6, 12, 1)))
    space, passing = space_of(model, 3, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=6)
    limit, asked = np.array([0, 7, 33, 60, 90, 151]), model.queries
    found = attack_transfer(model, space, passing, "cost", limit=limit, seed=1)
    assert (found.queries <= limit).all()
    assert model.queries - asked == found.queries.sum() + HEARD, "and rows that are asked again alone"
    assert np.isinf(found.distance[0]), "it may ask nothing"
    with pytest.raises(UnlearntError, match="too few") as few:
        attack_transfer(model, space, passing, "cost", limit=np.array([0, 0, 0, 0, 0, 40]))
    assert few.value.queries.tolist() == [0] * 6


@pytest.mark.parametrize("access", ["label", pytest.param("score", marks=pytest.mark.heavy)])
def test_a_search_by_price_asks_no_row_more_than_its_limit_copies_included(access: Any) -> None:
    model = served(weights(5, (6, 12, 1)))
    space, passing = space_of(model, 5, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=12)
    against = (Contract(features={n: Feature(min=-3.0, max=3.0) for n in names(6)}), space.rows,
               dict.fromkeys(names(6), "number"), model.features)  # fmt: skip
    _, found = struck(model, space.rows, passing, against, Asked("cost", access, np.inf, 120, 1))
    assert (found.queries <= 120).all()
    assert (found.queries > 90).any(), "copies were asked"


@pytest.mark.parametrize("fails", [0, 120, 121], ids=["never", "short", "always"])
def test_where_the_search_cannot_spare_queries_it_has_them_all(monkeypatch: pytest.MonkeyPatch, fails: int) -> None:
    """With a quarter less its sanity test failed on wide tables, so that the default attack said nothing of them."""
    model = served(weights(5, (6, 12, 1)))
    features = {n: Feature(min=-3.0, max=3.0) for n in names(6)}
    space, passing = space_of(model, 5, features, rows=6)
    limits = []

    def blind(*_: Any, limit: int, **__: Any) -> None:
        limits.append(limit)
        if limit < fails:
            raise sanity.BlindError("the sanity test failed; raise `queries:`")

    monkeypatch.setattr(sanity, "refuse_blind", blind)
    against = (Contract(features=features), space.rows, dict.fromkeys(names(6), "number"), model.features)
    asked = Asked("cost", "label", np.inf, 120, 1)
    if fails > 120:
        with pytest.raises(CouldNotLook, match=r"raise `queries:` \(`--queries`\): it passes with 240"):
            struck(model, space.rows, passing, against, asked)
        limits.pop()
    else:
        _, found = struck(model, space.rows, passing, against, asked)
        assert (found.queries <= 120).all()
        alone = attack(model, Space(space.rows, *against), passing, access="label", limit=120, seed=1).cost
        assert not fails or np.isfinite(found.distance).sum() >= np.isfinite(alone).sum()
    assert limits == ([90, 120] if fails else [90])


def test_where_copies_cannot_be_attacked_the_search_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that trees do not read as numbers was told as a model that no access can attack."""
    model = served(weights(5, (6, 12, 1)))
    features = {n: Feature(min=-3.0, max=3.0) for n in names(6)}
    space, passing = space_of(model, 5, features, rows=6)

    def none(*_: Any) -> None:
        raise CouldNotLook("its order is not that of the numbers")

    monkeypatch.setattr(transfer, "_candidates", none)
    against = (Contract(features=features), space.rows, dict.fromkeys(names(6), "number"), model.features)
    _, found = struck(model, space.rows, passing, against, Asked("cost", "label", 0.1, 120, 1))
    alone = attack(model, Space(space.rows, *against), passing, access="label", limit=90, seed=1)
    assert found.distance.tolist() == alone.cost.tolist()
    assert (alone.queries < found.queries).any(), "what the lesson asked is counted all the same"
    assert (found.queries <= 120).all()
    with pytest.raises(UnlearntError, match="copies of the model cannot be attacked: its order"):
        attack_transfer(model, Space(space.rows, *against), passing, "cost", limit=120)


@pytest.mark.parametrize("copy", ["_past_network", "_past_trees"])
def test_what_one_copy_leads_to_counts_without_the_other(monkeypatch: pytest.MonkeyPatch, copy: str) -> None:
    model = served(weights(5, (6, 12, 1)))
    space, passing = space_of(model, 5, {n: Feature(min=-3.0, max=3.0) for n in names(6)}, rows=6)

    def none(*_: Any) -> None:
        raise CouldNotLook("300 words are more than 64 groups")

    monkeypatch.setattr(transfer, copy, none)
    found = attack_transfer(model, space, passing, "l2", limit=LIMIT, seed=1)
    assert np.isfinite(found.distance).mean() > 0.5


@pytest.mark.parametrize(
    ("one", "other", "stronger"),
    [
        ([1.0, 4.0], [2.0, 2.5], 1),
        ([1.0, 2.0], [0.1, 9.0], 0),
        ([1.0, 2.0], [0.9, 2.0], 1),
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, np.inf], [2.0, 4.0], 0),
        ([np.inf, np.inf], [2.0, 4.0], 1),
    ],
)
def test_of_two_attackers_the_one_is_told_that_leaves_fewer_rows(one: Any, other: Any, stronger: int) -> None:
    both = [
        Attacked(np.array(d), np.zeros(2), np.full(2, 9), pa.table({"a": [k, k]})) for k, d in enumerate((one, other))
    ]
    assert _stronger(*both, 3.0) is both[stronger]


def test_of_two_attacks_each_row_keeps_the_nearer_find() -> None:
    rows = [pa.table({"a": [10 * k + i for i in range(n)]}) for k, n in ((1, 4), (2, 2))]
    one = Attacked(np.array([1.0, 5.0, np.inf, 2.0]), np.zeros(4), np.full(4, 90), rows[0])
    other = Attacked(np.array([3.0, np.inf]), np.zeros(2), np.array([7, 9]), rows[1])
    both = _nearer(one, np.array([1, 2]), other)
    assert both.distance.tolist() == [1.0, 3.0, np.inf, 2.0]
    assert both.queries.tolist() == [90, 97, 99, 90]
    assert both.table.column("a").to_pylist() == [10, 20, 12, 13]


def test_with_labels_no_score_is_looked_at() -> None:
    told = Told(served(weights(3, (4, 8, 1))))
    space, passing = space_of(told, 3, {n: Feature(min=-3.0, max=3.0) for n in names(4)}, rows=3)
    told.shown = 0
    attack_transfer(told, space, passing, "l2", limit=40, access="label")
    assert told.shown == 0
    attack_transfer(told, space, passing, "l2", limit=40, access="score")
    assert told.shown > 0


@pytest.mark.parametrize("norm", ["l1", *(pytest.param(n, marks=pytest.mark.heavy) for n in ("linf", "l2", "cost"))])
def test_one_call_makes_it_in_every_norm(norm: Any) -> None:
    model = served(weights(3, (4, 8, 1)))
    features = {n: Feature(min=-3.0, max=3.0) for n in names(4)}
    space, passing = space_of(model, 3, features, rows=5)
    against = (Contract(features=features), space.rows, dict.fromkeys(names(4), "number"), model.features)
    asked = Asked(norm, "score", np.inf, 80, 1, method="transfer")
    before = model.queries
    space, found = struck(model, space.rows, passing, against, asked)
    assert np.isfinite(found.distance).mean() >= 0.75
    asked_of_it = model.queries - before
    assert found.queries.sum() <= asked_of_it <= found.queries.sum() + 100, "its sanity test is asked besides"
