"""A run without workers, for tests of what a run says: a pool takes seconds to import its libraries, and is tested
by tests/engine and by the command line's tests of interrupted, private and repeated runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from assay.engine.inline import InlineExecutor


class Here(InlineExecutor):
    """In place of a pool of workers: every check is asked in this process."""

    def __init__(self, *_: Any) -> None:
        super().__init__()


@contextmanager
def no_workers() -> Iterator[None]:
    """Runs inside are without workers, and so without their limits of time and memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assay.engine.pool.WorkerPool", Here)
        yield
