"""The journal of answers: what a model behind an address said, kept so that a run that was cut off asks only the rest.

It lies in the user's own state folder, not in a project: a project that brings answers along is not believed. A file
holds a random salt and records of one size: a salted digest of the row, the score, a checksum. It holds no row; whoever
has the file can tell whether a row that he knows was asked. It goes at the end of a run that was not cut off while it
asked (`let_go`); a mark beside it, `PLACE-N-PID.cut`, says that one was, and a lock on `PLACE.open` that it is in use.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from assay.core.files import running

MAGIC = b"assay answers 1\n"
SALT = 32
RECORD = struct.Struct("<16sdI")
OLDEST = 7 * 86_400.0
MOST_BYTES = 256 << 20
PATIENCE = 40  # tries, a twentieth of a second apart
_MARKS = count()


def state_folder() -> Path:
    """Where answers are kept: beside the secret that seals remembered outcomes."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "assay" / "endpoints"


def place_of(address: str) -> str:
    """What files about an address are called by."""
    return hashlib.sha256(address.encode()).hexdigest()[:32]


def let_go(address: str) -> None:
    """At the end of a run forget what the model at an address (as it is shown) answered: what was not cut off must not
    be replayed. While another process asks it nothing is forgotten."""
    place = place_of(address)
    with suppress(OSError), _alone(state_folder(), place) as alone:
        if not alone:
            return
        cut = list(state_folder().glob(f"{place}-*.cut"))
        for path in cut or state_folder().glob(f"{place}-*.answers"):
            with suppress(OSError):
                path.unlink()


@contextmanager
def _alone(folder: Path, place: str) -> Iterator[bool]:
    """Whether no other process has answers of this place open; where the system has no locks, it is taken for so."""
    path = folder / f"{place}.open"
    if not path.exists():
        yield True
        return
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    try:
        yield _taken(handle)
    finally:
        os.close(handle)


class Journal:
    """Answers by row, in the order in which they were given. Without a folder they are kept for this run alone.

    The n-th time that a row is asked in this run is answered by the n-th answer of earlier runs, where there is one;
    later times are asked. So what asks the same row twice compares two real answers, in a resumed run too.
    `earlier` answers were found, `written` lie there now.
    """

    def __init__(self, folder: Path | None, address: str, identity: bytes) -> None:
        self._place = place_of(address)
        self._name = f"{self._place}-{hashlib.sha256(identity).hexdigest()[:32]}.answers"
        self._handle, self._held = -1, -1
        self._cut: Path | None = None if folder is None else folder / f"{self._place}-{next(_MARKS)}-{os.getpid()}.cut"
        self._salt = secrets.token_bytes(SALT)
        self._known: dict[bytes, list[float]] = {}
        self._asked: Counter[bytes] = Counter()
        self.earlier, self.written = 0, 0
        if folder is not None:
            with suppress(OSError):
                self._open(folder)

    @property
    def lasting(self) -> bool:
        """Whether answers outlive this process."""
        return self._handle >= 0

    def key(self, row: bytes) -> bytes:
        """What a row is known by: a digest under this journal's salt."""
        return hmac.new(self._salt, row, hashlib.sha256).digest()[:16]

    def recall(self, key: bytes) -> float | None:
        """Ask for the row: its next answer of an earlier run, or None where it must be asked."""
        self._asked[key] += 1
        known = self._known.get(key, ())
        return known[self._asked[key] - 1] if self._asked[key] <= len(known) else None

    def keep(self, answers: list[tuple[bytes, float]]) -> None:
        """Write answers down; a full disk only costs the memory."""
        if self._handle < 0:
            return
        data = b"".join(_record(key, score) for key, score in answers)
        try:
            with _locked(self._handle):
                end = os.fstat(self._handle).st_size
                if end + len(data) > MOST_BYTES:
                    return
                if os.write(self._handle, data) != len(data):
                    os.ftruncate(self._handle, end)
                    return
                self.written += len(answers)
        except OSError:
            self.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While rows are asked a mark lies beside the journal; it stays where that is cut off."""
        if self._handle < 0 or self._cut is None:
            yield
            return
        with suppress(OSError):
            self._cut.touch(mode=0o600)
        yield
        with suppress(OSError):
            self._cut.unlink()

    def forget(self) -> None:
        """What was kept holds no more: begin again."""
        self._known, self.earlier, self.written = {}, 0, 0
        self._asked.clear()
        if self._handle >= 0:
            with suppress(OSError), _locked(self._handle):
                os.ftruncate(self._handle, len(MAGIC) + SALT)

    def close(self) -> None:
        """Let go of the file."""
        for handle in (self._handle, self._held):
            if handle >= 0:
                os.close(handle)
        self._handle = self._held = -1

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _swept(folder)
        self._held = _shared(folder / f"{self._place}.open")
        for mark in folder.glob(f"{self._place}-*.cut"):
            pid = mark.stem.rpartition("-")[2]
            if not (pid.isdigit() and running(int(pid))):  # what it says was cut off goes on now
                mark.unlink(missing_ok=True)
        path = folder / self._name
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(path, flags, 0o600)
        try:
            found = os.fstat(handle)
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise PermissionError
            with _locked(handle):
                self._read(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def _read(self, handle: int) -> None:
        """Take over what is whole; a torn last record, or a file that is none of ours, is cut off."""
        size = os.fstat(handle).st_size
        data = os.pread(handle, min(size, MOST_BYTES), 0)
        head = len(MAGIC) + SALT
        if len(data) < head or not data.startswith(MAGIC):
            os.ftruncate(handle, 0)
            os.write(handle, MAGIC + self._salt)
            return
        self._salt = data[len(MAGIC) : head]
        whole = head + (len(data) - head) // RECORD.size * RECORD.size
        if whole != size:
            os.ftruncate(handle, whole)
        for key, score, check in RECORD.iter_unpack(data[head:whole]):
            if zlib.crc32(key + struct.pack("<d", score)) == check:
                self._known.setdefault(key, []).append(score)
                self.earlier += 1
        self.written = self.earlier


def _taken(handle: int) -> bool:
    """Whether the lock could be had, soon: workers of this run that were just ended may hold it a moment longer."""
    try:
        import fcntl
    except ImportError:
        return True
    for _ in range(PATIENCE):
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def _shared(path: Path) -> int:
    """A handle that tells other processes, while it is open, that answers of this place are in use; it goes with the
    process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH)  # who forgets holds it for a moment only
    return handle


def _swept(folder: Path) -> None:
    """Remove journals and marks that are too old to be believed."""
    for path in (*folder.glob("*.answers"), *folder.glob("*.cut")):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > OLDEST:
                path.unlink()


def _record(key: bytes, score: float) -> bytes:
    return RECORD.pack(key, score, zlib.crc32(key + struct.pack("<d", score)))


@contextmanager
def _locked(handle: int) -> Iterator[None]:
    """One writer at a time, where the system has locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
