"""Weights that an ONNX model keeps in other files: whether they stay in its folder, exist and are long enough.

Source: onnx, docs/ExternalData.md (keys location, offset, length, checksum; offsets in bytes from the file's start).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from assay.core.finding import Json, Severity
from assay.core.text import visible
from assay.formats.models.facts import Facts
from assay.formats.models.outside import folder_of, leads_outside, linked_outside, size_beside

_MOST_PLACES = 1000
_MEMORY = "_ORT_MEM_ADDR_"  # onnxruntime's own mark for "this is a memory address", which no file may hold


class External:
    """Which other files the tensors name, each with the furthest byte that is asked of it."""

    def __init__(self) -> None:
        self.reach: dict[str, int] = {}
        self.broken: list[str] = []
        self.tensors = 0
        self.unlisted = False

    def add(self, pairs: Sequence[tuple[str, str]], size: int | None, tensor: str) -> None:
        """Take one tensor's entries; where a key is given twice, every place that is named counts."""
        self.tensors += 1
        numbers = {"offset": 0, "length": size or 0}
        for key, value in pairs:
            if key in numbers:
                if not (value.isascii() and value.isdigit()):
                    self._break(tensor)
                    continue
                numbers[key] = int(value[:30])
        places = [value for key, value in pairs if key in ("location", "basepath")]
        if not any(key == "location" and value for key, value in pairs):
            self._break(tensor)
        if len(pairs) > 0 and size is not None and numbers["length"] < size:
            self._break(tensor)
        for place in filter(None, places):
            if place in self.reach or len(self.reach) < _MOST_PLACES:
                self.reach[place] = max(self.reach.get(place, 0), numbers["offset"] + numbers["length"])
            else:
                self.unlisted = True
                if leads_outside(place) and len(self.reach) < 2 * _MOST_PLACES:
                    self.reach[place] = 0

    def _break(self, tensor: str) -> None:
        if len(self.broken) < 10:
            self.broken.append(tensor)


def size_of(shape: Sequence[int], bits: int) -> int | None:
    """Bytes of a tensor's raw data; None where an element has no fixed size."""
    return (math.prod(shape) * bits + 7) // 8 if bits else None


def judge(facts: Facts, external: External, file: IO[bytes]) -> None:
    """Note paths that lead elsewhere; what is missing or too short is a gap."""
    if external.broken:
        named = visible(external.broken[0], 60)
        facts.gap(f"keeps a tensor '{named}' in another file without saying soundly where")
    if external.unlisted:
        facts.gap(f"keeps weights in more than {_MOST_PLACES:,} other files, of which the rest were not looked at")
    if not external.reach:
        return
    folder = folder_of(file)
    model = Path(file.name) if folder is not None else None
    sizes: dict[str, Json] = {}
    for place, reach in sorted(external.reach.items()):
        shown = visible(place, 120)
        why = leads_outside(place)
        if _MEMORY in place:
            _note(facts, "memory-address", "gives a memory address in place of a file, which the runtime would read")
        elif why:
            _note(facts, f"outside:{place}", f"takes weights from the file '{shown}', a path that {why}")
        elif hidden := [part for part in re.split(r"[/\\]", place) if part.startswith(".") and part.strip(".")]:
            _note(
                facts, f"link:{place}", f"takes weights from '{shown}', which lies where no weights do ({min(hidden)})"
            )
        elif folder is None or model is None:
            facts.gap(f"keeps weights in another file ('{shown}'), which was not at hand here")
        elif (size := size_beside(folder, place)) is None:
            facts.gap(f"keeps weights in another file ('{shown}'), which is missing")
        elif linked_outside(folder, place, model):
            _note(facts, f"link:{place}", f"takes weights from '{shown}', a link that leads out of the model's folder")
        elif size < reach:
            facts.gap(f"keeps weights in another file ('{shown}'), which is {reach - size:,} bytes too short")
        else:
            sizes[shown] = size
    facts.measured["external"] = sizes


def _note(facts: Facts, key: str, message: str) -> None:
    severity = Severity.HIGH if key.startswith("link:") else Severity.CRITICAL
    facts.note(severity, f"external-data:{key}", message, fix="save the model as one file, or its weights beside it")


def judge_context(facts: Facts, path: str) -> None:
    """A node that holds or names a compiled engine of an accelerator. `path` is "" where it is embedded."""
    why = leads_outside(path)
    if why:
        _note(facts, f"engine:{path}", f"loads a compiled engine from '{visible(path, 120)}', a path that {why}")
    facts.gap("holds a compiled engine for an accelerator (EPContext), which is native code and was not read")
