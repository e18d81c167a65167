"""Membership, memory and privacy accounting against exact answers: nothing to find, all to find, closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")

from assay.adapters.predictor_base import BasePredictor  # noqa: E402
from assay.adapters.refit import Recipe  # noqa: E402
from assay.attacks.membership import accounting, memory, scores  # noqa: E402
from assay.attacks.membership.game import Game, Rows, play  # noqa: E402
from assay.attacks.membership.roc import area, roc, tpr_at  # noqa: E402
from assay.attacks.membership.verdict import FPRS, attacks_of, found, needed  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402

N, WIDE = 1200, 6


class Fitted(BasePredictor):
    """A model of numpy arrays behind Arrow tables."""

    def __init__(self, model: Any) -> None:
        super().__init__("m")
        self.model, self.features = model, tuple(f"x{i}" for i in range(WIDE))

    def _score(self, rows: Any) -> Any:
        return self.model(np.column_stack([c.to_numpy() for c in rows.columns]))


def tree(x: Any, y: Any, seed: int, leaf: int = 1) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    made = RandomForestClassifier(25, min_samples_leaf=leaf, random_state=seed).fit(x, y)
    return lambda rows: made.predict_proba(rows)[:, 1]


def lookup(x: Any, y: Any, seed: int) -> Any:
    """Knows what it saw and nothing else."""
    known = {row.tobytes(): float(label) for row, label in zip(x, y, strict=True)}
    return lambda rows: np.array([known.get(np.ascontiguousarray(row).tobytes(), 0.5) for row in rows])


class Trains(Recipe):
    """A recipe out of a function."""

    def __init__(self, how: Any) -> None:
        self.how = how

    def train(self, rows: Any, places: Any, *, changes: Mapping[str, Any] | None = None, seed: int = 0) -> Fitted:
        x = np.column_stack([c.to_numpy() for c in rows.columns])
        return Fitted(self.how(x, places, seed))


def drawn(seed: int, shift: float = 0.0, n: int = N) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, WIDE)) + shift
    y = (x[:, 0] + rng.normal(size=n) > shift).astype(int)
    table = pa.table({f"x{i}": np.ascontiguousarray(x[:, i]) for i in range(WIDE)})
    return Rows(table, y, y.astype(bool), np.arange(n), np.arange(n))


def matrix(rows: Rows) -> Any:
    return np.column_stack([c.to_numpy() for c in rows.table.columns])


def game(how: Any, seed: int, *, seen: bool = True, shift: float = 0.0, references: int = 4, n: int = N) -> Game:
    train, other = drawn(2 * seed, n=n), drawn(2 * seed + 1, shift, n)
    fed = train if seen else drawn(10_000 + seed, n=n)
    model = Fitted(how(matrix(fed), fed.places, seed))
    return play(model, Trains(how), train, other, references=references, seed=seed)


def test_a_deep_forest_leaks_and_large_leaves_do_not() -> None:
    deep, large = game(tree, 2), game(lambda x, y, s: tree(x, y, s, leaf=60), 2)
    found_deep = found("rmia", deep, lambda g: scores.rmia(g, scores.tuned(deep)))
    found_large = found("rmia", large, lambda g: scores.rmia(g, scores.tuned(large)))
    rate, small = found_deep.rates[0], found_large.rates[0]
    assert rate is not None
    assert small is not None
    assert rate.low > 0.1
    assert found_deep.area.low > 0.8
    assert not found_deep.off
    assert small.low < 0.02
    assert found_deep.rates[1] is None  # 1,200 rows carry no rate at 0.1%


def test_rows_that_nobody_saw_are_not_told_apart() -> None:
    covered = []
    for seed in range(24):
        nothing = game(tree, seed, seen=False, n=500)
        rmia = found("rmia", nothing, lambda g: scores.rmia(g, 0.3))
        assert rmia.null is not None
        assert not rmia.off
        covered.append((rmia.area.low < 0.5 < rmia.area.high, rmia.null.low < 0.5 < rmia.null.high))
    assert np.sum(covered, axis=0).min() >= 21, np.sum(covered, axis=0)


def test_rates_of_nothing_are_those_of_chance() -> None:
    rates = [found("rmia", game(tree, s, seen=False), lambda g: scores.rmia(g, 0.3)).rates[0] for s in range(6)]
    assert sum(r is not None and r.low <= 0.01 <= r.high for r in rates) >= 5, rates


def test_who_knows_its_rows_by_heart_is_found_whole() -> None:
    known = game(lookup, 3)
    rmia = found("rmia", known, lambda g: scores.rmia(g, 0.3))
    rate = rmia.rates[0]
    assert rate is not None
    assert (rmia.area.value, rate.value) == (1.0, 1.0)
    assert rate.low > 0.98
    assert memory.memorised(known).rate.value == 1.0
    assert memory.label_only(known).rate.value == 0.0  # the others are undecided, not wrong


def test_a_shifted_holdout_is_seen_by_the_placebo() -> None:
    shifted = game(tree, 4, seen=False, shift=1.5)
    loss = found("loss", shifted, scores.loss, references=False)
    assert loss.off


def test_two_references_are_enough_and_their_placebo_is_the_loss() -> None:
    two = game(tree, 5, references=2)
    rmia = found("rmia", two, lambda g: scores.rmia(g, scores.tuned(two)))
    loss = found("loss", two, scores.loss, references=False)
    assert (rmia.null, two.out.sum(axis=0).tolist()) == (None, [1] * (2 * N))
    assert rmia.area.low > 0.75
    assert loss.null is not None
    first, second = attacks_of(two)
    assert (first.name, first.a, first.area) == ("rmia", scores.tuned(two), rmia.area)
    assert (second.name, second.a, second.area, second.null) == ("loss", None, loss.area, loss.null)
    assert not loss.off


@pytest.mark.parametrize(("references", "asked"), [(14, ["rmia", "loss"]), (16, ["rmia", "lira", "loss"])])
def test_lira_is_asked_of_enough_references(references: int, asked: list[str]) -> None:
    assert [a.name for a in attacks_of(game(lookup, 6, references=references, n=200))] == asked


@pytest.mark.parametrize("fpr", FPRS)
def test_as_many_rows_as_are_needed_carry_a_rate(fpr: float) -> None:
    for short in (0, 1):
        member = np.arange(20 + needed(fpr) - short) < 20
        assert (tpr_at(np.linspace(0, 1, len(member)), member, fpr) is None) == bool(short)


def test_each_row_is_answered_by_as_many_that_did_not_see_it() -> None:
    played = game(tree, 6)
    assert set(played.out.sum(axis=0).tolist()) == {2}
    assert not (played.out & played.seen).any()
    assert played.seen[:, ~played.member].sum() == 0
    placebo, rehearsal = played.placebo(0), played.rehearsal(0)
    assert set(placebo.out.sum(axis=0).tolist()) == {1}
    assert not (placebo.member & played.seen[0][~played.seen[0]]).any()
    assert abs(int(rehearsal.member.sum()) - N // 2) < 2


def test_one_seed_one_game() -> None:
    first, second = game(tree, 7), game(tree, 7)
    np.testing.assert_array_equal(first.refs, second.refs)
    np.testing.assert_array_equal(first.out, second.out)


def test_what_cannot_be_played_says_so() -> None:
    train, other = drawn(1), drawn(2)
    few = Rows(other.table, other.places, other.positive, other.judged[:20], other.group)
    for model, rows, said in (
        (tree(matrix(train), train.places, 0), few, "20 holdout rows"),
        (lambda x: np.full(len(x), 0.3), other, "the same score"),
        (lambda x: np.full(len(x), np.nan), other, "as NaN"),
        (lambda x: np.full(len(x), np.inf), other, "no finite numbers"),
    ):
        with pytest.raises(CouldNotLook, match=said):
            play(Fitted(model), Trains(tree), train, rows, references=2, seed=0)


def test_margins_count_as_log_odds() -> None:
    def margin(x: Any, y: Any, seed: int) -> Any:
        return lambda rows: 3 * rows[:, 0]

    played = game(margin, 8)
    assert 0 < played.target.min() < played.target.max() < 1
    np.testing.assert_allclose(played.refs[0], played.target)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9), st.floats(0.5, 3))
def test_the_ratio_orders_rows_as_the_pairwise_score_does(seed: int, a: float, gamma: float) -> None:
    rng = np.random.default_rng(seed)
    made = Game(rng.random(60), rng.random((4, 60)), np.arange(60) < 30, np.arange(60), np.zeros((4, 60), bool),
                rng.permuted(np.tile([[True], [True], [False], [False]], 60), axis=0))  # fmt: skip
    ratio, z = scores.rmia(made, a), scores.rmia(made, a)[30:]
    pairwise = np.array([(r / z > gamma).mean() for r in ratio])
    order = np.argsort(ratio, kind="stable")
    assert (np.diff(pairwise[order]) >= 0).all()


def test_lira_is_the_distance_in_spreads() -> None:
    rng = np.random.default_rng(0)
    refs = 1 / (1 + np.exp(-rng.normal(0.4, 1.0, size=(64, 3000))))
    out = np.ones((64, 3000), dtype=bool)
    target = np.full(3000, 1 / (1 + math.exp(-2.4)))
    made = Game(target, refs, np.arange(3000) < 1500, np.arange(3000), ~out, out)
    assert scores.lira(made).mean() == pytest.approx(2.0, abs=0.1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 60), st.integers(2, 9))
def test_the_area_is_how_often_a_member_is_above(seed: int, m: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score, member = rng.integers(levels, size=m + n) / levels, np.arange(m + n) < m
    inside, outside = score[:m, None], score[None, m:]
    expected = ((inside > outside) + (inside == outside) / 2).mean()
    got = area(score, member)
    assert got.value == pytest.approx(expected)
    assert 0 <= got.low <= got.value + 1e-12
    assert got.value - 1e-12 <= got.high <= 1
    false, true = roc(score, member)
    assert np.trapezoid(true, false) == pytest.approx(expected)


def test_intervals_hold_what_they_promise() -> None:
    from statistics import NormalDist

    rng, normal = np.random.default_rng(1), NormalDist()
    member = np.arange(3000) < 1500
    true_rate = 1 - normal.cdf(normal.inv_cdf(0.99) - 1.0)
    true_area = normal.cdf(1.0 / math.sqrt(2))
    rates = areas = 0
    for _ in range(200):
        score = rng.normal(size=3000) + member
        rate, whole = tpr_at(score, member, 0.01), area(score, member)
        assert rate is not None
        rates += rate.low <= true_rate <= rate.high
        areas += whole.low <= true_area <= whole.high
    assert (rates >= 186, areas >= 180) == (True, True), (rates, areas)


def test_rates_are_refused_below_ten_false_positives_and_ties_are_drawn() -> None:
    member = np.arange(2000) < 1000
    assert tpr_at(np.arange(2000.0), member, 0.0099) is None
    constant = tpr_at(np.zeros(2000), member, 0.01)
    assert constant is not None
    assert constant.value == pytest.approx(0.01)


def test_names_are_given_only_beyond_chance() -> None:
    rng = np.random.default_rng(2)
    wrong = sum(len(memory.established(rng.normal(size=300), rng.normal(size=1000), 0.05)) > 0 for _ in range(100))
    assert wrong <= 12
    null, tested = rng.normal(size=2000), rng.normal(size=50)
    tested[[7, 11]] = 9.0, 10.0
    assert memory.established(tested, null, 0.05).tolist()[:2] == [11, 7]
    assert memory.established(np.empty(0), null, 0.05).tolist() == []


def test_copies_are_remembered_deeper() -> None:
    train, other = drawn(20), drawn(21)
    rng = np.random.default_rng(0)
    x, y = matrix(train), train.places.copy()
    copied = rng.choice(N, 12, replace=False)
    y[copied] = 1 - (x[copied, 0] > 0)  # against the rule that all others follow
    rows = np.concatenate([np.arange(N), np.repeat(copied, 3)])
    table = train.table.take(rows)
    twins = Rows(table, y[rows], y[rows].astype(bool), np.arange(N), rows)
    model = Fitted(tree(x[rows], y[rows], 0, leaf=2))
    played = play(model, Trains(lambda a, b, s: tree(a, b, s, leaf=2)), twins, other, references=4, seed=0)
    gaps = memory.gap(played)
    named = copied[memory.established(gaps[copied], gaps[~played.member], 0.05)]
    assert set(named.tolist()) == set(copied.tolist())


@pytest.mark.parametrize(("noise", "order"), [(0.5, 2), (1.0, 8), (4.0, 64)])
def test_divergence_without_sampling_is_the_closed_form(noise: float, order: int) -> None:
    exact = order / (2 * noise**2)
    assert accounting.rdp_gaussian(1.0, noise, order) == pytest.approx(exact)
    assert accounting.rdp_gaussian(1 - 1e-12, noise, order) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "published"),
    [(0.01, 4.0, 10_000, 1.26), (250 / 60_000, 1.3, 3600, 1.18)],
    ids=["abadi-2016", "tensorflow-privacy-mnist"],
)
def test_published_epsilons_are_met(rate: float, noise: float, steps: int, published: float) -> None:
    orders = accounting.ORDERS
    moments = min(steps * accounting.rdp_gaussian(rate, noise, o) + math.log(1e5) / (o - 1) for o in orders)
    assert moments == pytest.approx(published, abs=0.005)
    assert accounting.epsilon_dpsgd(rate, noise, steps, 1e-5) < moments


def test_divergence_is_the_integral() -> None:
    from scipy.integrate import quad
    from scipy.stats import norm

    q, noise, order = 0.1, 0.8, 5

    def at(x: float) -> float:
        ratio = 1 - q + q * math.exp((2 * x - 1) / (2 * noise**2))
        return float(norm.pdf(x, scale=noise) * ratio**order)

    expected = math.log(quad(at, -20, 25, limit=500, points=[0, 5])[0]) / (order - 1)
    assert accounting.rdp_gaussian(q, noise, order) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 20), st.integers(1, 2000), st.floats(1e-9, 0.1))
def test_the_gaussian_is_exact_and_never_above_its_renyi_bound(noise: float, steps: int, delta: float) -> None:
    epsilon = accounting.epsilon_gaussian(noise, steps, delta)
    assert epsilon <= accounting.epsilon_dpsgd(1.0, noise, steps, delta) + 1e-9
    if epsilon > 0:
        assert accounting.delta_gaussian(epsilon, noise / math.sqrt(steps)) == pytest.approx(delta, rel=1e-3)


def test_the_gaussian_of_balle_and_wang() -> None:
    assert accounting.epsilon_gaussian(1.0, 1, 1e-5) == pytest.approx(4.3772, abs=1e-3)
    assert accounting.epsilon_gaussian(2.0, 4, 1e-5) == pytest.approx(accounting.epsilon_gaussian(1.0, 1, 1e-5))


@settings(max_examples=12, deadline=None)
@given(st.floats(0.001, 1), st.floats(0.4, 10), st.integers(1, 5000))
def test_more_steps_more_sampling_and_less_noise_cost_more(rate: float, noise: float, steps: int) -> None:
    for cost in (
        lambda r, s, t: accounting.epsilon_dpsgd(r, s, t, 1e-5),
        accounting.epsilon_laplace,
    ):
        base = cost(rate, noise, steps)
        assert cost(rate, noise, 2 * steps) >= base - 1e-9
        assert cost(rate, noise * 1.5, steps) <= base + 1e-9
        assert cost(rate / 2, noise, steps) <= base + 1e-9


def test_laplace_adds_up() -> None:
    assert accounting.epsilon_laplace(1.0, 2.0, 10) == pytest.approx(5.0)
    assert accounting.epsilon_laplace(0.5, 1.0, 1) == pytest.approx(math.log(1 + 0.5 * (math.e - 1)))
    assert accounting.epsilon_laplace(0.5, 1e-3, 1) == pytest.approx(1000 + math.log(0.5))


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_an_audit_of_randomised_response_stays_below_its_epsilon(epsilon: float) -> None:
    keep = math.exp(epsilon) / (1 + math.exp(epsilon))
    bounds = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        member = rng.random(8000) < 0.5
        score = np.where(rng.random(8000) < keep, member, ~member).astype(float)
        bounds.append(accounting.audited(score, member, 0.0, seed)[0])
    assert sum(b > epsilon for b in bounds) <= 4
    assert float(np.median(bounds)) > 0.75 * epsilon


def test_an_audit_of_nothing_proves_nothing() -> None:
    rng = np.random.default_rng(3)
    bound, *_ = accounting.audited(rng.normal(size=4000), np.arange(4000) < 2000, 1e-5, 0)
    assert bound < 0.2
