"""Writes ordinary files of other libraries: `python second_benign_make_more.py TAG OUT` in each environment."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tempfile
import warnings

from second_benign_make import OUT, TAG, data, joblibs, keep

warnings.simplefilter("ignore")


def saved(write, name: str = "f") -> bytes:
    """The bytes of the file that `write` writes to a path."""
    path = os.path.join(tempfile.mkdtemp(), name)
    write(path)
    with open(path, "rb") as stream:
        return stream.read()


def standard() -> None:
    """Values of the standard library."""
    import array
    import collections
    import datetime
    import decimal
    import fractions
    import functools
    import http
    import ipaddress
    import logging
    import operator
    import pathlib
    import random
    import re
    import statistics
    import string
    import types
    import uuid
    import zoneinfo

    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    keep(
        "plain--times",
        "t.pkl",
        lambda: [datetime.datetime(2024, 1, 1, tzinfo=zone), datetime.UTC, datetime.timedelta(3)],
    )
    keep(
        "plain--numbers",
        "n.pkl",
        lambda: [
            decimal.Decimal("1.1"),
            fractions.Fraction(1, 3),
            1 + 2j,
            10**40,
            float("inf"),
            statistics.NormalDist(0, 1),
        ],
    )
    keep(
        "plain--collections",
        "c.pkl",
        lambda: [
            collections.OrderedDict(a=1),
            collections.Counter("aab"),
            collections.deque([1], 3),
            collections.defaultdict(list, a=[1]),
            collections.ChainMap({}),
            collections.UserDict(a=1),
        ],
    )
    keep(
        "plain--identities",
        "i.pkl",
        lambda: [
            uuid.UUID(int=7),
            ipaddress.ip_network("10.0.0.0/8"),
            pathlib.PurePosixPath("models/a.bin"),
            http.HTTPStatus.OK,
        ],
    )
    keep("plain--patterns", "re.pkl", lambda: {"word": re.compile(r"\w+", re.I), "template": string.Template("$a")})
    keep(
        "plain--partials",
        "fn.pkl",
        lambda: [
            functools.partial(int, base=2),
            operator.itemgetter(1),
            operator.attrgetter("score"),
            operator.methodcaller("lower"),
            len,
            str.lower,
        ],
    )
    keep(
        "plain--buffers",
        "b.pkl",
        lambda: [
            array.array("d", [1, 2]),
            bytearray(b"x"),
            frozenset({1}),
            range(3),
            slice(1, 2),
            Ellipsis,
            NotImplemented,
        ],
    )
    keep("plain--random-state", "r.pkl", lambda: random.Random(3))
    keep("plain--logger", "l.pkl", lambda: {"log": logging.getLogger("train"), "ns": types.SimpleNamespace(lr=0.1)})
    keep("plain--errors", "e.pkl", lambda: [ValueError("bad"), KeyError("k"), StopIteration()])
    keep("plain--cycle", "cy.pkl", lambda: (lambda a: (a.append(a), a)[1])([1]))
    keep("plain--large-int-keys", "d.p", lambda: pickle.dumps({i: str(i) for i in range(400)}, 0))
    keep("plain--out-of-band-in", "o.pkl", lambda: pickle.dumps(pickle.PickleBuffer(b"abc"), 5))


def tables() -> None:
    """polars and pyarrow."""
    import polars as pl

    frame = pl.DataFrame({"a": [1, 2, None], "s": ["x", "y", "z"], "l": [[1], [2, 3], []]})
    keep("frames--polars-frame", "df.pkl", lambda: frame)
    keep("frames--polars-lazy", "lf.pkl", lambda: frame.lazy().filter(pl.col("a") > 1).select("s"))
    keep(
        "frames--polars-expressions",
        "ex.pkl",
        lambda: [pl.col("a").sum().alias("t"), pl.Int64, pl.List(pl.Utf8), pl.Series("q", [1.5])],
    )
    keep("frames--polars-ipc", "df.arrow", lambda: saved(frame.write_ipc))
    keep("frames--polars-parquet", "df.parquet", lambda: saved(frame.write_parquet))


def arrow() -> None:
    """pyarrow values and files."""
    import pyarrow as pa
    import pyarrow.feather as pf
    import pyarrow.parquet as pq

    table = pa.table({"a": [1, 2], "s": ["x", "y"]}).replace_schema_metadata({"owner": "data team"})
    keep("frames--arrow-values", "t.pkl", lambda: [table, table.schema, pa.scalar(3), pa.chunked_array([[1], [2]])])
    keep("frames--arrow-feather", "t.feather", lambda: saved(lambda p: pf.write_feather(table, p)))
    keep(
        "frames--arrow-parquet-zstd", "t.parquet", lambda: saved(lambda p: pq.write_table(table, p, compression="zstd"))
    )
    extension = pa.field(
        "x", pa.int64(), metadata={"ARROW:extension:name": "arrow.uuid", "ARROW:extension:metadata": ""}
    )
    keep("frames--arrow-extension", "t.arrow", lambda: saved(lambda p: _ipc(pa, p, pa.schema([extension]))))


def _ipc(pa, path: str, schema) -> None:
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table([pa.array([1])], schema=schema))


def boosters() -> None:
    """LightGBM, XGBoost and CatBoost."""
    x, y = data()
    try:
        import lightgbm as lgb

        regressor = lgb.LGBMRegressor(n_estimators=2, min_child_samples=2).fit(x, y)
        keep("boosters--lightgbm-regressor", "m.joblib", lambda: joblibs(regressor, 3))
        keep(
            "boosters--lightgbm-ranker",
            "m.pkl",
            lambda: lgb.LGBMRanker(n_estimators=2, min_child_samples=2).fit(x, y, group=[20, 20]),
        )
        keep(
            "boosters--lightgbm-dump",
            "m.json",
            lambda: __import__("json").dumps(regressor.booster_.dump_model()).encode(),
        )
    except ImportError:
        pass
    try:
        import xgboost as xgb

        model = xgb.XGBRFClassifier(n_estimators=2, max_depth=2).fit(x, y)
        keep("boosters--xgboost-forest", "m.pkl", lambda: model)
        keep(
            "boosters--xgboost-regressor",
            "m.joblib",
            lambda: joblibs(xgb.XGBRegressor(n_estimators=2, max_depth=2).fit(x, y)),
        )
        keep("boosters--xgboost-file", "m.model", lambda: saved(lambda p: model.get_booster().save_model(p), "m.json"))
    except ImportError:
        pass
    try:
        import catboost

        cat = catboost.CatBoostRegressor(iterations=2, depth=2, verbose=0, allow_writing_files=False).fit(x, y)
        keep("boosters--catboost-regressor", "m.joblib", lambda: joblibs(cat))
        keep("boosters--catboost-python", "m.py", lambda: saved(lambda p: cat.save_model(p, format="python")))
        keep("boosters--catboost-cpp", "m.cpp", lambda: saved(lambda p: cat.save_model(p, format="cpp")))
        keep("boosters--catboost-pmml", "m.pmml", lambda: saved(lambda p: cat.save_model(p, format="pmml")))
    except ImportError:
        pass


def statistics_models() -> None:
    """statsmodels, imbalanced-learn and category_encoders."""
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    x, y = data()
    frame = pd.DataFrame(x, columns=list("abcd")).assign(y=y + x[:, 2])
    keep("statistics--glm", "m.pkl", lambda: sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit())
    keep("statistics--formula-log", "m.pkl", lambda: smf.ols("y ~ np.log(a + 1) + C(b > 0.5) + I(c ** 2)", frame).fit())
    keep("statistics--robust", "m.pkl", lambda: sm.RLM(frame.y, x).fit())
    keep("statistics--quantile", "m.pkl", lambda: smf.quantreg("y ~ a", frame).fit())
    keep("statistics--kernel", "m.pkl", lambda: sm.nonparametric.KDEUnivariate(x[:, 0]))
    keep(
        "statistics--auto-regression",
        "m.pkl",
        lambda: __import__("statsmodels.tsa.ar_model", fromlist=["x"]).AutoReg(np.cumsum(x[:, 0]), 1).fit(),
    )
    import imblearn.over_sampling as over
    import imblearn.pipeline

    keep(
        "ecosystem--smote-pipeline",
        "m.joblib",
        lambda: joblibs(
            imblearn.pipeline.make_pipeline(
                over.SMOTE(k_neighbors=2), __import__("sklearn.linear_model").linear_model.LogisticRegression()
            ).fit(x, y)
        ),
    )
    keep("ecosystem--samplers", "m.pkl", lambda: [over.ADASYN(), over.RandomOverSampler()])
    import category_encoders as ce

    keep(
        "ecosystem--encoders",
        "m.pkl",
        lambda: [
            ce.WOEEncoder(cols=["k"]).fit(pd.DataFrame({"k": list("ab") * 20}), y),
            ce.BinaryEncoder(),
            ce.CatBoostEncoder(),
        ],
    )


def tools() -> None:
    """cloudpickle, dill, optuna, matplotlib, Pillow, networkx, sympy."""
    for shape, make in {
        "ecosystem--cloudpickle-lambda": lambda: __import__("cloudpickle").dumps(lambda v: v * 2 + 1),
        "ecosystem--cloudpickle-closure": lambda: __import__("cloudpickle").dumps(_scaled(__import__("numpy"), 3.0)),
        "ecosystem--dill-lambda": lambda: __import__("dill").dumps(lambda v: sorted(v)[:3]),
        "ecosystem--optuna-trial": _study,
        "ecosystem--figure": _figure,
        "ecosystem--image": lambda: __import__("PIL.Image").Image.new("RGB", (4, 4), "red"),
        "ecosystem--directed-graph": lambda: __import__("networkx").DiGraph([(1, 2), (2, 3)]),
        "ecosystem--symbols": lambda: __import__("sympy").sympify("x**2 + sin(y)"),
    }.items():
        keep(shape, "value.pkl", make)


def _scaled(np, factor):
    def scale(v):
        return np.asarray(v) / factor

    return scale


def _study():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1), 3)
    return [study.best_trial, optuna.distributions.IntDistribution(1, 3)]


def _figure():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    ax.plot([1, 2])
    return fig


def nets() -> None:
    """torch, Keras, JAX."""
    import torch

    def save(value, **more):
        out = io.BytesIO()
        torch.save(value, out, **more)
        return out.getvalue()

    from argparse import Namespace

    lin = torch.nn.Linear(2, 2)
    keep(
        "torch--arguments",
        "ckpt.pt",
        lambda: save({"args": Namespace(lr=0.1), "epoch": 3, "path": __import__("pathlib").PurePosixPath("a")}),
    )
    keep(
        "torch--half-types",
        "h.pt",
        lambda: save(
            {
                "b": torch.zeros(2, dtype=torch.bfloat16),
                "h": torch.zeros(2).half(),
                "c": torch.zeros(1, dtype=torch.complex64),
            }
        ),
    )
    keep("torch--sparse", "s.pt", lambda: save(torch.eye(3).to_sparse()))
    keep("torch--gru", "g.pt", lambda: save(torch.nn.GRU(2, 2)))
    keep(
        "torch--sequential-module",
        "m.pth",
        lambda: save(torch.nn.Sequential(lin, torch.nn.GELU(), torch.nn.LayerNorm(2), torch.nn.Dropout(0.1))),
    )
    keep("torch--adamw", "o.pt", lambda: save(torch.optim.AdamW(lin.parameters()).state_dict()))
    keep(
        "torch--scaler-scheduler",
        "s.pt",
        lambda: save(
            torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD(lin.parameters(), 0.1), 3).state_dict()
        ),
    )
    keep("torch--legacy-module", "l.pth", lambda: save(lin, _use_new_zipfile_serialization=False))
    keep("torch--pickled-tensor", "t.pkl", lambda: [torch.ones(2), torch.Size([1]), torch.device("cpu"), torch.float32])
    keep("torch--embedding-joblib", "e.joblib", lambda: joblibs(torch.nn.Embedding(3, 2)))
    keep(
        "torch--numpy-scalars",
        "n.pt",
        lambda: save({"best": __import__("numpy").float64(0.5), "a": __import__("numpy").zeros(2)}),
    )
    keep("torch--quantized", "q.pt", lambda: save(torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)))
    keep("torch--script-small", "s.pt", lambda: saved(torch.jit.script(torch.nn.ReLU()).save))


def keras_models() -> None:
    """Keras files and models in pickles."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import keras

    layers = keras.layers
    for title, made in {
        "gru": [layers.Input((3, 2)), layers.GRU(2), layers.Dense(1)],
        "embedding": [layers.Input((3,)), layers.Embedding(5, 2), layers.GlobalAveragePooling1D()],
        "augment": [
            layers.Input((8, 8, 3)),
            layers.RandomFlip(),
            layers.Rescaling(1 / 255),
            layers.SeparableConv2D(2, 3),
        ],
        "regularized": [
            layers.Input((3,)),
            layers.Dense(2, kernel_regularizer="l2", activation="gelu"),
            layers.UnitNormalization(),
        ],
    }.items():
        model = keras.Sequential(made)
        model.compile("adam", "mse", metrics=["mae"])
        keep(f"keras--{title}", "m.keras", lambda m=model: saved(m.save, "m.keras"))
        if title in ("gru", "regularized"):
            keep(f"keras--{title}-pickled", "m.pkl", lambda m=model: m)
        if title == "embedding":
            keep("keras--embedding-h5", "m.h5", lambda m=model: saved(m.save, "m.h5"))
    import flax.serialization
    import jax.numpy as jnp

    keep("flax--state-bytes", "state.msgpack", lambda: flax.serialization.to_bytes({"w": jnp.ones(2), "n": 3}))
    keep("flax--jax-pickle", "params.pkl", lambda: {"w": jnp.ones(2)})


def graphs() -> None:
    """ONNX and skops."""
    import numpy as np
    import skl2onnx
    from sklearn import ensemble, linear_model, pipeline, preprocessing

    x, y = data()
    for title, model in {
        "forest": ensemble.RandomForestClassifier(3, max_depth=2),
        "logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        "boosting": ensemble.GradientBoostingRegressor(n_estimators=2),
    }.items():
        keep(
            f"onnx--{title}",
            "m.onnx",
            lambda m=model: skl2onnx.to_onnx(m.fit(x, y), x[:1].astype(np.float32)).SerializeToString(),
        )


def main() -> None:
    """Everything this environment can write."""
    parts = (standard, tables, arrow, boosters, statistics_models, tools, nets, keras_models, graphs)
    for part in parts:
        if part is standard and TAG not in ("e", "m"):
            continue
        try:
            part()
        except Exception as error:
            print("part", part.__name__, repr(error)[:120])
    with open(sys.argv[2], "wb") as stream:
        pickle.dump(OUT, stream, 2)
    print(TAG, len(OUT), sum(map(len, OUT.values())))


if __name__ == "__main__":
    main()
