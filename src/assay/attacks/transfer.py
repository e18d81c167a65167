"""Evasion by transfer: copies are trained on the model's own answers, attacked white-box, and what passes is kept.

A boosted ensemble and a small network learn from rows that pass, rows that are flagged, and rows whose inputs were
drawn from both (Papernot et al. 2017). Each is attacked ever further below its own threshold, and the real model is
asked; what it said of failures is learnt before the next round. Every answer is counted.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.encode import encode
from assay.adapters.ensembles.lightgbm_trees import lightgbm_trees
from assay.adapters.ensembles.trees import Trees
from assay.adapters.networks.network import Inputs, Layer, Network
from assay.attacks.attacked import Attacked
from assay.attacks.gradient.apgd import Search
from assay.attacks.gradient.moves import Moves
from assay.attacks.sanity import refuse_other_alone
from assay.attacks.space import Array, Space
from assay.attacks.trees.whitebox import Whitebox
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Access, Norm

ROUNDS = 3
FURTHER = (0.0, 0.25, 0.6, 1.2)
"""Standard deviations of the copy's margin below its threshold."""
LEARNT, MOST = 0.5, 6000
"""Share of the queries that goes into the first lesson, and rows of it at most."""
LEAST = 40
WORK = 2e4
HEARD = 64
"""Rows that are asked again alone."""
TREES: dict[str, Any] = {
    "objective": "regression", "learning_rate": 0.15, "num_leaves": 15, "min_data_in_leaf": 5, "max_bin": 63,
    "verbose": -1, "deterministic": True, "force_row_wise": True, "num_threads": 1, "max_cat_to_onehot": 8,
}  # fmt: skip
TREE_COUNT = 60


class Lesson(NamedTuple):
    """Rows asked (Arrow) and how far above the threshold each scored, (n,)."""

    rows: ArrowTable
    above: Array


class UnlearntError(CouldNotLook):
    """There are too few answers, or of one kind only, to learn a copy from, or no copy can be attacked; `queries` (n,)
    were asked for them."""

    def __init__(self, why: str, queries: Array) -> None:
        super().__init__(why)
        self.queries = queries


class Best:
    """The nearest change of every row that the real model let pass, and what was asked: of no row more than `limit`
    (n,).

    With `access: label` nothing of a score is learnt, even where the model gives one.
    """

    def __init__(self, model: Predictor, space: Space, norm: Norm, limit: Array, access: Access) -> None:
        self.model, self.space, self.norm, self.access = model, space, norm, access
        self.limit, self.queries = limit, np.zeros(space.size, dtype=int)
        self.distance = np.full(space.size, np.inf)
        self.codes = np.full((space.size, len(space.axes)), np.nan)
        self.heard: list[Lesson] = []

    def ask(self, rows: ArrowTable) -> Array:
        """How far above the threshold rows score, (n,); ±1 where labels are all that is seen."""
        if self.access == "label":
            above = np.where(self.model.flagged(rows), 1.0, -1.0)
        else:
            above = _height(np.asarray(self.model.scores(rows)), self.model.threshold)
        self.heard.append(Lesson(rows.select(list(self.model.features)), above))
        return above

    def offer(self, ids: Array, codes: Array) -> None:
        """Ask about changed rows, each once and nearer than the known, and keep those that pass."""
        table = self.space.moved(ids, codes)
        price = self.space.price(ids, table, self.norm)
        open_ = (self.queries < self.limit)[ids]
        use = np.flatnonzero(open_ & (price < self.distance[ids]) & (price > 0) & self.space.valid(table))
        if not len(use):
            return
        above = self.ask(table.take(use))
        np.add.at(self.queries, ids[use], 1)
        passed = use[above < 0]
        passed = passed[np.argsort(-price[passed], kind="stable")]  # the nearest is written last
        self.distance[ids[passed]], self.codes[ids[passed]] = price[passed], codes[passed]


def attack_transfer(
    predictor: Predictor, space: Space, passing: ArrowTable, norm: Norm, *, limit: int | Array, seed: int = 0,
    access: Access | None = None, progress: Progress = silent,
) -> Attacked:  # fmt: skip
    """The nearest evasions of the rows of `space` that attacks on copies lead to; `limit` queries a row, or (n,).

    `access` is what an attacker sees of an answer, by default all that the model gives. The copies' lessons count too,
    spread over the rows. There is no bound: it is 0. Raises UnlearntError where there are too few answers of either
    kind to learn from, and where copies of these inputs cannot be attacked.
    """
    rng = np.random.default_rng(seed)
    best = Best(predictor, space, norm, np.broadcast_to(limit, space.size), access or predictor.access)
    shares = np.floor(best.limit * LEARNT).astype(int)
    if (much := int(shares.sum())) > MOST:
        shares = shares * MOST // much
    count = int(shares.sum())
    few = f"{count} answers, all alike or too few: no copy can be trained on them"
    if count < LEAST:  # nothing is asked that would be for nothing
        raise UnlearntError(few, best.queries)
    above = best.ask(_lesson(space, passing, predictor.features, count, rng))
    best.queries += shares
    if not 0 < (above < 0).sum() < len(above):
        raise UnlearntError(few, best.queries)
    rows = np.arange(space.size)
    for turn in range(ROUNDS):
        progress(turn, ROUNDS, "transfer")
        if (best.queries >= best.limit).all():
            break
        copies = _copies(_joined(best.heard), space, predictor.features, seed + turn)
        for further in FURTHER:
            try:
                offers = _candidates(copies, space, norm, further, passing, seed + turn)
            except CouldNotLook as error:
                raise UnlearntError(f"copies of the model cannot be attacked: {error}", best.queries) from None
            for codes, found in offers:
                near = rows[np.isfinite(found) & (found < best.distance)]
                best.offer(near, codes[near])
        _drawn(best)
    _refuse_neighbours(best, rng)
    return Attacked(
        distance=best.distance, bound=np.zeros(space.size), queries=best.queries,
        table=space.moved(rows, best.codes), unplanted="copies of the model do not know them",
    )  # fmt: skip


def _refuse_neighbours(best: Best, rng: Any) -> None:
    """What was asked among others must get the same answer alone. Raises CouldNotLook when one differs."""
    heard = _joined(best.heard)
    some = rng.choice(len(heard.above), min(HEARD, len(heard.above)), replace=False)
    refuse_other_alone(best.model, heard.rows.take(some), (heard.above[some] >= 0).tolist())


def _height(scores: Array, threshold: float) -> Array:
    """Scores as log-odds over the threshold's where they are probabilities, else as they are."""
    if 0.0 < threshold < 1.0 and scores.min(initial=0.5) >= 0.0 and scores.max(initial=0.5) <= 1.0:
        p = np.clip(scores, 1e-7, 1 - 1e-7)
        out: Array = np.log(p / (1 - p)) - np.log(threshold / (1 - threshold))
        return np.where(scores >= threshold, np.maximum(out, 0.0), np.minimum(out, -1e-12))
    return scores - threshold


def _lesson(space: Space, passing: ArrowTable, names: tuple[str, ...], count: int, rng: Any) -> ArrowTable:
    """Rows to ask at first: flagged, passing, and flagged ones of which some inputs are drawn from passing ones."""
    import pyarrow as pa

    own = [t.select(list(names)) for t in (space.rows, passing)]
    plain = pa.concat_tables([own[0], own[1]])
    if plain.num_rows >= count:
        return plain.take(pa.array(rng.permutation(plain.num_rows)[:count]))
    donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    more = count - plain.num_rows
    ids = rng.integers(space.size, size=more)
    codes = donors[rng.integers(len(donors), size=more)].copy()
    codes[rng.random(codes.shape) < rng.random((more, 1))] = np.nan
    return pa.concat_tables([plain, space.overwritten(ids, codes).select(list(names))])


def _joined(heard: list[Lesson]) -> Lesson:
    import pyarrow as pa

    return Lesson(pa.concat_tables([h.rows for h in heard]), np.concatenate([h.above for h in heard]))


Levels = dict[str, tuple[Any, ...]]


class Copies(NamedTuple):
    """What was learnt: a network, trees, and the spread of the margins that they imitate."""

    network: Network
    trees: Trees
    spread: float


def _copies(known: Lesson, space: Space, names: tuple[str, ...], seed: int) -> Copies:
    levels = _words(known, space)
    network = surrogate_network(known, names, levels, seed)
    return Copies(network, surrogate_trees(known, names, levels, seed), float(np.std(known.above)))


def _words(known: Lesson, space: Space) -> Levels:
    """The words of each categorical column: those that were asked, and those that are listed and were not: a copy knows
    nothing of these, but must take them for a value."""
    found = {}
    for axis in space.axes:
        column = known.rows.column(axis.name) if axis.name in known.rows.column_names else None
        if axis.levels and column is not None and str(column.type) in ("string", "large_string"):
            asked = [v for v in column.unique().to_pylist() if v is not None]
            found[axis.name] = tuple(dict.fromkeys((*sorted(asked), *map(str, axis.levels))))
    return found


def _candidates(
    copies: Copies, space: Space, norm: Norm, further: float, passing: ArrowTable, seed: int
) -> list[tuple[Array, Array]]:
    """(codes (n, m), distances (n,)) that evade each copy by so much. Raises CouldNotLook where neither can be
    attacked; what one of them leads to counts without the other."""
    out, why = [], CouldNotLook("")
    for attacked in (_past_network, _past_trees):
        try:
            out.append(attacked(copies, space, norm, -further * copies.spread, passing, seed))
        except CouldNotLook as error:
            why = error
    if not out:
        raise why
    return out


def _past_network(
    copies: Copies, space: Space, norm: Norm, target: float, passing: ArrowTable, seed: int
) -> tuple[Array, Array]:
    moves = Moves(copies.network, space, norm)
    search = Search(copies.network, moves, target, seed)
    search.single()
    search.follow(search.rows, moves.start_at(search.rows), rounds=12)
    search.lent(np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes]), 1)
    there = np.flatnonzero(np.isfinite(search.distance))
    search.follow(there, search.best.take(there), rounds=4)
    return moves.codes(search.rows, search.best), search.distance


def _past_trees(copies: Copies, space: Space, norm: Norm, target: float, _: ArrowTable, __: int) -> tuple[Array, Array]:
    nearest = Whitebox(copies.trees, space, norm, target).run(search=WORK, proof=0.0)
    return nearest.codes, nearest.distance


def surrogate_trees(known: Lesson, names: tuple[str, ...], levels: Levels, seed: int) -> Trees:
    """A boosted ensemble whose margin is how far above the threshold the model scores."""
    import lightgbm as lgb

    like = encode(known.rows, (), levels)
    codes = [i for i, n in enumerate(like.names) if n in like.levels]
    data = lgb.Dataset(like.matrix, label=known.above, categorical_feature=codes, free_raw_data=True)
    booster = lgb.train({**TREES, "seed": seed}, data, num_boost_round=TREE_COUNT)

    def read(rows: ArrowTable) -> Array:
        return encode(rows.select(list(names)), (), {}, like).matrix

    text = booster.model_to_string(num_iteration=-1)
    return lightgbm_trees(text.partition("\nend of trees")[0], "a copy", names, read, dict(like.levels), positive=1)


def surrogate_network(known: Lesson, names: tuple[str, ...], levels: Levels, seed: int) -> Network:
    """A small network whose margin is how far above the threshold the model scores."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor
    from threadpoolctl import threadpool_limits

    like = encode(known.rows, (), levels)

    def read(rows: ArrowTable) -> Array:
        return encode(rows.select(list(names)), (), {}, like).matrix

    column, level, filled = [], [], []
    for j, name in enumerate(like.names):
        if name in like.levels:
            codes = list(range(len(like.levels[name])))
            column += [j] * len(codes)
            level += [float(c) for c in codes]
            filled += [np.nan] * len(codes)
        else:
            held = like.matrix[:, j][np.isfinite(like.matrix[:, j])]
            column, level = [*column, j], [*level, np.nan]
            filled.append(float(held.mean()) if len(held) else 0.0)
    inputs = Inputs(np.array(column), np.array(level), np.array(filled))
    lift = Network(names, read, inputs, (Layer(np.zeros((len(column), 1)), np.zeros(1)),), levels=dict(like.levels))
    x = lift.lifted(like.matrix)
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scale = float(known.above.std()) or 1.0
    model = MLPRegressor(hidden_layer_sizes=(32,), max_iter=25, learning_rate_init=5e-3, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.clip((x - middle) / spread, -10, 10), known.above / scale)
    first, last = model.coefs_
    layers = (
        Layer(first / spread[:, None], model.intercepts_[0] - (middle / spread) @ first, "relu"),
        Layer(last * scale, model.intercepts_[1] * scale),
    )
    return Network(names, read, inputs, layers, levels=dict(like.levels))


def _drawn(best: Best, halvings: int = 5) -> None:
    """What passed, with its numbers drawn back toward the row by halving."""
    space = best.space
    rows = np.flatnonzero(np.isfinite(best.distance))
    number = np.array([not a.levels for a in space.axes])
    origin = np.column_stack([a.origin for a in space.axes])
    low, high = np.zeros(len(rows)), np.ones(len(rows))
    far = best.codes[rows].copy()
    for _ in range(halvings):
        if not len(rows):
            return
        middle = (low + high) / 2
        codes = np.where(number, origin[rows] + middle[:, None] * (far - origin[rows]), far)
        for j, axis in enumerate(space.axes):
            start, step = axis.grid
            if number[j] and step:
                codes[:, j] = axis.spelled(start + step * np.round((codes[:, j] - start) / step))
        codes = np.where(codes == origin[rows], np.nan, codes)
        best.offer(rows, codes)
        took = np.array([np.array_equal(best.codes[r], c, equal_nan=True) for r, c in zip(rows, codes, strict=True)])
        low, high = np.where(took, low, middle), np.where(took, middle, high)
