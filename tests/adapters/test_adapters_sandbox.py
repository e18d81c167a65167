"""The pickle sandbox: a hostile pickle forced past the scan reaches nothing; less than full isolation is refused."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.adapters import sandbox_kernel
from assay.adapters.sandbox import Limits, Sandbox
from assay.core.errors import CouldNotLook

pytestmark = pytest.mark.skipif(
    sandbox_kernel.landlock_abi() < 1 or os.uname().machine not in ("x86_64", "aarch64"),
    reason="this kernel has no Landlock, so nothing is ever loaded here",
)

# What a hostile pickle runs. It tells what it reached through the names of the features that the model claims to read.
PROLOGUE = """
import ctypes, errno, os, socket, subprocess, sys, threading, types
said = []
def attempt(name, action):
    try:
        action()
    except BaseException as error:
        code = getattr(error, "errno", None)
        said.append(f"{name} {errno.errorcode.get(code, type(error).__name__)}")
    else:
        said.append(f"{name} REACHED")
libc = ctypes.CDLL(None, use_errno=True)
def raw(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
"""
EPILOGUE = """
model = types.SimpleNamespace(predict=lambda rows: rows, empty=lambda rows: [], feature_names_in_=said)
"""


class Hostile:
    """Pickles to a call of eval."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return eval, (f"(exec({self.code!r}, space := {{}}), space['model'])[1]",)


def hostile(code: str) -> io.BufferedReader:
    """An open file that holds a pickle which runs `code` when it is loaded."""
    path = Path(os.environ["PYTEST_HOSTILE"])
    path.write_bytes(pickle.dumps(Hostile(PROLOGUE + code + EPILOGUE)))
    return path.open("rb")


@pytest.fixture(autouse=True)
def hostile_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_HOSTILE", str(tmp_path / "hostile.pkl"))


@contextlib.contextmanager
def loaded(code: str, **options: Any) -> Iterator[tuple[Sandbox, tuple[str, ...]]]:
    """Load hostile code, with no scan before; the sandbox, and what the code said it met."""
    with hostile(code) as model:
        sandbox = Sandbox(model, "m.pkl", **options)
    try:
        yield sandbox, sandbox.load().features or ()
    finally:
        sandbox.close()


def refusals(code: str, **options: Any) -> dict[str, str]:
    with loaded(code, **options) as (_, said):
        return dict(line.rsplit(" ", 1) for line in said)


@pytest.mark.parametrize("without", [frozenset(), frozenset({"namespaces"})])
def test_isolation_is_full_with_and_without_namespaces(without: frozenset[str]) -> None:
    with hostile("") as model:
        sandbox = Sandbox(model, "m.pkl", without=without)
    try:
        found = sandbox.isolation
        assert found.full
        assert found.missing == ()
        assert found.seccomp
        assert found.rlimits
        assert found.landlock_abi >= 1
        assert set(found.proofs) == {
            "read", "write", "socket", "local socket", "fork", "signal", "owner", "mode", "create", "memory", "exec",
        }  # fmt: skip
        assert "succeeded" not in found.proofs.values()
        assert not (without and found.namespaces)
    finally:
        sandbox.close()


@pytest.mark.parametrize("without", [frozenset(), frozenset({"namespaces"})])
def test_hostile_code_reads_and_writes_no_file(tmp_path: Path, without: frozenset[str]) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    secret.chmod(0o666)
    got = refusals(
        f"""
attempt("read", lambda: open({str(secret)!r}).read())
attempt("passwd", lambda: open("/etc/passwd").read())
attempt("environ", lambda: open("/proc/self/environ").read())
attempt("parent", lambda: open("/proc/1/environ").read())
attempt("self", lambda: os.listdir("/proc/self/fd"))
attempt("home", lambda: os.listdir({str(Path.home())!r}))
attempt("list", lambda: os.listdir({str(tmp_path)!r}))
attempt("overwrite", lambda: open({str(secret)!r}, "w"))
attempt("append", lambda: os.open({str(secret)!r}, os.O_WRONLY | os.O_APPEND))
attempt("cwd", lambda: open("x", "w"))
attempt("tmp", lambda: open("/tmp/assay-escape", "w"))
attempt("package", lambda: open(os.path.join(os.path.dirname(os.__file__), "escape.py"), "w"))
attempt("shm", lambda: open("/dev/shm/escape", "w"))
attempt("unlink", lambda: os.unlink({str(secret)!r}))
attempt("rename", lambda: os.rename({str(secret)!r}, {str(secret)!r} + "2"))
attempt("link", lambda: os.link({str(secret)!r}, {str(tmp_path)!r} + "/l"))
attempt("symlink", lambda: os.symlink("/etc", {str(tmp_path)!r} + "/s"))
attempt("mkdir", lambda: os.mkdir({str(tmp_path)!r} + "/d"))
attempt("truncate", lambda: os.truncate({str(secret)!r}, 0))
attempt("chmod", lambda: os.chmod({str(secret)!r}, 0))
attempt("chown", lambda: os.chown({str(secret)!r}, 1, 1))
attempt("utime", lambda: os.utime({str(secret)!r}))
attempt("setxattr", lambda: os.setxattr({str(secret)!r}, "user.x", b"1"))
attempt("memfd", lambda: os.memfd_create("x"))
attempt("openat2", lambda: raw(437, -100, b"/etc/passwd", b"\\0" * 24, 24))
attempt("mount", lambda: raw(165 if os.uname().machine == "x86_64" else 40, b"/", b"/tmp", None, 4096, None))
""",
        without=without,
    )
    assert len(got) == 26
    assert {k: v for k, v in got.items() if v not in ("EACCES", "EPERM", "ENOSYS")} == {}
    assert secret.read_text() == "secret"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.pkl", "secret.txt"]


@pytest.mark.parametrize("without", [frozenset(), frozenset({"namespaces"})])
def test_hostile_code_reaches_no_network_and_no_process(tmp_path: Path, without: frozenset[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, open(os.devnull) as leaked:
        os.set_inheritable(leaked.fileno(), True)
        port = server.getsockname()[1]
        got = refusals(
            f"""
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", {port}), 1))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("pair", lambda: socket.socketpair())
attempt("x32", lambda: raw(0x40000000 + 41, 2, 1, 0))
attempt("exec", lambda: os.execv("/bin/sh", ["sh", "-c", "true"]))
attempt("fexec", lambda: os.execve(os.open(os.__file__, os.O_RDONLY), ["x"], {{}}))
attempt("fork", os.fork)
attempt("spawn", lambda: subprocess.run(["/bin/true"]))
attempt("posix_spawn", lambda: os.posix_spawn("/bin/true", ["true"], {{}}))
def system():
    if os.system("touch {tmp_path}/touched") != 0:
        raise OSError(1, "")
attempt("system", system)
attempt("clone", lambda: raw(56 if os.uname().machine == "x86_64" else 220, 17, None, None, None, None))
attempt("clone3", lambda: raw(435, b"\\0" * 64, 64))
attempt("kill", lambda: os.kill({os.getpid()}, 9))
attempt("killall", lambda: os.kill(-1, 9))
attempt("group", lambda: os.killpg(0, 9))
attempt("pidfd", lambda: os.pidfd_open({os.getpid()}))
attempt("ptrace", lambda: raw(101 if os.uname().machine == "x86_64" else 117, 16, {os.getpid()}, None, None))
attempt("unshare", lambda: raw(272 if os.uname().machine == "x86_64" else 97, 0x10000000))
attempt("io_uring", lambda: raw(425, 8, b"\\0" * 120))
attempt("bpf", lambda: raw(321 if os.uname().machine == "x86_64" else 280, 0, None, 0))
attempt("keyctl", lambda: raw(250 if os.uname().machine == "x86_64" else 219, 0, -3, 0, 0, 0))
def limits():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
attempt("limits", limits)
attempt("leaked", lambda: os.fstat({leaked.fileno()}) if {leaked.fileno()} > 9 else os.fstat(99))
""",
            without=without,
        )
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()
    assert len(got) == 25
    # Each fails in its own way; what counts is that none is REACHED.
    assert {k for k, v in got.items() if v == "REACHED"} == set()
    assert got["tcp"] == got["exec"] == got["fork"] == got["kill"] == "EPERM"
    assert not (tmp_path / "touched").exists()


def test_threads_and_answers_still_work(tmp_path: Path) -> None:
    code = "t = threading.Thread(target=lambda: said.append('thread ran')); t.start(); t.join()"
    assert refusals(code) == {"thread": "ran"}


def test_a_huge_allocation_fails_inside() -> None:
    got = refusals("attempt('memory', lambda: bytearray(3 << 30))", limits=Limits(memory=2 << 30))
    assert got == {"memory": "MemoryError"}


@pytest.mark.parametrize("without", [frozenset(), frozenset({"namespaces"})])
def test_an_endless_loop_is_killed(without: frozenset[str]) -> None:
    deaf = "import signal\nfor n in range(1, 32):\n    attempt(str(n), lambda: signal.signal(n, signal.SIG_IGN))\n"
    code = deaf + "while True: pass"
    with hostile(code) as model:
        sandbox = Sandbox(model, "m.pkl", limits=Limits(load=0.5), without=without)
    group = sandbox._child.pid if sandbox._child else 0
    with pytest.raises(CouldNotLook, match="took too long loading and was killed"):
        sandbox.load()
    assert ends_within(group, 20)


SPRAY = "spray = lambda data: [attempt('', lambda: os.write(n, data)) for n in range(3, 12)]\nspray"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("os._exit(3)", r"died while loading \(exit 3\)"),
        ("ctypes.string_at(0)", r"died while loading \(signal 11\)"),
        ("os.abort()", "died while loading"),
        (SPRAY + "(b'garbage garbage garbage')\nos._exit(0)", "something else"),
        (SPRAY + "(b'M' + b'\\xff' * 8)\nos._exit(0)", "something else"),
        (SPRAY + "(b'M\\x04' + b'\\0' * 7 + b'{{{{')", "garbage"),
        (SPRAY + "(b'M\\x09' + b'\\0' * 7 + b'{')\nos._exit(0)", "died while"),
        ("raise ValueError('x\\n\\x1b[31m' * 3)", r"failed while loading: ValueError: x\\n"),
        ("said += ['x' * (5 << 20)]", "something else"),
    ],
)  # fmt: skip
def test_death_and_garbage_are_one_clear_line(code: str, says: str) -> None:
    with pytest.raises(CouldNotLook, match=says) as error, loaded(code, limits=Limits(load=20)):
        pass
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("without", [(), ("namespaces",)])
def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path, without: tuple[str, ...]) -> None:
    """The child of a killed parent ends too, even while a hostile model loops."""
    hostile("while True: pass").close()
    script = (
        "import os, sys\nfrom assay.adapters.sandbox import Sandbox\n"
        f"sandbox = Sandbox(open({os.environ['PYTEST_HOSTILE']!r}, 'rb'), 'm.pkl', without=frozenset({without!r}))\n"
        "print(sandbox._child.pid, flush=True)\nsandbox.load()\n"
    )
    home = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=home)
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    os.killpg(group, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ends_within(group, 20)
    assert not list(tmp_path.glob("assay-sandbox-*")), "its folder is taken away by the child"


def ends_within(group: int, seconds: float) -> bool:
    """Whether no process of the group runs any more; those that only wait to be reaped do not count."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        alive = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                alive += [entry.name] if int(its_group) == group and state not in "ZX" else []
        if not alive:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("torn", [b"", b"\x80\x04", b"\x80\x04K\x01", b"not a pickle at all", b"\x80\x04\x8c\xff"])
def test_torn_pickles_fail_in_one_line(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "t.pkl").write_bytes(torn)
    with (tmp_path / "t.pkl").open("rb") as model:
        sandbox = Sandbox(model, "t.pkl")
    with pytest.raises(CouldNotLook, match="failed while loading") as error:
        sandbox.load()
    sandbox.close()
    assert "\n" not in str(error.value)


def test_answers_of_the_wrong_length_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    with loaded("import numpy\nsaid.append('x')\n") as (sandbox, _):
        table = pa.table({"x": [1.0, 2.0, 3.0]})
        assert sandbox.scores(table, "predict", 0).tolist() == [1.0, 2.0, 3.0]
        with pytest.raises(CouldNotLook, match="0 bytes for 3 scores"):
            sandbox.scores(table.rename_columns(["x"]), "empty", 1)
        with pytest.raises(CouldNotLook, match="closed"):
            sandbox.load()


@pytest.mark.parametrize("wall", ["landlock", "seccomp", "rlimits", "capabilities"])
def test_less_than_full_isolation_is_refused_unless_accepted(wall: str) -> None:
    with hostile("") as model:
        with pytest.raises(CouldNotLook, match=f"the sandbox lacks .*{wall}"):
            Sandbox(model, "m.pkl", without=frozenset({wall}))
        sandbox = Sandbox(model, "m.pkl", without=frozenset({wall}), weak=True)
    assert not sandbox.isolation.full
    assert any(wall in m for m in sandbox.isolation.missing)
    sandbox.close()


INSIDE = """
import os, pickle, sys, tempfile
from assay.adapters.sandbox import Sandbox
with open({hostile!r}, "rb") as model:
    sandbox = Sandbox(model, "m.pkl")
print(os.getuid(), sandbox.isolation.full, len(sandbox.isolation.namespaces), *sandbox.load().features, sep=";")
sandbox.close()
"""
# Moves into a user namespace of its own, whose root may forbid further ones there and nowhere else, then becomes `uid`.
OUTSIDE = """
import os, sys
from assay.adapters import sandbox_kernel
uid, gid = os.getuid(), os.getgid()
if sandbox_kernel._libc.unshare(0x10000000) != 0:
    sys.exit(77)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{as_uid} {{uid}} 1")
open("/proc/self/gid_map", "w").write(f"{as_uid} {{gid}} 1")
if {forbid!r}:
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv(sys.executable, [sys.executable, "-c", {inside!r}])
"""


@pytest.mark.parametrize("as_uid", [0, 1000])
@pytest.mark.parametrize("forbid", [True, False])
def test_full_for_any_user_and_with_user_namespaces_off(tmp_path: Path, as_uid: int, forbid: bool) -> None:
    """As root and as an ordinary user without capabilities; `forbid` is the kernel's own switch, in a namespace."""
    hostile("attempt('passwd', lambda: open('/etc/passwd'))\nattempt('net', socket.socket)").close()
    inside = INSIDE.format(hostile=os.environ["PYTEST_HOSTILE"])
    script = OUTSIDE.format(as_uid=as_uid, forbid=forbid, inside=inside)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )
    if done.returncode == 77:
        pytest.skip("user namespaces are already off here: every other test shows this")
    uid, full, namespaces, *said = done.stdout.strip().split(";")
    assert (uid, full, namespaces) == (str(as_uid), "True", "0" if forbid else "5"), done.stderr
    assert said == ["passwd EACCES", "net EPERM"]


def test_the_filter_is_sound_for_both_architectures() -> None:
    for machine in ("x86_64", "aarch64"):
        program = sandbox_kernel._program(machine, 7)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
    numbers = list(sandbox_kernel._DENIED.values())
    assert len({n[0] for n in numbers}) == len(numbers)
    arm = [n[1] for n in numbers if n[1] >= 0]
    assert len(set(arm)) == len(arm)


def test_a_descriptor_that_turns_readable_kills_nobody() -> None:
    # Without namespaces and Landlock's own wall around signals (version 6), only seccomp stands in between.
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    code = f"""
import fcntl
end, other = os.pipe()
attempt("owner", lambda: fcntl.fcntl(end, fcntl.F_SETOWN, {victim.pid}))
attempt("signal", lambda: fcntl.fcntl(end, 10, 9))
attempt("async", lambda: fcntl.fcntl(end, fcntl.F_SETFL, os.O_ASYNC))
attempt("ioctl", lambda: fcntl.ioctl(end, 0x5452, b"\\1\\0\\0\\0"))
attempt("blocking", lambda: fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK))
os.write(other, b"x")
"""
    try:
        got = refusals(code, without=frozenset({"namespaces", "landlock"}), weak=True)
        with pytest.raises(subprocess.TimeoutExpired):
            victim.wait(0.2)
    finally:
        victim.kill()
        victim.wait()
    assert got.pop("blocking") == "REACHED"
    assert set(got.values()) == {"EPERM"}, got
