"""Digests remembered between two signings, so that only what changed is read again.

A digest counts while device, inode, size, mtime and ctime are those of the file that was hashed; ctime cannot be set
back by an ordinary user. It is remembered only of a file that had rested for two seconds when it was read, since an
edit within the clock's grain would show in none of these. The memory lies in the user's own folder and is sealed with
the user's secret (HMAC-SHA256), so neither a repository nor another user can hand a digest in. What it cannot notice
is a write through a shared memory map that the system has not written back: `--full` reads everything.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

import msgspec

from assay.core.files import replacing

REST = 2_000_000_000
"""Nanoseconds that a file must have rested before its digest is remembered."""

WORTH = 16 * 1024 * 1024
"""Bytes of the smallest model whose digests are kept: reading less again costs nothing that anybody notices."""

MAX_MEMORY = 256 * 1024 * 1024


class _Known(msgspec.Struct, frozen=True, array_like=True):
    device: int
    inode: int
    size: int
    modified: int
    changed: int
    sha256: str


class Remembered:
    """The digests of one model's files by name. A damaged or foreign memory is an empty one; it never fails a run."""

    def __init__(self, model: Path, secret: bytes, *, trust: bool = True, folder: Path | None = None) -> None:
        """`secret` is the user's; with `trust` false what was remembered is not used, only replaced."""
        place = os.path.realpath(model)
        self._label = b"assay digests 1\0" + os.fsencode(place) + b"\0"
        self._secret = secret
        name = hashlib.sha256(os.fsencode(place)).hexdigest()[:32]
        self._path = (folder or _home()) / f"{name}.json"
        self._old = self._load() if trust else {}
        self._new: dict[str, _Known] = {}
        self.used = 0

    def get(self, name: str, status: os.stat_result) -> str | None:
        """The digest of the file, if it is still the one that was hashed."""
        known = self._old.get(name)
        if known is None or _mark(status) != (known.device, known.inode, known.size, known.modified, known.changed):
            return None
        self._new[name] = known
        self.used += 1
        return known.sha256

    def put(self, name: str, status: os.stat_result, sha256: str, begun: int) -> None:
        """Remember a digest of bytes that were read from `begun` on (nanoseconds since 1970)."""
        if max(status.st_mtime_ns, status.st_ctime_ns) + REST < begun:
            self._new[name] = _Known(*_mark(status), sha256)

    def save(self) -> None:
        """Write it down; failing to only costs the next run time."""
        if sum(known.size for known in self._new.values()) < WORTH:
            return
        body = msgspec.json.encode(self._new)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(self._path, durable=False) as stream:
                stream.write(self._seal(body) + b"\n" + body)
        except OSError:
            return

    def _load(self) -> dict[str, _Known]:
        try:
            with open(self._path, "rb") as stream:
                seal, _, body = stream.read(MAX_MEMORY).partition(b"\n")
            if not hmac.compare_digest(seal, self._seal(body)):
                return {}
            return msgspec.json.decode(body, type=dict[str, _Known])
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return {}

    def _seal(self, body: bytes) -> bytes:
        return hmac.new(self._secret, self._label + body, "sha256").hexdigest().encode()


def _mark(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _home() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "assay" / "digests"
