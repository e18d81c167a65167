"""Durations as people write them in a policy: `30d`, `12h`, `90m`."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_TEXT = re.compile(r"([0-9]{1,5})([dhm])\Z")


@lru_cache(maxsize=256)
def duration(text: str) -> timedelta:
    """`30d` → 30 days. Raises ValueError for anything but a whole number of d, h or m, or zero."""
    found = _TEXT.match(text)
    if not found or int(found.group(1)) == 0:
        raise ValueError(f"{text!r} is not a duration such as 30d, 12h or 90m")
    return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
