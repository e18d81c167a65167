"""A whole copy of a source, for what must be hashed: streamed, bounded, compared with the listing's digests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from assay.adapters.remote.listed import Entry, RemoteSource, name_problem
from assay.core.artifact import File, Source
from assay.core.errors import InputError, os_words
from assay.core.protocols import Progress, silent


def fetch_all(source: Source, folder: Path, progress: Progress = silent) -> None:
    """Copy every file of `source`, whole, into `folder`, which is empty or absent.

    Raises InputError, naming the file, at the first that cannot be copied or is not what its listing says: then
    nothing in `folder` is to be used.
    """
    files = list(source.files())
    for file in files:
        problem = file.problem or _local_problem(file)
        if problem and not file.left_out:
            raise InputError(f"is not copied: it {problem}", where=file.uri)
    total = _room(source, files, folder)
    done = 0
    for file in files:
        if file.left_out:
            continue
        for count in _copy(source, file, folder):
            done += count
            progress(done, max(total, done), file.uri)


def _local_problem(file: File) -> str:
    """Why a name that a server chose is no place in a folder here."""
    name = file.path.as_posix()
    if "\\" in name or ":" in name.split("/")[0][1:2]:
        return "has a name with a backslash or a drive"
    return name_problem(name)


def _room(source: Source, files: list[File], folder: Path) -> int:
    """Bytes that the listing promises, which must fit. Raises InputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError("is not empty", where=str(folder), fix="name an empty or a new folder")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(f"cannot be written: {os_words(error)}", where=str(folder)) from None
    total = 0
    if isinstance(source, RemoteSource):
        total = sum(source.entry(file).size or 0 for file in files)
        if total > source.most_bytes:
            raise InputError(f"is {total} bytes, more than the {source.most_bytes} allowed", where=source.uri)
    if total > free:
        raise InputError(f"needs {total} bytes where {free} are free", where=str(folder), fix="make room")
    return total


def _copy(source: Source, file: File, folder: Path) -> Iterator[int]:
    place = folder / file.path
    digests = _Digests(source.entry(file) if isinstance(source, RemoteSource) else Entry(name=""))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "xb") as stream:
            for piece in _pieces(source, file):
                stream.write(piece)
                digests.update(piece)
                yield len(piece)
    except OSError as error:
        raise InputError(f"cannot be copied: {error.strerror or 'input or output failed'}", where=file.uri) from None
    if not digests.hold():
        raise InputError("is not what its listing says: its digest is another", where=file.uri)


def _pieces(source: Source, file: File) -> Iterator[bytes]:
    if isinstance(source, RemoteSource):
        yield from source.content(file).stream()
        return
    stream: BinaryIO
    with source.open(file) as stream:
        while piece := stream.read(1 << 20):
            yield piece


class _Digests:
    """SHA-256 as Git LFS names a file, SHA-1 as Git names a blob; what the listing does not give is not computed."""

    def __init__(self, entry: Entry) -> None:
        self._sha256 = hashlib.sha256() if entry.sha256 else None
        self._git = hashlib.sha1(b"blob %d\0" % (entry.size or 0), usedforsecurity=False) if entry.git else None
        self._entry = entry

    def update(self, piece: bytes) -> None:
        for each in (self._sha256, self._git):
            if each is not None:
                each.update(piece)

    def hold(self) -> bool:
        pairs = ((self._sha256, self._entry.sha256), (self._git, self._entry.git))
        return all(each is None or each.hexdigest() == wanted for each, wanted in pairs)
