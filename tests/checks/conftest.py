"""A bench for each test, and the payments that several of them read."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks_tools import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty bench. The data and model checks need the `ml` extra."""
    return Bench(tmp_path)
