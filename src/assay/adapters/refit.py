"""Training again by a model's own recipe: on other rows, with other parameters, with another seed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.adapters.encode import Encoded, encode
from assay.adapters.extras import library
from assay.adapters.lightgbm_predictor import LightgbmPredictor
from assay.adapters.lightgbm_text import sound
from assay.adapters.predictor_base import BasePredictor, positive_index
from assay.adapters.sandboxed import SandboxedPredictor
from assay.adapters.tables import Dataset
from assay.adapters.values import listed, same_value
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject

# What steers learning and nothing else: the file is not trusted to name files, machines or devices.
_STEERS = frozenset([
    "boosting", "data_sample_strategy", "learning_rate", "num_leaves", "max_depth", "min_data_in_leaf",
    "min_sum_hessian_in_leaf", "bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction", "bagging_freq",
    "feature_fraction", "feature_fraction_bynode", "extra_trees", "max_delta_step", "lambda_l1", "lambda_l2",
    "min_gain_to_split", "drop_rate", "max_drop", "skip_drop", "xgboost_dart_mode", "uniform_drop", "top_rate",
    "other_rate", "min_data_per_group", "max_cat_threshold", "cat_l2", "cat_smooth", "max_cat_to_onehot",
    "monotone_constraints", "monotone_constraints_method", "monotone_penalty", "path_smooth", "max_bin",
    "min_data_in_bin", "use_missing", "zero_as_missing", "is_unbalance", "scale_pos_weight", "sigmoid",
    "boost_from_average", "num_class",
])  # fmt: skip
_YES_OR_NO = frozenset(
    ("extra_trees", "xgboost_dart_mode", "uniform_drop", "use_missing", "zero_as_missing", "is_unbalance")
) | {"boost_from_average"}
_VALUE = re.compile(r"[-+.,0-9a-z_]{1,100000}", re.IGNORECASE)
_OBJECTIVES = ("binary", "multiclass", "multiclassova", "cross_entropy", "regression")
_FIXED = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
STAND_IN = "LightGBM with 100 trees of 31 leaves"


class Recipe:
    """How a model is trained. `own` says whether it is the model's own way, `said` which it is, for a report."""

    own = True
    said = ""

    def train(
        self, rows: ArrowTable, places: FloatArray, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """A model of this kind trained on `rows`, whose classes are at `places` (n,) in the model's `classes`.

        It reads the same columns, scores the same class and has the same threshold; close it. `changes` are other
        values of parameters, by the names that the model's library has for them. Raises CouldNotLook.
        """
        raise TypeError(f"{type(self).__name__} does not train")


def recipe_of(predictor: BasePredictor, subject: Subject, root: Path) -> Recipe:
    """The model's own recipe: of LightGBM text the parameters in the file, of a pickle the estimator itself.

    Raises CouldNotLook for a model that does not say how it was trained (such as ONNX).
    """
    if isinstance(predictor, SandboxedPredictor):
        return _Cloned(predictor)
    if isinstance(predictor, LightgbmPredictor):
        return _Boosted(predictor, Path(os.path.realpath(root / subject.uri)).read_bytes())
    raise CouldNotLook(f"{subject.uri}: a {predictor.kind or 'model'} file does not say how to train it again")


def stand_in(predictor: BasePredictor, subject: Subject, data: Dataset) -> Recipe:
    """LightGBM's defaults in place of a recipe that is not known; who uses it says so."""
    return _StandIn(predictor, positive_index(subject, data, predictor.classes))


def class_places(predictor: BasePredictor, subject: Subject, data: Dataset) -> FloatArray:
    """The place of each row's label among the model's classes, shape (rows,), int64. Raises CouldNotLook."""
    np = library("numpy")
    target, classes = data.target(), predictor.classes
    if len(classes) == 2:
        positive = positive_index(subject, data, classes)
        return np.where(target, positive, 1 - positive)
    encoded = data.table((data.label,)).column(0).combine_chunks().dictionary_encode()
    found = [next((i for i, c in enumerate(classes) if same_value(c, v)), -1) for v in listed(encoded.dictionary)]
    if -1 in found:
        raise CouldNotLook(f"{data.subject.uri}: {found.count(-1)} of its labels are no class of {subject.uri}")
    return np.array(found)[encoded.indices.to_numpy(zero_copy_only=False)]


class _Cloned(Recipe):
    """A pickled estimator: a clone of it, trained in its sandbox."""

    said = "the estimator's own parameters"

    def __init__(self, predictor: SandboxedPredictor) -> None:
        self._predictor = predictor

    def train(
        self, rows: ArrowTable, places: FloatArray, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`."""
        return self._predictor.trained_again(rows, places, changes=changes, seed=seed)


class _Boosted(Recipe):
    """A LightGBM text model: the parameters that its file lists, as many trees as it has."""

    said = "the parameters that the LightGBM file lists"

    def __init__(self, predictor: LightgbmPredictor, content: bytes) -> None:
        where, text = predictor.where, content.decode("utf-8", "replace")
        model = sound(content, where)
        written = re.search(r"^parameters:\n(.*?)^end of parameters$", text, re.DOTALL | re.MULTILINE)
        if written is None or model.objective not in _OBJECTIVES:
            raise CouldNotLook(f"{where}: the file does not say how it was trained")
        pairs = re.findall(r"^\[(\w+): (.*)\]$", written.group(1), re.MULTILINE)
        self._parameters = {
            k: {"0": "false", "1": "true"}.get(v, v) if k in _YES_OR_NO else v  # written as numbers, not read as such
            for k, v in pairs
            if k in _STEERS and _VALUE.fullmatch(v)
        }
        self._parameters["objective"] = model.objective
        self._like, self._categorical = predictor, list(model.categorical)
        self._rounds = predictor.booster.current_iteration()

    def train(
        self, rows: ArrowTable, places: FloatArray, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`."""
        parameters = {**self._parameters, **(changes or {})}
        rounds = int(parameters.pop("num_iterations", self._rounds))
        return Boosted(self._like, rows, places, (parameters, rounds, self._categorical), seed)


class Boosted(LightgbmPredictor):
    """A booster trained here, asked as the model that it is `like`; `content` is it as a LightGBM text file."""

    def __init__(
        self, like: LightgbmPredictor, rows: ArrowTable, places: FloatArray, how: tuple[Any, int, list[int]], seed: int
    ) -> None:
        self.__dict__.update(like.__dict__)
        self.queries = 0
        parameters, rounds, categorical = how
        matrix = self._matrix(rows.select(list(self.features)))
        self._booster = _boosted(matrix, places, parameters, rounds, categorical, seed, self.where)
        self.content = _as_file(self._booster, like, categorical)


def _as_file(booster: Any, like: LightgbmPredictor, categorical: list[int]) -> bytes:
    """A booster as LightGBM's text file, its columns and categories as the model that it is `like` has them."""
    names = f"feature_names={' '.join(like.booster.feature_name())}"
    text = booster.model_to_string(num_iteration=-1)
    text = re.sub(r"^feature_names=.*$", lambda _: names, text, count=1, flags=re.MULTILINE)
    levels = [like.levels[like.features[place]] for place in categorical if like.features[place] in like.levels]
    written = json.dumps([list(level) for level in levels]) if levels else "null"
    head, _, _ = text.rpartition("pandas_categorical:")
    return f"{head}pandas_categorical:{written}\n".encode()


class _StandIn(Recipe):
    """LightGBM's defaults on the columns that the model reads."""

    own = False
    said = f"a stand-in for its unknown recipe ({STAND_IN})"

    def __init__(self, predictor: BasePredictor, positive: int) -> None:
        self._like, self._positive = predictor, positive

    def train(
        self, rows: ArrowTable, places: FloatArray, *, changes: Mapping[str, Any] | None = None, seed: int = 0
    ) -> BasePredictor:
        """See `Recipe.train`; it learns the positive class against the others."""
        encoded = encode(rows.select(list(self._like.features)), (), {})
        parameters = {"objective": "binary", **(changes or {})}
        hit = (places == self._positive).astype(float)
        booster = _boosted(encoded.matrix, hit, parameters, 100, list(encoded.categorical), seed, self._like.where)
        return _Boosting(self._like, booster, encoded)


class _Boosting(BasePredictor):
    """A booster on encoded columns."""

    kind = "stand-in"

    def __init__(self, like: BasePredictor, booster: Any, encoded: Encoded) -> None:
        super().__init__(like.where)
        self.features, self.classes, self.threshold = like.features, like.classes, like.threshold
        self._booster, self._encoded = booster, encoded

    def _score(self, rows: ArrowTable) -> FloatArray:
        matrix = encode(rows, (), {}, self._encoded).matrix
        return self._booster.predict(matrix, num_threads=1)


def _boosted(
    matrix: FloatArray, target: FloatArray, parameters: Mapping[str, Any], rounds: int, categorical: list[int],
    seed: int, where: str,
) -> Any:  # fmt: skip
    lightgbm = library("lightgbm")
    try:
        data = lightgbm.Dataset(matrix, label=target, categorical_feature=categorical)
        return lightgbm.train({**parameters, **_FIXED, "seed": seed % (1 << 31)}, data, num_boost_round=rounds)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        # Its words may hold values of the rows.
        raise CouldNotLook(f"{where}: LightGBM cannot train it again: {type(error).__name__}") from None
