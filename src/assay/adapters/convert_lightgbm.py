"""LightGBM boosters to ONNX, with the categories that the booster knows as words mapped inside the graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from assay.adapters.extras import library
from assay.adapters.lightgbm_predictor import LightgbmPredictor
from assay.adapters.values import canonical_text
from assay.core.errors import CouldNotLook, InputError
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.subject import Kind, Subject
from assay.core.text import visible

Levels = dict[str, tuple[Any, ...]]


class BoosterSource(msgspec.Struct, frozen=True, kw_only=True):
    """How to build the graph of a booster, and its own scores for comparison."""

    build: Callable[[], Any]
    score: Callable[[ArrowTable, int], FloatArray]


def booster_of(model: Any) -> Any:
    """The `lightgbm.Booster` of a booster, a scikit-learn wrapper or a text model's path; None for other models."""
    if isinstance(model, str | Path):
        lightgbm = library("lightgbm")
        try:
            return lightgbm.Booster(model_str=Path(model).read_text(encoding="utf-8"))
        except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise InputError(f"is not a LightGBM text model: {visible(str(error), 120)}", where=str(model)) from None
    if type(model).__module__.partition(".")[0] != "lightgbm":
        return None
    return getattr(model, "booster_", model)


def booster_to_onnx(booster: Any, names: tuple[str, ...], sample: ArrowTable) -> BoosterSource:
    """Prepare a booster's conversion; `names` are its columns in order. Raises InputError where they do not fit."""
    subject = Subject(name="booster", kind=Kind.MODEL, uri="booster", options={"inputs": list(names)})
    content = booster.model_to_string(num_iteration=-1).encode()
    try:
        predictor = LightgbmPredictor(content, subject)
        predictor.scores(sample.slice(0, 1))
    except CouldNotLook as error:
        raise InputError(str(error), fix="give the columns that the booster was trained on") from None

    def score(rows: ArrowTable, place: int) -> FloatArray:
        return predictor.class_scores(rows, place)

    return BoosterSource(build=lambda: _graph(booster, names, predictor.levels, sample), score=score)


def _graph(booster: Any, names: tuple[str, ...], levels: Levels, sample: ArrowTable) -> Any:
    tools = library("onnxmltools")
    types = library("onnxmltools.convert.common.data_types")
    try:
        width = types.FloatTensorType([None, len(names)])
        proto = tools.convert_lightgbm(booster, initial_types=[("X", width)], zipmap=False, target_opset=15)
    except Exception as error:  # the converter raises whatever its authors met
        raise InputError(
            f"onnxmltools cannot convert it: {visible(str(error), 160)}", fix="ship the original"
        ) from None
    for output in proto.graph.output:
        # The converter writes a fixed batch of one there, which onnxruntime warns of at every call.
        output.type.tensor_type.shape.dim[0].ClearField("dim_value")
    return _columns_in_front(proto, names, levels, sample) if levels else proto


def _columns_in_front(proto: Any, names: tuple[str, ...], levels: Levels, sample: ArrowTable) -> Any:
    """One graph input per column, categories encoded, all concatenated into the tensor that the trees read."""
    helper, pa = library("onnx.helper"), library("pyarrow")
    kinds = library("onnx").TensorProto
    inputs, nodes, parts = [], [], []
    for place, name in enumerate(names):
        words = pa.types.is_string(sample.schema.field(name).type)
        kind = kinds.STRING if words else kinds.FLOAT
        inputs.append(helper.make_tensor_value_info(name, kind, [None, 1]))
        if name not in levels:
            parts.append(name)
            continue
        parts.append(f"assay_code_{place}")
        keys: dict[str, Any] = {}
        if words:
            keys["keys_strings"] = [canonical_text(v) if not isinstance(v, str) else v for v in levels[name]]
        else:
            keys["keys_floats"] = [float(v) for v in levels[name]]
        codes = [float(code) for code in range(len(levels[name]))]
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [name],
                [parts[-1]],
                domain="ai.onnx.ml",
                values_floats=codes,
                default_float=float("nan"),
                **keys,
            )
        )
    nodes.append(helper.make_node("Concat", parts, ["X"], axis=1))
    rest = list(proto.graph.node)
    del proto.graph.node[:], proto.graph.input[:]
    proto.graph.input.extend(inputs)
    proto.graph.node.extend([*nodes, *rest])
    for item in proto.opset_import:
        if item.domain == "ai.onnx.ml":
            item.version = max(item.version, 2)
    return proto
