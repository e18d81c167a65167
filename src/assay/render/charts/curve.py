"""Lines over a common axis: band, at-most solid and at-least dotted, the mark, and where the policy denies."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import msgspec

from assay.core.decision import Verdict
from assay.core.exhibit import Curve, Series
from assay.render.charts.bound import Bound
from assay.render.charts.labels import LINE, Anchor, Box, Label, Spot, clip_text, place, spread, text_width, wrap_text
from assay.render.charts.scale import Scale, drawable, exact, finite, linear, logarithmic
from assay.render.charts.svg import Canvas, Point, path, thin
from assay.render.page.words import is_rate, percent, tick_number

_SURE = {"at-most": "at most this", "at-least": "at least this", "estimate": ""}
_ALONG = {"at-most": " (at most)", "at-least": " (at least)", "estimate": ""}
# Lines of one colour differ by their strokes, which every eye and every printer keeps apart.
_STROKES = ("", "9 4", "9 3 2 3", "5 3")
_PROOFS = ("2 3", "6 3", "10 3 2 3", "1 5")
# Bands that lie over one another are fainter, so that what is dark is no fourth one.
_FAINT = ' fill-opacity=".5"'
_SAMPLE = 22.0
_LEGEND_LINE = 17.0
_WIDEST_NARROW = 500


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The drawing's area and scales."""

    canvas: Canvas
    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale
    unit_x: str
    unit_y: str
    wide: bool


def axis_read(curve: Curve, bound: Bound | None) -> Literal["x", "y", ""]:
    """Which axis holds the measure that the policy reads: y where the line has it at the mark, else x.

    Where neither fits, nothing is hatched: a wrong hatching is worse than none.
    """
    if bound is None:
        return ""
    if curve.mark is None or bound.value is None:
        return "y"
    at_mark = [v for s in curve.series if (v := value_at(s, curve.mark)) is not None]
    if any(math.isclose(v, bound.value, rel_tol=0.005, abs_tol=0.002) for v in at_mark):
        return "y"
    return "x" if math.isclose(curve.mark, bound.value, rel_tol=0.005, abs_tol=0.002) else ""


def value_at(series: Series, x: float) -> float | None:
    """The line's height at `x`, between points by a straight line."""
    points = sorted(p for p in zip(series.x, series.y, strict=True) if drawable(p[0]) and drawable(p[1]))
    for (ax, ay), (bx, by) in pairwise(points):
        if ax <= x <= bx:
            return ay if bx == ax else ay + (by - ay) * (x - ax) / (bx - ax)
    return points[0][1] if len(points) == 1 and points[0][0] == x else None


def unit_of(label: str, unit: str, values: list[float]) -> str:
    """ "%" where the numbers are shares between 0 and 1, else ""."""
    share = is_rate(label.partition(":")[0].replace(" ", "_"), unit=unit)
    return "%" if (share or "share of" in label) and values and min(values) >= 0 and max(values) <= 1 else ""


def strokes(curve: Curve) -> list[str]:
    """Each line's dashes: lines of one colour never have the same, while there are enough."""
    seen: dict[tuple[str, bool], int] = {}
    found = []
    for series in curve.series:
        proof = series.kind == "at-least"
        kind = ("" if proof and series.role == "data" else series.role, proof)
        place = seen[kind] = seen.get(kind, -1) + 1
        patterns = _PROOFS if proof else _STROKES
        found.append(patterns[place % len(patterns)])
    return found


def _sampled_strokes(curve: Curve) -> bool:
    """Whether two lines of one colour make a sample of the stroke beside each name useful."""
    return len({(s.role, s.kind == "at-least") for s in curve.series}) < len(curve.series)


def draw_curve(curve: Curve, bound: Bound | None, width: int, label: str) -> str:
    """The picture at one width."""
    frame = _frame(curve, bound, width)
    axis = axis_read(curve, bound)
    _axes(frame, curve, bound if axis == "y" else None, bound if axis == "x" else None)
    if bound is not None and axis:
        _hatching(frame, curve, bound, axis)
    if curve.mark is not None and frame.x.low <= curve.mark <= frame.x.high:
        x = frame.x(curve.mark)
        frame.canvas.line((x, frame.top - 4), (x, frame.bottom), "ci", 1.5)
    ink: list[Point] = []
    edged = sum(bool(s.low) for s in curve.series) > 1
    for series, dash in zip(curve.series, strokes(curve), strict=True):
        _band(frame, series, dash, edged=edged)
    for series, dash in zip(curve.series, strokes(curve), strict=True):
        ink += _line(frame, series, dash)
    if curve.mark is not None:
        ink += _sampled([(frame.x(curve.mark), frame.top), (frame.x(curve.mark), frame.bottom)])
    if curve.mark is not None and bound is not None and axis == "y":
        _reading(frame, curve.mark, bound)
    elif curve.mark is not None and bound is not None and axis == "x":
        _reading_across(frame, curve, bound)
    frame.canvas.labels(_labels(frame, curve, bound if axis else None, axis, ink))
    if frame.wide:
        _end_labels(frame, curve)
    elif _has_legend(curve, width):
        _legend(frame, curve)
    return frame.canvas.svg("w" if frame.wide else "n", label)


def _frame(curve: Curve, bound: Bound | None, width: int) -> Frame:
    wide = width > _WIDEST_NARROW
    xs = finite(v for s in curve.series for v in s.x)
    ys = finite(v for s in curve.series for v in (*s.y, *s.low, *s.high))
    unit_x, unit_y = unit_of(curve.x_label, "", xs), unit_of(curve.y_label, curve.y_unit, ys)
    axis = axis_read(curve, bound)
    height = 372.0 if wide else 330.0
    top, bottom = 34.0, height - 46
    height += LINE * (len(_x_lines(curve, width)) - 1)
    height += 8 + _LEGEND_LINE * len(curve.series) if _has_legend(curve, width) else 0
    shown = [*ys, bound.at] if bound is not None and axis == "y" else ys
    y = logarithmic(shown, bottom, top) if curve.y_scale == "log" else linear(shown, bottom, top, 5)
    left = 10 + max(text_width(y.tick(t, unit_y)) for t in y.ticks)
    margin = _end_width(curve) if wide else 8
    low, high = (min(xs), max(xs)) if xs else (0.0, 1.0)
    if bound is not None and axis == "x":
        low, high = min(low, bound.at), max(high, bound.at)
    x: Scale = exact(low, high, left, width - margin, 8 if wide else 5)
    if curve.x_scale == "log":
        x = logarithmic([*xs, high], left, width - margin)
    return Frame(
        canvas=Canvas(width, height), left=left, right=width - margin, top=top, bottom=bottom, x=x, y=y,
        unit_x=unit_x, unit_y=unit_y, wide=wide,
    )  # fmt: skip


def _x_lines(curve: Curve, width: float) -> list[str]:
    return wrap_text(curve.x_label, width - 8)


def _named(curve: Curve) -> bool:
    return len(curve.series) > 1 or any(s.kind != "estimate" for s in curve.series)


def _has_legend(curve: Curve, width: float) -> bool:
    """Whether names stand below the narrow picture: lines of one colour lie too close for names among them."""
    return width <= _WIDEST_NARROW and _named(curve) and _sampled_strokes(curve)


def _legend(frame: Frame, curve: Curve) -> None:
    """A sample of each line with its name, below the axis."""
    top = frame.canvas.height - _LEGEND_LINE * len(curve.series) - 2
    left = _SAMPLE + 10
    for i, (series, dash) in enumerate(zip(curve.series, strokes(curve), strict=True)):
        y = top + _LEGEND_LINE * (i + 1) - 5
        frame.canvas.line((2, y - 4), (2 + _SAMPLE, y - 4), _colour(series), 1.75, _dash(dash))
        sure = _ALONG[series.kind]
        room = frame.canvas.width - left - text_width(sure, bold=True)
        frame.canvas.text(left, y, clip_text(series.name, room, bold=True) + sure, _label_css(series))


def _label_css(series: Series) -> str:
    """A label has its line's colour: ours in the data hue, a proof and the other one in ink."""
    return "line" if series.role == "data" and series.kind != "at-least" else "b"


def _end_lines(series: Series) -> list[tuple[str, str]]:
    css = _label_css(series)
    lines = [(line, css) for line in wrap_text(series.name, 124)]
    return [*lines, (_SURE[series.kind], "q")] if _SURE[series.kind] else lines


def _end_width(curve: Curve) -> float:
    if not _named(curve):
        return 16
    sample = _SAMPLE if _sampled_strokes(curve) else 0.0
    return 12 + sample + max(text_width(t, bold=css != "q") for s in curve.series for t, css in _end_lines(s))


def _axes(frame: Frame, curve: Curve, on_y: Bound | None, on_x: Bound | None) -> None:
    canvas, x, y = frame.canvas, frame.x, frame.y
    bound_tick = y.near(on_y.at) if on_y is not None else None
    for i, tick in enumerate(y.ticks):
        at = y(tick)
        canvas.line((frame.left, at), (frame.right, at), "axis" if i == 0 else "grid")
        bold = "b" if tick == bound_tick else "q"
        canvas.text(frame.left - 8, at + 4, y.tick(tick, frame.unit_y), bold, "end")
    emphasised = x.near(curve.mark) if curve.mark is not None else None
    used = -1e9
    for tick in x.ticks:
        words = x.tick(tick, frame.unit_x)
        half = text_width(words) / 2
        at = min(max(x(tick), half), canvas.width - half)
        if at - half > used + 6:
            bold = "b" if tick == emphasised or (on_x is not None and x.near(on_x.at) == tick) else "q"
            canvas.text(at, frame.bottom + 18, words, bold, "middle")
            used = at + half
    middle = (frame.left + frame.right) / 2
    for i, words in enumerate(_x_lines(curve, canvas.width)):
        half = text_width(words) / 2
        at = min(max(middle, half), canvas.width - half)
        canvas.text(at, frame.bottom + 40 + LINE * i, words, "q", "middle")
    canvas.text(0, 14, clip_text(curve.y_label, canvas.width - 4), "q")


def _hatching(frame: Frame, curve: Curve, bound: Bound, axis: str) -> None:
    canvas = frame.canvas
    if axis == "y":
        end = frame.right
        if curve.mark is not None:
            end = min(frame.right, max(frame.left, frame.x(curve.mark)))
        at = frame.y(bound.at)
        canvas.hatch(frame.left, *((at, end, frame.bottom) if bound.denies_below else (frame.top, end, at)))
        canvas.line((frame.left, at), (end, at), "ci", 1.5)
        return
    at = frame.x(bound.at)
    left, right = (frame.left, at) if bound.denies_below else (at, frame.right)
    canvas.hatch(left, frame.top, right, frame.bottom)
    canvas.line((at, frame.top), (at, frame.bottom), "ci", 1.5)


def _colour(series: Series) -> str:
    return "co" if series.role == "other" else "ci" if series.kind == "at-least" else "cd"


def _pixels(frame: Frame, series: Series, ys: tuple[float, ...]) -> list[Point]:
    pairs = zip(series.x, ys, strict=True)
    return [(frame.x(a), frame.y(b)) for a, b in pairs if frame.x.shows(a) and frame.y.shows(b)]


def _dash(pattern: str) -> str:
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _band(frame: Frame, series: Series, dashes: str, *, edged: bool) -> None:
    """The interval along the line; where bands overlap each has edges of its line's colour and stroke."""
    if not series.low:
        return
    high, low = (thin(_pixels(frame, series, ys)) for ys in (series.high, series.low))
    if len(high) + len(low) <= 2:
        return
    fill = f'fill="var(--band)"{_FAINT if edged else ""}'
    frame.canvas.add(f'<path d="{path(high + low[::-1], close=True)}" {fill}/>')
    for edge in (high, low) if edged else ():
        if not edge:  # of a log axis all may lie below
            continue
        stroke = f'class="{_colour(series)} edge"{_dash(dashes)}'
        frame.canvas.add(f'<path d="{path(edge)}" fill="none" {stroke}/>')


def _line(frame: Frame, series: Series, dashes: str) -> list[Point]:
    canvas, points = frame.canvas, _pixels(frame, series, series.y)
    if not points:
        return []
    colour, dash = _colour(series), _dash(dashes)
    width = "2.25" if colour == "cd" else "1.5"
    canvas.add(f'<path d="{path(thin(points))}" fill="none" class="{colour}" stroke-width="{width}"{dash}/>')
    if len(points) <= 12 and series.kind != "at-least":
        fill = "fd" if series.role == "data" else "fo"
        for point in points:
            canvas.dot(point, 2.5, f'class="{fill}"')
    return _sampled(points)


def _sampled(points: list[Point]) -> list[Point]:
    """Points along the line about every 8 pixels, for labels to keep away from."""
    found = [points[0]]
    for (ax, ay), (bx, by) in pairwise(points):
        steps = max(1, min(80, int(math.hypot(bx - ax, by - ay) / 8)))
        found += [(ax + (bx - ax) * i / steps, ay + (by - ay) * i / steps) for i in range(1, steps + 1)]
    return found


def _reading(frame: Frame, mark: float, bound: Bound) -> None:
    if bound.value is None:
        return
    canvas, x = frame.canvas, frame.x(mark)
    if bound.low is not None and bound.high is not None:
        canvas.line((x, frame.y(bound.low)), (x, frame.y(bound.high)), "cd", 5)
        barred = bound.barred()
        if barred is not None:
            canvas.line((x - 6, frame.y(barred)), (x + 6, frame.y(barred)), "cd", 2.25)
    canvas.dot((x, frame.y(bound.value)), 5.5, 'class="fd" stroke="var(--paper)" stroke-width="2"')
    judged = bound.judged()
    if bound.verdict is not Verdict.ALLOW and judged is not None and _short(bound) > 0:
        a, b = frame.y(judged), frame.y(bound.at)
        colour = "fail" if bound.verdict is Verdict.DENY else "open"
        canvas.add(
            f'<path d="M{x - 4:.1f} {a:.1f}h-8V{b:.1f}h8" fill="none" stroke="var(--{colour})" stroke-width="1.5"/>'
        )


def _short(bound: Bound) -> float:
    """How far what the gate reads lies on the denying side; 0 where it does not."""
    judged = bound.judged()
    if judged is None:
        return 0.0
    return max(0.0, bound.at - judged if bound.denies_below else judged - bound.at)


def _reading_across(frame: Frame, curve: Curve, bound: Bound) -> None:
    """The operating point where the x axis holds the measure: its interval lies across the line."""
    assert curve.mark is not None
    height = next((v for s in curve.series if (v := value_at(s, curve.mark)) is not None), None)
    if height is None:
        return
    canvas, y = frame.canvas, frame.y(height)
    if bound.low is not None and bound.high is not None:
        canvas.line((frame.x(bound.low), y), (frame.x(bound.high), y), "cd", 5)
        barred = bound.barred()
        if barred is not None:
            canvas.line((frame.x(barred), y - 6), (frame.x(barred), y + 6), "cd", 2.25)
    canvas.dot((frame.x(curve.mark), y), 5.5, 'class="fd" stroke="var(--paper)" stroke-width="2"')


def _labels(frame: Frame, curve: Curve, bound: Bound | None, axis: str, ink: list[Point]) -> list[tuple[Label, Spot]]:
    labels: list[Label] = []
    area = Box(frame.left, frame.top - 12, frame.canvas.width if frame.wide else frame.right, frame.bottom - 2)
    if curve.mark is not None and curve.mark_label:
        x = frame.x(curve.mark)
        words = clip_text(curve.mark_label, max(60.0, (frame.right - frame.left) * 0.7), bold=True)
        heights = (frame.top + 3, frame.top + 20, frame.bottom - 12, frame.top + 40)
        sides: tuple[tuple[float, Anchor], ...] = ((7.0, "start"), (-7.0, "end"))
        spots = [Spot(x + s, y, a) for y in heights for s, a in sides]
        labels.append(Label(((words, "b"),), tuple(spots), needed=True))
    if bound is not None and curve.mark is not None and axis == "y" and bound.value is not None:
        labels.append(_reading_label(frame, curve, bound))
    if bound is not None:
        labels.append(_bound_label(frame, bound, axis))
    if not frame.wide and _named(curve) and not _has_legend(curve, frame.canvas.width):
        labels += [label for s in curve.series if (label := _along(frame, curve, s)) is not None]
    line = (
        [] if curve.mark is None else [Box(frame.x(curve.mark) - 3, frame.top, frame.x(curve.mark) + 3, frame.bottom)]
    )
    if bound is not None and axis == "x":
        line.append(Box(frame.x(bound.at) - 3, frame.top, frame.x(bound.at) + 3, frame.bottom))
    return place(labels, area, line, ink)


def _reading_label(frame: Frame, curve: Curve, bound: Bound) -> Label:
    assert curve.mark is not None
    assert bound.value is not None
    x, y = frame.x(curve.mark), frame.y(bound.value)
    at_most = any(s.kind == "at-most" for s in curve.series)
    share = frame.unit_y == "%"
    value = percent(bound.value) if share else tick_number(bound.value)
    lines = [(f"{value}, at most" if at_most else value, "b")]
    lines += _gap_lines(bound, share=share)
    sides: tuple[tuple[float, Anchor], ...] = ((13.0, "start"), (-16.0, "end"))
    heights = (-34.0, 24.0, -60.0, 44.0, -90.0, 70.0, -120.0, -150.0, -185.0, -220.0)
    spots = [Spot(x + dx, y + dy, a) for dy in heights for dx, a in sides]
    return Label(tuple(lines), tuple(spots), needed=True)


def _gap_lines(bound: Bound, *, share: bool) -> list[tuple[str, str]]:
    """How far what the gate reads is from the bound, and which end of the interval that is."""
    gap, barred = _short(bound), bound.barred()
    if bound.verdict is Verdict.ALLOW:
        return []
    css = "hard" if bound.verdict is Verdict.DENY else "soft"
    if gap <= 0:
        return [("not sure enough", css)] if css == "soft" else []
    words = f"{gap * 100:.1f} points" if share else tick_number(gap)
    side = f"{words} {'short of' if bound.denies_below else 'over'} the policy"
    if barred is None:
        return [(side, css)]
    end = percent(barred) if share else tick_number(barred)
    return [(f"{'low' if bound.reads == 'lower95' else 'high'} end {end}:", css), (side, css)]


def _bound_label(frame: Frame, bound: Bound, axis: str) -> Label:
    if axis == "y":
        y = frame.y(bound.at)
        first, second = (y + 17, y - 7) if bound.denies_below else (y - 7, y + 17)
        spots = [Spot(x, at) for at in (first, second) for x in (frame.left + 8, frame.left + 60)]
    else:
        x = frame.x(bound.at)
        sides: tuple[tuple[float, Anchor], ...] = ((-7.0, "end"), (7.0, "start"))
        sides = sides if bound.denies_below else sides[::-1]
        heights = (frame.bottom - 12, frame.bottom - 40, frame.top + 20, frame.top + 60)
        spots = [Spot(x + dx, y, a) for y in heights for dx, a in sides]
    return Label(((bound.word, "b"),), tuple(spots), needed=True)


def _along(frame: Frame, curve: Curve, series: Series) -> Label | None:
    """A label beside its own line, anywhere along it: for the narrow picture."""
    points = [
        (frame.x(a), frame.y(b))
        for a, b in zip(series.x, series.y, strict=True)
        if frame.x.shows(a) and frame.y.shows(b)
    ]
    if not points:
        return None
    css = _label_css(series)
    words = clip_text(series.name, (frame.right - frame.left) * 0.6, bold=True)
    at = [points[round((len(points) - 1) * share)] for share in (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)]
    anchors: tuple[Anchor, ...] = ("end", "start", "middle")
    away = (-9.0, 18.0, -22.0, 32.0, -36.0, 46.0, -50.0, -64.0)
    spots = [Spot(min(x, frame.right), y + dy, a) for dy in away for x, y in at for a in anchors]
    label = Label(((words + _ALONG[series.kind], css),), tuple(spots), needed=True)
    near = tuple(s for s in spots if _is_nearest(frame, curve, series, label.box(s)))
    return Label(label.lines, near or label.spots, needed=True)


def _is_nearest(frame: Frame, curve: Curve, series: Series, box: Box) -> bool:
    """Whether a label in `box` stands closer to its own line than to any other, so that nobody mistakes it."""
    x = frame.x.value((box.left + box.right) / 2)
    middle = (box.top + box.bottom) / 2
    gaps = {id(s): abs(frame.y(v) - middle) for s in curve.series if (v := value_at(s, x)) is not None}
    return id(series) in gaps and gaps[id(series)] == min(gaps.values())


def _end_labels(frame: Frame, curve: Curve) -> None:
    if not _named(curve):
        return
    ends, blocks, lines = [], [], []
    for series, dash in zip(curve.series, strokes(curve), strict=True):
        known = [v for v in series.y if drawable(v)]
        if known:
            ends.append(frame.y(known[-1]))
            blocks.append(_end_lines(series))
            lines.append((_colour(series), _dash(dash)))
    sample = _SAMPLE if _sampled_strokes(curve) else 0.0
    heights = [15.0 * len(b) + 2 for b in blocks]
    tops = spread([e - 9 for e in ends], heights, frame.top - 8, frame.bottom + 12)
    for top, end, block, (colour, dash) in zip(tops, ends, blocks, lines, strict=True):
        middle = top + 9
        if abs(middle - end) > 6:  # a name that had to give way is led back to where its line ends
            frame.canvas.line((frame.right + 1, end), (frame.right + 8, middle), "grid")
        if sample:
            frame.canvas.line((frame.right + 10, middle), (frame.right + 6 + sample, middle), colour, 1.75, dash)
        for i, (words, css) in enumerate(block):
            frame.canvas.text(frame.right + 10 + sample, top + 13 + 15 * i, words, css)
