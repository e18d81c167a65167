"""One canonical form of a value, and the digest of it. RFC 8785 (JCS), so that any language can recompute it."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Literal

import msgspec

Schema = Literal["assay/1"]
SCHEMA: Schema = "assay/1"


def canonical(value: Any) -> bytes:
    """RFC 8785 JSON of a struct or plain value. Raises ValueError for what JSON cannot hold exactly (NaN, 2**53+)."""
    import rfc8785

    try:
        return rfc8785.dumps(msgspec.to_builtins(value))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"cannot be written canonically: {error}") from None


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>` of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """`sha256:<hex>` of the canonical form of `value`."""
    return digest_bytes(canonical(value))


def digest_file(path: str | os.PathLike[str]) -> str:
    """`sha256:<hex>` of a file's bytes, read in blocks. Raises OSError."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def short(digest: str, length: int = 8) -> str:
    """The first hex digits of a digest, for people: `sha256:4f1c9be0…` → `4f1c9be0`."""
    return digest.rpartition(":")[2][:length]
