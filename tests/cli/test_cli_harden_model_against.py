"""`assay harden MODEL --against membership|theft`: what helps is written, what does not is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_tools import assay, one_line

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pytest.importorskip("onnx", reason="the ml extra is not installed")

from pyarrow import parquet  # noqa: E402

from assay.adapters.networks.network import Inputs, Layer, Network  # noqa: E402
from assay.adapters.networks.onnx_network import reader  # noqa: E402
from assay.adapters.onnx_predictor import OnnxPredictor  # noqa: E402
from assay.core.canonical import digest_file  # noqa: E402
from assay.core.subject import Kind, Subject  # noqa: E402
from assay.harden.hardening import copying  # noqa: E402
from assay.harden.hardening.graph import network_to_onnx  # noqa: E402

COUNT = 8
NAMES = tuple(f"x{j}" for j in range(COUNT))
ON = ("--train", "train.parquet", "--holdout", "hold.parquet", "--label", "y", "--fpr", "0.1", "--margin", "0.1")


def rows(n: int, seed: int, shift: float = 0.0) -> Any:
    """Classes that three columns tell in part; the rest is noise that can only be learned by heart."""
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    x = rng.normal(size=(n, COUNT)) + 0.7 * y[:, None] * (np.arange(COUNT) < 3) + shift
    return pa.table({**dict(zip(NAMES, x.T, strict=True)), "y": y.astype(int)})


def put(folder: Path, *, boosted: bool, train: int = 500, hold: Any = None) -> Path:
    """Tables and a model: trees that know their rows by heart, or a linear model."""
    table = rows(train, 0)
    parquet.write_table(table, folder / "train.parquet")
    parquet.write_table(rows(1500, 1) if hold is None else hold, folder / "hold.parquet")
    x, y = np.column_stack([table.column(n).to_numpy() for n in NAMES]), table.column("y").to_numpy()
    if boosted:
        import lightgbm

        how = {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 2, "verbose": -1, "num_threads": 1}
        data = lightgbm.Dataset(x, y, feature_name=list(NAMES))
        lightgbm.train(how, data, 60).save_model(folder / "m.txt")
        return folder
    inputs = Inputs(np.arange(COUNT), np.full(COUNT, np.nan), np.full(COUNT, np.nan))
    layers = (Layer(np.array([[0.7]] * 3 + [[0.3]] * (COUNT - 3)), np.array([-1.0])),)
    net = Network(NAMES, reader(NAMES, {}), inputs, layers, link="logistic")
    (folder / "m.onnx").write_bytes(network_to_onnx(net, (0, 1), 1))
    return folder


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("leaky"), boosted=True)


def test_trees_that_know_rows_by_heart_are_made_to_forget_them(leaky: Path) -> None:
    tried = ("--try", "regularised", "--try", "label-only")
    done = assay("harden", "m.txt", "--against", "membership", *ON, *tried, "-f", "json", cwd=leaky)
    said = json.loads(done.out)
    assert (done.code, said["verdict"], said["against"], said["chosen"]) == (0, "helps", "membership", "regularised")
    over = {g["over"]: g["attacked"] for g in said["gains"]}
    assert set(over) == {"original", "attacked-again", "retrained", "oversampled", "noise"}, "controls always run"
    assert all(g["low"] > 0 for g in over.values())
    last = {m["name"]: m for m in said["confirmed"]}
    assert last["original"]["leak"]["low"] > 0.7
    assert last["regularised"]["leak"]["value"] < last["original"]["leak"]["value"] - 0.05
    assert {"rmia", "loss", "near"} == set(last["regularised"]["attacks"])
    assert not last["original"].get("attacked")
    result = leaky / said["result"]["path"]
    assert (result.name, said["result"]["digest"]) == ("m.hardened.txt", digest_file(result))
    picked = {m["name"]: m for m in said["picked_on"]}
    assert picked["label-only"]["leak"]["value"] < picked["original"]["leak"]["value"]


def test_decisions_alone_cannot_be_written_into_a_text_of_trees(leaky: Path) -> None:
    done = assay("harden", "m.txt", "--against", "membership", *ON, "--try", "label-only", "-o", "other.txt", cwd=leaky)
    assert done.code == 0, done.out + done.err
    for words in ("verdict  helps: label-only", "result   nothing is written", "serve only whether a row is flagged"):
        assert words in done.out, words
    assert not (leaky / "other.txt").exists()


def test_where_nothing_leaks_there_is_nothing_to_harden(tmp_path: Path) -> None:
    put(tmp_path, boosted=False)
    done = assay("harden", "m.onnx", "--against", "membership", *ON, "--try", "rounded", cwd=tmp_path)
    assert done.code == 1, done.out + done.err
    assert "verdict  nothing helps: nothing to harden: no attack surely tells" in done.out
    assert "result   nothing is written" in done.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hold.parquet", "m.onnx", "train.parquet"]


def test_a_holdout_of_another_kind_is_no_standard(tmp_path: Path) -> None:
    put(tmp_path, boosted=True, hold=rows(1500, 1, shift=1.5))
    done = assay("harden", "m.txt", "--against", "membership", *ON, "--try", "rounded", cwd=tmp_path)
    assert (done.code, "the tables differ" in done.out) == (3, True), done.out


def test_a_linear_model_is_solved_from_scores_and_not_from_decisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ATTACKERS", ("marginal",))
    put(tmp_path, boosted=False)
    how = ("--queries", "120", "--try", "label-only", "-f", "json")
    done = assay("harden", "m.onnx", "--against", "theft", *ON, *how, cwd=tmp_path)
    said = json.loads(done.out)
    assert (done.code, said["verdict"], said["against"]) == (0, "helps", "theft"), said["reasons"]
    last = {m["name"]: m["copied"] for m in said["confirmed"]}
    assert last["original"]["value"] == pytest.approx(1, abs=0.01), "equations are solved"
    assert last["label-only"]["high"] < 1
    assert set(last) == {"original", "copied-again", "label-only"}
    one = "copied-again (the model as it is, copied with other questions)"
    assert f"harder to copy than the original and the one control there is, {one}" in said["reasons"][0]
    assert any("trained again: the one there is, `copied-again`, is the model" in note for note in said["notes"])
    hold = parquet.read_table(tmp_path / "hold.parquet")
    subject = Subject(name="r", kind=Kind.MODEL, uri="r")
    with (
        OnnxPredictor((tmp_path / "m.hardened.onnx").read_bytes(), subject) as after,
        OnnxPredictor((tmp_path / "m.onnx").read_bytes(), subject) as before,
    ):
        scores, whole = after.scores(hold), before.scores(hold)
        assert set(np.unique(scores)) == {0.0, 1.0}
        assert whole[scores == 1].min() > whole[scores == 0].max()
        assert after.threshold == said["threshold"] == 0.5


@pytest.mark.heavy
def test_rounding_does_not_hinder_a_copy_of_trees(leaky: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ATTACKERS", ("marginal",))
    monkeypatch.setattr(copying, "TO_CHOOSE", 1)
    how = ("--queries", "100", "--try", "rounded-2", "-o", "copy.txt")
    done = assay("harden", "m.txt", "--against", "theft", *ON, *how, cwd=leaky)
    assert done.code == 1, done.out + done.err
    assert "rounded-2, the best, is not surely harder to copy than" in done.out
    assert "oversampled" in done.out
    assert "retrained" in done.out
    assert not (leaky / "copy.txt").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--against", "theft", "--norm", "linf"), "does nothing against theft"),
        (("--against", "theft", "--attacked", "60"), "does nothing against theft"),
        (("--against", "theft", "--queries", "20"), "too few to make a copy of"),
        (("--against", "theft", "--try", "regularised"), "is an option of --against membership"),
        (("--against", "membership", "--queries", "500"), "does nothing against membership"),
        (("--against", "membership", "--budget", "1"), "does nothing against membership"),
        (("--against", "membership", "--try", "monotone"), "is an option of --against evasion"),
        (("--against", "membership", "--try", "magic"), "no option is called magic"),
        (("--try", "label-only"), "is an option of --against membership, --against theft"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else "",
)
def test_what_belongs_to_another_attack_is_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    put(tmp_path, boosted=False)
    done = assay("harden", "m.onnx", *ON, *options, cwd=tmp_path)
    assert words in one_line(done, code=2)
    assert not (tmp_path / "m.hardened.onnx").exists()


def test_against_without_training_rows_is_refused(tmp_path: Path) -> None:
    put(tmp_path, boosted=False)
    done = assay("harden", "m.onnx", "--against", "theft", cwd=tmp_path)
    assert "--against is for --train" in one_line(done, code=2)


@pytest.mark.parametrize("against", ["membership", "theft"])
def test_too_few_rows_stay_open(tmp_path: Path, against: str) -> None:
    put(tmp_path, boosted=False, hold=rows(90, 1))
    done = assay("harden", "m.onnx", "--against", against, *ON, cwd=tmp_path)
    assert done.code == 3
    assert "the holdout is too small" in done.out
    assert len(done.out.strip().splitlines()) == 1
