"""Gathers the nodes of trees, one after the other, into the arrays that `Trees` takes."""

from __future__ import annotations

import numpy as np

from assay.core.protocols import FloatArray

Node = tuple[int, float, int, int, bool, int, float]


class Nodes:
    """A builder: each tree is a list of nodes, children counted from 0 inside it, the root first."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._roots: list[int] = []
        self._sets: list[FloatArray] = []

    def leaf(self, value: float) -> Node:
        """A leaf."""
        return (-1, 0.0, -1, -1, False, -1, value)

    def split(
        self,
        feature: int,
        threshold: float,
        left: int,
        right: int,
        missing_left: bool,
        inside: FloatArray | None = None,
    ) -> Node:
        """A split, by a threshold or (`inside`, bool (k,)) by the codes that go left."""
        place = -1
        if inside is not None:
            place = len(self._sets)
            self._sets.append(inside)
        return (feature, threshold, left, right, missing_left, place, 0.0)

    def tree(self, nodes: list[Node]) -> None:
        """Add a tree."""
        start = len(self._nodes)
        self._roots.append(start)
        self._nodes += [
            (f, t, left + start, right + start, m, s, v) if f >= 0 else (f, t, -1, -1, m, s, v)
            for f, t, left, right, m, s, v in nodes
        ]

    def arrays(self, times: float = 1.0) -> dict[str, FloatArray]:
        """The columns of the table, leaf values multiplied by `times`."""
        names = ("feature", "threshold", "left", "right", "missing_left", "set_of", "value")
        columns = dict(zip(names, map(np.array, zip(*self._nodes, strict=True)), strict=True))
        return {**columns, "value": columns["value"] * times, "roots": np.array(self._roots)}

    def sets(self) -> FloatArray:
        """All sets as one array (s, k), bool."""
        wide = max((len(s) for s in self._sets), default=1)
        return np.array([np.pad(s, (0, wide - len(s))) for s in self._sets], dtype=bool).reshape(-1, wide)
