"""The sandbox child's ensembles: the trees of a loaded estimator as plain numbers, and what stands before them.

Nothing heavy is imported before it is needed. Answers hold no pickle: a JSON line, then little-endian numbers.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from typing import Any

from assay.adapters.sandbox_estimator import Model, asked_table, rows_for
from assay.adapters.sandbox_steps import Source, after, refuse, steps_of
from assay.adapters.sandbox_strides import Refused

_CHUNK = 8 << 20
_FORESTS = ("RandomForest", "ExtraTrees", "DecisionTree", "ExtraTree")
_IDENTITY = frozenset({"squared_error", "absolute_error", "huber", "quantile"})
_SPARSE = (
    "its steps make a sparse matrix, in which XGBoost takes every 0 for a missing value; train it again with `sparse_"
    "output=False` (OneHotEncoder) or `sparse_threshold=0` (ColumnTransformer), or attack it with `access: label`"
)
Answer = tuple[dict[str, Any], Any, Any, Any]
"""What all trees share, their nodes (m, 8), roots (t,) and sets (s, k)."""


def nodes(model: Any, ask: dict[str, Any]) -> Iterator[bytes]:
    """The trees in blocks, and their SHA-256 at last: length and text of a JSON head, then the arrays that it counts.

    Nodes are rows of float64: feature (-1 at a leaf), threshold, left, right, whether missing goes left, set, value,
    and the training rows that came there.
    """
    import numpy as np

    estimator = _chosen(model, ask.get("trained", 0)).estimator
    steps, final = steps_of(estimator)
    width = int(getattr(estimator, "n_features_in_", 0) or 0)
    seen: dict[int, list[Any]] = {}
    columns = [Source(place, True, None, seen) for place in range(width)]
    for name, step in steps:
        columns = after(step, columns, name)
    if prepared := getattr(final, "_preprocessor", None):
        columns = after(prepared, columns, "the encoder of categories")
    plain = not steps and prepared is None
    head: dict[str, Any] = {"columns": None if plain else [[c.place, c.levels] for c in columns]}
    head["seen"] = list(seen.items())
    head["computed"] = sorted({c.place for c in columns if c.computed})
    root = _library(final)
    if root in ("lightgbm", "xgboost"):
        body = _lightgbm(final) if root == "lightgbm" else _xgboost(final)
        head |= {"kind": root, "bytes": len(body)}
    else:
        shared, table, roots, sets = _arrays(final, int(ask["positive"]))
        head |= {"kind": "nodes", **shared, "nodes": len(table), "roots": len(roots), "sets": list(sets.shape)}
        parts = (np.ascontiguousarray(table, "<f8"), np.ascontiguousarray(roots, "<i8"))
        body = b"".join([*(p.tobytes() for p in parts), np.ascontiguousarray(sets, "u1").tobytes()])
    words = json.dumps(head).encode("utf-8", "backslashreplace")
    data = struct.pack("<Q", len(words)) + words + body
    yield from (data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK))
    yield hashlib.sha256(data).hexdigest().encode()


def derived(model: Any, payload: bytes) -> bytes:
    """What the trees read of given rows, as float64 row by row. Raises Refused where that is sparse, of XGBoost."""
    import warnings

    import numpy as np

    ask, table = asked_table(payload)
    chosen = _chosen(model, ask.get("trained", 0))
    steps, final = steps_of(chosen.estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = rows_for(chosen, table)
        for _, step in steps:
            rows = step.transform(rows)
        if prepared := getattr(final, "_preprocessor", None):
            rows = prepared.transform(rows)
    if hasattr(rows, "toarray"):
        if _library(final) == "xgboost":  # others read what is absent as 0
            raise Refused(_SPARSE)
        rows = rows.toarray()
    return np.ascontiguousarray(np.asarray(rows, dtype=np.float64), "<f8").tobytes()


def _library(final: Any) -> str:
    return type(final).__module__.partition(".")[0]


def _chosen(model: Any, number: int) -> Model:
    if not isinstance(model, Model):
        raise TypeError("no model is loaded")
    return model.trained[number] if number else model


def _lightgbm(final: Any) -> bytes:
    text: str = getattr(final, "booster_", final).model_to_string()
    return text.encode()


def _xgboost(final: Any) -> bytes:
    missing = getattr(final, "missing", float("nan"))
    if missing == missing:
        raise refuse("takes a number for missing values")
    booster = final.get_booster() if hasattr(final, "get_booster") else final
    best = getattr(final, "best_iteration", None)  # where training was stopped early, what it predicts with
    booster = booster if best is None else booster[: int(best) + 1]
    return bytes(booster.save_raw("json"))


def _arrays(final: Any, positive: int) -> Answer:
    name, module = type(final).__name__, type(final).__module__
    kind = name.removesuffix("Classifier").removesuffix("Regressor")
    if module.startswith("sklearn.") and kind in _FORESTS:
        return _forest(final, positive)
    if module.startswith("sklearn.") and kind == "GradientBoosting":
        return _boosting(final, positive)
    if module.startswith("sklearn.") and kind == "HistGradientBoosting":
        return _histograms(final, positive)
    raise refuse(f"ends in a {name}, which is no ensemble of trees that can be read out of it")


def _forest(final: Any, positive: int) -> Answer:
    """The mean over trees of the share of the positive class, or of the value."""
    import numpy as np

    if getattr(final, "n_outputs_", 1) != 1:
        raise refuse("answers several columns")
    trees = [t.tree_ for t in getattr(final, "estimators_", [final])]
    tables = []
    for tree in trees:
        values = np.asarray(tree.value)[:, 0, :]
        if hasattr(final, "classes_"):
            # Shares since scikit-learn 1.3, weights before.
            values = values[:, positive] / np.maximum(values.sum(axis=1), np.finfo(float).tiny)
        else:
            values = values[:, 0]
        tables.append(_tree(tree, values / len(trees)))
    return {"link": "identity", "base": 0.0, "single": True}, *_joined(tables), _no_sets()


def _boosting(final: Any, positive: int) -> Answer:
    import numpy as np

    classifies = hasattr(final, "classes_")
    if np.asarray(final.estimators_).shape[1] != 1:
        raise refuse("has a tree for each of several classes")
    if not (isinstance(final.init_, str) or type(final.init_).__name__ in ("DummyClassifier", "DummyRegressor")):
        raise refuse(f"starts from a {type(final.init_).__name__}")
    base = float(final._raw_predict_init(np.zeros((1, final.n_features_in_), dtype=np.float32))[0, 0])
    times = (2.0 if final.loss == "exponential" else 1.0) if classifies else 1.0
    times *= 1.0 if positive == 1 else -1.0
    tables = [_tree(t.tree_, t.tree_.value[:, 0, 0] * final.learning_rate * times) for t in final.estimators_[:, 0]]
    link = "logistic" if classifies else "identity"
    return {"link": link, "base": base * times, "single": True}, *_joined(tables), _no_sets()


def _histograms(final: Any, positive: int) -> Answer:
    import numpy as np

    classifies = hasattr(final, "classes_")
    if any(len(stage) != 1 for stage in final._predictors):
        raise refuse("has a tree for each of several classes")
    if not classifies and final.loss not in _IDENTITY:
        raise refuse(f"was trained for the loss {final.loss}, whose answer is no sum of trees")
    sign = 1.0 if positive == 1 else -1.0
    bits, known_as = final._bin_mapper.make_known_categories_bitsets()
    known = _unpacked(bits)
    tables, sets, count = [], [], 0
    for (predictor,) in final._predictors:
        n = predictor.nodes
        leaf, by_set = n["is_leaf"] != 0, (n["is_categorical"] != 0) & (n["is_leaf"] == 0)
        left = _unpacked(predictor.raw_left_cat_bitsets)
        place = np.full(len(n), -1)
        place[by_set] = count + np.arange(int(by_set.sum()))
        count += int(by_set.sum())
        for node in n[by_set]:
            other = ~known[int(known_as[node["feature_idx"]])] & bool(node["missing_go_to_left"])
            sets.append(left[int(node["bitset_idx"])] | other)
        children = (np.where(leaf, -1.0, n[side].astype(float)) for side in ("left", "right"))
        feature, value = np.where(leaf, -1, n["feature_idx"]), n["value"] * sign
        parts = (feature, n["num_threshold"], *children, n["missing_go_to_left"], place, value, n["count"])
        tables.append(np.column_stack(parts))
    head: dict[str, Any] = {"link": "logistic" if classifies else "identity", "single": False}
    head["base"] = float(np.asarray(final._baseline_prediction).reshape(-1)[0]) * sign
    return head, *_joined(tables), np.array(sets, dtype=bool).reshape(-1, 256) if sets else _no_sets()


def _unpacked(bits: Any) -> Any:
    """Bitsets (s, 8) of 32-bit words as truth values (s, 256)."""
    import numpy as np

    words = np.ascontiguousarray(bits, dtype="<u4").reshape(-1, 8)
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").astype(bool)


def _tree(tree: Any, values: Any) -> Any:
    import numpy as np

    left = np.asarray(tree.children_left)
    leaf = left < 0
    state = tree.__getstate__()["nodes"]
    missing = state["missing_go_to_left"] if "missing_go_to_left" in (state.dtype.names or ()) else np.zeros(len(left))
    feature = np.where(leaf, -1, tree.feature)
    children = (np.where(leaf, -1, c) for c in (left, tree.children_right))
    threshold = np.where(leaf, 0.0, tree.threshold)
    none, rows = np.full(len(left), -1), tree.n_node_samples
    return np.column_stack([feature, threshold, *children, missing, none, values, rows])


def _joined(tables: list[Any]) -> tuple[Any, Any]:
    """All nodes in one table, children counted through, and the roots."""
    import numpy as np

    starts = np.cumsum([0, *(len(t) for t in tables)])
    for table, start in zip(tables, starts, strict=False):
        inner = table[:, 0] >= 0
        table[inner, 2:4] += start
    return np.concatenate(tables), starts[:-1]


def _no_sets() -> Any:
    import numpy as np

    return np.zeros((0, 1), dtype=bool)
