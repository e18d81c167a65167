"""One line of the ledger, the exact bytes that the tree hashes, and the salted digest that stands for its payload.

Leaf bytes: the Entry's fields as RFC 8785 (JCS) JSON: keys sorted, no white space, UTF-8. Text fields hold printable
characters only, which msgspec and RFC 8785 write alike (a test proves it), so any language can recompute a leaf.

Payload digest: SHA-256(salt ‖ payload), salt = 16 random bytes of its own for each entry. The salt lies beside the
payload and is erased with it. So the digest of an erased payload can confirm no guess of what it was, and two equal
payloads do not show as equal; the price is that equal payloads are stored twice.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Literal

import msgspec

from assay.core.errors import InputError

SALT_BYTES = 16
MAX_PAYLOAD = 64 * 1024 * 1024
"""Bytes of the largest payload; evidence beyond it belongs in a file whose digest is logged."""

MAX_TEXT = 512
ERASURE = "erasure"
"""The kind of the entry that records an erasure; its subject is the erased payload's digest."""

_KIND = re.compile(r"[a-z][a-z0-9._-]{0,63}")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log.

    `index` counts from 0. `subject_digest` says what the entry is about, `payload_digest` is `sha256:<hex>` of salt and
    payload. `at` is RFC 3339 in UTC with microseconds and never runs backwards: when the clock does, `at` repeats the
    previous entry's and `clock` says `behind`.
    """

    schema: Literal["assay/1"] = "assay/1"
    index: int
    kind: str
    subject_digest: str
    payload_digest: str
    actor: str
    workspace: str
    at: str
    clock: Literal["ok", "behind"] = "ok"


class NewEntry(msgspec.Struct, frozen=True):
    """What append_many takes: an entry before it has a place. A payload that is not bytes is written as sorted JSON."""

    kind: str
    subject_digest: str
    payload: object
    actor: str
    workspace: str = ""


class ErasedPayload(InputError):  # noqa: N818 - a state that was asked for
    """The payload was erased on request; its entry and its proofs remain."""


_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(Entry)


def leaf_bytes(entry: Entry) -> bytes:
    """The exact bytes of which the tree takes the leaf hash."""
    return _encoder.encode(entry)


def parse_leaf(leaf: bytes) -> Entry | None:
    """The entry of these leaf bytes, or None unless they are exactly what leaf_bytes writes."""
    try:
        entry = _decoder.decode(leaf)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return entry if _encoder.encode(entry) == leaf else None


def salted_digest(salt: bytes, payload: bytes) -> bytes:
    """SHA-256(salt ‖ payload), 32 bytes."""
    return hashlib.sha256(salt + payload).digest()


def payload_bytes(payload: object) -> bytes:
    """A payload's bytes: as given, or JSON with sorted keys. Raises InputError if too large or not writable."""
    if isinstance(payload, bytes | bytearray | memoryview):
        data = bytes(payload)
    else:
        try:
            data = _encoder.encode(payload)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise InputError(f"the payload cannot be written as JSON: {error}") from None
    if len(data) > MAX_PAYLOAD:
        raise InputError(
            f"the payload has {len(data)} bytes, more than {MAX_PAYLOAD}", fix="log the file's digest instead"
        )
    return data


def check_fields(new: NewEntry) -> None:
    """Raise InputError if a field cannot stand in an entry: a kind is a lower-case word, text is one short line."""
    if not _KIND.fullmatch(new.kind):
        raise InputError("an entry's kind is a lower-case word", where=ascii(new.kind[:80]))
    for name in ("subject_digest", "actor", "workspace"):
        text: str = getattr(new, name)
        if len(text) > MAX_TEXT or not text.isprintable():
            raise InputError(f"an entry's {name} is one printable line of at most {MAX_TEXT}", where=ascii(text[:80]))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, always with six decimals, so that text order is time order."""
    if moment.tzinfo is None:
        raise ValueError("the clock gives a time without a zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
