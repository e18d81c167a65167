"""How values travel in Python source: out of containers, loops, iterators, functions, classes and wrappers of them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from assay.formats.texts.python_constants import Constant
from assay.formats.texts.python_dangers import words

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_T = TypeVar("_T")
_MOST = 40  # elements, sources and results looked at of one expression
_MOST_ITEMS = 120
_MOST_FOLLOWED = 3000  # calls of the module's own functions whose results are asked for
_PLAIN = (ast.Name, ast.Constant, ast.Attribute)
_MOST_BOUND = 1
_DEEPEST = 12
_MOST_RETURNS = 8
# Give the items of their first argument, in some order, or one of them.
_SAME_ITEMS = words("iter list tuple set frozenset sorted reversed deque islice cycle copy deepcopy chain compress")
_ONE_OF = words("next max min")
_ADDING = words("append add insert appendleft put setdefault __setitem__")
_ONE_METHODS = words("pop popleft popitem get setdefault __getitem__ __next__ send")
# Give back, as what may be called in its stead, the function that they are given.
_WRAPPERS = words(
    """staticmethod classmethod functools.partial functools.partialmethod functools.lru_cache functools.cache
    functools.cached_property functools.singledispatch importlib.reload contextlib.closing contextlib.nullcontext
    copy.copy copy.deepcopy typing.cast weakref.ref weakref.proxy property"""
)
_MODULE_DICTS = (
    *(".__dict__", "builtins.vars()", "builtins.globals()", "builtins.locals()", "__globals__", "f_globals"),
    "sys.modules",
)


class Named(Protocol):
    """What the flow asks of the names of a module; see python_names.Names."""

    aliases: dict[str, str]
    values: dict[str, Constant]
    sources: dict[str, list[ast.expr]]
    defined: set[str]
    asked: dict[int, tuple[ast.AST, str]]

    def of(self, node: ast.AST | None, depth: int = 0) -> str:
        """The dotted name that an expression stands for."""

    def constant(self, node: ast.AST | None, depth: int = 0) -> Constant | None:
        """The constant that an expression is."""


class Flow:
    """What expressions of one module may give, as simpler expressions of the same module."""

    def __init__(self, names: Named, matters: Callable[[str], bool]) -> None:
        self.names, self.matters = names, matters
        self.functions: dict[str, Function] = {}
        self.attributes: dict[str, list[ast.expr]] = {}
        self.added: dict[str, list[ast.expr]] = {}
        self.returns: dict[int, list[ast.expr]] = {}
        self.left = _MOST_FOLLOWED
        self.bound = 0  # how many calls are being followed with their arguments in place of parameters
        self._busy: set[object] = set()
        self._items: dict[int, tuple[ast.expr, list[ast.expr]]] = {}
        self._attribute_names: dict[str, str] = {}

    def learn(self, nodes: list[ast.AST]) -> None:
        """Note the module's functions, what classes and objects are given as attributes, and what containers gain."""
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.functions.setdefault(node.name, node)
            elif isinstance(node, ast.ClassDef):
                for statement in node.body:
                    for target in _targets(statement):
                        if isinstance(target, ast.Name) and isinstance(statement, (ast.Assign, ast.AnnAssign)):
                            self._attribute(target.id, statement.value)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Lambda):
                        continue
                    if isinstance(target, ast.Name) and isinstance(node.value, ast.Lambda):
                        self.functions.setdefault(target.id, node.value)
                    elif isinstance(target, ast.Attribute):
                        self._attribute(target.attr, node.value)
                    elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                        self.added.setdefault(target.value.id, []).append(node.value)
            elif isinstance(node, ast.Call):
                self._learn_call(node)

    def _learn_call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "setattr" and len(node.args) == 3:
            key = node.args[1]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._attribute(key.value, node.args[2])
            return
        holder = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr in _ADDING else None
        if isinstance(holder, ast.Name) and node.args:
            self.added.setdefault(holder.id, []).append(node.args[-1])

    def _attribute(self, name: str, value: ast.expr | None) -> None:
        held = self.attributes.setdefault(name, [])
        if value is not None and len(held) < _MOST:
            held.append(value)

    # --- what an expression may be
    # ---------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Forget what was found while names were still being bound."""
        self._items.clear()
        self._attribute_names.clear()

    def name(self, node: ast.AST, depth: int) -> str:
        """The dotted name of the gravest thing that an expression may give; "" where none is known."""
        function = self.function(node.func) if isinstance(node, ast.Call) else None
        key = id(node)
        if key in self._busy or self._spent():
            return ""
        self._busy.add(key)
        try:
            if isinstance(node, ast.Call) and function is not None:
                results = self.results(function)
                return self._given(function, node, lambda: self._gravest(iter(results), depth))
            found = self._gravest(self.made(node), depth)
            if isinstance(node, ast.Attribute) and not self.matters(found):
                return self._of_attribute(node.attr, depth) or found
            return found
        finally:
            self._busy.discard(key)

    def _spent(self) -> bool:
        """Whether no more is followed: here, or at all."""
        return len(self._busy) > _DEEPEST or self.bound > _MOST_BOUND or self.left <= 0

    def _of_attribute(self, name: str, depth: int) -> str:
        """What any class or object of this module is given as an attribute of that name."""
        if self.bound:
            return ""
        if name not in self._attribute_names:
            self._attribute_names[name] = ""  # what is bound to itself adds nothing
            self._attribute_names[name] = self._gravest(iter(self.attributes.get(name, [])), depth)
        return self._attribute_names[name]

    def _gravest(self, candidates: Iterator[ast.expr], depth: int) -> str:
        first = ""
        for count, candidate in enumerate(candidates):
            if count >= _MOST:
                break
            found = self.names.of(candidate, depth + 1)
            if found and self.matters(found):
                return found
            first = first or found
        return first

    def function(self, node: ast.expr) -> Function | None:
        """The function of this module that an expression calls: by name, or a lambda itself."""
        if isinstance(node, ast.Lambda):
            return node
        if isinstance(node, ast.NamedExpr):
            return self.function(node.value)
        return self.functions.get(node.id) if isinstance(node, ast.Name) else None

    def constant(self, node: ast.Call, depth: int) -> Constant | None:
        """The constant that a call of one of the module's own short functions gives."""
        function = self.function(node.func)
        key = ("constant", id(node))
        if function is None or key in self._busy or self._spent():
            return None
        self._busy.add(key)
        try:
            results = self.results(function)
            if len(results) != 1:
                return None
            return self._given(function, node, lambda: self.names.constant(results[0], depth + 1))
        finally:
            self._busy.discard(key)

    def _given(self, function: Function, node: ast.Call, ask: Callable[[], _T]) -> _T:
        """Ask with the arguments of a call standing for the parameters of the function."""
        self.left -= 1
        pairs = dict(parameters(function, node)) if self.left > 0 else {}
        if self.bound:  # what a function is given inside another is not followed in turn
            pairs = {name: value for name, value in pairs.items() if isinstance(value, _PLAIN)}
        known = {name: (self.names.of(value), self.names.constant(value), value) for name, value in pairs.items()}
        aliases, values, sources = self.names.aliases, self.names.values, self.names.sources
        kept = {name: (aliases.get(name), values.get(name), sources.get(name)) for name in known}
        self.bound += 1
        asked, self.names.asked = self.names.asked, {}
        try:
            for name, (alias, constant, value) in known.items():
                _set(aliases, name, alias or None)
                _set(values, name, constant)
                _set(sources, name, None if isinstance(value, ast.Name) and value.id == name else [value])
            return ask()
        finally:
            self.bound -= 1
            self.names.asked = asked
            for name, (was, held, origin) in kept.items():
                _set(aliases, name, was)
                _set(values, name, held)
                _set(sources, name, origin)

    def results(self, function: Function) -> list[ast.expr]:
        """What a function returns or yields: the expressions."""
        if isinstance(function, ast.Lambda):
            return [function.body]
        held = self.returns.get(id(function))
        if held is None:
            held = []
            pending: list[ast.AST] = list(reversed(function.body))
            while pending and len(held) < _MOST_RETURNS:
                inner = pending.pop()
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
                    continue
                if isinstance(inner, (ast.Return, ast.Yield)) and inner.value is not None:
                    held.append(inner.value)
                pending += reversed(list(ast.iter_child_nodes(inner)))
            self.returns[id(function)] = held
        return held

    def made(self, node: ast.AST) -> Iterator[ast.expr]:
        """Simpler expressions that `node` may give."""
        if isinstance(node, ast.Attribute):
            yield from self._held(node)
        elif isinstance(node, ast.Subscript):
            yield from self._at(node.value, node.slice)
        elif isinstance(node, ast.Call):
            yield from self._called(node)

    def _held(self, node: ast.Attribute) -> Iterator[ast.expr]:
        """An attribute that some class or object of this module is given."""
        if isinstance(node.value, ast.Call):
            for keyword in node.value.keywords:
                if keyword.arg == node.attr:
                    yield keyword.value
            for given in node.value.args[2:3]:
                if isinstance(given, ast.Dict):
                    yield from self._at(given, ast.Constant(node.attr))
        elif isinstance(node.value, ast.Name):
            for source in self.names.sources.get(node.value.id, [])[:4]:
                if isinstance(source, ast.Call) and source.keywords:
                    yield from (k.value for k in source.keywords if k.arg == node.attr)
        if node.attr == "value" and isinstance(node.value, ast.Attribute):  # of an Enum's member
            yield from self.attributes.get(node.value.attr, [])

    def _called(self, node: ast.Call) -> Iterator[ast.expr]:
        func, args = node.func, node.args
        if isinstance(func, ast.Name) and func.id in _ONE_OF and func.id not in self.names.defined and args:
            yield from self.elements(args[0])
            return
        name = self.names.of(func)
        if name in _WRAPPERS or (isinstance(func, ast.Name) and func.id in ("staticmethod", "classmethod", "property")):
            yield from args[:2] if name == "typing.cast" else args[:1]
        elif name in ("operator.getitem", "_operator.getitem") and len(args) == 2:
            yield from self._at(args[0], args[1])
        elif isinstance(func, ast.Attribute):
            owner = func.value
            plain = isinstance(owner, ast.Name) and owner.id in ("dict", "list", "tuple")
            if plain and func.attr in ("__getitem__", "get", "pop") and len(args) > 1:
                yield from self._at(args[0], args[1])
            elif func.attr in _ONE_METHODS:
                yield from self._at(owner, args[0] if args else ast.Constant(None))
                yield from args[1:2]
        elif isinstance(func, ast.Call):
            if self.names.of(func.func) in ("operator.itemgetter", "_operator.itemgetter") and args and func.args:
                yield from self._at(args[0], func.args[0])
            elif self.names.of(func.func) in ("functools.wraps", "functools.lru_cache", "contextlib.suppress"):
                yield from args[:1]
        made = self.getter(func)
        if made is not None and args:
            maker, key = made
            if maker == "itemgetter":
                yield from self._at(args[0], key)
            elif maker == "attrgetter":
                yield _attribute(args[0], key)

    def getter(self, func: ast.expr) -> tuple[str, ast.expr] | None:
        """`itemgetter(key)`, `attrgetter(key)` or `methodcaller(key)` behind a name that it was bound to."""
        for source in self.names.sources.get(func.id, [])[:4] if isinstance(func, ast.Name) else ():
            if isinstance(source, ast.Call) and source.args:
                module, _, maker = self.names.of(source.func).rpartition(".")
                if module in ("operator", "_operator") and maker in ("itemgetter", "attrgetter", "methodcaller"):
                    return maker, source.args[0]
        return None

    def _at(self, holder: ast.expr, key: ast.expr) -> Iterator[ast.expr]:
        """The items of a container behind a key; all of them where the key is not known."""
        name = self.names.of(holder)
        if name.endswith(_MODULE_DICTS) or name == "builtins":
            yield ast.Subscript(value=holder, slice=key, ctx=ast.Load())
            return
        index = self.names.constant(key)
        for container in self.containers(holder):
            if isinstance(container, ast.Dict):
                for at, value in zip(container.keys, container.values, strict=True):
                    if at is None or index is None or self.names.constant(at) in (index, None):
                        yield value
            elif isinstance(container, ast.Call) and getattr(container.func, "id", "") == "dict":
                yield from (k.value for k in container.keywords if index in (None, k.arg))
            items = list(self.elements(container)) if not isinstance(container, ast.Dict) else []
            if isinstance(index, int) and -len(items) <= index < len(items) and len(items) < _MOST:
                yield items[index]
            else:
                yield from items
        if isinstance(holder, ast.Name):
            yield from self.added.get(holder.id, [])

    def containers(self, node: ast.expr) -> Iterator[ast.expr]:
        """What a name or an expression holds its items in."""
        if isinstance(node, ast.Name):
            yield from self.names.sources.get(node.id, [])[:_MOST]
        elif isinstance(node, ast.NamedExpr):
            yield node.value
        elif isinstance(node, ast.Attribute):
            if node.attr == "args" and isinstance(node.value, ast.Name):  # of an exception, or a partial
                for source in self.names.sources.get(node.value.id, [])[:4]:
                    if isinstance(source, ast.Call):
                        yield ast.Tuple(elts=source.args, ctx=ast.Load())
            yield from self.attributes.get(node.attr, [])
        else:
            yield node

    # --- what iterating gives
    # --------------------------------------------------------------------------------------------------

    def elements(self, node: ast.expr) -> Iterator[ast.expr]:
        """The items that iterating over an expression gives, as far as they are in sight."""
        if (known := self._items.get(id(node))) is not None and not self.bound:
            return iter(known[1])
        key = ("elements", id(node))
        found: list[ast.expr] = []
        if key in self._busy or len(self._busy) > _DEEPEST:
            return iter(found)
        self._busy.add(key)
        try:
            for item in self._elements(node):
                found.append(item)
                if len(found) >= _MOST_ITEMS:
                    break
        finally:
            self._busy.discard(key)
        if not self.bound:
            self._items[id(node)] = node, found  # the node is kept, so that its id is no other's
        return iter(found)

    def _elements(self, node: ast.expr) -> Iterator[ast.expr]:
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            for item in node.elts[:_MOST_ITEMS]:
                if isinstance(item, ast.Starred):
                    yield from self.elements(item.value)
                else:
                    yield item
        elif isinstance(node, ast.Dict):
            yield from (key for key in node.keys[:_MOST] if key is not None)
        elif isinstance(node, ast.Name):
            for source in self.names.sources.get(node.id, [])[:_MOST]:
                yield from self.elements(source)
            yield from self.added.get(node.id, [])[:_MOST]
        elif isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.SetComp)):
            yield node.elt
        elif isinstance(node, ast.NamedExpr):
            yield from self.elements(node.value)
        elif isinstance(node, ast.IfExp):
            yield from self.elements(node.body)
            yield from self.elements(node.orelse)
        elif isinstance(node, ast.BinOp):
            yield from self.elements(node.left)
            yield from self.elements(node.right)
        elif isinstance(node, ast.Attribute):
            for source in self.attributes.get(node.attr, [])[:4]:
                yield from self.elements(source)
        elif isinstance(node, ast.Call):
            yield from self._iterated(node)

    def _iterated(self, node: ast.Call) -> Iterator[ast.expr]:
        args = node.args
        name = (self.names.of(node.func) or getattr(node.func, "id", "")).rpartition(".")[2]
        function = self.function(node.func)
        if function is not None:
            for result in self.results(function):
                yield result
                yield from self.elements(result)
        elif name in _SAME_ITEMS and args:
            for argument in args if name == "chain" else args[:1]:
                yield from self.elements(argument)
        elif name == "from_iterable" and args:
            for item in self.elements(args[0]):
                yield from self.elements(item)
        elif name in ("filter", "takewhile", "dropwhile", "filterfalse") and len(args) > 1:
            yield from self.elements(args[1])
        elif name == "repeat" and args:
            yield args[0]
        elif name == "enumerate" and args:
            for item in self.elements(args[0]):
                yield ast.Tuple(elts=[ast.Constant(None), item], ctx=ast.Load())
        elif name in ("zip", "zip_longest", "product") and args:
            columns = [list(self.elements(argument)) for argument in args[:8]]
            for row in zip(*columns, strict=False):
                yield ast.Tuple(elts=list(row), ctx=ast.Load())
        elif name == "map" and len(args) > 1:
            columns = [list(self.elements(argument)) for argument in args[1:8]]
            for row in zip(*columns, strict=False):
                yield ast.copy_location(ast.Call(func=args[0], args=list(row), keywords=[]), node)
        elif isinstance(node.func, ast.Attribute):
            yield from self._of_mapping(node.func)

    def _of_mapping(self, func: ast.Attribute) -> Iterator[ast.expr]:
        """`d.items()`, `d.values()`, `d.keys()`; of a module's own dict anything may come."""
        if func.attr not in ("items", "values", "keys", "split", "copy"):
            return
        name = self.names.of(func.value)
        if name.endswith(".__dict__") and func.attr in ("items", "values"):
            value: ast.expr = ast.Subscript(value=func.value, slice=ast.Name("<unknown>", ast.Load()), ctx=ast.Load())
            yield value if func.attr == "values" else ast.Tuple(elts=[ast.Constant(None), value], ctx=ast.Load())
            return
        for container in self.containers(func.value):
            if isinstance(container, ast.Dict):
                for key, value in zip(container.keys[:_MOST], container.values[:_MOST], strict=True):
                    given = key if key is not None else ast.Constant(None)
                    if func.attr == "items":
                        yield ast.Tuple(elts=[given, value], ctx=ast.Load())
                    else:
                        yield value if func.attr == "values" else given
        if isinstance(func.value, ast.Name) and func.attr == "values":
            yield from self.added.get(func.value.id, [])[:_MOST]


_V = TypeVar("_V")


def _set(table: dict[str, _V], key: str, value: _V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _attribute(owner: ast.expr, key: ast.expr) -> ast.expr:
    """`getattr(owner, key)`."""
    return ast.Call(func=ast.Name("getattr", ast.Load()), args=[owner, key], keywords=[])


def parameters(function: Function, node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The parameters of a function with what a call gives for them; those not given with their defaults."""
    given = function.args
    named = [*given.posonlyargs, *given.args]
    for parameter, default in zip(reversed(named), reversed(given.defaults), strict=False):
        yield parameter.arg, default
    for parameter, fallback in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if fallback is not None:
            yield parameter.arg, fallback
    arguments: list[ast.expr] = []
    for argument in node.args:
        spread = argument.value if isinstance(argument, ast.Starred) else None
        arguments += spread.elts if isinstance(spread, (ast.List, ast.Tuple)) else [argument]
    for parameter, value in zip(named, arguments, strict=False):
        yield parameter.arg, value
    if given.vararg is not None and len(arguments) > len(named):
        yield given.vararg.arg, ast.Tuple(elts=arguments[len(named) :], ctx=ast.Load())
    for keyword in node.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
        elif isinstance(keyword.value, ast.Dict):
            for key, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
