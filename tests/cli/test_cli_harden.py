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


@isolated
def test_a_threat_pack_judges_too(weights: Path) -> None:
    pack = "threats: org\nversion: 3\nissued: 2026-11-20\nnames: {{dangerous: {{{}: hides a gadget}}}}\n"
    assert assay("key", "new", "pub", cwd=weights).code == 0
    for name, danger in (("bad", "numpy.dtype"), ("good", "strangers")):
        (weights / name).mkdir()
        (weights / name / "threats.yaml").write_text(pack.format(danger))
        assert assay("sign", f"{name}/threats.yaml", "--key", "pub.key", cwd=weights).code == 0
    by = ("--threats-key", "pub.pub", "--tensors-only", "--threats")
    done = assay("harden", "w.pkl", *by, "bad/threats.yaml", cwd=weights)
    assert one_line(done, "numpy.dtype at byte ", "hides a gadget (threat pack org 3)", code=1)
    assert not (weights / "w.safetensors").exists()
    done = assay("harden", "w.pkl", *by, "good/threats.yaml", cwd=weights)
    assert "judged   by threat pack org 3 too" in done.out.splitlines()
    said = report(assay("harden", "w.pkl", *by, "good/threats.yaml", "-f", "json", "--force", cwd=weights))
    assert (said["threats"]["name"], said["threats"]["version"]) == ("org", 3)
    assert said["threats"]["digest"].startswith("sha256:")
    assert one_line(assay("harden", "w.pkl", "--threats", "good/threats.yaml", cwd=weights), "--threats-key", code=2)
    (weights / "good" / "threats.yaml").write_text(pack.format("others"))
    done = assay("harden", "w.pkl", *by, "good/threats.yaml", "--force", cwd=weights)
    assert one_line(done, "was changed after its owner signed it", code=1)
    done = assay("harden", "w.pkl", "--tensors-only", "-f", "json", "--force", cwd=weights)
    assert report(done)["threats"] is None


@isolated
def test_what_a_format_cannot_hold_is_exit_2(tmp_path: Path) -> None:
    array = np.arange(4.0)
    circle: dict[str, object] = {"w": array}
    circle["again"] = circle
    for root, says in (
        ({"a": {"b": array}, "a.b": array}, "two tensors would be called a.b"),
        ({1: array, "1": array}, "two things would be called 1"),
        ({"__metadata__": array}, "a tensor would be called __metadata__"),
        (circle, "or in a circle"),
        ({"x\ud800": array}, "a key that is no text"),
    ):
        (tmp_path / "m.pkl").write_bytes(pickle.dumps(root))
        assert one_line(assay("harden", "m.pkl", cwd=tmp_path), says, code=2)
    (tmp_path / "m.pkl").write_bytes(2 * pickle.dumps({"w": array}))
    says = "m.pkl: holds more than one object (convert them one by one)"
    assert one_line(assay("harden", "m.pkl", cwd=tmp_path), says, code=2)
    assert [p.name for p in tmp_path.iterdir()] == ["m.pkl"]
