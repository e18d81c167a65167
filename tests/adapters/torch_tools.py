"""Torch programs made by hand, as `torch.export.save` writes them, so that tests need no torch."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

TENSOR = {"device": {"type": "cpu", "index": None}, "layout": 7, "requires_grad": False}


def meta(sizes: tuple[int | None, ...], kind: int = 7) -> dict[str, Any]:
    """A tensor's description; None is the number of rows."""
    free = {"as_expr": {"expr_str": "Symbol('s31', positive=True, integer=True)", "hint": {"as_int": 3}}}
    strides = [int(np.prod([s or 1 for s in sizes[at + 1 :]], dtype=int)) for at in range(len(sizes))]
    return {
        **TENSOR, "dtype": kind, "sizes": [free if s is None else {"as_int": s} for s in sizes],
        "strides": [{"as_int": s} for s in strides], "storage_offset": {"as_int": 0},
    }  # fmt: skip


def tensor(name: str) -> dict[str, Any]:
    return {"as_tensor": {"name": name}}


def node(operator: str, output: str, **inputs: dict[str, Any]) -> dict[str, Any]:
    """One operator, `aten.NAME.OVERLOAD`; a text among the inputs is a tensor's name."""
    told = [
        {"name": name, "arg": tensor(arg) if isinstance(arg, str) else arg, "kind": 1} for name, arg in inputs.items()
    ]
    return {"target": f"torch.ops.{operator}", "inputs": told, "outputs": [tensor(output)], "metadata": {}}


def graph(
    nodes: list[dict[str, Any]], weights: dict[str, Any], *, width: int = 3, output: str | None = None,
    batch: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The JSON of a program whose input is `x` (rows, width)."""
    output = output or nodes[-1]["outputs"][0]["as_tensor"]["name"]
    return {
        "graph_module": {
            "graph": {
                "inputs": [tensor(n) for n in (*weights, "x")], "outputs": [tensor(output)], "nodes": nodes,
                "tensor_values": {"x": meta((batch, width)), **{n: meta(w.shape) for n, w in weights.items()}},
                "sym_int_values": {}, "sym_bool_values": {},
            },
            "signature": {
                "input_specs": [
                    *({"parameter": {"arg": {"name": n}, "parameter_name": n}} for n in weights),
                    {"user_input": {"arg": tensor("x")}},
                ],
                "output_specs": [{"user_output": {"arg": tensor(output)}}],
            },
            "module_call_graph": [],
        },
        "opset_version": {"aten": 10}, "range_constraints": {"s31": {"min_val": 0, "max_val": None}},
        "schema_version": {"major": 8, "minor": 20},
    }  # fmt: skip


def members(told: dict[str, Any], weights: dict[str, Any]) -> dict[str, bytes]:
    """The members of a program's archive."""
    config = {
        name: {"path_name": f"weight_{at}", "is_param": True, "use_pickle": False, "tensor_meta": meta(w.shape)}
        for at, (name, w) in enumerate(weights.items())
    }
    raw = {f"m/data/weights/weight_{at}": w.astype("<f4").tobytes() for at, w in enumerate(weights.values())}
    return {
        **raw,
        "m/data/weights/model_weights_config.json": json.dumps({"config": config}).encode(),
        "m/data/constants/model_constants_config.json": b'{"config": {}}',
        "m/models/model.json": json.dumps(told).encode(),
        "m/data/sample_inputs/model.pt": b"\x80\x02cposix\nsystem\n.",
        "m/archive_format": b"pt2",
        "m/archive_version": b"0",
        "m/byteorder": b"little",
    }


def packed(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


def layers() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A network of two layers with a sigmoid at its end: (its operators, its weights)."""
    rng = np.random.default_rng(5)
    shapes = {"w1": (4, 3), "b1": (4,), "w2": (1, 4), "b2": (1,)}
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        node("aten.linear.default", "h", input="x", weight="w1", bias="b1"),
        node("aten.relu.default", "r", self="h"),
        node("aten.linear.default", "z", input="r", weight="w2", bias="b2"),
        node("aten.sigmoid.default", "p", self="z"),
    ]
    return nodes, weights
