"""The white-box attack on a small network or a linear model, with its sanity test."""

from __future__ import annotations

import numpy as np
from msgspec import structs

from assay.adapters.networks.network import Network
from assay.attacks.attacked import Attacked
from assay.attacks.gradient.apgd import Search
from assay.attacks.gradient.bounds import ROUNDING, bounds
from assay.attacks.gradient.ensemble import searched
from assay.attacks.gradient.exact import settled
from assay.attacks.gradient.gaps import bridged
from assay.attacks.gradient.integer import bounded
from assay.attacks.gradient.linear import offers
from assay.attacks.gradient.moves import Moves
from assay.attacks.gradient.planted import refuse_blind
from assay.attacks.gradient.rounding import straight
from assay.attacks.gradient.squares import squared
from assay.attacks.space import Array, Space
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, Predictor, Progress, silent
from assay.core.subject import Norm
from assay.core.text import visible

SLACK = 2e-6
"""How far a margin must lie below the threshold to count as passing: the real model adds up in float32."""
NEAREST = 1.0001
"""A find that costs no more times its bound is the nearest."""
_SCORE = 8.0
"""Roundings of a score by the sigmoid or softmax that gives it."""
WIDER = 10.0
HALVED = 8


def attack_gradient(
    model: Predictor,
    space: Space,
    passing: ArrowTable,
    norm: Norm,
    budget: float,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Attacked:
    """The nearest evasion found of every row of `space`, and a bound below which there is none.

    Exact for linear models (in L2 but for the bounds of rows outside a range). The network is read out of the model,
    which must score `space.rows` and `passing` as it does; holes planted in it must be found. Raises CouldNotLook.
    """
    from assay.adapters.ensembles.trees import require_parity

    network: Network = model.network(space.rows)  # type: ignore[attr-defined]
    for rows in (space.rows, passing):
        require_parity(network, model, rows.select(list(model.features)))
    least = network.least(model.threshold)
    moves = Moves(network, space, norm)
    _refuse_between(network, moves)
    slack = SLACK * max(1.0, abs(least))
    if least == -np.inf:
        return _written(space, moves.codes(np.arange(space.size), moves.start_at(np.arange(space.size))), np.inf)
    donors = np.column_stack([a.place(passing.column(a.name).to_pylist()) for a in space.axes])
    top = least + _slack(network, model.threshold, least)
    low = _closed(network, moves, top) if network.linear else np.zeros(space.size)
    search = searched(network, moves, least - slack, donors, seed, enough=low * NEAREST, progress=progress)
    if not network.linear:
        low = bounds(network, moves, top, search.distance, budget, HALVED)
    low = _settled(network, search, top, low, budget)
    for _ in range(2):  # where the real model does not agree it must be clearer
        wrong = _disagreeing(model, space, moves, search)
        if not len(wrong):
            break
        slack *= WIDER
        _once_more(network, search, wrong, least - slack, donors, seed)
    else:
        search.distance[_disagreeing(model, space, moves, search)] = np.inf
    unplanted = refuse_blind(network, moves, least - slack, search.distance, donors, seed)
    missed = int((~np.isfinite(search.distance)).sum())
    if missed and space.free and passing.num_rows:
        raise CouldNotLook(f"the sanity test failed: with everything allowed nothing was found for {missed} rows")
    return structs.replace(_told(space, moves, search, low, norm), unplanted=unplanted)


def _slack(network: Network, threshold: float, least: float) -> float:
    """SLACK, or what the rounding of a score is as a margin: of one close to 0 or 1 it is more."""
    steep = threshold * (1.0 - threshold) if network.link == "logistic" and 0.0 < threshold < 1.0 else 1.0
    return max(SLACK * max(1.0, abs(least)), _SCORE * network.unit / steep)


def _refuse_between(network: Network, moves: Moves) -> None:
    """Raises CouldNotLook for a number that may move by fractions where the model cuts those off: what is read out of
    it does not."""
    for c, place in enumerate(moves.places.tolist()):
        name = network.columns[int(network.inputs.column[place])]
        still = not moves.up[:, c].any() and not moves.down[:, c].any()
        grid = moves.step[c] >= 1 and moves.step[c] % 1 == 0 and moves.start[c] % 1 == 0
        if name in network.whole and not (grid or still):
            what = f"the model takes whole numbers of {visible(name, 60)} and cuts others down"
            raise CouldNotLook(f"{what}; say `integer: true` of it in `features:`, or attack it with `access: label`")


def _disagreeing(model: Predictor, space: Space, moves: Moves, search: Search) -> Array:
    """Rows whose point the real model still flags."""
    rows = search.rows[np.isfinite(search.distance)]
    if not len(rows):
        return rows
    table = space.moved(rows, moves.codes(rows, search.best.take(rows)))
    wrong: Array = rows[np.asarray(model.flagged(table)) | ~space.valid(table)]
    return wrong


def _once_more(network: Network, search: Search, rows: Array, target: float, donors: Array, seed: int) -> None:
    """Search again for some rows, further below the threshold."""
    again = searched(network, search.moves, target, donors, seed, masked=False)
    search.distance[rows] = again.distance[rows]
    search.best.value[rows], search.best.pick[rows] = again.best.value[rows], again.best.pick[rows]


def _closed(network: Network, moves: Moves, target: float) -> Array:
    """The distance (n,) below which nothing passes a linear model."""
    ids = np.arange(moves.space.size)
    if not all(one.whole for one in moves.listed):
        return np.zeros(len(ids))
    margins, gradient = network.sloped(moves.lifted)
    lost, share = straight(network, moves)
    room = margins - target - ROUNDING * (np.abs(gradient) * np.abs(moves.lifted)).sum(axis=1) - lost
    need = np.maximum(room, 0.0) / (1 + share)
    of = offers(moves, ids, gradient)
    low = squared(moves, of, need)[1] if moves.squares else bridged(moves, of, need)[2]
    if moves.knapsack:
        low = np.maximum(low, bounded(moves, of, need))
    return np.where(room > 0, low, 0.0) * (1 - 1e-6)


def _settled(network: Network, search: Search, target: float, low: Array, budget: float) -> Array:
    """The bounds (n,), after a program for each row that is neither evaded nor certified at the budget; what programs
    find instead is taken into the search."""
    open_ = np.flatnonzero((search.distance > budget) & (low < budget))
    if not np.isfinite(budget) or budget <= 0:
        return low
    proved, found, point = settled(network, search.moves, open_, target, budget)
    before = search.distance.copy()
    search.ask(open_[found], point.take(found))
    if len(nearer := np.flatnonzero(search.distance < before)):
        search.put_back(nearer)
        search.again(nearer)
    low[open_[proved]] = budget
    return low


def _told(space: Space, moves: Moves, search: Search, low: Array, norm: Norm) -> Attacked:
    """The result; distances by the values that were written."""
    ids, there = search.rows, np.isfinite(search.distance)
    codes = np.where(there[:, None], moves.codes(ids, search.best), np.nan)
    table = space.moved(ids, codes)
    distance = np.full(len(ids), np.inf)
    if there.any():
        rows = np.flatnonzero(there)
        distance[rows] = space.price(rows, table.take(rows), norm)
    return Attacked(distance=distance, bound=low, queries=np.full(len(ids), 2), table=table)


def _written(space: Space, codes: Array, bound: float) -> Attacked:
    count = space.size
    return Attacked(
        distance=np.full(count, np.inf), bound=np.full(count, bound), queries=np.ones(count, dtype=int),
        table=space.moved(np.arange(count), codes),
    )  # fmt: skip
