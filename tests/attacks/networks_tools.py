"""Small networks as ONNX files and spaces around them, which the gradient and transfer tests share."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper

from assay.adapters.onnx_predictor import OnnxPredictor
from assay.attacks.space import Space
from assay.core.subject import Contract, Feature, Kind, Subject


def names(count: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(count))


def served(weights: list[Any], act: str = "Relu", *, end: str = "Sigmoid", factor: float = 1.0) -> OnnxPredictor:
    """A network of (weight, bias) layers in double precision as onnxruntime serves it; `factor` steepens the first."""
    count = len(weights[0][0])
    nodes, constants, last = [], [], "X"
    for i, (w, b) in enumerate(weights):
        scale = factor if i == 0 else 1.0
        constants += [numpy_helper.from_array(np.asarray(v, float) * scale, f"{k}{i}") for k, v in (("w", w), ("b", b))]
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        last = f"z{i}"
        if i < len(weights) - 1:
            nodes.append(helper.make_node(act, [last], [f"a{i}"]))
            last = f"a{i}"
    nodes.append(helper.make_node(end, [last], ["score"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, count])],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1])], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in {"features": list(names(count)), "classes": [0, 1], "positive": 1}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value)
    threshold = 0.5 if end == "Sigmoid" else 0.0
    subject = Subject(name="m", kind=Kind.MODEL, uri="m.onnx", options={"threshold": threshold})
    return OnnxPredictor(model.SerializeToString(), subject)


def weights(seed: int, sizes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(a, b)) / np.sqrt(a) * 1.5, rng.normal(size=b) * 0.3) for a, b in pairwise(sizes)]


def space_of(
    model: Any, seed: int, features: dict[str, Feature], *, rows: int = 12, constraints: tuple[str, ...] = (),
    grid: tuple[str, ...] = (),
) -> tuple[Space, Any]:  # fmt: skip
    """(the space of some flagged rows, rows that pass) of random data; columns in `grid` are whole numbers."""
    rng = np.random.default_rng([seed, 5])
    columns = {n: rng.integers(-3, 4, 400) if n in grid else rng.normal(size=400) for n in model.features}
    table = pa.table(columns)
    flagged = model.flagged(table)
    kinds = {n: "integer" if n in grid else "number" for n in model.features}
    contract = Contract(features=features, constraints=constraints)
    caught = table.filter(pa.array(flagged)).slice(0, rows)
    return Space(caught, contract, table, kinds, model.features), table.filter(pa.array(~flagged)).slice(0, 100)
