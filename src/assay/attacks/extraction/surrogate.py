"""The copy: a learner that an attacker trains on answers and chooses by cross-validation on them alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from assay.attacks.extraction.schema import Schema
from assay.attacks.extraction.victim import Answers, Link, View
from assay.core.protocols import ArrowTable
from assay.core.subject import Access

Array = Any
Learner = Literal["trees", "tree decisions", "linear", "logistic", "network"]
Margin = Callable[[Array], Array]  # rows (n, d) → how far above the decision (n,), not below 0 where flagged
FOLDS, TRIED = 2, 1_000  # cross-validation rests on so many answers
NETWORK_ROWS, EPOCH_ROWS = 10_000, 40_000
COARSE = 3  # decimals of a score that tell a share and hardly a logit
LEVELS = 30  # of a category that get a column of their own
LEAST_FOLD = 30  # answers
FOLDS_SMALL, SMALL, LEAST_FLAGGED = 3, 3_000, 5
TREES: dict[str, Any] = {
    "learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 5, "lambda_l2": 0.1, "feature_fraction": 0.8,
    "bagging_fraction": 0.9, "bagging_freq": 1, "max_bin": 127, "min_data_per_group": 5, "cat_smooth": 1.0,
    "verbose": -1, "deterministic": True, "force_row_wise": True, "num_threads": 1,
}  # fmt: skip
ROUNDS, FEWER = 300, 80


class Copied:
    """A copy as a predictor: the scores are its margins, the threshold is 0. Columns and classes are the victim's."""

    threshold = 0.0
    access: Access = "score"

    def __init__(self, schema: Schema, classes: tuple[Any, ...], margin: Margin) -> None:
        self.features, self.classes, self.queries = schema.inputs, classes, 0
        self._schema, self._margin = schema, margin

    def scores(self, rows: ArrowTable) -> Array:
        """Margins of the copy, shape (n,)."""
        self.queries += rows.num_rows
        return self._margin(self._schema.encoded(rows))

    def flagged(self, rows: ArrowTable) -> Array:
        """Margins at or above 0, shape (n,), bool."""
        return self.scores(rows) >= 0

    def close(self) -> None:
        """It holds nothing."""


def learners(answers: Answers) -> tuple[Learner, ...]:
    """What an attacker would try on such answers, the first being the default."""
    one = answers.flagged.all() or not answers.flagged.any()
    if answers.scores is None:
        return ("tree decisions",) if one else ("tree decisions", "linear", "network")
    trees: tuple[Learner, ...] = ("trees",) if one else ("trees", "tree decisions")
    # Of scores in full a logit says more, and one learner more to choose from is one more to be chosen by chance.
    soft: tuple[Learner, ...] = ("logistic",) if _coarse(answers.scores) else ()
    return (*trees, "linear", *soft, "network")


def _coarse(scores: Array) -> bool:
    """Whether they are probabilities that somebody rounded."""
    probable = scores.min() >= 0 and scores.max() <= 1
    return bool(probable and np.allclose(scores, np.round(scores, COARSE), rtol=0, atol=1e-9))


def fitted(
    schema: Schema, answers: Answers, threshold: float, view: View, learner: Learner, seed: int, rounds: int = ROUNDS
) -> Margin:
    """A copy trained on all `answers`. Where all decisions are equal and there are no scores it repeats that one."""
    if answers.scores is None or learner == "tree decisions":
        if answers.flagged.all() or not answers.flagged.any():
            side = 1.0 if answers.flagged.all() else -1.0
            return lambda rows: np.full(len(rows), side)
        target, flags = answers.flagged.astype(float), True
    else:
        target, flags = Link(answers.scores, threshold, view.decimals)(answers.scores), False
        if np.ptp(target) == 0:
            level = float(target[0])
            return lambda rows: np.full(len(rows), level)
        if learner == "logistic":
            return _logistic(schema, answers, threshold)
    if learner in ("trees", "tree decisions"):
        return _trees(schema, answers.rows, target, flags, seed, rounds)
    return _plain(schema, answers.rows, target, flags, learner, seed)


def calibrated(schema: Schema, answers: Answers, threshold: float, view: View, learner: Learner, seed: int) -> Margin:
    """A copy trained on all answers, its decision moved so that it flags as many rows as the victim does.

    A copy of few answers is drawn toward their mean and flags too little. How much is told by blind answers that it
    was not trained on: of FOLDS_SMALL folds of few answers, of one part in four of many.
    """
    margin = fitted(schema, answers, threshold, view, learner, seed)
    n = len(answers.flagged)
    order = np.random.default_rng([seed, 31]).permutation(n)
    folds, turns = (FOLDS_SMALL, FOLDS_SMALL) if n <= SMALL and learner != "network" else (4, 1)
    held, flagged = [], []
    for turn in range(turns):
        out = np.zeros(n, dtype=bool)
        out[order[turn::folds]] = True
        part = answers.take(np.flatnonzero(out & answers.blind))
        if len(part.flagged):
            rest = fitted(schema, answers.take(np.flatnonzero(~out)), threshold, view, learner, seed)
            held.append(rest(part.rows))
            flagged.append(part.flagged)
    margins, share = np.concatenate(held), float(np.concatenate(flagged).mean())
    if not LEAST_FLAGGED <= share * len(margins) <= len(margins) - LEAST_FLAGGED:
        return margin
    off = float(np.quantile(margins, 1 - share))
    return lambda rows: margin(rows) - off


def _trees(schema: Schema, rows: Array, target: Array, flags: bool, seed: int, rounds: int) -> Margin:
    import lightgbm as lgb

    least = int(min(5, max(2, len(rows) // 20)))
    grown = {**TREES, "min_data_in_leaf": least, "seed": seed, "objective": "binary" if flags else "regression"}
    data = lgb.Dataset(rows, label=target, categorical_feature=list(schema.unordered), free_raw_data=True)
    model = lgb.train(grown, data, num_boost_round=rounds)
    return lambda asked: np.asarray(model.predict(asked, raw_score=True, num_threads=1))


def _plain(schema: Schema, rows: Array, target: Array, flags: bool, learner: Learner, seed: int) -> Margin:
    """A linear model or a small network, on standardised numbers and one column for each level."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from threadpoolctl import threadpool_limits

    columns = Columns(schema, rows)
    scale = 1.0 if flags else float(target.std())
    if learner == "linear":
        model = LogisticRegression(C=100.0, max_iter=100) if flags else Ridge(alpha=1e-3)
    else:
        rows, target = rows[-NETWORK_ROWS:], target[-NETWORK_ROWS:]
        how: dict[str, Any] = {
            "hidden_layer_sizes": (64, 32), "batch_size": min(128, len(rows)), "learning_rate_init": 3e-3,
            "max_iter": int(np.clip(EPOCH_ROWS // len(rows), 10, 40)), "random_state": seed,
        }  # fmt: skip
        model = MLPClassifier(**how) if flags else MLPRegressor(**how)
    with warnings.catch_warnings(), threadpool_limits(1):  # threads that wait for each other cost most of the time
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(columns(rows), target.astype(int) if flags else target / scale)
    if not flags:
        return lambda asked: np.asarray(model.predict(columns(asked))).ravel() * scale
    if learner == "linear":
        return lambda asked: np.asarray(model.decision_function(columns(asked)))

    def margin(asked: Array) -> Array:
        p = np.clip(model.predict_proba(columns(asked))[:, 1], 1e-9, 1 - 1e-9)
        return np.log(p / (1 - p))

    return margin


def _logistic(schema: Schema, answers: Answers, threshold: float) -> Margin:
    """A linear model that is as likely as can be where each answer is so much of one class: rounded scores say no
    logit, and near 0 and 1 hardly any, but what share they are of either class they say."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    columns, p = Columns(schema, answers.rows), np.asarray(answers.scores, dtype=float)
    seen, sides = columns(answers.rows), np.repeat([1, 0], len(p))
    model = LogisticRegression(C=100.0, max_iter=100)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.vstack([seen, seen]), sides, np.concatenate([p, 1 - p]))
    cut = float(Link(p, threshold).threshold)
    return lambda asked: np.asarray(model.decision_function(columns(asked))) - cut


class Columns:
    """Rows as a linear model reads them: numbers standardised by `rows` (holes are 0, and told), a column a level."""

    def __init__(self, schema: Schema, rows: Array) -> None:
        self.codes = schema.codes
        self.numbers = [j for j in range(len(schema.inputs)) if j not in schema.levels]
        part = rows[:, self.numbers]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            self.middle = np.nan_to_num(np.nanmean(part, axis=0)) if len(self.numbers) else np.zeros(0)
            spread = np.nan_to_num(np.nanstd(part, axis=0)) if len(self.numbers) else np.zeros(0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.holes = np.isnan(part).any(axis=0)
        self.common = {j: _common(rows[:, j]) for j in self.codes}

    def __call__(self, rows: Array) -> Array:
        """The columns (n, k), float64."""
        part = (rows[:, self.numbers] - self.middle) / self.spread
        gone = np.isnan(part)
        ones = [(rows[:, [j]] == level[None, :]).astype(float) for j, level in self.common.items()]
        return np.hstack([np.clip(np.where(gone, 0.0, part), -20, 20), gone[:, self.holes].astype(float), *ones])


def _common(values: Array) -> Array:
    level, count = np.unique(values[~np.isnan(values)], return_counts=True)
    return level[np.argsort(-count, kind="stable")[:LEVELS]]


def chosen(schema: Schema, answers: Answers, threshold: float, view: View, seed: int) -> Learner:
    """The learner whose decisions agree best with answers that it was not trained on: by MCC over FOLDS folds of at
    most TRIED answers, drawn at random; the first of equals. No judged row is looked at."""
    from assay.attacks.extraction.agreement import mcc

    options = learners(answers)
    rng = np.random.default_rng([seed, 7])
    order = rng.permutation(len(answers.flagged))[:TRIED]
    flagged = answers.flagged[order]
    if len(options) == 1 or len(order) < FOLDS * LEAST_FOLD or not 0 < flagged.sum() < len(order):
        return options[0]
    fold = np.empty(len(order), dtype=int)
    for side in (True, False):  # stratified
        place = np.flatnonzero(flagged == side)
        fold[place] = np.arange(len(place)) % FOLDS
    best, most = options[0], -2.0
    for learner in options:
        said = np.zeros(len(order), dtype=bool)
        for part in range(FOLDS):
            margin = fitted(schema, answers.take(order[fold != part]), threshold, view, learner, seed, FEWER)
            said[fold == part] = margin(answers.rows[order[fold == part]]) >= 0
        value = mcc(flagged, said)
        if value > most + 1e-9:
            best, most = learner, value
    return best
