"""Numbers are written by the unit that the measure gives, and a gap is measured from what the policy reads."""

from __future__ import annotations

import pytest
import render_samples as samples
from msgspec.structs import replace
from test_render_html import Page

from assay.core.decision import Verdict
from assay.core.dossier import Dossier
from assay.core.finding import Measure, Outcome, Status
from assay.render.charts.bound import Bound
from assay.render.charts.curve import draw_curve
from assay.render.html import render_html
from assay.render.page.say import measure_value
from assay.render.page.words import is_rate


@pytest.mark.parametrize(
    ("name", "unit", "value", "said"),
    [
        ("x.anything", "share", 0.31, "31.0%"),
        ("x.recall", "", 0.31, "31.0%"),  # no unit: the name is all there is
        ("x.shipping_rate", "parcels an hour", 0.31, "0.310 parcels an hour"),
        ("x.recall", "ROC area", 0.31, "0.310 ROC area"),
        ("x.queries", "a row", 67.2, "67.2 a row"),
        ("x.error", "share", 0.0, "0.0%"),
    ],
)
def test_the_unit_says_whether_a_number_is_a_share(name: str, unit: str, value: float, said: str) -> None:
    assert measure_value(Measure(name=name, value=value, unit=unit)) == said


def test_a_share_of_something_is_a_share() -> None:
    assert is_rate("x", unit="share positive")
    assert not is_rate("x.recall", unit="shares sold")


def with_unit(unit: str) -> Dossier:
    """The denied sample, whose attacked recall gives a unit."""
    given = samples.deny()
    name = "robustness.evasion.recall_under_attack"

    def marked(one: Outcome) -> Outcome:
        return replace(one, measures=tuple(replace(m, unit=unit) if m.name == name else m for m in one.measures))

    body = replace(given.report.body, outcomes=tuple(map(marked, given.report.body.outcomes)))
    return replace(given, report=replace(given.report, body=body))


def test_a_rules_numbers_follow_the_unit_of_the_measure_that_it_read() -> None:
    assert "Recall under attack is 34.0% and must be at least 40.0%" in Page(render_html(with_unit("share"))).text
    assert "Recall under attack is 0.340 and must be at least 0.400" in Page(render_html(with_unit("ratio"))).text


def reading(verdict: Verdict, reads: str, at: float = 0.4) -> str:
    """The attack's curve with a bound that reads `reads`."""
    bound = Bound(
        at=at, better="higher", verdict=verdict, line=7, value=0.34, low=0.289, high=0.395, reads=reads
    )  # fmt: skip
    return draw_curve(samples.evasion_curve(), bound, 640, "a curve")


def test_the_gap_is_from_the_end_that_the_policy_reads() -> None:
    assert "11.1 points short of the policy" in reading(Verdict.DENY, "lower95")
    assert "low end 28.9%:" in reading(Verdict.DENY, "lower95")
    assert "6.0 points short of the policy" in reading(Verdict.DENY, "value")
    assert "low end" not in reading(Verdict.DENY, "value")


def test_an_unsure_rule_shows_how_far_its_end_falls_short() -> None:
    drawn = reading(Verdict.INDETERMINATE, "lower95", 0.3)
    assert "1.1 points short of the policy" in drawn
    assert 'stroke="var(--open)"' in drawn
    assert "short of" not in reading(Verdict.ALLOW, "lower95", 0.2)


def test_a_check_that_passes_shows_its_own_limits() -> None:
    given = samples.deny()
    measure = Measure(name="data.split_leakage", value=0.0, low=0.0, high=0.001, n=4083)
    leak = samples.outcome(
        "data.split-leakage", "train", samples.D, Status.PASS, measures=(measure,), parameters={"tolerance": 0.002}
    )
    body = replace(given.report.body, outcomes=(*given.report.body.outcomes, leak))
    text = Page(render_html(replace(given, report=replace(given.report, body=body)))).text
    assert "Passed by the check’s own limits: tolerance 0.002." in text
    assert "Set to tolerance 0.002" in text


def test_what_the_decision_does_not_rest_on_is_told() -> None:
    given = samples.deny()
    assert given.decision is not None
    aside = {"data.schema": ("data.schema on train: asked by an older version",)}
    text = Page(render_html(replace(given, decision=replace(given.decision, aside=aside)))).text
    assert "What the decision does not rest on" in text
    assert "asked by an older version" in text
