"""Label errors: planted flips are found in their direction and batch; clean data stays silent."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")
pytest.importorskip("lightgbm")

from assay.adapters.encode import Encoded  # noqa: E402
from assay.detectors.label_errors import contradiction, direction, unlike_batches  # noqa: E402
from assay.detectors.out_of_fold import out_of_fold, row_groups  # noqa: E402


def data(seed: int, n: int = 4000, share: float = 0.2):
    rng = np.random.default_rng(seed)
    target = rng.random(n) < share
    matrix = rng.normal(size=(n, 5)) + 1.6 * target[:, None]
    return Encoded(matrix=matrix, names=tuple("abcde"), categorical=()), target, rng


def test_planted_flips_rank_first_inside_their_class() -> None:
    encoded, target, rng = data(1)
    said = target.copy()
    flipped = np.flatnonzero(target)[rng.random(int(target.sum())) < 0.2]
    said[flipped] = False
    probability = out_of_fold(encoded, said, 0, rounds=60)
    missed, invented = (direction(probability, said, is_, 0) for is_ in (False, True))
    assert missed.low > invented.low
    top = np.flatnonzero(~said)[np.argsort(-contradiction(probability, said)[~said])][: len(flipped)]
    assert np.isin(top, flipped).mean() > 0.8
    assert set(missed.rows.tolist()) <= set(np.flatnonzero(~said).tolist())


def test_a_batch_of_flips_is_named() -> None:
    encoded, target, rng = data(2)
    batches = np.arange(len(target)) * 20 // len(target)
    said = target & ~((batches == 13) & (rng.random(len(target)) < 0.6))
    found = unlike_batches(out_of_fold(encoded, said, 0, rounds=60), said, batches, tuple(map(str, range(20))))
    assert [b.name for b in found] == ["13"]
    assert found[0].p < 0.01


def test_clean_batches_are_silent_over_200_seeds() -> None:
    """The scores are the true probabilities here, so that only the test itself is judged, not the trees."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n = int(rng.choice([400, 1000, 4000]))
        probability = rng.beta(0.6, 3, n)
        target = rng.random(n) < probability
        batches = rng.integers(0, int(rng.choice([5, 12, 40])), n)
        names = tuple(map(str, range(int(batches.max()) + 1)))
        alarms += bool(unlike_batches(probability, target, batches, names, alpha=0.01))
    assert alarms <= 6  # 200 seeds at 1% give more than 6 with probability < .5%


def test_twins_share_a_fold() -> None:
    matrix = np.array([[1.0, np.nan], [1.0, np.nan], [2.0, 3.0], [1.0, 0.0]])
    groups = row_groups(matrix)
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 3


def test_out_of_fold_is_seeded() -> None:
    encoded, target, _ = data(3, n=600)
    first = out_of_fold(encoded, target, 4, rounds=20)
    assert (first == out_of_fold(encoded, target, 4, rounds=20)).all()
    assert (first != out_of_fold(encoded, target, 5, rounds=20)).any()
    assert ((first > 0) & (first < 1)).all()
