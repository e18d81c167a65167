"""Templates that cost a machine its memory: huge repetitions, widths of formats, macros that call themselves.

A sandbox bounds what a template may reach, seldom what it may cost (Jinja's own bounds only `range`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from assay.formats.texts.jinja_lexer import Piece, Token

_MOST_DIGITS = 7  # of a number of times or a width that a template has use for
_WIDTH = re.compile(r"%[-+ #0.]{0,5}\d{7,}|\{[^{}:]{0,30}:[^{}\d]{0,5}\d{7,}[^{}]{0,5}\}")
_OPENS = frozenset({"if", "for", "call", "filter"})


class Bombs:
    """What one template's tags ask of a machine, tag by tag."""

    def __init__(self) -> None:
        self.macros: list[tuple[str, int]] = []  # that are open, with how many conditions were open before
        self.depth = 0

    def piece(self, piece: Piece) -> Iterator[str]:
        """What a tag does, in words that follow "holds a chat template that"."""
        tokens = piece.tokens
        if any(self._huge(tokens, at) for at in range(len(tokens))):
            yield "repeats or pads a text beyond what a machine's memory holds"
        said = tokens[0].value if piece.kind == "statement" and tokens else ""
        if said == "macro" and len(tokens) > 1:
            self.macros.append((tokens[1].value, self.depth))
        elif said == "endmacro":
            if self.macros:
                self.depth = self.macros.pop()[1]
        elif self._calls_itself(tokens):
            yield "has a macro that calls itself without end"
        if said in _OPENS:
            self.depth += 1
        elif said.startswith("end") and said[3:] in _OPENS:
            self.depth = max(0, self.depth - 1)

    def _huge(self, tokens: tuple[Token, ...], at: int) -> bool:
        token = tokens[at]
        if token.kind == "text":
            return _WIDTH.search(token.value) is not None
        if token.kind != "sign" or token.value not in ("*", "**"):
            return False
        before = tokens[at - 1] if at else None
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        if token.value == "**":
            base, power = _number(before), _number(after)
            return base > 1 and bool(power * math.log10(base) > _MOST_DIGITS)
        return max(_number(before), _number(after)) >= float(10**_MOST_DIGITS)

    def _calls_itself(self, tokens: tuple[Token, ...]) -> bool:
        """Whether a macro that is open is called where no condition stands before the call."""
        if not self.macros:
            return False
        name, depth = self.macros[-1]
        if self.depth > depth or any(t.kind == "name" and t.value in ("if", "and", "or") for t in tokens):
            return False
        return any(
            t.kind == "name" and t.value == name and at + 1 < len(tokens) and tokens[at + 1].value == "("
            for at, t in enumerate(tokens)
        )


def _number(token: Token | None) -> float:
    if token is None or token.kind != "number" or len(token.value) > 300:
        return 0.0 if token is None or token.kind != "number" else math.inf
    try:
        return float(token.value.replace("_", ""))
    except ValueError:
        return 0.0
