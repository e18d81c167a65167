"""Signed envelopes: DSSE version 1 (secure-systems-lab/dsse), several signatures, strict reading."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence

import msgspec

from assay.attest.keys import PrivateKey, PublicKey
from assay.core import strict_json
from assay.core.errors import VerificationError

MAX_ENVELOPE = 64 * 1024 * 1024
"""Bytes of the largest envelope that is read."""

MAX_SIGNATURES = 32
"""Signatures of the fullest envelope that is read: each is tried against each trusted key."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9_-]*={0,2}")


class Signature(msgspec.Struct, frozen=True):
    """One signature, in base64, and a hint of whose it is."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The envelope as it stands in JSON: the payload in base64, what it is, and who signed it."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


class Verified(msgspec.Struct, frozen=True):
    """A payload whose signature holds, and the distinct ids of the trusted keys that signed it."""

    payload: bytes
    key_ids: tuple[str, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed, from which type and payload read back one way."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, keys: Sequence[PrivateKey]) -> bytes:
    """The envelope, as JSON, of `payload` signed by each of `keys` (at least one)."""
    if not keys:
        raise ValueError("an envelope needs at least one key")
    message = pae(payload_type, payload)
    signatures = tuple(Signature(b64encode(key.sign(message)).decode(), key.public.id) for key in keys)
    return msgspec.json.encode(Envelope(b64encode(payload).decode(), payload_type, signatures), order="sorted")


def verify(
    envelope: bytes, keys: Iterable[PublicKey], payload_type: str, *, where: str = "", max_bytes: int = MAX_ENVELOPE
) -> Verified:
    """The payload of `envelope`, once at least one of `keys` signed it as `payload_type`.

    Each key counts once, however often it signed. The key id in the envelope only says which key to try first.
    Raises VerificationError: too large, malformed, another type, or signed by none of `keys`. `where` names the file.
    """
    trusted = {key.id: key for key in keys}
    if not trusted:
        raise VerificationError("no key to verify with", where=where, fix="name the signer's public key")
    opened, payload = _open(envelope, where, max_bytes)
    if opened.payload_type != payload_type:
        raise VerificationError(
            f"the envelope holds {opened.payload_type[:80]!r}, not {payload_type!r}",
            where=where,
            fix="give the right file",
        )
    message = pae(payload_type, payload)
    signed_by: dict[str, None] = {}
    for signature in opened.signatures:
        raw = decode(signature.sig, "signature", where)
        hinted = signature.keyid if signature.keyid in trusted else ""
        order = ([hinted] if hinted else []) + [name for name in trusted if name != hinted]
        found = next((name for name in order if trusted[name].signed(raw, message)), None)
        if found is not None:
            signed_by[found] = None
    if not signed_by:
        raise VerificationError(
            "not signed by any trusted key", where=where, fix="check which key signed it, or refuse the file"
        )
    return Verified(payload, tuple(signed_by))


def unverified(envelope: bytes, *, where: str = "") -> bytes:
    """The payload before any signature is checked: only to tell what a file claims to be, or to show it as unsigned.

    Raises VerificationError for what is no envelope.
    """
    return _open(envelope, where, MAX_ENVELOPE)[1]


def _open(envelope: bytes, where: str, max_bytes: int) -> tuple[Envelope, bytes]:
    if len(envelope) > max_bytes:
        raise VerificationError(f"the envelope is larger than {max_bytes} bytes", where=where)
    try:
        opened: Envelope = strict_json.decode(envelope, Envelope)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        what = f"not a DSSE envelope: {one_line(error)}"
        if b"vnd.dev.sigstore.bundle" in envelope[:4096]:
            what = "not a signed document but a Sigstore bundle, the signature of a model"
        raise VerificationError(what, where=where, fix="give the file that `assay` signed") from None
    if not 1 <= len(opened.signatures) <= MAX_SIGNATURES:
        raise VerificationError(
            f"an envelope has 1 to {MAX_SIGNATURES} signatures, this has {len(opened.signatures)}", where=where
        )
    return opened, decode(opened.payload, "payload", where)


def decode(text: str, field: str, where: str) -> bytes:
    """Base64, standard or URL-safe (the specification asks for both), padded and canonical; VerificationError."""
    try:
        if _BASE64.fullmatch(text):
            plain = text.replace("-", "+").replace("_", "/")
            raw = b64decode(plain, validate=True)
            if b64encode(raw).decode() == plain:  # stray bits in the last character would give two spellings
                return raw
    except (binascii.Error, ValueError):
        pass
    raise VerificationError(f"the {field} is not strict base64", where=where)


def one_line(error: BaseException) -> str:
    """An error's own words as one short printable line."""
    text = "too deeply nested" if isinstance(error, RecursionError) else str(error)
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:160]
