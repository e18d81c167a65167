"""Opens a ledger with its own log key beside it, made on first use."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from assay.attest.keys import PrivateKey, generate, load_private, save_private, save_public
from assay.core.errors import InputError, StorageError
from assay.core.protocols import Clock, system_clock
from assay.ledger.log import Ledger


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
