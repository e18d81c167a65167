"""A file or folder that ships, as a check sees it: its files one by one, never followed out of the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from assay.core.errors import InputError, os_words

MAX_FILES = 100_000
MAX_DEPTH = 64
_LEFT_OUT = {
    **dict.fromkeys((".git", ".hg", ".svn"), "version control keeps its own files in it"),
    ".assay": "Assay keeps its own files in it",
}


class File(msgspec.Struct, frozen=True):
    """One file of an artifact: where it lies, its name relative to the project, and why it is unusable, if so.

    `left_out` says why a whole folder in its place is none of the artifact's.
    """

    path: Path
    uri: str
    problem: str = ""
    left_out: str = ""


class Source(Protocol):
    """Files that lie elsewhere (behind https://, hf:// or mlflow:), read where they are.

    `uri` names what was settled on: a branch's name is its commit there.
    """

    uri: str

    @property
    def single(self) -> bool:
        """Whether it is one file, no folder."""

    def files(self) -> Iterator[File]:
        """Every file, sorted by uri; `path` is relative and names no file here. Raises InputError."""

    def open(self, file: File) -> BinaryIO:
        """A seekable stream over one file. Raises OSError where it cannot be read, or changed since it was listed."""

    def close(self) -> None:
        """Let go of connections and of what was kept on disk."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder to examine. `uri` is relative to the project (or as the user typed it).

    `allow` are names in pickles (`module.Name`) that the manifest allows today. `source` is where its files are read
    from when that is not here. `kept` is where what was read is remembered, while it is open, for the next check.
    """

    name: str
    path: Path
    uri: str
    digest: str = ""
    allow: frozenset[str] = frozenset()
    source: Source | None = None
    kept: dict[str, object] = {}

    def close(self) -> None:
        """Forget what was read."""
        self.kept.clear()
        if self.source is not None:
            self.source.close()

    @property
    def single(self) -> bool:
        """Whether it is one file, no folder."""
        return self.source.single if self.source is not None else self.path.is_file()

    def open(self, file: File) -> BinaryIO:
        """A seekable stream over one of its files. Raises OSError."""
        return self.source.open(file) if self.source is not None else file.path.open("rb")

    def files(self) -> Iterator[File]:
        """Every file, sorted. What cannot be read safely is given with its problem, never left out.

        Raises InputError when the artifact itself is absent or is neither a file nor a folder.
        """
        if self.source is not None:
            yield from self.source.files()
            return
        try:
            mode = os.stat(self.path).st_mode
        except OSError as error:
            fix = "check the path" if isinstance(error, FileNotFoundError) else "check its permissions"
            raise InputError(f"cannot be read: {os_words(error)}", where=self.uri, fix=fix) from None
        if stat.S_ISREG(mode):
            yield File(self.path, self.uri)
        elif stat.S_ISDIR(mode):
            yield from _walk(self.path, _held_by(self.path.resolve()), self.uri, 0, [0])
        else:
            raise InputError("is neither a file nor a folder", where=self.uri, fix="name a file or a folder")


def _held_by(folder: Path) -> Path:
    """The folder that links may not leave: this one, or, of a snapshot in a Hugging Face cache, the repository's, which
    holds the bytes that the snapshot's names lead to."""
    above = folder.parent
    if above.name == "snapshots" and above.parent.name.startswith(("models--", "datasets--", "spaces--")):
        return above.parent
    return folder


def _walk(folder: Path, root: Path, uri: str, depth: int, count: list[int]) -> Iterator[File]:
    if depth > MAX_DEPTH:
        yield File(folder, uri, f"is nested deeper than {MAX_DEPTH} folders")
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError as error:
        yield File(folder, uri, f"cannot be listed: {os_words(error)}")
        return
    for entry in entries:
        count[0] += 1
        if count[0] > MAX_FILES:
            yield File(folder, uri, f"holds more than {MAX_FILES} files")
            return
        name = readable(entry.name)
        path, where = Path(entry.path), name if uri in (".", "") else f"{uri}/{name}"
        if entry.name in _LEFT_OUT and entry.is_dir(follow_symlinks=False):
            yield File(path, where, left_out=_LEFT_OUT[entry.name])
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root, where, depth + 1, count)
        else:
            yield File(path, where, _problem(entry, root))


def _problem(entry: os.DirEntry[str], root: Path) -> str:
    """Why this entry, no folder, cannot be read safely; "" when it can."""
    try:
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
            return "is a symbolic link that leaves the folder (scan one that holds both, or a copy made with cp -RL)"
        if entry.is_file():
            return ""
        return "is a symbolic link to nothing that can be read here" if entry.is_symlink() else "is a special file"
    except (OSError, RuntimeError):  # a loop of links, or one through a folder that may not be entered
        return "is a symbolic link that cannot be followed"


def readable(name: str) -> str:
    """A file's name as text that can be written down: bytes outside UTF-8 are shown as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
