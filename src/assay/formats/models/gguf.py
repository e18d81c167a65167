"""GGUF models: metadata, tensors and whether they lie within the file, and the chat templates that they carry.

Source: ggml, docs/gguf.md (versions 1 to 3, both byte orders); sizes of blocks: gguf-py, GGML_QUANT_SIZES.
"""

from __future__ import annotations

import math
from typing import IO, Literal

import msgspec

from assay.core.finding import Json
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.metadata import MOST_VALUE, Texts
from assay.formats.models.source import Cursor, Source, TornError
from assay.formats.reading import Limits, Reading

MOST_TEMPLATE = 1 << 20
_MOST_ENTRIES, _MOST_TENSORS, _MOST_KEY = 100_000, 1_000_000, 1 << 16
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 7: "B", 10: "Q", 11: "q"}
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _BOOL = 8, 9, 7
# ggml_type: name, elements of a block, bytes of a block. Types that were taken back are here for the files that remain.
_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 4: ("Q4_2", 16, 10),
    5: ("Q4_3", 16, 12), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 31: ("Q4_0_4_4", 32, 18),
    32: ("Q4_0_4_8", 32, 18), 33: ("Q4_0_8_8", 32, 18), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    36: ("IQ4_NL_4_4", 32, 18), 37: ("IQ4_NL_4_8", 32, 18), 38: ("IQ4_NL_8_8", 32, 18), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
_MOST_JUDGED = 1000  # longer lists are vocabularies
_SHOWN = frozenset({"general.tags", "general.languages", "tokenizer.chat_templates"})


class _Tensor(msgspec.Struct, frozen=True, gc=False):
    """A tensor's `name`, and where its data begin and end after the start of all data; `size` None if unknown."""

    name: str
    start: int
    size: int | None


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file begins as GGUF of a version that was ever written, in either byte order."""
    return head[:4] == b"GGUF" and len(head) >= 8 and bool(_order(head[4:8]))


def _order(version: bytes) -> str:
    if 1 <= int.from_bytes(version, "little") <= 16:
        return "<"
    return ">" if 1 <= int.from_bytes(version, "big") <= 16 else ""


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a GGUF file. Raises OSError; damage is a gap."""
    facts = Facts("gguf")
    source = Source(file, limits)
    with facts.torn():
        _Gguf(source, facts).read()
    return facts.reading()


class _Gguf:
    """One walk over the header, the metadata and the list of tensors."""

    def __init__(self, source: Source, facts: Facts) -> None:
        self.source, self.facts, self.texts = source, facts, Texts(facts)
        head = source.at(0, 8)
        order = _order(head[4:8])
        if head[:4] != b"GGUF" or not order:
            raise ValueError("no GGUF header of a known version")
        self.cursor = Cursor(source, 8, order)
        self.version = int.from_bytes(head[4:8], "little" if order == "<" else "big")
        self.wide = "I" if self.version == 1 else "Q"
        self.alignment = 32
        facts.measured |= {"version": self.version, "byte_order": "little" if order == "<" else "big"}

    def read(self) -> None:
        """Read it all. Raises ValueError where the bytes end the walk."""
        if self.version > 3:
            self.facts.gap(f"is GGUF of version {self.version}, which this version does not know")
            return
        tensors, entries = self.cursor.number(self.wide), self.cursor.number(self.wide)
        if entries > _MOST_ENTRIES or tensors > _MOST_TENSORS:
            raise ValueError("it announces more entries or tensors than any model has")
        seen: set[str] = set()
        for _ in range(entries):
            key = self._text(_MOST_KEY)
            if key in seen:
                self.facts.gap(f"gives the metadata '{visible(key, 60)}' twice, so that readers differ on it")
            seen.add(key)
            self._entry(key)
        self.texts.finish()
        self._tensors(tensors)

    def _text(self, most: int) -> str:
        length = self.cursor.number(self.wide)
        found = self.source.text(self.cursor.place, length, most)
        self.cursor.skip(length)
        return found

    def _entry(self, key: str) -> None:
        kind = self.cursor.number("I")
        if kind == _ARRAY:
            self._array(key, 2)
        elif kind == _STRING:
            self._string(key)
        else:
            self._number(key, kind)

    def _number(self, key: str, kind: int) -> None:
        value: Json
        if kind in (6, 12):
            real = self.cursor.real("f" if kind == 6 else "d")
            value = real if math.isfinite(real) else str(real)
        elif kind in _CODES:
            value = self.cursor.number(_CODES[kind])
            value = bool(value) if kind == _BOOL else value
        else:
            raise ValueError(f"metadata of an unknown type ({kind})")
        self.facts.metadata(key, value)
        if key == "general.alignment":
            if type(value) is not int or value < 1 or value > 1 << 20 or value & (value - 1):
                raise ValueError("an alignment that is no power of two")
            self.alignment = value
        elif key == "general.file_type" and type(value) is int:
            self.facts.measured["quantization"] = value

    def _string(self, key: str) -> None:
        length = self.cursor.number(self.wide)
        place = self.cursor.place
        self.cursor.skip(length)
        if key == "tokenizer.chat_template" or key.startswith("tokenizer.chat_template."):
            self._template(key, place, length)
            return
        text = self.source.text(place, length)
        self.facts.metadata(key, text)
        if key in ("general.architecture", "general.name", "general.quantized_by"):
            self.facts.text(key.partition(".")[2], text)
        self.texts.judge(key, self.source.at(place, min(length, MOST_VALUE)), whole=length <= MOST_VALUE)

    def _template(self, key: str, place: int, length: int) -> None:
        self.facts.listed("chat_templates", key)
        if length > MOST_TEMPLATE:
            self.facts.gap(f"holds a chat template ('{visible(key, 60)}') that is too long to be read")
            return
        self.texts.template(key, self.source.text(place, length, MOST_TEMPLATE))

    def _array(self, key: str, depth: int) -> None:
        kind, count = self.cursor.number("I"), self.cursor.number(self.wide)
        if kind == _ARRAY:
            if depth <= 1:
                raise ValueError("arrays of arrays of arrays")
            for _ in range(count):
                self.source.step()
                self._array(key, depth - 1)
            return
        if kind == _STRING:
            self._strings(key, count)
        elif kind in _WIDTHS:
            self.cursor.skip(count * _WIDTHS[kind])
        else:
            raise ValueError(f"an array of an unknown type ({kind})")
        self.facts.metadata(key, f"[{count:,} values]")

    def _strings(self, key: str, count: int) -> None:
        """Pass over `count` strings. This is a tokenizer's vocabulary: hundreds of thousands of short words."""
        source, width, place = self.source, 4 if self.wide == "I" else 8, self.cursor.place
        order: Literal["little", "big"] = "little" if self.cursor.order == "<" else "big"
        if key in _SHOWN and count <= 100:
            for _ in range(count):
                self.facts.listed(key.rpartition(".")[2], self._text(200))
            return
        if count <= _MOST_JUDGED and not key.startswith("tokenizer.ggml."):
            for _ in range(count):
                self.texts.judge(key, self._text(MOST_VALUE).encode("utf-8", "replace"))
            return
        while count > 0:
            at = source.hold(place, width)
            window, end, before = source.window, len(source.window) - width, count
            while count and at <= end:
                at += width + int.from_bytes(window[at : at + width], order)
                count -= 1
            place = source.base + at
            source.step(before - count)
            if before == count or place > source.size:
                raise TornError("an array of strings reaches beyond its end")
        self.cursor.place = place

    def _tensors(self, count: int) -> None:
        found: list[_Tensor] = []
        names: set[str] = set()
        for _ in range(count):
            self.source.step()
            name = self._text(200)
            if name in names:
                self.facts.gap(f"holds two tensors '{visible(name, 60)}', so that readers differ on them")
            names.add(name)
            dimensions = self.cursor.number("I")
            if dimensions > 8:
                raise ValueError(f"a tensor of {dimensions} dimensions")
            shape = [self.cursor.number(self.wide) for _ in range(dimensions)]
            kind, offset = self.cursor.number("I"), self.cursor.number("Q")
            named, block, size = _TYPES.get(kind, (f"type {kind}", 0, 0))
            if not block:
                self.facts.gap(f"holds tensors of the type {kind}, which this version does not know")
            elif (shape[0] if shape else 1) % block:
                self.facts.gap(f"holds a tensor '{visible(name, 60)}' that does not fill its blocks")
            self.facts.tensor(named, shape)
            found.append(_Tensor(name, offset, math.prod(shape) // block * size if block else None))
        self._extents(found)

    def _extents(self, tensors: list[_Tensor]) -> None:
        """Whether the tensors lie one behind the other, aligned, and end where the file ends."""
        pad = self.alignment
        start = -(-self.cursor.place // pad) * pad
        reached = 0
        for tensor in sorted(tensors, key=lambda t: t.start):
            shown = visible(tensor.name, 60)
            if tensor.start % pad or tensor.start < reached:
                self.facts.gap(f"holds a tensor '{shown}' that overlaps another or is not aligned")
            elif tensor.start - reached >= pad and reached >= 0:
                self.facts.gap(f"leaves bytes before the tensor '{shown}' that no tensor holds")
            if tensor.size is None:
                reached = -1
                continue
            reached = max(reached, tensor.start + tensor.size)
            if start + reached > self.source.size:
                self.facts.gap(f"is torn: the tensor '{shown}' reaches beyond its end")
                return
        if tensors and reached >= 0 and self.source.size - (start + reached) >= pad:
            extra = self.source.size - (start + reached)
            self.facts.gap(f"holds {extra:,} bytes after its last tensor, which were not read")
        elif not tensors and self.source.size - self.cursor.place >= pad:
            self.facts.gap(f"holds {self.source.size - self.cursor.place:,} bytes after its metadata, and no tensor")
