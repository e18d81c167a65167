"""An additive ensemble of trees as arrays, whatever library grew it, and the proof that it answers as the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Literal, Protocol

import numpy as np

from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray, Predictor

Link = Literal["identity", "logistic"]
PARITY = 1e-5
_CELLS = 4_000_000


class Trees:
    """Every node of every tree in one table; a row's margin is `base` plus the value of its leaf in each tree.

    Nodes (m,): `feature` is a place in `columns`, -1 at a leaf; a row goes left where its value is below `threshold`
    (`strict`) or not above it, a missing one where `missing_left` says so. Where `set_of` is not -1, it goes left where
    its code is in that row of `sets` (s, k), bool. `value` counts at leaves. `roots` (t,) are the first nodes.
    `counts` (m,) are the training rows that came to each node, None where the model does not tell, NaN at nodes that
    were added to it.
    The score, `link` of the margin, rises with it; `single` models read their inputs as float32, `short` ones (all that
    are single, too) add their leaves in it; `unordered` ones add them in an order that the machine's threads decide, so
    that of a sum within rounding of the threshold nobody can say on which side it falls. `read` turns rows into codes
    (n, d) as the model sees them; `levels` are the categories whose place is the code.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        read: Callable[[ArrowTable], FloatArray],
        nodes: dict[str, FloatArray],
        *,
        base: float = 0.0,
        link: Link = "identity",
        strict: bool = False,
        single: bool = False,
        short: bool = False,
        unordered: bool = False,
        sets: FloatArray | None = None,
        levels: dict[str, tuple[object, ...]] | None = None,
    ) -> None:
        self.columns, self.read = columns, read
        self.feature = np.asarray(nodes["feature"], dtype=np.int32)
        self.threshold = np.asarray(nodes["threshold"], dtype=np.float64)
        self.left, self.right = (np.asarray(nodes[k], dtype=np.int32) for k in ("left", "right"))
        self.missing_left = np.asarray(nodes["missing_left"], dtype=bool)
        self.value = np.asarray(nodes["value"], dtype=np.float64)
        self.roots = np.asarray(nodes["roots"], dtype=np.int32)
        none = np.full(len(self.feature), -1)
        self.set_of = np.asarray(nodes.get("set_of", none), dtype=np.int32)
        self.sets = np.zeros((0, 1), dtype=bool) if sets is None else np.asarray(sets, dtype=bool)
        self.base, self.link, self.strict, self.single = float(base), link, strict, single
        self.short, self.unordered = short or single, unordered
        self.levels = levels or {}
        self.counts = self._counted(nodes.get("counts"))

    def _counted(self, told: FloatArray | None) -> FloatArray | None:
        """The rows that came to each node as the model tells them, None where no training can have left such counts."""
        if told is None:
            return None
        counts = np.asarray(told, dtype=np.float64)
        inner = self.feature >= 0
        if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts[self.roots] > 0).all()):
            return None
        both = counts[self.left[inner]] + counts[self.right[inner]]
        return counts if (both == counts[inner]).all() else None

    @property
    def categorical(self) -> frozenset[str]:
        """The columns that are split by sets of categories."""
        used = np.unique(self.feature[(self.set_of >= 0) & (self.feature >= 0)])
        return frozenset(self.columns[j] for j in used.tolist())

    def grown(self, nodes: dict[str, FloatArray], sets: FloatArray) -> Trees:
        """These trees and more, as `Nodes` gathers them."""
        more = copy(self)
        count, known = len(self.feature), len(self.sets)
        joined = {name: np.concatenate([getattr(self, name), np.asarray(new)]) for name, new in nodes.items()}
        for name in ("left", "right"):
            joined[name][count:] += np.where(joined["feature"][count:] >= 0, count, 0).astype(np.int32)
        joined["roots"][len(self.roots) :] += count
        joined["set_of"][count:] += np.where(joined["set_of"][count:] >= 0, known, 0).astype(np.int32)
        for name, values in joined.items():
            setattr(more, name, values.astype(getattr(self, name).dtype))
        wide = max(self.sets.shape[1], sets.shape[1])
        both = [np.pad(s, ((0, 0), (0, wide - s.shape[1]))) for s in (self.sets, sets)]
        more.sets = np.concatenate(both).astype(bool)
        if self.counts is not None:
            more.counts = np.append(self.counts, np.full(len(more.feature) - count, np.nan))
        return more

    def goes_left(self, nodes: FloatArray, codes: FloatArray) -> FloatArray:
        """Whether a value goes left at a node, bool; both of one shape."""
        at = self.threshold[nodes]
        with np.errstate(invalid="ignore", over="ignore"):
            x = codes.astype(np.float32).astype(np.float64) if self.single else codes
            left = (x < at) if self.strict else (x <= at)
            split_by_set = self.set_of[nodes] >= 0
            if split_by_set.any():
                known = (x >= 0) & (x < self.sets.shape[1])
                inside = self.sets[self.set_of[nodes], np.where(known, x, 0).astype(np.int64)] & known
                left = np.where(split_by_set, inside, left)
        return np.where(np.isnan(x), self.missing_left[nodes], left)

    def margins(self, codes: FloatArray) -> FloatArray:
        """The margin of each row of codes (n, d), shape (n,)."""
        step = max(1, _CELLS // max(1, len(self.roots)))
        parts = [self._margins(codes[at : at + step]) for at in range(0, len(codes), step)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _margins(self, codes: FloatArray) -> FloatArray:
        return self.base + self.value[self.leaves(codes)].sum(axis=1)

    def leaves(self, codes: FloatArray) -> FloatArray:
        """The node at which each row of codes (n, d) ends in each tree, shape (n, t)."""
        node = np.broadcast_to(self.roots, (len(codes), len(self.roots))).copy()
        while True:
            inner = self.feature[node] >= 0
            if not inner.any():
                return node
            at, rows = node[inner], np.nonzero(inner)[0]
            left = self.goes_left(at, codes[rows, self.feature[at]])
            node[inner] = np.where(left, self.left[at], self.right[at])

    def came(self, codes: FloatArray) -> FloatArray:
        """How many rows of codes (n, d) come to each node, shape (m,)."""
        out = np.zeros(len(self.feature))
        step = max(1, _CELLS // max(1, len(self.roots)))
        for at in range(0, len(codes), step):
            out += np.bincount(self.leaves(codes[at : at + step]).ravel(), minlength=len(out))
        levels, here = [], self.roots
        while len(here):
            inner = here[self.feature[here] >= 0]
            levels.append(inner)
            here = np.concatenate([self.left[inner], self.right[inner]])
        for inner in reversed(levels):
            out[inner] = out[self.left[inner]] + out[self.right[inner]]
        return out

    def scores(self, margins: FloatArray) -> FloatArray:
        """What the model scores for margins (n,)."""
        if self.link == "identity":
            return margins
        return 1.0 / (1.0 + np.exp(-np.clip(margins, -700, 700)))

    def rounding(self, threshold: float, *, surely: bool = False) -> float:
        """How far the model's own margin may lie from ours, and its score from the threshold told as a margin.

        Sums in another order, float32 where the model computes in it, and the rounding of the score itself; `surely`
        in the worst case, where every addition of n trees rounds the same way (Higham 2002, n units of the sum).
        """
        unit = 2.0**-22 if self.short else 2.0**-48
        if surely:
            unit = max(unit, len(self.roots) * (2.0**-24 if self.short else 2.0**-53))
        ends = np.append(self.roots[1:], len(self.value))
        size = sum(float(np.abs(self.value[a:b]).max(initial=0.0)) for a, b in zip(self.roots, ends, strict=True))
        steep = threshold * (1.0 - threshold) if self.link == "logistic" and 0.0 < threshold < 1.0 else 1.0
        return unit * (abs(self.base) + size) + unit * max(1.0, abs(threshold)) / steep

    def least(self, threshold: float) -> float:
        """The margin from which a score is at or above `threshold`; infinite where no score, or every one, is."""
        if self.link == "identity":
            return threshold
        if not 0.0 < threshold < 1.0:
            return -math.inf if threshold <= 0.0 else math.inf
        return math.log(threshold / (1.0 - threshold))


class ReadOut(Protocol):
    """A model as data: how rows become codes, codes margins, and margins scores."""

    read: Callable[[ArrowTable], FloatArray]

    def margins(self, codes: FloatArray) -> FloatArray:
        """The margin of each row of codes (n, d), shape (n,)."""

    def scores(self, margins: FloatArray) -> FloatArray:
        """What the model scores for margins (n,)."""


def require_parity(trees: ReadOut, predictor: Predictor, rows: ArrowTable) -> float:
    """The largest difference between the scores of the model and of what was read out of it, over `rows` (n > 0).

    Raises CouldNotLook where one is above 1e-5: what was read out of the model is then not what the model computes.
    """
    real = predictor.scores(rows)
    mine = trees.scores(trees.margins(trees.read(rows)))
    apart = np.abs(real - mine) / np.maximum(1.0, np.abs(real))
    worst = float(np.max(apart, initial=0.0))
    if not worst <= PARITY:
        what = f"what was read out of it scores {int((apart > PARITY).sum())} of {rows.num_rows} rows differently"
        raise CouldNotLook(f"{what} (by up to {worst:.2g}); attack it with `access: label`")
    return worst
