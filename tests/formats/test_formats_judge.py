"""The judge corpora, made by other hands and frozen before the first score: what is still missed or alarmed is listed.

They have been seen since, so that this holds the ground that was won; docs/benchmarks.md has the first scores.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import judge_attacks
import judge_benign
import pytest
import second_attacks
import second_benign
import third_attacks
import third_benign

from assay.core.finding import Severity, Status
from assay.flow.api import scan

# Attacks without a finding of medium or above. Open is right where the loader itself refuses the file, or where what
# runs is no model at all; the clean ones are judged weak by the one who made them, or are noted below medium.
OPEN = frozenset(
    (
        *(f"polyglot--{name}" for name in ("elf-named-weights", "llamafile", "pyc", "r-promise", "windows-shortcut")),
        *("polyglot--shell-script-named-bin", "tensorflow--assets-library", "zip--bomb"),
        *("onnx--constant-bomb", "other--java-serialized", "other--weka-model", "torch--compiled-library"),
        *("remote-code--only-bytecode", "remote-code--poisoned-cache"),
        *("box-foreign--deb", "box-foreign--self-running", "export--shared-object", "r--promise"),
        *("remote-code--bytecode-only", "remote-code--compiled-helper"),
    )
)
CLEAN = frozenset(
    (
        *("onnx--unknown-operator", "tensorflow--op-assaytestcustomop"),
        *("polyglot--html-with-script", "polyglot--png-then-pickle", "agents--git-config-monitor"),
        *("prompt--few-shot", "requires--nested-file"),
    )
)
# Ordinary files with a finding of medium or above: all hold functions by value, which is code.
ALARMED = frozenset(
    (
        *("ecosystem--umap", "mlflow--own-python-model", "ecosystem--dill-lambda-c", "ecosystem--dill-lambda-e"),
        *(f"ecosystem--cloudpickle-{kind}-{place}" for kind in ("closure", "lambda") for place in "dehm"),
    )
)
# Ordinary files that are in no format known here, or that are not what they stand for.
UNREAD = frozenset(
    (
        *("hub--lfs-pointers", "hub--lfs-pointer", "binary--idx", "binary--index", "binary--names", "zip--mac"),
        *("zip--twice-compressible", "made-by-xgboost--own-formats-a36", "made-by-xgboost--own-formats-b38"),
    )
)
SLOW = "bomb"


def verdict(folder: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    outcomes = scan(folder).body.outcomes
    if any(f.severity and f.severity.rank >= Severity.MEDIUM.rank for o in outcomes for f in o.findings):
        return "found"
    return "open" if any(o.status is Status.OPEN or not o.complete for o in outcomes) else "clean"


@pytest.mark.parametrize(("corpus", "least"), [(judge_attacks, 700), (second_attacks, 760), (third_attacks, 600)])
def test_every_attack_that_was_found_is_still_found(tmp_path: Path, corpus: ModuleType, least: int) -> None:
    shapes = {name: files for name, files in corpus.shapes().items() if SLOW not in name}
    assert len(shapes) >= least
    said = {name: verdict(tmp_path / str(n), files) for n, (name, files) in enumerate(sorted(shapes.items()))}
    assert {name for name, told in said.items() if told == "clean"} <= CLEAN
    unread = (
        set()
        if importlib.util.find_spec("py7zr")
        else {name for name in said if name.startswith(("sevenz--", "box-foreign--7z"))}
    )
    assert {name for name, told in said.items() if told == "open"} <= OPEN | corpus.REFUSED | unread


@pytest.mark.heavy
def test_the_bombs_end() -> None:
    from io import BytesIO

    from assay.formats.artifact import examine

    for name, files in {**judge_attacks.shapes(), **second_attacks.shapes(), **third_attacks.shapes()}.items():
        if SLOW in name:
            assert all(examine(BytesIO(data), name=path).size == len(data) for path, data in files.items()), name


@pytest.mark.parametrize(("corpus", "least"), [(judge_benign, 290), (second_benign, 400), (third_benign, 510)])
def test_no_ordinary_file_is_alarmed_anew(tmp_path: Path, corpus: ModuleType, least: int) -> None:
    shapes = corpus.shapes()
    assert len(shapes) >= least
    said = {name: verdict(tmp_path / str(n), files) for n, (name, files) in enumerate(sorted(shapes.items()))}
    assert {name for name, told in said.items() if told == "found"} <= ALARMED
    assert {name for name, told in said.items() if told == "open"} <= UNREAD
