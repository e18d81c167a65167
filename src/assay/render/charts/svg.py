"""A small SVG canvas: rounded coordinates, escaped text, thinned lines."""

from __future__ import annotations

from collections.abc import Sequence

from assay.render.charts.labels import LINE, Anchor, Placed
from assay.render.page.escape import esc

Point = tuple[float, float]
MOST_POINTS = 180


def n(value: float) -> str:
    """A coordinate with one decimal, the shortest way."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


class Canvas:
    """Collects the drawing of one picture of `width` × `height` pixels."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def add(self, part: str) -> None:
        """Append ready SVG."""
        self._parts.append(part)

    def line(self, a: Point, b: Point, css: str, width: float = 0, more: str = "") -> None:
        """A straight line."""
        stroke = f' stroke-width="{width:g}"' if width else ""
        self.add(f'<path d="M{n(a[0])} {n(a[1])}L{n(b[0])} {n(b[1])}" class="{css}"{stroke}{more}/>')

    def rect(self, left: float, top: float, right: float, bottom: float, more: str) -> None:
        """A filled rectangle; `more` says how."""
        if right - left > 0.05 and bottom - top > 0.05:
            self.add(f'<rect x="{n(left)}" y="{n(top)}" width="{n(right - left)}" height="{n(bottom - top)}" {more}/>')

    def hatch(self, left: float, top: float, right: float, bottom: float) -> None:
        """Where the policy denies."""
        self.rect(left, top, right, bottom, 'fill="url(#hatch)"')

    def dot(self, at: Point, radius: float, more: str) -> None:
        """A point."""
        self.add(f'<circle cx="{n(at[0])}" cy="{n(at[1])}" r="{radius:g}" {more}/>')

    def text(self, x: float, y: float, words: str, css: str = "q", anchor: Anchor = "start") -> None:
        """One line of (plain) text at 12 px."""
        if words:
            side = "" if anchor == "start" else f' text-anchor="{anchor}"'
            self.add(f'<text x="{n(x)}" y="{n(y)}" class="{css}"{side}>{esc(words)}</text>')

    def labels(self, placed: Sequence[Placed]) -> None:
        """Labels that found their place."""
        for label, spot in placed:
            for i, (words, css) in enumerate(label.lines):
                self.text(spot.x, spot.y + LINE * i, words, f"{css} halo", spot.anchor)

    def svg(self, css: str, label: str) -> str:
        """The whole picture, with what it says for those who cannot see it."""
        return (
            f'<svg class="c {css}" viewBox="0 0 {n(self.width)} {n(self.height)}" role="img" '
            f'aria-label="{esc(label, 600)}">{"".join(self._parts)}</svg>'
        )


def path(points: Sequence[Point], *, close: bool = False) -> str:
    """An SVG path through points."""
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points) + ("Z" if close else "")


def thin(points: Sequence[Point], tolerance: float = 0.35) -> list[Point]:
    """The line with fewer points that no eye tells apart (Ramer, Douglas and Peucker), at most `MOST_POINTS`."""
    found = _thin(points, tolerance)
    while len(found) > MOST_POINTS:
        tolerance *= 1.6
        found = _thin(points, tolerance)
    return found


def _thin(points: Sequence[Point], tolerance: float) -> list[Point]:
    if len(points) < 3:
        return list(points)
    keep = [False] * len(points)
    keep[0] = keep[-1] = True
    stack = [(0, len(points) - 1)]
    while stack:
        first, last = stack.pop()
        (ax, ay), (bx, by) = points[first], points[last]
        dx, dy = bx - ax, by - ay
        length = (dx * dx + dy * dy) ** 0.5
        far, index = 0.0, 0
        for i in range(first + 1, last):
            px, py = points[i]
            gap = abs(dy * (px - ax) - dx * (py - ay)) / length if length else ((px - ax) ** 2 + (py - ay) ** 2) ** 0.5
            if gap > far:
                far, index = gap, i
        if far > tolerance:
            keep[index] = True
            stack += [(first, index), (index, last)]
    return [p for p, k in zip(points, keep, strict=True) if k]
