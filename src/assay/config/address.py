"""Which words of a manifest or a command are the address of a served model, and what such an address may hold."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

SERVED = ("protocol", "output", "token_env", "rate", "batch", "timeout", "wait")
"""Options of a model subject that only one behind an address has."""

_SCHEMES = ("https://", "http://")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def is_address(uri: str) -> bool:
    """Whether a model's uri is an address that is asked, not a file that is read."""
    return uri[:8].lower().startswith(_SCHEMES)


def refused(uri: str) -> tuple[str, str]:
    """(what is wrong with an address, what to do); two empty texts where nothing is. Neither quotes the address.

    It is part of reports, so that it must hold no secret: no login, no query.
    """
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is a malformed address", "mend it"
    if "\\" in uri or not uri.isprintable() or " " in uri or not host:
        return "is a malformed address", "mend it"
    if "@" in parts.netloc:
        return "credentials in an address are refused", "name a variable with a token: `token_env:`"
    if "?" in uri or "#" in uri:
        return "an address with a query is refused: it would be part of reports", "leave the query out"
    if not parts.path.strip("/"):
        return "names a server, no model on it", "add the path: /v2/models/NAME or /invocations"
    return "", ""


def is_variable(name: str) -> bool:
    """Whether `name` can be that of an environment variable."""
    return _VARIABLE.fullmatch(name) is not None
