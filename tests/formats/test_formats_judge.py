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

# Attacks without a finding of medium or above, by corpus. Open is right where the loader itself refuses the file
# (corpus.REFUSED), or where what runs is no model at all, or is native code that nobody here can read.
OPEN = {
    "judge_attacks": frozenset(
        (
            *(f"polyglot--{n}" for n in ("elf-named-weights", "llamafile", "pyc", "r-promise", "windows-shortcut")),
            *("polyglot--shell-script-named-bin", "tensorflow--assets-library", "zip--bomb"),
        )
    ),
    "second_attacks": frozenset(
        (
            *("onnx--constant-bomb", "other--java-serialized", "other--weka-model", "torch--compiled-library"),
            *("remote-code--only-bytecode", "remote-code--poisoned-cache"),
        )
    ),
    "third_attacks": frozenset(
        (
            *("box-foreign--deb", "box-foreign--self-running", "box-stream--gzip-bomb", "export--shared-object"),
            *("r--promise", "remote-code--bytecode-only", "remote-code--compiled-helper"),
        )
    ),
}
# The clean ones: noted below medium (operators that need a library of the user's own), weak by the word of the one who
# made them (a page, a picture with bytes behind it), left out (git's own settings), a tool message that holds control
# tokens, and a list of packages that only another list names.
CLEAN = {
    "judge_attacks": frozenset(
        (
            *("onnx--unknown-operator", "tensorflow--op-assaytestcustomop"),
            *("polyglot--html-with-script", "polyglot--png-then-pickle"),
        )
    ),
    "second_attacks": frozenset({"agents--git-config-monitor"}),
    "third_attacks": frozenset({"prompt--few-shot", "requires--nested-file"}),
}
# Ordinary files with a finding of medium or above: all hold functions by value, which is code; one holds a class.
ALARMED = {
    "judge_benign": frozenset({"ecosystem--umap", "mlflow--own-python-model"}),
    "second_benign": frozenset(
        (
            *("ecosystem--dill-lambda-c", "ecosystem--dill-lambda-e"),
            *(f"ecosystem--cloudpickle-{kind}-{place}" for kind in ("closure", "lambda") for place in "dehm"),
        )
    ),
    "third_benign": frozenset[str](),
}
CRITICAL = frozenset({"mlflow--own-python-model"})
# Ordinary files that are in no format known here, or that are not what they stand for.
UNREAD = {
    "judge_benign": frozenset({"hub--lfs-pointers"}),
    "second_benign": frozenset[str](),
    "third_benign": frozenset(
        (
            *("hub--lfs-pointer", "binary--idx", "binary--index", "binary--names", "zip--mac"),
            *("zip--twice-compressible", "made-by-xgboost--own-formats-a36", "made-by-xgboost--own-formats-b38"),
        )
    ),
}


def verdict(folder: Path, files: dict[str, bytes]) -> str:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    outcomes = scan(folder).body.outcomes
    worst = max((f.severity.rank for o in outcomes for f in o.findings if f.severity), default=0)
    if worst >= Severity.MEDIUM.rank:
        return "critical" if worst == Severity.CRITICAL.rank else "found"
    return "open" if any(o.status is Status.OPEN or not o.complete for o in outcomes) else "clean"


def verdicts(folder: Path, corpus: ModuleType, every: int = 1) -> dict[str, str]:
    """What is said of the files of a corpus: of all, or of one in `every` by name and all that are listed above."""
    listed = {name for lists in (OPEN, CLEAN, ALARMED, UNREAD) for name in lists.get(corpus.__name__, ())}
    shapes = [(n, *one) for n, one in enumerate(sorted(corpus.shapes().items()))]
    return {name: verdict(folder / str(n), files) for n, name, files in shapes if n % every == 0 or name in listed}


def named(said: dict[str, str], *words: str) -> set[str]:
    return {name for name, told in said.items() if told in words}


ATTACKS = [(judge_attacks, 714), (second_attacks, 775), (third_attacks, 611)]
# One attack in four is scanned by the quick suite, and every one that was missed; `make test-all` scans them all.
SAMPLES = [pytest.param(c, n, 4, id=f"{c.__name__}-one-in-4") for c, n in ATTACKS]
WHOLE = [pytest.param(c, n, 1, id=f"{c.__name__}-{n}", marks=pytest.mark.heavy) for c, n in ATTACKS]


@pytest.mark.parametrize(("corpus", "least", "every"), [*SAMPLES, *WHOLE])
def test_every_attack_that_was_found_is_still_found(tmp_path: Path, corpus: ModuleType, least: int, every: int) -> None:
    said = verdicts(tmp_path, corpus, every)
    assert len(said) >= least // every
    assert named(said, "clean") == CLEAN[corpus.__name__]
    without = () if importlib.util.find_spec("py7zr") else ("sevenz--", "box-foreign--7z")
    unread = {name for name in said if name.startswith(without)} if without else set()
    assert named(said, "open") - corpus.REFUSED - unread == OPEN[corpus.__name__]


@pytest.mark.parametrize(("corpus", "least"), [(judge_benign, 290), (second_benign, 400), (third_benign, 510)])
def test_no_ordinary_file_is_alarmed_anew(tmp_path: Path, corpus: ModuleType, least: int) -> None:
    said = verdicts(tmp_path, corpus)
    assert len(said) >= least
    assert named(said, "found", "critical") == ALARMED[corpus.__name__]
    assert named(said, "critical") <= CRITICAL
    assert named(said, "open") == UNREAD[corpus.__name__]
