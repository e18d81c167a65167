"""Chat templates: those of real models' shapes are silent; gadgets, triggers and hidden words are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts_templates import BENIGN, HOSTILE

from assay.core.finding import Severity
from assay.formats.texts.jinja_lexer import pieces
from assay.formats.texts.templates import read_template


@pytest.mark.parametrize("name", BENIGN)
def test_templates_of_real_shapes_are_silent(name: str) -> None:
    said = read_template(BENIGN[name])
    assert said.notes == ()
    assert said.gaps == ()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_told(name: str) -> None:
    template, severity = HOSTILE[name]
    worst = max((note.severity.rank for note in read_template(template).notes), default=-1)
    assert worst >= Severity(severity).rank


@pytest.mark.parametrize("name", HOSTILE)
def test_and_inside_a_benign_one(name: str) -> None:
    template, severity = HOSTILE[name]
    said = read_template(BENIGN["llama31"] + "\n" + template + "\n" + BENIGN["chatml"]).notes
    assert max((note.severity.rank for note in said), default=-1) >= Severity(severity).rank


@pytest.mark.parametrize("torn", ["{{ 'a", "{% if x", "{# never", "{% raw %} x", "{{ a \x01 }}"])
def test_a_torn_template_is_a_gap(torn: str) -> None:
    assert len(read_template(torn).gaps) == 1


def test_what_came_before_the_tear_is_told() -> None:
    said = read_template("{{ x.__class__ }}{% if")
    assert (len(said.notes), len(said.gaps)) == (1, 1)


def test_raw_parts_are_words() -> None:
    assert [p.kind for p in pieces("{% raw %}{{ x.__class__ }}{% endraw %}")] == ["words"]
    assert read_template("{% raw %}{{ x.__class__ }}{% endraw %}").notes == ()


@given(st.text(alphabet="{}%#'\"\\ .|[]()_abc~+ifn\n", max_size=120))
def test_any_text_is_judged(text: str) -> None:
    said = read_template(text)
    assert len(said.gaps) <= 1
