"""Whether two tables can be told apart row by row: a classifier that learned on some rows is asked of others."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np

from assay.detectors.two_samples import area_of, dealt

Array = Any
LEAST_ROWS = 100


class Joint(msgspec.Struct, frozen=True, kw_only=True):
    """How well the tables are told apart on rows that the classifier never saw: the ROC area with its 95% interval (.5
    is chance), the p-value of "not at all", the rows asked, and the columns that it leaned on, with their shares."""

    area: float
    low: float
    high: float
    p: float
    rows: int
    leaned: tuple[tuple[str, float], ...]


def told_apart(before: Array, now: Array, names: tuple[str, ...], categorical: tuple[int, ...], seed: int) -> Joint:
    """The classifier two-sample test (Lopez-Paz and Oquab 2017) on matrices (n, columns) of both tables' rows.

    Half of the rows of each are learned from, the others asked: without drift these come in any order alike, whatever
    was learned, so that the rank-sum test of the scores is exact up to its normal approximation. Raises ValueError for
    fewer than 100 rows on a side.
    """
    import lightgbm as lgb

    if min(len(before), len(now)) < LEAST_ROWS:
        raise ValueError(f"{min(len(before), len(now))} rows are too few to tell tables apart")
    both, target = np.vstack([before, now]), np.repeat([False, True], [len(before), len(now)])
    asked = dealt(target, None, 2, seed) == 0
    parameters = {
        "objective": "binary", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 20, "lambda_l2": 1.0,
        "feature_fraction": 0.8, "verbose": -1, "seed": seed % 2**31, "deterministic": True, "force_row_wise": True,
        "num_threads": 1,
    }  # fmt: skip
    train = lgb.Dataset(
        both[~asked], label=target[~asked].astype(float),
        categorical_feature=list(categorical), feature_name=[f"f{i}" for i in range(len(names))],
        params={"verbose": -1},
    )  # fmt: skip
    model = lgb.train(parameters, train, num_boost_round=60)
    scores, target = model.predict(both[asked], num_threads=1), target[asked]
    area = area_of(scores, target)
    gain = model.feature_importance("gain")
    order = np.argsort(-gain)[:5]
    total = float(gain.sum()) or 1.0
    return Joint(
        area=area.value, low=area.low, high=area.high, p=_p(scores, target, area.value), rows=len(target),
        leaned=tuple((names[i], float(gain[i]) / total) for i in order if gain[i] > 0),
    )  # fmt: skip


def _p(scores: Array, target: Array, area: float) -> float:
    """One-sided p-value of the rank-sum statistic, ties corrected (Mann and Whitney 1947)."""
    n1, n0 = int(target.sum()), int((~target).sum())
    n = n1 + n0
    _, ties = np.unique(scores, return_counts=True)
    variance = n1 * n0 / 12 * ((n + 1) - float((ties.astype(float) ** 3 - ties).sum()) / (n * (n - 1)))
    if variance <= 0:
        return 1.0
    return 0.5 * math.erfc((area - 0.5) * n1 * n0 / math.sqrt(2 * variance))
