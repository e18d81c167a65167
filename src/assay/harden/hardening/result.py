"""What hardening a model found: options beside controls, with intervals, and the artifact if anything helped."""

from __future__ import annotations

from typing import Literal

import msgspec

from assay.harden.result import Part

Role = Literal["original", "control", "option"]
SUFFIX = {"onnx": ".onnx", "lightgbm": ".txt"}
"""What a result is called, by its format."""
Verdict = Literal["helps", "nothing helps", "cannot tell"]


class Rate(msgspec.Struct, frozen=True):
    """A share, or a difference of shares, with its 95% interval over `n` effective rows."""

    value: float
    low: float
    high: float
    n: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate on one part of the holdout, at its own threshold.

    `clean` is recall over the part's positive rows, `attacked` the recall that the attacks leave of the drawn ones, an
    upper bound; `alarms` the share of negative rows flagged; `attacks` what each attack alone leaves, `unanswered` why
    one could not look. `why` says why there are no figures at all.
    """

    name: str
    role: Role
    said: str
    threshold: float = 0.5
    clean: Rate | None = None
    attacked: Rate | None = None
    alarms: Rate | None = None
    attacks: dict[str, Rate] = {}
    unanswered: dict[str, str] = {}
    why: str = ""


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What the chosen option gains over another candidate on the same rows: recall under attack, and clean recall."""

    over: str
    attacked: Rate
    clean: Rate


class ModelHardened(msgspec.Struct, frozen=True, kw_only=True):
    """The story of one hardening. `chosen` was picked on rows of its own; `confirmed` are the figures to claim."""

    schema: str = "assay/1"
    source: Part
    result: Part | None
    verdict: Verdict
    reasons: tuple[str, ...]
    chosen: str
    threshold: float | None
    picked_on: tuple[Measured, ...]
    confirmed: tuple[Measured, ...]
    gains: tuple[Gain, ...]
    setup: dict[str, str | float | int]
    notes: tuple[str, ...] = ()
