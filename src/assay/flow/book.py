"""Opens a ledger with its own log key beside it, made on first use."""

from __future__ import annotations

from pathlib import Path

from assay.attest.keys import PrivateKey, generate, load_private, save_private, save_public
from assay.core.errors import InputError, StorageError
from assay.core.protocols import Clock, system_clock
from assay.ledger.log import Ledger


def log_key(ledger: Path) -> PrivateKey:
    """The key that signs this ledger's checkpoints: `<ledger>.key` beside it, `<ledger>.pub` for verifiers."""
    path = ledger.with_suffix(".key")
    if not path.exists():
        if ledger.exists():
            what = f"the log key {path.name} is missing"
            raise StorageError(what, where=str(ledger), fix="put it back, or start another ledger")
        key = generate("assay-log")
        try:
            save_private(key, path)
            save_public(key.public, ledger.with_suffix(".pub"))
        except InputError:
            if not path.exists():  # lost a race with another run: its key is the key
                raise
    return load_private(path)


def open_book(ledger: Path, clock: Clock = system_clock) -> Ledger:
    """The ledger at a path, made if absent. Raises StorageError or InputError."""
    return Ledger.open(ledger, key=log_key(ledger), clock=clock)
