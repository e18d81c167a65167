"""The third judge's attack shapes: folders that a scanner must fail, written without sight of it; nothing is loaded.

`shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import third_attacks_boxes
import third_attacks_code
import third_attacks_gadgets
import third_attacks_machine
import third_attacks_models
import third_attacks_people
import third_attacks_repos

PARTS = (
    third_attacks_gadgets,
    third_attacks_machine,
    third_attacks_boxes,
    third_attacks_models,
    third_attacks_code,
    third_attacks_repos,
    third_attacks_people,
)

REFUSED: frozenset[str] = frozenset(
    (
        "gguf--is-pickle",  # llama.cpp refuses the magic; only pickle.load or torch.load would run it
        "h5--is-pickle",  # h5py refuses the signature
        "onnx--is-pickle",  # the protobuf parser refuses it
        "parquet--is-pickle",  # pyarrow refuses the magic
        "safetensors--doubled-key",  # readers disagree about which of the two they take; some refuse
        "safetensors--huge-header",  # the library refuses a header above 100 MB
        "safetensors--outside",  # the library refuses offsets beyond the file
        "safetensors--overlap",  # the library refuses a hole or an overlap
        "skops--method",  # skops 0.12 and later refuse the contradicting type (CVE-2025-54413 before)
        "skops--operator-renamed",  # skops 0.12 and later refuse the contradicting module (CVE-2025-54412 before)
        "tflite--is-pickle",  # the interpreter refuses the identifier
        "trees--catboost-is-pickle",  # CatBoost refuses the magic
        "trees--lightgbm-is-pickle",  # LightGBM refuses a text without a tree section
    )
)
"""Shapes that their own loader refuses before anything happens: `open` is as right for them as `fail`."""


def shapes() -> dict[str, dict[str, bytes]]:
    """Every attack shape of every part."""
    made: dict[str, dict[str, bytes]] = {}
    for part in PARTS:
        found = part.shapes()
        assert not made.keys() & found.keys(), f"two shapes have one name: {sorted(made.keys() & found.keys())}"
        made |= found
    return made
