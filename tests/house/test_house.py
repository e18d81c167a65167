"""The house rules that no linter knows: docs that are not stale, one version, first lines, sizes, no machine's path."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from assay.core.version import __version__

ROOT = Path(__file__).parent.parent.parent
SOURCE = sorted((ROOT / "src/assay").rglob("*.py"))


def tracked() -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_the_generated_docs_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, "tools/build_docs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize("path", SOURCE, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for_and_is_of_a_size(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 500
    if text.strip():
        assert ast.get_docstring(ast.parse(text))


def test_hardly_any_function_is_long() -> None:
    functions = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert sum(length > 60 for length in functions) <= 0.015 * len(functions)


def test_no_machine_or_index_is_named() -> None:
    root = ROOT.resolve().parent
    bad = re.compile("|".join([re.escape(f"{root}/"), r"/home/\w+/", r"extra-index|index-url", "/" + "simple/"]))
    found = []
    for path in tracked():
        if path.suffix in (".svg", ".png") or path.parent.name == ".ci" or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
            if bad.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_every_link_in_the_docs_leads_somewhere() -> None:
    missing = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith("http") and not (page.parent / target).exists():
                missing.append(f"{page.name} → {target}")
    assert missing == []
