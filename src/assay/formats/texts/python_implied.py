"""What Python source has run without calling it by name: protocols of its classes, hooks, decorators, metaclasses."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from assay.formats.texts.python_dangers import words
from assay.formats.texts.python_names import Names

Function = ast.FunctionDef | ast.AsyncFunctionDef
ALL = "*"  # every method of a class
_MADE = words("__init__ __new__ __post_init__ __del__ __prepare__")
# What is run only by an operation of its own, or when somebody asks for more than the object.
_OF_THEIR_OWN = words(
    """__init__ __new__ __call__ __enter__ __exit__ __aenter__ __aexit__ __getattr__ __getattribute__ __getitem__
    __iter__ __next__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __init_subclass__ __class_getitem__"""
)
_ITERATED = ("__iter__", "__next__", "__getitem__")
_CONTEXT = ("__enter__", "__exit__", "__aenter__", "__aexit__")
# Built-ins that ask an object they are given for its text, length, items, hash or truth.
_ASKING = words(
    """print str repr bytes format hash len bool int float complex abs round iter next list tuple set dict sorted sum
    min max any all enumerate zip map filter reversed divmod isinstance dir frozenset"""
)
_WORKERS = words("threading.Thread threading.Timer multiprocessing.Process cmd.Cmd")
# Modules whose attributes Python itself, or nearly any code, calls.
_HOOKED = words(
    """sys builtins gc threading os io json pickle importlib types warnings logging socket ssl subprocess random
    importlib._bootstrap importlib._bootstrap_external codecs tempfile time"""
)


class Implied:
    """The classes of one module, and what operations on what they make have run."""

    def __init__(self, tree: ast.AST, names: Names) -> None:
        self.names = names
        self.methods: dict[str, set[str]] = {}
        self.bases: dict[str, list[ast.expr]] = {}
        self.properties: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                own = {s.name for s in node.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))}
                own |= {
                    t.id for s in node.body if isinstance(s, ast.Assign) for t in s.targets if isinstance(t, ast.Name)
                }
                self.methods[node.name] = self.methods.get(node.name, set()) | own
                self.properties |= {s.name for s in node.body if isinstance(s, ast.FunctionDef) and s.decorator_list}
                self.bases.setdefault(node.name, []).extend(node.bases)

    def family(self, name: str) -> list[str]:
        """A class of this module and those of this module that it is made from."""
        found = [name]
        for held in found:
            for base in self.bases.get(held, []):
                if isinstance(base, ast.Name) and base.id in self.methods and base.id not in found and len(found) < 20:
                    found.append(base.id)
        return found

    def made(self, name: str) -> set[str]:
        """What runs when a class of this module is called."""
        family = self.family(name)
        wanted = set(_MADE)
        if any(self.names.of(base) in _WORKERS for held in family for base in self.bases.get(held, [])):
            wanted.add("run")
        return {f"{held}.{method}" for held in family for method in self.methods[held] & wanted}

    def every(self, name: str) -> set[str]:
        """All methods of a class of this module."""
        return {f"{held}.{method}" for held in self.family(name) for method in self.methods[held]}

    def class_of(self, node: ast.AST | None) -> str:
        """The class of this module that an expression is an instance of, "" if it is of none."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id if node.func.id in self.methods else ""
        if isinstance(node, ast.Name):
            return next(filter(None, (self._direct(s) for s in self.names.sources.get(node.id, [])[:4])), "")
        return self.class_of(node.value) if isinstance(node, (ast.NamedExpr, ast.Starred)) else ""

    def _direct(self, node: ast.expr) -> str:
        return self.class_of(node) if isinstance(node, ast.Call) else ""

    def of(self, node: ast.AST) -> set[str]:
        """What an operation has run, as "Class.method"; empty where no class of this module is part of it."""
        if not self.methods:
            return set()
        found: set[str] = set()
        for operand, wanted in self._operands(node):
            if name := self.class_of(operand):
                for held in self.family(name):
                    of_its = self.methods[held]
                    chosen = of_its & set(wanted) if wanted else of_its - _OF_THEIR_OWN
                    found |= {f"{held}.{m}" for m in chosen if wanted or m.startswith("__")}
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in self.methods:
            found |= {f"{held}.__class_getitem__" for held in self.family(node.value.id)}
        return found

    def _operands(self, node: ast.AST) -> Iterator[tuple[ast.AST | None, tuple[str, ...]]]:
        """The parts of an operation with the methods that it calls on them; none named for all of operators."""
        if isinstance(node, (ast.With, ast.AsyncWith)):
            yield from ((item.context_expr, _CONTEXT) for item in node.items)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            yield node.iter, _ITERATED
        elif isinstance(node, ast.Subscript):
            yield node.value, ("__getitem__", "__setitem__", "__delitem__")
        elif isinstance(node, ast.Attribute):
            asked = (node.attr,) if node.attr in self.properties else ()
            yield node.value, (*asked, "__getattr__", "__getattribute__")
        elif isinstance(node, ast.BinOp):
            yield from ((side, ()) for side in (node.left, node.right))
        elif isinstance(node, ast.Compare):
            yield from ((side, ()) for side in (node.left, *node.comparators))
        elif isinstance(node, ast.Set):
            yield from ((item, ()) for item in node.elts[:20])
        elif isinstance(node, ast.Dict):
            yield from ((key, ()) for key in node.keys[:20])
        elif isinstance(
            node, (ast.UnaryOp, ast.If, ast.While, ast.IfExp, ast.FormattedValue, ast.AugAssign, ast.BoolOp)
        ):
            yield from ((child, ()) for child in ast.iter_child_nodes(node))
        elif isinstance(node, ast.Starred):
            yield node.value, _ITERATED
        elif isinstance(node, ast.Call):
            yield node.func, ("__call__",)
            if isinstance(node.func, ast.Name) and node.func.id in _ASKING:
                yield from ((argument, ()) for argument in node.args[:4])
                yield from ((argument, _ITERATED) for argument in node.args[:4])

    def of_class(self, node: ast.ClassDef) -> set[str]:
        """What defining a class has run: hooks of its bases, and of what its body makes."""
        found = {
            f"{held}.{hook}" for base in node.bases for hook in ("__init_subclass__",) for held in self._local(base)
        }
        for base in node.bases:
            if name := self.class_of(base):
                found.add(f"{name}.__mro_entries__")
        for statement in node.body:
            if isinstance(statement, (ast.Assign, ast.AnnAssign)) and (name := self.class_of(statement.value)):
                found |= {f"{held}.__set_name__" for held in self.family(name)}
        return found

    def _local(self, node: ast.expr) -> list[str]:
        return self.family(node.id) if isinstance(node, ast.Name) and node.id in self.methods else []

    def hooked(self, node: ast.Assign) -> list[ast.expr]:
        """What an assignment hands to Python itself to call: `sys.excepthook = f`, `sys.meta_path[:0] = [F]`."""
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                owner = self.names.of(target.value)
                if owner.startswith(("sys.meta_path", "sys.path_hooks", "gc.callbacks")):
                    return list(self.names.flow.elements(node.value))
            elif isinstance(target, ast.Attribute) and self.names.of(target.value) in _HOOKED:
                return [node.value, *self.names.flow.elements(node.value)]
        return []


def decorated(node: Function | ast.ClassDef) -> list[ast.expr]:
    """The calls that decorators, and a class's metaclass, are."""
    made: ast.expr = ast.copy_location(ast.Name(node.name, ast.Load()), node)
    found: list[ast.expr] = []
    for decorator in reversed(node.decorator_list):
        made = ast.copy_location(ast.Call(func=decorator, args=[made], keywords=[]), decorator)
    if node.decorator_list:
        found.append(made)
    for keyword in node.keywords if isinstance(node, ast.ClassDef) else ():
        call = ast.Call(func=keyword.value, args=[], keywords=[]) if keyword.arg == "metaclass" else keyword.value
        found.append(ast.copy_location(call, keyword.value))
    return found


def called_annotations(node: Function) -> list[ast.expr]:
    """The annotations of a function that call something."""
    given = node.args
    held = [a.annotation for a in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if a]
    return [a for a in (*held, node.returns) if a is not None and any(isinstance(n, ast.Call) for n in ast.walk(a))]
