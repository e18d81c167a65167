"""A notice in plain language: "With two fewer past claims (3 instead of 5), the decision would differ."."""

from __future__ import annotations

import re
from typing import Any

from assay.attacks.recourse.notices import Change, Notice, Told
from assay.attacks.relations import short
from assay.core.text import visible

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MORE = (("a lower", "a higher"), ("fewer", "more"))  # of one thing, of several
_COUNTED = re.compile(r"\b(?:number|no|num|count) of ", re.IGNORECASE)
PROVED = "No change that you can make would alter the decision; that is proved, for every permitted value."
NOT_FOUND = "No change that you can make and that alters the decision was found; it is not proved that there is none."
NO_PROMISE = (
    "A notice describes what the model does with such a row today. It is no promise: the model, its threshold and what "
    "else is decided may change, and it does not say that the change is wise, or what would come of it."
)
ATTACKERS = (
    "No column says under `person:` what an honest person can change; what an attacker could change was taken instead."
)


def sentence(notice: Notice) -> str:
    """One notice."""
    return f"With {_joined([_phrase(change) for change in notice.changes])}, the decision would differ."


def sentences(told: Told) -> list[str]:
    """All that a person is told of their row, one sentence a line."""
    if told.notices:
        return [sentence(notice) for notice in told.notices]
    return [PROVED if told.proved else NOT_FOUND]


def name_of(column: str) -> str:
    """A column's name in words: `PastNumberOfClaims` and `past_number_of_claims` are "past number of claims"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", column)
    words = re.sub(r"[_\-.\s]+", " ", spaced).strip().split()
    return visible(" ".join(w if w.isupper() and len(w) > 1 else w.lower() for w in words) or column, 60)


def _phrase(change: Change) -> str:
    name, old, new = name_of(change.column), change.old, change.new
    instead = f"({_value(new, change)} instead of {_value(old, change) if old is not None else 'none'})"
    counted = _things(name)
    if change.places and _whole(old) and _whole(new) and counted:
        count = abs(change.places)
        word = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
        more = "more" if change.places > 0 else "fewer"
        return f"{word} {more} {_one(counted) if count == 1 else counted} {instead}"
    numbers = isinstance(old, int | float) and isinstance(new, int | float) and not isinstance(old, bool)
    if (numbers and not change.listed) or change.places:
        up = new > old if numbers else change.places > 0
        return f"{_MORE[bool(counted)][up]} {name} {instead}"
    return f"{'other' if counted else 'another'} {name} {instead}"


def _things(name: str) -> str:
    """What a column counts, in the plural; "" where its name names nothing that is counted."""
    stripped = _COUNTED.sub("", name)
    last = stripped.split()[-1] if stripped.split() else ""
    plural = len(last) > 2 and last.endswith("s") and not last.endswith(("ss", "us", "is"))
    return stripped if plural or stripped != name else ""


def _one(things: str) -> str:
    if things.endswith("ies") and len(things) > 4:
        return f"{things[:-3]}y"
    if things.endswith(("sses", "xes", "shes", "ches", "zes")):
        return things[:-2]
    return things[:-1] if things.endswith("s") else things


def _whole(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()


def _value(value: Any, change: Change) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return visible(short(change.column, str(value)), 60)


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
