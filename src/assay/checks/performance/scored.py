"""Shared by the performance checks: a model's scores on the rows it is judged on, with the reasons it could not be."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.adapters.cases import ModelCase, scores_alone
from assay.core.errors import CouldNotLook

LEAST_FLAGGED = 5
LEAST_POSITIVES = 40


class Scored(msgspec.Struct, frozen=True):
    """Scores float64 (n,), whether flagged bool (n,), the truth bool (n,), and the draw of each row int (n,)."""

    scores: Any
    flagged: Any
    target: Any
    draw: Any


def score_holdout(case: ModelCase, seed: int) -> Scored:
    """The model's answer for every holdout row.

    Raises CouldNotLook without one, where scores are not numbers, or where a row's score depends on the others.
    """
    import numpy as np

    from assay.detectors.rows import draws

    data = case.untouched("to be judged on")
    target = data.target()
    scores = scores_alone(case.predictor, data.table(), seed)
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise CouldNotLook(f"{case.name} gave {bad} scores that are no numbers on {data.name}")
    return Scored(scores, scores >= case.threshold, target, draws(data, tuple(case.predictor.features)))
