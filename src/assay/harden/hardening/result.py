"""What hardening a model found: options beside controls, with intervals, and the artifact if anything helped."""

from __future__ import annotations

from typing import Literal

import msgspec

from assay.harden.result import Part

Role = Literal["original", "control", "option"]
Against = Literal["evasion", "membership", "theft"]
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

    `clean` is recall over the part's positive rows, `before` over those that are attacked, `attacked` what the attacks
    leave of these, an upper bound; `alarms` the share of negative rows flagged; `attacks` what each attack alone
    leaves, `unanswered` why one could not look, `redrawn` why the first draw of one failed its sanity test. `why` says
    why there are no figures at all. `referred` and `referred_negative` are the shares of positive and of negative rows
    that an abstaining model flags for a person without deciding them.

    Against membership `leak` is the area under the ROC curve of the strongest attack (1/2: nothing leaks), `tail` its
    true positives at 1% false ones where the rows carry that; against theft `copied` is the MCC of a copy's decisions
    with its model's. `attacks` holds the same of each attack.
    """

    name: str
    role: Role
    said: str
    threshold: float = 0.5
    clean: Rate | None = None
    before: Rate | None = None
    attacked: Rate | None = None
    alarms: Rate | None = None
    attacks: dict[str, Rate] = {}
    unanswered: dict[str, str] = {}
    redrawn: dict[str, str] = {}
    why: str = ""
    referred: Rate | None = None
    referred_negative: Rate | None = None
    leak: Rate | None = None
    tail: Rate | None = None
    copied: Rate | None = None


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What the chosen option gains over another candidate on the same rows: against the attack (recall that it leaves;
    or by how much less leaks, or is copied), and clean recall."""

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
    against: Against = "evasion"
