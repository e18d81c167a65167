"""What names in Python source are bound to: by assignments, loops, unpackings, parameters and patterns."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from assay.formats.texts.python_dangers import is_dangerous_module, matters
from assay.formats.texts.python_flow import Flow, parameters

_MOST_RAISED = 100
_NO_CALL = ast.Call(func=ast.Name("<none>", ast.Load()), args=[], keywords=[])


class Bound(Protocol):
    """What is asked of the names of a module; see python_names.Names."""

    flow: Flow
    parameters: Counter[str]

    def of(self, node: ast.AST | None, depth: int = 0) -> str:
        """The dotted name that an expression stands for."""


def own_attribute(node: ast.Attribute) -> str:
    """`self.name` or `cls.name` as one key for a whole file; "" for anything else."""
    return f"self.{node.attr}" if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls") else ""


def bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr, bool]]:
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
    elif isinstance(node, ast.Try):
        yield from _caught(node)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield from _pairs(node.optional_vars, node.context_expr)


def _caught(node: ast.Try) -> Iterator[tuple[str, ast.expr, bool]]:
    """The names of what is caught, as what the body of its `try` raises itself."""
    named = [handler.name for handler in node.handlers if handler.name]
    if not named:
        return
    for statement in node.body[:_MOST_RAISED]:
        raised = statement.exc if isinstance(statement, ast.Raise) else None
        if isinstance(raised, ast.Call):
            for name in named:
                yield name, raised, False


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr, bool]]:
    if isinstance(target, ast.Name):
        yield target.id, value, False
    elif isinstance(target, ast.Attribute):
        if own := own_attribute(target):
            yield own, value, False
    elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for inner, part in zip(target.elts, value.elts, strict=False):
            yield from _pairs(inner, part)


def looped_of(names: Bound, node: ast.AST) -> Iterator[tuple[str, ast.expr, bool]]:
    """What loops, unpackings of names, parameters and patterns bind, of what the module's containers hold."""
    if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        listed = isinstance(node.iter, (ast.List, ast.Tuple)) and not any(
            isinstance(item, ast.Starred) for item in node.iter.elts[:100]
        )
        if not listed:
            for item in names.flow.elements(node.iter):
                yield from _pairs(node.target, item)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                yield from _unpacked(names, target, node.value)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        for name, value in parameters(node, _NO_CALL):
            if _leads_on(names, name, value):
                yield name, value, False
    elif isinstance(node, ast.Call):
        mapped = isinstance(node.func, ast.Name) and node.func.id == "map" and len(node.args) > 1
        for call in [c for c in names.flow.elements(node) if isinstance(c, ast.Call)] if mapped else [node]:
            function = names.flow.function(call.func)
            for name, value in parameters(function, call) if function is not None else ():
                if _leads_on(names, name, value):
                    yield name, value, False
    elif isinstance(node, ast.Match):
        for case in node.cases:
            for inner in ast.walk(case.pattern):
                if isinstance(inner, ast.MatchAs) and inner.name:
                    yield inner.name, node.subject, False


def _leads_on(names: Bound, parameter: str, value: ast.expr) -> bool:
    """Whether a parameter's value is worth following everywhere: what runs things, or their module.

    A function that is given to a parameter of many functions is told where it is given.
    """
    name = names.of(value) if isinstance(value, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else ""
    return is_dangerous_module(name) or (names.parameters[parameter] == 1 and bool(name) and matters(name))


def _unpacked(names: Bound, target: ast.Tuple | ast.List, value: ast.expr) -> Iterator[tuple[str, ast.expr, bool]]:
    starred = any(isinstance(inner, ast.Starred) for inner in target.elts)
    if isinstance(value, (ast.Tuple, ast.List)) and not starred:
        return
    items = list(names.flow.elements(value))
    before = next((at for at, inner in enumerate(target.elts) if isinstance(inner, ast.Starred)), len(target.elts))
    after = len(target.elts) - before - 1
    for at, inner in enumerate(target.elts):
        if isinstance(inner, ast.Starred):
            rest = items[before : len(items) - after if after else None]
            yield from _pairs(inner.value, ast.List(elts=rest, ctx=ast.Load()))
        elif (place := at if at < before else len(items) - len(target.elts) + at) < len(items) and place >= 0:
            yield from _pairs(inner, items[place])
