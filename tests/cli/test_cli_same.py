"""The same inputs give the same report body: for any number of workers, any order of asking, and with any memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_tools import assay, copy, mend, report

from assay.core.finding import Outcome


def with_champion(project: Path) -> Path:
    """The project with its own model, at another threshold, as the champion."""
    (model,) = [p for p in (project / "models").iterdir() if p.suffix in (".txt", ".onnx")]
    shutil.copy(model, model.with_name(f"champion{model.suffix}"))
    text = (project / "assay.yaml").read_text()
    (line,) = [x for x in text.splitlines() if x.strip().startswith("model: {model:")]
    champion = line.replace("model: {model:", "champion: {model:").replace(model.name, f"champion{model.suffix}")
    mend(project / "assay.yaml", line, f"{line[:-1]}, champion: champion}}\n{champion}")
    return project


LONG = (
    "data.label-flips",
    "data.injected-rows",
    "data.triggers",
    "theft.*",
    "privacy.*",
    "fairness.*",
    "explanation.*",
    "robustness.backdoor",
    "robustness.corruption",
)
SKIPPED = [pytest.param(LONG, id="main"), pytest.param(("theft.*",), id="all", marks=pytest.mark.heavy)]


@pytest.fixture(scope="module", params=SKIPPED)
def skipped(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """What is not asked, as it takes long."""
    return tuple(word for name in request.param for word in ("--skip", name))


def body(project: Path, *words: str) -> Any:
    return report(assay("run", project, "-f", "json", *words))["body"]


@pytest.fixture(scope="module")
def together(skipped: tuple[str, ...], templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one worker says of the project in one go: a run takes long, so that the tests share this one."""
    project = with_champion(copy(templates / "robust", tmp_path_factory.mktemp("one") / "project"))
    return body(project, "--no-cache", "-j1", *skipped)


def test_what_is_asked_before_changes_no_answer(robust: Path, together: Any) -> None:
    """One worker, each check of the model alone, against all of them in one go."""
    with_champion(robust)
    known = {(o["check"], o["subject"]): o for o in together["outcomes"]}
    for check in ("performance.versus-champion", "performance.holdout", "robustness.evasion"):
        (alone,) = body(robust, "--no-cache", "--jobs", "1", "--only", check)["outcomes"]
        assert msgspec.convert(alone, Outcome) == msgspec.convert(known[check, "model"], Outcome)


def test_several_workers_and_what_is_remembered_say_what_one_worker_says(
    robust: Path, skipped: tuple[str, ...], together: Any
) -> None:
    assert {o["check"]: o["status"] for o in together["outcomes"]}["performance.versus-champion"] == "pass"
    with_champion(robust)
    assert body(robust, "--jobs", "3", *skipped) == together
    assert body(robust, "--jobs", "1", *skipped) == together
