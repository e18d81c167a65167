"""The members of zip and tar archives as bounded, seekable files; what cannot be opened is named with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, cast

import msgspec

from assay.formats.reading import Limits


class Member(msgspec.Struct, frozen=True):
    """A file inside a container: opened (to be closed by the reader), or the problem that kept it shut."""

    name: str
    file: IO[bytes] | None = None
    problem: str = ""


class _Guarded:
    """A member's file whose every failure is an OSError, whatever its container's library raises."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._file, name)

        def guarded(*args: Any) -> Any:
            try:
                return method(*args)
            except Exception as error:  # zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, …
                raise OSError(str(error) or type(error).__name__) from None

        setattr(self, name, guarded)
        return guarded

    def __enter__(self) -> _Guarded:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _member(name: str, file: IO[bytes]) -> Member:
    return Member(name, file=cast(IO[bytes], _Guarded(file)))


def zip_members(file: IO[bytes], limits: Limits) -> Iterator[Member]:
    """Every file member of a zip, duplicates too, in the central directory's order. ValueError where it breaks."""
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            left = limits.max_unpacked
            for count, info in enumerate(archive.infolist()):
                left -= info.file_size if info.compress_type else 0  # what is stored as it is cannot be a bomb
                _check_bounds(count, left, limits)
                if info.filename.endswith("/") and not info.file_size:
                    continue
                try:
                    opened = archive.open(info)
                except Exception as error:  # encrypted, unknown method, broken local header: each its own class
                    yield Member(info.filename, problem=f"cannot be opened: {error}")
                    continue
                yield _member(info.filename, opened)
    except Exception as error:  # zipfile raises a dozen classes for what is broken
        raise ValueError(f"zip: {error or type(error).__name__}") from None


def tar_members(file: IO[bytes], limits: Limits) -> Iterator[Member]:
    """Every regular file of a tar, in order. Raises ValueError where the archive breaks."""
    import tarfile

    try:
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for count, info in enumerate(archive):
                _check_bounds(count, 0, limits)
                opened = archive.extractfile(info) if info.isfile() else None
                if opened is not None:
                    yield _member(info.name, opened)
    except Exception as error:  # tarfile too
        raise ValueError(f"tar: {error or type(error).__name__}") from None


def _check_bounds(count: int, left: int, limits: Limits) -> None:
    if count >= limits.max_members:
        raise ValueError(f"more than {limits.max_members} members")
    if left < 0:
        raise ValueError(f"more than {limits.max_unpacked} bytes come out of its members")
