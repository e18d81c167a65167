"""The log as JSON lines, for an auditor who has neither SQLite nor trust in us: the log's verifier key is enough.

Line 1 is the header; then, in order, {"entry": leaf} with the leaf's exact bytes, each followed by its {"blob": …}
where payloads were asked for and are not erased; then {"checkpoint": note}, smallest first. The last checkpoint
covers every entry, so that nothing in the file is unsigned.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from assay.attest.note import NoteKey, open_checkpoint, parse_vkey
from assay.core import strict_json
from assay.core.errors import InputError, StorageError, UsageError, VerificationError, os_words
from assay.core.files import replacing
from assay.ledger import merkle
from assay.ledger.entry import MAX_PAYLOAD, Entry, parse_leaf, salted_digest

if TYPE_CHECKING:
    import sqlalchemy as sa

MAX_LINE = MAX_PAYLOAD * 4 // 3 + 4096
_PAGE = 64

T = TypeVar("T")


class Exported(msgspec.Struct, frozen=True):
    """What was written: how many entries, how many newer ones no checkpoint covers yet, and the covering checkpoint."""

    entries: int
    left_out: int
    checkpoint: str


class ExportView(msgspec.Struct, frozen=True, kw_only=True):
    """An export that holds: its log, its number of entries, the root in hex, payloads and checkpoints checked."""

    origin: str
    size: int
    root: str
    payloads: int
    checkpoints: int


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    assay: Literal["ledger-export"] = "ledger-export"
    schema: Literal["assay/1"] = "assay/1"
    origin: str
    vkey: str
    size: int


class _Blob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    index: int
    salt: bytes
    payload: bytes


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    entry: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    blob: _Blob | None = None
    checkpoint: str | None = None


def write_export(connection: sa.Connection, path: Path, origin: str, vkey: str, *, payloads: bool) -> Exported:
    """Write what one read transaction sees, up to its newest checkpoint, whole or not at all.

    Raises UsageError if there is no checkpoint, StorageError if `path` cannot be written.
    """
    query = "SELECT size, note FROM checkpoint ORDER BY size, id"
    notes = [(size, note) for size, note in connection.exec_driver_sql(query)]
    if not notes:
        raise UsageError("no checkpoint to vouch for an export", where=origin, fix="open the ledger with its key")
    size = notes[-1][0]
    total = connection.exec_driver_sql("SELECT count(*) FROM entry").scalar_one()
    path = Path(path)
    try:
        with replacing(path) as stream:
            stream.write(msgspec.json.encode(_Header(origin=origin, vkey=vkey, size=size)) + b"\n")
            for line in _lines(connection, size, payloads):
                stream.write(msgspec.json.encode(line) + b"\n")
            for _, note in notes:
                stream.write(msgspec.json.encode(_Line(checkpoint=note)) + b"\n")
    except OSError as error:
        what = f"cannot write the export: {os_words(error)}"
        raise StorageError(what, where=str(path), fix="name a writable file") from None
    return Exported(size, total - size, notes[-1][1])


def verify_export(path: Path, vkey: str, *, against: str | None = None) -> ExportView:
    """Check an export with nothing but the log's verifier key: leaves, payloads, tree, and every checkpoint.

    `against` is a checkpoint that the caller kept: the export must continue it. Raises InputError if the file cannot be
    read, VerificationError naming the first bad line or entry.
    """
    key, where = parse_vkey(vkey), str(path)
    tree, current, payloads, notes = merkle.Tree(), None, 0, list[str]()
    lines = _read(Path(path))
    header = _decode(next(lines, b""), _Header, f"{where}:1")
    if header.origin != key.name:
        raise VerificationError(f"this is the log {header.origin[:80]!r}, not {key.name!r}", where=where)
    for number, raw in enumerate(lines, 2):
        here = f"{where}:{number}"
        line = _decode(raw, _Line, here)
        if isinstance(line.entry, msgspec.Raw) and not notes and line.blob is None and line.checkpoint is None:
            current = _entry(bytes(line.entry), tree, here)
        elif line.blob is not None and current is not None and line.entry is msgspec.UNSET and line.checkpoint is None:
            _check_blob(line.blob, current, here)
            payloads, current = payloads + 1, None
        elif line.checkpoint is not None and line.entry is msgspec.UNSET and line.blob is None:
            notes.append(line.checkpoint)
            current = None
        else:
            raise VerificationError("a line of this kind does not belong here", where=here)
    _check_notes(notes, tree, key, where)
    if header.size != tree.size:
        raise VerificationError(f"{header.size} entries are promised, {tree.size} are here", where=where)
    if against is not None:
        _check_note(against, tree, key, "the checkpoint given")
    return ExportView(
        origin=key.name, size=tree.size, root=tree.root().hex(), payloads=payloads, checkpoints=len(notes)
    )


def _lines(connection: sa.Connection, size: int, payloads: bool) -> Iterator[_Line]:
    columns = "e.idx, e.leaf, b.salt, b.payload" if payloads else "e.idx, e.leaf, NULL, NULL"
    cursor = connection.connection.cursor()
    try:
        cursor.execute(
            f"SELECT {columns} FROM entry e LEFT JOIN blob b ON b.idx = e.idx WHERE e.idx < ? ORDER BY e.idx",  # noqa: S608 - two fixed lists of columns
            (size,),
        )
        while rows := cursor.fetchmany(_PAGE):
            for index, leaf, salt, payload in rows:
                if not isinstance(leaf, bytes) or parse_leaf(leaf) is None:
                    raise VerificationError("its line was altered", where=f"entry {index}", fix="`assay log verify`")
                yield _Line(entry=msgspec.Raw(leaf))
                if payload is not None and salt is not None:
                    yield _Line(blob=_Blob(index, salt, payload))
    finally:
        cursor.close()


def _read(path: Path) -> Iterator[bytes]:
    """The file's lines, each of bounded length. Raises InputError if unreadable, VerificationError if cut off."""
    try:
        with open(path, "rb") as stream:
            while line := stream.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE or not line.endswith(b"\n"):
                    raise VerificationError("the file is cut off, or no export", where=str(path), fix="export it anew")
                yield line
    except OSError as error:
        raise InputError(f"cannot read the export: {os_words(error)}", where=str(path), fix="check the path") from None


def _decode(raw: bytes, kind: type[T], where: str) -> T:
    try:
        found: T = strict_json.decode(raw, kind)
        return found
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise VerificationError("not a line of a log export", where=where, fix="export it anew") from None


def _entry(leaf: bytes, tree: merkle.Tree, where: str) -> Entry:
    entry = parse_leaf(leaf)
    if entry is None or entry.index != tree.size:
        raise VerificationError(f"entry {tree.size} was altered or is missing", where=where)
    tree.append(leaf)
    return entry


def _check_blob(blob: _Blob, entry: Entry, where: str) -> None:
    digest = "sha256:" + salted_digest(blob.salt, blob.payload).hex()
    if blob.index != entry.index or digest != entry.payload_digest:
        raise VerificationError(f"the payload of entry {entry.index} was altered", where=where)


def _check_notes(notes: list[str], tree: merkle.Tree, key: NoteKey, where: str) -> None:
    covered = -1
    for number, note in enumerate(notes):
        covered = max(covered, _check_note(note, tree, key, f"{where}: checkpoint {number}"))
    if covered != tree.size:
        raise VerificationError("its last entries are covered by no checkpoint", where=where, fix="export it anew")


def _check_note(note: str, tree: merkle.Tree, key: NoteKey, where: str) -> int:
    """The size that the note covers, once it is signed by `key` and fits the tree."""
    checkpoint = open_checkpoint(note, key, where=where)
    if checkpoint.size > tree.size:
        raise VerificationError(f"it covers {checkpoint.size} entries, {tree.size} are here", where=where)
    if tree.root(checkpoint.size) != checkpoint.root:
        raise VerificationError(f"an entry before {checkpoint.size} was altered", where=where)
    return checkpoint.size
