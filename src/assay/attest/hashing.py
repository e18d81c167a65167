"""Hash many files with every core: large ones in threads that read ahead, small ones in one sweep.

hashlib lets go of Python's lock while it hashes, so threads are enough. What changes while it is read is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Protocol

import msgspec

from assay.core.errors import InputError, os_words
from assay.core.protocols import Progress, silent

BLOCK = 4 * 1024 * 1024
"""Bytes read at once: handing a block from thread to thread then costs nothing that can be seen."""
LARGE = 1024 * 1024
"""Bytes from which a file is worth a thread: below, opening it costs more than hashing it."""
AHEAD = 16 * BLOCK
"""Bytes from which reading goes on while the block before is hashed."""
TICK = 0.1
_AGAIN = "run again when nothing writes to it"


class FileDigest(msgspec.Struct, frozen=True, order=True):
    """One file: its posix path relative to the root, the SHA-256 of its bytes in hex, its size in bytes."""

    name: str
    sha256: str
    size: int = -1


class OddFileError(InputError):
    """A file that cannot be vouched for: a link, a special file, a name that is not UTF-8, one that changes."""


class Known(Protocol):
    """Digests remembered from an earlier run."""

    def get(self, name: str, status: os.stat_result) -> str | None:
        """The digest of the file, if it is still the one that was hashed."""

    def put(self, name: str, status: os.stat_result, sha256: str, begun: int) -> None:
        """Remember a digest of bytes that were read from `begun` (nanoseconds since 1970) on."""


class Job(msgspec.Struct, frozen=True):
    """A file to hash: the name it goes by, where it lies, how large it is."""

    name: str
    path: str
    size: int


class _Sweep:
    """What the threads of one hashing share: how far they are, and whether to go on."""

    def __init__(self, known: Known | None) -> None:
        self.known, self.done, self.stop = known, 0, False
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
        if self.stop:
            raise InterruptedError


def hash_all(
    jobs: Iterable[Job], *, known: Known | None = None, progress: Progress = silent, workers: int | None = None
) -> tuple[FileDigest, ...]:
    """The digest of every file, sorted by name. Raises OddFileError or InputError naming the first that cannot be."""
    listed = sorted(jobs, key=lambda job: -job.size)
    total, sweep = sum(job.size for job in listed), _Sweep(known)
    large = [job for job in listed if job.size >= LARGE]
    small = listed[len(large) :]
    found: list[FileDigest] = []
    pool = ThreadPoolExecutor(max(1, min(len(large), workers or os.cpu_count() or 1)), "assay-hash")
    try:
        running = [pool.submit(_digest, job, sweep) for job in large]
        for number, job in enumerate(small):
            found.append(_digest(job, sweep))
            if number % 64 == 0:
                progress(sweep.done, total, job.name)
        found += _finished(running, large, sweep, total, progress)
        progress(total, total)
    finally:
        sweep.stop = True  # after an error or Ctrl-C the threads end at their next block
        pool.shutdown(cancel_futures=True)
    return tuple(sorted(found))


def _finished(
    running: Sequence[Future[FileDigest]], jobs: Sequence[Job], sweep: _Sweep, total: int, progress: Progress
) -> list[FileDigest]:
    pending, names = set(running), dict(zip(running, (job.name for job in jobs), strict=True))
    while pending:
        done, pending = wait(pending, TICK, return_when="FIRST_EXCEPTION")
        for future in done:
            future.result()
        progress(sweep.done, total, names[next(iter(pending))] if pending else "")
    return [future.result() for future in running]


def _digest(job: Job, sweep: _Sweep) -> FileDigest:
    try:
        descriptor = os.open(job.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            # The name is resolved already, so a link here is a race; non-blocking, so that a FIFO cannot hang us.
            before, begun = os.fstat(descriptor), time.time_ns()
            if not stat.S_ISREG(before.st_mode):
                raise OddFileError("not a regular file", where=shown(job.name), fix="remove it or ignore it")
            digest = sweep.known.get(job.name, before) if sweep.known is not None else None
            if digest is not None:
                sweep.add(before.st_size)
                return FileDigest(job.name, digest, before.st_size)
            digest = _read(job.name, descriptor, before.st_size, sweep)
            after = os.stat(job.path, follow_symlinks=False)  # by name: a file put in its place is a change too
        finally:
            os.close(descriptor)
    except InterruptedError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot read: {os_words(error)}", where=shown(job.name), fix="check its permissions"
        ) from None
    if _mark(before) != _mark(after):
        raise OddFileError("changed while it was read", where=shown(job.name), fix=_AGAIN)
    if sweep.known is not None:
        sweep.known.put(job.name, before, digest, begun)
    return FileDigest(job.name, digest, after.st_size)


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(name: str, descriptor: int, size: int, sweep: _Sweep) -> str:
    digest = hashlib.sha256()
    if size >= AHEAD:
        _read_ahead(descriptor, digest, sweep)
        return digest.hexdigest()
    count = 0
    while True:
        wanted = min(max(size - count, 0) + 1, BLOCK)
        block = os.read(descriptor, wanted)
        digest.update(block)
        count += len(block)
        sweep.add(len(block))
        if not block or (count == size and len(block) < wanted):
            break
    if count != size:
        raise OddFileError("holds another number of bytes than it says", where=shown(name), fix=_AGAIN)
    return digest.hexdigest()


def _read_ahead(descriptor: int, digest: hashlib._Hash, sweep: _Sweep) -> None:
    """Hash a file while another thread reads on, so that copying the bytes costs no time of its own."""
    free: SimpleQueue[bytearray | None] = SimpleQueue()
    full: SimpleQueue[tuple[bytearray, int] | OSError] = SimpleQueue()
    for _ in range(3):
        free.put(bytearray(BLOCK))

    def read() -> None:
        try:
            while (block := free.get()) is not None:
                count = os.readv(descriptor, [block])
                full.put((block, count))
                if not count:
                    return
        except OSError as error:
            full.put(error)

    reader = threading.Thread(target=read, name="assay-read", daemon=True)
    reader.start()
    try:
        while not isinstance(got := full.get(), OSError):
            block, count = got
            if not count:
                return
            digest.update(memoryview(block)[:count])
            sweep.add(count)
            free.put(block)
        raise got
    finally:
        free.put(None)
        reader.join()


def shown(name: str) -> str:
    """A file's name as one safe printable line: control characters and bytes outside UTF-8 are escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]
