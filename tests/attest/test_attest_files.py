"""Files and their digests: what cannot be hashed is refused by name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from assay.attest import files
from assay.core.errors import InputError, VerificationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    (root / "sub").mkdir(parents=True)
    (root / "b.bin").write_bytes(b"weights")
    (root / "sub" / "a é.txt").write_bytes(b"")
    (root / ".hidden").write_bytes(b"seen")
    return root


def test_every_file_is_hashed_and_sorted(folder: Path) -> None:
    told: list[tuple[float, float]] = []
    found = files.hash_files(folder, progress=lambda done, total, what="": told.append((done, total)))
    assert [file.name for file in found] == [".hidden", "b.bin", "sub/a é.txt"]
    assert found[1] == files.FileDigest("b.bin", hashlib.sha256(b"weights").hexdigest(), 7)
    assert told[-1] == (11, 11)
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
