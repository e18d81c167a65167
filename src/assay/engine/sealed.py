"""Small files under a folder, sealed with a secret that lies elsewhere: what a project brings along is not believed."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from contextlib import suppress
from pathlib import Path

from assay.core.files import replacing


class Sealed:
    """Bytes by key. A damaged or missing file is a miss, never an error; a full or read-only disk costs the memory."""

    def __init__(self, folder: Path, secret: bytes, suffix: str) -> None:
        self._folder, self._secret, self._suffix = folder, secret, suffix

    def get(self, key: str) -> bytes | None:
        """What is stored under `key`, if it is there and whole."""
        try:
            mark, _, data = self._path(key).read_bytes().partition(b"\n")
        except OSError:
            return None
        return data if hmac.compare_digest(mark, self._seal(key, data)) else None

    def put(self, key: str, data: bytes) -> None:
        """Store `data` for this user alone."""
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(path, durable=False) as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(self._seal(key, data) + b"\n" + data)

    def sweep(self, oldest: float) -> None:
        """Forget what was stored more than `oldest` seconds ago."""
        for path in self._folder.glob(f"*/*.{self._suffix}"):
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > oldest:
                    path.unlink()

    def drop(self, key: str) -> None:
        """Forget what is stored under `key`."""
        with suppress(OSError):
            self._path(key).unlink(missing_ok=True)

    def _seal(self, key: str, data: bytes) -> bytes:
        return hmac.new(self._secret, key.encode() + b"\n" + data, hashlib.sha256).hexdigest().encode()

    def _path(self, key: str) -> Path:
        name = key.rpartition(":")[2]
        return self._folder / name[:2] / f"{name[2:]}.{self._suffix}"
