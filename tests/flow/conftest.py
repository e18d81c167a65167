"""The world in which the flow's tests take place."""

from __future__ import annotations

from pathlib import Path

import pytest
from flow_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A project with its papers in a folder of its own."""
    return World(tmp_path)
