"""A run: the same body for any job count and order; remembered outcomes; seeds that depend only on their parts."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_engine_ask import task_for

from assay.core.errors import UsageError
from assay.core.finding import Outcome, Status
from assay.core.protocols import silent
from assay.core.subject import Contract, Kind, Subject
from assay.engine.cache import FileCache
from assay.engine.inline import InlineExecutor
from assay.engine.plan import Settings, plan
from assay.engine.pool import WorkerPool
from assay.engine.registry import check_ids, load, resolve_parameters
from assay.engine.run import run
from assay.engine.task import Limits, cache_key, seed_for

SECRET = b"s" * 32
CHECKS = ("clean", "fails", "notes", "blind", "half", "elsewhere", "broken", "instant")


def outcomes(folder: Path, jobs: int, order: list[str]) -> dict[str, bytes]:
    tasks = [task_for(c, folder, seed=seed_for(7, c)) for c in order]
    ran = run(tasks, None, lambda _: WorkerPool(jobs, preload=("engine_preload",)), silent)
    return {o.check: msgspec.json.encode(o, order="deterministic") for o in ran.outcomes}


def test_the_same_bytes_for_any_job_count_and_order(tmp_path: Path) -> None:
    shuffled = random.Random(3).sample(CHECKS, len(CHECKS))
    first = outcomes(tmp_path, 1, list(CHECKS))
    assert first == outcomes(tmp_path, 2, shuffled)
    assert len(first) == len(CHECKS)


def test_what_was_answered_is_remembered_and_what_was_open_is_not(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", SECRET)
    tasks = [task_for(c, tmp_path) for c in CHECKS]
    first = run(tasks, cache, lambda _: InlineExecutor(), silent)
    again = run(tasks, cache, lambda _: InlineExecutor(), silent)
    assert first.cached == 0
    assert again.outcomes == first.outcomes
    assert again.cached == sum(o.status is not Status.OPEN and o.complete for o in first.outcomes) == 5


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_subject_is_planned_or_refused_by_name(kind: Kind) -> None:
    subject = Subject(name="thing", kind=kind, uri="thing", digest="sha256:" + "1" * 64)
    file = Subject(name="file", kind=Kind.ARTIFACT, uri="file", digest="sha256:" + "2" * 64)
    asked = [(kind, "thing"), (Kind.ARTIFACT, "file")]

    def planned() -> list[str]:
        return [t.subject for t in plan({"thing": subject, "file": file}, asked, "", Contract(), Settings())]

    if check_ids(kind):
        found = planned()
        assert set(found) == {"thing", "file"}
        if kind is not Kind.ARTIFACT:
            assert found == sorted(found)  # artifacts come first
    else:
        with pytest.raises(UsageError, match=f"kind '{kind.value}' yet: thing"):
            planned()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 40, b"0" * 64 + b"\n{}"])
def test_a_damaged_memory_is_a_miss(tmp_path: Path, damage: bytes) -> None:
    cache = FileCache(tmp_path, SECRET)
    task = task_for("clean", tmp_path)
    key = cache_key(task, load("test.clean").spec)
    run([task], cache, InlineExecutor, silent)
    (stored,) = tmp_path.rglob("*.json")
    whole = stored.read_bytes()
    assert isinstance(cache.get(key), Outcome)
    stored.write_bytes(damage)
    assert cache.get(key) is None
    stored.write_bytes(whole.replace(b'"pass"', b'"fail"'))
    assert cache.get(key) is None
    stored.write_bytes(whole)
    assert cache.get(key) is not None
    assert FileCache(tmp_path, b"t" * 32).get(key) is None  # sealed by someone else


def test_the_key_changes_with_everything_that_matters(tmp_path: Path) -> None:
    spec = load("test.clean").spec
    base = task_for("clean", tmp_path)
    other = Subject(name="thing", kind=Kind.ARTIFACT, uri="thing", digest="sha256:" + "2" * 64)
    changed = [
        task_for("clean", tmp_path, seed=1),
        task_for("clean", tmp_path, parameters={"size": 4}),
        task_for("clean", tmp_path, contract=Contract(constraints=("a > 0",))),
        task_for("clean", tmp_path, weak_sandbox=True),
        msgspec.structs.replace(base, subjects={"thing": other}),
    ]
    keys = {cache_key(t, spec) for t in [base, *changed]} | {
        cache_key(base, msgspec.structs.replace(spec, version=2)),
        cache_key(base, msgspec.structs.replace(spec, libraries=("msgspec",))),
    }
    assert len(keys) == len(changed) + 3
    assert cache_key(base, spec) == cache_key(task_for("clean", tmp_path, limits=Limits(seconds=9)), spec)


@given(st.integers(0, 2**31), st.text())
def test_a_seed_is_a_function_of_its_parts(run_seed: int, check: str) -> None:
    seed = seed_for(run_seed, check)
    assert 0 <= seed < 2**32
    assert seed == seed_for(run_seed, check)


def test_parameters_are_judged_by_type() -> None:
    check = load("test.clean")
    assert resolve_parameters(check, {}) == {"size": 3}
    assert resolve_parameters(check, {"size": 5}) == {"size": 5}
    with pytest.raises(UsageError, match="did you mean size"):
        resolve_parameters(check, {"sise": 5})
    with pytest.raises(UsageError, match="cannot be 'many'"):
        resolve_parameters(check, {"size": "many"})


def test_a_selection_that_names_nothing_is_refused() -> None:
    subject = Subject(name="thing", kind=Kind.ARTIFACT, uri="thing", digest="")
    with pytest.raises(UsageError, match=r"did you mean artifact\.pickle-code"):
        plan({"thing": subject}, [(Kind.ARTIFACT, "thing")], "", Contract(), Settings(only=("artifact.pickle-cod",)))
    tasks = plan({"thing": subject}, [(Kind.ARTIFACT, "thing")], "", Contract(), Settings(only=("test.c*",)))
    assert [t.check for t in tasks] == ["test.clean"]
