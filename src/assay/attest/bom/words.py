"""Text that may stand in a BOM: escaped, bounded, without secrets and without a machine's paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from assay.core.text import visible
from assay.formats.texts.secret_search import judge_secrets

Properties = list[dict[str, str]]

MOST_TEXT = 500
MOST_NAME = 1000
MOST_VALUE = 8000
MEASURED, DECLARED, OPEN = "assay:measured:", "assay:declared:", "assay:open"
_ABSOLUTE = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:[\\/]|\\\\|~[\\/]|/(?=[\w.]))[^\s\"'<>|,;)\]}]*")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def clean(text: str, limit: int = MOST_TEXT) -> str:
    """A text as it may be shown: one line, at most `limit` signs, secrets and absolute paths taken out.

    Of an absolute path the last name is kept.
    """
    said = _CREDENTIALS.sub("", visible(text, limit))
    if judge_secrets(said, strict=True, bare=False):
        return "(redacted: it looks like a secret)"
    return _ABSOLUTE.sub(_last, said) if "/" in said or "\\" in said else said


def _last(match: re.Match[str]) -> str:
    name = re.split(r"[\\/]", match.group().rstrip("\\/"))[-1]
    return f"(local path) {name}"


def named(text: str) -> str:
    """A file's name, relative already: escaped, whole."""
    return visible(text, MOST_NAME)


def value_of(value: Any) -> str:
    """A fact as the text of a property: words and numbers as they are, lists and tables as compact JSON."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool) or value is None:
        return "true" if value is True else "false" if value is False else "null"
    if isinstance(value, (int, float)):
        return repr(value)
    text = msgspec.json.encode(_cleaned(value), order="sorted").decode()
    return text if len(text) <= MOST_VALUE else f"{text[:MOST_VALUE]}…"


def _cleaned(value: Any, depth: int = 0) -> Any:
    if depth > 20:
        return "…"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key), 200): _cleaned(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(item, depth + 1) for item in value]
    return value


def properties(prefix: str, facts: Mapping[str, Any]) -> Properties:
    """Facts as properties, sorted by name."""
    return [
        {"name": f"{prefix}{visible(key, 200)}", "value": value_of(value)}
        for key, value in sorted(facts.items())
        if value not in ("", None, [], {})
    ]


def open_properties(gaps: tuple[str, ...] | list[str], most: int = 50) -> Properties:
    """What could not be read, one property each."""
    told = [{"name": OPEN, "value": visible(gap, MOST_TEXT)} for gap in gaps[:most]]
    if len(gaps) > most:
        told.append({"name": OPEN, "value": f"and {len(gaps) - most} more"})
    return told


def package_url(ecosystem: str, name: str, version: str) -> str:
    """A package URL (purl-spec): `pkg:pypi/torch@2.1.0%2Bcu118`."""
    told = f"@{quote(version, safe='-._~:')}" if version else ""
    return f"pkg:{ecosystem}/{quote(name, safe='-._~/')}{told}"
