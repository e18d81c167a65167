"""CatBoost models (binary, JSON) through CatBoost itself, categories included."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

from assay.adapters.catboost.categories import (
    category_hash,
    is_mixed,
    known_hashes,
    missing_as,
    spelled_as,
    tells_all,
    words_of,
)
from assay.adapters.catboost.model import sound
from assay.adapters.catboost.parts import LOGISTIC, THRESHOLD, Model
from assay.adapters.encode import numbers
from assay.adapters.ensembles.trees import Trees
from assay.adapters.extras import library
from assay.adapters.predictor_base import (
    BasePredictor,
    batches,
    declared_inputs,
    listing,
    of_class,
    positive_index,
    require_columns,
    require_count,
    require_numeric,
    threshold_of,
    too_large,
)
from assay.adapters.tables import Dataset
from assay.adapters.values import listed
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Subject
from assay.core.text import visible

_SEVERAL = frozenset({"MultiClass", "MultiClassOneVsAll"})


class _Words:
    """A categorical column: its values in the data as codes, and how each value is told to CatBoost."""

    def __init__(
        self, where: str, column: Any, known: set[int], told: dict[Any, set[str]], *, complete: bool, mixed: bool
    ) -> None:
        values = sorted((v for v in listed(column.unique()) if v is not None), key=lambda v: (str(type(v)), v))
        self.levels: tuple[Any, ...] = tuple(v for v in values if v == v)
        try:
            self.spell = spelled_as(list(self.levels), known, told)
        except ValueError:
            what = "a categorical column spells one number in several ways, which the model tells apart"
            raise CouldNotLook(f"{where}: {what}; write the rows as Parquet, that column as text") from None
        written = {self.spell(v) for v in self.levels}
        self.missing = missing_as(known, written)
        self.guessed = category_hash(self.missing) not in known
        own = [category_hash(self.spell(v)) for v in self.levels]
        # After the levels: a category never seen, then those that the model knows and the data lacks.
        self.categories: tuple[int | None, ...] = (*own, None, *sorted(known - set(own)))
        self.unknown = sum(h not in known for h in own)
        # What is compared with single categories only knows those; counters know all that it was trained on.
        # Numbers and dates may have been words of another spelling: of these every unknown one is told.
        most = 0.0 if complete and not all(isinstance(v, str) for v in self.levels) else len(own) / 2
        self.strange = bool(known) and self.unknown > (most if complete else len(own) - 1)
        # Counters of several columns do not say which categories of one they know.
        self._where, self._mixed = where, mixed
        self._by_word = {w: i for i, w in reversed(list(enumerate(map(self.spell, self.levels))))}
        self._by_hash = {h: i for i, h in reversed(list(enumerate(self.categories)))}

    def split(self, column: Any) -> tuple[Any, list[str]]:
        """(place of each row's value, -1 for a missing one; the values as words)."""
        encoded = column.combine_chunks().dictionary_encode()
        values = listed(encoded.dictionary)
        gone = [v is None or v != v for v in values]
        indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).copy()
        if any(gone):
            indices[library("numpy").isin(indices, [i for i, g in enumerate(gone) if g])] = -1
        return indices, ["" if g else self.spell(v) for v, g in zip(values, gone, strict=True)]

    def codes(self, column: Any) -> FloatArray:
        """Codes (n,), NaN for a missing value."""
        np = library("numpy")
        indices, words = self.split(column)
        return np.array([*map(self._place, words), np.nan], dtype=float)[indices]

    def _place(self, word: str) -> int:
        found = self._by_word.get(word)
        if found is None and self._mixed:
            what = "rows hold a category that the data lacks, in a column that the model counts together with others"
            raise CouldNotLook(
                f"{self._where}: {what}; open the model with data that has it, or attack it with `access: label`"
            )
        return self._by_hash.get(category_hash(word), len(self.levels)) if found is None else found


class CatboostPredictor(BasePredictor):
    """A model from its file. What it never saw is a category, too; a missing one is the word that stood for it."""

    kind = "catboost"

    def __init__(self, content: bytes, subject: Subject, data: Dataset | None = None) -> None:
        super().__init__(subject.uri)
        self._model, checked = sound(content, self.where)
        self._booster = _load(checked, self.where)
        self.features = self._columns(subject, data)
        require_columns(self.where, self.features, data)
        self._loss = str(self._model.option("params", "loss_function", "type") or "")
        self._classify(subject, data)
        self.access = "whitebox"
        self._words: dict[str, _Words] = {}
        self._trees: Trees | None = None
        rows = data.table(self.features) if data is not None else None
        read = self._spelled(data, rows)
        for place, category in enumerate(self._model.categories):
            name = self.features[category.flat_feature_index]
            none = library("pyarrow").chunked_array([[]], type=library("pyarrow").string())
            column = none if rows is None else rows.column(name)
            self._words[name] = _Words(
                self.where, column, known_hashes(self._model, place), read.get(name, {}),
                complete=tells_all(self._model, place), mixed=is_mixed(self._model, place),
            )  # fmt: skip
        if rows is not None:
            self._note(rows)
            require_numeric(self.where, rows, tuple(n for n in self.features if n not in self._words))
            self._told(rows.slice(0, 1))

    @property
    def booster(self) -> Any:
        """The `catboost.CatBoost`, for white-box work."""
        return self._booster

    def trees(self) -> Trees:
        """The trees that CatBoost holds, one node a split. Raises CouldNotLook where the answer is no rising function
        of their sum, or where splits mix more categories than can be written out."""
        from assay.adapters.catboost.trees import Codes, catboost_trees

        if self._trees is not None:  # counters that mix columns take a while to write out
            return copy(self._trees)
        codes = {}
        for place, category in enumerate(self._model.categories):
            words = self._words[self.features[category.flat_feature_index]]
            codes[place] = Codes(words.categories, category_hash(words.missing))
        levels = {name: words.levels for name, words in self._words.items()}
        self._trees = catboost_trees(
            self._held(), self.where, self.features, self._matrix, levels, codes,
            loss=self._loss, positive=self._positive,
        )  # fmt: skip
        return copy(self._trees)

    def _held(self) -> Model:
        """What CatBoost writes of what it loaded, not what we read of the file: two readers may differ where no row
        asks."""
        with _written(b"") as path:
            self._open().save_model(path, format="cbm")
            return sound(Path(path).read_bytes(), self.where)[0]

    def close(self) -> None:
        """Let go of the model."""
        self._booster = None

    def _columns(self, subject: Subject, data: Dataset | None) -> tuple[str, ...]:
        own = self._model.names
        if declared := declared_inputs(subject):
            require_count(self.where, declared, len(own), "`inputs:`")
            return declared
        if all(name in ("", str(place)) for place, name in enumerate(own)):
            have = {c.name for c in data.columns} if data is not None else set()
            if data is None or {str(place) for place in range(len(own))} <= have:
                return tuple(str(place) for place in range(len(own)))
            require_count(self.where, data.features, len(own), data.subject.uri)
            return data.features
        if len(set(own)) != len(own):
            raise CouldNotLook(f"{self.where}: names two columns alike; set `inputs:` to the columns in its order")
        return own

    def _classify(self, subject: Subject, data: Dataset | None) -> None:
        model = self._model
        told = model.option("class_params", "class_names") or model.option("class_params", "class_to_label")
        several = model.outputs > 1
        if several and self._loss not in _SEVERAL:
            what = f"gives {model.outputs} numbers for each row, which are no classes"
            raise CouldNotLook(f"{self.where}: {what}; train it for one number")
        classes = tuple(told) if isinstance(told, list) else ()
        count = max(2, model.outputs)
        if len(classes) != count or not all(isinstance(c, str | int | float) for c in classes):
            classes = tuple(range(count))
        self.classes = tuple(int(c) if isinstance(c, float) and c.is_integer() else c for c in classes)
        self._positive = positive_index(subject, data, self.classes)
        self._probability = several or self._loss in LOGISTIC
        default = 0.5 if self._probability else 0.0
        set_in_it = None if several else model.option(THRESHOLD)
        if set_in_it is not None and subject.options.get("threshold") is not None:
            told = visible(str(set_in_it), 20)
            self.notes += (f"a threshold of {told} is set in the file; what is declared is judged",)
        elif set_in_it is not None:
            if not self._probability:
                what = "has a threshold for probabilities set in it, and an objective that gives none"
                raise CouldNotLook(f"{self.where}: {what}; say `threshold:` in the manifest")
            default = _deployed(set_in_it, self.where)
            default = default if self._positive == 1 else 1.0 - default
        self.threshold = threshold_of(subject, default)

    def _spelled(self, data: Dataset | None, rows: ArrowTable | None) -> dict[str, dict[Any, set[str]]]:
        """The words of the file, by value, of categories that were read as numbers, truth values or dates."""
        if data is None or rows is None:
            return {}
        types = library("pyarrow").types
        names = [self.features[category.flat_feature_index] for category in self._model.categories]
        names = [n for n in names if not types.is_string(rows.schema.field(n).type)]
        table = data.spelled(names) if names else None
        return {} if table is None else {n: words_of(rows.column(n), table.column(n)) for n in names}

    def _note(self, rows: ArrowTable) -> None:
        """Say how categories are told to the model, where it had to be guessed or went wrong."""
        for name, words in self._words.items():
            column = rows.column(name)
            gone = column.null_count
            if gone:
                known = ", which the model does not know" if words.guessed else ""
                self.notes += (
                    f"{gone} missing values of {listing([name])} are given as the category {words.missing!r}{known}",
                )
            if words.strange and words.unknown:
                count = f"{words.unknown} of {len(words.levels)} categories of {listing([name])}"
                self.notes += (f"{count} are unknown to the model: were they spelled otherwise in training?",)

    def _matrix(self, rows: ArrowTable) -> FloatArray:
        """Numbers as they are, categories as codes, shape (n, d), NaN for what is missing."""
        np = library("numpy")
        require_numeric(self.where, rows, tuple(n for n in self.features if n not in self._words))
        matrix = np.empty((rows.num_rows, len(self.features)), dtype=np.float64)
        for place, name in enumerate(self.features):
            column, words = rows.column(name), self._words.get(name)
            matrix[:, place] = numbers(column) if words is None else words.codes(column)
        return matrix

    def _told(self, rows: ArrowTable) -> Any:
        """The rows as CatBoost takes them: a matrix of float32, or a frame with words where there are categories."""
        np = library("numpy")
        require_numeric(self.where, rows, tuple(n for n in self.features if n not in self._words))
        frame: dict[str, Any] = {}
        with np.errstate(over="ignore"):  # beyond float32's range it is infinite, as where the model is served
            for place, name in enumerate(self.features):
                column, words = rows.column(name), self._words.get(name)
                frame[str(place)] = numbers(column).astype(np.float32) if words is None else self._cells(column, words)
        if not self._words:
            return np.column_stack(list(frame.values()))
        return library("pandas").DataFrame(frame)

    def _cells(self, column: Any, words: _Words) -> Any:
        pandas = library("pandas")
        indices, found = words.split(column)
        kinds = list(dict.fromkeys([*found, words.missing]))
        place = {w: i for i, w in enumerate(kinds)}
        where = library("numpy").array([*(place[w] for w in found), place[words.missing]])
        return pandas.Categorical.from_codes(where[indices], categories=kinds)

    def contributions(self, rows: ArrowTable) -> tuple[FloatArray, FloatArray] | None:
        """Shapley values of the margin of the positive class (n, d), and what they should come to (n,): the margin less
        its mean, all by CatBoost.

        None for several classes, and for a model without the weights of its leaves.
        """
        catboost = library("catboost", "catboost")
        if len(self.classes) > 2:
            return None
        try:
            pool = self._pool(rows.select(list(self.features)))
            found = self._open().get_feature_importance(pool, type="ShapValues", thread_count=1)
            margins = self._open().predict(pool, prediction_type="RawFormulaVal", thread_count=1)
        except (catboost.CatBoostError, ValueError, TypeError):
            return None
        sign = 1.0 if self._positive == 1 else -1.0
        return found[:, :-1] * sign, (margins - found[:, -1]) * sign

    def _open(self) -> Any:
        if self._booster is None:
            raise CouldNotLook(f"{self.where}: is closed")
        return self._booster

    def _pool(self, rows: ArrowTable) -> Any:
        told, names = self._told(rows), self._open().feature_names_
        if self._words:
            told.columns = names
        categorical = [c.flat_feature_index for c in self._model.categories]
        pool = library("catboost", "catboost").Pool
        return pool(told, cat_features=categorical or None, feature_names=names, thread_count=1)

    def _score(self, rows: ArrowTable) -> FloatArray:
        np = library("numpy")
        catboost = library("catboost", "catboost")
        booster, kind = self._open(), "Probability" if self._probability else "RawFormulaVal"
        parts = []
        for batch in batches(rows):
            try:
                pool = self._pool(batch)
                parts.append(np.asarray(booster.predict(pool, prediction_type=kind, thread_count=1)))
            except (catboost.CatBoostError, ValueError, TypeError) as error:
                # Its words may hold values of the rows.
                why = f"{type(error).__name__}{too_large(rows)}"
                raise CouldNotLook(f"{self.where}: failed to predict: {why}") from None
        return of_class(np.concatenate(parts), self._positive, probability=False)  # that is told of every class


def _deployed(told: Any, where: str) -> float:
    """The threshold that was set in the model itself. Raises CouldNotLook where CatBoost takes it for another one."""
    plain = re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE]-?[0-9]{1,3})?", str(told))
    value = float(told) if plain else -1.0
    if not 0.0 < value < 1.0:
        raise CouldNotLook(
            f"{where}: the threshold set in it is none between 0 and 1; say `threshold:` in the manifest"
        )
    return value


def _load(content: bytes, where: str) -> Any:
    catboost = library("catboost", "catboost")
    booster = catboost.CatBoost()
    try:
        if content.startswith(b"CBM1"):
            booster.load_model(blob=content)
        else:
            with _written(content) as path:
                booster.load_model(path, format="json")
    except (catboost.CatBoostError, ValueError, TypeError, KeyError, UnicodeError) as error:
        raise CouldNotLook(f"{where}: CatBoost cannot load it: {type(error).__name__}") from None
    return booster


@contextlib.contextmanager
def _written(content: bytes) -> Iterator[str]:
    """CatBoost takes JSON from a file only."""
    number, name = tempfile.mkstemp(suffix=".json")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink()
