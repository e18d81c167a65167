"""The third judge's benign shapes: ordinary files and folders; no finding of medium or above is right.

The files in third_benign_stored_*.py were written by the real libraries of seven environments, the rest are texts
and archives. `shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import third_benign_boxes
import third_benign_chat
import third_benign_configs
import third_benign_texts
from judge_kit import stored


def shapes() -> dict[str, dict[str, bytes]]:
    """Every benign shape."""
    made: dict[str, dict[str, bytes]] = {}
    sources = sorted(Path(__file__).parent.glob("third_benign_stored_*.py"))
    for source in sources:
        for path, data in stored(importlib.import_module(source.stem).PACKED).items():
            shape, inner = path.split("/", 1)
            made.setdefault("made-by-" + shape, {})[inner] = data
    for part in (third_benign_boxes, third_benign_chat, third_benign_configs, third_benign_texts):
        found = part.shapes()
        assert not made.keys() & found.keys(), f"two shapes have one name: {sorted(made.keys() & found.keys())}"
        made |= found
    made["config--mlmodel"]["model/model.lgb"] = made["made-by-lightgbm--booster-m311"]["model.txt"]
    return made
