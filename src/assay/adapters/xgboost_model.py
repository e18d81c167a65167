"""The structure of an XGBoost model in JSON or UBJSON, checked before XGBoost reads it: its parser trusts what it says.

Layout: xgboost doc/model.schema. Only `gbtree` and `dart` boosters with one output; the rest is refused in a line.
"""

from __future__ import annotations

import io
import math
from typing import Any

import msgspec

from assay.core.errors import CouldNotLook
from assay.formats.models.boosters import looks_like_xgboost
from assay.formats.models.source import Cursor, Source
from assay.formats.models.ubjson import load
from assay.formats.reading import Limits

_MOST_NODES = 50_000_000


class TreeParam(msgspec.Struct):
    """What a tree says of its size."""

    num_nodes: str = "0"
    size_leaf_vector: str = "1"


class Tree(msgspec.Struct):
    """One tree: arrays over its nodes, the root first; a leaf has no children and its value in `split_conditions`."""

    left_children: list[int]
    right_children: list[int]
    split_indices: list[int]
    split_conditions: list[float]
    default_left: list[int]
    split_type: list[int] = []
    categories: list[int] = []
    categories_nodes: list[int] = []
    categories_segments: list[int] = []
    categories_sizes: list[int] = []
    tree_param: TreeParam = msgspec.field(default_factory=TreeParam)


class Encoding(msgspec.Struct):
    """The categories of one column: of texts the UTF-8 bytes and where each ends."""

    offsets: list[int] = []
    values: list[int | float] = []


class Categories(msgspec.Struct):
    """The categories of every column."""

    enc: list[Encoding] = []


class Forest(msgspec.Struct):
    """The trees of a booster."""

    trees: list[Tree] = []
    cats: Categories = msgspec.field(default_factory=Categories)
    weights: list[list[float] | float] = []


class Inner(msgspec.Struct):
    """The trees inside a dart booster."""

    model: Forest


class Booster(msgspec.Struct):
    """gbtree, dart or gblinear."""

    name: str
    model: Forest = msgspec.field(default_factory=Forest)
    gbtree: Inner | None = None
    weight_drop: list[float] = []


class Objective(msgspec.Struct):
    """What was trained for."""

    name: str


class ModelParam(msgspec.Struct):
    """Numbers of the whole model, as texts."""

    base_score: str = "0.5"
    num_class: str = "0"
    num_feature: str = "0"
    num_target: str = "1"


class Learner(msgspec.Struct):
    """What XGBoost keeps of a model."""

    gradient_booster: Booster
    learner_model_param: ModelParam
    objective: Objective
    feature_names: list[str] = []
    feature_types: list[str] = []

    @property
    def forest(self) -> Forest:
        """The trees, of dart too."""
        booster = self.gradient_booster
        return booster.gbtree.model if booster.gbtree is not None else booster.model

    @property
    def width(self) -> int:
        """How many columns it reads."""
        return int(self.learner_model_param.num_feature)

    @property
    def outputs(self) -> int:
        """How many scores it gives for a row."""
        return max(int(self.learner_model_param.num_class), int(self.learner_model_param.num_target), 1)

    @property
    def base(self) -> float:
        """`base_score`: before XGBoost's link, of one output."""
        value = msgspec.json.decode(self.learner_model_param.base_score.encode())
        return float(value[0] if isinstance(value, list) else value)


class _Document(msgspec.Struct):
    learner: Learner


def sound(content: bytes, where: str) -> tuple[Learner, bytes]:
    """(the model, its JSON as it was checked), if every count, index and tree in it holds together.

    Raises CouldNotLook saying what does not.
    """
    if not looks_like_xgboost(content[:64], where) or content.startswith((b"binf", b"bs64")):
        raise CouldNotLook(f"{where}: is no XGBoost model in JSON or UBJSON; save it again as `.json`")
    try:
        raw: Any = msgspec.json.decode(content) if _is_json(content) else _ubj(content)
        learner = msgspec.convert(raw, _Document, strict=False).learner
        _check(learner)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError, IndexError) as error:
        said = str(error) if isinstance(error, _UnsoundError) else "a field is missing or of another kind"
        raise CouldNotLook(f"{where}: is a torn or damaged XGBoost model: {said}") from None
    return learner, msgspec.json.encode(raw)


class _UnsoundError(ValueError):
    """Something in the file contradicts something else in it."""


def _is_json(content: bytes) -> bool:
    return content.lstrip()[1:].lstrip().startswith(b'"')


def _ubj(content: bytes) -> Any:
    return load(Cursor(Source(io.BytesIO(content), Limits()), 0, ">"))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _UnsoundError(what)


def _check(learner: Learner) -> None:
    _require(0 < learner.width <= 1_000_000, "its number of features is absurd")
    _require(math.isfinite(learner.base), "its base score is no number")
    names, kinds = learner.feature_names, learner.feature_types
    _require(all(len(x) in (0, learner.width) for x in (names, kinds)), "its feature names do not fit its features")
    if learner.gradient_booster.name == "gblinear":
        return
    _require(learner.gradient_booster.name in ("gbtree", "dart"), "its booster is not known")
    forest = learner.forest
    _require(0 < len(forest.trees) <= 1_000_000, "it has no trees")
    drop = learner.gradient_booster.weight_drop
    _require(len(drop) in (0, len(forest.trees)), "its weights do not fit its trees")
    _require(sum(len(t.left_children) for t in forest.trees) <= _MOST_NODES, "it has too many nodes")
    for number, tree in enumerate(forest.trees):
        _tree(tree, learner.width, number)


def _tree(tree: Tree, width: int, number: int) -> None:
    count = len(tree.left_children)
    columns = (tree.right_children, tree.split_indices, tree.split_conditions, tree.default_left)
    _require(count > 0 and all(len(c) == count for c in columns), f"tree {number} has columns of other lengths")
    _require(int(tree.tree_param.num_nodes) == count, f"tree {number} does not have the nodes that it says")
    _require(int(tree.tree_param.size_leaf_vector or 0) <= 1, f"tree {number} has several values a leaf")
    _require(len(tree.split_type) in (0, count), f"tree {number} has columns of other lengths")
    seen, pending = 0, [0]
    while pending:
        node = pending.pop()
        seen += 1
        left, right = tree.left_children[node], tree.right_children[node]
        if left == -1 and right == -1:
            continue
        inside = 0 < left < count and 0 < right < count and left != right and seen <= count
        _require(inside, f"tree {number} is not a tree")
        _require(0 <= tree.split_indices[node] < width, f"tree {number} asks for a feature that it does not have")
        pending += [left, right]
    _require(seen <= count, f"tree {number} is not a tree")
    _require(all(math.isfinite(v) for v in tree.split_conditions), f"tree {number} has a value that is no number")
    sets = (tree.categories_segments, tree.categories_sizes)
    _require(all(len(s) == len(tree.categories_nodes) for s in sets), f"tree {number} has sets that do not fit")
    for start, size in zip(*sets, strict=True):
        _require(start >= 0 and size >= 0 and start + size <= len(tree.categories), f"tree {number} has torn sets")
    _require(all(0 <= c < 1 << 24 for c in tree.categories), f"tree {number} has an absurd category")
    _require(all(0 <= n < count for n in tree.categories_nodes), f"tree {number} has a set of no node")
