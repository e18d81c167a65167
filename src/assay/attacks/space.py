"""What an attacker can do to given rows: candidate values, their cost, and the relations that must hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from assay.attacks.levels import UNLIKE, levels_of, price
from assay.attacks.relations import relations, satisfied, short
from assay.core.errors import CouldNotLook
from assay.core.subject import Contract, Feature, Norm
from assay.core.text import visible

Array = Any
MOST = 100
STEPS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0])
FINER = 0.05 * 0.25 ** np.arange(1, 9)  # down to under a millionth of a standard deviation
COPIED = 3  # of the row's other numbers, the nearest
PLACE = 1e-6  # of a step: how far from a place of its grid a value may lie
DIGITS = 12  # decimals that a place is rounded to where its step is written with no more
_PARTS = 1000  # the largest denominator of a step on whole numbers
WIDEST = 1e50  # the largest cost or scale, and the least is 1 over it: their squares and quotients stay numbers
_NOISE = 1e-12  # of the largest value: a column that spreads less is constant, but for how it is written
SHORT = 2.0**-23
KEEP = -1
UNLISTED = -1.0


class NothingMovesError(CouldNotLook):
    """The contract permits no row another value of any input."""


class Axis:
    """One mutable feature over n rows: `codes` (n, k) candidate values, `cost` (n, k), inf where not allowed.

    For categories a code is a place in `levels`; for numbers it is the value itself. `unit` is one standard deviation
    of a number in the training data, one place or one change of a category; `price` what it costs. `fine` (n, k) are
    the candidates beside the usual ones of a number that has no small grid: steps below a twentieth of a standard
    deviation, each a quarter of the last and none below the smallest difference in the training data, and the nearest
    values of the row's other numbers, `beside` (n, c). Raises CouldNotLook for a feature that cannot be priced.
    """

    def __init__(
        self, name: str, feature: Feature, column: Any, reference: Any, kind: str, beside: Array | None = None
    ) -> None:
        self.name, self.feature = name, feature
        scale = 1.0 if feature.scale is None else feature.scale
        if not all(1 / WIDEST <= told <= WIDEST for told in (feature.cost, scale)):
            what = f"its cost or scale is no positive number from {1 / WIDEST:g} to {WIDEST:g}"
            raise CouldNotLook(f"{name}: {what}; mend it in `features:`")
        if kind == "time":
            raise CouldNotLook(
                f"{name} is a time, which cannot be moved here; say `mutable: false`, or make it a number"
            )
        self.integer = kind == "integer" or feature.integer or str(column.type).startswith("int")
        self.levels: tuple[Any, ...] = ()
        self.listed: tuple[Any, ...] = ()
        self.low, self.high, self.start, self.unit, self.scale = -math.inf, math.inf, 0.0, 1.0, 1.0
        self.respelled = np.zeros(0)
        self._digits: int | None = None
        listed = feature.order or feature.categories
        if listed or kind in ("category", "text", "boolean"):
            known, own = (c.unique().to_pylist() for c in (reference.column(name), column))
            self.levels, self.listed = levels_of(name, feature, known, own, column.type)
            self.codes = np.broadcast_to(np.arange(len(self.levels), dtype=float), (len(column), len(self.levels)))
            self.origin = self.place(column.to_pylist())
            self.fine = np.zeros(self.codes.shape, dtype=bool)
        else:
            self.origin = column.to_numpy(zero_copy_only=False).astype(float)
            try:
                known = reference.column(name).to_numpy().astype(float)
            except (TypeError, ValueError):
                raise CouldNotLook(UNLIKE.format(name, column.type)) from None
            self.codes, self.fine = self._numbers(known, beside)
        self.ordered = not self.levels or bool(feature.order)
        self.entry = np.array([price(feature, listed) for listed in self.listed])
        self.price = self.unit / self.scale * feature.cost
        self.cost = self.costs(self.origin[:, None], self.codes)
        if not self.levels:  # clipping and rounding give the same value more than once
            again = np.diff(self.codes, axis=1, prepend=np.nan) == 0
            self.cost = np.where(again, np.inf, self.cost)

    def _numbers(self, known: Array, beside: Array | None) -> tuple[Array, Array]:
        """Candidates (n, k), sorted, and which are fine: the whole grid where it is small, else steps from the origin
        and quantiles."""
        f = self.feature
        known = known[np.isfinite(known)]
        known = known if len(known) else np.zeros(1)
        self.unit = float(known.std())
        if self.unit <= _NOISE * float(np.abs(known).max()):  # constant, but for how it is written
            self.unit = 1.0
        self.scale = f.scale or self.unit
        self.low = f.min if f.min is not None else float(known.min())
        self.high = f.max if f.max is not None else float(known.max())
        self.start = self.low
        if f.step:
            self._refuse_short(known, f.step)
        self.respelled = self._respelled(known)
        step = f.step or (1.0 if self.integer else 0.0)
        first = self.start if f.step else math.ceil(self.low)
        if step and (self.high - first) / step < MOST:
            grid = self.spelled(first + step * np.arange(max(0, int((self.high - first) / step + 1e-9) + 1)))
            shape = (len(self.origin), len(grid))
            return np.broadcast_to(grid, shape), np.zeros(shape, dtype=bool)
        # The data's own spread beside the declared scale: a scale too small or too large must not hide what is between.
        moves = np.unique(np.concatenate([STEPS * self.scale, STEPS * self.unit]))
        ends = [self.low, self.high]
        fixed = np.unique(np.concatenate([np.quantile(known, np.linspace(0, 1, 17)), ends]))
        near = self.origin[:, None] + np.concatenate([-moves, moves])
        finer = self._finer(known, step, beside)
        codes = np.hstack([near, np.broadcast_to(fixed, (len(near), len(fixed))), finer])
        codes = np.clip(codes, self.low, self.high)
        if step:
            codes = first + np.clip(np.round((codes - first) / step), 0, math.floor((self.high - first) / step)) * step
            codes = self.spelled(codes)
        fine = np.broadcast_to(np.arange(codes.shape[1]) >= codes.shape[1] - finer.shape[1], codes.shape)
        order = np.lexsort((fine, codes), axis=1)  # of equal ones the usual one comes first and is kept
        return np.take_along_axis(codes, order, axis=1), np.take_along_axis(fine, order, axis=1)

    def spelled(self, places: Array) -> Array:
        """Places of the grid of `step:` as their decimals are written: 19 of 0.1 are 1.9, not 1.9000000000000001; one
        that lies beyond either end of the range by rounding is that end."""
        step = self.feature.step
        if not step:
            return places
        if self._digits is None:
            told = (Decimal(repr(float(n))).as_tuple().exponent for n in (step, self._meant(self.start)))
            self._digits = max(0, *(-int(n) for n in told))
        out: Array = np.round(places, self._digits) if self._digits <= DIGITS else places
        for end, inside in ((self.low, np.maximum), (self.high, np.minimum)):
            out = np.where(np.abs(out - end) <= PLACE * step, inside(out, end), out)
        return out

    @property
    def grid(self) -> tuple[float, float]:
        """(start, step) of the places that a number may take: step 0 where it may take any, start NaN where none. Of a
        `step:` on whole numbers they are those that are whole: 0, 2, 4 of 0.4."""
        step = self.feature.step
        if not step:
            return 0.0, float(self.integer)
        if not self.integer:
            return self.start, step
        first, by = (Fraction(float(n)).limit_denominator(_PARTS) for n in (self._meant(self.start), step))
        if abs(float(by) - step) > PLACE**2 * step or abs(float(first) - self.start) > PLACE * step:
            what = f"{self.name} holds whole numbers, and its `step:` meets them at no regular places"
            raise CouldNotLook(f"{what}; give one that is a whole number, or leave it out")
        whole = (first + k * by for k in range(by.denominator))
        start = next((place for place in whole if place.denominator == 1), math.nan)
        return float(start), float(by * by.denominator)

    def _meant(self, start: float) -> float:
        """A start as it is written, where it is 3 * .1 for .3: its places are decimals all the same."""
        short = round(start, DIGITS)
        return short if abs(short - start) <= 4 * math.ulp(start) else start

    def _respelled(self, known: Array) -> Array:
        """Values of the data that are a place of the grid by another number than those who count or write it get."""
        step = self.feature.step
        if not step:
            return np.zeros(0)
        values = np.unique(np.concatenate([known, self.origin[np.isfinite(self.origin)]]))
        places = (values - self.start) / step
        on = np.abs(places - np.round(places)) <= PLACE
        return values[on & (values != self.spelled(self.start + step * np.round(places)))]

    def _refuse_short(self, known: Array, step: float) -> None:
        """Raises CouldNotLook where the data hold places of `step:` as float32, which are other numbers there."""
        for values in (known, self.origin[np.isfinite(self.origin)]):  # of two tables one may be
            with np.errstate(over="ignore"):
                short = values.astype(np.float32).astype(float)
            places = self.spelled(self.start + step * np.round((values - self.start) / step))
            near = np.abs(values - places) <= SHORT * np.maximum(np.abs(values), step)
            if (short == values).all() and (near & (values != places)).any():
                what = f"{self.name} is stored as float32, in which the places of its `step:` are other numbers"
                raise CouldNotLook(f"{what}; store it as double, or leave `step:` out")

    def _finer(self, known: Array, step: float, beside: Array | None) -> Array:
        """The fine candidates (n, f)."""
        gaps = np.diff(np.unique(known))
        least = max(step, float(gaps.min()) if len(gaps) else 0.0) * (1 - 1e-6)
        moves = FINER[FINER * self.unit >= least] * self.unit
        codes = self.origin[:, None] + np.concatenate([-moves, moves])
        if beside is None or not beside.shape[1]:
            return codes
        apart = np.abs(beside - self.origin[:, None])
        apart = np.where((beside < self.low) | (beside > self.high), np.nan, apart)
        nearest = np.argsort(apart, axis=1)[:, :COPIED]  # NaN comes last
        copied = np.take_along_axis(np.where(np.isnan(apart), np.nan, beside), nearest, axis=1)
        return np.hstack([codes, copied])

    def costs(self, origin: Array, codes: Array) -> Array:
        """The cost of moving from one code to another, inf where it is no move or not permitted; arrays broadcast."""
        move = codes - origin
        bad = np.isnan(move) | (move == 0)
        if self.feature.direction != "both" and self.ordered:
            bad |= move < 0 if self.feature.direction == "up" else move > 0
        if self.levels:
            bad |= (codes == UNLISTED) | (self.ordered & (origin == UNLISTED))
            into = self.entry[np.clip(np.nan_to_num(codes), 0, None).astype(int)]
            return np.where(bad, np.inf, np.abs(move) * self.feature.cost if self.ordered else into)
        bad |= (codes < self.low) | (codes > self.high)
        bad |= self.integer & (codes != np.round(codes))
        if self.feature.step:
            places = (codes - self.start) / self.feature.step
            # A large number tells the places of a fine grid less exactly than that.
            bad |= np.abs(places - np.round(places)) > PLACE + 4 * np.spacing(np.abs(codes)) / self.feature.step
        return np.where(bad, np.inf, np.abs(move) / self.scale * self.feature.cost)

    def parts(self, origin: Array, codes: Array, norm: Norm) -> Array:
        """What moving from one code to another adds in a norm, inf where it is no move or not permitted.

        L-infinity, L2 (squared) and L1 are in the number's own units, divided by its `scale:` where one is declared; a
        category counts 1 a change, or 1 a place where it is ordered. `cost` is the contract's.
        """
        cost = self.costs(origin, codes)
        if norm == "cost":
            return cost
        move = np.abs(codes - origin) / (1.0 if self.levels else self.feature.scale or 1.0)
        move = move if self.ordered else np.ones_like(move)
        return np.where(np.isfinite(cost), move**2 if norm == "l2" else move, np.inf)

    def place(self, values: list[Any]) -> Array:
        """The codes of raw values (n,): NaN for a missing one, UNLISTED for a category that is not listed."""
        if not self.levels:
            return np.array([np.nan if v is None else v for v in values], dtype=float)
        known = {level: float(i) for i, level in enumerate(self.levels)}
        return np.array([np.nan if v is None else known.get(v, UNLISTED) for v in values], dtype=float)

    def written(self, codes: Array, type_: Any) -> Any:
        """Codes as an Arrow array of a column's type."""
        import pyarrow as pa

        if self.levels:
            return pa.array(self.levels, type=type_).take(pa.array(codes.astype(int)))
        return pa.array(codes).cast(type_, safe=False)

    def change(self, origin: float, code: float) -> str:
        """The change from one code to another in words that reveal no more of the row than the change itself."""
        if self.levels and self.ordered:
            places = int(code - origin)
            return f"{places:+d} place{'s' if abs(places) != 1 else ''}".replace("-", "−")
        if self.levels:
            # A level that the contract does not list is a cell of somebody's row.
            level, listed = self.levels[int(code)], self.listed[int(code)]
            if not self.feature.categories:
                return "→ another level"
            told = visible(short(self.name, str(listed)), 40)
            return f"→ another spelling of {told}" if isinstance(listed, str) and level != listed else f"→ {told}"
        moved = code - origin
        plain = 1000 <= round(abs(moved)) < 1e15
        return (f"{moved:+,.0f}" if plain else f"{moved:+.4g}").replace("-", "−")


class Space:
    """Everything an attacker may change in `rows` (an Arrow table of n rows), under the feature contract.

    A choice is an int array (q, m): for each of m mutable features the place of a candidate, or KEEP. `costs` and
    `sides` are (n, m, k): the cost of each candidate, and whether it lies above (1) or below (-1) the original value, 0
    where there is no order; `fine` (n, m, k) marks those that an Axis calls so. Raises CouldNotLook where
    the contract leaves nothing to change.
    """

    def __init__(
        self, rows: Any, contract: Contract, reference: Any, kinds: Mapping[str, str], inputs: tuple[str, ...]
    ) -> None:
        self.constraints = relations(contract)
        self.free = contract.free
        read = set(inputs).union(*(c.columns for c in self.constraints))
        self.rows = rows.select([name for name in rows.column_names if name in read])
        numbers = {
            name: self.rows.column(name).to_numpy().astype(float)
            for name in inputs
            if name in rows.column_names and kinds.get(name) in ("number", "integer")
        }
        axes = []
        for name, feature in contract.columns.items():
            if feature.mutable and name in inputs and name in rows.column_names:
                others = [values for other, values in numbers.items() if other != name]
                beside = np.array(others).reshape(-1, rows.num_rows).T
                axes.append(Axis(name, feature, rows.column(name).combine_chunks(), reference, kinds[name], beside))
        self.axes = [a for a in axes if np.isfinite(a.cost).any()]
        for axis in self.axes if contract.free else ():
            axis.low, axis.high = -math.inf, math.inf
        if not self.axes:
            raise NothingMovesError(
                "the feature contract lets an attacker change nothing in these rows; see `features:`"
            )
        self.size = rows.num_rows
        self.width = max(a.cost.shape[1] for a in self.axes)
        self.costs = np.full((self.size, len(self.axes), self.width), np.inf)
        self.sides = np.zeros(self.costs.shape, dtype=np.int8)
        self.fine = np.zeros(self.costs.shape, dtype=bool)
        for j, axis in enumerate(self.axes):
            self.fine[:, j, : axis.cost.shape[1]] = axis.fine
            self.costs[:, j, : axis.cost.shape[1]] = axis.cost
            if axis.ordered:
                self.sides[:, j, : axis.cost.shape[1]] = np.nan_to_num(np.sign(axis.codes - axis.origin[:, None]))

    def usual(self, rows: Any = slice(None)) -> Array:
        """The costs (n, m, k) of the candidates that combine with others; inf for fine ones."""
        return np.where(self.fine[rows], np.inf, self.costs[rows])

    def keep(self, count: int) -> Array:
        """A choice that changes nothing, shape (count, m)."""
        return np.full((count, len(self.axes)), KEEP, dtype=np.int16)

    def parts(self, ids: Array, choice: Array) -> Array:
        """Cost of each move of each choice, shape (q, m); inf where it is not allowed."""
        taken = np.take_along_axis(self.costs[ids], np.maximum(choice, 0)[:, :, None].astype(int), axis=2)[:, :, 0]
        return np.where(choice == KEEP, 0.0, taken)

    def cost(self, ids: Array, choice: Array) -> Array:
        """Cost of each choice for its row, shape (q,); inf where a part is not allowed."""
        return self.parts(ids, choice).sum(axis=1)

    def build(self, ids: Array, choice: Array) -> Any:
        """The changed rows as an Arrow table of q rows with the columns and types of `rows`."""
        codes = np.full(choice.shape, np.nan)
        for j, axis in enumerate(self.axes):
            codes[:, j] = np.where(choice[:, j] == KEEP, np.nan, axis.codes[ids, choice[:, j]])
        return self.moved(ids, codes)

    def overwritten(self, ids: Array, codes: Array) -> Any:
        """Rows with every one of the codes (q, m) that they may be moved to, on a candidate or between them."""
        may = np.column_stack([np.isfinite(a.costs(a.origin[ids], codes[:, j])) for j, a in enumerate(self.axes)])
        return self.moved(ids, np.where(may, codes, np.nan))

    def moved(self, ids: Array, codes: Array) -> Any:
        """Rows with the codes (q, m) written in, on a candidate or not; NaN leaves a value as it is."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = self.rows.take(pa.array(ids))
        for j, axis in enumerate(self.axes):
            changed = ~np.isnan(codes[:, j])
            if not changed.any():
                continue
            place = table.schema.get_field_index(axis.name)
            field = table.schema.field(place)
            new = axis.written(codes[changed, j], field.type)
            column = pc.replace_with_mask(table.column(place).combine_chunks(), pa.array(changed), new)
            table = table.set_column(place, field, column)
        return table

    def valid(self, table: Any) -> Array:
        """Whether each row satisfies every relation, shape (q,), bool."""
        return satisfied(self.constraints, table)

    def with_levels(self, axis: Axis) -> Any:
        """The first row with each level of an axis, as an Arrow table."""
        table = self.rows.take(np.zeros(len(axis.levels), dtype=np.int64))
        place = table.schema.get_field_index(axis.name)
        field = table.schema.field(place)
        return table.set_column(place, field, axis.written(np.arange(len(axis.levels), dtype=float), field.type))

    def possible(self) -> Array:
        """Whether each single move is allowed and keeps every relation, shape (n, m, k)."""
        can = np.isfinite(self.costs)
        related = {name for constraint in self.constraints for name in constraint.columns}
        read = np.array([a.name in related for a in self.axes])
        can &= self.valid(self.rows)[:, None, None] | read[:, None]
        ids, j, k = np.nonzero(can & read[:, None])
        if len(ids):
            choice = self.keep(len(ids))
            choice[np.arange(len(ids)), j] = k
            can[ids, j, k] = self.valid(self.build(ids, choice))
        return can

    def price(self, ids: Array, table: Any, norm: Norm = "cost") -> Array:
        """How far rows `ids` are from those of `table`, by values alone; inf where one cannot become the other."""
        parts = np.zeros((len(ids), 1 + len(self.axes)))
        moved = {a.name: (place, a) for place, a in enumerate(self.axes, 1)}
        old = self.rows.take(ids)
        for name in self.rows.column_names:
            before, after = old.column(name).to_pylist(), table.column(name).to_pylist()
            differs = np.array(
                [a != b and not (a != a and b != b) for a, b in zip(before, after, strict=True)], dtype=bool
            )
            place, axis = moved.get(name, (0, None))
            if axis is None:
                parts[differs, 0] = np.inf
            elif differs.any():
                parts[differs, place] = axis.parts(axis.place(before), axis.place(after), norm)[differs]
        return length(parts, norm)


def length(parts: Array, norm: Norm) -> Array:
    """The distances (q,) of moves whose parts are (q, m)."""
    if norm == "linf":
        return parts.max(axis=1, initial=0.0)
    total = parts.sum(axis=1)
    return np.sqrt(total) if norm == "l2" else total
