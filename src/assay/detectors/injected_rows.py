"""Rows that break what columns have to do with each other: each value ordinary, the row as a whole unlikely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from assay.adapters.encode import Encoded
from assay.core.errors import CouldNotLook
from assay.core.protocols import Progress, silent
from assay.detectors.out_of_fold import row_groups
from assay.stats.intervals import exact

Array = Any
Scorer = Callable[[Array], Array]
LEAST_ROWS = 500
MOST_COLUMNS, MOST_TARGETS, MOST_LEVELS = 60, 16, 64
WIDEST, SAMPLE = 1000, 2000
TAILS = (0.25, 0.5, 0.75)
ORDINARY = 0.98
FOLDS, ROUNDS, LEARN, LEARN_COLUMN = 3, 200, 20_000, 5_000
_GROWN: dict[str, Any] = {
    "verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "lambda_l2": 1.0,
    "cat_smooth": 20.0,
}  # fmt: skip
_APART: dict[str, Any] = {
    **_GROWN, "objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 20,
    "feature_fraction": 0.7, "bagging_fraction": 0.8, "bagging_freq": 1,
}  # fmt: skip
_COLUMN: dict[str, Any] = {
    **_GROWN, "objective": "multiclass", "learning_rate": 0.2, "num_leaves": 15, "min_data_in_leaf": 15,
    "feature_fraction": 0.5,
}  # fmt: skip


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """How much each row looks as if its values did not belong together.

    `score` (rows,), higher is worse; `column` (rows,) the position in `names` of the most surprising column given the
    rest; `share` how much of the rows could be put together from unrelated values (mixture proportion) with its 95%
    interval; `power` the share of such rows that score above 98% of the data's; `names` the columns looked at, chosen
    among `drawn` of the `of` columns that vary: all of them, or 1,000 drawn with the seed.
    """

    score: Array
    column: Array
    share: float
    low: float
    high: float
    power: float
    names: tuple[str, ...]
    of: int
    drawn: int


def injected(encoded: Encoded, seed: int, progress: Progress = silent) -> Injected:
    """Score every row by models that never saw it; identical rows share a fold.

    Two scores are added, each in its standard deviations: the log density ratio of rows with columns permuted against
    rows as they are, from trees that tell them apart (Hastie et al. 2009, 14.2.4), and the surprise -log P(column |
    rest) summed over columns in quantile bins. Raises CouldNotLook for fewer than 500 rows or two columns that vary.
    """
    import lightgbm as lgb

    if len(encoded.matrix) < LEAST_ROWS:
        raise CouldNotLook(f"{len(encoded.matrix)} rows are too few to learn how columns hang together: {LEAST_ROWS}")
    at, matrix, coded, of = _columns(encoded, np.random.default_rng([seed, 1]))
    if len(at) < 2:
        raise CouldNotLook("fewer than two columns vary: there is nothing that a row could break")
    try:
        real, null, column = _scored(matrix, coded, seed, progress)
    except lgb.basic.LightGBMError:  # its words name a line of its own source
        raise CouldNotLook("LightGBM cannot learn from the columns") from None
    share, low, high = mixed_share(real, null)
    power = float((null > np.quantile(real, ORDINARY)).mean())
    names = tuple(encoded.names[i] for i in at)
    return Injected(
        score=real, column=column, share=share, low=low, high=high, power=power, names=names, of=of,
        drawn=min(of, WIDEST),
    )  # fmt: skip


def mixed_share(real: Array, null: Array) -> tuple[float, float, float]:
    """How much of `real` could be drawn like `null` at most (mixture proportion, Blanchard et al. 2010), with its 95%
    interval.

    The least ratio of the two tails over thresholds that leave a quarter, half and three quarters of `null` beyond
    them. These are fixed, so that the counts beyond them are binomial (Clopper and Pearson 1934); ends of the interval
    are the least of the three.
    """
    n = len(real)
    hits = np.array([(real > np.quantile(null, 1 - tail)).sum() for tail in TAILS])
    tails = np.array(TAILS)
    low, high = np.transpose([exact(k, n) for k in hits.tolist()])
    share, low, high = ((each / tails).min() for each in (hits / n, low, high))
    return float(min(1, share)), float(min(1, low)), float(min(1, high))


def _columns(encoded: Encoded, rng: Any) -> tuple[Array, Array, list[int], int]:
    """(positions of the columns to look at, those columns, which of them are categories, how many vary).

    Rare levels are one level: that a value is rare is another check's matter. Of more than 60 columns those are taken
    that have most to do with another one, by rank correlation in a sample of rows. Positions are ordered by it.
    """
    matrix = np.clip(encoded.matrix, -1e300, 1e300)
    known = np.where(np.isnan(matrix), -np.inf, matrix)
    varies = np.flatnonzero((known != known[:1]).any(axis=0))
    of = len(varies)
    if of > WIDEST:
        varies = np.sort(rng.choice(varies, WIDEST, replace=False))
    few = known[rng.permutation(len(known))[:SAMPLE]][:, varies]
    ranks = np.argsort(np.argsort(few, axis=0, kind="stable"), axis=0).astype(float)
    for place in range(ranks.shape[1]):  # ties share a rank
        _, inverse, size = np.unique(few[:, place], return_inverse=True, return_counts=True)
        ranks[:, place] = (np.bincount(inverse, weights=ranks[:, place]) / size)[inverse]
    with np.errstate(all="ignore"):
        ranks -= ranks.mean(axis=0)
        ranks /= np.maximum(np.sqrt((ranks**2).sum(axis=0)), 1e-9)
        near = np.abs(ranks.T @ ranks)
    np.fill_diagonal(near, 0)
    order = np.argsort(-near.max(axis=1, initial=0), kind="stable")[:MOST_COLUMNS]
    at = varies[order]
    chosen = matrix[:, at].copy()
    categorical = set(encoded.categorical)
    coded = [place for place, i in enumerate(at) if i in categorical]
    for place in coded:
        chosen[:, place] = _levels(chosen[:, place])
    return at, chosen, coded, of


def _levels(values: Array) -> Array:
    """Codes of the most frequent levels; the rest, and missing values, are one more level each."""
    filled = np.where(np.isnan(values), -1, values)
    levels, inverse, size = np.unique(filled, return_inverse=True, return_counts=True)
    code = np.full(len(levels), MOST_LEVELS, dtype=float)
    top = np.argsort(-size, kind="stable")[:MOST_LEVELS]
    code[top] = np.arange(len(top))
    return code[inverse]


def _scored(matrix: Array, coded: list[int], seed: int, progress: Progress) -> tuple[Array, Array, Array]:
    """(score of each row, scores of as many rows with every column permuted, most surprising column of each row)."""
    rng = np.random.default_rng([seed, 2])
    groups = row_groups(matrix)
    fold_of = rng.permutation(int(groups.max()) + 1)[groups] % FOLDS
    targets = [_binned(matrix[:, j], 10, j in coded) for j in range(min(MOST_TARGETS, matrix.shape[1]))]
    rows, width = len(matrix), matrix.shape[1]
    parts = {name: np.zeros((rows, 2)) for name in ("real", "null")}
    column = np.zeros(rows, dtype=int)
    for fold in range(FOLDS):
        test, train = fold_of == fold, np.flatnonzero(fold_of != fold)
        if not test.any() or len(train) < 2:
            raise CouldNotLook("too few rows differ from each other")
        learn = rng.permutation(train)[:LEARN]
        apart = _apart(matrix[learn], coded, rng, seed)
        mixed = np.stack([matrix[test][rng.permutation(int(test.sum())), j] for j in range(width)], axis=1)
        surprise = {name: np.zeros((int(test.sum()), len(targets))) for name in parts}
        for j, (code, base) in enumerate(targets):
            progress(fold * len(targets) + j, FOLDS * len(targets), "columns given the rest")
            some = learn[:LEARN_COLUMN]
            judge = _given_rest(matrix[some], code(matrix[some, j]), base, j, coded, seed)
            for name, which in (("real", matrix[test]), ("null", mixed)):
                surprise[name][:, j] = judge(which, code(which[:, j]))
        for name, which in (("real", matrix[test]), ("null", mixed)):
            parts[name][test, 0] = apart(which)
            parts[name][test, 1] = surprise[name].sum(axis=1)
        column[test] = surprise["real"].argmax(axis=1)
    scale = np.maximum(parts["real"].std(axis=0), 1e-9)
    return (parts["real"] / scale).sum(axis=1), (parts["null"] / scale).sum(axis=1), column


def _apart(real: Array, coded: list[int], rng: Any, seed: int) -> Scorer:
    """Trees that tell rows from rows with all, half or a quarter of their values taken from other rows."""
    import lightgbm as lgb

    copies = 4 if len(real) < 6000 else 2 if len(real) < 12_000 else 1
    made = []
    for _ in range(copies):
        mixed = np.stack([real[rng.permutation(len(real)), j] for j in range(real.shape[1])], axis=1)
        swapped = rng.random(real.shape) < rng.choice([1.0, 0.5, 0.25], len(real))[:, None]
        made.append(np.where(swapped, mixed, real))
    label = np.repeat([0.0, 1.0], [len(real), copies * len(real)])
    data = lgb.Dataset(
        np.concatenate([real, *made]), label=label, categorical_feature=coded, params={"verbose": -1, "max_bin": 63}
    )
    model = lgb.train({**_APART, "seed": seed % 2**31}, data, num_boost_round=ROUNDS)
    return lambda rows: np.asarray(model.predict(rows, raw_score=True, num_threads=1))


def _given_rest(
    rows: Array, code: Array, base: Array, j: int, coded: list[int], seed: int
) -> Callable[[Array, Array], Array]:
    """How much more surprising a bin of column `j` is given the other columns than by itself, in nats."""
    import lightgbm as lgb

    rest = [i for i in range(rows.shape[1]) if i != j]
    data = lgb.Dataset(
        rows[:, rest], label=code, categorical_feature=[rest.index(i) for i in coded if i != j],
        params={"verbose": -1, "max_bin": 31},
    )  # fmt: skip
    model = lgb.train({**_COLUMN, "num_class": len(base), "seed": seed % 2**31}, data, num_boost_round=15)

    def judge(which: Array, said: Array) -> Array:
        p = np.asarray(model.predict(which[:, rest], num_threads=1))[np.arange(len(which)), said]
        return np.log(base[said]) - np.log(np.maximum(p, 1e-4))

    return judge


def _binned(values: Array, most: int, category: bool) -> tuple[Callable[[Array], Array], Array]:
    """(bin of a value, share of each bin): each value if there are few, else quantiles; missing is a bin of its own."""
    present = values[~np.isnan(values)]
    levels, size = np.unique(present, return_counts=True)
    if category or len(levels) <= most:
        kept = np.sort(levels[np.argsort(-size, kind="stable")[: most + 2]])

        def code(x: Array) -> Array:
            place = np.clip(np.searchsorted(kept, np.where(np.isnan(x), 0, x)), 0, max(0, len(kept) - 1))
            return np.where(np.isnan(x) | (kept[place] != x), len(kept), place)

        bins = len(kept) + 1
    else:
        edges = np.unique(np.quantile(present, np.linspace(0, 1, most + 1)[1:-1]))

        def code(x: Array) -> Array:
            return np.where(np.isnan(x), len(edges) + 1, np.searchsorted(edges, x, side="right"))

        bins = len(edges) + 2
    return code, (np.bincount(code(values), minlength=bins) + 0.5) / (len(values) + 0.5 * bins)
