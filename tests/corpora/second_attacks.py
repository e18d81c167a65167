"""The second judge's attack shapes: folders that a scanner must fail, other than the first corpus's; nothing is loaded.

Written from published attacks without sight of the scanner. `shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import second_attacks_agents
import second_attacks_boxes
import second_attacks_gadgets
import second_attacks_libraries
import second_attacks_machine
import second_attacks_models
import second_attacks_people
import second_attacks_repos

PARTS = (
    second_attacks_gadgets,
    second_attacks_libraries,
    second_attacks_machine,
    second_attacks_boxes,
    second_attacks_models,
    second_attacks_repos,
    second_attacks_people,
    second_attacks_agents,
)

REFUSED: frozenset[str] = frozenset(
    (
        "gguf--alignment-zero",  # today's llama.cpp refuses an alignment of nought; old ones divide by it
        "gguf--dimension-count",  # today's llama.cpp refuses more than four dimensions (CVE-2024-23496 before)
        "gguf--dimensions-overflow",  # today's llama.cpp refuses a product that overflows
        "gguf--version-1-template",  # today's llama.cpp no longer reads version 1
        "torn--config-trailing",  # the YAML reader stops before anything is made of it
        "torn--notebook-cut",  # Jupyter refuses a notebook that is no JSON
        "torn--tar-cut",  # the tar reader refuses the second member; the first is whole, so it may be either
        "torn--zip-central-cut",  # no end record: no reader opens it
        "zip--size-field-wraps",  # some readers refuse the contradicting zip64 sizes
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
