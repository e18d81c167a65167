"""The executor on Ray: the answers are those of the pool, a place that is lost is told, nothing is left running."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_engine_ask import task_for
from test_engine_parts import shared

from assay.core.errors import AssayError
from assay.core.finding import Status
from assay.core.protocols import silent
from assay.engine.pool import WorkerPool
from assay.engine.ray_pool import RayExecutor
from assay.engine.run import run
from assay.engine.task import Limits

CHECKS = ("clean", "fails", "notes", "blind", "half", "elsewhere", "broken")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("ray") is None:  # not imported: it reads its environment when it is
        pytest.skip("ray is not installed")
    monkeypatch.setenv("ENGINE_WORKED", str(tmp_path / "worked.txt"))


@pytest.mark.heavy
def test_the_same_answers_as_here(cluster: None, tmp_path: Path) -> None:
    tasks = [*(task_for(c, tmp_path) for c in CHECKS), shared(tmp_path, rows=350)]
    here = run(tasks, None, lambda _: WorkerPool(2, preload=("engine_preload",)), silent)
    there = run(tasks, None, lambda _: RayExecutor(2, preload=("engine_preload",)), silent)
    assert msgspec.json.encode(there.outcomes) == msgspec.json.encode(here.outcomes)


@pytest.mark.heavy
def test_limits_hold_and_a_worker_that_dies_is_told(cluster: None, tmp_path: Path) -> None:
    tasks = [task_for("sleeps", tmp_path, limits=Limits(seconds=1.0)), task_for("dies", tmp_path)]
    found = run(tasks, None, lambda _: RayExecutor(2, preload=("engine_preload",)), silent).outcomes
    assert [o.status for o in found] == [Status.FAIL, Status.FAIL]
    assert "limit of 1 s" in found[0].reason
    assert "ended without a word" in found[1].reason


@pytest.mark.heavy
def test_it_tells_nobody_and_takes_work_from_nobody(cluster: None) -> None:
    executor = RayExecutor(1)
    try:
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        asked = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
        stranger = f"import ray; ray.init(address='{executor.address}', logging_level='critical')"
        done = subprocess.run(
            [sys.executable, "-c", stranger], env={**asked, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode != 0
        assert "Unauthenticated" in done.stderr or "AuthenticationError" in done.stderr
    finally:
        executor.close()


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what an absent module looks like
    told: Any
    with pytest.raises(AssayError, match=r"ray is not installed .*pip install 'assay\[ray\]'") as told:
        RayExecutor(1)
    assert told.value.exit_code == 2
