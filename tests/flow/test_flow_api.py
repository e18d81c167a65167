"""The Python API: the same structs as the command line, and a page in a notebook."""

from __future__ import annotations

import html
import pickle
import re
from pathlib import Path

import msgspec
import pytest
from flow_world import World

import assay
from assay.core.dossier import Dossier
from assay.core.errors import CouldNotLook, InputError, UsageError
from assay.core.finding import Status
from assay.core.report import Report

pytestmark = pytest.mark.usefixtures("here")


def framed(page: str) -> str:
    """The page inside the frame."""
    (inner,) = re.findall(r'srcdoc="([^"]*)"', page)
    return html.unescape(inner)


def test_a_scan_is_a_report_and_shows_itself(tmp_path: Path) -> None:
    path = tmp_path / "<script>m.pkl"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    report = assay.scan(path)
    assert isinstance(report, Report)
    assert {o.status for o in report.body.outcomes} <= {Status.PASS, Status.NOT_APPLICABLE, Status.FAIL}
    page = framed(report._repr_html_())  # type: ignore[attr-defined]
    assert page.startswith("<!doctype html>")
    assert "<script>m.pkl" not in page


def test_a_run_is_a_dossier_and_shows_itself(world: World) -> None:
    dossier = assay.run(world.project, only=("artifact.*",), jobs=1)
    assert isinstance(dossier, Dossier)
    assert dossier.report.body.release is not None
    assert dossier.report.body.release.digest == world.release().digest
    assert "claims" in framed(dossier._repr_html_())  # type: ignore[attr-defined]
    assert msgspec.json.decode(msgspec.json.encode(dossier), type=Dossier).report == dossier.report


def test_mistakes_are_errors_with_a_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to scan"):
        assay.scan()
    with pytest.raises(InputError, match="no such file"):
        assay.run(tmp_path)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        assay.nothing_like_it  # noqa: B018


def test_a_trained_model_is_converted_only_if_it_stays_the_same(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    linear = pytest.importorskip("sklearn.linear_model")
    pytest.importorskip("skl2onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = (x[:, 0] + 0.3 * rng.normal(size=200) > 0).astype(int)
    lines = "".join(f"{i},{a},{b},{c}\n" for i, (a, b), c in zip(range(200), x.tolist(), y.tolist(), strict=True))
    (tmp_path / "train.csv").write_text("id,a,b,y\n" + lines)
    model = linear.LogisticRegression().fit(x, y)
    out = tmp_path / "model.onnx"
    parity = assay.to_onnx(model, tmp_path / "train.csv", out, label="y", drop=("id",))
    assert parity.flips == 0
    assert parity.rows >= 200
    assert out.stat().st_size > 100
    wrong = linear.LogisticRegression().fit(rng.normal(size=(200, 5)), y)
    with pytest.raises(InputError):
        assay.to_onnx(wrong, tmp_path / "train.csv", tmp_path / "wrong.onnx", label="y", drop=("id",))
    assert not (tmp_path / "wrong.onnx").exists()


def test_a_model_is_attacked_and_hardened_in_a_notebook(tmp_path: Path) -> None:
    np, pa = pytest.importorskip("numpy"), pytest.importorskip("pyarrow")
    lightgbm = pytest.importorskip("lightgbm")
    pytest.importorskip("onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 3))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    lightgbm.train(settings, lightgbm.Dataset(x[:300], y[:300]), 10).save_model(tmp_path / "m.txt")
    for name, part in (("train", slice(0, 300)), ("rows", slice(300, 700))):
        lines = ["Column_0,Column_1,Column_2,y", *(",".join(map(str, [*r, int(v)])) for r, v in zip(x[part], y[part]))]  # noqa: B905
        (tmp_path / f"{name}.csv").write_text("\n".join(lines), "utf-8")
    told = {"norm": "linf", "budget": 0.1, "access": "whitebox", "rows": 20}
    report = assay.attack(tmp_path / "m.txt", tmp_path / "rows.csv", label="y", jobs=1, **told)
    (evasion,) = [o for o in report.body.outcomes if o.check == "robustness.evasion"]
    assert "robustness.evasion.recall_certified" in {m.name for m in evasion.measures}
    assert "caught" in framed(report._repr_html_())  # type: ignore[attr-defined]
    (tmp_path / "t.yaml").write_text("features: {Column_0: {cost: 1}, Column_1: {cost: 1}, Column_2: {cost: 1}}\n")
    priced = assay.attack(
        tmp_path / "m.txt", tmp_path / "rows.csv", label="y", jobs=1, threat=tmp_path / "t.yaml", budget=0.5, rows=20,
        queries=50, only=("robustness.evasion",),
    )  # fmt: skip
    (told_so,) = priced.body.outcomes
    assert told_so.parameters["cost"] == 0.5, "without a norm the budget is of the threat model's"
    tables = {"train": tmp_path / "train.csv", "holdout": tmp_path / "rows.csv"}
    with pytest.raises(CouldNotLook, match="the holdout is too small"):
        assay.harden_model(tmp_path / "m.txt", **tables, label="y", norm="linf", budget=0.1)
    frame = pa.table({**{f"Column_{j}": x[300:, j] for j in range(3)}, "y": y[300:]})
    again = assay.attack(tmp_path / "m.txt", frame, label="y", jobs=1, only="robustness.evasion", **told)
    (same,) = again.body.outcomes
    assert {m.name: m.value for m in same.measures} == {m.name: m.value for m in evasion.measures}
    told_by = {m.name: m for m in evasion.measures}["robustness.evasion.recall_certified"]
    assert again.measure("robustness.evasion.recall_certified") == told_by
    with pytest.raises(UsageError, match=r"has no robustness\.evasion\.recall \(it has .*recall_under_attack"):
        again.measure("robustness.evasion.recall")
    with pytest.raises(UsageError, match=r"a Booster is no file \(save it first: assay\.to_onnx"):
        assay.attack(lightgbm.Booster(model_file=tmp_path / "m.txt"), frame, label="y", norm="linf")
    with pytest.raises(UsageError, match="linf or l2 or l1 or cost"):
        assay.attack(tmp_path / "m.txt", frame, label="y", norm="l7")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"nothing\.csv"):
        assay.attack(tmp_path / "m.txt", tmp_path / "nothing.csv", label="y", norm="linf", jobs=1)
