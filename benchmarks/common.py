"""What the benchmarks share: CPU seconds of whole processes, peers in environments of their own, and tables."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS = Path(os.environ.get("ASSAY_PEERS", Path(tempfile.gettempdir()) / "assay-peers"))
MOST_SECONDS = 600
ASSAY = [str(Path(sys.executable).with_name("assay"))]


def cpu_seconds(command: list[str], times: int, warm: int = 2, cwd: Path | None = None) -> list[float]:
    """User + system seconds of the whole process, once for each of `times` runs after `warm` unmeasured ones."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    taken = []
    for turn in range(times + warm):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=False, env=environment, cwd=cwd)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if turn >= warm:
            taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return taken


def peer(name: str, version: str, *also: str) -> Path | None:
    """The bin folder of an environment that holds one peer (and what it needs `also`), made on first use; None if it
    cannot be installed."""
    home = PEERS / f"{name}-{version}"
    binary = home / "bin"
    if not (home / ".done").exists():
        venv.create(home, with_pip=True)
        install = [str(binary / "python"), "-m", "pip", "install", "-q", f"{name}=={version}", *also]
        done = subprocess.run(install, check=False)
        if done.returncode:
            return None
        (home / ".done").touch()
    return binary


def measured_run(command: list[str]) -> tuple[float, float, str]:
    """(CPU seconds, peak MB, how it ended) of a whole process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    script = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[2:], capture_output=True, timeout=float(sys.argv[1]))
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, ended.returncode)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(MOST_SECONDS), *command],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        return float("nan"), float("nan"), f"more than {MOST_SECONDS} s"
    cpu, memory, code = done.stdout.split()
    return float(cpu), float(memory), f"exit {code}"


def middle_run(command: list[str], times: int) -> tuple[float, float, str]:
    """The run with the median CPU time."""
    runs = sorted(measured_run(command) for _ in range(times))
    return runs[len(runs) // 2]


def row(name: str, values: list[float], bound: str, unit: str = "s") -> str:
    """One line of a table: median, minimum and maximum."""
    middle = statistics.median(values)
    return f"| {name} | {middle:.3f} {unit} | {min(values):.3f}–{max(values):.3f} | {bound} |"


HEAD = "| what | median | range | bound |\n| --- | --- | --- | --- |"
