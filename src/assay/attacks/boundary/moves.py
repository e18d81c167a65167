"""From wished values to permitted ones: ranges, directions, grids and levels, many rows at once."""

from __future__ import annotations

import numpy as np

from assay.attacks.space import PLACE, Array, Space, length
from assay.core.subject import Norm

_NARROW = {"halffloat": np.float16, "float": np.float32}


class Moves:
    """What may be written into the n rows of a space, as codes (q, m) of its axes; NaN keeps a value.

    `origin` (n, m) are the rows' own codes, `low` and `high` (n, m) the ends of what is permitted, `unit` (m,) how much
    of a code is 1 in the norm, `listed` (m,) whether an axis is categories without order, `levels` (m,) how many.
    """

    def __init__(self, space: Space, norm: Norm) -> None:
        axes = space.axes
        self.space, self.norm = space, norm
        self.origin = np.column_stack([a.origin for a in axes])
        self.unit = np.array([1.0 if a.levels else a.feature.scale or 1.0 for a in axes])
        self.listed = np.array([not a.ordered for a in axes])
        self.levels = np.array([len(a.levels) for a in axes])
        grids = [(0.0, 1.0) if a.levels else a.grid for a in axes]
        self.start, self.step = np.array(grids).T
        self._decimal = [(j, a) for j, a in enumerate(axes) if a.feature.step and not a.levels]
        types = [str(space.rows.schema.field(a.name).type) for a in axes]
        self._narrow = [(j, _NARROW[t]) for j, t in enumerate(types) if t in _NARROW]
        low = np.array([0.0 if a.levels else a.low for a in axes])
        high = np.array([len(a.levels) - 1.0 if a.levels else a.high for a in axes])
        ways = np.array([a.feature.direction if a.ordered else "both" for a in axes])
        self.low = np.where(ways == "up", np.fmax(self.origin, low), low)
        self.high = np.where(ways == "down", np.fmin(self.origin, high), high)
        unplaced = (self.levels > 0) & ~self.listed & (self.origin < 0)
        self.movable = ~np.isnan(self.origin) & ~unplaced & (self.low <= self.high)
        self.movable &= (self.low != self.origin) | (self.high != self.origin)

    def land(self, ids: Array, wished: Array, radius: Array | None = None) -> Array:
        """The permitted codes between the rows and the wished ones (q, m); NaN where there is none: a row's own value
        may lie beyond its range, or between two places, and is kept until one is wished that may be written.

        With `radius` (q,) no value moves further than that.
        """
        origin, wished = self.origin[ids], np.asarray(wished, dtype=float)
        if radius is not None:
            far = radius[:, None] * self.unit
            clipped = np.clip(wished, origin - far, origin + far)
            wished = np.where(self.listed, np.where(radius[:, None] >= 1, wished, np.nan), clipped)
        codes = np.clip(wished, self.low[ids], self.high[ids])
        gridded = np.flatnonzero(self.step > 0)
        if len(gridded):
            step, start = self.step[gridded], self.start[gridded]
            places = (codes[:, gridded] - start) / step
            inward = np.where(codes[:, gridded] > origin[:, gridded], np.floor(places + 1e-9), np.ceil(places - 1e-9))
            inward = np.where(self.listed[gridded], np.round(places), inward)
            codes[:, gridded] = start + step * inward
        for j, axis in self._decimal:
            codes[:, j] = axis.spelled(codes[:, j])
        way = np.sign(wished - origin)
        between = ((codes - origin) * way > 0) & ((codes - wished) * way <= PLACE * self.step)
        between &= (codes >= self.low[ids]) & (codes <= self.high[ids])
        for j, narrow in self._narrow:
            codes[:, j] = codes[:, j].astype(narrow)
        return np.where(self.movable[ids] & (codes != origin) & (self.listed | between), codes, np.nan)

    def permitted(self, ids: Array, codes: Array) -> Array:
        """The codes with those that an axis does not permit kept as they were: `Axis` alone decides."""
        return np.where(np.isfinite(self.parts(ids, codes)), codes, np.nan)

    def parts(self, ids: Array, codes: Array) -> Array:
        """What each move adds in the norm, (q, m), 0 where a value is kept."""
        out = np.zeros(codes.shape)
        for j, axis in enumerate(self.space.axes):
            moved = np.flatnonzero(~np.isnan(codes[:, j]))
            if len(moved):
                out[moved, j] = axis.parts(self.origin[ids[moved], j], codes[moved, j], self.norm)
        return out

    def distance(self, ids: Array, codes: Array) -> Array:
        """How far codes (q, m) are from their rows, (q,)."""
        return length(self.parts(ids, codes), self.norm)

    def offsets(self, ids: Array, codes: Array) -> Array:
        """The moves (q, m) in units of the norm, signed; 0 where a value is kept; of listed categories 1 or 0."""
        move = np.nan_to_num((codes - self.origin[ids]) / self.unit)
        return np.where(self.listed, move != 0, move)

    def filled(self, ids: Array, codes: Array) -> Array:
        """Codes with the rows' own where they are kept."""
        return np.where(np.isnan(codes), self.origin[ids], codes)
