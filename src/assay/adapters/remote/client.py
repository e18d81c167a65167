"""HTTP for reading only: judged addresses, kept connections, bounded answers, redirects only where allowed."""

from __future__ import annotations

import http.client
import os
import ssl
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from assay.adapters.remote.access import Access, RemoteError, allowed
from assay.adapters.remote.address import Place, is_loopback, resolve
from assay.adapters.remote.url import Url
from assay.adapters.remote.wire import MOST_HEADER, Connection, Timing, Wire
from assay.core.text import visible
from assay.core.version import __version__

MOST_REDIRECTS = 5
MOST_TRIES = 3
MOST_CONNECTIONS = 8
MOST_DRAIN = 64 << 10
PIECE = 256 << 10
LONGEST_PAUSE = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Login(msgspec.Struct, frozen=True):
    """An Authorization header and the only origin it is sent to."""

    value: str
    origin: tuple[str, str, int]

    def __repr__(self) -> str:
        return "Login(…)"


class Reply:
    """One answer whose body is still to be read; `url` is where it came from, `login` what may be sent there again."""

    def __init__(
        self, client: Client, connection: Connection, answer: http.client.HTTPResponse, url: Url, wire: Wire
    ) -> None:
        self._client, self._connection, self._answer = client, connection, answer
        self.url, self.status = url, answer.status
        self.login: Login | None = None
        self._wire = wire
        self.length = self._declared()

    def header(self, name: str) -> str:
        """A header's value, "" where it is absent."""
        return self._answer.headers.get(name, "").strip()

    def _declared(self) -> int | None:
        found = {value.strip() for value in self._answer.headers.get_all("Content-Length") or ()}
        if not found or self._answer.chunked:
            return None
        text = found.pop()
        if found or not (text.isascii() and text.isdigit()) or len(text) > 18:
            self.close()
            raise RemoteError("was answered with a malformed length")
        return int(text)

    def pieces(self, most: int) -> Iterator[bytes]:
        """The body piece by piece. Raises RemoteError when it is longer than `most`, torn or too slow."""
        coding = self.header("Content-Encoding").lower()
        if coding not in ("", "identity"):
            self.close()
            raise RemoteError(f"was sent compressed ({visible(coding, 20)}) though that was not asked for")
        came = 0
        self._wire.allowance = 2 * most + MOST_HEADER  # chunks have headers, and an end that has no end
        try:
            while piece := self._answer.read(min(PIECE, most - came + 1)):
                came += len(piece)
                self._client.spend(len(piece))
                if came > most:
                    raise RemoteError(f"is longer than {most} bytes, which is the most that is read")
                yield piece
            if self.length is not None and came != self.length:
                raise RemoteError(f"was cut off after {came} of {self.length} bytes")
        except RemoteError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise RemoteError(words(error, "was cut off")) from None
        finally:
            self.close()

    def body(self, most: int) -> bytes:
        """The whole body. Raises RemoteError as `pieces` does."""
        return b"".join(self.pieces(most))

    def drain(self) -> None:
        """Throw a short body away, that the connection may serve again."""
        with suppress(OSError):
            for _ in self.pieces(MOST_DRAIN):
                pass
        self.close()

    def close(self) -> None:
        """Let the connection serve again, or end it where something is still on its way."""
        if not self._answer.isclosed():
            self._answer.close()
            self._connection.close()


class Client:
    """Connections to the hosts that `access` lets be reached; `hosts` are allowed to be redirected to besides.

    Proxies named by the environment are not used: a proxy resolves names itself, out of reach of the judgement here.
    """

    def __init__(
        self,
        access: Access,
        *,
        hosts: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.access, self.timing = access, timing or Timing()
        self._hosts, self._tls = hosts, tls
        self._left = access.most_bytes
        self._places: dict[tuple[str, str, int], tuple[Place, ...]] = {}
        self._open: OrderedDict[tuple[str, str, int], Connection] = OrderedDict()

    def close(self) -> None:
        """End every connection."""
        while self._open:
            self._open.popitem()[1].close()

    def spend(self, count: int) -> None:
        """Count received bytes. Raises RemoteError when the whole allowance is used up."""
        self._left -= count
        if self._left < 0:
            raise RemoteError(f"more than {self.access.most_bytes} bytes in all were sent, which is the most allowed")

    def places(self, url: Url) -> tuple[Place, ...]:
        """The judged addresses of a host, resolved once. Raises RemoteError."""
        found = self._places.get(url.origin)
        if found is None:
            private, plain = self.access.private, url.scheme == "http"
            if plain and not private:
                fix = "use https://, or allow a private address with --private-addresses"
                raise RemoteError("http:// is not encrypted", fix=fix)
            try:
                found = resolve(url.host, url.port, private=private, plain=plain)
            except RemoteError as error:
                said = str(error.strerror)
                raise RemoteError(said + (_unused() if "no address" in said else ""), fix=error.fix) from None
            self._places[url.origin] = found
        return found

    def trusts(self, url: Url) -> bool:
        """Whether a login may be sent there: encrypted, or to this machine itself. Raises RemoteError."""
        return url.scheme == "https" or is_loopback(self.places(url))

    def get(self, url: Url, *, login: Login | None = None, span: tuple[int, int] | None = None) -> Reply:
        """Ask for `url`, or for its bytes `span` (first and last). Any final status comes back; the rest is retried.

        Raises RemoteError.
        """
        for turn in range(MOST_TRIES):
            reply = self._follow(url, login, span)
            again = reply.status in (416, 429) or reply.status >= 500
            if not again or turn == MOST_TRIES - 1 or (reply.status == 416 and reply.header("Content-Range")):
                return reply
            wait = _pause(reply.header("Retry-After"), 0.2 * 2**turn)
            if wait > LONGEST_PAUSE:
                return reply
            reply.drain()
            self.timing.pause(wait)
        raise AssertionError("the last turn returns")

    def _follow(self, url: Url, login: Login | None, span: tuple[int, int] | None) -> Reply:
        for _ in range(MOST_REDIRECTS + 1):
            if login is not None and (login.origin != url.origin or not self.trusts(url)):
                login = None
            reply = self._once(url, login, span)
            if reply.status not in _REDIRECTS:
                reply.login = login
                return reply
            location = reply.header("Location")
            reply.drain()
            url = self._next(url, location)
        raise RemoteError(f"was redirected more than {MOST_REDIRECTS} times")

    def _next(self, url: Url, location: str) -> Url:
        if not location:
            raise RemoteError("was redirected to nowhere")
        try:
            target = url.joined(location)
        except RemoteError as error:
            raise RemoteError(f"was redirected where nothing is read from: {error.strerror}") from None
        if not allowed(target.host, self._hosts + self.access.redirects):
            fix = f"if that is meant, allow it with --redirect-to {target.host}"
            raise RemoteError(f"was redirected to {target.host}, which is not allowed; {fix}", fix=fix)
        if target.scheme == "http" and url.scheme == "https":
            raise RemoteError(f"was redirected from https:// to http:// on {target.host}")
        return target

    def _once(self, url: Url, login: Login | None, span: tuple[int, int] | None) -> Reply:
        headers = {"User-Agent": f"assay/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
        if login is not None:
            headers["Authorization"] = login.value
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[1]}"
        try:
            return self.exchange(url, "GET", headers)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, RemoteError):
                raise
            raise RemoteError(f"{url.host} {words(error, 'broke off')}{_unused()}") from None

    def exchange(self, url: Url, method: str, headers: dict[str, str], body: bytes | None = None) -> Reply:
        """One request and its reply, whatever the status. Raises RemoteError, OSError, HTTPException as they come."""
        while True:
            connection = self._connection(url)
            fresh = connection.sock is None
            try:
                if fresh:
                    connection.connect()
                wire = connection.sock
                wire.begin()
                connection.request(method, url.target, body, headers)
                return Reply(self, connection, connection.getresponse(), url, wire)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh or isinstance(error, RemoteError) or not isinstance(error, (ConnectionError, ssl.SSLEOFError)):
                    raise  # else the server had ended an idle connection meanwhile

    def _connection(self, url: Url) -> Connection:
        found = self._open.pop(url.origin, None)
        if found is None:
            tls = None
            places = self.places(url)
            if url.scheme == "https":
                tls = self._tls = self._tls or ssl.create_default_context()
            found = Connection(url, places, tls, self.timing)
        self._open[url.origin] = found
        while len(self._open) > MOST_CONNECTIONS:
            self._open.popitem(last=False)[1].close()
        return found


def words(error: Exception, otherwise: str) -> str:
    """What happened on the way, as part of our line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that does not hold: {visible(error.verify_message, 120)}"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "refuses connections"
    if isinstance(error, (http.client.IncompleteRead, ConnectionError, ssl.SSLEOFError)):
        return otherwise
    if isinstance(error, ssl.SSLError):
        return "does not speak TLS as it should"
    if isinstance(error, http.client.HTTPException):
        return "does not answer in proper HTTP"
    return (error.strerror or otherwise).lower() if isinstance(error, OSError) else otherwise


def _unused() -> str:
    found = next((name for name in _PROXIES if os.environ.get(name)), "")
    return f" ({found} is set, but proxies are not used)" if found else ""


def _pause(text: str, otherwise: float) -> float:
    """Seconds that Retry-After asks for; a date is not read."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else otherwise


def refusal(status: int) -> RemoteError:
    """What a status means that is no success, in words."""
    words, fix = {
        400: ("is asked for in a way that the server does not take", ""),
        401: ("asks for a login", "check who may read it"),
        403: ("may not be read", "check who may read it"),
        404: ("is not there", "check the address"),
        410: ("is gone", "check the address"),
        416: ("has no bytes where it should have", ""),
        429: ("was asked for too often", "try again later"),
    }.get(status, (f"was answered with status {status}", "try again later" if status >= 500 else ""))
    return RemoteError(words, fix=fix, status=status)
