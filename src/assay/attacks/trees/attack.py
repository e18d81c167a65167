"""The white-box attack on a model that is an ensemble of trees, with its sanity test."""

from __future__ import annotations

import numpy as np

from assay.adapters.ensembles.trees import require_parity
from assay.adapters.predictor_base import BasePredictor
from assay.attacks.attacked import Attacked
from assay.attacks.space import Space
from assay.attacks.trees.planted import refuse_blind
from assay.attacks.trees.whitebox import Whitebox
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Norm


def attack_trees(
    model: BasePredictor,
    space: Space,
    passing: ArrowTable,
    norm: Norm,
    budget: float,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Attacked:
    """The nearest evasion of every row of `space`, and a bound below which there is none.

    The trees are read out of the model, which must score `space.rows` and `passing` as they do; holes planted in them
    must be found. Raises CouldNotLook.
    """
    trees = model.trees()
    for rows in (space.rows, passing):
        require_parity(trees, model, rows.select(list(model.features)))
    found = Whitebox(trees, space, norm, model.threshold, model).run(budget, progress=progress)
    unplanted = refuse_blind(trees, space, norm, model.threshold, budget, found, seed)
    missed = int((~np.isfinite(found.distance)).sum())
    if missed and space.free and passing.num_rows:
        raise CouldNotLook(f"the sanity test failed: with everything allowed nothing was found for {missed} rows")
    ids = np.arange(space.size)
    return Attacked(
        distance=found.distance, bound=found.bound, queries=np.ones(space.size, dtype=int),
        table=space.moved(ids, found.codes), unplanted=unplanted,
    )  # fmt: skip
