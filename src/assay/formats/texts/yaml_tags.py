"""YAML's tags, resolved: which make a loader build or call what the file names (YAML 1.2, ch. 6.8.2 and 6.9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from assay.core.text import visible

_STANDARD = "tag:yaml.org,2002:"
STANDARD_TAGS = frozenset(
    _STANDARD + kind
    for kind in (
        *("null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs"),
        *("set", "str", "seq", "map", "merge", "value", "yaml"),
    )
)
# Local tags by which HyperPyYAML, js-yaml, Ruby's and .NET's loaders call or build what the file names.
_LOCAL_CODE = re.compile(r"!(?:new|apply|name|applyref|module|python|ruby|js|java|javax|include|call|obj|eval|exec)\b")

# HyperPyYAML's tags that only point to, copy or join what stands in the file.
_PLAIN = frozenset({"!ref", "!copy", "!tuple", "!PLACEHOLDER"})


def builds_objects(tag: str) -> bool:
    """Whether a resolved tag, or what a handle stands for, makes a loader build or call something of its own."""
    return tag.startswith(_STANDARD) or "python/" in tag or _LOCAL_CODE.match(tag) is not None


def tag_gap(tags: Iterable[str]) -> str:
    """Why a document with these tags cannot be judged: the first of which its loader decides what it does; else ""."""
    for tag in tags:
        if not builds_objects(tag) and tag not in _PLAIN:
            return f"holds the YAML tag {visible(tag, 40)}, of which its loader decides what it does"
    return ""
