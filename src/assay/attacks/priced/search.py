"""Evasion by asking only for the decision: the cheapest permitted change after which a flagged row passes.

Searches in turn, each bounded by the cheapest success so far and by a share of the queries a row may ask. Where a row
has more single moves than it can ask, the ends of each feature come first, bisected. Then come single moves in order of
cost; fine ones in an order drawn for each row; moves of two inputs that a relation ties together; and combinations in
order of cost, so that a search that runs to its end leaves nothing cheaper among the usual candidates. With access to
scores one descends greedily. What is left of the queries borrows values from rows that pass, takes back what was not
needed, exchanges one change for cheaper ones, and asks the other fine moves of rows in which nothing evades.
All rows are asked in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from assay.attacks.priced.order import cheapest, exchanges, finest, rank, spread
from assay.attacks.priced.ties import joint
from assay.attacks.space import KEEP, Array, Space
from assay.core.protocols import ArrowTable, Predictor, Progress, silent

CHUNK = 24
HEARD = 64
STARTS = 12
FIRST, ROUNDS = 5, 20
SINGLES = {"label": 0.4, "score": 0.25}  # shares of the queries a row may ask
COMBINATIONS, ASSURED = 0.65, 0.15  # up to there, all before it counted; and at least so much, whatever was before
TIED = 0.15  # moves of two inputs that a relation ties together
FINE = 0.15  # fine moves; rows in which nothing evades ask the rest with what is left
DESCENT, SPARED = 0.2, 0.35
TRIED_AGAIN = 12


def assured(limit: int) -> int:
    """How many combinations a row may ask at least, of `limit` queries in all, whatever it asked before."""
    return max(1, int(limit * ASSURED))


class Evaded(msgspec.Struct, frozen=True):
    """Per row (n,): the cost of the cheapest success, inf if none was found; `choice` (n, m); `queries` asked (n,).

    `heard` is a sample of what was asked, as (row, choice (m,), whether it evades). Of `settled` rows (n,) nothing
    cheaper is left among the candidates.
    """

    cost: Array
    choice: Array
    queries: Array
    heard: tuple[tuple[int, Array, bool], ...] = ()
    settled: Array | None = None


class Search:
    """One attack on the rows of a space; every query is counted against its row, and none asks more than `limit`."""

    def __init__(
        self, predictor: Predictor, space: Space, passing: ArrowTable, access: str, limit: int, seed: int
    ) -> None:
        self.predictor, self.space, self.access, self.limit = predictor, space, access, limit
        self.rng = np.random.default_rng(seed)
        self._ears = np.random.default_rng([seed, 1])  # its own, so that listening changes no attack
        self.queries = np.zeros(space.size, dtype=int)
        self.heard: list[tuple[int, Array, bool]] = []  # a sample of what was asked and answered, to be asked again
        self.best = np.full(space.size, np.inf)
        self.choice = space.keep(space.size)
        self.covered = np.zeros(space.size, dtype=bool)  # no cheaper single move is left
        self.settled = np.zeros(space.size, dtype=bool)  # nothing cheaper is left among the candidates
        self.can = space.possible()
        self.alone = np.where(self.can, space.usual(), np.inf)  # the cost of each usual move by itself
        flat = self.alone.reshape(space.size, -1)
        self.donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
        self.worth = np.full(len(self.donors), 0.1)  # how often the values of each have worked
        self.moves = np.argsort(flat, axis=1, kind="stable")  # single moves of each row, the cheapest first
        self.prices = np.take_along_axis(flat, self.moves, axis=1)
        self.count = np.isfinite(flat).sum(axis=1)

    def ask(self, ids: Array, choice: Array) -> tuple[Array, Array]:
        """(evades, score) for each choice; successes are kept.

        One that breaks a relation, or whose row may ask no more, is not asked: it does not evade and scores inf.
        """
        evades, scores = np.zeros(len(ids), dtype=bool), np.full(len(ids), np.inf)
        if not len(ids):
            return evades, scores
        table = self.space.build(ids, choice)
        asked = self.space.valid(table)
        asked[asked] = rank(ids[asked]) < self.left()[ids[asked]]
        if asked.any():
            table = table if asked.all() else table.filter(asked)
            if self.access == "score":
                scores[asked] = self.predictor.scores(table)
                evades[asked] = scores[asked] < self.predictor.threshold
            else:
                evades[asked] = ~self.predictor.flagged(table)
            np.add.at(self.queries, ids[asked], 1)
            self._hear(ids, choice, evades, np.flatnonzero(asked))
            self._keep(ids[evades], choice[evades])
        return evades, scores

    def _hear(self, ids: Array, choice: Array, evades: Array, asked: Array) -> None:
        for at in self._ears.choice(asked, min(HEARD // 8, len(asked)), replace=False).tolist():
            one = (int(ids[at]), choice[at], bool(evades[at]))
            if len(self.heard) < HEARD:
                self.heard.append(one)
            else:
                self.heard[int(self._ears.integers(HEARD))] = one

    def _keep(self, ids: Array, choice: Array) -> None:
        cost = self.space.cost(ids, choice)
        first = np.lexsort((cost, ids))
        rows, at = np.unique(ids[first], return_index=True)
        better = cost[first[at]] < self.best[rows]
        rows, at = rows[better], first[at[better]]
        self.best[rows], self.choice[rows] = cost[at], choice[at]

    def left(self) -> Array:
        """Queries each row may still ask, shape (n,)."""
        return self.limit - self.queries

    def _single(self, ids: Array, at: Array) -> Array:
        """The choices (q, m) that make the `at`-th cheapest single move of each row."""
        choice = self.space.keep(len(ids))
        j, k = np.divmod(self.moves[ids, at], self.space.width)
        choice[np.arange(len(ids)), j] = k
        return choice

    def ends(self) -> None:
        """Where single moves are too many to ask all: the far end of each feature and side, then bisect toward it."""
        ids: list[int] = []
        choices: list[Array] = []
        for row in np.flatnonzero(self.count > self.limit * SINGLES[self.access]).tolist():
            costs, sides = self.alone[row], self.space.sides[row]
            reach = [np.where((sides == side) & np.isfinite(costs), costs, -1.0) for side in (-1, 1)]
            far = [(j, int(r[j].argmax())) for r in reach for j in range(len(r)) if r[j].max() > 0]
            for place in self.rng.permutation(len(far))[: self.limit // 4].tolist():
                choice = self.space.keep(1)[0]
                choice[far[place][0]] = far[place][1]
                ids.append(row)
                choices.append(choice)
        asked, choice = np.array(ids, dtype=int), self._array(choices)
        evades, _ = self.ask(asked, choice)
        self.reduce(asked[evades], choice[evades])

    def singles(self) -> None:
        """Ask single moves in order of cost, until one evades or none is cheaper than the known."""
        at = np.zeros(self.space.size, dtype=int)
        most = np.minimum(self.count, int(self.limit * SINGLES[self.access]))
        while True:
            rows = np.flatnonzero((at < most) & (self.prices[np.arange(len(at)), np.minimum(at, most - 1)] < self.best))
            if not len(rows):
                break
            ids = np.repeat(rows, np.minimum(CHUNK, most[rows] - at[rows]))
            self.ask(ids, self._single(ids, at[ids] + rank(ids)))
            at[rows] = np.minimum(at[rows] + CHUNK, most[rows])
        cheaper = (self.prices < self.best[:, None]).sum(axis=1)
        self.covered = at >= cheaper

    def fine(self, progress: Progress, *, rest: bool = False) -> None:
        """Ask fine moves that are cheaper than the known until one evades: a share of the queries at first, with `rest`
        those that are left in rows where nothing evades, with all queries that are left."""
        walks, first = {}, int(self.limit * FINE)
        rows = np.flatnonzero(np.isinf(self.best)) if rest else np.arange(self.space.size)
        for row in rows.tolist():
            moves = finest(self.space, row, self.can[row])[first if rest else 0 :]
            moves = moves[self.space.costs[row][tuple(moves.T)] < self.best[row]]
            choice = self.space.keep(len(moves))
            choice[np.arange(len(moves)), moves[:, 0]] = moves[:, 1]
            walks[row] = iter(choice)
        most, before = np.minimum(self.queries + (self.limit if rest else first), self.limit), self.best.copy()
        self._walk(walks, most, progress, "fine")
        found = np.flatnonzero(self.best < before)
        self.reduce(found, self.choice[found])

    def tied(self, progress: Progress) -> None:
        """Ask moves of two inputs that a relation ties together, in order of cost, until one evades."""
        if not self.space.constraints:
            return
        ids, choice = joint(self.space, int(self.limit * TIED))
        cheaper = self.space.cost(ids, choice) < self.best[ids]
        ids, choice = ids[cheaper], choice[cheaper]
        walks = {int(row): iter(choice[ids == row]) for row in np.unique(ids)}
        most = np.minimum(self.queries + int(self.limit * TIED), self.limit)
        self._walk(walks, most, progress, "two at a time")

    def combinations(self, progress: Progress) -> None:
        """Ask combinations in order of cost until one evades or none is cheaper than the known."""
        walks = {i: cheapest(self.space, i, float(self.best[i])) for i in range(self.space.size)}
        most = np.maximum(self.limit * COMBINATIONS, self.queries + assured(self.limit)).astype(int)
        ended = self._walk(walks, np.minimum(most, self.limit), progress, "in order of cost")
        self.settled = self.covered & ended

    def exchange(self, progress: Progress) -> None:
        """Give back one move of the cheapest success for a cheaper one elsewhere, again and again."""
        rows = np.flatnonzero(~self.settled & np.isfinite(self.best))
        walks = {i: exchanges(self.space, i, self.choice[i]) for i in rows.tolist()}
        self._walk(walks, np.full(self.space.size, self.limit), progress, "by exchange", again=True)

    def _walk(
        self, walks: dict[int, Iterator[Array]], most: Array, progress: Progress, what: str, *, again: bool = False
    ) -> Array:
        """Ask what each row's walk gives until one evades, or the row has asked `most` (n,) queries in all; with
        `again` a success starts a new walk from it. Gives the rows (n,) whose walk was not cut short.
        """
        start, ended = len(walks), np.ones(self.space.size, dtype=bool)
        given = np.zeros(self.space.size, dtype=int)  # a walk that breaks relations only must end too
        while walks:
            ids: list[int] = []
            choices: list[Array] = []
            for row in list(walks):
                room = min(CHUNK, int(most[row] - self.queries[row]), 2 * self.limit - int(given[row]))
                taken = [c for _, c in zip(range(room), walks[row], strict=False)]
                given[row] += len(taken)
                ids += [row] * len(taken)
                choices += taken
                if room <= 0 or len(taken) < room:
                    ended[row] = room > 0
                    del walks[row]
            asked = np.array(ids, dtype=int)
            evades, _ = self.ask(asked, self._array(choices))
            for row in np.unique(asked[evades]).tolist():
                walks.pop(row, None)
                if again:
                    walks[row] = exchanges(self.space, row, self.choice[row])
            progress(start - len(walks), start, what)
        return ended

    def _array(self, choices: list[Array]) -> Array:
        return np.array(choices, dtype=np.int16).reshape(-1, len(self.space.axes))

    def descend(self, progress: Progress) -> None:
        """With scores: the move with the largest drop for its cost, again and again, until the row passes.

        Rows that get stuck start again with the largest drop, whatever it costs.
        """
        rows = np.flatnonzero(~self.settled & (self.left() > 0))
        score = np.full(self.space.size, np.inf)
        if len(rows):
            score[rows] = self.predictor.scores(self.space.rows.take(rows))
            self.queries[rows] += 1
        room = max(1, int(self.limit * DESCENT))
        first = [spread(int(self.count[r]), room) for r in rows.tolist()]
        ids, at = np.repeat(rows, [len(p) for p in first]), np.concatenate([*first, np.zeros(0, dtype=int)])
        evades, scores = self.ask(ids, self._single(ids, at))
        for power in (1.0, 0.0):
            stuck = np.isinf(self.best[ids]) | ((power > 0) & ~np.isin(ids, ids[evades]))
            self._descend(ids[stuck], at[stuck], scores[stuck], score.copy(), power, progress)
            found = rows[np.isfinite(self.best[rows])]
            self.reduce(found, self.choice[found])

    def _descend(self, ids: Array, at: Array, scores: Array, score: Array, power: float, progress: Progress) -> None:
        """From what the first moves (q,) scored: one move more at a time, the best of the last time tried again."""
        state = self.space.keep(self.space.size)
        choice = self._single(ids, at)
        evades = np.zeros(len(ids), dtype=bool)
        for depth in range(len(self.space.axes)):
            progress(depth, len(self.space.axes), "by score")
            added = self.space.cost(ids, choice) - self.space.cost(ids, state[ids])
            drop = np.minimum(score[ids] - scores, score[ids] - self.predictor.threshold)
            gain = np.where((added > 0) & (drop > 0), drop / np.where(added > 0, added, 1.0) ** power, 0.0)
            order = np.lexsort((-gain, ids))
            place = rank(ids[order])
            tops = order[(place == 0)]
            tops = tops[(gain[tops] > 0) & ~np.isin(ids[tops], ids[evades])]
            spared = max(self.limit * SPARED, assured(self.limit) + 2 * TRIED_AGAIN)
            tops = tops[self.left()[ids[tops]] > spared]
            state[ids[tops]], score[ids[tops]] = choice[tops], scores[tops]
            most = np.lexsort((scores, ids))  # the largest drops too, or the cheapest feature fills the list alone
            again = np.union1d(order[place < TRIED_AGAIN], most[rank(ids[most]) < TRIED_AGAIN])
            again = again[np.isin(ids[again], ids[tops])]
            ids, at = ids[again], at[again]
            if not len(ids):
                return
            move = self._single(ids, at)
            choice = np.where(move == KEEP, state[ids], move)
            evades, scores = self.ask(ids, choice)

    def borrow(self, rounds: range, progress: Progress) -> None:
        """Start from the values of rows that pass, later from some of them too; take back what was not needed."""
        for round_ in rounds if len(self.donors) else ():
            progress(round_, rounds.stop, "from rows that pass")
            spared = self.limit // 8 if round_ >= FIRST else assured(self.limit) + STARTS
            rows = np.flatnonzero(~self.settled & (self.left() > spared) & (np.isinf(self.best) | (round_ >= FIRST)))
            ids = np.repeat(rows, STARTS)
            whole = np.arange(len(ids)) % 2 == 0 if round_ else np.ones(len(ids), dtype=bool)
            picked = self.rng.choice(len(self.donors), size=len(ids), p=self.worth / self.worth.sum())
            toward = self._toward(ids, self.donors[picked])
            choice = self._varied(ids, toward)
            choice[whole] = toward[whole]
            changed = (choice != KEEP).any(axis=1)
            ids, choice, picked = ids[changed], choice[changed], picked[changed]
            evades, _ = self.ask(ids, choice)
            np.add.at(self.worth, picked[evades], 1.0)  # what works for one row works for others
            ids, choice = ids[evades], choice[evades]
            first = np.lexsort((self.space.cost(ids, choice), ids))
            each = first[np.unique(ids[first], return_index=True)[1]]
            self.reduce(ids[each], choice[each])

    def _varied(self, ids: Array, choice: Array) -> Array:
        """Choices with some moves left out, and some taken at random."""
        usual = np.isfinite(self.space.usual(ids))
        chance = np.where(usual, self.rng.random(usual.shape), 0)
        anything = np.where(chance.max(axis=2) > 0, chance.argmax(axis=2), KEEP)
        draw = self.rng.random(choice.shape)
        return np.where(draw < 0.4, KEEP, np.where(draw < 0.55, anything, choice)).astype(np.int16)

    def _toward(self, ids: Array, codes: Array) -> Array:
        """The choices (q, m) that bring rows nearest to codes (q, m) with permitted moves, or just beyond them."""
        choice = self.space.keep(len(ids))
        beyond = self.rng.random(choice.shape) < 0.5
        for j, axis in enumerate(self.space.axes):
            have = axis.codes[ids]
            cost, side = (a[ids, j, : have.shape[1]] for a in (self.space.costs, self.space.sides))
            if axis.ordered:
                ahead = np.sign(codes[:, j] - axis.origin[ids])[:, None]
                gap = (have - codes[:, [j]]) * ahead  # above zero: beyond it
                far = np.where(np.isfinite(cost) & (side == ahead), np.abs(gap), np.inf)
                past = np.where(beyond[:, [j]] & (gap >= 0), far, np.inf)
                far = np.where(np.isfinite(past).any(axis=1, keepdims=True), past, far)
            else:
                far = np.where(np.isfinite(cost) & (have == codes[:, [j]]), 0.0, np.inf)
            choice[:, j] = np.where(np.isfinite(far).any(axis=1), np.argmin(far, axis=1), KEEP)
        return choice

    def reduce(self, ids: Array, trial: Array) -> None:
        """Take back, feature by feature, whatever each success (q, m) does not need; the dear ones sooner."""
        trial = trial.copy()
        parts = self.space.parts(ids, trial)
        for turn in np.argsort(-parts * self.rng.random(parts.shape), axis=1).T:
            self._cheapen(ids, trial, turn)

    def _cheapen(self, ids: Array, trial: Array, j: Array) -> None:
        """Bisect feature j (q,) of each success between the original value and the candidate, on the same side."""
        at = np.flatnonzero((trial[np.arange(len(ids)), j] != KEEP) & (self.left()[ids] > 0))
        ids, j, mine = ids[at], j[at], np.arange(len(at))
        if not len(at):
            return
        cost, side, taken = self.space.costs[ids, j], self.space.sides[ids, j], trial[at, j]
        cheaper = (side == side[mine, taken][:, None]) & (cost < cost[mine, taken][:, None])
        order = np.argsort(np.where(cheaper, cost, np.inf), axis=1, kind="stable")
        high = cheaper.sum(axis=1)  # places in `order`; -1 is the original value, -2 lies below it
        only = (trial[at] != KEEP).sum(axis=1) == 1
        low = np.where(only, -1, -2)
        while True:
            least = np.where(low < -1, 0.0, cost[mine, order[mine, np.clip(low + 1, 0, order.shape[1] - 1)]])
            open_ = np.flatnonzero((high - low > 1) & (self.left()[ids] > 0) & (least < self.best[ids]))
            if not len(open_):
                return
            middle = np.where(low[open_] == -2, -1, (low[open_] + high[open_]) // 2)
            choice = trial[at[open_]]
            choice[np.arange(len(open_)), j[open_]] = np.where(middle < 0, KEEP, order[open_, np.maximum(middle, 0)])
            evades, _ = self.ask(ids[open_], choice)
            trial[at[open_[evades]]] = choice[evades]
            high[open_] = np.where(evades, middle, high[open_])
            low[open_] = np.where(evades, low[open_], middle)

    def stages(self, progress: Progress) -> tuple[tuple[str, Callable[[], None]], ...]:
        """The searches of the attack by name, in turn; what it has found stands after each."""
        return (
            ("ends", self.ends),
            ("singles", self.singles),
            ("fine", lambda: self.fine(progress)),
            ("tied", lambda: self.tied(progress)),
            ("borrow", lambda: self.borrow(range(FIRST), progress)),
            ("descend", lambda: self.descend(progress) if self.access == "score" else None),
            ("combinations", lambda: self.combinations(progress)),
            ("borrow again", lambda: self.borrow(range(FIRST, ROUNDS), progress)),
            ("exchange", lambda: self.exchange(progress)),
            ("fine, the rest", lambda: self.fine(progress, rest=True)),
        )

    def found(self) -> Evaded:
        """What stands now."""
        return Evaded(self.best, self.choice, self.queries, tuple(self.heard), self.settled)


def attack(
    predictor: Predictor,
    space: Space,
    passing: ArrowTable,
    *,
    access: str,
    limit: int,
    seed: int,
    progress: Progress = silent,
) -> Evaded:
    """The cheapest evasion found for each row of `space`, whatever it costs.

    `passing` are rows that the model does not flag, to borrow values from; `access` is label or score; `limit` the
    queries a row may ask.
    """
    search = Search(predictor, space, passing, access, limit, seed)
    for _, stage in search.stages(progress):
        stage()
    return search.found()
