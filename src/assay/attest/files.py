"""Files and their digests: hash a file or a folder, compare with what was promised, name what differs.

Nothing is left out silently: what cannot be hashed is refused by name, and the only exceptions are those that the
caller lists. Empty folders carry no bytes and are not recorded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import msgspec

from assay.attest.hashing import FileDigest as FileDigest
from assay.attest.hashing import Job, Known, OddFileError, hash_all
from assay.attest.hashing import shown as shown
from assay.core.errors import InputError, VerificationError, os_words
from assay.core.protocols import Progress, silent

MAX_FILES = 100_000
"""Files of the largest folder that is hashed; links that multiply a folder stop here."""

MAX_DEPTH = 64


Links = Literal["inside", "files", "none"]


class _Tree(NamedTuple):
    root: str
    links: Links
    skipped: frozenset[str]


class Difference(msgspec.Struct, frozen=True):
    """What two sets of files disagree about: names only in the second, only in the first, or with other bytes."""

    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that differs, sorted; empty if nothing does."""
        return tuple(sorted(self.added + self.missing + self.changed))

    def __str__(self) -> str:
        groups = (("changed", self.changed), ("missing", self.missing), ("not expected", self.added))
        return "; ".join(f"{label}: {_some(names)}" for label, names in groups if names)


def hash_files(
    root: Path,
    *,
    ignore: Collection[str] = (),
    links: Links = "inside",
    known: Known | None = None,
    progress: Progress = silent,
    max_files: int = MAX_FILES,
) -> tuple[FileDigest, ...]:
    """Every file under `root` (or `root` itself, if it is a file), sorted by name, hashed with every core.

    `ignore` lists names, relative to root, of files or whole folders to leave out. `known` holds digests of an earlier
    run. `progress` counts bytes. `links` says which symbolic links are followed: those inside the root, those to files
    inside the root (what model_signing sees), or none. Raises InputError naming the file: unreadable, a link that is
    not followed, leaves the root or is broken, a loop, a special file, a name that is not UTF-8, changed while read,
    more than `max_files`.
    """
    root = Path(root)
    skipped = {str(_relative(name)) for name in ignore}
    if links == "none" and root.is_symlink():
        raise _a_link(shown(str(root)))
    real_root = _resolve(root)
    if not real_root.is_dir():
        name = root.name or real_root.name
        return hash_all([Job(name, str(real_root), real_root.stat().st_size)], known=known, progress=progress)
    found: list[Job] = []
    top = str(real_root)
    for job in _walk(top, _Tree(top, links, frozenset(skipped)), "", (top,)):
        if len(found) >= max_files:
            raise InputError(f"more than {max_files} files", where=str(root), fix="name a smaller folder")
        found.append(job)
    return hash_all(found, known=known, progress=progress)


def hash_named(
    root: Path, names: Iterable[str], *, links: Links = "inside", progress: Progress = silent
) -> tuple[FileDigest, ...]:
    """Those of `names` (posix, relative to the folder `root`) that exist, sorted; the others are simply not returned.

    Raises InputError as hash_files does, also for a name that is absolute or climbs out with `..`.
    """
    real_root = _resolve(Path(root))
    found = []
    for name in sorted(set(names)):
        path = real_root / _relative(name)
        if os.path.lexists(path):
            real = _inside(str(path), str(real_root), name)
            if links == "none" and real != str(path):
                raise _a_link(shown(name))
            if links == "files" and os.path.realpath(path.parent) != str(path.parent):
                raise _a_folder_link(name)
            found.append(Job(name, real, os.stat(real).st_size))
    return hash_all(found, progress=progress)


def root_digest(files: Iterable[FileDigest]) -> str:
    """One SHA-256 (hex) for a set of files: of the JSON array of [name, sha256], sorted by name, no white space."""
    pairs = sorted((file.name, file.sha256) for file in files)
    return hashlib.sha256(msgspec.json.encode(pairs)).hexdigest()


def digest_path(path: Path) -> str:
    """`sha256:<hex>` of a file's bytes, or of a folder's files by `root_digest`. Raises InputError."""
    found = hash_files(path)
    return f"sha256:{root_digest(found) if path.is_dir() else found[0].sha256}"


def compare(expected: Iterable[FileDigest], found: Iterable[FileDigest]) -> Difference:
    """How `found` differs from `expected`, by name and SHA-256."""
    before = {file.name: file.sha256 for file in expected}
    after = {file.name: file.sha256 for file in found}
    return Difference(
        added=tuple(sorted(after.keys() - before.keys())),
        missing=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    )


def require_same(expected: Iterable[FileDigest], found: Iterable[FileDigest], *, where: str = "") -> None:
    """Raise VerificationError naming the files in which `found` differs from `expected`."""
    difference = compare(expected, found)
    if difference.names:
        raise VerificationError(
            f"the files are not those that were signed: {difference}", where=where, fix="restore them, or sign anew"
        )


def _walk(folder: str, tree: _Tree, prefix: str, chain: tuple[str, ...]) -> Iterator[Job]:
    if len(chain) > MAX_DEPTH:
        raise InputError(f"folders nested deeper than {MAX_DEPTH}", where=shown(prefix), fix="name a smaller folder")
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if name in tree.skipped:
                continue
            if not is_text(name):
                raise OddFileError("the file's name is not UTF-8", where=shown(name), fix="rename it")
            path = entry.path
            if entry.is_symlink():
                path = _followed(path, tree, name)
            if not (os.path.isdir(path) if path != entry.path else entry.is_dir(follow_symlinks=False)):
                size = os.stat(path).st_size if path != entry.path else entry.stat(follow_symlinks=False).st_size
                yield Job(name, path, size)
            elif path in chain:
                raise OddFileError("a link makes the folders a loop", where=shown(name), fix="remove the link")
            else:
                yield from _walk(path, tree, f"{name}/", (*chain, path))
    except OSError as error:
        raise InputError(f"cannot read the folder: {os_words(error)}", where=shown(prefix or folder)) from None


def _followed(path: str, tree: _Tree, name: str) -> str:
    if tree.links == "none":
        raise _a_link(shown(name))
    real = _inside(path, tree.root, name)
    if tree.links == "files" and os.path.isdir(real):
        raise _a_folder_link(name)
    return real


def _a_link(where: str) -> OddFileError:
    return OddFileError("is a symbolic link", where=where, fix="copy the file in (cp -RL), or say --follow-links")


def _a_folder_link(name: str) -> OddFileError:
    fix = "copy the folder in (cp -RL) or ignore it"
    return OddFileError("a link to a folder, into which no other verifier looks", where=shown(name), fix=fix)


def _inside(path: str, root: str, name: str) -> str:
    real = str(_resolve(Path(path), name))
    if not real.startswith(root.rstrip("/") + "/") and real != root:
        fix = "copy the file in (cp -RL) or ignore it"
        raise OddFileError("a link leaves the folder", where=shown(name), fix=fix)
    return real


def _resolve(path: Path, name: str = "") -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = os_words(error) if isinstance(error, OSError) else "a link that leads nowhere"
        kind = OddFileError if name else InputError
        raise kind(f"cannot read: {why}", where=shown(name or str(path)), fix="check the path") from None


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise InputError("not a path inside the folder", where=shown(name), fix="name it relative to the folder")
    return path


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _some(names: tuple[str, ...], most: int = 5) -> str:
    listed = ", ".join(shown(name) for name in names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
