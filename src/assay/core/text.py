"""Text that is safe to show: control characters made visible, length bounded, secrets unreachable."""

from __future__ import annotations

import unicodedata

# Controls, direction marks, zero-width characters, line separators and unassigned code points can forge or hide output.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def visible(text: str, limit: int = 400) -> str:
    """`text` on one line with every control or direction-changing character written as an escape, cut at `limit`."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    if short.isascii() and short.isprintable():
        return short
    return "".join(c.encode("unicode_escape").decode("ascii") if _hides(c) else c for c in short)


def _hides(sign: str) -> bool:
    if " " <= sign <= "~":
        return False
    return sign in _INVISIBLE or "\U000e0100" <= sign <= "\U000e01ef" or unicodedata.category(sign) in _UNSAFE


class Redacted:
    """A value that must stay out of evidence. It has no way back: only its length and kind can be shown."""

    __slots__ = ("kind", "length")

    def __init__(self, value: str, kind: str = "value") -> None:
        self.kind, self.length = kind, len(value)

    def __repr__(self) -> str:
        return f"[{self.kind} redacted, {self.length} characters]"

    __str__ = __repr__


def nearest(word: str, options: list[str] | tuple[str, ...]) -> str:
    """The option closest to `word`, or "" when none is close: for "did you mean" lines. Letters in another order come
    first: `lable` is label, not table."""
    import difflib

    found = difflib.get_close_matches(word, options, n=3, cutoff=0.6)
    return next((o for o in found if sorted(o) == sorted(word)), found[0] if found else "")
