"""Signed notes and log checkpoints as text that people can read: C2SP signed-note and tlog-checkpoint.

A note is text, an empty line, then one line `— name base64(key hash ‖ signature)` per signature. The key hash is the
first 4 bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key) for Ed25519, and of SHA-256(SubjectPublicKeyInfo) for ECDSA (type
0x02, as Rekor writes it). Of ECDSA only P-256 signs notes: the type fixes SHA-256. Signatures of keys that nobody
trusts are passed over.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from assay.attest.keys import PrivateKey, PublicKey
from assay.core.errors import InputError, VerificationError

MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 64
_ED25519, _ECDSA = b"\x01", b"\x02"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_HASH = re.compile(r"[0-9a-f]{8}")


class NoteKey(msgspec.Struct, frozen=True):
    """A name (of a log: its origin) and the key that signs under it."""

    name: str
    key: PublicKey

    def __post_init__(self) -> None:
        if not valid_name(self.name):
            raise InputError("a note key's name has no spaces and no '+'", where=ascii(self.name[:80]))
        if self.key.kind not in ("ed25519", "p256"):
            fix = "give an Ed25519 or a P-256 key"
            raise InputError(f"a {self.key.kind} key signs no notes or checkpoints", where=self.name[:80], fix=fix)

    @property
    def hash(self) -> bytes:
        """The 4 bytes by which a signature line says which key to try. A hint, not an identity."""
        if self.key.kind == "p256":
            return hashlib.sha256(self.key.der).digest()[:4]
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key.raw).digest()[:4]

    @property
    def vkey(self) -> str:
        """The verifier key as text: `name+hash+base64(type ‖ key)`, of a P-256 key its SubjectPublicKeyInfo."""
        body = _ECDSA + self.key.der if self.key.kind == "p256" else _ED25519 + self.key.raw
        return f"{self.name}+{self.hash.hex()}+{b64encode(body).decode()}"


class Note(msgspec.Struct, frozen=True):
    """A note's text (it ends with a newline) and the distinct trusted keys that signed it."""

    text: str
    signed_by: tuple[NoteKey, ...]


class Checkpoint(msgspec.Struct, frozen=True):
    """A log's state: its origin (a unique name), its number of leaves, its RFC 9162 root hash (32 bytes)."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """The checkpoint's note text."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def valid_name(name: str) -> bool:
    """Whether a key may go by `name`: not empty, printable, without spaces and `+`."""
    return bool(name) and name.isprintable() and "+" not in name and not any(sign.isspace() for sign in name)


def parse_vkey(vkey: str) -> NoteKey:
    """Read `name+hash+base64`. Raises InputError when malformed, of another type, or when the hash does not fit."""
    name, _, rest = vkey.strip().partition("+")
    digest, _, body = rest.partition("+")
    key = _note_key(_base64(body) or b"")
    if valid_name(name) and _HASH.fullmatch(digest) and key is not None:
        found = NoteKey(name, key)
        if found.hash.hex() == digest:
            return found
    raise InputError("not a verifier key", where=ascii(vkey[:80]), fix="give the name+hash+key line of the log")


def _note_key(body: bytes) -> PublicKey | None:
    """The key of a verifier key's body: its type, then the key. None for other types, and for what is no key."""
    if body[:1] == _ED25519 and len(body) == 33:
        return PublicKey(body[1:])
    if body[:1] == _ECDSA:
        with suppress(InputError):
            key = PublicKey(body[-65:], "p256")
            if body[1:] == key.der:
                return key
    return None


def sign_note(text: str, signers: Sequence[tuple[str, PrivateKey]]) -> str:
    """The note of `text` (which ends with a newline), signed by each (name, key)."""
    if not text.endswith("\n") or not _is_note_text(text):
        raise ValueError("a note's text ends with a newline and has no control characters")
    lines = []
    for name, key in signers:
        signature = NoteKey(name, key.public).hash + key.sign(text.encode())
        lines.append(f"— {name} {b64encode(signature).decode()}\n")
    return f"{text}\n{''.join(lines)}"


def split_note(note: str, *, where: str = "") -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """A note's text and its (name, key hash ‖ signature) lines, unverified. Raises VerificationError if malformed."""
    text, gap, tail = note.rpartition("\n\n")
    text += "\n"
    if len(note) > MAX_NOTE or not gap or not tail.endswith("\n") or not _is_note_text(note):
        raise VerificationError("not a signed note", where=where, fix="give the checkpoint as the log printed it")
    signatures = []
    for line in tail[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, body = rest.partition(" ")
        raw = _base64(body)
        if dash != "—" or not valid_name(name) or raw is None or len(raw) < 5:
            raise VerificationError("a note's signature line is malformed", where=where)
        signatures.append((name, raw))
    if len(signatures) > MAX_SIGNATURES:
        raise VerificationError(f"a note has at most {MAX_SIGNATURES} signatures", where=where)
    return text, tuple(signatures)


def open_note(note: str, keys: Iterable[NoteKey], *, where: str = "") -> Note:
    """The note's text, once at least one of `keys` signed it.

    A signature that claims to be by a trusted key and is not refuses the note; signatures of unknown keys are ignored.
    Raises VerificationError.
    """
    text, signatures = split_note(note, where=where)
    trusted = {(key.name, key.hash): key for key in keys}
    signed_by: dict[NoteKey, None] = {}
    for name, raw in signatures:
        key = trusted.get((name, raw[:4]))
        if key is None:
            continue
        if not key.key.signed(raw[4:], text.encode()):
            raise VerificationError(f"the signature of {name} does not hold", where=where)
        signed_by[key] = None
    if not signed_by:
        raise VerificationError("the note is not signed by a trusted key", where=where, fix="check the log's key")
    return Note(text, tuple(signed_by))


def parse_checkpoint(text: str, *, where: str = "") -> Checkpoint:
    """The checkpoint in a note's text. Raises VerificationError if malformed."""
    lines = text.split("\n")
    if len(lines) >= 4 and lines[-1] == "" and lines[0] and all(lines[:-1]):
        root = _base64(lines[2])
        if _SIZE.fullmatch(lines[1]) and root is not None and len(root) == 32:
            return Checkpoint(lines[0], int(lines[1]), root, tuple(lines[3:-1]))
    raise VerificationError("not a log checkpoint", where=where, fix="give the checkpoint as the log printed it")


def read_checkpoint(note: str, *, where: str = "") -> Checkpoint:
    """The checkpoint of a signed note, well-formed but with no signature verified."""
    return parse_checkpoint(split_note(note, where=where)[0], where=where)


def sign_checkpoint(checkpoint: Checkpoint, key: PrivateKey) -> str:
    """The signed note of `checkpoint`, signed under its origin."""
    return sign_note(checkpoint.text(), [(checkpoint.origin, key)])


def open_checkpoint(note: str, key: NoteKey, *, where: str = "") -> Checkpoint:
    """The checkpoint in `note`, once `key` signed it and its origin is the key's name. Raises VerificationError."""
    checkpoint = parse_checkpoint(open_note(note, [key], where=where).text, where=where)
    if checkpoint.origin != key.name:
        raise VerificationError(f"the checkpoint is of another log: {checkpoint.origin[:80]}", where=where)
    return checkpoint


def _is_note_text(text: str) -> bool:
    # As in C2SP: no ASCII control characters but newlines; a lone surrogate could not be written as UTF-8.
    return not any((sign < " " and sign != "\n") or "\ud800" <= sign <= "\udfff" for sign in text)


def _base64(text: str) -> bytes | None:
    try:
        raw = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if b64encode(raw).decode() == text else None
