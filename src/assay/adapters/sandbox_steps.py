"""The sandbox child's steps before trees: from which column of the model each derived one comes, and by which levels.

Only steps whose every output rises with one input, or tells levels of one input apart, are known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from assay.adapters.sandbox_strides import Refused

_LOOKS = "sklearn.utils.validation"
_FIX = "attack it with `access: score` or `access: label`"


class Source(NamedTuple):
    """Where a derived column comes from: the `place` of the model's column, of which it is a rising function, or
    (`levels` given) one of its level. `raw` while it is still that column itself, but for missing values.

    `seen` is shared by all: the levels of every column that an encoder meets, also where nothing is made of them.
    `computed` says that a step computes with it, so that it matters whether that is in float32 or in float64.
    """

    place: int
    raw: bool
    levels: list[Any] | None
    seen: dict[int, list[Any]]
    computed: bool = False


def refuse(what: str) -> Refused:
    """A refusal to be raised."""
    return Refused(f"{what}; {_FIX}")


def steps_of(estimator: Any) -> tuple[list[tuple[str, Any]], Any]:
    """(named steps, the estimator behind them), of nested pipelines too."""
    if type(estimator).__name__ != "Pipeline":
        return [], estimator
    *before, (_, last) = estimator.steps
    inner, final = steps_of(last)
    return [*((str(n), s) for n, s in before if not _is_nothing(s)), *inner], final


def after(step: Any, columns: list[Source], name: str) -> list[Source]:
    """The columns behind a fitted step. Raises Refused naming a step that mixes or bends them."""
    if _is_nothing(step):
        return columns
    kind = type(step).__name__
    known = _KNOWN.get(kind) if type(step).__module__.startswith("sklearn.") else None
    if known is None and type(step).__module__.startswith("sklearn.feature_selection"):
        known = _selected
    if known is None:
        raise refuse(f"its step {name!r} ({kind}) makes columns that no single column of the data decides")
    return known(step, columns, name)


def _is_nothing(step: Any) -> bool:
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return True
    if type(step).__name__ != "FunctionTransformer" or not type(step).__module__.startswith("sklearn."):
        return False
    # HistGradientBoosting passes its numbers through one that only looks at them.
    inner = getattr(step.func, "func", step.func)
    return inner is None or (getattr(inner, "__module__", ""), inner.__name__) == (_LOOKS, "check_array")


def _pipeline(step: Any, columns: list[Source], name: str) -> list[Source]:
    for inner, part in step.steps:
        columns = after(part, columns, f"{name}.{inner}")
    return columns


def _by_column(step: Any, columns: list[Source], name: str) -> list[Source]:
    out: list[Source] = []
    for inner, part, _ in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        places = [int(i) for i in step._transformer_to_input_indices[inner]]
        if places:
            out += after(part, [columns[i] for i in places], f"{name}.{inner}")
    return out


def _union(step: Any, columns: list[Source], name: str) -> list[Source]:
    parts = [(n, p) for n, p in step.transformer_list if not (isinstance(p, str) and p == "drop")]
    return [column for n, part in parts for column in after(part, columns, f"{name}.{n}")]


def _scaled(_: Any, columns: list[Source], __: str) -> list[Source]:
    return [c._replace(raw=False, computed=True) for c in columns]


def _filled(step: Any, columns: list[Source], name: str) -> list[Source]:
    """A missing value becomes its fill; a column that was empty in training is left out."""
    import numpy as np

    if step.missing_values is not None and step.missing_values == step.missing_values:
        raise refuse(f"its step {name!r} takes a value of the data for a missing one")
    empty = [isinstance(v, float) and bool(np.isnan(v)) for v in np.asarray(step.statistics_, dtype=object)]
    gone = step.strategy != "constant" and not getattr(step, "keep_empty_features", False)
    out = [c._replace(computed=True) for c, e in zip(columns, empty, strict=True) if not (e and gone)]
    indicator = getattr(step, "indicator_", None)
    if indicator is not None:
        out += [columns[int(i)]._replace(raw=False) for i in indicator.features_]
    return out


def _told_apart(step: Any, columns: list[Source], name: str) -> list[Source]:
    """One-hot and ordinal encoders: levels of a column as it is."""
    counts = step._n_features_outs if type(step).__name__ == "OneHotEncoder" else [1] * len(columns)
    out: list[Source] = []
    for column, known, count in zip(columns, step.categories_, counts, strict=True):
        if column.levels is not None:  # what an encoder makes of a level, the next one still tells by that level
            out += [column] * int(count)
            continue
        if not column.raw:
            raise refuse(f"its step {name!r} encodes a column that was changed before")
        levels = [v.item() if hasattr(v, "item") else v for v in known]
        levels = [v for v in levels if v is not None and v == v]
        if not all(isinstance(v, str | int | float | bool) for v in levels):
            raise refuse(f"its step {name!r} has categories that are neither texts nor numbers")
        column.seen.setdefault(column.place, levels)
        out += [column._replace(raw=False, levels=levels)] * int(count)
    return out


def _binned(step: Any, columns: list[Source], name: str) -> list[Source]:
    if step.encode != "ordinal":
        raise refuse(f"its step {name!r} (KBinsDiscretizer) makes a column of each bin")
    return _scaled(step, columns, name)


def _selected(step: Any, columns: list[Source], name: str) -> list[Source]:
    if not hasattr(step, "get_support"):
        raise refuse(f"its step {name!r} ({type(step).__name__}) is not known")
    return [columns[int(i)] for i in step.get_support(indices=True)]


_KNOWN: dict[str, Callable[[Any, list[Source], str], list[Source]]] = {
    "Pipeline": _pipeline,
    "ColumnTransformer": _by_column,
    "FeatureUnion": _union,
    "StandardScaler": _scaled,
    "MinMaxScaler": _scaled,
    "MaxAbsScaler": _scaled,
    "RobustScaler": _scaled,
    "SimpleImputer": _filled,
    "OneHotEncoder": _told_apart,
    "OrdinalEncoder": _told_apart,
    "KBinsDiscretizer": _binned,
}
