"""The ledger's own key: made once, whole, and its public half is put back whenever it is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.attest.keys import load_public
from assay.core.errors import InputError, StorageError
from assay.flow import book
from assay.flow.book import log_key, open_book


def test_a_kill_between_the_two_files_is_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, public = tmp_path / "ledger.db", tmp_path / "ledger.pub"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(book, "save_public", killed)
        with pytest.raises(KeyboardInterrupt):
            log_key(ledger)
    assert not public.exists()
    key = log_key(ledger)
    assert load_public(public) == key.public
    open_book(ledger, lambda: datetime.now(UTC)).close()
    public.unlink()
    open_book(ledger, lambda: datetime.now(UTC)).close()
    assert load_public(public) == key.public
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ledger.db", "ledger.key", "ledger.pub"]


def test_a_public_half_that_cannot_be_written_does_not_stop_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = log_key(tmp_path / "ledger.db")
    (tmp_path / "ledger.pub").unlink()

    def refused(*_: object) -> None:
        raise InputError("cannot write: read-only file system")

    monkeypatch.setattr(book, "save_public", refused)
    assert log_key(tmp_path / "ledger.db").public == key.public


def test_a_ledger_without_its_key_is_refused(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    open_book(ledger, lambda: datetime.now(UTC)).close()
    (tmp_path / "ledger.key").unlink()
    with pytest.raises(StorageError, match="log key"):
        open_book(ledger)
