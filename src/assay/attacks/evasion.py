"""Evasion by asking only for the decision: the cheapest permitted change after which a flagged row passes.

Three searches, whichever finds the cheapest. The first asks every single move. The second walks combinations of moves
in order of cost, so that within its queries nothing cheaper is left among the candidates. The third borrows values
from rows that pass, then takes back whatever was not needed. With access to scores another one descends greedily. All
rows are asked in one batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from assay.attacks.space import KEEP, Space
from assay.core.protocols import Predictor, Progress, silent

Array = Any
CHUNK = 24
MOST_MOVES = 6
STARTS = 12


class Evaded(msgspec.Struct, frozen=True):
    """Per row (n,): the cost of the cheapest success, inf if none was found; `choice` (n, m); `queries` asked (n,)."""

    cost: Array
    choice: Array
    queries: Array


class Search:
    """One attack on the rows of a space; every query is counted against its row."""

    def __init__(self, predictor: Predictor, space: Space, limit: int, seed: int) -> None:
        self.predictor, self.space, self.limit = predictor, space, limit
        self.rng = np.random.default_rng(seed)
        self.queries = np.zeros(space.size, dtype=int)
        self.best = np.full(space.size, np.inf)
        self.choice = space.keep(space.size)

    def ask(self, ids: Array, choice: Array) -> tuple[Array, Array]:
        """(evades, score) for each choice; one that breaks a relation is never asked and never evades."""
        evades = np.zeros(len(ids), dtype=bool)
        scores = np.full(len(ids), np.inf)
        if not len(ids):
            return evades, scores
        table = self.space.build(ids, choice)
        valid = self.space.valid(table)
        if valid.any():
            scores[valid] = self.predictor.scores(table if valid.all() else table.filter(valid))
            evades[valid] = scores[valid] < self.predictor.threshold
            np.add.at(self.queries, ids[valid], 1)
        return evades, scores

    def keep_best(self, ids: Array, choice: Array) -> None:
        """Remember successes that are cheaper than what is known."""
        cost = self.space.cost(ids, choice)
        for place in np.argsort(-cost, kind="stable"):
            row = ids[place]
            if cost[place] < self.best[row]:
                self.best[row], self.choice[row] = cost[place], choice[place]

    def left(self) -> Array:
        """Queries each row may still ask, shape (n,)."""
        return self.limit - self.queries

    def singles(self) -> None:
        """Ask every single move of every row, the cheapest first where they are more than the limit."""
        ids: list[int] = []
        choices: list[Array] = []
        for row in range(self.space.size):
            taken = self._moves(row, self.space.keep(1)[0], int(self.left()[row]))
            ids += [row] * len(taken)
            choices += taken
        asked, choice = np.array(ids, dtype=int), np.array(choices, dtype=np.int16).reshape(-1, len(self.space.axes))
        evades, _ = self.ask(asked, choice)
        self.keep_best(asked[evades], choice[evades])

    def _moves(self, row: int, state: Array, most: int) -> list[Array]:
        """`state` with one more feature changed, cheapest first, up to `most`."""
        places = np.argwhere(np.isfinite(self.space.costs[row]) & (state == KEEP)[:, None])
        order = np.argsort(self.space.costs[row][places[:, 0], places[:, 1]], kind="stable")[:most]
        choices = []
        for j, k in places[order].tolist():
            choice = state.copy()
            choice[j] = k
            choices.append(choice)
        return choices

    def by_cost(self, share: float, progress: Progress) -> None:
        """Ask combinations in order of cost until one evades, none is cheaper than the known, or `share` is asked."""
        limit = int(self.limit * share)
        walks = {i: cheapest(self.space, i, limit, float(self.best[i])) for i in range(self.space.size)}
        start = len(walks)
        while walks:
            ids: list[int] = []
            choices: list[Array] = []
            for row in list(walks):
                taken = [c for c, _ in zip(walks[row], range(min(CHUNK, limit - int(self.queries[row]))), strict=False)]
                if not taken:
                    del walks[row]
                ids += [row] * len(taken)
                choices += taken
            if not ids:
                break
            asked, choice = np.array(ids), np.array(choices)
            evades, _ = self.ask(asked, choice)
            self.keep_best(asked[evades], choice[evades])
            for row in np.unique(asked[evades]).tolist():
                walks.pop(row, None)
            progress(start - len(walks), start, "in order of cost")

    def borrow(self, passing: Any) -> None:
        """Start from the values of rows that pass (an Arrow table), then take back what was not needed."""
        codes = np.column_stack(
            [a.place(np.array(passing.column(a.name).to_pylist(), dtype=object)) for a in self.space.axes]
        )
        for row in range(self.space.size):
            if np.isfinite(self.best[row]) or not len(codes):
                continue
            picks = self.rng.choice(len(codes), size=min(STARTS, len(codes)), replace=False)
            choice = np.array([self._toward(row, codes[p]) for p in picks])
            ids = np.full(len(choice), row)
            evades, _ = self.ask(ids, choice)
            if evades.any():
                self.keep_best(ids[evades], choice[evades])
        self.reduce()

    def _toward(self, row: int, codes: Array) -> Array:
        """The choice that brings a row nearest to given codes, with permitted moves only."""
        choice = self.space.keep(1)[0]
        for j, axis in enumerate(self.space.axes):
            allowed = np.isfinite(axis.cost[row])
            if np.isnan(codes[j]) or not allowed.any() or codes[j] == axis.origin[row]:
                continue
            gap = np.where(allowed, np.abs(axis.codes[row] - codes[j]), np.inf)
            if axis.levels and not axis.feature.order and gap.min() > 0:
                continue
            choice[j] = int(np.argmin(gap))
        return choice

    def descend(self, progress: Progress) -> None:
        """With scores: take the move with the largest drop for its cost, again and again, until the row passes."""
        active = np.flatnonzero(self.left() > 0)
        state = self.space.keep(self.space.size)
        score = self.predictor.scores(self.space.rows)
        for depth in range(min(MOST_MOVES, len(self.space.axes))):
            progress(depth, MOST_MOVES, "by score")
            ids, choice = self._steps(active, state)
            if not len(ids):
                break
            evades, scores = self.ask(ids, choice)
            self.keep_best(ids[evades], choice[evades])
            done = set(np.unique(ids[evades]).tolist())
            added = self.space.cost(ids, choice) - self.space.cost(ids, state[ids])
            gain = (score[ids] - scores) / np.maximum(added, 1e-9)
            for row in active.tolist():
                mine = np.flatnonzero(ids == row)
                if row in done or not len(mine) or not gain[mine].max() > 0:
                    done.add(row)
                    continue
                best = mine[int(np.argmax(gain[mine]))]
                state[row], score[row] = choice[best], scores[best]
            active = np.array([r for r in active.tolist() if r not in done and self.left()[r] > 0], dtype=int)
        self.reduce()

    def _steps(self, active: Array, state: Array) -> tuple[Array, Array]:
        ids: list[int] = []
        choices: list[Array] = []
        for row in active.tolist():
            taken = self._moves(row, state[row], int(self.left()[row]))
            ids += [row] * len(taken)
            choices += taken
        return np.array(ids, dtype=int), np.array(choices, dtype=np.int16).reshape(-1, len(self.space.axes))

    def reduce(self) -> None:
        """Take back, feature by feature, dearest first, whatever the success does not need."""
        rows = np.flatnonzero(np.isfinite(self.best) & (self.best > 0))
        if not len(rows):
            return
        parts = np.take_along_axis(
            self.space.costs[rows], np.maximum(self.choice[rows], 0)[:, :, None].astype(int), axis=2
        )
        parts = np.where(self.choice[rows] == KEEP, 0, parts[:, :, 0])
        for j in np.argsort(-parts.sum(axis=0)):
            self._cheapen(rows, int(j))

    def _cheapen(self, rows: Array, j: int) -> None:
        """Bisect one feature's candidates by cost, between keeping it and the known success."""
        rows = rows[(self.choice[rows, j] != KEEP) & (self.left()[rows] > 0)]
        if not len(rows):
            return
        order = np.argsort(self.space.costs[rows, j], axis=1, kind="stable")
        high = np.argmax(order == self.choice[rows, j][:, None], axis=1)
        low = np.full(len(rows), -2)  # -1 is keeping the original value; -2 lies below it
        while True:
            open_ = np.flatnonzero((high - low > 1) & (self.left()[rows] > 0))
            if not len(open_):
                return
            middle = np.where(low[open_] == -2, -1, (low[open_] + high[open_]) // 2)
            ids, choice = rows[open_], self.choice[rows[open_]].copy()
            choice[:, j] = np.where(middle == -1, KEEP, order[open_, np.maximum(middle, 0)])
            evades, _ = self.ask(ids, choice)
            self.keep_best(ids[evades], choice[evades])
            high[open_] = np.where(evades, middle, high[open_])
            low[open_] = np.where(evades, low[open_], middle)

    def result(self) -> Evaded:
        """What was found."""
        return Evaded(self.best.copy(), self.choice.copy(), self.queries.copy())


def cheapest(space: Space, row: int, most: int, below: float) -> Iterator[Array]:
    """Choices of two or more moves for a row in order of cost, one move a feature; up to `most`, all below `below`."""
    places = np.argwhere(np.isfinite(space.costs[row]))
    cost = space.costs[row][places[:, 0], places[:, 1]]
    order = np.argsort(cost, kind="stable")
    moves, price = places[order].tolist(), cost[order].tolist()
    heap: list[tuple[float, tuple[int, ...]]] = [(price[0], (0,))] if moves else []
    given = popped = 0
    while heap and given < most and popped < 40 * most:
        total, taken = heapq.heappop(heap)
        popped += 1
        if total >= below:
            return
        last = taken[-1] + 1
        if last < len(moves):
            heapq.heappush(heap, (total - price[last - 1] + price[last], (*taken[:-1], last)))
            if len(taken) < MOST_MOVES:
                heapq.heappush(heap, (total + price[last], (*taken, last)))
        if len(taken) > 1 and len({moves[t][0] for t in taken}) == len(taken):
            choice = space.keep(1)[0]
            for t in taken:
                choice[moves[t][0]] = moves[t][1]
            given += 1
            yield choice


def attack(
    predictor: Predictor, space: Space, passing: Any, *, access: str, limit: int, seed: int, progress: Progress = silent
) -> Evaded:
    """The cheapest evasion found for each row of `space`.

    `passing` are rows that the model does not flag (Arrow), to borrow values from; `access` is label or score; `limit`
    the queries a row may ask.
    """
    search = Search(predictor, space, limit, seed)
    search.singles()
    search.by_cost(0.5 if access == "label" else 0.3, progress)
    if access == "score":
        search.descend(progress)
    search.borrow(passing)
    return search.result()
