"""Strict YAML: no duplicate key, alias, tag or surprise; every error says the line and what to do.

Plain scalars follow the YAML 1.2 core schema: only `true` and `false` are booleans, so `no` and `12:30` stay text.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin

import msgspec
import yaml

from assay.core.errors import InputError, UsageError, os_words
from assay.core.text import nearest, visible

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 100_000
MAX_PATH = 1000
"""Characters of the longest path of keys: each node's path is kept, so that an error can say its line."""
MAX_INT = 2**53 - 1
"""The largest whole number that every reader of JSON holds exactly (RFC 8785)."""

T = TypeVar("T")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document:
    """Parsed YAML: `value` in plain Python, and the line of every path such as `$.subjects.train`."""

    def __init__(self, value: Any, lines: dict[str, int], name: str) -> None:
        self.value, self.lines, self.name = value, lines, name

    def line(self, path: str) -> int:
        """The 1-based line of a path, or of its nearest ancestor that is in the file."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path, 1)

    def error(self, path: str, what: str, fix: str = "") -> UsageError:
        """An error that names the file, the line and the path."""
        shown = path.removeprefix("$.").removeprefix("$")
        return UsageError(f"{shown}: {what}" if shown else what, where=f"{self.name}:{self.line(path)}", fix=fix)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe must not hold us up


def read_text(path: Path, by: str = "assay init") -> bytes:
    """The bytes of a configuration file, bounded; `by` is the command that drafts one. Raises InputError."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            data = file.read(MAX_BYTES + 1) or b""
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), fix=f"check the path, or write one with `{by}`") from None
    except (OSError, ValueError) as error:
        why = os_words(error) if isinstance(error, OSError) else "is not a path"
        raise InputError(f"cannot be read: {why}", where=visible(str(path)), fix="check the path") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES} bytes", where=str(path), fix="split it")
    return data


def parse(data: bytes, name: str) -> Document:
    """Parse YAML bytes strictly. Raises UsageError with file and line for whatever is not plain and unambiguous."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"is not UTF-8 (byte {error.start})", where=name, fix="save it as UTF-8") from None
    try:
        _refuse_tricks(text, name)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        problem = visible(error.problem or error.context or "is not YAML")
        raise UsageError(problem, where=where, fix="mend the YAML at this line") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = "".join(str(error).splitlines()[:1])
        raise UsageError(visible(f"is not YAML: {said}"), where=name, fix="mend the file") from None
    if root is None:
        raise UsageError(
            "is empty", where=name, fix="`assay init` drafts a project, `assay attack init` a threat model"
        )
    lines: dict[str, int] = {}
    return Document(_build(root, "$", lines, name), lines, name)


def _refuse_tricks(text: str, name: str) -> None:
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader), start=1):
        mark = event.start_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise UsageError("anchors and aliases are not allowed", where=where, fix="write the value out")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) is not None:
            raise UsageError(f"the tag {visible(str(event.tag))} is not allowed", where=where, fix="remove it")  # type: ignore[attr-defined]
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent) and nodes > 2:
            raise UsageError("holds a second document", where=where, fix="keep one document a file")
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise UsageError("is nested too deeply or too large", where=where, fix=f"at most {MAX_DEPTH} levels")


def _build(node: yaml.Node, path: str, lines: dict[str, int], name: str) -> Any:
    lines[path] = node.start_mark.line + 1
    if len(path) > MAX_PATH:
        what = f"the names of keys down to here are longer than {MAX_PATH} characters"
        raise UsageError(what, where=f"{name}:{lines[path]}", fix="shorten them")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, f"{name}:{lines[path]}")
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, f"{path}[{i}]", lines, name) for i, item in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        where = f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
            raise UsageError("a key must be plain text", where=where, fix="write the keys out")
        key = key_node.value
        if key in result:
            raise UsageError(f"duplicate key {visible(key)!r}", where=where, fix="keep one of the two")
        result[key] = _build(value_node, f"{path}.{key}", lines, name)
        lines[f"{path}.{key}"] = key_node.start_mark.line + 1
    return result


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    text: str = node.value
    if node.style:  # quoted or block text; the two loaders say None and "" for plain
        return text
    if not text or text in ("null", "~", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if not _FLOAT.match(text):
        return text
    whole = _INT.match(text) is not None
    number = int(text) if whole and len(text) < 20 else float(text)
    if abs(number) > (MAX_INT if whole else sys.float_info.max):
        raise UsageError(f"the number {visible(text, 40)} is too large to be exact", where=where, fix="quote it")
    return number


_PATH = re.compile(r" - at `(?:key in )?(\$[^`]*)`\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")


def convert(document: Document, type_: type[T], value: Any = None, at: str = "$") -> T:
    """`value` (the whole document by default) as a struct. Raises UsageError with the line, nearest key and fix."""
    source = document.value if at == "$" else value
    try:
        return msgspec.convert(source, type_, strict=True)
    except (msgspec.ValidationError, OverflowError) as error:
        message = str(error)
        found = _PATH.search(message)
        path = at + (_named(found.group(1), source, type_, message)[1:] if found else "")
        message = _PATH.sub("", message)
    unknown, missing = _UNKNOWN.search(message), _MISSING.search(message)
    if unknown:
        key = unknown.group(1)
        guess = nearest(key, _fields_near(type_))
        fix = f"did you mean {guess}?" if guess and guess != key else "remove it, or see `assay schema`"
        raise document.error(f"{path}.{key}", f"unknown key {visible(key)!r}", fix) from None
    if missing:
        raise document.error(path, f"needs the key {missing.group(1)!r}", "add it") from None
    key = path.rpartition(".")[2].partition("[")[0]
    words = _words_of(type_, key) if message.startswith("Invalid enum value") else []
    fix = f"say one of: {', '.join(words)}" if words else "see `assay schema`"
    raise document.error(path, visible(message[:1].lower() + message[1:]), fix) from None


def _named(path: str, source: Any, type_: Any, message: str) -> str:
    """The path with the key that is at fault in place of msgspec's `[...]`, found by leaving out the others."""
    head, dots, tail = path.partition("[...]")
    at = source
    for part in head.split(".")[1:]:
        at = at.get(part) if isinstance(at, dict) else None
    if not dots or not isinstance(at, dict):
        return path
    for key in at:
        try:
            msgspec.convert(_only(source, head.split(".")[1:], key), type_, strict=True)
        except (msgspec.ValidationError, OverflowError) as error:
            if str(error) == message:
                return f"{head}.{key}{tail}"
    return path


def _only(source: Any, steps: list[str], key: str) -> Any:
    """`source` with the mapping at `steps` reduced to one key."""
    if not steps:
        return {key: source[key]}
    return {**source, steps[0]: _only(source[steps[0]], steps[1:], key)}


def _structs(type_: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs that a type holds, each once."""
    stack, seen = [type_], set()
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, type) and issubclass(current, msgspec.Struct):
            yield current
            stack.extend(f.type for f in msgspec.structs.fields(current))
        stack.extend(getattr(current, "__args__", ()))


def _fields_near(type_: Any) -> list[str]:
    return sorted({name for struct in _structs(type_) for name in struct.__struct_encode_fields__})


def _words_of(type_: Any, key: str) -> list[str]:
    """The words that a key may hold: of a Literal or an Enum."""
    words: set[str] = set()
    stack = [f.type for s in _structs(type_) for f in msgspec.structs.fields(s) if f.encode_name == key]
    while stack:
        current = stack.pop()
        if get_origin(current) is Literal:
            words.update(str(word) for word in current.__args__)
        elif isinstance(current, type) and issubclass(current, Enum):
            words.update(str(member.value) for member in current)
        else:
            stack.extend(getattr(current, "__args__", ()))
    return sorted(words - {""})
