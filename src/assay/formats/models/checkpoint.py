"""The other files of a TensorFlow SavedModel or checkpoint: the index of variables, and the fingerprint.

Layout: tensor_bundle (an SSTable in LevelDB's form, which ends with a magic number); fingerprint.proto. Both are data.
"""

from __future__ import annotations

import re
from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.protobuf import BYTES, VARINT, shape_of_head, signed, walk
from assay.formats.models.source import Cursor, Source
from assay.formats.reading import Limits, Reading

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_FINGERPRINT = {**dict.fromkeys(range(1, 6), (VARINT,)), 6: (BYTES,), 7: (BYTES, VARINT)}
_INDEX_HEAD = re.compile(rb"\A\0\0")


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file is an index of variables or a fingerprint; neither has a mark, so its name must say so too."""
    base = name.lower().replace("\\", "/").rpartition("/")[2]
    if base == "fingerprint.pb":
        fields = shape_of_head(head, _FINGERPRINT)
        return len(fields) >= 2 and [number for number, _, _ in fields] == sorted({number for number, _, _ in fields})
    return base.endswith(".index") and _INDEX_HEAD.match(head) is not None


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read an index of variables or a fingerprint. Raises OSError; damage is a gap."""
    index = name.lower().endswith(".index")
    facts = Facts("tf-checkpoint-index" if index else "tf-fingerprint")
    source = Source(file, limits)
    with facts.torn():
        if index:
            _index(facts, source)
        else:
            for number, wire, value, _ in walk(source, 0, source.size):
                if number in (1, 2, 3, 4, 5) and wire == VARINT:
                    facts.metadata(f"hash_{number}", signed(value))
    return facts.reading()


def _index(facts: Facts, source: Source) -> None:
    """That its footer is there, and the two blocks that it names lie within the file."""
    if source.size < _FOOTER or source.at(source.size - 8, 8) != _MAGIC:
        facts.gap("is torn or not an index of variables: its last bytes are not those of one")
        return
    cursor = Cursor(source, source.size - _FOOTER)
    for _ in range(2):
        start, size = _varint(cursor), _varint(cursor)
        if start + size > source.size - _FOOTER:
            facts.gap("is damaged: it names a block beyond its end")


def _varint(cursor: Cursor) -> int:
    value = shift = 0
    while shift < 64:
        byte = cursor.take(1)[0]
        value |= (byte & 127) << shift
        if byte < 128:
            return value
        shift += 7
    raise ValueError("a number of more than ten bytes")
