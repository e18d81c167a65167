"""Performance from counts: intervals that cover where the assumption holds, and a test that tells where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assay.core.profile import Scored
from assay.detectors.scored import doubt, expected, observed, same_meaning, unsupported

EDGES = (0.1, 0.3, 0.5, 0.7, 0.9)


def rows(n: int, seed: int, *, shift: float = 0.0, concept: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(bin of each row, its label): labels are drawn by the score, bent by `concept`."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1 + shift, 1.6, n)
    score = 1 / (1 + np.exp(-logit))
    return np.searchsorted(EDGES, score, side="right"), rng.random(n) < 1 / (1 + np.exp(-(logit + concept)))


def counts(bins: np.ndarray, kept: np.ndarray | None = None) -> tuple[int, ...]:
    held = bins if kept is None else bins[kept]
    return tuple(int(c) for c in np.bincount(held, minlength=len(EDGES) + 1))


def reference(n: int = 8000, seed: int = 0) -> Scored:
    bins, labels = rows(n, seed)
    return Scored(edges=EDGES, rows=counts(bins), positives=counts(bins, labels), threshold=0.5)


def truth(bins: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    flagged = bins >= 3
    return {
        "recall": labels[flagged].sum() / labels.sum(),
        "precision": labels[flagged].mean(),
        "accuracy": (labels == flagged).mean(),
    }


def covered(said: object, true: dict[str, float]) -> int:
    return sum(getattr(said, name)[1] <= value <= getattr(said, name)[2] for name, value in true.items())


@pytest.mark.parametrize("shift", [0.0, -0.8, 0.8])
def test_what_is_expected_covers_what_comes_while_scores_keep_their_meaning(shift: float) -> None:
    held = reference()
    hits = sum(
        covered(expected(held, counts(bins), seed), truth(bins, labels))
        for seed in range(1, 61)
        for bins, labels in [rows(1500, seed, shift=shift)]
    )
    assert hits >= 0.85 * 180, "bins are wide, so that a shift inside them costs some of the 95%"


def test_labels_that_come_rather_for_high_scores_bend_nothing() -> None:
    hits = naive = 0
    for seed in range(40):
        bins, labels = rows(3000, seed)
        kept = np.random.default_rng(seed).random(3000) < np.where(bins >= 3, 0.9, 0.15)
        said = observed(counts(bins, kept), counts(bins, kept & labels), counts(bins), 3, seed)
        true = truth(bins, labels)
        hits += covered(said, true)
        naive += abs(truth(bins[kept], labels[kept])["recall"] - true["recall"]) < 0.1
        assert abs(said.recall[0] - true["recall"]) < 0.1
    assert hits >= 0.88 * 120
    assert naive <= 4, "an average over the labelled rows is off by more than .1"


def test_a_change_of_meaning_is_told_and_nothing_else_is() -> None:
    held = reference()
    quiet = [same_meaning(held, counts(b), counts(b, y)).p for b, y in (rows(800, s, shift=0.3) for s in range(1, 81))]
    assert sum(p < 0.05 for p in quiet) <= 12, "4 are expected; bins are wide, and a shift inside them costs some"
    bent = [same_meaning(held, counts(b), counts(b, y)) for b, y in (rows(800, s, concept=-1.0) for s in range(1, 11))]
    assert max(m.p for m in bent) < 0.01
    assert same_meaning(held, (0,) * 6, (0,) * 6).ranges == 0
    assert same_meaning(held, (30,) + (0,) * 5, (0,) * 6).ranges in (0, 1)


FINE = tuple(np.linspace(0.05, 0.95, 19).round(2))


@pytest.mark.parametrize("labelled", [30, 60, 150])
def test_few_labels_make_wide_intervals_and_no_false_fall(labelled: int) -> None:
    """Twenty bins and thirty labels: a prior for each bin would say that recall fell in half of the cases."""

    def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        logit = rng.normal(-1.5, 1.6, n)
        return np.searchsorted(FINE, 1 / (1 + np.exp(-logit)), side="right"), rng.random(n) < 1 / (1 + np.exp(-logit))

    def held(bins: np.ndarray) -> tuple[int, ...]:
        return tuple(int(c) for c in np.bincount(bins, minlength=len(FINE) + 1))

    first = int(np.searchsorted(FINE, 0.5, side="right"))
    b, y = drawn(8000, 999)
    before = Scored(edges=FINE, rows=held(b), positives=held(b[y]), threshold=0.5)
    was = y[b >= first].sum() / y.sum()
    hits = fell = rejected = 0
    for seed in range(60):
        bins, labels = drawn(2000, seed)
        pick = np.random.default_rng([seed, 1]).permutation(2000)[:labelled]
        n, k = held(bins[pick]), held(bins[pick][labels[pick]])
        said = observed(n, k, held(bins), first, seed)
        flagged = bins >= first
        true = {"recall": labels[flagged].sum() / labels.sum(), "accuracy": (labels == flagged).mean()}
        hits += covered(said, true)
        fell += said.recall[2] < was - 0.05
        rejected += same_meaning(before, n, k).p < 0.01
    assert hits >= 0.88 * 120
    assert fell <= 5
    assert rejected <= 4


def test_scores_that_the_reference_hardly_has_are_counted() -> None:
    held = Scored(edges=(0.5,), rows=(1000, 4), positives=(10, 4), threshold=0.5)
    assert unsupported(held, (50, 50)) == 0.5
    assert unsupported(held, (0, 0)) == 0.0


def test_nothing_in_a_figure_is_not_a_number() -> None:
    held = Scored(edges=(0.5,), rows=(100, 0), positives=(0, 0), threshold=0.5)
    said = expected(held, (10, 0))
    assert math.isnan(said.precision[0])
    assert said.precision[1:] == (0.0, 1.0)


def test_a_reference_that_can_say_nothing_says_why() -> None:
    def of(rows: tuple[int, ...], positives: tuple[int, ...], threshold: float = 0.5, scale: float = 1.0) -> str:
        edges = tuple(sorted({threshold, 0.2 * scale, 0.8 * scale}))
        return doubt(Scored(edges=edges, rows=rows, positives=positives, threshold=threshold), "y", "7")

    assert of((100, 100, 100, 100), (1, 0, 0, 0)) == ""
    assert "'7' never occurs in 'y'; set --positive" in of((100, 100, 100, 100), (0, 0, 0, 0))
    assert "all scores of the reference lie below the threshold 0.5" in of((100, 100, 0, 0), (1, 0, 0, 0))
    assert "lie above the threshold 0.1:" in of((0, 100, 100, 100), (0, 1, 0, 0), 0.1)
    assert of((1, 99, 100, 100), (1, 0, 0, 0), 0.1) == "", "a few are enough where the threshold was told"
    assert "299 of 300 scores" in of((1, 99, 100, 100), (1, 0, 0, 0), 0.5, 100.0), ".5 of 20 to 80 was assumed"
    assert of((0, 0, 0, 0), (0, 0, 0, 0)) == "", "of no rows others speak"
