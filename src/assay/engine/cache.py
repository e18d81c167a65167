"""Remembered outcomes, one small file each. A damaged or missing file is a miss, never an error."""

from __future__ import annotations

import hashlib
import hmac
from contextlib import suppress
from pathlib import Path

import msgspec

from assay.core.files import replacing
from assay.core.finding import Outcome, Status


class FileCache:
    """Outcomes under a folder, by key. An outcome that is open is never remembered.

    Each is sealed with a `secret` that lies outside the folder, so that a project that brings a cache along is not
    believed.
    """

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._folder, self._secret = folder, secret
        self._decoder = msgspec.json.Decoder(Outcome)

    def _seal(self, key: str, data: bytes) -> bytes:
        return hmac.new(self._secret, key.encode() + b"\n" + data, hashlib.sha256).hexdigest().encode()

    def _path(self, key: str) -> Path:
        name = key.rpartition(":")[2]
        return self._folder / name[:2] / f"{name[2:]}.json"

    def get(self, key: str) -> Outcome | None:
        """The outcome stored under `key`, if it is there and whole."""
        try:
            mark, _, data = self._path(key).read_bytes().partition(b"\n")
            if not hmac.compare_digest(mark, self._seal(key, data)):
                return None
            return self._decoder.decode(data)
        except (OSError, msgspec.DecodeError):
            return None

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember an outcome; a full or read-only disk only costs the memory."""
        if outcome.status is Status.OPEN or not outcome.complete:
            return
        path = self._path(key)
        data = msgspec.json.encode(outcome, order="deterministic")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=False) as stream:
                stream.write(self._seal(key, data) + b"\n" + data)
