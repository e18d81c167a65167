"""The sanity test of the white-box attack: holes planted in the trees must be found at what they cost."""

from __future__ import annotations

from copy import copy

import numpy as np

from assay.adapters.ensembles.nodes import Node, Nodes
from assay.adapters.ensembles.trees import Trees
from assay.attacks.attacked import RELATIONS
from assay.attacks.space import Space, length
from assay.attacks.trees.leaves import Leaves
from assay.attacks.trees.rows import Column, Rows
from assay.attacks.trees.whitebox import Nearest, Whitebox
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Norm

ROWS = 8
TOGETHER = 3
NEARER = 0.6
DEARER = 1.1


def refuse_blind(
    trees: Trees, space: Space, norm: Norm, threshold: float, budget: float, found: Nearest, seed: int
) -> str:
    """Plant a hole nearer than what was found of up to 8 rows, where one to three columns must move at once; within the
    budget of rows of which nothing was found; why none could be planted, "" where one was.

    Raises CouldNotLook when one is not found, at up to 1.1 times what it costs.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(space.size)[:ROWS]
    if space.constraints:
        return RELATIONS
    far = np.where(np.isfinite(found.distance), found.distance, budget)
    small = copy(space)
    small.rows, small.size = space.rows.take(rows), len(rows)
    small.axes = [copy(axis) for axis in space.axes]
    for axis in small.axes:
        axis.origin = axis.origin[rows]
    real = Rows(Leaves(trees), trees, small, norm, threshold)
    block = real.block(np.arange(len(rows)))
    extra, least = Nodes(), np.full(len(rows), np.inf)
    low = -(np.abs(trees.value).max(initial=1.0) * len(trees.roots) + abs(real.target) + 1.0)
    for i, row in enumerate(rows.tolist()):
        least[i] = _plant(trees, real, block, i, real.radius(far[row] * NEARER), low, extra, rng)
    there = np.isfinite(least)
    if not there.any():
        return "no row has room for a nearer one"
    grown = trees.grown(extra.arrays(), extra.sets())
    again = Whitebox(grown, small, norm, threshold).run()
    missed = there & ~(again.distance <= np.where(there, least, 0) * DEARER + 1e-9)
    if missed.any():
        what = f"{missed.sum()} of {there.sum()} holes planted in the trees were not found at their distance"
        raise CouldNotLook(f"the sanity test failed: {what}")
    return ""


def _plant(
    trees: Trees, rows: Rows, block: list[Column], row: int, radius: float, low: float, extra: Nodes,
    rng: np.random.Generator,
) -> float:  # fmt: skip
    """Add a tree with a hole for a row, at most as far as the radius; its distance, inf where none fits."""
    part = radius / TOGETHER if rows.additive else radius
    near: dict[int, Array] = {}
    for j, column in enumerate(block):
        inside = np.flatnonzero((column.parts[row] > 0) & (column.parts[row] < part))
        if len(inside) and column.origin[row] >= 0:  # what is missing to the model stays as it is
            near[j] = inside
    columns = rng.permutation(list(near))[: int(rng.integers(1, TOGETHER + 1))].tolist()
    if not columns:
        return float("inf")
    parts: list[float] = []
    path: list[tuple[int, float, bool, Array | None]] = []
    for j in columns:
        cell = int(rng.choice(near[j]))
        parts.append(float(block[j].parts[row][cell]))
        path.append(_condition(trees, rows, j, block[j], row, cell))
    nodes: list[Node] = []
    for at, (feature, threshold, left, codes) in enumerate(path):
        follow, out = 2 * at + 2, 2 * at + 1
        ends = (follow, out) if left else (out, follow)
        nodes += [extra.split(feature, threshold, *ends, False, codes), extra.leaf(0.0)]
    extra.tree([*nodes, extra.leaf(low)])
    return float(length(np.array([parts]), rows.norm)[0])


def _condition(
    trees: Trees, rows: Rows, j: int, column: Column, row: int, cell: int
) -> tuple[int, float, bool, Array | None]:
    """(column, threshold, whether left is inside, codes inside) of a split that the value of a cell has behind it."""
    if rows.leaves.by_set[j]:
        codes = np.flatnonzero(rows.leaves.classes[j] == cell)
        inside = np.zeros(max(trees.sets.shape[1], int(codes.max()) + 1), dtype=bool)
        inside[codes] = True
        return j, 0.0, True, inside
    up = cell > column.origin[row]
    border = rows.leaves.thresholds[j][cell - 1 if up else cell]
    return j, float(border), not up, None
