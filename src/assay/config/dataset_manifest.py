"""The dataset manifest: what a table was made of, file by file, where it is from and what allows its use."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path, PurePosixPath

import msgspec

from assay.config.strict_yaml import convert, parse, read_text
from assay.core.canonical import SCHEMA, Schema

MOST_FILES = 10_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One file: the SHA-256 of its bytes in hex, and how many they are where that was written down."""

    sha256: str
    bytes: int | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The days of collection, the first and the last."""

    from_: date
    to: date


class DatasetManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files by their path from the manifest's folder, and the facts about them; "" and None where not said."""

    schema: Schema = SCHEMA
    files: dict[str, FileEntry]
    source: str = ""
    licence: str = ""
    consent: str = ""
    collected: Period | None = None
    collected_by: str = ""


def load_dataset_manifest(path: Path) -> DatasetManifest:
    """Read a dataset manifest. Raises InputError or UsageError, one clear line with the place."""
    document = parse(read_text(path), str(path))
    manifest = convert(document, DatasetManifest)
    if not 0 < len(manifest.files) <= MOST_FILES:
        raise document.error("$.files", f"names {len(manifest.files)} files", f"name 1 to {MOST_FILES}")
    for name, entry in manifest.files.items():
        at = f"$.files.{name}"
        pure = PurePosixPath(name)
        if not name or pure.is_absolute() or ".." in pure.parts or "\0" in name:
            raise document.error(at, "must be a path below the manifest's folder", "move the manifest above the files")
        if not _SHA256.fullmatch(entry.sha256):
            raise document.error(at, "its sha256 is not 64 hex digits in small letters", "write it again")
        if entry.bytes is not None and entry.bytes < 0:
            raise document.error(at, "has a negative number of bytes", "write it again")
    if manifest.collected is not None and manifest.collected.to < manifest.collected.from_:
        raise document.error("$.collected", "ends before it begins", "mend the days")
    return manifest
