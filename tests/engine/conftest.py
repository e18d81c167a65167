"""The engine's tests see their own checks, and take them out of the index again."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.checks.index import INDEX
from assay.engine.registry import load

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(INDEX)
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PYTHONPATH", HERE)
    importlib.import_module("engine_checks").register()
    load.cache_clear()
    yield
    INDEX.clear()
    INDEX.update(before)
    load.cache_clear()
