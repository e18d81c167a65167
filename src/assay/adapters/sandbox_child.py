"""The child process that alone unpickles a model: builds its walls, proves them by trying to break out, then serves.

Started by `sandbox.py` with `python -I`. Speaks frames on stdin/stdout: one tag byte, eight bytes of length, payload.
Runs on the standard library until the walls stand; numpy and the model's library are imported inside them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import struct
import sys
from collections.abc import Iterator
from typing import Any

if __name__ == "__main__":
    # `-I` leaves the package's own folder off the path; it goes away again before anything untrusted is read.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from assay.adapters import sandbox_estimator as estimator
from assay.adapters import sandbox_kernel as kernel
from assay.adapters import sandbox_tensors as tensors
from assay.adapters import sandbox_trees as trees
from assay.adapters.sandbox_strides import Refused

Frame = tuple[bytes, bytes]


def main() -> None:
    """Read the configuration, wall in, prove, then load and score on request until stdin closes."""
    del sys.path[0]
    pipe_in, pipe_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)
    tag, payload = _receive(pipe_in)
    if tag != b"C":
        return
    config = json.loads(payload)
    keep = {0, 1, 2, pipe_in, pipe_out, config["model"]}
    for number in os.listdir("/proc/self/fd"):
        if int(number) not in keep:
            _quietly(os.close, int(number))
    isolation = _wall_in(config, pipe_in, pipe_out)
    _send(pipe_out, b"I", json.dumps(isolation).encode())
    serving = _Serving(config, pipe_out)
    while True:
        tag, payload = _receive(pipe_in)
        try:
            if not serving.answer(tag, payload):
                return
        except Refused as error:
            words = [text.encode("utf-8", "backslashreplace").decode()[:2000] for text in (str(error), error.fix)]
            _send(pipe_out, b"R", json.dumps(words).encode())
        except Exception as error:
            # The model's libraries raise anything; the parent gets one line and decides.
            _send(pipe_out, b"E", f"{type(error).__name__}: {error}"[:2000].encode("utf-8", "replace"))


class _Serving:
    """What was loaded, and the answers to the parent's frames."""

    def __init__(self, config: dict[str, Any], pipe_out: int) -> None:
        self._config, self._pipe = config, pipe_out
        self._model: Any = None
        self._contents: Any = None

    def answer(self, tag: bytes, payload: bytes) -> bool:
        """Answer one frame; False where it is none."""
        number = self._config["model"]
        if tag == b"L":  # load
            ask = json.loads(payload) if payload else {}
            self._model, meta = estimator.load(number, self._config["path"], ask.get("trusted"))
            _send(self._pipe, b"M", json.dumps(meta).encode())
        elif tag == b"P":  # predict
            _send(self._pipe, b"S", estimator.score(self._model, payload))
        elif tag == b"F":  # fit again
            _send(self._pipe, b"F", json.dumps(estimator.train(self._model, payload)).encode())
        elif tag == b"X":  # forget what was fitted again
            _send(self._pipe, b"X", json.dumps(estimator.forget(self._model, json.loads(payload))).encode())
        elif tag == b"A":  # all that a method answers
            _send(self._pipe, b"A", estimator.answers(self._model, payload))
        elif tag == b"U":  # untrusted types of a skops file
            _send(self._pipe, b"U", json.dumps(estimator.untrusted(number, self._config["path"])).encode())
        elif tag == b"T":  # tensors by name
            self._contents = tensors.read(number, json.loads(payload)["kind"])
            _send(self._pipe, b"T", json.dumps(self._contents.facts()).encode("utf-8", "surrogatepass"))
        elif tag == b"G":  # get one
            self._stream(self._contents.stream(json.loads(payload)["name"]))
        elif tag == b"K":  # keep the estimator in another format
            self._stream(estimator.kept(self._model, json.loads(payload)))
        elif tag == b"N":  # nodes of its trees
            self._stream(trees.nodes(self._model, json.loads(payload)))
        elif tag == b"V":  # values that the trees read
            _send(self._pipe, b"V", trees.derived(self._model, payload))
        else:
            return False
        return True

    def _stream(self, blocks: Iterator[bytes]) -> None:
        """Blocks as frames; the last one is the digest of those before."""
        last = None
        for block in blocks:
            if last is not None:
                _send(self._pipe, b"D", last)
            last = block
        _send(self._pipe, b"Z", last or b"")


def _quietly(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except OSError:
        return


def _receive(pipe: int) -> Frame:
    head = _exactly(pipe, 9)
    if len(head) < 9:
        return b"", b""
    return head[:1], _exactly(pipe, struct.unpack("<Q", head[1:])[0])


def _exactly(pipe: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        block = os.read(pipe, min(size - len(parts), 1 << 20))
        if not block:
            return b""
        parts += block
    return bytes(parts)


def _send(pipe: int, tag: bytes, payload: bytes) -> None:
    for part in (tag + struct.pack("<Q", len(payload)), payload):
        view = memoryview(part)
        while view:
            view = view[os.write(pipe, view) :]


def _wall_in(config: dict[str, Any], pipe_in: int, pipe_out: int) -> dict[str, Any]:
    """Raise every wall that the kernel offers, then try to get through them; the facts for the parent to judge."""
    without = set(config["without"])
    missing: list[str] = []
    with open(config["canary"], "rb") as file:
        canary_seen = file.read().decode() == config["secret"]
    namespaces = [] if "namespaces" in without else kernel.enter_namespaces()
    _leave_a_watcher_outside(pipe_in, pipe_out, config["canary"])
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    walls: dict[str, Any] = {}
    for name, build in (
        ("landlock", lambda: kernel.restrict_files(config["readable"])),
        ("rlimits", lambda: kernel.limit_resources(config["memory"], config["cpu"])),
    ):
        walls[name] = _build(name, build, without, missing)
    proofs = {
        "read": _attempt(lambda: os.open(config["canary"], os.O_RDONLY)),
        "write": _attempt(lambda: os.open("proof", os.O_WRONLY | os.O_CREAT, 0o600)),
    }
    walls["capabilities"] = _build("capabilities", kernel.drop_capabilities, without, missing)
    walls["seccomp"] = _build("seccomp", kernel.filter_syscalls, without, missing)
    proofs |= _prove(config)
    if not canary_seen:
        proofs["read"] = "the canary was not readable before"
    held = {"EPERM", "EACCES", "ENOMEM", "ENOSYS", "EFBIG", "EROFS"}
    missing += [f"proof of {name} ({result})" for name, result in proofs.items() if result not in held]
    return {
        "landlock_abi": walls["landlock"] or 0,
        "seccomp": walls["seccomp"] is not None,
        "rlimits": walls["rlimits"] is not None,
        "namespaces": namespaces,
        "proofs": proofs,
        "full": not missing,
        "missing": missing,
    }


def _build(name: str, build: Any, without: set[str], missing: list[str]) -> Any:
    """What `build` returns (True for nothing), or None with the reason noted."""
    if name in without:
        missing.append(name)
        return None
    try:
        result = build()
    except (OSError, KeyError, ValueError) as error:
        missing.append(f"{name} ({error})")
        return None
    return True if result is None else result


def _leave_a_watcher_outside(pipe_in: int, pipe_out: int, canary: str) -> None:
    """Go on in a new process (the first of the new PID namespace); the old one ends it when the parent is gone.

    Else a model that loops forever would outlive a parent that was killed. Nor can such a parent take away the folder
    of the `canary`: the old process does, as far as there is nothing else in it.
    """
    parent = os.getppid()
    sign_of_life, held_open = os.pipe()
    inner = os.fork()
    if not inner:
        os.close(sign_of_life)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    os.close(held_open)
    os.close(pipe_out)
    ends = select.poll()
    # Nothing is read here: the parent's end closing is told even when no event is asked for.
    ends.register(pipe_in, 0)
    ends.register(sign_of_life, 0)
    ends.poll()
    os.kill(inner, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    if os.getppid() != parent:
        home = os.path.dirname(canary)
        for remove, path in ((os.unlink, canary), (os.rmdir, os.path.join(home, "cwd")), (os.rmdir, home)):
            _quietly(remove, path)
    os._exit(code if code >= 0 else 128 - code)


def _attempt(action: Any) -> str:
    """The name of the errno with which `action` fails, or "succeeded"."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except MemoryError:
        return "ENOMEM"
    return "succeeded"


def _prove(config: dict[str, Any]) -> dict[str, str]:
    """Try what untrusted code would try. Every answer must be a refusal."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(function: str, *arguments: Any) -> None:
        if getattr(libc, function)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), function)

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    return {
        "socket": _attempt(lambda: call("socket", 2, 1, 0)),
        "local socket": _attempt(lambda: call("socket", 1, 1, 0)),
        "fork": _attempt(fork),
        "signal": _attempt(lambda: os.kill(os.getpid(), 0)),
        "owner": _attempt(lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())),
        "mode": _attempt(lambda: os.chmod(config["canary"], 0o600)),
        "create": _attempt(lambda: os.mkdir("proof.d")),
        "memory": _attempt(lambda: mmap.mmap(-1, config["memory"] + (1 << 20))),
        # Were it allowed, the process would be replaced and never send this proof.
        "exec": _attempt(lambda: os.execv(sys.executable, [sys.executable, "-I", "-c", ""])),  # noqa: S606
    }


if __name__ == "__main__":
    main()
