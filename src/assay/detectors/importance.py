"""Which inputs a model's scores rest on, and whether that can be believed: Shapley values, stand-ins, deletion."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import numpy as np

from assay.adapters.encode import Encoded, encode
from assay.adapters.extras import library
from assay.core.errors import CouldNotLook
from assay.stats.shapley import sampled

Array = Any
TRAINED_ON = 5000
RANDOM_SETS = 4
BACKGROUNDS = 16
_TREES: dict[str, Any] = {
    "objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "verbose": -1,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "cat_smooth": 20.0,
}  # fmt: skip
ROUNDS = 60


class Scorer(Protocol):
    """What is explained: the part of a predictor that this needs."""

    features: tuple[str, ...]

    def scores(self, rows: Any) -> Array:
        """Score of each row of an Arrow table, (n,)."""


class Explained(msgspec.Struct, frozen=True):
    """Shapley values (n, d), their standard errors (n, d; 0 where they are exact), what the values of each row have to
    add up to (n,), and in what they are told."""

    values: Array
    errors: Array
    total: Array
    unit: str

    @property
    def exact(self) -> bool:
        """Whether nothing was drawn."""
        return not self.errors.any()


class StandIn:
    """A small LightGBM model of the same inputs, as a predictor that can be explained like the real one."""

    kind = "lightgbm"
    classes = (0, 1)

    def __init__(self, booster: Any, features: tuple[str, ...], levels: dict[str, tuple[Any, ...]]) -> None:
        self.booster, self.features, self.levels = booster, features, levels

    def scores(self, rows: Any) -> Array:
        """The probability of the positive class, (n,)."""
        return self.class_scores(rows, 1)

    def class_scores(self, rows: Any, place: int) -> Array:
        """The probability of the class at `place`, (n,)."""
        out = self.booster.predict(matrix_of(self, rows), num_threads=1)
        return out if place == 1 else 1 - out


def matrix_of(model: Any, rows: Any) -> Array:
    """The rows as the numbers that a booster reads, its own levels as codes, (n, d)."""
    return encode(rows.select(list(model.features)), model.levels, model.levels).matrix


def stand_in(encoded: Encoded, target: Array, seed: int, *, permuted: bool) -> StandIn:
    """A stand-in trained on rows drawn from the training data with replacement, its labels permuted or as they are."""
    lgb = library("lightgbm")
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(target), min(TRAINED_ON, len(target)))
    labels = target[drawn].astype(float)
    if permuted:
        labels = rng.permutation(labels)
    data = lgb.Dataset(
        encoded.matrix[drawn], label=labels, categorical_feature=list(encoded.categorical),
        params={"verbose": -1, "min_data_in_bin": 1},
    )  # fmt: skip
    booster = lgb.train({**_TREES, "seed": seed % 2**31}, data, num_boost_round=ROUNDS)
    return StandIn(booster, encoded.names, encoded.levels)


def explain(model: Scorer, rows: Any, background: Any, *, pairs: int, seed: int, trees: bool) -> Explained:
    """The Shapley values of the model's score of each row: exact from its trees, or by permutations.

    `background` are training rows. Raises CouldNotLook where the model has no trees that can be read and `trees` asks.
    """
    if trees:
        found = tree_values(model, rows)
        if found is None:
            raise CouldNotLook("the model's trees cannot be explained one by one")
        return found
    mixed = Mixed(model, rows, background)
    drawn = sampled(
        mixed.scores, rows.num_rows, background.num_rows, len(model.features), pairs=pairs, seed=seed
    )  # fmt: skip
    base = float(np.mean(model.scores(background)))
    return Explained(drawn.values, drawn.errors, np.asarray(model.scores(rows)) - base, "score")


def tree_values(model: Any, rows: Any) -> Explained | None:
    """TreeSHAP of a model that brings its booster, by the library that trained it; None where it has none to read.

    A booster of another library gets its reader here: it needs only values (n, d) and the total of each row.
    """
    reader = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}.get(getattr(model, "kind", ""))
    return reader(model, rows) if reader and getattr(model, "booster", None) is not None else None


def _lightgbm(model: Any, rows: Any) -> Explained | None:
    """Exact values of the margin (log-odds), given the trees' own cover (Lundberg et al. 2020)."""
    lgb = library("lightgbm")
    matrix, width = matrix_of(model, rows), len(model.features) + 1
    try:
        given = np.asarray(model.booster.predict(matrix, pred_contrib=True, num_threads=1))
    except lgb.basic.LightGBMError:  # trees with linear leaves have none
        return None
    margin = np.asarray(model.booster.predict(matrix, raw_score=True, num_threads=1)).reshape(len(matrix), -1)
    given = given.reshape(len(matrix), -1, width)
    place, sign = _class_of(model, rows)
    at = place if given.shape[1] > 1 else 0
    values = given[:, at, :-1] * sign
    return Explained(values, np.zeros_like(values), (margin[:, at] - given[:, at, -1]) * sign, "log-odds")


def _catboost(model: Any, rows: Any) -> Explained | None:
    """As `_lightgbm`, by CatBoost; None for several classes."""
    found = model.contributions(rows)
    return Explained(found[0], np.zeros_like(found[0]), found[1], "log-odds") if found is not None else None


def _xgboost(model: Any, rows: Any) -> Explained | None:
    """As `_lightgbm`, of a model of one margin; None for several classes, and for trees that it cannot explain."""
    xgboost = library("xgboost", "xgboost")
    try:
        matrix = model.trees().read(rows.select(list(model.features))).astype(np.float32)
        data = xgboost.DMatrix(matrix, nthread=1, feature_types=model.booster.feature_types)
        asked = {"validate_features": False, "strict_shape": True}
        given = np.asarray(model.booster.predict(data, pred_contribs=True, **asked), dtype=np.float64)
        margin = np.asarray(model.booster.predict(data, output_margin=True, **asked), dtype=np.float64)
    except (CouldNotLook, xgboost.core.XGBoostError, ValueError):
        return None
    if margin.shape[1] != 1:
        return None
    # The score is a monotone function of the margin, so their covariance has the sign of its direction.
    scores = np.asarray(model.scores(rows))
    sign = -1.0 if float(((scores - scores.mean()) * (margin[:, 0] - margin.mean())).sum()) < 0 else 1.0
    values = given[:, 0, :-1] * sign
    return Explained(values, np.zeros_like(values), (margin[:, 0] - given[:, 0, -1]) * sign, "log-odds")


def _class_of(model: Any, rows: Any) -> tuple[int, float]:
    """(which class the scores are of, −1 where they are the other side of one margin)."""
    head = rows.slice(0, 50)
    scores = np.asarray(model.scores(head))
    for place in range(len(model.classes)):
        if np.allclose(np.asarray(model.class_scores(head, place)), scores):
            return place, 1.0 if len(model.classes) > 2 or place == 1 else -1.0
    raise CouldNotLook("the model's scores are those of none of its classes")


class Mixed:
    """Scores of rows some of whose inputs come from background rows."""

    def __init__(self, model: Scorer, rows: Any, background: Any) -> None:
        pa = library("pyarrow")
        self.model, self.size = model, rows.num_rows
        self.columns = []
        for name in model.features:
            both = [rows.column(name), background.column(name)]
            if both[0].type != both[1].type:
                if any(str(c.type) not in ("int64", "double", "bool") for c in both):
                    raise CouldNotLook("the training data and the holdout hold one input as different types")
                both = [_double(c, pa) for c in both]
            self.columns.append(pa.chunked_array([c for part in both for c in part.chunks]).combine_chunks())

    def scores(self, row: Array, background: Array, own: Array) -> Array:
        """The score of row[i] with the inputs that are not its `own` (k, d) taken from background[i], (k,)."""
        pa = library("pyarrow")
        columns = [
            column.take(pa.array(np.where(own[:, place], row, self.size + background)))
            for place, column in enumerate(self.columns)
        ]
        return np.asarray(self.model.scores(pa.table(columns, names=list(self.model.features))))


def _double(column: Any, pa: Any) -> Any:
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return column.cast(pa.float64(), safe=False)


def deletion(
    model: Scorer, rows: Any, background: Any, values: Array, *, count: int, seed: int
) -> tuple[Array, Array]:  # fmt: skip
    """(how far the score moves without the `count` inputs of the largest values, the same for as many drawn ones),
    (n,) each.

    Inputs are replaced by those of drawn background rows and the score is averaged over them; of drawn sets, which may
    hold the same inputs, the mean of several is taken.
    """
    rng = np.random.default_rng(seed)
    mixed, n, d = Mixed(model, rows, background), rows.num_rows, len(model.features)
    order = np.argsort(-np.abs(values), axis=1, kind="stable")
    sets = [order[:, :count], *(np.argsort(rng.random((n, d)), axis=1)[:, :count] for _ in range(RANDOM_SETS))]
    from_row = rng.integers(0, background.num_rows, (n, BACKGROUNDS))
    scores = np.asarray(model.scores(rows))
    moved = []
    for chosen in sets:
        own = np.ones((n, d), dtype=bool)
        np.put_along_axis(own, chosen, False, axis=1)
        row = np.repeat(np.arange(n), BACKGROUNDS)
        without = mixed.scores(row, from_row.ravel(), np.repeat(own, BACKGROUNDS, axis=0))
        moved.append(np.abs(scores - without.reshape(n, BACKGROUNDS).mean(axis=1)))
    return moved[0], np.mean(moved[1:], axis=0)


def association(first: Array, second: Array) -> float:
    """How far one grouping tells another, 0 to 1: Cramér's V, corrected for its bias (Bergsma 2013). Codes int (n,)."""
    n = len(first)
    _, a = np.unique(first, return_inverse=True)
    _, b = np.unique(second, return_inverse=True)
    r, c = int(a.max()) + 1, int(b.max()) + 1
    if min(r, c) < 2 or n < 2:
        return 0.0
    seen = np.bincount(a * c + b, minlength=r * c).reshape(r, c).astype(float)
    expected = seen.sum(axis=1, keepdims=True) * seen.sum(axis=0, keepdims=True) / n
    phi = max(0.0, float(((seen - expected) ** 2 / expected).sum()) / n - (r - 1) * (c - 1) / (n - 1))
    sizes = (r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1))
    return float(np.sqrt(phi / max(1e-12, min(sizes) - 1))) if min(sizes) > 1 else 0.0


def tenths(column: Array) -> Array:
    """A column of numbers (n,) as tenths of its rows, missing ones apart."""
    known = column[np.isfinite(column)]
    if not len(known):
        return np.zeros(len(column), dtype=np.int64)
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, 11)[1:-1]))
    return np.where(np.isfinite(column), np.searchsorted(cuts, column, side="right"), len(cuts) + 1)
