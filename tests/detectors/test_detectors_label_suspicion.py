"""Which labels to look at first: the direction is inferred, the ranking finds flips, the count holds."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")
pytest.importorskip("lightgbm")

from assay.adapters.encode import Encoded  # noqa: E402
from assay.detectors.label_suspicion import (  # noqa: E402
    Rates,
    committee,
    leaning,
    stacked,
    suspicion,
    trusted_rates,
)
from assay.detectors.out_of_fold import out_of_fold  # noqa: E402


def logistic(seed: int, rows: int, missed: float, invented: float, slope: float = 2.5):
    """(true probability of the label as it is said, of the true one, labels said, true labels)."""
    rng = np.random.default_rng(seed)
    truth = 1 / (1 + np.exp(-slope * (2.15 * rng.normal(size=rows) - 1.0)))
    target = rng.random(rows) < truth
    said = np.where(target, rng.random(rows) >= missed, rng.random(rows) < invented)
    return invented + (1 - missed - invented) * truth, truth, said, target


def recall(score, wrong) -> float:
    found = np.argsort(-score, kind="stable")[: wrong.sum()]
    return float(wrong[found].mean())


@pytest.mark.parametrize(
    ("missed", "invented", "expected"),
    [(0.2, 0.0, "missed"), (0.0, 0.2, "invented"), (0.05, 0.05, "both"), (0.1, 0.1, "both")],
)
def test_the_direction_is_inferred(missed: float, invented: float, expected: str) -> None:
    said = [leaning(*logistic(seed, 8000, missed, invented)[::2]) for seed in range(20)]
    assert said.count(expected) >= 19, said


def test_no_direction_is_told_from_few_rows_of_a_class() -> None:
    probability, _, said, _ = logistic(1, 900, 0.2, 0.0)
    assert min(said.sum(), (~said).sum()) < 500
    assert leaning(probability, said) == "both"


@pytest.mark.parametrize(("missed", "invented"), [(0.2, 0.0), (0.0, 0.2), (0.05, 0.05)])
def test_one_ranking_finds_flips_of_either_direction(missed: float, invented: float) -> None:
    """The ranking loses little against the one that knows the rates (the best there is)."""
    for seed in range(5):
        probability, truth, said, target = logistic(seed, 8000, missed, invented)
        wrong = said != target
        best = np.where(said, invented * (1 - truth) / probability, missed * truth / (1 - probability))
        score = suspicion(probability, said, leaning(probability, said))
        assert recall(score, wrong) >= recall(best, wrong) - 0.01
        assert ((score >= 0) & (score <= 1)).all()


def test_rates_put_the_direction_that_they_name_first() -> None:
    probability, _, said, target = logistic(3, 8000, 0.2, 0.0)
    score = suspicion(probability, said, "both", Rates(0.2, 0.0, ()))
    assert score[~said].max() > score[said].max()
    assert recall(score, said != target) > recall(suspicion(probability, said, "both"), said != target)


@pytest.mark.parametrize(("missed", "invented"), [(0.0, 0.0), (0.15, 0.0), (0.05, 0.05)])
@pytest.mark.parametrize("slope", [0.7, 2.5])
def test_trusted_rows_tell_hard_rows_from_wrong_labels(missed: float, invented: float, slope: float) -> None:
    """At a slope of .7 a quarter of the labels are contradicted by nature."""
    held = asked = 0
    for seed in range(8):
        probability, truth, said, target = logistic(seed, 6000, missed, invented, slope)
        known = np.random.default_rng([seed, 1]).permutation(6000)[:800]
        rest = np.setdiff1d(np.arange(6000), known)
        rates = trusted_rates(truth[rest], said[rest], truth[known], target[known])
        for count in rates.counts:
            truly = int(((said != target) & (said == count.is_))[rest].sum())
            held += count.low <= truly <= count.high
            asked += 1
            assert count.low <= count.value <= count.high
    assert held >= 0.85 * asked, f"{held} of {asked}"
    assert probability.min() >= 0


def test_rows_of_one_entity_do_not_pass_for_many_in_the_count() -> None:
    """Clean labels, ten rows of one label to an entity: counted as rows, chance looks like wrong labels."""
    held, by_rows = 0, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def scored(entities: int, rng=rng):
            truth = np.repeat(rng.random(entities) < 0.3, 10)
            x = np.repeat(rng.normal(size=entities), 10) + 0.3 * rng.normal(size=10 * entities) + 2 * truth
            return 1 / (1 + np.exp(-(2 * x - 2 + np.log(0.3 / 0.7)))), truth

        table, trusted = scored(200), scored(40)
        counts = trusted_rates(*table, *trusted, (0.1, 0.1)).counts
        held += all(count.low < 0.5 for count in counts)
        by_rows += all(count.low < 0.5 for count in trusted_rates(*table, *trusted).counts)
        assert all(count.value <= (table[1] == count.is_).sum() for count in counts), "counts are of rows"
    assert held >= 18
    assert by_rows < held


def test_a_committee_ranks_flips_of_real_trees_and_is_seeded() -> None:
    rng = np.random.default_rng(2)
    target = rng.random(3000) < 0.4
    matrix = rng.normal(size=(3000, 4)) + 1.8 * target[:, None]
    said = target & (rng.random(3000) >= 0.2)
    encoded = Encoded(matrix=matrix, names=tuple("abcd"), categorical=())
    first = out_of_fold(encoded, said, 0, rounds=40)
    votes = committee(encoded, said, first, 0)
    few = slice(0, 600)
    part = Encoded(matrix=matrix[few], names=tuple("abcd"), categorical=())
    once, again = (committee(part, said[few], first[few], 0) for _ in range(2))
    assert (once == again).all()
    score = suspicion(votes, said, leaning(votes, said))
    assert recall(score, said != target) > 0.85


def test_stacked_rows_keep_entities_apart() -> None:
    one = Encoded(matrix=np.zeros((3, 2)), names=("a", "b"), categorical=())
    two = Encoded(matrix=np.ones((2, 2)), names=("a", "b"), categorical=())
    both, of = stacked(one, two, np.array([7, 7, 9]))
    assert both.matrix.shape == (5, 2)
    assert of[0] == of[1]
    assert len(set(of.tolist())) == 4
    assert stacked(one, two, None)[1] is None
    _, of = stacked(one, two, None, np.array([4, 4]))
    assert of[3] == of[4]
    assert len(set(of.tolist())) == 4
