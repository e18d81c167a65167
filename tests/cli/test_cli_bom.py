"""`assay bom`: exit codes, formats, the two ways to write, and what is told on which stream."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from cli_tools import assay


def model(folder: Path, rows: int = 2, torn: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [rows], "data_offsets": [0, rows * 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(rows * 4 - torn))
    return folder


def test_a_bom_goes_to_stdout_as_json_and_says_nothing_else(tmp_path: Path) -> None:
    done = assay("bom", model(tmp_path / "m"))
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["bomFormat"] == "CycloneDX"
    assert str(tmp_path) not in done.out


def test_a_file_is_written_and_a_summary_shown(tmp_path: Path) -> None:
    done = assay("bom", model(tmp_path / "m"), "-o", tmp_path / "bom.json")
    assert done.code == 0
    assert "1 machine-learning-model" in done.out
    assert "parameters 2" in done.out
    assert json.loads((tmp_path / "bom.json").read_text())["specVersion"] == "1.6"


def test_what_could_not_be_read_exits_3_and_the_bom_is_written(tmp_path: Path) -> None:
    done = assay("bom", model(tmp_path / "m", torn=1), "-o", tmp_path / "bom.json")
    assert done.code == 3
    assert "assay: open: model.safetensors" in done.err
    assert "assay:open" in (tmp_path / "bom.json").read_text()


def test_a_missing_database_exits_3(tmp_path: Path) -> None:
    done = assay("bom", model(tmp_path / "m"), "--database", tmp_path / "absent.zip")
    assert done.code == 3
    assert "the vulnerability database absent.zip is not there" in done.err


def test_the_project_here_is_listed_without_paths(tmp_path: Path) -> None:
    model(tmp_path)
    (tmp_path / "assay.yaml").write_text("system: {name: tiny}\nsubjects: {m: {model: model.safetensors}}\n")
    done = assay("bom", cwd=tmp_path)
    assert done.code == 0
    assert json.loads(done.out)["metadata"]["component"]["name"] == "tiny"


def test_differences_exit_1_and_sameness_0(tmp_path: Path) -> None:
    old, new = model(tmp_path / "old"), model(tmp_path / "new", rows=3)
    assert assay("bom", old, "-o", tmp_path / "old.json").code == 0
    same = assay("bom", "--diff", old, tmp_path / "old.json")
    assert (same.code, same.out) == (0, "no differences\n")
    done = assay("bom", "--diff", tmp_path / "old.json", new)
    assert done.code == 1
    assert "changed  measured parameters: 2 → 3" in done.out
    data = json.loads(assay("bom", "--diff", old, new, "--format", "json").out)
    assert data["schema"] == "assay/1"
    assert {"component", "area", "field", "change", "old", "new"} == set(data["changes"][0])
    assert data["open"] == []


def test_two_that_could_not_be_read_are_not_the_same(tmp_path: Path) -> None:
    torn = model(tmp_path / "m", torn=1)
    done = assay("bom", "--diff", torn, torn)
    assert (done.code, done.out) == (3, "no differences\n")
    assert "assay: open: model.safetensors" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("--diff", "a"), ("absent",), (), ("m", "--vex", "absent.json"), ("--diff", "m", "m", "--database", "m"),
        ("m", "--max-age", "0"), ("m", "--environment", "m"), ("m", "--report", "m/model.safetensors"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_and_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    model(tmp_path / "m")
    done = assay("bom", *words, cwd=tmp_path)
    assert done.code == 2
    assert done.out == ""
    assert done.err


def test_a_moment_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "m")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert json.loads(assay("bom", folder).out)["metadata"]["timestamp"] == "1970-01-02T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert assay("bom", folder).code == 2
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert "timestamp" not in json.loads(assay("bom", folder).out)["metadata"]
    assert "timestamp" in json.loads(assay("bom", folder, "--timestamp").out)["metadata"]
