"""`assay sign` and `assay verify` on models: files and folders, other tools' signatures, a line a file."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_tools import assay, one_line, shell
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from assay.attest import remembered
from assay.attest.keys import PrivateKey

OLD = 1_700_000_000_000_000_000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a P-256 key and a model of three files; what Assay remembers of them lies beside."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(remembered, "WORTH", 0)
    monkeypatch.setattr(remembered, "REST", 0)
    assert assay("key", "new", "me", "--type", "p256", cwd=tmp_path).code == 0
    (tmp_path / "model" / "sub").mkdir(parents=True)
    for name in ("a.bin", "b.bin", "sub/c.bin"):
        (tmp_path / "model" / name).write_bytes(name.encode())
    return tmp_path


def test_the_bundle_lies_beside_and_holds(desk: Path) -> None:
    done = assay("sign", "model", "--key", "me.key", cwd=desk)
    assert (done.code, done.err) == (0, "")
    assert json.loads((desk / "model.sig").read_bytes())["mediaType"].endswith("bundle.v0.3+json")
    for name in ("model", "model/", "./model"):
        held = assay("verify", name, "--key", "me.pub", cwd=desk)
        assert (held.code, held.out.startswith("holds: 3 files, signed ")) == (0, True)
    assert assay("verify", ".", "--key", "../me.pub", cwd=desk / "model").code == 0


def test_a_signature_anywhere(desk: Path) -> None:
    for place in ("elsewhere.sig", "model/inside.sig"):
        assert assay("sign", "model", "--key", "me.key", "--signature", place, cwd=desk).code == 0
        verify = ("verify", "model", "--key", "me.pub", "--signature", place)
        done = assay(*verify, cwd=desk)
        assert done.code == 0
        assert ("not compared  inside.sig" in done.out) == ("inside" in place)
    assert one_line(assay("verify", "model", "--key", "me.pub", cwd=desk), "no signature beside it", code=1)
    gone = assay("verify", "model", "--key", "me.pub", "--signature", "gone.sig", cwd=desk)
    assert one_line(gone, "gone.sig", "no such signature", code=1)


def test_a_signature_never_replaces_anything_else(desk: Path) -> None:
    for name in ("me.key", "me.pub", "model/a.bin"):
        before = (desk / name).read_bytes()
        done = assay("sign", "model", "--key", "me.key", "--signature", name, cwd=desk)
        assert one_line(done, name, "is no signature", code=2)
        assert (desk / name).read_bytes() == before


def test_signing_over_another_keys_signature_is_said(desk: Path) -> None:
    assert assay("key", "new", "you", "--type", "p256", cwd=desk).code == 0
    told = [assay("sign", "model", "--key", f"{who}.key", cwd=desk).out for who in ("me", "me", "you")]
    assert ["in place of another key's signature" in text for text in told] == [False, False, True]


def test_each_file_that_differs_has_its_line(desk: Path) -> None:
    assert assay("sign", "model", "--key", "me.key", cwd=desk).code == 0
    (desk / "model/a.bin").write_bytes(b"other")
    (desk / "model/b.bin").unlink()
    (desk / "model/line\nbreak").write_bytes(b"")
    done = assay("verify", "model", "--key", "me.pub", cwd=desk)
    assert (done.code, done.out.splitlines()) == (1, ["changed  a.bin", "missing  b.bin", r"added    line\nbreak"])
    assert len(done.err.splitlines()) == 1
    fewer = assay("verify", "model", "--key", "me.pub", "--ignore-unsigned", "--ignore", "a.bin", cwd=desk)
    assert (fewer.code, fewer.out) == (1, "missing  b.bin\n")
    for number in range(150):
        (desk / f"model/{number:03}").write_bytes(b"")
    assert "added    and 51 more" in assay("verify", "model", "--key", "me.pub", cwd=desk).out.splitlines()


def test_ignored_files_and_links(desk: Path) -> None:
    assert assay("sign", "model", "--key", "me.key", "--ignore", "sub", cwd=desk).code == 0
    assert "not compared  sub" in assay("verify", "model", "--key", "me.pub", cwd=desk).out
    for bad in ("../x", "/etc", "."):
        done = assay("sign", "model", "--key", "me.key", "--ignore", bad, cwd=desk)
        assert one_line(done, bad, "no path inside", code=2)
    (desk / "model/link").symlink_to("a.bin")
    assert one_line(assay("sign", "model", "--key", "me.key", cwd=desk), "link: is a symbolic link", code=2)
    assert assay("sign", "model", "--key", "me.key", "--follow-links", cwd=desk).code == 0
    assert assay("verify", "model", "--key", "me.pub", cwd=desk).code == 0
    (desk / "model/link").unlink()
    (desk / "model/link").symlink_to("../me.key")
    for words in (("sign", "model", "--key", "me.key", "--follow-links"), ("verify", "model", "--key", "me.pub")):
        done = assay(*words, cwd=desk)
        assert one_line(done, "leaves the folder", code=done.code)
        assert done.code in (1, 2)


def test_what_did_not_change_is_not_read_again_unless_asked(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign, verify = ("sign", "model", "--key", "me.key"), ("verify", "model", "--key", "me.pub")
    assert "not read again" not in assay(*sign, cwd=desk).out
    assert "(3 unchanged, not read again" in assay(*sign, cwd=desk).out
    assert "not read again" not in assay(*sign, "--full", cwd=desk).out
    assert "3 files were not read again" in assay(*verify, "--incremental", cwd=desk).out
    assert "not read again" not in assay(*verify, cwd=desk).out
    (desk / "model/a.bin").write_bytes(b"A.bin")
    assert assay(*verify, "--incremental", cwd=desk).out == "changed  a.bin\n"
    read: list[int] = []
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, n: (read.append(n), real(fd, n))[1])
    assert assay(*verify, cwd=desk).code == 1
    assert len(read) == 3, "verification reads every byte, whatever is remembered"


def test_nobody_is_trusted_by_default(desk: Path) -> None:
    assert assay("sign", "model", "--key", "me.key", cwd=desk).code == 0
    assert one_line(assay("verify", "model", cwd=desk), "nobody is trusted", code=2)
    assert assay("key", "new", "you", cwd=desk).code == 0
    assert one_line(assay("verify", "model", "--key", "you.pub", cwd=desk), "not signed by any trusted key", code=1)
    assert assay("verify", "model", "--key", "you.pub", "--key", "me.pub", cwd=desk).code == 0


def test_ed25519_signs_models_and_says_who_reads_it(desk: Path) -> None:
    assert assay("key", "new", "ed", "--type", "ed25519", cwd=desk).code == 0
    done = assay("sign", "model", "--key", "ed.key", cwd=desk)
    assert (done.code, "model_signing verifies ECDSA keys only" in done.err) == (0, True)
    assert assay("verify", "model", "--key", "ed.pub", cwd=desk).code == 0


def test_a_large_model_is_no_paper(desk: Path) -> None:
    large = desk / "large.json"
    with open(large, "wb") as stream:
        stream.write(b"{")
        stream.truncate(129 * 1024**2)
    assert shell("sign", "large.json", "--key", "me.key", cwd=desk).code == 0
    assert shell("verify", "large.json", "--key", "me.pub", cwd=desk).code == 0


def test_options_of_models_are_refused_for_documents(desk: Path) -> None:
    (desk / "policy.yaml").write_text("policy: p\nrequire:\n  - outcome: {check: 'x.*', status: pass}\n")
    for option in (("--signature", "x.sig"), ("--ignore", "a"), ("--follow-links",)):
        done = assay("sign", "policy.yaml", "--key", "me.key", *option, cwd=desk)
        assert one_line(done, "policy.yaml", "are for models", code=2)
    assert assay("sign", "policy.yaml", "--key", "me.key", "--full", cwd=desk).code == 0
    assert "holds: policy p" in assay("verify", "policy.yaml", "--key", "me.pub", cwd=desk).out
    wrong = assay("verify", "model", "--key", "me.pub", "--signature", "policy.yaml.sig", cwd=desk)
    assert one_line(wrong, "not a Sigstore bundle", code=1)


def test_certificates_and_keyless_signatures(desk: Path) -> None:
    inner, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "builder")])
    root = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(inner.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
        .add_extension(x509.BasicConstraints(True, None), True).sign(inner, hashes.SHA256())
    )  # fmt: skip
    (desk / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (desk / "c.key").write_bytes(PrivateKey("c", inner).pem())
    (desk / "c.key").chmod(0o600)
    assert assay("sign", "model", "--key", "c.key", cwd=desk).code == 0
    bundle = json.loads((desk / "model.sig").read_bytes())
    der = {"rawBytes": b64encode(root.public_bytes(Encoding.DER)).decode()}
    for material, code, words in (
        ({"certificate": der}, 1, "a keyless Sigstore signature, which is not verified here"),
        ({"x509CertificateChain": {"certificates": [der]}}, 0, "by the certificate of CN=builder"),
    ):
        (desk / "model.sig").write_text(json.dumps({**bundle, "verificationMaterial": material}))
        done = assay("verify", "model", "--root", "root.pem", cwd=desk)
        assert (done.code, words in done.out + done.err) == (code, True)
    assert one_line(assay("verify", "model", "--root", "me.pub", cwd=desk), "no PEM certificate", code=2)
