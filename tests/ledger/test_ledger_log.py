"""The ledger as its users see it: append, read, payloads, checkpoints, proofs, erasure, the clock, and wrong files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.attest.keys import generate
from assay.attest.note import open_checkpoint, parse_vkey, read_checkpoint
from assay.core.errors import AssayError, InputError, StorageError, UsageError, VerificationError
from assay.ledger import merkle
from assay.ledger.entry import Entry, ErasedPayload, NewEntry, leaf_bytes, parse_leaf, timestamp
from assay.ledger.log import Ledger

KEY = generate("log")
START = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def ledger(tmp_path: Path, clock: Hands) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", clock=clock, origin="log.example", key=KEY) as opened:
        yield opened


def fill(ledger: Ledger, count: int) -> tuple[Entry, ...]:
    return ledger.append_many(NewEntry("outcome", f"sha256:{n}", b"payload %d" % n, "ann", "w") for n in range(count))


def test_what_is_appended_reads_back(ledger: Ledger, tmp_path: Path, clock: Hands) -> None:
    one = ledger.append("evidence", "sha256:ab", b"bytes", "ann@example.com", "team")
    two = ledger.append("decision", "", {"b": 1, "a": [1.5]}, "gate")
    assert (one.index, one.at, one.clock, one.schema) == (0, "2026-11-21T12:00:00.000000Z", "ok", "assay/1")
    assert ledger.payload(one) == b"bytes"
    assert ledger.payload(two) == b'{"a":[1.5],"b":1}'
    assert ledger.size == 2
    ledger.close()
    with Ledger.open(tmp_path / "ledger.db", clock=clock, create=False) as again:
        assert list(again.read()) == [one, two]
        assert again.entry(1) == two
        assert again.origin == "log.example"
        with pytest.raises(UsageError, match="no entry 2"):
            again.entry(2)
        with pytest.raises(UsageError, match="no entry -1"):
            again.entry(-1)


def test_reading_from_a_place_of_a_kind_up_to_a_limit(ledger: Ledger) -> None:
    fill(ledger, 1203)
    ledger.append("decision", "", b"", "gate")
    fill(ledger, 3)
    assert [entry.index for entry in ledger.read()] == list(range(1207))
    assert [entry.index for entry in ledger.read(1204)] == [1205, 1206]
    assert [entry.index for entry in ledger.read(kind="decision")] == [1203]
    assert [entry.index for entry in ledger.read(1, kind="outcome", limit=501)] == list(range(2, 503))
    assert list(ledger.read(limit=0)) == list(ledger.read(1206)) == []


def test_appending_nothing_or_something_wrong_writes_nothing(ledger: Ledger) -> None:
    assert ledger.append_many([]) == ()
    good = NewEntry("outcome", "", b"", "ann")
    for bad in (
        NewEntry("Bad Kind", "", b"", "ann"),
        NewEntry("", "", b"", "ann"),
        NewEntry("outcome", "two\nlines", b"", "ann"),
        NewEntry("outcome", "", b"", "\ud800"),
        NewEntry("outcome", "", b"", "a" * 600),
        NewEntry("outcome", "", b"", "ann", "\x1b[31m"),
        NewEntry("outcome", "", object(), "ann"),
        NewEntry("erasure", "", b"", "ann"),
    ):
        with pytest.raises(AssayError):
            ledger.append_many([good, bad])
    assert ledger.size == 0


TEXT = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)


@given(TEXT, TEXT, st.integers(0, 2**53 - 1))
def test_leaf_bytes_are_rfc_8785(subject: str, actor: str, index: int) -> None:
    entry = Entry(
        index=index, kind="k", subject_digest=subject, payload_digest="d", actor=actor, workspace='"\\/', at="2026"
    )
    if subject.isprintable() and actor.isprintable():  # what check_fields lets in
        assert leaf_bytes(entry) == rfc8785.dumps(msgspec.to_builtins(entry))
        assert parse_leaf(leaf_bytes(entry)) == entry
        assert parse_leaf(leaf_bytes(entry) + b" ") is None


def test_equal_payloads_do_not_show_as_equal(ledger: Ledger) -> None:
    one, two = (ledger.append("outcome", "", b"same", "ann") for _ in range(2))
    assert one.payload_digest != two.payload_digest
    assert "sha256:" + sha256(b"same").hexdigest() not in (one.payload_digest, two.payload_digest)
    with pytest.raises(VerificationError, match="not what was logged"):
        ledger.payload(msgspec.structs.replace(one, index=1))
    with pytest.raises(VerificationError, match="gone"):
        ledger.payload(msgspec.structs.replace(one, index=9))


def test_checkpoints_and_proofs(ledger: Ledger, tmp_path: Path) -> None:
    empty = ledger.checkpoint()
    assert read_checkpoint(empty).root == merkle.EMPTY_ROOT
    fill(ledger, 5)
    old = ledger.checkpoint()
    assert ledger.checkpoint() == old
    fill(ledger, 8)
    new = ledger.checkpoint()
    before, after = (open_checkpoint(note, parse_vkey(ledger.vkey)) for note in (old, new))
    assert (before.size, after.size, after.origin) == (5, 13, "log.example")
    for entry in ledger.read():
        proof = ledger.prove(entry.index)
        assert proof.leaf == merkle.leaf_hash(leaf_bytes(entry))
        proof.verify(after.root)
        assert msgspec.json.decode(msgspec.json.encode(proof), type=merkle.InclusionProof) == proof
    ledger.prove(4, 5).verify(before.root)
    ledger.prove_consistency(5).verify(before.root, after.root)
    ledger.prove_consistency(0, 13).verify(merkle.EMPTY_ROOT, after.root)
    for wrong in ((13, None), (-1, None), (5, 5), (0, 14)):
        with pytest.raises(UsageError):
            ledger.prove(*wrong)
    with pytest.raises(UsageError):
        ledger.prove_consistency(6, 5)
    result = ledger.verify(old)
    assert (result.size, result.root, result.checkpoints, result.signed) == (13, after.root.hex(), 3, 13)
    assert result.trusted
    with Ledger.open(tmp_path / "ledger.db", clock=Hands()) as keyless:
        assert keyless.verify(new).trusted is False
        with pytest.raises(UsageError, match="no key"):
            keyless.checkpoint()
    with Ledger.open(tmp_path / "ledger.db", clock=Hands(), vkey=ledger.vkey) as trusting:
        assert trusting.verify(empty).trusted


def test_proofs_follow_what_another_handle_appends(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 3)
    ledger.prove(0)
    with Ledger.open(tmp_path / "ledger.db", clock=Hands(), key=KEY) as other:
        fill(other, 4)
        root = read_checkpoint(other.checkpoint()).root
    assert ledger.prove(6).verify(root) is None, "it raises where it does not hold"


def test_foreign_checkpoints_are_refused(ledger: Ledger, tmp_path: Path, clock: Hands) -> None:
    fill(ledger, 3)
    ledger.checkpoint()
    with Ledger.open(tmp_path / "other.db", clock=clock, origin="log.example", key=KEY) as fork:
        fill(fork, 3)
        same_key = fork.checkpoint()
        fill(fork, 3)
        longer = fork.checkpoint()
    with pytest.raises(VerificationError, match="an entry from 0 to 2 was altered"):
        ledger.verify(same_key)
    with pytest.raises(VerificationError, match="rolled back: 6 entries were signed, 3 are left"):
        ledger.verify(longer)
    with Ledger.open(tmp_path / "third.db", clock=clock, origin="log.example", key=generate("x")) as foreign:
        by_another = foreign.checkpoint()
    with pytest.raises(VerificationError, match="not signed by a trusted key"):
        ledger.verify(by_another)
    with pytest.raises(VerificationError, match="not a signed note"):
        ledger.verify("nonsense")


def test_a_log_keeps_its_origin_and_key(ledger: Ledger, tmp_path: Path, clock: Hands) -> None:
    path = tmp_path / "ledger.db"
    ledger.checkpoint()
    with pytest.raises(UsageError, match="another key"):
        Ledger.open(path, clock=clock, key=generate("x"))
    with pytest.raises(UsageError, match=r"this log is log\.example"):
        Ledger.open(path, clock=clock, origin="other")
    with pytest.raises(UsageError, match="no spaces"):
        Ledger.open(path, clock=clock, origin="two words")
    foreign = ledger.vkey.replace("log.example", "other")
    with pytest.raises(AssayError):
        Ledger.open(path, clock=clock, vkey=foreign)
    with Ledger.open(tmp_path / "new.db", clock=clock, key=generate("y"), origin="log.example") as new:
        new.checkpoint()
        with pytest.raises(VerificationError, match="the key that you trust"):
            Ledger.open(tmp_path / "new.db", clock=clock, vkey=ledger.vkey)
    with Ledger.open(tmp_path / "named.db", clock=clock) as named:
        assert named.origin.startswith("assay-log-")
        assert named.vkey == ""


def test_a_clock_set_back_is_recorded(ledger: Ledger, clock: Hands) -> None:
    fill(ledger, 1)
    clock.now = START - timedelta(hours=3)
    late = ledger.append("outcome", "", b"", "ann")
    clock.now = START + timedelta(seconds=1)
    good = ledger.append("outcome", "", b"", "ann")
    assert (late.at, late.clock) == (timestamp(START), "behind")
    assert (good.at, good.clock) == (timestamp(clock.now), "ok")
    assert ledger.verify().behind == 1


def test_a_clock_without_a_zone_is_a_programming_error(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", clock=lambda: datetime(2026, 1, 1)) as ledger:
        with pytest.raises(ValueError, match="without a zone"):
            fill(ledger, 1)
        assert ledger.size == 0


def files_hold(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("size", [40, 100_000])
def test_erasure_removes_the_bytes_and_keeps_the_log(ledger: Ledger, tmp_path: Path, size: int) -> None:
    secret = b"customer 4711's diagnosis " * (size // 26 + 1)
    fill(ledger, 3)
    entry = ledger.append("evidence", "sha256:ab", secret, "ann")
    fill(ledger, 3)
    note = ledger.checkpoint()
    assert files_hold(tmp_path, b"4711's diagnosis")
    record = ledger.erase(3, "GDPR art. 17 request", "dana", "team")
    assert not files_hold(tmp_path, b"4711's diagnosis")
    assert (record.kind, record.subject_digest, record.actor, record.index) == (
        "erasure",
        entry.payload_digest,
        "dana",
        7,
    )
    assert msgspec.json.decode(ledger.payload(record))["reason"] == "GDPR art. 17 request"
    with pytest.raises(ErasedPayload, match="erased by entry 7"):
        ledger.payload(entry)
    assert ledger.entry(3) == entry
    assert ledger.erase(entry.payload_digest, "again", "dana") == record
    result = ledger.verify(note)
    assert (result.size, result.erased, result.payloads) == (8, 1, 7)
    for absent in (99, "sha256:" + "0" * 64):
        with pytest.raises(UsageError, match="no such payload"):
            ledger.erase(absent, "x", "dana")
    with pytest.raises(UsageError, match="not a digest"):
        ledger.erase("zzz", "x", "dana")


def test_erasure_says_so_when_a_reader_keeps_the_bytes_alive(ledger: Ledger, tmp_path: Path, clock: Hands) -> None:
    fill(ledger, 1)
    with Ledger.open(tmp_path / "ledger.db", clock=clock, key=KEY, wait=0.05) as impatient:
        reader = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchall()
        with pytest.raises(StorageError, match="still in the write-ahead log"):
            impatient.erase(0, "asked", "dana")
        reader.close()
        assert impatient.erase(0, "asked", "dana").index == 1
    assert not files_hold(tmp_path, b"payload 0")


def refused(path: Path, words: str, clock: Callable[[], datetime], **how: bool) -> str:
    """Why opening it was refused, in one line with its remedy."""
    with pytest.raises(StorageError, match=words) as caught:
        Ledger.open(path, clock=clock, **how)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert caught.value.fix
    return str(caught.value)


def test_wrong_files_are_refused_in_one_line(tmp_path: Path, clock: Hands) -> None:
    assert refused(tmp_path, "folder", clock)
    assert refused(tmp_path / "absent" / "l.db", "folder does not exist", clock)
    assert refused(tmp_path / "l.db", "no ledger here", clock, create=False)
    assert not (tmp_path / "l.db").exists()
    assert refused(Path("/dev/null"), "not a regular file", clock)
    assert refused(Path("/sys/l.db"), "cannot be opened", clock)
    (tmp_path / "text").write_text("SQLite is not this")
    assert refused(tmp_path / "text", "not a ledger", clock)
    (tmp_path / "torn").write_bytes(b"SQLite format 3\0" + b"\x07" * 5000)
    assert refused(tmp_path / "torn", "not a ledger|damaged", clock)
    sqlite3.connect(tmp_path / "other").executescript("CREATE TABLE t(x)").connection.close()
    assert refused(tmp_path / "other", "a database, but not a ledger", clock)
    assert (tmp_path / "text").read_text() == "SQLite is not this"


def edit(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_a_newer_or_altered_schema_is_refused(ledger: Ledger, tmp_path: Path, clock: Hands) -> None:
    path = tmp_path / "ledger.db"
    ledger.close()
    edit(path, "UPDATE meta SET value='2' WHERE key='schema_version'")
    assert refused(path, "schema version '2'", clock)
    edit(path, "UPDATE meta SET value='1' WHERE key='schema_version'")
    edit(path, "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM blob; END")
    assert refused(path, "tables were altered: trigger t", clock)
    edit(path, "DROP TRIGGER t; DROP INDEX entry_kind")
    assert refused(path, "tables were altered: index entry_kind", clock)
    edit(path, "CREATE VIEW entry_kind AS SELECT 1")
    assert refused(path, "tables were altered: index entry_kind, view entry_kind", clock)
    edit(path, "DROP VIEW entry_kind; CREATE INDEX entry_kind ON entry (kind, idx); DELETE FROM meta WHERE key='vkey'")
    assert refused(path, "facts were altered", clock)


def test_an_empty_file_becomes_a_ledger(tmp_path: Path, clock: Hands) -> None:
    (tmp_path / "l.db").touch()  # as a process leaves it that was killed while it made the ledger
    with Ledger.open(tmp_path / "l.db", clock=clock) as ledger:
        assert ledger.size == 0


def test_inputs_are_not_too_large(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.ledger.entry.MAX_PAYLOAD", 10)
    with pytest.raises(InputError, match="more than 10"):
        ledger.append("outcome", "", b"x" * 11, "ann")
