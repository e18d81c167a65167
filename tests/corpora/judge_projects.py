"""Ordinary shapes: notebooks, requirements and configuration of projects."""

from __future__ import annotations

import base64

from judge_kit import Folder, display, notebook

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()
TABLE = (
    "<div>\n<style scoped>\n    .dataframe tbody tr th {\n        vertical-align: top;\n    }\n</style>\n<table "
    'border="1" class="dataframe">\n  <thead><tr><th></th><th>age</th></tr></thead>\n</table>\n</div>'
)
PLOTLY = (
    '<div>                            <div id="9c1b" class="plotly-graph-div" style="height:525px;"></div>'
    '            <script type="text/javascript">                require(["plotly"], function(Plotly) {        '
    'window.PLOTLYENV=window.PLOTLYENV || {};    if (document.getElementById("9c1b")) {    Plotly.newPlot('
    '"9c1b", [{"x":[1,2],"y":[3,4],"type":"scatter"}], {}, {"responsive": true})  };     });'
    "            </script>        </div>"
)
SKLEARN = (
    '<style>#sk-container-id-1 {color: black;}</style><div id="sk-container-id-1" class="sk-top-container"><div '
    'class="sk-text-repr-fallback"><pre>LogisticRegression()</pre></div></div>'
)


def notebooks() -> dict[str, Folder]:
    """Notebooks with the outputs and magics that people have."""
    picture = display(image_png=PNG, text_plain="<Figure size 640x480 with 1 Axes>")
    stream = {"output_type": "stream", "name": "stdout", "text": "Epoch 1/2\nloss: 0.5 - eval_loss: 0.4\n"}
    error = {"output_type": "error", "ename": "ValueError", "evalue": "x", "traceback": ["\x1b[0;31mValueError\x1b[0m"]}
    widget = {
        "output_type": "display_data",
        "metadata": {},
        "data": {
            "application/vnd.jupyter.widget-view+json": {
                "model_id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
                "version_major": 2,
                "version_minor": 0,
            },
            "text/plain": "0%",
        },
    }
    text = {
        "cell_type": "markdown",
        "metadata": {},
        "source": '# Training\n\n<img src="figures/roc.png" width=400>\n\nSee '
        "<a href='https://scikit-learn.org'>the guide</a>; run `exec` in the shell.",
    }
    made = {
        "matplotlib": [text, "%matplotlib inline\nimport matplotlib.pyplot as plt", ("plt.plot([1, 2])", [picture])],
        "pandas-table": ["import pandas as pd", ("df.head()", [display(text_html=TABLE)])],
        "plotly": [("fig.show()", [display(text_html=PLOTLY)])],
        "sklearn-diagram": [("model.fit(X, y)", [display(text_html=SKLEARN)])],
        "widgets": [("for b in tqdm(loader): pass", [widget])],
        "error-output": [("f(1)", [stream, error])],
        "pip-pinned": ["%pip install -q scikit-learn==1.5.0 pandas==2.2.2", "import sklearn"],
        "pip-quiet": ["!pip install -q transformers datasets evaluate"],
        "shell-look": ["!nvidia-smi", "!ls -la data/", "!mkdir -p out && cp config.yaml out/", "!python --version"],
        "magics": [
            "%load_ext autoreload\n%autoreload 2",
            "%%time\nmodel.fit(X, y)",
            "%timeit f(x)",
            "%env OMP_NUM_THREADS=4",
        ],
        "git-clone": ["!git clone https://github.com/scikit-learn/scikit-learn.git", "%cd scikit-learn"],
        "wget-data": [
            "!wget -q https://archive.ics.uci.edu/static/public/2/adult.zip -O adult.zip",
            "!unzip -o adult.zip",
        ],
        "colab": [
            "from google.colab import drive\ndrive.mount('/content/drive')",
            "import os\nos.chdir('/content/drive')",
        ],
        "torch-training": [
            "model.eval()\nwith torch.no_grad():\n    out = model(x)",
            "torch.save(model.state_dict(), 'm.pt')",
            "model.load_state_dict(torch.load('m.pt', weights_only=True))",
        ],
        "pickle-own-model": ["import pickle\nwith open('model.pkl', 'wb') as f:\n    pickle.dump(model, f)"],
        "requests-api": ["import requests\nr = requests.get('https://api.example.com/v1/rates', timeout=10)\nr.json()"],
        "secret-by-getpass": ["from getpass import getpass\nimport os\nos.environ['OPENAI_API_KEY'] = getpass()"],
        "df-query-eval": ["df.query('age > 30').eval('ratio = income / age')"],
        "bash-cell": ["%%bash\nset -e\ncd data\nhead -n 3 train.csv | cut -d, -f1\n"],
        "sql-cell": ["%%sql\nSELECT * FROM customers LIMIT 5"],
        "writefile": ["%%writefile train.py\nimport argparse\nprint('train')\n", "!python train.py --epochs 2"],
    }
    folders = {shape: {"notebooks/analysis.ipynb": notebook(*cells)} for shape, cells in made.items()}
    r_kernel = {"kernelspec": {"display_name": "R", "language": "R", "name": "ir"}, "language_info": {"name": "R"}}
    return folders | {"r-kernel": {"notebooks/analysis.ipynb": notebook("library(caret)", **r_kernel)}}


def requirements() -> dict[str, Folder]:
    """Requirements and environments."""
    pinned = b"numpy==1.26.4\npandas==2.2.2\nscikit-learn==1.5.0\nxgboost==2.0.3\n"
    hashed = b"idna==3.7 \\\n    --hash=sha256:82fee1fc78add43492d3a1898bfa6d8a904cc97d8427f683ed8e798d07761aa0\n"
    return {
        "pinned": {"requirements.txt": pinned},
        "ranges": {"requirements.txt": b"numpy>=1.24,<2\npandas~=2.1\nscikit-learn>=1.3\n"},
        "bare-names": {"requirements.txt": b"numpy\npandas\nscikit-learn\nmatplotlib\njupyter\n"},
        "hashed": {"requirements.txt": hashed},
        "pip-compile": {
            "requirements.txt": b"#\n# This file is autogenerated by pip-compile with Python 3.11\n#\n" + pinned,
            "requirements.in": b"pandas\nscikit-learn\n",
        },
        "includes": {
            "requirements.txt": pinned,
            "requirements-dev.txt": b"-r requirements.txt\n-c constraints.txt\npytest==8.2.0\n",
            "constraints.txt": b"urllib3<3\n",
        },
        "torch-index": {
            "requirements.txt": b"--extra-index-url https://download.pytorch.org/whl/cu121\ntorch==2.3.0+cu121\n"
        },
        "rare-names": {
            "requirements.txt": b"sktime==0.30.0\npytorch-lightning==2.2.4\npytorch-tabnet==4.1.0\nskorch==1.0.0\n"
            b"scikit-image==0.23.2\nscikit-optimize==0.10.1\nnumba==0.59.1\ntorchvision==0.18.0\ntensorboard==2.16.2\n"
            b"opencv-python-headless==4.9.0.80\nsentence-transformers==2.7.0\nnumpyro==0.15.0\npandera==0.19.0\n"
        },
        "git-pinned": {
            "requirements.txt": b"peft @ git+https://github.com/huggingface/peft.git@6f41990da482dba96287da64a3c7"
            b"d3c441e95e23\n"
        },
        "conda": {
            "environment.yml": b"name: churn\nchannels:\n- conda-forge\ndependencies:\n- python=3.11\n- "
            b"numpy=1.26\n- pip"
            b"\n- pip:\n  - mlflow==2.14.1\n"
        },
        "markers": {
            "requirements.txt": b"colorama==0.4.6 ; sys_platform == 'win32'\ntomli==2.0.1 ; python_version < '3.11'\n"
        },
        "pyproject": {
            "pyproject.toml": b'[build-system]\nrequires = ["setuptools>=68"]\nbuild-backend = "setuptools.build_meta"'
            b'\n\n[project]\nname = "churn"\nversion = "0.1.0"\ndependencies = ["pandas>=2", "scikit-learn>=1.4"]\n\n'
            b'[project.scripts]\nchurn = "churn.cli:main"\n\n[tool.ruff]\nline-length = 100\n'
        },
        "poetry": {
            "pyproject.toml": b'[tool.poetry]\nname = "m"\nversion = "0.1.0"\n\n[tool.poetry.dependencies]\npython = '
            b'"^3.11"\nnumpy = "^1.26"\n'
        },
        "pipfile": {
            "Pipfile": b'[[source]]\nurl = "https://pypi.org/simple"\nverify_ssl = true\nname = "pypi"\n\n[packages]\n'
            b'pandas = "==2.2.2"\n\n[requires]\npython_version = "3.11"\n'
        },
        "setup-py": {
            "setup.py": b"from pathlib import Path\n\nfrom setuptools import find_packages, setup\n\nsetup(\n  "
            b"  name='m'"
            b",\n    version='0.1',\n    packages=find_packages(),\n    long_description=Path('README.md').read_text()"
            b",\n    install_requires=['numpy>=1.24'],\n)\n"
        },
        "uv-lock": {
            "uv.lock": b'version = 1\nrequires-python = ">=3.11"\n\n[[package]]\nname = "idna"\nversion = '
            b'"3.7"\nsource = '
            b'{ registry = "https://pypi.org/simple" }\nsdist = { url = "https://files.pythonhosted.org/packages/21/ed/'
            b'idna-3.7.tar.gz", hash = "sha256:028ff3aadf0609c1fd278d8ea3089299412a7a8b9bd005dd08b9f8285bcb5cfc" }\n'
        },
    }


def configuration() -> dict[str, Folder]:
    """Hydra, DVC, Docker, workflows and training configuration."""
    hydra = (
        b"defaults:\n- _self_\n- model: resnet\n\nmodel:\n  _target_: torchvision.models.resnet18\n  weights: null\n"
        b"optimizer:\n  _target_: torch.optim.AdamW\n  _partial_: true\n  lr: ${oc.env:LR,0.001}\ntrainer:\n  "
        b"_target_: "
        b"pytorch_lightning.Trainer\n  max_epochs: 3\n  callbacks:\n  - _target_: "
        b"pytorch_lightning.callbacks.EarlyStopping"
        b"\n    monitor: val_loss\n"
    )
    return {
        "hydra": {"conf/config.yaml": hydra},
        "hydra-own-package": {
            "conf/model.yaml": b"_target_: churn.models.net.ChurnNet\nhidden: 8\n",
            "churn/__init__.py": b"",
            "churn/models/net.py": b"from torch import nn\n\n\nclass ChurnNet(nn.Module):\n    pass\n",
        },
        "hydra-sklearn": {"conf/model.yaml": b"_target_: sklearn.ensemble.RandomForestClassifier\nn_estimators: 200\n"},
        "lightning-cli": {
            "config.yaml": b"seed_everything: 1\ntrainer:\n  callbacks:\n  - class_path: lightning.pytorch."
            b"callbacks.ModelCheckpoint\n    init_args:\n      monitor: val_loss\n"
        },
        "torchtune": {
            "recipe.yaml": b"model:\n  _component_: torchtune.models.llama3.lora_llama3_8b\n  lora_rank: 8\n"
        },
        "diffusion": {
            "v1-inference.yaml": b"model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    "
            b"timesteps: 1000\n"
        },
        "dvc": {
            "data/train.csv.dvc": b"outs:\n- md5: 22a1a2931c8370d3aeedd7183606fd7f\n  size: 14445097\n  path: "
            b"train.csv\n",
            ".dvc/config": b"[core]\n    remote = store\n['remote \"store\"']\n    url = s3://example-bucket/dvc\n",
            "dvc.yaml": b"stages:\n  train:\n    cmd: python train.py --seed 1\n    deps:\n    - train.py\n    "
            b"outs:\n    - "
            b"model.pkl\n",
        },
        "docker": {
            "Dockerfile": b"FROM python:3.11.9-slim\nWORKDIR /app\nCOPY requirements.txt .\nRUN pip install "
            b"--no-cache-dir "
            b'-r requirements.txt\nCOPY . .\nUSER 1000\nCMD ["uvicorn", "app:app", "--host", "0.0.0.0"]\n'
        },
        "docker-apt": {
            "Dockerfile": b"FROM nvidia/cuda:12.1.0-runtime-ubuntu22.04\nRUN apt-get update && apt-get install -y "
            b"curl git && rm -rf /var/lib/apt/lists/*\nHEALTHCHECK CMD curl -f http://localhost:8000/health\n"
        },
        "compose": {
            "docker-compose.yml": b"services:\n  db:\n    image: postgres:16.3\n    environment:\n      "
            b"POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n    ports:\n    - 127.0.0.1:5432:5432\n"
        },
        "workflow": {
            ".github/workflows/ci.yml": b"name: ci\non: [push, pull_request]\njobs:\n  test:\n    runs-on: "
            b"ubuntu-latest"
            b"\n    steps:\n    - uses: actions/checkout@v4\n    - uses: actions/setup-python@v5\n      with:\n        "
            b"python-version: '3.11'\n    - run: pip install -r requirements.txt\n    - run: pytest\n      env:\n"
            b"        HF_TOKEN: ${{ secrets.HF_TOKEN }}\n"
        },
        "pre-commit": {
            ".pre-commit-config.yaml": b"repos:\n- repo: https://github.com/astral-sh/ruff-pre-commit\n  rev: v0.5.0"
            b"\n  hooks:\n  - id: ruff\n"
        },
        "env-example": {
            ".env.example": b"OPENAI_API_KEY=sk-your-key-here\nHF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxx\nAWS_SECRET_ACCESS_KEY="
            b"<your-secret>\nDATABASE_URL=postgresql://user:password@localhost:5432/db\nSECRET_KEY=changeme\n"
        },
        "hashes": {
            "checksums.txt": b"4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393  model.onnx\n",
            "params.yaml": b"dataset_hash: 22a1a2931c8370d3aeedd7183606fd7f\nrun_id: 0d5f0c1e6a2b4c7d8e9fa0b1c2d3e4f5\n"
            b"git_commit: 6f41990da482dba96287da64a3c7d3c441e95e23\nseed: 42\n",
        },
        "makefile": {"Makefile": b"train:\n\tpython -m churn.train\n\nclean:\n\trm -rf build dist\n"},
        "mlproject": {
            "MLproject": b"name: churn\nconda_env: conda.yaml\nentry_points:\n  main:\n    parameters:\n      alpha: "
            b"{type: float, default: 0.5}\n    command: python train.py {alpha}\n"
        },
        "kubernetes": {
            "deploy.yaml": b"apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n"
            b"      - name: model\n        image: registry.example.com/model:1.2.3\n        env:\n        - name: TOKEN"
            b"\n          valueFrom:\n            secretKeyRef: {name: hub, key: token}\n"
        },
        "accelerate": {
            "accelerate.yaml": b"compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_processes: 8\n"
        },
        "spacy-config": {
            "config.cfg": b'[nlp]\nlang = "en"\npipeline = ["tok2vec","ner"]\n\n[components.ner]\nfactory = '
            b'"ner"\n\n[components.ner.model]\n@architectures = "spacy.TransitionBasedParser.v2"\n'
        },
        "compose-secrets-names": {
            "config.toml": b'[auth]\ntoken_url = "https://auth.example.com/oauth/token"\npassword_field = '
            b'"password"\nmax_tokens = 4096\npad_token = "<pad>"\n'
        },
        "vscode": {
            ".vscode/settings.json": b'{\n  // the interpreter\n  "python.defaultInterpreterPath": ".venv/bin/python",'
            b"\n}\n"
        },
    }


def shapes() -> dict[str, Folder]:
    """All of them, by class."""
    groups = {"notebook": notebooks(), "requirements": requirements(), "config": configuration()}
    return {f"{kind}--{k}": v for kind, found in groups.items() for k, v in found.items()}
