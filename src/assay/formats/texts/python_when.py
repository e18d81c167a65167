"""When code in a Python tree runs: at import, when a loader calls it, or when somebody does."""

from __future__ import annotations

import ast
import re
from enum import IntEnum

from assay.formats.texts.python_dangers import INSTALLED, LOADED, words
from assay.formats.texts.python_implied import Implied, called_annotations, decorated
from assay.formats.texts.python_names import Names

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Callables that call what they are given, at once or by themselves later.
_CALLERS = words(
    """map filter sorted min max reduce functools.reduce any all list tuple set threading.Thread threading.Timer
    multiprocessing.Process atexit.register signal.signal sys.meta_path.append asyncio.run asyncio.create_task
    concurrent.futures.ThreadPoolExecutor().submit _thread.start_new_thread weakref.finalize
    iter next zip enumerate dict
    sum functools.partial sys.settrace sys.setprofile sys.addaudithook threading.settrace threading.setprofile
    sys.meta_path.insert sys.path_hooks.append sys.path_hooks.insert gc.callbacks.append collections.defaultdict
    operator.call codecs.register codecs.register_error exec eval timeit.timeit
    contextlib.ExitStack().callback
    contextlib.ExitStack().push os.register_at_fork faulthandler.register"""
)
_CALLING = ("itertools.", "asyncio.", "weakref.", "concurrent.futures.", "functools.reduce", "signal.")
# Methods that call what they are given, whoever they belong to.
_CALLING_METHODS = words(
    "submit apply_async run_in_executor call_soon call_later call_soon_threadsafe to_thread imap imap_unordered"
)


_MOST_CALLS = 50  # of what a call returns, called again
_SERVERS = words(
    """fastapi flask starlette uvicorn gunicorn streamlit gradio dash sanic tornado bottle falcon aiohttp quart litestar
    django bentoml chainlit panel nicegui shiny azureml_inference_server_http_api kserve seldon_core pika celery"""
)
# Bases of what a model's loader imports; a module that defines such is no program.
_OF_LOADERS = re.compile(
    r"(?:PreTrained|Pretrained|nn\.Module$|^Module$|Config$|Tokenizer|Processor|Pipeline|GeneratorBasedBuilder|LightningModule"
    r"|PythonModel|EndpointHandler|BaseHandler|FeatureExtractor|Estimator|Transformer(?:Mixin)?$|Layer$|ModelMixin|SchedulerMixin)"
)
_OUTPUT = words("""print display main run""")
_USES = words("""predict predict_proba transform eval fit score to run launch write title train read_csv mount""")


class When(IntEnum):
    """The most automatic moment at which a piece of code runs."""

    LATER = 0
    LOADED = 1
    IMPORT = 2


class Owner:
    """The code of one function (or of the module): its own nodes, and the names that it calls."""

    def __init__(self, name: str, when: When, within: str = "") -> None:
        self.name, self.when, self.within = name, when, within
        self.nodes: list[ast.AST] = []
        self.calls: set[str] = set()


def owners(tree: ast.Module, names: Names, *, installer: bool = False) -> list[Owner]:
    """The module's and every function's own code with when it runs, callers' moments handed on to what they call.

    With `installer` (setup.py) methods that an installation calls count as called by a loader.
    """
    found = _Split(tree, names, installer)
    found.body(tree.body, Owner("", When.IMPORT))
    by_name: dict[str, list[Owner]] = {}
    for owner in found.owners:
        by_name.setdefault(owner.name, []).append(owner)
        if owner.within:
            by_name.setdefault(f"{owner.within}.{owner.name}", []).append(owner)
    pending = [owner for owner in found.owners if owner.when]
    while pending:
        caller = pending.pop()
        for name in caller.calls:
            for called in by_name.get(name, []) if name not in found.implied.methods else found.made(name, by_name):
                if called.when < caller.when:
                    called.when = caller.when
                    pending.append(called)
    return found.owners


def is_program(tree: ast.Module, nodes: list[ast.AST], names: Names) -> bool:
    """Whether a module is a server or a script that somebody starts, rather than one that a model's loader imports.

    A server by its framework; a script by what its own statements do with what they load.
    """
    for node in nodes:
        if isinstance(node, ast.ClassDef) and any(_OF_LOADERS.search(ast.unparse(base)) for base in node.bases):
            return False
    if any(name.partition(".")[0] in _SERVERS for name in names.aliases.values()):
        return True
    for statement in tree.body:
        if isinstance(statement, ast.If) and _asks_for_main(statement.test):
            return True
        value = statement.value if isinstance(statement, (ast.Expr, ast.Assign)) else None
        if isinstance(value, ast.Call):
            function = value.func
            if isinstance(function, ast.Name) and function.id in _OUTPUT:
                return True
            if isinstance(function, ast.Attribute) and function.attr in _USES:
                return True
    return False


class _Split:
    """One pass over the tree that gives each node to the function whose call runs it."""

    def __init__(self, tree: ast.Module, names: Names, installer: bool) -> None:
        self.implied = Implied(tree, names)
        self.lasting = not any(
            isinstance(s, ast.ImportFrom) and s.module == "__future__" and any(a.name == "annotations" for a in s.names)
            for s in tree.body
        )
        self.names, self.automatic = names, LOADED | INSTALLED if installer else LOADED
        self.owners: list[Owner] = []
        self.main = Owner("__main__", When.LATER)

    def made(self, name: str, by_name: dict[str, list[Owner]]) -> list[Owner]:
        """What runs when a class of this module is called."""
        return [owner for method in self.implied.made(name) for owner in by_name.get(method, [])]

    def body(self, statements: list[ast.stmt], owner: Owner) -> None:
        """Walk statements and all below them without recursion."""
        self.owners += [owner, self.main] if owner.when is When.IMPORT else [owner]
        pending: list[tuple[ast.AST, Owner, str]] = [(s, owner, "") for s in reversed(statements)]
        while pending:
            node, owner, within = pending.pop()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = self._function(node, within, owner)
                pending += [(s, inner, "") for s in reversed(node.body)]
                evaluated = called_annotations(node) if self.lasting else []
                pending += [(d, owner, "") for d in (*decorated(node), *_defaults(node.args), *evaluated)]
                continue
            if isinstance(node, ast.Lambda):
                inner = Owner(_key(node), When.LATER)
                self.owners.append(inner)
                pending += [(node.body, inner, ""), *((d, owner, "") for d in _defaults(node.args))]
                continue
            if isinstance(node, ast.ClassDef):
                owner.calls |= self.implied.of_class(node)
                pending += [(s, owner, node.name) for s in reversed(node.body)]
                pending += [(e, owner, "") for e in (*decorated(node), *node.bases)]
                continue
            owner.nodes.append(node)
            if isinstance(node, ast.If) and owner.when is When.IMPORT and _asks_for_main(node.test):
                pending += [(s, self.main, "") for s in reversed(node.body)]
                pending += [(s, owner, "") for s in reversed(node.orelse)]
                continue
            if isinstance(node, ast.If) and self._only_for_types(node.test):
                pending += [(s, owner, "") for s in reversed(node.orelse)]
                continue
            owner.calls |= self.implied.of(node)
            self._children(node, owner, within, pending)

    def _children(self, node: ast.AST, owner: Owner, within: str, pending: list[tuple[ast.AST, Owner, str]]) -> None:
        if isinstance(node, ast.Call):
            self._calls(node, owner)
        elif isinstance(node, ast.Assign):
            for given in self.implied.hooked(node):
                owner.calls |= self._handed(given, every=True)
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.AnnAssign) and not (self.lasting and owner.when is When.IMPORT):
            children = [child for child in children if child is not node.annotation]
        for child in reversed(children):
            pending.append((child, owner, within if isinstance(child, (ast.stmt, ast.excepthandler)) else ""))

    def _calls(self, node: ast.Call, owner: Owner) -> None:
        """Note which functions of this module a call runs: by name, by what it was bound to, or as arguments."""
        owner.calls.add(self._named(node.func))
        for source in self._origins(node.func):
            owner.calls.add(self._named(source))
        called = self.names.of(node.func) or (node.func.id if isinstance(node.func, ast.Name) else "")
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = called.removeprefix("builtins.")
        if called in _CALLERS or called.startswith(_CALLING) or method in _CALLING_METHODS:
            for argument in (*node.args, *(k.value for k in node.keywords)):
                owner.calls |= self._handed(argument, every=called.startswith("sys."))

    def _origins(self, func: ast.expr) -> list[ast.expr]:
        """What a called name was bound to, and what functions a called call gives."""
        if isinstance(func, ast.Name):
            return [s for s in self.names.sources.get(func.id, [])[:8] if not isinstance(s, ast.Call)]
        function = self.names.flow.function(func.func) if isinstance(func, ast.Call) else None
        if function is not None:
            return self.names.flow.results(function)
        return list(self.names.flow.made(func))[:8] if isinstance(func, ast.Attribute) else []

    def _handed(self, node: ast.expr, *, every: bool) -> set[str]:
        """The functions of this module that a value which is handed on runs when it is called."""
        name = node.id if isinstance(node, ast.Name) else self.implied.class_of(node)
        if every and name in self.implied.methods:
            return self.implied.every(name)
        return {self._named(node), *(self._named(source) for source in self._origins(node))}

    def _function(self, node: Function, within: str, outer: Owner) -> Owner:
        automatic = bool(within) and node.name in self.automatic
        when = When.LOADED if automatic or (node.name.startswith("_load_pyfunc") and outer.when) else When.LATER
        if node.name in ("model_fn", "input_fn", "predict_fn", "load_context", "__getattr__", "_load_pyfunc"):
            when = When.LOADED
        owner = Owner(node.name, when, within)
        self.owners.append(owner)
        return owner

    def _named(self, node: ast.AST) -> str:
        """The simple name by which a function of this module is called: `f`, `self.f`, `Model().f`."""
        for _ in range(_MOST_CALLS):
            if not isinstance(node, ast.Call):
                break
            node = node.func
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Lambda):
            return _key(node)
        if isinstance(node, ast.Attribute) and not self.names.of(node.value):
            return node.attr
        return ""

    def _only_for_types(self, test: ast.expr) -> bool:
        return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
            isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING" and self.names.of(test.value) == "typing"
        )


def _key(node: ast.Lambda) -> str:
    """What a lambda is called by within one judgement."""
    return f"<lambda {id(node)}>"


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]


def _asks_for_main(test: ast.expr) -> bool:
    """Whether it is `__name__ == "__main__"`, which is not so when the file is imported."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(map(_asks_for_main, test.values))
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = (test.left, test.comparators[0])
    return any(isinstance(s, ast.Name) and s.id == "__name__" for s in sides) and any(
        isinstance(s, ast.Constant) and s.value == "__main__" for s in sides
    )
