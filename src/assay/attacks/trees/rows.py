"""What an attacker can do to each row, told in the cells of an ensemble: values, and what they cost."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.attacks.space import Axis, Space, length
from assay.attacks.trees.leaves import Leaves
from assay.attacks.trees.problem import Problem
from assay.core.errors import CouldNotLook
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Norm

_ONE = np.uint64(1)
_RELATIVE = 1e-9
_SPARSE = 1000
_SATURATED = 0.5
"""Rounding of a score, told as a margin, from which on the threshold is no place between scores."""


class Column:
    """One column of the model over the rows of a block: where each row stands, and its candidates.

    `origin` (n,) is the cell or class (-1 missing), `values` (n, k) what to write for each candidate cell or class (a
    code of the axis), `parts` (n, k) its cost in the norm's terms, inf where it cannot be, 0 at the origin.
    """

    def __init__(self, origin: Array, values: Array, parts: Array) -> None:
        self.origin, self.values, self.parts = origin, values, parts


class Rows:
    """The rows of a space as problems against an ensemble, built block by block.

    Below `target` a margin passes, from `safe` on it does not; between them only the real model can say.
    """

    def __init__(self, leaves: Leaves, trees: Trees, space: Space, norm: Norm, threshold: float) -> None:
        self.leaves, self.space, self.norm = leaves, space, norm
        least, surely = trees.least(threshold), trees.rounding(threshold, surely=True)
        between = threshold <= 0.0 or (threshold < 1.0 and trees.rounding(threshold) < _SATURATED)
        if trees.link == "logistic" and not between:
            what = f"the threshold {threshold!r} lies where its scores round to 0 or 1"
            raise CouldNotLook(f"{what}, so that its trees cannot say what passes; attack it with `access: label`")
        self.target = least - (surely if trees.unordered else trees.rounding(threshold)) - trees.base
        self.safe = least + surely - trees.base
        self.read = trees.read
        self.codes = trees.read(space.rows)
        self.axes = {axis.name: axis for axis in space.axes}
        # The distance of the nearest move into, or out of, a level that the model takes for missing.
        self.unread = np.full(space.size, np.inf)

    @cached_property
    def slack(self) -> float:
        """How much farther than it is a change may be told, since borders are told to the width of a float32."""
        gaps = []
        for j, name in enumerate(self.leaves.columns):
            axis = self.axes.get(name)
            if axis is not None and not axis.levels and not _grid(axis):
                unit = axis.scale / axis.feature.cost if self.norm == "cost" else axis.feature.scale or 1.0
                gaps.append(self.leaves.gap(j) / unit)
        return float(length(np.array([gaps]) ** (2 if self.norm == "l2" else 1), self.norm)[0])

    def told(self, block: list[Column], row: int, id_: int, bound: float) -> float:
        """A distance within which nothing passes, for `bound` in parts: by the borders themselves, not their edges.

        What passes has, in L-infinity, a part of at least the bound; otherwise every part may be off by its gap. Of
        moves into a level that the model takes for missing, or out of one, nothing is known but what they cost.
        """
        return min(self._told(block, row, id_, bound), float(self.unread[id_]) * (1 - _RELATIVE))

    def _told(self, block: list[Column], row: int, id_: int, bound: float) -> float:
        if self.norm != "linf" or not np.isfinite(bound):
            return max(0.0, self.distance(bound) * (1 - _RELATIVE) - self.slack)
        least = bound
        for j, name in enumerate(self.leaves.columns):
            axis = self.axes.get(name)
            if axis is None or axis.levels or _grid(axis):
                continue  # levels and places of a grid are told as they are
            cell = int(block[j].origin[row])
            parts = block[j].parts[row]
            far = (parts >= bound) & np.isfinite(parts)
            origin, unit = float(axis.origin[id_]), axis.feature.scale or 1.0
            # Those below the row's cell are crossed downward, the others upward; none crosses one at infinity.
            below, above = self.leaves.sharp(j)
            for borders, crossed, part in ((below, far[:-1], slice(0, cell)), (above, far[1:], slice(cell, None))):
                near = np.abs(borders[part] - origin)[crossed[part]]
                least = min(least, float(near.min(initial=np.inf)) / unit)
        return max(0.0, least * (1 - _RELATIVE))

    @property
    def additive(self) -> bool:
        """Whether a point costs the sum of its parts, not the largest."""
        return self.norm != "linf"

    def distance(self, cost: float) -> float:
        """A point's cost in the norm's own units."""
        return float(np.sqrt(cost)) if self.norm == "l2" else float(cost)

    def radius(self, distance: float) -> float:
        """A distance as what a point costs."""
        return distance * distance if self.norm == "l2" else distance

    def block(self, ids: Array) -> list[Column]:
        """Every column of the model for rows `ids`."""
        out = []
        for j, name in enumerate(self.leaves.columns):
            codes = self.codes[ids, j]
            axis = self.axes.get(name)
            fixed = self.leaves.cell(j, codes)
            if axis is None:
                out.append(self._fixed(fixed))
            elif axis.levels:
                out.append(self._listed(j, axis, ids, fixed))
            elif self.leaves.by_set[j]:
                raise CouldNotLook(f"{name} is a category to the model; list those that count in `categories:`")
            else:
                out.append(self._number(j, axis, ids, fixed))
        return out

    def _fixed(self, cells: Array) -> Column:
        return Column(cells, np.full((len(cells), 1), np.nan), np.zeros((len(cells), 1)))

    def _number(self, j: int, axis: Axis, ids: Array, cells: Array) -> Column:
        """The permitted value nearest to each row in every cell of a number."""
        step = _grid(axis)
        below, above = self._places(j, axis, step) if step else self._edges(j, axis)
        origin, cell = axis.origin[ids], np.arange(len(below))
        other: Array = np.where(cell < cells[:, None], below, above)
        values = np.where(cell == cells[:, None], origin[:, None], other)
        values[cells < 0] = np.nan  # a missing one stays missing
        there = self.leaves.cell(j, values) == cell
        parts = np.where(there, axis.parts(origin[:, None], values, self.norm), np.inf)
        parts[cell == cells[:, None]] = 0.0
        return Column(cells, values, parts)

    def _edges(self, j: int, axis: Axis) -> tuple[Array, Array]:
        """(the largest value of every cell, the smallest), within the range, shape (k,) each; NaN for none."""
        below, above = self.leaves.edges(j)
        return np.minimum(np.append(below, np.nan), axis.high), np.maximum(np.append(np.nan, above), axis.low)

    def _places(self, j: int, axis: Axis, step: float) -> tuple[Array, Array]:
        """The same of the places of a grid: they lie beside borders, or at the ends of the range.

        A border may lie at a place, or a hair beside it, and a place of `step: 0.1` is more than one float64 (19 times
        0.1 is not 1.9): each says itself on which side it is. Of those in one cell the one is taken that people write.
        """
        start = axis.start if axis.feature.step else 0.0
        known = np.concatenate([self.leaves.thresholds[j], [v for v in (axis.low, axis.high) if np.isfinite(v)]])
        with np.errstate(all="ignore"):
            counted = start + step * (np.round((known - start) / step)[:, None] + _beside(axis, step)).ravel()
        places = np.concatenate([counted, axis.spelled(counted), axis.respelled])
        if axis.integer:
            places = places[places == np.round(places)]
        places = np.unique(places[(places >= axis.low) & (places <= axis.high) & np.isfinite(places)])
        most, least = np.full((2, int(self.leaves.size[j])), np.nan)
        cell = self.leaves.cell(j, places)
        most[cell], least[cell[::-1]] = places, places[::-1]
        return self._spelled(j, axis, most), self._spelled(j, axis, least)

    def _spelled(self, j: int, axis: Axis, values: Array) -> Array:
        """Values of every cell as people write them, where that is in the same cell."""
        told = axis.spelled(values)
        return np.where(self.leaves.cell(j, told) == np.arange(len(values)), told, values)

    def _listed(self, j: int, axis: Axis, ids: Array, cells: Array) -> Column:
        """The cheapest permitted level in every cell or class of a listed column."""
        codes = self._codes(j, axis)
        at = self.leaves.cell(j, codes)
        origin = axis.origin[ids]
        places = np.arange(len(axis.levels), dtype=float)
        parts = axis.parts(origin[:, None], np.broadcast_to(places, (len(ids), len(places))), self.norm)
        # Cells know no way into a level that is read as missing, and none out of one.
        lost = np.isnan(codes) | (cells < 0)[:, None]
        least = np.where(lost, parts, np.inf).min(axis=1)
        self.unread[ids] = np.minimum(self.unread[ids], np.sqrt(least) if self.norm == "l2" else least)
        count = int(self.leaves.size[j])
        best, values = np.full((len(ids), count), np.inf), np.full((len(ids), count), np.nan)
        for level in np.flatnonzero(at >= 0).tolist():
            k = int(at[level])
            better = parts[:, level] < best[:, k]
            best[better, k], values[better, k] = parts[better, level], level
        known = np.flatnonzero(cells >= 0)
        best[known, cells[known]], values[known, cells[known]] = 0.0, np.nan
        if not self.leaves.by_set[j]:
            best = _rising(best, cells, axis.name)
        return Column(cells, values, best)

    def _codes(self, j: int, axis: Axis) -> Array:
        """The levels of an axis as the model's codes, NaN for one that it takes for a missing value."""
        return np.asarray(self.read(self.space.with_levels(axis))[:, j])

    def values(self, block: list[Column], row: int, point: Array, places: list[Array]) -> Array:
        """The codes (m,) of the space's axes for a point of the whole row; NaN where a value is kept."""
        out = np.full(len(self.space.axes), np.nan)
        for a, axis in enumerate(self.space.axes):
            if axis.name not in self.leaves.columns:
                continue
            j = self.leaves.columns.index(axis.name)
            cell, origin = int(places[j][point[j]]), int(block[j].origin[row])
            if 0 <= origin != cell:  # what is missing to the model stays as it is
                out[a] = block[j].values[row, cell]
        return out


def _grid(axis: Axis) -> float:
    """The step of a number that takes places of a grid only, 0 for any other."""
    return axis.feature.step or (1.0 if axis.integer else 0.0)


def _beside(axis: Axis, step: float) -> Array:
    """How many places on either side of a border hold the nearest ones: of whole numbers in steps of 0.1 it is every
    tenth place that counts. Raises CouldNotLook for steps that hardly ever are whole."""
    every = Fraction(str(step)).denominator if axis.integer else 1
    if every > _SPARSE:
        raise CouldNotLook(f"{axis.name} holds whole numbers, and its `step: {step}` is none; say `step: 1`")
    return np.arange(-2 * every, 2 * every + 1)


def _rising(parts: Array, cells: Array, name: str) -> Array:
    """The parts (n, k) if they do not fall away from the origin's cell. Raises CouldNotLook."""
    count = np.arange(parts.shape[1])
    for side in (-1, 1):
        there = np.where((count - cells[:, None]) * side >= 0, parts, np.nan)[:, ::side]
        seen = np.where(np.isfinite(there), there, np.nan)
        highest = np.fmax.accumulate(seen, axis=1)
        if (seen < highest - 1e-12).any():
            what = f"{name}: its order is not that of the numbers which the model reads"
            raise CouldNotLook(f"{what}; attack it with `access: label`")
    return parts


class Whole:
    """One row: which cells it may take, in order, and the conditions told in those."""

    def __init__(self, leaves: Leaves, block: list[Column], row: int, additive: bool) -> None:
        self.leaves, self.additive = leaves, additive
        self.places: list[Array] = []
        self.parts: list[Array] = []
        origin, missing = [], []
        for j, column in enumerate(block):
            cell = int(column.origin[row])
            missing.append(cell < 0)
            parts = column.parts[row]
            if cell < 0 or len(parts) == 1:
                places, parts = np.array([max(cell, 0)]), np.zeros(1)
            elif leaves.by_set[j]:
                order = np.argsort(parts, kind="stable")  # the origin, which costs nothing, comes first
                places = np.concatenate([[cell], order[(order != cell) & np.isfinite(parts[order])]])
                parts = parts[places]
            else:
                places = np.flatnonzero(np.isfinite(parts))
                parts = parts[places]
            self.places.append(places)
            self.parts.append(parts)
            origin.append(0 if leaves.by_set[j] or cell < 0 else int(np.searchsorted(places, cell)))
        self.origin, self.missing = np.array(origin), np.array(missing)

    def problem(self) -> Problem:
        """The problem of all points that are permitted."""
        leaves = self.leaves
        upto = [np.searchsorted(p, np.arange(int(n) + 1)) for p, n in zip(self.places, leaves.size, strict=True)]
        start = np.concatenate([[0], np.cumsum([len(u) for u in upto])])[:-1]
        flat = np.concatenate(upto).astype(np.int32)
        low = flat[start[leaves.column] + leaves.low]
        high = flat[start[leaves.column] + leaves.high + 1] - 1
        mask = leaves.mask
        for j in np.flatnonzero(leaves.by_set).tolist():
            mine = leaves.column == j
            mask = mask.copy()
            mask[mine] = _renumbered(leaves.mask[mine], self.places[j])
            low[mine], high[mine] = 0, len(self.places[j]) - 1
        if self.missing.any():
            gone = self.missing[leaves.column]
            low = np.where(gone, np.where(leaves.missing, 0, 1), low)
            high = np.where(gone, 0, high)
            mask = np.where(gone, leaves.missing.astype(np.uint64), mask)
        columns = np.arange(len(self.parts))
        return Problem(
            self.parts, self.origin, leaves.by_set, leaves.tree, leaves.value, leaves.leaf, leaves.column, low, high,
            mask, 0.0, additive=self.additive, axes=columns, shift=np.zeros(len(columns), dtype=np.int64),
        )  # fmt: skip


def _renumbered(masks: Array, places: Array) -> Array:
    """Masks over classes as masks over a row's candidates."""
    out = np.zeros(len(masks), dtype=np.uint64)
    for new, old in enumerate(places.tolist()):
        out |= ((masks >> np.uint64(old)) & _ONE) << np.uint64(new)
    return out
