"""Nothing acknowledged is lost: killed at any moment, a full disk at any write, several writers at once."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assay.attest.keys import generate
from assay.core.errors import StorageError
from assay.ledger.entry import NewEntry
from assay.ledger.log import Ledger

# Appends until it is killed; says each entry's index only once the ledger has acknowledged it.
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from assay.ledger.entry import NewEntry
from assay.ledger.log import Ledger
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Ledger.open(path, clock=lambda: datetime.now(UTC), origin="log.example") as ledger:
    for number in range(count):
        payloads = [b"%s %d %d" % (name.encode(), number, k) for k in range(1 + number % 5)]
        group = [NewEntry("outcome", name, payload, name) for payload in payloads]
        for entry in ledger.append_many(group):
            print(entry.index, entry.payload_digest, flush=True)
"""


def clock() -> datetime:
    return datetime.now(UTC)


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def acknowledged(text: str) -> dict[int, str]:
    lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return {int(index): digest for index, digest in lines}


def check(path: Path, acks: dict[int, str]) -> int:
    with Ledger.open(path, clock=clock) as ledger:
        size = ledger.verify().size
        found = {entry.index: entry.payload_digest for entry in ledger.read()}
    assert acks.items() <= found.items()
    assert sorted(found) == list(range(size))
    return size


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.heavy)])
def test_killed_at_random_moments(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "ledger.db"
    chance = random.Random(7)
    acks: dict[int, str] = {}
    for round_ in range(rounds):
        writer = start(path, f"round{round_}", 100_000)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        writer.send_signal(signal.SIGKILL)
        acks |= acknowledged(first + writer.communicate()[0])
        assert writer.returncode == -signal.SIGKILL
        assert check(path, acks) >= len(acks) > round_


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.heavy)])
def test_killed_while_the_ledger_is_made(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "ledger.db"
    for round_ in range(rounds):
        writer = start(path, "x", 100_000)
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.008 * round_ / rounds)
        writer.kill()
        acks = acknowledged(writer.communicate()[0])
        assert check(path, acks) >= len(acks)
        for file in tmp_path.iterdir():
            file.unlink()


def test_two_processes_and_a_thread_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    writers = [start(path, name, 60) for name in ("a", "b")]
    with Ledger.open(path, clock=clock, origin="log.example", key=generate("log")) as ledger:
        notes: list[str] = []

        def sign() -> None:
            for _ in range(20):
                ledger.append("note", "", b"", "thread")
                notes.append(ledger.checkpoint())

        threads = [threading.Thread(target=sign) for _ in range(2)]
        for thread in threads:
            thread.start()
        outputs = [writer.communicate(timeout=60)[0] for writer in writers]
        for thread in threads:
            thread.join()
        assert [writer.returncode for writer in writers] == [0, 0]
        said = [acknowledged(output) for output in outputs]
        assert len(said[0]) == len(said[1]) == 180
        assert not said[0].keys() & said[1].keys()
        assert check(path, said[0] | said[1]) == 400
        assert len(notes) == 40
        for note in notes:
            assert ledger.verify(note).size == 400


def test_a_writer_that_holds_the_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, clock=clock, wait=0.05) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="another process is writing"):
            ledger.append("outcome", "", b"", "ann")
        assert ledger.size == 0
        other.execute("ROLLBACK")
        other.close()
        assert ledger.append("outcome", "", b"", "ann").index == 0


def fill_until_full(ledger: Ledger, size: int) -> dict[int, str]:
    """Append payloads of `size` until the disk is full; the digests of those that were acknowledged, by index."""
    acks: dict[int, str] = {}

    def append_on() -> None:
        for _ in range(20_000):
            entry = ledger.append("outcome", "", os.urandom(size), "ann")
            acks[entry.index] = entry.payload_digest

    with pytest.raises(StorageError, match="space") as caught:
        append_on()
    assert "\n" not in str(caught.value)
    assert ledger.size == max(acks, default=ledger.size - 1) + 1
    return acks


@pytest.mark.parametrize("full_at", [range(20, 40), pytest.param(range(16, 600), marks=pytest.mark.heavy)])
def test_a_full_database_refuses_and_recovers(tmp_path: Path, full_at: range) -> None:
    path = tmp_path / "ledger.db"
    acks: dict[int, str] = {}
    for pages in full_at:  # full at every kind of write: a table's leaf, an index, an overflow page
        with Ledger.open(path, clock=clock) as ledger:
            with ledger._store._engine.connect() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
                connection.rollback()
            acks |= fill_until_full(ledger, 700)
        assert check(path, acks) == len(acks)
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.append("outcome", "", b"x" * 100_000, "ann").index == len(acks)


Resize = Callable[[int], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A disk of 600 kB and a way to make it larger, where we may mount one."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "disk"
    place.mkdir()

    def mount(kilobytes: int, flags: int = 32) -> int:  # MS_REMOUNT
        return int(libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, b"size=%dk" % kilobytes))

    if mount(600, 0) != 0:
        pytest.skip(f"no small disk: {os.strerror(ctypes.get_errno())}")

    def resize(kilobytes: int) -> None:
        assert mount(kilobytes) == 0

    try:
        yield place, resize
    finally:
        libc.umount2(os.fsencode(place), 2)


def test_a_full_disk_refuses_and_recovers(small_disk: tuple[Path, Resize]) -> None:
    place, resize = small_disk
    path = place / "ledger.db"
    acks: dict[int, str] = {}
    with Ledger.open(path, clock=clock, key=generate("log")) as ledger:
        for number, size in enumerate((10, 1_000, 5_000, 60_000, 10, 3_000)):
            resize(600 * (number + 1))
            acks |= fill_until_full(ledger, size)
            assert ledger.verify().size == len(acks)  # readable while the disk is full
            resize(600 * (number + 1) + 200)
            entry = ledger.append("outcome", "", b"after", "ann")
            acks[entry.index] = entry.payload_digest
            ledger.checkpoint()
        assert ledger.verify().checkpoints == 6
    assert check(path, acks) == len(acks)


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))
from assay.core.errors import StorageError
try:
    exec(sys.stdin.read())
except StorageError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
"""


@pytest.mark.parametrize("limit", [5_000, 50_000, 90_000, 200_000])
def test_a_write_that_the_system_refuses(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, clock=clock, origin="log.example") as ledger:
        ledger.append("outcome", "", b"first", "ann")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), "x", "5000", str(limit)],
        input=WRITER, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert len(done.stderr.splitlines()) == 1
    acks = acknowledged(done.stdout)
    assert check(path, acks) >= len(acks) + 1
    with Ledger.open(path, clock=clock) as ledger:
        ledger.append_many([NewEntry("outcome", "", b"after", "ann")])
        assert ledger.verify().size == ledger.size


# Root may write everywhere, so the process becomes nobody once everything is imported.
READ_ONLY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from assay.core.errors import StorageError
from assay.ledger.log import Ledger
folder, now = Path(sys.argv[1]), lambda: datetime.now(UTC)
Ledger.open(folder / "ledger.db", clock=now).close()
(folder / "ledger.db").chmod(0o444)
folder.chmod(0o555)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for name in ("ledger.db", "new.db"):
    try:
        with Ledger.open(folder / name, clock=now) as ledger:
            ledger.append("outcome", "", b"", "ann")
    except StorageError as error:
        print(error)
"""


def test_a_read_only_folder() -> None:
    with tempfile.TemporaryDirectory() as folder:  # not below pytest's own folder, which nobody may enter
        Path(folder).chmod(0o755)
        command = [sys.executable, "-c", READ_ONLY, folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        Path(folder).chmod(0o755)
    assert done.returncode == 0, done.stderr
    existing, new = done.stdout.splitlines()
    assert "ledger.db: the ledger " in existing
    assert "writable" in existing
    assert "new.db: the ledger cannot be opened" in new
