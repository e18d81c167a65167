"""Secrets that an artifact's own strings may hold, taken out before anything quotes them: a report must not leak."""

from __future__ import annotations

import functools
import re

from assay.core.text import Redacted

_NAMES = "password passwd pwd passphrase secret token api[_-]?key access[_-]?key account[_-]?key credential signature"
_TOKENS = (
    *(r"(?:AKIA|ASIA)[0-9A-Z]{16}", r"gh[opsur]_\w{20,}", r"github_pat_\w{20,}", r"glpat-[\w-]{16,}", r"hf_\w{20,}"),
    *(r"sk-[\w-]{16,}", r"xox[abeprs]-[\w-]{10,}", r"AIza[\w-]{30,}", r"eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*"),
)


MOST = 4096


def without_secrets(text: str) -> str:
    """`text` with passwords in addresses, keys, tokens and private keys replaced by what says only their length.

    Of a longer text the first MOST characters: what quotes it takes less, and a hostile one must not cost time.
    """
    text = text[:MOST]
    for pattern in _patterns():
        text = pattern.sub(_redacted, text)
    return text


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """The first group of each is what is taken out; the rest stays, for it tells an analyst what the secret was for."""
    return tuple(
        re.compile(pattern, re.DOTALL)
        for pattern in (
            r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z))",
            r"://([^\s/@'\"]+)@",
            r"(?i:\b(?:bearer|basic)\s+)([\w.+/=~-]{8,})",
            rf"(?i:(?:{_NAMES.replace(' ', '|')})s?['\"]?\s*[=:,]\s*['\"]?)(?!\[)([^\s'\"&,;()]{{3,}})",
            rf"\b({'|'.join(_TOKENS)})",
        )
    )


def _redacted(match: re.Match[str]) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    whole = match.group()
    return f"{whole[:start]}{Redacted(match.group(1), 'secret')}{whole[end:]}"
