"""How long a model takes for single rows: measured in turn with usual rows, compared by medians, bootstrapped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor

Array = Any
Clock = Callable[[], float]
DRAWS = 1000
AGAIN = 32


class Slow(NamedTuple):
    """Median milliseconds of a row and of usual rows, and the ratio, with 95% intervals (low, high); `n` repetitions
    of each."""

    row: float
    row_interval: tuple[float, float]
    usual: float
    usual_interval: tuple[float, float]
    ratio: float
    ratio_interval: tuple[float, float]
    n: int


def milliseconds(model: Predictor, row: ArrowTable, clock: Clock = time.perf_counter) -> float:
    """How long the model takes for one row, with our own conversion of the row; NaN where it refuses it."""
    start = clock()
    try:
        model.scores(row)
    except CouldNotLook:
        return float("nan")
    return (clock() - start) * 1000


def slowest(model: Predictor, rows: ArrowTable, seconds: float, clock: Clock = time.perf_counter) -> int:
    """The place of the slowest of `rows` (at least one), each asked once until `seconds` are over; of the slowest AGAIN
    the lesser of two times counts, for what else the machine does only adds. Rows that are refused are no such row."""
    start, times = clock(), []
    for place in range(rows.num_rows):
        if place and clock() - start > seconds:
            break
        times.append(milliseconds(model, rows.slice(place, 1), clock))
    known = np.nan_to_num(times, nan=-1.0)
    few = np.argsort(-known, kind="stable")[:AGAIN]
    for place in few:
        known[place] = min(known[place], np.nan_to_num(milliseconds(model, rows.slice(int(place), 1), clock), nan=-1.0))
    return int(few[np.argmax(known[few])])


def compared(
    model: Predictor, row: ArrowTable, usual: ArrowTable, repeats: int, seed: int, clock: Clock = time.perf_counter
) -> Slow:
    """One row against usual ones, in turn, `repeats` times each, so that what else the machine does hits both alike.

    Medians, with percentile intervals of a bootstrap over the repetitions. Raises CouldNotLook where either is refused.
    """
    rng = np.random.default_rng(seed)
    picks = rng.integers(usual.num_rows, size=repeats)
    milliseconds(model, row, clock)
    pairs = np.array(
        [(milliseconds(model, row, clock), milliseconds(model, usual.slice(int(p), 1), clock)) for p in picks]
    )
    if np.isnan(pairs).any():
        raise CouldNotLook("a row that was answered before is refused now, so that its time cannot be told")
    mine, theirs = pairs.T
    drawn = [np.median(v[rng.integers(repeats, size=(DRAWS, repeats))], axis=1) for v in (mine, theirs)]
    slow, fast = float(np.median(mine)), float(np.median(theirs))
    floor = 1e-6  # of a millisecond: a clock of coarse ticks may say 0
    return Slow(
        slow,
        _inner(drawn[0], slow),
        fast,
        _inner(drawn[1], fast),
        slow / max(fast, floor),
        _inner(drawn[0] / np.maximum(drawn[1], floor), slow / max(fast, floor)),
        repeats,
    )


def _inner(drawn: Array, value: float) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)
