"""Remembered outcomes, one small sealed file each. A damaged or missing file is a miss, never an error."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay.core.finding import Outcome, Status
from assay.engine.sealed import Sealed


class FileCache:
    """Outcomes under a folder, by key. An outcome that is open is never remembered."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self._sealed = Sealed(folder, secret, "json")
        self._decoder = msgspec.json.Decoder(Outcome)

    def get(self, key: str) -> Outcome | None:
        """The outcome stored under `key`, if it is there and whole."""
        data = self._sealed.get(key)
        try:
            return self._decoder.decode(data) if data is not None else None
        except msgspec.DecodeError:
            return None

    def put(self, key: str, outcome: Outcome) -> None:
        """Remember an outcome; a full or read-only disk only costs the memory."""
        if outcome.status is not Status.OPEN and outcome.complete:
            self._sealed.put(key, msgspec.json.encode(outcome, order="deterministic"))
