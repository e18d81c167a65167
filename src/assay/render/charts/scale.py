"""Axes: nice ticks, linear and logarithmic scales, and how ticks are written."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def drawable(value: float | None) -> bool:
    """Whether a value has a place on an axis: a number, and not beyond all measure."""
    return value is not None and math.isfinite(value) and abs(value) < 1e100


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that can be drawn."""
    return [v for v in values if v is not None and drawable(v)]


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that cuts `span` into at most `most` parts."""
    if not math.isfinite(span) or span <= 0:
        return 1.0
    raw = span / max(1, most)
    if raw < 1e-300:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * s for s in _STEPS if power * s >= raw * (1 - 1e-9))


class Scale(msgspec.Struct, frozen=True):
    """A linear scale from `low`..`high` to pixels `start`..`end`, with ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    step: float

    def __call__(self, value: float) -> float:
        """The pixel of a value, held inside the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(1.02, max(-0.02, share))

    def value(self, pixel: float) -> float:
        """The value at a pixel."""
        return self.low + (pixel - self.start) / (self.end - self.start) * (self.high - self.low)

    def near(self, value: float, tolerance: float = 0.01) -> float | None:
        """The tick that `value` falls on, if any."""
        reach = abs(self.end - self.start) * tolerance
        return next((t for t in self.ticks if abs(self(t) - self(value)) <= reach), None)

    def tick(self, value: float, unit: str) -> str:
        """A tick in words."""
        return tick_text(value, self.step, unit)

    def shows(self, value: float) -> bool:
        """Whether a value has a place on it."""
        return drawable(value)


class LogScale(Scale, frozen=True):
    """A logarithmic scale: the same distance for the same factor."""

    def __call__(self, value: float) -> float:
        """The pixel of a value, held inside the drawing."""
        if value <= 0:
            return self.start
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + (self.end - self.start) * min(1.02, max(-0.02, share))

    def value(self, pixel: float) -> float:
        """The value at a pixel."""
        return float(self.low * (self.high / self.low) ** ((pixel - self.start) / (self.end - self.start)))

    def tick(self, value: float, unit: str) -> str:
        """A tick in words, with the digits that it needs itself."""
        return tick_text(value, value, unit)

    def shows(self, value: float) -> bool:
        """Whether a value has a place on it."""
        return drawable(value) and value > 0


def logarithmic(values: Iterable[float], start: float, end: float) -> LogScale:
    """A log scale over the values above 0, from one tick to another; ticks at powers of ten, or at 1, 2, 5 of them."""
    known = [v for v in finite(values) if v > 1e-90] or [0.1, 1.0]
    low, high = min(known), max(known)
    decades = math.log10(high / low)
    parts = (1.0,) if decades > 3 else (1.0, 2.0, 5.0)
    first, last = math.floor(math.log10(low) + 1e-9) - 1, math.ceil(math.log10(high) - 1e-9) + 1
    every = [float(f"{p}e{n}") for n in range(first, last + 1) for p in parts]
    below = [t for t in every if t <= low * (1 + 1e-9)]
    above = [t for t in every if t >= high * (1 - 1e-9)]
    low, high = below[-1], above[0]
    if high <= low:
        high = next(t for t in every if t > low)
    ticks = [t for t in every if low <= t <= high]
    ticks = ticks[:: max(1, math.ceil(len(ticks) / 10))]
    return LogScale(low, high, start, end, tuple(ticks), low)


def linear(values: Iterable[float], start: float, end: float, most: int, *, zero: bool = False) -> Scale:
    """A scale over `values`; with `zero` it begins at 0. `most` bounds the number of steps."""
    known = finite(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    if zero or (low > 0 and low < 0.4 * high):
        low = min(0.0, low)
        high = max(0.0, high)
    if high - low <= max(abs(low), abs(high)) * 1e-9:
        pad = abs(high) * 0.1 or 1.0
        low, high = (low if zero and low == 0 else low - pad), high + pad
    step = nice_step(high - low, most)
    low, high = math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step
    if high <= low:
        high = low + step
    count = round((high - low) / step)
    ticks = tuple(round(low + i * step, 12) + 0.0 for i in range(count + 1)) if count <= 64 else (low, high)
    return Scale(low, high, start, end, ticks, step)


def exact(low: float, high: float, start: float, end: float, most: int) -> Scale:
    """A scale that begins and ends with the data: for the x axis of lines and bins."""
    if high <= low:
        return linear([low], start, end, most)
    step = nice_step(high - low, most)
    first = math.ceil(low / step - 1e-6)
    ticks = [round(i * step, 12) + 0.0 for i in range(first, first + most + 2) if i * step <= high + step * 1e-6]
    return Scale(low, high, start, end, tuple(ticks), step)


def tick_text(value: float, step: float, unit: str = "", *, plus: bool = False) -> str:
    """A tick as people write it. `unit` "%" turns a fraction into percent; other units are left to the axis label."""
    if unit == "%":
        value, step = value * 100, step * 100
    if abs(value) >= 1e7 or 0 < abs(step) < 1e-6:
        text = f"{abs(value):.3g}"
    else:
        digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
        if step > 0 and abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
            digits += 1
        text = f"{abs(value):,.{digits}f}"
    if any(c in "123456789" for c in text):
        text = ("−" if value < 0 else "+" if plus else "") + text
    return text + ("%" if unit == "%" else "")
