"""How a score moves, change by change, to the threshold."""

from __future__ import annotations

from assay.core.exhibit import Step, Waterfall
from assay.render.charts.labels import Box, Label, Spot, clip_text, place, text_width
from assay.render.charts.scale import Scale, drawable, finite, linear, tick_text
from assay.render.charts.svg import Canvas
from assay.render.page.words import capital, number

MOST_STEPS = 12
# Less than this moves no number that the picture shows.
LEAST_MOVE = 0.005


def moving(exhibit: Waterfall) -> list[Step]:
    """The steps that move the score; what a step moves too little to be drawn the next one takes along."""
    found: list[Step] = []
    known = exhibit.start
    for step in exhibit.steps:
        if drawable(step.value) and not (drawable(known) and abs(step.value - known) < LEAST_MOVE):
            found.append(step)
            known = step.value
    return found


def shown_steps(exhibit: Waterfall) -> list[Step]:
    """The steps that are drawn: past a dozen the middle ones become one step."""
    steps = moving(exhibit)
    if len(steps) <= MOST_STEPS:
        return steps
    hidden = len(steps) - MOST_STEPS + 1
    merged = Step(label=f"{hidden} more changes", change="", value=steps[-2].value)
    return [*steps[: MOST_STEPS - 2], merged, steps[-1]]


def draw_waterfall(exhibit: Waterfall, width: int, label: str, *, denies: bool) -> str:
    """The picture at one width. `denies` colours the end as part of a denial."""
    wide = width > 500
    steps = shown_steps(exhibit)
    rows = len(steps) + 2
    slot, top = (40.0, 38.0) if wide else (56.0, 38.0)
    bottom = top + slot * rows - (8 if wide else 4)
    left = _left(exhibit, steps) if wide else 4.0
    canvas = Canvas(width, bottom + 42)
    values = finite([exhibit.start, exhibit.mark, *(s.value for s in steps)])
    scale = linear(values, left, width - 64.0, 5 if wide else 4, zero=True)
    _axis(canvas, exhibit, scale, top, bottom)
    known = exhibit.start if drawable(exhibit.start) else 0.0
    y = top + 10
    _name(canvas, capital(exhibit.start_label), "", y, left, wide=wide, css="b")
    _bar(canvas, scale, y, 0.0, known, "fo", slot if steps else 0, wide=wide)
    _value(canvas, scale, y, max(known, 0.0), number(known, 2), wide=wide, mark=exhibit.mark)
    for step in steps:
        y += slot
        _name(canvas, step.label, step.change, y, left, wide=wide, css="t")
        _bar(canvas, scale, y, known, step.value, "fd", slot, wide=wide)
        _value(
            canvas,
            scale,
            y,
            max(known, step.value),
            number(step.value - known, 2, plus=True),
            wide=wide,
            mark=exhibit.mark,
        )
        known = step.value
    y += slot
    _name(canvas, "As altered", "", y, left, wide=wide, css="b")
    _bar(canvas, scale, y, 0.0, known, "ff" if denies else "fd", 0, wide=wide)
    _value(canvas, scale, y, max(known, 0.0), number(known, 2), wide=wide, mark=exhibit.mark)
    return canvas.svg("w" if wide else "n", label)


def _left(exhibit: Waterfall, steps: list[Step]) -> float:
    widest = max(text_width(t, bold=True) for t in (exhibit.start_label, "As altered"))
    for step in steps:
        both = text_width(step.label) + (text_width(step.change, bold=True) + 18 if step.change else 0)
        widest = max(widest, both)
    return min(widest, 300.0) + 22


def _name(canvas: Canvas, name: str, change: str, y: float, left: float, *, wide: bool, css: str) -> None:
    space = (left - 22) if wide else canvas.width - 12.0
    at = y + 13 if wide else y + 8
    shown = clip_text(change, space * 0.55, bold=True)
    room = space - text_width(shown, bold=True) - (12 if shown else 0)
    canvas.text(0, at, clip_text(name, room, bold=css == "b"), f"{css} halo")
    canvas.text(left - 22 if wide else canvas.width - 4, at, shown, "b halo", "end")


def _offset(wide: bool) -> tuple[float, float]:
    return (0.0, 18.0) if wide else (15.0, 16.0)


def _bar(canvas: Canvas, scale: Scale, y: float, a: float, b: float, css: str, slot: float, *, wide: bool) -> None:
    above, tall = _offset(wide)
    low, high = sorted((scale(a), scale(b)))
    canvas.rect(low, y + above, max(high, low + 1), y + above + tall, f'class="{css}"')
    if slot:
        x = scale(b)
        canvas.line((x, y + above + tall), (x, y + above + slot), "axis")


def _value(canvas: Canvas, scale: Scale, y: float, end: float, words: str, *, wide: bool, mark: float | None) -> None:
    above, tall = _offset(wide)
    x = scale(end)
    if mark is not None and drawable(mark) and x - 2 <= scale(mark) <= x + 9 + text_width(words, bold=True):
        x = scale(mark)
    canvas.text(x + 7, y + above + tall / 2 + 4, words, "b halo")


def _axis(canvas: Canvas, exhibit: Waterfall, scale: Scale, top: float, bottom: float) -> None:
    if exhibit.mark is not None and drawable(exhibit.mark):
        canvas.rect(scale(exhibit.mark), top - 4, scale.end, bottom, 'fill="var(--wash)"')
    used = -1e9
    for tick in scale.ticks:
        x = scale(tick)
        canvas.line((x, top), (x, bottom), "grid")
        words = tick_text(tick, scale.step)
        half = text_width(words) / 2
        at = max(x, half)
        if at - half > used + 6:
            canvas.text(at, bottom + 18, words, "q", "middle")
            used = at + half
    words = clip_text(exhibit.x_label, canvas.width - 4)
    half = text_width(words) / 2
    middle = min(max((scale.start + scale.end) / 2, half), canvas.width - half)
    canvas.text(middle, bottom + 38, words, "q", "middle")
    if exhibit.mark is not None and drawable(exhibit.mark):
        x = scale(exhibit.mark)
        canvas.line((x, top - 10), (x, bottom), "ci", 1.5)
        words = clip_text(exhibit.mark_label, canvas.width * 0.8, bold=True)
        if words:
            spots = (Spot(x + 7, 22), Spot(x - 7, 22, "end"), Spot(x, 16, "middle"))
            canvas.labels(place([Label(((words, "b"),), spots, needed=True)], Box(0, 0, canvas.width, 32)))
