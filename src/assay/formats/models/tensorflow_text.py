"""TensorFlow graphs in protobuf's text form (saved_model.pbtxt, graph.pbtxt): only the operators' names are read.

So there is always a gap; but an operator that alarms in binary form alarms here too.
"""

from __future__ import annotations

import ast
import re
from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.source import Source, SpentError
from assay.formats.models.tensorflow_operators import Node, judge, judge_unknown, wanted
from assay.formats.reading import Limits, Reading

MOST_TEXT = 64 << 20
_STRING = rb"(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
_SPACE = rb"(?:[\s]|#[^\n]*\n)*"
_OPERATOR = re.compile(rb"\bop" + _SPACE + rb":" + _SPACE + rb"((?:" + _STRING + _SPACE + rb")+)")
_DEFINED = re.compile(
    _SPACE.join((rb"\bsignature", rb":?", rb"[{<]", rb"name", rb":", rb"(" + _STRING + rb")")),
)
_HEAD = re.compile(
    _SPACE
    + rb"(?:saved_model_schema_version\s*:\s*\d|meta_graphs\s*:?\s*[{<]|meta_info_def\s*:?\s*[{<]|node\s*:?\s*[{<])"
)


def looks_like(head: bytes, name: str) -> bool:
    """Whether a text begins as a SavedModel, MetaGraph or GraphDef; only names in .pbtxt are asked."""
    return name.lower().endswith((".pbtxt", ".pbtext", ".prototxt.tf")) and _HEAD.match(head) is not None


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a graph in text form. Raises OSError; it always leaves a gap."""
    facts = Facts("tf-text")
    source = Source(file, limits)
    facts.gap("is a TensorFlow graph in text form, of which only the names of operators were read")
    with facts.torn():
        if source.size > MOST_TEXT:
            raise SpentError(f"text of more than {MOST_TEXT >> 20} MB")
        text = source.at(0, source.size)
        for found in _OPERATOR.finditer(text):
            source.step()
            operator = _unquoted(found[1])
            facts.operator(operator)
            if wanted(operator):
                judge(facts, Node(operator, (), {}), {}, training=not name.lower().endswith("saved_model.pbtxt"))
        judge_unknown(facts, {_unquoted(found[1]) for found in _DEFINED.finditer(text)})
    return facts.reading()


def _unquoted(text: bytes) -> str:
    """The value of one or more adjacent quoted strings, whose escapes are those of C."""
    parts = re.findall(_STRING, text)
    try:
        return b"".join(ast.literal_eval("b" + part.decode("latin-1")) for part in parts).decode("utf-8", "replace")
    except (SyntaxError, ValueError):
        return "?"
