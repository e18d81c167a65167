"""The full check of a ledger: every row and payload read again, everything recomputed, the first bad entry named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from assay.attest.note import Checkpoint, NoteKey, open_checkpoint
from assay.core.errors import VerificationError
from assay.ledger import merkle
from assay.ledger.entry import ERASURE, Entry, parse_leaf, salted_digest

_BATCH = 64  # rows held at once: payloads may be large

# Everything is read as bytes: a column of another type, or text that is not UTF-8, is a finding and not a crash.
_ROWS = (
    "SELECT e.idx, CAST(e.kind AS BLOB), e.leaf, e.hash, b.digest, b.salt, b.payload, b.erased_by "
    "FROM entry e LEFT JOIN blob b ON b.idx = e.idx ORDER BY e.idx"
)


class VerifyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A log that holds.

    `root` is the tree's, in hex. `signed` is the size of the largest signed checkpoint: entries from there on are not
    yet covered. `behind` counts entries written while the clock ran backwards. `trusted` says that the key came from
    the caller and not from the log itself.
    """

    origin: str
    size: int
    root: str
    payloads: int
    erased: int
    checkpoints: int
    signed: int
    behind: int
    vkey: str
    trusted: bool


class _Walk:
    """What the rows say, gathered in one pass."""

    def __init__(self) -> None:
        self.hashes: list[bytes] = []
        self.tombs: dict[str, tuple[int, Any]] = {}
        self.erasures: dict[int, str] = {}
        self.behind = 0
        self.last = ""

    def take(self, row: tuple[Any, ...]) -> None:
        """Check one row. Raises VerificationError naming its entry."""
        index, kind, leaf, node, digest, salt, payload, erased_by = row
        expected = len(self.hashes)
        if index != expected:
            raise _bad(expected, "it is missing")
        if not isinstance(leaf, bytes) or merkle.leaf_hash(leaf) != node:
            raise _bad(index, "its line was altered")
        entry = parse_leaf(leaf)
        if entry is None or entry.index != index or entry.kind.encode() != kind:
            raise _bad(index, "its line was altered")
        if entry.at < self.last:
            raise _bad(index, "its time runs backwards")
        if not isinstance(digest, bytes) or "sha256:" + digest.hex() != entry.payload_digest:
            raise _bad(index, "its payload is missing or was replaced")
        if erased_by is not None or payload is None:
            if salt is not None or payload is not None:
                raise _bad(index, "its payload is marked erased and is still there")
            self.tombs[entry.payload_digest] = (index, erased_by)
        elif not isinstance(payload, bytes) or not isinstance(salt, bytes) or salted_digest(salt, payload) != digest:
            raise _bad(index, "its payload was altered")
        self.note(entry, node)

    def note(self, entry: Entry, node: bytes) -> None:
        """Remember what later checks need."""
        self.hashes.append(node)
        self.last = entry.at
        self.behind += entry.clock == "behind"
        if entry.kind == ERASURE:
            self.erasures[entry.index] = entry.subject_digest

    def settle(self) -> None:
        """Every tombstone has its erasure entry, every erasure entry its tombstone."""
        for digest, (index, by) in self.tombs.items():
            if self.erasures.get(by) != digest:
                raise _bad(index, "its payload is gone and no entry says that it was erased")
        for index, digest in self.erasures.items():
            if digest not in self.tombs:
                raise _bad(index, "the payload that it erased is back, or was never here")


def audit(
    connection: sa.Connection, origin: str, key: NoteKey | None, trusted: bool, against: str | None
) -> VerifyResult:
    """Check everything that one read transaction sees. Raises VerificationError; see Ledger.verify."""
    flaw = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if flaw != "ok":
        raise VerificationError(f"the database contradicts itself: {' '.join(str(flaw).split())[:120]}", fix=_RESTORE)
    walk = _Walk()
    for row in _rows(connection, _ROWS):
        walk.take(row)
    walk.settle()
    tree = merkle.Tree(walk.hashes)
    _check_head(connection, tree, walk.last)
    count, signed = _check_checkpoints(connection, tree, origin, key)
    if against is not None:
        _check_against(against, tree, origin, key)
    return VerifyResult(
        origin=origin,
        size=tree.size,
        root=tree.root().hex(),
        payloads=tree.size - len(walk.tombs),
        erased=len(walk.tombs),
        checkpoints=count,
        signed=signed,
        behind=walk.behind,
        vkey=key.vkey if key else "",
        trusted=trusted,
    )


def _check_head(connection: sa.Connection, tree: merkle.Tree, last: str) -> None:
    head = list(_rows(connection, "SELECT id, size, peaks, CAST(at AS BLOB) FROM head"))
    if head != [(1, tree.size, b"".join(tree.peaks()), last.encode())]:
        raise VerificationError(
            "the log's head does not fit its entries: its end was cut off or altered",
            where=f"entry {tree.size}",
            fix=_RESTORE,
        )
    blobs = connection.exec_driver_sql("SELECT count(*) FROM blob").scalar_one()
    if blobs != tree.size:
        raise VerificationError(f"{blobs} payloads for {tree.size} entries", fix=_RESTORE)


def _check_checkpoints(
    connection: sa.Connection, tree: merkle.Tree, origin: str, key: NoteKey | None
) -> tuple[int, int]:
    """Number of stored checkpoints and the size that the largest covers. Each must be signed and fit the tree."""
    count = covered = 0
    for size, note in _rows(connection, "SELECT size, CAST(note AS BLOB) FROM checkpoint ORDER BY size, id"):
        where = f"stored checkpoint {count}"
        checkpoint = _open(note.decode("utf-8", "replace") if isinstance(note, bytes) else "", origin, key, where)
        if checkpoint.size != size:
            raise VerificationError("it was altered", where=where, fix=_RESTORE)
        _check_root(checkpoint, tree, covered, where)
        count, covered = count + 1, checkpoint.size
    stored = list(_rows(connection, "SELECT CAST(value AS BLOB) FROM meta WHERE key='vkey'"))
    if count and (key is None or stored != [(key.vkey.encode(),)]):
        raise VerificationError("the log's note of its own key was altered", where=origin, fix=_RESTORE)
    return count, covered


def _check_against(note: str, tree: merkle.Tree, origin: str, key: NoteKey | None) -> None:
    where = "the checkpoint given"
    _check_root(_open(note, origin, key, where), tree, 0, where)


def _open(note: str, origin: str, key: NoteKey | None, where: str) -> Checkpoint:
    if key is None:
        raise VerificationError("there is no key to check it with", where=where, fix="give the log's verifier key")
    checkpoint = open_checkpoint(note, key, where=where)
    if checkpoint.origin != origin:
        raise VerificationError(f"it is of another log, {checkpoint.origin[:80]}", where=where)
    return checkpoint


def _check_root(checkpoint: Checkpoint, tree: merkle.Tree, good: int, where: str) -> None:
    if checkpoint.size > tree.size:
        raise VerificationError(
            f"the log was rolled back: {checkpoint.size} entries were signed, {tree.size} are left",
            where=where,
            fix=_RESTORE,
        )
    if tree.root(checkpoint.size) != checkpoint.root:
        raise VerificationError(
            f"an entry from {good} to {checkpoint.size - 1} was altered after it was signed", where=where, fix=_RESTORE
        )


def _rows(connection: sa.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows straight from the driver, a few at a time: this is the loop that 100,000 entries go through."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(query)
        while rows := cursor.fetchmany(_BATCH):
            yield from rows
    finally:
        cursor.close()


_RESTORE = "restore it from a backup"


def _bad(index: int, why: str) -> VerificationError:
    return VerificationError(why, where=f"entry {index}", fix=_RESTORE)
