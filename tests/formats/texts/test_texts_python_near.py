"""Honest Python that looks like code whose values travel, and code that leads to itself: silent, and it ends."""

from __future__ import annotations

import pytest

from assay.core.finding import Severity
from assay.formats.texts.python_code import judge_python

# Honest code that looks as such code does.
HONEST = {
    "modelling": (
        "import torch.nn as nn\n"
        "from transformers.activations import ACT2FN\n"
        "class M(nn.Module):\n"
        "    def __init__(self, c):\n"
        "        self.act = ACT2FN[c.hidden_act]\n"
        "        self.f = getattr(nn.functional, c.name)\n"
        "    def forward(self, x):\n"
        "        for l in self.layers:\n"
        "            x = l(x)\n"
        "        return getattr(self, self.which)(x)"
    ),
    "getattr self": (
        'class A:\n    def run(self, name, *a):\n        return getattr(self, "do_" + name)(*a)\nA().run("x")'
    ),
    "getattr torch": 'import torch\ndef act(name):\n    return getattr(torch.nn, name)()\nx = act("ReLU")',
    "getattr functional": (
        'import torch.nn.functional as F\nACT = {n: getattr(F, n) for n in ("relu", "gelu")}\ny = ACT["relu"]'
    ),
    "lazy module": (
        "import importlib\n"
        '_S = {"a": ["A"]}\n'
        "def __getattr__(name):\n"
        '    return getattr(importlib.import_module("." + _S[name], __name__), name)'
    ),
    "lazy class": (
        "import importlib, types\n"
        "class L(types.ModuleType):\n"
        "    def __getattr__(self, n):\n"
        "        m = importlib.import_module(self._m[n])\n"
        "        setattr(self, n, m)\n"
        "        return m"
    ),
    "registry": (
        "R = {}\n"
        "def register(n):\n"
        "    def d(c):\n"
        "        R[n] = c\n"
        "        return c\n"
        "    return d\n"
        '@register("a")\n'
        "class A: pass\n"
        'R["a"]()'
    ),
    "map str": (
        'names = list(map(str.strip, ["a ", "b"]))\n'
        "k = sorted(names, key=len)\n"
        "for i, (a, b) in enumerate(zip(names, k)):\n"
        "    print(a, b)"
    ),
    "toolchain": (
        "import subprocess\n"
        "def sha():\n"
        '    return subprocess.check_output(["git", "rev-parse", "HEAD"]).decode().strip()'
    ),
    "plain tools loop": (
        'import subprocess\ndef conv(files):\n    for f in files:\n        subprocess.run(["ffmpeg", "-i", f])'
    ),
    "context": (
        "import time\n"
        "class Timer:\n"
        "    def __enter__(self):\n"
        "        self.t = time.time()\n"
        "        return self\n"
        "    def __exit__(self, *a):\n"
        "        print(time.time() - self.t)\n"
        "with Timer() as t:\n"
        "    pass"
    ),
    "partial": (
        "from functools import partial, reduce\n"
        "import operator\n"
        "add = partial(operator.add, 1)\n"
        "n = reduce(operator.mul, [1, 2, 3])\n"
        'g = operator.attrgetter("shape")\n'
        "h = operator.itemgetter(0, 1)"
    ),
    "attr path": 'from functools import reduce\ndef get(m, path):\n    return reduce(getattr, path.split("."), m)',
    "excepthook log": (
        'import sys, logging\ndef h(t, v, b):\n    logging.error("x", exc_info=(t, v, b))\nsys.excepthook = h'
    ),
    "atexit": (
        "import atexit, shutil, tempfile\nd = tempfile.mkdtemp()\natexit.register(shutil.rmtree, d, ignore_errors=True)"
    ),
    "thread": (
        "import threading\n"
        "class W(threading.Thread):\n"
        "    def run(self):\n"
        "        for b in self.q:\n"
        "            self.out.put(self.f(b))\n"
        "W().start()"
    ),
    "environ": (
        "import os\n"
        'for k, v in {"OMP_NUM_THREADS": "1"}.items():\n'
        "    os.environ.setdefault(k, v)\n"
        'n = getattr(os, "cpu_count")()'
    ),
    "os attrs": 'import os\nfn = getattr(os, "sched_getaffinity", None)\nn = len(fn(0)) if fn else os.cpu_count()',
    "builtins type": (
        'import builtins\ndef t(n):\n    return getattr(builtins, n)\nT = {n: t(n) for n in ("int", "str")}'
    ),
    "eval mode": (
        "class M:\n"
        "    def eval(self):\n"
        "        return self.train(False)\n"
        "m = M()\n"
        "m.eval()\n"
        "for f in (m.eval, m.train):\n"
        "    f()"
    ),
    "system prompt": (
        "class Chat:\n"
        "    def system(self, text):\n"
        "        self.m.append(text)\n"
        "c = Chat()\n"
        'c.system("You are helpful")\n'
        "run = c.system\n"
        'run("x")'
    ),
    "annotations": (
        "from typing import Annotated\n"
        "from pydantic import Field\n"
        'def f(a: Annotated[int, Field(gt=0)], b: "list[int]" = None) -> int: return a'
    ),
    "decorators": (
        "import torch, functools\n"
        "@torch.no_grad()\n"
        "@functools.lru_cache(maxsize=None)\n"
        "def f(x): return x\n"
        "@staticmethod\n"
        "def g(): pass"
    ),
    "metaclass": (
        "import abc\n"
        "class B(metaclass=abc.ABCMeta):\n"
        "    @abc.abstractmethod\n"
        "    def f(self): ...\n"
        "class C(B):\n"
        "    def __init_subclass__(cls, **k):\n"
        "        super().__init_subclass__(**k)\n"
        "class D(C): pass"
    ),
    "dataclass default": (
        "import dataclasses, math\n"
        "@dataclasses.dataclass\n"
        "class C:\n"
        "    f: object = math.sqrt\n"
        "    g: object = dataclasses.field(default_factory=list)\n"
        "C().f(2)"
    ),
    "string work": (
        'a = "".join(chr(i) for i in range(97, 123))\n'
        'b = "{}_{}".format("x", 1)\n'
        'c = "%s" % (a,)\n'
        "d = {k: v for k, v in zip(a, b)}\n"
        'open("x.txt").read()'
    ),
}


def worst(source: str) -> int:
    """The gravest severity of what is said of a source, by its rank."""
    return max((note.severity.rank for note in judge_python(source).notes), default=0)


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_is_silent(name: str) -> None:
    assert worst(HONEST[name]) <= Severity.LOW.rank


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return f(f(x))\nf(f(f(1)))()",
        "a = b\nb = a\nfor a in b:\n    for b in a:\n        a(b)",
        "L = [L]\nL.append(L)\nL[0][0](L)",
        "f = lambda g: g(g)\nf(f)",
        "class A(A):\n    x = A()\nA().x.x.x()",
        "x = [i for i in x for x in i]\nnext(iter(x))()",
        "from functools import reduce\nreduce(lambda a, b: reduce(a, b), [reduce], reduce)()",
        "'{:999999999}{}'.format(1)\n'{0.__class__}'.format(1)\n'{'.format()",
        "f" + "()" * 2000,
        "(lambda f: f)(" * 60 + "1" + ")" * 60 + "()",
        "\n".join(f"def f{i}(x): return f{i + 1}(f{i + 2}(x))" for i in range(100)) + "\nf0(1)()",
    ],
)
def test_what_leads_to_itself_ends(source: str) -> None:
    assert worst(source) <= Severity.HIGH.rank
