"""The score of a network's graph: which layers, which column and which link give it."""

from __future__ import annotations

import math

import numpy as np

from assay.adapters.networks.network import Layer, Link
from assay.adapters.networks.onnx_nodes import Follow
from assay.adapters.networks.onnx_values import Value
from assay.core.protocols import FloatArray


def finished(follow: Follow, value: Value, place: int) -> tuple[tuple[Layer, ...], int, Link, tuple[float, float]]:
    """(layers, positive, link, ends) of the score in column `place` of a value."""
    if value.curve or value.words >= 0 or value.stage != len(follow.layers):
        raise ValueError("no score")
    weight, bias = value.padded(follow.width(value.stage))[:, place], float(value.bias[place])
    last = follow.layers[-1] if follow.layers else None
    used = np.flatnonzero(weight)
    none = (-math.inf, math.inf)
    if last is not None and follow.softmax:
        return *_softmax(follow, last, weight, bias), "logistic", none
    if last is not None and len(used) == 1:
        at, sign = int(used[0]), float(weight[used[0]])
        before, (steep, flat, most) = (last.weight[:, [at]], last.bias[[at]]), last.noisy()
        noise = steep[:, [at]] * abs(sign), flat[[at]] * abs(sign), most
        if last.activation == "logistic" and (sign, bias) in ((1.0, 0.0), (-1.0, 1.0)):
            end = Layer(before[0] * sign, before[1] * sign, noise=noise)
            return (*follow.layers[:-1], end), -1, "logistic", none
        if last.activation == "clip":
            low, high = sorted((bias, bias + sign * last.alpha))
            # What follows the clip is rounded at its place within the ends.
            noise = noise[0], noise[1] + 4 * (abs(low) + abs(high)), most
            end = Layer(before[0] * sign, before[1] * sign + bias, noise=noise)
            return (*follow.layers[:-1], end), -1, "clip", (low, high)
    steep, flat, most = value.noised(follow.width(value.stage))
    noise = steep[:, [place]], flat[[place]], most
    return (*follow.layers, Layer(weight[:, None], np.array([bias]), noise=noise)), -1, "identity", none


def _softmax(follow: Follow, last: Layer, weight: FloatArray, bias: float) -> tuple[tuple[Layer, ...], int]:
    """(layers, positive) where the score is one part of a softmax, or of two the other's rest."""
    used = np.flatnonzero(weight)
    count = len(last.bias)
    if len(used) != 1 or (float(weight[used[0]]), bias) not in ((1.0, 0.0), (-1.0, 1.0)):
        raise ValueError("no part of a softmax")
    place = int(used[0])
    if weight[place] < 0:
        if count != 2:
            raise ValueError("no part of a softmax")
        place = 1 - place
    if count == 2:
        other = 1 - place
        margin = last.weight[:, [place]] - last.weight[:, [other]], last.bias[[place]] - last.bias[[other]]
        steep, flat, most = last.noisy()
        noise = steep.sum(axis=1, keepdims=True), flat.sum(keepdims=True), most
        return (*follow.layers[:-1], Layer(*margin, noise=noise)), -1
    return follow.layers_done(last), place
