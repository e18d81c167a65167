"""Certificates: a chain holds under the root that the reader trusts, in its time, for its purpose, and else never."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attest_oracle as oracle
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from assay.attest.certificates import load_roots
from assay.attest.signature import SignatureView, verify_signature
from assay.core.errors import InputError, VerificationError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(4)]
ROOT, MIDDLE, LEAF, OTHER = KEYS
CODE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def usage(sign: bool = True, issue: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, issue, issue, False, False)


def certificate(
    name: str,
    key: Any,
    issuer: str,
    by: Any,
    *more: tuple[x509.ExtensionType, bool],
    ca: bool | None = None,
    length: int | None = None,
    start: datetime = NOW - DAY,
    end: datetime = NOW + DAY,
    digest: Any = None,
) -> x509.Certificate:
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if ca is not None:
        made = made.add_extension(x509.BasicConstraints(ca, length if ca else None), True)
    for extension, critical in more:
        made = made.add_extension(extension, critical)
    return made.sign(by, digest or hashes.SHA256())


A_ROOT = certificate("root", ROOT, "root", ROOT, (usage(False, True), True), ca=True)
A_MIDDLE = certificate("middle", MIDDLE, "root", ROOT, (usage(False, True), True), ca=True, length=0)
A_LEAF = certificate("dana", LEAF, "middle", MIDDLE, (usage(), True), (CODE, False), ca=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.bin"
    path.write_bytes(b"weights")
    return path


def signed(model: Path, *chain: x509.Certificate, key: Any = LEAF) -> bytes:
    certificates = [{"rawBytes": b64encode(c.public_bytes(Encoding.DER)).decode()} for c in chain]
    material = {"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []}
    return oracle.write(model, key, wrap=lambda b: b.update(verificationMaterial=material))


def verify(data: bytes, model: Path, *roots: x509.Certificate, now: datetime = NOW) -> SignatureView:
    return verify_signature(data, model, [], now, roots=roots)


def test_a_chain_to_the_root_holds(model: Path) -> None:
    view = verify(signed(model, A_LEAF, A_MIDDLE), model, A_ROOT)
    assert (view.certificate, len(view.files)) == ("CN=dana", 1)
    assert verify(signed(model, A_LEAF, A_MIDDLE, A_ROOT), model, A_ROOT).certificate == "CN=dana"
    assert verify(signed(model, A_LEAF), model, A_MIDDLE).certificate == "CN=dana", "the middle may be what is trusted"
    assert verify(signed(model, A_LEAF), model, A_ROOT, A_MIDDLE).certificate == "CN=dana"
    data = signed(model, A_LEAF, A_MIDDLE)
    model.write_bytes(b"Weights")
    with pytest.raises(VerificationError, match="changed"):
        verify(data, model, A_ROOT)


def leaf(*more: tuple[x509.ExtensionType, bool], **changes: Any) -> list[x509.Certificate]:
    return [certificate("dana", LEAF, "middle", MIDDLE, *(more or ((usage(), True),)), **changes), A_MIDDLE]


def middle(*more: tuple[x509.ExtensionType, bool], **changes: Any) -> list[x509.Certificate]:
    given = {"ca": True, **changes}
    return [A_LEAF, certificate("middle", MIDDLE, "root", ROOT, *(more or ((usage(False, True), True),)), **given)]


WEAK = rsa.generate_private_key(65537, 1024)
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CONSTRAINTS = x509.NameConstraints([x509.DNSName("example.com")], None)
CHAINS: list[tuple[str, list[x509.Certificate], str]] = [
    ("no middle", [A_LEAF], "none of the roots"),
    ("expired", leaf(end=NOW), "expired"),
    ("not yet", leaf(start=NOW + timedelta(seconds=1)), "valid from"),
    ("middle expired", middle(end=NOW), "expired"),
    ("a server's", leaf((usage(), True), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)), "code"),
    ("not for signing", leaf((usage(False), True)), "not made for signing"),
    ("for nothing", leaf((x509.SubjectAlternativeName([x509.DNSName("d")]), False)), "does not say"),
    ("strange", leaf((usage(), True), (STRANGE, True)), "1.2.3.4"),
    ("constrained", middle((usage(False, True), True), (CONSTRAINTS, False)), "not known here"),
    ("middle no CA", middle(ca=False), "no certificate authority"),
    ("middle says nothing", middle(ca=None), "no certificate authority"),
    ("middle may not issue", middle((usage(True, False), True)), "no certificate authority"),
    ("another's middle", [A_LEAF, certificate("middle", OTHER, "root", ROOT, ca=True)], "none of the roots"),
    ("self-made root", [A_LEAF, certificate("middle", MIDDLE, "root", OTHER, ca=True)], "none of the roots"),
    ("RSA signer", [certificate("dana", WEAK, "middle", MIDDLE, (usage(), True)), A_MIDDLE], "of a kind"),
    ("self-signed", [certificate("dana", LEAF, "dana", LEAF, (usage(), True), ca=True)], "none of the roots"),
]  # fmt: skip


@pytest.mark.parametrize(("chain", "words"), [pytest.param(c, w, id=n) for n, c, w in CHAINS])
def test_chains_that_do_not_hold(model: Path, chain: list[x509.Certificate], words: str) -> None:
    with pytest.raises(VerificationError, match=words) as caught:
        verify(signed(model, *chain), model, A_ROOT)
    assert "\n" not in str(caught.value)


def test_an_issuer_says_how_long_its_path_may_be(model: Path) -> None:
    low = certificate("low", OTHER, "middle", MIDDLE, (usage(False, True), True), ca=True)
    end = certificate("dana", LEAF, "low", OTHER, (usage(), True))
    with pytest.raises(VerificationError, match="longer than an issuer allows"):
        verify(signed(model, end, low, A_MIDDLE), model, A_ROOT)
    free = certificate("middle", MIDDLE, "root", ROOT, (usage(False, True), True), ca=True, length=1)
    assert verify(signed(model, end, low, free), model, A_ROOT).certificate == "CN=dana"


def test_the_signature_is_by_the_first_certificate(model: Path) -> None:
    with pytest.raises(VerificationError, match="not by the certificate"):
        verify(signed(model, A_LEAF, A_MIDDLE, key=OTHER), model, A_ROOT)
    with pytest.raises(VerificationError, match="no root is given"):
        verify(signed(model, A_LEAF, A_MIDDLE), model)
    with pytest.raises(VerificationError, match="1 to 8 certificates"):
        verify(signed(model, *[A_LEAF] * 9), model, A_ROOT)


def test_damaged_certificates_are_one_line(model: Path) -> None:
    der = bytearray(A_LEAF.public_bytes(Encoding.DER))
    for at in range(0, len(der), 7):
        bent = bytes(der[:at]) + bytes([der[at] ^ 0x41]) + bytes(der[at + 1 :])
        material = {"x509CertificateChain": {"certificates": [{"rawBytes": b64encode(bent).decode()}]}}
        data = oracle.write(model, LEAF, wrap=lambda b, m=material: b.update(verificationMaterial=m))  # type: ignore[misc]
        with pytest.raises(VerificationError) as caught:
            verify(data, model, A_MIDDLE)
        assert str(caught.value).isprintable()


def test_roots_are_read_from_pem(tmp_path: Path) -> None:
    pem = A_ROOT.public_bytes(Encoding.PEM) + A_MIDDLE.public_bytes(Encoding.PEM)
    (tmp_path / "roots.pem").write_bytes(pem)
    assert load_roots(tmp_path / "roots.pem") == (A_ROOT, A_MIDDLE)
    (tmp_path / "none.pem").write_bytes(b"nothing")
    for name in ("none.pem", "absent.pem"):
        with pytest.raises(InputError, match=name):
            load_roots(tmp_path / name)
