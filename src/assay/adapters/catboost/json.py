"""A CatBoost model in JSON as `parts.Model`, and as JSON again of all that was understood of it.

Layout: catboost/libs/model/json_model_helpers.cpp.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from assay.adapters.catboost.parts import (
    EMPTY,
    MEANS,
    MOST_DEPTH,
    MOST_SPLITS,
    THRESHOLD,
    Base,
    Category,
    Ctr,
    CtrType,
    Element,
    Model,
    Number,
    Table,
    Tree,
    key,
    require,
    require_plain,
    require_shallow,
    table_of,
)
from assay.adapters.extras import library
from assay.formats.models.json_alike import read_alike

_MOST_JSON = 512 << 20


class Counters(msgspec.Struct):
    """A table of counters in JSON: a hash and its numbers, again and again."""

    hash_map: list[str | int | float]
    hash_stride: int
    counter_denominator: int = 0


class Features(msgspec.Struct, omit_defaults=True):
    """All that can be split by."""

    float_features: list[Number] = []
    categorical_features: list[Category] = []
    ctrs: list[Ctr] = []
    text_features: list[Any] = []
    embedding_features: list[Any] = []
    estimated_features: list[Any] = []


class Split(msgspec.Struct):
    """A split by its place among all: borders of numbers, then single categories, then borders of counters."""

    split_index: int


class Symmetric(msgspec.Struct, omit_defaults=True):
    """An oblivious tree: the bits of a leaf's place are the answers to the splits, the first the lowest."""

    leaf_values: list[float]
    splits: list[Split] | None = None
    leaf_weights: list[float] = []


class Branch(msgspec.Struct, omit_defaults=True):
    """A node of a tree that grew leaf by leaf."""

    left: Branch | None = None
    right: Branch | None = None
    split: Split | None = None
    value: float | list[float] | None = None
    weight: float = 0.0


class Document(msgspec.Struct, omit_defaults=True):
    """A model in JSON."""

    features_info: Features
    scale_and_bias: tuple[float, list[float]]
    model_info: dict[str, Any] = {}
    oblivious_trees: list[Symmetric] = []
    trees: list[Branch] = []
    ctr_data: dict[str, Counters] = {}


_UNWEIGHED = ("ctr_data", "model_info")  # hashes, and what no answer rests on


def _small(value: Any) -> bool:
    """Whether all whole numbers are ones that a double tells apart: CatBoost takes larger ones for 0."""
    if isinstance(value, dict):
        return all(map(_small, value.values()))
    if isinstance(value, list):
        return all(map(_small, value))
    return not isinstance(value, int) or abs(value) <= 1 << 53


def read_json(content: bytes) -> tuple[Model, bytes]:
    """(the model in a JSON file, JSON of what was understood).

    Raises UnsoundError, TwofoldError or what msgspec raises.
    """
    require(len(content) <= _MOST_JSON, f"its JSON has more than {_MOST_JSON >> 20} MB")
    raw = read_alike(content)
    require(isinstance(raw, dict), "it is no object")
    require(_small({k: v for k, v in raw.items() if k not in _UNWEIGHED}), "a whole number is one CatBoost reads as 0")
    document = msgspec.convert(raw, Document)
    features = document.features_info
    others = (features.text_features, features.embedding_features, features.estimated_features)
    require_plain(any(others))
    require(not (document.trees and document.oblivious_trees), "it has trees of two kinds")
    _rounded(features)
    scale, bias = document.scale_and_bias
    trees = [_symmetric(tree, len(bias)) for tree in document.oblivious_trees]
    trees += [_grown(tree, len(bias)) for tree in document.trees]
    tables: dict[bytes, Table] = {}
    counters: dict[str, Counters] = {}
    for text, found in document.ctr_data.items():
        base = msgspec.json.decode(text, type=Base)
        require(base.classes == 0, "a table of counters is not known")
        _short(base.identifier)
        name = key(base)
        require(name not in tables, "it has a table of counters twice")
        tables[name], counters[name.decode()] = _table(found, base.type)
    told = ("class_params", "params", "loss_function", THRESHOLD)
    info = {k: v for k, v in document.model_info.items() if k in told}
    require_shallow(info)
    document.model_info = _kept(info)
    document.ctr_data = counters
    model = Model(
        numbers=features.float_features, categories=features.categorical_features, ctrs=features.ctrs, trees=trees,
        tables=tables, scale=scale, bias=bias, info=info,
    )  # fmt: skip
    return model, msgspec.json.encode(document)


def _rounded(features: Features) -> None:
    """Read numbers as CatBoost does: in single precision."""
    for number in features.float_features:
        number.borders = _single(number.borders or [])
    for ctr in features.ctrs:
        require(ctr.classes == 0, "a table of counters is not known")
        ctr.borders = _single(ctr.borders or [])
        _short(ctr.elements)
        numbers = _single([ctr.prior_numerator, ctr.prior_denomerator, ctr.shift, ctr.scale])
        ctr.prior_numerator, ctr.prior_denomerator, ctr.shift, ctr.scale = numbers


def _short(elements: list[Element]) -> None:
    for element in elements:
        if element.border is not None:
            element.border = _single([element.border])[0]


def _single(values: list[float]) -> list[float]:
    np = library("numpy")
    with np.errstate(over="ignore"):
        found: list[float] = np.array(values, dtype=np.float32).astype(float).tolist()
    return found


def _kept(info: dict[str, Any]) -> dict[str, Any]:
    """What CatBoost needs to know of the training: what was trained for, and the names of the classes."""
    params = info.get("params")
    loss = params.get("loss_function") if isinstance(params, dict) else info.get("loss_function")
    kept = {"loss_function": loss, "class_params": info.get("class_params")}
    return {name: value for name, value in kept.items() if isinstance(value, dict)}


def _symmetric(tree: Symmetric, outputs: int) -> Tree:
    np = library("numpy")
    splits = [s.split_index for s in tree.splits or ()]
    require(len(splits) <= MOST_SPLITS, "a tree is too deep")
    leaves = 1 << len(splits)
    require(len(tree.leaf_values) == leaves * outputs, "a tree does not have the leaves that its splits ask for")
    require(len(tree.leaf_weights) in (0, leaves), "a tree has weights that do not fit its leaves")
    return Tree(splits, np.array(tree.leaf_values, dtype=np.float64).reshape(leaves, outputs))


def _grown(root: Branch, outputs: int) -> Tree:
    np = library("numpy")
    splits, left, right, values = list[int](), list[int](), list[int](), list[list[float]]()
    pending: list[tuple[Branch, int, int]] = [(root, -1, 0)]
    while pending:
        node, above, depth = pending.pop()
        place = len(splits)
        if above >= 0:
            (left if left[above] == -2 else right)[above] = place
        if node.value is not None:
            require(node.left is None and node.right is None, "a leaf has nodes below it")
            found = node.value if isinstance(node.value, list) else [node.value]
            require(len(found) == outputs, "a leaf has a value for another number of outputs")
            end, split = -1, 0
        else:
            require(node.left is not None and node.right is not None and node.split is not None, "a node lacks a side")
            require(depth < MOST_DEPTH, "a tree is too deep")
            assert node.left is not None
            assert node.right is not None
            assert node.split is not None
            pending += [(node.right, place, depth + 1), (node.left, place, depth + 1)]
            found, end, split = [0.0] * outputs, -2, node.split.split_index
        splits.append(split)
        left.append(end)
        right.append(end)
        values.append(found)
    return Tree(splits, np.array(values, dtype=np.float64), left, right)


def _table(found: Counters, kind: CtrType) -> tuple[Table, Counters]:
    """A table, and what may be given on of it: without the empty places that CatBoost writes among the others."""
    stride = found.hash_stride
    require(2 <= stride <= 100_000 and len(found.hash_map) % stride == 0, "a table of counters has torn rows")
    hashes, rows, kept = list[int](), list[list[float]](), list[str | int | float]()
    for at in range(0, len(found.hash_map), stride):
        name, *numbers = found.hash_map[at : at + stride]
        require(isinstance(name, str) and re.fullmatch(r"[0-9]{1,20}", name) is not None, "a hash is no number")
        require(all(isinstance(n, int | float) for n in numbers), "a counter is no number")
        if int(name) == EMPTY:
            continue
        hashes.append(int(name))
        rows.append([n if kind in MEANS else int(n) for n in numbers if not isinstance(n, str)])
        kept += [name, *rows[-1]]
    table = table_of(
        hashes, library("numpy").array(rows, dtype=float).reshape(-1, stride - 1), found.counter_denominator
    )
    return table, Counters(kept, stride, found.counter_denominator)
