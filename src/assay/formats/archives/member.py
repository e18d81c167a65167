"""What every archive gives: members as bounded, seekable files that fail only with OSError, and notes on itself."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, Any, Protocol, cast

import msgspec

from assay.core.finding import Json, Severity
from assay.formats.reading import Limits, Note, Topic
from assay.formats.stream import Stream

CHUNK = 1 << 20
SPOOL_IN_MEMORY = 16 << 20
MAX_SPOOL = 4 << 30
FREE_OUTPUT = 1 << 30
MAX_RATIO = 100
NOTES_OF_A_KIND = 25


class Member(msgspec.Struct, frozen=True):
    """A file inside a container: opened (to be closed by the reader), or the problem that kept it shut.

    `stored` members are views onto the archive's own bytes. `size` in bytes is what the archive says of it.
    """

    name: str
    file: IO[bytes] | None = None
    problem: str = ""
    stored: bool = False
    size: int = 0


class Archive(Protocol):
    """A container. `notes` and `gaps` are complete once `members()` has been gone through.

    A member's own problem is in the member, not in `gaps`. `members()` raises ValueError or OSError where the
    container breaks altogether; what was noted till then stands. Each member is read before the next is asked for.
    """

    notes: list[Note]
    gaps: list[str]

    def members(self) -> Iterator[Member]:
        """Every file that any of the container's readers would see."""


class Budget:
    """How much may come out of one container's compressed streams.

    `max_unpacked` bounds the sum. Beyond FREE_OUTPUT, MAX_RATIO times what went in bounds it too: deflate reaches
    1030:1 and zstd 30,000:1 on zeros, so arrays of zeros pass up to FREE_OUTPUT, arrays of data (rarely 20:1) always,
    and a bomb ends after seconds instead of minutes.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._given = self._taken = 0

    def spend(self, taken: int, given: int) -> None:
        """Count bytes that went in and that came out; OSError beyond a bound or the deadline."""
        self._taken += taken
        self._given += given
        if self._given > self.limits.max_unpacked:
            raise OSError(f"more than {self.limits.max_unpacked} bytes come out of the compressed stream")
        if self._given > FREE_OUTPUT and self._given > MAX_RATIO * self._taken:
            raise OSError(
                f"is a decompression bomb, or nothing but zeros: {self._given} bytes came out of {self._taken}"
            )
        if self.limits.late():
            raise OSError("the time allowed for it ran out while it was decompressed")


class NoteBook:
    """Collects an archive's notes; of one kind, NOTES_OF_A_KIND are kept apart and the rest counted."""

    def __init__(self, container: str, notes: list[Note]) -> None:
        self._container, self._notes = container, notes
        self._seen: set[tuple[str, str]] = set()
        self._more: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._worst: dict[str, Severity] = {}

    def add(
        self,
        kind: str,
        message: str,
        severity: Severity,
        where: str = "",
        offset: int | None = None,
        **evidence: Json,
    ) -> None:
        """Note something once for each `kind` and member."""
        if (kind, where) in self._seen:
            return
        if self._kept[kind] >= NOTES_OF_A_KIND:
            self._more[kind] += 1
            self._worst[kind] = max(self._worst.get(kind, severity), severity, key=lambda one: one.rank)
            return
        self._seen.add((kind, where))
        self._kept[kind] += 1
        key = f"{self._container}:{kind}:{where}"
        self._notes.append(
            Note(topic=Topic.ARCHIVE, message=message, severity=severity, key=key, where=where, offset=offset,
                 evidence=evidence)
        )  # fmt: skip

    def finish(self) -> None:
        """Say how many notes were left out."""
        for kind, count in self._more.items():
            message = f"has {count} more members of which the same is to be said ({kind})"
            key = f"{self._container}:{kind}:more"
            self._notes.append(Note(topic=Topic.ARCHIVE, message=message, severity=self._worst[kind], key=key))
        self._more.clear()


class Guarded:
    """A file of which every failure is an OSError, whatever the library behind it raises."""

    def __init__(self, file: object) -> None:
        self._file: Any = file

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._file, name)

        def guarded(*args: Any) -> Any:
            try:
                return method(*args)
            except Exception as error:  # zlib.error, lzma.LZMAError, tarfile.TarError, py7zr's dozen, …
                raise OSError(str(error) or type(error).__name__) from None

        setattr(self, name, guarded)
        return guarded

    def __enter__(self) -> Guarded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def guarded(file: object) -> IO[bytes]:
    """The file behind a guard."""
    return cast(IO[bytes], Guarded(file))


class Checked(Stream):
    """A member's bytes; once they were read through, `judge(crc, length, all_read)` hears what they were.

    `size` in bytes is what is expected. Reading ahead of what was summed gives up the sum, not the bytes.
    """

    def __init__(self, inner: io.RawIOBase, size: int, judge: Callable[[int, int, bool], None]) -> None:
        super().__init__()
        self._inner, self._size, self._judge = inner, size, judge
        self._crc = self._summed = 0
        self._ended = self._judged = False

    def tell(self) -> int:
        return self._inner.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        before = self._inner.tell()
        data = self._inner.read(-1 if size is None else size) or b""
        end = before + len(data)
        if before <= self._summed < end:
            self._crc = zlib.crc32(memoryview(data)[self._summed - before :], self._crc)
            self._summed = end
        if not data and size != 0 and before == self._summed:
            self._ended = True
        return data

    def read_through(self) -> None:
        """Read what was not read yet, for its sum. OSError where it breaks."""
        self.seek(self._summed)
        while not self._ended:
            self.read(CHUNK)

    def close(self) -> None:
        """Close it, and judge what was read."""
        if not self.closed and not self._judged:
            self._judged = True
            if self._summed >= self._size:
                self._look_for_more()
                self._judge(self._crc, self._summed, self._ended)
        super().close()

    def _look_for_more(self) -> None:
        try:
            if not self._ended:
                self.seek(self._summed)
                self.read(1)
                self.read(1)
        except (OSError, ValueError):  # whether there is more cannot be said
            self._ended = False


def spooled(file: IO[bytes], limits: Limits) -> IO[bytes]:
    """The file itself where its end can be sought, or a temporary copy of what comes out of it.

    Raises OSError where more than MAX_SPOOL bytes (or the limits' `max_unpacked`) would have to be copied.
    """
    try:
        file.seek(0, 2)
        return file
    except OSError:
        pass
    import tempfile  # it brings shutil and every codec; few archives need it

    most = min(MAX_SPOOL, limits.max_unpacked)
    copy = tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY)  # noqa: SIM115 (closed with the archive)
    try:
        file.seek(0)
        while data := file.read(CHUNK):
            copy.write(data)
            if copy.tell() > most:
                raise OSError(f"more than {most} bytes would have to be unpacked to find its members")
    except BaseException:
        copy.close()
        raise
    return cast(IO[bytes], copy)
