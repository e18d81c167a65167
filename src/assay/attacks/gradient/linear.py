"""Linear models in closed form: the least change that lowers a weighted sum enough, and the most that a budget lowers.

In L-infinity every number moves as far as the radius lets it (water-filling under boxes), which is exact, grids and
levels too. Where parts add up (L2 squared, L1, cost) the Lagrangian falls apart into one choice a column: its dual is a
bound below, and what it chooses is exact but for one column's last step on a grid or among levels.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

import numpy as np

from assay.attacks.gradient.moves import KEEP, Moves, Point
from assay.core.protocols import FloatArray as Array

_HALVINGS, _FEWER, _CUTS = 64, 44, 16
_TAKEN_BACK = 4
_NARROW, _SURE = 1e-12, 2
_SPREAD = 1e-9
_LEAST = 1e-60  # a price below every price that matters: one column that hardly counts makes the largest one huge


class Offers(NamedTuple):
    """What moves of rows `ids` (q,) lower a weighted sum by: `gain` (q, c) a unit of a number, `listed` (q, k) each."""

    ids: Array
    gain: Array
    listed: list[Array]


class Chosen(NamedTuple):
    """Per row (q,): the `point`, what it lowers the sum by, and its parts' total (0 in L-infinity, where none asks)."""

    point: Point
    gain: Array
    cost: Array


def offers(moves: Moves, ids: Array, gradient: Array) -> Offers:
    """What each move lowers a sum by whose gradient is (q, p), counted from the rows as they are."""
    listed = []
    for one in moves.listed:
        origin = moves.lifted[ids][:, one.places]
        effect = one.effect[ids] - origin[:, None, :]
        listed.append(-(effect * gradient[:, None, one.places]).sum(axis=2))
    return Offers(ids, -gradient[:, moves.places], listed)


def at_price(moves: Moves, of: Offers, price: Array) -> Chosen:
    """What every column chooses where a unit of gain pays `price` (q,): the most gain x price - part."""
    ids, gain = of.ids, of.gain
    down, up = moves.down[ids], moves.up[ids]
    end = np.where(gain > 0, up, down)
    if moves.square:
        move = np.clip(price[:, None] * gain / (2 * moves.price**2), down, up)
    else:
        move = np.where(price[:, None] * np.abs(gain) > moves.price, end, np.clip(0.0, down, up))
    value = moves.origin[ids] + move
    if moves.square:
        value = _over(moves, of, price, value)
    if moves.square and (moves.step > 0).any():
        value = _stepped(moves, of, price, value)
    elif not moves.square:
        value = np.where(move == end, moves.origin[ids] + end, value)
    picks = np.full((len(ids), len(moves.listed)), KEEP)
    for at, (one, gains) in enumerate(zip(moves.listed, of.listed, strict=True)):
        worth = price[:, None] * gains - one.parts[ids]
        best = worth.argmax(axis=1) if worth.shape[1] else np.zeros(len(ids), dtype=int)
        picks[:, at] = np.where(worth[np.arange(len(ids)), best] > 0, best, KEEP)
    return told(moves, of, Point(value, picks))


def _over(moves: Moves, of: Offers, price: Array, value: Array) -> Array:
    """Squared parts over the gap before a range that does not hold the row: its edge, or none where that is worth
    more."""
    gap, edge = moves.gap(of.ids, value)
    shift = edge - moves.origin[of.ids]
    worth = price[:, None] * of.gain * shift - (shift * moves.price) ** 2
    return np.where(gap, np.where(worth > 0, edge, moves.origin[of.ids]), value)


def _stepped(moves: Moves, of: Offers, price: Array, value: Array) -> Array:
    """Squared parts on a grid: the nearest place, or none where that is worth more."""
    near = moves.snapped(of.ids, value)
    shift = near - moves.origin[of.ids]
    worth = price[:, None] * of.gain * shift - (shift * moves.price) ** 2
    return np.where(moves.step > 0, np.where(worth > 0, near, moves.origin[of.ids]), value)


def told(moves: Moves, of: Offers, point: Point) -> Chosen:
    """A point with its gain and cost."""
    gain = (of.gain * (point.value - moves.origin[of.ids])).sum(axis=1)
    for at, gains in enumerate(of.listed):
        pick = point.pick[:, at]
        gain = gain + np.where(pick == KEEP, 0.0, gains[np.arange(len(pick)), np.maximum(pick, 0)])
    parts = moves.parts(of.ids, point) if moves.additive else np.zeros((len(gain), 1))
    return Chosen(point, gain, parts.sum(axis=1) if moves.additive else parts.max(axis=1, initial=0.0))


def within(moves: Moves, of: Offers, radius: Array) -> Chosen:
    """L-infinity: the most that moves of parts up to `radius` (q,) lower the sum by; exact."""
    ids = of.ids
    room = np.where(np.isfinite(radius), radius, 1e300)[:, None] / moves.price
    move = np.where(of.gain > 0, np.minimum(moves.up[ids], room), np.maximum(moves.down[ids], -room))
    move = np.where(of.gain == 0, 0.0, move)
    value = moves.origin[ids] + move
    gap = moves.gap(ids, value)[0]
    grid = moves.step > 0
    if grid.any():
        places = (value[:, grid] - moves.start[grid]) / moves.step[grid]
        held = np.where(move[:, grid] > 0, np.floor(places + 1e-9), np.ceil(places - 1e-9))
        snapped = np.clip(
            moves.start[grid] + moves.step[grid] * held, moves.low[ids][:, grid], moves.high[ids][:, grid]
        )
        wrong = (snapped - moves.origin[ids][:, grid]) * np.sign(move[:, grid]) <= 0
        value[:, grid] = np.where(wrong, moves.origin[ids][:, grid], snapped)
    value = np.where(gap, moves.origin[ids], value)
    picks = np.full((len(ids), len(moves.listed)), KEEP)
    for at, (one, gains) in enumerate(zip(moves.listed, of.listed, strict=True)):
        worth = np.where(one.parts[ids] <= radius[:, None] * (1 + 1e-12), gains, -np.inf)
        best = worth.argmax(axis=1)
        picks[:, at] = np.where(worth[np.arange(len(ids)), best] > 0, best, KEEP)
    return told(moves, of, Point(value, picks))


def careful(moves: Moves, of: Offers, need: Array) -> tuple[Point, Array, Array]:
    """As `nearest`; where numbers on grids are among what adds up, the last steps of some are taken back, and the rest
    is solved again."""
    best, can, bound = nearest(moves, of, need)
    if not moves.additive or not (moves.step > 0).any():
        return best, can, bound
    here = taken(moves, of.ids)
    again = of._replace(ids=np.arange(len(need)))
    cost, low, high = told(here, again, best).cost, here.low, here.high
    for _ in range(_TAKEN_BACK):
        shift = best.value - here.origin
        back = moves.step * np.sign(shift) * (np.abs(shift) > 0)
        left = told(here, again, best).gain[:, None] - again.gain * back
        last = (moves.step > 0) & (shift != 0) & (left < need[:, None])
        # The column whose last step pays least for what it costs.
        waste = np.where(last, (left - need[:, None]) / np.maximum(np.abs(again.gain * back), 1e-300), -np.inf)
        j = waste.argmax(axis=1)
        rows = np.flatnonzero(last[np.arange(len(j)), j])
        if not len(rows):
            break
        held = copy(here)
        held.low, held.high = low.copy(), high.copy()
        end = (best.value - back)[rows, j[rows]]
        up = shift[rows, j[rows]] > 0
        held.high[rows[up], j[rows][up]] = end[up]
        held.low[rows[~up], j[rows][~up]] = end[~up]
        held.down, held.up = np.minimum(held.low - held.origin, 0.0), np.maximum(held.high - held.origin, 0.0)
        point, does, _ = nearest(held, again, need)
        new = told(here, again, point).cost
        better = does & (new < cost)
        better[np.setdiff1d(np.arange(len(j)), rows)] = False
        if not better.any():
            break
        best = Point(*(np.where(better[:, None], a, b) for a, b in zip(point, best, strict=True)))
        cost = np.where(better, new, cost)
        low, high = np.where(better[:, None], held.low, low), np.where(better[:, None], held.high, high)
    return best, can, bound


def taken(moves: Moves, ids: Array) -> Moves:
    """The moves of rows `ids` (q,), one after the other."""
    out = copy(moves)
    for name in ("origin", "low", "high", "down", "up"):
        setattr(out, name, getattr(moves, name)[ids])
    out.listed = [one._replace(parts=one.parts[ids]) for one in moves.listed]
    return out


def nearest(moves: Moves, of: Offers, need: Array) -> tuple[Point, Array, Array]:
    """(the least change that lowers the sum by `need` (q,), whether it does (q,), what any such change costs at least).

    The bound is exact in L-infinity, and where no grid or level is the last to move; it is inf where nothing does it.
    """
    low, high, bound, whole = prices(moves, of, need)
    can = whole.gain >= need
    more = _at(moves, of, high)
    if moves.additive:
        point = _filled(moves, of, _at(moves, of, low), more, need)
        bound = np.sqrt(np.maximum(bound, 0)) if moves.square else bound
    else:
        point, bound = more.point, low
    return point, can, np.where(can, np.maximum(bound, 0.0), np.where(whole.gain < need * (1 - 1e-12), np.inf, 0.0))


def prices(moves: Moves, of: Offers, need: Array) -> tuple[Array, Array, Array, Chosen]:
    """(the price, or radius, (q,) at which too little is chosen, one at which enough is, the dual's bound (q,) on the
    least sum of parts, what is chosen of everything)."""
    high = _largest(moves, of)
    whole = _at(moves, of, high)
    can = whole.gain >= need
    low = np.zeros(len(need)) if not moves.additive else np.minimum(high * 1e-18, _LEAST)
    bound = np.zeros(len(need))

    def asked(price: Array, chosen: Chosen) -> Array:
        if moves.additive:  # the dual at this price
            np.maximum(bound, price * (need - chosen.gain) + chosen.cost, out=bound)
        return chosen.gain >= need

    halvings = _HALVINGS if moves.additive else _FEWER
    if not (moves.step > 0).any() and not moves.listed and of.gain.size:
        low, high, near = _bracketed(moves, of, need, low, high)
        halvings = _SURE if (near | ~can).all() else halvings
    low, high = _between(moves, of, low, high, asked, halvings, done=~can)
    if moves.additive:
        asked(low, _at(moves, of, low))
    return low, high, bound, whole


def _bracketed(moves: Moves, of: Offers, need: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """(low, high, whether it is narrow): a bracket (q,) of the price or radius sought, where all are numbers without
    grids.

    What is lowered is then a sum of min(a t, b) over columns (a step at b / a where the norm is a plain sum), which is
    solved by sorting; the bracket is asked, and a row whose ends do not hold it keeps the wide one.
    """
    gain = np.abs(of.gain)
    end = np.where(of.gain > 0, moves.up[of.ids], -moves.down[of.ids])
    with np.errstate(all="ignore"):
        most = np.where(gain > 0, gain * end, 0.0)
        pace = gain**2 / (2 * moves.price**2) if moves.square else gain / moves.price
        at = np.where(most > 0, moves.price / gain if moves.additive and not moves.square else most / pace, np.inf)
        order = np.argsort(at, axis=1)
        at, most, pace = (np.take_along_axis(x, order, axis=1) for x in (at, most, pace))
        filled = np.cumsum(most, axis=1) - most
        if moves.additive and not moves.square:
            reached = filled + most
            found = at
        else:
            left = np.cumsum(np.where(most > 0, pace, 0.0)[:, ::-1], axis=1)[:, ::-1]
            reached = filled + left * at
            found = (need[:, None] - filled) / left
        k = (reached >= need[:, None]).argmax(axis=1)
        where = np.arange(len(need))
        t = found[where, k]
        near = np.isfinite(t) & (t > 0) & (reached[where, k] >= need)
        ends = np.where(near, t * (1 - _NARROW), low), np.where(near, t * (1 + _NARROW), high)
    near &= (_at(moves, of, ends[0]).gain < need) & (_at(moves, of, ends[1]).gain >= need)
    return np.where(near, ends[0], low), np.where(near, ends[1], high), near


def lowered(moves: Moves, of: Offers, radius: Array) -> tuple[Point, Array]:
    """(the best point within distance `radius` (q,), a bound (q,) above what any such change lowers the sum by)."""
    if not moves.additive:
        best = within(moves, of, radius)
        return best.point, best.gain
    budget = radius**2 if moves.square else radius
    high = _largest(moves, of)
    low = np.minimum(high * 1e-18, _LEAST)
    most = np.full(len(radius), np.inf)

    def asked(price: Array, chosen: Chosen) -> Array:
        np.minimum(most, chosen.gain + (budget - chosen.cost) / price, out=most)
        return chosen.cost > budget

    low, high = _between(moves, of, low, high, asked, _HALVINGS, done=np.zeros(len(radius), dtype=bool))
    whole = _at(moves, of, _largest(moves, of))
    most = np.where(whole.cost <= budget, np.minimum(most, whole.gain), most)
    return _at(moves, of, low).point, most


def _between(
    moves: Moves, of: Offers, low: Array, high: Array, asked: Callable[[Array, Chosen], Array], turns: int, done: Array
) -> tuple[Array, Array]:
    """A bracket (q,) of the price, or radius, at which `asked` first says yes of what is chosen: by halving.

    Where parts only add up, what is chosen changes at a few prices: the one at which the choices of both ends cost the
    same is the one sought, if nothing else is chosen there (cutting planes, Kelley 1960). `done` rows need no answer.
    """
    steps = moves.additive and not moves.square
    less, more = (_at(moves, of, low), _at(moves, of, high)) if steps else (None, None)
    for turn in range(turns):
        middle = np.sqrt(low * high) if moves.additive else (low + high) / 2
        cut = np.zeros(len(low), dtype=bool)
        if less is not None and more is not None and turn < _CUTS:
            with np.errstate(all="ignore"):
                meet = (more.cost - less.cost) / (more.gain - less.gain)
            cut = (meet > low) & (meet < high)
            middle = np.where(cut, meet, middle)
        chosen = _at(moves, of, middle)
        enough = asked(middle, chosen)
        high, low = np.where(enough, middle, high), np.where(enough, low, middle)
        if less is None or more is None:
            continue
        done = done | (cut & ((chosen.gain == less.gain) | (chosen.gain == more.gain)))
        if done.all():
            break
        less, more = _either(enough, less, chosen), _either(enough, chosen, more)
    return low, high


def _either(first: Array, one: Chosen, other: Chosen) -> Chosen:
    """What is chosen of one where `first` (q,) holds, else of the other; points are left out."""
    return Chosen(one.point, np.where(first, one.gain, other.gain), np.where(first, one.cost, other.cost))


def _at(moves: Moves, of: Offers, price: Array) -> Chosen:
    return at_price(moves, of, price) if moves.additive else within(moves, of, price)


def _largest(moves: Moves, of: Offers) -> Array:
    """A price, or a radius, from which nothing more is chosen."""
    ids = of.ids
    gain = np.maximum(np.abs(of.gain), 1e-300)
    far = np.minimum(np.maximum(moves.up[ids], -moves.down[ids]), 1e150)
    if not moves.additive:
        ends = [(far * moves.price).max(axis=1, initial=0.0)]
        ends += [
            np.where(np.isfinite(one.parts[ids]), one.parts[ids], 0).max(axis=1, initial=0.0) for one in moves.listed
        ]
        return np.max(ends, axis=0) + _SPREAD
    each = 2 * moves.price**2 * far / gain if moves.square else np.broadcast_to(moves.price / gain, far.shape)
    each = np.where((np.abs(of.gain) > 0) & (far > 0), each, 0.0)
    ends = [each.max(axis=1, initial=0.0)]
    ends += [_strongest(one.parts[ids], gains) for one, gains in zip(moves.listed, of.listed, strict=True)]
    return np.minimum(np.max(ends, axis=0) * 2 + _SPREAD, 1e200)


def _strongest(parts: Array, gains: Array) -> Array:
    """The price (q,) from which the level of the largest gain is chosen, before dearer and cheaper ones and none."""
    there = np.isfinite(parts)
    most = np.where(there, gains, 0.0).max(axis=1, initial=0.0)
    part = np.where(there & (gains == most[:, None]), parts, np.inf).min(axis=1, initial=np.inf)
    part = np.where(most > 0, part, 0.0)
    less = there & (gains < most[:, None]) & (gains > 0)
    with np.errstate(all="ignore"):
        before = np.where(less, (part[:, None] - parts) / (most[:, None] - gains), 0.0).max(axis=1, initial=0.0)
        return np.where(most > 0, np.maximum(part / most, before), 0.0)


def _filled(moves: Moves, of: Offers, less: Chosen, more: Chosen, need: Array) -> Point:
    """From what is too little to what is enough, the columns that differ one after the other, the last only so far as
    it is needed."""
    value, pick = less.point.value.copy(), less.point.pick.copy()
    gain = less.gain.copy()
    rows = np.arange(len(need))
    grows = of.gain * (more.point.value - less.point.value)
    x = moves.origin[of.ids]
    outside = (value == x) & ((x < moves.low[of.ids]) | (x > moves.high[of.ids]))
    # Over a gap only where nothing else is left.
    order = np.lexsort((-grows, outside), axis=1)
    for k in range(order.shape[1]):
        j = order[:, k]
        by, missing = grows[rows, j], need - gain
        short = (by > 0) & (missing > 0)
        if not short.any():
            break
        there, end = value[rows, j], more.point.value[rows, j]
        step = np.where(short, missing / np.where(by > 0, np.abs(of.gain[rows, j]), 1.0), 0.0) * (1 + 1e-12)
        step += 2 * np.spacing(np.abs(there) + step)  # what the sum rounds to must not fall short
        new = value.copy()
        new[rows, j] = np.where(step >= np.abs(end - there), end, there + np.sign(end - there) * step)
        gap, edge = moves.gap(of.ids, new)
        new = np.where(gap, edge, new)
        way = np.zeros_like(value)
        way[rows, j] = np.sign(of.gain[rows, j])
        new = np.where(way != 0, moves.snapped(of.ids, new, way), value)
        value = np.where(short[:, None], new, value)
        gain = told(moves, of, Point(value, pick)).gain
    for at in range(pick.shape[1]):
        gains, parts = of.listed[at], moves.listed[at].parts[of.ids]
        now = np.where(pick[:, at] == KEEP, 0.0, gains[rows, np.maximum(pick[:, at], 0)])
        reach = gain - now + 0.0
        fits = np.where(gains + reach[:, None] >= need[:, None], parts, np.inf)
        best = fits.argmin(axis=1)
        use = (gain < need) & (more.point.pick[:, at] != less.point.pick[:, at])
        use &= np.isfinite(fits[rows, best])
        pick[:, at] = np.where(use, best, np.where((gain < need), more.point.pick[:, at], pick[:, at]))
        gain = told(moves, of, Point(value, pick)).gain
    short = gain < need
    value[short], pick[short] = more.point.value[short], more.point.pick[short]
    return Point(value, pick)
