"""How much each input moves the model's answer, so that an input it ignores counts for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core.protocols import ArrowTable, Predictor

Array = Any
DRAWS = 3
LEAST = 1e-9  # a smaller change of the score is rounding


def influences(predictor: Predictor, rows: ArrowTable, pool: ArrowTable, seed: int, draws: int = DRAWS) -> Array:
    """How far the score of each row moves, shape (n, inputs), when one input takes the values of other rows.

    The mean absolute change over `draws` values, each that of a row of `pool` drawn at random (permutation importance,
    Breiman 2001, of the score itself: no label is needed, and an input that misleads counts too). Of a model that gives
    labels only it is the share of the draws that turn the decision. 0 for changes of 1e-9 and less.
    """
    rng = np.random.default_rng([seed, 2])
    before = _answers(predictor, rows)
    moved = np.zeros((rows.num_rows, len(predictor.features)))
    for place, name in enumerate(predictor.features):
        at = rows.schema.get_field_index(name)
        for _ in range(draws):
            drawn = pool.column(name).take(rng.integers(pool.num_rows, size=rows.num_rows))
            after = _answers(predictor, rows.set_column(at, rows.schema.field(at), drawn))
            moved[:, place] += np.abs(after - before) / draws
    return np.where(moved > LEAST, moved, 0.0)


def _answers(predictor: Predictor, rows: ArrowTable) -> Array:
    if predictor.access == "label":
        return np.asarray(predictor.flagged(rows), dtype=float)
    return np.asarray(predictor.scores(rows), dtype=float)
