"""What is known about one pickle without running it: the structs that the machine yields, and how it ended."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from assay.formats.reading import Note


class Ending(StrEnum):
    """What ended the reading of a pickle: STOP, bytes that nobody can follow, too few of them, or a limit."""

    STOP = "stop"
    TORN = "torn"
    SHORT = "short"
    LIMIT = "limit"


class GlobalFact(msgspec.Struct, frozen=True, kw_only=True):
    """One name that loading the pickle would import, and what would then be done with it.

    `uses` is a subset of: imported, called, build (state set on what it made), patched (state set on the object
    itself), result-called (what it returned is called). `calls` holds the first few calls with their constant
    arguments, cut short and with likely secrets masked. `by_value`: all it does is to make functions out of bytes of
    the file, which loading does not call. `tier` is safe, unknown, dangerous or unresolvable; `why`
    says in words what decided it.
    """

    module: str
    name: str
    offset: int
    tier: str
    why: str = ""
    uses: tuple[str, ...] = ("imported",)
    calls: tuple[str, ...] = ()
    call_count: int = 0
    via: str = ""
    by_value: bool = False

    @property
    def qualified(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}" if self.module else self.name


class Held(msgspec.Struct, frozen=True):
    """A file inside a constant that a loader named here opens: `length` bytes from `offset` of the pickle's stream."""

    where: str
    name: str
    offset: int
    length: int


class PickleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One pickle: where it lies in its stream (byte offsets), what it names, and whether it was read to its end.

    `ending` says what ended the reading, `reason` says it to people. `opcodes` counts those executed.
    `nested` are pickles inside constants that a loader named here would open, `files` other files there. `notes` are
    what was seen besides names: secrets in its texts, and what exhausts memory or time.
    """

    where: str
    start: int
    end: int
    protocol: int
    opcodes: int
    globals: tuple[GlobalFact, ...]
    complete: bool
    reason: str = ""
    ending: Ending = Ending.STOP
    persistent_ids: int = 0
    arrays: int = 0
    nested: tuple[PickleFacts, ...] = ()
    after_junk: bool = False
    files: tuple[Held, ...] = ()
    notes: tuple[Note, ...] = ()
