"""The verdict's sentence stays within three lines, and each reason that it leaves out stands lower on the page."""

from __future__ import annotations

import pytest
import render_samples as samples
from msgspec.structs import replace
from test_render_html import Page
from test_render_html_hostile import poisoned

from assay.core.decision import RuleTrace, Verdict
from assay.core.dossier import Dossier
from assay.render.charts.labels import text_width
from assay.render.html import render_html
from assay.render.page.view import View
from assay.render.page.why import ROOM, plainly, why


def many(verdict: Verdict, count: int = 12) -> Dossier:
    """The sample with `count` more measure rules that all went `verdict`."""
    given = samples.deny()
    assert given.decision is not None
    rules = tuple(
        RuleTrace(
            line=100 + i, rule=f"measure {i}", asks="measure", verdict=verdict, saw="0.1", measure=f"x.quality_{i}",
            value=0.1, low=0.05, high=0.5, n=40, bound=0.4, better="higher", reads="lower95",
            unsure=verdict is Verdict.INDETERMINATE, reason="too few rows to be sure",
        )
        for i in range(count)
    )  # fmt: skip
    return replace(given, decision=replace(given.decision, verdict=verdict, trace=rules))


@pytest.mark.parametrize("verdict", [Verdict.DENY, Verdict.INDETERMINATE])
def test_many_reasons_fit_into_three_lines_and_all_stand_below(verdict: Verdict) -> None:
    dossier = many(verdict)
    said = why(View(dossier))
    assert text_width(said) <= ROOM
    assert "more reasons follow." in said
    text = Page(render_html(dossier)).text
    assert all(f"Quality {i} is" in text for i in range(12))


@pytest.mark.parametrize("name", ["deny", "indeterminate", "allow"])
def test_samples_fit_into_three_lines(name: str) -> None:
    assert text_width(why(View(samples.SAMPLES[name]()))) <= ROOM


@pytest.mark.parametrize("name", ["deny", "indeterminate"])
def test_names_without_end_do_not_lengthen_the_sentence(name: str) -> None:
    assert len(why(View(poisoned(samples.SAMPLES[name](), "endless " * 900)))) < 320


def test_a_critical_finding_comes_first_then_numbers_then_people() -> None:
    said = why(View(samples.deny()))
    order = [
        "calls os.system",
        "Recall under attack is 34.0%",
        "1 high finding in train",
        "compliance has not approved",
    ]
    assert sorted(order, key=said.index) == order


def test_a_refusal_is_said_before_all_numbers() -> None:
    given = many(Verdict.DENY, 2)
    assert given.decision is not None
    refusal = RuleTrace(
        line=200, rule="approvals", asks="approvals", verdict=Verdict.DENY, saw="M. Okafor refused", reason="not yet"
    )
    trace = (*given.decision.trace, refusal)
    said = why(View(replace(given, decision=replace(given.decision, trace=trace))))
    assert said.startswith("It may not ship. M. Okafor refused: not yet.")


def test_terms_are_explained_only_where_they_are_used() -> None:
    assert plainly("Recall is 31.0%.").startswith("Recall: of the cases")
    assert plainly("One file could not be judged.") == ""
    assert "Recall: of the cases" in Page(render_html(samples.deny())).text
