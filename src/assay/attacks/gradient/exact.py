"""What linear bounds leave open in small networks of ReLUs: one mixed-integer program a row (Tjeng et al. 2019).

A unit that may be on or off within the budget is a binary variable, with the ends of what linear bounds leave it; any
other is linear. Either no permitted change passes, which is a proof, or the program's answer is a start for the search.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from assay.adapters.networks.network import Network
from assay.attacks.gradient.bounds import ROUNDING, intervals
from assay.attacks.gradient.highs import solve
from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.attacks.gradient.rounding import rounding
from assay.core.protocols import FloatArray as Array

UNITS, WORK, MOST, SECONDS = 160, 12_000, 1_000, 20.0
"""Units that may be on or off, at most; nodes are WORK over units and inputs, at most MOST: the same on any machine.
SECONDS end a program that hangs, which nodes do not; others end long before."""
CLEAR = 1e-5
"""How much further than the threshold a program asks, of its largest sum: more than the tolerance of HiGHS."""


TANGENTS, ROUNDS = (0.02, 0.06, 0.12, 0.2, 0.35, 0.6, 1.0), 4
"""Where squares of an L2 distance are held from below (shares of the radius), and how often anew at answers."""


class Program(NamedTuple):
    """Variables (v,) from `least` to `most`, `integral` or not; lines (r, v) of them from `low` to `high`."""

    lines: Array
    low: Array
    high: Array
    least: Array
    most: Array
    integral: Array


def fits(network: Network) -> bool:
    """Whether a network is one of ReLUs with one margin, or two logits."""
    ends = len(network.layers[-1].bias)
    last = network.layers[-1].activation == "identity" and (network.positive < 0 or ends == 2)
    return last and not network.linear and all(one.activation in ("relu", "identity") for one in network.layers)


def settled(network: Network, moves: Moves, ids: Array, target: float, radius: float) -> tuple[Array, Array, Point]:
    """(which of rows `ids` are proved: nothing within `radius` brings the margin below `target`, (q,) bool; which have
    a start that may do so, (q,) bool; those starts). Neither where the program has no answer within its nodes."""
    proved, found, point = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool), moves.start_at(ids)
    if not len(ids) or not fits(network) or not all(one.whole for one in moves.listed):
        return proved, found, point
    held = intervals(network, moves, ids, np.full(len(ids), radius))
    lost = rounding(network, moves, ids, np.full(len(ids), radius), held)
    for i in range(len(ids)):
        units = sum(int(((low[i] < 0) & (high[i] > 0)).sum()) for low, high in held)
        if units > UNITS or not np.isfinite(lost[i]):
            continue
        nodes = int(min(MOST, max(20, WORK / max(1, units + len(moves.places)))))
        box = [(low[i], high[i]) for low, high in held]
        proved[i], x = _answered(network, moves, int(ids[i]), target + float(lost[i]), radius, box, nodes)
        if x is not None:
            found[i] = True
            _write(moves, int(ids[i]), x, point, i)
    return proved, found, point


def _answered(
    network: Network, moves: Moves, row: int, target: float, radius: float, held: list[tuple[Array, Array]], nodes: int
) -> tuple[bool, Array | None]:
    """As `_solved`. Squares are held by tangents, one more for each number at every answer outside the ball."""
    c = len(moves.places)
    price = moves.price * _grid(moves, row)[1] / radius
    tangents = [np.full(c, share) for share in TANGENTS] if moves.square else []
    for _ in range(ROUNDS if moves.square else 1):
        done, x = _solved(_program(network, moves, row, target, radius, held, tangents), nodes)
        if done or x is None or not moves.square:
            break
        size = price * (x[:c] + x[c : 2 * c])
        if (size**2).sum() <= 1 + 1e-6:
            break
        tangents.append(size)
    return done, x


def _solved(program: Program, nodes: int) -> tuple[bool, Array | None]:
    """(whether there is no answer, the answer if one was found). That there is none HiGHS must say twice, with and
    without its presolve: either alone was seen to say so of a program that has one."""
    for presolve in (False, True):
        status, x, _ = solve(
            np.zeros(len(program.least)), *program, node_limit=nodes, time_limit=SECONDS, presolve=presolve,
        )  # fmt: skip
        if status != 2:
            return False, x
    return True, None


def _grid(moves: Moves, row: int) -> tuple[Array, Array]:
    """(which numbers count steps of a grid that holds the row, what one unit of each variable is)."""
    step = np.where(moves.step > 0, moves.step, 1.0)
    places = (moves.origin[row] - moves.start) / step
    whole = (moves.step > 0) & (np.abs(places - np.round(places)) < 1e-9)
    return whole, np.where(whole, step, 1.0)


def _program(
    network: Network, moves: Moves, row: int, target: float, radius: float, held: list[tuple[Array, Array]],
    tangents: list[Array],
) -> Program:  # fmt: skip
    """Moves up and down (c each), a binary for each listed value, the squares of an L2 distance (c), then of every
    layer its units and their switches."""
    whole, unit = _grid(moves, row)
    c = len(moves.places)
    price = moves.price * unit / radius
    far = np.minimum(np.concatenate([moves.up[row], -moves.down[row]]) / np.tile(unit, 2), 1 / np.tile(price, 2))
    far = np.where(np.tile(whole, 2), np.floor(far + 1e-9), far)
    parts = [one.parts[row] / (radius**2 if moves.square else radius) for one in moves.listed]
    squares = c if moves.square else 0
    inputs = 2 * c + sum(map(len, parts)) + squares
    # What goes into the first layer is `origin + through @ variables`.
    through = np.zeros((moves.lifted.shape[1], inputs))
    through[moves.places, np.arange(c)], through[moves.places, c + np.arange(c)] = unit, -unit
    lines: list[Array] = []
    low: list[float] = []
    high: list[float] = []
    at, cost = 2 * c, [np.zeros(2 * c) if squares else np.tile(price, 2)]
    for one, part in zip(moves.listed, parts, strict=True):
        through[one.places, at : at + len(part)] = (one.effect[row] - moves.lifted[row, one.places]).T
        lines.append(np.bincount(np.arange(at, at + len(part)), minlength=inputs).astype(float))
        low, high = [*low, 0.0], [*high, 1.0]
        cost.append(np.where(np.isfinite(part), part, 0.0))
        at += len(part)
    if moves.additive:
        lines.append(np.concatenate([*cost, np.ones(squares)]))
        low, high = [*low, -np.inf], [*high, 1 + 1e-9]
    for a in tangents:  # a square lies above its tangents
        size = np.diag(-2 * a * price)
        lines += list(np.hstack([size, size, np.zeros((c, inputs - 3 * c)), np.eye(c)]))
        low, high = [*low, *(-(a**2))], [*high, *[np.inf] * c]
    most = [far, *((p <= 1 + 1e-12).astype(float) for p in parts), np.ones(squares) * (1 + 1e-9)]
    integral = np.concatenate([np.tile(whole, 2), np.ones(inputs - 2 * c - squares), np.zeros(squares)])
    start = Program(
        np.array(lines).reshape(-1, inputs), np.array(low), np.array(high), np.zeros(inputs), np.concatenate(most),
        integral.astype(int),
    )  # fmt: skip
    reach = np.abs(moves.lifted[row]) + np.abs(through) @ start.most
    return _layered(network, start, moves.lifted[row], through, reach, target, held)


def _layered(
    network: Network, start: Program, constant: Array, through: Array, reach: Array, target: float,
    held: list[tuple[Array, Array]],
) -> Program:  # fmt: skip
    """The program with the layers: what a layer reads is `constant + through @ variables`, at most `reach` in size."""
    lines, low, high = [start.lines], [start.low], [start.high]
    least, most, integral = start.least, start.most, start.integral
    for layer, (bottom, top) in zip(network.layers[:-1], held, strict=True):
        constant, through = constant @ layer.weight + layer.bias, layer.weight.T @ through
        reach = reach @ np.abs(layer.weight) + np.abs(layer.bias)
        if layer.activation == "identity":
            continue
        dead, split = top <= 0, np.flatnonzero((bottom < 0) & (top > 0))
        constant, through = np.where(dead, 0.0, constant), np.where(dead[:, None], 0.0, through)
        k, before = len(split), through.shape[1]
        through = np.hstack([through, np.zeros((len(dead), 2 * k))])
        wide = through[split]
        one, switch = np.eye(k, before + 2 * k, before), np.eye(k, before + 2 * k, before + k)
        # z <= a, a <= z - bottom (1 - s), a <= top s.
        lines += [one - wide, one - wide - bottom[split, None] * switch, one - top[split, None] * switch]
        low += [constant[split], np.full(2 * k, -np.inf)]
        high += [np.full(k, np.inf), constant[split] - bottom[split], np.zeros(k)]
        least = np.concatenate([least, np.zeros(2 * k)])
        most = np.concatenate([most, top[split], np.ones(k)])
        integral = np.concatenate([integral, np.zeros(k, dtype=int), np.ones(k, dtype=int)])
        constant, through = constant.copy(), through.copy()
        constant[split], through[split] = 0.0, one
    last = network.layers[-1]
    way, bias = last.weight[:, 0], float(last.bias[0])
    if network.positive >= 0:
        way = last.weight[:, network.positive] - last.weight[:, 1 - network.positive]
        bias = float(last.bias[network.positive] - last.bias[1 - network.positive])
    size = float(reach @ np.abs(way)) + abs(bias) + abs(target)
    spare = (ROUNDING * len(network.layers) + CLEAR * 1e-2) * size + CLEAR * (1 + abs(target))
    lines.append((way @ through)[None])
    low.append(np.array([-np.inf]))
    high.append(np.array([target + spare - bias - float(way @ constant)]))
    width = len(least)
    return Program(
        np.vstack([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in lines]),
        np.concatenate(low), np.concatenate(high), least, most, integral,
    )  # fmt: skip


def _write(moves: Moves, row: int, x: Array, point: Point, i: int) -> None:
    """Put the answer of a program into point i."""
    c = len(moves.places)
    shift = (x[:c] - x[c : 2 * c]) * _grid(moves, row)[1]
    point.value[i] = moves.snapped(np.array([row]), (moves.origin[row] + shift)[None])[0]
    at = 2 * c
    for k, one in enumerate(moves.listed):
        chosen = x[at : at + one.parts.shape[1]]
        point.pick[i, k] = int(chosen.argmax()) if len(chosen) and chosen.max() > 0.5 else KEEP
        at += one.parts.shape[1]
