"""The same attack on the same model, as a file and behind an address: the same rows for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
lightgbm = pytest.importorskip("lightgbm")
pytest.importorskip("duckdb")

import pyarrow.parquet as pq  # noqa: E402

from assay.adapters.endpoint.predictor import EndpointPredictor  # noqa: E402
from assay.adapters.predictors import open_predictor  # noqa: E402
from assay.adapters.tables import open_dataset  # noqa: E402
from assay.attacks.strike import Asked, struck  # noqa: E402
from assay.core.errors import CouldNotLook  # noqa: E402
from assay.core.subject import Contract, Feature, Kind, Subject  # noqa: E402

NAMES = ("amount", "hour", "claims")
CONTRACT = Contract(features={
    "amount": Feature(min=0, max=600, direction="down"), "hour": Feature(min=0, max=23, integer=True),
    "claims": Feature(order=(0, 1, 2, 3, 4, 5)),
})  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.gamma(2, 50, 900).round(2), rng.integers(0, 24, 900), rng.integers(0, 6, 900)]) * 1.0
    y = (x[:, 0] / 60 + x[:, 2] - (x[:, 1] > 8) + rng.normal(0, 0.7, 900) > 4).astype(int)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1}
    lightgbm.train(settings, lightgbm.Dataset(x[:500], y[:500], feature_name=list(NAMES)), 15).save_model(
        folder / "model.txt"
    )
    pq.write_table(pa.table({n: x[500:, j] for j, n in enumerate(NAMES)}), folder / "rows.parquet")
    return folder


@pytest.mark.parametrize(
    ("protocol", "norm", "access", "method"),
    [
        ("oip", "cost", "label", "search"),
        ("mlflow", "l2", "score", "search"),
        pytest.param("oip", "cost", "score", "transfer", marks=pytest.mark.heavy),
        ("mlflow", "linf", "label", "transfer"),
    ],
)
def test_the_same_rows_are_made(
    shop: Path, serve: Callable[..., Any], norm: Any, access: Any, method: Any, protocol: str
) -> None:
    data = open_dataset(Subject(name="d", kind=Kind.DATASET, uri="rows.parquet"), shop, CONTRACT)
    file = open_predictor(Subject(name="m", kind=Kind.MODEL, uri="model.txt"), shop, data=data)
    inner = open_predictor(Subject(name="m", kind=Kind.MODEL, uri="model.txt"), shop, data=data)
    site = serve(NAMES, lambda columns: inner.scores(pa.table({n: columns[n] for n in NAMES})))
    remote = EndpointPredictor(Subject(name="m", kind=Kind.MODEL, uri=getattr(site, protocol)), data)
    flags = file.flagged(data.table())
    caught = data.table().filter(pa.array(flags)).slice(0, 8)
    passing = data.table().filter(pa.array(~flags)).slice(0, 100)
    against = (CONTRACT, data.table(), {c.name: c.kind for c in data.columns}, file.features)
    asked = Asked(norm, access, 3.0, 150, 3, method=method)
    mine, theirs = (struck(m, caught, passing, against, asked)[1] for m in (file, remote))
    assert np.isfinite(mine.distance).any()
    assert np.array_equal(mine.distance, theirs.distance)
    assert np.array_equal(mine.queries, theirs.queries)
    assert mine.table.equals(theirs.table)
    assert remote.queries == sum(site.asked.values()) == site.rows, "every row that was sent is counted"
    for each in (data, file, inner, remote):
        each.close()


def test_whoever_has_the_model_needs_no_copy_and_sees_nothing_behind_an_address(
    shop: Path, serve: Callable[..., Any]
) -> None:
    data = open_dataset(Subject(name="d", kind=Kind.DATASET, uri="rows.parquet"), shop, CONTRACT)
    site = serve(NAMES, lambda columns: np.asarray(columns["amount"], float) / 600)
    with EndpointPredictor(Subject(name="m", kind=Kind.MODEL, uri=site.oip, options={"threshold": 0.2}), data) as model:
        flags = model.flagged(data.table())
        caught, passing = (data.table().filter(pa.array(f)).slice(0, 30) for f in (flags, ~flags))
        against = (CONTRACT, data.table(), {c.name: c.kind for c in data.columns}, model.features)
        with pytest.raises(CouldNotLook, match="only its answers are seen"):
            struck(model, caught, passing, against, Asked("linf", "whitebox", 3.0, 100))
        with pytest.raises(CouldNotLook, match="sees answers only"):
            struck(model, caught, passing, against, Asked("linf", "whitebox", 3.0, 100, method="transfer"))
    data.close()
