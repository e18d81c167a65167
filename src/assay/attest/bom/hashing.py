"""SHA-256 and BLAKE3 of a file, read once."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import msgspec

from assay.core.errors import InputError, os_words

_BLOCK = 1 << 20


class Digests(msgspec.Struct, frozen=True):
    """Both digests in hex, the size in bytes, and the first bytes."""

    sha256: str
    blake3: str
    size: int
    head: bytes = b""


def digests(path: Path, where: str) -> Digests:
    """Hash a regular file. Raises InputError naming `where`: unreadable, no regular file, or changed while read."""
    from blake3 import blake3

    first, second = hashlib.sha256(), blake3()
    try:
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise InputError("is not a regular file", where=where, fix="remove it")
            block = bytearray(min(_BLOCK, max(before.st_size, 4096)))
            view, head = memoryview(block), b""
            while count := stream.readinto(block):
                head = head or bytes(view[:16])
                first.update(view[:count])
                second.update(view[:count])
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=where, fix="check its permissions") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError("changed while it was read", where=where, fix="run again when nothing writes to it")
    return Digests(first.hexdigest(), second.hexdigest(), after.st_size, head[: after.st_size])
