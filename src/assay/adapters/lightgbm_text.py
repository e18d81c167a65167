"""The structure of a LightGBM text model, checked before LightGBM reads it: its own parser trusts what the file says.

A count, an index or a child that is out of bounds there makes the process crash or read foreign memory. Layout as
LightGBM writes it (versions 2 to 4): a header, trees of `key=values` lines at announced sizes, then importances,
parameters and the categories. LightGBM gets the header and the trees only; the rest is read here.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import Any

import msgspec

from assay.core.errors import CouldNotLook

_MAX_CLASSES = 10_000
_PER_SPLIT = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_TREE_FIELDS = frozenset(
    (*_PER_SPLIT, "num_leaves", "num_cat", "split_gain", "leaf_value", "leaf_weight", "leaf_count", "internal_value")
) | {"internal_weight", "internal_count", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"}
_BARE_LINES = frozenset({"tree", "average_output"})
_DECIMAL = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?"
_FINITE = re.compile(_DECIMAL)
_BORDER = re.compile(rf"{_DECIMAL}|inf")  # where only missing values go the other way
_STATISTIC = re.compile(rf"{_DECIMAL}|-?inf|-?nan")  # gains and weights of training, which no answer rests on
_OBJECTIVE = re.compile(rf"[a-z_0-9]+( [a-z_]+(:{_DECIMAL})?){{0,6}}")
_OTHER_ENDS = re.compile(rb"[\r\v\f]")
_CATEGORICAL = 1
_MOST_KIND = 11  # its bits: a set, missing goes left, and what counts as missing: nothing, 0, NaN
_TAIL = "end of trees\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"


class TextModel(msgspec.Struct, frozen=True, kw_only=True):
    """A sound model: the `text` to give to LightGBM, and the facts read here.

    `categorical` are the places of categorical columns, `levels` their values (DataFrame training only).
    """

    text: str
    features: tuple[str, ...]
    classes: int
    objective: str
    categorical: tuple[int, ...] = ()
    levels: tuple[tuple[Any, ...], ...] = ()


def sound(content: bytes, where: str) -> TextModel:
    """The model, if every count, index and tree in it holds together. Raises CouldNotLook saying what does not."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        raise CouldNotLook(f"{where}: is not a LightGBM text model: not UTF-8") from None
    try:
        return _check(content)
    except _UnsoundError as error:
        raise CouldNotLook(f"{where}: is a torn or damaged LightGBM model: {error}") from None
    except (KeyError, ValueError, OverflowError, RecursionError, UnicodeDecodeError):
        raise CouldNotLook(f"{where}: is a torn or damaged LightGBM model: a field is missing or no number") from None


class _UnsoundError(Exception):
    """Something in the file contradicts something else in it."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise _UnsoundError(what)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        _require(key not in fields, "a field is given twice")
        _require((bool(equals) and bool(key)) or line in _BARE_LINES, "a line is no field")
        _require(not value.startswith("="), "a line is no field")  # LightGBM passes over the second
        fields[key] = value
    return fields


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,10}", text):
        raise ValueError(text)
    return int(text)


def _numbers(text: str, count: int, what: str, spelled: re.Pattern[str] = _FINITE) -> list[float]:
    """The numbers, if each is spelled so that Python reads what LightGBM reads: it takes the 6 of `6_0` and stops."""
    tokens = text.split(" ") if text else []
    _require(len(tokens) == count, f"{what} has {len(tokens)} values, not {count}")
    values = [float(token) for token in tokens if spelled.fullmatch(token)]
    _require(len(values) == count, f"{what} has a value that is no number as LightGBM writes it")
    large = [word for word, value in zip(tokens, values, strict=True) if not math.isfinite(value)]
    _require(spelled is _STATISTIC or set(large) <= {"inf"}, f"{what} has a value beyond all numbers")
    return values


def _indices(text: str, count: int, low: int, high: int, what: str) -> list[int]:
    values = [_whole(token) for token in text.split(" ")] if text else []
    _require(len(values) == count, f"{what} has {len(values)} values, not {count}")
    _require(all(low <= v <= high for v in values), f"{what} points outside the model")
    return values


def _check(content: bytes) -> TextModel:
    start = content.find(b"\nTree=") + 1
    _require(content.startswith(b"tree\n") and b"\0" not in content and start > 0, "it has no header or no trees")
    # LightGBM ends lines there too: what follows is another header, or other trees, than those that are read here.
    _require(not _OTHER_ENDS.search(content), "it has lines that end in two ways")
    header = _fields([line for line in content[:start].decode().split("\n") if line])
    width = _whole(header["max_feature_idx"]) + 1
    classes = _whole(header["num_class"])
    _require(0 < width <= 1_000_000 and 0 < classes <= _MAX_CLASSES, "its numbers of features or classes are absurd")
    _require(_whole(header["num_tree_per_iteration"]) == classes, "its trees do not fit its classes")
    names = tuple(header["feature_names"].split(" "))
    infos = header["feature_infos"].split(" ")
    _require(len(names) == len(infos) == width, "its feature names do not fit its features")
    _require(0 <= _whole(header.get("label_index", "0")) <= width, "its label lies outside the features")
    objective = header.get("objective", "custom")
    _require(_OBJECTIVE.fullmatch(objective) is not None, "its objective is unreadable")
    for _, colon, value in (word.partition(":") for word in objective.split(" ")):
        _numbers(value, 1 if colon else 0, "objective")
    said = re.search(r"num_class:(\S+)", objective)
    several = objective.startswith("multiclass")
    _require(said.group(1) == str(classes) if said else not several, "its objective does not fit its classes")
    if constraints := header.get("monotone_constraints"):
        _indices(constraints, width, -1, 1, "monotone_constraints")
    sizes = [_whole(size) for size in header["tree_sizes"].split(" ")]
    _require(len(sizes) % classes == 0 and min(sizes) > 0, "its number of trees does not fit its classes")
    split_by_sets = False
    sets: set[int] = set()
    for number, size in enumerate(sizes):
        lines = content[start : start + size].decode().split("\n")
        _require(lines[0] == f"Tree={number}" and lines[-1] == "", f"tree {number} is not where it should be")
        # LightGBM reads a tree up to an empty line: without one it takes what the next tree says, and aborts.
        _require("" in lines[:-1], f"tree {number} does not end with an empty line")
        told = lines[1 : lines.index("")]
        _require(not any(lines[1 + len(told) :]), f"tree {number} has an empty line inside")
        fields = _fields(told)
        _tree(fields, width, number)
        split_by_sets = split_by_sets or fields["num_cat"] != "0"
        kinds, split = (fields.get(name, "").split() for name in ("decision_type", "split_feature"))
        sets |= {int(j) for j, kind in zip(split, kinds, strict=True) if int(kind) & _CATEGORICAL}
        start += size
    _require(content[start:].startswith(b"end of trees\n"), "its trees do not end where they should")
    places, levels = _tail(content[start:].decode(), width, split_by_sets)
    _require(not levels or sets <= set(places), "trees split a column by categories that is not among the listed ones")
    return TextModel(
        text=content[:start].decode() + _TAIL,
        features=names,
        classes=classes,
        objective=objective.partition(" ")[0],
        categorical=places,
        levels=levels,
    )


def _tail(text: str, width: int, split_by_sets: bool) -> tuple[tuple[int, ...], tuple[tuple[Any, ...], ...]]:
    """(places of the categorical columns, their levels) from what follows the trees."""
    for once in (r"^pandas_categorical:", r"^\[categorical_feature:"):
        _require(len(re.findall(once, text, re.MULTILINE)) <= 1, "its categories are listed twice")
    listed = re.search(r"^\[categorical_feature: ([0-9,]*)\]$", text, re.MULTILINE)
    places = tuple(sorted(_whole(p) for p in listed.group(1).split(","))) if listed and listed.group(1) else ()
    _require(all(p < width for p in places), "categorical_feature points outside the model")
    written = re.search(r"^pandas_categorical:(.*)$", text, re.MULTILINE)
    _require(written is not None or not split_by_sets, "its list of categories is cut off")
    # LightGBM looks for the list in the last line alone, and goes without it where another line follows.
    last = written is None or text[written.end() :] in ("", "\n")
    _require(last, "its list of categories is not its last line, where LightGBM looks for it")
    # It looks for it in a line that is stripped of blanks first, as Python knows them.
    _require(text.count("pandas_categorical:") == (written is not None), "its list of categories has a blank before it")
    value = json.loads(written.group(1)) if written else None
    if not value:
        return places, ()
    _require(isinstance(value, list) and all(isinstance(v, list) for v in value), "its categories are unreadable")
    _require(len(value) == len(places), f"it lists {len(value)} categorical columns and {len(places)} places")
    for known in value:
        plain = all(isinstance(v, str | int | float) and v == v for v in known)
        _require(plain and len(set(known)) == len(known), "it lists a category twice, or one that is none")
    return places, tuple(tuple(v) for v in value)


def _tree(fields: dict[str, str], width: int, number: int) -> None:
    _require(fields.get("is_linear", "0") == "0", "it has linear trees, which are not supported")
    _require(fields.keys() <= _TREE_FIELDS, f"tree {number} has a field that is not known")
    leaves = _whole(fields["num_leaves"])
    splits = leaves - 1
    _require(1 <= leaves <= 10_000_000, f"tree {number} has {leaves} leaves")
    _numbers(fields["leaf_value"], leaves, "leaf_value")
    categories = _whole(fields["num_cat"])
    _numbers(fields.get("shrinkage", "1"), 1, "shrinkage")
    for name in ("leaf_weight", "leaf_count"):
        if fields.get(name):
            _numbers(fields[name], leaves, name, _STATISTIC)
    if splits == 0:
        _require(categories == 0 and not any(fields.get(name) for name in _PER_SPLIT), "a single leaf is split")
        return
    for name in ("split_gain", "internal_value", "internal_weight", "internal_count"):
        if fields.get(name):
            _numbers(fields[name], splits, name, _STATISTIC)
    _indices(fields["split_feature"], splits, 0, width - 1, "split_feature")
    kinds = _indices(fields["decision_type"], splits, 0, _MOST_KIND, "decision_type")
    thresholds = _numbers(fields["threshold"], splits, "threshold", _BORDER)
    left = _indices(fields["left_child"], splits, -leaves, splits - 1, "left_child")
    right = _indices(fields["right_child"], splits, -leaves, splits - 1, "right_child")
    # Each split but the root, and each leaf, is the child of exactly one split: then nothing loops and nothing is lost.
    _require(sorted(left + right) == [*range(-leaves, 0), *range(1, splits)], f"tree {number} is not a tree")
    _require(_reaches_all(left, right), f"tree {number} is not a tree")
    _categories(fields, categories, [t for t, kind in zip(thresholds, kinds, strict=True) if kind & _CATEGORICAL])


def _reaches_all(left: list[int], right: list[int]) -> bool:
    """Whether every split can be reached from the root."""
    seen, pending = 0, [0]
    while pending:
        node = pending.pop()
        seen += 1
        pending += [child for child in (left[node], right[node]) if child >= 0]
        if seen > len(left):
            return False
    return seen == len(left)


def _categories(fields: dict[str, str], count: int, thresholds: list[float]) -> None:
    _require(0 <= count <= 10_000_000, "num_cat is absurd")
    _require(all(t.is_integer() and 0 <= t < count for t in thresholds), "a categorical split points outside its sets")
    if count == 0:
        return
    bounds = _indices(fields["cat_boundaries"], count + 1, 0, 100_000_000, "cat_boundaries")
    _require(bounds[0] == 0 and all(a < b for a, b in itertools.pairwise(bounds)), "cat_boundaries do not rise")
    _indices(fields["cat_threshold"], bounds[-1], 0, 2**32 - 1, "cat_threshold")
