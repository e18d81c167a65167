"""X.509 chains of code-signing certificates: does one of the roots that the reader trusts vouch for this signer, now?

Signatures are checked by `cryptography`; this file demands what RFC 5280 (section 6) asks of a path, and refuses what
it does not know: any other critical extension, name constraints, policies that bind. No revocation list is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from assay.attest.keys import PublicKey, public_key_of
from assay.core.errors import InputError, VerificationError, os_words

MAX_CHAIN = 8
MAX_DER = 64 * 1024
MAX_ROOTS = 1024 * 1024
_KNOWN = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_ODD = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension)


T = TypeVar("T", bound=x509.ExtensionType)


class _UnfitError(Exception):
    """Why a certificate cannot stand where it stands."""


def load_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file. Raises InputError."""
    try:
        with open(path, "rb") as stream:
            found = tuple(x509.load_pem_x509_certificates(stream.read(MAX_ROOTS)))
    except OSError as error:
        raise InputError(f"cannot be read: {os_words(error)}", where=str(path), fix="check the path") from None
    except ValueError:
        raise InputError("holds no PEM certificate", where=str(path), fix="give the root's certificate") from None
    return found


def signer_of(
    chain: Sequence[bytes], roots: Sequence[x509.Certificate], now: datetime, *, where: str = ""
) -> tuple[PublicKey, str]:
    """The key and the name of the first certificate (DER) of `chain`, once one of `roots` vouches for it at `now`.

    Raises VerificationError: malformed, expired, not made for signing, or no path to a root that holds throughout.
    """
    if not 1 <= len(chain) <= MAX_CHAIN or any(len(der) > MAX_DER for der in chain):
        raise VerificationError(f"a chain has 1 to {MAX_CHAIN} certificates of {MAX_DER // 1024} KB", where=where)
    try:
        leaf, *between = [x509.load_der_x509_certificate(der) for der in chain]
        name = leaf.subject.rfc4514_string()
        key = public_key_of(leaf.public_key())
        _fit_to_sign(leaf, now)
        if key is None:
            raise _UnfitError("its key is of a kind that signs no models")
        _path(leaf, between, roots, now)
    except _ODD as error:
        what = f"a certificate of the bundle is malformed: {type(error).__name__}"
        raise VerificationError(what, where=where) from None
    except _UnfitError as error:
        fix = "name the root that issued it, or have it signed by a certificate that is valid"
        raise VerificationError(f"the certificate does not hold: {error}", where=where, fix=fix) from None
    return key, "".join(sign if sign.isprintable() else "?" for sign in name[:200])


def _path(
    leaf: x509.Certificate, between: list[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> None:
    """Return where a path from the leaf to a root holds. Raises _UnfitError with the reason nearest to a root."""
    tries = iter(range(64))  # certificates that vouch for each other in a circle cost no more than this
    why = "none of the roots vouches for it"

    def climb(cert: x509.Certificate, left: list[x509.Certificate], below: int) -> bool:
        nonlocal why
        if cert in roots:
            return True
        for issuer in (*roots, *left):
            if next(tries, None) is None:
                return False
            if issuer.subject != cert.issuer or not _issued(cert, issuer):
                continue
            try:
                _fit_to_issue(issuer, now, below)
            except _UnfitError as error:
                why = str(error)
                continue
            step = below + (issuer.subject != issuer.issuer)
            if issuer in roots or climb(issuer, [c for c in left if c != issuer], step):
                return True
        return False

    if not climb(leaf, between, 0):
        raise _UnfitError(why)


def _issued(cert: x509.Certificate, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        return False
    if cert.signature_hash_algorithm is not None and not isinstance(cert.signature_hash_algorithm, _STRONG):
        return False
    try:
        cert.verify_directly_issued_by(issuer)
    except _ODD:
        return False
    return True


def _fit_to_sign(leaf: x509.Certificate, now: datetime) -> None:
    _current(leaf, now)
    _understood(leaf)
    usage = _extension(leaf, x509.KeyUsage)
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not usage.digital_signature:
        raise _UnfitError("it is not made for signing (key usage)")
    wanted = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if extended is not None and not wanted & set(extended):
        raise _UnfitError("it is not made for signing code (extended key usage)")
    if usage is None and extended is None:
        raise _UnfitError("it does not say that it is made for signing")


def _fit_to_issue(issuer: x509.Certificate, now: datetime, below: int) -> None:
    _current(issuer, now)
    _understood(issuer)
    basic, usage = _extension(issuer, x509.BasicConstraints), _extension(issuer, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise _UnfitError("an issuer on its path is no certificate authority")
    if basic.path_length is not None and below > basic.path_length:
        raise _UnfitError("its path is longer than an issuer allows")


def _current(cert: x509.Certificate, now: datetime) -> None:
    if now >= cert.not_valid_after_utc:
        raise _UnfitError(f"it, or one on its path, expired on {cert.not_valid_after_utc:%Y-%m-%d}")
    if now < cert.not_valid_before_utc:
        raise _UnfitError(f"it, or one on its path, is valid from {cert.not_valid_before_utc:%Y-%m-%d} only")


def _understood(cert: x509.Certificate) -> None:
    for extension in _extensions(cert):
        strange = extension.critical and extension.oid not in _KNOWN
        if strange or extension.oid in (ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.POLICY_CONSTRAINTS):
            raise _UnfitError(f"the extension {extension.oid.dotted_string} on its path is not known here")


def _extensions(cert: x509.Certificate) -> Iterator[x509.Extension[x509.ExtensionType]]:
    yield from cert.extensions


def _extension(cert: x509.Certificate, kind: type[T]) -> T | None:
    return next((e.value for e in _extensions(cert) if isinstance(e.value, kind)), None)
