"""No faster than the owner of a model allows: a place in the queue for every request, shared by all who ask it here."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

FARTHEST = 60.0
_SLOT = struct.Struct("<d")


class Pace:
    """At most `rate` requests a second (0: no bound), over all processes of this user that have the same file."""

    def __init__(self, rate: float, path: Path | None, clock: Callable[[], float]) -> None:
        self._rate, self._path, self._clock = rate, path, clock
        self._slot = 0.0

    def turn(self) -> float:
        """Take the next place; seconds to wait until it has come."""
        if not self._rate:
            return 0.0
        if self._path is not None:
            try:
                return self._shared(self._path)
            except (OSError, ImportError):
                self._path = None
        wait, self._slot = self._placed(self._slot)
        return wait

    def _placed(self, slot: float) -> tuple[float, float]:
        """(seconds to wait, the place after this one) where `slot` is the next free one."""
        now = self._clock()
        if slot - now > FARTHEST + 1 / self._rate:  # of a clock that began anew
            slot = now
        start = max(now, slot)
        return start - now, start + 1 / self._rate

    def _shared(self, path: Path) -> float:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(path, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            found = os.pread(handle, _SLOT.size, 0)
            wait, slot = self._placed(_SLOT.unpack(found)[0] if len(found) == _SLOT.size else 0.0)
            os.pwrite(handle, _SLOT.pack(slot), 0)
        finally:
            os.close(handle)
        return wait
