"""Writes ordinary models of tables with the real libraries: `python judge_make_tables.py OUT`.

Each goes to OUT/<class>--<shape>/<file>; what is not installed is left out with a line on standard error. The packed
results are in judge_stored_*.py, so that the tests need none of these libraries.
"""

import gzip
import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out")
rng = np.random.default_rng(7)
X = rng.normal(size=(40, 3)).round(2)
y = (X[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["age", "income", "score"]).assign(city=["Oslo", "Bern"] * 20)
RECIPES = []


def recipe(function):
    """Register a maker."""
    RECIPES.append(function)
    return function


def put(shape, path, value, writer=None, protocol=4):
    """Write one file of a shape: pickled, or by its own writer."""
    target = OUT / shape / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if writer is not None:
        writer(str(target))
    elif isinstance(value, bytes):
        target.write_bytes(value)
    else:
        target.write_bytes(pickle.dumps(value, protocol))


@recipe
def sklearn_linear():
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PowerTransformer, StandardScaler

    columns = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    put(
        "sklearn--churn-pipeline",
        "model.joblib",
        None,
        lambda p: joblib.dump(make_pipeline(columns, LogisticRegression()).fit(FRAME, y), p, compress=3),
    )
    put("sklearn--grid-search", "search.pkl", GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2).fit(X, y))
    from scipy.stats import loguniform

    put(
        "sklearn--randomized-search",
        "search.pkl",
        RandomizedSearchCV(LogisticRegression(), {"C": loguniform(0.1, 1)}, n_iter=2, cv=2).fit(X, y),
    )
    logs = make_pipeline(FunctionTransformer(np.log1p, np.expm1), Ridge()).fit(abs(X), y)
    put("sklearn--function-transformer-log1p", "model.pkl", logs)
    put(
        "sklearn--target-log",
        "model.joblib",
        None,
        lambda p: joblib.dump(
            TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(X, abs(X[:, 0])), p
        ),
    )
    put(
        "sklearn--feature-union", "model.pkl", FeatureUnion([("a", StandardScaler()), ("b", PowerTransformer())]).fit(X)
    )


@recipe
def sklearn_trees():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import (
        AdaBoostClassifier,
        GradientBoostingRegressor,
        HistGradientBoostingClassifier,
        IsolationForest,
        RandomForestClassifier,
        StackingClassifier,
        VotingClassifier,
    )
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.tree import DecisionTreeClassifier

    small = RandomForestClassifier(2, max_depth=2, random_state=0)
    put("sklearn--forest", "model.pkl", small.fit(X, y), protocol=5)
    put("sklearn--forest-protocol-2", "model.pkl", small, protocol=2)
    put(
        "sklearn--gradient-boosting",
        "model.joblib",
        None,
        lambda p: joblib.dump(
            GradientBoostingRegressor(n_estimators=2, max_depth=1).fit(X, y), p, compress=("gzip", 3)
        ),
    )
    put("sklearn--hist-gradient", "model.pkl", HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=3).fit(X, y))
    put(
        "sklearn--isolation-forest",
        "model.joblib",
        None,
        lambda p: joblib.dump(IsolationForest(n_estimators=2, max_samples=8).fit(X), p, compress=("lzma", 3)),
    )
    stack = StackingClassifier([("nb", GaussianNB()), ("t", DecisionTreeClassifier(max_depth=1))], cv=2).fit(X, y)
    put("sklearn--stacking", "model.pkl", stack)
    put(
        "sklearn--voting", "model.pkl", VotingClassifier([("nb", GaussianNB()), ("lr", LogisticRegression())]).fit(X, y)
    )
    put("sklearn--calibrated", "model.pkl", CalibratedClassifierCV(GaussianNB(), cv=2).fit(X, y))
    put("sklearn--adaboost", "model.pkl", AdaBoostClassifier(n_estimators=2).fit(X, y))


@recipe
def sklearn_other():
    from sklearn.cluster import DBSCAN, KMeans
    from sklearn.decomposition import PCA, LatentDirichletAllocation
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC, LinearSVC

    texts = ["eval the model", "exec summary of os", "system prompt import", "subprocess of sales"] * 2
    put("sklearn--tfidf-svm", "spam.pkl", make_pipeline(TfidfVectorizer(), LinearSVC()).fit(texts, [0, 1] * 4))
    counts = CountVectorizer(token_pattern=r"\w+", stop_words="english").fit(texts)
    put("sklearn--topics", "lda.pkl", (counts, LatentDirichletAllocation(2).fit(counts.transform(texts))))
    put("sklearn--svc", "model.pkl", SVC(probability=False).fit(X, y))
    put("sklearn--neighbours", "model.pkl", KNeighborsClassifier().fit(X, y))
    put("sklearn--novelty", "model.pkl", LocalOutlierFactor(novelty=True).fit(X))
    put("sklearn--clusters", "clusters.pkl", {"kmeans": KMeans(2, n_init=1).fit(X), "dbscan": DBSCAN().fit(X)})
    put("sklearn--pca-gz", "pca.pkl.gz", gzip.compress(pickle.dumps(PCA(2).fit(X)), mtime=0))
    put("sklearn--mixture", "model.pkl", GaussianMixture(2).fit(X))
    put("sklearn--gaussian-process", "model.pkl", GaussianProcessRegressor(RBF() + WhiteKernel()).fit(X[:9], X[:9, 0]))
    put("sklearn--perceptron", "model.pkl", MLPClassifier((3,), max_iter=3).fit(X, y))


@recipe
def imbalanced():
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline
    from sklearn.linear_model import LogisticRegression

    put("ecosystem--imblearn", "model.pkl", make_pipeline(SMOTE(k_neighbors=2), LogisticRegression()).fit(X, y))


@recipe
def encoders():
    import category_encoders as ce

    put("ecosystem--category-encoders", "encoder.pkl", ce.TargetEncoder(cols=["city"]).fit(FRAME, pd.Series(y)))


@recipe
def feature_engine():
    from feature_engine.imputation import MeanMedianImputer

    put("ecosystem--feature-engine", "imputer.pkl", MeanMedianImputer(variables=["age"]).fit(FRAME))


@recipe
def boosters():
    import lightgbm
    import xgboost

    put("boosters--xgboost-pickle", "model.pkl", xgboost.XGBClassifier(n_estimators=1, max_depth=1).fit(X, y))
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, y)
    for ending in ("json", "ubj"):
        put(f"boosters--xgboost-{ending}", f"model.{ending}", None, model.save_model)
    light = lightgbm.LGBMClassifier(n_estimators=2, num_leaves=3, verbose=-1).fit(X, y)
    put("boosters--lightgbm-text", "model.txt", None, light.booster_.save_model)
    put("boosters--lightgbm-pickle", "model.pkl", light)
    put("boosters--lightgbm-booster-joblib", "booster.joblib", None, lambda p: joblib.dump(light.booster_, p))


@recipe
def ngboost():
    from ngboost import NGBRegressor

    put("ecosystem--ngboost", "model.pkl", NGBRegressor(n_estimators=2, verbose=False).fit(X, X[:, 0]))


def run():
    """Make all that can be made here."""
    for made in RECIPES:
        try:
            made()
        except Exception as error:
            sys.stderr.write(f"left out {made.__name__}: {type(error).__name__}: {str(error)[:200]}\n")


if __name__ == "__main__":
    run()
