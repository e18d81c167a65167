"""The ledger's database: its tables, how it is opened, its transactions, and every way it can fail in one line.

SQLite in WAL mode with synchronous=FULL: a commit returns after its fsync, a killed process or a full disk loses
nothing that was acknowledged. Writers take the lock at BEGIN, so that entries are numbered
without gaps by however many processes.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from assay.core.errors import StorageError, os_words

SCHEMA_VERSION = 1
_MAGIC = b"SQLite format 3\0"

_int = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # INTEGER makes the key SQLite's row id
_tables = sa.MetaData()
META = sa.Table(
    "meta", _tables, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
HEAD = sa.Table(  # one row: all that an append needs to know, so that it costs the same in a log of any length
    "head",
    _tables,
    sa.Column("id", _int, primary_key=True),
    sa.Column("size", _int, nullable=False),
    sa.Column("peaks", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
)
ENTRY = sa.Table(
    "entry",
    _tables,
    sa.Column("idx", _int, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
sa.Index("entry_kind", ENTRY.c.kind, ENTRY.c.idx)
BLOB = sa.Table(  # addressed by salted digest; payload and salt are NULL once erased, then erased_by names the entry
    "blob",
    _tables,
    sa.Column("idx", _int, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("salt", sa.LargeBinary),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("erased_by", _int),
)
CHECKPOINT = sa.Table(
    "checkpoint",
    _tables,
    sa.Column("id", _int, primary_key=True),
    sa.Column("size", _int, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
_OBJECTS = {("table", table.name) for table in _tables.sorted_tables} | {("index", "entry_kind")}


class Store:
    """An open ledger database. `write` and `read` are its transactions; failures come out as StorageError."""

    def __init__(self, path: Path, engine: sa.Engine) -> None:
        self.path = path
        self._engine = engine

    @classmethod
    def open(cls, path: Path, *, create: bool, wait: float, meta: dict[str, str]) -> Store:
        """Open the database, or make it with `meta` as its first facts. `wait`: seconds to wait for another writer."""
        path = Path(path)
        _look(path, create)
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            connect_args={"timeout": wait, "check_same_thread": False, "isolation_level": None},
        )
        sa.event.listen(engine, "connect", lambda connection, _: _prepare(connection, wait))
        sa.event.listen(engine, "begin", _begin)
        store = cls(path, engine)
        try:
            store._settle(meta)
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its start; committed, durable, when the block ends well."""
        with self._explained(), self._engine.connect() as connection:
            connection.execution_options(assay_write=True)  # before BEGIN, which reads it
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the log, whatever others append meanwhile."""
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    def meta(self) -> dict[str, str]:
        """The ledger's facts: schema_version, origin, vkey."""
        with self.read() as connection:
            return {row.key: row.value for row in connection.execute(sa.select(META.c.key, META.c.value))}

    def scrub(self) -> None:
        """Move the write-ahead log into the database and empty it, so that erased bytes are nowhere in the files."""
        with self._explained():
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy = (cursor.fetchone() or (1,))[0]
                cursor.close()
            finally:
                connection.close()
        if busy:
            raise StorageError(
                "erased, but another process is reading, so the bytes are still in the write-ahead log",
                where=str(self.path),
                fix="erase the same entry again when no other process has the ledger open",
            )

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _settle(self, meta: dict[str, str]) -> None:
        """Make the tables if the database is new, refuse it if it is not ours or newer than we are."""
        with self.read() as connection:
            found = _objects(connection)
        if not found:
            with self.write() as connection:
                found = _objects(connection)
                if not found:  # nobody was faster
                    _tables.create_all(connection, checkfirst=False)
                    facts = {"schema_version": str(SCHEMA_VERSION), **meta}
                    connection.execute(sa.insert(META), [{"key": k, "value": v} for k, v in facts.items()])
                    connection.execute(sa.insert(HEAD), {"id": 1, "size": 0, "peaks": b"", "at": ""})
                    found = _OBJECTS
            _sync_folder(self.path.parent)
        where = str(self.path)
        if ("table", "meta") not in found:
            raise StorageError("a database, but not a ledger", where=where, fix="name another file")
        facts = self.meta()
        version = facts.get("schema_version", "")
        if version != str(SCHEMA_VERSION):
            raise StorageError(
                f"the ledger has schema version {version[:20]!r}, this Assay knows {SCHEMA_VERSION}",
                where=where,
                fix="upgrade Assay, or restore the ledger from a backup",
            )
        if facts.keys() != {"schema_version", "origin", "vkey"}:
            raise StorageError("the ledger's facts were altered", where=where, fix="restore it from a backup")
        if found != _OBJECTS:  # a trigger, a view or a lost index: SQL that we did not write would run with ours
            odd = ", ".join(sorted(f"{kind} {name}"[:50] for kind, name in found ^ _OBJECTS)[:5])
            raise StorageError(f"the ledger's tables were altered: {odd}", where=where, fix="restore it from a backup")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise explain(error.orig, self.path) from error
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        except UnicodeDecodeError as error:  # SQLite names what is damaged by its damaged name
            what, fix = _CAUSES[sqlite3.SQLITE_CORRUPT]
            raise StorageError(what, where=str(self.path), fix=fix) from error
        except sa.exc.TimeoutError as error:
            raise StorageError("too many threads use the ledger at once", where=str(self.path)) from error


def head(connection: sa.Connection, path: Path) -> tuple[int, list[bytes], str]:
    """The log's size, peaks and last time. StorageError if they do not fit its rows: a damaged log is not written."""
    query = "SELECT size, peaks, at, (SELECT max(idx) FROM entry) AS last FROM head"
    row = connection.exec_driver_sql(query).one_or_none()
    good = (
        row is not None
        and isinstance(row.size, int)
        and isinstance(row.peaks, bytes)
        and len(row.peaks) == 32 * row.size.bit_count()
        and row.size == (-1 if row.last is None else row.last) + 1
    )
    if row is None or not good:
        raise StorageError(
            "the ledger's head does not fit its entries", where=str(path), fix="`assay log verify`; restore a backup"
        )
    return row.size, [row.peaks[at : at + 32] for at in range(0, len(row.peaks), 32)], row.at


_CAUSES: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("no space left", "free some space and run again; what was acknowledged is kept"),
    sqlite3.SQLITE_IOERR: ("the disk failed or is full", "check its space and health; what was acknowledged is kept"),
    sqlite3.SQLITE_BUSY: ("another process is writing to the ledger", "wait for it to end and run again"),
    sqlite3.SQLITE_LOCKED: ("another process is writing to the ledger", "wait for it to end and run again"),
    sqlite3.SQLITE_READONLY: ("the ledger is read-only", "make the file and its folder writable"),
    sqlite3.SQLITE_PERM: ("the ledger may not be opened", "make the file and its folder writable"),
    sqlite3.SQLITE_CANTOPEN: ("the ledger cannot be opened", "make its folder exist and be writable"),
    sqlite3.SQLITE_CORRUPT: ("the ledger's file is damaged", "restore it from a backup, then `assay log verify`"),
    sqlite3.SQLITE_NOTADB: ("not a ledger", "name another file, or restore it from a backup"),
    sqlite3.SQLITE_CONSTRAINT: ("the ledger contradicts itself", "`assay log verify` says where"),
}


def explain(error: BaseException | None, path: Path) -> StorageError:
    """What SQLite said, in our words and one line."""
    code = getattr(error, "sqlite_errorcode", None)
    what, fix = _CAUSES.get(
        (code or 0) & 0xFF, ("the ledger cannot be read or written", "`assay log verify` says more")
    )
    words = " ".join(str(error).split())[:120]
    return StorageError(f"{what} ({words})", where=str(path), fix=fix)


def _look(path: Path, create: bool) -> None:
    """Refuse what is no database before SQLite touches it."""
    where = str(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise StorageError("this is a folder", where=where, fix="name a file in it, such as ledger.db")
        if not stat.S_ISREG(status.st_mode):
            raise StorageError("not a regular file", where=where, fix="name another")
        with open(path, "rb") as stream:
            head = stream.read(len(_MAGIC))
    except FileNotFoundError:
        if not create:
            raise StorageError("no ledger here", where=where, fix="`assay run` makes one; or check the path") from None
        if not path.parent.is_dir():
            raise StorageError("its folder does not exist", where=where, fix=f"mkdir -p {path.parent}") from None
        return
    except (OSError, ValueError) as error:
        why = os_words(error) if isinstance(error, OSError) else str(error)
        raise StorageError(f"the ledger cannot be opened: {why}", where=where, fix="check its permissions") from None
    if head and head != _MAGIC:
        raise StorageError("not a ledger", where=where, fix="name another file, or restore it from a backup")


def _prepare(connection: Any, wait: float) -> None:
    """Settings of each new connection."""
    deadline = time.monotonic() + wait
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:  # changing the mode does not wait for locks by itself
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise sqlite3.OperationalError("this file system cannot keep a write-ahead log")
    for setting in ("synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("assay_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _objects(connection: sa.Connection) -> set[tuple[str, str]]:
    """(type, name) of everything that the database defines, SQLite's own apart."""
    query = "SELECT type, name FROM sqlite_master WHERE substr(name, 1, 7) <> 'sqlite_'"
    return {(str(kind), str(name)) for kind, name in connection.exec_driver_sql(query)}


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where the file system lets us (some refuse; then it does so by itself)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
