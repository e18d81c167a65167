"""Secrets that an artifact's own strings may hold, taken out before anything quotes them: a report must not leak."""

from __future__ import annotations

import functools
import re

from assay.core.text import Redacted

MOST = 4096

_TOKENS = (
    *(r"(?:AKIA|ASIA)[0-9A-Z]{16}", r"gh[opsur]_\w{20,}", r"github_pat_\w{20,}", r"glpat-[\w-]{16,}", r"hf_\w{20,}"),
    *(r"sk-[\w-]{16,}", r"xox[abeprs]-[\w-]{10,}", r"AIza[\w-]{30,}", r"eyJ[\w-]{8,}\.[\w-]{8,}\.?[\w-]*"),
    *(r"npm_\w{20,}", r"(?:sk|rk|pk)_(?:live|test)_\w{8,}", r"whsec_\w{8,}", r"pypi-[\w-]{16,}", r"dop_v1_\w{16,}"),
    *(r"SG\.[\w-]{8,}\.[\w-]{8,}", r"AGE-SECRET-KEY-\w{16,}", r"(?<=bot)\d{6,}:[\w-]{20,}"),
)
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}")
# What stands beside an access key's id: 40 characters of base64, by themselves.
_BESIDE_IT = r"(?<![\w/+=])([A-Za-z0-9/+]{40})(?![\w/+=])"

# Words after which `=`, `:` or `,` says a secret, whatever stands before them; and those that must begin a word.
_WORDS = (
    r"password|passwd|passphrase|pwd|pass|pw|secret|token|credential|signature"
    r"|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key"
)
_SHORT = r"(?<![A-Za-z])(?:key|sig|auth|sas|pin|otp)"
_HEADERS = r"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:auth|token|key|secret|sig)[\w-]*"
_COMMANDS = r"sshpass|mysql\w*|mariadb[\w-]*|mongo\w*|(?:docker|podman|helm|az|oc)\s+login|7z\w*|rar|unrar|plink|pscp"

_BLOCK = r"[A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_NEW = r"(?!\[secret redacted)"  # what was taken out is not taken out again
_QUOTED = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_BRACKETED = r"\([^)]*\)?|\[[^\]]*\]?|\{[^}]*\}?"
# A shell's argument to its end: quotes may begin inside it, `;` and `&` do not end what hides too much.
_START = r"(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|" + _BRACKETED + r"|\\.|[^\s'\"\\])"
_VALUE = rf"({_NEW}{_START}(?:{_QUOTED}|{_BRACKETED}|\\.|[^\s'\"\\(\[{{])*)"
_LINE = rf"({_NEW}\"(?:\\.|[^\"\\])*\"?|{_NEW}'(?:\\.|[^'\\])*'?|{_NEW}[^\s'\"][^'\"\r\n]*)"


def without_secrets(text: str) -> str:
    """`text` with passwords in addresses, keys, tokens and private keys replaced by what says only their length.

    After a word that announces a secret the whole argument goes: rather too much is hidden than too little. Of a longer
    text the first MOST characters: what quotes it takes less, and a hostile one must not cost time.
    """
    text = text[:MOST]
    beside_a_key = _ACCESS_KEY.search(text) is not None
    for pattern in _patterns():
        text = pattern.sub(_redacted, text)
    return re.sub(_BESIDE_IT, _redacted, text) if beside_a_key else text


@functools.cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """The first group of each is what is taken out; the rest stays, for it tells an analyst what the secret was for."""
    return tuple(
        re.compile(pattern, re.DOTALL)
        for pattern in (
            rf"(-----BEGIN {_BLOCK}.*?(?:-----END {_BLOCK}|\Z))",
            # An address: up to the last @, beyond slashes too once a colon says that a password has begun.
            r"://([^\s/@:'\"]*:[^\s]*|[^\s/'\"]+)@",
            r"(?<![\w/.:@])[\w.+-]+:([^\s@/'\"]{2,})@",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/([^\s'\"]+)",
            r"discord(?:app)?\.com/api/webhooks/([^\s'\"]+)",
            rf"(?i:(?<![\w-])(?:{_HEADERS})['\"]?\s*[=:,]\s*){_LINE}",
            rf"(?i:\b(?:bearer|basic)\s+){_NEW}([\w.+/=~-]{{8,}})",
            # Options whose argument is the next word.
            rf"(?i:(?<!\w)--?[\w-]*(?:{_WORDS}|auth|key|user)\s+){_VALUE}",
            rf"(?i:\bcurl\b[^|;\r\n]*?\s-\w*u\s*){_VALUE}",
            rf"(?<!\w)-u\s*([^\s:'\"\[]+:{_NEW}[^\s'\"]+)",
            rf"\b(?:{_COMMANDS})\b[^|\r\n]*?\s(?:-pw|-p)[ \t]*{_VALUE}",
            rf"\b(?:redis-cli|smbclient|zip|unzip|ldap\w+)\b[^|\r\n]*?\s-(?:a|U|P|w)[ \t]*{_VALUE}",
            rf"(?i:(?:{_WORDS})(?:s|\d+|[_-][\w-]*)?['\"]?\s*(?::=|[=:,](?!=))[ \t]*){_VALUE}",
            rf"(?i:{_SHORT}['\"]?\s*=(?!=)[ \t]*){_VALUE}",
            rf"(?i:{_SHORT}['\"]\s*[:,]\s*){_VALUE}",
            rf"(?i:(?<![\w/.])(?:password|passphrase)[ \t]+(?![|<>&;=])){_VALUE}",
            rf"(?<![A-Za-z0-9])({'|'.join(_TOKENS)})",
        )
    )


def _redacted(match: re.Match[str]) -> str:
    start, end = match.start(1) - match.start(), match.end(1) - match.start()
    whole = match.group()
    return f"{whole[:start]}{Redacted(match.group(1), 'secret')}{whole[end:]}"
