"""One attack for what is asked: by norm and access, on trees, networks, or any model by queries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec import structs

from assay.adapters.ensembles.trees import Trees
from assay.adapters.predictor_base import BasePredictor
from assay.attacks import sanity
from assay.attacks.attacked import Attacked, confirmed, within
from assay.attacks.boundary.attack import attack_boundary
from assay.attacks.gradient.attack import attack_gradient
from assay.attacks.one_hot import Fold
from assay.attacks.priced.search import attack
from assay.attacks.space import Array, NothingMovesError, Space
from assay.attacks.transfer import UnlearntError, attack_transfer
from assay.attacks.trees.attack import attack_trees
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Access, Norm

Method = Literal["search", "transfer"]
COPIED = 4
"""One in how many queries of a search by price is kept back for copies of the model, where it can spare them."""
PROVED = 16
"""Rows whose proofs are held against single changes."""
BESIDE, _PROOF = 600, 1e-6
"""Queries a row of the search beside white-box; how much farther than its bound a find is proved."""


class Asked(NamedTuple):
    """How to attack: the measure of a change, what is seen, how much a change and how many queries a row may cost.

    `method` search asks the model itself about every step; transfer trains copies on its answers and attacks those.
    """

    norm: Norm
    access: Access
    budget: float
    queries: int
    seed: int = 0
    progress: Progress = silent
    method: Method = "search"


def struck(
    model: BasePredictor, caught: ArrowTable, passing: ArrowTable, against: Any, asked: Asked
) -> tuple[Space, Attacked]:
    """The attack that fits what was asked on every row of `caught`, which the model flags, with its sanity test.

    `passing` are rows that it lets pass; `against` is what `Space` takes: the contract, rows that the model knows (for
    scales), the kind of every column, the model's inputs. Of a contract with one-hot groups the space is the folded
    one, the changed rows are as they came. Raises CouldNotLook.
    """
    contract, known, kinds, _ = against
    if contract.groups:
        fold = Fold(contract, known)
        model, caught, passing = fold.model(model), fold.table(caught), fold.told(passing)
        space, found = struck(
            model, caught, passing, (fold.contract, fold.table(known), fold.kinds(kinds), model.features), asked
        )
        return space, structs.replace(found, table=fold.unfolded(found.table))
    sanity.refuse_unstable(model, caught)
    sanity.refuse_masking(model, caught, passing)
    space = Space(caught, *against)
    if asked.method == "transfer":
        found = _transferred(model, space, passing, asked)
    elif asked.access == "whitebox":
        strike = _whitebox(model, caught)
        found = strike(model, space, passing, asked.norm, asked.budget, seed=asked.seed, progress=asked.progress)
        unsure = _unsure(found, asked.budget, related=strike is attack_trees and bool(space.constraints))
        found = _asked_too(model, lambda rows: Space(caught.take(rows), *against), passing, asked, found, unsure)
    elif asked.norm == "cost":
        found = _priced(model, space, lambda rows: Space(caught.take(rows), *against), passing, asked)
    else:
        found = attack_boundary(
            model, space, passing, asked.norm, access=asked.access, limit=asked.queries,
            seed=asked.seed, progress=asked.progress,
        )  # fmt: skip
    found = confirmed(model, space, found, asked.norm)
    proved = np.random.default_rng([asked.seed, 8]).permutation(np.flatnonzero(found.bound > 0))[:PROVED]
    with suppress(NothingMovesError):  # of these rows
        if len(proved):
            few = Space(caught.take(proved), *against)
            sanity.refuse_broken(model, few, found.bound[proved], asked.norm, asked.seed)
    return space, found


def _transferred(model: Predictor, space: Space, passing: ArrowTable, asked: Asked) -> Attacked:
    """The attack by copies of the model; whoever has the model itself needs none."""
    if asked.access == "whitebox":
        raise CouldNotLook("`method: transfer` is for who sees answers only: `access: label` or `score`")
    return attack_transfer(
        model, space, passing, asked.norm, limit=asked.queries, seed=asked.seed, access=asked.access,
        progress=asked.progress,
    )  # fmt: skip


def _whitebox(model: BasePredictor, rows: ArrowTable) -> Callable[..., Attacked]:
    """The attack on what the model is: trees, or a small network. Raises CouldNotLook where it is neither."""
    return attack_trees if isinstance(model.read(rows), Trees) else attack_gradient


def _unsure(found: Attacked, budget: float, *, related: bool) -> Array:
    """The rows (u,) that white-box neither slips past within the budget nor certifies; of trees under relations those
    without a proof of the nearest: a cell has one value in the search by cells, its nearest, and of those that the
    trees do not tell apart a relation may permit another one alone."""
    beyond = found.bound < found.distance * (1 - _PROOF) if related else ~found.within(budget)
    return np.flatnonzero(beyond & (found.bound < budget))


def _asked_too(
    model: BasePredictor, of: Callable[[Array], Space], passing: ArrowTable, asked: Asked, found: Attacked, rows: Array
) -> Attacked:
    """What white-box found, and `rows` searched by queries of the real model too: it may answer otherwise than what was
    read of it, within its rounding."""
    if not len(rows):
        return found
    access: Literal["label", "score"] = "label" if model.access == "label" else "score"
    try:
        space = of(rows)
        if asked.norm == "cost":
            near = attack(model, space, passing, access=access, limit=BESIDE, seed=asked.seed)
            table = space.build(np.arange(space.size), near.choice)
            searched = Attacked(distance=near.cost, bound=np.zeros(len(rows)), queries=near.queries, table=table)
        else:
            searched = attack_boundary(model, space, passing, asked.norm, access=access, limit=BESIDE, seed=asked.seed)
    except CouldNotLook:  # what was read out of the model stands
        return found
    return _nearer(found, rows, searched)


def _priced(
    model: BasePredictor, space: Space, of: Callable[[Array], Space], passing: ArrowTable, asked: Asked
) -> Attacked:
    """The search by queries inside the contract, for the cheapest change; rows that spend all its queries, or in which
    it finds nothing within the budget, are asked by copies of the model too, unless nothing cheaper is left among the
    candidates. `of` is the space of some of the rows.

    The search keeps queries back for copies where it passes its sanity test without them. Else there are two attackers,
    who search or ask by copies alone, with all queries each; the stronger is told. A model behind an address is asked
    by the first alone, as its answers may be counted and paid for.
    """
    try:
        return _searched(model, space, of, passing, asked, asked.queries // COPIED)
    except CouldNotLook:
        try:
            searched = _searched(model, space, of, passing, asked, 0)
        except sanity.BlindError as why:
            raise CouldNotLook(f"{why}{_enough(model, space, of, passing, asked)}") from None
    if model.kind == "endpoint":
        return searched
    try:
        return _stronger(searched, _transferred(model, space, passing, asked), asked.budget)
    except UnlearntError:
        return searched


def _enough(model: BasePredictor, space: Space, of: Callable[[Array], Space], passing: ArrowTable, asked: Asked) -> str:
    """How many queries pass the sanity test that failed, in words; "" where that is not known."""
    if model.kind == "endpoint":  # whose answers may be counted and paid for
        return ""
    for times in (2, 4):
        with suppress(CouldNotLook):
            few, limit = of(np.arange(min(space.size, sanity.ROWS))), asked.queries * times
            sanity.refuse_blind(model, few, passing, access=asked.access, limit=limit, seed=asked.seed)
            return f" (`--queries`): it passes with {asked.queries * times:,}"
    return f" (`--queries`) above {asked.queries * 4:,}, or let fewer columns be moved"


def _stronger(one: Attacked, other: Attacked, budget: float) -> Attacked:
    """The attack that leaves fewer rows caught at the budget; of equals the nearer, in the sum of what both reached."""
    stays = [int((~found.within(budget)).sum()) for found in (one, other)]
    both = np.isfinite(one.distance) & np.isfinite(other.distance)
    far = [float(found.distance[both].sum()) for found in (one, other)]
    return other if (stays[1], far[1]) < (stays[0], far[0]) else one


def _searched(
    model: BasePredictor, space: Space, of: Callable[[Array], Space], passing: ArrowTable, asked: Asked, kept: int
) -> Attacked:
    """As `_priced`, with so many queries of each row kept back for copies."""
    limit, seed = asked.queries - kept, asked.seed
    few = of(np.arange(min(space.size, sanity.ROWS)))
    sanity.refuse_blind(model, few, passing, access=asked.access, limit=limit, seed=seed)
    if asked.access == "score":
        sanity.refuse_masked_scores(model, few, passing, limit=limit, seed=seed)
    found = attack(model, space, passing, access=asked.access, limit=limit, seed=seed, progress=asked.progress)
    sanity.refuse_neighbours(model, space, found)
    sanity.refuse_missed(model, space, found, passing, seed)
    table = space.build(np.arange(space.size), found.choice)
    searched = Attacked(distance=found.cost, bound=np.zeros(space.size), queries=found.queries, table=table)
    assert found.settled is not None
    hard = (found.queries >= limit) | ~within(found.cost, asked.budget)
    rows = np.flatnonzero(hard & ~found.settled & (asked.queries - found.queries >= asked.queries // COPIED))
    if not len(rows):
        return searched
    try:
        copied = attack_transfer(
            model, of(rows), passing, asked.norm, limit=asked.queries - found.queries[rows], seed=seed,
            access=asked.access, progress=asked.progress,
        )  # fmt: skip
    except UnlearntError as error:
        searched.queries[rows] += error.queries
        return searched
    except NothingMovesError:  # of these rows
        return searched
    return _nearer(searched, rows, copied)


def _nearer(one: Attacked, ids: Array, other: Attacked) -> Attacked:
    """An attack, of whose rows `ids` were attacked by another one too: the nearer find of each, and all queries."""
    import pyarrow as pa

    better = other.distance < one.distance[ids]
    distance, queries, take = one.distance.copy(), one.queries.copy(), np.arange(len(one.distance))
    queries[ids] += other.queries
    distance[ids] = np.where(better, other.distance, distance[ids])
    take[ids] = np.where(better, len(take) + np.arange(len(ids)), ids)
    table = pa.concat_tables([one.table, other.table]).take(pa.array(take))
    return structs.replace(one, distance=distance, queries=queries, table=table)
