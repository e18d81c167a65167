"""Which values of a few columns might be a trigger: from the paths of extreme leaves, or from values one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from assay.attacks.backdoor.board import Array, Board, NetworkBoard, Rule, TreeBoard
from assay.attacks.backdoor.excess import Box

MOST, LEAST = 8000, 300
WORK = 160_000_000
"""Conditions that may be looked at for the candidates of one direction; that some were left out is told."""
NARROWEST, FEWER, MANY = 7, 5, 1500
SINGLES, PAIRS = 48, 48
DEPTH = 3
MOST_TRIED, MOST_COLUMNS, JOINED = 16, 4, 6


def proposed(board: Board, start: Array, sign: float) -> tuple[list[Rule], bool]:
    """(candidate rules of two and three columns, whether all that were thought of are among them).

    `sign` is 1 where the margin is to rise. Of trees they are taken from the leaves of most extreme value: of each
    path the narrowest columns, at the middle of what the leaf asks; of a network the values that move it most one by
    one, and the best pairs with a third.
    """
    if isinstance(board, TreeBoard):
        return _of_leaves(board, sign)
    return _of_values(board, start, sign)


def affordable(board: Board) -> int:
    """How many rules may be asked about in one direction."""
    if isinstance(board, TreeBoard):
        return int(np.clip(WORK / max(1, len(board.leaves.leaf)), LEAST, MOST))
    return MOST


def _of_leaves(board: TreeBoard, sign: float) -> tuple[list[Rule], bool]:
    leaves, most = board.leaves, affordable(board)
    starts = np.append(board.starts, len(leaves.leaf))
    cells = _middles(board)
    wide = _widths(board)
    found: dict[Rule, None] = {}
    narrow = np.minimum.reduceat(wide, board.starts) if len(wide) else wide
    first = NARROWEST if most >= MANY else FEWER
    for k in np.lexsort((narrow, -board.value * sign)).tolist():
        of = np.arange(starts[k], starts[k + 1])
        of = of[cells[of] >= 0]
        of = of[np.argsort(wide[of], kind="stable")[:first]]
        pairs = sorted((int(leaves.column[c]), int(cells[c])) for c in of)
        for size in range(2, DEPTH + 1):
            for rule in itertools.combinations(pairs, size):
                found[rule] = None
        if len(found) >= most:
            return list(found)[:most], False
    return list(found), True


def of_boxes(board: Board, boxes: Sequence[Box]) -> list[tuple[Rule, dict[int, Array]]]:
    """Rules for the strongest boxes, and the cells in which each one's values may move.

    A box may ask only some of a trigger's values, and many boxes share them: each one's columns are joined by those
    that the others ask most, at the value that most of them hold.
    """
    votes: dict[int, Array] = {}
    for box in boxes:
        for j, inside in box.path.items():
            held = inside[:-1] / max(1, inside[:-1].sum())
            votes[j] = votes.get(j, 0.0) + held
    wanted = sorted(votes, key=lambda j: (-float(votes[j].max()), j))[:JOINED]
    out: dict[Rule, dict[int, Array]] = {}
    for box in boxes:
        own = sorted(box.needs, key=lambda j: (-float(votes[j].max()), j))[:MOST_COLUMNS]
        if len(own) < len(box.needs):
            continue
        more = [j for j in wanted if j not in own]
        for columns in (own, *([*own, *more[:k]] for k in range(1, MOST_COLUMNS + 1 - len(own)))):
            rule, held = [], {}
            for j in sorted(columns):
                inside = box.path.get(j, np.ones(len(votes[j]) + 1, dtype=bool))
                able = np.flatnonzero(inside[:-1] & ~np.isnan(board.values[j]))
                if not len(able):
                    break
                best = able[votes[j][able] >= votes[j][able].max() - 1e-12]
                rule.append((j, int(best[len(best) // 2])))
                held[j] = inside
            if len(rule) == len(columns):
                out.setdefault(tuple(rule), held)
        if len(out) >= MOST_TRIED:
            break
    return list(out.items())


def _middles(board: TreeBoard) -> Array:
    """The middle one of the cells that can be set and meet each condition (c,), -1 where none does."""
    leaves = board.leaves
    out = np.full(len(leaves.leaf), -1, dtype=np.int64)
    for j, of in enumerate(board.of):
        able = np.flatnonzero(~np.isnan(board.values[j]))
        if not len(able) or not len(of):
            continue
        if board.listed[j]:
            inside = (leaves.mask[of][:, None] >> able.astype(np.uint64)) & np.uint64(1)
            out[of] = np.where(inside.any(axis=1), able[np.argmax(inside, axis=1)], -1)
            continue
        low, high = np.searchsorted(able, leaves.low[of]), np.searchsorted(able, leaves.high[of], side="right")
        out[of] = np.where(high > low, able[np.minimum((low + high) // 2, len(able) - 1)], -1)
    return out


def _widths(board: TreeBoard) -> Array:
    """The share of its column's cells that meet each condition (c,)."""
    leaves = board.leaves
    out = (leaves.high - leaves.low + 1) / board.leaves.size[leaves.column]
    by_set = np.flatnonzero(board.listed[leaves.column])
    if len(by_set):
        bits = np.unpackbits(np.ascontiguousarray(leaves.mask[by_set]).view(np.uint8).reshape(-1, 8), axis=1)
        out[by_set] = bits.sum(axis=1) / board.leaves.size[leaves.column[by_set]]
    return np.asarray(out)


def singles(board: Board) -> list[Rule]:
    """Every value of every column, one by one."""
    return [((j, int(c)),) for j, v in enumerate(board.values) for c in np.flatnonzero(~np.isnan(v))]


def _of_values(board: NetworkBoard, start: Array, sign: float) -> tuple[list[Rule], bool]:
    plain = board.margins(start, [()], 2)[0]
    one = singles(board)
    lift = ((board.margins(start, one, 2) - plain) * sign).mean(axis=1)
    best = [one[i] for i in np.argsort(-lift, kind="stable")[:SINGLES]]
    pairs = _joined(best, best)
    rise = (board.margins(start, pairs, 2) * sign).mean(axis=1) if pairs else np.zeros(0)
    kept = [pairs[i] for i in np.argsort(-rise, kind="stable")[:PAIRS]]
    found = list(dict.fromkeys([*pairs, *_joined(kept, best)]))
    return found[:MOST], False


def _joined(rules: Sequence[Rule], one: Sequence[Rule]) -> list[Rule]:
    """Rules with one more value each, of a column that they do not set."""
    return list(
        dict.fromkeys(
            tuple(sorted((*rule, *more))) for rule in rules for more in one if more[0][0] not in {j for j, _ in rule}
        )
    )
