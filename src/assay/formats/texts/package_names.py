"""Names of packages that model projects use, and of real packages that look like them: for telling look-alikes."""

from __future__ import annotations

import functools
import re
import unicodedata

from assay.formats.known import Known, current, normal
from assay.formats.texts.python_dangers import words

POPULAR = words(
    """torch torchvision torchaudio torchtext torchmetrics tensorflow tensorflow-gpu tensorflow-cpu keras jax jaxlib
    flax optax numpy scipy pandas polars pyarrow scikit-learn scikit-image xgboost lightgbm catboost statsmodels
    matplotlib seaborn plotly bokeh altair transformers tokenizers datasets accelerate diffusers peft trl evaluate
    safetensors huggingface-hub sentence-transformers sentencepiece tiktoken bitsandbytes flash-attn xformers
    deepspeed vllm optimum auto-gptq autoawq timm einops onnx onnxruntime onnxruntime-gpu skl2onnx openvino tensorrt
    triton pytorch-lightning lightning hydra-core omegaconf wandb mlflow tensorboard tensorboardx comet-ml neptune
    clearml optuna ray dask distributed joblib cloudpickle dill skops opencv-python opencv-python-headless pillow
    imageio albumentations kornia ultralytics detectron2 mmcv mmengine mmdet segment-anything open-clip-torch clip
    spacy nltk gensim textblob flair stanza langchain langchain-core langchain-community langchain-openai langgraph
    langsmith llama-index llama-cpp-python openai anthropic cohere mistralai google-generativeai google-genai groq
    litellm ollama replicate together gradio streamlit fastapi flask django starlette uvicorn gunicorn pydantic
    pydantic-core requests urllib3 httpx aiohttp websockets beautifulsoup4 lxml selenium scrapy playwright boto3
    botocore s3transfer awscli google-cloud-storage azure-storage-blob azure-identity sqlalchemy psycopg2
    psycopg2-binary pymysql pymongo redis elasticsearch chromadb faiss-cpu faiss-gpu pinecone-client qdrant-client
    weaviate-client pymilvus sqlmodel alembic celery kafka-python protobuf grpcio cryptography paramiko pyyaml toml
    tomli click typer rich tqdm loguru colorama termcolor tabulate python-dotenv python-dateutil pytz tzdata six
    setuptools wheel virtualenv certifi charset-normalizer idna packaging attrs jinja2 markupsafe werkzeug
    itsdangerous jsonschema orjson ujson msgpack msgspec regex filelock fsspec s3fs gcsfs psutil pynvml nvidia-ml-py
    gputil numba cython cupy llvmlite networkx sympy h5py tables zarr xarray netcdf4 geopandas shapely rasterio
    pyproj fiona librosa soundfile pydub audioread openai-whisper whisper faster-whisper speechbrain pyannote-audio
    espnet gymnasium gym stable-baselines3 pettingzoo ipython ipykernel jupyter jupyterlab notebook ipywidgets
    nbformat nbconvert papermill pytest pytest-cov hypothesis black ruff mypy flake8 isort pylint pre-commit sphinx
    mkdocs poetry pipenv setuptools-scm shap lime captum interpret fairlearn imbalanced-learn category-encoders
    feature-engine featuretools tsfresh prophet pmdarima sktime darts neuralprophet umap-learn hdbscan yellowbrick
    mlxtend pycaret autogluon h2o tpot auto-sklearn hyperopt bayesian-optimization scikit-optimize
    great-expectations pandera evidently dvc bentoml seldon-core kserve torchserve prefect apache-airflow kedro
    dagster luigi pyspark delta-spark duckdb ibis-framework snowflake-connector-python google-cloud-bigquery
    openpyxl xlrd xlsxwriter python-docx pypdf2 pypdf pdfplumber pymupdf reportlab unstructured tesseract
    pytesseract easyocr paddleocr paddlepaddle mxnet theano fastai fasttext pyro-ppl numpyro gpytorch botorch pymc
    arviz emcee cvxpy pulp ortools deap pycuda pyopencl rouge-score sacrebleu bert-score jiwer ftfy unidecode
    langdetect spacy-transformers adapters mcp fastmcp crewai autogen pyautogen haystack-ai guidance instructor
    outlines dspy semantic-kernel smolagents modelscope lm-eval compressed-tensors sglang lmdeploy colorlog
    coloredlogs absl-py gdown wget cachetools tenacity backoff nvidia-cublas-cu12 nvidia-cudnn-cu12 nvidia-nccl-cu12
    pytorch pytorch-msssim lpips torchinfo torchsummary thop fvcore iopath pycocotools decord moviepy av insightface
    mediapipe dlib face-recognition"""
)

# Real packages whose names are near a popular one.
REAL = words(
    """torchx torchy torcheval torchdata torchsde torchrl torchao torchtune torchvideo torchani torchmeta torchgan
    torchopt torchist torchcde torchsort pytorch torch-geometric torch-scatter torch-sparse torch-cluster
    torchdiffeq torchtyping numpydoc numpy-financial numpy-stl numpoly numexpr numba-scipy nump pandas-ta pandas-gbq
    pandasql pandas-stubs panda3d pandera pandas-datareader modin scipy-stubs sklearn sklearn-pandas sklearn2pmml
    scikit-misc scikit-plot scikit-build scikit-build-core scikit-bio scikit-rf scikit-multilearn scikit-base
    scikit-lego scikit-survival scikit-llm scikit-surprise kera keras-cv keras-nlp keras-core keras-tuner keras-hub
    keras-rl tf-keras tf2onnx tensorflow-hub tensorflow-text tensorflow-intel tensorflow-macos tensorflow-metal
    tensorflow-io tensorflow-probability tensorflow-datasets tensorflow-estimator tensorboard-data-server
    tensorflowjs tensorstore jaxopt jaxtyping flaxmodels requests-oauthlib requests-toolbelt requests-mock
    requests-cache requests-html request requests-file grequests httpx-sse http2 httpcore httptools h11 h2
    aiohttp-cors aiosignal aiofiles aiodns aiobotocore aioredis aiohttp-retry flask-cors flask-login flask-wtf
    flask-restful flasgger flake8-bugbear flatbuffers flaml flask-sqlalchemy django-cors-headers djangorestframework
    django-environ boto boto3-stubs botocore-stubs moto rich-click ray-cpp click-plugins click-default-group cligj
    typer-cli typing-extensions types-pyyaml types-requests mypy-extensions pyaml yaml ruamel-yaml pyyaml-env-tag
    oyaml toml tomlkit tomli-w tomlli pytoml pip pipx piper pipdeptree pytest-xdist pytest-mock pytest-asyncio
    pytest-benchmark pytest-timeout pytest-randomly pytest-env pytest-html pytest-sugar black-jupyter blacken-docs
    mock mocks pylama pydocstyle pycodestyle pyflakes autoflake autopep8 yapf bandit safety tqdm-multiprocess
    loguru-mypy colored colorful colour colorcet colormath coloraide termcolor2 tabulate2 prettytable dotenv
    python-decouple python-multipart python-jose python-slugify python-magic python-json-logger python-louvain
    dateutils arrow pendulum pytz-deprecation-shim tzlocal sixpack wheels virtualenvwrapper chardet cchardet certify
    attr attrs-strict attrdict jinja jinja2-time markdown markdown2 markdown-it-py mdurl jsonschema-specifications
    jsonlines jsonpickle json5 simplejson rapidjson python-rapidjson pyjson5 ijson msgpack-numpy msgpack-python re2
    google-re2 s3cmd s3path adlfs ocifs gcsf psycopg psycopg-binary psycopg2cffi asyncpg aiomysql mysqlclient
    mysql-connector-python pymssql pymongo-inmemory motor mongoengine redis-py-cluster redisvl hiredis rq aioredis
    elastic-transport elasticsearch-dsl opensearch-py chroma chromadb-client faiss hnswlib annoy pinecone nmslib
    usearch cuda-python cupy-cuda11x cupy-cuda12x cupy-cuda117 pynvml nvitop gpustat cudf cuml numba-cuda
    cython-lint h5netcdf h5pyd hdf5storage xarray-einstats dask-ml dask-expr dask-cuda distributed-ucxx joblibspark
    dill-pickle pickle5 pickleshare opencv-contrib-python opencv-contrib-python-headless pillow-simd pillow-heif
    imageio-ffmpeg imagehash albucore imgaug mmpose mmcls mmpretrain mmsegmentation mmaction2 mmcv-full mmdet3d
    openmim open3d openai-clip open-clip spacy-lookups-data spacy-loggers spacy-legacy scispacy spacy-alignments
    en-core-web-sm nlpaug nltk-data gensim-data flairnlp stanfordnlp langchain-text-splitters langchain-huggingface
    langchain-anthropic langchain-chroma langchain-google-genai langchain-experimental langchainhub
    langgraph-checkpoint langgraph-sdk langfuse langflow llama-index-core llama-index-llms-openai llama-parse
    llama-stack llama-models openai-agents openapi-schema-validator anthropic-bedrock cohere-compass ollama-python
    gradio-client gradio-imageslider streamlit-chat streamlit-aggrid fastapi-cli fastapi-users fastparquet
    fastprogress fastcore fastjsonschema fasttext-wheel fasttext-langdetect starlette-exporter uvloop uvicorn-worker
    gevent gunicorn-color pydantic-settings pydantic-extra-types pydantic-ai urllib3-secure-extra websocket-client
    websocket bs4 html5lib lxml-stubs lxml-html-clean cssselect seleniumbase scrapyd scrapy-playwright pyppeteer
    grpcio-tools grpcio-status grpcio-health-checking protobuf3 proto-plus cryptography-vectors pycryptodome
    pycryptodomex pynacl pyjwt pyopenssl paramiko-expect fabric invoke ansible transformer
    transformers-stream-generator tokenizer datasette dataset dataclasses dataclasses-json accelerator diffuser
    peft-utils trlx evaluation evaluate-metric safetensors-rust hf-transfer hf-xet huggingface sentence-splitter
    sentencepiece-model tiktoken-ext bitsandbytes-windows flash-attention xformer optimum-quanto optimum-intel
    gptqmodel awq timm-vis einx einops-exts onnxmltools onnxconverter-common onnxruntime-extensions
    onnxruntime-directml onnxruntime-tools onnxsim onnxslim onnx2torch onnx-simplifier onnxscript onnx-ir
    onnxruntime-genai openvino-dev tensorrt-llm tensorrt-cu12 triton-windows tritonclient torch-tensorrt
    lightning-utilities lightning-bolts lightning-cloud pytorch-ignite pytorch-metric-learning pytorch-forecasting
    pytorch-tabnet pytorch-pretrained-bert pytorch-transformers pytorch-triton pytorch-fid pytorch3d hydra
    hydra-colorlog hydra-optuna-sweeper hydra-submitit-launcher wandb-core mlflow-skinny mlflow-export-import
    mlserver tensorboard-logger optuna-dashboard optuna-integration ray-lightning clearml-agent neptune-client comet
    shapash shapiq shapley limes captum-insights interpret-core fairness imblearn category-encoders2 featurewiz
    tsfel fbprophet prophet-python statsforecast darts-dev u8darts umap umap-learn2 hdbscan-gpu mlx mlx-lm mlxtk
    mlens autogluon-tabular autogluon-core autokeras autosklearn hyperopt-sklearn hyperpyyaml bayes-optim
    great-tables evidence dvclive dvc-s3 bento kserve-models prefect-aws airflow kedro-viz dagster-aws pyspark-stubs
    sparknlp ducks duckdb-engine duckduckgo-search ibis sqlglot openpyxl-stubs xlwt xlsx2csv xlrd2 docx docx2txt
    pypdf3 pypdf4 pdfminer pdfminer-six pdf2image pymupdf4llm pymupdfb fitz reportlab2 unstructured-client
    pytesseract-ocr easyocrlite paddle paddlenlp paddlex paddlepaddle-gpu mxnet-cu112 aesara pytensor pymc3 pymc4
    pyro arviz-plots emcee3 cvxopt pulp-python or-tools deap-er pycuda-utils whisperx whisper-timestamped
    openai-whisper-cpp faster-whisper-server rouge sacremoses sacrebleu2 bleu bleurt bertopic
    bert-extractive-summarizer jiwer2 ftfy2 unidecode2 langid langcodes lingua-language-detector mcpo mcp-server
    crewai-tools autogen-agentchat autogen-core ag2 haystack farm-haystack guidance-ai instruct outlines-core
    dspy-ai modelscope-agent lm-format-enforcer lm-dataformat sgl-kernel absl gdown2 pywget wget2 cachecontrol cachy
    retry retrying tenacity2 backoff2 gym-notices gym3 gymnasium-robotics sb3-contrib ipython-genutils ipyparallel
    ipympl ipycanvas jupyter-client jupyter-core jupyter-server jupytext jupyterhub jupyterlab-server notebook-shim
    nbclient nbdime nbdev nbval papermill2 sphinx-rtd-theme sphinxcontrib-jquery mkdocs-material poetry-core
    poetry-dynamic-versioning pipenv-setup setuptools-rust setuptools-git shapely2 rasterstats pyproject-hooks
    pyproject-api fiona2 libros soundcard sounddevice soxr pydub2 audiomentations audiolm-pytorch moviepie pyav avro
    insightface-onnx mediapipe-model-maker dlib-bin facenet-pytorch facexlib face-alignment thop2 lpips-tensorflow
    torch-summary torchviz torchlibrosa torch-fidelity torch-ema cachelib click-log toolz tools zope-interface
    zarr-python zict blosc numcodecs kaleido cloudpathlib cloudevents smart-open networkx2 pydot graphviz sympy-plot
    mpmath gmpy2 pyzmq pywavelets pyparsing pygments pycparser cffi greenlet sortedcontainers iniconfig pluggy
    narwhals threadpoolctl contourpy cycler fonttools kiwisolver patsy formulaic rfc8785 referencing rpds-py
    annotated-types anyio sniffio exceptiongroup importlib-metadata zipp zstandard zstd lz4 brotli brotlicffi pyasn1
    rsa oauthlib google-auth google-api-core googleapis-common-protos google-cloud-core google-resumable-media
    azure-core azure-common msal msrest isodate portalocker multidict yarl frozenlist propcache async-timeout
    multiprocess xxhash dacite ninja cmake pybind11 nanobind hatchling flit flit-core build twine maturin meson
    meson-python editables tox nox coverage codecov freezegun responses vcrpy faker factory-boy polyfactory pystache
    tblib ptyprocess pexpect prompt-toolkit wcwidth jedi parso traitlets matplotlib-inline stack-data executing
    asttokens pure-eval decorator backcall nest-asyncio tornado debugpy comm argon2-cffi terminado send2trash bleach
    defusedxml mistune pandocfilters tinycss2 webencodings fqdn isoduration uri-template webcolors rfc3339-validator
    jsonpointer overrides prometheus-client babel json-logger docutils alabaster imagesize snowballstemmer watchdog
    watchfiles pathspec platformdirs distlib nodeenv cfgv identify tokenize-rt pyupgrade blinker semver sentry-sdk
    structlog ddtrace opentelemetry-api opentelemetry-sdk thriftpy2 thrift pyhive impyla trino presto-python-client
    databricks-sdk databricks-sql-connector snowflake-sqlalchemy pyathena awswrangler sagemaker kubernetes docker
    docker-compose resampy pyworld praat-parselmouth g2p-en phonemizer inflect num2words unidic fugashi
    mecab-python3 jieba opencc pypinyin konlpy janome sudachipy sentencex pysbd blis thinc srsly catalogue wasabi
    murmurhash preshed cymem marisa-trie smmap gitpython gitdb sqlitedict shellingham humanize humanfriendly
    inflection stringcase pyahocorasick rapidfuzz fuzzywuzzy thefuzz python-levenshtein levenshtein jellyfish
    textdistance peewee tortoise-orm dnspython email-validator passlib bcrypt authlib itsdangerous2 slowapi
    sse-starlette aiosqlite databases ormar cymysql simpy apscheduler schedule croniter dramatiq huey kombu billiard
    amqp vine pika confluent-kafka aiokafka nats-py"""
)

# Owners of repositories that packages of machine learning come from.
OWNERS = words(
    """huggingface pytorch facebookresearch meta-llama tensorflow keras-team google google-research google-deepmind
    google-gemini jax-ml openai microsoft nvidia nvidia-nemo apache scikit-learn scikit-learn-contrib numpy scipy
    pandas-dev dmlc catboost lightgbm-org onnx mlflow ray-project langchain-ai run-llama vllm-project dao-ailab
    bitsandbytes-foundation timdettmers rwightman lightning-ai pytorchlightning pyg-team explosion ultralytics
    gradio-app streamlit psf pallets pydantic tiangolo fastapi encode dask modin-project apple intel amd rocm aws
    awslabs azure open-mmlab unslothai eleutherai bigscience-workshop laion-ai mlfoundations salesforce deepspeedai
    databricks mosaicml ukplab sentence-transformers allenai stanfordnlp flairnlp zalandoresearch ibm opencv wandb
    iterative treeverse statsmodels networkx matplotlib mwaskom plotly bokeh pola-rs duckdb ibis-project pypa python
    jupyter ipython skops-dev skorch-dev cleanlab arize-ai anthropics mistralai cohere-ai qdrant chroma-core
    deepset-ai thilinarajapakse albumentations-team kornia pyro-ppl arviz-devs pymc-devs stan-dev h2oai spotify uber
    ageron numba cython redis qwenlm thudm deepseek-ai modelscope paddlepaddle alibaba bytedance tencent baidu
    internlm openvinotoolkit triton-lang triton-inference-server bentoml kubeflow feast-dev great-expectations
    evidentlyai pycaret autogluon optuna hyperopt"""
)
_DIGITS = str.maketrans({"0": "o", "1": "l", "3": "e", "5": "s", "4": "a"})
_SHORTEST = 5  # of shorter names too many are near


@functools.lru_cache(maxsize=8)
def _popular(known: Known) -> frozenset[str]:
    return POPULAR | known.popular


@functools.lru_cache(maxsize=8)
def _by_letters(known: Known) -> dict[str, str]:
    return {name.replace("-", ""): name for name in _popular(known)}


def is_popular(name: str) -> bool:
    """Whether a package of this (normalised) name is among those that others are written to look like."""
    return name in _popular(current())


def looks_like(name: str) -> tuple[str, str]:
    """The popular package that `name` can be taken for, and how: "letters", "separators", "one letter", "two letters".

    ("", "") for popular and known real packages, and for names near none.
    """
    return _looks_like(name, current())


@functools.lru_cache(maxsize=10_000)
def _looks_like(name: str, known: Known) -> tuple[str, str]:
    given, popular = normal(name), _popular(known)
    if not name.isascii():
        plain = normal("".join(c for c in unicodedata.normalize("NFKD", _folded(name)) if c.isascii()))
        return (plain, "letters") if plain in popular else _near(plain, "letters", known)
    if given in popular or given in REAL or given in known.real or len(given) < _SHORTEST - 1 or len(given) > 60:
        return "", ""
    if (same := _by_letters(known).get(given.replace("-", ""))) is not None:
        return same, "separators"
    swapped = given.translate(_DIGITS)
    if swapped != given and swapped in popular:
        return swapped, "letters"
    near, how = _near(given, "", known)
    if "-" in given and _family(given, popular) and not ("-" in near and how == "one letter"):
        return "", ""
    return near, how


def _family(name: str, popular: frozenset[str]) -> bool:
    """Whether a name only adds a part to a popular one, as plug-ins and families of packages do."""
    parts = name.split("-")
    return any("-".join(parts[:n]) in popular or "-".join(parts[n:]) in popular for n in range(1, len(parts)))


# Servers of the Model Context Protocol on npm that many configurations start.
SERVERS = words(
    """@modelcontextprotocol/server-filesystem @modelcontextprotocol/server-memory @modelcontextprotocol/server-github
    @modelcontextprotocol/server-gitlab @modelcontextprotocol/server-everything @modelcontextprotocol/server-everart
    @modelcontextprotocol/server-sequential-thinking @modelcontextprotocol/server-google-maps
    @modelcontextprotocol/server-slack @modelcontextprotocol/server-postgres @modelcontextprotocol/server-puppeteer
    @modelcontextprotocol/server-brave-search @modelcontextprotocol/server-redis @modelcontextprotocol/server-gdrive
    @modelcontextprotocol/server-aws-kb-retrieval @modelcontextprotocol/server-sqlite @modelcontextprotocol/inspector
    @modelcontextprotocol/server-pdf @modelcontextprotocol/server-git @modelcontextprotocol/server-fetch
    @modelcontextprotocol/server-time @modelcontextprotocol/sdk @playwright/mcp @upstash/context7-mcp
    @browsermcp/mcp @notionhq/notion-mcp-server @supabase/mcp-server-supabase @sentry/mcp-server firecrawl-mcp
    mcp-remote tavily-mcp exa-mcp-server figma-developer-mcp chrome-devtools-mcp
    @executeautomation/playwright-mcp-server"""
)


@functools.lru_cache(maxsize=1_000)
def looks_like_server(name: str) -> tuple[str, str]:
    """The well-known npm package of a server that `name` can be taken for, and how; ("", "") where it is near none."""
    if name in SERVERS or len(name) > 100 or len(name) < 2 * _SHORTEST:
        return "", ""
    for server in sorted(SERVERS):
        distance = _distance(name.lower(), server, 2)
        most = 2 if len(server) >= 20 else 1
        # Families number and name their members: what is changed must be no part of its own.
        if 0 < distance <= most and re.sub(r"\d", "", name) != re.sub(r"\d", "", server) and _alike(name, server):
            return server, "one letter" if distance == 1 else "two letters"
    return "", ""


def _alike(one: str, other: str) -> bool:
    """Whether no part of a name between its signs is short enough to be another word: mcp, git, pdf, sdk."""
    parts = zip(re.split(r"[/@.-]", one.lower()), re.split(r"[/@.-]", other), strict=False)
    return all(a == b or min(len(a), len(b)) > _SHORTEST for a, b in parts)


@functools.lru_cache(maxsize=8)
def _by_length(known: Known) -> dict[int, list[str]]:
    popular = _popular(known)
    sizes = {len(name) for name in popular if len(name) >= _SHORTEST}
    return {size: sorted(name for name in popular if len(name) == size) for size in sizes}


def _differs_widely(one: str, other: str, most: int) -> bool:
    """Whether what lies between the beginning and the end that two names share is too long for so few changes."""
    short = min(len(one), len(other))
    start = next((i for i in range(short) if one[i] != other[i]), short)
    end = next((i for i in range(short - start) if one[-1 - i] != other[-1 - i]), short - start)
    return most == 1 and max(len(one), len(other)) - start - end > 2


def _near(name: str, how: str, known: Known) -> tuple[str, str]:
    farther = ""
    sizes = sorted(range(len(name) - 2, len(name) + 3), key=lambda size: abs(size - len(name)))
    for popular in (near for size in sizes for near in _by_length(known).get(size, ())):
        most = 2 if len(popular) >= 10 else 1
        if _differs_widely(name, popular, most) or (most == 2 and len(set(name) ^ set(popular)) > 4):
            continue
        distance = _distance(name, popular, most)
        if 0 < distance <= most:
            if distance == 1 and name[-1:].isdigit() and name[:-1] == popular:
                continue  # a second version of itself
            if distance == 1:
                return popular, how or "one letter"
            farther = farther or popular  # one that is one letter away may come yet
    return farther, how or "two letters" if farther else ""


def _distance(one: str, other: str, most: int) -> int:
    """Changes, insertions, deletions and swaps of neighbours that make one name the other; most + 1 where more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, sign in enumerate(one, 1):
        row = [i]
        for j, there in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (sign != there))
            if i > 1 and j > 1 and sign == other[j - 2] and one[i - 2] == there:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


def _folded(name: str) -> str:
    """Letters of other scripts that look like Latin ones, as those."""
    return name.translate(str.maketrans("асеорхуіјѕԁһԛԝɡıοανрτκ", "aceopxyijsdhqwgioavptk"))
