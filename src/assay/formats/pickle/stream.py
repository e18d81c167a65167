"""All pickles in one stream: one after another, as several loaders read them, and those hidden behind other bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import msgspec

from assay.formats.pickle.facts import Ending, PickleFacts
from assay.formats.pickle.machine import Machine
from assay.formats.pickle.ops import HANDLERS
from assay.formats.pickle.source import CHUNK, Source
from assay.formats.pickle.tiers import UNKNOWN, classify
from assay.formats.reading import Limits

MAX_PICKLES = 10_000
JUNK_OPCODES = 4_000_000
JUNK_BYTES_PER_OPCODE = 50
PREVIEW = 1024
_TRIAL = Limits(max_opcodes=50_000, max_nesting=0)
_PREVIEW = Limits(max_opcodes=PREVIEW, max_nesting=0)
OVERLAP = 4096

# Where a pickle may begin among other bytes: a protocol header, a name in the text protocols, or a short text (a
# module's name).
_STARTS = (
    re.compile(rb"\x80[\x00-\x05]"),
    re.compile(rb"\n(?=[A-Za-z_][\w.]*\n)"),
    re.compile(rb"\x8c[\x01-\x60][A-Za-z_]"),
)
_TEXT_GLOBAL = re.compile(rb"[ci][A-Za-z_][\w.]*$")


class StreamFacts(msgspec.Struct, frozen=True):
    """The pickles of one stream in order, the bytes that belong to none, and what kept the machine from reading on."""

    pickles: tuple[PickleFacts, ...]
    trailing: int = 0
    reasons: tuple[str, ...] = ()


def read_pickles(
    file: IO[bytes], limits: Limits, *, where: str = "", depth: int = 0, start: int = 0, inside: bool = False
) -> StreamFacts:
    """Read every pickle of a seekable binary file from byte `start`. Never raises for what the bytes hold.

    `inside` says that the file is a constant of another pickle.
    """
    walk = _Walk(file, limits, where, depth, inside=inside)
    try:
        walk.read(start)
    except (OSError, EOFError, ValueError) as error:
        walk.reasons.append(f"the stream cannot be read: {error}")
    return StreamFacts(tuple(walk.found), walk.trailing, tuple(walk.reasons))


def hidden_pickles(file: IO[bytes], limits: Limits, *, where: str = "", depth: int = 0) -> tuple[PickleFacts, ...]:
    """The pickles anywhere in bytes of another kind that name what is refused, with those names alone.

    Chance makes pickles of any bytes, but none that names a module which runs code.
    """
    walk = _Walk(file, limits, where, depth, inside=True)
    with suppress(OSError, EOFError, ValueError):
        walk.search()
    found = []
    for item in walk.found:
        refused = tuple(fact for fact in item.globals if fact.tier == "dangerous")
        if refused:
            found.append(msgspec.structs.replace(item, globals=refused, complete=True, reason="", notes=(), files=()))
    return tuple(found)


def plausible(file: IO[bytes]) -> bool:
    """Whether a file without a protocol header reads as a pickle: to STOP at its end, past a name, or for very long."""
    file.seek(0)
    first = file.read(1)
    if not first or HANDLERS[first[0]] is HANDLERS[0xFF]:
        return False
    facts = _run(file, _TRIAL, "", 0, 0)
    if any(_well_formed(item.module, item.name) for item in facts.globals):
        return True
    if not facts.complete:
        return facts.opcodes > _TRIAL.max_opcodes
    file.seek(facts.end)
    return facts.opcodes > 1 and not file.read(PREVIEW).strip()


class _Walk:
    """The state of one reading: what was found and what is left of the budget for searching among other bytes."""

    def __init__(self, file: IO[bytes], limits: Limits, where: str, depth: int, *, inside: bool = False) -> None:
        self.inside = inside
        self.file, self.limits, self.where, self.depth = file, limits, where, depth
        self.found: list[PickleFacts] = []
        self.reasons: list[str] = []
        self.trailing = 0
        self.opcodes = 0
        self.searched = 0

    def read(self, start: int) -> None:
        first = self._run(start)
        self._keep(first)
        end = first.end
        while first.complete or self.found[-1].complete:
            if len(self.found) >= MAX_PICKLES:
                self.reasons.append(f"more than {MAX_PICKLES} pickles; stopped at byte {end}")
                return
            head = self._bytes_at(end, PREVIEW)
            if not head:
                return
            if not self._begins(head):
                break
            follower = self._run(end)
            if not follower.complete and not _telling(follower):
                break
            self._keep(follower)
            end = follower.end
            if not follower.complete:
                break
        if any(item.ending is Ending.LIMIT for item in self.found):
            return
        self._search(max(end, start + 1))

    def search(self) -> None:
        """Look for pickles among all of the bytes."""
        self._search(0)

    def _run(self, at: int, limits: Limits | None = None) -> PickleFacts:
        facts = _run(self.file, limits or self.limits, self.where, self.depth, at, inside=self.inside)
        self.opcodes += facts.opcodes
        if facts.arrays:
            facts = self._with_plain_reading(facts, at)
        return facts

    def _with_plain_reading(self, facts: PickleFacts, at: int) -> PickleFacts:
        """Add what a plain loader, which takes joblib's raw arrays for opcodes, would import from them.

        Of honest arrays it makes names at random, those of the pickles inside them among others' memo: what no list
        knows counts for nothing here.
        """
        plain = _run(self.file, self.limits, self.where, self.depth, at, joblib=False, inside=self.inside)
        seen = {(item.module, item.name) for item in facts.globals}
        extra = [
            item
            for item in plain.globals
            if (item.module, item.name) not in seen
            and _well_formed(item.module, item.name)
            and classify(item.module, item.name)[0] != UNKNOWN
        ]
        if not extra:
            return facts
        via = "a loader that takes joblib's raw array bytes for opcodes"
        return msgspec.structs.replace(
            facts, globals=facts.globals + tuple(msgspec.structs.replace(item, via=via) for item in extra)
        )

    def _keep(self, facts: PickleFacts) -> None:
        self.found.append(facts)
        if self.opcodes > self.limits.max_opcodes and facts.complete:
            self.found[-1] = msgspec.structs.replace(
                facts,
                complete=False,
                reason=f"more than {self.limits.max_opcodes} opcodes; stopped at byte {facts.end}",
                ending=Ending.LIMIT,
            )

    def _bytes_at(self, at: int, count: int) -> bytes:
        self.file.seek(at)
        return self.file.read(count)

    def _begins(self, head: bytes) -> bool:
        """Whether a pickle may follow at once: a protocol header, or a head that a preview can follow."""
        if head[0] == 0x80:
            return len(head) > 1 and head[1] <= 5
        if HANDLERS[head[0]] is HANDLERS[0xFF]:
            return False
        preview = _run(io.BytesIO(head), _PREVIEW, "", 0, 0)
        return preview.complete or _telling(preview) or _cut_short(preview, head)

    # --- bytes that belong to no pickle
    # --------------------------------------------------------------------------------

    def _search(self, at: int) -> None:
        """Look for pickles among the bytes from `at` on. Only those with well-formed names that are used count."""
        beyond = at
        for candidate, chunk_left in self._candidates(at):
            if candidate < beyond:
                continue
            left = JUNK_OPCODES + self.trailing // JUNK_BYTES_PER_OPCODE - self.searched
            if left <= 0 or len(self.found) >= MAX_PICKLES:
                self.reasons.append(f"too many places that might begin a pickle; stopped at byte {candidate}")
                return
            preview = _run(io.BytesIO(chunk_left), _PREVIEW, "", 0, 0)
            self.searched += preview.opcodes + 16
            if not (_cut_short(preview, chunk_left) or _telling(preview)):
                continue
            facts = self._run(candidate, msgspec.structs.replace(self.limits, max_opcodes=left))
            self.searched += facts.opcodes
            if _telling(facts):
                self.found.append(msgspec.structs.replace(facts, after_junk=True))
                beyond = facts.end

    def _candidates(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Offsets where a pickle may begin, in order, each with up to PREVIEW bytes from there."""
        carry = b""
        base = at
        size = CHUNK
        while True:
            data = self._bytes_at(base + len(carry), size)
            size = 1 << 20
            self.trailing += len(data)
            if self.limits.clock is not None and self.limits.clock() > self.limits.deadline:
                self.reasons.append(f"out of time; stopped at byte {base}")
                return
            if self.trailing > self.limits.max_bytes:
                self.reasons.append(
                    f"more than {self.limits.max_bytes} bytes after the pickles; stopped at byte {base}"
                )
                return
            window = carry + data
            keep = 0 if not data else max(0, len(window) - OVERLAP)
            for offset in sorted(_starts(window)):
                if offset < keep or not data:
                    yield base + offset, window[offset : offset + PREVIEW]
            if not data:
                return
            carry, base = window[keep:], base + keep


def _starts(window: bytes) -> set[int]:
    header, line, short = _STARTS
    found = {match.start() for match in header.finditer(window)} | {match.start() for match in short.finditer(window)}
    for match in line.finditer(window):
        text = _TEXT_GLOBAL.search(window, max(0, match.start() - 128), match.start())
        if text is None:
            continue
        mark = window.rfind(b"(", max(0, text.start() - 512), text.start())
        found.add(mark if window[text.start()] == 0x69 and mark >= 0 else text.start())
    return found


def _run(
    file: IO[bytes], limits: Limits, where: str, depth: int, at: int, *, joblib: bool = True, inside: bool = False
) -> PickleFacts:
    def reader(inner: IO[bytes], inner_where: str, inner_depth: int, search: bool) -> tuple[PickleFacts, ...]:
        if search:
            return hidden_pickles(inner, limits, where=inner_where, depth=inner_depth)
        return _nested(inner, limits, inner_where, inner_depth)

    file.seek(at)
    src = Source(file, limits, start=at)
    machine = Machine(src, where=where, depth=depth, joblib=joblib, reader=reader)
    machine.inside = inside
    pos, broken = machine.run(0)
    return machine.facts(src.base + pos if broken is None else max(machine.offset, at + 1), broken)


def _nested(file: IO[bytes], limits: Limits, where: str, depth: int) -> tuple[PickleFacts, ...]:
    stream = read_pickles(file, limits, where=where, depth=depth, inside=True)
    if not stream.reasons:
        return stream.pickles
    last = stream.pickles[-1]
    broken = msgspec.structs.replace(
        last, complete=False, reason="; ".join(filter(None, (last.reason, *stream.reasons)))
    )
    return (*stream.pickles[:-1], broken)


def _cut_short(preview: PickleFacts, head: bytes) -> bool:
    """Whether a preview ended only because its head did: what follows may still be a pickle."""
    return len(head) == PREVIEW and preview.ending is Ending.SHORT


def _telling(facts: PickleFacts) -> bool:
    """Whether bytes that may be chance are a pickle: a well-formed name that is called, or STOP after one."""
    named = [item for item in facts.globals if _well_formed(item.module, item.name)]
    return bool(named) and (facts.complete or any(item.call_count or "build" in item.uses for item in named))


def _well_formed(module: str, name: str) -> bool:
    return all(part.isascii() and part.isidentifier() for text in (module, name) for part in text.split("."))
