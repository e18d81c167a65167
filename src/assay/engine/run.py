"""Runs a plan: remembered outcomes first, instant checks here, the rest in the pool; the same body in any order."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from assay.core.finding import Outcome
from assay.core.protocols import Cache, Executor, Progress
from assay.engine.ask import unmet
from assay.engine.inline import InlineExecutor
from assay.engine.registry import load
from assay.engine.task import Limits, Task, cache_key


class Ran(msgspec.Struct, frozen=True):
    """Outcomes in the plan's order, how long each took, and how many were remembered."""

    outcomes: tuple[Outcome, ...]
    durations: dict[str, float]
    cached: int


def run(tasks: list[Task], cache: Cache | None, pool: Callable[[], Executor], progress: Progress) -> Ran:
    """Ask every task; without a `cache` nothing is remembered.

    `pool` is started only when something must run in a worker; it is closed whatever happens.
    """
    outcomes: dict[int, Outcome] = {}
    durations: dict[str, float] = {}
    keys: dict[int, str] = {}
    for index, task in enumerate(tasks):
        spec = load(task.check).spec
        if spec.cacheable and cache is not None:
            keys[index] = cache_key(task, spec)
            known = cache.get(keys[index])
            if known is not None:
                outcomes[index] = known
    cached = len(outcomes)
    todo = [i for i in range(len(tasks)) if i not in outcomes]
    here = [i for i in todo if _bounds_itself(tasks[i])]
    away = [i for i in todo if i not in set(here)]

    def carry(executor: Executor, indexes: list[int]) -> None:
        base = len(outcomes)

        def step(done: float, total: float, what: str = "") -> None:
            progress(base + done, len(tasks), what)

        for position, outcome, seconds in executor.run([msgspec.json.encode(tasks[i]) for i in indexes], step):
            index = indexes[position]
            outcomes[index] = outcome
            durations[f"{outcome.check} {outcome.subject}"] = seconds
            if cache is not None and index in keys:
                cache.put(keys[index], outcome)
            progress(len(outcomes), len(tasks), outcome.check)

    if here:
        carry(InlineExecutor(), here)
    if away:
        executor = pool()
        try:
            carry(executor, away)
        finally:
            executor.close()
    return Ran(tuple(outcomes[i] for i in range(len(tasks))), durations, cached)


def _bounds_itself(task: Task) -> bool:
    """Whether the check may run in this process: its parsers keep to the default limits (tighter ones need a worker),
    or it does not get as far as to open anything."""
    default = Limits()
    tighter = task.limits.seconds < default.seconds or task.limits.bytes < default.bytes
    spec = load(task.check).spec
    return bool(unmet(task, spec)) or (spec.cost == "instant" and not tighter)
