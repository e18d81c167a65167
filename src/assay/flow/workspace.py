"""The `.assay` folder beside a manifest: remembered outcomes and digests, and the local ledger."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

import msgspec

from assay.core.canonical import digest_file
from assay.core.errors import AssayError, InputError, os_words
from assay.core.files import replacing, write_new
from assay.core.protocols import Clock, system_clock

FOLDER = ".assay"


class _Known(msgspec.Struct, array_like=True):
    device: int
    inode: int
    size: int
    modified: int
    changed: int
    digest: str


class Workspace:
    """What Assay keeps beside a project: memory that may be lost, and the ledger, which may not."""

    def __init__(self, root: Path, clock: Clock = system_clock) -> None:
        self.root, self.clock = root, clock
        self.folder = root / FOLDER

    @property
    def cache(self) -> Path:
        """Where outcomes are remembered."""
        return self.folder / "cache"

    @property
    def ledger(self) -> Path:
        """The local ledger's database."""
        return self.folder / "ledger.db"

    def prepare(self) -> None:
        """Make the folder, kept out of version control. Raises AssayError if it cannot be."""
        if self.folder.is_symlink():
            raise AssayError("is a symbolic link", where=str(self.folder), fix="remove it; Assay makes a folder there")
        try:
            self.folder.mkdir(exist_ok=True)
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", "utf-8")
        except OSError as error:
            what = f"cannot be written: {os_words(error)}"
            raise AssayError(what, where=str(self.folder), fix="choose a writable project folder") from None


def cache_secret() -> bytes | None:
    """This user's secret that seals remembered outcomes, made on first use; None where it cannot be kept."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = Path(home) / "assay" / "cache.secret"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):  # the first of two runs wins
                write_new(path, secrets.token_bytes(32), mode=0o600)
        found = path.read_bytes()
    except OSError:
        return None
    return found if len(found) == 32 else None


def user_cache() -> Path:
    """Where this user's unfinished work on loose files is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "assay"


class DigestMemory:
    """SHA-256 of files, remembered while device, inode, size, mtime and ctime stay the same.

    ctime cannot be set back by an ordinary user, so an edit that restores the mtime is still noticed. Evidence that is
    to be signed never uses this memory.
    """

    def __init__(self, path: Path, trust: bool = True) -> None:
        self._path, self._dirty = path, False
        self._known: dict[str, _Known] = {}
        if trust:
            try:
                self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, _Known])
            except (OSError, msgspec.DecodeError):
                self._known = {}

    def digest(self, path: Path) -> str:
        """`sha256:<hex>` of the file. Raises InputError if it cannot be read."""
        try:
            stat = path.stat()
            if not S_ISREG(stat.st_mode):
                raise InputError("is not a regular file", where=str(path), fix="check the path in assay.yaml")
            key = str(path.resolve())
            known = self._known.get(key)
            mark = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
            if known and (known.device, known.inode, known.size, known.modified, known.changed) == mark:
                return known.digest
            digest = digest_file(path)
        except OSError as error:
            fix = "check the path in assay.yaml" if isinstance(error, FileNotFoundError) else "check its permissions"
            raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix=fix) from None
        self._known[key] = _Known(*mark, digest)
        self._dirty = True
        return digest

    def save(self) -> None:
        """Write the memory down; failing to only costs the next run time."""
        if not self._dirty or not self._path.name:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path, durable=False) as stream:
                stream.write(msgspec.json.encode(self._known))
        except OSError:
            return
