"""URLs taken apart strictly: no credentials, no control characters, http or https; shown without their query."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from assay.adapters.remote.access import RemoteError
from assay.core.text import visible

PORTS = {"https": 443, "http": 80}
_LONGEST = 16_384
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|[0-9a-f:.]{2,45}")
_SAFE = "%/:=&?~+!$,;'@()*|"


class Url(NamedTuple):
    """An address on the web. `query` may hold a signature: it is sent, never shown."""

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what a login is good for."""
        return self.scheme, self.host, self.port

    @property
    def target(self) -> str:
        """Path and query, as a request names them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def shown(self) -> str:
        """The address without its query, on one line."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{visible(self.path, 4096)}"

    def below(self, path: str, query: str = "") -> Url:
        """The address of `path`, already quoted, under this one."""
        return self._replace(path=f"{self.path.rstrip('/')}/{path.lstrip('/')}", query=query)

    def joined(self, location: str) -> Url:
        """Where `location`, absolute or relative, leads from here. Raises RemoteError."""
        if len(location) > _LONGEST:
            raise RemoteError("an address is too long")
        try:
            whole = urljoin(f"{self.scheme}://{_netloc(self)}{self.target}", location)
        except ValueError:
            raise RemoteError("an address is malformed") from None
        return parse(whole)


def _netloc(url: Url) -> str:
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"


def parse(text: str) -> Url:
    """Take `text` apart; a fragment is dropped. Raises RemoteError, whose words quote no query and no credentials."""
    if len(text) > _LONGEST:
        raise RemoteError("an address is too long")
    if "\\" in text or not text.isprintable() or " " in text:
        raise RemoteError("an address holds spaces, backslashes or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise RemoteError("an address is malformed") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise RemoteError(f"{visible(scheme, 20) or 'no scheme'}: is not read from", fix="only https:// is")
    if "@" in parts.netloc:
        raise RemoteError("credentials in an address are refused", fix="take them out of the address")
    path = quote(parts.path or "/", safe=_SAFE)
    return Url(scheme, _ascii(host), PORTS[scheme] if port is None else port, path, quote(parts.query, safe=_SAFE))


def _ascii(host: str) -> str:
    try:
        plain = host if ":" in host else host.encode("idna").decode("ascii").lower().rstrip(".")
    except UnicodeError:
        plain = ""
    if not _HOST.fullmatch(plain):
        raise RemoteError("an address names no proper host")
    return plain
