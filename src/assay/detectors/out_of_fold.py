"""Out-of-fold probabilities: what the rest of the data says of each row's label."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from assay.adapters.encode import Encoded
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent
from assay.core.text import visible

Array = Any
Learner = Literal["plain", "slow", "random", "large"]
WIDE = 1000  # columns; of more, each tree draws as many as of so many, or a wide table would take minutes
_COMMON: dict[str, Any] = {
    "objective": "binary", "bagging_freq": 1, "verbose": -1, "deterministic": True, "force_row_wise": True,
    "num_threads": 1, "cat_smooth": 20.0, "min_data_per_group": 50,
}  # fmt: skip
_LEARNERS: dict[str, dict[str, Any]] = {
    "plain": {
        "learning_rate": 0.08, "num_leaves": 31, "min_data_in_leaf": 20, "max_depth": 6, "feature_fraction": 0.8,
        "bagging_fraction": 0.8, "lambda_l2": 1.0, "max_bin": 255,
    },
    "slow": {
        "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 20, "feature_fraction": 0.4,
        "bagging_fraction": 0.7, "lambda_l2": 5.0, "max_bin": 63,
    },
    "random": {  # thresholds drawn at random: Geurts et al. 2006
        "learning_rate": 0.08, "num_leaves": 31, "min_data_in_leaf": 10, "feature_fraction": 0.6,
        "bagging_fraction": 0.8, "lambda_l2": 2.0, "extra_trees": True, "max_bin": 63,
    },
    "large": {
        "learning_rate": 0.05, "num_leaves": 20, "min_data_in_leaf": 20, "feature_fraction": 0.5,
        "bagging_fraction": 0.8, "lambda_l2": 1.0, "max_bin": 255,
    },
}  # fmt: skip


def out_of_fold(
    encoded: Encoded, target: Array, seed: int, *, entities: Array | None = None, folds: int = 5, rounds: int = 150,
    learner: Learner = "plain", progress: Progress = silent,
) -> Array:  # fmt: skip
    """P(positive) of each row from gradient-boosted trees that never saw it; shape (n,), float64.

    Folds are stratified and seeded; identical rows share a fold, so that a copy cannot vouch for its twin, and so do
    rows of one number in `entities` (n,), which resemble each other. `learner` is how the trees are grown: "plain",
    "slow" (small, strongly held back), "random" (random thresholds) or "large" (deep, and held back little; give it
    more rounds); they err in different rows. Each tree draws its
    share of the columns, of at most 1,000 of them. Raises
    CouldNotLook where no row has another to be judged by, or LightGBM refuses the columns.
    """
    import lightgbm as lgb

    shown = ", ".join(visible(name, 40) for name in encoded.names[:3]) + (", …" if encoded.names[3:] else "")
    groups = row_groups(encoded.matrix) if encoded.names else np.zeros(len(target), dtype=int)
    fold_of = _folds(groups if entities is None else joined(groups, entities), target, folds, seed)
    if not (fold_of != fold_of[:1]).any():
        why = f"as doubles, too few rows differ in {shown}" if encoded.names else "there are no feature columns"
        raise CouldNotLook(f"{why}: no row can be judged by the others")
    try:
        return _judged(encoded, target, fold_of, seed, folds, rounds, _LEARNERS[learner], progress)
    except lgb.basic.LightGBMError:  # its words name a line of its own source
        raise CouldNotLook(f"LightGBM cannot learn from the columns {shown}") from None


def _judged(
    encoded: Encoded, target: Array, fold_of: Array, seed: int, folds: int, rounds: int, grown: dict[str, Any],
    progress: Progress,
) -> Array:  # fmt: skip
    import lightgbm as lgb

    result = np.zeros(len(target))
    for fold in range(folds):
        progress(fold, folds, "out-of-fold model")
        test = fold_of == fold
        if not test.any():
            continue
        train = lgb.Dataset(
            encoded.matrix[~test],
            label=target[~test].astype(float),
            categorical_feature=list(encoded.categorical),
            free_raw_data=True,
            params={"verbose": -1, "max_bin": grown["max_bin"]},
        )
        share = grown["feature_fraction"] * min(1.0, WIDE / max(1, encoded.matrix.shape[1]))
        parameters = {**_COMMON, **grown, "feature_fraction": share, "seed": seed % 2**31}
        model = lgb.train(parameters, train, num_boost_round=rounds)
        result[test] = model.predict(encoded.matrix[test], num_threads=1)
    return result


def row_groups(matrix: Array) -> Array:
    """A number per row, the same for identical rows (NaN equals NaN); shape (n,)."""
    filled = np.ascontiguousarray(np.where(np.isnan(matrix), -np.inf, matrix))
    view = filled.view(np.dtype((np.void, filled.dtype.itemsize * filled.shape[1]))).ravel()
    _, inverse = np.unique(view, return_inverse=True)
    return inverse.ravel()


def joined(groups: Array, entities: Array) -> Array:
    """A number per row, the same for rows that share a group or an entity, directly or through others; shape (n,).

    Where that chains more than a fifth of the rows together, a fold would be all that is left: then entities alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, group = np.unique(groups, return_inverse=True)
    _, entity = np.unique(entities, return_inverse=True)
    nodes = group.max() + entity.max() + 2
    edges = coo_array((np.ones(len(group)), (group, group.max() + 1 + entity)), shape=(nodes, nodes))
    component = connected_components(edges, directed=False)[1][group]
    return component if np.bincount(component).max() <= len(group) / 5 else entity


def _folds(groups: Array, target: Array, folds: int, seed: int) -> Array:
    """Fold of each row: groups are shuffled, then dealt out class by class (by the group's first label)."""
    _, first = np.unique(groups, return_index=True)
    rng = np.random.default_rng(seed)
    fold_of_group = np.zeros(len(first), dtype=int)
    for value in (False, True):
        members = np.flatnonzero(target[first] == value)
        fold_of_group[rng.permutation(members)] = np.arange(len(members)) % folds
    return fold_of_group[groups]
