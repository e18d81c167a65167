"""The gate trace's small picture: one interval against its bound, hatched where the rule denies."""

from __future__ import annotations

import math

from assay.core.decision import RuleTrace
from assay.render.charts.scale import finite
from assay.render.charts.svg import n

_WIDTH = 150.0


def draw_mini(rule: RuleTrace, tone: str) -> str:
    """The picture, or "" for a rule that reads no number with a bound."""
    if rule.asks != "measure" or rule.bound is None or rule.value is None or not math.isfinite(rule.value):
        return ""
    values = finite([rule.value, rule.low, rule.high, rule.bound])
    low, high = min(values), max(values)
    pad = (high - low) * 0.35 or abs(high) * 0.2 or 1.0
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return (value - low) / (high - low) * _WIDTH

    at = x(rule.bound)
    left, right = (0.0, at) if rule.better == "higher" else (at, _WIDTH)
    colour = f'style="stroke:var(--{tone})" stroke-width="2"'
    drawn = f'<rect x="{n(left)}" y="2" width="{n(right - left)}" height="16" fill="url(#hatch)"/>'
    drawn += f'<path d="M{n(at)} 1V19" class="ci" stroke-width="1.5"/>'
    if rule.low is not None and rule.high is not None:
        drawn += f'<path d="M{n(x(rule.low))} 10H{n(x(rule.high))}" {colour}/>'
    end = {"lower95": rule.low, "upper95": rule.high}.get(rule.reads)
    if end is not None:
        drawn += f'<path d="M{n(x(end))} 5V15" {colour}/>'
    drawn += f'<circle cx="{n(x(rule.value))}" cy="10" r="3.5" style="fill:var(--{tone})"/>'
    return f'<svg viewBox="0 0 150 20" width="150" height="20" aria-hidden="true" style="display:block">{drawn}</svg>'
