"""Sign a model, a file or a folder, as OpenSSF model signing 1.0 does, and verify what it or another tool signed.

The statement names each file with its SHA-256, so that a flipped byte is told by the file's name; its subject is one
SHA-256 over all of these. We add `signed_at` to the predicate, which other verifiers pass over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import msgspec

from assay.attest import bundle, dsse
from assay.attest import statement as st
from assay.attest.files import Difference, Links, compare, hash_files, hash_named, is_text
from assay.attest.hashing import FileDigest, Known, OddFileError, shown
from assay.attest.keys import PrivateKey, PublicKey
from assay.core.errors import InputError, UsageError, VerificationError, os_words
from assay.core.files import write_whole
from assay.core.protocols import Progress, silent

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

SUFFIX = ".sig"
SKEW = timedelta(minutes=5)
"""How far another machine's clock may run ahead of ours."""

GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
OWN = (".assay",)
"""What Assay keeps beside a project: written at every run, loaded by nobody."""
"""What belongs to version control, not to the model: left out by every tool that signs in this format."""

ALONE = "."
"""The name of a model's only file where the model is that file."""

MAX_RESOURCES = 200_000

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Serialization(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    hash_type: str = ""
    allow_symlinks: bool = False
    ignore_paths: tuple[str, ...] | None = None


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Predicate(msgspec.Struct, frozen=True, kw_only=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]
    signed_at: Moment | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature says: the model's name, its files, what was left out (None: not said), whether links count."""

    name: str
    files: tuple[FileDigest, ...]
    ignored: tuple[str, ...] | None = None
    links: bool = False
    signed_at: datetime | None = None


class SignatureView(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that holds: the files, the key's id (and whose certificate it is), when, and what is not covered."""

    files: tuple[FileDigest, ...]
    key_id: str
    certificate: str = ""
    signed_at: datetime | None = None
    uncovered: tuple[str, ...] = ()


class MismatchError(VerificationError):
    """The files are not those that were signed; `difference` names them."""

    def __init__(self, difference: Difference, *, where: str) -> None:
        self.difference = difference
        what = f"the files are not those that were signed: {difference}"
        super().__init__(what, where=where, fix="restore them, or have them signed anew")


def signature_path(path: Path) -> Path:
    """Where the signature of `path` lies: beside it, `<path>.sig`."""
    real = Path(os.path.abspath(path))  # so that "." and "folder/" lie beside the folder, not in it
    return real.with_name(real.name + SUFFIX)


def sign_files(
    path: Path,
    key: PrivateKey,
    now: datetime,
    *,
    ignore: Collection[str] = (),
    follow_links: bool = False,
    signature: Path | None = None,
    known: Known | None = None,
    progress: Progress = silent,
) -> bytes:
    """The bundle over every file of `path`, but for the paths of git, what `ignore` names, and the `signature` itself.

    With `follow_links` links to files inside the folder are signed as what they point to. `known` remembers digests.
    Raises InputError if there is nothing to sign or a file cannot be vouched for.
    """
    left_out = tuple(sorted({*_inside_names(ignore), *GIT_PATHS, *OWN, *_own(signature, path)}))
    links: Links = "files" if follow_links else "none"
    found = _hashed(path, left_out, links, known, progress)
    if not found:
        raise InputError("no file to sign", where=str(path), fix="name a file, or a folder with files")
    files = sorted(found, key=lambda file: file.name.split("/"))
    serialization = _Serialization(
        method="files", hash_type="sha256", allow_symlinks=follow_links, ignore_paths=left_out
    )
    resources = tuple(_Resource(file.name, "sha256", file.sha256) for file in files)
    predicate = _Predicate(serialization=serialization, resources=resources, signed_at=st.utc(now))
    name = path.name if path.name not in ("", "..") else path.resolve().name
    if not is_text(name):
        raise InputError("the model's name is not UTF-8", where=shown(name), fix="rename it")
    subject = st.Subject(name, {"sha256": _root(resources)})
    return bundle.sign(st.make(st.SIGNATURE, [subject], predicate), key)


def write_signature(path: Path, signature: bytes, *, at: Path | None = None) -> Path:
    """Write a signature beside `path` (or `at` the place given), whole or not at all, and return where.

    Raises UsageError for a file there that is no signature of ours: it is never overwritten. InputError if it cannot.
    """
    target = at or signature_path(path)
    if os.path.lexists(target) and not _is_signature(target):
        fix = "move it away, or give another --signature"
        raise UsageError("is there and is no signature of a model or document", where=str(target), fix=fix)
    write_whole(target, signature)
    return target


def read_signature(path: Path, *, at: Path | None = None) -> bytes:
    """The signature beside `path`, or `at` the place given. VerificationError if there is none or it is unreadable."""
    target = at or signature_path(path)
    try:
        # Non-blocking, so that a FIFO of this name cannot hang us.
        with open(os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            return stream.read(dsse.MAX_ENVELOPE + 1) or b""
    except OSError as error:
        raise VerificationError(f"no signature: {os_words(error)}", where=str(target), fix="`assay sign` it") from None


def claim_of(statement: st.Statement, *, where: str = "") -> Claim:
    """What a statement says of a model, in this format or that of model_signing 0.2.

    Raises VerificationError: another kind, names that are no paths inside a folder, a file twice, a root digest that is
    not that of its files, or another way of hashing than SHA-256 of whole files.
    """
    if statement.predicate_type == st.SIGNATURE_OLD:
        files = tuple(FileDigest(s.name, s.digest.get("sha256", "")) for s in statement.subject)
        claim = Claim(name="", files=files)
    elif statement.predicate_type == st.SIGNATURE:
        claim = _claim(statement, where)
    else:
        raise VerificationError(f"is a {statement.predicate_type[:80]!r}, no signature of a model", where=where)
    names = [file.name for file in claim.files]
    odd = next((n for n in names if not _is_inside(n) and names != [ALONE]), None)
    odd = odd if odd is not None else next((n for n in claim.ignored or () if not _is_inside(n)), None)
    if odd is not None:
        raise VerificationError(f"names {shown(odd[:80])!r}, which is no path inside a model", where=where)
    if len(set(names)) != len(names):
        raise VerificationError("names a file twice", where=where)
    wrong = next((f.name for f in claim.files if not st.is_sha256(f.sha256)), None)
    if wrong is not None:
        raise VerificationError(f"{shown(wrong[:80])} has no proper sha256", where=where)
    return claim


def _claim(statement: st.Statement, where: str) -> Claim:
    said = statement.read(_Predicate, where=where)
    how = said.serialization
    if how.method != "files" or how.hash_type != "sha256":
        what = f"hashed by {shown(how.method[:20])} and {shown(how.hash_type[:20])}; only whole files by sha256"
        raise VerificationError(f"{what} are verified here", where=where, fix="verify it with model_signing")
    if not 1 <= len(said.resources) <= MAX_RESOURCES:
        raise VerificationError(f"a signature covers 1 to {MAX_RESOURCES} files", where=where)
    if any(r.algorithm != "sha256" or not st.is_sha256(r.digest) for r in said.resources):
        raise VerificationError("a file of the signature has no proper sha256", where=where)
    (subject, *more) = statement.subject
    if more or subject.digest.get("sha256") != _root(said.resources):
        raise VerificationError("the signature contradicts itself: its digest is not that of its files", where=where)
    return Claim(
        name=subject.name,
        files=tuple(FileDigest(r.name, r.digest) for r in said.resources),
        ignored=how.ignore_paths,
        links=how.allow_symlinks,
        signed_at=said.signed_at,
    )


def verify_signature(
    signature: bytes,
    path: Path,
    keys: Iterable[PublicKey],
    now: datetime,
    *,
    roots: Sequence[Certificate] = (),
    where: str = "",
    at: Path | None = None,
    ignore: Collection[str] = (),
    ignore_unsigned: bool = False,
    follow_links: bool = False,
    known: Known | None = None,
    progress: Progress = silent,
) -> SignatureView:
    """What was signed, once one of `keys` (or a certificate under `roots`) signed it and the files here are those.

    `at` is where the signature lies: it is left out, should that be inside the model. `ignore` leaves out more;
    `ignore_unsigned` looks at the signed files only. Every byte is read unless `known` is given. Raises
    VerificationError: not signed by these, signed in the future, or a MismatchError naming what changed.
    """
    opened = bundle.verify(signature, keys, now, roots=roots, where=where)
    claim = claim_of(opened.statement, where=where)
    if claim.signed_at is not None and claim.signed_at > st.utc(now) + SKEW:
        raise VerificationError(
            f"signed in the future, {claim.signed_at:%Y-%m-%d %H:%M} UTC", where=where, fix="check this clock"
        )
    left_out = _left_out(claim, path, at, ignore)
    expected = [f for f in claim.files if not _covers(_inside_names(ignore), f.name)]
    links: Links = "files" if claim.links or follow_links else "none"
    try:
        if ignore_unsigned and path.is_dir():
            found = hash_named(path, [f.name for f in expected if f.name != ALONE], links=links, progress=progress)
        else:
            found = _hashed(path, left_out, links, known, progress)
    except OddFileError as error:
        raise VerificationError(error.what, where=f"{path}: {error.where}", fix=error.fix) from None
    difference = compare(expected, found)
    if difference.names:
        raise MismatchError(_named(difference, path, claim), where=str(path))
    return SignatureView(
        files=claim.files,
        key_id=opened.key_id,
        certificate=opened.certificate,
        signed_at=claim.signed_at,
        uncovered=tuple(name for name in left_out if path.is_dir() and os.path.lexists(path / name)),
    )


def _left_out(claim: Claim, path: Path, at: Path | None, ignore: Collection[str]) -> tuple[str, ...]:
    """What is not compared: what the signature left out (git's paths, where it does not say), and the reader's own."""
    said = claim.ignored
    if said is None:
        said = tuple(name for name in GIT_PATHS if not any(_covers((name,), f.name) for f in claim.files))
    own = tuple(name for name in _own(at, path) if not any(f.name == name for f in claim.files))
    return tuple(sorted({*said, *own, *_inside_names(ignore)}))


def _hashed(
    path: Path, left_out: Collection[str], links: Links, known: Known | None, progress: Progress
) -> tuple[FileDigest, ...]:
    found = hash_files(path, ignore=left_out, links=links, known=known, progress=progress)
    return found if path.is_dir() else tuple(FileDigest(ALONE, file.sha256, file.size) for file in found)


def _named(difference: Difference, path: Path, claim: Claim) -> Difference:
    """The difference with a model's only file under its own name."""
    alone = path.name if path.is_file() else claim.name or path.name

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(alone if name == ALONE else name for name in names)

    return Difference(renamed(difference.added), renamed(difference.missing), renamed(difference.changed))


def _root(resources: Iterable[_Resource]) -> str:
    """SHA-256, in hex, over the raw digests in their order."""
    return hashlib.sha256(b"".join(bytes.fromhex(r.digest) for r in resources)).hexdigest()


def _own(signature: Path | None, path: Path) -> tuple[str, ...]:
    """The signature's own name inside the model, if it lies there."""
    if signature is None or not path.is_dir():
        return ()
    inside = Path(os.path.realpath(signature.parent)) / signature.name
    real = Path(os.path.realpath(path))
    return (inside.relative_to(real).as_posix(),) if inside.is_relative_to(real) else ()


def _inside_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names to leave out, as they stand in a signature. Raises UsageError for one outside the model, or all of it."""
    found = []
    for name in names:
        plain = str(PurePosixPath(name))
        if not _is_inside(plain):
            raise UsageError("is no path inside the model", where=f"--ignore {shown(name)}", fix="name it from there")
        found.append(plain)
    return tuple(found)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    proper = name == str(path) and not path.is_absolute() and name != ALONE
    return proper and ".." not in path.parts and "\0" not in name


def _covers(names: Iterable[str], name: str) -> bool:
    return any(name == left or name.startswith(f"{left}/") for left in names)


def _is_signature(path: Path) -> bool:
    """Whether a file is a bundle or a signed document, or an empty file: what a signature may replace."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            data = stream.read(dsse.MAX_ENVELOPE + 1) if path.is_file() else b"no regular file"
        if data and not bundle.is_bundle(data):
            dsse.unverified(data)
    except (OSError, VerificationError):
        return False
    return True
