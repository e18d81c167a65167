"""XGBoost models (JSON, UBJSON) through XGBoost itself, native categories included."""

from __future__ import annotations

import itertools
from typing import Any

from assay.adapters.ensembles.trees import Trees
from assay.adapters.extras import library
from assay.adapters.predictor_base import (
    BasePredictor,
    batches,
    coded_matrix,
    declared_inputs,
    of_class,
    positive_index,
    require_columns,
    require_count,
    require_numeric,
    threshold_of,
    too_large,
    unknown_levels,
)
from assay.adapters.tables import Dataset
from assay.adapters.xgboost_model import Learner, sound
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject

_PROBABILITIES = frozenset({"binary:logistic", "reg:logistic", "multi:softprob"})


class XgboostPredictor(BasePredictor):
    """A Booster from its file. Categories are those that the file lists; any other is missing."""

    kind = "xgboost"

    def __init__(self, content: bytes, subject: Subject, data: Dataset | None = None) -> None:
        super().__init__(subject.uri)
        self._learner, checked = sound(content, self.where)
        self._booster = _load(checked, self.where)
        if (answering := self._learner.answering) < (rounds := len(self._learner.starts) - 1):
            what = f"the file says that training stopped early: its first {answering} rounds answer"
            self.notes += (f"{what}, as XGBClassifier has it; a bare Booster asks all {rounds}",)
        self.features = self._columns(self._learner, subject, data)
        require_columns(self.where, self.features, data)
        self._levels = self._categories()
        self.classes = tuple(range(max(2, self._learner.outputs)))
        self._positive = positive_index(subject, data, self.classes)
        self._probability = self._learner.objective.name in _PROBABILITIES
        self.threshold = threshold_of(subject, 0.5 if self._probability else 0.0)
        self.access = "whitebox"
        if data is not None:
            table = data.table(self.features)
            require_numeric(self.where, table, tuple(n for n in self.features if n not in self._levels))
            self._matrix(table.slice(0, 1))
            self.notes += unknown_levels(table, self._levels)

    @property
    def booster(self) -> Any:
        """The `xgboost.Booster`, for white-box work."""
        return self._booster

    def trees(self) -> Trees:
        """The trees that XGBoost holds. Raises CouldNotLook where its answer is no rising function of their sum."""
        from assay.adapters.ensembles.xgboost_trees import xgboost_trees

        held = self._held()
        return xgboost_trees(held, self.where, self.features, self._matrix, self._levels, positive=self._positive)

    def close(self) -> None:
        """Let go of the booster."""
        self._booster = None

    def _open(self) -> Any:
        if self._booster is None:
            raise CouldNotLook(f"{self.where}: is closed")
        return self._booster

    def _held(self) -> Learner:
        """What XGBoost writes of what it loaded, not what we read of the file: readers may differ where no row asks."""
        return sound(bytes(self._open().save_raw("json")), self.where)[0]

    def _columns(self, learner: Learner, subject: Subject, data: Dataset | None) -> tuple[str, ...]:
        if declared := declared_inputs(subject):
            require_count(self.where, declared, learner.width, "`inputs:`")
            return declared
        if learner.feature_names:
            return tuple(learner.feature_names)
        if data is None:
            raise CouldNotLook(f"{self.where}: does not say which columns it reads; set `inputs:` or `data:`")
        require_count(self.where, data.features, learner.width, data.subject.uri)
        return data.features

    def _categories(self) -> dict[str, tuple[Any, ...]]:
        """The levels of categorical columns by name, where the file lists them."""
        found: dict[str, tuple[Any, ...]] = {}
        listed = any(encoding.values for encoding in self._learner.forest.cats.enc)
        for place, encoding in enumerate(self._held().forest.cats.enc[: len(self.features)] if listed else ()):
            if not encoding.values:
                continue
            if not encoding.offsets:
                found[self.features[place]] = tuple(encoding.values)
                continue
            text = bytes(int(v) & 255 for v in encoding.values)
            if not text.isascii():
                # Saved from a DataFrame, it counts letters where it should count bytes: the last ones are lost.
                what = "has categories with letters beyond ASCII, which XGBoost cuts off when it saves them"
                raise CouldNotLook(f"{self.where}: {what}; train it with plain letters, or with codes")
            ends = encoding.offsets
            words = [text[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(ends)]
            found[self.features[place]] = tuple(words)
        return found

    def _matrix(self, rows: ArrowTable) -> FloatArray:
        return coded_matrix(self.where, rows, self.features, self._levels)

    def _score(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        booster, xgboost = self._open(), library("xgboost", "xgboost")
        parts = []
        for batch in batches(rows):
            with np.errstate(over="ignore"):  # beyond float32's range it is infinite, as where the model is served
                matrix = self._matrix(batch).astype(np.float32)
            try:
                answer = booster.predict(
                    xgboost.DMatrix(matrix, nthread=1, feature_types=booster.feature_types),
                    validate_features=False,
                )
            except (xgboost.core.XGBoostError, ValueError) as error:
                # Its words may hold values of the rows.
                why = f"{type(error).__name__}{too_large(rows)}"
                raise CouldNotLook(f"{self.where}: failed to predict: {why}") from None
            parts.append(np.asarray(answer, dtype=np.float64))
        return of_class(np.concatenate(parts), self._positive, probability=self._probability)


def _load(content: bytes, where: str) -> Any:
    xgboost = library("xgboost", "xgboost")
    try:
        booster = xgboost.Booster(model_file=bytearray(content))
        booster.set_param({"nthread": 1})
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise CouldNotLook(f"{where}: XGBoost cannot load it: {type(error).__name__}") from None
    return booster
