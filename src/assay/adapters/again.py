"""Rows that a model was asked among others, asked again alone: an answer has to be the row's own, now as before."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

TOLERANCE = 1e-5
KEPT = 64
LAST, LATER = 16, 8
# So many may differ, and one in so many more: sums that round another way turn what lies on a border.
SLIPS, SLIPS_OF_LABELS = (1, 256), (2, 32)


class Rate(NamedTuple):
    """How often rows are asked again: one every so many `calls`, and one in so many `rows` of a call until `most` of a
    check were, then one in LATER times as many."""

    calls: int
    rows: int
    most: int


LOCAL = Rate(calls=4, rows=32, most=64)
REMOTE = Rate(calls=8, rows=128, most=16)  # every one is a request


class UnsteadyError(CouldNotLook):
    """The model answers a row otherwise than before: nothing that it says of any row counts."""


class Again:
    """What was answered, a sample of it, and what is asked again of it.

    A model that looks at a row's neighbours, at its place, or at what was asked before can do well on a test and do
    otherwise on the next case. Which rows are asked again is drawn from the system's own randomness: who is judged
    knows the seed of a run. Of a model that answers each row by itself no result depends on it. One that was caught
    stays so: who asks may take a refusal for one of these rows alone.
    """

    def __init__(self, ask: Callable[[ArrowTable], FloatArray], where: str, rate: Rate, *, labels: bool) -> None:
        """`ask` gives the scores (n,) of rows, and remembers nothing."""
        self._ask, self._where, self._rate = ask, where, rate
        self._slips = SLIPS_OF_LABELS if labels else SLIPS
        self._draw = random.SystemRandom()
        self._kept: list[tuple[ArrowTable, float]] = []
        self._calls = self._asked = self._differ = 0
        self._caught = False

    def hear(self, rows: ArrowTable, scores: FloatArray) -> None:
        """Take note of what was answered, and ask a part of what was noted. Raises UnsteadyError where it differs."""
        size = rows.num_rows // self._rate.rows
        count = max(min(size, self._rate.most - self._asked), min(size // LATER, LAST))
        noted = count + (len(self._kept) < LAST or self._draw.randrange(self._rate.calls) == 0)
        for at in self._draw.sample(range(rows.num_rows), min(noted, rows.num_rows)):
            place = len(self._kept) if len(self._kept) < KEPT else self._draw.randrange(KEPT)
            self._kept[place : place + 1] = [(rows.take([at]), float(scores[at]))]
        self._calls += 1
        self._look(count + (self._calls % self._rate.calls == 0))

    def settle(self) -> None:
        """At the end of a check: ask some once more, and begin anew. Raises UnsteadyError where they differ."""
        self._look(LAST)
        self._kept.clear()
        self._calls = self._asked = self._differ = 0

    def _look(self, count: int) -> None:
        for place in sorted(self._draw.sample(range(len(self._kept)), min(count, len(self._kept))), reverse=True):
            row, before = self._kept[place]
            now = float(self._ask(row)[0])
            self._asked += 1
            if not abs(now - before) <= TOLERANCE * max(1.0, abs(before)):
                self._differ += 1
                del self._kept[place]  # one row counts once
        free, share = self._slips
        self._caught = self._caught or self._differ > free + self._asked // share
        if self._caught:
            raise UnsteadyError(
                f"{self._where}: the sanity test failed: rows got other answers when they were asked again alone: the "
                "answer is not the row's own, or it changes"
            )
