"""Whether configuration (JSON, YAML, TOML, INI) names code that its loader runs: judged on what it says once decoded.

YAML is only composed: its events are read, tags with their handles resolved, and nothing is constructed (YAML 1.2,
ch. 6.8.2 and 6.9.1). What does not parse as what it claims to be is unread, never only data.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from assay.core.text import visible

MOST_YAML = 4 << 20
_MOST_YAML_SLOW = 1 << 19  # where PyYAML was built without libyaml
MOST_TOML = 4 << 20
_MOST_DEPTH = 100
# A dotted key of so many parts costs the parser the square of them.
LONG_KEY = re.compile(rb"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){100}")
CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "_target_", "custom_pipelines", "loader_module"})
_LAMBDAS = frozenset({"Lambda", "__lambda__"})
_LAMBDA = "class_name: Lambda"
_RAW_KEY = re.compile("|".join(sorted(map(re.escape, CODE_KEYS))).encode(), re.IGNORECASE)
_RAW_WORD = re.compile(rb"(?<![A-Za-z0-9_])(?:" + _RAW_KEY.pattern + rb")(?![A-Za-z0-9_])", re.IGNORECASE)
_INI_KEY = re.compile(
    rb"(?<!\w)(" + _RAW_KEY.pattern + rb")[\"']?[ \t]*[=:](?![ \t]*[\"']?(?:false|none|null|no|off|0)\b)", re.IGNORECASE
)
_STANDARD = "tag:yaml.org,2002:"
STANDARD_TAGS = frozenset(
    _STANDARD + kind
    for kind in (
        *("null", "bool", "int", "float", "binary", "timestamp", "omap", "pairs"),
        *("set", "str", "seq", "map", "merge", "value", "yaml"),
    )
)
# Local tags by which HyperPyYAML, js-yaml, Ruby's and .NET's loaders call or build what the file names.
_LOCAL_CODE = re.compile(r"!(?:new|apply|name|applyref|module|python|ruby|js|java|javax|include|call|obj|eval|exec)\b")
_NOTHING = frozenset(
    {"", "~", "null", "Null", "NULL", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
)


class Probe(msgspec.Struct, frozen=True):
    """`code` says why the file is or names code, `unread` why it could not be judged; both empty: only data."""

    code: str = ""
    unread: str = ""


DATA = Probe()


def names_code(found: set[str]) -> Probe:
    """The verdict on the keys that were found."""
    if _LAMBDA in found:
        return Probe(code="describes a Keras model with a Lambda layer, which runs code when it is loaded")
    return Probe(code=f"names code that is run when it is loaded ({', '.join(sorted(found))})") if found else DATA


def raw_match(data: bytes) -> bool:
    """Whether a key that names code is spelled out anywhere, whatever it stands in."""
    return _RAW_WORD.search(data) is not None


def judge_json(data: bytes, *, lines: bool = False) -> Probe:
    """JSON, or with `lines` one JSON text per line. A key given twice counts each time: readers differ on the two."""
    found: set[str] = set()

    def note(pairs: list[tuple[str, Any]]) -> bool:
        for key, value in pairs:
            if value is not None and value is not False:
                _note(key, value, found)
        return True  # an object is never nothing; what it holds has been seen

    try:
        for text in data.splitlines() if lines else (data,):
            if not lines or text.strip():
                json.loads(text, object_pairs_hook=note)
    except (ValueError, RecursionError):
        return Probe(unread="is JSON that breaks off or is malformed")
    return names_code(found)


def judge_toml(data: bytes) -> Probe:
    """TOML."""
    if len(data) > MOST_TOML:
        return Probe(unread=f"is TOML of more than {MOST_TOML >> 20} MB")
    if LONG_KEY.search(data):
        return Probe(unread="is TOML with a key of more than 100 parts")
    try:
        value = tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (ValueError, RecursionError):
        return Probe(unread="is TOML that breaks off or is malformed")
    found: set[str] = set()
    pending: list[Any] = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if inner is not False:
                    _note(key, inner, found)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return names_code(found)


def judge_ini(data: bytes) -> Probe:
    """INI and its kin, which have no grammar to hold them to: a key that names code, wherever it is set."""
    return names_code({match.decode().lower() for match in _INI_KEY.findall(data)})


def judge_yaml(data: bytes) -> Probe:
    """YAML, all documents of it: keys, with aliases and escapes resolved, and tags, with their handles resolved."""
    import yaml

    if len(data) > (most := MOST_YAML if yaml.__with_libyaml__ else _MOST_YAML_SLOW):
        return Probe(unread=f"is YAML of more than {most >> 10:,} KB")
    found: set[str] = set()
    unknown = ""
    try:
        for kind, key, value in _walk(data):
            if kind == "tag":
                if builds_objects(key):
                    return Probe(code="holds a YAML tag that builds or calls what the file names when it is loaded")
                unknown = unknown or key
            else:
                _note(key, value, found)
    except (yaml.YAMLError, ValueError, RecursionError):
        return Probe(unread="is YAML that breaks off or is malformed")
    said = names_code(found)
    if unknown and not said.code:
        return Probe(unread=f"holds the YAML tag {visible(unknown, 40)}, of which its loader decides what it does")
    return said


def _note(key: str, value: Any, found: set[str]) -> None:
    if key in CODE_KEYS:
        found.add(key)
    elif key == "class_name" and isinstance(value, str) and value in _LAMBDAS:
        found.add(_LAMBDA)


def builds_objects(tag: str) -> bool:
    """Whether a resolved tag, or what a handle stands for, makes a loader build or call something of its own."""
    return tag.startswith(_STANDARD) or "python/" in tag or _LOCAL_CODE.match(tag) is not None


def tag_gap(tags: Iterable[str]) -> str:
    """Why a document with these tags cannot be judged: the first of which its loader decides what it does; else ""."""
    for tag in tags:
        if not builds_objects(tag):
            return f"holds the YAML tag {visible(tag, 40)}, of which its loader decides what it does"
    return ""


def _walk(data: bytes) -> Iterator[tuple[str, str, Any]]:
    """("tag", its text, None) of each tag that is not YAML's own; ("key", its text, its value) of each mapping's entry.

    A value is the text of a scalar, True of anything else; entries whose value says no are left out. Raises ValueError
    where it is nested too deep, yaml.YAMLError where it is malformed.
    """
    import yaml

    anchors: dict[str, _Node] = {}
    levels: list[tuple[bool, list[_Node]]] = []  # whether it is a mapping, and the key that waits for its value
    for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
            yield from (("tag", p, None) for p in (event.tags or {}).values() if p != _STANDARD and builds_objects(p))
        elif isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
        elif isinstance(event, yaml.NodeEvent):
            tag = getattr(event, "tag", None)
            if tag and tag != "!" and tag not in STANDARD_TAGS:
                yield "tag", tag, None
            node = _node(event, anchors)
            if levels and levels[-1][0]:
                waiting = levels[-1][1]
                if not waiting:
                    waiting.append(node)
                else:
                    key = waiting.pop()
                    if key.text is not None and not node.no:
                        yield "key", key.text, True if node.text is None else node.text
            if isinstance(event, yaml.CollectionStartEvent):
                if len(levels) >= _MOST_DEPTH:
                    raise ValueError("nested too deep")
                levels.append((isinstance(event, yaml.MappingStartEvent), []))


class _Node(msgspec.Struct, frozen=True):
    """A scalar's text (None for anything else), and whether it is written as false or nothing."""

    text: str | None
    no: bool = False


def _node(event: Any, anchors: dict[str, _Node]) -> _Node:
    """What an event says; an alias says what its anchor said."""
    import yaml

    if isinstance(event, yaml.AliasEvent):
        return anchors.get(event.anchor or "", _Node(None))
    node = _Node(None)
    if isinstance(event, yaml.ScalarEvent):
        node = _Node(event.value, event.tag is None and event.style in (None, "") and event.value in _NOTHING)
    if event.anchor:
        anchors[event.anchor] = node
    return node
