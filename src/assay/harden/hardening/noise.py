"""Rows moved at random inside the feature contract, as far as an attack may go: the control of adversarial training."""

from __future__ import annotations

import numpy as np

from assay.attacks.space import Space, length
from assay.core.protocols import ArrowTable
from assay.core.protocols import FloatArray as Array
from assay.core.subject import Norm


def noisy(space: Space, norm: Norm, budget: float, seed: int) -> ArrowTable:
    """Every row of the space moved once: numbers to any side, one level in two, within the budget and the relations; a
    row for which the draw breaks anything stays as it is."""
    rng = np.random.default_rng([seed, 31])
    ids = np.arange(space.size)
    parts = len(space.axes)
    reach = {"linf": budget, "l2": budget / np.sqrt(parts), "l1": budget / parts, "cost": budget / parts}[norm]
    codes = np.full((space.size, parts), np.nan)
    for j, axis in enumerate(space.axes):
        if axis.levels:
            drawn = rng.integers(len(axis.levels), size=space.size).astype(float)
            drawn = np.where(rng.random(space.size) < 0.5, drawn, np.nan)
        else:
            unit = axis.scale / axis.feature.cost if norm == "cost" else axis.feature.scale or 1.0
            drawn = axis.origin + rng.uniform(-1, 1, space.size) * reach * unit
            drawn = np.clip(drawn, axis.low, axis.high)
            step = axis.feature.step or (1.0 if axis.integer else 0.0)
            if step:
                start = axis.start if axis.feature.step else 0.0
                drawn = start + step * np.round((drawn - start) / step)
        may = np.isfinite(axis.costs(axis.origin, drawn))
        codes[:, j] = np.where(may, drawn, np.nan)
    far = length(_parts(space, codes, norm), norm)
    codes[far > budget * (1 + 1e-9)] = np.nan
    table = space.moved(ids, codes)
    broken = ~space.valid(table)
    codes[broken] = np.nan
    return space.moved(ids, codes) if broken.any() else table


def _parts(space: Space, codes: Array, norm: Norm) -> Array:
    """What each move adds (n, m), nothing where a value is kept."""
    out = [
        np.where(np.isnan(codes[:, j]), 0.0, axis.parts(axis.origin, codes[:, j], norm))
        for j, axis in enumerate(space.axes)
    ]
    return np.column_stack(out)
