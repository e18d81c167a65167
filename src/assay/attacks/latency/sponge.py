"""The search for a row that takes a model long: single values, many at once, then the slowest recombined.

Sponge examples (Shumailov et al. 2021), here for tables: a greedy search on the measured time itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import numpy as np

from assay.attacks.latency.clock import Clock, milliseconds
from assay.attacks.latency.moves import Moves
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent

Choice = tuple[int, ...]
MIXED = 400
"""Rows of drawn values: of eight values an input, any two of two inputs meet in one of them with 99.8%."""
ELITE, ROUNDS = 6, 4
TWICE = 2


class Found(msgspec.Struct, frozen=True):
    """The slowest row that was found, None where nothing was measured, the inputs that make it slow, how many rows were
    tried and how many of them `refused`; the fewest inputs of a refused one (`breaks`), and those of a row after which
    none is answered (`dead`)."""

    row: ArrowTable | None
    changed: tuple[str, ...]
    tried: int
    refused: int
    breaks: tuple[str, ...]
    dead: tuple[str, ...]


class Search:
    """One search; `clock` and `seconds` bound it: what is not tried by then is not tried."""

    def __init__(
        self, model: Predictor, usual: ArrowTable, moves: Moves, *, seconds: float, seed: int,
        clock: Clock = time.perf_counter, progress: Progress = silent,
    ) -> None:  # fmt: skip
        self.model, self.usual, self.moves, self.clock, self.progress = model, usual, moves, clock, progress
        self.rng = np.random.default_rng(seed)
        self.seconds, self.start = seconds, clock()
        self.seen: dict[tuple[int, Choice], float] = {}
        self.breaks: tuple[str, ...] | None = None
        self.places = [list(range(len(v))) for v in moves.values]
        self.dead: tuple[str, ...] = ()

    @property
    def _over(self) -> bool:
        return bool(self.dead) or self.clock() - self.start > self.seconds

    def run(self) -> Found:
        """Try single values, then drawn mixtures, then what the slowest have in common with others."""
        keep = (-1,) * len(self.moves.names)
        for row in range(self.usual.num_rows):  # they warm the model up, and are where it begins
            self._time(row, keep)
        self._all(self._singles)
        self._leave_refused()
        self._all(self._mixed)
        for turn in range(ROUNDS):
            self._all(self._recombined)
            self.progress(turn + 1, ROUNDS, "rounds")
        refused = sum(np.isnan(ms) for ms in self.seen.values())
        told = (len(self.seen), int(refused), self.breaks or (), self.dead)
        best = self._best()
        if best is None:
            return Found(None, (), *told)
        row, choice = self._trimmed(*best)
        return Found(self.moves.build(self.usual.slice(row, 1), choice), self._names(choice), *told)

    def _all(self, made: Callable[[], list[tuple[int, Choice]]]) -> None:
        for row, choice in made():
            if self._over:
                return
            self._time(row, choice)

    def _time(self, row: int, choice: Choice) -> float:
        """Milliseconds, the lesser of two measurements, for what else the machine does only adds; NaN if refused."""
        key = (row, choice)
        if key in self.seen:
            return self.seen[key]
        table = self.moves.build(self.usual.slice(row, 1), choice)
        if table is None:
            return float("nan")
        times = [milliseconds(self.model, table, self.clock) for _ in range(TWICE)]
        self.seen[key] = min(times) if not np.isnan(times).any() else float("nan")
        if np.isnan(times).any():
            names = self._names(choice)
            self.breaks = min(self.breaks, names, key=len) if self.breaks is not None else names
            if np.isnan(milliseconds(self.model, self.usual.slice(0, 1), self.clock)):
                self.dead = names or ("no input",)
        return self.seen[key]

    def _names(self, choice: Choice) -> tuple[str, ...]:
        return tuple(n for n, c in zip(self.moves.names, choice, strict=True) if c >= 0)

    def _any(self) -> int:
        return int(self.rng.integers(self.usual.num_rows))

    def _singles(self) -> list[tuple[int, Choice]]:
        width = len(self.moves.names)
        made = [
            (self._any(), tuple(k if i == j else -1 for i in range(width)))
            for j, values in enumerate(self.moves.values)
            for k in range(len(values))
        ]
        return [made[i] for i in self.rng.permutation(len(made))]

    def _leave_refused(self) -> None:
        """Values that are refused alone are not mixed with others: nearly every mixture would be refused."""
        for (_, choice), ms in self.seen.items():
            changed = [(j, k) for j, k in enumerate(choice) if k >= 0]
            if np.isnan(ms) and len(changed) == 1:
                j, k = changed[0]
                self.places[j] = [p for p in self.places[j] if p != k]

    def _drawn(self, j: int) -> int:
        return self.places[j][int(self.rng.integers(len(self.places[j])))] if self.places[j] else -1

    def _mixed(self) -> list[tuple[int, Choice]]:
        width = len(self.moves.names)
        return [(self._any(), tuple(self._drawn(j) for j in range(width))) for _ in range(MIXED if width else 0)]

    def _elite(self) -> list[tuple[int, Choice]]:
        known = [key for key, ms in self.seen.items() if not np.isnan(ms)]
        return sorted(known, key=lambda key: -self.seen[key])[:ELITE]

    def _best(self) -> tuple[int, Choice] | None:
        """The slowest, measured once more each, for the slowest of many measurements is partly luck."""
        elite = self._elite()
        if not elite or self.dead:
            return elite[0] if elite else None
        again = {}
        for row, choice in elite:
            table = self.moves.build(self.usual.slice(row, 1), choice)
            times = [milliseconds(self.model, table, self.clock) for _ in range(TWICE)]
            again[row, choice] = float(np.min(times)) if not np.isnan(times).any() else -1.0
        return max(again, key=lambda key: again[key])

    def _recombined(self) -> list[tuple[int, Choice]]:
        """Each of the slowest with one input changed, and crossed with another of them."""
        elite, made, width = self._elite(), [], len(self.moves.names)
        for row, choice in elite if width else []:
            for _ in range(8):
                j = int(self.rng.integers(width))
                made.append((row, (*choice[:j], self._drawn(j), *choice[j + 1 :])))
            other = elite[int(self.rng.integers(len(elite)))][1]
            mask = self.rng.random(width) < 0.5
            made.append((row, tuple(a if m else b for a, b, m in zip(choice, other, mask, strict=True))))
        return made

    def _trimmed(self, row: int, choice: Choice) -> tuple[int, Choice]:
        """Without the inputs that do not make it slow: what leaves it nearer to its time than to a usual row's is put
        back, the middle being far from both where what else the machine does adds to either."""
        if self.dead:
            return row, choice
        goal = (self._again(row, choice) + self._again(row, (-1,) * len(choice))) / 2
        for j, place in enumerate(choice):
            if place < 0 or self.clock() - self.start > 2 * self.seconds:
                continue
            fewer = (*choice[:j], -1, *choice[j + 1 :])
            if self._again(row, fewer) >= goal:
                choice = fewer
        return row, choice

    def _again(self, row: int, choice: Choice) -> float:
        table = self.moves.build(self.usual.slice(row, 1), choice)
        if table is None:
            return -1.0
        times = [milliseconds(self.model, table, self.clock) for _ in range(TWICE + 1)]
        return -1.0 if np.isnan(times).any() else float(np.median(times))


def sponge(
    model: Predictor, usual: ArrowTable, moves: Moves, *, seconds: float, seed: int,
    clock: Clock = time.perf_counter, progress: Progress = silent,
) -> Found:  # fmt: skip
    """The slowest row that the search finds from `usual` rows. Raises CouldNotLook where usual rows are refused."""
    if np.isnan(milliseconds(model, usual.slice(0, 1), clock)):
        raise CouldNotLook("the model refuses a usual row, so that nothing can be compared to it")
    return Search(model, usual, moves, seconds=seconds, seed=seed, clock=clock, progress=progress).run()
