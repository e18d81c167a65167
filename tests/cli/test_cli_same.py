"""The same inputs give the same report body: for any number of workers, any order of asking, and with any memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_tools import assay, mend, report

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


def body(project: Path, *words: str) -> Any:
    return report(assay("run", project, "-f", "json", "--skip", "theft.*", *words))["body"]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_one_worker_or_several_give_one_body(robust: Path, jobs: str) -> None:
    with_champion(robust)
    first = body(robust, "--no-cache", "--jobs", "2")
    assert {o["check"]: o["status"] for o in first["outcomes"]}["performance.versus-champion"] == "pass"
    assert body(robust, "--no-cache", "--jobs", jobs) == first


def test_what_is_asked_before_changes_no_answer(robust: Path) -> None:
    """One worker, each check of the model alone, against all of them in one go."""
    with_champion(robust)
    together = {(o["check"], o["subject"]): o for o in body(robust, "--no-cache", "--jobs", "1")["outcomes"]}
    for check in ("performance.versus-champion", "performance.holdout", "robustness.evasion"):
        (alone,) = body(robust, "--no-cache", "--jobs", "1", "--only", check)["outcomes"]
        assert msgspec.convert(alone, Outcome) == msgspec.convert(together[check, "model"], Outcome)


def test_what_is_remembered_is_what_would_be_said(robust: Path) -> None:
    with_champion(robust)
    first = body(robust, "--jobs", "2")
    assert body(robust, "--jobs", "1") == first
    assert body(robust, "--no-cache", "--jobs", "1") == first
