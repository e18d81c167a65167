"""Keys: what is stored reads back, nothing is overwritten or shown, and every wrong file is refused in one line."""

from __future__ import annotations

import hashlib
import os
import pickle
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from assay.attest.keys import (
    KINDS,
    EncryptedKeyError,
    Kind,
    PrivateKey,
    PublicKey,
    generate,
    load_private,
    load_public,
    save_private,
    save_public,
)
from assay.core.errors import InputError, VerificationError

PEM, SPKI = ser.Encoding.PEM, ser.PublicFormat.SubjectPublicKeyInfo


def test_rfc8032_first_vector() -> None:
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = PrivateKey("vector", Ed25519PrivateKey.from_private_bytes(seed))
    assert key.public.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_stored_keys_read_back(tmp_path: Path, passphrase: bytes | None, kind: Kind) -> None:
    key = generate("dana@example.com", kind)
    save_private(key, tmp_path / "dana.key", passphrase)
    save_public(key.public, tmp_path / "dana.pub")
    assert (tmp_path / "dana.key").stat().st_mode & 0o777 == 0o600
    again, public = load_private(tmp_path / "dana.key", passphrase), load_public(tmp_path / "dana.pub")
    assert (again.name, again.public, public) == ("dana", key.public, key.public)
    public.verify(again.sign(b"word"), b"word")
    with pytest.raises(VerificationError):
        public.verify(again.sign(b"word"), b"another")


def test_the_id_and_pem_are_those_of_cryptography() -> None:
    inner = Ed25519PrivateKey.generate()
    key = PrivateKey("x", inner)
    assert key.public.id == hashlib.sha256(inner.public_key().public_bytes(ser.Encoding.DER, SPKI)).hexdigest()
    assert key.public.pem() == inner.public_key().public_bytes(PEM, SPKI)


CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


@pytest.mark.parametrize("kind", CURVES)
def test_curves_are_those_of_cryptography(kind: Kind, tmp_path: Path) -> None:
    inner = ec.generate_private_key(CURVES[kind])
    key = PrivateKey("x", inner)
    pem = inner.public_key().public_bytes(PEM, SPKI)
    assert key.public.der == inner.public_key().public_bytes(ser.Encoding.DER, SPKI)
    assert (key.public.pem(), key.public.hint) == (pem, hashlib.sha256(pem).hexdigest())
    point = inner.public_key().public_bytes(ser.Encoding.X962, ser.PublicFormat.CompressedPoint)
    assert key.public.text == f"{kind}:{b64encode(point).decode()}"
    hashes_of = {"p256": hashes.SHA256(), "p384": hashes.SHA384(), "p521": hashes.SHA512()}
    inner.public_key().verify(key.sign(b"word"), b"word", ec.ECDSA(hashes_of[kind]))
    old = inner.private_bytes(PEM, ser.PrivateFormat.TraditionalOpenSSL, ser.NoEncryption())
    (tmp_path / "old.key").write_bytes(
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + old
    )
    (tmp_path / "old.key").chmod(0o600)
    assert load_private(tmp_path / "old.key").public == key.public, "as `openssl ecparam -genkey` writes it"


def test_other_curves_are_refused(tmp_path: Path) -> None:
    inner = ec.generate_private_key(ec.SECP256K1())
    (tmp_path / "k").write_bytes(inner.private_bytes(PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption()))
    (tmp_path / "k").chmod(0o600)
    (tmp_path / "k.pub").write_bytes(inner.public_key().public_bytes(PEM, SPKI))
    for load, name in ((load_private, "k"), (load_public, "k.pub")):
        with pytest.raises(InputError, match=r"kind|neither"):
            load(tmp_path / name)


def test_points_off_the_curve_and_other_spellings_are_no_keys() -> None:
    key = generate("x", "p256").public
    good = key.text.partition(":")[2]
    whole = b64encode(key.raw).decode()
    off = b64encode(b"\x02" + b"\xff" * 32).decode()
    for bad in (f"p384:{good}", f"ed25519:{good}", f"p256:{whole}", f"p256:{off}", f"P256:{good}", f"p256:{good}="):
        with pytest.raises(InputError, match="not a public key"):
            PublicKey.from_text(bad)
    for raw in (b"", b"\x05" + key.raw[1:], key.raw[:-1]):
        with pytest.raises(InputError):
            PublicKey(raw, "p256")
    assert not PublicKey(b"\x04" + b"\xff" * 64, "p256").signed(b"x", b"y")


@pytest.mark.parametrize("kind", KINDS)
def test_one_line_form(kind: Kind) -> None:
    key = generate("x", kind).public
    assert PublicKey.from_text(key.text) == key
    for bad in (
        "",
        "ed25519:",
        key.text[:-1] + "*",
        key.text + "=",
        "rsa:" + key.text.partition(":")[2],
        key.text.replace(":", ": "),
    ):
        with pytest.raises(InputError):
            PublicKey.from_text(bad)


def test_a_key_is_never_overwritten_nor_shown(tmp_path: Path) -> None:
    key = generate("x")
    save_private(key, tmp_path / "k")
    before = (tmp_path / "k").read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        save_private(generate("y"), tmp_path / "k")
    with pytest.raises(InputError, match="cannot write"):
        save_public(key.public, tmp_path / "absent" / "k.pub")
    assert (tmp_path / "k").read_bytes() == before
    assert "PRIVATE" not in repr(key)
    assert before.decode().split("\n")[1] not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_wrong_private_files(tmp_path: Path) -> None:
    def refuse(words: str, path: Path, passphrase: bytes | None = None) -> None:
        with pytest.raises(InputError, match=words) as caught:
            load_private(path, passphrase)
        assert "\n" not in str(caught.value)

    def write(content: bytes) -> Path:
        path = tmp_path / f"k{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    key = generate("x")
    rsa = generate_private_key(65537, 2048).private_bytes(PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())
    refuse("no such file", tmp_path / "absent")
    refuse("directory", tmp_path)
    refuse("not a PEM private key", write(b""))
    refuse("not a PEM private key", write(key.pem()[:60]))
    refuse("not a PEM private key", write(os.urandom(500)))
    refuse("too large", write(b"x" * 20_000))
    refuse("neither Ed25519 nor ECDSA", write(rsa))
    refuse("public key", write(key.public.pem()))
    refuse("encrypted", write(key.pem(b"secret")))
    refuse("does not open", write(key.pem(b"secret")), b"wrong")
    open_to_all = write(key.pem())
    open_to_all.chmod(0o644)
    refuse("chmod 600", open_to_all)
    os.mkfifo(tmp_path / "fifo", 0o600)
    refuse("regular file", tmp_path / "fifo")


def test_wrong_public_files(tmp_path: Path) -> None:
    rsa = generate_private_key(65537, 2048).public_key().public_bytes(PEM, SPKI)
    key = generate("x")
    for number, (content, words) in enumerate(
        [
            (b"", "not a PEM"),
            (rsa, "neither Ed25519 nor ECDSA"),
            (key.pem(), "private key"),
            (key.public.pem()[:50], "not a PEM"),
        ]
    ):
        path = tmp_path / str(number)
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            load_public(path)


def test_only_a_key_that_wants_a_passphrase_asks_for_one(tmp_path: Path) -> None:
    locked, odd = tmp_path / "locked.key", tmp_path / "passphrase.key"
    save_private(generate("x"), locked, b"secret")
    with pytest.raises(EncryptedKeyError):
        load_private(locked)
    odd.write_bytes(b"passphrase")
    odd.chmod(0o600)
    for path, passphrase in ((locked, b"wrong"), (odd, None)):
        with pytest.raises(InputError) as caught:
            load_private(path, passphrase)
        assert not isinstance(caught.value, EncryptedKeyError)


def test_names_are_printable() -> None:
    for name in ("", "  ", "a\nb", "\x1b[31m"):
        with pytest.raises(InputError):
            generate(name)
