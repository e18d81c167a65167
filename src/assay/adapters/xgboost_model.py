"""The structure of an XGBoost model in JSON or UBJSON, checked before XGBoost reads it: its parser trusts what it says.

Layout: xgboost doc/model.schema. Only `gbtree` and `dart` boosters with one output; the rest is refused in a line.
"""

from __future__ import annotations

import io
import itertools
import math
import re
from decimal import Decimal
from typing import Any

import msgspec

from assay.core.errors import CouldNotLook
from assay.formats.models.boosters import looks_like_xgboost
from assay.formats.models.json_alike import TwofoldError, read_alike
from assay.formats.models.source import Cursor, Source
from assay.formats.models.ubjson import load
from assay.formats.reading import Limits

_MOST_NODES = 50_000_000
_MOST_OUTPUTS = 10_000
_LARGEST = 3.4028234663852886e38  # of float32
_SMALLEST, _HALF = -125, 1e-8
DIGITS = 9  # that tell every float32 apart
_NUMBER = re.compile(rb"-?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?")
_NO_PARENT = (-1, 2**31 - 1)
_CATEGORICAL = 1


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
    default_left: list[int | bool]
    parents: list[int]
    id: int
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
    """The categories of every column; where those of each start among all, and their order by value, in which XGBoost
    looks up the categories of a frame."""

    enc: list[Encoding] = []
    feature_segments: list[int] = []
    sorted_idx: list[int] = []


class ForestParam(msgspec.Struct):
    """What a booster says of its trees."""

    num_trees: str = "0"
    num_parallel_tree: str = "1"


class Forest(msgspec.Struct):
    """The trees of a booster: `tree_info` is the output of each, `iteration_indptr` where each round starts and the
    last one ends (XGBoost before 2.0 does not write it)."""

    trees: list[Tree] = []
    tree_info: list[int] = []
    iteration_indptr: list[int] = []
    gbtree_model_param: ForestParam = msgspec.field(default_factory=ForestParam)
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
    attributes: dict[str, str] = {}

    @property
    def forest(self) -> Forest:
        """The trees, of dart too."""
        booster = self.gradient_booster
        return booster.gbtree.model if booster.gbtree is not None else booster.model

    @property
    def width(self) -> int:
        """How many columns it reads."""
        return _whole(self.learner_model_param.num_feature)

    @property
    def outputs(self) -> int:
        """How many scores it gives for a row."""
        return max(_whole(self.learner_model_param.num_class), _whole(self.learner_model_param.num_target), 1)

    @property
    def bases(self) -> list[float]:
        """`base_score`, one number or one for each output, before XGBoost's link."""
        value = msgspec.json.decode(self.learner_model_param.base_score.encode())
        return [float(v) for v in (value if isinstance(value, list) else [value])]

    @property
    def base(self) -> float:
        """`base_score` of the first output."""
        return self.bases[0]

    @property
    def starts(self) -> list[int]:
        """The first tree of each round, and the number of trees at last; [0] of a linear booster."""
        forest = self.forest
        each = _whole(forest.gbtree_model_param.num_parallel_tree) * self.outputs
        return forest.iteration_indptr or [*range(0, len(forest.trees), max(1, each)), len(forest.trees)]

    @property
    def answering(self) -> int:
        """How many rounds answer: where training stopped early, those up to the best one, as XGBClassifier has it."""
        best = self.attributes.get("best_iteration")
        rounds = len(self.starts) - 1
        return rounds if best is None or self.gradient_booster.name == "gblinear" else _whole(best) + 1

    @property
    def trees(self) -> list[Tree]:
        """The trees that answer."""
        return self.forest.trees[: self.starts[self.answering]]


class _Document(msgspec.Struct):
    learner: Learner


def sound(content: bytes, where: str) -> tuple[Learner, bytes]:
    """(the model, its JSON as it was checked), if every count, index and tree in it holds together.

    Where training stopped early the JSON ends with the best round: whoever loads it asks the trees that answer.
    Raises CouldNotLook saying what does not.
    """
    if not looks_like_xgboost(content[:64], where) or content.startswith((b"binf", b"bs64")):
        raise CouldNotLook(f"{where}: is no XGBoost model in JSON or UBJSON; save it again as `.json`")
    try:
        raw: Any = read_alike(content) if _is_json(content) else _ubj(content)
        learner = msgspec.convert(raw, _Document, strict=False).learner
        _check(learner)
        if _is_json(content) and not _plain(content, learner):
            raise TwofoldError("has a number between two of float32, which parsers round in two ways")
        _cut(raw["learner"], learner)
        passed = msgspec.json.encode(raw)
    except TwofoldError as error:
        raise CouldNotLook(f"{where}: {error}; save it again with XGBoost") from None
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError, IndexError) as error:
        said = str(error) if isinstance(error, _UnsoundError) else "a field is missing or of another kind"
        raise CouldNotLook(f"{where}: is a torn or damaged XGBoost model: {said}") from None
    return learner, passed


class _UnsoundError(ValueError):
    """Something in the file contradicts something else in it."""


def _is_json(content: bytes) -> bool:
    return content.lstrip()[1:].lstrip().startswith(b'"')


def _ubj(content: bytes) -> Any:
    return load(Cursor(Source(io.BytesIO(content), Limits()), 0, ">"))


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _UnsoundError(what)


def _whole(text: str) -> int:
    """A whole number as XGBoost writes it: Python alone would read `1_0` and digits of other scripts too."""
    _require(re.fullmatch(r"-?[0-9]{1,20}", text) is not None, "a count is no whole number")
    return int(text)


def _check(learner: Learner) -> None:
    _require(0 < learner.width <= 1_000_000, "its number of features is absurd")
    counts = learner.learner_model_param
    _require(0 <= _whole(counts.num_class) <= _MOST_OUTPUTS, "its number of classes is absurd")
    _require(1 <= _whole(counts.num_target) <= _MOST_OUTPUTS, "its number of targets is absurd")
    bases = learner.bases
    _require(len(bases) in (1, learner.outputs) and all(map(_single, bases)), "its base score is no number")
    names, kinds = learner.feature_names, learner.feature_types
    _require(all(len(x) in (0, learner.width) for x in (names, kinds)), "its feature names do not fit its features")
    forest = learner.forest
    if learner.gradient_booster.name == "gblinear":
        _require(len(forest.weights) == (learner.width + 1) * learner.outputs, "its weights do not fit its features")
        return
    _require(learner.gradient_booster.name in ("gbtree", "dart"), "its booster is not known")
    _require(0 < len(forest.trees) <= 1_000_000, "it has no trees")
    drop, dart = learner.gradient_booster.weight_drop, learner.gradient_booster.name == "dart"
    inner = learner.gradient_booster.gbtree is not None
    _require(dart or not (drop or inner), "it has what only a dart booster has, which XGBoost passes over")
    _require(inner or not dart, "its dart booster has no trees where XGBoost looks for them")
    _require(len(drop) in (0, len(forest.trees)), "its weights do not fit its trees")
    _require(all(map(_single, drop)), "a weight of its trees is no number")
    _require(sum(len(t.left_children) for t in forest.trees) <= _MOST_NODES, "it has too many nodes")
    _rounds(learner)
    _listed(forest.cats, learner.width)
    for number, tree in enumerate(forest.trees):
        _require(tree.id == number, "its trees are not in their order")
        _tree(tree, learner.width, number)


def _rounds(learner: Learner) -> None:
    """XGBoost adds a tree to the output that the file names, and asks rounds by where they start, unchecked."""
    forest, starts = learner.forest, learner.starts
    count = len(forest.trees)
    _require(_whole(forest.gbtree_model_param.num_trees) == count, "it does not have the trees that it says")
    _require(1 <= _whole(forest.gbtree_model_param.num_parallel_tree) <= count, "its trees a round are absurd")
    _require(len(forest.tree_info) == count, "it does not say for each tree which output it adds to")
    _require(all(0 <= g < learner.outputs for g in forest.tree_info), "a tree adds to an output that it does not have")
    risen = all(a < b for a, b in itertools.pairwise(starts))
    _require(starts[0] == 0 and starts[-1] == count and risen, "its rounds do not fit its trees")
    _require(1 <= learner.answering < len(starts), "the round at which its training stopped early is not there")


def _listed(cats: Categories, width: int) -> None:
    """The order in which XGBoost looks categories up, and where each ends, are those of the ones that are told."""
    _require(len(cats.enc) in (0, width), "its lists of categories do not fit its features")
    if not all(0 <= v < 128 for one in cats.enc if one.offsets for v in one.values):
        return  # beyond ASCII XGBoost itself cuts words off: refused where they are asked for
    starts, order = [0], list[int]()
    for one in cats.enc:
        words: list[Any] = list(one.values)
        if ends := one.offsets:
            rising = ends[0] == 0 and ends[-1] == len(words) and all(a <= b for a, b in itertools.pairwise(ends))
            _require(rising and all(v == int(v) for v in words), "its categories do not end where they should")
            words = [bytes(map(int, words[a:b])) for a, b in itertools.pairwise(ends)]
        _require(len(set(words)) == len(words), "it lists a category twice")
        starts.append(starts[-1] + len(words))
        order += sorted(range(len(words)), key=words.__getitem__)
    told = (cats.feature_segments, cats.sorted_idx) == (starts, order)
    _require(not cats.enc or told, "the order of its categories is not theirs")


def _cut(raw: Any, learner: Learner) -> None:
    """Leave only the rounds that answer in the document."""
    rounds, starts = learner.answering, learner.starts
    if rounds == len(starts) - 1:
        return
    booster = raw["gradient_booster"]
    forest = booster["gbtree"]["model"] if learner.gradient_booster.gbtree is not None else booster["model"]
    for place, name, count in (
        (forest, "trees", starts[rounds]),
        (forest, "tree_info", starts[rounds]),
        (forest, "iteration_indptr", rounds + 1),
        (booster, "weight_drop", starts[rounds]),
    ):
        if name in place:
            place[name] = place[name][:count]
    forest["gbtree_model_param"]["num_trees"] = str(starts[rounds])


def _single(value: float) -> bool:
    """Whether a float32 can hold it."""
    return -_LARGEST <= value <= _LARGEST


def _halfway(value: float) -> bool:
    """Whether it lies halfway between two float32, as a double tells."""
    places = math.ldexp(value, 24 - max(math.frexp(value)[1], _SMALLEST))  # in units of the last bit of a float32
    return abs(places % 1.0 - 0.5) <= _HALF


def _plain(content: bytes, learner: Learner) -> bool:
    """Whether every number of the trees is one float32, however it is read.

    XGBoost rounds the decimals themselves and writes at most DIGITS of them; who reads them as a double first rounds
    twice, and takes what lies a hair beside the middle of two float32 for the other one.
    """
    numbers = (*(t.split_conditions for t in learner.forest.trees), learner.gradient_booster.weight_drop, learner.bases)
    between = {value for listed in numbers for value in listed if _halfway(value)}
    written = (m.group() for m in _NUMBER.finditer(content)) if between else ()
    return not any(_twofold(n) for n in written if float(n) in between)


def _twofold(number: bytes) -> bool:
    """Whether a decimal whose double lies halfway is not that double, or has more digits than a float32 needs."""
    return len(_digits(number)) > DIGITS or Decimal(number.decode()) != Decimal(float(number))


def _digits(number: bytes) -> bytes:
    """The digits of a decimal that count."""
    return re.sub(rb"[^0-9]", b"", re.split(rb"[eE]", number)[0]).strip(b"0")


def _tree(tree: Tree, width: int, number: int) -> None:
    count = len(tree.left_children)
    columns = (tree.right_children, tree.split_indices, tree.split_conditions, tree.default_left, tree.parents)
    _require(count > 0 and all(len(c) == count for c in columns), f"tree {number} has columns of other lengths")
    _require(_whole(tree.tree_param.num_nodes) == count, f"tree {number} does not have the nodes that it says")
    _require(tree.tree_param.size_leaf_vector in ("", "0", "1"), f"tree {number} has several values a leaf")
    _require(len(tree.split_type) in (0, count), f"tree {number} has columns of other lengths")
    _require(set(tree.split_type) <= {0, _CATEGORICAL}, f"tree {number} has a split of a kind that is not known")
    _require(set(tree.default_left) <= {0, 1}, f"tree {number} sends missing values nowhere")
    _require(all(map(_single, tree.split_conditions)), f"tree {number} has a value that is no float32")
    _require(tree.parents[0] in _NO_PARENT, f"tree {number} is not a tree")
    _require(all(0 <= p < count for p in tree.parents[1:]), f"tree {number} is not a tree")
    _sets(tree, number)
    held = set(tree.categories_nodes)
    seen, pending = 0, [0]
    while pending:
        node = pending.pop()
        seen += 1
        left, right = tree.left_children[node], tree.right_children[node]
        if left == -1 and right == -1:
            continue
        inside = 0 < left < count and 0 < right < count and left != right and seen <= count
        _require(inside, f"tree {number} is not a tree")
        # XGBoost goes to the one after the left child where it should go to the right one.
        _require(right == left + 1, f"tree {number} has children that do not stand side by side, as XGBoost asks them")
        _require(tree.parents[left] == tree.parents[right] == node, f"tree {number} is not a tree")
        _require(0 <= tree.split_indices[node] < width, f"tree {number} asks for a feature that it does not have")
        by_set = bool(tree.split_type) and tree.split_type[node] == _CATEGORICAL
        _require(node in held or not by_set, f"tree {number} has a split without its categories")
        pending += [left, right]
    _require(seen <= count, f"tree {number} is not a tree")


def _sets(tree: Tree, number: int) -> None:
    sets = (tree.categories_segments, tree.categories_sizes)
    nodes = tree.categories_nodes
    _require(all(len(s) == len(nodes) for s in sets), f"tree {number} has sets that do not fit")
    for start, size in zip(*sets, strict=True):
        _require(start >= 0 and size >= 1 and start + size <= len(tree.categories), f"tree {number} has torn sets")
    _require(all(0 <= c < 1 << 24 for c in tree.categories), f"tree {number} has an absurd category")
    _require(all(0 <= n < len(tree.left_children) for n in nodes), f"tree {number} has a set of no node")
    _require(all(a < b for a, b in itertools.pairwise(nodes)), f"tree {number} has sets that are out of order")
