"""Counts per bin: bars from zero, the other sample as an outline; many or long category names lie on their side."""

from __future__ import annotations

from assay.core.exhibit import Bars, Histogram
from assay.render.charts.labels import Box, Label, Spot, clip_text, place, text_width
from assay.render.charts.scale import Scale, exact, finite, linear, tick_text
from assay.render.charts.svg import Canvas, n
from assay.render.page.words import number

MOST_CATEGORIES = 24


def draw_histogram(exhibit: Histogram, width: int, label: str) -> str:
    """The picture at one width."""
    if exhibit.labels and not _fits(exhibit, width):
        return _lying(exhibit, width, label)
    return _standing(exhibit, width, label)


def counts_of(bars: Bars) -> list[float]:
    """The counts as they are drawn: never negative, never NaN."""
    return [max(0.0, v) if finite([v]) else 0.0 for v in bars.counts]


def _fits(exhibit: Histogram, width: int) -> bool:
    slot = (width - 60) / max(1, len(exhibit.labels))
    widest = max(text_width(t) for t in exhibit.labels)
    return widest + 8 <= slot or (len(exhibit.labels) > 8 and widest < 72)


def _standing(exhibit: Histogram, width: int, label: str) -> str:
    wide = width > 500
    height, top = (230.0, 10.0) if wide else (200.0, 10.0)
    if exhibit.mark is not None and exhibit.mark_label:
        top += 22
        height += 22
    legend = len(exhibit.series) > 1
    if legend:
        top += 22
        height += 22
    bottom = height - 46
    y = linear((v for s in exhibit.series for v in counts_of(s)), bottom, top, 4, zero=True)
    left = 10 + max(text_width(tick_text(t, y.step)) for t in y.ticks)
    right = width - 12.0
    canvas = Canvas(width, height)
    for i, tick in enumerate(y.ticks):
        canvas.line((left, y(tick)), (right, y(tick)), "axis" if i == 0 else "grid")
        canvas.text(left - 8, y(tick) + 4, tick_text(tick, y.step), "q", "end")
    edges = exhibit.edges or tuple(float(i) for i in range(len(exhibit.labels) + 1))
    x = exact(edges[0], edges[-1], left, right, 8 if wide else 5)
    for series in exhibit.series:
        _bars(canvas, series, [x(e) for e in edges], y, outlined=legend and series.role == "other", soft=legend)
    _ticks(canvas, exhibit, x, bottom)
    if legend:
        _legend(canvas, exhibit)
    _mark(canvas, exhibit, x, top, bottom, left)
    return canvas.svg("w" if wide else "n", label)


def _bars(canvas: Canvas, series: Bars, edges: list[float], y: Scale, *, outlined: bool, soft: bool) -> None:
    base = y(0.0)
    counts = counts_of(series)
    many = len(counts) > 120
    if outlined:
        steps = "".join(
            f"V{y(c):.0f}H{b:.0f}" if many else f"V{n(y(c))}H{n(b)}" for c, b in zip(counts, edges[1:], strict=True)
        )
        canvas.add(f'<path d="M{n(edges[0])} {n(base)}{steps}V{n(base)}" fill="none" class="ci" stroke-width="1.25"/>')
        return
    gap = 1.0 if len(counts) <= 60 else 0.0
    parts = []
    for c, a, b in zip(counts, edges, edges[1:], strict=False):
        if c > 0:
            tall = min(-0.8, y(c) - base)
            parts.append(
                f"M{n(a + gap)} {n(base)}v{tall:.0f}H{n(b - gap)}v{-tall:.0f}"
                if many
                else f"M{n(a + gap)} {n(base)}v{n(tall)}H{n(b - gap)}V{n(base)}z"
            )
    fill = "fo" if series.role == "other" else "fd"
    faint = ' opacity=".5"' if soft else ""
    canvas.add(f'<path d="{"".join(parts)}" class="{fill}"{faint}/>')


def _ticks(canvas: Canvas, exhibit: Histogram, x: Scale, bottom: float) -> None:
    used = -1e9
    if exhibit.labels:
        marks = [(x(i + 0.5), t) for i, t in enumerate(exhibit.labels)]
    else:
        marks = [(x(t), tick_text(t, x.step)) for t in x.ticks]
    for at, words in marks:
        half = text_width(words) / 2
        middle = min(max(at, half), canvas.width - half)
        if middle - half > used + 8:
            canvas.text(middle, bottom + 18, words, "q", "middle")
            used = middle + half
    words = clip_text(exhibit.x_label, canvas.width - 4)
    half = text_width(words) / 2
    canvas.text(min(max((x.start + x.end) / 2, half), canvas.width - half), bottom + 40, words, "q", "middle")


def _legend(canvas: Canvas, exhibit: Histogram) -> None:
    x = 0.0
    share = canvas.width / len(exhibit.series)
    for series in exhibit.series:
        if series.role == "other":
            canvas.add(f'<path d="M{n(x)} 15V9h6V4h6v6h6v5" fill="none" class="ci" stroke-width="1.25"/>')
        else:
            canvas.add(f'<path d="M{n(x)} 15V9h6V4h6v6h6v5z" class="fd" opacity=".5"/>')
        words = clip_text(series.name, share - 32)
        canvas.text(x + 24, 14, words, "q")
        x += 24 + text_width(words) + 18


def _mark(canvas: Canvas, exhibit: Histogram, x: Scale, top: float, bottom: float, left: float) -> None:
    if exhibit.mark is None or exhibit.labels or not x.low <= exhibit.mark <= x.high:
        return
    at = x(exhibit.mark)
    canvas.line((at, top - 6), (at, bottom), "ci", 1.5)
    words = clip_text(exhibit.mark_label, (canvas.width - left) * 0.8, bold=True)
    if words:
        spots = [Spot(at + 7, top - 8), Spot(at - 7, top - 8, "end"), Spot(at, top - 12, "middle")]
        frame = Box(0, 0, canvas.width, bottom)
        canvas.labels(place([Label(((words, "b"),), tuple(spots), needed=True)], frame))


def _lying(exhibit: Histogram, width: int, label: str) -> str:
    wide = width > 500
    series = exhibit.series[:3]
    many = len(series) > 1
    labels = exhibit.labels[:MOST_CATEGORIES]
    bar = 9.0 if many else 14.0
    slot = (bar + 2) * len(series) + (12 if wide else 26)
    left = min(max(text_width(t) for t in labels) + 16, 280.0) if wide else 0.0
    top = 26.0 if many else 4.0
    canvas = Canvas(width, top + slot * len(labels) + 22)
    x = linear((v for s in series for v in counts_of(s)), left, width - 64.0, 4, zero=True)
    if many:
        _legend(canvas, exhibit)
    for i, name in enumerate(labels):
        y = top + slot * i
        if wide:
            canvas.text(0, y + (bar + 2) * len(series) / 2 + 4, clip_text(name, left - 16), "t")
        else:
            canvas.text(0, y + 12, clip_text(name, width - 4.0), "t")
            y += 18
        for j, one in enumerate(series):
            count = counts_of(one)[i]
            at = y + (bar + 2) * j
            fill = 'class="fo"' if one.role == "other" else 'class="fd"'
            canvas.rect(left, at, max(left + 0.8, x(count)), at + bar, fill)
            canvas.text(x(count) + 7, at + bar / 2 + 4.5, number(count, 0 if count == int(count) else 2), "b")
    canvas.text(left, canvas.height - 4, clip_text(exhibit.x_label, width - left), "q")
    return canvas.svg("w" if wide else "n", label)
