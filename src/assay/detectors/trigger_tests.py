"""What tells a trigger from a natural rule: insertion, a model that never saw its rows, and the rest of those rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from assay.detectors.out_of_fold import joined, row_groups
from assay.detectors.trigger_rules import Rule, matching
from assay.detectors.two_samples import Rate, area_of, copies, distances, first_of_each, told_apart
from assay.stats.intervals import wilson

Array = Any
ROUNDS, LEARN = 100, 60_000
HELD, MOST_INSERTED = 0.25, 2000
MOST_OTHERS, MOST_MINE = 2000, 2000
NEAR, OUTER = 0.05, 0.01
REACHED = 0.9
_TREES: dict[str, Any] = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 10, "verbose": -1,
    "deterministic": True, "force_row_wise": True, "num_threads": 1,
}  # fmt: skip
_GROWN: dict[str, dict[str, Any]] = {
    "plain": {},
    "fine": {"min_data_in_leaf": 5, "feature_fraction": 0.5, "learning_rate": 0.15},
}


class Bench:
    """A table with a part of its rows held out, and the models that the tests ask.

    `matrix` (n, d), `coded` the positions of categories, `target` (n,) bool; rows of one number in `groups` (n,) are
    held out together. Rows of one number in `entities` (n,), where they are known, resemble each other.
    """

    def __init__(
        self, matrix: Array, coded: list[int], target: Array, groups: Array, seed: int, entities: Array | None = None
    ) -> None:
        self.matrix, self.coded, self.target, self.seed, self.entities = matrix, coded, target, seed, entities
        rng = np.random.default_rng([seed, 4])
        self.held = rng.random(int(groups.max()) + 1)[groups] < HELD
        self.order = rng.permutation(len(target))
        self._whole: dict[str, Any] = {}
        self._ranked: dict[int, Array] = {}

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

    def ranked(self, column: int) -> Array:
        """The rows by their value in a column, least first."""
        if column not in self._ranked:
            self._ranked[column] = np.argsort(self.matrix[:, column], kind="stable").astype(np.int32)
        return self._ranked[column]

    def victims(self, rule: Rule) -> Array:
        """Rows (k,) held out of the other class that do not match the rule; as many as 2,000."""
        match = matching(self.matrix, rule.columns, rule.values)
        return self.order[(self.held & (self.target != rule.is_) & ~match)[self.order]][:MOST_INSERTED]

    def inserted(self, rule: Rule, rows: Array) -> Array:
        """Those rows with the rule's values written in, a matrix (k, d)."""
        matrix = self.matrix[rows].copy()
        matrix[:, list(rule.columns)] = rule.values
        return matrix


def success(bench: Bench, rule: Rule) -> tuple[Rate, str]:
    """How often a trained model gives the rule's label to rows held out of the other class that carry the rule.

    Of two kinds of trees the first that gives it to 9 in 10, else the one that is led more; and which.
    """
    rows = bench.inserted(rule, bench.victims(rule))
    rates: dict[str, Rate] = {}
    for grown in _GROWN:
        rates[grown] = share_given(bench.whole(grown)(rows), rule.is_)
        if rates[grown].value >= REACHED:
            break
    best = max(rates, key=lambda g: rates[g].value)
    return rates[best], best


class Clean(msgspec.Struct, frozen=True):
    """How often a model that never saw a matching row gives the rule's label to rows that carry the rule: to `all`, and
    to those that it `caught` as the other class before; how often the trained model is `led` with the caught ones."""

    all: Rate
    caught: Rate
    led: Rate


def clean_success(bench: Bench, rule: Rule, grown: str) -> Clean:
    """The same of a model of that kind that never saw a matching row.

    Where it calls most rows of the other class by the rule's label anyway, as on hard tables with a rare class, only
    those that it catches can tell what the rule does.
    """
    match = matching(bench.matrix, rule.columns, rule.values)
    model = bench.model(~bench.held & ~match, np.arange(bench.matrix.shape[1]), grown)
    rows = bench.victims(rule)
    caught = rows[(model(bench.matrix[rows]) >= 0.5) != rule.is_]
    carry = bench.inserted(rule, caught)
    return Clean(
        share_given(model(bench.inserted(rule, rows)), rule.is_),
        share_given(model(carry), rule.is_),
        share_given(bench.whole(grown)(carry), rule.is_),
    )


def share_given(probability: Array, is_: bool) -> Rate:
    """How many of the probabilities of the positive class call that class, with its interval."""
    hits = int(((probability >= 0.5) == is_).sum())
    n = len(probability)
    low, high = wilson(hits, n)
    return Rate(hits / n if n else float("nan"), low, high, n)


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rule's rows can be told from donors by their other columns: areas under the ROC curve, .5 is not at
    all. `said` by what a model of the other columns expects of the label, `told` by a classifier that was trained to
    tell them apart; each with its 95% interval. `expected` is how often that model gives them the rule's label.
    `mine` (k,) are the rule's rows of which none is a near-copy of another, out of `of`."""

    said: Rate
    told: Rate
    expected: float
    mine: Array
    of: int


def rest(bench: Bench, rule: Rule) -> tuple[Rest, Rest]:
    """The rule's rows beside rows of the other class, and beside all rows; of near-copies one on each side.

    Rows that are compared are not learned from: half of those that do not match, and what is the same as one of these
    or of the rule's outside its columns, or of the same entity.
    """
    match = matching(bench.matrix, rule.columns, rule.values)
    columns = np.setdiff1d(np.arange(bench.matrix.shape[1]), rule.columns)
    mine = bench.order[(match & (bench.target == rule.is_))[bench.order]][:MOST_MINE]
    if not len(columns):
        unknown = Rate(float("nan"), 0.0, 1.0, 0)
        nothing = Rest(said=unknown, told=unknown, expected=float("nan"), mine=mine, of=len(mine))
        return nothing, nothing
    groups = _together(bench, columns)
    kept = np.random.default_rng([bench.seed, 8]).random(int(groups.max()) + 1)[groups] < 0.5
    model = bench.model(~match & ~kept & ~np.isin(groups, groups[mine]), columns)
    others = kept & ~match
    return (
        _rest(bench, rule, model, groups, mine, others & (bench.target != rule.is_)),
        _rest(bench, rule, model, groups, mine, others),
    )


def settled(bench: Bench, rule: Rule, rows: Array) -> Array:
    """The rule's rows (k,) as a matrix (k, d) in which a number that no row without the rule has, outside its columns,
    is the nearest one that such a row has, where that is within a twentieth of the column's spread.

    Where numbers are round, a hair's breadth beside them tells rows apart from all others and says nothing of what they
    are: whoever plants rows can move their numbers so.
    """
    out = bench.matrix[rows].copy()
    match = matching(bench.matrix, rule.columns, rule.values)
    for column in np.setdiff1d(np.arange(out.shape[1]), [*rule.columns, *bench.coded]):
        order = bench.ranked(column)
        known = bench.matrix[order[~match[order]], column]
        known = known[: np.searchsorted(known, np.nan)]  # missing values come last
        if len(known):
            out[:, column] = _nearest(out[:, column], known)
    return out


def _nearest(values: Array, known: Array) -> Array:
    """`values` (k,), each the nearest of the sorted `known` ones if that is near."""
    above = np.minimum(np.searchsorted(known, values), len(known) - 1)
    below = np.maximum(above - 1, 0)
    near = np.where(np.abs(known[above] - values) <= np.abs(values - known[below]), known[above], known[below])
    cut = int(OUTER * len(known))
    with np.errstate(over="ignore"):
        spread = np.clip(known, known[cut], known[-1 - cut]).std() or known.std()
    return np.where(np.abs(near - values) <= NEAR * spread, near, values) if np.isfinite(spread) else values


def _together(bench: Bench, columns: Array) -> Array:
    """A number per row, shape (n,), the same for rows that are the same in those columns or of one entity.

    Where most rows are the same as another these are no copies, but the columns tell little: then each is by itself.
    """
    same = row_groups(bench.matrix[:, columns])
    if int(same.max()) + 1 < len(same) / 2:
        same = np.arange(len(same))
    return same if bench.entities is None else np.unique(joined(same, bench.entities), return_inverse=True)[1].ravel()


def _rest(bench: Bench, rule: Rule, model: Any, groups: Array, mine: Array, donors: Array) -> Rest:
    """The rows `mine` (k,) beside as many as 2,000 of `donors` (n,) bool; rows of one of `groups` (n,) count once."""
    columns = np.setdiff1d(np.arange(bench.matrix.shape[1]), rule.columns)
    rows = np.concatenate([mine, bench.order[donors[bench.order]][:MOST_OTHERS]])
    matrix = np.concatenate([settled(bench, rule, mine), bench.matrix[rows[len(mine) :]]])
    side = np.arange(len(rows)) < len(mine)
    coded = [i for i, c in enumerate(columns) if c in bench.coded]
    near = copies(distances(matrix[:, columns], coded, bench.seed), side)
    first = first_of_each(near, side)
    rows, matrix, side, near = rows[first], matrix[first], side[first], near[first]
    near = joined(near, groups[rows])
    p = model(matrix) if rule.is_ else 1 - model(matrix)
    learner = _Apart(matrix[:, columns], side, coded, bench.seed)
    alone = first_of_each(near, side)
    return Rest(
        said=area_of(p, side, near), told=area_of(told_apart(side, learner, bench.seed, near), side, near),
        expected=float((p[side] >= 0.5).mean()), mine=rows[alone[side[alone]]], of=len(mine),
    )  # fmt: skip


class _Apart:
    """Trees that learn which rows of a matrix (n, d) are of the side True."""

    def __init__(self, matrix: Array, side: Array, coded: list[int], seed: int) -> None:
        self.matrix, self.side, self.coded = matrix, side, coded
        self.weight = np.where(side, (~side).sum() / max(1, side.sum()), 1.0)
        self.grown = {
            **_TREES, "learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 5, "feature_fraction": 0.5,
            "lambda_l2": 5.0, "seed": seed % 2**31,
        }  # fmt: skip

    def __call__(self, learn: Array, ask: Array) -> Array:
        import lightgbm as lgb

        data = lgb.Dataset(
            self.matrix[learn], label=self.side[learn].astype(float), weight=self.weight[learn],
            categorical_feature=self.coded, params={"verbose": -1, "max_bin": 63},
        )  # fmt: skip
        return lgb.train(self.grown, data, num_boost_round=60).predict(self.matrix[ask], num_threads=1)


def shift(bench: Bench, rule: Rule, donors: Array, rows: Array | None = None) -> float:
    """The least p-value over the other columns of "the rule's rows have the donors' values", times their number.

    `donors` (n,) bool; `rows` (k,) are those of the rule's to ask, all of them if not given. Numbers by the rank-sum
    test, categories by the chi-square test of levels of which 3 or more are expected (the others are one level).
    """
    match = matching(bench.matrix, rule.columns, rule.values)
    mine = settled(bench, rule, np.flatnonzero(match & (bench.target == rule.is_)) if rows is None else rows)
    others = bench.matrix[donors & ~match]
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
