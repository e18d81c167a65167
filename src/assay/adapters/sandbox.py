"""The parent's side of the pickle sandbox: start the walled-in child, judge its proof, ask it for scores, kill it.

The parent never unpickles. It reads frames of bounded size under a deadline, and whatever goes wrong is CouldNotLook.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import site
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from assay.adapters import sandbox_child
from assay.adapters.extras import library, package
from assay.core.errors import CouldNotLook, os_words
from assay.core.protocols import ArrowTable, FloatArray
from assay.core.text import visible

_MAX_NOTE = 4 << 20
_MAX_BLOCK = 32 << 20
_MAX_ANSWERS = 1 << 30
_ABSENT = re.compile(r"ModuleNotFoundError: No module named '([A-Za-z0-9_]+)")
_OF_ROWS = frozenset({"predicting", "training again"})  # in which a library's words may quote values of rows
# What interpreters and numeric libraries read beside their own folders: the linker's cache, the machine's processors.
_SYSTEM = (
    *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/localtime"),
    *("/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo"),
    "/proc/self/maps",  # of the child itself: threadpoolctl finds the libraries that scikit-learn runs on there
    *("/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup"),
)


class NotHeld(CouldNotLook):
    """The child read the file, and says why what it holds cannot be kept: `what`, and a `fix` if it knows one."""

    def __init__(self, where: str, what: str, fix: str) -> None:
        super().__init__(f"{where}: {what}")
        self.what, self.fix = what, fix


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the child may use: bytes of address space, CPU seconds in all, seconds to start, load, answer and train."""

    memory: int = 4 << 30
    cpu: int = 3600
    start: float = 30.0
    load: float = 120.0
    answer: float = 120.0
    train: float = 600.0


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """What walls stood when the model was loaded. `proofs` are break-out attempts and the errno that stopped each.

    `full` when Landlock, seccomp, rlimits and dropped capabilities are in force and every proof is a refusal;
    namespaces come on top where the kernel allows them. `missing` says what was not there.
    """

    landlock_abi: int
    seccomp: bool
    rlimits: bool
    namespaces: tuple[str, ...]
    proofs: dict[str, str]
    full: bool
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.full:
            lacks = ", ".join(visible(m, 80) for m in self.missing) or "a wall"
            return f"loaded in a weak sandbox, which lacks {lacks}"
        spaces = ", ".join(self.namespaces) or "none allowed here"
        return f"loaded in a full sandbox: Landlock {self.landlock_abi}, seccomp, rlimits; namespaces: {spaces}"


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says of the estimator that it loaded: `methods` score, `answers` are all that can be compared."""

    type: str
    methods: tuple[str, ...]
    module: str = ""
    answers: tuple[str, ...] = ()
    classes: tuple[str | int | float | bool, ...] | None = None
    features: tuple[str, ...] | None = None
    width: int | None = None
    warnings: tuple[str, ...] = ()


class Sandbox:
    """One child process around one model file. Start it, look at `isolation`, then `load` and `scores`."""

    def __init__(
        self,
        model: BinaryIO,
        where: str,
        *,
        limits: Limits | None = None,
        modules: Path | None = None,
        weak: bool = False,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Start the child on an open model file and judge its isolation.

        `modules` is a folder that the model's own classes may be imported from. `without` leaves walls out, to show
        what happens without them. Raises CouldNotLook when isolation is not full, unless `weak`.
        """
        self._where, self._limits = where, limits or Limits()
        self._home: Path | None = None
        self._child: subprocess.Popen[bytes] | None = None
        try:
            config = self._configuration(model, modules, without)
            self._child = self._start(model, Path(config["canary"]).with_name("cwd"))
            self._send(b"C", json.dumps(config).encode(), self._limits.start, "starting")
            reply = self._receive(b"I", _MAX_NOTE, self._limits.start, "starting")
            self.isolation: Isolation = self._decode(reply, Isolation)
            if not self.isolation.full and not weak:
                missing = ", ".join(visible(m, 80) for m in self.isolation.missing) or "full isolation"
                raise CouldNotLook(f"{where}: not loaded, the sandbox lacks {missing}; --weak-sandbox accepts that")
        except BaseException:
            self.close()
            raise

    def load(self, trusted: tuple[str, ...] | None = None) -> ModelFacts:
        """Unpickle the model in the child; with `trusted` types, read it as a skops file. Raises CouldNotLook."""
        payload = b"" if trusted is None else json.dumps({"trusted": trusted}).encode()
        facts: ModelFacts = self.ask(b"L", payload, b"M", ModelFacts, "loading")
        return facts

    def ask(self, tag: bytes, payload: bytes, reply: bytes, kind: Any, doing: str, most: int = _MAX_NOTE) -> Any:
        """One question whose answer is JSON of a `kind`, at most `most` bytes of it. Raises CouldNotLook."""
        self._send(tag, payload, self._limits.start, doing)
        return self._decode(self._receive(reply, most, self._limits.load, doing), kind)

    def stream(self, tag: bytes, payload: bytes, most: int, doing: str) -> Iterator[bytes]:
        """Blocks of an answer of at most `most` bytes; the last item is the child's SHA-256 of them, in hexadecimal.

        Raises CouldNotLook, also where it answers more or its digest is not that of what came.
        """
        self._send(tag, payload, self._limits.start, doing)
        digest, left = hashlib.sha256(), most
        while True:
            last, block = self._frame(b"DZ", min(max(left, 64), _MAX_BLOCK), self._limits.load, doing)
            if last == b"Z":
                break
            left -= len(block)
            digest.update(block)
            yield block
        if left < 0 or block != digest.hexdigest().encode():
            self._give_up(f"answered something else than it was asked while {doing}")
        yield block

    def answers(self, rows: ArrowTable, method: str) -> FloatArray | list[str]:
        """All that a method answers for rows: numbers in one row of float64, or texts. Raises CouldNotLook."""
        np = library("numpy")
        self._send(b"A", _as_stream(rows, {"method": method}), self._limits.answer, "predicting")
        reply = self._receive(b"A", _MAX_ANSWERS, self._limits.answer, "predicting")
        if reply[:1] == b"f" and len(reply) % 8 == 1:
            return np.frombuffer(reply, dtype="<f8", offset=1)
        texts: list[str] = self._decode(reply[1:], list[str])
        return texts

    def train(self, rows: ArrowTable, ask: dict[str, Any]) -> int:
        """Train the estimator again on `rows`; the number under which the child keeps it. Raises CouldNotLook.

        `ask` names the `label` column (places among the classes), a `seed` and `changes` of parameters.
        """
        self._send(b"F", _as_stream(rows, ask), self._limits.answer, "training again")
        number: int = self._decode(self._receive(b"F", _MAX_NOTE, self._limits.train, "training again"), int)
        return number

    def forget(self, number: int) -> None:
        """Let the child drop what it trained under this number. Raises CouldNotLook."""
        self.ask(b"X", json.dumps(number).encode(), b"X", int, "forgetting")

    def scores(self, rows: ArrowTable, method: str, positive: int, number: int = 0) -> FloatArray:
        """The estimator's answers by `method` for the class at place `positive`, shape (n,). Raises CouldNotLook.

        `number` asks one that was trained again, 0 the one from the file.
        """
        np = library("numpy")
        payload = _as_stream(rows, {"method": method, "positive": positive, "trained": number})
        self._send(b"P", payload, self._limits.answer, "predicting")
        size = rows.num_rows * 8
        reply = self._receive(b"S", size, self._limits.answer, "predicting")
        if len(reply) != size:
            self._give_up(f"answered {len(reply)} bytes for {rows.num_rows} scores")
        return np.frombuffer(reply, dtype="<f8").astype(np.float64)

    def derived(self, rows: ArrowTable, width: int, number: int = 0) -> FloatArray:
        """What the trees inside read of `rows`, shape (n, width). Raises CouldNotLook."""
        np = library("numpy")
        self._send(b"V", _as_stream(rows, {"trained": number}), self._limits.answer, "predicting")
        reply = self._receive(b"V", max(_MAX_NOTE, rows.num_rows * width * 8), self._limits.answer, "predicting")
        if len(reply) != rows.num_rows * width * 8:
            raise CouldNotLook(f"{self._where}: its steps give other columns than their settings say")
        return np.frombuffer(reply, dtype="<f8").reshape(rows.num_rows, width).astype(np.float64)

    def close(self) -> None:
        """Kill the child, with what it may have left behind. Safe to call again."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def __del__(self) -> None:
        if getattr(self, "_child", None) is not None:
            self.close()

    def _configuration(self, model: BinaryIO, modules: Path | None, without: frozenset[str]) -> dict[str, Any]:
        secret = secrets.token_hex(16)
        try:
            self._home = Path(tempfile.mkdtemp(prefix="assay-sandbox-"))
            (self._home / "cwd").mkdir(mode=0o700)
            canary = self._home / "canary"
            canary.write_text(secret)
            canary.chmod(0o644)
        except OSError as error:
            what = f"the temporary folder (TMPDIR) cannot be written: {os_words(error)}"
            raise CouldNotLook(f"{self._where}: not loaded, {what}") from None
        packages = [
            p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages") and os.path.isdir(p)
        ]
        packages += [str(modules)] if modules else []
        return {
            "canary": str(canary),
            "secret": secret,
            "model": model.fileno(),
            "path": packages,
            "readable": sorted({*_interpreter_paths(), *packages, *_SYSTEM}),
            "memory": self._limits.memory,
            "cpu": self._limits.cpu,
            "without": sorted(without),
        }

    def _start(self, model: BinaryIO, cwd: Path) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise CouldNotLook(f"{self._where}: not loaded, no Python interpreter is known to start the sandbox with")
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        # joblib must neither ask for processes nor make semaphores, which need a writable /dev/shm.
        environment |= {
            "LC_ALL": "C.UTF-8",
            "HOME": str(cwd),
            "JOBLIB_MULTIPROCESSING": "0",
            "LOKY_MAX_CPU_COUNT": "1",
        }
        if linker := os.environ.get("LD_LIBRARY_PATH"):
            environment["LD_LIBRARY_PATH"] = linker
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", "-B", sandbox_child.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=cwd,
                env=environment,
                pass_fds=(model.fileno(),),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise CouldNotLook(f"{self._where}: the sandbox did not start: {os_words(error)}") from None
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        return child

    def _send(self, tag: bytes, payload: bytes | memoryview, seconds: float, doing: str) -> None:
        deadline = time.monotonic() + seconds
        for part in (memoryview(tag + struct.pack("<Q", len(payload))), memoryview(payload)):
            while part:
                self._wait(deadline, doing, write=True)
                try:
                    part = part[os.write(self._pipe("stdin"), part[: 1 << 20]) :]
                except BlockingIOError:
                    continue
                except OSError:
                    self._give_up(f"died while {doing}{self._exit()}")

    def _receive(self, tag: bytes, most: int, seconds: float, doing: str) -> bytes:
        """The payload of the next frame, which must carry `tag` and at most `most` bytes."""
        return self._frame(tag, most, seconds, doing)[1]

    def _frame(self, tags: bytes, most: int, seconds: float, doing: str) -> tuple[bytes, bytes]:
        """The next frame's tag, which must be one of `tags`, and its payload of at most `most` bytes."""
        deadline = time.monotonic() + seconds
        head = self._read(9, deadline, doing)
        size = struct.unpack("<Q", head[1:])[0]
        if head[:1] == b"E" and size <= 1 << 16:
            text = self._read(size, deadline, doing).decode("utf-8", "replace")
            # Libraries quote the offending value; customers' rows stay out of messages.
            fix = ""
            if "contains NaN" in text:
                text, fix = text.partition("\n")[0], "; leave out rows with missing values, or put an imputer before it"
            elif absent := _ABSENT.match(text):
                fix = f"; pip install {package(absent[1])} where assay runs"
            elif "categorical_feature do not match" in text:
                fix = "; numbers were its categories in training: save it as LightGBM's `.txt`"
            raise CouldNotLook(f"{self._where}: failed while {doing}: {visible(_unquoted(text, doing), 240)}{fix}")
        if head[:1] == b"R" and size <= 1 << 16:
            what, fix = self._decode(self._read(size, deadline, doing), tuple[str, str])
            raise NotHeld(self._where, visible(what, 240), visible(fix, 120))
        if head[:1] not in [tags[i : i + 1] for i in range(len(tags))] or size > most:
            self._give_up(f"answered something else than it was asked while {doing}")
        return head[:1], self._read(size, deadline, doing)

    def _read(self, size: int, deadline: float, doing: str) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            self._wait(deadline, doing, write=False)
            try:
                block = os.read(self._pipe("stdout"), min(size - len(parts), 1 << 20))
            except BlockingIOError:
                continue
            if not block:
                self._give_up(f"died while {doing}{self._exit()}")
            parts += block
        return bytes(parts)

    def _wait(self, deadline: float, doing: str, *, write: bool) -> None:
        left = deadline - time.monotonic()
        pipe = self._pipe("stdin" if write else "stdout")
        poll = select.poll()
        poll.register(pipe, select.POLLOUT if write else select.POLLIN)
        if left <= 0 or not poll.poll(left * 1000):
            self._give_up(f"took too long {doing} and was killed")

    def _pipe(self, name: str) -> int:
        if self._child is None:
            raise CouldNotLook(f"{self._where}: its sandbox is closed")
        return int(getattr(self._child, name).fileno())

    def _exit(self) -> str:
        """How the child ended, in brackets, if that can be told soon."""
        if self._child is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._child.wait(timeout=1)
            # The watcher in the child tells its end by a signal as 128 + its number, as shells do.
            return f" (signal {code - 128})" if code > 128 else f" (exit {code})"
        return ""

    def _give_up(self, what: str) -> None:
        self.close()
        raise CouldNotLook(f"{self._where}: the sandboxed model {what}")

    def _decode(self, payload: bytes, kind: Any) -> Any:
        try:
            return msgspec.json.decode(payload, type=kind)
        except msgspec.DecodeError:
            self._give_up("answered garbage")


def _as_stream(rows: ArrowTable, ask: dict[str, Any]) -> memoryview:
    """Rows as an Arrow IPC stream, with what is asked of them in its schema's metadata."""
    pa = library("pyarrow")
    rows = rows.replace_schema_metadata({b"assay": json.dumps(ask).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return memoryview(sink.getvalue())


def _unquoted(text: str, doing: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]", "…", text) if doing in _OF_ROWS else text


def _interpreter_paths() -> set[str]:
    """The folders that this interpreter and its shared libraries live in."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *site.getsitepackages()}
    paths |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {p for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p}
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            name = line.rstrip("\n").partition("/")
            if name[1] and ".so" in name[2]:
                paths.add(os.path.dirname("/" + name[2]))
    # A prefix of "/" or a home folder would open everything; what is needed lies in the other paths.
    return {p for p in paths if p and Path(p).resolve() not in (Path("/"), Path.home())}
