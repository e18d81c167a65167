"""Hashing with every core, and remembered digests: the same digests, and none of bytes that nobody read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from assay.attest import hashing, remembered
from assay.attest.files import hash_files
from assay.attest.hashing import FileDigest, Job, OddFileError, hash_all
from assay.attest.remembered import REST, Remembered

SECRET = b"s" * 32
OLD = 1_700_000_000_000_000_000


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files below, at and above every size at which hashing goes another way."""
    monkeypatch.setattr(hashing, "BLOCK", 64)
    monkeypatch.setattr(hashing, "LARGE", 100)
    monkeypatch.setattr(hashing, "AHEAD", 1000)
    monkeypatch.setattr(remembered, "WORTH", 1000)
    root = tmp_path / "model"
    root.mkdir()
    for size in (0, 1, 63, 64, 65, 99, 100, 128, 999, 1000, 1024, 5000):
        (root / f"{size}.bin").write_bytes(os.urandom(size))
    return root


def expected(root: Path) -> tuple[FileDigest, ...]:
    files = ((p.name, p.read_bytes()) for p in root.iterdir())
    return tuple(sorted(FileDigest(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in files))


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_every_size_and_any_number_of_threads(model: Path, workers: int) -> None:
    told: list[tuple[float, float]] = []
    jobs = [Job(p.name, str(p), p.stat().st_size) for p in model.iterdir()]
    found = hash_all(jobs, workers=workers, progress=lambda done, total, what="": told.append((done, total)))
    assert found == expected(model)
    total = sum(job.size for job in jobs)
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("name", ["65.bin", "100.bin", "5000.bin"])
@pytest.mark.parametrize("how", ["grows", "shrinks", "is written", "is replaced"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    model: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    path = model / name
    read, readv, done = os.read, os.readv, []

    def change(descriptor: int) -> None:
        if not done and os.path.samestat(os.fstat(descriptor), path.stat()):
            done.append(how)
            data = path.read_bytes()
            if how == "is replaced":
                path.with_suffix(".new").write_bytes(data)
                path.with_suffix(".new").rename(path)
            elif how == "is written":
                path.write_bytes(data)
                os.utime(path, ns=(OLD, OLD))
            else:
                path.write_bytes(data + b"x" if how == "grows" else data[:-1])

    monkeypatch.setattr(os, "read", lambda fd, n: (change(fd), read(fd, n))[1])
    monkeypatch.setattr(os, "readv", lambda fd, blocks: (change(fd), readv(fd, blocks))[1])
    with pytest.raises(OddFileError, match=f"{name}: (changed while|holds another number)"):
        hash_files(model)
    assert done == [how]


def test_a_read_that_fails_is_told_by_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", fail)
    with pytest.raises(Exception, match=r"(1000|1024|5000)\.bin: cannot read: input/output error"):
        hash_files(model)


def rest(root: Path) -> None:
    """Let every file be old enough to be remembered."""
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(OLD, OLD))


class _Patient(Remembered):
    """Takes every file for rested, as if two seconds had passed."""

    def put(self, name: str, status: os.stat_result, sha256: str, begun: int) -> None:
        super().put(name, status, sha256, begun + 10 * REST)


def hashed(model: Path, folder: Path, kind: type[Remembered] = _Patient, secret: bytes = SECRET) -> int:
    """Hash, remember; how many digests came from memory."""
    known = kind(model, secret, folder=folder)
    assert hash_files(model, known=known) == expected(model)
    known.save()
    return known.used


def test_only_what_changed_is_read_again(model: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    count = len(list(model.iterdir()))
    assert [hashed(model, memory) for _ in range(2)] == [0, count]
    (model / "65.bin").write_bytes(os.urandom(65))
    assert hashed(model, memory) == count - 1
    before = (model / "999.bin").stat()
    (model / "999.bin").write_bytes(os.urandom(999))
    os.utime(model / "999.bin", ns=(before.st_atime_ns, before.st_mtime_ns))  # the size and the mtime of before
    assert hashed(model, memory) == count - 1
    (model / "1.bin").unlink()
    assert hashed(model, memory) == count - 1
    known = _Patient(model, SECRET, trust=False, folder=memory)
    assert (hash_files(model, known=known), known.used) == (expected(model), 0)


def test_a_file_that_has_not_rested_is_not_remembered(model: Path, tmp_path: Path) -> None:
    rest(model)  # the mtime is old, but ctime says that someone was here just now
    assert [hashed(model, tmp_path / "memory", Remembered) for _ in range(2)] == [0, 0]


def test_a_memory_that_another_wrote_is_none(model: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    count = len(list(model.iterdir()))
    hashed(model, memory)
    (file,) = memory.iterdir()
    good = file.read_bytes()
    forged = good.replace(expected(model)[0].sha256.encode(), b"0" * 64)
    for bad in (forged, good[:-1], b"", b"\n", b"{}", os.urandom(100), good[:64] + b"\n" + b"[" * 5000):
        file.write_bytes(bad)
        assert hashed(model, memory) == 0
    file.write_bytes(good)
    assert hashed(model, memory) == count
    assert hashed(model, memory, secret=b"t" * 32) == 0
    other = tmp_path / "other"
    model.rename(other)  # the same inodes under another path: another model's memory
    (moved,) = memory.iterdir()
    name = Remembered(other, SECRET, folder=memory)._path
    moved.rename(name)
    assert hashed(other, memory) == 0


def test_a_small_model_leaves_nothing_behind(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "WORTH", 10_000_000)
    assert [hashed(model, tmp_path / "memory") for _ in range(2)] == [0, 0]
    assert not (tmp_path / "memory").exists()


def test_a_memory_that_cannot_be_kept_fails_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert hashed(model, tmp_path / "file" / "memory") == 0
