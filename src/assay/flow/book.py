"""Opens a ledger with its own log key beside it, made on first use."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from assay.attest.keys import PrivateKey, generate, load_private, save_private, save_public
from assay.core.decision import Decision
from assay.core.errors import AssayError, InputError, StorageError
from assay.core.protocols import Clock, system_clock
from assay.core.text import visible
from assay.ledger.entry import Entry
from assay.ledger.log import Ledger


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A policy or roster by which a ledger's Releases were decided, as its entry holds it."""

    name: str
    version: int
    digest: str
    signed_by: str
    text: str


def log_key(ledger: Path) -> PrivateKey:
    """The key that signs this ledger's checkpoints: `<ledger>.key` beside it, `<ledger>.pub` for verifiers."""
    path, public = ledger.with_suffix(".key"), ledger.with_suffix(".pub")
    if not path.exists():
        if ledger.exists():
            what = f"the log key {path.name} is missing"
            raise StorageError(what, where=str(ledger), fix="put it back, or start another ledger")
        try:
            save_private(generate("assay-log"), path)
        except InputError:
            if not path.exists():  # lost a race with another run: its key is the key
                raise
    key = load_private(path)
    if not public.exists():  # a new key, or one whose maker was killed before this
        with suppress(InputError):  # another run is as good; a read-only folder loses only the convenience
            save_public(key.public, public)
    return key


def open_book(ledger: Path, clock: Clock = system_clock) -> Ledger:
    """The ledger at a path, made if absent. Raises StorageError or InputError."""
    return Ledger.open(ledger, key=log_key(ledger), clock=clock)


def said_in(book: Ledger, entry: Entry) -> str:
    """What an entry says in a few words: which policy or roster, what was decided; "" for other kinds."""
    try:
        if entry.kind in ("policy", "roster"):
            document = msgspec.json.decode(book.payload(entry), type=Document)
            return f"{visible(document.name, 60)} version {document.version}"
        if entry.kind == "decision":
            decision = msgspec.json.decode(book.payload(entry), type=Decision)
            would, policy = "would " if decision.mode == "observe" else "", decision.policy
            return f"{would}{decision.verdict.upper()} by {visible(policy.name, 60)} version {policy.version}"
    except (AssayError, msgspec.DecodeError):
        return "its payload does not read: assay log verify"
    return ""
