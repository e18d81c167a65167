"""The black-box attack by labels or scores for a distance (L-infinity, L2, L1), with its sanity test."""

from __future__ import annotations

from typing import Literal

import numpy as np

from assay.attacks.attacked import Attacked
from assay.attacks.boundary.planted import refuse_blind, refuse_masked_scores, refuse_missed, refuse_neighbours
from assay.attacks.boundary.search import Search
from assay.attacks.sanity import refuse_access
from assay.attacks.space import Space
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Norm


def attack_boundary(
    predictor: Predictor,
    space: Space,
    passing: ArrowTable,
    norm: Norm,
    *,
    access: Literal["label", "score"],
    limit: int,
    seed: int = 0,
    progress: Progress = silent,
) -> Attacked:
    """The nearest evasion found of every row of `space`, with at most `limit` queries a row.

    `passing` are rows that the model does not flag, to start from. No bound is told: asking proves nothing. The model
    must answer without chance (`sanity.refuse_unstable`), which is the caller's to test. Raises CouldNotLook.
    """
    refuse_access(predictor, access)
    unplanted = refuse_blind(predictor, space, passing, norm, access=access, limit=limit, seed=seed)
    if access == "score":
        refuse_masked_scores(predictor, space, passing, norm, limit=limit, seed=seed)
    found = Search(predictor, space, passing, norm, access, limit, seed).run(progress)
    refuse_neighbours(predictor, space, found)
    refuse_missed(predictor, space, found, passing, seed)
    return Attacked(
        distance=found.best, bound=np.zeros(space.size), queries=found.queries,
        table=space.moved(np.arange(space.size), found.codes), unplanted=unplanted,
    )  # fmt: skip
