"""Sigstore bundles, version 0.3: the JSON that holds a model's signature, as model_signing 1.x writes and reads it.

One DSSE envelope with one signature over an in-toto statement, and beside it what says whose key made it: the hash of a
public key, or a chain of X.509 certificates. Keyless bundles need Sigstore's log and root, and are refused by name.
Source: sigstore/protobuf-specs (bundle v0.3), OpenSSF model signing 1.0.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from assay.attest import dsse
from assay.attest import statement as st
from assay.attest.keys import PrivateKey, PublicKey
from assay.core import strict_json
from assay.core.errors import VerificationError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class _Hint(msgspec.Struct, frozen=True):
    hint: str | None = None


class _Certificate(msgspec.Struct, frozen=True, rename="camel"):
    raw_bytes: str


class _Chain(msgspec.Struct, frozen=True):
    certificates: tuple[_Certificate, ...]


class _Material(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    public_key: _Hint | None = None
    x509_certificate_chain: _Chain | None = None
    certificate: _Certificate | None = None
    tlog_entries: tuple[msgspec.Raw, ...] | None = None


class _Bundle(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    media_type: str
    verification_material: _Material
    dsse_envelope: dsse.Envelope | None = None


class _Glance(msgspec.Struct, frozen=True, rename="camel"):
    media_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    verification_material: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle's statement whose signature holds: by which key, and of a certificate whose it is (RFC 4514)."""

    statement: st.Statement
    key_id: str
    certificate: str = ""


def sign(payload: bytes, key: PrivateKey) -> bytes:
    """The bundle, as JSON, of an in-toto statement signed by `key`."""
    signature = dsse.Signature(b64encode(key.sign(dsse.pae(st.PAYLOAD_TYPE, payload))).decode())
    envelope = dsse.Envelope(b64encode(payload).decode(), st.PAYLOAD_TYPE, (signature,))
    material = _Material(public_key=_Hint(key.public.hint), tlog_entries=())
    bundle = _Bundle(media_type=MEDIA_TYPE, verification_material=material, dsse_envelope=envelope)
    return msgspec.json.encode(bundle, order="deterministic")


def is_bundle(data: bytes) -> bool:
    """Whether bytes mean to be a bundle, of whatever version, be it right or wrong."""
    try:
        glance = msgspec.json.decode(data, type=_Glance)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return glance.media_type is not msgspec.UNSET or glance.verification_material is not msgspec.UNSET


def unverified(data: bytes, *, where: str = "") -> bytes:
    """The statement's bytes before any signature is checked: to tell what a bundle claims to be, or to show it."""
    return _open(data, where)[2]


def claimed(data: bytes, *, where: str = "") -> st.Statement:
    """What a bundle claims to say, before any signature is checked. Raises VerificationError if malformed."""
    return _statement(unverified(data, where=where), where)


def verify(
    data: bytes,
    keys: Iterable[PublicKey],
    now: datetime,
    *,
    roots: Sequence[Certificate] = (),
    where: str = "",
) -> Opened:
    """The statement in a bundle, once one of `keys` signed it, or a certificate that one of `roots` vouches for `now`.

    Raises VerificationError: malformed, another version, keyless, or signed by nobody who is trusted.
    """
    material, envelope, payload = _open(data, where)
    statement = _statement(payload, where)
    raw = dsse.decode(envelope.signatures[0].sig, "signature", where)
    messages = [dsse.pae(st.PAYLOAD_TYPE, payload)]
    if statement.predicate_type == st.SIGNATURE_OLD:
        messages.append(_old_pae(payload))
    if material.x509_certificate_chain is not None:
        return _by_certificate(material.x509_certificate_chain, statement, raw, messages, roots, now, where)
    trusted = {key.hint: key for key in keys}
    if not trusted:
        raise VerificationError("no key to verify with", where=where, fix="name the signer's public key")
    assert material.public_key is not None
    hint = material.public_key.hint
    if hint and hint not in trusted:
        what = f"not signed by any trusted key: it names the key whose PEM hashes to {_word(hint[:16])}…"
        fix = "compare it with the line `pem` of `assay key show FILE.pub`, or refuse the file"
        raise VerificationError(what, where=where, fix=fix)
    for key in [trusted[hint]] if hint else trusted.values():
        if any(key.signed(raw, message) for message in messages):
            return Opened(statement=statement, key_id=key.id)
    raise VerificationError(
        "not signed by any trusted key", where=where, fix="check which key signed it, or refuse the file"
    )


def _by_certificate(
    chain: _Chain,
    statement: st.Statement,
    raw: bytes,
    messages: list[bytes],
    roots: Sequence[Certificate],
    now: datetime,
    where: str,
) -> Opened:
    from assay.attest.certificates import signer_of

    if not roots:
        fix = "name the root that you trust: assay verify … --root FILE"
        raise VerificationError("signed by a certificate, and no root is given to trust it", where=where, fix=fix)
    given = [dsse.decode(c.raw_bytes, "certificate", where) for c in chain.certificates]
    key, subject = signer_of(given, roots, now, where=where)
    if not any(key.signed(raw, message) for message in messages):
        raise VerificationError("the signature is not by the certificate in the bundle", where=where)
    return Opened(statement=statement, key_id=key.id, certificate=subject)


def _open(data: bytes, where: str) -> tuple[_Material, dsse.Envelope, bytes]:
    if len(data) > dsse.MAX_ENVELOPE:
        raise VerificationError(f"the bundle is larger than {dsse.MAX_ENVELOPE} bytes", where=where)
    try:
        bundle: _Bundle = strict_json.decode(data, _Bundle)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        what = f"not a Sigstore bundle: {dsse.one_line(error)}"
        raise VerificationError(what, where=where, fix="give the signature that belongs to the model") from None
    if bundle.media_type != MEDIA_TYPE:
        what = f"a bundle of the type {_word(bundle.media_type[:80])!r}, not {MEDIA_TYPE!r}"
        raise VerificationError(what, where=where, fix="have it signed again in version 0.3")
    material, envelope = bundle.verification_material, bundle.dsse_envelope
    if material.certificate is not None:
        what = "a keyless Sigstore signature, which is not verified here"
        fix = "model_signing verifies it: pip install model-signing, then model_signing verify sigstore"
        raise VerificationError(what, where=where, fix=fix)
    if (material.public_key is None) == (material.x509_certificate_chain is None):
        raise VerificationError("a bundle names either a public key or a certificate chain", where=where)
    if envelope is None:
        raise VerificationError("the bundle signs no statement (no dsseEnvelope)", where=where)
    if len(envelope.signatures) != 1:
        raise VerificationError(f"a bundle has 1 signature, this has {len(envelope.signatures)}", where=where)
    if envelope.payload_type != st.PAYLOAD_TYPE:
        what = f"the envelope holds {_word(envelope.payload_type[:80])!r}, not {st.PAYLOAD_TYPE!r}"
        raise VerificationError(what, where=where, fix="give the right file")
    return material, envelope, dsse.decode(envelope.payload, "payload", where)


def _statement(payload: bytes, where: str) -> st.Statement:
    said = st.decode(payload, st.Statement, "in-toto statement", where)
    return st.parse(payload, said.predicate_type, where=where)


def _old_pae(payload: bytes) -> bytes:
    """What model_signing 0.2 signed instead of the DSSE encoding: the payload as a Python literal, so it reads back
    one way, and under another word than DSSEv1, so it is never mistaken for it."""
    text = f"DSSEV1 {len(st.PAYLOAD_TYPE)} {st.PAYLOAD_TYPE} {len(payload)} {payload!r}"
    return text.encode()


def _word(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
