"""The one way by which text reaches the page: control characters made visible, markup made harmless, length bounded."""

from __future__ import annotations

import html
import re

from assay.core.text import visible

LIMIT = 400
_COMMAND = re.compile(r"^(?P<before>.*?(?:[:;,] ?|^))(?P<command>assay [a-z]+(?: [^\s;,]+)*)$")


def esc(text: object, limit: int = LIMIT) -> str:
    """`text` for an element's content or a quoted attribute."""
    return html.escape(visible(str(text), limit), quote=True)


def code(text: object, limit: int = LIMIT) -> str:
    """`text` as what a machine reads."""
    return f"<code>{esc(text, limit)}</code>"


def split_command(fix: str) -> tuple[str, str]:
    """The words before a command, and the command to type ("" where the text holds none)."""
    found = _COMMAND.match(fix.strip())
    return (found["before"].strip(" :;,"), found["command"]) if found else (fix.strip(), "")
