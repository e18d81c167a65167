"""Hostile text in every field of a dossier: no markup, control or direction-changing character reaches the page."""

from __future__ import annotations

import re
import typing
from typing import Any

import msgspec
import pytest
import render_samples as samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_render_html import Page

from assay.core.dossier import Dossier
from assay.render.html import render_html

FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style><style>*{display:none}",
    "</title><script>1</script>",
    "--><!-- ]]> &lt; &#60;script",
    "\u202etxt.exe\u202c\u2066x\u2069\u200b\ufeff",
    "\x00\x1b[31m\x07\r\n\t\x9b",
    "javascript:alert(1)",
    "a" * 5000,
    "url(http://example.com/x) expression(1)",
    "{{7*7}} ${7*7} {% raw %}",
)


def poisoned(value: Any, text: str) -> Any:
    """A copy of `value` in which every free text field holds `text` (enums, literals and times stay)."""
    if isinstance(value, msgspec.Struct):
        hints = typing.get_type_hints(type(value))
        changed: dict[str, Any] = {}
        for field in value.__struct_fields__:
            old = getattr(value, field)
            changed[field] = text if hints[field] is str and type(old) is str else poisoned(old, text)
        return type(value)(**changed)
    if isinstance(value, tuple):
        return tuple(text if type(v) is str else poisoned(v, text) for v in value)
    if isinstance(value, dict):
        return {text if type(k) is str else k: poisoned(v, text) for k, v in value.items()}
    return value


def known() -> tuple[set[str], set[str]]:
    """The elements and attributes that honest pages have."""
    tags: set[str] = set()
    attributes: set[str] = set()
    for name in samples.SAMPLES:
        parsed = Page(render_html(samples.SAMPLES[name]()))
        tags |= set(parsed.tags)
        attributes |= parsed.attributes
    return tags, attributes


TAGS, ATTRIBUTES = known()


def unharmed(dossier: Dossier, text: str) -> bool:
    """Asserts that a poisoned page has no element, attribute, link or character that an honest one has not."""
    html = render_html(poisoned(dossier, text))
    parsed = Page(html)
    assert set(parsed.tags) <= TAGS
    assert parsed.attributes <= ATTRIBUTES
    assert not FORBIDDEN.search(html)
    assert all(link.startswith("#") or link == "data:," for link in parsed.links)
    assert html.count("<style>") == 1
    return len(html.encode()) < 400_000


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_in_every_field_stays_text(name: str, text: str) -> None:
    assert unharmed(samples.SAMPLES[name](), text)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_in_every_field_stays_text(text: str) -> None:
    assert unharmed(samples.deny(), text)
    assert unharmed(samples.scan(), text)


def test_the_poison_really_reaches_the_page() -> None:
    html = render_html(poisoned(samples.deny(), "<b>poison</b>"))
    assert html.count("&lt;b&gt;poison&lt;/b&gt;") > 100
    assert "<b>poison</b>" not in html


def printed() -> str:
    """The style's rules for paper."""
    style = render_html(samples.empty())
    style = style[style.index("<style>") : style.index("</style>")]
    return style[style.index("@media print") :]


def test_paper_folds_nothing_and_hides_only_what_is_told_elsewhere() -> None:
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", printed())
    hidden = {name for names, what in rules if "display:none" in what for name in names.split(",")}
    assert hidden == {".bar", ".skip", "svg.w", "summary::-webkit-details-marker"}
    assert "svg.n{display:block" in printed()
    assert "details::details-content{content-visibility:visible" in printed()
    assert "thead{display:table-header-group}" in printed()
    assert "color-scheme:light" in printed()


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_nothing_else_is_folded_than_what_paper_opens(name: str) -> None:
    html = render_html(samples.SAMPLES[name]())
    assert html.count("<details") == html.count('<details class="fig-nums"')


def test_a_narrow_screens_rules_do_not_reach_paper() -> None:
    html = render_html(samples.empty())
    assert re.findall(r"@media \((?:max|min)-width", html) == []


@pytest.mark.parametrize("text", NASTY)
def test_the_foot_of_a_page_holds_nothing_but_letters_and_digits(text: str) -> None:
    html = render_html(poisoned(samples.deny(), text))
    foot = re.search(r'@bottom-left\{content:"([^}]*)";font', html)
    assert foot is not None
    assert re.fullmatch(r"[A-Za-z0-9 ]*", foot[1])


def test_a_long_word_in_a_tables_head_may_break() -> None:
    html = render_html(poisoned(samples.deny(), "w" * 50))
    heads = re.findall(r'<th scope="col"[^>]*>(w[^/]*)</th>', html)
    assert heads
    assert all(len(part) <= 14 for head in heads for part in head.split("<wbr>"))
