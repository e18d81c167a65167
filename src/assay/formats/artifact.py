"""One call that says what an artifact is and what loading it would import and call; nothing of it is executed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, cast

import msgspec

from assay.core.errors import InputError, os_words
from assay.formats import sniff
from assay.formats.archives.inflate import READABLE, Inflated
from assay.formats.containers import Member, tar_members, zip_members
from assay.formats.models import npy
from assay.formats.pickle.facts import Ending, GlobalFact, PickleFacts
from assay.formats.pickle.stream import read_pickles
from assay.formats.reading import Limits
from assay.formats.sniff import Format
from assay.formats.texts.source_code import is_source_code

ZIP_TAIL = 1 << 16


class ArtifactFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact holds, as far as it could be read.

    `size` in bytes; `streams` are the pickles found, with `where` naming the member; `members` are the names read
    inside containers; `trailing` counts bytes after pickles that belong to none. `complete` is False where anything
    was left unread, and `reasons` say what. Of text inside containers `code` says what is or names code, `unjudged`
    what could not be judged; neither bears on the pickles.
    """

    format: Format
    size: int
    streams: tuple[PickleFacts, ...] = ()
    members: tuple[str, ...] = ()
    trailing: int = 0
    code: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    complete: bool = True
    reasons: tuple[str, ...] = ()

    def globals(self) -> Iterator[tuple[PickleFacts, GlobalFact]]:
        """Every name in every pickle, nested ones included, with the pickle that holds it."""
        pending = list(self.streams)
        while pending:
            stream = pending.pop(0)
            yield from ((stream, fact) for fact in stream.globals)
            pending[:0] = stream.nested


def examine(
    source: str | os.PathLike[str] | IO[bytes], *, name: str | None = None, limits: Limits | None = None
) -> ArtifactFacts:
    """Read an artifact (a path, or a seekable binary file) structurally; its content is never loaded.

    `name` stands in for the file's name when the format is judged. Raises InputError where the file cannot be
    opened; whatever the bytes hold ends in facts.
    """
    limits = limits or Limits()
    if not isinstance(source, (str, os.PathLike)):
        return _Examination(limits).whole(source, name or "")
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            return _Examination(limits).whole(file, name or os.path.basename(path))
    except OSError as error:
        raise InputError(os_words(error), where=path, fix="name a file that can be read") from None


def safe_to_load(facts: ArtifactFacts, allow: frozenset[str] = frozenset()) -> list[str]:
    """Why a sandboxed load must be refused; an empty list if nothing speaks against it.

    `allow` holds `module.name` strings that the manifest allows. Only names that are known-safe or allowed may be
    loaded, and only if all of the artifact was read; state set on a class or module, and names made at load time,
    are never allowed.
    """
    refusals = [f"not read to the end: {reason}" for reason in facts.reasons]
    if not facts.complete and not refusals:
        refusals.append("not read to the end")
    for stream, fact in facts.globals():
        refused = fact.tier != "safe" and (
            fact.qualified not in allow or fact.tier == "unresolvable" or "patched" in fact.uses
        )
        if refused:
            where = f" in {stream.where}" if stream.where else ""
            refusals.append(f"{fact.qualified} at byte {fact.offset}{where} is {fact.tier}: {fact.why}")
    return refusals


class _Examination:
    """The state of one examination: what was found and what is left of its budgets."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams: list[PickleFacts] = []
        self.members: list[str] = []
        self.reasons: list[str] = []
        self.code: list[str] = []
        self.unjudged: list[str] = []
        self.trailing = 0

    def whole(self, file: IO[bytes], name: str) -> ArtifactFacts:
        size = file.seek(0, 2)
        found = self._look(file, name, "", 0)
        if found.name not in ("zip", "torch-zip", "npz") and self._ends_as_zip(file, size):
            self._guarded(zip_members(file, self.limits), "", 0)
        for stream in self.streams:
            for reason in dict.fromkeys(_why_incomplete(stream)):
                self._note(reason, stream.where)
        return ArtifactFacts(
            format=found, size=size, streams=tuple(self.streams), members=tuple(self.members), trailing=self.trailing,
            code=tuple(self.code), unjudged=tuple(self.unjudged),
            complete=not self.reasons, reasons=tuple(dict.fromkeys(self.reasons)),
        )  # fmt: skip

    def _note(self, reason: str, where: str) -> None:
        self.reasons.append(f"{where}: {reason}" if where else reason)

    def _look(self, file: IO[bytes], name: str, where: str, depth: int) -> Format:
        """Sniff a file and read what lies in it; how it is called in reasons and streams is `where`."""
        try:
            return self._read(file, sniff.sniff(file, name=name), name, where, depth)
        except (OSError, EOFError, ValueError) as error:
            self._note(f"cannot be read: {error}", where)
            return sniff.OTHER

    def _read(self, file: IO[bytes], found: Format, name: str, where: str, depth: int) -> Format:
        if found.name == "pickle":
            before = len(self.streams)
            self._pickles(file, where, 0, depth)
            if depth and "." not in os.path.basename(name) and _by_chance(self.streams[before:]):
                del self.streams[before:]
                return sniff.OTHER
        elif found.name == "npy":
            return self._npy(file, where, depth)
        elif found.container and depth >= self.limits.max_nesting:
            self._note(f"a {found.name} nested more than {self.limits.max_nesting} deep was not read", where)
        elif found.name == "zip":
            before = len(self.members)
            self._guarded(zip_members(file, self.limits), where, depth)
            return _zip_kind(self.members[before:], bool(self.streams))
        elif found.name == "tar":
            self._guarded(tar_members(file, self.limits), where, depth)
        elif found.name == "hdf5" and depth:
            self._note("what an HDF5 file holds is not read by this version", where)
        elif found.name in ("text", "json") and depth:
            self._text(file, name, where)
        elif found.name in READABLE:
            self._inflated(file, found, name, where, depth)
        elif found.container:
            self._note(f"{found.name} cannot be read by this version", where)
        return found

    def _text(self, file: IO[bytes], name: str, where: str) -> None:
        """Text in a container; source code is told by its name, from `members`."""
        from assay.formats.inert import probe_text  # what reads text is not needed for a pickle

        if is_source_code(name):
            return
        file.seek(0)
        said = probe_text(file, name)
        if said.code:
            self.code.append(f"{where} {said.code}")
        if said.unread:
            self.unjudged.append(f"{where} {said.unread}")

    def _pickles(self, file: IO[bytes], where: str, start: int, depth: int) -> None:
        stream = read_pickles(file, self.limits, where=where, depth=depth, start=start)
        self.streams += stream.pickles
        self.trailing += stream.trailing
        for reason in stream.reasons:
            self._note(reason, where)

    def _npy(self, file: IO[bytes], where: str, depth: int) -> Format:
        file.seek(0)
        header = npy.read_header(file)
        if header.has_objects:
            self._pickles(file, where, header.data_at, depth)
            return sniff.NPY_OBJECTS
        if (
            header.size is not None
            and file.seek(header.data_at + max(0, header.size - 1))
            and header.size
            and not file.read(1)
        ):
            self._note("holds less data than its header says", where)
        return sniff.NPY

    def _inflated(self, file: IO[bytes], found: Format, name: str, where: str, depth: int) -> None:
        inner = Inflated(file, found.name, self.limits.max_unpacked)
        stem = name.rpartition(".")[0] if name.lower().endswith((".gz", ".bz2", ".xz", ".lzma", ".z")) else name
        self._look(cast(IO[bytes], inner), stem, f"{where}!{found.name}" if where else found.name, depth + 1)

    def _members(self, members: Iterator[Member], where: str, depth: int) -> None:
        for member in members:
            inner = f"{where}!{member.name}" if where else member.name
            self.members.append(inner)
            if member.problem:
                self._note(member.problem, inner)
            elif member.file is not None:
                with member.file:
                    self._look(member.file, member.name, inner, depth + 1)

    def _guarded(self, members: Iterator[Member], where: str, depth: int) -> None:
        try:
            self._members(members, where, depth)
        except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            self._note(f"the container cannot be read on: {error}", where)

    @staticmethod
    def _ends_as_zip(file: IO[bytes], size: int) -> bool:
        """Whether a file that begins as something else also ends as a zip archive, which zip readers would open."""
        file.seek(max(0, size - ZIP_TAIL - 22))
        tail = file.read(ZIP_TAIL + 22)
        at = tail.rfind(b"PK\x05\x06")
        return at >= 0 and len(tail) - at >= 22 and b"PK\x01\x02" in tail


def _zip_kind(members: list[str], has_pickles: bool) -> Format:
    if {"config.json", "metadata.json"} <= set(members):  # Keras 3, whose layers can be Lambdas
        return sniff.KERAS_ZIP
    if any(member.endswith(("/data.pkl", "/constants.pkl")) or member == "data.pkl" for member in members):
        return sniff.TORCH_ZIP
    if members and all(member.endswith(".npy") for member in members):
        return msgspec.structs.replace(sniff.NPZ, loads_code=has_pickles)
    return msgspec.structs.replace(sniff.ZIP, loads_code=has_pickles)


def _why_incomplete(stream: PickleFacts) -> Iterator[str]:
    if stream.reason:
        yield stream.reason
    for inner in stream.nested:
        yield from _why_incomplete(inner)


def _by_chance(streams: list[PickleFacts]) -> bool:
    """Whether raw bytes of a container's member only begin like a pickle: nothing named, broken off."""
    return all(not item.globals and not item.complete and item.ending is not Ending.LIMIT for item in streams)
