"""`assay harden`: what it says, its exit codes, and that a refusal leaves nothing behind."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from cli_tools import assay, one_line, report

from assay.adapters import sandbox_kernel

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"w": np.arange(4.0), "n": 3, "odd": {1, 2}}))
    return tmp_path


@isolated
def test_the_text_says_what_was_made_and_proved(weights: Path) -> None:
    done = assay("harden", "w.pkl", "--tensors-only", cwd=weights)
    assert (done.code, done.err) == (0, "")
    words = [line.split(None, 1)[0] for line in done.out.splitlines()]
    assert words == ["source", "result", "proved", "sandbox", "kept", "left", "next"]
    for text in (
        "w.pkl  pickle, ",
        "w.safetensors  safetensors, ",
        "1 tensor has the bytes that it had in the source",
        "loaded in a full sandbox",
        "left out odd: is a set",
        "assay sign w.safetensors --key",
    ):
        assert text in done.out
    scanned = assay("scan", "w.safetensors", cwd=weights)
    assert scanned.code == 0


@isolated
def test_json_says_the_same(weights: Path) -> None:
    done = assay("harden", "w.pkl", "--tensors-only", "-f", "json", "-o", "o.safetensors", cwd=weights)
    said = report(done)
    assert said["schema"] == "assay/1"
    assert said["made"]["proof"] == {"kind": "bytes", "tensors": 1}
    assert said["made"]["left_out"] == [{"name": "odd", "why": "is a set"}]
    assert (said["result"]["path"], said["isolation"]["full"], said["weak"]) == ("o.safetensors", True, False)


def test_code_is_exit_1_and_nothing_written(evil: Path) -> None:
    line = one_line(assay("harden", evil), "refused, nothing written", "posix.system at byte ", code=1)
    assert "is dangerous" in line
    assert [p.name for p in evil.parent.iterdir()] == ["evil.pkl"]


def test_an_unknown_name_is_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x02cours\nRule\n)\x81.")
    assert one_line(assay("harden", path), "ours.Rule at byte 2 is unknown", code=1)


def test_torn_files_are_exit_1(weights: Path) -> None:
    path = weights / "w.pkl"
    path.write_bytes(path.read_bytes()[:-9])
    assert one_line(assay("harden", path), "refused, nothing written: not read to the end", code=1)


def test_wrong_use_is_exit_2(weights: Path, plain: Path) -> None:
    (weights / "empty.pkl").touch()
    (weights / "text.md").write_text("no model")
    (weights / "there.safetensors").write_bytes(b"mine")
    for words, says in (
        (["gone.pkl"], "does not exist"),
        (["."], "is a folder"),
        (["empty.pkl"], "is empty"),
        (["text.md"], "is no pickle, joblib, torch or numpy file; it reads as text"),
        ([plain], "is a safetensors file already"),
        (["w.pkl", "-o", "there.safetensors"], "is there already (--force replaces it"),
        (["w.pkl", "-o", "w.pkl", "--force"], "is the source itself"),
        (["w.pkl", "--label", "y"], "--label and --drop are columns of --rows"),
        (["w.pkl", "--to", "onnx"], "--to onnx needs --rows"),
    ):
        assert one_line(assay("harden", *words, cwd=weights), says, code=2)
    assert (weights / "there.safetensors").read_bytes() == b"mine"


@isolated
def test_what_is_no_tensor_is_exit_2(weights: Path) -> None:
    done = assay("harden", "w.pkl", cwd=weights)
    assert one_line(done, "holds what safetensors cannot: odd: is a set (--tensors-only leaves it out", code=2)
    assert not (weights / "w.safetensors").exists()


def test_a_sandbox_that_cannot_be_is_exit_3(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "")
    assert one_line(assay("harden", weights / "w.pkl"), "not loaded", code=3)
