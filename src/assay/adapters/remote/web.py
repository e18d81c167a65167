"""https://HOST/PATH: one file on a server."""

from __future__ import annotations

from urllib.parse import unquote

from assay.adapters.remote.access import RemoteError
from assay.adapters.remote.client import Client
from assay.adapters.remote.listed import Entry, RemoteSource
from assay.adapters.remote.ranged import Content
from assay.adapters.remote.url import Url, parse
from assay.core.errors import InputError, UsageError


def address(uri: str) -> Url:
    """The address that the user typed. Raises UsageError, which quotes no query and no credentials."""
    try:
        url = parse(uri)
    except RemoteError as error:
        where = f"{uri.partition(':')[0].lower()}://…"
        raise UsageError(str(error.strerror), where=where, fix=error.fix or "check the address") from None
    if not url.path.strip("/") or url.path.endswith("/"):
        raise UsageError("names no file", where=url.shown, fix="name one file; a folder on a web server has no listing")
    return url


def open_web(uri: str, client: Client) -> RemoteSource:
    """The file at `uri`, asked for once, so that what is wrong with it shows now. Raises InputError, UsageError."""
    url = address(uri)
    content = Content(client, url)
    try:
        content.open().close()
    except OSError as error:
        raise whole(error, url.shown) from None
    source = RemoteSource(client, url.shown, single=True)
    name = unquote(url.path.rpartition("/")[2], errors="replace")
    source.add(Entry(name=name.replace("/", "_"), size=content.size), content)
    return source


def whole(error: OSError, where: str) -> InputError:
    """A failure of everything, not of one file alone."""
    words = error.strerror or "input or output failed"
    fix = error.fix if isinstance(error, RemoteError) else ""
    return InputError(f"cannot be read: {words}", where=where, fix="" if fix and fix in words else fix)
