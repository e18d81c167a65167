"""The structure of a CatBoost model (binary or JSON), checked before CatBoost reads it: it trusts most of what it says.

Its own reading verifies where lists of the core lie, but no index in them, and its tables of counters not at all: a bad
one crashes the process or reads foreign memory. Layout: catboost/libs/model (model.fbs, json_model_helpers.cpp).
"""

from __future__ import annotations

import itertools
import math

import msgspec

from assay.adapters.catboost.core import read_core
from assay.adapters.catboost.json import read_json
from assay.adapters.catboost.parts import (
    MEANS,
    MOST_DEPTH,
    MOST_LEAVES,
    TOTALS,
    Ctr,
    Element,
    Model,
    Tree,
    UnsoundError,
    key,
    require,
    splits_of,
)
from assay.adapters.extras import library
from assay.core.errors import CouldNotLook
from assay.formats.models.json_alike import TwofoldError
from assay.formats.models.source import SpentError, TornError

_MOST_FEATURES = 1_000_000
_PER_BUCKET = 254  # splits of a feature that share a byte


def sound(content: bytes, where: str) -> tuple[Model, bytes]:
    """(the model, the file as it may be given to CatBoost), if every count, index and tree in it holds together.

    A binary file is given on as it is; JSON as what was understood of it. Raises CouldNotLook saying what does not.
    """
    try:
        if content.startswith(b"CBM1"):
            model, passed = read_core(content), content
        else:
            model, passed = read_json(content)
        _check(model)
    except (TornError, SpentError, UnsoundError) as error:
        raise CouldNotLook(f"{where}: is a torn or damaged CatBoost model: {error}") from None
    except TwofoldError as error:
        raise CouldNotLook(f"{where}: {error}; save it again with CatBoost") from None
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError, OverflowError, IndexError):
        what = "is a torn or damaged CatBoost model: a field is missing or of another kind"
        raise CouldNotLook(f"{where}: {what}") from None
    return model, passed


def _check(model: Model) -> None:
    _features(model)
    for ctr in model.ctrs:
        _counted(ctr, model)
    for values in (*(n.borders or () for n in model.numbers), *(c.borders or () for c in model.ctrs)):
        rising = all(a < b for a, b in itertools.pairwise(values)) and all(math.isfinite(v) for v in values)
        require(rising, "its borders do not rise")
    for category in model.categories:
        held = category.values or []
        require(len(set(held)) == len(held), "a category is compared with one value twice")
        require(all(-(1 << 31) <= v < 1 << 31 for v in held), "the hash of a category is out of range")
    counts = splits_of(model)
    require(sum((c + _PER_BUCKET - 1) // _PER_BUCKET for c in counts) <= 0xFFFF, "it has too many features")
    require(math.isfinite(model.scale) and all(math.isfinite(b) for b in model.bias), "its scale or bias is no number")
    require(0 < model.outputs <= 10_000, "its number of outputs is absurd")
    require(0 < len(model.trees) <= 1_000_000, "it has no trees, or absurdly many")
    require(sum(len(t.values) for t in model.trees) <= MOST_LEAVES, "it has too many leaves")
    total, kinds = sum(counts), {tree.left is None for tree in model.trees}
    require(len(kinds) == 1, "it has trees of two kinds")
    for number, tree in enumerate(model.trees):
        _tree(tree, total, number)


def _features(model: Model) -> None:
    """Every column has one feature, and features of a kind are counted in the order of their columns."""
    flats: list[int] = []
    for kind in (model.numbers, model.categories):
        places = [(f.feature_index, f.flat_feature_index) for f in kind]
        require([i for i, _ in places] == list(range(len(places))), "its features are not counted in order")
        require(all(a < b for (_, a), (_, b) in itertools.pairwise(places)), "its features are not in order")
        flats += [flat for _, flat in places]
    require(0 < len(flats) <= _MOST_FEATURES, "its number of features is absurd")
    require(sorted(flats) == list(range(len(flats))), "its features leave columns out, or share one")


def _counted(ctr: Ctr, model: Model) -> None:
    """What a counter is counted by exists, and its table has what it will be asked for."""
    np = library("numpy")
    numbers = (ctr.prior_numerator, ctr.prior_denomerator, ctr.shift, ctr.scale)
    require(all(math.isfinite(v) for v in numbers), "a counter has a prior that is no number")
    require(bool(ctr.elements), "a counter counts nothing")
    require(all(_exists(e, model) for e in ctr.elements), "a counter asks for a feature that is not there")
    table = model.tables.get(key(ctr.base))
    require(table is not None, "it lacks a table of counters")
    assert table is not None
    require(bool(np.isfinite(table.rows).all()), "a counter is no number")
    wide = table.rows.shape[1]
    if ctr.ctr_type in TOTALS:
        require(wide == 1, "a table of counters has rows of another length")
    elif ctr.ctr_type in MEANS:
        require(wide == 2, "a table of counters has rows of another length")
    else:
        least = 1 if ctr.ctr_type == "Buckets" else 2
        last = wide - 1 if ctr.ctr_type == "Buckets" else wide - 2
        require(wide >= least and 0 <= ctr.target_border_idx <= last, "a counter asks for a class that is not there")
    integers = ctr.ctr_type not in MEANS
    whole = not integers or bool((np.abs(table.rows) < 1 << 31).all())
    require(whole and abs(table.denominator) < 1 << 31, "a counter is out of range")


def _exists(element: Element, model: Model) -> bool:
    if element.combination_element == "float_feature":
        place, count = element.float_feature_index, len(model.numbers)
        return place is not None and 0 <= place < count and element.border in (model.numbers[place].borders or ())
    place, count = element.cat_feature_index, len(model.categories)
    if place is None or not 0 <= place < count:
        return False
    alone = element.combination_element == "cat_feature_value"
    return alone or element.value in (model.categories[place].values or ())


def _tree(tree: Tree, total: int, number: int) -> None:
    np = library("numpy")
    require(bool(np.isfinite(tree.values).all()), f"tree {number} has a value that is no number")
    if tree.left is None or tree.right is None:
        require(all(0 <= s < total for s in tree.splits), f"tree {number} asks for a split that it does not have")
        return
    count = len(tree.splits)
    require(count > 0, f"tree {number} has no nodes")
    # An empty model says 0 for each split; it has none.
    require(all(0 <= s < max(total, 1) for s in tree.splits), f"tree {number} asks for a split that it does not have")
    seen, pending = 0, [(0, 0)]
    while pending:
        node, depth = pending.pop()
        seen += 1
        require(seen <= count, f"tree {number} is not a tree")
        require(depth <= MOST_DEPTH, f"tree {number} is too deep")
        below = [b for b in (tree.left[node], tree.right[node]) if b >= 0]
        require(not below or total > 0, f"tree {number} asks for a split that it does not have")
        require(all(0 < b < count for b in below) and len(set(below)) == len(below), f"tree {number} is not a tree")
        pending += [(b, depth + 1) for b in below]
    require(seen == count, f"tree {number} is not a tree")
