"""Signing keys, Ed25519 and ECDSA: made, stored as PEM, loaded with every refusal said in one line.

`cryptography` is imported inside the functions that need it: it costs start-up time that a scan should not pay.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import msgspec

from assay.core.errors import InputError, VerificationError, os_words
from assay.core.files import write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurve, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

MAX_KEY_FILE = 16 * 1024
"""Bytes of the largest key file that is read; a PEM of an Ed25519 key has about 120."""

Kind = Literal["ed25519", "p256", "p384", "p521"]
"""Ed25519 (RFC 8032), or ECDSA on a NIST curve with SHA-256, -384 or -512: what Sigstore's formats allow."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class _Form(NamedTuple):
    head: bytes  # SubjectPublicKeyInfo up to the key's own bytes (RFC 8410, RFC 5480)
    size: int  # of the key's own bytes: 32, or an uncompressed point (SEC 1)


_FORMS: dict[Kind, _Form] = {
    "ed25519": _Form(bytes.fromhex("302a300506032b6570032100"), 32),
    "p256": _Form(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), 65),
    "p384": _Form(bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200"), 97),
    "p521": _Form(bytes.fromhex("30819b301006072a8648ce3d020106052b8104002303818600"), 133),
}
_CURVES: dict[str, Kind] = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
_WANTED = "give an Ed25519, P-256, P-384 or P-521 key, or make one with `assay key new`"


class EncryptedKeyError(InputError):
    """The private key wants a passphrase and none was given."""


class PublicKey(msgspec.Struct, frozen=True):
    """A public key. `raw` holds its bytes: 32 of Ed25519, or the uncompressed point of a curve (SEC 1)."""

    raw: bytes
    kind: Kind = "ed25519"

    def __post_init__(self) -> None:
        if len(self.raw) != _FORMS[self.kind].size or (self.kind != "ed25519" and self.raw[0] != 4):
            what = f"a public key of kind {self.kind} has {_FORMS[self.kind].size} bytes"
            raise InputError(what, fix="give the .pub file that `assay key` wrote")

    @property
    def der(self) -> bytes:
        """The key as SubjectPublicKeyInfo DER."""
        return _FORMS[self.kind].head + self.raw

    @property
    def id(self) -> str:
        """SHA-256, in hex, of the SubjectPublicKeyInfo DER: the key id that rosters name."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def hint(self) -> str:
        """SHA-256, in hex, of the PEM: how a model's signature says which key made it (model_signing 1.0)."""
        return hashlib.sha256(self.pem()).hexdigest()

    @property
    def text(self) -> str:
        """The key on one line for rosters: `ed25519:<base64 of 32 bytes>`, `p256:<base64 of the compressed point>`."""
        return f"{self.kind}:{b64encode(self._short()).decode()}"

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """The key of a line that `text` wrote. Raises InputError for anything else."""
        name, _, body = text.partition(":")
        kind = next((k for k in KINDS if k == name), None)
        try:
            raw = b64decode(body, validate=True)
            key = None if kind is None else cls(raw if kind == "ed25519" else _whole_point(raw, kind), kind)
        except (ValueError, InputError):
            key = None
        if key is None or key.text != text:
            fix = "write ed25519:<base64 of 32 bytes> or p256:<base64 of 33 bytes>, as `assay key show` prints it"
            raise InputError("not a public key", where=ascii(text[:60]), fix=fix)
        return key

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if `signature` is this key's signature of `message`; raise VerificationError otherwise."""
        if not self.signed(signature, message):
            raise VerificationError(f"the signature is not by key {self.id[:16]}…")

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is this key's signature of `message`: for loops over many keys."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519

        try:
            if self.kind == "ed25519":
                ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
            else:
                curve, digest = _curve(self.kind)
                point = ec.EllipticCurvePublicKey.from_encoded_point(curve, self.raw)
                point.verify(signature, message, ec.ECDSA(digest))
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> bytes:
        """The key as SubjectPublicKeyInfo PEM."""
        body = b64encode(self.der)
        lines = (body[at : at + 64] for at in range(0, len(body), 64))
        return b"\n".join((b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""))

    def _short(self) -> bytes:
        if self.kind == "ed25519":
            return self.raw
        return bytes([2 + (self.raw[-1] & 1)]) + self.raw[1 : 1 + len(self.raw) // 2]


class PrivateKey:
    """A private key with the name it goes by. It shows no secret when printed and cannot be pickled."""

    __slots__ = ("_key", "name", "public")

    def __init__(self, name: str, key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> None:
        public = public_key_of(key.public_key())
        if public is None:
            raise InputError("a key of this kind does not sign here", where=name, fix=_WANTED)
        self.name = name
        self._key = key
        self.public = public

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`: 64 bytes of Ed25519, or of ECDSA in DER."""
        from cryptography.hazmat.primitives.asymmetric import ec

        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(_curve(self.public.kind)[1]))
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


def public_key_of(key: Any) -> PublicKey | None:
    """A public key of `cryptography` as ours; None for one of another kind (RSA, another curve)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(key.public_bytes_raw())
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        raw = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return PublicKey(raw, _CURVES[key.curve.name])
    return None


def generate(name: str, kind: Kind = "ed25519") -> PrivateKey:
    """A new random key that goes by `name` (shown to people; rosters bind people to key ids, never to names)."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if not name.strip() or not name.isprintable():
        raise InputError("a key needs a printable name", where=repr(name), fix="for example the owner's mail address")
    if kind == "ed25519":
        return PrivateKey(name, ed25519.Ed25519PrivateKey.generate())
    return PrivateKey(name, ec.generate_private_key(_curve(kind)[0]))


def save_private(key: PrivateKey, path: Path, passphrase: bytes | None = None) -> None:
    """Write PKCS #8 PEM to a new file of mode 0600. InputError if the path exists: no key is ever overwritten."""
    _create(path, key.pem(passphrase), 0o600)


def save_public(key: PublicKey, path: Path) -> None:
    """Write SubjectPublicKeyInfo PEM to a new file. InputError if the path exists."""
    _create(path, key.pem(), 0o644)


def load_private(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """Read a PEM private key (PKCS #8, or as openssl writes EC keys); its name is the file's stem.

    Raises InputError when the file is unreadable, readable by others than its owner, no key, of another kind than
    ours, or encrypted while a wrong passphrase was given; EncryptedKeyError when none was.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = Path(path)
    text = _read(path, private=True)
    if b"PUBLIC KEY-----" in text:
        raise InputError("this is a public key", where=str(path), fix="give the private key beside it")
    encrypted = b"ENCRYPTED" in text
    if encrypted and passphrase is None:
        raise EncryptedKeyError("the private key is encrypted", where=str(path), fix="give its passphrase")
    begin = text.find(b"-----BEGIN EC PRIVATE KEY-----")  # openssl puts the curve's name in a block before it
    try:
        key = load_pem_private_key(text[max(begin, 0) :], passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        why = "the passphrase does not open this key" if encrypted else "this is not a PEM private key"
        raise InputError(why, where=str(path), fix="make one with `assay key`") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise InputError("this private key is neither Ed25519 nor ECDSA", where=str(path), fix=_WANTED)
    return _named(path, key)


def _named(path: Path, key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> PrivateKey:
    try:
        return PrivateKey(path.stem, key)
    except InputError as error:
        raise InputError(error.what, where=str(path), fix=error.fix) from None


def load_public(path: Path) -> PublicKey:
    """Read a SubjectPublicKeyInfo PEM public key. Raises InputError as load_private does."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    path = Path(path)
    text = _read(path, private=False)
    if b"PRIVATE KEY-----" in text:
        raise InputError("this is a private key", where=str(path), fix="give the .pub file; keep this one to yourself")
    try:
        key = public_key_of(load_pem_public_key(text))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(
            "this is not a PEM public key", where=str(path), fix="give a .pub file of `assay key`"
        ) from None
    if key is None:
        raise InputError("this public key is neither Ed25519 nor ECDSA P-256, P-384 or P-521", where=str(path))
    return key


def _curve(kind: Kind) -> tuple[EllipticCurve, HashAlgorithm]:
    """The curve and the hash that goes with it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if kind == "p256":
        return ec.SECP256R1(), hashes.SHA256()
    return (ec.SECP384R1(), hashes.SHA384()) if kind == "p384" else (ec.SECP521R1(), hashes.SHA512())


def _whole_point(short: bytes, kind: Kind) -> bytes:
    """The uncompressed point of a compressed one. Raises ValueError for what is no point of the curve."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.EllipticCurvePublicKey.from_encoded_point(_curve(kind)[0], short)
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


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
