"""A picture's data, yielded by checks and drawn by the renderers: at most 500 points, plain numbers, raw units."""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_POINTS = 500
Role = Literal["data", "other"]
AxisScale = Literal["linear", "log"]


def _bounded(name: str, points: int) -> None:
    if points > MAX_POINTS:
        raise ValueError(f"exhibit {name} has {points} points; at most {MAX_POINTS}")


class Series(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line: y over x, with an optional band. All tuples have the same length. `kind` is how sure the line is."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    role: Role = "data"
    kind: Literal["estimate", "at-most", "at-least"] = "estimate"


class Curve(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="curve"):
    """Lines over a common axis. `mark` is the x that matters (the declared budget, the operating point). On a log axis
    what is not above 0 is not drawn."""

    name: str
    title: str
    subtitle: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    y_unit: str = ""
    x_scale: AxisScale = "linear"
    y_scale: AxisScale = "linear"
    mark: float | None = None
    mark_label: str = ""
    measure: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse more points than a page should carry, and ragged series."""
        _bounded(self.name, sum(len(s.x) for s in self.series))
        for s in self.series:
            if len(s.x) != len(s.y) or len(s.low) != len(s.high) or len(s.low) not in (0, len(s.x)):
                raise ValueError(f"exhibit {self.name}: series {s.name} is ragged")


class IntervalRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One interval: `value` between `low` and `high`. `measure` names the measure a policy may read."""

    label: str
    value: float
    low: float
    high: float
    n: int | None = None
    measure: str = ""
    better: Literal["higher", "lower", ""] = ""


class Intervals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intervals"):
    """Values with intervals on one axis; `reference` is the line of no difference. `verbatim` labels are names that
    are shown as they are."""

    name: str
    title: str
    subtitle: str
    unit: str
    rows: tuple[IntervalRow, ...]
    reference: float | None = None
    verbatim: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse more points than a page should carry."""
        _bounded(self.name, len(self.rows))


class Bars(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts per bin (or per category label)."""

    name: str
    counts: tuple[float, ...]
    role: Role = "data"


class Histogram(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="histogram"):
    """Counts over `edges` (numeric, one more than counts) or over `labels` (categories)."""

    name: str
    title: str
    subtitle: str
    x_label: str
    series: tuple[Bars, ...]
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    mark: float | None = None
    mark_label: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse more points than a page should carry, and bins that fit neither edges nor labels."""
        _bounded(self.name, sum(len(s.counts) for s in self.series))
        bins = len(self.labels) or len(self.edges) - 1
        if any(len(s.counts) != bins for s in self.series):
            raise ValueError(f"exhibit {self.name}: counts do not fit the bins")


class Table(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="table"):
    """Rows of facts. `bar` names the one column whose value (0..1) is drawn as a bar. Cells never hold raw rows."""

    name: str
    title: str
    subtitle: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    bar: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse more cells than a page should carry, and ragged rows."""
        _bounded(self.name, len(self.rows))
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"exhibit {self.name}: ragged rows")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a waterfall: what was changed (as a change, never a raw value) and the score after it."""

    label: str
    change: str
    value: float


class Waterfall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="waterfall"):
    """How a score moves from `start` to the last step, change by change; `mark` is the decision threshold."""

    name: str
    title: str
    subtitle: str
    x_label: str
    start_label: str
    start: float
    steps: tuple[Step, ...]
    mark: float | None = None
    mark_label: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse more points than a page should carry."""
        _bounded(self.name, len(self.steps))


Exhibit = Curve | Intervals | Histogram | Table | Waterfall
