"""A log of 100,000 entries: it verifies, any one edit in it is named, and proofs hold from every old state."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from assay.attest.keys import generate
from assay.attest.note import open_checkpoint, parse_vkey
from assay.core.errors import VerificationError
from assay.ledger.entry import NewEntry
from assay.ledger.export import verify_export
from assay.ledger.log import Ledger
from assay.ledger.proof import check_proof, prove_entry, prove_since

pytestmark = pytest.mark.heavy
SIZE = 100_000


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, list[str]]]:
    path, notes, chance = tmp_path_factory.mktemp("log") / "ledger.db", [], random.Random(4)
    with Ledger.open(path, clock=lambda: datetime.now(UTC), origin="log.example", key=generate("log")) as ledger:
        size = 0
        while size < SIZE:
            group = min(SIZE - size, chance.randint(1, 2000))
            ledger.append_many(
                NewEntry("outcome", f"s{n}", b"payload %d" % n, "ann") for n in range(size, size + group)
            )
            size += group
            notes.append(ledger.checkpoint())
        yield ledger, notes


def test_it_holds_and_its_export_holds(log: tuple[Ledger, list[str]], tmp_path: Path) -> None:
    ledger, notes = log
    assert ledger.verify(notes[0]).size == SIZE
    ledger.export(tmp_path / "log.jsonl", payloads=True)
    view = verify_export(tmp_path / "log.jsonl", ledger.vkey, against=notes[0])
    assert (view.size, view.payloads, view.root) == (SIZE, SIZE, ledger.verify().root)


def test_the_log_is_proven_to_have_only_grown_since_each_checkpoint(log: tuple[Ledger, list[str]]) -> None:
    ledger, notes = log
    for note in notes:
        view = check_proof(msgspec.json.encode(prove_since(ledger, note)), ledger.vkey, against=note)
        assert view.checkpoint.size == SIZE
    for earlier, later in pairwise(notes):
        old, new = (open_checkpoint(n, parse_vkey(ledger.vkey)) for n in (earlier, later))
        ledger.prove_consistency(old.size, new.size).verify(old.root, new.root)


def test_entries_anywhere_are_proven(log: tuple[Ledger, list[str]]) -> None:
    ledger, _ = log
    for index in [0, SIZE - 1, *random.Random(5).sample(range(SIZE), 300)]:
        view = check_proof(msgspec.json.encode(prove_entry(ledger, index)), ledger.vkey)
        assert view.entry is not None
        assert view.entry.subject_digest == f"s{index}"


EDITS = (
    "UPDATE entry SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"ann\"', '\"eve\"') AS BLOB) WHERE idx = ?",
    "UPDATE entry SET kind = 'decision' WHERE idx = ?",
    "UPDATE blob SET payload = CAST('other' AS BLOB) WHERE idx = ?",
    "UPDATE blob SET salt = zeroblob(16) WHERE idx = ?",
    "DELETE FROM entry WHERE idx = ?",
)


@pytest.mark.parametrize("edit", EDITS)
def test_one_edit_anywhere_is_named(log: tuple[Ledger, list[str]], edit: str) -> None:
    ledger, _ = log
    for index in [0, SIZE - 1, *random.Random(edit).sample(range(SIZE), 25)]:
        connection = sqlite3.connect(ledger.path, isolation_level=None)
        before = [
            (table, connection.execute(f"SELECT * FROM {table} WHERE idx = ?", (index,)).fetchone())
            for table in ("entry", "blob")
        ]
        try:
            assert connection.execute(edit, (index,)).rowcount == 1
            with pytest.raises(VerificationError) as caught:
                ledger.verify()
            if not edit.startswith("DELETE") or index < SIZE - 1:
                assert caught.value.where == f"entry {index}"
        finally:
            for table, row in before:
                holes = ", ".join("?" * len(row))
                connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({holes})", row)
            connection.close()
    assert ledger.verify().size == SIZE
