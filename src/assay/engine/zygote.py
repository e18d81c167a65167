"""The pool's mother process: loads the heavy rooms once, then forks a worker whenever it is asked.

    python -P -m assay.engine.zygote CONTROL_FD [MODULE …]

For each request it receives one socket over the control socket, forks, and the child serves tasks on that socket.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from contextlib import suppress

import msgspec

from assay.adapters.extras import library
from assay.core.errors import MissingExtra
from assay.engine.wire import Ready, Step, pack, receive, said

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux; elsewhere a closed socket ends it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def preload(modules: list[str]) -> None:
    """Import what the checks will need. One that is absent is met later, by the check that needs it."""
    for module in modules:
        with suppress(MissingExtra):
            library(module)


def serve(connection: socket.socket) -> None:
    """A worker: one task after another until the socket closes."""
    from assay.engine.ask import Handles, ask
    from assay.engine.registry import load
    from assay.engine.task import Task

    handles: Handles = {}
    connection.sendall(pack(Ready(os.getpid())))
    while data := receive(connection):
        task = msgspec.json.decode(data, type=Task)
        last = [0.0]

        def progress(done: float, total: float, what: str = "", last: list[float] = last) -> None:
            part = done / total if total else 0.0
            if part - last[0] >= 0.01:
                last[0] = part
                connection.sendall(pack(Step(part)))

        end = ask(task, load(task.check), lambda item: connection.sendall(pack(said(item))), progress, handles)
        connection.sendall(pack(end))


def main(control_fd: int, modules: list[str]) -> None:
    """Preload, then fork on request until the control socket closes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    control = socket.socket(fileno=control_fd)
    preload(modules)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent()
            try:
                serve(socket.socket(fileno=fds[0]))
            finally:
                os._exit(0)
        os.close(fds[0])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
