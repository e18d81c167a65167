"""The house rules that no linter knows: docs that are not stale, one version, first lines, sizes, no machine's path."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
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
        assert ast.get_docstring(tree(path))


@functools.cache
def tree(path: Path) -> ast.Module:
    """A file of ours, parsed once for all tests."""
    return ast.parse(path.read_text("utf-8"))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function; a docstring (a check's is its page in the docs) counts as none."""
    first = node.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    words = (first.end_lineno or 0) - first.lineno + 1 if told else 0
    return (node.end_lineno or 0) - node.lineno + 1 - words


def test_no_function_is_long() -> None:
    functions = [
        (f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", length(node))
        for path in SOURCE
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert len(functions) > 900
    assert [name for name, lines in functions if lines > 60] == []


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: ast.Module, modules: set[str]) -> set[str]:
    """Every module of ours that a file names in an import: at its top, in a function, or for the type checker only."""
    found = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would go unseen"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules or {node.module or ""}
    return found & modules


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in SOURCE}
    graph = {name: imports_of(tree(path), set(modules)) for name, path in modules.items()}
    assert sum(map(len, graph.values())) > 500
    assert circle(graph) == []


def test_a_circle_for_the_type_checker_only_is_seen() -> None:
    there = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from assay import b\n"
    back = "def late():\n    from assay.a import name\n"
    modules = {"assay", "assay.a", "assay.b"}
    graph = {"assay.a": imports_of(ast.parse(there), modules), "assay.b": imports_of(ast.parse(back), modules)}
    assert graph == {"assay.a": {"assay.b"}, "assay.b": {"assay.a"}}
    assert set(circle(graph)) == {"assay.a", "assay.b"}


# What reads such lines, and what it is tried on: addresses there are the matter that is judged.
JUDGED = (
    "src/assay/formats/texts/requirements.py",
    "src/assay/formats/texts/kinds.py",
    "tests/corpora/",
    "tests/formats/",
)


def test_no_machine_or_index_is_named() -> None:
    root = ROOT.resolve().parent
    bad = re.compile("|".join([re.escape(f"{root}/"), r"/home/\w+/", r"extra-index|index-url", "/" + "simple/"]))
    found = []
    for path in tracked():
        if path.suffix in (".svg", ".png", ".xz") or path.parent.name == ".ci" or path == Path(__file__):
            continue
        if path.relative_to(ROOT).as_posix().startswith(JUDGED):
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
