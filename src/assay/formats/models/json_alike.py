"""JSON of a model that every parser reads alike: no key comes twice, and no plain letter is spelled by its number."""

from __future__ import annotations

import json
import re
from typing import Any

TWICE = "gives a key twice, of which parsers take the first or the last"
_SPELLED = re.compile(rb"\\u00[2-7]")


class TwofoldError(ValueError):
    """What one parser reads otherwise than another: the file is two models."""


def read_alike(content: bytes) -> Any:
    """The document. Raises TwofoldError, ValueError where it is no JSON in UTF-8, RecursionError.

    Of a key that comes twice one parser takes the first and another the last; some compare keys as they are written,
    and pass over one with `\\u005f` in it.
    """
    if _SPELLED.search(content):
        raise TwofoldError("spells plain letters by their numbers (\\u00..), which parsers read in two ways")
    return json.loads(content.decode("utf-8"), object_pairs_hook=once, parse_constant=_refused)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of keys and values. Raises TwofoldError for a key that comes twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise TwofoldError(TWICE)
    return found


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
