"""Ed25519 keys: made, stored as PEM, loaded with every refusal said in one line.

`cryptography` is imported inside the functions that need it: it costs start-up time that a scan should not pay.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assay.core.errors import InputError, VerificationError, os_words
from assay.core.files import write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_KEY_FILE = 16 * 1024
"""Bytes of the largest key file that is read; a PEM of an Ed25519 key has about 120."""

_SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: SubjectPublicKeyInfo of Ed25519, then the 32 bytes


class EncryptedKeyError(InputError):
    """The private key wants a passphrase and none was given."""


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 public key. `raw` holds its 32 bytes (RFC 8032)."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise InputError("an Ed25519 public key has 32 bytes", fix="give the .pub file that `assay key` wrote")

    @property
    def id(self) -> str:
        """SHA-256, in hex, of the SubjectPublicKeyInfo DER: the key id that rosters name."""
        return hashlib.sha256(_SPKI_HEAD + self.raw).hexdigest()

    @property
    def text(self) -> str:
        """The key on one line for rosters: `ed25519:<base64 of the 32 bytes>`."""
        return "ed25519:" + b64encode(self.raw).decode()

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """The key of a line that `text` wrote. Raises InputError for anything else."""
        kind, _, body = text.partition(":")
        try:
            raw = b64decode(body, validate=True)
        except ValueError:
            raw = b""
        if kind != "ed25519" or len(raw) != 32 or b64encode(raw).decode() != body:
            raise InputError("not a public key", where=ascii(text[:60]), fix="write ed25519:<base64 of 32 bytes>")
        return cls(raw)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if `signature` is this key's signature of `message`; raise VerificationError otherwise."""
        if not self.signed(signature, message):
            raise VerificationError(f"the signature is not by key {self.id[:16]}…")

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's signature of `message`: for loops over many keys."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> bytes:
        """The key as SubjectPublicKeyInfo PEM."""
        return b"-----BEGIN PUBLIC KEY-----\n" + b64encode(_SPKI_HEAD + self.raw) + b"\n-----END PUBLIC KEY-----\n"


class PrivateKey:
    """An Ed25519 private key with the name it goes by. It shows no secret when printed and cannot be pickled."""

    __slots__ = ("_key", "name", "public")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of `message`."""
        return self._key.sign(message)

    def pem(self, passphrase: bytes | None = None) -> bytes:
        """The key as PKCS #8 PEM, encrypted when a passphrase is given."""
        from cryptography.hazmat.primitives import serialization as ser

        lock: ser.KeySerializationEncryption = ser.NoEncryption()
        if passphrase is not None:
            if not passphrase:
                raise InputError("the passphrase is empty", where=self.name, fix="give one, or none at all")
            lock = ser.BestAvailableEncryption(passphrase)
        return self._key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, lock)

    def __repr__(self) -> str:
        return f"PrivateKey({self.name!r}, id={self.public.id[:16]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


def generate(name: str) -> PrivateKey:
    """A new random key that goes by `name` (shown to people; rosters bind people to key ids, never to names)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not name.strip() or not name.isprintable():
        raise InputError("a key needs a printable name", where=repr(name), fix="for example the owner's mail address")
    return PrivateKey(name, Ed25519PrivateKey.generate())


def save_private(key: PrivateKey, path: Path, passphrase: bytes | None = None) -> None:
    """Write PKCS #8 PEM to a new file of mode 0600. InputError if the path exists: no key is ever overwritten."""
    _create(path, key.pem(passphrase), 0o600)


def save_public(key: PublicKey, path: Path) -> None:
    """Write SubjectPublicKeyInfo PEM to a new file. InputError if the path exists."""
    _create(path, key.pem(), 0o644)


def load_private(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Read a PKCS #8 PEM private key; its name is the file's stem.

    Raises InputError when the file is unreadable, readable by others than its owner, no key, of another type than
    Ed25519, or encrypted while a wrong passphrase was given; EncryptedKeyError when none was.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = Path(path)
    text = _read(path, private=True)
    if b"PUBLIC KEY-----" in text:
        raise InputError("this is a public key", where=str(path), fix="give the private key beside it")
    encrypted = b"ENCRYPTED" in text
    if encrypted and passphrase is None:
        raise EncryptedKeyError("the private key is encrypted", where=str(path), fix="give its passphrase")
    try:
        key = load_pem_private_key(text, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "the passphrase does not open this key" if encrypted else "this is not a PEM private key"
        raise InputError(why, where=str(path), fix="make one with `assay key`") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("this private key is not Ed25519", where=str(path), fix="make one with `assay key`")
    return PrivateKey(path.stem, key)


def load_public(path: Path) -> PublicKey:
    """Read a SubjectPublicKeyInfo PEM public key. Raises InputError as load_private does."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    path = Path(path)
    text = _read(path, private=False)
    if b"PRIVATE KEY-----" in text:
        raise InputError("this is a private key", where=str(path), fix="give the .pub file; keep this one to yourself")
    try:
        key = load_pem_public_key(text)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            "this is not a PEM public key", where=str(path), fix="give a .pub file of `assay key`"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("this public key is not Ed25519", where=str(path), fix="give a .pub file of `assay key`")
    return PublicKey(key.public_bytes_raw())


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        write_new(Path(path), content, mode=mode)  # whole or not at all: half a key is worse than none
    except FileExistsError:
        raise InputError("this file exists; keys are never overwritten", where=str(path), fix="name another") from None
    except OSError as error:
        fix = "free some space" if error.errno == errno.ENOSPC else "name a writable folder"
        raise InputError(f"cannot write: {os_words(error)}", where=str(path), fix=fix) from None


def _read(path: Path, *, private: bool) -> bytes:
    try:
        # Non-blocking, so that a FIFO of this name cannot hang us; the mode is read from the open file, not the name.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError("a key is a regular file", where=str(path), fix="give the file that `assay key` wrote")
            content = stream.read(MAX_KEY_FILE + 1)
            if private and status.st_mode & 0o077 and b"PUBLIC KEY-----" not in content:
                raise InputError("others can read this private key", where=str(path), fix=f"chmod 600 {path}")
    except (OSError, ValueError) as error:
        why = os_words(error) if isinstance(error, OSError) else str(error)
        fix = "check the path, or make one: assay key new NAME"
        raise InputError(f"cannot read the key: {why}", where=str(path), fix=fix) from None
    if len(content) > MAX_KEY_FILE:
        raise InputError("too large for a key", where=str(path), fix="give the file that `assay key` wrote")
    return content
