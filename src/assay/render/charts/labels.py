"""Where words go in a picture: estimated text widths, and a placement that never lets two labels overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

LINE = 15.0
Anchor = Literal["start", "middle", "end"]
_BOLD = 1.18  # of DejaVu Sans, the widest of the fonts that a page may get
_NARROW, _WIDE = frozenset("iljtfrI.,;:'|!()[] -·"), frozenset("mwMW@%—→←")


def _advance(char: str) -> float:
    if char in _NARROW:
        return 4.1
    if char in _WIDE:
        return 10.6
    return 12.0 if ord(char) > 0x2E80 else 8.6 if char.isupper() else 7.0


def text_width(text: str, *, bold: bool = False) -> float:
    """About how many pixels `text` takes at 12 px in a system sans, rather too many than too few."""
    return sum(map(_advance, text)) * (_BOLD if bold else 1.0)


def clip_text(text: str, width: float, *, bold: bool = False) -> str:
    """`text`, or as much of it as fits into `width` with an ellipsis. Linear in what fits, not in the text."""
    room, used = width / (_BOLD if bold else 1.0), 0.0
    fits = 0
    for index, char in enumerate(text):
        used += _advance(char)
        if used > room + 1e-6:  # room is often the text's own width, reckoned in another order
            return text[:fits].rstrip() + "…" if fits else ""
        if used + _advance("…") <= room:
            fits = index + 1
    return text


def wrap_text(text: str, width: float, most: int = 2) -> list[str]:
    """`text` in at most `most` lines of at most `width` pixels."""
    lines: list[str] = []
    for word in text[:1000].split():
        if lines and text_width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return [clip_text(line, width) for line in lines]


class Box(msgspec.Struct, frozen=True):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, other: Box) -> bool:
        """Whether this lies wholly in `other`."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


class Spot(msgspec.Struct, frozen=True):
    """A place for a label: the first line's baseline point and how the text hangs on it."""

    x: float
    y: float
    anchor: Anchor = "start"


class Label(msgspec.Struct, frozen=True):
    """Lines of text (plain text, CSS class) that want one of several spots, the best first."""

    lines: tuple[tuple[str, str], ...]
    spots: tuple[Spot, ...]
    needed: bool = False

    def box(self, spot: Spot) -> Box:
        """The area that the label takes at a spot."""
        width = max(text_width(t, bold="b" in css.split() or "hard" in css.split()) for t, css in self.lines)
        left = spot.x - (0 if spot.anchor == "start" else width if spot.anchor == "end" else width / 2)
        return Box(left, spot.y - 11, left + width, spot.y + 4 + LINE * (len(self.lines) - 1))


Placed = tuple[Label, Spot]


def place(
    labels: Sequence[Label], frame: Box, taken: Iterable[Box] = (), ink: Sequence[tuple[float, float]] = ()
) -> list[Placed]:
    """Put each label on a spot inside `frame` where it overlaps no other label and nothing `taken`.

    Among the free spots the one that covers the fewest points of `ink` (drawn lines) wins, the earlier one on a tie. A
    label that finds none is searched a spot on a grid if it is `needed`, and left out else.
    """
    used = list(taken)
    placed: list[Placed] = []
    for label in labels:
        spots = [*label.spots]
        best = _best(label, spots, frame, used, ink)
        if best is None and label.needed:
            best = _best(label, list(_grid(frame)), frame, used, ink)
        if best is not None:
            used.append(label.box(best))
            placed.append((label, best))
    return placed


def _best(
    label: Label, spots: list[Spot], frame: Box, used: list[Box], ink: Sequence[tuple[float, float]]
) -> Spot | None:
    best: tuple[int, int] | None = None
    found: Spot | None = None
    for order, spot in enumerate(spots):
        box = label.box(spot)
        if not box.inside(frame) or any(box.overlaps(other) for other in used):
            continue
        covered = sum(box.left - 4 <= x <= box.right + 4 and box.top - 1 <= y <= box.bottom + 1 for x, y in ink)
        if best is None or (covered, order) < best:
            best, found = (covered, order), spot
    return found


def _grid(frame: Box) -> Iterable[Spot]:
    y = frame.top + 12
    while y < frame.bottom - 4:
        x = frame.left + 2
        while x < frame.right - 20:
            yield Spot(x, y)
            x += 18
        y += 9


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Tops of boxes stacked without overlap, near the wanted tops, inside `low`..`high` when they fit at all."""
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    tops = [0.0] * len(wanted)
    edge = low
    for i in order:
        tops[i] = max(wanted[i], edge)
        edge = tops[i] + heights[i]
    edge = high
    for i in reversed(order):
        tops[i] = min(tops[i], edge - heights[i])
        edge = tops[i]
    edge = low
    for i in order:
        tops[i] = max(tops[i], edge)
        edge = tops[i] + heights[i]
    return tops
