"""Runs a plan: remembered outcomes first, instant checks here, the rest in the pool; the same body in any order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from assay.core.finding import Outcome
from assay.core.progress import Onward
from assay.core.protocols import Cache, Executor, Progress
from assay.engine.ask import unmet
from assay.engine.inline import InlineExecutor
from assay.engine.parts import Parts, count
from assay.engine.registry import load
from assay.engine.sealed import Sealed
from assay.engine.task import Limits, Task, cache_key


class Ran(msgspec.Struct, frozen=True):
    """Outcomes in the plan's order, how long each took (its parts together), and how many were remembered."""

    outcomes: tuple[Outcome, ...]
    durations: dict[str, float]
    cached: int


def run(
    tasks: list[Task],
    cache: Cache | None,
    pool: Callable[[list[Task]], Executor],
    progress: Progress,
    kept: Sealed | None = None,
) -> Ran:
    """Ask every task; without a `cache` nothing is remembered, without `kept` no part of an interrupted run is.

    `pool` is started, for those tasks, only when something must run in a worker; it is closed whatever happens.
    """
    return _Run(tasks, cache, progress).go(pool, kept)


class _Run:
    """One run: what is known so far, and how far it has come."""

    def __init__(self, tasks: list[Task], cache: Cache | None, progress: Progress) -> None:
        self.tasks, self.cache, self.progress = tasks, cache, Onward(progress)
        self.outcomes: dict[int, Outcome] = {}
        self.durations: dict[str, float] = {}
        self.keys: dict[int, str] = {}
        self.ended, self.total = 0, len(tasks)

    def go(self, pool: Callable[[list[Task]], Executor], kept: Sealed | None) -> Ran:
        """See `run`."""
        cached = self._remembered()
        todo = [i for i in range(len(self.tasks)) if i not in self.outcomes]
        here = [i for i in todo if _bounds_itself(self.tasks[i])]
        away = [i for i in todo if i not in set(here)]
        shared = [i for i in away if count(self.tasks[i]) > 1]
        self.total += sum(count(self.tasks[i]) for i in shared)
        if here:
            self._carry(InlineExecutor(), [(i, self.tasks[i]) for i in here], self._answer)
        if away:
            with ExitStack() as stack:
                executor = pool([self.tasks[i] for i in away])
                stack.callback(executor.close)
                parts = stack.enter_context(Parts(kept)) if shared else None
                self._work(executor, parts, shared, [i for i in away if i not in set(shared)])
        return Ran(tuple(self.outcomes[i] for i in range(len(self.tasks))), self.durations, cached)

    def _remembered(self) -> int:
        for index, task in enumerate(self.tasks):
            spec = load(task.check).spec
            digested = all(s.digest for s in task.subjects.values())  # what has none may change under its name
            if not spec.cacheable or not digested or self.cache is None:
                continue
            self.keys[index] = cache_key(task, spec)
            known = self.cache.get(self.keys[index])
            if known is not None:
                self.outcomes[index] = known
        self.ended = len(self.outcomes)
        return self.ended

    def _work(self, executor: Executor, parts: Parts | None, shared: list[int], alone: list[int]) -> None:
        """Tasks that stand alone and the parts of those that do not, then what joins the parts."""
        if parts is None:
            self._carry(executor, [(i, self.tasks[i]) for i in alone], self._answer)
            return
        cut = {i: parts.cut(self.tasks[i], str(i)) for i in shared}
        pieces = [(i, part) for i in shared for part in cut[i][1]]
        self.ended += sum(whole.of for whole, _ in cut.values()) - len(pieces)  # an interrupted run made these

        def take(index: int, task: Task, outcome: Outcome) -> None:
            if task.part is not None:
                parts.ended(task, outcome)
            else:
                self._answer(index, task, outcome)
                if task.pieces:
                    parts.done(task, outcome)

        # The parts take longest: they go first, so that no core is idle at the end.
        self._carry(executor, [*pieces, *((i, self.tasks[i]) for i in alone)], take)
        self._carry(executor, [(i, cut[i][0]) for i in shared], take)

    def _carry(
        self, executor: Executor, items: list[tuple[int, Task]], take: Callable[[int, Task, Outcome], None]
    ) -> None:
        base = self.ended

        def step(done: float, total: float, what: str = "") -> None:
            self.progress(base + done, self.total, what)

        for position, outcome, seconds in executor.run([msgspec.json.encode(task) for _, task in items], step):
            name = f"{outcome.check} {outcome.subject}"
            self.durations[name] = self.durations.get(name, 0.0) + seconds
            take(*items[position], outcome)
            self.ended += 1
            self.progress(self.ended, self.total, outcome.check)

    def _answer(self, index: int, task: Task, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        if self.cache is not None and index in self.keys:
            self.cache.put(self.keys[index], outcome)


def _bounds_itself(task: Task) -> bool:
    """Whether the check may run in this process: its parsers keep to the default limits (tighter ones need a worker),
    or it does not get as far as to open anything."""
    default = Limits()
    tighter = task.limits.seconds < default.seconds or task.limits.bytes < default.bytes
    spec = load(task.check).spec
    return bool(unmet(task, spec)) or (spec.cost == "instant" and not tighter)
