"""Requirements: other indexes, addresses, look-alikes; ordinary lists only say what they leave open."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.finding import Severity
from assay.formats.reading import Note
from assay.formats.texts.documents import Document, parse_yaml
from assay.formats.texts.package_names import POPULAR, REAL, looks_like, normal
from assay.formats.texts.requirements import judge_manifest, judge_requirements

_INDEX = "--index" + "-url"
_EXTRA = "--extra" + "-index" + "-url"


def worst(notes: list[Note]) -> str:
    return max((note.severity for note in notes), key=lambda s: s.rank, default=Severity.INFO).value if notes else ""


LINES = [
    ("numpy==1.26.4\ntorch == 2.1.0 ; python_version > '3.8'\n", ""),
    ("numpy==1.26.4 \\\n    --hash=sha256:" + "a" * 64 + "\n", ""),
    ("numpy>=1.2\n", "info"),
    ("numpy\npandas~=2.0\ntransformers[torch]>=4\n", "info"),
    ("-r base.txt\n-c constraints.txt\n# a comment\n", ""),
    (f"{_EXTRA} https://download.pytorch.org/whl/cu121\ntorch==2.1\n", ""),
    (f"{_EXTRA} https://evil.example/repo\ntorch==2.1\n", "medium"),
    (f"{_INDEX} https://evil.example/repo\n", "low"),
    (f"{_INDEX} http://evil.example/repo\n", "medium"),
    ("--trusted-host evil.example\n", "medium"),
    ("--find-links http://evil.example/\n", "medium"),
    ("http://evil.example/x.whl\n", "high"),
    ("x @ https://evil.example/x.whl\n", "medium"),
    ("x @ https://evil.example/x.whl#sha256=" + "a" * 64 + "\n", ""),
    ("x @ https://github.com/a/b/archive/v1.zip\n", "low"),
    ("git+https://github.com/a/b.git\n", "low"),
    ("x @ git+https://github.com/a/b.git@main\n", "low"),
    ("-e git+https://github.com/a/b.git@" + "a" * 40 + "#egg=b\n", ""),
    ("reqeusts==2\n", "medium"),
    ("scikitlearn==1\n", "medium"),
    ("t0rch==2\n", "high"),
    ("t\u043erch==2\n", "high"),
    ("-e .\n", ""),
    ("\x00\xff(((", ""),
]


@pytest.mark.parametrize(("text", "severity"), LINES)
def test_lists_of_pip(text: str, severity: str) -> None:
    assert worst(judge_requirements(text)) == severity


MANIFESTS = [
    ("pyproject.toml", "[project]\ndependencies = ['numpy==1.2', 'reqeusts==1']\n", "medium"),
    ("pyproject.toml", "[build-system]\nrequires = ['setuptools>=61']\n", "info"),
    ("pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.11'\nx = {git = 'https://github.com/a/b'}\n", "low"),
    (
        "pyproject.toml",
        "[[tool.poetry.source]]\nname = 'a'\nurl = 'http://a.example/x'\npriority = 'primary'\n",
        "medium",
    ),
    ("pipfile", "[packages]\nnumpy = '==1.2'\nreqeusts = '*'\n", "medium"),
    ("poetry.lock", "[[package]]\nname = 'numpy'\nversion = '1'\n", ""),
    (
        "poetry.lock",
        "[[package]]\nname = 'x'\nversion = '1'\n[package.source]\ntype = 'url'\nurl = 'http://e.example/x'\n",
        "high",
    ),
]


@pytest.mark.parametrize(("name", "text", "severity"), MANIFESTS)
def test_manifests(name: str, text: str, severity: str) -> None:
    assert worst(judge_manifest(Document(values=(tomllib.loads(text),)), name)) == severity


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        (
            "channels: [a]\ndependencies:\n- python=3.10\n- pip<=23\n- pip:\n  - mlflow==2.9\n",
            "",
        ),
        ("dependencies: [numpy=1.2, conda-forge::pandas=2]\n", ""),
        ("dependencies: [numpy]\n", "info"),
        ("channels: ['http://evil.example/c']\n", "medium"),
        ("dependencies:\n- pip:\n  - http://evil.example/x.whl\n", "high"),
        ("build_dependencies: [pip==1, wheel==1]\ndependencies: ['-r requirements.txt']\n", ""),
    ],
)
def test_conda_and_mlflow_environments(text: str, severity: str) -> None:
    assert worst(judge_manifest(parse_yaml(text.encode()), "conda.yaml")) == severity


@pytest.mark.parametrize("name", sorted(POPULAR | REAL))
def test_real_names_look_like_none(name: str) -> None:
    assert looks_like(name) == ("", "")


@pytest.mark.parametrize("name", ["pytorch-extras", "my-internal-lib", "acme", "torch-audio-augment", "langchain-acme"])
def test_other_names_look_like_none(name: str) -> None:
    assert looks_like(name) == ("", "")


@given(st.sampled_from(sorted(n for n in POPULAR if len(n) >= 7)), st.data())
def test_a_letter_lost_is_told(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    typo = name[:at] + name[at + 1 :]
    if normal(typo) not in POPULAR | REAL and typo[:1].isalnum() and typo[-1:].isalnum():
        assert looks_like(typo)[0]


def test_the_nearest_name_is_meant() -> None:
    assert looks_like("tensorflow-gu") == ("tensorflow-gpu", "one letter"), "not tensorflow-io, which is two away"


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(judge_requirements(text), list)
