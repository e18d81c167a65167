"""How low the margin of a network can be inside a ball: linear bounds carried back to the inputs (CROWN).

Every activation is held between two lines on the interval that it can take (Zhang et al. 2018), which leaves a weighted
sum of the inputs; what permitted moves of a given length lower that by is told in closed form. So what is certified
holds for every permitted row inside, whatever any attack does.
"""

from __future__ import annotations

import numpy as np

from assay.adapters.networks.activations import between
from assay.adapters.networks.network import Layer, Network
from assay.attacks.gradient.linear import Offers, lowered, offers
from assay.attacks.gradient.moves import Moves
from assay.attacks.gradient.rounding import rounding
from assay.core.protocols import FloatArray as Array

ROUNDING = 2.4e-7
"""Relative width of a float32, twice: what a served model's own rounding of inputs can make of a sum."""
_CELLS = 4_000_000


def lowest(network: Network, moves: Moves, ids: Array, radius: Array) -> Array:
    """A bound below the served margin (q,) of rows `ids` after any permitted change up to `radius` (q,)."""
    width = max(max(layer.weight.shape) for layer in network.layers)
    step = max(1, _CELLS // (4 * width * width))
    parts = [_lowest(network, moves, ids[at : at + step], radius[at : at + step]) for at in range(0, len(ids), step)]
    return np.concatenate(parts) if parts else np.zeros(0)


def intervals(network: Network, moves: Moves, ids: Array, radius: Array) -> list[tuple[Array, Array]]:
    """Of every layer but the last what its sums lie between, (q, w) each, after any permitted change up to `radius`."""
    return _held(network, moves, ids, radius)[0]


def _held(
    network: Network, moves: Moves, ids: Array, radius: Array
) -> tuple[list[tuple[Array, Array]], list[tuple[Array, Array, Array, Array]]]:
    """(intervals of the layers but the last, the lines that hold their activations)."""
    held: list[tuple[Array, Array]] = []
    lines: list[tuple[Array, Array, Array, Array]] = []
    layers = network.layers
    for at, layer in enumerate(layers[:-1]):
        sums = np.concatenate([layer.weight, -layer.weight], axis=1)
        least = _back(layers, lines, at, sums, np.concatenate([layer.bias, -layer.bias]), moves, ids, radius)
        low, high = least[:, : len(layer.bias)], -least[:, len(layer.bias) :]
        held.append((low, np.maximum(low, high)))
        lines.append(between(*held[-1], layer.activation, layer.alpha))
    return held, lines


def _lowest(network: Network, moves: Moves, ids: Array, radius: Array) -> Array:
    held, lines = _held(network, moves, ids, radius)
    layers, last = network.layers, network.layers[-1]
    lost = rounding(network, moves, ids, radius, held)
    if network.positive < 0:
        least = _back(layers, lines, len(layers) - 1, last.weight, last.bias, moves, ids, radius, whole=True)
        return least[:, 0] - lost
    # The margin is -log sum exp of the others less the positive one; it falls where they rise.
    apart = np.delete(last.weight[:, [network.positive]] - last.weight, network.positive, axis=1)
    bias = np.delete(last.bias[network.positive] - last.bias, network.positive)
    least = _back(layers, lines, len(layers) - 1, apart, bias, moves, ids, radius, whole=True)
    out: Array = -np.logaddexp.reduce(-least, axis=1) - lost
    return out


def _back(
    layers: tuple[Layer, ...], lines: list[tuple[Array, Array, Array, Array]], at: int, sums: Array, bias: Array,
    moves: Moves, ids: Array, radius: Array, *, whole: bool = False,
) -> Array:  # fmt: skip
    """Bounds below (q, k) `sums` (w, k) of what layer `at` reads, plus `bias` (k,)."""
    weight = np.broadcast_to(sums.T, (len(ids), *sums.T.shape))
    rest = np.broadcast_to(bias, (len(ids), len(bias))).copy()
    for layer, (a, b, c, d) in zip(reversed(layers[:at]), reversed(lines[:at]), strict=True):
        up, down = np.maximum(weight, 0), np.minimum(weight, 0)
        rest += (up * b[:, None] + down * d[:, None]).sum(axis=2)
        weight = up * a[:, None] + down * c[:, None]
        rest += weight @ layer.bias
        weight = weight @ layer.weight.T
    origin = moves.lifted[ids]
    here = np.einsum("qkp,qp->qk", weight, origin) + rest
    count = weight.shape[1]
    flat, rows = weight.reshape(-1, weight.shape[2]), np.repeat(ids, count)
    of, far = offers(moves, rows, flat), np.repeat(radius, count)
    most = lowered(moves, of, far)[1] if whole else _quick(moves, of, far)
    size = (np.abs(flat) * np.abs(np.repeat(origin, count, axis=0))).sum(axis=1) + np.abs(most)
    return here - (most + ROUNDING * size).reshape(-1, count)


def _quick(moves: Moves, of: Offers, radius: Array) -> Array:
    """A bound above what any change within `radius` lowers a sum by: the box around the ball, or the ball alone."""
    budget = radius**2 if moves.square else radius
    listed = np.zeros(len(radius))
    for one, gains in zip(moves.listed, of.listed, strict=True):
        there = one.parts[of.ids] <= budget[:, None] * (1 + 1e-12)
        listed += np.where(there, gains, 0.0).max(axis=1, initial=0.0)
    far = np.minimum(radius, 1e300)[:, None] / moves.price
    ends = np.where(of.gain > 0, np.minimum(moves.up[of.ids], far), np.maximum(moves.down[of.ids], -far))
    most = (of.gain * ends).sum(axis=1)
    if moves.additive:
        each = np.abs(np.where(ends != 0, of.gain, 0.0)) / moves.price
        size = np.sqrt((each**2).sum(axis=1)) if moves.square else each.max(axis=1, initial=0.0)
        most = np.minimum(most, size * radius)
    return most + listed


def certified(network: Network, moves: Moves, ids: Array, target: float, radius: Array) -> Array:
    """Whether no permitted change up to `radius` (q,) brings the margin of rows `ids` below `target`, (q,) bool."""
    if not all(one.whole for one in moves.listed):
        return np.zeros(len(ids), dtype=bool)
    return lowest(network, moves, ids, radius) >= target


def bounds(network: Network, moves: Moves, target: float, found: Array, budget: float, halvings: int) -> Array:
    """Per row (n,): a distance within which nothing passes. The budget is tried first, then what lies below `found`."""
    rows = np.arange(len(found))
    low = np.zeros(len(found))
    reach = np.where(np.isfinite(found), found, budget if np.isfinite(budget) else _widest(moves))
    high = reach.copy()
    if np.isfinite(budget):
        open_ = rows[found > budget]
        sure = certified(network, moves, open_, target, np.full(len(open_), budget))
        low[open_[sure]] = budget
        high[open_[~sure]] = np.minimum(budget, high[open_[~sure]])
    for _ in range(halvings):
        middle = np.where(low > 0, (low + high) / 2, high / 2)
        sure = certified(network, moves, rows, target, middle)
        low, high = np.where(sure, middle, low), np.where(sure, high, middle)
    return low


def _widest(moves: Moves) -> Array:
    """A distance (n,) that no permitted change exceeds."""
    ids = np.arange(moves.space.size)
    far = np.maximum(moves.up, -moves.down)[ids] * moves.price
    parts = [far**2 if moves.square else far]
    parts += [np.where(np.isfinite(one.parts), one.parts, 0).max(axis=1, initial=0.0)[:, None] for one in moves.listed]
    every = np.hstack(parts)
    total = every.sum(axis=1) if moves.additive else every.max(axis=1, initial=0.0)
    out: Array = np.sqrt(total) if moves.square else total
    return out
