"""One call that says what a file is, what loading it would do and what of it was not read; nothing is executed."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

import msgspec
from msgspec import structs

from assay.core.errors import InputError, os_words
from assay.core.finding import Json, Severity
from assay.formats import sniff
from assay.formats.models import npy
from assay.formats.pickle.calls import Slice
from assay.formats.pickle.facts import Ending, GlobalFact, PickleFacts
from assay.formats.pickle.stream import hidden_pickles, plausible, read_pickles
from assay.formats.readers import reader_of
from assay.formats.reading import Gap, Limits, Note, Topic
from assay.formats.sniff import Format

if TYPE_CHECKING:
    from assay.formats.archives.member import Archive

_PACKED = (".gz", ".bz2", ".xz", ".lzma", ".lz4", ".zst", ".z")
_ZIPS = frozenset({"zip", "torch-zip", "npz", "keras-zip"})
_BEHIND = 1 << 16
_SEARCHED = 1 << 20
_PICKLE = frozenset({Topic.PICKLE, Topic.FORMAT})
_FORMAT = frozenset({Topic.FORMAT})


class ArtifactFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds, as far as it could be read.

    `size` in bytes; `streams` are the pickles found, with `where` naming the member; `members` are the names read
    inside containers; `trailing` counts bytes after pickles that belong to none. `notes` are what its readers saw,
    `gaps` what was left unread, `asked` the questions that were looked for in it; `measured` are facts by member ("" is
    the file itself).
    """

    format: Format
    size: int
    streams: tuple[PickleFacts, ...] = ()
    members: tuple[str, ...] = ()
    trailing: int = 0
    notes: tuple[Note, ...] = ()
    gaps: tuple[Gap, ...] = ()
    asked: frozenset[Topic] = frozenset()
    measured: dict[str, dict[str, Json]] = {}

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why its pickles may not all have been read."""
        return tuple(dict.fromkeys(gap.reason for gap in self.gaps if Topic.PICKLE in gap.topics))

    @property
    def complete(self) -> bool:
        """Whether all of its pickles were read to their end."""
        return not self.reasons

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
    """Read a file (a path, or a seekable binary file) structurally; its content is never loaded.

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
    refusals += [note.message for note in facts.notes if note.topic is Topic.PICKLE]
    for stream, fact in facts.globals():
        if fact.tier != "safe" and not may_load(fact, allow):
            where = f" in {stream.where}" if stream.where else ""
            refusals.append(f"{fact.qualified} at byte {fact.offset}{where} is {fact.tier}: {fact.why}")
    return refusals


def may_load(fact: GlobalFact, allow: frozenset[str]) -> bool:
    """Whether a name is among those allowed, and of a kind that can be: one that no list knows.

    What the lists or the threat pack call dangerous, what is made at load time and what is changed itself cannot be:
    whoever is judged writes the manifest.
    """
    return fact.tier == "unknown" and fact.qualified in allow and "patched" not in fact.uses


class _Examination:
    """The state of one examination: what was found and what is left of its budgets."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams: list[PickleFacts] = []
        self.members: list[str] = []
        self.notes: list[Note] = []
        self.gaps: list[Gap] = []
        self.asked: set[Topic] = {Topic.FORMAT}
        self.measured: dict[str, dict[str, Json]] = {}
        self.unknown: list[str] = []
        self.held: list[tuple[int, int]] = []
        self.trailing = 0

    def whole(self, file: IO[bytes], name: str) -> ArtifactFacts:
        size = file.seek(0, 2)
        found = self._look(file, name, "", 0)
        self._otherwise(file, found, name, size)
        for member in self.unknown:
            self._gap("is of no known format", member, _FORMAT)
        for stream in self.streams:
            for reason in dict.fromkeys(_why_incomplete(stream)):
                self._gap(reason, stream.where, _PICKLE)
            for note in _notes_of(stream):
                self.notes.append(note)
                self.asked.add(note.topic)
        return ArtifactFacts(
            format=found, size=size, streams=tuple(self.streams), members=tuple(self.members), trailing=self.trailing,
            notes=tuple(self.notes), gaps=tuple(dict.fromkeys(self.gaps)), asked=frozenset(self.asked),
            measured=self.measured,
        )  # fmt: skip

    def _otherwise(self, file: IO[bytes], found: Format, name: str, size: int) -> None:
        """Read it once more as what another loader would take it for: a file may begin as one thing and end as one."""
        for other in sniff.alternatives(file, found, size):
            end = sniff.zip_end(file, size) if other is sniff.ZIP else -1
            if any(start <= end < stop for start, stop in self.held):
                continue  # a pickled model, whose archive was read where it lies
            self._look(file, name, f"(as {other.name})", 0, other)
        if found.name in _ZIPS and plausible(file):
            self._zip_as_pickle(file)

    def _zip_as_pickle(self, file: IO[bytes]) -> None:
        """What an unpickler that takes persistent ids would import from a zip's bytes.

        Those of an honest archive can read as opcodes for a while, up to names of its own pickles: only what is
        refused among them counts, and that they break off says nothing.
        """
        for stream in read_pickles(file, self.limits, where="(as pickle)").pickles:
            refused = tuple(fact for fact in stream.globals if fact.tier in ("dangerous", "unresolvable"))
            if refused:
                whole = structs.replace(
                    stream, globals=refused, nested=(), complete=True, reason="", notes=(), files=()
                )
                self.streams.append(whole)

    def _gap(self, reason: str, where: str, topics: frozenset[Topic] = frozenset(Topic)) -> None:
        self.gaps.append(Gap(f"{where}: {reason}" if where else reason, topics))

    def _look(self, file: IO[bytes], name: str, where: str, depth: int, known: Format | None = None) -> Format:
        """Sniff a file and read what lies in it; how it is called in reasons and streams is `where`."""
        found = known or sniff.OTHER
        try:
            found = known or sniff.sniff(file, name=name)
            return self._read(file, found, name, where, depth)
        except (OSError, EOFError, ValueError) as error:
            self._gap(f"cannot be read: {error}", where)
            return found

    def _read(self, file: IO[bytes], found: Format, name: str, where: str, depth: int) -> Format:
        if found.name == "pickle":
            before = len(self.streams)
            self._pickles(file, where, 0, depth)
            if depth and "." not in os.path.basename(name) and _by_chance(self.streams[before:]):
                del self.streams[before:]
                self.unknown.append(where)
                return sniff.OTHER
        elif found.name == "text" and depth and sniff.is_torchscript(name):
            self._by_reader(file, sniff.TORCHSCRIPT, name, where, depth)
        elif found.name == "npy":
            return self._npy(file, where, depth)
        elif found.container and depth >= self.limits.max_nesting:
            self._gap(f"a {found.name} nested more than {self.limits.max_nesting} deep was not read", where)
        elif found.name == "zip":
            return self._zip(file, where, depth)
        elif found.name == "tar":
            from assay.formats.archives.tar_reader import TarArchive  # what opens archives is not needed for a pickle

            self._archive(TarArchive(file, self.limits), where, depth)
        elif found.name == "7z":
            from assay.formats.archives.sevenzip import SevenZipArchive

            self._archive(SevenZipArchive(file, self.limits), where, depth)
        elif found.name in sniff.COMPRESSED:
            self._inflated(file, found, name, where, depth)
        elif found.container:
            self._gap(f"{found.name} cannot be read by this version", where)
        elif found.name in ("other", "empty"):
            if found.name == "other" and not depth:  # inside archives lie the raw bytes of tensors
                self._hidden(file)
            if depth and found.name == "other":
                self.unknown.append(where)
        elif found.name == "data":
            pass  # pictures, sounds and raw numbers, of which no loader runs anything
        elif not self._by_reader(file, found, name, where, depth):
            topics = frozenset({Topic.FORMAT, Topic.REMOTE_CODE}) if found.loads_code else frozenset(Topic)
            self._gap(f"is a {found.name} file, which this version only recognises and does not read", where, topics)
        elif (model := sniff.also(file, found, name)) is not None:
            self._by_reader(file, model, name, where, depth)
        return found

    def _by_reader(self, file: IO[bytes], found: Format, name: str, where: str, depth: int) -> bool:
        """Have the format's own reader say what it sees; False where there is none."""
        row = reader_of(found.name)
        if row is None:
            return False
        self.asked |= row.topics
        file.seek(0)
        try:
            reading = row.load()(file, name, self.limits)
        except (OSError, EOFError, ValueError, RecursionError) as error:
            self._gap(f"is a {found.name} file that cannot be read: {error}", where, row.topics | _FORMAT)
            return True
        self.asked |= reading.asks
        self.notes += [_within(note, where) for note in reading.notes]
        for reason in reading.gaps:
            self._gap(reason, where, row.topics | reading.asks | _FORMAT)
        if reading.measured:
            self.measured[where] = reading.measured
        for part in reading.parts:
            inner = f"{where}!{part.name}" if where else part.name
            self._look(cast(IO[bytes], io.BytesIO(part.data)), "", inner, depth + 1)
        return True

    def _zip(self, file: IO[bytes], where: str, depth: int) -> Format:
        members, unknown = len(self.members), len(self.unknown)
        from assay.formats.archives.zip_reader import ZipArchive

        self._archive(ZipArchive(file, self.limits, check_all=self.limits.check_all), where, depth)
        kind = _zip_kind([m.removeprefix(f"{where}!") for m in self.members[members:]], bool(self.streams))
        if kind.name == "torch-zip":  # tensors are raw bytes there
            self.unknown[unknown:] = [m for m in self.unknown[unknown:] if "/data/" not in m]
        return kind

    def _pickles(self, file: IO[bytes], where: str, start: int, depth: int) -> None:
        self.asked.add(Topic.PICKLE)
        stream = read_pickles(file, self.limits, where=where, depth=depth, start=start)
        self.streams += stream.pickles
        for held in (held for found in stream.pickles for held in found.files):
            if not where:
                self.held.append((held.offset, held.offset + held.length))
            inner = cast(IO[bytes], Slice(file, held.offset, held.length))
            self._look(inner, held.name, held.where.lstrip("!"), depth + 1)
        self.trailing += stream.trailing
        for reason in stream.reasons:
            self._gap(reason, where, _PICKLE)

    def _hidden(self, file: IO[bytes]) -> None:
        """Pickles in the first bytes of a file of no known format, that name what is refused."""
        head = io.BytesIO(_head(file))
        self.streams += hidden_pickles(cast(IO[bytes], head), self.limits)

    def _npy(self, file: IO[bytes], where: str, depth: int) -> Format:
        """Every array that repeated loads from one open file would give, and what lies behind the last."""
        end = 0
        for header in npy.walk(file):
            if header.has_objects:
                self._pickles(file, where, header.data_at, depth)
                return sniff.NPY_OBJECTS
            if header.size is None:
                return sniff.NPY
            end = header.data_at + header.size
            if header.size:
                file.seek(end - 1)
                if not file.read(1):
                    self._gap("holds less data than its header says", where, _PICKLE)
                    return sniff.NPY
        file.seek(end)
        if behind := file.read(_BEHIND):
            self.notes.append(
                Note(topic=Topic.ARCHIVE, message="has bytes behind its last array", severity=Severity.MEDIUM,
                     key="behind arrays", where=where, offset=end)
            )  # fmt: skip
            self.asked.add(Topic.ARCHIVE)
            rest = io.BytesIO(behind)
            if sniff.sniff(rest) is sniff.PICKLE:
                self._pickles(file, where, end, depth)
        return sniff.NPY

    def _inflated(self, file: IO[bytes], found: Format, name: str, where: str, depth: int) -> None:
        from assay.formats.archives.inflate import Inflated

        self.asked.add(Topic.ARCHIVE)
        inner = Inflated(file, found.name, self.limits)
        stem = name.rpartition(".")[0] if name.lower().endswith(_PACKED) else name
        inside = f"{where}!{found.name}" if where else found.name
        self._look(cast(IO[bytes], inner), stem, inside, depth + 1)
        if inner.broken:
            self._gap(f"cannot be unpacked to its end: {inner.broken}", where)
        if inner.trailing:
            self.notes.append(
                Note(topic=Topic.ARCHIVE, message=f"has {inner.trailing} bytes behind the {found.name} stream",
                     severity=Severity.MEDIUM, key=f"trailing {found.name}", where=where)
            )  # fmt: skip

    def _archive(self, archive: Archive, where: str, depth: int) -> None:
        """Look at every member, and take over what the archive says of itself."""
        self.asked.add(Topic.ARCHIVE)
        try:
            for member in archive.members():
                inner = f"{where}!{member.name}" if where else member.name
                self.members.append(inner)
                if member.problem:
                    self._gap(member.problem, inner)
                elif member.file is not None:
                    with member.file:
                        self._look(member.file, member.name, inner, depth + 1)
        except (OSError, EOFError, ValueError) as error:
            self._gap(f"the container cannot be read on: {error}", where)
        self.notes += [_within(note, where) for note in archive.notes]
        for gap in archive.gaps:
            self._gap(gap, where)


def _head(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_SEARCHED)


def _within(note: Note, where: str) -> Note:
    """A note of a part, as one of the whole."""
    return structs.replace(note, where="!".join(filter(None, (where, note.where)))) if where else note


def _zip_kind(members: list[str], has_pickles: bool) -> Format:
    if {"config.json", "metadata.json"} <= set(members):  # Keras 3, whose layers can be Lambdas
        return sniff.KERAS_ZIP
    if any(member.endswith(("/data.pkl", "/constants.pkl")) or member == "data.pkl" for member in members):
        return sniff.TORCH_ZIP
    if members and all(member.endswith(".npy") for member in members):
        return structs.replace(sniff.NPZ, loads_code=has_pickles)
    return structs.replace(sniff.ZIP, loads_code=has_pickles)


def _notes_of(stream: PickleFacts) -> Iterator[Note]:
    """What a pickle and those nested in it say besides names."""
    for note in stream.notes:
        yield _within(note, stream.where)
    for inner in stream.nested:
        yield from _notes_of(inner)


def _why_incomplete(stream: PickleFacts) -> Iterator[str]:
    if stream.reason:
        yield stream.reason
    for inner in stream.nested:
        yield from _why_incomplete(inner)


def _by_chance(streams: list[PickleFacts]) -> bool:
    """Whether raw bytes of a container's member only begin like a pickle: nothing named, broken off."""
    return all(not item.globals and not item.complete and item.ending is not Ending.LIMIT for item in streams)
