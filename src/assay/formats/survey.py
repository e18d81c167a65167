"""Every file of an artifact, read once however many checks ask."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from assay.core.artifact import Artifact, File
from assay.core.errors import AssayError, os_words
from assay.formats.artifact import ArtifactFacts, examine
from assay.formats.reading import Gap, Limits

SECONDS_A_FILE = 60.0
SECONDS = 600.0


class Seen(msgspec.Struct, frozen=True):
    """A file and what it holds; `facts` is None where it was not opened, and `gaps` say why it could not be."""

    file: File
    facts: ArtifactFacts | None
    gaps: tuple[Gap, ...]


class Survey:
    """The files of an artifact in order, each read when the first check comes to it and then remembered.

    Iterating raises InputError when the artifact itself is absent or is neither a file nor a folder.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._known: list[Seen] = []
        self._source = _read(artifact)
        self._error: AssayError | None = None

    def __iter__(self) -> Iterator[Seen]:
        at = 0
        while True:
            if at == len(self._known) and not self._next():
                return
            yield self._known[at]
            at += 1

    def _next(self) -> bool:
        if self._error is not None:
            raise self._error
        try:
            self._known.append(next(self._source))
        except StopIteration:
            return False
        except AssayError as error:
            self._error = error
            raise
        return True


def survey(artifact: Artifact) -> Survey:
    """The one survey of this artifact object."""
    found = artifact.kept.get("survey")
    if not isinstance(found, Survey):
        found = artifact.kept["survey"] = Survey(artifact)
    return found


def _read(artifact: Artifact) -> Iterator[Seen]:
    end = time.monotonic() + SECONDS
    for file in artifact.files():
        if time.monotonic() > end:
            yield Seen(file, None, (Gap(f"was not reached: the whole took longer than {SECONDS:g} s"),))
            return
        yield _one(artifact, file)


def _one(artifact: Artifact, file: File) -> Seen:
    if file.left_out:
        return Seen(file, None, ())
    if file.problem:
        return Seen(file, None, (Gap(file.problem),))
    deadline = time.monotonic() + (SECONDS_A_FILE if artifact.source is None else SECONDS)
    limits = Limits(clock=time.monotonic, deadline=deadline, check_all=bool(artifact.digest))
    try:
        with artifact.open(file) as stream:
            facts = examine(stream, name=file.uri, limits=limits)
    except OSError as error:
        return Seen(file, None, (Gap(f"cannot be read: {os_words(error)}"),))
    except Exception as error:  # one file must not hide the others, nor be passed over
        return Seen(file, None, (Gap(f"broke its reader ({type(error).__name__}); please report it"),))
    return Seen(file, facts, facts.gaps)
