"""The packages that the files of an artifact list, with the place of each, and what could not be told."""

from __future__ import annotations

import posixpath
import re

import msgspec

from assay.core.artifact import Artifact, File
from assay.core.errors import os_words
from assay.core.text import visible
from assay.formats.dependencies.listings import MOST_LISTING, Listing, is_listing, read_listing
from assay.formats.dependencies.requirement import Package
from assay.formats.survey import survey

_MOST_INCLUDES = 200


class Listed(msgspec.Struct, frozen=True):
    """A package and the file that lists it; `also` are further files that list the same one."""

    package: Package
    uri: str
    also: tuple[str, ...] = ()


class Gathered(msgspec.Struct, frozen=True):
    """All packages of an artifact, sorted by name and version. `asked` says whether any file lists packages at all."""

    packages: tuple[Listed, ...]
    gaps: tuple[str, ...]
    asked: bool


def gather(artifact: Artifact) -> Gathered:
    """Read every list of packages in an artifact, and the lists that they name in turn.

    A package without a fixed version counts as fixed where a list in the same folder, or one above it, fixes it (a lock
    beside a manifest). Lists inside archives are named as gaps. Raises InputError when the artifact is absent.
    """
    found = _Gathering(artifact)
    for seen in survey(artifact):
        found.files[seen.file.uri] = seen.file
        if seen.facts is not None:
            inner = [m for m in seen.facts.members if is_listing(m.rpartition("!")[2])]
            found.gaps += [
                f"{seen.file.uri}: holds {visible(m, 100)}, a list that was not unpacked" for m in inner[:20]
            ]
            found.asked = found.asked or bool(inner)
    for uri, file in found.files.items():
        if is_listing(uri):
            found.read(file)
    return found.result()


class _Gathering:
    """The lists read so far."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.files: dict[str, File] = {}
        self.done: set[str] = set()
        self.packages: list[tuple[Package, str]] = []
        self.gaps: list[str] = []
        self.asked = False

    def read(self, file: File) -> None:
        """Read one list, then those that it names."""
        pending = [(file, file.uri)]
        while pending:
            file, name = pending.pop()
            if file.uri in self.done:
                continue
            self.done.add(file.uri)
            self.asked = True
            listing = _read(self.artifact, file, name)
            self.packages += [(package, file.uri) for package in listing.packages]
            self.gaps += [f"{file.uri}: {gap}" for gap in listing.gaps]
            for include in listing.includes[:_MOST_INCLUDES]:
                uri = _beside(file.uri, include)
                if uri in self.files:
                    pending.append((self.files[uri], uri if is_listing(uri) else "requirements.txt"))
                else:
                    self.gaps.append(f"{file.uri}: names {_shown(include)}, which is not part of what was examined")

    def result(self) -> Gathered:
        fixed = {(package.name, posixpath.dirname(uri)) for package, uri in self.packages if package.version}
        places: dict[tuple[str, str, str, str], list[tuple[Package, str]]] = {}
        for package, uri in self.packages:
            if not package.version and any((package.name, folder) in fixed for folder in _upwards(uri)):
                continue
            written = "" if package.version else package.asked
            places.setdefault((package.name, package.version, package.ecosystem, written), []).append((package, uri))
        listed = tuple(
            Listed(group[0][0], group[0][1], tuple(dict.fromkeys(uri for _, uri in group[1:] if uri != group[0][1])))
            for _, group in sorted(places.items())
        )
        return Gathered(listed, tuple(dict.fromkeys(self.gaps)), self.asked)


def _read(artifact: Artifact, file: File, name: str) -> Listing:
    if file.problem:
        return Listing(gaps=(file.problem,))
    try:
        with artifact.open(file) as stream:
            return read_listing(stream.read(MOST_LISTING + 1), name)
    except OSError as error:
        return Listing(gaps=(f"cannot be read: {os_words(error)}",))


def _beside(uri: str, include: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(uri), include.replace("\\", "/")))


def _upwards(uri: str) -> list[str]:
    """The folder of a file, and those above it."""
    folders = [posixpath.dirname(uri)]
    while folders[-1] not in ("", "/"):
        folders.append(posixpath.dirname(folders[-1]))
    return folders


def _shown(include: str) -> str:
    bare = re.sub(r"//[^/@\s]*@", "//", include)
    return visible(re.split(r"[?#]", bare, maxsplit=1)[0] if "://" in bare else bare, 100)
