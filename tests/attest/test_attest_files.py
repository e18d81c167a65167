"""Files and their signatures: a flipped byte is told by name; what cannot be hashed is refused by name."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assay.attest import files, statement
from assay.attest.keys import generate
from assay.attest.signature import read_signature, sign_files, signature_path, verify_signature, write_signature
from assay.core.errors import InputError, VerificationError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = generate("dana")
KEYS = [KEY.public]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "sub").mkdir(parents=True)
    (root / "b.bin").write_bytes(b"weights")
    (root / "sub" / "a é.txt").write_bytes(b"")
    (root / ".hidden").write_bytes(b"seen")
    return root


def test_every_file_is_hashed_and_sorted(folder: Path) -> None:
    told: list[tuple[str, int]] = []
    found = files.hash_files(folder, progress=lambda name, size: told.append((name, size)))
    assert [file.name for file in found] == [".hidden", "b.bin", "sub/a é.txt"]
    assert found[1] == files.FileDigest("b.bin", hashlib.sha256(b"weights").hexdigest(), 7)
    assert sorted(told) == [(file.name, file.size) for file in found]
    assert files.hash_files(folder / "b.bin") == (found[1],)


def test_only_what_is_listed_is_ignored(folder: Path) -> None:
    assert [f.name for f in files.hash_files(folder, ignore=["sub", ".hidden"])] == ["b.bin"]
    assert len(files.hash_files(folder, ignore=["a é.txt"])) == 3
    with pytest.raises(InputError, match="not a path inside"):
        files.hash_files(folder, ignore=["../x"])


def test_links(folder: Path, tmp_path: Path) -> None:
    (folder / "inner").symlink_to("b.bin")
    assert len(files.hash_files(folder)) == 4
    (tmp_path / "secret").write_text("x")
    for name, target, words in [
        ("out", "../secret", "leaves the folder"),
        ("gone", "nowhere", "cannot read"),
        ("round", ".", "a loop"),
        ("self", "self", "cannot read"),
    ]:
        (folder / name).symlink_to(target)
        with pytest.raises(InputError, match=words) as caught:
            files.hash_files(folder)
        assert name in str(caught.value)
        (folder / name).unlink()


def test_what_cannot_be_hashed_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        files.hash_files(tmp_path / "absent")
    with pytest.raises(InputError, match="more than 2 files"):
        files.hash_files(folder, max_files=2)
    os.mkfifo(folder / "pipe")
    with pytest.raises(InputError, match="pipe: not a regular file"):
        files.hash_files(folder)
    (folder / "pipe").unlink()
    with open(os.fsencode(folder) + b"/\xff\x1b[31m", "wb"):
        pass
    with pytest.raises(InputError, match="not UTF-8") as caught:
        files.hash_files(folder)
    assert str(caught.value).isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_are_named(folder: Path) -> None:
    (folder / "b.bin").chmod(0)
    with pytest.raises(InputError, match=r"b\.bin"):
        files.hash_files(folder)


def test_links_that_multiply_stop_at_the_limit(tmp_path: Path) -> None:
    for level in range(20):  # 2**20 paths to one file
        (tmp_path / f"d{level}").mkdir()
        for side in "ab":
            (tmp_path / f"d{level}" / side).symlink_to(tmp_path / f"d{level + 1}")
    (tmp_path / "d20").mkdir()
    (tmp_path / "d20" / "f").write_bytes(b"")
    with pytest.raises(InputError, match="more than 50 files"):
        files.hash_files(tmp_path, max_files=50)


def test_named_files(folder: Path, tmp_path: Path) -> None:
    assert [f.name for f in files.hash_named(folder, ["b.bin", "absent", "sub/a é.txt"])] == ["b.bin", "sub/a é.txt"]
    (tmp_path / "secret").write_text("x")
    (folder / "out").symlink_to("../secret")
    for bad in ("../secret", "/etc/passwd", "out", "", "a\0b"):
        with pytest.raises(InputError):
            files.hash_named(folder, [bad])


def test_differences_are_named() -> None:
    one, two = files.FileDigest("a", "0" * 64, 1), files.FileDigest("b", "1" * 64, 1)
    changed = files.FileDigest("a", "2" * 64, 1)
    assert files.compare([one, two], [two, one]).names == ()
    assert files.compare([one], [changed, two]) == files.Difference(added=("b",), changed=("a",))
    assert files.compare([one, two], []).missing == ("a", "b")
    with pytest.raises(VerificationError, match="changed: a; not expected: b"):
        files.require_same([one], [changed, two])
    assert files.root_digest([one, two]) == files.root_digest([two, one]) != files.root_digest([changed, two])
    # The documented definition, by hand.
    assert files.root_digest([one]) == hashlib.sha256(b'[["a","' + b"0" * 64 + b'"]]').hexdigest()


def test_a_signed_folder_verifies_and_names_what_changed(folder: Path) -> None:
    envelope = sign_files(folder, [KEY], NOW, tool="assay 0.1")
    view = verify_signature(envelope, folder, KEYS, NOW)
    assert view.key_ids == (KEY.public.id,)
    assert view.signed_at == NOW
    assert [file.name for file in view.files] == [".hidden", "b.bin", "sub/a é.txt"]
    (folder / "b.bin").write_bytes(b"weighty")
    with pytest.raises(VerificationError, match=r"changed: b\.bin"):
        verify_signature(envelope, folder, KEYS, NOW)
    (folder / "b.bin").write_bytes(b"weights")
    (folder / "new").write_bytes(b"")
    with pytest.raises(VerificationError, match="not expected: new"):
        verify_signature(envelope, folder, KEYS, NOW)
    (folder / "new").unlink()
    (folder / ".hidden").unlink()
    with pytest.raises(VerificationError, match=r"missing: \.hidden"):
        verify_signature(envelope, folder, KEYS, NOW)


def test_every_flipped_bit_of_a_small_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(b"abcd")
    envelope = sign_files(path, [KEY], NOW)
    for bit in range(32):
        path.write_bytes((int.from_bytes(b"abcd", "big") ^ (1 << bit)).to_bytes(4, "big"))
        with pytest.raises(VerificationError, match=r"m\.bin"):
            verify_signature(envelope, path, KEYS, NOW)


def test_signatures_are_refused(folder: Path, tmp_path: Path) -> None:
    envelope = sign_files(folder, [KEY], NOW)
    with pytest.raises(VerificationError, match="trusted key"):
        verify_signature(envelope, folder, [generate("mallory").public], NOW)
    with pytest.raises(VerificationError, match="future"):
        verify_signature(envelope, folder, KEYS, NOW - timedelta(minutes=6))
    verify_signature(envelope, folder, KEYS, NOW - timedelta(minutes=4))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file to sign"):
        sign_files(tmp_path / "empty", [KEY], NOW)
    predicate = {"root": "0" * 64, "signed_at": NOW, "tool": "x"}
    forged = statement.sign(statement.SIGNATURE, [statement.Subject("b.bin", {"sha256": "0" * 64})], predicate, [KEY])
    with pytest.raises(VerificationError, match="contradicts itself"):
        verify_signature(forged, folder, KEYS, NOW)


def test_the_ignore_list_is_signed(folder: Path) -> None:
    envelope = sign_files(folder, [KEY], NOW, ignore=["sub"])
    (folder / "sub" / "other").write_bytes(b"x")
    assert verify_signature(envelope, folder, KEYS, NOW).ignored == ("sub",)


def test_the_signature_lies_beside(folder: Path) -> None:
    envelope = sign_files(folder, [KEY], NOW, files=files.hash_files(folder))
    assert write_signature(folder, envelope) == signature_path(folder) == folder.with_name("model.assay.sig")
    write_signature(folder, envelope)
    assert read_signature(folder) == envelope
    assert sorted(path.name for path in folder.parent.iterdir()) == ["model", "model.assay.sig"]
    signature_path(folder).unlink()
    with pytest.raises(VerificationError, match="no signature"):
        read_signature(folder)
