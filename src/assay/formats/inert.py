"""Whether a file that is no pickle holds only data: read as far as that can be said, never by its first bytes alone."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import IO, Any

import msgspec

from assay.formats.promise import suffix_of
from assay.formats.texts.config_text import DATA, Probe, judge_ini, judge_json, judge_toml, judge_yaml, raw_match
from assay.formats.texts.source_code import is_source_code

MOST_TEXT = 64 << 20
MOST_HEADER = 100 << 20
_MOST_DIMENSIONS = 64
_SHEBANG = re.compile(rb"\A(\xef\xbb\xbf)?#!")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_YAML_TAG = re.compile(rb"!!python/|tag:yaml\.org,2002:python/")
_TAG_LINE = re.compile(rb"(?:\A|[\r\n])(?:\xef\xbb\xbf)?%TAG\b")
_YAML, _JSON = frozenset({".yaml", ".yml"}), frozenset({".json", ".webmanifest"})
_INI = frozenset({".ini", ".cfg", ".conf", ".properties", ".env"})
# Prose and tables: a key that names code is only a word there.
_PROSE = frozenset(
    (
        *(".md", ".rst", ".txt", ".csv", ".tsv", ".html", ".htm", ".xml", ".pmml", ".pbtxt", ".log", ".tex", ".bib"),
        *(".svg", ".css", ".license", ".po", ".vocab"),
    )
)
_PROSE_NAMES = ("readme", "license", "licence", "notice", "authors", "changelog", "copying", "citation", ".gitignore")
# The bits of an element, by safetensors' names (huggingface/safetensors, Dtype).
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


def probe(path: Path, name: str) -> Probe:
    """Judge a file of the format `name` (as sniffed). Raises OSError."""
    if name == "safetensors":
        return _safetensors(path)
    if is_source_code(path.name):
        return Probe(code="is source code, which runs when it is used and was not examined")
    if name in ("json", "text"):
        with open(path, "rb") as file:
            return probe_text(file, path.name)
    if name in ("npy", "npz", "zip", "tar"):
        return DATA  # their members and headers were read where they were sniffed
    if name in ("parquet", "arrow"):
        return _table(path, name)
    return Probe(unread=f"is a {name} file, which this version only recognises and does not read")


def probe_text(file: IO[bytes], name: str) -> Probe:
    """Judge text that lies in `file` (from where it stands) under a name. Raises OSError."""
    data = file.read(MOST_TEXT + 1)
    if len(data) > MOST_TEXT:
        return Probe(unread=f"is text of more than {MOST_TEXT >> 20} MB")
    if data.startswith(_LFS_POINTER):
        return Probe(unread="is a Git LFS pointer, not the file itself (`git lfs pull` fetches it)")
    if _SHEBANG.match(data):
        return Probe(code="is a script, which runs when it is used and was not examined")
    suffix, base = suffix_of(name), os.path.basename(name).lower()
    if suffix in _YAML or base == "mlmodel":
        return judge_yaml(data)
    if suffix in _JSON or suffix == ".jsonl":
        return judge_json(data, lines=suffix == ".jsonl")
    if _YAML_TAG.search(data):
        return Probe(code="holds a YAML tag that builds Python objects when it is loaded unsafely")
    if suffix == ".toml":
        return judge_toml(data)
    if suffix in _INI:
        return judge_ini(data)
    return _by_content(data, suffix in _PROSE or base.startswith(_PROSE_NAMES))


def _by_content(data: bytes, prose: bool) -> Probe:
    """Text whose name says nothing of its grammar: JSON where it is, else read as what it could be."""
    if data[:1] in (b"{", b"["):
        found = judge_json(data)
        if not found.unread:
            return found
        if not prose:
            return found
    if _TAG_LINE.search(data):
        found = judge_yaml(data)
        return found if found.code else Probe(unread="redefines YAML's tags, and is not said to be YAML")
    if prose or not raw_match(data):
        return DATA
    return Probe(unread="spells out a key that names code, in text of no grammar that this version reads")


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
        tensors = [v for k, v in header.items() if k != "__metadata__"]
        if not all(map(_fits, tensors)):
            return Probe(unread="is safetensors whose tensors do not have the size that their shape gives")
        spans = sorted(tuple(v["data_offsets"]) for v in tensors)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError):
        return Probe(unread="is safetensors whose header cannot be read")
    at = 0
    for span in spans:
        if span[0] != at or span[1] < at:
            return Probe(unread="is safetensors whose tensors overlap or leave gaps")
        at = span[1]
    if 8 + length + at != size:
        return Probe(unread="is safetensors that is shorter or longer than its header says")
    return DATA


def _fits(tensor: dict[str, Any]) -> bool:
    """Whether a tensor's bytes are as many as its shape and type take. Raises KeyError or TypeError."""
    start, end = tensor["data_offsets"]
    shape, bits = tensor["shape"], _BITS.get(tensor["dtype"])
    if bits is None or type(shape) is not list or len(shape) > _MOST_DIMENSIONS:
        return False
    if not all(type(n) is int and n >= 0 for n in (start, end, *shape)):  # a truth value is no number
        return False
    return bool(math.prod(shape) * bits == 8 * (end - start))


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
            length = int.from_bytes(tail[-len(magic) - 4 : -len(magic)], "little")
            whole = tail.endswith(magic) and 0 < length <= size - 2 * len(magic) - 4
            if whole:
                file.seek(size - len(magic) - 4 - length)
                footer = file.read(min(length, 32))
                file.seek(size - len(magic) - 5)
                whole = _thrift(footer, file.read(1)) if name == "parquet" else _flatbuffer(footer, length)
    return DATA if whole else Probe(unread=f"is a torn or damaged {name.capitalize()} file")


def _thrift(footer: bytes, last: bytes) -> bool:
    """Whether it begins and ends as Parquet's FileMetaData in Thrift's compact form: a version, a list of structs."""
    return (
        len(footer) >= 5
        and (footer[0], footer[2]) == (0x15, 0x19)
        and footer[1] in (2, 4, 6)  # version 1 to 3, zigzag
        and footer[3] & 0x0F == 0x0C
        and footer[3] >> 4 > 0
        and last == b"\0"
    )


def _flatbuffer(footer: bytes, length: int) -> bool:
    """Whether it begins with the place of a table inside it."""
    return len(footer) >= 8 and 4 <= int.from_bytes(footer[:4], "little") <= length - 4
