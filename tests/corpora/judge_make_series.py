"""As judge_make_tables.py, for statistics, arrays, frames, text and others: `python judge_make_series.py OUT`."""

import joblib
import numpy as np
import pandas as pd
from judge_make_tables import FRAME, OUT, RECIPES, X, put, recipe, run, y

RECIPES.clear()


@recipe
def statsmodels():
    import statsmodels.api as sm
    from statsmodels.tsa.api import ExponentialSmoothing

    put("statistics--ols", "ols.pickle", None, sm.OLS(X[:, 0], sm.add_constant(X[:, 1:])).fit().save)
    put(
        "statistics--logit-formula",
        "logit.pkl",
        sm.formula.logit("y ~ age", FRAME.assign(y=np.tile([0, 1, 1, 0], 10))).fit(disp=0),
    )
    put("statistics--holt-winters", "hw.pkl", ExponentialSmoothing(X[:, 0]).fit())


@recipe
def arima():
    import pmdarima

    put("statistics--pmdarima", "arima.pkl", pmdarima.ARIMA((1, 0, 0)).fit(X[:, 0]))


@recipe
def prophet():
    from prophet import Prophet

    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=40), "y": X[:, 0]})
    put("statistics--prophet-unfitted", "prophet.pkl", Prophet(weekly_seasonality=False))
    from prophet.serialize import model_to_json

    put("statistics--prophet-json", "model.json", model_to_json(Prophet().fit(frame)).encode())


@recipe
def lifelines():
    from lifelines import CoxPHFitter, KaplanMeierFitter

    put("statistics--kaplan-meier", "km.pkl", KaplanMeierFitter().fit([1, 2, 3], [1, 0, 1]))
    put(
        "statistics--cox",
        "cox.pkl",
        CoxPHFitter(penalizer=0.1).fit(FRAME[["age", "score"]].assign(T=range(1, 41), E=y), "T", "E"),
    )


@recipe
def hmm():
    from hmmlearn.hmm import GaussianHMM

    put("statistics--hmmlearn", "hmm.pkl", GaussianHMM(2, n_iter=2).fit(X))


@recipe
def scipy_values():
    import scipy.sparse
    from scipy import stats
    from scipy.interpolate import CubicSpline, interp1d
    from scipy.spatial import cKDTree

    put(
        "arrays--scipy",
        "values.pkl",
        {
            "csr": scipy.sparse.csr_matrix(np.eye(3)),
            "spline": CubicSpline([0, 1, 2], [0, 1, 4]),
            "norm": stats.norm(0, 1),
            "tree": cKDTree(X),
            "line": interp1d([0, 1], [0, 1]),
        },
    )
    put(
        "arrays--sparse-npz",
        "features.npz",
        None,
        lambda p: scipy.sparse.save_npz(p, scipy.sparse.csr_matrix(np.eye(4))),
    )
    put("arrays--kde", "kde.pkl", stats.gaussian_kde(X[:, 0]))


@recipe
def arrays():
    put("arrays--npy", "x.npy", None, lambda p: np.save(p, X))
    put("arrays--npz", "x.npz", None, lambda p: np.savez_compressed(p, X=X, y=y, names=np.array(["a", "b"])))
    put("arrays--object-strings", "labels.npy", None, lambda p: np.save(p, np.array(["cat", None, "dog"], object)))
    put("arrays--object-dict", "embeddings.npy", None, lambda p: np.save(p, {"a": X[0], "b": X[1]}))
    put("arrays--record", "events.npy", None, lambda p: np.save(p, np.zeros(2, [("t", "M8[s]"), ("v", "f4")])))
    put(
        "arrays--masked-and-random",
        "state.pkl",
        {
            "m": np.ma.masked_less(X[:3], 0),
            "rng": np.random.default_rng(1),
            "old": np.random.RandomState(1),
            "scalar": np.float32(1),
            "dt": np.datetime64("2024-01-01"),
        },
    )
    put("arrays--joblib-plain", "x.joblib", None, lambda p: joblib.dump({"X": X, "y": y}, p))
    put("arrays--joblib-bz2", "x.joblib.bz2", None, lambda p: joblib.dump([X, "a"], p))
    put("arrays--protocol-5", "x.pkl", X, protocol=5)


@recipe
def pandas_values():
    stamped = FRAME.assign(
        t=pd.date_range("2024-01-01", periods=40, tz="Europe/Oslo"), c=pd.Categorical(["a", "b"] * 20)
    )
    put("frames--pandas", "frame.pkl", stamped)
    put("frames--pandas-gz", "frame.pkl.gz", None, FRAME.to_pickle)
    put("frames--pandas-zip", "frame.pkl.zip", None, FRAME.to_pickle)
    put("frames--multi-index", "pivot.pkl", stamped.set_index(["city", "t"])["score"].unstack("city"))
    put(
        "frames--nullable",
        "frame.pkl",
        pd.DataFrame(
            {
                "i": pd.array([1, None], "Int64"),
                "s": pd.array(["a", None], "string"),
                "p": pd.period_range("2024", periods=2, freq="M"),
                "n": pd.interval_range(0, 2),
            }
        ),
    )
    put("frames--grouped-dict", "groups.pkl", dict(iter(FRAME.groupby("city"))))
    put("frames--arrow-strings", "frame.pkl", FRAME.convert_dtypes(dtype_backend="pyarrow"))
    put("frames--parquet", "data.parquet", None, FRAME.to_parquet)
    put("frames--feather", "data.feather", None, FRAME.to_feather)


@recipe
def other_frames():
    import polars as pl
    import xarray

    put("frames--polars", "frame.pkl", pl.DataFrame({"a": [1, 2], "b": ["x", None]}))
    put("frames--xarray", "cube.pkl", xarray.DataArray(X[:4], dims=("t", "v")))


@recipe
def graphs():
    import networkx as nx

    put("frames--networkx", "graph.gpickle", nx.karate_club_graph())


@recipe
def geo():
    import geopandas
    from shapely.geometry import Point

    put("frames--geopandas", "sites.pkl", geopandas.GeoDataFrame({"n": [1]}, geometry=[Point(1, 2)]))


@recipe
def nltk_models():
    from nltk.classify import NaiveBayesClassifier
    from nltk.stem import PorterStemmer
    from nltk.tag import DefaultTagger, UnigramTagger
    from nltk.tokenize.punkt import PunktTrainer

    bayes = NaiveBayesClassifier.train([({"a": 1}, "p"), ({"a": 2}, "n")])
    put("text--nltk-bayes", "classifier.pickle", bayes)
    put(
        "text--nltk-tagger", "tagger.pickle", UnigramTagger([[("a", "DT"), ("dog", "NN")]], backoff=DefaultTagger("NN"))
    )
    put("text--nltk-punkt", "punkt.pickle", PunktTrainer("A dog. A cat. Mr. X went.").get_params(), protocol=2)
    put("text--nltk-stemmer", "stemmer.pickle", PorterStemmer())


@recipe
def gensim_models():
    from gensim.corpora import Dictionary
    from gensim.models import LdaModel, TfidfModel, Word2Vec
    from gensim.models.phrases import Phrases

    texts = [["model", "eval"], ["open", "system"]] * 4
    known = Dictionary(texts)
    put("text--gensim-word2vec", "w2v.model", None, Word2Vec(texts, vector_size=4, min_count=1, workers=1).save)
    put("text--gensim-dictionary", "words.dict", None, known.save)
    put("text--gensim-lda", "lda.model", None, LdaModel([known.doc2bow(t) for t in texts], 2, known).save)
    put("text--gensim-tfidf", "tfidf.model", None, TfidfModel(dictionary=known).save)
    put("text--gensim-phrases", "phrases.model", None, Phrases(texts).save)


@recipe
def spacy_model():
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(OUT / "text--spacy-folder", exclude=["vocab"])


@recipe
def small_text():
    from rank_bm25 import BM25Okapi
    from sklearn_crfsuite import CRF

    put("text--bm25", "index.pkl", BM25Okapi([["a", "b"], ["c"]]))
    put("text--crfsuite", "ner.pkl", CRF(max_iterations=2).fit([[{"w": "a"}, {"w": "b"}]], [["O", "B"]]))


@recipe
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        ["eval the system", "import os now"], trainers.BpeTrainer(special_tokens=["[UNK]", "[PAD]"])
    )
    put("text--tokenizers", "tokenizer.json", None, made.save)


@recipe
def neighbours():
    import umap

    put("ecosystem--umap", "umap.pkl", umap.UMAP(n_neighbors=3, n_epochs=2, init="random").fit(X[:8]))


@recipe
def density():
    import hdbscan

    put("ecosystem--hdbscan", "clusters.pkl", hdbscan.HDBSCAN(min_cluster_size=3).fit(X))


@recipe
def outliers():
    from pyod.models.ecod import ECOD

    put("ecosystem--pyod", "ecod.pkl", ECOD().fit(X))


@recipe
def online():
    from river import compose, linear_model, preprocessing

    model = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    model.learn_one({"a": 1.0}, True)
    put("ecosystem--river", "online.pkl", model)


@recipe
def studies():
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=2)
    put("ecosystem--optuna", "study.pkl", study)


@recipe
def explainers():
    import shap
    from sklearn.tree import DecisionTreeRegressor

    put("ecosystem--shap", "explanation.pkl", shap.TreeExplainer(DecisionTreeRegressor(max_depth=1).fit(X, y))(X[:3]))


@recipe
def recommenders():
    import scipy.sparse
    from implicit.als import AlternatingLeastSquares
    from surprise import SVD

    als = AlternatingLeastSquares(factors=2, iterations=1)
    als.fit(scipy.sparse.csr_matrix(np.eye(4)), show_progress=False)
    put("ecosystem--implicit", "als.pkl", als)
    put("ecosystem--surprise", "svd.pkl", SVD(n_factors=2))


@recipe
def sequences():
    from mlxtend.preprocessing import TransactionEncoder
    from tslearn.clustering import TimeSeriesKMeans

    put("ecosystem--mlxtend", "encoder.pkl", TransactionEncoder().fit([["milk", "bread"]]))
    put("ecosystem--tslearn", "clusters.pkl", TimeSeriesKMeans(2, max_iter=1).fit(X[:, :, None]))


@recipe
def forecasters():
    from sktime.forecasting.naive import NaiveForecaster

    put("ecosystem--sktime", "naive.pkl", NaiveForecaster().fit(pd.Series(X[:, 0])))


@recipe
def figures():
    import matplotlib as mpl

    mpl.use("Agg")
    import plotly.graph_objects as go

    put("ecosystem--plotly", "figure.pkl", go.Figure(go.Scatter(x=[1, 2], y=[3, 4])))


@recipe
def configurations():
    from omegaconf import OmegaConf

    put("ecosystem--omegaconf", "config.pkl", OmegaConf.create({"a": {"b": 1}, "l": [1, 2]}))


@recipe
def skops_file():
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    put(
        "skops--pipeline",
        "model.skops",
        None,
        lambda p: skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), p),
    )


@recipe
def exported():
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(2, max_depth=2).fit(X, y)
    put("onnx--skl2onnx", "model.onnx", to_onnx(forest, X[:1].astype("f4")).SerializeToString())


@recipe
def lambdas():
    import cloudpickle
    from sklearn.linear_model import LogisticRegression

    put("ecosystem--cloudpickle-estimator", "model.cloudpickle", cloudpickle.dumps(LogisticRegression().fit(X, y)))
    import dill

    put("ecosystem--dill-estimator", "model.dill", dill.dumps({"model": LogisticRegression().fit(X, y), "cut": 0.5}))


if __name__ == "__main__":
    run()
