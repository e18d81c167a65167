"""ONNX models in protobuf's text form (.textproto, .onnxtxt): only external files and operators' names are read.

So there is always a gap; but a path that alarms in binary form alarms here too. Text: onnx.proto's field names.
"""

from __future__ import annotations

import ast
import re
from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.onnx_operators import judge_operators
from assay.formats.models.onnx_outside import External, judge
from assay.formats.models.source import Source, SpentError
from assay.formats.reading import Limits, Reading

_MOST_TEXT = 64 << 20
_STRING = rb"(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
_SPACE = rb"(?:\s|#[^\n]*\n)*"
_PAIR = re.compile(rb"\bexternal_data" + _SPACE + rb":?" + _SPACE + rb"[{<]([^{}<>]{0,20000})[}>]")
_FIELD = re.compile(rb"\b(key|value)" + _SPACE + rb":" + _SPACE + rb"((?:" + _STRING + _SPACE + rb")+)")
_NODE = re.compile(rb"\b(op_type|domain)" + _SPACE + rb":" + _SPACE + rb"((?:" + _STRING + _SPACE + rb")+)")
_HEAD = re.compile(
    _SPACE + rb"(?:ir_version\s*:\s*\d+|producer_name\s*:|opset_import\s*:?\s*[{<]|graph\s*:?\s*[{<]"
    rb"(?:.{0,2000}\b(?:op_type|initializer|data_type|elem_type)\b))",
    re.DOTALL,
)
_NAMES = (".textproto", ".onnxtxt", ".pbtxt", ".txtpb", ".prototxt")


def looks_like(head: bytes, name: str) -> bool:
    """Whether a text begins as a ModelProto; only names of protobuf's text form are asked."""
    return name.lower().endswith(_NAMES) and _HEAD.match(head) is not None


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a model in text form. Raises OSError; it always leaves a gap."""
    facts = Facts("onnx-text")
    source = Source(file, limits)
    facts.gap("is an ONNX model in text form, of which only operators and other files' names were read")
    with facts.torn():
        if source.size > _MOST_TEXT:
            raise SpentError(f"text of more than {_MOST_TEXT >> 20} MB")
        text = source.at(0, source.size)
        external = External()
        for found in _PAIR.finditer(text):
            source.step()
            pair = {key: _unquoted(value) for key, value in _FIELD.findall(found[1])}
            if pair.get(b"key") in ("location", "basepath") and pair.get(b"value"):
                external.add([("location", pair[b"value"])], None, "")
        judge(facts, external, file)
        for found in _NODE.finditer(text):
            if found[1] == b"op_type":
                facts.operator(_unquoted(found[2]))
        _judge_domains(facts, text)
    return facts.reading()


def _judge_domains(facts: Facts, text: bytes) -> None:
    """Judge operators by the domain that stands beside them in the same node."""
    used: set[tuple[str, str]] = set()
    for node in re.finditer(rb"\bnode" + _SPACE + rb":?" + _SPACE + rb"\{", text):
        fields = dict(_NODE.findall(text[node.end() : node.end() + 4000].split(b"}")[0]))
        if b"op_type" in fields and len(used) < 10_000:
            used.add((_unquoted(fields.get(b"domain", b"''")), _unquoted(fields[b"op_type"])))
    judge_operators(facts, used, set())


def _unquoted(text: bytes) -> str:
    """The value of one or more adjacent quoted strings, whose escapes are those of C."""
    try:
        parts = [ast.literal_eval("b" + part.decode("latin-1")) for part in re.findall(_STRING, text)]
        return b"".join(parts).decode("utf-8", "replace")
    except (SyntaxError, ValueError):
        return "?"
