"""Model extraction: the copy's own family is copied, linear models are solved, a hash of the row gives nothing away."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
lgb = pytest.importorskip("lightgbm")

from assay.attacks.extraction.agreement import (  # noqa: E402
    agreement,
    area_ratio,
    cells,
    constant,
    f1_of,
    fidelity_of,
    mcc,
    mcc_of,
    ranks,
)  # fmt: skip
from assay.attacks.extraction.curves import SOLVER, Curves, Judged, curves  # noqa: E402
from assay.attacks.extraction.defences import defences  # noqa: E402
from assay.attacks.extraction.linear import solve  # noqa: E402
from assay.attacks.extraction.pools import ATTACKERS, marginal, uniform  # noqa: E402
from assay.attacks.extraction.schema import Schema  # noqa: E402
from assay.attacks.extraction.steal import asked, sizes_up_to  # noqa: E402
from assay.attacks.extraction.surrogate import fitted, learners  # noqa: E402
from assay.attacks.extraction.victim import FULL, LABEL, ONE, TWO, Answers, Victim, View  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature  # noqa: E402

KINDS = {"shop": "category", "flag": "boolean"}
SHOPS = ("a", "b", "c", "d")


def table(n: int, seed: int, holes: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pa.table(
        {
            "x": pa.array(x, mask=rng.random(n) < holes),
            "y": rng.normal(size=n) * 100,
            "k": rng.integers(0, 40, n),
            "shop": pa.array(rng.choice(SHOPS, n), mask=rng.random(n) < holes),
            "flag": rng.random(n) < 0.3,
        }
    )


class Model:
    """A predictor whose scores are a function of the columns."""

    features, classes, access = ("x", "y", "k", "shop", "flag"), (0, 1), "score"

    def __init__(self, of: Any, threshold: float = 0.5) -> None:
        self.of, self.threshold, self.queries = of, threshold, 0

    def scores(self, rows: Any) -> Any:
        self.queries += rows.num_rows
        columns = rows.to_pydict()
        numbers = [np.array([np.nan if v is None else v for v in columns[n]], dtype=float) for n in "xyk"]
        shop = np.array([-1 if v is None else SHOPS.index(v) for v in columns["shop"]])
        return np.asarray(self.of(*numbers, shop, np.array(columns["flag"], dtype=bool)))

    def flagged(self, rows: Any) -> Any:
        return self.scores(rows) >= self.threshold

    def close(self) -> None:
        return


def margin(x: Any, y: Any, k: Any, shop: Any, flag: Any) -> Any:
    hole = np.isnan(x)
    worth = np.array([0.5, -1.0, 2.0, 0.0, -0.7])[shop]  # the last is a hole
    return 1.3 * np.where(hole, 0, x) - 0.6 * hole + 0.02 * y - 0.1 * k + worth + flag - 0.5


def logistic(*columns: Any) -> Any:
    return 1 / (1 + np.exp(-margin(*columns)))


def crooked(x: Any, y: Any, k: Any, shop: Any, flag: Any) -> Any:
    return 1 / (1 + np.exp(-3 * ((x > 0.3) * 2.0 + (k > 25) - (shop == 1) - 1 + (y > 50) * (x < 0))))


def hashed(x: Any, y: Any, k: Any, shop: Any, flag: Any) -> Any:
    return (np.abs(np.sin(x * 12345.678 + y * 78.233 + k * 3.7)) * 43758.5453) % 1


def stolen(model: Model, sizes: tuple[int, ...], attackers: Any = ATTACKERS, runs: int = 1, **how: Any) -> Curves:
    schema = Schema(table(1500, 1), model.features, KINDS)
    rows = table(1200, 2)
    scores = model.scores(rows)
    judged = Judged(rows, schema.encoded(rows), scores >= model.threshold, scores, None, np.arange(1200))
    return curves(model, schema, judged, attackers, sizes, runs, 3, **how)


def test_a_schema_writes_what_it_read() -> None:
    rows = table(300, 4, holes=0.2)
    schema = Schema(rows, Model.features, KINDS)
    assert schema.written(schema.known).equals(rows.select(list(Model.features)))


def test_an_order_of_numbers_and_words_is_written_as_the_words_of_the_table() -> None:
    rows = pa.table({"claims": ["none", "1", "2 to 4", "1", "more than 4"] * 20})
    feature = Feature(order=("none", 1, "2 to 4", "more than 4"))
    schema = Schema(rows, ("claims",), {"claims": "category"}, Contract(features={"claims": feature}))
    assert schema.written(schema.known).equals(rows)


@pytest.mark.parametrize("how", ["order", "categories"])
def test_numbers_that_are_declared_as_categories_are_learnt_as_numbers(how: str) -> None:
    """Who is judged writes `features:`, and could make copies learn hundreds of levels one by one."""
    rows = table(300, 4)
    every = rows.column("y").unique().to_pylist()
    declared = Contract(features={"y": Feature(**{how: tuple(every)})})
    schema = Schema(rows, Model.features, {**KINDS, "y": "category"}, declared)
    plain = Schema(rows, Model.features, KINDS)
    assert (schema.codes, schema.unordered) == (plain.codes, plain.unordered)
    assert np.array_equal(schema.known, plain.known, equal_nan=True)
    own = Schema(rows, Model.features, {**KINDS, "y": "category"}, declared, ["y"])
    assert 1 in own.levels, "what the model itself splits by sets is no number"
    few = pa.table({"k": [1, 2, 3] * 20})
    listed = Contract(features={"k": Feature(categories=(1, 2, 3))})
    assert Schema(few, ("k",), {"k": "category"}, listed).unordered == (0,)


def test_declared_ranges_bound_what_is_asked() -> None:
    schema = Schema(table(300, 4), Model.features, KINDS, Contract(features={"k": Feature(min=-5, max=60)}))
    rows = uniform(schema, 4000, np.random.default_rng(0))
    assert (rows[:, 2].min(), rows[:, 2].max()) == (-5, 60)
    assert (rows[:, 2] == rows[:, 2].round()).all()
    assert set(rows[:, 3]) == {0.0, 1.0, 2.0, 3.0}


def test_marginal_draws_only_values_that_were_known() -> None:
    schema = Schema(table(200, 4), Model.features, KINDS)
    rows = marginal(schema, 1000, np.random.default_rng(0))
    assert all(set(rows[:, j]) <= set(schema.known[:, j]) for j in range(5))


@pytest.mark.parametrize("holes", [0.0, 0.1], ids=["no holes", "holes"])
@pytest.mark.parametrize("of", [logistic, margin], ids=["probability", "score"])
def test_a_linear_model_is_solved_exactly(of: Any, holes: float) -> None:
    model = Model(of, 0.5 if of is logistic else 0.0)
    rows, judged = table(600, 5, holes), table(2000, 6, holes)
    schema = Schema(rows, model.features, KINDS)
    found = solve(Victim(model, schema), 0)
    assert found is not None
    assert found.linear
    assert found.residual < 1e-9
    assert found.logit is (of is logistic)
    assert found.weights <= 1 + 3 + 3 + 1 + 2 * bool(holes)
    assert found.queries == model.queries <= found.weights + 110
    assert np.array_equal(found.margin(schema.encoded(judged)) >= 0, model.flagged(judged))


@pytest.mark.parametrize(
    ("of", "view"), [(crooked, FULL), (logistic, ONE), (hashed, FULL)], ids=["trees", "rounded", "hash"]
)
def test_what_is_not_linear_is_not_called_so(of: Any, view: View) -> None:
    found = solve(Victim(Model(of), Schema(table(600, 5), Model.features, KINDS), view), 0)
    assert found is None or not found.linear


def test_decisions_alone_are_not_solved() -> None:
    assert solve(Victim(Model(logistic), Schema(table(60, 5), Model.features, KINDS), LABEL), 0) is None


def test_a_victim_of_the_copys_own_family_is_nearly_copied() -> None:
    found = stolen(Model(crooked), (50, 3000), ("marginal",))
    assert found.stolen()
    assert found.best().mcc.low > 0.9
    assert found.resisted(0.8) is None
    assert found.best().queries == 3000


def test_a_hash_of_the_row_gives_nothing_away() -> None:
    found = stolen(Model(hashed), (50, 300), runs=2)
    assert not found.stolen()
    assert found.first_good(0.8) is None
    assert found.resisted(0.8) == 300
    assert found.resisted(0.01) is None, "too few rows to tell so little"
    for point in found.points:
        assert point.mcc.low <= 0 <= point.mcc.high + 0.05
        assert abs(point.mcc.value) < 0.1


def test_shares_of_a_class_say_more_than_logits_of_rounded_scores() -> None:
    """A thief who takes .1, .9 and 1.0 for what share of a class they are copies better than one who takes logits."""
    model, schema = Model(logistic, 0.85), Schema(table(1500, 1), Model.features, KINDS)
    others = table(4000, 6)
    true, found = model.flagged(others), {}
    for learner in ("linear", "logistic"):
        agreed = []
        for seed in range(4):
            rows = table(300, 40 + seed)
            said = np.round(model.scores(rows), 1)
            answers = Answers(schema.encoded(rows), said >= 0.85, said, np.ones(300, dtype=bool))
            copy = fitted(schema, answers, 0.85, ONE, learner, seed)  # type: ignore[arg-type]
            agreed.append(mcc(true, copy(schema.encoded(others)) >= 0))
        found[learner] = float(np.mean(agreed))
    assert found["logistic"] > max(0.95, found["linear"] + 0.02), found


@pytest.mark.parametrize(("decimals", "offered"), [(1, True), (3, True), (None, False)])
def test_shares_are_learnt_of_rounded_scores_alone(decimals: int | None, offered: bool) -> None:
    rows = table(200, 5)
    scores = logistic(*(np.asarray(rows.column(n)) for n in "xyk"), np.zeros(200, dtype=int), np.zeros(200, dtype=bool))
    said = scores if decimals is None else np.round(scores, decimals)
    answers = Answers(np.zeros((200, 1)), said >= 0.5, said, np.ones(200, dtype=bool))
    assert ("logistic" in learners(answers)) is offered


def test_a_linear_victim_is_judged_as_solved() -> None:
    found = stolen(Model(logistic), (50, 300), ("random",))
    best = found.best()
    assert (best.attacker, best.f1.value, best.mcc.value) == (SOLVER, 1.0, 1.0)
    assert best.mcc.low < 1


def test_defences_are_those_of_the_attacker_that_does_best_and_limits_are_read_off_its_curve() -> None:
    model, sizes, steps = Model(crooked), (60, 300), []
    found = stolen(model, sizes, ("random", "marginal"))
    schema = Schema(table(1500, 1), model.features, KINDS)
    made = defences(model, schema, found.judged, found, sizes, 3, steps.append)
    plain = made[0].point
    last = [found.last(a) for a in ("random", "marginal")]
    assert plain == max(last, key=lambda p: p.mcc.value)
    assert [d.name for d in made] == [
        "full scores", TWO.name, ONE.name, LABEL.name, "full scores, at most 60 queries"
    ]  # fmt: skip
    assert [d.point.queries for d in made] == [300, 300, 300, 300, 60]
    assert {d.point.attacker for d in made} == {plain.attacker}
    assert [s for s in steps if s in (TWO.name, ONE.name, LABEL.name)] == [TWO.name, ONE.name, LABEL.name]
    untold = Judged(
        found.judged.table, found.judged.rows, found.judged.flagged, None, found.judged.target, found.judged.groups
    )
    assert [d.name for d in defences(model, schema, untold, found, sizes, 3)] == [
        "decisions", "decisions, at most 60 queries"
    ]  # fmt: skip


def test_what_was_solved_is_told_beside_its_defences() -> None:
    model = Model(logistic)
    found = stolen(model, (50, 300), ("random",))
    made = defences(model, Schema(table(1500, 1), model.features, KINDS), found.judged, found, (50, 300), 3)
    assert [d.name for d in made][:2] == ["full scores, solved", "full scores"]
    assert made[0].point.f1.value == 1.0


@pytest.mark.parametrize("view", [FULL, TWO, ONE, LABEL], ids=lambda v: v.name)
def test_a_view_tells_no_more_than_it_says(view: View) -> None:
    schema = Schema(table(100, 5), Model.features, KINDS)
    answers = Victim(Model(logistic), schema, view).answer(schema.known)
    assert (answers.scores is None) is (view is LABEL)
    if view.decimals is not None:
        assert np.array_equal(answers.scores, np.round(answers.scores, view.decimals))
    assert np.array_equal(answers.flagged, Model(logistic).flagged(schema.written(schema.known)))


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_every_query_is_counted_and_one_seed_gives_one_answer(attacker: Any) -> None:
    made = []
    for _ in range(2):
        victim = Victim(Model(crooked), Schema(table(300, 5), Model.features, KINDS))
        made.append(asked(victim, attacker, (50, 333), 7))
        assert victim.asked == victim.predictor.queries == 333
    assert np.array_equal(made[0].rows, made[1].rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=["nan", "inf"])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    schema = Schema(table(60, 5), Model.features, KINDS)
    with pytest.raises(CouldNotLook, match="60 of 60 scores that are no numbers"):
        Victim(Model(lambda x, *_: np.full(len(x), bad)), schema).answer(schema.known)


def test_no_rows_and_no_inputs_are_refused() -> None:
    with pytest.raises(CouldNotLook, match="nothing can be asked"):
        Schema(table(5, 1).slice(0, 0), Model.features, KINDS)


@given(st.integers(2, 20_000), st.integers(50, 1_000_000))
@settings(max_examples=50, deadline=None)
def test_sizes_rise_to_the_limit(points: int, queries: int) -> None:
    sizes = sizes_up_to(queries, min(points, 12))
    assert sizes[-1] == queries
    assert list(sizes) == sorted(set(sizes))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=60))
@settings(max_examples=60, deadline=None)
def test_agreement_is_what_scikit_learn_says(pairs: list[tuple[bool, bool]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    victim, copy = np.array(pairs, dtype=bool).T
    found = cells(victim, copy)
    assert float(f1_of(found)) == pytest.approx(metrics.f1_score(victim, copy, zero_division=0))
    assert float(mcc_of(found)) == pytest.approx(metrics.matthews_corrcoef(victim, copy), abs=1e-12)
    assert float(fidelity_of(found)) == pytest.approx((victim == copy).mean())
    for value in agreement(victim, [copy], np.arange(len(victim)), 0).values():
        assert value.low <= value.value <= value.high


def test_the_baseline_needs_no_query_and_copies_of_rows_narrow_nothing() -> None:
    victim = np.arange(1000) % 10 == 0
    base = constant(victim)
    assert (base.fidelity, base.name) == (0.9, "never flagged")
    assert base.f1 == pytest.approx(float(f1_of(cells(victim, np.ones(1000, dtype=bool)))))
    copy = victim ^ (np.arange(1000) % 97 == 0)
    once = agreement(victim, [copy], np.arange(1000), 0)["mcc"]
    many = agreement(np.tile(victim, 5), [np.tile(copy, 5)], np.tile(np.arange(1000), 5), 0)["mcc"]
    assert (many.value, many.n) == (pytest.approx(once.value), once.n)
    assert many.high - many.low == pytest.approx(once.high - once.low, rel=0.1)


def test_intervals_of_mcc_cover() -> None:
    rng = np.random.default_rng(5)
    rates = np.array([0.06, 0.02, 0.02, 0.90])
    truth = float(mcc_of(type(cells(np.ones(1, bool), np.ones(1, bool)))(*rates)))
    hits = 0
    for draw in range(200):
        kind = rng.choice(4, size=800, p=rates)
        found = agreement(np.isin(kind, [0, 2]), [np.isin(kind, [0, 1])], np.arange(800), draw)["mcc"]
        hits += found.low <= truth <= found.high
    assert hits >= 180


def test_ranks_and_areas_have_oracles() -> None:
    rng = np.random.default_rng(6)
    scores = rng.normal(size=500)
    target = scores + rng.normal(size=500) > 0.5
    groups = np.arange(500)
    assert ranks(scores, [np.exp(scores)], groups, 0).value == pytest.approx(1.0)
    assert area_ratio(scores, [scores * 2], target, groups, 0).value == pytest.approx(1.0)
    same = area_ratio(scores, [scores], target, groups, 0)
    assert (same.low, same.high) == (pytest.approx(1.0), pytest.approx(1.0))
    assert area_ratio(scores, [rng.normal(size=500)], target, groups, 0).high < 0.9
    assert area_ratio(scores, [scores], None, groups, 0).value is None
    assert ranks(np.ones(500), [scores], groups, 0).value is None


def test_judged_rows_that_were_asked_are_left_out() -> None:
    model = Model(lambda x, y, k, shop, flag: 1 / (1 + np.exp(-((k > 20) - 0.5 + 0.2 * flag - 0.3 * (shop == 2)))))
    everything = table(1200, 2)
    constant_columns = {"x": np.zeros(1200), "y": np.zeros(1200)}
    for name, values in constant_columns.items():
        everything = everything.set_column(everything.schema.get_field_index(name), name, pa.array(values))
    schema = Schema(everything.slice(0, 600), model.features, KINDS)
    rows = everything.slice(600)
    scores = model.scores(rows)
    judged = Judged(rows, schema.encoded(rows), scores >= 0.5, scores, None, np.arange(600))
    few = curves(model, schema, judged, ("marginal",), (50, 60), 1, 0)
    assert few.left_out
    assert len(few.judged.flagged) == 600 - few.left_out
    many = curves(model, schema, judged, ("marginal",), (50, 2000), 1, 0)
    assert (many.left_out, len(many.judged.flagged)) == (None, 600)
