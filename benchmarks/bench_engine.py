"""The engine's cost a check: 1,000 checks that do nothing, through a warm pool of two workers.

python benchmarks/bench_engine.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from assay.core.subject import Kind, Subject
from assay.engine.pool import WorkerPool
from assay.engine.task import Task

CHECKS = 1000


def main() -> None:
    """Print the table: milliseconds a check, five rounds after one that warms the pool."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty").mkdir()
        subject = Subject(name="empty", kind=Kind.ARTIFACT, uri="empty", digest="sha256:" + "0" * 64)
        task = Task(check="artifact.unsafe-format", subject="empty", root=folder, subjects={"empty": subject})
        tasks = [msgspec.json.encode(task)] * CHECKS
        pool = WorkerPool(2)
        taken = []
        try:
            list(pool.run(tasks[:50]))
            for _ in range(5):
                start = time.perf_counter()
                outcomes = [o for _, o, _ in pool.run(tasks)]
                taken.append((time.perf_counter() - start) / CHECKS * 1000)
                assert len(outcomes) == CHECKS
        finally:
            pool.close()
    print("an empty folder is asked about, so that the engine is all there is\n")
    print("| what | median | range | bound |\n| --- | --- | --- | --- |")
    print(f"| engine, a check | {statistics.median(taken):.2f} ms | {min(taken):.2f}–{max(taken):.2f} | ≤ 5 ms |")


if __name__ == "__main__":
    main()
