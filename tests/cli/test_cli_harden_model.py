"""`assay harden MODEL --train …`: it helps where it can, says so where nothing does, and writes nothing then."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from cli_tools import assay, one_line

np = pytest.importorskip("numpy", reason="the ml extra is not installed")
pa = pytest.importorskip("pyarrow", reason="the ml extra is not installed")
pytest.importorskip("lightgbm", reason="the ml extra is not installed")
pytest.importorskip("onnx", reason="the ml extra is not installed")

from pyarrow import parquet  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from assay.adapters.networks.network import Inputs, Layer, Network  # noqa: E402
from assay.adapters.networks.onnx_network import reader  # noqa: E402
from assay.core.canonical import digest_file  # noqa: E402
from assay.core.errors import InputError, UsageError  # noqa: E402
from assay.flow import harden_model as flow  # noqa: E402
from assay.flow.harden_model import Asked, harden_model  # noqa: E402
from assay.harden.hardening import adversarial, chosen, splits  # noqa: E402
from assay.harden.hardening.graph import network_to_onnx  # noqa: E402

BRITTLE = tuple(f"brittle{i}" for i in range(12))
NAMES = (*BRITTLE, "robust")
THREAT = "features:\n" + "".join(f"  {n}: {{min: -3, max: 3}}\n" for n in BRITTLE) + "  robust: {min: -9, max: 9}\n"
QUICK = (
    "--norm",
    "linf",
    "--budget",
    "0.5",
    "--attacked",
    "50",
    "--queries",
    "60",
    "--fpr",
    "0.05",
    "--margin",
    "0.03",
    "--weak-sandbox",
)
ON = ("--train", "train.parquet", "--holdout", "hold.parquet", "--label", "y", "--threat", "threat.yaml")


def rows(n: int, seed: int) -> Any:
    """Columns that say the class in a hair's breadth, and one that says it a little less well, but from afar.

    Noise on the first dozen averages out, so that who trains with noise leans on them still.
    """
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.5
    side = np.where(y, 1.0, -1.0)
    columns = dict(zip(BRITTLE, (0.15 * side[:, None] + 0.05 * rng.normal(size=(n, 12))).T, strict=True))
    return pa.table({**columns, "robust": 3.0 * side + 1.2 * rng.normal(size=n), "y": y.astype(int)})


@pytest.fixture(autouse=True, scope="module")
def quick() -> Any:
    """Fewer steps of training and two of the attacks that confirm: these tables are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adversarial, "LEAST_STEPS", 300)
        patch.setattr(adversarial, "MOST_STEPS", 300)
        patch.setattr(chosen, "ATTACKS", ("whitebox", "label"))
        yield


def put(folder: Path, train: Any, hold: Any, weight: tuple[float, float] = (2.0, 0.1)) -> Path:
    """Tables, a threat model, and a linear model that leans on the shortcut, as ONNX."""
    parquet.write_table(train, folder / "train.parquet")
    parquet.write_table(hold, folder / "hold.parquet")
    (folder / "threat.yaml").write_text(THREAT, "utf-8")
    count = len(NAMES)
    inputs = Inputs(np.arange(count), np.full(count, np.nan), np.full(count, np.nan))
    way = np.array([weight[0]] * 12 + [weight[1]])
    layers = (Layer(way[:, None], np.zeros(1)),)
    net = Network(NAMES, reader(NAMES, {}), inputs, layers, link="logistic")
    (folder / "m.onnx").write_bytes(network_to_onnx(net, (0, 1), 1))
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder in which hardening must help, with what it said."""
    folder = put(tmp_path_factory.mktemp("planted"), rows(1200, 0), rows(1600, 1))
    done = assay("harden", "m.onnx", *ON, *QUICK, "--try", "adversarial", "-f", "json", cwd=folder)
    return folder, done


def test_a_shortcut_is_unlearned_and_the_result_is_written_with_its_digest_and_threshold(planted: Any) -> None:
    folder, done = planted
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["verdict"], said["chosen"]) == ("helps", "adversarial")
    result = folder / said["result"]["path"]
    assert done.err == f"wrote m.hardened.onnx, {digest_file(result)}, threshold {said['threshold']:.9g}\n"
    assert result.name == "m.hardened.onnx"
    assert said["result"]["digest"] == digest_file(result)
    over = {g["over"]: g["attacked"] for g in said["gains"]}
    assert set(over) == {"original", "plain-network", "plain-several", "oversampled-network", "noise-network"}, (
        "controls always run"
    )
    assert all(g["low"] > 0 for g in over.values())
    last = {m["name"]: m for m in said["confirmed"]}
    assert set(last["adversarial"]["attacks"]) >= {"whitebox", "label"}
    worst = min(a["value"] for a in last["adversarial"]["attacks"].values())
    assert last["adversarial"]["attacked"]["value"] <= worst
    from assay.adapters.onnx_predictor import OnnxPredictor
    from assay.core.subject import Kind, Subject

    with OnnxPredictor(result.read_bytes(), Subject(name="r", kind=Kind.MODEL, uri="r")) as model:
        assert model.threshold == said["threshold"] == pytest.approx(last["adversarial"]["threshold"])


def test_no_file_is_replaced_unless_forced(planted: Any) -> None:
    folder, _ = planted
    before = digest_file(folder / "m.hardened.onnx")
    done = assay("harden", "m.onnx", *ON, *QUICK, cwd=folder)
    assert done.code == 2
    assert "is there already" in one_line(done, code=2)
    assert digest_file(folder / "m.hardened.onnx") == before


def test_what_is_no_file_is_no_place_for_the_result(planted: Any, tmp_path: Path) -> None:
    """It was found after the whole run, and a device was replaced by a file."""
    folder, _ = planted
    (folder / "nowhere.onnx").symlink_to("not-there")
    os.mkfifo(folder / "pipe.onnx")
    for name, said in (("nowhere.onnx", "is a link to nothing"), ("pipe.onnx", "is no regular file")):
        done = assay("harden", "m.onnx", *ON, *QUICK, "-o", name, "--force", cwd=folder)
        assert said in one_line(done, code=2)
    done = assay("harden", "pipe.onnx", *ON, *QUICK, cwd=folder)
    assert "is not a regular file" in one_line(done, code=2)
    done = assay("harden", ".", *ON, *QUICK, cwd=folder)
    assert "is a folder, not a model's file" in one_line(done, code=2)


def test_where_a_model_already_holds_nothing_helps_and_nothing_is_written(tmp_path: Path) -> None:
    folder = put(tmp_path, rows(1200, 2), rows(1600, 3), weight=(0.0, 1.0))
    done = assay("harden", "m.onnx", *ON, *QUICK, "--try", "adversarial", cwd=folder)
    assert done.code == 1
    for words in (
        "verdict  nothing helps: nothing to harden against: the attack took nothing from the original",
        "adversarial, the best",
        "result   nothing is written",
        "noise-network",
        "gain",
    ):
        assert words in done.out, words
    assert sorted(p.name for p in folder.iterdir()) == ["hold.parquet", "m.onnx", "threat.yaml", "train.parquet"]


@pytest.mark.heavy
def test_a_pickled_model_is_retrained_by_its_own_recipe_beside_ours(tmp_path: Path) -> None:
    train = rows(1200, 4)
    put(tmp_path, train, rows(1600, 5))
    x = np.column_stack([train.column(n).to_numpy() for n in NAMES])
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(LogisticRegression(C=1e4).fit(x, train.column("y").to_numpy())))
    done = assay("harden", "m.pkl", *ON, *QUICK, "--try", "adversarial", "-o", "r.onnx", "-f", "json", cwd=tmp_path)
    said = json.loads(done.out)
    assert (done.code, said["verdict"]) == (0, "helps")
    assert {m["name"] for m in said["confirmed"]} >= {"original", "retrained", "plain-network", "noise-network"}
    assert (tmp_path / "r.onnx").exists()


def test_trees_are_measured_beside_their_controls(tmp_path: Path) -> None:
    import lightgbm

    train = rows(500, 6)
    put(tmp_path, train, rows(900, 7))
    x = np.column_stack([train.column(n).to_numpy() for n in NAMES])
    data = lightgbm.Dataset(x, train.column("y").to_numpy(), feature_name=list(NAMES))
    how = {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1}
    lightgbm.train(how, data, 10).save_model(tmp_path / "m.txt")
    told = THREAT.replace("max: 3}", "max: 3, direction: down}")
    (tmp_path / "threat.yaml").write_text(told, "utf-8")
    tried = ("--try", "coarse-bins", "--try", "monotone", "--try", "large-leaves")
    done = assay("harden", "m.txt", *ON, *QUICK, *tried, "-f", "json", cwd=tmp_path)
    said = json.loads(done.out)
    assert done.code == {"helps": 0, "nothing helps": 1, "cannot tell": 3}[said["verdict"]]
    names = {m["name"]: m for m in said["picked_on"]}
    assert set(names) == {"original", "retrained", "oversampled", "noise", "coarse-bins", "monotone", "large-leaves"}
    assert all(not m.get("why") for m in names.values()), {n: m.get("why") for n, m in names.items()}
    assert (tmp_path / "m.hardened.txt").exists() == (said["verdict"] == "helps")


@pytest.mark.heavy
def test_trees_whose_splits_hold_are_measured_beside_trees_of_the_same_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lightgbm

    monkeypatch.setattr(splits, "ROUNDS", 20)
    train = rows(900, 10)
    put(tmp_path, train, rows(1600, 11))
    x = np.column_stack([train.column(n).to_numpy() for n in NAMES])
    data = lightgbm.Dataset(x, train.column("y").to_numpy(), feature_name=list(NAMES))
    lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 20).save_model(tmp_path / "m.txt")
    (tmp_path / "threat.yaml").write_text(THREAT, "utf-8")
    words = (*QUICK, "--queries", "30", "--try", "robust-splits", "-o", "r.onnx", "-f", "json")
    done = assay("harden", "m.txt", *ON, *words, cwd=tmp_path)
    said = json.loads(done.out)
    assert (done.code, said["verdict"], said["chosen"]) == (1, "nothing helps", "robust-splits")
    assert "than noise" in said["reasons"][0], "what chance does as well is not called hardening"
    told = [r for r in said["reasons"] if "no attack was in its training" in r]
    assert len(told) == 1, "and yet it is said what the model trained anew would bring"
    assert told[0].startswith("noise"), told
    last = {m["name"]: m for m in said["confirmed"]}
    ours = {"plain-splits", "oversampled-splits", "noise-splits"}
    assert set(last) == {"original", "retrained", "oversampled", "noise", "robust-splits", *ours}
    assert all(not m.get("why") for m in last.values()), {n: m.get("why") for n, m in last.items()}
    assert last["original"]["attacked"]["value"] == last["plain-splits"]["attacked"]["value"] == 0
    assert last["robust-splits"]["attacked"]["value"] > 0.8


@pytest.mark.heavy
def test_an_abstaining_model_tells_how_many_rows_it_refers_and_meets_the_largest_of_plain_ones(tmp_path: Path) -> None:
    put(tmp_path, rows(800, 8), rows(1600, 9))
    done = assay("harden", "m.onnx", *ON, *QUICK, "--try", "abstain", "-f", "json", cwd=tmp_path)
    said = json.loads(done.out)
    assert done.code == {"helps": 0, "nothing helps": 1, "cannot tell": 3}[said["verdict"]]
    assert (said["chosen"], said["against"]) == ("abstain", "evasion")
    last = {m["name"]: m for m in said["confirmed"]}
    assert set(last) >= {"original", "plain-several", "plain-largest", "noise-network", "abstain"}
    for name in ("abstain", "plain-largest"):
        for part in ("referred", "referred_negative"):
            told = last[name][part]
            assert 0 <= told["low"] <= told["value"] <= told["high"] <= 1
        # Referred negative rows are false alarms: they are among those that the threshold was set for.
        assert last[name]["referred_negative"]["value"] <= last[name]["alarms"]["value"]
    assert "referred" not in last["original"]
    told = any("`decided_score` does not goes to a person" in note for note in said["notes"])
    assert told == (said["verdict"] == "helps")


def _less(folder: Path, column: str, name: str) -> None:
    parquet.write_table(parquet.read_table(folder / name).drop_columns([column]), folder / name)


@pytest.mark.parametrize(
    ("name", "options", "code", "words"),
    [
        ("few", (), 3, "too small"),
        ("one-class", (), 3, "one class"),
        ("no-column", (), 3, "lacks"),
        ("constant", (), 3, "same score"),
        ("same", (), 2, "is the training data itself"),
        ("shuffled", (), 2, "100% of its rows are rows of the training data"),
        ("plain", ("--try", "magic"), 2, "no option is called magic"),
        ("plain", ("--rows", "hold.parquet"), 2, "does nothing beside --train"),
        ("plain", ("-o", "m.onnx", "--force"), 2, "is what this command reads"),
        ("frozen", (), 2, "lets an attacker change no input"),
        ("undeclared", (), 2, "says nothing of robust"),
        ("no-model", (), 2, "m.onnx"),
    ],
    ids=lambda v: v if isinstance(v, str) else " ".join(v) if isinstance(v, tuple) else str(v),
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, name: str, options: tuple[str, ...], code: int, words: str
) -> None:
    small = rows(60 if name == "few" else 800, 1)
    if name == "one-class":
        small = small.set_column(len(NAMES), "y", pa.array(np.ones(800, dtype=int)))
    put(tmp_path, rows(300, 0), small, weight=(0.0, 0.0) if name == "constant" else (1.0, 1.0))
    if name == "no-column":
        _less(tmp_path, "robust", "train.parquet")
    if name == "same":
        (tmp_path / "hold.parquet").write_bytes((tmp_path / "train.parquet").read_bytes())
    if name == "shuffled":
        known = parquet.read_table(tmp_path / "train.parquet")
        order = np.random.default_rng(0).permutation(known.num_rows)
        parquet.write_table(known.take(pa.array(order)), tmp_path / "hold.parquet")
    if name == "frozen":
        (tmp_path / "threat.yaml").write_text("features:\n" + "".join(f"  {n}: {{mutable: false}}\n" for n in NAMES))
    if name == "undeclared":
        (tmp_path / "threat.yaml").write_text("features:\n" + "".join(f"  {n}: {{}}\n" for n in BRITTLE))
    if name == "no-model":
        (tmp_path / "m.onnx").unlink()
    before = {p.name for p in tmp_path.iterdir()}
    done = assay("harden", "m.onnx", *ON, *QUICK, *options, cwd=tmp_path)
    assert done.code == code, done.out + done.err
    said = done.out if code == 3 else done.err
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert "Traceback" not in said
    assert {p.name for p in tmp_path.iterdir()} == before


def test_a_budget_must_be_named_and_options_of_hardening_need_training_rows(tmp_path: Path) -> None:
    put(tmp_path, rows(300, 0), rows(800, 1))
    done = assay("harden", "m.onnx", *ON, "--norm", "linf", cwd=tmp_path)
    assert (done.code, "nothing holds against every change" in done.err) == (2, True)
    done = assay("harden", "m.onnx", *ON[:6], cwd=tmp_path)
    assert (done.code, "nobody has said what a change costs" in done.err) == (2, True)
    done = assay("harden", "m.onnx", "--norm", "linf", cwd=tmp_path)
    assert (done.code, "--norm is for --train" in done.err) == (2, True)
    (tmp_path / "trees.txt").write_text("tree\nversion=v4\nnum_class=1\n")
    done = assay("harden", "trees.txt", cwd=tmp_path)
    assert (done.code, "hardened with --train, --holdout and --label" in done.err) == (2, True), "it is no table"
    done = assay("harden", "m.onnx", "--train", "train.parquet", "--label", "y", cwd=tmp_path)
    assert (done.code, "--holdout is needed" in done.err) == (2, True)


def test_what_the_words_alone_say_is_told_before_anything_is_read(tmp_path: Path) -> None:
    put(tmp_path, rows(300, 0), rows(800, 1))
    nothing = ("--train", "no.parquet", "--holdout", "no.parquet", "--label", "y")
    for more, said in (
        (("--norm", "linf"), "nothing holds against every change"),
        ((), "nobody has said what a change costs"),
        (("--norm", "linf", "--threat", "threat.yaml"), "nothing holds against every change"),
    ):
        assert one_line(assay("harden", "m.onnx", *nothing, *more, cwd=tmp_path), said, code=2)


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        (("--norm", "linf", "--budget", "1", "--try", "trades", "--try", "coarse-bins"), "adversarial, "),
        (("--against", "membership", "--try", "few-leaves"), "taught-decay, "),
    ],
)
def test_an_option_that_does_not_fit_is_named_with_those_that_do(
    tmp_path: Path, more: tuple[str, ...], fits: str
) -> None:
    put(tmp_path, rows(300, 0), rows(800, 1))
    done = assay("harden", "m.onnx", *ON[:6], *more, cwd=tmp_path)
    assert one_line(done, f"{more[-1]} does not fit m.onnx", fits, code=2)


def test_one_bar_goes_on_from_training_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[float, str]] = []
    monkeypatch.setattr(chosen, "ATTACKS", ("whitebox",))
    monkeypatch.setattr(adversarial, "LEAST_STEPS", 60)
    monkeypatch.setattr(adversarial, "MOST_STEPS", 60)
    put(tmp_path, rows(400, 0), rows(1200, 1))
    asked = Asked(
        train=tmp_path / "train.parquet", holdout=tmp_path / "hold.parquet", label="y", norm="linf", budget=0.5,
        access="whitebox", alarms=0.05, rows=50, queries=60, only=("adversarial",), weak=True,
    )  # fmt: skip
    harden_model(tmp_path / "m.onnx", asked, progress=lambda done, total, what="": told.append((done / total, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9
    stages = list(dict.fromkeys(what.split()[0] for _, what in told))
    assert stages == ["training", "choosing", "confirming"]
    assert any(0 < share < 0.4 for share in shares), "training is told as it goes"


def test_a_label_that_is_not_there_is_a_slip_of_the_command(tmp_path: Path) -> None:
    put(tmp_path, rows(300, 0), rows(800, 1))
    told = (
        "--train",
        "train.parquet",
        "--holdout",
        "hold.parquet",
        "--label",
        "nope",
        "--norm",
        "linf",
        "--budget",
        "1",
    )
    assert "no label column 'nope'" in one_line(assay("harden", "m.onnx", *told, cwd=tmp_path), "train.parquet", code=2)


def test_entities_of_the_training_data_in_the_holdout_are_told() -> None:
    from types import SimpleNamespace

    from assay.flow.harden_model import _shared_entities

    def rows(who: list[str] | None, entity: str = "who") -> Any:
        table = pa.table({"who": who or []})
        return SimpleNamespace(entity=entity if who else "", rows=table.num_rows, table=table.select)

    assert _shared_entities(rows(["a", "b", "c"]), rows(["c", "d", "a", "e"])) == 0.5
    assert _shared_entities(rows(["a"]), rows(["b"])) == 0
    assert _shared_entities(rows(None), rows(["a"])) == 0


def test_a_file_put_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """What somebody else wrote is nobody's to replace; with --force it was said that it may be."""
    place = tmp_path / "m.hardened.onnx"
    flow._written(place, b"first", force=False)
    with pytest.raises(UsageError, match="is there by now"):
        flow._written(place, b"second", force=False)
    assert place.read_bytes() == b"first"
    flow._written(place, b"third", force=True)
    assert place.read_bytes() == b"third"
    with pytest.raises(InputError, match="cannot be written"):
        flow._written(tmp_path / "nowhere" / "m.onnx", b"fourth", force=False)


def test_a_model_that_changes_meanwhile_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source that is named is the one that was measured."""
    monkeypatch.setattr(chosen, "ATTACKS", ("whitebox",))
    put(tmp_path, rows(1200, 0), rows(1600, 1))
    train, holdout, threat = (tmp_path / n for n in ("train.parquet", "hold.parquet", "threat.yaml"))
    asked = Asked(
        train=train, holdout=holdout, threat=threat, label="y", norm="linf", budget=0.5, access="whitebox",
        alarms=0.05, margin=0.03, rows=50, queries=60, only=("adversarial",), weak=True,
    )  # fmt: skip
    evaded = flow._evaded

    def changed(scene: Any) -> Any:
        found = evaded(scene)
        (tmp_path / "m.onnx").write_bytes(b"this is no model at all")
        return found

    monkeypatch.setattr(flow, "_evaded", changed)
    with pytest.raises(InputError, match="changed while it was measured"):
        harden_model(tmp_path / "m.onnx", asked)
    assert not (tmp_path / "m.hardened.onnx").exists()


def test_the_threat_model_is_not_replaced_even_if_forced(planted: Any) -> None:
    folder, _ = planted
    done = assay("harden", "m.onnx", *ON, *QUICK, "-o", "threat.yaml", "--force", cwd=folder)
    assert "is what this command reads" in one_line(done, code=2)
