"""Products of a number and a gate of itself, as exporters write them: GELU and SiLU."""

from __future__ import annotations

import math

import numpy as np

from assay.adapters.networks.network import Layer, Noise
from assay.adapters.networks.onnx_values import Value

_CLOSE = 2.4e-7
"""How far √2 may be off: four roundings of float32, as constants and quotients of it are written."""


def gelu(value: Value, gate: Value) -> tuple[Value, float] | None:
    """x (1 + erf(x / √2)), twice the GELU: (the x of the GELU, its factor), None where it is none."""
    if gate.curve != "erf 1" or value.curve or value.words >= 0 or value.stage != gate.stage:
        return None
    count = max(len(value.weight), len(gate.weight))
    x, y = (np.append(v.padded(count).ravel(), v.bias) for v in (value, gate))
    times = float(x @ y / (y @ y)) / math.sqrt(2)
    if not times or not np.allclose(x, y * times * math.sqrt(2), rtol=_CLOSE, atol=0.0):
        return None
    # Each of the two roads to x may have lost something of its own.
    lost = gate._replace(curve="").scaled(np.float64(math.sqrt(2))).noised(count)
    scaled = value.scaled(np.float64(1 / times))
    return scaled._replace(weight=scaled.padded(count), noise=worse(scaled.noised(count), lost)), 2 * times


def silu(value: Value, gate: Value, last: Layer, stage: int) -> Layer | None:
    """x times its own sigmoid, the layer `last` of stage `stage`: the layer of the SiLU, None where it is none."""
    own = np.array_equal(gate.weight, np.eye(gate.width)) and not gate.bias.any() and not gate.curve
    if last.activation != "logistic" or not own or gate.stage != stage or value.stage != stage - 1 or value.curve:
        return None
    count = len(last.weight)
    if not np.array_equal(value.bias, last.bias) or not np.array_equal(value.padded(count), last.weight):
        return None
    return last._replace(activation="silu", noise=worse(last.noisy(), value.noised(count)))


def worse(one: Noise, other: Noise) -> Noise:
    """What bounds both."""
    return np.maximum(one[0], other[0]), np.maximum(one[1], other[1]), np.maximum(one[2], other[2])
