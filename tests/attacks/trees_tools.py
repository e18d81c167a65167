"""Small ensembles, models made of them, and the oracles that know the exact answer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from assay.adapters.ensembles.nodes import Nodes
from assay.adapters.ensembles.trees import Trees
from assay.adapters.predictor_base import BasePredictor
from assay.attacks.space import Norm, Space, length
from assay.core.subject import Contract, Feature


class Model(BasePredictor):
    """A predictor that answers with trees."""

    def __init__(self, trees: Trees, threshold: float = 0.5) -> None:
        super().__init__("trees")
        self._trees, self.threshold, self.features = trees, threshold, trees.columns

    def trees(self) -> Trees:
        return self._trees

    def _score(self, rows: Any) -> Any:
        return self._trees.scores(self._trees.margins(self._trees.read(rows)))


def matrix(columns: tuple[str, ...], levels: dict[str, tuple[Any, ...]]) -> Any:
    """How the columns become codes."""

    def read(rows: Any) -> Any:
        out = []
        for name in columns:
            values = rows.column(name).to_pylist()
            known = {v: float(i) for i, v in enumerate(levels.get(name, ()))}
            out.append([np.nan if v is None else known.get(v, np.nan) if known else float(v) for v in values])
        return np.array(out, dtype=float).T.reshape(rows.num_rows, len(columns))

    return read


def grown(
    seed: int, *, features: int = 3, count: int = 6, depth: int = 3, levels: int = 0, strict: bool = False,
    single: bool = False, grid: int = 9, votes: bool = False,
) -> Trees:  # fmt: skip
    """Random trees over x0, x1, … in [0, 1], thresholds on a grid; with `levels` the last column is a category. With
    `votes` each tree says 0 or 1 and the score is their mean, so that scores at the threshold itself are common."""
    rng = np.random.default_rng(seed)
    columns = tuple(f"x{j}" for j in range(features))
    words = {columns[-1]: tuple("abcdefghijklmnop"[:levels])} if levels else {}
    nodes = Nodes()

    def split(depth: int, rows: list[Any]) -> int:
        at = len(rows)
        rows.append(None)
        if depth == 0 or (at and rng.random() < 0.15):
            rows[at] = nodes.leaf(float(rng.integers(2)) / count if votes else float(rng.normal()))
            return at
        j = int(rng.integers(features))
        left, right = split(depth - 1, rows), split(depth - 1, rows)
        missing = bool(rng.random() < 0.5)
        if levels and j == features - 1:
            inside = rng.random(levels) < 0.5
            rows[at] = nodes.split(j, 0.0, left, right, missing, inside)
        else:
            rows[at] = nodes.split(j, float(rng.integers(1, grid) / grid), left, right, missing)
        return at

    for _ in range(count):
        rows: list[Any] = []
        split(depth, rows)
        nodes.tree(rows)
    return Trees(
        columns, matrix(columns, words), nodes.arrays(), link="identity" if votes else "logistic",
        strict=strict, single=single, sets=nodes.sets(), levels=words,
    )  # fmt: skip


def table(trees: Trees, rows: int, seed: int, *, holes: float = 0.0) -> Any:
    """Random rows; `holes` is the share of missing numbers."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for name in trees.columns:
        words = trees.levels.get(name)
        if words:
            columns[name] = pa.array([str(w) for w in rng.choice(np.array(words), rows)])
        else:
            values = np.round(rng.random(rows), 4)
            columns[name] = pa.array([None if rng.random() < holes else float(v) for v in values], pa.float64())
    return pa.table(columns)


def space(trees: Trees, rows: Any, features: dict[str, Feature] | None = None, **contract: Any) -> Space:
    """What may be changed: everything, beyond the data's range, unless a contract is given."""
    free = features is None and not contract
    facts = features or {name: Feature() for name in trees.columns}
    kinds = {name: "category" if name in trees.levels else "number" for name in trees.columns}
    whole = table(trees, 200, 99)
    return Space(rows, Contract(features=facts, free=free, **contract), whole, kinds, trees.columns)


def brute(model: Model, where: Space, row: int, norm: Norm) -> float:
    """The exact distance of a row: every cell of every column tried, at its nearest permitted value."""
    trees = model.trees()
    choices: list[list[tuple[float, float]]] = []
    for axis in where.axes:
        j = trees.columns.index(axis.name)
        origin = float(axis.origin[row])
        values = {origin}
        if axis.levels:
            values |= set(range(len(axis.levels)))
        elif not np.isnan(origin):
            for t in np.unique(trees.threshold[trees.feature == j]):
                near = float(np.float32(t))
                some = [t, np.nextafter(t, -1), np.nextafter(t, 2), near]
                some += [float(np.nextafter(np.float32(t), np.float32(s))) for s in (-1, 2)]
                values |= set(some)
                if axis.feature.step or axis.integer:
                    step = axis.feature.step or 1.0
                    first = axis.start if axis.feature.step else 0.0
                    at = (t - first) / step
                    values |= {
                        first + step * float(k) for k in (np.floor(at), np.ceil(at), np.floor(at) + 1, np.ceil(at) - 1)
                    }
        parts = axis.parts(np.full(len(values), origin), np.array(sorted(values)), norm)
        options = [(v, float(p)) for v, p in zip(sorted(values), parts, strict=True) if np.isfinite(p)]
        choices.append([(np.nan, 0.0), *options])
    points = list(itertools.product(*choices))
    codes = np.array([[v for v, _ in p] for p in points])
    cost = length(np.array([[c for _, c in p] for p in points]), norm)
    order = np.argsort(cost, kind="stable")
    for at in range(0, len(order), 4096):
        part = order[at : at + 4096]
        built = where.moved(np.full(len(part), row), codes[part])
        passes = ~model.flagged(built) & where.valid(built)
        if passes.any():
            return float(cost[part[int(np.argmax(passes))]])
    return float("inf")
