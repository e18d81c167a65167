"""Tokens that the environment gives, for the one origin they are meant for. They are never part of a message."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from assay.adapters.remote.access import RemoteError
from assay.adapters.remote.client import Login
from assay.adapters.remote.url import Url, parse
from assay.core.errors import UsageError

_LONGEST = 4096


def server(variable: str, value: str) -> Url:
    """The server that an environment variable names, with any path below which it lies. Raises UsageError."""
    try:
        url = parse(value)
    except RemoteError as error:
        raise UsageError(str(error.strerror), where=variable, fix=error.fix or "mend the address") from None
    if url.query:
        raise UsageError("holds a query", where=variable, fix="name the server alone")
    return url


def hub_login(endpoint: Url) -> Login | None:
    """HF_TOKEN, or the file that `huggingface_hub` keeps the token in. Raises UsageError for a token that is none."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if token:
        return bearer(token, endpoint, "HF_TOKEN")
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser()
    place = Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser()
    try:
        with place.open("rb") as stream:
            token = stream.read(_LONGEST + 1).decode("utf-8", "replace").strip()
    except OSError:
        return None
    return bearer(token, endpoint, "the token's file") if token else None


def mlflow_login(server: Url) -> Login | None:
    """MLFLOW_TRACKING_USERNAME and _PASSWORD, else MLFLOW_TRACKING_TOKEN. Raises UsageError."""
    user, word = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user and word:
        pair = base64.b64encode(f"{user}:{word}".encode()).decode("ascii")
        return Login(f"Basic {pair}", server.origin)
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "").strip()
    return bearer(token, server, "MLFLOW_TRACKING_TOKEN") if token else None


def bearer(token: str, server: Url, source: str) -> Login:
    """A token for the origin of `server`. Raises UsageError where it holds what no header may."""
    if not (token.isascii() and token.isprintable()) or " " in token or len(token) > _LONGEST:
        raise UsageError("holds no token", where=source, fix="a token is one line of letters and digits")
    return Login(f"Bearer {token}", server.origin)
