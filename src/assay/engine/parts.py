"""Checks whose work is shared: cut into parts, each kept sealed until the whole is done, then joined."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from assay.core.files import running
from assay.core.finding import Outcome
from assay.core.share import parts_of
from assay.engine.ask import piece_path
from assay.engine.registry import load
from assay.engine.sealed import Sealed
from assay.engine.task import Task, cache_key

PREFIX = "assay-pieces-"


def count(task: Task) -> int:
    """Into how many tasks the work is cut. What has no digest (an endpoint) is asked by one worker at a time."""
    named = load(task.check).spec.parts
    if not named or not task.target.digest:
        return 1
    rows = task.parameters.get(named)
    return parts_of(rows) if isinstance(rows, int) else 1


def _sweep() -> None:
    """Remove the pieces of runs that were killed: they hold values."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):
            if (
                pid.isdigit()
                and folder.lstat().st_uid == os.getuid()
                and not folder.is_symlink()
                and not running(int(pid))
            ):
                shutil.rmtree(folder, ignore_errors=True)


class Parts:
    """The parts of some tasks. With `kept`, those that an interrupted run had done are taken from there.

    Use as a context manager: the folder of pieces, which hold values, lives no longer.
    """

    def __init__(self, kept: Sealed | None) -> None:
        self._kept = kept
        _sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")
        self._keys: dict[str, str] = {}

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def cut(self, task: Task, name: str) -> tuple[Task, list[Task]]:
        """(what joins the parts, the parts that are not there yet) of a task that is to be cut."""
        pieces = Path(self._folder.name) / name
        pieces.mkdir()
        whole = replace(task, of=count(task), pieces=str(pieces))
        self._keys[whole.pieces] = cache_key(task, load(task.check).spec)
        parts = [replace(whole, part=part) for part in range(whole.of)]
        return whole, [part for part in parts if not self._found(part)]

    def ended(self, part: Task, outcome: Outcome) -> None:
        """Keep what a part made, or why it made nothing."""
        assert part.part is not None
        path = piece_path(part, part.part)
        if not path.exists():
            path.with_suffix(".why").write_text(outcome.reason, "utf-8")
        elif self._kept is not None:
            self._kept.put(self._key(part), path.read_bytes())

    def done(self, whole: Task, outcome: Outcome) -> None:
        """Forget the pieces of a check that has its answer."""
        if self._kept is not None and outcome.complete:
            for part in range(whole.of):
                self._kept.drop(self._key(replace(whole, part=part)))

    def _found(self, part: Task) -> bool:
        data = self._kept.get(self._key(part)) if self._kept is not None else None
        if data is None:
            return False
        assert part.part is not None
        with suppress(OSError):
            piece_path(part, part.part).write_bytes(data)
            return True
        return False

    def _key(self, part: Task) -> str:
        return f"{self._keys[part.pieces]}.{part.part}"
