"""Files and their digests: hash a file or a folder, compare with what was promised, name what differs.

Nothing is left out silently: what cannot be hashed is refused by name, and the only exceptions are those that the
caller lists. Empty folders carry no bytes and are not recorded.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from assay.core.errors import InputError, VerificationError, os_words

MAX_FILES = 100_000
"""Files of the largest folder that is hashed; links that multiply a folder stop here."""

MAX_DEPTH = 64


class FileDigest(msgspec.Struct, frozen=True, order=True):
    """One file: its posix path relative to the root, the SHA-256 of its bytes in hex, its size in bytes."""

    name: str
    sha256: str
    size: int = -1


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
    progress: Callable[[str, int], None] | None = None,
    max_files: int = MAX_FILES,
) -> tuple[FileDigest, ...]:
    """Every file under `root` (or `root` itself, if it is a file), sorted by name.

    `ignore` lists names, relative to root, of files or whole folders to leave out. `progress(name, size)` is called
    after each file. Links inside the root are followed. Raises InputError naming the file: unreadable, a link that
    leaves the root or is broken, a loop, a special file, a name that is not UTF-8, changed while read, more
    than `max_files`.
    """
    root = Path(root)
    skipped = {str(_relative(name)) for name in ignore}
    real_root = _resolve(root)
    if not real_root.is_dir():
        return (_hash(real_root, root.name or real_root.name, progress),)
    found: list[FileDigest] = []
    for name, path in _walk(real_root, real_root, "", skipped, (real_root,)):
        if len(found) >= max_files:
            raise InputError(f"more than {max_files} files", where=str(root), fix="name a smaller folder")
        found.append(_hash(path, name, progress))
    return tuple(sorted(found))


def hash_named(
    root: Path, names: Iterable[str], *, progress: Callable[[str, int], None] | None = None
) -> tuple[FileDigest, ...]:
    """Those of `names` (posix, relative to the folder `root`) that exist, sorted; the others are simply not returned.

    Raises InputError as hash_files does, also for a name that is absolute or climbs out with `..`.
    """
    real_root = _resolve(Path(root))
    found = []
    for name in sorted(set(names)):
        path = real_root / _relative(name)
        if os.path.lexists(path):
            found.append(_hash(_inside(path, real_root, name), name, progress))
    return tuple(found)


def root_digest(files: Iterable[FileDigest]) -> str:
    """One SHA-256 (hex) for a set of files: of the JSON array of [name, sha256], sorted by name, no white space."""
    pairs = sorted((file.name, file.sha256) for file in files)
    return hashlib.sha256(msgspec.json.encode(pairs)).hexdigest()


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


def _walk(
    folder: Path, root: Path, prefix: str, skipped: set[str], chain: tuple[Path, ...]
) -> Iterator[tuple[str, Path]]:
    if len(chain) > MAX_DEPTH:
        raise InputError(f"folders nested deeper than {MAX_DEPTH}", where=shown(prefix), fix="name a smaller folder")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"cannot read the folder: {os_words(error)}", where=shown(prefix or str(folder))) from None
    for entry in names:
        name = f"{prefix}{entry}"
        if name in skipped:
            continue
        if not _is_text(name):
            raise InputError("the file's name is not UTF-8", where=shown(name), fix="rename it")
        path = _inside(folder / entry, root, name)
        if not path.is_dir():
            yield name, path
        elif path in chain:
            raise InputError("a link makes the folders a loop", where=shown(name), fix="remove the link")
        else:
            yield from _walk(path, root, f"{name}/", skipped, (*chain, path))


def _inside(path: Path, root: Path, name: str) -> Path:
    real = _resolve(path, name)
    if not real.is_relative_to(root):
        raise InputError("a link leaves the folder", where=shown(name), fix="copy the file in (cp -RL) or ignore it")
    return real


def _resolve(path: Path, name: str = "") -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        why = os_words(error) if isinstance(error, OSError) else "a link that leads nowhere"
        raise InputError(f"cannot read: {why}", where=shown(name or str(path)), fix="check the path") from None


def _hash(path: Path, name: str, progress: Callable[[str, int], None] | None) -> FileDigest:
    try:
        with open(path, "rb", buffering=0, opener=_open) as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise InputError("not a regular file", where=shown(name), fix="remove it or ignore it")
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise InputError(f"cannot read: {os_words(error)}", where=shown(name), fix="check its permissions") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError("changed while it was read", where=shown(name), fix="run again when nothing writes to it")
    if progress is not None:
        progress(name, after.st_size)
    return FileDigest(name, digest, after.st_size)


def _open(name: str, flags: int) -> int:
    # The name is resolved already, so a link here is a race; non-blocking, so that a FIFO cannot hang us.
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise InputError("not a path inside the folder", where=shown(name), fix="name it relative to the folder")
    return path


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """A file's name as one safe printable line: control characters and bytes outside UTF-8 are escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _some(names: tuple[str, ...], most: int = 5) -> str:
    listed = ", ".join(shown(name) for name in names[:most])
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
