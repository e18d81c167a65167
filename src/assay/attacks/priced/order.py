"""In which order an attack asks: combinations and exchanges of moves by cost, and each row its share."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from assay.attacks.space import Array, Space


def cheapest(space: Space, row: int, below: float) -> Iterator[Array]:
    """Every choice of two or more moves for a row, one move a feature, in order of cost, while it is below `below`.

    Lawler's enumeration: of each feature only the next dearer move is queued, so that no choice comes twice.
    """
    lists, costs = [], space.usual(row)
    for j in range(len(space.axes)):
        places = np.flatnonzero(costs[j] < below)
        if len(places):
            order = places[np.argsort(costs[j, places], kind="stable")]
            lists.append((j, order.tolist(), costs[j, order].tolist()))
    lists.sort(key=lambda item: item[2][0])
    prices = [price for _, _, price in lists]
    # A state is the features taken, each with the place of its move in the feature's own order.
    heap: list[tuple[float, tuple[tuple[int, int], ...]]] = [(prices[0][0], ((0, 0),))] if lists else []
    while heap:
        total, taken = heapq.heappop(heap)
        if total >= below:
            return
        a, p = taken[-1]
        if p + 1 < len(prices[a]):
            heapq.heappush(heap, (total - prices[a][p] + prices[a][p + 1], (*taken[:-1], (a, p + 1))))
        if a + 1 < len(lists):
            heapq.heappush(heap, (total + prices[a + 1][0], (*taken, (a + 1, 0))))
            if p == 0:
                heapq.heappush(heap, (total - prices[a][0] + prices[a + 1][0], (*taken[:-1], (a + 1, 0))))
        if len(taken) > 1:
            choice = space.keep(1)[0]
            for a, p in taken:
                choice[lists[a][0]] = lists[a][1][p]
            yield choice


def exchanges(space: Space, row: int, success: Array) -> Iterator[Array]:
    """Choices cheaper than a known success, one move given back and one made, in order of cost."""
    ids = np.array([row])
    parts = space.parts(ids, success[None])[0]
    total = parts.sum()
    given_back = np.flatnonzero(parts > 0)
    # (features given back, features, candidates): what each exchange costs in all
    cost = total - parts[given_back][:, None, None] - parts[None, :, None] + space.usual(row)[None]
    cost[np.arange(len(given_back)), given_back] = np.inf  # the same feature: `reduce` has bisected it
    flat = cost.ravel()
    order = np.argsort(flat, kind="stable")
    for place in order[: np.searchsorted(flat[order], total - 1e-12)].tolist():
        back, j, k = np.unravel_index(place, cost.shape)
        choice = success.copy()
        choice[given_back[back]] = -1
        choice[j] = k
        yield choice


def finest(space: Space, row: int, can: Array) -> Array:
    """Which fine moves of a row are asked, in order: (q, 2) of axis and candidate, of those that `can` (m, k) be made.

    Drawn at random for each row, alike at every call: where they are too many, each row asks others.
    """
    moves = np.argwhere(space.fine[row] & can)
    return np.random.default_rng([row, 5]).permutation(moves)


def spread(count: int, most: int) -> Array:
    """Up to `most` places of `count`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def rank(ids: Array) -> Array:
    """How many equal ids come before each, shape (q,)."""
    order = np.argsort(ids, kind="stable")
    ranked = np.arange(len(ids)) - np.searchsorted(ids[order], ids[order])
    out = np.empty(len(ids), dtype=int)
    out[order] = ranked
    return out
