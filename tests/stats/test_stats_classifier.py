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


def test_the_bootstrap_covers_the_area() -> None:
    rng, covered, big = np.random.default_rng(3), 0, 40_000

    def sample(n: int):
        target = rng.random(n) < 0.2
        return target, rng.normal(size=n) + target

    truth = c.average_precision(*reversed(sample(big)))
    for seed in range(120):
        target, scores = sample(400)
        low, high = c.bootstrap_interval(lambda w: c.average_precision(scores, target, w), target, seed, draws=200)  # noqa: B023
        covered += low <= truth <= high
    assert covered / 120 >= 0.85


def test_resamples_keep_both_classes_and_their_seed() -> None:
    target = np.array([True] * 7 + [False] * 93)
    weights = c.bootstrap_weights(target, 50, 9)
    assert (weights[:, target].sum(axis=1) == 7).all()
    assert (weights.sum(axis=1) == 100).all()
    assert (weights == c.bootstrap_weights(target, 50, 9)).all()
