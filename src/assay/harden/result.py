"""What a conversion was, what it made, and how it was proved."""

from __future__ import annotations

from typing import Literal

import msgspec

from assay.adapters.sandbox import Isolation
from assay.core.canonical import SCHEMA, Schema
from assay.core.threats import PackRef

Target = Literal["safetensors", "skops", "onnx"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its path as typed, format, digest (`sha256:…`) and bytes."""

    path: str
    format: str
    digest: str
    size: int


class Proof(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the result was shown to be the same.

    `kind` is bytes (each of `tensors` has the SHA-256 that it had in the source), answers (all that `methods` answer,
    bit for bit), scores (of the positive class, flipping no decision at `threshold`) or state (all `nodes` of the
    result are the same after it is read back and written once more: for what has no predictor). `rows` were compared;
    `generated` where none were given.
    """

    kind: Literal["bytes", "answers", "scores", "state"]
    tensors: int = 0
    nodes: int = 0
    rows: int = 0
    generated: bool = False
    methods: tuple[str, ...] = ()
    max_difference: float | None = None
    flips: int | None = None
    threshold: float | None = None
    precision: str = ""


class LeftOut(msgspec.Struct, frozen=True):
    """What the source holds by that name, and why it is not in the result."""

    name: str
    why: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What one room's conversion says beside the file that it wrote. `shared` groups names that shared one storage;
    `values` counts what is not a tensor and was kept as metadata; `trusted` are the types that skops asks about.
    """

    proof: Proof
    left_out: tuple[LeftOut, ...] = ()
    shared: tuple[tuple[str, ...], ...] = ()
    values: int = 0
    trusted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Hardened(msgspec.Struct, frozen=True, kw_only=True):
    """A whole conversion. `weak` when less than full isolation was accepted; `next` is the command that follows;
    `threats` the pack that it was judged by, beside what this version knows."""

    source: Part
    result: Part
    made: Made
    isolation: Isolation
    weak: bool
    next: str
    threats: PackRef | None = None
    schema: Schema = SCHEMA
