"""What the policy says of a picture's measure: the bound, the side where it denies, and how the rule went."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from assay.core.decision import RuleTrace, Verdict


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's bound on one measure. `denies_below` is the side that the hatching covers."""

    at: float
    better: Literal["higher", "lower"]
    verdict: Verdict
    line: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reads: str = ""

    @property
    def denies_below(self) -> bool:
        """Whether the rule denies under the bound (else over it)."""
        return self.better == "higher"

    @property
    def word(self) -> str:
        """How the bound is named in a picture."""
        return "policy floor" if self.denies_below else "policy ceiling"

    def barred(self) -> float | None:
        """The end of the interval that the gate reads, if it reads one."""
        return {"lower95": self.low, "upper95": self.high}.get(self.reads)

    def judged(self) -> float | None:
        """What the gate holds against the bound: the end of the interval that it reads, else the value."""
        barred = self.barred()
        return self.value if barred is None else barred


def bound_on(rules: Iterable[RuleTrace], check: str, measure: str, value: float | None = None) -> Bound | None:
    """The bound of the rule that read this measure of this check, the strictest outcome first.

    A row that shows another value than the rule read (another subject, or the comparison beside the plain measure) has
    no bound here.
    """
    if not measure:
        return None
    order = {Verdict.DENY: 0, Verdict.INDETERMINATE: 1, Verdict.ALLOW: 2}
    found = [
        r
        for r in rules
        if r.measure == measure
        and r.check in (check, "")
        and r.bound is not None
        and r.better
        and _same(r.value, value)
    ]
    if not found:
        return None
    rule = min(found, key=lambda r: (order[r.verdict], r.line))
    assert rule.bound is not None
    assert rule.better != ""
    return Bound(
        at=rule.bound, better=rule.better, verdict=rule.verdict, line=rule.line, value=rule.value, low=rule.low,
        high=rule.high, reads=rule.reads,
    )  # fmt: skip


def _same(read: float | None, shown: float | None) -> bool:
    return read is None or shown is None or math.isclose(read, shown, rel_tol=1e-6, abs_tol=1e-9)
