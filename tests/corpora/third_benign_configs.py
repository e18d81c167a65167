"""Third judge, benign: requirements, builds, pipelines, editors, configurations and honest code of projects."""

from __future__ import annotations

from judge_kit import Folder, as_json

HASH = "--hash=sha256:0f2ca9a6c1b1a2c6b3a4f8a0d5c3e9f7b8a6c4d2e1f0a9b8c7d6e5f4a3b2c1d0"


def requirements() -> dict[str, Folder]:
    """What honest projects install."""
    lines = {
        "pinned": "numpy==1.26.4\npandas==2.2.2\nscikit-learn==1.5.1\nxgboost==2.1.1\nlightgbm==4.5.0\n",
        "extras": "transformers[torch,sentencepiece]==4.44.2\nuvicorn[standard]==0.30.6\nray[tune]==2.34.0\n",
        "markers": (
            "numpy==1.26.4; python_version < '3.13'\nnumpy==2.1.0; python_version "
            ">= '3.13'\npywin32==306; sys_platform == 'win32'\n"
        ),
        "hashes": f"certifi==2024.7.4 \\\n    {HASH}\nidna==3.7 \\\n    {HASH}\n",
        "torch-index": (
            "--extra-index-url https://download.pytorch.org/whl/cu121\ntorch==2.4.0+cu121\ntorchvision==0.19.0+cu121\n"
        ),
        "comments": "# for the notebooks\njupyterlab==4.2.4  # not on the server\n\n-c constraints.txt\n",
        "relatives": (
            "torchmetrics==1.4.1\npytorch-lightning==2.4.0\n"
            "torchtext==0.18.0\ntensorboardX==2.6.2.2\n"
            "tf-keras==2.17.0\n"
        ),
        "similar-names": (
            "scikit-learn-extra==0.3.0\nscikit-image==0.24.0\n"
            "scikit-optimize==0.10.2\nsklearn-pandas==2.2.0\n"
            "pandasql==0.7.3\n"
        ),
        "more-relatives": (
            "huggingface-hub==0.24.6\nsentence-transformers==3.0.1\n"
            "accelerate==0.33.0\npeft==0.12.0\nbitsandbytes==0.43.3\n"
        ),
    }
    made: dict[str, Folder] = {f"requires--{slug}": {"requirements.txt": text.encode()} for slug, text in lines.items()}
    made["requires--comments"]["constraints.txt"] = b"numpy==1.26.4\n"
    project = (
        "[build-system]\nrequires = ['hatchling==1.25.0']\n"
        "build-backend = 'hatchling.build'\n[project]\n"
        "name = 'scores'\nversion = '1.0'\ndependencies = ['numpy==1.26.4']\n"
    )
    conda = (
        "name: ml\nchannels: [conda-forge]\ndependencies:\n"
        "- python=3.11.9\n- scikit-learn=1.5.1\n- pip=24.2\n"
        "- pip:\n  - mlflow==2.15.1\n"
    )
    return made | {
        "requires--pyproject": {"pyproject.toml": project.encode()},
        "requires--conda": {"environment.yml": conda.encode()},
        "requires--setup": {
            "setup.py": (
                b"from pathlib import Path\n\nfrom setuptools import find_packages, "
                b"setup\n\nsetup(\n    name='scores',\n    version='1.0',\n"
                b"    long_description=Path('README.md').read_text(),\n"
                b"    packages=find_packages(),\n)\n"
            )
        },
        "requires--setup-cfg": {
            "setup.cfg": (
                b"[metadata]\nname = scores\nversion = 1.0\n"
                b"[options]\npackages = find:\ninstall_requires =\n"
                b"    numpy==1.26.4\n[flake8]\nmax-line-length = 100\n"
            )
        },
        "requires--pip-conf": {"pip.conf": b"[global]\ntimeout = 60\nindex-url = https://pypi.org/simple\n"},
        "requires--npm": {
            "package.json": as_json(
                {
                    "name": "viewer",
                    "version": "1.0.0",
                    "scripts": {"build": "vite build", "test": "vitest run", "prepare": "husky"},
                    "dependencies": {"d3": "7.9.0"},
                }
            )
        },
    }


def builds() -> dict[str, Folder]:
    """Builds and pipelines."""
    docker = (
        "FROM python:3.11.9-slim\nENV PIP_NO_CACHE_DIR=1\n"
        "WORKDIR /app\nCOPY requirements.txt .\nRUN apt-get update && "
        "apt-get install -y --no-install-recommends libgomp1 && rm -rf "
        "/var/lib/apt/lists/*\nRUN pip install -r requirements.txt\n"
        'COPY . .\nUSER 1000\nCMD ["uvicorn", "app:app", "--host", '
        '"0.0.0.0"]\n'
    )
    flow = (
        "name: CI\non:\n  push: {branches: [main]}\n"
        "  pull_request:\npermissions: {contents: read}\n"
        "jobs:\n  test:\n    runs-on: ubuntu-24.04\n"
        "    strategy: {matrix: {python: ['3.11', '3.12']}}\n"
        "    steps:\n    - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683\n"
        "    - uses: actions/setup-python@v5\n      with: {python-version: "
        "'${{ matrix.python }}'}\n    - run: pip install -e .[dev]\n"
        "    - run: pytest -q\n"
    )
    release = (
        "on:\n  release: {types: [published]}\njobs:\n"
        "  pypi:\n    runs-on: ubuntu-24.04\n    environment: pypi\n"
        "    permissions: {id-token: write}\n    steps:\n"
        "    - uses: actions/checkout@v4\n    - run: python -m build\n"
        "    - uses: pypa/gh-action-pypi-publish@release/v1\n"
    )
    make = (
        ".PHONY: test train clean\nPY ?= python3\n"
        "VERSION := $(shell git describe --tags)\n\n"
        "test:\n\t$(PY) -m pytest -q\n\ntrain: data/train.csv\n"
        "\t$(PY) train.py --eval\n\nclean:\n\trm -rf build dist *.egg-info\n"
    )
    hooks = (
        "repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n"
        "  rev: v0.6.2\n  hooks:\n  - id: ruff\n- repo: https://github.com/pre-commit/pre-com"
        "mit-hooks\n  rev: v4.6.0\n  hooks:\n  - id: detect-private-key\n"
    )
    compose = (
        "services:\n  api:\n    build: .\n    ports: ['8000:8000']\n"
        "    environment:\n      DB_URL: postgresql://app:${DB_PASSWORD}@db/app\n"
        "  db:\n    image: postgres:16.4\n    volumes: ['pg:/var/lib/postgresql/data']\n"
        "volumes: {pg: {}}\n"
    )
    script = (
        '#!/usr/bin/env bash\nset -euo pipefail\ncd "$(dirname "$0")"\n'
        'for fold in 0 1 2; do\n  python train.py --fold "$fold" --out '
        '"runs/$fold"\ndone\n'
    )
    download = (
        "#!/bin/sh\nset -e\nmkdir -p data\ncurl -fsSL -o data/iris.zip "
        "https://archive.ics.uci.edu/static/public/53/iris.zip\n"
        "sha256sum -c SHA256SUMS\nunzip -o data/iris.zip -d data\n"
    )
    deploy = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: scores}\n"
        "spec:\n  replicas: 2\n  selector: {matchLabels: {app: scores}}\n"
        "  template:\n    metadata: {labels: {app: scores}}\n"
        "    spec:\n      containers:\n      - name: api\n"
        "        image: registry.example.org/scores:1.4.2\n"
        "        securityContext: {runAsNonRoot: true}\n"
        "        envFrom: [{secretRef: {name: scores}}]\n"
    )
    return {
        "build--docker": {"Dockerfile": docker.encode(), ".dockerignore": b".git\n*.ipynb\n"},
        "build--docker-stages": {
            "docker/train.Dockerfile": (
                b"FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04 AS base\n"
                b"RUN apt-get update && apt-get install -y curl python3-pip\n"
                b"FROM base\nHEALTHCHECK CMD curl -f http://localhost:8000/health "
                b'|| exit 1\nENTRYPOINT ["python3", "train.py"]\n'
            )
        },
        "build--workflow": {".github/workflows/ci.yml": flow.encode()},
        "build--release": {".github/workflows/release.yml": release.encode()},
        "build--make": {"Makefile": make.encode()},
        "build--hooks": {".pre-commit-config.yaml": hooks.encode()},
        "build--compose": {"docker-compose.yml": compose.encode()},
        "build--script": {"scripts/train.sh": script.encode()},
        "build--download": {"scripts/get_data.sh": download.encode()},
        "build--kubernetes": {"k8s/deployment.yaml": deploy.encode()},
        "build--gitlab": {
            ".gitlab-ci.yml": (
                b"image: python:3.11\nstages: [test]\ntest:\n"
                b"  stage: test\n  script:\n  - pip install -r requirements.txt\n"
                b"  - pytest\n"
            )
        },
        "build--devcontainer": {
            ".devcontainer/devcontainer.json": as_json(
                {
                    "image": "mcr.microsoft.com/devcontainers/python:3.11",
                    "postCreateCommand": "pip install -r requirements.txt",
                }
            )
        },
        "build--vscode": {
            ".vscode/settings.json": as_json({"editor.formatOnSave": True, "python.testing.pytestEnabled": True}),
            ".vscode/launch.json": as_json(
                {
                    "version": "0.2.0",
                    "configurations": [
                        {"type": "debugpy", "request": "launch", "program": "train.py", "name": "Train"}
                    ],
                }
            ),
        },
        "build--vscode-task": {
            ".vscode/tasks.json": as_json(
                {
                    "version": "2.0.0",
                    "tasks": [{"label": "test", "type": "shell", "command": "pytest -q", "group": "test"}],
                }
            )
        },
        "build--ignore": {
            ".gitignore": b"__pycache__/\n*.pyc\n.env\nmlruns/\n",
            ".editorconfig": b"root = true\n[*]\nindent_style = space\n",
        },
        "build--tox": {
            "tox.ini": (b"[tox]\nenvlist = py311,py312\n[testenv]\ndeps = pytest\ncommands = pytest {posargs}\n")
        },
        "build--read-the-docs": {
            ".readthedocs.yaml": (
                b"version: 2\nbuild:\n  os: ubuntu-24.04\n  tools: {python: '3.12'}\n"
                b"sphinx: {configuration: docs/conf.py}\n"
            )
        },
        "build--dvc": {
            "dvc.yaml": (
                b"stages:\n  train:\n    cmd: python train.py --config params.yaml\n"
                b"    deps: [train.py, data]\n    outs: [model.joblib]\n"
            ),
            "data.dvc": (b"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 12\n  path: data\n"),
        },
    }


def configurations() -> dict[str, Folder]:
    """YAML, TOML, JSON and MLflow."""
    hydra = (
        "defaults:\n- _self_\n- model: forest\nmodel:\n"
        "  _target_: sklearn.ensemble.RandomForestClassifier\n"
        "  n_estimators: 100\noptimizer:\n  _target_: torch.optim.AdamW\n"
        "  _partial_: true\n  lr: 3e-4\nseed: ${oc.env:SEED,0}\n"
    )
    anchors = (
        "base: &base {lr: 0.1, epochs: 3}\nlong:\n"
        "  <<: *base\n  epochs: 30\ndate: 2024-06-01\n"
        "null_value: ~\nblock: |\n  import os is only text here\n"
        "folded: >-\n  several\n  lines\nset: !!set {a, b}\n"
        "float: !!float 1\nbinary: !!binary aGVsbG8=\n"
    )
    lightning = (
        "seed_everything: 1\ntrainer:\n  max_epochs: 3\n"
        "  callbacks:\n  - class_path: lightning.pytorch.callbacks.EarlyStopping\n"
        "    init_args: {monitor: val_loss}\nmodel:\n"
        "  class_path: scores.model.Net\n  init_args: {hidden: 32}\n"
    )
    mlmodel = (
        "artifact_path: model\nflavors:\n  lightgbm:\n    code: null\n    data: model.lgb\n    lgb_version: 4.7.0\n"
        "    model_class: lightgbm.basic.Booster\n  python_function:\n    data: model.lgb\n"
        "    env: {conda: conda.yaml, virtualenv: python_env.yaml}\n    loader_module: mlflow.lightgbm\n"
        "    python_version: 3.11.9\nmlflow_version: 2.15.1\nmodel_size_bytes: 1204\n"
        "model_uuid: 5c0e4f3b8d2a4f6e9b1c7d8e0a2b4c6d\nrun_id: 0a1b2c3d4e5f60718293a4b5c6d7e8f9\n"
        "utc_time_created: '2024-08-20 10:00:00.000000'\n"
    )
    run = {
        "mlruns/0/ab/meta.yaml": (b"artifact_uri: mlflow-artifacts:/0/ab/artifacts\nrun_id: ab\nstatus: 3\n"),
        "mlruns/0/ab/metrics/auc": b"1724140800000 0.93 0\n",
        "mlruns/0/ab/params/C": b"0.1",
        "mlruns/0/ab/tags/mlflow.user": b"ml",
    }
    logging = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"p": {"format": "%(asctime)s %(message)s"}},
        "handlers": {"c": {"class": "logging.StreamHandler", "formatter": "p", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["c"], "level": "INFO"},
    }
    yolo = (
        "path: ../datasets/coco8\ntrain: images/train\n"
        "val: images/val\nnames:\n  0: person\n  1: bicycle\n"
        "download: https://github.com/ultralytics/assets/releases/download/v0.0.0/coco8.zip\n"
    )
    layers = (
        "nc: 80\ndepth_multiple: 0.33\nbackbone:\n"
        "  [[-1, 1, Conv, [64, 6, 2, 2]],\n   [-1, 3, C3, [128]]]\n"
        "head:\n  [[-1, 1, nn.Upsample, [None, 2, 'nearest']],\n"
        "   [[17, 20], 1, Detect, [nc, anchors]]]\n"
    )
    return {
        "config--hydra": {"conf/config.yaml": hydra.encode()},
        "config--anchors": {"params.yaml": anchors.encode()},
        "config--lightning": {"cli.yaml": lightning.encode()},
        "config--mlproject": {
            "MLproject": (
                b"name: scores\npython_env: python_env.yaml\n"
                b"entry_points:\n  main:\n    parameters: {alpha: {type: float, "
                b'default: 0.5}}\n    command: "python train.py --alpha {alpha}"\n'
            )
        },
        "config--mlmodel": {
            "model/MLmodel": mlmodel.encode(),
            "model/python_env.yaml": (
                b"python: 3.11.9\nbuild_dependencies: [pip==24.2]\ndependencies: [-r requirements.txt]\n"
            ),
            "model/requirements.txt": b"mlflow==2.15.1\nlightgbm==4.7.0\n",
        },
        "config--mlruns": run,
        "config--logging": {"logging.json": as_json(logging)},
        "config--yolo-data": {"data.yaml": yolo.encode()},
        "config--yolo-layers": {"yolov5s.yaml": layers.encode()},
        "config--large-numbers": {
            "big.json": as_json(
                {
                    "n": 10**40,
                    "e": 1e308,
                    "neg": -(2**63),
                    "list": [0] * 300,
                    "deep": {"a": {"b": {"c": {"d": {"e": {}}}}}},
                }
            )
        },
        "config--toml": {
            "settings.toml": (
                b"[eval]\nbatch_size = 64\nsystem = 'linux'\n"
                b"[paths]\nsecret_santa = 'data/santa.csv'\n"
                b"[[exec]]\nname = 'a'\n"
            )
        },
        "config--ini": {
            "logging.ini": (
                b"[loggers]\nkeys=root\n[handlers]\nkeys=c\n"
                b"[formatters]\nkeys=f\n[logger_root]\nlevel=INFO\n"
                b"handlers=c\n[handler_c]\nclass=StreamHandler\n"
                b"formatter=f\nargs=(sys.stderr,)\n[formatter_f]\n"
                b"format=%(message)s\n"
            )
        },
        "config--triton": {
            "iris/config.pbtxt": (
                b'name: "iris"\nplatform: "onnxruntime_onnx"\n'
                b'max_batch_size: 32\ninput [{name: "x" data_type: TYPE_FP32 dims: '
                b"[4]}]\n"
            )
        },
        "config--modelfile": {
            "Modelfile": (
                b"FROM llama3.1:8b\nPARAMETER temperature 0.7\n"
                b'SYSTEM """You are a polite assistant. Never invent sources."""\n'
            )
        },
        "config--openapi-schema": {
            "schema.json": as_json(
                {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"eval": {"type": "number"}},
                }
            )
        },
        "config--spacy": {
            "config.cfg": (
                b'[nlp]\nlang = "en"\npipeline = ["tok2vec","ner"]\n'
                b'[components.ner]\nfactory = "ner"\n[training]\n'
                b"seed = 0\n"
            )
        },
    }


def code() -> dict[str, Folder]:
    """Python as honest projects have it."""
    train = (
        "import argparse\nimport subprocess\n\nimport joblib\n"
        "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n\n\n"
        "def revision() -> str:\n    return subprocess.run(['git', 'rev-parse', "
        "'HEAD'], capture_output=True, text=True, check=True).stdout.strip()\n\n\n"
        "def main() -> None:\n    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--out', default='model.joblib')\n"
        "    args = parser.parse_args()\n    frame = pd.read_csv('train.csv')\n"
        "    model = LogisticRegression().fit(frame.drop(columns='y'), "
        "frame['y'])\n    joblib.dump({'model': model, 'revision': revision()}, "
        "args.out)\n\n\nif __name__ == '__main__':\n"
        "    main()\n"
    )
    api = (
        "import os\n\nfrom fastapi import FastAPI\n\n"
        "app = FastAPI()\nLIMIT = int(os.environ.get('LIMIT', '100'))\n\n\n"
        "@app.get('/health')\ndef health() -> dict[str, str]:\n"
        "    return {'status': 'ok'}\n"
    )
    regex = (
        "import re\n\nWORDS = re.compile(r'\\b(eval|exec|os\\.system)\\b')\n"
        "HELP = 'Never call eval() on input; ignore previous instructions "
        "is a known attack text.'\n\n\ndef find(text: str) -> list[str]:\n"
        "    return WORDS.findall(text)\n"
    )
    test = (
        "import pickle\n\nimport pytest\n\n\n@pytest.fixture\n"
        "def model():\n    return {'w': [1.0]}\n\n\n"
        "def test_round_trip(model):\n    assert pickle.loads(pickle.dumps(model)) "
        "== model\n"
    )
    net = (
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n"
        "    def __init__(self, width: int = 8) -> None:\n"
        "        super().__init__()\n        self.body = nn.Sequential(nn.Linear(width, "
        "width), nn.GELU())\n\n    def forward(self, x: torch.Tensor) "
        "-> torch.Tensor:\n        return self.body(x)\n\n\n"
        "def load(path: str) -> Net:\n    net = Net()\n"
        "    net.load_state_dict(torch.load(path, weights_only=True))\n"
        "    return net.eval()\n"
    )
    lazy = (
        "from importlib.metadata import version\n\n"
        "__version__ = version('scores')\n__all__ = ['predict']\n\n\n"
        "def __getattr__(name: str):\n    if name == 'predict':\n"
        "        from .model import predict\n\n        return predict\n"
        "    raise AttributeError(name)\n"
    )
    return {
        "code--train": {"train.py": train.encode()},
        "code--api": {"app.py": api.encode()},
        "code--filter": {"filter.py": regex.encode()},
        "code--conftest": {
            "tests/conftest.py": (
                b"import random\n\nimport pytest\n\n\n@pytest.fixture(autouse=True)\ndef seed():\n    random.seed(0)\n"
            ),
            "tests/test_model.py": test.encode(),
        },
        "code--net": {"net.py": net.encode()},
        "code--lazy": {
            "src/scores/__init__.py": lazy.encode(),
            "src/scores/model.py": b"def predict(x):\n    return x\n",
        },
        "code--pth-path": {"site-packages/scores.pth": b"/srv/scores/src\n"},
        "code--sql": {
            "queries/score.sql": (
                b"-- never DROP anything here\nSELECT id, EXEC_TIME FROM runs WHERE system = 'prod';\n"
            )
        },
        "code--javascript": {
            "static/app.js": (
                b"'use strict';\nconst ignore = new Set(['system']);\n"
                b"fetch('/score').then((r) => r.json()).then(console.log);\n"
            )
        },
        "code--r": {
            "fit.R": (b"library(stats)\nfit <- lm(y ~ x, data = read.csv('train.csv'))\nsaveRDS(fit, 'fit.rds')\n")
        },
    }


def shapes() -> dict[str, Folder]:
    """Every folder."""
    return requirements() | builds() | configurations() | code()
