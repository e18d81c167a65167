"""Files of an artifact: every one is given, and what cannot be read safely is given with its problem."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from assay.core import artifact
from assay.core.artifact import Artifact
from assay.core.errors import InputError


def problems(path: Path) -> dict[str, str]:
    return {f.uri: f.problem for f in Artifact(name="a", path=path, uri="m").files()}


def test_one_file_is_itself(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert problems(tmp_path / "f") == {"m": ""}


def test_a_folder_gives_every_file_sorted(tmp_path: Path) -> None:
    for name in ("b/z", "b/a", "a", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "empty").mkdir()
    assert list(problems(tmp_path)) == ["m/.hidden", "m/a", "m/b/a", "m/b/z"]
    assert [f.uri for f in Artifact(name="a", path=tmp_path, uri=".").files()] == [".hidden", "a", "b/a", "b/z"]


def test_links_and_special_files_are_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    (root / "sub" / "file").write_text("x")
    (root / "inside").symlink_to("sub/file")
    (root / "leaves").symlink_to(tmp_path / "outside")
    (root / "climbs").symlink_to("../outside")
    (root / "broken").symlink_to("nowhere")
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "self").symlink_to(".")
    (root / "folder").symlink_to("sub")
    (root / "parent").symlink_to("..")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    found = problems(root)
    assert {k for k, v in found.items() if not v} == {"m/inside", "m/sub/file"}
    assert {k for k, v in found.items() if "leaves" in v} == {"m/leaves", "m/climbs", "m/parent"}
    assert {k for k, v in found.items() if "special" in v} == {"m/pipe", "m/socket"}
    assert {k for k, v in found.items() if "symbolic link" in v} >= {"m/one", "m/two", "m/self", "m/folder", "m/broken"}


def test_a_name_that_is_not_utf8_can_be_written_down(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.pkl", "wb"):
        pass
    assert problems(tmp_path) == {"m/\\xff.pkl": ""}


def test_what_is_absent_or_special_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InputError) as caught:
            problems(path)
        assert caught.value.where == "m"
        assert caught.value.fix


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    assert "cannot be listed" in problems(tmp_path)["m/shut"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    real = os.scandir

    def scan(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(artifact.os, "scandir", scan)
    assert problems(tmp_path) == {"m/shut": "cannot be listed: permission denied"}


def test_depth_and_number_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path.joinpath("deep", *["d"] * 70)
    deep.mkdir(parents=True)
    (found,) = problems(tmp_path).values()
    assert "nested deeper than 64" in found
    monkeypatch.setattr(artifact, "MAX_FILES", 5)
    for i in range(9):
        (tmp_path / f"f{i}").write_text("x")
    assert "more than 5 files" in "".join(problems(tmp_path).values())


@pytest.mark.parametrize("name", [".git", ".hg", ".svn", ".assay"])
def test_folders_that_tools_keep_for_themselves_are_left_out_and_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "inside").write_text("x")
    (tmp_path / "model").write_text("x")
    files = {file.uri: file.left_out for file in Artifact(name="a", path=tmp_path, uri="a").files()}
    assert set(files) == {f"a/{name}", "a/model"}
    assert files[f"a/{name}"].endswith("keeps its own files in it")
