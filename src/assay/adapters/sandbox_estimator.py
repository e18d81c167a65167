"""The sandbox child's estimator: unpickled (or read from skops) inside the walls, asked, trained again, and written in
other formats.

Nothing heavy is imported before it is needed, which is after the walls stand.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from assay.adapters.convert_sklearn import sklearn_to_onnx
from assay.adapters.extras import library

METHODS = ("predict_proba", "decision_function", "predict", "score_samples", "transform")
_CHUNK = 8 << 20
_MOST_DENSE = 1 << 28
_MOST_TYPES = 10_000


class Model:
    """An estimator, what the parent was told of it, and those that were `trained` again from it, by number."""

    def __init__(self, estimator: Any, meta: dict[str, Any]) -> None:
        self.estimator, self.meta = estimator, meta
        self.trained: dict[int, Model] = {}
        self.count = 0


def load(number: int, paths: list[str], trusted: list[str] | None = None) -> tuple[Model, dict[str, Any]]:
    """Load the model behind the descriptor that the parent opened; what the parent needs to know of it.

    As a pickle, or with `trusted` (types) as a skops file.
    """
    import warnings

    _reach(paths)
    with warnings.catch_warnings(record=True) as caught, os.fdopen(os.dup(number), "rb") as file:
        warnings.simplefilter("always")
        file.seek(0)
        estimator = _unpickle(file) if trusted is None else _from_skops(file, trusted)
    classes = getattr(estimator, "classes_", None)
    names = getattr(estimator, "feature_names_in_", None)
    width = getattr(estimator, "n_features_in_", None)
    meta = {
        "type": type(estimator).__name__,
        "module": type(estimator).__module__,
        "methods": [m for m in METHODS[:3] if hasattr(estimator, m)],
        "answers": [m for m in METHODS if hasattr(estimator, m)],
        "classes": None if classes is None else [_plain(c) for c in classes],
        "features": None if names is None else [str(n) for n in names],
        "width": None if width is None else int(width),
        "warnings": sorted({f"{w.category.__name__}: {w.message}"[:300] for w in caught})[:5],
    }
    return Model(estimator, meta), meta


def _reach(paths: list[str]) -> None:
    for path in paths:
        if path not in sys.path:
            sys.path.append(path)


def _unpickle(file: Any) -> Any:
    try:
        import joblib
    except ImportError:
        import pickle

        return pickle.load(file)  # noqa: S301 - scanned by the parent, and walled in
    return joblib.load(file)


def _from_skops(file: Any, trusted: list[str]) -> Any:
    return library("skops.io").load(file, trusted=trusted)


def untrusted(number: int, paths: list[str]) -> list[str]:
    """The types in a skops file that skops does not trust by itself."""
    _reach(paths)
    with os.fdopen(os.dup(number), "rb") as file:
        file.seek(0)
        return list(library("skops.io").get_untrusted_types(file=file))[:_MOST_TYPES]


def kept(model: Any, ask: dict[str, Any]) -> Iterator[bytes]:
    """The estimator in another format, in blocks and their SHA-256 at last. `ask["as"]` is skops, onnx or booster;
    `ask["trained"]` the number of one that was trained again, 0 or none for the one from the file."""
    model = _of(model)
    estimator = (model.trained[ask["trained"]] if ask.get("trained") else model).estimator
    if ask["as"] == "skops":
        data = library("skops.io").dumps(estimator)
    elif ask["as"] == "onnx":
        graph = sklearn_to_onnx(estimator, ask["names"], set(ask["words"]), ask["precision"])
        data = bytes(graph.SerializeToString())
    else:
        data = getattr(estimator, "booster_", estimator).model_to_string(num_iteration=-1).encode()
    yield from (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
    yield hashlib.sha256(data).hexdigest().encode()


def score(model: Any, payload: bytes) -> bytes:
    """Scores of an Arrow IPC stream of rows as little-endian float64."""
    import numpy as np

    model, ask, answer = _asked(_of(model), payload)
    answer = np.asarray(answer)
    positive = ask["positive"]
    if ask["method"] == "predict":
        classes = model.meta["classes"]
        out = answer if classes is None else answer == model.estimator.classes_[positive]
    elif answer.ndim == 2:
        out = answer[:, positive if answer.shape[1] > 1 else 0]
    else:
        out = answer if positive == 1 else -answer
    return np.ascontiguousarray(out, dtype="<f8").reshape(-1).tobytes()


def answers(model: Any, payload: bytes) -> bytes:
    """All that a method answers for rows: numbers as float64 (`f`), else JSON texts (`t`), row by row."""
    import numpy as np

    _, _, answer = _asked(_of(model), payload)
    if hasattr(answer, "toarray"):
        if answer.shape[0] * answer.shape[1] > _MOST_DENSE:
            raise ValueError("its answers are too many to compare")
        answer = answer.toarray()
    if isinstance(answer, list):  # several outputs
        answer = np.concatenate([np.asarray(part).reshape(len(part), -1) for part in answer], axis=1)
    answer = np.asarray(answer)
    if answer.dtype.kind in "biuf":
        return b"f" + np.ascontiguousarray(answer, dtype="<f8").tobytes()
    return b"t" + json.dumps([str(v) for v in answer.reshape(-1).tolist()]).encode("utf-8", "replace")


def train(model: Any, payload: bytes) -> int:
    """Fit a clone of the estimator on rows with their labels; the number that it is kept under, from 1.

    The label column holds places among the classes (numbers as they are for an estimator without). A name in `changes`
    is a parameter of the estimator, or the last part of exactly one (`max_depth` for `forest__max_depth`).
    """
    import warnings

    import numpy as np

    model, clone = _of(model), library("sklearn.base").clone
    number: int = model.count + 1
    ask, table = asked_table(payload)
    label = np.asarray(table.column(ask["label"]))
    classes = getattr(model.estimator, "classes_", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new = clone(model.estimator)
        known = new.get_params()
        seeds = {n: ask["seed"] for n in known if n == "random_state" or n.endswith("__random_state")}
        new.set_params(**seeds, **{_parameter(n, list(known)): value for n, value in ask["changes"].items()})
        new.fit(rows_for(model, table.drop_columns([ask["label"]])), label if classes is None else classes[label])
    if classes is not None and list(new.classes_) != list(classes):
        raise ValueError("the rows do not hold all classes of the model")
    model.count, model.trained[number] = number, Model(new, model.meta)
    return number


def _parameter(name: str, known: list[str]) -> str:
    found = [name] if name in known else [k for k in known if k.endswith("__" + name)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} parameters of the model are called {name}")
    return found[0]


def forget(model: Any, number: int) -> int:
    """Drop what was trained under `number`; 1 where there was one."""
    return int(_of(model).trained.pop(number, None) is not None)


def asked_table(payload: bytes) -> tuple[dict[str, Any], Any]:
    """(what is asked, of which rows) of an Arrow IPC stream."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        table = reader.read_all()
    return json.loads(table.schema.metadata[b"assay"]), table


def _asked(model: Model, payload: bytes) -> tuple[Model, dict[str, Any], Any]:
    """(the estimator that is asked, the question, its answer)."""
    import warnings

    ask, table = asked_table(payload)
    asked = model.trained[ask["trained"]] if ask.get("trained") else model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asked, ask, getattr(asked.estimator, ask["method"])(rows_for(asked, table))


def _of(model: Any) -> Model:
    if not isinstance(model, Model):
        raise TypeError("no model is loaded")
    return model


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, bool | int | float | str) else str(value)


def rows_for(model: Model, table: Any) -> Any:
    """A DataFrame for estimators that were fitted on one, a list for one column of texts, else a float64 matrix."""
    import numpy as np
    import pyarrow as pa

    if model.meta["features"] is None:
        if table.num_columns == 1 and pa.types.is_string(table.schema.types[0]):
            return table.column(0).to_pylist()
        columns = [np.asarray(c.to_numpy(zero_copy_only=False), dtype=np.float64) for c in table.columns]
        return np.column_stack(columns)
    frame = table.to_pandas()
    frame.columns = model.meta["features"]
    for name in _categorical(model, frame):
        frame[name] = frame[name].astype("category")
    return frame


def _categorical(model: Model, frame: Any) -> list[str]:
    """The columns that a booster knows as categories of its own and reads by their value.

    LightGBM does not tell which numbers were categories, so that its words alone are. XGBoost does since it keeps
    them (3.1); before, or where it keeps none, numbers are its codes as they are.
    """
    kind = type(model.estimator).__module__.partition(".")[0]
    if kind == "lightgbm":
        return [n for n in frame.columns if frame[n].dtype.kind not in "biuf"]
    if kind == "xgboost" and hasattr(model.estimator, "get_booster"):
        booster = model.estimator.get_booster()
        types = booster.feature_types or []
        keeps = hasattr(booster, "get_categories") and not booster.get_categories().empty()
        if keeps and len(types) == len(frame.columns):
            return [n for n, t in zip(frame.columns, types, strict=True) if t == "c"]
    return []
