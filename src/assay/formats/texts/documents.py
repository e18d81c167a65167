"""Configuration decoded once: JSON, YAML, TOML and INI to plain values, with YAML's tags; nothing is constructed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec

from assay.formats.texts.yaml_tags import STANDARD_TAGS, builds_objects

MOST_DEPTH = 200
MOST_VALUES = 5_000_000
MOST_OBJECTS = 1_000_000
MOST_YAML = 4 << 20
MOST_TOML = 4 << 20
_SLOW_YAML = 1 << 19  # where PyYAML was built without libyaml
# A dotted key of so many parts costs TOML's parser the square of them.
_LONG_KEY = re.compile(rb"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){100}")
_VOCABULARY = 2_000  # a mapping of so many names to numbers is a vocabulary, of no interest here
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = {"true": True, "false": False, "null": None, "~": None, "": None}
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\r\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)
_INI_LINE = re.compile(r"[ \t]*[\"']?([\w.\-]+)[\"']?[ \t]*[=:][ \t]*(.*)")


class Document(msgspec.Struct, frozen=True):
    """What a configuration holds: its values (one for each document or line, and each that a later key of the same
    name hid), YAML's tags that are not its own, and why it could not be read."""

    values: tuple[Any, ...] = ()
    tags: tuple[str, ...] = ()
    gap: str = ""


def parse_json(data: bytes, *, lines: bool = False, comments: bool = False) -> Document:
    """JSON, or one JSON text per line, or JSON with comments and trailing commas. Values that a second key of the
    same name hides are given too: readers differ on which of the two counts."""
    shadowed: list[Any] = []
    made_so_far = 0

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal made_so_far
        made_so_far += 1
        if made_so_far > MOST_OBJECTS:
            raise ValueError("too many objects")
        if len(items) > _VOCABULARY and all(type(value) is int for _, value in items):
            return {}
        made: dict[str, Any] = {}
        for key, value in items:
            if key in made:
                shadowed.append({key: made[key]})
            made[key] = value
        return made

    values: list[Any] = []
    try:
        if comments:
            text = data.decode(json.detect_encoding(data)).lstrip("\ufeff")
            for _ in range(2):  # a comma may end a list with a comment behind it
                text = _COMMENT.sub(lambda m: m.group() if m.group()[0] == '"' else " ", text)
            data = text.encode()
        for text_ in data.splitlines() if lines else (data,):
            if not lines or text_.strip():
                values.append(json.loads(text_, object_pairs_hook=pairs))
    except (ValueError, RecursionError):
        if made_so_far > MOST_OBJECTS:
            return Document(gap=f"is JSON of more than {MOST_OBJECTS:,} objects")
        return Document(gap="is JSON that breaks off or is malformed")
    return Document(values=(*values, *shadowed))


def parse_toml(data: bytes) -> Document:
    """TOML."""
    if len(data) > MOST_TOML:
        return Document(gap=f"is TOML of more than {MOST_TOML >> 20} MB")
    if _LONG_KEY.search(data):
        return Document(gap="is TOML with a key of more than 100 parts")
    try:
        return Document(values=(tomllib.loads(data.decode("utf-8-sig").replace("\r\n", "\n")),))
    except (ValueError, RecursionError):
        return Document(gap="is TOML that breaks off or is malformed")


def parse_ini(text: str) -> Document:
    """INI and its kin, which have no grammar to hold them to: each line that sets something, by itself."""
    lines = re.split(r"[\r\n]+", text)[:200_000]
    found = [match for match in map(_INI_LINE.match, lines) if match is not None]
    return Document(values=tuple({m[1]: _plain(m[2].strip().strip("\"'"))} for m in found))


def parse_yaml(data: bytes) -> Document:
    """YAML, all documents of it, with aliases resolved (shared, so that they cost nothing). Plain scalars are text,
    but for true, false and null. Keys that are no text are left out."""
    import yaml

    if len(data) > (most := MOST_YAML if yaml.__with_libyaml__ else _SLOW_YAML):
        return Document(gap=f"is YAML of more than {most >> 10:,} KB")
    composer = _Composer()
    try:
        for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            composer.take(event)
    except (yaml.YAMLError, ValueError, RecursionError):
        return Document(
            values=tuple(composer.values), tags=tuple(composer.tags), gap="is YAML that breaks off or is malformed"
        )
    return Document(values=tuple(composer.values), tags=tuple(composer.tags))


class _Composer:
    """Builds plain values from YAML's events (YAML 1.2, ch. 3.2)."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.tags: dict[str, None] = {}
        self.anchors: dict[str, Any] = {}
        self.open: list[tuple[Any, list[Any]]] = []  # a container, and the key that waits for its value
        self.hidden: list[Any] = []

    def take(self, event: Any) -> None:
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            self.anchors = {}
            self.tags.update((p, None) for p in (event.tags or {}).values() if p != _STANDARD and builds_objects(p))
        elif isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._place(self.anchors.get(event.anchor or ""))
        elif isinstance(event, yaml.NodeEvent):
            tag = getattr(event, "tag", None)
            if tag and tag != "!" and tag not in STANDARD_TAGS:
                self.tags[tag] = None
            value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
            if isinstance(event, yaml.ScalarEvent):
                plain = event.tag is None and event.style in (None, "")
                value = _plain(event.value) if plain else event.value
            if event.anchor:
                self.anchors[event.anchor] = value
            self._place(value)
            if isinstance(event, yaml.CollectionStartEvent):
                if len(self.open) >= MOST_DEPTH // 2:
                    raise ValueError("nested too deep")
                self.open.append((value, []))

    def _place(self, value: Any) -> None:
        if not self.open:
            self.values.append(value)
            return
        container, waiting = self.open[-1]
        if isinstance(container, list):
            container.append(value)
        elif not waiting:
            waiting.append(value)
        else:
            key = waiting.pop()
            if isinstance(key, str) and key in container:
                self.values.append({key: container[key]})
            if isinstance(key, (str, bool, type(None))):
                container[str(key)] = value


def _plain(text: str) -> Any:
    """What a plain scalar stands for, as far as it matters: true, false, null (YAML 1.1 and 1.2), else its text."""
    word = text.lower()
    if word in ("yes", "on"):
        return True
    return False if word in ("no", "off") else _PLAIN.get(word, text)


def listed_texts(value: Any) -> Iterator[str]:
    """A text itself, or each text in a list and in the lists that it holds, each list once."""
    pending, seen, count = [value], set[int](), 0
    while pending and count < MOST_VALUES:
        held = pending.pop()
        count += 1
        if isinstance(held, str):
            yield held
        elif isinstance(held, list) and id(held) not in seen:
            seen.add(id(held))
            pending += reversed(held)


def beyond(*values: Any) -> bool:
    """Whether `mappings` would not go through all of it."""
    level, count, depth = [value for value in values if isinstance(value, (dict, list))], 0, 0
    seen: set[int] = set()
    while level:
        count += len(level)
        if depth > MOST_DEPTH or count > MOST_VALUES:
            return True
        below = []
        for value in level:
            if id(value) not in seen:
                seen.add(id(value))
                inside = value.values() if isinstance(value, dict) else value
                below += [inner for inner in inside if isinstance(inner, (dict, list))]
        level, depth = below, depth + 1
    return False


def mappings(*values: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping in the values with the path to it ("a.b[0]"), each object once; bounded in depth and number."""
    pending = [("", value, 0) for value in reversed(values)]
    seen: set[int] = set()
    count = 0
    while pending:
        path, value, depth = pending.pop()
        count += 1
        if count > MOST_VALUES or depth > MOST_DEPTH:
            return
        if isinstance(value, dict):
            if id(value) in seen:
                continue
            seen.add(id(value))
            yield path, value
            pending += [
                (f"{path}.{key}"[-200:] if path else str(key)[:100], inner, depth + 1)
                for key, inner in reversed(value.items())
                if isinstance(inner, (dict, list))
            ]
        elif isinstance(value, list):
            if id(value) in seen:
                continue
            seen.add(id(value))
            pending += [
                (f"{path}[{at}]", inner, depth + 1)
                for at, inner in reversed(list(enumerate(value)))
                if isinstance(inner, (dict, list))
            ]
