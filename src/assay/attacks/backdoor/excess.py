"""Boxes of a model to which training rows came that rows which it was not trained on hardly know: what trees remember.

A tree tells how many of its training rows came to each node. Of rows of the same kind as many come, up to chance; a
trigger that was planted in training leaves rows where others hardly ever lie, however naturally the answer adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.adapters.ensembles.trees import Trees
from assay.attacks.backdoor.board import Array, Rule, TreeBoard
from assay.stats.intervals import exact

SURE, TIMES = 1e-3, 3.0
MOST_ROWS, MOST_BOXES = 20_000, 40
APART, MORE, LESS = 1.5, 0.01, 0.06
"""Leaves whose shares differ by half are apart: where they hold 1% of the holdout too many, or 6% of the training rows,
the two are of different kinds; a planted trigger leaves no leaf with too many holdout rows."""
DRAWN = 0.1


class Box(NamedTuple):
    """A node's conditions, by column: which of its cells (and, last, a missing value) meet them.

    `trained` of `trained_of` rows of its tree came there, `held` of `held_of` known rows lie in it by the columns it
    `needs` alone, where `expected` would; `p` is the chance of so few, times the nodes looked at.
    """

    path: dict[int, Array]
    needs: tuple[int, ...]
    trained: int
    trained_of: int
    held: int
    held_of: int
    p: float

    @property
    def expected(self) -> float:
        """Known rows that would lie there if they were as the training rows."""
        return self.trained * self.held_of / self.trained_of

    def holds(self, rule: Rule) -> bool:
        """Whether the rule sets all that the box needs, to values inside."""
        cells = dict(rule)
        return all(j in cells and bool(self.path[j][cells[j]]) for j in self.needs)


class Memory(NamedTuple):
    """The boxes, surest first; `why` says why counts can tell nothing here, "" where they can."""

    boxes: tuple[Box, ...]
    why: str


def around(rule: Rule, boxes: Sequence[Box]) -> Box | None:
    """The surest box that the rule's values lie in."""
    return next((b for b in boxes if b.holds(rule)), None)


def memory(board: TreeBoard, codes: Array, target: Array) -> Memory | None:
    """What the counts of trees say of known rows, as codes (n, d), positive where `target` (n,); copies stay in.

    None where the trees tell no counts. A box is one to which at least three times the share of training rows came
    that known rows can have there (upper end of 95%), at a chance of at most 1 in 1,000 for all nodes together.
    """
    trees = board.leaves.trees
    if trees.counts is None or np.isnan(trees.counts).any():
        return None
    some = slice(None, None, -(-len(codes) // MOST_ROWS))
    codes, target = codes[some], target[some]
    came, rows = trees.came(codes), len(codes)
    ends = np.append(trees.roots[1:], len(trees.feature))
    whole = np.repeat(trees.counts[trees.roots], ends - trees.roots)
    if why := _apart(trees, came / rows, trees.counts / whole, tails(trees.counts, whole, came, rows)):
        return Memory((), why)
    p = tails(trees.counts, whole, came, rows)[0] * len(came)
    sure = np.flatnonzero(p <= SURE)
    sure = sure[np.argsort(p[sure], kind="stable")]
    cells, boxes = board.cells(codes), list[Box]()
    parent = parents(trees)
    covered = np.zeros(rows, dtype=bool)
    for node in sure.tolist():
        if trees.counts[node] / whole[node] < TIMES * exact(int(came[node]), rows)[1]:
            continue
        if len(boxes) == MOST_BOXES:
            break
        path = conditions(board, node, parent)
        covered |= np.logical_and.reduce([inside[cells[:, j]] for j, inside in path.items()])
        boxes.append(_needed(path, cells, (int(trees.counts[node]), int(whole[node])), len(came)))
    for answer in (False, True):
        mine = target == answer
        if mine.any() and covered[mine].mean() > DRAWN:
            return Memory((), "the training rows seem to have been drawn by their labels")
    return Memory(tuple(boxes), "")


def tails(trained: Array, whole: Array, came: Array, rows: int) -> tuple[Array, Array]:
    """Bounds of the chance that of all rows of a node so few, or so many, are known ones and not training rows.

    Each bounds the binomial tail (Chernoff 1952), given both; exact where none came.
    """
    both, share = trained + came, rows / (rows + whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(both > 0, came / both, share)
        far = np.where(seen > 0, seen * np.log(seen / share), 0.0)
        far = far + np.where(seen < 1, (1 - seen) * np.log((1 - seen) / (1 - share)), 0.0)
    chance = np.exp(-both * far)
    return np.where(seen < share, chance, 1.0), np.where(seen > share, chance, 1.0)


def _apart(trees: Trees, known: Array, trained: Array, tails: tuple[Array, Array]) -> str:
    """Why the rows that it was trained on and the known ones are of different kinds; "" where they are not."""
    leaf = trees.feature < 0
    least = 0.01 / max(1, int(leaf.sum()))
    more = leaf & (tails[1] <= least) & (known >= APART * trained)
    less = leaf & (tails[0] <= least) & (trained >= APART * known)
    count = len(trees.roots)
    if (known - trained)[more].sum() / count > MORE or (trained - known)[less].sum() / count > LESS:
        return "the rows that it was trained on and the holdout differ everywhere, by the counts in its trees"
    return ""


def parents(trees: Trees) -> Array:
    """The node above each node (m,), -1 at roots."""
    out = np.full(len(trees.feature), -1)
    inner = np.flatnonzero(trees.feature >= 0)
    out[trees.left[inner]], out[trees.right[inner]] = inner, inner
    return out


def conditions(board: TreeBoard, node: int, parent: Array) -> dict[int, Array]:
    """What the path to a node asks, by column: which cells (and, last, a missing value) meet it."""
    trees, leaves = board.leaves.trees, board.leaves
    out: dict[int, Array] = {}
    while (up := int(parent[node])) >= 0:
        j = int(trees.feature[up])
        size = int(leaves.size[j])
        goes = np.zeros(size + 1, dtype=bool)
        if trees.set_of[up] >= 0:
            inside = np.append(trees.sets[trees.set_of[up]], False)
            classes = leaves.classes[j]
            goes[classes] = inside[np.minimum(np.arange(len(classes)), len(inside) - 1)]
        else:
            goes[: int(np.searchsorted(leaves.thresholds[j], leaves.border[up])) + 1] = True
        goes[size] = trees.missing_left[up]
        goes = goes if trees.left[up] == node else ~goes
        out[j] = out[j] & goes if j in out else goes
        node = up
    return out


def _needed(path: dict[int, Array], cells: Array, trained: tuple[int, int], nodes: int) -> Box:
    """The box of a path, with as few columns as leave known rows out of it: without one, no fewer training rows came.

    A column is left out that lets the fewest known rows in, as long as both demands still hold.
    """
    rows, (count, whole) = len(cells), trained
    met = {j: inside[cells[:, j]] for j, inside in path.items()}

    def held(columns: list[int]) -> int:
        return int(np.logical_and.reduce([met[j] for j in columns]).sum())

    def chance(came: int) -> float:
        return float(tails(np.array([count]), np.array([whole]), np.array([came]), rows)[0][0]) * nodes

    needs = sorted(path)
    while len(needs) > 1:
        came, j = min((held([c for c in needs if c != j]), j) for j in needs)
        if chance(came) > SURE or count / whole < TIMES * exact(came, rows)[1]:
            break
        needs.remove(j)
    came = held(needs)
    return Box(path, tuple(needs), count, whole, came, rows, chance(came))
