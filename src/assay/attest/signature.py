"""Sign a file or a folder: one in-toto subject per file, so that a flipped byte is told by the file's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from assay.attest import dsse
from assay.attest import statement as st
from assay.attest.files import FileDigest, hash_files, require_same, root_digest
from assay.attest.keys import PrivateKey, PublicKey
from assay.core.errors import InputError, VerificationError, os_words
from assay.core.files import write_whole

SUFFIX = ".assay.sig"
SKEW = timedelta(minutes=5)
"""How far another machine's clock may run ahead of ours."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Predicate(msgspec.Struct, frozen=True, kw_only=True):
    root: str
    signed_at: Moment
    tool: str
    ignored: tuple[str, ...] = ()


class SignatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that holds: the files, who signed (distinct key ids), when, and what was left out."""

    files: tuple[FileDigest, ...]
    root: str
    signed_at: datetime
    tool: str
    ignored: tuple[str, ...]
    key_ids: tuple[str, ...]


def signature_path(path: Path) -> Path:
    """Where the signature of `path` lies: beside it, `<path>.assay.sig`."""
    real = Path(os.path.abspath(path))  # so that "." and "folder/" lie beside the folder, not in it
    return real.with_name(real.name + SUFFIX)


def sign_files(
    path: Path,
    keys: Sequence[PrivateKey],
    now: datetime,
    *,
    tool: str = "assay",
    ignore: Collection[str] = (),
    files: Iterable[FileDigest] | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> bytes:
    """The signed envelope over every file of `path`; `files` are digests already computed of the same path.

    What `ignore` leaves out is named in the signature. Raises InputError if there is nothing to sign.
    """
    found = tuple(sorted(files)) if files is not None else hash_files(path, ignore=ignore, progress=progress)
    if not found:
        raise InputError("no file to sign", where=str(path), fix="name a file, or a folder with files")
    predicate = _Predicate(root=root_digest(found), signed_at=st.utc(now), tool=tool, ignored=tuple(sorted(ignore)))
    subjects = [st.Subject(file.name, {"sha256": file.sha256}) for file in found]
    return st.sign(st.SIGNATURE, subjects, predicate, keys)


def write_signature(path: Path, envelope: bytes) -> Path:
    """Write `envelope` beside `path`, whole or not at all, and return its path. Raises InputError if it cannot."""
    target = signature_path(path)
    write_whole(target, envelope)
    return target


def read_signature(path: Path) -> bytes:
    """The envelope beside `path`. Raises VerificationError if there is none or it cannot be read."""
    target = signature_path(path)
    try:
        with open(target, "rb") as stream:
            return stream.read(dsse.MAX_ENVELOPE + 1)
    except OSError as error:
        raise VerificationError(f"no signature: {os_words(error)}", where=str(target), fix="`assay sign` it") from None


def verify_signature(
    envelope: bytes,
    path: Path,
    keys: Iterable[PublicKey],
    now: datetime,
    *,
    where: str = "",
    progress: Callable[[str, int], None] | None = None,
) -> SignatureView:
    """What was signed, once one of `keys` signed it and the files at `path` are exactly those, byte for byte.

    Raises VerificationError: not signed by these keys, signed in the future, or naming the files that were changed, are
    missing or were added.
    """
    signed = st.verify(envelope, keys, st.SIGNATURE, where=where)
    predicate = signed.statement.read(_Predicate, where=where)
    files = tuple(sorted(FileDigest(s.name, s.digest.get("sha256", "")) for s in signed.statement.subject))
    if predicate.root != root_digest(files):
        raise VerificationError("the signature contradicts itself: its root is not that of its files", where=where)
    if predicate.signed_at > st.utc(now) + SKEW:
        raise VerificationError(
            f"signed in the future, {predicate.signed_at:%Y-%m-%d %H:%M} UTC", where=where, fix="check this clock"
        )
    require_same(files, hash_files(path, ignore=predicate.ignored, progress=progress), where=where or str(path))
    return SignatureView(
        files=files,
        root=predicate.root,
        signed_at=predicate.signed_at,
        tool=predicate.tool,
        ignored=predicate.ignored,
        key_ids=signed.key_ids,
    )
