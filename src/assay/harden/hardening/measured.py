"""Candidates on the same rows: thresholds at a fixed false-alarm rate, recall before and under attack, paired.

The holdout is split in three, rows that are one draw together. `calibrate` sets each candidate's threshold, `choose`
picks among options, `confirm` gives the figures. Intervals of gains hold what other rows to set the thresholds would
have changed; those of single candidates are for the thresholds as they were set, with the false alarms told beside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from assay.adapters.predictor_base import BasePredictor
from assay.attacks.attacked import within
from assay.attacks.relations import attackable, telling
from assay.attacks.strike import Asked, struck
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Progress, silent
from assay.core.subject import Contract
from assay.harden.hardening.result import Gain, Rate
from assay.stats.effective import drawn, effective_n, whole
from assay.stats.intervals import paired_difference, wilson_rate

Array = Any
SHARES = (0.35, 0.25, 0.4)
EXPECTED = 4
"""False alarms expected among the rows that set a threshold; with fewer it is anybody's guess."""
LEAST = 50
"""Rows of either class that choose, and that confirm."""
PASSING, TRIES, DRAWS = 500, 3, 300


class Split(NamedTuple):
    """Row numbers of the three parts of the holdout."""

    calibrate: Array
    choose: Array
    confirm: Array


class Held(NamedTuple):
    """A part to measure on: all its rows with their class and draw, and `sample` (s,), numbers of the positive ones
    that are attacked, no two with equal inputs, each of `weight` (s,) rows."""

    table: ArrowTable
    target: Array
    group: Array
    sample: Array
    weight: Array


class Seen(NamedTuple):
    """What one candidate does with a part: `scores` and `flags` (n,), and of the sample what holds against each attack
    (s,); why one could not look, and of those that were drawn anew why the first draw failed its sanity test."""

    scores: Array
    flags: Array
    stands: dict[str, Array]
    unanswered: dict[str, str]
    redrawn: dict[str, str]

    def worst(self) -> Array:
        """What holds against all of the attacks that could look (s,)."""
        return np.logical_and.reduce(list(self.stands.values()))


def split(target: Array, group: Array, seed: int, alarms: float) -> Split:
    """Draw the parts, by class, rows of one group together. Raises CouldNotLook where any is too small."""
    rng = np.random.default_rng([seed, 21])
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    size, part = np.bincount(inverse.ravel()), np.zeros(len(first), dtype=int)
    for value in (False, True):
        members = rng.permutation(np.flatnonzero(target[first] == value))
        done = (np.cumsum(size[members]) - size[members] / 2) / max(1, size[members].sum())
        part[members] = np.searchsorted(np.cumsum(SHARES)[:2], done)
    parts = [np.flatnonzero(part[inverse.ravel()] == k) for k in range(3)]
    _refuse_small(target, parts, alarms)
    return Split(*parts)


def _refuse_small(target: Array, parts: list[Array], alarms: float) -> None:
    """Raises CouldNotLook with everything that is too small, so that nobody mends one size after the other."""
    short = []
    negatives = int((~target[parts[0]]).sum())
    if negatives * alarms < EXPECTED:
        what = f"{negatives} negative rows set the threshold, {EXPECTED / alarms:.0f} are needed at {alarms:.1%}"
        short.append(f"{what} false alarms (give more rows, or a larger --fpr)")
    for rows, doing in ((parts[1], "choose"), (parts[2], "confirm")):
        for kind, count in (("positive", int(target[rows].sum())), ("negative", int((~target[rows]).sum()))):
            if count < LEAST:
                short.append(f"{count} {kind} rows are left to {doing} on, {LEAST} needed")
    if short:
        raise CouldNotLook(f"the holdout is too small: {'; '.join(short)}")


def threshold_at(scores: Array, alarms: float) -> float:
    """The lowest threshold that flags at most a share `alarms` of negative rows by their scores (n,): between two."""
    ordered = np.sort(scores)[::-1]
    most = int(alarms * len(ordered) + 1e-9)
    at = float(ordered[most])
    above = ordered[ordered > at]
    return (at + float(above[-1])) / 2 if len(above) and at < (at + float(above[-1])) / 2 else float(
        np.nextafter(at, np.inf)
    )  # fmt: skip


def held(
    table: ArrowTable, target: Array, group: Array, contract: Contract, inputs: tuple[str, ...], rows: int, seed: int
) -> Held:
    """A part with its sample: up to `rows` positive rows that keep the relations. Raises CouldNotLook for too few."""
    from assay.detectors.rows import same_rows

    rng = np.random.default_rng([seed, 22])
    usable = target & attackable(contract, table)
    mine = rng.permutation(np.flatnonzero(usable))
    places, count = drawn(same_rows(table.select(telling(contract, inputs)).take(mine)), rows)
    if len(places) < LEAST:
        what = f"{len(places)} positive rows with different inputs keep `constraints:`, {LEAST} are needed to attack"
        raise CouldNotLook(f"the holdout is too small: {what}")
    return Held(table, target, group, mine[places], count)


def seen(
    model: BasePredictor, part: Held, against: Any, attacks: dict[str, Asked], progress: Progress = silent
) -> Seen:
    """Ask a candidate about a part, and attack its sample in every way. Raises CouldNotLook where the first cannot."""
    scores = np.asarray(model.scores(part.table), dtype=float)
    flags = scores >= model.threshold
    sample = part.table.take(part.sample)
    caught = flags[part.sample]
    rng = np.random.default_rng([next(iter(attacks.values())).seed, 23])
    passing = part.table.take(rng.permutation(np.flatnonzero(~flags))[:PASSING])
    stands: dict[str, Array] = {}
    unanswered: dict[str, str] = {}
    redrawn: dict[str, str] = {}
    for place, (name, asked) in enumerate(attacks.items()):
        progress(place, len(attacks))

        def step(done: float, total: float, what: str = "", at: int = place) -> None:
            progress(at + done / (total or 1.0), len(attacks), what)

        stand = caught.copy()
        if caught.any():
            try:
                far, first = _distances(model, sample.filter(caught), passing, against, asked._replace(progress=step))
            except CouldNotLook as why:
                if not stands:
                    raise
                unanswered[name] = str(why)
                continue
            stand[caught] = ~within(far, asked.budget)
            if first:
                redrawn[name] = first
        stands[name] = stand
    return Seen(scores, flags, stands, unanswered, redrawn)


def _distances(
    model: BasePredictor, caught: ArrowTable, passing: ArrowTable, against: Any, asked: Asked
) -> tuple[Array, str]:
    """(how far each caught row had to go (c,), inf where nothing was found; why the first draw failed, "" if not).

    The sanity test of an attack is drawn anew, with the attack, where it fails: twice at most, and that is told.
    """
    first = ""
    for turn in range(TRIES):
        try:
            again = asked._replace(seed=asked.seed + turn * 7919)
            return struck(model, caught, passing, against, again)[1].distance, first
        except CouldNotLook as error:
            why, first = error, first or str(error)
    raise why


def rate(hit: Array, group: Array) -> Rate:
    """The share of `hit` (n,) with Wilson's interval, rows of one group as one draw."""
    value, n = float(np.mean(hit)), float(effective_n(group, hit))
    return Rate(value, *wilson_rate(value, n), whole(n))


def difference(first: Array, second: Array, group: Array) -> Rate:
    """The share of `first` (n,) less that of `second` on the same rows, by Tango's interval; groups are one draw."""
    ahead, behind = first & ~second, second & ~first
    n = min(float(effective_n(group, hit)) for hit in (ahead, behind))
    b, c = float(ahead.mean()), float(behind.mean())
    return Rate(b - c, *paired_difference(b * n, c * n, n), whole(n))


def figures(part: Held, one: Seen) -> dict[str, Any]:
    """Recall, that of the attacked rows before and under attack, false alarms and each attack's own, as `Measured`
    names them."""
    positive, draw = part.target, np.repeat(np.arange(len(part.sample)), part.weight)

    def left(stands: Array) -> Rate:
        return rate(np.repeat(stands, part.weight), draw)

    return {
        "clean": rate(one.flags[positive], part.group[positive]),
        "before": left(one.flags[part.sample]),
        "attacked": left(one.worst()),
        "alarms": rate(one.flags[~positive], part.group[~positive]),
        "attacks": {name: left(stands) for name, stands in one.stands.items()},
        "unanswered": one.unanswered,
        "redrawn": one.redrawn,
    }


def drawn_thresholds(scores: Array, group: Array, alarms: float, seed: int) -> Array:
    """The thresholds (DRAWS,) that other negative rows would have set, by a bootstrap of groups; `scores` (n,)."""
    rng = np.random.default_rng([seed, 24])
    order = np.argsort(-scores, kind="stable")
    ordered, inverse = scores[order], np.unique(group, return_inverse=True)[1].ravel()[order]
    size, out = int(inverse.max()) + 1, np.empty(DRAWS)
    for draw in range(DRAWS):
        weight = np.cumsum(np.bincount(rng.integers(0, size, size), minlength=size)[inverse])
        out[draw] = ordered[min(int(np.searchsorted(weight, alarms * weight[-1], side="right")), len(ordered) - 1)]
    return np.nextafter(out, np.inf)


def _widened(told: Rate, shifts: Array) -> Rate:
    """A difference whose interval holds a second, independent source of error too (squares of half widths add up)."""
    far = 1.96 * float(np.std(shifts))
    low, high = (np.hypot(told.value - told.low, far), np.hypot(told.high - told.value, far))
    return Rate(told.value, max(-1.0, told.value - float(low)), min(1.0, told.value + float(high)), told.n)


def gain(part: Held, option: Seen, other: Seen, over: str, thresholds: tuple[Array, Array]) -> Gain:
    """What an option gains over another candidate on the same rows: all attacks on the option against those on the
    other that looked at the option too, so that an attack which only the other stood counts for nothing.

    `thresholds` are those that other rows would have set, of both, (k,) each, from the same draws: what they would
    catch more or less of all rows, and of those that are attacked, is in the intervals.
    """
    draw = np.repeat(np.arange(len(part.sample)), part.weight)
    shared = other._replace(stands={k: v for k, v in other.stands.items() if k in option.stands})
    both = [np.repeat(s.worst(), part.weight) for s in (option, shared)]
    rows = np.repeat(part.sample, part.weight)
    few = _caught(option.scores[rows], thresholds[0]) - _caught(other.scores[rows], thresholds[1])
    clean = kept(part.target, part.group, (option.scores, option.flags), (other.scores, other.flags), thresholds)
    return Gain(over=over, attacked=_widened(difference(both[0], both[1], draw), few), clean=clean)


def kept(
    target: Array, group: Array, option: tuple[Array, Array], other: tuple[Array, Array],
    thresholds: tuple[Array, Array],
) -> Rate:  # fmt: skip
    """Clean recall of an option less another candidate's, each told by its scores and flags (n,); `thresholds` as for
    `gain`."""
    if np.array_equal(option[0], other[0]) and np.array_equal(option[1], other[1]):
        # The same scores decide, whatever other rows there were; recall rests on the positive ones alone.
        return Rate(0.0, 0.0, 0.0, whole(effective_n(group[target])))
    shifts = _caught(option[0][target], thresholds[0]) - _caught(other[0][target], thresholds[1])
    return _widened(difference(option[1][target], other[1][target], group[target]), shifts)


def _caught(scores: Array, thresholds: Array) -> Array:
    """The share of rows (n,) at or above each threshold (k,)."""
    return 1.0 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
