"""Classifier measures against scikit-learn as the oracle, and bootstraps that cover."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
metrics = pytest.importorskip("sklearn.metrics")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.stats import classifier as c  # noqa: E402


@given(st.integers(0, 10_000), st.integers(5, 200), st.integers(1, 12))
def test_average_precision_equals_the_oracle_with_ties(seed: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.random(n) < 0.3
    target[0], target[1] = True, False
    scores = rng.integers(0, levels, n) / levels
    weights = rng.random(n) + 0.1
    assert c.average_precision(scores, target) == pytest.approx(metrics.average_precision_score(target, scores))
    expected = metrics.average_precision_score(target, scores, sample_weight=weights)
    assert c.average_precision(scores, target, weights) == pytest.approx(expected)
    both = c.average_precision(scores, target, np.stack([np.ones(n), weights]))
    assert both.shape == (2,)
    assert both[1] == pytest.approx(expected)


def test_the_roc_area_equals_the_oracle_with_ties() -> None:
    rng = np.random.default_rng(2)
    target, scores = rng.random(500) < 0.3, rng.integers(0, 9, 500).astype(float)
    assert c.roc_area(scores, target) == pytest.approx(metrics.roc_auc_score(target, scores))


def test_the_curve_ends_where_everything_is_flagged() -> None:
    rng = np.random.default_rng(1)
    target, scores = rng.random(3000) < 0.2, rng.random(3000)
    recall, precision, threshold = c.curve(scores, target, most=50)
    assert len(recall) <= 50
    assert recall[-1] == 1
    assert precision[-1] == pytest.approx(target.mean())
    assert (np.diff(recall) >= 0).all()
    assert (np.diff(threshold) < 0).all()


def test_a_perfect_model_of_few_rows_is_called_calibrated() -> None:
    rng = np.random.default_rng(2)
    plain, debiased = [], []
    for _ in range(40):
        scores = rng.random(200)
        target = rng.random(200) < scores
        mean, rate, _, count = c.calibration(scores, target)
        plain.append((np.abs(mean - rate) * count).sum() / 200)
        debiased.append(c.calibration_error(scores, target))
    assert np.mean(debiased) < 0.6 * np.mean(plain)
    assert c.calibration_error(np.full(2000, 0.9), rng.random(2000) < 0.5) == pytest.approx(0.4, abs=0.05)


def scored(kind: str, n: int, rng):
    """(scores, probabilities that are true) of a model that is calibrated, off in one way or another, or rare."""
    x = rng.normal(-4.2 if "rare" in kind else -1.0, 1.3, n)
    off = {"calibrated": x, "slightly off": 0.85 * x + 0.15, "far off": 0.5 * x + 1.0, "too timid": 2 * x}
    return 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(-off[kind.removeprefix("rare, ")]))


@pytest.mark.parametrize(("n", "runs"), [(200, 250), (1000, 250), (10_000, 120)])
@pytest.mark.parametrize(
    "kind", ["calibrated", "slightly off", "far off", "too timid", "rare, calibrated", "rare, far off"]
)
def test_the_calibration_bound_covers(kind: str, n: int, runs: int) -> None:
    missed, bounds, errors = 0, [], []
    for seed in range(runs):
        rng = np.random.default_rng([seed, n])
        scores, true = scored(kind, n, rng)
        target = rng.random(n) < true
        parts = np.array_split(np.argsort(scores, kind="stable"), 10)
        error = sum(abs(scores[p].mean() - true[p].mean()) * len(p) for p in parts) / n
        bound = c.calibration_bound(scores, target)
        missed += bound < error
        bounds.append(bound)
        errors.append(error)
    assert missed / runs <= 0.06  # .025 is meant
    assert np.mean(bounds) - np.mean(errors) < 2.2 / np.sqrt(n)  # and it says something


def drawn(kind: str, positives: int, share: float, rng):
    """(scores of a model, of a worse one on the same rows, target): two normal classes, or half the positives hard."""
    negatives = round(positives / share) - positives
    shift = {
        "weak": 1.0,
        "fair": 2.0,
        "almost perfect": 4.2,
        "half hard": np.where(rng.random(positives) < 0.5, 4, 0.5),
    }
    scores = np.concatenate([rng.normal(size=positives) + shift[kind], rng.normal(size=negatives)])
    worse = scores + 0.7 * rng.normal(size=len(scores))
    return scores, worse, np.arange(len(scores)) < positives


@pytest.mark.parametrize("kind", ["weak", "fair", "almost perfect", "half hard"])
def test_the_areas_are_covered_from_40_positives_on(kind: str) -> None:
    """The bootstrap's own percentiles cover .77 of the almost perfect areas."""
    big = drawn(kind, 20_000, 0.2, np.random.default_rng(0))
    truth = [float(c.average_precision(s, big[2])) for s in big[:2]]
    covered = together = 0
    for seed in range(120):
        rng = np.random.default_rng([seed, 1])
        *both, target = drawn(kind, 40, 0.2, rng)
        areas = tuple(float(c.average_precision(s, target)) for s in both)
        draws = c.bootstrap_draws(
            lambda w: np.stack([c.average_precision(s, target, w) for s in both], axis=1),  # noqa: B023
            target, seed, 150,
        )  # fmt: skip
        low, high = c.area_interval(areas[0], draws[:, 0], 40)
        assert 0 <= low <= areas[0] <= high <= 1
        covered += low <= truth[0] <= high
        low, high = c.area_difference(areas, draws, 40)
        assert low <= areas[0] - areas[1] <= high
        together += low <= truth[0] - truth[1] <= high
    assert covered / 120 >= 0.9
    assert together / 120 >= 0.9


def test_a_perfect_area_is_not_certain() -> None:
    low, high = c.area_interval(1.0, np.ones(200), 60)
    assert 0.9 < low < 0.95
    assert high == 1
    low, high = c.area_difference((1.0, 1.0), np.ones((200, 2)), 60)
    assert low < 0 < high


def test_resamples_keep_both_classes_and_their_seed() -> None:
    target = np.array([True] * 7 + [False] * 93)
    weights = c.bootstrap_weights(target, 50, 9)
    assert (weights[:, target].sum(axis=1) == 7).all()
    assert (weights.sum(axis=1) == 100).all()
    assert (weights == c.bootstrap_weights(target, 50, 9)).all()


def test_the_interval_of_a_ratio_covers_and_holds_its_estimate() -> None:
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        whole = rng.exponential(size=60)
        part = whole * rng.beta(2, 3, size=60)
        low, high = c.ratio_interval(part, whole, seed, draws=400)
        assert 0 <= low <= part.sum() / whole.sum() <= high <= 1
        covered += low <= 0.4 <= high
    assert covered / 300 >= 0.91
    assert c.ratio_interval(np.zeros(5), np.ones(5), 0) == (0.0, 0.0)
