"""Servers that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Start a site; it is closed at the end."""
    pytest.importorskip("numpy")
    from served_models import Site

    sites: list[Any] = []

    def start(*words: Any, **more: Any) -> Any:
        sites.append(Site(*words, **more))
        return sites[-1]

    yield start
    for site in sites:
        site.close()
