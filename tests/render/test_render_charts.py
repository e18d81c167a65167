"""The pictures: nice ticks, labels that never overlap or leave the picture, hatching on the right side."""

from __future__ import annotations

import html
import math
import re
from itertools import pairwise

import pytest
import render_pictures as pictures_of
import render_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from assay.core.decision import Verdict
from assay.core.exhibit import Bars, Curve, Histogram, IntervalRow, Intervals, Series, Step, Waterfall
from assay.render.charts.bound import Bound, bound_on
from assay.render.charts.curve import axis_read, draw_curve
from assay.render.charts.histogram import draw_histogram
from assay.render.charts.intervals import draw_intervals, turned
from assay.render.charts.labels import Box, Label, Spot, clip_text, place, spread, text_width, wrap_text
from assay.render.charts.mini import draw_mini
from assay.render.charts.scale import exact, linear, logarithmic, nice_step, tick_text
from assay.render.charts.svg import MOST_POINTS, thin
from assay.render.charts.waterfall import draw_waterfall
from assay.render.page.figures import figure
from assay.render.page.view import View

TEXT = re.compile(r'<text x="([\d.-]+)" y="([\d.-]+)" class="([\w ]+)"(?: text-anchor="(\w+)")?>(.*?)</text>')
finite = st.floats(-1e9, 1e9, allow_nan=False)


def texts(svg: str) -> list[tuple[Box, str]]:
    """Every text of a picture with the area it takes, a little tighter than the estimate that placed it."""
    found = []
    for x, y, css, anchor, inner in TEXT.findall(svg):
        words = html.unescape(re.sub("<[^>]+>", "", inner))
        width = text_width(words, bold="b" in css.split() or "hard" in css.split()) * 0.88
        left = float(x) - {"": 0.0, "middle": width / 2, "end": width}[anchor]
        found.append((Box(left, float(y) - 9, left + width, float(y) + 2), words))
    return found


def pictures(svg_or_page: str) -> list[tuple[float, str]]:
    """(width, SVG) of every big picture."""
    return [
        (float(m[1]), m[0]) for m in re.finditer(r'<svg class="c [wn]" viewBox="0 0 ([\d.]+) .*?</svg>', svg_or_page)
    ]


def overlapping(svg: str) -> list[tuple[str, str]]:
    """Pairs of texts that share area."""
    found = texts(svg)
    return [(a, b) for i, (box, a) in enumerate(found) for other, b in found[i + 1 :] if box.overlaps(other)]


@pytest.mark.parametrize("name", ["deny", "indeterminate", "allow"])
def test_no_text_overlaps_or_leaves_its_picture(name: str) -> None:
    view = View(samples.SAMPLES[name]())
    drawn = 0
    for outcome in view.body.outcomes:
        for exhibit in outcome.exhibits:
            for width, svg in pictures(figure(view, outcome.check, exhibit)):
                drawn += 1
                assert overlapping(svg) == []
                for box, words in texts(svg):
                    assert box.left >= -1, words
                    assert box.right <= width + 1, words
    assert drawn >= 12


def test_names_of_lines_of_one_colour_stand_below_the_narrow_picture_and_inside_it() -> None:
    kinds = ("random: ranges only", "marginal: each column", "active: where unsure", "a name " * 20)
    x = (50.0, 400.0, 3000.0, 20_000.0)
    lines = tuple(
        Series(name=name, x=x, y=tuple(0.5 + 0.1 * i + 0.01 * j for i in range(4)), kind="at-least")
        for j, name in enumerate(kinds)
    )
    curve = Curve(
        name="c", title="t", subtitle="", x_label="queries", y_label="F1", series=lines, measure="m", x_scale="log"
    )
    svg = draw_curve(curve, None, 350, "")
    assert overlapping(svg) == []
    (axis,) = (box for box, words in texts(svg) if words == "queries")
    names = [(box, words) for box, words in texts(svg) if "(at least)" in words]
    assert [words.partition("name")[0] for _, words in names] == [f"{k} (at least)" for k in kinds[:3]] + ["a "]
    for box, words in names:
        assert box.top > axis.bottom, words
        assert box.left + (box.right - box.left) / 0.88 <= 350, words
    assert float(svg.partition('viewBox="0 0 350 ')[2].partition('"')[0]) >= names[-1][0].bottom
    assert svg.count("M2 ") == 4, "a sample of each stroke"


def test_a_text_is_not_wider_than_it_is_reckoned() -> None:
    assert text_width("random: ranges only (at least)", bold=True) >= 206.6, "measured of DejaVu Sans Bold"


def test_every_text_is_at_least_12_pixels_at_its_own_width() -> None:
    from importlib.resources import files

    css = files("assay.render").joinpath("assets/report.css").read_text(encoding="utf-8")
    screen = css.partition("@media print")[0]
    sizes = [float(s) for s in re.findall(r"font-size:(\d+(?:\.\d+)?)px", screen)]
    assert min(sizes) >= 12
    assert "svg text{font-family:var(--sans);font-size:12px" in screen


@given(st.floats(1e-6, 1e9), st.integers(1, 12))
def test_nice_step_is_round_and_cuts_into_few_parts(span: float, most: int) -> None:
    step = nice_step(span, most)
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-12)
    assert any(math.isclose(mantissa, s, rel_tol=1e-6) for s in (1, 2, 2.5, 5, 10))
    assert span / step <= most * (1 + 1e-6)


@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_linear_scale_holds_every_value_and_has_ticks(values: list[float], zero: bool) -> None:
    scale = linear(values, 0, 100, 5, zero=zero)
    span = scale.high - scale.low
    assert span > 0
    assert min(values) >= scale.low - span * 1e-5
    assert max(values) <= scale.high + span * 1e-5
    assert 2 <= len(scale.ticks) <= 9
    if zero:
        assert scale.low <= 0 <= scale.high


def test_exact_scale_starts_and_ends_with_the_data() -> None:
    scale = exact(0.0, 8.0, 30, 630, 8)
    assert scale.ticks == (0, 1, 2, 3, 4, 5, 6, 7, 8)
    assert (scale(0), scale(8)) == (30, 630)


@pytest.mark.parametrize(
    ("value", "step", "unit", "plus", "want"),
    [
        (0.4, 0.2, "%", False, "40%"), (0.025, 0.025, "%", False, "2.5%"), (-0.5, 0.5, "", False, "−0.5"),
        (2.0, 1.0, "", True, "+2"), (0.0, 1.0, "", True, "0"), (1500.0, 500.0, "", False, "1,500"),
    ],
)  # fmt: skip
def test_ticks_read_as_people_write_them(value: float, step: float, unit: str, plus: bool, want: str) -> None:
    assert tick_text(value, step, unit, plus=plus) == want


boxes = st.builds(
    lambda x, y, words, anchor: Label(((words, "b"),), (Spot(x, y, anchor),), needed=True),
    st.floats(0, 600), st.floats(0, 360), st.text("abcdefghij ", min_size=1, max_size=18),
    st.sampled_from(["start", "middle", "end"]),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(boxes, max_size=12))
def test_placed_labels_never_overlap_and_stay_inside(labels: list[Label]) -> None:
    frame = Box(0, 0, 640, 372)
    obstacle = Box(300, 150, 340, 200)
    placed = place(labels, frame, [obstacle])
    areas = [label.box(spot) for label, spot in placed]
    assert all(a.inside(frame) and not a.overlaps(obstacle) for a in areas)
    assert not [1 for i, a in enumerate(areas) for b in areas[i + 1 :] if a.overlaps(b)]
    assert len(placed) == len(labels)  # there is room for a dozen


def test_a_label_that_need_not_be_there_is_left_out_rather_than_overlap() -> None:
    spot = (Spot(10, 20),)
    first, second = Label((("one", "b"),), spot), Label((("two", "b"),), spot)
    assert [label for label, _ in place([first, second], Box(0, 0, 100, 100))] == [first]


def test_a_label_prefers_the_spot_that_covers_no_line() -> None:
    label = Label((("word", "q"),), (Spot(10, 50), Spot(10, 90)))
    ((_, spot),) = place([label], Box(0, 0, 100, 100), (), [(20, 48)])
    assert spot == Spot(10, 90)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_spread_boxes_do_not_overlap(wanted: list[float]) -> None:
    heights = [32.0] * len(wanted)
    tops = spread(wanted, heights, 0, 330)
    order = sorted(tops)
    assert all(b - a >= 32 - 1e-6 for a, b in pairwise(order))
    assert min(tops) >= -1e-6
    assert max(tops) + 32 <= 330 + 1e-6


@given(st.text(max_size=80), st.floats(20, 300))
def test_clipped_text_fits(words: str, width: float) -> None:
    assert text_width(clip_text(words, width)) <= width
    assert all(text_width(line) <= width for line in wrap_text(words, width))


def test_thinning_keeps_the_ends_and_bounds_the_points() -> None:
    noise = [(float(i), float((i * 7919) % 300)) for i in range(500)]
    short = thin(noise)
    assert (short[0], short[-1]) == (noise[0], noise[-1])
    assert len(short) <= MOST_POINTS
    assert thin([(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]) == [(0.0, 0.0), (2.0, 2.0)]


def bound(value: float | None, at: float, better: str = "higher") -> Bound:
    """A bound on a measure."""
    return Bound(at=at, better=better, verdict=Verdict.DENY, line=10, value=value)  # type: ignore[arg-type]


def test_the_axis_that_holds_the_measure_is_found() -> None:
    assert axis_read(pictures_of.evasion_curve(), bound(0.34, 0.4)) == "y"
    assert axis_read(pictures_of.holdout_curve(), bound(0.704, 0.6)) == "x"
    assert axis_read(pictures_of.holdout_curve(), bound(0.123, 0.6)) == ""  # another number: nothing is hatched
    assert axis_read(pictures_of.holdout_curve(), None) == ""


def hatches(svg: str) -> list[tuple[float, float, float, float]]:
    """x, y, width, height of every hatched area."""
    pattern = r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="url\(#hatch\)"/>'
    return [tuple(map(float, m)) for m in re.findall(pattern, svg)]  # type: ignore[misc]


def test_hatching_lies_on_the_denying_side() -> None:
    curve = pictures_of.evasion_curve()
    ((_, top, _, height),) = hatches(draw_curve(curve, bound(0.34, 0.4), 640, ""))
    ((_, top2, _, height2),) = hatches(draw_curve(curve, bound(0.34, 0.4, "lower"), 640, ""))
    assert top > top2  # a floor hatches below the bound, a ceiling above
    assert top2 + height2 == pytest.approx(top, abs=0.2)
    assert height > 0
    ((left, _, width, _),) = hatches(draw_curve(pictures_of.holdout_curve(), bound(0.704, 0.6), 640, ""))
    assert left < 60
    assert width == pytest.approx(0.6 * (640 - 16 - left), rel=0.02)


def test_rows_where_less_is_better_are_turned_and_hatched_at_the_left() -> None:
    exhibit = pictures_of.champion_intervals()
    assert [turned(exhibit, r) for r in exhibit.rows] == [1, -1, 1, 1]

    def bounds(row: IntervalRow) -> Bound | None:
        return bound(row.value, 0.004, "lower") if row.better == "lower" else None

    ((left, _, width, _),) = hatches(draw_intervals(exhibit, bounds, 640, ""))
    assert left + width < 640 / 2


def test_a_bound_belongs_to_the_row_that_the_rule_read() -> None:
    rules = samples.decision(samples.outcomes(), 0.4).trace
    plain = bound_on(rules, "performance.holdout", "performance.recall", 509 / 723)
    paired = bound_on(rules, "performance.versus-champion", "performance.recall", 0.018)
    assert plain is not None
    assert paired is not None
    assert (plain.at, paired.at) == (0.6, -0.01)
    assert bound_on(rules, "performance.holdout", "performance.recall", 0.9) is None
    assert bound_on(rules, "performance.holdout", "performance.pr_auc", 0.5) is None


def test_mini_picture_bars_the_end_that_the_gate_reads() -> None:
    trace = samples.decision(samples.outcomes(), 0.4).trace
    rule = next(r for r in trace if r.line == 10)
    svg = draw_mini(rule, "fail")
    assert "url(#hatch)" in svg
    assert "var(--fail)" in svg
    assert draw_mini(trace[0], "pass") == ""


def test_bands_that_lie_over_one_another_have_the_edges_of_their_lines() -> None:
    x, y = (0.0, 0.5, 1.0), (0.2, 0.6, 0.4)
    lines = tuple(
        Series(name=name, x=x, y=y, low=tuple(v - 0.1 for v in y), high=tuple(v + 0.1 for v in y)) for name in "ab"
    )
    curve = Curve(name="c", title="t", subtitle="", x_label="x", y_label="y", series=lines, measure="m")
    svg = draw_curve(curve, None, 640, "")
    edges = re.findall(r'class="cd edge"([^/]*)/>', svg)
    assert edges == ["", "", ' stroke-dasharray="9 4"', ' stroke-dasharray="9 4"'], "two a band, in its line's stroke"
    assert svg.count('fill="var(--band)" fill-opacity') == 2
    below = tuple(replace(s, low=(0.0, 0.0, 0.0)) for s in lines)
    assert 'd="M"' not in draw_curve(replace(curve, series=below, y_scale="log"), None, 640, "")
    alone = draw_curve(replace(curve, series=lines[:1]), None, 640, "")
    assert "edge" not in alone
    assert 'fill="var(--band)"/>' in alone


numbers = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=30), st.one_of(st.none(), finite), st.sampled_from([640, 350]))
def test_any_curve_is_drawn_without_a_bad_number(
    points: list[tuple[float, float]], mark: float | None, width: int
) -> None:
    xs, ys = tuple(p[0] for p in points), tuple(p[1] for p in points)
    lines = (Series(name="one", x=xs, y=ys), Series(name="two", x=xs, y=ys, low=ys, high=ys, kind="at-least"))
    curve = Curve(
        name="c",
        title="t",
        subtitle="",
        x_label="x",
        y_label="y",
        series=lines,
        mark=mark,
        mark_label="here",
        measure="m",
    )
    svg = draw_curve(curve, bound(ys[0] if ys and math.isfinite(ys[0]) else None, 0.5), width, "")
    assert not re.search(r"nan|inf", svg)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=8), st.sampled_from([640, 350]))
def test_any_intervals_are_drawn_without_a_bad_number(rows: list[tuple[float, float, float]], width: int) -> None:
    made = tuple(IntervalRow(label=f"r{i}", value=v, low=a, high=b, better="lower") for i, (v, a, b) in enumerate(rows))
    exhibit = Intervals(name="i", title="t", subtitle="", unit="u", rows=made, reference=0.0)
    svg = draw_intervals(exhibit, lambda row: bound(row.value, 0.1), width, "")
    assert not re.search(r'="(nan|inf|-inf)|[ML](nan|inf)', svg)


@settings(max_examples=60, deadline=None)
@given(st.lists(numbers, max_size=20), st.sampled_from([640, 350]))
def test_any_counts_and_steps_are_drawn_without_a_bad_number(values: list[float], width: int) -> None:
    edges = tuple(float(i) for i in range(len(values) + 1))
    bars = Histogram(
        name="h", title="t", subtitle="", x_label="x", edges=edges, series=(Bars(name="n", counts=tuple(values)),),
        mark=1.0, mark_label="m",
    )  # fmt: skip
    steps = tuple(Step(label=f"s{i}", change="+1", value=v) for i, v in enumerate(values))
    fall = Waterfall(
        name="w",
        title="t",
        subtitle="",
        x_label="x",
        start_label="start",
        start=0.5,
        steps=steps,
        mark=0.3,
        mark_label="m",
    )
    for svg in (draw_histogram(bars, width, ""), draw_waterfall(fall, width, "", denies=False)):
        assert not re.search(r'="(nan|inf|-inf)|[MLHVv](nan|inf)', svg)


def test_values_against_a_reference_that_is_not_zero_carry_no_sign() -> None:
    rows = (IntervalRow(label="Month", value=0.69, low=0.65, high=0.73, better="lower"),)
    exhibit = Intervals(name="i", title="t", subtitle="", unit="ROC area", rows=rows, reference=0.5)
    svg = draw_intervals(exhibit, lambda _: None, 640, "")
    assert ">0.690<" in svg
    assert "+0" not in svg
    assert turned(exhibit, rows[0]) == 1


def test_a_log_axis_gives_every_factor_the_same_room_and_leaves_out_what_is_not_above_zero() -> None:
    axis = logarithmic([0.001, 1.0], 0.0, 300.0)
    assert (axis.low, axis.high) == (0.001, 1.0)
    assert [axis(v) for v in (0.001, 0.01, 0.1, 1.0)] == pytest.approx([0, 100, 200, 300])
    assert axis.value(150.0) == pytest.approx(10**-1.5)
    assert [axis.tick(t, "%") for t in axis.ticks if t in (0.001, 0.01, 1.0)] == ["0.1%", "1%", "100%"]
    assert not axis.shows(0.0)
    assert axis.near(0.0101) == 0.01
    x = (0.0, 0.001, 0.1, 1.0)
    line = Series(name="found", x=x, y=(0.0, 0.01, 0.3, 1.0))
    curve = Curve(
        name="roc", title="", subtitle="", x_label="false positive rate", y_label="true positive rate",
        series=(line,), x_scale="log", y_scale="log",
    )  # fmt: skip
    picture = draw_curve(curve, None, 640, "roc")
    assert "nan" not in picture
    assert picture.count("<circle") == 3, "the point at 0 has no place"


@given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20))
def test_a_log_axis_holds_its_values_between_ticks(values: list[float]) -> None:
    axis = logarithmic(values, 0.0, 100.0)
    assert axis.low <= min(values) * (1 + 1e-9)
    assert axis.high >= max(values) * (1 - 1e-9)
    assert axis.ticks[0] == axis.low < axis.high
    assert len(axis.ticks) <= 12
    assert all(-1e-6 <= axis(v) <= 100 + 1e-6 for v in values)
