"""The executor on Ray: the same tasks, each in a worker of its own on any machine of the cluster."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.adapters.extras import library
from assay.core.errors import AssayError, MissingExtra
from assay.core.finding import Outcome, Status
from assay.core.protocols import Progress, silent
from assay.engine.ask import End, outcome_of
from assay.engine.pool import PRELOAD, WorkerPool
from assay.engine.registry import load
from assay.engine.task import Task
from assay.engine.zygote import preload as load_here

ADDRESS = "RAY_ADDRESS"
_TICK = 0.5
Files = dict[str, bytes]


class Slot:
    """One worker's place on a machine: a pool of one, so that limits hold there as they do here."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        load_here([module for module in preload if module not in PRELOAD])  # light ones, which make checks known
        self._pool = WorkerPool(1, preload)

    def ask(self, data: bytes, files: Files) -> tuple[bytes, float, Files]:
        """(the outcome as JSON, seconds, files that the task wrote down) of one task that is given such files."""
        task = msgspec.json.decode(data, type=Task)
        with tempfile.TemporaryDirectory(prefix="assay-ray-") as folder:
            task = replace(
                task, aside=_under(folder, "aside", task.aside), pieces=_under(folder, "pieces", task.pieces)
            )
            _write(task.pieces, files)
            ((_, outcome, seconds),) = self._pool.run([msgspec.json.encode(task)])
            given = files if task.pieces else {}
            made = {f"aside/{n}": b for n, b in _read(task.aside).items()}
            made |= {f"pieces/{n}": b for n, b in _read(task.pieces).items() if n not in given}
        return msgspec.json.encode(outcome), seconds, made


def _under(folder: str, name: str, asked: str) -> str:
    """A folder of that name where one was asked for."""
    if not asked:
        return ""
    path = Path(folder) / name
    path.mkdir()
    return str(path)


def _read(folder: str) -> Files:
    return {p.name: p.read_bytes() for p in Path(folder).iterdir() if p.is_file()} if folder else {}


def _write(folder: str, files: Files) -> None:
    for name, data in files.items():
        (Path(folder) / name).write_bytes(data)


class RayExecutor:
    """`jobs` places on the cluster that RAY_ADDRESS names, else on one of its own here, which ends with it.

    Assay must be installed on every machine, and the project lie under the same path. Raises AssayError where no
    cluster answers. Nothing is reported to Ray's makers; a cluster of its own asks for a token that is made for it, so
    that nobody else on the network can give it work.
    """

    def __init__(self, jobs: int, preload: tuple[str, ...] = PRELOAD) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported: it reports by default
        own = not os.environ.get(ADDRESS)
        if own:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        try:
            self._ray = library("ray", "ray")
        except MissingExtra as missing:
            raise AssayError(
                "ray is not installed", where="--engine ray", fix=str(missing).partition("; ")[2]
            ) from None
        alone: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False}
        try:
            context = self._ray.init(log_to_driver=False, logging_level="error", **(alone if own else {}))
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            where = os.environ.get(ADDRESS, "ray")
            fix = f"check {ADDRESS}, or leave out --engine ray"
            raise AssayError(f"no cluster answers: {type(error).__name__}", where=where, fix=fix) from None
        self.address = str(context.address_info["gcs_address"])
        self._actor, self._preload = self._ray.remote(Slot), preload
        self._slots = [self._slot() for _ in range(jobs)]

    def run(self, tasks: list[bytes], progress: Progress = silent) -> Iterator[tuple[int, Outcome, float]]:
        """(index, outcome, seconds) as tasks end. A place that is lost leaves an open outcome."""
        waiting = deque(enumerate(tasks))
        busy: dict[Any, tuple[int, Any]] = {}
        while waiting or busy:
            while waiting and self._slots:
                index, data = waiting.popleft()
                slot = self._slots.pop()
                busy[slot.ask.remote(data, _given(data))] = (index, slot)
            ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=_TICK)
            for ref in ready:
                index, slot = busy.pop(ref)
                yield index, *self._answer(ref, slot, tasks[index])
            progress(len(tasks) - len(waiting) - len(busy), len(tasks))

    def _answer(self, ref: Any, slot: Any, data: bytes) -> tuple[Outcome, float]:
        task = msgspec.json.decode(data, type=Task)
        try:
            said, seconds, files = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._slots.append(self._slot())
            lost = isinstance(error, self._ray.exceptions.RayActorError)
            why = (
                "its machine was lost, or the worker there ended without a word" if lost else "its machine cannot do it"
            )
            end = End(Status.OPEN, False, f"{why} ({type(error).__name__})")
            return outcome_of(task, load(task.check), [], end), 0.0
        self._slots.append(slot)
        folders = {"aside": task.aside, "pieces": task.pieces}
        for name, content in files.items():
            kind, _, plain = name.partition("/")
            _write(folders[kind], {Path(plain).name: content})
        return msgspec.json.decode(said, type=Outcome), seconds

    def _slot(self) -> Any:
        return self._actor.remote(self._preload)

    def close(self) -> None:
        """Leave the cluster; one of its own ends."""
        self._ray.shutdown()


def _given(data: bytes) -> Files:
    """The pieces that a task needs with it: all, where it joins them."""
    task = msgspec.json.decode(data, type=Task)
    return _read(task.pieces) if task.part is None else {}
