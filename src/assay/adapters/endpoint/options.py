"""What a manifest says of a model behind an address: how to speak to it, with which token, how fast, how patiently."""

from __future__ import annotations

import math
import os
from typing import Literal

import msgspec

from assay.adapters.remote.access import RemoteError
from assay.adapters.remote.client import Login
from assay.adapters.remote.login import bearer
from assay.adapters.remote.url import Url, parse
from assay.config.address import is_variable, refused
from assay.core.errors import CouldNotLook, UsageError
from assay.core.subject import Subject

Protocol = Literal["oip", "mlflow"]
MOST_BATCH = 10_000


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask: `url` the model's base; `output` the one that holds scores; `batch` rows a request; `rate` requests a
    second (0: as fast as it answers); `timeout` seconds an answer may take; `wait` seconds of waiting in all."""

    url: Url
    protocol: Protocol
    output: str = ""
    token_env: str = ""
    rate: float = 0.0
    batch: int = 256
    timeout: float = 30.0
    wait: float = 300.0


def options_of(subject: Subject) -> Options:
    """The options of a subject whose uri is an address. Raises CouldNotLook for what makes no sense."""
    what, fix = refused(subject.uri)
    if what:
        raise CouldNotLook(f"{subject.name}: {what}; {fix}")
    try:
        url = parse(subject.uri)
    except RemoteError as error:
        raise CouldNotLook(f"{subject.name}: {error.strerror}") from None
    token_env = _text(subject, "token_env")
    if token_env and not is_variable(token_env):
        raise CouldNotLook(f"{subject.uri}: `token_env` is the name of a variable, never the token itself")
    protocol = _protocol(subject, url)
    path = url.path.rstrip("/")
    return Options(
        url=url._replace(path=path.removesuffix("/infer") if protocol == "oip" else path),
        protocol=protocol,
        output=_text(subject, "output"),
        token_env=token_env,
        rate=_number(subject, "rate", 0.0, 1e6),
        batch=int(_number(subject, "batch", 256, MOST_BATCH)),
        timeout=_number(subject, "timeout", 30.0, 3600.0),
        wait=_number(subject, "wait", 300.0, 86_400.0),
    )


def login_of(options: Options) -> Login | None:
    """The token of the variable that `token_env` names, for the model's own origin. Raises CouldNotLook."""
    if not options.token_env:
        return None
    token = os.environ.get(options.token_env, "").strip()
    if not token:
        # Its name is not told: who wrote the token in its place would find it in a report.
        raise CouldNotLook(f"{options.url.shown}: the variable that `token_env` names holds no token; set it")
    try:
        return bearer(token, options.url, options.token_env)
    except UsageError as error:
        raise CouldNotLook(str(error)) from None


def _protocol(subject: Subject, url: Url) -> Protocol:
    path, said = url.path.rstrip("/"), subject.options.get("protocol")
    if said == "oip" or said == "mlflow":
        return said  # type: ignore[return-value]
    if said is not None:
        raise CouldNotLook(f"{subject.uri}: `protocol` is none that is spoken here: oip, mlflow")
    if "/v2/models/" in path:
        return "oip"
    if path.endswith("/invocations"):
        return "mlflow"
    fix = "end it with /v2/models/NAME or /invocations, or say `protocol: oip` or `mlflow`"
    raise CouldNotLook(f"{subject.uri}: the address does not tell how to ask; {fix}")


def _text(subject: Subject, key: str) -> str:
    value = subject.options.get(key)
    if value is not None and not isinstance(value, str):
        raise CouldNotLook(f"{subject.uri}: `{key}` is no text")
    return value or ""


def _number(subject: Subject, key: str, default: float, most: float) -> float:
    value = subject.options.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CouldNotLook(f"{subject.uri}: `{key}` is no number")
    if not 0 < value <= most or (key == "batch" and value != int(value)):
        raise CouldNotLook(f"{subject.uri}: `{key}` lies outside of what is possible (above 0, up to {most:g})")
    return float(value)
