"""What tells a trigger from a natural rule: insertion, a model that never saw its rows, and the rest of those rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.detectors.trigger_rules import Rule, matching
from assay.stats.classifier import roc_area
from assay.stats.intervals import wilson, wilson_rate

Array = Any
ROUNDS, LEARN = 100, 60_000
HELD, MOST_INSERTED = 0.25, 2000
MOST_OTHERS = 2000
REACHED = 0.9
_TREES: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 10, "verbose": -1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1,
}  # fmt: skip
_GROWN: dict[str, dict[str, Any]] = {
    "plain": {},
    "fine": {"min_data_in_leaf": 5, "feature_fraction": 0.5, "learning_rate": 0.15},
}


class Rate(msgspec.Struct, frozen=True):
    """A rate with its 95% interval, of `n`."""

    value: float
    low: float
    high: float
    n: int


class Bench:
    """A table with a part of its rows held out, and the models that the tests ask.

    `matrix` (n, d), `coded` the positions of categories, `target` (n,) bool; rows of one number in `groups` (n,) are
    held out together.
    """

    def __init__(self, matrix: Array, coded: list[int], target: Array, groups: Array, seed: int) -> None:
        self.matrix, self.coded, self.target, self.seed = matrix, coded, target, seed
        rng = np.random.default_rng([seed, 4])
        self.held = rng.random(int(groups.max()) + 1)[groups] < HELD
        self.order = rng.permutation(len(target))
        self._whole: dict[str, Any] = {}

    def model(self, learn: Array, columns: Array, grown: str = "plain") -> Any:
        """Boosted trees of the rows `learn` (n,) bool and those columns: matrix (k, d) → P(positive) (k,)."""
        import lightgbm as lgb

        rows = np.flatnonzero(learn)
        rows = rows if len(rows) <= LEARN else np.sort(self.order[learn[self.order]][:LEARN])
        place = {int(c): i for i, c in enumerate(columns)}
        data = lgb.Dataset(
            self.matrix[np.ix_(rows, columns)], label=self.target[rows].astype(float),
            categorical_feature=[place[c] for c in self.coded if c in place], params={"verbose": -1},
        )  # fmt: skip
        trees = lgb.train({**_TREES, **_GROWN[grown], "seed": self.seed % 2**31}, data, num_boost_round=ROUNDS)
        return lambda matrix: trees.predict(matrix[:, columns], num_threads=1)

    def whole(self, grown: str) -> Any:
        """The model of all rows that are not held out."""
        if grown not in self._whole:
            self._whole[grown] = self.model(~self.held, np.arange(self.matrix.shape[1]), grown)
        return self._whole[grown]

    def inserted(self, rule: Rule) -> Array:
        """Rows held out of the other class, with the rule's values written in; as many as 2,000."""
        match = matching(self.matrix, rule.columns, rule.values)
        pick = self.order[(self.held & (self.target != rule.is_) & ~match)[self.order]][:MOST_INSERTED]
        rows = self.matrix[pick].copy()
        rows[:, list(rule.columns)] = rule.values
        return rows


def success(bench: Bench, rule: Rule) -> tuple[Rate, str]:
    """How often a trained model gives the rule's label to rows held out of the other class that carry the rule.

    Of two kinds of trees the first that gives it to 9 in 10, else the one that is led more; and which.
    """
    rows = bench.inserted(rule)
    rates: dict[str, Rate] = {}
    for grown in _GROWN:
        rates[grown] = share_given(bench.whole(grown)(rows), rule.is_)
        if rates[grown].value >= REACHED:
            break
    best = max(rates, key=lambda g: rates[g].value)
    return rates[best], best


def clean_success(bench: Bench, rule: Rule, grown: str) -> Rate:
    """The same of a model of that kind that never saw a matching row."""
    match = matching(bench.matrix, rule.columns, rule.values)
    model = bench.model(~bench.held & ~match, np.arange(bench.matrix.shape[1]), grown)
    return share_given(model(bench.inserted(rule)), rule.is_)


def share_given(probability: Array, is_: bool) -> Rate:
    """How many of the probabilities of the positive class call that class, with its interval."""
    hits = int(((probability >= 0.5) == is_).sum())
    n = len(probability)
    low, high = wilson(hits, n)
    return Rate(hits / n if n else float("nan"), low, high, n)


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rule's rows can be told from donors by their other columns: areas under the ROC curve, .5 is not at
    all. `said` by what a model of the other columns expects of the label, `told` by a classifier that was trained to
    tell them apart; each with its 95% interval. `expected` is how often that model gives them the rule's label."""

    said: Rate
    told: Rate
    expected: float


def rest(bench: Bench, rule: Rule) -> tuple[Rest, Rest]:
    """The rule's rows beside rows of the other class, and beside all rows."""
    match = matching(bench.matrix, rule.columns, rule.values)
    columns = np.setdiff1d(np.arange(bench.matrix.shape[1]), rule.columns)
    mine = np.flatnonzero(match & (bench.target == rule.is_))
    if not len(columns):
        unknown = Rate(float("nan"), 0.0, 1.0, 0)
        nothing = Rest(said=unknown, told=unknown, expected=float("nan"))
        return nothing, nothing
    # Rows that are compared are not learned from: half of those that do not match.
    kept = np.zeros(len(match), dtype=bool)
    kept[bench.order[: len(match) // 2]] = True
    model = bench.model(~match & ~kept, columns)
    out = []
    for donors in (bench.target != rule.is_, np.ones(len(match), dtype=bool)):
        pick = bench.order[(kept & ~match & donors)[bench.order]][:MOST_OTHERS]
        both = bench.matrix[np.concatenate([mine, pick])]
        of = np.repeat([True, False], [len(mine), len(pick)])
        p = model(both) if rule.is_ else 1 - model(both)
        said = area_of(p, of)
        told = area_of(
            _told_apart(both[:, columns], of, [i for i, c in enumerate(columns) if c in bench.coded], bench.seed), of
        )
        out.append(Rest(said=said, told=told, expected=float((p[of] >= 0.5).mean())))
    return out[0], out[1]


def area_of(scores: Array, of: Array) -> Rate:
    """The area under the ROC curve of scores of the rows `of` (n,) bool against the others, as rare as the rarer."""
    few = min(int(of.sum()), int((~of).sum()))
    if not few:
        return Rate(float("nan"), 0.0, 1.0, 0)
    area = roc_area(scores, of)
    low, high = wilson_rate(area, 2 * few)
    return Rate(area, low, high, few)


def _told_apart(matrix: Array, of: Array, coded: list[int], seed: int) -> Array:
    """Out-of-fold scores of trees that learn which rows match (Lopez-Paz and Oquab 2017); shape (n,)."""
    import lightgbm as lgb

    fold_of = np.empty(len(of), dtype=int)
    rng = np.random.default_rng([seed, 6])
    for value in (False, True):
        members = np.flatnonzero(of == value)
        fold_of[rng.permutation(members)] = np.arange(len(members)) % 4
    weight = np.where(of, (~of).sum() / max(1, of.sum()), 1.0)
    out = np.zeros(len(of))
    grown = {
        **_TREES,
        "learning_rate": 0.05,
        "num_leaves": 8,
        "min_data_in_leaf": 5,
        "feature_fraction": 0.5,
        "lambda_l2": 5.0,
    }
    for fold in range(4):
        learn = fold_of != fold
        data = lgb.Dataset(
            matrix[learn], label=of[learn].astype(float), weight=weight[learn], categorical_feature=coded,
            params={"verbose": -1, "max_bin": 63},
        )  # fmt: skip
        out[~learn] = lgb.train({**grown, "seed": seed % 2**31}, data, num_boost_round=60).predict(
            matrix[~learn], num_threads=1
        )
    return out


def shift(bench: Bench, rule: Rule, donors: Array) -> float:
    """The least p-value over the other columns of "the rule's rows have the donors' values", times their number.

    `donors` (n,) bool. Numbers by the rank-sum test, categories by the chi-square test of levels of which 3 or more are
    expected (the others are one level).
    """
    match = matching(bench.matrix, rule.columns, rule.values)
    mine, others = bench.matrix[match & (bench.target == rule.is_)], bench.matrix[donors & ~match]
    columns = [c for c in range(bench.matrix.shape[1]) if c not in rule.columns]
    least = min((_p(mine[:, c], others[:, c], c in bench.coded) for c in columns), default=1.0)
    return min(1.0, least * max(1, len(columns)))


def _p(mine: Array, others: Array, category: bool) -> float:
    from scipy import stats

    if not category:
        a, b = np.nan_to_num(mine, nan=-1e300), np.nan_to_num(others, nan=-1e300)
        return 1.0 if a.min() == a.max() == b.min() == b.max() else float(stats.mannwhitneyu(a, b).pvalue)
    _, code = np.unique(np.nan_to_num(np.concatenate([mine, others]), nan=-1), return_inverse=True)
    seen = np.bincount(code[: len(mine)], minlength=code.max() + 1).astype(float)
    base = np.bincount(code[len(mine) :], minlength=code.max() + 1) / len(others) * len(mine)
    often = base >= 3
    seen = np.append(seen[often], seen[~often].sum())
    base = np.append(base[often], base[~often].sum())
    seen, base = seen[base > 0.5], base[base > 0.5]
    if len(seen) < 2:
        return 1.0
    return float(stats.chi2.sf(((seen - base) ** 2 / base).sum(), len(seen) - 1))
