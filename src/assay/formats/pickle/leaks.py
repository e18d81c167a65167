"""Secrets in a pickle's own texts: which are worth a look, cheaply; the search itself is the secrets' own."""

from __future__ import annotations

import re
from typing import Any

from assay.formats.pickle.state import State
from assay.formats.reading import Note

LONG_TEXT = 20  # characters: shorter texts are looked at only behind a key that says secret
MOST_TEXT = 1 << 20
MOST_PAIRS = 100_000
_MOST_KEPT = 1000
_RANDOM = re.compile(r"[A-Za-z0-9_+/=.-]{16}")
_KEY = re.compile(r"(?i)passw|secret|api|token|credential|pwd|passphrase|[_-]key|[a-z]key$")


def text(m: State, value: str, size: int) -> None:
    """Keep a text constant of `size` bytes that may hold a secret, within what is left to look at."""
    m.text_left -= size
    if m.text_left < 0 or len(m.texts) >= _MOST_KEPT:
        return
    if ("://" in value and "@" in value) or "PRIVATE KEY" in value or (_RANDOM.search(value) and _mixed(value)):
        m.texts.append(value)


def pairs(m: State, items: list[Any]) -> None:
    """Keep the texts that stand in a dict behind keys that say secret; `items` are keys and values in turn."""
    m.pairs -= len(items) // 2
    for at in range(1, len(items), 2):
        value = items[at]
        if type(value) is not str or len(value) < 6 or len(m.texts) >= _MOST_KEPT:
            continue
        key = items[at - 1]
        if type(key) is str and len(key) <= 60 and _KEY.search(key):
            m.texts.append(f'{key} = "{value}"')


def _mixed(value: str) -> bool:
    """Whether a text has digits and letters, as keys have and names of classes and columns rarely do."""
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def judge(texts: list[str]) -> tuple[Note, ...]:
    """The secrets in the texts that were kept, without their lines, for a pickle has none."""
    if not texts:
        return ()
    import msgspec

    from assay.formats.texts.secret_search import judge_secrets  # only where there is something to look at

    return tuple(msgspec.structs.replace(note, line=None) for note in judge_secrets("\n".join(texts), bare=False))
