"""An exhibit on the page: title, picture in two widths, the numbers behind it, and the note."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from assay.core.decision import Verdict
from assay.core.exhibit import Curve, Exhibit, Histogram, IntervalRow, Intervals, Series, Table, Waterfall
from assay.render.charts.bound import Bound, bound_on
from assay.render.charts.curve import axis_read, draw_curve
from assay.render.charts.histogram import counts_of, draw_histogram
from assay.render.charts.intervals import MOST_ROWS, draw_intervals, turned
from assay.render.charts.waterfall import LEAST_MOVE, draw_waterfall, moving, shown_steps
from assay.render.page.escape import esc
from assay.render.page.parts import cell, head, row
from assay.render.page.view import View
from assay.render.page.words import capital, clip, number, plural

WIDE, NARROW = 640, 350
MOST_NUMBERS = 24
MOST_TABLE_ROWS = 40
_OPEN_TABLE = 12
# Cells of at most this many characters stay on one line.
SHORT_CELL = 24
# A table of more columns takes the paper's whole width.
BROAD = 4

Row = tuple[str, ...]
_POWERS = re.compile(r"[1-9](\.[0-9]+)?e\+0[0-5]")


def figure(view: View, check: str, exhibit: Exhibit) -> str:
    """The whole figure as HTML."""
    if isinstance(exhibit, Table):
        return _table(exhibit)
    bound: Bound | None = None
    if isinstance(exhibit, Curve):
        bound = _curve_bound(view, check, exhibit)
        draw = [draw_curve(exhibit, bound, w, _aria(exhibit)) for w in (WIDE, NARROW)]
        if not axis_read(exhibit, bound):
            bound = None
    elif isinstance(exhibit, Intervals):

        def bounds(one: IntervalRow) -> Bound | None:
            return bound_on(view.trace, check, one.measure, one.value)

        draw = [draw_intervals(exhibit, bounds, w, _aria(exhibit)) for w in (WIDE, NARROW)]
        bound = next((b for r in exhibit.rows[:MOST_ROWS] if (b := bounds(r)) is not None), None)
    elif isinstance(exhibit, Histogram):
        draw = [draw_histogram(exhibit, w, _aria(exhibit)) for w in (WIDE, NARROW)]
    else:
        denies = any(r.verdict is Verdict.DENY for r in view.rules_on(check))
        draw = [draw_waterfall(exhibit, w, _aria(exhibit), denies=denies) for w in (WIDE, NARROW)]
    return f"<figure>{_caption(exhibit)}{''.join(draw)}{_numbers(exhibit)}{_note(view, exhibit, bound)}</figure>"


def _curve_bound(view: View, check: str, exhibit: Curve) -> Bound | None:
    """The rule on this curve's measure; where several subjects were measured, the one that the curve shows."""
    rules = [r for r in view.trace if r.measure == exhibit.measure and r.check in (check, "")]
    fitting = [r for r in rules if axis_read(exhibit, bound_on([r], check, exhibit.measure))]
    return bound_on(fitting or rules, check, exhibit.measure)


def _caption(exhibit: Exhibit) -> str:
    under = f"<p>{esc(exhibit.subtitle)}</p>" if exhibit.subtitle else ""
    return f"<figcaption><h3>{esc(exhibit.title)}</h3>{under}</figcaption>"


def _aria(exhibit: Exhibit) -> str:
    text = f"{exhibit.title}. {exhibit.subtitle}"
    if isinstance(exhibit, Intervals):
        text += ". " + "; ".join(
            f"{r.label} {number(r.value)}, interval {number(r.low)} to {number(r.high)}" for r in exhibit.rows[:5]
        )
    if isinstance(exhibit, Curve) and exhibit.mark_label:
        text += f". Marked: {exhibit.mark_label}"
    if isinstance(exhibit, Waterfall):
        last = exhibit.steps[-1].value if exhibit.steps else exhibit.start
        text += f". From {number(exhibit.start)} to {number(last)}"
    return text


def _note(view: View, exhibit: Exhibit, bound: Bound | None) -> str:
    parts = [esc(exhibit.note)] if exhibit.note else []
    if isinstance(exhibit, Curve):
        kinds = {s.kind for s in exhibit.series}
        if {"at-most", "at-least"} <= kinds:
            parts.append("The truth lies between the lines: an attack that works shows “at most”, a proof “at least”.")
        elif "at-most" in kinds:
            parts.append("Solid is what the best attack found left over: at most this, there may be better attacks.")
    if isinstance(exhibit, Intervals):
        if any(turned(exhibit, r) < 0 for r in exhibit.rows):
            parts.append(
                "Rows with ⇄ are turned round, sign and all, so that the right is better; “The numbers” below show "
                "them as measured."
            )
        if len(exhibit.rows) > MOST_ROWS:
            parts.append(f"Drawn are the first {MOST_ROWS} of {len(exhibit.rows)} rows.")
    if isinstance(exhibit, Waterfall):
        moved = len(moving(exhibit))
        if still := len(exhibit.steps) - moved:
            parts.append(f"Not drawn: {plural(still, 'change')} that moved the score by less than {LEAST_MOVE:g}.")
        if len(shown_steps(exhibit)) < moved:
            parts.append(f"Drawn are the first of {moved} changes and the last.")
    if bound is not None and view.decision is not None:
        where = f"{policy_name(view)}:{bound.line}" if bound.line else policy_name(view)
        parts.append(f"Hatched: where <code>{esc(where)}</code> denies.")
    return f'<p class="note">{" ".join(parts)}</p>' if parts else ""


def policy_name(view: View) -> str:
    """The policy's file name, or "the policy"."""
    uri = view.decision.policy.uri if view.decision is not None else ""
    return uri.replace("\\", "/").rpartition("/")[2] or "the policy"


def _numbers(exhibit: Exhibit) -> str:
    columns, rows = _rows_of(exhibit)
    if not rows:
        return ""
    shown = _picked(rows)
    heads = "".join(
        f'<th scope="col"{" class=r" if i else ""}>{_heading(c)}</th>' for i, c in enumerate(columns)
    )  # fmt: skip
    body = "".join(
        f'<tr><th scope="row">{esc(r[0], 80)}</th>' + "".join(f"<td class=r>{esc(c, 80)}</td>" for c in r[1:]) + "</tr>"
        for r in shown
    )
    fit = " class=fit" if all(len(c) <= SHORT_CELL for r in shown for c in r[1:]) else ""
    less = (
        f'<p class="note">{len(shown)} of {plural(len(rows), "row")}; <code>--format json</code> writes all.</p>'
        if len(shown) < len(rows)
        else ""
    )
    return (
        f'<details class="fig-nums"><summary>The numbers</summary><div class="tw"><table{fit}><thead><tr>{heads}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>{less}</details>"
    )


def _heading(text: str) -> str:
    """A column's name; a word that no column is wide enough for may break."""
    return " ".join("<wbr>".join(esc(w[i : i + 14]) for i in range(0, len(w), 14)) for w in clip(text, 60).split(" "))


def _picked(rows: Sequence[Row]) -> list[Row]:
    """At most `MOST_NUMBERS` rows, evenly over the whole."""
    if len(rows) <= MOST_NUMBERS:
        return list(rows)
    last = len(rows) - 1
    return [rows[round(i * last / (MOST_NUMBERS - 1))] for i in range(MOST_NUMBERS)]


def _rows_of(exhibit: Exhibit) -> tuple[Row, list[Row]]:
    if isinstance(exhibit, Curve):
        return _curve_rows(exhibit)
    if isinstance(exhibit, Intervals):
        rows: list[Row] = [
            (r.label, number(r.value), f"{number(r.low)} to {number(r.high)}", "" if r.n is None else f"{r.n:,}")
            for r in exhibit.rows
        ]
        return (exhibit.unit or "row", "value", "interval", "n"), rows
    if isinstance(exhibit, Histogram):
        names = exhibit.labels or tuple(
            f"{number(a)} to {number(b)}" for a, b in zip(exhibit.edges, exhibit.edges[1:], strict=False)
        )
        columns = [counts_of(s) for s in exhibit.series]
        return (exhibit.x_label, *(s.name for s in exhibit.series)), [
            (name, *(number(c[i]) for c in columns)) for i, name in enumerate(names)
        ]
    if isinstance(exhibit, Waterfall):
        return ("step", "change", "score after"), [
            (exhibit.start_label, "", number(exhibit.start)),
            *((s.label, s.change, number(s.value)) for s in exhibit.steps),
        ]
    return (), []


def _curve_rows(exhibit: Curve) -> tuple[Row, list[Row]]:
    """One row for each x where all lines share their x values; else the lines one after another."""
    label = exhibit.x_label.partition(":")[0]
    if len({s.x for s in exhibit.series}) == 1:
        columns: list[str] = [label]
        for s in exhibit.series:
            columns += [s.name, "interval"] if s.low else [s.name]
        rows = []
        for i, x in enumerate(exhibit.series[0].x):
            cells = [number(x)]
            for s in exhibit.series:
                cells += [number(s.y[i]), _band(s, i)] if s.low else [number(s.y[i])]
            rows.append(tuple(cells))
        return tuple(columns), _last_of_each(rows, 1)
    bands = any(s.low for s in exhibit.series)
    rows = [
        (s.name, number(x), number(s.y[i]), *([_band(s, i)] if bands else []))
        for s in exhibit.series for i, x in enumerate(s.x)
    ]  # fmt: skip
    columns = ["line", label, exhibit.y_label.partition(":")[0], *(["interval"] if bands else [])]
    return tuple(columns), _last_of_each(rows, 2)


def _band(series: Series, place: int) -> str:
    """The interval of one point in words, "" for a line without a band. Its level is told by who drew the exhibit."""
    return f"{number(series.low[place])} to {number(series.high[place])}" if series.low else ""


def _last_of_each(rows: list[Row], leading: int) -> list[Row]:
    """Of neighbouring rows whose first cells print the same the last: the two ends of a step are not told twice."""
    after = [*rows[1:], ()]
    return [row for row, following in zip(rows, after, strict=True) if row[:leading] != following[:leading]]


def _table(exhibit: Table) -> str:
    numeric = [_is_numeric(exhibit, i) for i in range(len(exhibit.columns))]
    heads = "".join(
        f'<th scope="col"{" class=r" if i and numeric[i] and c != exhibit.bar else ""}>{_heading(capital(c))}</th>'
        for i, c in enumerate(exhibit.columns)
    )
    rows = [_table_row(exhibit, r, numeric) for r in exhibit.rows[:MOST_TABLE_ROWS]]
    caption = f'<div class="fh">{esc(exhibit.title)}</div>'
    under = f'<p class="sub">{esc(exhibit.subtitle)}</p>' if exhibit.subtitle else ""
    start = f'<table class="stack"><thead><tr>{heads}</tr></thead><tbody>'
    html = f'<div class="tw">{start}{"".join(rows[:_OPEN_TABLE])}</tbody></table></div>'
    if len(rows) > _OPEN_TABLE:
        html += (
            f'<details class="fig-nums"><summary>{plural(len(rows) - _OPEN_TABLE, "more row")}</summary>'
            f'<div class="tw">{start}{"".join(rows[_OPEN_TABLE:])}</tbody></table></div></details>'
        )
    notes = [esc(exhibit.note)] if exhibit.note else []
    if len(exhibit.rows) > MOST_TABLE_ROWS:
        rows_ = len(exhibit.rows)
        notes.append(f"{MOST_TABLE_ROWS} of {rows_} rows; <code>--format json</code> writes these {rows_}.")
    note = f'<p class="note">{" ".join(notes)}</p>' if notes else ""
    return (
        f'<figure class="{"broad" if len(exhibit.columns) > BROAD else "full"}">{caption}{under}{html}{note}</figure>'
    )


def _is_numeric(exhibit: Table, column: int) -> bool:
    known = [r[column] for r in exhibit.rows if r[column] is not None]
    return bool(known) and all(isinstance(v, (int, float)) for v in known)


def _table_row(exhibit: Table, values: tuple[str | float | int | None, ...], numeric: list[bool]) -> str:
    cells = []
    for i, (name, value) in enumerate(zip(exhibit.columns, values, strict=True)):
        text = _cell_text(value)
        if name == exhibit.bar and isinstance(value, (int, float)) and math.isfinite(value):
            width = round(min(1.0, max(0.0, float(value))) * 38)
            cells.append(cell(capital(name[:60]), f'<span class="cbar" style="width:{width}px"></span>{text}', "nw"))
        elif i == 0:
            plain = esc(value) if isinstance(value, int) else text
            cells.append(head(f"<code>{plain}</code>" if numeric[i] else plain))
        else:
            cells.append(cell(capital(name[:60]), _plain(text), "r nw" if numeric[i] else ""))
    return row(*cells)


def _plain(text: str) -> str:
    """A cell that is wholly a number in powers of ten, as `2.17e+04`, in figures: `21,700`."""
    return number(float(text)) if _POWERS.fullmatch(text) else text


def _cell_text(value: str | float | int | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return esc(number(value))
    return esc(f"{value:,}" if isinstance(value, int) and abs(value) >= 10000 else value, 200)
