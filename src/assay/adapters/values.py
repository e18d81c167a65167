"""When two written values are the same value: `1`, `1.0`, `"1"` and `true` name one class in a label column."""

from __future__ import annotations

import math
from typing import Any

from assay.adapters.extras import library

_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"0", "false", "no"})


def canonical_text(value: Any) -> str | None:
    """One spelling per value: numbers without a trailing `.0`, truth as `true`/`false`, text trimmed; None for null.

    NaN is null. Text that reads as a plain decimal number gets the number's spelling, so that `"01"` equals 1.
    """
    if value is None:
        return None
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.lower()
    number = _plain_number(text)
    return text if number is None else canonical_text(number)


def _plain_number(text: str) -> float | int | None:
    """The number that `text` spells in plain decimal notation; None for words, `inf`, `nan` and `1_000`."""
    if not text or len(text) > 40 or not text.isascii() or "_" in text or text.lstrip("+-")[:1].lower() in ("i", "n"):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def same_value(left: Any, right: Any) -> bool:
    """Whether two scalars name the same value. A declared truth value also equals 1/0, yes/no (YAML reads them so)."""
    a, b = canonical_text(left), canonical_text(right)
    if a is None or b is None:
        return a is b
    if a == b:
        return True
    if "true" in (a, b) or "false" in (a, b):
        low = {a.lower(), b.lower()}
        return low <= _TRUE or low <= _FALSE
    return False


def listed(values: Any) -> list[Any]:
    """An Arrow array as Python values; moments beyond Python's calendar (CSV's `inf` among dates) as their text."""
    try:
        found: list[Any] = values.to_pylist()
    except (OverflowError, ValueError):
        found = values.cast(library("pyarrow").string()).to_pylist()
    return found
