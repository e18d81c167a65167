"""Finds checks by their static index, reads their declaration and docstring, and judges their parameters."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from assay.checks.index import INDEX
from assay.core.check import CheckFunction, CheckSpec, spec_of
from assay.core.errors import UsageError
from assay.core.finding import Json
from assay.core.report import CheckInfo
from assay.core.subject import Kind
from assay.core.text import nearest, visible

_FIX = re.compile(r"\n\s*Fix:\s*(.+?)(?:\n\s*\n|\Z)", re.S)
RESERVED = frozenset({"seed", "progress", "share"})


class Parameter(msgspec.Struct, frozen=True):
    """One settable keyword of a check, with its type as written and its default."""

    name: str
    type: Any
    text: str
    default: Json


class LoadedCheck(msgspec.Struct, frozen=True):
    """A check ready to be asked: its declaration, function, settable parameters and documentation."""

    spec: CheckSpec
    function: CheckFunction
    parameters: tuple[Parameter, ...]
    doc: str

    @property
    def info(self) -> CheckInfo:
        """The check's own words, for a report."""
        s = self.spec
        summary, _, _ = self.doc.partition("\n")
        told = _FIX.search(self.doc)
        fix = " ".join(told[1].replace("`", "").split()) if told is not None else ""
        return CheckInfo(
            id=s.id, version=s.version, kind=s.kind, stage=s.stage, severity=s.severity, tags=s.tags,
            summary=summary, help=self.doc, fix=fix,
        )  # fmt: skip


def check_ids(kind: Kind | None = None) -> tuple[str, ...]:
    """Every check id (of one kind of subject), sorted."""
    return tuple(sorted(i for i, (of, _) in INDEX.items() if kind in (None, of)))


@cache
def load(check_id: str) -> LoadedCheck:
    """Import one check. Raises UsageError, naming the nearest id, for one that does not exist."""
    if check_id not in INDEX:
        guess = nearest(check_id, check_ids())
        fix = f"did you mean {guess}?" if guess else "`assay explain` lists them"
        raise UsageError(f"no check is called {visible(check_id)!r}", fix=fix)
    module, _, name = INDEX[check_id][1].partition(":")
    return from_function(getattr(import_module(module), name))


def from_function(function: CheckFunction) -> LoadedCheck:
    """A declared check function as the engine needs it. Raises TypeError for one that is not declared."""
    spec = spec_of(function)
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = tuple(
        Parameter(p.name, hints[p.name], _words(hints[p.name], str(p.annotation)), p.default)
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in RESERVED and p.name not in (*spec.reads, *spec.may_read)
    )
    return LoadedCheck(spec, function, parameters, inspect.cleandoc(function.__doc__ or ""))


def _words(hint: Any, written: str) -> str:
    """A parameter's type for people: as it is written, with its bounds (`float, 0 to 1`), or the words it may be."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = typing.get_args(hint)
        bounded = [p for p in parts if typing.get_origin(p) in (typing.Annotated, typing.Literal)]
        if bounded and len(parts) == 2 and type(None) in parts:
            return f"{_words(bounded[0], written)} or null"
    if typing.get_origin(hint) is not typing.Annotated:
        return written
    base, meta = typing.get_args(hint)[:2]
    low = f"at least {meta.ge:g}" if meta.ge is not None else f"above {meta.gt:g}" if meta.gt is not None else ""
    high = f"at most {meta.le:g}" if meta.le is not None else f"below {meta.lt:g}" if meta.lt is not None else ""
    return ", ".join(filter(None, (base.__name__, low, high)))


def resolve_parameters(check: LoadedCheck, given: dict[str, Json], where: str = "") -> dict[str, Json]:
    """All parameters with their values, the given ones judged by type. Raises UsageError."""
    known = {p.name: p for p in check.parameters}
    for name in given:
        if name not in known:
            guess = nearest(name, tuple(known))
            fix = f"did you mean {guess}?" if guess else f"it has: {', '.join(known) or 'none'}"
            raise UsageError(f"{check.spec.id} has no parameter {visible(name)!r}", where=where, fix=fix)
    values: dict[str, Json] = {}
    for name, parameter in known.items():
        if name not in given:
            values[name] = msgspec.to_builtins(parameter.default)
            continue
        try:
            values[name] = msgspec.to_builtins(msgspec.convert(given[name], parameter.type))
            if isinstance(number := values[name], float) and not math.isfinite(number):
                raise msgspec.ValidationError  # JSON has no such number: evidence would hold null for it
        except msgspec.ValidationError:
            fix = f"it takes {parameter.text}"
            raise UsageError(f"{check.spec.id}.{name} cannot be {given[name]!r}", where=where, fix=fix) from None
    return values
