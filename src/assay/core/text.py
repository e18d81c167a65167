"""Text that is safe to show: control characters made visible, length bounded, secrets unreachable."""

from __future__ import annotations

import re

# C0/C1 controls, bidirectional overrides, zero-width characters and line separators can forge terminal output.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str, limit: int = 400) -> str:
    """`text` on one line with every control or direction-changing character written as an escape, cut at `limit`."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return _UNSAFE.sub(lambda m: m.group().encode("unicode_escape", "surrogatepass").decode("ascii"), short)


class Redacted:
    """A value that must stay out of evidence. It has no way back: only its length and kind can be shown."""

    __slots__ = ("kind", "length")

    def __init__(self, value: str, kind: str = "value") -> None:
        self.kind, self.length = kind, len(value)

    def __repr__(self) -> str:
        return f"[{self.kind} redacted, {self.length} characters]"

    __str__ = __repr__


def nearest(word: str, options: list[str] | tuple[str, ...]) -> str:
    """The option closest to `word`, or "" when none is close: for "did you mean" lines."""
    import difflib

    found = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    return found[0] if found else ""
