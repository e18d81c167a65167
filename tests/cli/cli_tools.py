"""What the command line's tests share: a verb run here or in a process of its own, and small projects to run it on."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from assay.cli.main import main


class Done(NamedTuple):
    """A verb's exit code and what it wrote."""

    code: int
    out: str
    err: str


@contextmanager
def inside(folder: Path | None) -> Any:
    """The working folder for a while."""
    before = os.getcwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


def assay(*words: object, cwd: Path | None = None) -> Done:
    """The command line in this process, as the console script calls it."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    argv, sys.argv = sys.argv, ["assay", *map(str, words)]
    code = 0
    try:
        with inside(cwd), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = argv
    done = Done(code, *(s.buffer.getvalue().decode("utf-8") for s in (out, err)))  # type: ignore[attr-defined]
    assert "Traceback" not in done.out + done.err, done.err
    return done


def start(*words: object, cwd: Path | None = None, **more: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, not waited for."""
    command = [sys.executable, "-P", "-m", "assay.cli.main", *map(str, words)]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.Popen(command, cwd=cwd, text=True, start_new_session=True, **more)


def shell(*words: object, cwd: Path | None = None, **more: Any) -> Done:
    """The command line in a process of its own."""
    process = start(*words, cwd=cwd, **more)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in (out or "") + (err or ""), err
    return Done(process.returncode, out or "", err or "")


def one_line(done: Done, *texts: str, code: int) -> str:
    """The line that it said: it ended with `code`, was silent on stdout, and its one line holds every text."""
    assert (done.code, done.out) == (code, ""), done
    (line,) = done.err.splitlines()
    assert line.startswith("assay: ")
    for text in texts:
        assert text in line, line
    return line


def report(done: Done) -> Any:
    """What `--format json` wrote to stdout."""
    return msgspec.json.decode(done.out)


def outcomes(done: Done) -> dict[tuple[str, str], Any]:
    """Outcomes of a JSON report by (check, subject)."""
    return {(o["check"], o["subject"]): o for o in report(done)["body"]["outcomes"]}


def copy(project: Path, to: Path) -> Path:
    """A fresh copy of a project, without what Assay keeps beside it."""
    return Path(shutil.copytree(project, to, ignore=shutil.ignore_patterns(".assay")))


def mend(path: Path, old: str, new: str) -> None:
    """Replace text in a file; it must be there."""
    text = path.read_text("utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new), "utf-8")
