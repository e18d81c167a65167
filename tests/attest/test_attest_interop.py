"""Both ways with the reference implementation, model_signing: it verifies what we sign, and we what it signs.

Set ASSAY_MODEL_SIGNING to the command that starts it (for example `/venv/bin/python -m model_signing`), or have
`model_signing` on the PATH; skipped otherwise.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from test_attest_certificates import A_LEAF, A_MIDDLE, A_ROOT, LEAF, OTHER, certificate

from assay.attest.keys import KINDS, Kind, PrivateKey, generate, load_private, load_public
from assay.attest.signature import sign_files, verify_signature
from assay.core.errors import VerificationError

NOW = datetime.now(UTC)


def command() -> list[str]:
    """How model_signing starts here; nothing where it is not installed."""
    given = os.environ.get("ASSAY_MODEL_SIGNING", "")
    if given:
        return shlex.split(given)
    if importlib.util.find_spec("model_signing") is not None:
        return [sys.executable, "-m", "model_signing"]
    found = shutil.which("model_signing")
    return [found] if found else []


pytestmark = pytest.mark.skipif(not command(), reason="model_signing is not here: set ASSAY_MODEL_SIGNING")


def peer(*words: object, cwd: Path) -> tuple[int, str]:
    done = subprocess.run(
        [*command(), *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


def pair(folder: Path, kind: Kind = "p256") -> PrivateKey:
    """A key in the files k and k.pub."""
    key = generate("x", kind)
    (folder / "k").write_bytes(key.pem())
    (folder / "k").chmod(0o600)
    (folder / "k.pub").write_bytes(key.public.pem())
    return key


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "a").mkdir(parents=True)
    (root / "a" / "b.bin").write_bytes(b"inner")
    (root / "a.txt").write_bytes(b"outer")
    (root / "A").write_bytes(b"upper")
    (root / "weights é\n.bin").write_bytes(b"")
    (root / ".gitattributes").write_bytes(b"git's")
    return root


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "ed25519"])
def test_both_ways_with_every_curve(model: Path, tmp_path: Path, kind: Kind) -> None:
    key = pair(tmp_path, kind)
    (tmp_path / "ours.sig").write_bytes(sign_files(model, key, NOW))
    verify = ("verify", "key", "model", "--public_key", "k.pub", "--signature")
    assert peer(*verify, "ours.sig", cwd=tmp_path)[0] == 0
    assert peer("sign", "key", "model", "--private_key", "k", "--signature", "its.sig", cwd=tmp_path)[0] == 0
    signed = (tmp_path / "its.sig").read_bytes()
    assert len(verify_signature(signed, model, [load_public(tmp_path / "k.pub")], NOW).files) == 4
    (model / "a" / "b.bin").write_bytes(b"Inner")
    code, said = peer(*verify, "ours.sig", cwd=tmp_path)
    assert (code, "a/b.bin" in said) == (1, True)
    with pytest.raises(VerificationError, match=r"changed: a/b\.bin"):
        verify_signature(signed, model, [key.public], NOW)


def test_a_single_file_and_a_signature_inside(model: Path, tmp_path: Path) -> None:
    key = pair(tmp_path)
    file, inside = model / "a.txt", model / "model.sig"
    (tmp_path / "file.sig").write_bytes(sign_files(file, key, NOW))
    verify = ("verify", "key", "--public_key", "k.pub", "--signature")
    assert peer(*verify, "file.sig", "model/a.txt", cwd=tmp_path)[0] == 0
    assert peer("sign", "key", "model/a.txt", "--private_key", "k", "--signature", "its.sig", cwd=tmp_path)[0] == 0
    assert verify_signature((tmp_path / "its.sig").read_bytes(), file, [key.public], NOW).files[0].name == "."
    inside.write_bytes(sign_files(model, key, NOW, signature=inside))
    assert peer(*verify, "model/model.sig", "model", cwd=tmp_path)[0] == 0
    inside.unlink()
    assert peer("sign", "key", ".", "--private_key", "../k", cwd=model)[0] == 0
    signed = inside.read_bytes()
    assert verify_signature(signed, model, [key.public], NOW, at=inside).uncovered == (".gitattributes", "model.sig")


def test_what_is_left_out_and_links(model: Path, tmp_path: Path) -> None:
    key = pair(tmp_path)
    (model / "link").symlink_to("a.txt")
    (tmp_path / "ours.sig").write_bytes(sign_files(model, key, NOW, ignore=["a"], follow_links=True))
    verify = ("verify", "key", "model", "--public_key", "k.pub", "--signature", "ours.sig", "--allow_symlinks")
    assert peer(*verify, "--ignore-paths", "model/a", cwd=tmp_path)[0] == 0
    sign = ("sign", "key", "model", "--private_key", "k", "--signature", "its.sig", "--allow_symlinks")
    assert peer(*sign, "--ignore-paths", "model/a", cwd=tmp_path)[0] == 0
    view = verify_signature((tmp_path / "its.sig").read_bytes(), model, [key.public], NOW)
    assert view.uncovered == (".gitattributes", "a")


def test_keys_of_openssl(model: Path, tmp_path: Path) -> None:
    inner = ec.generate_private_key(ec.SECP256R1())
    form = (Encoding.PEM, ser.PrivateFormat.TraditionalOpenSSL)
    (tmp_path / "k").write_bytes(inner.private_bytes(*form, ser.NoEncryption()))
    (tmp_path / "k").chmod(0o600)
    key = load_private(tmp_path / "k")
    (tmp_path / "k.pub").write_bytes(key.public.pem())
    (tmp_path / "ours.sig").write_bytes(sign_files(model, key, NOW))
    assert peer("verify", "key", "model", "--public_key", "k.pub", "--signature", "ours.sig", cwd=tmp_path)[0] == 0


def test_its_certificates(model: Path, tmp_path: Path) -> None:
    pair(tmp_path)
    (tmp_path / "k").write_bytes(PrivateKey("x", LEAF).pem())
    for name, cert in (("leaf", A_LEAF), ("middle", A_MIDDLE), ("root", A_ROOT)):
        (tmp_path / f"{name}.pem").write_bytes(cert.public_bytes(Encoding.PEM))
    sign = ("sign", "certificate", "model", "--private_key", "k", "--signing_certificate", "leaf.pem")
    code, said = peer(*sign, "--certificate_chain", "middle.pem", "--signature", "its.sig", cwd=tmp_path)
    assert code == 0, said
    verify = ("verify", "certificate", "model", "--signature", "its.sig", "--certificate_chain", "root.pem")
    assert peer(*verify, cwd=tmp_path)[0] == 0
    signed, then = (tmp_path / "its.sig").read_bytes(), A_LEAF.not_valid_before_utc
    assert verify_signature(signed, model, [], then, roots=[A_ROOT]).certificate == "CN=dana"
    with pytest.raises(VerificationError, match="none of the roots"):
        verify_signature(signed, model, [], then, roots=[certificate("root", OTHER, "root", OTHER, ca=True)])
