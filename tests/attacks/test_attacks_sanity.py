"""The sanity test: what an attack must find, and the crippled attacks and deceitful models that it must refuse."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from attacks_tools import Flags, Linear, held, mixed, spaces  # noqa: E402

from assay.attacks import sanity  # noqa: E402
from assay.attacks.priced.search import Evaded, Search, attack  # noqa: E402
from assay.attacks.relations import satisfied  # noqa: E402
from assay.attacks.space import KEEP, Space  # noqa: E402
from assay.config.constraints import Constraint  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

Attack = Callable[..., Evaded]
RELATIONS = ("hour <= amount or shop == 'a'", "amount + hour < 15")


def numbers(seed: int, count: int = 10, **contract: Any) -> tuple[Any, Space, Any]:
    """A model on continuous columns, whose values differ in every row."""
    rng = np.random.default_rng(seed)
    names = tuple(f"x{i}" for i in range(count))
    weights = rng.normal(size=count)
    rows = pa.table({n: rng.normal(size=500) for n in names})
    model = Flags(names, lambda c: np.column_stack([c[n] for n in names]) @ weights > 0)
    flagged = model.flagged(rows)
    kinds = dict.fromkeys(names, "number")
    features = {n: Feature(**contract) for n in names}
    space = Space(rows.filter(pa.array(flagged)).slice(0, 24), Contract(features=features), rows, kinds, names)
    return model, space, rows.filter(pa.array(~flagged))


def without(mask: Callable[[Space], Any]) -> Attack:
    """The attack, blind to the moves (n, m, k) of a mask."""

    def blind(predictor: Any, space: Space, passing: Any, **options: Any) -> Evaded:
        less = copy(space)
        less.costs = np.where(mask(space), np.inf, space.costs)
        return attack(predictor, less, passing, **options)

    return blind


def singles_only(predictor: Any, space: Space, passing: Any, *, access: str, limit: int, seed: int) -> Evaded:
    search = Search(predictor, space, passing, access, limit, seed)
    search.singles()
    return Evaded(search.best, search.choice, search.queries)


def five_queries(predictor: Any, space: Space, passing: Any, **options: Any) -> Evaded:
    return attack(predictor, space, passing, **{**options, "limit": 5})


def at_random(predictor: Any, space: Space, passing: Any, *, access: str, limit: int, seed: int) -> Evaded:
    search = Search(predictor, space, passing, access, 12, seed)
    ids = np.repeat(np.arange(space.size), 12)
    search.ask(ids, search._varied(ids, space.keep(len(ids))))
    return Evaded(search.best, search.choice, search.queries)


def nothing(predictor: Any, space: Space, passing: Any, **_: Any) -> Evaded:
    return Evaded(np.full(space.size, np.inf), space.keep(space.size), np.zeros(space.size))


def too_dear(predictor: Any, space: Space, passing: Any, **options: Any) -> Evaded:
    """Finds all, but the dearest of what it could: it borrows whole rows and takes nothing back."""
    search = Search(predictor, space, passing, options["access"], options["limit"], options["seed"])
    search.reduce = lambda *_: None  # type: ignore[method-assign]
    search.borrow(range(40), lambda *_: None)
    return Evaded(search.best, search.choice, search.queries)


def staged(skipped: tuple[str, ...] = (), combinations: Callable[[Search], None] | None = None) -> Attack:
    """The attack without some of its stages, or with another search for combinations."""

    def run(predictor: Any, space: Space, passing: Any, *, access: str, limit: int, seed: int) -> Evaded:
        search = Search(predictor, space, passing, access, limit, seed)
        if combinations is not None:
            search.combinations = lambda *_: combinations(search)  # type: ignore[method-assign]
        for name, stage in search.stages(lambda *_: None):
            if name not in skipped:
                stage()
        return search.found()

    return run


def pairs_of_ends(search: Search) -> None:
    """Two features at a time, each at an end of its range (or at any category), then taken back as far as it goes."""
    space, ids, choices = search.space, [], []
    for row in range(space.size):
        costs, sides = search.alone[row], space.sides[row]
        ends = [(j, int(k)) for j, a in enumerate(space.axes) if not a.ordered for k in np.flatnonzero(costs[j] < 99)]
        for j, axis in enumerate(space.axes):
            reach = [np.where((sides[j] == side) & np.isfinite(costs[j]), costs[j], -1.0) for side in (-1, 1)]
            ends += [(j, int(r.argmax())) for r in reach if axis.ordered and r.max() > 0]
        for first, second in itertools.combinations(ends, 2):
            choice = space.keep(1)[0]
            choice[[first[0], second[0]]] = first[1], second[1]
            if first[0] != second[0]:
                ids.append(row)
                choices.append(choice)
    asked, choice = np.array(ids, dtype=int), search._array(choices)
    evades, _ = search.ask(asked, choice)
    search.reduce(asked[evades], choice[evades])


def nearest_moves_only(search: Search) -> None:
    """Combinations of each feature's cheapest move, nothing else of it."""
    space = search.space
    less = copy(space)
    usual = space.usual()
    less.costs = np.where(usual > usual.min(axis=2, keepdims=True), np.inf, usual)
    search.space = less
    Search.combinations(search, lambda *_: None)
    search.space = space


NO_COMBINATIONS = {
    "no combinations": staged(("combinations",)),
    "values of donors only": staged(("combinations", "exchange", "ends")),
    "pairs of ends only": staged(combinations=pairs_of_ends),
    "nearest moves only": staged(combinations=nearest_moves_only),
}
UNORDERED = without(lambda s: np.array([not a.ordered for a in s.axes])[:, None] & np.isfinite(s.costs))
CRIPPLED: dict[str, Attack] = {
    "singles only": singles_only,
    "no categories": UNORDERED,
    "never up": without(lambda s: s.sides == 1),
    "never down": without(lambda s: s.sides == -1),
    "one feature forgotten": without(lambda s: np.arange(len(s.axes))[:, None] == 1),
    "five queries": five_queries,
    "at random": at_random,
    "nothing": nothing,
    "too dear": too_dear,
}


@pytest.mark.parametrize("access", ["label", "score"])
@pytest.mark.parametrize("relations", [(), RELATIONS])
@pytest.mark.parametrize("seed", range(3))
def test_the_attack_finds_the_holes_in_a_small_space(seed: int, relations: tuple[str, ...], access: str) -> None:
    model, space, passing = spaces(seed, relations)
    before = model.queries
    assert sanity.refuse_blind(model, space, passing, access=access, limit=300, seed=seed) is None
    assert (model.queries > before) == (access == "score")  # with labels only the holes say all there is to say


@pytest.mark.heavy
@pytest.mark.parametrize("seed", [0, 1])
def test_the_attack_finds_the_holes_where_no_two_rows_share_a_value(seed: int) -> None:
    model, space, passing = numbers(seed)
    assert not any((a.codes == a.codes[:1]).all() and a.cost.shape[1] < 20 for a in space.axes)
    assert sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=seed) is None
    model, space, passing = numbers(seed, 30, direction="up")
    assert sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=seed) is None


@pytest.mark.parametrize("cripple", CRIPPLED)
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(s, marks=pytest.mark.heavy) for s in (2, 3))])
def test_a_crippled_attack_is_refused(seed: int, cripple: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = spaces(seed)
    monkeypatch.setattr(sanity, "attack", CRIPPLED[cripple])
    with pytest.raises(CouldNotLook, match="were not found at their cost"):
        sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=seed)


@pytest.mark.parametrize("cripple", [n for n in CRIPPLED if n != "no categories"])
def test_a_crippled_attack_is_refused_among_numbers_too(cripple: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = numbers(1)
    monkeypatch.setattr(sanity, "attack", CRIPPLED[cripple])
    with pytest.raises(CouldNotLook, match="were not found at their cost"):
        sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=1)


SPACES: dict[str, Callable[[int], tuple[Any, Space, Any]]] = {
    "small": spaces,
    "small, with relations": lambda seed: spaces(seed, RELATIONS),
    "numbers": numbers,
    "many numbers, upwards only": lambda seed: numbers(seed, 30, direction="up"),
    "mixed": mixed,
}


def refused(attack_: Attack, where: str, seed: int, access: str = "label", limit: int = 600) -> bool:
    """Whether the sanity test refuses an attack on one of the spaces."""
    model, space, passing = SPACES[where](seed)
    kept, sanity.attack = sanity.attack, attack_
    try:
        sanity.refuse_blind(model, space, passing, access=access, limit=limit, seed=seed)
    except CouldNotLook as why:
        return "were not found at their cost" in str(why)
    finally:
        sanity.attack = kept
    return False


def usable(where: str, count: int) -> list[int]:
    """The first seeds whose space has rows to borrow from: the check asks for 10 before it attacks."""
    found = (seed for seed in itertools.count() if SPACES[where](seed)[2].num_rows >= 10)
    return list(itertools.islice(found, count))


@pytest.mark.parametrize(
    "where",
    [
        "small, with relations", "numbers",
        *(pytest.param(w, marks=pytest.mark.heavy) for w in ("small", "many numbers, upwards only")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cripple", NO_COMBINATIONS)
@pytest.mark.parametrize("seeds", [1, pytest.param(20, marks=pytest.mark.heavy)])
def test_an_attack_that_does_not_search_combinations_is_refused(where: str, cripple: str, seeds: int) -> None:
    assert [seed for seed in usable(where, seeds) if not refused(NO_COMBINATIONS[cripple], where, seed)] == []


@pytest.mark.parametrize(
    ("where", "seeds"),
    [
        ("mixed", 1),
        *(pytest.param(*w, marks=pytest.mark.heavy) for w in (("numbers", 1), ("small", 200), ("mixed", 200))),
    ],
)
def test_the_attack_itself_is_never_refused(where: str, seeds: int) -> None:
    tried = [(seed, access) for seed in usable(where, seeds) for access in ("label", "score")]
    assert [one for one in tried if refused(attack, where, *one)] == []


def tie(relation: str, draw: Callable[[Any, int], tuple[Any, Any]]) -> Callable[[int], tuple[Any, Space, Any]]:
    """Two dear inputs tied by a relation, among eight cheap ones that are not."""

    def make(seed: int) -> tuple[Any, Space, Any]:
        rng, n = np.random.default_rng(seed), 300
        x, y = draw(rng, n)
        columns = {"x": x, "y": y, **{f"z{i}": rng.integers(0, 10, n) for i in range(8)}}
        rows = pa.table(columns)
        rows = rows.filter(pa.array(satisfied([Constraint(relation)], rows)))
        dear, cheap = (Feature(min=0, max=9, integer=True, scale=s, cost=c) for s, c in ((1, 3.0), (9, 0.1)))
        features = {name: dear if name in "xy" else cheap for name in columns}
        model = Flags(tuple(columns), lambda c: c["x"] < 8)
        contract = Contract(features=features, constraints=(relation,))
        space = Space(rows.slice(1, 24), contract, rows, dict.fromkeys(columns, "integer"), model.features)
        return model, space, rows.slice(30, 100)

    return make


SPACES["equal"] = tie("x == y", lambda rng, n: (lambda v: (v, v))(rng.integers(0, 6, n)))
SPACES["a sum"] = tie("x + y <= 10", lambda rng, n: (rng.integers(4, 6, n), rng.integers(4, 6, n)))


@pytest.mark.parametrize("where", [pytest.param("equal", marks=pytest.mark.heavy), "a sum"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.heavy) for seed in range(1, 6))])
def test_an_attack_that_moves_no_tied_inputs_together_is_refused(seed: int, where: str) -> None:
    assert refused(staged(("tied",)), where, seed)
    assert not refused(staged(), where, seed)


@pytest.mark.parametrize("where", ["numbers", "mixed"])
def test_an_attack_without_fine_moves_is_refused(where: str) -> None:
    assert [seed for seed in usable(where, 1) if not refused(staged(("fine", "fine, the rest")), where, seed)] == []


def test_the_stages_of_the_tests_are_those_of_the_attack() -> None:
    model, space, passing = spaces(1, RELATIONS)
    whole, by_stage = (a(model, space, passing, access="score", limit=200, seed=3) for a in (attack, staged()))
    assert (whole.cost == by_stage.cost).all()
    assert (whole.queries == by_stage.queries).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_hole_of_several_changes_costs_what_brute_force_finds(seed: int) -> None:
    _, space, _ = spaces(seed, RELATIONS)
    holes, least = sanity._together(space, 90, np.random.default_rng(seed))
    planted = np.flatnonzero(np.isfinite(least))
    assert len(planted) > 15
    assert len({tuple(sorted(set(holes.j[row].tolist()))) for row in planted}) >= 4
    assert {len(set(holes.j[row].tolist())) for row in planted} <= {2, 3}
    for row in planted[:5].tolist():
        options = [[KEEP, *np.flatnonzero(np.isfinite(a.cost[row])).tolist()] for a in space.axes]
        every = np.array(list(itertools.product(*options)), dtype=np.int16)
        ids = np.full(len(every), row)
        built = space.build(ids, every)
        codes = np.array([a.place(built.column(a.name).to_pylist()) for a in space.axes])
        inside = holes.met(ids, codes).all(axis=1) & space.valid(built)
        assert ((every[inside] != KEEP).sum(axis=1) >= 2).all()
        assert space.cost(ids, every)[inside].min() == pytest.approx(least[row])


def test_singles_alone_pass_the_single_holes_and_fail_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = spaces(2)
    monkeypatch.setattr(sanity, "attack", singles_only)
    with pytest.raises(CouldNotLook, match="two changes away"):
        sanity.refuse_blind(model, space, passing, access="label", limit=600, seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_known_costs_of_planted_holes_are_right(seed: int) -> None:
    """Against every choice of up to two moves: no single move reaches a pair's hole, and no pair is cheaper."""
    _, space, _ = spaces(seed, RELATIONS)
    can = space.possible()
    holes, least = sanity._singles(space, can, 100, np.random.default_rng(seed))
    for these, costs, moves in [
        (holes, least, 1),
        *((h, c, 2) for h, c in sanity._pairs(space, can, np.random.default_rng(seed))),
    ]:
        assert np.isfinite(costs).any()
        for row in np.flatnonzero(np.isfinite(costs))[:6]:
            single = [(j, k) for j, k in np.argwhere(np.isfinite(space.costs[row]))]
            choices = [space.keep(1)[0] for _ in single]
            for choice, (j, k) in zip(choices, single, strict=True):
                choice[j] = k
            pairs = [np.maximum(a, b) for i, a in enumerate(choices) for b in choices[:i] if ((a < 0) | (b < 0)).all()]
            for count, tried in ((1, np.array(choices)), (2, np.array(pairs))):
                ids = np.full(len(tried), row)
                built = space.build(ids, tried)
                codes = np.array([a.place(built.column(a.name).to_pylist()) for a in space.axes])
                inside = these.met(ids, codes).all(axis=1) & space.valid(built)
                if count < moves:
                    assert not inside.any()
                elif count == moves:
                    assert space.cost(ids, tried)[inside].min() == pytest.approx(costs[row])


def test_every_kind_of_hole_is_planted() -> None:
    _, space, _ = spaces(1)
    holes, least = sanity._singles(space, space.possible(), 100, np.random.default_rng(0))
    planted = {(int(s), space.axes[int(j)].name) for j, s in zip(holes.j[:, 0], holes.side[:, 0], strict=True)}
    assert {s for s, _ in planted} == {-1, 0, 1}
    assert {n for _, n in planted} == {"amount", "hour", "shop", "claims"}
    assert np.isfinite(least).sum() > 20


def test_where_no_single_change_keeps_the_relations_no_hole_can_be_planted() -> None:
    rows = pa.table({"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]})
    model = Flags(("x", "y"), lambda c: c["x"] < 9)
    contract = Contract(features={"x": Feature(), "y": Feature()}, constraints=("x == y",))
    space = Space(rows, contract, rows, {"x": "number", "y": "number"}, ("x", "y"))
    with pytest.raises(CouldNotLook, match="could not plant a hole"):
        sanity.refuse_blind(model, space, rows, access="label", limit=100, seed=0)


def test_a_model_that_answers_at_random_is_refused() -> None:
    model, space, _ = spaces(1)
    rng = np.random.default_rng(0)
    model.scores = lambda rows: rng.random(rows.num_rows)  # type: ignore[method-assign]
    with pytest.raises(CouldNotLook, match="same row gets different scores"):
        sanity.refuse_unstable(model, space.rows)


def test_a_model_that_masks_is_refused() -> None:
    model, space, passing = spaces(1)
    remembered = {tuple(r[n] for n in Linear.features) for r in passing.to_pylist()}

    class Masking(Linear):
        def scores(self, rows: Any) -> Any:
            known = [tuple(r[n] for n in Linear.features) in remembered for r in rows.to_pylist()]
            return np.where(known, 1.0, model.scores(rows))

    with pytest.raises(CouldNotLook, match="masks its decision"):
        sanity.refuse_masking(Masking(1), space.rows, passing)
    assert sanity.refuse_masking(model, space.rows, passing) is None


def test_scores_of_a_model_that_gives_labels_are_not_asked_for() -> None:
    model, _, _ = numbers(0)
    with pytest.raises(CouldNotLook, match="labels only"):
        sanity.refuse_access(model, "score")
    assert sanity.refuse_access(model, "label") is None
    assert sanity.refuse_access(Linear(0), "score") is None


def test_an_attack_that_misses_what_borrowed_values_reach_is_refused() -> None:
    model, space, passing = spaces(0)
    found = attack(model, space, passing, access="label", limit=300, seed=0)
    assert sanity.refuse_missed(model, space, found, passing, 0) is None
    missed = Evaded(np.where(np.arange(space.size) == 3, np.inf, found.cost), found.choice, found.queries)
    with pytest.raises(CouldNotLook, match="1 of 25 rows pass with permitted values"):
        sanity.refuse_missed(model, space, missed, passing, 0)


@pytest.mark.parametrize("relations", [(), RELATIONS])
def test_borrowed_values_keep_directions_ranges_and_relations(relations: tuple[str, ...]) -> None:
    _, space, passing = spaces(1, relations)
    codes = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    ids = np.repeat(np.arange(space.size), 20)
    rows = space.overwritten(ids, codes[np.random.default_rng(0).integers(len(codes), size=len(ids))])
    assert np.isfinite(space.price(ids, rows)).all()
    assert (space.price(ids, rows) > 0).mean() > 0.8


def test_scores_that_mislead_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model, space, passing = spaces(1)
    assert sanity.refuse_masked_scores(model, space, passing, limit=300, seed=0) is None

    def misled(predictor: Any, space: Space, passing: Any, *, access: str, **options: Any) -> Evaded:
        found = attack(predictor, space, passing, access="label", **options)
        lost = np.arange(space.size) < (7 if access == "score" else 0)
        return Evaded(np.where(lost, np.inf, found.cost), found.choice, found.queries)

    monkeypatch.setattr(sanity, "attack", misled)
    with pytest.raises(CouldNotLook, match="worse than with labels in 7 of 25"):
        sanity.refuse_masked_scores(model, space, passing, limit=300, seed=0)


def test_scores_that_say_nothing_do_no_harm() -> None:
    """A step for a score: every gradient is flat, and the attack must not lose by it."""
    model, space, passing = spaces(3)
    score = model.scores
    model.scores = lambda rows: np.where(score(rows) >= 0, 1.0, -1.0)  # type: ignore[method-assign]
    label = attack(model, space, passing, access="label", limit=300, seed=0)
    flat = attack(model, space, passing, access="score", limit=300, seed=0)
    assert flat.cost == pytest.approx(label.cost)
    assert sanity.refuse_masked_scores(model, space, passing, limit=300, seed=0) is None


@pytest.mark.parametrize("lie", ["free", "cheaper", "flagged"])
def test_an_example_that_does_not_hold_is_no_result(lie: str) -> None:
    model, space, passing = spaces(4)
    found = attack(model, space, passing, access="label", limit=300, seed=0)
    assert held(model, space, found) is found
    wrong = {
        "free": Evaded(np.zeros(space.size), space.keep(space.size), found.queries),
        "cheaper": Evaded(found.cost * 0.9, found.choice, found.queries),
        "flagged": nothing(model, space, passing),
    }[lie]
    if lie == "flagged":
        choice = space.keep(space.size)
        rows = np.arange(space.size)
        choice[:, 0] = np.argmin(space.costs[:, 0], axis=1)
        ok = np.isfinite(space.cost(rows, choice)) & model.flagged(space.build(rows, choice))
        assert ok.any()
        wrong = Evaded(np.where(ok, space.cost(rows, choice), np.inf), choice, found.queries)
    with pytest.raises(CouldNotLook, match="do not hold"):
        held(model, space, wrong)


class Company(Linear):
    """Flags whatever is asked beside another row, and answers honestly alone."""

    def scores(self, rows: Any) -> Any:
        scores = super().scores(rows)
        return scores if rows.num_rows == 1 else np.maximum(scores, self.threshold + 1)


@pytest.mark.parametrize("access", ["label", "score"])
def test_a_model_that_looks_at_a_rows_neighbours_is_refused(access: str) -> None:
    model, space, passing = spaces(0)
    found = attack(model, space, passing, access=access, limit=200, seed=0)
    assert len(found.heard) > 20
    assert sanity.refuse_neighbours(model, space, found) is None
    company = Company(0)
    fooled = attack(company, space, passing, access=access, limit=200, seed=0)
    assert not np.isfinite(fooled.cost).any()
    with pytest.raises(CouldNotLook, match="among others"):
        sanity.refuse_neighbours(company, space, fooled)


def test_listening_changes_no_attack() -> None:
    model, space, passing = spaces(1)
    first = attack(model, space, passing, access="label", limit=200, seed=3)
    second = attack(model, space, passing, access="label", limit=200, seed=3)
    assert (first.cost == second.cost).all()
    assert [(r, e) for r, _, e in first.heard] == [(r, e) for r, _, e in second.heard]


def test_a_proof_that_one_change_refutes_is_refused() -> None:
    from trees_tools import Model, grown
    from trees_tools import space as space_of_trees
    from trees_tools import table as drawn

    from assay.attacks.trees.whitebox import Whitebox

    trees = grown(5, features=4, count=10)
    model = Model(trees)
    rows = drawn(trees, 300, 1)
    where = space_of_trees(trees, rows.filter(pa.array(model.flagged(rows))).slice(0, 12))
    sure = Whitebox(trees, where, "linf", 0.5, model).run().bound
    sanity.refuse_broken(model, where, sure, "linf", 0)
    with pytest.raises(CouldNotLook, match="pass nearer than what was proved"):
        sanity.refuse_broken(model, where, np.full(where.size, np.inf), "linf", 0)
