"""What the user allowed for reading from elsewhere, and the one error of a remote read."""

from __future__ import annotations

import errno

import msgspec

from assay.core.errors import UsageError
from assay.core.text import visible

MOST_BYTES = 64 << 30


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line allows. Raises UsageError for a host that is none.

    `private`: addresses that are not public (loopback, RFC 1918, link-local, ULA, CGNAT), and plain http to them.
    `redirects`: hosts that an answer may lead to, exact or as `*.example.com`. `most_bytes`: received in all.
    """

    private: bool = False
    redirects: tuple[str, ...] = ()
    most_bytes: int = MOST_BYTES

    def __post_init__(self) -> None:
        for host in self.redirects:
            bare = host.removeprefix("*.").strip("[]")
            if not bare or any(sign in bare for sign in "*/@ \t\r\n?#[]") or not bare.isprintable():
                raise UsageError(
                    f"{visible(host, 80)!r} is no host", where="--redirect-to", fix="name a host, or *.example.com"
                )


class RemoteError(OSError):
    """A remote file cannot be read: `strerror` says why, `fix` what may help. Neither holds a token or a query.

    `status` is the server's, where it answered one.
    """

    def __init__(self, words: str, *, fix: str = "", status: int = 0) -> None:
        super().__init__(errno.EIO, words)
        self.fix, self.status = fix, status


def allowed(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether `host` is one of `patterns`; `*.example.com` stands for every name below example.com, not for itself."""
    host = host.lower().rstrip(".")
    for pattern in patterns:
        wanted = pattern.lower().strip("[]").rstrip(".")
        if host == wanted or (wanted.startswith("*.") and host.endswith(wanted[1:]) and host != wanted[2:]):
            return True
    return False
