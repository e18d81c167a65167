"""The trees of a CatBoost model that `catboost.model.sound` has found whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from assay.adapters.catboost.categories import counted, mixed
from assay.adapters.catboost.parts import LOGISTIC, Ctr, Model, Tree, splits_of
from assay.adapters.ensembles.nodes import Node, Nodes
from assay.adapters.ensembles.trees import Trees
from assay.core.errors import CouldNotLook
from assay.core.protocols import ArrowTable, FloatArray

MOST_NODES = 2_000_000  # an oblivious tree doubles with each split
_MOST_STEPS = 100_000  # of one tree, where splits mix columns
MIXES = "mixes several categories in one split; attack it with `access: score` or `access: label`"
_MOST_MIXED = 2_000_000  # combinations of categories that a counter tells apart
_MOST_CELLS = 200_000_000  # splits by sets of categories, times categories
_IDENTITY = frozenset(
    {"RMSE", "MAE", "Quantile", "LogLinQuantile", "MAPE", "Huber", "Expectile", "Lq", "QueryRMSE", "PairLogit"}
    | {"PairLogitPairwise", "YetiRank", "YetiRankPairwise", "QuerySoftMax", "StochasticRank", "LambdaMart", ""}
    | {"Poisson", "Tweedie", "QueryCrossEntropy"}
)


class Codes(msgspec.Struct, frozen=True):
    """The codes of a categorical column: the category of each (None is one never seen), and that of a missing value."""

    categories: tuple[int | None, ...]
    missing: int


def catboost_trees(
    model: Model,
    where: str,
    columns: tuple[str, ...],
    read: Callable[[ArrowTable], FloatArray],
    levels: dict[str, tuple[Any, ...]],
    codes: dict[int, Codes],
    *,
    loss: str,
    positive: int,
) -> Trees:
    """The trees of a sound model; `codes` are by the place of the categorical feature.

    Raises CouldNotLook for a model whose answer is no rising function of a sum, or that mixes too much in a split.
    """
    if model.outputs != 1:
        raise CouldNotLook(f"{where}: has a tree for each of several classes; attack it with `access: label`")
    if loss not in LOGISTIC | _IDENTITY:
        raise CouldNotLook(f"{where}: its objective {loss!r} is not one whose trees can be reasoned about here")
    nodes, total = Nodes(), 0
    wide = max((len(held.categories) for held in codes.values()), default=0)
    if wide * sum(splits_of(model)[len(model.numbers) :]) > _MOST_CELLS:
        raise CouldNotLook(f"{where}: knows {wide:,} categories of a column; attack it with `access: label`")
    questions = _Questions(model, where, codes, nodes)
    for tree in model.trees:
        try:
            rows = _Grower(tree, questions).rows(nodes)
        except RecursionError:
            raise CouldNotLook(f"{where}: {MIXES}") from None
        total += len(rows)
        if total > MOST_NODES:
            what = f"its trees come to more than {MOST_NODES:,} nodes when they are written out"
            raise CouldNotLook(f"{where}: {what}; attack it with `access: score`")
        nodes.tree(rows)
    sign = 1.0 if positive == 1 else -1.0
    return Trees(
        columns, read, nodes.arrays(sign * model.scale), base=sign * model.bias[0],
        link="logistic" if loss in LOGISTIC else "identity", single=True, sets=nodes.sets(), levels=dict(levels),
    )  # fmt: skip


class _Question:
    """A split of one column, and the node that asks it: `inside` are the codes that go left, last a missing value."""

    def __init__(self, node: Node, inside: FloatArray | None = None) -> None:
        self.node, self.column, self.border, self.inside = node, node[0], node[1], inside


class _Part:
    """Which values go left, of all or of the columns that are not asked yet; what was found out of it is kept."""

    def __init__(self, left: FloatArray) -> None:
        self.left, self.some, self.every = left, bool(left.any()), bool(left.all())
        self._at: dict[int, _Part] = {}
        self._groups: dict[bytes, tuple[int, FloatArray | None]] = {}

    def at(self, place: int) -> _Part:
        """What is left to ask behind a value of the first column."""
        if place not in self._at:
            self._at[place] = _Part(self.left[place])
        return self._at[place]

    def group(self, still: FloatArray) -> tuple[int, FloatArray | None]:
        """(one of the first column's codes that `still` are possible, half of the groups of codes that behave alike);
        None where all do."""
        name = still.tobytes()
        if name not in self._groups:
            at = np.flatnonzero(still)
            held = np.packbits(self.left[at].reshape(len(at), -1), axis=1)
            kinds, which = np.unique(held, axis=0, return_inverse=True)
            group = None
            if len(kinds) > 1:
                group = np.zeros(len(still), dtype=bool)
                group[at[which.reshape(-1) < len(kinds) // 2]] = True
            self._groups[name] = (int(at[0]), group)
        return self._groups[name]


class _Mixed:
    """A split by several columns: which of all their values together go left, and the axes of that array (k, l, ...).

    An axis is a categorical column, whose codes it has (the last is a missing value), or a question (left, right).
    """

    def __init__(self, part: _Part, axes: list[int | _Question]) -> None:
        self.part, self.axes = part, axes


class _Questions:
    """The splits that the trees use, by their place among all; those of sets of codes that were made up have others."""

    def __init__(self, model: Model, where: str, codes: dict[int, Codes], nodes: Nodes) -> None:
        self.model, self.where, self.codes, self.nodes = model, where, codes, nodes
        self.found: dict[int, _Question | _Mixed] = {}
        self.made: dict[tuple[int, bytes], int] = {}
        self.mixed = 0
        used = {s for tree in model.trees for s in _asked(tree)}
        at = 0
        for place, number in enumerate(model.numbers):
            for border in number.borders or ():
                if at in used:
                    self.found[at] = self._past(place, border)
                at += 1
        for place, category in enumerate(model.categories):
            for value in category.values or ():
                if at in used:
                    self.found[at] = self._same(place, value)
                at += 1
        for ctr in model.ctrs:
            borders = ctr.borders or []
            asked = [i for i in range(len(borders)) if at + i in used]
            if asked:
                self._counted(ctr, at, [(i, borders[i]) for i in asked])
            at += len(borders)

    def of(self, question: _Question) -> int:
        """The place of a question that is part of another."""
        name = (-1, id(question).to_bytes(8, "little"))
        if name not in self.made:
            self.made[name] = -1 - len(self.made)
            self.found[self.made[name]] = question
        return self.made[name]

    def of_set(self, column: int, left: FloatArray) -> int:
        """The place of a question for a set of codes (k,), last a missing value."""
        name = (column, left.tobytes())
        if name not in self.made:
            if len(self.made) * len(left) > _MOST_CELLS:
                raise CouldNotLook(f"{self.where}: {MIXES}")
            self.made[name] = -1 - len(self.made)
            self.found[self.made[name]] = self._by_set(column, left)
        return self.made[name]

    def _by_set(self, column: int, left: FloatArray) -> _Question:
        return _Question(self.nodes.split(column, 0.0, -1, -1, bool(left[-1]), left[:-1]), left)

    def _past(self, place: int, border: float) -> _Question:
        number = self.model.numbers[place]
        # Without a way for missing values they are above no border.
        missing_left = not (number.has_nans and number.nan_value_treatment == "AsTrue")
        return _Question(self.nodes.split(number.flat_feature_index, border, -1, -1, missing_left))

    def _same(self, place: int, value: int) -> _Question:
        left = np.array([c != value for c in self._every(place)])
        return self._by_set(self.model.categories[place].flat_feature_index, left)

    def _every(self, place: int) -> tuple[int | None, ...]:
        return (*self.codes[place].categories, self.codes[place].missing)

    def _counted(self, ctr: Ctr, at: int, asked: list[tuple[int, float]]) -> None:
        if ctr.alone >= 0:
            column = self.model.categories[ctr.alone].flat_feature_index
            values = counted(self.model, ctr, self._every(ctr.alone)).astype(np.float64)
            for i, border in asked:
                self.found[at + i] = self._by_set(column, ~(values > border))
            return
        every, axes = list[tuple[int | None, ...]](), list[int | _Question]()
        for element in ctr.elements:
            place = element.cat_feature_index or 0
            if element.combination_element == "cat_feature_value":
                every.append(self._every(place))
                axes.append(self.model.categories[place].flat_feature_index)
                continue
            every.append((0, 1))
            past = element.combination_element == "float_feature"
            axes.append(
                self._past(element.float_feature_index or 0, element.border or 0.0)
                if past else self._same(place, element.value or 0)
            )  # fmt: skip
        self.mixed += math.prod(map(len, every))
        if self.mixed > _MOST_MIXED:
            raise CouldNotLook(f"{self.where}: {MIXES}")
        values = mixed(self.model, ctr, every).astype(np.float64)
        for i, border in asked:
            self.found[at + i] = _Mixed(_Part(~(values > border)), axes)


def _asked(tree: Tree) -> list[int]:
    if tree.left is None or tree.right is None:
        return tree.splits
    ways = zip(tree.splits, tree.left, tree.right, strict=True)
    return [split for split, left, right in ways if max(left, right) >= 0]


class _Grower:
    """Writes a tree out as single nodes, without branches that no row can reach or that make no difference."""

    def __init__(self, tree: Tree, questions: _Questions) -> None:
        self.tree, self.questions, self.steps = tree, questions, 0
        self.numbers: dict[int, tuple[float, float]] = {}
        self.sets: dict[int, FloatArray] = {}
        # A node is its split and those below it, a leaf its value: what is alike is one.
        self.made: dict[tuple[int, int, int] | float, int] = {}
        self.parts: list[tuple[int, int, int] | float] = []

    def rows(self, nodes: Nodes) -> list[Node]:
        """The nodes, the root first."""
        oblivious = self.tree.left is None
        root = self._level(len(self.tree.splits), 0) if oblivious else self._node(0)
        out: list[Node] = []
        pending: list[tuple[int, int, int]] = [(root, -1, 0)]
        while pending:
            part, above, side = pending.pop()
            if above >= 0:
                n = out[above]
                out[above] = (*n[:2], len(out), *n[3:]) if side == 0 else (*n[:3], len(out), *n[4:])
            found = self.parts[part]
            if isinstance(found, float):
                out.append(nodes.leaf(found))
                continue
            split, left, right = found
            pending += [(right, len(out), 1), (left, len(out), 0)]
            out.append(self._question(split).node)
        return out

    def _one(self, part: tuple[int, int, int] | float) -> int:
        if part not in self.made:
            self.made[part] = len(self.parts)
            self.parts.append(part)
        return self.made[part]

    def _level(self, depth: int, leaf: int) -> int:
        """What is below, where the splits from `depth` on gave the bits of `leaf`."""
        if depth == 0:
            return self._one(float(self.tree.values[leaf, 0]))
        split = self.tree.splits[depth - 1]
        bit = 1 << (depth - 1)
        return self._asked(split, lambda: self._level(depth - 1, leaf), lambda: self._level(depth - 1, leaf | bit))

    def _node(self, place: int) -> int:
        tree = self.tree
        assert tree.left is not None
        assert tree.right is not None
        left, right = tree.left[place], tree.right[place]

        def own() -> int:
            return self._one(float(tree.values[place, 0]))

        if max(left, right) < 0:
            return own()
        return self._asked(
            tree.splits[place],
            own if left < 0 else lambda: self._node(left),
            own if right < 0 else lambda: self._node(right),
        )

    def _question(self, split: int) -> _Question:
        found = self.questions.found[split]
        assert isinstance(found, _Question)
        return found

    def _asked(self, split: int, left: Callable[[], int], right: Callable[[], int]) -> int:
        """Both ways of a split, or one where what was asked before leaves but one."""
        question = self.questions.found[split]
        if isinstance(question, _Mixed):
            return self._mixed(question.part, question.axes, left, right)
        return self._alone(split, question, left, right)

    def _mixed(
        self, part: _Part, axes: list[int | _Question], left: Callable[[], int], right: Callable[[], int]
    ) -> int:
        """A split by several columns as splits by one after the other, values that are alike together."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise CouldNotLook(f"{self.questions.where}: {MIXES}")
        if part.every or not part.some:
            return left() if part.every else right()
        axis, *rest = axes
        if isinstance(axis, _Question):
            no, yes = (lambda i=i: self._mixed(part.at(i), rest, left, right) for i in (0, 1))
            return self._alone(self.questions.of(axis), axis, no, yes)
        first, group = part.group(self.sets.get(axis, np.ones(len(part.left), dtype=bool)))
        if group is None:
            return self._mixed(part.at(first), rest, left, right)
        split = self.questions.of_set(axis, group)
        both = (lambda: self._mixed(part, axes, left, right),) * 2
        return self._alone(split, self._question(split), *both)

    def _alone(self, split: int, question: _Question, left: Callable[[], int], right: Callable[[], int]) -> int:
        both = self._by_set if question.inside is not None else self._by_border
        ways = both(question, left, right)
        if len(ways) == 1 or ways[0] == ways[1]:
            return ways[0]
        return self._one((split, ways[0], ways[1]))

    def _by_border(self, question: _Question, left: Callable[[], int], right: Callable[[], int]) -> list[int]:
        column, border = question.column, question.border
        low, high = self.numbers.get(column, (-math.inf, math.inf))
        if border >= high:
            return [left()]
        if border <= low:
            return [right()]
        self.numbers[column] = (low, border)
        below = left()
        self.numbers[column] = (border, high)
        above = right()
        self.numbers[column] = (low, high)
        return [below, above]

    def _by_set(self, question: _Question, left: Callable[[], int], right: Callable[[], int]) -> list[int]:
        column, inside = question.column, question.inside
        assert inside is not None
        still = self.sets.get(column, np.ones(len(inside), dtype=bool))
        here, there = still & inside, still & ~inside
        if not there.any():
            return [left()]
        if not here.any():
            return [right()]
        self.sets[column] = here
        below = left()
        self.sets[column] = there
        above = right()
        self.sets[column] = still
        return [below, above]
