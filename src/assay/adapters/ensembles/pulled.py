"""Trees behind scalers, imputers and encoders, told in the columns that the model is given.

Nothing of a step's arithmetic is copied here: the steps themselves are asked. Where a split falls on a derived column
that rises with one column of the data, the last float that goes left is found by bisection over floats; where it tells
levels of a column apart, every level, an unknown one and a missing one are sent through.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.encode import numbers
from assay.adapters.ensembles.trees import Trees
from assay.adapters.extras import library
from assay.adapters.predictor_base import require_numeric
from assay.adapters.sandbox import NotHeld
from assay.adapters.values import canonical_text, listed
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

_FARTHEST = float(np.finfo(np.float32).max)
_NOWHERE = "assay: no level is called this"
_ROWS = 20_000


Reach = dict[int, tuple[float, float]]


class Derived(NamedTuple):
    """A column that the trees read: it rises with column `place` of the data, or is decided by which of `levels` that
    is (any other one is unknown)."""

    place: int
    levels: tuple[Any, ...] | None = None


def pulled(
    inner: Trees,
    behind: list[Derived],
    columns: tuple[str, ...],
    derive: Callable[[ArrowTable], FloatArray],
    where: str,
    *,
    seen: dict[int, tuple[Any, ...]] | None = None,
    reach: Reach | None = None,
    as_words: frozenset[str] = frozenset(),
    cut: frozenset[str] = frozenset(),
) -> Trees:
    """`inner`, which reads derived columns (`behind`, one each), as trees over the `columns` of the data it reads.

    `derive` gives the derived columns (n, d) of a table of `columns`, of which some must have levels that are
    `seen`. `reach` are the least and the greatest number of
    columns that do not take every float32, by place; in columns `as_words` numbers are read as their plain spelling, in
    columns `cut` after what is behind their point is cut off.
    Raises CouldNotLook where a column cannot be told as thresholds or as levels.
    """
    return _Pull(inner, behind, columns, derive, where, seen or {}, reach or {}, as_words, cut).trees()


class _Pull:
    def __init__(
        self,
        inner: Trees,
        behind: list[Derived],
        columns: tuple[str, ...],
        derive: Callable[[ArrowTable], FloatArray],
        where: str,
        seen: dict[int, tuple[Any, ...]],
        reach: Reach,
        as_words: frozenset[str],
        cut: frozenset[str],
    ) -> None:
        self.seen, self.reach, self.as_words, self.cut = seen, reach, as_words, cut
        self.inner, self.columns, self.derive, self.where = inner, columns, derive, where
        self.place = np.array([d.place for d in behind], dtype=np.int64)
        self.splits = np.flatnonzero(inner.feature >= 0)
        self.source = self.place[inner.feature[self.splits]] if len(self.splits) else np.zeros(0, dtype=np.int64)
        self.levels = self._levels(behind)
        split_key = (inner.feature[self.splits], inner.threshold[self.splits], inner.set_of[self.splits])
        keys = np.column_stack([*split_key, inner.missing_left[self.splits]]).astype(float)
        _, first, self.key = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        self.key = self.key.reshape(-1)
        # One split stands for all that ask the same.
        self.asks, self.asked = self.splits[first], self.source[first]
        self.threshold = np.zeros(len(first))
        self.missing = np.zeros(len(first), dtype=bool)
        self.sets: dict[int, FloatArray] = {}

    def _levels(self, behind: list[Derived]) -> dict[int, tuple[Any, ...]]:
        """The levels of each column that is told by levels. Raises CouldNotLook for one that is also told by size."""
        levels: dict[int, dict[Any, None]] = {}
        for derived in behind:
            if derived.levels is not None:
                levels.setdefault(derived.place, {}).update(dict.fromkeys(derived.levels))
        used = {behind[j] for j in np.unique(self.inner.feature[self.splits]).tolist()}
        by_size = {d.place for d in used if d.levels is None}
        if both := by_size & {d.place for d in used if d.levels is not None}:
            name = self.columns[min(both)]
            raise CouldNotLook(
                f"{self.where}: reads {name} as a number and as a category; attack it with `access: label`"
            )
        return {place: tuple(found) for place, found in levels.items() if place not in by_size}

    def trees(self) -> Trees:
        """The trees over the columns that any split comes from."""
        self._by_size()
        self._by_level()
        used = np.unique(self.source).tolist()
        number = np.full(len(self.columns) + 1, -1)
        number[used] = np.arange(len(used))
        inner = self.inner
        wide = 1 + max((len(self.levels[p]) for p in used if p in self.levels), default=0)
        sets = np.zeros((len(self.sets), wide), dtype=bool)
        row = np.full(len(self.asks), -1)
        for place, (key, inside) in enumerate(self.sets.items()):
            sets[place, : len(inside)], row[key] = inside, place
        nodes = {"feature": np.full(len(inner.feature), -1), "threshold": np.zeros(len(inner.feature))}
        nodes |= {"missing_left": np.zeros(len(inner.feature), dtype=bool), "set_of": np.full(len(inner.feature), -1)}
        if len(self.splits):
            nodes["feature"][self.splits] = number[self.source]
            nodes["threshold"][self.splits] = self.threshold[self.key]
            nodes["missing_left"][self.splits] = self.missing[self.key]
            nodes["set_of"][self.splits] = row[self.key]
        nodes |= {name: getattr(inner, name) for name in ("left", "right", "value", "roots")}
        if inner.counts is not None:
            nodes["counts"] = inner.counts
        names = tuple(self.columns[p] for p in used)
        levels = {self.columns[p]: self.levels[p] for p in used if p in self.levels}
        return Trees(
            names,
            Reader(names, levels, self.where, self.as_words, self.inner.single, self.cut),
            nodes,
            base=inner.base,
            link=inner.link,
            short=inner.short,
            unordered=inner.unordered,
            sets=sets,
            levels=levels,
        )

    def _by_size(self) -> None:
        """Thresholds and the way of missing values, of splits on columns that are told by size."""
        mine = np.flatnonzero(~np.isin(self.asked, list(self.levels)))
        if not len(mine):
            return
        if (self.inner.set_of[self.asks[mine]] >= 0).any():
            raise CouldNotLook(f"{self.where}: splits a number by sets, which cannot be read exactly here")
        _, at = _within(self.asked[mine])
        ends = np.array([self.reach.get(p, (-_FARTHEST, _FARTHEST)) for p in self.asked[mine].tolist()])
        low, high = _order(ends[:, 0].copy()), _order(ends[:, 1].copy())
        first, last = (self._goes(mine, at, _float(end)) for end in (low, high))
        if (last & ~first).any():
            raise CouldNotLook(f"{self.where}: a column before its trees falls as a number rises")
        while True:
            # Halves are added apart: the sum of two places would leave 64 bits.
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            if ((low + 1 >= high) | (first == last)).all():
                break
            left = self._goes(mine, at, _float(middle))
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        border = np.where(first & last, np.finfo(np.float64).max, np.where(first, _float(low), -np.inf))
        self.threshold[mine] = border
        self.missing[mine] = self._sent(mine, None)

    def _goes(self, mine: FloatArray, at: FloatArray, values: FloatArray) -> FloatArray:
        """Whether each split sends a value of its column left; `at` are rows in which no column has two of them."""
        count = int(at.max()) + 1
        out = np.zeros(len(mine), dtype=bool)
        for start in range(0, count, _ROWS):
            here = np.flatnonzero((at >= start) & (at < start + _ROWS))
            rows = min(_ROWS, count - start)
            table = {}
            for p in np.unique(self.asked[mine[here]]).tolist():
                table[p] = np.zeros(rows)
                chosen = here[self.asked[mine[here]] == p]
                table[p][at[chosen] - start] = values[chosen]
            found = self.derive(self._table(rows, table))
            nodes = self.asks[mine[here]]
            out[here] = self.inner.goes_left(nodes, found[at[here] - start, self.inner.feature[nodes]])
        return out

    def _sent(self, mine: FloatArray, value: Any) -> FloatArray:
        """Whether each split sends a value (None: a missing one, _NOWHERE: an unknown one) of its column left.

        False where the model's own steps refuse such a value.
        """
        out = np.zeros(len(mine), dtype=bool)
        places = np.unique(self.asked[mine]).tolist()
        for group in (places, *([p] for p in places)):
            try:
                found = self.derive(self._table(1, {p: self._odd(p, value) for p in group}))
            except NotHeld:  # what its steps make is not read at all
                raise
            except CouldNotLook:
                continue
            here = np.isin(self.asked[mine], group)
            nodes = self.asks[mine[here]]
            out[here] = self.inner.goes_left(nodes, found[0, self.inner.feature[nodes]])
            if group is places:
                break
        return out

    def _odd(self, place: int, value: Any) -> list[Any]:
        known = self.levels.get(place)
        if value is None or known is None:
            return [None]
        if any(isinstance(v, str) for v in known):
            return [_NOWHERE]
        return [max((float(v) for v in known), default=0.0) + 1.5]

    def _by_level(self) -> None:
        """Sets, and the way of missing values, of splits on columns that are told by levels."""
        mine = np.flatnonzero(np.isin(self.asked, list(self.levels)))
        if not len(mine):
            return
        places = np.unique(self.asked[mine]).tolist()
        rows = max(len(self.levels[p]) for p in places)
        if not rows:
            raise CouldNotLook(f"{self.where}: encodes a column of which it knows no category")
        table = {p: [*known, *([known[0]] * (rows - len(known)))] for p in places if (known := self.levels[p])}
        found = self.derive(self._table(rows, table))
        unknown = self._sent(mine, _NOWHERE)
        self.missing[mine] = self._sent(mine, None)
        for i, key in enumerate(mine.tolist()):
            node, known = self.asks[key], self.levels[int(self.asked[key])]
            values = found[: len(known), self.inner.feature[node]]
            inside = self.inner.goes_left(np.full(len(known), node), values)
            self.sets[key] = np.append(inside, unknown[i])

    def _table(self, rows: int, given: dict[int, Any]) -> ArrowTable:
        """A table of `rows`, with a usual value where none is given."""
        pa = library("pyarrow")
        out = {}
        for place, name in enumerate(self.columns):
            known = self.levels.get(place) or self.seen.get(place)
            kind = _arrow_type(known, self.where, name)
            values = given.get(place)
            if values is None:
                values = [known[0] if known else 0.0] * rows
            try:
                out[name] = pa.array(values, kind)
            except pa.ArrowInvalid:  # an unknown number among whole ones
                out[name] = pa.array(values, pa.float64())
        return pa.table(out)


class Reader:
    """Rows as codes (n, d): numbers as they are; of listed columns the place of the level, one beyond if unknown.

    In columns `as_words` numbers are read as their plain spelling, in columns `cut` without what is behind their point;
    `single`: numbers are told apart as float32.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        levels: dict[str, tuple[Any, ...]],
        where: str,
        as_words: frozenset[str] = frozenset(),
        single: bool = False,
        cut: frozenset[str] = frozenset(),
    ) -> None:
        self.columns, self.levels, self.where = columns, levels, where
        self.as_words, self.single, self.cut = as_words, single, cut

    def __call__(self, rows: ArrowTable) -> FloatArray:
        """The codes of an Arrow table. Raises CouldNotLook for texts where numbers are read."""
        require_numeric(self.where, rows, tuple(n for n in self.columns if n not in self.levels))
        out = np.empty((rows.num_rows, len(self.columns)), dtype=np.float64)
        for j, name in enumerate(self.columns):
            known = self.levels.get(name)
            out[:, j] = numbers(rows.column(name)) if known is None else self._coded(rows.column(name), known, name)
        return out

    def _coded(self, column: Any, levels: tuple[Any, ...], name: str) -> FloatArray:
        """The places of values among the levels, exactly as an encoder finds them: by equality."""
        encoded = column.combine_chunks().dictionary_encode()
        places = {self._same(level): float(i) for i, level in reversed(list(enumerate(levels)))}
        values = listed(encoded.dictionary)
        if name in self.as_words:
            values = [v if isinstance(v, str) else canonical_text(v) for v in values]
        missing = [v is None or v != v for v in values]
        if name in self.cut:  # as a float32 where that is what the model is given
            short = [v if m else self._same(v) for v, m in zip(values, missing, strict=True)]
            values = [math.trunc(v) if isinstance(v, float) and math.isfinite(v) else v for v in short]
        unknown = float(len(levels))
        found = [np.nan if m else places.get(self._same(v), unknown) for v, m in zip(values, missing, strict=True)]
        indices = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        return np.array([*found, np.nan], dtype=np.float64)[indices]

    def _same(self, value: Any) -> Any:
        return float(np.float32(value)) if self.single and isinstance(value, int | float) else value


def _arrow_type(levels: tuple[Any, ...] | None, where: str, name: str) -> Any:
    pa = library("pyarrow")
    kinds = {type(v) for v in levels or (0.0,)}
    for kind, arrow in ((str, pa.string()), (bool, pa.bool_()), (int, pa.int64())):
        if kinds == {kind}:
            return arrow
    if kinds <= {int, float}:
        return pa.float64()
    raise CouldNotLook(f"{where}: the categories of {name} are of several kinds")


def _within(groups: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(groups in order, the number of each element among those of its group)."""
    order = np.argsort(groups, kind="stable")
    ranked = groups[order]
    starts = np.searchsorted(ranked, ranked)
    at = np.empty(len(groups), dtype=np.int64)
    at[order] = np.arange(len(groups)) - starts
    return ranked, at


def _order(values: FloatArray) -> FloatArray:
    """Doubles as whole numbers in the same order, one apart where no other double is between."""
    bits = np.asarray(values, dtype=np.float64).view(np.int64)
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def _float(places: FloatArray) -> FloatArray:
    """The doubles at places of `_order`."""
    places = np.asarray(places, dtype=np.int64)
    return np.where(places < 0, np.iinfo(np.int64).min - places, places).view(np.float64)
