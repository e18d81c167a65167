"""The second judge's benign shapes: files and folders as real people have them; no finding of medium or above is right.

The files in second_benign_stored_*.py were written by the real libraries of five environments, the rest are texts.
`shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import second_benign_texts
from judge_kit import stored


def shapes() -> dict[str, dict[str, bytes]]:
    """Every benign shape."""
    made: dict[str, dict[str, bytes]] = {}
    for source in sorted(Path(__file__).parent.glob("second_benign_stored_*.py")):
        for path, data in stored(importlib.import_module(source.stem).PACKED).items():
            shape, inner = path.split("/", 1)
            made.setdefault(shape, {})[inner] = data
    found = second_benign_texts.shapes()
    assert not made.keys() & found.keys(), "two shapes have one name"
    return made | found
