"""scikit-learn estimators to ONNX by skl2onnx, here or in the sandbox's child: nothing heavy is imported at once."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from assay.adapters.extras import library
from assay.core.errors import InputError
from assay.core.text import visible

REFUSED = "skl2onnx cannot convert it"
"""How an error begins that is the converters' own."""


def sklearn_to_onnx(model: Any, names: Sequence[str], words: set[str], precision: str) -> Any:
    """skl2onnx's ModelProto with one float tensor, or one input per column when some (`words`) are text.

    `names` are the columns in the model's order, `precision` float32 or float64. Raises InputError.
    """
    skl2onnx = library("skl2onnx")
    types = library("skl2onnx.common.data_types")
    number = types.FloatTensorType if precision == "float32" else types.DoubleTensorType
    if words or _selects_by_name(model):
        initial = [(name, types.StringTensorType([None, 1]) if name in words else number([None, 1])) for name in names]
    else:
        initial = [("X", number([None, len(names)]))]
    try:
        with _plain_attributes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"zipmap": False} if hasattr(model, "predict_proba") else None
            return skl2onnx.convert_sklearn(model, initial_types=initial, options=options)
    except Exception as error:  # the converters raise whatever their authors met
        what = f"{REFUSED} with {precision} inputs: {visible(str(error), 160)}"
        raise InputError(what, fix="ship the original") from None


def _selects_by_name(model: Any) -> bool:
    """Whether a column transformer inside picks columns by name, which one nameless tensor cannot serve."""
    steps = [step for _, step in getattr(model, "steps", [])] or [model]
    return any(hasattr(step, "transformers_") for step in steps)


@contextlib.contextmanager
def _plain_attributes() -> Iterator[None]:
    """While converting, hand onnx plain Python numbers.

    For HistGradientBoosting skl2onnx gives it numpy scalars, and truth values among integers, which current onnx
    refuses. The converter has no hook for it, so the function that it imported is wrapped.
    """
    container = library("skl2onnx.common._container")
    original = container.make_node

    def make_node(*positional: Any, **attributes: Any) -> Any:
        return original(*positional, **{name: _bare(value) for name, value in attributes.items()})

    container.make_node = make_node
    try:
        yield
    finally:
        container.make_node = original


def _bare(value: Any) -> Any:
    np = library("numpy")
    if isinstance(value, np.ndarray):
        return [_bare(v) for v in value.tolist()] if value.ndim == 1 and value.dtype != object else value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    return [_bare(v) for v in value] if isinstance(value, list | tuple) else value
