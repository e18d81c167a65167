"""Relations between columns, as the manifest writes them: `Age == 0 or Age >= 16`.

A small expression language: column names, numbers, strings, comparisons (chained too), `in` a list, arithmetic, and,
or, not. It is parsed by Python's own grammar and then evaluated by a closed list of operations; nothing is executed.
Column names that are not identifiers are written in backticks.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from assay.core.errors import UsageError

MAX_LENGTH = 2000
MAX_NODES = 200
_BACKTICK = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]+)`""")  # a backtick inside a string is text

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


_LISTS = (ast.In, ast.NotIn)


def _is_relation(node: ast.expr) -> bool:
    """Whether a node holds or does not: a comparison, or comparisons joined."""
    logical = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return logical or isinstance(node, (ast.Compare, ast.BoolOp)) or _is_bool(node)


def _is_number(node: ast.expr) -> bool:
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return not text and not _is_relation(node)


def _is_bool(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


class Constraint:
    """One parsed relation. `columns` are the names it reads."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._names: dict[str, str] = {}
        self._tree = self._parse(text)
        self.columns = tuple(dict.fromkeys(self._collect(self._tree)))

    def compared(self, name: str) -> tuple[str, ...]:
        """The words that a column is compared with."""
        found: list[str] = []
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                read = {
                    self._names.get(n.id, n.id) for side in sides for n in ast.walk(side) if isinstance(n, ast.Name)
                }
                said = (n.value for side in sides for n in ast.walk(side) if isinstance(n, ast.Constant))
                found += [v for v in said if isinstance(v, str) and name in read]
        return tuple(dict.fromkeys(found))

    def __call__(self, columns: Mapping[str, Any]) -> Any:
        """Evaluate over arrays (or scalars) by column name; the result has their shape, dtype bool."""
        return self._value(self._tree, columns)

    def _error(self, what: str) -> UsageError:
        return UsageError(what, where=f"constraint {self.text!r}", fix="for example: `Age == 0 or Age >= 16`")

    def _parse(self, text: str) -> ast.expr:
        if len(text) > MAX_LENGTH:
            raise UsageError(f"a constraint is longer than {MAX_LENGTH} characters", fix="split it")

        def name_for(match: re.Match[str]) -> str:
            if match.group(1) is None:
                return match.group()
            alias = f"__column_{len(self._names)}"
            while alias in text:
                alias += "_"
            self._names[alias] = match.group(1)
            return alias

        source = _BACKTICK.sub(name_for, text).strip()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's advice on style, such as an unknown escape in a string
                tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("is not an expression") from None
        if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
            raise self._error("is too large")
        self._check(tree)
        if not _is_relation(tree):
            raise self._error("says nothing that holds or does not")
        return tree

    def _check(self, node: ast.expr) -> None:
        children: list[ast.expr] = []
        if isinstance(node, ast.BoolOp):
            children = node.values
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            children = [node.operand]
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            children = [node.left, node.right]
            if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant) and not node.right.value:
                raise self._error("divides by zero")
        elif isinstance(node, ast.Compare):
            for op, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(op, (ast.In, ast.NotIn)):
                    if not isinstance(right, (ast.List, ast.Tuple)):
                        raise self._error("`in` needs a list")
                    children += right.elts
                elif type(op) in _COMPARE:
                    children.append(right)
                else:
                    raise self._error("`is` is not known here")
            children.append(node.left)
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str, bool)):
            return
        elif not isinstance(node, ast.Name):
            raise self._error(f"{type(node).__name__} is not allowed")
        if isinstance(node, ast.Compare) and len(node.ops) > 1 and any(isinstance(o, _LISTS) for o in node.ops):
            raise self._error("`in` does not chain")
        logical = isinstance(node, ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))
        for child in children:
            self._check(child)
            if logical and not _is_relation(child):
                raise self._error("and, or and not join comparisons only")
            if isinstance(node, (ast.BinOp, ast.UnaryOp)) and not logical and not _is_number(child):
                raise self._error("arithmetic is for numbers only")

    def _collect(self, tree: ast.expr) -> list[str]:
        return [self._names.get(n.id, n.id) for n in ast.walk(tree) if isinstance(n, ast.Name)]

    def _value(self, node: ast.expr, columns: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return columns[self._names.get(node.id, node.id)]
        if isinstance(node, ast.BoolOp):
            combine = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            result = self._value(node.values[0], columns)
            for value in node.values[1:]:
                result = combine(result, self._value(value, columns))
            return result
        if isinstance(node, ast.UnaryOp):
            operand = self._value(node.operand, columns)
            return -operand if isinstance(node.op, ast.USub) else operand ^ True
        if isinstance(node, ast.BinOp):
            sides = (_counted(self._value(side, columns)) for side in (node.left, node.right))
            return _ARITHMETIC[type(node.op)](*sides)
        assert isinstance(node, ast.Compare)
        return self._compare(node, columns)

    def _compare(self, node: ast.Compare, columns: Mapping[str, Any]) -> Any:
        left, result = self._value(node.left, columns), None
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                assert isinstance(right_node, (ast.List, ast.Tuple))
                part, right = False, left
                for item in right_node.elts:
                    part = part | (left == self._value(item, columns))
                part = part ^ True if isinstance(op, ast.NotIn) else part
            else:
                right = self._value(right_node, columns)
                part = _COMPARE[type(op)](left, right)
            result = part if result is None else result & part
            left = right
        return result


def _counted(value: Any) -> Any:
    """Truth values as 0 and 1: arrays of them would add up to "any of them"."""
    return value * 1 if str(getattr(value, "dtype", "")) == "bool" else value
