"""The pool: what was yielded survives a kill, limits hold, one worker's end is not the others'."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from test_engine_ask import task_for

from assay.core.finding import Outcome, Status
from assay.engine.pool import PRELOAD, WorkerPool, modules_for
from assay.engine.task import Limits

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the pool forks; this system cannot")


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    workers = WorkerPool(2, preload=("engine_preload",))
    yield workers
    workers.close()


def run(pool: WorkerPool, folder: Path, *checks: str, limits: Limits = Limits()) -> list[Outcome]:  # noqa: B008
    tasks = [msgspec.json.encode(task_for(c, folder, limits=limits)) for c in checks]
    found = {index: outcome for index, outcome, _ in pool.run(tasks)}
    return [found[i] for i in range(len(checks))]


def test_many_tasks_on_few_workers(pool: WorkerPool, tmp_path: Path) -> None:
    outcomes = run(pool, tmp_path, *["clean", "fails", "blind"] * 20)
    assert [o.status for o in outcomes] == [Status.PASS, Status.FAIL, Status.OPEN] * 20


def test_a_worker_is_killed_at_its_time_and_keeps_what_it_said(pool: WorkerPool, tmp_path: Path) -> None:
    outcomes = run(pool, tmp_path, "sleeps", "clean", "clean", limits=Limits(seconds=1.0))
    assert outcomes[0].status is Status.FAIL
    assert not outcomes[0].complete
    assert "limit of 1 s" in outcomes[0].reason
    assert [f.key for f in outcomes[0].findings] == ["before"]
    assert [o.status for o in outcomes[1:]] == [Status.PASS, Status.PASS]


def test_a_worker_is_killed_at_its_memory(pool: WorkerPool, tmp_path: Path) -> None:
    (outcome,) = run(pool, tmp_path, "grows", limits=Limits(seconds=60, bytes=300 << 20))
    assert "300 MB of memory" in outcome.reason
    assert [f.key for f in outcome.findings] == ["before"]


def test_a_worker_that_dies_is_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    outcomes = run(pool, tmp_path, "dies", "dies", "dies", "clean")
    assert [o.status for o in outcomes] == [Status.FAIL] * 3 + [Status.PASS]
    assert all("ended without a word" in o.reason for o in outcomes[:3])


def test_what_a_check_says_does_not_steer_the_pool(tmp_path: Path) -> None:
    pool = WorkerPool(1, preload=("engine_preload",))
    try:
        outcomes = run(pool, tmp_path, "misleads", "clean", "misleads", "clean")
        (worker,) = pool._workers
        pid = worker.pid
        assert run(pool, tmp_path, "clean")[0].status is Status.PASS
        assert pool._workers == [worker]
        assert worker.pid == pid > 0
    finally:
        pool.close()
    assert [o.status for o in outcomes] == [Status.OPEN, Status.PASS] * 2


def test_the_pool_runs_again_after_a_kill(pool: WorkerPool, tmp_path: Path) -> None:
    run(pool, tmp_path, "sleeps", limits=Limits(seconds=0.5))
    assert run(pool, tmp_path, "clean")[0].status is Status.PASS


def test_no_worker_outlives_the_pool(tmp_path: Path) -> None:
    workers = WorkerPool(2, preload=("engine_preload",))
    run(workers, tmp_path, "clean", "clean")
    pids = [w.pid for w in workers._workers]
    assert all(pids)
    workers.close()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{p}/task").exists() for p in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{p}/task").exists() for p in pids)


def test_workers_load_what_their_checks_name_and_no_more(tmp_path: Path) -> None:
    artifact, rows, model = (
        msgspec.structs.replace(task_for("clean", tmp_path), check=check)
        for check in ("artifact.pickle-code", "data.schema", "robustness.evasion")
    )
    assert modules_for([artifact]) == ("msgspec",)
    table = modules_for([rows, artifact])
    assert {"duckdb", "pyarrow", "assay.adapters.tables"} <= set(table)
    assert "lightgbm" not in table
    both = modules_for([rows, model])
    assert set(table) < set(both) <= set(PRELOAD)
    assert "lightgbm" in both
