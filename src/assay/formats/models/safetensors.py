"""safetensors: the header's JSON, and that its tensors fill the file exactly, without gap or overlap.

Source: huggingface/safetensors, "Format" and its Rust reader (header at most 100 MB, begins with "{").
"""

from __future__ import annotations

import json
import math
from typing import IO, Any

import msgspec

from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.metadata import Texts
from assay.formats.models.source import Source, SpentError, TornError
from assay.formats.reading import Limits, Reading

MOST_HEADER = 100_000_000  # the format's own bound
MOST_READ = 32 << 20
_MOST_DIMENSIONS = 64
# The bits of an element, by safetensors' names (huggingface/safetensors, Dtype).
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file begins with the length of a header, and that header with an object."""
    return len(head) > 9 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= MOST_HEADER


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a safetensors file. Raises OSError; damage is a gap."""
    facts = Facts("safetensors")
    source = Source(file, limits)
    with facts.torn():
        length = int.from_bytes(source.at(0, 8), "little")
        if length > min(MOST_HEADER, source.size - 8):
            raise TornError("its header reaches beyond its end, or is longer than any reader takes")
        if length > MOST_READ:
            raise SpentError(f"its header has more than {MOST_READ >> 20} MB")
        _header(facts, source.at(8, length), source.size - 8 - length)
    return facts.reading()


def _header(facts: Facts, head: bytes, data: int) -> None:
    """Judge the header; `data` are the bytes after it."""
    if head[:1] != b"{":
        raise ValueError("its header is no JSON object")
    try:
        header = msgspec.json.decode(head, type=dict[str, dict[str, Any]])
        json.loads(head, object_pairs_hook=_once)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from None
    texts = Texts(facts)
    for key, value in header.pop("__metadata__", {}).items():
        if type(value) is not str:
            raise ValueError("its metadata hold something else than text")
        facts.metadata(key, value)
        texts.judge(key, value.encode("utf-8", "surrogatepass"))
    texts.finish()
    spans = [_span(facts, tensor_name, tensor) for tensor_name, tensor in header.items()]
    at = 0
    for start, end in sorted(spans):
        if start != at or end < at:
            raise ValueError("its tensors overlap or leave gaps")
        at = end
    if at != data:
        raise ValueError("it is shorter or longer than its header says")


def _span(facts: Facts, name: str, tensor: dict[str, Any]) -> tuple[int, int]:
    """A tensor's place, if its bytes are as many as its shape and type take. Raises ValueError."""
    shown = visible(name, 60)
    try:
        start, end = tensor["data_offsets"]
        shape, dtype = tensor["shape"], tensor["dtype"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"the tensor '{shown}' has no type, shape or place") from None
    bits = _BITS.get(dtype) if type(dtype) is str else None
    if bits is None or type(shape) is not list or len(shape) > _MOST_DIMENSIONS or len(tensor) != 3:
        raise ValueError(f"the tensor '{shown}' has a type or shape that no reader knows")
    if not all(type(n) is int and n >= 0 for n in (start, end, *shape)):  # a truth value is no number
        raise ValueError(f"the tensor '{shown}' has a negative or broken extent")
    if math.prod(shape) * bits != 8 * (end - start):
        raise ValueError(f"the tensor '{shown}' has another size than its shape gives")
    facts.tensor(dtype, shape)
    return start, end


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse a name given twice: readers differ on which of the two counts. Keeps nothing."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("it gives a name twice in its header")
