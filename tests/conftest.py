"""What all tests share: `--heavy`, a fixed hypothesis profile, and no leftover environment."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from in_process import no_workers

settings.register_profile(
    "assay", deadline=None, derandomize=bool(os.environ.get("CI")), suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("assay")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--heavy", action="store_true", help="run the tests that need heavy extras or minutes")


SLOW = ("test_labs_demo", "test_cli_interrupted", "test_cli_harden_data", "test_ledger_durable")
"""Files of few tests that take long: first, or a worker is left alone with one of them at the end."""


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.name.startswith(SLOW))
    if config.getoption("--heavy"):
        return
    skip = pytest.mark.skip(reason="heavy: run with --heavy (make test-all)")
    for item in items:
        if "heavy" in item.keywords:
            item.add_marker(skip)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their argument: what they hold may differ from one worker to the next (a gzip's time)."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def here() -> Iterator[None]:
    """For tests of what is said, and not of who computes it: `pytestmark = pytest.mark.usefixtures("here")`."""
    with no_workers():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASSAY_DEBUG", "ASSAY_KEY_PASSPHRASE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
