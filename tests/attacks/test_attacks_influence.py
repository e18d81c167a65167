"""Influence of inputs: what the model ignores has none, and a linear model's is known."""

from __future__ import annotations

from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")

from attacks_tools import Flags  # noqa: E402

from assay.attacks.influence import influences  # noqa: E402


class Weighted(Flags):
    """Scores that are a weighted sum of the columns."""

    access = "score"

    def __init__(self, **weights: float) -> None:
        super().__init__(tuple(weights), None)
        self.weights = weights

    def scores(self, rows: Any) -> Any:
        return sum(w * np.array(rows.column(n).to_pylist()) for n, w in self.weights.items())


def columns(n: int = 400) -> Any:
    rng = np.random.default_rng(0)
    return pa.table({name: rng.normal(size=n) for name in "abc"})


def test_influence_follows_the_weights_and_what_is_ignored_has_none() -> None:
    moved = influences(Weighted(a=3.0, b=1.0, c=0.0), columns(), columns(), 0)
    share = moved.sum(axis=0) / moved.sum()
    assert moved.shape == (400, 3)
    assert share == pytest.approx([0.75, 0.25, 0.0], abs=0.02)
    assert (moved[:, 2] == 0).all()
    assert (influences(Weighted(a=3.0, b=1e-12, c=0.0), columns(), columns(), 0)[:, 1] == 0).all()


def test_of_labels_it_is_how_often_the_decision_turns() -> None:
    model = Flags(("a", "b", "c"), lambda c: c["a"] > 0)
    moved = influences(model, columns(), columns(), 0)
    assert moved[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    assert (moved[:, 1:] == 0).all()


def test_one_seed_one_answer() -> None:
    model = Weighted(a=3.0, b=1.0, c=0.0)
    first, again, other = (influences(model, columns(), columns(), seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
