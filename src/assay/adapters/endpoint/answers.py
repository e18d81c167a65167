"""What a model behind an address answered, taken apart strictly: one number or label a row, or a clear refusal."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from assay.adapters.values import same_value
from assay.core.errors import CouldNotLook
from assay.core.strict_json import decode

PROBED, SURE = 32, 8
WHOLE = 1 << 53  # whole numbers beyond it are no labels that a float can hold


class Answer(msgspec.Struct, frozen=True):
    """One answer: per row a number or a label (n,), or `width` numbers each; `version` as the server says it.

    `label` says whether the server declares labels (None: it declares nothing, the values must tell).
    """

    values: list[Any]
    width: int = 0
    label: bool | None = None
    version: str = ""


def parsed(body: bytes, where: str) -> dict[str, Any]:
    """The JSON object of an answer. Raises CouldNotLook without quoting it."""
    try:
        found = decode(body, dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        nan = b"NaN" in body or b"Infinity" in body
        what = "answers NaN or infinite numbers, which are no scores" if nan else "does not answer in proper JSON"
        raise CouldNotLook(f"{where}: {what}") from None
    assert isinstance(found, dict)
    return found


def says_labels(values: list[Any]) -> bool:
    """Whether answers are labels: words, truth values and whole numbers, those that are written 1.0 too.

    Of fewer than 8 of the last kind nobody can tell: they are taken for scores.
    """
    if values and all(isinstance(v, str | bool) or (isinstance(v, int) and abs(v) <= WHOLE) for v in values):
        return True
    return len(values) >= SURE and all(isinstance(v, int | float) and float(v).is_integer() for v in values)


def as_scores(values: list[Any], where: str) -> list[float]:
    """Numbers as floats. Raises CouldNotLook where one is none."""
    odd = sum(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in values)
    if odd:
        raise CouldNotLook(f"{where}: answers {odd} of {len(values)} rows with no number (null, NaN or a word)")
    return [float(v) for v in values]


def as_hits(values: list[Any], positive: Any, where: str) -> list[float]:
    """1 for the positive label, 0 for others. Raises CouldNotLook for what is no label."""
    odd = sum(not isinstance(v, str | int | float) or (isinstance(v, float) and not math.isfinite(v)) for v in values)
    if odd:
        raise CouldNotLook(f"{where}: answers {odd} of {len(values)} rows with no label (null, NaN or a list)")
    if not _quoted(positive) and any(_quoted(v) for v in values):
        raise CouldNotLook(f"{where}: answers numbers as words, in quotes; let it answer numbers")
    if any(isinstance(v, float) and not v.is_integer() for v in values):
        what = "answered whole numbers at first, as labels are, and now others; name an output that is one of both"
        raise CouldNotLook(f"{where}: {what} by `output:`")
    return [float(same_value(v, positive)) for v in values]


def _quoted(value: Any) -> bool:
    """Whether a word is a number that is not whole (0.93, 0,93 or 93%), as no class is called but where one is."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    try:
        number = float(text.removesuffix("%").replace(",", "."))
    except ValueError:
        return False
    return math.isfinite(number) and (text.endswith("%") or not number.is_integer())
