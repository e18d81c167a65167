"""Projects that many tests of the command line start from, written once a session and copied by each test."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_office import KEYS, PEOPLE, Office
from cli_tools import copy, mend


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's projects, with fewer rows and queries."""
    pytest.importorskip("lightgbm")
    from assay.labs import project

    folder = tmp_path_factory.mktemp("templates")
    words = ("queries: 1000, runs: 1", "queries: 100, runs: 1"), ("label, rows: 200", "label, rows: 60")
    before = project.TRAIN_ROWS, project.HOLDOUT_ROWS
    project.TRAIN_ROWS, project.HOLDOUT_ROWS = 2500, 2000
    try:
        for state in ("robust", "compromised"):
            project.write_project(folder / state, state, 11)
            for name, (old, new) in itertools.product(("assay.yaml", "policy.yaml"), words):
                mend(folder / state / name, old, new)
    finally:
        project.TRAIN_ROWS, project.HOLDOUT_ROWS = before
    return folder


@pytest.fixture
def robust(templates: Path, tmp_path: Path) -> Path:
    """A clean project: everything passes, only people are missing."""
    return copy(templates / "robust", tmp_path / "project")


@pytest.fixture
def compromised(templates: Path, tmp_path: Path) -> Path:
    """A project with planted code, flipped labels and leaks."""
    return copy(templates / "compromised", tmp_path / "project")


MANIFEST = """\
system: {name: tiny, owner: me@example.com, purpose: tests}
subjects:
  model: {model: model.safetensors}
policy: policy.yaml
"""
POLICY = """\
policy: tiny
version: 3
mode: enforce
waivers: {roles: [security], longest: 30d}
require:
  - findings: {severity: critical, unwaived_max: 0}
  - findings: {severity: low, unwaived_max: 0}
  - approvals: {roles: [security], distinct: 1, exclude: author}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project that needs no data and no worker: one file of weights."""
    return _tiny(tmp_path / "tiny")


def _tiny(folder: Path) -> Path:
    folder.mkdir()
    (folder / "assay.yaml").write_text(MANIFEST, "utf-8")
    (folder / "policy.yaml").write_text(POLICY, "utf-8")
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


class Planted:
    """Its pickle would run a command; it is never loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo planted",)


EVIL = pickle.dumps({"hook": Planted()}, protocol=4)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A pickle with code in it."""
    path = tmp_path / "evil.pkl"
    path.write_bytes(EVIL)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A file that holds only numbers."""
    path = tmp_path / "plain.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    return path


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office")
    (folder / "papers").mkdir()
    office = Office(folder)
    public = {name: office.fine(f"key new {name}").out.splitlines()[1] for name in KEYS}
    lines = [f"  - {{name: {n}, roles: [{r}], keys: ['{public[n]}']}}" for n, r in PEOPLE.items()]
    (folder / "roster.yaml").write_text("roster: tiny\npeople:\n" + "\n".join(lines) + "\n", "utf-8")
    return folder


@pytest.fixture
def office(furnished: Path, tiny: Path, tmp_path: Path) -> Office:
    return _office(furnished, tiny, tmp_path / "office")


def _office(furnished: Path, tiny: Path, at: Path) -> Office:
    folder = copy(furnished, at)
    (tiny / "policy.yaml").rename(folder / "policy.yaml")
    mend(tiny / "assay.yaml", "policy: policy.yaml\n", "")
    shutil.copytree(tiny, folder / "project")
    made = Office(folder)
    made.fine("sign roster.yaml --key owner.key")
    made.fine("sign policy.yaml --key owner.key")
    return made


@pytest.fixture(scope="session")
def released(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office with everything from the examination to the verdict, for tests that go on from there."""
    made = _office(
        furnished, _tiny(tmp_path_factory.mktemp("made") / "tiny"), tmp_path_factory.mktemp("kept") / "office"
    )
    made.allowed()
    return made.folder


@pytest.fixture
def kept(released: Path, tmp_path: Path) -> Office:
    return Office(copy(released, tmp_path / "office"))


@pytest.fixture(autouse=True)
def _here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written into the repository by a test that forgets where it is."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("cwd"))
    yield
    os.chdir(before)
