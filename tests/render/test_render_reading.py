"""What a first reader misread once: every number, sign, name and reason is told so that it reads one way only."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace
from render_dossier import decided, dossier, finding, outcome

from assay.core.decision import RuleTrace, Verdict
from assay.core.exhibit import Curve, IntervalRow, Intervals, Series, Step, Table, Waterfall
from assay.core.finding import Measure, Severity, Status
from assay.core.release import Material, Release, Role, Terms
from assay.core.report import CheckInfo
from assay.core.subject import Attacker, Contract, Feature, Kind, Stage, Subject
from assay.render.charts.curve import draw_curve, strokes
from assay.render.charts.intervals import draw_intervals, turned, value_words
from assay.render.charts.labels import clip_text, text_width
from assay.render.charts.waterfall import draw_waterfall
from assay.render.html import render_html
from assay.render.page.chain import chain
from assay.render.page.figures import figure
from assay.render.page.say import advised, measure_value
from assay.render.page.view import View
from assay.render.page.words import name_words, number, percent
from assay.render.text import render_text

HELD = outcome("data.duplicates", Status.PASS)


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]+>", " ", html, flags=re.S))


def apart(check: str, reason: str) -> Any:
    return outcome(check, Status.NOT_APPLICABLE, reason=reason)


def test_why_nothing_was_judged_is_told() -> None:
    text = render_text(dossier(apart("privacy.membership", "m declares no data")))
    assert "  n/a   privacy.membership on model: m declares no data\n" in text


def test_one_reason_is_told_once_and_many_are_cut() -> None:
    alike = [apart(f"data.c{i}", "no column holds texts") for i in range(5)]
    assert "  n/a   data.c0, data.c1, and 3 more on model: no column" in render_text(dossier(*alike))
    many = render_text(dossier(*(apart(f"data.c{i:02}", f"reason {i}") for i in range(20))))
    assert many.count("  n/a   ") == 8
    assert "  and 12 more: --format json\n" in many


def test_many_that_do_not_apply_take_one_line_beside_what_was_judged() -> None:
    text = render_text(dossier(HELD, *(apart(f"data.c{i:02}", f"reason {i}") for i in range(20))))
    assert "  n/a   data.c00, data.c01, and 18 more: --format json says why\n" in text
    assert text.count("  n/a   ") == 1


def one_curve(x: tuple[float, ...], **changes: Any) -> Curve:
    line = Series(name="attack", x=x, y=tuple(i / 30 for i in range(len(x), 0, -1)))
    given: dict[str, Any] = {"name": "c", "title": "t", "subtitle": "", "x_label": "budget", "y_label": "recall"}
    return Curve(**{**given, "series": (line,), **changes})


def test_a_step_is_told_once_in_the_numbers_by_its_later_end() -> None:
    html = figure(View(dossier(HELD)), "x", one_curve((0.0, 3 * (1 - 2e-6), 3.0)))
    rows = re.findall(r'<th scope="row">([^<]*)</th><td class=r>([^<]*)<', html)
    assert rows == [("0", "0.100"), ("3.000", "0.033")], "what stands at 3 is what is left at 3"


def test_lines_of_unlike_places_keep_a_step_s_later_end_each() -> None:
    two = (Series(name="a", x=(1.0, 1.0), y=(0.1, 0.2)), Series(name="b", x=(1.0, 2.0), y=(0.3, 0.4)))
    html = figure(View(dossier(HELD)), "x", one_curve((), series=two))
    assert re.findall(r'<th scope="row">(\w)</th><td class=r>1.000</td><td class=r>([^<]*)<', html) == [
        ("a", "0.200"), ("b", "0.300"),
    ]  # fmt: skip


def test_an_interval_in_the_numbers_has_no_other_level_than_the_pictures() -> None:
    band = {"low": (0.1, 0.2), "high": (0.3, 0.4)}
    rates = Intervals(
        name="i", title="t", subtitle="Wilson intervals at 99.86%", unit="share",
        rows=(IntervalRow(label="a", value=0.5, low=0.4, high=0.6),),
    )  # fmt: skip
    alike = one_curve((), series=(Series(name="a", x=(1.0, 2.0), y=(0.2, 0.3), **band),))
    for exhibit in (rates, alike):
        html = figure(View(dossier(HELD)), "x", exhibit)
        assert ">interval</th>" in html
        assert "95%" not in html


def test_lines_of_unlike_places_keep_their_intervals() -> None:
    banded = Series(name="a", x=(1.0, 2.0), y=(0.2, 0.3), low=(0.1, 0.2), high=(0.3, 0.4))
    plain = Series(name="b", x=(1.0, 9.0), y=(0.5, 0.5), role="other")
    html = figure(View(dossier(HELD)), "x", one_curve((), series=(banded, plain)))
    assert ">interval</th>" in html
    assert "<td class=r>0.300</td><td class=r>0.200 to 0.400</td>" in html
    assert "<td class=r>0.500</td><td class=r></td>" in html


@pytest.mark.parametrize("role", ["data", "other"])
def test_lines_of_one_colour_have_strokes_of_their_own(role: Any) -> None:
    lines = tuple(Series(name=n, x=(0.0, 1.0), y=(0.2, 0.3), role=role) for n in ("sex", "race", "age"))
    curve = one_curve((), series=lines)
    assert len(set(strokes(curve))) == 3
    for width in (640, 350):
        drawn = draw_curve(curve, None, width, "")
        assert drawn.count("stroke-dasharray") == 4, "two lines, and a sample of each beside its name"
        assert ">race<" in drawn


def test_one_line_needs_no_sample_of_its_stroke() -> None:
    assert "stroke-dasharray" not in draw_curve(one_curve((0.0, 1.0)), None, 640, "")


def rule(asks: str, verdict: Verdict, check: str, **changes: Any) -> RuleTrace:
    given: dict[str, Any] = {"line": 4, "rule": "r", "saw": "", "decided_by": (check,), "covers": (check,), **changes}
    return RuleTrace(asks=asks, verdict=verdict, check=check, **given)


def checks_of(**fixes: str) -> tuple[CheckInfo, ...]:
    return tuple(
        CheckInfo(id=i.replace("_", "."), version=1, kind=Kind.MODEL, stage=Stage.MODEL, severity=Severity.HIGH,
                  tags=(), summary="s", help="h", fix=fix)
        for i, fix in fixes.items()
    )  # fmt: skip


def test_what_comes_next_is_the_fix_of_the_rule_that_failed() -> None:
    weak = Measure(name="robustness.evasion.recall_under_attack", value=0.03, low=0.01, high=0.05)
    other = finding(check="privacy.membership", severity=Severity.MEDIUM, fix="train with larger leaves")
    stopped = rule("measure", Verdict.DENY, "robustness.evasion", measure=weak.name, value=0.03, bound=0.3)
    said = dossier(
        outcome("robustness.evasion", measures=(weak,)),
        outcome("privacy.membership", Status.FAIL, findings=(other,)),
        decision=decided(trace=(stopped,)),
        checks=checks_of(robustness_evasion="add features that are hard to change; measure", privacy_membership="x"),
    )
    told = words(chain(View(said)))
    assert "Next add features that are hard to change" in told
    assert "larger leaves" not in told


def test_the_fix_of_an_open_check_says_what_kept_it() -> None:
    blind = outcome("fairness.groups", Status.OPEN, complete=False, reason="too few rows to decide race")
    stopped = rule("outcome", Verdict.INDETERMINATE, "fairness.groups")
    html = render_html(dossier(blind, decision=decided(Verdict.INDETERMINATE, trace=(stopped,))))
    assert "from looking at model (too few rows to decide race), then look again" in words(html)


@pytest.mark.parametrize(
    ("reason", "option"),
    [
        ("m names no training rows; add `data:` to it in assay.yaml", "--train FILE"),
        ("does not say which columns it reads; set `inputs:` or `data:`", "--train FILE"),
        ("no untouched data; add `holdout:` to it in assay.yaml", "--data FILE"),
        ("no label is declared; give --label, or `label:` in assay.yaml", ""),
        ("m declares no `champion:`", ""),
    ],
    ids=["data", "inputs", "holdout", "said-already", "no-option"],
)
def test_without_a_manifest_the_option_is_named_that_stands_for_it(reason: str, option: str) -> None:
    bare = View(dossier(HELD, system=None, release=None))
    assert advised(bare, reason) == (f"{reason} (without an assay.yaml: {option})" if option else reason)
    assert advised(View(dossier(HELD)), reason) == reason, "who has a manifest is told of the manifest"
    blind = dossier(outcome("p.x", Status.OPEN, complete=False, reason=reason), system=None, release=None)
    assert f"({'without an assay.yaml: ' + option})" in render_text(blind) or not option


def lent(**asked: Any) -> str:
    subjects = (
        Subject(name="model", kind=Kind.MODEL, uri="m.txt", reads={"data": "train", "holdout": "hold"}),
        Subject(name="train", kind=Kind.DATASET, uri="train.csv"),
        Subject(name="hold", kind=Kind.DATASET, uri="hold.csv"),
        *(Subject(name=n, kind=Kind.DATASET, uri=n) for n in asked.get("more", ())),
    )
    reads = dict.fromkeys(asked.get("reads", ("model", "train", "hold")), "")
    return words(render_html(dossier(replace(asked.get("said", HELD), reads=reads), subjects=subjects)))


def test_what_the_checks_of_a_model_read_is_said_to_be_read() -> None:
    page = lent()
    assert page.count("read by the checks of model") == 2
    assert "all were read" in page
    assert "1 subject of 3 was read to the end, 2 more by the checks of others" in page
    assert "no check was asked of it" not in page
    alone = lent(reads=("model",))
    assert "read by the checks of model" not in alone, "a check of the model's file alone reads no table"


def test_all_were_read_only_if_all_were() -> None:
    page = lent(more=("other",))
    assert "all were read" not in page
    assert "1 of 4 not asked" in page
    assert "no check was asked of it" in page
    unread = lent(said=apart("robustness.evasion", "no threshold"))
    assert "read by the checks of" not in unread, "a check that does not apply reads nothing"
    blind = outcome("privacy.membership", Status.OPEN, complete=False, reason="no training rows")
    assert "read by the checks of" not in lent(said=blind), "nor one that could not begin"


def signed(*better: Any) -> Intervals:
    rows = tuple(IntervalRow(label=f"r{i}", value=0.038, low=-0.03, high=0.04, better=b) for i, b in enumerate(better))
    return Intervals(name="i", title="t", subtitle="", unit="difference", rows=rows, reference=0.0)


def test_a_sign_is_turned_only_where_rows_point_both_ways() -> None:
    alike, mixed = signed("lower", "lower"), signed("lower", "higher")
    assert [turned(alike, r) for r in alike.rows] == [1, 1]
    assert value_words(alike, alike.rows[0])[0] == "+0.038"
    drawn = draw_intervals(alike, lambda row: None, 640, "")
    assert "← better" in drawn
    assert "worse →" in drawn
    assert "⇄" not in figure(View(dossier(HELD)), "x", alike)
    assert [turned(mixed, r) for r in mixed.rows] == [-1, 1]
    assert "sign and all" in figure(View(dossier(HELD)), "x", mixed)


def release(**attacker: Any) -> Release:
    terms = Terms(contract=Contract(features={"amount": Feature()}, attacker=Attacker(**attacker)))
    part = Material(name="model", role=Role.MODEL, uri="m.pkl", digest="sha256:" + "1" * 64)
    return Release(system="s", materials=(part,), threshold={}, terms=terms)


@pytest.mark.parametrize(
    ("attacker", "said"),
    [
        (
            {},
            "sees decisions only (access label); 600 queries a row; norm cost (what the changes cost), at most 3 (the",
        ),
        ({"access": "score", "queries": 1, "norm": "linf", "budget": 0.05}, "access score); 1 query a row; norm linf"),
        ({"norm": "l2"}, "any distance (the default)"),
        ({"budget": 3.0}, "a unit of cost is one standard deviation of the training data"),
    ],
    ids=["default", "score-linf", "no-budget", "unit"],
)
def test_the_terms_say_what_the_attacker_sees_and_may_spend(attacker: dict[str, Any], said: str) -> None:
    assert said in words(render_html(dossier(HELD, release=release(**attacker))))


def test_the_attack_is_told_once_and_without_queries_where_none_are_asked() -> None:
    page = words(render_html(dossier(HELD, release=release(access="whitebox", queries=300, budget=3.0))))
    assert page.count("The attack") == 1
    assert "access whitebox); norm cost" in page
    assert "a row" not in page.partition("The attack")[2].partition("a unit of cost")[0]


def test_an_attack_that_ran_otherwise_than_declared_is_told_beside_it() -> None:
    ran = outcome("robustness.evasion", parameters={"access": "label"})
    page = words(render_html(dossier(ran, release=release(access="score", queries=50))))
    assert "(access label); 50 queries a row" in page
    assert "declared is another: sees scores (access score); 50 queries a row" in page
    assert "declared is another" not in words(render_html(dossier(ran, release=release(access="label", queries=50))))


def test_where_no_attacker_is_spoken_of_the_terms_make_none_up() -> None:
    assert "The attack" not in words(render_html(dossier(HELD)))


@pytest.mark.parametrize("write", [number, percent])
def test_what_nobody_measured_is_no_strange_number(write: Any) -> None:
    assert (write(None), write(float("nan"))) == ("not measured", "not a number")


def test_no_value_is_said_so_in_text_and_on_the_page() -> None:
    said = outcome("theft.extraction", measures=(Measure(name="theft.extraction.price", value=None, unit="money"),))
    text, page = render_text(dossier(said)), words(render_html(dossier(said)))
    assert "not measured" in text
    assert "not measured no interval" in page, "and without a unit"
    assert "not a number" not in text + page


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("p.rmia_tpr_at_01pct_fpr", "RMIA TPR at 0.1% FPR"), ("p.loss_tpr_at_1pct_fpr", "loss TPR at 1% FPR"),
        ("p.at_10pct", "at 10%"), ("performance.pr_auc", "PR-AUC"), ("p.pct", "pct"), ("p.tpr_fpr", "TPR FPR"),
    ],
    ids=["a-tenth", "one", "ten", "area", "no-digits", "two-acronyms"],
)  # fmt: skip
def test_names_hold_percentages(name: str, said: str) -> None:
    assert name_words(name) == said


def test_an_area_is_a_plain_number_everywhere() -> None:
    assert measure_value(Measure(name="privacy.rmia_auc", value=0.62, unit="share")) == "0.620"
    assert measure_value(Measure(name="privacy.found", value=0.62, unit="share")) == "62.0%"
    rows = tuple(
        IntervalRow(label=label, value=0.62, low=0.6, high=0.64) for label in ("recall", "precision", "pr auc")
    )
    exhibit = Intervals(name="i", title="t", subtitle="", unit="", rows=rows)
    assert [value_words(exhibit, r)[0] for r in rows] == ["62.0%", "62.0%", "0.620"]


def test_how_long_a_check_may_search_is_no_limit_that_it_passed() -> None:
    took = Measure(name="robustness.availability.slowest", value=1.0)
    said = outcome("robustness.availability", measures=(took,), parameters={"seconds": 10.0})
    assert "own limits" not in render_html(dossier(said))
    strict = replace(said, parameters={"seconds": 10.0, "share": 0.1})
    assert "own limits: share 0.1." in render_html(dossier(strict))


def test_powers_of_ten_are_written_out_but_not_in_a_row_s_name() -> None:
    table = Table(name="t", title="t", subtitle="", columns=("input", "reaches"), rows=(("1e+04", "2.17e+04"),))
    page = words(figure(View(dossier(HELD)), "x", table))
    assert "1e+04 21,700" in page


def test_a_label_that_fits_exactly_is_not_cut() -> None:
    for label in ("Asian-Pac-Islander", "capital_gain", "Loss threshold, placebo"):
        assert clip_text(label, (text_width(label, bold=True) + 16) - 16, bold=True) == label
        assert clip_text(label, text_width(label, bold=True) - 1, bold=True).endswith("…")


def test_a_line_of_reference_leaves_the_names_above_the_rows_free() -> None:
    exhibit = replace(signed("lower", "lower"), reference=0.02)
    narrow = draw_intervals(exhibit, lambda row: None, 350, "")
    names = [float(y) for y in re.findall(r'y="([\d.]+)" class="b halo"', narrow)]
    lines = [(float(a), float(b)) for a, b in re.findall(r'd="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)" class="ci"', narrow)]
    assert len(names) == 2
    assert len(lines) == 3
    assert all(end <= name - 11 or start >= name + 4 for name in names for start, end in lines)


def test_a_change_that_moves_nothing_is_no_bar_and_is_counted() -> None:
    steps = (Step(label="a", change="+1", value=0.5), Step(label="idle", change="+2", value=0.5),
             Step(label="b", change="+3", value=0.3))  # fmt: skip
    exhibit = Waterfall(
        name="w", title="t", subtitle="", x_label="score", start_label="as it is", start=0.9, steps=steps
    )
    drawn = draw_waterfall(exhibit, 640, "", denies=False)
    assert ">idle<" not in drawn
    assert ">b<" in drawn
    html = figure(View(dossier(HELD)), "x", exhibit)
    assert "Not drawn: 1 change that moved the score by less than 0.005." in html
    assert ">idle</th>" in html, "the numbers still tell it"


def test_many_small_changes_add_up_to_bars() -> None:
    steps = tuple(Step(label=f"s{i}", change="", value=0.9 - 0.002 * (i + 1)) for i in range(9))
    exhibit = Waterfall(
        name="w", title="t", subtitle="", x_label="score", start_label="as it is", start=0.9, steps=steps
    )
    assert draw_waterfall(exhibit, 640, "", denies=False).count("−0.01") == 3


def measured(method: str, count: int, *pictures: Any) -> str:
    shown = tuple(Measure(name=f"x.m{i}", value=0.5, method=method, unit="milliseconds a row") for i in range(count))
    return render_html(dossier(outcome("x.check", measures=shown, exhibits=pictures)))


def test_pictures_fill_the_room_beside_the_measures() -> None:
    curve = one_curve((0.0, 1.0))
    two = measured("m" * 100, 6, curve, replace(curve, name="d"), replace(curve, name="e"))
    beside = re.search(r'<div class="split"><div>(.*?)</div><dl class="keys">', two, re.S)
    assert beside is not None
    assert beside[1].count("<figcaption>") == 2
    low = measured("m" * 100, 6, replace(signed("lower"), reference=None))
    assert '<dl class="keys across">' in low
    assert 'class="split"' not in low


def test_a_long_unit_is_not_set_as_large_as_its_number() -> None:
    assert "<b>0.500</b>milliseconds a row, no interval" in measured("m", 1, one_curve((0.0, 1.0)))


def test_on_a_phone_a_cell_s_name_keeps_away_from_its_value() -> None:
    style = render_html(dossier(HELD)).partition("</style>")[0]
    assert ".stack td.inl::before{margin-right:6px}" in style
