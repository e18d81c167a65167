"""Activations of a network: value, slope, and two parallel lines between which each lies on an interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from assay.core.protocols import FloatArray as Array

Activation = Literal[
    "identity", "relu", "leaky", "elu", "tanh", "logistic", "gelu", "gelu tanh", "silu", "softplus", "clip"
]
_ROOT = math.sqrt(2 / math.pi)
_SAMPLES = 33
_CURVED = {"gelu": 0.8, "gelu tanh": 1.2, "silu": 0.5, "softplus": 0.25}
"""An upper bound of |f''| (the largest are .798, under 1.1, .5 and .25)."""


def bent(x: Array, kind: Activation, alpha: float) -> Array:
    """The activation of x. `alpha` is the slope of `leaky` and the factor of `elu`; `clip` is to 0 … alpha."""
    if kind == "identity":
        return x
    if kind == "relu":
        return np.maximum(x, 0.0)
    if kind == "leaky":
        return np.where(x >= 0, x, alpha * x)
    if kind == "elu":
        return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0.0)))
    if kind == "tanh":
        return np.tanh(x)
    if kind == "logistic":
        return _logistic(x)
    if kind == "gelu":
        return x * _normal(x)
    if kind == "gelu tanh":
        return 0.5 * x * (1 + np.tanh(_ROOT * (x + 0.044715 * x**3)))
    if kind == "silu":
        return x * _logistic(x)
    if kind == "softplus":
        return np.logaddexp(0.0, x)
    return np.clip(x, 0.0, alpha)


def slope(x: Array, kind: Activation, alpha: float) -> Array:
    """The derivative at x; at a kink the one from the right."""
    if kind == "identity":
        return np.ones_like(x)
    if kind == "relu":
        return (x >= 0).astype(np.float64)
    if kind == "leaky":
        return np.where(x >= 0, 1.0, alpha)
    if kind == "elu":
        return np.where(x >= 0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))
    if kind == "tanh":
        return 1 - np.tanh(x) ** 2
    if kind == "logistic":
        return _logistic(x) * _logistic(-x)
    if kind == "gelu":
        return _normal(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    if kind == "gelu tanh":
        t = np.tanh(_ROOT * (x + 0.044715 * x**3))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * _ROOT * (1 + 3 * 0.044715 * x * x)
    if kind == "silu":
        s = _logistic(x)
        return s * (1 + x * (1 - s))
    if kind == "softplus":
        return _logistic(x)
    return ((x >= 0) & (x < alpha)).astype(np.float64)


def between(low: Array, high: Array, kind: Activation, alpha: float) -> tuple[Array, Array, Array, Array]:
    """(slope, offset) of a line below and (slope, offset) of one above the activation on [low, high] (Zhang et al.
    2018, CROWN), all of low's shape.

    Both have the slope of the chord, and the least and largest offset there; the lower line of `relu` has slope 0 or 1.
    Raises ValueError for an `elu` whose factor is not above 0.
    """
    if not np.isfinite(alpha) or (kind == "elu" and alpha <= 0):
        raise ValueError(f"no lines hold {kind} with a factor of {alpha:g}")
    at_low, at_high = bent(low, kind, alpha), bent(high, kind, alpha)
    wide = high - low
    narrow = wide < 1e-12 * (1 + np.abs(low))
    a = np.where(narrow, slope(low, kind, alpha), (at_high - at_low) / np.where(narrow, 1.0, wide))
    points = [low, high, *(np.clip(p, low, high) for p in _turns(a, kind, alpha))]
    spare: Array = np.zeros_like(low)
    if kind in _CURVED:
        points = [low + wide * t for t in np.linspace(0, 1, _SAMPLES)]
        spare = _CURVED[kind] * (wide / (_SAMPLES - 1)) ** 2 / 8
    gap = np.array([bent(p, kind, alpha) - a * p for p in points])
    spare = spare + 1e-12 * (1 + np.abs(at_low) + np.abs(at_high) + np.abs(a) * (np.abs(low) + np.abs(high)))
    above = gap.max(axis=0) + spare
    if kind == "relu":
        lower = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, (high > -low).astype(np.float64)))
        return lower, np.zeros_like(low), a, above
    return a, gap.min(axis=0) - spare, a, above


def _turns(a: Array, kind: Activation, alpha: float) -> list[Array]:
    """Where the activation may run parallel to a line of slope `a`: kinks and points of that derivative."""
    zero = np.zeros_like(a)
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "tanh":
            at = np.arctanh(np.sqrt(np.clip(1 - a, 0, 1 - 1e-16)))
            return [at, -at]
        if kind == "logistic":
            root = np.sqrt(np.clip(1 - 4 * a, 0, 1))
            at = np.log1p(root) - np.log(np.maximum(1 - root, 1e-300))
            return [at, -at]
        if kind == "elu":
            return [zero, np.minimum(np.log(np.maximum(a / alpha, 1e-300)), 0.0)]
    return [zero, np.full_like(a, alpha)] if kind == "clip" else [zero]


def _logistic(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700, 700)))


def _normal(x: Array) -> Array:
    """The distribution function of the standard normal."""
    from scipy.special import ndtr

    out: Array = ndtr(x)
    return out


KINDS: dict[str, Callable[[dict[str, float]], tuple[Activation, float]]] = {
    "Relu": lambda _: ("relu", 1.0),
    "Tanh": lambda _: ("tanh", 1.0),
    "Sigmoid": lambda _: ("logistic", 1.0),
    "Softplus": lambda _: ("softplus", 1.0),
    "LeakyRelu": lambda told: ("leaky", told.get("alpha", float(np.float32(0.01)))),
    "Elu": lambda told: ("elu", told.get("alpha", 1.0)),
}
"""ONNX operators that are an activation, with their attributes."""
