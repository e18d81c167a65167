"""CatBoost models in their own format (a FlatBuffers core and tables behind it) and in JSON.

Layout: catboost/libs/model (model.fbs; "CBM1", the core's size in 4 bytes, the core, its parts in the order named).
"""

from __future__ import annotations

import re
from typing import IO, Any

import msgspec

from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.flatbuffer import FlatBuffer, Table
from assay.formats.models.source import Cursor, Source, TornError
from assay.formats.reading import Limits, Reading

MOST_JSON = 256 << 20
# What may lie behind the core: tables of counters, and dictionaries with text features. All of it is numbers and words.
_TABLES, _DICTIONARIES = "static_provider_v1", ("text_process_v1", "text_process_v2", "estimated_features_v1")
_FIRST_KEYS = re.compile(
    rb'\A\s*\{\s*"(?:features_info|oblivious_trees|ctr_data|scale_and_bias|model_info)"\s*:\s*[\[{]', re.ASCII
)


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of a CatBoost model, binary or JSON."""
    return (head[:4] == b"CBM1" and len(head) >= 12) or _FIRST_KEYS.match(head) is not None


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a CatBoost model. Raises OSError; damage is a gap."""
    facts = Facts("catboost")
    source = Source(file, limits)
    with facts.torn():
        if source.size >= 4 and source.at(0, 4) == b"CBM1":
            _binary(facts, source)
        else:
            _json(facts, source)
    return facts.reading()


def _binary(facts: Facts, source: Source) -> None:
    size = int.from_bytes(source.at(4, 4), "little")
    end = 8 + size
    if end > source.size:
        raise TornError("its core reaches beyond its end")
    core = FlatBuffer(source, 8, end).root()
    facts.text("version", core.text(0))
    for entry in core.tables(2):
        facts.metadata(entry.text(0, 200), entry.text(1))
    parts = [part.rstrip("\0") for part in core.texts(3)]
    facts.measured["parts"] = [visible(part, 100) for part in parts]
    trees = core.table(1)
    if trees is None:
        facts.gap("is torn or not a CatBoost model: it holds no trees")
    else:
        _trees(facts, trees)
    place = end
    for part in parts:
        if part == _TABLES:
            place = _counters(source, place)
        elif part in _DICTIONARIES:
            place = source.size
        else:
            facts.gap(f"holds a part '{visible(part, 60)}' that this version does not know")
            return
    if place != source.size:
        facts.gap(f"holds {source.size - place:,} bytes that belong to no part of it")


def _counters(source: Source, place: int) -> int:
    """Pass over tables of counters, each behind its size; where they end."""
    cursor = Cursor(source, place)
    for _ in range(cursor.number("I")):
        source.step()
        cursor.skip(cursor.number("I"))
    return cursor.place


def _trees(facts: Facts, trees: Table) -> None:
    facts.measured["trees"] = trees.vector(2, 4)[1] or len(trees.numbers(3, "i", 1 << 20))
    facts.measured["features"] = trees.vector(5, 4)[1] + trees.vector(4, 4)[1] + trees.vector(12, 4)[1]
    facts.measured["outputs"] = max(1, trees.number(0, "i"))
    leaves = trees.vector(8, 8)[1]
    if leaves:
        facts.tensor("float64", (leaves,))


class _Json(msgspec.Struct):
    features_info: dict[str, Any] = {}
    model_info: dict[str, Any] = {}
    oblivious_trees: list[msgspec.Raw] = []
    trees: list[msgspec.Raw] = []


def _json(facts: Facts, source: Source) -> None:
    if source.size > MOST_JSON:
        facts.gap(f"is JSON of more than {MOST_JSON >> 20} MB")
        return
    try:
        model = msgspec.json.decode(source.at(0, source.size), type=_Json)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("its JSON cannot be read") from None
    facts.measured["encoding"] = "json"
    facts.measured["trees"] = len(model.oblivious_trees) + len(model.trees)
    facts.measured["features"] = sum(len(found) for found in model.features_info.values() if isinstance(found, list))
    for key, value in model.model_info.items():
        if isinstance(value, str):
            facts.metadata(key, value)
    if not (model.oblivious_trees or model.trees):
        facts.gap("is torn or not a CatBoost model: it holds no trees")
