"""The ledger: append and read entries, sign checkpoints, prove, verify, erase, export."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from assay.attest.keys import PrivateKey
from assay.attest.note import Checkpoint, NoteKey, parse_vkey, read_checkpoint, sign_checkpoint, valid_name
from assay.core.errors import StorageError, UsageError, VerificationError
from assay.ledger import audit, export, merkle
from assay.ledger.entry import (
    ERASURE,
    SALT_BYTES,
    Entry,
    ErasedPayload,
    NewEntry,
    check_fields,
    leaf_bytes,
    parse_leaf,
    payload_bytes,
    salted_digest,
    timestamp,
)
from assay.ledger.merkle import ConsistencyProof, InclusionProof
from assay.ledger.store import BLOB, CHECKPOINT, ENTRY, HEAD, META, Store, head

_PAGE = 500  # entries read in one short transaction, so that a slow reader never holds the write-ahead log
_DIGEST = "sha256:"


class Ledger:
    """An append-only log in one SQLite file. Safe for several threads and processes at once.

    Every method that touches the file raises StorageError, in one line, when it cannot be read or written.
    """

    def __init__(
        self,
        store: Store,
        origin: str,
        key: PrivateKey | None,
        vkey: NoteKey | None,
        trusted: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self.origin = origin
        self._store, self._key, self._vkey, self._trusted, self._clock = store, key, vkey, trusted, clock
        self._tree = merkle.Tree()  # grown on demand, for proofs only
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], datetime],
        origin: str | None = None,
        key: PrivateKey | None = None,
        vkey: str | None = None,
        create: bool = True,
        wait: float = 30.0,
    ) -> Ledger:
        """Open the ledger at `path`, making it first unless `create` is False.

        `origin` is the log's unique name (no spaces or `+`); a new log without one gets a random name. `key` signs
        checkpoints; a log keeps the key that signed its first. `vkey` is the verifier key that the caller trusts: with
        it (or `key`) `verify` trusts nothing in the file. `clock` gives aware times. `wait`: seconds for other writers.
        Raises StorageError, UsageError (another origin or key than the log's), VerificationError (not `vkey`'s log).
        """
        if origin is not None and not valid_name(origin):
            raise UsageError("a log's origin has no spaces and no '+'", where=ascii(origin[:80]))
        given = parse_vkey(vkey) if vkey else None
        first = origin or (given.name if given else f"assay-log-{secrets.token_hex(8)}")
        store = Store.open(path, create=create, wait=wait, meta={"origin": first, "vkey": ""})
        try:
            return cls._bound(store, origin, key, given, clock)
        except BaseException:
            store.close()
            raise

    @classmethod
    def _bound(
        cls,
        store: Store,
        origin: str | None,
        key: PrivateKey | None,
        given: NoteKey | None,
        clock: Callable[[], datetime],
    ) -> Ledger:
        """The opened ledger, once its facts and what the caller says of it agree."""
        meta, where = store.meta(), str(store.path)
        name, stored = meta.get("origin", ""), meta.get("vkey", "")
        if not valid_name(name):
            raise StorageError("the ledger has lost its origin", where=where, fix="restore it from a backup")
        if origin is not None and origin != name:
            raise UsageError(f"this log is {name}, not {origin}", where=where, fix="leave the origin out")
        mine = NoteKey(name, key.public) if key else None
        if mine and stored and mine.vkey != stored:
            raise UsageError(
                "this log's checkpoints are signed by another key", where=where, fix=f"use that of {stored}"
            )
        if given and ((stored and given.vkey != stored) or (mine and given != mine) or given.name != name):
            raise VerificationError("this log is not signed by the key that you trust", where=where, fix="refuse it")
        trusted = given or mine
        return cls(store, name, key, trusted or (parse_vkey(stored) if stored else None), trusted is not None, clock)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._store.path

    @property
    def vkey(self) -> str:
        """The verifier key that checkpoints are signed by, "" if the log has none yet."""
        return self._vkey.vkey if self._vkey else ""

    @property
    def size(self) -> int:
        """The number of entries."""
        with self._store.read() as connection:
            return head(connection, self.path)[0]

    def append(self, kind: str, subject_digest: str, payload: object, actor: str, workspace: str = "") -> Entry:
        """Add one entry and return it once it is durable. A payload that is not bytes is written as sorted JSON."""
        return self.append_many([NewEntry(kind, subject_digest, payload, actor, workspace)])[0]

    def append_many(self, items: Iterable[NewEntry]) -> tuple[Entry, ...]:
        """Add entries in order, all or none, with one fsync. Raises InputError before anything is written."""
        new = [(item, payload_bytes(item.payload)) for item in items]
        for item, _ in new:
            check_fields(item)
            if item.kind == ERASURE:
                raise UsageError("only `erase` writes erasures", where=item.kind)
        if not new:
            return ()
        with self._store.write() as connection:
            return self._append(connection, new)

    def _append(self, connection: sa.Connection, new: list[tuple[NewEntry, bytes]]) -> tuple[Entry, ...]:
        size, peaks, last = head(connection, self.path)
        now = timestamp(self._clock())  # read under the write lock, so that processes cannot interleave their times
        at, clock = (now, "ok") if now >= last else (last, "behind")
        salts = secrets.token_bytes(SALT_BYTES * len(new))
        entries, lines, blobs = [], [], []
        for number, (item, payload) in enumerate(new):
            salt = salts[SALT_BYTES * number : SALT_BYTES * (number + 1)]
            digest = salted_digest(salt, payload)
            entry = Entry(
                index=size,
                kind=item.kind,
                subject_digest=item.subject_digest,
                payload_digest=_DIGEST + digest.hex(),
                actor=item.actor,
                workspace=item.workspace,
                at=at,
                clock=clock,  # type: ignore[arg-type]
            )
            leaf = leaf_bytes(entry)
            node = merkle.leaf_hash(leaf)
            merkle.push(peaks, size, node)
            entries.append(entry)
            lines.append({"idx": size, "kind": item.kind, "leaf": leaf, "hash": node})
            blobs.append({"idx": size, "digest": digest, "salt": salt, "payload": payload})
            size += 1
        connection.execute(sa.insert(ENTRY), lines)
        connection.execute(sa.insert(BLOB), blobs)
        connection.execute(sa.update(HEAD).values(size=size, peaks=b"".join(peaks), at=at))
        return tuple(entries)

    def read(self, after: int = -1, *, kind: str | None = None, limit: int | None = None) -> Iterator[Entry]:
        """Entries in order whose index is greater than `after`, of `kind` if given.

        Raises VerificationError on a line that is no entry.
        """
        left = limit
        while left is None or left > 0:
            page = _PAGE if left is None else min(_PAGE, left)
            query = sa.select(ENTRY.c.idx, ENTRY.c.leaf).where(ENTRY.c.idx > after).order_by(ENTRY.c.idx).limit(page)
            with self._store.read() as connection:
                rows = connection.execute(query if kind is None else query.where(ENTRY.c.kind == kind)).all()
            for index, leaf in rows:
                yield _entry(index, leaf)
                after = index
            if len(rows) < page:
                return
            left = None if left is None else left - page

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Raises UsageError if there is none."""
        found = next(self.read(index - 1, limit=1), None) if index >= 0 else None
        if found is None or found.index != index:
            raise UsageError(f"no entry {index}", where=str(self.path), fix="`assay log` lists them")
        return found

    def payload(self, entry: Entry) -> bytes:
        """The bytes that were appended with `entry`.

        Raises VerificationError if they are gone or are not those of the digest, ErasedPayload if erased on request.
        """
        query = sa.select(BLOB.c.salt, BLOB.c.payload, BLOB.c.erased_by).where(BLOB.c.idx == entry.index)
        with self._store.read() as connection:
            row = connection.execute(query).one_or_none()
        where = f"entry {entry.index}"
        if row is not None and row.erased_by is not None and row.payload is None:
            raise ErasedPayload(f"the payload was erased by entry {row.erased_by}", where=where)
        if row is None or not isinstance(row.salt, bytes) or not isinstance(row.payload, bytes):
            raise VerificationError("the payload is gone", where=where, fix="restore the ledger from a backup")
        if _DIGEST + salted_digest(row.salt, row.payload).hex() != entry.payload_digest:
            raise VerificationError("the payload is not what was logged", where=where, fix="`assay log verify`")
        return row.payload

    def checkpoint(self) -> str:
        """The signed note over the log's size and root, stored beside the entries. UsageError without a key.

        Raises VerificationError instead of signing a log that is shorter than, or differs from, what was signed before.
        """
        if self._key is None:
            raise UsageError(
                "no key to sign a checkpoint with", where=str(self.path), fix="open the ledger with its key"
            )
        with self._store.write() as connection:
            size, peaks, _ = head(connection, self.path)
            note = sign_checkpoint(Checkpoint(self.origin, size, merkle.fold(peaks)), self._key)
            newest = connection.execute(
                sa.select(CHECKPOINT.c.note).order_by(CHECKPOINT.c.size.desc(), CHECKPOINT.c.id.desc()).limit(1)
            ).scalar_one_or_none()
            if newest == note:
                return note
            if newest is not None and read_checkpoint(newest, where="the newest checkpoint").size >= size:
                raise VerificationError(
                    "the log was rolled back or altered since its newest checkpoint",
                    where=str(self.path),
                    fix="`assay log verify`, and restore it from a backup",
                )
            connection.execute(sa.insert(CHECKPOINT), {"size": size, "note": note})
            vkey = NoteKey(self.origin, self._key.public).vkey
            connection.execute(sa.update(META).where(META.c.key == "vkey", META.c.value == "").values(value=vkey))
            return note

    def prove(self, index: int, size: int | None = None) -> InclusionProof:
        """That entry `index` is in the log of its first `size` entries (all by default). UsageError if it is not."""
        with self._lock:
            tree = self._grown(size)
            end = tree.size if size is None else size
            if not 0 <= index < end <= tree.size:
                raise UsageError(f"no entry {index} among the first {end} of {tree.size}", where=str(self.path))
            return InclusionProof(index, end, tree.leaf(index), tree.inclusion(index, end))

    def prove_consistency(self, old: int, new: int | None = None) -> ConsistencyProof:
        """That the log's first `new` entries (all by default) begin with its first `old`."""
        with self._lock:
            tree = self._grown(new)
            end = tree.size if new is None else new
            if not 0 <= old <= end <= tree.size:
                raise UsageError(f"no log of {old} and {end} among {tree.size} entries", where=str(self.path))
            return ConsistencyProof(old, end, tree.consistency(old, end))

    def _grown(self, size: int | None) -> merkle.Tree:
        """The tree, with at least `size` leaves where the log has them (all, if None)."""
        if size is not None and size <= self._tree.size:
            return self._tree
        with self._store.read() as connection:
            have = head(connection, self.path)[0]
            if have < self._tree.size:  # the file was replaced by an older one
                self._tree = merkle.Tree()
            query = sa.select(ENTRY.c.hash).where(ENTRY.c.idx >= self._tree.size).order_by(ENTRY.c.idx)
            if have > self._tree.size:
                self._tree.extend_hashes(connection.execute(query).scalars())
        if self._tree.size != have:
            self._tree = merkle.Tree()
            raise VerificationError("entries are missing", where=str(self.path), fix="`assay log verify` says which")
        return self._tree

    def verify(self, against: str | None = None) -> audit.VerifyResult:
        """Re-read every row and recompute everything: leaves, payload digests, tree, checkpoints and their signatures.

        `against` is a checkpoint that the caller kept: with it, any edit, deletion or rollback of what it covers is
        noticed, whoever had the file and the key. Raises VerificationError naming the first bad entry.
        """
        with self._store.read() as connection:
            return audit.audit(connection, self.origin, self._vkey, self._trusted, against)

    def erase(self, index: int | str, reason: str, actor: str, workspace: str = "") -> Entry:
        """Delete a payload and its salt for good; return the entry that records it. `index`, or the payload's digest.

        The erased entry stays, with its digest that no guess can be checked against, and the log still verifies. The
        bytes are overwritten in the database and its write-ahead log, not in copies elsewhere (backups, snapshots).
        Erasing twice is harmless. Raises UsageError if there is no such payload.
        """
        with self._store.write() as connection:
            row = connection.execute(
                sa.select(BLOB.c.idx, BLOB.c.digest, BLOB.c.erased_by).where(_address(index))
            ).first()
            if row is None:
                raise UsageError("no such payload", where=str(index)[:80], fix="`assay log` lists the entries")
            if row.erased_by is None:
                digest = _DIGEST + row.digest.hex()
                new = NewEntry(
                    ERASURE, digest, {"index": row.idx, "digest": digest, "reason": reason}, actor, workspace
                )
                check_fields(new)
                entry = self._append(connection, [(new, payload_bytes(new.payload))])[0]
                gone = {"salt": None, "payload": None, "erased_by": entry.index}
                connection.execute(sa.update(BLOB).where(BLOB.c.idx == row.idx).values(gone))
        if row.erased_by is not None:
            entry = self.entry(row.erased_by)
        self._store.scrub()
        return entry

    def export(self, path: Path, *, payloads: bool = False) -> export.Exported:
        """Write the log as JSON lines that `verify_export` checks without SQLite; see assay.ledger.export.

        It holds what the newest checkpoint covers: with a key that is all. `payloads` adds them with their salts.
        """
        if self._key is not None:
            self.checkpoint()
        with self._store.read() as connection:
            return export.write_export(connection, path, self.origin, self.vkey, payloads=payloads)

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _entry(index: int, leaf: bytes) -> Entry:
    entry = parse_leaf(leaf) if isinstance(leaf, bytes) else None
    if entry is None or entry.index != index:
        raise VerificationError("this line of the log was altered", where=f"entry {index}", fix="`assay log verify`")
    return entry


def _address(index: int | str) -> sa.ColumnElement[bool]:
    if isinstance(index, int):
        return BLOB.c.idx == index
    try:
        return BLOB.c.digest == bytes.fromhex(index.removeprefix(_DIGEST))
    except ValueError:
        raise UsageError("not a digest", where=ascii(index[:80]), fix="give sha256:<hex> or an index") from None
