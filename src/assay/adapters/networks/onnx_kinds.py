"""Types of the tensors of an ONNX graph: which are float32, and which hold whole numbers that wrap and are cut down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

FLOAT, INT64, TEXT, DOUBLE = 1, 7, 8, 11
FLOATS = frozenset({FLOAT, DOUBLE})
FITS_INT64 = frozenset({2, 3, 4, 5, 6, 7, 12})
"""Types of whole numbers that INT64 holds without a change."""
PASSED = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout"})
MOVED = PASSED | {"ZipMap", "Concat", "Gather", "ArrayFeatureExtractor", "Imputer"}
"""Operators that give the numbers they are given, of their type."""
EXACT = MOVED | {"Cast", "OneHotEncoder", "LabelEncoder"}
"""Operators that compute with no number; what a cast rounds is told where it is followed."""
_TOLD = frozenset({"LeakyRelu", "Elu", "Selu", "HardSigmoid"})
"""Their numbers are told as float32, whatever they are computed in."""


def kind_after(node: Any, told: dict[str, Any], before: int) -> int:
    """The type of what a node gives, `before` being that of what it reads: ai.onnx.ml answers in float32."""
    if node.op_type == "Cast":
        return int(told["to"])
    if node.op_type == "LabelEncoder":
        if "values_tensor" in told:
            return DOUBLE if np.asarray(told["values_tensor"]).dtype == np.float64 else FLOAT
        return INT64 if "values_int64s" in told else FLOAT
    return FLOAT if node.domain == "ai.onnx.ml" and node.op_type not in MOVED else before


def coarse(node: Any, told: dict[str, Any], kind: int) -> bool:
    """Whether a node that gives `kind` rounds as float32 does, if only by the numbers that it is told."""
    inside = node.op_type in _TOLD or (node.op_type == "Gelu" and told.get("approximate") == "tanh")
    return inside or (kind == FLOAT and node.op_type not in EXACT)


def counted(node: Any, kind: int) -> bool:
    """Whether a node computes with whole numbers."""
    return kind not in FLOATS and kind != TEXT and node.op_type not in EXACT


def told_float(told: dict[str, Any], name: str, default: float) -> float:
    """An attribute as the float32 that it is."""
    return float(np.float32(told.get(name, default)))


def codes_of(levels: list[Any]) -> list[float]:
    """Levels that are numbers. Raises ValueError where one is none, or stands there twice."""
    codes = [float(v) for v in levels]
    if any(math.isnan(c) for c in codes) or len(set(codes)) < len(codes):
        raise ValueError("levels that are not told apart")
    return codes
