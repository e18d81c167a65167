"""The executor in the caller's own process, for checks of cost "instant", whose parsers bound themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from assay.core.check import Yielded
from assay.core.finding import Outcome
from assay.core.protocols import Progress, silent
from assay.engine.ask import Handles, ask, outcome_of
from assay.engine.registry import load
from assay.engine.task import Task


class InlineExecutor:
    """Runs tasks one after another in this process. For checks of cost "instant", whose parsers bound themselves.

    `opened` are subjects by name that the caller has opened, and closes.
    """

    def __init__(self, opened: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._opened = opened

    def run(self, tasks: list[bytes], progress: Progress = silent) -> Iterator[tuple[int, Outcome, float]]:
        """(index, outcome, seconds), in order."""
        handles: Handles = {}
        try:
            for index, data in enumerate(tasks):
                task = msgspec.json.decode(data, type=Task)
                check = load(task.check)
                items: list[Yielded] = []
                start = time.perf_counter()
                end = ask(task, check, items.append, silent, handles, self._opened)
                yield index, outcome_of(task, check, items, end), time.perf_counter() - start
                progress(index + 1, len(tasks), task.check)
        finally:
            for handle in handles.values():
                handle.close()

    def close(self) -> None:
        """Nothing is held."""
