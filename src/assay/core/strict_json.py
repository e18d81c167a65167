"""JSON from untrusted hands, in which every name of an object may stand once: two readers must not see two values."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def decode(data: bytes, kind: Any) -> Any:
    """`data` as `kind` (a struct or a union of them).

    Raises msgspec.MsgspecError, ValueError or RecursionError for what is malformed, does not fit, or names a thing
    twice: parsers differ on which of the two counts (RFC 8259, section 4).
    """
    found = msgspec.json.decode(data, type=kind)
    json.loads(data, object_pairs_hook=_once)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a thing twice")
    return found
