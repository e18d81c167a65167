"""Work that is shared: any number of workers gives one answer, parts that were done are not done again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from test_engine_ask import task_for

from assay.core.finding import Status
from assay.core.protocols import silent
from assay.core.share import parts_of
from assay.engine.inline import InlineExecutor
from assay.engine.parts import Parts, count
from assay.engine.pool import WorkerPool
from assay.engine.run import Ran, run
from assay.engine.sealed import Sealed
from assay.engine.task import Task

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the pool forks; this system cannot")
SECRET = b"s" * 32


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_WORKED", str(tmp_path / "worked.txt"))


def shared(folder: Path, **parameters: Any) -> Task:
    """The check that adds up 0 to 349, a hundred at a time."""
    return task_for("shared", folder, parameters=parameters)


def asked(folder: Path, jobs: int, kept: Sealed | None = None, **parameters: Any) -> Ran:
    tasks = [shared(folder, **{"rows": 350, **parameters}), task_for("fails", folder)]
    return run(tasks, None, lambda _: WorkerPool(jobs, preload=("engine_preload",)), silent, kept)


def worked(folder: Path) -> list[int]:
    path = folder / "worked.txt"
    return sorted(int(line) for line in path.read_text().split()) if path.exists() else []


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (1, 1), (100, 1), (101, 2), (350, 4)])
def test_rows_are_cut_by_their_number_alone(rows: int, parts: int, tmp_path: Path) -> None:
    assert parts_of(rows) == parts
    assert count(shared(tmp_path, rows=rows)) == parts


def test_a_check_that_shares_nothing_or_a_subject_without_digest_is_not_cut(tmp_path: Path) -> None:
    task = shared(tmp_path, rows=350)
    named = {name: replace(subject, digest="") for name, subject in task.subjects.items()}
    assert count(task_for("clean", tmp_path)) == 1
    assert count(replace(task, subjects=named)) == 1


def test_any_number_of_workers_gives_what_one_alone_gives(tmp_path: Path) -> None:
    tasks = [shared(tmp_path, rows=350), task_for("fails", tmp_path)]
    ((_, alone, _), (_, other, _)) = InlineExecutor().run([msgspec.json.encode(t) for t in tasks])
    assert alone.measures[0].value == sum(range(350))
    assert [f.key for f in alone.findings] == ["before"]
    for jobs in (1, 3):
        (tmp_path / "worked.txt").unlink()
        ran = asked(tmp_path, jobs)
        assert ran.outcomes == (alone, other)
        assert worked(tmp_path) == [0, 1, 2, 3]


def test_parts_that_were_done_are_not_done_again(tmp_path: Path) -> None:
    kept = Sealed(tmp_path / "kept", SECRET, "piece")
    with Parts(kept) as parts:  # a run that was killed after its second part
        _, todo = parts.cut(shared(tmp_path, rows=350), "0")
        with_pool = WorkerPool(1, preload=("engine_preload",))
        for index, outcome, _ in with_pool.run([msgspec.json.encode(t) for t in todo[:2]]):
            parts.ended(todo[index], outcome)
        with_pool.close()
    assert worked(tmp_path) == [0, 1]
    ran = asked(tmp_path, 2, kept)
    assert ran.outcomes[0].measures[0].value == sum(range(350))
    assert worked(tmp_path) == [0, 1, 2, 3]
    assert not list((tmp_path / "kept").rglob("*.piece"))  # they hold values, and nothing needs them any more


def test_a_piece_that_somebody_else_wrote_or_tore_is_done_again(tmp_path: Path) -> None:
    for secret, torn in ((b"t" * 32, False), (SECRET, True)):
        kept = Sealed(tmp_path / "kept", secret, "piece")
        with Parts(kept) as parts:
            whole, _ = parts.cut(shared(tmp_path, rows=350), "0")
            part = replace(whole, part=0)
            (Path(part.pieces) / "0.piece").write_bytes(b"1000000")
            parts.ended(part, run([task_for("clean", tmp_path)], None, InlineExecutor, silent).outcomes[0])
        (stored,) = (tmp_path / "kept").rglob("*.piece")
        if torn:
            stored.write_bytes(stored.read_bytes()[:-2])
        ran = asked(tmp_path, 1, Sealed(tmp_path / "kept", SECRET, "piece"))
        assert ran.outcomes[0].measures[0].value == sum(range(350))


def test_pieces_of_a_run_that_was_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead, mine = tmp_path / f"assay-pieces-{int(gone.stdout)}-x", tmp_path / f"assay-pieces-{os.getpid()}-x"
    for folder in (dead, mine):
        folder.mkdir()
        (folder / "0.piece").write_bytes(b"values")
    with Parts(None):
        assert not dead.exists()
        assert mine.exists()


def test_a_part_that_could_not_look_leaves_the_whole_open(tmp_path: Path) -> None:
    kept = Sealed(tmp_path / "kept", SECRET, "piece")
    ran = asked(tmp_path, 2, kept, dark=2)
    assert ran.outcomes[0].status is Status.OPEN
    assert ran.outcomes[0].reason == "it was dark there"
    assert [f.key for f in ran.outcomes[0].findings] == ["before"]
    assert len(list((tmp_path / "kept").rglob("*.piece"))) == 3  # those that were done are kept for the next run


def test_pieces_that_nobody_came_back_for_are_swept(tmp_path: Path) -> None:
    kept = Sealed(tmp_path, SECRET, "piece")
    kept.put("sha256:aabb", b"old")
    kept.put("sha256:ccdd", b"new")
    (old,) = tmp_path.glob("aa/*.piece")
    os.utime(old, (0, 0))
    kept.sweep(60.0)
    assert (kept.get("sha256:aabb"), kept.get("sha256:ccdd")) == (None, b"new")


class Halfway(InlineExecutor):
    """Tells before each outcome that the next task is nearly done too, as two workers do."""

    def run(self, tasks: list[bytes], progress: Any = silent) -> Any:
        for at, each in enumerate(super().run(tasks)):
            progress(min(at + 1.9, len(tasks)), len(tasks), "two at once")
            yield each


def test_how_far_it_is_never_falls_whatever_is_cut_or_ends_first(tmp_path: Path) -> None:
    kept = Sealed(tmp_path / "kept", SECRET, "piece")
    tasks = [task_for("instant", tmp_path), shared(tmp_path, rows=350, dark=2)]
    for first in ([], [0, 1, 2, 3]):
        told: list[float] = []
        assert worked(tmp_path) == first
        run(tasks, None, lambda _: Halfway(), lambda done, total, what="": told.append(done / total), kept)  # noqa: B023
        assert told == sorted(told)
        assert told[-1] == 1
        assert told[0] <= (0.2 if not first else 0.7), "what is to come counts from the first line on"
