"""Reads a CycloneDX JSON file that somebody wrote: bounded, and refused where it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from assay.core.errors import InputError, os_words
from assay.core.text import visible

MOST_BYTES = 512 << 20


def read_bounded(path: Path, most: int, *, fix: str) -> bytes:
    """The bytes of a file of at most `most`; `fix` is said of a larger one. Raises InputError."""
    where = visible(str(path))
    try:
        with open(path, "rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check the path") from None
    if len(data) > most:
        raise InputError(f"is larger than {most >> 20} MB", where=where, fix=fix)
    return data


def is_bom(path: Path) -> bool:
    """Whether a file looks like CycloneDX JSON: an object that says so somewhere."""
    try:
        with open(path, "rb") as stream:
            if stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
                return False
            stream.seek(0)
            return b'"bomFormat"' in stream.read(MOST_BYTES)
    except OSError:
        return False


def read_bom(path: Path) -> dict[str, Any]:
    """A BOM as plain values, its lists and tables where they belong. Raises InputError."""
    where = visible(str(path))
    data = read_bounded(path, MOST_BYTES, fix="compare its folders instead")
    try:
        bom = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=dict[str, Any])
    except (ValueError, RecursionError):
        raise InputError("is no JSON that can be read to its end", where=where, fix="write it again") from None
    if bom.get("bomFormat") != "CycloneDX":
        raise InputError("is no CycloneDX file", where=where, fix="name a CycloneDX JSON file, or a model's folder")
    for key in ("components", "dependencies", "vulnerabilities", "formulation", "properties"):
        value = bom.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise InputError(f"holds {key} of another shape than CycloneDX's", where=where, fix="write it again")
    if not isinstance(bom.get("metadata", {}), dict):
        raise InputError("holds metadata of another shape than CycloneDX's", where=where, fix="write it again")
    return bom
