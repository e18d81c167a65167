"""TFRecord files (examples to train on, event logs): the lengths of their records, which must fill the file.

Layout of a record: its length (8 bytes), the length's masked CRC-32C (4), the data, and their masked CRC-32C (4), all
little-endian (TensorFlow, "TFRecord and tf.train.Example"; CRC-32C: RFC 3720, B.4). The data are not looked at.
"""

from __future__ import annotations

from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.source import Source, TornError
from assay.formats.reading import Limits, Reading

_HEAD, _TAIL = 12, 4
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bit-reversed
_MASK_DELTA = 0xA282EAD8


def _table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return tuple(found)


_TABLE = _table()


def masked_crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes, rotated and shifted as TFRecord stores it."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFF_FFFF
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file begins with a length and that length's checksum: by chance, once in four thousand million."""
    return len(head) >= _HEAD and masked_crc32c(head[:8]) == int.from_bytes(head[8:_HEAD], "little")


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Walk the records. Raises OSError; a record that is cut short or a length that does not check is a gap."""
    facts = Facts("tfrecord")
    source = Source(file, limits)
    count = at = longest = 0
    with facts.torn():
        while at < source.size:
            source.step()
            if source.size - at < _HEAD + _TAIL:
                raise TornError("it ends inside a record")
            place = source.hold(at, _HEAD)
            head = source.window[place : place + _HEAD]
            if not looks_like(head, name):
                raise ValueError(f"the length of its record {count:,} does not agree with its checksum")
            length = int.from_bytes(head[:8], "little")
            if length > source.size - at - _HEAD - _TAIL:
                raise TornError("it ends inside a record")
            at += _HEAD + length + _TAIL
            count, longest = count + 1, max(longest, length)
    facts.measured |= {"records": count, "longest_record": longest}
    return facts.reading()
