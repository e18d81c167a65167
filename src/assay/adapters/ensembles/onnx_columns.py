"""Walks an ONNX graph from its inputs to its trees: which column of the data each column that they read comes from."""

from __future__ import annotations

from typing import Any, NamedTuple

from assay.adapters.extras import library
from assay.core.errors import CouldNotLook
from assay.core.text import visible

_ARITHMETIC = frozenset({"Add", "Sub", "Mul", "Div"})
_AS_IT_IS = frozenset({"Identity", "Reshape", "FeatureVectorizer", "Concat", "Imputer"})
_BENDING = frozenset({"Cast", "Scaler", "Clip", "Floor", "Ceil"})
_STRING, _BOOL = 8, 9


class Column(NamedTuple):
    """A column of a tensor: it rises with column `place` of the data, or (`levels`) is decided by its level.

    `raw` while it is that column itself, but for missing values and its type.
    """

    place: int
    raw: bool = True
    levels: tuple[Any, ...] | None = None


class Facts:
    """The constants of a graph, and the node that makes each tensor."""

    def __init__(self, graph: Any) -> None:
        onnx = library("onnx")
        self.graph = graph
        self.made = {name: node for node in graph.node for name in node.output if name}
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
    if target in known:
        return known[target]
    kind = _culprit(facts, known, target)
    what = f"its {visible(kind, 40)} before the trees makes columns that no single column of the data decides"
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
    """The columns of a node's first output, None where it mixes them or is not known."""
    kind, said = node.op_type, attributes(node)
    if kind in _ARITHMETIC and len(given) == 2:
        return _arithmetic(node, given, facts)
    if kind in ("Concat", "FeatureVectorizer"):
        if any(g is None for g in given) or (kind == "Concat" and said.get("axis") not in (1, -1)):
            return None
        return [c for g in given if g is not None for c in g]
    first = given[0]
    if first is None:
        return None
    if kind in ("Gather", "ArrayFeatureExtractor"):
        return _picked(node, first, said, facts)
    if kind in ("OneHotEncoder", "LabelEncoder"):
        return _told_apart(kind, first, said)
    if kind == "Imputer":
        sentinel = said.get("replaced_value_float", float("nan")) if "imputed_value_floats" in said else 0
        return first if sentinel != sentinel else None
    if kind in _AS_IT_IS:
        return first
    if kind == "Cast":
        # Truth values and texts of numbers do not rise with them.
        return None if said["to"] in (_STRING, _BOOL) and not _by_level(first) else first
    return [c._replace(raw=False) for c in first] if kind in _BENDING else None


def _by_level(columns: list[Column]) -> bool:
    return all(c.levels is not None for c in columns)


def _arithmetic(node: Any, given: list[list[Column] | None], facts: Facts) -> list[Column] | None:
    left, right = given
    if (left is None) == (right is None):
        return None
    columns = left if left is not None else right
    constant = facts.constant(node.input[1 if left is not None else 0])
    if columns is None or constant is None:
        return None
    if len(columns) == 1:
        columns = columns * max(1, len(constant))
    if len(constant) not in (1, len(columns)):
        return None
    return [c._replace(raw=False) for c in columns]


def _picked(node: Any, first: list[Column], said: dict[str, Any], facts: Facts) -> list[Column] | None:
    places = facts.constant(node.input[1])
    if places is None or (node.op_type == "Gather" and said.get("axis", 0) not in (1, -1)):
        return None
    if not all(0 <= int(p) < len(first) for p in places):
        return None
    return [first[int(p)] for p in places]


def _told_apart(kind: str, first: list[Column], said: dict[str, Any]) -> list[Column] | None:
    names = ("cats_strings", "cats_int64s") if kind == "OneHotEncoder" else (
        "keys_strings", "keys_int64s", "keys_floats", "keys_tensor",
    )  # fmt: skip
    found = next((said[n] for n in names if n in said and len(said[n])), None)
    if found is None or not all(c.raw for c in first):
        return None
    values = [v.item() if hasattr(v, "item") else v for v in found]
    values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    levels = tuple(v for v in values if v == v)
    times = len(found) if kind == "OneHotEncoder" else 1
    return [Column(c.place, False, levels) for c in first for _ in range(times)]
