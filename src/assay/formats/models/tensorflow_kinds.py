"""Which TensorFlow message a file begins: SavedModel, MetaGraph and GraphDef have no mark, only their fields."""

from __future__ import annotations

import re

from assay.formats.models.protobuf import BYTES, VARINT, shape_of_head

_TOP = {
    "tf-savedmodel": {1: (VARINT,), 2: (BYTES,)},
    "tf-graph": {1: (BYTES,), 2: (BYTES,), 3: (VARINT,), 4: (BYTES,), 5: (BYTES,)},
    "tf-metagraph": dict.fromkeys(range(1, 8), (BYTES,)),
}
_OPERATOR = {**dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 20), (BYTES,)), **dict.fromkeys((16, 17, 18, 19, 21), (VARINT,))}
_OPERATOR_NAME = re.compile(rb"[A-Z_][A-Za-z0-9_>]*")
_VERSION = re.compile(rb"\d+\.\d+|unknown")
_TEXT = re.compile(rb"[\t\n\r\f -\xff]*")
_NODE = {**dict.fromkeys((1, 2, 3, 4, 5, 6, 7), (BYTES,))}
_META = {**dict.fromkeys((1, 2, 3, 4, 5, 6, 8), (BYTES,)), 7: (VARINT,)}


def kind_of(head: bytes, name: str) -> str:
    """Which of the messages a file's first bytes begin ("tf-savedmodel", "tf-metagraph", "tf-graph"); "" for none."""
    base = name.lower().replace("\\", "/").rpartition("/")[2]
    named = base.endswith((".pb", ".meta", ".graphdef", ".metagraph"))
    whole = not named
    if not named and _TEXT.fullmatch(head):
        return ""
    fields = shape_of_head(head, _TOP["tf-savedmodel"], whole=whole)
    if any(number == 2 and _is_meta_graph(payload) for number, _, payload in fields):
        return "tf-savedmodel"  # the version need not be the first field, or be given
    for kind, agrees in (("tf-metagraph", _is_meta_graph), ("tf-graph", _is_graph)):
        if shape_of_head(head, _TOP[kind], whole=whole) and agrees(head):
            return kind
    return "tf-savedmodel" if base == "saved_model.pb" and (fields or _TEXT.fullmatch(head)) else ""


def _is_meta_graph(head: bytes) -> bool:
    """A graph anywhere among its fields; or MetaInfoDef first, with a list of operators or a TensorFlow version."""
    fields = shape_of_head(head, _TOP["tf-metagraph"])
    if any(number == 2 and _is_graph(payload) for number, _, payload in fields):
        return True
    if not fields or fields[0][0] != 1:
        return False
    for inner, _, text in shape_of_head(fields[0][2], _META):
        if inner == 5 and _VERSION.match(text):
            return True
        operators = shape_of_head(text, {1: (BYTES,)}) if inner == 2 else []
        names = shape_of_head(operators[0][2], _OPERATOR) if operators else []
        if names and names[0][0] == 1 and _OPERATOR_NAME.fullmatch(names[0][2]):
            return True
    return False


def _is_graph(head: bytes) -> bool:
    fields = shape_of_head(head, _TOP["tf-graph"])
    return any(number == 1 and _is_node(payload) for number, _, payload in fields)


def _is_node(payload: bytes) -> bool:
    fields = shape_of_head(payload, _NODE)
    texts = {number: text for number, _, text in fields}
    named = re.fullmatch(rb"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*", texts.get(1, b"")) is not None
    return named and _OPERATOR_NAME.fullmatch(texts.get(2, b"")) is not None
