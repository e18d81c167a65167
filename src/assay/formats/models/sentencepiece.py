"""SentencePiece vocabularies: pieces with their scores, and the rules that normalise text. They hold no code."""

from __future__ import annotations

from typing import IO

from assay.formats.models.facts import Facts
from assay.formats.models.protobuf import shape_of_head, walk
from assay.formats.models.source import Source
from assay.formats.reading import Limits, Reading

_TOP = {1: (2,), 2: (2,), 3: (2,), 4: (2,), 5: (2,)}
_PIECE = {1: (2,), 2: (5,), 3: (0,)}


def looks_like(head: bytes, name: str) -> bool:
    """Whether a file begins with pieces: a text each, a score and a kind."""
    fields = shape_of_head(head, _TOP)
    pieces = [payload for number, _, payload in fields[:3] if number == 1]
    if len(pieces) < 2:
        return False
    return all([number for number, _, _ in shape_of_head(piece, _PIECE)][:2] == [1, 2] for piece in pieces)


def read(file: IO[bytes], name: str, limits: Limits) -> Reading:
    """Read a vocabulary to its last field. Raises OSError; damage is a gap."""
    facts = Facts("sentencepiece")
    source = Source(file, limits)
    pieces = 0
    with facts.torn():
        for number, *_ in walk(source, 0, source.size):
            pieces += number == 1
    facts.measured["pieces"] = pieces
    return facts.reading()
