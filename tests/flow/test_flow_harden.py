"""Harden as a call: which format a file becomes, where it goes, and what is never touched."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import msgspec
import pytest

from assay.adapters import sandbox_kernel
from assay.core.canonical import canonical, digest_file
from assay.core.errors import CouldNotLook, MissingExtra, UsageError
from assay.flow import harden as flow
from assay.flow.harden import Asked, Rows, harden
from assay.harden.result import Hardened

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
isolated = pytest.mark.skipif(sandbox_kernel.landlock_abi() < 1, reason="this kernel has no Landlock")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(w=np.arange(4.0), b=np.zeros(2, dtype=np.float16))))
    return path


@isolated
def test_tensors_become_safetensors_beside_the_file(weights: Path) -> None:
    before = weights.read_bytes()
    done = harden(weights)
    out = weights.with_suffix(".safetensors")
    assert (done.result.path, done.result.format, done.result.size) == (str(out), "safetensors", out.stat().st_size)
    assert (done.source.digest, done.result.digest) == (digest_file(weights), digest_file(out))
    assert done.next == f"assay sign {out} --key YOUR.key"
    assert weights.read_bytes() == before
    assert sorted(p.name for p in weights.parent.iterdir()) == ["w.pkl", "w.safetensors"]
    assert msgspec.json.decode(msgspec.json.encode(done), type=Hardened) == done
    assert canonical(done).startswith(b'{"isolation"')


@isolated
def test_the_same_file_gives_the_same_bytes(weights: Path, tmp_path: Path) -> None:
    first = harden(weights, Asked(output=tmp_path / "1"))
    second = harden(weights, Asked(output=tmp_path / "2"))
    assert first.result.digest == second.result.digest


@isolated
def test_progress_is_told(weights: Path) -> None:
    told: list[str] = []
    harden(weights, progress=lambda done, total, what="": told.append(what))
    assert set(told) == {"reading", "writing", "proving"}


def test_an_estimator_asks_for_skops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.pkl.gz"
    path.write_bytes(b"\x80\x02csklearn.preprocessing._data\nStandardScaler\n)\x81.")
    monkeypatch.setattr(flow.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"skops is not installed; pip install 'assay\[ml\]'"):
        harden(path)
    with pytest.raises(MissingExtra, match="skl2onnx"):
        harden(path, Asked(to="onnx", rows=Rows(path=tmp_path / "rows.csv")))
    with pytest.raises(UsageError, match="needs --rows"):
        harden(path, Asked(to="onnx"))


def test_without_a_sandbox_nothing_is_loaded(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "")
    with pytest.raises(CouldNotLook, match="no Python interpreter"):
        harden(weights)
    assert [p.name for p in weights.parent.iterdir()] == ["w.pkl"]
