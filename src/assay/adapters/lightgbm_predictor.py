"""LightGBM text models through LightGBM itself, native categories included."""

from __future__ import annotations

import re
from typing import Any

from assay.adapters.ensembles.trees import Trees
from assay.adapters.extras import library
from assay.adapters.lightgbm_text import TextModel, sound
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
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject


class LightgbmPredictor(BasePredictor):
    """A Booster from its text file. Categories are those that the file lists; any other is missing."""

    kind = "lightgbm"

    def __init__(self, content: bytes, subject: Subject, data: Dataset | None = None) -> None:
        super().__init__(subject.uri)
        model = sound(content, self.where)
        self._booster = _load(model, self.where)
        self.features = self._columns(model.features, subject, data)
        require_columns(self.where, self.features, data)
        self._levels = {self.features[p]: level for p, level in zip(model.categorical, model.levels, strict=False)}
        self.classes = tuple(range(max(2, model.classes)))
        self._positive = positive_index(subject, data, self.classes)
        # A booster trained with a custom loss answers margins, for which 0 is the even odds.
        self._probability = model.objective in ("binary", "multiclass", "multiclassova", "cross_entropy")
        self.threshold = threshold_of(subject, 0.5 if self._probability else 0.0)
        self.access = "whitebox"
        if data is not None:
            table = data.table(self.features)
            require_numeric(self.where, table, tuple(n for n in self.features if n not in self._levels))
            self._matrix(table.slice(0, 1))
            self.notes += unknown_levels(table, self._levels)

    @property
    def booster(self) -> Any:
        """The `lightgbm.Booster`, for white-box work."""
        return self._booster

    @property
    def levels(self) -> dict[str, tuple[Any, ...]]:
        """The categories that the model knows, by column."""
        return self._levels

    def trees(self) -> Trees:
        """The trees that LightGBM holds. Raises CouldNotLook where its answer is no rising function of their sum."""
        from assay.adapters.ensembles.lightgbm_trees import lightgbm_trees

        # What LightGBM writes of what it loaded, not what we read of the file: readers may differ where no row asks.
        held = sound(self._open().model_to_string(num_iteration=-1).encode(), self.where)
        return lightgbm_trees(held.text, self.where, self.features, self._matrix, self._levels, positive=self._positive)

    def class_scores(self, rows: ArrowTable, place: int) -> FloatArray:
        """Scores of the class at `place`, shape (n,), without counting queries."""
        return self._answer(rows.select(list(self.features)), place)

    def close(self) -> None:
        """Let go of the booster."""
        self._booster = None

    def _open(self) -> Any:
        if self._booster is None:
            raise CouldNotLook(f"{self.where}: is closed")
        return self._booster

    def _columns(self, own: tuple[str, ...], subject: Subject, data: Dataset | None) -> tuple[str, ...]:
        """The model's feature names as columns; LightGBM writes `_` for blanks and `Column_0` for what had no name."""
        if declared := declared_inputs(subject):
            require_count(self.where, declared, len(own), "`inputs:`")
            return declared
        if all(re.fullmatch(r"Column_\d+", name) for name in own) and data is not None:
            if set(own) <= {c.name for c in data.columns}:
                return own
            require_count(self.where, data.features, len(own), data.subject.uri)
            return data.features
        if data is None:
            return own
        spelled = {re.sub(r"\s", "_", c.name): c.name for c in data.columns}
        exact = {c.name for c in data.columns}
        return tuple(name if name in exact else spelled.get(name, name) for name in own)

    def _matrix(self, rows: ArrowTable) -> FloatArray:
        return coded_matrix(self.where, rows, self.features, self._levels)

    def _score(self, rows: ArrowTable) -> FloatArray:
        return self._answer(rows, self._positive)

    def _answer(self, rows: ArrowTable, place: int) -> FloatArray:
        np, booster = library("numpy"), self._open()
        parts = []
        for batch in batches(rows):
            try:
                part = booster.predict(self._matrix(batch), num_threads=1)
            except library("lightgbm").basic.LightGBMError as error:
                # Its words may hold values of the rows.
                why = f"{type(error).__name__}{too_large(rows)}"
                raise CouldNotLook(f"{self.where}: failed to predict: {why}") from None
            parts.append(np.asarray(part))
        return of_class(np.concatenate(parts), place, probability=self._probability)


def _load(model: TextModel, where: str) -> Any:
    lightgbm = library("lightgbm")
    try:
        booster = lightgbm.Booster(model_str=model.text)
    except (lightgbm.basic.LightGBMError, ValueError, KeyError, TypeError) as error:
        # Its words quote the file, whose categories are values of the training rows.
        raise CouldNotLook(f"{where}: LightGBM cannot load it: {type(error).__name__}") from None
    if tuple(booster.feature_name()) != model.features:
        raise CouldNotLook(f"{where}: LightGBM reads other features from it than it names")
    return booster
