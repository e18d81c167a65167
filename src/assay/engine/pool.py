"""A warm pool of killable workers: time and memory limits hold because a worker that breaks them is killed."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator

import msgspec

from assay.core.check import Yielded
from assay.core.errors import AssayError, os_words
from assay.core.finding import Outcome, Status
from assay.core.protocols import Progress, silent
from assay.engine.ask import End, outcome_of
from assay.engine.registry import load
from assay.engine.task import Task
from assay.engine.wire import Inbox, Ready, Said, Step, frame

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LOADED = {
    "numpy": ("numpy",), "pyarrow": ("pyarrow", "pyarrow.compute"), "duckdb": ("duckdb",), "scipy": ("scipy.stats",),
    "scikit-learn": ("sklearn.ensemble",), "lightgbm": ("lightgbm",), "onnxruntime": ("onnxruntime",),
}  # fmt: skip
"""What is loaded once, before workers are forked, where a check names a library."""
ROOMS = ("assay.adapters.tables", "assay.adapters.cases")
PRELOAD = ("msgspec", *(module for modules in LOADED.values() for module in modules), *ROOMS)
_TICK = 0.2


def modules_for(tasks: list[Task]) -> tuple[str, ...]:
    """What workers for these tasks need to have loaded: a run that asks nothing of a model loads no learner."""
    named = {library for task in tasks for library in load(task.check).spec.libraries}
    modules = [module for library, own in LOADED.items() if library in named for module in own]
    return ("msgspec", *modules, *(ROOMS if modules else ()))


class _WorkerLost(Exception):  # noqa: N818 - it ends one task, it is no failure of the pool
    """A worker closed its socket, or sent what no honest worker sends."""


class _Worker:
    """One forked process and the task it has now."""

    def __init__(self, control: socket.socket) -> None:
        self.socket, theirs = socket.socketpair()
        try:
            socket.send_fds(control, [b"w"], [theirs.fileno()])
        except OSError:
            fix = "set ASSAY_DEBUG=1 to see why"
            raise AssayError("the worker processes could not be started", fix=fix) from None
        finally:
            theirs.close()
        self.inbox = Inbox()
        self.pid = 0
        self.index = -1
        self.task: Task | None = None
        self.items: list[Yielded] = []
        self.started = 0.0
        self.part = 0.0

    def give(self, index: int, data: bytes) -> None:
        self.index, self.task = index, msgspec.json.decode(data, type=Task)
        self.items, self.started, self.part = [], time.perf_counter(), 0.0
        self.socket.sendall(frame(data))

    def over_limit(self) -> str:
        """Why this worker must be stopped now, or ""."""
        assert self.task is not None
        limits = self.task.limits
        if time.perf_counter() - self.started > limits.seconds:
            return f"stopped at its limit of {limits.seconds:g} s"
        if self.pid and resident(self.pid) > limits.bytes:
            return f"stopped at its limit of {limits.bytes // 1024**2} MB of memory"
        return ""

    def stop(self) -> None:
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                self.pid = 0
        self.socket.close()


def resident(pid: int) -> int:
    """Resident bytes of a process, 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class WorkerPool:
    """`jobs` warm workers forked from one process that has loaded the heavy rooms. Kill one, the rest go on."""

    def __init__(self, jobs: int, preload: tuple[str, ...] = PRELOAD) -> None:
        self.jobs = max(1, jobs)
        self._workers: list[_Worker] = []
        self._control, theirs = socket.socketpair()
        threads = str(max(1, (os.cpu_count() or 1) // self.jobs))
        quiet = None if os.environ.get("ASSAY_DEBUG") else subprocess.DEVNULL
        try:
            self._mother = subprocess.Popen(
                [sys.executable, "-P", "-m", "assay.engine.zygote", str(theirs.fileno()), *preload],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, threads)},
                stdin=subprocess.DEVNULL,
                stdout=quiet,
                stderr=quiet,
                start_new_session=True,
            )
        except OSError as error:
            self._control.close()
            what = f"the worker processes could not be started: {os_words(error)}"
            raise AssayError(what, where=sys.executable, fix="check that you may run it") from None
        finally:
            theirs.close()

    def run(self, tasks: list[bytes], progress: Progress = silent) -> Iterator[tuple[int, Outcome, float]]:
        """(index, outcome, seconds) as tasks end. A worker that dies leaves an open outcome with what it had said."""
        waiting = deque(enumerate(tasks))
        done = 0
        with selectors.DefaultSelector() as selector:
            for worker in self._fill(min(self.jobs, len(tasks))):
                selector.register(worker.socket, selectors.EVENT_READ, worker)
                self._next(worker, waiting)
            while done < len(tasks):
                ended = self._listen(selector)
                ended += self._enforce({id(w) for w, _ in ended})
                for worker, end in ended:
                    yield self._outcome(worker, end)
                    done += 1
                    if worker.socket.fileno() < 0:
                        worker = self._replace(worker, selector)
                    self._next(worker, waiting)
                parts = sum(w.part for w in self._workers if w.task is not None)
                progress(done + parts, len(tasks), next((w.task.check for w in self._workers if w.task), ""))

    def _fill(self, count: int) -> list[_Worker]:
        while len(self._workers) < count:
            self._workers.append(_Worker(self._control))
        return self._workers[:count]

    @staticmethod
    def _next(worker: _Worker, waiting: deque[tuple[int, bytes]]) -> None:
        worker.task = None
        if waiting:
            worker.give(*waiting.popleft())

    def _listen(self, selector: selectors.BaseSelector) -> list[tuple[_Worker, End]]:
        ended = []
        for key, _ in selector.select(_TICK):
            worker: _Worker = key.data
            try:
                end = self._read(worker)
            except _WorkerLost:
                selector.unregister(worker.socket)
                worker.stop()
                why = "the worker ended without a word (a library crashed, the system killed it, or memory ran out)"
                end = End(Status.OPEN, False, why)
            if end is not None:
                ended.append((worker, end))
        return ended

    @staticmethod
    def _read(worker: _Worker) -> End | None:
        """How its task ended, if it said so. Raises _WorkerLost when nothing more can come from it."""
        try:
            data = worker.socket.recv(1 << 20)
            messages = worker.inbox.feed(data)
        except (OSError, ValueError, msgspec.DecodeError):
            raise _WorkerLost from None
        if not data:
            raise _WorkerLost
        for message in messages:
            if isinstance(message, Ready):
                worker.pid = message.pid
                worker.started = time.perf_counter()
            elif isinstance(message, Step):
                worker.part = message.part
            elif isinstance(message, Said):
                worker.items.append(message.item)
            else:
                return message
        return None

    def _enforce(self, ended: set[int]) -> list[tuple[_Worker, End]]:
        stopped = []
        for worker in self._workers:
            if worker.task is None or id(worker) in ended:
                continue
            why = worker.over_limit()
            if why:
                worker.stop()
                stopped.append((worker, End(Status.OPEN, False, why)))
        return stopped

    @staticmethod
    def _outcome(worker: _Worker, end: End) -> tuple[int, Outcome, float]:
        assert worker.task is not None
        outcome = outcome_of(worker.task, load(worker.task.check), worker.items, end)
        return worker.index, outcome, time.perf_counter() - worker.started

    def _replace(self, worker: _Worker, selector: selectors.BaseSelector) -> _Worker:
        fresh = _Worker(self._control)
        self._workers[self._workers.index(worker)] = fresh
        # A socket that was closed unregisters itself from the kernel; drop the stale map entry too.
        for key in [k for k in selector.get_map().values() if k.data is worker]:
            selector.unregister(key.fileobj)
        selector.register(fresh.socket, selectors.EVENT_READ, fresh)
        return fresh

    def close(self) -> None:
        """Kill the workers and their mother. Safe to call twice."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self._control.close()
        self._mother.kill()
        self._mother.wait()
