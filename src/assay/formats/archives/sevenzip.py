"""7z archives through py7zr where it is installed (the extra `archives`), unpacked to bounded temporary space."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, Any, cast

from assay.core.finding import Severity
from assay.formats.archives.member import (
    FREE_OUTPUT,
    MAX_RATIO,
    MAX_SPOOL,
    SPOOL_IN_MEMORY,
    Member,
    NoteBook,
    spooled,
)
from assay.formats.archives.names import check_name, leaves
from assay.formats.reading import Limits, Note
from assay.formats.stream import Window

MISSING = "needs 7z support; pip install 'assay[archives]'"


class SevenZipArchive:
    """A 7z file's members. See `Archive` for what `members` promises. Without py7zr there is one gap, MISSING."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.notes: list[Note] = []
        self.gaps: list[str] = []
        self._source, self._limits = file, limits
        self._book = NoteBook("7z", self.notes)

    def members(self) -> Iterator[Member]:
        """Every file of the archive. ValueError where it breaks before anything was unpacked."""
        try:
            import py7zr  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            self.gaps.append(MISSING)
            return
        file = spooled(self._source, self._limits)
        space = tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY)  # noqa: SIM115 (closed below)
        try:
            yield from self._unpacked(py7zr, file, cast(IO[bytes], space))
        finally:
            self._book.finish()
            space.close()
            if file is not self._source:
                file.close()

    def _unpacked(self, py7zr: Any, file: IO[bytes], space: IO[bytes]) -> Iterator[Member]:
        size = file.seek(0, 2)
        most = min(self._limits.max_unpacked, MAX_SPOOL, max(FREE_OUTPUT, MAX_RATIO * size))
        shelf = _shelf(space, most, self._limits)
        try:
            file.seek(0)
            with py7zr.SevenZipFile(file, mode="r") as archive:
                wanted = self._wanted(archive, most)
                if wanted:
                    archive.extract(targets=wanted, factory=shelf)
        except Exception as error:  # py7zr, its codecs and the standard library's lzma raise a dozen classes
            reason = str(error) or type(error).__name__
            if not shelf.products:
                raise ValueError(f"7z: {reason}") from None
            self.gaps.append(f"is torn: it cannot be read on: {reason}")
        for name, product in shelf.products:
            window = Window(space, product.start, product.length)
            yield Member(name, file=cast(IO[bytes], window), size=product.length)

    def _wanted(self, archive: Any, most: int) -> list[str]:
        """The names of the members to unpack."""
        if archive.needs_password():
            self.gaps.append("is encrypted")
            return []
        found = archive.list()
        if len(found) > self._limits.max_members:
            self.gaps.append(f"holds more than {self._limits.max_members} members")
            return []
        if sum(max(0, info.uncompressed or 0) for info in found) > most:
            self.gaps.append(f"was not read: more than {most} bytes come out of it")
            return []
        names: set[str] = set()
        for info in found:
            name = info.filename
            check_name(self._book, name)
            if info.is_directory:
                continue
            if getattr(info, "is_symlink", False):
                self._book.add("link", f"holds a symbolic link {name!r}", Severity.MEDIUM, name)
            if name in names:
                self._book.add("duplicate", f"holds {name!r} twice", Severity.HIGH, name)
            if leaves(name):
                self.gaps.append(f"holds {name!r}, which cannot be unpacked safely")
            else:
                names.add(name)
        return sorted(names)


class _Product:
    """A member's bytes in the shared space: `length` of them from `start`."""

    def __init__(self, start: int) -> None:
        self.start, self.length = start, 0


def _shelf(space: IO[bytes], most: int, limits: Limits) -> Any:
    """What py7zr asks for a file to write to; members lie in `space` one behind the other, in the archive's order."""
    import os

    from py7zr.io import Py7zIO, WriterFactory  # type: ignore[import-not-found,import-untyped,unused-ignore]

    class Slot(Py7zIO):  # type: ignore[misc,unused-ignore]
        def __init__(self, product: _Product) -> None:
            self._product = product

        def write(self, data: bytes | bytearray) -> int:
            end = space.seek(0, 2)
            if not self._product.length:
                self._product.start = end
            if end != self._product.start + self._product.length:
                raise OSError("its members are mixed with each other")
            if end + len(data) > most:
                raise OSError(f"more than {most} bytes come out of it")
            if limits.late():
                raise OSError("the time allowed for it ran out")
            space.write(data)
            self._product.length += len(data)
            return len(data)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            return None

        def size(self) -> int:
            return self._product.length

    class Shelf(WriterFactory):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.products: list[tuple[str, _Product]] = []

        def create(self, filename: str) -> Any:
            base = os.getcwd()
            name = os.path.relpath(filename, base) if os.path.isabs(filename) else filename
            product = _Product(space.seek(0, 2))
            self.products.append((name, product))
            return Slot(product)

    return Shelf()
