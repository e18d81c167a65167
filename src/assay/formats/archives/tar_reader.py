"""Tar archives: every regular file as Python's tarfile sees it, and what other readers would see differently."""

from __future__ import annotations

import bisect
import tarfile
from collections.abc import Generator, Iterator
from typing import IO, cast

from assay.core.finding import Severity
from assay.formats.archives.member import CHUNK, Budget, Member, NoteBook, guarded, spooled
from assay.formats.archives.names import check_name, leaves
from assay.formats.archives.tar_header import BLOCK, looks_like_tar, octal
from assay.formats.reading import Limits, Note
from assay.formats.stream import Window, read_at

MAX_HEADER = 4 << 20
MAX_ARCHIVES = 64
_NAME, _SIZE, _PREFIX = slice(0, 100), slice(124, 136), slice(345, 500)
_FITS = 8 << 30


def _shown(name: str) -> str:
    """A name without the surrogates that tarfile puts for bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class TarArchive:
    """A tar file's regular members. See `Archive` for what `members` promises.

    Sparse members are as long as they say, their holes counting as decompressed bytes; links are resolved by no one.
    """

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.notes: list[Note] = []
        self.gaps: list[str] = []
        self._source, self._limits = file, limits
        self._book = NoteBook("tar", self.notes)
        self._budget = Budget(limits)
        self._count = 0
        self._names: set[str] = set()

    def members(self) -> Iterator[Member]:
        """Every regular file, of archives behind the end too. ValueError where the first header is broken."""
        file = spooled(self._source, self._limits)
        try:
            size = file.seek(0, 2)
            at: int | None = 0
            for _ in range(MAX_ARCHIVES):
                if at is None:
                    return
                at = yield from self._archive(file, at, size)
            self.gaps.append(f"holds more than {MAX_ARCHIVES} archives behind each other")
        finally:
            self._book.finish()
            self.gaps[:] = dict.fromkeys(self.gaps)
            if file is not self._source:
                file.close()

    def _archive(self, file: IO[bytes], start: int, size: int) -> Generator[Member, None, int | None]:
        """The members of the archive at an offset; returns where another begins behind its end."""
        bounded = _BoundedReads(file, start, size - start)
        try:
            archive = tarfile.TarFile(fileobj=cast(IO[bytes], bounded), mode="r", errorlevel=0)
        except Exception as error:  # tarfile raises several classes, and some of its helpers' own
            if start:
                self.gaps.append(f"is torn: what follows its end at byte {start} cannot be read: {error}")
                return None
            raise ValueError(f"tar: {error or type(error).__name__}") from None
        last = -1
        while True:
            bounded.left = MAX_HEADER
            try:
                info = archive.next()
            except Exception as error:  # see above; RecursionError too
                self.gaps.append(f"is torn: it cannot be read on: {error or type(error).__name__}")
                return None
            if info is None:
                break
            setattr(archive, "members", [])  # noqa: B010 (unknown to its stubs; it would keep them all)
            if info.offset <= last:
                self.gaps.append("is broken: a header leads back to an earlier one")
                return None
            last = info.offset
            self._count += 1
            if self._count > self._limits.max_members:
                self.gaps.append(f"holds more than {self._limits.max_members} members")
                return None
            if self._limits.late():
                self.gaps.append("was not read to its end: the time allowed for it ran out")
                return None
            yield from self._member(info, file, start, size)
        return self._behind(file, start + archive.offset, size)

    def _member(self, info: tarfile.TarInfo, file: IO[bytes], start: int, size: int) -> Iterator[Member]:
        self._check(info, read_at(file, start + info.offset_data - BLOCK, BLOCK))
        if info.isdir() or info.islnk() or info.issym() or info.isdev():
            return
        where = start + info.offset_data
        sparse: list[tuple[int, int]] | None = getattr(info, "sparse", None)
        if sparse is not None:
            yield self._sparse(info, sparse, file, where, size)
            return
        if info.size < 0 or where + info.size > size:
            self.gaps.append(f"is torn: it ends within {_shown(info.name)!r}")
        window = Window(file, where, min(info.size, size - where))
        yield Member(_shown(info.name), file=guarded(window), stored=True, size=info.size)

    def _sparse(
        self, info: tarfile.TarInfo, pieces: list[tuple[int, int]], file: IO[bytes], where: int, size: int
    ) -> Member:
        name = _shown(info.name)
        try:
            if info.size < 0 or any(offset < 0 or length < 0 for offset, length in pieces):
                raise OSError("its sparse map is broken")
            inner = _Sparse(file, where, pieces, info.size, size, self._budget)
        except OSError as error:
            return Member(name, problem=f"cannot be opened: {error}")
        return Member(name, file=guarded(inner), size=info.size)

    def _check(self, info: tarfile.TarInfo, header: bytes) -> None:
        """Note names, links and kinds that do harm when unpacked, and headers that contradict each other."""
        name, target, book = _shown(info.name), _shown(info.linkname), self._book
        check_name(book, name)
        if name in self._names and not info.isdir():
            book.add("duplicate", f"holds {name!r} twice", Severity.MEDIUM, name)
        self._names.add(name)
        if info.issym() and leaves(target, name.rpartition("/")[0]):
            book.add("link", f"holds a symbolic link {name!r} to {target!r}, outside of it", Severity.HIGH, name)
        elif info.islnk() and leaves(target):
            book.add("link", f"holds a hard link {name!r} to {target!r}, outside of it", Severity.HIGH, name)
        elif info.isdev():
            book.add("special", f"holds a device or a pipe, {name!r}", Severity.HIGH, name)
        if info.pax_headers and getattr(info, "sparse", None) is None and len(header) == BLOCK:
            self._check_pax(info, header)

    def _check_pax(self, info: tarfile.TarInfo, header: bytes) -> None:
        """Note a pax header that gives another name or size than the plain one, which could have said it itself."""
        name = _shown(info.name)
        path = info.pax_headers.get("path")
        plain = header[_NAME].rstrip(b"\0")
        if header[257:262] == b"ustar" and header[_PREFIX].strip(b"\0"):
            plain = header[_PREFIX].partition(b"\0")[0] + b"/" + plain
        if path is not None and path.isascii() and len(path) <= 100 and path.rstrip("/").encode() != plain.rstrip(b"/"):
            other = plain.decode("utf-8", "backslashreplace")
            self._book.add("pax-name", f"names a member {name!r} in its pax header and {other!r} in its plain one",
                           Severity.HIGH, name)  # fmt: skip
        size = octal(header[_SIZE]) if "size" in info.pax_headers else None
        if size is not None and size != info.size and (size or info.size < _FITS):
            self._book.add("pax-size", f"gives {name!r} {info.size} bytes in its pax header and {size} otherwise",
                           Severity.HIGH, name)  # fmt: skip

    def _behind(self, file: IO[bytes], at: int, size: int) -> int | None:
        """Note what lies behind the last member; where another archive begins, if one does."""
        end = read_at(file, at, BLOCK)
        if not end or end.strip(b"\0"):
            self.gaps.append("is torn: it has no end-of-archive block")
            if not end:
                return None
        at += 0 if end.strip(b"\0") else len(end)
        while at < size:
            data = read_at(file, at, CHUNK)
            if not data or self._limits.late():
                return None
            if data.strip(b"\0"):
                at += (len(data) - len(data.lstrip(b"\0"))) // BLOCK * BLOCK
                break
            at += len(data)
        if at >= size:
            return None
        another = looks_like_tar(read_at(file, at, BLOCK))
        what = "another archive" if another else f"{size - at} bytes"
        self._book.add("behind-end", f"has {what} behind its end, where some readers go on",
                       Severity.HIGH if another else Severity.MEDIUM, offset=at)  # fmt: skip
        return at if another else None


class _BoundedReads:
    """The file from an offset on as tarfile reads it: a header that claims to be huge is an error."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._window = Window(file, start, size)
        self.left = MAX_HEADER
        self.name = ""
        self.mode = "rb"

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self.left:
            raise OSError(f"a header claims more than {MAX_HEADER} bytes")
        self.left -= size
        return self._window.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset < 0:
            raise OSError("a header leads to before the file's start")
        return self._window.seek(offset, whence)

    def tell(self) -> int:
        return self._window.tell()


class _Sparse(Window):
    """A sparse member: stored pieces, and holes of zeros, which are charged to the budget."""

    def __init__(
        self, file: IO[bytes], start: int, pieces: list[tuple[int, int]], size: int, stop: int, budget: Budget
    ) -> None:
        super().__init__(file, start, size)
        self._stop, self._budget = stop, budget
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._places: list[int] = []
        for offset, length in pieces:
            if length:
                self._starts.append(offset)
                self._stops.append(offset + length)
                self._places.append(start)
                start += length
        if self._starts != sorted(self._starts):
            raise OSError("its sparse map is out of order")

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        want = left if size is None or size < 0 else min(size, left)
        parts: list[bytes] = []
        while want > 0:
            data = self._step(min(want, CHUNK))
            parts.append(data)
            self._at += len(data)
            want -= len(data)
        return b"".join(parts)

    def _step(self, want: int) -> bytes:
        """Up to `want` bytes of the piece or the hole at the current place."""
        index = bisect.bisect_right(self._starts, self._at) - 1
        if index >= 0 and self._at < self._stops[index]:
            within = self._at - self._starts[index]
            length = min(want, self._stops[index] - self._at, self._stop - self._places[index] - within)
            data = read_at(self._file, self._places[index] + within, length)
            if not data:
                raise OSError("the sparse member ends too early")
            return data
        until = self._starts[index + 1] if index + 1 < len(self._starts) else self._size
        length = min(want, max(1, until - self._at))
        self._budget.spend(0, length)
        return bytes(length)
