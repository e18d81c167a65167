"""Two skops files as states: equal when every node, in order, and every array in them is.

For what answers nothing (a transformer of texts, a clustering, a folder of parts): the result is read back and written
once more, and both files must hold the same. Source: skops.io, schema.json: `__id__` are places in memory, and arrays
are members named by them.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import IO, Any

from assay.core.errors import CouldNotLook

_MOST_SCHEMA = 256 << 20
_MOST_DEPTH = 900
_PASSING = frozenset({"protocol", "_skops_version"})


def state_of(file: IO[bytes]) -> tuple[str, int]:
    """(a digest of what a skops file holds, how many nodes that is). Raises CouldNotLook."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo("schema.json").file_size > _MOST_SCHEMA:
                raise CouldNotLook("the result's schema is too large to compare")
            schema = json.loads(archive.read("schema.json"))
            normal = _Normal(archive)
            text = json.dumps(normal.of(schema, 0), separators=(",", ":"))
    except (KeyError, ValueError, OSError, RecursionError, zipfile.BadZipFile) as error:
        raise CouldNotLook(f"the result's state cannot be compared ({type(error).__name__})") from None
    return hashlib.sha256(text.encode()).hexdigest(), normal.nodes


class _Normal:
    """A schema without places in memory: each `__id__` is the number of its first use, each file its content."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._ids: dict[Any, int] = {}
        self._members = set(archive.namelist())
        self.nodes = 0

    def of(self, value: Any, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(value, list):
            return [self.of(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        self.nodes += "__class__" in value
        out: dict[str, Any] = {}
        for key in sorted(value):
            item = value[key]
            if depth == 0 and key in _PASSING:
                continue
            if key == "__id__":
                out[key] = self._ids.setdefault(item, len(self._ids))
            elif key == "file" and item in self._members:
                out[key] = self._content(item)
            else:
                out[key] = self.of(item, depth + 1)
        return out

    def _content(self, name: str) -> str:
        with self._archive.open(name) as member:
            return hashlib.file_digest(member, "sha256").hexdigest()  # type: ignore[arg-type]
