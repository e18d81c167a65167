"""What names and constants in a Python tree stand for: imports, aliases, simple folding; nothing is executed."""

from __future__ import annotations

import ast
import binascii
import zlib
from collections.abc import Iterator

from assay.formats.texts.python_constants import DECODE, Constant, built, method, operate, short
from assay.formats.texts.python_dangers import what_it_does, words

MOST_STEPS = 5_000_000
_MOST_DEPTH = 60
_BUILTINS = words("""exec eval compile execfile __import__ getattr setattr vars globals locals open input""")
_GLOBALS = frozenset({"builtins.globals()", "builtins.locals()", "sys._getframe().f_globals"})


class Names:
    """The names of one module, wherever they are bound: scopes are told apart only where that hides nothing.

    `of(node)` gives the dotted name that an expression stands for ("os.system"), "" where that is unknown; a call of a
    known name gives its name with "()". `constant(node)` gives the value an expression is always of, None where it is
    not known.
    """

    def __init__(self, nodes: list[ast.AST]) -> None:
        self.aliases: dict[str, str] = {}
        self.values: dict[str, Constant] = {}
        self.sources: dict[str, list[ast.expr]] = {}
        self.defined: set[str] = set()
        self.indirect: set[str] = set()
        self.stars: list[str] = []
        self.steps = 0
        for node in nodes:
            self._import(node)
        pairs = [pair for node in nodes for pair in _bindings(node)]
        for _ in range(3):  # an alias of an alias of an alias
            before = len(self.aliases), len(self.values)
            for target, value, added in pairs:
                self._bind(target, value, added)
            if (len(self.aliases), len(self.values)) == before:
                break
            for target, _value, added in pairs:  # texts put together piece by piece start anew
                if added:
                    self.values.pop(target, None)
        for target, value, _added in pairs:
            self.sources.setdefault(target, []).append(value)

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                self.aliases[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(node.module or "")
                else:
                    self.aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.defined.add(node.name)

    def _bind(self, target: str, value: ast.expr, added: bool) -> None:
        folded = self.constant(value)
        if folded is not None:
            if added:
                whole = operate(ast.Add(), self.values.get(target), folded)
                if whole is not None:
                    self.values[target] = whole
            else:
                self.values[target] = folded
        name = self.of(value)
        if name and name != target and (target not in self.aliases or not _matters(self.aliases[target])):
            self.aliases[target] = name
            if not is_plain(value):
                self.indirect.add(target)

    @property
    def exhausted(self) -> bool:
        """Whether so much was looked up that what is left was not."""
        return self.steps > MOST_STEPS

    def of(self, node: ast.AST | None, depth: int = 0) -> str:
        """The dotted name that `node` stands for, or ""."""
        self.steps += 1
        if node is None or depth > _MOST_DEPTH or self.steps > MOST_STEPS:
            return ""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            if (own := own_attribute(node)) and (found := self.aliases.get(own)):
                return found
            base = self.of(node.value, depth + 1)
            return f"{base}.{node.attr}" if base and len(base) < 200 else ""
        if isinstance(node, ast.Call):
            return self._call(node, depth + 1)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, depth + 1)
        if isinstance(node, (ast.NamedExpr, ast.Await, ast.Starred)):
            return self.of(node.value, depth + 1)
        if isinstance(node, ast.IfExp):
            return self.of(node.body, depth + 1) or self.of(node.orelse, depth + 1)
        if isinstance(node, ast.BoolOp):
            return next(filter(None, (self.of(value, depth + 1) for value in node.values)), "")
        return ""

    def _name(self, name: str) -> str:
        if name in self.aliases:
            return self.aliases[name]
        if name in _BUILTINS and name not in self.defined:
            return f"builtins.{name}"
        if name == "get_ipython":
            return "IPython.get_ipython"
        for module in self.stars[:50]:
            if name not in self.defined and what_it_does(f"{module}.{name}"):
                return f"{module}.{name}"
        return "builtins" if name in ("__builtins__", "__builtin__") else ""

    def _call(self, node: ast.Call, depth: int) -> str:
        name = self.of(node.func, depth)
        if isinstance(node.func, ast.Call) and node.args:
            made = self.of(node.func.func, depth)
            if made in ("operator.attrgetter", "operator.methodcaller", "_operator.attrgetter"):
                return self._attribute(node.args[0], node.func.args[:1], depth)
        if not name:
            return ""
        if name in ("builtins.getattr", "inspect.getattr_static", "object.__getattribute__"):
            return self._attribute(node.args[0] if node.args else None, node.args[1:2], depth)
        if name in ("builtins.__import__", "importlib.import_module", "importlib.__import__", "imp.import_module"):
            module = self.constant(node.args[0], depth) if node.args else None
            if not isinstance(module, str):
                return f"{name}()"
            whole = (
                name == "importlib.import_module"
                or len(node.args) > 3
                or any(k.arg == "fromlist" for k in node.keywords)
            )
            return module if whole else module.partition(".")[0]
        if name == "pkgutil.resolve_name":
            found = self.constant(node.args[0], depth) if node.args else None
            return found.replace(":", ".") if isinstance(found, str) else f"{name}()"
        if name in ("functools.reduce", "_functools.reduce") and len(node.args) > 1:
            return self._reduced(node, depth)
        if name == "builtins.vars" and node.args:
            return f"{self.of(node.args[0], depth)}.__dict__"
        if name in ("functools.partial", "importlib.reload", "contextlib.closing") and node.args:
            return self.of(node.args[0], depth)
        if name in ("sys.modules.get", "sys.modules.__getitem__") and node.args:
            found = self.constant(node.args[0], depth)
            return found if isinstance(found, str) else ""
        if name.endswith((".__getattribute__", ".__dict__.get", ".__dict__.__getitem__")) and node.args:
            found = self.constant(node.args[-1 if name.endswith("__getattribute__") else 0], depth)
            base = name.rpartition(".__getattribute__")[0] or name.rpartition(".__dict__.")[0]
            return f"{base}.{found}" if isinstance(found, str) else ""
        if name.endswith(".__call__"):
            name = name[: -len(".__call__")]
        return f"{name}()"

    def _reduced(self, node: ast.Call, depth: int) -> str:
        """`reduce(getattr, ["os", "system"], torch)`: the attribute that its names lead to."""
        if self.of(node.args[0], depth) not in ("builtins.getattr", "operator.attrgetter"):
            return "functools.reduce()"
        names = self.constant(node.args[1], depth)
        base = self.of(node.args[2], depth) if len(node.args) > 2 else ""
        items = node.args[1].elts if isinstance(node.args[1], (ast.List, ast.Tuple)) else []
        if not base and items:  # the first of the list is what it begins at
            base = self.of(items[0], depth)
            names = tuple(str(self.constant(item, depth) or "") for item in items[1:])
        known = isinstance(names, tuple) and all(isinstance(n, str) and n for n in names)
        return (
            ".".join([base, *map(str, names)]) if base and known and isinstance(names, tuple) else "functools.reduce()"
        )

    def _attribute(self, owner: ast.expr | None, rest: list[ast.expr], depth: int) -> str:
        base = self.of(owner, depth)
        attribute = self.constant(rest[0], depth) if rest else None
        return f"{base}.{attribute}" if base and isinstance(attribute, str) else ""

    def _subscript(self, node: ast.Subscript, depth: int) -> str:
        index = self.constant(node.slice, depth)
        if isinstance(node.value, (ast.List, ast.Tuple)) and isinstance(index, int):
            items = node.value.elts
            return self.of(items[index], depth) if -len(items) <= index < len(items) else ""
        if isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if key is not None and self.constant(key, depth) == index:
                    return self.of(value, depth)
        base = self.of(node.value, depth)
        if not base or not isinstance(index, str):
            return ""
        if base == "sys.modules":
            return index
        if base in _GLOBALS or base.endswith("__globals__"):
            return "builtins" if index == "__builtins__" else self._name(index)
        if base.endswith(".__dict__"):
            return f"{base[: -len('.__dict__')]}.{index}"
        return f"builtins.{index}" if base == "builtins" else ""

    def constant(self, node: ast.AST | None, depth: int = 0) -> Constant | None:
        """The text, bytes, number or tuple of them that `node` is always of; None where it is not known."""
        self.steps += 1
        if node is None or depth > _MOST_DEPTH or self.steps > MOST_STEPS:
            return None
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, (str, bytes, int)) else None
        if isinstance(node, ast.Name):
            return self.values.get(node.id)
        try:
            return self._folded(node, depth + 1)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, LookupError, zlib.error, binascii.Error):
            return None

    def _folded(self, node: ast.AST, depth: int) -> Constant | None:
        if isinstance(node, ast.Attribute):
            own = own_attribute(node)
            return self.values.get(own) if own else None
        if isinstance(node, ast.JoinedStr):
            parts = [self.constant(p.value if isinstance(p, ast.FormattedValue) else p, depth) for p in node.values]
            return None if any(p is None for p in parts) else short("".join(map(str, parts)))
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Add) and isinstance(node.left, ast.BinOp):
                return self._sum(node, depth)
            return operate(node.op, self.constant(node.left, depth), self.constant(node.right, depth))
        if isinstance(node, (ast.List, ast.Tuple)):
            items = [self.constant(item, depth) for item in node.elts[:100_000]]
            return tuple(i for i in items if isinstance(i, (str, bytes, int))) if None not in items else None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self.constant(node.operand, depth)
            return -number if isinstance(number, int) else None
        if isinstance(node, ast.Subscript):
            return self._part(node, depth)
        if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            return self._comprehension(node, depth)
        return self._made(node, depth) if isinstance(node, ast.Call) else None

    def _sum(self, node: ast.BinOp, depth: int) -> Constant | None:
        """A chain of additions, without a step of depth for each."""
        parts: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add):
            parts.append(left.right)
            left = left.left
        parts.append(left)
        values = [self.constant(part, depth) for part in reversed(parts)]
        if all(isinstance(v, str) for v in values):
            return short("".join(map(str, values)))
        total = values[0]
        for value in values[1:]:
            total = operate(node.op, total, value)
        return total

    def _part(self, node: ast.Subscript, depth: int) -> Constant | None:
        whole = self.constant(node.value, depth)
        if not isinstance(whole, (str, bytes, tuple)):
            return None
        if isinstance(node.slice, ast.Slice):
            ends = [
                self.constant(e, depth) if e else None for e in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            return whole[slice(*(e if isinstance(e, int) else None for e in ends))]
        index = self.constant(node.slice, depth)
        return whole[index] if isinstance(index, int) else None

    def _comprehension(self, node: ast.GeneratorExp | ast.ListComp, depth: int) -> Constant | None:
        """Only `chr(c)`, `chr(c ± n)` and `chr(c ^ n)` over numbers known: how texts are hidden in lists."""
        if len(node.generators) != 1 or not isinstance(node.generators[0].target, ast.Name):
            return None
        items, name = self.constant(node.generators[0].iter, depth), node.generators[0].target.id
        if not isinstance(items, (tuple, bytes, str)) or len(items) > 100_000:
            return None
        kept, out = self.values.get(name), []
        try:
            for item in items:
                self.values[name] = item
                made = self.constant(node.elt, depth)
                if not isinstance(made, (str, bytes, int)):
                    return None
                out.append(made)
        finally:
            self.values.pop(name, None)
            if kept is not None:
                self.values[name] = kept
        return tuple(out)

    def _made(self, node: ast.Call, depth: int) -> Constant | None:
        arguments = [self.constant(a, depth) for a in node.args[:4]]
        if isinstance(node.func, ast.Name) and node.func.id in (
            "chr",
            "str",
            "bytes",
            "bytearray",
            "ord",
            "int",
            "map",
            "reversed",
        ):
            return built(node.func.id, node, arguments)
        if isinstance(node.func, ast.Attribute):
            called = self.of(node.func, depth)
            if called in DECODE and arguments and isinstance(arguments[0], (str, bytes)):
                return short(DECODE[called](arguments))
            if isinstance(node.func.value, ast.Name) and node.func.value.id in ("bytes", "bytearray"):
                return bytes.fromhex(arguments[0]) if isinstance(arguments[0], str) else None
            return method(self.constant(node.func.value, depth), node.func.attr, arguments)
        called = self.of(node.func, depth)
        return short(DECODE[called](arguments)) if called in DECODE and arguments and arguments[0] else None


def is_plain(node: ast.AST) -> bool:
    """Whether an expression is a name, or an attribute of one: `os.system`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def own_attribute(node: ast.Attribute) -> str:
    """`self.name` or `cls.name` as one key for a whole file; "" for anything else."""
    return f"self.{node.attr}" if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") else ""


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr, bool]]:
    """(name, what it is bound to, whether that is added to what it was) of a statement."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield from _pairs(node.target, node.value)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        yield from ((name, value, True) for name, value, _ in _pairs(node.target, node.value))
    elif isinstance(node, (ast.For, ast.comprehension)) and isinstance(node.iter, (ast.List, ast.Tuple)):
        for item in node.iter.elts[:100]:
            yield from _pairs(node.target, item)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _pairs(node.optional_vars, node.context_expr)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr, bool]]:
    if isinstance(target, ast.Name):
        yield target.id, value, False
    elif isinstance(target, ast.Attribute):
        if own := own_attribute(target):
            yield own, value, False
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for inner, part in zip(target.elts, value.elts, strict=False):
            yield from _pairs(inner, part)


def _matters(name: str) -> bool:
    return what_it_does(name) is not None or what_it_does(f"{name}.x") is not None
