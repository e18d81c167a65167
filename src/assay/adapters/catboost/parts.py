"""A CatBoost model as it was understood, from either form of its files, and how damage in one is said."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from assay.core.protocols import FloatArray

MOST_LEAVES = 50_000_000
MOST_DEPTH = 64  # of JSON in the file, and of trees that grow leaf by leaf
MOST_SPLITS = 16  # of an oblivious tree
EMPTY = (1 << 64) - 1  # the hash of an empty place
LOGISTIC = frozenset({"Logloss", "CrossEntropy"})
MEANS, TOTALS = ("BinarizedTargetMeanValue", "FloatTargetMeanValue"), ("Counter", "FeatureFreq")
THRESHOLD = "binclass_probability_threshold"  # under which a model keeps the one that was set in it
CTR_TYPES = ("Borders", "Buckets", *MEANS, *TOTALS)
CtrType = Literal[
    "Borders", "Buckets", "BinarizedTargetMeanValue", "FloatTargetMeanValue", "Counter", "FeatureFreq"
]  # fmt: skip
Nan = Literal["AsIs", "AsFalse", "AsTrue"]


class UnsoundError(ValueError):
    """Something in the file contradicts something else in it."""


class Number(msgspec.Struct):
    """A numeric feature: a value above a border is past it. `flat_feature_index` is its column."""

    feature_index: int
    flat_feature_index: int
    borders: list[float] | None = None
    has_nans: bool = False
    nan_value_treatment: Nan = "AsIs"
    feature_id: str = ""


class Category(msgspec.Struct, omit_defaults=True):
    """A categorical feature; `values` are the hashes that it is compared with one by one."""

    feature_index: int
    flat_feature_index: int
    values: list[int] | None = None
    feature_id: str = ""


class Element(msgspec.Struct, omit_defaults=True):
    """One part of what a counter counts by: a category, or a split."""

    combination_element: Literal["cat_feature_value", "float_feature", "cat_feature_exact_value"]
    cat_feature_index: int | None = None
    float_feature_index: int | None = None
    border: float | None = None
    value: int | None = None


class Base(msgspec.Struct, omit_defaults=True):
    """What a table of counters counts: `identifier` gives its cells, `type` what stands in them.

    `classes` says which of several cuts of the target into classes; JSON has no word for it.
    """

    identifier: list[Element]
    type: CtrType
    classes: int = 0


class Ctr(msgspec.Struct):
    """A number made from counters, as a feature with borders."""

    elements: list[Element]
    ctr_type: CtrType
    borders: list[float] | None = None
    prior_numerator: float = 0.0
    prior_denomerator: float = 1.0
    shift: float = 0.0
    scale: float = 1.0
    target_border_idx: int = 0
    classes: int = 0

    @property
    def base(self) -> Base:
        """The table that it reads."""
        return Base(self.elements, self.ctr_type, self.classes)

    @property
    def alone(self) -> int:
        """The one category that it is of; -1 where it mixes several features."""
        single = len(self.elements) == 1 and self.elements[0].combination_element == "cat_feature_value"
        return int(self.elements[0].cat_feature_index or 0) if single else -1


class Tree(msgspec.Struct, frozen=True, gc=False):
    """A tree as arrays. Oblivious: `splits` (depth,), `values` (2**depth, outputs), no `left`. Else one row a node.

    `left` and `right` are nodes of the tree, -1 where a row stays and takes the node's own value.
    """

    splits: list[int]
    values: FloatArray
    left: list[int] | None = None
    right: list[int] | None = None


class Table(msgspec.Struct, frozen=True):
    """Counters by hash: `rows` (n, k) at the places in `places`; a mean is a sum and a count, else counts by class."""

    places: dict[int, int]
    rows: FloatArray
    denominator: int = 0


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A sound model, from either form. `tables` are by the JSON of their `Base`; `info` is what it says of training."""

    numbers: list[Number]
    categories: list[Category]
    ctrs: list[Ctr]
    trees: list[Tree]
    tables: dict[bytes, Table]
    scale: float
    bias: list[float]
    info: dict[str, Any]

    @property
    def outputs(self) -> int:
        """How many scores it gives for a row."""
        return len(self.bias)

    @property
    def features(self) -> tuple[Number | Category, ...]:
        """All that it reads."""
        return (*self.numbers, *self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns; "" for what has none."""
        found = {f.flat_feature_index: f.feature_id for f in self.features}
        return tuple(found[place] for place in range(len(found)))

    def table(self, ctr: Ctr) -> Table:
        """The counters that a feature reads."""
        return self.tables[key(ctr.base)]

    def option(self, *path: str) -> Any:
        """What `info` says at a path; None for nothing."""
        value: Any = self.info
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value


def key(base: Base) -> bytes:
    """One spelling of what a table counts."""
    return msgspec.json.encode(base)


def require(condition: bool, what: str) -> None:
    """Raises UnsoundError."""
    if not condition:
        raise UnsoundError(what)


def require_plain(others: bool) -> None:
    """Refuse what no row of a table gives."""
    require(not others, "it reads texts or embeddings, which are not supported")


def require_shallow(value: Any) -> None:
    """Refuse JSON that is nested deeper than any honest one: CatBoost's reader calls itself for each level."""
    level = [value]
    for _ in range(MOST_DEPTH):
        inner = [v for v in level if isinstance(v, dict | list)]
        level = [x for v in inner for x in (v.values() if isinstance(v, dict) else v)]
    require(not level, "what it says of its training is nested too deeply")


def table_of(hashes: list[int], rows: FloatArray, denominator: int) -> Table:
    """Rows (n, k) of counters by the hashes that stand before them."""
    require(all(0 <= h < EMPTY for h in hashes), "a hash is out of range")
    places = {h: i for i, h in enumerate(hashes)}
    require(len(places) == len(hashes), "a table of counters has a hash twice")
    return Table(places, rows, denominator)


def splits_of(model: Model) -> list[int]:
    """How many splits each feature gives, in the order in which splits are counted."""
    return [
        *(len(n.borders or ()) for n in model.numbers),
        *(len(c.values or ()) for c in model.categories),
        *(len(c.borders or ()) for c in model.ctrs),
    ]
