"""Remote files as a Source: hostile names are shown escaped and never asked for where they could mean another file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from assay.adapters.remote.client import Client
from assay.adapters.remote.ranged import Content
from assay.core.artifact import MAX_DEPTH, MAX_FILES, File
from assay.core.text import visible

MOST_SIZE = 1 << 53
_LONGEST_NAME = 1024


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file as a listing names it: its name there, size (None: not said), digests, and what is wrong with it."""

    name: str
    size: int | None = None
    sha256: str = ""
    git: str = ""
    problem: str = ""


class RemoteSource:
    """Files behind addresses. `content` of an entry gives its bytes; `uri` holds no query and no credentials."""

    def __init__(self, client: Client, uri: str, *, single: bool = False) -> None:
        self.uri, self.single = uri, single
        self._client = client
        self._known: dict[str, tuple[File, Entry, Content | None]] = {}

    @property
    def most_bytes(self) -> int:
        """What may be received in all."""
        return self._client.access.most_bytes

    def add(self, entry: Entry, content: Content) -> None:
        """Take in one file of the listing."""
        problem = entry.problem or name_problem(entry.name)
        shown = visible(entry.name, _LONGEST_NAME)
        uri = self.uri if self.single else f"{self.uri}/{shown}"
        if uri in self._known:
            problem = "is listed more than once"
        file = File(Path(entry.name if not problem else "unnamed"), uri, problem)
        self._known[uri] = (file, entry, None if problem else content)

    def add_problem(self, uri: str, problem: str) -> None:
        """Something that is there, and is not read."""
        self._known[uri] = (File(Path("unnamed"), uri, problem), Entry(name="", problem=problem), None)

    def files(self) -> Iterator[File]:
        """Every file, sorted by uri; what cannot be asked for is given with its problem."""
        for uri in sorted(self._known):
            yield self._known[uri][0]

    def entry(self, file: File) -> Entry:
        """What the listing says of a file."""
        return self._known[file.uri][1]

    def content(self, file: File) -> Content:
        """The bytes of a file. Raises OSError for one that is not listed or has a problem."""
        known = self._known.get(file.uri)
        if known is None or known[2] is None:
            raise FileNotFoundError(2, "is not listed" if known is None else known[0].problem)
        return known[2]

    def open(self, file: File) -> BinaryIO:
        """A seekable stream over one file. Raises OSError."""
        return self.content(file).open()

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def name_problem(name: str) -> str:
    """Why a relative name from elsewhere is not asked for; "" for one that means one file below its folder."""
    parts = name.split("/")
    if not name or name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "has a name that leaves its folder or means no file"
    if "\0" in name or any("\ud800" <= sign <= "\udfff" for sign in name):
        return "has a name that cannot be asked for"
    if len(name) > _LONGEST_NAME:
        return "has a name that is too long"
    if len(parts) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} folders"
    return ""


def bounded(entries: Iterable[Entry]) -> tuple[list[Entry], bool]:
    """At most MAX_FILES entries, and whether that was all."""
    found: list[Entry] = []
    for entry in entries:
        if len(found) == MAX_FILES:
            return found, False
        found.append(entry)
    return found, True
