"""Keras configurations inside a TensorFlow SavedModel: in keras_metadata.pb (TF 2.5 and later) or in the graph itself.

Layout: keras/protobuf/saved_metadata.proto (SavedMetadata.nodes = 1; SavedObject.metadata = 5, JSON).
"""

from __future__ import annotations

from typing import IO

import msgspec

from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.protobuf import BYTES, VARINT, shape_of_head, walk
from assay.formats.models.source import Source
from assay.formats.reading import Limits, Reading

MOST = 64 << 20
_TOP = {1: (BYTES,)}
_OBJECT = {1: (BYTES,), 2: (VARINT,), 3: (BYTES,), 4: (BYTES,), 5: (BYTES,), 6: (BYTES,)}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file's first bytes are those of keras_metadata.pb: objects whose identifiers begin with "_tf_keras"."""
    fields = shape_of_head(head, _TOP)
    if not fields:
        return False
    inner = shape_of_head(fields[0][2], _OBJECT)
    return any(number == 4 and payload.startswith(b"_tf_keras") for number, _, payload in inner)


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read keras_metadata.pb. Raises OSError; damage is a gap."""
    facts = Facts("keras-metadata")
    source = Source(file, limits)
    count = 0
    with facts.torn():
        for number, wire, value, length in walk(source, 0, source.size):
            if number == 1 and wire == BYTES:
                count += 1
                for inner, kind, at, size in walk(source, value, value + length):
                    if inner == 5 and kind == BYTES:
                        _read_one(facts, source, at, size)
                    elif inner == 4 and kind == BYTES:
                        facts.operator(source.text(at, size, 200))
    facts.measured["objects"] = count
    return facts.reading()


def _read_one(facts: Facts, source: Source, at: int, size: int) -> None:
    if size > MOST:
        facts.gap("holds a Keras configuration that is too long to be read")
    else:
        judge(facts, source.text(at, size, MOST))


def judge(facts: Facts, text: str) -> None:
    """Judge the JSON of one Keras object, as a SavedModel's user object carries it."""
    from assay.formats.models.keras import judge_keras

    if not text.lstrip().startswith("{"):
        return
    try:
        config = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        facts.gap("holds a Keras configuration that cannot be read")
        return
    facts.take(judge_keras(config, ""))
    name = config.get("class_name") if isinstance(config, dict) else None
    if isinstance(name, str):
        facts.listed("keras_classes", visible(name, 100))
