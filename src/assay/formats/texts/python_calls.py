"""Calls in Python source, one by one: what each does, with which arguments, and how grave that is where it stands."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from assay.core.finding import Confidence, Severity
from assay.formats.reading import Reading
from assay.formats.texts.python_constants import Constant
from assay.formats.texts.python_dangers import (
    FETCHES,
    GRAVITY,
    INJECTORS,
    NETWORK,
    PERSISTENT,
    PLAIN_TOOLS,
    SENSITIVE,
    TOOLCHAIN,
    Does,
    what_it_does,
    words,
)
from assay.formats.texts.python_given import Given
from assay.formats.texts.python_handed import AT, COMPUTED_IMPORTS, Handed
from assay.formats.texts.python_names import Names, is_plain
from assay.formats.texts.python_places import Places
from assay.formats.texts.python_taints import Taints
from assay.formats.texts.python_when import Owner, When
from assay.formats.texts.shell_text import command_kinds

_GRAVE = frozenset({Does.COMMAND, Does.EVALUATE, Does.CODE_OBJECT, Does.CONNECT, Does.UNPICKLE, Does.NATIVE})
_RUN_WORDS = words("""system popen Popen check_output check_call exec eval spawn execv loads""")
_OPENERS = words("""builtins.open io.open os.open codecs.open pathlib.Path open Path shutil.copy shutil.copyfile""")
_LIBRARIES = words(
    "ctypes.CDLL ctypes.cdll.LoadLibrary ctypes.PyDLL ctypes.WinDLL ctypes.windll.LoadLibrary _ctypes.dlopen"
)
_PATCHED = words("""builtins pickle torch.load torch.save json.loads socket.socket requests.get os.system""")
# Tools of a project that are started as modules; what they run is its own.
_MODULES = words(
    """pytest unittest coverage mypy ruff black isort flake8 pylint pyright build twine tox nox pre_commit sphinx mkdocs
    venv compileall ensurepip torch.distributed.run torch.distributed.launch accelerate.commands.launch deepspeed
    mlflow streamlit uvicorn gunicorn jupyter nbconvert ipykernel spacy nltk.downloader"""
)
_PATHS = words(
    """open join expanduser expandvars Path PurePath PosixPath joinpath glob iglob rglob copy copyfile copy2 copytree
    exists isfile listdir walk scandir iterdir add loadtxt"""
)
_INNER_KEYS = words("__builtins__ builtins os sys system popen eval exec __import__ subprocess posix")
_FROM_FILES = ("imp.", "runpy.", "importlib.", "zipimport.")
# System libraries by name: what loading them does is known.
_SYSTEM_LIBRARY = re.compile(
    r"(?:lib)?(?:c|m|dl|pthread|gomp|cudart|cuda|msvcrt|kernel32|user32|util)(?:64)?(?:[.-].*)?", re.IGNORECASE
)


_PLAIN = re.compile(r"(?i)(?:http|ftp)://(?!localhost[:/]|127\.)")
_ELSEWHERE = re.compile(r"(?i)(?:https?|ftp|s3|gs)://|/(?:tmp|var/tmp|dev/shm)/|\\\\\\\\")


class Said:
    """What is said once of a kind of call at one moment, with the names that did it."""

    def __init__(self, what: str, kind: str, when: When, severity: Severity, line: int | None) -> None:
        self.what, self.kind, self.when, self.severity, self.line = what, kind, when, severity, line
        self.names: set[str] = set()
        self.confidence = Confidence.HIGH


class Judge:
    """Judges the code of one module, function by function; `inside` judges text that is run as code."""

    def __init__(self, names: Names, inside: Callable[[str], Reading], *, installer: bool = False) -> None:
        self.names, self.inside, self.installer = names, inside, installer
        self.said: dict[tuple[str, When], Said] = {}
        self.taints = Taints(names)
        self.places = Places(names, self.taints, self.say)
        self.handed = Handed(names, self.say)
        self.given = Given(names, self.say, inside)
        self.program = False  # whether the module is run by a person or a server, and imported by no loader
        self.native = any(name.startswith(("ctypes", "cffi", "_ctypes")) for name in names.aliases.values())

    def judge(self, owner: Owner, when: When) -> None:
        """Judge one owner's nodes as running at `when`."""
        sends, reads = "", False
        for node in owner.nodes:
            if isinstance(node, ast.Call):
                sends = self._call(node, when) or sends
                reads = reads or self._names_keys(node)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                reads = reads or self._is_key_file(node.right)
            elif isinstance(node, (ast.Assign, ast.Delete)):
                self._patched(node, when)
                if isinstance(node, ast.Assign):
                    self.given.assigned(node, when)
                self.handed.judge(node, when)
            elif isinstance(node, (ast.Tuple, ast.Return, ast.Dict, ast.List, ast.Set, ast.Yield)):
                self.handed.judge(node, when)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node.value in INJECTORS and self.native:
                    self.say("handles memory as injectors of code do", "inject", when, Severity.HIGH, node, node.value)
            elif isinstance(node, ast.Attribute) and node.attr in INJECTORS and self.native:
                self.say("handles memory as injectors of code do", "inject", when, Severity.HIGH, node, node.attr)
            elif isinstance(node, ast.Subscript) and self._into_globals(node):
                self._reach(node, when)
        if reads and sends:
            grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
            self.say("reads keys or accounts and opens the network", "steal", when, grave, None, sends)
        elif reads:
            grave = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM if when else Severity.LOW
            self.say("names files of keys or accounts", "sensitive", when, grave, None, "")

    def say(
        self, what: str, kind: str, when: When, severity: Severity, node: ast.AST | None, name: str,
        sure: Confidence = Confidence.HIGH,
    ) -> None:  # fmt: skip
        """Note what a call does at a moment, the gravest of its kind."""
        line = getattr(node, "lineno", None)
        said = self.said.get((kind, when))
        if said is None:
            said = self.said[kind, when] = Said(what, kind, when, severity, line)
            said.confidence = sure
        elif severity.rank > said.severity.rank:
            said.severity, said.line, said.what, said.confidence = severity, line, what, sure
        if name:
            said.names.add(name)

    def _call(self, node: ast.Call, when: When) -> str:
        """Judge one call; gives its name if it reaches the network."""
        name = self.names.of(node.func)
        if made := self.handed.method_called(node):
            node, name = made, self.names.of(made.func)
        for each in self.handed.mapped(node, name):
            self._call(each, when)
        for keyword in node.keywords:
            if keyword.arg == "trust_remote_code" and _is(keyword.value, True):
                self.say(
                    "trusts code of other repositories", "trust", when, Severity.LOW, node, "trust_remote_code=True"
                )
        if isinstance(node.func, ast.Attribute) and node.func.attr == "__subclasses__" and _bare(node.func.value):
            self._reach(node, when)
        if self.handed.computed(node.func, name):
            grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH if when else Severity.MEDIUM
            self.say("calls what it fetches by a name that is computed", "computed", when, grave, node, "")
        self.handed.judge(node, when)
        self.given.call(node, name, when)
        if not name:
            self.places.judge(node, "", when)
            return ""
        if name in _OPENERS:
            self._opened(node, when)
        self._loads(node, name, when)
        self.places.judge(node, name, when)
        does = what_it_does(name)
        if does is None and name.startswith(COMPUTED_IMPORTS) and name.rpartition(".")[2] in _RUN_WORDS:
            does = Does.COMMAND
        if does is None or (does in (Does.FETCH,) and name.rpartition(".")[2] not in FETCHES):
            return ""
        self._done(node, name, does, when)
        return name if does in NETWORK else ""

    def _done(self, node: ast.Call, name: str, does: Does, when: When) -> None:
        severity = GRAVITY[does][AT[when]]
        indirect = not is_plain(node.func) or (isinstance(node.func, ast.Name) and node.func.id in self.names.indirect)
        what, kind = str(does), does.name.lower()
        if does is Does.COMMAND:
            if "()" in name and not name.startswith((*COMPUTED_IMPORTS, "ctypes.", "IPython.", "cffi.", "asyncio.")):
                return
            severity = self._command(node, name, when, severity, indirect)
        elif does is Does.EVALUATE:
            if name == "builtins.compile" or "()" in name:
                return
            self._evaluated(node, name, when, severity, indirect)
            return
        elif does in (Does.UNPICKLE, Does.CODE_OBJECT):
            if "()" in name:
                return
            taints = self.taints.of(node)
            if taints & {"decoded", "fetched"} or (node.args and isinstance(self.names.constant(node.args[0]), bytes)):
                later = Severity.MEDIUM if does is Does.UNPICKLE and not when else Severity.HIGH
                severity = Severity.CRITICAL if when is When.IMPORT else later
                what, kind = f"{does} that it decodes or fetches", f"{kind}-hidden"
            elif does is Does.UNPICKLE and when is When.IMPORT:
                severity = self._at_import(node)
            elif name in ("types.FunctionType", "types.CodeType"):
                severity = Severity.MEDIUM if when is When.IMPORT else Severity.LOW
        elif does in NETWORK:
            if self.taints.sends_secret(node):
                severity = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
                what, kind = "sends keys or the environment over the network", "send"
        elif does is Does.NATIVE and name in _LIBRARIES and when:
            path = self.names.constant(node.args[0]) if node.args else "c"
            known = isinstance(path, str) and _SYSTEM_LIBRARY.fullmatch(path.rpartition("/")[2])
            given = node.args and (_is_none(node.args[0]) or "find_library" in self.names.of(node.args[0]))
            if not known and not given:
                severity = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM
                what, kind = "loads a native library", "library"
        elif does is Does.IMPORT:
            if not name.endswith("()") and node.args and self.names.constant(node.args[0]) is None:
                self.say(what, kind, when, severity, node, name)
            return
        if indirect and does in _GRAVE and "()" not in name:
            severity = _graver(severity, Severity.CRITICAL if when is When.IMPORT else Severity.HIGH)
            what, kind = f"{what}, by a name that is put together,", f"{kind}-indirect"
        if severity is not Severity.INFO:
            self.say(what, kind, when, severity, node, name)

    def _command(self, node: ast.Call, name: str, when: When, severity: Severity, indirect: bool) -> Severity:
        """How grave a command is by what is known of its words."""
        first = (
            node.args[0] if node.args else next((k.value for k in node.keywords if k.arg in ("args", "command")), None)
        )
        if isinstance(first, (ast.List, ast.Tuple)):
            head = first.elts[0] if first.elts else None
            words = [self.names.constant(e) for e in first.elts[:100]]
            program = "python" if self.names.of(head) == "sys.executable" else str(words[0] or "")
            text = " ".join(str(w) for w in words if isinstance(w, (str, int)))
            program = _module_run(program, words, when) or program
        else:
            value = self.names.constant(first)
            text = " ".join(map(str, value)) if isinstance(value, tuple) else value if isinstance(value, str) else ""
            text = text or _beginning(first)
            program = text.split()[0] if text.split() else ""
        for _kind, said, grave in command_kinds(text):
            self.say(f"{said} with a command", "shell", when, _graver(grave, severity), node, name)
        if SENSITIVE.search(text) or PERSISTENT.search(text):
            return _graver(severity, Severity.HIGH)
        program = program.replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
        plain = not indirect and not any(sign in text for sign in "|;&`$<>\n")
        if plain and program in (TOOLCHAIN if when else PLAIN_TOOLS):
            return Severity.INFO
        if "pip install" in text or "pip3 install" in text or "conda install" in text:
            return Severity.HIGH if when is When.IMPORT else Severity.MEDIUM if when else Severity.LOW
        return severity

    def _evaluated(self, node: ast.Call, name: str, when: When, severity: Severity, indirect: bool) -> None:
        first = node.args[0] if node.args else None
        grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
        text = self.names.constant(first)
        if isinstance(first, ast.Call) and self.names.of(first.func) == "builtins.compile" and first.args:
            text = self.names.constant(first.args[0])
        taints = self.taints.of(first)
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if name.startswith(_FROM_FILES):
            text, severity = None, Severity.HIGH if when is When.IMPORT else Severity.MEDIUM if when else Severity.LOW
        if isinstance(text, str):
            for note in self.inside(self.given.known(text)).notes:
                moment = When.IMPORT if note.evidence.get("when") == "import" else When.LATER
                lowered = note.severity if moment is When.IMPORT and when is When.IMPORT else _less(note.severity)
                inner = {str(n) for n in found} if isinstance(found := note.evidence.get("names"), list) else set()
                for each in inner or {""}:
                    what = note.message.partition(" when it is ")[0].partition(" in ")[0]
                    self.say(f"in a text that it runs, {what}", f"{note.key}:inside", when, lowered, node, each)
        if taints & {"decoded", "fetched"}:
            kind = "fetched" if "fetched" in taints else "decoded"
            self.say(
                f"runs code that it {'fetches' if kind == 'fetched' else 'decodes'}", kind, when, grave, node, name
            )
        elif indirect and name in ("builtins.exec", "builtins.eval", "builtins.compile"):
            self.say(f"{Does.EVALUATE}, by a name that is put together,", "evaluate-indirect", when, grave, node, name)
        elif not isinstance(text, str):
            if "file" in taints:
                severity = Severity.LOW if self.installer or not when else severity
            elif name == "builtins.eval":
                severity = Severity.MEDIUM if when else Severity.LOW
            self.say(str(Does.EVALUATE), "evaluate", when, severity, node, name)

    def _loads(self, node: ast.Call, name: str, when: When) -> None:
        """Loaders that unpickle after a flag, or build objects from YAML."""
        flags = {k.arg: k.value for k in node.keywords}
        flagged = name == "torch.load" and _is(flags.get("weights_only"), False)
        if flagged or (name == "numpy.load" and _is(flags.get("allow_pickle"), True)):
            shown = "torch.load(weights_only=False)" if flagged else "numpy.load(allow_pickle=True)"
            grave = self._at_import(node) if when is When.IMPORT else Severity.LOW
            if self.taints.of(node) & {"decoded", "fetched"}:
                grave = Severity.CRITICAL if when is When.IMPORT else Severity.MEDIUM
            self.say("loads a pickle", "unpickle-flag", when, grave, node, shown)
        elif name == "torch.hub.load_state_dict_from_url":
            address = self.names.constant(node.args[0] if node.args else flags.get("url"))
            if isinstance(address, str) and _PLAIN.match(address) and not _is(flags.get("weights_only"), True):
                grave = Severity.HIGH if when is When.IMPORT else Severity.MEDIUM
                self.say("loads a pickle that it fetches without TLS", "unpickle-plain", when, grave, node, name)
        elif name in ("yaml.load", "yaml.load_all"):
            loader = self.names.of(flags.get("Loader") or (node.args[1] if len(node.args) > 1 else None))
            if loader in ("yaml.Loader", "yaml.UnsafeLoader", "yaml.CLoader"):
                self.say("builds objects from YAML", "yaml", when, Severity.LOW, node, loader)

    def _at_import(self, node: ast.Call) -> Severity:
        """How grave it is to unpickle at import: ordinary where a server or a script loads its own model's file, which
        is judged itself; not in a module that a model's loader imports, and of no file that came from elsewhere."""
        first = node.args[0] if node.args else next((k.value for k in node.keywords), None)
        for inner in ast.walk(first) if first is not None else ():
            path = self.names.constant(inner) if isinstance(inner, ast.expr) else None
            if isinstance(path, str) and (_ELSEWHERE.match(path) or path in self.taints.downloads):
                return Severity.HIGH
            if isinstance(inner, ast.Call) and self.names.of(inner.func).startswith(("tempfile.", "urllib.")):
                return Severity.HIGH
        return Severity.LOW if self.program else Severity.HIGH

    def _opened(self, node: ast.Call, when: When) -> None:
        for argument in node.args[:2]:
            path = self.names.constant(argument)
            if isinstance(argument, ast.Call) and argument.args:  # expanduser("~/…")
                path = path or self.names.constant(argument.args[0])
            if isinstance(path, str) and len(path) < 1000 and PERSISTENT.search(path):
                mode = self.names.constant(node.args[1]) if len(node.args) > 1 else "r"
                if isinstance(mode, str) and set(mode) & set("wax+"):
                    grave = Severity.CRITICAL if when is When.IMPORT else Severity.HIGH
                    self.say("writes what runs at every login or start", "persist", when, grave, node, "open")

    def _patched(self, node: ast.Assign | ast.Delete, when: When) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                owner = self.names.of(target.value)
                if owner and (owner in _PATCHED or f"{owner}.{target.attr}" in _PATCHED):
                    grave = Severity.MEDIUM if when else Severity.LOW
                    self.say(str(Does.HOOK), "patch", when, grave, node, f"{owner}.{target.attr}")

    def _names_keys(self, node: ast.Call) -> bool:
        """Whether a path is made or opened that leads to keys or accounts."""
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called in _PATHS and any(self._is_key_file(argument) for argument in node.args[:4])

    def _is_key_file(self, node: ast.expr) -> bool:
        path = self.names.constant(node)
        return isinstance(path, str) and len(path) < 300 and SENSITIVE.search(path) is not None

    def _into_globals(self, node: ast.Subscript) -> bool:
        return getattr(node.value, "attr", "") == "__globals__" and self.names.constant(node.slice) in _INNER_KEYS

    def _reach(self, node: ast.AST, when: When) -> None:
        self.say(str(Does.REACH), "reach", when, GRAVITY[Does.REACH][AT[when]], node, "")


def _module_run(program: str, words: list[Constant | None], when: When) -> str:
    """What `python -m tool` or, in a function that somebody calls, `python own_script.py` comes to; "" of others."""
    if not program.rpartition("/")[2].startswith("python") or len(words) < 2 or not isinstance(words[1], str):
        return ""
    if words[1] == "-m" and len(words) > 2 and words[2] in _MODULES:
        return "pytest"
    own = re.fullmatch(r"(?!.*\.\.)[A-Za-z_][\w./-]*\.py", words[1])
    return "pytest" if own and when is When.LATER else ""


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _bare(node: ast.AST) -> bool:
    """Whether it climbs from a plain value to the class of all: `().__class__.__base__`, `object`."""
    if isinstance(node, ast.Name):
        return node.id == "object"
    return any(
        isinstance(inner, ast.Attribute) and inner.attr in ("__base__", "__bases__", "__mro__")
        for inner in ast.walk(node)
    )


def _beginning(node: ast.AST | None) -> str:
    """The text that a command surely begins with, of one that is put together from parts not known."""
    while isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "split"):
        node = node.func.value
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _graver(one: Severity, other: Severity) -> Severity:
    return one if one.rank >= other.rank else other


def _less(severity: Severity) -> Severity:
    return {Severity.CRITICAL: Severity.HIGH, Severity.HIGH: Severity.MEDIUM}.get(severity, severity)
