"""What a model would say of given rows if a few of their columns were set: read out of trees, or of a network."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.adapters.networks.network import Network
from assay.attacks.trees.leaves import Leaves
from assay.core.errors import CouldNotLook

Array = Any
Rule = tuple[tuple[int, int], ...]
"""(column, cell) pairs, by column: these columns are set to the values of these cells."""
ROWS = 64
"""Rows that are asked about at once: one bit of a word each."""
MOST_VALUES = 16
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
MOST_LEAVES, LEAST_TREES = 20_000, 16
_CHUNK = 200_000
_BITS = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.float64)


class TreeBoard:
    """Trees whose leaves are asked, all rows at once: each condition is one word of bits, a bit a row."""

    def __init__(self, trees: Trees, known: Array | None) -> None:
        self.leaves, self.columns, self.base = Leaves(trees), trees.columns, trees.base
        leaves = self.leaves
        self.listed = leaves.by_set
        self.starts = np.flatnonzero(np.diff(leaves.leaf, prepend=-1) != 0)
        self.ids = leaves.leaf[self.starts]
        self.value = leaves.value[self.ids]
        alone = np.ones(len(leaves.value), dtype=bool)
        alone[self.ids] = False
        self.base += float(leaves.value[alone].sum())
        place = np.zeros(len(leaves.value), dtype=np.int64)
        place[self.ids] = np.arange(len(self.ids))
        self.of = [np.flatnonzero(leaves.column == j) for j in range(len(self.columns))]
        self.at = [place[leaves.leaf[of]] for of in self.of]
        self.values = [self._values(j, None if known is None else known[:, j]) for j in range(len(self.columns))]
        self._failing: dict[tuple[int, int], Array] = {}

    def cells(self, codes: Array) -> Array:
        """The cell of each code (n, d), -1 where it is missing."""
        return np.column_stack([self.leaves.cell(j, codes[:, j]) for j in range(len(self.columns))]).astype(np.int64)

    def start(self, codes: Array) -> Array:
        """Which of at most 64 rows meet each condition (c,), a bit a row."""
        cells = self.cells(codes)
        cells = cells[np.arange(ROWS) % len(cells)]
        out = np.empty(len(self.leaves.leaf), dtype=np.uint64)
        for at in range(0, len(out), _CHUNK):
            part = slice(at, at + _CHUNK)
            met = self._met(cells[:, self.leaves.column[part]], part)
            out[part] = np.ascontiguousarray(np.packbits(met, axis=0, bitorder="little").T).view(np.uint64)[:, 0]
        return out

    def margins(self, start: Array, rules: Sequence[Rule], planes: int = 8) -> Array:
        """The margin of the first 8 x `planes` rows with each rule's values, (rules, rows)."""
        out = np.empty((len(rules), 8 * planes))
        alike: dict[tuple[int, ...], list[int]] = {}
        for i, rule in enumerate(rules):
            alike.setdefault(tuple(j for j, _ in rule), []).append(i)
        for columns, members in alike.items():
            masks = start.copy()
            for j in columns:
                masks[self.of[j]] = _ALL
            rest = np.bitwise_and.reduceat(masks, self.starts) if len(masks) else masks
            for i in members:
                mine = rest.copy()
                for j, cell in rules[i]:
                    mine[self._fails(j, cell)] = 0
                seen = mine.view(np.uint8).reshape(-1, 8)
                for p in range(planes):
                    sums = np.bincount(seen[:, p], weights=self.value, minlength=256)
                    out[i, 8 * p : 8 * p + 8] = sums @ _BITS
        return out + self.base

    def _met(self, cells: Array, part: Any) -> Array:
        """Whether cells (…, c) meet the conditions of `part`."""
        leaves = self.leaves
        met = (cells >= leaves.low[part]) & (cells <= leaves.high[part])
        by_set = leaves.by_set[leaves.column[part]]
        if by_set.any():
            bit = (leaves.mask[part] >> np.maximum(cells, 0).astype(np.uint64)) & np.uint64(1)
            met = np.where(by_set, bit.astype(bool), met)
        return np.where(cells < 0, leaves.missing[part], met)

    def _fails(self, j: int, cell: int) -> Array:
        """The leaves that no row with this value reaches."""
        found = self._failing.get((j, cell))
        if found is None:
            of = self.of[j]
            found = self.at[j][~self._met(np.full(len(of), cell), of)]
            if len(self._failing) * len(self.ids) < 20_000_000:
                self._failing[j, cell] = found
        return found

    def _values(self, j: int, known: Array | None) -> Array:
        """A code in each cell of column j: one that rows hold, else one between the borders."""
        size = int(self.leaves.size[j])
        out = np.full(size, np.nan)
        held = np.zeros(0) if known is None else known[~np.isnan(known)]
        if self.listed[j]:
            named = len(self.leaves.trees.levels.get(self.columns[j], ())) or len(self.leaves.classes[j])
            codes = np.arange(max(1, min(named, len(self.leaves.classes[j]) - 1)), dtype=float)
            out[self.leaves.cell(j, codes[::-1])] = codes[::-1]
            held = held[(held >= 0) & (held < len(codes))]
        else:
            self._between(j, held, known is not None, out)
        cells = self.leaves.cell(j, held).astype(np.int64)
        order = np.lexsort((held, cells))
        ends = np.searchsorted(cells[order], np.arange(size + 1))
        for c in np.flatnonzero(np.diff(ends)):  # the middle one of those that rows hold
            out[c] = held[order[(ends[c] + ends[c + 1] - 1) // 2]]
        return out

    def _between(self, j: int, held: Array, rows: bool, out: Array) -> None:
        borders = self.leaves.thresholds[j]
        if not len(borders):
            return
        far = (borders[-1] - borders[0]) / 50 or max(1.0, abs(float(borders[0])) / 50)
        ends = np.concatenate([[borders[0] - far], borders, [borders[-1] + far]])
        middle = (ends[1:] + ends[:-1]) / 2
        whole = len(held) > 0 and bool((held == np.round(held)).all())
        if whole:
            middle = np.floor(ends[1:])
        fits = self.leaves.cell(j, middle) == np.arange(len(out))
        if rows:
            fits &= (middle >= held.min(initial=np.inf)) & (middle <= held.max(initial=-np.inf))
        out[fits] = middle[fits]


def board_of(read: Trees | Network, known: Array | None) -> Board:
    """The board of a model that was read out, with the values that `known` rows (m, d) hold.

    Of a large forest that is a mean of its trees, a part of them is looked at. Raises CouldNotLook for a network
    without rows.
    """
    if isinstance(read, Trees):
        return TreeBoard(_part(read), known)
    if known is None or not len(known):
        raise CouldNotLook("no rows that the network reads are declared, and values of its inputs cannot be guessed")
    return NetworkBoard(read, known)


def _part(trees: Trees) -> Trees:
    """As many trees of a forest as can be looked at, weighted for all; anything else as it is."""
    leaves, count = int((trees.feature < 0).sum()), len(trees.roots)
    if trees.link != "identity" or leaves <= MOST_LEAVES or count <= LEAST_TREES:
        return trees
    few = max(LEAST_TREES, count * MOST_LEAVES // leaves)
    chosen = np.linspace(0, count - 1, few).astype(int)
    ends = np.append(trees.roots[1:], len(trees.feature))
    keep = np.zeros(len(trees.feature), dtype=bool)
    for t in chosen.tolist():
        keep[trees.roots[t] : ends[t]] = True
    new = np.cumsum(keep) - 1
    part = copy(trees)
    for name in ("feature", "threshold", "missing_left", "set_of"):
        setattr(part, name, getattr(trees, name)[keep])
    part.left, part.right = (np.where(part.feature >= 0, new[getattr(trees, s)[keep]], -1) for s in ("left", "right"))
    part.value = trees.value[keep] * (count / few)
    part.roots = new[trees.roots[chosen]]
    part.counts = None if trees.counts is None else trees.counts[keep]
    return part


class NetworkBoard:
    """A network whose columns are set to values that rows hold, spread evenly over them."""

    def __init__(self, network: Network, known: Array) -> None:
        self.network, self.columns = network, network.columns
        named = np.flatnonzero(~np.isnan(network.inputs.level))
        self.listed = np.zeros(len(self.columns), dtype=bool)
        self.listed[network.inputs.column[named]] = True
        self.values = [self._values(j, known[:, j]) for j in range(len(self.columns))]

    def _values(self, j: int, known: Array) -> Array:
        held, count = np.unique(known[~np.isnan(known)], return_counts=True)
        if self.listed[j]:
            return np.sort(held[np.argsort(-count, kind="stable")[: 2 * MOST_VALUES]])
        if len(held) <= MOST_VALUES:
            return held
        many = np.repeat(held, count)
        spread = np.quantile(many, np.linspace(0, 1, MOST_VALUES // 2), method="nearest")
        return np.unique(np.concatenate([spread, held[np.linspace(0, len(held) - 1, MOST_VALUES // 2).astype(int)]]))

    def cells(self, codes: Array) -> Array:
        """The cell of each code (n, d): the nearest value, of a category its own; -1 where it is missing or another."""
        out = np.full(codes.shape, -1, dtype=np.int64)
        for j, values in enumerate(self.values):
            there = ~np.isnan(codes[:, j])
            if not len(values):
                continue
            mine = codes[there, j]
            found = np.searchsorted((values[1:] + values[:-1]) / 2, mine)
            out[there, j] = np.where(values[found] == mine, found, -1) if self.listed[j] else found
        return out

    def start(self, codes: Array) -> Array:
        """The rows themselves, as many as are asked about at once."""
        return codes[np.arange(ROWS) % len(codes)]

    def margins(self, start: Array, rules: Sequence[Rule], planes: int = 8) -> Array:
        """The margin of the first 8 x `planes` rows with each rule's values, (rules, rows)."""
        rows = start[: 8 * planes]
        out = np.empty((len(rules), len(rows)))
        step = max(1, 1_000_000 // max(1, rows.size))
        for at in range(0, len(rules), step):
            part = rules[at : at + step]
            many = np.repeat(rows[None], len(part), axis=0)
            for i, rule in enumerate(part):
                for j, cell in rule:
                    many[i, :, j] = self.values[j][cell]
            out[at : at + step] = self.network.margins(many.reshape(-1, rows.shape[1])).reshape(len(part), -1)
        return out


Board = TreeBoard | NetworkBoard
"""A model whose columns have cells. `values[j]` (k,) is the code that stands for each cell of column j, NaN where none
can be set; `listed` (d,) tells columns of categories, whose cells have no order."""
