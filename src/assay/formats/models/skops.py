"""What a skops file has its loader import: the types of every node, whatever the file's own trust says."""

from __future__ import annotations

from typing import Any

from assay.core.finding import Severity
from assay.core.text import visible
from assay.formats.models.nodes import mappings_in
from assay.formats.pickle.tiers import DANGEROUS, SAFE, UNRESOLVABLE, classify
from assay.formats.reading import Note, Topic

_FIX = "load it with skops' `trusted=` naming only types that you know, or ask for ONNX"
# Loaders that fetch by name what another module holds, and the only module that each may fetch from.
_BOUND_TO = {"OperatorFuncNode": "operator"}
_ORDINARY_OPERATORS = frozenset({"itemgetter", "attrgetter", "methodcaller"})


def is_skops(value: Any) -> bool:
    """Whether decoded JSON is the schema of a skops file."""
    return isinstance(value, dict) and {"__class__", "__module__", "__loader__"} <= value.keys()


def judge_skops(schema: Any, where: str) -> list[Note]:
    """Every type that loading would import and that is not known-safe. `schema` is decoded JSON.

    Source: skops.io, the `__module__`, `__class__` and `__loader__` of each node. Nothing is imported.
    """
    found: dict[str, Note] = {}
    for item in mappings_in(schema):
        for severity, name, what in _node(item):
            found.setdefault(
                name,
                Note(
                    topic=Topic.MODEL_CODE, message=what, severity=severity, key=name, where=where,
                    evidence={"type": name}, fix="" if severity is Severity.INFO else _FIX,
                ),
            )  # fmt: skip
    return list(found.values())


def _node(item: dict[str, Any]) -> list[tuple[Severity, str, str]]:
    module, name, loader = item.get("__module__"), item.get("__class__"), item.get("__loader__")
    if not isinstance(module, str) or not isinstance(name, str):
        return []
    shown = visible(f"{module}.{name}", 120)
    bound = _BOUND_TO.get(loader) if isinstance(loader, str) else None
    if bound is not None and (module not in (bound, f"_{bound}") or name not in _ORDINARY_OPERATORS):
        return [(Severity.CRITICAL, shown, f"passes {shown} off as an operator, which skops would call")]
    if loader == "MethodNode":
        content = item.get("content")
        method = content.get("func") if isinstance(content, dict) else None
        if isinstance(method, str) and method.startswith("__"):
            return [(Severity.CRITICAL, shown, f"fetches the inner method {visible(method, 40)} of {shown}")]
    if bound is not None:
        return [(Severity.INFO, shown, f"holds {shown}, which fetches or calls by name")]
    tier, why = classify(module, name)
    if tier == SAFE:
        return []
    if tier in (DANGEROUS, UNRESOLVABLE):
        return [(Severity.CRITICAL, shown, f"has its loader import {shown}, which {why}")]
    return [(Severity.INFO, shown, f"needs {shown}, a type that the list does not know")]
