"""Interrupted, killed and doubled runs: no orphan, nothing acknowledged is lost, the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_tools import Done, assay, report, shell, start

from assay.core.subject import Kind
from assay.engine.registry import check_ids

pytest.importorskip("lightgbm")
QUICK = ("--only", "data.*", "--jobs", "1")
GO_ON = (*QUICK, "--skip", "data.label-flips", "--skip", "data.injected-rows")  # these two take most of the time


def members(session: int) -> list[int]:
    """Processes that descend from a run: its own group's, and the workers' mothers by their parent."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if fields[0] != "Z" and f"ASSAY_TEST_RUN={session}".encode() in environment:
            found.append(int(entry.name))
    return found


def wait_for(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def marked(mark: int, *words: object) -> subprocess.Popen[str]:
    return start(*words, env={**os.environ, "ASSAY_TEST_RUN": str(mark)})


def remembered(project: Path) -> int:
    return sum(1 for p in (project / ".assay/cache").glob("*/*.json"))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see the workers")
def test_control_c_ends_in_one_line_without_orphans_and_the_next_run_goes_on(robust: Path) -> None:
    mark = os.getpid() * 10 + 1
    run = marked(mark, "run", robust, *QUICK)
    wait_for(lambda: remembered(robust) >= 2)
    wait_for(lambda: len(members(mark)) >= 2)  # what is instant is asked before there is a worker
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (130, "")
    assert err == "assay: interrupted; what was finished is saved, run again to go on\n"
    wait_for(lambda: not members(mark))
    again = assay("run", robust, *GO_ON, "-f", "json")
    assert report(again)["run"]["cached"] >= 2
    assert again.code == 3


@pytest.mark.parametrize("words", [("--no-cache", "run"), ("scan",)])
def test_control_c_promises_only_what_is_kept(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    *flags, verb = words
    monkeypatch.setattr("assay.flow.project.run_project", stopped)
    monkeypatch.setattr("assay.flow.examine.scan", stopped)
    done = assay(verb, tiny, *flags)
    assert (done.code, done.out, done.err) == (130, "", "assay: interrupted\n")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc to see the workers")
def test_kill_9_leaves_no_orphan_and_a_ledger_that_holds(robust: Path) -> None:
    ledger = robust / ".assay/ledger.db"
    assert shell("run", robust, "--only", "artifact.*").code == 3
    mark = os.getpid() * 10 + 2
    run = marked(mark, "run", robust, *QUICK)
    wait_for(lambda: remembered(robust) >= 3)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=30)
    wait_for(lambda: not members(mark))
    assert assay("log", "verify", "--ledger", ledger).out.startswith("holds: 1 entries")
    assert assay("run", robust, *GO_ON).code == 3
    assert assay("log", "verify", "--ledger", ledger).out.startswith("holds: 2 entries")


MANY = [pytest.param(n / 100, marks=pytest.mark.heavy) for n in range(100)]


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.2, 0.3, 0.4, *MANY])
def test_kill_9_at_any_moment_of_a_short_run(tiny: Path, moment: float) -> None:
    assert assay("run", tiny, "--only", "artifact.*").code == 3
    run = start("run", tiny, "--only", "artifact.*", "--no-cache")
    time.sleep(moment)
    run.kill()
    run.communicate(timeout=30)
    ledger = tiny / ".assay/ledger.db"
    before = assay("log", "verify", "--ledger", ledger)
    assert before.out.startswith(("holds: 1 entries", "holds: 2 entries"))
    assert assay("run", tiny, "--only", "artifact.*").code == 3
    after = assay("log", "verify", "--ledger", ledger)
    assert int(after.out.split()[1]) == int(before.out.split()[1]) + 1


@pytest.mark.parametrize(("rounds", "at_once"), [(1, 4), pytest.param(20, 2, marks=pytest.mark.heavy)])
def test_runs_at_once_on_one_project(tiny: Path, rounds: int, at_once: int) -> None:
    for round_ in range(1, rounds + 1):
        runs = [start("run", tiny, "--only", "artifact.*", "--no-cache") for _ in range(at_once)]
        done = [Done(r.wait(60), *r.communicate()) for r in runs]
        assert [(d.code, d.err) for d in done] == [(3, "")] * at_once
        verified = assay("log", "verify", "--ledger", tiny / ".assay/ledger.db").out
        assert verified.startswith(f"holds: {round_ * at_once} entries")
    assert len(list((tiny / ".assay").glob("ledger.*"))) >= 3


def test_a_worker_that_is_killed_leaves_an_open_outcome_and_the_rest_goes_on(robust: Path) -> None:
    done = assay("run", robust, "--only", "data.*", "--memory", "64", "-f", "json")
    found = report(done)["body"]["outcomes"]
    assert done.code == 3
    assert len(found) == 2 * len(check_ids(Kind.DATASET)), "two tables, every check asked"
    stopped = [o for o in found if "memory" in o["reason"]]
    assert stopped
    assert all((o["status"], o["complete"]) == ("open", False) for o in stopped)
