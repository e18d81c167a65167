"""Characters that hide what a text says: tag characters, direction overrides, zero-width signs, selector runs."""

from __future__ import annotations

import re

_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAG, _LONGEST_FLAG = "\U0001f3f4", 8  # a flag of a region is a black flag, up to six tags and an end (UTS #51)
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ZERO = "\u200b-\u200d\u2060-\u2064\u180e\ufeff"
_ZERO_RUN = re.compile(f"[{_ZERO}]{{4,}}")
_ZERO_IN_WORD = re.compile(f"(?<=[A-Za-z])[{_ZERO}](?=[A-Za-z])")
_MOST_IN_WORDS = 3
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")


def hidden(text: str) -> dict[str, int]:
    """Which kinds of hiding characters a text holds, in words, with how many; empty for ordinary text of any script.

    Flags of regions, joiners inside emoji and Persian or Indic words, and direction marks beside right-to-left letters
    are ordinary (UTS #51, UAX #9).
    """
    if text.isascii():
        return {}
    found = {
        "tag characters": sum(len(m.group()) for m in _TAGS.finditer(text) if not _is_flag(m)),
        "direction overrides": sum(
            len(_OVERRIDES.findall(line))
            for line in (text.splitlines() if _OVERRIDES.search(text) else ())
            if not _RIGHT_TO_LEFT.search(line)
        ),
        "zero-width characters": sum(len(m.group()) for m in _ZERO_RUN.finditer(text)),
        "variation selectors": sum(len(m.group()) for m in _SELECTORS.finditer(text)),
    }
    in_words = len(_ZERO_IN_WORD.findall(text))
    if in_words >= _MOST_IN_WORDS:
        found["zero-width characters"] += in_words
    return {kind: count for kind, count in found.items() if count}


def unhidden(text: str) -> str:
    """`text` with tag characters written as the ASCII they stand for, and zero-width ones taken out."""
    if text.isascii():
        return text
    plain = _TAGS.sub(lambda m: "".join(chr(ord(c) - 0xE0000) for c in m.group() if ord(c) - 0xE0000 >= 0x20), text)
    return re.sub(f"[{_ZERO}]", "", plain)


def _is_flag(match: re.Match[str]) -> bool:
    before = match.string[match.start() - 1 : match.start()]
    return before == _FLAG and match.end() - match.start() <= _LONGEST_FLAG
