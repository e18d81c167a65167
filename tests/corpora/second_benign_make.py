"""Writes ordinary files with the libraries of whatever environment runs it: `python second_benign_make.py TAG OUT`."""

from __future__ import annotations

import io
import pickle
import sys
import warnings

warnings.simplefilter("ignore")
OUT: dict[str, bytes] = {}
TAG = sys.argv[1]


def keep(shape: str, path: str, make, **_: object) -> None:
    """Keep what `make` returns, or what it dumps, if its library is here."""
    try:
        data = make()
        OUT[f"{shape}-{TAG}/{path}"] = data if isinstance(data, bytes) else pickle.dumps(data)
    except Exception as error:  # another environment has it
        print("left out", shape, repr(error)[:90])


def joblibs(value: object, compress: object = 0, **more: object) -> bytes:
    """What joblib.dump writes."""
    import joblib

    out = io.BytesIO()
    joblib.dump(value, out, compress=compress, **more)
    return out.getvalue()


def data():
    """Forty rows of numbers and two classes."""
    import numpy as np

    rng = np.random.RandomState(7)
    x = np.abs(rng.rand(40, 4))
    return x, (x[:, 0] + x[:, 1] > 1).astype(int)


def estimators() -> None:
    """Fitted scikit-learn estimators, some to a file."""
    import importlib

    x, y = data()
    names = {
        "linear_model": "Lasso ElasticNet Ridge BayesianRidge HuberRegressor RANSACRegressor PoissonRegressor "
        "SGDClassifier Perceptron LogisticRegressionCV RidgeCV LassoLars OrthogonalMatchingPursuit TweedieRegressor",
        "naive_bayes": "GaussianNB MultinomialNB ComplementNB BernoulliNB",
        "tree": "DecisionTreeClassifier ExtraTreeRegressor",
        "neighbors": "NearestCentroid RadiusNeighborsClassifier KNeighborsRegressor",
        "discriminant_analysis": "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis",
        "decomposition": "KernelPCA TruncatedSVD FastICA NMF FactorAnalysis SparsePCA MiniBatchDictionaryLearning",
        "cluster": "DBSCAN OPTICS AgglomerativeClustering Birch MeanShift AffinityPropagation MiniBatchKMeans HDBSCAN",
        "preprocessing": "PowerTransformer QuantileTransformer KBinsDiscretizer RobustScaler MaxAbsScaler Binarizer "
        "PolynomialFeatures SplineTransformer Normalizer OrdinalEncoder LabelEncoder TargetEncoder",
        "feature_selection": "SelectKBest VarianceThreshold SelectPercentile GenericUnivariateSelect",
        "svm": "NuSVC LinearSVR OneClassSVM",
        "semi_supervised": "LabelPropagation LabelSpreading",
        "kernel_approximation": "Nystroem RBFSampler AdditiveChi2Sampler",
        "random_projection": "SparseRandomProjection GaussianRandomProjection",
        "covariance": "EllipticEnvelope LedoitWolf MinCovDet",
        "manifold": "Isomap TSNE SpectralEmbedding",
        "kernel_ridge": "KernelRidge",
        "dummy": "DummyClassifier",
        "impute": "SimpleImputer KNNImputer MissingIndicator",
        "cross_decomposition": "PLSRegression",
        "isotonic": "IsotonicRegression",
        "neural_network": "MLPClassifier BernoulliRBM",
    }
    for number, (module, listed) in enumerate(names.items()):
        group = {}
        for title in listed.split():
            try:
                made = getattr(importlib.import_module("sklearn." + module), title)()
                wants = x[:, 0] if title == "IsotonicRegression" else y if title == "LabelEncoder" else x
                group[title] = made.fit(wants, y) if title != "LabelEncoder" else made.fit(y)
            except Exception as error:
                print("no", title, repr(error)[:60])
        for half in (0, 1):
            some = {k: v for n, (k, v) in enumerate(group.items()) if n % 2 == half}
            if some and (number + half) % 2 == hash_tag() % 2:
                keep(f"sklearn--{module.replace('_', '-')}-{half}", "models.pkl", lambda s=some: s)


def hash_tag() -> int:
    """Which half of the groups this environment writes."""
    return sum(TAG.encode())


def composed() -> None:
    """Meta-estimators, pipelines, searches, scorers and splitters."""
    import numpy as np
    from sklearn import (
        compose,
        ensemble,
        feature_extraction,
        feature_selection,
        linear_model,
        metrics,
        model_selection,
        multiclass,
        multioutput,
        pipeline,
        preprocessing,
    )

    x, y = data()
    lr = linear_model.LogisticRegression()
    tree = ensemble.ExtraTreesClassifier(3, max_depth=2, random_state=1)
    keep("sklearn--one-vs-rest", "ovr.joblib", lambda: joblibs(multiclass.OneVsRestClassifier(lr).fit(x, y), 3))
    keep("sklearn--output-code", "ecoc.pkl", lambda: multiclass.OutputCodeClassifier(lr).fit(x, y))
    keep("sklearn--chain", "chain.pkl", lambda: multioutput.ClassifierChain(lr).fit(x, np.c_[y, 1 - y]))
    keep(
        "sklearn--multi-output",
        "mo.joblib",
        lambda: joblibs(multioutput.MultiOutputClassifier(tree).fit(x, np.c_[y, y])),
    )
    keep(
        "sklearn--bagging",
        "bag.joblib",
        lambda: joblibs(ensemble.BaggingClassifier(n_estimators=3).fit(x, y), ("xz", 3)),
    )
    keep("sklearn--rfe", "rfe.pkl", lambda: feature_selection.RFE(lr).fit(x, y))
    keep("sklearn--from-model", "sfm.pkl", lambda: feature_selection.SelectFromModel(tree).fit(x, y))
    keep("sklearn--extra-trees", "et.joblib", lambda: joblibs(tree.fit(x, y), ("gzip", 3)))
    keep(
        "sklearn--gradient-tiny",
        "gb.joblib",
        lambda: joblibs(ensemble.GradientBoostingRegressor(n_estimators=3).fit(x, y), ("bz2", 3)),
    )
    keep(
        "sklearn--scorers",
        "scorers.pkl",
        lambda: {"f2": metrics.make_scorer(metrics.fbeta_score, beta=2), "ll": "neg_log_loss"},
    )
    keep(
        "sklearn--splitters",
        "cv.pkl",
        lambda: [model_selection.StratifiedKFold(3), model_selection.TimeSeriesSplit(3), model_selection.GroupKFold(2)],
    )
    keep(
        "sklearn--vectorizers",
        "text.joblib",
        lambda: joblibs(
            [
                feature_extraction.text.CountVectorizer().fit(["a bc d", "bc e"]),
                feature_extraction.FeatureHasher(8),
                feature_extraction.DictVectorizer().fit([{"a": 1}]),
            ]
        ),
    )
    mixed = compose.ColumnTransformer(
        [("p", preprocessing.PowerTransformer(), [0]), ("l", preprocessing.FunctionTransformer(np.sqrt), [1])],
        remainder="passthrough",
    )
    keep(
        "sklearn--column-pipeline",
        "pipe.joblib",
        lambda: joblibs(pipeline.Pipeline([("c", mixed), ("m", lr)]).fit(x, y), "zlib"),
    )
    keep(
        "sklearn--search-result",
        "search.pkl",
        lambda: model_selection.GridSearchCV(lr, {"C": [0.1, 1]}, cv=2).fit(x, y),
    )
    keep(
        "sklearn--halving-params",
        "rs.pkl",
        lambda: model_selection.RandomizedSearchCV(
            lr, {"C": __import__("scipy.stats").stats.loguniform(0.1, 1)}, n_iter=2, cv=2
        ).fit(x, y),
    )
    keep("sklearn--dataset-bunch", "iris.pkl", __import__("sklearn.datasets").datasets.load_iris)


def arrays() -> None:
    """NumPy and SciPy values."""
    import numpy as np
    import scipy.interpolate
    import scipy.optimize
    import scipy.sparse
    import scipy.spatial
    import scipy.stats

    x, y = data()
    keep("arrays--ufuncs", "functions.pkl", lambda: {"sin": np.sin, "expit": scipy.special.expit, "add": np.add})
    keep(
        "arrays--polynomials",
        "poly.pkl",
        lambda: [np.poly1d([1, 2]), np.polynomial.Polynomial([1, 2, 3]), np.polynomial.Chebyshev([1, 2])],
    )
    keep(
        "arrays--dates",
        "dates.pkl",
        lambda: {"d": np.array(["2024-01-01"], "M8[D]"), "t": np.timedelta64(3, "h"), "s": np.float32(2)},
    )
    keep(
        "arrays--structured-matrix",
        "m.joblib",
        lambda: joblibs([np.zeros(3, [("a", "f4"), ("b", "U5")]), np.matrix([[1, 2]]), np.char.array(["a"])]),
    )
    keep(
        "arrays--generators",
        "rng.pkl",
        lambda: [np.random.Generator(np.random.Philox(3)), np.random.SeedSequence(5), np.random.RandomState(2)],
    )
    keep(
        "arrays--dtypes",
        "dtypes.pkl",
        lambda: [np.dtype("f8"), np.dtype([("x", ">i4"), ("y", "S3")]), np.float16, np.dtype("M8[ns]")],
    )
    keep("arrays--vectorized", "v.pkl", lambda: np.vectorize(np.hypot))
    keep("arrays--protocol-0", "old.pkl", lambda: pickle.dumps({"x": x[:3], "y": y[:3]}, 0))
    keep("arrays--protocol-1", "old.pkl", lambda: pickle.dumps([x[:3], np.int64(3), "café"], 1))
    keep("arrays--fortran", "f.joblib", lambda: joblibs(np.asfortranarray(x), 0, protocol=2))
    keep(
        "arrays--frozen-distributions",
        "dist.pkl",
        lambda: [
            scipy.stats.norm(0, 1),
            scipy.stats.beta(2, 3),
            scipy.stats.poisson(3),
            scipy.stats.multivariate_normal([0, 0]),
        ],
    )
    keep("arrays--histogram-distribution", "hist.pkl", lambda: scipy.stats.rv_histogram(np.histogram(x[:, 0], 5)))
    keep(
        "arrays--fits",
        "fit.pkl",
        lambda: [scipy.stats.linregress(x[:, 0], x[:, 1]), scipy.stats.ttest_ind(x[:, 0], x[:, 1])],
    )
    keep(
        "arrays--splines",
        "spline.pkl",
        lambda: [
            scipy.interpolate.CubicSpline([0, 1, 2], [0, 1, 4]),
            scipy.interpolate.interp1d([0, 1], [0, 2]),
            scipy.interpolate.RegularGridInterpolator(([0, 1], [0, 1]), np.eye(2)),
        ],
    )
    keep("arrays--trees", "kd.pkl", lambda: [scipy.spatial.cKDTree(x), scipy.spatial.KDTree(x[:5])])
    keep("arrays--rotation", "rot.pkl", lambda: scipy.spatial.transform.Rotation.from_euler("z", 90, degrees=True))
    keep(
        "arrays--sparse-kinds",
        "sp.pkl",
        lambda: [scipy.sparse.eye(3, format=f) for f in ("csr", "csc", "coo", "dia", "lil", "dok", "bsr")],
    )
    keep("arrays--optimized", "res.pkl", lambda: scipy.optimize.minimize(lambda v: (v**2).sum(), [1.0, 2.0]))


def frames() -> None:
    """pandas values."""
    import pandas as pd

    day = pd.date_range("2024-01-01", periods=4, freq="D", tz="Europe/Berlin")
    frame = pd.DataFrame(
        {
            "c": pd.Categorical(list("abab")),
            "t": day,
            "i": pd.array([1, 2, None, 4], "Int64"),
            "s": ["x", "é", None, "z"],
        },
        index=pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
    )
    keep("frames--categories-dates", "df.pkl", lambda: frame)
    keep("frames--protocol-2", "df.pkl", lambda: pickle.dumps(frame, 2))
    keep("frames--joblib", "df.joblib", lambda: joblibs(frame, 3))
    keep(
        "frames--intervals",
        "iv.pkl",
        lambda: [pd.cut(pd.Series([1, 2, 3]), 2), pd.IntervalIndex.from_breaks([0, 1, 2]), pd.Interval(0, 1)],
    )
    keep(
        "frames--periods",
        "p.pkl",
        lambda: [
            pd.period_range("2024-01", periods=3, freq="M"),
            pd.Timedelta("1D"),
            pd.Timestamp("2024-01-01"),
            pd.NaT,
        ],
    )
    keep(
        "frames--offsets",
        "o.pkl",
        lambda: [pd.offsets.BusinessDay(2), pd.offsets.MonthEnd(), pd.DateOffset(months=2), pd.offsets.Week(weekday=1)],
    )
    keep("frames--sparse", "sp.pkl", lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1])))
    keep("frames--aggregate", "agg.pkl", lambda: frame.groupby("c", observed=True).agg({"i": ["sum", "mean"]}))
    for ending in ("xz", "bz2"):

        def packed(ending=ending):
            import os
            import tempfile

            path = os.path.join(tempfile.mkdtemp(), "df.pkl." + ending)
            frame.to_pickle(path)
            with open(path, "rb") as stream:
                return stream.read()

        keep(f"frames--compressed-{ending}", f"df.pkl.{ending}", packed)


def main() -> None:
    """Everything this environment can write."""
    for part in (estimators, composed, arrays, frames):
        try:
            part()
        except Exception as error:
            print("part", part.__name__, repr(error)[:200])
    with open(sys.argv[2], "wb") as stream:
        pickle.dump(OUT, stream, 2)
    print(TAG, len(OUT), sum(map(len, OUT.values())))


if __name__ == "__main__":
    main()
