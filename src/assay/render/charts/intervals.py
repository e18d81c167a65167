"""Values with their intervals on one axis: the end that the gate reads is barred, and hatched is where it denies."""

from __future__ import annotations

from collections.abc import Callable

from assay.core.exhibit import IntervalRow, Intervals
from assay.render.charts.bound import Bound
from assay.render.charts.curve import unit_of
from assay.render.charts.labels import clip_text, text_width
from assay.render.charts.scale import Scale, drawable, finite, linear, tick_text
from assay.render.charts.svg import Canvas, n
from assay.render.page.escape import esc
from assay.render.page.words import is_area, is_rate, label_words, number, percent

MOST_ROWS = 24
Bounds = Callable[[IntervalRow], Bound | None]


def turned(exhibit: Intervals, row: IntervalRow) -> int:
    """−1 where a row is drawn the other way round, as better is right: against a line of no difference only.

    Where less is better in all rows nothing is turned: the axis says which side is better, and signs stay as measured.
    """
    mixed = exhibit.reference == 0.0 and any(r.better != "lower" for r in exhibit.rows)
    return -1 if mixed and row.better == "lower" else 1


def share_of(exhibit: Intervals) -> bool:
    """Whether all rows are shares (or differences of shares), so that percent reads best on one axis."""
    values = finite(v for r in exhibit.rows for v in (r.value, r.low, r.high))
    if unit_of(exhibit.unit, exhibit.unit, values):
        return True
    rates = sum(is_rate(r.measure or r.label.replace(" ", "_"), r.value, r.low, r.high) for r in exhibit.rows)
    return bool(values) and max(map(abs, values)) <= 1 and 2 * rates > len(exhibit.rows)


def value_words(exhibit: Intervals, row: IntervalRow) -> tuple[str, str]:
    """The value and its interval as they stand at the row's end."""
    sign, plus = turned(exhibit, row), exhibit.reference == 0.0
    low, high = sorted((row.low * sign, row.high * sign))
    if share_of(exhibit) and not is_area(row.measure or row.label):
        return (
            percent(row.value * sign, plus=plus, sign=not plus),
            f"[{percent(low, plus=plus, sign=False)}, {percent(high, plus=plus, sign=False)}]",
        )
    return number(row.value * sign, plus=plus), f"[{number(low, plus=plus)}, {number(high, plus=plus)}]"


def draw_intervals(exhibit: Intervals, bounds: Bounds, width: int, label: str) -> str:
    """The picture at one width."""
    wide = width > 500
    rows = exhibit.rows[:MOST_ROWS]
    found = [bounds(r) for r in rows]
    names = [_name(exhibit, r) for r in rows]
    words = [value_words(exhibit, r) for r in rows]
    right = max((text_width(f"{v}  {i}", bold=True) for v, i in words), default=0) + 12
    left = min(max((text_width(t, bold=True) for t in names), default=0) + 16, 220.0) if wide else 4.0
    height, first = (36.0, 30.0) if wide else (40.0, 36.0)
    top = 26.0 if exhibit.reference == 0.0 else 10.0
    bottom = top + first + height * max(0, len(rows) - 1) + 16
    canvas = Canvas(width, bottom + 42)
    plot_right = width - right if wide else width - 8.0
    scale = _scale(exhibit, rows, found, left, plot_right, 6 if wide else 4)
    rows_at = [top + first + height * i for i in range(len(rows))]
    # Where names stand above their rows the line leaves them free.
    _axis(canvas, exhibit, scale, top, bottom, [] if wide else [(y - 27, y - 10) for y in rows_at])
    for i, (row, bound) in enumerate(zip(rows, found, strict=True)):
        y = rows_at[i]
        if wide:
            canvas.text(0, y + 4, clip_text(names[i], left - 16, bold=True), "b")
            _values(canvas, width, y + 4, words[i])
        else:
            space = width - text_width(f"{words[i][0]}  {words[i][1]}", bold=True) - 12
            canvas.text(0, y - 15, clip_text(names[i], space, bold=True), "b halo")
            _values(canvas, width, y - 15, words[i])
        _row(canvas, scale, exhibit, row, bound, y)
    return canvas.svg("w" if wide else "n", label)


def _name(exhibit: Intervals, row: IntervalRow) -> str:
    label = row.label if exhibit.verbatim else label_words(row.label)
    return f"{label} ⇄" if turned(exhibit, row) < 0 else label


def _values(canvas: Canvas, x: float, y: float, words: tuple[str, str]) -> None:
    canvas.add(
        f'<text x="{n(x)}" y="{n(y)}" class="q halo" text-anchor="end"><tspan class="b">{esc(words[0])}</tspan> '
        f"{esc(words[1])}</text>"
    )


def _scale(
    exhibit: Intervals, rows: tuple[IntervalRow, ...], bounds: list[Bound | None], left: float, right: float, most: int
) -> Scale:
    values: list[float] = [] if exhibit.reference is None else [exhibit.reference]
    for row, bound in zip(rows, bounds, strict=True):
        sign = turned(exhibit, row)
        values += [row.value * sign, row.low * sign, row.high * sign]
        values += [bound.at * sign] if bound is not None else []
    # Room on the denying side, so that its hatching can be seen.
    reach = (max(finite(values), default=1.0) - min(finite(values), default=0.0)) * 0.12
    for row, bound in zip(rows, bounds, strict=True):
        if bound is not None:
            below = bound.denies_below == (turned(exhibit, row) > 0)
            values.append(bound.at * turned(exhibit, row) + (-reach if below else reach))
    return linear(values, left, right, most)


def _axis(
    canvas: Canvas, exhibit: Intervals, scale: Scale, top: float, bottom: float, gaps: list[tuple[float, float]]
) -> None:
    signed = exhibit.reference == 0.0
    factor = 100.0 if share_of(exhibit) and signed else 1.0
    share = "%" if share_of(exhibit) and not signed else ""
    used = -1e9
    for tick in scale.ticks:
        x = scale(tick)
        canvas.line((x, top), (x, bottom), "grid")
        words = tick_text(tick * factor, scale.step * factor, share, plus=signed)
        half = text_width(words) / 2
        at = min(max(x, half), canvas.width - half)
        if at - half > used + 6:
            canvas.text(at, bottom + 18, words, "q", "middle")
            used = at + half
    middle = (scale.start + scale.end) / 2
    unit = clip_text(exhibit.unit + (", percentage points" if factor > 1 else ""), canvas.width - 4)
    half = text_width(unit) / 2
    canvas.text(min(max(middle, half), canvas.width - half), bottom + 38, unit, "q", "middle")
    if exhibit.reference is not None and scale.low <= exhibit.reference <= scale.high:
        x = scale(exhibit.reference)
        starts, ends = [top - 6, *(low for _, low in gaps)], [*(high for high, _ in gaps), bottom]
        for start, end in zip(starts, ends, strict=True):
            canvas.line((x, start), (x, end), "ci", 1.25)
        if exhibit.reference == 0.0 and all(r.better for r in exhibit.rows):
            less = all(r.better == "lower" for r in exhibit.rows)
            left, right = ("← better", "worse →") if less else ("← worse", "better →")
            if x - text_width(left) > 6:
                canvas.text(x - 6, 14, left, "q", "end")
            if x + text_width(right) + 6 < canvas.width:
                canvas.text(x + 6, 14, right, "q")


def _row(canvas: Canvas, scale: Scale, exhibit: Intervals, row: IntervalRow, bound: Bound | None, y: float) -> None:
    sign = turned(exhibit, row)
    if bound is not None:
        at = scale(bound.at * sign)
        below = bound.denies_below if sign > 0 else not bound.denies_below
        canvas.hatch(*((scale.start, y - 9, at, y + 9) if below else (at, y - 9, scale.end, y + 9)))
        canvas.line((at, y - 10), (at, y + 10), "ci", 1.5)
    if not drawable(row.value):
        return
    low, high = row.low * sign, row.high * sign
    if drawable(low) and drawable(high):
        canvas.line((scale(low), y), (scale(high), y), "cd", 2.25)
        barred = bound.barred() if bound is not None else None
        if barred is not None:
            canvas.line((scale(barred * sign), y - 5), (scale(barred * sign), y + 5), "cd", 2.25)
    canvas.dot((scale(row.value * sign), y), 4.5, 'class="fd"')
