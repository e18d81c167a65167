"""Model signatures: what was signed verifies here and by an oracle; every edit is refused, by the file's name."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attest_oracle as oracle
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.attest import bundle, dsse, statement
from assay.attest.keys import KINDS, PrivateKey, PublicKey, generate
from assay.attest.signature import (
    MismatchError,
    SignatureView,
    claim_of,
    read_signature,
    sign_files,
    signature_path,
    verify_signature,
    write_signature,
)
from assay.core.errors import AssayError, InputError, UsageError, VerificationError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
INNER = ec.generate_private_key(ec.SECP256R1())
KEY = PrivateKey("dana", INNER)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b.bin").write_bytes(b"inner")
    (root / "a.txt").write_bytes(b"outer")  # sorts before a/b.bin as text, after it by its parts
    (root / "weights é.bin").write_bytes(b"")
    (root / ".hidden").write_bytes(b"seen")
    (root / ".gitattributes").write_bytes(b"git's")
    return root


def verify(data: bytes, path: Path, *keys: PublicKey, now: datetime = NOW, **more: Any) -> SignatureView:
    return verify_signature(data, path, keys or (KEY.public,), now, **more)


def refused(data: bytes, path: Path, words: str, *keys: PublicKey, **more: Any) -> VerificationError:
    with pytest.raises(VerificationError, match=words) as caught:
        verify(data, path, *keys, **more)
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("what", ["folder", "file"])
def test_the_oracle_verifies_what_we_sign_and_we_what_it_signs(model: Path, curve: ec.EllipticCurve, what: str) -> None:
    path = model if what == "folder" else model / "a.txt"
    inner = ec.generate_private_key(curve)
    key = PrivateKey("x", inner)
    predicate = oracle.check(sign_files(path, key, NOW), path, inner.public_key())
    assert predicate["signed_at"] == "2026-11-21T12:00:00Z"
    assert predicate["serialization"]["ignore_paths"] == [".assay", *oracle.GIT]
    view = verify(oracle.write(path, inner), path, key.public)
    assert (len(view.files), view.signed_at, view.key_id) == (4 if what == "folder" else 1, None, key.public.id)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_signs_models(model: Path, kind: Any) -> None:
    key = generate("x", kind)
    view = verify(sign_files(model, key, NOW), model, key.public, KEY.public)
    assert (view.key_id, view.signed_at, view.uncovered) == (key.public.id, NOW, (".gitattributes",))
    assert sorted(f.name for f in view.files) == [".hidden", "a.txt", "a/b.bin", "weights é.bin"]


def test_what_differs_is_named(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    (model / "a.txt").write_bytes(b"Outer")
    (model / "a" / "b.bin").rename(model / "a" / "c.bin")
    error = refused(signed, model, r"changed: a\.txt; missing: a/b\.bin; not expected: a/c\.bin")
    assert isinstance(error, MismatchError)
    assert error.difference.names == ("a.txt", "a/b.bin", "a/c.bin")
    (model / "a.txt").write_bytes(b"outer")
    (model / "a" / "c.bin").rename(model / "a" / "b.bin")
    (model / "new").write_bytes(b"")
    assert len(verify(signed, model, ignore_unsigned=True).files) == 4
    assert len(verify(signed, model, ignore=["new"]).files) == 4
    (model / "a" / "b.bin").unlink()
    refused(signed, model, r"missing: a/b\.bin", ignore_unsigned=True)
    assert len(verify(signed, model, ignore=["new", "a"]).files) == 4


def test_files_that_swap_names_are_told(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    one, two = (model / "a.txt").read_bytes(), (model / "a/b.bin").read_bytes()
    (model / "a.txt").write_bytes(two)
    (model / "a/b.bin").write_bytes(one)
    assert refused(signed, model, r"changed: a\.txt, a/b\.bin")


def test_every_flipped_bit_of_a_small_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"abcd")
    signed = sign_files(path, KEY, NOW)
    path.rename(tmp_path / "renamed.bin")  # the name of a single file is not part of what is signed
    path = tmp_path / "renamed.bin"
    assert verify(signed, path).files[0].name == "."
    for bit in range(32):
        path.write_bytes((int.from_bytes(b"abcd", "big") ^ (1 << bit)).to_bytes(4, "big"))
        refused(signed, path, r"changed: renamed\.bin")


def test_a_file_is_no_folder(model: Path) -> None:
    folder, file = sign_files(model, KEY, NOW), sign_files(model / "a.txt", KEY, NOW)
    assert refused(folder, model / "a.txt", r"missing: .*; not expected: a\.txt")
    assert refused(file, model, r"missing: a\.txt; not expected: \.hidden")


def test_what_is_left_out_is_signed(model: Path) -> None:
    signed = sign_files(model, KEY, NOW, ignore=["a/"], signature=model / "model.sig")
    (model / "a" / "other").write_bytes(b"x")
    (model / "model.sig").write_bytes(signed)
    assert verify(signed, model).uncovered == (".gitattributes", "a", "model.sig")
    moved = model / "moved.sig"
    (model / "model.sig").rename(moved)
    refused(signed, model, r"not expected: moved\.sig")
    assert verify(signed, model, at=moved).uncovered == (".gitattributes", "a", "moved.sig")
    for bad in ("../x", "/etc", ".", "", "a/../..", "a\0b"):
        with pytest.raises(UsageError):
            sign_files(model, KEY, NOW, ignore=[bad])


def test_links(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"inner")
    signed = sign_files(model, KEY, NOW)
    (model / "a" / "b.bin").unlink()
    (model / "a" / "b.bin").symlink_to("../../secret")  # the same bytes, from outside
    refused(signed, model, "symbolic link")
    refused(signed, model, "leaves the folder", follow_links=True)
    refused(signed, model, "symbolic link|leaves the folder", ignore_unsigned=True)
    (model / "a" / "b.bin").unlink()
    (model / "a" / "b.bin").write_bytes(b"inner")
    (model / "inside").symlink_to("a.txt")
    with pytest.raises(InputError, match="inside: is a symbolic link"):
        sign_files(model, KEY, NOW)
    followed = sign_files(model, KEY, NOW, follow_links=True)
    assert len(verify(followed, model).files) == 5
    assert oracle.check(followed, model, INNER.public_key())["serialization"]["allow_symlinks"] is True
    (model / "deep").symlink_to("a")
    with pytest.raises(InputError, match="a link to a folder"):
        sign_files(model, KEY, NOW, follow_links=True)
    refused(followed, model, "a link to a folder")
    (tmp_path / "alias").symlink_to(model)
    refused(signed, tmp_path / "alias", "symbolic link")


def test_a_folder_swapped_for_a_link_is_told_among_signed_files_only(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    (model / "a").rename(model / "real")
    (model / "a").symlink_to("real")
    assert refused(signed, model, "symbolic link", ignore_unsigned=True)
    assert refused(signed, model, "a link to a folder", ignore_unsigned=True, follow_links=True)


def test_odd_files(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    os.mkfifo(model / "pipe")
    refused(signed, model, "not a regular file")
    (model / "pipe").unlink()
    with open(os.fsencode(model) + b"/\xff\x1b[31m", "wb"):
        pass
    refused(signed, model, "not UTF-8")
    with pytest.raises(InputError, match="not UTF-8"):
        sign_files(model, KEY, NOW)
    os.unlink(os.fsencode(model) + b"/\xff\x1b[31m")
    (model / "line\nbreak\x1b[31m").write_bytes(b"x")
    refused(signed, model, r"not expected: line\\nbreak\\x1b")
    assert len(verify(sign_files(model, KEY, NOW), model).files) == 5
    with pytest.raises(InputError, match="no such file"):
        verify(signed, model / "absent")
    (model / "empty").mkdir()
    with pytest.raises(InputError, match="no file to sign"):
        sign_files(model / "empty", KEY, NOW)


def resources(said: dict[str, Any]) -> list[dict[str, str]]:
    return list(said["predicate"]["resources"])


STATEMENTS: list[tuple[str, Any, str]] = [
    ("root lies", lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "contradicts itself"),
    ("unsorted", lambda s: s["predicate"]["resources"].reverse(), "contradicts itself"),
    ("two subjects", lambda s: s["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}}), "contradicts"),
    ("no subject", lambda s: s.update(subject=[]), "subjects"),
    ("no root", lambda s: s["subject"][0].update(digest={"sha512": "00"}), "contradicts itself"),
    ("of another type", lambda s: s.update(predicateType="urn:assay:policy:v1"), "no signature of a model"),
    ("no statement", lambda s: s.update(_type="x"), "not an in-toto statement"),
    ("no predicate", lambda s: s.pop("predicate"), "malformed"),
]
NAMES = ["../a.txt", "/etc/passwd", "a/../a.txt", "./a.txt", "a//b", "a/", "", ".", "..", "a\0b"]
REROOTED: list[tuple[str, Any, str]] = [
    ("duplicate", lambda s: s["predicate"]["resources"].append(resources(s)[0]), "names a file twice"),
    ("empty", lambda s: s["predicate"].update(resources=[]), "1 to"),
    ("a dropped file", lambda s: s["predicate"]["resources"].pop(), "not expected"),
    ("shards", lambda s: s["predicate"]["serialization"].update(method="shards"), "only whole files"),
    ("blake", lambda s: s["predicate"]["serialization"].update(hash_type="blake3"), "only whole files"),
    ("algorithm", lambda s: resources(s)[0].update(algorithm="blake2b"), "no proper sha256"),
    ("short digest", lambda s: resources(s)[0].update(digest="ab"), "no proper sha256"),
    ("upper digest", lambda s: resources(s)[0].update(digest="AB" * 32), "no proper sha256"),
    ("ignores all", lambda s: s["predicate"]["serialization"].update(ignore_paths=["."]), "no path inside"),
    ("ignores outside", lambda s: s["predicate"]["serialization"].update(ignore_paths=["../.."]), "no path inside"),
    ("ignores what it signs", lambda s: s["predicate"]["serialization"].update(ignore_paths=["a", ".gitattributes"]),
     r"missing: a/b\.bin"),
    ("from the future", lambda s: s["predicate"].update(signed_at="2026-11-21T12:06:00Z"), "in the future"),
    ("no time zone", lambda s: s["predicate"].update(signed_at="2026-11-21T12:00:00"), "malformed"),
    *((f"name {n!r}", lambda s, n=n: resources(s)[0].update(name=n), "no path inside") for n in NAMES),
]  # fmt: skip


@pytest.mark.parametrize(("again", "bend", "words"), [
    *(pytest.param(False, b, w, id=n) for n, b, w in STATEMENTS),
    *(pytest.param(True, b, w, id=n) for n, b, w in REROOTED),
])  # fmt: skip
def test_statements_that_a_trusted_key_signed_and_nobody_should_believe(
    model: Path, again: bool, bend: Any, words: str
) -> None:
    assert refused(oracle.write(model, INNER, bend, again=again), model, words)


def test_another_order_is_accepted_where_the_root_digest_is_of_that_order(model: Path) -> None:
    signed = oracle.write(model, INNER, lambda s: s["predicate"]["resources"].reverse(), again=True)
    assert len(verify(signed, model).files) == 4  # as model_signing does: the order is signed, the names are compared


def first(b: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = b["dsseEnvelope"]["signatures"][0]
    return found


def flipped(b: dict[str, Any]) -> None:
    payload = bytearray(b64decode(b["dsseEnvelope"]["payload"]))
    payload[-40] ^= 1
    b["dsseEnvelope"]["payload"] = b64encode(bytes(payload)).decode()


STRANGER = generate("mallory", "p256").public
WRAPPINGS: list[tuple[str, Any, str]] = [
    ("payload flipped", flipped, "malformed|not signed by any"),
    ("signature flipped", lambda b: first(b).update(sig=b64encode(b"\x30" * 70).decode()), "not signed by any"),
    ("signature empty", lambda b: first(b).update(sig=""), "not signed by any"),
    ("signature spaced", lambda b: first(b).update(sig=first(b)["sig"] + "\n"), "strict base64"),
    ("two signatures", lambda b: b["dsseEnvelope"]["signatures"].append(first(b)), "has 1 signature"),
    ("no signature", lambda b: b["dsseEnvelope"].update(signatures=[]), "has 1 signature"),
    ("media type", lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"), "of the type"),
    ("no media type", lambda b: b.pop("mediaType"), "not a Sigstore bundle"),
    ("payload type", lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), "the envelope holds"),
    ("no envelope", lambda b: b.pop("dsseEnvelope"), "signs no statement"),
    ("another's hint", lambda b: b["verificationMaterial"]["publicKey"].update(hint=STRANGER.hint), "not signed by"),
    ("no material", lambda b: b.update(verificationMaterial={}), "either a public key"),
    ("both materials", lambda b: b["verificationMaterial"].update(x509CertificateChain={"certificates": []}), "either"),
    ("keyless", lambda b: b.update(verificationMaterial={"certificate": {"rawBytes": "AAAA"}}), "keyless"),
    ("a chain", lambda b: b.update(verificationMaterial={"x509CertificateChain": {"certificates": []}}), "no root"),
]  # fmt: skip


@pytest.mark.parametrize(("wrap", "words"), [pytest.param(w, t, id=n) for n, w, t in WRAPPINGS])
def test_bundles_that_are_refused(model: Path, wrap: Any, words: str) -> None:
    assert refused(oracle.write(model, INNER, wrap=wrap), model, words, KEY.public, STRANGER)


def test_a_hint_is_not_needed_and_never_overrides_the_signature(model: Path) -> None:
    for empty in (None, ""):
        signed = oracle.write(
            model,
            INNER,
            wrap=lambda b, e=empty: b["verificationMaterial"]["publicKey"].update(hint=e),  # type: ignore[misc]
        )
        assert verify(signed, model, STRANGER, KEY.public).key_id == KEY.public.id
        refused(signed, model, "not signed by any trusted key", STRANGER)
    signed = sign_files(model, KEY, NOW)
    refused(signed, model, "not signed by any trusted key", STRANGER)
    with pytest.raises(VerificationError, match="no key to verify with"):
        verify_signature(signed, model, [], NOW)


def test_a_name_that_stands_twice_in_json_is_refused(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    assert refused(signed.replace(b'{"mediaType"', b'{"mediaType":"x","mediaType"', 1), model, "twice")
    payload = json.dumps(oracle.statement(model)).encode()
    twice = payload.replace(b'{"_type"', b'{"predicateType":"urn:x","_type"', 1)
    assert refused(oracle.wrapped(twice, INNER), model, "twice")


def test_what_is_too_large_is_not_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = sign_files(model, KEY, NOW)
    monkeypatch.setattr(dsse, "MAX_ENVELOPE", len(signed) - 1)
    assert refused(signed, model, "larger than")
    write_signature(model, signed)
    assert refused(read_signature(model), model, "larger than")


def test_signatures_of_model_signing_0_2(model: Path) -> None:
    """Its statement names the files as subjects, and it signed the payload as a Python literal."""
    new = oracle.statement(model)
    said = {
        "_type": new["_type"],
        "subject": [{"name": r["name"], "digest": {"sha256": r["digest"]}} for r in resources(new)],
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }
    payload = json.dumps(said).encode()
    old = f"DSSEV1 {len(oracle.IN_TOTO)} {oracle.IN_TOTO} {len(payload)} {payload!r}".encode()
    for message in (old, b""):
        signed = oracle.wrapped(payload, INNER, message=message)
        assert len(verify(signed, model).files) == 4
    (model / "new").write_bytes(b"")
    refused(signed, model, "not expected: new")
    (model / "new").unlink()
    literal = json.dumps(new).encode()  # the old encoding is for old statements only
    message = f"DSSEV1 {len(oracle.IN_TOTO)} {oracle.IN_TOTO} {len(literal)} {literal!r}".encode()
    refused(oracle.wrapped(literal, INNER, message=message), model, "not signed by any trusted key")


def test_a_model_signature_is_no_document_and_the_other_way(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    with pytest.raises(VerificationError, match="Sigstore bundle"):
        statement.verify(signed, [KEY.public], statement.SIGNATURE)
    inside = json.dumps(json.loads(signed)["dsseEnvelope"]).encode()
    refused(inside, model, "not a Sigstore bundle")
    document = statement.sign(statement.POLICY, [statement.Subject("m", {"sha256": "0" * 64})], {}, [KEY])
    refused(document, model, "not a Sigstore bundle")


def test_the_signature_lies_beside_and_replaces_signatures_only(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    assert write_signature(model, signed) == signature_path(model) == model.with_name("model.sig")
    write_signature(model, signed)
    assert read_signature(model) == signed
    assert sorted(p.name for p in model.parent.iterdir()) == ["model", "model.sig"]
    for other in (b"-----BEGIN PGP SIGNATURE-----", b"{}", os.urandom(64)):
        signature_path(model).write_bytes(other)
        with pytest.raises(UsageError, match="no signature"):
            write_signature(model, signed)
        assert signature_path(model).read_bytes() == other
    signature_path(model).unlink()
    with pytest.raises(VerificationError, match="no signature"):
        read_signature(model)
    os.mkfifo(signature_path(model))
    refused(read_signature(model), model, "not a Sigstore bundle")
    with pytest.raises(UsageError):
        write_signature(model, signed)


def test_clocks(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    refused(signed, model, "future", now=NOW - timedelta(minutes=6))
    assert verify(signed, model, now=NOW - timedelta(minutes=4)).signed_at == NOW


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), value=st.integers(1, 255))
def test_no_flipped_byte_of_a_bundle_changes_what_it_says(tmp_path: Path, at: int, value: int) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"abcd")
    signed = bytearray(oracle.write(path, INNER))
    signed[at % len(signed)] ^= value
    said = None
    with suppress(AssayError):  # white space, or a field that nobody reads: then it says the same
        said = verify(bytes(signed), path)
    assert said in (None, verify(oracle.write(path, INNER), path))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_no_bundle(data: bytes) -> None:
    with pytest.raises(VerificationError):
        bundle.claimed(data)
    assert bundle.is_bundle(data) is False


def test_claims_are_read_of_statements_only(model: Path) -> None:
    signed = sign_files(model, KEY, NOW)
    claim = claim_of(bundle.claimed(signed))
    assert (claim.name, claim.links, claim.signed_at) == ("model", False, NOW)
    assert [f.name for f in claim.files] == [".hidden", "a/b.bin", "a.txt", "weights é.bin"]
