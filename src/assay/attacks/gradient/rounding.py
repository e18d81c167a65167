"""What the rounding of a served network can do to its margin: an a-priori bound over all permitted changes.

After Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.1.

Each layer tells, in units of roundoff, what the steps that it was read from lose; here that is told in numbers, over
all that its inputs can be within a radius, and carried to the margin. Where numbers leave float32 nothing is sure.
"""

from __future__ import annotations

import numpy as np

from assay.adapters.networks.activations import Activation, bent
from assay.adapters.networks.network import DOUBLE, Network
from assay.attacks.gradient.moves import Moves
from assay.core.protocols import FloatArray as Array

_MORE = 1.05
"""For products of roundings, which are left out: under a hundredth even of sums of 100,000 terms."""
_STEEPEST = {"gelu": 1.13, "gelu tanh": 1.13, "silu": 1.1}
_EXACT = ("identity", "relu", "clip")
_OWN, _DIP = 8.0, 0.3
"""Roundings that an activation adds of its own (a libm or onnxruntime's polynomials), and how far a gate dips."""
_MOST = (1e307, 1e38)
"""What numbers on the way must stay below: of float64, of float32."""
_PLAIN = 1e-3


def reached(moves: Moves, ids: Array, radius: Array) -> Array:
    """How large the inputs (q, p) of rows `ids` can be after any permitted change up to `radius` (q,)."""
    out = np.abs(moves.lifted[ids])
    far = np.minimum(np.maximum(moves.up, -moves.down)[ids], np.minimum(radius, 1e300)[:, None] / moves.price)
    out[:, moves.places] = np.maximum(out[:, moves.places], np.abs(moves.origin[ids])) + far
    for one in moves.listed:
        effect = np.abs(np.nan_to_num(one.effect[ids])).max(axis=1, initial=0.0)
        out[:, one.places] = np.maximum(out[:, one.places], effect)
    return out


def rounding(
    network: Network, moves: Moves, ids: Array, radius: Array, held: list[tuple[Array, Array]]
) -> Array:  # fmt: skip
    """How far (q,) the served model's margin may lie from the network's within `radius` (q,) of rows `ids`.

    `held` are what the sums of every layer but the last lie between, (q, w) each. Infinite where it cannot be told.
    """
    reach = reached(moves, ids, radius)
    wrong = np.zeros_like(reach)
    with np.errstate(all="ignore"):
        for at, layer in enumerate(network.layers):
            steep, flat, most = layer.noisy()
            reach = reach + wrong
            within = reach @ most[:-1] + most[-1] < _MOST[network.unit > DOUBLE]
            wrong = wrong @ np.abs(layer.weight) + _MORE * network.unit * (reach @ steep + flat)
            wrong = np.where(within[:, None], wrong, np.inf)
            if at < len(held):
                reach, wrong = _bent(*held[at], wrong, layer.activation, layer.alpha, network.unit)
        if network.positive >= 0:
            rest = np.delete(wrong, network.positive, axis=1)
            wrong = wrong[:, [network.positive]] + rest.max(axis=1, keepdims=True, initial=0.0)
    return np.nan_to_num(wrong[:, 0], nan=np.inf)


def _bent(
    low: Array, high: Array, wrong: Array, kind: Activation, alpha: float, unit: float
) -> tuple[Array, Array]:  # fmt: skip
    """(the size of an activation over [low, high], what is wrong with it), where its sums may be `wrong`."""
    size = np.maximum(np.abs(bent(low, kind, alpha)), np.abs(bent(high, kind, alpha)))
    factor = max(1.0, abs(alpha)) if kind in ("leaky", "elu") else 1.0
    out = factor * _STEEPEST.get(kind, 1.0) * wrong
    if kind == "relu":
        out = np.where(high + wrong <= 0, 0.0, out)
    if kind in _STEEPEST:
        size = size + _DIP
    if kind not in _EXACT:
        out = out + _OWN * factor * unit * (1 + np.maximum(np.abs(low), np.abs(high)))
    return size, out


def straight(network: Network, moves: Moves) -> tuple[Array, float]:
    """Of a linear model: (what rounding can lower each row's margin (n,) by as it stands, a share of what any change
    lowers it by that comes on top)."""
    noise = network.layers[0].noisy()
    steep, flat, most = noise[0][:, 0], noise[1][0], noise[2]
    weight = np.abs(network.layers[0].weight[:, 0])
    unit = _MORE * network.unit
    ids = np.arange(moves.space.size)
    with np.errstate(all="ignore"):
        share = np.where(steep > 0, unit * steep / weight, 0.0)
        # A number's rounding grows with its move, and so does what the move does; where it does next to nothing, or
        # where a level is chosen, the rounding counts in full.
        number = np.zeros(len(weight), dtype=bool)
        number[moves.places] = True
        plain = number & (share <= _PLAIN)
        far = reached(moves, ids, np.full(len(ids), np.inf))
        reach = np.where(plain, np.abs(moves.lifted), far)
        lost = unit * (reach @ steep + flat)
        lost = np.where(far @ most[:-1] + most[-1] < _MOST[network.unit > DOUBLE], lost, np.inf)
    return np.nan_to_num(lost, nan=np.inf), float(share[plain].max(initial=0.0))
