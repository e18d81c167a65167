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


def peer(name: str, version: str) -> Path | None:
    """The bin folder of an environment that holds one peer, made on first use; None if it cannot be installed."""
    home = PEERS / f"{name}-{version}"
    binary = home / "bin"
    if not (home / ".done").exists():
        venv.create(home, with_pip=True)
        done = subprocess.run([str(binary / "python"), "-m", "pip", "install", "-q", f"{name}=={version}"], check=False)
        if done.returncode:
            return None
        (home / ".done").touch()
    return binary


def row(name: str, values: list[float], bound: str, unit: str = "s") -> str:
    """One line of a table: median, minimum and maximum."""
    middle = statistics.median(values)
    return f"| {name} | {middle:.3f} {unit} | {min(values):.3f}–{max(values):.3f} | {bound} |"


HEAD = "| what | median | range | bound |\n| --- | --- | --- | --- |"
