"""Whoever edits the database is found out: every stored field, every bit; rows removed, added, swapped, rolled back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.attest.keys import generate
from assay.core.errors import AssayError, StorageError, VerificationError
from assay.ledger import merkle
from assay.ledger.entry import NewEntry, leaf_bytes, parse_leaf
from assay.ledger.log import Ledger

KEY = generate("log")


def clock() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A closed ledger of 12 entries, one erased, with two checkpoints; its last checkpoint and verifier key."""
    path = tmp_path_factory.mktemp("made") / "ledger.db"
    with Ledger.open(path, clock=clock, origin="log.example", key=KEY) as ledger:
        ledger.append_many([NewEntry("outcome", f"sha256:{n}", b"payload %d" % n, "ann", "w") for n in range(7)])
        ledger.checkpoint()
        ledger.erase(2, "asked", "dana")
        ledger.append_many([NewEntry("decision", "", b"", "gate") for _ in range(4)])
        return path, ledger.checkpoint(), ledger.vkey


@pytest.fixture
def copy(made: tuple[Path, str, str], tmp_path: Path) -> Path:
    return Path(shutil.copy(made[0], tmp_path / "ledger.db"))


def verify(path: Path, made: tuple[Path, str, str], against: bool = False) -> None:
    with Ledger.open(path, clock=clock, vkey=made[2]) as ledger:
        ledger.verify(made[1] if against else None)


def edit(path: Path, script: str | Callable[[sqlite3.Connection], None]) -> None:
    connection = sqlite3.connect(path)
    if isinstance(script, str):
        connection.executescript(script)
    else:
        script(connection)
    connection.commit()
    connection.close()


def test_the_untouched_log_verifies(copy: Path, made: tuple[Path, str, str]) -> None:
    verify(copy, made, against=True)
    with Ledger.open(copy, clock=clock, vkey=made[2]) as ledger:
        assert ledger.verify().size == 12


FIELDS = {
    "meta": ("key", "value"),
    "head": ("id", "size", "peaks", "at"),
    "entry": ("idx", "kind", "leaf", "hash"),
    "blob": ("idx", "digest", "salt", "payload", "erased_by"),
    "checkpoint": ("size", "note"),
}
CELLS = [(table, column) for table, columns in FIELDS.items() for column in columns]


@pytest.mark.parametrize(("table", "column"), CELLS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_flipped_bit_in_any_field_is_noticed(
    made: tuple[Path, str, str], tmp_path: Path, table: str, column: str, data: st.DataObject
) -> None:
    path = Path(shutil.copy(made[0], tmp_path / "ledger.db"))
    connection = sqlite3.connect(path)
    connection.text_factory = bytes
    query = f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL AND {column} IS NOT X'' AND {column} <> ''"
    row, value = data.draw(st.sampled_from(connection.execute(query).fetchall()))
    if isinstance(value, int):
        changed: object = value ^ (1 << data.draw(st.integers(0, 40)))
        new = f"{changed}"
    else:
        bit = data.draw(st.integers(0, 8 * len(value) - 1))
        changed = (int.from_bytes(value, "big") ^ (1 << bit)).to_bytes(len(value), "big")
        kind = connection.execute(f"SELECT typeof({column}) FROM {table} WHERE rowid=?", (row,)).fetchone()[0]
        new = f"CAST(X'{changed.hex()}' AS TEXT)" if kind == b"text" else f"X'{changed.hex()}'"
    try:
        connection.execute(f"UPDATE {table} SET {column} = {new} WHERE rowid = ?", (row,))
    except sqlite3.IntegrityError:
        return  # collides with another row: that edit cannot be made
    finally:
        connection.commit()
        connection.close()
    with pytest.raises(AssayError) as caught:
        verify(path, made)
    assert isinstance(caught.value, VerificationError if table in ("entry", "blob") else AssayError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("DELETE FROM entry WHERE idx=4", "entry 4: it is missing"),
        ("DELETE FROM entry WHERE idx=0", "entry 0: it is missing"),
        ("DELETE FROM entry WHERE idx=11", "entry 11: the log's head does not fit"),
        ("DELETE FROM blob WHERE idx=4", "entry 4: its payload is missing"),
        ("UPDATE blob SET payload=NULL, salt=NULL WHERE idx=4", "entry 4: its payload is gone and no entry says"),
        (
            "UPDATE blob SET payload=NULL, salt=NULL, erased_by=7 WHERE idx=4",
            "entry 4: its payload is gone and no entry",
        ),
        ("UPDATE blob SET payload=X'00', salt=X'00', erased_by=NULL WHERE idx=2", "entry 2: its payload was altered"),
        ("UPDATE blob SET payload=X'00' WHERE idx=2", "entry 2: its payload is marked erased and is still there"),
        ("UPDATE blob SET payload='text' WHERE idx=4", "entry 4: its payload was altered"),
        ("UPDATE entry SET leaf='text' WHERE idx=4", "entry 4: its line was altered"),
        ("UPDATE entry SET kind='decision' WHERE idx=4", "entry 4: its line was altered"),
        ("INSERT INTO blob VALUES(50, X'00', X'00', X'00', NULL)", "13 payloads for 12 entries"),
        ("DELETE FROM head", "head does not fit"),
        ("INSERT INTO head VALUES(2, 0, X'', '')", "head does not fit"),
        ("UPDATE checkpoint SET note=replace(note, 'log', 'lag')", "stored checkpoint 0"),
        ("UPDATE meta SET value='' WHERE key='vkey'", "note of its own key was altered"),
        ("UPDATE checkpoint SET size=6 WHERE size=7", "stored checkpoint 0: it was altered"),
    ],
)
def test_edits_are_named(copy: Path, made: tuple[Path, str, str], script: str, words: str) -> None:
    edit(copy, script)
    with pytest.raises(VerificationError, match=words):
        verify(copy, made)


def rewrite(connection: sqlite3.Connection, last: int, actor: str | None) -> None:
    """What a careful forger does: change entry 8 (if asked), cut at `last`, and make everything unsigned fit again."""
    if actor is not None:
        leaf = connection.execute("SELECT leaf FROM entry WHERE idx=8").fetchone()[0].replace(b'"gate"', actor.encode())
        connection.execute("UPDATE entry SET leaf=?, hash=? WHERE idx=8", (leaf, merkle.leaf_hash(leaf)))
    for table in ("entry", "blob"):
        connection.execute(f"DELETE FROM {table} WHERE idx >= ?", (last,))
    connection.execute("DELETE FROM checkpoint WHERE size > ?", (last,))
    hashes = [row[0] for row in connection.execute("SELECT hash FROM entry ORDER BY idx")]
    connection.execute("UPDATE head SET size=?, peaks=?", (last, b"".join(merkle.Tree(hashes).peaks())))


def test_a_forger_without_the_key_is_found_by_the_checkpoints(copy: Path, made: tuple[Path, str, str]) -> None:
    edit(copy, lambda connection: rewrite(connection, 12, '"ball"'))
    with pytest.raises(VerificationError, match="an entry from 7 to 11 was altered after it was signed"):
        verify(copy, made)


def test_a_rollback_is_found_by_the_checkpoint_that_the_verifier_holds(copy: Path, made: tuple[Path, str, str]) -> None:
    edit(copy, lambda connection: rewrite(connection, 9, None))
    verify(copy, made)  # nothing in the file can show it
    with pytest.raises(VerificationError, match="rolled back: 12 entries were signed, 9 are left"):
        verify(copy, made, against=True)


def test_a_rewrite_with_the_key_is_found_by_the_checkpoint_that_the_verifier_holds(
    copy: Path, made: tuple[Path, str, str]
) -> None:
    edit(copy, lambda connection: rewrite(connection, 12, '"ball"'))
    edit(copy, "DELETE FROM checkpoint WHERE size > 7")
    with Ledger.open(copy, clock=clock, key=KEY) as ledger:
        ledger.checkpoint()
    verify(copy, made)
    with pytest.raises(VerificationError, match="the checkpoint given: an entry from 0 to 11 was altered"):
        verify(copy, made, against=True)


def test_a_rolled_back_log_is_not_signed_again(copy: Path, made: tuple[Path, str, str]) -> None:
    edit(copy, lambda connection: rewrite(connection, 12, '"ball"'))
    with (
        Ledger.open(copy, clock=clock, key=KEY) as ledger,
        pytest.raises(VerificationError, match="rolled back or altered"),
    ):
        ledger.checkpoint()


def test_an_index_that_hides_an_entry_is_noticed(copy: Path, made: tuple[Path, str, str]) -> None:
    edit(
        copy,
        "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql='CREATE INDEX entry_kind ON entry (kind, idx) "
        "WHERE idx<>9' WHERE name='entry_kind'; PRAGMA writable_schema=OFF;",
    )
    edit(copy, "REINDEX; ")
    edit(
        copy,
        "PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql='CREATE INDEX entry_kind ON entry (kind, idx)' "
        "WHERE name='entry_kind';",
    )
    with Ledger.open(copy, clock=clock) as ledger:
        assert 9 not in [entry.index for entry in ledger.read(kind="decision")]
    with pytest.raises(VerificationError, match="the database contradicts itself"):
        verify(copy, made)


def test_time_that_runs_backwards_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append_many([NewEntry("outcome", "", b"", "ann") for _ in range(2)])
    edit(
        path, "UPDATE entry SET leaf=CAST(replace(CAST(leaf AS TEXT), '2026-11-21', '2026-11-20') AS BLOB) WHERE idx=1"
    )
    edit(path, lambda c: c.executemany("UPDATE entry SET hash=? WHERE idx=?", hashes_of(c)))
    with (
        Ledger.open(path, clock=clock) as ledger,
        pytest.raises(VerificationError, match="entry 1: its time runs backwards"),
    ):
        ledger.verify()


def hashes_of(connection: sqlite3.Connection) -> list[tuple[bytes, int]]:
    return [(merkle.leaf_hash(leaf), index) for index, leaf in connection.execute("SELECT idx, leaf FROM entry")]


def test_a_damaged_head_is_not_written_to(copy: Path) -> None:
    edit(copy, "DELETE FROM entry WHERE idx=11")
    with Ledger.open(copy, clock=clock, key=KEY) as ledger:
        for act in (lambda: ledger.append("outcome", "", b"", "ann"), ledger.checkpoint, lambda: ledger.prove(0)):
            with pytest.raises(StorageError, match="head does not fit"):
                act()


def test_reading_an_altered_line_is_refused(copy: Path) -> None:
    edit(copy, "UPDATE entry SET leaf=replace(leaf, 'ann', 'eve') WHERE idx=3")
    edit(copy, "UPDATE blob SET payload=X'00' WHERE idx=5")
    with Ledger.open(copy, clock=clock) as ledger:
        with pytest.raises(VerificationError, match="entry 3"):
            list(ledger.read())
        with pytest.raises(VerificationError, match="not what was logged"):
            ledger.payload(ledger.entry(5))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_never_crashes_nor_passes_as_another(
    made: tuple[Path, str, str], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(made[0].read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + 16] = data.draw(st.binary(min_size=1, max_size=16))
    path = tmp_path / "torn.db"
    path.write_bytes(content)
    for side in tmp_path.glob("torn.db-*"):
        side.unlink()
    try:
        with Ledger.open(path, clock=clock, vkey=made[2]) as ledger:
            ledger.verify(made[1])
            entries = list(ledger.read())
    except AssayError:
        return
    with Ledger.open(made[0], clock=clock) as untouched:  # the damage hit bytes that mean nothing
        assert entries == list(untouched.read())


def test_a_damaged_name_in_the_schema_is_one_line(made: tuple[Path, str, str], tmp_path: Path) -> None:
    content = made[0].read_bytes()
    refused = []
    for at in range(3900, 4096):  # the last bytes of the first page: the first table's name and text
        path = tmp_path / f"{at}.db"
        path.write_bytes(content[:at] + b"\x80" + content[at + 1 :])
        try:
            with Ledger.open(path, clock=clock, vkey=made[2]) as ledger:
                ledger.verify(made[1])
        except AssayError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert not any("\n" in line for line in refused)


def test_a_leaf_is_only_its_exact_bytes(made: tuple[Path, str, str]) -> None:
    with Ledger.open(made[0], clock=clock) as ledger:
        leaf = leaf_bytes(ledger.entry(3))
    assert parse_leaf(leaf) is not None
    assert parse_leaf(leaf.replace(b":", b": ", 1)) is None
    assert parse_leaf(leaf[:-1] + b',"index":3}') is None
    assert parse_leaf(b"[" * 100_000) is None
