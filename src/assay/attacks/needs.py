"""What it takes to let a flagged row pass if everything were allowed, and how much of that a contract permits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from assay.attacks.relations import Relation, relations, satisfied
from assay.attacks.sanity import refuse_other_alone
from assay.attacks.space import Axis
from assay.core.protocols import ArrowTable, Predictor
from assay.core.subject import Contract, Norm

Array = Any
CHANGES = 4  # tried of each row, each toward another row that passes
HALVINGS = 5
HEARD = 16  # changed rows that are asked again alone


class Needs(msgspec.Struct, frozen=True):
    """Per row and input (n, inputs), summed over its changes: how often a move was `needed`, and how often it was also
    `permitted`; `changes` (n,) is how many smallest changes were found."""

    needed: Array
    permitted: Array
    changes: Array


class _Trials:
    """q rows on their way to other rows: each input has the row's own value or the one of its donor (q, inputs)."""

    def __init__(
        self, predictor: Predictor, rows: ArrowTable, pool: ArrowTable, own: Array, donor: Array, contract: Contract
    ) -> None:
        import pyarrow as pa

        self.predictor, self.own, self.first = predictor, own, rows.num_rows
        self.donor = np.tile(rows.num_rows + donor[:, None], (1, len(predictor.features)))
        self.constraints = relations(contract)
        read = set(predictor.features).union(*(c.columns for c in self.constraints))
        self.table = pa.concat_tables([rows, pool]).select([n for n in rows.column_names if n in read])
        self.table = self.table.combine_chunks()
        self.place = {name: at for at, name in enumerate(predictor.features)}

    def built(self, at: Array, taken: Array, donor: Array) -> ArrowTable:
        """The rows `at` (p,) with the donors' values (p, inputs) where `taken` (p, inputs)."""
        import pyarrow as pa

        columns = {}
        for name in self.table.column_names:
            place = self.own[at]
            if name in self.place:
                i = self.place[name]
                place = np.where(taken[:, i], donor[:, i], place)
            columns[name] = self.table.column(name).take(pa.array(place))
        return pa.table(columns)

    def answers(self, at: Array, taken: Array, donor: Array) -> tuple[Array, Array]:
        """(passes, keeps every relation), each (p,), bool."""
        if not len(at):
            return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)
        table = self.built(at, taken, donor)
        return ~np.asarray(self.predictor.flagged(table)), np.asarray(satisfied(self.constraints, table))

    def put_back(self, taken: Array, valid: Array, which: Array) -> None:
        """Put back the inputs `which` (q, inputs) of each row where it still passes and no relation breaks by it."""
        at = np.flatnonzero((taken & which).any(axis=1))
        less = taken[at] & ~which[at]
        passes, holds = self.answers(at, less, self.donor[at])
        good = passes & (holds | ~valid[at])
        taken[at[good]], valid[at[good]] = less[good], holds[good]

    def draw_nearer(self, taken: Array, valid: Array, which: Array, values: Array) -> None:
        """Bring one input (q,) of each row as near to its own value as it still passes and no relation breaks by it.

        `values` (rows and pool, inputs) are numbers, NaN where they are none; what is tried are values of the pool,
        halving the ranks between.
        """
        mine = np.arange(len(taken))
        have, goal = values[self.own, which], values[self.donor[mine, which], which]
        open_ = np.flatnonzero(taken[mine, which] & np.isfinite(have) & np.isfinite(goal))
        pool = values[self.first :]
        order = np.argsort(pool, axis=0, kind="stable")
        near, far = np.zeros(len(taken), dtype=int), np.zeros(len(taken), dtype=int)
        for i in np.unique(which[open_]).tolist():
            ranked, mask = pool[order[:, i], i], open_[which[open_] == i]
            near[mask], far[mask] = np.searchsorted(ranked, have[mask]), np.searchsorted(ranked, goal[mask])
        for _ in range(HALVINGS):
            open_ = open_[np.abs(far[open_] - near[open_]) > 1]
            i, middle = which[open_], (near[open_] + far[open_]) // 2
            tried = self.first + order[middle, i]
            donor = self.donor[open_].copy()
            donor[np.arange(len(open_)), i] = tried
            passes, holds = self.answers(open_, taken[open_], donor)
            good = passes & (holds | ~valid[open_]) & (values[tried, i] != have[open_])
            self.donor[open_[good]], valid[open_[good]] = donor[good], holds[good]
            far[open_] = np.where(good, middle, far[open_])
            near[open_] = np.where(good, near[open_], middle)

    def numbers(self, kinds: Mapping[str, str]) -> Array:
        """The inputs as numbers (rows and pool, inputs), NaN for those that are none."""
        found = np.full((self.table.num_rows, len(self.place)), np.nan)
        for name, at in self.place.items():
            if kinds[name] in ("number", "integer"):
                found[:, at] = self.table.column(name).to_numpy()
        return found

    def differs(self) -> Array:
        """Whether the donor has another value, (q, inputs)."""
        found = []
        for name in self.predictor.features:
            codes = self.table.column(name).combine_chunks().dictionary_encode(null_encoding="encode").indices
            found.append(codes.to_numpy()[self.own] != codes.to_numpy()[self.donor[:, 0]])
        return np.column_stack(found)


def needs(
    predictor: Predictor,
    rows: ArrowTable,
    pool: ArrowTable,
    contract: Contract,
    reference: ArrowTable,
    kinds: Mapping[str, str],
    budget: float,
    seed: int,
    norm: Norm = "cost",
) -> Needs:
    """The smallest changes that let flagged `rows` pass if everything were allowed, and what `budget` buys of them.

    A row takes every input of one that passes (of `pool`), and then has its own values put back, in random order, as
    long as it passes and no relation breaks by it: first all inputs that relations tie together, then each alone. What
    cannot be put back is needed; the numbers among it go back toward the row's own value in the same way, over values
    of `pool`. Of these moves those are permitted that the contract allows (mutable, direction, range, step, levels) and
    the budget pays for, the cheapest first, where the relations that read them then hold. An input that changes no
    decision is never needed, however far it moves the score. A change that does not let the row pass with every input
    taken over counts as none. Raises CouldNotLook for an input that cannot be priced, and for a model that lets a
    changed row pass among others and not alone.
    """
    rng = np.random.default_rng([seed, 2])
    inputs = predictor.features
    own = np.repeat(np.arange(rows.num_rows), CHANGES)
    donor = rng.integers(pool.num_rows, size=len(own))
    trials = _Trials(predictor, rows, pool, own, donor, contract)
    taken = trials.differs()
    passes, valid = trials.answers(np.arange(len(own)), taken, trials.donor)
    taken &= passes[:, None]
    groups = _groups(inputs, trials.constraints)
    for which in _in_random_order([g for g in groups if g.sum() > 1], len(own), rng):
        trials.put_back(taken, valid, which)
    for which in _in_random_order(list(np.eye(len(inputs), dtype=bool)), len(own), rng):
        trials.put_back(taken, valid, which)
    numbers = trials.numbers(kinds)
    for which in _in_random_order(list(np.eye(len(inputs), dtype=bool)), len(own), rng):
        trials.draw_nearer(taken, valid, which.argmax(axis=1), numbers)
    changed = taken.any(axis=1) & passes
    some = rng.permutation(np.flatnonzero(changed))[:HEARD]
    refuse_other_alone(predictor, trials.built(some, taken[some], trials.donor[some]), [False] * len(some))
    permitted = _permitted(trials, taken, groups, contract, reference, kinds, (norm, budget))
    found = changed.astype(float)
    needed, bought, changes = (np.zeros((rows.num_rows, *a.shape[1:])) for a in (taken, permitted, found))
    for total, part in ((needed, taken), (bought, permitted), (changes, found)):
        np.add.at(total, own, part)
    return Needs(needed, bought, changes)


def _groups(inputs: tuple[str, ...], constraints: tuple[Relation, ...]) -> list[Array]:
    """The inputs (bool, each) that relations tie together, one alone where none does."""
    groups = [{name} for name in inputs]
    for constraint in constraints:
        read = set(constraint.columns)
        touched = [g for g in groups if g & read]
        groups = [g for g in groups if not g & read]
        if touched:
            groups.append(read.union(*touched))
    return [np.array([name in g for name in inputs]) for g in groups]


def _in_random_order(groups: list[Array], count: int, rng: np.random.Generator) -> Iterator[Array]:
    """Every group of inputs once for each of `count` rows, each row in its own order: (count, inputs) at a time."""
    if groups:
        order = rng.permuted(np.tile(np.arange(len(groups)), (count, 1)), axis=1)
        every = np.array(groups)
        for turn in order.T:
            yield every[turn]


def _permitted(
    trials: _Trials,
    taken: Array,
    groups: list[Array],
    contract: Contract,
    reference: ArrowTable,
    kinds: Mapping[str, str],
    means: tuple[Norm, float],
) -> Array:
    """Which of the needed moves (q, inputs) the contract allows and the budget pays for, the cheapest first."""
    norm, budget = means
    price = np.full(taken.shape, np.inf)
    for at, name in enumerate(trials.predictor.features):
        feature = contract.columns[name]
        if feature.mutable and taken[:, at].any():
            column = trials.table.column(name)
            axis = Axis(name, feature, column.take(trials.own).combine_chunks(), reference, kinds[name])
            price[:, at] = axis.parts(axis.origin, axis.place(column.take(trials.donor[:, at]).to_pylist()), norm)
    price = np.where(taken, price, np.inf)
    order = np.argsort(price, axis=1, kind="stable")
    together = np.maximum if norm == "linf" else np.add
    spent = together.accumulate(np.take_along_axis(price, order, axis=1), axis=1)
    most = budget**2 if norm == "l2" else budget
    paid = np.zeros(taken.shape, dtype=bool)
    np.put_along_axis(paid, order, np.isfinite(spent) & (spent <= most * (1 + 1e-12)), axis=1)
    table = trials.built(np.arange(len(taken)), paid, trials.donor)
    for constraint in trials.constraints:  # what is tied together counts together: half of it breaks the relation
        broken = ~np.asarray(satisfied((constraint,), table))
        for group in groups:
            if any(group[trials.place[name]] for name in constraint.columns if name in trials.place):
                paid[np.ix_(broken, group)] = False
    return paid
