"""Writes ordinary models and data with whatever libraries this interpreter has: `python benign_pickles.py OUT`.

Runs on Python 3.6 to 3.14, in an environment of its own for each set of library versions; what is not installed is
left out. Each file is called `<kind>--<library>-<version>.<suffix>`, so that files can be split by kind.
"""

import datetime
import decimal
import fractions
import importlib
import os
import pickle
import sys
import uuid
import warnings
from collections import Counter, OrderedDict, defaultdict, deque

warnings.simplefilter("ignore")


def version(name):
    """The version of a library, or None where it is not installed."""
    try:
        return importlib.import_module(name).__version__
    except Exception:
        return None


def standard(out):
    """Values of the standard library as people keep them beside a model."""
    values = {
        "labels": ["a", "b"],
        "mapping": OrderedDict(a=1),
        "counter": Counter("abca"),
        "queue": deque([1, 2], 9),
        "default": defaultdict(list, a=[1]),
        "date": datetime.date(2020, 1, 2),
        "moment": datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc),  # noqa: UP017 - Python 3.6
        "money": decimal.Decimal("1.5"),
        "part": fractions.Fraction(1, 3),
        "id": uuid.UUID(int=7),
        "numbers": [1, 2.5, 1 << 80, -1, True, None],
        "bytes": b"abc",
        "array": bytearray(b"abc"),
        "set": {1, 2},
        "frozen": frozenset([1]),
        "text": "n\u00e9" * 300,
        "deep": [[[[[1]]]]],
        "complex": 1j,
        "range": range(4),
        "slice-like": (1, (2, (3,))),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        out(f"py-all-protocol{protocol}", "python", values, protocol)
    for name, value in values.items():
        out("py-" + name, "python", value)
    class_free = {"params": {"max_depth": 3}, "threshold": 0.3, "columns": ["x", "y"], "version": (1, 2)}
    out("py-model-card", "python", class_free)


def numbers(out):
    """Arrays and what numpy makes."""
    if not version("numpy"):
        return
    import numpy as np

    kinds = {
        "float": np.ones((5, 3)),
        "int": np.arange(9),
        "fortran": np.asfortranarray(np.ones((4, 5))),
        "bool": np.array([True]),
        "text": np.array(["ab", "c"]),
        "bytes": np.array([b"ab"]),
        "scalar": np.float64(2),
        "record": np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]),
        "dtype": np.dtype("f4"),
        "complex": np.ones(2) * 1j,
        "object": np.array([{"a": 1}, None, "x"], dtype=object),
        "big-endian": np.arange(3, dtype=">i4"),
        "datetime": np.array(["2020-01-01"], dtype="M8[D]"),
        "masked": np.ma.array([1, 2], mask=[0, 1]),
        "random-state": np.random.RandomState(3),
        "matrix": np.matrix([[1, 2]]),
        "empty": np.zeros((0, 3)),
        "large": np.zeros(300000),
        "zero-d": np.array(3.0),
    }
    if hasattr(np.random, "default_rng"):
        kinds["generator"] = np.random.default_rng(1)
        kinds["seed"] = np.random.SeedSequence(4)
    for name, value in kinds.items():
        out("numpy-" + name, "numpy", value)
    out("numpy-out-of-band-free", "numpy", [np.ones(4), np.ones(4)], 2)
    out.raw("numpy-npy", "numpy", ".npy", lambda path: np.save(path, np.ones((4, 4))))
    out.raw("numpy-npz", "numpy", ".npz", lambda path: np.savez(path, a=np.ones(3), b=np.zeros((2, 2))))
    out.raw("numpy-npz-packed", "numpy", ".npz", lambda path: np.savez_compressed(path, a=np.ones(3)))
    if version("scipy"):
        from scipy import interpolate, sparse, spatial, stats

        for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia"):
            out("scipy-" + kind, "scipy", sparse.eye(5).asformat(kind))
        out("scipy-norm", "scipy", stats.norm(1, 2))
        out("scipy-gamma", "scipy", stats.gamma(2))
        out("scipy-interp1d", "scipy", interpolate.interp1d([0, 1, 2], [0, 1, 4]))
        out("scipy-spline", "scipy", interpolate.CubicSpline([0, 1, 2, 3], [0, 1, 4, 9]))
        out("scipy-univariate", "scipy", interpolate.UnivariateSpline(np.arange(9), np.arange(9) ** 2))
        out("scipy-kdtree", "scipy", spatial.cKDTree(np.random.RandomState(1).rand(20, 2)))
        out("scipy-gaussian-kde", "scipy", stats.gaussian_kde(np.arange(10.0)))


def tables(out):
    """Tables, columns and indexes of pandas and polars."""
    if version("pandas"):
        import numpy as np
        import pandas as pd

        frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None], "c": [1.5, np.nan, 2]})
        frame["d"] = pd.Categorical(["u", "v", "u"])
        frame["e"] = pd.date_range("2020-01-01", periods=3)
        kinds = {
            "frame": frame,
            "series": frame["a"],
            "index": frame.index,
            "multi": frame.set_index(["a", "b"]),
            "dates": pd.date_range("2020", periods=3, freq="D"),
            "period": pd.period_range("2020", periods=2, freq="M"),
            "timestamp": pd.Timestamp("2020-01-01", tz="UTC"),
            "timedelta": pd.Timedelta("1d"),
            "interval": pd.cut([1, 2, 3], 2),
            "nullable": pd.array([1, None], dtype="Int64"),
            "string": pd.array(["a", None], dtype="string"),
            "sparse": pd.arrays.SparseArray([0, 0, 1]),
            "offset": pd.offsets.BDay(2),
            "missing": pd.NaT,
            "groups": {"a": frame, "b": frame.describe()},
            "tz": pd.Series(pd.date_range("2020", periods=2, tz="Europe/Berlin")),
            "boolean": pd.array([True, None]),
        }
        for name, value in kinds.items():
            out("pandas-" + name, "pandas", value)
        out.raw("pandas-to-pickle", "pandas", ".pkl", frame.to_pickle)
        out.raw("pandas-to-pickle-gz", "pandas", ".pkl.gz", frame.to_pickle)
        out.raw("pandas-to-pickle-xz", "pandas", ".pkl.xz", frame.to_pickle)
        out.raw("pandas-to-pickle-bz2", "pandas", ".pkl.bz2", frame.to_pickle)
        out.raw("pandas-to-pickle-zip", "pandas", ".pkl.zip", frame.to_pickle)
    if version("polars"):
        import polars as pl

        frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
        out("polars-frame", "polars", frame)
        out("polars-series", "polars", frame["a"])
        out("polars-lazy", "polars", frame.lazy().select(pl.col("a") + 1))
        out("polars-dtype", "polars", [pl.Int64, pl.Utf8, pl.Date])


def estimators(out):
    """Every estimator of scikit-learn that fits, and pipelines of them."""
    if not version("sklearn"):
        return
    import numpy as np
    from sklearn.base import clone
    from sklearn.utils import all_estimators

    rng = np.random.RandomState(0)
    rows, target = np.abs(rng.rand(40, 4)), (rng.rand(40) > 0.5).astype(int)
    for name, factory in all_estimators():
        try:
            model = factory()
        except Exception:
            continue
        for labels in (target, rows[:, 0], rows[:, :2]):
            try:
                fitted = clone(model).fit(rows, labels)
                out("sklearn-" + name, "sklearn", fitted)
                break
            except Exception:
                continue


def sample():
    """Rows and a target to fit on."""
    import numpy as np

    rng = np.random.RandomState(0)
    return np.abs(rng.rand(60, 4)), (rng.rand(60) > 0.5).astype(int)


def pipelines(out):
    """Pipelines, searches and text vectorisers of scikit-learn."""
    import numpy as np

    rows, target = sample()
    from sklearn import (
        compose,
        ensemble,
        feature_extraction,
        feature_selection,
        gaussian_process,
        linear_model,
        metrics,
        model_selection,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    kinds = {
        "pipeline": steps,
        "search": model_selection.GridSearchCV(tree.DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2),
        "columns": compose.ColumnTransformer([("s", preprocessing.StandardScaler(), [0, 1])], remainder="passthrough"),
        "select": feature_selection.SelectKBest(feature_selection.f_classif, k=2),
        "function": preprocessing.FunctionTransformer(np.log1p, validate=True),
        "voting": ensemble.VotingClassifier([("a", tree.DecisionTreeClassifier()), ("b", svm.SVC(probability=True))]),
        "stacking": ensemble.StackingClassifier([("a", tree.DecisionTreeClassifier())], cv=2),
        "process": gaussian_process.GaussianProcessClassifier(
            gaussian_process.kernels.RBF() + gaussian_process.kernels.WhiteKernel()
        ),
        "scored": model_selection.GridSearchCV(
            tree.DecisionTreeClassifier(), {"max_depth": [1]}, cv=2, scoring=metrics.make_scorer(metrics.f1_score)
        ),
        "random-search": model_selection.RandomizedSearchCV(
            tree.DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, n_iter=2, cv=2
        ),
        "mutual": feature_selection.SelectKBest(feature_selection.mutual_info_classif, k=2),
    }
    for name, model in kinds.items():
        try:
            out("sklearn-" + name, "sklearn", model.fit(rows, target))
        except Exception:
            continue
    texts = ["one two", "two three", "three four"] * 4
    for name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        out("sklearn-text-" + name, "sklearn", getattr(feature_extraction.text, name)().fit(texts))


def joblibs(out):
    """A forest with every compression of joblib, and arrays."""
    import joblib
    import numpy as np
    from sklearn import ensemble

    rows, target = sample()
    forest = ensemble.RandomForestClassifier(5).fit(rows, target)
    for kind, options in (("plain", {}), ("zlib", {"compress": 3}), ("gzip", {"compress": ("gzip", 3)}),
                          ("bz2", {"compress": ("bz2", 3)}), ("xz", {"compress": ("xz", 3)}),
                          ("lzma", {"compress": ("lzma", 3)}), ("protocol2", {"protocol": 2})):  # fmt: skip
        out.raw("joblib-" + kind, "joblib", ".joblib", lambda p, o=options: joblib.dump(forest, p, **o))
    out.raw("joblib-array", "joblib", ".joblib", lambda p: joblib.dump({"a": np.ones((50, 50))}, p))
    out.raw("joblib-objects", "joblib", ".joblib", lambda p: joblib.dump(np.array(["a", None, 1], dtype=object), p))


def lightgbm(out):
    """Gradient boosting by LightGBM."""
    import lightgbm as lgb

    rows, target = sample()
    for name in ("LGBMClassifier", "LGBMRegressor", "LGBMRanker"):
        extra = {"group": [30, 30]} if name == "LGBMRanker" else {}
        model = getattr(lgb, name)(n_estimators=3, verbose=-1).fit(rows, target, **extra)
        out("lightgbm-" + name, "lightgbm", model)
    out("lightgbm-Booster", "lightgbm", model.booster_)
    out.raw("lightgbm-text", "lightgbm", ".txt", model.booster_.save_model)


def xgboost(out):
    """Gradient boosting by XGBoost, pickled and in its own formats."""
    import xgboost as xgb

    rows, target = sample()
    for name in ("XGBClassifier", "XGBRegressor", "XGBRFClassifier"):
        model = getattr(xgb, name)(n_estimators=3).fit(rows, target)
        out("xgboost-" + name, "xgboost", model)
    out("xgboost-Booster", "xgboost", model.get_booster())
    for suffix in (".json", ".ubj", ".model"):
        out.raw("xgboost-file" + suffix.replace(".", "-"), "xgboost", suffix, model.save_model)


def catboost(out):
    """Gradient boosting by CatBoost, pickled and in its own formats."""
    import catboost as cat

    rows, target = sample()
    for name in ("CatBoostClassifier", "CatBoostRegressor"):
        model = getattr(cat, name)(iterations=3, verbose=0, allow_writing_files=False).fit(rows, target)
        out("catboost-" + name, "catboost", model)
    out.raw("catboost-cbm", "catboost", ".cbm", model.save_model)
    out.raw("catboost-json", "catboost", ".json", lambda p: model.save_model(p, format="json"))


def imblearn(out):
    """Resampling."""
    from imblearn import ensemble, over_sampling, pipeline, under_sampling
    from sklearn.linear_model import LogisticRegression

    rows, target = sample()
    steps = pipeline.make_pipeline(over_sampling.SMOTE(k_neighbors=2), LogisticRegression())
    out("imblearn-pipeline", "imblearn", steps.fit(rows, target))
    out("imblearn-forest", "imblearn", ensemble.BalancedRandomForestClassifier(3).fit(rows, target))
    out("imblearn-sampler", "imblearn", under_sampling.RandomUnderSampler())
    out("imblearn-bagging", "imblearn", ensemble.BalancedBaggingClassifier(n_estimators=2).fit(rows, target))


def encoders(out):
    """Encoders of categories."""
    import category_encoders
    import pandas as pd

    frame, target = pd.DataFrame({"c": ["a", "b", "c"] * 20}), sample()[1]
    for name in ("TargetEncoder", "OrdinalEncoder", "OneHotEncoder", "WOEEncoder", "CountEncoder", "BinaryEncoder"):
        out("encoders-" + name, "category_encoders", getattr(category_encoders, name)().fit(frame, target))


def statsmodels(out):
    """Statistical models."""
    import statsmodels.api as sm

    rows, target = sample()
    out("statsmodels-ols", "statsmodels", sm.OLS(target, rows).fit())
    out("statsmodels-logit", "statsmodels", sm.Logit(target, rows).fit(disp=0))


def optuna(out):
    """A study of hyper-parameters."""
    import optuna as tuner

    tuner.logging.set_verbosity(tuner.logging.ERROR)
    study = tuner.create_study()
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    out("optuna-study", "optuna", study)


def river(out):
    """A model that learns row by row."""
    from river import linear_model, preprocessing

    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    model.learn_one({"a": 1.0}, True)
    out("river-pipeline", "river", model)


def skops(out):
    """Estimators in skops' own format."""
    import skops.io
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, target = sample()
    models = {
        "forest": RandomForestClassifier(3),
        "hist": HistGradientBoostingClassifier(max_iter=3),
        "pipeline": make_pipeline(StandardScaler(), RandomForestClassifier(2)),
    }
    for name, model in models.items():
        out.raw("skops-" + name, "skops", ".skops", lambda p, m=model: skops.io.dump(m.fit(rows, target), p))


class Out:
    """Writes one file a call, named by kind, library and version; what cannot be pickled is left out."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, kind, library, suffix):
        """Where the file of a kind goes."""
        found = "{}.{}".format(*sys.version_info) if library == "python" else version(library)
        return os.path.join(self.folder, f"{kind}--{library}-{found}{suffix}")

    def __call__(self, kind, library, value, protocol=None):
        """Pickle a value."""
        try:
            data = pickle.dumps(value, pickle.DEFAULT_PROTOCOL if protocol is None else protocol)
        except Exception:
            return
        with open(self.path(kind, library, ".pkl"), "wb") as file:
            file.write(data)

    def raw(self, kind, library, suffix, write):
        """Have a library write its own file."""
        try:
            write(self.path(kind, library, suffix))
        except Exception:
            return


if __name__ == "__main__":
    sink = Out(sys.argv[1])
    sources = (standard, numbers, tables, estimators, pipelines, joblibs, lightgbm, xgboost, catboost, imblearn)
    for part in (*sources, encoders, statsmodels, optuna, river, skops):
        try:
            part(sink)
        except Exception as error:
            print(f"left out {part.__name__}: {error}", file=sys.stderr)
