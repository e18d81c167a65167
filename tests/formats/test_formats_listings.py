"""Lists of packages: every kind of file is read, fixed versions are told from open ones, torn files are gaps."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.artifact import Artifact
from assay.core.text import visible
from assay.formats.dependencies.gathered import Gathered, gather
from assay.formats.dependencies.listings import Listing, is_listing, read_listing
from assay.formats.dependencies.requirement import parse_conda, parse_requirement


def pins(listing: Listing) -> dict[str, str]:
    return {package.name: package.version for package in listing.packages}


def test_a_requirements_file_with_everything_in_it() -> None:
    text = b"""\
# a comment
-r base.txt
-c constraints.txt
--index-url https://example.org/index
Numpy==1.26.4  # why
scikit_learn === 1.4.0 ; python_version < "4"
torch==2.1.0+cu118 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
requests>=2,<3
pandas==2.*
pip>=20
-e .
foo @ https://user:token@example.org/foo-1.2-py3-none-any.whl?x=1
-e git+https://token@example.org/bar@main#egg=bar
"""
    listing = read_listing(text, "requirements.txt")
    assert pins(listing) == {
        "numpy": "1.26.4", "scikit-learn": "1.4.0", "torch": "2.1.0+cu118", "requests": "", "pandas": "",
        "foo": "1.2", "bar": "",
    }  # fmt: skip
    assert listing.includes == ("base.txt", "constraints.txt")
    assert not listing.gaps
    assert "token" not in repr(listing)
    by = {package.name: package for package in listing.packages}
    assert by["requests"].problem == "has no fixed version (<3,>=2)"
    assert by["numpy"].line == 5
    assert by["torch"].line == 7
    assert by["bar"].problem == "is taken from an address"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("poetry.lock", b'[[package]]\nname = "A_b"\nversion = "1.0"\n', {"a-b": "1.0"}),
        (
            "uv.lock",
            b'[[package]]\nname="me"\nversion="1"\nsource={editable="."}\n[[package]]\nname="x"\nversion="2.1"\n',
            {"x": "2.1"},
        ),
        ("pylock.toml", b'[[packages]]\nname = "x"\nversion = "3"\n', {"x": "3"}),
        ("Pipfile.lock", b'{"default": {"x": {"version": "==1.2"}}, "develop": {}}', {"x": "1.2"}),
        (
            "pyproject.toml",
            b'[project]\ndependencies=["x==1", "y>2"]\n[dependency-groups]\ndev=["z==3", "open"]\n',
            {"x": "1", "y": "", "z": "3"},
        ),
        ("Pipfile", b'[packages]\nx = "==1.0"\ny = "*"\n', {"x": "1.0", "y": ""}),
        (
            "conda.yaml",
            b"dependencies:\n- python=3.11\n- pip<=23\n- numpy=1.26.4\n- scipy=1.9\n- pip:\n  - mlflow==2.9.2\n",
            {"numpy": "1.26.4", "scipy": "", "mlflow": "2.9.2"},
        ),
        ("python_env.yaml", b"python: 3.11.1\nbuild_dependencies:\n- pip==23.2\n- setuptools\n", {"pip": "23.2"}),
        ("setup.cfg", b"[options]\ninstall_requires =\n  x==1\n  y\n", {"x": "1", "y": ""}),
        (
            "conda-lock.yml",
            b"package:\n- name: openssl\n  version: 3.1.0\n  manager: conda\n- {name: x, version: '1', manager: pip}\n",
            {"openssl": "3.1.0", "x": "1"},
        ),
    ],
)
def test_every_kind_of_list(name: str, data: bytes, expected: dict[str, str]) -> None:
    assert is_listing(f"some/folder/{name}")
    listing = read_listing(data, name)
    assert not listing.gaps
    assert pins(listing) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("poetry.lock", b"[[package]\nname"),
        ("Pipfile.lock", b'{"default": {"x": '),
        ("conda.yaml", b"dependencies: [a, {"),
        ("pyproject.toml", b"\xff\xfe\x00"),
        ("requirements.txt", b"\xff\xfe\x00x"),
        ("setup.cfg", b"no section"),
        ("uv.lock", b""),
    ],
)
def test_a_torn_list_is_a_gap_or_lists_nothing(name: str, data: bytes) -> None:
    listing = read_listing(data, name)
    assert not listing.packages
    assert listing.gaps or not data


def test_an_unreadable_line_is_a_package_without_a_version() -> None:
    (package,) = parse_requirement("foo == = 1")
    assert package.name == "foo"
    assert package.problem == "is asked for in words that cannot be read"


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("numpy=1.26.4", "1.26.4"),
        ("numpy==1.26", "1.26"),
        ("conda-forge::numpy=1.26.4=py311_0", "1.26.4"),
        ("numpy 1.26.4 py311_0", "1.26.4"),
        ("numpy=1.26", ""),
        ("numpy>=1.2", ""),
        ("numpy", ""),
    ],
)
def test_what_conda_takes_for_a_fixed_version(spec: str, version: str) -> None:
    (package,) = parse_conda(spec)
    assert (package.name, package.version, package.ecosystem) == ("numpy", version, "conda")


def test_a_folder_called_requirements_holds_lists(tmp_path: Path) -> None:
    assert is_listing("requirements/prod.txt")
    found = folder(tmp_path, {"requirements/prod.txt": "x==1\n", "notes/prod.txt": "y==1\n"})
    assert [item.package.name for item in found.packages] == ["x"]


def test_names_that_are_no_lists() -> None:
    assert not [n for n in ("readme.md", "config.json", "requirements.py", "lock", "model.yaml") if is_listing(n)]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["requirements.txt", "uv.lock", "conda.yaml", "Pipfile.lock"]))
def test_garbage_ends_in_facts(data: bytes, name: str) -> None:
    listing = read_listing(data, name)
    assert all(package.version or package.problem for package in listing.packages)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=80))
def test_any_requirement_is_fixed_or_says_why_not(text: str) -> None:
    for package in [*parse_requirement(text), *parse_conda(text)]:
        assert bool(package.version) != bool(package.problem)
        assert package.name == visible(package.name)


def folder(root: Path, files: dict[str, str]) -> Gathered:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return gather(Artifact(name="m", path=root, uri="m"))


def test_a_lock_beside_a_manifest_fixes_its_versions(tmp_path: Path) -> None:
    manifest, lock = '[project]\ndependencies=["x>1"]\n', '[[package]]\nname="x"\nversion="1.5"\n'
    found = folder(tmp_path, {"pyproject.toml": manifest, "uv.lock": lock})
    assert [(item.package.name, item.package.version) for item in found.packages] == [("x", "1.5")]
    assert found.asked
    assert not found.gaps


def test_a_lock_elsewhere_fixes_nothing(tmp_path: Path) -> None:
    found = folder(tmp_path, {"a/requirements.txt": "x>1\n", "b/requirements.txt": "x==1.5\n"})
    assert sorted((item.uri, item.package.version) for item in found.packages) == [
        ("m/a/requirements.txt", ""),
        ("m/b/requirements.txt", "1.5"),
    ]


def test_included_lists_are_read_and_missing_ones_are_gaps(tmp_path: Path) -> None:
    found = folder(tmp_path, {"requirements.txt": "-r deps/all.txt\n-r ../out.txt\n", "deps/all.txt": "x==1\n"})
    assert [(item.package.name, item.uri) for item in found.packages] == [("x", "m/deps/all.txt")]
    assert found.gaps == ("m/requirements.txt: names ../out.txt, which is not part of what was examined",)


def test_lists_that_include_each_other_end(tmp_path: Path) -> None:
    files = {"requirements.txt": "-r requirements.txt\n-r base.txt\nx==1\n", "base.txt": "-r requirements.txt\n"}
    assert [item.package.name for item in folder(tmp_path, files).packages] == ["x"]


def test_one_package_in_two_lists_is_told_once_with_both_places(tmp_path: Path) -> None:
    found = folder(tmp_path, {"requirements.txt": "x==1\n", "b/requirements.txt": "X == 1\n"})
    assert [(item.uri, item.also) for item in found.packages] == [("m/b/requirements.txt", ("m/requirements.txt",))]


def test_a_list_inside_an_archive_is_a_gap(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("inner/requirements.txt", "x==1\n")
        archive.writestr("a.json", json.dumps({}))
    found = folder(tmp_path, {})
    assert found.asked
    assert found.gaps == ("m/model.zip: holds inner/requirements.txt, a list that was not unpacked",)
