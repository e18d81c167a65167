"""Performance from counts: intervals that cover where the assumption holds, and a test that tells where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assay.core.profile import Scored
from assay.detectors.scored import expected, observed, same_meaning, unsupported

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
    quiet = [same_meaning(held, counts(b), counts(b, y)) for b, y in (rows(800, s, shift=0.3) for s in range(1, 81))]
    assert sum(p < 0.05 for p in quiet) <= 12, "4 are expected; bins are wide, and a shift inside them costs some"
    bent = [same_meaning(held, counts(b), counts(b, y)) for b, y in (rows(800, s, concept=-1.0) for s in range(1, 11))]
    assert max(bent) < 0.01


def test_scores_that_the_reference_hardly_has_are_counted() -> None:
    held = Scored(edges=(0.5,), rows=(1000, 4), positives=(10, 4), threshold=0.5)
    assert unsupported(held, (50, 50)) == 0.5
    assert unsupported(held, (0, 0)) == 0.0


def test_nothing_in_a_figure_is_not_a_number() -> None:
    held = Scored(edges=(0.5,), rows=(100, 0), positives=(0, 0), threshold=0.5)
    said = expected(held, (10, 0))
    assert math.isnan(said.precision[0])
    assert said.precision[1:] == (0.0, 1.0)
