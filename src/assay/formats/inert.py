"""Whether a file that is no pickle holds only data: read as far as that can be said, never by its first bytes alone."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec

MOST_TEXT = 64 << 20
MOST_HEADER = 100 << 20
CODE_SUFFIXES = frozenset(
    {".py", ".pyw", ".ipynb", ".sh", ".bash", ".zsh", ".ps1", ".bat", ".js", ".mjs", ".rb", ".pl"}
)
CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "_target_", "custom_pipelines", "loader_module"})
_SHEBANG = re.compile(rb"\A(\xef\xbb\xbf)?#!")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_YAML_TAG = re.compile(rb"!!python/|!<tag:yaml\.org,2002:python/")
# Code keys of YAML configuration with a value; a bracket or a brace may stand before them.
_YAML_KEY = re.compile(
    rb"^[ \t\-{,]*[\"']?("
    + b"|".join(sorted(k.encode() for k in CODE_KEYS))
    + rb")[\"']?[ \t]*:(?![ \t]*(?:false|null|no|~))",
    re.MULTILINE,
)
# Text that may begin with a bracket or brace and still is no JSON.
_OTHER_TEXT = frozenset(
    {".toml", ".ini", ".cfg", ".md", ".rst", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".j2", ".jinja"}
)


class Probe(msgspec.Struct, frozen=True):
    """`code` says why the file is or names code, `unread` why it could not be judged; both empty: only data."""

    code: str = ""
    unread: str = ""


DATA = Probe()


def probe(path: Path, name: str) -> Probe:
    """Judge a file of the format `name` (as sniffed). Raises OSError."""
    if name == "safetensors":
        return _safetensors(path)
    if path.suffix.lower() in CODE_SUFFIXES:
        return Probe(code="is source code, which runs when it is used and was not examined")
    if name in ("json", "text"):
        return _text(path, name)
    if name in ("npy", "npz", "zip", "tar"):
        return DATA  # their members and headers were read where they were sniffed
    if name in ("parquet", "arrow"):
        return _table(path, name)
    return Probe(unread=f"is a {name} file, which this version only recognises and does not read")


def _text(path: Path, name: str) -> Probe:
    with open(path, "rb") as file:
        data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        return Probe(unread=f"is text of more than {MOST_TEXT >> 20} MB")
    if data.startswith(_LFS_POINTER):
        return Probe(unread="is a Git LFS pointer, not the file itself (`git lfs pull` fetches it)")
    if _SHEBANG.match(data):
        return Probe(code="is a script, which runs when it is used and was not examined")
    if _YAML_TAG.search(data):
        return Probe(code="holds a YAML tag that builds Python objects when it is loaded unsafely")
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml") and (named := sorted({key.decode() for key in _YAML_KEY.findall(data)})):
        return Probe(code=f"names code that is run when it is loaded ({', '.join(named)})")
    if suffix != ".json" and (name != "json" or suffix in _OTHER_TEXT):
        return DATA
    try:
        value = msgspec.json.Decoder().decode_lines(data) if suffix == ".jsonl" else msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Probe(unread="is JSON that breaks off or is malformed")
    found = sorted(_keys(value) & CODE_KEYS)
    return Probe(code=f"names code that is run when it is loaded ({', '.join(found)})") if found else DATA


def _keys(value: Any) -> set[str]:
    found: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            found |= {k for k, v in item.items() if v not in (None, False)}
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found


def _safetensors(path: Path) -> Probe:
    """The header's JSON, and that its tensors fill the file exactly, without gap or overlap."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MOST_HEADER, max(0, size - 8)):
            return Probe(unread="is safetensors whose header reaches beyond its end")
        head = file.read(length)
    try:
        header = msgspec.json.decode(head, type=dict[str, dict[str, Any]])
        json.loads(head, object_pairs_hook=_once)
        spans = sorted(tuple(v["data_offsets"]) for k, v in header.items() if k != "__metadata__")
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError):
        return Probe(unread="is safetensors whose header cannot be read")
    at = 0
    for span in spans:
        if len(span) != 2 or span[0] != at or not isinstance(span[1], int) or span[1] < at:
            return Probe(unread="is safetensors whose tensors overlap or leave gaps")
        at = span[1]
    if 8 + length + at != size:
        return Probe(unread="is safetensors that is shorter or longer than its header says")
    return DATA


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a name given twice: readers differ on which of the two counts. Keeps nothing."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name given twice")


def _table(path: Path, name: str) -> Probe:
    """That a Parquet or Arrow file ends as it must: its footer lies within it. The cells are data in any case."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        head = file.read(6)
        file.seek(max(0, size - 10))
        tail = file.read(10)
    if name == "arrow" and not head.startswith(b"ARROW1"):
        whole = tail.endswith(b"FEA1") if head.startswith(b"FEA1") else size > 16
    else:
        magic = b"PAR1" if name == "parquet" else b"ARROW1"
        footer = int.from_bytes(tail[-len(magic) - 4 : -len(magic)], "little")
        whole = tail.endswith(magic) and 0 < footer <= size - 2 * len(magic) - 4
    return DATA if whole else Probe(unread=f"is a torn or damaged {name.capitalize()} file")
