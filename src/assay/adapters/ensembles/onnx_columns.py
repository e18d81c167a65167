"""Walks an ONNX graph from its inputs to its trees: which column of the data each column that they read comes from."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from assay.adapters.extras import library
from assay.core.errors import CouldNotLook
from assay.core.text import visible

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_INTEGERS = {
    2: ("uint8", 0, 2**8 - 1), 3: ("int8", -(2**7), 2**7 - 1), 4: ("uint16", 0, 2**16 - 1),
    5: ("int16", -(2**15), 2**15 - 1), 6: ("int32", -(2**31), 2**31 - 1), 7: ("int64", -(2**63), 2**63 - 1),
    12: ("uint32", 0, 2**32 - 1), 13: ("uint64", 0, 2**64 - 1),
}  # fmt: skip
"""ONNX's integer types: name, least and greatest."""
_INT64, _SURE = 7, 2**53
_FLOATS = {1: "float32", 10: "float16", 11: "float64"}
_ENDS = {name: (float(low), float(high)) for name, low, high in _INTEGERS.values()} | {"bool": (0.0, 1.0)}


class Column(NamedTuple):
    """A column of a tensor of type `kind`: it never falls, or never rises, as column `place` of the data rises, over
    all numbers of its type; or (`levels`) it is decided by that column's level alone.

    `raw` while it is that column itself, but for missing values and its type; `whole` where it holds whole numbers
    alone. All values lie between `low` and `high`. `deep` tensors have three axes. What is `cut` down to whole numbers,
    of which too large ones wrap around, rises no more: only levels can be told from it.
    """

    place: int
    raw: bool = True
    levels: tuple[Any, ...] | None = None
    kind: str = "float32"
    whole: bool = False
    low: float = -math.inf
    high: float = math.inf
    deep: bool = False
    cut: bool = False


def entry(place: int, kind: str) -> Column:
    """Column `place` as an input of type `kind` of the graph gives it."""
    low, high = _ENDS.get(kind, (-math.inf, math.inf))
    return Column(place, kind=kind, whole=kind in _ENDS, low=low, high=high)


class Facts:
    """The constants of a graph, and the node that makes each tensor."""

    def __init__(self, graph: Any) -> None:
        onnx = library("onnx")
        self.graph = graph
        self.made = {name: node for node in graph.node for name in node.output if name}
        if graph.sparse_initializer:  # one may stand for a dense one of its name
            raise CouldNotLook("its graph has sparse constants, which are not read; attack it with `access: label`")
        self.constants = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)

    def constant(self, name: str) -> Any:
        """A constant flattened, None where it is none."""
        found = self.constants.get(name)
        return None if found is None else found.reshape(-1)


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes by name: numbers, texts, lists and arrays."""
    onnx = library("onnx")
    out: dict[str, Any] = {}
    for item in node.attribute:
        value = onnx.helper.get_attribute_value(item)
        if item.type == onnx.AttributeProto.TENSOR:
            value = onnx.numpy_helper.to_array(value)
        elif item.type == onnx.AttributeProto.STRING:
            value = value.decode("utf-8", "replace")
        elif item.type == onnx.AttributeProto.STRINGS:
            value = [v.decode("utf-8", "replace") for v in value]
        out[item.name] = value
    return out


def behind(facts: Facts, inputs: dict[str, list[Column]], target: str, where: str) -> list[Column]:
    """The columns of tensor `target`; `inputs` are those of the graph's. Raises CouldNotLook naming what mixes them."""
    known = dict(inputs)
    for node in facts.graph.node:  # ONNX asks that a node stands behind what it reads
        given = [known.get(name) for name in node.input if name]
        if any(g is not None for g in given):
            found = _after(node, given, facts)
            if found is not None:
                known[node.output[0]] = found
    if target in known and not any(c.cut and c.levels is None for c in known[target]):
        return known[target]
    kind = "Cast" if target in known else _culprit(facts, known, target)
    what = (
        f"its {visible(kind, 40)} before the trees makes columns that do not plainly rise with one column of the data"
    )
    raise CouldNotLook(f"{where}: {what}; attack it with `access: label`")


def _culprit(facts: Facts, known: dict[str, list[Column]], target: str) -> str:
    """The operator that stopped the walk, of those that `target` comes from."""
    at, seen = [target], {target}
    while at:
        node = facts.made.get(at.pop())
        if node is None:
            continue
        inputs = [n for n in node.input if n and n not in facts.constants]
        if all(n in known for n in inputs):
            return str(node.op_type)
        for name in inputs:
            if name not in seen and name not in known:
                seen.add(name)
                at.append(name)
    return "graph"


def _after(node: Any, given: list[list[Column] | None], facts: Facts) -> list[Column] | None:
    """The columns of a node's first output, None where it mixes them, bends them both ways, or is not known."""
    kind, said = node.op_type, attributes(node)
    if node.domain not in DOMAINS:
        return None  # a function of that name
    if kind in _ARITHMETIC and len(given) == 2:
        return _arithmetic(node, given, facts)
    first = given[0]
    if first is None or (any(g is None for g in given[1:]) and kind in ("Concat", "FeatureVectorizer")):
        return None
    if kind == "Cast":
        return _all([_cast(c, int(said["to"])) for c in first])
    if kind == "Reshape":
        return _reshaped(first, facts.constant(node.input[1]))
    if kind == "Identity":
        return first
    known = [g for g in given if g is not None]
    if any(c.deep for g in known for c in g):
        # The levels of one column lie along the last axis, of which some may be left out.
        alone = kind == "Gather" and len({c.place for c in first}) == 1
        return _picked(node, first, said, facts, (-1, 2)) if alone else None
    if kind in ("OneHotEncoder", "LabelEncoder"):
        return _told_apart(kind, first, said)
    if any(c.cut and c.levels is None for g in known for c in g):
        return None
    if kind == "Concat":
        return [c for g in known for c in g] if said.get("axis") in (1, -1) else None
    if kind == "FeatureVectorizer":
        whole = list(said.get("inputdimensions", ())) == [len(g) for g in known]
        return _all([_cast(c, 1) for g in known for c in g]) if whole else None
    if kind in ("Gather", "ArrayFeatureExtractor"):
        return _picked(node, first, said, facts)
    if kind == "Imputer":
        sentinel = said.get("replaced_value_float", 0.0) if "imputed_value_floats" in said else 0
        return [c._replace(low=-math.inf, high=math.inf) for c in first] if sentinel != sentinel else None
    if kind == "Scaler":
        ends = [_numbers(said.get(name), len(first)) for name in ("offset", "scale")]
        sound = bool(ends[0]) and bool(ends[1]) and all(ends[1])
        return [_bent(c)._replace(kind="float32") for c in first] if sound else None
    if kind == "Clip":
        return _clipped(node, first, said, facts)
    if kind in ("Floor", "Ceil"):
        return [_bent(c, math.floor(c.low), math.ceil(c.high)) if math.isfinite(c.high - c.low) else _bent(c)
                for c in first]  # fmt: skip
    return None


def _all(columns: list[Column | None]) -> list[Column] | None:
    found = [c for c in columns if c is not None]
    return found if len(found) == len(columns) else None


def _bent(column: Column, low: float = -math.inf, high: float = math.inf) -> Column:
    """A column after a step that rises, or falls, over all floats."""
    return column._replace(raw=False, whole=False, low=low, high=high)


def _cast(column: Column, to: int) -> Column | None:
    """A column as another type. Whole numbers wrap around where they do not hold it: None unless it is proved that they
    do. Truth values and texts of numbers do not rise with them."""
    if column.levels is not None or column.cut:
        return column if column.levels is not None else None
    if to in _FLOATS:
        name = _FLOATS[to]
        raw = column.raw and not (name == "float16" or (name == "float64" and column.kind not in ("float64", *_ENDS)))
        with np.errstate(over="ignore"):
            low, high = (float(np.dtype(name).type(end)) for end in (column.low, column.high))
        return column._replace(kind=name, raw=raw, low=low, high=high)
    if to == _INT64 and column.raw and not column.whole and column.kind != "str":
        return column._replace(kind="int64", cut=True)
    if to not in _INTEGERS or not (math.isfinite(column.low) and math.isfinite(column.high)):
        return None
    name, least, most = _INTEGERS[to]
    low, high = math.trunc(column.low), math.trunc(column.high)
    if column.kind == "int64":  # its ends as floats are rounded
        low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    if low < least or high > most:
        return None
    raw = column.raw and column.whole
    return column._replace(kind=name, raw=raw, whole=True, low=float(low), high=float(high))


def _reshaped(first: list[Column], shape: Any) -> list[Column] | None:
    """Rows as they are, told in two axes."""
    if shape is None or len(shape) != 2:
        return None
    rows, wide = int(shape[0]), int(shape[1])
    kept = wide == len(first) or (wide == -1 and rows == 0)
    return [c._replace(deep=False) for c in first] if kept else None


def _numbers(found: Any, count: int) -> list[float]:
    """Finite numbers, one for all columns or one each; [] for any others."""
    values = [float(v) for v in (() if found is None else found)]
    return values if len(values) in (1, count) and all(map(math.isfinite, values)) else []


def _clipped(node: Any, first: list[Column], said: dict[str, Any], facts: Facts) -> list[Column] | None:
    ends = []
    for at, name, none in ((1, "min", -math.inf), (2, "max", math.inf)):
        if len(node.input) > at and node.input[at]:
            found = facts.constant(node.input[at])
            if found is None or len(found) != 1:
                return None
            ends.append(float(found[0]))
        else:
            ends.append(float(said.get(name, none)))
    low, high = ends
    return [_bent(c, max(low, c.low), min(high, c.high)) for c in first] if low <= high else None


def _arithmetic(node: Any, given: list[list[Column] | None], facts: Facts) -> list[Column] | None:
    """A column and a constant, which rounding leaves rising or falling: all but a product or quotient with what makes
    NaN of a number, a constant over a column, which leaps at 0, and whole numbers, which wrap around."""
    left, right = given
    if (left is None) == (right is None) or (node.op_type == "Div" and left is None):
        return None
    columns = left if left is not None else right
    name = node.input[1 if left is not None else 0]
    constant = facts.constant(name)
    if columns is None or constant is None or any(c.deep for c in columns):
        return None
    if facts.constants[name].size != (facts.constants[name].shape or (1,))[-1]:
        return None  # a number a row
    columns = columns * max(1, len(constant)) if len(columns) == 1 else columns
    if len(constant) not in (1, len(columns)):
        return None
    numbers = [float(v) for v in constant] * (len(columns) // len(constant))
    for column, number in zip(columns, numbers, strict=True):
        sound = math.isfinite(number) and (number != 0 or node.op_type in ("Add", "Sub"))
        if column.levels is None and (column.kind in _ENDS or not sound):
            return None
    return [_bent(c) for c in columns]


def _picked(
    node: Any, first: list[Column], said: dict[str, Any], facts: Facts, axes: tuple[int, ...] = (1, -1)
) -> list[Column] | None:
    places = facts.constant(node.input[1])
    if places is None or (node.op_type == "Gather" and said.get("axis", 0) not in axes):
        return None
    if node.op_type == "Gather" and facts.constants[node.input[1]].ndim != 1:
        return None
    if not all(0 <= int(p) < len(first) for p in places):
        return None
    return [first[int(p)] for p in places]


def _told_apart(kind: str, first: list[Column], said: dict[str, Any]) -> list[Column] | None:
    names = ("cats_strings", "cats_int64s") if kind == "OneHotEncoder" else (
        "keys_strings", "keys_int64s", "keys_floats", "keys_tensor",
    )  # fmt: skip
    name = next((n for n in names if n in said and len(said[n])), None)
    if name is None or not all(c.raw for c in first):
        return None
    # onnxruntime cuts numbers down to whole ones where it looks for those.
    cuts = [c.cut or (name == "cats_int64s" and c.kind not in (*_ENDS, "str")) for c in first]
    values = [v.item() if hasattr(v, "item") else v for v in said[name]]
    values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    levels = tuple(v for v in values if v == v)
    if any(cuts) and not all(isinstance(v, int) and abs(v) < _SURE for v in levels):
        return None
    hot = kind == "OneHotEncoder"
    times = len(values) if hot else 1
    return [
        Column(c.place, False, levels, deep=hot, cut=cut) for c, cut in zip(first, cuts, strict=True)
        for _ in range(times)
    ]  # fmt: skip
