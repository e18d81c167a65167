"""The judge's attack shapes: folders that a scanner must fail. Payloads only say `echo assay-test`; nothing is loaded.

Written from published attacks without sight of the scanner. `shapes()` maps `class--shape` to {path: bytes}.
"""

from __future__ import annotations

import judge_agents
import judge_containers
import judge_gadgets
import judge_graphs
import judge_models
import judge_opcodes
import judge_repos

PARTS = (judge_gadgets, judge_opcodes, judge_containers, judge_models, judge_graphs, judge_repos, judge_agents)

REFUSED = frozenset(
    (
        "compressed--gz-bomb",
        "gguf--array-bomb",
        "gguf--huge-count",
        "gguf--string-too-long",
        "gguf--tensor-far-away",
        "numpy--claims-huge",
        "numpy--code-in-header",
        "onnx--pickle-behind",
        "polyglot--safetensors-hole",
        "polyglot--safetensors-then-pickle",
        "safetensors--beyond-the-end",
        "safetensors--deep-json",
        "safetensors--duplicate-key",
        "safetensors--header-too-long",
        "safetensors--negative-offset",
        "safetensors--overlap",
        "safetensors--wrong-size",
        "tar--broken-checksum",
        "torn-text--mcp",
        "torn-text--notebook",
        "torn-text--safetensors",
        "zip--unknown-method",
    )
)
"""Shapes that their own loader refuses before anything happens: `open` is as right for them as `fail`."""


def shapes() -> dict[str, dict[str, bytes]]:
    """Every attack shape of every part."""
    made: dict[str, dict[str, bytes]] = {}
    for part in PARTS:
        found = part.shapes()
        assert not made.keys() & found.keys(), "two shapes have one name"
        made |= found
    return made
