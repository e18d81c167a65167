"""The same learner on a table before and after, measured on rows that neither saw: what sanitising did to the model."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import Encoded
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent
from assay.harden.sanitised import Figure, Verdict
from assay.stats.classifier import average_precision, bootstrap_draws, roc_area

Array = Any
MODELS, ROUNDS = 3, 150
FIGURES = 3
LEVEL = 0.95
_TREES: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.08, "num_leaves": 31, "max_depth": 6, "min_data_in_leaf": 20,
    "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "cat_smooth": 20.0,
    "min_data_per_group": 50, "verbose": -1, "deterministic": True, "force_row_wise": True, "num_threads": 1,
}  # fmt: skip


class Training(msgspec.Struct, frozen=True):
    """Rows to learn from: which of the encoded table, their class and how much each counts."""

    rows: Array
    target: Array
    weight: Array


def learned(encoded: Encoded, training: Training, asked: Array, seed: int, progress: Progress = silent) -> Array:
    """P(positive) of the rows of the matrix `asked`, shape (m,): the mean of trees grown from three seeds.

    Raises CouldNotLook where there is nothing to learn from.
    """
    import lightgbm as lgb

    rows, label, weight = training.rows, training.target.astype(float), training.weight
    if not len(rows) or not 0 < label.mean() < 1 or not (weight > 0).any():
        raise CouldNotLook("one class or no row is left to learn from")
    total = np.zeros(len(asked))
    try:
        for model in range(MODELS):
            progress(model, MODELS, "model")
            table = lgb.Dataset(
                encoded.matrix[rows], label=label, weight=weight, categorical_feature=list(encoded.categorical),
                params={"verbose": -1},
            )  # fmt: skip
            trees = lgb.train({**_TREES, "seed": (seed + model) % 2**31}, table, num_boost_round=ROUNDS)
            total += trees.predict(asked, num_threads=1)
    except lgb.basic.LightGBMError:  # its words name a line of its own source
        raise CouldNotLook("LightGBM cannot learn from these columns") from None
    return total / MODELS


def compared(before: Array, after: Array, target: Array, seed: int) -> tuple[Figure, ...]:
    """ROC area, average precision and recall at few false alarms of two models' scores (n,) on the same rows.

    The intervals are those of a paired bootstrap of the measured rows, by class, at 95% for all figures together
    (Bonferroni); what another draw of the training rows would change is not in them.
    """
    alarms = 0.01 if int((~target).sum()) >= 500 else 0.05
    figures: dict[str, Any] = {
        "roc_area": weighted_roc_area,
        "average_precision": lambda s, t, w: np.atleast_1d(average_precision(s, t, w)),
        f"recall_at_{alarms:.0%}_false_alarms": lambda s, t, w: recall_at(s, t, w, alarms),
    }
    once = np.ones((1, len(target)))
    draws = 1000 if len(target) <= 20_000 else 300

    def differences(weights: Array) -> Array:
        return np.stack([f(after, target, weights) - f(before, target, weights) for f in figures.values()], axis=1)

    drawn = bootstrap_draws(differences, target, seed, draws)
    tail = (1 - LEVEL) / FIGURES / 2
    out = []
    for place, (name, figure) in enumerate(figures.items()):
        old, new = (float(np.ravel(figure(s, target, once))[0]) for s in (before, after))
        if name == "roc_area":
            old, new = roc_area(before, target), roc_area(after, target)
        low, high = np.quantile(drawn[:, place], [tail, 1 - tail])
        change = new - old
        values = {"before": old, "after": new, "difference": change}
        values |= {"low": min(float(low), change), "high": max(float(high), change)}
        out.append(Figure(name=name, **{k: round(v, 6) for k, v in values.items()}))
    return tuple(out)


def verdict(figures: tuple[Figure, ...]) -> Verdict:
    """All figures in one word: what any of them surely says, "mixed" where two say the opposite."""
    said = {f.verdict for f in figures}
    if {"better", "worse"} <= said:
        return "mixed"
    return next((v for v in ("worse", "better") if v in said), "no difference that could be told")


def weighted_roc_area(scores: Array, target: Array, weights: Array) -> Array:
    """Area under the ROC curve with weights (b, n), ties counted half; shape (b,)."""
    order = np.argsort(scores, kind="stable")
    ordered, hits = scores[order], target[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    w = weights[:, order]
    won = np.diff(np.cumsum(w * hits, axis=1)[:, last], axis=1, prepend=0.0)
    lost = np.diff(np.cumsum(w * ~hits, axis=1)[:, last], axis=1, prepend=0.0)
    below = np.cumsum(lost, axis=1) - lost
    return (won * (below + lost / 2)).sum(axis=1) / (won.sum(axis=1) * lost.sum(axis=1))


def recall_at(scores: Array, target: Array, weights: Array, alarms: float) -> Array:
    """Recall at the lowest threshold that flags at most a share `alarms` of the negatives; weights (b, n) → (b,)."""
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], target[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    w = weights[:, order]
    true, false = np.cumsum(w * hits, axis=1)[:, last], np.cumsum(w * ~hits, axis=1)[:, last]
    fits = (false <= alarms * false[:, -1:]).sum(axis=1)
    padded = np.concatenate([np.zeros((len(w), 1)), true], axis=1)
    return padded[np.arange(len(w)), fits] / true[:, -1]
