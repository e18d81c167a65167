"""Requests to a model behind an address: one host, no redirect, bounded answers; refusals and broken lines are retried.

429 and 503 are waited out as Retry-After says (seconds or a date, RFC 9110 10.2.3), else ever longer with jitter from a
seed; time-outs and broken lines are asked again. All waiting together is bounded. No text of an answer is ever shown:
it may hold the rows that were sent.
"""

from __future__ import annotations

import http.client
import random
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from assay.adapters.endpoint.options import Options, login_of
from assay.adapters.endpoint.pace import Pace
from assay.adapters.remote.access import Access, RemoteError
from assay.adapters.remote.client import Client, Login, Reply, refusal, words
from assay.adapters.remote.url import Url
from assay.adapters.remote.wire import Timing
from assay.core.errors import CouldNotLook
from assay.core.protocols import system_clock
from assay.core.version import __version__

MOST_TRIES = 5
MOST_WAITS = 20
FIRST_PAUSE, LONGEST_PAUSE, LONGEST_ASKED = 0.5, 30.0, 1e6
MOST_FACTS = 1 << 20
_LATER = frozenset({408, 425, 429, 502, 503, 504})
_ANSWERS = {
    401: "asks for a login; name a variable with the token: `token_env:`",
    403: "refuses this login; check `token_env:` and who may ask",
    404: "is not there; check the address",
    405: "does not take such requests; check the address and `protocol:`",
    413: "takes no request of this size; lower `batch:`",
}


class BrokenError(RemoteError):
    """The line broke, or nothing came in time: worth another try."""


class Line(Client):
    """A `Client` that also sends. It follows no redirect and answers whatever status came."""

    def send(self, url: Url, body: bytes | None, login: Login | None) -> Reply:
        """GET without a body, POST with one. Raises RemoteError, BrokenError where another try may help."""
        headers = {"User-Agent": f"assay/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if login is not None:
            headers["Authorization"] = login.value
        try:
            return self.exchange(url, "GET" if body is None else "POST", headers, body)
        except RemoteError as error:
            raise BrokenError(str(error.strerror)) from None
        except ssl.SSLCertVerificationError as error:
            raise RemoteError(words(error, "broke off")) from None
        except (OSError, http.client.HTTPException) as error:
            raise BrokenError(words(error, "broke off")) from None


class Caller:
    """Asks one model, patiently. `again` counts rows that were sent more than once, `waited` seconds of waiting."""

    def __init__(
        self,
        options: Options,
        pace: Pace,
        *,
        kept: Callable[[], str],
        timing: Timing | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        patience = Timing(connect=min(10.0, options.timeout), read=options.timeout, base=options.timeout)
        self._timing = timing or patience
        self._options, self._pace, self._kept = options, pace, kept
        self._line = Line(Access(private=True), tls=tls, timing=self._timing)
        self._chance = random.Random(options.url.shown)  # noqa: S311 - it spreads requests, it guards nothing
        self.again, self.waited, self.requests = 0, 0.0, 0
        self._login = self._allowed(login_of(options))

    def close(self) -> None:
        """End the connections."""
        self._line.close()

    def ask(self, url: Url, body: bytes | None, rows: int, most: int = MOST_FACTS) -> bytes:
        """The whole answer to a request that carries `rows` rows. Raises CouldNotLook: what, where, what is kept."""
        broken = waits = 0
        while True:
            self._sleep(self._pace.turn(), bounded=False)
            self.requests += 1
            try:
                reply = self._line.send(url, body, self._login)
                if reply.status == 200:
                    return reply.body(most)
                status, later = reply.status, reply.header("Retry-After")
                reply.drain()
            except RemoteError as error:
                if not isinstance(error, BrokenError) and not _torn(error):
                    raise self._stopped(str(error.strerror)) from None
                broken += 1
                if broken >= MOST_TRIES:
                    raise self._stopped(f"{error.strerror} ({broken} times)") from None
                self._pause(self._backoff(broken), str(error.strerror))
            else:
                if status not in _LATER:
                    raise self._stopped(_status(status))
                waits += 1
                if waits > MOST_WAITS:
                    raise self._stopped(f"was asked too often: {waits} refusals (status {status}) of one request")
                asked = _retry_after(later)
                self._pause(self._backoff(waits) if asked is None else asked, f"asks to wait (status {status})")
            self.again += rows

    def _allowed(self, login: Login | None) -> Login | None:
        """A token goes only where it cannot be read on the way. Raises CouldNotLook."""
        try:
            if login is not None and not self._line.trusts(self._options.url):
                raise CouldNotLook(f"{self._options.url.shown}: a token is sent only over https://, or on this machine")
            self._line.places(self._options.url)
        except RemoteError as error:
            fix = f"; {error.fix}" if error.fix and "--" not in error.fix else ""
            raise CouldNotLook(f"{self._options.url.shown}: {error.strerror}{fix}") from None
        return login

    def _backoff(self, turn: int) -> float:
        return min(FIRST_PAUSE * 2.0 ** (turn - 1), LONGEST_PAUSE) * (0.5 + self._chance.random() / 2)

    def _pause(self, seconds: float, why: str) -> None:
        if self.waited + seconds > self._options.wait:
            so_far = f" after {self.waited:.0f} s" if self.waited >= 1 else ""
            what = f"{why}: {seconds:.0f} s more{so_far}, above the {self._options.wait:g} s that are waited in all"
            raise self._stopped(f"{what} (`wait:`)")
        self._sleep(seconds, bounded=True)

    def _sleep(self, seconds: float, *, bounded: bool) -> None:
        if seconds > 0:
            self._timing.pause(seconds)
            self.waited += seconds if bounded else 0.0

    def _stopped(self, why: str) -> CouldNotLook:
        return CouldNotLook(f"{self._options.url.shown}: {why}; {self._kept()}")


def _torn(error: RemoteError) -> bool:
    """Whether a body broke off on the way; one that is too long is as long the next time."""
    return not str(error.strerror).startswith(("is longer than", "was sent compressed", "more than"))


def _status(status: int) -> str:
    if 300 <= status < 400:
        return f"redirects elsewhere (status {status}), where nothing is sent; name the final address"
    if status in (400, 422):
        return f"does not take these rows (status {status}); check `inputs:`, their order and types, and `protocol:`"
    known = _ANSWERS.get(status)
    return f"{known} (status {status})" if known else str(refusal(status).strerror)


def _retry_after(text: str) -> float | None:
    """Seconds that Retry-After asks for: a number, or until a date; None where it says nothing that can be read."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return min(float(text), LONGEST_ASKED)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    now: datetime = system_clock()
    return min(max(0.0, (until - now).total_seconds()), LONGEST_ASKED)
